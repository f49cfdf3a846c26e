"""What make install leaves on a host, and the unit of the page without a systemd (supervisor/test_systemd.py has one)."""

import os
import re
import shutil
import subprocess

import pytest

from support.harness import BUILD, REPO

UNIT = REPO / "systemd" / "retentiond-web.service"
pytestmark = pytest.mark.unsanitized("no program runs")


def make(*args):
    done = subprocess.run(["make", "-s", "-C", REPO, f"VARIANT={BUILD.name}", *args], capture_output=True, text=True,
                          timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


def test_install_and_uninstall(tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    files = {str(f.relative_to(tmp_path)): f.stat().st_mode & 0o7777 for f in tmp_path.rglob("*") if f.is_file()}
    local = "usr/local/"
    for name, mode in {
            local + "sbin/retentiond-web": 0o755, local + "share/man/man8/retentiond-web.8": 0o644,
            local + "share/man/man5/web.conf.5": 0o644, local + "lib/systemd/system/retentiond-web.service": 0o644,
            local + "share/doc/retentiond/nginx-retentiond-web.conf": 0o644,
            local + "share/doc/retentiond/retentiond-downloads.conf": 0o644,
            local + "share/doc/retentiond/retentiond-failure@.service": 0o644, "etc/retentiond/web.conf": 0o644}.items():
        assert files.get(name) == mode, name
    unit = (tmp_path / local / "lib/systemd/system/retentiond-web.service").read_text()
    assert re.findall(r"(\S+)/retentiond-web -", unit) == ["ExecStart=/usr/local/sbin", "ExecReload=/usr/local/sbin"]
    for name in ("retentiond", "retentiond-web"):
        users = (tmp_path / local / f"lib/sysusers.d/{name}.conf").read_text()
        assert re.findall(r"^u (\S+) - ", users, re.M) == [name]

    # Each unit under two names, and the example of a fleet: copied as retentiond(8) says, it can be read.
    for name in ("retentiond", "retentiond-web"):
        units = [(tmp_path / local / f"lib/systemd/system/{name}{at}.service").read_text() for at in ("", "@")]
        assert units[0] == units[1] and f"ExecStart=/usr/local/sbin/{name} -c %N\n" in units[0]
    shutil.copytree(tmp_path / local / "share/doc/retentiond/fleet", tmp_path / "etc/retentiond", dirs_exist_ok=True)
    done = subprocess.run([BUILD / "retentiond", "-t", "-c", tmp_path / "etc/retentiond/acme.conf"], capture_output=True,
                          text=True, env={**os.environ, "PGHOST": str(tmp_path)}, timeout=60)
    assert (done.returncode, done.stdout) == (3, "configuration OK, except for the model\n"), done.stderr
    completion = (tmp_path / local / "share/bash-completion/completions/retentionctl").read_text()
    assert "/etc/retentiond/*.conf" in completion

    # What a person has written stays, here and after.
    conf = tmp_path / "etc/retentiond/web.conf"
    conf.write_text("mine")
    make("install", f"DESTDIR={tmp_path}")
    assert conf.read_text() == "mine"
    make("uninstall", f"DESTDIR={tmp_path}")
    left = {str(f.relative_to(tmp_path)) for f in tmp_path.rglob("*") if f.is_file()}
    assert {f for f in left if not f.startswith("etc/retentiond/")} == set()
    assert conf.read_text() == "mine"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing (Debian package systemd)")
def test_exposure_of_the_unit():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    # What the score does not count.
    lines = UNIT.read_text().splitlines()
    hidden = next(line for line in lines if line.startswith("InaccessiblePaths="))
    assert {"-/var/lib/retentiond", "-/etc/retentiond/retentiond.conf"} <= set(hidden.partition("=")[2].split())
    assert {"User=retentiond-web", "MemoryMax=256M", "LimitCORE=0", "IPAddressAllow=localhost"} <= set(lines)
