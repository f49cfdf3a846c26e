"""What the server would refuse of the rules' values, told before a row is touched: a CHECK, a domain, a unique index."""

import pytest

from support.small import SCHEMA, TWO, model, policy

RULES = {"set": {"last_name": "L_{key}"}, "clear": ["name"], "keep": ["id", "brand", "created"]}
REQUEST = {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]}


@pytest.fixture
def made(daemon, empty_db, pg):
    def make(more, contact=RULES, request=REQUEST, rows=TWO, action="anonymize_contacts", **others):
        db = empty_db()
        pg.sql(db, SCHEMA + rows + f"; {more}")
        return daemon(db=db, model=model(contact, request, **others), policies=[policy(action)])
    return make


def refusals(d):
    return [line.split("model: ", 1)[-1] for line in d.check_config(check=False).stderr.splitlines() if "refuses" in line or "unique" in line]


NAMED = "ALTER TABLE contact ADD COLUMN last_name text"
REFUSED = [
    (f"{NAMED}; ALTER TABLE contact ADD CONSTRAINT letters CHECK (last_name ~ '^[A-Z ]*$')",
     'CHECK letters refuses what the rules write into "last_name": (last_name ~ \'^[A-Z ]*$\'::text); choose another value'),
    (f'{NAMED}; ALTER TABLE contact ADD CONSTRAINT "Last Name" CHECK (length(last_name) < 3) NOT VALID',
     'CHECK "Last Name" refuses what the rules write into "last_name"'),
    # over a column that is kept, and one that is cleared
    (f"{NAMED}; UPDATE contact SET name = 'n'; ALTER TABLE contact ADD CONSTRAINT either CHECK (name IS NOT NULL OR brand IS NOT NULL) NOT VALID",
     'CHECK either refuses what the rules write into "name"'),
    ("CREATE DOMAIN letters AS text CHECK (VALUE ~ '^[A-Z]*$'); ALTER TABLE contact ADD COLUMN last_name letters",
     'domain public.letters refuses what the rules write into "last_name"'),
    (f"{NAMED}; CREATE FUNCTION whole(text) RETURNS bool IMMUTABLE LANGUAGE sql AS $$ SELECT $1::int > 0 $$;"
     "ALTER TABLE contact ADD CONSTRAINT whole CHECK (public.whole(last_name))", "CHECK whole refuses"),
]
ACCEPTED = [
    f"{NAMED}; ALTER TABLE contact ADD CHECK (last_name ~ '^[A-Z]_[0-9]+$')",
    f"{NAMED}; ALTER TABLE contact ADD CHECK (name IS NOT NULL OR last_name IS NOT NULL) NOT VALID",
    f"{NAMED}; ALTER TABLE contact ADD CHECK (brand IS NULL OR brand <> last_name)",
    f"{NAMED}; ALTER TABLE contact ADD CHECK (NULL::bool)",
    "CREATE DOMAIN coded AS text CHECK (VALUE ~ '_'); ALTER TABLE contact ADD COLUMN last_name coded",
]


@pytest.mark.parametrize("more, words", REFUSED)
def test_a_check_that_refuses_the_value(made, more, words):
    d = made(more)
    said = d.check_config(check=False)
    assert said.returncode == 1 and words in said.stderr, said.stderr
    assert "model.conf:2: " in said.stderr
    assert words in d.ctl("model", "check", check=False).stdout
    d.once(check=False)
    assert d.pg.value(d.db, "SELECT count(*) FROM contact WHERE name IS NULL AND last_name IS NOT NULL") == 0


@pytest.mark.parametrize("more", ACCEPTED)
def test_a_check_that_lets_it_through(made, more):
    d = made(more)
    assert d.check_config().returncode == 0, d.check_config().stderr
    d.once()
    assert d.jobs()[-1]["status"] == "done"
    assert d.pg.value(d.db, "SELECT last_name FROM contact WHERE id = 1") == "L_1"


def test_a_row_that_is_older_than_its_constraint(made):
    """It is refused whatever the rules write: the others go, and the journal names it."""
    d = made(f"{NAMED}; UPDATE contact SET brand = 'old' WHERE id = 2; UPDATE request SET at = '2015-01-01';"
             "ALTER TABLE contact ADD CONSTRAINT brands CHECK (brand <> 'old' AND last_name IS DISTINCT FROM '?') NOT VALID",
             {**RULES, "set": {"last_name": "gone"}})
    assert d.check_config().returncode == 0, d.check_config().stderr
    d.once(check=False)
    assert d.pg.sql(d.db, "SELECT id, last_name FROM contact ORDER BY id") == [(1, "gone"), (2, None)]
    assert d.jobs()[-1]["counters"]["failed"] == 1


def test_where_the_rules_are_not_used(made):
    """A deletion writes nothing; and rows that the model leaves out are not tried."""
    d = made(REFUSED[0][0], action="delete_contacts")
    assert d.check_config().returncode == 0
    d = made(f"{NAMED}; ALTER TABLE contact ADD CHECK (brand <> 'staff' OR last_name !~ '_')", {**RULES, "where": "brand = 'x'"},
             rows=TWO + "; UPDATE contact SET brand = CASE id WHEN 1 THEN 'x' ELSE 'staff' END")
    assert d.check_config().returncode == 0, d.check_config().stderr


def test_an_empty_table_is_tried_by_the_first_job(made):
    d = made(REFUSED[0][0], rows="")
    assert d.check_config().returncode == 0
    d.pg.sql(d.db, TWO.lstrip(";\n "))
    d.once(check=False)
    assert "CHECK letters refuses" in d.log.read_text()


def test_columns_that_a_detached_row_loses(made):
    note = {"table": "note", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach", "anonymize": "keep"}
    d = made("CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, team int, CONSTRAINT whose"
             " CHECK (contact_id IS NOT NULL OR team IS NOT NULL)); CREATE INDEX ON note (contact_id); INSERT INTO note VALUES (1, 1, NULL)",
             {}, {}, action="delete_contacts", note=note)
    assert 'table "note": CHECK whose refuses what the rules write into "contact_id"' in d.check_config(check=False).stderr


@pytest.mark.parametrize("index", ["contact (brand, last_name)", "contact (lower(last_name))", "contact (last_name) WHERE brand = 'x'"])
@pytest.mark.parametrize("value, refused", [("gone", True), ("L_{key}", False), ("L_{number}", False)])
def test_a_unique_index(made, index, value, refused):
    """Of several columns, over an expression, over some rows: a constant collides, and the index is named."""
    d = made(f"{NAMED}; CREATE UNIQUE INDEX names_once ON {index}", {**RULES, "set": {"last_name": value}})
    said = d.check_config(check=False)
    assert (said.returncode == 1) == refused, said.stderr
    assert ('column "last_name" is unique: the same value in every row would collide in index public.names_once; use set with {key}'
            in said.stderr) == refused, said.stderr


# --- Names in predicates ----------------------------------------------------------------------

CURE = "a table, a function or a type outside of pg_catalog is only found with its schema, written as schema.name"
VIP = """CREATE TABLE vip (contact_id bigint); CREATE TYPE kind AS ENUM ('a'); CREATE FUNCTION is_vip(bigint) RETURNS bool
    STABLE LANGUAGE sql AS $$ SELECT EXISTS (SELECT FROM vip WHERE contact_id = $1) $$"""


@pytest.mark.parametrize("place", ["where", "due_when", "scope"])
@pytest.mark.parametrize("predicate", ["id NOT IN (SELECT v.contact_id FROM vip AS v)", "NOT is_vip(id)", "'a'::kind IS NOT NULL"])
def test_a_name_without_its_schema(daemon, empty_db, pg, place, predicate):
    db = empty_db()
    pg.sql(db, f"{SCHEMA}; {VIP}" + TWO)
    tables = {"where": ({"where": predicate}, None), "due_when": (None, {"due_when": predicate}), "scope": (None, None)}[place]
    d = daemon(db=db, model=model(*tables), policies=[policy(**({"scope": predicate} if place == "scope" else {}))])
    said = d.check_config(check=False)
    assert said.returncode == 1 and CURE in said.stderr, said.stderr
    preview = d.ctl("preview", "p", check=False)
    assert preview.returncode == 1 and CURE in preview.stderr and "migrate" not in preview.stderr, preview.stderr


def test_a_name_in_a_function_that_a_predicate_calls(daemon, empty_db, pg):
    """Only when it runs is it not found: the hint is not to migrate, which was done."""
    db = empty_db()
    pg.sql(db, f"{SCHEMA}; {VIP.replace('LANGUAGE sql AS $$ SELECT EXISTS', 'LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS').replace('$1) $$', '$1); END $$')}"
           + TWO)
    d = daemon(db=db, model=model({"where": "NOT public.is_vip(id)"}), policies=[policy()])
    said = d.ctl("preview", "p", check=False)
    assert said.returncode == 1 and "migrate" not in said.stderr and "need their schema" in said.stderr, said.stderr
    pg.sql(db, "ALTER FUNCTION is_vip(bigint) SET search_path = public, pg_temp")
    assert d.ctl("preview", "p").returncode == 0
    # But where the schema retention is not there, or is older, to migrate is what helps.
    pg.sql(db, "DROP SCHEMA retention CASCADE")
    gone = d.ctl("journal", check=False)
    assert gone.returncode == 1 and "run retentionctl migrate" in gone.stderr
