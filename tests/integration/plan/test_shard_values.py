"""The shard column in every type that a key can have: its values travel through the list into each statement of a batch."""

import pytest

from support.small import failures, policy

# Type, and values as its input has them.
TYPES = {
    "int": ["1", "2", "-3", "2147483647"],
    "smallint": ["1", "2", "-3", "32767"],
    "bigint": ["1", "2", "-9223372036854775808", "9223372036854775807"],
    "text": ["a", "", " ", "com,ma", 'q"uote', "{brace}", "back\\slash", "it's", "NULL", "null", "é€", "a\nb", "$1", "\x02"],
    "varchar(12)": ["a", "com,ma", "it's", "NULL"],
    "char(8)": ["a", "b  b", "it's"],
    "uuid": ["00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "account_number": ["1", "77"],
}
SCHEMA = """
    CREATE DOMAIN account_number AS int CHECK (VALUE > 0);
    CREATE TABLE contact (tenant {type}, id int, name text, PRIMARY KEY (tenant, id)) PARTITION BY HASH (tenant);
    CREATE TABLE request (tenant {type}, id int, contact int, at timestamptz, PRIMARY KEY (tenant, id),
        FOREIGN KEY (tenant, contact) REFERENCES contact) PARTITION BY HASH (tenant);
    CREATE INDEX ON request (tenant, contact);
    CREATE TABLE contact_0 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE contact_1 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE request_0 PARTITION OF request FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE request_1 PARTITION OF request FOR VALUES WITH (MODULUS 2, REMAINDER 1)"""
MODEL = """model: {
  contact: { table = "contact"; key = [ "tenant", "id" ]; shard = "tenant"; };
  request: { table = "request"; key = [ "tenant", "id" ]; of = "contact"; by = [ "tenant", "contact" ]; date = "at"; };
};
"""


@pytest.mark.parametrize("integrity", ["triggers", "set"])
@pytest.mark.parametrize("type", TYPES)
def test_each_type(make, type, integrity):
    d = make(SCHEMA.format(type=type), MODEL, policy(archive="full"), limits={"max_share": 1.0, "integrity": integrity})
    d.pg.sql(d.db, f"""INSERT INTO contact SELECT u.v::{type}, i, 'n' FROM unnest(%s::text[]) AS u(v), generate_series(1, 4) AS i;
        INSERT INTO request SELECT tenant, id * 10 + n, id, CASE WHEN id % 2 = 0 THEN timestamptz '2015-01-01' ELSE now() END
          FROM contact, generate_series(1, 2) AS n""".replace("% 2", "%% 2"), (TYPES[type],))
    d.once()
    assert failures(d) == []
    assert d.jobs()[-1]["counters"]["treated"] == 2 * len(TYPES[type])
    assert d.pg.sql(d.db, "SELECT DISTINCT id FROM contact UNION SELECT DISTINCT contact FROM request ORDER BY 1") == [(1,), (3,)]
    assert d.pg.value(d.db, "SELECT count(DISTINCT tenant) FROM contact") == len(TYPES[type])
    assert d.ctl("model", "check").returncode == 0
    d.ctl("archive", "restore", str(d.jobs()[-1]["id"]))
    assert d.pg.value(d.db, "SELECT count(*) FROM request") == 8 * len(TYPES[type])


@pytest.mark.parametrize("integrity", ["triggers", "set"])
def test_in_slices(make, integrity):
    """A contact with more rows than a batch may take goes in several transactions, and its neighbours of other shards stay."""
    d = make(SCHEMA.format(type="text"), MODEL, policy(archive="full"),
             limits={"max_share": 1.0, "integrity": integrity, "batch_rows": 500, "workers": 1})
    d.pg.sql(d.db, """INSERT INTO contact SELECT t, 1, 'n' FROM unnest('{a,b,"c,d"}'::text[]) AS t;
        INSERT INTO request SELECT tenant, i, 1, CASE tenant WHEN 'b' THEN now() ELSE '2015-01-01' END
          FROM contact, generate_series(1, 3000) AS i""")
    d.once(check=False, failpoint="batch-after-commit:3")
    assert 0 < d.pg.value(d.db, "SELECT count(*) FROM request WHERE tenant <> 'b'") < 6000
    d.once()
    assert failures(d) == []
    assert sorted(k for (k,) in d.pg.sql(d.db, "SELECT details ->> 'key' FROM retention.journal_event WHERE kind = 'sliced'")) \
        == ['("c,d",1)', "(a,1)"]
    assert d.pg.sql(d.db, "SELECT tenant, count(*) FROM request GROUP BY 1") == [("b", 3000)]
    d.ctl("archive", "restore", str(d.jobs()[-1]["id"]))
    assert d.pg.value(d.db, "SELECT count(DISTINCT (tenant, id)) FROM request") == 9000


@pytest.mark.parametrize("type", ["int", "text"])
@pytest.mark.parametrize("before, after", [("", 'shard = "tenant";'), ('shard = "tenant";', "")], ids=["comes", "goes"])
def test_the_model_names_a_shard_after_the_list_was_made(make, type, before, after):
    """The list knows no shards then, or those of a column that no longer counts: its contacts go all the same."""

    def model(shard):
        return MODEL.replace('shard = "tenant";', shard)

    d = make(SCHEMA.format(type=type), model(before), policy(archive="full"), limits={"max_share": 1.0, "batch_rows": 500})
    d.pg.sql(d.db, f"""INSERT INTO contact SELECT t::{type}, i, 'n' FROM unnest('{{1,2,3}}'::text[]) AS t, generate_series(1, 40) AS i;
        INSERT INTO request SELECT tenant, id * 10 + n, id, CASE WHEN id % 2 = 0 THEN timestamptz '2015-01-01' ELSE now() END
          FROM contact, generate_series(1, 2) AS n""")
    d.once(check=False, failpoint="batch-after-commit")
    assert 0 < d.pg.value(d.db, "SELECT count(*) FROM retention.candidate") < 60
    d.configure(model=model(after))
    d.once()
    assert failures(d) == []
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.candidate") == 0
    assert d.pg.sql(d.db, "SELECT count(*), bool_and(id % 2 = 1) FROM contact") == [(60, True)]
    assert d.pg.sql(d.db, "SELECT count(*), bool_and(contact % 2 = 1) FROM request") == [(120, True)]
