"""model draft names the column by which tables are split, where the database proves it, and the draft passes -t."""

import re

import pytest

from support import citus
from support.drafts import ACTIONS, answered, check, draft, read
from support.shapes import PERSON, SHAPES, TENANT


def shards(text):
    """{table of the model: what the draft says of its shard}"""
    return {name: table["shard"] for name, table in read(text).items() if "shard" in table}


def comments(text):
    return re.findall(r"# Each of its statements asks all its partitions: (.*)\.", text)


def accepted(daemon, db, text):
    d = daemon(db=db, model=answered(text), policies=ACTIONS)
    done = d.check_config()
    assert done.returncode == 0, done.stderr + text
    return [hint for hint in check(d)["hints"] if "partitions" in hint]


# The shard of contact, and those that have another name.
OF_SHAPE = {
    "composite_hash16": {"contact": "account_id"},
    "composite_list8": {"contact": "account_id"},
    "composite_nested": {"contact": "account_id"},
    "hash16": {"contact": "id", "request": "contact_id", "contact_document": "contact_id", "contact_social": "contact_id",
               "contact_files": "record_id"},
    "person_hash16": {"contact": "id", **dict.fromkeys((
        "request", "message", "message_copy", "attachment", "request_transfer", "status_change", "contact_social", "contact_document",
        "files", "request_files"), "contact_id")},
    "composite": {},
    "range": {},
}


@pytest.mark.parametrize("name", OF_SHAPE)
def test_of_the_reference_crm(pg, daemon, name):
    shape = SHAPES[name]
    db = pg.create_database(template=shape.template(pg, 60))
    text = draft(pg, db, contact="crm.contact", request="crm.request")
    assert shards(text) == OF_SHAPE[name], text
    hints = accepted(daemon, db, text)
    if name.startswith("composite"):
        assert (hints, comments(text)) == ([], [])
    pg.drop_database(db)


BY_CONTACT = """
    CREATE TABLE contact (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text) PARTITION BY HASH (id);
    CREATE TABLE request (contact_id bigint NOT NULL REFERENCES contact, id bigint, at timestamptz,
        PRIMARY KEY (contact_id, id)) PARTITION BY HASH (contact_id);
    CREATE TABLE message (contact_id bigint NOT NULL, request_id bigint, at date NOT NULL, body text,
        FOREIGN KEY (contact_id, request_id) REFERENCES request, FOREIGN KEY (contact_id) REFERENCES contact) PARTITION BY RANGE (at);
    CREATE TABLE event (person bigint REFERENCES contact, what text) PARTITION BY HASH (person);
    CREATE TABLE contact_p PARTITION OF contact FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE request_p PARTITION OF request FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE message_p PARTITION OF message DEFAULT PARTITION BY HASH (contact_id);
    CREATE TABLE message_q PARTITION OF message_p FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE event_p PARTITION OF event FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE INDEX ON message (contact_id, request_id); CREATE INDEX ON event (person)"""


def test_by_contact(pg, daemon, empty_db):
    db = empty_db()
    pg.sql(db, BY_CONTACT)
    text = draft(pg, db)
    assert set(shards(text).values()) == {"id", "contact_id"}
    assert 'shard = "id";  # 3 of these tables have partitions (or Citus shards) by it, so each batch' in text
    assert comments(text) == ['shard "person" can be NULL, and a row without it would be missed: ALTER TABLE "public"."event" ALTER COLUMN'
                              ' "person" SET NOT NULL']
    assert len(accepted(daemon, db, text)) == 1


# By account, where a link needs no account: foreign keys say it.
ALONE = """
    CREATE TABLE contact (id bigint PRIMARY KEY, email text, account_id int NOT NULL, UNIQUE (account_id, id));
    CREATE TABLE request (id bigint PRIMARY KEY, account_id int NOT NULL, contact_id bigint, at timestamptz,
        FOREIGN KEY (account_id, contact_id) REFERENCES contact (account_id, id), UNIQUE (account_id, id));
    CREATE TABLE message (account_id int NOT NULL, request_id bigint REFERENCES request, body text,
        CONSTRAINT pair FOREIGN KEY (account_id, request_id) REFERENCES request (account_id, id)) PARTITION BY LIST (account_id);
    CREATE TABLE message_p PARTITION OF message DEFAULT;
    CREATE INDEX ON request (account_id, contact_id); CREATE INDEX ON message (account_id, request_id);
    CREATE INDEX ON message (request_id); CREATE INDEX ON request (contact_id)"""


def test_by_foreign_keys(pg, daemon, empty_db):
    db = empty_db()
    pg.sql(db, ALONE)
    text = draft(pg, db)
    assert shards(text) == {"contact": "account_id"}
    assert accepted(daemon, db, text) == []


@pytest.mark.parametrize("change", ["ALTER TABLE message DROP CONSTRAINT pair", "ALTER TABLE request ALTER account_id DROP NOT NULL",
                                    "ALTER TABLE contact ALTER account_id DROP NOT NULL", "ALTER TABLE message_p DISABLE TRIGGER ALL"])
def test_not_without_a_proof(pg, daemon, empty_db, change):
    db = empty_db()
    pg.sql(db, f"{ALONE}; {change}")
    text = draft(pg, db)
    assert shards(text) == {}
    accepted(daemon, db, text)


def test_not_by_what_is_erased(pg, empty_db):
    """Requests in partitions by e-mail: the contact's goes, and could not stay as the shard."""
    db = empty_db()
    pg.sql(db, """
        CREATE TABLE contact (id bigint PRIMARY KEY, email text NOT NULL, UNIQUE (id, email));
        CREATE TABLE request (id bigint NOT NULL, contact_id bigint, mail text NOT NULL, at timestamptz, UNIQUE (mail, id),
            FOREIGN KEY (contact_id, mail) REFERENCES contact (id, email)) PARTITION BY HASH (mail);
        CREATE TABLE request_p PARTITION OF request FOR VALUES WITH (MODULUS 1, REMAINDER 0)""")
    assert shards(draft(pg, db)) == {}


@pytest.mark.parametrize("shape, column, others", [(TENANT, "account_id", set()), (PERSON, "id", {"contact_id"})], ids=str)
def test_of_citus(daemon, spread, cluster, shape, column, others):
    """The column by which Citus distributes the tables is the shard of all of them, and the daemon takes the draft."""
    db = spread(citus.by_rows, contacts=10, shape=shape)
    text = draft(cluster.coordinator, db, contact="crm.contact", request="crm.request")
    found = shards(text)
    assert found.pop("contact") == column and set(found.values()) == others
    assert comments(text) == []
    if others:
        assert set(found) == set(read(text)) - {"contact"}
    d = daemon(db=db, server=cluster.coordinator, model=answered(text), policies=ACTIONS)
    assert d.check_config().returncode == 0
