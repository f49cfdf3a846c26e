"""
The job's process, the server or the connection between them dies at each line of the batch protocol.  In the end the
erased rows are the archived rows, each exactly once.
"""

import os
import random
import re

import pytest

from support.harness import REPO, wait_until
from support.jobs import DONE, KILLED, LIMITS, STOPPED, TAKEN, hold_batches, workers
from support.locks import END_CLAIM
from support.oracles import check_all_erased, check_done, table_digests

pytestmark = pytest.mark.safety

LONG = bool(os.environ.get("RETENTION_LONG"))
SEED = int(os.environ.get("RETENTION_SEED") or random.SystemRandom().randrange(1 << 30))

POINTS = sorted({(name, file.name) for file in (REPO / "daemon").rglob("*.c")
                 for name in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())
                 if name.startswith(("job-", "batch-", "finish-", "seal-"))})  # archive/test_archives.py has the others
# Those that a job passes once a batch; the others it passes once.
REPEATED = {"batch-mid-erase": 14}


def later(point):
    return REPEATED.get(point, 3) if point.startswith("batch-") else 1


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("point", [name for name, _ in POINTS])
def test_killed_at(job, point):
    """At the first hit, and after the restart at a later one."""
    j = job()
    assert j.run(f"{point}:1") == KILLED
    if point in ("batch-after-commit", "batch-after-ledger"):
        assert j.ledger()
    elif point.startswith("batch-"):
        assert not j.ledger() and j.left() == j.row()["candidates"]
    second = j.run(f"{point}:{later(point)}")
    # What is passed once may lie behind us: listed, started, sealed.
    assert second == KILLED or point.startswith(("job-", "finish-", "seal-")) and second == DONE, j.last.text()
    assert second == DONE or j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)


def test_all_points_are_known():
    """A protocol step that loses its point loses its test."""
    assert {name for name, _ in POINTS} >= {
        "job-before-list", "job-after-list", "job-before-start", "job-after-files", "batch-begin", "batch-after-lock",
        "batch-after-recheck", "batch-after-collect", "batch-mid-erase", "batch-after-erase", "batch-after-sync",
        "batch-before-commit", "batch-after-commit", "batch-after-ledger", "finish-begin",
        "finish-after-join", "finish-after-manifest", "seal-after-segments", "finish-after-seal", "finish-before-commit"}


# --- Random kills -------------------------------------------------------------------------------

KINDS = [("delete_contacts", "full"), ("delete_contacts", "listed"), ("anonymize_contacts", "none"),
         ("export", "full"), ("delete_contacts", "none"), ("anonymize_requests", "none")]


@pytest.mark.parametrize("point", ["job-before-list", "job-after-list", "job-before-start"])
def test_the_daemon_takes_it_up(job, point):
    """Nobody is asked about the list of an automatic pass, so nothing may wait for somebody's word."""
    j = job()
    assert j.run(point) == KILLED
    wait_until(lambda: not j.sessions())
    j.daemon.once()
    check_done(j)


@pytest.fixture(scope="module")
def undisturbed():
    """{(action, archive): digests of the CRM's tables after a pass that nobody disturbed}."""
    return {}


@pytest.mark.parametrize("action, archive", KINDS)
def test_random_kills(job, undisturbed, action, archive):
    """Killed anywhere, again and again: it ends as if nothing had been."""
    wanted = 34 if LONG else 4
    dice = random.Random(f"{SEED} {action} {archive}")
    print(f"RETENTION_SEED={SEED}")
    calm = job(action, archive)
    assert calm.run() == DONE
    check_done(calm)
    check_all_erased(calm)
    digests = table_digests(calm.pg, calm.db)
    kills = 0
    while kills < wanted:
        j = job(action, archive)
        here = []
        status = KILLED
        while status == KILLED and len(here) < 8:
            here.append(dice.randint(1, 160))
            print(f"{action} {archive}: any:{here[-1]}")
            status = j.run(f"any:{here[-1]}")
            kills += status == KILLED
        assert status == DONE or j.run() == DONE, j.last.text()
        check_done(j)
        check_all_erased(j)
        assert table_digests(j.pg, j.db) == digests, here


# --- The server goes ----------------------------------------------------------------------------


def test_server_crashes_while_a_job_runs(job, spare_pg):
    """pg_ctl stop -m immediate, twice; the job waits, says so, and goes on by itself."""
    server = spare_pg
    j = job(server=server, limits={**LIMITS, "rows_per_second": 4000})
    run = j.start()
    for n in (1, 120):
        j.begun(n)
        server.stop("immediate")
        wait_until(lambda: run.waits_for("connect"), what="the job says that the database is away")
        run.lines.clear()
        server.start()
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def test_server_crashes_inside_a_transaction(job, spare_pg):
    """Between erasing and COMMIT, held there by a trigger that waits for a lock of ours."""
    server = spare_pg
    j = job(server=server)
    hold_batches(j)
    with server.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: waiting_for_us(j))
        server.stop("immediate")
    server.start()
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def waiting_for_us(j):
    return j.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted")


def test_the_control_session_is_gone_at_the_end(job):
    """The workers' sessions live on and end the list, and a new one of control cannot be had until later."""
    j = job()
    hold_batches(j)
    log = j.pg.log.stat().st_size
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: waiting_for_us(j))
        j.pg.psql("postgres", "-c", f"ALTER DATABASE {j.db} ALLOW_CONNECTIONS false")
        try:
            cur.execute(END_CLAIM, (j.id,))
            assert cur.fetchone() == (1,)
            wait_until(lambda: "is not currently accepting connections" in j.pg.log.read_text(errors="replace")[log:])
            cur.execute("SELECT pg_advisory_unlock(4711)")

            def left():
                cur.execute("SELECT count(*) FROM retention.candidate WHERE job = %s", (j.id,))
                return cur.fetchone()[0]
            wait_until(lambda: left() == 0 or not run.running(), what=run.text)
            wait_until(lambda: run.waits_for("accepting connections") or not run.running(), what=run.text)
        finally:
            j.pg.psql("postgres", "-c", f"ALTER DATABASE {j.db} ALLOW_CONNECTIONS true")
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


# --- The connection goes ------------------------------------------------------------------------


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("forward", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize("after", [0, 2, 7])
@pytest.mark.parametrize("archive", ["full", "none"])
def test_cut_with_the_answer_of_commit_in_flight(job, proxy, forward, after, archive):
    way = proxy()
    j = job(archive=archive)
    j.daemon.configure(host=way.dir)
    # A first run lists, so that the commits counted are those of batches.
    assert j.run("batch-begin:1") == KILLED
    way.cut_at(rb"COMMIT", forward=forward, after=after)
    assert j.run() == DONE, j.last.text()
    assert way.fired == 1
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(workers=(1, 2))  # the list has 748 keys, too few for four: a worker begins with 256
def test_cut_while_commit_is_under_way(job, proxy):
    """
    COMMIT takes its time (a deferred trigger waits), the connection goes, a new session comes while the old
    transaction still is neither committed nor rolled back: only its end says what the files' lengths are.
    """
    way = proxy()
    j = job()
    j.daemon.configure(host=way.dir)
    hold_batches(j, at_commit=True)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: waiting_for_us(j) == workers(), what="all workers in COMMIT")
        way.cut()
        # The new session of each worker asks for the worker's lock (and would time out: once is enough).
        wait_until(lambda: run.waits_for("55P03"), what=run.text)
        assert not j.ledger()
    status = run.wait()
    assert status == DONE or status == STOPPED and j.run() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_cut_anywhere(job, proxy):
    """Every connection, at any moment, over and over."""
    way = proxy()
    j = job(limits={**LIMITS, "rows_per_second": 6000})
    j.daemon.configure(host=way.dir)
    dice = random.Random(SEED)
    print(f"RETENTION_SEED={SEED}")
    run = j.start()
    for n in sorted(dice.sample(range(1, 250), 4)):
        wait_until(lambda: not run.running() or len(j.ledger()) >= n, what=f"{n} contacts")
        way.cut()
    # The server may not have missed the control session yet: then the job stops, and is started anew.
    run.wait()
    assert j.run() in (DONE, TAKEN), run.text()
    check_done(j)
    check_all_erased(j)
