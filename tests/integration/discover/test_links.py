"""Which tables a draft maps, and by which links: what is a contact's own, and what only stands beside it."""

import re

import pytest

from support.drafts import ACTIONS, MARK, answered, drafted, run
from support.small import SCHEMA


@pytest.fixture
def make(empty_db, pg):
    """make(schema, extra arguments of draft): the database, the draft's text, the draft read."""
    return lambda schema, *args, **kwargs: drafted(pg, empty_db(), schema, *args, **kwargs)


def accepted(daemon, db, text, policies=ACTIONS):
    d = daemon(db=db, model=answered(text), policies=policies, limits={"max_share": 1.0})
    done = d.check_config()
    assert done.returncode == 0, done.stderr + text
    return d


def groups_of(tables, table):
    return {name: t for name, t in tables.items() if t["table"] == f"public.{table}"}


def by_parent(tables, table):
    return {(t["of"], t["by"]) for t in groups_of(tables, table).values()}


TENANT = SCHEMA + """;
    CREATE TABLE account (id bigint PRIMARY KEY, name text, support_email text, street text);
    CREATE TABLE users (id bigint PRIMARY KEY, account_id bigint NOT NULL REFERENCES account, email text);
    ALTER TABLE contact ADD account_id bigint REFERENCES account; ALTER TABLE request ADD account_id bigint REFERENCES account;
    CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, account_id bigint REFERENCES account, body text)"""


def test_the_tenant_is_not_mapped(make, daemon):
    """Staff belongs to it: so it is no contact's company, and stands in a comment, once."""
    db, text, tables = make(TENANT)
    assert groups_of(tables, "account") == {} and set(tables) == {"contact", "request", "note"}
    assert "#   public.account: the tenant's" in text
    assert text.count("public.account") == 1
    accepted(daemon, db, text)


def test_what_many_tables_reference_is_nobodys_own(make, daemon):
    """A project with a description, which four tables name, is not drafted below each; a table of files is."""
    names = ["note", "bill", "call"]
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE undertaking (id bigint PRIMARY KEY, address text);
        CREATE TABLE files (id bigint PRIMARY KEY, content bytea);
        ALTER TABLE request ADD undertaking_id bigint REFERENCES undertaking, ADD file_id bigint REFERENCES files;
        """ + "".join(f"""
        CREATE TABLE {name} (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, body text,
            undertaking_id bigint REFERENCES undertaking, file_id bigint REFERENCES files);""" for name in names))
    assert groups_of(tables, "undertaking") == {}
    assert re.search(r"public\.undertaking: many tables reference it.*, and 1 more\)", text)
    assert {t["of"] for t in groups_of(tables, "files").values()} == {"request", *names}
    accepted(daemon, db, text)


def test_on_delete_set_null_is_a_detach(make, daemon, pg):
    """The schema says that the row stays; what else holds it decides, where there is something."""
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE notice (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact ON DELETE SET NULL, body text);
        CREATE TABLE notice_line (id bigint PRIMARY KEY, notice_id bigint NOT NULL REFERENCES notice ON DELETE CASCADE, body text);
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request,
            contact_id bigint REFERENCES contact ON DELETE SET NULL, body text);
        INSERT INTO contact VALUES (1, 'a'); INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01');
        INSERT INTO notice VALUES (1, 1, 'x'); INSERT INTO notice_line VALUES (1, 1, 'x'); INSERT INTO message VALUES (1, 1, 1, 'x')""")
    assert tables["notice"]["delete"] == "detach"
    assert {(t["of"], t.get("delete")) for t in groups_of(tables, "message").values()} == {("request", None), ("contact", "detach")}
    accepted(daemon, db, text, ACTIONS[:1]).once()
    assert pg.sql(db, "SELECT id FROM contact") == pg.sql(db, "SELECT id FROM message") == []
    assert pg.sql(db, "SELECT contact_id, body FROM notice") == [(None, None)] and pg.sql(db, "SELECT id FROM notice_line") == [(1,)]


@pytest.mark.parametrize("column", ["contact_id", "contactId", "contactid", "billing_contact_id", "customer_id", "author_id", "authorId",
                                    '"Contact ID"', "created_by", "sent_by_id"])
def test_ids_without_a_key(make, daemon, column):
    """Also in a table that another key reaches already."""
    db, text, tables = make(SCHEMA + f""";
        CREATE TABLE letter (id bigint PRIMARY KEY, {column} bigint, email text);
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request, {column} bigint, body text)""")
    # PostgreSQL folds what is not quoted
    name = column.strip('"') if '"' in column else column.lower()
    expected = {("contact", name)}
    assert by_parent(tables, "letter") == expected
    assert by_parent(tables, "message") == expected | {("request", "request_id")}
    role = "contact" not in name.lower()
    assert (f"{MARK}: by its name alone" in text) == role
    accepted(daemon, db, text)


@pytest.mark.parametrize("staff, mapped", [("", True), ("CREATE TABLE agents (id bigint PRIMARY KEY, email text)", False)])
def test_a_role_is_staffs_where_staff_has_a_table(make, staff, mapped):
    _, _, tables = make(SCHEMA + f"; {staff};" + "CREATE TABLE letter (id bigint PRIMARY KEY, author_id bigint, email text)")
    assert ("letter" in tables) == mapped


@pytest.mark.parametrize("column", ["author text", "author_id uuid", "remember_id bigint", "contact_type_id bigint", "paid bigint"])
def test_no_ids(make, column):
    _, _, tables = make(SCHEMA + f"; CREATE TABLE letter (id bigint PRIMARY KEY, {column}, email text)")
    assert set(tables) == {"contact", "request"}


OTHER = SCHEMA + "; CREATE TABLE chat (id bigint PRIMARY KEY, who bigint, nobody uuid, second bigint REFERENCES contact, at date)"


def test_the_requests_column_can_be_said(make, daemon):
    db, text, tables = make(OTHER, "--request-by", "who", request="chat")
    assert tables["request"]["by"] == "who"
    accepted(daemon, db, text)
    assert make(OTHER, "--request-by", "second", request="chat")[2]["request"]["by"] == "second"


@pytest.mark.parametrize("args, words", [
    (("--contact", "contact", "--request", "chat", "--request-by", "nobody"), "of different types"),
    (("--contact", "contact", "--request", "chat", "--request-by", "no"), 'has no column "no"'),
    (("--contact", "contact", "--request", "contact"), "two tables"),
])
def test_a_column_that_cannot_be_it(empty_db, pg, args, words):
    db = empty_db()
    pg.psql(db, "-c", OTHER)
    done = run(pg, db, *args, "--date", "at" if "chat" in args else "created")
    assert (done.returncode, done.stdout) == (1, "") and words in done.stderr


# Contacts and staff in one table.


PEOPLE = """
    CREATE TYPE kind AS ENUM ('staff', 'customer');
    CREATE TABLE people (id bigint PRIMARY KEY, name text, created_at timestamptz, {});
    CREATE TABLE request (id bigint PRIMARY KEY, people_id bigint REFERENCES people, at timestamptz)"""


def asked(text):
    return re.findall(rf'    where = "(.*)";  {MARK}: which rows are contacts, and not staff\?  (.*)', text)


@pytest.mark.parametrize("columns, values, found", [
    ("role text", "'agent', 'customer', 'admin'", ("role = 'customer'", "Column role may tell.")),
    ("role text", None, ("true", "Column role may tell.")),
    ("role_id int", None, ("true", "Column role_id may tell.")),
    ("kind kind", None, ("kind = 'customer'", "Column kind may tell.")),
    ('"User Type" text', "'Agent', 'End customer'", ('\\"User Type\\" = \'End customer\'', "Column User Type may tell.")),
    ("is_admin boolean", None, ("is_admin IS NOT TRUE", "Column is_admin may tell.")),
    ("type text", "'lead', 'customer'", None),
    ("type text", None, None),
    ("roleplay text", None, None),
])
def test_which_rows_are_contacts_is_asked(make, pg, daemon, columns, values, found):
    rows = f"; INSERT INTO people SELECT i, '', now(), (ARRAY[{values}])[1 + i % 2] FROM generate_series(1, 99) i; ANALYZE" if values else ""
    db, text, _ = make(PEOPLE.format(columns) + rows, "--samples", "--request-by", "people_id", contact="people")
    assert asked(text) == ([found] if found else [])
    accepted(daemon, db, text)


def test_staff_by_the_name_of_the_table_and_by_a_join(make, daemon):
    schema = SCHEMA.replace("contact (", "users (").replace("REFERENCES contact", "REFERENCES users")
    db, text, _ = make(schema, contact="users")
    assert asked(text) == [("true", "The table's name is one of staff's.")]
    accepted(daemon, db, text)
    join = "; CREATE TABLE roles (id int PRIMARY KEY); CREATE TABLE roles_users (role_id int REFERENCES roles, user_id bigint REFERENCES {})"
    assert asked(make(schema + join.format("users"), contact="users")[1]) == [("true", "Table public.roles_users may tell.")]
    assert asked(make(SCHEMA + join.format("contact"))[1]) == [("true", "Table public.roles_users may tell.")]


@pytest.mark.parametrize("action", ACTIONS[:2], ids=lambda a: a["action"])
def test_those_outside_where_are_never_reached(make, daemon, pg, action):
    """Neither by their age, where they have no request, nor by their requests."""
    db, text, tables = make(PEOPLE.format("role text") + """;
        INSERT INTO people SELECT i, 'n', '2001-01-01', (ARRAY['agent', 'customer', NULL])[1 + i % 3] FROM generate_series(1, 90) i;
        INSERT INTO request SELECT i, i, '2001-01-01' FROM generate_series(1, 45) i; ANALYZE""",
                            "--samples", "--request-by", "people_id", contact="people")
    assert tables["contact"]["where"] == "role = 'customer'" and tables["contact"]["created"] == "created_at"
    outside = "SELECT id, name, created_at FROM people WHERE role IS DISTINCT FROM 'customer' ORDER BY id"
    before = pg.sql(db, outside)
    d = accepted(daemon, db, text, [{**action, "without_requests": "created"}])
    d.once()
    assert [(r["status"], r["counters"]["treated"]) for r in d.jobs()] == [("done", 30)]
    assert pg.sql(db, outside) == before and len(before) == 60
    assert pg.sql(db, "SELECT count(*) FROM request WHERE people_id IN (SELECT id FROM people WHERE role = 'agent')") == [(15,)]
    assert pg.sql(db, "SELECT count(*) FROM people WHERE role = 'customer' AND name <> ''") == [(0,)]


# Pairs of a type and an id.


@pytest.mark.parametrize("pair, values, samples, mapped", [
    ("content_type text, content_id bigint", "'image/png', 'text/html'", True, []),
    ("content_type text, content_id bigint", "'image/png', 'text/html'", False, []),
    ("content_type text, content_id bigint", "'Request', 'Contact'", True, ["contact", "request"]),
    ("event_type text, event_id bigint", "'login', 'logout'", True, []),
    ("model_type text, model_id bigint", "'App\\Models\\Contact', 'App\\Models\\Bill'", True, ["contact", "request"]),
    ("auditable_type text, auditable_id bigint", "'request', 'bill'", True, ["contact", "request"]),
    ("auditable_type text, auditable_id bigint", "'request', 'bill'", False, ["contact", "request"]),
])
def test_types_are_told_by_their_values(make, daemon, pair, values, samples, mapped):
    """A MIME type is no name of a table.  Where one value is a table's, a guess at the others is a question."""
    db, text, tables = make(SCHEMA + f"""; CREATE TABLE bill (id bigint PRIMARY KEY);
        CREATE TABLE entry (id bigint PRIMARY KEY, {pair}, body text);
        INSERT INTO entry SELECT i, (ARRAY[{values}])[1 + i % 2], i, '' FROM generate_series(1, 99) i; ANALYZE""",
                            *(["--samples"] if samples else []))
    assert sorted(t["of"] for t in groups_of(tables, "entry").values()) == mapped
    assert "image/png" not in text and "Bill" not in text
    accepted(daemon, db, text)


# What a name alone says.


def test_a_customers_invoice_is_drafted_though_others_reference_it(make, daemon):
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE invoice (id bigint PRIMARY KEY, customer_id bigint, email text);
        CREATE TABLE invoice_line (id bigint PRIMARY KEY, invoice_id bigint REFERENCES invoice, note text);
        CREATE TABLE payment (id bigint PRIMARY KEY, invoice_id bigint REFERENCES invoice, payer_email text)""")
    assert by_parent(tables, "invoice") == {("contact", "customer_id")}
    assert by_parent(tables, "payment") == by_parent(tables, "invoice_line") == {("invoice", "invoice_id")}
    accepted(daemon, db, text)


def test_a_name_does_not_delete_what_another_has(make, daemon):
    """The history of a request stays when who changed it goes, and who wrote a message is let go of."""
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE history (id bigint PRIMARY KEY, request_id bigint NOT NULL, changed_by bigint NOT NULL, email text);
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL, contact_id bigint NOT NULL, author_id bigint, body text)""")
    assert {(t["of"], t["by"]): t.get("delete") for name in ("history", "message") for t in groups_of(tables, name).values()} == {
        ("request", "request_id"): None, ("contact", "changed_by"): "keep", ("contact", "contact_id"): "keep",
        ("contact", "author_id"): "detach"}
    accepted(daemon, db, text)


def test_what_nothing_links_is_named(make, daemon):
    """Copies of a backup, too: they are not drafted, because nobody erases a backup row by row."""
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE delivery (id bigint PRIMARY KEY, payload jsonb, at date);
        CREATE TABLE counts (id bigint PRIMARY KEY, n int);
        CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint, body text);
        CREATE SCHEMA before; CREATE TABLE before.note AS TABLE note""")
    assert set(tables) == {"contact", "request", "note"} and tables["note"]["table"] == "public.note"
    assert "  #   public.delivery (payload)\n" in text and "public.counts" not in text
    assert "  #   before.note (body): a copy of public.note?  Drop it, or map it\n" in text
    accepted(daemon, db, text)


def test_what_a_detached_row_shields_is_asked(make, daemon):
    db, text, _ = make(SCHEMA + """;
        CREATE TABLE device (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact ON DELETE SET NULL, email text);
        CREATE TABLE device_note (id bigint PRIMARY KEY, device_id bigint NOT NULL REFERENCES device, body text);
        CREATE TABLE device_count (id bigint PRIMARY KEY, device_id bigint NOT NULL REFERENCES device, n int)""")
    assert text.count(f"{MARK}: a deletion does not reach it") == 1
    accepted(daemon, db, text)
