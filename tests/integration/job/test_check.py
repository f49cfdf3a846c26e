"""
The check of the model where the database answers, but not all can be looked at: -t ends with 1, the daemon says why it is
not ready.  3 is for a database that could not be asked.
"""

import re
import threading
from contextlib import contextmanager

import pytest

from support.harness import TIMEOUT
from support.small import SCHEMA, TWO, model, policy


@pytest.fixture
def d(make):
    return make(SCHEMA + TWO, model())


@contextmanager
def table_locked(d, seconds=None):
    """For so long, whatever the test does meanwhile; None: as long as it wants."""
    with d.pg.connect(d.db, autocommit=False) as conn:
        conn.cursor().execute("LOCK TABLE request")
        timer = threading.Timer(seconds or TIMEOUT, conn.rollback)
        timer.start()
        yield
        if not seconds:
            timer.cancel()
        timer.join()
        conn.rollback()


def test_a_table_is_locked_for_a_moment(d):
    with table_locked(d, 2):
        done = d.check_config()
    assert (done.returncode, done.stdout) == (0, "configuration OK\n"), done.stderr
    assert re.search("the check waits: .*locked by other sessions: public.request", done.stderr)
    with table_locked(d, 2):
        assert "is done" in d.once().stderr
    with table_locked(d):
        since = d.log_position()
        d.start()
        d.wait_for_log("the model is not checked yet: .*locked", since=since)
    d.wait_for_log("ready: ", since=since)
    assert d.stop() == 0


@pytest.mark.parametrize("sqlstate", ["53100", "57014"])
def test_a_check_that_the_server_ends(d, sqlstate):
    """As where it has no room, or where the statement takes too long.  The database answers all the time."""
    d.pg.sql(d.db, f"""CREATE FUNCTION full_up() RETURNS bool LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN RAISE 'no' USING ERRCODE = '{sqlstate}'; END $$""")
    d.configure(model=model(contact={"where": "public.full_up()"}))
    done = d.check_config()
    assert (done.returncode, done.stdout) == (1, "") and sqlstate in done.stderr, done.stderr
    assert 'the model could not be checked: table "contact": where: ' in done.stderr
    done = d.once(check=False)
    assert done.returncode == 1 and f"the model is not checked yet: table \"contact\": where: " in done.stderr
    assert d.jobs() == []


@pytest.mark.parametrize("conninfo, status, says", [
    ("service=nothing_such", 1, "nothing_such"), ("host=/nowhere sslmode=sometimes", 1, "sslmode"),
    ("host=/nowhere dbname=x", 3, "does not answer"), ("host=127.0.0.1 port=1 dbname=x", 3, "does not answer")])
def test_a_database_that_cannot_be_asked(d, conninfo, status, says):
    d.configure(database={"conninfo": conninfo})
    done = d.check_config()
    assert done.returncode == status and says in done.stderr, done.stderr
    assert done.stdout == ("configuration OK, except for the model\n" if status == 3 else "")


def test_a_server_that_does_not_answer(d, proxy):
    """The connection is lost while the check runs: that is a database that could not be asked."""
    p = proxy()
    p.cut_at(b"EXPLAIN EXECUTE", forward=False)
    d.configure(host=p.dir)
    assert d.check_config().returncode == 3
    assert d.check_config().returncode == 0
