"""The manual walk by keyboard alone, with script and without it; where TAB leads, and what a window of 320 pixels shows."""

import re
from itertools import product

import pytest

from support.browser import DESKTOP, PHONE, log_in, sideways
from support.harness import wait_until
from support.keyboard import Keyboard, Keys
from support.page import APPROVER, BOTH, OPERATOR
from support.walk import ended, interval, listed, row, save, walk

WORDS = {
    "fr": {"done": "terminée", "saved": "Rien n’est encore effacé", "type": "suppression de contacts",
           "archive": "archive complète", "cross": "Supprimer l’archive de l’action {}, suppression de contacts",
           "gone": "supprimée par {}", "wrong": "Le nombre saisi n’est pas celui de la liste."},
    "en": {"done": "done", "saved": "Nothing is erased yet", "type": "deletion of contacts",
           "archive": "full archive", "cross": "Delete the archive of action {}, deletion of contacts",
           "gone": "deleted by {}", "wrong": "The number entered is not that of the list."},
}


def a_month(page):
    """The longest interval that begins with the days of interval()."""
    first, _ = interval(page)
    return first, page.pg.value(page.db, "SELECT (%s::date + interval '1 month' - interval '1 day')::date::text", (first,))


def save_by_keys(keys, p):
    """From the overview to the action that is saved: its number."""
    keys.inside("a[href$='type=delete_contacts']")
    keys.turn(Keys.ENTER)
    first, last = a_month(p)
    keys.day("#du", first)
    keys.day("#au", last)
    keys.to("[name=archive]:checked")
    keys.press(Keys.ARROW_UP)
    assert not keys.focus("#archive-full")["matches"]
    keys.press(Keys.ARROW_DOWN)
    assert keys.focus("#archive-full:checked")["matches"]
    keys.to("#motif")
    keys.press("dossier 2026-114")
    keys.to("main form[action$='/actions'] button")
    keys.turn(Keys.SPACE)
    return int(re.search(r"/actions/(\d+)$", keys.driver.current_url).group(1))


def refused(keys, field, words):
    """The summary of the errors has the focus; its link leads to the field, whose text is selected."""
    wait_until(lambda: keys.focus("#erreurs")["matches"], what="the summary has the focus")
    assert keys.focus()["ring"] and words in keys.driver.switch_to.active_element.text
    keys.to("#erreurs a")
    keys.press(Keys.ENTER)
    assert keys.focus(f"#{field}[aria-invalid=true]")["matches"]
    keys.select()


@pytest.mark.sanitize_every(7)  # the first and the last, which share nothing
@pytest.mark.parametrize("language, width, script", product(("fr", "en"), (DESKTOP, PHONE), (True, False)))
def test_the_walk_by_keyboard(page, browser, language, width, script):
    p, words = page(port=True), WORDS[language]
    driver = browser(width=width, language=language, script=script)
    keys = Keyboard(driver)
    driver.get(p.url + "/")
    assert driver.find_element("tag name", "html").get_attribute("lang") == language

    keys.log_in(OPERATOR)
    job = save_by_keys(keys, p)
    while not script and not driver.find_elements("css selector", ".facts .big"):
        assert words["saved"] in driver.find_element("tag name", "main").text
        keys.inside(f"main a.btn[href$='/actions/{job}']")  # "Refresh", sooner than the page does it by itself
        keys.turn(Keys.ENTER)
    frozen = listed(p, job)
    assert (frozen["requested_by"], frozen["archive"], frozen["note"]) == (OPERATOR, "full", "dossier 2026-114")
    assert (str(frozen["from_date"]), str(frozen["to_date"])) == a_month(p)
    count = wait_until(lambda: driver.find_elements("css selector", ".facts .big"), what="the list")[0].text
    assert int(count) == frozen["candidates"] > 0
    assert not driver.find_elements("css selector", "a[href$='/valider']")
    keys.log_out()

    keys.log_in(APPROVER)
    keys.inside(f"main a[href$='/actions/{job}/valider']")
    keys.turn(Keys.ENTER)
    keys.inside("#nombre")
    keys.press(str(frozen["candidates"] + 1))
    keys.turn(Keys.ENTER)
    refused(keys, "nombre", words["wrong"])
    assert row(p, job)["status"] == "saved"
    keys.press(str(frozen["candidates"]))
    keys.to("form[action$='/valider'] button")
    keys.turn(Keys.SPACE)
    done = ended(p, job)
    assert (done["status"], done["validated_by"], done["counters"]["treated"]) == ("done", APPROVER, frozen["candidates"])
    wait_until(lambda: f"Action {job} {words['done']}" in driver.title, what="the page of the end, by itself")

    folder = p.daemon.archives / done["archive_path"].rsplit("/", 1)[1]
    assert (folder / "contact.csv").exists()
    keys.to("nav.main a[href$='/actions']")
    keys.turn(Keys.ENTER)
    line = driver.find_element("css selector", "tbody tr")
    assert all(word in line.text for word in (words["done"], words["type"], words["archive"])), line.text
    assert re.search(rf"\b{done['finished_at'].year}\b.*\d\d:\d\d", line.text), line.text
    cross = keys.inside("a.cross")
    assert cross.accessible_name.startswith(words["cross"].format(job))
    keys.turn(Keys.ENTER)
    keys.inside("#numero")
    keys.press(str(job))
    keys.to("form[action$='/archive/supprimer'] button")
    keys.turn(Keys.ENTER)
    wait_until(lambda: not folder.exists(), what="the files are gone")
    keys.to("nav.main a[href$='/actions']")
    keys.turn(Keys.ENTER)
    assert words["gone"].format(APPROVER) in driver.find_element("css selector", "tbody tr").text
    assert not driver.find_elements("css selector", "a.cross")


@pytest.mark.parametrize("width, script", [(DESKTOP, True), (PHONE, False)])
def test_the_order_of_the_focus(page, browser, width, script):
    """TAB goes through a page with a form as it is read, SHIFT+TAB back, and the skip link spares what is above."""
    p = page(port=True, running=False)
    driver = browser(width=width, script=script)
    keys = Keyboard(driver)
    driver.get(p.url + "/connexion")
    keys.log_in(OPERATOR, "wrong")
    wait_until(lambda: keys.focus("#err")["matches"], what="the sentence has the focus")
    keys.log_in(OPERATOR)
    driver.get(p.url + "/actions/nouvelle?type=delete_contacts")
    stops = [keys.tab()]
    while stops[-1]["part"] != "footer":
        assert stops[-1]["seen"] and stops[-1]["ring"], stops[-1]
        stops.append(keys.tab())
    parts = [stop["part"] for stop in stops]
    assert list(dict.fromkeys(parts)) == [
        "skip", "brand", "language", "log-out", "sections", "trail", "main", "footer"]
    assert parts == sorted(parts, key=list(dict.fromkeys(parts)).index)  # each part once
    names = list(dict.fromkeys(stop["name"] for stop in stops if stop["part"] == "main"))
    assert names == ["du", "au", "archive-full", "motif", "Enregistrer", "/"]
    back = [stops[-1]["name"], *(keys.tab(back=True)["name"] for _ in stops[1:])]
    assert back == [stop["name"] for stop in reversed(stops)]
    assert keys.focus(".skip")["matches"]
    keys.press(Keys.ENTER)
    assert keys.focus("main")["matches"]
    assert keys.tab(selector="#du")["matches"]


@pytest.mark.parametrize("language", ["fr", "en"])
def test_no_page_scrolls_sideways_at_400_per_cent(page, browser, language):
    """A window of 1280 by 1024 at that zoom has 320 by 256 pixels left."""
    p = page(port=True)
    operator, both = p.client(OPERATOR), p.client(BOTH)
    done = walk(p, "delete_contacts", operator, both, archive="full")["id"]
    saved = save(p, operator, "anonymize_requests", motif="dossier 2026-114")
    listed(p, saved)
    driver = browser(width=320, language=language)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": 320, "height": 256, "deviceScaleFactor": 4, "mobile": False})
    driver.get(p.url + "/connexion")
    wide = {"/connexion": sideways(driver)}
    log_in(driver, p, BOTH)
    for path in ("/", "/actions", "/actions/nouvelle?type=delete_contacts", f"/actions/{done}", f"/actions/{saved}",
                 f"/actions/{saved}/valider", f"/actions/{done}/archive", f"/actions/{done}/archive/supprimer", "/regles",
                 "/blocages", "/personne", "/journal", "/etat", "/aide", "/accessibilite"):
        driver.get(p.url + path)
        assert driver.find_element("css selector", "main h1").is_displayed(), path
        wide[path] = sideways(driver)
    assert {path: pixels for path, pixels in wide.items() if pixels > 0} == {}
