"""
Keys of several columns: (account, no) names a row only together, and the same number in another account is somebody
else's.  Texts in a key hold all that a row's literal has to quote.
"""

import json

import pytest

from support.small import again, archived, failures, policy

SCHEMA = """
    CREATE TABLE contact (account int, no text, name text, email text, boss text, created timestamptz DEFAULT '2010-01-01',
        PRIMARY KEY (account, no), FOREIGN KEY (account, boss) REFERENCES contact);
    CREATE TABLE request (account int, no bigint, contact text, at timestamptz, subject text, PRIMARY KEY (no, account),
        FOREIGN KEY (account, contact) REFERENCES contact);
    CREATE TABLE blob (account int, no uuid, data text, PRIMARY KEY (account, no));
    CREATE TABLE message (account int, no bigint, request bigint, blob uuid, body text, PRIMARY KEY (account, no),
        FOREIGN KEY (account, request) REFERENCES request (account, no), FOREIGN KEY (account, blob) REFERENCES blob);
    CREATE TABLE note (account int, message bigint, text text);
    CREATE TABLE called (account int NOT NULL, no int NOT NULL, contact text, PRIMARY KEY (account, no),
        FOREIGN KEY (account, contact) REFERENCES contact);
    CREATE INDEX ON contact (account, boss); CREATE INDEX ON request (account, contact); CREATE INDEX ON message (account, request);
    CREATE INDEX ON message (account, blob); CREATE INDEX ON note (account, message); CREATE INDEX ON called (account, contact)"""
# Numbers of contacts: what a literal has to quote, and what only looks like it.
ODD = ["1", "a b", 'q"uote', "com,ma", "(bracket)", "back\\slash", " ", "", "'", "{x}", "NULL", "é€", "a\nb", "$1", "1,2"]
UUID = "00000000-0000-0000-0000-{:012d}"

MODEL = """model: {
  contact: { table = "contact"; key = [ "account", "no" ]; created = "created"; set: { name = "C_{key}"; };
             clear = [ "email" ]; keep = [ "boss", "created" ]; };
  request: { table = "request"; key = [ "account", "no" ]; of = "contact"; by = [ "account", "contact" ]; date = "at";
             clear = [ "subject" ]; keep = [ "at" ]; };
  under: { table = "contact"; key = [ "account", "no" ]; of = "contact"; by = [ "account", "boss" ]; delete = "detach";
           anonymize = "keep"; };
  message: { table = "message"; key = [ "account", "no" ]; of = "request"; by = [ "account", "request" ];
             set: { body = "m{number}"; }; keep = [ "blob" ]; };
  blob: { table = "blob"; key = [ "account", "no" ]; of = "message"; by = [ "account", "no" ]; from = [ "account", "blob" ];
          shared = true; clear = [ "data" ]; };
  note: { table = "note"; of = "message"; by = [ "account", "message" ]; anonymize = "delete"; };
  called: { table = "called"; key = [ "account", "no" ]; of = "contact"; by = [ "account", "contact" ]; delete = "detach";
            anonymize = "keep"; };
};
"""


@pytest.fixture
def crm(make):
    """crm(policy, **settings): accounts 1 and 2 have the same numbers; what is due is account 1's odd and 2's even ones."""

    def build(*policies, shard="", **settings):
        model = MODEL.replace('table = "contact"; key', f'table = "contact"; {shard} key', 1)
        d = make(SCHEMA, model, *policies, **settings)
        d.pg.sql(d.db, """INSERT INTO contact (account, no, name, email) SELECT a, no, 'n' || i, 'e' FROM generate_series(1, 2) AS a,
            unnest(%s::text[]) WITH ORDINALITY AS u(no, i)""", (ODD,))
        d.pg.sql(d.db, """INSERT INTO request SELECT a, i, no, CASE WHEN (a + i) %% 2 = 0 THEN timestamptz '2015-01-01' ELSE now() END, 's'
            FROM generate_series(1, 2) AS a, unnest(%s::text[]) WITH ORDINALITY AS u(no, i)""", (ODD,))
        d.pg.sql(d.db, f"""INSERT INTO blob SELECT a, replace('{UUID.format(0)}', '000000000000', lpad(i::text, 12, '0'))::uuid, 'd'
                FROM generate_series(1, 2) AS a, generate_series(1, {len(ODD)}) AS i;
            INSERT INTO message SELECT r.account, r.no * 10, r.no, b.no, 'b' FROM request AS r JOIN blob AS b
                ON b.account = r.account AND b.no::text = replace('{UUID.format(0)}', '000000000000', lpad(r.no::text, 12, '0'));
            INSERT INTO note SELECT account, no, 't' FROM message;
            INSERT INTO called SELECT account, row_number() OVER (), no FROM contact;
            UPDATE contact AS c SET boss = '1' WHERE no = 'a b';
            -- Message (1, 20), which stays, uses the blob of message (1, 30), which goes.
            UPDATE message AS m SET blob = (SELECT x.blob FROM message AS x WHERE x.account = 1 AND x.no = 30)
             WHERE m.account = 1 AND m.no = 20""")
        return d

    return build


def due():
    return {(a, no) for a in (1, 2) for i, no in enumerate(ODD, 1) if (a + i) % 2 == 0}


def rows(d, sql):
    return set(d.pg.sql(d.db, sql))


def literals(d, keys):
    """The keys as PostgreSQL itself writes a row."""
    return {d.pg.value(d.db, "SELECT ROW(%s::int, %s::text)::text", key) for key in keys}


def ledger(d):
    return {k for (k,) in d.pg.sql(d.db, "SELECT key FROM retention.ledger")}


with_or_without_shard = pytest.mark.parametrize("shard", ["", 'shard = "account";'], ids=["", "shard"])


@pytest.mark.parametrize("integrity", ["triggers", "set"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
@with_or_without_shard
def test_deleted_and_restored(crm, integrity, batch_rows, shard):
    """The same number of the other account stays; all comes back as it was."""
    d = crm(policy(archive="full"), shard=shard, limits={"batch_rows": batch_rows, "max_share": 1.0, "integrity": integrity})
    state = "SELECT to_jsonb(c)::text FROM contact AS c UNION ALL SELECT to_jsonb(r)::text FROM request AS r UNION ALL " \
            "SELECT to_jsonb(m)::text FROM message AS m UNION ALL SELECT to_jsonb(b)::text FROM blob AS b UNION ALL " \
            "SELECT to_jsonb(n)::text FROM note AS n UNION ALL SELECT to_jsonb(c)::text FROM called AS c"
    before = rows(d, state)
    expected = json.loads(d.ctl("preview", "p", "--json").stdout)
    d.once()
    assert failures(d) == []
    assert rows(d, "SELECT account, no FROM contact") == {(a, no) for a in (1, 2) for no in ODD} - due()
    assert ledger(d) == literals(d, due())
    numbers = {(a, ODD.index(no) + 1) for a, no in due()}
    assert rows(d, "SELECT account, no FROM request") == {(a, i) for a in (1, 2) for i in range(1, len(ODD) + 1)} - numbers
    assert not rows(d, "SELECT account, no / 10 FROM message") & numbers
    assert not rows(d, "SELECT account, message / 10 FROM note") & numbers
    assert rows(d, "SELECT account, right(no::text, 2)::int FROM blob") == \
        {(a, i) for a in (1, 2) for i in range(1, len(ODD) + 1)} - numbers | {(1, 3)}
    # A link is cleared, and the account stays.
    assert rows(d, "SELECT count(*), count(account) FROM called") == {(2 * len(ODD), 2 * len(ODD))}
    assert rows(d, "SELECT account, contact FROM called WHERE contact IS NOT NULL") == rows(d, "SELECT account, no FROM contact")
    assert {t["table"]: t["rows"] for t in expected["tables"] if t["table"] in ("contact", "request", "blob")} == \
        {"contact": len(due()), "request": len(due()), "blob": len(due()) - 1}
    assert {(int(a), no) for a, no, *_ in archived(d, "contact")} == due()
    d.ctl("archive", "restore", str(d.jobs()[-1]["id"]))
    assert rows(d, state) == before


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
@with_or_without_shard
def test_anonymized(crm, action, shard):
    d = crm(policy(action), shard=shard, limits={"max_share": 1.0})
    expected = json.loads(d.ctl("preview", "p", "--json").stdout)
    d.once()
    assert failures(d) == []
    keys = due()
    assert expected["due"] == len(keys)
    if action == "anonymize_contacts":
        assert rows(d, "SELECT name FROM contact WHERE email IS NULL") == {(f"C_{key}",) for key in literals(d, keys)}
    else:
        assert rows(d, "SELECT email FROM contact") == {("e",)}
    numbers = {(a, ODD.index(no) + 1) for a, no in keys}
    assert rows(d, "SELECT account, no FROM request WHERE subject IS NULL") == numbers
    assert rows(d, "SELECT account, no / 10 FROM message WHERE body LIKE 'm%'") == numbers
    assert len(rows(d, "SELECT body FROM message WHERE body LIKE 'm%'")) == len(numbers)
    assert rows(d, "SELECT account, right(no::text, 2)::int FROM blob WHERE data IS NULL") == numbers - {(1, 3)}
    assert again(d, action)["counters"]["treated"] == 0


@pytest.mark.parametrize("written, contact", [
    ("(1,1)", (1, "1")), (" ( 1 , 1 ) ", (1, "1")), ('(2,"a b")', (2, "a b")), ("(02,a b)", (2, "a b")),
    ('(1,"q""uote")', (1, 'q"uote')), ('(2,"com,ma")', (2, "com,ma")), ('(2,"back\\\\slash")', (2, "back\\slash")),
    ('(1,"(bracket)")', (1, "(bracket)")), ("(2,é€)", (2, "é€")), ('(1,"1,2")', (1, "1,2"))])
def test_a_hold(crm, written, contact):
    """A person writes a key in any way that PostgreSQL would read as this row."""
    assert contact in due()
    d = crm(policy(), limits={"max_share": 1.0})
    d.pg.sql(d.db, "SELECT retention.configure('UTC', false, '(int4,text)')")
    d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'court')", (written,))
    d.once()
    assert rows(d, "SELECT account, no FROM contact") == {(a, no) for a in (1, 2) for no in ODD} - due() | {contact}


@pytest.mark.parametrize("written", ["1", "(1)", "(1,2,3)", "(x,1)", "(1,)", "1,1", '(1,"a)', "(99999999999999999999,1)"])
def test_no_key(crm, written):
    d = crm()
    d.pg.sql(d.db, "SELECT retention.configure('UTC', false, '(int4,text)')")
    with pytest.raises(Exception, match="is not a valid contact key"):
        d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'court')", (written,))


def test_the_literal_is_the_servers(pg, crm):
    """row_key() writes what a row is cast to, and key_fields() reads it back."""
    d = crm()
    for a in ODD:
        for b in ODD:
            literal = d.pg.value(d.db, "SELECT ROW(%s::text, %s::text)::text", (a, b))
            assert d.pg.sql(d.db, "SELECT retention.row_key(ARRAY[%s, %s]), retention.key_fields(%s)", (a, b, literal)) == \
                [(literal, [a, b])]


REFUSED = [
    ('key = [ "account", "no" ]; created', 'key = [ "account", "account" ]; created', 'key names "account" twice'),
    ('by = [ "account", "contact" ]; date', 'by = "contact"; date',
     "by has 1 column (contact), and the key of \"contact\" has 2 (account, no): name them in pairs"),
    ('from = [ "account", "blob" ]', 'from = "blob"', 'by has 2 columns (account, no), and from, of "message" has 1 (blob)'),
    ('key = [ "account", "no" ]; of = "request"', 'key = [ "account", "blob" ]; of = "request"',
     'no unique index on public.message says that "account, blob" is its key'),
    ('key = [ "account", "no" ]; of = "request"', 'key = [ "account", "nr" ]; of = "request"',
     'key: public.message has no column "nr"'),
    ('clear = [ "subject" ]', 'clear = [ "subject", "contact" ]', 'column "contact" is its by and cannot be under clear'),
]


@pytest.mark.parametrize("old, new, message", REFUSED)
def test_refused(crm, old, new, message):
    assert MODEL.count(old) == 1
    d = crm(policy("anonymize_contacts"))
    d.configure(model=MODEL.replace(old, new))
    done = d.run("retentiond", "-t", check=False)
    assert done.returncode != 0 and message in done.stderr


NARROW = """
    CREATE TABLE contact (account int, no int UNIQUE, PRIMARY KEY (account, no));
    CREATE TABLE request (account int NOT NULL, no int PRIMARY KEY, contact int {contact}, at timestamptz);
    CREATE INDEX ON request (account, contact);
    INSERT INTO contact VALUES (1, 1); INSERT INTO request VALUES (2, 1, 1, '2015-01-01')"""
NARROW_MODEL = """model: {
  contact: { table = "contact"; key = [ "account", "no" ]; };
  request: { table = "request"; key = "no"; of = "contact"; by = [ "account", "contact" ]; date = "at"; };
};
"""


def test_a_link_wider_than_its_foreign_key_is_refused(make):
    """Request 1 is contact 1's by the foreign key, and nobody's by the link: it would stay."""
    d = make(NARROW.format(contact="REFERENCES contact (no)"), NARROW_MODEL, policy())
    done = d.run("retentiond", "-t", check=False)
    assert done.returncode != 0
    assert ('its link has account, contact, and foreign key "request_contact_fkey" contact alone: a row that differs in the rest '
            'would not be found; ALTER TABLE "public"."request" ADD FOREIGN KEY ("account", "contact") REFERENCES "public"."contact" '
            '("account", "no")') in done.stderr
    # What the message proposes, in both ways.
    model = NARROW_MODEL.replace('by = [ "account", "contact" ]', 'by = "contact"; from = "no"')
    d.configure(model=model)
    d.pg.sql(d.db, "CREATE INDEX ON request (contact)")
    assert d.check_config().returncode == 0, "as the foreign key has it"
    d.pg.sql(d.db, "UPDATE request SET account = 1; ALTER TABLE request ADD FOREIGN KEY (account, contact) REFERENCES contact (account, no)")
    d.configure(model=NARROW_MODEL)
    assert d.check_config().returncode == 0
    # A row without an account escapes the wide key.
    d.pg.sql(d.db, "ALTER TABLE request ALTER account DROP NOT NULL")
    assert "would not be found" in d.check_config().stderr
    d.pg.sql(d.db, "ALTER TABLE request DROP CONSTRAINT request_contact_fkey")
    assert d.check_config().returncode == 0, "without a narrow key nothing says that the row is anybody's"


@pytest.mark.parametrize("half", ["7", "3,7", "(3,7,1)", "(x,7)"])
def test_a_key_that_is_not_whole(crm, half):
    """It is refused before anything is asked by it, with the columns that it needs."""
    d = crm()
    d.once()
    said = f"\"{half}\" is not a valid contact key: write it like '(1,42)': account, no"
    done = d.ctl("subject", "export", half, check=False)
    assert done.returncode and done.stderr.strip().endswith(said)
    done = d.ctl("hold", "add", half, "--reason", "case", check=False)
    assert done.returncode and done.stderr.strip().endswith(said)
