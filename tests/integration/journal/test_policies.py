"""The policies in force, for people who cannot read the configuration: as the daemon stores and measures them."""

import psycopg2
import pytest

from support.harness import wait_until

OLD = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "listed"}
COPY = {"name": "copy", "action": "export", "depth": "10 years", "schedule": "0 3 * * 1", "approval": True,
        "scope": "country = 'FR'"}
OFF = {**OLD, "name": "off", "enabled": False}
DEFINITION = "name, action, depth::text, schedule, archive, scope, approval, enabled, source"
# Of all contacts whose requests are all closed, by the cutoff %s.
DUE = """SELECT count(*) FROM (SELECT contact_id FROM crm.request GROUP BY 1
    HAVING bool_and(status = 'closed') AND max(created_at) < %s) AS x"""


def policies(d, columns="*", **kwargs):
    return d.pg.sql(d.db, f"SELECT {columns} FROM retention.policies ORDER BY place", **kwargs)


def measured(d, name="old", since="-infinity"):
    """The figures of a survey since then.  Any notification makes the daemon look whether it is time for one."""
    names = [c for (c,) in d.pg.sql(d.db, """SELECT column_name FROM information_schema.columns
        WHERE table_schema = 'retention' AND table_name = 'policies' ORDER BY ordinal_position""")]

    def seen():
        d.pg.sql(d.db, "NOTIFY retention")
        for values in d.pg.sql(d.db, "SELECT * FROM retention.policies WHERE name = %s AND measured_at > %s", (name, since)):
            return dict(zip(names, values))
        return None

    return wait_until(seen, what="a survey")


def test_as_the_configuration_has_them(daemon):
    """Without metrics, too; each in its place, and none that is no longer in the file."""
    d = daemon(policies=[OLD, COPY, OFF])
    assert policies(d) == []
    d.start()
    d.wait_for_log("ready: ")
    wanted = [("old", "delete_contacts", "2 years 6 mons", "monthly", "listed", None, False, True, "file"),
              ("copy", "export", "10 years", "0 3 * * 1", "listed", "country = 'FR'", True, True, "file"),
              ("off", "delete_contacts", "2 years 6 mons", "monthly", "listed", None, False, False, "file")]
    wait_until(lambda: policies(d, DEFINITION) == wanted)
    wait_until(lambda: policies(d, "measured_at")[1][0])
    assert policies(d, "measured_at, due_next, cutoff_next, next_occurrence")[2] == (None,) * 4
    assert policies(d, "overdue")[1] == (None,), "an export is never overdue"
    d.configure(policies=[{**OLD, "depth": "20 months"}])
    d.reload()
    d.wait_for_log("reloaded ")
    wait_until(lambda: policies(d, "name, depth::text, measured_at IS NOT NULL") == [("old", "1 year 8 mons", True)])
    assert d.stop() == 0


def test_figures(daemon):
    """What the next pass would reach, besides the holds; and what the last one should have reached."""
    d = daemon(policies=[{**OLD, "approval": True}])
    d.once()
    assert policies(d, "name, enabled, measured_at") == [("old", True, None)], "nobody measures in a single pass"
    cutoff, = d.pg.sql(d.db, """SELECT retention.cutoff('30 months', 'UTC', first), retention.cutoff('30 months', 'UTC', first + interval '1 month')
        FROM date_trunc('month', now()) AS first""")
    last, coming = (d.pg.value(d.db, DUE, (c,)) for c in cutoff)
    held = d.pg.sql(d.db, """SELECT retention.place_hold(contact_id::text, 'case') FROM crm.request GROUP BY contact_id
        HAVING bool_and(status = 'closed') AND max(created_at) < %s ORDER BY contact_id LIMIT 3""", (cutoff[0],))
    assert len(held) == 3
    d.start()
    row = measured(d)
    assert (row["cutoff_next"], row["due_next"], row["held_next"], row["overdue"]) == (cutoff[1], coming - 3, 3, last - 3)
    oldest = d.pg.value(d.db, """SELECT min(last) + interval '30 months' FROM (SELECT contact_id, max(created_at) AS last
        FROM crm.request GROUP BY contact_id HAVING bool_and(status = 'closed')) AS x
        WHERE NOT EXISTS (SELECT FROM retention.holds_in_force AS h WHERE h.contact_key = x.contact_id::text)""")
    assert row["overdue_since"] == oldest and row["refused"] is None
    job, = d.jobs()
    assert (row["last_action"], row["last_status"], row["last_occurrence"]) == (job["id"], "saved", job["occurrence"])
    assert row["next_occurrence"] > job["occurrence"]
    assert last < coming
    # After the pass nothing is overdue: each job's end is followed by a survey.
    d.ctl("validate", job["id"])
    d.wait_for_job()
    wait_until(lambda: policies(d, "overdue, overdue_since, last_status") == [(0, None, "done")])
    assert d.stop() == 0


def test_why_one_is_refused(daemon, tmp_path):
    """The survey says so, of this one alone; and it counts what is overdue because of a model that holds no longer."""
    d = daemon(policies=[OLD, {**COPY, "name": "broken", "scope": "public.chosen(id)"}],
               extra=f'metrics: {{ textfile = "{tmp_path}/x.prom"; interval = "10s"; }};')
    d.pg.sql(d.db, "CREATE FUNCTION public.chosen(bigint) RETURNS boolean LANGUAGE sql AS 'SELECT $1 % 2 = 0'")
    d.start()
    assert measured(d, "broken")["refused"] is None and measured(d)["refused"] is None
    d.pg.sql(d.db, "DROP FUNCTION public.chosen")
    row = measured(d, "broken", d.pg.value(d.db, "SELECT now()"))
    assert "public.chosen(bigint) does not exist" in row["refused"] and row["due_next"] is None
    row = measured(d)
    assert row["refused"] is None and row["due_next"] > 0
    d.pg.sql(d.db, "ALTER TABLE crm.request ADD COLUMN nickname text")
    row = measured(d, since=d.pg.value(d.db, "SELECT now()"))
    assert 'column "nickname" (text) of crm.request is under no rule' in row["refused"]
    assert d.stop() == 0


@pytest.mark.parametrize("change", [
    "INSERT INTO retention.policy SELECT 'x', 2, action, depth, schedule, archive, scope, approval, enabled, source FROM retention.policy",
    "UPDATE retention.policy SET refused = 'forged'", "DELETE FROM retention.policy",
    "SELECT retention.keep_policies('{}')", "SELECT retention.measure_policy('old', NULL, 0, 0, 0, NULL, NULL)"])
def test_a_session_that_erases_changes_none(daemon, pg, change):
    d = daemon(policies=[OLD])
    d.once()
    pg.plain_role(d.db, "policies_daemon", "GRANT retention_daemon TO policies_daemon")
    with pg.connect(d.db, user="policies_daemon") as conn, conn.cursor() as cur:
        cur.execute("INSERT INTO retention.erasing (job) VALUES (1)")
        with pytest.raises(psycopg2.Error) as refused:
            cur.execute(change)
    assert refused.value.diag.constraint_name == "retention.session_erases"
    assert policies(d, "name, refused") == [("old", None)]
