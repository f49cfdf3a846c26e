"""A person who walks through the page by keyboard alone."""

from support.browser import follow
from support.page import password

try:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys
except ImportError:
    ActionChains = Keys = None  # the fixture browser skips the test

# What has the focus: an element that is in the window and has a ring, and the part of the page where it is.
FOCUS = """
    const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
    const parts = {skip: ".skip", brand: ".brand", language: ".who a", "log-out": ".who form", sections: "nav.main",
                   trail: "nav.trail", main: "main", footer: "footer"};
    return {
        matches: e.matches(arguments[0]), name: e.id || e.getAttribute("href") || e.textContent.trim() || e.tagName,
        part: Object.keys(parts).find(part => e.closest(parts[part])) ?? e.tagName,
        seen: box.width > 0 && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight,
        // The button inside a field of a day has the browser's own ring, and the field is not :focus then.
        ring: !e.matches(":focus") || style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    };"""


class Keyboard:
    """A person who has nothing else: every key goes to what has the focus."""

    def __init__(self, driver):
        self.driver = driver

    def press(self, *keys, shift=False):
        chain = ActionChains(self.driver, duration=0)
        if shift:
            chain.key_down(Keys.SHIFT).send_keys(*keys).key_up(Keys.SHIFT)
        else:
            chain.send_keys(*keys)
        chain.perform()

    def focus(self, selector="*"):
        return self.driver.execute_script(FOCUS, selector)

    def tab(self, back=False, selector="*"):
        """One stop further: what has the focus now."""
        self.press(Keys.TAB, shift=back)
        return self.focus(selector)

    def to(self, selector):
        """By TAB to the next element that fits; on the way each stop has to be seen."""
        passed = []
        for _ in range(100):
            stop = self.tab(selector=selector)
            passed.append(stop["name"])
            if stop["part"] != "BODY":
                assert stop["seen"] and stop["ring"], stop
            if stop["matches"]:
                return self.driver.switch_to.active_element
        raise AssertionError(f"TAB never comes to {selector}: {passed}")

    def inside(self, selector):
        """The same by the skip link."""
        self.to(".skip")
        self.press(Keys.ENTER)
        return self.to(selector)

    def turn(self, key):
        """Presses it, and waits for the page that follows."""
        follow(self.driver, Pressed(self, key))

    def day(self, selector, day):
        """Types a day in the order that the browser's locale has, which a person sees and this does not."""
        field = self.to(selector)
        year, month, number = day.split("-")
        for order in ((number, month), (month, number)):
            self.press(*order, year)
            if field.get_attribute("value") == day:
                return
            self.press(*[Keys.ARROW_LEFT] * 3)
        raise AssertionError(f"{field.get_attribute('value')} is not {day}")

    def log_in(self, person, secret=None):
        """From the page that asks for it."""
        self.to("#nom")
        self.select()
        self.press(person)
        self.to("#mdp")
        self.press(secret or password(person))
        self.turn(Keys.ENTER)

    def select(self):
        """All that is in the field."""
        self.press(Keys.HOME)
        self.press(Keys.END, shift=True)

    def log_out(self):
        self.to("form[action$='/deconnexion'] button")
        self.turn(Keys.SPACE)
        assert self.driver.find_element("id", "mdp").is_displayed()


class Pressed:
    """A key in the place of a click, for follow()."""

    def __init__(self, keyboard, key):
        self.keyboard, self.key = keyboard, key

    def click(self):
        self.keyboard.press(self.key)
