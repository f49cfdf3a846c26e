"""The version: all programs print the newest one that conf/NEWS names, and the commit that was built."""

import re
import shutil
import subprocess

import pytest

from support.harness import BUILD, REPO

pytestmark = pytest.mark.unsanitized("no program does more than to print")
NEWEST = re.search(r"^retentiond ([0-9.]+), (not released yet|\d{4}-\d\d-\d\d)$", (REPO / "conf/NEWS").read_text(), re.M)[1]


@pytest.mark.parametrize("program", ["retentiond", "retention-job", "retentionctl", "retentiond-web"])
def test_every_program_prints_it(program):
    done = subprocess.run([BUILD / program, "--version"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"{program} {re.escape(NEWEST)}( \(commit [0-9a-f]{{7,}}(, modified)?\))?\n", done.stdout)


def write(folder, commit=""):
    """version.sh in that folder; the text that the programs would print."""
    subprocess.run(["sh", REPO / "daemon/base/version.sh", "1.2", commit, "version.c"], cwd=folder, check=True, timeout=20)
    return re.search(r'program_build\[\] = "(.*)"', (folder / "version.c").read_text())[1]


def test_the_commit_is_gits_or_the_packagers(tmp_path):
    def git(*args):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *args], cwd=tmp_path, check=True,
                       capture_output=True, timeout=20)

    assert write(tmp_path) == "1.2"  # a tarball
    assert write(tmp_path, "abc1234") == "1.2 (commit abc1234)"
    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    built = write(tmp_path)
    assert re.fullmatch(r"1\.2 \(commit [0-9a-f]{9}\)", built)
    before = (tmp_path / "version.c").stat().st_mtime_ns
    assert write(tmp_path) == built
    assert (tmp_path / "version.c").stat().st_mtime_ns == before  # nothing is linked anew
    (tmp_path / "file").write_text("2")
    assert write(tmp_path) == built[:-1] + ", modified)"
    (tmp_path / "file").write_text("1")
    write(tmp_path)
    (tmp_path / ".git/HEAD").write_text("damaged: git refuses, as in the tree of another user")
    assert write(tmp_path) == built


def test_a_job_of_another_version_refuses(daemon, tmp_path):
    """An upgrade replaces the files under a daemon that runs, which then starts the new program."""
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    shutil.copy(BUILD / "retentiond", mixed)
    (mixed / "retentionctl").symlink_to(BUILD / "retentionctl")
    job = mixed / "retention-job"
    job.symlink_to(BUILD / "retention-job")
    d = daemon(build=mixed, policies=[{"name": "contacts-36m", "action": "delete_contacts", "depth": "36 months",
                                       "schedule": "yearly", "archive": "full"}])
    d.start()
    d.wait_for_log("ready: ")
    job.unlink()
    job.write_text(f'#!/bin/sh\nexec "{BUILD}/retention-job" "$@" --build 0.0\n')
    job.chmod(0o755)
    since = d.log_position()
    [[number]] = d.pg.sql(d.db, """SELECT retention.begin_occurrence('contacts-36m', 'yearly', now(), now() + interval '1 day',
        'delete_contacts', '36 months', 'full')""")
    d.pg.sql(d.db, f"NOTIFY retention, 'saved {number}'")
    d.wait_for_log(f"retention-job is version {re.escape(NEWEST)}.*, and the daemon that started it is version 0.0: restart the daemon",
                   since=since)
    assert d.jobs()[0]["started_at"] is None
    job.unlink()
    job.symlink_to(BUILD / "retention-job")
    assert d.stop() == 0
    d.once()  # as a daemon that was restarted
    assert [job["status"] for job in d.jobs()] == ["done"]
