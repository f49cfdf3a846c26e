"""
The ledger beside the archives, and what happens when an older backup of the database is put back
beside it: the daemon notices, runs nothing, and a replay erases again exactly those whom the backup
brought back.
"""

import re
from types import SimpleNamespace

import pytest

from support import small
from support.backup import ANONYMIZE, DELETE, lines, personal, put_back, rows
from support.harness import wait_until
from support.jobs import DONE, KILLED, REFUSED, SAVED, Run, days
from support.oracles import check_all_erased

pytestmark = pytest.mark.safety(once=True)

ANONYMIZE_CONTACTS = {"name": "quiet-contacts", "action": "anonymize_contacts", "depth": "18 months",
                      "schedule": "monthly"}


def assert_same(d):
    assert sorted(lines(d)) == sorted(rows(d.pg, d.db))


@pytest.fixture
def erased(daemon):
    """A daemon whose three policies have run after the dump that comes with it; and the state that they left."""
    d = daemon(policies=[DELETE, ANONYMIZE_CONTACTS, ANONYMIZE], contacts=300)
    # One pass before the backup, of which the backup knows.
    d.configure(policies=[{**DELETE, "name": "first", "depth": "40 months"}])
    d.once()
    dump = d.pg.dump(d.db)
    d.configure(policies=[DELETE, ANONYMIZE_CONTACTS, ANONYMIZE])
    d.once()
    assert len(d.jobs("status = 'done'")) == 4
    assert_same(d)
    return d, dump


def test_the_file_has_what_the_table_has(erased):
    d, _ = erased
    kinds = {action for _, action, _, _ in lines(d)}
    assert kinds == {"delete_contacts", "anonymize_contacts", "anonymize_requests"}
    assert (d.archives / "ledger").stat().st_mode & 0o777 == 0o600


def test_a_restored_backup_is_noticed_and_replayed(erased):
    d, dump = erased
    after = personal(d)
    last = max(int(job) for job, *_ in lines(d))
    put_back(d, dump)
    before = personal(d)
    assert before != after

    # Loudly, and nothing runs.
    done = d.once(check=False)
    assert done.returncode == 1
    missing = len(lines(d)) - len(rows(d.pg, d.db))
    assert re.search(rf"restored from a backup: it has forgotten {missing} erasures that .*ledger\" knows; "
                     "no policy runs until retentionctl replay", done.stderr)
    assert personal(d) == before and d.jobs("status <> 'done'") == []
    (details,) = d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'ledger_ahead'")
    assert details[0]["lines"] == missing
    assert d.once(check=False).returncode == 1
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'ledger_ahead'") == 1

    # Nor does it without the file: what it knew is known.
    (d.archives / "ledger").rename(d.dir / "ledger")
    done = d.once(check=False)
    assert done.returncode == 1 and f"forgotten {missing} erasures that" in done.stderr
    assert "which is gone; no policy runs until retentionctl replay" in done.stderr
    assert personal(d) == before and not (d.archives / "ledger").exists()
    (d.dir / "ledger").rename(d.archives / "ledger")

    # A person's own action has to wait too.
    manual = d.ctl("save", "export", "--from", "2025-01-01", "--to", "2025-01-31").stdout
    assert int(re.search(r"action (\d+) saved", manual).group(1)) > last, "a number is not given twice"

    said = d.ctl("replay", "--yes").stdout
    assert said.count("again; retentionctl show") == 3
    d.configure(policies=[])
    d.once()
    replays = d.jobs("replay")
    assert [r["status"] for r in replays] == ["done"] * 3 and {r["mode"] for r in replays} == {"manual"}
    assert all(r["validated_by"] == r["requested_by"] for r in replays)
    now = personal(d)
    assert now == after
    assert set(lines(d)) >= set(rows(d.pg, d.db)) and sorted(set(lines(d))) == sorted(rows(d.pg, d.db))
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.replay") == 0
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.selection") == 0

    # And life goes on.
    d.configure(policies=[DELETE])
    done = d.once()
    assert "restored from a backup" not in done.stderr
    refused = d.ctl("replay", "--yes", check=False)
    assert refused.returncode == 1 and "there is nothing to replay" in refused.stderr


def test_replay_automatic(erased):
    d, dump = erased
    after = personal(d)
    put_back(d, dump)
    d.configure(policies=[], extra='replay = "automatic";')
    done = d.once()
    assert "they are replayed, which begins now" in done.stderr
    assert personal(d) == after
    assert {r["mode"] for r in d.jobs("replay")} == {"automatic"}


def test_a_test_begins_nothing(erased):
    """-t of a configuration with an automatic replay: a person looks, and has begun nothing by it."""
    d, dump = erased
    put_back(d, dump)
    there = personal(d)
    d.configure(policies=[], extra='replay = "automatic"; four_eyes = true;')
    before = d.pg.sql(d.db, "SELECT name, value FROM retention.setting ORDER BY 1")
    done = d.check_config()
    assert "no policy runs until they are replayed, which begins with the daemon (" in done.stderr
    assert "retentionctl waive leaves them" in done.stderr
    assert d.jobs("replay") == [] and personal(d) == there
    assert d.pg.sql(d.db, "SELECT name, value FROM retention.setting ORDER BY 1") == before
    # They were to come back, and stay.
    d.ctl("waive", "--reason", "the pass was wrong")
    d.once()
    assert personal(d) == there and d.ctl("verify").returncode == 0


def test_the_resident_daemon_notices_and_goes_on(erased):
    """The database is put back under a running daemon; the replay releases its policies without a restart."""
    d, dump = erased
    d.start()
    d.wait_for_log("ready: ")
    put_back(d, dump)
    d.wait_for_log("restored from a backup: it has forgotten")
    assert d.jobs("status <> 'done'") == []
    d.ctl("replay", "--yes")
    wait_until(lambda: d.jobs("replay") and all(r["status"] == "done" for r in d.jobs("replay")))
    d.wait_for_log("no more: the database was restored")
    d.stop()
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.replay") == 0


def test_who_is_another_by_now_stays(erased):
    """A key with life after its erasure is a new contact: it is not erased a second time."""
    d, dump = erased
    key = next(key for job, action, _, key in lines(d) if action == "delete_contacts" and job != lines(d)[0][0])
    put_back(d, dump)
    d.once(check=False)
    d.pg.sql(d.db, "INSERT INTO crm.request (id, contact_id, created_at, status, channel, reason) "
                   "SELECT 9000001, %s, now(), status, channel, reason FROM crm.request LIMIT 1", (key,))
    held = next(k for job, action, _, k in lines(d)
                if action == "delete_contacts" and k != key and job != lines(d)[0][0])
    d.ctl("hold", "add", held, "--reason", "case 12")
    d.ctl("replay", "--yes")
    d.configure(policies=[])
    d.once()
    left = {str(k) for (k,) in d.pg.sql(d.db, "SELECT id FROM crm.contact")}
    assert key in left and held in left
    gone = {k for job, action, _, k in lines(d) if action == "delete_contacts"} - {key, held}
    assert not gone & left


def test_a_job_refuses_too(erased):
    """Not only the daemon at its start: a job that was validated does not begin on a database that has forgotten."""
    d, dump = erased
    put_back(d, dump)
    before = personal(d)
    number = d.pg.value(d.db, "SELECT retention.save_action('delete_contacts', %s, %s)", days())
    job = SimpleNamespace(daemon=d, id=number, processes=[])
    assert Run(job).wait() == SAVED
    assert d.jobs(f"id = {number}")[0]["candidates"] > 0
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (number,))
    missing = len(lines(d)) - len(rows(d.pg, d.db))
    refused = Run(job)
    assert refused.wait() == REFUSED, refused.text()
    assert f"it has forgotten {missing} erasures" in refused.note()
    row, = d.jobs(f"id = {number}")
    assert (row["status"], row["started_at"]) == ("validated", None) and "run retentionctl replay first" in row["error"]
    assert personal(d) == before


def test_a_lost_file_is_written_anew(erased):
    d, _ = erased
    known = sorted(lines(d))
    (d.archives / "ledger").unlink()
    d.configure(policies=[{**DELETE, "name": "again", "depth": "12 months"}])
    d.once()
    assert set(known) <= set(lines(d))
    assert_same(d)


def test_a_torn_line_is_cut_off(erased):
    d, _ = erased
    known = lines(d)
    with open(d.archives / "ledger", "ab") as file:
        file.write(b"99\tdelete_contacts\t2026-01-0")
    d.once()
    assert lines(d) == known


@pytest.mark.parametrize("head, message", [
    ("# retentiond ledger 2 0b5ad1f2-0000-4000-8000-000000000000\n", "is the ledger of another database"),
    ("id;name\n1;x\n", "is not a ledger of this version of retentiond: move it away"),
], ids=["another", "none"])
def test_a_file_that_is_not_ours(erased, head, message):
    d, _ = erased
    (d.archives / "ledger").write_text(head)
    done = d.check_config()
    assert done.returncode == 1 and message in done.stderr


def test_a_refused_configuration_sets_nothing(erased):
    """The SQL functions go on by the settings of the configuration that is in force, four eyes above all."""
    d, _ = erased
    in_force = "SELECT value FROM retention.setting WHERE name = 'four_eyes'"
    d.configure(policies=[], extra="four_eyes = true;")
    d.once()
    d.configure(policies=[], extra="four_eyes = false;")
    assert d.check_config().returncode == 0 and d.pg.value(d.db, in_force) == "true"
    (d.archives / "ledger").write_text("id;name\n")
    assert d.check_config().returncode == 1 and d.once(check=False).returncode == 1
    assert d.pg.value(d.db, in_force) == "true"


def test_a_line_that_is_none(erased):
    d, _ = erased
    with open(d.archives / "ledger", "ab") as file:
        file.write(b"rubbish\n")
    done = d.check_config()
    assert done.returncode == 1 and re.search(r"ledger:\d+: not a line of a ledger", done.stderr)


@pytest.mark.parametrize("point", ["batch-after-commit", "batch-after-ledger", "batch-before-commit"])
def test_killed_around_the_line(job, point):
    """A crash between the commit and the line, or after it: file and table say the same in the end."""
    j = job("delete_contacts", "none")
    assert j.run(failpoint=f"{point}:2") == KILLED
    assert j.run() == DONE
    assert sorted(set(lines(j.daemon))) == sorted(rows(j.pg, j.db))
    check_all_erased(j)


def test_another_database_beside_it(erased, daemon):
    """Two databases with one archives directory would mix their ledgers."""
    d, _ = erased
    other = daemon(policies=[DELETE], archives={"directory": str(d.archives)})
    done = other.once(check=False)
    assert done.returncode == 1 and f'archives.directory "{d.archives}": it belongs to another database' in done.stderr


@pytest.mark.parametrize("created", [False, True])
def test_a_number_that_was_given_again(daemon, empty_db, pg, created):
    """Sequences go back with the backup: a contact of today may have the number of one that was erased."""
    db = empty_db()
    pg.sql(db, small.SCHEMA)
    d = daemon(db=db, model=small.model(contact={"created": "created"} if created else {}),
               policies=[{**DELETE, "name": "first"}])
    pg.sql(db, "INSERT INTO contact (id, created) SELECT n, '2015-01-01' FROM generate_series(1, 3) n; "
               "INSERT INTO request (contact_id, at) SELECT n, '2016-01-01' FROM generate_series(1, 2) n")
    dump = pg.dump(db)
    pg.sql(db, "INSERT INTO contact (id, created) VALUES (4, '2015-01-01'); INSERT INTO request (contact_id, at) VALUES (4, '2016-01-01')")
    d.once()
    assert {k for *_, k in lines(d)} == {"1", "2", "4"}
    put_back(d, dump)
    d.migrate()
    pg.sql(db, "INSERT INTO contact (id, created) VALUES (4, now())")
    d.configure(policies=[])
    d.once(check=False)
    d.ctl("replay", "--yes")
    d.once()
    assert {k for (k,) in pg.sql(db, "SELECT id FROM contact")} == {3, 4}
