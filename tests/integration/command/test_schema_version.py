"""retentionctl against a schema of another version: it changes nothing, and says which program has to be upgraded."""

import pytest
from support.ctl import said
from support.french import FRENCH
from support.small import policy
from support.versions import NEWEST, at_version, dump, pretend, told

OTHERS = [NEWEST + 2, NEWEST - 1]


@pytest.fixture
def d(daemon):
    return daemon(contacts=20, policies=[policy(name="p")])


def ctl(d, *args, **kwargs):
    return d.ctl(*args, check=False, **kwargs)


@pytest.mark.parametrize("is_at", OTHERS)
@pytest.mark.parametrize("command", [
    ("journal",), ("journal", "--json"), ("show", "1"), ("save", "export", "--from", "2024-01-01", "--to", "2024-01-02"),
    ("policies",), ("preview", "p"), ("hold", "add", "1", "--reason", "r"), ("hold", "list"), ("verify",),
    ("subject", "status", "1"), ("subject", "export", "1"), ("archive", "verify", "1"), ("report", "p"), ("replay", "--yes"),
    ("pause",), ("residue", "1", "--record"),
], ids=" ".join)
def test_it_is_refused(d, is_at, command):
    pretend(d.pg, d.db, is_at)
    assert said(ctl(d, *command)) == (1, "", f"retentionctl: {told(is_at)}\n")
    assert d.pg.sql(d.db, "SELECT (SELECT count(*) FROM retention.archive_journal), (SELECT count(*) FROM retention.hold),"
                          "       (SELECT count(*) FROM retention.pause)") == [(0, 0, 0)]


@pytest.mark.parametrize("is_at", OTHERS)
@pytest.mark.parametrize("command", [
    ("model", "draft", "--contact", "crm.contact", "--request", "crm.request"), ("model", "check"), ("grants",),
    ("grants", "--auditor"), ("residue", "1"), ("--version",), ("journal", "--help"),
], ids=" ".join)
def test_it_is_no_matter(d, is_at, command):
    """What needs no schema says the same as before."""
    before = said(ctl(d, *command))
    pretend(d.pg, d.db, is_at)
    assert said(ctl(d, *command)) == before
    assert "schema retention" not in before[2]


def test_without_a_configuration(d):
    """With -d alone the time zone comes from the schema, which is not asked for it before it is known to fit."""
    d.pg.sql(d.db, "ALTER TABLE retention.setting RENAME COLUMN value TO content")
    pretend(d.pg, d.db, NEWEST + 1)
    assert said(ctl(d, "-d", d.pg.conninfo(d.db), "journal")) == (1, "", f"retentionctl: {told(NEWEST + 1)}\n")


def test_a_person_is_told_too(d):
    """Each of the groups may read the version."""
    d.pg.psql(d.db, "-c", "CREATE ROLE of_version LOGIN")
    try:
        for group in ("auditor", "operator", "approver"):
            d.pg.psql(d.db, "-c", f"GRANT retention_{group} TO of_version")
            pretend(d.pg, d.db, NEWEST + 1)
            done = ctl(d, "-d", d.pg.conninfo(d.db, "of_version"), "journal")
            assert said(done) == (1, "", f"retentionctl: {told(NEWEST + 1)}\n"), group
            d.pg.psql(d.db, "-c", f"REVOKE retention_{group} FROM of_version",
                      "-c", f"DELETE FROM retention.schema_version WHERE version > {NEWEST}")
    finally:
        d.pg.psql(d.db, "-c", "DROP ROLE of_version")


@pytest.mark.parametrize("is_at, french", [
    (NEWEST + 1, "installez la nouvelle version de retentiond"), (NEWEST - 1, "lancez retentionctl migrate")])
def test_in_french(d, is_at, french):
    pretend(d.pg, d.db, is_at)
    done = ctl(d, "journal", env=FRENCH)
    assert said(done) == (
        1, "", f"retentionctl: le schéma retention est à la version {is_at}, ce programme est pour la {NEWEST} : {french}\n")


@pytest.mark.parametrize("number", [1, 4, NEWEST - 1])
def test_a_schema_that_an_older_version_made(pg, db, crm_db, daemon, number):
    """What the command would read need not be there yet.  migrate ends at what a new schema is."""
    older = crm_db(20)
    at_version(pg, older, number)
    d = daemon(db=older, migrate=False, policies=[policy(name="p")])
    for command in (("journal",), ("preview", "p"), ("policies",), ("hold", "list")):
        assert said(ctl(d, *command)) == (1, "", f"retentionctl: {told(number)}\n")
    d.migrate()
    assert dump(pg, older) == dump(pg, db)
    assert ctl(d, "journal", "--json").stdout == "[]\n"
