"""What people do, on each shape: put an archive back, ask for one person's data, search for what is left, have a model drafted."""

import json
import os
import re

import pytest

from support.harness import wait_until
from support.modelfile import read_model
from support.oracles import after_delete, table_digests, tokens_in
from support.restores import POLICY, deleted, restore
from support.shapes import EVERY, FEW

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))

every_shape = pytest.mark.parametrize("shape", EVERY, ids=str)
some_shapes = pytest.mark.parametrize("shape", FEW, ids=str)


@pytest.fixture
def shaped(pg, daemon):
    """shaped(shape, contacts=100): a migrated daemon on a CRM of this shape."""
    made = []

    def make(shape, contacts=100, **kwargs):
        made.append(pg.create_database(template=shape.template(pg, contacts)))
        return daemon(db=made[-1], model=shape.model(), policies=[POLICY], **kwargs)

    yield make
    for db in made:
        pg.drop_database(db)


@every_shape
def test_restore(pg, shaped, shape):
    """Each row is back in its partition, byte for byte; before that a killed restore changes nothing."""
    d = shaped(shape)
    before = table_digests(pg, d.db)
    job = deleted(d)
    after = table_digests(pg, d.db)
    assert after != before
    assert restore(d, job, check=False, failpoint="restore-before-commit").returncode < 0
    wait_until(lambda: not pg.value(d.db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                                          " AND application_name = 'retentionctl'"))
    assert table_digests(pg, d.db) == after
    restore(d, job)
    assert table_digests(pg, d.db) == before
    assert d.ctl("verify").returncode == 0


@some_shapes
def test_one_subject(pg, shaped, shape):
    """A copy of all that is about one person, and the person's erasure: no token of another, none left."""
    d = shaped(shape)
    d.once()
    owner = shape.plain_number("contact_id")
    contact = pg.value(d.db, f"SELECT {owner} FROM crm.request GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1")
    every = tokens_in(pg.dump(d.db, "-n", "crm"))
    said = d.ctl("subject", "export", shape.key(contact), log=os.devnull).stdout
    assert tokens_in(said.encode()) == {t for t in every if t.contact == contact}
    assert {t.nn for t in tokens_in(said.encode())} >= {1, 30, 33}, "the contact, a request, a message"
    assert len(json.loads(said)["contact"]) == 1
    job = int(re.search(r"action (\d+) saved", d.ctl("subject", "delete", shape.key(contact)).stdout).group(1))
    d.once()
    d.ctl("validate", job)
    d.once()
    assert d.jobs(f"id = {job}")[0]["counters"]["treated"] == 1
    assert tokens_in(pg.dump(d.db, "-n", "crm")) == after_delete(every, {contact})


@some_shapes
def test_residue(pg, shaped, shape):
    """A value of a contact that stands with another is found in whichever partition it lies."""
    d = shaped(shape)

    def found():
        done = d.ctl("residue", shape.key(7), "--action", "delete_contacts", "--json", check=False)
        assert done.stderr == "", done.stderr
        return {(r["table"], r["column"], r["of"]): (r["exact"], r["inside"]) for r in json.loads(done.stdout) if r["exact"] + r["inside"]}

    email = pg.value(d.db, f"SELECT email FROM crm.contact WHERE {shape.plain_number('id')} = 7")
    assert found() == {}
    pg.sql(d.db, f"UPDATE crm.contact SET note = 'see ' || %s WHERE {shape.plain_number('id')} IN (8, 9)", (email,))
    pg.sql(d.db, f"UPDATE crm.request SET summary = %s WHERE {shape.plain_number('contact_id')} = 8", (email,))
    requests = pg.value(d.db, f"SELECT count(*) FROM crm.request WHERE {shape.plain_number('contact_id')} = 8")
    assert found() == {("crm.contact", "note", "email"): (0, 2), ("crm.request", "summary", "email"): (requests, 0)}


@every_shape
def test_drafted(pg, shaped, shape):
    """The draft has each table once, its partitions never, and the keys and links of the shape's own model."""
    d = shaped(shape, contacts=40)
    drafted = read_model(d.ctl("model", "draft", "--contact", "crm.contact", "--request", "crm.request").stdout)
    wanted = {name: t for name, t in shape.tables().items() if t["table"] != "crm.files"}
    # Where a table needs no key the draft may name one nevertheless.
    keyed = {t["table"] for t in wanted.values() if "key" in t}
    assert links(drafted, keyed) >= links(wanted, keyed)
    assert {t["table"] for t in drafted.values()} <= set(table_digests(pg, d.db))


def links(model, keyed):
    return {(t["table"], json.dumps(t["table"] in keyed and t.get("key")), json.dumps(t.get("by"))) for t in model.values()}
