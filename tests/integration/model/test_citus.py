"""
Databases with the extension citus: what is refused of a distributed schema, and why; it ends with the same rows as the same
pass of a plain PostgreSQL, although its tables are on a server with settings of its own.
"""

import contextlib

import pytest

from support import citus
from support.harness import TIMEOUT, wait_until
from support.oracles import table_digests
from support.shapes import SHAPES
from support.small import model, policy

pytestmark = pytest.mark.unsanitized
DELETE = policy(archive="full")


def refused(d):
    done = d.check_config()
    assert done.returncode == 1 and done.stderr
    return done.stderr


def test_what_is_refused_of_a_distributed_schema(daemon, cluster, spread):
    pg = cluster.coordinator
    d = daemon(spread(citus.by_schema, contacts=10), server=pg, policies=[policy()])
    pg.sql(d.db, "CREATE FUNCTION crm.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'")
    pg.psql(d.db, "-c", "SET citus.enable_unsafe_triggers = on", "-c",
            "CREATE TRIGGER touch BEFORE DELETE ON crm.message FOR EACH ROW EXECUTE FUNCTION crm.touch()")
    assert 'table "message": crm.message is distributed by Citus and has triggers' in refused(d)
    pg.psql(d.db, "-c", "SET citus.enable_unsafe_triggers = on", "-c", "DROP TRIGGER touch ON crm.message")
    assert d.check_config().returncode == 0
    # One table beside the schema is on another server.
    pg.sql(d.db, "CREATE TABLE public.social (LIKE crm.contact_social INCLUDING ALL)")
    d.configure(model=(d.dir / "model.conf").read_text().replace('"crm.contact_social"', '"public.social"'))
    assert 'table "contact_social": public.social is not in the same distributed schema of Citus' in refused(d)


def test_a_worker_of_citus_is_refused(daemon, cluster, spread):
    worker = cluster.workers[0]
    d = daemon(spread(citus.by_schema, contacts=10), server=worker, policies=[policy()], migrate=False)
    # Citus has a worker refuse the schema, too, but one may have got it by a backup.
    worker.psql(d.db, "-c", "SET citus.enable_ddl_propagation = off", "-c", "CREATE SCHEMA retention")
    assert "this server is a worker of Citus" in d.ctl("model", "check", check=False).stdout


# --- A distributed schema, beside a plain PostgreSQL ---------------------------------------------


@pytest.mark.parametrize("integrity", ["triggers", "set"])
def test_a_deletion_and_its_way_back(both, integrity):
    plain, other = both(DELETE, limits={"integrity": integrity, "batch_rows": 200})
    for d in plain, other:
        d.ctl("hold", "add", "7", "--reason", "court")
    left = citus.check_deletion(plain, other)
    assert {3, 5, 7} <= left and 2 not in left


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_an_anonymization(both, action):
    citus.check_anonymization(*both(policy(action)), action)


def test_what_a_person_asks_for(both):
    plain, other = both(DELETE, policy("export", name="copy", archive="full"))
    for d in plain, other:
        d.pg.sql(d.db, "CREATE TABLE crm.outside AS SELECT email FROM crm.contact WHERE id = 4")
    residue = citus.check_same_answers(plain, other, lambda d: [
        ("residue", "4"), ("residue", "9"), ("subject", "export", "4"), ("preview", "p")])
    assert any(row["table"] == "crm.outside" for row in residue)


# What the reference CRM lacks: links by other columns than a key, shared rows, redacted texts, fresh numbers.
CONSTRUCTS = """
    CREATE SCHEMA shop;
    CREATE TABLE shop.contact (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, name text, alias text NOT NULL DEFAULT '',
        birth date NOT NULL DEFAULT '1970-01-01', created timestamptz);
    CREATE TABLE shop.request (id bigint PRIMARY KEY, contact_code text REFERENCES shop.contact (code), at timestamptz,
        status text DEFAULT 'closed', subject text);
    CREATE INDEX ON shop.request (contact_code);
    CREATE TABLE shop.blob (id bigint PRIMARY KEY, data text NOT NULL);
    CREATE TABLE shop.attachment (id bigint PRIMARY KEY, request_id bigint REFERENCES shop.request, blob_id bigint REFERENCES shop.blob);
    CREATE INDEX ON shop.attachment (request_id); CREATE INDEX ON shop.attachment (blob_id);
    CREATE TABLE shop.note (id bigint PRIMARY KEY, request_id bigint REFERENCES shop.request, text text);
    CREATE INDEX ON shop.note (request_id);
    INSERT INTO shop.contact (id, code, name) SELECT n, 'c' || n, 'Anna' || n FROM generate_series(1, 6) AS n;
    INSERT INTO shop.request (id, contact_code, at, subject) SELECT n * 10, 'c' || n,
        CASE WHEN n < 5 THEN timestamptz '2015-01-01' ELSE '2099-01-01' END, 'a word of Anna' || n FROM generate_series(1, 6) AS n;
    INSERT INTO shop.blob SELECT n, 'b' || n FROM generate_series(1, 6) AS n;
    INSERT INTO shop.attachment VALUES (1, 10, 1), (2, 10, 2), (3, 20, 2), (4, 30, 3), (5, 50, 3), (6, 60, 6);
    INSERT INTO shop.note SELECT n, n * 10, 'Dear anna' || n || ', hello' FROM generate_series(1, 6) AS n"""
CONSTRUCTS_MODEL = model(
    {"table": "shop.contact", "identity": ["name"], "set": {"name": "F_{key}", "alias": "A-{number}", "birth": "1900-01-01"},
     "clear": ["created"], "keep": ["id", "code"]},
    {"table": "shop.request", "by": "contact_code", "from": "code", "redact": ["subject"], "keep": ["id", "contact_code", "at", "status"]},
    attachment={"table": "shop.attachment", "key": "id", "of": "request", "by": "request_id", "anonymize": "delete"},
    blob={"table": "shop.blob", "key": "id", "of": "attachment", "by": "id", "from": "blob_id", "shared": True, "anonymize": "delete"},
    note={"table": "shop.note", "key": "id", "of": "request", "by": "request_id", "redact": ["text"], "keep": ["id", "request_id"]})


@pytest.fixture
def shops(daemon, cluster, empty_db, pg):
    """shops(schema, model, …): a daemon of a plain database and one of the same schema, distributed."""
    made = []

    def make(schema, text, **kwargs):
        plain, other = empty_db(), cluster.create_database()
        made.append(other)
        pg.sql(plain, schema)
        cluster.coordinator.sql(other, schema)
        cluster.coordinator.sql(other, "SELECT citus_schema_distribute('shop')")
        return [daemon(db, server=server, model=text, **kwargs) for db, server in ((plain, pg), (other, cluster.coordinator))]

    yield make
    for db in made:
        cluster.drop_database(db)


def test_constructs(shops):
    """The same as on a plain PostgreSQL, or refused before anything is touched."""
    plain, other = shops(CONSTRUCTS, CONSTRUCTS_MODEL)
    for action in "anonymize_requests", "anonymize_contacts":
        for d in plain, other:
            d.configure(policies=[policy(action, name=action[:11])])
        jobs = [citus.once(d) for d in (plain, other)]
        assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"] and jobs[0]["counters"]["treated"] > 0
        assert table_digests(plain.pg, plain.db, "shop") == table_digests(other.pg, other.db, "shop")
    other.configure(policies=[policy(name="gone")])
    assert ('table "request": Citus cannot change rows of shop.request that are found by "code" of their parent'
            ) in refused(other)


@pytest.mark.parametrize("integrity", ["triggers", "set"])
def test_a_deletion_of_shared_rows(shops, integrity):
    by_key = CONSTRUCTS.replace("contact_code text REFERENCES shop.contact (code)", "contact_id bigint REFERENCES shop.contact"
                                ).replace("contact_code", "contact_id").replace("'c' || n,\n", "n,\n")
    text = CONSTRUCTS_MODEL.replace("contact_code", "contact_id").replace('from = "code";', "")
    plain, other = shops(by_key, text, policies=[policy()], limits={"integrity": integrity})
    jobs = [citus.once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"] and jobs[0]["counters"]["rows"]["blob"] == 2
    assert table_digests(plain.pg, plain.db, "shop") == table_digests(other.pg, other.db, "shop")


@pytest.mark.parametrize("action, integrity", [("delete_contacts", "triggers"), ("delete_contacts", "set"), ("anonymize_contacts", "set"),
                                               ("anonymize_requests", "triggers")])
def test_keys_of_several_columns(daemon, cluster, crm_db, pg, spread, action, integrity):
    """(account_id, id) in each table."""
    shape = SHAPES["composite"]
    plain, other = crm_db(citus.CONTACTS), spread(citus.by_schema, citus.CONTACTS, before=shape.create)
    shape.create(pg, plain)
    ds = [daemon(db, server=server, model=shape.model(), policies=[policy(action)], limits={"integrity": integrity})
          for db, server in ((plain, pg), (other, cluster.coordinator))]
    jobs = [citus.once(d) for d in ds]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"] and jobs[0]["counters"]["treated"] > 20
    assert shape.digests(pg, plain) == shape.digests(cluster.coordinator, other)


def test_a_role_of_its_own(both):
    """Without a superuser's rights: what retentionctl grants prints is enough."""
    plain, other = both(DELETE)
    for d in plain, other:
        role = d.pg.plain_role(d.db, "retention_citus")
        d.pg.psql(d.db, "-c", d.ctl("grants", role).stdout)
        d.configure(user=role)
    before = citus.rows(other)
    jobs = [citus.once(d) for d in (plain, other)]
    assert jobs[0]["counters"]["rows"] == jobs[1]["counters"]["rows"]
    assert citus.rows(plain) == citus.rows(other) != before
    other.configure(user=None)
    other.ctl("archive", "restore", jobs[1]["id"])
    assert citus.rows(other) == before


def test_a_locked_row_is_not_waited_for(both):
    plain, other = both(DELETE)
    citus.once(plain)
    with other.pg.connect(other.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("""UPDATE crm.message SET body = body WHERE request_id IN (SELECT id FROM crm.request WHERE contact_id = 2)""")
        other.start("--once")
        # The others of the list are gone meanwhile.
        wait_until(lambda: other.pg.value(other.db, "SELECT count(*) FROM retention.ledger") ==
                   plain.jobs()[-1]["counters"]["treated"] - 1, what="all but one contact")
        conn.rollback()
    assert other.wait() == 0
    assert citus.rows(plain) == citus.rows(other)


def test_a_server_that_is_killed(both, cluster):
    """Everything is erased once, whatever was under way on the server that has the tables."""
    slow = {"workers": 2, "batch_rows": 50, "rows_per_second": 150}
    plain, other = both(DELETE, limits=slow)
    worker = cluster.worker_of(other.db, "crm.contact")
    other.start("--once")
    wait_until(lambda: other.pg.value(other.db, "SELECT count(*) FROM retention.ledger") > 3, what="a first batch")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: worker.running() or worker.start())
        worker.stop("immediate")
        other.wait_for_log("waits: ")
        worker.start()
        assert other.wait(2 * TIMEOUT) == 0
    job = other.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None)
    treated = job["counters"]["treated"]
    assert other.pg.value(other.db, "SELECT count(DISTINCT key) FROM retention.ledger") == treated
    plain.configure(limits={})
    assert citus.once(plain)["counters"]["treated"] == treated
    # A transaction of two phases that was under way on the server ends there soon after.
    wait_until(lambda: worker.value(other.db, "SELECT count(*) FROM pg_prepared_xacts") == 0)
    assert citus.rows(plain) == citus.rows(other)
    other.ctl("archive", "verify", job["id"])
