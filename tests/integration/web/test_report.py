"""The report of an action on the page: for those who read, as retentionctl writes it, under a policy of its own."""

import base64
import hashlib
import json
import re

import pytest

from support.browser import DESKTOP, PHONE, accessible, log_in
from support.ctl import ctl
from support.french import reader
from support.page import APPROVER, AUDITOR, BOTH, OPERATOR
from support.states import HOSTILE, make_action

LINK = "Rapport pour le dossier, à imprimer"


@pytest.fixture
def web(page):
    return page(running=False)


def test_each_reader_gets_it(web):
    job = make_action(web, OPERATOR, "done", kind="delete_contacts", archive="full", candidates=6999, counters={
        "treated": 6996, "dropped": 2, "failed": 1, "rows": {}})
    for person in (AUDITOR, OPERATOR, APPROVER, BOTH):
        client = web.client(person)
        assert client.get(f"/actions/{job}").links[f"/actions/{job}/rapport"] == LINK
        answer = client.get(f"/actions/{job}/rapport")
        assert (answer.status, answer.title, answer.parser.lang) == (200, f"Rapport sur l’action {job}", "fr")
        assert "6996" in answer.words and person in answer.words and OPERATOR in answer.words
        assert not answer.links and not answer.forms
    assert web.client(AUDITOR).get("/actions/4711/rapport").status == 404
    assert web.client().get(f"/actions/{job}/rapport").status in (303, 401)
    assert web.client(AUDITOR).post(f"/actions/{job}/rapport", {}).status == 405


def test_its_policy_allows_its_own_style_and_nothing_else(web):
    job = make_action(web, OPERATOR, "done", candidates=3, counters={"treated": 3, "dropped": 0, "failed": 0, "rows": {}})
    client = web.client(AUDITOR)
    answer = client.get(f"/actions/{job}/rapport")
    style, = re.findall("<style>(.*?)</style>", answer.text, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert answer.header("Content-Security-Policy") == (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'")
    assert answer.header("X-Content-Type-Options") == "nosniff" and answer.header("Cache-Control") == "no-store"
    assert "<script" not in answer.text and "style=" not in answer.text
    # The page itself keeps its own.
    assert "style-src 'self'" in client.get(f"/actions/{job}").header("Content-Security-Policy")


def test_hostile_texts(web):
    client = web.client(AUDITOR)
    for text in HOSTILE:
        job = make_action(web, OPERATOR, "failed", note=text, error=text)
        answer = client.get(f"/actions/{job}/rapport")
        assert answer.status == 200
        assert answer.words.count(text[:200].replace("\u202e", "\ufffd")) >= 2
        for raw in ("<img", "<script>alert", "\u202e"):
            assert raw not in answer.text


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_same_as_that_of_the_command(web, language):
    """Byte by byte, but for the moment, the person, and the marks of French typography."""
    job = make_action(web, OPERATOR, "running", kind="delete_contacts", candidates=10, left=4)
    said = ctl(web.pg, web.db, "report", job, "--format", "html", env=reader(language)).stdout
    client = web.client(AUDITOR)
    shown = client.get(f"/actions/{job}/rapport?langue={language}")
    shown = (client.follow(shown) if shown.status == 303 else shown).text

    def plain(text):
        text = text.replace("\u00a0", " ").replace("\u202f", " ").replace("’", "'").replace("&#39;", "'")
        return [line for line in text.splitlines() if not re.search(r"<td>(20\d\d-|denis\.roux|postgres|retention_test|[0-9a-f]{64}<)", line)]

    assert plain(shown) == plain(said)
    assert f'<html lang="{language}">' in shown


def test_of_an_action_that_was_done(page):
    """With the rules of its configuration, as the command has them; its keys stay in the command."""
    web = page(running=False)
    d = web.daemon
    d.ctl("save", "anonymize_contacts", "--from", "2024-01-01", "--to", "2024-01-31", check=False)
    d.once()
    job, = (j["id"] for j in d.jobs())
    d.ctl("validate", job)
    d.once()
    shown = web.client(AUDITOR).get(f"/actions/{job}/rapport")
    rules = json.loads(d.ctl("report", job, "--format", "json").stdout)["rules"]
    assert rules and shown.status == 200
    for rule in rules:
        assert rule["relation"] in shown.words
    assert ">clés<" not in shown.text


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_in_a_browser(page, browser, width):
    """Its style is applied, axe finds nothing, nothing scrolls sideways, and the console is silent."""
    web = page(port=True, running=False)
    job = make_action(web, OPERATOR, "done", kind="delete_contacts", archive="full", candidates=3, note="x" * 200,
                      counters={"treated": 3, "dropped": 0, "failed": 0, "rows": {}})
    driver = browser(width=width)
    log_in(driver, web, AUDITOR, f"/actions/{job}/rapport")
    assert driver.find_element("tag name", "h2").value_of_css_property("border-top-style") == "solid"
    accessible(driver)
