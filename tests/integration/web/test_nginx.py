"""The page behind NGINX, under the file that is shipped: both ways of logging in, slow clients, and what its log holds."""

import base64
import contextlib
import socket
import subprocess

import pytest

from support.harness import TIMEOUT, wait_until
from support.nginx import Nginx
from support.page import APPROVER, AUDITOR, NOBODY, OPERATOR, password
from support.states import make_action, update
from support.stream import Stream

SLOW = 500
BASIC = [('proxy_set_header X-Remote-User "";', "proxy_set_header X-Remote-User $remote_user;\n"
          '\tauth_basic "CRM";\n\tauth_basic_user_file {htpasswd};')]


@pytest.fixture
def nginx(tmp_path):
    """nginx(page, changes=[…]): a running Nginx in front of the page."""
    made = []

    def make(page, changes=()):
        made.append(Nginx(tmp_path / f"nginx{len(made)}", page, changes))
        return made[-1].start()

    yield make
    for each in made:
        each.stop()


def test_log_in_by_password(nginx, page):
    p = page()
    proxy = nginx(p)
    client = proxy.client(headers={"X-Remote-User": APPROVER})  # which must not arrive
    answer = client.log_in(OPERATOR)
    assert answer.status == 200
    assert OPERATOR in answer.words and APPROVER not in answer.words
    cookie = next(c for c in client.get("/connexion", cookies=False).headers_of("Set-Cookie"))
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


def test_wrong_passwords_count_by_address(nginx, page):
    """What a client says of itself in X-Forwarded-For does not matter."""
    p = page()
    proxy = nginx(p)
    statuses = []
    for n in range(21):
        client = proxy.client(headers={"X-Forwarded-For": f"10.0.0.{n}"})
        statuses.append(client.log_in(f"person{n}", "wrong").status)
    assert statuses == [401] * 20 + [429]
    # From the page's own socket, another proxy might say another address.
    other = p.client(headers={"X-Forwarded-For": "192.0.2.1"})
    assert other.log_in(OPERATOR).status == 200


def test_the_log_has_no_query(nginx, page):
    p = page()
    proxy = nginx(p)
    client = proxy.client()
    client.log_in(OPERATOR)
    client.get("/personne?cle=canary-key")
    p.stop()
    client.get("/personne?cle=canary-away")  # a message of NGINX's own
    text = wait_until(lambda: "502" in proxy.logs() and proxy.logs())
    assert '"GET /personne" 502' in text
    assert "canary" not in text and "secret" not in text


def test_progress_is_not_held_back(nginx, page):
    p = page(running=False)
    job = make_action(p, OPERATOR, "running", candidates=5000, left=4000)
    client = nginx(p).client()
    client.log_in(AUDITOR)
    stream = Stream(client, job, "running")
    assert stream.next()[0] == "progress"
    update(p, job, "waiting = 'x', waiting_for = 'courtesy'")
    stream.progress(lambda told: told["attend"])


def test_a_large_form_is_refused(nginx, page):
    client = nginx(page()).client()
    assert client.post("/connexion", {"nom": "x" * 70000}).status == 413


def slowly(sockets):
    """One more byte of a header that does not end, from each that is still open."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.sendall(b"a")


def next_person(client):
    """Opens the log-in page, and waits less long for it than a slow client may take."""
    assert client.get("/connexion", timeout=5).status == 200


def test_slow_clients_behind_nginx(nginx, page):
    proxy = nginx(page())
    context = proxy.context()
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(SLOW):
            plain = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), TIMEOUT,
                                                                 source_address=("127.0.0.2", 0)))
            sockets.append(stack.enter_context(context.wrap_socket(plain, server_hostname="crm.example")))
            sockets[-1].sendall(b"GET / HTTP/1.1\r\nHost: crm.example\r\nX: ")
        for _ in range(3):
            slowly(sockets)
            next_person(proxy.client())


def test_slow_clients_at_the_page(page):
    p = page()
    with contextlib.ExitStack() as stack:
        sockets = []
        for _ in range(SLOW):
            with contextlib.suppress(OSError):  # the queue of the socket is full
                sockets.append(stack.enter_context(p.raw_socket(0.5)))
                sockets[-1].sendall(b"GET / HTTP/1.1\r\nHost: crm.example\r\nX: ")
        for _ in range(3):
            slowly(sockets)
            next_person(p.client())


# --- log-in by the proxy -----------------------------------------------------------------------


@pytest.fixture
def peers(own_page_pg):
    """A server that lets this process log in as each member of retention_web, and as nobody else."""
    server = own_page_pg()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    members = (OPERATOR, APPROVER)
    server.sql("postgres", "CREATE ROLE retention_web NOLOGIN")
    for person in (*members, NOBODY):
        server.sql("postgres", f'GRANT retention_web TO "{person}"')
    server.hba.write_text("local all +retention_web peer map=web\n" + server.hba.read_text())
    (server.data / "pg_ident.conf").write_text("".join(f"web {user} {person}\n" for person in members))
    server.sql("postgres", "SELECT pg_reload_conf()")
    return server


@pytest.fixture
def basic(tmp_path):
    """NGINX asks for a name and a password of its own, and says the name in the header."""
    htpasswd = tmp_path / "htpasswd"
    htpasswd.write_text("".join(f"{person}:{{PLAIN}}of-{person}\n" for person in (OPERATOR, APPROVER, NOBODY)))
    return [(old, new.format(htpasswd=htpasswd)) for old, new in BASIC]


def known_as(person):
    return {"Authorization": "Basic " + base64.b64encode(f"{person}:of-{person}".encode()).decode()}


def test_log_in_by_the_proxy(nginx, page, peers, basic):
    p = page(server=peers, login="header", header="X-Remote-User")
    proxy = nginx(p, basic)
    assert proxy.client().get("/").status == 401  # NGINX's own
    client = proxy.client(headers={**known_as(OPERATOR), "X-Remote-User": APPROVER})
    client.get("/")
    answer = client.follow()
    assert answer.status == 200
    assert OPERATOR in answer.words and APPROVER not in answer.words
    sessions = p.pg.sql(p.db, "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'retentiond-web'")
    assert sessions == [(OPERATOR,)]


def test_the_proxy_changes_its_mind(nginx, page, peers, basic):
    """A session belongs to the person whom the header named: another name is another session."""
    p = page(server=peers, login="header", header="X-Remote-User")
    proxy = nginx(p, basic)
    client = proxy.client(headers=known_as(OPERATOR))
    client.get("/")
    assert OPERATOR in client.follow().words
    client.headers.update(known_as(APPROVER))
    client.get("/")
    answer = client.follow()
    assert OPERATOR not in answer.words


def test_who_is_not_in_the_map(nginx, page, peers, basic):
    p = page(server=peers, login="header", header="X-Remote-User")
    proxy = nginx(p, basic)
    client = proxy.client(headers=known_as(NOBODY))
    client.get("/")
    answer = client.follow()
    assert answer.status in (401, 403)
    # Its own user's name, and a superuser's, are not in the map either.
    for name in (peers.SUPERUSER, "postgres", "", "a b", "x" * 64, "claire.martin, x"):
        direct = p.client(headers={"X-Remote-User": name})
        direct.get("/")
        assert direct.follow().status in (400, 401, 403), name


def test_two_headers_are_refused(page, peers):
    p = page(server=peers, login="header", header="X-Remote-User")
    answer = p.raw(f"GET / HTTP/1.1\r\nHost: crm.example\r\nX-Remote-User: {OPERATOR}\r\n"
                   f"X-Remote-User: {APPROVER}\r\nConnection: close\r\n\r\n".encode(), timeout=5)
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_the_form_is_not_there(page, peers):
    """With log-in by the proxy no password is taken."""
    p = page(server=peers, login="header", header="X-Remote-User")
    client = p.client()
    answer = client.get("/connexion?suite=/journal")
    assert (answer.status, answer.location) == (303, "/journal")
    assert not client.follow().has_form("/connexion")
    answer = client.post("/connexion", {"nom": OPERATOR, "mdp": password(OPERATOR)})
    assert answer.status in (401, 403, 404, 405)
    assert client.get("/").status != 200
