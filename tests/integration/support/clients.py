"""Clients that work while a job runs: in threads, or with an open transaction that the job meets."""

import contextlib
import os
import random
import threading

from support.harness import wait_until

SEED = int(os.environ.get("RETENTION_SEED") or random.SystemRandom().randrange(1 << 30))


@contextlib.contextmanager
def clients(j, *bodies):
    """Each body(conn, dice) over and over in a thread of its own, until the block is left."""
    over, failures = threading.Event(), []

    def work(number, body):
        dice = random.Random(f"{SEED} {number}")
        try:
            with j.pg.connect(j.db) as conn:
                while not over.wait(0.002):
                    body(conn, dice)
        except Exception as failure:  # the test's own thread reports it
            failures.append(failure)

    print(f"RETENTION_SEED={SEED}")
    threads = [threading.Thread(target=work, args=x, daemon=True) for x in enumerate(bodies)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures


def locks(j, number, granted):
    return j.value("""SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = %s
        AND granted = %s""", (number, granted))


def meets(d):
    """The job has met the client: it waits for a lock, or says that it left rows for later."""
    return d.pg.value(d.db, """SELECT
        EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                   AND application_name = 'retention-job' AND wait_event_type = 'Lock')
        OR EXISTS (SELECT FROM retention.archive_journal WHERE waiting LIKE 'rows that%')""")


def race(d, client_sql, then=None):
    """A client has a transaction open while the pass runs; it commits once the pass has met it."""
    with d.pg.connect(d.db, autocommit=False) as client, client.cursor() as cur:
        cur.execute(client_sql)
        done = []
        thread = threading.Thread(target=lambda: done.append(d.once(check=False)))
        thread.start()
        try:
            wait_until(lambda: meets(d), what="the pass meets the client")
            if then:
                then()
        finally:
            client.commit()
            thread.join()
    return done[0]
