"""
What has changed when a job goes on, or under it: its table, its model, its files, or that it is wanted at all.
"""

import re
import threading

import pytest

from support.harness import wait_until
from support.jobs import DONE, KILLED, REFUSED, SLOWER, STOPPED, TAKEN, days
from support.oracles import check_all_erased, check_done, check_rows_are_back, csv_rows, missing_contacts


def refused(j, *words):
    before = missing_contacts(j)
    assert j.run() == REFUSED, j.last.text()
    assert all(word in j.last.note() for word in words), j.last.note()
    assert missing_contacts(j) == before


def test_cancelled_while_it_is_listed(job):
    """Who cancels waits for the listing, and takes its list away."""
    j = job(manual=days(), archive="full")
    j.pg.psql(j.db, "-c", """
        CREATE FUNCTION public.hold_on() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$""", "-c", """
        CREATE TRIGGER zz AFTER INSERT ON retention.candidate
            FOR EACH STATEMENT EXECUTE FUNCTION public.hold_on()""")
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: j.value("""SELECT count(*) FROM pg_locks
            WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted"""))
        thread = threading.Thread(target=lambda: j.sql("SELECT retention.cancel_action(%s)", (j.id,)))
        thread.start()
        wait_until(lambda: not thread.is_alive() or j.value("""SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND query LIKE '%%cancel_action%%'"""))
    run.wait()
    thread.join()
    assert j.row()["status"] == "cancelled" and j.left() == 0


def test_withdrawn_before_it_began(job):
    """An approver cancels a validated pass whose job has died before its start: nothing goes, and nothing stands in the way."""
    j = job(archive="full")
    assert j.run(failpoint="job-before-start:1") == KILLED
    assert j.row()["status"] == "validated" and j.row()["validated_by"].startswith("policy ") and j.left() > 0
    j.sql("SELECT retention.cancel_action(%s)", (j.id,))
    run = j.start()
    assert run.wait() == TAKEN, run.text()
    assert j.row()["status"] == "cancelled" and j.left() == 0 and not j.ledger() and not missing_contacts(j)
    assert j.daemon.ctl("verify").returncode == 0
    (begun,) = j.archives.glob("*.partial")
    assert not list(begun.iterdir())
    begun.rmdir()
    # The policy's next pass takes them.
    j.id = j.value("SELECT retention.begin_occurrence(policy, %s, now(), now() + interval '1 day', action, depth, archive)"
                   " FROM retention.archive_journal WHERE id = %s", ("daily", j.id))
    assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)


def test_a_segment_is_cut_while_the_job_runs(job):
    """What would be written behind the cut is not: a file with a hole looks as long as it should be."""
    j = job(limits={**SLOWER, "workers": 1})
    run = j.start()
    j.begun(20)
    for path in j.partial().glob("contact.csv.*"):
        path.open("r+b").truncate(0)
    assert run.wait() == REFUSED, run.text()
    assert "contact.csv.0" in run.note() and "the disk lost them" in run.note()
    assert j.ledger() == missing_contacts(j)


def check_both(j, table, columns):
    """Before the change and after it, each in an archive of its own; both are verified, counted and restored."""
    first = j.rest()
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    (old, n_old), (new, n_new) = (csv_rows(j, f"{table}.csv", action) for action in (first, j.id))
    assert (set(old) ^ set(new)) == columns and n_old > 0 and n_new > 0
    all_rows = j.value(f"SELECT count(*) FROM before.{table}")
    assert n_old + n_new == all_rows - j.value(f"SELECT count(*) FROM crm.{table}")
    for action, n in ((j.id, n_new), (first, n_old)):
        row, = j.daemon.jobs(f"id = {action}")
        assert row["counters"]["rows"][table] == n
        j.daemon.ctl("archive", "verify", action)  # or it fails
        j.daemon.ctl("archive", "restore", action, "--disable-triggers")
    assert j.value(f"SELECT count(*) FROM crm.{table}") == all_rows
    check_rows_are_back(j, table)


@pytest.mark.parametrize("how", ["killed", "stopped", "while it runs"])
def test_a_table_has_another_column(job, how):
    """One file cannot hold both: the job ends there, and a new action does the rest in an archive of its own."""
    j = job(limits=SLOWER)
    if how == "killed":
        j.daemon.configure(limits={**SLOWER, "workers": 1})
        assert j.run("batch-after-ledger:6") == KILLED
    else:
        run = j.start()
        j.begun(20)
    if how == "stopped":
        assert run.stop() == STOPPED
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text DEFAULT 'good'")
    if how == "while it runs":
        assert run.wait() == DONE and "table crm.message is not what it was" in run.text(), run.text()
        j.last = run
    else:
        assert j.run() == DONE, j.last.text()
    assert "ended early, because table crm.message is not what it was" in j.last.note()
    check_both(j, "message", {"mood"})


def test_another_column_where_the_first_worker_has_none(job):
    """Only its file has a header: what the others have written, the journal knows."""
    j = job(limits={**SLOWER, "workers": 2})
    assert j.run("job-before-start") == KILLED
    for schema in ("crm", "before"):
        j.sql(f"""DELETE FROM {schema}.contact_social WHERE contact_id NOT IN (
            SELECT key::bigint FROM retention.candidate WHERE n / 256 % 2 = 1)""")
    while not j.value("""SELECT sum(bytes) FROM retention.archive_file
            WHERE worker = 1 AND table_name = 'contact_social'"""):
        assert j.run("batch-after-ledger:1") == KILLED
    assert not j.value("""SELECT sum(bytes) FROM retention.archive_file
        WHERE worker = 0 AND table_name = 'contact_social'""")
    j.sql("ALTER TABLE crm.contact_social ADD COLUMN mood text DEFAULT 'good'")
    for schema in ("crm", "before"):
        j.sql(f"""INSERT INTO {schema}.contact_social (id, contact_id, network, account)
            SELECT 1000000 + n, key::bigint, 'other', 'a' FROM retention.candidate""")
    assert j.run() == DONE, j.last.text()
    check_both(j, "contact_social", {"mood"})


def test_a_table_changes_twice_and_back(job):
    """Each time the rest goes on in an archive of its own, with one header to a file."""
    j = job(limits={**SLOWER, "workers": 1})
    parts = []
    for change in ("ADD COLUMN mood text", "ADD COLUMN other text", "DROP COLUMN other"):
        assert j.run("batch-after-ledger:1") == KILLED
        j.sql(f"ALTER TABLE crm.message {change}")
        assert j.run() == DONE, j.last.text()
        parts.append(j.rest())
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    files = [csv_rows(j, "message.csv", action) for action in (*parts, j.id)]
    plain = files[0][0]
    assert [header for header, _ in files] == [plain, [*plain, "mood"], [*plain, "mood", "other"], [*plain, "mood"]]
    assert all(n > 0 for _, n in files)
    assert [n for _, n in files] == [
        j.daemon.jobs(f"id = {action}")[0]["counters"]["rows"]["message"] for action in (*parts, j.id)]


def test_a_table_changes_and_back_before_anything(job):
    """What is again as it was when the archive began is no reason to end it."""
    j = job(limits={**SLOWER, "workers": 1})
    assert j.run("batch-after-ledger:3") == KILLED
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text")
    j.sql("ALTER TABLE crm.message DROP COLUMN mood")
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_another_delimiter(job):
    """Which the manifest has one of: it goes on where it stood with the one that it was begun with."""
    j = job(limits=SLOWER)
    assert j.run("batch-after-ledger:6") == KILLED
    j.daemon.configure(archives={"delimiter": ","})
    refused(j, "the delimiter that the configuration has")
    j.daemon.configure(archives={})
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("change", ["archive", "renamed"])
def test_the_model_is_another(job, change):
    """What was archived under a name that is gone would be in no manifest."""
    j = job(limits=SLOWER, archive="listed" if change == "archive" else "full")
    assert j.run("batch-after-ledger:6") == KILLED
    text = (j.daemon.dir / "model.conf").read_text()
    if change == "archive":
        new = re.sub(r"archive\s*=\s*true", "archive = false", text)
        new = re.sub(r"archive = false", "archive = true", new, count=1)  # the contact's stays
    else:
        new = re.sub(r"(?m)^(\s*)status_change(\s*:)", r"\1statuschange\2", text)
    assert new != text
    j.daemon.configure(model=new)
    refused(j, "request" if change == "archive" else "status_change", "does not archive under that name")
    j.daemon.configure(model=text)
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)
