"""Rights in the schema retention: which attacks by the daemon's own role, or through it, have to fail."""

import psycopg2
import pytest

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
                jsonb_strip_nulls(to_jsonb(j) - array['waiting', 'claim']), l.hash, ''::bytea)::retention.journal_event AS e,
                l.hash AS h
               FROM l, (SELECT * FROM retention.archive_journal ORDER BY id DESC LIMIT 1) AS j)
    INSERT INTO retention.journal_event
    SELECT (e).id, (e).at, (e).job, (e).kind, (e).actor, (e).details, h, retention.event_hash(h, e) FROM n"""


def test_a_replica_forges_no_event(stolen):
    """The number, the time, the actor and the hash are the chain's, whatever the statement says."""
    saved(stolen)
    attack(stolen, FORGED)
    assert stolen.pg.value(stolen.db, "SELECT actor FROM retention.journal_event ORDER BY id DESC LIMIT 1") == ROLE
    assert stolen.pg.sql(stolen.db, "SELECT * FROM retention.verify_chain()") == []


@pytest.mark.parametrize("statement, words", [
    ("UPDATE retention.archive_journal SET status = 'done'", "is saved: it cannot become done"),
    ("UPDATE retention.archive_journal SET status = 'running'", "is saved: it cannot become running"),
    ("UPDATE retention.archive_journal SET archive_deleted_at = now(), archive_deleted_by = 'expiry'",
     "its archive cannot be deleted"),
    ("INSERT INTO retention.archive_journal (action, mode, status, from_date, to_date, archive) "
     "VALUES ('export', 'manual', 'done', '2025-01-01', '2025-01-31', 'full')", "an action begins as saved"),
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
