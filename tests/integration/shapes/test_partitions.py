"""
Partitions come and go under a pass, with rows in them: each row is in its table, or erased and archived once; or the
pass refuses by name what it cannot work on.
"""

import threading

import pytest

from support.changes import change, changed, rest_is_done
from support.clients import locks
from support.harness import wait_until
from support.jobs import DONE, REFUSED, SLOWER, hold_batches, workers
from support.oracles import check_all_erased, check_references, csv_rows, due_before, missing_contacts
from support.shapes import SHAPES

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))

# No batch is under way: each begins by locking contacts.
BETWEEN_BATCHES = "LOCK crm.contact IN ACCESS EXCLUSIVE MODE;"
FILES = ("avatar", "request_file")
# Of table files: the partitioned table, the partition, and the number of the row of parts() that has its bound.
PART = {"hash16": ("files", "files_h3", 3), "list8": ("files", "files_a3", 3), "nested": ("files_a1", "files_a1_h2", 2)}
parametrize = pytest.mark.parametrize("shape", PART)


@pytest.fixture
def job(job):
    return lambda shape, *args, **kwargs: job(*args, shape=SHAPES[shape], **kwargs)


def archived(j, *names):
    """The rows of these tables of the model in all of the archives."""
    return sum(csv_rows(j, f"{name}.csv", action)[1] for name in names
               for (action,) in j.sql("SELECT id FROM retention.archive_journal WHERE status = 'done'"))


def check_rows(j, table, *names):
    """What is no longer in the table is archived, each row once."""
    gone = j.value(f"SELECT (SELECT count(*) FROM before.{table}) - (SELECT count(*) FROM crm.{table})")
    assert archived(j, *names) == gone > 0
    check_references(j)


# -- they come ------------------------------------------------------------------------------------

NEW_ROWS = """WITH r AS (INSERT INTO crm.status_change ({columns}, request_id, to_status, at)
        SELECT {values}, id, 'closed', current_date + 9 FROM crm.request RETURNING *)
    INSERT INTO before.status_change SELECT * FROM r"""


@pytest.mark.parametrize("shape, bound, columns, values", [
    ("range", "FROM (current_date + 7) TO (current_date + 14)", "reporting_ref", "'new'"),
    ("list8", "IN (77)", "account_id", "77"), ("nested", "IN (77)", "account_id", "77")])
def test_created(job, shape, bound, columns, values):
    """Each request has a row in it."""
    j, status = changed(job, f"""{BETWEEN_BATCHES}
        CREATE TABLE crm.status_change_new PARTITION OF crm.status_change FOR VALUES {bound};
        {NEW_ROWS.format(columns=columns, values=values)}""", shape=shape)
    rest_is_done(j, status)
    check_rows(j, "status_change", "status_change")
    assert 0 < j.value("SELECT count(*) FROM crm.status_change_new") == j.value("SELECT count(*) FROM crm.request")


def apart(j, shape):
    """A partition that is detached before the pass begins, in another schema.  SQL that attaches it."""
    table, part, n = PART[shape]
    _, bounds = SHAPES[shape].parts("files")[-1]
    j.sql(f"ALTER TABLE crm.{table} DETACH PARTITION crm.{part}; ALTER TABLE crm.{part} SET SCHEMA public")
    return f"ALTER TABLE crm.{table} ATTACH PARTITION public.{part} FOR VALUES {bounds[n][1]};"


@parametrize
def test_attached(job, shape):
    """It has rows of contacts that are there, due or not."""
    j = job(shape, limits=SLOWER)
    attach, part = apart(j, shape), f"public.{PART[shape][1]}"
    gone = f"""SELECT id FROM {part} WHERE record_type = 'Contact' AND record_id NOT IN (SELECT id FROM crm.contact)
                OR record_type = 'Request' AND record_id NOT IN (SELECT id FROM crm.request)"""
    j, status = change(j, f"""{BETWEEN_BATCHES}
        DELETE FROM before.files WHERE id IN ({gone}); DELETE FROM {part} WHERE id IN ({gone}); {attach}""")
    rest_is_done(j, status)
    check_rows(j, "files", *FILES)
    assert j.value(f"SELECT count(*) FROM {part}") > 0


# -- they go --------------------------------------------------------------------------------------

@pytest.mark.parametrize("shape, part", [("range", "status_change_r10"), ("list8", "status_change_a3"),
                                         ("nested", "status_change_a1")])
def test_dropped(job, shape, part):
    j, status = changed(job, f"""{BETWEEN_BATCHES}
        DELETE FROM before.status_change WHERE id IN (SELECT id FROM crm.{part}); DROP TABLE crm.{part}""", shape=shape)
    rest_is_done(j, status)
    check_rows(j, "status_change", "status_change")


@parametrize
def test_detached(job, shape):
    """No row of it is touched from then on."""
    table, part, _ = PART[shape]
    j, status = changed(job, f"""{BETWEEN_BATCHES}
        DELETE FROM before.files WHERE id IN (SELECT id FROM crm.{part});
        ALTER TABLE crm.{table} DETACH PARTITION crm.{part}; ALTER TABLE crm.{part} SET SCHEMA public;
        CREATE TABLE public.had AS SELECT count(*) AS n FROM public.{part}""", shape=shape)
    rest_is_done(j, status)
    check_rows(j, "files", *FILES)
    assert j.value(f"SELECT count(*) FROM public.{part}") == j.value("SELECT n FROM public.had") > 0


def test_a_detached_one_keeps_its_foreign_key(job):
    """It is a table that the model does not know, and refers to what is to go."""
    j, status = changed(job, f"""{BETWEEN_BATCHES}
        ALTER TABLE crm.request_transfer DETACH PARTITION crm.request_transfer_a3""", shape="list8")
    assert status == DONE, j.last.text()
    j.rest()
    gone = missing_contacts(j)
    assert j.run() == REFUSED and "crm.request_transfer_a3" in j.last.note(), j.last.text()
    assert missing_contacts(j) == gone == j.ledger()


def detach_concurrently(j, table, part):
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        cur.execute(f"ALTER TABLE crm.{table} DETACH PARTITION crm.{part} CONCURRENTLY")


@parametrize
def test_detached_concurrently(job, pg, shape):
    """From the beginning of the command its rows are not found, so that none of their contacts may go; until its end
    the pass refuses it by name."""
    if pg.value("postgres", "SELECT current_setting('server_version_num')::int") < 140000:
        pytest.skip("DETACH PARTITION CONCURRENTLY is new in PostgreSQL 14")
    table, part, _ = PART[shape]
    j = job(shape, limits={**SLOWER, "rows_per_second": 0})
    hold_batches(j)
    with pg.connect(j.db) as brake, brake.cursor() as held, pg.connect(j.db, autocommit=False) as reader, reader.cursor() as cur:
        held.execute("SELECT pg_advisory_lock(4711)")
        run = j.start()
        wait_until(lambda: locks(j, 4711, granted=False) == workers(), what="batches at their end")
        cur.execute(f"SELECT FROM crm.{table} LIMIT 1")  # the command waits for this transaction
        ddl = threading.Thread(target=detach_concurrently, args=(j, table, part))
        ddl.start()
        wait_until(lambda: j.value("SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), what="the command has begun")
        held.execute("SELECT pg_advisory_unlock(4711)")
        assert run.wait() == DONE, run.text()
        j.last, gone = run, missing_contacts(j)
        j.rest()
        assert gone and gone < due_before(j)
        assert j.run() == REFUSED and f"crm.{part} is being detached from crm.files" in j.last.note(), j.last.text()
        assert missing_contacts(j) == gone == j.ledger()
        reader.rollback()
        ddl.join()
    left = f"""SELECT id FROM crm.{part} WHERE record_type = 'Contact' AND record_id NOT IN (SELECT id FROM crm.contact)
                OR record_type = 'Request' AND record_id NOT IN (SELECT id FROM crm.request)"""
    assert j.sql(left) == []
    j.sql(f"""DELETE FROM before.files WHERE id IN (SELECT id FROM crm.{part});
              ALTER TABLE crm.{part} SET SCHEMA public""")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    check_rows(j, "files", *FILES)


# -- they change ----------------------------------------------------------------------------------

@parametrize
def test_a_trigger_on_one_of_them(job, way, shape):
    """It keeps rows, of a table that no foreign key speaks for."""
    j, status = changed(job, f"""
        CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER no BEFORE DELETE ON crm.{PART[shape][1]} FOR EACH ROW EXECUTE FUNCTION crm.no()""", shape=shape)
    assert status == DONE and f"table crm.{PART[shape][1]} is not what it was" in j.row()["error"], j.last.text()
    j.rest()
    assert j.events("failed_key") == [] and j.ledger() == missing_contacts(j)
    check_references(j)
    if way.integrity == "set":
        assert j.run() == REFUSED, j.last.text()
    j.sql(f"DROP TRIGGER no ON crm.{PART[shape][1]}")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    check_rows(j, "files", *FILES)


@pytest.mark.parametrize("shape, part", [("hash16", "message_h3"), ("nested", "message_r0_h1")])
def test_a_table_that_cascades_from_one_of_them(job, shape, part):
    """Its rows would vanish with those of the partition, and be archived nowhere."""
    j, status = changed(job, f"""{BETWEEN_BATCHES}
        CREATE TABLE crm.badge (id bigint PRIMARY KEY, message_id bigint REFERENCES crm.{part} (id) ON DELETE CASCADE);
        INSERT INTO crm.badge SELECT id, id FROM crm.{part};
        CREATE TABLE public.had AS SELECT count(*) AS n FROM crm.badge""", shape=shape)
    assert status == DONE, j.last.text()
    j.rest()
    assert j.run() == REFUSED and "crm.badge" in j.last.note(), j.last.text()
    assert j.value("SELECT count(*) FROM crm.badge") == j.value("SELECT n FROM public.had") > 0
