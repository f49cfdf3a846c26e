"""
Rows that stay (delete = "keep") under a foreign key that would delete them: the contacts that they belong to are none
that may be erased, and a batch makes sure of it before it deletes.
"""

import threading

import pytest

from support.french import FRENCH
from support.harness import wait_until
from support.small import SCHEMA, contacts, failures, keys, model, policy

# Contacts 1, 2 and 3 are due; 3 is an agent, whose actions are on record.
AUDIT = contacts([1, 2, 3], [4]) + """; ALTER TABLE contact ADD role text DEFAULT 'customer'; UPDATE contact SET role = 'agent' WHERE id >= 3;
    CREATE TABLE audit (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact ON DELETE CASCADE, what text);
    CREATE INDEX ON audit (contact_id); INSERT INTO audit SELECT n, 3 + n % 2, 'w' FROM generate_series(1, 10) AS n"""
KEPT = {"table": "audit", "of": "contact", "by": "contact_id", "delete": "keep"}
CUSTOMERS = {"where": "role = 'customer'"}
REFUSED = ('1 rows of public.audit (audit_contact_id_fkey) stay by delete = "keep", and the foreign key would delete them with their contact: '
           'let where of "contact" leave this contact out, or use delete = "delete" or "detach"')


def made(make, schema=AUDIT, contact=None, audit=None, request=None, **more):
    return make(SCHEMA + schema, model({**CUSTOMERS, **(contact or {})}, request, audit={**KEPT, **(audit or {})}), policy(archive="full"),
                limits={"workers": 1, "max_share": 1.0, **more})


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
def test_rows_of_those_who_stay(make, batch_rows, integrity):
    d = made(make, batch_rows=batch_rows, integrity=integrity)
    before = d.pg.sql(d.db, "TABLE audit ORDER BY id")
    said = d.check_config("-v")
    assert said.returncode == 0, said.stderr
    d.once()
    assert (keys(d.pg, d.db), failures(d)) == ({3, 4}, [])
    assert d.pg.sql(d.db, "TABLE audit ORDER BY id") == before


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
def test_a_row_of_one_who_goes(make, batch_rows, integrity):
    """The contact is blocked with the reason, its row is untouched, and the others go."""
    d = made(make, AUDIT + "; INSERT INTO audit VALUES (99, 2, 'customer')", batch_rows=batch_rows, integrity=integrity)
    before = d.pg.sql(d.db, "TABLE audit ORDER BY id")
    assert d.once(check=False).returncode == 1
    assert (keys(d.pg, d.db), failures(d)) == ({2, 3, 4}, [("2", REFUSED)])
    assert keys(d.pg, d.db, "SELECT id FROM request") == {20, 30, 40}
    assert d.pg.sql(d.db, "TABLE audit ORDER BY id") == before


def test_a_row_that_is_being_written(make):
    """A client has not committed it: its contact is locked by the foreign key, and left."""
    d = made(make)
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("INSERT INTO audit VALUES (99, 2, 'customer')")
        running = threading.Thread(target=d.once, kwargs={"check": False})
        running.start()
        wait_until(lambda: keys(d.pg, d.db) == {2, 3, 4})
        conn.commit()
        running.join()
    assert failures(d) == [("2", REFUSED)]
    assert keys(d.pg, d.db) == {2, 3, 4} and keys(d.pg, d.db, "SELECT id FROM audit WHERE id = 99") == {99}


def test_a_contact_too_large_for_one_batch(make):
    """Nothing of it goes, not even a first slice."""
    d = made(make, AUDIT + "; INSERT INTO audit VALUES (99, 2, 'customer');"
             "INSERT INTO request (id, contact_id, at) SELECT 100 + n, 2, '2015-01-01' FROM generate_series(1, 300) AS n", batch_rows=100)
    d.once(check=False)
    assert (keys(d.pg, d.db), [k for k, _ in failures(d)]) == ({2, 3, 4}, ["2"])
    assert d.pg.sql(d.db, "SELECT count(*) FROM request WHERE contact_id = 2") == [(301,)]


WIDE = """; CREATE TABLE "Con tact" (tenant int, id uuid, mail text UNIQUE, role text, PRIMARY KEY (tenant, id));
    CREATE TABLE ticket (id bigint PRIMARY KEY, tenant int, who uuid, at timestamptz, FOREIGN KEY (tenant, who) REFERENCES "Con tact");
    CREATE INDEX ON ticket (tenant, who);
    CREATE TABLE "au;dit" (n int, tenant int, who uuid, FOREIGN KEY (tenant, who) REFERENCES "Con tact" ON DELETE CASCADE)
        PARTITION BY LIST (tenant);
    CREATE TABLE "au 1" PARTITION OF "au;dit" FOR VALUES IN (1); CREATE TABLE "au 2" PARTITION OF "au;dit" DEFAULT;
    CREATE INDEX ON "au;dit" (tenant, who);
    INSERT INTO "Con tact" SELECT t, ('00000000-0000-0000-0000-00000000000' || n)::uuid, t || '@' || n, CASE WHEN n > 1 THEN 'agent' ELSE 'customer' END
        FROM generate_series(1, 2) AS t, generate_series(1, 2) AS n;
    INSERT INTO ticket SELECT row_number() OVER (), tenant, id, '2015-01-01' FROM "Con tact";
    INSERT INTO "au;dit" SELECT 1, tenant, id FROM "Con tact" WHERE role = 'agent' OR tenant = 2"""


@pytest.mark.parametrize("integrity", ["set", "triggers"])
def test_keys_of_several_columns(make, integrity):
    d = made(make, WIDE, {"table": "Con tact", "key": ["tenant", "id"]},
             {"table": "au;dit", "by": ["tenant", "who"]}, {"table": "ticket", "by": ["tenant", "who"]}, integrity=integrity)
    assert d.once(check=False).returncode == 1
    assert [k for k, _ in failures(d)] == ["(2,00000000-0000-0000-0000-000000000001)"]
    assert d.pg.sql(d.db, 'SELECT tenant, count(*) FROM "Con tact" GROUP BY 1 ORDER BY 1') == [(1, 1), (2, 2)]
    assert d.pg.sql(d.db, 'SELECT count(*) FROM "au;dit"') == [(3,)]


BY_REQUEST = """; CREATE TABLE log (id bigint PRIMARY KEY, request_id bigint REFERENCES request ON DELETE CASCADE); CREATE INDEX ON log (request_id)"""


@pytest.mark.parametrize("contact, audit, told", [
    ({"where": None}, {}, 'table "audit": delete = "keep", and foreign key "audit_contact_id_fkey" of public.audit is ON DELETE CASCADE, so that its rows '
     'would vanish unarchived: let where of "contact" leave out the contacts that the rows belong to, and each batch makes sure of it, or use'),
    ({}, {"where": "what = 'w'"}, "leave where out, because rows outside of it vanish too"),
    ({}, {"table": "log", "of": "request", "by": "request_id"}, 'map public.audit in the model'),
], ids=["no where", "a where of its own", "below a request"])
def test_what_is_refused(make, contact, audit, told):
    d = made(make, AUDIT + BY_REQUEST, contact, audit)
    said = d.check_config()
    assert said.returncode == 1 and told in said.stderr, said.stderr


def test_it_is_said(make):
    d = made(make)
    hint = 'table "audit": foreign key "audit_contact_id_fkey" would delete its rows; a contact that has some is not deleted, and recorded as failed'
    assert hint in d.ctl("model", "check").stdout
    assert "enregistré en échec" in d.ctl("model", "check", env=FRENCH).stdout
