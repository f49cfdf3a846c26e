"""A pass over the CRM in each shape: it erases the people and rows that it erases of the plain one, and no others."""

import itertools

import pytest

from support.jobs import DONE
from support.oracles import (after_anonymize_contacts, after_anonymize_requests, after_delete, check_all_erased, check_done,
                             due_before, reporting_numbers, tokens_in)
from support.shapes import DATED, EVERY, FEW

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))

PASSES = [*((shape, "delete_contacts", "full") for shape in EVERY),
          *((shape, *action) for shape, action in itertools.product([*FEW[:4], *DATED], (
              ("anonymize_contacts", "none"), ("anonymize_requests", "none"), ("export", "full"))))]


def tokens(j):
    """The tokens of the whole database: of each partition, and of what the daemon has written."""
    return tokens_in(j.pg.dump(j.db, "--data-only", "-N", "before"))


def left_over(j, found, due):
    """The tokens of which a pass has to leave some, by what the law says of those that are due."""
    if j.action == "delete_contacts":
        return after_delete(found, due)
    if j.action == "anonymize_contacts":
        return after_anonymize_contacts(found, due, reporting_numbers(j.pg, j.db))
    if j.action == "anonymize_requests":
        return after_anonymize_requests(found, due, reporting_numbers(j.pg, j.db))
    return found


@pytest.mark.parametrize("shape, action, archive", PASSES, ids=str)
def test_a_pass(job, plain, shape, action, archive):
    """The same keys are erased as in plain tables, and each table has the same rows afterwards."""
    j = job(action, archive, shape=shape)
    before = tokens(j)
    assert j.run() == DONE, j.last.text()
    check_done(j)
    check_all_erased(j)
    due = due_before(j, "request" if action == "anonymize_requests" else "contact")
    assert tokens(j) == left_over(j, before, due) and (tokens(j) != before) == (action != "export")
    after = plain(action)
    if action != "export":
        assert j.ledger() == {int(k) for (k,) in j.pg.sql(after, "SELECT key FROM retention.ledger")} == due
    assert shape.digests(j.pg, j.db) == shape.digests_of(j.pg, after)
