"""preview: it equals what a run then does, takes no lock that a writer would feel, and writes nothing."""

import json
import subprocess

import pytest

from support import small
from support.harness import wait_until
from support.oracles import table_digests

POLICIES = [
    {"name": "gone", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "full"},
    {"name": "quiet", "action": "anonymize_contacts", "depth": "18 months", "schedule": "monthly"},
    {"name": "requests", "action": "anonymize_requests", "depth": "18 months", "schedule": "monthly"},
    {"name": "copy", "action": "export", "depth": "6 months", "schedule": "monthly", "archive": "full"},
    {"name": "without", "action": "delete_contacts", "depth": "2 years", "schedule": "monthly",
     "without_requests": "created"},
]


def preview(d, *args):
    return json.loads(d.ctl("preview", *args, "--json").stdout)


def per_table(found):
    """{table: rows}, those of a table that has two steps together."""
    counts = {}
    for row in found["tables"]:
        counts[row["table"]] = counts.get(row["table"], 0) + row["rows"]
    return {table: n for table, n in counts.items() if n}


@pytest.mark.parametrize("policy", POLICIES, ids=lambda p: p["name"])
def test_it_equals_the_run(daemon, policy):
    d = daemon(policies=[policy])
    held = d.pg.value(d.db, "SELECT min(contact_id) FROM crm.request r WHERE NOT EXISTS (SELECT FROM crm.request o "
                            "WHERE o.contact_id = r.contact_id AND (o.created_at > now() - interval '3 years' "
                            "OR o.status <> 'closed'))")
    d.ctl("hold", "add", held, "--reason", "case 7")
    found = preview(d, policy["name"])
    assert found["policy"] == policy["name"] and found["action"] == policy["action"] and found["due"] > 0
    assert found["held"] >= 1
    assert policy["action"] == "anonymize_requests" or str(held) not in found["first_keys"]
    before = table_digests(d.pg, d.db)
    d.once()
    job, = d.jobs()
    assert job["candidates"] == found["due"] == job["counters"]["treated"]
    assert per_table(found) == {t.removesuffix(".detached"): n for t, n in job["counters"]["rows"].items() if n}
    assert policy["action"] == "export" or table_digests(d.pg, d.db) != before


@pytest.mark.parametrize("by_contact, by_request, detached", [("detach", "delete", 1), ("delete", "detach", 2)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_under_two_entries(make, by_contact, by_request, detached, turned):
    """Detached by one and deleted by the other: it counts for both where the pass does both, in this order."""
    names = {"mine": {"table": "note", "key": "id", "of": "contact", "by": "contact_id", "delete": by_contact},
             "other": {"table": "note", "key": "id", "of": "request", "by": "request_id", "delete": by_request}}
    d = make(small.SCHEMA + small.TWO + """;
        CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, request_id bigint REFERENCES request);
        CREATE INDEX ON note (contact_id); CREATE INDEX ON note (request_id);
        INSERT INTO note VALUES (1, 1, 10), (2, 1, 20), (3, 2, 10), (4, 2, 20)""",
             small.model(**dict(reversed(names.items()) if turned else names)), small.policy(archive="full"))
    found = {(t["table"] + (".detached" if t["what"] == "detached" else ""), t["rows"]) for t in preview(d, "p")["tables"]}
    d.once()
    job, = d.jobs()
    assert found == {(t, n) for t, n in job["counters"]["rows"].items() if n}
    assert [n for t, n in found if t.endswith(".detached")] == [detached]
    assert d.pg.value(d.db, "SELECT count(*) FROM note") == 2


def test_a_manual_action(daemon):
    d = daemon()
    found = preview(d, "anonymize_requests", "--from", "2024-01-10", "--to", "2024-02-09")
    said = d.ctl("preview", "anonymize_requests", "--from", "2024-01-10", "--to", "2024-02-09").stdout
    assert f"due         {found['due']}\n" in said and "first keys  " + " ".join(found["first_keys"]) in said
    assert "2024-01-10 00:00:00+00" in said and "2024-02-10 00:00:00+00" in said
    assert found["oldest"] >= "2024-01-10" and found["newest"] < "2024-02-10"
    job = d.pg.value(d.db, "SELECT retention.save_action('anonymize_requests', '2024-01-10', '2024-02-09')")
    d.once()
    assert d.jobs(f"id = {job}")[0]["candidates"] == found["due"]


def test_a_scope_that_leaves_its_brackets(daemon):
    """What -t refuses is not previewed: it would reach every row."""
    d = daemon(policies=[{**POLICIES[0], "scope": "true) OR (true"}])
    refused = d.check_config()
    assert refused.returncode == 1 and "scope: the server refuses it" in refused.stderr
    done = d.ctl("preview", "gone", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.split("retentionctl: ")[1].splitlines()[0] in refused.stderr


def test_as_of(daemon):
    d = daemon(policies=[{**POLICIES[1], "depth": "18 months"}])
    now, later = preview(d, "quiet"), preview(d, "quiet", "--as-of", "2027-06-01")
    assert later["due"] > now["due"] and later["cutoff"].startswith("2025-12-01T00:00:00")
    assert preview(d, "quiet", "--as-of", "1999-01-01")["due"] == 0


def test_a_row_that_two_links_reach(small_crm):
    """A message between two contacts that are both due: deleted once, counted once."""
    d = small_crm
    d.pg.sql(d.db, """CREATE TABLE letter (id bigint PRIMARY KEY, sender bigint REFERENCES contact,
            recipient bigint REFERENCES contact); CREATE INDEX ON letter (sender); CREATE INDEX ON letter (recipient);
        INSERT INTO contact SELECT n, 'x' FROM generate_series(1, 4) n;
        INSERT INTO request (contact_id, at) SELECT n, now() - interval '9 years' FROM generate_series(1, 3) n;
        INSERT INTO request (contact_id, at) VALUES (4, now());
        INSERT INTO letter VALUES (1, 1, 2), (2, 2, 1), (3, 1, 1), (4, 1, 4), (5, 4, 4), (6, 4, 3)""")
    found = preview(d, "old")
    assert per_table(found) == {"contact": 3, "request": 3, "sent": 4, "received": 1}
    d.once()
    assert d.jobs()[0]["counters"]["rows"] == {"contact": 3, "request": 3, "sent": 4, "received": 1}


@pytest.fixture
def small_crm(daemon, empty_db, pg):
    db = empty_db()
    pg.sql(db, small.SCHEMA)
    link = {"table": "letter", "key": "id", "of": "contact"}
    return daemon(db=db, model=small.model(sent={**link, "by": "sender"}, received={**link, "by": "recipient"}),
                  policies=[{"name": "old", "action": "delete_contacts", "depth": "1 year", "schedule": "daily"}])


def test_it_waits_for_nobody_and_nobody_for_it(daemon):
    """Beside a client that has locked rows, and whoever works on them meanwhile does not notice it."""
    d = daemon(policies=[POLICIES[0]])
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT id FROM crm.contact FOR UPDATE")
        assert preview(d, "gone")["due"] > 0
    # With the tables locked against all it is the preview that waits, holding nothing that others want.
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE crm.request IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(d._command("retentionctl", "preview", "gone", "--json"),
                                   stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        locks = wait_until(lambda: d.pg.sql(d.db, """
            SELECT DISTINCT mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
             WHERE application_name = 'retentionctl' AND locktype = 'relation'
               AND EXISTS (SELECT FROM pg_locks w WHERE w.pid = a.pid AND NOT w.granted)"""))
        assert locks == [("AccessShareLock",)]
        conn.rollback()
    assert json.loads(process.communicate(timeout=60)[0])["due"] > 0


def test_who_may_read_may_preview(daemon, pg):
    """SELECT on the tables, no more; what is missing is named."""
    d = daemon(policies=[POLICIES[0]])
    pg.psql(d.db, "-c", """DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN
        CREATE ROLE reader LOGIN; END IF; END $$""", "-c", "GRANT retention_auditor TO reader; GRANT USAGE ON SCHEMA crm TO reader; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA crm TO reader")
    d.configure(user="reader")
    assert preview(d, "gone")["due"] > 0
    pg.psql(d.db, "-c", "REVOKE SELECT ON crm.message FROM reader")
    done = d.ctl("preview", "gone", check=False)
    assert done.returncode == 1 and "permission denied for table message" in done.stderr


@pytest.mark.parametrize("args, message", [
    ([], "give one policy or one action"),
    (["gone", "--as-of", "2026-02-30"], "\"2026-02-30\" is not a date"),
    (["gone", "--from", "2026-01-01", "--to", "2026-01-02"], "\"gone\" is not an action"),
    (["export", "--from", "2026-01-01"], "an action needs --from and --to"),
    (["export", "--from", "2026-01-02", "--to", "2026-01-01"], "ends (2026-01-01) before it starts"),
    (["gone", "--archive", "full"], "a policy has its own"),
    (["export", "--from", "2026-01-01", "--to", "2026-01-02", "--archive", "all"], "is not an archive mode"),
])
def test_wrong_use(daemon, args, message):
    d = daemon(policies=[POLICIES[0]])
    done = d.ctl("preview", *args, check=False)
    assert done.returncode == 2 and message in done.stderr and done.stdout == ""


def test_no_such_policy(daemon):
    d = daemon(policies=[POLICIES[0]])
    done = d.ctl("preview", "gnoe", check=False)
    assert done.returncode == 1 and 'there is no policy "gnoe"' in done.stderr
