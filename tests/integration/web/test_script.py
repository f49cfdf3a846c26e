"""What page.js adds: every page works without it."""

from support.browser import accessible, follow, log_in
from support.harness import wait_until
from support.page import BOTH, OPERATOR, password

KEPT = "return sessionStorage.getItem('rgpd-saisie')"


def value(driver, name):
    return driver.find_element("name", name).get_attribute("value")


def fill(driver, first, last):
    """The fields of days take keys in the order of the browser's locale: they are set."""
    driver.execute_script("""
        document.getElementById("du").value = arguments[0];
        document.getElementById("au").value = arguments[1];""", first, last)


def enter(driver, person):
    driver.find_element("name", "nom").clear()
    driver.find_element("name", "nom").send_keys(person)
    driver.find_element("name", "mdp").send_keys(password(person))
    follow(driver, driver.find_element("css selector", "form[action$='/connexion'] button"))


def test_form_outlives_the_session(page, browser):
    """A form that is sent without session is there again after the log-in, for the same person, and without its secrets."""
    web = page(port=True, prefix="/rgpd")
    driver = browser()
    log_in(driver, web, OPERATOR, "/actions/nouvelle?type=anonymize_contacts")
    address = driver.current_url
    fill(driver, "2024-01-01", "2024-01-31")
    driver.find_element("name", "motif").send_keys("dossier <b>17")
    assert "dossier <b>17" in driver.execute_script(KEPT)
    driver.delete_all_cookies()
    follow(driver, driver.find_element("css selector", "main form button"))
    assert driver.title.startswith("Session fermée")
    assert driver.find_element("id", "garde").is_displayed()
    driver.get_log("browser")  # has the 401
    accessible(driver)
    enter(driver, OPERATOR)
    assert driver.current_url == address
    assert [value(driver, name) for name in ("du", "au", "motif")] == ["2024-01-01", "2024-01-31", "dossier <b>17"]
    assert not driver.execute_script("return document.querySelector('main b')?.textContent === '17'")
    # Sent, it is forgotten.
    follow(driver, driver.find_element("css selector", "main form button"))
    assert "/actions/" in driver.current_url
    assert driver.execute_script(KEPT) is None
    assert web.daemon.pg.value(web.daemon.db, "SELECT note FROM retention.archives") == "dossier <b>17"


def test_saved_form_is_not_filled_in_again(page, browser):
    """A form that leads back to its own page is empty there: what was placed once is not at hand a second time."""
    web = page(port=True, running=False)
    driver = browser()
    log_in(driver, web, OPERATOR, "/blocages")
    driver.find_element("id", "cle").send_keys("7")
    driver.find_element("id", "motif").send_keys("dossier 17")
    follow(driver, driver.find_element("css selector", "form[action$='/blocages'] button"))
    assert driver.find_element("css selector", "tbody th").text == "7"
    assert [driver.find_element("id", name).get_attribute("value") for name in ("cle", "motif")] == ["", ""]
    assert driver.execute_script(KEPT) is None


def test_form_is_for_one_person(page, browser):
    """Somebody else who logs in in the same tab sees nothing of it, and a password is never kept."""
    web = page(port=True, running=False)
    driver = browser()
    log_in(driver, web, OPERATOR, "/actions/nouvelle?type=export")
    fill(driver, "2024-01-01", "2024-01-31")
    driver.find_element("name", "motif").send_keys("dossier 17")
    driver.delete_all_cookies()
    follow(driver, driver.find_element("css selector", "main form button"))
    driver.find_element("name", "mdp").send_keys("half a pass")
    assert "half" not in driver.execute_script(KEPT)
    driver.find_element("name", "mdp").clear()
    enter(driver, BOTH)
    assert value(driver, "motif") == ""
    assert driver.execute_script(KEPT) is None


def test_end_of_the_session(page, browser):
    """A line says that the session ends, and its button keeps it."""
    web = page(port=True, running=False)
    driver = browser(width=390)
    log_in(driver, web, OPERATOR, "/actions/nouvelle?type=export")
    bar = driver.find_element("id", "session")
    assert bar.get_attribute("data-idle") == "900"
    assert not bar.is_displayed()
    driver.execute_script("""
        document.getElementById("session").dataset.idle = 1;
        dispatchEvent(new StorageEvent("storage", {key: "rgpd-vu"}));""")
    wait_until(bar.is_displayed, what="the line is there")
    assert driver.find_element("id", "session-dit").get_attribute("textContent") == bar.find_element("tag name", "p").text
    accessible(driver)
    driver.execute_script("arguments[0].dataset.idle = 900", bar)
    address = driver.current_url
    bar.find_element("tag name", "button").click()
    wait_until(lambda: not bar.is_displayed(), what="the line is gone")
    assert driver.current_url == address
    # Without session the button leads to the log-in.
    driver.execute_script("""
        document.getElementById("session").dataset.idle = 1;
        dispatchEvent(new StorageEvent("storage", {key: "rgpd-vu"}));""")
    wait_until(bar.is_displayed, what="the line is there again")
    driver.delete_all_cookies()
    follow(driver, bar.find_element("tag name", "button"))
    assert driver.find_element("name", "mdp").is_displayed()


def test_refused_form(page, browser):
    """The summary of the errors has the focus and leads to the field, which keeps what was entered."""
    web = page(port=True, running=False)
    driver = browser()
    log_in(driver, web, OPERATOR, "/actions/nouvelle?type=export")
    fill(driver, "2024-02-15", "2024-01-31")
    driver.find_element("name", "motif").send_keys("dossier 17")
    driver.execute_script("document.getElementById('du').form.noValidate = true")  # the server says it, too
    follow(driver, driver.find_element("css selector", "main form button"))
    wait_until(lambda: driver.switch_to.active_element.get_attribute("id") == "erreurs", what="the summary has the focus")
    assert driver.title.startswith("Erreur\u00a0:")
    driver.get_log("browser")  # has the 422
    accessible(driver)
    driver.find_element("css selector", "#erreurs a").click()
    field = driver.switch_to.active_element
    assert field.get_attribute("aria-invalid") == "true"
    assert [value(driver, name) for name in ("du", "au", "motif")] == ["2024-02-15", "2024-01-31", "dossier 17"]
