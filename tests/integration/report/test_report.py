"""The report that a data-protection officer files: its numbers, its shapes, what it never holds, in three formats."""

import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from support.backup import put_back
from support.ctl import action, ctl
from support.french import FRENCH
from support.harness import BUILD
from support.restores import restore
from support.small import SCHEMA, TWO, model, policy

MODEL = model({"set": {"name": "L_{key}"}, "clear": ["brand"], "keep": ["id", "created"]},
              {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]})
SECTIONS = {"report", "actions", "counts", "totals", "left_out", "tables", "expected", "selection", "rules", "configurations",
            "archives", "places", "residue", "residue_columns", "events", "policy", "preview", "journal"}
MANUAL = (Path(__file__).resolve().parents[3] / "daemon" / "retentionctl.1").read_text()


class Page(HTMLParser):
    """The tables of a report as HTML: each by its heading, as rows of texts.  Refuses what is not closed, and scripts."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tables, self.title, self.words, self.lang = [], {}, "", "", None
        self.heading, self.row, self.text = None, [], text
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag not in ("script", "link", "img", "iframe", "object", "form") and not {"href", "src", "style"} & {n for n, _ in attrs}
        assert not any(name.startswith("on") for name, _ in attrs), attrs
        if tag == "html":
            self.lang = dict(attrs)["lang"]
        if tag != "meta":
            self.open.append(tag)
        if tag == "h2":
            self.heading = ""
        elif tag == "tr":
            self.row = []
            self.tables.setdefault(self.heading, []).append(self.row)
        elif tag in ("td", "th"):
            self.row.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.words += data
        if self.open[-1:] == ["title"]:
            self.title += data
        elif self.open[-1:] == ["h2"]:
            self.heading += data
        elif self.open[-1:] and self.open[-1] in ("td", "th"):
            self.row[-1] += data


def ctl_usage():
    return subprocess.run([BUILD / "retentionctl", "report", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[0]


def read(d, what, *args, **kwargs):
    return json.loads(d.ctl("report", what, "--format", "json", *args, **kwargs).stdout)


def page(d, what, *args, **kwargs):
    return Page(d.ctl("report", what, "--format", "html", *args, **kwargs).stdout)


def all_formats(d, what, *args, **kwargs):
    """The document; the two others are made of it, and say the same numbers."""
    document = read(d, what, *args, **kwargs)
    assert set(document) == SECTIONS and document["report"]["version"] == 1
    shown = page(d, what, *args, **kwargs)
    text = d.ctl("report", what, *args, **kwargs).stdout
    assert shown.title and shown.title in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text + shown.text)
    for heading in shown.tables:
        assert heading in text or heading == "Read and filed by"
    return document, shown, text


DUE = SCHEMA + """;
    INSERT INTO contact (id, name) SELECT n, 'canary-c' || n FROM generate_series(1, 12) n;
    INSERT INTO request (contact_id, at, subject) SELECT n, '2015-01-01', 'canary-s' || n FROM generate_series(1, 12) n;
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF old.id IN (7, 8) THEN RAISE EXCEPTION 'the trigger <b>no</b> & "more"'; END IF; RETURN old; END $$;
    CREATE TRIGGER no BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION no()"""


@pytest.fixture
def worked(make):
    """A pass that a person has validated, and that some have left meanwhile."""
    d = make(DUE, MODEL, policy(archive="full", approval=True))
    d.pg.sql(d.db, "SELECT retention.configure('UTC', false, 'bigint')")
    d.ctl("hold", "add", "12", "--reason", "held before")
    d.once()
    d.ctl("hold", "add", "1", "--reason", "held after")
    d.ctl("hold", "add", "2", "--reason", "held after")
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (3, now()); "
                   "DELETE FROM request WHERE contact_id IN (4, 5, 6); DELETE FROM contact WHERE id IN (4, 5, 6)")
    d.ctl("validate", "1")
    d.once(check=False)
    return d


def test_numbers_as_sql_counts_them(worked):
    """Counted from what the database lost, not from what the journal says."""
    d = worked
    document, shown, _ = all_formats(d, "1", "--keys")
    count, = document["counts"]
    gone = 12 - 3 - d.pg.value(d.db, "SELECT count(*) FROM contact")  # three went by hand
    assert gone == 3
    assert count == {"action": 1, "listed": 11, "treated": gone, "dropped": 6, "failed": 2, "locked": 0, "rest": None, "open": 0,
                     "holds": 1, "held_before": 1}
    assert {(x["reason"], x["subjects"], tuple(x["keys"] or [])) for x in document["left_out"]} == {
        ("held_before", 1, ("12",)), ("held", 2, ("1", "2")), ("not_due", 1, ("3",)), ("gone", 3, ("4", "5", "6")),
        ("error", 2, ("7", "8"))}
    assert {t["table"]: t["rows"] for t in document["tables"]} == {"contact": 3, "request": 3}
    assert [a["state"] for a in document["actions"]] == ["incomplete"]
    assert shown.tables["How many"] == [
        ["on the list", "11"], ["treated", "3"], ["left the list, kept", "6"], ["could not be treated", "2"], ["stayed locked", "0"],
        ["not treated", "0"], ["due and held, so not on the list", "1"],
        ["legal holds in force when the list was made", "1"]]
    # The totals of the policy are the sums of its passes, and it had one.
    totals, = read(d, "p")["totals"]
    assert {k: totals[k] for k in ("passes", "done", "listed", "treated", "dropped", "failed", "locked")} == {
        "passes": 1, "done": 1, "listed": 11, "treated": 3, "dropped": 6, "failed": 2, "locked": 0}


ODD_KEYS = """CREATE TABLE contact (id text, site uuid, name text, PRIMARY KEY (id, site));
    CREATE TABLE request (id bigint PRIMARY KEY, c text, s uuid, at timestamptz, FOREIGN KEY (c, s) REFERENCES contact);
    CREATE INDEX ON request (c, s);
    INSERT INTO contact SELECT k, '00000000-0000-0000-0000-000000000001' FROM unnest(ARRAY['O''Neil, "<b>', 'é', 'x']) AS k;
    INSERT INTO request SELECT row_number() OVER (), id, site, '2015-01-01' FROM contact"""


@pytest.mark.parametrize("person", [None, "max_share", "approval"])
@pytest.mark.parametrize("kind", ["delete_contacts", "anonymize_requests", "export"])
def test_the_held_are_told_of_every_pass(make, person, kind):
    """A person that was due, and held when the list was made, is counted, and named with --keys, whoever validated the pass."""
    archive = {"archive": "full"} if kind == "export" else {}
    d = make(SCHEMA + TWO + """; INSERT INTO contact (id) VALUES (3), (4);
             INSERT INTO request (id, contact_id, at) VALUES (30, 3, '2015-01-01'); UPDATE request SET subject = 's'""", MODEL,
             policy(kind, approval=person == "approval", **archive),
             limits={"max_share": 0.01} if person == "max_share" else None)
    d.pg.sql(d.db, "SELECT retention.configure('UTC', false, 'bigint')")
    for key in ("3", "4"):  # who is not due is not told
        d.ctl("hold", "add", key, "--reason", "held")
    d.once(check=False)
    waits = d.jobs()[0]["status"] == "saved"
    if kind != "export" or person != "max_share":  # an export needs nobody for its share
        assert waits == (person is not None)
    # Where a person is asked, also because of the share: what the list would touch was counted before --once ended.
    assert ("tables" in d.jobs()[0]["preview"]) == waits
    if waits:
        d.ctl("validate", "1")
        d.once()
    d.pg.sql(d.db, "SELECT retention.release_hold('3')")
    document, _, text = all_formats(d, "1", "--keys")
    assert document["counts"][0]["held_before"] == 1
    assert [(x["reason"], x["subjects"], x["keys"]) for x in document["left_out"]] == [
        ("held_before", 1, ["30" if kind == "anonymize_requests" else "3"])]
    assert "names nobody" not in text and all(x["keys"] is None for x in read(d, "1")["left_out"])
    assert [x["subjects"] for x in read(d, "p")["left_out"]] == [1]
    assert d.pg.sql(d.db, "SELECT * FROM retention.verify_rows()") == []


def test_the_held_by_odd_keys(make):
    """Keys of several columns, with quotes, commas and markup, are told as a hold writes them."""
    d = make(ODD_KEYS, model({"key": ["id", "site"]}, {"by": ["c", "s"]}), policy())
    written = [k for k, in d.pg.sql(d.db, "SELECT ROW(id, site)::text FROM contact WHERE id <> 'x' ORDER BY length(ROW(id, site)::text), 1")]
    for key in written:
        d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'held')", (key,))
    d.once()
    document, shown, _ = all_formats(d, "1", "--keys")
    row, = document["left_out"]
    assert (row["subjects"], row["keys"]) == (2, written) and document["counts"][0]["treated"] == 1
    assert all(key in shown.words.replace('\\"', '"') or '"' in key for key in written)


def test_whom_nobody_counted_is_not_nobody(make):
    """Without a count in the journal a report does not say that nobody was left out, in either language."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.once()
    assert "The journal names nobody who was left out." in d.ctl("report", "1").stdout
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET preview = preview - 'held'")
    document, _, text = all_formats(d, "1", "--keys")
    assert document["counts"][0]["held_before"] is None
    assert [(x["reason"], x["subjects"]) for x in document["left_out"]] == [("held_unknown", None)]
    assert "names nobody" not in text and "not known whether anybody" in text
    assert "on ne sait ni" in d.ctl("report", "1", env=FRENCH).stdout


def test_who_asked_and_who_validated(worked):
    d = worked
    a, = read(d, "1")["actions"]
    row, = d.jobs("id = 1")
    assert (a["requested_by"], a["validated_by"], a["by_rule"]) == (row["requested_by"], row["validated_by"], False)
    assert a["depth"] == "18 months" and a["cutoff"].startswith(row["cutoff"].strftime("%Y-%m-%dT%H:%M:%S"))
    assert a["list_sha256"] == row["candidates_sha256"]
    assert [e["kind"] for e in read(d, "1")["events"]][:4] == ["saved", "held", "listed", "validated"]


def test_no_personal_data_and_keys_where_asked(worked):
    d = worked
    for args in (["1"], ["p"], ["p", "--as-of", "2030-01-01"]):
        for form in ("text", "html", "json"):
            said = d.ctl("report", *args, "--format", form, "--keys").stdout
            assert "canary" not in said and "held after" not in said
    assert all(x["keys"] is None for x in read(d, "1")["left_out"])
    assert read(d, "p", "--as-of", "2030-01-01")["preview"][0]["first_keys"] is None
    assert read(d, "p", "--as-of", "2030-01-01", "--keys")["preview"][0]["first_keys"]
    assert "keys" not in d.ctl("report", "1").stdout.split("Who was left out")[1].split("\n\n")[0]


def test_one_contact(make):
    """The key of a person who asked is a key: it stands there where keys are asked for."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.once()
    d.pg.sql(d.db, "INSERT INTO contact (id, name) VALUES (987654, 'canary')")
    d.once()
    d.ctl("subject", "delete", "987654", check=False)
    d.once()
    job = d.jobs()[-1]["id"]
    d.ctl("validate", job)
    d.once()
    for what in (all_formats(d, job), ):
        assert "987654" not in json.dumps(what[0]) + what[1].text + what[2]
        assert what[0]["actions"][0]["one_contact"] and what[0]["counts"][0]["treated"] == 1
    assert read(d, job, "--keys")["actions"][0]["subject"] == "987654"


def test_rules_of_an_anonymization(make):
    """Which columns of which tables, from the configuration that the action carries, also when it has changed since."""
    d = make(SCHEMA + TWO, MODEL, policy("anonymize_contacts", scope="brand IS NULL"))
    d.once()
    expected = {("contact", "set", ("name",), "L_{key}"), ("contact", "clear", ("brand",), None),
                ("contact", "keep", ("id", "created"), None), ("request", "clear", ("subject",), None),
                ("request", "keep", ("id", "contact_id", "at", "status"), None)}
    d.configure(model=MODEL.replace('"L_{key}"', '"X_{key}"'))
    document, shown, _ = all_formats(d, 1)
    assert {(r["table"], r["rule"], tuple(r["columns"]), r["value"]) for r in document["rules"]} == expected
    assert document["selection"][0]["scope"] == "brand IS NULL" and document["selection"][0]["date"] == "at"
    digest, = {c["sha256"] for c in document["configurations"]}
    assert digest == d.jobs()[0]["configuration"]
    rows = shown.tables["What becomes of which tables and columns"]
    assert ["contact", "public.contact", "cleared", "brand"] in [row[:4] for row in rows] and digest[:12] not in str(rows)
    # Two configurations have been in force: each rule names its own.
    other = hashlib.sha256(b"other").hexdigest()
    d.pg.tamper(d.db, f"INSERT INTO retention.configuration (sha256, content) SELECT '{other}', content FROM retention.configuration;"
                      f"UPDATE retention.journal_event SET details = details || '{{\"configuration\": \"{other}\"}}' WHERE kind = 'validated'")
    shown = page(d, 1)
    assert {row[0] for row in shown.tables["What becomes of which tables and columns"][1:]} == {digest[:12], other[:12]}
    # A preview has the rules of now.
    assert "X_{key}" in {r["value"] for r in read(d, "p", "--as-of", "2030-01-01")["rules"]}


def test_rules_of_a_deletion(make, tmp_path):
    """What stays and loses what names the person, files outside the database, units of dates, rows that others use."""
    d = make("""CREATE TABLE contact (id bigint PRIMARY KEY, name text);
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, at bigint); CREATE INDEX ON request (contact_id);
        CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact ON DELETE SET NULL, who text, kind text, body text);
        CREATE INDEX ON note (contact_id);
        CREATE TABLE doc (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, path text); CREATE INDEX ON doc (contact_id);
        INSERT INTO contact VALUES (1, 'canary'); INSERT INTO request VALUES (1, 1, 1420070400000)""",
             model({}, {"date_unit": "ms"},
                   note={"table": "note", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach",
                         "on_delete": {"clear": ["who"], "set": {"body": "gone {key}"}, "keep": ["id", "kind"]}},
                   doc={"table": "doc", "key": "id", "of": "contact", "by": "contact_id",
                        "file": {"column": "path", "root": str(tmp_path)}}), policy())
    d.once()
    document, shown, _ = all_formats(d, 1)
    assert {(r["table"], r["rule"], tuple(r["columns"]), r["value"]) for r in document["rules"]} == {
        ("contact", "deleted", ("id", "name"), None), ("request", "deleted", ("id", "contact_id", "at"), None), ("note", "detached", ("contact_id",), None),
        ("note", "clear", ("who",), None), ("note", "set", ("body",), "gone {key}"), ("note", "keep", ("id", "kind"), None),
        ("doc", "deleted", ("id", "contact_id", "path"), None), ("doc", "file_removed", ("path",), str(tmp_path))}
    assert document["selection"][0]["date_unit"] == "ms"
    assert "file outside the database removed" in shown.words


def test_an_older_action_and_a_foreign_version(make):
    """Without a configuration, or with one that only another version can read, the rest is told."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.once()
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET configuration = NULL;"
                      "UPDATE retention.journal_event SET details = details - 'configuration'")
    document, shown, text = all_formats(d, 1)
    assert document["rules"] == document["configurations"] == [] and document["counts"][0]["treated"] == 1
    assert "No rules are known" in text and "No rules are known" in shown.words
    for content in (b"\xff\xfe nonsense", b'policies = ( { name = "\xff\xfe"; } );', 'schedule = "\u202eé"; é'.encode(), b"from_the_future = { <b>: 1 };", b"model: {}", b"a\x00b"):
        digest = hashlib.sha256(content).hexdigest()
        d.pg.tamper(d.db, f"INSERT INTO retention.configuration (sha256, content) VALUES ('{digest}', '\\x{content.hex()}');"
                          f"UPDATE retention.archive_journal SET configuration = '{digest}'")
        document, shown, text = all_formats(d, 1)
        assert document["rules"] == [] and document["configurations"][0]["unreadable"]
        assert "cannot be read, because" in text and document["counts"][0]["treated"] == 1


STATES = {"waiting": ("saved", ""), "listing": ("saved", ""), "validated": ("validated", ""), "running": ("running", ""),
          "done": ("done", ""), "failed": ("failed", "error = 'why <i>it</i> failed'"), "cancelled": ("cancelled", ""),
          "refused": ("validated", "error = 'the model <i>is</i> & wrong'"), "paused": ("running", "")}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", ["export", "delete_contacts", "anonymize_requests"])
def test_states(pg, crm_db, state, kind):
    db = crm_db(20, migrated=True)
    job = action(pg, db, STATES[state][0], listed=state != "listing", kind=kind)
    if STATES[state][1]:
        pg.sql(db, f"UPDATE retention.archive_journal SET {STATES[state][1]} WHERE id = {job}"
               if state == "refused" else "SELECT 1")
    if state == "paused":
        pg.sql(db, f"SELECT retention.pause_action({job})")
    done = {f: ctl(pg, db, "report", job, "--format", f) for f in ("json", "html", "text")}
    assert [(x.returncode, x.stderr) for x in done.values()] == [(0, "")] * 3
    document, shown = json.loads(done["json"].stdout), Page(done["html"].stdout)
    assert document["actions"][0]["state"] == state and document["actions"][0]["from"] == "2024-01-01"
    count, = document["counts"]
    assert count["listed"] == (None if state == "listing" else 4)
    if kind == "export" and state in ("done", "failed", "cancelled"):
        assert count["treated"] is None
    elif state not in ("listing",):
        assert count["treated"] == 0 and count["open"] == 4
    assert (shown.words.count("Nothing was changed yet") == 1) == (state in ("listing", "waiting", "validated"))
    assert ("not final" in shown.words) == (state in ("running", "refused", "paused"))


def test_numbers_that_are_huge(pg, crm_db):
    db = crm_db(20, migrated=True)
    job = action(pg, db, "saved", listed=False, kind="delete_contacts")
    huge = 9007199254740993
    pg.sql(db, f"UPDATE retention.archive_journal SET candidates = {huge}, candidates_sha256 = 'x', cutoff = now(), frozen_at = now() WHERE id = {job}")
    pg.sql(db, f"INSERT INTO retention.archive_file (job, worker, table_name, rows, bytes, place) VALUES ({job}, 0, 't', 9223372036854775807, 1, 0), ({job}, 1, 't', 9223372036854775807, 1, NULL)")
    document = json.loads(ctl(pg, db, "report", job, "--format", "json").stdout)
    assert document["counts"][0]["listed"] == huge and document["tables"][0]["rows"] == 2 * 9223372036854775807
    assert "18446744073709551614" in ctl(pg, db, "report", job).stdout


def test_policy_over_a_period(make, pg):
    """Days are those of the daemon's zone, both included; a policy that is gone has its passes; one that never was is refused."""
    d = make(SCHEMA + TWO, MODEL, policy(), policy("export", name="empty"), extra='')
    d.pg.sql(d.db, "SELECT retention.configure('Pacific/Kiritimati', false, 'bigint')")
    for n, at in enumerate(("2024-01-31 09:59:59+00", "2024-01-31 10:00:00+00", "2024-02-29 09:59:59+00", "2024-02-29 10:00:00+00"), 1):
        d.pg.sql(d.db, "INSERT INTO retention.archive_journal (action, mode, status, policy, occurrence, depth, archive) "
                       "VALUES ('delete_contacts', 'automatic', 'saved', 'old', %s, '18 months', 'none')", (at,))
    def ids(*args):
        return [a["id"] for a in json.loads(ctl(d.pg, d.db, "report", "old", "--format", "json", *args).stdout)["actions"]]
    # 14 hours ahead: the second is the first of February there, and the last is the first of March.
    assert ids() == [1, 2, 3, 4] and ids("--from", "2024-02-01", "--to", "2024-02-29") == [2, 3]
    assert ids("--from", "2024-03-01") == [4] and ids("--to", "2024-01-31") == [1]
    # What has begun counts on the days on which it worked: the third over midnight, the fourth until now.
    d.pg.tamper(d.db, """UPDATE retention.archive_journal SET started_at = '2024-05-09 09:00+00', finished_at = '2024-05-09 11:00+00' WHERE id = 3;
        UPDATE retention.archive_journal SET started_at = '2024-06-01 00:00+00' WHERE id = 4""")
    assert ids("--from", "2024-05-09", "--to", "2024-05-09") == ids("--from", "2024-05-10", "--to", "2024-05-10") == [3]
    assert ids("--from", "2024-02-29", "--to", "2024-03-01") == [] and ids("--from", "2025-01-01") == [4]
    document = json.loads(ctl(d.pg, d.db, "report", "old", "--format", "json").stdout)
    assert document["report"]["zone"] == "Pacific/Kiritimati" and document["policy"] == []
    assert document["actions"][0]["occurrence"] == "2024-01-31T23:59:59+14:00"
    text = ctl(d.pg, d.db, "report", "old").stdout
    assert "The policy is no longer in force." in text and "2024-02-01 00:00:00 +14:00" in text
    empty = ctl(d.pg, d.db, "report", "old", "--from", "2030-01-01")
    assert empty.returncode == 0 and "There is no action in this period." in empty.stdout
    never = ctl(d.pg, d.db, "report", "nobody")
    assert never.returncode == 1 and 'there is no policy "nobody", and there never was' in never.stderr
    never = ctl(d.pg, d.db, "report", "77")
    assert never.returncode == 1 and "there is no action 77" in never.stderr


def test_preview_is_that_of_preview(make):
    d = make(DUE, MODEL, policy(), policy("anonymize_contacts", name="anon"))
    d.once("-t", check=False)
    for name in ("p", "anon"):
        for day in ("2016-07-01", "2016-07-02", "2030-01-01"):
            document, shown, _ = all_formats(d, name, "--as-of", day)
            expected = json.loads(d.ctl("preview", name, "--as-of", day, "--json").stdout)
            one, = document["preview"]
            assert (one["due"], one["held"], one["as_of"]) == (expected["due"], expected["held"], day)
            assert one["due"] == d.pg.value(d.db, "SELECT count(*) FROM request WHERE at < retention.cutoff('18 months', 'UTC', %s::date)", (day,))
            assert [(t["table"], t["what"], t["rows"]) for t in document["expected"]] == [
                (t["table"], t["what"], t["rows"]) for t in expected["tables"]]
            assert document["actions"] == [] and shown.title == f"Preview of policy {name}"
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.archive_journal") == 0
    assert "there is no policy" in d.ctl("report", "nobody", "--as-of", "2030-01-01", check=False).stderr
    assert "is an action" in d.ctl("report", "export", "--as-of", "2030-01-01", check=False).stderr
    # The configuration is needed, and read also where -d names the database.
    assert d.ctl("-d", d.pg.conninfo(d.db), "report", "p", "--as-of", "2030-01-01").returncode == 0
    assert ctl(d.pg, d.db, "report", "p", "--as-of", "2030-01-01").returncode == 1


@pytest.mark.parametrize("args", [[], ["1", "2"], ["1", "--from", "2024-01-01"], ["1", "--as-of", "2024-01-01"], ["p", "--format", "pdf"],
                                  ["p", "--as-of", "2024-01-01", "--to", "2024-01-01"], ["p", "--from", "2024-02-30"],
                                  ["p", "--from", "2024-02-02", "--to", "2024-02-01"], ["1", "--json"], ["0"], ["99999999999"]])
def test_wrong_use(pg, args):
    done = ctl(pg, "postgres", "report", *args)
    assert done.returncode == 2 and "usage: retentionctl report [ID|POLICY]" in done.stderr and done.stdout == ""


ODD = 'T<i>"x"&\u202e'  # as a table's name
HOSTILE = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "O'Neill & co", "\u202egnp.exe", "</style></title><b>", "%s%n",
           "\x1b[31mred", "\u0085\u2028", "&amp;&lt;", "a" * 200, "]]>", "{{prefix}}", "é\u00a0\U0001f600"]


def test_hostile_texts(make, pg):
    """Notes, roles, names of tables and columns, messages: as text in HTML, whole in JSON, without control characters in the rest."""
    table = ODD.replace('"', '""')
    d = make(SCHEMA + f"""; CREATE TABLE "{table}" ("k<&>" bigint PRIMARY KEY, "c'""<" bigint REFERENCES contact, "b&lt;" text);
        CREATE INDEX ON "{table}" ("c'""<")""" + TWO,
        model({"set": {"name": "<b>{key}"}, "clear": ["brand"], "keep": ["id", "created"]},
              {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]},
              odd={"table": ODD, "key": "k<&>", "of": "contact", "by": "c'\"<", "where": "'</td>' <> '<td>'", "clear": ["b&lt;"],
                   "keep": ["k<&>", "c'\"<"]}), policy("anonymize_contacts"))
    d.once()
    document, shown, text = all_formats(d, 1)
    assert {r["relation"] for r in document["rules"]} >= {f"public.{ODD}"}
    assert ["odd", "public." + ODD.replace("\u202e", "\ufffd"), "cleared", "b&lt;"] in [
        row[:4] for row in shown.tables["What becomes of which tables and columns"]]
    assert "'</td>' <> '<td>'" in {r["where"] for r in document["rules"]} and "'</td>' <> '<td>'" in shown.words
    role = 'r<b>"&\u202e'
    pg.sql("postgres", f'CREATE ROLE "{role.replace(chr(34), chr(34) * 2)}" LOGIN IN ROLE retention_operator')
    try:
        for n, note in enumerate(HOSTILE, 2):
            with pg.connect(d.db) as conn, conn.cursor() as cur:
                cur.execute(f'SET SESSION AUTHORIZATION "{role.replace(chr(34), chr(34) * 2)}"')
                cur.execute("SELECT retention.save_action('export', '2024-01-01', '2024-01-31', NULL, %s)", (note,))
                conn.commit()
            done = read(d, n)["actions"][0]
            assert (done["note"], done["requested_by"]) == (note.strip(" \t\n\r"), role)
            shown = page(d, n)
            cells = dict(r for r in shown.tables["What was asked for, and who validated it"])
            assert cells["reason"] == re.sub("[\x1b\u0085\u2028\u202e]", "\ufffd", note.strip(" \t\n\r"))
            assert cells["asked for by"] == role.replace("\u202e", "\ufffd")
            said = d.ctl("report", n).stdout
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u202e]", said)
    finally:
        pg.sql(d.db, f'DROP ROLE "{role.replace(chr(34), chr(34) * 2)}"')


def test_archive_with_its_sums(make):
    d = make(SCHEMA + TWO, MODEL, policy(archive="full"))
    d.once()
    job, = d.jobs()
    folder = Path(job["archive_path"])
    document, shown, _ = all_formats(d, 1)
    archive, = document["archives"]
    assert archive["path"] == str(folder) and archive["content"] == "full"
    for name, file in (("sums_sha256", "SHA256SUMS"), ("manifest_sha256", "manifest.json")):
        assert archive[name] == hashlib.sha256((folder / file).read_bytes()).hexdigest()
    assert archive["bytes"] == sum(f.stat().st_size for f in folder.glob("*.csv"))
    assert sum(t["archived_bytes"] for t in document["tables"]) <= archive["bytes"]
    assert [(p["step"], p["state"]) for p in document["places"]][0] == ("T0", "reached")
    restore(d, job)
    document, shown, _ = all_formats(d, 1)
    assert document["actions"][0]["state"] == "restored" and "The deletion was undone" in shown.words
    d.ctl("archive", "delete", "1", "--note", "no <longer> needed")
    d.once(check=False)
    archive, = all_formats(d, 1)[0]["archives"]
    assert archive["deleted_note"] == "no <longer> needed" and archive["deleted_at"] and not archive["kept_until"]
    assert (archive["removed_at"] is None) == folder.exists()


def test_what_is_erased_and_not_done_is_followed_nowhere(pg, crm_db):
    """Where an action has failed or runs, it may be everywhere; what ran before a restored backup is not its own."""
    db = crm_db(20, migrated=True)
    for status, waits in (("running", "the end of the action"), ("failed", None)):
        job = action(pg, db, status, kind="delete_contacts")
        assert json.loads(ctl(pg, db, "report", job, "--format", "json").stdout)["places"] == []
        pg.tamper(db, f"""INSERT INTO retention.ledger (job, action, key, erased_at) VALUES ({job}, 'delete_contacts', '1', now()),
            ({job}, 'delete_contacts', '2', now() - interval '1 day')""")
        document = json.loads(ctl(pg, db, "report", job, "--format", "json").stdout)
        assert document["counts"][0]["treated"] == 1
        assert document["places"] == [{"action": job, "step": None, "what": "all places", "state": "unknown", "since": None,
                                       "waits_for": waits}]
        assert "nothing to follow" not in ctl(pg, db, "report", job).stdout


def test_holds_when_the_list_was_made(make):
    """Released, expired and later ones are none of them."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.pg.sql(d.db, """INSERT INTO contact (id) SELECT generate_series(3, 9);
        SELECT retention.configure('UTC', false, 'bigint')""")
    for key in (2, 3, 4):
        d.ctl("hold", "add", key, "--reason", "case")
    d.ctl("hold", "remove", 4)
    d.pg.tamper(d.db, "UPDATE retention.hold SET expires_at = now() - interval '1 hour', placed_at = now() - interval '2 hours' WHERE contact_key = '3'")
    d.once()
    d.ctl("hold", "add", 5, "--reason", "case")
    d.ctl("hold", "remove", 2)
    assert read(d, 1)["counts"][0]["holds"] == 1


def test_the_archive_as_the_daemon_has_verified_it(make):
    d = make(SCHEMA + TWO, MODEL, policy(archive="full"))
    d.once()
    assert read(d, 1)["archives"][0]["verified"] is None
    for outcome, findings, word in (("ok", 0, "intact"), ("failed", 2, "damaged"), ("refused", None, "not verified")):
        d.pg.sql(d.db, "INSERT INTO retention.request (kind, job, ended_at, outcome, result) VALUES ('verify_archive', 1, now(), %s, %s)",
                 (outcome, json.dumps({"findings": findings})))
        assert read(d, 1)["archives"][0]["verified"] == word
        assert word in d.ctl("report", "1").stdout


def test_a_replay(make):
    """It does an action once more: the report names that one, and where the first is forgotten says that it is not there."""
    d = make(SCHEMA + TWO, MODEL, policy(enabled=False))
    d.once()
    backup = d.pg.dump(d.db)
    d.configure(policies=[policy()])
    d.once()
    first = d.jobs()[0]["id"]
    put_back(d, backup)
    assert d.once(check=False).returncode == 1
    assert f"there is no action {first}" in d.ctl("report", first, check=False).stderr
    d.ctl("replay", "--yes")
    d.once()
    job = next(j for j in d.jobs() if j["replay"])
    document, shown, _ = all_formats(d, job["id"])
    one, = document["actions"]
    assert (one["replay"], one["replay_of"], one["state"]) == (True, first, "done")
    assert document["counts"][0]["treated"] == 1 and ["replay of action", str(first)] in shown.tables["What was asked for, and who validated it"]


@pytest.mark.parametrize("key", ["(1,7)", "o'<b>\"&,x", "5f6b9c2e-0000-4000-8000-0123456789ab"])
def test_keys_of_other_kinds(make, key):
    """Of several columns, of text that would do harm, uuid: the keys of those who failed stand as the journal has them."""
    several, kind = key.startswith("("), "uuid" if key.startswith("5f") else "text"
    columns = "a int, id int, name text, PRIMARY KEY (a, id)" if several else f"id {kind} PRIMARY KEY, name text"
    by = "a int, contact_id int, FOREIGN KEY (a, contact_id) REFERENCES contact (a, id)" if several else f"contact_id {kind} REFERENCES contact"
    of = ["a", "contact_id"] if several else "contact_id"
    d = make(f"""CREATE TABLE contact ({columns}); CREATE TABLE request (id int PRIMARY KEY, {by}, at timestamptz);
        CREATE INDEX ON request ({"a, " if several else ""}contact_id);
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
        CREATE TRIGGER no BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION no()""",
             model({"key": ["a", "id"] if several else "id"}, {"by": of}), policy())
    if several:
        d.pg.sql(d.db, "INSERT INTO contact VALUES (1, 7, 'canary'); INSERT INTO request VALUES (1, 1, 7, '2015-01-01')")
    else:
        d.pg.sql(d.db, "INSERT INTO contact VALUES (%s, 'canary'); INSERT INTO request VALUES (1, %s, '2015-01-01')", (key, key))
    d.once(check=False)
    document, shown, text = all_formats(d, 1, "--keys")
    assert [(x["reason"], x["keys"]) for x in document["left_out"]] == [("error", [key])]
    assert key in [row[-1] for row in shown.tables["Who was left out, and why"]] and key in text
    assert key not in json.dumps(read(d, 1)) and key not in page(d, 1).words


def test_completion():
    words = (Path(__file__).resolve().parents[3] / "daemon" / "retentionctl.bash").read_text()
    usage = ctl_usage()
    for option in re.findall("--[a-z-]+", usage):
        assert option in words.split("report\\ *)")[1].split("\n")[0], option


def test_reasons_in_events(pg, crm_db):
    """What an event says of some of its keys is of those; what is no list says nothing."""
    db = crm_db(20, migrated=True)
    job = action(pg, db, "done", kind="delete_contacts", candidates=7)
    for details in ({"keys": ["1", "2", "3"], "held": ["1"], "gone": ["2"], "partly_erased": ["3", "1"]},
                    {"keys": ["4"], "held": 1, "gone": None}, {"keys": []}):
        pg.sql(db, "INSERT INTO retention.journal_event (job, kind, details) VALUES (%s, 'dropped', %s)", (job, json.dumps(details)))
    pg.sql(db, "INSERT INTO retention.journal_event (job, kind, details) VALUES (%s, 'left', '{\"keys\": [\"5\", \"6\"]}')", (job,))
    document = json.loads(ctl(pg, db, "report", job, "--format", "json", "--keys").stdout)
    assert {(x["reason"], x["subjects"], x["partly_erased"], tuple(x["keys"])) for x in document["left_out"] if x["subjects"]} == {
        ("held", 1, 1, ("1",)), ("gone", 1, 0, ("2",)), ("not_due", 2, 1, ("3", "4")), ("locked", 2, 0, ("5", "6"))}
    count, = document["counts"]
    assert (count["dropped"], count["locked"], count["treated"], count["open"]) == (4, 2, 0, 1)
    assert document["actions"][0]["state"] == "incomplete"


def test_searches_that_were_recorded(make):
    """What was found and recorded since, and nothing is searched now."""
    d = make(SCHEMA + "; CREATE TABLE log (id int, line text)" + TWO, MODEL, policy())
    d.once()
    assert "Nobody has recorded a search since" in d.ctl("report", "1").stdout
    d.pg.sql(d.db, """SELECT retention.record_residue('{"action": "delete_contacts", "contacts": 1, "values": 2, "tables": 3,
        "not_searched": 0, "findings": [{"table": "public.log", "column": "line", "of": "name", "exact": 0, "inside": 7, "covered": 0}]}')""")
    d.pg.sql(d.db, """SELECT retention.record_residue('{"action": "anonymize_contacts", "contacts": 9, "values": 2, "tables": 3,
        "not_searched": 0, "findings": []}')""")
    document, shown, _ = all_formats(d, 1)
    assert [(r["contacts"], r["found"]) for r in document["residue"]] == [(1, 1)]
    assert [(c["table"], c["column"], c["inside"]) for c in document["residue_columns"]] == [("public.log", "line", 7)]
    assert "public.log" in shown.words


def test_the_last_hash(make):
    """It is the one that verify prints, and that verify finds later."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.once()
    journal = read(d, 1)["journal"]
    noted = f"{journal['events']}:{journal['last_hash']}"
    assert noted in d.ctl("verify").stdout
    assert d.ctl("verify", "--last-hash", noted).returncode == 0
    assert read(d, 1)["journal"]["verified_whole"] is True


def test_an_auditor_prints_it(make, pg):
    """With the role alone; a preview takes what grants --auditor prints."""
    d = make(SCHEMA + TWO, MODEL, policy(archive="full"))
    d.once()
    pg.sql(d.db, "CREATE ROLE report_reader LOGIN IN ROLE retention_auditor")
    try:
        for args in (["1"], ["p"], ["1", "--keys"]):
            done = ctl(pg, d.db, "report", *args, "--format", "json", user="report_reader")
            assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["report"]["made_by"] == "report_reader"
        for args in (["export"], ):
            job = action(pg, d.db, "running", kind=args[0])
            assert ctl(pg, d.db, "report", job, user="report_reader").returncode == 0
        preview = ["report", "p", "--as-of", "2030-01-01", "--format", "html"]
        refused = d.ctl("-d", pg.conninfo(d.db, "report_reader"), *preview, check=False)
        assert refused.returncode == 1 and "grants --auditor" in refused.stderr
        pg.psql(d.db, "-c", d.ctl("grants", "report_reader", "--auditor").stdout)
        Page(d.ctl("-d", pg.conninfo(d.db, "report_reader"), *preview).stdout)
    finally:
        pg.sql(d.db, "DROP OWNED BY report_reader; DROP ROLE report_reader")


def test_nobody_else_reads_it(make, pg):
    d = make(SCHEMA + TWO, MODEL, policy())
    d.once()
    pg.sql(d.db, "CREATE ROLE report_nobody LOGIN")
    try:
        done = ctl(pg, d.db, "report", "1", user="report_nobody")
        assert done.returncode == 1 and done.stdout == "" and "retention_auditor" in done.stderr
    finally:
        pg.sql(d.db, "DROP ROLE report_nobody")


def test_french(worked):
    """Every heading, word and sentence; what people and PostgreSQL have written stays."""
    d = worked
    for args in (["1"], ["p"], ["p", "--as-of", "2030-01-01"]):
        shown, plain = page(d, *args, env=FRENCH), page(d, *args)
        assert (shown.lang, plain.lang) == ("fr", "en")
        assert set(shown.tables) & set(plain.tables) <= {"Archive"} and len(shown.tables) == len(plain.tables)
        for title, rows in shown.tables.items():
            english = list(plain.tables.values())[list(shown.tables).index(title)]
            assert len(rows) == len(english)
    text = d.ctl("report", "1", env=FRENCH).stdout
    assert "Rapport sur l'action 1" in text and "backups.keep de la configuration" in text and "en vigueur depuis" in text
    events = {row[2] for row in page(d, "1", env=FRENCH).tables["Événements du journal"][1:]}
    assert {"liste faite", "validée", "en cours"} <= events and not events & {e["kind"] for e in read(d, "1")["events"]}
    assert "chaque jour" in d.ctl("report", "p", env=FRENCH).stdout
    assert "18 mois" in text
    assert read(d, "1", env=FRENCH)["actions"] == read(d, "1")["actions"]


def test_html_is_valid(worked):
    """As Debian's tidy sees it: no error and no warning, in each kind of report."""
    if not shutil.which("tidy"):
        pytest.skip("tidy is not installed")
    for args in (["1", "--keys"], ["p"], ["p", "--as-of", "2030-01-01"]):
        done = subprocess.run(["tidy", "-q", "-e", "-utf8"], input=worked.ctl("report", *args, "--format", "html").stdout,
                              stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")


def test_for_paper(worked):
    """A4, heads of tables on each page, and nothing that is fetched."""
    text = page(worked, "1").text
    style, = re.findall("<style>(.*?)</style>", text, re.S)
    for rule in ("@page{size:A4", "thead{display:table-header-group}", "tr{break-inside:avoid}", "break-after:avoid",
                 "print-color-adjust:exact"):
        assert rule in style
    assert "url(" not in style and "@import" not in style and "http" not in text


def test_the_manual_has_the_form(worked):
    """Each member of the JSON form stands in the manual."""
    chapter = MANUAL.split(".It Cm report", 1)[1]
    for args in (["1", "--keys"], ["p"], ["p", "--as-of", "2030-01-01"]):
        for name, section in read(worked, *args).items():
            assert re.search(rf"^\.It {name}\b", chapter, re.M), name
            for row in section if isinstance(section, list) else [section]:
                for member in row:
                    described = re.search(rf"^\.It {name}\n(.*?)\n\.(It|El)", chapter, re.M | re.S)[1]
                    assert re.search(rf"\b{member}\b", described), (name, member)


def test_what_is_waited_for_is_shortened(make):
    """People see the first ones and how many there are; the document has them all."""
    d = make(SCHEMA + TWO, MODEL, policy())
    d.pg.sql(d.db, "INSERT INTO request (id, contact_id, at, status, subject) SELECT 1000 + n, 1, '2015-01-01', 'closed', repeat(md5(n::text), 200) FROM generate_series(1, 20) AS n")
    d.once()
    whole = next(p["waits_for"] for p in read(d, 1)["places"] if p["step"] == "T1")
    shown = d.ctl("report", 1).stdout
    assert whole.count(", ") >= 3 and whole not in shown
    first = ", ".join(whole.split(", ")[:2])
    assert f"{first} and {len(whole.split(', ')) - 2} more (retentionctl show -v)" in shown
