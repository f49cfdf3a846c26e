"""archives.group_readable: a finished archive is open to the group of its folder, and to nobody else; what is not finished is not."""

import os
import pwd
import shutil
import stat
import subprocess

import pytest

from support import small
from support.harness import BUILD
from support.restores import NOTES, SCHEMA_OF_NOTES

POLICY = {"name": "p", "action": "delete_contacts", "depth": "18 months", "schedule": "daily", "archive": "full"}
root = pytest.mark.skipif(os.getuid() != 0, reason="only root can act as others")
GROUP = 4711  # nobody's: it needs no name


@pytest.fixture
def readable(make):
    def start(mode=0o2750, **kwargs):
        d = make(SCHEMA_OF_NOTES, small.model(note=NOTES), POLICY, archives={"group_readable": True}, **kwargs)
        if os.getuid() == 0:
            os.chown(d.archives, 0, GROUP)
        os.chmod(d.archives, mode)
        return d
    return start


def modes(folder):
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}


def person(d, group, *args):
    """retentionctl as somebody who is in that group alone, and a superuser in the database."""
    for path in (d.dir, *d.dir.parents):  # pytest's folders are root's alone
        if len(path.parts) > 2 and os.stat(path).st_uid == 0:
            os.chmod(path, os.stat(path).st_mode | 0o011)
    for path in d.dir.glob("*.conf"):
        os.chmod(path, 0o644)
    shutil.copy(BUILD / "retentionctl", d.dir)
    # Somebody who reaches the server's socket, which belongs to the server's user.
    uid = pwd.getpwnam("postgres").pw_uid
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={group}", "--clear-groups", d.dir / "retentionctl", "-c", d.path, *args],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd="/")


@root
def test_who_reads_it(readable):
    """One of the group verifies and restores, without root and without the daemon's user; another cannot open it."""
    d = readable()
    before = d.pg.sql(d.db, "SELECT * FROM contact, note ORDER BY 1, 6")
    d.once()
    job = d.jobs()[-1]
    folder = d.archives / os.path.basename(job["archive_path"])
    assert job["status"] == "done" and set(modes(folder).values()) == {0o750, 0o640} and len(modes(folder)) > 4
    assert folder.stat().st_gid == GROUP and all(path.stat().st_gid == GROUP for path in folder.iterdir())
    done = person(d, 65534, "archive", "verify", "1")
    assert done.returncode == 1 and "Permission denied" in done.stderr
    done = person(d, GROUP, "archive", "verify", "1")
    assert done.returncode == 0 and "the archive of action 1 is intact" in done.stdout, done.stderr
    done = person(d, GROUP, "archive", "restore", "1")
    assert done.returncode == 0, done.stderr
    assert d.pg.sql(d.db, "SELECT * FROM contact, note ORDER BY 1, 6") == before
    # The ledger says who was erased, and is nobody's to read.
    for path in d.archives.iterdir():
        assert path in (folder, d.archives / "identity") or not path.stat().st_mode & 0o077, path


def test_by_default_it_is_closed(make):
    d = make(SCHEMA_OF_NOTES, small.model(note=NOTES), POLICY)
    d.once()
    assert set(modes(d.archives / os.path.basename(d.jobs()[-1]["archive_path"])).values()) == {0o700, 0o600}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o2700])
def test_a_folder_that_gives_no_group(readable, mode):
    """-t says what to do; nothing is erased."""
    d = readable(mode)
    done = d.check_config()
    assert done.returncode == 1 and f"group_readable opens archives to the group of \"{d.archives}\", which has mode {mode:04o}: chgrp it" in done.stderr
    d.once(check=False)
    assert small.keys(d.pg, d.db) == {1, 2, 3}


@root
@pytest.mark.parametrize("failpoint", ["finish-after-manifest:1", "seal-after-segments:1", "finish-after-seal:1"])
def test_it_dies_before_it_is_finished(readable, failpoint):
    """What has its last name is open as a whole; what has not is closed."""
    d = readable()
    d.once(failpoint=failpoint, check=False)
    for folder in d.archives.glob("*.partial"):
        assert set(modes(folder).values()) <= {0o700, 0o600, 0o2700}, modes(folder)
    d.once()
    folder = d.archives / os.path.basename(d.jobs()[-1]["archive_path"])
    assert set(modes(folder).values()) == {0o750, 0o640} and not list(d.archives.glob("*.partial"))
