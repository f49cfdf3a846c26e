"""
What model draft finds in six schemas of known kinds, against a truth that was written by hand.

The aims: 95 % of the personal columns and of the links are found, at most 5 % of the mapped groups are wrong, and the draft
has at most 3 lines a mapped column.
"""

import pytest

from support import drafts, measure

AIMS = {"columns": 0.95, "links": 0.95, "wrong": 0.05, "lines": 3.0}


@pytest.mark.parametrize("samples", [False, True], ids=["catalog", "samples"])
@pytest.mark.parametrize("name", measure.NAMES)
def test_a_draft_finds(pg, name, samples):
    found = measure.measure(pg, name, samples)
    print(measure.HEAD, measure.line(found), sep="\n")
    rates = found.rates()
    assert rates["columns"] >= AIMS["columns"], found.missed_columns
    assert found.kept_silently == [] and found.wrong_columns == []
    assert found.told / found.all_columns >= 0.84
    assert rates["links"] >= AIMS["links"], found.missed_links
    assert rates["wrong"] <= AIMS["wrong"], found.wrong_groups
    assert rates["lines"] <= AIMS["lines"]
    assert found.due_when or (name, samples) == ("helpdesk", False)  # its states are the rows of a table


def test_a_draft_shows_no_value_of_a_row(pg):
    """Statistics of types and of states are read, and labels of the table of states; nothing personal is printed."""
    for name in measure.NAMES:
        t = measure.truth(name)
        text = drafts.draft(pg, measure.database(pg, name, True), "--samples", *t["arguments"], contact=t["contact"], request=t["request"])
        assert "canary" not in text
