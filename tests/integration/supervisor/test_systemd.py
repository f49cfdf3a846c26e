"""The units under a real, throw-away systemd (box/box.sh): what only PID 1 can show."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support.harness import BUILD, REPO

HERE = Path(__file__).resolve().parent
TREE = REPO


def missing():
    if os.geteuid() != 0:
        return "a container needs root"
    for program in ("systemd-nspawn", "nsenter", "unshare", "pgrep"):
        if not shutil.which(program):
            return f"{program} is missing (Debian package systemd-container, util-linux or procps)"
    if subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], stderr=subprocess.DEVNULL).returncode:
        return "no mount namespace can be made here, as in a chroot whose / is no mount point"
    if "sanitize" in str(BUILD):
        return "a sanitized program cannot live in the sandbox (it maps memory as it likes)"
    return None


# Each script prints so many lines at least.
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
@pytest.mark.parametrize("script, least", [("inside.sh", 60), ("fleet.sh", 55)])
def test_units_in_a_real_systemd(script, least):
    build = Path(BUILD).resolve().relative_to(TREE)
    done = subprocess.run(
        [HERE / "box/box.sh", "180", TREE, "bash", f"/mnt/tests/integration/supervisor/box/{script}", str(build)],
        capture_output=True, text=True, timeout=280)
    if done.returncode == 97 and not done.stdout:
        pytest.skip("no systemd came up in a container here: " + done.stderr[-300:])
    print(done.stdout, done.stderr)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok", "not ok"))]
    assert [line for line in lines if line.startswith("not ok")] == []
    assert len(lines) >= least
    assert done.returncode == 0
