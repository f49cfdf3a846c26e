"""Fixtures of the page.  Their classes are described in support/page.py and support/browser.py."""

import pytest

from support import browser as chromium
from support.page import Page, PageServer


@pytest.fixture(scope="session")
def page_pg():
    """One server for the tests of the page; it asks persons for their passwords.  A test that stops it starts it again."""
    server = PageServer()
    try:
        server.start()
        server.migrated_template(40)
        server.make_persons()
        yield server
    finally:
        server.destroy()


@pytest.fixture
def own_page_pg():
    """own_page_pg(settings={…}): the same for one test, to be maltreated."""
    servers = []

    def make(**kwargs):
        servers.append(PageServer(**kwargs))
        servers[-1].start()
        servers[-1].migrated_template(40)
        servers[-1].make_persons()
        return servers[-1]

    yield make
    for server in servers:
        server.destroy()


@pytest.fixture
def page(page_pg, own_page_pg, daemon):  # own_page_pg: has to outlive the daemon
    """
    page(contacts=40, running=True, started=True, server=…, daemon_options={…}, **Page's): a Page on a fresh CRM, with a daemon
    beside it: page().daemon.  running=False leaves the daemon stopped after it has said its settings once.
    started=False does not start the page.  Logs are checked when the test is over.
    """
    made = []

    def make(contacts=40, running=True, started=True, server=None, daemon_options=None, **settings):
        d = daemon(contacts=contacts, server=server or page_pg, **(daemon_options or {}))
        d.start()
        d.wait_for_log("ready: ")
        if not running:
            d.stop()
        made.append(Page(d, **settings))
        return made[-1].start() if started else made[-1]

    yield make
    for each in made:
        each.end()
    for each in made:
        each.check_logs()


@pytest.fixture
def browser(tmp_path):
    """browser(width=1280, language="fr", script=True): a chromium of its own; skipped where there is none."""
    if chromium.missing():
        pytest.skip(chromium.missing())
    made = []

    def make(**kwargs):
        made.append(chromium.start(tmp_path / f"profile{len(made)}", **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.quit()
