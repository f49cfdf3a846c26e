"""Fixtures; what they hand out is described in harness.py."""

import pytest

from harness import BUILD, Daemon, Postgres, Proxy


def pytest_configure(config):
    config.addinivalue_line("markers", "sanitize_every(n): sanitizers watch each n-th set of parameters, for all run "
                                       "the same code; without them all are run")


def pytest_collection_modifyitems(config, items):
    if "sanitize" not in str(BUILD):
        return
    seen, watched, left_out = {}, [], []
    for item in items:
        mark = item.get_closest_marker("sanitize_every")
        if mark:
            test = (item.path, item.originalname)
            seen[test] = seen.get(test, -1) + 1
        (left_out if mark and seen[test] % mark.args[0] else watched).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = watched


# With these of a Daemon's arguments it is its own migrate that is wanted, not the copy of another's.
ONES_OWN = {"user", "host", "database", "build", "wrapper", "env"}


@pytest.fixture(scope="session")
def pg():
    """One server for the whole run.  A test that stops it starts it again."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture
def own_pg():
    """own_pg(fsync=…, settings={…}): a server for one test, to be maltreated."""
    servers = []

    def make(**kwargs):
        servers.append(Postgres(**kwargs))
        return servers[-1].start()

    yield make
    for server in servers:
        server.destroy()


@pytest.fixture
def crm_db(pg):
    """crm_db(contacts=300, today=…, server=…): the name of a fresh database with the CRM."""
    made = []

    def make(contacts=300, server=None, migrated=False, **kwargs):
        server = server or pg
        template = server.migrated_template if migrated else server.crm_template
        name = server.create_database(template=template(contacts, **kwargs))
        made.append((server, name))
        if migrated:  # what no two databases share
            server.sql(name, "UPDATE retention.setting SET value = gen_random_uuid() WHERE name = 'ledger_id'")
        return name

    yield make
    for server, name in made:
        if server.running():
            server.drop_database(name)


@pytest.fixture
def empty_db(pg):
    """empty_db(): the name of a database with nothing in it."""
    made = []

    def make():
        made.append(pg.create_database())
        return made[-1]

    yield make
    for name in made:
        pg.drop_database(name)


@pytest.fixture
def daemon(pg, crm_db, empty_db, tmp_path):
    """
    daemon(db=None, contacts=300, migrate=True, server=…, **make_config's): a Daemon, not started,
    on a fresh CRM unless db is given.  Stopped and its logs checked when the test is over.
    """
    made = []

    def make(db=None, contacts=300, migrate=True, server=None, **kwargs):
        server = server or pg
        copied = migrate and not db and not ONES_OWN & kwargs.keys()
        db = db or crm_db(contacts, server=server, migrated=copied)
        made.append(Daemon(tmp_path / f"daemon{len(made)}", server, db, **kwargs))
        if migrate and not copied:
            made[-1].migrate()
        return made[-1]

    yield make
    for each in made:
        each.kill()
    for each in made:
        each.check_logs()


@pytest.fixture
def proxy(pg):
    """proxy(server=…): a Proxy in front of the server."""
    made = []

    def make(server=None):
        made.append(Proxy(server or pg))
        return made[-1]

    yield make
    for each in made:
        each.close()
