"""The reference CRM itself: what the other tests take for granted of its generator and its model."""

import pytest

from support.harness import CRM_MODEL
from support.modelfile import column_rules, read_model
from support.oracles import TOKENLESS, due_contacts, due_requests, table_digests, tokens_in

pytestmark = pytest.mark.unsanitized("SQL alone: nothing of it is compiled")

DAY = "2026-11-23"


@pytest.fixture(scope="module")
def model():
    return read_model(CRM_MODEL.read_text())


@pytest.fixture(scope="module")
def crm(pg):
    """A database of 300 contacts that nobody here changes."""
    return pg.create_database(template=pg.crm_template(300, DAY))


# The generator.


def test_same_input_same_bytes(pg, crm):
    again = pg.create_database()
    pg.load_crm(again, 300, DAY)
    digests = table_digests(pg, crm)
    assert len(digests) == 12
    assert digests == table_digests(pg, again)
    pg.drop_database(again)


def test_a_contact_does_not_depend_on_the_number_of_contacts(pg, crm):
    fewer = pg.crm_template(40, DAY)
    query = "SELECT {} FROM crm.{} t WHERE {} ORDER BY id"
    for what, table, where in (("t", "contact", "id <= 40"), ("t", "request", "contact_id <= 40"),
                               ("t", "message", "request_id / 10 <= 40"),
                               ("t", "status_change", "request_id / 10 <= 40")):
        assert pg.sql(fewer, query.format(what, table, where)) == pg.sql(crm, query.format(what, table, where))


@pytest.mark.parametrize("day", ["2026-11-23", "2028-02-29"])
def test_shape(pg, day):
    db = pg.crm_template(2000, day)
    ages = pg.sql(db, """
        SELECT count(*) FILTER (WHERE last < %s::timestamptz - interval '18 months'), count(last),
            count(*) FILTER (WHERE busy), sum(n), max(last) < %s, min(first) > %s::timestamptz - interval '1827 days',
            bool_and(created_at < coalesce(first, 'infinity'))
        FROM crm.contact c, LATERAL (
            SELECT max(created_at) AS last, min(created_at) AS first, count(*) AS n, bool_or(status <> 'closed') AS busy
            FROM crm.request WHERE contact_id = c.id) r""", (day, day, day))[0]
    old, with_requests, busy, requests = ages[:4]
    assert ages[4:] == (True, True, True)
    assert 0.60 < old / 2000 < 0.72
    assert 0.93 < with_requests / 2000 < 0.98
    assert 0.04 < busy / 2000 < 0.15
    assert 4.5 < requests / 2000 < 5.5
    assert 0.55 < len(due_contacts(pg, db, now=day)) / 2000 < old / 2000
    assert len(due_requests(pg, db, now=day)) > len(due_contacts(pg, db, now=day))


def test_awkward_values_are_there(pg, crm):
    for condition in ("IS NULL", "= ''", "LIKE '%\"%'", "LIKE E'%\\n%'", "LIKE E'%\\r\\n%'", "LIKE '%;%'",
                      "LIKE '%日本語%'", "LIKE '%\\\\N%'", "LIKE E'\\\\\\\\.\\n%'", "LIKE ' %'", "LIKE '=%'"):
        assert pg.value(crm, f"SELECT count(*) FROM crm.message WHERE body {condition}") > 0, condition
    assert pg.value(crm, "SELECT count(*) FROM crm.contact WHERE street_extra = ''") > 0
    assert pg.value(crm, "SELECT count(*) FROM crm.contact WHERE street_extra IS NULL") > 0


def test_new_rows_get_free_keys(pg):
    db = pg.create_database(template=pg.crm_template(40, DAY))
    contact = pg.value(db, """INSERT INTO crm.contact (login, last_name, first_name, country, language)
        VALUES ('new', 'L', 'F', 'FR', 'fr') RETURNING id""")
    request = pg.value(db, """INSERT INTO crm.request (contact_id, reason, channel)
        VALUES (%s, 'question', 'mail') RETURNING id""", (contact,))
    assert min(contact, request) > 1000000000
    pg.drop_database(db)


# The canaries.


def test_every_personal_value_has_its_token(pg, crm):
    """A token stands in one column only, belongs to the row's contact, and no text is without."""
    columns = pg.sql(crm, "SELECT nn, table_name, column_name, level FROM canary.column_token")
    owner = {"crm.contact": "id", "crm.contact_social": "contact_id", "crm.contact_document": "contact_id",
             "crm.request": "contact_id", "crm.request_transfer": "request_id / 10",
             "crm.status_change": "request_id / 10", "crm.message": "request_id / 10",
             "crm.message_copy": '"messageId" / 100', "crm.attachment": "message_id / 100"}
    request = {"crm.request": "id", "crm.request_transfer": "request_id", "crm.status_change": "request_id",
               "crm.message": "request_id", "crm.message_copy": '"messageId" / 10', "crm.attachment": "message_id / 10"}
    seen = set()
    for nn, table, column, level in columns:
        where, contact, case = "true", owner.get(table), request.get(table, "0")
        if table == "crm.files":
            column, kind = column.rstrip(")").split(" (")
            where = f"record_type = '{kind}'"
            contact, case = ("record_id", "0") if kind == "Contact" else ("record_id / 10", "record_id")
        name, _, key = column.partition(".")
        value = f"\"{name}\"::jsonb -> '{key}'" if key else f'"{name}"'
        rows = pg.sql(crm, f"SELECT {contact}, {case}, ({value})::text FROM {table} WHERE {where}")
        filled = [row for row in rows if row[2] not in (None, "", "{}")]
        assert filled, (table, column)
        for contact_id, request_id, text in filled:
            want = (contact_id, nn, 0 if level == "contact" else request_id)
            assert tokens_in(text.encode()) == {want}, (table, column)
            seen.add(want)
    assert seen == tokens_in(pg.dump(crm)) == tokens_in(pg.dump(crm, "--inserts"))


def test_tokens_are_found_in_text_and_in_hexadecimal():
    assert tokens_in(b"x tok-12-3-z y tok-12-30-121-z") == {(12, 3, 0), (12, 30, 121)}
    assert tokens_in(b"\\x00" + b"tok-12-3-z\xff".hex().encode()) == {(12, 3, 0)}
    assert tokens_in(b"tok-12-30-121-z".hex().upper().encode()) == {(12, 30, 121)}
    assert tokens_in(b"tok-12-z tok-1-2") == set()


# The model.


def test_model_names_what_there_is_and_classifies_every_column(pg, crm, model):
    for name, table in model.items():
        columns = [c for (c,) in pg.sql(crm, """
            SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped""",
            (table["table"],))]
        assert {table[k] for k in ("key", "by", "date", "created") if k in table} <= set(columns), name
        assert (name == "contact") == ("of" not in table)
        assert table.get("of", "contact") in model
        named = [column for column, _ in column_rules(table)]
        if named:
            assert sorted(named) == sorted(columns), name
        else:
            assert table["anonymize"] in ("delete", "keep"), name


def test_model_covers_every_foreign_key_with_an_index(pg, crm, model):
    """A table that points at a mapped one is mapped by that very link, and the link has an index."""
    mapped = {(t["table"], t["by"], model[t["of"]]["table"]) for t in model.values() if "of" in t}
    tables = {t["table"] for t in model.values()}
    keys = pg.sql(crm, """
        SELECT conrelid::regclass::text, attname, confrelid::regclass::text, confdeltype::text, EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = conrelid AND i.indkey[0] = conkey[1])
        FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
        WHERE contype = 'f' AND cardinality(conkey) = 1""")
    assert len(keys) == 14
    assert all(action == "a" and indexed for *_, action, indexed in keys)
    assert {key[:3] for key in keys if key[2] in tables} == {m for m in mapped if m[0] != "crm.files"}
    assert not tables & {"crm.team", "crm.agent"}


def test_model_and_canaries_agree(pg, crm, model):
    """What the generator calls personal is erased by the model, and nothing else is."""
    fate = {}
    for _, table, column, _, what in pg.sql(crm, "SELECT * FROM canary.column_token"):
        fate[table, column.split(" (")[0]] = what
    for name, table in model.items():
        for column, rule in column_rules(table):
            found = fate.get((table["table"], column))
            if rule == "json":
                dropped = set(table["json"][column])
                there = {c.split(".")[1]: w for (t, c), w in fate.items()
                         if t == table["table"] and c.startswith(column + ".")}
                assert dropped == {key for key, what in there.items() if what == "personal"}
            elif rule == "keep":
                assert found in (None, "reporting"), (name, column)
            else:
                assert found == "personal" or column in TOKENLESS, (name, column)
        if table.get("anonymize") == "delete":
            assert all(w == "personal" for (t, _), w in fate.items() if t == table["table"])
