"""
retention.request: what a person asks of the daemon, answered by a child of it, whoever dies on the way; and the document of
all data about one contact, which is encrypted, handed out for a ticket, and kept for 30 days.
"""

import json
import os
import re

import psycopg2
import pytest

from support import gate
from support.harness import wait_until
from support.jobs import tidy
from support.small import policy


@pytest.fixture
def resident(daemon, pg, key):
    """resident(**archives): a running daemon with one exported archive, and persons."""
    made = []

    def make(start=True, failpoint=None, encrypted=True, **archives):
        recipients = {"recipients": [key.public]} if encrypted else {}
        d = gate.exported(daemon, pg, "asks", **recipients, **archives)
        made.append(d)
        if start:
            gate.begin(d, failpoint)
        return d

    yield make
    for d in made:
        gate.end(d, "asks")


@pytest.fixture(autouse=True, scope="module")
def persons_go(pg):
    yield
    gate.forget_persons(pg, "asks")


def ask(d, kind, *args, user="asks_operator"):
    marks = "".join(", %s" for _ in args)
    return d.pg.value(d.db, f"SELECT retention.ask(%s{marks})", (kind, *args), user=user)


def request(d, number):
    (row,), = d.pg.sql(d.db, "SELECT to_jsonb(r) FROM retention.request AS r WHERE id = %s", (number,))
    return row


def answered(d, number, timeout=30):
    wait_until(lambda: request(d, number)["ended_at"], timeout)
    return request(d, number)


def events(d, kind):
    return [json.loads(details) if isinstance(details, str) else details for (details,) in d.pg.sql(
        d.db, "SELECT details FROM retention.journal_event WHERE kind = %s ORDER BY id", (kind,))]


def contact(d):
    """One with requests."""
    return str(d.pg.value(d.db, "SELECT min(contact_id) FROM crm.request"))


# --- Verifying an archive ----------------------------------------------------------------------


@pytest.mark.parametrize("role", ["auditor", "operator", "approver"])
def test_an_archive_is_verified(resident, role):
    d = resident()
    number = ask(d, "verify_archive", d.job["id"], user=f"asks_{role}")
    row = answered(d, number)
    files = len((d.folder / "SHA256SUMS").read_text().splitlines())
    assert (row["outcome"], row["result"], row["asked_by"], row["attempts"]) == (
        "ok", {"text": "the archive is intact", "files": files, "findings": 0}, f"asks_{role}", 1)
    assert row["host"] == d.job["host"]
    assert events(d, "asked") == [{"request": number, "what": "verify_archive"}]
    assert events(d, "answered") == [{"request": number, "what": "verify_archive", "outcome": "ok"}]
    assert d.pg.sql(d.db, "SELECT actor, job FROM retention.journal_event WHERE kind = 'asked'") == [(f"asks_{role}", d.job["id"])]
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.claimed WHERE job < 0") == 0


def test_an_archive_that_is_not_intact(resident):
    d = resident()
    name = min(p.name for p in d.folder.glob("*.age"))
    (d.folder / name).write_bytes(b"other")
    row = answered(d, ask(d, "verify_archive", d.job["id"]))
    assert row["outcome"] == "failed" and row["result"]["text"] == "the archive is not intact"
    assert row["result"]["lines"] == [{"file": name, "text": "it is not what was archived"}]
    assert row["result"]["findings"] == 1
    d.wait_for_log(f"the archive of action {d.job['id']} is not intact: 1 finding")


def by_daemon(d, *args, user="asks_auditor"):
    """retentionctl archive verify --ask as this role, which has neither the configuration nor the files."""
    return d.run("retentionctl", "-d", d.pg.conninfo(d.db, user), "archive", "verify", *args, "--ask", check=False,
                 env={"HOME": "/nonexistent"})


def test_an_auditor_has_it_verified(resident):
    """By the daemon: the answer of the one, and each finding of the other."""
    d = resident()
    done = by_daemon(d, d.job["id"])
    assert (done.returncode, done.stdout) == (0, f"the archive of action {d.job['id']} is intact\n")
    name = min(p.name for p in d.folder.glob("*.age"))
    (d.folder / name).write_bytes(b"other")
    done = by_daemon(d, d.job["id"])
    assert (done.returncode, done.stdout) == (1, f"{name}: it is not what was archived\n")
    assert "the archive is not intact" in done.stderr
    assert len(events(d, "asked")) == len(events(d, "answered")) == 2
    assert "there is no action 4711" in by_daemon(d, "4711").stderr
    done = by_daemon(d, "20250101-export-p-5")
    assert done.returncode == 2 and "--ask is for the archive of an action" in done.stderr


def test_nobody_verifies_it(resident):
    """No daemon runs: the person is told, and the next call waits for the same request."""
    d = resident(start=False)
    for _ in range(2):
        done = by_daemon(d, d.job["id"])
        assert done.returncode == 1 and "has not yet answered: is retentiond running there?" in done.stderr
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.request") == 1
    gate.begin(d)
    assert by_daemon(d, d.job["id"]).returncode == 0


def test_an_archive_whose_folder_is_away(resident):
    d = resident()
    d.folder.rename(d.folder.with_name("away"))
    row = answered(d, ask(d, "verify_archive", d.job["id"]))
    assert row["outcome"] == "failed" and "cannot open the archive" in row["result"]["text"]


def test_an_archive_that_is_deleted_meanwhile(resident):
    d = resident(start=False)
    number = ask(d, "verify_archive", d.job["id"])
    d.pg.sql(d.db, "SELECT retention.delete_archive(%s)", (d.job["id"],), user="asks_approver")
    gate.begin(d)
    row = answered(d, number)
    assert (row["outcome"], row["result"]["text"]) == ("refused", "the archive was deleted meanwhile")


def test_each_is_asked_once_at_a_time(resident):
    d = resident(start=False)
    first = ask(d, "verify_archive", d.job["id"])
    for user in ("asks_operator", "asks_auditor"):
        with pytest.raises(psycopg2.Error, match="asked for already") as refused:
            ask(d, "verify_archive", d.job["id"], user=user)
        assert refused.value.diag.constraint_name == "retention.request_twice"
    assert len(events(d, "asked")) == 1
    ask(d, "subject_export", None, "1")
    ask(d, "subject_export", None, "2")
    gate.begin(d)
    answered(d, first)
    assert answered(d, ask(d, "verify_archive", d.job["id"]))["outcome"] == "ok"


REFUSED = [
    (("erase",), "asks_operator", "retention.request_unknown"),
    ((None,), "asks_operator", "retention.request_unknown"),
    (("verify_archive",), "asks_operator", "retention.id_unknown"),
    (("verify_archive", 4711), "asks_operator", "retention.id_unknown"),
    (("subject_export", None, "1"), "asks_auditor", "retention.request_operator"),
    (("subject_export", None, "1"), "asks_approver", "retention.request_operator"),
    (("subject_export", None, "x"), "asks_operator", "retention.key_invalid"),
    (("subject_export", None, None), "asks_operator", "retention.key_missing"),
    (("find_contact", None, "1"), "asks_auditor", "retention.request_operator"),
    (("find_contact", None, "x"), "asks_approver", "retention.key_invalid"),
    (("find_contact", None, None), "asks_approver", "retention.key_missing"),
]


@pytest.mark.parametrize("args, user, constraint", REFUSED)
def test_what_is_refused(resident, args, user, constraint):
    d = resident(start=False)
    with pytest.raises(psycopg2.Error) as refused:
        ask(d, *args, user=user)
    assert refused.value.diag.constraint_name == constraint
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.request") == 0 and events(d, "asked") == []


def test_an_action_without_an_archive(resident):
    d = resident(start=False)
    saved = d.pg.value(d.db, "SELECT retention.save_action('export', '2024-01-01', '2024-01-31')")
    with pytest.raises(psycopg2.Error, match="has no archive that could be verified"):
        ask(d, "verify_archive", saved)


# --- Whoever dies ------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["answer-after-take", "answer-before-end"])
@pytest.mark.parametrize("kind", ["verify_archive", "subject_export"])
def test_a_daemon_that_dies(resident, point, kind):
    """The next one takes the request again, and answers it once."""
    d = resident(failpoint=point)
    number = ask(d, kind, d.job["id"]) if kind == "verify_archive" else ask(d, kind, None, contact(d))
    d.wait_for_log(r"requests could not be answered \(signal 9\)")
    assert request(d, number)["attempts"] == 1 and not request(d, number)["ended_at"]
    d.kill()
    gate.begin(d)
    row = answered(d, number)
    assert (row["outcome"], row["attempts"]) == ("ok", 2)
    assert len(events(d, "answered")) == 1
    if kind == "subject_export":
        assert [p.name for p in (d.archives / "documents").iterdir()] == [row["document"]]


def test_a_request_that_kills_each_time_is_given_up(resident):
    d = resident(start=False)
    number = ask(d, "verify_archive", d.job["id"])
    d.pg.sql(d.db, "UPDATE retention.request SET attempts = 5")
    gate.begin(d)
    row = answered(d, number)
    assert (row["outcome"], row["result"]["text"]) == ("failed", "the daemon has died of it five times")


def test_a_request_of_another_host(resident):
    """It waits for that one."""
    d = resident()
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET host = 'elsewhere'")
    number = ask(d, "verify_archive", d.job["id"])
    other = ask(d, "subject_export", None, contact(d))
    answered(d, other)
    assert not request(d, number)["taken_at"]


def test_a_request_that_a_living_session_has(resident):
    d = resident(start=False)
    number = ask(d, "verify_archive", d.job["id"])
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT id FROM retention.take_request(%s, retention.session_start())", (d.job["host"],))
        assert cur.fetchall() == [(number,)]
        cur.execute("SELECT id FROM retention.take_request(%s, retention.session_start())", (d.job["host"],))
        assert cur.fetchall() == [(number,)], "it is its own"
        assert d.pg.sql(d.db, "SELECT id FROM retention.take_request(%s, retention.session_start())", (d.job["host"],)) == []
    assert d.pg.sql(d.db, "SELECT id FROM retention.take_request(%s, retention.session_start())", (d.job["host"],)) == [(number,)]


def test_a_session_that_erases_answers_nothing(resident):
    """As a trigger of the CRM would try it."""
    d = resident(start=False)
    number = ask(d, "verify_archive", d.job["id"])
    secret = gate.ask(d, d.job["id"], "manifest.json", user="asks_approver")
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        cur.execute("INSERT INTO retention.erasing (job, worker) VALUES (1, 0)")
        with pytest.raises(psycopg2.Error, match="this session erases"):
            cur.execute("SELECT retention.end_request(%s, 'ok', '{}')", (number,))
        cur.execute("SELECT * FROM retention.take_download(%s, 'x')", (bytes.fromhex(secret),))
        assert cur.fetchall() == []
        cur.execute("SELECT * FROM retention.take_request(%s, retention.session_start())", (d.job["host"],))
        assert cur.fetchall() == []


# --- The document of a contact -----------------------------------------------------------------


def ask_document(d, number, user="asks_operator"):
    secret, digest = gate.ticket()
    d.pg.sql(d.db, "SELECT retention.ask_document(%s, %s)", (number, digest), user=user)
    return secret


def test_the_document(resident, key, tmp_path):
    """What retentionctl subject export prints, encrypted, and readable by the operator's ticket only."""
    d = resident()
    who = contact(d)
    number = ask(d, "subject_export", None, who)
    row = answered(d, number)
    path = d.archives / "documents" / row["document"]
    assert row["outcome"] == "ok" and row["result"]["bytes"] == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    wanted = json.loads(d.ctl("subject", "export", who, log=tmp_path / "document.txt").stdout)
    assert json.loads(key.decrypt(path)) == wanted
    assert row["result"]["tables"] == {name: len(rows) for name, rows in wanted.items()}
    assert re.fullmatch(rf"\d{{8}}T\d{{9}}-{number}\.json\.age", row["document"])
    for file in d.archives.rglob("*"):
        assert not file.is_file() or b"canary" not in file.read_bytes() or file.is_relative_to(d.folder)

    for user in ("asks_approver", "asks_auditor"):
        with pytest.raises(psycopg2.Error, match="permission denied"):
            ask_document(d, number, user)
    secret = ask_document(d, number)
    assert events(d, "subject_exported")[-1] == {
        "contact": who, "request": number, "download": d.pg.value(d.db, "SELECT max(id) FROM retention.download")}
    words, content = gate.take(d, secret)
    assert words[0] == "file" and words[3] == row["document"] and content == path.read_bytes()
    assert gate.take(d, secret) == (["no", "ticket"], None)


def test_the_end_of_a_download(resident):
    """Told by the person whose download it was, once, and after it was taken."""
    d = resident()
    secret = gate.ask(d, d.job["id"], "manifest.json", user="asks_approver")
    number = d.pg.value(d.db, "SELECT max(id) FROM retention.download")

    def end(n, user="asks_approver"):
        d.pg.sql(d.db, "SELECT retention.end_download(%s, %s)", (number, n), user=user)
        return d.pg.value(d.db, "SELECT bytes FROM retention.download")

    assert end(5) is None, "it is not taken yet"
    assert gate.take(d, secret)[0][0] == "file"
    assert end(6, "asks_operator") is None, "it is another's"
    assert end(7) == 7 and end(8) == 7


def test_no_recipients(resident):
    d = resident(encrypted=False)
    row = answered(d, ask(d, "subject_export", None, contact(d)))
    assert row["outcome"] == "refused" and row["document"] is None
    assert row["result"] == {"text": "archives.recipients is not set in retentiond.conf: the document would not be encrypted"}
    assert not (d.archives / "documents").exists()
    with pytest.raises(psycopg2.Error, match="has no document to download"):
        ask_document(d, row["id"])


def test_no_such_contact(resident):
    d = resident()
    row = answered(d, ask(d, "subject_export", None, "999999"))
    assert (row["outcome"], row["result"]) == ("failed", {"text": "there is no such contact"})
    assert row["document"] is None


def test_no_contact_of_the_model(resident):
    """A row that contact.where leaves out, as staff in the same table: its links lead to other people's rows."""
    d = resident(start=False)
    key = contact(d)
    model = re.sub(r"(contact *[:=] *\{)", rf'\1 where = "id <> {key}";', (d.dir / "model.conf").read_text(), count=1)
    assert "where = " in model
    (d.dir / "model.conf").write_text(model)
    gate.begin(d)
    row = answered(d, ask(d, "subject_export", None, key))
    assert (row["outcome"], row["result"], row["document"]) == ("failed", {"text": "there is no such contact"}, None)
    row = answered(d, ask(d, "find_contact", None, key))
    assert row["result"] == {"text": "no contact has this key", "tables": {"contact": 0}}


@pytest.mark.parametrize("user", ["asks_operator", "asks_approver"])
def test_whether_a_contact_has_a_key(resident, user):
    """For a hold: an answer without any of its data, and without recipients."""
    d = resident()
    row = answered(d, ask(d, "find_contact", None, f" {contact(d)} ", user=user))
    assert (row["outcome"], row["result"]) == ("ok", {"text": "a contact has this key", "tables": {"contact": 1}})
    row = answered(d, ask(d, "find_contact", None, "999999", user=user))
    assert (row["outcome"], row["result"], row["document"]) == ("ok", {"text": "no contact has this key", "tables": {"contact": 0}}, None)
    assert not (d.archives / "documents").exists()


def test_age_fails(resident, tmp_path):
    d = resident(start=False)
    broken = tmp_path / "bin"
    broken.mkdir()
    (broken / "age").write_text("#!/bin/sh\ncat\n")
    (broken / "age").chmod(0o755)
    d.start(env={"PATH": f"{broken}:{os.environ['PATH']}"})
    number = ask(d, "subject_export", None, contact(d))
    row = answered(d, number)
    assert row["outcome"] == "failed" and "is not an encrypted file" in row["result"]["text"]
    assert row["document"] is None
    assert tidy(d, host=d.job["host"])[0] == 0
    assert list((d.archives / "documents").iterdir()) == [], "what cat wrote is gone with the next --expire"


def test_documents_expire(resident):
    """After 30 days, and what no request names at once; one that is being written stays."""
    d = resident()
    old = answered(d, ask(d, "subject_export", None, contact(d)))
    new = answered(d, ask(d, "subject_export", None, contact(d)))
    d.stop()
    folder = d.archives / "documents"
    (folder / "20200101T000000000-9.json.age").write_text("of a database that was restored since")
    (folder / (new["document"] + ".tmp")).write_text("of a process that died")
    assert tidy(d, host=d.job["host"])[0] == 0
    assert {p.name for p in folder.iterdir()} == {old["document"], new["document"], new["document"] + ".tmp"}
    d.pg.sql(d.db, "UPDATE retention.request SET ended_at = ended_at - interval '30 days' WHERE id = %s", (old["id"],))
    assert tidy(d, host=d.job["host"]) == (0, "note 1 document was removed whose time was over\n")
    assert {p.name for p in folder.iterdir()} == {new["document"], new["document"] + ".tmp"}
    assert request(d, old["id"])["document_removed_at"] and not request(d, new["id"])["document_removed_at"]
    with pytest.raises(psycopg2.Error, match="has no document to download") as refused:
        ask_document(d, old["id"])
    assert refused.value.diag.constraint_name == "retention.document_removed"


def test_a_document_that_expires_behind_a_ticket(resident):
    d = resident()
    row = answered(d, ask(d, "subject_export", None, contact(d)))
    secret = ask_document(d, row["id"])
    d.pg.sql(d.db, "UPDATE retention.request SET document_removed_at = now()")
    assert gate.take(d, secret) == (["no", "elsewhere"], None)
    d.pg.sql(d.db, "UPDATE retention.request SET document_removed_at = NULL")
    secret = ask_document(d, row["id"])
    (d.archives / "documents" / row["document"]).unlink()
    (d.archives / "documents" / row["document"]).symlink_to(d.archives / "identity")
    assert gate.take(d, secret) == (["no", "missing"], None)


# --- Measuring ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["auditor", "operator", "approver"])
def test_measure(resident, role):
    d = resident()
    before = d.pg.value(d.db, "SELECT max(measured_at) FROM retention.policy")
    row = answered(d, ask(d, "measure", user=f"asks_{role}"))
    assert (row["outcome"], row["result"]) == ("ok", {"text": "it was measured again"})
    after = d.pg.value(d.db, "SELECT max(measured_at) FROM retention.policy")
    assert after and (before is None or after > before)


def test_measure_fails(resident):
    d = resident()
    d.pg.sql(d.db, "ALTER TABLE crm.contact RENAME TO persons")
    row = answered(d, ask(d, "measure"))
    assert row["outcome"] == "failed" and "contact" in row["result"]["text"]
