"""The log-in by the proxy: its header names the person, and PostgreSQL's peer map decides whether the page may be that person."""

import getpass

import pytest

from support.harness import wait_until
from support.page import APPROVER, AUDITOR, DAEMON, NOBODY, OPERATOR, SUPERUSER

MAPPED = (AUDITOR, OPERATOR, NOBODY, SUPERUSER, DAEMON)


@pytest.fixture
def web(own_page_pg, page):
    server = own_page_pg()
    hba = server.data / "pg_hba.conf"
    hba.write_text("local all +page_person peer map=web\n" + hba.read_text())
    (server.data / "pg_ident.conf").write_text("".join(f"web {getpass.getuser()} {person}\n" for person in MAPPED))
    server.sql("postgres", "SELECT pg_reload_conf()")
    return page(server=server, running=False, login="header", header="X-Remote-User")


def come(web, person, **kwargs):
    return web.client(headers={"X-Remote-User": person, **kwargs})


def test_the_person_of_the_header(web):
    """The first GET logs in, the session serves the rest, and the actor is the person."""
    client = come(web, OPERATOR)
    answer = client.get("/")
    assert answer.status == 200
    assert OPERATOR in answer.words
    assert "__Host-rgpd" in client.cookies
    client.get("/actions/nouvelle?type=export")
    assert client.submit("/actions", follow=False, du="2020-01-01", au="2020-01-02").status == 303
    assert web.pg.value(web.db, "SELECT requested_by FROM retention.archive_journal") == OPERATOR
    assert web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (OPERATOR,)) == 1
    answer = client.get("/connexion")
    assert (answer.status, answer.location) == (303, "/")


@pytest.mark.parametrize("value", ["", "a b", "x" * 64, "a;b", "a'b", "é", "a,b"])
def test_no_name(web, value):
    """Without the header, or with what is no name, nobody gets in."""
    assert come(web, value.encode()).get("/").status == 403
    assert web.client().get("/").status == 403


def test_two_headers(web):
    """Two names in one request are refused, because the proxy sets one."""
    got = web.raw((f"GET / HTTP/1.1\r\nHost: crm.example\r\nConnection: close\r\nX-Remote-User: {OPERATOR}\r\n"
                   f"X-Remote-User: {AUDITOR}\r\n\r\n").encode())
    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("person", [APPROVER, "postgres", NOBODY, SUPERUSER, DAEMON])
def test_refused(web, person):
    """A person who is not in the map, and a role that the page is not for."""
    answer = come(web, person).get("/")
    assert answer.status == 403
    wait_until(lambda: web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                                    "'retentiond-web'") == 0, what="no connection stays")


def test_asked_for_a_password(web):
    """A person of the map is refused where an earlier line of pg_hba.conf asks for a password."""
    hba = web.pg.data / "pg_hba.conf"
    hba.write_text(f"local all {OPERATOR} scram-sha-256\n" + hba.read_text())
    web.pg.sql("postgres", "SELECT pg_reload_conf()")
    wait_until(lambda: come(web, OPERATOR).get("/").status == 403, what="refused")


def test_a_session_of_another_person(web):
    """A cookie counts only for the person that the header names now."""
    client = come(web, OPERATOR)
    client.get("/")
    token = client.last.form("/deconnexion").fields["jeton"]
    client.headers["X-Remote-User"] = AUDITOR
    assert client.post("/deconnexion", {"jeton": token}).status == 401
    answer = client.get("/")
    assert AUDITOR in answer.words
    assert OPERATOR not in answer.words


def test_embedded_in_another_site(web):
    """What another site embeds comes without the cookie; it begins no session, so the person's own ones live on."""
    client = come(web, OPERATOR)
    client.get("/")
    for site in ("cross-site", "same-site"):
        for use in ("image", "iframe", "empty", None):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": use}
            answer = client.get("/", headers=headers, cookies=False)
            assert (answer.status, answer.headers_of("Set-Cookie")) == (403, []), headers
    assert client.get("/").status == 200
    assert web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (OPERATOR,)) == 1
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link, cookies=False).status == 200, "a link from another site"


def test_a_forged_form(web):
    """The token is asked for as in the log-in by password."""
    client = come(web, OPERATOR)
    client.get("/")
    assert client.post("/actions", {"type": "export", "du": "2020-01-01", "au": "2020-01-02"}).status == 403
    assert client.post("/deconnexion", {}).status == 403
    assert web.pg.value(web.db, "SELECT count(*) FROM retention.archive_journal") == 0


def test_no_password(web):
    """The form for a password is not served, and takes none."""
    client = come(web, OPERATOR)
    assert client.post("/connexion", {"nom": APPROVER, "mdp": "x"}).status == 403


def test_lost_connection(web):
    """A connection that was cut is made again by itself."""
    client = come(web, OPERATOR)
    client.get("/")
    web.pg.sql(web.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (OPERATOR,))
    wait_until(lambda: client.get("/").status == 200, what="logged in again")


def test_log_out(web):
    """It ends the session, and leads to where the proxy's log-in ends."""
    client = come(web, OPERATOR)
    client.get("/")
    answer = client.submit("/deconnexion", follow=False)
    assert (answer.status, answer.location) == (303, "/oauth2/sign_out")
    wait_until(lambda: web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (OPERATOR,)) == 0,
               what="the connection is closed")
