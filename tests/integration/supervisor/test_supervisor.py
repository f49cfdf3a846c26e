"""
The supervisor by itself: start, reload, signals, a database that comes and goes, what is due and who
runs.  The jobs here are played by a script that does what the test tells it to; that real jobs do
theirs is for the other files.
"""

import json
import os
import re
import shutil
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from support.harness import BUILD, Daemon, wait_until

POLICY = {"name": "contacts-36m", "action": "delete_contacts", "depth": "36 months", "schedule": "monthly"}
MONTHLY = "0 0 1 * *"

# Exit statuses of retention-job (daemon/base/job_exit.h).
DONE, FAILED, REFUSED, STOPPED, SAVED, TAKEN, AWAY, INCOMPLETE = 0, 1, 3, 4, 5, 6, 7, 8

# Reads play.json anew each time, and appends what it was called with to calls.jsonl.
FAKE_JOB = "#!" + sys.executable + r'''
import argparse, json, os, re, signal, sys, time
fds = len(os.listdir("/proc/self/fd"))
parser = argparse.ArgumentParser()
for name in ("--config-fd", "--status-fd", "--job"):
    parser.add_argument(name, type=int)
parser.add_argument("--host")
parser.add_argument("--build")
parser.add_argument("--once", action="store_true")
parser.add_argument("--check", "--test", dest="check", action="store_true")
parser.add_argument("--expire", "--answer", dest="expire", action="store_true")
parser.add_argument("--asked-by")
args = parser.parse_args()
if args.expire:  # beside what these tests are about
    sys.exit(0)
here = os.path.dirname(os.path.abspath(__file__))
play = json.load(open(os.path.join(here, "play.json")))
config = os.fdopen(args.config_fd).read()


def call(**more):
    with open(os.path.join(here, "calls.jsonl"), "a") as calls:
        calls.write(json.dumps({"job": args.job, "check": args.check, "test": "--test" in sys.argv, "config": config, "pid": os.getpid(),
                                "fds": fds, "once": args.once, **more}) + "\n")


def say(text):
    os.write(args.status_fd, text if isinstance(text, bytes) else text.encode() + b"\n")


def wait_for_file(name):
    while not os.path.exists(os.path.join(here, name)):
        time.sleep(0.02)

if args.check:
    call()
    if play.get("check_says"):
        say(play["check_says"])
    if play.get("check_waits_for"):
        wait_for_file(play["check_waits_for"])
    word = play.get("refuse_configs_with")
    status = play.get("check", 0)
    if word and word in config:
        status = 3
    if status == 3:
        say("complaint crm.conf:7: table \"crm.contact\": column \"shoe_size\" is in no rule")
        say("complaint crm.conf:9: table \"crm.request\": does not exist")
    if play.get("check_note"):
        say("note " + play["check_note"])
    sys.exit(status)

import psycopg2
conn = psycopg2.connect(re.search(r'conninfo = "([^"]*)"', config).group(1))
conn.autocommit = True
cur = conn.cursor()


def sql(text, *values):
    cur.execute(text, values)
    return cur.fetchall() if cur.description else None

mode, status = sql("SELECT mode, status FROM retention.archive_journal WHERE id = %s", args.job)[0]
call(mode=mode, status=status)
stopped = []
if play.get("ignores_term"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
if not sql("SELECT pg_try_advisory_lock(4711, %s)", args.job)[0][0]:
    sys.exit(6)
status = sql("SELECT status FROM retention.archive_journal WHERE id = %s", args.job)[0][0]
if status in ("done", "failed", "cancelled"):
    sys.exit(6)
if play.get("garbage"):
    say(b"\0\x07\xff\n" * 100 + b"progress 1 2\nprogress a b c\nprogress 1 2 3 4 5\n\n \nwaiting\nwaiting room\n")
    say(b"progress " + b"9" * 100000 + b"\n" + b"x" * 300000 + b"\n")
    say("progress 99999999999999999999 1 1")
if mode == "manual" and status == "saved":
    sql("UPDATE retention.archive_journal SET candidates = 3, frozen_at = now() WHERE id = %s", args.job)
    sys.exit(5)
if status == "saved":
    if play.get("approval"):
        sql("UPDATE retention.archive_journal SET candidates = 3, frozen_at = now() WHERE id = %s", args.job)
        sys.exit(5)
    sql("UPDATE retention.archive_journal SET status = 'validated' WHERE id = %s", args.job)
    status = "validated"
if status == "validated":
    sql("UPDATE retention.archive_journal SET status = 'running' WHERE id = %s", args.job)
say("progress 12 50 185")
if play.get("says"):
    say(play["says"])
if play.get("waiting"):
    for _ in range(3):
        for reason in play["waiting"].split("|"):
            say("waiting " + (reason or "none"))
if play.get("waits_for"):
    while not stopped and not os.path.exists(os.path.join(here, play["waits_for"])):
        time.sleep(0.02)
    if stopped:
        sys.exit(4)
if play.get("signal"):
    os.kill(os.getpid(), play["signal"])
end = play.get("end", 0)
if end in (0, 1, 8):
    sql("UPDATE retention.archive_journal SET status = %s, finished_at = now() WHERE id = %s",
        "failed" if end == 1 else "done", args.job)
say("progress 50 50 0")
say("note as the play has it")
sys.exit(end)
'''


class Stage:
    """A build folder whose retention-job is the script."""

    def __init__(self, directory):
        self.dir = Path(directory)
        self.dir.mkdir()
        # A copy: the daemon looks for its jobs beside its own executable, links resolved.
        shutil.copy(BUILD / "retentiond", self.dir)
        (self.dir / "retentionctl").symlink_to(BUILD / "retentionctl")
        job = self.dir / "retention-job"
        job.write_text(FAKE_JOB)
        job.chmod(job.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        self.play()

    def play(self, **how):
        new = self.dir / "play.new"
        new.write_text(json.dumps(how))
        new.rename(self.dir / "play.json")

    def touch(self, name):
        (self.dir / name).touch()

    def calls(self, check=None):
        path = self.dir / "calls.jsonl"
        calls = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [c for c in calls if check is None or c["check"] == check]


@pytest.fixture
def stage(tmp_path):
    return Stage(tmp_path / "stage")


@pytest.fixture
def staged(daemon, stage):
    """staged(policies=…): a migrated daemon with the script's jobs."""

    def make(policies=(POLICY,), **kwargs):
        return daemon(build=stage.dir, policies=policies, contacts=40, **kwargs)

    return make


def last_was(d, policy, when, schedule=MONTHLY):
    """As if the policy had last run then."""
    d.pg.sql(d.db, f"""
        INSERT INTO retention.policy_state (policy, schedule, last_occurrence)
        VALUES (%s, %s, {when})
        ON CONFLICT (policy) DO UPDATE SET last_occurrence = excluded.last_occurrence""", (policy, schedule))


def started(d, *args):
    d.start(*args)
    d.wait_for_log(r"ready: ")
    return d


def save(d, validate=True):
    """A manual action: saved, listed by the daemon, validated."""
    job = d.pg.value(d.db, "SELECT retention.save_action('export', current_date - 7, current_date)")
    if validate:
        d.wait_for_job(f"id = {job} AND frozen_at IS NOT NULL")
        d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    return job


def state(d):
    """The lines that SIGUSR1 makes it log."""
    since = d.log_position()
    d.signal(signal.SIGUSR1)
    d.wait_for_log(r"state: database .*\n", since=since)
    wait_until(lambda: len(re.findall(r"state: policy", d.log_text(since))) == len(d.config["policies"]))
    return d.log_text(since)


# --- Options and -t ---------------------------------------------------------------------------


@pytest.mark.parametrize("args, status", [
    (("--help",), 0), (("--version",), 0), (("--nonsense",), 2), (("-t", "--once"), 2), (("more",), 2)])
def test_options(staged, args, status):
    done = staged(migrate=False).run("retentiond", *args, check=False)
    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).strip()


def test_a_database_without_the_schema(daemon):
    done = daemon(migrate=False, contacts=40).check_config()
    assert done.returncode == 1 and "schema retention is missing: run retentionctl migrate" in done.stderr


def test_archives_that_are_not_there(daemon):
    d = daemon(contacts=40)
    d.archives.rmdir()
    done = d.check_config()
    assert done.returncode == 1 and 'archives: directory "' in done.stderr and "No such file" in done.stderr
    assert "retentiond.conf:" in done.stderr


def test_no_file(staged):
    d = staged(migrate=False)
    d.path.unlink()
    done = d.once(check=False)
    assert done.returncode == 1
    assert "retentiond.conf" in done.stderr


def test_check_says_ok(staged, stage):
    d = staged()
    done = d.check_config()
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
    assert [c["test"] for c in stage.calls(check=True)] == [True], "it begins nothing"
    started(d)
    assert [c["test"] for c in stage.calls(check=True)] == [True, False]


def test_check_prints_the_configuration(staged):
    d = staged()
    done = d.check_config("-v")
    assert done.returncode == 0 and "contacts-36m" in done.stdout
    d.path.write_text(done.stdout)
    again = d.check_config("-v")
    assert (again.returncode, again.stdout) == (0, done.stdout)


def test_check_says_all_that_is_wrong_with_the_file(staged, stage):
    d = staged(migrate=False, limits={"workers": 99, "batch_tme": "1s"})
    done = d.check_config()
    assert done.returncode == 1 and done.stdout == ""
    assert "workers" in done.stderr and "batch_tme" in done.stderr
    assert re.search(r"retentiond\.conf:\d+: ", done.stderr)
    assert not stage.calls()


def test_check_says_all_that_is_wrong_with_the_model(staged, stage):
    stage.play(check=REFUSED)
    done = staged().check_config()
    assert done.returncode == 1
    assert "shoe_size" in done.stderr and "does not exist" in done.stderr


def test_check_without_a_database(staged, stage):
    stage.play(check=AWAY)
    done = staged().check_config()
    assert done.returncode == 3 and "was not checked" in done.stderr
    assert done.stdout == "configuration OK, except for the model\n"


def test_check_that_could_not_be_finished(staged, stage):
    stage.play(check=INCOMPLETE, check_note="crm.contact is locked")
    done = staged().check_config()
    assert (done.returncode, done.stdout) == (1, "")
    assert "the model could not be checked: crm.contact is locked" in done.stderr


# --- Start ------------------------------------------------------------------------------------


def test_start_and_stop(staged, stage):
    d = started(staged())
    wait_until(lambda: re.search(r"state: idle, next: contacts-36m at \d{4}-\d\d-01 00:00", state(d)))
    assert d.stop() == 0
    assert stage.calls(check=False) == []


def test_without_the_schema_it_ends(staged):
    d = staged(migrate=False).start()
    assert d.wait() == 1
    assert d.log_contains("schema retention is missing: run retentionctl migrate")


def test_with_another_schema_it_ends(staged):
    d = staged()
    d.pg.sql(d.db, "UPDATE retention.schema_version SET version = version + 100 WHERE version = 3")
    assert d.start().wait() == 1
    assert d.log_contains("at version 103.*install the newer retentiond")


def test_with_a_refused_model_it_ends(staged, stage):
    stage.play(check=REFUSED)
    d = staged().start()
    assert d.wait() == 1
    assert d.log_contains("shoe_size") and d.log_contains("the model is refused")


def test_ready_does_not_say_that_nothing_is_enabled(staged):
    """As long as the daemon has not asked the database for its policies' last occurrences, it says so."""
    d = started(staged())
    assert re.search("ready: (asking what is due|idle, next: contacts-36m)", d.log_text()), d.log_text()
    assert d.stop() == 0


def test_a_check_that_lasts(staged, stage):
    """The log says, before the check has ended, why the daemon is not ready, and what the check waits for."""
    stage.play(check_waits_for="go", check_says="waiting locks crm.contact is locked")
    d = staged().start()
    d.wait_for_log("the model is not checked yet: crm.contact is locked")
    d.wait_for_log("not ready yet: the model is not checked yet: crm.contact is locked")
    stage.touch("go")
    d.wait_for_log("ready: ")
    assert d.stop() == 0


def test_a_check_that_was_not_finished_at_the_start(staged, stage):
    """The daemon is ready and says why nothing runs; --once ends, and says it, too."""
    stage.play(check=INCOMPLETE, check_note="crm.contact is locked")
    d = started(staged())
    assert "the model is not checked yet: crm.contact is locked" in d.log_text()
    assert "state: the model is not checked yet: crm.contact is locked" in state(d)
    assert d.stop() == 0
    done = d.once(check=False)
    assert done.returncode == 1 and "the model is not checked yet: crm.contact is locked" in done.stderr


def test_without_its_job_program_it_ends(staged, stage):
    (stage.dir / "retention-job").write_text("#!/no/such/interpreter\n")
    d = staged().start()
    assert d.wait() == 1
    assert d.log_contains("cannot run .*retention-job")


# --- Pauses -----------------------------------------------------------------------------------


def test_a_pause_of_everything(staged, stage):
    """Nothing is started or listed, also after a restart; the log and STATUS say so; resume wakes the daemon."""
    d = started(staged())
    d.ctl("pause")
    d.wait_for_log("everything is paused: nothing is started before retentionctl resume: paused by ")
    job = save(d, validate=False)
    wait_until(lambda: f"job {job} (export) is paused" in state(d))
    assert f"state: everything is paused by {d.pg.SUPERUSER}: retentionctl resume" in state(d)
    assert d.stop() == 0
    since = d.log_position()
    d.start()
    d.wait_for_log(r"ready: ", since=since)
    d.wait_for_log("everything is paused", since=since)
    assert stage.calls(check=False) == []
    began = time.monotonic()
    d.ctl("resume")
    d.wait_for_job(f"id = {job} AND frozen_at IS NOT NULL")
    assert time.monotonic() - began < 10, "without NOTIFY it takes a minute"
    assert d.log_contains("the pause of everything has ended", since=since)
    assert d.stop() == 0


def test_a_paused_action(staged, stage):
    """It is not started, and what comes behind it is; a job that was stopped is not resumed before the pause ends."""
    stage.play(waits_for="go")
    d = started(staged())
    first = save(d)
    d.wait_for_job(f"id = {first} AND status = 'running'")
    d.ctl("pause", first)
    assert d.stop() == 0
    d.start()
    second = save(d)
    d.wait_for_job(f"id = {second} AND status = 'running'")
    assert [c["job"] for c in stage.calls(check=False)] == [first, first, second, second], "each listed, then run"
    stage.touch("go")
    d.wait_for_job(f"id = {second} AND status = 'done'")
    wait_until(lambda: "state: actions paused: 1" in state(d))
    assert d.jobs(f"id = {first}")[0]["status"] == "running"
    d.ctl("resume", first)
    d.wait_for_job(f"id = {first} AND status = 'done'")
    assert d.stop() == 0


def test_once_while_everything_is_paused(staged, stage):
    d = staged()
    d.ctl("pause")
    done = d.once()
    assert done.returncode == 0 and "everything is paused" in done.stderr and stage.calls(check=False) == []


def test_another_action_of_a_refused_number(staged, stage):
    """After a restored backup a number can be given again: the new action does not wait for the hour of the old one."""
    stage.play(end=REFUSED)
    d = started(staged())
    job = save(d)
    d.wait_for_log(f"job {job} .* is refused")
    wait_until(lambda: f"state: job {job} (action {job}) is refused: as the play has it" in state(d))
    stage.play()
    d.pg.tamper(d.db, f"UPDATE retention.archive_journal SET requested_at = requested_at + interval '1 s' WHERE id = {job}")
    d.pg.sql(d.db, "NOTIFY retention")
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert d.stop() == 0


def test_a_killed_job_has_no_reason(staged, stage):
    """What it noted earlier is not why it ended."""
    stage.play(says="note key 7 goes in one transaction", waits_for="never", ignores_term=True)
    d = started(staged())
    last_was(d, "contacts-36m", "now() - interval '100 days'")
    d.reload()
    d.wait_for_job("status = 'running'")
    wait_until(lambda: "process " in state(d))
    assert d.stop() == 0
    line = re.search(r"job \d+ \(contacts-36m\) was stopped.*", d.log_text()).group()
    assert "key 7" not in line, line


# --- What is due ------------------------------------------------------------------------------


def test_what_was_missed_runs_once(staged):
    d = staged()
    last_was(d, "contacts-36m", "now() - interval '100 days'")
    started(d)
    job = d.wait_for_job()
    assert job["occurrence"].isoformat()[8:] == "01T00:00:00+00:00"
    assert d.pg.value(d.db, "SELECT date_trunc('month', now()) = %s", (job["occurrence"],))
    d.wait_for_log("is done: 50 of 50: as the play has it")
    assert d.stop() == 0
    assert len(d.jobs()) == 1
    since = d.log_position()
    d.start()
    d.wait_for_log("ready", since=since)
    wait_until(lambda: "idle, next" in state(d))
    assert len(d.jobs()) == 1


def test_a_policy_that_is_new_waits(staged):
    d = started(staged())
    wait_until(lambda: d.pg.sql(d.db, "SELECT 1 FROM retention.policy_state"))
    assert d.jobs() == []


def test_a_policy_with_another_schedule_waits(staged):
    """Its last occurrence was one of the other schedule, so that nothing of this one was missed."""
    d = staged()
    last_was(d, "contacts-36m", "now() - interval '100 days'", schedule="17 3 * * *")
    started(d)
    wait_until(lambda: "state: idle, next: contacts-36m at " in state(d))
    assert d.jobs() == []
    assert d.pg.value(d.db, "SELECT schedule = %s AND last_occurrence > now() - interval '1 hour' FROM retention.policy_state", (MONTHLY,))


def test_it_runs_when_its_time_comes(staged):
    d = started(staged(policies=[{**POLICY, "schedule": "* * * * *"}]))
    d.wait_for_job(timeout=90)


def test_a_policy_waits_for_its_earlier_pass(staged, stage):
    stage.play(waits_for="go")
    d = staged()
    last_was(d, "contacts-36m", "now() - interval '100 days'")
    started(d)
    d.wait_for_job("status = 'running'")
    # As if the next month had come meanwhile: this month's pass has not begun.
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET occurrence = occurrence - interval '1 month'")
    last_was(d, "contacts-36m", "now() - interval '100 days'")
    d.reload()
    d.wait_for_log("reloaded")
    # Asked again for each NOTIFY: for a moment it is not known.
    wait_until(lambda: "put off until an earlier pass has ended" in state(d))
    assert len(d.jobs()) == 1
    stage.play()
    stage.touch("go")
    wait_until(lambda: [j["status"] for j in d.jobs()] == ["done", "done"])
    first, second = d.jobs()
    assert first["occurrence"] < second["occurrence"]


def test_two_daemons_run_each_occurrence_once(pg, crm_db, tmp_path, stage):
    db = crm_db(40)
    names = [f"p{i}" for i in range(5)]
    policies = [{**POLICY, "name": name} for name in names]
    both = [Daemon(tmp_path / side, pg, db, build=stage.dir, policies=policies) for side in "ab"]
    both[0].migrate()
    for name in names:
        last_was(both[0], name, "now() - interval '100 days'")
    try:
        for d in both:
            d.start()
        wait_until(lambda: len(both[0].jobs("status = 'done'")) == len(names))
        for d in both:
            assert d.stop() == 0
        assert sorted(j["policy"] for j in both[0].jobs()) == names
        ran = [c["job"] for c in stage.calls(check=False) if c["status"] != "done"]
        assert set(ran) == {j["id"] for j in both[0].jobs()}
        for d in both:
            assert not d.log_contains("failed|died")
    finally:
        for d in both:
            d.kill()
            d.check_logs()


# --- Jobs -------------------------------------------------------------------------------------


def test_a_saved_action_is_listed_while_a_pass_runs(staged, stage):
    stage.play(waits_for="go")
    d = staged()
    last_was(d, "contacts-36m", "now() - interval '100 days'")
    started(d)
    d.wait_for_job("status = 'running'")
    job = save(d)
    d.wait_for_log(rf"job {job} \(action {job}\) is listed, and waits for approval")
    wait_until(lambda: len(d.children()) == 1)
    stage.touch("go")
    d.wait_for_job(f"id = {job} AND status = 'done'")


def test_a_job_inherits_two_descriptors(staged, stage):
    d = started(staged())
    d.wait_for_job(f"id = {save(d)} AND status = 'done'")
    # The three standard ones, the configuration, the status pipe, and the folder that is listed.
    assert {c["fds"] for c in stage.calls()} == {6}


def test_a_job_that_dies_is_started_again(staged, stage):
    stage.play(signal=signal.SIGSEGV)
    d = started(staged())
    job = save(d)
    d.wait_for_log(rf"job {job} \(action {job}\) has died of signal 11, and will be resumed")
    wait_until(lambda: len([c for c in stage.calls(check=False) if c["job"] == job and
                            c["status"] == "running"]) >= 2)
    stage.play()
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert d.returncode is None


def test_a_refused_job_waits_for_a_reload(staged, stage):
    stage.play(end=REFUSED)
    d = started(staged())
    job = save(d)
    d.wait_for_log("is refused, and tried again after a reload")
    before = len(stage.calls(check=False))
    save(d, validate=False)  # its NOTIFY makes the daemon look again
    d.wait_for_log("is listed")
    wait_until(lambda: re.search(rf"job {job} .*is refused, tried again in \d+ s", state(d)))
    assert len([c for c in stage.calls(check=False)[before:] if c["job"] == job]) == 0
    stage.play()
    d.reload()
    d.wait_for_job(f"id = {job} AND status = 'done'")


def test_what_a_job_waits_for_is_said_once(staged, stage):
    stage.play(waiting="other room on the disk", waits_for="go")
    d = started(staged())
    job = save(d)
    d.wait_for_log("waits: room on the disk")
    assert "12 of 50, 3 min left, waiting: room on the disk" in state(d)
    stage.touch("go")
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert len(re.findall(r"\) waits: room on the disk", d.log_text())) == 1


def test_a_pace_is_no_change_of_what_a_job_waits_for(staged, stage):
    """The rests of a pace and of courtesy take turns, batch by batch: the log has the one once, and when it is over."""
    stage.play(waiting="rows_per_second rate|courtesy others|rows_per_second rate|courtesy others|rows_per_second rate||"
                       "rows_per_second rate||archiver the archiver, 5 MiB|rows_per_second rate|"
                       "archiver the archiver, 6 MiB|other no room|other no server")
    d = started(staged())
    d.wait_for_job(f"id = {save(d)} AND status = 'done'")
    d.wait_for_log("is done: 50 of 50")
    assert re.findall(r"\) (waits: .*|goes on)", d.log_text()) == 3 * [
        "waits: others", "goes on", "waits: the archiver, 5 MiB", "waits: no room", "waits: no server"]


def test_garbage_on_the_status_pipe(staged, stage):
    stage.play(garbage=True)
    d = started(staged())
    d.wait_for_job(f"id = {save(d)} AND status = 'done'")
    d.wait_for_log("is done: 50 of 50")
    assert d.stop() == 0


# --- Reload -----------------------------------------------------------------------------------


def config_of(stage, job):
    return [c for c in stage.calls(check=False) if c["job"] == job][-1]["config"]


def test_reload_takes_the_new_file(staged, stage):
    d = started(staged())
    d.configure(policies=[{**POLICY, "name": "another", "schedule": "weekly"}], limits={"workers": 7})
    d.reload()
    d.wait_for_log("reloaded .*: 1 policy$")
    assert "state: policy another" in state(d)
    job = save(d)
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert "workers = 7" in config_of(stage, job)


def test_a_reload_changes_the_time_zone(staged):
    """Of what is due next, and of the log's lines."""
    d = started(staged())

    def zone():
        return state(d).strip().splitlines()[-1][19:24]

    wait_until(lambda: re.search(r"next \d{4}-\d\d-01 00:00", state(d)))
    assert zone() == "+0000"
    d.configure(database={"timezone": "Pacific/Kiritimati"})
    d.reload()
    d.wait_for_log("reloaded")
    wait_until(lambda: re.search(r"next \d{4}-\d\d-01 00:00", state(d)))
    assert zone() == "+1400"


def test_a_bad_file_changes_nothing(staged, stage):
    """Not one of its values is taken, however good the others are."""
    d = started(staged(database={"timezone": "Europe/Paris"}))
    wait_until(lambda: "idle, next" in state(d))
    before = state(d)
    first = save(d)
    d.wait_for_job(f"id = {first} AND status = 'done'")
    d.configure(database={"timezone": "Asia/Tokyo"}, limits={"workers": 7, "batch_rows": "many"},
                policies=[{**POLICY, "depth": "18 moths", "schedule": "yearly"}])
    d.reload()
    d.wait_for_log("the configuration stays as it was")
    assert d.log_contains("batch_rows") and d.log_contains("18 moths")
    after = state(d)

    def said(text):
        return re.findall(r"state: policy.*|state: .* loaded at .*", text)

    assert said(before) == said(after)
    second = save(d)
    d.wait_for_job(f"id = {second} AND status = 'done'")
    assert config_of(stage, first) == config_of(stage, second)
    assert d.log_text().strip().splitlines()[-1][19:24] in ("+0100", "+0200")


def test_a_model_that_does_not_hold_changes_nothing(staged, stage):
    d = started(staged(database={"timezone": "Europe/Paris"}))
    stage.play(refuse_configs_with="workers = 7")
    d.configure(limits={"workers": 7}, database={"timezone": "Asia/Tokyo"})
    d.reload()
    d.wait_for_log("its model does not hold: the configuration stays as it was")
    assert d.log_contains("shoe_size")
    job = save(d)
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert "workers = 7" not in config_of(stage, job)
    assert d.log_text().strip().splitlines()[-1][19:24] in ("+0100", "+0200")


def test_a_running_job_keeps_its_configuration(staged, stage):
    stage.play(waits_for="go")
    d = started(staged())
    first = save(d)
    d.wait_for_job(f"id = {first} AND status = 'running'")
    d.configure(limits={"workers": 7})
    d.reload()
    d.wait_for_log("reloaded")
    stage.touch("go")
    d.wait_for_job(f"id = {first} AND status = 'done'")
    second = save(d)
    d.wait_for_job(f"id = {second} AND status = 'done'")
    assert len([c for c in stage.calls(check=False) if c["job"] == first and c["status"] != "saved"]) == 1
    assert "workers = 7" not in config_of(stage, first)
    assert "workers = 7" in config_of(stage, second)


def test_a_reload_during_a_reload_is_remembered(staged, stage):
    d = started(staged())
    stage.play(check_waits_for="go")
    d.configure(limits={"workers": 6})
    d.reload()
    wait_until(lambda: len(stage.calls(check=True)) == 2)
    d.configure(limits={"workers": 7})
    d.reload()
    d.reload()
    state(d)  # it has taken the signals
    assert len(stage.calls(check=True)) == 2
    stage.touch("go")
    wait_until(lambda: len(re.findall("reloaded", d.log_text())) == 2)
    assert "workers = 7" in stage.calls(check=True)[-1]["config"]


def test_reload_moves_to_another_database(staged, crm_db):
    d = started(staged())
    d.db = crm_db(40)
    d.configure()
    d.migrate()
    d.reload()
    d.wait_for_log("reloaded")
    job = save(d)
    d.wait_for_job(f"id = {job} AND status = 'done'")


# --- A database that comes and goes -----------------------------------------------------------


def test_the_database_is_away_at_start(own_pg, crm_db, staged):
    server = own_pg()
    d = staged(server=server)
    server.stop()
    d.start()
    d.wait_for_log("ready: waiting for the database")
    server.start()
    d.wait_for_log("the database is back")
    job = save(d)
    d.wait_for_job(f"id = {job} AND status = 'done'")
    assert len(re.findall("waiting for the database: ", d.log_text())) == 2  # the event, and `ready:`


def test_the_database_is_away_for_a_while(own_pg, staged, stage):
    server = own_pg()
    d = started(staged(server=server))
    server.stop()
    d.wait_for_log("waiting for the database")
    since = d.log_position()
    d.configure(limits={"workers": 7})
    d.reload()
    d.wait_for_log("the model will be checked before the next job")
    stage.play(refuse_configs_with="workers = 7")
    server.start()
    d.wait_for_log("the model is refused: nothing is started", since=since)
    job = save(d, validate=False)
    assert "nothing runs until a reload corrects it" in state(d)
    assert stage.calls(check=False) == []
    d.configure(limits={"workers": 5})
    d.reload()
    d.wait_for_job(f"id = {job} AND frozen_at IS NOT NULL")


def test_a_lost_connection_is_built_anew(staged):
    d = started(staged())
    for _ in range(3):
        since = d.log_position()
        assert wait_until(lambda: d.pg.value(d.db, """
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'retentiond' AND datname = current_database()"""))
        d.wait_for_log("waiting for the database", since=since)
        d.wait_for_log("the database is back", since=since)
    d.wait_for_job(f"id = {save(d)} AND status = 'done'")


def test_a_server_that_does_not_answer(staged, proxy):
    """The loop goes on: signals are answered, the end is in time."""
    p = proxy()
    d = staged()
    d.configure(host=p.dir)
    p.stall()
    d.start()
    d.wait_for_log("started with")
    state(d)
    begun = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - begun < 15
    p.resume()


# --- The end ----------------------------------------------------------------------------------


def running_job(d, stage, **play):
    stage.play(waits_for="never", **play)
    started(d)
    job = save(d)
    d.wait_for_job(f"id = {job} AND status = 'running'")
    d.wait_for_log("is started")
    return job


def test_term_stops_the_job(staged, stage):
    d = staged()
    job = running_job(d, stage)
    children = d.children()
    begun = time.monotonic()
    assert d.stop() == 0
    assert d.log_contains("was stopped, and will be resumed")
    assert not d.log_contains("has not stopped within 4 s")
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)
    stage.play()
    d.start()
    d.wait_for_job(f"id = {job} AND status = 'done'")


def test_a_job_that_does_not_stop_is_killed(staged, stage):
    d = staged()
    running_job(d, stage, ignores_term=True)
    begun = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - begun > 3.5
    assert d.log_contains("has not stopped within 4 s")


def test_a_second_term_kills_at_once(staged, stage):
    d = staged()
    running_job(d, stage, ignores_term=True)
    d.signal(signal.SIGTERM)
    d.wait_for_log("stopping")
    d.signal(signal.SIGINT)
    assert d.wait() == 0
    assert not d.log_contains("has not stopped within 4 s")


def test_a_job_does_not_outlive_the_daemon(staged, stage):
    d = staged()
    running_job(d, stage)
    children = d.children()
    d.signal(signal.SIGKILL)
    d.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children))


# --- --once -----------------------------------------------------------------------------------


def test_once_runs_what_has_never_run(staged, stage):
    d = staged(policies=[POLICY, {**POLICY, "name": "other"}, {**POLICY, "name": "off", "enabled": False}])
    assert d.once().returncode == 0
    assert sorted((j["policy"], j["status"]) for j in d.jobs()) == [("contacts-36m", "done"), ("other", "done")]
    assert all(c["once"] for c in stage.calls(check=False))
    assert d.once().returncode == 0
    assert len(d.jobs()) == 2


@pytest.mark.parametrize("play, status", [
    ({"end": FAILED}, 1), ({"end": INCOMPLETE}, 1), ({"end": REFUSED}, 1), ({"end": AWAY}, 1), ({"signal": signal.SIGKILL}, 1),
    ({"approval": True}, 0), ({"check": REFUSED}, 1), ({"check": AWAY}, 1)])
def test_once_exits_with(staged, stage, play, status):
    stage.play(**play)
    d = staged()
    assert d.once(check=False).returncode == status
    if play.get("approval"):
        assert d.log_contains("waits for approval")
    if play.get("end") == INCOMPLETE:
        assert d.log_contains("is done, but not with all contacts")


def test_once_takes_up_what_was_left(staged, stage):
    d = staged()
    stage.play(signal=signal.SIGKILL)
    assert d.once(check=False).returncode == 1
    stage.play()
    assert d.once().returncode == 0
    assert [j["status"] for j in d.jobs()] == ["done"]


def test_once_lists_and_runs_manual_actions(staged):
    d = staged(policies=[])
    job = save(d, validate=False)
    assert d.once().returncode == 0
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    assert d.once().returncode == 0
    assert [j["status"] for j in d.jobs()] == ["done"]


def test_once_without_a_schema(staged):
    assert staged(migrate=False).once(check=False).returncode == 1


def test_once_gives_up_on_a_database_that_stays_away(own_pg, staged):
    server = own_pg()
    d = staged(server=server)
    server.stop()
    begun = time.monotonic()
    assert d.once(check=False).returncode == 1
    assert time.monotonic() - begun > 25
