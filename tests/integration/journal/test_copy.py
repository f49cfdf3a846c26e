"""
archives.directory belongs to one database.  A copy of it beside the original, or on another server, is refused before
it writes anything; a database that was restored in the place of the old one goes on by itself.
"""

import os
import shutil
import signal

import pytest

from support.backup import DELETE, lines, load, put_back, rows
from support.harness import standby_of, wait_until
from support.jobs import DONE, KILLED, REFUSED, tidy
from support.small import policy

pytestmark = pytest.mark.safety(once=True)

KEEP = {**DELETE, "archive": "full"}
OLDER = {**KEEP, "name": "older", "depth": "40 months"}
WAYS = "run retentionctl adopt --new; if it takes that one's place, run retentionctl adopt --replace"


def identity(d):
    """What the file says: (id, system identifier, oid, timeline, adopted)."""
    text = (d.archives / "identity").read_text()
    assert text.startswith("# retentiond identity 1 ") and text.endswith("\n")
    return tuple(text.split()[4:])


def events(d, kind):
    return [details for (details,) in d.pg.sql(
        d.db, "SELECT details FROM retention.journal_event WHERE kind = %s ORDER BY id", (kind,))]


def oid(d):
    return str(d.pg.value("postgres", "SELECT oid::int8 FROM pg_database WHERE datname = %s", (d.db,)))


def everything(folder):
    """All that is below the folder, with its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def production(daemon):
    """A daemon whose database has erased something after the dump that comes with it, and before."""
    d = daemon(policies=[OLDER], contacts=60)
    assert d.check_config().returncode == 0
    assert not (d.archives / "identity").exists(), "the check writes nothing"
    d.once()
    dump = d.pg.dump(d.db)
    d.configure(policies=[KEEP])
    d.once()
    return d, dump


@pytest.fixture
def copy(daemon, pg):
    """copy(production, dump=None, server=…): a daemon on a copy of the database with the same archives directory."""
    made = []

    def make(d, dump=None, server=None, **config):
        server = server or pg
        name = server.create_database(template=None if dump else d.db)
        if server is pg:  # another goes whole
            made.append(name)
        if dump:
            load(server, name, dump)
        return daemon(db=name, server=server, migrate=False, policies=[KEEP],
                      **{"archives": {"directory": str(d.archives)}, **config})

    yield make
    for name in made:
        pg.drop_database(name)


def refused(c, message, production=None):
    """Check, pass, expiry and people's commands all refuse, and change nothing below the directory."""
    folder = production.archives if production else c.archives
    before, journal = everything(folder), c.pg.sql(c.db, "SELECT * FROM retention.journal_event ORDER BY id")
    for done in (c.check_config(), c.once(check=False)):
        assert done.returncode == 1 and message in done.stderr, done.stderr
    status, said = tidy(c)
    assert status == REFUSED and message in said
    assert everything(folder) == before
    assert c.pg.value(c.db, "SELECT count(*) FROM retention.replay") == 0
    assert c.pg.sql(c.db, "SELECT * FROM retention.journal_event ORDER BY id") == journal


def test_the_first_job_binds_it(production):
    d, _ = production
    row, = d.pg.sql(d.db, "SELECT id::text, system_identifier::text, database_oid::text, adopted::text FROM retention.identity")
    assert identity(d) == (row[0], row[1], oid(d), "1", "0") and row[2] == oid(d)
    assert (d.archives / "identity").stat().st_mode & 0o777 == 0o600
    assert not (d.archives / "identity.tmp").exists()
    assert (d.archives / "ledger").read_text().split()[4] == row[0]
    assert events(d, "rebound") == []


def test_a_copy_beside_the_original(production, copy):
    """By CREATE DATABASE … TEMPLATE: its pass, its expiry, its people."""
    d, _ = production
    c = copy(d)
    c.pg.sql(c.db, "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = session_user"
                   " WHERE id = 2")
    message = f'archives.directory "{d.archives}": it belongs to the database "{d.db}" of the same server'
    refused(c, message, d)
    assert WAYS in c.check_config().stderr
    for words in (("replay",), ("archive", "delete", "1"), ("archive", "restore", "1", "--dry-run")):
        done = c.ctl(*words, check=False)
        assert done.returncode == 1 and f"this database is a copy of another (system identifier {identity(d)[1]}, oid {oid(d)})" \
            in done.stderr and "hint: Give it an empty archives.directory" in done.stderr, done.stderr
    # A job that somebody validated in the copy before it was copied, too.
    number = c.pg.value(c.db, "SELECT retention.save_action('export', '2020-01-01', '2020-01-31')")
    assert c.once(check=False).returncode == 1
    assert c.jobs(f"id = {number}")[0]["started_at"] is None
    # The original is not disturbed.
    assert d.once().returncode == 0 and d.ctl("verify").returncode == 0
    assert sorted(lines(d)) == sorted(rows(d.pg, d.db)) and d.pg.value(d.db, "SELECT count(*) FROM retention.replay") == 0


def test_the_resident_daemon_says_why(production, copy):
    d, _ = production
    c = copy(d)
    c.start()
    assert c.wait() == 1
    assert c.log_contains("it belongs to the database .* of the same server: if this database is a copy") and c.log_contains("nothing is started")
    # A directory that is another's is found when the daemon connects again.
    own = c.dir / "archives"
    c.configure(archives={"directory": str(own)})
    c.ctl("adopt", "--new", "--reason", "test system")
    c.start()
    c.wait_for_log("ready: ")
    shutil.copy(d.archives / "identity", own / "identity")
    c.pg.sql(c.db, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                           " WHERE datname = current_database() AND application_name = 'retentiond'")
    c.wait_for_log("it belongs to another database")

    def says(pattern, since=0):
        c.signal(signal.SIGUSR1)
        return c.log_contains(pattern, since)

    wait_until(lambda: says("state: nothing runs until a reload corrects it: .*it belongs to another database"))
    # The way out acts at once.
    since = c.log_position()
    (own / "identity").unlink()
    c.ctl("adopt", "--replace", "--reason", "put right")
    wait_until(lambda: says("model good", since))
    assert c.stop() == 0


@pytest.mark.parametrize("older", [False, True])
def test_a_restored_backup_goes_on(production, older, daemon):
    """Under another oid on the same server, in the place of the old one; also from before the first job."""
    d, dump = production
    if older:
        d = daemon(policies=[KEEP], contacts=60)
        dump = d.pg.dump(d.db)
        d.once()
    known, was = set(lines(d)), oid(d)
    put_back(d, dump)
    assert d.once(check=False).returncode == 1  # a replay comes first
    d.ctl("replay", "--yes")
    d.configure(policies=[])
    d.once()
    assert oid(d) != was and identity(d)[2] == oid(d)
    event, = events(d, "rebound")
    assert (event["was"]["database_oid"], event["database_oid"]) == (was, oid(d))
    assert event["system_identifier"] == event["was"]["system_identifier"]
    assert known <= set(lines(d)) == set(rows(d.pg, d.db)) and d.ctl("verify").returncode == 0
    assert {r["status"] for r in d.jobs("replay")} == {"done"}


@pytest.mark.parametrize("point", ["job-after-row", "job-after-identity"])
def test_killed_while_it_is_bound_again(job, point):
    j = job()
    assert j.run("batch-after-ledger:2") == KILLED
    wait_until(lambda: not j.sessions())
    put_back(j.daemon, j.pg.dump(j.db))
    assert j.run(point) == KILLED
    wait_until(lambda: not j.sessions())
    assert j.run() == DONE
    assert len(j.events("rebound")) == 1 and identity(j.daemon)[2] == oid(j.daemon)


@pytest.mark.parametrize("point", ["job-after-row", "job-after-identity"])
def test_killed_while_it_is_bound_first(job, point):
    j = job()
    assert j.run(point) == KILLED
    wait_until(lambda: not j.sessions())
    assert (j.archives / "identity").exists() == (point == "job-after-identity")
    assert j.run() == DONE
    assert j.events("rebound") == [] and identity(j.daemon)[2] == oid(j.daemon)


@pytest.mark.parametrize("older", [False, True])
def test_a_dump_beside_the_original(production, copy, daemon, older):
    """The original stands: nobody has restored anything in its place.  Also where the dump has never had a directory."""
    d, dump = production
    if older:
        d = daemon(policies=[KEEP], contacts=60)
        dump = d.pg.dump(d.db)
        d.once()
    refused(copy(d, dump), f'it belongs to the database "{d.db}" of the same server', d)


def test_another_server_and_back(production, copy, own_pg):
    """Moved: a person says so, the ledger goes on, and the database that was left behind stays out."""
    d, dump = production
    known = set(lines(d))
    server = own_pg()
    for role in ("auditor", "operator", "approver", "daemon"):
        server.sql("postgres", f"CREATE ROLE retention_{role}")
    c = copy(d, dump, server)
    system = str(server.value("postgres", "SELECT system_identifier FROM pg_control_system()"))
    refused(c, f"it belongs to a database on another server (system identifier {identity(d)[1]}; here it is {system})", d)
    assert "give either --new or --replace, and --reason" in c.ctl("adopt", "--reason", "x", check=False).stderr
    assert "the reason is missing" in c.ctl("adopt", "--replace", "--reason", " ", check=False).stderr
    c.ctl("adopt", "--replace", "--reason", "moved to db2")
    taken = f"another database (system identifier {system}, oid {oid(c)}) has taken this one's place in it"
    assert c.check_config().returncode == 0 and identity(d)[1] != system  # -t takes no place
    done = c.once(check=False)
    assert done.returncode == 1 and "restored from a backup" in done.stderr  # the dump is older than the ledger
    refused(d, taken)  # from the first start on, and not only from the first erasure
    c.ctl("replay", "--yes")
    c.configure(policies=[])
    c.once()
    assert identity(d)[1:4] == (system, oid(c), "1") and known <= set(lines(d))
    assert {r["status"] for r in c.jobs("replay")} == {"done"} and set(rows(c.pg, c.db)) == set(lines(d))
    event, = events(c, "adopted")
    assert event["replaces"] and event["reason"] == "moved to db2" and event["was"]["id"] == event["is"]["id"]
    # The old one.
    refused(d, taken)
    # It can be taken back, and erases again what the other has erased again.
    d.ctl("adopt", "--replace", "--reason", "moved back")
    assert "restored from a backup" in d.once(check=False).stderr
    d.ctl("replay", "--yes")
    d.configure(policies=[policy("export", archive="listed")])
    d.once()
    assert identity(d)[1] != system and c.check_config().returncode == 1


def test_a_copy_becomes_a_database_of_its_own(production, copy):
    d, _ = production
    c = copy(d)
    c.ctl("adopt", "--new", "--reason", "test system")
    refused(c, "it belongs to another database: each database needs an archives directory of its own", d)
    c.configure(archives={"directory": str(c.dir / "archives")})
    c.configure(policies=[policy("export", archive="listed")])
    c.once()
    assert identity(c)[0] != identity(d)[0] and identity(c)[2] == oid(c)
    event, = events(c, "adopted")
    assert not event["replaces"] and event["was"]["id"] == identity(d)[0] and event["is"]["id"] == identity(c)[0]
    c.configure(policies=[{**KEEP, "depth": "12 months", "name": "more"}])
    c.once()
    assert sorted(lines(c)) == sorted(rows(c.pg, c.db)), "its ledger is written from its table"
    assert d.once().returncode == 0 and c.ctl("verify").returncode == 0


def test_an_empty_directory_is_no_excuse(production, copy):
    """It may be one that is not mounted: a copy has to say that it is one."""
    d, _ = production
    c = copy(d, archives={})
    refused(c, f'this database was copied from the database "{d.db}" of the same server', c)


def test_lost_files(production, daemon):
    """The file alone comes back from the table.  A ledger that nobody vouches for is not taken."""
    d, _ = production
    said = identity(d)
    (d.archives / "identity").unlink()
    d.configure(policies=[policy("export", archive="listed")])
    d.once()
    assert identity(d) == said
    d = daemon(policies=[KEEP], contacts=60)
    dump = d.pg.dump(d.db)
    d.once()
    (d.archives / "identity").unlink()
    put_back(d, dump)
    refused(d, 'it holds a ledger and no file "identity"', d)
    d.ctl("adopt", "--replace", "--reason", "file lost")
    assert "restored from a backup" in d.once(check=False).stderr
    d.ctl("replay", "--yes")
    d.configure(policies=[])
    d.once()
    assert identity(d)[2] == oid(d) and int(identity(d)[4]) > 0


def test_a_file_that_is_not_ours(production):
    d, _ = production
    (d.archives / "identity").write_text("id;name\n")
    refused(d, 'its file "identity" is not what retentiond wrote', d)
    (d.archives / "identity").unlink()
    d.ctl("adopt", "--replace", "--reason", "file lost")
    d.configure(policies=[policy("export", archive="listed")])
    d.once()
    assert identity(d)[2] == oid(d)
    (d.archives / "identity").unlink()
    os.mkfifo(d.archives / "identity")
    assert '"identity" is not a regular file' in d.check_config().stderr


def test_a_copy_of_the_server(own_pg, daemon):
    """A standby that was promoted has the directory; the old primary that comes back is behind it, and stays out."""
    server = own_pg()
    db = server.create_database(template=server.crm_template(60))
    d = daemon(db=db, server=server, policies=[OLDER])
    d.once()
    promoted = standby_of(server)
    try:
        promoted.start()
        promoted._tool("pg_ctl", "-D", promoted.data, "-w", "promote")
        c = daemon(db=db, server=promoted, policies=[KEEP], migrate=False, archives={"directory": str(d.archives)})
        c.once()
        assert identity(d)[3] == "2" and events(c, "rebound") == []
        refused(d, "a server on timeline 2 has written into it, and this one is on timeline 1: it is a copy, or an old "
                   "primary that came back", d)
        assert c.once().returncode == 0
        d.ctl("adopt", "--replace", "--reason", "the promoted one was a test")
        assert "restored from a backup" in d.once(check=False).stderr
    finally:
        promoted.destroy()
