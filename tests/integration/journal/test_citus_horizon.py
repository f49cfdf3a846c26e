"""
Where Citus has the rows on other servers, each of them is asked when what was erased is really gone.
"""

import contextlib

import pytest

from support import citus
from support.ctl import horizon
from support.harness import wait_until
from support.shapes import TENANT
from support.small import policy

pytestmark = pytest.mark.unsanitized
KEEP = 'backups: { keep = "1 days"; };'


@pytest.fixture
def erased(daemon, cluster, spread):
    """erased(begin=…): a daemon of a distributed schema whose one pass is done."""

    def make(begin=contextlib.nullcontext):
        db = spread(citus.by_schema)
        d = daemon(db, server=cluster.coordinator, policies=[policy()], extra=KEEP)
        d.worker = cluster.worker_of(db, "crm.contact")
        d.node = f"{d.worker.dir}:{d.worker.port}"
        with contextlib.ExitStack() as stack:
            stack.enter_context(begin(d))
            assert citus.once(d)["counters"]["treated"] > 20
            d.held = stack.pop_all()
        return d

    return make


def states(d):
    return [h["state"] for h in horizon(d).values()]


def vacuum(d):
    d.pg.psql(d.db, "-c", "VACUUM (ANALYZE)")
    d.worker.psql(d.db, "-c", "VACUUM (ANALYZE)")


def test_the_pages_of_the_other_server(erased):
    d = erased()
    assert states(d) == ["reached", "pending", "reached", "pending"]
    assert f"VACUUM of crm.contact on {d.node}" in horizon(d)["T1"]["waits_for"]
    # The coordinator's own table has no rows.
    d.worker.psql(d.db, "-c", "VACUUM (ANALYZE)")
    wait_until(lambda: states(d)[:3] == ["reached"] * 3)


def test_rows_on_several_servers(daemon, cluster, spread):
    """All of them count."""
    d = daemon(spread(citus.by_rows, shape=TENANT), server=cluster.coordinator, policies=[policy()], model=TENANT.model())
    assert citus.once(d)["counters"]["treated"] > 20
    for worker in cluster.workers:
        assert f"VACUUM of crm.contact on {worker.dir}:{worker.port}" in horizon(d)["T1"]["waits_for"]
        # Citus would have it done on each server.
        worker.psql(d.db, "-c", "SET citus.enable_ddl_propagation = off", "-c", "VACUUM (ANALYZE)")
        wait_until(lambda: f"VACUUM of crm.contact on {worker.dir}" not in (horizon(d)["T1"]["waits_for"] or ""))
    wait_until(lambda: states(d)[:3] == ["reached"] * 3, what=lambda: horizon(d))


def test_an_old_snapshot_of_the_other_server(erased):
    @contextlib.contextmanager
    def reader(d):
        with d.worker.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
            cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cur.execute("SELECT count(*) FROM crm.contact")
            d.reader = conn.info.backend_pid
            yield

    d = erased(reader)
    vacuum(d)
    assert f"session {d.reader} on {d.node}" in horizon(d)["T1"]["waits_for"]
    d.held.close()
    wait_until(lambda: f"session {d.reader}" not in horizon(d)["T1"]["waits_for"])
    assert "an older snapshot may have kept rows" in horizon(d)["T1"]["waits_for"]
    vacuum(d)
    wait_until(lambda: states(d)[1] == "reached")


def test_a_slot_of_the_other_server(erased):
    @contextlib.contextmanager
    def slot(d):
        d.worker.sql(d.db, "SELECT pg_create_physical_replication_slot('behind', true)")
        yield
        d.worker.sql(d.db, "SELECT pg_drop_replication_slot('behind')")

    d = erased(slot)
    assert horizon(d)["T2"]["waits_for"] == f"replication slot behind on {d.node}"
    d.held.close()
    assert horizon(d)["T2"]["state"] == "reached"


def test_a_server_that_does_not_answer(erased):
    d = erased()
    vacuum(d)
    wait_until(lambda: states(d)[:3] == ["reached"] * 3)
    d.worker.stop()
    try:
        assert states(d) == ["unknown"] * 4
        assert horizon(d)["T0"]["waits_for"].startswith(f"{d.node} does not answer: ")
    finally:
        d.worker.start()
    assert states(d)[0] == "reached"
    # Nobody knows what another server in its place has kept.
    d.pg.sql(d.db, """UPDATE retention.archive_journal SET counters = replace(counters::text, '"system": "', '"system": "9')::jsonb""")
    assert horizon(d)["T1"]["waits_for"] == f"{d.node}: another server has taken its place"


@contextlib.contextmanager
def undecided(d):
    """A transaction of two phases that is committed on the coordinator, and not ended on the other server."""
    with contextlib.ExitStack() as stack:
        for setting in ("SET citus.recover_2pc_interval = '-1'", "RESET citus.recover_2pc_interval"):
            change = (lambda setting=setting: (d.pg.psql("postgres", "-c", f"ALTER SYSTEM {setting}"),
                                               d.pg.sql("postgres", "SELECT pg_reload_conf()")))
            change() if setting.startswith("SET") else stack.callback(change)
        wait_until(lambda: d.pg.value(d.db, "SHOW citus.recover_2pc_interval") == "-1")
        group = d.pg.value(d.db, "SELECT groupid FROM pg_dist_node WHERE nodename = %s", (str(d.worker.dir),))
        d.worker.psql(d.db, "-c", "BEGIN", "-c", "SELECT pg_current_xact_id()", "-c", "PREPARE TRANSACTION 'citus_0_1_1_1'")
        d.pg.sql(d.db, "INSERT INTO pg_dist_transaction (groupid, gid) VALUES (%s, 'citus_0_1_1_1')", (group,))
        yield
        d.pg.sql(d.db, "SELECT recover_prepared_transactions()")


def test_a_transaction_that_has_not_ended_there(erased):
    """Between PREPARE and COMMIT PREPARED a server that is lost shows its rows again until Citus recovers them."""
    d = erased()
    with undecided(d):
        assert states(d)[0] == "pending"
        assert horizon(d)["T0"]["waits_for"] == (f"a transaction that Citus has not ended on {d.node} yet "
                                                 "(recover_prepared_transactions)")
        assert horizon(d)["T3"]["waits_for"] == horizon(d)["T0"]["waits_for"]
    assert states(d)[0] == "reached"


def test_a_job_waits_for_it(daemon, cluster, spread):
    db = spread(citus.by_schema)
    d = daemon(db, server=cluster.coordinator, policies=[policy()])
    d.worker = cluster.worker_of(db, "crm.contact")
    with undecided(d):
        d.start("--once")
        d.wait_for_log("waits for a transaction that Citus has not ended")
        assert d.jobs()[0]["status"] == "running"
    assert d.wait() == 0
    assert d.jobs()[0]["status"] == "done" and states(d)[0] == "reached"
