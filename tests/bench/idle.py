"""
make bench-idle: three daemons that wait, each on a database of its own, as a fleet has them.  Prints a table in Markdown
with the memory of each, and how often each wakes up.  The last line is a program that is linked with libpq and does
nothing: no program that uses libpq can have less.

    INSTANCES=3     so many daemons
    SECONDS=120     for how long wake-ups are counted: each minute a daemon asks whether something is due

Memory is that of /proc/PID/smaps_rollup: resident (Rss) counts pages of libraries in each process that maps them, Pss
divides them among these processes, anonymous is a process's own.  A wake-up is a voluntary context switch
(/proc/PID/status), for an idle process goes to sleep once for each.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
os.environ.setdefault("RETENTION_BUILD", "build/release")

from support.harness import Daemon, Postgres, wait_until  # noqa: E402  the path comes first

INSTANCES = int(os.environ.get("INSTANCES", "3"))
SECONDS = int(os.environ.get("SECONDS", "120"))
POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "36 months", "schedule": "0 3 1 1 *", "archive": "full"}


def fields(pid, name):
    """The numbers of a file of /proc, by their names."""
    lines = (line.split(":", 1) for line in Path(f"/proc/{pid}/{name}").read_text().splitlines() if ":" in line)
    return {key: int(value.split()[0]) for key, value in lines if value.split()[:1] and value.split()[0].isdigit()}


def memory_mib(pid):
    found = fields(pid, "smaps_rollup")
    return [found[name] / 1024 for name in ("Rss", "Pss", "Anonymous")]


def floor_mib(folder):
    """The same of a program that is linked with libpq and waits."""
    program = Path(folder) / "floor"
    include = subprocess.run(["pkg-config", "--cflags", "libpq"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-O2", *include, "-x", "c", "-o", program, "-", "-lpq"], check=True, text=True,
                   input='#include <libpq-fe.h>\n#include <stdio.h>\n'
                         'int main(void) { puts(PQlibVersion() ? "up" : ""); fflush(stdout); return getchar(); }')
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        return memory_mib(process.pid)


def settled(daemon):
    """The model is checked, the first survey taken, the policy known: no child is left."""
    daemon.wait_for_log("ready: ")
    measured = "SELECT count(*) FROM retention.policies WHERE measured_at IS NOT NULL"
    wait_until(lambda: daemon.pg.value(daemon.db, measured) and not daemon.children())


def measure(daemons, floor):
    for daemon in daemons:
        settled(daemon)
    for daemon in daemons:
        daemon.pg.forget(daemon.db)
    before = [fields(daemon.pid, "status")["voluntary_ctxt_switches"] for daemon in daemons]
    time.sleep(SECONDS)  # what is counted here is time
    after = [fields(daemon.pid, "status")["voluntary_ctxt_switches"] for daemon in daemons]
    print("| instance | resident (MiB) | Pss (MiB) | anonymous (MiB) | wake-ups a second |\n| --- | --- | --- | --- | --- |")
    for n, daemon in enumerate(daemons):
        resident, pss, anonymous = memory_mib(daemon.pid)
        print(f"| {n + 1} | {resident:.1f} | {pss:.1f} | {anonymous:.1f} | {(after[n] - before[n]) / SECONDS:.2f} |")
    print("| libpq alone | {:.1f} | {:.1f} | {:.1f} | |".format(*floor))


def main():
    server = Postgres()
    daemons = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.start()
            for n in range(INSTANCES):
                db = server.create_database(template=server.migrated_template(300))
                daemons.append(Daemon(Path(folder) / str(n), server, db, policies=[POLICY]).start())
            measure(daemons, floor_mib(folder))
        finally:
            for daemon in daemons:
                daemon.kill()
            server.destroy()


main()
