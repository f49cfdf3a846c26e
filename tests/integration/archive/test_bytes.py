"""
A database with the encoding SQL_ASCII, whose texts are bytes: what is no UTF-8 is erased, archived and restored like anything
else, and -t says what that means.
"""

import json
from pathlib import Path

import pytest

from support.ctl import ctl
from support.restores import NOTE, NOTES, restore
from support.small import SCHEMA, failures, keys, model, policy

ROWS = r""";
    INSERT INTO contact (id, name, brand) VALUES (1, 'a', 'b'), (2, E'Ren\xe9', E'\xff\xfe'), (3, E'\xc3\xa9ric', 'b'), (4, 'd', 'b');
    INSERT INTO request (id, contact_id, at, subject) SELECT id * 10, id, CASE WHEN id < 4 THEN timestamptz '2015-01-01' ELSE now() END,
        E'Caf\xe9 ; "\x80"' FROM contact"""
HEX = "SELECT id, encode(name::bytea, 'hex'), encode(brand::bytea, 'hex') FROM contact ORDER BY 1"


@pytest.fixture
def make_bytes(pg, daemon):
    made = []

    def make(sql, text, *policies, **kwargs):
        made.append(f"bytes{len(made)}")
        pg.sql("postgres", f"CREATE DATABASE {made[-1]} ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
        pg.psql(made[-1], "-c", sql)
        return daemon(db=made[-1], model=text, policies=list(policies or [policy()]), **kwargs)

    yield make
    for name in made:
        pg.drop_database(name)


def hexes(d):
    return d.pg.sql(d.db, HEX)


def test_deleted_and_restored(make_bytes):
    d = make_bytes(SCHEMA + NOTE + ROWS, model(note=NOTES), policy(archive="full"))
    before = hexes(d)
    done = d.check_config()
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
    assert "the database has the encoding SQL_ASCII" in done.stderr
    d.once()
    assert keys(d.pg, d.db) == {4} and failures(d) == []
    folder = Path(d.jobs()[-1]["archive_path"])
    text = (folder / "contact.csv").read_bytes()
    assert b"Ren\xe9" in text and b"\xff\xfe" in text and "éric".encode() in text and not text.startswith(b"\xef\xbb\xbf")
    assert b'"Caf\xe9 ; ""\x80"""' in (folder / "request.csv").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["encoding"], manifest["bom"]) == ("SQL_ASCII", False)
    assert d.ctl("archive", "verify", "1").returncode == 0
    restore(d, 1)
    assert hexes(d) == before
    assert ctl(d.pg, d.db, "verify").returncode == 0


def test_anonymized_by_match(make_bytes):
    """Values travel from one table to another: bytes as they are."""
    d = make_bytes(SCHEMA + ROWS + """;
        CREATE TABLE log (id bigint PRIMARY KEY, who text); CREATE INDEX ON log (who); INSERT INTO log SELECT id, name FROM contact""",
        model(contact={"clear": ["name", "brand"], "keep": ["created"]}, request={"clear": ["subject"], "keep": ["at", "status"]},
              log={"table": "log", "key": "id", "of": "contact", "match": {"column": "who", "of": "name"}, "set": {"who": "gone-{key}"}}),
        policy("anonymize_contacts"))
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, "SELECT id, who FROM log ORDER BY 1") == [(1, "gone-1"), (2, "gone-2"), (3, "gone-3"), (4, "d")]


def test_a_key_that_is_no_utf8(make_bytes):
    """It is in the list, in the ledger and in its file, under a hold, and named when it fails."""
    schema = r"""
        CREATE TABLE contact (id text PRIMARY KEY, name text, brand text, created timestamptz);
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id text REFERENCES contact, at timestamptz, status text DEFAULT 'closed', subject text);
        CREATE INDEX ON request (contact_id);
        INSERT INTO contact (id) VALUES ('a'), (E'b\xe9'), (E'c\xe9'), (E'd\xe9');
        INSERT INTO request (id, contact_id, at) SELECT row_number() OVER (), id, '2015-01-01' FROM contact;
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
        CREATE TRIGGER no BEFORE DELETE ON contact FOR EACH ROW WHEN (OLD.id = E'c\xe9') EXECUTE FUNCTION no()"""
    d = make_bytes(schema, model(), policy(archive="full"))
    d.pg.psql(d.db, "-c", r"INSERT INTO retention.hold (contact_key, reason) VALUES (E'd\xe9', E'proc\xe8s')")
    d.once(check=False)
    assert d.pg.value(d.db, r"SELECT count(*) FROM contact WHERE id IN (E'c\xe9', E'd\xe9')") == 2
    assert d.pg.value(d.db, "SELECT count(*) FROM contact") == 2
    assert d.pg.value(d.db, r"SELECT count(*) FROM retention.ledger WHERE key IN ('a', E'b\xe9')") == 2
    assert d.check_config().returncode == 0  # the ledger's file says what the table says
    assert ctl(d.pg, d.db, "verify").returncode == 0
