"""A pass that an approver begins now, under the same brakes; and the end of one that cannot go on."""

import psycopg2
import pytest

from support.harness import wait_until
from support.small import SCHEMA, contacts, keys, model, policy

APPROVER, OTHER, OPERATOR = "run_approver", "run_other", "run_operator"
# Contacts 1 and 2 are due, contact 3 is not.
PEOPLE = SCHEMA + contacts(due=[1, 2], others=[3])


@pytest.fixture
def d(make, pg):
    """A daemon that has looked, and with which nothing is due by the schedule."""
    d = make(PEOPLE, model(), policy(schedule="yearly"))
    for role, group in {APPROVER: "approver", OTHER: "approver", OPERATOR: "operator"}.items():
        pg.psql("postgres", "-c", f"""DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;
            END $$""", "-c", f"GRANT retention_{group} TO {role}")
    d.start()
    d.wait_for_log("ready: ")
    wait_until(lambda: pg.sql(d.db, "SELECT name FROM retention.policies"), what="the policies in force")
    return d


def ctl(d, *args, user=APPROVER):
    return d.run("retentionctl", "-d", d.pg.conninfo(d.db, user), *args, check=False)


def refused(d, *args, **kwargs):
    done = ctl(d, *args, **kwargs)
    assert done.returncode == 1, done.stdout
    return done.stderr


def changed(d, *policies, **kwargs):
    """The file anew, and in force."""
    since = d.log_position()
    d.configure(policies=list(policies), **kwargs)
    d.reload()
    d.wait_for_log("reloaded ", since=since)
    wait_until(lambda: d.pg.sql(d.db, "SELECT name, approval, enabled FROM retention.policy ORDER BY place")
               == [(p["name"], p.get("approval", False), p.get("enabled", True)) for p in policies])


def test_now(d, pg):
    """An action of the policy, in the name of who began it; the schedule stays."""
    before = wait_until(lambda: pg.sql(d.db, "SELECT last_occurrence, next_occurrence FROM retention.policy_state"))
    said = ctl(d, "run", "p").stdout
    assert said.startswith("action 1: a pass of policy p begins\n2 due; retentionctl show 1 --follow\n"), said
    job = d.wait_for_job()
    assert (job["policy"], job["mode"], job["requested_by"], job["validated_by"]) == ("p", "automatic", APPROVER, "policy p")
    assert keys(pg, d.db) == {3}
    assert pg.sql(d.db, "SELECT last_occurrence, next_occurrence FROM retention.policy_state") == before
    assert d.ctl("verify").returncode == 0
    assert ctl(d, "run", "p").stdout.startswith("action 2: a pass of policy p begins\n0 due;")


def test_who_may(d):
    assert "permission denied for function run_policy" in refused(d, "run", "p", user=OPERATOR)
    assert d.jobs() == []


def test_it_waits_for_a_person(d):
    """As the policy asks, or max_share; with four eyes for another person than the one who began it."""
    changed(d, policy(schedule="yearly", approval=True), extra="four_eyes = true;")
    said = ctl(d, "run", "p").stdout
    assert "2 due; it waits for a person's validation, as the policy asks (2 due); retentionctl validate 1 runs it\n" in said
    assert "action 1 was saved by you: somebody else has to validate it" in refused(d, "validate", "1")
    assert "action 1 of policy \"p\" has not ended\nhint: Wait until it has ended" in refused(d, "run", "p")
    assert ctl(d, "validate", "1", user=OTHER).returncode == 0
    d.wait_for_job()
    changed(d, policy(name="share", schedule="yearly"), extra="four_eyes = true;", limits={"max_share": 0.1})
    d.pg.sql(d.db, "INSERT INTO contact (id) VALUES (4); INSERT INTO request (contact_id, at) VALUES (4, '2015-01-01')")
    assert "1 due; it waits for a person's validation: 1 of 2 are due, more than max_share" in ctl(d, "run", "share").stdout
    assert keys(d.pg, d.db) == {3, 4}


def test_what_is_refused(d, pg):
    assert 'no policy "q" is in force\nhint: See retention.policies.' in refused(d, "run", "q")
    pg.sql(d.db, "INSERT INTO retention.replay VALUES (9, 'delete_contacts', 'none', now(), '1')")
    assert "the database was restored from a backup: a replay comes first" in refused(d, "run", "p")
    pg.sql(d.db, "DELETE FROM retention.replay")
    changed(d, policy(schedule="yearly", enabled=False))
    assert 'policy "p" is disabled\nhint: The configuration says enabled = false.' in refused(d, "run", "p")
    with pytest.raises(psycopg2.Error) as error:
        pg.sql(d.db, "SELECT retention.run_policy('p')", user=APPROVER)
    assert (error.value.diag.constraint_name, error.value.diag.column_name) == ("retention.run_disabled", "name")
    assert d.jobs() == []


def test_while_everything_is_paused(d, pg):
    d.ctl("pause")
    assert "it is paused by retention_test: it goes on after retentionctl resume" in ctl(d, "run", "p").stdout
    assert d.jobs()[0]["status"] == "saved" and keys(pg, d.db) == {1, 2, 3}
    d.ctl("resume")
    d.wait_for_job()
    assert keys(pg, d.db) == {3}


@pytest.mark.parametrize("how", ["refused when it is listed", "waits for a person", "validated, and refused", "validated, and paused"])
def test_it_is_cancelled(d, pg, how):
    """One that is refused, or that waits, is no obstacle to the next pass, though the daemon goes on."""
    if how == "refused when it is listed":
        pg.sql(d.db, "ALTER TABLE request RENAME COLUMN at TO moment")
        assert "action 1 is saved, but its list failed: " in refused(d, "run", "p")
    else:
        changed(d, policy(schedule="yearly", approval=True))
        assert "it waits for a person's validation" in ctl(d, "run", "p").stdout
    if how == "validated, and refused":
        d.ctl("pause")
        ctl(d, "validate", "1")
        pg.sql(d.db, "ALTER TABLE request RENAME COLUMN at TO moment")
        d.ctl("resume")
        wait_until(lambda: d.jobs()[0]["error"])
    elif how == "validated, and paused":
        d.ctl("pause", "1")
        ctl(d, "validate", "1")
    assert d.jobs()[0]["status"] == ("validated" if how.startswith("validated") else "saved")
    wait_until(lambda: ctl(d, "cancel", "1").returncode == 0, what="no job works on it")
    if "refused" in how:
        pg.sql(d.db, "ALTER TABLE request RENAME COLUMN moment TO at")
    assert [(j["status"], j["candidates"] or 0) for j in d.jobs()] == [("cancelled", 0 if how == "refused when it is listed" else 2)]
    said = ctl(d, "run", "p").stdout
    if "approval" in str(d.config["policies"]):
        assert "it waits for a person's validation" in said
        ctl(d, "validate", "2")
    assert d.wait_for_job()["id"] == 2 and keys(pg, d.db) == {3}
