"""
retention-job driven directly, as the supervisor drives it, and what must be true of every job that
has ended `done`, whatever happened to it on the way.
"""

import io
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

import harness
from harness import TIMEOUT, TROUBLE, Daemon, Postgres, short_dir, wait_until
from test_actions import LISTED, ROWS_OF

# enum job_exit of daemon/base/job_exit.h.
DONE, FAILED, USAGE, REFUSED, STOPPED, SAVED, TAKEN, AWAY, INCOMPLETE = range(9)
KILLED = -signal.SIGKILL
DEPTH = "18 months"
HOST = "testhost"
WORKERS = harness.LIMITS.get("workers", 2)
# Enough that all workers have keys (a worker takes runs of 256), little enough to be quick.
CONTACTS = 480 if WORKERS <= 2 else 330 * WORKERS
LIMITS = {"workers": WORKERS, "batch_rows": 500}
rests_on_triggers = pytest.mark.skipif(
    harness.LIMITS.get("integrity") == "set",
    reason='needs what integrity = "set" refuses: a trigger, or a key made meanwhile, on a table of the model')


def base(pg, contacts=CONTACTS):
    """A database to copy: the CRM, schema retention, and in schema `before` a copy of all rows."""
    key = ("jobs", contacts)
    if key not in pg.templates:
        db = pg.create_database(f"jobs_{contacts}", pg.crm_template(contacts))
        folder = short_dir()
        Daemon(folder, pg, db).migrate()
        pg.psql(db, "-c", "CREATE SCHEMA before", *(
            arg for table in tables(pg, db)
            for arg in ("-c", f"CREATE TABLE before.{table} AS TABLE crm.{table}")), "-c", "ANALYZE")
        pg.templates[key] = db
    return pg.templates[key]


def tables(pg, db):
    return [t for (t,) in pg.sql(db, "SELECT tablename FROM pg_tables WHERE schemaname = 'crm' ORDER BY 1")]


class Job:
    """One action of one database and the processes that work on it, one after the other or at once."""

    def __init__(self, directory, pg, db, action="delete_contacts", archive="full", host=HOST,
                 manual=None, **config):
        self.pg, self.db, self.action, self.archive = pg, db, action, archive
        self.policy = None if manual else "the-policy"
        policies = [] if manual else [{"name": self.policy, "action": action, "depth": DEPTH,
                                       "schedule": "monthly", "archive": archive}]
        if action.startswith("anonymize"):
            for policy in policies:
                del policy["archive"]
            self.archive = "none"
        config.setdefault("limits", LIMITS)
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

    def value(self, query, args=None):
        return self.pg.value(self.db, query, args)

    def sql(self, query, args=None):
        return self.pg.sql(self.db, query, args)

    def left(self):
        return self.value("SELECT count(*) FROM retention.candidate")

    def ledger(self):
        return {int(k) for (k,) in self.sql("SELECT key FROM retention.ledger")}

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
    """One process of retention-job: what it says is in lines and in log."""

    def __init__(self, job, failpoint, host, env, program):
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


@pytest.fixture
def job(pg, tmp_path):
    """job(action, archive, …): a Job on a database of its own, which is looked at when the test is over."""
    made = []

    def make(*args, server=None, contacts=CONTACTS, **kwargs):
        server = server or pg
        db = server.create_database(template=base(server, contacts))
        made.append(Job(tmp_path / f"job{len(made)}", server, db, *args, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for each in made:
        each.pg.drop_database(each.db)


@pytest.fixture(scope="session")
def spare_pg():
    """A server to be maltreated; each test leaves it running.  It syncs, as the real ones do."""
    server = Postgres(fsync=True)
    try:
        yield server.start()
    finally:
        server.destroy()


# --- What must be true of a job that is done ----------------------------------------------------


def due_before(job, table="contact"):
    """Oracle: keys that were due when all began, from schema before."""
    if table == "contact":
        query = """SELECT contact_id FROM before.request GROUP BY 1 HAVING bool_and(status = 'closed') AND
            max(created_at) < (date_trunc('day', now() AT TIME ZONE 'UTC') - %s::interval) AT TIME ZONE 'UTC'"""
    else:
        query = """SELECT id FROM before.request WHERE status = 'closed' AND
            created_at < (date_trunc('day', now() AT TIME ZONE 'UTC') - %s::interval) AT TIME ZONE 'UTC'"""
    return {k for (k,) in job.sql(query, (DEPTH,))}


def missing_contacts(job):
    return {c for (c,) in job.sql("SELECT id FROM before.contact EXCEPT SELECT id FROM crm.contact")}


def erased_counts(job):
    """{table of the CRM: how many rows of before are not there any more}."""
    return {f"crm.{t}": job.value(f"SELECT (SELECT count(*) FROM before.{t}) - (SELECT count(*) FROM crm.{t} "
                                  f"JOIN before.{t} b USING (id))") for t in tables(job.pg, job.db)}


def load_archive(job, conn, folder, manifest):
    """The archive's files into temporary tables like those they came from: {table: [columns]}."""
    loaded = {}
    with conn.cursor() as cur:
        for entry in manifest["files"]:
            table = entry["table"]
            columns = ", ".join(f'"{c}"' for c in entry["columns"])
            name = "archived_" + table.split(".")[1]
            if table not in loaded:
                cur.execute(f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM {table} LIMIT 0")
            loaded[table] = entry["columns"]
            data = (folder / entry["name"]).read_bytes().removeprefix(b"\xef\xbb\xbf")
            cur.copy_expert(f"COPY {name} ({columns}) FROM STDIN (FORMAT csv, HEADER true, DELIMITER ';')",
                            io.BytesIO(data))
            assert cur.rowcount == entry["rows"], entry["name"]
    return loaded


def erased_query(job, table, columns):
    """The rows that must be in the archive, as a multiset."""
    listed = ", ".join(f'"{c}"' for c in columns)
    name = table.split(".")[1]
    if job.action != "export":
        return f"SELECT {listed} FROM before.{name} EXCEPT ALL SELECT {listed} FROM {table}"
    where = " OR ".join(w for n, (t, w) in ROWS_OF.items() if t == table)
    return f"SELECT {listed} FROM {table} WHERE {where % {'contacts': 'ARRAY(SELECT key FROM due)'}}"


def check_archive(job, row):
    folder = Path(row["archive_path"])
    names = {f.name for f in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_text())
    wanted = set(ROWS_OF) if row["archive"] == "full" else LISTED
    assert names == {f"{n}.csv" for n in wanted} | {"SHA256SUMS", "manifest.json"}
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    assert row["archive_bytes"] == sum(f.stat().st_size for f in folder.glob("*.csv"))
    for entry in manifest["files"]:
        assert row["counters"]["rows"][entry["name"].removesuffix(".csv")] == entry["rows"], entry["name"]
    with job.pg.connect(job.db) as conn, conn.cursor() as cur:
        cur.execute("CREATE TEMP TABLE due (key bigint)")
        cur.execute("INSERT INTO due SELECT unnest(%s::bigint[])", (list(due_before(job)),))
        for table, columns in load_archive(job, conn, folder, manifest).items():
            erased = erased_query(job, table, columns)
            archived = "SELECT * FROM archived_" + table.split(".")[1]
            for left, right, what in ((erased, archived, "erased, not archived"),
                                      (archived, erased, "archived, not erased")):
                cur.execute(f"SELECT count(*) FROM (({left}) EXCEPT ALL ({right})) AS x")
                assert cur.fetchone()[0] == 0, f"rows of {table} {what}"


def check_counters(job, row):
    counted = row["counters"]
    if job.action == "delete_contacts":
        rows = {}
        for name, n in counted["rows"].items():
            table = ROWS_OF[name][0]
            rows[table] = rows.get(table, 0) + n
        erased = erased_counts(job)
        assert rows == {t: erased[t] for t in rows}
        assert not any(n for t, n in erased.items() if t not in rows)
    if job.action != "export":
        assert counted["treated"] == len(job.ledger())
    assert counted["treated"] + counted["failed"] + counted["dropped"] + counted["left"] == row["candidates"]


def check_done(job):
    """Exactly once: archived = erased = counted = in the ledger, and nothing is left lying about."""
    row = job.row()
    assert row["status"] == "done", row
    assert (row["waiting"], job.left()) == (None, 0)
    assert [p.name for p in job.archives.glob("*.partial")] == []
    if job.action == "delete_contacts":
        assert job.ledger() == missing_contacts(job)
    check_counters(job, row)
    if job.archive == "none":
        assert row["archive_path"] is None and list(job.archives.glob("2*")) == []
    else:
        check_archive(job, row)
    check_references(job)


def check_references(job):
    """No row points at one that is not there, the polymorphic files included."""
    keys = job.sql("""
        SELECT conrelid::regclass::text, a.attname, confrelid::regclass::text, f.attname
        FROM pg_constraint JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1]
             JOIN pg_attribute f ON f.attrelid = confrelid AND f.attnum = confkey[1]
        WHERE contype = 'f' AND connamespace = 'crm'::regnamespace""")
    assert len(keys) >= 14
    for table, column, parent, key in keys:
        assert job.value(f"""SELECT count(*) FROM {table} t WHERE "{column}" IS NOT NULL AND NOT EXISTS (
            SELECT FROM {parent} p WHERE p."{key}" = t."{column}")""") == 0, (table, column)
    for kind, parent in (("Contact", "contact"), ("Request", "request")):
        assert job.value(f"""SELECT count(*) FROM crm.files f WHERE record_type = '{kind}' AND NOT EXISTS (
            SELECT FROM crm.{parent} p WHERE p.id = record_id)""") == 0, kind


def check_all_erased(job):
    """Done, and with everybody who was due."""
    assert job.row()["error"] is None
    if job.action in ("delete_contacts", "anonymize_contacts"):
        assert job.ledger() == due_before(job)
    elif job.action == "anonymize_requests":
        assert job.ledger() == due_before(job, "request")
    assert job.row()["counters"]["treated"] == job.row()["candidates"] or job.action == "export"


def hold_batches(job, at_commit=False):
    """
    Whoever takes keys off the list, at a batch's end (or at its COMMIT), waits for advisory lock 4711 without a
    time-out.  ALWAYS: with integrity = "set", too.
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
