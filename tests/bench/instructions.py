"""
make bench-instructions: how many instructions the job's processes execute for a fixed pass, counted by valgrind's
callgrind and compared with tests/bench/instructions.txt.  A count hardly depends on the load of the machine, so that it
shows a slower loop where a stopwatch shows noise.  It does depend on compiler and libraries: the file names them, and
under others the difference is printed and not judged.

    RUNS=3       so many passes, each on a fresh copy of one database
    KEEP=yes     writes the numbers of this run into the file: with the change that explains them

The exit status is 1 where a process executes 5 % more or less than the file says.
"""

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
os.environ.setdefault("RETENTION_BUILD", "build/release")

from support.harness import Daemon, Postgres  # noqa: E402  the path comes first

RUNS = int(os.environ.get("RUNS", "3"))
KEPT = Path(__file__).with_name("instructions.txt")
MARGIN = 0.05
POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "18 months", "schedule": "daily", "archive": "full"}
# A batch's size follows its duration, which differs under valgrind: only batch_rows bounds it here.
LIMITS = {"workers": 1, "batch_rows": 500, "batch_time": "1min", "integrity": "set"}
PROCESSES = {"--check": "check of the model", "--job": "job"}


def surroundings(server):
    """What a count depends on beside the sources."""
    gcc = subprocess.run(["cc", "-dumpfullversion"], check=True, capture_output=True, text=True).stdout.strip()
    libpq = subprocess.run(["pkg-config", "--modversion", "libpq"], check=True, capture_output=True, text=True).stdout.strip()
    return f"{platform.machine()}, cc {gcc}, libpq {libpq}, libc {platform.libc_ver()[1]}, " \
           f"server {(server.data / 'PG_VERSION').read_text().strip()}"


def count(server, folder):
    """The instructions of each process of one pass, and the contacts that it erased."""
    tool = ["valgrind", "-q", "--tool=callgrind", "--trace-children=yes", f"--callgrind-out-file={folder}/callgrind.%p"]
    db = server.create_database(template=server.migrated_template(300))
    daemon = Daemon(folder, server, db, policies=[POLICY], wrapper=tool, limits=LIMITS)
    daemon.once(timeout=1200)
    (job,) = daemon.jobs()
    if job["status"] != "done" or not job["counters"]["treated"]:
        raise SystemExit(f"bench: the pass erased nothing ({job['status']}): {daemon.log_text()}")
    found = {}
    for path in Path(folder).glob("callgrind.*"):
        text = path.read_text(errors="replace")
        command = re.search(r"^cmd: (.*)$", text, re.MULTILINE).group(1).split()
        for option, name in PROCESSES.items():
            if option in command:
                found[name] = found.get(name, 0) + int(re.search(r"^totals: (\d+)$", text, re.MULTILINE).group(1))
    if found.keys() != set(PROCESSES.values()):
        raise SystemExit(f"bench: not every process was counted: {sorted(found)}")
    return found, job["counters"]["treated"]


def read_kept():
    """The first line: under what it was counted; then a number and a name a line."""
    first, *lines = KEPT.read_text().splitlines()
    return first, {name: int(number) for number, name in (line.split(" ", 1) for line in lines)}


def medians(counts):
    return {name: round(statistics.median([c[name] for c in counts])) for name in PROCESSES.values()}


def judge(counts, under_now):
    """Prints the table; False: a process executes more or less than the margin allows."""
    under, kept = read_kept()
    good = True
    print("| process | instructions | spread of the runs | kept | difference |\n| --- | --- | --- | --- | --- |")
    for name, median in medians(counts).items():
        numbers = [c[name] for c in counts]
        difference = median / kept[name] - 1
        good = good and abs(difference) <= MARGIN
        print(f"| {name} | {median:,} | {(max(numbers) - min(numbers)) / median:.3%} | {kept[name]:,} | {difference:+.2%} |")
    if under == under_now:
        return good
    print(f"\nNot judged: the numbers kept are of {under}, this is {under_now}")
    return True


def main():
    server = Postgres()
    counts = []
    try:
        server.start()
        under = surroundings(server)
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory() as folder:
                found, erased = count(server, folder)
                counts.append(found)
    finally:
        server.destroy()
    print(f"A pass that deletes {erased} of 300 contacts; {RUNS} runs; {under}\n")
    if os.environ.get("KEEP"):
        lines = [f"{median} {name}" for name, median in medians(counts).items()]
        KEPT.write_text("\n".join([under, *lines, ""]))
    if not judge(counts, under):
        raise SystemExit(f"bench: a process executes {MARGIN:.0%} more or less than {KEPT.name} says")


main()
