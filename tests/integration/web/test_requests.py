"""Requests that no form of the page has sent: other methods, hosts and origins, tokens of others, raw bytes."""

import re
import socket
from pathlib import Path

import pytest

from support.page import APPROVER, AUDITOR, BOTH, HOST, OPERATOR

TOP = Path(__file__).resolve().parents[3]
ROUTE = re.compile(r'\{(GET|POST), "([^"]+)", (WHO_\w+), \w+, \w+\}')
LOG_IN = f"GET /connexion HTTP/1.1\r\nHost: {HOST}\r\n"


def routes():
    """(method, path with its stars filled, who) of each line of the table."""
    found = ROUTE.findall((TOP / "daemon/web/route.c").read_text())
    assert len(found) > 30
    return [(method, path.replace("#", "1").replace("*", "x"), who) for method, path, who in found]


def posts():
    return [path for method, path, who in routes() if method == "POST" and who != "WHO_ANYBODY"]


def state(web):
    """What a request could change."""
    return web.pg.value(web.db, """
        SELECT jsonb_build_array((SELECT count(*) FROM retention.journal_event),
                                 (SELECT max(id) FROM retention.archive_journal),
                                 (SELECT count(*) FROM retention.hold), (SELECT count(*) FROM retention.pause))""")


def test_headers(page):
    """Every answer forbids what the page does not need; only the files of /s/ may be kept."""
    web = page()
    client = web.client(OPERATOR)
    for path in ("/", "/connexion", "/nowhere", "/actions/999", "/healthz"):
        answer = client.get(path)
        policy = answer.header("Content-Security-Policy")
        assert policy == ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                          "form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Referrer-Policy") == "no-referrer"
        assert answer.header("Cross-Origin-Opener-Policy") == "same-origin"
        assert answer.header("Cross-Origin-Resource-Policy") == "same-origin"
        assert answer.header("Permissions-Policy") == "camera=(), geolocation=(), microphone=()"
        assert answer.header("Cache-Control") == "no-store"
        assert answer.header("Vary") == "Cookie, Accept-Language"
        assert answer.header("Server") is None
        assert "<script>" not in answer.text
    style = re.search(r'href="(/s/[^"]+\.css)"', client.get("/").text).group(1)
    answer = client.get(style)
    assert (answer.status, answer.header("Content-Type").split(";")[0]) == (200, "text/css")
    assert answer.header("Cache-Control") == "public, max-age=31536000, immutable"
    assert client.get("/s/page.0000.css").status == 404


def test_frame(page):
    """One other site may show the page in a frame, if the configuration names it."""
    web = page(frame="https://crm.example")
    assert "frame-ancestors https://crm.example;" in web.client().get("/connexion").header("Content-Security-Policy")


def test_head(page):
    """HEAD is GET without the body; a stream ends at once."""
    web = page()
    client = web.client(OPERATOR)
    for path in ("/", "/connexion", "/nowhere", "/actions.csv"):
        answer, head = client.get(path), client.request("HEAD", path)
        assert head.status == answer.status
        assert head.body == b""
        assert head.header("Content-Type") == answer.header("Content-Type")
    assert int(client.request("HEAD", "/nowhere").header("Content-Length")) > 1000


def test_methods(page):
    """A path that takes only POST, or only GET, says so, and a GET of a POST's path changes nothing."""
    web = page()
    client = web.client(BOTH)
    table = routes()
    before = state(web)
    for path in {path for _, path, _ in table}:
        methods = {method for method, other, _ in table if other == path}
        allow = ", ".join(word for method, word in (("GET", "GET, HEAD"), ("POST", "POST")) if method in methods)
        for method in {"GET", "POST"} - methods:
            answer = client.request(method, path, body=b"" if method == "POST" else None)
            assert (answer.status, answer.header("Allow")) == (405, allow), path
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"):
        assert web.raw(f"{method} / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode(), timeout=3).split(
            b" ")[1][:3] in (b"501", b"400", b"405"), method
    assert state(web) == before


def test_without_session(page):
    """Each page of a person asks for the log-in, and each form is told that the session has ended."""
    web = page()
    before = state(web)
    for method, path, who in routes():
        if who == "WHO_ANYBODY":
            continue
        client = web.client()
        answer = client.get(path) if method == "GET" else client.post(path, {"jeton": "0" * 64})
        assert answer.status == 401, path
        assert answer.has_form("/connexion"), path
        assert ("Votre session est fermée" in answer.words) == (method == "POST")
    assert state(web) == before


def test_forged_forms(page):
    """Each POST without the token of its own path and session, or from another site, is refused and changes nothing."""
    web = page()
    client, other = web.client(BOTH), web.client(APPROVER)
    own = client.get("/").form("/deconnexion").fields["jeton"]
    foreign = other.get("/").form("/deconnexion").fields["jeton"]
    before = state(web)
    for path in posts():
        tokens = [None, "", "0" * 64, foreign, own + "0", own[:-1], own.upper()]
        if path != "/deconnexion":
            tokens.append(own)
        for token in tokens:
            answer = client.post(path, {"jeton": token, "type": "export", "nombre": "1"})
            assert answer.status == 403, (path, token)
            assert "n’est pas de cette session" in answer.words
    elsewhere = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
                 {"Sec-Fetch-Site": "Same-Origin"}, {"Sec-Fetch-Site": None, "Origin": None},
                 {"Sec-Fetch-Site": None, "Origin": "null"}, {"Sec-Fetch-Site": None, "Origin": "https://evil.example"},
                 {"Origin": "https://evil.example"}, {"Origin": f"https://{HOST}:8443"}, {"Origin": f"https://{HOST}."}]
    for headers in elsewhere:
        assert client.post("/deconnexion", {"jeton": own}, headers=headers).status == 403, headers
    assert client.get("/").status == 200, "still logged in"
    assert state(web) == before
    assert client.post("/deconnexion", {"jeton": own}, headers={"Origin": "null"}).status == 303


def test_roles(page):
    """Nobody draws or opens a page of another role; the database would refuse it, too."""
    web = page()
    allowed = {"WHO_READS": (AUDITOR, OPERATOR, APPROVER), "WHO_SAVES": (OPERATOR,), "WHO_VALIDATES": (APPROVER,),
               "WHO_SAVES_OR_VALIDATES": (OPERATOR, APPROVER)}
    for person in (AUDITOR, OPERATOR, APPROVER):
        client = web.client(person)
        for method, path, who in routes():
            if method == "GET" and who in allowed and not path.endswith("/flux"):
                answer = client.get(path)
                if person not in allowed[who]:
                    assert answer.status == 403, (person, path)
                else:
                    assert answer.status in (200, 403, 404, 409), (person, path, answer.words)


def test_hosts(page):
    """A name that is not ours is refused, in Host and in the request line, so that no foreign name leads here."""
    web = page()
    for host in (HOST, HOST.upper(), f"{HOST}:8443", "localhost"):
        assert web.client(headers={"Host": host}).get("/connexion").status == 200, host
    for host in ("evil.example", f"{HOST}.evil.example", f"x{HOST}", f"{HOST}.", "", f"evil.example:{HOST}", None):
        answer = web.client(headers={"Host": host}).get("/connexion")
        assert answer.status in (400, 421), host
        assert not answer.has_form("/connexion")
    for line, status in ((f"http://{HOST}/connexion", b"200"), ("http://evil.example/connexion", b"421")):
        got = web.raw(f"GET {line} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
        assert got.split(b" ")[1] == status, line


CLOSE = "Connection: close\r\n"
RAW = {
    "a NUL in a header": (LOG_IN + CLOSE + "A: b\0c\r\n\r\n", 400),
    "two Content-Length": (f"POST /connexion HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
                           400),
    "chunked": (f"POST /connexion HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (LOG_IN + CLOSE + "A : b\r\n\r\n", 400),
    "a bare CR": (LOG_IN + CLOSE + "A: b\rX: c\r\n\r\n", 400),
    "two hosts": (LOG_IN + CLOSE + f"Host: {HOST}\r\n\r\n", 400),
    "two cookies' headers": (LOG_IN + CLOSE + "Cookie: a=b\r\nCookie: c=d\r\n\r\n", 400),
    "two origins": (LOG_IN + CLOSE + "Origin: null\r\nOrigin: null\r\n\r\n", 400),
    "no host": ("GET /connexion HTTP/1.1\r\nConnection: close\r\n\r\n", 421),
    "HTTP/0.9": ("GET /connexion\r\n\r\n", 400),
    "dots": (f"GET /s/../connexion HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 404),
    "encoded slashes": (f"GET /s/..%2fconnexion HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 404),
    "a NUL in the path": (f"GET /connexion%00 HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 404),
    "a number too large": (f"GET /actions/2147483648 HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 404),
    "a number with a zero": (f"GET /actions/01 HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 404),
    "a bad query": (f"GET /connexion?a=%ff HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 400),
    "a field twice": (f"GET /connexion?a=1&a=2 HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}\r\n", 400),
    "JSON": (f"POST /connexion HTTP/1.1\r\nHost: {HOST}\r\n{CLOSE}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
             400),
    "a large header": (LOG_IN + CLOSE + "A: " + "x" * 20000 + "\r\n\r\n", 400),
    "a large body": (f"POST /connexion HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 65537\r\n\r\n", 413),
}


@pytest.mark.parametrize("name", RAW)
def test_raw(page, name):
    """Each request that two readers could understand differently, or that makes no sense, is refused."""
    web = page(running=False)
    sent, status = RAW[name]
    got = web.raw(sent.encode("latin-1"))
    assert re.match(rb"HTTP/1\.[01] %d " % status, got), got[:200]
    assert b"password" not in got


def test_slow_clients(page):
    """Five hundred connections that send a byte now and then keep nobody out."""
    web = page(running=False)
    slow = []
    try:
        for i in range(500):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(5)
            try:
                sock.connect(str(web.socket))
                sock.send((LOG_IN + "A: b").encode())
                slow.append(sock)
            except OSError:
                sock.close()
            if i % 100 == 99:
                assert web.client().get("/connexion", timeout=5).status == 200
    finally:
        for sock in slow:
            sock.close()


def test_file_of_the_configuration(page):
    """-t names each mistake; a reload takes a good file whole, and keeps the old one against a bad one."""
    web = page(running=False, idle="15min")
    assert web.check().returncode == 0
    assert "15 minutes" in web.client().get("/connexion").words
    web.configure(idle="30min")
    web.reload()
    web.wait_for_log("another configuration is in force")
    assert "30 minutes" in web.client().get("/connexion").words
    web.configure(idle="45min", sessions="many")
    assert web.check().returncode == 1
    assert "sessions" in web.check().stderr
    web.reload()
    web.wait_for_log("stays as it was")
    assert "30 minutes" in web.client().get("/connexion").words
    web.configure(idle="45min", sessions=40, listen=f"unix:{web.dir}/other.sock")
    web.reload()
    web.wait_for_log("listen changes only by a restart")
    assert "30 minutes" in web.client().get("/connexion").words
