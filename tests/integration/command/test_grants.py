"""The daemon's role, made from what `grants` prints, can do each action, and nothing else."""

import os
import pathlib
import re
import signal

import pytest

from support.small import SCHEMA, model

ROLE = "granted"
ACTIONS = [
    {"name": "gone", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "full"},
    {"name": "quiet", "action": "anonymize_contacts", "depth": "20 months", "schedule": "monthly"},
    {"name": "requests", "action": "anonymize_requests", "depth": "18 months", "schedule": "monthly"},
    {"name": "copy", "action": "export", "depth": "6 months", "schedule": "monthly", "archive": "full"},
]


@pytest.fixture
def granted(daemon, pg):
    """A daemon that connects as a role which has what `grants` prints, and no more."""
    d = daemon(policies=ACTIONS)
    pg.sql(d.db, f"""DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; END IF; CREATE ROLE {ROLE} LOGIN; END $$""")
    sql = d.ctl("grants", ROLE).stdout
    pg.psql(d.db, "-c", sql)
    d.configure(user=ROLE)
    yield d, sql
    pg.sql(d.db, f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_it_can_do_each_action(granted):
    d, _ = granted
    assert d.check_config().returncode == 0
    d.once()
    assert [(r["status"], r["error"]) for r in d.jobs()] == [("done", None)] * 4
    assert all(r["counters"]["treated"] > 0 for r in d.jobs())


def test_no_heading_without_lines(granted):
    """The predicates of this model read its own tables only."""
    _, sql = granted
    assert "What the predicates need" not in sql


def test_nothing_else(granted, pg):
    """Not what the model keeps, no column that no rule names, nothing of others."""
    d, sql = granted
    pg.sql(d.db, "CREATE TABLE crm.salary (id int, name text); CREATE TABLE public.other (id int)")
    refused = [
        "SELECT * FROM crm.salary", "DELETE FROM crm.salary", "SELECT * FROM public.other",
        "INSERT INTO crm.contact (language) VALUES ('fr')", "TRUNCATE crm.contact", "TRUNCATE crm.message",
        "UPDATE crm.contact SET id = 1", "UPDATE crm.contact SET created_at = now()",
        "UPDATE crm.request SET contact_id = 1", "UPDATE crm.request SET status = 'open'",
        "UPDATE crm.message SET body = ''", "INSERT INTO crm.message (body) VALUES ('')",
        "UPDATE retention.journal_event SET actor = 'x'", "DELETE FROM retention.journal_event",
        "DELETE FROM retention.archive_journal", "DELETE FROM retention.ledger", "UPDATE retention.ledger SET key = '1'",
        "INSERT INTO retention.hold (contact_key, reason) VALUES ('1', 'x')", "UPDATE retention.hold SET released_at = now()",
        "UPDATE retention.archive_journal SET requested_by = 'x'", "SELECT retention.validate_action(1)",
        "SELECT retention.save_action('export', '2025-01-01', '2025-01-02')", "CREATE TABLE crm.x (id int)",
        "CREATE TABLE retention.x (id int)", "ALTER TABLE crm.contact ADD x int", "CREATE ROLE x",
    ]
    for statement in refused:
        with pytest.raises(Exception, match="permission denied|must be owner|no privilege"):
            pg.sql(d.db, statement, user=ROLE)
    assert "superuser" not in sql.lower() and "ALL" not in sql


def test_each_line_is_needed(granted, pg):
    """Without any one of them something is refused, before a row is touched."""
    d, sql = granted
    # pg_read_all_stats is for standbys, of which there is none here.
    lines = [line for line in re.findall(r"^GRANT .*;$", sql, re.M) if "pg_read_all_stats" not in line]
    assert len(lines) > 10
    needless = []
    for line in lines:
        pg.psql(d.db, "-c", re.sub(r" TO (\S+);$", r" FROM \1;", line.replace("GRANT", "REVOKE", 1)))
        if d.check_config().returncode == 0:
            needless.append(line)
        pg.psql(d.db, "-c", line)
    assert needless == []
    assert d.check_config().returncode == 0


def test_rights_are_those_of_the_model(granted):
    _, sql = granted
    assert sql.startswith(f"-- What {ROLE} needs to work on the model of ")
    assert f'GRANT retention_daemon TO "{ROLE}";' in sql and f'GRANT pg_read_all_stats TO "{ROLE}";' in sql
    assert re.search(r'GRANT SELECT, DELETE ON "crm"\."contact" TO', sql)
    contact = re.search(r'GRANT UPDATE \((.*)\) ON "crm"\."contact" TO', sql).group(1)
    assert '"email"' in contact and '"last_name"' in contact and '"id"' not in contact and '"created_at"' not in contact


def test_replica_lag_needs_pg_read_all_stats(daemon):
    d = daemon(migrate=False, limits={"max_replica_lag": "10s"})
    assert 'GRANT pg_read_all_stats TO "retentiond";' in d.ctl("grants").stdout
    d.configure(limits={"max_replica_lag": "0s"})
    assert "pg_read_all_stats" not in d.ctl("grants").stdout
    done = d.ctl("grants", "a", "b", check=False)
    assert done.returncode == 2 and "give one role at most" in done.stderr


ASKING = """
    CREATE SCHEMA "odd ""one"; CREATE SCHEMA tool; CREATE SCHEMA kinds; CREATE SCHEMA unused;
    CREATE TYPE kinds.sort AS ENUM ('a', 'b'); CREATE DOMAIN unused.mark AS text;
    CREATE TABLE "odd ""one"."con""tact" (id bigint PRIMARY KEY, "Name" unused.mark, tag unused.mark, brand text, sort kinds.sort);
    CREATE TABLE "odd ""one".request (id bigint PRIMARY KEY,
        contact_id bigint NOT NULL REFERENCES "odd ""one"."con""tact", at timestamptz NOT NULL, status text);
    CREATE INDEX ON "odd ""one".request (contact_id);
    CREATE TABLE tool.closed (status text, secret text);
    CREATE TABLE tool.switch (secret text);
    CREATE FUNCTION tool.is_ours(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = 'ours' $$;
    REVOKE EXECUTE ON FUNCTION tool.is_ours FROM PUBLIC;
    CREATE FUNCTION tool.same(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 = $2 $$;
    REVOKE EXECUTE ON FUNCTION tool.same FROM PUBLIC;
    CREATE OPERATOR tool.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = tool.same);
    INSERT INTO "odd ""one"."con""tact" VALUES (1, 'a', 't', 'ours'), (2, 'b', 't', 'theirs'), (3, 'c', 't', 'ours');
    INSERT INTO "odd ""one".request VALUES (1, 1, '2001-01-01', 'closed'), (2, 2, '2001-01-01', 'closed'),
        (3, 3, '2001-01-01', 'open');
    INSERT INTO tool.closed VALUES ('closed'); INSERT INTO tool.switch VALUES ('on')"""
ASKING_MODEL = model(
    {"table": 'odd "one.con"tact', "set": {"Name": "L_{key}", "sort": "a"}, "keep": ["id", "tag", "brand"]},
    {"table": 'odd "one.request', "clear": ["status"], "keep": ["id", "contact_id", "at"],
     "due_when": "status IN (SELECT c.status FROM tool.closed AS c) AND EXISTS (SELECT FROM tool.switch) -- all"})


@pytest.fixture
def asking(pg, daemon, empty_db):
    """Odd names, predicates on other tables, functions and operators of another schema; what PUBLIC has lost."""
    db = empty_db()
    pg.psql(db, "-c", ASKING)
    pg.psql(db, "-c", f"REVOKE CONNECT ON DATABASE {db} FROM PUBLIC")
    pg.sql(db, f"""DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; END IF; CREATE ROLE {ROLE} LOGIN; END $$""")
    d = daemon(db, model=ASKING_MODEL, limits={"max_replica_lag": "0s"}, policies=[
        {"name": "p", "action": "anonymize_contacts", "depth": "1 year", "schedule": "monthly",
         "scope": "tool.is_ours(brand) AND brand OPERATOR(tool.===) 'ours'"}])
    yield d
    pg.sql(db, f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_a_model_that_asks_for_more(asking, pg):
    d = asking
    sql = d.ctl("grants", ROLE).stdout
    assert sql.count("-- What the predicates need beside these tables.\n") == 1
    lines = re.findall(r"^(?:GRANT|ALTER) .*;$", sql, re.M)
    assert {line for line in lines if "odd" not in line} == {
        f'GRANT retention_daemon TO "{ROLE}";', f'GRANT CONNECT ON DATABASE {d.db} TO "{ROLE}";',
        f'GRANT USAGE ON SCHEMA kinds TO "{ROLE}";', f'GRANT USAGE ON SCHEMA tool TO "{ROLE}";',
        f'GRANT SELECT (status) ON tool.closed TO "{ROLE}";', f'GRANT SELECT ON tool.switch TO "{ROLE}";',
        f'GRANT EXECUTE ON FUNCTION tool.is_ours(text) TO "{ROLE}";',
        f'GRANT EXECUTE ON FUNCTION tool.same(text,text) TO "{ROLE}";'}
    pg.psql(d.db, "-c", sql)
    d.configure(user=ROLE)
    assert d.check_config().returncode == 0
    for line in set(lines):
        pg.psql(d.db, "-c", re.sub(r" TO (\S+);$", r" FROM \1;", line.replace("GRANT", "REVOKE", 1)))
        assert d.check_config(check=False).returncode != 0, line
        pg.psql(d.db, "-c", line)
    d.once()
    assert pg.sql(d.db, 'SELECT id, "Name" FROM "odd ""one"."con""tact" ORDER BY id') == [
        (1, "L_1"), (2, "b"), (3, "c")]
    with pytest.raises(Exception, match="permission denied"):
        pg.sql(d.db, "SELECT secret FROM tool.closed", user=ROLE)


def test_row_level_security(asking, pg):
    d = asking
    pg.psql(d.db, "-c", 'ALTER TABLE "odd ""one".request ENABLE ROW LEVEL SECURITY')
    sql = d.ctl("grants", ROLE).stdout
    assert f'ALTER ROLE "{ROLE}" BYPASSRLS;' in sql
    pg.psql(d.db, "-c", sql)
    d.configure(user=ROLE)
    assert d.check_config().returncode == 0
    pg.psql(d.db, "-c", f"ALTER ROLE {ROLE} NOBYPASSRLS")
    assert "row-level security" in d.check_config(check=False).stderr


def test_nothing_hides_in_a_predicate(asking, pg):
    d = asking
    d.configure(model=ASKING_MODEL.replace(" -- all", "); DROP TABLE tool.closed; SELECT (true"))
    done = d.ctl("grants", ROLE, check=False)
    assert done.returncode == 1 and "cannot insert multiple commands" in done.stderr
    assert pg.value(d.db, "SELECT count(*) FROM tool.closed") == 1
    for name in ("", "a\nb"):
        assert d.ctl("grants", name, check=False).returncode == 2


HOSTILE = "x\nALTER ROLE {role} SUPERUSER;\r\\! touch {file}\n\x1b[2J\u009b"  # 63 bytes at most


def test_names_stay_names(make, pg, tmp_path):
    """A name of the catalog with lines, commands of psql and of terminals: of a table, schema, column, key, role."""
    file = pathlib.Path(f"/tmp/w{os.getpid()}")
    name = HOSTILE.format(role=ROLE, file=file)
    quoted = '"' + name + '"'
    d = make(SCHEMA + """;
        CREATE TABLE address (id int PRIMARY KEY, street text); ALTER TABLE contact ADD address_id int REFERENCES address;
        CREATE INDEX ON contact (address_id)""",
        model(contact={"keep": ["id", "name", "brand", "created", "address_id"]},
              request={"keep": ["id", "contact_id", "at", "status", "subject"]},
              address={"table": "address", "key": "id", "of": "contact", "by": "id", "from": "address_id",
                       "shared": True, "keep": ["id", "street"]}), limits={"vacuum": True})
    pg.psql(d.db, "-c", f"""CREATE ROLE {ROLE}; CREATE ROLE "owner{name[:40]}"; ALTER TABLE contact OWNER TO "owner{name[:40]}";
        CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} (id int PRIMARY KEY, {quoted} text,
            address_id int, CONSTRAINT {quoted} FOREIGN KEY (address_id) REFERENCES address);
        COMMENT ON TABLE {quoted}.{quoted} IS '{name}'; COMMENT ON COLUMN contact.name IS '{name}';
        ALTER TABLE contact ENABLE ROW LEVEL SECURITY""")
    try:
        sql = d.ctl("grants", ROLE).stdout
        assert [line for line in re.split("[\r\n]", sql) if "SUPERUSER" in line and line.startswith("--")]
        (tmp_path / "grants.sql").write_text(sql)
        pg.psql(d.db, "-f", str(tmp_path / "grants.sql"))
        assert not pg.value(d.db, f"SELECT rolsuper FROM pg_roles WHERE rolname = '{ROLE}'") and not file.exists()
        for args in (["model", "draft", "--contact", "contact", "--request", "request"], ["model", "check"],
                     ["model", "check", "--json"], ["residue", "--sample", "1", "--values", "/dev/null"],
                     ["residue", "--sample", "1"]):
            done = d.ctl(*args, check=False)
            printed = done.stdout + done.stderr
            assert not re.search("[\0-\t\v-\x1f\x7f-\x9f\u202a-\u202e]", printed), printed
            assert not re.search("^(ALTER ROLE|.! touch)", printed, re.M), printed
            assert "SUPERUSER" in printed or args[0] == "residue", printed
    finally:
        pg.psql(d.db, "-c", f'DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; REASSIGN OWNED BY "owner{name[:40]}" TO CURRENT_USER;'
                f' DROP ROLE "owner{name[:40]}"')


@pytest.mark.parametrize("option", [[], ["--auditor"], ["--operator"]])
def test_a_role_that_is_missing_is_one_error(make, option):
    """Nothing is printed that psql would refuse line by line.  Without a name there is an example's."""
    d = make(SCHEMA, model())
    done = d.ctl("grants", *option, "No One's", check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        'retentionctl: role "No One\'s" does not exist: make it first, as with CREATE ROLE "No One\'s" LOGIN']
    assert d.ctl("grants", *option).stdout


@pytest.mark.parametrize("name", ["x\ny", "x\ry", ""])
def test_a_role_is_one_line(make, name):
    d = make(SCHEMA, model())
    assert d.ctl("grants", name, check=False).returncode == 2


# --- Functions of triggers ------------------------------------------------------------------------

TRIGGERS = SCHEMA + """;
    CREATE SCHEMA aside; REVOKE ALL ON SCHEMA aside FROM PUBLIC;
    CREATE TABLE public.search (id serial, what text); CREATE TABLE aside."The Log" (n int); CREATE TABLE public.other (n int);
    CREATE TABLE public.unused (n int);
    INSERT INTO aside."The Log" VALUES (0);
    CREATE FUNCTION note_it(text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        UPDATE aside."The Log" SET n = n + 1;  -- DELETE FROM public.other
    END $$;
    CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO search (what) VALUES ('gone'); /* INSERT INTO public.other VALUES (1) */
        PERFORM note_it('x'), count(*) FROM pg_class, unnest(ARRAY[1]) AS other;
        RETURN OLD;
    END $$;
    CREATE FUNCTION off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.unused VALUES (1); RETURN NEW; END $$;
    CREATE TRIGGER gone BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION gone();
    CREATE TRIGGER born BEFORE INSERT ON contact FOR EACH ROW EXECUTE FUNCTION off();
    CREATE TRIGGER off BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION off(); ALTER TABLE contact DISABLE TRIGGER off;
    INSERT INTO contact (id) VALUES (1); INSERT INTO request (contact_id, at) VALUES (1, '2015-01-01')"""
NEEDED = {'GRANT INSERT ON public.search TO "granted";', 'GRANT USAGE ON SEQUENCE public.search_id_seq TO "granted";',
          'GRANT UPDATE ON aside."The Log" TO "granted";', 'GRANT SELECT ON aside."The Log" TO "granted";',
          'GRANT USAGE ON SCHEMA aside TO "granted";'}
RUNS = 'table "contact": trigger "gone" on public.contact runs public.gone with the rights of this role'


@pytest.fixture
def triggered(pg, daemon, empty_db):
    db = empty_db()
    pg.psql(db, "-c", TRIGGERS)
    pg.sql(db, f"""DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
        DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; END IF; CREATE ROLE {ROLE} LOGIN; END $$""")
    yield daemon(db, model=model(), limits={"max_replica_lag": "0s"}, policies=[
        {"name": "p", "action": "delete_contacts", "depth": "1 year", "schedule": "daily"}])
    pg.sql(db, f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def test_triggers_that_need_rights(triggered, pg):
    """What their functions name, and what those call, is printed, and refused by name before a row is touched."""
    d = triggered
    sql = d.ctl("grants", ROLE).stdout
    named = {line for line in sql.splitlines() if re.search(r"search|aside|other|unused", line) and line.startswith("GRANT")}
    assert named == NEEDED, sql
    assert "-- gone on public.contact: public.gone" in sql
    pg.psql(d.db, "-c", "\n".join(line for line in sql.splitlines() if line not in named))
    d.configure(user=ROLE)
    done = d.check_config()
    assert done.returncode == 1 and RUNS in done.stderr and "or make it SECURITY DEFINER" in done.stderr, done.stderr
    for line in named:
        assert line.rstrip(";") in done.stderr, line
    assert RUNS in d.once(check=False).stderr and d.jobs() == []
    pg.psql(d.db, "-c", "\n".join(NEEDED))
    assert d.check_config().returncode == 0
    d.once()
    assert pg.sql(d.db, "SELECT what, n FROM search, aside.\"The Log\"") == [("gone", 1)]


@pytest.mark.parametrize("mend", ["ALTER FUNCTION gone SECURITY DEFINER", "ALTER TABLE contact DISABLE TRIGGER gone",
                                  "ALTER TABLE contact ENABLE REPLICA TRIGGER gone", "DROP TRIGGER gone ON contact"])
def test_triggers_that_need_none(triggered, pg, mend):
    d = triggered
    pg.sql(d.db, mend)
    sql = d.ctl("grants", ROLE).stdout
    assert ("search" in sql) == ("REPLICA" in mend)  # which fires under integrity = "set"
    pg.psql(d.db, "-c", "\n".join(line for line in sql.splitlines() if "search" not in line and "aside" not in line))
    d.configure(user=ROLE)
    assert d.check_config().returncode == 0
    d.once()
    assert d.jobs()[-1]["status"] == "done"


def test_rights_that_only_the_first_row_shows(triggered, pg):
    """A statement that is put together: the refusal of the job says it, and so do STATUS and show --follow, which ends."""
    d = triggered
    pg.sql(d.db, """CREATE OR REPLACE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE 'INSERT INTO public.' || 'other VALUES (1)'; RETURN OLD; END $$""")
    pg.psql(d.db, "-c", d.ctl("grants", ROLE).stdout)
    d.configure(user=ROLE)
    assert d.check_config().returncode == 0
    said = d.once(check=False).stderr
    assert re.search(r"permission denied for table other \[PL/pgSQL function gone\(\) line 2.*\]; unless it is SECURITY "
                     "DEFINER, it runs with the rights of this role: GRANT what is missing", said), said
    shown = d.ctl("show", "1", "--follow", check=False, timeout=20)
    assert shown.returncode == 1 and re.search(r"^error +permission denied for table other", shown.stdout, re.M), shown.stdout
    since = d.log_position()
    d.start()
    d.wait_for_log(r"job 1 \(p\) is refused.*permission denied", since=since)
    since = d.log_position()
    d.signal(signal.SIGUSR1)
    d.wait_for_log(r"state: job 1 \(p\) is refused: permission denied for table other", since=since)
    pg.sql(d.db, f"GRANT INSERT ON public.other TO {ROLE}")
    follow = d.ctl("show", "1", "--follow", check=False, timeout=20)
    assert follow.returncode == 1
    d.reload()
    d.wait_for_job("status = 'done'")
    assert d.ctl("show", "1", "--follow").returncode == 0
    assert d.stop() == 0


# --- People who read ------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(daemon, pg):
    """reader("auditor"): a daemon's configuration as a role that has what grants --auditor prints, and no more."""
    made = []

    def make(who):
        d = daemon(contacts=40, policies=[{**p, "scope": "EXISTS (SELECT FROM crm.brand AS b WHERE b.name = contact.language)"}
                                          if p["name"] == "gone" else p for p in ACTIONS])
        pg.sql(d.db, f"""CREATE TABLE IF NOT EXISTS crm.brand (name text, owner text);
            DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN
            DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; END IF; CREATE ROLE {ROLE} LOGIN; END $$""")
        pg.sql(d.db, "SELECT retention.configure('UTC', false, 'bigint')")
        sql = d.ctl("grants", ROLE, f"--{who}").stdout
        pg.psql(d.db, "-c", sql)
        d.configure(user=ROLE)
        made.append(d)
        return d, sql

    yield make
    for d in made:
        pg.sql(d.db, f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


def reads(d, who):
    """All that this person reads works: the first refusal, or None."""
    calls = [("preview", p["name"]) for p in ACTIONS] + [("subject", "status", "1", "--json")]
    calls += [("subject", "export", "1")] if who == "operator" else []
    for call in calls:
        done = d.ctl(*call, check=False, log=os.devnull)
        if done.returncode or '"not checked: ' in done.stdout:
            return done.stdout + done.stderr
    return None


@pytest.mark.parametrize("who", ["auditor", "operator"])
def test_a_person_reads_and_no_more(reader, pg, who):
    d, sql = reader(who)
    assert reads(d, who) is None
    words = {word for line in re.findall(r"^GRANT (.*) (?:ON|TO) ", sql, re.M) for word in re.findall(r"\b[A-Z]{3,}\b", line)}
    assert words <= {"SELECT", "USAGE", "SCHEMA", "EXECUTE", "FUNCTION"}, words
    assert re.findall(r"^GRANT (\w+) TO", sql, re.M) == [f"retention_{who}"]
    assert "ALTER" not in sql and "pg_read_all_stats" not in sql
    rights = pg.sql(d.db, f"""SELECT c.oid::regclass::text, p FROM pg_class AS c,
        unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
        WHERE c.relnamespace IN ('crm'::regnamespace, 'public'::regnamespace) AND c.relkind IN ('r', 'p')
          AND (has_table_privilege('{ROLE}', c.oid, p) OR
               (p IN ('INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege('{ROLE}', c.oid, p)))""")
    assert rights == []
    # Of a table that only a predicate reads, the columns that it reads.
    assert pg.value(d.db, f"SELECT has_column_privilege('{ROLE}', 'crm.brand', 'name', 'SELECT')") is True
    assert pg.value(d.db, f"SELECT has_column_privilege('{ROLE}', 'crm.brand', 'owner', 'SELECT')") is False


@pytest.mark.parametrize("who", ["auditor", "operator"])
def test_a_person_needs_each_line(reader, pg, who):
    """And the message about a missing one names the option that prints it."""
    d, sql = reader(who)
    needless = []
    for line in re.findall(r"^GRANT .*;$", sql, re.M):
        pg.psql(d.db, "-c", re.sub(r" TO (\S+);$", r" FROM \1;", line.replace("GRANT", "REVOKE", 1)))
        said = reads(d, who)
        if said is None:
            needless.append(line)
        elif "GRANT SELECT" in line:
            assert "retentionctl grants --" in said, said
        pg.psql(d.db, "-c", line)
    assert needless == []


def test_not_both(daemon):
    done = daemon(contacts=20).ctl("grants", "--auditor", "--operator", check=False)
    assert done.returncode == 2 and "give --auditor or --operator, not both" in done.stderr
