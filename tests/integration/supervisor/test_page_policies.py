"""Policies that people make on the page: saved, counted, validated, run, retired; and what must not run."""

import json
import re

import psycopg2
import pytest

from support.backup import put_back
from support.harness import wait_until
from support.small import SCHEMA, contacts, keys, model

FILE = {"name": "of-the-file", "action": "delete_contacts", "depth": "90 years", "schedule": "monthly"}
BOUNDS = """policies_from = "file+page";
page_policies: { shortest = "6 months"; actions = [ "export", "delete_contacts" ]; archives = [ "listed", "full" ]; };"""
ALL = """policies_from = "file+page";
page_policies: { shortest = "1 year"; actions = [ "export", "delete_contacts", "anonymize_contacts", "anonymize_requests" ]; };"""
OPERATOR, APPROVER, BOTH = "page_operator", "page_approver", "page_both"
# Contacts 1 and 2 are due, contact 3 is not.
PEOPLE = SCHEMA + contacts(due=[1, 2], others=[3])
RULES = {"contact": {"set": {"name": "L_{key}"}, "keep": ["id", "brand", "created"]},
         "request": {"clear": ["subject"], "keep": ["id", "at", "status"]}}


@pytest.fixture
def page(make, pg):
    """page(extra=BOUNDS, …): a daemon that takes policies of the page, with three persons, started."""

    def start(extra=BOUNDS, policies=(FILE,), **kwargs):
        d = make(PEOPLE, model(**RULES), *policies, extra=extra, **kwargs)
        for role, groups in {OPERATOR: ["operator"], APPROVER: ["approver"], BOTH: ["operator", "approver"]}.items():
            pg.psql("postgres", "-c", f"""DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL;
                END $$""", *(w for g in groups for w in ("-c", f"GRANT retention_{g} TO {role}")))
        d.start()
        d.wait_for_log("ready: ")
        return d

    return start


def save(d, name="p", action="delete_contacts", depth="18 months", schedule="yearly", archive="listed", user=OPERATOR):
    return d.pg.value(d.db, "SELECT retention.save_policy(%s, %s, %s, %s, %s)", (name, action, depth, schedule, archive),
                      user=user)


def state(d, name="p", columns="version, status"):
    return d.pg.sql(d.db, f"SELECT {columns} FROM retention.page_policies WHERE name = %s ORDER BY version", (name,))


def counted(d, name="p"):
    """The count of the saved version, once the daemon has made it."""
    return wait_until(lambda: d.pg.sql(d.db, """SELECT version, counted FROM retention.page_policies
        WHERE name = %s AND status = 'saved' AND counted IS NOT NULL""", (name,)), what="a count")[0]


def validate(d, name="p", user=APPROVER):
    version, seen = counted(d, name)
    d.pg.sql(d.db, "SELECT retention.validate_policy(%s, %s, %s)", (name, version, seen), user=user)
    return version


def made(d, name="p", **kwargs):
    """A policy in force, which the daemon has taken."""
    since = d.log_position()
    save(d, name, **kwargs)
    version = validate(d, name)
    d.wait_for_log(f'policy "{name}", version {version}, which was made on the page, is in force', since=since)
    return version


def let_it_be_due(d, name="p"):
    """Puts the validation, and the last occurrence, two years back; a notification lets the daemon look."""
    d.pg.tamper(d.db, f"""UPDATE retention.page_policy SET validated_at = validated_at - interval '2 years'
        WHERE name = '{name}' AND validated_at IS NOT NULL AND retired_at IS NULL""",
                """UPDATE retention.setting SET value = (value::jsonb || '{"since": "2020-01-01"}')::text
        WHERE name = 'page_policies'""",
                f"""UPDATE retention.policy_state SET last_occurrence = now() - interval '2 years'
        WHERE policy = '{name}'""")


def refusal(d, sql, args=(), user=OPERATOR):
    with pytest.raises(psycopg2.Error) as refused:
        d.pg.sql(d.db, f"SELECT retention.{sql}", args, user=user)
    diag = refused.value.diag
    return diag.constraint_name, diag.column_name


def kinds(d):
    return [kind for (kind,) in d.pg.sql(d.db, "SELECT kind FROM retention.journal_event WHERE kind ~ 'policy' ORDER BY id")]


def test_from_saving_to_its_next_occurrence(page, pg):
    """Saved, counted, validated by somebody else, and run each minute from the next one on; then retired."""
    d = page()
    assert save(d, schedule="* * * * *") == 1
    assert counted(d) == (1, 2)
    assert state(d, columns="status, held, cutoff < now(), remark, refused") == [("saved", 0, True, None, None)]
    assert d.jobs() == [], "nothing runs that is not validated"
    assert validate(d) == 1
    at = pg.value(d.db, "SELECT validated_at FROM retention.page_policies WHERE name = 'p'")
    d.wait_for_log('policy "p", version 1, which was made on the page, is in force: delete_contacts, 18 months')
    job = d.wait_for_job(timeout=120)
    assert (job["policy"], job["policy_version"], job["archive"], job["validated_by"]) == ("p", 1, "listed", "policy p")
    assert job["occurrence"] > at, "no occurrence of before the validation"
    assert keys(pg, d.db) == {3}
    pg.sql(d.db, "SELECT retention.retire_policy('p')", user=APPROVER)
    assert state(d, columns="status, retired_by, retired_as") == [("retired", APPROVER, "retired")]
    wait_until(lambda: pg.sql(d.db, "SELECT name, source FROM retention.policies") == [("of-the-file", "file")])
    assert kinds(d) == ["policy_saved", "policy_validated", "policy_retired"]
    assert d.ctl("verify").returncode == 0
    assert d.stop() == 0
