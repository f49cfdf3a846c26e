"""What every page has: its files, its language, its layout on a screen and on a phone."""

import hashlib
import re
from pathlib import Path

import pytest

from support.browser import DESKTOP, PHONE, accessible, log_in
from support.harness import wait_until
from support.page import NOBODY, OPERATOR, password

WEB = Path(__file__).resolve().parents[3] / "daemon" / "web"


@pytest.mark.parametrize("prefix", ["", "/rgpd"])
def test_files_are_served_under_their_sum(page, prefix):
    """A browser may keep them for ever, because another content has another address."""
    client = page(running=False, **({"prefix": prefix} if prefix else {})).client()
    answer = client.get("/connexion")
    for name, kind in (("page.css", "text/css"), ("page.js", "text/javascript")):
        content = (WEB / name).read_bytes()
        path = re.search(rf'(?:href|src)="{prefix}(/s/{name[:4]}\.([0-9a-f]+)\.{name[5:]})"', answer.text)
        assert hashlib.sha256(content).hexdigest().startswith(path[2])
        assert len(path[2]) == 32
        served = client.get(path[1])
        assert (served.status, served.body) == (200, content)
        assert served.header("Content-Type").startswith(kind)
        assert served.header("Cache-Control") == "public, max-age=31536000, immutable"
        assert client.get(path[1].replace(path[2], "0" * 32)).status == 404
    assert len((WEB / "page.js").read_bytes()) < 4096


def test_language(page):
    """?langue= beats Accept-Language, for the session's other pages too; an unknown one changes nothing."""
    web = page(running=False)
    for header, title in (("fr-CA,fr;q=0.8", "Se connecter – Données personnelles (RGPD)"),
                          ("en", "Log in – Personal data (GDPR)"),
                          ("de", "Se connecter – Données personnelles (RGPD)")):
        assert web.client(language=header).get("/connexion").title == title
    client = web.client(language="fr")
    answer = client.get("/connexion?langue=en")
    if answer.status == 303:
        answer = client.follow(answer)
    assert "Log in" in answer.words
    assert 'lang="en"' in answer.text
    assert "Log in" in client.get("/connexion").words
    assert "Log in" in client.get("/connexion?langue=de").words


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_layout(page, browser, width):
    """The pages that need no content: on a screen and on a phone, light and dark, in both languages."""
    web = page(port=True, running=False)
    driver = browser(width=width)
    for language in ("fr", "en"):
        driver.get(f"{web.url}/connexion?langue={language}")
        accessible(driver)
        driver.find_element("name", "nom").send_keys(OPERATOR)
        driver.find_element("name", "mdp").send_keys("wrong")
        driver.find_element("css selector", "main button").click()
        assert driver.title.startswith(("Erreur\u00a0:", "Error:"))
        wait_until(lambda: driver.switch_to.active_element.get_attribute("id") == "err", what="the error has the focus")
        driver.get_log("browser")  # has the 401
        accessible(driver)
    driver.find_element("name", "nom").clear()
    driver.find_element("name", "nom").send_keys(NOBODY)
    driver.find_element("name", "mdp").send_keys(password(NOBODY))
    driver.find_element("css selector", "main button").click()
    assert f'GRANT retention_auditor TO "{NOBODY}";' in driver.find_element("tag name", "main").text
    driver.get_log("browser")  # has the 403
    accessible(driver)
    log_in(driver, web, OPERATOR, "/nowhere")
    assert driver.find_element("class name", "who").text.startswith(OPERATOR)
    driver.get_log("browser")  # has the 404
    accessible(driver)
