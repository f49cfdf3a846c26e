"""
The way out of an action that cannot go on: a person abandons it.  It ends with what it has done, or has failed; its
policy can run again, and a row is in its archive if and only if it was erased.
"""

import shutil

import pytest

from support.backup import put_back
from support.harness import wait_until
from support.jobs import DONE, INCOMPLETE, KILLED, LIMITS, REFUSED, SLOWER, STOPPED, days
from support.locks import CLAIM
from support.oracles import check_archive, due_before

pytestmark = pytest.mark.safety(once=True)

SMALL = {**LIMITS, "batch_rows": 150}
SAYS = "retention_test has abandoned it (case 12)"


def abandon(j, check=True):
    return j.daemon.ctl("abandon", j.id, "--reason", "case 12", check=check)


def tried(j):
    """A job has tried to end it, and could not."""
    j.sql("UPDATE retention.archive_journal SET error = 'its archive lies on another host' WHERE id = %s", (j.id,))


def killed(j, point="batch-after-ledger:2"):
    assert j.run(point) == KILLED
    wait_until(lambda: not j.sessions())
    return j


def ended_in_part(j):
    """Done, sealed, whole; nothing begins for the rest, and the policy can run again."""
    row = j.row()
    assert row["status"] == "done" and f"ended early, because {SAYS}: {row['counters']['rest']} " in row["error"], row
    assert len(j.ledger()) + row["counters"]["rest"] == len(due_before(j)) and j.left() == 0
    assert len(j.daemon.jobs()) == 1
    if j.archive != "none":
        check_archive(j, row)
        assert j.daemon.ctl("archive", "verify", j.id).returncode == 0
    assert j.daemon.ctl("verify").returncode == 0
    runs_again(j)


def runs_again(j):
    assert j.value("""SELECT retention.begin_occurrence(%s, 'monthly', now() + interval '31 days', now() + interval '62 days',
        %s, '18 months', %s)""", (j.policy, j.action, j.archive)) > j.id


@pytest.mark.parametrize("action, archive", [("delete_contacts", "full"), ("delete_contacts", "none"),
                                             ("anonymize_contacts", "none")])
def test_it_ends_with_what_it_has_done(job, action, archive):
    j = killed(job(action, archive, limits=SMALL))
    said = abandon(j).stdout
    assert f"action {j.id} ends with what it has done" in said and "abandon it once more: then it has failed" in said
    erased = j.ledger()
    assert j.row()["status"] == "running" and j.run() == DONE, j.last.text()
    assert j.ledger() == erased
    ended_in_part(j)


@pytest.mark.parametrize("archive", ["full", "none"])
def test_its_policy_is_gone_and_its_model_is_refused(job, archive):
    """What no attempt can go on with is no obstacle to the end."""
    j = killed(job(archive=archive, limits=SMALL))
    j.daemon.configure(policies=[])
    assert j.run() == REFUSED and "is missing in the configuration" in j.last.note()
    abandon(j)
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text")
    assert j.run() == DONE, j.last.text()
    ended_in_part(j)


@pytest.mark.parametrize("waits", [False, True])
def test_a_job_that_runs_stops_after_its_batch(job, waits):
    """Also one that waits, and begins no batch in which it could notice."""
    j = job(limits=SLOWER)
    run = j.start()
    j.begun()
    if waits:
        j.sql("SELECT retention.pause_action(%s)", (j.id,))
        wait_until(lambda: run.waits_for("paused"))
    abandon(j)
    assert run.wait() == STOPPED, run.text()
    assert j.value("SELECT count(*) FROM retention.pause") == 0
    assert j.run() == DONE, j.last.text()
    ended_in_part(j)


def test_the_daemon_ends_it_at_once(job):
    """A job that was refused is not tried again for an hour; an abandoned one is."""
    j = killed(job(limits=SMALL))
    d = j.daemon
    d.configure(policies=[])
    d.start()
    d.wait_for_log("is refused, and tried again after a reload or in an hour")
    abandon(j)
    wait_until(lambda: j.row()["status"] == "done")
    assert d.stop() == 0
    ended_in_part(j)


def test_it_has_failed_if_it_cannot_end(job):
    """Its archive is lost: nothing can be sealed.  The second call is the end, whatever is left on the disk."""
    j = killed(job(limits=SMALL))
    shutil.rmtree(j.partial())
    assert j.run() == REFUSED
    abandon(j)
    assert j.run() == REFUSED
    assert abandon(j).stdout == f"action {j.id} has failed: it is abandoned\n"
    row = j.row()
    assert (row["status"], row["error"]) == ("failed", SAYS) and j.left() == 0 and row["finished_at"]
    assert row["counters"]["treated"] == len(j.ledger())
    assert row["counters"]["treated"] + row["counters"]["rest"] == len(due_before(j))
    assert j.daemon.ctl("verify").returncode == 0
    runs_again(j)
    done = abandon(j, check=False)
    assert done.returncode == 1 and f"action {j.id} is failed: only an action that is validated or running" in done.stderr


def test_a_failed_archive_is_listed_and_can_be_deleted(job):
    """Its host is gone: no job can take it over.  The files are where they were."""
    j = killed(job(limits=SMALL))
    abandon(j)
    tried(j)
    abandon(j)
    assert j.partial().is_dir() and f"{j.id} " in j.daemon.ctl("archive", "list").stdout
    done = j.daemon.ctl("archive", "verify", j.id, check=False)
    assert done.returncode == 1 and done.stderr
    j.sql("SELECT retention.delete_archive(%s)", (j.id,))
    j.daemon.once(check=False)
    assert not j.partial().exists() and j.row()["archive_removed_at"]


def test_a_list_that_is_not_the_validated_one(job):
    """It was refused for ever: an action that has not begun has failed at once."""
    j = job("export", "listed", manual=days())
    killed(j, "job-after-list:1")
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    j.sql("DELETE FROM retention.candidate WHERE n = (SELECT min(n) FROM retention.candidate)")
    assert j.run() == REFUSED and "is not the one that was validated" in j.last.note()
    assert "has failed" in abandon(j).stdout
    assert (j.row()["status"], j.row()["error"]) == ("failed", SAYS) and j.left() == 0
    assert j.daemon.once().returncode == 0


def test_no_batch_commits_behind_it(job):
    """While a job works the second call is refused; so it is while a batch of a process that is lost may commit."""
    j = killed(job(limits=SMALL))
    abandon(j)
    refused = f"a job works on action {j.id} at this moment"
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(CLAIM, (j.id,))
        done = abandon(j, check=False)
        assert done.returncode == 1 and refused in done.stderr
        assert "hint: It stops after its batch: try again in a moment." in done.stderr
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT FROM retention.batch_lock WHERE job = %s AND worker = 1 FOR UPDATE", (j.id,))
        assert refused in abandon(j, check=False).stderr
    assert j.row()["status"] == "running"
    tried(j)
    assert "has failed" in abandon(j).stdout
    assert j.value("SELECT count(*) FROM retention.claimed") == 0


@pytest.mark.parametrize("how", ["waits", "a minute ago", "a job has died over it"])
def test_its_end_is_tried_before_it_fails(job, how):
    """The second call right behind the first would leave an archive unsealed that a job can seal."""
    j = killed(job(limits=SMALL, archive="full"))
    tried(j)  # of before: what kept it from going on does not count
    abandon(j)
    done = abandon(j, check=False)
    assert done.returncode == 1 and done.stderr == (
        f"retentionctl: action {j.id} was abandoned just now, and the daemon has still to end it\n"
        "hint: If it has not ended in a minute, abandon it once more: then it has failed, and its archive stays unsealed.\n")
    assert j.row()["status"] == "running" and j.row()["error"] is None
    if how == "waits":
        assert j.run() == DONE, j.last.text()
        ended_in_part(j)
        return
    if how == "a minute ago":
        j.sql("""ALTER TABLE retention.journal_event DISABLE TRIGGER append_only;
            UPDATE retention.journal_event SET at = at - interval '61 seconds' WHERE details ? 'abandoned';
            ALTER TABLE retention.journal_event ENABLE ALWAYS TRIGGER append_only""")
    else:
        j.sql("UPDATE retention.archive_journal SET claim = claim + 1 WHERE id = %s", (j.id,))
    assert "has failed" in abandon(j).stdout


def test_a_replay_is_to_be_replayed_again(job):
    j = killed(job(limits=SMALL, archive="none"), "batch-after-ledger:1")
    dump = j.pg.dump(j.db)
    assert j.run() == DONE
    put_back(j.daemon, dump)
    d = j.daemon
    d.once(check=False)
    d.ctl("replay", "--yes")
    first, j.id = j.id, d.jobs("replay")[0]["id"]
    killed(j, "batch-after-commit:1")
    abandon(j)
    assert j.run() == INCOMPLETE, j.last.text()
    assert SAYS in j.row()["error"] and j.value("SELECT count(*) FROM retention.replay") > 0
    d.once(check=False)
    d.ctl("replay", "--yes")
    j.id = d.jobs("replay")[-1]["id"]
    killed(j, "batch-after-commit:1")
    abandon(j)
    tried(j)
    abandon(j)
    assert j.row()["status"] == "failed" and j.value("SELECT count(*) FROM retention.selection") == 0
    d.once(check=False)
    d.ctl("replay", "--yes")
    d.once()
    assert j.ledger() == due_before(j) and j.value("SELECT count(*) FROM retention.replay") == 0
    assert {r["status"] for r in d.jobs(f"id = {first}")} == {"done"}
