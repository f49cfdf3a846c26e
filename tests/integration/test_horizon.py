"""Where what was erased may still be, and until when."""

import json

import pytest

from harness import wait_until

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}


def horizon(d, job=1):
    rows = json.loads(d.ctl("show", job, "--json").stdout)["horizon"]
    return {row["where"]: (row["state"], row["detail"]) for row in rows}


@pytest.fixture
def done(daemon):
    d = daemon(policies=[POLICY], extra='backups: { keep = "35 days"; };')
    for table in ("contact", "request", "message"):
        d.pg.sql(d.db, f"ALTER TABLE crm.{table} SET (autovacuum_enabled = off)")
    d.once()
    return d


def vacuum(d):
    tables = [t for (t,) in d.pg.sql(d.db, "SELECT format('crm.%I', tablename) FROM pg_tables WHERE schemaname = 'crm'")]
    for table in tables:
        d.pg.sql(d.db, f"VACUUM {table}")


def test_vacuum(done):
    d = done
    found = horizon(d)
    assert found["live tables"][0] == "reached"
    state, detail = found["heap pages"]
    assert state == "pending" and detail.startswith("VACUUM ") and '"crm"."contact"' in detail
    assert found["standbys and slots"] == ("reached", "")
    day = d.pg.value(d.db, "SELECT to_char(finished_at + interval '35 days', 'YYYY-MM-DD HH24:MI') FROM retention.archive_journal")
    assert found["WAL and backups"] == ("pending", day)
    vacuum(d)
    wait_until(lambda: horizon(d)["heap pages"] == ("reached", None))
    said = d.ctl("show", 1).stdout
    assert "live tables" in said and "heap pages" in said and "last_xid" not in said


def test_an_old_snapshot(daemon):
    """VACUUM beside somebody who still sees it has removed nothing."""
    d = daemon(policies=[POLICY])
    with d.pg.connect(d.db, autocommit=False) as old, old.cursor() as cur:
        cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cur.execute("SELECT count(*) FROM crm.contact")
        d.once()
        vacuum(d)
        wait_until(lambda: horizon(d)["heap pages"][1] == "an open transaction or a slot can still see it")
        old.rollback()
    assert horizon(d)["heap pages"][0] == "reached"
    assert horizon(d)["WAL and backups"] == ("unknown", "backups.keep is not declared")


def test_a_slot(own_pg, daemon):
    server = own_pg(settings={"wal_level": "replica", "max_replication_slots": "4"})
    server.sql("postgres", "SELECT pg_create_physical_replication_slot('asleep', true)")
    d = daemon(policies=[POLICY], server=server)
    d.once()
    assert horizon(d)["standbys and slots"] == ("pending", "slots behind: asleep")
    server.sql("postgres", "SELECT pg_drop_replication_slot('asleep')")
    assert horizon(d)["standbys and slots"][0] == "reached"


def test_nothing_was_erased(daemon):
    d = daemon(policies=[{**POLICY, "action": "export", "archive": "listed"}])
    d.once()
    assert horizon(d) == {}
    d.configure(policies=[{**POLICY, "name": "none", "depth": "90 years"}])
    d.once()
    assert horizon(d, 2) == {}


def test_rights(done, pg):
    """What another role may not see is not told as reached."""
    d = done
    vacuum(d)
    pg.psql(d.db, "-c", "CREATE ROLE horizon_reader LOGIN", "-c", "GRANT retention_auditor TO horizon_reader")
    try:
        with pg.connect(d.db) as other, other.cursor() as cur:
            cur.execute("SELECT 1")
            rows = json.loads(d.run("retentionctl", "-d", pg.conninfo(d.db, "horizon_reader"), "show", "1", "--json").stdout)
        states = {row["where"]: row["state"] for row in rows["horizon"]}
        assert states["heap pages"] in ("unknown", "pending")
        assert states["WAL and backups"] == "unknown", "without the configuration nobody knows"
        pg.sql(d.db, "GRANT pg_monitor TO horizon_reader")
        rows = json.loads(d.run("retentionctl", "-d", pg.conninfo(d.db, "horizon_reader"), "show", "1", "--json").stdout)
        assert {row["where"]: row["state"] for row in rows["horizon"]}["heap pages"] == "reached"
    finally:
        pg.psql(d.db, "-c", "DROP OWNED BY horizon_reader", "-c", "DROP ROLE horizon_reader")
