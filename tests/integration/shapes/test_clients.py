"""A pass over each shape beside clients that write, lock and hold: whoever came back is left alone."""

import itertools

import psycopg2
import pytest

from support.clients import clients
from support.harness import wait_until
from support.jobs import DONE
from support.oracles import check_all_erased, check_done, due_before, missing_contacts
from support.shapes import FEW

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))

# Passes of some seconds.
SLOW = {"workers": 2, "batch_rows": 400, "rows_per_second": 3000}
parametrize = pytest.mark.parametrize("shape", FEW, ids=str)


def insert(j, table, columns, values):
    """SQL that inserts a row into a table and into its copy in schema before."""
    return f"""WITH r AS (INSERT INTO crm.{table} ({columns}) VALUES ({values}) RETURNING *)
        INSERT INTO before.{table} SELECT * FROM r"""


@parametrize
def test_writers(job, shape):
    """What is inserted also goes into schema before: so all that ever was is either there or archived."""
    j = job(shape=shape, limits=SLOW)
    due, everybody = sorted(due_before(j)), [c for (c,) in j.sql(f"SELECT {shape.plain_number('id')} FROM crm.contact")]
    requests = [r for (r,) in j.sql(f"SELECT {shape.plain_number('id', 10)} FROM crm.request")]
    inserted, refused, numbers = [], [], itertools.count()

    def attempt(conn, contact, query, args, kept):
        with conn.cursor() as cur:
            try:
                cur.execute(query, args)
                inserted.append((contact, kept))
            except psycopg2.Error as error:
                refused.append((contact, error.pgcode))

    def new_request(conn, dice):
        contact = dice.choice(due if dice.random() < 0.2 else everybody)
        columns, values = shape.linked("request", "contact_id", contact)
        attempt(conn, contact, insert(j, "request", f"{columns}, reason, status, channel", f"{values}, 'question', %s, 'mail'"),
                (dice.choice(("open", "closed")),), True)

    def new_message(conn, dice):
        request = dice.choice(requests)
        columns, values = shape.linked("message", "request_id", request)
        attempt(conn, request // 10, insert(j, "message", f"{columns}, direction, channel, sender, recipient, body, sent_at",
                                            f"{values}, 'in', 'mail', 'a', 'b', %s, now()"), (f"{next(numbers)}\n; \"x\"",), False)

    run = j.start()
    j.begun()  # listed: whoever comes back from now on drops out of the list
    with clients(j, new_request, new_message):
        assert run.wait() == DONE, run.text()
    gone, back = missing_contacts(j), {c for c, kept in inserted if kept}
    assert back & set(due), "nobody came back in time"
    assert not gone & back and gone == set(due) - back
    # Only those that are gone refuse an insert, and by their foreign key.
    assert {code for _, code in refused} <= {"23503"} and {c for c, _ in refused} <= gone
    assert {shape.plain_key(k) for e in j.events("dropped") for k in e["keys"]} == set(due) - gone
    check_done(j)


@parametrize
def test_a_locked_row_is_left_for_a_later_sweep(job, shape):
    j = job(shape=shape)
    locked = sorted(due_before(j))[3]
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"SELECT FROM crm.contact WHERE {shape.plain_number('id')} = %s FOR UPDATE", (locked,))
        assert cur.rowcount == 1
        run = j.start()
        wait_until(lambda: j.left() == 1 and run.waits_for("locked"), what=run.text)
        assert j.sql("SELECT key FROM retention.candidate") == [(shape.key(locked),)]
        conn.rollback()
    assert run.wait() == DONE
    check_done(j)
    check_all_erased(j)


@parametrize
def test_a_hold_placed_meanwhile_is_honoured(job, shape):
    j = job(shape=shape, limits=SLOW)
    run = j.start()
    j.begun()
    held = set(sorted(due_before(j) - missing_contacts(j))[-4:])
    for contact in held:
        j.sql("SELECT retention.place_hold(%s, 'a case in court')", (shape.key(contact),))
    held -= missing_contacts(j)  # place_hold waits for the batch: who is there after it stays
    assert held and run.wait() == DONE
    assert missing_contacts(j) == due_before(j) - held
    assert {shape.plain_key(k) for e in j.events("dropped") for k in e["held"]} == held
    check_done(j)
