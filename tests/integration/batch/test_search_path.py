"""Whose operators and functions run: the statements' are PostgreSQL's, whatever stands in the CRM's search_path."""

import pytest

from support.small import archived, failures, keys, model, policy

# Operators and functions of schema public, as anybody can make them who may create something there.  Each says in the
# server's log that one of our programs has called it, and fails.
HIJACK = r"""
    CREATE FUNCTION public.hijack(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        IF pg_catalog.starts_with(pg_catalog.current_setting('application_name'), 'retention') THEN
            RAISE WARNING 'hijacked: %', what;
            RAISE EXCEPTION 'hijacked: %', what;
        END IF; END $$;
    DO $do$ DECLARE o record; n int := 0; BEGIN
        FOR o IN
            SELECT oprname, oprleft::regtype::text AS l, oprright::regtype::text AS r, oprresult::regtype::text AS result,
                   oprleft::regtype::text AS a, oprright::regtype::text AS b FROM pg_operator
             WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b' AND oprresult <> 0
               AND oprname IN ('=', '<>', '<', '<=', '>', '>=', '||', '~', '!~', '~*', '~~', '!~~', '+', '-', '->', '->>', '?|', '^',
                               '*', '/')
               AND oprleft::regtype::text IN ('text', 'bigint', 'integer', 'timestamp with time zone', 'jsonb', 'interval', 'oid',
                                              'boolean', 'date', '"char"', 'name', 'text[]', 'smallint', 'bytea', 'uuid')
            UNION
            -- A better match than PostgreSQL's, which has none for these types: it comes first, wherever its schema stands.
            SELECT x.op, t.l, t.r, 'boolean', t.a, t.b FROM (VALUES ('='), ('<>')) AS x(op),
                   (VALUES ('varchar', 'varchar', 'text', 'text'), ('varchar', 'text', 'text', 'text'),
                           ('text', 'varchar', 'text', 'text'), ('record', 'record', 'record', 'record')) AS t(l, r, a, b)
        LOOP
            n := n + 1;
            EXECUTE format('CREATE FUNCTION public.h_%s(l %s, r %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN
                PERFORM public.hijack(%L); RETURN l::%s OPERATOR(pg_catalog.%s) r::%s; END $f$',
                n, o.l, o.r, o.result, format('%s (%s, %s)', o.oprname, o.l, o.r), o.a, o.oprname, o.b);
            EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.h_%s)',
                o.oprname, o.l, o.r, n);
        END LOOP;
        FOR o IN SELECT p.proname AS name, p.prorettype::regtype AS result,
                        (SELECT string_agg(format('a%s %s', u.i, u.t::regtype), ', ' ORDER BY u.i)
                           FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, i)) AS args,
                        (SELECT string_agg(format('a%s', u.i), ', ' ORDER BY u.i)
                           FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, i)) AS given
                   FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
                    AND p.proname IN ('set_config', 'current_setting', 'nextval', 'length', 'lower', 'btrim', 'regexp_replace',
                                      'jsonb_typeof', 'now', 'sha256', 'convert_to', 'num_nulls', 'pg_column_size',
                                      'jsonb_build_object', 'array_to_string', 'starts_with')
                    AND p.provariadic = 0 AND '"any"'::regtype <> ALL (p.proargtypes)
        LOOP
            EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN
                PERFORM public.hijack(%L); RETURN pg_catalog.%I(%s); END $f$',
                o.name, o.args, o.result, o.name, o.name, o.given);
        END LOOP;
    END $do$;
    CREATE FUNCTION public.h_count(n bigint) RETURNS bigint LANGUAGE plpgsql AS $f$ BEGIN
        PERFORM public.hijack('count'); RETURN n OPERATOR(pg_catalog.+) 1; END $f$;
    CREATE AGGREGATE public.count(*) (SFUNC = public.h_count, STYPE = bigint, INITCOND = '0');
    CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.hijack('text') IS NOT NULL)"""

# The key is varchar, because PostgreSQL has no operator for varchar alone.
CRM = """
    CREATE TABLE contact (id varchar(20) PRIMARY KEY, name varchar, phone varchar, created timestamptz);
    CREATE TABLE request (id bigint PRIMARY KEY, contact_id varchar(20) REFERENCES contact, at timestamptz, status varchar,
        subject varchar); CREATE INDEX ON request (contact_id);
    CREATE TABLE note (id bigint PRIMARY KEY, request_id bigint REFERENCES request, body varchar); CREATE INDEX ON note (request_id);
    CREATE TABLE mlog (id bigint PRIMARY KEY, addr varchar); CREATE INDEX ON mlog (addr);
    CREATE TABLE kept (id bigint PRIMARY KEY, contact_id varchar(20) REFERENCES contact); CREATE INDEX ON kept (contact_id);
    CREATE TABLE audit (relation name, op text, moment text, level text);
    INSERT INTO contact SELECT 'c' || n, 'name-' || n, '+33 ' || n, '2010-01-01' FROM generate_series(1, 30) n;
    INSERT INTO request SELECT n, 'c' || n, CASE WHEN n <= 20 THEN '2015-01-01' ELSE now() END, 'closed', 'from name-' || n
        FROM generate_series(1, 30) n;
    INSERT INTO note SELECT n, n, 'n' || n FROM generate_series(1, 30) n;
    INSERT INTO mlog SELECT n, '+33 ' || n FROM generate_series(1, 30) n;
    INSERT INTO kept SELECT n, 'c' || n FROM generate_series(1, 30) n;
    CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO audit VALUES (TG_TABLE_NAME, TG_OP, TG_WHEN, TG_LEVEL);
        IF TG_OP OPERATOR(pg_catalog.=) 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"""
TRIGGERS = "".join(
    f"; CREATE TRIGGER {moment}_{level} {moment} INSERT OR UPDATE OR DELETE ON {table} FOR EACH {level} EXECUTE FUNCTION audited()"
    for table in ("contact", "request", "note", "kept") for moment in ("before", "after") for level in ("row", "statement")) + """;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT OR UPDATE OR DELETE ON request DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION audited()"""
MODEL = model(
    {"created": "created", "identity": ["name"], "set": {"name": "L_{key}"}, "clear": ["phone"], "keep": ["created"], "archive": True},
    {"due_when": "status = 'closed'", "where": "status <> 'spam'", "redact": ["subject"], "keep": ["status", "at"]},
    note={"table": "note", "key": "id", "of": "request", "by": "request_id", "where": "body <> 'x'", "set": {"body": "N_{number}"}},
    mlog={"table": "mlog", "key": "id", "of": "contact", "match": {"column": "addr", "of": "phone"}, "anonymize": "delete"},
    kept={"table": "kept", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach", "anonymize": "keep"})
LAST = 'ALTER DATABASE "{db}" SET search_path = public, pg_catalog'


@pytest.fixture
def crm(make):
    def made(path, *policies, triggers=True):
        d = make(CRM + (TRIGGERS if triggers else ""), MODEL, *policies)
        d.pg.sql(d.db, HIJACK)
        if path:
            d.pg.psql(d.db, "-c", path.format(db=d.db))
        d.since = d.pg.log_position()
        return d

    yield made


def is_not_hijacked(d):
    assert [line for line in d.pg.log_text(d.since).splitlines() if "hijacked" in line][:5] == []


def audit(d):
    return set(d.pg.sql(d.db, "SELECT * FROM public.audit"))


@pytest.mark.safety
@pytest.mark.rests_on_triggers
@pytest.mark.parametrize("path", [None, LAST], ids=["first", "last"])
@pytest.mark.parametrize("action, archive", [("delete_contacts", "full"), ("delete_contacts", "none"),
                                             ("anonymize_contacts", "none"), ("anonymize_requests", "none"), ("export", "full")])
def test_a_pass(crm, path, action, archive):
    d = crm(path, policy(action, archive=archive))
    d.once()
    assert failures(d) == []
    is_not_hijacked(d)
    if action != "delete_contacts":
        return
    assert keys(d.pg, d.db) == {f"c{n}" for n in range(21, 31)}
    assert d.pg.value(d.db, "SELECT pg_catalog.count(*) FROM note") == 10
    # The triggers of each kind have found their table.
    assert audit(d) == {(table, op, moment, level)
                        for table, op in (("contact", "DELETE"), ("request", "DELETE"), ("note", "DELETE"), ("kept", "UPDATE"))
                        for moment in ("BEFORE", "AFTER") for level in ("ROW", "STATEMENT")}
    if archive == "full":
        assert len(archived(d, "contact")) == 20


@pytest.mark.safety(integrity="set", workers=(2,))
@pytest.mark.parametrize("path", [None, LAST], ids=["first", "last"])
def test_a_pass_by_set(crm, path):
    d = crm(path, triggers=False)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db) == {f"c{n}" for n in range(21, 31)}
    is_not_hijacked(d)


@pytest.mark.parametrize("path", [None, LAST], ids=["first", "last"])
def test_a_subject_in_slices(crm, path):
    d = crm(path, policy(archive="full"), triggers=False)
    d.configure(limits={"batch_rows": 50})
    d.pg.sql(d.db, "INSERT INTO note SELECT n, 1, 'n' FROM pg_catalog.generate_series(100, 500) n")
    d.once()
    assert failures(d) == []
    assert "c1" not in keys(d.pg, d.db)
    is_not_hijacked(d)


@pytest.mark.parametrize("path", [None, LAST], ids=["first", "last"])
def test_a_restore(crm, path):
    d = crm(path, policy(archive="full"))
    d.once()
    d.pg.psql(d.db, "-c", "DELETE FROM audit")
    d.ctl("archive", "restore", str(d.jobs()[-1]["id"]))
    is_not_hijacked(d)
    assert len(keys(d.pg, d.db)) == 30
    assert d.pg.value(d.db, "SELECT pg_catalog.count(*) FROM kept WHERE contact_id IS NOT NULL") == 30
    assert {("contact", "INSERT", "BEFORE", "STATEMENT"), ("kept", "UPDATE", "BEFORE", "STATEMENT"),
            ("request", "INSERT", "AFTER", "ROW")} <= audit(d)


@pytest.mark.parametrize("path", [None, LAST], ids=["first", "last"])
def test_what_a_person_asks(crm, path):
    d = crm(path)
    d.ctl("preview", "p")
    d.ctl("subject", "export", "c25")
    d.ctl("residue", "c25", check=False)
    d.ctl("residue", "--sample", "5", "--action", "delete_contacts", check=False)
    d.ctl("model", "check", check=False)
    d.ctl("grants")
    d.check_config(check=True)
    is_not_hijacked(d)


def test_the_attack_works(crm):
    """Without which the tests above would prove nothing."""
    d = crm(None)
    with d.pg.connect(d.db, application_name="retention-job") as conn, conn.cursor() as cur:
        with pytest.raises(Exception, match="hijacked: = .varchar, varchar."):
            cur.execute("SELECT FROM contact AS c JOIN request AS r ON r.contact_id = c.id")


# --- What a trigger leaves set ----------------------------------------------------------------------------------------

LEAVES = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text, created timestamptz);
    CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, at timestamptz);
    CREATE INDEX ON request (contact_id);
    INSERT INTO contact SELECT i, 'n', '2014-02-03 04:05:06+00' FROM generate_series(1, 3) AS i;
    INSERT INTO request SELECT i, i, '2015-01-01' FROM generate_series(1, 3) AS i;
    CREATE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s; RETURN OLD; END $$;
    CREATE CONSTRAINT TRIGGER leaves AFTER DELETE ON contact %s FOR EACH ROW EXECUTE FUNCTION leaves()"""


@pytest.fixture
def leaves(make):
    return lambda body, when="": make(LEAVES % (body, when), model(), policy("delete_contacts", archive="full"),
                                      limits={"batch_rows": 2})


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"], ids=["at once", "deferred"])
@pytest.mark.parametrize("body, name", [("SET DateStyle = 'German'", "DateStyle"), ("SET LOCAL bytea_output = escape", "bytea_output"),
                                        ("SET client_encoding = 'LATIN1'", "client_encoding"), ("SET row_security = on", "row_security")])
def test_a_setting_that_would_change_the_archive(leaves, body, name, when):
    d = leaves(body, when)
    done = d.once(check=False)
    if when and "LOCAL" in body:  # gone with its transaction
        assert done.returncode == 0
    else:
        assert done.returncode == 1 and f"a trigger has set {name} to " in done.stderr, done.stderr
        assert "for the whole session, which must not be: let its function put it back" in done.stderr
    d.pg.sql(d.db, f"ALTER FUNCTION leaves() SET {name} FROM CURRENT;"
                   f"CREATE OR REPLACE FUNCTION leaves() RETURNS trigger LANGUAGE plpgsql SET {name} FROM CURRENT "
                   f"AS $$ BEGIN {body.replace('SET LOCAL', 'SET').replace('SET', 'SET LOCAL')}; RETURN OLD; END $$")
    d.once()
    assert keys(d.pg, d.db) == set() and {row[2] for row in archived(d, "contact")} == {"2014-02-03 04:05:06+00"}


@pytest.mark.parametrize("when", ["", "DEFERRABLE INITIALLY DEFERRED"], ids=["at once", "deferred"])
def test_a_time_zone_and_a_path_are_put_back(leaves, when):
    """A later batch of the session would count its days otherwise."""
    d = leaves("SET TimeZone = 'Pacific/Apia'; SET search_path = public", when)
    d.once()
    assert keys(d.pg, d.db) == set() and {row[2] for row in archived(d, "contact")} == {"2014-02-03 04:05:06+00"}
