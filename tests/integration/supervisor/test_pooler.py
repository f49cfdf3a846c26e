"""
Through PgBouncer.  In session mode everything works.  In the other modes a session is given to other clients between two
transactions: the programs refuse it before they have changed anything of it.
"""

import os
import pwd
import shutil
import subprocess
import threading

import psycopg2
import pytest

from support.harness import short_dir, wait_until
from support.small import SCHEMA, contacts, keys, model

REFUSED = "the connection goes through a pooler that does not keep a session for each client"


class Pooler:
    """PgBouncer on a socket of the server's number, so that host=pooler.dir leads to it."""

    def __init__(self, pg, mode, size):
        self.dir, self.port = short_dir(), pg.port
        (self.dir / "ini").write_text(f"""[databases]
* = host={pg.dir} port={pg.port} user={pg.SUPERUSER}
[pgbouncer]
listen_addr =
listen_port = {pg.port}
unix_socket_dir = {self.dir}
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
logfile = {self.dir}/log
""")
        as_user = []
        if os.geteuid() == 0:  # which it refuses
            owner = pwd.getpwnam("postgres")
            os.chown(self.dir, owner.pw_uid, owner.pw_gid)
            as_user = ["runuser", "-u", "postgres", "--"]
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        self.process = subprocess.Popen([*as_user, program, "-q", self.dir / "ini"], cwd=self.dir, stdin=subprocess.DEVNULL)
        wait_until(lambda: (self.dir / f".s.PGSQL.{pg.port}").exists(), what="PgBouncer")

    def connect(self, db):
        conn = psycopg2.connect(host=str(self.dir), port=self.port, dbname=db, user="app")
        conn.autocommit = True
        return conn

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir)


@pytest.fixture
def pooler(pg):
    made = []

    def make(mode, size):
        made.append(Pooler(pg, mode, size))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def d(make):
    return make(SCHEMA + contacts(due=(1, 2), others=(3,)), model())


def settings(pool, db):
    """Of the one session that all share, and whatever else outlives a transaction."""
    conn = pool.connect(db)
    with conn.cursor() as cur:
        cur.execute("""SELECT name, setting FROM pg_settings WHERE name NOT IN ('application_name', 'client_encoding')
            UNION ALL SELECT 'listens', c FROM pg_listening_channels() AS c
            UNION ALL SELECT 'prepared', name FROM pg_prepared_statements
            UNION ALL SELECT 'locked', l.locktype FROM pg_locks AS l WHERE pid = pg_backend_pid() AND locktype = 'advisory'
            ORDER BY 1, 2""")
        found = cur.fetchall()
    conn.close()
    return found


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_session_that_others_share(d, pooler, mode):
    """Nothing in it has changed after each of the programs has met it."""
    pool = pooler(mode, 1)
    d.configure(host=pool.dir)
    before = settings(pool, d.db)
    done = d.check_config()
    assert done.returncode == 1 and REFUSED in done.stderr and done.stdout == "", done.stderr
    assert settings(pool, d.db) == before
    for args in (["journal"], ["subject", "delete", "1"], ["preview", "p"], ["migrate"], ["model", "check"]):
        done = d.ctl(*args, check=False)
        assert done.returncode == 1 and REFUSED in done.stderr, (args, done.stderr)
        assert settings(pool, d.db) == before
    done = d.once(check=False)
    assert done.returncode == 1 and REFUSED in done.stderr
    d.start()
    assert d.wait() == 1 and d.log_contains(REFUSED)
    assert settings(pool, d.db) == before
    assert keys(d.pg, d.db) == {1, 2, 3} and d.jobs() == []


def test_a_busy_pool(d, pooler):
    """Other clients take the sessions at any moment: the pooler is found out each time."""
    pool = pooler("transaction", 3)
    d.configure(host=pool.dir)
    over = threading.Event()

    def client():
        conn = pool.connect(d.db)
        with conn.cursor() as cur:
            while not over.is_set():
                cur.execute("SELECT count(*) FROM pg_class")
        conn.close()

    clients = [threading.Thread(target=client) for _ in range(6)]
    for each in clients:
        each.start()
    try:
        for _ in range(8):
            done = d.check_config()
            assert done.returncode == 1 and REFUSED in done.stderr, done.stderr
    finally:
        over.set()
        for each in clients:
            each.join()


def test_session_mode(d, pooler):
    pool = pooler("session", 20)
    d.configure(host=pool.dir)
    assert d.check_config().returncode == 0
    d.once()
    assert keys(d.pg, d.db) == {3} and d.jobs()[-1]["status"] == "done"
    d.start()
    d.wait_for_log("ready: ")
    d.ctl("subject", "delete", "3")
    d.wait_for_job("status = 'saved' AND frozen_at IS NOT NULL")  # it has heard of it
    d.ctl("validate", d.jobs()[-1]["id"])
    wait_until(lambda: d.jobs()[-1]["status"] == "done")
    assert keys(d.pg, d.db) == set()
    assert d.stop() == 0


def test_the_mode_changes_under_a_daemon(d, pooler):
    """The daemon that has met a pool in session mode meets another one: it says why nothing runs."""
    pool = pooler("session", 20)
    d.configure(host=pool.dir)
    d.start()
    d.wait_for_log("ready: ")
    ini = pool.dir / "ini"
    ini.write_text(ini.read_text().replace("= session", "= transaction"))
    pool.process.terminate()
    pool.process.wait()
    shutil.move(pool.dir, f"{pool.dir}.old")
    again = pooler("transaction", 1)
    os.symlink(again.dir, pool.dir)
    d.wait_for_log(REFUSED)
    d.wait_for_log("the model is refused: nothing is started")
    assert d.returncode is None and d.stop() == 0
    os.unlink(pool.dir)
    shutil.move(f"{pool.dir}.old", pool.dir)
