"""
Every page in its states, on a screen and on a phone, light and dark: axe-core finds nothing, nothing scrolls sideways,
the console is silent, and all that is said is in the reader's language.
"""

import gettext
import io
import re
import subprocess
from pathlib import Path

import pytest

from support.browser import DESKTOP, PHONE, accessible, log_in
from support.page import APPROVER, AUDITOR, BOTH, OPERATOR
from support.small import policy
from support.states import as_person, make_action, update

DAEMON = Path(__file__).resolve().parents[3] / "daemon"
# All that a person reads, or hears, except what is marked as being in another language, or as a value.
SAID = """
    const said = [], walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
    const left_out = "[lang]:not(html), script, code, .mono, .who > span, footer strong";
    while (walker.nextNode())
        if (!walker.currentNode.parentElement.closest(left_out)) said.push(walker.currentNode.textContent);
    for (const name of ["aria-label", "data-label", "placeholder", "title", "alt"])
        for (const element of document.querySelectorAll(`[${name}]`))
            if (!element.closest(left_out)) said.push(element.getAttribute(name));
    return said.map(text => text.replace(/[ \\n\\t]+/g, " ").trim()).filter(text => text);"""


def pattern(text):
    """What a text node can be of a sentence: {name} stands for anything."""
    return re.compile(".+?".join(map(re.escape, re.split(r"\{[^}]*\}", " ".join(text.split(" "))))), re.S)


def nodes(sentence):
    """The texts between the tags of a sentence that have a word of their own."""
    for text in re.split(r"<[^>]*>", sentence):
        if re.search(r"[^\W\d_]{3}", re.sub(r"\{[^}]*\}", "", text)):
            yield text.strip(" ")


@pytest.fixture(scope="module")
def languages():
    """{"fr": patterns, "en": patterns} of all that both catalogues can say."""
    merged = subprocess.run(["msgcat", "--no-wrap", "--use-first", DAEMON / "web" / "fr.po", DAEMON / "po" / "fr.po"],
                            stdout=subprocess.PIPE, check=True).stdout
    compiled = subprocess.run(["msgfmt", "-o", "-", "-"], input=merged, stdout=subprocess.PIPE, check=True).stdout
    found = {"fr": [], "en": []}
    for plural in re.findall(r'^msgid_plural "(.*)"$', merged.decode(), re.M):
        found["en"] += map(pattern, nodes(plural.replace('\\"', '"')))
    for english, french in gettext.GNUTranslations(io.BytesIO(compiled))._catalog.items():
        english = english[0] if isinstance(english, tuple) else english
        if english and not english.startswith("retention.") and "%s" not in english:
            found["en"] += map(pattern, nodes(english))
            found["fr"] += map(pattern, nodes(french))
    return found


def foreign(driver, languages, language):
    """What the page says that is a sentence of the other language only."""
    other = "en" if language == "fr" else "fr"
    return [text for text in driver.execute_script(SAID)
            if any(p.fullmatch(text) for p in languages[other]) and not any(p.fullmatch(text) for p in languages[language])]


def make_states(web):
    """Paths by what they show, for somebody who saves and validates."""
    preview = {"held": 2, "oldest": "2024-01-02 10:00:00+00", "newest": "2024-01-31 10:00:00+00",
               "tables": [{"table": "message", "what": "deleted", "rows": 2914}]}
    full = {"kind": "delete_contacts", "archive": "full", "counters": {"treated": 2, "dropped": 1, "failed": 0, "rows": {}}}
    job = {
        "unlisted": make_action(web, OPERATOR, "saved", listed=False),
        "listed": make_action(web, OPERATOR, "saved", preview=preview, note="dossier 17"),
        "nobody": make_action(web, OPERATOR, "saved", candidates=0),
        "of requests": make_action(web, OPERATOR, "saved", kind="anonymize_requests"),
        "export": make_action(web, OPERATOR, "saved", kind="export", archive="listed"),
        "validated": make_action(web, OPERATOR, "validated"),
        "running": make_action(web, OPERATOR, "running", candidates=10, left=4),
        "paused": make_action(web, OPERATOR, "running", candidates=10, left=4),
        "done": make_action(web, OPERATOR, "done", **full),
        "deleted": make_action(web, OPERATOR, "done", **full),
        "failed": make_action(web, OPERATOR, "failed", error="paul.durand has abandoned it"),
        "cancelled": make_action(web, OPERATOR, "cancelled"),
    }
    update(web, job["running"], "waiting = 'other users', waiting_for = 'courtesy'")
    as_person(web, APPROVER, "SELECT retention.pause_action(%s)", (job["paused"],))
    as_person(web, APPROVER, "SELECT retention.delete_archive(%s, 'fin de dossier')", (job["deleted"],))
    as_person(web, OPERATOR, "SELECT retention.place_hold('7', 'dossier 2026/17')")
    as_person(web, OPERATOR, "SELECT retention.ask('subject_export', NULL, '7')")
    return {
        "overview": "/", "actions": "/actions", "filtered": "/actions?type=export&statut=failed",
        **{f"new {kind}": f"/actions/nouvelle?type={kind}"
           for kind in ("export", "delete_contacts", "anonymize_contacts", "anonymize_requests")},
        **{name: f"/actions/{n}" for name, n in job.items()},
        **{f"validate {name}": f"/actions/{job[name]}/valider" for name in ("listed", "of requests", "export")},
        "validate what is done": f"/actions/{job['done']}/valider",
        "delete the archive": f"/actions/{job['done']}/archive/supprimer",
        "delete it twice": f"/actions/{job['deleted']}/archive/supprimer",
        "rules": "/regles", "holds": "/blocages", "a person": "/personne?cle=7", "no key": "/personne?cle=x",
        "journal": "/journal", "status": "/etat", "help": "/aide", "accessibility": "/accessibilite",
        "not found": "/actions/4711",
    }


@pytest.fixture
def web(page):
    return page(port=True, running=False, daemon_options={
        "policies": [policy(name="contacts-36m", depth="36 months", archive="full"),
                     policy("anonymize_requests", name="requests-12m", depth="12 months", enabled=False)]})


@pytest.mark.parametrize("width, language", [(DESKTOP, "fr"), (PHONE, "fr"), (DESKTOP, "en")])
def test_every_state(web, browser, languages, width, language):
    """All states of all pages, as somebody sees them who may do everything."""
    driver = browser(width=width)
    driver.get(f"{web.url}/connexion?langue={language}")
    log_in(driver, web, BOTH)
    found = {}
    for name, path in {"empty overview": "/", "empty list": "/actions", **make_states(web)}.items():
        driver.get(web.url + path)
        assert "<title>" in driver.page_source, (name, path, web.log_text()[-1000:])
        found[name] = driver.title
        driver.get_log("browser")  # may have a 404 or 409
        if language == "fr":  # the layout is the same in both
            accessible(driver)
        assert foreign(driver, languages, language) == [], name
    assert all(title.endswith("Données personnelles (RGPD)" if language == "fr" else "Personal data (GDPR)")
               for title in found.values()), found
    assert len(set(found.values())) > 20


@pytest.mark.parametrize("person", [AUDITOR, OPERATOR, APPROVER])
def test_what_a_role_may_not(web, browser, languages, person):
    """The same pages for each role: what it may not see says so, in a page of its own."""
    driver = browser(width=PHONE)
    states = make_states(web)
    log_in(driver, web, person)
    for name in ("overview", "new export", "listed", "validate listed", "done", "delete the archive", "holds", "a person", "rules"):
        driver.get(web.url + states[name])
        assert "<title>" in driver.page_source, name
        driver.get_log("browser")  # may have a 403
        accessible(driver)
        assert foreign(driver, languages, "fr") == [], name
