"""
A replay that does not go as it should: cancelled, failed, with keys that cannot be erased.  Whoever was
brought back by the backup is erased again, or still known to be due for it; never forgotten.
"""

import re

import pytest

from support import small
from support.backup import lines, put_back, rows
from support.harness import wait_until
from support.restores import restore

pytestmark = pytest.mark.safety(once=True)

DELETE = {"name": "old", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly", "archive": "full"}
SIX = """;
    INSERT INTO contact (id, name, created) SELECT n, 'c' || n, '2014-01-01' FROM generate_series(1, 6) n;
    INSERT INTO request (contact_id, at) SELECT n, '2015-01-01' FROM generate_series(1, 5) n;
    INSERT INTO request (contact_id, at) VALUES (6, now())"""
NOT_THREE = """
    CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF OLD.id = 3 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN OLD; END $$;
    CREATE TRIGGER no BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION no()"""


def ids(d):
    return {k for (k,) in d.pg.sql(d.db, "SELECT id FROM contact")}


def waiting(d):
    """Keys that are still to be erased again."""
    return {int(k) for (k,) in d.pg.sql(d.db, "SELECT key FROM retention.replay WHERE action = 'delete_contacts'")}


@pytest.fixture
def six(daemon, empty_db, pg):
    def make(**kwargs):
        db = empty_db()
        pg.sql(db, small.SCHEMA + SIX)
        return daemon(db=db, **{"model": small.model(), "policies": [DELETE], **kwargs})
    return make


@pytest.fixture
def brought_back(six):
    """Five were deleted after the backup that is in the database's place now; the daemon has noticed."""
    def make(**kwargs):
        d = six(**kwargs)
        dump = d.pg.dump(d.db)
        d.once()
        assert ids(d) == {6}
        put_back(d, dump)
        d.configure(policies=[])
        return d
    return make


def replay(d):
    return int(re.search(r"(?m)^action (\d+): ", d.ctl("replay", "--yes").stdout).group(1))


def noticed(d):
    assert d.once(check=False).returncode == 1 and waiting(d) == {1, 2, 3, 4, 5}
    return d


def test_it_is_no_operators_to_cancel(brought_back):
    d = noticed(brought_back())
    job = replay(d)
    d.pg.psql(d.db, "-c", "DROP ROLE IF EXISTS replay_operator", "-c", "CREATE ROLE replay_operator LOGIN",
              "-c", "GRANT retention_operator TO replay_operator")
    d.configure(user="replay_operator")
    refused = d.ctl("cancel", job, check=False)
    assert refused.returncode == 1 and f"action {job} is a replay: only an approver can cancel it" in refused.stderr
    d.configure(user=None)
    d.ctl("cancel", job)
    assert waiting(d) == {1, 2, 3, 4, 5}
    assert d.once(check=False).returncode == 1, "and still no policy runs"
    replay(d)
    d.once()
    assert ids(d) == {6} and waiting(d) == set()
    assert sorted(set(lines(d))) == sorted(rows(d.pg, d.db))


@pytest.mark.rests_on_triggers
def test_a_key_that_fails_is_not_forgotten(brought_back):
    d = noticed(brought_back())
    d.pg.sql(d.db, NOT_THREE)
    replay(d)
    assert d.once(check=False).returncode == 1
    assert ids(d) == {3, 6} and waiting(d) == {3}
    assert "3" not in {key for *_, key in rows(d.pg, d.db)}
    d.pg.sql(d.db, "DROP TRIGGER no ON contact")
    replay(d)
    d.once()
    assert ids(d) == {6} and waiting(d) == set()
    assert d.once().returncode == 0 and d.ctl("verify").returncode == 0


def test_a_key_that_stays_locked_is_not_forgotten(brought_back):
    """A client keeps contact 3 locked for longer than a job waits: it is still to be replayed."""
    d = noticed(brought_back())
    job = replay(d)
    assert d.once(check=False, failpoint="batch-begin").returncode == 1
    wait_until(lambda: not d.pg.value(d.db, """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'retention-job'"""), what="its sessions end")
    # As journal_left_over() does when a job has waited for long enough.
    d.pg.sql(d.db, f"""WITH gone AS (DELETE FROM retention.candidate WHERE job = {job} AND key = '3' RETURNING key)
        INSERT INTO retention.journal_event (job, kind, details)
        SELECT {job}, 'left', jsonb_build_object('keys', jsonb_agg(key)) FROM gone""")
    d.once(check=False)
    assert d.jobs(f"id = {job}")[0]["counters"]["left"] == 1
    assert ids(d) == {3, 6} and waiting(d) == {3}
    assert "3" not in {key for *_, key in rows(d.pg, d.db)}
    replay(d)
    d.once()
    assert ids(d) == {6} and waiting(d) == set()


@pytest.mark.rests_on_triggers
def test_automatic_is_no_treadmill(brought_back):
    """What one replay could not erase, the next would not either: it is said, and a person decides."""
    d = brought_back(extra='replay = "automatic";')
    d.pg.sql(d.db, NOT_THREE)
    d.start()
    d.wait_for_log("the last replay left some behind")
    assert len(d.jobs("replay")) == 1 and waiting(d) == {3} and ids(d) == {3, 6}
    d.pg.sql(d.db, "DROP TRIGGER no ON contact")
    replay(d)
    d.wait_for_log("no more: the database was restored")
    assert d.stop() == 0
    assert ids(d) == {6} and waiting(d) == set()


@pytest.fixture
def two_kinds(daemon):
    """Contacts deleted and others anonymized after the backup; the replay of both is saved."""
    quiet = {"name": "quiet", "action": "anonymize_contacts", "depth": "12 months", "schedule": "monthly"}
    d = daemon(contacts=100, policies=[{**DELETE, "depth": "30 months"}, quiet])
    dump = d.pg.dump(d.db)
    d.once()
    gone = {int(key) for _, action, _, key in lines(d) if action == "delete_contacts"}
    put_back(d, dump)
    d.configure(policies=[])
    d.once(check=False)
    d.ctl("replay", "--yes")
    return d, gone, d.jobs("replay AND action = 'delete_contacts'")[0]["id"]


def there(d):
    return {k for (k,) in d.pg.sql(d.db, "SELECT id FROM crm.contact")}


def finish(d, gone):
    replay(d)
    d.once()
    assert not gone & there(d) and waiting(d) == set()
    assert sorted(set(lines(d))) == sorted(rows(d.pg, d.db))


def test_one_of_two_is_cancelled(two_kinds):
    d, gone, job = two_kinds
    d.ctl("cancel", job)
    d.once(check=False)
    assert [r["status"] for r in d.jobs("replay AND action = 'anonymize_contacts'")] == ["done"]
    assert gone <= there(d) and waiting(d) == gone
    finish(d, gone)


def test_one_of_two_fails(two_kinds):
    """The model refuses the deletion alone: what is not deleted stays known."""
    d, gone, _ = two_kinds
    d.pg.sql(d.db, "CREATE TABLE crm.unmapped (id int PRIMARY KEY, contact_id bigint NOT NULL REFERENCES crm.contact)")
    assert d.once(check=False).returncode == 1
    assert gone <= there(d) and waiting(d) == gone
    d.pg.sql(d.db, "DROP TABLE crm.unmapped")
    d.once(check=False)
    if waiting(d):
        finish(d, gone)
    assert not gone & there(d)


def test_restored_on_purpose_under_a_resident_daemon(six):
    """The file knows at once: whatever happens to the database then, a replay leaves them alone."""
    d = six()
    dump = d.pg.dump(d.db)
    d.once()
    d.configure(policies=[])
    d.start()
    d.wait_for_log("ready: ")
    restore(d, 1)
    wait_until(lambda: sum(action == "restored" for _, action, _, _ in lines(d)) == 5)
    d.kill()
    put_back(d, dump)
    d.once(check=False)
    d.ctl("replay", "--yes", check=False)
    d.once()
    assert ids(d) == {1, 2, 3, 4, 5, 6}


def test_restored_and_deleted_again(six):
    """The last word counts, whichever it is."""
    d = six()
    dump = d.pg.dump(d.db)
    d.once()
    restore(d, 1)
    d.configure(policies=[{**DELETE, "name": "second"}])
    d.once()
    assert ids(d) == {6}
    put_back(d, dump)
    d.configure(policies=[])
    d.once(check=False)
    replay(d)
    d.once()
    assert ids(d) == {6} and waiting(d) == set()
    assert sorted(set(lines(d))) == sorted(rows(d.pg, d.db))


def test_the_backup_knows_the_deletion_and_not_the_restore(six):
    d = six()
    d.once()
    dump = d.pg.dump(d.db)
    d.configure(policies=[])
    restore(d, 1)
    d.once()
    put_back(d, dump)
    d.once(check=False)
    d.ctl("replay", "--yes", check=False)
    d.once()
    assert ids(d) == {6} and waiting(d) == set()
    restore(d, 1)
    assert len(ids(d)) == 6


@pytest.mark.parametrize("created", [True, False])
def test_who_stays_is_named(six, created):
    """Brought back, and not erased again: on hold, with something newer, or not told from another."""
    d = six(model=small.model(contact={"created": "created"} if created else {}),
            policies=[{**DELETE, **({"without_requests": "created"} if created else {})}])
    d.pg.sql(d.db, "INSERT INTO contact (id, created) VALUES (7, '2014-01-01')")
    dump = d.pg.dump(d.db)
    d.once()
    if not created:
        said = d.ctl("subject", "delete", 7).stdout
        d.once()
        d.ctl("validate", re.search(r"action (\d+)", said).group(1))
        d.once()
    assert ids(d) == {6}
    put_back(d, dump)
    d.configure(policies=[])
    assert "legal holds that were placed since are missing, too" in d.once(check=False).stderr
    d.ctl("hold", "add", 2, "--reason", "case")
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (3, now() + interval '2 days')")
    replay(d)
    d.once()
    stay = {2, 3} | (set() if created else {7})
    assert ids(d) == {6} | stay and waiting(d) == set()
    kept = d.pg.sql(d.db, "SELECT job, details FROM retention.journal_event WHERE kind = 'kept'")
    assert {int(k) for _, details in kept for k in details["keys"]} == stay
    for job, details in kept:  # a replay for each action that erased them
        told = d.jobs(f"id = {job}")[0]["error"]
        assert told.startswith(f"{len(details['keys'])} more are in the database and stay")
        assert ("created" in told) != created and f'"{details["keys"][0]}"' in d.ctl("show", job).stdout
