"""
What has to be on the disk before the next step: no sync is left out, none comes too late, and each may fail once without
a row that is erased and in no archive.
"""

import re
from types import SimpleNamespace

import pytest

from support.harness import wait_until
from support.jobs import DONE, KILLED, REFUSED, Run, tidy
from support.small import SCHEMA, archived, keys, model, policy

HEAD = ["identity.tmp", ".", "ledger", "."]  # whose folder it is, and the head of the ledger: once
BEGIN = ["ledger", ".", "PARTIAL"]  # the ledger was compared; the folder's name; the segments' names
BATCH = ["PARTIAL/request.csv.0", "PARTIAL/contact.csv.0"]


def written(name):
    """A small file is written under another name, and renamed."""
    return [f"PARTIAL/{name}.tmp", "PARTIAL"]


def encrypted(name):
    return [f"PARTIAL/{name}.age.tmp", "PARTIAL"]


JOINED = [*written("lengths.json"), "PARTIAL/request.csv", "PARTIAL/contact.csv", "PARTIAL"]
SEALED = [*written("SHA256SUMS"), *written("manifest.json"), "PARTIAL", "."]
END = ["ledger"]
NOTED = ["ledger"]  # its last hash is in the journal: a sync that fails is made up for by the next check
ENCRYPTED = [*written("SHA256SUMS.plain"), *encrypted("request.csv"), *encrypted("contact.csv"), "PARTIAL"]
PASS = {"full": [*BEGIN, *BATCH, *JOINED, *SEALED, *END], "encrypted": [*BEGIN, *BATCH, *JOINED, *ENCRYPTED, *SEALED, *END]}
REMOVED = [".", "DELETED", "DELETED", "DELETED", "."]


@pytest.fixture
def disk(make, preload, tmp_path):
    """A daemon's database and folder, in which contact after contact becomes due and is deleted."""
    d = make(SCHEMA + "; INSERT INTO contact (id) VALUES (0)", model(), limits={"workers": 1, "max_share": 1.0})
    d.env_of_jobs, d.sync_log = preload, tmp_path / "syncs"
    return d


def syncs(d):
    """What was synced since the last call."""
    lines = d.sync_log.read_text().splitlines() if d.sync_log.exists() else []
    d.sync_log.write_text("")
    names = []
    for line in lines:
        name = line.removeprefix(str(d.archives)).removeprefix("/") or "."
        names.append(re.sub(r"^\d{8}-delete_contacts-p\d+-\d+\.", "", name).replace("partial", "PARTIAL").replace("deleted", "DELETED"))
    return names


def one_more(d, n, fault="", failpoint=None, again=False):
    """The job that deletes contact n, or goes on with it; its exit status."""
    if not again:
        d.pg.sql(d.db, f"INSERT INTO contact (id, name) VALUES ({n}, 'n{n}');"
                       f"INSERT INTO request (contact_id, at) VALUES ({n}, '2015-01-01')")
        d.configure(policies=[policy(name=f"p{n}", archive="full")])
        d.number = d.pg.value(d.db, "SELECT retention.begin_occurrence(%s, 'daily', now(), now(), 'delete_contacts', '18 months', 'full')",
                              (f"p{n}",))
    d.run_of_job = Run(SimpleNamespace(daemon=d, id=d.number, processes=[]), failpoint=failpoint,
                       env={**d.env_of_jobs, "DISK_LOG": str(d.sync_log), "DISK_FAULT": fault})
    return d.run_of_job.wait()


def check_erased(d, n, identity=None):
    row, = d.jobs(f"id = {d.number}")
    assert (row["status"], row["error"]) == ("done", None) and keys(d.pg, d.db) == {0}
    if not identity:
        assert [key for key, *_ in archived(d, "contact", row)] == [str(n)]
    assert d.ctl("archive", "verify", d.number).returncode == 0


@pytest.mark.parametrize("kind", PASS)
def test_each_sync_of_a_pass_fails(disk, key, kind):
    d, identity = disk, key if kind == "encrypted" else None
    if identity:
        d.configure(archives={"recipients": [key.public]})
    assert one_more(d, 1) == DONE, d.run_of_job.text()
    assert syncs(d) == HEAD + PASS[kind] + NOTED
    before = len([*BEGIN, *BATCH, *JOINED])  # fail in the plain pass
    for n in range(before + 1, before + len(ENCRYPTED) + 1) if identity else range(1, len(PASS[kind]) + 1):
        assert one_more(d, n + 1, f"sync:{n}") == DONE, d.run_of_job.text()
        assert d.run_of_job.waits_for("Input/output error"), f"the {n}th sync: {d.run_of_job.text()}"
        check_erased(d, n + 1, identity)
        tried = syncs(d)
        failed = PASS[kind][n - 1]
        assert tried[:n] == PASS[kind][:n] and failed in tried[n:], f"the {n}th sync, of {failed}, was not tried again"
    assert one_more(d, 1000, f"sync:{len(PASS[kind]) + 1}") == DONE
    assert not d.run_of_job.waits_for("Input/output error")
    assert syncs(d) == PASS[kind] + NOTED
    assert d.pg.value(d.db, "SELECT kind FROM retention.journal_event ORDER BY id DESC LIMIT 1") != "ledger_noted"


def test_before_the_commit(disk):
    """What the batch has archived is on the disk before the rows are gone for good."""
    assert one_more(disk, 1, failpoint="batch-before-commit") == KILLED
    assert syncs(disk) == HEAD + BEGIN + BATCH
    wait_until(lambda: disk.pg.value(disk.db, """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'retention-job'""") == 0)
    assert one_more(disk, 1, again=True) == DONE
    check_erased(disk, 1)


def test_each_sync_of_a_removal_fails(disk):
    d = disk
    for n in range(len(REMOVED) + 1):
        assert one_more(d, n + 1) == DONE, d.run_of_job.text()
        syncs(d)
        d.pg.sql(d.db, "SELECT retention.delete_archive(%s)", (d.number,))
        status, said = tidy(d, env={**d.env_of_jobs, "DISK_LOG": str(d.sync_log), "DISK_FAULT": f"sync:{n}"})
        assert syncs(d)[:n or None] == REMOVED[:n or None]
        assert (status == DONE) == (n == 0) and ("Input/output error" in said) == (n > 0), said
        removed = d.jobs(f"id = {d.number}")[0]["archive_removed_at"]
        assert bool(removed) == (n in (0, len(REMOVED)))
        assert tidy(d) == (DONE, "" if removed else "note the files of 1 archive were removed\n"), n
        assert d.jobs(f"id = {d.number}")[0]["archive_removed_at"]
        assert {p.name for p in d.archives.iterdir()} == {"identity", "ledger"}


def test_a_folder_is_exchanged_while_it_is_removed(disk, tmp_path):
    """Between the look at the folder and its new name: what has the name then is another's, and keeps its files."""
    d, other = disk, disk.archives.parent / "other"
    assert one_more(d, 1) == DONE
    other.mkdir()
    (other / "contact.csv").write_text("precious")
    d.pg.sql(d.db, "SELECT retention.delete_archive(%s)", (d.number,))
    status, said = tidy(d, env={**d.env_of_jobs, "DISK_FAULT": "exchange:1", "DISK_OTHER": str(other)})
    assert status == REFUSED and "was exchanged while it was removed" in said
    assert not d.jobs(f"id = {d.number}")[0]["archive_removed_at"]
    assert [p.read_text() for p in d.archives.glob("*.deleted/*")] == ["precious"]
    assert {p.name for p in (d.archives / "aside").iterdir()} == {"contact.csv", "request.csv", "SHA256SUMS", "manifest.json"}
