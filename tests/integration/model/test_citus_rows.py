"""
Databases in which Citus has spread the rows over several servers, by tenant and by contact: they end with the same rows
as the same pass of a plain PostgreSQL.
"""

import contextlib
import re

import pytest

from support import citus
from support.harness import TIMEOUT, wait_until
from support.shapes import PERSON, TENANT
from support.small import policy

pytestmark = pytest.mark.unsanitized
DELETE = policy(archive="full")
SHAPES = [TENANT, PERSON]
HELD = 7


@pytest.fixture(params=SHAPES, ids=str)
def both(request, daemon, cluster, crm_db, pg, spread):
    """both(policy, …): a daemon of a plain database in the shape, and one of the same, spread; with a hold."""
    shape = request.param

    def make(*policies, **kwargs):
        db, other = crm_db(citus.CONTACTS), spread(citus.by_rows, citus.CONTACTS, shape=shape)
        shape.create(pg, db)
        citus.make_odd(cluster, other)
        made = [daemon(name, server=server, model=shape.model(), policies=list(policies), **kwargs)
                for name, server in ((db, pg), (other, cluster.coordinator))]
        for d in made:
            d.shape = shape
            d.ctl("hold", "add", shape.key(HELD), "--reason", "court")
        made[1].cluster = cluster
        return made

    return make


@pytest.mark.parametrize("shape, column", [(TENANT, "account_id"), (PERSON, "id")], ids=str)
def test_what_is_refused(daemon, cluster, spread, shape, column):
    pg = cluster.coordinator
    d = daemon(spread(citus.by_rows, contacts=10, shape=shape), server=pg, policies=[policy()], model=shape.model())

    def refused(model=None):
        d.configure(policies=[policy()], model=model or shape.model())
        done = d.check_config()
        assert done.returncode == 1 and done.stderr
        return done.stderr

    assert (f'table "contact": crm.contact is spread by Citus by the column "{column}", and so that each statement reaches one '
            f'server the model has to name it: shard = "{column}"') in refused(re.sub(r'shard = "\w+";', "", shape.model()))
    by = "account_id" if shape is TENANT else "contact_id"
    pg.sql(d.db, "CREATE TABLE crm.elsewhere (LIKE crm.contact_social INCLUDING ALL)")
    moved = shape.model().replace('"crm.contact_social"', '"crm.elsewhere"')
    assert 'table "contact_social": crm.elsewhere is not spread by Citus as the contacts are' in refused(moved)
    pg.sql(d.db, f"SELECT create_distributed_table('crm.elsewhere', '{by}', colocate_with => 'none')")
    assert 'table "contact_social": crm.elsewhere is spread by Citus over other servers than the contacts' in refused(moved)
    assert d.once(check=False).returncode == 1 and d.jobs() == []


@pytest.mark.parametrize("integrity", ["triggers", "set"])
def test_a_deletion_and_its_way_back(both, integrity):
    citus.check_deletion(*both(DELETE, limits={"integrity": integrity, "batch_rows": 200}))


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_an_anonymization(both, action):
    citus.check_anonymization(*both(policy(action)), action)


def test_what_a_person_asks_for(both):
    plain, other = both(DELETE, policy("export", name="copy", archive="full"))
    for d in plain, other:
        d.pg.sql(d.db, f"CREATE TABLE crm.outside AS SELECT email FROM crm.contact WHERE {d.shape.owned('contact')} = 4")
    # Citus counts a row's bytes in another way.
    residue = citus.check_same_answers(plain, other, lambda d: [
        ("residue", d.shape.key(4)), ("residue", d.shape.key(9)), ("subject", "export", d.shape.key(4)),
        ("subject", "status", d.shape.key(4)), ("preview", "p")], without="bytes")
    assert any(row["table"] == "crm.outside" for row in residue) and any(row["covered"] for row in residue)
    for d in plain, other:
        d.configure(policies=[policy("export", name="copy", archive="full")])
        d.once()  # tells the database what a key is
        job = re.search(r"action (\d+) saved", d.ctl("subject", "delete", d.shape.key(9)).stdout)[1]
        d.once()  # lists it
        d.ctl("validate", job)
        d.once()
        assert d.jobs()[-1]["status"] == "done"
        assert d.pg.sql(d.db, "SELECT key FROM retention.ledger") == [(d.shape.key(9),)]
    assert citus.rows(plain) == citus.rows(other)


def test_a_process_that_is_killed(both):
    """At each step of a batch, and at the end: what is gone is in the archive, once."""
    plain, other = both(DELETE, limits={"workers": 1, "batch_rows": 50})
    for point in ("batch-after-erase:2", "batch-after-sync:2", "batch-before-commit:2", "batch-after-commit:2", "finish-after-seal"):
        assert other.once(check=False, failpoint=point).returncode, point
    job = citus.once(other)
    assert citus.once(plain)["counters"]["treated"] == job["counters"]["treated"]
    assert other.pg.value(other.db, "SELECT count(DISTINCT key) FROM retention.ledger") == job["counters"]["treated"]
    assert citus.rows(plain) == citus.rows(other)
    other.ctl("archive", "verify", job["id"])


def test_a_server_that_is_killed(both, cluster):
    """Its shards' contacts wait for it, the others go on; each is erased once."""
    plain, other = both(DELETE, limits={"workers": 2, "batch_rows": 50, "rows_per_second": 300})
    worker = cluster.workers[0]
    other.start("--once")
    wait_until(lambda: other.pg.value(other.db, "SELECT count(*) FROM retention.ledger") > 1, what="a first batch")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: worker.running() or worker.start())
        worker.stop("immediate")
        there = other.pg.value(other.db, """SELECT count(*) FROM retention.candidate AS k JOIN pg_dist_placement AS p
            ON p.shardid = split_part(k.shard_group, ' ', 2)::bigint JOIN pg_dist_node AS n USING (groupid) WHERE n.nodename = %s""", (str(worker.dir),))
        assert there > 0
        wait_until(lambda: other.pg.value(other.db, "SELECT count(*) FROM retention.candidate") == there, what="the keys of the others")
        worker.start()
        assert other.wait(2 * TIMEOUT) == 0
    job = other.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None)
    treated = job["counters"]["treated"]
    assert other.pg.value(other.db, "SELECT count(DISTINCT key) FROM retention.ledger") == treated
    plain.configure(limits={})
    assert citus.once(plain)["counters"]["treated"] == treated
    assert citus.rows(plain) == citus.rows(other)
    other.ctl("archive", "verify", job["id"])
