"""
retention-job driven directly, as the supervisor drives it, and what must be true of every job that
has ended `done`, whatever happened to it on the way.
"""

import os
import signal
import subprocess
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from support import harness
from support.harness import Daemon, TIMEOUT, TROUBLE, short_dir, wait_until
from support.shapes import PLAIN

# enum job_exit of daemon/base/job_exit.h.
DONE, FAILED, USAGE, REFUSED, STOPPED, SAVED, TAKEN, AWAY, INCOMPLETE = range(9)
KILLED = -signal.SIGKILL
DEPTH = "18 months"
HOST = "testhost"
LIMITS = {"workers": 2, "batch_rows": 500}  # a safety test's way has the last word about workers
# Passes of some seconds, in small batches.
SLOW = {**LIMITS, "batch_rows": 100, "rows_per_second": 3000}
SLOWER = {"workers": 2, "batch_rows": 50, "rows_per_second": 1500}
# Marks a test that puts a trigger or a new foreign key on a table of the model, which integrity = "set" refuses.
rests_on_triggers = pytest.mark.rests_on_triggers


def workers():
    """How many a job of this test has, unless the test itself says otherwise."""
    return harness.LIMITS.get("workers", LIMITS["workers"])


def contacts_for(number):
    """Enough that each of so many workers has keys (a worker takes runs of 256), few enough to be quick."""
    return 480 if number <= 2 else 300 * number


def base(pg, contacts, shape=PLAIN):
    """A database to copy: the CRM in a shape, schema retention, and in schema `before` a copy of all rows."""
    key = ("jobs", contacts, shape.name)
    if key not in pg.templates:
        db = pg.create_database(f"jobs_{contacts}_{shape}", shape.template(pg, contacts))
        folder = short_dir()
        Daemon(folder, pg, db, model=shape.model()).migrate()
        pg.psql(db, "-c", "CREATE SCHEMA before", *(
            arg for table in tables(pg, db)
            for arg in ("-c", f"CREATE TABLE before.{table} AS TABLE crm.{table}")), "-c", "ANALYZE")
        pg.templates[key] = db
    return pg.templates[key]


def tables(pg, db):
    return [t for (t,) in pg.sql(db, """SELECT relname FROM pg_class WHERE relnamespace = 'crm'::regnamespace
        AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1""")]


def tidy(d, failpoint=None, host=HOST, env=None):
    """retention-job --expire for a Daemon or a Job's, as the supervisor starts it: (exit status, the lines that it says)."""
    d = getattr(d, "daemon", d)
    text = d.path.read_text().replace('@include "model.conf"', (d.dir / "model.conf").read_text())
    config = os.memfd_create("config")
    os.write(config, text.encode())
    reader, writer = os.pipe()
    environment = {**os.environ, "RETENTION_LOG": "stderr", **(env or {})}
    environment.pop("RETENTION_FAILPOINT", None)
    if failpoint:
        environment["RETENTION_FAILPOINT"] = failpoint
    done = subprocess.run(
        [d.build / "retention-job", "--config-fd", str(config), "--status-fd", str(writer), "--host", host,
         "--expire"], pass_fds=(config, writer), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=2 * TIMEOUT)
    os.close(config)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as lines:
        said = lines.read()
    assert not TROUBLE.search(done.stdout), done.stdout
    return done.returncode, said


class Job:
    """One action of one database and the processes that work on it, one after the other or at once."""

    def __init__(self, directory, pg, db, action="delete_contacts", archive="full", host=HOST,
                 manual=None, shape=PLAIN, **config):
        self.pg, self.db, self.action, self.archive, self.shape = pg, db, action, archive, shape
        config.setdefault("model", shape.model())
        self.policy = None if manual else "the-policy"
        policies = [] if manual else [{"name": self.policy, "action": action, "depth": DEPTH,
                                       "schedule": "monthly", "archive": archive}]
        if action.startswith("anonymize"):
            for policy in policies:
                del policy["archive"]
            self.archive = "none"
        config.setdefault("limits", LIMITS)
        if action == "export":  # the oracles compare the files with the tables, byte for byte
            config["archives"] = {"formulas": "keep", **(config.get("archives") or {})}
        self.daemon = Daemon(directory, pg, db, policies=policies, **config)
        self.archives = self.daemon.archives
        self.host = host
        self.processes = []
        if manual:
            self.id = pg.value(db, "SELECT retention.save_action(%s, %s, %s, %s)",
                               (action, *manual, self.archive))
        else:
            self.id = pg.value(db, """
                SELECT retention.begin_occurrence(%s, 'monthly', date_trunc('month', now()), now() + interval '31 days',
                                                  %s, %s, %s)""", (self.policy, action, DEPTH, self.archive))

    def start(self, failpoint=None, host=None, env=None, program=None):
        return Run(self, failpoint, host or self.host, env, program)

    def run(self, failpoint=None, timeout=2 * TIMEOUT, **kwargs):
        """Its exit status.  A session that the server has not missed yet still has the claim: once more."""

        def ended():
            run = self.start(failpoint, **kwargs)
            status = run.wait(timeout)
            return None if status == TAKEN and self.row()["status"] != "done" else (status, run)

        status, self.last = wait_until(ended, timeout, "the claim of a session that is gone")
        return status

    def row(self):
        return self.daemon.jobs(f"id = {self.id}")[0]

    def rest(self):
        """Goes over to the action that has the rest of this one's list; the number of this one."""
        first = self.row()
        assert first["status"] == "done" and first["counters"]["rest"] > 0 and self.left() == 0, first
        self.id = self.value("""SELECT n.id FROM retention.archive_journal AS n JOIN retention.archive_journal AS j
            ON (n.policy, n.occurrence, n.part, n.cutoff, n.archive) = (j.policy, j.occurrence, j.part + 1, j.cutoff, j.archive)
            WHERE j.id = %s""", (first["id"],))
        assert self.row()["status"] == "saved" and f"for action {self.id}" in first["error"]
        return first["id"]

    def value(self, query, args=None):
        return self.pg.value(self.db, query, args)

    def sql(self, query, args=None):
        return self.pg.sql(self.db, query, args)

    def left(self):
        return self.value("SELECT count(*) FROM retention.candidate")

    def ledger(self):
        """The plain numbers of those that are erased."""
        room = 10 if self.action == "anonymize_requests" else 1
        return {self.shape.plain_key(k, room) for (k,) in self.sql("SELECT key FROM retention.ledger")}

    def events(self, kind):
        return [d for (d,) in self.sql("SELECT details FROM retention.journal_event WHERE kind = %s ORDER BY id", (kind,))]

    def partial(self):
        return Path(self.row()["archive_path"] + ".partial")

    def sessions(self, name="retention-job"):
        return [p for (p,) in self.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s", (name,))]

    def cut_sessions(self):
        """The server ends the sessions of all processes of the job, as tcp_user_timeout would."""
        pids = self.sessions()
        self.sql("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", (pids,))
        wait_until(lambda: not set(pids) & set(self.sessions()))

    def begun(self, n=1):
        """Until n contacts are committed as erased."""
        return wait_until(lambda: self.value("SELECT count(*) FROM retention.ledger") >= n, what="a first batch")

    def close(self):
        for run in self.processes:
            run.kill()
        for run in self.processes:
            found = TROUBLE.search(run.text().encode())
            assert not found, run.text()[-8000:]


class Run:
    """One process of retention-job: lines has its status lines, log its log."""

    def __init__(self, job, failpoint=None, host=HOST, env=None, program=None):
        text = job.daemon.path.read_text().replace(
            '@include "model.conf"', (job.daemon.dir / "model.conf").read_text())
        config = os.memfd_create("config")
        os.write(config, text.encode())
        os.lseek(config, 0, os.SEEK_SET)
        reader, writer = os.pipe()
        self.log = job.daemon.dir / f"job{len(job.processes)}.log"
        self.lines = []
        environment = {**os.environ, "RETENTION_LOG": "stderr", **(env or {})}
        environment.pop("RETENTION_FAILPOINT", None)
        if failpoint:
            environment["RETENTION_FAILPOINT"] = failpoint
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [program or job.daemon.build / "retention-job", "--config-fd", str(config), "--status-fd", str(writer),
                 "--host", host, "--job", str(job.id)], pass_fds=(config, writer), env=environment,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(config)
        os.close(writer)
        self.reader = threading.Thread(target=self._read, args=(reader,), daemon=True)
        self.reader.start()
        job.processes.append(self)

    def _read(self, fd):
        with os.fdopen(fd, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self.lines.append(line.rstrip("\n"))

    def text(self):
        return "\n".join(self.lines) + "\n" + self.log.read_text(errors="replace")

    def note(self):
        return next((line[5:] for line in reversed(self.lines) if line.startswith("note ")), "")

    def waits_for(self, text):
        return any(line.startswith("waiting ") and text in line for line in self.lines)

    def wait(self, timeout=2 * TIMEOUT):
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, within=5):
        """SIGTERM: the exit status, which comes in time."""
        self.signal(signal.SIGTERM)
        return self.wait(within)

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait()


def hold_batches(job, at_commit=False):
    """
    Makes a batch wait for advisory lock 4711, without a time-out, when it takes its keys off the list at its end, or
    in COMMIT.  The trigger is ALWAYS, so that it fires under integrity = "set" as well.
    """
    trigger = "CREATE TRIGGER hold_on AFTER DELETE ON retention.candidate FOR EACH ROW"
    if at_commit:
        trigger = ("CREATE CONSTRAINT TRIGGER hold_on AFTER DELETE ON retention.candidate"
                   " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW")
    job.pg.psql(job.db, "-c", """
        CREATE FUNCTION public.hold_on() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN
            PERFORM pg_advisory_xact_lock_shared(4711);
            RETURN NULL;
        END $$""", "-c", f"{trigger} EXECUTE FUNCTION public.hold_on()",
                "-c", "ALTER TABLE retention.candidate ENABLE ALWAYS TRIGGER hold_on")


def days():
    """An interval in which some of the CRM's contacts have their last request."""
    start = date.today() - timedelta(days=800)
    return start.isoformat(), (start + timedelta(days=27)).isoformat()
