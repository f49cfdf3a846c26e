"""The manual walk in a browser: what axe-core and the eye find, what a note can do, and the limits of the date fields."""

from datetime import date

from support.browser import accessible, complaints, follow, log_in, sideways
from support.page import BOTH, OPERATOR
from support.walk import interval, listed, save, walk

NASTY = ['<img src=x onerror="alert(1)">', '"><script>alert(1)</script>', "a" * 200]


def test_the_date_fields_limit_is_the_servers(page, browser):
    """On each day of six years the script's last day is the one that save_action() accepts."""
    p = page(port=True, running=False)
    driver = browser()
    log_in(driver, p, OPERATOR, "/actions/nouvelle?type=export")
    limits = driver.execute_script("""
        const from = document.getElementById("du"), to = document.getElementById("au"), found = {};
        for (let t = Date.UTC(2023, 0, 1); t <= Date.UTC(2028, 11, 31); t += 86400000) {
            from.value = new Date(t).toISOString().slice(0, 10);
            from.dispatchEvent(new Event("change", {bubbles: true}));
            found[from.value] = to.max;
        }
        return found;""")
    wanted = dict(p.pg.sql(p.db, """SELECT d::date::text, least((d + interval '1 month' - interval '1 day')::date,
        retention.today())::text FROM generate_series('2023-01-01'::date, '2028-12-31', '1 day') AS d"""))
    assert {k: v for k, v in limits.items() if k <= str(date.today())} == {
        k: v for k, v in wanted.items() if k <= str(date.today())}
    assert len(limits) == len(wanted)


def test_every_page_is_accessible_and_harmless(page, browser):
    """On a telephone, where there is the least room."""
    p = page(port=True)
    operator, both = p.client(OPERATOR), p.client(BOTH)
    done = walk(p, "delete_contacts", operator, both, archive="full", motif=NASTY[0])["id"]
    jobs = [save(p, operator, "anonymize_contacts", motif=note) for note in NASTY]
    for job in jobs:
        listed(p, job)
    driver = browser(width=390)
    log_in(driver, p, BOTH)
    for path in ("/", "/actions", f"/actions/{done}/valider", f"/actions/{done}/archive/supprimer",
                 *(f"/actions/{job}/valider" for job in jobs)):
        driver.get(p.url + path)
        if path.endswith("/valider") and path != f"/actions/{jobs[-1]}/valider" and str(done) not in path:
            assert complaints(driver) == []
            continue
        if path.startswith(f"/actions/{done}/valider"):
            assert "Entre-temps" in driver.find_element("css selector", "main").text
            complaints(driver)  # of the status, 409
        accessible(driver)

    first, last = interval(p)
    driver.get(p.url + "/actions/nouvelle?type=delete_contacts")
    for field, value in (("du", last), ("au", first)):
        driver.execute_script("document.getElementById(arguments[0]).value = arguments[1]", field, value)
    driver.find_element("name", "motif").send_keys(NASTY[1])
    follow(driver, driver.find_element("css selector", "form[action$='/actions'] button"))
    assert driver.title.startswith("Erreur") and driver.switch_to.active_element.get_attribute("id") == "erreurs"
    assert driver.find_element("name", "motif").get_attribute("value") == NASTY[1]
    assert driver.find_element("id", "archive-full").is_selected()
    complaints(driver)
    accessible(driver)
    assert sideways(driver) <= 0
