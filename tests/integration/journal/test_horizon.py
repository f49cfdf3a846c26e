"""
show ID: when what was erased is really gone; told as reached only when it is.
"""

import contextlib
import json
import shutil

import psycopg2
import pytest

from support.ctl import horizon
from support.harness import Postgres, wait_until

POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly"}
ANONYMIZE = {**POLICY, "action": "anonymize_contacts"}
KEEP = 'backups: { keep = "35 days"; };'


@pytest.fixture(scope="module")
def server():
    """A server of its own: snapshots of other tests' sessions are not ours.  It vacuums when told."""
    pg = Postgres(settings={"wal_level": "logical", "max_prepared_transactions": 2})
    try:
        yield pg.start()
    finally:
        pg.destroy()


@pytest.fixture
def erased(daemon, server):
    """erased(policy, extra): a daemon whose one pass is done."""

    def make(policy=POLICY, extra="", begin=None, **kwargs):
        d = daemon(server=server, policies=[policy], extra=extra, contacts=60, **kwargs)
        with contextlib.ExitStack() as stack:
            if begin:
                stack.enter_context(begin(d))
            d.once()
            d.held = stack.pop_all()
        assert d.jobs()[0]["counters"]["treated"] > 10
        return d

    return make


def vacuum(d):
    d.pg.psql(d.db, "-c", "VACUUM")


def reached(d, step):
    return horizon(d)[step]["state"] == "reached"


@pytest.mark.parametrize("policy", [POLICY, ANONYMIZE])
def test_from_commit_to_backups(erased, policy):
    d = erased(policy, KEEP)
    found = horizon(d)
    assert list(found) == ["T0", "T1", "T2", "T3"]
    assert found["T0"]["state"] == "reached"
    assert d.pg.value(d.db, "SELECT finished_at = %s FROM retention.archive_journal", (found["T0"]["since"],))
    assert found["T1"]["state"] == "pending" and "VACUUM of crm.contact" in found["T1"]["waits_for"]
    assert found["T2"]["state"] == "reached" and found["T2"]["waits_for"] is None
    assert found["T3"]["state"] == "pending"
    assert found["T3"]["waits_for"] == d.pg.value(
        d.db, "SELECT to_char(finished_at + interval '35 days', 'YYYY-MM-DD HH24:MI') FROM retention.archive_journal")
    vacuum(d)
    found = horizon(d)
    assert (found["T1"]["state"], found["T1"]["waits_for"]) == ("reached", None)
    assert found["T1"]["since"] > found["T0"]["since"]
    text = d.ctl("show", "1").stdout
    assert "pages of the tables" in text and "reached" in text and "horizon" not in text


def test_every_table_that_lost_rows(erased):
    """VACUUM of all but one table, a TOAST table alone among them, is not enough."""
    d = erased()
    record = d.jobs()[0]["counters"]["horizon"]
    heap = {t["name"] for t in record["tables"] if "TOAST" not in t["name"]}
    assert len(heap) > 5 and len(record["tables"]) > len(heap)
    assert heap == {f"crm.{t}" for (t,) in d.pg.sql(d.db, """
        SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'crm' AND n_tup_del + n_tup_upd > 0""")}
    for name in sorted(heap - {"crm.request"}):
        d.pg.psql(d.db, "-c", f"VACUUM {name}")
    assert horizon(d)["T1"]["waits_for"].startswith("VACUUM of crm.request")
    if d.pg.value(d.db, "SELECT current_setting('server_version_num')::int >= 140000"):
        d.pg.psql(d.db, "-c", "VACUUM (PROCESS_TOAST false) crm.request")
        assert horizon(d)["T1"]["waits_for"] == "VACUUM of crm.request (TOAST)"
    vacuum(d)
    assert reached(d, "T1")


def test_no_vacuum_of_before_counts(erased):
    d = erased(begin=lambda d: contextlib.nullcontext(vacuum(d)))
    assert horizon(d)["T1"]["state"] == "pending"
    vacuum(d)
    assert reached(d, "T1")


def snapshot(d):
    """A report that began before the pass and still reads."""

    @contextlib.contextmanager
    def held():
        with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
            cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cur.execute("SELECT count(*) FROM crm.contact")
            d.reader = conn.info.backend_pid
            yield

    return held()


def test_an_old_snapshot(erased):
    d = erased(begin=snapshot)
    vacuum(d)
    found = horizon(d)["T1"]
    assert found["state"] == "pending" and f"session {d.reader}" in found["waits_for"]
    d.held.close()
    # The last VACUUM could not remove what the snapshot saw: it does not count.
    wait_until(lambda: f"session {d.reader}" not in horizon(d)["T1"]["waits_for"])
    assert horizon(d)["T1"]["state"] == "pending"
    assert "an older snapshot may have kept rows" in horizon(d)["T1"]["waits_for"]
    vacuum(d)
    wait_until(lambda: reached(d, "T1"))


def test_a_vacuum_that_was_under_way(erased):
    """It ends after the job and may have passed a page before: one more is needed."""

    @contextlib.contextmanager
    def under_way(d):
        # As VACUUM does: its lock on the table, while the job ends.
        with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
            cur.execute("LOCK TABLE crm.contact IN SHARE UPDATE EXCLUSIVE MODE")
            yield

    d = erased(begin=under_way)
    d.held.close()
    vacuum(d)
    assert horizon(d)["T1"]["waits_for"] == "VACUUM of crm.contact, ANALYZE of crm.contact"
    d.pg.psql(d.db, "-c", "VACUUM (ANALYZE)")
    assert horizon(d)["T1"]["waits_for"] == "ANALYZE of crm.contact"
    d.pg.psql(d.db, "-c", "ANALYZE")
    wait_until(lambda: reached(d, "T1"))


def test_a_slot(erased, server):
    d = erased()
    assert reached(d, "T2")
    server.sql(d.db, "SELECT pg_create_physical_replication_slot('late', true)")
    try:
        # Of after the job, but for what it may hold of before: the WAL since the last checkpoint.
        server.sql(d.db, "SELECT pg_create_logical_replication_slot('reader', 'test_decoding')")
        lsn = d.jobs()[0]["counters"]["horizon"]["lsn"]
        for (name, behind) in server.sql(d.db, """
                SELECT slot_name, coalesce(confirmed_flush_lsn, restart_lsn) < %s::pg_lsn
                FROM pg_replication_slots""", (lsn,)):
            assert (f"replication slot {name}" in (horizon(d)["T2"]["waits_for"] or "")) == behind
    finally:
        server.sql(d.db, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def test_a_slot_of_before(erased, server):
    @contextlib.contextmanager
    def slot(d):
        server.sql(d.db, "SELECT pg_create_physical_replication_slot('backup', true)")
        yield

    d = erased(begin=slot)
    try:
        found = horizon(d)["T2"]
        assert (found["state"], found["waits_for"]) == ("pending", "replication slot backup")
    finally:
        server.sql(d.db, "SELECT pg_drop_replication_slot('backup')")
    assert reached(d, "T2")


def test_a_standby(erased, server):
    d = erased()
    standby = Postgres()
    try:
        conf = (standby.data / "postgresql.conf").read_bytes()
        shutil.rmtree(standby.data)
        standby._tool("pg_basebackup", "-h", server.dir, "-U", server.SUPERUSER, "-D", standby.data, "-X", "stream",
                      "-c", "fast", "--no-sync", "-R")
        (standby.data / "postgresql.conf").write_bytes(conf + b"max_prepared_transactions = 2\n")
        standby.start()
        wait_until(lambda: server.sql("postgres", "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"))
        standby.sql("postgres", "SELECT pg_wal_replay_pause()")
        d.pg.sql(d.db, "UPDATE crm.request SET status = 'closed', created_at = now() - interval '5 years'")
        d.pg.sql(d.db, "SELECT retention.save_action('delete_contacts', (now() - interval '5 years')::date,"
                       " (now() - interval '5 years')::date)")
        d.once()
        d.pg.sql(d.db, "SELECT retention.validate_action(2)")
        d.configure(limits={"max_replica_lag": "0s"})
        d.once()

        def second():
            return {h["step"]: h for h in json.loads(d.ctl("show", "2", "--json").stdout)["horizon"]}["T2"]

        assert second()["state"] == "pending" and second()["waits_for"].startswith("standby ")
        standby.sql("postgres", "SELECT pg_wal_replay_resume()")
        wait_until(lambda: second()["state"] == "reached")
    finally:
        standby.destroy()


def seen_by(d, role):
    done = d.run("retentionctl", "-d", d.pg.conninfo(d.db, role), "show", "1", "--json")
    return {h["step"]: (h["state"], h["waits_for"]) for h in json.loads(done.stdout)["horizon"]}


def test_who_has_no_right_to_look(erased, server):
    """It is told to everybody who reads the journal, as the schema's owner sees it, and lets nobody see more."""
    d = erased(begin=snapshot)
    vacuum(d)
    role = server.plain_role(d.db, "horizon_plain")
    server.sql(d.db, "REVOKE retention_daemon FROM horizon_plain; GRANT retention_auditor TO horizon_plain")
    assert f"session {d.reader}" in seen_by(d, role)["T1"][1]
    d.held.close()
    wait_until(lambda: vacuum(d) or reached(d, "T1"))
    assert seen_by(d, role) == {h["step"]: (h["state"], h["waits_for"]) for h in horizon(d).values()}
    for function in ("snapshot_holders()", "full_xid(1)", "vacuum_count(1259)"):
        with pytest.raises(psycopg2.Error, match="permission denied"):
            server.sql(d.db, f"SELECT retention.{function}", user=role)


def test_an_owner_that_may_not_see(erased, server):
    """Without pg_read_all_stats: unknown, and what to do; never reached."""
    d = erased()
    vacuum(d)
    role = server.plain_role(d.db, "horizon_owner")
    server.sql(d.db, f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA retention TO {role}; GRANT CREATE ON SCHEMA retention TO {role};"
                     f"ALTER FUNCTION retention.horizon(int) OWNER TO {role}; GRANT EXECUTE ON FUNCTION retention.horizon(int) TO {role}")
    assert seen_by(d, server.SUPERUSER)["T1"] == ("unknown", "grant pg_read_all_stats to the owner of schema retention")
    server.sql(d.db, f"GRANT pg_read_all_stats TO {role}")
    try:
        assert seen_by(d, server.SUPERUSER)["T1"] == ("reached", None)
    finally:
        server.sql(d.db, f"REVOKE pg_read_all_stats FROM {role}")


def test_backups(erased):
    """The daemon has said how long they are kept; a person who has no configuration sees the same."""
    d = erased(POLICY, KEEP)
    assert d.pg.value(d.db, "SELECT value FROM retention.setting WHERE name = 'backups_keep'") == "35 days"
    assert d.pg.value(d.db, "SELECT details->>'value' FROM retention.journal_event WHERE details->>'setting' = 'backups_keep'") == "35 days"
    sql = "SELECT state, since, waits_for FROM retention.horizon(1) WHERE step = 'T3'"
    (seen,) = d.pg.sql(d.db, sql)
    assert seen[:2] == ("pending", None) and seen[2] == horizon(d)["T3"]["waits_for"]
    d.configure(extra='backups: { keep = "1 day"; };')
    d.once()
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET finished_at = now() - interval '2 days', started_at = now() - interval '2 days'")
    (seen,) = d.pg.sql(d.db, sql)
    assert seen == ("reached", d.pg.value(d.db, "SELECT finished_at + interval '1 day' FROM retention.archive_journal"), None)
    d.pg.tamper(d.db, "DELETE FROM retention.setting WHERE name = 'backups_keep'")
    assert d.pg.sql(d.db, sql) == [("unknown", None, "no configuration was read")]
    assert "retention.setting_changed" in {m for (m,) in d.pg.sql(d.db, "SELECT message FROM retention.verify_acts()")}


def test_not_declared(erased):
    found = horizon(erased())["T3"]
    assert (found["state"], found["waits_for"]) == ("not declared", "backups.keep of the configuration")


def test_an_export_erases_nothing(erased):
    d = erased({**POLICY, "action": "export"})
    assert horizon(d) == {} and "horizon" not in d.jobs()[0]["counters"]


def test_another_server(erased):
    d = erased()
    d.pg.sql(d.db, "UPDATE retention.archive_journal SET system_identifier = '1'")
    vacuum(d)
    found = horizon(d)
    assert {found[t]["state"] for t in ("T1", "T2")} == {"unknown"}
