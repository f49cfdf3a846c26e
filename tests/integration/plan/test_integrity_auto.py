"""limits.integrity = "auto", the default: which of the two an action uses, and where that is said."""

import json

import pytest

from support import harness
from support.small import MESSAGE, MESSAGES, SCHEMA, TWO, keys, model, policy

AUTO = {"workers": 1, "max_share": 1.0, "integrity": "auto"}
TRIGGER = """; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
    CREATE TRIGGER audit BEFORE DELETE ON message FOR EACH ROW EXECUTE FUNCTION nothing()"""
BY_TRIGGER = "triggers, because public.message has triggers on DELETE (audit), which it does not fire"


@pytest.fixture(autouse=True)
def auto(monkeypatch):
    """Also where the whole run asks for another."""
    monkeypatch.delitem(harness.LIMITS, "integrity", raising=False)


def said(d, integrity):
    """retentiond -t -v, the log, show and its --json all say so.  Returns what the log says."""
    checked = d.check_config("-v")
    assert f'policy "p": integrity: {integrity}\n' in checked.stderr, checked.stderr
    assert 'integrity = "auto"' in checked.stdout and "integrity: " not in d.check_config().stderr
    log = d.once().stderr
    assert f": integrity: {integrity}\n" in log, log
    job = d.jobs()[-1]
    assert (job["status"], job["counters"]["integrity"]) == ("done", integrity)
    shown = d.ctl("show", job["id"]).stdout.splitlines()
    assert [line.split(None, 1)[1] for line in shown if line.startswith("integrity")] == [integrity]
    assert json.loads(d.ctl("show", job["id"], "--json").stdout)["counters"]["integrity"] == integrity
    return log


def test_set(make):
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits=AUTO)
    said(d, "set")
    assert keys(d.pg, d.db) == {2} and d.ctl("verify").returncode == 0


def test_it_is_the_default(make):
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits=AUTO)
    text = d.path.read_text()
    d.path.write_text(text.replace('integrity = "auto";', ""))
    assert d.path.read_text() != text
    said(d, "set")


def test_a_trigger_on_one_table(make):
    d = make(SCHEMA + TWO + MESSAGE + TRIGGER, model(message=MESSAGES), policy(), limits=AUTO)
    said(d, BY_TRIGGER)
    assert keys(d.pg, d.db) == {2}


def test_an_action_that_deletes_nothing(make):
    d = make(SCHEMA + TWO, model({"set": {"name": "gone"}, "keep": ["id", "brand", "created"]},
                                 {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]}),
             policy("anonymize_contacts"), limits=AUTO)
    said(d, "triggers, because the action deletes no rows")


def test_demanded(make):
    """Whoever says "triggers" gets them, with the right and without an obstacle."""
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits={**AUTO, "integrity": "triggers"})
    d.once()
    assert d.jobs()[-1]["counters"]["integrity"] == "triggers, because limits.integrity asks for them"


def test_the_right_is_the_consent(make, pg):
    d = make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES), policy(), limits=AUTO)
    role = "auto_set"
    pg.psql("postgres", "-c", f"CREATE ROLE {role} LOGIN")
    try:
        sql = d.ctl("grants", role).stdout
        assert 'limits.integrity = "auto"' in sql
        pg.psql(d.db, "-c", sql)
        pg.psql(d.db, "-c", f"REVOKE SET ON PARAMETER session_replication_role FROM {role}")
        d.configure(user=role)
        said(d, f"triggers, because role {role} has no right to set session_replication_role (retentionctl grants "
                "prints it)")
        assert keys(d.pg, d.db) == {2}
        pg.psql(d.db, "-c", sql)
        assert 'policy "p": integrity: set\n' in d.check_config("-v").stderr
    finally:
        pg.psql(d.db, "-c", f"DROP OWNED BY {role}", "-c", f"DROP ROLE {role}")


@pytest.mark.parametrize("first, then", [(None, TRIGGER), (TRIGGER, "DROP TRIGGER audit ON message")], ids=["set", "triggers"])
def test_a_resumed_job_decides_anew(make, first, then):
    """Of what has changed between two attempts: each batch keeps the foreign keys by its own commit."""
    many = "; INSERT INTO contact SELECT g, 'n' FROM generate_series(10, 309) g; " \
        "INSERT INTO request (id, contact_id, at) SELECT 1000 + g, g, '2001-01-01' FROM generate_series(10, 309) g; " \
        "INSERT INTO message SELECT 10000 + id, id, 'm' FROM request WHERE contact_id >= 10"
    d = make(SCHEMA + TWO + MESSAGE + many + (first or ""), model(message=MESSAGES), policy(),
             limits={**AUTO, "batch_rows": 10})
    d.once(check=False, failpoint="batch-after-commit:2")
    begun = d.jobs()[-1]
    assert (begun["status"], begun["counters"]["integrity"]) == ("running", BY_TRIGGER if first else "set")
    left = len(keys(d.pg, d.db))
    assert 1 < left < 302
    d.pg.sql(d.db, then.lstrip("; "))
    d.once()
    job = d.jobs()[-1]
    assert (job["id"], job["status"]) == (begun["id"], "done")
    assert job["counters"]["integrity"] == ("set" if first else BY_TRIGGER)
    assert keys(d.pg, d.db) == {2} and keys(d.pg, d.db, "SELECT id FROM message") == {200}
    assert d.ctl("verify").returncode == 0
