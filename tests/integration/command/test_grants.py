"""The daemon's role, made from what `grants` prints, can do each action, and nothing else."""

import os
import pathlib
import re

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
    CREATE DOMAIN kinds.mark AS text; CREATE DOMAIN unused.mark AS text;
    CREATE TABLE "odd ""one"."con""tact" (id bigint PRIMARY KEY, "Name" kinds.mark, tag unused.mark, brand text);
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
    {"table": 'odd "one.con"tact', "set": {"Name": "L_{key}"}, "keep": ["id", "tag", "brand"]},
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


@pytest.mark.parametrize("name", ["x\ny", "x\ry", ""])
def test_a_role_is_one_line(make, name):
    d = make(SCHEMA, model())
    assert d.ctl("grants", name, check=False).returncode == 2
