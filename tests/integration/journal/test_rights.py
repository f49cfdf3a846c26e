"""Rights in the schema retention: which attacks by the daemon's own role, or through it, have to fail."""

import psycopg2
import pytest

from support import small

ROLE = "stolen"


@pytest.fixture
def stolen(pg, daemon):
    """A daemon whose role an attacker has: no superuser, but it may set session_replication_role where that is possible."""
    d = daemon(contacts=20)
    pg.sql(d.db, "SELECT retention.configure('UTC', true, 'bigint')")
    pg.plain_role(d.db, ROLE)
    if pg.value(d.db, "SHOW server_version_num") >= "150000":
        pg.psql(d.db, "-c", f"GRANT SET ON PARAMETER session_replication_role TO {ROLE}")
        d.mode = "SET session_replication_role = replica; "
    else:
        d.mode = ""
    yield d
    pg.psql(d.db, "-c", f"DROP OWNED BY {ROLE}", "-c", f"DROP ROLE {ROLE}")


def attack(d, *statements):
    """All in one session of the stolen role, as a replica."""
    with d.pg.connect(d.db, ROLE) as conn, conn.cursor() as cur:
        for statement in (d.mode or "SELECT 1", *statements):
            cur.execute(statement)
        return cur.fetchall() if cur.description else None


def refused(d, statement, words):
    with pytest.raises(psycopg2.Error) as e:
        attack(d, statement)
    assert words in str(e.value), e.value


def saved(d):
    return d.pg.value(d.db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31')")


def test_every_trigger_fires_always(pg, daemon):
    """For a replica, too, which integrity = "set" lets the daemon be."""
    d = daemon(contacts=20)
    rows = pg.sql(d.db, """SELECT c.relname, t.tgname, t.tgenabled FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = 'retention'::regnamespace AND NOT t.tgisinternal""")
    assert {("journal_event", "chain", "A"), ("hold", "before_or_after_batches", "A")} <= set(rows)
    assert {enabled for (_, _, enabled) in rows} == {"A"}


# Writes the event that bob has validated the last action, with a hash of its own.
FORGED = """
    WITH l AS (SELECT * FROM retention.journal_event ORDER BY id DESC LIMIT 1),
         n AS (SELECT row(l.id + 1, clock_timestamp(), j.id, 'validated', 'bob',
                jsonb_strip_nulls(to_jsonb(j) - array['waiting', 'waiting_for', 'claim']), l.hash, ''::bytea)::retention.journal_event AS e,
                l.hash AS h
               FROM l, (SELECT * FROM retention.archive_journal ORDER BY id DESC LIMIT 1) AS j)
    INSERT INTO retention.journal_event
    SELECT (e).id, (e).at, (e).job, (e).kind, (e).actor, (e).details, h, retention.event_hash(h, e) FROM n"""


def test_a_replica_forges_no_event(stolen):
    """The number, the time, the actor and the hash are the chain's, whatever the statement says."""
    saved(stolen)
    refused(stolen, FORGED, f'the role {ROLE} may not write the event "validated" here')
    refused(stolen, FORGED.replace("'validated'", "'vacuumed'"), f'the role {ROLE} may not write the event "vacuumed" here')
    attack(stolen, FORGED.replace("'validated'", "'vacuumed'").replace("jsonb_strip_nulls(to_jsonb(j) -", "jsonb_build_object('k',"))
    assert stolen.pg.value(stolen.db, "SELECT actor FROM retention.journal_event ORDER BY id DESC LIMIT 1") == ROLE
    assert stolen.pg.sql(stolen.db, "SELECT * FROM retention.verify_chain()") == []


@pytest.mark.parametrize("statement, words", [
    ("UPDATE retention.archive_journal SET status = 'done'", "is saved: it cannot become done"),
    ("UPDATE retention.archive_journal SET status = 'running'", "is saved: it cannot become running"),
    ("UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry'",
     "its archive cannot be deleted"),
    ("INSERT INTO retention.archive_journal (action, mode, status, from_date, to_date, archive) "
     "VALUES ('export', 'manual', 'done', '2025-01-01', '2025-01-31', 'full')", "permission denied"),
    ("INSERT INTO retention.archive_journal (action, mode, status, policy, occurrence, depth, archive) "
     "VALUES ('export', 'automatic', 'done', 'p', now(), '1 day', 'full')", "an action begins as saved"),
    ("UPDATE retention.journal_event SET actor = 'bob'", "permission denied"),
    ("DELETE FROM retention.journal_event", "permission denied"),
    ("DELETE FROM retention.archive_journal", "permission denied"),
    ("INSERT INTO retention.hold (contact_key, reason) VALUES ('1', 'r')", "permission denied"),
    ("DELETE FROM retention.hold", "permission denied")])
def test_a_replica_is_held_to_the_rules(stolen, statement, words):
    saved(stolen)
    refused(stolen, statement, words)


def test_even_a_superuser_as_a_replica(pg, stolen):
    """It takes an ALTER TABLE to write past them."""
    saved(stolen)
    pg.sql(stolen.db, "SELECT retention.place_hold('1', 'r')")
    for statement in ("UPDATE retention.journal_event SET actor = 'x'", "TRUNCATE retention.journal_event",
                      "DELETE FROM retention.archive_journal", "DELETE FROM retention.hold"):
        with pytest.raises(psycopg2.Error, match="is append-only"):
            pg.sql(stolen.db, "SET session_replication_role = replica; " + statement)


def test_a_replicas_change_is_journalled(stolen):
    job = saved(stolen)
    attack(stolen, f"UPDATE retention.archive_journal SET error = 'x' WHERE id = {job}")
    assert stolen.pg.sql(stolen.db, "SELECT job, kind, actor FROM retention.journal_event ORDER BY id DESC LIMIT 1") == [
        (job, "noted", ROLE)]
    assert stolen.ctl("verify").returncode == 0


# --- What the daemon's role may not change, although it may change the column ------------------------------------


@pytest.fixture
def ended(stolen, pg):
    """An export that is done, and has an archive, by the superuser; its number."""
    job = saved(stolen)
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET candidates = 0, candidates_sha256 = 'x', cutoff = now(), "
                      "frozen_at = now() WHERE id = %s", (job,))
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET status = 'validated', validated_by = 'alice'")
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET status = 'running', archive_path = '/a/b'")
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET status = 'done', finished_at = now(), counters = '{}'")
    return job


@pytest.mark.parametrize("change", [
    "validated_by = 'bob'", "validated_at = now()", "archive_path = '/b'", "counters = '{\"treated\": 7}'",
    "finished_at = now() - interval '90 years'", "archive_bytes = 1", "error = 'x'", "host = 'x'",
    "archive_deleted_at = now(), archive_deleted_by = 'bob'", "archive_deleted_at = now()"])
def test_what_has_ended_stays(stolen, ended, change):
    refused(stolen, f"UPDATE retention.archive_journal SET {change}", f"action {ended} is done: the role {ROLE} may not")


def test_each_column_of_what_has_ended(stolen, ended, pg):
    """All that the role may update in some state; what is told after the end has tests of its own."""
    columns = dict(pg.sql(stolen.db, """SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute AS a
        WHERE a.attrelid = 'retention.archive_journal'::regclass AND a.attnum > 0
          AND has_column_privilege(%s, a.attrelid, a.attname, 'UPDATE')""", (ROLE,)))
    assert {"validated_by", "archive_path", "counters", "cutoff", "candidates"} < set(columns)
    values = {"text": "'other'", "timestamp with time zone": "'2001-01-01'", "bigint": "77", "integer": "77", "jsonb": "'[]'"}
    for name in set(columns) - {"waiting", "waiting_for", "claim", "archive_removed_at", "archive_remark"}:
        refused(stolen, f"UPDATE retention.archive_journal SET {name} = {values[columns[name]]}",
                "it cannot become other" if name == "status" else f"action {ended} is done: the role {ROLE} may not")


@pytest.mark.parametrize("change", [
    "status = 'validated', validated_by = 'bob', validated_at = now()", "status = 'validated'",
    f"status = 'validated', validated_by = '{ROLE}'", "validated_by = 'bob'", "status = 'cancelled'",
    "archive_path = '/b'"])
def test_nobody_validates_in_anothers_name(stolen, change):
    job = saved(stolen)
    refused(stolen, f"UPDATE retention.archive_journal SET {change}", f"action {job} is saved: the role {ROLE} may not")


def test_an_archive_expires_when_its_time_has_come(stolen, ended, pg):
    expire = "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry'"
    refused(stolen, expire, f"the archive of action {ended} has not expired")
    pg.sql(stolen.db, "SELECT retention.configure_keep('1 day')")
    refused(stolen, expire, f"the archive of action {ended} has not expired")
    pg.tamper(stolen.db, "UPDATE retention.archive_journal SET finished_at = now() - interval '25 hours'")
    attack(stolen, expire)


@pytest.mark.parametrize("statement", [
    "INSERT INTO retention.archive_journal (action, mode, status, from_date, to_date, archive) "
    "VALUES ('delete_contacts', 'manual', 'saved', '2025-01-01', '2025-01-31', 'none')",
    "INSERT INTO retention.archive_journal (action, mode, status, subject, archive, requested_by) "
    "VALUES ('delete_contacts', 'manual', 'saved', '1', 'none', 'bob')",
    "UPDATE retention.setting SET name = 'four_eyes_not'", "DELETE FROM retention.setting",
    "SELECT setval('retention.archive_journal_id_seq', 1)", "DELETE FROM retention.erasing",
    "UPDATE retention.identity SET id = gen_random_uuid()", "SELECT retention.adopt_directory(true, 'x')",
    "INSERT INTO retention.erasing (pid, started, job) VALUES (1, now(), 1)"])
def test_no_right_at_all(stolen, statement):
    refused(stolen, statement, "permission denied")


@pytest.mark.parametrize("kind", ["validated", "done", "hold_released", "configured", "configuration", "restored", "resumed",
                                  "adopted", "rebound"])
def test_no_event_of_what_others_do(stolen, kind):
    refused(stolen, f"INSERT INTO retention.journal_event (job, kind) VALUES (1, '{kind}')",
            f'the role {ROLE} may not write the event "{kind}"')


def test_a_number_leaves_room_for_others(stolen, pg):
    """It is never given again, so that the last one would be the end of all actions."""
    attack(stolen, "INSERT INTO retention.ledger (job, action, key) VALUES (2147483647, 'delete_contacts', '1')",
           "SELECT retention.skip_numbers(2147483647)", "SELECT retention.unknown_archives('{20250101-export-manual-7777}')")
    assert saved(stolen) == 7778


def test_an_action_ends_now(stolen, pg):
    """Its archive would expire at once, if it had ended long ago."""
    job = saved(stolen)
    fail = f"UPDATE retention.archive_journal SET status = 'failed', finished_at = {{}} WHERE id = {job}"
    for when in ("now() - interval '90 years'", "now() + interval '1 hour'"):
        refused(stolen, fail.format(when), f"action {job} is saved: the role {ROLE} may not")
    attack(stolen, fail.format("clock_timestamp()"))


UNKNOWN = """INSERT INTO retention.unknown_archive (name, host, directory, sealed, job, action, date, bytes)
    VALUES ('20250101-export-manual-5', 'h', '/d', true, 5, 'export', now() - interval '2 days', 1)"""


@pytest.mark.parametrize("change", ["deleted_at = now(), deleted_by = 'bob'", "deleted_at = now()",
                                    "deleted_at = now(), deleted_by = 'expiry'"])
def test_an_archive_that_is_not_known(stolen, pg, change):
    pg.sql(stolen.db, UNKNOWN)
    pg.sql(stolen.db, "SELECT retention.configure_keep('3 days')")
    refused(stolen, f"UPDATE retention.unknown_archive SET {change}", f"the role {ROLE} may not delete it")
    pg.sql(stolen.db, "SELECT retention.configure_keep('1 day')")
    if "expiry" in change:
        attack(stolen, f"UPDATE retention.unknown_archive SET {change}")
    else:
        refused(stolen, f"UPDATE retention.unknown_archive SET {change}", f"the role {ROLE} may not delete it")


def test_the_files_go_by_the_configuration(stolen, ended, pg):
    """Whoever has the daemon's role can tell the journal another archives.keep, but not the daemon that has the files."""
    pg.sql(stolen.db, UNKNOWN)
    pg.tamper(stolen.db, "UPDATE retention.archive_journal SET finished_at = now() - interval '2 days'")
    attack(stolen, "SELECT retention.configure_keep('1 day')",
           "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry'",
           "UPDATE retention.unknown_archive SET deleted_at = now(), deleted_by = 'expiry'")
    doomed = "SELECT unknown FROM retention.archives_to_remove('h', '/d', {}, 'UTC') ORDER BY 1"
    assert pg.sql(stolen.db, doomed.format("'3 days'")) == pg.sql(stolen.db, doomed.format("NULL")) == []
    assert pg.sql(stolen.db, doomed.format("'1 day'")) == [(False,), (True,)]


def test_a_setting_is_journalled(stolen, pg):
    """The daemon stores what its configuration says: a change by a stolen role shows."""
    attack(stolen, "SELECT retention.configure('UTC', false, 'bigint')")
    assert pg.sql(stolen.db, "SELECT kind, actor, details FROM retention.journal_event ORDER BY id DESC LIMIT 1") == [
        ("configured", ROLE, {"setting": "four_eyes", "value": "false"})]


# --- A trigger of the CRM acts in the session that erases ---------------------------------------------------------

# Tries each statement, and writes down what became of it.
ACT = """
    CREATE TABLE act (n int, statement text, said text);
    GRANT SELECT, UPDATE ON act TO PUBLIC;
    CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE a record; BEGIN
        FOR a IN SELECT * FROM act WHERE act.said IS NULL LOOP
            BEGIN
                EXECUTE a.statement;
                UPDATE act SET said = 'done' WHERE n = a.n;
            EXCEPTION WHEN OTHERS THEN
                UPDATE act SET said = SQLERRM WHERE n = a.n;
            END;
        END LOOP;
        RETURN OLD; END $$;
    CREATE TRIGGER act BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION act()"""

ACTS = [
    "UPDATE retention.archive_journal SET status = 'validated', validated_by = 'bob', validated_at = now() "
    "WHERE mode = 'manual' AND status = 'saved' AND frozen_at IS NOT NULL",
    "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry' WHERE status = 'done'",
    "UPDATE retention.archive_journal SET status = 'done' WHERE status = 'running'",
    "UPDATE retention.archive_journal SET claim = claim + 1",
    "UPDATE retention.setting SET value = 'false' WHERE name = 'four_eyes'",
    "SELECT retention.configure('UTC', false, 'text')", "SELECT retention.configure_keep('0')", "SELECT retention.configure_backups('0')",
    "SELECT retention.begin_occurrence('q', 'daily', now(), now(), 'delete_contacts', '0', 'none')",
    "SELECT retention.watch_policy('p', 'daily', now())", "UPDATE retention.policy_state SET last_occurrence = 'infinity'",
    "UPDATE retention.told SET event = 1000000", "SELECT retention.next_notice(1000000, '{done}', 1)",
    "SELECT retention.record_trouble('crashed', 1)",
    "INSERT INTO retention.replay VALUES (1, 'delete_contacts', 'none', now(), '2')", "DELETE FROM retention.replay",
    "DELETE FROM retention.selection", "DELETE FROM retention.candidate WHERE job <> 2",
    "INSERT INTO retention.candidate VALUES (2, 99, '2', 1)",
    "INSERT INTO retention.ledger (job, action, key) VALUES (1, 'restored', '1')",
    "INSERT INTO retention.archive_file (job, worker, table_name, bytes) VALUES (1, 0, 'contact', 7)",
    "UPDATE retention.archive_file SET bytes = 7 WHERE job <> 2",
    "INSERT INTO retention.file_outbox (job, host, table_name, location) VALUES (1, 'h', 't', '/etc/passwd')",
    "DELETE FROM retention.file_outbox",
    "INSERT INTO retention.journal_event (job, kind) VALUES (1, 'failed_key')",
    "INSERT INTO retention.journal_event (job, kind) VALUES (2, 'vacuumed')",
    "INSERT INTO retention.journal_event (job, kind) VALUES (2, 'validated')",
    "INSERT INTO retention.journal_event (kind) VALUES ('ledger_ahead')",
    "INSERT INTO retention.erasing (job) VALUES (1)", "DELETE FROM retention.erasing",
    "SET ROLE retention_daemon; INSERT INTO retention.ledger (job, action, key) VALUES (2, 'restored', '1')",
    "SET ROLE retention_daemon; UPDATE retention.setting SET value = 'false'",
    "SET ROLE retention_daemon; INSERT INTO retention.erasing (job) VALUES (1)",
    # Of its own action: what only others say, or what would make verify's findings or the archive wrong.
    "INSERT INTO retention.ledger (job, action, key) VALUES (2, 'restored', '2')",
    "INSERT INTO retention.journal_event (job, kind, details) VALUES (2, 'failed_key', '{\"requested_by\": \"bob\"}')",
    "UPDATE retention.archive_file SET header = 'name;id', columns = '{name,id}' WHERE job = 2",
    "INSERT INTO retention.archive_file (job, worker, table_name, bytes) VALUES (2, 77, 'contact', 7)",
]


@pytest.fixture
def hijacked(pg, daemon, empty_db):
    """A daemon with the rights that grants prints; the CRM's owner has put a trigger on contact.  Action 1 waits."""
    db = empty_db()
    pg.sql(db, small.SCHEMA + """; INSERT INTO contact (id, name, created) VALUES (1, 'a', '2014-01-01'), (2, 'b', now());
        INSERT INTO request (contact_id, at) VALUES (1, '2015-01-01'), (2, now())""")
    d = daemon(db=db, model=small.model(), policies=[], extra="four_eyes = true;")
    pg.psql(db, "-c", f"CREATE ROLE {ROLE} LOGIN")
    pg.psql(db, "-c", d.ctl("grants", ROLE).stdout)
    d.configure(user=ROLE)
    saved(d)
    d.once()
    pg.sql(db, "INSERT INTO retention.candidate VALUES (1, 1, '2', 1)")
    pg.sql(db, "INSERT INTO retention.archive_file (job, worker, table_name) VALUES (1, 0, 'request')")
    pg.sql(db, ACT)
    d.configure(policies=[small.policy(archive="full")])
    yield d
    pg.psql(db, "-c", f"DROP OWNED BY {ROLE}", "-c", f"DROP ROLE {ROLE}")


def test_a_trigger_of_the_crm_changes_nothing(hijacked):
    d = hijacked
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.executemany("INSERT INTO act VALUES (%s, %s)", list(enumerate(ACTS)))
    before = d.jobs("id = 1"), d.pg.sql(d.db, "SELECT * FROM retention.setting ORDER BY name")
    d.once()
    done = [(statement, text) for (statement, text) in d.pg.sql(d.db, "SELECT statement, said FROM act ORDER BY n")
            if not text or not any(words in text for words in (
                "this session erases for action", "may not write the event", "permission denied", "duplicate key",
                "null value in column"))]
    assert done == []
    assert before == (d.jobs("id = 1"), d.pg.sql(d.db, "SELECT * FROM retention.setting ORDER BY name"))
    assert d.jobs()[-1]["status"] == "done" and small.keys(d.pg, d.db) == {2}
    assert d.ctl("verify").returncode == 0


def test_a_trigger_that_does_not_hide_it(hijacked):
    """The job is refused, and says what was tried."""
    d = hijacked
    d.pg.sql(d.db, """CREATE OR REPLACE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE retention.setting SET value = 'false' WHERE name = 'four_eyes'; RETURN OLD; END $$""")
    done = d.once(check=False)
    assert done.returncode == 1 and "this session erases for action 2: UPDATE of retention.setting is refused" in done.stderr
    assert small.keys(d.pg, d.db) == {1, 2}


def test_a_later_session_with_the_same_pid(hijacked):
    """An entry counts for the session that made it, and goes with it."""
    d = hijacked
    d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.erasing") > 0
    with d.pg.connect(d.db, ROLE) as conn, conn.cursor() as cur:
        d.pg.sql(d.db, "INSERT INTO retention.erasing (pid, started, job) VALUES (%s, now() - interval '1 day', 1)",
                 (conn.info.backend_pid,))
        cur.execute("SELECT retention.erasing_job()")
        assert cur.fetchone() == (None,)
        cur.execute("INSERT INTO retention.erasing (job) VALUES (7); SELECT retention.erasing_job()")
        assert cur.fetchone() == (7,)
        cur.execute("SELECT count(*) FROM retention.erasing")
        assert cur.fetchone() == (2,)


# --- A trigger of the CRM acts in the session of a person who restores ---------------------------------------------

APPROVER, OWNER = "rights_approver", "rights_owner"
TRIED = ["SELECT retention.validate_action(2)", "SELECT retention.delete_archive(1)", "SELECT retention.place_hold('2', 'r')",
         "SELECT retention.replay_ledger()", "SELECT retention.adopt_directory(true, 'x')", "SELECT retention.pause_action(NULL)",
         "SELECT retention.delete_unknown_archive('x')", "SELECT retention.abandon_action(2, 'x')",
         "SELECT retention.record_restore(1, '{}')", "SELECT retention.claim_action(2, now())",
         "SET ROLE retention_approver; SELECT retention.validate_action(2)", "DELETE FROM retention.erasing"]


@pytest.fixture
def restored(hijacked, pg):
    """Action 3 has deleted contact 1, and an approver who is no superuser restores it; owner's trigger fires then."""
    d = hijacked
    d.once()
    pg.sql(d.db, f"""DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN
            CREATE ROLE {OWNER}; CREATE ROLE {APPROVER} LOGIN; END IF; END $$;
        GRANT retention_approver, {OWNER} TO {APPROVER}; GRANT CREATE ON SCHEMA public TO {OWNER};
        ALTER TABLE contact OWNER TO {OWNER}; ALTER TABLE request OWNER TO {OWNER};
        DROP TRIGGER act ON contact; ALTER FUNCTION act() OWNER TO {OWNER}; UPDATE act SET said = NULL;
        CREATE TRIGGER act BEFORE INSERT ON contact FOR EACH ROW EXECUTE FUNCTION act();
        DELETE FROM act""")
    with pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.executemany("INSERT INTO act VALUES (%s, %s)", list(enumerate(TRIED)))
    pg.sql(d.db, f"""CREATE OR REPLACE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE a record; BEGIN
        FOR a IN SELECT * FROM act WHERE act.said IS NULL LOOP
            BEGIN
                EXECUTE a.statement;
                UPDATE act SET said = 'done' WHERE n = a.n;
            EXCEPTION WHEN OTHERS THEN UPDATE act SET said = SQLERRM WHERE n = a.n;
            END;
        END LOOP;
        RETURN NEW; END $$""")
    d.configure(user=APPROVER)
    yield d
    d.configure(user=ROLE)


def test_a_trigger_acts_for_nobody_who_restores(restored, pg):
    d = restored
    before = d.jobs("id <> 2"), pg.value(d.db, "SELECT count(*) FROM retention.hold")
    done = d.ctl("archive", "restore", "2", check=False)
    assert done.returncode == 0, done.stderr
    assert before == (d.jobs("id <> 2"), pg.value(d.db, "SELECT count(*) FROM retention.hold"))
    said = pg.sql(d.db, "SELECT statement, said FROM act WHERE said !~ 'may not act for|permission denied' ORDER BY n")
    assert said == [("SELECT retention.claim_action(2, now())", "done")]  # it returns false
    assert small.keys(pg, d.db) == {1, 2} and d.ctl("verify").returncode == 0


def test_a_superuser_restores_nothing_that_runs_for_others(restored, pg):
    d = restored
    d.configure(user=pg.SUPERUSER)
    done = d.ctl("archive", "restore", "2", check=False)
    assert ("table public.contact: a trigger, an index or a constraint of it uses function public.act() of role rights_owner, which "
            "would run with the rights of a superuser: restore as another role") in done.stderr
    assert done.returncode == 1 and pg.sql(d.db, "SELECT said FROM act WHERE said IS NOT NULL") == []
    d.ctl("archive", "restore", "2", "--disable-triggers")
    assert small.keys(pg, d.db) == {1, 2} and pg.sql(d.db, "SELECT said FROM act WHERE said IS NOT NULL") == []


# --- What verify says of it ---------------------------------------------------------------------------------------


def acts(pg, db):
    return [finding for (finding,) in pg.sql(db, "SELECT finding FROM retention.verify_acts()")]


def test_verify_names_an_act_in_anothers_name(stolen, ended, pg):
    """The superuser, whom nothing stops, has validated as alice and deleted as bob."""
    me = pg.SUPERUSER
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'bob'")
    found = acts(pg, stolen.db)
    assert [f.split(" ", 2)[2] for f in found] == [
        f'says "validated_by" by "alice" of action {ended}, and the role "{me}" wrote it',
        f'says "archive_deleted_by" by "bob" of action {ended}, and the role "{me}" wrote it']
    done = stolen.ctl("verify", check=False)
    assert done.returncode == 1 and "\n".join(found) in done.stdout


def test_verify_names_who_acted_alone(stolen, pg):
    """Four eyes were asked for; the function that refuses it was exchanged."""
    job = saved(stolen)
    change = "UPDATE retention.archive_journal SET status = 'validated', validated_by = session_user WHERE id = {}"
    pg.sql(stolen.db, change.format(job))
    assert [f.split(" ", 2)[2] for f in acts(pg, stolen.db)] == [
        f'says "validated_by" of action {job} by "{pg.SUPERUSER}", the role that had saved it, while four eyes were asked for']
    pg.sql(stolen.db, "SELECT retention.configure('UTC', false, 'bigint')")
    pg.sql(stolen.db, change.format(saved(stolen)))
    assert len(acts(pg, stolen.db)) == 1


def test_verify_names_a_role_that_only_the_daemon_uses(stolen, pg):
    pg.sql(stolen.db, "ALTER TABLE retention.archive_journal DISABLE TRIGGER legal")
    saved(stolen)
    attack(stolen, f"UPDATE retention.archive_journal SET status = 'validated', validated_by = '{ROLE}'")
    pg.sql(stolen.db, "ALTER TABLE retention.archive_journal ENABLE ALWAYS TRIGGER legal")
    assert len(acts(pg, stolen.db)) == 1 and acts(pg, stolen.db)[0].endswith(f'and the role "{ROLE}" wrote it')


def test_verify_names_an_early_expiry(stolen, ended, pg):
    pg.sql(stolen.db, "SELECT retention.configure_keep('3 days')")
    pg.sql(stolen.db, "ALTER TABLE retention.archive_journal DISABLE TRIGGER legal_archive")
    pg.sql(stolen.db, "UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry'")
    pg.sql(stolen.db, "ALTER TABLE retention.archive_journal ENABLE ALWAYS TRIGGER legal_archive")
    assert acts(pg, stolen.db)[1:] == [
        f"event {pg.value(stolen.db, 'SELECT max(id) FROM retention.journal_event')} says that the archive of action "
        f"{ended} was deleted by expiry, and archives.keep had not passed"]


def test_verify_names_a_setting(stolen, pg):
    assert acts(pg, stolen.db) == []
    pg.tamper(stolen.db, "UPDATE retention.setting SET value = 'false' WHERE name = 'four_eyes'")
    assert acts(pg, stolen.db) == ["the setting four_eyes was changed: no event says so"]
