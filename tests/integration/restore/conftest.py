"""The small CRM that these tests delete from and restore to."""

import pytest

from support import small
from support.restores import NOTES, POLICY, SCHEMA_OF_NOTES, deleted


@pytest.fixture
def make(daemon, empty_db, pg):
    """make(schema, …): a small CRM of three contacts, two of which are due; the pass has run."""
    def make(schema=SCHEMA_OF_NOTES, note=None, archive="full", model=None, run=True, **kwargs):
        db = empty_db()
        pg.sql(db, schema)
        d = daemon(db=db, model=model or small.model(note={**NOTES, **(note or {})}),
                   policies=[{**POLICY, "archive": archive}], **kwargs)
        if run:
            deleted(d)
        return d
    return make
