"""
A model that names the shard column: the list and the batches are by shard, a batch touches the partitions of its own
shard alone, and rows that are in another one are never lost sight of.
"""

import contextlib

import psycopg2
import pytest

from support import harness
from support.harness import wait_until
from support.jobs import DONE, INCOMPLETE, KILLED, hold_batches
from support.oracles import check_all_erased, check_done, due_before, missing_contacts
from support.shapes import ACCOUNTS, LINK, SHAPES, SHARDED

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))

FAR = 100000000  # more than any id
ALONE = {"workers": 1, "batch_rows": 500}
sharded = pytest.mark.parametrize("shape", SHARDED, ids=str)
person = SHAPES["person_hash16"]


@contextlib.contextmanager
def held_batch(j):
    """The first batch, at its end: all of its statements on the CRM have run.  The run goes on afterwards."""
    hold_batches(j)
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), what=run.text)
        yield run


def locked_partitions(j, modes):
    """
    For each batch at its end {the first part of a partition's name behind its table's: {tables}} of what it has locked.
    """
    found = {}
    for pid, name, table in j.sql("""SELECT DISTINCT l.pid, c.relname, pg_partition_root(c.oid)::regclass::text FROM pg_locks AS l
              JOIN pg_class AS c ON c.oid = l.relation JOIN pg_stat_activity AS a ON a.pid = l.pid
             WHERE a.wait_event_type = 'Lock' AND a.wait_event = 'advisory' AND c.relispartition AND c.relkind = 'r' AND l.granted
               AND l.mode LIKE %s""", (modes,)):
        table = table.removeprefix("crm.")
        found.setdefault(pid, {}).setdefault(name.removeprefix(table + "_").split("_")[0], set()).add(table)
    return list(found.values())


@sharded
def test_the_list_is_by_shard(job, shape):
    """Each key with its shard, the groups one after the other, and a group is a partition of the contacts."""
    j = job(shape=shape)
    assert j.run("job-before-start") == KILLED
    column, key = shape.shard, ("ROW(account_id, id)::text" if shape.composite else "id::text")
    rows = j.sql(f"""SELECT l.shard, l.shard_group, c.{column}::text, c.tableoid::text FROM retention.candidate AS l
        JOIN crm.contact AS c ON {key} = l.key ORDER BY l.n""")
    assert len(rows) == len(due_before(j)) > 100
    assert all(shard == value and group == f"{column} {oid}" for shard, group, value, oid in rows)
    changes = sum(a[1] != b[1] for a, b in zip(rows, rows[1:]))
    assert changes + 1 == len({group for _, group, _, _ in rows}) > 3


@sharded
def test_a_batch_touches_its_partitions_alone(job, shape):
    """Those of one group.  Where the server checks foreign keys row by row, its own checks look at all partitions."""
    j = job(shape=shape, limits=ALONE)
    by_set = harness.LIMITS.get("integrity") == "set"
    with held_batch(j) as run:
        found = locked_partitions(j, "%" if by_set else "RowExclusiveLock")
    assert run.wait() == DONE, run.text()
    for (names,) in map(dict.values, found):
        assert names >= {"contact", "request", "message", "status_change", "files"}
    assert found
    check_done(j)
    check_all_erased(j)


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_anonymizing_touches_its_partitions_alone(job, action):
    j = job(action, "none", shape=SHAPES["tenant_hash16"], limits=ALONE)
    with held_batch(j) as run:
        found = locked_partitions(j, "RowExclusiveLock")
    assert run.wait() == DONE, run.text()
    for (names,) in map(dict.values, found):
        assert "request" in names
    assert found
    check_done(j)


@pytest.mark.parametrize("shape", [shape for shape in SHARDED if shape.composite], ids=str)
def test_a_contact_that_moves_to_another_account(job, shape):
    """It is another key from then on, which is not in the list: it stays, whole, and the rest goes."""
    j = job(shape=shape)
    assert j.run("job-before-start") == KILLED
    moved = sorted(due_before(j))[2]
    account = int(shape.key(moved).strip("()").split(",")[0])
    rows = {t: j.value(f"SELECT count(*) FROM crm.{t} WHERE account_id = %s AND {shape.owned(t)} = %s", (account, moved))
            for t in ("contact", *LINK)}
    assert rows["contact"] == 1 and rows["message"] > 0
    # All at once, as an application would whose foreign keys are deferred.
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SET session_replication_role = replica")
        for t in rows:
            cur.execute(f"ALTER TABLE crm.{t} ALTER id DROP IDENTITY IF EXISTS")
        for t in rows:
            link = f', "{LINK[t][0]}" = "{LINK[t][0]}" + {FAR}' if t in LINK else ""
            cur.execute(f"UPDATE crm.{t} SET account_id = %s, id = id + {FAR}{link} WHERE account_id = %s AND {shape.owned(t)} = %s",
                        (account % ACCOUNTS + 1, account, moved))
        conn.commit()
    assert j.run() == DONE, j.last.text()
    assert missing_contacts(j) == due_before(j), "under their old keys"
    for t, n in rows.items():
        assert j.value(f"SELECT count(*) FROM crm.{t} WHERE id > {FAR}") == n, t
    assert {k for e in j.events("dropped") for k in e["gone"]} == {shape.key(moved)}


def with_partners(j):
    """Contacts may have a partner, in whichever partition."""
    for schema in ("crm", "before"):
        j.sql(f"ALTER TABLE {schema}.contact ADD partner bigint")
    j.sql("ALTER TABLE crm.contact ADD FOREIGN KEY (partner) REFERENCES crm.contact; CREATE INDEX ON crm.contact (partner)")
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=text.replace('"full_name"', '"full_name", "partner"'))


def refers(j, who, whom):
    for schema in ("crm", "before"):
        j.sql(f"UPDATE {schema}.contact SET partner = %s WHERE id = %s", (whom, who))


def test_contacts_of_two_partitions_that_refer_to_one_another(job):
    """They go together, in one batch of both shards."""
    j = job(shape=person)
    with_partners(j)
    assert j.run("job-before-start") == KILLED, j.last.text()
    listed = j.sql("SELECT key::bigint, shard_group FROM retention.candidate ORDER BY n")
    (first, group), *others = listed
    ring = [first, next(k for k, g in others if g != group), others[-1][0]]
    assert len({g for k, g in listed if k in ring}) == 3 or len(set(ring)) == 3
    for who, whom in zip(ring, ring[1:] + ring[:1]):
        refers(j, who, whom)
    assert j.run() == DONE, j.last.text()
    assert missing_contacts(j) == due_before(j) >= set(ring)
    check_done(j)
    check_all_erased(j)


def test_a_row_of_another_shard_that_points_at_one_refuses_it(job):
    """A foreign key may lead from one shard into another: it is asked about in all partitions."""
    j = job(shape=person, limits=ALONE)
    due, staying = sorted(due_before(j))[1], j.value("SELECT max(id) FROM crm.contact")
    assert staying not in due_before(j)
    with_partners(j)
    refers(j, staying, due)
    assert j.run() == INCOMPLETE, j.last.text()
    assert missing_contacts(j) == due_before(j) - {due}
    (event,) = j.events("failed_key")
    assert event["keys"] == [str(due)] and "partner_fkey" in event["message"]


def test_a_request_that_comes_for_another_shards_contact_is_not_touched(job):
    j = job(shape=SHAPES["tenant_list8"], limits=ALONE)
    with held_batch(j) as run:
        left = sorted(due_before(j) - {j.shape.plain_key(k) for (k,) in j.sql("SELECT key FROM retention.ledger")})[-1]
        columns, values = j.shape.linked("request", "contact_id", left)
        try:
            for schema in ("crm", "before"):
                j.sql(f"""INSERT INTO {schema}.request ({columns}, id, reason, status, channel, created_at)
                    VALUES ({values}, 5, 'question', 'open', 'mail', now())""")
        except psycopg2.Error as error:
            pytest.fail(f"the batch of another shard keeps a client from writing: {error}")
    assert run.wait() == DONE, run.text()
    assert missing_contacts(j) == due_before(j) - {left}
