"""Requests with several contacts: the draft finds the table that says so, or asks."""

import re

import pytest

from support.drafts import ACTIONS, MARK, answered, drafted, marks, run

JOINED = """CREATE TABLE contact (id int PRIMARY KEY, name text);
    CREATE TABLE request (id int PRIMARY KEY, at timestamptz, subject text);
    CREATE TABLE {schema}request_contact (request_id int {null} REFERENCES request, contact_id int {null} REFERENCES contact, role text,
        note text{key});
    CREATE TABLE message (id int PRIMARY KEY, request_id int NOT NULL REFERENCES request, body text);
    CREATE INDEX ON {schema}request_contact (contact_id); CREATE INDEX ON {schema}request_contact (request_id);
    CREATE INDEX ON message (request_id);"""
PAIR = ", PRIMARY KEY (request_id, contact_id)"


def joined(schema="", null="NOT NULL", key=PAIR):
    return JOINED.format(schema=schema, null=null, key=key)


@pytest.fixture
def make(empty_db, pg):
    return lambda schema, *args, **kwargs: drafted(pg, empty_db(), schema, *args, **kwargs)


def test_no_column_names_the_contact(make, daemon):
    """The draft has through, and what it erases is what the daemon erases: a request goes with its last contact."""
    db, text, tables = make(joined() + """
        INSERT INTO contact VALUES (1, 'canary-1'), (2, 'canary-2'), (3, 'canary-3');
        INSERT INTO request VALUES (10, '2015-01-01', 'canary-10'), (20, '2015-01-01', 'canary-20'), (30, now(), 'canary-30');
        INSERT INTO message VALUES (100, 10, 'canary-100'), (200, 20, 'canary-200'), (300, 30, 'canary-300');
        INSERT INTO request_contact VALUES (10, 1, 'r', 'canary-n1'), (20, 1, 'r', 'canary-n2'), (20, 2, 'r', NULL), (30, 2, 'r', NULL)""")
    assert set(tables) == {"contact", "request", "message"}
    request = tables["request"]
    assert "of" not in request and "by" not in request
    assert request["through"] == {"table": "public.request_contact", "request": "request_id", "contact": "contact_id", "archive": True,
                                  "clear": ["note"], "keep": ["request_id", "contact_id", "role"]}
    assert len([line for line in marks(text) if "all contacts of a request" in line]) == 1
    d = daemon(db=db, model=answered(text), policies=[{**ACTIONS[0], "schedule": "daily"}])
    d.check_config(check=True)
    d.once()
    assert d.pg.sql(db, "SELECT id FROM contact ORDER BY 1") == [(2,), (3,)]
    assert d.pg.sql(db, "SELECT id FROM request ORDER BY 1") == [(20,), (30,)]
    assert d.pg.sql(db, "SELECT id FROM message ORDER BY 1") == [(200,), (300,)]


@pytest.mark.parametrize("action", [a["action"] for a in ACTIONS])
@pytest.mark.parametrize("schema, key", [("", ", UNIQUE (contact_id, request_id)"), ('"a.b".', PAIR), ("", ", id bigint PRIMARY KEY"), ("", None)])
def test_every_join_table_is_accepted(make, daemon, schema, key, action):
    """Once its questions are answered.  None: another table hangs off it."""
    sql = joined(schema, key=key or ", id int PRIMARY KEY")
    if key and "id bigint" in key:  # what somebody wrote would speak against a join table that can repeat a pair
        sql = sql.replace("role text,\n        note text", "role text")
    if not key:
        sql = sql.replace(", id int", ", UNIQUE (request_id, contact_id), id int") + """
            CREATE TABLE vote (id int PRIMARY KEY, request_contact_id int NOT NULL REFERENCES request_contact, words text);
            CREATE INDEX ON vote (request_contact_id);"""
    if schema:
        sql = 'CREATE SCHEMA "a.b";' + sql
    db, text, tables = make(sql)
    assert tables["request"]["through"]["table"] == (["a.b", "request_contact"] if schema else "public.request_contact")
    if not key:
        assert tables["vote"]["of"] == "request_contact" and tables["request"]["through"]["key"] == "id"
    done = daemon(db=db, model=answered(text), policies=[a for a in ACTIONS if a["action"] == action]).check_config()
    assert done.returncode == 0, done.stderr + text


def test_half_a_pair(make, daemon):
    """What the daemon will refuse stands in the draft, with the statement that mends it."""
    db, text, _ = make(joined(null="", key=", UNIQUE (request_id, contact_id)"))
    statements = re.findall(r"ALTER TABLE .* SET NOT NULL;", text)
    assert len(statements) == 2
    d = daemon(db=db, model=answered(text), policies=[ACTIONS[0]])
    assert d.check_config().returncode == 1
    d.pg.psql(db, "-c", " ".join(statements))
    d.check_config(check=True)


def test_a_message_is_no_join_table(pg, empty_db):
    """It has words of its own, and one request can have several of one contact."""
    db = empty_db()
    pg.psql(db, "-c", joined(key=", id int PRIMARY KEY"))
    done = run(pg, db, "--contact", "contact", "--request", "request")
    assert done.returncode == 1 and "nor has a join table foreign keys onto both" in done.stderr and done.stdout == ""


BOTH = joined().replace("subject text", "subject text, contact_id int REFERENCES contact") + "CREATE INDEX ON request (contact_id);"


def test_a_contact_of_its_own_and_others(make, daemon):
    """A contact that the join table names would be erased in spite of a recent request: somebody has to decide."""
    db, text, tables = make(BOTH)
    asked = [line for line in text.splitlines() if "has a request other contacts" in line]
    assert len(asked) == 1 and MARK in asked[0] and "public.request_contact (request_id, contact_id)" in text
    assert tables["request"]["by"] == "contact_id" and "through" not in tables["request"]
    d = daemon(db=db, model=answered(text), policies=ACTIONS)
    done = d.check_config()
    assert done.returncode == 0, done.stderr
    # The question goes with its mark; what it asked about does not.
    said = d.ctl("model", "check").stdout
    assert "a request keeps only its own contact, and others may be named by public.request_contact (request_id, contact_id)" in said


@pytest.mark.parametrize("table", [
    "mail (id int PRIMARY KEY, request_id int REFERENCES request, contact_id int REFERENCES contact, body text)",
    "opened (contact_id int REFERENCES contact PRIMARY KEY, at date)", "word (request_id int REFERENCES request PRIMARY KEY, at date)"])
def test_no_question(make, table):
    _, text, _ = make(f"""CREATE TABLE contact (id int PRIMARY KEY, name text);
        CREATE TABLE request (id int PRIMARY KEY, contact_id int REFERENCES contact, at timestamptz); CREATE TABLE {table}""")
    assert "other contacts" not in text
