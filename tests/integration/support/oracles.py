"""
Checks the tokens that a database holds, and every job that has ended `done`, whatever happened to it on the way.
Each check is written from the law and the data, never from the daemon's own SQL.
"""

import csv
import io
import json
import re
import subprocess
from collections import namedtuple
from pathlib import Path

from support.jobs import DEPTH, tables

# --- Canaries ---------------------------------------------------------------------------------

# request is 0 for a token of contact level (tests/crm/generate.sql says which nn is what).
Token = namedtuple("Token", "contact nn request")

TOKEN = re.compile(rb"tok-(\d+)-(\d+)-(?:(\d+)-)?z")
TOKEN_HEX = re.compile(rb"746f6b2d((?:3\d)+)2d((?:3\d)+)2d(?:((?:3\d)+)2d)?7a", re.I)

# Contact columns that are personal but have no room for a token: NULL once anonymized.
TOKENLESS = ("birth_date", "last_ip")


def tokens_in(data):
    """The set of tokens in some bytes, in plain or hexadecimal (bytea) form."""
    found = {Token(int(c), int(n), int(r or 0)) for c, n, r in TOKEN.findall(data)}
    for groups in TOKEN_HEX.findall(data):
        found.add(Token(*(int(bytes.fromhex(g.decode())) if g else 0 for g in groups)))
    return found


def reporting_numbers(pg, db):
    """The nn of the columns that an anonymization keeps."""
    return {n for (n,) in pg.sql(db, "SELECT nn FROM canary.column_token WHERE fate = 'reporting'")}


def after_delete(tokens, contacts):
    """The tokens that must be left once these contacts are deleted."""
    return {t for t in tokens if t.contact not in contacts}


def after_anonymize_contacts(tokens, contacts, reporting):
    return {t for t in tokens if t.contact not in contacts or t.nn in reporting}


def after_anonymize_requests(tokens, requests, reporting):
    return {t for t in tokens if t.request not in requests or t.nn in reporting}


def due_contacts(pg, db, depth="18 months", now=None, zone="UTC"):
    """An oracle of its own, written from the law and not from the daemon's SQL: contact ids."""
    return {c for (c,) in pg.sql(db, """
        SELECT contact_id FROM crm.request GROUP BY contact_id
        HAVING bool_and(status = 'closed') AND max(created_at) <
            (date_trunc('day', coalesce(%s::timestamptz, now()) AT TIME ZONE %s) - %s::interval)
                AT TIME ZONE %s""", (now, zone, depth, zone))}


def due_requests(pg, db, depth="18 months", now=None, zone="UTC"):
    return {r for (r,) in pg.sql(db, """
        SELECT id FROM crm.request
        WHERE status = 'closed' AND created_at <
            (date_trunc('day', coalesce(%s::timestamptz, now()) AT TIME ZONE %s) - %s::interval)
                AT TIME ZONE %s""", (now, zone, depth, zone))}


def table_digests(pg, db, schema="crm"):
    """{table: md5 of all its rows, whatever their order}."""
    names = [t for (t,) in pg.sql(db, """
        SELECT format('%%I.%%I', nspname, relname) FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE nspname = %s AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1""", (schema,))]
    return {name: pg.value(db, f"""
        SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), ''))
        FROM {name} t""") for name in names}


# --- A job that is done --------------------------------------------------------------------------


# table of the model: (table, condition that finds its rows, given %(contacts)s)
REQUESTS = "SELECT id FROM crm.request WHERE contact_id = ANY (%(contacts)s)"
MESSAGES = f"SELECT id FROM crm.message WHERE request_id IN ({REQUESTS})"
ROWS_OF = {
    "contact": ("crm.contact", "id = ANY (%(contacts)s)"),
    "contact_social": ("crm.contact_social", "contact_id = ANY (%(contacts)s)"),
    "contact_document": ("crm.contact_document", "contact_id = ANY (%(contacts)s)"),
    "avatar": ("crm.files", "record_type = 'Contact' AND record_id = ANY (%(contacts)s)"),
    "request_file": ("crm.files", f"record_type = 'Request' AND record_id IN ({REQUESTS})"),
    "request": ("crm.request", "contact_id = ANY (%(contacts)s)"),
    "message": ("crm.message", f"request_id IN ({REQUESTS})"),
    "message_copy": ("crm.message_copy", f'"messageId" IN ({MESSAGES})'),
    "attachment": ("crm.attachment", f"message_id IN ({MESSAGES})"),
    "request_transfer": ("crm.request_transfer", f"request_id IN ({REQUESTS})"),
    "status_change": ("crm.status_change", f"request_id IN ({REQUESTS})"),
}
LISTED = {"contact", "request", "request_transfer", "status_change"}


def due_before(job, table="contact"):
    """Oracle: plain numbers of those that were due when all began, from schema before."""
    if table == "contact":
        query = f"""SELECT {job.shape.plain_number('contact_id')} FROM before.request GROUP BY 1 HAVING bool_and(status = 'closed') AND
            max({job.shape.opened}) < (date_trunc('day', now() AT TIME ZONE 'UTC') - %s::interval) AT TIME ZONE 'UTC'"""
    else:
        query = f"""SELECT {job.shape.plain_number('id', 10)} FROM before.request WHERE status = 'closed' AND
            {job.shape.opened} < (date_trunc('day', now() AT TIME ZONE 'UTC') - %s::interval) AT TIME ZONE 'UTC'"""
    return {k for (k,) in job.sql(query, (DEPTH,))}


def missing_contacts(job):
    number = job.shape.plain_number("id")
    return {c for (c,) in job.sql(f"SELECT {number} FROM before.contact EXCEPT SELECT {number} FROM crm.contact")}


def erased_counts(job):
    """{table of the CRM: how many rows of schema before are gone}."""
    return {f"crm.{t}": job.value(f"SELECT (SELECT count(*) FROM before.{t}) - (SELECT count(*) FROM crm.{t} "
                                  f"JOIN before.{t} b USING ({job.shape.identity(t)}))") for t in tables(job.pg, job.db)}


def load_archive(job, conn, folder, manifest, key=None):
    """The archive's files, which key decrypts, into temporary tables like those they came from: {table: [columns]}."""
    loaded = {}
    with conn.cursor() as cur:
        for entry in manifest["files"]:
            table = entry["table"]
            columns = ", ".join(f'"{c}"' for c in entry["columns"])
            name = "archived_" + table.split(".")[1]
            if table not in loaded:
                cur.execute(f"CREATE TEMP TABLE {name} AS SELECT {columns} FROM {table} LIMIT 0")
            loaded[table] = entry["columns"]
            file = folder / entry["name"]
            data = (key.decrypt(file) if key else file.read_bytes()).removeprefix(b"\xef\xbb\xbf")
            cur.copy_expert(f"COPY {name} ({columns}) FROM STDIN (FORMAT csv, HEADER true, DELIMITER ';')",
                            io.BytesIO(data))
            assert cur.rowcount == entry["rows"], entry["name"]
    return loaded


def strays(cur, job, table, columns):
    """How many rows were erased and are not archived as they were, or archived and not erased; equal rows are counted."""
    listed, archived = ", ".join(f'"{c}"' for c in columns), "archived_" + table.split(".")[1]
    if job.action == "export":
        where = f"{job.shape.owned(table.removeprefix('crm.'))} IN (SELECT key FROM due)"
        before, now = f"{table} WHERE {where}", f"{table} WHERE false"
    else:
        before, now = f"before.{table.split('.')[1]}", table
    cur.execute(f"""SELECT count(*) FROM (
        SELECT FROM (SELECT 'before' AS of, {listed} FROM {before} UNION ALL SELECT 'now', {listed} FROM {now}
                     UNION ALL SELECT 'archived', {listed} FROM {archived}) AS x GROUP BY {listed}
        HAVING greatest(count(*) FILTER (WHERE of = 'before') - count(*) FILTER (WHERE of = 'now'), 0)
               <> count(*) FILTER (WHERE of = 'archived')) AS y""")
    return cur.fetchone()[0]


def check_archive(job, row):
    folder = Path(row["archive_path"])
    names = {f.name for f in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_text())
    wanted = set(ROWS_OF) if row["archive"] == "full" else LISTED
    assert names == {f"{n}.csv" for n in wanted} | {"SHA256SUMS", "manifest.json"}
    subprocess.run(["sha256sum", "-c", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True)
    assert row["archive_bytes"] == sum(f.stat().st_size for f in folder.glob("*.csv"))
    for entry in manifest["files"]:
        assert row["counters"]["rows"][entry["name"].removesuffix(".csv")] == entry["rows"], entry["name"]
    with job.pg.connect(job.db) as conn, conn.cursor() as cur:
        cur.execute("CREATE TEMP TABLE due (key bigint)")
        cur.execute("INSERT INTO due SELECT unnest(%s::bigint[])", (list(due_before(job)),))
        for table, columns in load_archive(job, conn, folder, manifest).items():
            assert strays(cur, job, table, columns) == 0, f"rows of {table} are erased and not archived, or the reverse"


def check_counters(job, row):
    counted = row["counters"]
    if job.action == "delete_contacts":
        rows = {}
        for name, n in counted["rows"].items():
            table = ROWS_OF[name][0]
            rows[table] = rows.get(table, 0) + n
        erased = erased_counts(job)
        assert rows == {t: erased[t] for t in rows}
        assert not any(n for t, n in erased.items() if t not in rows)
    if job.action != "export":
        assert counted["treated"] == len(job.ledger())
    assert counted["treated"] + counted["failed"] + counted["dropped"] + counted["left"] == row["candidates"]
    assert "rest" not in counted


def check_done(job):
    """Exactly once: archived = erased = counted = in the ledger, and nothing is left lying about."""
    row = job.row()
    assert row["status"] == "done", row
    assert (row["waiting"], job.left()) == (None, 0)
    assert [p.name for p in job.archives.glob("*.partial")] == []
    if job.action == "delete_contacts":
        assert job.ledger() == missing_contacts(job)
    check_counters(job, row)
    if job.archive == "none":
        assert row["archive_path"] is None and list(job.archives.glob("2*")) == []
    else:
        check_archive(job, row)
    check_references(job)


def check_references(job):
    """No row points at one that is not there, the polymorphic files included."""
    keys = job.sql("""
        SELECT conrelid::regclass::text, confrelid::regclass::text, string_agg(format('t.%I IS NOT NULL', a.attname), ' AND '),
            string_agg(format('p.%I = t.%I', f.attname, a.attname), ' AND ')
        FROM pg_constraint, unnest(conkey, confkey) AS k(this, that), pg_attribute a, pg_attribute f
        WHERE contype = 'f' AND connamespace = 'crm'::regnamespace AND conparentid = 0
            AND (a.attrelid, a.attnum, f.attrelid, f.attnum) = (conrelid, k.this, confrelid, k.that)
        GROUP BY pg_constraint.oid, 1, 2""")
    assert len(keys) >= 14
    for table, parent, linked, same in keys:
        assert job.value(f"""SELECT count(*) FROM {table} t WHERE {linked} AND NOT EXISTS (
            SELECT FROM {parent} p WHERE {same})""") == 0, (table, same)
    for kind, parent in (("Contact", "contact"), ("Request", "request")):
        same = "(p.account_id, p.id) = (f.account_id, f.record_id)" if job.shape.composite else "p.id = f.record_id"
        assert job.value(f"""SELECT count(*) FROM crm.files f WHERE record_type = '{kind}' AND NOT EXISTS (
            SELECT FROM crm.{parent} p WHERE {same})""") == 0, kind


def check_all_erased(job):
    """The job is done, and has erased every contact or request that was due."""
    assert job.row()["error"] is None
    if job.action in ("delete_contacts", "anonymize_contacts"):
        assert job.ledger() == due_before(job)
    elif job.action == "anonymize_requests":
        assert job.ledger() == due_before(job, "request")
    assert job.row()["counters"]["treated"] == job.row()["candidates"] or job.action == "export"


def csv_rows(j, name, action=None):
    """The header of a file of the archive, and how many rows it has."""
    folder = Path(j.value("SELECT archive_path FROM retention.archive_journal WHERE id = %s", (action or j.id,)))
    with open(folder / name, encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file, delimiter=";")
    assert all(len(row) == len(header) for row in rows)
    return header, len(rows)


def check_rows_are_back(j, table):
    """All rows are as they were; the new column may hold anything."""
    for left, right in (("before", "crm"), ("crm", "before")):
        assert j.value(f"""SELECT count(*) FROM (SELECT to_jsonb(a) - 'mood' FROM {left}.{table} AS a
            EXCEPT ALL SELECT to_jsonb(b) - 'mood' FROM {right}.{table} AS b) AS x""") == 0
