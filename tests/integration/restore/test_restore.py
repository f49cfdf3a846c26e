"""
archive restore: every row of a deleted pass back, byte for byte, in one transaction, or nothing.
"""

import hashlib
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from support import small
from support.harness import BUILD, wait_until
from support.locks import CLAIM
from support.oracles import table_digests
from support.restores import NOTES, POLICY, SCHEMA_OF_NOTES, deleted, restore

pytestmark = pytest.mark.safety(once=True)

OLD, NEW = "2019-05-01", "now()"


def refused(d, job, *args, **kwargs):
    """What it says, when it changes nothing."""
    before = state(d)
    done = restore(d, job, *args, check=False, **kwargs)
    assert (done.returncode, state(d)) == (1, before), done.stdout + done.stderr
    return done.stderr


def state(d):
    """All that a restore could change: the tables, the ledger, the journal."""
    return (table_digests(d.pg, d.db, "public"), table_digests(d.pg, d.db, "crm"),
            d.pg.sql(d.db, "SELECT job, action, key FROM retention.ledger ORDER BY 1, 2, 3"),
            d.pg.sql(d.db, "SELECT to_jsonb(j) FROM retention.archive_journal AS j ORDER BY id"),
            d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event"))


# --- The reference CRM ------------------------------------------------------------------------


def test_round_trip(pg, daemon):
    """Many contacts, two workers, many batches."""
    contacts = 5000 if "sanitize" in str(BUILD) else 20000
    d = daemon(contacts=contacts, policies=[POLICY], limits={"workers": 2, "batch_time": "10s"})
    before = table_digests(pg, d.db)
    job = deleted(d)
    after = table_digests(pg, d.db)
    assert job["counters"]["treated"] > contacts / 4 and len({t for t in before if before[t] != after[t]}) >= 9
    erased = pg.value(d.db, "SELECT count(*) FROM retention.ledger")
    done = restore(d, job, "--dry-run")
    assert table_digests(pg, d.db) == after and d.jobs()[-1] == job
    assert f"action {job['id']} can be restored: {erased} contacts, " in done.stdout
    assert done.stdout.splitlines()[-2].endswith("each as it was; nothing was changed")
    done = restore(d, job)
    assert table_digests(pg, d.db) == before
    rows = job["counters"]["rows"]
    assert set(done.stdout.splitlines()[:-2]) == {f"{table}: {n} back" for table, n in rows.items()}
    assert done.stdout.splitlines()[-2] == \
        f"action {job['id']} is restored: {erased} contacts, {sum(rows.values())} rows, each as it was"
    assert re.fullmatch(r'hint: policy "contacts" \(delete_contacts\) runs next on 20\d\d-\d\d-01 00:00 and erases '
                        r'restored contacts that are due then; to prevent that, place holds, lengthen its depth or disable it',
                        done.stdout.splitlines()[-1])
    row = d.jobs()[-1]
    assert row["restored_at"] and row["restored_by"] == pg.SUPERUSER and row["counters"]["restored"] == rows
    # The ledger says so too: a replay would otherwise erase them again.
    assert pg.sql(d.db, "SELECT action, count(*) FROM retention.ledger GROUP BY 1 ORDER BY 1") == \
        [("delete_contacts", erased), ("restored", erased)]
    (kind, actor, details), = pg.sql(
        d.db, "SELECT kind, actor, details FROM retention.journal_event ORDER BY id DESC LIMIT 1")
    assert (kind, actor, details["restored_by"], details["counters"]["restored"]) == \
        ("restored", pg.SUPERUSER, pg.SUPERUSER, rows)


def test_again(pg, daemon):
    """Deleted, back, refused, deleted by another pass, and back from that one's archive."""
    d = daemon(policies=[POLICY])
    before = table_digests(pg, d.db)
    first = deleted(d)
    after = table_digests(pg, d.db)
    restore(d, first)
    shown = json.loads(d.ctl("show", first["id"], "--json").stdout)
    assert [(h["step"], h["state"]) for h in shown["horizon"]] == [("T0", "undone")]
    assert re.search(rf"restored_by +{pg.SUPERUSER}", d.ctl("show", first["id"]).stdout)
    assert re.search(rf"restored on .* by {pg.SUPERUSER}", d.ctl("journal").stdout)
    assert f"action {first['id']} was restored already, by {pg.SUPERUSER} on " in refused(d, first)
    d.configure(policies=[POLICY, {**POLICY, "name": "other"}])
    second = deleted(d)
    assert second["policy"] == "other" and table_digests(pg, d.db) == after
    assert "was restored already" in refused(d, first)
    restore(d, second)
    assert table_digests(pg, d.db) == before


# --- Hostile values ---------------------------------------------------------------------------

TEXTS = ["", " ", "   ", "\t", ",", ";", '"', '""', "a\"b", "a,b;c", "\n", "\r", "\r\n", "a\nb", "a\rb", "a\r\nb", "\\.", "\\N",
         "\\", "\\\\", "\\.\n", "\n\\.\n", "a\n\\.\nb", "\\.\\.", "NULL", "null", "\ufeff", "\ufeffid", "é", "日本語", "😀", "e\u0301",
         "\u2028", "\x01", "\x1a", "\x7f", "'", "$1", "{a,b}", "%s", "x" * 200000, None]

HOSTILE = '''
    CREATE TYPE mood AS ENUM ('sad', 'a,b', 'it''s "ok"', '');
    CREATE DOMAIN mail AS text CHECK (VALUE ~ '@') NOT NULL;
    CREATE TYPE place AS (street text, numbers int[], at point);
    CREATE TYPE span AS RANGE (subtype = float8);
    CREATE TABLE contact (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, brand text,
        created timestamptz, size int GENERATED ALWAYS AS (length(name)) STORED);
    CREATE TABLE request (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, contact_id bigint REFERENCES contact,
        at timestamptz, status text, subject text);
    CREATE INDEX ON request (contact_id);
    CREATE TABLE hostile (
        dropped int, contact_id bigint NOT NULL REFERENCES contact, n serial, "First, Name;" text, "say ""x""" text,
        "línea
nueva" text, "ROW" text, texts text[], words varchar(20), padded char(7), one "char", raw bytea, yes boolean,
        small smallint, big bigint, money numeric, price numeric(12,4), f4 real, f8 double precision, cash money,
        day date, clock time, zoned timetz, moment timestamp, instant timestamptz, took interval,
        j json, jb jsonb, x xml, u uuid, ip inet, net cidr, mac macaddr, bits bit(5), flags varbit, ts tsvector, tq tsquery,
        here point, shape polygon, mood mood, moods mood[], mail mail, place place, places place[], span span,
        r int4range, rs tstzrange, grid int[][], shifted int[], oids oid, pglsn pg_lsn, path jsonpath, tab regclass,
        doubled int GENERATED ALWAYS AS (n * 2) STORED);
    ALTER TABLE hostile DROP COLUMN dropped;
    CREATE INDEX ON hostile (contact_id);
    INSERT INTO contact (name, created) SELECT 'c' || n, '2018-01-01' FROM generate_series(1, 40) AS n;
    INSERT INTO request (contact_id, at, status) SELECT n, CASE WHEN n <= 30 THEN timestamptz '2019-05-01' ELSE now() END,
        'closed' FROM generate_series(1, 40) AS n'''

# Column by column, as many values as there may be; rows take them round and round.
VALUES = {
    "texts": ["'{}'", "'{NULL,\"NULL\",\"\",\" \"}'", "ARRAY[E'a\\nb', E'\\\\.', '\"', ',', '{', E'\\\\']", "NULL",
              "'[-1:1]={a,b,c}'"],
    "words": ["'x '", "''", "'äöü'", "NULL"], "padded": ["''", "'a'", "'abcdefg'", "' b'", "NULL"],
    "one": ["'x'", "','", "'\"'", "NULL"], "raw": ["''", "'\\x00'", "'\\x5c2e0a'", "'\\xdeadbeef0022'", "NULL"],
    "yes": ["true", "false", "NULL"], "small": ["-32768", "NULL"], "big": ["9223372036854775807", "-9223372036854775808"],
    "money": ["'NaN'", "0", "0.00", "1e100", "-1e-50", "123456789012345678901234567890.123456789", "NULL"],
    "price": ["1", "-99999999.9999", "NULL"],
    "f4": ["'NaN'", "'Infinity'", "'-Infinity'", "0.1", "1e-45", "3.4028235e38", "NULL"],
    "f8": ["'NaN'", "'-Infinity'", "'-0'", "0.1", "0.30000000000000004", "5e-324", "1.7976931348623157e308", "NULL"],
    "cash": ["12.34", "-0.01", "1234567.89", "NULL"],
    "day": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'5874897-12-31'", "'2024-02-29'", "NULL"],
    "clock": ["'24:00'", "'00:00:00.000001'", "NULL"], "zoned": ["'12:00:00.5+14:59'", "'23:59-12'", "NULL"],
    "moment": ["'infinity'", "'4713-01-01 00:00 BC'", "'2024-02-29 23:59:59.999999'", "NULL"],
    "instant": ["'-infinity'", "'1850-01-01 00:00 Europe/Paris'", "'2024-10-27 02:30:00+01'", "'2024-10-27 02:30:00+02'", "NULL"],
    "took": ["'1 year -2 mons +3 days -04:05:06.789'", "'-178000000 years'", "'0'", "'00:00:00.000001'", "NULL"],
    "j": ["'{\"a\": 1, \"a\":2 ,  \"b\":null}'", "'null'", "'\"\\u00e9\\n\"'", "' [ ] '", "NULL"],
    "jb": ["'{\"b\": 1.0, \"a\": [1e3, \"\\\\.\", \"\\n\"]}'", "'null'", "'{}'", "'\"\"'", "NULL"],
    "x": ["'<a b=\"c\">d</a>'", "'plain'", "'<a/><b/>'", "''", "NULL"],
    "u": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "NULL"], "ip": ["'10.1.2.3/8'", "'::1'", "NULL"],
    "net": ["'10.0.0.0/8'", "NULL"], "mac": ["'08:00:2b:01:02:03'"], "bits": ["B'10101'", "NULL"], "flags": ["B''", "B'1'", "NULL"],
    "ts": ["'a:1A fat:2B \"it''''s\":3 '", "''", "NULL"], "tq": ["'fat & !rat:A <-> ''x y'''", "NULL"],
    "here": ["'(1e-10,-0)'", "NULL"], "shape": ["'((0,0),(1,1),(1,0))'", "NULL"],
    "mood": ["'sad'", "'a,b'", "'it''s \"ok\"'", "''", "NULL"], "moods": ["'{}'", "ARRAY['', 'a,b', NULL, 'it''s \"ok\"']::mood[]"],
    "mail": ["'a@b'", "E'\\n@'", "'@'"],
    "place": ["ROW('a \"b\", (c)', '{1,NULL}', '(1,2)')", "ROW('', NULL, NULL)", "ROW(NULL, NULL, NULL)", "NULL"],
    "places": ["ARRAY[ROW(E'a,\"\\n\\\\', '{}', NULL)::place, NULL, ROW('', NULL, NULL)::place]", "'{}'", "NULL"],
    "span": ["'[0.1,0.2)'", "'empty'", "'(,)'", "NULL"], "r": ["'[1,5)'", "'empty'", "'(,5]'", "NULL"],
    "rs": ["'[2024-01-01,infinity]'", "NULL"], "grid": ["'{{1,2},{3,NULL}}'", "NULL"], "shifted": ["'[0:1]={7,8}'"],
    "oids": ["4294967295", "NULL"], "pglsn": ["'16/B374D848'"], "path": ["'$.a[*] ? (@ > 1)'", "NULL"],
    "tab": ["'hostile'", "'pg_class'", "NULL"],
}


def hostile_rows(pg, db):
    """40 rows at least; each of TEXTS in each text column, as first, middle, and last of its row."""
    names = ['"First, Name;"', '"say ""x"""', '"línea\nnueva"', '"ROW"', *VALUES]
    with pg.connect(db) as conn, conn.cursor() as cur:
        for i in range(max(len(TEXTS), 40)):
            texts = [TEXTS[(i + shift) % len(TEXTS)] for shift in (0, 5, 11, 17)]
            values = [values[i % len(values)] for values in VALUES.values()]
            cur.execute(f"INSERT INTO hostile (contact_id, {', '.join(names)}) VALUES "
                        f"(%s, %s, %s, %s, %s, {', '.join(v.replace('%', '%%') for v in values)})", (i % 40 + 1, *texts))
        # Columns that nothing of the above would fill.
        cur.execute("SELECT count(DISTINCT contact_id) FROM hostile")
        assert cur.fetchone()[0] == 40


def live_otherwise(pg, db):
    """The CRM's people live with other settings; none of them may get into the archive or out of it."""
    for setting in ("DateStyle = 'SQL, DMY'", "IntervalStyle = sql_standard", "extra_float_digits = -5",
                    "bytea_output = escape", "TimeZone = 'Asia/Kolkata'", "xmloption = document",
                    "search_path = hidden, public"):
        pg.psql(db, "-c", f'ALTER DATABASE "{db}" SET {setting}')


@pytest.mark.parametrize("archives", [
    {"delimiter": ",", "bom": False}, {"delimiter": ";", "bom": True}, {"delimiter": "\t", "bom": True},
    {"delimiter": "|", "bom": False}], ids=["comma", "semicolon-bom", "tab-bom", "pipe"])
def test_hostile_values(pg, empty_db, daemon, archives):
    db = empty_db()
    pg.psql(db, "-c", HOSTILE)
    hostile_rows(pg, db)
    d = daemon(db, archives=archives, policies=[POLICY], limits={"workers": 2, "batch_rows": 7},
               model=small.model(hostile={"table": "hostile", "of": "contact", "by": "contact_id",
                                        "not_large_objects": ["oids"]}))
    before = table_digests(pg, db, "public")
    sequences = pg.sql(db, "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1")
    live_otherwise(pg, db)
    d.once()
    pg.psql(db, "-c", f'ALTER DATABASE "{db}" RESET ALL')
    job = d.jobs()[-1]
    gone = table_digests(pg, db, "public")
    assert all(gone[t] != before[t] for t in ("public.contact", "public.request", "public.hostile"))
    assert pg.value(db, "SELECT count(*) FROM contact") == 10
    assert job["counters"]["rows"]["hostile"] >= 30
    live_otherwise(pg, db)
    restore(d, job)
    pg.psql(db, "-c", f'ALTER DATABASE "{db}" RESET ALL')
    assert table_digests(pg, db, "public") == before
    assert pg.sql(db, "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1") == sequences


# --- What is refused --------------------------------------------------------------------------


def test_rows_that_exist_again(make):
    d = make()
    d.pg.sql(d.db, "INSERT INTO contact (id) VALUES (2)")
    said = refused(d, 1)
    assert "table public.contact: rows of the archive exist again" in said and "contact_pkey" in said
    assert "nothing was changed" in said and "(2)" not in said  # no value of a row


def test_a_parent_that_is_gone(make):
    schema = SCHEMA_OF_NOTES.replace("body text)", "body text, kind int REFERENCES kind)").replace(
        small.SCHEMA, small.SCHEMA + "; CREATE TABLE kind (id int PRIMARY KEY); INSERT INTO kind VALUES (1)").replace(
        "(100, 1, 'x')", "(100, 1, 'x', 1)").replace("(200, 2, 'y')", "(200, 2, 'y', 1)").replace("(300, 3, 'z')", "(300, 3, 'z', NULL)")
    d = make(schema)
    d.pg.sql(d.db, "DELETE FROM kind")
    assert "table public.note: what rows of the archive point at is gone" in refused(d, 1)


@pytest.mark.parametrize("change, message", [
    ("ALTER TABLE note DROP COLUMN body", "table public.note does not have all columns that note.csv has: add body"),
    ("ALTER TABLE note ADD COLUMN owner text NOT NULL DEFAULT ''; ALTER TABLE note ALTER owner DROP DEFAULT",
     'table public.note has a new column "owner" that is NOT NULL without a default'),
    ("ALTER TABLE note RENAME TO remark", "note.csv: table public.note is gone"),
    ("ALTER TABLE note ALTER COLUMN body TYPE int USING 0", "table public.note: a value is not valid"),
])
def test_a_schema_that_has_changed(make, change, message):
    d = make()
    d.pg.sql(d.db, change)
    assert message in refused(d, 1)


@pytest.mark.parametrize("policy, message", [
    ({"archive": "listed"}, 'the archive of action 1 is "listed": it lacks tables'),
    ({"action": "export", "archive": "full"}, "action 1 is an export: it took nothing away"),
])
def test_what_is_no_full_deletion(make, policy, message):
    d = make(run=False, model=small.model(contact={"archive": True}, note=NOTES))
    d.configure(policies=[{**POLICY, **policy}])
    deleted(d)
    assert message in refused(d, 1)


def test_an_anonymization(daemon):
    d = daemon(contacts=50, policies=[{"name": "p", "action": "anonymize_contacts", "depth": "18 months", "schedule": "monthly"}])
    deleted(d)
    assert "action 1 is an anonymization: it leaves nothing to go back to" in refused(d, 1)


def test_unknown_deleted_and_running(make):
    d = make()
    assert "there is no action 9" in refused(d, 9)
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute(CLAIM, (1,))
        assert "works on action 1: try again when it has ended" in refused(d, 1)
    d.pg.sql(d.db, "SELECT retention.delete_archive(1)")
    assert "the archive of action 1 was deleted by" in refused(d, 1)


def file_of(d, name):
    """A file of the archive of action 1."""
    return d.archives / os.path.basename(d.jobs()[0]["archive_path"]) / name


@pytest.mark.parametrize("file, old, new, findings", [
    ("contact.csv", b"a", b"b", ["contact.csv: FAILED: it is not what was archived"]),
    ("manifest.json", b'"job": 1', b'"job": 2', ["manifest.json: FAILED: it belongs to another action",
                                                 "manifest.json: FAILED: it is not the one whose digest the journal has"]),
    ("SHA256SUMS", b"  contact.csv", b"  contact.csw", ["SHA256SUMS: FAILED: it is not the one whose digest the journal has"]),
], ids=["rows", "manifest", "sums"])
def test_an_archive_that_was_changed(make, file, old, new, findings):
    d = make()
    text = file_of(d, file).read_bytes()
    assert old in text
    file_of(d, file).write_bytes(text.replace(old, new))
    assert "the archive of action 1 is not intact" in refused(d, 1)
    said = d.ctl("archive", "verify", 1, check=False).stdout
    assert all(finding in said for finding in findings), said


def trusted(d, manifest):
    """As if the journal had no other digest than that of this manifest.json."""
    file_of(d, "manifest.json").write_text(manifest)
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET counters = counters || jsonb_build_object('manifest_sha256',"
                      f" '{hashlib.sha256(manifest.encode()).hexdigest()}')")


def test_columns_exchanged_in_the_manifest(make):
    """Whatever it says: a file's rows go into the columns that its own first line names."""
    d = make()
    manifest = json.loads(file_of(d, "manifest.json").read_text())
    columns = next(f for f in manifest["files"] if f["name"] == "contact.csv")["columns"]
    one, other = columns.index("name"), columns.index("brand")
    columns[one], columns[other] = columns[other], columns[one]
    trusted(d, json.dumps(manifest))
    assert "contact.csv: its first line does not have the columns or the delimiter that manifest.json says" in refused(d, 1)


def test_the_model_has_another_table(make):
    """Of the same form, and under the name that the archive's table had."""
    d = make()
    d.pg.sql(d.db, "CREATE TABLE remark (LIKE note INCLUDING ALL)")
    d.configure(model=small.model(note={**NOTES, "table": "remark"}))
    assert "note.csv: its rows came from public.note, but the model says public.remark" in refused(d, 1)
    assert d.pg.value(d.db, "SELECT count(*) FROM remark") == 0


def test_a_file_is_changed_after_it_was_verified(make):
    """What is put back is what was verified: its digest is taken again on the way."""
    d = make()
    before = state(d)
    done = []
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE note")  # the last file's temporary table takes its columns from it
        thread = threading.Thread(target=lambda: done.append(restore(d, 1, check=False)))
        thread.start()
        wait_until(lambda: d.pg.value(d.db, """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND application_name = 'retentionctl' AND wait_event_type = 'Lock')"""), what="the restore at table note")
        text = file_of(d, "note.csv").read_text()
        file_of(d, "note.csv").write_text(text.replace(";x", ";X"))
        conn.rollback()
    thread.join()
    assert done[0].returncode == 1 and "note.csv: it was changed while it was read" in done[0].stderr
    assert state(d) == before


@pytest.mark.parametrize("key", ["name", "table", "rows", "bytes", "sha256", "columns"])
@pytest.mark.parametrize("value", [None, "absent", [None]])
def test_a_manifest_that_lacks_a_value(make, key, value):
    """It is refused by name, whatever is missing, and nothing is touched."""
    d = make()
    path = d.archives / os.path.basename(d.jobs()[0]["archive_path"]) / "manifest.json"
    manifest = json.loads(path.read_text())
    if value == "absent":
        del manifest["files"][0][key]
    else:
        manifest["files"][0][key] = value
    path.write_text(json.dumps(manifest))
    # Another name, table or sum that is a text is refused for what it is.
    odd = "" if value == [None] and key in ("name", "table", "sha256") else "manifest.json is not what retentiond wrote"
    assert odd in refused(d, 1)


def test_rights(make, pg):
    """A person's own rights count, table by table, and the role that may restore."""
    d = make()
    pg.psql(d.db, "-c", "DROP ROLE IF EXISTS restorer", "-c", "CREATE ROLE restorer LOGIN",
            "-c", "GRANT retention_auditor TO restorer",
            "-c", "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO restorer")
    try:
        d.configure(user="restorer")
        assert "your role may not restore: grant it retention_approver" in refused(d, 1)
        pg.sql(d.db, "GRANT retention_approver TO restorer; REVOKE INSERT ON note FROM restorer")
        assert "note" in refused(d, 1)
        pg.sql(d.db, "GRANT INSERT ON note TO restorer")
        assert restore(d, 1).returncode == 0 and d.jobs()[0]["restored_by"] == "restorer"
    finally:
        d.configure(user=None)
        pg.sql(d.db, "DROP OWNED BY restorer; DROP ROLE restorer")


# --- Triggers, links, keys --------------------------------------------------------------------

TRIGGER = """; CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;
    CREATE TRIGGER t {} ON note FOR EACH ROW EXECUTE FUNCTION t()"""


@pytest.mark.parametrize("body, when", [
    ("NEW.body := 'changed'; RETURN NEW;", "BEFORE INSERT"),
    ("RETURN NULL;", "BEFORE INSERT"),
    ("UPDATE note SET body = 'later' WHERE id = NEW.id; RETURN NULL;", "AFTER INSERT"),
    ("IF NEW.id < 1000 THEN INSERT INTO note VALUES (NEW.id + 1000, NEW.contact_id, 'more'); END IF; RETURN NULL;", "AFTER INSERT"),
    ("UPDATE note SET body = 'later' WHERE id = NEW.id; RETURN NULL;", "AFTER INSERT, deferred"),
], ids=["changed", "kept away", "changed later", "more", "deferred"])
def test_a_trigger_that_interferes(make, body, when):
    """A deferred one, too, which would fire in COMMIT."""
    d = make()
    if when.endswith("deferred"):
        d.pg.sql(d.db, TRIGGER.format(body, "AFTER INSERT")[1:].replace("CREATE TRIGGER", "CREATE CONSTRAINT TRIGGER").replace(
            "FOR EACH", "DEFERRABLE INITIALLY DEFERRED FOR EACH"))
    else:
        d.pg.sql(d.db, TRIGGER.format(body, when)[1:])
    before = state(d)
    said = refused(d, 1)
    assert "table public.note" in said and "its triggers (t): restore as the tables' owner with --disable-triggers" in said
    assert restore(d, 1, "--disable-triggers").returncode == 0
    assert d.pg.sql(d.db, "SELECT id, body FROM note ORDER BY 1") == [(100, "x"), (200, "y"), (300, "z")]
    assert d.pg.value(d.db, "SELECT tgenabled FROM pg_trigger WHERE tgname = 't'") == "O" and before != state(d)


def test_detached_rows_are_linked_again(make):
    d = make(note={"delete": "detach"})
    assert d.pg.sql(d.db, "SELECT id, contact_id FROM note ORDER BY 1") == [(100, None), (200, None), (300, 3)]
    d.pg.sql(d.db, "DELETE FROM note WHERE id = 200")
    said = restore(d, 1).stdout
    assert "note.detached: 1 linked again" in said and "1 rows of public.note that were detached are gone" in said
    assert d.pg.sql(d.db, "SELECT id, contact_id FROM note ORDER BY 1") == [(100, 1), (300, 3)]


def test_a_link_that_is_another_by_now(make):
    d = make(note={"delete": "detach"})
    d.pg.sql(d.db, "UPDATE note SET contact_id = 3 WHERE id = 100")
    assert "1 rows that were detached have another contact_id now" in refused(d, 1)


def test_a_large_row(make):
    d = make(SCHEMA_OF_NOTES.replace("(100, 1, 'x')", "(100, 1, repeat(E'x;\"\\n\\\\.\\n', 2000000))"))
    restore(d, 1)
    assert d.pg.value(d.db, "SELECT md5(body) = md5(repeat(E'x;\"\\n\\\\.\\n', 2000000)) FROM note WHERE id = 100")


@pytest.mark.parametrize("point", ["restore-after-load", "restore-after-put", "restore-before-commit", "restore-after-commit"])
def test_killed(make, point):
    """All of it or nothing: the ledger, the journal and every table."""
    d = make()
    before = state(d)
    done = restore(d, 1, check=False, failpoint=point)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'retentionctl'") == 0)
    if point == "restore-after-commit":
        assert d.jobs()[0]["restored_at"] and d.pg.value(d.db, "SELECT count(*) FROM contact") == 3
    else:
        assert state(d) == before
        assert restore(d, 1).returncode == 0
    assert d.ctl("verify").returncode == 0


def test_the_ledgers_file_follows(make):
    """What was put back is not taken for erased: no alarm at the next start, and no replay of it."""
    d = make()
    restore(d, 1)
    d.configure(policies=[])
    assert "restored from a backup" not in d.once().stderr
    assert sum("\trestored\t" in line for line in (d.archives / "ledger").read_text().splitlines()) == 2


def test_an_encrypted_archive(make, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    other = tmp_path / "other"
    subprocess.run(["age-keygen", "-o", other], check=True, capture_output=True)
    d = make(run=False)
    text = d.path.read_text().replace("archives = {", f'archives = {{ recipients = [ "{recipient}" ];')
    d.path.write_text(text)
    before = table_digests(d.pg, d.db, "public")
    deleted(d)
    assert "is encrypted: give the key to it with --identity FILE" in refused(d, 1)
    refused(d, 1, "--identity", str(other))
    assert restore(d, 1, "--identity", str(key)).returncode == 0
    assert table_digests(d.pg, d.db, "public") == before


@pytest.mark.parametrize("column, value, change", [
    ("at", "'2015-03-04 13:45:06+00'", "date"),
    ("at", "'2015-03-04 13:45:06.789+00'", "timestamptz(0)"),
    ("amount", "12.3456", "numeric(12,2)"),
    ("ratio", "0.1234567890123", "real"),
])
def test_a_column_that_holds_less_by_now(make, column, value, change):
    """As it was, byte for byte, or nothing: a value that the column would cut is none to put back."""
    schema = SCHEMA_OF_NOTES.replace("subject text)", "subject text, amount numeric, ratio float8)")
    d = make(schema.replace("INSERT INTO note", f"UPDATE request SET {column} = {value} WHERE id = 10; INSERT INTO note"))
    d.pg.sql(d.db, f"ALTER TABLE request ALTER {column} TYPE {change}")
    said = refused(d, 1)
    assert f"table public.request: {column}: today's type does not hold all of what request.csv has" in said


@pytest.mark.parametrize("change", ["ALTER note.body varchar(40)", "ALTER request.subject varchar", "ALTER note.id numeric",
                                    "ALTER request.id int"])
def test_a_column_of_another_type_that_holds_the_same(make, change):
    d = make()
    what, kind = change.removeprefix("ALTER ").split(" ")
    table, column = what.split(".")
    d.pg.sql(d.db, f"ALTER TABLE {table} ALTER {column} TYPE {kind}")
    restore(d, 1)
    assert d.pg.value(d.db, "SELECT count(*) FROM contact") == 3
