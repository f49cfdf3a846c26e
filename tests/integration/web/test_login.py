"""Who gets in and how: passwords, roles, tries, sessions, the way out, and the log-in by the proxy."""

import re
import threading

import pytest

from support.harness import wait_until
from support.page import (APPROVER, AUDITOR, BOTH, DAEMON, HOST, NOBODY, OPERATOR, PERSONS, SUPERUSER, password)

SESSION, BEFORE = "__Host-rgpd", "__Host-rgpd-avant"


def enter(client, person, secret=None, follow=False):
    client.get("/connexion")
    secret = password(person) if secret is None else secret
    return client.submit("/connexion", follow=follow, nom=person, mdp=secret)


def cookie_of(answer, name):
    return next(line for line in answer.headers_of("Set-Cookie") if line.startswith(name + "="))


def connections(web, person):
    """How many sessions PostgreSQL has of the person."""
    return web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (person,))


def test_password(page):
    """The right password opens a session; a wrong one and an unknown name have the same answer."""
    web = page()
    client = web.client()
    answer = enter(client, OPERATOR, "wrong")
    assert answer.status == 401
    assert "Nom ou mot de passe refusé." in answer.words
    form = answer.form("/connexion")
    assert form.fields["nom"] == OPERATOR
    assert not form.fields["mdp"]
    unknown = enter(client, "no.such.person", "wrong")
    assert unknown.status == 401
    assert unknown.words == answer.words
    answer = enter(client, OPERATOR)
    assert (answer.status, answer.location) == (303, "/")
    parts = cookie_of(answer, SESSION).split("; ")
    assert re.fullmatch(SESSION + "=[0-9a-f]{64}", parts[0])
    assert set(parts[1:]) == {"Path=/", "HttpOnly", "SameSite=Strict", "Secure"}
    assert connections(web, OPERATOR) == 1
    log = web.log_text()
    assert "logged in" in log
    assert "no.such.person" not in log


def test_the_session_is_named(page):
    """An administrator sees in PostgreSQL whose session it is, and which program's."""
    web = page()
    enter(web.client(), OPERATOR)
    assert web.pg.value(
        web.db, "SELECT application_name FROM pg_stat_activity WHERE usename = %s", (OPERATOR,)) == "retentiond-web"


@pytest.mark.parametrize("person", [NOBODY, SUPERUSER, DAEMON])
def test_not_for_this_role(page, person):
    """A role of none of the groups, a superuser and the daemon's role are told so, and have no session."""
    web = page()
    client = web.client()
    answer = enter(client, person)
    assert answer.status == 403
    assert "Ce compte n’a pas accès à cette page" in answer.words
    assert SESSION not in client.cookies
    wait_until(lambda: connections(web, person) == 0, what="the connection is closed")


def test_a_server_that_asks_for_no_password(page):
    """Under "trust" or "peer" every password would do, so nobody gets in, and the log says why."""
    web = page(running=False)
    web.pg.sql("postgres", "CREATE ROLE trusted LOGIN IN ROLE retention_approver")
    try:
        client = web.client()
        answer = enter(client, "trusted", "anything")
        assert answer.status == 503
        assert SESSION not in client.cookies
        web.wait_for_log("the server has not asked for the password: see pg_hba.conf")
        wait_until(lambda: connections(web, "trusted") == 0, what="the connection is closed")
    finally:
        web.pg.sql("postgres", "DROP ROLE trusted")


def test_roles_taken_away(page):
    """A role that is revoked while its session lives ends the session at the next page."""
    web = page()
    client = web.client()
    enter(client, AUDITOR)
    try:
        web.pg.sql(web.db, f'REVOKE retention_auditor FROM "{AUDITOR}"')
        answer = client.get("/")
        assert answer.status == 403
        assert "aucun des rôles" in answer.words
        assert SESSION not in client.cookies
    finally:
        web.pg.sql(web.db, f'GRANT retention_auditor TO "{AUDITOR}"')


def test_tries(page):
    """The sixth failure of a name within a minute makes no connection, although its password is right by now."""
    web = page()
    client = web.client(headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.7"})

    def failures():
        return web.pg.log.read_text(errors="replace").count("password authentication failed")

    before = failures()
    for _ in range(5):
        assert enter(client, APPROVER, "wrong").status == 401
    assert failures() == before + 5
    answer = enter(client, APPROVER)
    assert answer.status == 429
    assert answer.header("Retry-After") == "60"
    assert "attendez une minute" in answer.words
    assert enter(client, OPERATOR).status == 303, "another name may"
    assert failures() == before + 5


def test_tries_of_an_address(page):
    """Twenty failures of an address within a minute, whatever the names; the address is the one that the proxy saw."""
    web = page()
    client = web.client(headers={"X-Forwarded-For": "192.0.2.1, 198.51.100.8"})
    for i in range(20):
        assert enter(client, f"nobody{i}", "wrong").status == 401
    assert enter(client, OPERATOR).status == 429
    assert enter(web.client(headers={"X-Forwarded-For": "198.51.100.8, 192.0.2.9"}), OPERATOR).status == 303


def test_many_tries_at_once(page):
    """Tries that begin before the first one has failed count, too."""
    web = page()
    client = web.client()
    fields = {**client.get("/connexion").form("/connexion").fields, "nom": OPERATOR, "mdp": "wrong"}
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(client.post("/connexion", fields).status))
               for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 5 + [429] * 7


def test_log_in_is_no_forgery(page):
    """The log-in's form belongs to the browser that has shown it, and comes from this site."""
    web = page()
    client, other = web.client(), web.client()
    fields = {**client.get("/connexion").form("/connexion").fields, "nom": OPERATOR, "mdp": password(OPERATOR)}
    foreign = other.get("/connexion").form("/connexion").fields["jeton"]
    for bad in (None, "", "0" * 64, foreign):
        answer = client.post("/connexion", {**fields, "jeton": bad})
        assert answer.status == 403
        assert answer.form("/connexion").fields["nom"] == OPERATOR, "the name is kept"
        assert SESSION not in client.cookies
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"},
                    {"Sec-Fetch-Site": None, "Origin": None}, {"Sec-Fetch-Site": None, "Origin": "https://evil.example"},
                    {"Sec-Fetch-Site": None, "Origin": "null"}, {"Origin": f"http://{HOST}"},
                    {"Sec-Fetch-Site": None, "Origin": f"https://{HOST}.evil.example"}):
        assert client.post("/connexion", fields, headers=headers).status == 403, headers
    assert connections(web, OPERATOR) == 0
    assert client.post("/connexion", fields, headers={"Sec-Fetch-Site": None}).status == 303


def test_where_it_leads(page):
    """After the log-in the person is where they wanted to go, and never on another site."""
    web = page()
    client = web.client()
    answer = client.get("/?type=export")
    assert answer.status == 401
    assert answer.form("/connexion").fields["suite"] == "/?type=export"
    answer = client.submit("/connexion", follow=False, nom=OPERATOR, mdp=password(OPERATOR))
    assert (answer.status, answer.location) == (303, "/?type=export")
    for bad in ("//evil.example/", "https://evil.example/", "/\\evil.example", "evil", "/a\r\nSet-Cookie: x=y", "/é"):
        client = web.client()
        fields = client.get("/connexion").form("/connexion").fields
        answer = client.post("/connexion", {**fields, "suite": bad, "nom": OPERATOR, "mdp": password(OPERATOR)})
        assert (answer.status, answer.location) in ((303, "/"), (400, None)), bad


def test_a_link_from_elsewhere(page):
    """A link on another site brings no cookie: the page reloads itself once, and not twice."""
    web = page()
    client = web.client()
    answer = client.get("/?q=1", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 401
    assert '<meta http-equiv="refresh" content="0; url=/?q=1&amp;encore=1">' in answer.text
    answer = client.get("/?q=1&encore=1", headers={"Sec-Fetch-Site": "same-origin"})
    assert "http-equiv" not in answer.text
    assert "http-equiv" not in client.get("/", headers={"Sec-Fetch-Site": "same-origin"}).text


def test_log_out(page):
    """It needs the session's token, and the old cookie is worth nothing afterwards."""
    web = page()
    client, other = web.client(), web.client()
    enter(client, OPERATOR)
    enter(other, APPROVER)
    kept = dict(client.cookies)
    foreign = other.get("/nowhere").form("/deconnexion").fields["jeton"]
    for bad in (None, "0" * 64, foreign):
        assert client.post("/deconnexion", {"jeton": bad}).status == 403
    page_of = client.get("/nowhere")
    assert page_of.status == 404
    session = page_of.form("/deconnexion").fields["jeton"]
    assert client.post("/session", {"jeton": session}).status == 403, "the token of another form"
    answer = client.submit("/deconnexion", follow=False)
    assert (answer.status, answer.location) == (303, "/connexion")
    assert SESSION not in client.cookies
    client.cookies = kept
    answer = client.get("/")
    assert answer.status == 401
    assert "Votre session est fermée" in answer.words
    wait_until(lambda: connections(web, OPERATOR) == 0, what="the connection is closed")
    assert connections(web, APPROVER) == 1


def test_stays(page):
    """POST /session, which the page's script sends, says whether the session goes on."""
    web = page()
    client = web.client(OPERATOR)
    form = client.get("/").form("/session")
    answer = client.post("/session", form.fields)
    assert (answer.status, answer.body) == (204, b"")
    assert client.submit("/deconnexion", client.get("/"), follow=False).status == 303
    assert client.post("/session", form.fields).status == 401


def test_too_many(page):
    """Beyond sessions nobody gets in; beyond sessions_each the person's oldest session ends."""
    web = page(sessions=3, sessions_each=2)
    clients = [web.client() for _ in range(4)]
    assert enter(clients[0], OPERATOR).status == 303
    assert enter(clients[1], OPERATOR).status == 303
    assert enter(clients[2], OPERATOR).status == 303
    assert clients[0].get("/").status == 401, "the oldest one of this person"
    assert clients[2].get("/deconnexion").status == 405
    assert enter(clients[0], APPROVER).status == 303
    answer = enter(clients[3], BOTH)
    assert answer.status == 503
    assert "Trop de personnes sont connectées" in answer.words
    clients[0].get("/nowhere")
    assert clients[0].submit("/deconnexion", follow=False).status == 303
    assert enter(clients[3], BOTH).status == 303


def test_lost_connection(page):
    """A session whose connection is cut is over: the person logs in again."""
    web = page()
    client = web.client()
    enter(client, OPERATOR)
    web.pg.sql(web.db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (OPERATOR,))
    wait_until(lambda: client.get("/deconnexion").status == 405 and client.get("/").status == 401,
               what="the session is over")
    assert "Votre session est fermée" in client.last.words
    assert enter(client, OPERATOR).status == 303


def test_database_away(own_page_pg, page):
    """Without the database the log-in says so, and it does not count as a try."""
    server = own_page_pg()
    web = page(server=server)
    client = web.client()
    assert client.get("/healthz").status == 200
    server.stop()
    for _ in range(6):
        answer = enter(client, OPERATOR)
        assert answer.status == 503
        assert "La base de données ne répond pas" in answer.words
    server.start()
    assert enter(client, OPERATOR).status == 303


def test_restart(page):
    """A restart of the page ends all sessions, and says so."""
    web = page()
    client = web.client()
    enter(client, OPERATOR)
    assert web.stop() == 0
    web.start()
    answer = client.get("/")
    assert answer.status == 401
    assert "Votre session est fermée" in answer.words
    assert enter(client, OPERATOR).status == 303


def test_below_a_prefix(page):
    """Everything stands below the prefix, the cookie, too."""
    web = page(prefix="/rgpd")
    client = web.client()
    answer = client.get("/connexion")
    assert answer.status == 200
    answer = client.submit("/connexion", follow=False, nom=OPERATOR, mdp=password(OPERATOR))
    assert (answer.status, answer.location) == (303, "/rgpd/")
    parts = cookie_of(answer, "rgpd").split("; ")
    assert set(parts[1:]) == {"Path=/rgpd/", "HttpOnly", "SameSite=Strict", "Secure"}
    outside = web.raw(f"GET /connexion HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
    assert outside.startswith(b"HTTP/1.1 404 ")


def test_language(page):
    """English by Accept-Language, and by the link, which is remembered."""
    web = page()
    assert "Se connecter" in web.client().get("/connexion").words
    client = web.client(language="en")
    assert "Log in" in client.get("/connexion").words
    assert client.get("/connexion?langue=fr").parser.lang == "fr"
    assert client.get("/connexion").parser.lang == "fr"
    assert client.get("/connexion?langue=de").parser.lang == "fr"
