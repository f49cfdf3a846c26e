"""
The public API, every function by every role in every state of an action: allowed, or refused with the
very message.  And what no function stands before: the tables, for who goes around it.
"""

import contextlib
import itertools
import re
import threading

import psycopg2
import pytest

from support.ctl import action
from support.locks import CLAIM

pytestmark = pytest.mark.unsanitized("SQL alone: nothing of it is compiled")

ROLES = ("nobody", "auditor", "operator", "approver", "daemon", "both")
STATES = ("saved", "listed", "validated", "running", "done", "failed", "cancelled", "unknown")


@pytest.fixture(scope="module")
def template(pg, tmp_path_factory):
    from support.harness import Daemon

    db = pg.create_database()
    Daemon(tmp_path_factory.mktemp("api"), pg, db).migrate()
    pg.sql(db, "INSERT INTO retention.setting VALUES ('contact_key_type', 'bigint'), ('timezone', 'Europe/Paris')")
    for role in ROLES:
        pg.sql(db, f"CREATE ROLE api_{role} LOGIN")
        groups = {"nobody": [], "both": ["operator", "approver"]}.get(role, [role])
        for group in groups:
            pg.sql(db, f"GRANT retention_{group} TO api_{role}")
    yield db
    pg.drop_database(db)
    for role in ROLES:
        pg.sql("postgres", f"DROP ROLE api_{role}")


@pytest.fixture
def db(pg, template):
    name = pg.create_database(template=template)
    yield name
    pg.drop_database(name)


def call(pg, db, role, sql, args=()):
    """None, or the message (and hint) of the refusal."""
    try:
        pg.sql(db, sql, args, user=f"api_{role}")
    except psycopg2.Error as error:
        diag = error.diag
        return diag.message_primary + (f" | {diag.message_hint}" if diag.message_hint else "")
    return None


def make(pg, db, state):
    if state == "unknown":
        return 4711
    return action(pg, db, "saved" if state == "listed" else state, listed=state != "saved")


# --- Functions of an action's state -------------------------------------------------------------

MAY = {"validate_action": {"approver", "both"}, "cancel_action": {"operator", "approver", "both"},
       "delete_archive": {"approver", "both"}, "pause_action": {"operator", "approver", "both"},
       "resume_action": {"operator", "approver", "both"}}


def expected(function, role, state):
    """The refusal's text with {id} for the action's number; None where it is allowed."""
    if role == "nobody":
        return "permission denied for schema retention"
    if role not in MAY[function]:
        return f"permission denied for function {function}"
    if state == "unknown":
        return "there is no action {id} | See retention.archives for their numbers."
    shown = "saved" if state == "listed" else state
    if function in ("pause_action", "resume_action"):
        if state in ("done", "failed", "cancelled"):
            return f"action {{id}} is {shown}: only an action that has not ended can be {function[:-len('_action')]}d"
        return None if function == "pause_action" else (
            "action {id} was not paused by itself | A pause of everything is ended for everything.")
    if function == "delete_archive":
        if state in ("done", "failed"):
            return "action {id} has no archive"
        return f"action {{id}} is {shown}: only the archive of an action that has ended can be deleted"
    if function == "cancel_action":
        if shown not in ("saved", "validated"):
            return f"action {{id}} is {shown}: only an action that has not begun can be cancelled"
        return "action {id} is validated: only an approver can cancel it" if (shown, role) == ("validated", "operator") else None
    if shown != "saved":
        return f"action {{id}} is {shown}: only a saved action can be validated"
    if function == "validate_action" and state == "saved":
        return ("action {id} is not listed yet: nobody knows what it would touch | The daemon lists it when it is "
                "saved: is retentiond running?  Try again in a moment.")
    return None


@pytest.mark.parametrize("function", MAY)
@pytest.mark.parametrize("role", ROLES)
def test_states(pg, db, function, role):
    for state in STATES:
        job = make(pg, db, state)
        before = pg.sql(db, "SELECT * FROM retention.archive_journal ORDER BY id")
        wanted = expected(function, role, state)
        got = call(pg, db, role, f"SELECT retention.{function}(%s)", (job,))
        assert got == (wanted and wanted.format(id=job)), (function, role, state)
        if function == "pause_action":
            assert pg.value(db, "SELECT count(*) FROM retention.pause WHERE job = %s AND paused_by = %s",
                            (job, f"api_{role}")) == (1 if wanted is None else 0)
            continue
        after = pg.sql(db, "SELECT * FROM retention.archive_journal ORDER BY id")
        assert (after == before) == (wanted is not None), "refused is untouched, allowed is done"
        if wanted is None:
            status, who = pg.sql(db, "SELECT status, validated_by FROM retention.archive_journal WHERE id = %s", (job,))[0]
            assert (status, who) == (("validated", f"api_{role}") if function == "validate_action" else ("cancelled", None))


# --- Functions without one ----------------------------------------------------------------------

CALLS = {
    "save_action('export', '2025-01-01', '2025-01-31')": {"operator", "both"},
    "save_subject('delete_contacts', '8')": {"operator", "both"},
    "record_subject_export('7')": {"operator", "both"},
    "ask('measure')": set(ROLES) - {"nobody", "daemon"},
    "ask_download(1, 'contact.csv', sha256('x'))": {"approver", "both"},
    "ask_document(1, sha256('x'))": {"operator", "both"},
    "end_download(1, 7)": {"operator", "approver", "both"},
    "check_ticket(sha256('x'))": set(),
    "take_download('x', 'host')": {"daemon"},
    "take_request('host', retention.session_start())": {"daemon"},
    "end_request(1, 'ok', '{}')": {"daemon"},
    "documents('host')": {"daemon"},
    "place_hold('8', 'case 8')": {"operator", "approver", "both"},
    "release_hold('7')": {"operator", "approver", "both"},
    "replay_ledger()": {"approver", "both"},
    "replay_ledger('automatic')": {"approver", "daemon", "both"},
    "check_identity(NULL, false)": set(ROLES) - {"nobody"},
    "refuse_copy()": set(ROLES) - {"nobody"},
    "bind_directory(NULL)": {"daemon"},
    "adopt_directory(true, 'moved')": {"approver", "both"},
    "save_policy('p', 'export', '1 year')": {"operator", "both"},
    "validate_policy('p', 1, 0)": {"approver", "both"},
    "run_policy('p')": {"approver", "both"},
    "retire_policy('p')": {"operator", "approver", "both"},
    "page_bounds()": set(ROLES) - {"nobody"},
    "configure_page(NULL)": {"daemon"},
    "page_policies_forgotten('{}')": {"daemon"},
    "page_policies_known('{}')": {"daemon"},
    "watch_page_policy('p', 1, 'daily', now())": {"daemon"},
    "page_policy_since(NULL)": {"daemon"},
    "page_policy_content(NULL)": set(ROLES) - {"nobody"},
    "page_refusal(NULL)": set(ROLES) - {"nobody"},
    "whole_months('1 year')": set(ROLES) - {"nobody"},
    "check_page_bounds(NULL)": set(ROLES) - {"nobody"},
    "verify_policy_acts()": set(ROLES) - {"nobody"},
    "checked_archive('export', 'full')": set(),
    "lock_policy('p', 1)": set(),
    "cancel_policy_actions('p')": set(),
    "check_policy_number('p', true)": set(),
    "journal_page_policy()": set(),
    "check_page_policy()": set(),
    "check_page_action()": set(),
    "check_reason('x')": set(),
    "checked_note('x')": set(),
    "first_keys(1)": {"approver", "both"},
    "abandon_action(1, 'lost')": {"approver", "both"},
    "waive_replay('wrong')": {"approver", "both"},
    "lock_replay()": set(),
    "record_restore(1, '{}')": {"approver", "both"},
    "check_restore(1)": set(ROLES) - {"nobody"},
    "today()": set(ROLES) - {"nobody"},
    "time_zone()": set(ROLES) - {"nobody"},
    "cutoff('36 months')": set(ROLES) - {"nobody"},
    "kept_until(now(), '1 year')": set(ROLES) - {"nobody"},
    "verify_rows()": set(ROLES) - {"nobody"},
    "verify_chain()": set(ROLES) - {"nobody"},
    "verify_acts()": set(ROLES) - {"nobody"},
    "verify_ledger()": set(ROLES) - {"nobody"},
    "ledger_digest(1, now())": set(ROLES) - {"nobody"},
    """record_residue('{"action": "delete_contacts", "contacts": 1, "values": 1, "tables": 1, "not_searched": 0, "findings": []}')""":
        set(ROLES) - {"nobody"},
    "look_at_journal()": set(ROLES) - {"nobody"},
    "verify_journal()": {"auditor", "operator", "approver", "both"},
    "lock_holders('chain_lock')": {"daemon"},
    "claim_action(1, retention.session_start())": {"approver", "daemon", "both"},
    "take_lock('chain_lock')": set(),
    "session_name(1)": set(),
    "is_owner()": set(ROLES) - {"nobody"},
    "session_start()": set(ROLES) - {"nobody"},
    "erasing_job()": {"daemon"},
    "configure_keep('1 year')": {"daemon"},
    "configure_backups('1 year')": {"daemon"},
    "horizon(1)": set(ROLES) - {"nobody"},
    "full_xid(7)": {"daemon"},
    "snapshot_holders()": {"daemon"},
    "ask_nodes('SELECT 1', true)": {"daemon"},
    "shards_of('{1259}')": {"daemon"},
    "node_facts('{}')": {"daemon"},
    "record_nodes('{1259}')": {"daemon"},
    "vacuum_count(1259)": {"daemon"},
    "analyze_count(1259)": {"daemon"},
    "last_vacuum(1259)": set(),
    "last_analyze(1259)": set(),
    "skip_numbers(7)": {"daemon"},
    "finding(ARRAY['retention.hold_removed', '1'])": set(ROLES) - {"nobody"},
    "configure('UTC', false, 'bigint')": {"daemon"},
    "keep_configuration('x')": {"daemon"},
    "accept_configuration('x', 'host', '/etc/x.conf', NULL, false)": {"daemon"},
    "begin_occurrence('p', 'daily', now(), now(), 'export', '1 year', 'listed')": {"daemon"},
    "watch_policy('p', 'daily', now())": {"daemon"},
    "runnable('host')": {"daemon"},
    "configure_policy('p', 1, 'export', '1 year', 'daily', 'listed', NULL, false, true, 'file')": {"daemon"},
    "keep_policies('{p}')": {"daemon"},
    "measure_policy('p', now(), 1, 0, 0, NULL, NULL)": {"daemon"},
    "next_notice(NULL, '{done}', 1)": {"daemon"},
    "record_trouble('crashed', 1)": {"daemon"},
    "settle_replay(1)": {"daemon"},
    "archives_to_remove('host', '/x', '1 year', 'UTC')": {"daemon"},
    "archive_name_parts('20250101-export-p-5')": {"daemon"},
    "unknown_archives('{}')": {"daemon"},
    "manifest_time('{}')": {"daemon"},
    "record_unknown_archive('20250101-export-p-5', 'host', '/x', 1, 1, NULL, NULL, NULL)": {"daemon"},
    "delete_unknown_archive('20250101-export-p-5')": {"approver", "both"},
    "mark_restored(1)": {"daemon"},
    "unknown_archive_change()": set(),
    "contact_key('7')": set(),
    "hold_key('7')": set(),
    "canonical_key('07', 'bigint')": set(ROLES) - {"nobody"},
    "trimmed_key(' A7')": set(ROLES) - {"nobody"},
    "trimmed_fields('( A7,1)')": set(ROLES) - {"nobody"},
    "held_key('( A7,1)', '(text,integer)')": set(ROLES) - {"nobody"},
    "key_fields('(7,42)')": set(ROLES) - {"nobody"},
    "quoted_fields('(7,\"a b\")')": set(ROLES) - {"nobody"},
    "row_key('{7,42}')": set(ROLES) - {"nobody"},
    "key_type('(int4,uuid)')": set(ROLES) - {"nobody"},
    "lock_action(1)": set(),
    "claim_to_end(1)": set(),
    "journal_change()": set(),
    "chain_event()": set(),
    "check_event()": set(),
    "check_person(1)": set(),
    "refuse_erasing()": set(),
    "forget_ended_sessions()": set(),
    "journal_setting()": set(),
    "check_change()": set(),
    "check_unknown_archive()": set(),
    "refuse_change()": set(),
    "check_archive_change()": set(),
    "wait_for_batches()": set(),
    "journal_hold()": set(),
}


@pytest.mark.parametrize("sql", CALLS)
def test_who_may_call(pg, db, template, sql):
    """Who is refused changes nothing, so one database serves all of those; who is allowed gets a fresh one."""
    for role in ROLES:
        allowed = role in CALLS[sql]
        name = pg.create_database(template=template) if allowed else db
        try:
            if allowed:
                pg.sql(name, "SELECT retention.place_hold('7', 'case')", user="api_operator")
                pg.sql(name, "INSERT INTO retention.replay VALUES (9, 'restored', 'none', now(), '1')")
            got = call(pg, name, role, f"SELECT retention.{sql}")
            if allowed:
                assert got is None or got.startswith(("there is no action 1", "no archive ", "request 1 has no ", "there is no version ", 'no policy "p" is in force',
                                                      "the configuration takes its policies ")), (role, got)
            elif role == "nobody":
                assert got == "permission denied for schema retention"
            elif (role, sql) == ("daemon", "replay_ledger()"):
                assert got in ("a replay by hand takes the role retention_approver",
                               "there is nothing to replay, as far as the daemon has compared the database with the ledger's "
                               "file | It compares them when it starts, reloads or connects: see its log.")
            else:
                assert got == f"permission denied for function {sql.split('(')[0]}", role
        finally:
            if allowed:
                pg.drop_database(name)


def test_all_functions_are_in_the_table(pg, template):
    """A new function without a line here has no test of who may call it."""
    known = {sql.split("(")[0] for sql in CALLS} | set(MAY) | {"event_hash", "event_was", "hold_content",
                                                             "notice_of", "notice_content",
                                                             "check_change_of_daemon"}
    there = {f for (f,) in pg.sql(template, "SELECT proname FROM pg_proc WHERE pronamespace = 'retention'::regnamespace")}
    assert there == known
    assert pg.sql(template, """SELECT proname FROM pg_proc WHERE pronamespace = 'retention'::regnamespace
        AND has_function_privilege('public', oid, 'EXECUTE')""") == []
    # Who calls with somebody else's rights must not let the caller choose what a name means.
    assert pg.sql(template, """SELECT proname FROM pg_proc WHERE pronamespace = 'retention'::regnamespace
        AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false) ORDER BY 1""") == [("key_fields",), ("trimmed_key",)]
    # These become a part of the statement that calls them, have no more rights, and name all with its schema.
    assert pg.value(template, "SELECT prosrc FROM pg_proc WHERE proname = 'trimmed_key'").strip() == \
        r"SELECT pg_catalog.btrim(key, E' \t\n\v\f\r')"


SAVES = [
    (("delete", "2025-01-01", "2025-01-31", None), 'unknown action "delete"'),
    ((None, "2025-01-01", "2025-01-31", None), 'unknown action "NULL"'),
    (("export", None, "2025-01-31", None), "both days of the interval are needed"),
    (("export", "2025-01-01", None, None), "both days of the interval are needed"),
    (("export", "-infinity", "infinity", None), "both days of the interval are needed"),
    (("export", "2025-01-02", "2025-01-01", None), "the interval ends (2025-01-01) before it starts (2025-01-02)"),
    (("export", "2025-01-01", "2025-02-01", None),
     "the interval from 2025-01-01 to 2025-02-01 is longer than one month | Both days count: from 2025-01-01, it can end"
     " on 2025-01-31 at the latest."),
    (("export", "2024-01-31", "2024-02-29", None),
     "the interval from 2024-01-31 to 2024-02-29 is longer than one month | Both days count: from 2024-01-31, it can end"
     " on 2024-02-28 at the latest."),
    (("export", "2025-01-01", "2025-01-31", "some"), 'unknown archive mode "some" | Modes: none, listed, full.'),
    (("export", "2025-01-01", "2025-01-31", "none"),
     "an export without an archive would do nothing | Give listed or full."),
    (("anonymize_contacts", "2025-01-01", "2025-01-31", "full"), "an anonymization cannot be archived"),
    (("export", "2025-01-01", "2025-01-31", None), None),
    (("export", "2024-02-01", "2024-02-29", "full"), None),
    (("delete_contacts", "2025-01-15", "2025-02-14", "none"), None),
    (("anonymize_requests", "2025-03-03", "2025-03-03", None), None),
]


@pytest.mark.parametrize("args, message", SAVES)
def test_what_can_be_saved(pg, db, args, message):
    got = call(pg, db, "operator", "SELECT retention.save_action(%s, %s, %s, %s)", args)
    assert (got or "").startswith(message or "") and (got is None) == (message is None)
    rows = pg.sql(db, "SELECT status, mode, requested_by FROM retention.archive_journal")
    assert rows == ([] if message else [("saved", "manual", "api_operator")])


def test_refusals_are_for_programs_too(pg, db):
    """CONSTRAINT is the refusal's id, DETAIL its values, COLUMN the argument at fault; the hint and the text are English."""
    done = make(pg, db, "done")
    for sql, wanted in {
        "save_action('export', '2025-01-01', '2025-02-01')":
            ("retention.interval_too_long", "to_date", "2025-01-01\n2025-02-01\n2025-01-31"),
        "save_action('export', NULL, '2025-02-01')": ("retention.days_missing", "from_date", None),
        "save_action('export', '2025-02-01', 'infinity')": ("retention.days_missing", "to_date", None),
        "save_action('erase', '2025-01-01', '2025-01-02')": ("retention.action_unknown", "action", "erase"),
        "save_action(NULL, '2025-01-01', '2025-01-02')": ("retention.action_unknown", "action", "NULL"),
        "validate_action(NULL)": ("retention.id_unknown", "id", "NULL"),
        f"cancel_action({done})": ("retention.cancel_begun", None, f"{done}\ndone"),
        f"pause_action({done})": ("retention.pause_ended", None, f"{done}\ndone"),
        "place_hold(E'a\nb', 'case')": ("retention.key_invalid", "contact_key", "a b\nbigint"),
        "place_hold('7', ' ')": ("retention.reason_missing", "reason", None),
        "release_hold('7')": ("retention.hold_unknown", "contact_key", "7"),
        "record_restore(1, '[]')": ("retention.restore_export", None, "1"),
    }.items():
        with pytest.raises(psycopg2.Error) as refused:
            pg.sql(db, f"SELECT retention.{sql}", user="api_both")
        diag = refused.value.diag
        assert (diag.constraint_name, diag.column_name, diag.message_detail) == wanted, sql


def test_a_deleted_archive_is_deleted_once(pg, db):
    """Three refusals, by what has become of the files."""
    job = make(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a' WHERE id = {job}")
    pg.sql(db, f"SELECT retention.delete_archive({job})", user="api_approver")
    for change, wanted in [
        ("archive_remark = NULL", ("delete_twice", "The daemon has still to remove its files: is retentiond running?")),
        ("archive_remark = 'disk full'", ("delete_hindered", "Its files: disk full.")),
        ("archive_removed_at = now()", ("delete_removed", "Its files are gone.")),
    ]:
        pg.sql(db, f"UPDATE retention.archive_journal SET {change} WHERE id = {job}")
        with pytest.raises(psycopg2.Error, match="is deleted already, since .* by api_approver") as refused:
            pg.sql(db, f"SELECT retention.delete_archive({job})", user="api_approver")
        diag = refused.value.diag
        assert (diag.constraint_name, diag.message_hint) == ("retention." + wanted[0], wanted[1])
        assert diag.message_detail.split("\n")[::2][:2] == [str(job), "api_approver"]


def test_not_in_the_future(pg, db):
    """Today is the configured time zone's; it may end today, and not tomorrow."""
    today = pg.value(db, "SELECT (now() AT TIME ZONE 'Europe/Paris')::date")
    sql = "SELECT retention.save_action('export', %s::date - 3, %s::date + %s)"
    assert call(pg, db, "operator", sql, (today, today, 0)) is None
    assert "ends in the future" in call(pg, db, "operator", sql, (today, today, 1))


@pytest.mark.parametrize("depth, zone, at, cutoff", [
    ("1 day", "Europe/Paris", "2025-03-31 10:00+02", "2025-03-29 23:00Z"),  # the day of 23 hours
    ("1 month", "Europe/Paris", "2025-03-31 00:00+02", "2025-02-27 23:00Z"),
    ("1 month", "UTC", "2024-03-31 23:59Z", "2024-02-29 00:00Z"),
    ("1 year", "America/Sao_Paulo", "2018-11-04 12:00Z", "2017-11-04 02:00Z"),  # no midnight on that day
    ("18 months", "Pacific/Apia", "2011-12-31 12:00Z", "2010-07-01 11:00Z"),  # no day before that one
])
def test_cutoff(pg, db, depth, zone, at, cutoff):
    """The start of the local day, minus the depth on the local calendar."""
    assert pg.value(db, "SELECT retention.cutoff(%s, %s, %s) = %s::timestamptz", (depth, zone, at, cutoff))


def test_cutoff_of_the_configuration(pg, db):
    assert pg.value(db, """SELECT retention.cutoff('0 days') =
        date_trunc('day', now() AT TIME ZONE 'Europe/Paris') AT TIME ZONE 'Europe/Paris'""")


def test_holds_in_force(pg, db):
    pg.sql(db, """INSERT INTO retention.hold (contact_key, reason, expires_at, released_at) VALUES
        ('for ever', 'r', NULL, NULL), ('until then', 'r', now() + interval '1 day', NULL),
        ('expired', 'r', now() - interval '1 s', NULL), ('released', 'r', NULL, now()),
        ('released early', 'r', now() + interval '1 day', now())""")
    assert pg.sql(db, "SELECT contact_key FROM retention.holds_in_force ORDER BY 1", user="api_auditor") == \
           [("for ever",), ("until then",)]


def test_pause_and_resume(pg, db):
    """Each pause ends by itself; everybody who reads sees both; the end of an action ends its pause."""
    def paused():
        return pg.sql(db, "SELECT id, paused_by FROM retention.archives ORDER BY id", user="api_auditor")

    first, second = make(pg, db, "validated"), make(pg, db, "saved")
    done = make(pg, db, "done")
    assert call(pg, db, "operator", "SELECT retention.pause_action(%s)", (first,)) is None
    assert paused() == [(first, "api_operator"), (second, None), (done, None)]
    got = call(pg, db, "operator", "SELECT retention.pause_action(%s)", (first,))
    assert re.fullmatch(rf"action {first} is paused already, since \d{{4}}-\d\d-\d\d \d\d:\d\d by api_operator", got)
    assert call(pg, db, "approver", "SELECT retention.pause_action(NULL)") is None
    assert re.fullmatch(r"everything is paused already, since .* by api_approver",
                        call(pg, db, "operator", "SELECT retention.pause_action(NULL)"))
    assert paused() == [(first, "api_approver"), (second, "api_approver"), (done, None)]
    runnable = pg.sql(db, "SELECT id, paused_by FROM retention.runnable('h') ORDER BY id", user="api_daemon")
    assert runnable == [(first, "api_approver"), (second, "api_approver")]
    assert call(pg, db, "operator", "SELECT retention.resume_action(%s)", (second,)) == \
           f"action {second} was not paused by itself | A pause of everything is ended for everything."
    assert call(pg, db, "operator", "SELECT retention.resume_action(NULL)") == \
           "the pause was placed by api_approver, an approver: only an approver can end it"
    assert call(pg, db, "approver", "SELECT retention.resume_action(NULL)") is None
    assert call(pg, db, "operator", "SELECT retention.resume_action(NULL)") == \
           "there is no pause of everything | An action that was paused by itself is resumed by its number."
    assert paused() == [(first, "api_operator"), (second, None), (done, None)]
    pg.sql(db, f"UPDATE retention.archive_journal SET status = 'failed' WHERE id = {first}")
    assert paused()[0] == (first, None) and pg.value(db, "SELECT count(*) FROM retention.pause") == 0
    assert pg.sql(db, "SELECT kind, job, actor FROM retention.journal_event WHERE kind IN ('paused', 'resumed')"
                      " ORDER BY id") == [("paused", first, "api_operator"), ("paused", None, "api_approver"),
                                          ("resumed", None, "api_approver")]
    for role in ("nobody", "auditor", "daemon"):
        for function in ("pause_action", "resume_action"):
            assert "permission denied for " in call(pg, db, role, f"SELECT retention.{function}(NULL)")
    assert pg.sql(db, "SELECT * FROM retention.verify_chain()") == pg.sql(db, "SELECT * FROM retention.verify_rows()") == []


@pytest.mark.parametrize("everything", [False, True])
def test_an_approvers_pause(pg, db, everything):
    """It takes the place of an operator's, and an operator ends an operator's only, also when the approver is one no more."""
    job = None if everything else make(pg, db, "saved")
    for placers, resumer, may in ((["operator"], "operator", True), (["operator"], "approver", True),
                                  (["approver"], "operator", False), (["both"], "operator", False),
                                  (["operator", "approver"], "operator", False), (["approver"], "both", True)):
        for placer in placers:
            assert call(pg, db, placer, "SELECT retention.pause_action(%s)", (job,)) is None
        assert "paused already, since" in call(pg, db, "operator", "SELECT retention.pause_action(%s)", (job,))
        got = call(pg, db, resumer, "SELECT retention.resume_action(%s)", (job,))
        assert got == (None if may else f"the pause was placed by api_{placers[-1]}, an approver: only an approver can end it")
        assert pg.value(db, "SELECT count(*) FROM retention.pause") == (0 if may else 1)
        if not may:
            assert call(pg, db, "both", "SELECT retention.resume_action(%s)", (job,)) is None


def test_four_eyes(pg, db):
    pg.sql(db, "INSERT INTO retention.setting VALUES ('four_eyes', 'true')")
    job = pg.sql(db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31')", user="api_both")[0][0]
    pg.sql(db, "UPDATE retention.archive_journal SET candidates = 0, candidates_sha256 = 'x', cutoff = now(), "
               "frozen_at = now() WHERE id = %s", (job,))
    got = call(pg, db, "both", "SELECT retention.validate_action(%s)", (job,))
    assert got == (f"action {job} was saved by you: somebody else has to validate it | The configuration asks for four "
                   "eyes.")
    assert call(pg, db, "approver", "SELECT retention.validate_action(%s)", (job,)) is None


@pytest.fixture
def web(pg, db):
    """web(role): a service that has logged in as api_nobody, a member of people's roles, and works as one of them."""
    pg.sql(db, "GRANT api_operator, api_approver TO api_nobody")

    @contextlib.contextmanager
    def session(role):
        with pg.connect(db, user="api_nobody") as conn, conn.cursor() as cur:
            cur.execute(f"SET ROLE {role}")
            yield cur

    yield session
    pg.sql(db, "REVOKE api_operator, api_approver FROM api_nobody")


@pytest.mark.parametrize("statement", [
    "save_action('export', '2025-01-01', '2025-01-31')", "save_subject('delete_contacts', '8')", "cancel_action({job})",
    "pause_action({job})", "resume_action({job})", "record_subject_export('7')", "place_hold('7', 'case')",
    "release_hold('7')", "validate_action({job})", "delete_archive({job})", "record_restore({job}, '{{}}')",
    "replay_ledger()", "waive_replay('wrong')"])
def test_a_service_that_sets_roles_is_refused(pg, db, web, statement):
    """The journal would name the service for everybody."""
    statement = statement.format(job=make(pg, db, "listed"))
    before = pg.value(db, "SELECT max(id) FROM retention.journal_event")
    for role in ("api_operator", "api_approver", "retention_operator"):
        with web(role) as cur, pytest.raises(psycopg2.Error) as refused:
            cur.execute("SELECT retention." + statement)
        if refused.value.diag.constraint_name != "retention.person_differs":
            assert str(refused.value).startswith("permission denied for function"), refused.value
    assert refused.value.diag.constraint_name == "retention.person_differs" or "permission" in str(refused.value)
    assert pg.value(db, "SELECT max(id) FROM retention.journal_event") == before


def test_what_set_role_may_do(pg, db, web):
    """A group of one's own: the one who has logged in is recorded."""
    with pg.connect(db, user="api_operator") as conn, conn.cursor() as cur:
        cur.execute("SET ROLE retention_operator")
        cur.execute("SELECT retention.save_action('export', '2025-01-01', '2025-01-31')")
    assert pg.value(db, "SELECT requested_by FROM retention.archive_journal ORDER BY id DESC LIMIT 1") == "api_operator"
    with web("api_operator") as cur, pytest.raises(psycopg2.Error, match="acts as api_operator, and api_nobody has logged in"):
        cur.execute("SELECT retention.save_action('export', '2025-01-01', '2025-01-31')")


def test_an_approvers_hold(pg, db):
    """An operator releases an operator's hold, and an approver each."""
    for placer, releaser, may in (("operator", "operator", True), ("operator", "approver", True),
                                  ("approver", "operator", False), ("both", "operator", False),
                                  ("approver", "approver", True), ("approver", "both", True)):
        assert call(pg, db, placer, "SELECT retention.place_hold('7', 'case')") is None
        got = call(pg, db, releaser, "SELECT retention.release_hold('7')")
        assert got == (None if may else f"the hold of contact 7 was placed by api_{placer}, an approver: only an approver "
                                        "can release it")
        held = pg.value(db, "SELECT count(*) FROM retention.holds_in_force")
        assert held == (0 if may else 1)
        if held:
            assert call(pg, db, "both", "SELECT retention.release_hold('7')") is None
    assert pg.sql(db, "SELECT * FROM retention.verify_rows()") == []


def test_an_approver_that_is_one_no_more(pg, db):
    """The hold stays one of an approver's."""
    assert call(pg, db, "approver", "SELECT retention.place_hold('7', 'case')") is None
    pg.sql(db, "REVOKE retention_approver FROM api_approver; GRANT retention_operator TO api_approver")
    try:
        assert "only an approver" in call(pg, db, "approver", "SELECT retention.release_hold('7')")
    finally:
        pg.sql(db, "GRANT retention_approver TO api_approver; REVOKE retention_operator FROM api_approver")


@pytest.mark.parametrize("table", ["candidate", "selection"])
def test_the_keys_to_be_erased_are_the_approvers(pg, db, table):
    for role in ("auditor", "operator", "nobody"):
        assert "permission denied" in call(pg, db, role, f"SELECT * FROM retention.{table}")
    assert call(pg, db, "approver", f"SELECT * FROM retention.{table}") is None


@pytest.mark.parametrize("first, second", itertools.product(("validate", "cancel"), repeat=2))
def test_at_once(pg, db, first, second):
    """
    Two at the same moment: one wins, the other is told what has become of it.  Only a cancellation behind the validation
    is no loser.
    """
    job = make(pg, db, "listed")
    got = {}

    def run(n, what):
        got[n] = call(pg, db, "both", f"SELECT retention.{what}_action(%s)", (job,))

    threads = [threading.Thread(target=run, args=(n, what)) for n, what in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    status = pg.value(db, "SELECT status FROM retention.archive_journal WHERE id = %s", (job,))
    losers = [g for g in got.values() if g]
    if not losers:
        assert {first, second} == {"validate", "cancel"} and status == "cancelled"
        assert pg.value(db, "SELECT validated_by FROM retention.archive_journal WHERE id = %s", (job,)) == "api_both"
        return
    (loser,) = losers
    assert loser in (f"action {job} is {status}: only a saved action can be validated",
                     f"action {job} is {status}: only an action that has not begun can be cancelled")


def test_a_validated_action_is_not_cancelled_under_a_job(pg, db):
    """Whoever works on it may have begun: it is abandoned instead."""
    job = make(pg, db, "validated")
    with pg.connect(db, user="api_daemon") as conn, conn.cursor() as cur:
        cur.execute(CLAIM, (job,))
        assert cur.fetchone() == (True,)
        assert call(pg, db, "approver", f"SELECT retention.cancel_action({job})") == (
            f"a job works on action {job} at this moment | If it has begun, it can be abandoned; if it waits, try again in a moment.")
        assert pg.value(db, "SELECT status FROM retention.archive_journal") == "validated"
    assert call(pg, db, "approver", f"SELECT retention.cancel_action({job})") is None
    assert pg.sql(db, "SELECT status, (SELECT count(*) FROM retention.candidate) FROM retention.archive_journal") == [("cancelled", 0)]
    assert pg.sql(db, "SELECT actor FROM retention.journal_event WHERE kind = 'cancelled'") == [("api_approver",)]
    assert pg.value(db, "SELECT count(*) FROM retention.claimed") == 0
    assert pg.sql(db, "SELECT * FROM retention.verify_acts()") == [] == pg.sql(db, "SELECT * FROM retention.verify_rows()")


def test_the_daemon_cancels_nothing(pg, db):
    job = make(pg, db, "validated")
    assert "may not make this change" in call(
        pg, db, "daemon", f"UPDATE retention.archive_journal SET status = 'cancelled', finished_at = now() WHERE id = {job}")


SEEN = [("4, 'x'", True), ("4", True), ("4, NULL", True), ("3, 'x'", False), ("4, 'y'", False), ("NULL, 'x'", False)]


@pytest.mark.parametrize("seen, right", SEEN)
def test_validates_what_was_seen(pg, db, seen, right):
    """The list of four keys with digest x."""
    job = make(pg, db, "listed")
    for role in ("operator", "auditor", "daemon"):
        assert "permission denied for function" in call(pg, db, role, f"SELECT retention.validate_action({job}, {seen})")
    got = call(pg, db, "approver", f"SELECT retention.validate_action({job}, {seen})")
    assert got == (None if right else f"the list of action {job} has 4 keys, and is not the one that was seen, of "
                                      f"{seen.split(',')[0]} | Look at the action again: it may be another one.")
    assert pg.value(db, "SELECT status FROM retention.archive_journal") == ("validated" if right else "saved")


def test_what_was_seen_replaces_no_check(pg, db):
    """Not listed, not there, by the one who saved it."""
    unlisted = make(pg, db, "saved")
    assert "is not listed yet" in call(pg, db, "approver", f"SELECT retention.validate_action({unlisted}, 0)")
    assert "there is no action 4711" in call(pg, db, "approver", "SELECT retention.validate_action(4711, 0)")
    pg.sql(db, "SELECT retention.configure('UTC', true, 'bigint')")
    mine = pg.value(db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31')", user="api_both")
    pg.sql(db, f"UPDATE retention.archive_journal SET candidates = 0, candidates_sha256 = 'x', frozen_at = now() WHERE id = {mine}")
    assert "was saved by you" in call(pg, db, "both", f"SELECT retention.validate_action({mine}, 0, 'x')")
    assert call(pg, db, "approver", f"SELECT retention.validate_action({mine}, 0, 'x')") is None


@pytest.mark.parametrize("note, kept", [(None, None), ("", None), (" \t\n", None), (" ticket 12 ", "ticket 12"), ("é" * 200, "é" * 200)])
def test_a_note(pg, db, note, kept):
    """It stands in the row and in the event that the journal chains, and stays as it is."""
    pg.sql(db, "SELECT retention.save_action('export', '2025-01-01', '2025-01-31', note => %s)", (note,), user="api_operator")
    pg.sql(db, "SELECT retention.save_subject('delete_contacts', '7', %s)", (note,), user="api_operator")
    assert pg.sql(db, "SELECT note FROM retention.archives") == [(kept,)] * 2
    assert pg.sql(db, "SELECT details->>'note' FROM retention.journal_event WHERE kind = 'saved'") == [(kept,)] * 2
    for role in ("approver", "daemon"):
        assert "permission denied" in call(pg, db, role, "UPDATE retention.archive_journal SET note = 'other'")
    with pytest.raises(psycopg2.Error, match="what was asked for cannot be changed"):
        pg.sql(db, "UPDATE retention.archive_journal SET note = 'other'")
    done = make(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a' WHERE id = {done}")
    pg.sql(db, "SELECT retention.delete_archive(%s, %s)", (done, note), user="api_approver")
    assert pg.value(db, "SELECT archive_deleted_note FROM retention.archives WHERE id = %s", (done,)) == kept
    with pytest.raises(psycopg2.Error, match="cannot be taken back"):
        pg.sql(db, f"UPDATE retention.archive_journal SET archive_deleted_note = 'other' WHERE id = {done}")


def test_a_note_that_is_too_long(pg, db):
    done = make(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a' WHERE id = {done}")
    before = pg.value(db, "SELECT max(id) FROM retention.journal_event")
    for sql in ("save_action('export', '2025-01-01', '2025-01-31', note => %s)", "save_subject('delete_contacts', '7', %s)",
                f"delete_archive({done}, %s)"):
        with pytest.raises(psycopg2.Error) as refused:
            pg.sql(db, f"SELECT retention.{sql}", ("n" * 201,), user="api_both")
        diag = refused.value.diag
        assert (diag.constraint_name, diag.column_name, diag.message_detail) == ("retention.note_too_long", "note", "201")
    assert pg.value(db, "SELECT max(id) FROM retention.journal_event") == before


def test_me(pg, db):
    """What each may do, and what the page has to know before it draws anything."""
    pg.sql(db, "SELECT retention.configure('Pacific/Kiritimati', true, 'uuid')")
    for role in set(ROLES) - {"nobody"}:
        (row,) = pg.sql(db, "SELECT name, auditor, operator, approver, daemon, superuser, four_eyes, timezone, key_type, today,"
                            " schema FROM retention.me", user=f"api_{role}")
        assert row[:6] == (f"api_{role}", role == "auditor", role in ("operator", "both"), role in ("approver", "both"),
                           role == "daemon", False)
        assert row[6:9] == (True, "Pacific/Kiritimati", "uuid")
        assert row[9:] == pg.sql(db, "SELECT (now() AT TIME ZONE 'Pacific/Kiritimati')::date, max(version) FROM retention.schema_version")[0]
    assert pg.value(db, "SELECT superuser FROM retention.me") is True
    assert "permission denied" in call(pg, db, "nobody", "SELECT * FROM retention.me")


def test_progress_for_who_may_not_read_the_list(pg, db):
    job = make(pg, db, "running")
    make(pg, db, "done"), make(pg, db, "saved")
    pg.sql(db, f"UPDATE retention.candidate SET weight = 3 WHERE job = {job} AND n > 2; DELETE FROM retention.candidate WHERE job = {job} AND n = 1")
    for role in set(ROLES) - {"nobody"}:
        rows = pg.sql(db, "SELECT id, status, due, keys_left, weight_left FROM retention.progress ORDER BY id", user=f"api_{role}")
        assert rows == [(job, "running", 4, 3, 7), (job + 2, "saved", None, 0, 0)]


def test_daemons(pg, db):
    """A role's session by the daemon's name: nobody else's counts."""
    seen = "SELECT pid, role FROM retention.daemons"
    with pg.connect(db, user="api_approver", application_name="retentiond"), \
         pg.connect(db, user="api_daemon", application_name="psql"):
        assert pg.sql(db, seen, user="api_auditor") == []
        with pg.connect(db, user="api_daemon", application_name="retentiond") as conn:
            assert pg.sql(db, seen, user="api_auditor") == [(conn.info.backend_pid, "api_daemon")]


@pytest.mark.parametrize("statement, lock", [
    ("SELECT retention.place_hold('9', 'case')", "retention.hold_lock"),
    ("SELECT retention.save_subject('delete_contacts', '9')", "retention.chain_lock"),
    ("SELECT retention.pause_action(NULL)", "retention.chain_lock"),
    ("SELECT retention.validate_action({job})", "of action {job}")])
def test_who_does_not_commit_is_named(pg, db, statement, lock):
    """A session that has called a function and does not commit keeps others waiting: they are told which one."""
    job = make(pg, db, "listed")
    pg.sql(db, "ALTER FUNCTION retention.lock_action(int) SET lock_timeout = '100ms'")
    first = statement.replace("'9'", "'8'").replace("validate", "cancel").format(job=job)
    with pg.connect(db, user="api_both", autocommit=False) as conn, conn.cursor() as cur:
        cur.execute(first)
        told = call(pg, db, "approver" if "validate" in statement else "both",
                    "SET lock_timeout = '100ms'; " + statement.format(job=job))
        pid = conn.info.backend_pid
    assert told == (f"the lock {lock.format(job=job)} is held by api_both (process {pid}, "
                    "idle in transaction) | Try again when that transaction has ended; SELECT "
                    "pg_terminate_backend(PROCESS) ends a session that has forgotten it.")
    assert call(pg, db, "approver" if "validate" in statement else "both", statement.format(job=job)) is None


# --- Tables -------------------------------------------------------------------------------------

READERS = {"auditor", "operator", "approver", "daemon", "both"}
TABLES = {"archive_journal": READERS, "configuration": READERS, "journal_event": READERS, "archive_file": READERS, "ledger": READERS, "ledger_secret": {"daemon"},
          "hold": READERS, "policy_state": READERS, "setting": READERS, "schema_version": READERS, "archives": READERS,
          "replay": READERS, "candidate": {"approver", "daemon", "both"}, "selection": {"approver", "daemon", "both"},
          "erasing": {"daemon"}, "chain_lock": set(), "hold_lock": set(), "ledger_lock": set(), "batch_lock": {"daemon"}, "claimed": set(),
          "identity": READERS, "unknown_archive": READERS, "all_archives": READERS,
          "file_outbox": {"approver", "daemon", "both"}, "files_left": READERS, "replay_due": READERS,
          "holds_in_force": READERS, "pause": READERS, "paused_action": READERS,
          "policy": READERS, "policies": READERS, "page_policy": READERS, "page_policies": READERS, "last_verified": READERS, "residue_report": READERS, "me": READERS, "progress": READERS, "daemons": READERS,
          "told": READERS, "request": READERS, "download": {"auditor", "approver", "daemon", "both"}}
# Of whole tables: the rights to columns are tried in test_rights.
WRITES = {"journal_event": {"INSERT"}, "archive_file": {"INSERT"},
          "ledger": {"INSERT"}, "policy_state": {"INSERT", "UPDATE"}, "setting": {"INSERT"}, "told": {"INSERT"},
          "policy": {"INSERT", "UPDATE", "DELETE"},
          "replay": {"INSERT", "DELETE"}, "candidate": {"INSERT", "DELETE"}, "selection": {"DELETE"},
          "batch_lock": {"INSERT", "UPDATE", "DELETE"}, "ledger_lock": {"UPDATE"}, "hold_lock": {"UPDATE"},
          "file_outbox": {"INSERT", "DELETE"}, "unknown_archive": {"INSERT", "DELETE"}}


def test_table_rights(pg, template):
    """A person reads, and changes through the functions only; the daemon adds, and never rewrites a proof."""
    there = {t for (t,) in pg.sql(template, """SELECT relname FROM pg_class
        WHERE relnamespace = 'retention'::regnamespace AND relkind IN ('r', 'v')""")}
    assert there == set(TABLES)
    for table, readers in TABLES.items():
        for role in ROLES:
            may = {right for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
                   if pg.value(template, "SELECT has_table_privilege(%s, %s, %s)",
                               (f"api_{role}", f"retention.{table}", right))}
            wanted = ({"SELECT"} if role in readers else set()) | (WRITES.get(table, set()) if role == "daemon" else set())
            assert may == wanted, (table, role)


def test_illegal_changes(pg, db):
    """Whoever makes them, the daemon and a superuser too: no way back, nothing of what was asked for."""
    job = make(pg, db, "validated")
    for change, message in {
        "status = 'saved'": "is validated: it cannot become saved",
        "status = 'done'": "is validated: it cannot become done",
        "action = 'export', requested_by = 'x'": "what was asked for cannot be changed",
        "from_date = from_date - 1": "what was asked for cannot be changed",
        "subject = '7'": "what was asked for cannot be changed",
        "note = 'other'": "what was asked for cannot be changed",
        "candidates = 1": "its list of keys is frozen",
        "cutoff = now()": "its list of keys is frozen",
        "preview = '{}'": "its list of keys is frozen",
    }.items():
        with pytest.raises(psycopg2.Error, match=message):
            pg.sql(db, f"UPDATE retention.archive_journal SET {change} WHERE id = {job}")
    for table in ("archive_journal", "journal_event"):
        with pytest.raises(psycopg2.Error, match=f"retention.{table} is append-only"):
            pg.sql(db, f"DELETE FROM retention.{table}")


def test_the_actions_of_one_contact_are_found_by_an_index(pg, db):
    """However long the journal is: the page asks for them by the key."""
    plan = pg.sql(db, "SET enable_seqscan = off; EXPLAIN SELECT id FROM retention.archive_journal WHERE subject = '7'")
    assert "archive_journal_subject_idx" in str(plan)
