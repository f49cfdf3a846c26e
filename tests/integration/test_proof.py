"""The journal as proof: whatever is done to it behind the daemon's back is found, and the right row named."""

import json
import random
import re
import threading

import pytest

from harness import BUILD

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "listed"}
CHANGES = 1000


@pytest.fixture(scope="module")
def journal(pg, tmp_path_factory):
    """A database with a life behind it: passes, manual actions, holds, a cancelled one."""
    from harness import Daemon

    db = pg.create_database(template=pg.crm_template(120))
    d = Daemon(tmp_path_factory.mktemp("proof"), pg, db, policies=[POLICY]).migrate()
    d.once()
    for month in ("01", "02", "03"):
        d.ctl("save", "anonymize_requests", "--from", f"2025-{month}-01", "--to", f"2025-{month}-28")
    d.once()
    d.ctl("validate", "2")
    d.ctl("cancel", "3")
    for contact in (3, 4, 5):
        d.ctl("hold", "add", contact, "--reason", f"case {contact}")
    d.ctl("hold", "remove", "4")
    d.once()
    yield d
    pg.drop_database(db)


def test_whole(journal):
    done = journal.ctl("verify")
    events = journal.pg.value(journal.db, "SELECT count(*) FROM retention.journal_event")
    assert done.stdout.startswith(f"the journal is whole: {events} events, 4 actions\nlast hash: ")
    noted = re.search(r"last hash: ([0-9a-f]{64})", done.stdout).group(1)
    assert journal.ctl("verify", "--last-hash", noted).returncode == 0
    found = json.loads(journal.ctl("verify", "--json").stdout)
    assert found == {"events": events, "actions": 4, "last_hash": noted, "findings": []}


def test_in_any_time_zone(journal):
    """Events were written by sessions of several time zones: a moment is the same in each."""
    done = journal.ctl("verify", env={"PGTZ": "Pacific/Chatham"})
    assert done.returncode == 0, done.stdout


class Tampering:
    """One random change of the journal, by who may do everything: (what was done, the finding it must make)."""

    def __init__(self, cur, rng):
        self.cur, self.rng = cur, rng
        cur.execute("SELECT id FROM retention.journal_event ORDER BY id")
        self.ids = [i for (i,) in cur.fetchall()]

    def one(self):
        kind = self.rng.choice(["value", "value", "value", "delete", "swap", "insert", "cut", "action", "hold"])
        return kind, getattr(self, kind)()

    def value(self):
        i = self.rng.choice(self.ids)
        change = self.rng.choice([
            "at = at + interval '1 microsecond'", "job = coalesce(job, 0) + 1", "kind = kind || 'x'",
            "actor = actor || 'x'", "details = details || '{\"x\": 1}'",
            "details = (SELECT coalesce(jsonb_object_agg(k, v), '{}') FROM (SELECT * FROM jsonb_each(details) "
            "AS e(k, v) ORDER BY k OFFSET 1) x)", "previous_hash = sha256(previous_hash)", "hash = sha256(hash)"])
        self.cur.execute(f"UPDATE retention.journal_event SET {change} WHERE id = %s", (i,))
        return rf"^event {i} was changed"

    def delete(self):
        i = self.rng.choice(self.ids[:-1])
        self.cur.execute("DELETE FROM retention.journal_event WHERE id = %s", (i,))
        return rf"^event {i} was removed"

    def swap(self):
        a, b = sorted(self.rng.sample(self.ids, 2))
        self.cur.execute("UPDATE retention.journal_event SET id = CASE id WHEN %(a)s THEN -1 ELSE -2 END "
                         "WHERE id IN (%(a)s, %(b)s)", {"a": a, "b": b})
        self.cur.execute("UPDATE retention.journal_event SET id = CASE id WHEN -1 THEN %(b)s ELSE %(a)s END "
                         "WHERE id < 0", {"a": a, "b": b})
        return rf"^event {a} was changed"

    def insert(self):
        """
        At the end or before the beginning; in between, where the later ones move up.  A copy of another
        event: of the one that was there, it would be the one that has moved up that is too many.
        """
        where = self.rng.choice(["end", "begin", "between"])
        i = {"end": self.ids[-1] + 1, "begin": 0, "between": self.rng.choice(self.ids)}[where]
        if where == "between":
            self.cur.execute("UPDATE retention.journal_event SET id = -id - 1 WHERE id >= %s", (i,))
            self.cur.execute("UPDATE retention.journal_event SET id = -id WHERE id < 0")
        self.cur.execute("INSERT INTO retention.journal_event SELECT %s, at, job, kind, actor, details, previous_hash, "
                         "hash FROM retention.journal_event WHERE id <> %s ORDER BY id OFFSET %s LIMIT 1",
                         (i, i + 1, self.rng.randrange(len(self.ids) - 1)))
        return rf"^event {i} was (changed, or )?inserted"

    def cut(self):
        n = self.rng.choice(self.ids)
        self.cur.execute("DELETE FROM retention.journal_event WHERE id >= %s", (n,))
        return rf"^event {n}, and what came after it, was removed"

    def action(self):
        self.cur.execute("SELECT id FROM retention.archive_journal")
        i = self.rng.choice([i for (i,) in self.cur.fetchall()])
        change = self.rng.choice([
            "requested_by = requested_by || 'x'", "requested_at = requested_at - interval '1 second'",
            "candidates = coalesce(candidates, 0) + 1", "status = CASE status WHEN 'done' THEN 'failed' ELSE 'done' END",
            "validated_by = coalesce(validated_by, '') || 'x'", "counters = coalesce(counters, '{}') || '{\"treated\": 99}'",
            "error = coalesce(error, '') || 'x'", "host = coalesce(host, '') || 'x'", None])
        if change is None:
            for table in ("candidate", "archive_file", "selection"):
                self.cur.execute(f"DELETE FROM retention.{table} WHERE job = %s", (i,))
            self.cur.execute("DELETE FROM retention.archive_journal WHERE id = %s", (i,))
            return rf"^action {i} was removed"
        self.cur.execute(f"UPDATE retention.archive_journal SET {change} WHERE id = %s", (i,))
        return rf"^action {i} was changed: {change.split()[0]}$"

    def hold(self):
        self.cur.execute("SELECT id FROM retention.hold")
        i = self.rng.choice([i for (i,) in self.cur.fetchall()])
        what = self.rng.choice(["remove", "contact", "release"])
        if what == "remove":
            self.cur.execute("DELETE FROM retention.hold WHERE id = %s", (i,))
            return rf"^hold {i} was removed"
        if what == "contact":
            self.cur.execute("UPDATE retention.hold SET contact_key = '99' WHERE id = %s", (i,))
            return rf"^hold {i} was changed"
        self.cur.execute("UPDATE retention.hold SET released_at = CASE WHEN released_at IS NULL THEN now() END, "
                         "released_by = 'x' WHERE id = %s", (i,))
        return rf"^hold {i} was released, and "


@pytest.mark.skipif("sanitize" in str(BUILD), reason="SQL alone: nothing of it is compiled")
def test_a_thousand_changes(journal):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    kinds = {}
    with journal.pg.connect(journal.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute("SELECT encode(hash, 'hex') FROM retention.journal_event ORDER BY id DESC LIMIT 1")
        noted, = cur.fetchone()
        conn.commit()
        for n in range(CHANGES):
            cur.execute("SET session_replication_role = replica")
            kind, expected = Tampering(cur, rng).one()
            cur.execute("SELECT finding FROM retention.verify_chain(decode(%s, 'hex')) UNION ALL "
                        "SELECT finding FROM retention.verify_rows()", (noted,))
            findings = [f for (f,) in cur.fetchall()]
            assert findings and any(re.search(expected, f) for f in findings), (seed, n, kind, expected, findings)
            if kind in ("value", "delete", "swap", "insert", "cut"):
                assert re.search(expected, findings[0]), (seed, n, kind, expected, findings)
            kinds[kind] = kinds.get(kind, 0) + 1
            conn.rollback()
    assert len(kinds) == 7 and sum(kinds.values()) == CHANGES
    assert journal.ctl("verify").returncode == 0


def test_a_rewritten_row_with_a_hash_of_its_own(journal):
    """Who recomputes the hash of the row that was changed is betrayed by the next one."""
    with journal.pg.connect(journal.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        cur.execute("UPDATE retention.journal_event SET actor = 'somebody' WHERE id = 4")
        cur.execute("UPDATE retention.journal_event e SET hash = retention.event_hash(e.previous_hash, e) WHERE id = 4")
        cur.execute("SELECT event, finding FROM retention.verify_chain()")
        assert cur.fetchall() == [(4, "event 4 was replaced: event 5 was written after another one")]
        # The whole chain anew: nothing shows, but to who has noted a hash.
        cur.execute("""DO $$ DECLARE r retention.journal_event; last bytea := '\\x'; BEGIN
            FOR r IN SELECT * FROM retention.journal_event ORDER BY id LOOP
                UPDATE retention.journal_event e SET previous_hash = last, hash = retention.event_hash(last, r)
                 WHERE id = r.id RETURNING e.hash INTO last; END LOOP; END $$""")
        cur.execute("SELECT count(*) FROM retention.verify_chain()")
        assert cur.fetchone() == (0,)
        conn.rollback()


def test_told_by_the_program(pg, journal):
    noted = json.loads(journal.ctl("verify", "--json").stdout)["last_hash"]
    copy = pg.create_database(template=journal.db)
    try:
        with pg.connect(copy) as conn, conn.cursor() as cur:
            cur.execute("SET session_replication_role = replica")
            cur.execute("UPDATE retention.journal_event SET actor = 'nobody' WHERE id = 3")
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", check=False)
        assert (done.returncode, done.stdout) == (1, "event 3 was changed, or inserted\n")
        assert "the journal is not what was written: 1 finding" in done.stderr
        with pg.connect(copy) as conn, conn.cursor() as cur:
            cur.execute("SET session_replication_role = replica")
            cur.execute("DELETE FROM retention.journal_event WHERE id >= 3")
            cur.execute("DELETE FROM retention.candidate; DELETE FROM retention.archive_file; DELETE FROM retention.hold")
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", "--last-hash", noted, "--json", check=False)
        assert done.returncode == 1
        assert json.loads(done.stdout)["findings"][0].startswith("event 3, and what came after it, was removed")
    finally:
        pg.drop_database(copy)


@pytest.mark.parametrize("args", [["x"], ["--last-hash"], ["--last-hash", "abc"], ["--last-hash", "g" * 64]])
def test_wrong_use(journal, args):
    done = journal.ctl("verify", *args, check=False)
    assert done.returncode == 2 and done.stdout == "" and "usage: retentionctl verify" in done.stderr


def test_concurrent_writers_keep_one_chain(pg, empty_db, daemon):
    d = daemon(contacts=20)
    d.once()
    errors = []

    def write(n):
        try:
            for i in range(10):
                pg.sql(d.db, "SELECT retention.place_hold(%s, 'case')", (str(n * 100 + i),))
                pg.sql(d.db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31')")
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert "the journal is whole: 160 events, 80 actions" in d.ctl("verify").stdout


def test_append_only(pg, journal):
    """Also for its owner, as long as it does not switch triggers off."""
    for statement in ("UPDATE retention.journal_event SET actor = 'x'", "DELETE FROM retention.journal_event",
                      "TRUNCATE retention.journal_event", "DELETE FROM retention.archive_journal"):
        with pytest.raises(Exception, match="is append-only"):
            pg.sql(journal.db, statement)
