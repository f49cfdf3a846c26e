"""retentionctl in French: where its catalogue is found, and what must not stay English."""

import os
import shutil
import subprocess

import pytest

from support.french import FRENCH
from support.harness import BUILD



def test_beside_a_program_named_locale(tmp_path):
    """With PREFIX=/usr the program locale(1) lies beside retentionctl: the catalogue is the installed one."""
    if os.geteuid() != 0:
        pytest.skip("a mount needs root")
    shutil.copy(BUILD / "retentionctl", tmp_path)
    (tmp_path / "locale").write_text("#!/bin/sh\n")
    (tmp_path / "locale").chmod(0o755)
    catalogue = tmp_path / "share"
    shutil.copytree(BUILD / "locale", catalogue)
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none /usr/local/share && cp -r {catalogue} /usr/local/share/locale && exec {tmp_path}/retentionctl nonsense"],
        env={"PATH": os.environ["PATH"], **FRENCH}, capture_output=True, text=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(done.stderr)
    assert "il n'y a pas de commande « nonsense »" in done.stderr
