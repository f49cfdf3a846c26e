"""The journal as proof: whatever is done to it behind the daemon's back is found, and the right row named."""

import json
import os
import random
import re
import threading

import psycopg2
import pytest

from support.french import FRENCH
from support.harness import guards

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "listed"}
CHANGES = 1000


@pytest.fixture(scope="module")
def journal(pg, tmp_path_factory):
    """A database with a life behind it: passes, manual actions, holds, a cancelled one."""
    from support.harness import Daemon

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
    events = journal.pg.value(journal.db, "SELECT count(*) FROM retention.journal_event")
    done = journal.ctl("verify")
    assert done.stdout.startswith(f"the journal is intact: {events} events, 4 actions\nlast hash: ")
    noted = re.search(r"last hash: (\d+:[0-9a-f]{64})\n", done.stdout).group(1)
    assert noted.startswith(f"{events}:")
    for hashes in (noted, noted.split(":")[1]):
        assert journal.ctl("verify", "--last-hash", hashes).returncode == 0
    last = journal.pg.value(journal.db, "SELECT encode(hash, 'hex') FROM retention.journal_event ORDER BY id DESC LIMIT 1")
    found = json.loads(journal.ctl("verify", "--json").stdout)
    # Each verification is an event.
    assert found == {"events": events + 3, "actions": 4, "last_hash": last, "findings": [],
                     "ledger_lines": journal.pg.value(journal.db, "SELECT count(*) FROM retention.ledger")}


@pytest.fixture
def people(pg, journal):
    """A copy of the journal that was verified, and roles of it: people("auditor") connects as one and verifies."""
    copy = pg.create_database(template=journal.db)
    pg.sql(copy, "SELECT retention.verify_journal()")
    for group in ("auditor", "operator", "approver", "daemon"):
        pg.sql(copy, f"CREATE ROLE verify_{group} LOGIN; GRANT retention_{group} TO verify_{group}")

    def verify(group, *args):
        return journal.run("retentionctl", "-c", "/nonexistent", "-d", pg.conninfo(copy, f"verify_{group}"), "verify", *args, check=False)

    verify.db = copy
    yield verify
    pg.drop_database(copy)
    pg.sql("postgres", "DROP ROLE verify_auditor, verify_operator, verify_approver, verify_daemon")


LAST = "SELECT by, whole, events, actions, holds, findings, last_hash FROM retention.last_verified"


def test_who_has_verified_it(pg, people):
    """The journal says it of people; the daemon's role verifies, too, and tells nobody."""
    for group in ("auditor", "operator", "approver"):
        (state,) = pg.sql(people.db, """SELECT true, count(*), (SELECT count(*) FROM retention.archive_journal),
            (SELECT count(*) FROM retention.hold), 0, (SELECT encode(hash, 'hex') FROM retention.journal_event ORDER BY id DESC LIMIT 1)
            FROM retention.journal_event""")
        assert people(group).returncode == 0
        assert pg.sql(people.db, LAST, user="verify_auditor") == [(f"verify_{group}", *state)]
        assert pg.value(people.db, "SELECT clock_timestamp() - at < interval '1 minute' FROM retention.last_verified")
    before = pg.value(people.db, "SELECT count(*) FROM retention.journal_event")
    done = people("daemon")
    assert done.returncode == 0 and f"{before} events" in done.stdout
    assert pg.value(people.db, "SELECT count(*) FROM retention.journal_event") == before
    for sql in ("SELECT retention.verify_journal()", "INSERT INTO retention.journal_event (kind) VALUES ('verified')"):
        with pytest.raises(psycopg2.Error, match="permission denied|may not write the event"):
            pg.sql(people.db, sql, user="verify_daemon")
    assert pg.sql(people.db, "SELECT * FROM retention.verify_chain()") == pg.sql(people.db, "SELECT * FROM retention.verify_acts()") == []


def test_what_was_found_is_told(pg, people):
    """By whom, and how much: the next one sees it, and a noted hash that is not there counts."""
    assert people("auditor", "--last-hash", "0" * 64).returncode == 1
    assert pg.sql(people.db, "SELECT by, whole, findings FROM retention.last_verified") == [("verify_auditor", False, 1)]
    assert pg.value(people.db, "SELECT details->>'noted' FROM retention.journal_event ORDER BY id DESC LIMIT 1") == "0" * 64
    assert people("auditor").returncode == 0
    pg.tamper(people.db, "UPDATE retention.archive_journal SET error = 'forged'", "UPDATE retention.journal_event SET actor = 'x' WHERE id = 2")
    done = people("approver")
    assert done.returncode == 1 and done.stdout.splitlines()[0].startswith("event 2 was changed")
    whole, n = pg.sql(people.db, "SELECT whole, findings FROM retention.last_verified")[0]
    assert whole is False and n == len(done.stdout.splitlines()) > 2
    rows = pg.sql(people.db, "SELECT finding FROM retention.verify_rows() UNION ALL SELECT finding FROM retention.verify_acts()")
    assert [line for line in done.stdout.splitlines()[1:]] == [f for (f,) in rows]


def test_while_the_chain_is_locked(pg, people):
    """It is verified all the same, and the person is told that the journal does not say so."""
    with pg.connect(people.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE retention.chain_lock IN EXCLUSIVE MODE")
        cur.execute("SELECT count(*) FROM retention.journal_event")
        done = people("auditor")
        assert done.returncode == 0 and "the journal is intact" in done.stdout
        assert done.stdout.startswith("the journal does not say that you have verified it: another session keeps it locked, or its triggers are disabled\n")
    assert "verify_auditor" not in pg.sql(people.db, LAST)[0]


def test_in_any_time_zone(journal):
    """Events were written by sessions of several time zones: a moment is the same in each."""
    done = journal.ctl("verify", env={"PGTZ": "Pacific/Chatham"})
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def bare(journal):
    """The same with more holds, one of which ran out, and without the constraints: its superuser has taken them away."""
    pg = journal.pg
    db = pg.create_database(template=journal.db)
    for key in range(11, 19):
        pg.sql(db, "SELECT retention.place_hold(%s, 'case ' || %s, now() + interval '1 day' * %s, '2030-01-01')",
               (str(key), key, key if key % 2 else None))
    pg.sql(db, "SELECT retention.release_hold('12'), retention.release_hold('13')")
    pg.sql(db, "SELECT retention.place_hold('77', 'short', clock_timestamp() + interval '10 milliseconds')")
    pg.sql(db, "SELECT pg_sleep_until(expires_at) FROM retention.hold WHERE contact_key = '77'")
    pg.sql(db, "SELECT retention.place_hold('77', 'longer')")
    pg.sql(db, """DO $$ DECLARE c record; BEGIN
        FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
                  WHERE connamespace = 'retention'::regnamespace AND contype IN ('c', 'u', 'f') LOOP
            EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$;
        DROP INDEX retention.hold_active;
        ALTER TABLE retention.archive_journal ALTER id DROP IDENTITY;
        ALTER TABLE retention.hold ALTER id DROP IDENTITY""")
    pg.sql(db, guards("DISABLE TRIGGER USER"))
    yield db
    pg.drop_database(db)


FINDINGS = """SELECT finding FROM retention.verify_chain(decode(%s, 'hex')) UNION ALL
              SELECT finding FROM retention.verify_rows()"""


class Tamper:
    """Makes one change through cur, a superuser's with the triggers off; says which row has to be named."""

    def __init__(self, cur, rng):
        self.cur, self.rng = cur, rng
        self.ids = self.column("SELECT id FROM retention.journal_event ORDER BY id")
        self.last = self.ids[-1]
        self.noted = None

    def column(self, query, args=None):
        self.cur.execute(query, args)
        return [row[0] for row in self.cur]

    def run(self, query, args=None):
        self.cur.execute(query, args)
        assert self.cur.rowcount > 0, (query, args)

    def note(self):
        self.noted = self.column("SELECT encode(hash, 'hex') FROM retention.journal_event WHERE id = %s", (self.last,))[0]

    def columns(self, table, without=()):
        return [c for c in self.column(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped "
            "ORDER BY attnum", (f"retention.{table}",)) if c not in without]

    def other(self, table, column, row):
        """Another value for that column, of its type."""
        old = self.column(f"SELECT {column}::text FROM retention.{table} WHERE id = %s", (row,))[0]
        kind = self.column("SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = %s::regclass AND "
                           "attname = %s", (f"retention.{table}", column))[0]
        some = self.rng.randrange(1, 10**6)
        values = {
            "text": [(old or "") + self.rng.choice(" xé\n"), "", str(some)],
            "jsonb": ["{}", json.dumps({"treated": some}), json.dumps({"id": some, "hold": some, "mode": None})],
            "bytea": ["\\x", "\\x%064x" % self.rng.getrandbits(250)],
            "boolean": ["true", "false"],
            "date": ["2031-12-%02d" % self.rng.randrange(1, 29)],
            "interval": [f"{some} days", f"{some} months"],
            "integer": [str(some), None], "bigint": [str(some), None],
        }
        if kind == "timestamp with time zone":
            self.cur.execute(f"""SELECT (coalesce({column}, now()) + interval '1 microsecond' * %s)::text
                FROM retention.{table} WHERE id = %s""", (self.rng.choice((-1, 1)) * some ** 2, row))
            values[kind] = [self.cur.fetchone()[0]]
        can_be_null = self.column("SELECT NOT attnotnull FROM pg_attribute WHERE attrelid = %s::regclass AND "
                                  "attname = %s", (f"retention.{table}", column))[0]
        return self.rng.choice([v for v in values[kind] + [None] if v != old and (v is not None or can_be_null)]
                               or values[kind][:1])

    def event_column(self):
        row = self.rng.choice(self.ids)
        column = self.rng.choice(self.columns("journal_event", ("id",)))
        self.run(f"UPDATE retention.journal_event SET {column} = %s WHERE id = %s",
                 (self.other("journal_event", column, row), row))
        return "event", {row}

    def event_number(self):
        row = self.rng.choice(self.ids)
        new = self.rng.choice((0, -self.rng.randrange(1, 99), self.last + self.rng.randrange(1, 99)))
        self.run("UPDATE retention.journal_event SET id = %s WHERE id = %s", (new, row))
        # The last one that takes a later number has only moved: it is named by either.
        return "event", {row, new}

    def event_with_its_hash(self):
        """The row's own hash is made anew; the next row's is not."""
        row = self.rng.choice(self.ids[:-1])
        column = self.rng.choice(("at", "job", "kind", "actor", "details", "previous_hash"))
        self.run(f"UPDATE retention.journal_event SET {column} = %s WHERE id = %s",
                 (self.other("journal_event", column, row), row))
        self.run("UPDATE retention.journal_event e SET hash = retention.event_hash(previous_hash, e) WHERE id = %s",
                 (row,))
        return "event", {row, self.last} if row == self.last - 1 else {row}

    def event_removed(self):
        row = self.rng.choice(self.ids[:-1])
        self.run("DELETE FROM retention.journal_event WHERE id = %s", (row,))
        return "event", {row}

    def events_removed(self):
        first, last = sorted(self.rng.sample(self.ids[:-1], 2))
        self.run("DELETE FROM retention.journal_event WHERE id BETWEEN %s AND %s", (first, last))
        return "event", {first}

    def event_removed_and_closed(self):
        row = self.rng.choice(self.ids[:-1])
        self.run("DELETE FROM retention.journal_event WHERE id = %s", (row,))
        self.run("UPDATE retention.journal_event SET id = -id WHERE id > %s", (row,))
        self.run("UPDATE retention.journal_event SET id = -id - 1 WHERE id < 0")
        return "event", {row}

    def tail_cut(self):
        self.note()
        row = self.rng.choice(self.ids)
        self.run("DELETE FROM retention.journal_event WHERE id >= %s", (row,))
        return "event", {row}

    def chain_made_anew(self):
        """All hashes from a row on: nothing but the noted one tells."""
        self.note()
        row = self.rng.choice(self.ids)
        self.run("UPDATE retention.journal_event SET kind = kind || 'x' WHERE id = %s", (row,))
        self.cur.execute("""DO $$ DECLARE e retention.journal_event; before bytea := '\\x'; BEGIN
            FOR e IN SELECT * FROM retention.journal_event ORDER BY id LOOP
                UPDATE retention.journal_event SET previous_hash = before, hash = retention.event_hash(before, e)
                 WHERE id = e.id RETURNING hash INTO before;
            END LOOP; END $$""")
        return "event", {self.last + 1}

    def exchange(self, table, a, b, columns):
        """Rows a and b change places: all that they hold but columns."""
        kept = [c for c in self.columns(table) if c not in columns]
        self.cur.execute("CREATE TEMP TABLE was ON COMMIT DROP AS "
                         f"SELECT * FROM retention.{table} WHERE id IN (%s, %s)", (a, b))
        self.run(f"""UPDATE retention.{table} t SET ({', '.join(kept)}) = ROW({', '.join('w.' + c for c in kept)})
            FROM was w WHERE (t.id, w.id) IN ((%s, %s), (%s, %s))""", (a, b, b, a))

    def events_exchanged(self):
        a, b = sorted(self.rng.sample(self.ids, 2))
        self.exchange("journal_event", a, b, ("id",))
        return "event", {a}

    def neighbours_exchanged(self):
        a = self.rng.choice(self.ids[:-1])
        self.exchange("journal_event", a, a + 1, ("id",))
        return "event", {a}

    def insert_event(self, number, proper):
        """A forged row; proper: it follows from the one in front of it, with a hash of its own."""
        self.run("""INSERT INTO retention.journal_event SELECT %s, e.at, e.job, 'noted', 'somebody', '{}', %s, %s
            FROM retention.journal_event e ORDER BY abs(e.id - %s + 1) LIMIT 1""",
                 (number, b"", b"%032d" % self.rng.getrandbits(90), number))
        if proper:
            self.run("""UPDATE retention.journal_event e SET previous_hash = coalesce((SELECT p.hash
                FROM retention.journal_event p WHERE p.id < e.id ORDER BY p.id DESC LIMIT 1), '\\x') WHERE id = %s""",
                     (number,))
            self.run("""UPDATE retention.journal_event e SET hash = retention.event_hash(previous_hash, e)
                WHERE id = %s""", (number,))

    def event_inserted(self):
        row = self.rng.choice(self.ids)
        self.run("UPDATE retention.journal_event SET id = -id WHERE id >= %s", (row,))
        self.run("UPDATE retention.journal_event SET id = -id + 1 WHERE id < 0")
        self.insert_event(row, self.rng.choice((True, False)))
        return "event", {row}

    def event_inserted_outside(self):
        number = self.rng.choice((0, -self.rng.randrange(1, 99), self.last + self.rng.randrange(2, 99)))
        self.insert_event(number, self.rng.choice((True, False)))
        return "event", {number}

    def event_appended(self):
        self.insert_event(self.last + 1, False)
        return "event", {self.last + 1}

    def row_changed(self, table, without):
        row = self.rng.choice(self.column(f"SELECT id FROM retention.{table} ORDER BY id"))
        column = self.rng.choice(self.columns(table, without))
        self.run(f"UPDATE retention.{table} SET {column} = %s WHERE id = %s", (self.other(table, column, row), row))
        return row, column

    def action_column(self):
        row, column = self.row_changed("archive_journal", ("id", "waiting", "waiting_for", "claim"))
        return "action", {row}

    def action_removed(self):
        row = self.rng.choice(self.column("SELECT id FROM retention.archive_journal ORDER BY id"))
        self.run("DELETE FROM retention.archive_journal WHERE id = %s", (row,))
        return "action", {row}

    def action_number(self):
        row = self.rng.choice(self.column("SELECT id FROM retention.archive_journal ORDER BY id"))
        self.run("UPDATE retention.archive_journal SET id = id + 1000 WHERE id = %s", (row,))
        return "action", {row}

    def action_inserted(self):
        row = self.rng.randrange(1000, 2000)
        self.run("INSERT INTO retention.archive_journal (id, action, mode, status, archive) VALUES (%s, 'export', "
                 "'manual', 'done', 'listed')", (row,))
        return "action", {row}

    def actions_exchanged(self):
        a, b = sorted(self.rng.sample(self.column("SELECT id FROM retention.archive_journal WHERE policy IS NULL"), 2))
        self.exchange("archive_journal", a, b, ("id",))
        return "action", {a}

    def hold_column(self):
        row, column = self.row_changed("hold", ("id",))
        return "hold", {row}

    def hold_removed(self):
        row = self.rng.choice(self.column("SELECT id FROM retention.hold ORDER BY id"))
        self.run("DELETE FROM retention.hold WHERE id = %s", (row,))
        return "hold", {row}

    def hold_inserted(self):
        self.run("INSERT INTO retention.hold (id, contact_key, reason) VALUES (999, '4711', 'x')")
        return "hold", {999}


# How often each is drawn: a change of a column is the likeliest.
KINDS = {"event_column": 8, "action_column": 6, "hold_column": 3, "event_with_its_hash": 3, "event_removed": 3,
         "tail_cut": 3, "events_exchanged": 3, "event_inserted": 3}


@pytest.mark.unsanitized("SQL alone: nothing of it is compiled")
def test_a_thousand_changes(journal, bare):
    """One transaction each, rolled back: the first finding names the row that was changed."""
    seed = int(os.environ.get("RETENTION_SEED") or random.randrange(1 << 32))
    print(f"seed {seed} (RETENTION_SEED)")
    rng = random.Random(seed)
    kinds = [k for k, f in vars(Tamper).items() if k.split("_")[0] in
             ("event", "events", "neighbours", "tail", "chain", "action", "actions", "hold")]
    done, missed = {k: 0 for k in kinds}, []
    with journal.pg.connect(bare, autocommit=False) as conn, conn.cursor() as cur:
        for n in range(CHANGES):
            kind = kinds[n] if n < len(kinds) else rng.choices(kinds, [KINDS.get(k, 1) for k in kinds])[0]
            tamper = Tamper(cur, rng)
            what, rows = getattr(tamper, kind)()
            cur.execute(FINDINGS, (tamper.noted,))
            found = [f for (f,) in cur.fetchall()]
            conn.rollback()
            if not found or found[0].split(" ")[0] != what or int(found[0].split(" ")[1].strip(",")) not in rows:
                missed.append(f"change {n} ({kind}): {found[:1]}, not {what} {rows}")
            done[kind] += 1
        cur.execute(FINDINGS, (None,))
        assert cur.fetchall() == []
    assert missed == [], "\n".join(missed)
    assert sum(done.values()) == CHANGES and min(done.values()) > 0, done


def test_a_clock_set_back_is_no_change(pg, daemon):
    """Nothing is wrong with the journal, which goes on in its order and says what the clock said."""
    db = daemon(contacts=5).db
    last = "SELECT extract(epoch FROM e.at - (e.details->>'clock')::timestamptz) FROM retention.journal_event e ORDER BY id DESC LIMIT 1"
    pg.sql(db, "SELECT retention.configure('UTC', false, 'bigint'), retention.place_hold('8', 'r')")
    assert pg.value(db, last) is None
    pg.sql(db, """ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO real_clock;
        CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql
        AS $$ SELECT pg_catalog.real_clock() - interval '1 hour' $$""")
    pg.sql(db, "SELECT retention.place_hold('9', 'r')")
    assert 3590 < pg.value(db, last) <= 3600
    pg.sql(db, "SELECT retention.release_hold('9')")
    assert pg.sql(db, FINDINGS, (None,)) == []
    # Whoever makes it run backwards is found.
    pg.tamper(db, """UPDATE retention.journal_event e SET at = at - interval '1 day' WHERE id = 3;
        UPDATE retention.journal_event e SET hash = retention.event_hash(previous_hash, e) WHERE id = 3""")
    assert pg.sql(db, FINDINGS, (None,)) == [("event 3 is older than the one before it",)]


def test_a_rewritten_row_with_a_hash_of_its_own(journal):
    """Who recomputes the hash of the row that was changed is betrayed by the next one."""
    with journal.pg.connect(journal.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(guards("DISABLE TRIGGER ALL"))
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


def test_triggers_that_are_off(pg, journal):
    """They number and chain the events: who verifies meanwhile is told so, and of what was changed."""
    copy = pg.create_database(template=journal.db)
    try:
        pg.sql(copy, "ALTER TABLE retention.journal_event DISABLE TRIGGER USER; UPDATE retention.journal_event SET actor = 'x' WHERE id = 3")
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", check=False)
        assert done.returncode == 1 and "the journal was changed: 2 findings" in done.stderr, done.stderr
        assert "event 3 was changed, or inserted" in done.stdout and "verified it: " in done.stdout
        assert "triggers of retention.journal_event are disabled, so that " in done.stdout
    finally:
        pg.drop_database(copy)


def test_told_by_the_program(pg, journal):
    noted = json.loads(journal.ctl("verify", "--json").stdout)["last_hash"]
    copy = pg.create_database(template=journal.db)
    try:
        pg.tamper(copy, "UPDATE retention.journal_event SET actor = 'nobody' WHERE id = 3")
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", check=False)
        assert (done.returncode, done.stdout) == (1, "event 3 was changed, or inserted\n")
        assert "the journal was changed: 1 finding" in done.stderr
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", check=False,
                           env=FRENCH)
        assert done.stdout == "l'événement 3 a été modifié, ou inséré\n"
        pg.tamper(copy, "DELETE FROM retention.journal_event WHERE id >= 3",
                  "DELETE FROM retention.candidate; DELETE FROM retention.archive_file; DELETE FROM retention.hold")
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", "--last-hash", noted, "--json", check=False)
        assert done.returncode == 1
        assert json.loads(done.stdout)["findings"][0].startswith("event 3 and what came after it was removed, or the hash that")
    finally:
        pg.drop_database(copy)


def test_a_hash_that_is_gone_and_one_that_never_was(pg, journal):
    """The number that was noted with it tells: a journal that ends before, or that has another hash there."""
    copy = pg.create_database(template=journal.db)
    pg.tamper(copy, "DELETE FROM retention.journal_event WHERE kind = 'verified'")
    *_, (before, known), (last, hash) = pg.sql(copy, "SELECT id, encode(hash, 'hex') FROM retention.journal_event ORDER BY id")

    def verify(noted):
        findings = pg.sql(copy, "SELECT finding, message FROM retention.verify_chain(decode(%s, 'hex'), %s)",
                          (noted.split(":")[1], noted.split(":")[0] or None))
        return [(message.removeprefix("retention."), int(re.search(r"event (\d+)", finding)[1])) for finding, message in findings]

    try:
        assert verify(f"{last}:{hash}") == verify(f":{hash}") == verify(f"{before}:{known}") == []
        assert verify(f"{last}:{'0' * 64}") == [("hash_other", last)]
        assert verify(f"{last}:{known}") == [("hash_other", last)]
        assert verify(f":{'0' * 64}") == [("hash_unknown", last + 1)]
        pg.tamper(copy, f"DELETE FROM retention.journal_event WHERE id = {last}")
        assert verify(f"{last}:{hash}") == [("events_cut", last)]
        assert verify(f":{hash}") == [("hash_unknown", last)]
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", "--last-hash", f"{last}:{hash}", check=False)
        assert f"event {last}, and what came after it, was removed: no event has the hash that was noted" in done.stdout
        # This verification is an event, with the number that was cut off: not with its hash.
        done = journal.run("retentionctl", "-d", pg.conninfo(copy), "verify", "--last-hash", f"{last}:{hash}", check=False)
        assert f"event {last} was replaced, or the hash that was noted is not its own" in done.stdout
    finally:
        pg.drop_database(copy)


@pytest.mark.parametrize("args", [["x"], ["--last-hash"], ["--last-hash", "abc"], ["--last-hash", "g" * 64],
                                  ["--last-hash", ":" + "a" * 64], ["--last-hash", "0:" + "a" * 64], ["--last-hash", "7:abc"]])
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
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert "the journal is intact: 166 events, 80 actions" in d.ctl("verify").stdout


def test_append_only(pg, journal):
    """Also for its owner, as long as it does not switch triggers off."""
    for statement in ("UPDATE retention.journal_event SET actor = 'x'", "DELETE FROM retention.journal_event",
                      "TRUNCATE retention.journal_event", "DELETE FROM retention.archive_journal",
                      "TRUNCATE retention.archive_journal CASCADE", "DELETE FROM retention.hold", "TRUNCATE retention.hold"):
        with pytest.raises(Exception, match="is append-only"):
            pg.sql(journal.db, statement)
