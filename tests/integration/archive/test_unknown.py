"""
Archives that the journal does not know, because a backup from before their action is in the database's place:
listed, verified, expired and deleted; and their numbers, which no other action gets.
"""

import json
import os
import re
import shutil

import psycopg2
import pytest

from support.backup import put_back
from support.ctl import said
from support.jobs import DONE, KILLED, REFUSED, tidy
from support.small import policy

EXPORT = policy("export", archive="listed")


@pytest.fixture
def forgotten(daemon):
    """A Daemon whose database has forgotten its first pass, and the name of the archive."""

    def make(action="export", archive="listed", **config):
        d = daemon(contacts=60, policies=[policy(action, archive=archive)], **config)
        dump = d.pg.dump(d.db)
        d.once()
        name = os.path.basename(d.jobs()[-1]["archive_path"])
        put_back(d, dump)
        return d, name

    return make


def listed(d):
    return [row for row in json.loads(d.ctl("archive", "list", "--json").stdout) if row["status"] == "not in the journal"]


def events(d):
    return d.pg.sql(d.db, """SELECT kind, details->>'name', details->>'deleted_by' FROM retention.journal_event
                             WHERE kind ~ '^unknown' ORDER BY id""")


def expire(d, *keep, status=DONE):
    """Looks for expired archives, as the daemon does each hour; returns what it says."""
    d.configure(archives={"keep": keep[0]} if keep else {})
    done, lines = tidy(d)
    assert done == status, lines
    return lines


def test_a_number_is_never_given_again(forgotten):
    """An export leaves no line in the ledger; its folder tells that the number was used."""
    d, name = forgotten()
    d.once()  # twice, as the daemon would be run by hand
    d.once()
    assert [(j["id"], j["status"]) for j in d.jobs()] == [(2, "done")]
    assert {p.name for p in d.archives.iterdir()} - {"ledger", "identity"} == {name, os.path.basename(d.jobs()[0]["archive_path"])}


@pytest.mark.parametrize("left", ["{}.partial", "{}.deleted", "{}.partial.deleted"])
def test_the_number_of_an_unfinished_folder(forgotten, left):
    d, name = forgotten()
    (d.archives / name).rename(d.archives / left.format(name.replace("-1", "-41")))
    (d.archives / "20250101-nothing-of-ours-99").mkdir()
    d.once()
    assert [j["id"] for j in d.jobs()] == [42]


def test_the_numbers_of_the_ledger(forgotten):
    """Also of lines that a replay has put back into the table, when nothing else knows them."""
    d, name = forgotten()
    d.pg.tamper(d.db, "INSERT INTO retention.ledger (job, key, action) VALUES (70, 'x', 'delete_contacts')")
    d.configure(policies=[])
    d.once()
    assert d.pg.value(d.db, "SELECT retention.save_action('export', '2020-01-01', '2020-01-31')") == 71


def test_a_number_that_was_given_again_already(forgotten):
    """A person saves an action before the daemon has looked: it is refused, and can be cancelled."""
    d, name = forgotten()
    action = d.pg.value(d.db, "SELECT retention.save_action('export', '2020-01-01', '2020-01-31')")
    assert action == 1
    d.configure(policies=[])
    done = d.once(check=False)
    assert "has given number 1 again" in done.stderr and f'"{d.archives}/{name}" is the archive of an earlier action 1' in done.stderr
    assert d.jobs()[0]["status"] == "saved"
    d.ctl("cancel", 1)
    assert d.pg.value(d.db, "SELECT retention.save_action('export', '2020-01-01', '2020-01-31')") == 2
    assert d.once().returncode == 0
    expire(d)
    assert len(listed(d)) == 1


def test_listed_and_verified(forgotten):
    d, name = forgotten()
    assert "no archive" in d.ctl("archive", "verify", name, check=False).stderr
    expire(d)
    row, = listed(d)
    manifest = json.loads((d.archives / name / "manifest.json").read_text())
    size = sum(p.stat().st_size for p in (d.archives / name).iterdir())
    assert (row["id"], row["type"], row["policy"], row["file"], row["bytes"]) == (
        None, "export", "p", f"{d.archives}/{name}", size)
    assert d.pg.value(d.db, "SELECT %s::timestamptz = %s::timestamptz", (row["date"], manifest["finished"]))
    assert "not in the journal" in d.ctl("archive", "list").stdout
    done = d.ctl("archive", "verify", name)
    assert f"archive {name} is intact by its own sums; the journal does not know it\n" in done.stdout
    # Sums that were rewritten are not those with which the daemon found it, and do not become so.
    (d.archives / name / "manifest.json").write_text(json.dumps({**manifest, "cutoff": "x"}))
    expire(d)
    done = d.ctl("archive", "verify", name, check=False)
    assert done.returncode == 1 and "manifest.json: FAILED: it was changed since the daemon found the archive" in done.stdout
    assert done.stderr == f"retentionctl: the archive {name} is not intact: 1 finding\n"


def test_what_the_journal_knows_is_not_listed(daemon):
    d = daemon(contacts=60, policies=[EXPORT])
    d.once()
    expire(d)
    assert listed(d) == [] and d.jobs()[0]["archive_deleted_at"] is None


def test_the_files_of_a_removed_archive_come_back(daemon):
    """From a backup of the disk: they were deleted once, and are found again."""
    d = daemon(contacts=60, policies=[EXPORT])
    d.once()
    path = d.jobs()[0]["archive_path"]
    shutil.copytree(path, d.dir / "copy")
    d.pg.sql(d.db, "SELECT retention.delete_archive(1)")
    expire(d)
    assert not os.path.exists(path)
    shutil.move(d.dir / "copy", path)
    expire(d)
    assert [row["file"] for row in listed(d)] == [path]


@pytest.mark.parametrize("case", ["manifest", "files", "lie", "no JSON"])
def test_expires(forgotten, case):
    """From the manifest's time; without a manifest, or with one from the future, from the newest file's."""
    d, name = forgotten()
    d.configure(user=d.pg.plain_role(d.db))  # it has the rights to all of this
    manifest = d.archives / name / "manifest.json"
    old = {"manifest": "2001-01-01T00:00:00Z", "lie": "2999-01-01T00:00:00Z"}.get(case)
    if old:
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "finished": old}))
    elif case == "files":
        manifest.unlink()
    else:
        manifest.write_bytes(b"\xff{")
    if case != "manifest":
        expire(d, "1 day")
        assert len(listed(d)) == 1
        for file in (d.archives / name).iterdir():
            os.utime(file, (10**9, 10**9))
    expire(d)
    assert len(listed(d)) == 1
    expire(d, "1 day")
    assert listed(d) == [] and not (d.archives / name).exists()
    assert events(d) == [("unknown_archive_deleted", name, "expiry"), ("unknown_archive_removed", name, None)]
    assert d.ctl("verify").returncode == 0


@pytest.mark.parametrize("point", ["tidy-after-mark", "remove-mid-files", "remove-after-files", "tidy-before-record",
                                   "tidy-after-record"])
def test_killed_while_it_is_removed(forgotten, point):
    d, name = forgotten()
    expire(d)
    d.pg.tamper(d.db, "UPDATE retention.unknown_archive SET deleted_at = now(), deleted_by = 'x'")
    before = events(d)
    assert tidy(d, f"{point}:1")[0] == KILLED
    expire(d)
    expire(d)
    assert listed(d) == [] and {p.name for p in d.archives.iterdir()} <= {"ledger", "identity"}
    assert events(d)[len(before):] == [("unknown_archive_removed", name, None)]


def test_deleted_by_an_approver(forgotten):
    d, name = forgotten()
    (d.archives / name).rename(d.archives / f"{name}.partial")  # as a lost job leaves it
    for file in ("SHA256SUMS", "manifest.json"):
        (d.archives / f"{name}.partial" / file).unlink()
    expire(d)
    assert len(listed(d)) == 1
    assert "was never finished" in d.ctl("archive", "verify", name, check=False).stderr
    with pytest.raises(psycopg2.Error, match='no archive "x-1" is unknown to the journal'):
        d.pg.sql(d.db, "SELECT retention.delete_unknown_archive('x-1')")
    d.configure(policies=[])
    d.start()
    d.wait_for_log("ready: ")
    assert said(d.ctl("archive", "delete", name)) == (0, f"archive {name} is deleted\nits files are removed\n", "")
    assert d.stop() == 0
    assert not (d.archives / f"{name}.partial").exists() and listed(d) == []
    assert events(d) == [("unknown_archive_deleted", name, d.pg.SUPERUSER), ("unknown_archive_removed", name, None)]


def test_a_file_that_is_not_the_archives(forgotten):
    """Nothing is removed until a person has taken it away, and the list says why."""
    d, name = forgotten()
    expire(d)
    (d.archives / name / "mine.txt").write_text("mine")
    d.pg.sql(d.db, "SELECT retention.delete_unknown_archive(%s)", (name,))
    assert re.search(f'archive "{name}" is deleted, and its files are not: .*mine.txt', expire(d, status=REFUSED))
    assert "mine.txt" in listed(d)[0]["archive_remark"]
    with pytest.raises(psycopg2.Error, match="is deleted already"):
        d.pg.sql(d.db, "SELECT retention.delete_unknown_archive(%s)", (name,))
    (d.archives / name / "mine.txt").unlink()
    expire(d)
    assert listed(d) == [] and not (d.archives / name).exists()


def test_names_that_are_no_archives(daemon):
    """Files, links, other folders and odd names are left alone, and prevent nothing."""
    d = daemon(contacts=60, policies=[EXPORT])
    (d.archives / "20250101-export-p-7").write_text("a file")
    (d.archives / "20250101-export-p-8").symlink_to("/etc")
    (d.archives / "lost+found").mkdir()
    os.mkdir(os.fsencode(d.archives) + b"/20250101-export-\xff-9")
    d.once()
    expire(d)
    assert d.jobs()[0]["id"] == 9 and listed(d) == []
