"""What one person may ask for: a copy (GDPR art. 15 and 20), an erasure (art. 17)."""

import json
import os
import re
import subprocess

import pytest

from support import small
from support.backup import put_back
from support.french import FRENCH
from support.harness import BUILD
from support.oracles import after_anonymize_contacts, reporting_numbers, table_digests, tokens_in
from support.restores import restore


def recent(d):
    """A contact with a request of this year: due to no policy."""
    return d.pg.value(d.db, """SELECT r.contact_id FROM crm.request r JOIN crm.message m ON m.request_id = r.id
        GROUP BY 1 HAVING max(r.created_at) > now() - interval '6 months' ORDER BY count(*) DESC, 1 LIMIT 1""")


def test_the_document(daemon):
    d = daemon(contacts=100)
    key = recent(d)
    document = json.loads(d.ctl("subject", "export", key, log=os.devnull).stdout)
    contact, = document["contact"]
    expected = d.pg.value(d.db, "SELECT to_jsonb(c) FROM crm.contact c WHERE id = %s", (key,))
    assert contact == expected
    requests = {r["id"] for r in document["request"]}
    assert requests == {r for (r,) in d.pg.sql(d.db, "SELECT id FROM crm.request WHERE contact_id = %s", (key,))}
    messages = {m["id"] for m in document["message"]}
    assert messages == {m for (m,) in d.pg.sql(
        d.db, "SELECT id FROM crm.message WHERE request_id = ANY (%s)", (list(requests),))}
    assert {a["message_id"] for a in document["attachment"]} <= messages
    # Every token of this contact, and of no other.
    own = {t for t in tokens_in(json.dumps(document).encode()) if t.contact == key}
    every = {t for t in tokens_in(d.pg.dump(d.db, "-n", "crm")) if t.contact == key}
    assert own == every and tokens_in(json.dumps(document).encode()) == own
    # Recorded, without a word of the answer.
    (details,), = d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'subject_exported'")
    assert details == {"contact": str(key)}


def test_another_contact_that_refers_to_it(daemon):
    """Its row is another person's: the document has the link alone."""
    d = daemon(contacts=20)
    d.pg.sql(d.db, "ALTER TABLE crm.contact ADD partner bigint REFERENCES crm.contact; CREATE INDEX ON crm.contact (partner)")
    d.pg.sql(d.db, "UPDATE crm.contact SET partner = 3 WHERE id = 4")
    text = (d.dir / "model.conf").read_text()
    d.configure(model=text.replace("model: {", """model: {
      partner: { table = "crm.contact"; key = "id"; of = "contact"; by = "partner"; delete = "detach"; anonymize = "keep"; };""")
        .replace('keep = [ "id", "full_name"', 'keep = [ "partner", "id", "full_name"'))
    said = d.ctl("subject", "export", "3", log=os.devnull).stdout
    document = json.loads(said)
    assert document["partner"] == [{"id": 4, "partner": 3}] and document["contact"][0]["email"]
    assert {t.contact for t in tokens_in(said.encode())} == {3}


def test_no_such_contact(daemon):
    d = daemon(contacts=20)
    done = d.ctl("subject", "export", "4711", check=False)
    assert done.returncode == 1 and "there is no contact 4711" in done.stderr and done.stdout == ""
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event") == 0
    # The key's type is known once the daemon has looked.
    done = d.ctl("subject", "delete", "abc", check=False)
    assert done.returncode == 1 and "the daemon has not looked at this database yet" in done.stderr
    d.once()
    done = d.ctl("subject", "delete", "abc", check=False)
    assert done.returncode == 1 and '"abc" is not a valid contact key' in done.stderr


STAFF = """CREATE TABLE {person} (id {type} PRIMARY KEY, kind text, name text);
    CREATE TABLE ticket (id int PRIMARY KEY, customer {type} REFERENCES {person}, assignee {type} REFERENCES {person},
        at timestamptz, body text);
    CREATE INDEX ON ticket (customer); CREATE INDEX ON ticket (assignee);
    INSERT INTO {person} VALUES ({one}, 'customer', 'canary-1'), ({two}, 'agent', 'canary-2'), ({three}, NULL, 'canary-3');
    INSERT INTO ticket VALUES (10, {one}, {two}, '2015-01-01', 'canary-10'), (11, {one}, {three}, '2015-01-01', 'canary-11')"""
KEYS = {"int": ("1", "2", "3"), "text": ("o'ne", "two", "three"),
        "uuid": tuple(f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))}


@pytest.mark.parametrize("type", KEYS)
def test_staff_in_the_same_table(make, type):
    """A row that the model leaves out is no contact: its links lead to the rows of customers."""
    quoted = ["'" + k.replace("'", "''") + "'" for k in KEYS[type]]
    person = 'people."Per son"' if type == "text" else "person"
    d = make("CREATE SCHEMA people;" + STAFF.format(person=person, type=type, one=quoted[0], two=quoted[1], three=quoted[2]), small.model(
        {"table": "people.Per son" if type == "text" else "person", "where": "kind = 'customer'", "clear": ["name"], "keep": ["kind"]},
        {"table": "ticket", "by": "customer", "clear": ["body"], "keep": ["assignee", "at"]},
        ticket_by_assignee={"table": "ticket", "key": "id", "of": "contact", "by": "assignee", "delete": "detach", "anonymize": "keep"}))
    one, two, three = KEYS[type]
    for key in (two, three):
        done = d.ctl("subject", "export", key, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (1, "", f"retentionctl: there is no contact {key}\n")
    done = d.ctl("subject", "export", two, check=False, env=FRENCH)
    assert done.returncode == 1 and "canary" not in done.stdout + done.stderr
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'subject_exported'") == 0
    document = json.loads(d.ctl("subject", "export", one, log=os.devnull).stdout)
    assert [len(document[name]) for name in ("contact", "request", "ticket_by_assignee")] == [1, 2, 0]
    # A customer who is the assignee of another one's ticket: of that he gets the key and the link.
    d.pg.sql(d.db, f"UPDATE {person} SET kind = 'customer'")
    said = d.ctl("subject", "export", two, log=os.devnull).stdout
    document = json.loads(said)
    assert document["ticket_by_assignee"] == [{"id": 10, "assignee": int(two) if type == "int" else two}]
    assert document["request"] == [] and set(re.findall(r"canary-\d+", said)) == {"canary-2"}


LOGIN = """CREATE TABLE person (id int PRIMARY KEY, name text, hash text);
    CREATE TABLE ticket (id int PRIMARY KEY, customer int REFERENCES person, at timestamptz, body text, reply_token text);
    CREATE TABLE device (id int PRIMARY KEY, person int REFERENCES person, seller int REFERENCES person, token text, push text);
    CREATE INDEX ON ticket (customer); CREATE INDEX ON device (person); CREATE INDEX ON device (seller);
    INSERT INTO person VALUES (1, 'canary-1', 'secret-1'), (2, 'canary-2', 'secret-2');
    INSERT INTO ticket VALUES (10, 1, '2015-01-01', 'canary-10', 'secret-10');
    INSERT INTO device VALUES (20, 1, 1, 'secret-20', 'canary-20')"""


def login(make, **tables):
    return make(LOGIN, small.model(
        {"table": "person", "clear": ["name", "hash"], "export_without": ["hash"]},
        {"table": "ticket", "by": "customer", "clear": ["body", "reply_token"], "keep": ["at"], "export_without": ["reply_token"]},
        **{name: {"table": "device", "key": "id", "of": "contact", "anonymize": "delete", **table} for name, table in tables.items()}))


def test_secrets_are_left_out(make):
    """Under each name of a table: the one that names them, and another."""
    d = login(make, device={"by": "person", "export_without": ["token"]}, sold={"by": "seller"})
    said = d.ctl("subject", "export", "1", log=os.devnull).stdout
    document = json.loads(said)
    device = {"id": 20, "person": 1, "seller": 1, "push": "canary-20"}
    assert document["contact"] == [{"id": 1, "name": "canary-1"}]
    assert set(document["request"][0]) == {"id", "customer", "at", "body"}
    assert document["device"] == [device] and document["sold"] == [device]
    assert "secret" not in said and "token" not in said


def test_every_column_is_left_out(make):
    """The rows are still counted."""
    d = login(make, device={"by": "person", "export_without": ["id", "person", "seller", "token", "push"]})
    assert json.loads(d.ctl("subject", "export", "1", log=os.devnull).stdout)["device"] == [{}]


def test_the_archive_has_what_a_copy_leaves_out(make):
    d = login(make, device={"by": "person", "export_without": ["token"]})
    rows = "SELECT p.*, d.* FROM person p JOIN device d ON d.person = p.id"
    before = d.pg.sql(d.db, rows)
    d.configure(policies=[{"name": "p", "action": "delete_contacts", "depth": "18 months", "schedule": "daily", "archive": "full"}])
    d.once()
    assert d.pg.sql(d.db, rows) == [] != before
    restore(d, 1)
    assert d.pg.sql(d.db, rows) == before


def test_a_column_to_leave_out_has_to_exist(make):
    d = login(make, device={"by": "person", "export_without": ["Token"]})
    done = d.ctl("subject", "export", "1", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert 'table "device": export_without: public.device has no column "Token"' in done.stderr


def save(d, *args):
    """The number of the saved action, listed by the daemon."""
    d.once()  # it says what a key is
    said = d.ctl("subject", *args).stdout
    job = int(re.search(r"action (\d+) saved", said).group(1))
    d.once()
    return job


def test_anonymize(daemon):
    """Whatever the dates and states of the requests; nobody else is touched."""
    d = daemon(contacts=100)
    key = recent(d)
    tokens, reporting = tokens_in(d.pg.dump(d.db)), reporting_numbers(d.pg, d.db)
    job = save(d, "anonymize", key)
    row, = d.jobs(f"id = {job}")
    assert (row["status"], row["subject"], row["mode"], row["candidates"]) == ("saved", str(key), "manual", 1)
    d.ctl("validate", job)
    d.once()
    assert d.jobs(f"id = {job}")[0]["status"] == "done"
    assert tokens_in(d.pg.dump(d.db)) == after_anonymize_contacts(tokens, {key}, reporting)
    assert d.pg.value(d.db, "SELECT last_name FROM crm.contact WHERE id = %s", (key,)) == f"L_{key}"
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.selection") == 0
    # A second time there is nothing left to erase.
    again = save(d, "anonymize", key)
    assert d.jobs(f"id = {again}")[0]["candidates"] == 0


def test_delete(daemon):
    d = daemon(contacts=100)
    key = recent(d)
    job = save(d, "delete", key)
    d.ctl("validate", job)
    d.once()
    assert d.jobs(f"id = {job}")[0]["counters"]["treated"] == 1
    assert d.pg.value(d.db, "SELECT count(*) FROM crm.contact") == 99
    assert not {t for t in tokens_in(d.pg.dump(d.db)) if t.contact == key}


def test_a_hold_comes_first(daemon):
    """Art. 17(3)(e): what is held for a legal claim is not erased at the person's request either."""
    d = daemon(contacts=50)
    key = recent(d)
    job = save(d, "delete", key)
    d.ctl("hold", "add", key, "--reason", "case 3")
    d.ctl("validate", job)
    d.once()
    assert d.jobs(f"id = {job}")[0]["counters"]["treated"] == 0
    assert d.pg.value(d.db, "SELECT count(*) FROM crm.contact") == 50
    assert "is on hold: nothing was saved" in d.ctl("subject", "delete", key, check=False).stderr


def test_the_log_says_how_many_are_on_hold(daemon):
    """Of those who are due, and not of other holds."""
    d = daemon(contacts=50, policies=[{"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}])
    due = [key for (key,) in d.pg.sql(d.db, """SELECT contact_id FROM crm.request GROUP BY 1 HAVING bool_and(status = 'closed')
        AND max(created_at) < now() - interval '40 months' ORDER BY 1 LIMIT 3""")]
    for key in [*due, recent(d)]:
        d.ctl("hold", "add", key, "--reason", "case")
    d.once()
    assert re.search(r"(\d+) contacts listed, \1 deleted, 3 on hold$", d.log_text(), re.M)
    d.ctl("hold", "remove", due[0])
    d.ctl("run", "old")
    d.once()
    assert re.search(r"1 contacts listed, 1 deleted, 2 on hold$", d.log_text(), re.M)


def test_cancelled(daemon):
    d = daemon(contacts=20)
    before = table_digests(d.pg, d.db)
    job = save(d, "delete", 3)
    d.ctl("cancel", job)
    d.once()
    assert table_digests(d.pg, d.db) == before
    assert d.pg.value(d.db, "SELECT (SELECT count(*) FROM retention.selection) + (SELECT count(*) FROM retention.candidate)") == 0


@pytest.mark.parametrize("args", [[], ["1", "2"], ["1", "--force"]])
@pytest.mark.parametrize("word", ["export", "anonymize", "delete"])
def test_wrong_use(daemon, word, args):
    d = daemon(contacts=20, migrate=False)
    done = d.ctl("subject", word, *args, check=False)
    assert done.returncode == 2 and "usage: retentionctl subject" in done.stderr


@pytest.fixture
def resident(daemon):
    d = daemon(contacts=40, policies=[])
    d.start()
    d.wait_for_log("ready: ")
    yield d
    assert d.stop() == 0


@pytest.mark.parametrize("word", ["delete", "anonymize"])
def test_nobody_is_no_success(resident, word):
    """A key with a slip, or a person on hold: who asked is not told that it was done."""
    d = resident
    done = d.ctl("subject", word, "4711", check=False)
    assert done.returncode == 1
    assert "there is no contact 4711, or nothing of it is left: action 1 is cancelled" in done.stderr
    d.ctl("hold", "add", "7", "--reason", "case")
    done = d.ctl("subject", word, "7", check=False)
    assert done.returncode == 1 and "contact 7 is on hold: nothing was saved\nhint: The hold keeps the contact" in done.stderr
    assert [j["status"] for j in d.jobs()] == ["cancelled"]
    assert "action" not in done.stdout, "nobody waits for a list"


def test_a_hold_that_comes_after_the_saving(daemon):
    """The list is empty, and who has asked is told why."""
    d = daemon(contacts=40, policies=[])
    d.once()
    d.pg.sql(d.db, """CREATE FUNCTION public.place() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        PERFORM retention.place_hold('7', 'case'); RETURN NULL; END $$;
        CREATE TRIGGER late AFTER INSERT ON retention.selection FOR EACH ROW EXECUTE FUNCTION public.place()""")
    d.start()
    d.wait_for_log("ready: ")
    done = d.ctl("subject", "delete", "7", check=False)
    assert done.returncode == 1 and "contact 7 is on hold: action 1 is cancelled" in done.stderr
    assert d.stop() == 0


@pytest.mark.parametrize("key", ["7", "(7)", "(1,2,3)", "(a,7)", "(1,)"])
def test_half_a_key(daemon, empty_db, key):
    """Whoever types a part of a key of several columns is told how it is written."""
    db = empty_db()
    d = daemon(db=db, policies=[], model=small.model(contact={"key": ["account", "id"]}, request={"by": ["account", "contact_id"]}))
    d.pg.sql(db, """CREATE TABLE contact (account int, id int, name text, PRIMARY KEY (account, id));
        CREATE TABLE request (id int PRIMARY KEY, account int, contact_id int, at timestamptz,
            FOREIGN KEY (account, contact_id) REFERENCES contact); CREATE INDEX ON request (account, contact_id)""")
    d.once()
    for words in (("subject", "delete"), ("subject", "anonymize"), ("hold", "remove")):
        done = d.ctl(*words, key, check=False)
        assert (done.returncode, done.stderr) == (1, f"retentionctl: \"{key}\" is not a valid contact key: write it like '(1,42)', "
                                                     "with a value for each of (integer,integer)\n")
    done = d.ctl("subject", "status", key, check=False)
    assert (done.returncode, done.stderr) == (1, f"retentionctl: \"{key}\" is not a valid contact key: write it like '(1,42)': account, id\n")
    done = d.ctl("subject", "delete", key, check=False, env=FRENCH)
    assert "écrivez-la comme « (1,42) », avec une valeur pour chacun de (integer,integer)" in done.stderr


def test_a_hold_for_nobody(daemon):
    d = daemon(contacts=20, policies=[])
    d.once()
    done = d.ctl("hold", "add", "4711", "--reason", "case", check=False)
    assert done.returncode == 1 and "there is no contact 4711: no hold was placed" in done.stderr
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.hold") == 0
    d.pg.psql(d.db, "-c", "CREATE ROLE holder LOGIN", "-c", "GRANT retention_operator TO holder")
    d.configure(user="holder")
    said = d.ctl("hold", "add", "4711", "--reason", "case").stdout
    assert "your role may not read the contacts: it was not checked whether this one exists" in said


# --- subject status -------------------------------------------------------------------------------------------------

PEOPLE = small.SCHEMA + """;
    INSERT INTO contact (id, name, created) SELECT n, 'canary-c' || n, '2014-01-01' FROM generate_series(1, 9) n;
    INSERT INTO request (id, contact_id, at, status) VALUES
        (10, 1, '2015-01-31', 'closed'), (20, 2, now() - interval '6 months', 'closed'), (30, 3, '2015-01-01', 'open'),
        (40, 4, '2015-01-01', 'closed'), (50, 5, now() - interval '3 years', 'closed'), (51, 5, now() - interval '4 years', 'closed')"""
RULES = [small.policy(name="people", depth="18 months", archive="full"),
         small.policy("anonymize_requests", name="requests", depth="30 months"),
         small.policy("export", name="copy"), small.policy(name="off", enabled=False)]
MAPPED = small.model({"clear": ["name"], "keep": ["brand", "created"]},
                     {"due_when": "status = 'closed'", "clear": ["subject"], "keep": ["at", "status"]})


@pytest.fixture
def people(make):
    d = make(PEOPLE, MAPPED, *RULES)
    d.pg.sql(d.db, "SELECT retention.configure('UTC', false, 'bigint')")
    return d


def status(d, key, **kwargs):
    return json.loads(d.ctl("subject", "status", key, "--json", **kwargs).stdout)


def rules(found):
    return {p["policy"]: (p["now"], p["due_from"]) for p in found["policies"]}


def why(found):
    return {p["policy"]: p["why"] for p in found["policies"]}


def due_from(d, request, depth):
    """The first day of which the cutoff lies behind the request's date, day by day."""
    return str(d.pg.value(d.db, f"""SELECT min(day)::date FROM request AS r,
        generate_series('2010-01-01'::timestamp, '2040-01-01', '1 day') AS day
        WHERE r.id = {request} AND retention.cutoff('{depth}', 'UTC', day AT TIME ZONE 'UTC') > r.at"""))


def test_due_when_and_by_which_policy(people):
    """The first day on which a pass would reach it: strictly later than the date and the depth."""
    d = people
    found = status(d, 1)
    assert (found["contact"], found["known"], found["hold"], found["erased"], found["asked"]) == ("1", "yes", None, [], [])
    assert rules(found) == {"people": ("due", "2016-08-01"), "requests": ("not due", None)}
    assert why(found) == {"people": None, "requests": "nothing left to erase"}  # subject is empty
    assert rules(status(d, 2))["people"] == ("later", due_from(d, 20, "18 months"))
    assert rules(status(d, 3))["people"] == ("not due", None)
    assert why(status(d, 3))["people"] == "a request that is open, or has no date"
    assert rules(status(d, 9))["people"] == ("not due", None) and why(status(d, 9))["people"] == "no request"
    d.pg.sql(d.db, "UPDATE request SET subject = 's' WHERE contact_id = 5")
    assert rules(status(d, 5))["requests"] == ("due", due_from(d, 51, "30 months"))
    assert [p["requests"] for p in status(d, 5)["policies"]] == [None, 2]
    found = status(d, " 077 ")
    assert (found["contact"], found["known"], found["policies"]) == ("77", "no", [])
    # The day that is named is the day: on the day before, no pass reaches it.
    for when, due in (("2016-07-31", 0), ("2016-08-01", 1)):
        seen = json.loads(d.ctl("preview", "people", "--as-of", when, "--json").stdout)
        assert ("1" in (seen["first_keys"] or [])) == bool(due)


def test_held_and_erased_by_which_action(people):
    d = people
    d.ctl("hold", "add", "4", "--reason", "case 7")
    found = status(d, 4)
    assert rules(found)["people"] == ("held", "2016-07-02") and found["hold"]["reason"] == "case 7"
    d.once()
    job = d.jobs("policy = 'people'")[0]
    found = status(d, 1)
    assert found["known"] == "no" and found["policies"] == []
    assert [(e["erasure"], e["id"], e["archive"]) for e in found["erased"]] == [("delete_contacts", job["id"], job["archive_path"])]
    text = d.ctl("subject", "status", "1").stdout
    assert job["archive_path"] in text and "in the ledger:" in text and "canary" not in text
    assert status(d, 4)["known"] == "yes" and status(d, 4)["erased"] == []
    restore(d, job)
    assert [e["erasure"] for e in status(d, 1)["erased"]] == ["delete_contacts", "restored"]
    d.ctl("archive", "delete", job["id"])
    assert status(d, 1)["erased"][0]["archive"].startswith("deleted on ")


def test_asked_for_and_brought_back(people):
    d = people
    backup = d.pg.dump(d.db)
    d.once()
    job = save(d, "delete", 9)
    assert [(a["id"], a["action"], a["status"]) for a in status(d, 9)["asked"]] == [(job, "delete_contacts", "saved")]
    put_back(d, backup)
    assert d.once(check=False).returncode == 1
    found = status(d, 1)
    assert (found["known"], found["remark"], found["erased"]) == ("yes", "waits for a replay", [])
    d.ctl("replay", "--yes")
    d.once()
    found = status(d, 1)
    assert (found["known"], found["remark"]) == ("no", None)
    # The line of the action that the backup has forgotten, and that of the replay.
    assert [(e["erasure"], e["archive"] == "not in the journal") for e in found["erased"]] == [("delete_contacts", True), ("delete_contacts", False)]
    # A request's key is not the contact's.
    d.pg.tamper(d.db, "INSERT INTO retention.ledger (job, action, key) VALUES (1, 'anonymize_requests', '9')")
    assert status(d, 9)["erased"] == []


def test_without_the_contacts(people, pg):
    """An auditor without a configuration, or without the right to read the contacts, sees what the schema retention has."""
    d = people
    d.once()
    pg.sql(d.db, "CREATE ROLE status_auditor LOGIN; GRANT retention_auditor TO status_auditor")
    try:
        args = ("-d", pg.conninfo(d.db, "status_auditor"), "subject", "status", "1", "--json")
        found = json.loads(subprocess.run([BUILD / "retentionctl", *args], capture_output=True, check=True).stdout)
        assert found["known"] == "not checked: no configuration was read" and found["policies"] == []
        assert [e["erasure"] for e in found["erased"]] == ["delete_contacts"]
        d.configure(user="status_auditor")
        found = status(d, 1)
        assert found["known"].startswith("not checked: ") and len(found["erased"]) == 1
    finally:
        d.configure(user=None)
        pg.sql(d.db, "DROP OWNED BY status_auditor; DROP ROLE status_auditor")


def test_no_key(people):
    done = people.ctl("subject", "status", "abc", check=False)
    assert done.returncode == 1 and '"abc" is not a valid contact key: it should be a bigint' in done.stderr


@pytest.mark.parametrize("kind", ["smallint", "integer", "bigint", "numeric", "double precision"])
def test_a_number_is_written_in_decimal_digits(pg, daemon, kind):
    """Whatever the server reads as a number besides: 0x7 is 7 from PostgreSQL 16 on."""
    d = daemon(contacts=60)
    for key in ("0x7", "0o7", "0b111", "1_000", "7e0", "Infinity", "NaN", "", "--7", "7 7"):
        assert pg.value(d.db, "SELECT retention.canonical_key(%s, %s)", (key, kind)) is None, key
    assert pg.value(d.db, "SELECT retention.canonical_key(E' 7\n', %s)", (kind,)) == "7"
    d.check_config()
    done = d.ctl("subject", "delete", "0x7", check=False)
    assert (done.returncode, d.jobs()) == (1, []) and '"0x7" is not a valid contact key: it should be a bigint' in done.stderr


def test_a_configuration_that_is_named_is_read(people, pg):
    """-d says as whom; -c still says which table the contacts are in."""
    d = people
    done = d.ctl("-d", pg.conninfo(d.db), "hold", "add", "4711", "--reason", "case", check=False)
    assert (done.returncode, done.stderr) == (1, "retentionctl: there is no contact 4711: no hold was placed\n")
    done = d.ctl("-d", pg.conninfo(d.db), "hold", "add", "1", "--reason", "case")
    assert done.stdout == "hold 1 placed on contact 1\n"


def test_why_somebody_is_not_due(make):
    """Staff in the same table, another brand, a text that is no date: each has its reason, in French, too."""
    d = make(small.SCHEMA + """;
        ALTER TABLE contact ADD kind text; ALTER TABLE request ALTER at TYPE text USING at::text;
        INSERT INTO contact (id, kind, brand) VALUES (1, 'agent', 'a'), (2, 'customer', 'b'), (3, 'customer', 'a'), (4, 'customer', 'a');
        INSERT INTO request (contact_id, at) SELECT id, CASE WHEN id = 4 THEN 'n/a' ELSE '2015-01-01' END FROM contact""",
             small.model({"where": "kind = 'customer'"}, {"date_unit": "iso", "due_when": "status = 'closed'"}),
             small.policy(scope="contact.brand = 'a'"))
    reasons = {n: why(status(d, n))["p"] for n in (1, 2, 3, 4)}
    assert reasons == {1: "not a contact of the model", 2: "outside the scope", 3: None, 4: "a date that cannot be read"}
    french = d.ctl("subject", "status", "2", env=FRENCH).stdout
    assert "hors de la portée" in french
