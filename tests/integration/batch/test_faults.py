"""
The surroundings fail, or were tampered with: the job waits and names the reason, or refuses and names the remedy.
No row is erased that is not durably archived, and the job goes on where it stood.
"""

import os
import shutil
import subprocess

import pytest

from support.backup import lines, rows
from support.clients import locks
from support.harness import standby_of, wait_until
from support.jobs import DONE, KILLED, LIMITS, REFUSED, SAVED, STOPPED, days, hold_batches, rests_on_triggers
from support.oracles import check_all_erased, check_done, missing_contacts

pytestmark = pytest.mark.safety

SLOW = {**LIMITS, "batch_rows": 100, "rows_per_second": 3000}


def nothing_happened(j):
    return not missing_contacts(j) and not j.ledger() and j.row()["started_at"] is None


def stopped_midway(j):
    """A job that has erased some, was asked to stop, and can go on."""
    run = j.start()
    j.begun()
    assert run.stop() == STOPPED
    assert 0 < len(j.ledger()) < j.row()["candidates"]
    return run


def refused(j, *words):
    """It refuses with these words, also in the journal, and erases nobody."""
    before = missing_contacts(j)
    run = j.start()
    assert run.wait() == REFUSED, run.text()
    for word in words:
        assert word in run.note() and word in j.row()["error"]
    assert missing_contacts(j) == before
    return run


# --- The disk -----------------------------------------------------------------------------------


def may_mount():
    with open("/proc/self/status", encoding="ascii") as status:
        effective, = [int(line.split()[1], 16) for line in status if line.startswith("CapEff:")]
    return effective >> 21 & 1  # CAP_SYS_ADMIN


@pytest.fixture
def tmpfs(tmp_path):
    """tmpfs(size): a small file system; tmpfs.resize(size) makes room."""
    mounted = []

    class Tmpfs:
        def __call__(self, size):
            where = tmp_path / "full" / "archives"
            where.mkdir(parents=True)
            done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", where],
                                  stderr=subprocess.PIPE, text=True)
            if not may_mount():
                pytest.skip("no tmpfs can be mounted without CAP_SYS_ADMIN: test_disk_that_says_it_is_full is the same without it")
            assert done.returncode == 0, done.stderr
            mounted.append(where)
            return where

        def resize(self, size):
            subprocess.run(["mount", "-o", f"remount,size={size}", mounted[-1]], check=True)

    yield Tmpfs()
    for where in mounted:
        subprocess.run(["umount", "-l", where], check=True)


def check_waits_for_space(j, run):
    """The job waits and says so; each file holds at least what is committed, because only what is archived is erased."""
    wait_until(lambda: "No space left" in (j.row()["waiting"] or ""), what=run.text)
    wait_until(lambda: run.waits_for("No space left"), what=run.text)
    assert len(j.ledger()) < j.row()["candidates"]
    for worker, table, committed in j.sql("SELECT worker, table_name, bytes FROM retention.archive_file"):
        if committed:
            assert (j.partial() / f"{table}.csv.{worker}").stat().st_size >= committed
    assert j.ledger() == missing_contacts(j)


def open_files(run, folder):
    links = [os.path.join(f"/proc/{run.process.pid}/fd", name) for name in os.listdir(f"/proc/{run.process.pid}/fd")]
    return [link for link in links if os.path.lexists(link) and os.readlink(link).startswith(str(folder))]


def test_disk_full(job, tmpfs):
    """A real file system without room; it takes the right to mount one."""
    where = tmpfs("256k")
    j = job(archives={"directory": str(where)})
    j.archives = where
    run = j.start()
    check_waits_for_space(j, run)
    tmpfs.resize("64m")
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def test_disk_that_says_it_is_full(job, preload, tmp_path):
    """The same without that right: write() fails with ENOSPC until there is room."""
    full = tmp_path / "full"
    full.touch()
    j = job()
    run = j.start(env={**preload, "DISK_FAULT": "full:60", "DISK_FULL": str(full)})
    check_waits_for_space(j, run)
    # The file system can be unmounted between two tries.
    wait_until(lambda: run.running() and not open_files(run, j.archives), what="no file is open")
    full.unlink()
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def test_the_ledger_on_a_full_disk(job, tmpfs):
    """A line that is written in part only is cut off again; the lines that lack come when there is room."""
    where = tmpfs("8k")
    j = job(archive="none", archives={"directory": str(where)})
    j.archives = j.daemon.archives = where
    run = j.start()
    wait_until(lambda: run.waits_for("No space left"), what=run.text)
    text = (where / "ledger").read_text()
    assert text.endswith("\n") and 0 < len(lines(j)) < len(j.ledger())
    assert "the ledger's file is intact" in j.daemon.ctl("verify").stdout
    tmpfs.resize("64m")
    assert run.wait() == DONE, run.text()
    assert sorted(lines(j)) == sorted(rows(j.pg, j.db))
    assert "the ledger's file is intact" in j.daemon.ctl("verify").stdout


def check_waited(run, failed):
    """
    An error of the disk was waited for.  One of the ledger's file need not be, because after a COMMIT the job goes on
    and adds the missing lines at its end.  The workers' turns decide which file is hit.
    """
    hit = failed.read_text().splitlines()
    assert hit and (all(path.endswith("/ledger") for path in hit) or run.waits_for("Input/output error")), run.text()


@pytest.mark.parametrize("fault", ["fdatasync:1", "fdatasync:17", "write:1", "write:20", "short:2", "fsync:2", "fsync:5"])
def test_a_failing_disk(job, preload, tmp_path, fault):
    """EIO once, or writes that take a byte less than offered each time: tried again, exactly once."""
    j = job()
    failed = tmp_path / "failed"
    run = j.start(env={**preload, "DISK_FAULT": fault, "DISK_FAILED": str(failed)})
    assert run.wait() == DONE, run.text()
    if not fault.startswith("short"):
        check_waited(run, failed)
    assert "the ledger's file is intact" in j.daemon.ctl("verify").stdout
    check_done(j)
    check_all_erased(j)


def test_a_descriptor_that_keeps_its_error(job, preload, tmp_path):
    """One that had an error is not trusted again, because Linux tells an error once: the job opens the file anew."""
    j = job()
    failed = tmp_path / "failed"
    run = j.start(env={**preload, "DISK_FAULT": "stuck:12", "DISK_FAILED": str(failed)})
    assert run.wait(20) == DONE, run.text()
    check_waited(run, failed)
    check_done(j)
    check_all_erased(j)


# --- The archive's folder -----------------------------------------------------------------------


def test_archive_moved_away(job):
    j = job(limits=SLOW)
    stopped_midway(j)
    away = j.partial().with_name("away")
    j.partial().rename(away)
    refused(j, "put it back", str(j.partial()))
    assert not j.partial().exists()
    away.rename(j.partial())
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("workers", [1, 2])
def test_archive_file_cut_below_what_is_committed(job, workers):
    """Also when it is that of a worker which has nothing to do any more, or is not there any more."""
    j = job(limits=SLOW)
    stopped_midway(j)
    # Either worker may have been the last, and the only one.
    worker, committed = j.sql("""SELECT worker, bytes FROM retention.archive_file
        WHERE table_name = 'contact' AND bytes > 0 ORDER BY worker DESC LIMIT 1""")[0]
    file = j.partial() / f"contact.csv.{worker}"
    bytes_ = file.read_bytes()
    file.write_bytes(bytes_[:committed - 1])
    j.daemon.configure(limits={**SLOW, "workers": workers})
    refused(j, file.name, f"{committed - 1} bytes where {committed} were synced and committed")
    file.write_bytes(bytes_ + b"what a crash left")
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(workers=(2, 4))
def test_archive_file_cut_before_it_is_joined(job):
    j = job()
    assert j.run("finish-begin:1") == KILLED
    file = j.partial() / "request.csv.1"
    bytes_ = file.read_bytes()
    file.write_bytes(bytes_[:-1])
    refused(j, "request.csv.1", "where", "were synced and committed")
    file.write_bytes(bytes_)
    assert j.run() == DONE
    check_done(j)


@pytest.mark.parametrize("suffix", ["", ".partial"])
def test_archive_of_that_name_exists_already(job, suffix):
    """Another database that shares the folder; its files are not touched."""
    j = job()
    assert j.run("job-before-list:1") == KILLED
    name = f"{j.value('SELECT to_char(requested_at, $$YYYYMMDD$$) FROM retention.archive_journal')}" \
           f"-delete_contacts-{j.policy}-{j.id}{suffix}"
    theirs = j.archives / name
    theirs.mkdir(mode=0o700)
    (theirs / "contact.csv.0").write_text("theirs")
    refused(j, name, "exists already", "archives.directory of its own")
    assert nothing_happened(j) and j.row()["status"] == "validated"
    assert [f.read_text() for f in theirs.iterdir()] == ["theirs"]
    shutil.rmtree(theirs)
    assert j.run() == DONE
    check_done(j)


def test_no_folder_for_archives(job):
    j = job()
    j.archives.rmdir()
    refused(j, "archives.directory", str(j.archives))
    assert nothing_happened(j)
    j.archives.mkdir(mode=0o700)
    assert j.run() == DONE
    check_done(j)


# --- SIGTERM ------------------------------------------------------------------------------------


def test_stop_between_batches_again_and_again(job):
    j = job(limits=SLOW)
    paths = set()
    for _ in range(3):
        before = len(j.ledger())
        run = j.start()
        j.begun(before + 1)
        assert run.stop() == STOPPED
        paths.add(j.row()["archive_path"])
        assert j.row()["status"] == "running"
    assert j.run() == DONE
    assert {j.row()["archive_path"]} == paths
    check_done(j)
    check_all_erased(j)


def test_stop_while_a_statement_waits_for_a_lock(job):
    j = job()
    hold_batches(j)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: locks(j, 4711, granted=False))
        assert run.stop() == STOPPED
        assert not missing_contacts(j)
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_stop_while_nothing_answers(job, proxy):
    """Nobody answers, not even to the cancel."""
    way = proxy()
    j = job(limits=SLOW)
    j.daemon.configure(host=way.dir)
    run = j.start()
    j.begun()
    way.stall()
    assert run.stop() == STOPPED
    way.resume()
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_stop_while_the_database_is_away(job, proxy):
    way = proxy()
    j = job(limits=SLOW)
    j.daemon.configure(host=way.dir)
    run = j.start()
    j.begun()
    way.refuse = True
    way.cut()
    wait_until(lambda: run.waits_for("connect"))
    assert run.stop() == STOPPED
    way.refuse = False
    assert j.run() == DONE
    check_done(j)


# --- The server ---------------------------------------------------------------------------------


def test_database_away_for_a_while(job, proxy):
    way = proxy()
    j = job(limits=SLOW)
    j.daemon.configure(host=way.dir)
    run = j.start()
    j.begun()
    way.refuse = True
    way.cut()
    wait_until(lambda: run.waits_for("connect"))
    way.refuse = False
    status = run.wait()
    # The control session may find its predecessor still there: then the job stops, to be started anew.
    assert status == DONE or status == STOPPED and j.run() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


@rests_on_triggers
def test_a_statement_that_takes_too_long_is_made_smaller(job):
    """A time-out, as the server tells it, for whoever deletes more than 30 contacts at once."""
    j = job()
    j.pg.psql(j.db, "-c", """
        CREATE FUNCTION public.too_long() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF (SELECT count(*) FROM old_rows) > 30 THEN
                RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014';
            END IF;
            RETURN NULL;
        END $$""", "-c", """
        CREATE TRIGGER too_long AFTER DELETE ON crm.contact REFERENCING OLD TABLE AS old_rows
            FOR EACH STATEMENT EXECUTE FUNCTION public.too_long()""")
    j.daemon.configure(limits={"workers": 2, "batch_rows": 100000})
    run = j.start()
    assert run.wait() == DONE, run.text()
    assert run.waits_for("57014")
    assert not j.events("failed_key")
    check_done(j)
    check_all_erased(j)


def test_a_standby_is_waited_out(job, spare_pg):
    """The job's database has become a standby: nothing is touched until it is the primary."""
    j = job(server=spare_pg, limits=SLOW)
    stopped_midway(j)
    standby = standby_of(spare_pg)
    try:
        standby.start()
        j.pg = j.daemon.pg = standby
        j.daemon.configure()
        before = missing_contacts(j)
        run = j.start()
        wait_until(lambda: any("read-only" in line or "standby" in line for line in run.lines), what=run.text)
        assert run.running() and missing_contacts(j) == before
        assert standby.value("postgres", "SELECT pg_promote()")
        assert run.wait() == DONE, run.text()
        check_done(j)
        check_all_erased(j)
    finally:
        j.pg = j.daemon.pg = spare_pg
        standby.destroy()


def test_another_server(job):
    """The same rows on a server with another system identifier: a restore, a wrong conninfo."""
    j = job(limits=SLOW)
    stopped_midway(j)
    system = j.row()["system_identifier"]
    j.sql("UPDATE retention.archive_journal SET system_identifier = '1'")
    refused(j, "is not the one that the job began on", "was 1")
    j.sql("UPDATE retention.archive_journal SET system_identifier = %s", (system,))
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_a_clock_that_went_back(job):
    """An event from the future: the database's clock is wrong now, or was."""
    j = job()
    j.pg.tamper(j.db, """
        INSERT INTO retention.journal_event (id, at, kind, actor, previous_hash, hash)
        SELECT max(id) + 1, now() + interval '1 hour', 'note', 'x', '', '' FROM retention.journal_event""")
    refused(j, "behind its newest journal row", "set it right")
    assert nothing_happened(j) and j.row()["frozen_at"] is None


@pytest.mark.parametrize("tampering", [
    "INSERT INTO retention.candidate SELECT job, max(n) + 1, '{}', 1 FROM retention.candidate GROUP BY 1",
    "UPDATE retention.candidate SET key = '{}' WHERE n = 1",
    "DELETE FROM retention.candidate WHERE n = 1"])
def test_the_list_is_the_one_that_was_validated(job, tampering):
    j = job(manual=days(), archive="full")
    assert j.start().wait() == SAVED
    other = j.value("SELECT max(id) FROM crm.contact")
    assert j.row()["candidates"] > 0
    j.sql(tampering.format(other))
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    refused(j, "is not the one that was validated")
    assert nothing_happened(j)
    assert list(j.archives.glob("2*")) == []
