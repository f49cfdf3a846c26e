"""As in a container: the daemon is process 1, an ordinary user's, on a file system that it cannot write, and a probe asks how it is."""

import contextlib
import os
import re
import shlex
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
CONTAINERFILE = (REPO / "conf" / "Containerfile").read_text()
KUBERNETES = sorted((REPO / "conf" / "kubernetes").glob("*.yaml"))
USER = int(re.search(r"^USER (\d+)$", CONTAINERFILE, re.M).group(1))
UNSHARE = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc", "sh", "-ec"]
# A new /run has neither journald nor syslog, and what the daemon is to reach, because the folders above that are root's
# alone.  The archives are a folder of a volume (subPath).  Nothing else can be written.
INSIDE = """
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/own /run/build /run/server /run/volume /run/archives
mount --bind {own} /run/own
mount -o remount,bind,ro /run/own
mount --bind {build} /run/build
mount --bind {server} /run/server
mount --bind {own}/volume /run/volume
mount --bind {own}/volume/archives /run/archives
mount -o remount,bind,ro /
mount -o remount,ro /run
exec setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


def missing():
    if os.geteuid() != 0:
        return "this is not root"
    for program in ("unshare", "setpriv", "nsenter", "ip"):
        if not shutil.which(program):
            return f"{program} is missing (Debian package util-linux or iproute2)"
    if "sanitize" in str(BUILD):
        return "LeakSanitizer cannot look into a process that may not be traced"
    why = subprocess.run([*UNSHARE, "mount -t tmpfs tmpfs /run; ip link set lo up"], capture_output=True, text=True).stderr
    return f"no namespaces: {why.strip()}" if why else None  # where the workplace itself is a container


contained = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.fixture
def boxed(daemon, empty_db, pg):
    """boxed(): a daemon that is not started yet, process 1 of an ordinary user without a capability, on a root that is read-only."""
    made = []

    def box(directory="/run/archives"):
        db = empty_db()
        pg.sql(db, PEOPLE)
        subprocess.run([BUILD / "retentionctl", "-d", pg.conninfo(db), "migrate"], check=True, stdout=subprocess.DEVNULL)
        d = daemon(db=db, migrate=False, model=model(), policies=[policy(archive="full")], host="/run/server",
                   archives={"directory": directory}, extra='metrics: { listen = "127.0.0.1:9187"; };')
        made.append(d)
        # The files of a ConfigMap are links, and root's.
        (d.dir / "..data").mkdir()
        for name in ("retentiond.conf", "model.conf"):
            (d.dir / name).rename(d.dir / "..data" / name)
            (d.dir / "..data" / name).chmod(0o440)
            os.chown(d.dir / "..data" / name, 0, USER)
            (d.dir / name).symlink_to(f"..data/{name}")
        # A volume as fsGroup leaves it, and the folder that the initContainer makes in it.
        d.archives = d.dir / "volume" / "archives"
        d.archives.mkdir(parents=True)
        os.chown(d.archives, USER, USER)
        os.chown(d.archives.parent, 0, USER)
        d.archives.chmod(0o2700)
        d.archives.parent.chmod(0o2775)
        d.dir.chmod(0o755)
        os.chmod(pg.dir, 0o755)
        d.wrapper = [*UNSHARE, INSIDE.format(own=shlex.quote(str(d.dir)), build=shlex.quote(str(BUILD.resolve())), server=pg.dir, user=USER),
                     "sh"]
        d.build, d.path, d.env = Path("/run/build"), "/run/own/retentiond.conf", {"RETENTION_LOG": ""}
        return d

    yield box
    for d in made:
        d.kill()


def children(pid):
    """Its children, zombies too, by their pids out here."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def probe(d, one, *args):
    """As the cluster calls it: within the container, and with its user."""
    return subprocess.run(["nsenter", "--target", str(one), "--mount", "--pid", "--net", "setpriv", f"--reuid={USER}", f"--regid={USER}",
                           "--clear-groups", "/run/build/retentionctl", "-c", d.path, "health", *args], capture_output=True, text=True)


@contained
def test_one_pass(boxed):
    d = boxed()
    d.once()
    assert keys(d.pg, d.db) == {3}
    assert d.log_contains(r"retentiond\[1\]: "), "the log is on the standard error output"
    archive, = (path for path in d.archives.iterdir() if (path / "SHA256SUMS").exists())
    assert archive.stat().st_uid == USER


@contained
def test_a_volume_that_is_open_to_a_group(boxed):
    """Without a folder of its own (subPath), the daemon is right to refuse what Kubernetes makes of a volume."""
    d = boxed("/run/volume/archives")
    assert d.once(check=False).returncode == 1
    assert d.log_contains(r'"/run/volume" is open to others \(mode 2775\)') and keys(d.pg, d.db) == {1, 2, 3}


@contained
def test_resident(boxed):
    """Its jobs are its children, none of them stays as a zombie, and SIGTERM ends it: by default the kernel ignores it for process 1."""
    d = boxed()
    d.start()
    d.wait_for_log("ready: ")
    one, = children(d.pid)
    wait_until(lambda: probe(d, one).returncode == 0)
    d.pg.sql(d.db, "SELECT retention.run_policy('p')")
    assert d.wait_for_job()["status"] == "done" and keys(d.pg, d.db) == {3}
    assert os.readlink(f"/proc/{one}/exe").endswith("/retentiond")
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{one}/status").read_text().splitlines() if ":\t" in line)
    assert status["NSpid"].split()[-1] == "1" and set(status["Uid"].split()) == {str(USER)}
    assert {int(status[f"Cap{which}"], 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    mounts = [line.split() for line in Path(f"/proc/{one}/mounts").read_text().splitlines()]
    assert {mount[1]: mount[3].split(",")[0] for mount in mounts}["/"] == "ro"
    wait_until(lambda: not children(one))
    os.kill(one, signal.SIGTERM)
    assert d.wait() == 0, d.log_text()


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
        assert d.ctl("health", "--alive", check=False).returncode == 1
    finally:
        os.kill(d.pid, signal.SIGCONT)
    assert d.stop() == 0
    # The database is away, which a new start would not mend.
    d.configure(host=str(d.dir))
    d.start()
    alive = wait_until(lambda: (done := d.ctl("health", "--alive", check=False)).returncode == 0 and "server" in done.stdout and done)
    assert alive.stderr == "" and d.ctl("health", check=False).returncode == 1


def test_health_without_an_address(daemon):
    done = daemon(contacts=20).ctl("health", check=False)
    assert done.returncode == 1 and "has no metrics.listen" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.name)
def test_the_examples_for_kubernetes(path):
    """They can be read, mount what the configuration names, run the image's user, and can gain nothing."""
    documents = list(yaml.safe_load_all(path.read_text()))
    work, = [d for d in documents if d["kind"] in ("Deployment", "CronJob")]
    spec = work["spec"]["jobTemplate"]["spec"]["template"]["spec"] if work["kind"] == "CronJob" else work["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == USER
    volumes = {v["name"] for v in spec["volumes"]}
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert {m["name"] for m in container["volumeMounts"]} == volumes - ({"config"} if container in spec["initContainers"] else set())
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    paths = {m["mountPath"] for m in spec["containers"][0]["volumeMounts"]}
    for config in (d["data"]["retentiond.conf"] for d in documents if d["kind"] == "ConfigMap"):
        for named in re.findall(r"[= \"](/[\w./-]+)", config):
            assert any(named == p or named.startswith(p + "/") for p in paths), named


def test_the_configuration_for_kubernetes_can_be_read(daemon):
    """Apart from the model, which is the reader's own, and the files that are not here."""
    d = daemon(contacts=20)
    config, = [x["data"]["retentiond.conf"] for x in yaml.safe_load_all(KUBERNETES[-1].read_text()) if x["kind"] == "ConfigMap"]
    (d.dir / "kubernetes.conf").write_text(config.replace("/etc/retentiond/model.conf", str(d.dir / "model.conf"))
                                           .replace("/var/lib/retentiond/archives", str(d.archives)))
    done = d.run("retentionctl", "-c", d.dir / "kubernetes.conf", "health", check=False)
    assert "nobody listens at 127.0.0.1:9187" in done.stderr, done.stderr
