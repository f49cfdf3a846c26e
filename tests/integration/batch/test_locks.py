"""The locks of schema retention: nobody takes one who has no right to it, and a session that keeps one is named."""

import re
from pathlib import Path

import psycopg2
import pytest

from support.harness import wait_until
from support.jobs import DONE
from support.oracles import check_all_erased, check_done

SLOW = {"workers": 2, "batch_rows": 20, "rows_per_second": 1500}
LOCKS = ("chain_lock", "hold_lock", "batch_lock", "ledger_lock", "claimed", "archive_journal", "hold")


@pytest.fixture
def stranger(pg):
    pg.sql("postgres", "CREATE ROLE stranger LOGIN")
    yield "stranger"
    pg.sql("postgres", "DROP ROLE stranger")


def test_nobody_else_stops_the_work(job, stranger):
    j = job()
    with j.pg.connect(j.db, user=stranger) as conn, conn.cursor() as cur:
        # The numbers that the locks had while they were advisory locks.
        for number in range(1380275199, 1380275199 + 20):
            for value in (0, 1, 2, j.id):
                cur.execute("SELECT pg_advisory_lock(%s, %s)", (number, value))
        for table in LOCKS:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(f"DO $$ BEGIN LOCK TABLE retention.{table} IN ACCESS SHARE MODE; END $$")
        j.sql("GRANT retention_auditor TO stranger")
        for table in LOCKS:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(f"DO $$ BEGIN LOCK TABLE retention.{table} IN ROW SHARE MODE; END $$")
        for table in LOCKS[1:]:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cur.execute(f"SELECT FROM retention.{table} FOR KEY SHARE")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cur.execute("SELECT retention.claim_action(%s, retention.session_start())", (j.id,))
        j.sql("SELECT retention.place_hold('999999', 'nobody')")
        assert j.run() == DONE, j.last.text()
        j.sql("REVOKE retention_auditor FROM stranger")
    check_done(j)
    check_all_erased(j)


def test_who_keeps_a_batch_waiting_is_named(job):
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    with j.pg.connect(j.db, autocommit=False, application_name="psql") as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE retention.hold_lock IN EXCLUSIVE MODE")
        held = f"the locks of a batch are held by {j.pg.SUPERUSER} (process {conn.info.backend_pid}, psql, idle in transaction)"
        wait_until(lambda: held in (j.row()["waiting"] or ""), what=run.text)
        assert held in j.daemon.ctl("show", j.id).stdout.replace("\n", " ").replace("  ", " ")
        erased = len(j.ledger())
        wait_until(lambda: run.text().count(held) > 0)
        assert len(j.ledger()) == erased
    assert run.wait() == DONE, run.text()
    assert j.row()["waiting"] is None
    check_done(j)
    check_all_erased(j)


def test_who_does_not_commit_is_named(job):
    """A person has placed a hold in a transaction, and has gone for lunch."""
    j = job()
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT retention.place_hold('999999', 'case 7')")
        held = f"the lock retention.chain_lock is held by {j.pg.SUPERUSER} (process {conn.info.backend_pid}"
        run = j.start()
        wait_until(lambda: held in (j.row()["waiting"] or ""), what=run.text)
        wait_until(lambda: run.waits_for(held), what=run.text)
        assert not j.ledger()
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def test_no_core_file(job):
    """A job has rows of persons in memory."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    limits = Path(f"/proc/{run.process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)
    assert run.wait() == DONE, run.text()


def test_a_session_that_is_gone_claims_nothing(job):
    """Its process's number is another session's now, which works on nothing."""
    j = job()
    with j.pg.connect(j.db) as conn:
        j.sql("INSERT INTO retention.claimed VALUES (%s, %s, now() - interval '1 day')", (j.id, conn.info.backend_pid))
        assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)
