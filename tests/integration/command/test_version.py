"""The version: all programs print the newest one that conf/NEWS names, and the commit that was built."""

import re
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
