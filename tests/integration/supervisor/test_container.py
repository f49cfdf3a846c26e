"""As in a container: the daemon is process 1, an ordinary user's, on a file system that it cannot write, and a probe asks how it is."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import yaml

from support.figures import free_port
from support.harness import BUILD, REPO, wait_until
from support.small import SCHEMA, contacts, keys, model, policy

PEOPLE = SCHEMA + contacts(due=[1, 2], others=[3])
UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
# Where the workplace itself is a container, this can be forbidden.
WHY = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True).stderr.strip() if os.getuid() == 0 else "this is not root"
contained = pytest.mark.skipif(bool(WHY), reason=f"no namespace of processes: {WHY}")
KUBERNETES = sorted((REPO / "conf" / "kubernetes").glob("*.yaml"))


@pytest.fixture
def boxed(make, tmp_path):
    """boxed(*args): the daemon as process 1 and an ordinary user; its configuration is root's, its archives are its own."""
    made = []

    def start(*args, **kwargs):
        d = make(PEOPLE, model(), policy(), **kwargs)
        for path in (d.dir, *d.dir.parents):  # pytest's folders are root's alone
            if len(path.parts) > 2 and os.stat(path).st_uid == 0:
                os.chmod(path, os.stat(path).st_mode | 0o011)
        for path in d.dir.glob("*.conf"):
            os.chmod(path, 0o644)
        for name in ("retentiond", "retention-job"):  # the tree may be where nobody else can look
            shutil.copy(BUILD / name, d.dir)
        shutil.chown(d.archives, "postgres", "postgres")
        log = open(d.dir / "box.log", "ab")
        made.append(subprocess.Popen(
            [*UNSHARE, "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
             d.dir / "retentiond", "-c", d.path, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "RETENTION_LOG": "stderr", "LC_ALL": "C"}, cwd="/"))
        return d, made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()


def children(pid):
    """Its children, zombies too, by their pids out here."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


@contained
def test_one_pass(boxed):
    d, process = boxed("--once")
    assert process.wait(60) == 0, (d.dir / "box.log").read_text()
    assert keys(d.pg, d.db) == {3}


@contained
def test_resident(boxed):
    """Its jobs are its children, none of them stays as a zombie, and SIGTERM ends it: by default the kernel ignores it for process 1."""
    port = free_port()
    d, process = boxed(extra=f'metrics: {{ listen = "127.0.0.1:{port}"; }};')
    log = d.dir / "box.log"
    wait_until(lambda: "ready: " in log.read_text(), what=log.read_text())
    wait_until(lambda: d.ctl("health", check=False).returncode == 0)
    d.pg.sql(d.db, "SELECT retention.run_policy('p')")
    assert d.wait_for_job()["status"] == "done" and keys(d.pg, d.db) == {3}
    one, = children(process.pid)
    assert os.readlink(f"/proc/{one}/exe").endswith("/retentiond")
    wait_until(lambda: not children(one))
    os.kill(one, signal.SIGTERM)
    assert process.wait(30) == 0, log.read_text()


def test_health(daemon):
    """The probe's answer, and its exit status."""
    port = free_port()
    d = daemon(contacts=20, extra=f'metrics: {{ listen = "127.0.0.1:{port}"; }};')
    done = d.ctl("health", check=False)
    assert (done.returncode, done.stdout) == (1, "") and f"nobody listens at 127.0.0.1:{port}" in done.stderr
    d.start()
    d.wait_for_log("ready: ")
    done = wait_until(lambda: (done := d.ctl("health", check=False)).returncode == 0 and done)
    assert (done.stdout, done.stderr) == ("ok\n", "")
    os.kill(d.pid, signal.SIGSTOP)
    try:
        done = d.ctl("health", check=False)
        assert done.returncode == 1 and f"no answer from 127.0.0.1:{port} within 5 seconds" in done.stderr
    finally:
        os.kill(d.pid, signal.SIGCONT)
    assert d.stop() == 0


def test_health_without_an_address(daemon):
    done = daemon(contacts=20).ctl("health", check=False)
    assert done.returncode == 1 and "has no metrics.listen" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_the_examples_for_kubernetes(path):
    """They can be read, mount what the configuration names, run the image's user, and can gain nothing."""
    documents = list(yaml.safe_load_all(path.read_text()))
    work, = [d for d in documents if d["kind"] in ("Deployment", "CronJob")]
    spec = work["spec"]["jobTemplate"]["spec"]["template"]["spec"] if work["kind"] == "CronJob" else work["spec"]["template"]["spec"]
    user = re.search(r"^USER (\d+)$", (REPO / "conf" / "Containerfile").read_text(), re.M).group(1)
    assert spec["securityContext"]["runAsNonRoot"] and str(spec["securityContext"]["runAsUser"]) == user
    volumes = {v["name"] for v in spec["volumes"]}
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert {m["name"] for m in container["volumeMounts"]} == volumes
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    paths = {m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}
    for config in (d["data"]["retentiond.conf"] for d in documents if d["kind"] == "ConfigMap"):
        for named in re.findall(r"[= \"](/[\w./-]+)", config):
            assert any(named.startswith(p + "/") for p in paths), named


def test_the_configuration_for_kubernetes_can_be_read(daemon):
    """Apart from the model, which is the reader's own, and the files that are not here."""
    d = daemon(contacts=20)
    config, = [x["data"]["retentiond.conf"] for x in yaml.safe_load_all(KUBERNETES[-1].read_text()) if x["kind"] == "ConfigMap"]
    (d.dir / "kubernetes.conf").write_text(config.replace("/etc/retentiond/model.conf", str(d.dir / "model.conf"))
                                           .replace("/var/lib/retentiond/archives", str(d.archives)))
    done = d.run("retentionctl", "-c", d.dir / "kubernetes.conf", "health", check=False)
    assert "nobody listens at 127.0.0.1:9187" in done.stderr, done.stderr
