"""What was in force: each configuration is kept once, each action carries its own, and a change is an event."""

import hashlib
import json
import os
import pwd
import socket
import subprocess

import psycopg2
import pytest

from support.harness import BUILD, wait_until
from support.small import SCHEMA, TWO, model, policy

MODEL = model({"set": {"name": "L_{key}"}, "clear": ["brand"], "keep": ["id", "created"]},
              {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]})
CHANGES = "SELECT details FROM retention.journal_event WHERE kind = 'configuration' ORDER BY id"


def canonical(d):
    """As retentiond -t -v prints it, and its SHA-256."""
    text = d.check_config("-v").stdout
    return text, hashlib.sha256(text.encode()).hexdigest()


def changes(d):
    return [details for (details,) in d.pg.sql(d.db, CHANGES)]


def kept(d):
    return dict(d.pg.sql(d.db, "SELECT sha256, convert_from(content, 'UTF8') FROM retention.configuration"))


def printed(d, job=1):
    """What show --configuration prints: its comments, and the rest."""
    text = d.ctl("show", job, "--configuration").stdout
    lines = text.splitlines(keepends=True)
    return [line for line in lines if line.startswith("# ")], "".join(line for line in lines if not line.startswith("# "))


@pytest.fixture
def d(make):
    return make(SCHEMA + TWO, MODEL, policy("anonymize_contacts"))


def test_an_action_carries_it(d):
    d.once()
    text, digest = canonical(d)
    assert kept(d) == {digest: text} and "L_{key}" in text
    assert [(j["status"], j["configuration"]) for j in d.jobs()] == [("done", digest)]
    assert changes(d) == [{"sha256": digest, "host": socket.gethostname(), "file": str(d.path), "four_eyes": False}]
    comments, rest = printed(d)
    assert rest == text
    assert comments[0].startswith("# configuration of action 1, from ") and comments[1] == f"# SHA-256 {digest}\n"
    assert comments[2].endswith(f" on host {socket.gethostname()}: {d.path}, read when the daemon started\n")
    one, = json.loads(d.ctl("show", "1", "--configuration", "--json").stdout)
    assert (one["sha256"], one["text"], one["by"]) == (digest, text, None)
    assert ["configuration", digest] in [line.split() for line in d.ctl("show", "1").stdout.splitlines()]
    # Once is enough: the next start finds it, and the journal stays whole.
    d.once()
    assert len(kept(d)) == len(changes(d)) == 1
    assert d.ctl("verify").returncode == 0


def test_a_test_keeps_nothing(d):
    assert d.check_config().returncode == 0
    assert kept(d) == {} and changes(d) == []


def test_a_reload_says_who(d):
    """The user who has sent the signal; whether four_eyes was switched; nothing where nothing has changed or is accepted."""
    me = pwd.getpwuid(os.getuid()).pw_name
    d.start()
    d.wait_for_log("ready: ")
    first = canonical(d)[1]
    d.configure(extra="four_eyes = true;")
    d.reload()
    wait_until(lambda: len(changes(d)) == 2, what="the reload's event")
    second = canonical(d)[1]
    assert changes(d)[1] == {"sha256": second, "was": first, "by": me, "host": socket.gethostname(), "file": str(d.path),
                             "four_eyes": True, "four_eyes_was": False}
    assert set(kept(d)) == {first, second}
    seen = d.log_position()
    d.reload()
    d.wait_for_log("reloaded", since=seen)
    d.configure(model=MODEL.replace("brand", "brandy"))
    d.reload()
    d.wait_for_log("the configuration stays as it was", since=seen)
    assert len(changes(d)) == len(kept(d)) == 2
    assert d.stop() == 0


def test_an_action_under_two(d):
    """It was listed under the one, and done under the other: both are printed, and each event has its own."""
    d.configure(policies=[])
    d.ctl("save", "anonymize_contacts", "--from", "2015-01-15", "--to", "2015-02-14")
    d.once()
    first = canonical(d)
    d.configure(model=MODEL.replace("L_{key}", "X_{key}"))
    d.ctl("validate", "1")
    d.once()
    second = canonical(d)
    assert d.jobs()[0]["configuration"] == second[1] != first[1]
    assert d.pg.value(d.db, "SELECT name FROM contact WHERE id = 1") == "X_1"
    comments, rest = printed(d)
    assert rest == first[0] + second[0] and len(comments) == 6
    assert d.pg.sql(d.db, """SELECT kind, details->>'configuration' FROM retention.journal_event
        WHERE job = 1 AND details ? 'requested_by' ORDER BY id""")[1:3] == [("listed", first[1]), ("validated", first[1])]
    assert d.ctl("verify").returncode == 0


def test_none_yet(d):
    d.ctl("save", "export", "--from", "2015-01-15", "--to", "2015-02-14")
    done = d.ctl("show", "1", "--configuration", check=False)
    assert (done.returncode, done.stdout) == (1, "") and "no job has worked on action 1 yet" in done.stderr


@pytest.mark.parametrize("change, finding", [
    ("UPDATE retention.configuration SET content = 'else'", "configuration {} was changed: its text has another SHA-256"),
    ("ALTER TABLE retention.archive_journal DROP CONSTRAINT archive_journal_configuration_fkey; DELETE FROM retention.configuration",
     "configuration {} was removed"),
    ("INSERT INTO retention.configuration (sha256, content) VALUES ('abc', 'x')",
     "configuration abc was inserted: no event speaks of it")])
def test_verify_finds(d, change, finding):
    d.once()
    digest = canonical(d)[1]
    d.pg.tamper(d.db, *change.split("; "))
    done = d.ctl("verify", check=False)
    assert done.returncode == 1 and done.stdout.splitlines() == [finding.format(digest)]
    if "removed" in finding:
        done = d.ctl("show", "1", "--configuration", check=False)
        assert done.returncode == 1 and "this configuration was removed: see retentionctl verify" in done.stderr


def test_nobody_changes_it(d, pg):
    """The daemon's role adds; not in a session in which functions of the CRM's owner may run."""
    d.once()
    role = "configuration_daemon"
    pg.sql(d.db, f"CREATE ROLE {role} LOGIN; GRANT retention_daemon TO {role}")
    try:
        for sql in ("UPDATE retention.configuration SET content = 'x'", "DELETE FROM retention.configuration",
                    "INSERT INTO retention.configuration VALUES ('abc', 'x')"):
            with pytest.raises(psycopg2.Error, match="permission denied"):
                pg.sql(d.db, sql, user=role)
            if not sql.startswith("INSERT"):
                with pytest.raises(psycopg2.Error, match="append-only"):
                    pg.sql(d.db, sql)
        before = len(changes(d))
        # A job that outlives a restored backup: its configuration is kept anew, and told.
        assert pg.value(d.db, "SELECT retention.keep_configuration('text')", user=role) == hashlib.sha256(b"text").hexdigest()
        pg.sql(d.db, "SELECT retention.keep_configuration('text')", user=role)
        assert changes(d)[before:] == [{"sha256": hashlib.sha256(b"text").hexdigest()}]
        assert d.ctl("verify").returncode == 0
        with pg.connect(d.db, role) as conn, conn.cursor() as cur:
            cur.execute("INSERT INTO retention.erasing (job, worker) VALUES (1, 0)")
            cur.execute("SELECT retention.accept_configuration('other', 'h', 'f', NULL, false)")
            with pytest.raises(psycopg2.Error, match="this session erases, and keeps no configuration"):
                cur.execute("SELECT retention.keep_configuration('other')")
        assert len(kept(d)) == 2 and len(changes(d)) == before + 1
    finally:
        pg.sql(d.db, f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_database_of_one_byte(pg, daemon, tmp_path):
    """Its encoding lacks a letter of the configuration: the bytes are kept as they are."""
    db = "latin1_configuration"
    pg.sql("postgres", f"CREATE DATABASE {db} ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        pg.sql(db, SCHEMA + TWO)
        (tmp_path / "Łódź").mkdir()
        d = daemon(db=db, model=MODEL, policies=[policy("anonymize_contacts")],
                   extra=f'metrics: {{ textfile = "{tmp_path}/Łódź/retention.prom"; }};')
        d.once()
        text, digest = canonical(d)
        assert "Łódź" in text and d.jobs()[0]["configuration"] == digest
        done = subprocess.run([BUILD / "retentionctl", "-c", d.path, "show", "1", "--configuration"], stdout=subprocess.PIPE, check=True)
        assert text.encode() in done.stdout
        assert d.ctl("verify").returncode == 0
    finally:
        pg.forget(db)
        pg.sql("postgres", f"DROP DATABASE {db}")
