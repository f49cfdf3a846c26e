"""
The models that are shipped, each against the schema that it is for: what is erased is gone from
everywhere, all else stays; and what a later version of the schema adds is refused until somebody has
said what becomes of it, in the words that the refusal asks for.
"""

import re
from pathlib import Path

import pytest

from support import schemas
from support.harness import wait_until
from support.modelfile import column_rules
from support.oracles import table_digests

pytestmark = pytest.mark.sanitize_every(4)

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
        # Where nothing of a request is personal, as in Pagila, there is nothing to do.
        assert (job["counters"]["treated"], bool(keys)) == (len(keys), any(t.request for t in before))
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
        # All that is known of those who are due; with it some of others', who share it or stand below them.
        whole, held = archived(job), {t.contact for t in before if t.contact}
        missing = {t.contact for t in before if t not in whole}
        assert job["candidates"] == CONTACTS // 2 <= len(held - missing) < CONTACTS
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


def test_what_was_deleted_comes_back(make, schema):
    """Row by row as it was, with every link: from the archive alone."""
    d = make(schema)
    before = table_digests(d.pg, d.db, "public")
    job = run(d, "delete_contacts")
    assert table_digests(d.pg, d.db, "public") != before
    d.ctl("archive", "restore", job["id"], "--disable-triggers")
    assert table_digests(d.pg, d.db, "public") == before


@pytest.mark.parametrize("action", ACTIONS[1:])
def test_what_grants_prints_is_enough(make, pg, schema, action):
    d = make(schema)
    role = pg.plain_role(d.db, "retention_models")
    pg.psql(d.db, "-c", d.ctl("grants", role).stdout)
    d.configure(user=role)
    run(d, action)


# --- What one schema has and others do not ----------------------------------------------------


def test_odoo_an_address_of_two_stays_listed(make):
    """7 is due and shares an address with 8, who is not; 3 has one of their own."""
    d = make("odoo")
    listed = "SELECT email FROM mail_blacklist WHERE email IN ('family7@mail.example', 'canary-c3-email@mail.example')"
    assert len(d.pg.sql(d.db, listed)) == 2
    run(d, "delete_contacts")
    assert d.pg.sql(d.db, listed) == [("family7@mail.example",)]


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_odoo_a_title_loses_the_name_and_keeps_the_rest(make, action):
    d = make("odoo")
    run(d, action)
    # 9 has no e-mail: an empty value is looked for nowhere.  8 is not due; the older of its leads is.
    titles = dict(d.pg.sql(d.db, "SELECT partner_id, name FROM crm_lead WHERE partner_id IN (1, 8, 9) AND id % 10 = 1"))
    assert titles[1] == "Pump for *** (***)" and titles[9] == "Pump for *** ()"
    assert ("canary-c8-name" in titles[8]) == (action == "anonymize_contacts")
    assert d.pg.value(d.db, "SELECT lead_properties FROM crm_lead WHERE id = 31") == {"4f0c2b1d9a3e5768": "gold"}


def test_odoo_who_stood_below_stays_and_loses_the_link(make):
    d = make("odoo")
    links = "SELECT parent_id, commercial_partner_id FROM res_partner WHERE id = %s"
    assert d.pg.sql(d.db, links, (6,)) == [(5, 5)]
    run(d, "delete_contacts")
    assert d.pg.sql(d.db, links, (6,)) == [(None, None)]
    assert d.pg.sql(d.db, links, (4,)) == [(100002, 100002)]
    assert d.pg.value(d.db, "SELECT parent_id FROM mail_message WHERE id = 3000001") is None


def test_pagila_an_address_goes_with_its_last_user(make):
    """1 lives where 2 does, who is not due; 3 where 5 does, both due; 7 in a shop, 9 with the staff."""
    d = make("pagila")
    there = "SELECT address_id FROM address WHERE address_id IN (1, 3, 102, 105, 107, 109) ORDER BY 1"
    run(d, "delete_contacts")
    assert d.pg.sql(d.db, there) == [(1,), (3,), (102,)]


def test_chatwoots_hard_cases(make):
    """A file that two share, thumbnails, first pages, a guest in another's conversation, figures that outlive it."""
    d = make("chatwoot")
    count = "SELECT count(*) FROM "
    events = d.pg.value(d.db, count + "reporting_events")
    answers = "captain_assistant_responses WHERE documentable_type = "
    documents = d.pg.value(d.db, count + answers + "'Captain::Document'")
    run(d, "delete_contacts")
    blobs = "active_storage_blobs WHERE id "
    assert d.pg.value(d.db, count + blobs + "= 2000000") == 1, "contact 2 has it, too"
    assert d.pg.value(d.db, count + blobs + "IN (2000001, 2000002)") == 0, "its last users went, in one pass"
    for orphans in ("active_storage_blobs b WHERE NOT EXISTS (SELECT FROM active_storage_attachments a WHERE a.blob_id = b.id)",
                    "active_storage_attachments a WHERE record_type = 'ActiveStorage::Blob' AND NOT EXISTS "
                    "(SELECT FROM active_storage_blobs b WHERE b.id = a.record_id)",
                    "active_storage_variant_records v WHERE NOT EXISTS (SELECT FROM active_storage_attachments a "
                    "WHERE a.record_type = 'ActiveStorage::VariantRecord' AND a.record_id = v.id)",
                    "messages m WHERE NOT EXISTS (SELECT FROM conversations c WHERE c.id = m.conversation_id)",
                    "attachments a WHERE NOT EXISTS (SELECT FROM messages m WHERE m.id = a.message_id)"):
        assert d.pg.value(d.db, count + orphans) == 0, orphans
    assert d.pg.value(d.db, count + "messages WHERE sender_type = 'Contact' AND sender_id % 2 = 1") == 0
    assert d.pg.value(d.db, count + "reporting_events") == events
    assert d.pg.value(d.db, count + answers + "'Captain::Document'") == documents, "of the company's papers, of the same numbers"
    assert d.pg.value(d.db, count + answers + "'Conversation' AND documentable_id / 10 % 2 = 1") == 0
    assert d.pg.value(d.db, count + "reporting_events WHERE conversation_id IS NULL") == CONTACTS // 2
    assert d.pg.value(d.db, count + "taggings WHERE tag_id = 2") == CONTACTS // 2 and d.pg.value(d.db, count + "tags") == 2
    assert d.pg.value(d.db, count + "notifications WHERE primary_actor_type = 'Message'") > 0, "as sample of what is not mapped"


@pytest.mark.unsanitized("killed under sanitizers in batch/test_crash.py")
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
@pytest.mark.parametrize("nth", [9, 37])
def test_killed_on_the_way(make, schema, action, nth):
    """Two workers, small batches, shared rows: killed anywhere and begun again, all is as if nothing had been."""
    d = make(schema)
    before, texts = schemas.dumped(d.pg, d.db), schemas.redacted(d.pg, d.db, schema)
    d.configure(policies=[{"name": "p", "action": action, "depth": schemas.DEPTH, "schedule": "monthly"}],
                limits={"workers": 2, "batch_rows": 10})
    for n in (nth, nth // 2, nth + 5):
        d.once(check=False, failpoint=f"any:{n}")
        wait_until(lambda: not d.pg.value(d.db, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                                "AND application_name LIKE 'retention-j%%'"), what="its sessions end")
    d.once()
    job = d.jobs()[0]
    assert (job["status"], job["counters"]["treated"], job["counters"]["failed"]) == ("done", CONTACTS // 2, 0)
    after = schemas.dumped(d.pg, d.db)
    wanted = schemas.left_over(before, action, schemas.treated(d.pg, d.db, job["id"]), texts)
    assert after == wanted, schemas.difference(after, wanted)


# --- What `model draft` makes of them ---------------------------------------------------------


def chatwoot_parts(blob, name):
    """Thumbnails are a part of their file, with a link and a file of their own."""
    return f"""
  variant{name}: {{ table = "active_storage_variant_records"; key = "id"; of = "{blob}"; by = "blob_id"; anonymize = "keep"; }};
  thumb{name}: {{ table = "active_storage_attachments"; key = "id"; of = "variant{name}"; by = "record_id";
    where = "record_type = 'ActiveStorage::VariantRecord'"; anonymize = "keep"; }};
  {chatwoot_blob(f"thumb{name}")}
"""


def chatwoot_page(blob, name):
    """So is the picture of a PDF's first page, which has thumbnails besides."""
    return f"""
  page{name}: {{ table = "active_storage_attachments"; key = "id"; of = "{blob}"; by = "record_id";
    where = "record_type = 'ActiveStorage::Blob'"; anonymize = "keep"; }};
  {chatwoot_blob(f"page{name}")}
""" + chatwoot_parts(f"page{name}_blob", f"_page{name}")


def chatwoot_blob(link):
    return f"""{link}_blob: {{ table = "active_storage_blobs"; key = "id"; of = "{link}"; by = "id"; from = "blob_id"; shared = true;
    set: {{ key = "gone_{{key}}"; }}; clear = [ "filename", "metadata" ];
    keep = [ "id", "content_type", "byte_size", "checksum", "created_at", "service_name" ]; }};"""


CHATWOOT_PARTS = "".join(chatwoot_parts(blob, i) + chatwoot_page(blob, i) for i, blob in enumerate(
    ["active_storage_blobs", "active_storage_blobs_by_blob", "active_storage_blobs_by_blob_2", "active_storage_blobs_by_blob_3"]))

# contact, request, further arguments; what a person answers, as (line, instead of it); how many marks there are.
DRAFTS = {
    "chatwoot": (("contacts", "conversations", "--date", "last_activity_at"),
                 [('    due_when = "false";\n', '    due_when = "status = 1";\n'),
                  ("\n};\n", "\n" + CHATWOOT_PARTS + "};\n")], 30),
    "pagila": (("customer", "rental", "--date", "rental_date"),
               [('    due_when = "false";\n', '    due_when = "return_date IS NOT NULL";\n')], 6),
}


def let_go(text):
    """Shared rows go with the last row that uses them: the rules that the draft proposes in comments are taken."""
    tables = re.split(r"(?m)(?<=^  \};\n)", text)
    for i, table in enumerate(tables):
        if "\n    shared = true;" in table:
            table = table.replace('    delete = "keep";\n', "").replace('    anonymize = "keep";\n', "")
            tables[i] = re.sub(r"(?m)^    # ((?:clear|keep|set)\b|  |\]|\))", r"    \1", table)
    return "".join(tables)


@pytest.mark.unsanitized("watched in discover/test_draft.py and above")
@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize("action", ACTIONS)
def test_a_draft_with_its_marks_answered(pg, make, name, action):
    """Loads as it is, and leaves nothing of those who are due once somebody has answered what it asks."""
    (contact, request, *args), answers, marks = DRAFTS[name]
    d = make(name)
    text = d.ctl("-d", pg.conninfo(d.db), "model", "draft", "--contact", contact, "--request", request, "--samples", *args).stdout
    asked = [line for line in text.splitlines()[4:] if "TODO" in line]
    assert len(asked) == marks, asked
    for line, instead in answers:
        assert line in text, (line, text)
        text = text.replace(line, instead)
    d.configure(model=let_go(text).replace("TODO", "asked"))
    check_canary(d, name, action)
