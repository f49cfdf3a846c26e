"""
Databases in which Citus has spread the rows over several servers, by tenant and by contact: they end with the same rows
as the same pass of a plain PostgreSQL.
"""

import re

import pytest

from support import citus
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
    plain, other = both(DELETE, limits={"integrity": integrity, "batch_rows": 200})
    before = citus.rows(other)
    jobs = [citus.once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"] and jobs[0]["counters"]["treated"] > 20
    assert citus.rows(plain) == citus.rows(other) != before
    other.ctl("archive", "verify", jobs[1]["id"])
    other.ctl("archive", "restore", jobs[1]["id"])
    assert citus.rows(other) == before


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_an_anonymization(both, action):
    plain, other = both(policy(action))
    before = citus.rows(other)
    jobs = [citus.once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"]
    assert citus.rows(plain) == citus.rows(other) != before
    # Clean rows are not due again.
    other.configure(policies=[policy(action, name="again")])
    assert citus.once(other)["counters"]["treated"] == 0
