"""
make bench-page: a pass of the daemon with nobody at the page, and with 40 sessions of which each follows it by an
open event stream.  Prints a table in Markdown: seconds of the pass, and retentiond-web's memory and CPU meanwhile.

    CONTACTS=20000   of the sample CRM; most of them are due
    REPEAT=3         each is run so often, in turn; medians count
"""

import os
import statistics
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
os.environ.setdefault("RETENTION_BUILD", "build/release")

from support.harness import Daemon, wait_until  # noqa: E402  the path comes first
from support.page import AUDITOR, OPERATOR, Page, PageServer  # noqa: E402
from support.stream import Stream  # noqa: E402

CONTACTS = int(os.environ.get("CONTACTS", "20000"))
REPEAT = int(os.environ.get("REPEAT", "3"))
SESSIONS = 40
POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly", "archive": "full"}


def memory_mb(pid):
    """(resident, anonymous) memory of a process; the first one at its highest."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return [int(lines[name].split()[0]) / 1024 for name in ("VmHWM", "RssAnon")]


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def follow(clients, job, events):
    """A stream for each client, read by a thread of its own, until the action has ended."""

    def read(stream):
        while stream.next()[0] == "progress":
            events.append(1)

    threads = [threading.Thread(target=read, args=(Stream(client, job, "running"),)) for client in clients]
    for thread in threads:
        thread.start()
    return threads


def run_pass(server, folder, sessions):
    db = server.create_database(template=server.migrated_template(CONTACTS))
    daemon = Daemon(folder, server, db, policies=[], limits={"workers": 2, "max_share": 1.0})
    page = Page(daemon, build=os.environ["RETENTION_BUILD"], sessions=SESSIONS + 5, sessions_each=SESSIONS // 2)
    try:
        daemon.start()
        daemon.wait_for_log("ready: ")
        daemon.stop()
        page.start()
        return measure(daemon, page, sessions)
    finally:
        daemon.kill()
        page.end()


def measure(daemon, page, sessions):
    def of_action(column, condition="true"):
        return daemon.pg.value(daemon.db, f"SELECT max({column}) FROM retention.archive_journal WHERE {condition}")

    clients = [page.client() for _ in range(sessions)]
    for n, client in enumerate(clients):
        client.log_in((AUDITOR, OPERATOR)[n % 2])
    events, before = [], cpu_s(page.pid)
    daemon.configure(policies=[POLICY])
    passing = threading.Thread(target=daemon.once, daemon=True)
    passing.start()
    job = wait_until(lambda: of_action("id", "started_at IS NOT NULL"))
    threads = follow(clients, job, events)
    wait_until(lambda: of_action("id", "finished_at IS NOT NULL"), 600)
    for thread in [*threads, passing]:
        thread.join()
    seconds = float(of_action("extract(epoch FROM finished_at - started_at)"))
    return [seconds, *memory_mb(page.pid), (cpu_s(page.pid) - before) / seconds, len(events)]


def main():
    server = PageServer()
    results = {0: [], SESSIONS: []}
    try:
        server.start()
        server.migrated_template(CONTACTS)
        server.make_persons()
        for _ in range(REPEAT):
            for sessions, found in results.items():
                with tempfile.TemporaryDirectory() as folder:
                    found.append(run_pass(server, Path(folder), sessions))
    finally:
        server.destroy()
    print("| sessions | pass (s) | resident (MB) | of it anonymous (MB) | CPU of one core | events |\n| --- | --- | --- | --- | --- | --- |")
    for sessions, found in results.items():
        seconds, resident, anonymous, share, events = (statistics.median(column) for column in zip(*found))
        print(f"| {sessions} | {seconds:.2f} | {resident:.1f} | {anonymous:.1f} | {100 * share:.1f} % | {events:.0f} |")


main()
