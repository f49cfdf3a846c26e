"""
Where Citus has the rows on other servers, a pass spares these, too: their standbys, disks and sessions.
"""

import contextlib
import re
import threading

import pytest

from support import citus
from support.harness import wait_until
from support.small import policy

pytestmark = pytest.mark.unsanitized
SLOW = {"workers": 1, "batch_rows": 50}


@pytest.fixture
def elsewhere(daemon, cluster, spread):
    """elsewhere(limits, …): a daemon of a distributed schema, which knows the server that has the rows."""

    def make(limits, **kwargs):
        db = spread(citus.by_schema)
        d = daemon(db, server=cluster.coordinator, policies=[policy()], limits={**SLOW, **limits}, **kwargs)
        d.worker = cluster.worker_of(db, "crm.contact")
        d.node = f"{d.worker.dir}:{d.worker.port}"
        return d

    return make


def held_up(d, reason):
    """The pass waits for that, and has begun nothing."""
    d.start("--once")
    wait_until(lambda: d.jobs() and re.fullmatch(reason, d.jobs()[0]["waiting"] or ""), what=lambda: d.jobs() and d.jobs()[0]["waiting"])
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger") == 0


def test_an_old_snapshot(elsewhere):
    d = elsewhere({"max_snapshot_age": "1s"})
    with d.worker.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cur.execute("SELECT pg_backend_pid()")
        pid, = cur.fetchone()
        wait_until(lambda: d.worker.value(d.db, "SELECT now() - xact_start > '2 seconds' FROM pg_stat_activity WHERE pid = %s", (pid,)))
        held_up(d, rf"the snapshot of session {pid}, whose transaction is \d+ s old, on {d.node}")
        conn.rollback()
        assert d.wait() == 0


def test_wal_that_piles_up(elsewhere):
    d = elsewhere({"max_wal_backlog_mb": 1})
    d.worker.sql(d.db, "SELECT pg_create_physical_replication_slot('behind', true)")
    try:
        d.worker.sql(d.db, "CREATE TABLE wal AS SELECT repeat('x', 100) FROM generate_series(1, 20000)")
        held_up(d, rf'the replication slot "behind", which retains \d+ MiB of WAL, on {d.node}')
    finally:
        d.worker.sql(d.db, "SELECT pg_drop_replication_slot('behind')")
    assert d.wait() == 0


def test_a_role_that_cannot_look_there(elsewhere):
    """The right is asked for on each server, and -t says where it is lacking."""
    d = elsewhere({"max_snapshot_age": "1h", "max_replica_lag": "0s"})
    role = d.pg.plain_role(d.db, "retention_seeing")
    d.pg.psql(d.db, "-c", d.ctl("grants", role).stdout)  # Citus grants it on each server, too
    d.worker.psql(d.db, "-c", "SET citus.enable_ddl_propagation = off", "-c", f"REVOKE pg_read_all_stats FROM {role}")
    d.configure(user=role)
    with d.worker.connect(d.db):  # somebody else's session
        done = d.check_config()
    assert "limits: max_snapshot_age: the age of other sessions' snapshots cannot be read" in done.stderr and d.node in done.stderr


def test_sessions_that_wait_for_a_batch(elsewhere, tmp_path):
    """They wait on the server that has the rows; the batch counts them, and the next one is smaller."""
    d = elsewhere({}, extra=f'metrics: {{ textfile = "{tmp_path}/figures.prom"; }};')
    # The batch stands still between its erasures and its COMMIT.
    d.pg.sql(d.db, """CREATE FUNCTION public.stand_still() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END'""")
    d.pg.sql(d.db, "CREATE TRIGGER stand_still AFTER INSERT ON retention.ledger EXECUTE FUNCTION public.stand_still()")
    with contextlib.ExitStack() as stack:
        gate = stack.enter_context(d.pg.connect(d.db, autocommit=False))
        with gate.cursor() as cur:
            cur.execute("SELECT pg_advisory_xact_lock(42)")
        d.start("--once")
        wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        client = threading.Thread(target=lambda: d.pg.sql(d.db, "UPDATE crm.contact SET country = country"))
        client.start()
        stack.callback(client.join)
        wait_until(lambda: d.worker.value(d.db, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        gate.rollback()
        assert d.wait() == 0
    found = (tmp_path / "figures.prom").read_text()
    assert int(re.search(r'retentiond_batches_blocking_total\{action="delete_contacts"\} (\d+)', found)[1]) >= 1
