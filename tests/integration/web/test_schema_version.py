"""The page and a schema of another version: it says which program has to be upgraded, to the person and in the log."""

import pytest

from support.harness import wait_until
from support.page import AUDITOR, NOBODY, OPERATOR, password
from support.versions import NEWEST, pretend, told

WORDS = {NEWEST + 1: "La base de données est plus récente que cette page. Votre saisie n’est pas enregistrée. "
                     "L’administrateur doit installer la nouvelle version de retentiond-web.",
         NEWEST - 1: "La base de données est plus ancienne que cette page. Votre saisie n’est pas enregistrée. "
                     "L’administrateur doit lancer : retentionctl migrate"}
others = pytest.mark.parametrize("is_at", WORDS)


def enter(client, person):
    client.get("/connexion")
    return client.submit("/connexion", follow=False, nom=person, mdp=password(person))


def saw(answer, is_at):
    return answer.status == 503 and WORDS[is_at] in answer.words.replace("\N{NO-BREAK SPACE}", " ")


def migrated(web):
    """The schema is of the page's version again."""
    web.pg.sql(web.db, f"DELETE FROM retention.schema_version WHERE version > {NEWEST}; INSERT INTO retention.schema_version"
                       f" SELECT {NEWEST}, 'x', 'x' ON CONFLICT DO NOTHING")


@others
def test_at_the_log_in(page, is_at):
    """Nobody gets in, no session is kept, and what retention.me of that version is does not matter."""
    web = page(running=False)
    pretend(web.pg, web.db, is_at)
    web.pg.sql(web.db, "ALTER VIEW retention.me RENAME COLUMN timezone TO zone")
    client = web.client()
    assert saw(enter(client, OPERATOR), is_at)
    assert client.get("/").status == 401
    web.wait_for_log(told(is_at, "retentiond-web"))
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
    wait_until(lambda: web.pg.value(web.db, sessions, (OPERATOR,)) == 0, what="the connection is closed")
    web.pg.sql(web.db, "ALTER VIEW retention.me RENAME COLUMN zone TO timezone")
    migrated(web)
    assert enter(client, OPERATOR).status == 303


@others
def test_while_a_session_lives(page, is_at):
    """The upgrade of the other side: a form that is sent changes nothing.  The session goes on when the two fit again."""
    web = page(running=False)
    client = web.client(OPERATOR)
    client.get("/actions/nouvelle?type=export")
    pretend(web.pg, web.db, is_at)
    refused = client.submit("/actions", follow=False, du="2020-01-01", au="2020-01-02")
    assert saw(refused, is_at)
    assert web.pg.value(web.db, "SELECT count(*) FROM retention.archive_journal") == 0
    assert saw(client.get("/"), is_at)
    web.wait_for_log(told(is_at, "retentiond-web"))
    migrated(web)
    assert client.get("/").status == 200


def test_without_a_schema(page):
    web = page(running=False)
    web.pg.sql(web.db, "DROP SCHEMA retention CASCADE")
    answer = enter(web.client(), AUDITOR)
    assert saw(answer, NEWEST - 1)
    web.wait_for_log("schema retention is missing: run retentionctl migrate")


def test_a_role_without_rights_is_not_told(page):
    """The page is not for it, whatever the version."""
    web = page(running=False)
    pretend(web.pg, web.db, NEWEST + 1)
    answer = enter(web.client(), NOBODY)
    assert answer.status == 403 and "Ce compte n’a pas accès à cette page" in answer.words
