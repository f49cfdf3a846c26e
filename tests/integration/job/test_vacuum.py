"""limits.vacuum: what happens to the pages once a job is done, and that nothing of it can spoil the job."""

import re

import pytest

from support.ctl import horizon
from support.harness import wait_until
from support.jobs import DONE
from support.oracles import erased_counts

ROLE = "vacuums"


def dead(j):
    """{table: rows that are dead, and still in its pages}, as the pages themselves say."""
    j.sql("CREATE EXTENSION IF NOT EXISTS pgstattuple")
    return {t: j.value("SELECT dead_tuple_count FROM pgstattuple(%s)", (f"crm.{t}",))
            for (t,) in j.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'crm'")}


def vacuumed(j):
    events = j.events("vacuumed")
    assert len(events) == 1, events
    return events[0]


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_the_pages(job, server, action):
    """Those that lost rows, and no others; then the horizon is reached at once."""
    j = job(action, server=server, limits={"vacuum": True})
    assert j.run() == DONE
    event = vacuumed(j)
    assert event.keys() == {"tables"} and "crm.contact" in event["tables"]
    if action == "delete_contacts":
        assert set(event["tables"]) == {t for t, n in erased_counts(j).items() if n > 0}
    assert set(dead(j).values()) == {0}
    wait_until(lambda: {f"crm.{t}" for (t,) in j.sql("SELECT relname FROM pg_stat_user_tables "
               "WHERE schemaname = 'crm' AND vacuum_count > 0")} == set(event["tables"]))
    assert wait_until(lambda: horizon(j.daemon)["T1"]["state"] == "reached")
    assert j.daemon.ctl("verify").returncode == 0
    assert "vacuumed" in j.daemon.ctl("show", j.id).stdout


def test_without_it(job, server):
    j = job(server=server)
    assert j.run() == DONE and j.events("vacuumed") == []
    assert sum(dead(j).values()) > 100
    (event,) = j.events("analyzed")
    assert set(event["tables"]) == {t for t, n in erased_counts(j).items() if n > 0} and event.keys() == {"tables"}
    waits = horizon(j.daemon)["T1"]
    assert waits["state"] == "pending" and "VACUUM of crm.contact" in waits["waits_for"] and "ANALYZE" not in waits["waits_for"]


@pytest.mark.parametrize("vacuum", [True, False])
def test_an_export_erases_nothing(job, server, vacuum):
    j = job("export", server=server, limits={"vacuum": vacuum})
    assert j.run() == DONE and j.events("vacuumed") == j.events("analyzed") == []


KNOWN = """SELECT count(*) FILTER (WHERE value NOT IN (SELECT email FROM crm.contact WHERE email IS NOT NULL)), count(*)
    FROM pg_stats AS s, unnest(coalesce(histogram_bounds::text::text[], '{}')
    || coalesce(most_common_vals::text::text[], '{}')) AS v(value)
    WHERE schemaname = 'crm' AND tablename = 'contact' AND attname = 'email'"""


def test_the_planner_s_statistics(job, server):
    """They quote erased people until ANALYZE: T1 waits for it where the role may not, table by table."""
    j = job(server=server)
    server.sql(j.db, f"CREATE ROLE {ROLE} LOGIN")
    try:
        server.psql(j.db, "-c", j.daemon.ctl("grants", ROLE).stdout)
        server.sql(j.db, f"GRANT USAGE ON SCHEMA crm TO {ROLE}")
        server.sql(j.db, f"ALTER TABLE crm.contact OWNER TO {ROLE}")
        assert j.sql(KNOWN)[0][1] > 20
        j.daemon.configure(user=ROLE)
        assert j.run() == DONE, j.last.text()
        assert j.sql(KNOWN)[0][0] == 0 and j.sql(KNOWN)[0][1] > 20
        (event,) = j.events("analyzed")
        assert event["tables"] == ["crm.contact"] and "crm.request" in event["skipped"] and j.row()["error"] is None
        assert set(event["skipped"].values()) == {'this role may not: see "retentionctl grants" of ANALYZE'}
        assert "autovacuum" not in (j.last.note() or "")
        j.daemon.configure(user=None)
        server.psql(j.db, "-c", "VACUUM")
        waits = wait_until(lambda: (w := horizon(j.daemon)["T1"]["waits_for"]) and "VACUUM" not in w and w)
        assert "ANALYZE of crm.request" in waits.split(", ") and "ANALYZE of crm.contact" not in waits.split(", ")
        server.psql(j.db, "-c", "ANALYZE")
        wait_until(lambda: horizon(j.daemon)["T1"]["state"] == "reached")
    finally:
        server.sql(j.db, f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER")
        server.sql(j.db, f"DROP OWNED BY {ROLE}")
        server.sql(j.db, f"DROP ROLE {ROLE}")


def test_an_emptied_table(job, server):
    """ANALYZE leaves the statistics of a table without rows as they were."""
    j = job(server=server)
    j.sql("UPDATE crm.request SET status = 'closed', created_at = now() - interval '9 years'")
    assert j.run() == DONE
    server.psql(j.db, "-c", "VACUUM")
    assert j.value("SELECT count(*) FROM crm.request") == 0
    waits = horizon(j.daemon)["T1"]["waits_for"]
    assert "ANALYZE of crm.request once it has rows" in waits


def test_the_owner_s_right(job, server):
    """A role that may not: the job is done, and says what was left to autovacuum, and who may."""
    j = job(server=server, limits={"vacuum": True})
    server.sql(j.db, f"CREATE ROLE {ROLE} LOGIN")
    server.sql(j.db, "CREATE ROLE owns")
    try:
        server.psql(j.db, "-c", j.daemon.ctl("grants", ROLE).stdout)
        server.sql(j.db, "ALTER TABLE crm.contact OWNER TO owns")
        server.sql(j.db, "GRANT USAGE ON SCHEMA crm TO owns")
        said = j.daemon.ctl("grants", ROLE).stdout
        version = server.value(j.db, "SELECT current_setting('server_version_num')::int")
        if version < 170000:
            assert re.search(rf'^-- GRANT owns TO "?{ROLE}"?;$', said, re.M)
            server.sql(j.db, f"GRANT owns TO {ROLE}")
        else:
            assert re.search(rf'^GRANT MAINTAIN ON TABLE crm.contact TO "?{ROLE}"?;$', said, re.M)
        j.daemon.configure(user=ROLE, limits={"vacuum": True})
        # What was the owner's alone.
        server.psql(j.db, "-c", said)
        assert j.run() == DONE, j.last.text()
        event = vacuumed(j)
        assert "crm.contact" in event["tables"] and j.row()["error"] is None
        if version < 170000:
            assert event["tables"] == ["crm.contact"] and len(event["skipped"]) > 3
            assert set(event["skipped"].values()) == {'this role may not: see "retentionctl grants" of limits.vacuum'}
    finally:
        server.sql(j.db, f"DROP OWNED BY {ROLE}")
        server.sql(j.db, "DROP OWNED BY owns CASCADE")
        server.sql(j.db, f"DROP ROLE {ROLE}")
        server.sql(j.db, "DROP ROLE owns")


def test_a_stop_while_it_waits(job, server):
    """SIGTERM: the job is done all the same, and says what it left."""
    j = job(server=server, limits={"vacuum": True})
    j.sql("""CREATE FUNCTION public.hold_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$""")
    j.sql("""CREATE TRIGGER hold_on AFTER UPDATE OF status ON retention.archive_journal FOR EACH ROW
        WHEN (NEW.status = 'done') EXECUTE FUNCTION public.hold_on()""")
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = 4711"))
        j.sql("SELECT retention.pause_action(NULL)")
        cur.execute("SELECT pg_advisory_unlock(4711)")
    wait_until(lambda: run.waits_for("a pause of everything by "))
    assert j.row()["status"] == "done"
    assert run.stop() == DONE
    event = vacuumed(j)
    assert event["tables"] == [] and set(event["skipped"].values()) == {"asked to stop"}


def test_killed_while_it_waits(job, server, tmp_path):
    """Nothing is tried again: done is done, and autovacuum does the rest."""
    j = job(server=server, limits={"vacuum": True})
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        # What VACUUM waits for, and no batch.
        cur.execute("LOCK TABLE crm.contact IN SHARE UPDATE EXCLUSIVE MODE")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM%%' AND wait_event_type = 'Lock'"))
        assert j.row()["status"] == "done"
        run.kill()
        conn.rollback()
    assert j.run() in (DONE, 6) and j.events("vacuumed") == []
    assert j.row()["status"] == "done" and j.row()["error"] is None


def test_a_table_that_somebody_holds(job, server):
    """A table somebody holds is left out, with the reason; the others are not."""
    j = job(server=server, limits={"vacuum": True})
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE crm.contact IN SHARE UPDATE EXCLUSIVE MODE")
        assert j.run() == DONE
        conn.rollback()
    event = vacuumed(j)
    assert "1 of the tables left to autovacuum" in j.last.note()
    assert list(event["skipped"]) == ["crm.contact"] and "lock timeout" in event["skipped"]["crm.contact"]
    assert len(event["tables"]) > 3
