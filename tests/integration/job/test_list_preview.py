"""What a frozen list would touch, as the daemon counts it for the person who validates it: it equals the run, and names nobody."""

import json

import psycopg2
import pytest

from support.ctl import ctl
from support.french import FRENCH
from support.harness import wait_until
from support.jobs import SAVED, days
from support.oracles import tokens_in

ACTIONS = [("export", "full"), ("delete_contacts", "listed"), ("anonymize_contacts", "none"), ("anonymize_requests", "none")]
CONTACTS = "contact_id IN (SELECT contact_id FROM crm.request GROUP BY 1 HAVING max(created_at) >= '{}' AND max(created_at) < '{}'::date + 1)"


def per_table(preview):
    counts = {}
    for row in preview["tables"]:
        counts[row["table"]] = counts.get(row["table"], 0) + row["rows"]
    return {table: n for table, n in counts.items() if n}


def listed(j):
    assert j.run() == SAVED
    return j.row()["preview"]


@pytest.mark.parametrize("action, archive", ACTIONS)
def test_it_equals_the_run(job, action, archive):
    j = job(action, archive, manual=days(), contacts=300)
    preview = listed(j)
    assert set(preview) == {"held", "oldest", "newest", "tables"} and preview["held"] == 0
    assert {(t["table"], t["what"]) for t in preview["tables"]} and len(preview["tables"]) == len(
        {(t["table"], t["what"]) for t in preview["tables"]})
    assert days()[0] <= preview["oldest"] <= preview["newest"] and preview["newest"][:10] <= days()[1]
    assert j.value("SELECT details->'preview' FROM retention.journal_event WHERE kind = 'listed'") == preview
    assert not tokens_in(json.dumps(preview).encode())
    j.sql(f"SELECT retention.validate_action({j.id})")
    assert j.run() == 0
    assert per_table(preview) == {t.removesuffix(".detached"): n for t, n in j.row()["counters"]["rows"].items() if n}
    assert j.row()["preview"] == preview
    assert j.sql("SELECT * FROM retention.verify_rows()") == []


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_requests"])
def test_the_holds(job, action):
    """Held are those that would be on the list: neither a hold elsewhere nor one that has ended counts."""
    j = job(action, "none", manual=days(), contacts=300)
    mine, others = ([c for (c,) in j.sql(f"SELECT DISTINCT contact_id FROM crm.request WHERE {w} ORDER BY 1 LIMIT 3")]
                    for w in (CONTACTS.format(*days()) + " AND contact_id NOT IN (SELECT contact_id FROM crm.request WHERE status <> 'closed')",
                              f"created_at > '{days()[1]}'::date + 60"))
    for key in mine + others:
        j.sql("SELECT retention.place_hold(%s, 'case')", (str(key),))
    j.sql("SELECT retention.release_hold(%s)", (str(mine[2]),))
    wanted = 2 if action == "delete_contacts" else j.value(f"""SELECT count(*) FROM crm.request WHERE contact_id = ANY (%s)
        AND status = 'closed' AND created_at >= '{days()[0]}' AND created_at < '{days()[1]}'::date + 1""", (mine[:2],))
    assert listed(j)["held"] == wanted > 0


def test_of_one_contact(job):
    """A hold of another contact is none of its action's."""
    j = job("delete_contacts", "none", manual=days(), contacts=300)
    listed(j)
    j.sql("SELECT retention.configure('UTC', false, 'bigint')")
    keys = [c for (c,) in j.sql("SELECT id FROM crm.contact ORDER BY id LIMIT 3")]
    j.id = j.value("SELECT retention.save_subject('delete_contacts', %s)", (str(keys[0]),))
    j.sql("SELECT retention.place_hold(%s, 'case')", (str(keys[1]),))
    preview = listed(j)
    assert preview["held"] == 0 and per_table(preview)["contact"] == 1
    j.id = j.value("SELECT retention.save_subject('delete_contacts', %s)", (str(keys[2]),))
    j.sql("SELECT retention.place_hold(%s, 'case')", (str(keys[2]),))
    preview = listed(j)
    assert preview["held"] == 1 and per_table(preview) == {} and preview["oldest"] is preview["newest"] is None


def test_what_cannot_be_counted_is_null(job):
    """A table that somebody has locked neither fails the list nor keeps it waiting; the others are counted."""
    j = job("delete_contacts", "none", manual=days(), contacts=300)
    j.pg.psql(j.db, "-c", """CREATE FUNCTION public.hold_on() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END'""", "-c", """
        CREATE TRIGGER hold_on AFTER INSERT ON retention.candidate FOR EACH STATEMENT EXECUTE FUNCTION public.hold_on()""")
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        cur.execute("LOCK TABLE crm.attachment IN ACCESS EXCLUSIVE MODE")
        cur.execute("SELECT pg_advisory_unlock(4711)")
        assert run.wait() == SAVED
    tables = {t["table"]: t["rows"] for t in j.row()["preview"]["tables"]}
    assert tables["attachment"] is None and tables["contact"] == j.row()["candidates"] > 0
    assert len([n for n in tables.values() if n is None]) == 1
    assert j.sql("SELECT * FROM retention.verify_rows()") == []
    assert "attachment " in (shown := ctl(j.pg, j.db, "show", j.id).stdout) and " ?\n" in shown


def test_nobody_changes_it(job):
    j = job("delete_contacts", "none", manual=days(), contacts=300)
    with pytest.raises(psycopg2.Error, match="archive_journal_check"):
        j.sql("UPDATE retention.archive_journal SET preview = '{}'")
    listed(j)
    with pytest.raises(psycopg2.Error, match="its list of keys is frozen"):
        j.sql("UPDATE retention.archive_journal SET preview = preview || '{\"held\": 7}'")
    j.pg.tamper(j.db, "UPDATE retention.archive_journal SET preview = preview || '{\"held\": 7}'")
    assert j.sql("SELECT details FROM retention.verify_rows()") == [(f"{j.id}\npreview",)]


def test_an_automatic_one(job):
    """The tables are counted where a person is asked; the held always."""
    j = job("delete_contacts", "none", contacts=300)
    assert j.run() == 0 and j.row()["preview"] == {"held": 0}


def test_shown(job, pg):
    """The counts to everybody who reads the journal, the first keys to approvers alone, and both until it begins."""
    j = job("delete_contacts", "none", manual=days(), contacts=300)
    preview = listed(j)
    keys = [k for (k,) in j.sql("SELECT key FROM retention.candidate ORDER BY n LIMIT 10")]
    assert keys and j.sql(f"SELECT * FROM retention.first_keys({j.id})") == [(k,) for k in keys]
    other = j.value("SELECT retention.save_action('export', '2024-01-01', '2024-01-02')")
    j.sql("INSERT INTO retention.candidate SELECT %s, n, n::text, 1 FROM generate_series(1, 40) AS n", (other,))
    assert j.sql(f"SELECT * FROM retention.first_keys({other})") == [(str(n),) for n in range(1, 11)]
    assert j.sql("SELECT * FROM retention.first_keys(NULL)") == j.sql("SELECT * FROM retention.first_keys(4711)") == []
    pg.psql(j.db, "-c", "CREATE ROLE shown_auditor LOGIN; GRANT retention_auditor TO shown_auditor;"
                        "CREATE ROLE shown_approver LOGIN; GRANT retention_approver TO shown_approver")
    try:
        shown = {who: ctl(pg, j.db, "show", j.id, user=f"shown_{who}") for who in ("auditor", "approver")}
        french = ctl(pg, j.db, "show", j.id, user="shown_approver", env=FRENCH)
        assert all(done.returncode == 0 for done in (*shown.values(), french)), (shown, french)
        for row in preview["tables"]:
            assert f"{row['table']} " in shown["auditor"].stdout and f"  {row['what']}  " in shown["auditor"].stdout
        assert "first keys" not in shown["auditor"].stdout
        assert "\nfirst keys  " + " ".join(keys) + "\n" in shown["approver"].stdout
        assert preview["oldest"][:10] in shown["auditor"].stdout
        found = json.loads(ctl(pg, j.db, "show", j.id, "--json", user="shown_auditor").stdout)
        assert found["preview"] == preview
        j.sql(f"SELECT retention.validate_action({j.id})")
        assert j.run() == 0
        assert "first keys" not in ctl(pg, j.db, "show", j.id, user="shown_approver").stdout
    finally:
        pg.psql(j.db, "-c", "DROP ROLE shown_auditor, shown_approver")
