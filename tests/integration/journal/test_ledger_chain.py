"""
The chain of the ledger's file, and the hashes that the file and the journal hold of each other: no line is changed,
added, removed or moved unnoticed, no end of either is cut off unnoticed, and nobody is erased by a forged line.
"""

import hashlib
import json
import os
import pty
import subprocess

import pytest

from support import small
from support.backup import lines, put_back, rows
from support.harness import wait_until
from support.jobs import DONE, KILLED, LIMITS, REFUSED, hold_batches

pytestmark = pytest.mark.safety(once=True)

DELETE = {"name": "old", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly"}
LATER = {**DELETE, "name": "later", "depth": "4 months"}
# 1 to 5 are due; 6 and 7 are due for a later pass; 8 and 9 never.
NINE = """;
    INSERT INTO contact (id, name, created) SELECT n, 'c' || n, '2014-01-01' FROM generate_series(1, 9) n;
    INSERT INTO request (contact_id, at) SELECT n, CASE WHEN n < 6 THEN '2015-01-01' WHEN n < 8 THEN now() - interval '6 months'
        ELSE now() END FROM generate_series(1, 9) n"""


@pytest.fixture
def nine(daemon, empty_db, pg):
    def make(**kwargs):
        db = empty_db()
        pg.sql(db, small.SCHEMA + NINE)
        return daemon(db=db, **{"model": small.model(), "policies": [DELETE], **kwargs})
    return make


@pytest.fixture
def passed(nine):
    """Five of the nine contacts were deleted: the file has a head, five lines of keys, and one with the journal's hash."""
    d = nine()
    d.once()
    assert ids(d) == {6, 7, 8, 9} and len(read(d)) == 7
    d.configure(policies=[LATER])
    return d


def ids(d):
    return small.keys(d.pg, d.db)


def read(d):
    return (d.archives / "ledger").read_text().splitlines(keepends=True)


def write(d, text):
    (d.archives / "ledger").write_text("".join(text))


def link(line):
    return line.rstrip("\n").rsplit("\t", 1)[1]


def forged(before, key, job=90):
    """A line that somebody adds who knows all but the key in the database."""
    line = f"{job}\tdelete_contacts\tnone\t2026-11-29T13:00:00.000000Z\t{key}\t"
    return f"{line}\t{hashlib.sha256((link(before) + line).encode()).hexdigest()}\n"


def verify(d, status=1):
    done = d.ctl("verify", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def refused(d, text):
    """No job begins: from -t, from the daemon, and by verify each in its words."""
    before = ids(d)
    checked = d.check_config()
    assert checked.returncode == 1 and text in checked.stderr, checked.stderr
    done = d.once(check=False)
    assert done.returncode == 1 and text in done.stderr, done.stderr
    assert ids(d) == before and d.pg.value(d.db, "SELECT count(*) FROM retention.replay") == 0


def moved_away(d):
    """The way out: the file is written anew, and holds all that the table has."""
    (d.archives / "ledger").rename(d.dir / "ledger.old")
    assert f"{d.archives}/ledger is gone: put it back from its backup" in verify(d)
    d.once()
    assert ids(d) == {8, 9}
    assert sorted(lines(d)) == sorted(rows(d.pg, d.db))
    assert "the ledger's file is intact: 7 lines\n" in verify(d, 0)


def changed_key(text):
    fields = text[2].split("\t")
    return [*text[:2], "\t".join([*fields[:4], "somebody else", *fields[5:]]), *text[3:]]


TAMPERED = {
    "changed": (changed_key, 3),
    "added within": (lambda t: [*t[:2], t[1], *t[2:]], 3),
    "added at the end": (lambda t: [*t, forged(t[-1], 6)], 8),
    "removed": (lambda t: [*t[:2], *t[3:]], 3),
    "exchanged": (lambda t: [*t[:2], t[3], t[2], *t[4:]], 3),
    "another number of the file": (lambda t: [t[0].replace("\t", "0\t"), *t[1:]], 1),
    "a link": (lambda t: [*t[:3], t[3].replace(link(t[3]), link(t[2])), *t[4:]], 4),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_a_line_is_not_what_was_written(passed, how):
    tamper, line = TAMPERED[how]
    write(passed, tamper(read(passed)))
    assert (f"{passed.archives}/ledger: line {line} was changed, or lines before it were added or removed: "
            "put the file back from its backup; or move it away") in verify(passed)
    refused(passed, f"ledger:{line}: this line was changed, or ")
    moved_away(passed)


def test_the_end_was_cut_off(passed):
    event = passed.pg.value(passed.db, "SELECT id FROM retention.journal_event WHERE kind = 'ledger_noted'")
    write(passed, read(passed)[:4])
    assert f"ledger was cut, or is an older copy: it lacks the line that event {event} has noted" in verify(passed)
    refused(passed, f"it lacks the line that event {event} of the journal has noted")
    moved_away(passed)


FOREIGN = {
    "of an earlier version": (lambda path: path.write_text("# retentiond ledger 1 0b5ad1f2-0000-4000-8000-000000000000\n"
                                                           "1\tdelete_contacts\tnone\t2026-11-29T13:00:00.000000Z\t6\n"),
                              "is not a ledger of this version of retentiond: move it away"),
    "another's": (lambda path: path.write_text("id;name\n"), "is not a ledger of this version of retentiond: move it away"),
    "no file": (os.mkfifo, "is not a regular file: move it away"),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_cannot_be_the_file(passed, what):
    """It is refused and not waited for, and the journal can be verified meanwhile."""
    make, message = FOREIGN[what]
    (passed.archives / "ledger").unlink()
    make(passed.archives / "ledger")
    refused(passed, message)
    done = passed.ctl("verify", check=False)
    assert done.returncode == 1 and "the journal is intact: " in done.stdout and message in done.stderr
    moved_away(passed)


def test_the_file_was_emptied(passed):
    """As if it were gone: the check says so, and writes nothing in its place."""
    write(passed, [])
    assert f"{passed.archives}/ledger is gone: put it back from its backup" in verify(passed)
    assert "is gone: put it back from its backup" in passed.check_config().stderr and read(passed) == []
    moved_away(passed)


# --- The key ----------------------------------------------------------------------------------------


def test_the_key_is_another(passed):
    passed.pg.sql(passed.db, "UPDATE retention.ledger_secret SET secret = 'x'")
    refused(passed, "ledger:1: this line was changed, or its key in retention.ledger_secret: put the file back from its "
                    "backup; or move it away")
    moved_away(passed)


def test_the_key_is_gone(passed):
    """It is said where to get it, and what to do without it."""
    d = passed
    kept = d.pg.sql(d.db, "DELETE FROM retention.ledger_secret RETURNING id, secret")
    refused(d, "retention.ledger_secret has no key for the id of retention.identity: put its row back from a backup")
    done = d.ctl("verify", check=False)
    assert done.returncode == 1 and "the journal is intact: " in done.stdout and "has no key" in done.stderr
    d.pg.sql(d.db, "INSERT INTO retention.ledger_secret VALUES (%s, %s)", kept[0])
    verify(d, 0)
    d.pg.sql(d.db, "DELETE FROM retention.ledger_secret; "
                   "INSERT INTO retention.ledger_secret (id) SELECT id FROM retention.identity")
    refused(d, "ledger:1: this line was changed, or its key")
    moved_away(d)


@pytest.mark.rests_on_triggers  # "set" takes a right that this role does not have
def test_the_role_may_not_read_the_key(passed):
    d = passed
    d.pg.plain_role(d.db, "chain_daemon", "GRANT SELECT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO chain_daemon")
    d.pg.psql(d.db, "-c", "REVOKE SELECT ON retention.ledger_secret FROM retention_daemon")
    d.configure(user="chain_daemon")
    refused(d, "permission denied for table ledger_secret")
    assert "the ledger's file was not checked: call this as the daemon's user" in verify(d, 0)
    d.pg.psql(d.db, "-c", "GRANT SELECT ON retention.ledger_secret TO retention_daemon")
    d.once()
    assert ids(d) == {8, 9}
    assert "the ledger's file is intact: 7 lines\n" in verify(d, 0)


def test_adopted_as_a_new_one_by_mistake(passed):
    """The way back of the manual: the id of the file, and so its key."""
    d = passed
    d.ctl("adopt", "--new", "--reason", "a mistake")
    refused(d, "it belongs to another database")
    d.pg.sql(d.db, "UPDATE retention.identity SET id = %s", ((d.archives / "identity").read_text().split()[4],))
    d.once()
    assert ids(d) == {8, 9}
    assert "the ledger's file is intact: 7 lines\n" in verify(d, 0)


# --- Older and newer --------------------------------------------------------------------------------


def test_an_older_copy_is_put_back(passed):
    old = read(passed)
    passed.once()
    new = read(passed)
    assert len(new) > len(old) and ids(passed) == {8, 9}
    write(passed, old)
    assert "ledger was cut, or is an older copy" in verify(passed)
    refused(passed, "was cut, or is an older copy")
    write(passed, new)
    assert "the ledger's file is intact: 7 lines\n" in verify(passed, 0)
    assert json.loads(passed.ctl("verify", "--json").stdout)["ledger_lines"] == 7
    assert passed.once().returncode == 0


@pytest.mark.parametrize("replace", [False, True])
def test_nobody_is_erased_by_a_forged_line(passed, replace):
    """Somebody who can write the file, and knows the number of the database, wants contact 9 erased."""
    passed.configure(policies=[], extra='replay = "automatic";')
    text = read(passed)
    if replace:
        head = text[0].split("\t")[0]
        text = [f"{head}\t{hashlib.sha256(head.encode()).hexdigest()}\n"]
    write(passed, [*text, forged(text[-1], 9)])
    refused(passed, f"ledger:{1 if replace else 8}: this line was changed, or ")
    assert ids(passed) == {6, 7, 8, 9} and passed.jobs("replay") == []


def test_a_job_refuses_a_changed_line(job):
    j = job("delete_contacts", "none", limits={**LIMITS, "workers": 1, "batch_rows": 100})
    assert j.run("batch-after-ledger:2") == KILLED
    erased, text = j.ledger(), read(j)
    write(j, changed_key(text))
    assert j.run() == REFUSED and "ledger:3: this line was changed" in j.last.note(), j.last.text()
    assert j.ledger() == erased and "ledger:3: this line was changed" in j.row()["error"]
    write(j, text)
    assert j.run() == DONE
    assert sorted(lines(j)) == sorted(rows(j.pg, j.db))


@pytest.mark.safety(once=True, workers=(1,))
def test_the_file_right_after_a_kill(job):
    """
    Each batch is in the file when the next one of its worker begins, and a torn line behind them does no harm.  Another
    worker's may have committed just now.
    """
    j = job("delete_contacts", "none", limits={**LIMITS, "workers": 1, "batch_rows": 100})
    assert j.run("batch-after-ledger:3") == KILLED
    assert len(lines(j)) > 0 and sorted(lines(j)) == sorted(rows(j.pg, j.db))
    whole = read(j)
    with open(j.archives / "ledger", "a") as file:
        file.write(whole[-1][:40])
    assert f"the ledger's file is intact: {len(lines_of(whole))} lines\n" in verify(j.daemon, 0)
    assert j.run() == DONE
    assert read(j)[:len(whole)] == whole and sorted(lines(j)) == sorted(rows(j.pg, j.db))
    verify(j.daemon, 0)


def lines_of(text):
    return [line for line in text[1:] if not line.startswith("0\t")]


def test_killed_while_they_note_each_other(job):
    j = job("delete_contacts", "none")
    assert j.run("ledger-after-line:1") == KILLED
    assert j.row()["status"] == "done" and j.events("ledger_noted") == []
    verify(j.daemon, 0)
    assert j.daemon.check_config().returncode == 0
    noted, = j.events("ledger_noted")
    assert noted["hash"] == link(read(j)[-1]) and noted["file"] in read(j)[0]
    assert j.daemon.check_config().returncode == 0 and len(j.events("ledger_noted")) == 1
    verify(j.daemon, 0)


def test_no_room_for_the_note(job):
    """The daemon goes on, says what is missing, and makes up for it when there is room."""
    j = job("delete_contacts", "none")
    assert j.run("ledger-after-line:1") == KILLED
    d = j.daemon
    j.sql("""CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'no room' USING ERRCODE = 'disk_full'; END $$;
        CREATE TRIGGER no_room BEFORE INSERT ON retention.journal_event FOR EACH ROW WHEN (NEW.kind = 'ledger_noted')
        EXECUTE FUNCTION no_room()""")
    d.start()
    d.wait_for_log("ready: ")
    assert d.log_contains("the journal cannot note the last line of the ledger's file, which is tried again: ")
    assert j.events("ledger_noted") == []
    j.sql("DROP FUNCTION no_room() CASCADE")
    j.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
          " WHERE datname = current_database() AND application_name = 'retentiond'")
    d.wait_for_log("no more: the journal cannot note")
    assert d.stop() == 0
    assert [e["hash"] for e in j.events("ledger_noted")] == [link(read(j)[-1])]
    verify(d, 0)


EXCHANGED = {"moved away": lambda path, old: path.rename(old),
             "put back": lambda path, old: (path.rename(old), path.write_text(old.read_text()))}


@pytest.mark.parametrize("how", EXCHANGED)
def test_exchanged_under_a_job(job, how):
    """The job has the old one open, and says so at its end; then it goes on with the one that is there."""
    j = job("delete_contacts", "none", limits={**LIMITS, "batch_rows": 100})
    hold_batches(j)
    with j.pg.connect(j.db) as holder:
        holder.cursor().execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        EXCHANGED[how](j.archives / "ledger", j.daemon.dir / "ledger.old")
        holder.cursor().execute("SELECT pg_advisory_unlock(4711)")
    assert run.wait() == DONE, run.text()
    assert run.waits_for("ledger\""), run.text()
    assert sorted(lines(j)) == sorted(rows(j.pg, j.db))
    assert "the ledger's file is intact" in verify(j.daemon, 0)


def test_the_journals_end_was_cut_off(passed):
    """No noted hash is needed: the file has it."""
    d, held = passed, read(passed)[-1].split("\t")[5]
    d.pg.tamper(d.db, f"DELETE FROM retention.journal_event WHERE id >= (SELECT id FROM retention.journal_event "
                      f"WHERE encode(hash, 'hex') = '{held}')")
    said = verify(d)
    assert f"{d.archives}/ledger: line 7 has the hash of an event that the journal lacks" in said
    assert "the journal lacks events of which the ledger's file has the hash" in d.check_config().stderr
    kind, details = d.pg.sql(d.db, "SELECT kind, details FROM retention.journal_event WHERE kind ~ '^ledger' ORDER BY id")[0]
    assert (kind, details) == ("ledger_ahead", {"lines": 0, "hash": held}), "the journal says for good what was found"
    assert "lacks" not in verify(d)
    d.pg.tamper(d.db, "UPDATE retention.journal_event SET at = '2020-01-01' WHERE kind = 'ledger_ahead'")
    assert "lacks" not in d.check_config().stderr, "whatever the clock of a promoted standby says"


def test_a_restored_backup_is_no_forgery(nine):
    """verify says replay before the daemon has looked, and after; then all is well, although events are lost."""
    d = nine()
    dump = d.pg.dump(d.db)
    d.once()
    put_back(d, dump)
    d.configure(policies=[])
    for _ in range(2):
        assert f"{d.archives}/ledger knows 5 erasures that the database has forgotten" in verify(d)
        assert d.once(check=False).returncode == 1
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'ledger_ahead'") == 1
    d.ctl("replay", "--yes")
    d.once()
    assert ids(d) == {6, 7, 8, 9}
    assert "the ledger's file is intact" in verify(d, 0)


def test_what_is_left_of_a_file_is_replayed(nine):
    """A restored backup, and a file that is damaged behind its third line: the lines before it are of use."""
    d = nine()
    dump = d.pg.dump(d.db)
    d.once()
    put_back(d, dump)
    d.configure(policies=[])
    text = read(d)
    write(d, [*text[:3], "\0" * 90 + "\n", *text[4:]])
    refused(d, "ledger:4: not a line of a ledger: put the file back from its backup; or move it away")
    write(d, text[:3])
    assert f"{d.archives}/ledger knows 2 erasures that the database has forgotten" in verify(d)
    assert d.once(check=False).returncode == 1
    d.ctl("replay", "--yes")
    d.once()
    assert ids(d) == {3, 4, 5, 6, 7, 8, 9}
    assert "the ledger's file is intact" in verify(d, 0)


def test_one_who_may_not_read_the_key(passed):
    d = passed
    d.pg.psql(d.db, "-c", "DROP ROLE IF EXISTS chain_auditor", "-c", "CREATE ROLE chain_auditor LOGIN",
              "-c", "GRANT retention_auditor TO chain_auditor")
    d.configure(user="chain_auditor")
    assert "the ledger's file was not checked: call this as the daemon's user, on its host\n" in verify(d, 0)


# --- Before a replay --------------------------------------------------------------------------------


@pytest.fixture
def forgotten(nine):
    d = nine()
    dump = d.pg.dump(d.db)
    d.once()
    put_back(d, dump)
    d.configure(policies=[])
    assert d.once(check=False).returncode == 1 and len(ids(d)) == 9
    return d


def answer(d, text):
    """retentionctl replay on a terminal, and what it says to the answer."""
    ours, theirs = pty.openpty()
    os.write(ours, text)
    done = subprocess.run([d.build / "retentionctl", "-c", d.path, "replay"], stdin=theirs, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
    os.close(ours)
    os.close(theirs)
    return done.returncode, done.stdout


def test_a_replay_says_first_whom_it_would_erase(forgotten):
    d = forgotten
    done = d.ctl("replay", check=False)
    assert done.returncode == 1 and "nothing is erased: retentionctl replay --yes" in done.stderr
    assert done.stdout.splitlines()[1].split() == ["action", "of", "archive", "due", "first", "keys"]
    assert done.stdout.splitlines()[-1].split() == "delete_contacts action 1 none 5 1, 2, 3, 4, 5".split()
    status, said = answer(d, b"no\n")
    assert status == 1 and "type yes to erase them again: " in said and d.jobs() == []
    status, said = answer(d, b"yes\n")
    assert status == 0 and "delete_contacts for 5 keys again" in said and len(d.jobs("replay")) == 1
    d.once()
    assert ids(d) == {6, 7, 8, 9}


def test_other_keys_than_were_shown(forgotten):
    """The daemon compares again while the question stands."""
    d = forgotten
    d.pg.sql(d.db, """CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO retention.replay SELECT 1, 'delete_contacts', 'none', now(), '6'; RETURN NULL; END $$;
        CREATE TRIGGER more AFTER INSERT ON retention.archive_journal EXECUTE FUNCTION more()""")
    done = d.ctl("replay", "--yes", check=False)
    assert done.returncode == 1 and "the daemon has found other keys meanwhile" in done.stderr
    assert d.jobs() == [] and len(ids(d)) == 9
