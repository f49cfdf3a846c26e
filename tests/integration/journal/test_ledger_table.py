"""The table of erased keys as proof: whatever is done to its lines is found, wherever verify is called."""

import pytest

from support import small
from support.restores import restore
from support.small import model, policy

NINE = small.SCHEMA + """;
    INSERT INTO contact (id, name, created) SELECT n, 'c' || n, '2014-01-01' FROM generate_series(1, 9) n;
    INSERT INTO request (contact_id, at) SELECT n, CASE WHEN n < 6 THEN '2015-01-01' ELSE now() END FROM generate_series(1, 9) n"""
CHANGED = "the ledger has other lines of action 1 than when it ended: some were changed, added or removed"


@pytest.fixture
def d(make):
    """Five of the nine contacts were deleted by action 1."""
    d = make(NINE, model(), policy(archive="full"))
    d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger WHERE job = 1") == 5
    return d


def found(d):
    """What verify finds of it without the ledger's file, as an auditor calls it elsewhere."""
    done = d.run("retentionctl", "-d", d.pg.conninfo(d.db), "verify", check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("the ledger has ")]
    assert (done.returncode == 0) == (not lines), done.stdout + done.stderr
    return lines


@pytest.mark.parametrize("change", [
    "DELETE FROM retention.ledger WHERE key = '3'",
    "DELETE FROM retention.ledger",
    "UPDATE retention.ledger SET key = '7' WHERE key = '3'",
    "UPDATE retention.ledger SET erased_at = erased_at + interval '1 microsecond' WHERE key = '3'",
    "UPDATE retention.ledger SET action = 'anonymize_contacts' WHERE key = '3'",
    "UPDATE retention.ledger SET archive = 'none' WHERE key = '3'",
    "INSERT INTO retention.ledger SELECT * FROM retention.ledger WHERE key = '3'",
    "INSERT INTO retention.ledger (job, action, key) VALUES (1, 'delete_contacts', '7')",
])
def test_a_line_is_not_what_was_written(d, change):
    assert found(d) == []
    d.pg.tamper(d.db, change)
    assert found(d) == [CHANGED]


@pytest.mark.parametrize("job, action", [(77, "delete_contacts"), (2, "delete_contacts"), (1, "restored")])
def test_a_line_was_inserted(d, job, action):
    """Of an action that nobody knows, of one that has not begun, of an archive that nobody has put back."""
    d.ctl("save", "delete_contacts", "--from", "2015-01-15", "--to", "2015-02-14")
    d.pg.tamper(d.db, f"INSERT INTO retention.ledger (job, action, key) VALUES ({job}, '{action}', '7'), ({job}, '{action}', '8')")
    assert found(d) == [f"the ledger has 2 lines of action {job} that no event explains: they were inserted"]


def test_what_is_explained(d):
    """An archive that was put back, an export, which has no lines, and the daemon's own second pass."""
    restore(d, 1)
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.ledger WHERE action = 'restored'") == 5
    assert found(d) == []
    assert "ledger_sha256" not in small.again(d, "export")["counters"]
    assert small.again(d, "delete_contacts")["counters"]["ledger_sha256"]
    assert found(d) == []

