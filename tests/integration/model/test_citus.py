"""Databases with the extension citus: what is refused, and why."""

import pytest

from support import citus
from support.small import policy

pytestmark = pytest.mark.unsanitized


def refused(d):
    done = d.check_config()
    assert done.returncode == 1 and done.stderr
    return done.stderr


@pytest.mark.parametrize("how, column", [(citus.by_tenant, "account_id"), (citus.by_contact, "id")])
def test_rows_on_several_servers_are_refused(daemon, cluster, spread, how, column):
    d = daemon(spread(how, contacts=10), server=cluster.coordinator, policies=[policy()])
    said = refused(d)
    assert (f'table "contact": crm.contact has its rows on several servers, spread by Citus by the column {column}, '
            "and rows of several servers cannot be locked and erased as one") in said
    assert 'table "message": crm.message has its rows on several servers' in said
    assert "citus_schema_distribute" in said
    assert d.once(check=False).returncode == 1 and d.jobs() == []


def test_a_worker_of_citus_is_refused(daemon, cluster, spread):
    worker = cluster.workers[0]
    d = daemon(spread(citus.by_schema, contacts=10), server=worker, policies=[policy()], migrate=False)
    # Citus has a worker refuse the schema, too, but one may have got it by a backup.
    worker.psql(d.db, "-c", "SET citus.enable_ddl_propagation = off", "-c", "CREATE SCHEMA retention")
    assert "this server is a worker of Citus" in d.ctl("model", "check", check=False).stdout
