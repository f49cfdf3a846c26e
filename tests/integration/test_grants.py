"""The daemon's role, made from what `grants` prints, can do each action, and nothing else."""

import re

import pytest

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
    # pg_monitor is for standbys, of which there is none here.
    lines = [line for line in re.findall(r"^GRANT .*;$", sql, re.M) if "pg_monitor" not in line]
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
    assert f'GRANT retention_daemon TO "{ROLE}";' in sql and f'GRANT pg_monitor TO "{ROLE}";' in sql
    assert re.search(r'GRANT SELECT, DELETE ON "crm"\."contact" TO', sql)
    contact = re.search(r'GRANT UPDATE \((.*)\) ON "crm"\."contact" TO', sql).group(1)
    assert '"email"' in contact and '"last_name"' in contact and '"id"' not in contact and '"created_at"' not in contact


def test_replica_lag_needs_pg_monitor(daemon):
    d = daemon(migrate=False, limits={"max_replica_lag": "10s"})
    assert 'GRANT pg_monitor TO "retentiond";' in d.ctl("grants").stdout
    d.configure(limits={"max_replica_lag": "0s"})
    assert "pg_monitor" not in d.ctl("grants").stdout
    done = d.ctl("grants", "a", "b", check=False)
    assert done.returncode == 2 and "one role at most" in done.stderr
