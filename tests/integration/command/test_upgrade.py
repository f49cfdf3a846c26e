"""An upgrade of the schema that dies on the way, or that comes while the daemon of the version before is running."""

import re
import signal
import subprocess

import psycopg2
import pytest

from support.harness import BUILD, wait_until
from support.jobs import AWAY, DONE, SLOWER, STOPPED, tidy
from support.oracles import check_all_erased, check_done, missing_contacts
from support.versions import NEWEST, at_version, dump, pretend, told

ENDS = ["SIGKILL", "SIGINT", "terminated", "cancelled"]


class Migrate:
    """A migrate that waits within its next migration, before its COMMIT, until the block is left."""

    def __init__(self, pg, db):
        self.pg, self.db = pg, db

    def __enter__(self):
        self.conn = psycopg2.connect(self.pg.conninfo(self.db))
        with self.conn.cursor() as cur:  # it has everything but the right to record the migration
            cur.execute("LOCK TABLE retention.schema_version IN SHARE MODE")
        self.process = self.start()
        wait_until(lambda: self.waiting("INSERT INTO retention.schema_version"))
        return self

    def __exit__(self, *_):
        self.conn.rollback()
        self.conn.close()
        self.process.kill()
        self.process.communicate()

    def start(self):
        return subprocess.Popen([BUILD / "retentionctl", "-d", self.pg.conninfo(self.db), "migrate"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def waiting(self, query):
        return self.pg.value(self.db, "SELECT min(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
                                      " AND datname = current_database()", (f"{query}%",))

    def end(self, how):
        pid = self.waiting("INSERT INTO retention.schema_version")
        if how.startswith("SIG"):
            self.process.send_signal(getattr(signal, how))
            self.conn.rollback()  # the server goes on with the statement, and finds nobody who would say COMMIT
        else:
            self.pg.sql(self.db, f"SELECT pg_{'terminate' if how == 'terminated' else 'cancel'}_backend(%s)", (pid,))
        out, err = self.process.communicate(timeout=30)
        wait_until(lambda: not self.pg.value(self.db, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)))
        return self.process.returncode, err


@pytest.mark.parametrize("number", [1, 4, NEWEST - 1])
@pytest.mark.parametrize("how", ENDS)
def test_it_dies_within_a_migration(pg, db, empty_db, how, number):
    """What is left is the version before, to the last object; the next migrate ends at what a new schema is."""
    older = empty_db()
    at_version(pg, older, number)
    before = dump(pg, older)
    with Migrate(pg, older) as migrate:
        status, err = migrate.end(how)
    assert status != 0 and (err or how.startswith("SIG")), (status, err)
    assert dump(pg, older) == before
    assert pg.value(older, "SELECT max(version) FROM retention.schema_version") == number
    done = subprocess.run([BUILD / "retentionctl", "-d", pg.conninfo(older), "migrate"], capture_output=True, text=True)
    assert done.returncode == 0 and dump(pg, older) == dump(pg, db), done.stderr


def test_two_at_once(pg, db, empty_db):
    """The second waits; when the first dies it does all the work, once."""
    older = empty_db()
    at_version(pg, older, 4)
    with Migrate(pg, older) as first:
        second = first.start()
        wait_until(lambda: first.waiting("SELECT pg_advisory_lock"))
        first.end("terminated")
        first.conn.rollback()
        out, err = second.communicate(timeout=60)
    assert second.returncode == 0 and "another migration of this database is running" in err, err
    assert len(re.findall(r"^migration \d+ \(\w+\) applied$", out, re.M)) == NEWEST - 4
    assert dump(pg, older) == dump(pg, db)


def migrate(j):
    return j.daemon.ctl("migrate", check=False)


def test_an_action_is_under_way(job):
    """migrate does not begin.  Stopped for it, the pass goes on under the new version, exactly once."""
    j = job(archive="full", limits=SLOWER)
    run = j.start()
    wait_until(lambda: j.ledger() and run.running())
    pretend(j.pg, j.db, NEWEST - 1)
    applied = j.sql("SELECT version FROM retention.schema_version ORDER BY 1")
    done = migrate(j)
    assert run.running() and done.returncode == 1
    assert done.stderr == (f"retentionctl: action {j.id} is under way: stop the daemon (systemctl stop retentiond), run migrate, and start it "
                           "again; nothing is changed\n")
    assert j.sql("SELECT version FROM retention.schema_version ORDER BY 1") == applied
    assert j.daemon.ctl("migrate", "--dry-run").returncode == 0 and run.running()
    run.signal(signal.SIGTERM)
    assert run.wait() == STOPPED, run.text()
    # What is left of the upgrade: the journal has every migration again.
    j.sql(f"INSERT INTO retention.schema_version (version, name, sha256) VALUES ({NEWEST}, 'grants', 'x')")
    assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("is_at", [NEWEST - 1, NEWEST + 1])
def test_a_job_of_another_version(job, is_at):
    """A daemon that was not restarted begins nothing and records nothing: its jobs wait, and say which program has to be upgraded."""
    j = job(archive="full")
    before = j.row()
    pretend(j.pg, j.db, is_at)
    run = j.start()
    wait_until(lambda: told(is_at) in run.text())
    assert run.running() and j.row() == before and not missing_contacts(j) and not j.ledger() and not list(j.archives.iterdir())
    status, said = tidy(j)
    assert status == AWAY and told(is_at) in said
    j.sql("DELETE FROM retention.schema_version WHERE version >= %s", (NEWEST,))
    j.sql(f"INSERT INTO retention.schema_version (version, name, sha256) VALUES ({NEWEST}, 'grants', 'x')")
    assert run.wait() == DONE, run.text()
    check_done(j)
    check_all_erased(j)


def test_an_idle_daemon_meets_a_newer_schema(daemon):
    """It was running when somebody upgraded the schema: a person's order waits, and is done when the versions fit."""
    d = daemon(contacts=20, policies=[{"name": "p", "action": "delete_contacts", "depth": "18 months", "schedule": "yearly"}])
    d.start()
    d.wait_for_log("ready: ")
    wait_until(lambda: d.pg.sql(d.db, "SELECT name FROM retention.policies"), what="the policies in force")
    pretend(d.pg, d.db, NEWEST + 1)
    d.pg.sql(d.db, "SELECT retention.run_policy('p')")
    d.wait_for_log(re.escape(told(NEWEST + 1)))
    job, = d.jobs()
    assert job["status"] == "saved" and job["error"] is None
    d.pg.sql(d.db, f"DELETE FROM retention.schema_version WHERE version > {NEWEST}")
    assert d.wait_for_job()["status"] == "done"
