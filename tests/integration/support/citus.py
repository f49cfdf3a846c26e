"""
Citus on one machine: a coordinator and two workers, each a private server that listens on its socket alone, and the
reference CRM on them in the three ways in which its users distribute it.  Where the extension is not installed, the
tests that ask for it are skipped.
"""

import pytest

from support.harness import Postgres, TODAY
from support.oracles import table_digests

SETTINGS = {"shared_preload_libraries": "citus", "max_prepared_transactions": 50, "max_worker_processes": 32,
            "citus.shard_count": 4, "autovacuum": "off", "citus.enable_statistics_collection": "off",
            # A transaction of two phases that a node has lost is ended after seconds, not after a minute.
            "citus.recover_2pc_interval": "1s"}

# Each table of a contact, and the contact that a row belongs to: the generated keys tell it.
CONTACT_OF = {
    "contact": "id", "contact_social": "contact_id", "contact_document": "contact_id", "request": "contact_id",
    "message": "request_id / 10", "message_copy": '"messageId" / 100', "attachment": "message_id / 100",
    "request_transfer": "request_id / 10", "status_change": "request_id / 10",
    "files": "CASE record_type WHEN 'Contact' THEN record_id WHEN 'Request' THEN record_id / 10 ELSE 0 END",
}
ACCOUNTS = 5
PARENTS = [("contact_social", "contact_id", "contact"), ("contact_document", "contact_id", "contact"),
           ("request", "contact_id", "contact"), ("message", "request_id", "request"),
           ("message_copy", '"messageId"', "message"), ("attachment", "message_id", "message"),
           ("request_transfer", "request_id", "request"), ("status_change", "request_id", "request")]
# The one that every table of the tenant is distributed by, and the contact's place in it.
TENANT, BY_CONTACT = "account_id", "contact_id"


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


def _without_keys(column, value):
    """The SQL that takes primary and foreign keys away, and gives each table its column."""
    drop = "".join(f"""
        FOR r IN SELECT conname, conrelid::regclass AS t FROM pg_constraint
                  WHERE contype = '{kind}' AND connamespace = 'crm'::regnamespace
                    AND conrelid::regclass::text NOT IN ('crm.team', 'crm.agent')
        LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', r.t, r.conname); END LOOP;""" for kind in "fp")
    yield f"DO $$ DECLARE r record; BEGIN {drop} END $$"
    yield "DROP INDEX crm.contact_login_key"  # unique in each shard only
    for table, contact in CONTACT_OF.items():
        if column not in ("contact_id",) or table not in ("contact", "contact_social", "contact_document", "request"):
            yield f"ALTER TABLE crm.{table} ADD {column} bigint"
            yield f"UPDATE crm.{table} SET {column} = {value.format(contact=contact)}"
            yield f"ALTER TABLE crm.{table} ALTER {column} SET NOT NULL"


def _run(pg, db, statements):
    for statement in statements:
        pg.sql(db, statement)


def by_tenant(cluster, contacts):
    """Each row has its account, by which all tables are distributed; keys are (account_id, id)."""
    db, pg = crm(cluster, contacts), cluster.coordinator
    _run(pg, db, _without_keys(TENANT, f"1 + ({{contact}}) % {ACCOUNTS}"))
    _run(pg, db, (f"ALTER TABLE crm.{table} ADD PRIMARY KEY ({TENANT}, id)" for table in CONTACT_OF))
    _run(pg, db, (f"SELECT create_reference_table('crm.{table}')" for table in ("team", "agent")))
    _run(pg, db, (f"SELECT create_distributed_table('crm.{table}', '{TENANT}'{with_contact(table)})"
                  for table in CONTACT_OF))
    _run(pg, db, (f"ALTER TABLE crm.{child} ADD FOREIGN KEY ({TENANT}, {by}) REFERENCES crm.{parent} ({TENANT}, id)"
                  for child, by, parent in PARENTS))
    pg.sql(db, "ALTER TABLE crm.request ADD FOREIGN KEY (agent_id) REFERENCES crm.agent")
    return db


def by_contact(cluster, contacts):
    """Each row has its contact, by which all tables are distributed; keys below the contact are (contact_id, id)."""
    db, pg = crm(cluster, contacts), cluster.coordinator
    _run(pg, db, _without_keys(BY_CONTACT, "{contact}"))
    pg.sql(db, "ALTER TABLE crm.contact ADD PRIMARY KEY (id)")
    _run(pg, db, (f"ALTER TABLE crm.{table} ADD PRIMARY KEY ({BY_CONTACT}, id)"
                  for table in CONTACT_OF if table != "contact"))
    _run(pg, db, (f"SELECT create_reference_table('crm.{table}')" for table in ("team", "agent")))
    _run(pg, db, (f"SELECT create_distributed_table('crm.{table}', "
                  f"'{'id' if table == 'contact' else BY_CONTACT}'{with_contact(table)})" for table in CONTACT_OF))
    _run(pg, db, (f"ALTER TABLE crm.{child} ADD FOREIGN KEY " + (
        f"({by}) REFERENCES crm.contact" if parent == "contact" else
        f"({BY_CONTACT}, {by}) REFERENCES crm.{parent} ({BY_CONTACT}, id)") for child, by, parent in PARENTS))
    pg.sql(db, "ALTER TABLE crm.request ADD FOREIGN KEY (agent_id) REFERENCES crm.agent")
    return db


def with_contact(table):
    return "" if table == "contact" else ", colocate_with => 'crm.contact'"


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


def rows(d):
    """Digests of all rows, by sessions of the workers that are as usual."""
    cluster = getattr(d, "cluster", None)
    if not cluster:
        return table_digests(d.pg, d.db)
    for worker in cluster.workers:
        worker.sql("postgres", f"ALTER DATABASE {d.db} RESET ALL")
    d.pg.forget(d.db)  # with the sessions behind it
    found = table_digests(d.pg, d.db)
    d.pg.forget(d.db)
    make_odd(cluster, d.db)
    return found


def once(d):
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), job
    return job
