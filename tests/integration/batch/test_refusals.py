"""A server's messages in any language: no value of a row is kept of them, and none of their words decides."""

import glob
import os
import socket
import subprocess

import pytest

from support.small import SCHEMA, TWO, failures, model, policy

SECRET = "zoe.durand@ex.org"
# What a function of the CRM does on the DELETE of a contact with that name: each is that contact's failure.
FAILURES = [
    ("PERFORM OLD.name::int", "a value is not valid"),
    ("PERFORM OLD.name::date", "a value is not valid"),
    ("INSERT INTO short VALUES (OLD.name)", "a constraint refuses it"),
    ("INSERT INTO once VALUES (OLD.name), (OLD.name)", "a value that must be unique is there already"),
    ("RAISE 'not %', OLD.name", "a function refuses it"),
    ("RAISE 'not %', OLD.name USING ERRCODE = 'U1234', TABLE = OLD.name", "a function refuses it"),
    ("RAISE 'not %', OLD.name USING ERRCODE = '23514', CONSTRAINT = OLD.name", "a constraint refuses it"),
    (r"RAISE E'not\nPL/pgSQL function %', OLD.name", "a function refuses it"),
]
# These say that a statement or a right is wrong, so that the whole action is refused.
REFUSALS = ["RAISE 'not %', OLD.name USING ERRCODE = '42501'", "EXECUTE 'SELECT ' || OLD.name",
            "EXECUTE 'SELECT \"' || OLD.name || '\"'"]

pytestmark = pytest.mark.unsanitized("glibc never frees what it read of LOCPATH, which the sanitizer reports as a leak")


@pytest.fixture(scope="module")
def french(tmp_path_factory):
    """An environment in which a server can speak French."""
    if not os.path.exists("/usr/share/i18n/locales/fr_FR") or not glob.glob("/usr/share/locale/fr/LC_MESSAGES/postgres-*.mo"):
        pytest.skip("this machine has no locale fr_FR or no French catalogue of the server")
    folder = tmp_path_factory.mktemp("locales")
    for each in (folder, *folder.parents):
        if not os.access(each, os.W_OK) or "pytest" not in str(each):
            break  # the folders of others stay as they are
        each.chmod(0o755)
    subprocess.run(["localedef", "--no-hard-links", "-i", "fr_FR", "-f", "UTF-8", folder / "fr_FR.UTF-8"], check=True)
    return str(folder)


@pytest.fixture
def french_pg(french, own_pg, monkeypatch):
    monkeypatch.setenv("LOCPATH", french)
    server = own_pg(settings={"lc_messages": "fr_FR.UTF-8"})
    with pytest.raises(Exception, match="existe pas"):
        server.sql("postgres", "SELECT * FROM nothing")
    return server


def daemon_on(server, daemon, schema, *policies, user=None):
    db = server.create_database()
    server.psql(db, "-c", schema)
    d = daemon(db=db, server=server, model=model(), policies=list(policies))
    if user:
        d.configure(user=server.plain_role(db, grants="GRANT SELECT, UPDATE, DELETE ON contact, request TO retention_plain"))
    return d


@pytest.mark.parametrize("user", [None, "plain"], ids=["superuser", "role"])
def test_no_value_is_kept(french_pg, daemon, user):
    """The superuser's sessions speak English, so that the function is named; the other's French."""
    d = daemon_on(french_pg, daemon, SCHEMA + f""";
        INSERT INTO contact (id, name) SELECT n, '{SECRET}' FROM generate_series(1, {len(FAILURES)}) AS n;
        INSERT INTO request (contact_id, at) SELECT id, '2015-01-01' FROM contact;
        CREATE TABLE short (t text CHECK (length(t) < 3)); CREATE TABLE once (t text UNIQUE);
        GRANT INSERT ON short, once TO PUBLIC;
        CREATE FUNCTION mishap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
        CREATE TRIGGER mishap BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION mishap()""", user=user)

    def run(body, name):
        french_pg.sql(d.db, f"""CREATE OR REPLACE FUNCTION mishap() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {body} RETURN OLD; END $$""")
        d.configure(policies=[policy(name=name)])
        assert d.once(check=False).returncode == 1, body

    where = " [" if user else " [PL/pgSQL function mishap() line 1 at "
    run("".join(f"IF OLD.id = {n} THEN {body}; END IF; " for n, (body, _) in enumerate(FAILURES, 1)), "failures")
    told = [message for _, message in failures(d)]
    assert len(told) == len(FAILURES)
    assert all(words + " [" in t and (user or where in t or ", PL/pgSQL" in t) for t, (_, words) in zip(told, FAILURES)), told
    for i, body in enumerate(REFUSALS):
        run(body + ";", f"p{i}")
        assert "a statement of a function is refused" + where in d.jobs()[-1]["error"], body
    assert b"durand" not in french_pg.dump(d.db, "--data-only", "-n", "retention").lower()
    assert "durand" not in d.log_text().lower()


@pytest.mark.parametrize("constraint", ["other", "retention.like_ours"])
def test_a_message_of_megabytes(make, constraint):
    """Whatever a trigger says: a kilobyte of it is kept at most, and whole characters."""
    d = make(SCHEMA + TWO + f""";
        CREATE FUNCTION mishap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE '%', repeat('é', 3000000) USING ERRCODE = '23514', CONSTRAINT = '{constraint}'; END $$;
        CREATE TRIGGER mishap BEFORE DELETE ON contact FOR EACH ROW EXECUTE FUNCTION mishap()""", model(), policy())
    d.once(check=False)
    (_, message), = failures(d)
    assert len(message.encode()) < 1100 and message.startswith("é" * 500 if "retention" in constraint else "a constraint refuses")
    assert d.pg.value(d.db, "SELECT max(length(details::text)) FROM retention.journal_event") < 5000


@pytest.mark.parametrize("language", ["C", "fr_FR.UTF-8"])
def test_a_refused_connection(french_pg, daemon, language):
    """By its SQLSTATE: a role or a database that is not there is a mistake, too many connections are not."""
    d = daemon_on(french_pg, daemon, SCHEMA + TWO, policy())
    french_pg.sql(d.db, f"ALTER SYSTEM SET lc_messages = '{language}'")
    french_pg.sql(d.db, "SELECT pg_reload_conf()")
    for change in ({"user": "nobody_such"}, {"database": {"conninfo": french_pg.conninfo("nothing_such")}}):
        d.configure(**{"user": None, "database": None, **change})
        done = d.check_config(check=False)
        assert done.returncode == 1 and "cannot connect" in done.stderr, done.stderr
    d.configure(database=None, user=french_pg.plain_role(d.db, grants="GRANT SELECT, UPDATE, DELETE ON contact, request TO retention_plain"))
    french_pg.sql(d.db, "ALTER ROLE retention_plain CONNECTION LIMIT 0")
    assert "does not answer" in d.check_config(check=False).stderr
    d.start()
    d.wait_for_log("waiting for the database")
    french_pg.sql(d.db, "ALTER ROLE retention_plain CONNECTION LIMIT -1")
    d.wait_for_log("the database is back")
    assert d.check_config().returncode == 0


def test_a_connection_that_another_server_could_take(own_pg, daemon):
    """Over the network without sslmode=verify-full: -t and the daemon warn, and go on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = own_pg(settings={"listen_addresses": "127.0.0.1", "port": port})
    server.port = port
    d = daemon_on(server, daemon, SCHEMA + TWO, policy())
    warning = "conninfo reaches the server over the network with sslmode=prefer, so that another server could take its place"
    # 0.0.0.0 is this host, too, and does not look like it.
    for host, warned in ((None, False), ("127.0.0.1", False), ("0.0.0.0", True)):
        d.configure(host=host)
        done = d.check_config()
        assert done.returncode == 0 and (warning in done.stderr) == warned, (host, done.stderr)
    d.start()
    d.wait_for_log(warning)
    assert d.stop() == 0
    # One that takes the password and never answers as a database does.
    server.stop()
    for host, warned in (("127.0.0.1", False), ("0.0.0.0", True)):
        d.configure(host=host)
        done = d.check_config(check=False)
        assert done.returncode == 3 and (warning in done.stderr) == warned, (host, done.stderr)


def test_values_that_read_as_the_session_says(french_pg, daemon):
    """money and NULL in an array: archived under the settings of one database, and put back under those of another."""
    db = french_pg.create_database()
    french_pg.psql(db, "-c", SCHEMA + TWO + """;
        CREATE TABLE odd (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, m money, tags text[]); CREATE INDEX ON odd (contact_id);
        INSERT INTO odd VALUES (1, 1, 1234567.89, ARRAY['a', NULL, 'NULL']), (2, 1, -0.01, '{}')""")
    before = french_pg.sql(db, "SELECT id, m::numeric::text, tags FROM odd ORDER BY 1")
    d = daemon(db=db, server=french_pg, policies=[policy(archive="full")],
               model=model(odd={"table": "odd", "key": "id", "of": "contact", "by": "contact_id"}))
    for setting in ("lc_monetary = 'fr_FR.UTF-8'", "array_nulls = off", "transform_null_equals = on"):
        french_pg.sql(db, f'ALTER DATABASE "{db}" SET {setting}')
    d.once()
    assert french_pg.value(db, "SELECT count(*) FROM odd") == 0
    french_pg.sql(db, f'ALTER DATABASE "{db}" RESET lc_monetary')
    d.ctl("archive", "restore", d.jobs()[-1]["id"])
    assert french_pg.sql(db, "SELECT id, m::numeric::text, tags FROM odd ORDER BY 1") == before
