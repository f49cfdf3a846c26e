"""Fixtures.  Their classes are described in support/."""

import os
import random
import shutil
import subprocess

import pytest

from support import citus, ways
from support.age import Key
from support.ctl import ctl
from support.harness import Daemon, LIMITS, Postgres, Proxy, REPO, SHORT_DIRS
from support.jobs import Job, base, contacts_for, workers
from support.shapes import PLAIN
from support.small import policy

# The language of whoever runs the tests does not reach the programs: a test that wants another one says so.
for name in [n for n in os.environ if n in ("LANG", "LANGUAGE") or n.startswith("LC_")]:
    del os.environ[name]
os.environ["LANG"] = "C.UTF-8"

# Of the tests that go by chance; the processes of a run have it in common.
os.environ.setdefault("RETENTION_SEED", str(random.SystemRandom().randrange(1 << 30)))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"RETENTION_SEED={os.environ['RETENTION_SEED']}")


def pytest_generate_tests(metafunc):
    if metafunc.definition.get_closest_marker("safety"):
        metafunc.parametrize("way", ways.possible(metafunc.definition), indirect=True, ids=str)


@pytest.fixture(autouse=True)
def way(request, monkeypatch):
    """The workers and the integrity of every configuration of a safety test, whatever the test says; else None."""
    chosen = getattr(request, "param", None)
    if chosen:
        monkeypatch.setitem(LIMITS, "workers", chosen.workers)
        monkeypatch.setitem(LIMITS, "integrity", chosen.integrity)
    return chosen


def pytest_collection_modifyitems(config, items):
    run, left_out = ways.select(items)
    config.hook.pytest_deselected(items=left_out)
    items[:] = run


# A Daemon with one of these arguments runs migrate itself, and takes no copy of a migrated database.
ONES_OWN = {"user", "host", "database", "build", "wrapper", "env"}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    """
    Removes the folders that short_dir() has made, when all servers have ended, and those of tmp_path, once for all
    processes: each is some hundred megabytes.  After a failure they stay, to be looked at.
    """
    for folder in SHORT_DIRS if not session.testsfailed else []:
        shutil.rmtree(folder, ignore_errors=True)
    factory = getattr(session.config, "_tmp_path_factory", None)
    if exitstatus == 0 and factory and not hasattr(session.config, "workerinput") and not session.config.option.basetemp:
        shutil.rmtree(factory.getbasetemp(), ignore_errors=True)


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
            server.sql(name, "UPDATE retention.identity SET id = gen_random_uuid();"
                             "INSERT INTO retention.ledger_secret (id) SELECT id FROM retention.identity")
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


@pytest.fixture
def job(pg, tmp_path):
    """job(action, archive, …): a Job on a database of its own, which is looked at when the test is over."""
    made = []

    def make(*args, server=None, contacts=None, shape=PLAIN, **kwargs):
        server = server or pg
        db = server.create_database(template=base(server, contacts or contacts_for(workers()), shape))
        made.append(Job(tmp_path / f"job{len(made)}", server, db, *args, shape=shape, **kwargs))
        return made[-1]

    yield make
    for each in made:
        each.close()
    for each in made:
        each.pg.drop_database(each.db)


@pytest.fixture(scope="session")
def spare_pg():
    """A server to be maltreated; each test leaves it running.  It syncs, as the real ones do."""
    server = Postgres(fsync=True)
    try:
        yield server.start()
    finally:
        server.destroy()


@pytest.fixture(scope="session")
def cluster(pg):
    """A coordinator and two workers of Citus; skipped where the extension is not installed."""
    citus.skip_unless_installed(pg)
    servers = citus.Cluster()
    try:
        yield servers.start()
    finally:
        servers.destroy()


@pytest.fixture
def spread(cluster):
    """spread(citus.by_schema, contacts=60): the name of a database of the cluster with the CRM, distributed so."""
    made = []

    def make(how, contacts=60, **kwargs):
        made.append(how(cluster, contacts, **kwargs))
        return made[-1]

    yield make
    for db in made:
        cluster.drop_database(db)


@pytest.fixture
def both(daemon, cluster, crm_db, spread):
    """both(policy, …): a daemon of a plain database and one of a distributed schema, with the same rows."""

    def make(*policies, **kwargs):
        plain = daemon(crm_db(citus.CONTACTS), policies=list(policies), **kwargs)
        citus.alike(plain.pg, plain.db)
        db = spread(citus.by_schema, citus.CONTACTS, before=citus.alike)
        citus.make_odd(cluster, db)
        other = daemon(db, server=cluster.coordinator, policies=list(policies), **kwargs)
        other.cluster = cluster
        assert citus.rows(plain) == citus.rows(other)
        return plain, other

    return make


@pytest.fixture
def make(daemon, empty_db, pg):
    """make(schema, model, policy…): a migrated daemon on a database of its own."""

    def make(schema, text, *policies, settings="", **kwargs):
        db = empty_db()
        if settings:
            pg.sql(db, settings.format(db=db))
        pg.sql(db, schema)
        return daemon(db=db, model=text, policies=list(policies or [policy()]), **kwargs)

    return make


@pytest.fixture
def db(pg, empty_db):
    """A database with the schema and nothing else."""
    name = empty_db()
    assert ctl(pg, name, "migrate").returncode == 0
    return name


@pytest.fixture
def key(tmp_path):
    return Key(tmp_path)


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """The environment in which DISK_FAULT and DISK_LOG of tests/preload/disk.c count."""
    library = tmp_path_factory.mktemp("preload") / "disk.so"
    subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-O1", "-Wall", "-o", library,
                    REPO / "tests" / "preload" / "disk.c", "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "ASAN_OPTIONS": "verify_asan_link_order=0"}
