"""
A contact with more rows than a transaction should hold is erased in slices, its own row last, and each row is
archived once, whatever happens in between.
"""

import random

import pytest

from support.harness import wait_until
from support.jobs import DONE, KILLED, rests_on_triggers
from support.oracles import check_all_erased, check_done

pytestmark = pytest.mark.safety

MANY = 2500  # of each table; PERSON_ROWS of batch/retry.c is 1000
LIMITS = {"workers": 2, "batch_rows": 500}

# To be run with the person's key as :p; the last request is the one with everything.
GROW = f"""
INSERT INTO crm.request (contact_id, reason, status, channel, created_at)
    SELECT %(p)s, 'r', 'closed', 'mail', now() - interval '4 years' FROM generate_series(1, {MANY});
INSERT INTO crm.message (request_id, direction, channel, sender, recipient, body, sent_at)
    SELECT (SELECT max(id) FROM crm.request WHERE contact_id = %(p)s), 'in', 'mail', 's', 'r', 'b' || n, now() - interval '4 years'
      FROM generate_series(1, {MANY}) AS n;
INSERT INTO crm.attachment (message_id, file_name, mime_type, content)
    SELECT (SELECT max(m.id) FROM crm.message AS m), 'f' || n, 'm', 'c' FROM generate_series(1, {MANY}) AS n;
INSERT INTO crm.attachment (message_id, file_name, mime_type, content)
    SELECT m.id, 'f', 'm', 'c' FROM crm.message AS m JOIN crm.request AS r ON r.id = m.request_id WHERE r.contact_id = %(p)s;
INSERT INTO crm.status_change (request_id, to_status, at)
    SELECT r.id, 'closed', now() - interval '4 years' FROM crm.request AS r WHERE r.contact_id = %(p)s;
INSERT INTO crm.contact_social (contact_id, network, account) SELECT %(p)s, 'n', 'a' || n FROM generate_series(1, {MANY}) AS n;
INSERT INTO crm.files (record_type, record_id, file_name) SELECT 'Contact', %(p)s, 'a' || n FROM generate_series(1, {MANY}) AS n;
"""
GROWN = ["request", "message", "attachment", "status_change", "contact_social", "files"]


def grow(j):
    """Makes a contact that is due a giant, in schema before too, and returns its key."""
    person = j.value("""SELECT contact_id FROM crm.request GROUP BY 1 HAVING bool_and(status = 'closed')
        AND max(created_at) < now() - interval '3 years' ORDER BY 1 OFFSET 7 LIMIT 1""")
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(GROW, {"p": person})
        for table in GROWN:
            cur.execute(f"TRUNCATE before.{table}; INSERT INTO before.{table} SELECT * FROM crm.{table}")
    return person


def there(j, person):
    return j.value("SELECT count(*) FROM crm.contact WHERE id = %s", (person,))


def left_of(j, person):
    """{table: rows that still hang off him}."""
    requests = "(SELECT id FROM crm.request WHERE contact_id = %(p)s)"
    messages = f"(SELECT id FROM crm.message WHERE request_id IN {requests})"
    return {t: j.value(f"SELECT count(*) FROM crm.{t} WHERE {where}", {"p": person}) for t, where in {
        "request": "contact_id = %(p)s", "message": f"request_id IN {requests}", "attachment": f"message_id IN {messages}",
        "status_change": f"request_id IN {requests}", "contact_social": "contact_id = %(p)s"}.items()}


def largest_transaction(j):
    """Rows of a table that the largest transaction has deleted, by the server's own word."""
    return j.value("SELECT max(n) FROM (SELECT count(*) AS n FROM public.gone GROUP BY tx, what) AS x")


# A deferred constraint trigger is none that a statement waits for; it counts what goes in which transaction.
COUNTER = """
CREATE TABLE public.gone (tx xid8, what text);
CREATE FUNCTION public.count_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.gone SELECT pg_current_xact_id(), TG_TABLE_NAME FROM old_rows; RETURN NULL; END $$;
"""


def counted(j):
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(COUNTER)
        for table in GROWN:
            cur.execute(f"""CREATE TRIGGER gone AFTER DELETE ON crm.{table} REFERENCING OLD TABLE AS old_rows
                            FOR EACH STATEMENT EXECUTE FUNCTION public.count_gone()""")


@rests_on_triggers
@pytest.mark.parametrize("archive", ["full", "listed", "none"])
def test_in_slices(job, archive):
    j = job(archive=archive, limits=LIMITS)
    person = grow(j)
    counted(j)
    assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)
    (told,) = j.events("sliced")
    assert told["key"] == str(person)
    assert MANY / 3 < largest_transaction(j) <= 1000
    assert "and goes in slices" in j.last.text()
    # Nobody else was cut.
    assert j.value("SELECT count(DISTINCT tx) FROM public.gone") > 15


def test_requests_go_last(job):
    """By his few requests he is due; without them, and this policy keeps who never wrote, his last slices would stay."""
    j = job(limits=LIMITS)
    person = j.value("""SELECT contact_id FROM crm.request GROUP BY 1 HAVING bool_and(status = 'closed')
        AND max(created_at) < now() - interval '3 years' ORDER BY 1 OFFSET 7 LIMIT 1""")
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(f"""INSERT INTO crm.contact_social (contact_id, network, account)
            SELECT %s, 'n', 'a' || n FROM generate_series(1, {2 * MANY}) AS n""", (person,))
        cur.execute("TRUNCATE before.contact_social; INSERT INTO before.contact_social SELECT * FROM crm.contact_social")
    assert j.run() == DONE, j.last.text()
    assert [e["key"] for e in j.events("sliced")] == [str(person)]
    assert not there(j, person) and not j.events("dropped")
    check_done(j)
    check_all_erased(j)


def test_killed_between_two_slices(job):
    """The slices that went are archived once, and the rest is found."""
    j = job(limits={**LIMITS, "workers": 1})
    person = grow(j)
    dice = random.Random(7)
    kills = 0
    while (status := j.run(f"any:{dice.randrange(40, 110)}")) == KILLED:
        kills += 1
        if there(j, person) and j.events("sliced"):
            assert sum(left_of(j, person).values()) > 0
    assert status == DONE and kills > 3, j.last.text()
    check_done(j)
    check_all_erased(j)
    assert j.value("SELECT count(*) FROM retention.ledger WHERE key = %s", (str(person),)) == 1


@pytest.mark.parametrize("what", ["hold", "request"])
def test_spared_in_the_middle(job, what):
    """A contact that comes back or is held between two slices keeps the rest; the journal says that it is a part."""
    j = job(limits={**LIMITS, "workers": 1, "rows_per_second": 4000})
    person = grow(j)
    run = j.start()
    wait_until(lambda: j.events("sliced"), what="a first slice")
    if what == "hold":
        j.sql("SELECT retention.place_hold(%s, 'a law suit')", (str(person),))
    else:
        j.sql("INSERT INTO crm.request (contact_id, reason, channel) VALUES (%s, 'new', 'mail')", (person,))
    before = left_of(j, person)
    assert run.wait() == DONE, run.text()
    assert there(j, person) == 1
    after = left_of(j, person)
    assert sum(after.values()) > 1000 and all(after[t] <= before[t] for t in after)
    dropped = [e for e in j.events("dropped") if str(person) in e["keys"]]
    assert [e["partly_erased"] for e in dropped] == [[str(person)]]
    assert str(person) not in {k for (k,) in j.sql("SELECT key FROM retention.ledger")}
    check_done(j)


def test_a_row_that_points_from_one_slice_to_another(job):
    """Messages answer messages, so that no order of slices is right: the contact is erased whole, as any other."""
    j = job(limits=LIMITS)
    person = grow(j)
    j.sql("ALTER TABLE crm.message ADD answers bigint REFERENCES crm.message")
    j.sql("CREATE INDEX ON crm.message (answers)")
    j.sql("""UPDATE crm.message AS m SET answers = (SELECT max(id) FROM crm.message WHERE request_id = m.request_id)
              WHERE request_id IN (SELECT id FROM crm.request WHERE contact_id = %s)""", (person,))
    j.sql("ALTER TABLE before.message ADD answers bigint")
    j.sql("UPDATE before.message AS b SET answers = m.answers FROM crm.message AS m WHERE m.id = b.id")
    status = j.run()
    assert status == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)
