"""
A value that the server has no room for: it is one contact's failure, and the others go.  A shortage of memory that ends
leaves nobody behind.
"""

import pytest

from support.small import SCHEMA, contacts, failures, keys, model, policy

# 4 times 300 MB are asked for, above the server's limit of 1 GB for one request: SQLSTATE XX000.
TOO_LARGE = "PERFORM regexp_replace(repeat('a', 300000000), 'b', 'c')"
# As where malloc() fails.  The message of a function is not the server's own, so that this stands for it by its number.
SHORT = "RAISE 'out of memory' USING ERRCODE = '53200'"


def trigger(body, when="OLD.id = 5"):
    return f""";
        CREATE FUNCTION greedy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN OLD; END $$;
        CREATE TRIGGER greedy BEFORE DELETE ON contact FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION greedy()"""


@pytest.mark.parametrize("body, sqlstate, workers", [(TOO_LARGE, "XX000", 1), (TOO_LARGE, "XX000", 2), (SHORT, "53200", 2)])
def test_one_contact(make, pg, body, sqlstate, workers):
    d = make(SCHEMA + contacts(due=range(1, 10), others=(10,)) + trigger(body), model(), policy(archive="full"),
             limits={"workers": workers})
    assert "is done, but not with all contacts" in d.once(check=False).stderr
    assert keys(pg, d.db) == {5, 10}
    (key, message), = failures(d)
    assert key == "5" and sqlstate in message and "too large for the server to read" in message, message
    assert d.ctl("archive", "verify", "1").returncode == 0


def test_a_shortage_that_ends(make, pg):
    """The first tries fail, with all contacts: nobody is recorded as failed."""
    d = make(SCHEMA + contacts(due=range(1, 10)) + "; CREATE SEQUENCE tries" +
             trigger("IF nextval('tries') <= 12 THEN " + SHORT + "; END IF", "true"), model())
    d.once()
    assert keys(pg, d.db) == set() and failures(d) == []


def test_a_shortage_of_shared_memory_is_nobodys_fault(make, pg):
    """A full table of locks has the same SQLSTATE: the job waits, and says why."""
    d = make(SCHEMA + contacts(due=range(1, 4)) + "; CREATE TABLE many AS SELECT 300000 AS n" +
             trigger("PERFORM pg_advisory_xact_lock(i) FROM generate_series(1, (SELECT n FROM many)) AS i", "true"), model())
    d.start("--once")
    d.wait_for_log("waits: .*out of shared memory")
    pg.sql(d.db, "UPDATE many SET n = 1")
    assert d.wait() == 0
    assert keys(pg, d.db) == set() and failures(d) == []
