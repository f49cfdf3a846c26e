"""Somebody is told of events (notify.command): at least once, without a person's data, and the daemon waits for nobody."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import threading

import pytest

from support.harness import REPO, libconfig, wait_until

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly"}
ALL = ["failed", "refused", "waiting", "incomplete", "restored", "done"]


class Command:
    """A program that adds what it is told to a file, after the lines that a test gives it."""

    def __init__(self, folder, name="tell"):
        self.folder = folder / "bin"
        self.folder.mkdir(exist_ok=True)
        self.path, self.heard = self.folder / name, folder / f"{name}.heard"
        self.does("")

    def does(self, *lines, mode=0o755):
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(["#!/bin/sh", *lines, f"cat >>{self.heard}", ""]))
        new.chmod(mode)
        os.replace(new, self.path)  # one that runs reads its file to the end

    def events(self):
        return [json.loads(line) for line in self.heard.read_text().splitlines()] if self.heard.exists() else []

    def names(self):
        return [e["event"] for e in self.events()]

    def group(self, on=ALL, timeout="20s", words=()):
        return f'notify: {{ command = {libconfig((self.path, *words))}; on = {libconfig(on)}; timeout = "{timeout}"; }};'


@pytest.fixture
def command(tmp_path):
    return Command(tmp_path)


@pytest.fixture
def told(daemon, command):
    def make(notify=None, **kwargs):
        return daemon(extra=notify or command.group(), **{"policies": [POLICY], **kwargs})
    return make


def mark(d):
    return d.pg.value(d.db, "SELECT event FROM retention.told")


def newest(d):
    return d.pg.value(d.db, "SELECT max(id) FROM retention.journal_event")


def test_done(told, command):
    """--once tells before it ends, once; the event has counts and names of the configuration, and no more."""
    d = told()
    d.once()
    (event,) = command.events()
    (job,) = d.jobs()
    assert event == {
        "event": "done", "id": event["id"], "at": event["at"], "database": d.db, "kind": "done", "job": job["id"],
        "action": "delete_contacts", "mode": "automatic", "policy": "old", "status": "done", "candidates": job["candidates"],
        "treated": job["counters"]["treated"], "failed": 0, "left": 0,
        "text": f"retentiond, {d.db}: action 1 (old, delete_contacts) is done, {job['counters']['treated']} treated: "
                "see retentionctl show 1"}
    assert event["id"] == d.pg.value(d.db, "SELECT id FROM retention.journal_event WHERE kind = 'done'")
    d.once()
    assert len(command.events()) == 1 and mark(d) == newest(d)


def test_waiting_and_validated(told, command):
    d = told(policies=[{**POLICY, "approval": True}])
    d.once()
    assert command.names() == ["waiting"] and command.events()[0]["candidates"] == d.jobs()[0]["candidates"]
    d.ctl("validate", "1")
    d.once()
    assert command.names() == ["waiting", "done"]


def test_who_waits_for_nobody_is_not_told(told, command):
    d = told(command.group(on=["waiting"]))
    d.once()
    assert command.events() == [] and mark(d) == newest(d), "the mark goes on, so that nobody reads the whole journal"


def test_incomplete(told, command):
    d = told()
    d.pg.sql(d.db, """CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'not tok-99999 of %', OLD.id; END $$""")
    key = d.pg.value(d.db, """SELECT contact_id FROM crm.request GROUP BY 1 HAVING bool_and(status = 'closed')
                              AND max(created_at) < now() - interval '40 months' ORDER BY 1 LIMIT 1""")
    d.pg.sql(d.db, f"CREATE TRIGGER no BEFORE DELETE ON crm.contact FOR EACH ROW WHEN (OLD.id = {key}) EXECUTE FUNCTION crm.no()")
    d.once(check=False)
    (event,) = command.events()
    assert (event["event"], event["failed"]) == ("incomplete", 1)
    assert "tok-" not in command.heard.read_text()


def test_refused_then_done(told, command):
    """Once for a reason, however often it is tried; told without the reason's text."""
    d = told()
    d.once("-v", failpoint="job-before-list", check=False)
    command.heard.unlink(missing_ok=True)
    d.pg.sql(d.db, "UPDATE retention.archive_journal SET error = 'the value tok-12345 is wrong' WHERE id = 1")
    d.pg.sql(d.db, "UPDATE retention.archive_journal SET counters = '{\"integrity\": \"x\"}' WHERE id = 1")
    d.once()
    assert command.names() == ["refused", "done"] and "tok-12345" not in command.heard.read_text()


def test_a_start_that_is_refused(told, command):
    d = told()
    d.once()
    d.pg.sql(d.db, "ALTER TABLE crm.contact ADD COLUMN nickname text")
    assert d.once(check=False).returncode == 1
    assert [(e["event"], e["kind"]) for e in command.events()] == [("done", "done"), ("refused", "model_refused")]
    d.start()
    assert d.wait() == 1
    assert len(command.events()) == 2, "once an hour"


def test_abandoned_and_restored(told, command):
    d = told(command.group(on=["failed", "restored"]), policies=[{**POLICY, "archive": "full", "approval": True}])
    d.once()
    d.ctl("validate", "1")
    d.once(failpoint="job-before-start", check=False)
    command.heard.unlink()
    d.ctl("abandon", "1", "--reason", "a mistake")
    d.once()
    assert [(e["event"], e["job"]) for e in command.events()] == [("failed", 1)]
    d.configure(policies=[{**POLICY, "name": "new", "archive": "full"}])
    d.once()
    d.ctl("archive", "restore", d.jobs()[-1]["id"])
    d.once(check=False)
    assert [(e["event"], e["kind"]) for e in command.events()][-1] == ("restored", "restored")


def test_a_job_that_dies(told, command):
    d = told(command.group(on=["failed"]))
    d.once(failpoint="job-before-start", check=False)
    assert [(e["event"], e["kind"], e["job"]) for e in command.events()] == [("failed", "crashed", 1)]
    d.once(failpoint="job-before-start", check=False)
    assert len(command.events()) == 1, "once an hour"


def test_from_before(told, command):
    """What had happened when the group came is not told."""
    d = told("# nothing")
    d.once()
    d.configure(extra=command.group())
    d.once()
    assert command.events() == []


def test_what_the_command_gets(told, command, tmp_path):
    """No shell looks at its words; no descriptor, no variable and no process group of the daemon's."""
    out, script = tmp_path / "got", tmp_path / "descriptors"
    script.write_text("""#!/usr/bin/python3
import json, os, sys
fds = [(n, os.readlink("/proc/self/fd/" + n)) for n in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + n)]
json.dump([f for f in fds if f[1] != sys.argv[0]], open(sys.argv[1], "w"))
""")
    script.chmod(0o755)
    command.does(f'printf "%s\\n" "$@" >{out}.words', f"env >{out}.env", f"{script} {out}.fds",
                 f"cut -d' ' -f5 /proc/$$/stat >{out}.group", f"echo $$ >{out}.pid", "echo said; echo complained >&2")
    d = told(command.group(words=("$HOME", "a b", "; touch x", "*")))
    d.once(env={"SECRET": "x", "PGPASSWORD": "y", "CREDENTIALS_DIRECTORY": "/run/c"})
    assert (out.with_suffix(".words")).read_text() == "$HOME\na b\n; touch x\n*\n"
    names = {line.split("=")[0] for line in out.with_suffix(".env").read_text().splitlines()}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "LANG", "CREDENTIALS_DIRECTORY"}
    fds = {number: target for number, target in json.loads(out.with_suffix(".fds").read_text())}
    assert set(fds) == {"0", "1", "2"} and fds["1"] == "/dev/null"
    assert out.with_suffix(".group").read_text() == out.with_suffix(".pid").read_text()
    assert "complained" in d.log_text() and "said" not in d.log_text()
    assert command.names() == ["done"]


def test_again_until_it_is_told(told, command, tmp_path):
    """Two failures, then it works: the same event, and the log says each end of the trouble once."""
    tries = tmp_path / "tries"
    command.does(f"echo x >>{tries}", f"[ $(wc -l <{tries}) -ge 3 ] || exit 7")
    d = told()
    d.once()
    assert command.names() == ["done"] and len(tries.read_text()) == 6
    assert d.log_text().count("has ended with exit status 7: it is told again later") == 1
    assert d.log_contains(r"event \d+ was told")


def test_given_up_for_now(told, command):
    d = told()
    command.does("exit 1")
    assert d.once(check=False).returncode == 1
    assert d.jobs()[0]["status"] == "done" and command.events() == []
    assert d.log_contains("--once tells it when it is called again")
    command.does()
    d.once()
    assert command.names() == ["done"]


def test_too_long(told, command, tmp_path):
    """It is killed with all that it started, and the event is told by the next try."""
    pids = tmp_path / "pids"
    command.does(f"[ -e {pids} ] || {{ sleep 600 & echo $! >{pids}.new; mv {pids}.new {pids}; trap '' TERM; wait; }}")
    d = told(command.group(timeout="1s"))
    d.once()
    assert command.names() == ["done"] and d.log_contains("took longer than notify.timeout, and was killed")
    wait_until(lambda: not os.path.exists(f"/proc/{int(pids.read_text())}") or
               open(f"/proc/{int(pids.read_text())}/stat").read().rsplit(")", 1)[1].split()[0] == "Z")


@contextlib.contextmanager
def held(command, tmp_path):
    """The command waits in the middle, having said so, until the context ends."""
    fifo, at = tmp_path / "fifo", tmp_path / "at"
    os.mkfifo(fifo)
    command.does(f"echo x >>{at}", f"read -r go <{fifo}")
    yield lambda: wait_until(lambda: at.exists())
    command.does()
    with contextlib.suppress(OSError):
        os.write(os.open(fifo, os.O_RDWR | os.O_NONBLOCK), b"go\n" * 10)


def tells(d, runs):
    """The daemon begins to tell that an action waits, and has not ended to."""
    d.start()
    d.wait_for_log("ready: ")
    d.pg.value(d.db, "SELECT retention.save_action('export', '2023-01-01', '2023-01-31')")
    runs()


def test_nobody_waits_for_it(told, command, tmp_path):
    """While the command hangs, the next action runs to its end."""
    d = told(policies=[])
    with held(command, tmp_path) as runs:
        tells(d, runs)
        d.ctl("validate", "1")
        d.wait_for_job()
    wait_until(lambda: command.names() == ["waiting", "done"])
    assert d.stop() == 0


def test_a_crash_tells_it_again(told, command, tmp_path):
    d = told(command.group(timeout="60s"), policies=[])
    with held(command, tmp_path) as runs:
        tells(d, runs)
        d.kill()
    assert command.events() == []
    d.start()
    wait_until(lambda: command.names() == ["waiting"])
    assert d.stop() == 0


def test_a_stop_lets_it_end(told, command, tmp_path):
    """And what it has told is not told again."""
    d = told(command.group(timeout="60s"), policies=[])
    with held(command, tmp_path) as runs:
        tells(d, runs)
        d.signal(signal.SIGTERM)
        d.wait_for_log("stopping")
    assert d.wait() == 0 and command.names() == ["waiting"]
    d.start()
    d.wait_for_log("ready: ", since=d.log_position())
    d.ctl("validate", "1")
    wait_until(lambda: command.names() == ["waiting", "done"])
    assert d.stop() == 0


def test_a_reload_takes_another_command(told, command, tmp_path):
    d = told(policies=[])
    command.does("exit 1")
    d.start()
    d.wait_for_log("ready: ")
    d.pg.value(d.db, "SELECT retention.save_action('export', '2023-01-01', '2023-01-31')")
    d.wait_for_log("nobody was told of event")
    other = Command(tmp_path, "other")
    d.configure(extra=other.group())
    d.reload()
    wait_until(lambda: other.names() == ["waiting"])
    d.configure(extra="")
    d.reload()
    d.wait_for_log("reloaded", since=d.log_position())
    d.ctl("validate", "1")
    d.wait_for_job()
    assert d.stop() == 0 and other.names() == ["waiting"]


def test_the_connection_breaks_under_it(told, command, tmp_path):
    """The command has told it, and the mark waits for the database."""
    d = told(policies=[])
    with held(command, tmp_path) as runs:
        tells(d, runs)
        d.pg.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (d.db,))
        d.wait_for_log("waiting for the database")
    wait_until(lambda: command.names() == ["waiting"])
    wait_until(lambda: mark(d) == newest(d))
    assert d.stop() == 0 and command.names() == ["waiting"]


def test_a_program_that_is_exchanged(told, command):
    """It was fine when the daemon began: what others can write by now is not run, and the log says why."""
    d = told(policies=[])
    d.start()
    d.wait_for_log("ready: ")
    command.path.chmod(0o777)
    d.pg.value(d.db, "SELECT retention.save_action('export', '2023-01-01', '2023-01-31')")
    d.wait_for_log(r"was not run \(.*can be written by others than root and its owner \(mode 0777\): chmod go-w it\)")
    command.path.chmod(0o755)
    wait_until(lambda: command.names() == ["waiting"])
    assert d.stop() == 0


def test_a_backlog_is_cut(told):
    """Where more wait than are kept, the oldest are dropped, and the next thing that is told is how many."""
    d = told()
    ask = "SELECT event, content FROM retention.next_notice(%s, %s, 2)"
    assert d.pg.sql(d.db, "SELECT * FROM retention.next_notice(NULL, %s, 2)", (ALL,)) == []
    for day in range(1, 6):
        d.pg.value(d.db, f"SELECT retention.save_action('export', '2023-01-0{day}', '2023-01-0{day}')")
    d.pg.tamper(d.db, """INSERT INTO retention.journal_event (id, at, kind, actor, details, previous_hash, hash)
        SELECT 1000 + n, now(), CASE WHEN n = 2 THEN 'ledger_ahead' ELSE 'failed' END, 'x', '{}', '', '' FROM generate_series(1, 5) AS n""")
    ((event, content),) = d.pg.sql(d.db, ask.replace("SELECT event", "SELECT ALL event"), (None, ALL))
    assert (event, content["event"], content["dropped"]) == (1003, "dropped", {"failed": 2, "restored": 1})
    assert d.pg.value(d.db, "SELECT event FROM retention.told") < 1001, "not before it was told"
    assert [d.pg.sql(d.db, ask, (n, ALL))[0][0] for n in (1003, 1004)] == [1004, 1005]
    assert d.pg.sql(d.db, ask, (1005, ALL)) == []
    assert d.pg.sql(d.db, ask, (1001, ALL)) == [] and mark(d) == 1005, "the mark never goes back"


@pytest.mark.parametrize("break_it, says", [
    (lambda c: c.path.unlink(), "cannot be run: No such file or directory"),
    (lambda c: (c.path.unlink(), c.path.mkdir()), "is not a regular file"),
    (lambda c: c.path.chmod(0o775), r"can be written by others than root and its owner (mode 0775): chmod go-w it"),
    (lambda c: c.path.chmod(0o644), "cannot be run: Permission denied"),
    (lambda c: c.folder.chmod(0o777), "is open to others (mode 0777)"),
])
def test_what_is_checked(told, command, break_it, says):
    """-t refuses; the daemon warns, and works."""
    d = told()
    assert d.check_config().returncode == 0
    break_it(command)
    done = d.check_config()
    assert done.returncode == 1 and "notify.command: " in done.stderr and says in done.stderr
    assert d.once(check=False).returncode == 1
    assert d.jobs()[0]["status"] == "done" and d.log_contains("notify.command: ")


@pytest.mark.parametrize("group, says", [
    ('command = [ "tell" ]', 'command: "tell" must begin with /'),
    ('command = [ "/bin/true" ]; on = [ "finished" ]', 'on: "finished" is not an event'),
    ('command = [ "/bin/true" ]; timeout = "1h"', "is not a duration (Nms, Ns, Nmin, Nh) from 1s to 5min"),
    ('on = [ "done" ]', "command is missing"),
])
def test_what_is_refused(told, group, says):
    done = told(f"notify: {{ {group}; }};").check_config()
    assert done.returncode == 1 and says in done.stderr


def test_printed(told, command, tmp_path):
    """-t -v prints the group so that it reads back to the same."""
    d = told(command.group(on=["done"], words=('a "b"',)))
    printed = d.check_config("-v").stdout
    assert f'notify: {{\n\tcommand = [ "{command.path}", "a \\"b\\"" ];\n\ton = [ "done" ];\n\ttimeout = "20s";\n}};' in printed


# --- The examples -----------------------------------------------------------------------------

EVENT = ('{"id": 7, "job": 1, "text": "retentiond, d\\"b: action 1 is done", "event": "done", "policy": "old"}\n')


def run_example(name, *args, path=None, check=True):
    return subprocess.run([REPO / "conf" / name, *args], input=EVENT, text=True, capture_output=True, check=check,
                          env={"PATH": f"{path}:/usr/bin:/bin" if path else "/usr/bin:/bin", "LANG": "C.UTF-8"})


def test_mail(tmp_path):
    """The mail of the example, as a stand-in for sendmail gets it; and a sendmail that fails makes it fail."""
    stand_in = tmp_path / "sendmail"
    stand_in.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/words\ncat >{tmp_path}/mail\nexit $(cat {tmp_path}/status)\n')
    stand_in.chmod(0o755)
    (tmp_path / "status").write_text("0")
    run_example("notify-mail", "a@example.org", "b@example.org", path=tmp_path)
    assert (tmp_path / "words").read_text() == "-i\n--\na@example.org\nb@example.org\n"
    head, body = (tmp_path / "mail").read_text().split("\n\n", 1)
    assert head.splitlines()[:2] == ["To: a@example.org, b@example.org", "Subject: retentiond: done"]
    assert body.splitlines()[0] == r"retentiond, d\"b: action 1 is done" and EVENT in body
    (tmp_path / "status").write_text("75")
    assert run_example("notify-mail", "a@example.org", path=tmp_path, check=False).returncode == 75
    assert run_example("notify-mail", check=False).returncode == 2


@contextlib.contextmanager
def web_server(statuses):
    """A server that notes what it is sent, and answers with the next of these statuses."""
    heard = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((self.path, self.headers["Content-Type"],
                          json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(statuses.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", heard
        server.shutdown()


def test_webhook(told, tmp_path):
    """The example with curl as the daemon runs it: an answer of 503 is a failure, and the event is posted again."""
    secret = tmp_path / "webhook"
    with web_server([503, 204]) as (url, heard):
        secret.write_text(f'url = "{url}/hooks/secret"\n')
        d = told(f'notify: {{ command = [ "{REPO}/conf/notify-webhook", "{secret}" ]; on = [ "done" ]; }};')
        d.once()
        assert [(path, kind, event["event"]) for path, kind, event in heard] == [
            ("/hooks/secret", "application/json", "done")] * 2
        assert "secret" not in d.log_text()
    assert run_example("notify-webhook", "ftp://x", check=False).returncode == 2
