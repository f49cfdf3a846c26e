"""
A client commits in the very moment in which a batch works on its rows: its changes count, none of them is erased,
and nothing is left behind.
"""

import re
import shutil
import subprocess
import threading

import pytest

from support.clients import race
from support.harness import wait_until
from support.jobs import DONE, KILLED, REFUSED, hold_batches, rests_on_triggers
from support.locks import HOLDS_WAITING
from support.oracles import check_all_erased, check_done, missing_contacts
from support.small import MESSAGE, MESSAGES, SCHEMA, TWO, archived, failures, keys, model, policy

pytestmark = pytest.mark.safety

LIMITS = {"workers": 1, "max_share": 1.0}


@pytest.mark.safety(by_set_with=4)
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


@pytest.mark.safety(by_set_with=4)
def test_requests_move_to_another_contact(make):
    """The CRM merges contact 1 into contact 2."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    race(d, "UPDATE request SET contact_id = 2 WHERE contact_id = 1")
    assert keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 20}
    assert keys(d.pg, d.db, "SELECT id FROM message") == {100, 110, 200}


@pytest.mark.safety(by_set_with=4)
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


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("how", ["CASCADE", "SET NULL", "NO ACTION"])
def test_a_message_is_added(make, how):
    """The message is archived, or still there with its request: never gone without a trace, never alone."""
    d = make(SCHEMA + TWO + MESSAGE.replace("REFERENCES request", f"REFERENCES request ON DELETE {how}"),
             model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    race(d, "INSERT INTO message VALUES (999, 11, 'new words')")
    there = d.pg.sql(d.db, "SELECT request_id FROM message WHERE id = 999")
    assert ("999" in {row[0] for row in archived(d, "message")}) != bool(there)
    assert not there or there[0][0] == 11


@pytest.mark.safety(by_set_with=4)
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
    """A hold that is placed while a batch works on the contact is answered when the batch has ended, not before."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    hold_batches(d)
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND NOT granted"
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        batch = threading.Thread(target=d.once)
        batch.start()
        wait_until(lambda: d.pg.value(d.db, waits, (0, 4711)), what="a batch that has erased the contact")
        hold = subprocess.Popen(d._command("retentionctl", "hold", "add", "1", "--reason", "court"),
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: hold.poll() is not None or d.pg.value(d.db, HOLDS_WAITING), what="the hold waits")
        assert hold.poll() is None, "the hold was answered while the batch was at work"
        assert d.pg.value(d.db, "SELECT count(*) FROM retention.hold") == 0
    batch.join()
    assert hold.wait(60) == 0, hold.stderr.read()
    # The batch came first: the hold is of a contact that is gone, and says so to nobody before.
    assert keys(d.pg, d.db) == {2} and d.pg.value(d.db, "SELECT count(*) FROM retention.hold") == 1


def test_a_request_without_a_foreign_key(make):
    """No key keeps a client from attaching one, so the batch looks once more before it commits."""
    d = make(SCHEMA.replace("REFERENCES contact,", ",") + TWO + MESSAGE, model(message=MESSAGES),
             policy(archive="full"), limits=LIMITS)
    race(d, "SELECT FROM message WHERE id = 100 FOR UPDATE; INSERT INTO request (id, contact_id, at) VALUES (12, 1, now())")
    assert keys(d.pg, d.db) == {1, 2} and keys(d.pg, d.db, "SELECT id FROM request") == {10, 11, 12, 20}


@rests_on_triggers
def test_a_request_comes_behind_the_requests(make):
    """Without a foreign key: when the contact's requests have gone, and the contact itself has not."""
    d = make(SCHEMA.replace("REFERENCES contact,", ",") + TWO + MESSAGE + """;
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN OLD; END $$;
        CREATE TRIGGER wait BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION wait()""",
             model(message=MESSAGES), policy(archive="full"), limits=LIMITS)
    waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 4711 AND NOT granted"
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        job = threading.Thread(target=lambda: d.once(check=False))
        job.start()
        wait_until(lambda: d.pg.value(d.db, waits), what="a batch that has erased the requests")
        d.pg.sql(d.db, "INSERT INTO request (id, contact_id, at) VALUES (12, 1, now())")
    job.join()
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


@pytest.mark.safety(by_set_with=4)
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
    """
    No COPY would archive the new column, and no rule would clear it.  A job with an archive ends there, and the
    action for the rest waits; a job without one waits itself.
    """
    j = job(action=action, archive="full" if action == "delete_contacts" else "none", limits=SLOW)
    run = j.start()
    j.begun()
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"ALTER TABLE crm.request {change}")
        cur.execute("SELECT count(*) FROM retention.ledger")
        erased = cur.fetchone()[0]
        conn.commit()
    status, j.last = run.wait(), run
    assert re.search("is not what it was when the job looked at it|summary.* does not exist", run.text())
    if action == "delete_contacts":
        assert status == DONE and "ended early, because" in run.note(), run.text()
        j.daemon.ctl("archive", "verify", j.rest())
        status = j.run()
    # Looked at anew at once: the model has no rule for the column.
    assert status == REFUSED and re.search('table "request": .*(mood|summary)', j.last.note()), j.last.text()
    assert erased == len(j.ledger()) < j.value("SELECT max(candidates) FROM retention.archive_journal")
    if action == "delete_contacts":
        assert j.ledger() == missing_contacts(j)


@rests_on_triggers
@pytest.mark.parametrize("begun", [False, True])
def test_a_trigger_misses_its_table(job, begun):
    """
    A failure that the next look at the model does not explain ends in a refusal, not in endless tries, nor in
    endless actions: no table of the model has changed.
    """
    j = job(archive="full", limits=SLOW)
    if begun:
        assert j.run("batch-after-ledger:2") == KILLED
    erased = len(j.ledger())
    assert (erased > 0) == begun
    j.sql("""CREATE FUNCTION crm.audit() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO crm.audit_log SELECT OLD.id; RETURN OLD; END $$;
             CREATE TRIGGER audit BEFORE DELETE ON crm.message FOR EACH ROW EXECUTE FUNCTION crm.audit()""")
    assert j.run() == REFUSED and "crm.audit()" in j.last.note(), j.last.text()
    assert j.ledger() == missing_contacts(j) and len(j.ledger()) == erased
    assert j.value("SELECT array_agg(status) FROM retention.archive_journal") == ["running"]
    assert j.events("changed") == []
    j.sql("CREATE TABLE crm.audit_log (id bigint)")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)


def test_a_cascading_table_appears(job):
    """A migration of the CRM while the job runs: not one row of the new table vanishes."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    j.sql("""CREATE TABLE crm.badge (id int, contact_id bigint REFERENCES crm.contact ON DELETE CASCADE);
             INSERT INTO crm.badge SELECT id, id FROM crm.contact; CREATE INDEX ON crm.badge (contact_id)""")
    badges = j.value("SELECT count(*) FROM crm.badge")
    assert run.wait() == DONE and "is not what it was when the job looked at it" in run.text(), run.text()
    erased = len(j.ledger())
    j.daemon.ctl("archive", "verify", j.rest())
    assert j.run() == REFUSED and "crm.badge" in j.last.note(), j.last.text()
    assert j.value("SELECT count(*) FROM crm.badge") == badges
    assert len(j.ledger()) == erased and j.ledger() == missing_contacts(j)
    j.sql("DROP TABLE crm.badge")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)


@pytest.mark.parametrize("how", ["deleted", "moved"])
def test_the_folder_goes(job, how, tmp_path):
    """Rows written to a file that has lost its name are nowhere, so not one batch commits after it."""
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    folder = j.partial()
    if how == "moved":
        folder.rename(tmp_path / "elsewhere")
    else:
        wait_until(lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists())  # a worker may just begin a file
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


@pytest.mark.safety(workers=(2, 4))  # with one worker nothing is joined
def test_a_half_joined_file_beside_a_manifest(job):
    """Killed while a file was joined, and somebody put a manifest there: the file is joined anew."""
    j = job(limits={"workers": 2, "batch_rows": 500})
    assert j.run("finish-after-join") == KILLED
    joined = (j.partial() / "contact.csv").read_bytes()
    (j.partial() / "contact.csv").write_bytes(joined[:-1])
    (j.partial() / "manifest.json").write_text("{}")
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_a_planted_manifest(job):
    """It does not make the job believe that the segments were joined already."""
    j = job(limits={"workers": 2, "batch_rows": 500})
    assert j.run("finish-begin") == KILLED
    (j.partial() / "manifest.json").write_text("{}")
    assert j.run() == DONE
    done = j.daemon.ctl("archive", "verify", j.id, check=False)
    assert done.returncode == 0, done.stderr
