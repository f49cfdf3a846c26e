"""
A delete pass beside clients that insert, lock, hold, create tables and put triggers, and beside other processes
that want the same job.  No contact that came back is erased, and no client pays for the pass.
"""

import itertools
import os
import random
import signal

import psycopg2
import pytest

from support.clients import clients, locks
from support.harness import wait_until
from support.jobs import (DONE, INCOMPLETE, KILLED, LIMITS, REFUSED, SLOW, STOPPED, TAKEN, hold_batches, rests_on_triggers,
                          workers)
from support.locks import AT_THE_FENCE, END_CLAIM
from support.oracles import check_all_erased, check_done, check_references, csv_rows, due_before, missing_contacts

pytestmark = pytest.mark.safety

SEED = int(os.environ.get("RETENTION_SEED") or random.SystemRandom().randrange(1 << 30))


# --- Writers ------------------------------------------------------------------------------------

NEW_REQUEST = """
    WITH r AS (INSERT INTO crm.request (contact_id, reason, status, channel)
               VALUES (%s, 'question', %s, 'mail') RETURNING *)
    INSERT INTO before.request SELECT * FROM r"""
NEW_MESSAGE = """
    WITH m AS (INSERT INTO crm.message (request_id, direction, channel, sender, recipient, body, sent_at)
               VALUES (%s, 'in', 'mail', 'a', 'b', %s, now()) RETURNING *)
    INSERT INTO before.message SELECT * FROM m"""


@pytest.mark.safety(by_set_with=4)
def test_writers(job):
    """What is inserted also goes into schema before: so all that ever was is either there or archived."""
    j = job(limits=SLOW)
    due, everybody = sorted(due_before(j)), [c for (c,) in j.sql("SELECT id FROM crm.contact")]
    owner = dict(j.sql("SELECT id, contact_id FROM crm.request"))
    inserted, refused, numbers = [], [], itertools.count()

    def attempt(conn, contact, query, args, kept):
        with conn.cursor() as cur:
            try:
                cur.execute(query, args)
                inserted.append((contact, kept))
            except psycopg2.Error as error:
                refused.append((contact, error.pgcode))

    def new_request(conn, dice):
        contact = dice.choice(due if dice.random() < 0.2 else everybody)
        attempt(conn, contact, NEW_REQUEST, (contact, dice.choice(("open", "closed"))), True)

    def new_message(conn, dice):
        request = dice.choice(list(owner))
        attempt(conn, owner[request], NEW_MESSAGE, (request, f"{next(numbers)}\n; \"x\""), False)

    run = j.start()
    j.begun()  # listed: who comes back from now on drops out of the list
    with clients(j, new_request, new_message, new_message):
        assert run.wait() == DONE, run.text()
    gone = missing_contacts(j)
    assert len(inserted) > 100
    assert any(c in due for c, kept in inserted if kept), "nobody came back in time"
    # A contact with a request newer than the cutoff is there, and so is that request.
    assert not gone & {c for c, kept in inserted if kept}
    assert j.value("""SELECT count(*) FROM before.request b WHERE created_at > now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM crm.request r WHERE r.id = b.id)""") == 0
    assert j.value("""SELECT count(*) FROM before.message b JOIN before.request r ON r.id = request_id
        WHERE contact_id <> ALL (%s) AND NOT EXISTS (SELECT FROM crm.message m WHERE m.id = b.id)""",
                   (list(gone),)) == 0
    # Only those who are gone refuse an insert, and by their foreign key.
    assert {code for _, code in refused} <= {"23503"}
    assert {c for c, _ in refused} <= gone
    # Who was due and did not come back went, and everybody who did is told.
    assert gone == set(due) - {c for c, kept in inserted if kept}
    dropped = {int(k) for e in j.events("dropped") for k in e["keys"]}
    assert dropped == set(due) - gone
    check_done(j)


@pytest.mark.safety(by_set_with=4)
def test_a_locked_row_is_left_for_a_later_sweep(job):
    j = job()
    due = sorted(due_before(j))
    document = j.value("SELECT min(id) FROM crm.contact_document WHERE contact_id = ANY (%s)", (due[20:],))
    owner = j.value("SELECT contact_id FROM crm.contact_document WHERE id = %s", (document,))
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT FROM crm.contact WHERE id = %s FOR UPDATE", (due[3],))
        cur.execute("SELECT FROM crm.contact_document WHERE id = %s FOR UPDATE", (document,))
        run = j.start()
        wait_until(lambda: j.left() == 2 and "locked" in (j.row()["waiting"] or ""))
        assert {int(k) for (k,) in j.sql("SELECT key FROM retention.candidate")} == {due[3], owner}
        wait_until(lambda: run.waits_for("locked"), what=run.text)
        assert run.running()
        conn.rollback()
    assert run.wait() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_a_locked_contact_is_not_waited_for(job):
    j = job()
    locked = sorted(due_before(j))[3]
    since = j.pg.log_position()
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT FROM crm.contact WHERE id = %s FOR UPDATE", (locked,))
        run = j.start()
        wait_until(lambda: j.left() == 1 and run.waits_for("locked"), what=run.text)
        assert "due to lock timeout" not in j.pg.log_text(since)
        conn.rollback()
    assert run.wait() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_a_writer_is_never_the_victim_of_a_deadlock(job):
    """They lock a request, or a message, and then its contact; we the contact and then what is below it."""
    j = job(limits=SLOW)
    rows = j.sql("""SELECT 'request SET reason = reason', min(id), contact_id FROM crm.request WHERE contact_id = ANY (%(due)s) GROUP BY 3
        UNION ALL SELECT 'message SET body = body', min(m.id), r.contact_id FROM crm.message AS m JOIN crm.request AS r
            ON r.id = m.request_id WHERE r.contact_id = ANY (%(due)s) GROUP BY 3""", {"due": list(due_before(j))})
    crossed = []

    def cross(conn, dice):
        update, row, contact = dice.choice(rows)
        with conn.cursor() as cur:
            cur.execute("BEGIN")
            cur.execute(f"UPDATE crm.{update} WHERE id = %s", (row,))
            cur.execute("SELECT pg_sleep(0.02)")
            cur.execute("UPDATE crm.contact SET country = country WHERE id = %s", (contact,))
            crossed.append(cur.rowcount)
            cur.execute("COMMIT")

    run = j.start()
    with clients(j, *[cross] * 4):
        wait_until(lambda: len(crossed) > 200 or not run.running(), timeout=60)
    assert run.wait() == DONE, run.text()
    assert 1 in crossed
    assert j.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_a_writer_that_a_batch_waits_for_goes_first(job):
    """The batch has its contact and waits for its message; it lets go before the server looks for a deadlock."""
    j = job()
    message, contact = j.sql("""SELECT m.id, r.contact_id FROM crm.message AS m JOIN crm.request AS r ON r.id = m.request_id
        WHERE r.contact_id = ANY (%s) ORDER BY 1 LIMIT 1""", (list(due_before(j)),))[0]
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("UPDATE crm.message SET body = body WHERE id = %s", (message,))
        run = j.start()
        wait_until(lambda: j.value("""SELECT count(*) FROM pg_stat_activity WHERE application_name = 'retention-job'
            AND datname = current_database() AND %s = ANY (pg_blocking_pids(pid))""", (conn.info.backend_pid,)), what=run.text)
        cur.execute("UPDATE crm.contact SET country = country WHERE id = %s", (contact,))
        assert cur.rowcount == 1
        conn.rollback()
    assert run.wait() == DONE, run.text()
    assert j.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_a_hold_placed_meanwhile_is_honoured(job):
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    # The last ones of the first worker's run: their turn has not come.
    held = set(sorted(due_before(j))[250:254])
    assert not held & missing_contacts(j)
    for contact in held:
        j.sql("SELECT retention.place_hold(%s, 'a case in court')", (str(contact),))
    assert run.wait() == DONE
    assert missing_contacts(j) == due_before(j) - held
    assert {int(k) for e in j.events("dropped") for k in e["held"]} == held
    check_done(j)


# --- One bad contact ----------------------------------------------------------------------------


def check_failed(j, due, failed):
    row, n = j.row(), len(failed)
    assert row["counters"]["failed"] == n and row["error"].startswith(f"{n} contacts could not be deleted")
    assert missing_contacts(j) == set(due) - set(failed)
    check_done(j)


def failures_of(j):
    return {int(e["keys"][0]): (e["sqlstate"], e["message"]) for e in j.events("failed_key")}


@rests_on_triggers
def test_a_contact_that_a_key_holds_is_named(job):
    """Of a table that appears under the job: its key refuses by itself, and nothing else of the pass stops for it."""
    j = job(limits=SLOW)
    due = sorted(due_before(j))
    run = j.start()
    j.begun()
    j.pg.psql(j.db, "-c", "CREATE TABLE public.later (contact_id bigint)",
              "-c", f"INSERT INTO public.later VALUES ({due[254]})",
              "-c", "ALTER TABLE public.later ADD FOREIGN KEY (contact_id) REFERENCES crm.contact")
    assert run.wait() == INCOMPLETE, run.text()
    failed = failures_of(j)
    assert set(failed) == {due[254]} and failed[due[254]][0] == "23503" and "later" in failed[due[254]][1]
    check_failed(j, due, failed)


@rests_on_triggers
def test_a_contact_that_cannot_be_deleted_is_named(job):
    """
    A trigger appears under the job, and raises, or says nothing.  The job ends early for the trigger, and the action
    for the rest names the contacts.
    """
    j = job(limits=SLOW)
    due = sorted(due_before(j))
    precious, kept = due[250], due[246]
    run = j.start()
    j.begun()
    j.pg.psql(j.db, "-c", f"""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF OLD.id = {precious} THEN
                RAISE EXCEPTION 'this one is precious';
            END IF;
            RETURN CASE WHEN OLD.id = {kept} THEN NULL ELSE OLD END;
        END $$""", "-c", """
        CREATE TRIGGER refuse BEFORE DELETE ON crm.contact FOR EACH ROW EXECUTE FUNCTION public.refuse()""")
    assert run.wait() == DONE, run.text()
    assert failures_of(j) == {} and {precious, kept} & j.ledger() == set()
    first = j.rest()
    assert j.run() == INCOMPLETE, j.last.text()
    failed = failures_of(j)
    assert set(failed) == {precious, kept}
    assert failed[precious][0] == "P0001" and "a function refuses it [PL/pgSQL function" in failed[precious][1]
    assert "were deleted" in failed[kept][1] or "kept" in failed[kept][1]
    row, = j.daemon.jobs(f"id = {j.id}")
    assert row["counters"]["failed"] == 2 and row["error"].startswith("2 contacts could not be deleted")
    # Exactly once, in one of the two archives.
    assert j.ledger() == missing_contacts(j) == set(due) - set(failed)
    assert sum(csv_rows(j, "contact.csv", action)[1] for action in (first, j.id)) == len(j.ledger())
    for action in (first, j.id):
        j.daemon.ctl("archive", "verify", action)
    assert j.left() == 0 and list(j.archives.glob("*.partial")) == []
    check_references(j)


@pytest.mark.safety(workers=(1,))
@rests_on_triggers
def test_a_hundred_failures_in_a_row(job):
    """When the first hundred contacts fail, each by itself, something else is wrong: the job ends, and a person is told."""
    j = job(limits={"workers": 1, "batch_rows": 100})
    j.sql("""CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
             CREATE TRIGGER refuse BEFORE DELETE ON crm.contact FOR EACH ROW EXECUTE FUNCTION public.refuse()""")
    assert j.run() == REFUSED, j.last.text()
    assert "the first 100 keys failed, each by itself, and none succeeded" in j.last.note()
    assert len(failures_of(j)) == 100 < j.row()["candidates"] and not missing_contacts(j)
    j.sql("DROP TRIGGER refuse ON crm.contact")
    assert j.run() == INCOMPLETE, j.last.text()
    check_failed(j, due_before(j), failures_of(j))


@rests_on_triggers
def test_a_right_that_is_revoked_is_nobodys_failure(job):
    """A refusal for a right is about the job, not about contacts: it ends, and none is recorded as failed."""
    j = job(limits=SLOW)
    role = j.pg.plain_role(j.db, grants="GRANT USAGE ON SCHEMA crm TO retention_plain;"
                                        "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA crm TO retention_plain")
    j.daemon.configure(user=role)
    run = j.start()
    j.begun()
    j.sql("REVOKE DELETE ON crm.contact FROM retention_plain")
    assert run.wait() == REFUSED, run.text()
    assert "permission denied for table contact" in run.note() and failures_of(j) == {}
    assert j.ledger() == missing_contacts(j)
    j.sql("GRANT DELETE ON crm.contact TO retention_plain")
    assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)


# --- Other processes ----------------------------------------------------------------------------


def test_two_processes_one_works(job):
    j = job(limits=SLOW)
    runs = [j.start() for _ in range(3)]
    statuses = [run.wait() for run in runs]
    assert sorted(statuses) == [DONE, TAKEN, TAKEN]
    assert j.row()["claim"] == 1
    check_done(j)
    check_all_erased(j)
    assert j.start().wait() == TAKEN, "it has ended"


def test_an_older_claim_stops(job):
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    j.sql("UPDATE retention.archive_journal SET claim = claim + 1")
    assert run.wait() == STOPPED
    assert "taken" in run.note()
    assert 0 < len(j.ledger()) < j.row()["candidates"]
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(workers=(1, 2))  # the list has 748 keys, too few for four
def test_one_batch_at_most_ends_under_an_older_claim(job):
    """The claim is raised while each worker has a batch under way: these may commit, and no other one."""
    j = job(limits={**LIMITS, "batch_rows": 60})
    hold_batches(j)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: locks(j, 4711, granted=False) == workers())
        j.sql("UPDATE retention.archive_journal SET claim = claim + 1")
    assert run.wait() == STOPPED, run.text()
    assert j.value("SELECT count(DISTINCT erased_at) FROM retention.ledger") <= workers()
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_another_host_leaves_it_to_the_one_with_the_files(job):
    j = job(limits=SLOW)
    run = j.start()
    j.begun()
    assert run.stop() == STOPPED
    j.archives.rename(j.archives.with_name("there"))
    j.archives.mkdir(mode=0o700)
    elsewhere = j.start(host="elsewhere")
    assert elsewhere.wait() == TAKEN
    assert "lies on host testhost" in elsewhere.note() and j.row()["waiting"] == elsewhere.note()
    j.archives.rmdir()
    j.archives.with_name("there").rename(j.archives)
    # Where the files can be reached, any host may go on.
    assert j.run(host="elsewhere") == DONE
    assert j.row()["host"] == "elsewhere"
    check_done(j)


@pytest.mark.safety(by_set_with=4)
@pytest.mark.parametrize("archive", ["full", "none"])
def test_a_process_that_was_stopped_wakes_up(job, archive):
    """
    The server has given it up (its sessions are gone) and a second one has the job: the first must
    neither erase nor, with what it still has in its buffers, write.
    """
    j = job(archive=archive, limits=SLOW)
    first = j.start()
    j.begun()
    first.signal(signal.SIGSTOP)
    j.cut_sessions()
    second = j.start()
    if archive == "full":
        wait_until(lambda: second.waits_for("open in another process"), what=second.text)
    else:
        assert second.wait() == DONE, second.text()
    first.signal(signal.SIGCONT)
    assert first.wait() in (STOPPED, TAKEN), first.text()
    assert second.wait() == DONE, second.text()
    check_done(j)
    check_all_erased(j)


def test_a_stopped_process_that_dies_leaves_its_files_to_the_next(job):
    j = job(limits=SLOW)
    first = j.start()
    j.begun()
    first.signal(signal.SIGSTOP)
    # Its sessions live: the claim is its own.
    assert j.start().wait() == TAKEN
    j.cut_sessions()
    second = j.start()
    wait_until(lambda: second.waits_for("open in another process"))
    first.kill()
    assert second.wait() == DONE, second.text()
    check_done(j)
    check_all_erased(j)


@pytest.mark.safety(by_set_with=4)
def test_a_stalled_network(job, proxy):
    """Nothing passes, the server drops the sessions, another process takes over, all comes back."""
    way = proxy()
    j = job(limits=SLOW)
    j.daemon.configure(host=way.dir)
    first = j.start()
    j.begun()
    way.stall()
    j.cut_sessions()
    j.daemon.configure(host=None)
    second = j.start()
    wait_until(lambda: second.waits_for("open in another process"))
    way.resume()
    assert first.wait() in (STOPPED, TAKEN), first.text()
    assert second.wait() == DONE, second.text()
    check_done(j)
    check_all_erased(j)


def test_the_fence_waits_for_a_batch_of_the_older_claim(job):
    """The first one's batch is under way while a second one has the claim: one after the other."""
    j = job()
    hold_batches(j)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        first = j.start()
        wait_until(lambda: locks(j, 4711, granted=False))
        first.signal(signal.SIGSTOP)
        # Only the session that holds the claim goes; the batch's transaction stays open.
        j.sql(END_CLAIM, (j.id,))
        second = j.start()
        wait_until(lambda: j.value(AT_THE_FENCE), what="the second one at the fence")
        assert j.row()["claim"] == 2 and not j.ledger()
        first.signal(signal.SIGCONT)
    assert first.wait() in (STOPPED, TAKEN), first.text()
    assert second.wait() == DONE, second.text()
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("how, status", [(signal.SIGTERM, STOPPED), (signal.SIGKILL, KILLED)], ids=["stopped", "killed"])
@pytest.mark.parametrize("table", ["contact", "contact_social"])
def test_ended_while_a_table_is_locked(job, table, how, status):
    """A client has it before the job has begun: the daemon takes the pass up again, as it takes up any other."""
    j = job()
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"LOCK TABLE crm.{table} IN ACCESS EXCLUSIVE MODE")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        run.signal(how)
        assert run.wait() == status, run.text()
        conn.rollback()
    assert "the server refuses" not in str(j.row()["error"])
    wait_until(lambda: not j.sessions())
    j.daemon.once()
    assert j.row()["status"] == "done"
    check_all_erased(j)
