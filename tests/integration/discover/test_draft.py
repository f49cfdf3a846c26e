"""model draft and model check: what is found in a catalog, and a drafted model that erases what it should."""

import json
import re

import pytest

from support.drafts import ACTIONS, MARK, answered, check, draft, drafted, marks, read, run, written
from support.french import FRENCH
from support.oracles import (after_anonymize_contacts, after_anonymize_requests, after_delete, due_contacts,
                             due_requests, reporting_numbers, tokens_in)
from support.small import SCHEMA, model

@pytest.fixture
def make(empty_db, pg, daemon):
    """make(schema, extra arguments of draft): the database, the draft's text, the draft read."""
    return lambda schema, *args, **kwargs: drafted(pg, empty_db(), schema, *args, **kwargs)


def loads(daemon, db, text, *policies):
    """Loads once its questions are answered."""
    d = daemon(db=db, model=answered(text), policies=list(policies))
    done = d.check_config()
    assert done.returncode == 0, done.stderr + text
    return d


# The reference CRM.


@pytest.mark.parametrize("args, open_marks", [((), 12), (("--samples",), 10)])
def test_the_crms_draft_loads_as_it_is(crm_db, daemon, pg, args, open_marks):
    db = crm_db(40)
    text = draft(pg, db, *args, contact="crm.contact", request="crm.request")
    assert len(marks(text)) == open_marks
    assert not tokens_in(text.encode())
    loads(daemon, db, text, *ACTIONS)
    tables = read(text)
    assert {t["table"] for t in tables.values()} == {
        f"crm.{name}" for name in ("contact", "request", "message", "message_copy", "attachment", "files",
                                   "contact_social", "contact_document", "request_transfer", "status_change")}
    assert {n for n, t in tables.items() if t.get("anonymize") == "delete"} == {
        "attachment", "contact_document", "contact_files", "request_files"}
    assert tables["contact"]["created"] == "created_at" and tables["request"]["date"] == "closed_at"
    assert tables["contact"]["set"] == {"login": "gone_{key}"}
    assert re.search(r"#\s+crm\.agent: the company's own people.*request\.agent_id", text)


def resolved(text):
    """What a person makes of the marks: reporting stays, of the custom fields only what is not personal."""
    tables = read(text)
    for table in tables.values():
        for column in ("reporting_ref", "tags", "reason"):
            if column in table.get("clear", ()):
                table["clear"].remove(column)
                table["keep"].append(column)
    tables["contact"]["clear"].remove("custom")
    tables["contact"]["json"] = {"custom": libkeys("loyalty_card", "household")}
    tables["request"]["clear"].remove("custom")
    tables["request"]["json"] = {"custom": libkeys("order_number")}
    tables["request"]["due_when"] = "status = 'closed'"
    return written(tables)


def libkeys(*keys):
    return list(keys)


@pytest.mark.parametrize("policy", ACTIONS, ids=lambda p: p["action"])
def test_nothing_is_left_once_the_marks_are_answered(crm_db, daemon, pg, policy):
    db = crm_db(60)
    text = draft(pg, db, "--samples", "--date", "created_at", contact="crm.contact", request="crm.request")
    d = loads(daemon, db, resolved(text), policy)
    before, contacts, requests = tokens_in(pg.dump(db)), due_contacts(pg, db), due_requests(pg, db)
    assert contacts and requests
    d.once()
    assert [(r["status"], r["error"]) for r in d.jobs()] == [("done", None)]
    reporting = reporting_numbers(pg, db)
    want = {"delete_contacts": after_delete(before, contacts),
            "anonymize_contacts": after_anonymize_contacts(before, contacts, reporting),
            "anonymize_requests": after_anonymize_requests(before, requests, reporting)}[policy["action"]]
    assert tokens_in(pg.dump(db)) == want


def test_as_it_stands_it_errs_on_erasing(crm_db, daemon, pg):
    """With no mark answered (but for which requests are over) not even reporting is left."""
    db = crm_db(60)
    text = draft(pg, db, "--samples", "--date", "created_at", contact="crm.contact", request="crm.request")
    text = text.replace('    due_when = "false";\n    # due_when', "    due_when")
    contacts = due_contacts(pg, db)
    loads(daemon, db, text, ACTIONS[1]).once()
    assert not {t for t in tokens_in(pg.dump(db)) if t.contact in contacts}


# Links.


def test_second_names(make, daemon, pg):
    """A self reference, a link back, and a second link to whom the row does not belong alone."""
    db, text, tables = make(SCHEMA + """;
        ALTER TABLE contact ADD merged_into bigint REFERENCES contact;
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request,
            contact_id bigint REFERENCES contact, parent_id bigint REFERENCES message, body text, kind text);
        ALTER TABLE request ADD first_message_id bigint REFERENCES message;
        CREATE TABLE note (id bigint PRIMARY KEY, request_id bigint REFERENCES request,
            contact_id bigint REFERENCES contact, body text);
        CREATE TABLE note_file (id bigint PRIMARY KEY, note_id bigint NOT NULL REFERENCES note, content bytea);
        """)
    by = {(t["table"], t["of"], t["by"]): t for n, t in tables.items() if n != "contact"}
    merged = by["public.contact", "contact", "merged_into"]
    assert (merged["delete"], merged["anonymize"]) == ("detach", "keep")
    assert by["public.message", "request", "request_id"].get("delete") is None
    second = by["public.message", "contact", "contact_id"]
    assert second["delete"] == "detach" and second["clear"] == ["body"]
    reply = by["public.message", "message", "parent_id"]
    assert (reply["delete"], reply["anonymize"]) == ("detach", "keep")
    back = by["public.request", "message", "first_message_id"]
    assert (back["delete"], back["anonymize"]) == ("detach", "keep")
    # a note is of the one or of the other, and its files go with it either way
    notes = {n for n, t in tables.items() if t["table"] == "public.note"}
    assert {tables[n]["of"] for n in notes} == {"contact", "request"}
    assert all("delete" not in tables[n] for n in notes)
    assert {t["of"] for t in tables.values() if t["table"] == "public.note_file"} == notes
    # a request and its messages point at each other: the comment says what the daemon asks for
    statement = re.search(r"# (ALTER TABLE .* DEFERRABLE;)", text).group(1)
    done = daemon(db=db, model=text, policies=ACTIONS).check_config()
    assert done.returncode and "DEFERRABLE" in done.stderr
    pg.psql(db, "-c", statement)
    assert statement not in draft(pg, db)
    d = loads(daemon, db, text, ACTIONS[0])
    pg.psql(db, "-c", """
        INSERT INTO contact (id, name, merged_into) VALUES (1, 'a', NULL), (2, 'b', 1);
        INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01'), (2, 2, now());
        INSERT INTO message (id, request_id, contact_id, parent_id) VALUES (1, 1, 1, NULL), (2, 2, 1, 1);
        UPDATE request SET first_message_id = id;
        INSERT INTO note (id, contact_id, request_id) VALUES (1, 1, NULL), (2, NULL, 1), (3, 2, NULL);
        INSERT INTO note_file SELECT id, id FROM note""")
    d.once()
    assert [r["status"] for r in d.jobs()] == ["done"]
    assert pg.sql(db, "SELECT id, merged_into FROM contact") == [(2, None)]
    assert pg.sql(db, "SELECT id, contact_id, parent_id FROM message") == [(2, None, None)]
    assert pg.sql(db, "SELECT id FROM note") == pg.sql(db, "SELECT id FROM note_file") == [(3,)]


def test_a_second_link_is_anonymized_too(make, daemon, pg):
    """What a contact wrote in the request of another is cleared with the contact."""
    db, text, _ = make(SCHEMA + """;
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request,
            contact_id bigint REFERENCES contact, body text, kind text);
        INSERT INTO contact (id, name) VALUES (1, 'a'), (2, 'b');
        INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01'), (2, 2, now());
        INSERT INTO message VALUES (1, 1, 1, 'x'), (2, 2, 1, 'y'), (3, 2, 2, 'z')""")
    d = loads(daemon, db, text, ACTIONS[1])
    d.once()
    assert [r["status"] for r in d.jobs()] == ["done"]
    assert pg.sql(db, "SELECT id, body FROM message ORDER BY 1") == [(1, None), (2, None), (3, "z")]


def test_links_by_name(make, daemon):
    """Where nobody has made foreign keys."""
    db, text, tables = make("""
        CREATE TABLE contacts (id bigint PRIMARY KEY, name text);
        CREATE TABLE tickets (id bigint PRIMARY KEY, contact_id bigint, created_at timestamptz);
        CREATE TABLE messages (id bigint PRIMARY KEY, "ticketId" bigint, body text, contact_type_id bigint);
        CREATE TABLE others (id bigint PRIMARY KEY, other_id bigint, body text)""",
                            contact="contacts", request="public.tickets")
    assert tables["request"]["by"] == "contact_id" and tables["request"]["date"] == "created_at"
    assert tables["messages"]["of"] == "request" and tables["messages"]["by"] == "ticketId"
    assert set(tables) == {"contact", "request", "messages"}
    assert "no foreign key says so" in text
    loads(daemon, db, text, *ACTIONS)


POLYMORPHIC = SCHEMA + """;
    CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request, body text);
    CREATE TABLE picture (id bigint PRIMARY KEY, owner_type text, owner_id bigint, content bytea,
        device_model text);
    INSERT INTO picture SELECT i, (ARRAY['Crm::Contact', 'Message', 'User'])[1 + i % 3], i, '', 'Ana Secret'
      FROM generate_series(1, 300) i;
    CREATE INDEX ON picture (owner_id);
    CREATE INDEX ON message (request_id);
    ANALYZE"""


def test_a_type_and_an_id(make, daemon):
    db, text, tables = make(POLYMORPHIC, "--samples")
    found = {t["of"]: t["where"] for t in tables.values() if t["table"] == "public.picture"}
    assert found["contact"] == "owner_type = 'Crm::Contact'"
    assert found["message"] == "owner_type = 'Message'"
    assert found["request"] == "owner_type = 'Request'"  # a guess, since nothing of it is there yet
    assert [line.split(";")[0].split("=", 1)[1].strip() for line in marks(text) if "where" in line] == [
        "\"owner_type = 'Request'\""]
    assert "Secret" not in text and "User" not in text
    loads(daemon, db, text, *ACTIONS)


NUMBERED = """
    CREATE TABLE django_content_type (id int PRIMARY KEY, app_label varchar(100) NOT NULL, model varchar(100) NOT NULL, UNIQUE (app_label, model));
    CREATE TABLE desk_contact (id int PRIMARY KEY, name text, created timestamptz);
    CREATE TABLE desk_ticket (id int PRIMARY KEY, contact_id int NOT NULL REFERENCES desk_contact, at timestamptz, subject text);
    CREATE TABLE "desk_followUp" (id int PRIMARY KEY, ticket_id int NOT NULL REFERENCES desk_ticket, body text);
    CREATE TABLE shop_contact (id int PRIMARY KEY, name text);
    CREATE TABLE comment (id int PRIMARY KEY, content_type_id int NOT NULL REFERENCES django_content_type, object_id int NOT NULL, body text);
    CREATE TABLE deed (id int PRIMARY KEY, actor_content_type_id int NOT NULL REFERENCES django_content_type, actor_object_id int, words text);
    INSERT INTO django_content_type VALUES (3, 'shop', 'contact'), (7, 'desk', 'contact'), (8, 'desk', 'ticket'), (9, 'desk', 'followup'),
        (10, 'auth', 'user')"""


@pytest.mark.parametrize("rows", ["", "; INSERT INTO comment SELECT i, 8, i, 'Ana Secret' FROM generate_series(1, 50) i; ANALYZE"])
def test_a_number_for_a_type(make, daemon, rows):
    """The table of types tells which number is whose, also where no row has it yet; of another application's contact it is not."""
    db, text, tables = make(NUMBERED + rows, "--samples", contact="desk_contact", request="desk_ticket")
    found = {(t["table"], t["of"]): (t["by"], t["where"]) for t in tables.values() if "where" in t}
    assert found == {
        ("public.comment", "contact"): ("object_id", "content_type_id = 7"), ("public.comment", "request"): ("object_id", "content_type_id = 8"),
        ("public.comment", "desk_followUp"): ("object_id", "content_type_id = 9"),
        ("public.deed", "contact"): ("actor_object_id", "actor_content_type_id = 7"),
        ("public.deed", "request"): ("actor_object_id", "actor_content_type_id = 8"),
        ("public.deed", "desk_followUp"): ("actor_object_id", "actor_content_type_id = 9")}
    assert "# desk_contact" in text and "Secret" not in text and not [line for line in marks(text) if "where" in line]
    loads(daemon, db, text, *ACTIONS)


@pytest.mark.parametrize("types, where", [
    ("(7, 'desk', 'contact')", ["content_type_id = 7"]), ("(3, 'shop', 'contact'), (7, 'desk', 'contact')", []),
    ("(3, 'shop', 'contacts_of'), (7, 'desk', 'Contact')", ["content_type_id = 7"])])
def test_a_number_of_two_applications(make, types, where):
    """A table whose name lacks the application is found by the model alone, where no other application has a model of that name."""
    _, _, tables = make(SCHEMA + f""";
        CREATE TABLE django_content_type (id int PRIMARY KEY, app_label text, model text);
        CREATE TABLE comment (id int PRIMARY KEY, content_type_id int REFERENCES django_content_type, object_id bigint, body text);
        INSERT INTO django_content_type VALUES {types}""", "--samples")
    assert [t["where"] for t in tables.values() if "where" in t] == where


def test_a_number_for_a_type_needs_samples(make):
    _, text, tables = make(NUMBERED, contact="desk_contact", request="desk_ticket")
    assert {t["table"] for t in tables.values()} == {"public.desk_contact", "public.desk_ticket", "public.desk_followUp"}
    assert "comment" in text and "where" not in str(tables)


def test_types_that_may_not_be_read(make, pg):
    """The draft is made without them."""
    db, _, _ = make(NUMBERED, contact="desk_contact", request="desk_ticket")
    pg.sql(db, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'typeless') THEN CREATE ROLE typeless LOGIN; END IF; END $$")
    done = run(pg, db, "--contact", "desk_contact", "--request", "desk_ticket", "--samples", user="typeless")
    assert done.returncode == 0 and "content_type_id =" not in done.stdout, done.stderr


def test_without_samples_the_type_is_a_guess(make, daemon):
    db, text, tables = make(POLYMORPHIC)
    found = {t["of"]: t["where"] for t in tables.values() if t["table"] == "public.picture"}
    assert found == {"contact": "owner_type = 'Contact'", "request": "owner_type = 'Request'"}
    assert len([line for line in marks(text) if "where" in line]) == 2
    loads(daemon, db, text, *ACTIONS)


def test_no_guess_at_what_is_the_companys(make):
    _, _, tables = make(SCHEMA + "; CREATE TABLE inboxes (id bigint PRIMARY KEY, channel_type text, channel_id bigint, name text)")
    assert set(tables) == {"contact", "request"}


def test_an_enum_says_its_types(make, daemon):
    """An enum's labels are in the catalog: no guess is needed, and a wrong one would not even parse."""
    db, text, tables = make(SCHEMA + """;
        CREATE TYPE owner AS ENUM ('contact', 'invoice');
        CREATE TABLE picture (id bigint PRIMARY KEY, owner_type owner, owner_id bigint, content bytea)""")
    assert [(t["of"], t["where"]) for t in tables.values() if t["table"] == "public.picture"] == [
        ("contact", "owner_type = 'contact'")]
    loads(daemon, db, text, *ACTIONS)


def test_a_model_and_a_number(make, daemon):
    db, text, tables = make("""
        CREATE TABLE res_partner (id int PRIMARY KEY, name text, create_date timestamp);
        CREATE TABLE help_ticket (id int PRIMARY KEY, partner_id int REFERENCES res_partner, create_date timestamp);
        CREATE TABLE mail_message (id int PRIMARY KEY, model text, res_id int, body text);
        CREATE TABLE ir_attachment (id int PRIMARY KEY, res_model text, res_id int, datas bytea)""",
                            contact="res_partner", request="help_ticket")
    assert tables["contact"]["created"] == "create_date"
    assert {(t["table"], t["where"]) for t in tables.values() if "where" in t} == {
        ("public.mail_message", "model = 'res.partner'"), ("public.mail_message", "model = 'help.ticket'"),
        ("public.ir_attachment", "res_model = 'res.partner'"), ("public.ir_attachment", "res_model = 'help.ticket'")}
    loads(daemon, db, text, *ACTIONS)


REVERSE = """;
    CREATE TABLE address (id bigint PRIMARY KEY, street text, city text);
    CREATE TABLE country (id bigint PRIMARY KEY, name text);
    CREATE TABLE users (id bigint PRIMARY KEY, email text);
    ALTER TABLE contact ADD address_id bigint UNIQUE REFERENCES address, ADD country_id bigint REFERENCES country;
    ALTER TABLE request ADD user_id bigint REFERENCES users"""


def test_what_is_pointed_at(make, daemon):
    """An address goes with who lives there; a country and a colleague do not."""
    db, text, tables = make(SCHEMA + REVERSE)
    assert set(tables) == {"contact", "request", "address"}
    address = tables["address"]
    assert (address["of"], address["by"], address["from"]) == ("contact", "id", "address_id")
    assert "shared" not in address and address["clear"] == ["street", "city"]
    assert re.search(r"#\s+public\.country: a list .*contact\.country_id", text)
    assert re.search(r"#\s+public\.users: the company's own people.*request\.user_id", text)
    loads(daemon, db, text, *ACTIONS)


COMPANY = SCHEMA + """;
    CREATE TABLE company (id bigint PRIMARY KEY, name text, phone text, site_id bigint);
    CREATE TABLE site (id bigint PRIMARY KEY, street text, city text);
    ALTER TABLE company ADD UNIQUE (site_id), ADD FOREIGN KEY (site_id) REFERENCES site;
    ALTER TABLE contact ADD company_id bigint REFERENCES company; CREATE INDEX ON contact (company_id);
    INSERT INTO site VALUES (1, 's', 'c'); INSERT INTO company VALUES (1, 'ACME', '555', 1);
    INSERT INTO contact (id, name, company_id) VALUES (1, 'a', 1), (2, 'b', 1);
    INSERT INTO request (id, contact_id, at, subject) VALUES (1, 1, '2001-01-01', 's'), (2, 2, '2001-01-01', 's')"""
COMPANY_IS_THERE = "SELECT c.name, c.phone, s.street, s.city FROM company c JOIN site s ON s.id = c.site_id"


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a["action"])
def test_a_company_stays_unless_a_person_says_otherwise(make, daemon, pg, action):
    """With its last contact too, and what hangs off it; the draft asks about both."""
    db, text, tables = make(COMPANY)
    assert {name for name, t in tables.items() if t.get("shared")} == {"company", "site"}
    assert len([line for line in marks(text) if "a person's own" in line]) == 2
    d = loads(daemon, db, text, action)
    d.configure(limits={"max_share": 1.0})
    d.once()
    assert [(r["status"], r["counters"]["treated"]) for r in d.jobs()] == [("done", 2)]
    assert pg.sql(db, COMPANY_IS_THERE) == [("ACME", "555", "s", "c")]


@pytest.mark.parametrize("action, left", [(ACTIONS[0], []), (ACTIONS[1], [(None, None, "s", "c")])], ids=["delete", "anonymize"])
def test_a_company_that_a_person_lets_go(make, daemon, pg, action, left):
    """The answer is what the draft proposes in comments."""
    db, text, _ = make(COMPANY)
    before, after = text.split("  company: {", 1)
    company, after = after.split("\n  };", 1)
    company = company.replace('    delete = "keep";\n', "").replace('    anonymize = "keep";\n', "")
    company = re.sub(r"(?m)^    # ((clear|keep|set) |  |\])", r"    \1", company)
    d = loads(daemon, db, f"{before}  company: {{{company}\n  }};{after}", action)
    d.configure(limits={"max_share": 1.0})
    d.once()
    assert [(r["status"], r["counters"]["treated"]) for r in d.jobs()] == [("done", 2)]
    assert pg.sql(db, COMPANY_IS_THERE) == left


def test_no_request_is_closed_before_a_person_says_which(make, daemon, pg):
    db, text, tables = make(SCHEMA + """;
        INSERT INTO contact VALUES (1); INSERT INTO request (id, contact_id, at, status) VALUES (1, 1, '2001-01-01', 'open')""")
    assert tables["request"]["due_when"] == "false"
    assert len([line for line in marks(text) if "which requests are closed" in line]) == 1
    assert '    # due_when = "true";' in text  # nothing tells a label
    for action in ACTIONS:
        d = daemon(db=db, model=text.replace(MARK, "#"), policies=[action], limits={"max_share": 1.0})
        d.once()
        assert d.jobs()[-1]["candidates"] == 0


def test_nothing_is_erased_before_the_questions_are_answered(make, daemon, pg):
    """Refused by -t, by model check and by the job, which say how many there are and where; an export goes on."""
    db, text, _ = make(SCHEMA + """;
        INSERT INTO contact VALUES (1, 'a'); INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01')""")
    text = text.replace('due_when = "false"', 'due_when = "true"')
    lines = [n for n, line in enumerate(text.splitlines(), 1) if MARK in line and n > 4]
    export = {**ACTIONS[0], "name": "copy", "action": "export"}

    def said(d):
        places = ", ".join(map(str, lines))
        return (f"model: {len(lines)} questions are marked {MARK[2:]}, and until they are answered nothing is erased: decide,"
                f" then remove the mark ({d.dir}/model.conf:{places})")

    for action in ACTIONS:
        d = daemon(db=db, model=text, policies=[export, action], limits={"max_share": 1.0})
        done = d.check_config()
        assert done.returncode == 1 and f"model.conf:{lines[0]}: {said(d)}\n" in done.stderr
        assert any(said(d) in line for line in check(d, status=1)["refused"])
        assert d.once(check=False).returncode and said(d) in d.log.read_text()
        assert d.jobs() == []
    d.configure(policies=[export])
    done = d.check_config()
    assert done.returncode == 0 and said(d) in done.stderr
    assert check(d)["refused"] == []
    pg.sql(db, "SELECT retention.save_action('delete_contacts', '2000-12-20', '2001-01-10')")
    d.once(check=False)
    by_action = {r["action"]: r for r in d.jobs()}
    assert (by_action["export"]["status"], by_action["export"]["counters"]["treated"]) == ("done", 1)
    assert by_action["delete_contacts"]["status"] == "saved" and said(d) in by_action["delete_contacts"]["error"]
    assert pg.sql(db, "SELECT id FROM contact") == [(1,)]
    d.configure(policies=[ACTIONS[0]], model=text.replace(MARK, "#"))
    d.once()
    assert pg.sql(db, "SELECT id FROM contact") == []


def test_what_several_point_at_is_shared(make):
    _, _, tables = make(SCHEMA + REVERSE + """;
        ALTER TABLE contact ADD work_address_id bigint REFERENCES address;
        CREATE TABLE shop (id bigint PRIMARY KEY, address_id bigint REFERENCES address)""")
    found = {t["from"]: t for t in tables.values() if t["table"] == "public.address"}
    assert set(found) == {"address_id", "work_address_id"}
    assert all(t["shared"] is True and t["delete"] == t["anonymize"] == "keep" for t in found.values())
    assert "public.shop" not in {t["table"] for t in tables.values()}


def test_files_of_a_deleted_row_go_with_it(make, daemon):
    """A parent that goes takes what it points at along; one that stays cannot."""
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE blob (id bigint PRIMARY KEY, filename text, content bytea);
        CREATE TABLE upload (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact,
            blob_id bigint UNIQUE REFERENCES blob, file_name text);
        CREATE TABLE scan (id bigint PRIMARY KEY, content bytea);
        CREATE TABLE letter (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact,
            scan_id bigint UNIQUE REFERENCES scan, pages int)""")
    assert (tables["upload"]["anonymize"], tables["blob"]["anonymize"]) == ("delete", "delete")
    assert "anonymize" not in tables["letter"] and tables["scan"]["clear"] == ["content"]
    loads(daemon, db, text, *ACTIONS)


def test_a_join_table_has_no_key(make, daemon):
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE tag (id bigint PRIMARY KEY, name text);
        CREATE TABLE contact_tag (contact_id bigint REFERENCES contact, tag_id bigint REFERENCES tag,
            PRIMARY KEY (contact_id, tag_id))""")
    assert "key" not in tables["contact_tag"] and "tag" not in tables
    assert tables["contact_tag"]["keep"] == ["contact_id", "tag_id"]
    loads(daemon, db, text, *ACTIONS)


def test_keys_of_several_columns(make, daemon):
    """Followed by the column that identifies, or by all: a tenant alone would take everybody along."""
    db, text, tables = make(SCHEMA + """;
        ALTER TABLE contact ADD tenant int, ADD UNIQUE (tenant, id), ADD UNIQUE (tenant, brand);
        CREATE TABLE visit (id bigint PRIMARY KEY, tenant int, visitor bigint, at timestamptz,
            FOREIGN KEY (tenant, visitor) REFERENCES contact (tenant, id));
        CREATE TABLE offer (id bigint PRIMARY KEY, tenant int, brand text,
            FOREIGN KEY (tenant, brand) REFERENCES contact (tenant, brand))""")
    assert (tables["visit"]["by"], tables["visit"].get("from")) == ("visitor", None)
    assert (tables["offer"]["by"], tables["offer"]["from"]) == (["tenant", "brand"], ["tenant", "brand"])
    loads(daemon, db, text, *ACTIONS)


def test_keys_of_a_date_are_not_followed(make, daemon):
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE message (id bigint, request_id bigint REFERENCES request, at date, body text, PRIMARY KEY (id, at));
        CREATE TABLE file (id bigint PRIMARY KEY, message_id bigint, message_at date, content bytea,
            FOREIGN KEY (message_id, message_at) REFERENCES message)""")
    assert "key" not in tables["message"] and "file" not in tables
    assert re.search("# Not followed: foreign key .* of public.file.*message_at is date", text)
    done = daemon(db=db, model=answered(text), policies=ACTIONS[:1]).check_config()
    assert done.returncode and "file" in done.stderr


def test_keys_that_act_by_themselves(make, daemon, pg):
    db, text, _ = make(SCHEMA + """;
        CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request ON DELETE CASCADE,
            contact_id bigint REFERENCES contact ON DELETE SET NULL, body text, kind text);
        CREATE TABLE file (id bigint PRIMARY KEY, message_id bigint NOT NULL REFERENCES message ON DELETE CASCADE,
            content bytea)""")
    d = loads(daemon, db, text, *ACTIONS[:1])
    pg.psql(db, "-c", """
        INSERT INTO contact VALUES (1, 'a'), (2, 'b');
        INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01'), (2, 2, now());
        INSERT INTO message VALUES (1, 1, 1, 'x'), (2, 2, 1, 'y');
        INSERT INTO file VALUES (1, 1, 'x'), (2, 2, 'y')""")
    d.once()
    assert [r["status"] for r in d.jobs()] == ["done"]
    assert pg.sql(db, "SELECT id, contact_id FROM message") == [(2, None)]
    assert pg.sql(db, "SELECT id FROM contact") == [(2,)] and pg.sql(db, "SELECT id FROM file") == [(2,)]


def test_partitions(make, daemon):
    db, text, tables = make(SCHEMA + """;
        CREATE TABLE message (id bigint NOT NULL, request_id bigint NOT NULL REFERENCES request, body text,
            at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE message_1 PARTITION OF message DEFAULT;
        CREATE INDEX ON message (request_id)""")
    assert "key" not in tables["message"] and "message_1" not in tables
    assert "It has no key of one column" in text
    loads(daemon, db, text, *ACTIONS)


# Columns.


def test_columns_by_type_and_name(make, daemon, pg):
    db, text, tables = make(SCHEMA + """;
        CREATE TYPE mood AS ENUM ('good', 'bad');
        CREATE DOMAIN short AS varchar(20);
        CREATE TABLE person (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact,
            "First Name" text NOT NULL, email short NOT NULL UNIQUE, phone text UNIQUE, birth_date date NOT NULL,
            ip inet NOT NULL, phone_number bigint NOT NULL, status_name text, feeling mood, visits int,
            email_verified boolean, extra jsonb, raw bytea, "we""ird\\" text, gadget text NOT NULL,
            full_text tsvector, upper_name text GENERATED ALWAYS AS (upper("First Name")) STORED,
            always bigint GENERATED ALWAYS AS IDENTITY, seen_at timestamptz, uid uuid,
            nick text NOT NULL CHECK (nick <> ''));
        COMMENT ON TABLE person IS E'who\\nmodel: {';
        COMMENT ON COLUMN person.gadget IS 'what they carry'""")
    person = tables["person"]
    assert person["set"] == {"email": "gone_{key}", "birth_date": "1900-01-01", "ip": "0.0.0.0", "phone_number": "0"}
    weird = 'we"ird\\\\'
    assert person["clear"] == ["First Name", "phone", "raw", "full_text", "nick", "extra", weird, "gadget"]
    assert set(person["keep"]) == {"id", "contact_id", "status_name", "feeling", "visits", "email_verified",
                                   "upper_name", "always", "seen_at", "uid"}
    assert len([line for line in marks(text) if "personal" in line]) == 3 + 1  # and contact.brand
    assert re.search(MARK + r".*\(what they carry\)", text) and "# public.person: who model: {" in text
    assert re.search(r'"nick".*CHECK may refuse', text)
    pg.psql(db, "-c", "ALTER TABLE person DROP CONSTRAINT person_nick_check")
    d = loads(daemon, db, text, ACTIONS[1])
    pg.psql(db, "-c", """
        INSERT INTO contact VALUES (1, 'a');
        INSERT INTO request (id, contact_id, at) VALUES (1, 1, '2001-01-01');
        INSERT INTO person (id, contact_id, "First Name", email, birth_date, ip, phone_number, gadget, nick)
            VALUES (1, 1, 'Ana', 'a@b.c', '1990-01-01', '10.0.0.1', 5551, 'x', 'y'),
                   (2, 1, 'Bob', 'b@b.c', '1990-01-01', '10.0.0.1', 5551, 'x', 'y')""")
    d.once()
    assert [r["status"] for r in d.jobs()] == ["done"]
    assert pg.sql(db, 'SELECT "First Name", email, birth_date::text, host(ip), phone_number, gadget, nick FROM person') == [
        ("", f"gone_{n}", "1900-01-01", "0.0.0.0", 0, "", "") for n in (1, 2)]


def test_what_cannot_be_is_said(make, daemon):
    """A unique inet that must be there, a missing index, inheritance: the daemon refuses what a comment names."""
    db, text, _ = make(SCHEMA + """;
        CREATE TABLE device (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, ip inet NOT NULL UNIQUE);
        CREATE TABLE visit (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, pages int);
        INSERT INTO visit SELECT i FROM generate_series(1, 12000) i;
        ANALYZE visit""")
    assert re.search(r'"ip".*the daemon refuses a constant', text)
    index = 'CREATE INDEX CONCURRENTLY ON "public"."visit" ("contact_id");'
    assert index in text
    done = daemon(db=db, model=text, policies=ACTIONS).check_config()
    lines = [line for line in done.stderr.splitlines() if "table \"" in line]
    assert done.returncode and len(lines) == 2, done.stderr
    assert any('"ip" is unique' in line for line in lines) and any("has no index behind" in line for line in lines)


def test_an_index_on_a_partitioned_table(make, daemon, pg):
    """The server refuses CONCURRENTLY there, so the draft, -t and model check print what runs, and what it costs."""
    db, text, _ = make(SCHEMA + """;
        CREATE TABLE visit (id bigint, contact_id bigint REFERENCES contact, at date, pages int) PARTITION BY RANGE (at);
        CREATE TABLE visit_p PARTITION OF visit DEFAULT;
        INSERT INTO visit SELECT i FROM generate_series(1, 12000) i;
        ANALYZE visit_p""")
    index = 'CREATE INDEX ON "public"."visit" ("contact_id");'
    assert f"#   {index}  (it locks out writes while it runs" in text
    d = daemon(db=db, model=answered(text), policies=ACTIONS)
    assert f"{index} (it locks out writes while it runs" in d.check_config(check=False).stderr
    assert [hint for hint in check(d, 1)["hints"] if f"{index} (it locks out writes while it runs" in hint]
    pg.sql(db, index)
    assert d.check_config().returncode == 0


def test_names_of_schemas_and_tables(make, daemon):
    db, text, tables = make("""
        CREATE SCHEMA "my.crm"; CREATE SCHEMA "Ü";
        CREATE TABLE "my.crm"."The Contacts" (id uuid PRIMARY KEY, name text);
        CREATE TABLE "Ü"."Case" ("Id" bigint PRIMARY KEY, who uuid REFERENCES "my.crm"."The Contacts", "At" timestamptz);
        CREATE TABLE "Ü".request (id bigint PRIMARY KEY, "case" bigint REFERENCES "Ü"."Case", body text)""",
                            contact="The Contacts", request="Ü.Case")
    assert tables["contact"]["table"] == ["my.crm", "The Contacts"] and tables["request"]["date"] == "At"
    assert sorted(tables) == ["contact", "request", "request_by_case"]
    loads(daemon, db, text, *ACTIONS)


@pytest.mark.parametrize("schema, args, words", [
    ("", ("--contact", "nobody", "--request", "request"), 'no table "nobody"'),
    ("CREATE SCHEMA b; CREATE TABLE b.contact (id int)", ("--contact", "contact", "--request", "request"),
     '2 tables have the name "contact"'),
    ("CREATE TABLE loose (name text)", ("--contact", "loose", "--request", "request"), "public.loose has no key"),
    ("CREATE TABLE parted (id bigint, contact_id bigint REFERENCES contact, at date, PRIMARY KEY (id, at))"
     " PARTITION BY RANGE (at)", ("--contact", "contact", "--request", "parted"), "public.parted has no key"),
    ("CREATE TABLE other (id int PRIMARY KEY, at date)", ("--contact", "contact", "--request", "other"),
     "no column of other references contact"),
    ("CREATE TABLE other (id int PRIMARY KEY, contact_id bigint)", ("--contact", "contact", "--request", "other"),
     "--date"),
    ("", ("--contact", "contact", "--request", "request", "--date", "when"), 'no column "when"'),
])
def test_refused(empty_db, pg, schema, args, words):
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + ";" + schema)
    done = run(pg, db, *args)
    assert (done.returncode, done.stdout) == (1, "") and words in done.stderr


def test_wrong_use(empty_db, pg):
    done = run(pg, empty_db(), "--contact", "contact")
    assert done.returncode == 2 and "--request" in done.stderr


def test_a_large_schema(make, daemon):
    """Hundreds of tables that all hang together: every one is named once, and it takes no time to speak of."""
    n = 300
    db, text, tables = make(SCHEMA + ";" + "".join(
        f"CREATE TABLE t{i} (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, "
        f"previous_id bigint REFERENCES {'request' if i < 2 else f't{i - 1}'}, owner_type text, owner_id bigint, "
        f"{', '.join(f'value_{c} text' for c in range(10))});" for i in range(1, n)), "--samples")
    assert {f"public.t{i}" for i in range(1, n)} < {t["table"] for t in tables.values()}
    assert MARK + ": more tables can be reached" in text  # a name for each way to each table would not fit
    assert len(text) < 2 ** 20


# model check.


def test_the_shipped_model(daemon):
    d = daemon(contacts=40)
    found = check(d)
    assert found["refused"] == []
    assert {t["name"] for t in found["tables"] if t["table"] == "crm.files"} == {"avatar", "request_file"}
    row = next(t for t in found["tables"] if t["name"] == "status_change")
    assert (row["delete_contacts"], row["anonymize_contacts"], row["anonymize_requests"]) == ("deleted", "kept", "kept")
    assert {t["table"]: t["remark"] for t in found["tables"] if not t["name"]} == {
        name: "the company's own people, by its name" for name in ("crm.agent", "crm.team")}
    text = d.ctl("model", "check").stdout
    assert "refused by the daemon: 0; to look at: 0" in text


SMALL = SCHEMA + """;
    CREATE TABLE note (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, body text);
    CREATE TABLE file (id bigint PRIMARY KEY, record_type text, record_id bigint, content bytea)"""
NOTE = {"table": "note", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "keep"}
RULES = {"keep": ["id", "name", "brand", "created"]}
REQUEST_RULES = {"keep": ["id", "contact_id", "at", "status", "subject"]}


def test_what_a_person_should_look_at(empty_db, daemon, pg):
    db = empty_db()
    pg.psql(db, "-c", SMALL)
    found = check(daemon(db=db, model=model(contact=RULES, request=REQUEST_RULES, note=NOTE)))
    assert found["refused"] == []
    hints = "\n".join(found["hints"])
    assert 'table "contact": column "name" is kept' in hints
    assert 'table "request": column "subject" is kept' in hints
    assert 'table "note": column "body" is kept' in hints
    assert "that have no index, and need none yet: 1" in hints
    assert "table public.file: not mapped, and its record_id" in hints
    assert '"status"' not in hints and '"contact_id" is kept' not in hints
    assert len(found["hints"]) == 5
    remark = next(t["remark"] for t in found["tables"] if t["table"] == "public.file")
    assert "not mapped, and its record_id references" in remark


def test_tables_with_texts_that_nothing_reaches(empty_db, daemon, pg):
    """One line names them: a document can hold anything.  Numbers, and schemas that are not the model's, are left out."""
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + """; CREATE SCHEMA other; CREATE TABLE other.texts (t text); CREATE TABLE numbers (n int, at date);
        CREATE TABLE "Web hook" (id bigint PRIMARY KEY, payload jsonb); CREATE TABLE setting (id int, "list" text[]);
        CREATE TABLE parted (id int, t varchar(9)) PARTITION BY RANGE (id);
        CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100);
        CREATE TABLE country (code char(2) PRIMARY KEY)""")
    d = daemon(db=db, model=model(contact=RULES, request=REQUEST_RULES))
    assert [h for h in check(d)["hints"] if "text" in h] == [
        "not mapped, and hold text: public.Web hook, public.country, public.parted, public.setting"]
    assert "absentes du modèle, et contiennent du texte : public.Web hook" in d.ctl(
        "model", "check", env=FRENCH).stdout
    pg.psql(db, "-c", 'DROP TABLE "Web hook", setting, parted, country')
    assert [h for h in check(d)["hints"] if "text" in h] == []


def test_what_stays_below_a_table_that_stays(empty_db, daemon, pg):
    """A deletion ends at a row that is detached: what hangs off it is said to stay; and a link that is an address."""
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + """; ALTER TABLE contact ADD email text UNIQUE;
        CREATE TABLE device (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact);
        CREATE TABLE "Remark" (id bigint PRIMARY KEY, device_id bigint REFERENCES device, "Body" text, n int);
        CREATE TABLE photo (id bigint PRIMARY KEY, remark_id bigint REFERENCES "Remark", n int);
        CREATE TABLE plain (id bigint PRIMARY KEY, device_id bigint REFERENCES device, n int);
        CREATE TABLE payment (id bigint PRIMARY KEY, payer_email text);
        CREATE INDEX ON device (contact_id); CREATE INDEX ON "Remark" (device_id); CREATE INDEX ON photo (remark_id);
        CREATE INDEX ON plain (device_id); CREATE INDEX ON payment (payer_email)""")
    below = {
        "remark": {"table": "Remark", "key": "id", "of": "device", "by": "device_id", "clear": ["n"], "keep": ["Body"]},
        "photo": {"table": "photo", "key": "id", "of": "remark", "by": "remark_id", "anonymize": "delete"},
        "plain": {"table": "plain", "key": "id", "of": "device", "by": "device_id", "anonymize": "keep"}}
    payment = {"table": "payment", "key": "id", "of": "contact", "by": "payer_email", "from": "email", "anonymize": "keep"}
    device = {"table": "device", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "keep"}

    def said(delete, **paid):
        d = daemon(db=db, model=model(contact={**RULES, "clear": ["email"]}, request=REQUEST_RULES,
                                      device={**device, "delete": delete}, **below, payment={**payment, **paid}))
        found = check(d)
        assert found["refused"] == []
        return d, [h for h in found["hints"] if "deletion" in h or "link" in h], {
            t["name"]: t["remark"] for t in found["tables"] if t["remark"] and t["name"]}

    link = ['table "payment": its link "payer_email" looks personal and stays in an anonymization: only match allows a rule for it']
    for delete in ("detach", "keep"):
        if delete == "keep":  # the contact could not be deleted
            pg.psql(db, "-c", "ALTER TABLE device DROP CONSTRAINT device_contact_id_fkey")
        d, hints, remarks = said(delete)
        assert hints == [
            'table "remark": a deletion does not reach it, because "device" above it stays, and leaves as they are: Body, n',
            'table "photo": a deletion does not reach it, because "device" above it stays: only an anonymization deletes its rows', *link]
        assert remarks == dict.fromkeys(("remark", "photo", "plain"), 'not reached by a deletion: "device" stays')
    assert "hors d'atteinte d'une suppression" in d.ctl("model", "check", env=FRENCH).stdout
    assert said("delete")[1:] == (link, {})
    assert said("delete", anonymize="delete")[1:] == ([], {})


def test_what_the_daemon_refuses(empty_db, daemon, pg):
    db = empty_db()
    pg.psql(db, "-c", SMALL)
    d = daemon(db=db, model=model(contact={"clear": ["nme"]}))
    found = check(d, status=1)
    assert any('no column "nme"' in line for line in found["refused"])
    d.configure(model=model())
    found = check(d, status=1)
    assert len(found["refused"]) == 1 and "note" in found["refused"][0]
    assert any("of public.note (contact_id) references \"contact\" from outside" in h for h in found["hints"])
    done = d.ctl("model", "check", check=False)
    assert done.returncode == 1 and "refused: " in done.stdout and "refused by the daemon: 1;" in done.stdout


def test_in_french(empty_db, daemon, pg):
    """What a person reads; a program reads the same words in every language."""
    db = empty_db()
    pg.psql(db, "-c", SMALL)
    d = daemon(db=db, model=model(contact=RULES, request=REQUEST_RULES, note=NOTE))
    french = FRENCH
    assert "refusés par le démon : 0 ; à examiner : 5" in d.ctl("model", "check", env=french).stdout
    assert check(d) == json.loads(d.ctl("model", "check", "--json", env=french).stdout)


def test_every_table_of_the_shipped_draft_is_covered(crm_db, daemon, pg):
    """A draft leaves nothing to look at but its marks: what check finds reachable, draft has mapped."""
    db = crm_db(40)
    text = draft(pg, db, contact="crm.contact", request="crm.request")
    found = check(daemon(db=db, model=text))
    marks = [h for h in found["hints"] if "a TODO of the draft is still there" in h]
    assert (found["refused"], found["hints"]) == ([], marks)
    assert len(marks) == text.count("TODO") - 1, "all but the head's"
