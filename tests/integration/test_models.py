"""
The models that are shipped, each against the schema that it is for: what is erased is gone from
everywhere, all else stays; and what a later version of the schema adds is refused until somebody has
said what becomes of it, in the words that the refusal asks for.
"""

import re
from pathlib import Path

import pytest

import schemas
from modelfile import column_rules

CONTACTS = 40
ACTIONS = ("export", "delete_contacts", "anonymize_contacts", "anonymize_requests")


@pytest.fixture(params=schemas.NAMES)
def schema(request):
    return request.param


@pytest.fixture
def make(pg, daemon):
    """make(schema, ddl): a migrated daemon with the shipped model, on a database of its own."""
    made = []

    def make(name, *ddl):
        made.append(pg.create_database(template=schemas.template(pg, name, CONTACTS)))
        for statement in ddl:
            pg.sql(made[-1], statement)
        return daemon(db=made[-1], model=schemas.model_text(name))

    yield make
    for db in made:
        pg.drop_database(db)


def run(d, action):
    """One pass; the last job."""
    policy = {"name": f"p{len(d.jobs())}", "action": action, "depth": schemas.DEPTH, "schedule": "monthly"}
    if not action.startswith("anonymize"):
        policy["archive"] = "full"
    d.configure(policies=[policy])
    d.once()
    job = d.jobs()[-1]
    failed = d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'failed_key'")
    assert (job["status"], job["error"], job["counters"]["failed"], failed) == ("done", None, 0, [])
    return job


def archived(job):
    """The distinct tokens in the files of the job's archive."""
    return set(schemas.canaries(b"".join(f.read_bytes() for f in Path(job["archive_path"]).glob("*.csv"))))


def check_canary(d, name, action):
    before, texts = schemas.dumped(d.pg, d.db), schemas.redacted(d.pg, d.db, name)
    job = run(d, action)
    after = schemas.dumped(d.pg, d.db)
    keys = schemas.treated(d.pg, d.db, job["id"])
    wanted = schemas.left_over(before, action, keys, texts)
    assert after == wanted, schemas.difference(after, wanted)
    if action == "anonymize_requests":
        assert job["counters"]["treated"] == len(keys)
    else:
        assert job["counters"]["treated"] == CONTACTS // 2
    if action == "delete_contacts":
        assert set(before) - set(after) <= archived(job)
        assert keys and not keys & {t.contact for t in after}
    return job, before, after


@pytest.mark.parametrize("action", ACTIONS)
def test_canary(make, schema, action):
    d = make(schema)
    job, before, after = check_canary(d, schema, action)
    if action == "export":
        # Those who are due, and what hangs off them; a table that is shared is in it whoever else uses it.
        own = {t.contact for t in archived(job) if t.contact}
        assert len(own) >= CONTACTS // 2 and {t for t in before if t.contact in own and t.request} <= archived(job)
        return
    again = run(d, action)
    assert (again["candidates"], again["counters"]["treated"]) == (0, 0)
    assert schemas.dumped(d.pg, d.db) == after


def test_half_are_due_and_each_contact_has_tokens(pg, schema):
    db = schemas.template(pg, schema, CONTACTS)
    found = schemas.dumped(pg, db)
    contact = schemas.tables_of(schema)["contact"]
    where = f"WHERE {contact['where']}" if "where" in contact else ""
    ids = {i for (i,) in pg.sql(db, f"SELECT {contact['key']} FROM {contact['table']} {where}")}
    assert len(ids) == CONTACTS
    assert ids == {t.contact for t in found} - {0}
    for condition in ("IS NULL", "= ''"):
        assert any(pg.value(db, f'SELECT count(*) FROM {contact["table"]} WHERE "{column}" {condition}')
                   for column in contact["clear"]), condition


def test_model_names_every_column_once(pg, schema):
    db = schemas.template(pg, schema, CONTACTS)
    for name, table in schemas.tables_of(schema).items():
        columns = [c for (c,) in pg.sql(db, """SELECT attname FROM pg_attribute
            WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped""", (table["table"],))]
        named = [column for column, _ in column_rules(table)]
        if named:
            assert sorted(named) == sorted(columns), name
        else:
            assert table.get("anonymize") in ("delete", "keep"), name


# --- What a later version of the schema adds --------------------------------------------------


def refusals(d):
    """[(line, message)] of retentiond -t."""
    done = d.check_config()
    assert done.returncode != 0
    return [(int(line), message) for line, message in
            re.findall(r"model\.conf:(\d+): (.*)", done.stdout + done.stderr)]


def edit_model(d, change):
    text = change(d.config["model"])
    d.configure(model=text)
    done = d.check_config()
    assert done.returncode == 0, done.stderr


def line_of(text, name):
    """The line on which a table of the model begins."""
    return next(n for n, line in enumerate(text.split("\n"), 1) if re.match(rf"\s*{name}\s*[:=]", line))


def test_a_new_column_is_refused_until_it_has_a_rule(make, schema):
    contact = schemas.tables_of(schema)["contact"]
    d = make(schema, f"ALTER TABLE {contact['table']} ADD nickname text",
             f"UPDATE {contact['table']} SET nickname = 'canary-c' || {contact['key']} || '-nickname'"
             + (f" WHERE {contact['where']}" if "where" in contact else ""))
    (line, message), = refusals(d)
    assert line == line_of(d.config["model"], "contact")
    assert f'column "nickname" (text) of public.{contact["table"]} is under no rule' in message
    assert "put it under clear, set, json" in message

    def clear_it(text):
        lines = text.split("\n")
        at = next(n for n in range(line - 1, len(lines)) if "clear = [" in lines[n])
        lines[at] = lines[at].replace("clear = [", 'clear = [ "nickname",')
        return "\n".join(lines)

    edit_model(d, clear_it)
    check_canary(d, schema, "anonymize_contacts")


@pytest.mark.parametrize("clause", ["", "ON DELETE CASCADE"])
def test_a_new_table_is_refused_until_it_is_mapped(make, schema, clause):
    contact = schemas.tables_of(schema)["contact"]
    where = f" WHERE {contact['where']}" if "where" in contact else ""
    d = make(schema, f"""CREATE TABLE drift_note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            owner_id integer REFERENCES {contact['table']} {clause}, body text)""",
             f"INSERT INTO drift_note (owner_id, body) SELECT {contact['key']}, 'canary-c' || {contact['key']} || '-note'"
             f" FROM {contact['table']}{where}")
    found = refusals(d)
    assert {line for line, _ in found} == {line_of(d.config["model"], "contact")}
    message = found[0][1]
    assert 'foreign key "drift_note_owner_id_fkey" of public.drift_note (owner_id)' in message
    assert f"public.{contact['table']}" in message
    assert ("ON DELETE CASCADE" in message) == bool(clause)
    table, of, by = re.search(r'map (\S+) in the model, with of = "(\w+)", by = "(\w+)"', message).groups()

    def map_it(text):
        entry = f'  drift_note: {{ table = "{table}"; of = "{of}"; by = "{by}"; anonymize = "delete"; }};'
        return re.sub(r"\n\};\s*$", f"\n{entry}\n}};\n", text)

    edit_model(d, map_it)
    check_canary(d, schema, "delete_contacts")
