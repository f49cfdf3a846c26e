"""
What nobody thinks of who puts a backup back: numbers that are given again, a clock that was wrong, a standby that is
promoted under a job, archives that were removed since, tables that were restored alone.
"""

import re

import pytest

from support import small
from support.backup import LaggingStandby, lines, load, put_back
from support.harness import Postgres, wait_until
from support.jobs import KILLED, LIMITS, STOPPED
from support.restores import restore
from support.settled import check_settled, folders, forgotten, killed_at, settle

pytestmark = pytest.mark.safety(once=True)

DELETE = {"name": "old", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly", "archive": "full"}
SMALL = {**LIMITS, "batch_rows": 150}
MODEL = small.model(contact={"created": "created", "clear": ["name", "brand"], "keep": ["created"]},
                    request={"clear": ["subject"], "keep": ["status", "at"]})
SIX = small.SCHEMA + """;
    INSERT INTO contact (id, name, created) SELECT n, 'c' || n, '2014-01-01' FROM generate_series(1, 6) n;
    INSERT INTO request (contact_id, at) SELECT n, '2015-01-01' FROM generate_series(1, 5) n;
    INSERT INTO request (contact_id, at) VALUES (6, now())"""


@pytest.fixture
def six(daemon, empty_db, pg):
    """Contacts 1 to 5 are due."""

    def make(*policies):
        db = empty_db()
        pg.sql(db, SIX)
        return daemon(db=db, model=MODEL, policies=list(policies))

    return make


def ids(d):
    return {k for (k,) in d.pg.sql(d.db, "SELECT id FROM contact")}


def replay(d):
    assert d.once(check=False).returncode == 1
    d.ctl("replay", "--yes")
    d.once(check=False)


def save(d, *args):
    """An action that a person saves while no daemon looks; its number."""
    function = "save_subject" if len(args) == 2 else "save_action"
    return d.pg.value(d.db, f"SELECT retention.{function}({', '.join(['%s'] * len(args))})", args)


def run(d, number):
    d.once(check=False)
    d.ctl("validate", number)
    d.once()


def test_a_number_that_the_ledger_has_used(six):
    """A contact's own erasure leaves no folder.  Its number is given again before the daemon looks."""
    d = six()
    d.once()
    dump = d.pg.dump(d.db)
    run(d, save(d, "delete_contacts", "6"))
    put_back(d, dump)
    number = save(d, "delete_contacts", "2015-01-01", "2015-01-31", "full")
    assert number == int(lines(d)[0][0])
    d.once(check=False)
    d.ctl("replay", "--yes")
    done = d.once(check=False)
    assert ids(d) == {1, 2, 3, 4, 5}
    assert f"has given number {number} again: the ledger has erasures of an earlier action {number}" in done.stderr
    d.ctl("cancel", number)
    run(d, save(d, "delete_contacts", "2015-01-01", "2015-01-31", "full"))
    job = d.jobs()[-1]
    assert job["id"] > number and job["counters"]["treated"] == 5 and ids(d) == set()
    # Nobody has asked for the contact of that other action to come back.
    assert "action 3 is restored: 5 contacts" in restore(d, job).stdout
    d.once()
    put_back(d, dump)
    replay(d)
    assert ids(d) == {1, 2, 3, 4, 5}


def test_lines_of_another_action_of_that_number(six):
    """Two servers have given one number: restoring the archive of one does not bring back the contacts of the other."""
    d = six(DELETE)
    d.once()
    d.pg.tamper(d.db, "INSERT INTO retention.ledger (job, key, action, erased_at) "
                      "VALUES (1, '77', 'delete_contacts', now() - interval '1 day')")
    assert "action 1 is restored: 5 contacts" in restore(d, 1).stdout
    assert {key for _, action, _, key in d.pg.sql(d.db, "SELECT job, action, archive, key FROM retention.ledger")
            if action == "restored"} == {"1", "2", "3", "4", "5"}


def test_restored_while_the_clock_is_behind(six):
    """What was put back is put back after it was erased: the ledger's order says so, whatever the clock says."""
    d = six(DELETE)
    d.once()
    d.pg.tamper(d.db, "UPDATE retention.ledger SET erased_at = now() + interval '1 hour'")
    restore(d, 1)
    assert d.pg.value(d.db, "SELECT min(erased_at) FILTER (WHERE action = 'restored') > max(erased_at) FILTER "
                            "(WHERE action <> 'restored') FROM retention.ledger")


def test_erasures_of_a_time_to_come(six):
    """A replay would keep no contact with a newer request: nothing runs until a person has looked."""
    d = six(DELETE)
    dump = d.pg.dump(d.db)
    d.once()
    d.pg.tamper(d.db, "UPDATE retention.ledger SET erased_at = erased_at + interval '1 hour'")
    (d.archives / "ledger").unlink()
    d.configure(policies=[{**DELETE, "name": "again"}])
    d.once()  # writes the file anew
    put_back(d, dump)
    d.configure(policies=[])
    d.once(check=False)
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (3, now())")
    d.ctl("replay", "--yes")
    done = d.once(check=False)
    assert re.search(r"the database's clock is 3\d{3} s behind erasures that the ledger's file knows: set it right", done.stderr)
    assert ids(d) == {1, 2, 3, 4, 5, 6}


def waive(d, reason="the policy was wrong"):
    return d.ctl("waive", "--reason", reason).stdout


def test_erasures_are_undone(six):
    """The backup was put back because the pass was wrong, and is put back once more."""
    d = six(DELETE)
    dump = d.pg.dump(d.db)
    d.once()
    assert ids(d) == {6}
    refused = d.ctl("waive", "--reason", "x", check=False)
    assert "there is nothing to replay" in refused.stderr
    d.configure(policies=[])
    put_back(d, dump)
    d.once(check=False)
    assert "the reason is missing" in d.ctl("waive", "--reason", " ", check=False).stderr
    assert waive(d).startswith("5 erasures are not done again\nhint: policies erase")
    assert d.once().returncode == 0 and d.ctl("verify").returncode == 0
    assert d.pg.value(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'replay_waived'") == {
        "reason": "the policy was wrong", "erasures": {"1": 5}}
    assert sorted(action for _, action, _, _ in lines(d)) == ["delete_contacts"] * 5 + ["restored"] * 5
    put_back(d, dump)
    d.once(check=False)
    assert "nothing needs to be erased again" in d.ctl("replay", "--yes").stdout
    d.once()
    assert ids(d) == {1, 2, 3, 4, 5, 6} and forgotten(d) == 0
    d.configure(policies=[{**DELETE, "name": "right"}])
    d.once()
    assert ids(d) == {6}
    put_back(d, dump)
    d.configure(policies=[])
    replay(d)
    assert ids(d) == {6}, "the last word counts"


def test_anonymizations_are_undone(six):
    d = six({"name": "quiet", "action": "anonymize_contacts", "depth": "18 months", "schedule": "monthly"})
    dump = d.pg.dump(d.db)
    d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM contact WHERE name IS NOT NULL") == 1
    d.configure(policies=[])
    for _ in range(2):
        put_back(d, dump)
        d.once(check=False)
        assert waive(d).startswith("5 erasures")
        d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM contact WHERE name IS NOT NULL") == 6
    assert {action for _, action, _, _ in lines(d)} == {"anonymize_contacts"}


def test_a_replay_that_is_under_way_is_not_waived(six):
    d = six(DELETE)
    dump = d.pg.dump(d.db)
    d.once()
    put_back(d, dump)
    d.configure(policies=[])
    d.once(check=False)
    d.ctl("replay", "--yes")
    assert "a replay is under way already" in d.ctl("waive", "--reason", "x", check=False).stderr
    d.ctl("cancel", d.jobs()[-1]["id"])
    assert waive(d).startswith("5 ")
    d.once()
    assert ids(d) == {1, 2, 3, 4, 5, 6}


def test_actions_that_go_on_are_named(job):
    """A backup of the middle of a pass: what is waived leaves the pass's list, and the pass can be abandoned."""
    j = job(limits=SMALL)
    d = j.daemon
    killed_at(j, "batch-after-ledger:1")
    before = j.ledger()
    dump = j.pg.dump(j.db)
    killed_at(j, "batch-after-ledger:2")
    undone = {int(key) for *_, key in lines(d)} - before
    put_back(d, dump)
    d.once(check=False)
    assert "hint: these actions go on: 1; retentionctl abandon ends one" in waive(d)
    d.ctl("abandon", "1", "--reason", "the policy was wrong")
    d.once(check=False)
    assert j.row()["status"] == "done" and len(undone) > 0
    assert undone <= {k for (k,) in j.sql("SELECT id FROM crm.contact")} and not undone & j.ledger() - undone


def test_only_the_tables_were_restored(six):
    """The ledger still knows the erasures: its lines of after the backup are taken out by hand."""
    d = six(DELETE)
    dump = d.pg.dump(d.db, "--data-only", "-t", "contact", "-t", "request")
    d.once()
    d.configure(policies=[])
    d.pg.sql(d.db, "TRUNCATE contact, request")
    load(d.pg, d.db, dump)
    assert d.once().returncode == 0 and ids(d) == {1, 2, 3, 4, 5, 6}
    d.pg.sql(d.db, "DELETE FROM retention.ledger WHERE erased_at >= now() - interval '1 hour'")
    replay(d)
    assert ids(d) == {6} and d.jobs()[-1]["archive"] == "full"
    assert d.once().returncode == 0 and d.ctl("verify").returncode == 0


@pytest.mark.parametrize("by", ["expiry", "person"])
def test_an_archive_that_was_removed_since(six, by):
    """The restored database believes that it is there: a person can let the daemon know that it is not."""
    d = six(DELETE)
    d.once()
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET finished_at = now() - interval '2 days'")
    name, = folders(d)
    dump = d.pg.dump(d.db)
    if by == "expiry":
        d.configure(archives={"keep": "1 day"})
    else:
        d.pg.sql(d.db, "SELECT retention.delete_archive(1)")
    d.once()
    assert not folders(d)
    put_back(d, dump)
    if by == "person":
        d.pg.sql(d.db, "SELECT retention.delete_archive(1)")
    gone = d.archives / f"{name}.deleted"
    assert f'if its files are gone for good, make the empty folder "{gone}"' in d.once(check=False).stderr
    gone.mkdir()
    d.once()
    row, = d.jobs()
    assert row["archive_removed_at"] and row["archive_remark"] is None and not folders(d)
    assert d.once().returncode == 0


@pytest.fixture
def pair():
    """A server of its own, and the standbys that were taken of it."""
    own = Postgres().start()
    standbys = []
    yield own, standbys
    for each in (own, *(s.server for s in standbys)):
        each.destroy()


def test_a_standby_is_promoted_under_the_job(pair, job):
    """The connection leads to it.  It lacks batches that had committed: their rows stay in the archive."""
    own, standbys = pair
    j = job(server=own, limits={**LIMITS, "batch_rows": 100, "rows_per_second": 2000})
    d = j.daemon
    assert j.run("batch-after-ledger:2") == KILLED
    wait_until(lambda: not j.sessions())
    standbys.append(LaggingStandby(d))
    server = standbys[0].server
    both = f"host={own.dir},{server.dir} port={own.port},{server.port} target_session_attrs=read-write"
    d.path.write_text(d.path.read_text().replace(f"host={own.dir} port={own.port}", both))
    run, before = j.start(), len(j.ledger())
    j.begun(before + 60)
    standbys[0].put_back(d)
    j.pg = server
    assert run.wait() == STOPPED
    known = len(lines(d))
    settle(d, False)
    check_settled(j)
    first, = j.events("settled")
    assert first["ledger"] == known and first["rows"]["contact"] >= known >= before + 60 > len(folders(d))
