"""
Archives after they were written: deleted by a person, expired by archives.keep, removed by the daemon
and nobody's files but theirs; and kept encrypted, with real age.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

import psycopg2
import pytest

from support.age import Key
from support.ctl import action, ctl, said
from support.harness import REPO, TIMEOUT, TROUBLE, wait_until
from support.jobs import DONE, KILLED, REFUSED, tidy
from support.locks import CLAIM
from support.oracles import check_all_erased, check_archive, check_counters
from support.small import SCHEMA, TWO, model, policy, set_clock

POINTS = {name for file in (REPO / "daemon").rglob("*.c") for name in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())}
REMOVAL = sorted(p for p in POINTS if p.startswith(("remove-", "tidy-")))
ENCRYPTION = sorted(p for p in POINTS if p.startswith(("encrypt-", "finish-")))
PLAIN = {"SHA256SUMS", "manifest.json"}


@pytest.fixture
def archived(job):
    """archived(…): a Job that is done, with its archive."""

    def make(action="export", archive="listed", **kwargs):
        j = job(action, archive, **kwargs)
        assert j.run() == DONE, j.last.text()
        j.folder = Path(j.row()["archive_path"])
        assert j.folder.is_dir()
        return j

    return make


def delete(j):
    j.sql("SELECT retention.delete_archive(%s)", (j.id,))


def set_row(j, changes, *args):
    """As a superuser can, past every trigger."""
    j.pg.tamper(j.db, f"UPDATE retention.archive_journal SET {changes} WHERE id = {j.id}")


def entries(j):
    """All that lies beside the files of the ledger and of the identity; of a Job, or a Daemon."""
    return sorted(p.name for p in j.archives.iterdir() if not p.name.startswith(("ledger", "identity")))


def is_removed(j):
    row = j.row()
    return row["archive_removed_at"] is not None and row["archive_remark"] is None and entries(j) == []


# --- The directory -----------------------------------------------------------------------------

OPEN = ["0770", "0703", "0701", "0704", "1777"]


@pytest.mark.parametrize("mode", OPEN)
def test_a_directory_that_is_open_to_others(daemon, mode):
    """-t, the daemon's start, a reload and a job refuse it alike."""
    d = daemon(policies=[policy(archive="full")])
    message = rf'archives: directory "{d.archives}" is open to others \(mode {mode}\): chmod g-w,o= it'
    d.archives.chmod(int(mode, 8))
    done = d.check_config()
    assert done.returncode == 1 and re.search(message, done.stderr), done.stderr
    done = d.once(check=False)
    assert done.returncode == 1 and re.search(message, done.stderr), done.stderr
    assert d.jobs() == []
    d.archives.chmod(0o750)
    assert d.check_config().returncode == 0


def test_a_directory_is_opened_to_others_later(job):
    j = job()
    j.archives.chmod(0o777)
    assert j.run() == REFUSED and "is open to others" in j.row()["error"]
    assert j.row()["counters"] is None or "treated" not in j.row()["counters"]
    j.archives.chmod(0o700)
    assert j.run() == DONE


def test_a_reload_finds_a_directory_that_is_open_to_others(daemon):
    d = daemon().start()
    d.wait_for_log("ready: ")
    d.archives.chmod(0o777)
    d.reload()
    d.wait_for_log(r"is open to others \(mode 0777\)")
    assert d.stop() == 0


@pytest.mark.parametrize("through", ["folder", "link"])
def test_a_folder_above_is_open_to_others(daemon, tmp_path, through):
    """Whoever can write there can put another directory in its place."""
    above = tmp_path / "above"
    (above / "archives").mkdir(parents=True, mode=0o700)
    if through == "link":
        (above / "link").symlink_to(tmp_path / "real")
        (tmp_path / "real" / "archives").mkdir(parents=True, mode=0o700)
    directory = above / ("link/archives" if through == "link" else "archives")
    d = daemon(archives={"directory": str(directory)})
    directory.chmod(0o700)
    assert d.check_config().returncode == 0
    above.chmod(0o777)
    done = d.check_config()
    assert done.returncode == 1 and f'"{above}" is open to others (mode 0777): chmod g-w,o-w it' in done.stderr
    above.chmod(0o1777)  # the sticky bit, as /tmp has it
    assert d.check_config().returncode == 0


# --- The SQL function -------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["saved", "cancelled", "validated", "running"])
def test_only_what_has_ended(pg, db, status):
    job = action(pg, db, status)
    with pytest.raises(psycopg2.Error) as e:
        pg.sql(db, "SELECT retention.delete_archive(%s)", (job,))
    assert e.value.diag.message_primary == (
        f"action {job} is {status}: only the archive of an action that has ended can be deleted")


@pytest.fixture
def roles(pg):
    names = {role: f"archives_{role}" for role in ("auditor", "operator", "approver", "daemon")}
    made = []

    def make(db):
        for role, name in names.items():
            pg.psql(db, "-c", f"CREATE ROLE {name} LOGIN IN ROLE retention_{role}")
            made.append(name)
        return names

    yield make
    for name in made:
        pg.psql("postgres", "-c", f"DROP ROLE {name}")


def test_who_may_delete(pg, db, roles):
    names = roles(db)
    job = action(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a/b' WHERE id = {job}")
    for role in ("auditor", "operator", "daemon"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            pg.sql(db, "SELECT retention.delete_archive(%s)", (job,), user=names[role])
    assert pg.value(db, "SELECT file FROM retention.archives") == "/a/b"
    with pg.connect(db) as conn, conn.cursor() as cur:
        cur.execute("LISTEN retention")
        pg.sql(db, "SELECT retention.delete_archive(%s)", (job,), user=names["approver"])
        wait_until(lambda: conn.poll() or conn.notifies)
        assert [n.payload for n in conn.notifies] == [f"archive_deleted {job}"]
    assert pg.sql(db, """SELECT file, archive_deleted_by, archive_deleted_at IS NOT NULL, archive_removed_at
                         FROM retention.archives""") == [(None, names["approver"], True, None)]
    assert pg.value(db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'archive_deleted' AND actor = %s",
                    (names["approver"],)) == 1
    with pytest.raises(psycopg2.Error, match=f"(?s)is deleted already, since .* by {names['approver']}\n.*HINT:  The daemon"):
        pg.sql(db, "SELECT retention.delete_archive(%s)", (job,), user=names["approver"])


def test_four_eyes(pg, db, roles):
    names = roles(db)
    pg.psql(db, "-c", f"GRANT retention_operator TO {names['approver']}", "-c",
            "INSERT INTO retention.setting VALUES ('four_eyes', 'true')")
    job = pg.value(db, "SELECT retention.save_action('export', '2024-01-01', '2024-01-31')", user=names["approver"])
    for step in ("validated", "running", "done"):
        pg.sql(db, f"UPDATE retention.archive_journal SET status = '{step}', archive_path = '/a/b'")
    with pytest.raises(psycopg2.Error, match="somebody else has to delete its archive"):
        pg.sql(db, "SELECT retention.delete_archive(%s)", (job,), user=names["approver"])
    pg.sql(db, "SELECT retention.delete_archive(%s)", (job,))


def test_two_at_once(pg, db):
    job = action(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a/b' WHERE id = {job}")
    results = []

    def go():
        try:
            pg.sql(db, "SELECT retention.delete_archive(%s)", (job,))
            results.append("done")
        except psycopg2.Error as e:
            results.append(e.diag.message_primary)

    threads = [threading.Thread(target=go) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results.count("done") == 1 and sum("is deleted already" in r for r in results) == 3, results


@pytest.mark.parametrize("changes, message", [
    ("archive_deleted_at = NULL", "that cannot be taken back"),
    ("archive_deleted_by = 'x'", "that cannot be taken back"),
    ("archive_path = '/etc'", "that cannot be taken back"),
])
def test_a_deletion_stands(pg, db, changes, message):
    job = action(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a/b' WHERE id = {job}")
    with pytest.raises(psycopg2.Error, match="is not deleted: its files stay"):
        pg.sql(db, "UPDATE retention.archive_journal SET archive_removed_at = now()")
    pg.sql(db, "SELECT retention.delete_archive(%s)", (job,))
    with pytest.raises(psycopg2.Error, match=message):
        pg.sql(db, f"UPDATE retention.archive_journal SET {changes}")
    pg.sql(db, "UPDATE retention.archive_journal SET archive_removed_at = now()")
    with pytest.raises(psycopg2.Error, match=message):
        pg.sql(db, "UPDATE retention.archive_journal SET archive_removed_at = NULL")


# --- retentionctl and the daemon ----------------------------------------------------------------


def test_deleted_without_a_daemon(pg, db):
    assert said(ctl(pg, db, "archive", "delete", 7)) == (
        1, "", "retentionctl: there is no action 7\nhint: See retention.archives for their numbers.\n")
    job = action(pg, db, "done")
    assert said(ctl(pg, db, "archive", "delete", job)) == (1, "", f"retentionctl: action {job} has no archive\n")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a/b', host = 'elsewhere' WHERE id = {job}")
    assert said(ctl(pg, db, "archive", "delete", job)) == (
        0, f"the archive of action {job} is deleted\n"
        "the daemon on elsewhere has not yet removed its files: is retentiond running there?\n", "")


POLICY = {"name": "contacts-36m", "action": "delete_contacts", "depth": "36 months", "schedule": "monthly",
          "archive": "full"}


def test_from_end_to_end(daemon):
    """Run, listed, deleted, gone: each step by the command, the files by the resident daemon."""
    d = daemon(contacts=300, policies=[POLICY])
    d.once()
    row = d.jobs("status = 'done'")[0]
    folder = Path(row["archive_path"])
    assert folder.is_dir()
    d.start()
    d.wait_for_log("ready: ")
    assert d.ctl("archive", "delete", row["id"]).stdout == (
        f"the archive of action {row['id']} is deleted\nits files are removed\n")
    wait_until(lambda: entries(d) == [])
    listed = json.loads(d.ctl("archive", "list", "--json").stdout)[0]
    assert (listed["file"], listed["status"], listed["archive_deleted_by"]) == (None, "done", d.pg.SUPERUSER)
    assert listed["archive_removed_at"] >= listed["archive_deleted_at"]
    done = d.ctl("archive", "delete", row["id"], check=False)
    assert done.returncode == 1 and "is deleted already" in done.stderr and "hint: Its files are gone." in done.stderr
    done = d.ctl("archive", "verify", row["id"], check=False)
    assert said(done) == (1, "", f"retentionctl: the archive of action {row['id']} was deleted\n")
    assert d.stop() == 0


def test_a_refusal_reaches_who_deletes(daemon):
    d = daemon(contacts=300, policies=[POLICY])
    d.once()
    row = d.jobs("status = 'done'")[0]
    folder = Path(row["archive_path"])
    (folder / "notes.txt").write_text("somebody's")
    d.start()
    d.wait_for_log("ready: ")
    done = d.ctl("archive", "delete", row["id"], check=False)
    assert done.returncode == 1
    assert f'its files are not removed: "{folder}/notes.txt" is not the archive\'s: take it away' in done.stderr
    d.wait_for_log(r"notes\.txt")
    assert (folder / "SHA256SUMS").exists()
    # Taken away: a reload looks again.
    (folder / "notes.txt").unlink()
    d.reload()
    wait_until(lambda: d.jobs()[0]["archive_removed_at"])
    wait_until(lambda: entries(d) == [])
    assert d.stop() == 0


def test_once_tidies_up(daemon):
    d = daemon(contacts=300, policies=[POLICY])
    d.once()
    d.pg.sql(d.db, "SELECT retention.delete_archive(id) FROM retention.archive_journal")
    d.once()
    assert entries(d) == [] and d.jobs()[0]["archive_removed_at"]


# --- Removal ------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", REMOVAL)
def test_removal_killed_at(archived, point):
    j = archived()
    delete(j)
    assert tidy(j, f"{point}:1")[0] == KILLED
    row = j.row()
    assert row["archive_removed_at"] is None or not any(p.is_file() for name in entries(j) for p in (j.archives / name).rglob("*"))
    assert tidy(j) == (DONE, "" if row["archive_removed_at"] else "note the files of 1 archive were removed\n")
    assert is_removed(j), (j.row(), entries(j))


def test_removal_killed_at_every_file(archived):
    """As often as there are files: each time one less, and what is left is never taken for an archive."""
    j = archived()
    delete(j)
    kills = 0
    while (status := tidy(j, "remove-mid-files:1")[0]) == KILLED:
        kills += 1
        assert entries(j) == [j.folder.name + ".deleted"]
        assert (j.archives / entries(j)[0] / "SHA256SUMS").is_file(), "it says what is the archive's, to the last"
    assert status == DONE and kills > 2 and is_removed(j)


def test_removal_points_are_known():
    assert set(REMOVAL) == {"remove-before-rename", "remove-after-rename", "remove-mid-files", "remove-after-files",
                            "tidy-after-mark", "tidy-before-record", "tidy-after-record"}


def plant(tmp_path):
    """A folder that nothing may touch; its digest."""
    victim = tmp_path / "victim"
    victim.mkdir()
    for name in ("contact.csv", "SHA256SUMS", "manifest.json"):
        (victim / name).write_text("precious")
    return victim


def test_a_path_of_the_table_is_never_used(archived, tmp_path):
    """Wherever archive_path leads: the archive under the archive folder goes, nothing else."""
    j = archived()
    victim = plant(tmp_path)
    delete(j)
    set_row(j, f"archive_path = '{victim}'")
    assert tidy(j)[0] == DONE and is_removed(j)
    assert len(list(victim.iterdir())) == 3


@pytest.mark.parametrize("path", ["/etc", "../victim", "{archives}/../../victim", "{archives}", "{archives}/", "", "/"])
@pytest.mark.parametrize("present", [True, False])
def test_hostile_paths(archived, tmp_path, path, present):
    j = archived()
    victim = plant(tmp_path)
    delete(j)
    set_row(j, f"archive_path = '{path.format(archives=j.archives)}'")
    if not present:
        shutil.rmtree(j.folder)
        other = j.archives / "20200101-export-the-policy-999"
        shutil.copytree(victim, other)
    status, lines = tidy(j)
    assert status == DONE and lines == ("note the files of 1 archive were removed\n" if present else "")
    assert len(list(victim.iterdir())) == 3 and Path("/etc/passwd").exists()
    if present:
        assert is_removed(j)
    else:  # not where the journal says, so nothing is claimed
        assert j.row()["archive_removed_at"] is None and len(list(other.iterdir())) == 3


@pytest.mark.parametrize("policy", ["../../victim", "x/../../victim", "/etc", "a b", "x\ny"])
def test_a_hostile_policy(archived, tmp_path, policy):
    """The name that is made of the row is one component, or nothing."""
    j = archived()
    delete(j)
    set_row(j, f"policy = $p${policy}$p$")
    set_row(j, f"archive_path = '{j.archives}/' || to_char(requested_at, 'YYYYMMDD') || '-export-' || policy || '-' || id")
    status, lines = tidy(j)
    assert status == REFUSED and "is not the name of an archive" in lines
    assert entries(j) == [j.folder.name] and len(list(j.folder.iterdir())) > 3


def foreign_file(folder):
    (folder / "passport.csv").write_text("x")
    return "passport.csv"


def foreign_folder(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "contact.csv").write_text("x")
    return "sub"


def link_as_file(folder):
    (folder / "contact.csv").unlink()
    (folder / "contact.csv").symlink_to("/etc/passwd")
    return "contact.csv"


def link_to_a_folder(folder):
    (folder / "link").symlink_to("/etc")
    return "link"


def fifo(folder):
    os.mkfifo(folder / "pipe")
    return "pipe"


def sums_as_link(folder):
    (folder / "SHA256SUMS").rename(folder.parent.parent / "sums")
    (folder / "SHA256SUMS").symlink_to(folder.parent.parent / "sums")
    return "SHA256SUMS"


def sums_as_fifo(folder):
    (folder / "SHA256SUMS").unlink()
    os.mkfifo(folder / "SHA256SUMS")
    return "SHA256SUMS"


def no_sums(folder):
    (folder / "SHA256SUMS").unlink()
    return r"\(its SHA256SUMS is missing\)"


def unreadable_name(folder):
    (folder / "a\nb\x1bé").write_text("x")
    return r"a\?b\?\?\?"


@pytest.mark.parametrize("do", [foreign_file, foreign_folder, link_as_file, link_to_a_folder, fifo, sums_as_link,
                                sums_as_fifo, no_sums, unreadable_name])
def test_what_is_not_the_archives_is_refused(archived, do):
    j = archived()
    delete(j)
    name = do(j.folder)
    before = sorted(p.name for p in j.folder.iterdir())
    status, lines = tidy(j)
    assert status == REFUSED and re.search(name, lines), lines
    assert sorted(p.name for p in j.folder.iterdir()) == before
    row = j.row()
    assert row["archive_removed_at"] is None and re.search(name, row["archive_remark"])
    # Said once, and still refused.
    assert tidy(j) == (REFUSED, "")


def test_a_link_in_place_of_the_folder(archived, tmp_path):
    j = archived()
    victim = plant(tmp_path)
    delete(j)
    shutil.rmtree(j.folder)
    j.folder.symlink_to(victim)
    status, lines = tidy(j)
    assert status == REFUSED and "is a symbolic link or a file" in lines
    j.folder.unlink()
    (j.archives / (j.folder.name + ".deleted")).symlink_to(victim)
    assert tidy(j)[0] == REFUSED
    assert len(list(victim.iterdir())) == 3


def test_a_file_that_comes_after_the_rename(archived):
    j = archived()
    delete(j)
    assert tidy(j, "remove-after-rename:1")[0] == KILLED
    aside = j.archives / (j.folder.name + ".deleted")
    (aside / "mine.txt").write_text("x")
    status, lines = tidy(j)
    assert status == REFUSED and "mine.txt" in lines and j.row()["archive_removed_at"] is None
    (aside / "mine.txt").unlink()
    assert tidy(j)[0] == DONE and is_removed(j)


def test_a_folder_that_is_not_there(archived):
    """Noted, and not taken for removed: what is not there today may be on a disk that is not mounted."""
    j = archived()
    delete(j)
    away = j.archives.parent / "away"
    j.folder.rename(away)
    status, lines = tidy(j)
    assert status == REFUSED and "its folder is not there" in lines
    row = j.row()
    assert row["archive_removed_at"] is None and row["archive_remark"].startswith("its folder is not there: put it back, or")
    # Nobody else's business.
    assert tidy(j, host="otherhost") == (DONE, "")
    away.rename(j.folder)
    assert tidy(j)[0] == DONE and is_removed(j)


def test_without_the_archive_folder(archived):
    j = archived()
    delete(j)
    j.archives.rename(j.archives.parent / "away")
    status, lines = tidy(j)
    assert status == REFUSED and "cannot open archives.directory" in lines and j.row()["archive_removed_at"] is None


def test_another_host_leaves_it_or_reaches_it(archived):
    j = archived()
    delete(j)
    away = j.archives.parent / "away"
    j.folder.rename(away)
    assert tidy(j, host="otherhost") == (DONE, "") and j.row()["archive_remark"] is None
    away.rename(j.folder)
    assert tidy(j, host="otherhost")[0] == DONE and is_removed(j)


def test_the_day_of_another_time_zone(archived):
    """The folder keeps the day that it was named by, whatever the time zone is by now."""
    j = archived()
    name = j.folder.name
    day = j.value("SELECT to_char(requested_at AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD') "
                  "FROM retention.archive_journal")
    j.folder = j.folder.rename(j.archives / (day + name[8:]))
    set_row(j, f"archive_path = '{j.folder}'")
    delete(j)
    assert tidy(j)[0] == DONE and is_removed(j)


def test_two_at_work(archived):
    """One holds the action's lock: the other leaves the folder alone."""
    j = archived()
    delete(j)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(CLAIM, (j.id,))
        assert tidy(j) == (DONE, "") and j.folder.is_dir()
    assert tidy(j)[0] == DONE and is_removed(j)


def test_an_archive_never_sealed(archived):
    """Of an action that failed: its segments go."""
    j = archived()
    partial = j.folder.rename(str(j.folder) + ".partial")
    (partial / "contact.csv").rename(partial / "contact.csv.0")
    (partial / "contact.csv.1").write_text("x")
    (partial / "request.csv.age.tmp").write_text("x")
    (partial / "old.csvs.csv.0").write_text("x")
    set_row(j, "status = 'failed'")
    delete(j)
    assert tidy(j, "remove-mid-files:2")[0] == KILLED
    assert entries(j) == [partial.name + ".deleted"]
    assert tidy(j)[0] == DONE and is_removed(j)


def test_as_the_daemons_role(archived):
    j = archived()
    j.daemon.configure(user=j.pg.plain_role(j.db), archives={"keep": "1 day"})
    delete(j)
    assert tidy(j)[0] == DONE and is_removed(j)
    assert j.value("SELECT count(*) FROM retention.journal_event WHERE details ? 'archive_removed_at'") == 1


# --- Expiry -------------------------------------------------------------------------------------


def test_expiry(archived):
    """To the second, by the calendar of the configured time zone, and not a second before."""
    j = archived()
    # Noon in Paris, summer and winter: five years of days and hours would be another moment.
    set_row(j, "finished_at = '2020-02-29 12:00 Europe/Paris', requested_at = '2020-02-29 11:00 Europe/Paris'")
    j.folder = j.folder.rename(j.archives / ("20200229" + j.folder.name[8:]))
    set_row(j, f"archive_path = '{j.folder}'")
    j.daemon.configure(archives={"keep": "6 months"}, database={"timezone": "Europe/Paris"})
    set_clock(j.pg, j.db, "2020-08-29 11:59:59 Europe/Paris")
    assert tidy(j) == (DONE, "") and j.folder.is_dir()
    set_clock(j.pg, j.db, "2020-08-29 12:00:00 Europe/Paris")
    assert tidy(j, "tidy-after-mark:1")[0] == KILLED
    row = j.row()
    assert row["archive_deleted_by"] == "expiry" and j.folder.is_dir()
    assert tidy(j)[0] == DONE and is_removed(j)


@pytest.mark.parametrize("session", ["Asia/Tokyo", "America/Lima"])
def test_kept_by_the_calendar_of_the_zone(archived, session):
    """Wherever the session is, and whatever day it is there."""
    j = archived()
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(f"SET TimeZone = '{session}'")
        for since, until in [("2020-02-29 23:30", "2020-08-29 23:30"), ("2019-08-31 12:00", "2020-02-29 12:00"),
                             ("2020-03-31 00:30", "2020-09-30 00:30")]:
            cur.execute("SELECT retention.kept_until(%s, '6 months', 'Europe/Paris') = %s::timestamptz",
                        (f"{since} Europe/Paris", f"{until} Europe/Paris"))
            assert cur.fetchone() == (True,), since


def test_without_keep_nothing_expires(archived):
    j = archived()
    set_row(j, "finished_at = '1990-01-01'")
    assert tidy(j) == (DONE, "") and j.folder.is_dir()


def test_expiry_is_the_hosts_own(archived):
    """Another host's archive does not expire by this host's configuration, unless it can be reached."""
    j = archived()
    set_row(j, "finished_at = '1990-01-01'")
    j.daemon.configure(archives={"keep": "1 day"})
    away = j.archives.parent / "away"
    j.folder.rename(away)
    assert tidy(j, host="otherhost") == (DONE, "") and j.row()["archive_deleted_at"] is None
    away.rename(j.folder)
    assert tidy(j)[0] == DONE and is_removed(j)


def test_a_wrong_clock_lets_nothing_expire(archived):
    """A person's deletion is carried out all the same."""
    j = archived()
    set_row(j, "finished_at = '1990-01-01'")
    j.daemon.configure(archives={"keep": "1 day"})

    def set_clock_back():
        """The newest event lies in the future."""
        j.pg.tamper(
            j.db, "INSERT INTO retention.journal_event SELECT max(id) + 1, now() + interval '1 hour', NULL, 'noted', "
            "'x', '{}', '', '' FROM retention.journal_event")

    set_clock_back()
    status, lines = tidy(j)
    assert status == REFUSED and "clock is" in lines and j.folder.is_dir() and j.row()["archive_deleted_at"] is None
    delete(j)
    set_clock_back()
    status, lines = tidy(j)
    assert status == REFUSED and "clock is" in lines and is_removed(j)


# --- Encryption -----------------------------------------------------------------------------------


def check_encrypted(j, key, opened):
    """Done, and the archive holds, decrypted, what check_archive() wants of a plain one."""
    row = j.row()
    assert row["status"] == "done" and j.left() == 0
    folder = Path(row["archive_path"])
    assert entries(j) == [folder.name]
    names = {p.name for p in folder.iterdir()}
    assert {n for n in names if not n.endswith(".csv.age")} == PLAIN
    assert all((p.stat().st_mode & 0o777) == 0o600 for p in folder.iterdir())
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    assert row["archive_bytes"] == sum(f.stat().st_size for f in folder.glob("*.age"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["encryption"], manifest["recipients"]) == ("age", [key.public])
    opened.mkdir()
    sums = ""
    for entry in manifest["files"]:
        data = key.decrypt(folder / entry["name"])
        assert len(data) == entry["plain_bytes"] and entry["bytes"] == (folder / entry["name"]).stat().st_size
        entry["name"] = entry["name"].removesuffix(".age")
        (opened / entry["name"]).write_bytes(data)
        sums += f"{entry['plain_sha256']}  {entry['name']}\n"
    (opened / "SHA256SUMS").write_text(sums)
    (opened / "manifest.json").write_text(json.dumps(manifest))
    check_archive(j, {**row, "archive_path": str(opened), "archive_bytes": sum(e["plain_bytes"] for e in manifest["files"])})
    check_counters(j, row)
    verified = j.daemon.ctl("archive", "verify", j.id)
    assert f"the archive of action {j.id} is intact\n" in verified.stdout


def test_encrypted_is_what_would_have_been_plain(job, key, tmp_path):
    limits = {"workers": 1, "batch_rows": 500}
    plain = job(limits=limits)
    assert plain.run() == DONE
    j = job(limits=limits, archives={"recipients": [key.public]})
    assert j.run() == DONE, j.last.text()
    check_encrypted(j, key, tmp_path / "opened")
    check_all_erased(j)
    files = sorted(p.name for p in Path(plain.row()["archive_path"]).glob("*.csv"))
    assert files == sorted(p.name for p in (tmp_path / "opened").glob("*.csv"))
    for name in files:
        one, two = ((folder / name).read_bytes() for folder in (Path(plain.row()["archive_path"]), tmp_path / "opened"))
        assert sorted(one.split(b"\n")) == sorted(two.split(b"\n")), name
    # And it goes as a plain one does.
    delete(j)
    assert tidy(j)[0] == DONE and is_removed(j)


def test_several_recipients(job, key, tmp_path):
    """Each can read it alone; an SSH key is one, too."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", tmp_path / "ssh"], check=True)
    ssh = (tmp_path / "ssh.pub").read_text().strip()
    j = job("export", "listed", archives={"recipients": [key.public, ssh]})
    assert j.run() == DONE, j.last.text()
    for path in Path(j.row()["archive_path"]).glob("*.age"):
        other = subprocess.run(["age", "-d", "-i", tmp_path / "ssh", path], check=True, stdout=subprocess.PIPE).stdout
        assert key.decrypt(path) == other != b""


@pytest.mark.parametrize("point", ENCRYPTION)
def test_encryption_killed_at(job, key, tmp_path, point):
    j = job(archives={"recipients": [key.public]})
    assert j.run(f"{point}:1") == KILLED
    second = j.run(f"{point}:3") if point.startswith("encrypt-") else DONE
    assert second in (DONE, KILLED) and (j.row()["status"] == "done" or j.run() == DONE), j.last.text()
    check_encrypted(j, key, tmp_path / "opened")
    check_all_erased(j)


def test_encryption_points_are_known():
    assert {p for p in ENCRYPTION if p.startswith("encrypt-")} == {
        "encrypt-after-note", "encrypt-before-rename", "encrypt-after-rename", "encrypt-after-unlink"}


def test_killed_at_every_file(job, key, tmp_path):
    """Plain files go one by one, each dying taking one along; nothing is joined anew from what is gone."""
    j = job(archives={"recipients": [key.public]})
    kills = 0
    while (status := j.run("encrypt-after-unlink:1")) == KILLED:
        kills += 1
    assert status == DONE and kills > 5, j.last.text()
    check_encrypted(j, key, tmp_path / "opened")
    check_all_erased(j)


@pytest.mark.parametrize("after", ["none", "another"])
def test_recipients_change_in_the_middle(job, key, tmp_path, after):
    """What was begun under some recipients is ended under them."""
    (tmp_path / "other").mkdir()
    j = job(archives={"recipients": [key.public]})
    assert j.run("encrypt-after-unlink:2") == KILLED
    j.daemon.configure(archives={"recipients": [Key(tmp_path / "other").public]} if after == "another" else {})
    assert j.run() == DONE, j.last.text()
    check_encrypted(j, key, tmp_path / "opened")


def fake_age(folder, script):
    """A PATH on which age is this script; {age} stands for the real one."""
    folder.mkdir(exist_ok=True)
    (folder / "age").write_text("#!/bin/sh\n" + script.format(age=shutil.which("age"), folder=folder) + "\n")
    (folder / "age").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


# Of the calls that have something to encrypt, the second and the third fail; the trial run's input is empty.
SECOND = """
[ /dev/stdin -ef /dev/null ] && exec {age} "$@"
n=$(cat {folder}/n 2>/dev/null || echo 0); echo $((n + 1)) >{folder}/n
case $n in 1 | 2) %s ;; esac
exec {age} "$@"
"""


@pytest.mark.parametrize("how, says", [
    ("echo 'age: error: no space left on device' >&2; exit 1", "no space left on device"),
    ("kill -9 $$", "ended by signal 9"),
    ("head -c 20; exit 1", "age has failed"),
    ("exit 0", "is not an encrypted file"),
    ("cat; exit 0", "is not an encrypted file"),
    ("cat; echo more; exit 0", "is not an encrypted file"),
    ("echo age-encryption.org/v1; exit 0", "is not an encrypted file"),
], ids=["full", "killed", "cut", "nothing", "copy", "longer copy", "head"])
def test_age_fails_and_is_tried_again(job, key, tmp_path, how, says):
    j = job(archives={"recipients": [key.public]})
    assert j.run(env=fake_age(tmp_path / "bin", SECOND % how)) == DONE, j.last.text()
    assert j.last.waits_for(says), j.last.text()
    check_encrypted(j, key, tmp_path / "opened")
    check_all_erased(j)


def test_without_age_nothing_is_touched(job, key, tmp_path):
    j = job(archives={"recipients": [key.public]})
    (tmp_path / "empty").mkdir()
    assert j.run(env={"PATH": str(tmp_path / "empty")}) == REFUSED
    assert "cannot run age" in j.last.note() and "install the Debian package age" in j.last.note()
    assert j.row()["status"] == "saved" and not j.ledger() and entries(j) == []
    # Where nothing is archived nothing has to be encrypted.
    other = job("delete_contacts", "none", archives={"recipients": [key.public]})
    assert other.run(env={"PATH": str(tmp_path / "empty")}) == DONE, other.last.text()


def test_checked_at_t(daemon, key, tmp_path):
    (tmp_path / "empty").mkdir()
    d = daemon(archives={"recipients": [key.public]})
    assert d.check_config().returncode == 0
    done = d.check_config(env={"PATH": str(tmp_path / "empty")})
    assert done.returncode == 1 and "archives.recipients: cannot run age" in done.stderr
    # Of the right form, and no key: age looks at its checksum.
    wrong = key.public[:-1] + ("q" if key.public[-1] != "q" else "p")
    d.configure(archives={"recipients": [wrong]})
    done = d.check_config()
    assert done.returncode == 1 and re.search(r"retentiond\.conf:\d+: archives\.recipients: .*age", done.stderr), done.stderr
    d.configure(archives={"recipients": [key.public]})
    again = d.check_config("-v")
    assert f'recipients = [ "{key.public}" ];' in again.stdout


@pytest.mark.parametrize("recipients", [["age1x"], [""], [], "age1x", ["AGE-SECRET-KEY-1QQPQ"], ["age1yubikey1qqqqqqqq"],
                                        ["--help"], ["ssh-dss AAAA"], [7]])
def test_recipients_of_the_wrong_form(daemon, recipients):
    d = daemon(archives={"recipients": recipients}, migrate=False)
    done = d.check_config()
    assert done.returncode == 1 and re.search(r"retentiond\.conf:\d+: archives: recipients", done.stderr), done.stderr
    assert "1QQPQ" not in done.stderr


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "plain"])
def test_verify_what_is_stored(archived, key, damage):
    j = archived(archives={"recipients": [key.public]})
    path = sorted(j.folder.glob("*.age"))[0]
    data = path.read_bytes()
    if damage == "flip":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "gone":
        path.unlink()
    else:
        path.write_bytes(key.decrypt(path))
    done = j.daemon.ctl("archive", "verify", j.id, check=False)
    assert done.returncode == 1 and f"{path.name}: FAILED" in done.stdout


def test_an_orphan_cannot_write_into_the_archive(job, key, tmp_path):
    """age dies with the job that started it."""
    j = job(archives={"recipients": [key.public]})
    script = '[ /dev/stdin -ef /dev/null ] && exec {age} "$@"\necho $$ >{folder}/pid; exec sleep 600'
    env = fake_age(tmp_path / "bin", script)
    run = j.start(env=env)
    pid = int(wait_until(lambda: (tmp_path / "bin/pid").exists() and (tmp_path / "bin/pid").read_text().strip()))
    run.kill()

    def gone():
        with contextlib.suppress(OSError):
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        return True

    wait_until(gone)
    assert j.run() == DONE, j.last.text()
    check_encrypted(j, key, tmp_path / "opened")


def test_the_manifest_says_who_wanted_it(make, pg):
    """The database can forget it, by a restored backup."""
    d = make(SCHEMA + TWO, model(), policy(archive="full"))
    d.once()
    (day,), = pg.sql(d.db, "UPDATE request SET at = (now() - interval '2 months')::date + interval '12 hours' WHERE contact_id = 2 RETURNING at::date::text")
    for who, group in (("wanted_by", "operator"), ("validated_by", "approver")):
        pg.sql(d.db, f"DROP ROLE IF EXISTS {who}; CREATE ROLE {who} LOGIN IN ROLE retention_{group}")
    ctl(pg, d.db, "save", "export", "--from", day, "--to", day, "--archive", "full", user="wanted_by")
    d.once()
    assert ctl(pg, d.db, "validate", 2, user="validated_by").returncode == 0
    d.once()
    found = {j: json.loads((Path(path) / "manifest.json").read_text()) for j, path in pg.sql(d.db, "SELECT id, archive_path FROM retention.archive_journal")}
    assert {j: (m["requested_by"], m["validated_by"]) for j, m in found.items()} == {1: (pg.SUPERUSER, "policy p"), 2: ("wanted_by", "validated_by")}
