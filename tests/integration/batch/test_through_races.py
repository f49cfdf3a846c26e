"""
Requests with several contacts: whose a request is changes in the very moment in which a batch works on it.  What
counts is who came first: a request that has another contact stays, and one that has none any more does not.
"""

import itertools
import threading

import psycopg2
import pytest

from support.clients import SEED, clients, race
from support.harness import wait_until
from support.jobs import hold_batches
from support.small import archived, failures, keys, policy
from support.through import PLAIN, SHAPES, World, deletes, left

pytestmark = pytest.mark.safety(once=True)

plain = SHAPES[0]
MODEL = plain.model()
LIMITS = {"max_share": 1.0}
# Contact 1 is due, contact 2 is not; ticket 10 is theirs, 11 of the first alone, 20 of the second.
PAIR = PLAIN + """;
    INSERT INTO contact (id, name) VALUES (1, 'one'), (2, 'two'), (3, 'three');
    INSERT INTO ticket VALUES (10, '2015-01-01', 'closed', 's10'), (11, '2015-01-01', 'closed', 's11'), (20, now(), 'closed', 's20');
    INSERT INTO ticket_contact VALUES (10, 1), (10, 2), (11, 1), (20, 2);
    INSERT INTO message VALUES (100, 10, 'm'), (110, 11, 'm'), (200, 20, 'm')"""


def tickets(d):
    return keys(d.pg, d.db, "SELECT id FROM ticket")


def pairs(d):
    return set(d.pg.sql(d.db, "SELECT ticket_id, contact_id FROM ticket_contact"))


@pytest.mark.safety(by_set_with=4)
def test_the_other_contact_leaves(make):
    """It was the last but one: the request goes with contact 1."""
    d = make(PAIR, MODEL, deletes(), limits=LIMITS)
    race(d, "DELETE FROM ticket_contact WHERE (ticket_id, contact_id) = (10, 2)")
    assert keys(d.pg, d.db) == {2, 3} and tickets(d) == {20} and pairs(d) == {(20, 2)}
    assert {row[0] for row in archived(d, "request")} == {"10", "11"}


def test_the_other_contact_leaves_an_anonymized_request(make):
    d = make(PAIR, MODEL, policy("anonymize_contacts"), limits=LIMITS)
    race(d, "DELETE FROM ticket_contact WHERE (ticket_id, contact_id) = (10, 2)")
    assert d.pg.sql(d.db, "SELECT id, subject FROM ticket ORDER BY 1") == [(10, None), (11, None), (20, "s20")]


@pytest.mark.safety(by_set_with=4)
def test_the_other_contact_is_deleted_by_the_application(make):
    d = make(PAIR, MODEL, deletes(), limits=LIMITS)
    race(d, "DELETE FROM ticket_contact WHERE contact_id = 2; DELETE FROM contact WHERE id = 2")
    assert keys(d.pg, d.db) == {3} and tickets(d) == {20} and pairs(d) == set()


@pytest.mark.safety(by_set_with=4)
def test_another_contact_comes(make):
    """Ticket 11 was of contact 1 alone when the pass listed it."""
    d = make(PAIR, MODEL, deletes(), limits=LIMITS)
    race(d, "INSERT INTO ticket_contact VALUES (11, 3)")
    assert keys(d.pg, d.db) == {2, 3} and tickets(d) == {10, 11, 20}
    assert pairs(d) == {(10, 2), (11, 3), (20, 2)} and archived(d, "request") == []


def test_another_contact_comes_to_an_anonymized_request(make):
    d = make(PAIR, MODEL, policy("anonymize_contacts"), limits=LIMITS)
    d.pg.sql(d.db, "INSERT INTO ticket VALUES (30, now(), 'open', 's30'); INSERT INTO ticket_contact VALUES (30, 3)")
    race(d, "INSERT INTO ticket_contact VALUES (11, 3)")
    assert d.pg.sql(d.db, "SELECT id, subject FROM ticket ORDER BY 1") == [(10, "s10"), (11, "s11"), (20, "s20"), (30, "s30")]
    assert d.pg.value(d.db, "SELECT name FROM contact WHERE id = 1") is None


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("change", ["INSERT INTO ticket_contact VALUES (20, 1)", "UPDATE ticket_contact SET ticket_id = 20 WHERE (ticket_id, contact_id) = (11, 1)",
                                    "UPDATE ticket SET at = now() WHERE id = 10", "UPDATE ticket SET status = 'open' WHERE id = 11"])
def test_the_contact_comes_back(make, change):
    """By a request of somebody else's, or one of its own that is not over."""
    d = make(PAIR, MODEL, deletes(), limits=LIMITS)
    race(d, change)
    assert keys(d.pg, d.db) == {1, 2, 3} and tickets(d) == {10, 11, 20} and len(pairs(d)) in (4, 5)
    assert d.jobs()[-1]["counters"]["dropped"] == 1


def test_a_request_moves_from_one_contact_to_another(make):
    d = make(PAIR, MODEL, deletes(), limits=LIMITS)
    race(d, "UPDATE ticket_contact SET contact_id = 3 WHERE contact_id = 1")
    assert keys(d.pg, d.db) == {1, 2, 3}, "no request, no date: never due"
    assert tickets(d) == {10, 11, 20} and pairs(d) == {(10, 3), (10, 2), (11, 3), (20, 2)}


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("change", ["DELETE FROM ticket_contact WHERE (ticket_id, contact_id) = (10, 2)", "INSERT INTO ticket_contact VALUES (10, 3)",
                                    "UPDATE ticket_contact SET contact_id = 3 WHERE contact_id = 2", "INSERT INTO ticket_contact VALUES (20, 1)"])
def test_a_client_waits_for_the_batch(make, change):
    """From the moment in which the batch has looked, whose its requests are is settled until it has ended."""
    d = make(PAIR, MODEL, deletes(), limits={**LIMITS, "workers": 1})
    hold_batches(d)
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        batch = threading.Thread(target=d.once)
        batch.start()
        wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"))
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            cur.execute(f"SET lock_timeout = '200ms'; {change}")
        cur.execute("SELECT pg_advisory_unlock(4711)")
        batch.join()
    assert keys(d.pg, d.db) == {2, 3} and tickets(d) == {10, 20} and pairs(d) == {(10, 2), (20, 2)}


@pytest.mark.parametrize("point", ["batch-after-lock", "batch-after-collect", "batch-mid-erase", "batch-before-commit", "batch-after-commit",
                                   "batch-after-ledger"])
def test_killed_at(make, pg, point):
    """Then run to its end: each row is archived or there, as if nothing had been."""
    world = World(SEED)
    d = make(plain.schema, MODEL, deletes(), limits={**LIMITS, "batch_rows": 20})
    world.load(pg, d.db, plain)
    d.once(failpoint=f"{point}:1", check=False)
    d.once(failpoint=f"{point}:3", check=False)
    d.once()
    assert d.jobs()[-1]["status"] == "done", d.jobs()[-1]
    assert left(pg, d.db, plain) == world.without(world.due())
    gone = world.last_gone(world.due())
    assert sorted(int(row[0]) for row in archived(d, "request")) == sorted(gone)
    assert sorted((int(t), int(c)) for t, c, *_ in archived(d, "request_contact")) == sorted(p for p in world.pairs if p[1] in world.due())


@pytest.mark.safety(workers=(4,))
def test_workers_share_the_requests_of_all(make):
    """Each of 40 contacts is in each of 5 requests, and in one of its own: one batch at a time has them, and all end."""
    d = make(PLAIN + """;
        INSERT INTO contact SELECT n, 'n' FROM generate_series(1, 40) AS n;
        INSERT INTO ticket SELECT n, '2015-01-01', 'closed', 's' FROM generate_series(1, 45) AS n;
        INSERT INTO ticket_contact SELECT t, c FROM generate_series(1, 40) AS c, generate_series(1, 5) AS t;
        INSERT INTO ticket_contact SELECT c + 5, c FROM generate_series(1, 40) AS c""",
             MODEL, deletes(), limits={**LIMITS, "batch_rows": 7})
    d.once()
    assert d.jobs()[-1]["status"] == "done" and failures(d) == []
    assert keys(d.pg, d.db) == tickets(d) == pairs(d) == set()
    assert len(archived(d, "request")) == 45 and len(archived(d, "request_contact")) == 240


@pytest.mark.safety(by_set_with=4)
def test_clients_at_work(make, pg):
    """
    They add, remove and move people while the pass runs.  Everything that ever was is there or archived, once; no
    request lost its last contact but by a client.
    """
    world = World(SEED, contacts=150, tickets=240)
    d = make(plain.schema, MODEL, deletes(), limits={**LIMITS, "batch_rows": 10, "rows_per_second": 200})
    world.load(pg, d.db, plain)
    inserted, removed, numbers = set(), set(), itertools.count(1000)

    def attempt(conn, query, args, done):
        with conn.cursor() as cur:
            try:
                cur.execute(query, args)
                for row in cur.fetchall():
                    done(row)
            except psycopg2.Error as error:
                assert error.pgcode in ("23503", "23505", "40P01"), error

    def add(conn, dice):
        attempt(conn, "INSERT INTO ticket_contact VALUES (%s, %s, 'new') RETURNING ticket_id, contact_id",
                (dice.choice(list(world.tickets)), dice.choice(list(world.contacts))), inserted.add)

    def remove(conn, dice):
        attempt(conn, "DELETE FROM ticket_contact WHERE (ticket_id, contact_id) = (%s, %s) RETURNING ticket_id, contact_id",
                dice.choice(sorted(world.pairs)), removed.add)

    def open_ticket(conn, dice):
        attempt(conn, """WITH t AS (INSERT INTO ticket VALUES (%s, now(), 'open', 'new') RETURNING id)
            SELECT id, 0 FROM t""", (next(numbers),), lambda row: None)

    thread = threading.Thread(target=d.once)
    thread.start()
    wait_until(lambda: pg.value(d.db, "SELECT count(*) FROM retention.candidate"), what="listed")
    with clients(d, add, remove, open_ticket):
        thread.join()
    assert d.jobs()[-1]["status"] == "done", d.jobs()[-1]
    there, now = tickets(d), pairs(d)
    gone = [int(row[0]) for row in archived(d, "request")]
    assert len(gone) == len(set(gone)) and not set(gone) & there and set(gone) | there >= set(world.tickets)
    rows = [(int(t), int(c)) for t, c, *_ in archived(d, "request_contact")]
    assert not {t for t, _ in now} & set(gone), "each row has its request, or the key would have said so"
    for pair in world.pairs - inserted - removed:
        assert (pair in now) + rows.count(pair) == 1, pair
    people = [int(row[0]) for row in archived(d, "contact")]
    assert len(people) == len(set(people)) and set(people) | keys(pg, d.db) == set(world.contacts)
    touched = {t for t, _ in removed}
    for t in there & set(world.tickets):
        if world.with_contact(t) and t not in touched:
            assert any(ticket == t for ticket, _ in now), f"ticket {t} is nobody's"
