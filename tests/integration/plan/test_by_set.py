"""
limits.integrity = "set": foreign keys are asked once a batch.  These tests show what is refused, what is found, and
that the result is that of the server's triggers.  Every test marked safety runs under it as well.
"""

import json
import os

import psycopg2
import pytest

from support import harness
from support.clients import clients, race
from support.jobs import DONE, REFUSED, SLOW
from support.oracles import check_all_erased, missing_contacts, table_digests
from support.small import (BLOBS, BLOB_MODEL, MESSAGE, MESSAGES, SCHEMA, SHARING, TWO, archived, contacts, failures,
                           keys, model, policy)

SET = {"workers": 1, "max_share": 1.0}


@pytest.fixture(autouse=True)
def by_set(monkeypatch):
    monkeypatch.setitem(harness.LIMITS, "integrity", "set")
    monkeypatch.setitem(harness.LIMITS, "workers", 4)


# --- The same ---------------------------------------------------------------------------------


@pytest.mark.parametrize("archive", ["full", "none"])
def test_the_same_as_with_triggers(make, monkeypatch, archive):
    """Rows, files, ledger; shared rows, a message without an index of its own key, a self reference."""
    def run(how):
        monkeypatch.setitem(harness.LIMITS, "integrity", how)
        d = make(SCHEMA + BLOBS + MESSAGE.replace("INSERT", "INSERT ", 1).split("; INSERT")[0]
                 + "; ALTER TABLE message ADD answers bigint REFERENCES message; CREATE INDEX ON message (answers)"
                 + contacts([1, 2, 4], [3]) + SHARING + """;
                 INSERT INTO message SELECT id * 10 + n, id, 'm', CASE n WHEN 1 THEN id * 10 END FROM request, generate_series(0, 1) n""",
                 model(message=MESSAGES, **BLOB_MODEL), policy(archive=archive), limits={"batch_rows": 10})
        d.once()
        assert failures(d) == []
        files = {}
        if archive == "full":
            path = d.jobs()[-1]["archive_path"]
            files = {name: sorted(open(f"{path}/{name}", "rb").read().splitlines())
                     for name in os.listdir(path) if name.endswith(".csv")}
            assert len(files) == 6
        return table_digests(d.pg, d.db, "public"), files, d.pg.sql(d.db, "SELECT key FROM retention.ledger ORDER BY 1")

    assert run("set") == run("triggers")


def test_an_anonymization_fires_triggers(make):
    """What is changed is changed as ever; what is deleted beside it is asked for."""
    d = make(SCHEMA + MESSAGE.split("; INSERT")[0] + TWO + """;
        CREATE TABLE line (id bigint PRIMARY KEY, message_id bigint REFERENCES message); CREATE INDEX ON line (message_id);
        INSERT INTO message SELECT id * 10, id, 'm' FROM request; INSERT INTO line SELECT id, id FROM message;
        CREATE TABLE seen (what text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
        CREATE TRIGGER see AFTER UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION see();
        CREATE TRIGGER see AFTER UPDATE ON request FOR EACH ROW EXECUTE FUNCTION see();
        UPDATE contact SET name = 'n'; UPDATE request SET subject = 's'; DELETE FROM seen""",
             model(message=MESSAGES, contact={"clear": ["name"], "keep": ["id", "brand", "created"]},
                   request={"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]},
                   line={"table": "line", "key": "id", "of": "message", "by": "message_id", "anonymize": "delete"}),
             policy("anonymize_contacts"), limits=SET)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM line") == {200}
    assert sorted(d.pg.sql(d.db, "SELECT what FROM public.seen")) == [("contact",), ("request",), ("request",)]
    assert keys(d.pg, d.db, "SELECT id FROM message") == {200}
    assert d.ctl("verify").returncode == 0


# --- Found ------------------------------------------------------------------------------------


def test_a_row_that_still_points_at_one_that_went(make):
    """Nobody's lock is in the way: contact 3 stays, and a request of his refers to one of contact 1's."""
    d = make(SCHEMA + "; ALTER TABLE request ADD follows bigint REFERENCES request; CREATE INDEX ON request (follows)"
             + contacts([1, 2], [3]) + "; UPDATE request SET follows = 10 WHERE id = 30",
             model(), policy(archive="full"), limits=SET)
    d.once(check=False)
    assert keys(d.pg, d.db) == {1, 3}, "and contact 2 went"
    ((key, said),) = failures(d)
    assert key == "1" and said.startswith("rows of public.request (request_follows_fkey) still refer to")
    assert {row[0] for row in archived(d, "contact")} == {"2"}
    # Told through the journal's chain, which is made of triggers.
    assert d.ctl("verify").returncode == 0


def test_a_link_that_takes_only_some(make):
    """From the top down, what a link takes whole is asked no more; what a where leaves out still is."""
    d = make(SCHEMA + contacts([1, 2], [3]) + """;
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request, kind text);
        CREATE INDEX ON message (request_id);
        INSERT INTO message VALUES (1, 10, 'a'), (2, 10, 'b'), (3, 20, 'a')""",
             model(message={**MESSAGES, "where": "kind = 'a'"}), policy(archive="full"), limits=SET)
    d.once(check=False)
    ((key, said),) = failures(d)
    assert key == "1" and said.startswith("rows of public.message (message_request_id_fkey) still refer to")
    assert keys(d.pg, d.db) == {1, 3} and keys(d.pg, d.db, "SELECT id FROM message") == {1, 2}


def test_what_a_client_attached_goes_too(make):
    """A row that came after its parents' keys were listed: its link finds it, and it is archived."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=SET)
    d.pg.sql(d.db, "INSERT INTO message VALUES (7, 11, 'late')")
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db, "SELECT id FROM message") == {200}
    assert {row[0] for row in archived(d, "message")} == {"7", "100", "110"}


def test_keys_of_several_columns(make):
    """Held against whole rows: another tenant's 7 is another, and NULL points at nothing."""
    d = make(SCHEMA + """; ALTER TABLE contact ADD tenant int NOT NULL DEFAULT 1; CREATE UNIQUE INDEX ON contact (tenant, id);
        CREATE TABLE card (id bigint PRIMARY KEY, tenant int, contact bigint, FOREIGN KEY (tenant, contact) REFERENCES contact (tenant, id));
        CREATE INDEX ON card (contact, tenant)""" + contacts([1, 2], [3]) + """;
        INSERT INTO card VALUES (1, 1, 1), (2, 1, 3), (3, NULL, 1), (4, NULL, 77)""",
             model(card={"table": "card", "key": "id", "of": "contact", "by": "contact"}), policy(archive="full"), limits=SET)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {3}
    assert keys(d.pg, d.db, "SELECT id FROM card") == {2, 4}


def test_a_table_appears(job):
    """Its foreign key would not speak to us: the batch is rolled back, and nothing of it is orphaned."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    # In one transaction: the key that is made keeps everybody from deleting contacts until it ends.
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("CREATE TABLE crm.late (contact_id bigint REFERENCES crm.contact)")
        cur.execute("""INSERT INTO crm.late SELECT max(id) FROM crm.contact
                        WHERE id::text IN (SELECT key FROM retention.candidate) RETURNING contact_id""")
        last, = cur.fetchone()
        conn.commit()
    assert run.wait() == DONE
    assert "is not what it was when the job looked at it" in run.text()
    j.rest()
    assert j.run() == REFUSED and "crm.late" in j.last.note(), j.last.text()
    assert j.value("SELECT count(*) FROM crm.contact WHERE id = %s", (last,)) == 1
    assert j.ledger() == missing_contacts(j)
    j.sql("DROP TABLE crm.late")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)


def test_a_trigger_appears(job):
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    j.sql("""CREATE FUNCTION crm.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER keep BEFORE DELETE ON crm.message FOR EACH ROW EXECUTE FUNCTION crm.keep()""")
    assert run.wait() == DONE
    assert "is not what it was when the job looked at it" in run.text()
    erased = j.ledger()
    j.rest()
    assert j.run() == REFUSED and "crm.message" in j.last.note(), j.last.text()
    assert j.ledger() == missing_contacts(j) == erased
    j.sql("DROP TRIGGER keep ON crm.message")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)


def test_dropped_keys_are_told(make):
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=SET)
    race(d, "UPDATE request SET at = now() WHERE id = 11")
    assert d.jobs()[-1]["counters"]["dropped"] == 1 and keys(d.pg, d.db) == {1, 2}
    assert d.ctl("verify").returncode == 0


def test_nobody_attaches_anything_to_what_goes(job):
    """Every row below a contact at once, at every level, by clients whose own foreign keys speak."""
    j = job(limits=SLOW)
    requests = [r for (r,) in j.sql("SELECT id FROM crm.request")]
    messages = [m for (m,) in j.sql("SELECT id FROM crm.message")]
    done = {"ok": 0, "23503": 0}

    def attempt(conn, query, args):
        with conn.cursor() as cur:
            try:
                cur.execute(query, args)
                done["ok"] += 1
            except psycopg2.Error as error:
                assert error.pgcode == "23503", error
                done["23503"] += 1

    def message(conn, dice):
        attempt(conn, """INSERT INTO crm.message (request_id, direction, channel, sender, recipient, body, sent_at)
            VALUES (%s, 'in', 'mail', 'a', 'b', 'x', now())""", (dice.choice(requests),))

    def change(conn, dice):
        attempt(conn, """INSERT INTO crm.status_change SELECT (jsonb_populate_record(h, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('crm.status_change', 'id')), 'request_id', %s))).* FROM crm.status_change h LIMIT 1""",
                (dice.choice(requests),))

    def attachment(conn, dice):
        attempt(conn, """INSERT INTO crm.attachment SELECT (jsonb_populate_record(a, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('crm.attachment', 'id')), 'message_id', %s))).* FROM crm.attachment a LIMIT 1""",
                (dice.choice(messages),))

    run = j.start()
    j.begun()
    with clients(j, message, change, attachment, attachment):
        assert run.wait() == DONE, run.text()
    assert done["ok"] > 50 and done["23503"] > 10, done
    for table, column, parent in j.sql("""SELECT conrelid::regclass::text, quote_ident(a.attname), confrelid::regclass::text
            FROM pg_constraint JOIN pg_attribute a ON attrelid = conrelid AND attnum = conkey[1]
            WHERE contype = 'f' AND connamespace = 'crm'::regnamespace"""):
        assert j.value(f"SELECT count(*) FROM {table} c WHERE {column} IS NOT NULL AND NOT EXISTS "
                       f"(SELECT FROM {parent} p WHERE p.id = c.{column})") == 0, (table, column)


# --- Refused ----------------------------------------------------------------------------------

TRIGGER = """; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
    CREATE TRIGGER t1 {when} DELETE ON {table} FOR EACH {each} EXECUTE FUNCTION nothing(); ALTER TABLE {table} {state} TRIGGER t1"""
REFUSALS = [
    (TRIGGER.format(when="BEFORE", table="contact", each="ROW", state="ENABLE"), None, "public.contact has triggers on DELETE (t1)"),
    (TRIGGER.format(when="AFTER", table="message", each="ROW", state="ENABLE ALWAYS"), None, "public.message has triggers on DELETE (t1)"),
    (TRIGGER.format(when="AFTER", table="message", each="STATEMENT", state="ENABLE"), None, "public.message has triggers on DELETE (t1)"),
    (TRIGGER.format(when="AFTER", table="request", each="ROW", state="ENABLE REPLICA"), None, "public.request has triggers on DELETE (t1)"),
    (TRIGGER.format(when="BEFORE", table="contact", each="ROW", state="DISABLE"), None, None),
    (TRIGGER.format(when="BEFORE", table="contact", each="ROW", state="ENABLE").replace("DELETE ON", "INSERT ON"), None, None),
    ("; ALTER TABLE message DROP CONSTRAINT message_request_id_fkey; ALTER TABLE message ADD FOREIGN KEY (request_id) "
     "REFERENCES request ON DELETE SET NULL", {"delete": "keep"}, 'does not do what constraint "message_request_id_fkey"'),
]


@pytest.mark.parametrize("change, message, said", REFUSALS, ids=range(len(REFUSALS)))
def test_refused(make, change, message, said):
    d = make(SCHEMA + TWO + MESSAGE + change, model(message={**MESSAGES, **(message or {})}), policy(), limits=SET)
    checked = d.check_config()
    assert checked.returncode == (1 if said else 0), checked.stderr
    done = d.once(check=False)
    assert done.returncode == checked.returncode
    assert keys(d.pg, d.db) == ({1, 2} if said else {2})
    if said:
        assert said in checked.stderr and 'limits.integrity = "set"' in checked.stderr


@pytest.mark.parametrize("value", ['"sets"', '""', "1", "true", '["set"]'])
def test_settings(daemon, value):
    d = daemon(migrate=False, contacts=20)
    d.path.write_text(d.path.read_text().replace('integrity = "set"', f"integrity = {value}"))
    done = d.check_config()
    assert done.returncode == 1 and "integrity" in done.stderr and "retentiond.conf:" in done.stderr


def test_the_right(make, pg):
    """Granted by name since PostgreSQL 15; grants prints it, and without it nothing is begun."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits=SET)
    role = "by_set"
    pg.psql("postgres", "-c", f"CREATE ROLE {role} LOGIN")
    try:
        sql = d.ctl("grants", role).stdout
        assert f"GRANT SET ON PARAMETER session_replication_role TO \"{role}\";" in sql
        pg.psql(d.db, "-c", sql)
        pg.psql(d.db, "-c", f"REVOKE SET ON PARAMETER session_replication_role FROM {role}")
        d.configure(user=role)
        refused = d.once(check=False)
        assert refused.returncode == 1 and keys(d.pg, d.db) == {1, 2}
        assert ("has no right to set session_replication_role (retentionctl grants prints it): GRANT SET ON PARAMETER "
                f"session_replication_role TO {role}, or say") in refused.stderr
        pg.psql(d.db, "-c", sql)
        d.once()
        assert keys(d.pg, d.db) == {2} and d.ctl("verify").returncode == 0
        # The right opens nothing: the journal is as closed to a replica (journal/test_rights).
        for statement in ("UPDATE retention.journal_event SET actor = 'x'", "DELETE FROM retention.journal_event",
                          "INSERT INTO retention.journal_event (kind, details) VALUES ('done', '{}')"):
            with pytest.raises(psycopg2.Error, match="permission denied|may not write the event"):
                pg.sql(d.db, "SET session_replication_role = replica; " + statement, user=role)
    finally:
        pg.psql(d.db, "-c", f"DROP OWNED BY {role}", "-c", f"DROP ROLE {role}")


def test_preview_says_the_same(make):
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits=SET)
    shown = {t["table"]: t["rows"] for t in json.loads(d.ctl("preview", "p", "--json").stdout)["tables"]}
    d.once()
    rows = d.jobs()[-1]["counters"]["rows"]
    assert {k: v for k, v in shown.items() if v} == {k: v for k, v in rows.items() if v}
