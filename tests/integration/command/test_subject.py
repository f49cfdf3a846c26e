"""What one person may ask for: a copy (GDPR art. 15 and 20), an erasure (art. 17)."""

import json
import os
import re

import pytest

from support.oracles import after_anonymize_contacts, reporting_numbers, table_digests, tokens_in


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
    assert d.jobs(f"id = {save(d, 'delete', key)}")[0]["candidates"] == 0


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
    assert done.returncode == 1 and "contact 7 is on hold: action 2 is cancelled" in done.stderr
    assert {j["status"] for j in d.jobs()} == {"cancelled"}


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
