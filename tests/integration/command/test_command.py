"""
retentionctl: migrations, manual actions, holds, what it shows, and archive verify.  Where an action's
state is all that matters, SQL plays the daemon; where files matter, the real one runs once.
"""

import json
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from support.ctl import action, ctl, said
from support.harness import BUILD, CRM_MODEL, Daemon, REPO, make_config, wait_until
from support.locks import LOCK_MIGRATE, LOCK_SCHEMA
from support.terminal import Terminal

DATES = ("--from", "2024-01-01", "--to", "2024-01-31")

POLICY = {"name": "contacts-36m", "action": "delete_contacts", "depth": "36 months",
          "schedule": "monthly", "archive": "full"}
SQL = REPO / "migrations"
MIGRATIONS = [re.fullmatch(r"\d+_(.*)", path.stem).group(1)
              for path in sorted(SQL.glob("*.sql"))]
VERSIONS = list(range(1, len(MIGRATIONS) + 1))
NEWEST = len(MIGRATIONS)


def applied(versions):
    return "".join(f"migration {v} ({MIGRATIONS[v - 1]}) applied\n" for v in versions)


UP_TO_DATE = f"nothing to do: the schema retention is at version {NEWEST}\n"


@pytest.fixture(scope="module")
def people(pg):
    """Logins {role: name}, one a group role, and one that has none."""
    names = {role: f"ctl_{role}" for role in ("auditor", "operator", "approver", "nobody")}
    boot = pg.create_database()
    assert ctl(pg, boot, "migrate").returncode == 0
    for role, name in names.items():
        pg.psql(boot, "-c", f"CREATE ROLE {name} LOGIN")
        if role != "nobody":
            pg.psql(boot, "-c", f"GRANT retention_{role} TO {name}")
    yield names
    pg.drop_database(boot)
    for name in names.values():
        pg.psql("postgres", "-c", f"DROP ROLE {name}")


# --- Wrong use --------------------------------------------------------------------------------


@pytest.mark.parametrize("args, message", [
    ((), "give a command; retentionctl --help lists them"),
    (("frobnicate",), 'there is no command "frobnicate"; retentionctl --help lists them'),
    (("hold",), 'there is no command "hold"; retentionctl --help lists them'),
    (("hold", "frob"), 'there is no command "hold frob"; retentionctl --help lists them'),
    (("--frob", "journal"), "unknown option --frob"),
    (("-x", "journal"), "unknown option -x"),
    (("migrate", "now"), 'unexpected argument "now"'),
    (("migrate", "--force"), "unknown option --force"),
    (("journal", "5"), 'unexpected argument "5"'),
    (("journal", "--jsn"), "unknown option --jsn"),
    (("journal", "-j"), "unknown option -j"),
    (("journal", "--json=yes"), "unknown option --json=yes"),
    (("policies", "x"), 'unexpected argument "x"'),
    (("save",), "give one action, --from and --to"),
    (("save", "export"), "give one action, --from and --to"),
    (("save", "export", "--from", "2024-01-01"), "give one action, --from and --to"),
    (("save", "--from", "2024-01-01", "--to", "2024-01-02"), "give one action, --from and --to"),
    (("save", "export", "more", "--from", "2024-01-01", "--to", "2024-01-02"),
     "give one action, --from and --to"),
    (("save", "export", "--from"), "--from needs a value"),
    (("save", "export", "--from", "2024-02-30", "--to", "2024-03-01"), '"2024-02-30" is not a date: use YYYY-MM-DD'),
    (("save", "export", "--from", "2024-01-01", "--to", "1/2/2024"), '"1/2/2024" is not a date: use YYYY-MM-DD'),
    (("save", "export", "--from", "2024-01-01", "--to", "infinity"), '"infinity" is not a date: use YYYY-MM-DD'),
    (("validate",), "give the number of one action"),
    (("validate", "1", "2"), "give the number of one action"),
    (("validate", "x"), '"x" is not the number of an action'),
    (("validate", "0"), '"0" is not the number of an action'),
    (("validate", "1; DROP"), '"1; DROP" is not the number of an action'),
    (("cancel", "99999999999"), '"99999999999" is not the number of an action'),
    (("cancel", "--", "-1"), '"-1" is not the number of an action'),
    (("pause", "1", "2"), "give the number of one action"),
    (("pause", "x"), '"x" is not the number of an action'),
    (("resume", "0"), '"0" is not the number of an action'),
    (("resume", "--all"), "unknown option --all"),
    (("show",), "give the number of one action"),
    (("show", "1.5"), '"1.5" is not the number of an action'),
    (("archive", "verify"), "give the number of one action, or the name of one archive"),
    (("archive", "delete"), "give the number of one action, or the name of one archive"),
    (("archive", "delete", "x"), '"x" is not the number of an action'),
    (("archive", "delete", "20250101-export-p-5", "--note", "n"), "--note is for the archive of an action, which is named by a number"),
    (("validate", "1", "--seen", "many"), '"many" is not a number of keys'),
    (("validate", "1", "--seen", "-1"), '"-1" is not a number of keys'),
    (("cancel", "1", "--note", "n"), "unknown option --note"),
    (("archive", "list", "5"), 'unexpected argument "5"'),
    (("hold", "add", "7"), "give the key of one contact and --reason"),
    (("hold", "add", "--reason", "r"), "give the key of one contact and --reason"),
    (("hold", "add", "7", "--reason", "r", "--expires", "soon"), '"soon" is not a date: use YYYY-MM-DD'),
    (("hold", "add", "7", "--reason", "r", "--review", "13"), '"13" is not a date: use YYYY-MM-DD'),
    (("hold", "remove"), "give the key of one contact"),
    (("hold", "remove", "-5"), "unknown option -5"),
    (("cancel", "1", "--json"), "unknown option --json"),
    (("subject", "anonymize", "1", "--json"), "unknown option --json"),
    (("subject", "delete", "1", "--json"), "unknown option --json"),
    (("subject", "export"), "give the key of one contact"),
])
def test_wrong_use(args, message):
    """Exit 2 and one message, before any database or configuration is looked for."""
    done = subprocess.run([BUILD / "retentionctl", "-c", "/nonexistent/x.conf", *args], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, lines[0]) == (2, "", f"retentionctl: {message}")
    assert len(lines) == 2 and lines[1].startswith("usage: retentionctl ")


def test_help():
    def run(*args):
        return subprocess.run([BUILD / "retentionctl", *args], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    commands = re.findall(r"^  ([a-z]+(?: (?:list|verify|restore|add|remove|export|anonymize|delete|draft|check|save|validate|retire|status))?)\b(?! *,)", done.stdout, re.M)
    assert commands == ["setup", "migrate", "model draft", "model check", "grants", "policies", "run", "policy save", "policy validate", "policy retire", "save", "validate", "cancel", "abandon", "pause", "resume", "preview", "journal", "show", "report",
                        "archive list", "archive verify", "archive restore", "archive delete", "hold add", "hold remove", "hold list", "health", "verify",
                        "residue", "replay", "waive", "adopt", "subject export", "subject status", "subject anonymize", "subject delete"]
    for command in commands:
        done = run(*command.split(), "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: retentionctl {command}") and done.stdout.count("\n") in (3, 4)
    for word in ("archive", "subject", "model"):
        assert run(word).returncode == 2


def test_no_configuration(pg, tmp_path):
    done = subprocess.run([BUILD / "retentionctl", "-c", tmp_path / "none.conf", "journal"], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1 and done.stdout == ""
    assert "none.conf" in done.stderr
    assert done.stderr.endswith("hint: with -d CONNINFO this command works without a configuration\n")
    done = ctl(pg, "postgres", "policies")
    assert done.returncode == 1 and "/nonexistent/retentiond.conf" in done.stderr and "hint" not in done.stderr


def test_no_database(tmp_path):
    done = subprocess.run([BUILD / "retentionctl", "-d", f"host={tmp_path} dbname=x", "journal"], text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("retentionctl: cannot connect to the database: ")


def test_libpq_environment(pg, db):
    """What conninfo leaves open is libpq's, as everywhere."""
    done = subprocess.run(
        [BUILD / "retentionctl", "-d", "", "journal", "--json"], text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PGHOST": str(pg.dir), "PGPORT": str(pg.port), "PGDATABASE": db, "PGUSER": pg.SUPERUSER})
    assert said(done) == (0, "[]\n", "")


# --- migrate ----------------------------------------------------------------------------------


def versions(pg, db):
    return [v for (v,) in pg.sql(db, "SELECT version FROM retention.schema_version ORDER BY version")]


def undumped(dump):
    """Its lines, without the random word that each dump has since the releases of August 2025."""
    return [line for line in dump.splitlines() if not re.match(rb"\\(un)?restrict", line)]


def test_migrate_twice(pg, empty_db):
    db = empty_db()
    done = ctl(pg, db, "migrate")
    assert said(done) == (0, applied(VERSIONS), "")
    before = pg.dump(db)
    assert said(ctl(pg, db, "migrate")) == (0, UP_TO_DATE, "")
    assert undumped(pg.dump(db)) == undumped(before)
    assert versions(pg, db) == VERSIONS
    assert pg.sql(db, "SELECT DISTINCT applied_by, length(sha256) FROM retention.schema_version") == \
           [(pg.SUPERUSER, 64)]


def test_migrate_goes_on(pg, db, empty_db, tmp_path):
    """A database that an older binary, or a crash, left at version 2."""
    older = empty_db()
    pg.psql(older, "-c", "CREATE SCHEMA retention")
    version = pg.dump(db, "-t", "retention.schema_version").decode()
    version = "\n".join(line for line in version.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))
    dump = tmp_path / "schema_version.sql"
    dump.write_text(version)
    pg.psql(older, "-f", dump, *(arg for path in sorted(SQL.glob("*.sql"))[:2] for arg in ("-f", path)),
            "-c", "DELETE FROM retention.schema_version WHERE version > 2")
    shutil.rmtree(dump.parent)
    told = "".join(changes(n) for n in VERSIONS[2:])
    before = pg.dump(older)
    assert said(ctl(pg, older, "migrate", "--dry-run")) == (0, told, "")
    assert undumped(pg.dump(older)) == undumped(before) and versions(pg, older) == [1, 2]
    assert said(ctl(pg, older, "migrate")) == (0, told + applied(VERSIONS[2:]), "")
    assert versions(pg, older) == VERSIONS
    assert said(ctl(pg, older, "migrate", "--dry-run")) == (0, UP_TO_DATE, "")


def changes(number):
    """What a migration changes, as its file begins."""
    path, = SQL.glob(f"{number:04}_*.sql")
    comment = path.read_text().split("\n")
    lines = comment[:next(n for n, line in enumerate(comment) if not line.startswith("-- "))]
    assert lines
    return f"migration {number} ({path.stem[5:]}):\n" + "".join(f"  {line[3:]}\n" for line in lines)


def test_migrate_dry_run_makes_nothing(pg, empty_db):
    """Not even the schema; what migrate would refuse, it refuses."""
    db = empty_db()
    assert said(ctl(pg, db, "migrate", "--dry-run")) == (0, "".join(map(changes, VERSIONS)), "")
    assert pg.value(db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'retention'") == 0
    pg.psql(db, "-c", "CREATE SCHEMA retention", "-c", "CREATE TABLE retention.mine ()")
    done = ctl(pg, db, "migrate", "--dry-run")
    assert (done.returncode, done.stdout) == (1, "") and "holds retention.mine, which migrate has not made" in done.stderr


@pytest.fixture
def crmowner(pg, empty_db):
    """A database whose owner, no superuser, has been there before migrate."""
    db = empty_db()
    pg.psql(db, "-c", "CREATE ROLE crmowner LOGIN", "-c", f"ALTER DATABASE {db} OWNER TO crmowner")
    yield db
    pg.psql(db, "-c", "REASSIGN OWNED BY crmowner TO CURRENT_USER", "-c", "DROP OWNED BY crmowner", "-c", "DROP ROLE crmowner")


TRAP = """
    CREATE SCHEMA retention;
    CREATE TABLE retention.schema_version (version int PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(), applied_by text NOT NULL DEFAULT session_user);
    CREATE FUNCTION retention.trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE 'ALTER ROLE crmowner SUPERUSER'; RETURN NEW; END $$;
    CREATE TRIGGER trap BEFORE INSERT ON retention.schema_version FOR EACH ROW EXECUTE FUNCTION retention.trap()"""


@pytest.mark.parametrize("owners, admins, named", [
    (TRAP, "", "schema retention"),
    ("CREATE SCHEMA retention", "", "schema retention"),
    (TRAP, "ALTER SCHEMA retention OWNER TO CURRENT_USER", "retention.schema_version"),
    (TRAP, "ALTER SCHEMA retention OWNER TO CURRENT_USER; ALTER TABLE retention.schema_version OWNER TO CURRENT_USER",
     "retention.trap()"),
    ("CREATE SCHEMA retention; CREATE OPERATOR retention.= (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
     "ALTER SCHEMA retention OWNER TO CURRENT_USER", "retention.=(integer,integer)"),
    ("SELECT 1", "CREATE SCHEMA retention; GRANT CREATE ON SCHEMA retention TO crmowner",
     "the right to create objects in schema retention"),
])
def test_migrate_adopts_nothing(pg, crmowner, owners, admins, named):
    """A schema in which another role has prepared anything: its code would run with the administrator's rights."""
    pg.psql(crmowner, "-c", owners, user="crmowner")
    if admins:
        pg.psql(crmowner, "-c", admins)
    assert said(ctl(pg, crmowner, "migrate")) == (
        1, "", f"retentionctl: {named} belongs to role crmowner, and migrate would run its code with the rights of "
        f"{pg.SUPERUSER}: drop what is foreign, or run migrate as the role that ran it before; nothing is changed\n")
    assert not pg.value("postgres", "SELECT rolsuper FROM pg_roles WHERE rolname = 'crmowner'")
    assert pg.value(crmowner, "SELECT to_regclass('retention.setting')") is None


def test_migrate_adopts_nothing_later(pg, crmowner):
    """What is foreign in a schema that an older version has made."""
    assert ctl(pg, crmowner, "migrate").returncode == 0
    pg.psql(crmowner, "-c", "GRANT CREATE ON SCHEMA retention TO crmowner")
    pg.psql(crmowner, "-c", "CREATE FUNCTION retention.cutoff(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", user="crmowner")
    pg.psql(crmowner, "-c", "REVOKE CREATE ON SCHEMA retention FROM crmowner")
    done = ctl(pg, crmowner, "migrate")
    assert done.returncode == 1 and "retention.cutoff(integer) belongs to role crmowner" in done.stderr


def test_migrate_into_a_schema_of_its_own(pg, empty_db):
    """Empty: made beforehand, for a role that may not make one.  Anything in it is refused."""
    db = empty_db()
    pg.psql(db, "-c", "CREATE SCHEMA retention", "-c", "CREATE TABLE retention.setting (name text)")
    done = ctl(pg, db, "migrate")
    assert done.returncode == 1 and "is there already and holds retention.setting" in done.stderr
    pg.psql(db, "-c", "DROP TABLE retention.setting")
    assert said(ctl(pg, db, "migrate")) == (0, applied(VERSIONS), "")


@pytest.mark.parametrize("attribute", ["LOGIN", "SUPERUSER", "CREATEROLE"])
def test_migrate_takes_a_group_for_a_group_only(pg, db, empty_db, attribute):
    pg.psql("postgres", "-c", f"ALTER ROLE retention_approver {attribute}")
    try:
        done = ctl(pg, empty_db(), "migrate")
        assert done.returncode == 1 and "the role retention_approver exists already, and is not a mere group" in done.stderr
    finally:
        pg.psql("postgres", "-c", f"ALTER ROLE retention_approver NO{attribute}")


@pytest.mark.parametrize("change, message", [
    (f"INSERT INTO retention.schema_version VALUES ({NEWEST + 1}, 'x', 'x'), ({NEWEST + 2}, 'y', 'y')",
     f"this database has migration {NEWEST + 2}, this retentionctl knows {NEWEST}: install the newer retentiond"),
    ("UPDATE retention.schema_version SET sha256 = repeat('0', 64) WHERE version = 2",
     "migration 2 (journal) was changed after it was applied: this retentionctl and this database do not belong "
     "together"),
    ("DELETE FROM retention.schema_version WHERE version = 2",
     "migration 2 (journal) is not recorded in retention.schema_version, while migration 3 is: a row was removed "
     "or never written; nothing is changed"),
])
def test_migrate_refuses(pg, db, change, message):
    pg.sql(db, change)
    before = versions(pg, db)
    assert said(ctl(pg, db, "migrate")) == (1, "", f"retentionctl: {message}\n")
    assert versions(pg, db) == before


def test_migrate_all_at_once(pg, empty_db):
    db = empty_db()
    running = [subprocess.Popen([BUILD / "retentionctl", "-d", pg.conninfo(db), "migrate"], text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(8)]
    outs = [p.communicate(timeout=120) for p in running]
    assert [p.returncode for p in running] == [0] * 8, outs
    assert sorted(out for out, _ in outs) == sorted(
        [applied(VERSIONS)] + [UP_TO_DATE] * 7)
    assert {re.sub(r"process \d+, role \w+", "...", err) for _, err in outs} <= {
        "", "retentionctl: another migration of this database is running (...): waiting\n"}
    assert versions(pg, db) == VERSIONS


def test_migrate_waits_for_another(pg, empty_db):
    db = empty_db()
    with pg.connect(db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK_MIGRATE, LOCK_SCHEMA))
        waiting = subprocess.Popen([BUILD / "retentionctl", "-d", pg.conninfo(db), "migrate"], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: pg.value(db, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"))
        assert waiting.poll() is None
        assert pg.value(db, "SELECT to_regclass('retention.schema_version') IS NULL")
        holder = conn.info.backend_pid
    out, err = waiting.communicate(timeout=60)
    assert out.count("applied") == NEWEST
    assert f"another migration of this database is running (process {holder}, role {pg.SUPERUSER}): waiting" in err
    assert waiting.returncode == 0


def test_migrate_without_rights(own_pg):
    """Who may not is told what is missing, and leaves nothing behind; who may needs no superuser."""
    pg = own_pg()
    db = pg.create_database()
    pg.psql(db, "-c", "CREATE ROLE plain LOGIN; CREATE ROLE creator LOGIN; CREATE ROLE enough LOGIN CREATEROLE;"
                      f"GRANT CREATE ON DATABASE {db} TO creator, enough")
    hint = ("hint: run migrate as a role that may create a schema in this database (CREATE) and roles (CREATEROLE), "
            "or as the one that ran it before\n")
    assert said(ctl(pg, db, "migrate", user="plain")) == \
           (1, "", f"retentionctl: permission denied for database {db} (SQLSTATE 42501)\n" + hint)
    done = ctl(pg, db, "migrate", user="creator")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"retentionctl: permission denied to create role.*\(SQLSTATE 42501\)\n" + re.escape(hint),
                        done.stderr)
    assert pg.value(db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'retention'") == 0
    done = ctl(pg, db, "migrate", user="enough")
    assert (done.returncode, done.stderr) == (0, "")
    assert versions(pg, db) == VERSIONS
    assert ctl(pg, db, "save", "export", "--from", "2024-01-01", "--to", "2024-01-02", user="enough").returncode == 0
    assert ctl(pg, db, "hold", "add", "7", "--reason", "r", user="enough").returncode == 0
    done = ctl(pg, db, "migrate", user="plain")
    assert (done.returncode, done.stdout) == (1, "") and "permission denied for schema retention" in done.stderr


# --- save, validate, cancel -------------------------------------------------------------------


SAVE_REFUSALS = [
    (("erase", "--from", "2024-01-01", "--to", "2024-01-31"), 'unknown action "erase"',
     "Actions: export, delete_contacts, anonymize_contacts, anonymize_requests."),
    (("", "--from", "2024-01-01", "--to", "2024-01-31"), 'unknown action ""',
     "Actions: export, delete_contacts, anonymize_contacts, anonymize_requests."),
    (("export", "--from", "2024-01-01", "--to", "2024-01-31", "--archive", "zip"), 'unknown archive mode "zip"',
     "Modes: none, listed, full."),
    (("anonymize_contacts", "--from", "2024-01-01", "--to", "2024-01-31", "--archive", "full"),
     "an anonymization cannot be archived: it leaves nothing to go back to",
     "Leave the archive mode out, or give none."),
    (("anonymize_requests", "--from", "2024-01-01", "--to", "2024-01-31", "--archive", "listed"),
     "an anonymization cannot be archived: it leaves nothing to go back to",
     "Leave the archive mode out, or give none."),
    (("export", "--from", "2024-01-01", "--to", "2024-01-31", "--archive", "none"),
     "an export without an archive would do nothing", "Give listed or full."),
    (("export", "--from", "2024-01-31", "--to", "2024-01-01"),
     "the interval ends (2024-01-01) before it starts (2024-01-31)", "Exchange the two days."),
    (("export", "--from", "2024-01-01", "--to", "2024-02-01"),
     "the interval from 2024-01-01 to 2024-02-01 is longer than one month",
     "Both days count: from 2024-01-01, it can end on 2024-01-31 at the latest."),
    (("export", "--from", "2023-01-31", "--to", "2023-02-28"),
     "the interval from 2023-01-31 to 2023-02-28 is longer than one month",
     "Both days count: from 2023-01-31, it can end on 2023-02-27 at the latest."),
    (("export", "--from", "2024-02-29", "--to", "2024-03-29"),
     "the interval from 2024-02-29 to 2024-03-29 is longer than one month",
     "Both days count: from 2024-02-29, it can end on 2024-03-28 at the latest."),
]


@pytest.mark.parametrize("args, message, hint", SAVE_REFUSALS)
def test_save_refuses(pg, db, args, message, hint):
    assert said(ctl(pg, db, "save", *args)) == (1, "", f"retentionctl: {message}\nhint: {hint}\n")
    assert pg.value(db, "SELECT count(*) FROM retention.archive_journal") == 0


def test_save_refuses_the_future(pg, db):
    """By the daemon's time zone, which the schema knows, not by the caller's."""
    pg.sql(db, "SELECT retention.configure('Pacific/Kiritimati', false, 'bigint')")
    today, tomorrow = pg.sql(db, "SELECT retention.today()::text, (retention.today() + 1)::text")[0]
    done = ctl(pg, db, "save", "export", "--from", today, "--to", tomorrow)
    assert said(done) == (1, "", f"retentionctl: the interval ends in the future ({tomorrow}; today is {today})\n"
                                 "hint: Requests can still be attached to a day to come: end it today or before.\n")


def test_a_note_is_shown(pg, db):
    """By show: why it was asked for, and why its archive was deleted."""
    done = ctl(pg, db, "save", "export", *DATES, "--note", "ticket 12")
    assert done.returncode == 0, done
    job = pg.value(db, "SELECT max(id) FROM retention.archive_journal")
    assert re.search(r"^note +ticket 12$", ctl(pg, db, "show", job).stdout, re.M)
    assert json.loads(ctl(pg, db, "show", job, "--json").stdout)["note"] == "ticket 12"
    pg.sql(db, "INSERT INTO retention.setting VALUES ('contact_key_type', 'bigint') ON CONFLICT DO NOTHING")
    assert "action 2 saved" in ctl(pg, db, "subject", "delete", 7, "--note", "letter 3").stdout
    assert re.search(r"^note +letter 3$", ctl(pg, db, "show", 2).stdout, re.M)
    ended = action(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a', archive_removed_at = NULL WHERE id = {ended}")
    ctl(pg, db, "archive", "delete", ended, "--note", "asked for by the DPO")
    assert re.search(r"^archive_deleted_note +asked for by the DPO$", ctl(pg, db, "show", ended).stdout, re.M)
    assert said(ctl(pg, db, "save", "export", *DATES, "--note", "n" * 201)) == (
        1, "", "retentionctl: the note has 201 characters, and 200 are allowed\n"
               "hint: The journal keeps it for ever: name the case, and no person.\n")


def test_validates_what_was_seen(pg, db):
    job = action(pg, db)
    assert said(ctl(pg, db, "validate", job, "--seen", 5)) == (
        1, "", f"retentionctl: the list of action {job} has 4 keys, and is not the one that was seen, of 5\n"
               "hint: Look at the action again: it may be another one.\n")
    assert said(ctl(pg, db, "validate", job, "--seen", 4)) == (0, f"action {job} validated: the daemon runs it\n", "")
    # Not begun: it can still be taken back.
    assert said(ctl(pg, db, "cancel", job)) == (0, f"action {job} cancelled\n", "")


@pytest.mark.parametrize("command, status, listed, message, hint", [
    ("validate", None, None, "there is no action 7", "See retention.archives for their numbers."),
    ("validate", "saved", False, "action 1 is not listed yet: nobody knows what it would touch",
     "The daemon lists it when it is saved: is retentiond running?  Try again in a moment."),
    ("validate", "validated", True, "action 1 is validated: only a saved action can be validated", None),
    ("validate", "running", True, "action 1 is running: only a saved action can be validated", None),
    ("validate", "done", True, "action 1 is done: only a saved action can be validated", None),
    ("validate", "failed", True, "action 1 is failed: only a saved action can be validated", None),
    ("validate", "cancelled", True, "action 1 is cancelled: only a saved action can be validated", None),
    ("cancel", None, None, "there is no action 7", "See retention.archives for their numbers."),
    ("cancel", "running", True, "action 1 is running: only an action that has not begun can be cancelled", None),
    ("cancel", "done", True, "action 1 is done: only an action that has not begun can be cancelled", None),
    ("cancel", "failed", True, "action 1 is failed: only an action that has not begun can be cancelled", None),
    ("cancel", "cancelled", True, "action 1 is cancelled: only an action that has not begun can be cancelled", None),
    ("show", None, None, "there is no action 7", None),
])
def test_states_refused(pg, db, command, status, listed, message, hint):
    job = action(pg, db, status, listed) if status else 7
    want = f"retentionctl: {message}\n" + (f"hint: {hint}\n" if hint else "")
    assert said(ctl(pg, db, command, job)) == (1, "", want)
    assert not status or pg.value(db, "SELECT status FROM retention.archive_journal") == status


def test_four_eyes(pg, db, people):
    pg.sql(db, "SELECT retention.configure('UTC', true, 'bigint')")
    job = action(pg, db)
    assert said(ctl(pg, db, "validate", job)) == (
        1, "", f"retentionctl: action {job} was saved by you: somebody else has to validate it\n"
               "hint: The configuration asks for four eyes.\n")
    assert said(ctl(pg, db, "validate", job, user=people["approver"])) == \
           (0, f"action {job} validated: the daemon runs it\n", "")
    assert pg.sql(db, "SELECT requested_by, validated_by, status FROM retention.archive_journal") == \
           [(pg.SUPERUSER, people["approver"], "validated")]


def test_validate_and_cancel(pg, db):
    job = action(pg, db, listed=False)
    assert said(ctl(pg, db, "cancel", job)) == (0, f"action {job} cancelled\n", "")
    job = action(pg, db)
    assert said(ctl(pg, db, "validate", job)) == (0, f"action {job} validated: the daemon runs it\n", "")


def test_pause_and_resume(pg, db):
    """Of one action and of everything; who has paused it stands where a person looks."""
    me = pg.SUPERUSER
    job = action(pg, db)
    assert said(ctl(pg, db, "pause", job)) == \
           (0, f"action {job} is paused; retentionctl resume {job} ends the pause\n", "")
    assert f"paused by {me}" in ctl(pg, db, "journal").stdout
    shown = ctl(pg, db, "show", job).stdout
    assert re.search(rf"^paused_by +{me}$", shown, re.M) and re.search(r"^paused_at +\d{4}-", shown, re.M)
    assert " paused " in shown, "the event"
    assert json.loads(ctl(pg, db, "show", job, "--json").stdout)["paused_by"] == me
    assert json.loads(ctl(pg, db, "archive", "list", "--json").stdout)[0]["paused_by"] == me
    assert said(ctl(pg, db, "pause")) == (0, "everything is paused; retentionctl resume ends the pause\n", "")
    assert said(ctl(pg, db, "resume", job)) == (
        0, f"action {job} goes on when the pause of everything ends: retentionctl resume\n", "")
    assert said(ctl(pg, db, "resume")) == (
        0, "everything goes on, except actions that were paused by themselves\n", "")
    assert json.loads(ctl(pg, db, "show", job, "--json").stdout)["paused_by"] is None
    ctl(pg, db, "pause", job)
    assert said(ctl(pg, db, "resume", job)) == (0, f"action {job} goes on\n", "")
    assert said(ctl(pg, db, "resume", job)) == (1, "", (
        f"retentionctl: action {job} was not paused by itself\nhint: A pause of everything is ended for everything.\n"))
    assert said(ctl(pg, db, "pause", 99)) == (
        1, "", "retentionctl: there is no action 99\nhint: See retention.archives for their numbers.\n")
    done = action(pg, db, "done")
    assert said(ctl(pg, db, "pause", done)) == (
        1, "", f"retentionctl: action {done} is done: only an action that has not ended can be paused\n")


def test_save_while_everything_is_paused(pg, db):
    ctl(pg, db, "pause")
    done = ctl(pg, db, "save", "delete_contacts", "--from", "2024-01-01", "--to", "2024-01-31")
    assert said(done) == (0, "action 1 saved\neverything is paused by "
                             f"{pg.SUPERUSER}: it is listed after retentionctl resume\n", "")


def test_validated_by_two_at_once(pg, db):
    job = action(pg, db)
    running = [subprocess.Popen([BUILD / "retentionctl", "-d", pg.conninfo(db), "validate", str(job)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(6)]
    errors = [p.communicate(timeout=60)[1] for p in running]
    assert sorted(p.returncode for p in running) == [0] + [1] * 5
    assert sum(b"only a saved action can be validated" in e for e in errors) == 5


def test_save_without_a_daemon(pg, db):
    done = ctl(pg, db, "save", "delete_contacts", "--from", "2024-01-01", "--to=2024-01-31", "--archive", "full")
    assert said(done) == (0, "action 1 saved\n"
                             "the daemon has not yet listed what the action would change: is retentiond running?\n", "")
    assert pg.sql(db, "SELECT action, archive, from_date::text, to_date::text FROM retention.archive_journal") == \
           [("delete_contacts", "full", "2024-01-01", "2024-01-31")]


@pytest.mark.parametrize("play, want", [
    ("candidates = 12, frozen_at = now()", (0, "it would change 12 requests; retentionctl validate 1 runs it\n", "")),
    ("error = 'column \"shoe_size\" is in no rule'",
     (1, "", "retentionctl: action 1 is saved, but its list failed: column \"shoe_size\" is in no rule\n")),
])
def test_save_tells_what_the_daemon_says(pg, db, play, want):
    saving = subprocess.Popen(
        [BUILD / "retentionctl", "-d", pg.conninfo(db), "save", "anonymize_requests", "--from", "2024-01-01",
         "--to", "2024-01-31"], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: pg.value(db, "SELECT count(*) FROM retention.archive_journal"))
    pg.sql(db, f"UPDATE retention.archive_journal SET {play}")
    out, err = saving.communicate(timeout=60)
    assert (saving.returncode, out, err) == (want[0], "action 1 saved\n" + want[1], want[2])


ROLE_HINT = ("hint: grant your role retention_auditor (reads), retention_operator (saves, cancels, holds) or "
             "retention_approver (validates, holds)\n")


@pytest.mark.parametrize("command, allowed", [
    (("save", "export", *DATES), ("operator",)),
    (("cancel", "1"), ("operator", "approver")),
    (("validate", "1"), ("approver",)),
    (("pause", "1"), ("operator", "approver")),
    (("resume", "1"), ("operator", "approver")),
    (("hold", "add", "7", "--reason", "case"), ("operator", "approver")),
    (("hold", "remove", "5"), ("operator", "approver")),
    (("hold", "list"), ("auditor", "operator", "approver")),
    (("journal",), ("auditor", "operator", "approver")),
    (("archive", "list"), ("auditor", "operator", "approver")),
    (("show", "1"), ("auditor", "operator", "approver")),
    (("show", "1", "--json"), ("auditor", "operator", "approver")),
])
def test_who_may_what(pg, db, people, command, allowed):
    for role, name in people.items():
        pg.sql(db, "UPDATE retention.hold SET released_at = now(), released_by = 'test' WHERE released_at IS NULL")
        pg.sql(db, "SELECT retention.place_hold('5', 'case')", user=people["operator"])
        job = action(pg, db)
        args = [str(job) if a == "1" else a for a in command]
        if command[0] == "resume":
            pg.sql(db, "SELECT retention.pause_action(%s)", (job,), user=people["operator"])
        if role in allowed and command[0] == "save":
            continue  # test_save_* has it, and it waits for a daemon
        done = ctl(pg, db, *args, user=name)
        if role in allowed:
            assert (done.returncode, done.stderr) == (0, ""), (role, done)
        else:
            assert (done.returncode, done.stdout) == (1, ""), (role, done)
            assert re.fullmatch(r"retentionctl: permission denied for (schema|table|function|view) .*\n"
                                + re.escape(ROLE_HINT), done.stderr), (role, done)


@pytest.mark.parametrize("command", [("journal",), ("show", "1"), ("validate", "1"), ("hold", "list"),
                                     ("archive", "list", "--json")])
def test_schema_is_missing(pg, empty_db, command):
    done = ctl(pg, empty_db(), *command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "retentionctl: schema retention is missing: run retentionctl migrate\n"


# --- hold -------------------------------------------------------------------------------------


NOT_LOOKED = "no configuration was read: it was not checked whether this contact exists\n"


def test_holds(pg, db):
    pg.sql(db, "SELECT retention.configure('Europe/Paris', false, 'bigint')")
    assert said(ctl(pg, db, "hold", "add", " 007", "--reason", "case 2026/17", "--expires", "2099-12-31",
                    "--review", "2098-01-01")) == (0, f"hold 1 placed on contact  007\n{NOT_LOOKED}", "")
    # It holds on its last day still, and that day is the daemon's, wherever the caller sits.
    assert pg.sql(db, """SELECT contact_key, reason, placed_by, review_date::text,
                                expires_at = '2100-01-01 00:00 Europe/Paris' FROM retention.hold""") == \
           [("7", "case 2026/17", pg.SUPERUSER, "2098-01-01", True)]
    assert said(ctl(pg, db, "hold", "add", "7", "--reason", "again")) == \
           (1, "", "retentionctl: contact 7 is on hold already\nhint: Release that hold first, or leave it.\n")
    held = json.loads(ctl(pg, db, "hold", "list", "--json").stdout)
    assert [(h["contact_key"], h["state"], h["released_by"]) for h in held] == [("7", "active", None)]
    assert said(ctl(pg, db, "hold", "remove", "7")) == (0, "contact 7 is no longer on hold\n", "")
    assert said(ctl(pg, db, "hold", "remove", "7")) == (1, "", "retentionctl: contact 7 is not on hold\n")
    assert ctl(pg, db, "hold", "add", "7", "--reason", "again").returncode == 0
    listed = ctl(pg, db, "hold", "list").stdout.splitlines()
    assert len(listed) == 3 and "active" in listed[1] and "released" in listed[2]


@pytest.mark.parametrize("args, message", [
    (("seven", "--reason", "r"), '"seven" is not a valid contact key: it should be a bigint'),
    (("99999999999999999999", "--reason", "r"),
     '"99999999999999999999" is not a valid contact key: it should be a bigint'),
    ((" ", "--reason", "r"), "the contact's key is missing"),
    (("7", "--reason", " "),
     "a hold needs a reason\nhint: An auditor will ask for it: name the case, not the person."),
    (("7", "--reason", "r", "--expires", "2001-01-01"), "the hold would have expired already (2001-01-02 00:00:00+00)"),
])
def test_hold_refused(pg, db, args, message):
    pg.sql(db, "SELECT retention.configure('UTC', false, 'bigint')")
    assert said(ctl(pg, db, "hold", "add", *args)) == (1, "", f"retentionctl: {message}\n")


def test_hold_on_a_key_that_looks_like_an_option(pg, db):
    assert ctl(pg, db, "hold", "add", "--reason", "r", "--", "-5").returncode == 0
    assert said(ctl(pg, db, "hold", "remove", "--", "-5")) == (0, "contact -5 is no longer on hold\n", "")


# --- What it shows ----------------------------------------------------------------------------


def columns(text):
    """Columns of a terminal that a line takes."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def test_json(pg, db):
    action(pg, db, "done")
    job = action(pg, db, "running")
    pg.sql(db, "INSERT INTO retention.archive_file VALUES (%s, 0, 'contact', 100, 3), (%s, 1, 'contact', 50, 2)",
           (job, job))
    rows = json.loads(ctl(pg, db, "journal", "--json").stdout)
    assert [(r["id"], r["status"], r["candidates"]) for r in rows] == [(job, "running", 4), (1, "done", 4)]
    rows = json.loads(ctl(pg, db, "archive", "list", "--json").stdout)
    assert [(r["id"], r["type"], r["status"], r["file"]) for r in rows] == \
           [(job, "export", "running", None), (1, "export", "done", None)]
    row = json.loads(ctl(pg, db, "show", job, "--json").stdout)
    assert (row["status"], row["candidates_left"]) == ("running", 4)
    assert row["tables"] == [{"table": "contact", "rows": 5, "archived_bytes": 150}]
    assert [e["kind"] for e in row["events"]] == ["saved", "listed", "validated", "running"]
    for command in (("hold", "list"), ("journal",), ("archive", "list")):
        assert isinstance(json.loads(ctl(pg, db, *command, "--json").stdout), list)


def test_nothing(pg, db):
    for command in (("journal",), ("archive", "list"), ("hold", "list")):
        assert said(ctl(pg, db, *command)) == (0, "nothing\n", "")
        assert said(ctl(pg, db, *command, "--json")) == (0, "[]\n", "")


def test_show(pg, db):
    job = action(pg, db, "running", kind="anonymize_contacts")
    pg.sql(db, "INSERT INTO retention.archive_file VALUES (%s, 0, 'message', 0, 3), (%s, 1, 'message', 0, 2)",
           (job, job))
    pg.sql(db, "DELETE FROM retention.candidate WHERE n = 1")
    pg.sql(db, "UPDATE retention.archive_journal SET waiting = 'the window 22:00-06:00'")
    pg.sql(db, """INSERT INTO retention.journal_event (job, kind, details)
                  VALUES (%s, 'dropped', '{"keys": ["12"]}')""", (job,))
    text = ctl(pg, db, "show", job).stdout
    for pattern in (r"^action +anonymize_contacts$", r"^status +running$", r"^candidates +4$", r"^candidates_left +3$",
                    r"^waiting +the window 22:00-06:00$", r"^message +5 +0 B$", r'dropped +\S+ +\{"keys": \["12"\]\}$'):
        assert re.search(pattern, text, re.M), (pattern, text)
    assert "policy" not in text


def test_an_auditor_sees_progress(pg, db, people):
    """Who is about to be erased is not for auditors; how many are, is."""
    job = action(pg, db, "running", kind="delete_contacts")
    pg.sql(db, "INSERT INTO retention.ledger (job, action, key) VALUES (%s, 'delete_contacts', '1')", (job,))
    row = json.loads(ctl(pg, db, "show", job, "--json", user=people["auditor"]).stdout)
    assert row["candidates_left"] == 3


def test_tables_are_aligned(pg, db):
    reasons = ["plain", "déjà vu", "日本語", "cafe\u0301", "x" * 30]
    for n, reason in enumerate(reasons):
        assert ctl(pg, db, "hold", "add", n, "--reason", reason).returncode == 0
    for env in ({"LC_ALL": "C"}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "xx_YY"}):
        lines = ctl(pg, db, "hold", "list", env=env).stdout.splitlines()
        at = columns(lines[0].split(" by ")[0])
        for line, reason in zip(lines[1:], reversed(reasons)):
            assert reason in line
            before = line[:line.index(pg.SUPERUSER)]
            assert columns(before) == at + 1, lines


def test_values_cannot_command_the_terminal(pg, db):
    assert ctl(pg, db, "hold", "add", "1", "--reason", "a\x1b[2Jb\nc\td\x07\u009b1m").returncode == 0
    text = ctl(pg, db, "hold", "list").stdout
    assert "a?[2Jb c d??1m" in text and "\x1b" not in text


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_tables_fit_the_terminal(pg, db, width):
    action(pg, db, "done")
    job = action(pg, db, "running", kind="anonymize_contacts")
    pg.sql(db, """UPDATE retention.archive_journal SET error = repeat('a long story ', 30),
                  archive_path = '/srv/archives/' || repeat('deep/', 20) || 'tail' WHERE id = %s""", (job,))
    ctl(pg, db, "hold", "add", "1", "--reason", "日本語" * 40)
    for command in (("journal",), ("archive", "list"), ("hold", "list")):
        status, text = Terminal([BUILD / "retentionctl", "-d", pg.conninfo(db), *command], width).wait()
        assert status == 0
        lines = text.splitlines()
        if re.match(r"id +(action|type|contact)", lines[0]):
            assert max(map(columns, lines)) <= width, text
        else:  # even cut it would not fit: a record a row
            assert re.match(r"id +\d+$", lines[0])
            assert width < 100
    if width == 120:
        text = Terminal([BUILD / "retentionctl", "-d", pg.conninfo(db), "archive", "list"], width).wait()[1]
        assert re.search(r"\.\.\S*/tail$", text, re.M)


def test_follow_on_a_terminal(pg, db):
    job = action(pg, db, listed=False)
    screen = Terminal([BUILD / "retentionctl", "-d", pg.conninfo(db), "show", job, "--follow"])
    wait_until(lambda: "]   0 %  0 of 0, waits for the daemon" in screen.read())
    pg.sql(db, "INSERT INTO retention.candidate SELECT %s, n, n::text, 1 FROM generate_series(1, 4) AS n", (job,))
    pg.sql(db, "UPDATE retention.archive_journal SET candidates = 4, cutoff = now(), frozen_at = now()")
    wait_until(lambda: "0 %  0 of 4, waits for validation" in screen.read())
    pg.sql(db, "UPDATE retention.archive_journal SET status = 'validated'")
    wait_until(lambda: "0 %  0 of 4, waits for the daemon" in screen.read())
    pg.sql(db, "UPDATE retention.archive_journal SET status = 'running'")
    pg.sql(db, "DELETE FROM retention.candidate WHERE n <= 2")
    wait_until(lambda: re.search(r"\[#{15} {15}\]  50 %  2 of 4", screen.read()))
    wait_until(lambda: re.search(r"2 of 4, \d+/s, \d+ s left", screen.read()))
    pg.sql(db, "UPDATE retention.archive_journal SET waiting = 'a lock'")
    wait_until(lambda: "waits for a lock" in screen.read())
    pg.sql(db, "UPDATE retention.archive_journal SET status = 'done', waiting = NULL, finished_at = now()")
    status, text = screen.wait()
    assert status == 0 and re.search(r"^status +done$", text, re.M)


def test_follow_elsewhere_waits_and_says_how_it_ended(pg, db):
    job = action(pg, db, "running")
    following = subprocess.Popen(
        [BUILD / "retentionctl", "-d", pg.conninfo(db), "show", str(job), "--follow", "--json"], text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: pg.value(db, """SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'retentionctl' AND datname = current_database() AND query LIKE '%%AS open%%'"""))
    pg.sql(db, "UPDATE retention.archive_journal SET status = 'failed', error = 'so be it', finished_at = now()")
    out, err = following.communicate(timeout=60)
    assert (following.returncode, err) == (1, "")
    assert json.loads(out)["status"] == "failed"
    assert ctl(pg, db, "show", job).returncode == 0


def test_policies(pg, daemon):
    d = daemon(contacts=40, database={"timezone": "America/New_York"}, policies=[
        POLICY, {"name": "requests.18m", "action": "anonymize_requests", "depth": "18 months", "schedule": "0 3 1 * *",
                 "enabled": False}])
    rows = json.loads(d.ctl("policies", "--json").stdout)
    assert [(r["policy"], r["action"], r["depth"], r["schedule"], r["archive"], r["last"]) for r in rows] == [
        ("contacts-36m", "delete_contacts", "36 months", "monthly", "full", None),
        ("requests.18m", "anonymize_requests", "18 months", "disabled", "none", None)]
    assert pg.value(d.db, """SELECT %s::timestamptz = (date_trunc('day', now() AT TIME ZONE 'America/New_York')
        - interval '18 months') AT TIME ZONE 'America/New_York'""", (rows[1]["cutoff"],))
    assert pg.value(d.db, """SELECT %s::timestamptz = (date_trunc('month', now() AT TIME ZONE 'America/New_York')
        + interval '1 month') AT TIME ZONE 'America/New_York'""", (rows[0]["next"],))
    assert rows[1]["next"] is None
    lines = d.ctl("policies").stdout.splitlines()
    assert len(lines) == 3 and lines[0].split()[:3] == ["policy", "action", "depth"]
    # -d goes along with the configuration where a command needs one.
    assert len(d.ctl("-d", pg.conninfo(d.db), "policies").stdout.splitlines()) == 3


def test_policies_when_there_are_none(daemon):
    assert said(daemon(contacts=40).ctl("policies")) == (0, "nothing\n", "")


def test_output_that_cannot_be_written(pg, db):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BUILD / "retentionctl", "-d", pg.conninfo(db), "journal"], stdout=full,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "retentionctl: cannot write the output\n")


# --- archive verify ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archived(pg, tmp_path_factory):
    """(daemon's folder, database, action, archive) of one pass that deleted and archived."""
    db = pg.create_database(template=pg.crm_template(300))
    d = Daemon(tmp_path_factory.mktemp("archived"), pg, db, policies=[POLICY])
    d.migrate()
    d.once()
    job = d.jobs()[-1]
    assert job["status"] == "done" and job["archive_path"], job
    yield d, job["id"], job["archive_path"]
    d.kill()
    d.check_logs()
    pg.drop_database(db)


@pytest.fixture
def archive(archived):
    """The same, put back as it was when the test is over."""
    d, job, path = archived
    copy = path + ".copy"
    shutil.copytree(path, copy)
    yield d, job, path
    if os.path.islink(path):
        os.unlink(path)
    shutil.rmtree(path, ignore_errors=True)
    os.rename(copy, path)


def test_verify(archived):
    d, job, path = archived
    done = d.ctl("archive", "verify", job)
    names = sorted(n for n in os.listdir(path) if n.endswith(".csv"))
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    assert sorted(lines[:-1]) == [f"{n}: OK" for n in names]
    assert lines[-1] == f"the archive of action {job} is intact"
    assert subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=path).returncode == 0


def rewrite(path, name, change):
    with open(os.path.join(path, name), "rb+") as file:
        text = change(file.read())
        file.seek(0)
        file.truncate()
        file.write(text)


def flip(text):
    return text[:-3] + bytes([text[-3] ^ 1]) + text[-2:]


def edit_manifest(change):
    def edit(text):
        manifest = json.loads(text)
        change(manifest)
        return json.dumps(manifest).encode()

    return lambda path: rewrite(path, "manifest.json", edit)


def one_row_more(manifest):
    next(f for f in manifest["files"] if f["name"] == "contact.csv")["rows"] += 1


def forget_contacts(manifest):
    manifest["files"] = [f for f in manifest["files"] if f["name"] != "contact.csv"]


def drop_contacts_everywhere(path):
    edit_manifest(forget_contacts)(path)
    rewrite(path, "SHA256SUMS", lambda t: b"".join(x for x in t.splitlines(True) if b"  contact.csv" not in x))
    os.unlink(os.path.join(path, "contact.csv"))


def replace_by(make):
    def change(path):
        name = os.path.join(path, "contact.csv")
        os.rename(name, name + ".away")
        make(name)

    return change


WHOLE = "the archive of action {job} is not intact: 1 finding"
TWO = "the archive of action {job} is not intact: 2 findings"  # the digest of manifest.json is the other


@pytest.mark.parametrize("change, finding, message", [
    (lambda p: rewrite(p, "contact.csv", flip), "contact.csv: FAILED: it is not what was archived", WHOLE),
    (lambda p: rewrite(p, "contact.csv", lambda t: t[:-1]), "contact.csv: FAILED: it is not what was archived", WHOLE),
    (lambda p: os.unlink(f"{p}/contact.csv"), "contact.csv: FAILED: cannot open contact.csv: No such file or directory",
     WHOLE),
    (replace_by(lambda n: os.symlink(n + ".away", n)), "contact.csv: FAILED: cannot open contact.csv: ", WHOLE),
    (replace_by(lambda n: os.symlink("contact.csv.away", n)), "contact.csv: FAILED: cannot open contact.csv: ", WHOLE),
    (replace_by(os.mkfifo), "contact.csv: FAILED: contact.csv is not a regular file", WHOLE),
    (replace_by(os.mkdir), "contact.csv: FAILED: contact.csv is not a regular file", WHOLE),
    (edit_manifest(one_row_more), r"contact.csv: FAILED: it has \d+ rows by manifest.json, \d+ by the journal", TWO),
    (edit_manifest(forget_contacts), "contact.csv: FAILED: it is in SHA256SUMS, but not in manifest.json", TWO),
    # Whoever rewrites the sums as well is found by their digest, which the journal has.
    (drop_contacts_everywhere, "SHA256SUMS: FAILED: it is not the one whose digest the journal has",
     "the archive of action {job} is not intact: 3 findings"),
    (edit_manifest(lambda m: m.update(job=99)), "manifest.json: FAILED: it belongs to another action", TWO),
    # What no other file says: the columns decide where a restore puts the values.
    (edit_manifest(lambda m: m["files"][0]["columns"].reverse()),
     "manifest.json: FAILED: it is not the one whose digest the journal has", WHOLE),
    (edit_manifest(lambda m: m.update(files=7)), None, "manifest.json is not what retentiond wrote"),
    (lambda p: rewrite(p, "manifest.json", lambda t: t[:40]), None, "manifest.json is not what retentiond wrote"),
    (lambda p: rewrite(p, "manifest.json", lambda t: t + b"\0"), None,
     '"manifest.json" is not a text: it has been overwritten'),
    (lambda p: os.unlink(f"{p}/manifest.json"), None, "cannot open manifest.json: No such file or directory"),
    (lambda p: os.unlink(f"{p}/SHA256SUMS"), None, "cannot open SHA256SUMS: No such file or directory"),
    (lambda p: rewrite(p, "SHA256SUMS", lambda t: t[:-1]), None, "SHA256SUMS was cut: its last line has no end"),
    (lambda p: rewrite(p, "SHA256SUMS", lambda t: b""), None, "SHA256SUMS was cut: its last line has no end"),
    (lambda p: rewrite(p, "SHA256SUMS", lambda t: b"\n" + t), None, "SHA256SUMS has a line that is not a sum"),
    (lambda p: rewrite(p, "SHA256SUMS", lambda t: t.replace(b"  contact.csv", b"  ../../etc/passwd")),
     '../../etc/passwd: FAILED: "../../etc/passwd" is not a file of an archive',
     "the archive of action {job} is not intact: 4 findings"),
    (lambda p: (shutil.rmtree(p), os.symlink(p + ".copy", p)), None,
     '"{path}" leads out of archives.directory "{directory}": it is not opened'),
    (lambda p: shutil.rmtree(p), None, 'cannot open the archive "{path}": No such file or directory'),
])
def test_verify_finds(archive, change, finding, message):
    d, job, path = archive
    change(path)
    done = d.ctl("archive", "verify", job, check=False)
    message = message.format(job=job, path=path, directory=d.archives)
    assert (done.returncode, done.stderr) == (1, f"retentionctl: {message}\n"), done.stdout
    assert finding is None or any(re.match(finding, line) or line.startswith(finding)
                                  for line in done.stdout.splitlines()), done.stdout
    assert "is intact" not in done.stdout


@pytest.mark.parametrize("where, message", [
    ("/etc", '"/etc" does not lie under archives.directory "{directory}"'),
    ("{directory}", '"{directory}" does not lie under archives.directory "{directory}"'),
    ("{directory}-more/x", '"{directory}-more/x" does not lie under archives.directory "{directory}"'),
    ("{directory}/../../etc", '"{directory}/../../etc" leads out of archives.directory "{directory}": it is not opened'),
    ("{directory}//etc", '"{directory}//etc" leads out of archives.directory "{directory}": it is not opened'),
])
def test_verify_stays_in_its_folder(archived, where, message):
    """Whatever the table says."""
    d, job, path = archived
    where, message = (text.format(directory=d.archives) for text in (where, message))
    try:
        d.pg.sql(d.db, "UPDATE retention.archive_journal SET archive_path = %s WHERE id = %s", (where, job))
        done = d.ctl("archive", "verify", job, check=False)
    finally:
        d.pg.sql(d.db, "UPDATE retention.archive_journal SET archive_path = %s WHERE id = %s", (path, job))
    assert said(done) == (1, "", f"retentionctl: {message}\n")


def test_verify_needs_an_archive(pg, db, tmp_path):
    conf = make_config(tmp_path, pg, db, model=CRM_MODEL)

    def verify(job):
        return subprocess.run([BUILD / "retentionctl", "-c", conf, "archive", "verify", str(job)], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    assert said(verify(7)) == (1, "", "retentionctl: there is no action 7\n")
    job = action(pg, db, "done")
    assert said(verify(job)) == (1, "", f"retentionctl: action {job} has no archive\n")
    pg.sql(db, f"""UPDATE retention.archive_journal
                   SET archive_path = '{tmp_path}/archives/a', archive_deleted_at = now()""")
    assert said(verify(job)) == (1, "", f"retentionctl: the archive of action {job} was deleted\n")
    job = action(pg, db, "running")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '{tmp_path}/archives/a' WHERE id = {job}")
    assert said(verify(job)) == (1, "", f"retentionctl: action {job} is running: its archive is not finished\n")


# --- With the daemon ---------------------------------------------------------------------------


def test_a_manual_action_from_end_to_end(daemon):
    d = daemon(contacts=300)
    d.start()
    d.wait_for_log(r"ready: ")
    first = d.pg.value(d.db, "SELECT min(created_at)::date::text FROM crm.request WHERE status = 'closed'")
    last = d.pg.value(d.db, "SELECT (%s::date + interval '1 month' - interval '1 day')::date::text", (first,))
    done = d.ctl("save", "export", "--from", first, "--to", last)
    found = re.fullmatch(r"action (\d+) saved\nit would change (\d+) contacts; retentionctl validate \1 runs it\n",
                         done.stdout)
    assert found, done.stdout
    job = found.group(1)
    assert json.loads(d.ctl("show", job, "--json").stdout)["candidates"] == int(found.group(2))
    assert d.ctl("validate", job).stdout == f"action {job} validated: the daemon runs it\n"
    text = d.ctl("show", job, "--follow").stdout
    assert re.search(r"^status +done$", text, re.M)
    listed = json.loads(d.ctl("archive", "list", "--json").stdout)
    assert [(a["id"], a["type"], a["status"]) for a in listed] == [(int(job), "export", "done")]
    if int(found.group(2)):
        assert d.ctl("archive", "verify", job).returncode == 0
    assert d.stop() == 0
