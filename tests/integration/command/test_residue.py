"""retentionctl residue: what is known of a contact, wherever it stands; and never a word of it."""

import json
import re

import psycopg2
import pytest

from support.oracles import table_digests
from support.small import SCHEMA, model, policy

PLACES = """;
    ALTER TABLE contact ADD email text, ADD phones text[], ADD profile jsonb, ADD city text, ADD remark text;
    CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, name text, text text, kept text);
    CREATE TABLE outside (id bigint PRIMARY KEY, mail varchar(80), doc jsonb, list text[], body text, x json, ip inet, n bigint);
    CREATE SCHEMA other; CREATE TABLE other.parted (id int, t text) PARTITION BY RANGE (id);
    CREATE TABLE other.part PARTITION OF other.parted FOR VALUES FROM (0) TO (100);
    INSERT INTO contact (id, name, email, phones, profile, city, remark) VALUES
        (1, 'O''Neil "Bob" %_\\ (x)', 'Bob@Ex.org', '{+33 6 01 02 03}', '{"nick": ["Bobby1"], "age": 7}', 'Paris', 'vip'),
        (2, 'Anne', 'anne@ex.org', NULL, NULL, 'Paris', NULL), (3, 'Zoé Kept', 'zoe@ex.org', '{}', '{}', 'Paris', '');
    INSERT INTO contact (id, city) SELECT n, 'Paris' FROM generate_series(10, 20) n;
    INSERT INTO request (id, contact_id, at, subject) VALUES (10, 1, '2015-01-01', 'bob@ex.org asks'), (30, 3, now(), 'x');
    INSERT INTO note VALUES (100, 1, 'n', 'to bob@ex.org', 'bobby1 was here'), (300, 3, 'n', 'seen with bob@ex.org', 'k')"""
MODEL = model(
    contact={"set": {"name": "L_{key}"}, "clear": ["email", "phones", "profile", "remark"], "keep": ["brand", "created", "city"]},
    request={"clear": ["subject"], "keep": ["status", "at"]},
    note={"table": "note", "key": "id", "of": "contact", "by": "contact_id", "where": "name = 'n'", "clear": ["text"],
          "keep": ["name", "kept"]})
SECRETS = ("neil", "bob@ex", "33 6 01", "bobby1")


@pytest.fixture
def places(make):
    d = make(SCHEMA + PLACES, MODEL, policy("anonymize_contacts"))

    def residue(*args, code=1, **kwargs):
        before = table_digests(d.pg, d.db, "public"), d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event")
        done = d.ctl("residue", *args, check=False, **kwargs)
        assert done.returncode == code, done.stdout + done.stderr
        assert not any(s in (done.stdout + done.stderr).lower() for s in SECRETS)
        assert before == (table_digests(d.pg, d.db, "public"), d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event"))
        return done

    d.residue = residue
    d.found = lambda *args, **kwargs: {
        (r["table"], r["column"], r["of"]): (r["exact"], r["inside"], r["covered"])
        for r in json.loads(residue(*args, "--json", **kwargs).stdout)}
    return d


OWN = {("public.contact", "email", "email"): (0, 0, 1), ("public.contact", "name", "name"): (0, 0, 1),
       ("public.contact", "phones", "phones"): (0, 0, 1), ("public.contact", "profile", "profile"): (0, 0, 1),
       ("public.request", "subject", "email"): (0, 0, 1), ("public.note", "text", "email"): (0, 1, 1),
       # Kept, or another's: no action would erase it.
       ("public.note", "kept", "profile"): (0, 1, 0)}


def test_what_the_model_reaches(places):
    assert places.found("1") == OWN
    # A deletion takes the kept column along, but not what stands with somebody else.
    left = {k: v for k, v in places.found("1", "--action", "delete_contacts").items() if v[0] + v[1]}
    assert left == {("public.note", "text", "email"): (0, 1, 0 + 1)}


def kept_values(d, sql):
    return d.pg.value(d.db, f"SELECT count(*) FROM ({sql}) AS v WHERE v::text ILIKE '%%bob@ex.org%%'")


@pytest.mark.parametrize("key, by, cleared, left", [
    ("", "mail", True, set()), ("", "mail", False, {"said"}),
    # Of a link of several columns one cannot be cleared: it stays, and is said to stay.
    (", tag", ["mail", "tag"], True, {"tag"}), (", tag", ["mail", "tag"], False, {"tag", "said"})])
def test_what_a_detachment_clears(make, key, by, cleared, left):
    """The link itself and the columns under on_delete are gone; of what is said to stay, all is there after a pass."""
    d = make(SCHEMA + PLACES + f"""; ALTER TABLE contact ADD tag text NOT NULL DEFAULT 'tag';
        UPDATE contact SET tag = email WHERE id = 1; ALTER TABLE contact ADD UNIQUE (email{key});
        CREATE TABLE "Paid" (id bigint PRIMARY KEY, mail text, tag text NOT NULL, said text);
        CREATE INDEX ON "Paid" (mail{key});
        INSERT INTO "Paid" VALUES (1, 'Bob@Ex.org', 'Bob@Ex.org', 'by BOB@ex.org'), (2, 'anne@ex.org', 'tag', NULL);
        DROP TABLE note""" + ("" if key else """; UPDATE "Paid" SET tag = 'none'"""),
        model(contact={"clear": ["email"], "keep": [
            "brand", "created", "city", "name", "phones", "profile", "remark", "tag"]}, request={"clear": ["subject"], "keep": ["status", "at"]},
            paid={"table": "Paid", "key": "id", "of": "contact", "by": by, "from": ["email", "tag"] if key else "email", "delete": "detach",
                  **({"on_delete": {"clear": ["said"], **({} if key else {"keep": ["tag"]})}} if cleared else {}), "anonymize": "keep"}),
        policy("delete_contacts"))
    done = d.ctl("residue", "1", "--action", "delete_contacts", "--json", check=False)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert {f["column"] for f in found if f["table"] == "public.Paid" and f["exact"] + f["inside"]} == left
    assert [f["covered"] for f in found if (f["table"], f["column"]) == ("public.Paid", "mail")] == [1]
    d.once()
    assert {c for c in ("mail", "tag", "said") if kept_values(d, f'SELECT {c} FROM "Paid"')} == left


@pytest.mark.parametrize("plant, where, found", [
    ("INSERT INTO outside (id, mail) VALUES (1, 'BOB@ex.ORG'), (2, 'bob@ex.org'), (3, 'rob@ex.org')",
     ("public.outside", "mail", "email"), (2, 0, 0)),
    ("INSERT INTO outside (id, body) VALUES (1, 'x bob@ex.orgy')", ("public.outside", "body", "email"), (0, 1, 0)),
    ("INSERT INTO outside (id, doc) VALUES (1, '{\"a\": {\"b\": [\"Bob@Ex.org\"]}}')", ("public.outside", "doc", "email"), (0, 1, 0)),
    ("""INSERT INTO outside (id, doc) SELECT 1, to_jsonb(name) FROM contact WHERE id = 1""", ("public.outside", "doc", "name"), (0, 1, 0)),
    ("""INSERT INTO outside (id, x) SELECT 1, to_json(name) FROM contact WHERE id = 1""", ("public.outside", "x", "name"), (0, 1, 0)),
    ("INSERT INTO outside (id, list) VALUES (1, '{a,Bob@Ex.org}')", ("public.outside", "list", "email"), (0, 1, 0)),
    ("INSERT INTO outside (id, body) SELECT 1, '<' || name || '>' FROM contact WHERE id = 1", ("public.outside", "body", "name"), (0, 1, 0)),
    ("INSERT INTO outside (id, body) SELECT 1, phones[1] FROM contact WHERE id = 1", ("public.outside", "body", "phones"), (1, 0, 0)),
    ("INSERT INTO other.parted VALUES (1, 'bobby1')", ("other.parted", "t", "profile"), (1, 0, 0)),
    ("CREATE MATERIALIZED VIEW seen AS SELECT 'to bob@ex.org'::text AS t", ("public.seen", "t", "email"), (0, 1, 0)),
    ("INSERT INTO outside (id, body) VALUES (1, 'bobx@ex.org'), (2, 'O''Neil')", None, None),
    ("CREATE TYPE pair AS (t text, n int); CREATE TABLE kind AS SELECT ROW(name, 1)::pair AS v FROM contact WHERE id = 1",
     ("public.kind", "v", "name"), (0, 1, 0)),
    ("CREATE TYPE pair AS (t text, n int); CREATE TABLE kind AS SELECT ARRAY[ROW('bob@ex.org', 1)::pair] AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE TABLE kind AS SELECT ARRAY[to_jsonb('Bob@Ex.org'::text)] AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE EXTENSION hstore; CREATE TABLE kind AS SELECT ARRAY[hstore('k', 'Bob@Ex.org')] AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE EXTENSION citext; CREATE TABLE kind AS SELECT ARRAY['Bob@Ex.org'::citext] AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE DOMAIN texts AS text[]; CREATE TABLE kind AS SELECT '{bob@ex.org}'::texts AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE TABLE kind AS SELECT convert_to('To: BOB@ex.org', 'UTF8') || '\\xff00' AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE TABLE kind AS SELECT convert_to(name, 'UTF8') AS v FROM contact WHERE id = 1", ("public.kind", "v", "name"), (1, 0, 0)),
    ("CREATE DOMAIN bytes AS bytea; CREATE TABLE kind AS SELECT 'bob@ex.org'::bytea::bytes AS v", ("public.kind", "v", "email"), (1, 0, 0)),
    ("CREATE TABLE kind AS SELECT ARRAY['x'::bytea, 'bob@ex.org'] AS v", ("public.kind", "v", "email"), (0, 1, 0)),
    ("CREATE TABLE kind AS SELECT ''::text COLLATE \"C\" AS a, 'bob@ex.org'::text COLLATE \"POSIX\" AS v", ("public.kind", "v", "email"), (1, 0, 0)),
    # What an erasure makes anew, what holds nothing, and what has no text.
    ("ALTER TABLE contact ADD shown text GENERATED ALWAYS AS ('<' || email || '>') STORED", None, None),
    ("CREATE MATERIALIZED VIEW seen AS SELECT email FROM contact WITH NO DATA", None, None),
    ("CREATE TABLE kind AS SELECT 1 AS n, now() AS t, true AS b, int4range(1, 2) AS r, '{1,2}'::int[] AS a", None, None),
])
def test_planted(places, plant, where, found):
    """Exact and inside a text, in documents and lists, whatever signs the value has; nothing that only looks alike."""
    places.pg.sql(places.db, plant)
    assert places.found("1") == ({**OWN, where: found} if where else OWN)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_capitals_of_every_language(daemon, empty_db, pg, locale):
    """Whatever the database's locale knows of letters, in bytes too."""
    db = empty_db()
    pg.sql("postgres", f"DROP DATABASE {db}")
    pg.sql("postgres", f"CREATE DATABASE {db} TEMPLATE template0 ENCODING 'UTF8' LOCALE '{locale}'")
    pg.sql(db, SCHEMA + """;
        INSERT INTO contact (id, name) VALUES (1, 'Zoé Étienne');
        CREATE TABLE outside (text text, bytes bytea);
        INSERT INTO outside VALUES ('À ZOÉ ÉTIENNE', NULL), (NULL, convert_to('Zoé Étienne', 'UTF8')), (NULL, convert_to('zoé étienne', 'UTF8'))""")
    d = daemon(db=db, policies=[policy("anonymize_contacts")], model=model(
        contact={"clear": ["name"], "keep": ["brand", "created"]}, request={"clear": ["subject"], "keep": ["status", "at"]}))
    done = d.ctl("residue", "1", "--json", check=False)
    assert {(r["column"], r["exact"], r["inside"], r["covered"]) for r in json.loads(done.stdout)} == {
        ("name", 0, 0, 1), ("text", 0, 1, 0), ("bytes", 2, 0, 0)} and done.stderr == ""


def test_after_an_anonymization(places):
    """The row knows nothing any more: what is known from elsewhere is looked for."""
    values = places.dir / "values"
    values.write_text("bob@ex.org\nabc\n\nBobby1\n")
    places.pg.sql(places.db, "INSERT INTO outside (id, mail) VALUES (1, 'bob@ex.org')")
    places.once()
    done = places.residue("1")
    assert done.stderr.startswith("retentionctl: nothing to search for: the contact has no value of 4 or more characters of its own")
    found = places.found("1", "--values", str(values))
    assert found == {("public.note", "kept", "value"): (0, 1, 0), ("public.note", "text", "value"): (0, 1, 0),
                     ("public.outside", "mail", "value"): (1, 0, 0)}
    # Of one who is gone altogether, too.
    assert ("public.outside", "mail", "value") in places.found("999", "--values", str(values))


def test_nothing_is_left(places):
    places.pg.sql(places.db, "UPDATE note SET kept = NULL, text = NULL")
    done = places.residue("1", code=0)
    assert re.search(r"\nsearched \d+ tables for 4 values of 1 contacts: anonymize_contacts would leave values in 0 columns\n$",
                     done.stdout)
    assert places.residue("2", code=0).returncode == 0


def test_a_sample(places):
    """What more than a few contacts have in common says nothing of one of them."""
    found = places.found("--sample", "100")
    assert not any(of == "city" for _, _, of in found)
    assert found[("public.note", "kept", "profile")] == (0, 1, 0)
    assert found[("public.contact", "email", "email")] == (0, 0, 3)


def test_what_cannot_be_searched(places):
    pg, db = places.pg, places.db
    role = pg.plain_role(db, "residue_reader", "GRANT SELECT ON contact, request, note TO residue_reader; "
                                               "GRANT retention_auditor TO residue_reader")
    done = places.ctl("-d", pg.conninfo(db, role), "residue", "2", check=False)
    assert done.returncode == 1
    assert "not searched: public.outside: this role may not read it\n" in done.stderr
    assert "not searched: other.parted: this role may not read it\n" in done.stderr
    pg.sql(db, "INSERT INTO outside (id, body) SELECT n, repeat('x', 10000) || n FROM generate_series(1, 3000) n")
    pg.sql(db, "CREATE FUNCTION slow() RETURNS text LANGUAGE sql AS $$ SELECT pg_sleep(60)::text $$")
    with pg.connect(db, autocommit=False) as client, client.cursor() as cur:
        cur.execute("LOCK TABLE outside IN ACCESS EXCLUSIVE MODE")
        done = places.ctl("residue", "2", "--timeout", "1", check=False)
        client.rollback()
    assert done.returncode == 1 and re.search("not searched: public.outside: .*timeout", done.stderr)
    assert "searched 4 tables for " in done.stdout


@pytest.mark.parametrize("args, message", [
    ([], "give the key of one contact, or --sample"), (["1", "2"], "give the key of one contact"),
    (["1", "--sample", "2"], "give the key of one contact"), (["--sample", "0"], '"0" is not a number from 1 to 1000000'),
    (["--sample", "2", "--values", "-"], "give the key of one contact"), (["1", "--action", "export"], "--action must be "),
    (["1", "--action", "x"], "--action must be "), (["1", "--timeout", "x"], '"x" is not a number'),
])
def test_wrong_use(places, args, message):
    done = places.residue(*args, code=2)
    assert done.stdout == "" and message in done.stderr and "usage: retentionctl residue" in done.stderr


def test_no_such_contact(places):
    assert "there is no contact 999" in places.residue("999").stderr
    assert "cannot read /nowhere" in places.residue("1", "--values", "/nowhere").stderr


def test_recorded(places, pg):
    """By whom, and how much was found where: the counts, the names of columns, and no value."""
    done = places.ctl("residue", "1", "--record", "--json", check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found
    (row,) = pg.sql(places.db, """SELECT recorded_by, action, contacts, searched_for, tables, not_searched, found, findings
        FROM retention.residue_report""")
    assert row[:3] == (pg.SUPERUSER, "anonymize_contacts", 1) and row[3] > 3 and row[4] > 4 and row[5] == 0
    assert row[6] == sum(1 for f in found if f["exact"] or f["inside"]) > 0
    assert sorted(row[7], key=str) == sorted(found, key=str)
    (event,) = pg.sql(places.db, "SELECT actor, details FROM retention.journal_event WHERE kind = 'residue'")
    assert event == (pg.SUPERUSER, {"report": 1, "action": row[1], "contacts": 1, "searched_for": row[3], "tables": row[4],
                                    "not_searched": 0, "found": row[6]})
    kept = pg.dump(places.db, "--schema=retention").decode().lower()
    assert not any(s in kept for s in SECRETS)
    assert places.ctl("residue", "2", "--record", check=False).returncode == 0
    assert pg.value(places.db, "SELECT found FROM retention.residue_report WHERE id = 2") == 0
    pg.sql(places.db, "SELECT lo_from_bytea(0, 'to bob@ex.org')")
    places.ctl("residue", "1", "--record", check=False)
    assert {"pg_largeobject"} < {f["table"] for f in pg.value(
        places.db, "SELECT findings FROM retention.residue_report ORDER BY id DESC LIMIT 1")}


GOOD = {"action": "delete_contacts", "contacts": 1, "values": 2, "tables": 3, "not_searched": 0,
        "findings": [{"table": "public.note", "column": "text", "of": "email", "exact": 0, "inside": 2, "covered": 0}]}


@pytest.mark.parametrize("change", [
    {"action": "export"}, {"contacts": "bob@ex.org"}, {"contacts": None}, {"findings": None}, {"findings": {}}, {"findings": ["bob@ex.org"]},
    *({"findings": [{**GOOD["findings"][0], k: "bob@ex.org"}]} for k in GOOD["findings"][0]),
    {"findings": [{}]}, {"findings": [{**GOOD["findings"][0], "exact": None}]}])
def test_nothing_else_is_recorded(places, pg, change):
    """A report holds numbers and names of columns that are there; what else it says is left out."""
    with pytest.raises(psycopg2.Error, match="is no report of retentionctl residue") as refused:
        pg.sql(places.db, "SELECT retention.record_residue(%s)", (json.dumps({**GOOD, **change}),))
    assert (refused.value.diag.constraint_name, refused.value.diag.column_name) == ("retention.residue_invalid", "report")
    assert pg.value(places.db, "SELECT count(*) FROM retention.residue_report") == 0
    more = {**GOOD, "remark": "bob@ex.org", "findings": [{**GOOD["findings"][0], "value": "bob@ex.org"}]}
    assert pg.value(places.db, "SELECT retention.record_residue(%s)", (json.dumps(more),)) == 1
    assert pg.value(places.db, "SELECT findings FROM retention.residue_report") == GOOD["findings"]
    assert "bob" not in pg.value(places.db, "SELECT string_agg(r::text, '') FROM retention.residue_report AS r")
    with pytest.raises(psycopg2.Error, match="append-only"):
        pg.sql(places.db, "UPDATE retention.residue_report SET found = 0")
