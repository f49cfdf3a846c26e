"""
Links by a value within a document (audit rows, payloads of webhooks): compared, row by row, with what PostgreSQL's own
operators say of the text of the key.
"""

import json

import pytest

from support.restores import restore
from support.small import SCHEMA, again, archived, contacts, failures, keys, model, policy

PATH = "payload -> 'user' ->> 'id'"
# What a document can have there: {0} stands for the key of a contact, {1} for it as a text.
DOCUMENTS = ["NULL", "'{{\"user\": {{\"id\": {0}}}, \"what\": 1}}'", "'{{\"what\": [1], \"user\": {{\"id\": {1}, \"name\": \"x\"}}}}'",
             "'{{\"user\": {{\"id\": [{0}]}}}}'", "'{{\"user\": {{\"id\": {{\"id\": {0}}}}}}}'", "'{{\"user\": {{\"id\": null}}}}'", "'{{\"user\": {0}}}'",
             "'{{\"user\": null}}'", "'{{}}'", "'[{{\"user\": {{\"id\": {0}}}}}]'", "'[]'", "'{0}'", "'\"x\"'", "'true'", "'null'",
             "'{{\"user\": {{\"id\": \"\"}}}}'", "'{{\"user\": {{\"id\": \" {1} \"}}}}'".replace("\" {1} \"", "\" 1 \""),
             "'{{\"user\": {{\"id\": 99999999999999999999}}}}'", "'{{\"user\": {{\"id\": \"abc\"}}}}'", "'{{\"user\": {{\"ID\": {0}}}}}'"]


def audit(kind="jsonb", of=(1, 2, 3)):
    number = iter(range(1, 1000))
    rows = [f"({next(number)}, {d.format(n, json.dumps(str(n)))}, 'n')" for n in of for d in DOCUMENTS]
    return f""";CREATE TABLE audit (id bigint PRIMARY KEY, payload {kind}, note text); INSERT INTO audit VALUES {", ".join(rows)};
        CREATE INDEX audit_user ON audit ((payload -> 'user' ->> 'id'))"""


AUDIT = {"table": "audit", "key": "id", "of": "contact", "by": PATH}
RULES = ({"clear": ["name"], "keep": ["brand", "created"]}, {"clear": ["subject"], "keep": ["at", "status"]})


def state(d, table="audit"):
    return d.pg.sql(d.db, f"SELECT t::text FROM {table} AS t ORDER BY 1")


def made(make, change, of=policy(archive="full"), kind="jsonb", schema="", rules=(None, None), others=None, **limits):
    return make(SCHEMA + contacts([1, 2], [3]) + audit(kind) + schema, model(*rules, audit={**AUDIT, **change}, **(others or {})), of,
                limits={"workers": 1, "max_share": 1.0, **limits})


def rule(d, keys="'1', '2'"):
    return d.pg.sql(d.db, f"SELECT t::text FROM audit AS t WHERE (payload -> 'user' ->> 'id' IN ({keys})) IS NOT TRUE ORDER BY 1")


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
@pytest.mark.parametrize("kind", ["jsonb", "json"])
def test_rows_go(make, kind, batch_rows, integrity):
    d = made(make, {}, kind=kind, batch_rows=batch_rows, integrity=integrity)
    before, expected = state(d), rule(d)
    d.once()
    assert failures(d) == []
    assert state(d) == expected and len(expected) == len(before) - 4
    assert sorted(int(row[0]) for row in archived(d, "audit")) == [2, 3, 22, 23]
    restore(d, 1)
    assert state(d) == before


@pytest.mark.parametrize("kind", ["jsonb", "json"])
@pytest.mark.parametrize("rules, document", [
    ({"json": {"payload": ["user"]}, "keep": ["note"]}, "payload::jsonb - 'user'"),
    ({"json_keep": {"payload": ["what"]}, "clear": ["note"]}, "payload::jsonb - 'user'"),
    ({"clear": ["payload"], "keep": ["note"]}, "NULL::jsonb")])
def test_rows_stay_without_the_person(make, kind, rules, document):
    d = made(make, {"delete": "detach", "on_delete": rules}, kind=kind)
    before = state(d)
    gone = "id IN (2, 3, 22, 23)"
    expected = d.pg.sql(d.db, f"SELECT id, CASE WHEN {gone} THEN {document} ELSE payload::jsonb END FROM audit ORDER BY 1")
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, "SELECT id, payload::jsonb FROM audit ORDER BY 1") == expected
    assert d.jobs()[-1]["counters"]["rows"]["audit.detached"] == 4
    assert "note:" not in restore(d, 1).stdout
    assert state(d) == before


def test_a_document_that_was_written_since(make):
    d = made(make, {"delete": "detach", "on_delete": {"json": {"payload": ["user"]}, "clear": ["note"]}})
    d.once()
    d.pg.sql(d.db, "UPDATE audit SET payload = payload || '{\"new\": true}' WHERE id = 2")
    assert "1 rows of public.audit were written to after they were cleared" in restore(d, 1).stdout
    assert d.pg.sql(d.db, "SELECT payload, note FROM audit WHERE id IN (2, 3) ORDER BY id") == [
        ({"what": 1, "new": True}, "n"), ({"what": [1], "user": {"id": "1", "name": "x"}}, "n")]


@pytest.mark.parametrize("rules", [{"json": {"payload": ["user"]}, "keep": ["note"]}, {"clear": ["note"], "keep": ["payload"]}])
def test_an_anonymization(make, rules):
    """With the link, or beside it; and nothing is left for the next pass."""
    d = made(make, rules, policy("anonymize_contacts"), rules=RULES)
    d.once()
    assert failures(d) == []
    column = "payload" if "json" in rules else "note"
    changed = keys(d.pg, d.db, f"SELECT id FROM audit WHERE {'payload::text NOT LIKE ' + chr(39) + '%user%' + chr(39) + ' AND id IN (2, 3, 22, 23)' if column == 'payload' else 'note IS NULL'}")
    assert changed == {2, 3, 22, 23}
    assert keys(d.pg, d.db, "SELECT id FROM audit WHERE payload -> 'user' ->> 'id' = '3'") == {42, 43}
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 0


def test_rows_below(make):
    """What hangs off such a row goes, too; and a scope asks none of it."""
    d = made(make, {}, schema="; CREATE TABLE line (id bigint PRIMARY KEY, audit_id bigint REFERENCES audit);"
             "CREATE INDEX ON line (audit_id); INSERT INTO line SELECT id * 10, id FROM audit",
             others={"line": {"table": "line", "key": "id", "of": "audit", "by": "audit_id"}})
    before = state(d), state(d, "line")
    d.once()
    assert keys(d.pg, d.db, "SELECT audit_id FROM line") == keys(d.pg, d.db, "SELECT id FROM audit") and len(state(d, "line")) == 56
    restore(d, 1)
    assert (state(d), state(d, "line")) == before


@pytest.mark.parametrize("kind, one, two, spelt", [
    ("uuid", "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b", "00000000-0000-0000-0000-00000000000A"),
    ("text", "a'b", 'c"\\d', "A'b"), ("varchar(9)", "7", "8", "07"), ("char(4)", "a", "b", "a "), ("smallint", "7", "8", "7.0")])
def test_keys_of_other_types(make, kind, one, two, spelt):
    """A value is the contact's if it is spelt as PostgreSQL writes the key, and no value is cast."""
    quoted = [json.dumps({"o'b": {"%": v}}).replace("'", "''") for v in (one, two, spelt, "nothing")]
    d = make(f"""CREATE TABLE contact (id {kind} PRIMARY KEY);
        CREATE TABLE request (id bigint PRIMARY KEY, contact_id {kind} REFERENCES contact, at timestamptz); CREATE INDEX ON request (contact_id);
        INSERT INTO contact VALUES ('{one.replace("'", "''")}'), ('{two}'); INSERT INTO request SELECT ascii(id::text), id, '2015-01-01' FROM contact
            WHERE id <> '{two}';
        CREATE TABLE "web hook" ("N" int PRIMARY KEY, "Pay load" jsonb) PARTITION BY RANGE ("N");
        CREATE TABLE h1 PARTITION OF "web hook" FOR VALUES FROM (0) TO (2); CREATE TABLE h2 PARTITION OF "web hook" DEFAULT;
        INSERT INTO "web hook" VALUES {", ".join(f"({n}, '{q}')" for n, q in enumerate(quoted))}""",
             model(hook={"table": "web hook", "key": "N", "of": "contact", "by": "Pay load -> 'o''b' ->> '%'"}), policy(archive="full"))
    before = state(d, '"web hook"')
    d.once()
    assert (failures(d), keys(d.pg, d.db, 'SELECT "N" FROM "web hook"')) == ([], {1, 2, 3})
    restore(d, 1)
    assert state(d, '"web hook"') == before


def test_a_copy_within_a_document(make):
    """match, of a value that is no key; an empty one matches nothing."""
    d = make(SCHEMA + contacts([1, 2], [3]) + """; CREATE TABLE log (id bigint PRIMARY KEY, data jsonb); CREATE INDEX ON contact (name);
        INSERT INTO log VALUES (1, '{"to": "n1"}'), (2, '{"to": "n2"}'), (3, '{"to": "n3"}'), (4, '{"to": ""}'), (5, '{}'), (6, NULL);
        INSERT INTO contact (id, name) VALUES (4, ''); INSERT INTO request (id, contact_id, at) VALUES (41, 4, '2015-01-01')""",
             model(log={"table": "log", "key": "id", "of": "contact", "match": {"column": "data ->> 'to'", "of": "name"}}), policy(archive="full"))
    d.once()
    assert (failures(d), keys(d.pg, d.db, "SELECT id FROM log")) == ([], {3, 4, 5, 6})


def test_preview_export_residue_and_check(make):
    d = made(make, {"json": {"payload": ["user"]}, "keep": ["note"]}, policy("anonymize_contacts"), rules=RULES)
    found = json.loads(d.ctl("preview", "p", "--json").stdout)
    assert {t["table"]: t["rows"] for t in found["tables"]}["audit"] == 4
    document = json.loads(d.ctl("subject", "export", "1").stdout)
    text = json.dumps(document)
    assert '"what": 1' in text and "payload ->" not in text, text
    assert d.check_config().returncode == 0
    assert "no index" not in d.ctl("model", "check").stdout


def test_residue(make):
    """The model without the audit misses a name; with it nothing is left."""
    name = "UPDATE contact SET name = 'Zebulon Quince' WHERE id = 1; UPDATE audit SET payload = payload || '{\"name\": \"Zebulon Quince\"}' WHERE id IN (2, 3)"
    rule = {"json": {"payload": ["user", "name"]}, "keep": ["note"]}
    d = made(make, rule, policy("anonymize_contacts"), rules=RULES, schema="; " + name)
    assert d.ctl("residue", "1", check=False).returncode == 0
    d.configure(model=model(*RULES), policies=[policy("anonymize_contacts")])
    assert d.ctl("residue", "1", check=False).returncode == 1


MANY = "; INSERT INTO audit SELECT n, '{}', NULL FROM generate_series(1000, 21000) AS n; DROP INDEX audit_user; ANALYZE audit"


@pytest.mark.parametrize("kind, index, served", [
    ("jsonb", None, False), ("jsonb", "((payload -> 'user' ->> 'id'))", True), ("jsonb", "((payload -> 'user' ->> 'id'), id)", True),
    ("jsonb", "(id, (payload -> 'user' ->> 'id'))", False), ("jsonb", "((payload -> 'user' ->> 'id')) WHERE id > 5", False),
    ("jsonb", "(((payload -> 'user' ->> 'id')::text || ''))", False), ("jsonb", "((payload ->> 'user'))", False),
    ("jsonb", "USING hash ((payload -> 'user' ->> 'id'))", True), ("jsonb", "USING gin (payload)", False),
    ("json", "((payload -> 'user' ->> 'id'))", True)])
def test_the_index(make, kind, index, served):
    """Named where it is missing; what the message says mends it."""
    d = made(make, {}, kind=kind, schema=MANY + (f"; CREATE INDEX ON audit {index}" if index else ""))
    said = d.check_config()
    cure = 'CREATE INDEX CONCURRENTLY ON "public"."audit" ((("payload" -> \'user\' ->> \'id\')))'
    assert said.returncode == (0 if served else 1), said.stderr
    if not served:
        assert "has no index behind it" in said.stderr and cure in said.stderr, said.stderr
        with d.pg.connect(d.db) as conn, conn.cursor() as cur:
            conn.autocommit = True
            cur.execute(cure)
        assert d.check_config().returncode == 0
        plan = "\n".join(row for (row,) in d.pg.sql(d.db, "ANALYZE audit; EXPLAIN DELETE FROM audit AS t WHERE "
                                                          "(t.payload -> 'user' ->> 'id') = ANY ('{1,2}'::text[])"))
        assert "Index" in plan, plan


@pytest.mark.parametrize("change, told", [
    ({"by": "payload -> 'user' -> 'id'"}, "is not a path within a document: write it as column -> 'key' ->> 'key'"),
    ({"by": "payload ->> 'user' ->> 'id'"}, "is not a path within a document"),
    ({"by": "payload -> user ->> id"}, "is not a path within a document"),
    ({"by": "payload -> 0 ->> 'id'"}, "is not a path within a document"),
    ({"by": "payload ->> 'id') OR (true"}, "is not a path within a document"),
    ({"by": "-> 'user' ->> 'id'"}, "is not a path within a document"),
    ({"by": ["note", PATH], "from": ["id", "name"]}, "is within a document, and a link over several columns needs columns"),
    ({"key": None}, "key is missing: a link by payload -> 'user' ->> 'id' needs it"),
    ({"key": "payload ->> 'id'"}, "payload ->> 'id' is not a column: only by and match follow a value within a document"),
    ({"by": "other ->> 'id'"}, 'public.audit has no column "other"'),
    ({"by": "note ->> 'id'"}, "public.audit.note is no json or jsonb"),
    ({"delete": "detach"}, "delete = \"detach\" does not clear payload -> 'user' ->> 'id', which is within a document"),
    ({"delete": "detach", "on_delete": {"json": {"payload": ["who"]}, "keep": ["note"]}}, "which is within a document: let on_delete clear"),
    ({"delete": "detach", "on_delete": {"json_keep": {"payload": ["user"]}, "keep": ["note"]}}, "which is within a document: let on_delete clear"),
    ({"delete": "detach", "on_delete": {"clear": ["note"], "keep": ["payload"]}}, "which is within a document: let on_delete clear"),
])
def test_what_is_refused(make, change, told):
    offline = "not a path" in told or "key is missing" in told or "not a column" in told or "over several" in told
    d = make(SCHEMA + contacts([1], [2]) + audit(of=(1,)), model(audit={**AUDIT, **change}), policy(), migrate=not offline)
    said = d.check_config()
    assert said.returncode == 1 and told in said.stderr and ":4" in said.stderr, said.stderr


def test_a_request_is_never_linked_so(make):
    d = make(SCHEMA + "; ALTER TABLE request ADD data jsonb", model(request={"by": "data ->> 'who'"}), policy(), migrate=False)
    assert "a request needs a column with the contact's key" in d.check_config().stderr


def test_an_array(make):
    d = make(SCHEMA + "; CREATE TABLE room (id bigint PRIMARY KEY, people bigint[])",
             model(room={"table": "room", "key": "id", "of": "contact", "by": "people"}), policy())
    said = d.check_config().stderr
    assert "is an array, and no link follows the values in it" in said and "a table that has a row for each" in said, said
