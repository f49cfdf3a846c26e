"""The brakes, each where a person looks: the journal, show, the log, STATUS."""

import re
import subprocess
import threading
import time
from datetime import datetime, timezone

import pytest

from support.clients import clients
from support.harness import REPO, standby_of, wait_until
from support.jobs import DONE, STOPPED
from support.locks import BATCHES
from support.small import SCHEMA, contacts, model, policy


@pytest.fixture
def clock(tmp_path):
    """clock(hour): local time is that hour from here on, for who has its environment."""
    library, shift = tmp_path / "localtime.so", tmp_path / "shift"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, REPO / "tests" / "preload" / "localtime.c", "-ldl"], check=True)

    def set_hour(hour):
        now = datetime.now(timezone.utc)
        seconds = hour * 3600 + 1800 - (now.hour * 3600 + now.minute * 60 + now.second)
        new = shift.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(shift)

    set_hour.env = {"LD_PRELOAD": str(library), "LOCALTIME_SHIFT": str(shift),
                    "ASAN_OPTIONS": "verify_asan_link_order=0"}
    return set_hour


def test_the_window(job, clock):
    """A job pauses at the window's end, says so, erases nothing meanwhile, and goes on the next night."""
    j = job(limits={"workers": 2, "batch_rows": 20, "rows_per_second": 1500, "window": "22:00-06:00"})
    clock(23)
    run = j.start(env=clock.env)
    j.begun()
    clock(12)
    wait_until(lambda: j.row()["waiting"] == "the window 22:00-06:00")
    assert j.row()["waiting_for"] == "window"
    paused = len(j.ledger())
    assert 0 < paused < j.row()["candidates"] and j.row()["status"] == "running"
    wait_until(lambda: run.waits_for("the window 22:00-06:00"), what=run.text)
    shown = j.daemon.ctl("show", j.id).stdout
    assert re.search(r"^waiting +the window 22:00-06:00$", shown, re.M)
    assert "waits for the window 22:00-06:00" in j.daemon.ctl("journal").stdout
    end = time.monotonic() + 3
    wait_until(lambda: time.monotonic() > end)  # several of the throttle's looks at the clock
    assert len(j.ledger()) == paused and run.running()
    clock(5)
    assert run.wait() == DONE, run.text()
    assert j.row()["waiting"] is None and j.row()["waiting_for"] is None and j.row()["status"] == "done"
    assert len(j.ledger()) > paused


def test_the_daemon_waits_for_the_window(daemon, clock):
    """What is due outside of it begins, is listed, and waits; STATUS says for what."""
    d = daemon(policies=[{"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}],
               limits={"window": "22:00-06:00"}, env=clock.env)
    clock(12)
    d.start("-v")
    d.wait_for_log("ready: ")
    d.pg.sql(d.db, "SELECT retention.save_action('delete_contacts', '2023-01-01', '2023-01-31')")
    wait_until(lambda: d.jobs("frozen_at IS NOT NULL"))
    d.ctl("validate", "1")
    d.wait_for_log(r"job 1 \(action 1\) waits: the window 22:00-06:00")
    d.signal(10)  # SIGUSR1
    d.wait_for_log(r"state: job 1 .* waits: the window 22:00-06:00")
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger") == 0
    clock(23)
    assert d.wait_for_job()["counters"]["treated"] > 0
    assert d.stop() == 0


def test_max_share_and_approval(daemon):
    """Both are said with their reason, and with what to do; a person's word releases them."""
    policy = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}
    d = daemon(policies=[policy], limits={"max_share": 0.01})
    said = d.once().stderr
    job_id, = [r["id"] for r in d.jobs("status = 'saved'")]
    assert re.search(rf"waits for approval: a person's validation: \d+ of \d+ are due, more than max_share \(0\.01\): "
                     rf"retentionctl validate {job_id}", said)
    assert "more than max_share" in d.ctl("show", job_id).stdout and "more than max_share" in d.ctl("journal").stdout
    d.configure(policies=[policy, {**policy, "name": "asks", "approval": True}])
    said = d.once().stderr
    assert "as the policy asks" in said
    for row in d.jobs("status = 'saved'"):
        d.ctl("validate", row["id"])
    d.once()
    assert {r["status"] for r in d.jobs()} == {"done"}


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_host_clock_that_is_off(job, hours, tmp_path):
    """Nothing is erased by a wrong date: refused, with both clocks' difference, in journal and exit."""
    source = tmp_path / "time.c"
    source.write_text(f"""#define _GNU_SOURCE
        #include <time.h>
        time_t time(time_t *t) {{ struct timespec s; clock_gettime(CLOCK_REALTIME, &s);
            time_t now = s.tv_sec + {hours * 3600}; if (t) *t = now; return now; }}""")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "time.so", source], check=True)
    j = job()
    run = j.start(env={"LD_PRELOAD": str(tmp_path / "time.so"), "ASAN_OPTIONS": "verify_asan_link_order=0"})
    assert run.wait() == 3 and "the clocks of this host and of the database differ by" in run.note()
    assert not j.ledger() and "set them right" in j.row()["error"]
    assert j.run() == DONE


# --- Back-pressure ------------------------------------------------------------------------------

SLOW = {"workers": 2, "batch_rows": 50, "rows_per_second": 3000}


def held_up(j, run, reason):
    """It waits for that, in every place that shows it, and erases nothing meanwhile."""
    wait_until(lambda: re.search(reason, j.row()["waiting"] or ""), what=reason)
    wait_until(lambda: re.search(reason, run.text()), what=reason)
    assert re.search(f"waiting +.*{reason}", j.daemon.ctl("show", j.id).stdout)
    # A worker that looked a moment before still has a batch to end, or to begin.
    looks = []

    def quiet():
        looks.append((len(j.ledger()), j.value("""SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'retention-job' AND xact_start IS NOT NULL""")))
        return len(set(looks[-10:])) == 1 and len(looks) >= 10 and looks[-1][1] == 0

    wait_until(quiet)
    paused = len(j.ledger())
    end = time.monotonic() + 2
    wait_until(lambda: time.monotonic() > end)  # several of the throttle's looks
    assert len(j.ledger()) == paused < j.row()["candidates"] and run.running()


@pytest.mark.parametrize("what, reason", [("1", "a pause by {}"), ("NULL", "a pause of everything by {}")])
def test_a_pause(job, what, reason):
    """An operator pauses the action, or everything, while the job runs; the job goes on when the pause ends."""
    j = job(limits=SLOW)
    assert j.id == 1
    run = j.start()
    j.begun()
    j.sql(f"SELECT retention.pause_action({what})")
    held_up(j, run, reason.format(j.pg.SUPERUSER))
    wait_until(lambda: run.waits_for("waiting paused a pause "), what=run.text)
    j.sql(f"SELECT retention.resume_action({what})")
    assert run.wait() == DONE, run.text()
    assert j.row()["waiting"] is None and j.value("SELECT count(*) FROM retention.pause") == 0
    assert j.sql("SELECT kind, job, actor, (details->>'everything')::boolean FROM retention.journal_event"
                 " WHERE kind IN ('paused', 'resumed') ORDER BY id") == [
        (kind, None if what == "NULL" else 1, j.pg.SUPERUSER, what == "NULL") for kind in ("paused", "resumed")]


def test_no_batch_begins_after_a_pause(job):
    """When pause_action has returned, each worker ends at most the batch that it has begun."""
    j = job(limits={"workers": 1, "batch_rows": 20})
    run = j.start()
    j.begun()
    j.sql("SELECT retention.pause_action(NULL)")
    batches = j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger")
    wait_until(lambda: run.waits_for("waiting paused "))
    assert j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger") <= batches + 1
    j.sql("SELECT retention.resume_action(NULL)")
    assert run.wait() == DONE, run.text()


def test_a_standby_that_stands_still(job, spare_pg):
    j = job(server=spare_pg, limits={**SLOW, "max_replica_lag": "1s"})
    standby = standby_of(spare_pg)
    try:
        standby.start()
        wait_until(lambda: spare_pg.value("postgres", "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"))
        standby.value("postgres", "SELECT pg_wal_replay_pause()")
        run = j.start()
        held_up(j, run, r"a standby that is \d+ s behind")
        standby.value("postgres", "SELECT pg_wal_replay_resume()")
        assert run.wait() == DONE, run.text()
    finally:
        standby.destroy()


def test_a_slot_that_nobody_reads(job, spare_pg):
    """Its standby is away: nobody lags by pg_stat_replication, and the WAL piles up."""
    j = job(server=spare_pg, limits={**SLOW, "max_wal_backlog_mb": 1})
    spare_pg.sql("postgres", "SELECT pg_create_physical_replication_slot('away', true)")
    spare_pg.sql("postgres", "CREATE TABLE wal AS SELECT repeat('x', 1000) FROM generate_series(1, 4000)")
    run = j.start()
    held_up(j, run, r'the replication slot "away", which retains \d+ MiB of WAL')
    spare_pg.sql("postgres", "SELECT pg_drop_replication_slot('away')")
    spare_pg.sql("postgres", "DROP TABLE wal")
    assert run.wait() == DONE, run.text()


def test_an_archiver_that_fails(job, spare_pg):
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_mode = on")
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_command = 'false'")
    spare_pg.restart("fast")
    j = job(server=spare_pg, limits=SLOW)
    spare_pg.sql("postgres", "SELECT pg_switch_wal()")
    wait_until(lambda: spare_pg.value("postgres", "SELECT failed_count FROM pg_stat_archiver"))
    run = j.start()
    held_up(j, run, "the archiver, which has only failed so far")
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_command = 'true'")
    spare_pg.sql("postgres", "SELECT pg_reload_conf()")
    assert run.wait() == DONE, run.text()


def test_an_archiver_that_falls_behind(job, spare_pg):
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_mode = on")
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_command = 'true'")
    spare_pg.restart("fast")
    j = job(server=spare_pg, limits={**SLOW, "max_wal_backlog_mb": 1})
    spare_pg.sql("postgres", "SELECT pg_switch_wal()")
    wait_until(lambda: spare_pg.value("postgres", "SELECT last_archived_wal FROM pg_stat_archiver"))
    spare_pg.sql("postgres", "ALTER SYSTEM SET archive_command = 'false'")
    spare_pg.sql("postgres", "SELECT pg_reload_conf()")
    spare_pg.sql("postgres", "CREATE TABLE wal AS SELECT repeat('x', 1000) FROM generate_series(1, 4000)")
    run = j.start()
    held_up(j, run, r"the archiver, which is \d+ MiB of WAL behind")
    j.daemon.configure(limits=SLOW)
    run.stop()
    assert j.run() == DONE, "the default is more than that"
    spare_pg.sql("postgres", "DROP TABLE wal")


def test_a_snapshot_that_is_old(job, spare_pg):
    """A transaction that somebody forgot; its own backends' and an idle session's are none."""
    j = job(server=spare_pg, limits={**SLOW, "max_snapshot_age": "1s"})
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur, j.pg.connect(j.db):
        cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cur.execute("SELECT pg_backend_pid()")
        pid, = cur.fetchone()
        run = j.start()
        held_up(j, run, rf"the snapshot of session {pid}, whose transaction is \d+ s old")
        conn.rollback()
        assert run.wait() == DONE, run.text()


def test_an_old_transaction_that_is_prepared(job, spare_pg):
    spare_pg.sql("postgres", "ALTER SYSTEM SET max_prepared_transactions = 2")
    spare_pg.restart("fast")
    j = job(server=spare_pg, limits={**SLOW, "max_snapshot_age": "1s"})
    j.pg.psql(j.db, "-c", "BEGIN; CREATE TABLE public.later (); PREPARE TRANSACTION 'for''gotten'")
    run = j.start()
    held_up(j, run, r"""the snapshot of the prepared transaction "for'gotten", which is \d+ s old""")
    j.pg.psql(j.db, "-c", "ROLLBACK PREPARED 'for''gotten'")
    assert run.wait() == DONE, run.text()


def test_snapshots_that_cannot_be_read(job, spare_pg):
    """The role sees that there is a session, and not what it does: it waits."""
    j = job(server=spare_pg, limits={**SLOW, "max_snapshot_age": "1h"})
    spare_pg.sql(j.db, "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'blind') THEN DROP OWNED BY blind; DROP ROLE blind; END IF; END $$")
    spare_pg.sql(j.db, "CREATE ROLE blind LOGIN")
    spare_pg.psql(j.db, "-c", "\n".join(
        line for line in j.daemon.ctl("grants", "blind").stdout.splitlines() if "pg_read_all_stats" not in line))
    j.daemon.configure(user="blind", limits={**SLOW, "max_snapshot_age": "1h", "max_replica_lag": "0s"})
    with j.pg.connect(j.db):
        checked = j.daemon.check_config()
        assert checked.returncode == 0 and "limits: max_snapshot_age: the age of other sessions' snapshots" in checked.stderr
        run = j.start()
        wait_until(lambda: "the age of other sessions' snapshots cannot be read: grant pg_read_all_stats" in (j.row()["waiting"] or ""))
        assert j.ledger() == set() and run.running()
        j.sql("GRANT pg_read_all_stats TO blind")
        assert run.wait() == DONE, run.text()
    spare_pg.sql(j.db, "DROP OWNED BY blind")
    spare_pg.sql(j.db, "DROP ROLE blind")


def batches_under_way(j):
    return j.value(BATCHES)


def test_others_are_at_work(job):
    """Their transactions are seen: one batch at a time, of four workers; the reason stands where brakes stand."""
    j = job(limits={"workers": 4, "batch_rows": 10, "courtesy": True})
    j.sql("SELECT retention.pause_action(NULL)")
    reason = "other users of the database"

    def read(conn, dice):
        with conn.cursor() as cur:
            cur.execute("SELECT FROM crm.contact WHERE id = %s", (dice.randrange(1000),))

    with clients(j, read, read):
        run = j.start()
        held_up(j, run, "a pause of everything")  # two seconds at least: by then they have been seen
        j.sql("SELECT retention.resume_action(NULL)")
        wait_until(lambda: reason in (j.row()["waiting"] or ""))
        counts = []  # a rest may last for all of the first 200
        while len(counts) < 200 or not any(counts):
            counts.append(batches_under_way(j))
            assert run.running()
        assert max(counts) == 1
        assert re.search(f"waiting +.*{reason}", j.daemon.ctl("show", j.id).stdout)
        # A pause ends the batch that has the turn, and none of the three workers that wait for it begins one.
        j.sql("SELECT retention.pause_action(NULL)")
        batches = j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger")
        held_up(j, run, "a pause of everything")
        assert j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger") <= batches + 1
        j.sql("SELECT retention.resume_action(NULL)")
        assert run.stop() == STOPPED
    assert (j.row()["status"], j.row()["waiting"]) == ("running", None)  # nobody waits any more
    assert j.run() == DONE


def test_who_waits_makes_batches_smaller(job):
    """A client that waits for each batch: the next is half as large, down to one contact."""
    j = job(limits={"workers": 1, "batch_rows": 2000})
    over = threading.Event()

    def client():
        with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
            while not over.is_set():
                cur.execute("LOCK TABLE crm.contact IN SHARE MODE")
                conn.commit()

    threads = [threading.Thread(target=client) for _ in range(2)]
    j.pg.psql(j.db, "-c", """CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$""", "-c", """
        CREATE TRIGGER slow AFTER DELETE ON crm.contact FOR EACH STATEMENT EXECUTE FUNCTION public.slow()""")
    for thread in threads:
        thread.start()
    try:
        run = j.start()
        wait_until(lambda: j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger") >= 12)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    sizes = [n for (n,) in j.sql("SELECT count(*) FROM retention.ledger GROUP BY erased_at ORDER BY erased_at LIMIT 12")]
    assert sizes[0] > 8 and max(sizes[8:]) <= sizes[0] / 4, sizes
    assert run.wait() == DONE, run.text()


def test_a_pause_while_a_batch_is_halved(make):
    """Every second contact fails, so that one large batch becomes very many small ones: each asks the brakes."""
    d = make(SCHEMA + """; INSERT INTO contact (id) SELECT generate_series(1, 1000);
        INSERT INTO request (id, contact_id, at) SELECT n, n, '2015-01-01' FROM generate_series(1, 1000) AS n;
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF OLD.id % 2 = 0 THEN RAISE 'no'; END IF; RETURN OLD; END $$;
        CREATE TRIGGER no BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION no();
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$;
        CREATE TRIGGER slow AFTER DELETE ON contact FOR EACH STATEMENT EXECUTE FUNCTION slow()""",
             model(), policy(archive="none"), limits={"workers": 1, "max_share": 1.0})
    d.start("--once")
    try:
        wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM retention.ledger") > 3)
        d.ctl("pause", "1")
        wait_until(lambda: "waits: a pause by " in d.log_text())
        assert 0 < d.pg.value(d.db, "SELECT count(*) FROM retention.ledger") < 500
    finally:
        d.kill()


def test_a_pace_is_no_event(make):
    """rows_per_second rests after each batch: the log has better things to tell."""
    d = make(SCHEMA + """; INSERT INTO contact (id) SELECT generate_series(1, 500);
        INSERT INTO request (id, contact_id, at) SELECT n, n, '2015-01-01' FROM generate_series(1, 500) AS n""",
             model(), policy(archive="none"),
             limits={"workers": 1, "batch_rows": 50, "rows_per_second": 1000, "max_share": 1.0})
    d.once()
    assert "waits" not in d.log_text() and "goes on" not in d.log_text()


def test_the_first_batch_keeps_to_batch_rows(make, pg):
    """The tables' average of rows for each contact is known before the first batch."""
    many = "; INSERT INTO request (id, contact_id, at) SELECT 10000 + n, 1 + n % 200, '2015-01-01' FROM generate_series(1, 2000) AS n"
    d = make(SCHEMA + contacts(due=range(1, 201)) + many + "; ANALYZE", model(), limits={"batch_rows": 60, "workers": 1})
    d.once()
    assert d.jobs()[-1]["status"] == "done"
    batches = pg.sql(d.db, "SELECT count(*) FROM retention.ledger GROUP BY erased_at ORDER BY erased_at")
    assert max(n for (n,) in batches) * 11 <= 66, batches
