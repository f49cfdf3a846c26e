"""No function that an owner of types or tables has written runs with the rights of the person who reads them."""

import json
import os

import pytest

from support.small import SCHEMA, TWO, failures, model, policy

# "plug" may make types and tables in its own schema, "crmowner" owns the CRM's types.  A cast says in the server's log that
# it has run.
ROLES = """;
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cast_plug') THEN CREATE ROLE cast_plug; CREATE ROLE cast_owner; END IF;
    END $$;
    CREATE SCHEMA plug AUTHORIZATION cast_plug; CREATE SCHEMA crm AUTHORIZATION cast_owner; GRANT USAGE ON SCHEMA plug, crm TO PUBLIC;
    GRANT CREATE ON SCHEMA public TO cast_owner"""
# %(as)s: how the casts are used.
TYPES = """;
    SET ROLE cast_owner;
    CREATE TYPE crm.status AS ENUM ('open', 'closed', 'bob@ex.org');
    CREATE TYPE crm.address AS (street text, state crm.status);
    CREATE DOMAIN crm.state AS crm.status;
    CREATE FUNCTION crm.ran(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'a cast ran: %%', what; END $$;
    CREATE FUNCTION crm.j(s crm.status) RETURNS json LANGUAGE plpgsql AS $$ BEGIN
        PERFORM crm.ran('to json'); RETURN to_json(enum_out(s)::text); END $$;
    CREATE FUNCTION crm.t(s crm.status) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        PERFORM crm.ran('to text'); RETURN enum_out(s)::text; END $$;
    CREATE FUNCTION crm.a(a crm.address) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM crm.ran('address'); RETURN ''; END $$;
    CREATE FUNCTION crm.f(t text) RETURNS crm.status LANGUAGE plpgsql AS $$ BEGIN
        PERFORM crm.ran('from text'); RETURN enum_in(t::cstring, 'crm.status'::regtype); END $$;
    CREATE CAST (crm.status AS json) WITH FUNCTION crm.j(crm.status);
    CREATE CAST (crm.status AS text) WITH FUNCTION crm.t(crm.status) %(as)s;
    CREATE CAST (crm.address AS text) WITH FUNCTION crm.a(crm.address) %(as)s;
    CREATE CAST (text AS crm.status) WITH FUNCTION crm.f(text);
    RESET ROLE;
    ALTER TABLE contact ADD email text, ADD state crm.status, ADD states crm.status[], ADD own crm.state, ADD home crm.address;
    UPDATE contact SET email = 'bob@ex.org', state = 'open', states = '{open,closed}', own = 'closed', home = ('Elm St', 'open');
    ALTER TABLE contact OWNER TO cast_owner"""
PLUG = """;
    SET ROLE cast_plug;
    CREATE TYPE plug.hstore AS (a text);
    CREATE FUNCTION plug.txt(plug.hstore) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'a cast ran: plug'; RETURN 'x'; END $$;
    CREATE CAST (plug.hstore AS text) WITH FUNCTION plug.txt(plug.hstore);
    CREATE TABLE plug.t (c plug.hstore); INSERT INTO plug.t VALUES (row('to bob@ex.org'));
    RESET ROLE"""
RULES = {"identity": ["name", "email"], "set": {"name": "L_{key}", "state": "open"}, "clear": ["email", "states", "own", "home"],
         "keep": ["brand", "created"]}
REQUEST = {"redact": ["subject"], "keep": ["status", "at"]}


@pytest.fixture
def crm(make):
    def made(sql, contact=RULES, **kwargs):
        d = make(SCHEMA + TWO + ROLES + sql, model(contact, REQUEST), policy("anonymize_contacts"), **kwargs)
        d.since = d.pg.log_position()
        return d

    yield made


def ran(d):
    return [line for line in d.pg.log_text(d.since).splitlines() if "a cast ran" in line]


def test_residue(crm):
    """It searches such a value as the type itself writes it: in a table of anybody's, and in the model's."""
    d = crm(TYPES % {"as": ""} + PLUG)
    done = d.ctl("residue", "1", "--json", check=False)
    assert ran(d) == []
    found = {(r["table"], r["column"]) for r in json.loads(done.stdout) if r["exact"] + r["inside"]}
    assert ("plug.t", "c") in found


def test_subject_export(crm):
    d = crm(TYPES % {"as": ""})
    document = json.loads(d.ctl("subject", "export", "1", log=os.devnull).stdout)
    assert ran(d) == []
    contact, = document["contact"]
    assert (contact["state"], contact["states"], contact["own"], contact["home"], contact["brand"]) == (
        "open", "{open,closed}", "closed", '("Elm St",open)', None)


def test_a_pass_and_a_preview(crm):
    d = crm(TYPES % {"as": "AS ASSIGNMENT"})
    assert "anonymize" in d.ctl("preview", "p").stdout
    d.once()
    assert failures(d) == [] and ran(d) == []
    assert d.pg.sql(d.db, "SELECT state::text, states, own, home FROM contact WHERE id = 1") == [("open", None, None, None)]


def test_an_implicit_cast_is_refused(crm):
    d = crm(TYPES % {"as": "AS IMPLICIT"})
    words = ('table "contact": column "state" of public.contact is crm.status, and an implicit cast of that type runs function '
             "crm.")
    for done in (d.check_config(), d.ctl("model", "check", check=False), d.once(check=False),
                 d.ctl("subject", "export", "1", check=False), d.ctl("residue", "1", check=False)):
        said = done.stdout + done.stderr
        assert done.returncode == 1 and words in said and "make the cast AS ASSIGNMENT" in said, said
    for column in ("states", "own", "home"):
        assert f'column "{column}" of public.contact is' in d.check_config().stderr
    assert ran(d) == []


# What PostgreSQL's planner runs by itself: an IMMUTABLE function of a constant.
PLANNED = """;
    CREATE TABLE loot (who text); GRANT INSERT ON loot TO PUBLIC;
    SET ROLE cast_owner;
    CREATE FUNCTION crm.put() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.loot VALUES (current_user); END $$;
    CREATE FUNCTION crm.steal(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
        IF current_setting('application_name') LIKE 'retention%' THEN
            RAISE WARNING 'a cast ran: planned';
            PERFORM crm.put(); -- because a function that is IMMUTABLE may not write, but may call one that writes
        END IF;
        RETURN n;
    EXCEPTION WHEN OTHERS THEN RETURN n; END $$;
    RESET ROLE;
    CREATE INDEX ON request (id) WHERE crm.steal(1) = 1"""


CLEARED = {"identity": ["name"], "clear": ["name"], "keep": ["brand", "created"]}
READER = "cast_reader"


def as_reader(d, grants):
    """A role that is no superuser, with what grants prints."""
    d.pg.sql(d.db, f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{READER}') "
                   f"THEN CREATE ROLE {READER} LOGIN; END IF; END $$")
    d.pg.psql(d.db, "-c", d.ctl("grants", READER).stdout, "-c", grants)
    d.configure(user=READER)


def test_a_function_of_the_planner_writes_nothing(crm):
    """It runs, because PostgreSQL runs it for each query of the table: but without a right to write."""
    d = crm(PLANNED, contact=CLEARED)
    as_reader(d, f"GRANT retention_operator TO {READER}")
    d.check_config(check=True)
    d.ctl("model", "check", check=False)
    d.ctl("preview", "p")
    d.ctl("subject", "export", "1", log=os.devnull)
    assert ran(d) != []
    assert d.pg.sql(d.db, "SELECT * FROM loot") == []


def test_the_list_is_made_without_a_right_to_more(crm, pg):
    """A pass has to write down whom it has found: such a function acts as the daemon there, and can do nothing else."""
    d = crm(PLANNED + "; UPDATE contact SET name = 'a'", contact=CLEARED, extra="four_eyes = true;")
    as_reader(d, "SELECT 1")
    d.check_config(check=True)
    pg.sql(d.db, """CREATE OR REPLACE FUNCTION crm.put() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
            UPDATE retention.setting SET value = 'false' WHERE name = 'four_eyes';
            RAISE WARNING 'a cast ran: and it could'; END $$""")
    d.once()
    assert failures(d) == [] and d.jobs()[-1]["counters"]["treated"] == 1
    assert any("planned" in line for line in ran(d)) and not any("it could" in line for line in ran(d))
    assert pg.value(d.db, "SELECT value FROM retention.setting WHERE name = 'four_eyes'") == "true"
    pg.psql(d.db, "-c", f"DROP OWNED BY {READER}")


CHILD = PLANNED.replace("CREATE INDEX ON request", "CREATE TABLE plug.old () INHERITS (public.request); CREATE INDEX ON plug.old")


@pytest.mark.parametrize("sql, table", [(PLANNED, "public.request"), (CHILD, "public.request")], ids=["own", "inherits"])
def test_a_superuser_runs_nothing_of_anybody(crm, sql, table):
    """With a superuser's rights such a function would need no right to write: COPY TO PROGRAM is no write."""
    d = crm(sql, contact=CLEARED)
    words = (f"an index or a constraint of table {table} uses function crm.steal(integer) of role cast_owner, which would run "
             "with the rights of a superuser: connect as a role that is none")
    for done in (d.check_config(), d.once(check=False), *(d.ctl(*args, check=False) for args in (
            ("model", "check"), ("preview", "p"), ("subject", "export", "1"), ("residue", "1")))):
        assert done.returncode != 0 and (words in done.stdout + done.stderr or "other tables inherit" in done.stdout + done.stderr
                                         or "inherit" in done.stderr), done
    assert ran(d) == []


def test_a_superuser_does_not_search_such_a_table(crm):
    d = crm(PLANNED + "; CREATE TABLE plug.odd (t text); CREATE INDEX ON plug.odd (t) WHERE crm.steal(1) = 1;"
            "ALTER TABLE contact ADD email text; UPDATE contact SET email = 'bob@ex.org'; DROP INDEX request_id_idx",
            contact={"identity": ["name", "email"], "clear": ["email", "name"], "keep": ["brand", "created"]})
    done = d.ctl("residue", "1", check=False)
    assert ("not searched: plug.odd: an index or a constraint of it uses function crm.steal(integer) of role cast_owner, which "
            "would run with the rights of a superuser: ask as another role") in done.stderr
    assert done.returncode == 1 and ran(d) == []
    role = d.pg.plain_role(d.db, "cast_reader", "GRANT SELECT ON contact, request, plug.odd TO cast_reader")
    d.configure(user=role)
    assert "not searched: plug.odd" not in d.ctl("residue", "1", check=False).stderr
