"""
A client that commits in the very moment in which a batch works on its rows: whatever it has changed
counts, nothing of it is erased, nothing is left behind.
"""

import re
import subprocess

import pytest

from support.clients import race
from support.harness import wait_until
from support.jobs import DONE, KILLED, REFUSED, rests_on_triggers
from support.oracles import missing_contacts
from support.small import MESSAGE, MESSAGES, SCHEMA, TWO, archived, failures, keys, model, policy

LIMITS = {"workers": 1, "max_share": 1.0}


@pytest.mark.by_set_too
@pytest.mark.parametrize("due_when", [None, "status = 'closed'"])
def test_a_request_is_reopened(make, due_when):
    """An UPDATE of a request takes no lock on its contact."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES, request={"due_when": due_when}),
             policy(archive="full"), limits=LIMITS)
    race(d, "UPDATE request SET status = 'open', at = now() WHERE id = 11")
    assert keys(d.pg, d.db) == {1, 2} and keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 20}
    assert d.jobs()[-1]["counters"]["dropped"] == 1


def test_a_request_is_reopened_while_its_contact_is_anonymized(make):
    d = make(SCHEMA + TWO + MESSAGE, model(
        message=MESSAGES, contact={"clear": ["name"], "keep": ["id", "brand", "created"]},
        request={"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"], "due_when": "status = 'closed'"}),
        policy("anonymize_contacts"), limits=LIMITS)
    d.pg.sql(d.db, "UPDATE contact SET name = 'n'; UPDATE request SET subject = 's'")
    race(d, "UPDATE request SET status = 'open', at = now(), subject = 'new words' WHERE id = 11")
    assert d.pg.sql(d.db, "SELECT name FROM contact") == [("n",), ("n",)]
    assert d.pg.value(d.db, "SELECT subject FROM request WHERE id = 11") == "new words"


@pytest.mark.by_set_too
def test_requests_move_to_another_contact(make):
    """The CRM merges contact 1 into contact 2."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    race(d, "UPDATE request SET contact_id = 2 WHERE contact_id = 1")
    assert keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 20}
    assert keys(d.pg, d.db, "SELECT id FROM message") == {100, 110, 200}


@pytest.mark.by_set_too
@pytest.mark.parametrize("attachments", [False, True])
def test_a_message_moves_to_another_request(make, attachments):
    """Also where something hangs off it, so that it is erased by its own key."""
    extra, more = "", {}
    if attachments:
        extra = """; CREATE TABLE attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES message);
            CREATE INDEX ON attachment (message_id); INSERT INTO attachment SELECT id, id FROM message"""
        more = {"attachment": {"table": "attachment", "key": "id", "of": "message", "by": "message_id"}}
    d = make(SCHEMA + TWO + MESSAGE + extra, model(message=MESSAGES, **more), policy(archive="full"), limits=LIMITS)
    race(d, "UPDATE message SET request_id = 20 WHERE id = 100")
    assert keys(d.pg, d.db) == {2} and keys(d.pg, d.db, "SELECT id FROM message") == {100, 200}
    assert {row[0] for row in archived(d, "message")} == {"110"}
    if attachments:
        assert keys(d.pg, d.db, "SELECT id FROM attachment") == {100, 200}


@pytest.mark.by_set_too
@pytest.mark.parametrize("how", ["CASCADE", "SET NULL", "NO ACTION"])
def test_a_message_is_added(make, how):
    """Archived or still there with its request; never gone without a trace, never without its request."""
    d = make(SCHEMA + TWO + MESSAGE.replace("REFERENCES request", f"REFERENCES request ON DELETE {how}"),
             model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    race(d, "INSERT INTO message VALUES (999, 11, 'new words')")
    there = d.pg.sql(d.db, "SELECT request_id FROM message WHERE id = 999")
    assert ("999" in {row[0] for row in archived(d, "message")}) != bool(there)
    assert not there or there[0][0] == 11


@pytest.mark.by_set_too
def test_an_attachment_is_added_where_it_would_cascade(make):
    """Messages are locked when they are collected, since a key onto them acts without a word."""
    d = make(SCHEMA + TWO + MESSAGE + """; CREATE TABLE attachment (id bigint PRIMARY KEY,
            message_id bigint REFERENCES message ON DELETE CASCADE); CREATE INDEX ON attachment (message_id)""",
             model(message=MESSAGES, attachment={"table": "attachment", "key": "id", "of": "message",
                                                 "by": "message_id"}), policy(archive="full"), limits=LIMITS)
    race(d, "INSERT INTO attachment VALUES (1, 100)")
    there = d.pg.sql(d.db, "SELECT message_id FROM attachment")
    assert ("1" in {row[0] for row in archived(d, "attachment")}) != bool(there)


def test_a_hold_waits_for_the_batch(make):
    """Placed while a batch works on the contact: it returns when that has ended, one way or the other."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    placed = []

    def place():
        process = subprocess.Popen(d._command("retentionctl", "hold", "add", "1", "--reason", "court"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        placed.append((process, keys(d.pg, d.db)))
        wait_until(lambda: process.poll() is not None or d.pg.value(d.db, """
            SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1380275200 AND objid = 2
               AND NOT granted"""))

    race(d, "SELECT FROM message WHERE id = 100 FOR UPDATE", then=place)
    process, _ = placed[0]
    assert process.wait(60) == 0
    held_at, = d.pg.sql(d.db, "SELECT placed_at FROM retention.hold")[0]
    erased = d.pg.sql(d.db, "SELECT erased_at FROM retention.ledger")
    # Either the batch came first, or the contact is there: never erased under a hold that was in force.
    assert keys(d.pg, d.db) == {1, 2} if not erased else True
    committed = d.pg.value(d.db, "SELECT at FROM retention.journal_event WHERE kind = 'hold_placed'")
    finished = d.jobs()[-1]["finished_at"]
    assert not erased or committed >= erased[0][0], (held_at, finished)


def test_a_request_without_a_foreign_key(make):
    """Nothing keeps a client from attaching it: the batch looks once more before it commits."""
    d = make(SCHEMA.replace("REFERENCES contact,", ",") + TWO + MESSAGE, model(message=MESSAGES),
             policy(archive="full"), limits=LIMITS)
    race(d, "SELECT FROM message WHERE id = 100 FOR UPDATE; INSERT INTO request (id, contact_id, at) VALUES (12, 1, now())")
    assert keys(d.pg, d.db) == {1, 2} and keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 12, 20}


@rests_on_triggers
def test_a_trigger_puts_the_row_back(make):
    """AFTER DELETE: archived, and there again."""
    d = make(SCHEMA + TWO + MESSAGE + """;
        CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO message SELECT OLD.*; RETURN NULL; END $$;
        CREATE TRIGGER back AFTER DELETE ON message FOR EACH ROW WHEN (OLD.id = 100) EXECUTE FUNCTION back();
        ALTER TABLE message DROP CONSTRAINT message_request_id_fkey""", model(message=MESSAGES),
             policy(archive="full"), limits=LIMITS)
    d.once(check=False)
    assert keys(d.pg, d.db) == {1, 2} and keys(d.pg, d.db, "SELECT id FROM message") == {100, 110, 200}
    assert "kept 1 rows from being deleted" in failures(d)[0][1]


@pytest.mark.by_set_too
def test_foreign_keys_that_do_not_speak(make, pg):
    d = make(SCHEMA + TWO, model(), policy(archive="full"), limits=LIMITS)
    pg.psql("postgres", "-c", f"ALTER DATABASE {d.db} SET session_replication_role = replica")
    done = d.once(check=False)
    assert done.returncode == 1 and "session_replication_role is replica" in done.stderr
    assert keys(d.pg, d.db) == {1, 2}


SLOW = {"workers": 2, "batch_rows": 20, "rows_per_second": 1500}


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
@pytest.mark.parametrize("change", ["ADD COLUMN mood text DEFAULT 'good'", "RENAME COLUMN summary TO mood"])
def test_a_table_changes_under_the_job(job, action, change):
    """What the new column holds would be archived by no COPY, and cleared by no rule."""
    j = job(action=action, archive="full" if action == "delete_contacts" else "none", limits=SLOW)
    run = j.start()
    j.begun()
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"ALTER TABLE crm.request {change}")
        cur.execute("SELECT count(*) FROM retention.ledger")
        erased = cur.fetchone()[0]
        conn.commit()
    # Looked at anew at once: the model has no rule for the column.
    assert run.wait() == REFUSED and re.search('table "request": .*(mood|summary)', run.note()), run.text()
    assert re.search("is not what it was when the job looked at it|summary.* does not exist", run.text())
    assert erased == len(j.ledger()) < j.value("SELECT candidates FROM retention.archive_journal")


@rests_on_triggers
def test_a_trigger_misses_its_table(job):
    """What the next look at the model does not find, either, ends in a refusal, not in tries for ever."""
    j = job(archive="full")
    j.sql("""CREATE FUNCTION crm.audit() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO crm.audit_log SELECT OLD.id; RETURN OLD; END $$;
             CREATE TRIGGER audit BEFORE DELETE ON crm.message FOR EACH ROW EXECUTE FUNCTION crm.audit()""")
    assert j.run() == REFUSED and "audit_log" in j.last.note(), j.last.text()
    assert j.ledger() == missing_contacts(j)


def test_a_cascading_table_appears(job):
    """A migration of the CRM while the job runs: not one row of the new table vanishes."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    j.sql("""CREATE TABLE crm.badge (id int, contact_id bigint REFERENCES crm.contact ON DELETE CASCADE);
             INSERT INTO crm.badge SELECT id, id FROM crm.contact; CREATE INDEX ON crm.badge (contact_id)""")
    badges = j.value("SELECT count(*) FROM crm.badge")
    assert run.wait() == REFUSED and "is not what it was when the job looked at it" in run.text()
    assert "crm.badge" in run.note()
    assert j.value("SELECT count(*) FROM crm.badge") == badges
    j.sql("DROP TABLE crm.badge")
    assert j.run() == DONE


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_the_folder_goes(job, how, tmp_path):
    """What is written to a file that has no name any more is nowhere: not one batch commits after it."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    folder = j.partial()
    if how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert run.wait() == REFUSED and re.search("was moved or deleted|which holds rows", run.note())
    erased = len(j.ledger())
    if how == "moved":
        rows = sum(1 for path in (tmp_path / "elsewhere").glob("contact.csv.*")
                   for line in path.read_text().splitlines())
        assert rows >= erased
        (tmp_path / "elsewhere").rename(folder)
        assert j.run() == DONE
    else:
        assert j.run() == REFUSED and len(j.ledger()) == erased


def test_a_planted_manifest(job):
    """It does not make the job believe that the segments were joined already."""
    j = job(limits={"workers": 2, "batch_rows": 500})
    assert j.run("finish-begin") == KILLED
    (j.partial() / "manifest.json").write_text("{}")
    assert j.run() == DONE
    done = j.daemon.ctl("archive", "verify", j.id, check=False)
    assert done.returncode == 0, done.stderr
