"""The CRM's tables change under a job."""

from support.harness import wait_until
from support.jobs import DONE, SLOWER
from support.oracles import check_all_erased


def changed(job, sql, **options):
    """A job under which sql was run, as one transaction; and how it ended."""
    j = job(limits={**SLOWER, **options.pop("limits", {})}, **options)
    return change(j, sql)


def change(j, sql):
    """The same of a job that has not begun."""
    run = j.start()
    wait_until(lambda: j.value("SELECT count(*) FILTER (WHERE rows > 0) FROM retention.archive_file") > 3)
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(sql)
        conn.commit()
    j.last = run
    return j, run.wait()


def rest_is_done(j, status):
    """The job has ended early, and the new action erases whom it left; the number of the first."""
    assert status == DONE, j.last.text()
    first = j.rest()
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    return first
