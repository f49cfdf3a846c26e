"""What the server logs of our statements, although it logs every one of them with its parameters: no value of a row."""

import os
import re

import pytest

from support.small import failures, model, policy

# The request's link is an address, too, and so is what "mlog" and "optout" are found by.
CRM = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text, email text UNIQUE, phones text[], created timestamptz);
    CREATE TABLE request (id bigint PRIMARY KEY, email text REFERENCES contact (email), at timestamptz, subject text);
    CREATE INDEX ON request (email);
    CREATE TABLE note (id bigint PRIMARY KEY, request_id bigint REFERENCES request, body text); CREATE INDEX ON note (request_id);
    CREATE TABLE mlog (id bigint PRIMARY KEY, addr text, body text); CREATE INDEX ON mlog (addr);
    CREATE TABLE optout (id bigint PRIMARY KEY, addr text); CREATE INDEX ON optout (addr);
    CREATE TABLE card (id bigint PRIMARY KEY, number text UNIQUE, holder text);
    CREATE TABLE wallet (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, card text REFERENCES card (number));
    CREATE INDEX ON wallet (contact_id); CREATE INDEX ON wallet (card);
    INSERT INTO contact SELECT n, 'canary-name-' || n, 'canary-mail-' || n, ARRAY['canary-phone-' || n], '2010-01-01'
        FROM generate_series(1, 12) n;
    INSERT INTO request SELECT n, 'canary-mail-' || n, '2015-01-01', 'canary-subject-' || n FROM generate_series(1, 12) n;
    INSERT INTO note SELECT n, n, 'from canary-name-' || n FROM generate_series(1, 12) n;
    INSERT INTO mlog SELECT n, 'canary-mail-' || n, 'to canary-name-' || n FROM generate_series(1, 12) n;
    INSERT INTO optout SELECT n, 'canary-mail-' || n FROM generate_series(1, 12) n;
    INSERT INTO card SELECT n, 'canary-card-' || n, 'canary-name-' || n FROM generate_series(1, 12) n;
    INSERT INTO wallet SELECT n, n, 'canary-card-' || n FROM generate_series(1, 12) n;
    CREATE FUNCTION cry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF OLD.id = 7 THEN RAISE EXCEPTION 'not this one'; END IF; IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$;
    CREATE TRIGGER cry BEFORE UPDATE OR DELETE ON note FOR EACH ROW EXECUTE FUNCTION cry()"""


def crm_model(link):
    return model(
        {"created": "created", "identity": ["name", "email"], "set": {"name": "L_{key}"}, "clear": ["email", "phones"],
         "keep": ["created"]},
        link | {"clear": ["subject"], "keep": ["at"]},
        note={"table": "note", "key": "id", "of": "request", "by": "request_id", "redact": ["body"]},
        mlog={"table": "mlog", "key": "id", "of": "contact", "match": {"column": "addr", "of": "email"},
              "set": {"addr": "gone-{key}"}, "redact": ["body"]},
        optout={"table": "optout", "key": "id", "of": "contact", "match": {"column": "addr", "of": "email"}, "anonymize": "delete"},
        wallet={"table": "wallet", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"},
        card={"table": "card", "key": "id", "of": "wallet", "by": "number", "from": "card", "shared": True,
              "anonymize": "delete"})


MODEL = crm_model({"by": "email", "from": "email"})
# The request's link over the address cannot be anonymized: there it is the contact's number.
BY_NUMBER = ("ALTER TABLE request ADD contact_id bigint REFERENCES contact; UPDATE request SET contact_id = id; "
             "ALTER TABLE request DROP email; CREATE INDEX ON request (contact_id)")
SETTINGS = ("log_statement = 'all'", "log_min_duration_statement = 0", "log_duration = on", "log_min_messages = log",
            "log_parameter_max_length_on_error = -1", "log_error_verbosity = verbose",
            "session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0", "auto_explain.log_verbose = on",
            "auto_explain.log_analyze = on")
TABLES = "contact, request, note, mlog, optout, card, wallet"


@pytest.fixture
def crm(make):
    def made(text, *policies, change=None):
        d = make(CRM + (f"; {change}" if change else ""), text, *policies)
        # No superuser, who could tell the server to log no parameters.
        role = d.pg.plain_role(d.db, "log_plain", f"GRANT retention_operator, retention_approver TO log_plain;"
                                                  f"GRANT SELECT, INSERT, UPDATE, DELETE ON {TABLES} TO log_plain")
        d.configure(user=role)
        for setting in SETTINGS:
            d.pg.psql(d.db, "-c", "LOAD 'auto_explain'", "-c", f"ALTER DATABASE {d.db} SET {setting}")
        d.since = d.pg.log_position()
        return d

    yield made


def logged(d):
    """The lines of our programs that hold a value, without what the server says of a row by itself."""
    text = d.pg.log_text(d.since)
    lines = [line for line in text.splitlines() if "canary-" in line]
    assert re.search(r"LOG:.* (execute|statement)", text), "nothing was logged"
    return [line[:300] for line in lines]


@pytest.mark.safety
@pytest.mark.rests_on_triggers
@pytest.mark.parametrize("action, archive", [("delete_contacts", "full"), ("delete_contacts", "none"), ("anonymize_contacts", "none")])
def test_a_pass(crm, action, archive):
    by_number = action == "anonymize_contacts"
    d = crm(crm_model({"by": "contact_id"}) if by_number else MODEL, policy(action, archive=archive),
            change=BY_NUMBER if by_number else None)
    d.once(check=False)
    assert [key for key, _ in failures(d)] == ["7"]
    assert d.pg.value(d.db, "SELECT count(*) FROM mlog WHERE addr NOT LIKE 'gone-%'") == 1
    assert d.pg.value(d.db, "SELECT count(*) FROM optout") == 1
    assert d.pg.value(d.db, "SELECT count(*) FROM card") == 1
    assert logged(d) == []
    if archive == "full":
        d.pg.psql(d.db, "-c", "DROP TRIGGER cry ON note")
        d.ctl("archive", "restore", str(d.jobs()[-1]["id"]))
        assert d.pg.value(d.db, "SELECT count(*) FROM card") == 12
        assert logged(d) == []


def test_by_set(crm):
    d = crm(MODEL, change="DROP TRIGGER cry ON note")
    d.pg.psql(d.db, "-c", "GRANT SET ON PARAMETER session_replication_role TO log_plain")
    d.configure(limits={"integrity": "set"})
    d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM contact") == 0
    assert logged(d) == []


def test_what_a_person_asks(crm, tmp_path):
    d = crm(MODEL)
    d.ctl("preview", "p")
    d.ctl("subject", "export", "1", log=os.devnull)
    d.ctl("residue", "2", check=False, log=os.devnull)
    d.ctl("residue", "--sample", "3", "--action", "delete_contacts", check=False)
    values = tmp_path / "values"
    values.write_text('canary-name-3\nwith "quotes" and \\ canary-name-4\n\\.\n', encoding="utf-8")
    found = d.ctl("residue", "3", "--values", str(values), check=False).stdout
    assert "mlog" in found
    assert logged(d) == []


def test_the_server_logs_parameters(crm):
    """Without which the tests above would prove nothing."""
    d = crm(MODEL)
    d.ctl("hold", "add", "3", "--reason", "canary-reason")
    assert any("$2 = 'canary-reason'" in line for line in logged(d))
