"""
Large objects: a model under which they would stay behind is refused, by retentiond -t, by model check and by the job,
and nothing goes; with lo_manage they go with their row, and only with it.
"""

import json

import pytest

from support.small import SCHEMA, failures, keys, model, policy

LIMITS = {"max_share": 1.0}
DOC = {"table": "doc", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"}
RULES = ({"set": {"name": "L_{key}"}, "keep": ["brand", "created"]}, {"clear": ["subject"], "keep": ["at", "status"]})
# Contact 1 is due, contact 2 is not; each has a document of which the text names it.
DOCS = """;
    CREATE EXTENSION lo;
    CREATE TABLE doc (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, "The File" {kind});
    CREATE INDEX ON doc (contact_id);
    INSERT INTO contact (id, name) VALUES (1, 'Anton Quist'), (2, 'Berta Quist');
    INSERT INTO request (id, contact_id, at) VALUES (10, 1, '2015-01-01'), (20, 2, now());
    INSERT INTO doc SELECT id, id, {value} FROM contact"""
OBJECT = "lo_from_bytea(0, convert_to('passport of ' || name, 'UTF8'))"
TRIGGER = ";CREATE TRIGGER t BEFORE UPDATE OR DELETE ON doc FOR EACH ROW EXECUTE FUNCTION lo_manage({})"
UNIQUE = '; CREATE UNIQUE INDEX ON doc ("The File")'
MANAGED = TRIGGER.format("'The File'") + UNIQUE
ANONYMIZED = {"anonymize": None, "clear": ["The File"]}


def objects(d):
    return [text for text, in d.pg.sql(d.db, "SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata ORDER BY 1")]


def docs(kind="oid", value=OBJECT, more=""):
    return SCHEMA + DOCS.format(kind=kind, value=value) + more


def mod(**more):
    return model(*RULES, doc={k: v for k, v in {**DOC, **more}.items() if v is not None})


STAY = 'column "The File" ({}) of public.doc can refer to large objects, which would stay behind when '
CURE = "CREATE EXTENSION lo, and CREATE TRIGGER retention_lo BEFORE DELETE OR UPDATE ON \"public\".\"doc\" FOR EACH ROW " \
    "EXECUTE FUNCTION lo_manage('The File')"
OTHERWISE = 'or not_large_objects = [ "The File" ] if it holds other numbers'
LOST = 'table "doc": an archive has the numbers of the large objects in "The File" and not their bytes'
FULL = [policy(archive="full")]

# name: (schema, model, policies, words of the refusal)
CASES = {
    "oid": (docs(), mod(), FULL, (STAY.format("oid"), "its rows are deleted", CURE, OTHERWISE)),
    "lo": (docs("lo"), mod(), [policy()], (STAY.format("oid"), CURE)),
    "a domain": (docs("file").replace("CREATE TABLE doc", "CREATE DOMAIN file AS lo; CREATE TABLE doc"), mod(),
                 [policy()], (STAY.format("oid"), CURE)),
    "a list": (docs("oid[]", f"ARRAY[{OBJECT}]"), mod(), [policy()],
               (STAY.format("oid[]"), "move their bytes to a column of type bytea[]")),
    "a trigger of another column": (docs(more=TRIGGER.format("id") + UNIQUE), mod(), [policy()], (CURE,)),
    "a trigger of the same name": (docs(more=""";
        CREATE FUNCTION public.lo_manage2() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN old; END';
        CREATE TRIGGER t BEFORE UPDATE OR DELETE ON doc FOR EACH ROW EXECUTE FUNCTION lo_manage2('The File')""" + UNIQUE),
        mod(), [policy()], (CURE,)),
    "a trigger with a condition": (docs(more=MANAGED.replace("EXECUTE", "WHEN (old.id > 1) EXECUTE")), mod(), [policy()], (CURE,)),
    "a trigger that is off": (docs(more=MANAGED + "; ALTER TABLE doc DISABLE TRIGGER t"), mod(), [policy()], (CURE,)),
    "a trigger on DELETE, and the column is cleared": (
        docs(more=MANAGED.replace("UPDATE OR ", "")), mod(**ANONYMIZED, delete="keep"),
        [policy("anonymize_contacts")], (STAY.format("oid"), "it is written", CURE)),
    "two rows with one object": (docs(more=TRIGGER.format("'The File'")), mod(), [policy()], (
        'no unique index on public.doc says that a large object of "The File" belongs to one row',
        'CREATE UNIQUE INDEX CONCURRENTLY ON "public"."doc" ("The File")')),
    "archived": (docs(more=MANAGED), mod(), FULL, (LOST,)),
    "archived, as listed": (docs(more=MANAGED), mod(archive=True), [policy(archive="listed")], (LOST,)),
}


@pytest.mark.parametrize("name", CASES)
def test_refused(make, name):
    schema, text, policies, words = CASES[name]
    d = make(schema, text, *policies, limits=LIMITS)
    before = objects(d)
    d.once(check=False)
    checked = d.check_config()
    assert checked.returncode == 1
    assert [line for line in checked.stderr.splitlines() if all(word in line for word in words)], checked.stderr
    found = json.loads(d.ctl("model", "check", "--json", check=False).stdout)
    assert found["refused"] == [line for line in checked.stderr.splitlines() if "model.conf" in line]
    assert (keys(d.pg, d.db), keys(d.pg, d.db, "SELECT id FROM doc"), objects(d), d.jobs()) == ({1, 2}, {1, 2}, before, [])


def test_a_job_refuses_too(make):
    """An archive that no policy asks for."""
    d = make(docs(more=MANAGED), mod(), policy(), limits=LIMITS)
    assert d.check_config().returncode == 0
    job = d.pg.value(d.db, "SELECT retention.save_action('delete_contacts', '2015-01-01', '2015-01-31', 'full')")
    done = d.once(check=False)
    row, = d.jobs(f"id = {job}")
    assert LOST in f"{row['error']} {done.stderr}" and row["candidates"] is None
    assert (keys(d.pg, d.db, "SELECT id FROM doc"), len(objects(d))) == ({2}, 1), "the policy has no archive, and ran"


@pytest.mark.parametrize("action, more, rules, rows", [
    ("delete_contacts", {}, {}, {2}), ("delete_contacts", {"archive": "listed"}, {}, {2}),
    ("anonymize_contacts", {}, {}, {2}), ("anonymize_contacts", {}, ANONYMIZED, {1, 2})])
def test_an_object_goes_with_its_row(make, action, more, rules, rows):
    d = make(docs("lo", more=MANAGED), mod(**rules), policy(action, **more), limits=LIMITS)
    d.once()
    assert (failures(d), keys(d.pg, d.db, "SELECT id FROM doc"), objects(d)) == ([], rows, ["passport of Berta Quist"])


@pytest.mark.parametrize("settings", [
    {"not_large_objects": ["The File"]}, {"delete": "keep", "anonymize": "keep"}, {"delete": "detach", "anonymize": "keep"}])
def test_columns_of_other_numbers_and_rows_that_stay(make, settings):
    d = make(docs(value="1234").replace("contact_id bigint REFERENCES contact", "contact_id bigint"), mod(**settings),
             policy(archive="full"), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {2}


def test_only_the_owner_unlinks(make):
    """The role of the daemon owns nothing; what it lacks is said before a row is touched."""
    d = make(docs(more=MANAGED), mod(), policy(), limits=LIMITS)
    role = d.pg.plain_role(d.db, "lo_daemon")
    sql = d.ctl("grants", role).stdout
    owner = d.pg.value(d.db, "SELECT quote_ident(pg_get_userbyid(lomowner)) FROM pg_largeobject_metadata LIMIT 1")
    assert f"\n-- GRANT {owner} TO " in sql and "The File: only the owner of a large object may unlink it" in sql
    d.pg.psql(d.db, "-c", sql)
    d.configure(user=role)
    checked = d.check_config()
    assert checked.returncode == 1
    assert f'table "doc": role {role} may not unlink large objects of "The File" that belong to {owner}: ' \
           f"GRANT {owner} TO {role}" in checked.stderr
    d.pg.sql(d.db, f"DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP"
                   f" EXECUTE format('ALTER LARGE OBJECT %s OWNER TO {role}', o); END LOOP; END $$")
    assert d.check_config().returncode == 0
    d.once()
    assert failures(d) == [] and objects(d) == ["passport of Berta Quist"]


def test_residue(make):
    d = make(docs(more=MANAGED + "; CREATE TABLE scan (n oid)"), mod(), policy("anonymize_contacts"), limits=LIMITS)

    def found(*args):
        done = d.ctl("residue", "1", "--json", *args, check=False)
        return {(r["of"], r["exact"], r["inside"], r["covered"]) for r in json.loads(done.stdout)
                if r["table"] == "pg_largeobject"}

    # The one of its own row goes with it.
    assert found() == set()
    d.pg.sql(d.db, "INSERT INTO scan SELECT lo_from_bytea(0, repeat('x', 1048570)::bytea || 'anton QUIST'::bytea || '\\x00ff'::bytea)")
    assert found() == {("name", 0, 1, 0)}
    # An object that no row has.
    d.pg.sql(d.db, "SELECT lo_from_bytea(0, 'of Anton Quist')")
    assert found() == {("name", 0, 2, 0)}
    role = d.pg.plain_role(d.db, "lo_auditor", "GRANT SELECT ON contact, request, doc, scan TO lo_auditor; "
                                               "GRANT retention_auditor TO lo_auditor")
    done = d.ctl("-d", d.pg.conninfo(d.db, role), "residue", "1", check=False)
    assert done.returncode == 1 and "not searched: pg_largeobject: this role may not read it" in done.stderr
