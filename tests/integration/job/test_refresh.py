"""refresh = true: what materialized views keep of erased rows, who refreshes them, and what T0 says until then."""

import json
import re
import threading

import pytest

from support.ctl import horizon
from support.french import FRENCH
from support.harness import wait_until
from support.small import SCHEMA, contacts, model, policy

VIEWS = contacts([1, 2], [3]) + """;
    CREATE SCHEMA report;
    CREATE MATERIALIZED VIEW report.plain AS SELECT count(*) AS n, min(name) AS name FROM contact;
    CREATE VIEW named AS SELECT id, name FROM contact;
    CREATE MATERIALIZED VIEW report."By Name" AS SELECT id, name FROM named;
    CREATE UNIQUE INDEX ON report."By Name" (id);
    CREATE MATERIALIZED VIEW a_nested AS SELECT v.id, v.name, r.subject FROM report."By Name" v JOIN request r ON r.contact_id = v.id;
    CREATE MATERIALIZED VIEW empty AS SELECT name FROM contact WITH NO DATA;
    CREATE MATERIALIZED VIEW subjects AS SELECT subject FROM request;
    CREATE MATERIALIZED VIEW unrelated AS SELECT 1 AS one"""
NESTED, BY_NAME, PLAIN, SUBJECTS = "public.a_nested", 'report."By Name"', "report.plain", "public.subjects"
RULES = {"set": {"name": "L_{key}"}, "keep": ["id", "brand", "created"]}


@pytest.fixture
def views(daemon, server):
    made = []

    def make(contact=True, request=True, schema=VIEWS, **kwargs):
        db = server.create_database()
        made.append(db)
        server.sql(db, SCHEMA + schema)
        return daemon(db=db, server=server, policies=[policy()],
                      model=model({**RULES, **({"refresh": True} if contact else {})},
                                  {"clear": ["subject"], "keep": ["at", "status"], **({"refresh": True} if request else {})}),
                      **kwargs)

    yield make
    for db in made:
        server.sql(db, "DROP OWNED BY refreshes CASCADE") if server.value(
            "postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'refreshes'") else None
        server.drop_database(db)


def events(d, job=1):
    return [e for (e,) in d.pg.sql(
        d.db, "SELECT details FROM retention.journal_event WHERE kind = 'refreshed' AND job = %s ORDER BY id", (job,))]


def texts(d):
    """All that stands in the views."""
    return " ".join(str(r) for v in (NESTED, BY_NAME, PLAIN, SUBJECTS) for r in d.pg.sql(d.db, f"SELECT * FROM {v}"))


def test_refreshed_in_their_order(views):
    """Through views and one another, CONCURRENTLY where an index permits it; then all that follows T0 counts."""
    d = views(limits={"vacuum": True})
    assert d.check_config().stderr == ""
    d.once()
    assert events(d) == [{"views": {PLAIN: "whole", BY_NAME: "concurrently", NESTED: "whole", SUBJECTS: "whole"}}]
    assert re.findall(r"\b[ns][12]\b", texts(d)) == [] and "n3" in texts(d) and "s3" in texts(d)
    assert d.pg.value(d.db, "SELECT relispopulated FROM pg_class WHERE relname = 'empty'") is False
    found = wait_until(lambda: (h := horizon(d))["T1"]["state"] == "reached" and h)
    assert (found["T0"]["state"], found["T0"]["waits_for"]) == ("reached", None)
    assert d.pg.value(d.db, "SELECT finished_at = %s FROM retention.archive_journal", (found["T0"]["since"],))
    assert "By Name" in d.ctl("show", 1).stdout and d.ctl("verify").returncode == 0


def test_the_dead_rows_of_a_view(views):
    d = views()
    d.once()
    d.pg.psql(d.db, "-c", "VACUUM contact", "-c", "VACUUM request")
    found = horizon(d)
    assert found["T0"]["state"] == "reached" and found["T1"]["waits_for"] == f"VACUUM of {BY_NAME}"
    d.pg.psql(d.db, "-c", f"VACUUM {BY_NAME}")
    wait_until(lambda: horizon(d)["T1"]["state"] == "reached")


def test_nobody_refreshes(views):
    """-t and model check name each view with its tables; nothing behind T0 is reached."""
    d = views(contact=False, request=False, extra='backups: { keep = "1 days"; };')
    said = d.check_config()
    lines = said.stderr.splitlines()
    assert said.returncode == 0 and len(lines) == 5
    for view, tables in ((NESTED, '"contact", "request"'), (BY_NAME, '"contact"'), (SUBJECTS, '"request"'),
                         (PLAIN, '"contact"'), ("public.empty", '"contact"')):
        text = (f"materialized view {view} reads {tables} and keeps what is erased there until it is refreshed: say "
                "refresh = true for the table, or T0 of retentionctl show waits for it")
        assert text in lines and f"look at: {text}\n" in d.ctl("model", "check").stdout
        assert text in json.loads(d.ctl("model", "check", "--json").stdout)["hints"]
    french = d.ctl("model", "check", env=FRENCH).stdout
    assert f'la vue matérialisée {SUBJECTS} lit "request" et garde ce qui y est effacé' in french
    d.once()
    assert events(d) == [] and "n1" in texts(d)
    d.pg.psql(d.db, "-c", "VACUUM")
    found = horizon(d)
    pending = ", ".join(f"REFRESH of {v}" for v in (NESTED, SUBJECTS, BY_NAME, PLAIN))
    assert [(h["state"], h["waits_for"]) for h in found.values()] == [("pending", pending)] * 4
    # A view that is gone, or empty, holds nothing.
    d.pg.psql(d.db, "-c", f"DROP MATERIALIZED VIEW {NESTED}", "-c", f"REFRESH MATERIALIZED VIEW {SUBJECTS} WITH NO DATA")
    assert horizon(d)["T0"]["waits_for"] == f"REFRESH of {BY_NAME}, REFRESH of {PLAIN}"


def test_a_later_pass(views):
    """A table without refresh does not count; a pass that began later does, from its own moment on."""
    d = views(contact=False)
    assert [line.split()[2] for line in d.check_config().stderr.splitlines()] == [
        NESTED, "public.empty", 'report."By', PLAIN]
    d.once()
    assert events(d) == [{"views": {NESTED: "whole", SUBJECTS: "whole"}}]
    assert horizon(d)["T0"]["waits_for"] == f"REFRESH of {BY_NAME}, REFRESH of {PLAIN}"
    d.config["model"] = d.config["model"].replace('table = "contact";', 'table = "contact"; refresh = true;')
    d.configure(policies=[policy(name="later")])
    d.pg.sql(d.db, "UPDATE request SET at = '2015-01-01'")
    d.once()
    assert set(events(d, 2)[0]["views"]) == {PLAIN, BY_NAME, NESTED, SUBJECTS}
    found = horizon(d)
    assert found["T0"]["state"] == "reached"
    assert d.pg.value(d.db, "SELECT at = %s FROM retention.journal_event WHERE kind = 'refreshed' AND job = 2",
                      (found["T0"]["since"],))


def test_a_view_that_fails(views):
    """The job ends; the view, and one that reads it, are told with the reason, which quotes no value."""
    d = views(schema=VIEWS + """;
        CREATE MATERIALIZED VIEW zz AS SELECT CASE WHEN count(*) = 1 THEN (max(name) || 'x')::int END AS n FROM contact;
        CREATE MATERIALIZED VIEW zzz AS SELECT n FROM zz""")
    d.once()
    (event,) = events(d)
    assert set(event["views"]) == {PLAIN, BY_NAME, NESTED, SUBJECTS}
    assert event["skipped"].keys() == {"public.zz", "public.zzz"} and "n3" not in json.dumps(event)
    assert event["skipped"]["public.zzz"] == "a view that it reads was not refreshed"
    assert d.jobs()[0]["status"] == "done"
    assert horizon(d)["T0"]["waits_for"] == "REFRESH of public.zz, REFRESH of public.zzz"


def test_the_owner_s_right(views, server):
    d = views()
    role = server.plain_role(d.db, "refreshes")
    said = d.ctl("grants", role).stdout
    server.psql(d.db, "-c", said)
    assert "-- refresh = true: materialized views.\n" in said and re.search(rf'^GRANT USAGE ON SCHEMA report TO "?{role}"?;$', said, re.M)
    d.configure(user=role)
    version = server.value(d.db, "SELECT current_setting('server_version_num')::int")
    if version < 170000:
        assert re.search(rf'^-- GRANT \w+ TO "?{role}"?;$', said, re.M)
        lines = d.check_config().stderr.splitlines()
        assert f"materialized view {PLAIN} is to be refreshed (refresh = true), and only its owner {server.SUPERUSER} may: " \
               "retentionctl grants prints what the role needs" in lines
        server.sql(d.db, f"ALTER MATERIALIZED VIEW {PLAIN} OWNER TO {role}")
        d.once()
        (event,) = events(d)
        assert event["views"] == {PLAIN: "whole"}
        assert event["skipped"][BY_NAME] == 'this role may not: see "retentionctl grants" of refresh'
        assert d.jobs()[0]["status"] == "done"


@pytest.mark.parametrize("point", ["refresh-before-event:1", "finish-before-commit:1"])
def test_killed(views, point):
    """The next attempt refreshes again, and the action is done once."""
    d = views()
    d.once(failpoint=point, check=False)
    d.once(check=False)
    assert d.jobs()[0]["status"] == "done"
    assert len(events(d)) == 1 if point.startswith("refresh") else len(events(d)) > 1
    assert horizon(d)["T0"]["state"] == "reached" and "n1" not in texts(d)


def test_a_lock_that_passes(views):
    """A dump reads the view: the job says what it waits for, and refreshes it then."""
    d = views()
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(f"SELECT count(*) FROM {PLAIN}")
        run = threading.Thread(target=d.once)
        run.start()
        wait_until(lambda: d.pg.value(
            d.db, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'REFRESH%%' AND wait_event_type = 'Lock'"))
        assert d.jobs()[0]["status"] == "running"
        conn.rollback()
    run.join()
    assert d.jobs()[0]["status"] == "done" and set(events(d)[0]["views"]) == {PLAIN, BY_NAME, NESTED, SUBJECTS}


def test_partitions(views):
    """A view that reads one partition reads the table."""
    d = views(schema=contacts([1], [2]) + """;
        CREATE TABLE note (id bigint, contact_id bigint REFERENCES contact, body text) PARTITION BY LIST (id);
        CREATE TABLE note1 PARTITION OF note FOR VALUES IN (1); CREATE INDEX ON note (contact_id);
        INSERT INTO note VALUES (1, 1, 'secret');
        CREATE MATERIALIZED VIEW ofpart AS SELECT body FROM note1""")
    d.config["model"] = d.config["model"].replace("};\n", """};
        note: { table = "note"; of = "contact"; by = "contact_id"; refresh = true; anonymize = "delete"; };\n""", 1)
    d.configure()
    assert d.check_config().stderr == ""
    d.once()
    assert events(d) == [{"views": {"public.ofpart": "whole"}}]
    assert d.pg.sql(d.db, "SELECT * FROM ofpart") == []
