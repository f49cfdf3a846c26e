"""
Citus on one machine: a coordinator and two workers, each a private server that listens on its socket alone, and the
reference CRM on them in the three ways in which its users distribute it.  Where the extension is not installed, the
tests that ask for it are skipped.
"""

import json

import pytest

from support.harness import Postgres, TODAY
from support.oracles import table_digests
from support.shapes import ROOM, STAFF
from support.small import policy

SETTINGS = {"shared_preload_libraries": "citus", "max_prepared_transactions": 50, "max_worker_processes": 32,
            "citus.shard_count": 4, "autovacuum": "off", "citus.enable_statistics_collection": "off",
            # A transaction of two phases that a node has lost is ended after seconds, not after a minute.
            "citus.recover_2pc_interval": "1s"}
FOREIGN_KEYS = """SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype = 'f' AND connamespace = 'crm'::regnamespace ORDER BY oid"""
# The contact first: the others are distributed as it is.
TABLES = (*ROOM, "files", *STAFF)


def skip_unless_installed(pg):
    if not pg.value("postgres", "SELECT count(*) FROM pg_available_extensions WHERE name = 'citus'"):
        pytest.skip("the extension citus is not installed here (pg_available_extensions)")


class Cluster:
    """nodes[0] is the coordinator, which holds no shard; the others are the workers."""

    def __init__(self):
        self.nodes = [Postgres(settings=SETTINGS) for _ in range(3)]
        for node in self.nodes:
            # The node's connections to itself go through the socket, too.
            with open(node.data / "postgresql.conf", "a") as conf:
                conf.write(f"citus.local_hostname = '{node.dir}'\n")
        self.coordinator, *self.workers = self.nodes

    def start(self):
        for node in self.nodes:
            node.start()
        return self

    def destroy(self):
        for node in self.nodes:
            node.destroy()

    def create_database(self):
        """A database of that name on all three nodes, each of which knows the others."""
        names = {node.create_database() for node in self.nodes}
        assert len(names) == 1
        (db,) = names
        for node in self.nodes:
            node.sql(db, "CREATE EXTENSION citus")
        self.coordinator.sql(db, "SELECT citus_set_coordinator_host(%s, %s)",
                             (str(self.coordinator.dir), self.coordinator.port))
        for worker in self.workers:
            self.coordinator.sql(db, "SELECT citus_add_node(%s, %s)", (str(worker.dir), worker.port))
        return db

    def drop_database(self, db):
        for node in self.nodes:
            if node.running():
                node.drop_database(db)

    def on_workers(self, db, query):
        """What each worker answers to a query of one value."""
        return [worker.value(db, query) for worker in self.workers]

    def worker_of(self, db, table):
        """The worker that has the only shard of a table of a distributed schema."""
        host = self.coordinator.value(
            db, "SELECT nodename FROM citus_shards WHERE table_name = %s::regclass", (table,))
        return next(worker for worker in self.workers if str(worker.dir) == host)


def crm(cluster, contacts, today=TODAY):
    db = cluster.create_database()
    cluster.coordinator.load_crm(db, contacts, today)
    return db


def by_schema(cluster, contacts, before=None):
    """One schema a tenant: all tables of crm are one shard on one worker.  before(pg, db) changes them first."""
    db = crm(cluster, contacts)
    if before:
        before(cluster.coordinator, db)
    cluster.coordinator.sql(db, "SELECT citus_schema_distribute('crm')")
    return db


def by_rows(cluster, contacts, shape):
    """The CRM in a shape whose model has a shard, with all tables distributed by it; the staff is on each worker."""
    db, pg = crm(cluster, contacts), cluster.coordinator
    shape.create(pg, db)
    keys = pg.sql(db, FOREIGN_KEYS)
    statements = [f"ALTER TABLE {table} DROP CONSTRAINT {name}" for table, name, _ in keys]
    # Citus wants the shard in each unique index.
    statements += [f"DROP INDEX crm.{name}" for (name,) in pg.sql(db, """SELECT relname FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
        WHERE relnamespace = 'crm'::regnamespace AND indisunique AND NOT indisprimary AND NOT EXISTS (
            SELECT FROM pg_attribute WHERE attrelid = indrelid AND attnum = ANY (indkey) AND attname = %s)""", (shape.shard,))]
    for table in TABLES:
        shard = shape.shard if table == "contact" else shape.before_id(table)
        with_contact = "" if table == "contact" else ", colocate_with => 'crm.contact'"
        statements.append(f"SELECT create_distributed_table('crm.{table}', '{shard}'{with_contact})" if shard else
                          f"SELECT create_reference_table('crm.{table}')")
    for statement in statements + [f"ALTER TABLE {table} ADD {definition}" for table, _, definition in keys]:
        pg.sql(db, statement)
    return db


# --- Beside a plain PostgreSQL -----------------------------------------------------------------

CONTACTS = 60
# The last requests of three contacts lie this far from the cutoff: on the workers' clock they would lie elsewhere.
NEAR = {2: "-1 hour", 3: "1 hour", 5: "13 hours"}


def alike(pg, db):
    """The same in both: dates without a zone, some of them near the cutoff."""
    pg.sql(db, "ALTER TABLE crm.request ALTER created_at DROP DEFAULT, ALTER created_at TYPE timestamp USING created_at AT TIME ZONE 'UTC'")
    for contact, distance in NEAR.items():
        pg.sql(db, """UPDATE crm.request SET status = 'closed', created_at =
            date_trunc('day', now() AT TIME ZONE 'UTC') - interval '18 months' + %s::interval
            WHERE contact_id = %s""", (distance, contact))


def make_odd(cluster, db):
    """New sessions of the workers have other settings than the daemon's."""
    for worker in cluster.workers:
        for setting in ("timezone = 'Pacific/Kiritimati'", "DateStyle = 'German'", "lock_timeout = 0"):
            worker.sql("postgres", f"ALTER DATABASE {db} SET {setting}")


def fetched(pg, db):
    """{table: all of its rows, sorted}: Citus makes documents of a row with other names in them."""
    found = {}
    with pg.connect(db) as conn, conn.cursor() as cur:
        for table in TABLES:
            cur.execute(f"SELECT * FROM crm.{table}")
            names = [column.name for column in cur.description]
            values = ([bytes(v) if isinstance(v, memoryview) else v for v in row] for row in cur.fetchall())
            found[table] = sorted(str(sorted(zip(names, row))) for row in values)
    return found


def rows(d):
    """Digests of all rows, by sessions of the workers that are as usual."""
    cluster, digests = getattr(d, "cluster", None), fetched if hasattr(d, "shape") else table_digests
    if not cluster:
        return digests(d.pg, d.db)
    for worker in cluster.workers:
        worker.sql("postgres", f"ALTER DATABASE {d.db} RESET ALL")
    d.pg.forget(d.db)  # with the sessions behind it
    found = digests(d.pg, d.db)
    d.pg.forget(d.db)
    make_odd(cluster, d.db)
    return found


def once(d):
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), job
    return job


def check_deletion(plain, other):
    """Both end with the same rows, and the archive brings them back; the numbers of the contacts that were left."""
    before = rows(other)
    jobs = [once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"] and jobs[0]["counters"]["treated"] > 20
    left = {key for (key,) in other.pg.sql(other.db, "SELECT id FROM crm.contact")}
    assert rows(plain) == rows(other) != before
    other.ctl("archive", "verify", jobs[1]["id"])
    other.ctl("archive", "restore", jobs[1]["id"])
    assert rows(other) == before
    return left


def check_anonymization(plain, other, action):
    before = rows(other)
    jobs = [once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"]
    assert rows(plain) == rows(other) != before
    # Clean rows are not due again.
    other.configure(policies=[policy(action, name="again")])
    assert once(other)["counters"]["treated"] == 0


def in_order(value, without=None):
    """The same whatever order the rows come in.  without: a name whose values do not count."""
    if isinstance(value, dict):
        return {key: in_order(item, without) for key, item in value.items() if key != without}
    return sorted((in_order(item, without) for item in value), key=json.dumps) if isinstance(value, list) else value


def check_same_answers(plain, other, questions, without=None):
    """
    retentionctl says the same of both, but for the values of the name without; questions(d) are its arguments.  Returns
    what the first question was answered.
    """
    # Not into the log, which must hold no value of a person.
    answers = [[d.ctl(*args, "--json", check=False, log=d.dir.parent / "printed") for args in questions(d)] for d in (plain, other)]
    for one, two in zip(*answers):
        assert (one.returncode, one.stderr) == (two.returncode, two.stderr)
        assert in_order(json.loads(one.stdout), without) == in_order(json.loads(two.stdout), without)
    return json.loads(answers[1][0].stdout)
