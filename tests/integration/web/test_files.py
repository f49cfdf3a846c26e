"""
Files of archives and documents of contacts on the page: who gets which, by whom the journal says they were taken, and what
the page says where there is none.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest

from support import gate
from support.browser import accessible, axe, log_in, sideways
from support.harness import TIMEOUT, wait_until
from support.page import APPROVER, AUDITOR, BOTH, HOST, OPERATOR
from support.small import policy


@pytest.fixture
def archived(page, key):
    """archived(encrypted=True, **web.conf's): a page beside a daemon with one exported archive: p.job, p.folder."""
    made = []

    def make(encrypted=True, **settings):
        recipients = {"recipients": [key.public]} if encrypted else {}
        archives = gate.settings(**recipients)
        p = page(started=False, running=False, archives=settings.pop("socket", archives["web_socket"]),
                 daemon_options={"archives": archives}, **settings)
        p.daemon.configure(policies=[policy("export", depth="1 month", archive="listed")])
        p.daemon.once()
        p.job = p.daemon.jobs()[-1]
        p.folder = Path(p.job["archive_path"])
        since = p.daemon.log_position()
        p.daemon.start()
        p.daemon.wait_for_log("ready: ", since=since)
        made.append(Path(archives["web_socket"]))
        return p.start()

    yield make
    for socket in made:
        shutil.rmtree(socket.parent, ignore_errors=True)


def client(p, person=APPROVER, **kwargs):
    return p.client(person, **kwargs)


def files_path(p):
    return f"/actions/{p.job['id']}/archive"


def sums(p):
    return {line[66:]: line[:64] for line in (p.folder / "SHA256SUMS").read_text().splitlines()}


def downloads(p):
    return p.pg.sql(p.db, """SELECT d.asked_by, d.file, d.taken_at IS NOT NULL, d.ended_at IS NOT NULL, d.bytes
        FROM retention.download AS d ORDER BY d.id""")


def events(p, kind):
    return p.pg.sql(p.db, "SELECT actor, details->>'file' FROM retention.journal_event WHERE kind = %s ORDER BY id", (kind,))


def download(c, p, name):
    """The button of that file on the page of files."""
    c.get(files_path(p))
    return c.submit(f"{files_path(p)}/{name}", follow=False)


def test_each_file_comes_as_it_was_archived(archived):
    p = archived()
    c = client(p)
    a = c.get(files_path(p))
    assert a.status == 200 and a.title.startswith(f"Fichiers de l’archive de l’action {p.job['id']}")
    names = [*sums(p), "manifest.json", "SHA256SUMS"]
    assert len(names) > 3 and all(n.endswith(".age") for n in sums(p))
    for name in names:
        a = download(c, p, name)
        assert a.status == 200
        assert a.body == (p.folder / name).read_bytes()
        assert name not in sums(p) or hashlib.sha256(a.body).hexdigest() == sums(p)[name]
        assert a.header("Content-Type") == "application/octet-stream"
        assert a.header("Content-Length") == str(len(a.body)) and a.header("Transfer-Encoding") is None
        assert a.header("Content-Disposition") == f'attachment; filename="{name}"'
        assert a.header("Cache-Control") == "no-store" and a.header("X-Content-Type-Options") == "nosniff"
    sizes = [(p.folder / name).stat().st_size for name in names]
    wait_until(lambda: all(ended for _, _, _, ended, _ in downloads(p)))
    assert downloads(p) == [(APPROVER, name, True, True, size) for name, size in zip(names, sizes)]
    assert events(p, "archive_download") == [(APPROVER, name) for name in names]
    a = c.get(files_path(p))
    assert APPROVER in a.words and "entier, " in a.words


def test_the_event_is_there_before_the_first_byte(archived):
    """The daemon is stopped behind the ticket: the event is written, and nothing has come."""
    p = archived()
    c = client(p)
    name = next(iter(sums(p)))
    c.get(files_path(p))
    p.daemon.stop()
    a = c.submit(f"{files_path(p)}/{name}", follow=False)
    assert a.status == 503 and "Le démon ne remet pas de fichiers en ce moment" in a.words
    assert str(p.folder) in a.words
    assert events(p, "archive_download") == [(APPROVER, name)]
    assert downloads(p) == [(APPROVER, name, False, False, None)]


@pytest.mark.parametrize("person", [AUDITOR, OPERATOR])
def test_who_gets_none(archived, person):
    p = archived()
    c = client(p, person)
    assert c.get(files_path(p)).status == 403
    name = next(iter(sums(p)))
    assert c.post(f"{files_path(p)}/{name}", {"jeton": "x"}).status == 403
    assert downloads(p) == [] and events(p, "archive_download") == []


@pytest.mark.parametrize("name", ["../identity", "..%2fidentity", "%2e%2e%2fidentity", "..", "%2e%2e", "a%00b", "a%0ab", "no.csv.age", "-x",
                                  ".age", "a%20b.age"])
def test_names_of_no_file(archived, name):
    """The form is forged with the right token, as a person with a tool of their own could do."""
    p = archived()
    c = client(p)
    path = f"{files_path(p)}/{name}"
    a = c.get(files_path(p))
    token = a.forms[-1].fields.get("jeton")
    a = c.post(path, {"jeton": token})
    assert a.status in (403, 404)
    assert b"age-encryption" not in a.body and [row for row in downloads(p) if row[2]] == []


def test_plain_files_stay_under_encrypted(archived):
    p = archived(encrypted=False)
    c = client(p)
    a = c.get(files_path(p))
    assert a.status == 200 and "Cette archive n’est pas chiffrée" in a.words and str(p.folder) in a.words
    name = next(iter(sums(p)))
    assert not a.has_form(f"/{name}") and a.has_form("/manifest.json")
    # A form that was shown before the configuration changed.
    p.configure(downloads="all")
    p.reload()
    wait_until(lambda: c.get(files_path(p)).has_form(f"/{name}"))
    a = download(c, p, name)
    assert a.status == 200 and a.body == (p.folder / name).read_bytes()
    shown = c.get(files_path(p))
    p.configure(downloads="encrypted")
    p.reload()
    wait_until(lambda: not c.get(files_path(p)).has_form(f"/{name}"))
    a = c.submit(f"{files_path(p)}/{name}", shown, follow=False)
    assert a.status == 403 and "il n’est pas chiffré" in a.words
    assert len(downloads(p)) == 1


def test_never(archived):
    p = archived(downloads="never")
    c = client(p)
    a = c.get(files_path(p))
    assert a.status == 200 and "Cette page ne remet pas de fichiers" in a.words
    assert not [f for f in a.forms if "/archive/" in f.action]


def test_a_deleted_archive(archived):
    p = archived()
    c = client(p)
    c.get(files_path(p))
    shown = c.last
    p.pg.sql(p.db, "SELECT retention.delete_archive(%s)", (p.job["id"],))
    form = next(f for f in shown.forms if f.action.endswith(".age"))
    a = c.post(form.action, form.fields)
    assert a.status == 410 and "L’archive est supprimée, par " in a.words
    assert c.get(files_path(p)).status == 410
    assert downloads(p) == []


def test_an_archive_of_another_host(archived):
    p = archived()
    c = client(p)
    c.get(files_path(p))
    shown = c.last
    p.pg.tamper(p.db, "UPDATE retention.archive_journal SET host = 'crm-2'")
    a = c.get(files_path(p))
    assert a.status == 503 and "Elle est sur l’hôte crm-2" in a.words and str(p.folder) in a.words
    assert f"retentionctl archive verify {p.job['id']}" in a.words
    form = next(f for f in shown.forms if f.action.endswith(".age"))
    assert c.post(form.action, form.fields).status == 503
    assert b"age-encryption" not in c.last.body


def test_no_socket(archived):
    """As on a host without the daemon."""
    p = archived(socket="/nonexistent/archives.sock")
    a = client(p).get(files_path(p))
    assert a.status == 503 and f"L’archive est sur l’hôte {p.job['host']}" in a.words


def test_no_such_action(archived):
    p = archived()
    c = client(p)
    assert c.get("/actions/4711/archive").status == 404
    saved = p.pg.value(p.db, "SELECT retention.save_action('export', '2024-01-01', '2024-01-31')")
    a = c.get(f"/actions/{saved}/archive")
    assert a.status == 409 and "n’a pas d’archive à télécharger" in a.words


def test_a_token_of_another_file(archived):
    p = archived()
    c = client(p)
    a = c.get(files_path(p))
    forms = [f for f in a.forms if f.action.endswith(".age")]
    assert c.post(forms[0].action, forms[1].fields).status == 403
    assert c.post(forms[0].action, {}).status == 403
    assert c.get(f"{files_path(p)}/{forms[0].action.rsplit('/', 1)[1]}").status == 405
    assert downloads(p) == []


# --- Large files -------------------------------------------------------------------------------


def memory(pid):
    """Anonymous memory of a process, in MB."""
    return int(re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def enlarge(p, size):
    name = next(iter(sums(p)))
    with open(p.folder / name, "r+b") as file:
        file.truncate(size)
    return name


def open_download(c, p, name):
    """(connection, answer) of a download whose body is not read yet."""
    c.get(files_path(p))
    form = c.last.form(f"{files_path(p)}/{name}")
    body = urlencode(form.fields).encode()
    connection = p.connection(TIMEOUT)
    connection.putrequest("POST", c.url(form.action), skip_host=True, skip_accept_encoding=True)
    for header, value in {"Host": HOST, "Sec-Fetch-Site": "same-origin", "Origin": f"https://{HOST}",
                          "Cookie": "; ".join(f"{k}={v}" for k, v in c.cookies.items()),
                          "Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}.items():
        connection.putheader(header, value)
    connection.endheaders(body)
    return connection, connection.getresponse()


@pytest.mark.unsanitized("measures memory, of which sanitizers take more")
def test_a_file_of_2_gb_costs_no_memory(archived):
    p = archived()
    size = 2 << 30
    name = enlarge(p, size)
    connection, answer = open_download(client(p), p, name)
    assert answer.status == 200 and answer.getheader("Content-Length") == str(size)
    most = got = 0
    while piece := answer.read(4 << 20):
        got += len(piece)
        if got % (256 << 20) < (4 << 20):
            most = max(most, memory(p.process.pid))
    connection.close()
    assert got == size and most < 16, most
    wait_until(lambda: downloads(p)[-1][4] == size)


@pytest.mark.unsanitized("measures memory, of which sanitizers take more")
def test_a_client_that_does_not_read_costs_no_memory(archived):
    """And other persons are served meanwhile; when it goes, nothing of it is left."""
    p = archived()
    name = enlarge(p, 200 << 20)
    connection, answer = open_download(client(p), p, name)
    answer.read(1)
    assert client(p, BOTH).get(files_path(p)).status == 200
    assert memory(p.process.pid) < 16
    connection.close()
    wait_until(lambda: not [fd for fd in os.listdir(f"/proc/{p.process.pid}/fd")
                            if os.path.realpath(f"/proc/{p.process.pid}/fd/{fd}").endswith(name)])
    assert downloads(p)[-1][2:] == (True, False, None)


def test_an_archive_that_is_deleted_under_way(archived):
    """The open file is read to its end."""
    p = archived()
    size = 64 << 20
    name = enlarge(p, size)
    connection, answer = open_download(client(p), p, name)
    answer.read(1)
    p.pg.sql(p.db, "SELECT retention.delete_archive(%s)", (p.job["id"],))
    wait_until(lambda: not (p.folder / name).exists())
    assert len(answer.read()) == size - 1
    connection.close()


def test_a_file_that_becomes_shorter_under_way(archived):
    p = archived()
    name = enlarge(p, 64 << 20)
    connection, answer = open_download(client(p), p, name)
    answer.read(1)
    os.truncate(p.folder / name, 1 << 20)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        answer.read()
    connection.close()
    assert downloads(p)[-1][2:] == (True, False, None)


def test_several_at_a_time(archived):
    """Six that are read in turn, a piece each; other pages answer meanwhile."""
    p = archived()
    name = enlarge(p, 8 << 20)
    digest = hashlib.sha256((p.folder / name).read_bytes()).hexdigest()
    clients = [client(p, person) for person in (APPROVER, BOTH)]
    opened = [open_download(c, p, name) for c in clients for _ in range(3)]
    sums_found = [hashlib.sha256() for _ in opened]
    left = set(range(len(opened)))
    while left:
        for i in sorted(left):
            piece = opened[i][1].read(1 << 20)
            sums_found[i].update(piece)
            if not piece:
                left.remove(i)
                opened[i][0].close()
        assert not left or clients[0].get("/actions").status == 200
    assert [s.hexdigest() for s in sums_found] == [digest] * 6


# --- Verifying, and the document of a contact --------------------------------------------------


@pytest.mark.parametrize("person", [AUDITOR, OPERATOR, APPROVER])
def test_an_archive_is_verified(archived, person):
    """Everybody may ask, twice at the same time as well."""
    p = archived()
    c = client(p, person)
    shown = c.get(f"/actions/{p.job['id']}")
    p.daemon.stop()
    for _ in range(2):
        a = c.submit(f"{files_path(p)}/verifier", shown, follow=False)
        assert (a.status, a.location) == (303, f"/actions/{p.job['id']}")
    assert p.pg.sql(p.db, "SELECT asked_by, kind, job FROM retention.request") == [(person, "verify_archive", p.job["id"])]
    p.daemon.start()
    wait_until(lambda: p.pg.value(p.db, "SELECT outcome FROM retention.request") == "ok")


@pytest.mark.parametrize("person", [AUDITOR, OPERATOR, APPROVER])
def test_it_is_measured_again(archived, person):
    """Everybody may ask on the page of the status, twice at the same time as well."""
    p = archived()
    c = client(p, person)
    c.get("/etat")
    shown = c.last
    p.daemon.stop()
    for _ in range(2):
        a = c.submit("/etat/mesurer", shown, follow=False)
        assert (a.status, a.location) == (303, "/etat")
    assert p.pg.sql(p.db, "SELECT asked_by, kind FROM retention.request") == [(person, "measure")]
    p.daemon.start()
    wait_until(lambda: p.pg.value(p.db, "SELECT outcome FROM retention.request") == "ok")


@pytest.fixture
def with_document(archived):
    """A page, an operator's client, and the request whose document is ready."""

    def make(**kwargs):
        p = archived(**kwargs)
        who = str(p.pg.value(p.db, "SELECT min(contact_id) FROM crm.request"))
        p.request = p.pg.value(p.db, "SELECT retention.ask('subject_export', NULL, %s)", (who,))
        wait_until(lambda: p.pg.value(p.db, "SELECT outcome FROM retention.request") == "ok")
        p.document = p.pg.value(p.db, "SELECT document FROM retention.request")
        return p, client(p, OPERATOR)

    return make


def test_the_document_of_a_contact(with_document, key, tmp_path):
    p, c = with_document()
    path = f"/personne/document/{p.request}"
    a = c.get(path)
    assert a.status == 200 and "Toutes les données du contact" in a.words and p.document in a.words
    a = c.submit(path, follow=False)
    assert a.status == 200 and a.header("Content-Disposition") == f'attachment; filename="{p.document}"'
    (tmp_path / "got.age").write_bytes(a.body)
    assert "contact" in json.loads(key.decrypt(tmp_path / "got.age"))
    assert p.pg.sql(p.db, """SELECT actor, details->>'request' FROM retention.journal_event
        WHERE kind = 'subject_exported'""") == [(OPERATOR, str(p.request))]
    for person in (AUDITOR, APPROVER):
        assert client(p, person).get(path).status == 403
        assert client(p, person).post(path, {"jeton": "x"}).status == 403


def test_a_document_that_is_gone(with_document):
    p, c = with_document()
    path = f"/personne/document/{p.request}"
    c.get(path)
    p.pg.sql(p.db, "UPDATE retention.request SET document_removed_at = now()")
    a = c.submit(path, follow=False)
    assert a.status == 410 and "son délai était passé" in a.words
    assert c.get(path).status == 410 and not c.last.has_form(path)
    assert c.get("/personne/document/4711").status == 404


def test_a_document_under_never(with_document):
    p, c = with_document(downloads="never")
    path = f"/personne/document/{p.request}"
    a = c.get(path)
    assert a.status == 200 and not a.has_form(path) and "Cette page ne remet pas de fichiers" in a.words


def test_english(archived):
    p = archived()
    a = client(p, language="en").get(files_path(p))
    assert "Each download is in the journal, with your name." in a.words
    assert not re.search("[éèà]", a.words)


@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_use_the_pages(archived, browser, width):
    """Files, a host without them, plain files, and a document."""
    p = archived(port=True)
    who = str(p.pg.value(p.db, "SELECT min(contact_id) FROM crm.request"))
    number = p.pg.value(p.db, "SELECT retention.ask('subject_export', NULL, %s)", (who,))
    wait_until(lambda: p.pg.value(p.db, "SELECT outcome FROM retention.request") == "ok")
    driver = browser(width=width)
    log_in(driver, p, BOTH, files_path(p))
    assert driver.find_elements("css selector", "form[action$='.age'] button")
    accessible(driver)
    driver.get(p.url + f"/personne/document/{number}")
    accessible(driver)
    p.configure(archives="/nonexistent/archives.sock")
    p.reload()
    wait_until(lambda: "is retentiond running" in p.client(APPROVER, "en").get(files_path(p)).words)
    driver.get(p.url + files_path(p))
    assert not axe(driver) and sideways(driver) <= 0  # the console says 503
