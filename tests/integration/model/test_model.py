"""
Schemas as they are found in the wild: what a model can say and what becomes of the rows.  The second
half is what a model is refused for, with the very message.
"""

import csv
import uuid
import re

import pytest

from support.drafts import check
from support.small import SCHEMA, again, archived, failures, keys, model, policy

OLD, NEW = "2015-06-01 12:00+00", "2100-01-01 00:00+00"


# --- Keys -------------------------------------------------------------------------------------

UUIDS = [str(uuid.UUID(int=n << 64 | 7)) for n in range(5)]
TEXTS = ["a,b", 'a"b', "{a}", "a\\b", "\\", " lead", "trail ", "NULL", "null", "", "it's", "é 日本", "a\nb\tc",
         "$1", "%s", "''", "{", "}", '"', "a;b", "\\N", "E'\\x41'", "{key}", "1"]
KEY_TYPES = {"smallint": list(range(-2, 3)), "integer": [-2**31, 0, 2**31 - 1], "bigint": [-2**63, 9, 2**63 - 1],
             "uuid": UUIDS, "text": TEXTS, "varchar(40)": TEXTS, "char(8)": ["a", "b c", "12345678"],
             "code": ["x", "y z", "z"]}


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_keys(make, kind):
    """Whatever a key is made of, it reaches the ledger, the archive and its own rows, and no others."""
    some = KEY_TYPES[kind]
    d = make(f"""
        CREATE DOMAIN code AS text CHECK (VALUE <> '');
        CREATE TABLE contact (id {kind} PRIMARY KEY, name text, alias text NOT NULL UNIQUE, rank bigint);
        CREATE TABLE request (id {kind} PRIMARY KEY, contact_id {kind} REFERENCES contact, at timestamptz, subject text);
        CREATE TABLE note (id {kind} PRIMARY KEY, request_id {kind} REFERENCES request, body text);
        CREATE INDEX ON request (contact_id); CREATE INDEX ON note (request_id)""",
        model({"set": {"name": "L_{key}", "alias": "A-{number}"}, "keep": ["id", "rank"]},
              {"clear": ["subject"], "keep": ["id", "contact_id", "at"]},
              note={"table": "note", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"}),
        policy("anonymize_contacts"), limits={"batch_rows": 5, "workers": 2})
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        for n, key in enumerate(some):
            at = NEW if n == 1 else OLD
            cur.execute("INSERT INTO contact VALUES (%s, 'n', %s, %s)", (key, f"x{n}", n))
            cur.execute("INSERT INTO request VALUES (%s, %s, %s, 's')", (key, key, at))
            cur.execute("INSERT INTO note VALUES (%s, %s, 'b')", (key, key))
    due = [str(key) for n, key in enumerate(some) if n != 1]
    d.once()
    assert failures(d) == []
    names = dict(d.pg.sql(d.db, "SELECT id::text, name FROM contact"))
    assert names == {str(key): "n" if n == 1 else f"L_{key}" for n, key in enumerate(some)}
    aliases = [a for a, key in d.pg.sql(d.db, "SELECT alias, id::text FROM contact") if key in due]
    assert sorted(aliases) == sorted(f"A-{n}" for n in range(1, len(due) + 1))
    assert keys(d.pg, d.db, "SELECT id::text FROM note") == {str(some[1])}
    assert keys(d.pg, d.db, "SELECT key FROM retention.ledger") == set(due)
    # One of them on hold, whatever it looks like.
    if str(some[0]).strip():
        d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'case')", (str(some[0]),))
        due.remove(str(some[0]))
    job = again(d, "delete_contacts", archive="full")
    assert (job["status"], job["counters"]["treated"], failures(d)) == ("done", len(due), [])
    assert keys(d.pg, d.db, "SELECT id::text FROM contact") == {str(k) for k in some} - set(due)
    assert sorted(row[0].rstrip(" ") if kind == "char(8)" else row[0] for row in archived(d, "contact")) == sorted(due)
    assert keys(d.pg, d.db, f"SELECT key FROM retention.ledger WHERE job = {job['id']}") == set(due)


# --- Names ------------------------------------------------------------------------------------


def test_names_that_are_no_identifiers(make):
    d = make("""
        CREATE SCHEMA "My Schema";
        CREATE TABLE "My Schema"."Kontakt.Liste" ("Id" bigint PRIMARY KEY, "prénom" text, "First Name" text,
            "we""ird;" text, "select" jsonb, "Extra Data" jsonb, "T" text);
        CREATE TABLE "My Schema"."Request" ("Id" bigint PRIMARY KEY, "contactId" bigint REFERENCES "My Schema"."Kontakt.Liste",
            "At" timestamptz, "Größe" text, "c0" text);
        CREATE TABLE "order" ("user" bigint REFERENCES "My Schema"."Kontakt.Liste", "table" text);
        INSERT INTO "My Schema"."Kontakt.Liste" VALUES (1, 'p', 'f', 'w', '{"a": 1, "b": 2}', '{"c d": 1, "e": 2}', 't');
        INSERT INTO "My Schema"."Request" VALUES (10, 1, '2015-06-01', 'g', 'c');
        INSERT INTO "order" VALUES (1, 'x')""", model(
            {"table": ["My Schema", "Kontakt.Liste"], "key": "Id",
             "set": [{"column": "prénom", "value": "F_{number}"}, {"column": "First Name", "value": "O'{key}\\"}],
             "clear": ['we"ird;'], "json": [{"column": "Extra Data", "keys": ["c d", "x'y"]}, {"column": "select", "keys": ["a"]}],
             "keep": ["Id", "T"]},
            {"table": "My Schema.Request", "key": "Id", "by": "contactId", "date": "At",
             "due_when": "\"c0\" = 'c'", "clear": ["Größe"], "keep": ["Id", "contactId", "At", "c0"]},
            order={"table": "order", "of": "contact", "by": "user", "anonymize": "delete"}),
        policy("export", name="e", archive="full"), policy("anonymize_contacts"))
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, 'SELECT * FROM "My Schema"."Kontakt.Liste"') == [
        (1, "F_1", "O'1\\", None, {"b": 2}, {"e": 2}, "t")]
    assert d.pg.sql(d.db, 'SELECT "Größe", c0 FROM "My Schema"."Request"') == [(None, "c")]
    assert d.pg.sql(d.db, 'SELECT * FROM "order"') == []
    export = d.jobs("action = 'export'")[0]
    with open(f"{export['archive_path']}/contact.csv", newline="", encoding="utf-8-sig") as file:
        header, row = csv.reader(file, delimiter=";")
    assert header == ["Id", "prénom", "First Name", 'we"ird;', "select", "Extra Data", "T"]
    assert row[1:4] == ["p", "f", "w"]
    assert again(d, "delete_contacts", archive="full")["counters"]["rows"] == {"contact": 1, "request": 1, "order": 0}


# --- Column rules -----------------------------------------------------------------------------


def test_clear_set_and_json_by_type(make):
    columns = {"t": "text", "v": "varchar(9)", "c": "char(3)", "b": "bytea", "a": "text[]", "i": "int[]", "j": "jsonb",
               "k": "json", "d": "label", "s": "tsvector"}
    values = {"b": "\\x01", "a": "{x}", "i": "{1}", "j": '{"x": 1}', "k": '{"x": 1}'}
    filled = [", ".join(f"'{values.get(c, 'x')}'" for c in columns if c not in but) for but in ("", "d")]
    d = make(f"""
        CREATE DOMAIN label AS varchar(9) NOT NULL;
        CREATE TABLE contact (id bigint PRIMARY KEY, {', '.join(f'n{c} {t} NOT NULL' for c, t in columns.items())},
            {', '.join(f'{c} {t}' for c, t in columns.items() if c != 'd')},
            born date NOT NULL, balance numeric(10,2) NOT NULL, ratio float, country char(2), seen timestamp(0), flag boolean,
            doc1 jsonb, doc2 jsonb, doc3 jsonb, g text GENERATED ALWAYS AS (t || v) STORED);
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint, at date);
        INSERT INTO contact VALUES (1, {filled[0]}, {filled[1]},
            '1980-02-03', 12.34, 0.1, 'FR', '2020-02-02 10:00', true, '{{"a": {{"b": 1}}, "c": 2}}', '["a"]', NULL);
        INSERT INTO request VALUES (1, 1, '2015-01-01')""", model(
            {"clear": [f"n{c}" for c in columns] + [c for c in columns if c != "d"],
             "set": {"born": "1900-01-01", "balance": "0", "ratio": "0.30", "country": "XX", "seen": "1970-01-01",
                     "flag": "false"},
             "json": {"doc1": ["a"], "doc2": ["a"], "doc3": ["a"]}, "keep": ["id", "g"]},
            {"keep": ["id", "contact_id", "at"]}),
        policy("anonymize_contacts"))
    d.once()
    assert failures(d) == []
    row = d.pg.sql(d.db, """SELECT nt, nv, nc, nb::text, na, ni, nj::text, nk::text, nd, ns::text, born::text, balance::text,
        ratio, country, seen::text, flag, doc1, doc2, doc3 FROM contact""")[0]
    assert row == ("", "", "   ", "\\x", [], [], "{}", "{}", "", "", "1900-01-01", "0.00", 0.3, "XX",
                   "1970-01-01 00:00:00", False, {"c": 2}, ["a"], None)
    nullable = ", ".join(c for c in columns if c != "d")
    assert set(d.pg.sql(d.db, f"SELECT {nullable}, g FROM contact")[0]) == {None}
    assert again(d, "anonymize_contacts")["candidates"] == 0


def test_a_table_of_which_all_is_kept(make):
    """Column by column, so that a new one is refused; for now nothing in it is personal."""
    d = make(SCHEMA + """; CREATE TABLE history (id bigint PRIMARY KEY, request_id bigint, what text);
        INSERT INTO contact VALUES (1, 'n'); INSERT INTO request VALUES (1, 1, '2015-01-01', 'closed', 's');
        INSERT INTO history VALUES (1, 1, 'w')""", model(
            {"clear": ["name"], "keep": ["brand", "created"]}, {"clear": ["subject"], "keep": ["at", "status"]},
            history={"table": "history", "key": "id", "of": "request", "by": "request_id", "keep": ["what"]}),
        policy("anonymize_contacts"))
    d.once()
    assert d.pg.sql(d.db, "SELECT name, subject, what FROM contact, request, history") == [(None, None, "w")]
    assert again(d, "anonymize_contacts")["candidates"] == 0


# --- Links ------------------------------------------------------------------------------------

TWO = """; INSERT INTO contact VALUES (1, 'old'), (2, 'new');
    INSERT INTO request (id, contact_id, at) VALUES (10, 1, '2015-01-01'), (11, 1, '2015-02-01'), (20, 2, '2100-01-01')"""
RULES = ({"clear": ["name"], "keep": ["brand", "created"]}, {"clear": ["subject"], "keep": ["at", "status"]})


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts", "anonymize_requests"])
def test_partitioned_tables(make, action):
    d = make("""
        CREATE TABLE contact (id bigint, region text, name text, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE contact_0 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE contact_1 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE request (id bigint, contact_id bigint NOT NULL REFERENCES contact, at date NOT NULL, subject text,
            PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE request_low PARTITION OF request FOR VALUES FROM (MINVALUE) TO (200) PARTITION BY HASH (id);
        CREATE TABLE request_even PARTITION OF request_low FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE request_odd PARTITION OF request_low FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE TABLE request_high PARTITION OF request DEFAULT;
        CREATE INDEX ON request (contact_id);
        CREATE TABLE message (id bigint, request_id bigint REFERENCES request, at date, body text,
            PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE message_old PARTITION OF message FOR VALUES FROM (MINVALUE) TO ('2015-01-01') PARTITION BY RANGE (at);
        CREATE TABLE message_older PARTITION OF message_old FOR VALUES FROM (MINVALUE) TO ('2010-01-01');
        CREATE TABLE message_less_old PARTITION OF message_old DEFAULT;
        CREATE TABLE message_new PARTITION OF message DEFAULT;
        CREATE INDEX ON message (request_id);
        INSERT INTO contact SELECT n, 'r', 'n' FROM generate_series(1, 40) n;
        INSERT INTO request SELECT n * 10 + k, n, date '2005-01-01' + 1000 * k, 's' FROM generate_series(1, 40) n,
            generate_series(0, 4) k;
        INSERT INTO request SELECT n * 10 + 9, n, '2100-01-01', 's' FROM generate_series(2, 40, 2) n;
        INSERT INTO message SELECT id * 10, id, at, 'b' FROM request""",
        model({"clear": ["name"], "keep": ["region"]}, {"clear": ["subject"], "keep": ["at"]},
              message={"table": "message", "of": "request", "by": "request_id", "anonymize": "delete"}),
        policy(action, archive="full" if action.startswith("delete") else "none"), limits={"batch_rows": 50})
    d.once()
    assert failures(d) == []
    left = d.pg.sql(d.db, """SELECT (SELECT count(*) FROM contact), (SELECT count(name) FROM contact),
        (SELECT count(*) FROM request), (SELECT count(subject) FROM request), (SELECT count(*) FROM message)""")[0]
    assert left == {"delete_contacts": (20, 20, 120, 120, 120), "anonymize_contacts": (40, 20, 220, 120, 120),
                    "anonymize_requests": (40, 40, 220, 20, 20)}[action]
    if action == "delete_contacts":
        assert [len(archived(d, name)) for name in ("contact", "request", "message")] == [20, 100, 100]


def test_polymorphic_link_by_text(make):
    """record_id is text since it has to hold every table's keys; the agents' rows stay."""
    d = make(SCHEMA + TWO + """; CREATE TABLE files (record_type text, record_id text, body text);
        INSERT INTO files VALUES ('contact', '1', 'a'), ('contact', '2', 'b'), ('agent', '1', 'c'), ('request', '10', 'd'),
            ('request', '20', 'e'), ('contact', NULL, 'f')""", model(
            *RULES,
            avatar={"table": "files", "of": "contact", "by": "record_id", "where": "record_type = 'contact'",
                    "anonymize": "delete"},
            letter={"table": "files", "of": "request", "by": "record_id", "where": "record_type = 'request' -- or so",
                    "anonymize": "delete"}),
        policy("anonymize_contacts"))
    d.once()
    assert keys(d.pg, d.db, "SELECT body FROM files") == {"b", "c", "e", "f"}
    assert again(d, "anonymize_contacts")["candidates"] == 0
    d.pg.sql(d.db, "INSERT INTO files VALUES ('request', '11', 'late')")
    assert again(d, "anonymize_contacts")["candidates"] == 1


def test_a_key_that_guards_whom_the_contacts_leave_out(make):
    """Users of the application are contacts too, in one table with them: none of theirs goes."""
    d = make(SCHEMA + TWO + """;
        CREATE TABLE login (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact);
        INSERT INTO contact VALUES (7, 'user'); INSERT INTO request (id, contact_id, at) VALUES (70, 7, '2015-06-01');
        INSERT INTO login VALUES (1, 7)""", model(
            {"where": "id NOT IN (SELECT contact_id FROM public.login)"},
            login={"table": "login", "key": "id", "of": "contact", "by": "contact_id", "delete": "keep"}),
        policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert 1 not in keys(d.pg, d.db) and 7 in keys(d.pg, d.db)
    assert keys(d.pg, d.db, "SELECT contact_id FROM login") == {7}


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_what_a_parent_points_at(make, action):
    d = make(SCHEMA + TWO + """;
        CREATE TABLE blob (id bigint PRIMARY KEY, bytes text);
        CREATE TABLE attachment (id bigint PRIMARY KEY, request_id bigint REFERENCES request, blob_id bigint REFERENCES blob);
        CREATE INDEX ON attachment (request_id); CREATE INDEX ON attachment (blob_id);
        INSERT INTO blob SELECT n, 'bytes' FROM generate_series(1, 5) n;
        INSERT INTO attachment VALUES (1, 10, 1), (2, 11, 2), (3, 11, NULL), (4, 20, 3), (5, 10, 2)""", model(
            *RULES,
            attachment={"table": "attachment", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"},
            blob={"table": "blob", "key": "id", "of": "attachment", "by": "id", "from": "blob_id", "shared": True, "anonymize": "delete"}),
        policy(action, archive="full" if action.startswith("delete") else "none"))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM attachment") == {4}
    assert keys(d.pg, d.db, "SELECT id FROM blob") == {3, 4, 5}
    if action == "delete_contacts":
        assert sorted(row[0] for row in archived(d, "blob")) == ["1", "2"]


def test_a_row_that_two_parents_share(make):
    """It goes with the last of them."""
    d = make(SCHEMA + TWO + """; CREATE TABLE blob (id bigint PRIMARY KEY);
        CREATE TABLE attachment (nr bigint PRIMARY KEY, request_id bigint REFERENCES request, blob_id bigint REFERENCES blob);
        INSERT INTO blob VALUES (1), (2); INSERT INTO attachment VALUES (1, 10, 1), (2, 20, 1), (3, 11, 2), (4, 10, 2)""",
        model(attachment={"table": "attachment", "key": "nr", "of": "request", "by": "request_id"},
              blob={"table": "blob", "key": "id", "of": "attachment", "by": "id", "from": "blob_id",
                    "shared": True}),
        policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM blob") == {1}
    assert archived(d, "blob") == [("2",)]


def test_one_table_under_two_names(make):
    """A row that both links reach goes once, and is archived once."""
    d = make(SCHEMA + TWO + """;
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request, author bigint REFERENCES contact);
        CREATE INDEX ON message (request_id); CREATE INDEX ON message (author);
        CREATE TABLE attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES message);
        CREATE INDEX ON attachment (message_id);
        INSERT INTO message VALUES (1, 10, 1), (2, 10, NULL), (3, NULL, 1), (4, 20, 2), (5, 11, 2);
        INSERT INTO attachment VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)""", model(
            message={"table": "message", "key": "id", "of": "request", "by": "request_id"},
            written={"table": "message", "key": "id", "of": "contact", "by": "author"},
            attachment={"table": "attachment", "key": "id", "of": "message", "by": "message_id"},
            picture={"table": "attachment", "key": "id", "of": "written", "by": "message_id"}),
        policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM message") == keys(d.pg, d.db, "SELECT id FROM attachment") == {4}
    rows = [row[0] for name in ("message", "written") for row in archived(d, name)]
    assert sorted(rows) == ["1", "2", "3", "5"]
    rows = [row[0] for name in ("attachment", "picture") for row in archived(d, name)]
    assert sorted(rows) == ["1", "2", "3", "5"]


def test_detach_and_keep(make):
    d = make(SCHEMA + TWO + """;
        CREATE TABLE survey (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, answer text);
        CREATE TABLE invoice (id bigint PRIMARY KEY, contact_id bigint, total int);
        CREATE TABLE line (id bigint PRIMARY KEY, invoice_id bigint REFERENCES invoice);
        CREATE TABLE vote (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact ON DELETE SET NULL);
        INSERT INTO survey VALUES (1, 1, 'a'), (2, 2, 'b'), (3, 1, NULL), (4, NULL, 'c');
        INSERT INTO invoice VALUES (1, 1, 5), (2, 2, 6); INSERT INTO line VALUES (1, 1);
        INSERT INTO vote VALUES (1, 1), (2, 2)""", model(
            survey={"table": "survey", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach"},
            invoice={"table": "invoice", "key": "id", "of": "contact", "by": "contact_id", "delete": "keep"},
            line={"table": "line", "of": "invoice", "by": "invoice_id"},
            vote={"table": "vote", "of": "contact", "by": "contact_id", "delete": "keep"}),
        policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert sorted(d.pg.sql(d.db, "SELECT id, contact_id, answer FROM survey")) == [
        (1, None, "a"), (2, 2, "b"), (3, None, None), (4, None, "c")]
    assert d.pg.sql(d.db, "SELECT * FROM invoice ORDER BY 1") == [(1, 1, 5), (2, 2, 6)]
    assert d.pg.sql(d.db, "SELECT * FROM line") == [(1, 1)]
    assert d.pg.sql(d.db, "SELECT * FROM vote ORDER BY 1") == [(1, None), (2, 2)]
    assert sorted(archived(d, "survey.detached")) == [("1", "1"), ("3", "1")]


def test_tables_that_point_at_themselves(make):
    d = make(SCHEMA + TWO + """;
        ALTER TABLE contact ADD merged_into bigint REFERENCES contact; CREATE INDEX ON contact (merged_into);
        ALTER TABLE request ADD follows bigint REFERENCES request; CREATE INDEX ON request (follows);
        INSERT INTO contact (id, merged_into) VALUES (3, 1), (4, 3), (5, 5);
        INSERT INTO request (id, contact_id, at) VALUES (30, 3, '2015-01-01'), (40, 4, '2015-01-01'), (50, 5, '2015-01-01');
        UPDATE request SET follows = 10 WHERE id IN (11, 30); UPDATE request SET follows = 11 WHERE id = 10""",
        model(), policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {2}
    assert len(archived(d, "contact")) == 4 and len(archived(d, "request")) == 5


RING = SCHEMA + TWO + """;
    ALTER TABLE contact ADD favourite bigint; CREATE INDEX ON contact (favourite); UPDATE contact SET favourite = id * 10;
    ALTER TABLE contact ADD CONSTRAINT favourite FOREIGN KEY (favourite) REFERENCES request {};"""


@pytest.mark.parametrize("how", ["DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
def test_ring_with_a_deferrable_key(make, how):
    d = make(RING.format(how), model(), policy(archive="full"))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {2}
    assert keys(d.pg, d.db, "SELECT id FROM request") == {20}


# --- Triggers ---------------------------------------------------------------------------------


def trigger(when, table, body):
    return f"""; CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE TRIGGER meddle {when} ON {table} FOR EACH ROW EXECUTE FUNCTION meddle()"""


THREE = TWO + "; INSERT INTO contact VALUES (3, 'bad'); INSERT INTO request (id, contact_id, at) VALUES (30, 3, '2015-01-01')"


def test_triggers_find_their_tables(make):
    """They were written for the search_path that the application has."""
    d = make(f"CREATE SCHEMA app; SET search_path = app; {SCHEMA}{TWO}; CREATE TABLE audit (was text)"
             + trigger("AFTER DELETE", "contact", "INSERT INTO audit VALUES (OLD.name); RETURN NULL;"),
             model({"table": "app.contact"}, {"table": "app.request"}),
             settings='ALTER DATABASE "{db}" SET search_path = app, public')
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, "SELECT was FROM app.audit") == [("old",)]


@pytest.mark.parametrize("archive", ["none", "full"])
@pytest.mark.parametrize("table, row, key", [("contact", "3", "3"), ("request", "30", "3")])
def test_a_trigger_that_keeps_a_row(make, archive, table, row, key):
    """BEFORE DELETE … RETURN NULL: the row stays, and the server says nothing about it."""
    d = make(SCHEMA + THREE + trigger("BEFORE DELETE", table, f"IF OLD.id = {row} THEN RETURN NULL; END IF; RETURN OLD;"),
             model(), policy(archive=archive))
    assert d.once(check=False).returncode == 1
    assert keys(d.pg, d.db) == {2, 3}
    assert keys(d.pg, d.db, "SELECT id FROM request") == {20, 30}
    assert [k for k, _ in failures(d)] == [key]
    assert failures(d)[0][1] == f'table "{table}": a trigger of public.{table} kept 1 rows from being deleted'
    if archive == "full":
        assert [row[0] for row in archived(d, "contact")] == ["1"]


@pytest.mark.parametrize("when, body", [
    ("BEFORE UPDATE", "IF OLD.id IN (3, 30) THEN NEW := OLD; END IF; RETURN NEW;"),
    ("BEFORE UPDATE", "IF OLD.id IN (3, 30) THEN RETURN NULL; END IF; RETURN NEW;"),
    ("AFTER UPDATE", "IF OLD.id IN (3, 30) AND pg_trigger_depth() = 1 THEN UPDATE {0} SET {1} = OLD.{1} WHERE id = OLD.id;"
                     " END IF; RETURN NULL;")])
@pytest.mark.parametrize("table, column", [("contact", "name"), ("request", "subject")])
def test_a_trigger_that_puts_data_back(make, when, body, table, column):
    d = make(SCHEMA + THREE + "; UPDATE request SET subject = 's'" + trigger(when, table, body.format(table, column)),
             model(*RULES), policy("anonymize_contacts"))
    assert d.once(check=False).returncode == 1
    assert keys(d.pg, d.db, "SELECT id FROM contact WHERE name IS NOT NULL") == {2, 3}
    assert keys(d.pg, d.db, "SELECT id FROM request WHERE subject IS NOT NULL") == {20, 30}
    assert failures(d) == [("3", f'table "{table}": a trigger of public.{table} put back what the anonymization cleared')]


def test_a_trigger_that_raises_at_commit(make):
    """Deferred to the COMMIT: still the fault of one contact, and not of all in its batch."""
    d = make(SCHEMA + THREE + """; CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN IF OLD.id = 3 THEN RAISE 'too late'; END IF; RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER meddle AFTER DELETE ON contact DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION meddle()""", model(), policy(archive="full"))
    assert d.once(check=False).returncode == 1
    assert keys(d.pg, d.db) == {2, 3}
    assert failures(d) == [("3", "a function refuses it [PL/pgSQL function meddle() line 1 at RAISE] (SQLSTATE P0001)")]
    assert [row[0] for row in archived(d, "contact")] == ["1"]


# --- Rights -----------------------------------------------------------------------------------

GRANTS = """GRANT SELECT, UPDATE, DELETE ON contact, request TO retention_plain"""


def test_a_role_that_is_no_superuser(make, pg):
    d = make(SCHEMA + TWO, model(), policy(archive="full"))
    d.configure(user=pg.plain_role(d.db, grants=GRANTS))
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {2}


def test_row_level_security(make, pg):
    """A role that policies hide rows from is refused; one that sees all is not."""
    d = make(SCHEMA + TWO + """; ALTER TABLE request ENABLE ROW LEVEL SECURITY;
        CREATE POLICY few ON request USING (id <> 20)""", model())
    d.configure(user=pg.plain_role(d.db, grants=GRANTS))
    assert d.once(check=False).returncode == 1
    assert ('model.conf:3: table "request": row-level security on public.request hides rows from this role: '
            "give it BYPASSRLS") in d.log_text()
    assert keys(d.pg, d.db) == {1, 2}
    try:
        pg.psql(d.db, "-c", "ALTER ROLE retention_plain BYPASSRLS")
        d.once()
    finally:
        pg.psql(d.db, "-c", "ALTER ROLE retention_plain NOBYPASSRLS")
    assert keys(d.pg, d.db) == {2}


# --- Refusals ---------------------------------------------------------------------------------

ANONYMIZE = policy("anonymize_contacts")
RULED = model(*RULES)
LARGE = "; INSERT INTO request (contact_id) SELECT NULL FROM generate_series(1, 10000); ANALYZE request"
NOTE = "; CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint {}, body text NOT NULL)"
NOTES = {"table": "note", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"}
OUTSIDE = ('table "{0}": {1} deletes rows of public.{0}, and foreign key "note_contact_id_fkey" of public.note'
           ' (contact_id) points there with {2}; map public.note in the model, with of = "{0}", by = "contact_id"{3}')
SILENT = " and no where, or make the key NO ACTION"


def outside(table, action, words):
    more = SILENT if words.startswith("ON DELETE") else ""
    return OUTSIDE.format(table, action, words, more)


NO_KEY = ("table \"{0}\": no unique index on public.{0} says that \"{1}\" is its key: rows of others could go with it;"
          " name the right column, or CREATE UNIQUE INDEX CONCURRENTLY")
WIDER_KEY = ("table \"{1}\": no unique index on public.{0} says that \"id\" is its key: rows of others could go with it;"
             " its unique index is over tenant, id: key = [ \"tenant\", \"id\" ]")
ISO = 'date_unit = "iso" reads texts such as 2026-01-31 or 2026-01-31T10:20:30Z'
KEY_TYPE = ("a key is a whole number, a uuid or a text, and no two spellings of it are equal; name another column that is"
            " unique, or ALTER TABLE public.{0} ADD COLUMN row_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE")
SPELLINGS = ("goes over a type or a collation to which different values are equal: rows would be missed; make both columns"
             " text with a deterministic collation, or add columns that hold one spelling, index them and name them instead:"
             " ALTER TABLE public.{0} ADD COLUMN \"{1}_lower\" text GENERATED ALWAYS AS (lower(\"{1}\"::text)) STORED")
UNINDEXED = ('table "{0}": {1} has no index behind it, and {2} has about {3} rows: each {4}; CREATE INDEX CONCURRENTLY'
             ' ON "public"."{0}" ("contact_id"); (allow_unindexed = true overrides)')

# name: (schema beyond SCHEMA, model, policies, [(line of model.conf, or None for retentiond.conf, message)])
REFUSALS = {
    "missing table": ("", model({"table": "Contact"}), [], [(2, (
        'table "contact": there is no table public.Contact in the database; names are exact, as the catalog has them'))]),
    "missing schema": ("", model(request={"table": "crm.request"}), [], [(3, (
        'table "request": there is no table crm.request in the database; names are exact, as the catalog has them'))]),
    "all missing tables at once": ("", model({"table": "a"}, {"table": "b"}), [], [
        (2, 'table "contact": there is no table public.a in the database; names are exact, as the catalog has them'),
        (3, 'table "request": there is no table public.b in the database; names are exact, as the catalog has them')]),
    "view": ("; CREATE VIEW people AS SELECT * FROM contact", model({"table": "people"}), [], [(2, (
        'table "contact": public.people is not a table (a view, or a foreign table): name the table behind it'))]),
    "sequence": ("; CREATE SEQUENCE people", model({"table": "people"}), [], [(2, (
        'table "contact": public.people is not a table (a view, or a foreign table): name the table behind it'))]),
    "inherited table": ("; CREATE TABLE vip (level int) INHERITS (contact)", model(), [], [(2, (
        'table "contact": other tables inherit from public.contact; what their rows belong to cannot be known:'
        ' only declarative partitions are worked on'))]),
    "rule": ("; CREATE RULE stay AS ON DELETE TO request DO INSTEAD NOTHING", model(), [], [(3, (
        'table "request": public.request has a rule on UPDATE or DELETE, which could do something else instead:'
        ' drop the rule, or use a trigger'))]),
    "missing columns": ("", model({"key": "ID", "created": "since"}, {"by": "contact", "date": "created_at"}), [], [
        (2, 'table "contact": key: public.contact has no column "ID"'),
        (2, 'table "contact": created: public.contact has no column "since"'),
        (3, 'table "request": by: public.request has no column "contact"'),
        (3, 'table "request": date: public.request has no column "created_at"')]),
    "missing columns in rules": ("", model(
        {"set": {"nom": "L"}, "clear": ["name", "mail"], "json": {"more": ["a"]}, "keep": ["id", "brand", "created", "x"]}),
        [], [(2, 'table "contact": set: public.contact has no column "nom"'),
             (2, 'table "contact": clear: public.contact has no column "mail"'),
             (2, 'table "contact": json: public.contact has no column "more"'),
             (2, 'table "contact": keep: public.contact has no column "x"')]),
    "missing column behind from": (NOTE.format(""), model(note={**NOTES, "from": "note_id"}), [], [(4, (
        'table "contact": from: public.contact has no column "note_id"'))]),
    "dropped column": ("; ALTER TABLE contact DROP brand", RULED, [], [(2, (
        'table "contact": keep: public.contact has no column "brand"'))]),
    "unclassified column": ("; ALTER TABLE contact ADD shoe_size int; ALTER TABLE request ADD \"First Name\" varchar(9)",
                            RULED, [ANONYMIZE], [
        (2, ('table "contact": column "shoe_size" (integer) of public.contact is under no rule: it may hold personal'
             ' data; put it under clear, set, json or keep')),
        (3, ('table "request": column "First Name" (character varying) of public.request is under no rule: it may hold'
             ' personal data; put it under clear, set, json or keep'))]),
    "generated column under clear": (
        "; ALTER TABLE contact ADD full_name text GENERATED ALWAYS AS (name || brand) STORED",
        model({"clear": ["name", "full_name"], "keep": ["brand", "created"]}, RULES[1]), [], [(2, (
            'table "contact": column "full_name" is generated by the database and cannot be written: put it under keep'))]),
    "identity column under set": (
        "; ALTER TABLE contact ADD number bigint GENERATED ALWAYS AS IDENTITY",
        model({"clear": ["name"], "set": {"number": "0"}, "keep": ["brand", "created"]}, RULES[1]), [], [(2, (
            'table "contact": column "number" is generated by the database and cannot be written: put it under keep'))]),
    "NOT NULL without an empty value": (
        "; ALTER TABLE contact ADD born date NOT NULL DEFAULT now(), ADD ip inet NOT NULL DEFAULT '::1'",
        model({"clear": ["name", "born", "ip"], "keep": ["brand", "created"]}, RULES[1]), [], [
            (2, ('table "contact": column "born" is NOT NULL and date has no empty value: use set, or ALTER TABLE'
                 ' public.contact ALTER COLUMN "born" DROP NOT NULL')),
            (2, ('table "contact": column "ip" is NOT NULL and inet has no empty value: use set, or ALTER TABLE'
                 ' public.contact ALTER COLUMN "ip" DROP NOT NULL'))]),
    "a constant where values are unique": (
        "; ALTER TABLE contact ADD login text NOT NULL UNIQUE, ADD code text; CREATE UNIQUE INDEX ON contact (brand, code)",
        model({"clear": ["login"], "set": {"name": "gone", "code": "gone"}, "keep": ["brand", "created"]}, RULES[1]), [], [
            (2, (f'table "contact": column "{column}" is unique: the same value in every row would collide in index'
                 f' public.contact_{index}; use set with {{key}} or {{number}}'))
            for column, index in (("login", "login_key"), ("code", "brand_code_idx"))]),
    "json on text": ("", model({"json": {"name": ["a"]}, "keep": ["brand", "created"]}, RULES[1]), [], [(2, (
        'table "contact": json names column "name", which is text: it drops keys of json and jsonb columns only'))]),
    "key of a type that is no key": ("; ALTER TABLE contact ADD n numeric(9,2); CREATE TABLE note (t timestamptz, id bigint)",
                                     model({"key": "n"}, note={**NOTES, "key": "t", "by": "id"}), [], [
        (2, f'table "contact": key "n" is numeric(9,2): {KEY_TYPE.format("contact")}'),
        (4, f'table "note": key "t" is timestamp with time zone: {KEY_TYPE.format("note")}')]),
    "a key that is not unique": (
        "; CREATE TABLE person (id bigint PRIMARY KEY)"
        "; CREATE TABLE ticket (tenant int, id bigint, contact_id bigint, at timestamptz, PRIMARY KEY (tenant, id))",
        model({"table": "person"}, request={"table": "ticket"}), [], [(3, WIDER_KEY.format("ticket", "request"))]),
    "a key that is unique in part": (
        "; CREATE TABLE person (id bigint PRIMARY KEY)"
        "; CREATE TABLE ticket (id bigint, contact_id bigint, at timestamptz, gone bool)"
        "; CREATE UNIQUE INDEX ON ticket (id) WHERE NOT gone",
        model({"table": "person"}, request={"table": "ticket"}), [], [(3, NO_KEY.format("ticket", "id").replace('"ticket"', '"request"'))]),
    "a key with two spellings": (
        "; CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        "; CREATE TABLE person (id text COLLATE loose PRIMARY KEY)"
        "; CREATE TABLE ticket (id bigint PRIMARY KEY, contact_id text COLLATE loose, at timestamptz)",
        model({"table": "person"}, {"table": "ticket"}), [], [
            (2, f'table "contact": key "id" is text: {KEY_TYPE.format("person")}'),
            (3, f'table "request": the link by "contact_id" (text) to "id" (text) {SPELLINGS.format("ticket", "contact_id")}')]),
    "a request's link of another kind": (
        "; CREATE TABLE person (id uuid PRIMARY KEY); CREATE TABLE ticket (id bigint PRIMARY KEY, contact_id text,"
        " at timestamptz)", model({"table": "person"}, {"table": "ticket"}), [], [(3, (
            'table "request": "contact_id" is text, and the contact\'s "id" is uuid: a request whose link is spelt in'
            ' another way would be missed, and its contact erased; ALTER TABLE public.ticket ALTER COLUMN "contact_id"'
            ' TYPE uuid'))]),
    "a partition": (
        "; CREATE TABLE person (id bigint, country text, PRIMARY KEY (id, country)) PARTITION BY LIST (country)"
        "; CREATE TABLE person_fr PARTITION OF person FOR VALUES IN ('fr')", model({"table": "person_fr"}), [], [(2, (
            'table "contact": public.person_fr is a partition, and what points at the whole would not be seen: name the'
            ' partitioned table'))]),
    "contacts under a second name": (
        "; ALTER TABLE contact ADD merged_into bigint REFERENCES contact; CREATE INDEX ON contact (merged_into)",
        model(merged={"table": "contact", "key": "id", "of": "contact", "by": "merged_into"}), [], [(4, (
            'table "merged": public.contact is the table of "contact", whose rows have dates and holds of their own: use'
            ' delete = "detach" or "keep", and anonymize = "keep"'))]),
    "a where that leaves out what cascades": (NOTE.format("REFERENCES contact ON DELETE CASCADE"), model(
        note={**NOTES, "where": "body = 'call'"}), [], [(2, (
            outside("contact", "delete_contacts", "ON DELETE CASCADE: its rows would vanish unarchived")))]),
    "a name without its child": (
        "; CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, by2 bigint REFERENCES contact)"
        "; CREATE TABLE leaf (id bigint PRIMARY KEY, contact_id bigint CONSTRAINT note_contact_id_fkey REFERENCES note ON DELETE CASCADE)",
        model(note=NOTES, note2={**NOTES, "by": "by2"}, leaf={"table": "leaf", "key": "id", "of": "note", "by": "contact_id"}),
        [], [(5, outside("note2", "delete_contacts", "ON DELETE CASCADE: its rows would vanish unarchived")
              .replace("public.note2", "public.note", 1).replace("of public.note (", "of public.leaf (")
              .replace("map public.note in", "map public.leaf in"))]),
    "what others share would take them along": (
        "; CREATE TABLE blob (id bigint PRIMARY KEY)"
        "; CREATE TABLE note (id bigint PRIMARY KEY, request_id bigint REFERENCES request,"
        " contact_id bigint UNIQUE REFERENCES blob ON DELETE SET NULL)",
        model(note={"table": "note", "key": "id", "of": "request", "by": "request_id"},
              blob={"table": "blob", "key": "id", "of": "note", "by": "id", "from": "contact_id"}), [], [(5, (
            outside("blob", "delete_contacts", "ON DELETE SET NULL: its rows would be changed silently")))]),
    "a date that is none": ("", model({"created": "brand"}, {"date": "status"}), [], [
        (3, f'table "request": date "status" is text: {ISO}'),
        (2, f'table "contact": created "brand" is text: {ISO}')]),
    "set that is no value of the type": ("", model(
        {"set": {"created": "yesteryear"}, "keep": ["name", "brand"]}, RULES[1]), [ANONYMIZE], [(2, (
            'the list of those due: the server refuses it: a value is not valid [DateTimeParseError:N]'
            ' (SQLSTATE 22007)'))]),
    "detach of NOT NULL": (NOTE.format("NOT NULL"), model(note={**NOTES, "delete": "detach"}), [], [(4, (
        'table "note": delete = "detach" clears "contact_id", which is NOT NULL: use delete = "delete", or drop the'
        ' NOT NULL'))]),
    **{f"a key from outside: {clause or 'NO ACTION'}": (NOTE.format(f"REFERENCES contact {clause}"), model(), [], [(2, (
        outside("contact", "delete_contacts", words)))])
       for clause, words in {
           "": "no action: the rows it points at could not be deleted",
           "ON DELETE RESTRICT": "no action: the rows it points at could not be deleted",
           "ON DELETE CASCADE": "ON DELETE CASCADE: its rows would vanish unarchived",
           "ON DELETE SET NULL": "ON DELETE SET NULL: its rows would be changed silently",
           "ON DELETE SET DEFAULT": "ON DELETE SET DEFAULT: its rows would be changed silently"}.items()},
    "a kept table whose key would cascade": (NOTE.format("REFERENCES contact ON DELETE CASCADE"), model(
        note={**NOTES, "delete": "keep"}), [], [(4, (
            'table "note": delete = "keep", and foreign key "note_contact_id_fkey" of public.note is ON DELETE CASCADE, so that its rows'
            ' would vanish unarchived: let where of "contact" leave out the contacts that the rows belong to, and each batch makes sure of'
            ' it, or use delete = "delete" or "detach", or make the key NO ACTION'))]),
    "a kept table whose key refuses": (NOTE.format("REFERENCES contact"), model(note={**NOTES, "delete": "keep"}), [], [(2, (
        outside("contact", "delete_contacts", "no action: the rows it points at could not be deleted")))]),
    "a key onto what an anonymization deletes": (
        "; CREATE TABLE mail (id bigint PRIMARY KEY, request_id bigint REFERENCES request)"
        "; CREATE TABLE note (id bigint, contact_id bigint REFERENCES mail ON DELETE CASCADE)",
        model(*RULES, mail={"table": "mail", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"}), [], [
            (4, outside("mail", action, "ON DELETE CASCADE: its rows would vanish unarchived"))
            for action in ("delete_contacts", "anonymize_contacts", "anonymize_requests")]),
    "no index behind a large table's key": (
        "; DROP INDEX request_contact_id_idx" + LARGE, model(), [], [(3, UNINDEXED.format(
            "request", 'foreign key "request_contact_id_fkey" of public.request', "the table", 10000,
            "row deleted from public.contact would read them all"))]),
    "no index behind a large table's link": (
        NOTE.format("") + "; INSERT INTO note SELECT n, n, '' FROM generate_series(1, 12000) n; ANALYZE note",
        model(note=NOTES), [], [(4, UNINDEXED.format(
            "note", 'its link by "contact_id"', "public.note", 12000, "batch would read them all"))]),
    "where that does not parse": (NOTE.format(""), model(note={**NOTES, "where": "body = "}), [policy()], [(4, (
        'table "note": where: the server refuses it: syntax error at or near ")" (SQLSTATE 42601)'))]),
    "where with another table's column": (NOTE.format(""), model(note={**NOTES, "where": "brand = 'x'"}), [policy()], [(4, (
        'table "note": where: the server refuses it: column "brand" does not exist (SQLSTATE 42703)'))]),
    "where that closes the bracket": (NOTE.format(""), model(note={**NOTES, "where": "true) OR (true"}), [policy()], [(4, (
        'table "note": where: the server refuses it: syntax error at or near ")" (SQLSTATE 42601)'))]),
    "due_when with a missing column": ("", model(request={"due_when": "state = 'closed'"}), [policy()], [(3, (
        'table "request": due_when: the server refuses it: column "state" does not exist (SQLSTATE 42703)'))]),
    "due_when that is no condition": ("", model(request={"due_when": "status"}), [policy()], [(3, (
        'table "request": due_when: the server refuses it: argument of WHERE must be type boolean, not type text'
        ' (SQLSTATE 42804)'))]),
    "scope with a missing column": ("", model(), [policy(scope="tenant = 3")], [(None, (
        'scope: the server refuses it: column "tenant" does not exist (SQLSTATE 42703)'))]),
    "ring": (RING[len(SCHEMA):].format(""), model(), [policy()], [(3, (
        'table "request": foreign keys form a ring through public.request, so that no order of deletion satisfies them:'
        ' make one of them DEFERRABLE, or use delete = "detach"'))]),
}


def complaints(d, done):
    """[(line of model.conf or None, message)] of what -t said."""
    found = []
    for line in done.stderr.splitlines():
        if f"{d.dir}/" in line:
            place, _, text = line.split(f"{d.dir}/", 1)[1].partition(": ")
            name, _, number = place.partition(":")
            found.append((int(number) if name == "model.conf" else None, text))
    return found


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(make, name):
    schema, text, policies, wanted = REFUSALS[name]
    d = make(SCHEMA + schema, text, *policies)
    if not policies:
        d.configure(policies=[])
    done = d.check_config()
    # The line in the server's source differs from release to release.
    assert [(line, re.sub(r"Error:\d+\]", "Error:N]", text)) for line, text in complaints(d, done)] == wanted
    assert (done.returncode, done.stdout) == (1, "")
    if wanted and policies:
        assert d.once(check=False).returncode == 1
        assert d.jobs() == []


@pytest.mark.parametrize("name", ["no index behind a large table's key", "no index behind a large table's link"])
def test_allow_unindexed(make, name):
    schema, text, _, _ = REFUSALS[name]
    d = make(SCHEMA + schema, text.replace('by = "contact_id";', 'by = "contact_id"; allow_unindexed = true;'))
    assert d.check_config().stdout == "configuration OK\n"
    told, = [h for h in check(d)["hints"] if "no index" in h]
    assert re.search(r'(foreign key "request_contact_id_fkey"|table "note": its link) has no index: CREATE INDEX CONCURRENTLY', told)


def test_small_tables_need_no_index(make):
    """Such a link has no line of its own in model check, where it would hide those that need one."""
    d = make(SCHEMA + "; DROP INDEX request_contact_id_idx" + NOTE.format("") + LARGE.replace("10000", "9999"), model(note=NOTES))
    assert d.check_config().stdout == "configuration OK\n"
    assert [h for h in check(d)["hints"] if "index" in h] == [
        "links of tables with fewer than 10000 rows that have no index, and need none yet: 2"]


@pytest.mark.parametrize("revoked, words", [
    ("SELECT ON request", 'table "request": where'),
    ("DELETE ON request", 'table "request": delete_contacts'),
    ("DELETE ON contact", 'table "contact": delete_contacts'),
    ("UPDATE ON contact", "the lock of a batch")])
def test_a_right_that_is_missing(make, pg, revoked, words):
    d = make(SCHEMA + TWO, model(request={"where": "at IS NOT NULL"}))
    table = revoked.split()[-1]
    d.configure(user=pg.plain_role(d.db, grants=f"{GRANTS}; REVOKE {revoked} FROM retention_plain"))
    line = 3 if '"request"' in words else 2
    assert complaints(d, d.check_config()) == [
        (line, f"{words}: the server refuses it: permission denied for table {table} (SQLSTATE 42501);"
         " retentionctl grants prints what the role needs")]
    d.once(check=False)
    assert d.jobs() == [] and keys(pg, d.db) == {1, 2}
