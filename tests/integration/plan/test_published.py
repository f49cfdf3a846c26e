"""
Logical replication: the server refuses UPDATE and DELETE of a published table without replica identity.  The refusal comes
before a row is touched, and names the table and the cure.  The tables of schema retention have one.
"""

import pytest

from support.small import SCHEMA, TWO, again, keys, model, policy

NOTE = """;
    CREATE TABLE note (contact_id bigint, body text); CREATE INDEX ON note (contact_id); INSERT INTO note VALUES (1, 'x'), (2, 'y')"""
NOTES = {"table": "note", "of": "contact", "by": "contact_id"}
RULES = {"contact": {"clear": ["name"], "keep": ["brand", "created"]}, "request": {"clear": ["subject"], "keep": ["at", "status"]}}
SAYS = ('table "note": a publication has public.note, which has no replica identity, so that the server refuses its {}: '
        "ALTER TABLE public.note REPLICA IDENTITY FULL, or give it a primary key")

NO_IDENTITY = """SELECT c.relname FROM pg_class AS c WHERE relnamespace = 'retention'::regnamespace AND relkind IN ('r', 'p')
    AND relpersistence = 'p' AND relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary)"""


@pytest.mark.parametrize("published", [
    "FOR ALL TABLES", "FOR TABLE public.note", "FOR TABLE public.note WITH (publish = 'delete')"])
def test_a_table_without_identity(make, pg, published):
    """Published before schema retention is made."""
    d = make(SCHEMA + TWO + NOTE + f"; CREATE PUBLICATION p {published}", model(note=NOTES))
    assert pg.sql(d.db, NO_IDENTITY) == []
    done = d.check_config()
    assert done.returncode == 1 and SAYS.format("DELETE") in done.stderr, done.stderr
    assert "refused: " in d.ctl("model", "check", check=False).stdout and SAYS.format("DELETE") in d.ctl("model", "check", check=False).stdout
    done = d.once(check=False)
    assert done.returncode == 1 and SAYS.format("DELETE") in done.stderr and d.jobs() == []
    pg.sql(d.db, "ALTER TABLE note REPLICA IDENTITY FULL")
    assert d.check_config().returncode == 0
    d.once()
    assert keys(pg, d.db) == keys(pg, d.db, "SELECT contact_id FROM note") == {2}


def test_published_when_all_runs_already(make, pg):
    d = make(SCHEMA + TWO + NOTE, model(note=NOTES), policy(archive="full"))
    d.check_config()  # tells the functions what a key is
    d.ctl("subject", "delete", "1")
    pg.sql(d.db, "CREATE PUBLICATION p FOR ALL TABLES")
    d.start()
    d.wait_for_log(r"note.* has no replica identity")
    assert d.wait() == 1
    pg.sql(d.db, "ALTER TABLE note ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
    d.configure(model=model(note={**NOTES, "key": "id"}))
    d.once()
    d.ctl("archive", "restore", d.jobs("status = 'done'")[-1]["id"], check=False)
    assert d.ctl("verify", check=False).returncode == 0
    d.ctl("pause")
    d.ctl("resume")


@pytest.mark.parametrize("publish, action, refused", [
    ("insert, update", "delete_contacts", False), ("insert, delete", "anonymize_contacts", False),
    ("update", "anonymize_contacts", True), ("truncate", "delete_contacts", False)])
def test_what_is_published_counts(make, pg, publish, action, refused):
    d = make(SCHEMA + TWO + NOTE + f"; CREATE PUBLICATION p FOR TABLE note WITH (publish = '{publish}')",
             model(note={**NOTES, "clear": ["body"]}, **RULES), policy(action))
    done = d.check_config()
    assert done.returncode == (1 if refused else 0), done.stderr
    assert (SAYS.format("UPDATE") in done.stderr) == refused
    if not refused:
        d.once()
        assert d.jobs()[-1]["status"] == "done"


@pytest.mark.parametrize("via_root", ["false", "true"])
def test_a_partition_without_identity(make, pg, via_root):
    """Each partition has an identity of its own."""
    d = make(SCHEMA + TWO + """;
        CREATE TABLE note (id bigint, contact_id bigint) PARTITION BY LIST (contact_id); CREATE INDEX ON note (contact_id);
        CREATE TABLE note1 PARTITION OF note FOR VALUES IN (1); CREATE TABLE note2 PARTITION OF note DEFAULT;
        INSERT INTO note VALUES (1, 1), (2, 2); ALTER TABLE note1 REPLICA IDENTITY FULL;
        CREATE PUBLICATION p FOR TABLE note WITH (publish_via_partition_root = """ + via_root + ")", model(note=NOTES))
    done = d.check_config()
    assert done.returncode == 1 and "a publication has public.note2, " in done.stderr, done.stderr
    pg.sql(d.db, "ALTER TABLE note2 REPLICA IDENTITY FULL")
    again(d, "delete_contacts")
    assert keys(pg, d.db, "SELECT contact_id FROM note") == {2}
