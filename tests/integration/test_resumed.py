"""
What has changed when a job goes on, or under it: its table, its model, its files, or that it is wanted at all.
"""

import re
import threading

import pytest

from harness import wait_until
from jobs import DONE, KILLED, REFUSED, STOPPED, check_all_erased, check_done, job, missing_contacts  # noqa: F401
from test_faults import days

SLOW = {"workers": 2, "batch_rows": 50, "rows_per_second": 1500}


def refused(j, *words):
    before = missing_contacts(j)
    assert j.run() == REFUSED, j.last.text()
    assert all(word in j.last.note() for word in words), j.last.note()
    assert missing_contacts(j) == before


def test_cancelled_while_it_is_listed(job):  # noqa: F811
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


def test_a_segment_is_cut_while_the_job_runs(job):  # noqa: F811
    """What would be written behind the cut is not: a file with a hole looks as long as it should be."""
    j = job(limits={**SLOW, "workers": 1})
    run = j.start()
    j.begun(20)
    for path in j.partial().glob("contact.csv.*"):
        path.open("r+b").truncate(0)
    assert run.wait() == REFUSED, run.text()
    assert "contact.csv.0" in run.note() and "the disk lost them" in run.note()
    assert j.ledger() == missing_contacts(j)


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_table_has_another_column(job, how):  # noqa: F811
    """One file cannot hold both; without the column it goes on where it stood."""
    j = job(limits=SLOW)
    if how == "killed":
        j.daemon.configure(limits={**SLOW, "workers": 1})
        assert j.run("batch-after-ledger:6") == KILLED
    else:
        run = j.start()
        # The first worker's file begins with the header, by which the others' rows are read.
        wait_until(lambda: j.value("""SELECT count(*) FROM retention.archive_file
            WHERE worker = 0 AND table_name = 'message' AND bytes > 0"""), what=run.text)
        assert run.stop() == STOPPED
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text DEFAULT 'good'")
    refused(j, '"message"', "other columns")
    j.sql("ALTER TABLE crm.message DROP COLUMN mood")
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


def test_another_column_where_the_first_worker_has_none(job):  # noqa: F811
    """Only its file has a header: what the others have written, the journal knows."""
    j = job(limits={**SLOW, "workers": 2})
    assert j.run("job-before-start") == KILLED
    for schema in ("crm", "before"):
        j.sql(f"""DELETE FROM {schema}.contact_social WHERE contact_id NOT IN (
            SELECT key::bigint FROM retention.candidate WHERE n / 256 % 2 = 1)""")
    assert j.value("SELECT count(*) FROM crm.contact_social") > 0
    run = j.start()
    wait_until(lambda: j.value("""SELECT count(*) FROM retention.archive_file
        WHERE worker = 1 AND table_name = 'contact_social' AND bytes > 0"""), what=run.text)
    assert run.stop() == STOPPED
    assert j.value("SELECT sum(bytes) FROM retention.archive_file WHERE worker = 0 AND table_name = 'contact_social'") in (0, None)
    j.sql("ALTER TABLE crm.contact_social ADD COLUMN mood text DEFAULT 'good'")
    refused(j, '"contact_social"', "other columns")
    j.sql("ALTER TABLE crm.contact_social DROP COLUMN mood")
    assert j.run() == DONE
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("change", ["archive", "renamed"])
def test_the_model_is_another(job, change):  # noqa: F811
    """What was archived under a name that is gone would be in no manifest."""
    j = job(limits=SLOW, archive="listed" if change == "archive" else "full")
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
