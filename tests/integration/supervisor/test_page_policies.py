"""Policies that people make on the page: saved, counted, validated, run, retired; and what must not run."""

import json
import threading

import psycopg2
import pytest

from support.backup import put_back
from support.french import FRENCH
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
    """Puts the validation, and the last occurrence, two years back; a reload lets the daemon look."""
    (d.archives / "policies").unlink()  # else it would find a restored backup
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


def test_run_now(page, pg):
    """A policy of the page, by the version in force; one that is only saved is none."""
    d = page()
    save(d, "other")
    made(d)
    wait_until(lambda: pg.sql(d.db, "SELECT FROM retention.policies WHERE name = 'p'"))
    assert refusal(d, "run_policy('other')", user=APPROVER) == ("retention.run_unknown", "name")
    assert pg.value(d.db, "SELECT retention.run_policy('p')", user=APPROVER) == 1
    job = d.wait_for_job()
    assert (job["policy_version"], job["archive"], job["requested_by"], job["validated_by"]) == (1, "listed", APPROVER, "policy p")
    assert keys(pg, d.db) == {3} and d.ctl("verify").returncode == 0


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


def test_beside_the_file_and_a_new_version(page, pg):
    """File and page side by side; a new version takes the place of the old one when it is validated, not before."""
    d = page(policies=[{**FILE, "schedule": "yearly"}])
    made(d)
    let_it_be_due(d)
    d.reload()
    job = d.wait_for_job("policy = 'p' AND status = 'done'")
    assert (job["policy_version"], keys(pg, d.db)) == (1, {3})
    assert pg.sql(d.db, "SELECT name, source FROM retention.policies ORDER BY place") == [("of-the-file", "file"), ("p", "page")]
    assert save(d, depth="24 months", action="export") == 2
    assert state(d) == [(1, "in force"), (2, "saved")]
    assert save(d, depth="36 months") == 3
    assert state(d, columns="version, status, retired_as") == [(1, "in force", None), (2, "retired", "replaced"), (3, "saved", None)]
    validate(d)
    assert state(d) == [(1, "retired"), (2, "retired"), (3, "in force")]
    d.wait_for_log('policy "p", version 3, which was made on the page, is in force: delete_contacts, 36 months')
    wait_until(lambda: pg.sql(d.db, "SELECT depth::text FROM retention.policies WHERE name = 'p'") == [("3 years",)])
    wait_until(lambda: pg.sql(d.db, "SELECT due_next FROM retention.policies WHERE name = 'p'") == [(0,)])


def test_what_may_be_saved(page):
    """The bounds, the names, the schedule: each refusal with its id and the argument at fault; nothing is kept of it."""
    d = page()
    for (name, action, depth, schedule, archive), wanted in {
        ("p", "delete", "1 year", "daily", "full"): ("action_unknown", "action"),
        ("p", "anonymize_contacts", "1 year", "daily", "none"): ("policy_action_forbidden", "action"),
        ("p", "delete_contacts", "1 year", "daily", None): ("policy_archive_forbidden", "archive"),
        ("p", "export", "1 year", "daily", "none"): ("export_archive", "archive"),
        ("p", "export", "5 months", "daily", None): ("policy_depth_short", "depth"),
        ("p", "export", "-1 year", "daily", None): ("policy_depth_invalid", "depth"),
        ("p", "export", "400 days", "daily", None): ("policy_depth_invalid", "depth"),
        ("p", "export", "6 months 1 second", "daily", None): ("policy_depth_invalid", "depth"),
        ("p", "export", "101 years", "daily", None): ("policy_depth_invalid", "depth"),
        ("p", "export", None, "daily", None): ("policy_depth_invalid", "depth"),
        ("p", "export", "1 year", "often", None): ("policy_schedule_invalid", "schedule"),
        ("p", "export", "1 year", "* * * *", None): ("policy_schedule_invalid", "schedule"),
        ("p", "export", "1 year", None, None): ("policy_schedule_invalid", "schedule"),
        ("of-the-file", "export", "1 year", "daily", None): ("policy_name_of_file", "name"),
        ("OF-THE-FILE", "export", "1 year", "daily", None): ("policy_name_of_file", "name"),
        ("manual", "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
        (".p", "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
        ("p\n", "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
        ("../p", "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
        ("p" * 64, "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
        (None, "export", "1 year", "daily", None): ("policy_name_invalid", "name"),
    }.items():
        got = refusal(d, "save_policy(%s, %s, %s::interval, %s, %s)", (name, action, depth, schedule, archive))
        assert got == ("retention." + wanted[0], wanted[1]), (name, action, depth, schedule, archive)
    assert save(d, action="export", depth="6 months") == 1
    assert refusal(d, "save_policy('P', 'export', '1 year')") == ("retention.policy_name_alike", "name")
    assert kinds(d) == ["policy_saved"]


def test_how_many_there_may_be(page):
    d = page(extra=BOUNDS.replace(" };", " most = 2; };"))
    save(d, "a"), save(d, "b"), save(d, "a")
    assert refusal(d, "save_policy('c', 'export', '1 year')") == ("retention.policies_too_many", None)
    d.pg.sql(d.db, "SELECT retention.retire_policy('b')", user=OPERATOR)
    save(d, "c")
    # Fewer since: what was saved before does not come into force beyond that.
    validate(d, "a")
    since = d.log_position()
    d.configure(extra=BOUNDS.replace(" };", " most = 1; };"))
    d.reload()
    d.wait_for_log("reloaded ", since=since)
    version, seen = counted(d, "c")
    assert refusal(d, "validate_policy('c', %s, %s)", (version, seen), APPROVER) == ("retention.policies_too_many", None)
    d.pg.sql(d.db, "SELECT retention.retire_policy('a')", user=APPROVER)
    validate(d, "c")


def test_a_schedule_that_the_daemon_does_not_know_is_not_counted(page):
    """SQL knows the form of a schedule, and the daemon its meaning: without its count nobody can validate."""
    d = page()
    save(d, schedule="99 99 * * *")
    save(d, "q")
    counted(d, "q")
    assert state(d, columns="counted") == [(None,)]
    assert refusal(d, "validate_policy('p', 1, 0)", user=APPROVER)[0] == "retention.policy_not_counted"


def test_validated_twice_at_once(page, pg):
    """Two approvers, and one that withdraws meanwhile: the second one waits for the first, and is then refused."""
    d = page()
    for name in ("p", "p", "q"):
        save(d, name)
        version, seen = counted(d, name)
        first = "retire_policy(%s, %s)" if name == "q" else f"validate_policy(%s, %s, {seen})"
        refused = []

        def validate_too(args):
            refused.append(refusal(d, "validate_policy(%s, %s, %s)", args, BOTH)[0])

        with pg.connect(d.db, user=APPROVER, autocommit=False) as conn, conn.cursor() as cur:
            cur.execute(f"SELECT retention.{first}", (name, version))
            thread = threading.Thread(target=validate_too, args=((name, version, seen),))
            thread.start()
            wait_until(lambda: pg.value(d.db, """SELECT count(*) FROM pg_stat_activity
                WHERE usename = %s AND wait_event_type = 'Lock'""", (BOTH,)) == 1, what="the second one waits")
            assert refused == []
            conn.commit()
            thread.join()
        assert refused == ["retention.policy_not_saved"]
    assert [s for _, s in state(d)] == ["retired", "in force"] and [s for _, s in state(d, "q")] == ["retired"]
    assert kinds(d).count("policy_validated") == 2


@pytest.mark.parametrize("meanwhile", ["another version", "other bounds"])
def test_what_a_snapshot_of_before_does_not_know(page, pg, meanwhile):
    """A transaction that began before another version was saved, or before the bounds changed, validates nothing."""
    d = page()
    save(d)
    version, seen = counted(d)
    with pg.connect(d.db, user=APPROVER, autocommit=False) as conn, conn.cursor() as cur:
        conn.set_session(isolation_level="REPEATABLE READ")
        cur.execute("SELECT count(*) FROM retention.page_policies")
        if meanwhile == "another version":
            save(d, depth="36 months")
        else:
            since = d.log_position()
            d.configure(extra=BOUNDS.replace("6 months", "4 years"))
            d.reload()
            d.wait_for_log("reloaded ", since=since)
        # The row was changed, or the journal has an event that this snapshot does not see.
        with pytest.raises((psycopg2.errors.SerializationFailure, psycopg2.errors.UniqueViolation)):
            cur.execute("SELECT retention.validate_policy('p', %s, %s)", (version, seen))
    assert "in force" not in [s for _, s in state(d)]


@pytest.mark.parametrize("change, why", [
    ({"extra": BOUNDS.replace("6 months", "2 years")}, "retention.policy_depth_short"),
    ({"extra": BOUNDS.replace(', "delete_contacts"', "")}, "retention.policy_action_forbidden"),
    ({"extra": BOUNDS.replace('"listed", ', "")}, "retention.policy_archive_forbidden"),
    ({"extra": ""}, "retention.policies_of_file"),
    ({"policies": [{**FILE, "name": "P"}]}, "retention.policy_name_of_file"),
], ids=["depth", "action", "archive", "page", "name"])
def test_a_reload_while_a_policy_waits(page, change, why):
    """What was saved within other bounds than those of now is not validated."""
    d = page()
    save(d)
    version, seen = counted(d)
    since = d.log_position()
    d.configure(**change)
    d.reload()
    d.wait_for_log("reloaded ", since=since)
    assert refusal(d, "validate_policy('p', %s, %s)", (version, seen), APPROVER)[0] == why
    assert state(d, columns="status, refused_message") == [("saved", why)]


def test_who_has_too_few_rights(page, pg):
    """By the functions and past them: each role does its own part, and nobody writes the table."""
    d = page()
    save(d)
    version, seen = counted(d)
    pg.psql("postgres", "-c", """DO $$ BEGIN CREATE ROLE page_auditor LOGIN IN ROLE retention_auditor;
        EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
    saves, validates, retires = "save_policy('x', 'export', '1 year')", f"validate_policy('p', {version}, {seen})", "retire_policy('p')"
    inner = ["lock_policy('p', 1)", "cancel_policy_actions('p')", "configure_page(NULL)", "page_policies_known('{}')",
             "check_policy_number('p', true)", "watch_page_policy('p', 1, 'daily', now())"]
    for role, calls in {OPERATOR: [validates, *inner], APPROVER: [saves, *inner], BOTH: inner,
                        "page_auditor": [saves, validates, retires, *inner]}.items():
        for call in calls:
            assert refusal(d, call, (), role) == (None, None), f"{role} may call {call}"
        for sql in ["UPDATE retention.page_policy SET counted = 0", "DELETE FROM retention.page_policy",
                    "UPDATE retention.page_policy SET validated_by = 'x', validated_at = now()", "TRUNCATE retention.page_policy",
                    "INSERT INTO retention.page_policy (name, version, action, depth, schedule, archive) "
                    "VALUES ('x', 1, 'export', '1 year', 'daily', 'full')",
                    "UPDATE retention.setting SET value = '' WHERE name = 'page_policies'"]:
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                pg.sql(d.db, sql, user=role)
    # Another role's rights by SET ROLE are not a person's.
    with pg.connect(d.db, user=BOTH) as conn, conn.cursor() as cur:
        cur.execute("SET ROLE retention_approver")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="has logged in, which has other rights"):
            cur.execute(f"SELECT retention.{validates}")
    assert state(d) == [(version, "saved")]


def test_entries_without_measure(page):
    """Huge numbers, and nothing at all: refused with an id, and nothing is kept of it."""
    d = page()
    save(d)
    counted(d)
    for call, wanted in {
        "save_policy('x', NULL, '1 year')": "action_unknown",
        "save_policy('x', 'export', '178000000 years')": "policy_depth_invalid",
        "save_policy('x', 'export', '2147483647 months')": "policy_depth_invalid",
        "save_policy('x', 'export', '-178000000 years')": "policy_depth_invalid",
        "save_policy('<b>x</b>', 'export', '1 year')": "policy_name_invalid",
        "save_policy('x;--', 'export', '1 year')": "policy_name_invalid",
        "save_policy('é', 'export', '1 year')": "policy_name_invalid",
        "save_policy('x', 'export', '1 year', repeat('* ', 200))": "policy_schedule_invalid",
        "save_policy('x', 'export', '1 year', E'daily\n')": "policy_schedule_invalid",
        "save_policy('x', 'export', '1 year', 'daily', 'full', repeat('x', 1000000))": "note_too_long",
        "save_policy('x', 'export', '1 year', 'daily', '<full>')": "archive_mode_unknown",
    }.items():
        assert refusal(d, call)[0] == f"retention.{wanted}", call
    for call, wanted in {
        "validate_policy('p', 1, 9223372036854775807)": "policy_count_differs",
        "validate_policy('p', 1, -1)": "policy_count_differs",
        "validate_policy('p', 1, NULL)": "policy_count_differs",
        "validate_policy('p', 2147483647, 2)": "policy_unknown",
        "validate_policy('p', NULL, 2)": "policy_unknown",
        "validate_policy(NULL, 1, 2)": "policy_unknown",
        "validate_policy(repeat('p', 1000000), 1, 2)": "policy_unknown",
        "retire_policy(NULL)": "policy_unknown",
        "retire_policy('p', -1)": "policy_unknown",
    }.items():
        assert refusal(d, call, (), APPROVER)[0] == f"retention.{wanted}", call
    assert state(d) == [(1, "saved")] and kinds(d) == ["policy_saved"]


@pytest.mark.parametrize("four_eyes", [True, False])
def test_who_validates(page, four_eyes):
    """Under four eyes not the one who saved; bound to the version and the count that were seen."""
    d = page(extra=BOUNDS + f"\nfour_eyes = {str(four_eyes).lower()};")
    save(d, user=BOTH)
    version, seen = counted(d)
    assert refusal(d, "validate_policy('p', 1, %s)", (seen + 1,), APPROVER) == ("retention.policy_count_differs", "seen")
    assert refusal(d, "validate_policy('p', 2, %s)", (seen,), APPROVER) == ("retention.policy_unknown", "name")
    assert refusal(d, "validate_policy('of-the-file', 1, 0)", (), APPROVER)[0] == "retention.policy_unknown"
    if four_eyes:
        assert refusal(d, "validate_policy('p', 1, %s)", (seen,), BOTH)[0] == "retention.policy_four_eyes"
        validate(d, user=APPROVER)
    else:
        validate(d, user=BOTH)
    assert refusal(d, "validate_policy('p', 1, %s)", (seen,), APPROVER)[0] == "retention.policy_not_saved"
    assert refusal(d, "retire_policy('p')")[0] == "retention.policy_in_force"
    d.pg.sql(d.db, "SELECT retention.retire_policy('p')", user=APPROVER)
    assert refusal(d, "retire_policy('p')", (), APPROVER)[0] == "retention.policy_retired"
    d.pg.sql(d.db, "UPDATE retention.page_policy SET counted_at = now() WHERE false")
    assert d.ctl("verify").returncode == 0


def test_a_count_of_long_ago_is_none(page):
    d = page()
    save(d)
    _, seen = counted(d)
    d.stop()
    d.pg.tamper(d.db, "UPDATE retention.page_policy SET counted_at = counted_at - interval '49 hours'")
    assert refusal(d, "validate_policy('p', 1, %s)", (seen,), APPROVER)[0] == "retention.policy_not_counted"


def test_retired_before_its_action_begins(page, pg):
    """What waits is cancelled; what was meanwhile put back into that state is not begun either."""
    d = page(limits={"max_share": 0.01})
    made(d)
    let_it_be_due(d)
    d.reload()
    job = d.wait_for_job("policy = 'p' AND status = 'saved' AND frozen_at IS NOT NULL")["id"]
    pg.sql(d.db, "SELECT retention.retire_policy('p')", user=APPROVER)
    wait_until(lambda: d.jobs()[-1]["status"] == "cancelled")
    assert pg.value(d.db, "SELECT count(*) FROM retention.candidate") == 0
    assert d.stop() == 0
    pg.tamper(d.db, f"UPDATE retention.archive_journal SET status = 'saved', finished_at = NULL WHERE id = {job}")
    assert refusal(d, f"validate_action({job})", (), APPROVER)[0] == "retention.policy_not_in_force"
    pg.tamper(d.db, f"UPDATE retention.archive_journal SET status = 'validated', validated_by = 'x' WHERE id = {job}")
    d.once(check=False)
    assert d.log_contains("it is no longer in force: cancel the action")
    assert keys(pg, d.db) == {1, 2, 3} and d.jobs()[-1]["status"] == "validated"


def test_the_daemon_cannot_begin_what_is_not_in_force(page, pg):
    """Whatever the role of the daemon writes: another depth, a version that is only saved, an occurrence of the past."""
    d = page()
    made(d)
    save(d, "q")
    d.stop()
    role = pg.plain_role(d.db)
    begin = "begin_occurrence(%s, 'x', %s, now(), %s, %s, %s, %s)"
    good = ("p", "2099-01-01", "delete_contacts", "18 months", "listed", 1)
    for change in [{0: "q"}, {1: "2024-01-01"}, {2: "export"}, {3: "17 months"}, {4: "full"}, {5: 2}]:
        args = tuple(change.get(i, value) for i, value in enumerate(good))
        assert refusal(d, begin, args, role)[0] == "retention.policy_not_in_force", args
    for sql in ["UPDATE retention.page_policy SET retired_by = 'x', retired_at = now(), retired_as = 'retired' WHERE name = 'p'",
                "UPDATE retention.page_policy SET retired_by = NULL, counted = 0 WHERE name = 'p'"]:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            pg.sql(d.db, sql, user=role)
    for kind in ("policy_saved", "policy_validated", "policy_retired"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            pg.sql(d.db, f"INSERT INTO retention.journal_event (kind, details) VALUES ('{kind}', '{{}}')", user=role)
    assert refusal(d, "save_policy('r', 'export', '1 year')", (), role) == (None, None), "has no right to the function"
    for sql in ["UPDATE retention.page_policy SET counted = 0 WHERE name = 'q'", "SELECT retention.configure_page(NULL)",
                "UPDATE retention.page_policy SET retired_by = 'x', retired_at = now(), retired_as = 'restored'"]:
        with pg.connect(d.db, user=role) as conn, conn.cursor() as cur:
            cur.execute("INSERT INTO retention.erasing (job) VALUES (1)")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="this session erases for action 1"):
                cur.execute(sql)
    assert pg.value(d.db, "SELECT retention." + begin, good, user=role) is not None
    assert d.jobs()[-1]["policy_version"] == 1


def test_back_to_the_file(page, pg):
    """Nothing of the page runs any longer, and that is told; with the page again only what comes after that."""
    d = page()
    made(d)
    let_it_be_due(d)
    since = d.log_position()
    d.configure(extra="")
    d.reload()
    d.wait_for_log('policy "p", which was made on the page, does not run: policies_from is "file"', since=since)
    assert refusal(d, "save_policy('q', 'export', '1 year')")[0] == "retention.policies_of_file"
    assert state(d, columns="status, refused_message") == [("in force", "retention.policies_of_file")]
    assert "does not run: the configuration takes its policies from its file alone" in d.ctl("policies").stdout
    assert pg.sql(d.db, "SELECT name FROM retention.policies") == [("of-the-file",)]
    since = d.log_position()
    d.configure(extra=BOUNDS)
    d.reload()
    d.wait_for_log('policy "p", version 1, which was made on the page, is in force', since=since)
    wait_until(lambda: pg.value(d.db, "SELECT last_occurrence > now() - interval '1 hour' FROM retention.policy_state WHERE policy = 'p'"))
    assert d.jobs() == [] and keys(pg, d.db) == {1, 2, 3}


@pytest.mark.parametrize("extra, policies, why", [
    (BOUNDS.replace("6 months", "2 years"), (FILE,), "its depth of 18 months is shorter than page_policies: shortest, 2 years"),
    (BOUNDS.replace(', "delete_contacts"', ""), (FILE,), "page_policies: actions does not have delete_contacts"),
    (BOUNDS.replace('"listed", ', ""), (FILE,), 'page_policies: archives does not have "listed"'),
    (BOUNDS, ({**FILE, "name": "P"},), r"the file has a policy of that name, at \S+:\d+"),
], ids=["depth", "action", "archive", "name"])
def test_outside_of_other_bounds(page, pg, extra, policies, why):
    """A change of the configuration takes a policy out, and one that waits does not begin; both are told."""
    d = page(limits={"max_share": 0.01})
    made(d)
    let_it_be_due(d)
    d.reload()
    job = d.wait_for_job("policy = 'p' AND status = 'saved' AND frozen_at IS NOT NULL")["id"]
    since = d.log_position()
    d.configure(extra=extra, policies=list(policies))
    d.reload()
    d.wait_for_log(f'policy "p", which was made on the page, does not run: {why}', since=since)
    assert state(d, columns="status, refused IS NOT NULL") == [("in force", True)]
    assert refusal(d, f"validate_action({job})", (), APPROVER)[0] == "retention.policy_not_in_force"
    pg.tamper(d.db, f"UPDATE retention.archive_journal SET status = 'validated', validated_by = 'x' WHERE id = {job}")
    d.reload()
    d.wait_for_log(f'version 1 of policy "p", which was made on the page: {why}', since=since)
    assert keys(pg, d.db) == {1, 2, 3}


def test_a_daemon_with_an_older_configuration(page, pg):
    """It would allow what the newest one, of another daemon, forbids: the database refuses it the occurrence."""
    d = page()
    wait_until(lambda: pg.value(d.db, "SELECT extract(second FROM clock_timestamp()) < 50"))
    made(d, schedule="* * * * *")
    pg.sql(d.db, """SELECT retention.configure_page('{"shortest": "2 years", "actions": ["delete_contacts"],
        "archives": ["listed"], "most": 20, "file": []}')""")
    d.wait_for_log('may not begin by version 1 of policy "p" of the page: a depth of 18 months is shorter than the configuration '
                   "allows: 24 months", timeout=90)
    assert d.jobs() == [] and keys(pg, d.db) == {1, 2, 3}


@pytest.mark.parametrize("brought_back", ["retired", "replaced", "lost"])
def test_a_restored_backup(page, pg, brought_back):
    """A policy that was retired or replaced since does not come back; one that was validated since is told as lost."""
    d = page()
    if brought_back != "lost":
        made(d)
    known = d.archives / "policies"
    if brought_back != "lost":
        wait_until(lambda: known.exists() and json.loads(known.read_text())["p"]["version"] == 1)
    backup = pg.dump(d.db)
    if brought_back == "retired":
        pg.sql(d.db, "SELECT retention.retire_policy('p')", user=APPROVER)
        wait_until(lambda: "retired_at" in known.read_text())
    else:
        made(d, depth="36 months")
        wait_until(lambda: known.exists() and json.loads(known.read_text())["p"]["depth"] == "3 years")
    d.stop()
    put_back(d, backup)
    since = d.log_position()
    d.start()
    if brought_back == "lost":
        d.wait_for_log('it has forgotten policy "p", version 1, which does not run', since=since)
        assert state(d) == []
    else:
        d.wait_for_log('policy "p", version 1, was retired since, and is retired again', since=since)
        wait_until(lambda: state(d, columns="status, retired_as") == [("retired", "restored")])  # the line comes first
    wait_until(lambda: pg.sql(d.db, "SELECT name FROM retention.policies") == [("of-the-file",)])
    wait_until(lambda: ("forgotten_policy" in kinds(d)) == (brought_back != "retired"), what="version 2 is lost, too")
    assert d.ctl("verify", check=False).stdout.startswith("the journal is intact")
    # Told once; and a version that is validated now is a new one.
    since = d.log_position()
    d.reload()
    d.wait_for_log("reloaded ", since=since)
    assert "restored from a backup" not in d.log_text(since)
    made(d)
    since = d.log_position()
    d.reload()
    d.wait_for_log("reloaded ", since=since)
    assert state(d)[-1][1] == "in force"


def test_tampering_is_found(page, pg):
    """verify names a version that was changed, inserted or removed, and an action that none in force began."""
    d = page()
    made(d)
    d.stop()
    assert d.ctl("verify").returncode == 0
    for sql, finding in {
        "UPDATE retention.page_policy SET depth = '7 months'": 'version 1 of policy "p" was changed: depth',
        "UPDATE retention.page_policy SET validated_by = 'x'": 'version 1 of policy "p" was changed: validated_by',
        "INSERT INTO retention.page_policy (name, version, action, depth, schedule, archive) VALUES "
        "('q', 1, 'export', '1 year', 'daily', 'full')": 'version 1 of policy "q" was inserted',
        "DELETE FROM retention.page_policy": 'version 1 of policy "p" was removed',
    }.items():
        copy = pg.create_database(template=d.db)
        try:
            pg.tamper(copy, sql)
            done = d.ctl("-d", pg.conninfo(copy), "verify", check=False)
            assert done.returncode == 1 and finding in done.stdout
        finally:
            pg.drop_database(copy)


@pytest.mark.parametrize("action, archive", [("export", "full"), ("anonymize_contacts", "none"), ("anonymize_requests", "none")])
def test_the_other_actions(page, pg, action, archive):
    d = page(extra=ALL)
    made(d, action=action, archive=None)
    let_it_be_due(d)
    d.reload()
    job = d.wait_for_job("policy = 'p' AND status = 'done'")
    assert (job["action"], job["archive"], job["counters"]["treated"]) == (action, "listed" if action == "export" else "none", 2)
    names = dict(pg.sql(d.db, "SELECT id, name FROM contact"))
    assert (names[1] == "L_1") == (action == "anonymize_contacts") and names[3] == "n3"
    assert (pg.value(d.db, "SELECT subject FROM request WHERE id = 10") is None) == (action != "export")


def test_at_the_command_line(page, pg):
    d = page()

    def ctl(user, *args, **kwargs):
        return d.ctl("-d", pg.conninfo(d.db, user), *args, **kwargs)

    done = ctl(OPERATOR, "policy", "save", "p", "--action", "delete_contacts", "--depth", "18 months", "--schedule", "yearly",
               "--archive", "full", "--note", "case 7")
    assert done.stdout == ("policy p, version 1, saved: it does not run yet\nit would reach 2, besides 0 on hold; "
                           "retentionctl policy validate p --version 1 --seen 2 puts it in force\n")
    rows = {r["policy"]: r for r in json.loads(d.ctl("policies", "--json").stdout)}
    assert (rows["of-the-file"]["source"], rows["p"]["source"], rows["p"]["next"]) == ("file", "page, version 1, saved", None)
    assert json.loads(d.ctl("preview", "p", "--json").stdout)["due"] == 2
    refused = ctl(OPERATOR, "policy", "validate", "p", "--version", "1", "--seen", "2", check=False)
    assert refused.returncode == 1 and "permission denied" in refused.stderr
    assert ctl(APPROVER, "policy", "validate", "p", "--version", "1", "--seen", "2").stdout == \
        "policy p, version 1, is in force from its next occurrence on\n"
    rows = {r["policy"]: r for r in json.loads(d.ctl("policies", "--json").stdout)}
    assert rows["p"]["source"] == "page, version 1" and rows["p"]["next"]
    assert ctl(APPROVER, "policy", "retire", "p").stdout == "policy p is retired\n"
    assert [r["policy"] for r in json.loads(d.ctl("policies", "--json").stdout)] == ["of-the-file"]
    for depth in ("180 days", "101 years", "often"):
        done = ctl(OPERATOR, "policy", "save", "p", "--action", "export", "--depth", depth, check=False)
        assert done.returncode == 2 and "is not a number of months" in done.stderr
    done = ctl(OPERATOR, "policy", "save", "p", "--action", "export", "--depth", "5 months", check=False, env=FRENCH)
    assert done.returncode == 1


def test_once_waits_for_the_first_occurrence(page, pg):
    """A policy of the file that has never run is due at once; one of the page never for a time before its validation."""
    d = page()
    made(d)
    d.stop()
    d.once()
    assert d.jobs() == [] and keys(pg, d.db) == {1, 2, 3}
    let_it_be_due(d)
    pg.sql(d.db, "DELETE FROM retention.policy_state")
    d.once()
    assert sorted(j["policy"] for j in d.jobs()) == ["of-the-file", "p"] and keys(pg, d.db) == {3}
