"""
archive restore: every row of a deleted pass back, byte for byte, in one transaction, or nothing.
"""

import json
import os
import re
import signal
import subprocess
from datetime import timedelta

import pytest

import small
from harness import BUILD, table_digests, wait_until

POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly",
          "archive": "full"}
OLD, NEW = "2019-05-01", "now()"


def deleted(d):
    """One pass that deleted: its row of the journal."""
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), job
    return job


def restore(d, job, *args, **kwargs):
    return d.ctl("archive", "restore", job if isinstance(job, int) else job["id"], *args, **kwargs)


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
    """20,000 contacts, two workers, many batches."""
    d = daemon(contacts=20000, policies=[POLICY], limits={"workers": 2, "batch_time": "10s"})
    before = table_digests(pg, d.db)
    job = deleted(d)
    after = table_digests(pg, d.db)
    assert job["counters"]["treated"] > 5000 and len({t for t in before if before[t] != after[t]}) >= 9
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
    assert re.fullmatch(r'hint: policy "contacts" \(delete_contacts\) runs next on 20\d\d-\d\d-01 00:00: who is due by it '
                        r'then is due again; before that place a hold, lengthen its depth or disable it',
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
               model=small.model(hostile={"table": "hostile", "of": "contact", "by": "contact_id"}))
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
