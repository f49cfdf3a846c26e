"""
A row stands in another's place: a client has put it there between two statements of a batch, or keys of other types
look alike.  The rows that hang off it are neither left behind nor taken for another's.
"""

import pytest

from support.clients import race
from support.small import SCHEMA, failures, keys, model, policy

pytestmark = pytest.mark.safety

LIMITS = {"workers": 1, "max_share": 1.0}
TWO = """;
    INSERT INTO contact (id) VALUES (1), (2);
    INSERT INTO request (id, contact_id, at) VALUES (10, 1, '2015-01-01'), (11, 1, '2015-02-01'), (20, 2, now())"""
NOTE = "; CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact); CREATE INDEX ON note (contact_id); INSERT INTO note VALUES (1, 1)"


def tables(fk="", kind=False, update=""):
    return f"""; CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint {fk}, kind text DEFAULT 'a'); CREATE INDEX ON message (request_id);
    CREATE TABLE attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES message {update}); CREATE INDEX ON attachment (message_id)""" + NOTE


def mod(where=None):
    return model(message={"table": "message", "key": "id", "of": "request", "by": "request_id", **({"where": where} if where else {})},
                 attachment={"table": "attachment", "key": "id", "of": "message", "by": "message_id"},
                 note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"})


def orphans(d, child="attachment", by="message_id", parent="message"):
    return d.pg.sql(d.db, f"SELECT c.id FROM {child} c WHERE {by} IS NOT NULL AND NOT EXISTS (SELECT FROM {parent} p WHERE p.id = c.{by})")


def check_erased(d):
    """The pass has come to its end with contact 1, and nothing hangs in the air."""
    assert d.jobs()[-1]["status"] == "done" and failures(d) == [] and keys(d.pg, d.db) == {2}
    assert orphans(d) == [] and orphans(d, "message", "request_id", "request") == []


def test_swap_without_fk(make, way):
    """One message goes, another comes in its place, with an attachment: as many rows as were collected."""
    d = make(SCHEMA + TWO + tables() + "; INSERT INTO message VALUES (100, 10), (110, 11), (200, 20); INSERT INTO attachment VALUES (1000, 100), (1100, 110)",
             mod(), policy(archive="full"), limits=LIMITS)
    lock = "SELECT FROM note WHERE id = 1 FOR UPDATE;" if way.integrity == "set" else ""
    race(d, lock + """DELETE FROM attachment WHERE id = 1000; DELETE FROM message WHERE id = 100;
        INSERT INTO message VALUES (102, 10); INSERT INTO attachment VALUES (1002, 102)""")
    check_erased(d)


def test_swap_where(make, way):
    """All keys are there; the where takes another row than was collected."""
    d = make(SCHEMA + TWO + tables("REFERENCES request") + "; INSERT INTO message VALUES (100, 10, 'a'), (101, 10, 'b'), (200, 20, 'a'); INSERT INTO attachment VALUES (1000, 100), (1010, 101)",
             mod("kind = 'a'"), policy(archive="full"), limits=LIMITS)
    lock = "SELECT FROM note WHERE id = 1 FOR UPDATE;" if way.integrity == "set" else ""
    race(d, lock + """DELETE FROM attachment WHERE id = 1000; DELETE FROM message WHERE id = 100; UPDATE message SET kind = 'a' WHERE id = 101""")
    check_erased(d)


def test_key_changes(make, way):
    """ON UPDATE CASCADE: the row is the same, its key is another."""
    d = make(SCHEMA + TWO + tables("REFERENCES request", update="ON UPDATE CASCADE") + "; INSERT INTO message VALUES (100, 10), (110, 11), (200, 20); INSERT INTO attachment VALUES (1000, 100), (1100, 110)",
             mod(), policy(archive="full"), limits=LIMITS)
    lock = "SELECT FROM note WHERE id = 1 FOR UPDATE;" if way.integrity == "set" else ""
    race(d, lock + "UPDATE message SET id = 999 WHERE id = 100")
    check_erased(d)


@pytest.mark.parametrize("fk", ["REFERENCES request", ""])
@pytest.mark.parametrize("child", ["varchar(8)", "text", "char(8)", "char(12)"])
def test_char_keys(make, child, fk):
    """The key is char(8), the link varchar(8): no race at all."""
    d = make(f"""
        CREATE TABLE contact (id bigint PRIMARY KEY, name text);
        CREATE TABLE request (id char(8) PRIMARY KEY, contact_id bigint REFERENCES contact, at timestamptz, status text, subject text);
        CREATE INDEX ON request (contact_id);
        CREATE TABLE message (id bigint PRIMARY KEY, request_id {child} {fk}); CREATE INDEX ON message (request_id);
        INSERT INTO contact VALUES (1), (2);
        INSERT INTO request VALUES ('r1', 1, '2015-01-01'), ('r2', 2, now());
        INSERT INTO message VALUES (1, 'r1'), (2, 'r2')""",
        model(message={"table": "message", "key": "id", "of": "request", "by": "request_id"}),
        policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    assert d.pg.sql(d.db, "SELECT id FROM message m WHERE NOT EXISTS (SELECT FROM request r WHERE r.id = m.request_id)") == []
    assert keys(d.pg, d.db) == {2} and failures(d) == []


@pytest.mark.parametrize("which", ["request", "note"])
def test_narrow_links(make, which):
    """contact.id is bigint, one table's link still integer."""
    rt, nt = ("integer", "bigint") if which == "request" else ("bigint", "integer")
    d = make(f"""
        CREATE TABLE contact (id bigint PRIMARY KEY, name text);
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id {rt} REFERENCES contact, at timestamptz, status text, subject text);
        CREATE INDEX ON request (contact_id);
        CREATE TABLE note (id bigint PRIMARY KEY, contact_id {nt} REFERENCES contact); CREATE INDEX ON note (contact_id);
        INSERT INTO contact VALUES (1), (2), (3000000000);
        INSERT INTO request VALUES (10, 1, '2015-01-01'), (20, 2, now());
        {"INSERT INTO request VALUES (30, 3000000000, '2015-01-01');" if which == "note" else ""}
        INSERT INTO note VALUES (1, 1)""",
        model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
        policy(archive="full"), limits=LIMITS)
    checked = d.check_config()
    done = d.once(check=False)
    assert failures(d) == [] and keys(d.pg, d.db) == ({2} if which == "note" else {2, 3000000000})


@pytest.mark.safety(integrity="set")
def test_swap_while_anonymized(make):
    """integrity = set, from the bottom up: the question is asked of what was collected, not of what went."""
    d = make(SCHEMA + TWO + tables() + "; INSERT INTO message VALUES (100, 10), (110, 11), (200, 20); INSERT INTO attachment VALUES (1000, 100), (1100, 110);"
             "UPDATE contact SET name = 'n'; UPDATE request SET subject = 's'",
             model(contact={"clear": ["name"], "keep": ["id", "brand", "created"]}, request={"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]},
                   message={"table": "message", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"},
                   attachment={"table": "attachment", "key": "id", "of": "message", "by": "message_id", "anonymize": "delete"},
                   note={"table": "note", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "keep"}),
             policy("anonymize_contacts"), limits=LIMITS)
    race(d, """DELETE FROM attachment WHERE id = 1000; DELETE FROM message WHERE id = 100;
        INSERT INTO message VALUES (102, 10); INSERT INTO attachment VALUES (1002, 102)""")
    assert orphans(d) == [] and orphans(d, "message", "request_id", "request") == []
    assert d.jobs()[-1]["counters"]["treated"] == 1 and failures(d) == []
    assert d.pg.sql(d.db, "SELECT name FROM contact WHERE id = 1") == [(None,)] and keys(d.pg, d.db, "SELECT id FROM message") == {200}


@pytest.mark.parametrize("what", ["note", "request"])
def test_numeric_scales(make, what):
    """The link has two decimals, the parent's column four: a value is rounded to another person's."""
    d = make(f"""
        CREATE TABLE contact (id bigint PRIMARY KEY, ref numeric(12,4) UNIQUE NOT NULL);
        CREATE TABLE request (id bigint PRIMARY KEY, {"contact_ref numeric(10,2) REFERENCES contact (ref)" if what == "request" else "contact_id bigint REFERENCES contact"}, at timestamptz);
        CREATE TABLE note (id bigint PRIMARY KEY, contact_ref numeric(10,2) REFERENCES contact (ref)); CREATE INDEX ON note (contact_ref);
        INSERT INTO contact VALUES (1, 7.3001), (2, 7.30);
        INSERT INTO request VALUES {"(20, 7.30, '2015-01-01')" if what == "request" else "(10, 1, '2015-01-01'), (20, 2, now())"};
        INSERT INTO note VALUES (2, 7.30)""",
        model(request={"by": "contact_ref", "from": "ref"} if what == "request" else None,
              note={"table": "note", "key": "id", "of": "contact", "by": "contact_ref", "from": "ref"}),
        policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    if what == "note":
        assert keys(d.pg, d.db) == {2} and keys(d.pg, d.db, "SELECT id FROM note") == {2}
    else:
        assert keys(d.pg, d.db) == {1}


def test_swap_without_any_fk(make, way):
    """What comes in the place of what was collected is erased; what hangs off it is looked for by nobody."""
    d = make(SCHEMA + TWO + tables().replace("message_id bigint REFERENCES message", "message_id bigint")
             + "; INSERT INTO message VALUES (100, 10), (110, 11), (200, 20); INSERT INTO attachment VALUES (1000, 100), (1100, 110)",
             model(message={"table": "message", "key": "id", "of": "request", "by": "request_id"},
                   attachment={"table": "attachment", "key": "id", "of": "message", "by": "message_id"},
                   note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"}),
             policy(archive="full"), limits=LIMITS)
    race(d, ("SELECT FROM note WHERE id = 1 FOR UPDATE;" if way.integrity == "set" else "") + """DELETE FROM attachment WHERE id = 1000;
        DELETE FROM message WHERE id = 100; INSERT INTO message VALUES (102, 10); INSERT INTO attachment VALUES (1002, 102)""")
    check_erased(d)


@pytest.mark.parametrize("child", [False, True])
def test_leaf_request_without_fk(make, child):
    """A new request, which no foreign key keeps out, between re-check and DELETE."""
    d = make(SCHEMA.replace("REFERENCES contact,", ",") + TWO + """;
        CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact); CREATE INDEX ON note (contact_id);
        CREATE TABLE line (id bigint PRIMARY KEY, note_id bigint REFERENCES note); CREATE INDEX ON line (note_id);
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint); CREATE INDEX ON message (request_id);
        INSERT INTO note VALUES (1, 1); INSERT INTO line VALUES (1, 1)""",
        model(note={"table": "note", "key": "id", "of": "contact", "by": "contact_id"},
              line={"table": "line", "key": "id", "of": "note", "by": "note_id"},
              **({"message": {"table": "message", "key": "id", "of": "request", "by": "request_id"}} if child else {})),
        policy(archive="full"), limits=LIMITS)
    race(d, "SELECT FROM line WHERE id = 1 FOR UPDATE; INSERT INTO request (id, contact_id, at) VALUES (12, 1, now())")
    assert keys(d.pg, d.db) == {1, 2} and keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 12, 20}
