"""
Contacts that go in slices, in schemas and at moments for which the plain case proves nothing: an interval, rows
that point another way, keys that may be NULL, triggers that keep rows, clients in between.
"""

import pytest

from support.jobs import rests_on_triggers
from support.small import SCHEMA, archived, failures, keys, model, policy

pytestmark = pytest.mark.safety

LIMITS = {"workers": 1, "max_share": 1.0, "batch_rows": 500}
MANY = 2500  # more than PERSON_ROWS of batch/retry.c
OLD = "'2015-01-01'::timestamptz"
# Contact 1 becomes a giant by the rows that a test gives it, 2 is due, 3 is not.
THREE = f"""; INSERT INTO contact (id) VALUES (1), (2), (3);
    INSERT INTO request (id, contact_id, at) VALUES (1, 1, {OLD}), (2, 2, {OLD}), (3, 3, now())"""
NOTE = """; CREATE TABLE note (id bigint {key}, {by} bigint {references}, body text DEFAULT 'n'); CREATE INDEX ON note ({by})"""


def note(by="contact_id", references="REFERENCES contact", key="PRIMARY KEY"):
    return NOTE.format(by=by, references=references, key=key)


def sliced(d):
    return [k for (k,) in d.pg.sql(d.db, "SELECT details->>'key' FROM retention.journal_event WHERE kind = 'sliced'")]


def numbers(d, name, job=None):
    return sorted(int(row[0]) for row in archived(d, name, job))


def test_an_interval(make):
    """Its last request puts the contact into it: if that went before the older ones, the contact would be in no interval."""
    d = make(SCHEMA + f"""; INSERT INTO contact (id) VALUES (1); INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2015-06-15');
        INSERT INTO request (id, contact_id, at) SELECT n, 1, {OLD} - n * interval '1 hour' FROM generate_series(2, {MANY}) AS n""",
             model(), policy(depth="50 years"), limits=LIMITS)
    number = d.pg.value(d.db, "SELECT retention.save_action('delete_contacts', '2015-06-01', '2015-06-30', 'full')")
    d.once()  # lists it
    d.ctl("validate", str(number))
    d.once()
    assert sliced(d) == ["1"] and failures(d) == []
    assert keys(d.pg, d.db) == set() == keys(d.pg, d.db, "SELECT id FROM request")
    assert numbers(d, "request", d.jobs(f"id = {number}")[0]) == list(range(1, MANY + 1))


def test_what_requests_point_at(make):
    """The note goes after the requests, and then nothing would say that the contact is due."""
    d = make(SCHEMA + note() + f"""; ALTER TABLE request ADD note bigint REFERENCES note;
        CREATE INDEX ON request (note)""" + THREE + f"""; INSERT INTO note SELECT n, 1 FROM generate_series(1, {MANY}) AS n;
        UPDATE request SET note = {MANY} WHERE id = 1""",
             model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {3} and keys(d.pg, d.db, "SELECT id FROM note") == set()
    assert numbers(d, "note") == list(range(1, MANY + 1)) and numbers(d, "contact") == [1, 2]


@pytest.mark.parametrize("inner", [True, False])
def test_a_key_that_may_be_null(make, inner):
    """No foreign key keeps the rows together, and the key that slices are made by finds not all of them."""
    below = {"line": {"table": "line", "key": "id", "of": "note", "by": "note_id"}} if inner else {}
    d = make(SCHEMA + note(references="", key="UNIQUE") + note("note_id", "").replace("note ", "line ", 2).replace("ON note(", "ON line(")
             + THREE + f"; INSERT INTO note SELECT CASE WHEN n % 50 > 0 THEN n END, 1 FROM generate_series(1, {MANY}) AS n",
             model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}, **below),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {3} and d.pg.value(d.db, "SELECT count(*) FROM note") == 0
    assert len(archived(d, "note")) == MANY


KEEPS = """; CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN OLD.id % 500 = 7 THEN NULL ELSE OLD END; END $$;
    CREATE TRIGGER keep BEFORE DELETE ON note FOR EACH ROW EXECUTE FUNCTION keep()"""


@rests_on_triggers
@pytest.mark.parametrize("inner", [True, False])
def test_a_trigger_keeps_some(make, inner):
    """The failure is recorded as for any contact: it does not go while some of its rows do not."""
    below = {"line": {"table": "line", "key": "id", "of": "note", "by": "note_id"}} if inner else {}
    d = make(SCHEMA + note(references="") + note("note_id", "").replace("note ", "line ", 2) + KEEPS + THREE
             + f"; INSERT INTO note SELECT n, 1 FROM generate_series(1, {MANY}) AS n",
             model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}, **below),
             policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    ((key, said),) = failures(d)
    assert key == "1" and "kept" in said
    assert keys(d.pg, d.db) == {1, 3}
    left = keys(d.pg, d.db, "SELECT id FROM note")
    assert left | set(numbers(d, "note")) == set(range(1, MANY + 1)) and not left & set(numbers(d, "note"))
    # With lines below, a slice knows its notes beforehand; each slice has one that the trigger keeps, so that none commits.
    assert len(left) == MANY or not inner


@rests_on_triggers
def test_a_trigger_keeps_all(make):
    """Not one row of a slice goes, again and again: the contact has failed, and the job ends."""
    d = make(SCHEMA + note(references="") + KEEPS.replace("OLD.id % 500 = 7", "true") + THREE
             + f"; INSERT INTO note SELECT n, 1 FROM generate_series(1, {MANY}) AS n",
             model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
             policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    ((key, said),) = failures(d)
    assert key == "1" and "kept" in said
    assert keys(d.pg, d.db) == {1, 3} and d.pg.value(d.db, "SELECT count(*) FROM note") == MANY and archived(d, "note") == []


def test_tables_that_wait_for_one_another(make):
    """Rows below either table point at the other, so that neither may go first: the contact goes in one transaction."""
    below = """; CREATE TABLE {0} (id bigint PRIMARY KEY, {1}_id bigint REFERENCES {1}, {2}_id bigint REFERENCES {2});
        CREATE INDEX ON {0} ({1}_id); CREATE INDEX ON {0} ({2}_id); INSERT INTO {0} SELECT n, n, n FROM generate_series(1, 9) AS n"""
    other = note().replace("note ", "other ").replace("ON note(", "ON other(")
    d = make(SCHEMA + note() + other + THREE + f"""
        ; INSERT INTO note SELECT n, 1 FROM generate_series(1, {MANY}) AS n; INSERT INTO other SELECT n, 1 FROM generate_series(1, {MANY}) AS n"""
             + below.format("line", "note", "other") + below.format("word", "other", "note"),
             model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"},
                   other={"table": "other", "key": "id", "of": "contact", "by": "contact_id"},
                   line={"table": "line", "key": "id", "of": "note", "by": "note_id"},
                   word={"table": "word", "key": "id", "of": "other", "by": "other_id"}),
             policy(archive="full"), limits=LIMITS)
    d.once(timeout=60)
    assert sliced(d) == ["1"], "the rows below went first"
    assert failures(d) == [] and keys(d.pg, d.db) == {3}
    assert numbers(d, "note") == numbers(d, "other") == list(range(1, MANY + 1))


def test_dropped_beside_a_giant(make):
    """Two contacts share a batch and one is no longer due: it is told once, not with each slice of the other."""
    d = make(SCHEMA + note() + THREE + f"""; INSERT INTO note SELECT n, 1 FROM generate_series(1, {2 * MANY}) AS n;
        CREATE FUNCTION spare() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE request SET at = '2100-01-01' WHERE id = 2; RETURN NULL; END $$;
        """, model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
             policy(archive="full"), limits=LIMITS)
    d.pg.sql(d.db, """CREATE TRIGGER spare AFTER INSERT ON retention.candidate FOR EACH STATEMENT EXECUTE FUNCTION public.spare();
        ALTER FUNCTION public.spare() SET search_path = public""")
    d.once()
    assert keys(d.pg, d.db) == {2, 3} and sliced(d) == ["1"]
    counted = d.jobs()[-1]["counters"]
    assert (counted["treated"], counted["dropped"]) == (1, 1)
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'dropped'") == 1
    assert numbers(d, "note") == list(range(1, 2 * MANY + 1))


@pytest.mark.parametrize("what", ["due_when", "scope", "where", "function"])
def test_due_by_rows_that_go_first(make, what):
    """A predicate that reads other rows may change between two slices, so nothing is sliced then."""
    d = make(SCHEMA + note() + note().replace("note ", "line ").replace("ON note(", "ON line(") + THREE + f"""
        ; INSERT INTO line SELECT n, n FROM generate_series(1, 3) AS n
        ; CREATE FUNCTION has_line(bigint) RETURNS bool STABLE LANGUAGE sql AS 'SELECT $1 IN (SELECT contact_id FROM public.line)'
        ; INSERT INTO note SELECT n, n % 3 + 1 FROM generate_series(1, {3 * MANY}) AS n""",
             model(contact={"where": "id IN (SELECT contact_id FROM public.line)"} if what == "where" else None,
                   request={"due_when": "contact_id IN (SELECT l.contact_id FROM public.line AS l)"} if what == "due_when" else None,
                   line={"table": "line", "key": "id", "of": "contact", "by": "contact_id"},
                   note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
             policy(archive="full", **{"scope": {"scope": "id IN (SELECT contact_id FROM public.line)"},
                                       "function": {"scope": "public.Has_Line (id)"}}.get(what, {})),
             limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {3} and sliced(d) == []
    assert len(archived(d, "note")) == 2 * MANY


# A giant by his requests, and what hangs off them without a foreign key goes with each slice of them.
BELOW = note("request_id", "", "UNIQUE") + note("note_id", "").replace("note ", "line ", 1).replace("ON note ", "ON line ") + THREE + f"""
    ; INSERT INTO request (id, contact_id, at) SELECT n, 1, {OLD} - n * interval '1 hour' FROM generate_series(4, {MANY}) AS n
    ; INSERT INTO note SELECT CASE WHEN id % 100 = {{null}} THEN NULL ELSE id END, id FROM request WHERE id <> 3"""


@pytest.mark.parametrize("inner", [True, False])
def test_keys_that_are_null_below_slices(make, inner):
    below = {"line": {"table": "line", "key": "id", "of": "note", "by": "note_id"}} if inner else {}
    d = make(SCHEMA + BELOW.format(null=50),
             model(note={"table": "note", "key": "id", "of": "request", "by": "request_id"}, **below),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and sliced(d) == ["1"]
    assert keys(d.pg, d.db) == {3} and d.pg.value(d.db, "SELECT count(*) FROM note") == 0
    assert len(archived(d, "note")) == MANY - 1


@rests_on_triggers
@pytest.mark.parametrize("inner", [True, False])
def test_a_trigger_keeps_some_below_slices(make, inner):
    below = {"line": {"table": "line", "key": "id", "of": "note", "by": "note_id"}} if inner else {}
    d = make(SCHEMA + BELOW.format(null=-1) + KEEPS,
             model(note={"table": "note", "key": "id", "of": "request", "by": "request_id"}, **below),
             policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    ((key, said),) = failures(d)
    assert key == "1" and "kept" in said
    left = keys(d.pg, d.db, "SELECT id FROM note")
    assert left and left <= keys(d.pg, d.db, "SELECT id FROM request"), "none has lost its request"


@rests_on_triggers
def test_added_below_slices(make):
    """No foreign key: what comes while a slice is under way is looked for, as in every batch."""
    d = make(SCHEMA + BELOW.format(null=-1) + f"""; CREATE SEQUENCE once;
        CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('once') = 1 THEN INSERT INTO note VALUES (100000, {MANY}); END IF; RETURN NULL; END $$;
        CREATE TRIGGER late AFTER DELETE ON line FOR EACH STATEMENT EXECUTE FUNCTION late()""",
             model(note={"table": "note", "key": "id", "of": "request", "by": "request_id"},
                   line={"table": "line", "key": "id", "of": "note", "by": "note_id"}),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert sliced(d) == ["1"]
    assert keys(d.pg, d.db, "SELECT request_id FROM note") == set() and keys(d.pg, d.db) == {3}


@pytest.mark.parametrize("fk", ["REFERENCES blob", ""])
def test_slices_of_a_reverse_link(make, fk):
    """Some of very many attachments have a blob each (their own: not shared)."""
    n = MANY
    d = make(SCHEMA + f""";
        CREATE TABLE blob (id bigint PRIMARY KEY, data text);
        CREATE TABLE attachment (id bigint PRIMARY KEY, request_id bigint REFERENCES request, blob_id bigint UNIQUE {fk});
        CREATE INDEX ON attachment (request_id);
        INSERT INTO contact (id) VALUES (1), (2);
        INSERT INTO request (id, contact_id, at) VALUES (10, 1, {OLD}), (20, 2, now());
        INSERT INTO blob SELECT n, 'x' FROM generate_series(1, {n}) AS n WHERE n % 10 = 0;
        INSERT INTO attachment SELECT n, 10, CASE WHEN n % 10 = 0 THEN n END FROM generate_series(1, {n}) AS n""",
        model(attachment={"table": "attachment", "key": "id", "of": "request", "by": "request_id"},
              blob={"table": "blob", "key": "id", "of": "attachment", "by": "id", "from": "blob_id"}),
        policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    left = len(keys(d.pg, d.db, "SELECT id FROM blob"))
    assert failures(d) == [] and keys(d.pg, d.db) == {2}
    assert (left, len(archived(d, "blob")), len(archived(d, "attachment"))) == (0, n // 10, n)


@pytest.mark.parametrize("many", [10, MANY])
def test_slices_and_a_child_that_waits(make, many):
    """Documents hang off messages (no foreign key); very many shares of the contact's point at documents."""
    d = make(SCHEMA + f""";
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request); CREATE INDEX ON message (request_id);
        CREATE TABLE document (id bigint PRIMARY KEY, message_id bigint); CREATE INDEX ON document (message_id);
        CREATE TABLE share (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, document_id bigint REFERENCES document);
        CREATE INDEX ON share (contact_id); CREATE INDEX ON share (document_id);
        INSERT INTO contact (id) VALUES (1), (2);
        INSERT INTO request (id, contact_id, at) VALUES (10, 1, {OLD}), (20, 2, now());
        INSERT INTO message SELECT n, 10 FROM generate_series(1, 50) AS n;
        INSERT INTO document SELECT n, n FROM generate_series(1, 50) AS n;
        INSERT INTO share SELECT n, 1, CASE WHEN n <= 50 THEN n END FROM generate_series(1, {many}) AS n""",
        model(message={"table": "message", "key": "id", "of": "request", "by": "request_id"},
              document={"table": "document", "key": "id", "of": "message", "by": "message_id"},
              share={"table": "share", "key": "id", "of": "contact", "by": "contact_id"}),
        policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    left = keys(d.pg, d.db, "SELECT id FROM document")
    assert (failures(d), keys(d.pg, d.db), len(left), len(archived(d, "document"))) == ([], {2}, 0, 50)
