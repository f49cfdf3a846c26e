"""What model draft makes of columns: by type, by name in four languages, by their table; and when a request is closed."""

import re

import pytest

from support import drafts
from support.small import SCHEMA, policy


def drafted(pg, db, *args):
    text = drafts.draft(pg, db, *args)
    return text, drafts.read(text)


def suggested(text):
    return [s.replace('\\"', '"') for s in re.findall(r'# due_when = "(.*)";', text)]


def request(columns, more=""):
    """A contact, and a request with these columns."""
    return (f"CREATE TABLE contact (id bigint PRIMARY KEY, name text); {more};"
            f"CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, at timestamptz, {columns})")


ENUM = "CREATE TYPE phase AS ENUM ('offen', 'Warte auf Kunde', 'erledigt', 'l''an \"clos\"', 'nicht erledigt')"
STATES = ("CREATE TABLE case_state (id int PRIMARY KEY, {columns}); INSERT INTO case_state VALUES {rows}")


@pytest.mark.parametrize("schema, condition, labels", [
    (request("status phase", ENUM), """status IN ('erledigt', 'l''an "clos"')""", "status: offen, Warte auf Kunde, erledigt"),
    (request('"Statut Dossier" text CHECK ("Statut Dossier" IN (\'ouvert\', \'clôturé\'))'), """"Statut Dossier" = 'clôturé'""", "ouvert, clôturé"),
    (request("state_id smallint") + "; COMMENT ON COLUMN request.state_id IS '1 = open, 2 = resolved; 3 pending close'",
     "state_id = 2", "state_id: 1 open, 2 resolved, 3 pending close"),
    (request("is_closed boolean, state smallint"), "is_closed", None),
    (request("closed_at timestamptz, created timestamptz"), "closed_at IS NOT NULL", None),
    (request('"closedAt" bigint, closed_by_id bigint'), '"closedAt" > 0', None),
    (request("status phase", "CREATE TYPE phase AS ENUM ('a', 'b')"), "true", "status: a, b"),
    (request("estate text, at2 text"), "true", None),
    (request("status phase", f"CREATE TYPE phase AS ENUM ('{drafts.MARK[2:]}', 'done')"), "status = 'done'", f"t{drafts.MARK[3:]}, done"),
])
def test_a_state_of_the_catalog(pg, empty_db, daemon, schema, condition, labels):
    db = empty_db()
    pg.psql(db, "-c", schema)
    text, tables = drafted(pg, db)
    assert suggested(text) == [condition]
    assert not labels or labels in text
    assert tables["request"]["due_when"] == "false"
    assert len(drafts.marks(text)) == len(re.findall(f"{drafts.MARK}: ", text))
    # what is proposed can be taken
    text = text.replace('due_when = "false";', "due_when = " + drafts_value(condition) + ";").replace(drafts.MARK, "# asked")
    done = daemon(db=db, model=text, policies=[policy("delete_contacts")]).check_config()
    assert done.returncode == 0, done.stderr


def drafts_value(condition):
    return '"' + condition.replace("\\", "\\\\").replace('"', '\\"') + '"'


@pytest.mark.parametrize("columns, rows, condition", [
    ("name text", "(1, 'new'), (2, 'open'), (7, 'closed'), (9, 'pending close'), (11, 'Merged')", "state_id IN (7, 11)"),
    ("libelle text, is_closed boolean", "(1, 'A', false), (2, 'B', true), (3, NULL, true)", "state_id IN (2, 3)"),
    ("name jsonb", """(1, '{"en_US": "Open"}'), (4, '{"en_US": "Solved"}')""", "state_id = 4"),
    ("name text", "(1, 'x'), (2, NULL)", "true"),
    ("weight int", "(1, 4)", "true"),
])
def test_a_table_of_states_with_samples(pg, empty_db, columns, rows, condition):
    db = empty_db()
    pg.psql(db, "-c", request("state_id int REFERENCES case_state", STATES.format(columns=columns, rows=rows)))
    assert suggested(drafted(pg, db, "--samples")[0]) == [condition]
    assert suggested(drafted(pg, db)[0]) == ["true"]  # no row of a table is read


def test_a_table_of_states_that_may_not_be_read(pg, empty_db):
    db = empty_db()
    pg.psql(db, "-c", request("state_id int REFERENCES case_state", STATES.format(columns="name text", rows="(1, 'closed')"))
            + "; DROP ROLE IF EXISTS drafter; CREATE ROLE drafter LOGIN")
    try:
        conninfo = pg.conninfo(db) + " user=drafter"
        done = drafts.run(ByRole(conninfo), db, "--contact", "contact", "--request", "request", "--samples")
        assert done.returncode == 0, done.stderr
        assert suggested(done.stdout) == ["true"]
    finally:
        pg.psql(db, "-c", "DROP ROLE drafter")


class ByRole:
    """What drafts.run() asks of a server, as another role."""
    def __init__(self, conninfo):
        self.text = conninfo

    def conninfo(self, _):
        return self.text


def test_common_values_of_a_state_with_samples(pg, empty_db):
    """Values of a text column with the name of a state are compared, and only those that are taken are shown."""
    db = empty_db()
    pg.psql(db, "-c", request("status text") + """;
        INSERT INTO contact SELECT i, 'x' FROM generate_series(1, 300) i;
        INSERT INTO request SELECT i, i, now(), (ARRAY['Ana Secret', 'wip', 'done'])[1 + i % 3] FROM generate_series(1, 300) i;
        ANALYZE""")
    text, _ = drafted(pg, db, "--samples")
    assert suggested(text) == ["status = 'done'"]
    assert "Secret" not in text and "wip" not in text


PERSON = """;
    CREATE TYPE geschlecht AS ENUM ('w', 'm', 'd');
    CREATE TYPE ampel AS ENUM ('rot', 'gelb');
    CREATE TABLE person (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact,
        geburtsdatum date, "fechaNacimiento" bigint, birth_year int, "numéro_sécurité_sociale" bigint, kontonummer numeric, dni text,
        sexo geschlecht, phase ampel, ips inet[], position point, besuche int, login_failed int, scan bytea, emails text[], flags bool[],
        zahlen int[], reset_token uuid, account_uuid uuid, device_id uuid, "Straße" text, plz int, urbanism text,
        trip text, decline_reason text, status_reason varchar(20) CHECK (status_reason IN ('a', 'b')), label text,
        is_email boolean, during tstzrange, country_code char(2), status_message text, marital_status text)"""


def test_columns_in_four_languages(pg, empty_db, daemon):
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + PERSON)
    text, tables = drafted(pg, db)
    asked = {column for _, column in drafts.asked(text)}
    person = tables["person"]
    assert set(person["keep"]) == {"id", "contact_id", "phase", "besuche", "login_failed", "flags", "zahlen", "account_uuid", "device_id",
                                   "status_reason", "is_email", "during", "country_code"}
    assert asked & set(person["clear"]) == {"urbanism", "trip", "decline_reason", "label"}
    done = daemon(db=db, model=drafts.answered(text), policies=[policy("anonymize_contacts")]).check_config()
    assert done.returncode == 0, done.stderr


SECRETS = """;
    CREATE TABLE account (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, login text, encrypted_password text,
        "otpSecret" bytea, password_changed_at timestamptz, token_count int, recovery_token uuid, password_status text, public_key text,
        "API-Key" varchar(64), mail text);
    CREATE TABLE visit (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, page text)"""


def test_secrets_stay_out_of_a_copy(pg, empty_db, daemon):
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + SECRETS)
    text, tables = drafted(pg, db)
    assert tables["account"]["export_without"] == ["encrypted_password", "otpSecret", "recovery_token", "API-Key"]
    assert [name for name, t in tables.items() if "export_without" in t] == ["account"]
    done = daemon(db=db, model=drafts.answered(text), policies=[policy("anonymize_contacts")]).check_config()
    assert done.returncode == 0, done.stderr


def test_a_single_column_needs_a_single_line(pg, empty_db):
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + SECRETS)
    text, tables = drafted(pg, db)
    assert re.search(r'^    clear = \[ "page" \];  # ', text, re.M), text
    assert tables["visit"]["clear"] == ["page"]


FIELDS = """;
    CREATE TABLE custom_field (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES contact, name text, value text);
    CREATE TABLE mail (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request, "from" text, "to" text, subject text);
    CREATE TABLE change (id bigint PRIMARY KEY, request_id bigint NOT NULL REFERENCES request, "from" text, "to" text, comment text)"""


def test_columns_read_with_their_table(pg, empty_db):
    """The name of a custom field is kept, and its value is not; from and to are addresses in a mail, and a question elsewhere."""
    db = empty_db()
    pg.psql(db, "-c", SCHEMA + FIELDS)
    text, tables = drafted(pg, db)
    assert "name" in tables["contact"]["clear"]
    assert "name" in tables["custom_field"]["keep"] and tables["custom_field"]["clear"] == ["value"]
    groups = {name: re.search(rf"^  {name}: {{\n(.*?)^  }};", text, re.M | re.S).group(1) for name in ("mail", "change")}
    assert drafts.MARK not in groups["mail"]
    assert len(re.findall(rf'"(?:from|to)".*{drafts.MARK}', groups["change"])) == 2
