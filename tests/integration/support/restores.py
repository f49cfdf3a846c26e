"""A small CRM of three contacts, two of which are due; deletes them and puts them back."""

from support.small import SCHEMA

POLICY = {"name": "contacts", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly",
          "archive": "full"}


def deleted(d):
    """Runs one pass that deletes, and returns its row of the journal."""
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), job
    return job


def restore(d, job, *args, **kwargs):
    return d.ctl("archive", "restore", job if isinstance(job, int) else job["id"], *args, **kwargs)


NOTE = """; CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, body text);
    CREATE INDEX ON note (contact_id)"""
NOTES = {"table": "note", "key": "id", "of": "contact", "by": "contact_id"}
ROWS = """;
    INSERT INTO contact (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO request (id, contact_id, at) VALUES (10, 1, '2015-01-01'), (20, 2, '2015-01-01'), (30, 3, now());
    INSERT INTO note VALUES (100, 1, 'x'), (200, 2, 'y'), (300, 3, 'z')"""
SCHEMA_OF_NOTES = SCHEMA + NOTE + ROWS
