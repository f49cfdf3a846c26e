"""
A value that several rows have names none of them.  Each case would take rows of contact 2, which is not due, with
those of contact 1: the model is refused, by retentiond -t, by model check and by the job, and nothing goes.
"""

import json

import pytest

from support.small import failures, keys, model, policy

LIMITS = {"workers": 1, "max_share": 1.0}
NOTE = {"table": "note", "key": "id", "of": "contact", "by": "who", "archive": True}
UNIQUE = "no unique index on public.{0} says that"


def note(kind, values):
    return f"""; CREATE TABLE note (id bigint PRIMARY KEY, who {kind}, body text); CREATE INDEX ON note (who);
        INSERT INTO note VALUES {values}"""


def tickets(table):
    """Tickets of contacts 1 and 2 with the same number in two partitions, and their lines."""
    return f"""
        CREATE TABLE contact (id bigint PRIMARY KEY, name text);
        {table};
        CREATE TABLE line (id bigint PRIMARY KEY, ticket_no bigint); CREATE INDEX ON line (ticket_no);
        CREATE INDEX ON ticket (contact_id);
        INSERT INTO contact VALUES (1), (2);
        INSERT INTO ticket VALUES (1, 1, 1, '2015-01-01', 'a'), (2, 1, 2, '2100-01-01', 'b');
        INSERT INTO line VALUES (10, 1), (20, 1)"""


TICKET = {"table": "ticket", "key": "no"}
LINE = {"line": {"table": "line", "key": "id", "of": "request", "by": "ticket_no"}}

# Contact 1 is due, contact 2 is not: each has a request.
PEOPLE = """
    CREATE TABLE contact (id {0} PRIMARY KEY, name text, ref {1});
    CREATE TABLE request (id bigint PRIMARY KEY, contact_id {0} REFERENCES contact, at timestamptz);
    CREATE INDEX ON request (contact_id);
    INSERT INTO contact VALUES ({2}, 'one', {4}), ({3}, 'two', {5});
    INSERT INTO request VALUES (10, {2}, '2015-01-01'), (20, {3}, '2100-01-01')"""
COMPANIES = PEOPLE.format("bigint", "text", 1, 2, "'A7'", "'A7'")

# name: (schema, model, the query for what is contact 2's, what it has, words of the refusal)
CASES = {
    "a request's key, by hash": (
        tickets("""CREATE TABLE ticket (tenant int, no bigint, contact_id bigint REFERENCES contact, at timestamptz, t text,
            PRIMARY KEY (tenant, no)) PARTITION BY HASH (tenant);
            CREATE TABLE ticket_0 PARTITION OF ticket FOR VALUES WITH (MODULUS 2, REMAINDER 0);
            CREATE TABLE ticket_1 PARTITION OF ticket FOR VALUES WITH (MODULUS 2, REMAINDER 1)"""),
        model(request=TICKET, **LINE), "SELECT id FROM line WHERE id = 20 UNION SELECT tenant FROM ticket WHERE tenant = 2", {2, 20},
        ('table "request": ' + UNIQUE.format("ticket") + ' "no" is its key', "the same value can be in two partitions",
         'its unique index is over tenant, no: key = [ "tenant", "no" ]')),
    "a request's key, by range, with an index on each partition": (
        tickets("""CREATE TABLE ticket (tenant int, no bigint, contact_id bigint REFERENCES contact, at timestamptz, t text,
            PRIMARY KEY (no, at)) PARTITION BY RANGE (at);
            CREATE TABLE ticket_0 PARTITION OF ticket FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
            CREATE TABLE ticket_1 PARTITION OF ticket DEFAULT;
            CREATE UNIQUE INDEX ON ticket_0 (no); CREATE UNIQUE INDEX ON ticket_1 (no)"""),
        model(request=TICKET, **LINE), "SELECT id FROM line WHERE id = 20 UNION SELECT tenant FROM ticket WHERE tenant = 2", {2, 20},
        ('table "request": ' + UNIQUE.format("ticket") + ' "no" is its key', "the same value can be in two partitions")),
    "a contact's key": (
        """CREATE TABLE contact (id bigint, tenant int, name text, PRIMARY KEY (tenant, id)) PARTITION BY LIST (tenant);
        CREATE TABLE contact_1 PARTITION OF contact FOR VALUES IN (1); CREATE TABLE contact_2 PARTITION OF contact DEFAULT;
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint, at timestamptz); CREATE INDEX ON request (contact_id);
        INSERT INTO contact VALUES (1, 1, 'one'), (1, 2, 'two'); INSERT INTO request VALUES (10, 1, '2015-01-01')""",
        model(), "SELECT name FROM contact WHERE tenant = 2", {"two"},
        ('table "contact": ' + UNIQUE.format("contact") + ' "id" is its key', "the same value can be in two partitions")),
    "a key by another order": (
        COMPANIES + note("bigint", "(10, 1), (20, 2)")
        + "; ALTER TABLE note DROP CONSTRAINT note_pkey; CREATE UNIQUE INDEX ON note (id, who); UPDATE note SET id = 1",
        model(note={**NOTE, "shared": True, "by": "id", "from": "id"}), "SELECT who FROM note WHERE who = 2", {2},
        ('table "note": ' + UNIQUE.format("note") + ' "id" is its key',)),
    "from, without a foreign key": (
        COMPANIES + note("text", "(10, 'A7', 'one'), (20, 'A7', 'two')"), model(note={**NOTE, "from": "ref"}),
        "SELECT id FROM note", {10, 20},
        ('table "note": ' + UNIQUE.format("contact") + ' a value of "ref" belongs to one row', "shared = true", "match")),
    "from, within a tenant": (
        COMPANIES + "; ALTER TABLE contact ADD tenant int; UPDATE contact SET tenant = id; ALTER TABLE contact ADD UNIQUE (tenant, ref)"
        + note("text", "(10, 'A7'), (20, 'A7')")
        + "; ALTER TABLE note ADD tenant int; UPDATE note SET tenant = id / 10;"
          " ALTER TABLE note ADD FOREIGN KEY (tenant, who) REFERENCES contact (tenant, ref)",
        model(note={**NOTE, "from": "ref"}), "SELECT id FROM note", {10, 20},
        ('table "note": ' + UNIQUE.format("contact") + ' a value of "ref" belongs to one row',)),
    "from, detached": (
        COMPANIES + note("text", "(10, 'A7'), (20, 'A7')"), model(note={**NOTE, "from": "ref", "delete": "detach"}),
        "SELECT id FROM note WHERE who = 'A7'", {10, 20},
        ('table "note": ' + UNIQUE.format("contact") + ' a value of "ref" belongs to one row',)),
    "from, unique in part": (
        COMPANIES + "; ALTER TABLE contact ADD gone bool DEFAULT false; UPDATE contact SET gone = true WHERE id = 2;"
                    " CREATE UNIQUE INDEX ON contact (ref) WHERE NOT gone" + note("text", "(10, 'A7'), (20, 'A7')"),
        model({"where": "NOT gone"}, note={**NOTE, "from": "ref"}), "SELECT id FROM note", {10, 20},
        ('table "note": ' + UNIQUE.format("contact") + ' a value of "ref" belongs to one row',)),
    "a reverse link": (
        COMPANIES + note("bigint", "(7, NULL)") + "; ALTER TABLE contact ADD note_id bigint; UPDATE contact SET note_id = 7",
        model(note={**NOTE, "by": "id", "from": "note_id"}), "SELECT id FROM note", {7},
        ('table "note": ' + UNIQUE.format("contact") + ' a value of "note_id" belongs to one row',)),
    "a request's from": (
        PEOPLE.format("bigint", "bigint", 1, 2, 7, 7).replace("contact_id bigint REFERENCES contact", "contact_id bigint")
        + "; UPDATE request SET contact_id = 7, at = '2015-01-01'", model(request={"from": "ref"}), "SELECT id FROM request", {10, 20},
        ('table "request": ' + UNIQUE.format("contact") + ' a value of "ref" belongs to one row', "CREATE UNIQUE INDEX")),
    # Two keys that differ become one value of the link's type.
    **{f"{parent} as {child}": (
        PEOPLE.format(parent, "int", one, two, 0, 0) + note(child, f"(10, {one}), (20, {two})"), model(note=NOTE),
        "SELECT id FROM note WHERE id = 20", {20}, (f'table "note": its link by "who" ({shown or child})', "become one"))
       for parent, child, one, two, shown in [
           ("text", "bigint", "'007'", "'7'", None), ("text", "numeric", "'7.0'", "'7'", None),
           ("text", "char(8)", "'a '", "'a'", "bpchar"),
           ("text", "uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", None),
           ("text", "date", "'2020-01-01 10:00'", "'2020-01-01'", None),
           ("text", "boolean", "'t'", "'true'", None),
           ("bigint", "real", "16777217", "16777216", None)]},
}


@pytest.mark.parametrize("name", CASES)
def test_refused(make, name):
    schema, text, query, has, words = CASES[name]
    d = make(schema, text, policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    assert keys(d.pg, d.db, query) == has and d.jobs() == []
    checked = d.check_config()
    assert checked.returncode == 1
    lines = [line for line in checked.stderr.splitlines() if all(word in line for word in words)]
    assert len(lines) == 1, checked.stderr
    found = json.loads(d.ctl("model", "check", "--json", check=False).stdout)
    assert found["refused"] == [line for line in checked.stderr.splitlines() if "model.conf" in line]


@pytest.mark.parametrize("more, left", [
    # Twice the same reference: nobody knows whose the rows are.
    ("", {10, 20}),
    ("; UPDATE contact SET ref = 'A8' WHERE id = 2; UPDATE note SET who = 'A8' WHERE id = 20", {20})])
@pytest.mark.parametrize("link", [
    {"from": "ref", "shared": True}, {"by": None, "match": {"column": "who", "of": "ref"}}])
def test_the_guard_leaves_alone_what_another_has(make, link, more, left):
    """The two ways out of the refusal of from."""
    d = make(COMPANIES + note("text", "(10, 'A7'), (20, 'A7')") + more, model(note={k: v for k, v in {**NOTE, **link}.items() if v}),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {2} and keys(d.pg, d.db, "SELECT id FROM note") == left


@pytest.mark.parametrize("schema", [
    "ALTER TABLE contact ADD UNIQUE (ref)", "CREATE UNIQUE INDEX ON contact (ref) WHERE ref IS NOT NULL"])
def test_unique_is_enough(make, schema):
    d = make(COMPANIES.replace("'two', 'A7'", "'two', NULL") + ";" + schema + note("text", "(10, 'A7'), (20, 'A8'), (30, NULL)"),
             model(note={**NOTE, "from": "ref"}), policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db, "SELECT id FROM note") == {20, 30}


def test_a_copy_of_what_where_leaves_out(make):
    """An address of contact 1 is an agent's too: the letters to it may be the agent's."""
    d = make(COMPANIES + """;
        CREATE TABLE address (id bigint PRIMARY KEY, owner_type text, owner_id bigint, mail text); CREATE INDEX ON address (owner_id);
        CREATE TABLE letter (id bigint PRIMARY KEY, receiver text); CREATE INDEX ON letter (receiver);
        CREATE INDEX ON address (mail);
        INSERT INTO address VALUES (1, 'contact', 1, 'both@x'), (2, 'agent', 9, 'both@x'), (3, 'contact', 1, 'one@x');
        INSERT INTO letter VALUES (1, 'both@x'), (2, 'one@x'), (3, 'two@x')""",
             model(address={"table": "address", "key": "id", "of": "contact", "by": "owner_id", "where": "owner_type = 'contact'"},
                   letter={"table": "letter", "key": "id", "of": "address", "match": {"column": "receiver", "of": "mail"}}),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db, "SELECT id FROM letter") == {1, 3}


def test_partitions_without_a_key(make):
    """Lines are found by their ticket's key: they need none of their own."""
    d = make(COMPANIES + """;
        CREATE TABLE line (tenant int, no bigint, request_id bigint REFERENCES request, PRIMARY KEY (tenant, no)) PARTITION BY HASH (tenant);
        CREATE TABLE line_0 PARTITION OF line FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE line_1 PARTITION OF line FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX ON line (request_id);
        INSERT INTO line VALUES (1, 1, 10), (2, 1, 20), (1, 2, 20), (2, 2, 10)""",
             model(line={"table": "line", "of": "request", "by": "request_id", "archive": True}), policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and d.pg.sql(d.db, "SELECT tenant, no FROM line ORDER BY 1") == [(1, 2), (2, 1)]


CITEXT = "CREATE EXTENSION citext; " + PEOPLE.format("bigint", "citext", 1, 2, "'Ann@x'", "'bob@x'")
LOWER = """; ALTER TABLE {0} ADD COLUMN "{1}_lower" text GENERATED ALWAYS AS (lower("{1}"::text)) STORED"""


@pytest.mark.parametrize("link", ["match", "link"])
def test_citext(make, link):
    """Refused with a way out, which is taken then: the copy is found however it is spelt."""
    def linked(by, of):
        how = {"match": {"column": by, "of": of}} if link == "match" else {"by": by, "from": of}
        return model(note={k: v for k, v in {**NOTE, "by": None, **how}.items() if v})

    schema = CITEXT + "; CREATE UNIQUE INDEX ON contact (ref)" + note("citext", "(10, 'ANN@x'), (11, 'ann@x'), (20, 'BOB@x')")
    d = make(schema, linked("who", "ref"), policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    assert keys(d.pg, d.db) == {1, 2}
    said = d.check_config().stderr
    assert 'the link by "who" (public.citext) to "ref" (public.citext) goes over a type' in said
    way_out = 'ALTER TABLE public.note ADD COLUMN "who_lower" text GENERATED ALWAYS AS (lower("who"::text)) STORED'
    assert way_out in said
    d = make(schema + ";" + way_out + LOWER.format("contact", "ref") + "; CREATE UNIQUE INDEX ON contact (ref_lower);"
             " CREATE INDEX ON note (who_lower)", linked("who_lower", "ref_lower"), policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {2} and keys(d.pg, d.db, "SELECT id FROM note") == {20}


def test_a_key_of_citext(make):
    d = make("CREATE EXTENSION citext; " + PEOPLE.format("citext", "int", "'Ann'", "'bob'", 0, 0), model(), policy(), limits=LIMITS)
    d.once(check=False)
    assert len(keys(d.pg, d.db)) == 2
    assert ('table "contact": key "id" is public.citext: a key is a whole number, a uuid or a text, and no two spellings of it are'
            ' equal; name another column that is unique, or ALTER TABLE public.contact ADD COLUMN row_number bigint GENERATED'
            ' ALWAYS AS IDENTITY UNIQUE') in d.check_config().stderr


def test_detach_of_a_generated_link(make):
    d = make(COMPANIES + "; CREATE UNIQUE INDEX ON contact (ref) WHERE id = 1" + note("text", "(10, 'A7')") + LOWER.format("note", "who")
             + LOWER.format("contact", "ref"),
             model(note={**NOTE, "by": "who_lower", "from": "ref_lower", "shared": True, "delete": "keep"}), policy(), limits=LIMITS)
    d.once()
    d.configure(model=model(note={**NOTE, "by": "who_lower", "delete": "detach"}))
    assert 'delete = "detach" clears "who_lower", which the database generates' in d.check_config().stderr
