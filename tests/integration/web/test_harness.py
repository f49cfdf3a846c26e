"""The log-in, and the tests' own client: what all other tests of the page stand on."""

import pytest

from support import browser as chromium
from support.page import APPROVER, AUDITOR, BOTH, DAEMON, NOBODY, OPERATOR, SUPERUSER


def test_everybody_with_a_role_logs_in(page):
    p = page()
    for person in (AUDITOR, OPERATOR, APPROVER, BOTH):
        client = p.client(person)
        assert person in client.last.words
        who = p.pg.sql(p.db, "SELECT usename FROM pg_stat_activity WHERE application_name = 'retentiond-web' AND usename = %s",
                       (person,))
        assert who == [(person,)]
        client.log_out()


@pytest.mark.parametrize("person,status", [(NOBODY, 403), (SUPERUSER, 403), (DAEMON, 403), ("no.such", 401)])
def test_nobody_else_does(page, person, status):
    p = page()
    client = p.client()
    assert client.log_in(person).status == status
    assert client.get("/").status != 200
    assert p.pg.sql(p.db, "SELECT usename FROM pg_stat_activity WHERE application_name = 'retentiond-web'") == []


def test_below_a_prefix(page):
    p = page(prefix="/rgpd")
    client = p.client(OPERATOR)
    assert client.get("/rgpd/").status == 200
    inside = [where for where in client.last.links if where.startswith("/")]
    assert inside and all(where.startswith("/rgpd/") for where in inside)


def test_a_wrong_file_is_refused(page):
    p = page(started=False)
    p.configure(idle="15 moths", hosts=["https://x"])
    done = p.check()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f'{p.path}:1: web: idle "15 moths" is not a duration (Nms, Ns, Nmin, Nh) from 1min to 24h',
        f"{p.path}:1: web: hosts: \"https://x\" is not a host's name in small letters, without https:// and without a port",
    ]


@pytest.mark.parametrize("width", [chromium.DESKTOP, chromium.PHONE])
@pytest.mark.parametrize("language,word", [("fr", "Se connecter"), ("en", "Log in")])
def test_a_browser_logs_in(page, browser, width, language, word):
    p = page(port=True)
    driver = browser(width=width, language=language)
    driver.get(p.url + "/connexion")
    assert word in driver.find_element("css selector", "main").text
    assert driver.find_element("css selector", "html").get_attribute("lang") == language
    chromium.accessible(driver)
    chromium.log_in(driver, p, OPERATOR)
    assert OPERATOR in driver.find_element("css selector", "header").text
    chromium.accessible(driver)
