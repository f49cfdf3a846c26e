"""Chromium without a window, by Selenium: what only a browser shows."""

import shutil
from pathlib import Path

from support.harness import wait_until
from support.page import password

try:
    from selenium.common.exceptions import WebDriverException
except ImportError:
    WebDriverException = OSError  # missing() says what is missing

AXE = Path(__file__).resolve().parents[1] / "web" / "axe.min.js"
PHONE, DESKTOP = 390, 1280
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def missing():
    """Why there is no browser here; None: there is one."""
    for program in ("chromium", "chromedriver"):
        if not shutil.which(program):
            return f"{program} is missing (Debian packages chromium, chromium-driver)"
    try:
        import selenium  # pylint: disable=unused-import,import-outside-toplevel
    except ImportError:
        return "selenium is missing (Debian package python3-selenium)"
    return None


def start(profile, width=DESKTOP, language="fr", script=True):
    """A browser with an empty profile, whose window is that wide; language is what it asks for."""
    from selenium import webdriver  # pylint: disable=import-outside-toplevel
    from selenium.webdriver.chrome.service import Service  # pylint: disable=import-outside-toplevel

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--disable-background-networking", "--disable-component-update", "--no-first-run",
                     f"--window-size={width},900", f"--user-data-dir={profile}", f"--lang={language}",
                     f"--accept-lang={language}"):
        options.add_argument(argument)
    # Prefs say it to the requests, whatever the locale of this host is.
    prefs = {"intl.accept_languages": language}
    if not script:
        prefs["profile.managed_default_content_settings.javascript"] = 2
    options.add_experimental_option("prefs", prefs)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    driver.set_page_load_timeout(60)
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500})
    return driver


def dark(driver, is_dark=True):
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}]})


def follow(driver, element):
    """Clicks, and waits for the page that follows."""
    before = driver.find_element("css selector", "html").id
    element.click()

    def is_there():
        try:
            html = driver.find_element("css selector", "html")
            return html.id != before and driver.execute_script("return document.readyState") == "complete"
        except WebDriverException:  # between two pages
            return False

    wait_until(is_there, what="the next page")


def log_in(driver, page, person, path="/"):
    """Through the form, as a person does; ends on that path."""
    driver.get(page.url + "/connexion")
    driver.find_element("name", "nom").send_keys(person)
    driver.find_element("name", "mdp").send_keys(password(person))
    follow(driver, driver.find_element("css selector", "form[action$='/connexion'] button"))
    if path != "/":
        driver.get(page.url + path)


def axe(driver):
    """What axe-core finds on the page that is shown: [] is right."""
    driver.execute_script(AXE.read_text())
    found = driver.execute_async_script("""
        const [rules, done] = arguments;
        axe.run(document, {runOnly: rules, preload: false}).then(r => done(r.violations.map(v =>
            [v.id, v.impact, ...v.nodes.slice(0, 3).map(n => n.target.join(" ") + " :: " + n.failureSummary)])),
            e => done([["axe", String(e)]]));""", RULES)
    return found


def sideways(driver):
    """By how many pixels the page scrolls sideways."""
    return driver.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth")


def complaints(driver):
    """What the browser's console says since the last call: a report of the CSP, a file that is not there."""
    return [entry["message"] for entry in driver.get_log("browser") if "favicon" not in entry["message"]]


def accessible(driver):
    """One page in light and in dark: axe finds nothing, nothing scrolls sideways, the console is silent."""
    for is_dark in (False, True):
        dark(driver, is_dark)
        found = axe(driver)
        assert not found, f"{driver.current_url}: {found}"
        assert sideways(driver) <= 0, driver.current_url
    dark(driver, False)
    said = complaints(driver)
    assert not said, f"{driver.current_url}: {said}"
