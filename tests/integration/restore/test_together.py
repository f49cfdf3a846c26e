"""
What several persons and daemons do at the same moment: restores, deletions of archives, replays, requests
of subjects, passes.  Each is done whole or refused whole, and says which.
"""

import contextlib
import re
import threading

import pytest

from support.backup import ANONYMIZE, DELETE, personal, put_back
from support.harness import wait_until
from support.restores import POLICY, restore

pytestmark = pytest.mark.safety(once=True)


class Together:
    """Commands in threads: each has its result once it has ended."""

    def __init__(self):
        self.threads, self.done = [], {}

    def start(self, name, call):
        def run():
            self.done[name] = call()

        self.threads.append(threading.Thread(target=run))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join()
        return self.done


@contextlib.contextmanager
def table_held(d, table="note"):
    """A client holds the table: whoever comes to change it waits there."""
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
        yield
        conn.rollback()


def waits(d, name):
    wait_until(lambda: d.pg.value(d.db, """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = %s AND wait_event_type = 'Lock')""", (name,)), what=f"{name} waits")


def ids(d, table="contact"):
    return {i for (i,) in d.pg.sql(d.db, f"SELECT id FROM {table}")}


def sound(d):
    """The journal is whole; the ledger's file, which the daemon completes, has what the table has."""
    policies = d.config["policies"]
    d.configure(policies=[])
    d.once()
    d.configure(policies=policies)
    assert d.ctl("verify").returncode == 0
    ledger = sorted(tuple(line.split("\t")[:2]) + (line.split("\t")[4],)
                    for line in (d.archives / "ledger").read_text().splitlines()[1:])
    table = sorted((str(j), a, k) for j, a, k in d.pg.sql(d.db, "SELECT job, action, key FROM retention.ledger"))
    assert set(ledger) >= set(table)


# --- Restores -------------------------------------------------------------------------------------


def test_two_restores_of_one_archive(make):
    d = make()
    both = Together()
    with table_held(d):
        for name in ("a", "b"):
            both.start(name, lambda: restore(d, 1, check=False))
        waits(d, "retentionctl")
    done = both.join()
    codes = sorted(r.returncode for r in done.values())
    assert codes == [0, 1], [r.stderr for r in done.values()]
    assert ids(d) == {1, 2, 3} and ids(d, "note") == {100, 200, 300}
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger WHERE action = 'restored'") == 2
    sound(d)


def test_a_restore_beside_a_pass_of_others(make):
    """A pass erases whom it has listed; those who come back meanwhile are not among them."""
    d = make()
    d.pg.sql(d.db, """INSERT INTO contact (id, name) SELECT n, 'x' FROM generate_series(10, 400) n;
        INSERT INTO request (id, contact_id, at) SELECT n * 10, n, '2015-01-01' FROM generate_series(10, 400) n;
        INSERT INTO note SELECT n * 100, n, 'y' FROM generate_series(10, 400) n""")
    d.configure(policies=[{**POLICY, "name": "second"}], limits={"workers": 2, "batch_rows": 20, "max_share": 1.0})
    both = Together()
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT FROM note WHERE id = 40000 FOR UPDATE")
        both.start("pass", lambda: d.once(check=False))
        waits(d, "retention-job")
        done = restore(d, 1, check=False)
        assert done.returncode == 0, done.stderr
        assert ids(d) >= {1, 2, 3, 400}
        conn.rollback()
    done = both.join()
    assert done["pass"].returncode == 0, done["pass"].stderr
    assert ids(d) == {1, 2, 3} and ids(d, "note") == {100, 200, 300}
    assert [r["status"] for r in d.jobs()] == ["done", "done"]
    sound(d)
    # They are due as before, and the next pass takes them.
    d.configure(policies=[{**POLICY, "name": "third"}])
    d.once()
    assert ids(d) == {3}
    sound(d)


def test_an_archive_is_deleted_while_it_is_restored(make):
    """The deletion came before the restore's end: the archive goes, once the restore has ended, and nothing is put back."""
    d = make()
    before = ids(d), ids(d, "note")
    both = Together()
    d.start()
    d.wait_for_log("ready: ")
    with table_held(d):
        both.start("restore", lambda: restore(d, 1, check=False))
        waits(d, "retentionctl")
        both.start("delete", lambda: d.ctl("archive", "delete", "1", check=False))
        wait_until(lambda: d.jobs()[0]["archive_deleted_at"], what="the archive is deleted")
        assert len(list(d.archives.glob("2*/*.csv"))) == 3, "a restore reads them"
    done = both.join()
    assert done["restore"].returncode == 1 and "the archive of action 1 was deleted by" in done["restore"].stderr
    assert (ids(d), ids(d, "note")) == before
    assert done["delete"].returncode == 0, done["delete"].stderr
    d.reload()
    wait_until(lambda: not list(d.archives.glob("2*")), what="the files go")
    assert d.stop() == 0
    sound(d)


def test_an_archive_is_deleted_behind_a_restore(make):
    d = make()
    restore(d, 1)
    d.start()
    d.wait_for_log("ready: ")
    assert d.ctl("archive", "delete", "1").returncode == 0
    wait_until(lambda: not list(d.archives.glob("2*")), what="the files go")
    assert d.stop() == 0
    assert ids(d) == {1, 2, 3} and ids(d, "note") == {100, 200, 300}
    sound(d)


def test_a_restore_is_no_reason_to_replay(make):
    """Who was put back on purpose stays, when an older backup is put back, too."""
    d = make(run=False)
    dump = d.pg.dump(d.db)
    d.once()
    restore(d, 1)
    sound(d)
    d.configure(policies=[])
    put_back(d, dump)
    d.once(check=False)
    d.ctl("replay", "--yes", check=False)
    assert d.once(check=False).returncode == 0
    assert ids(d) == {1, 2, 3}
    sound(d)


# --- Replays --------------------------------------------------------------------------------------


@pytest.fixture
def forgetful(daemon):
    """A database put back from a backup that was older than two passes; what it was like after them."""
    d = daemon(policies=[DELETE, ANONYMIZE], contacts=300)
    d.ctl("subject", "delete", "1", check=False)  # for the key's type to be known to somebody
    dump = d.pg.dump(d.db)
    d.once()
    after = personal(d)
    put_back(d, dump)
    d.once(check=False)
    d.configure(policies=[])
    return d, after


def test_two_persons_replay(forgetful):
    d, after = forgetful
    both = Together()
    for name in ("a", "b"):
        both.start(name, lambda: d.ctl("replay", "--yes", check=False))
    done = both.join()
    assert sorted(r.returncode for r in done.values()) == [0, 1], [r.stderr for r in done.values()]
    assert any("under way already" in r.stderr or "nothing to replay" in r.stderr for r in done.values())
    d.once()
    assert personal(d) == after and d.once().returncode == 0
    sound(d)


def test_two_daemons_replay(forgetful, tmp_path):
    """On one archives directory, as after a failover that was none: each key once, and both end well."""
    d, after = forgetful
    d.ctl("replay", "--yes")
    both = Together()
    for name in ("a", "b"):
        both.start(name, lambda name=name: d.run("retentiond", "--once", check=False, log=tmp_path / name))
    done = both.join()
    d.once()
    assert personal(d) == after, [r.stderr for r in done.values()]
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.replay") == 0
    assert {r["status"] for r in d.jobs("replay")} == {"done"}
    sound(d)


@pytest.mark.parametrize("nth", [1, 5, 20])
def test_a_replay_is_killed(forgetful, nth):
    d, after = forgetful
    d.ctl("replay", "--yes")
    d.once(check=False, failpoint=f"any:{nth}")
    wait_until(lambda: not d.pg.value(d.db, """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'retention%%'"""), what="its sessions end")
    d.once()
    assert personal(d) == after
    sound(d)


# --- Subjects -------------------------------------------------------------------------------------


def test_a_subject_goes_during_a_pass(make):
    """By request and by age at once: erased once, by whoever came first, and both are done."""
    d = make(run=False)
    d.configure(policies=[])
    d.once()
    said = d.ctl("subject", "delete", "1", check=False)
    job = re.search(r"action (\d+) saved", said.stdout).group(1)
    d.once()
    d.configure(policies=[POLICY])
    both = Together()
    both.start("pass", lambda: d.once(check=False))
    both.start("validate", lambda: d.ctl("validate", job, check=False))
    both.start("again", lambda: d.ctl("validate", job, check=False))
    done = both.join()
    assert sorted((done["validate"].returncode, done["again"].returncode)) == [0, 1]
    d.once()
    assert {r["status"] for r in d.jobs()} == {"done"}
    assert ids(d) == {3} and d.pg.value(d.db, "SELECT count(*) FROM retention.ledger WHERE key = '1'") == 1
    sound(d)


@pytest.mark.parametrize("key", ["007", " 7", "7 ", "7; DROP TABLE contact", "", "0x7", "0o7", "0b111", "7_", "0_7", "٧", "7" * 40, "NULL", "-1", "1e3", "{1}"])
def test_keys_that_are_none(make, key):
    """One person or nobody; never another, never all."""
    d = make(run=False)
    d.pg.sql(d.db, "INSERT INTO contact (id, name) VALUES (7, 'g')")
    d.configure(policies=[])
    d.start()
    d.wait_for_log("ready: ")
    done = d.ctl("subject", "delete", "--", key, check=False)
    if done.returncode == 0 and (job := re.search(r"action (\d+) saved", done.stdout)):
        d.ctl("validate", job.group(1))
        wait_until(lambda: not d.jobs("status IN ('saved', 'validated', 'running')"), what="it is done")
    assert ids(d) in ({1, 2, 3, 7}, {1, 2, 3}) and (7 in ids(d) or key.strip() in ("7", "007"))
    assert done.returncode in (0, 1, 2) and "DROP" not in done.stdout
    assert d.stop() == 0


# --- The start ------------------------------------------------------------------------------------


def test_a_table_is_locked_at_the_start(make):
    """A client that changes a table's schema is waited for: that is no fault of the model."""
    d = make(run=False)
    with table_held(d):
        d.start()
        d.wait_for_log("locked")
    d.wait_for_log("ready: ")
    assert "is refused" not in d.log_text()
    assert d.stop() == 0
