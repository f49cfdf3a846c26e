"""
Rows that stay when their contact is deleted, without their link, and without what names the person: every value of
every row is compared with the plain rule, and with what it was after a restore.
"""

import json

import pytest

from support.french import FRENCH
from support.restores import restore
from support.small import SCHEMA, archived, contacts, failures, model, policy

NOTICE = """;
    CREATE TABLE notice (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, title varchar(12),
        body text NOT NULL, data jsonb, old json, tags text[] NOT NULL DEFAULT '{}', picture bytea, "Größe" numeric,
        said text, kind text, at timestamptz);
    CREATE INDEX ON notice (contact_id);
    INSERT INTO notice SELECT n, CASE WHEN n % 5 < 4 THEN n % 5 END, 'title ' || n, 'body ' || n,
        CASE WHEN n % 3 > 0 THEN jsonb_build_object('who', 'person ' || n, 'what', n) END,
        CASE WHEN n % 2 > 0 THEN '{"a": 1,  "who": "x", "a": 2}'::json END,
        ARRAY['a', NULL, 'b"c'], CASE WHEN n % 4 > 0 THEN '\\x00ff'::bytea END, n + 0.50,
        'said by name' || n % 5 || ' again', CASE WHEN n % 7 > 0 THEN 'k' END, timestamptz '2020-01-01 00:00Z' + n * interval '1 day'
        FROM generate_series(1, 40) AS n"""
CLEARS = {"set": ({"column": "title", "value": "T_{key}"}, {"column": "Größe", "value": "0.5"}),
          "clear": ["body", "picture", "tags"], "json": {"data": ["who"]}, "json_keep": {"old": ["a"]}, "redact": ["said"],
          "keep": ["kind", "at"]}
NOTICES = {"table": "notice", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach", "on_delete": CLEARS}
NAMED = {"identity": ["name"], "clear": ["name"], "keep": ["brand", "created"]}
# What the rules say, in words of the test's own.
BY_RULE = """SELECT id, CASE WHEN gone THEN NULL ELSE contact_id END, CASE WHEN gone THEN 'T_' || id ELSE title END,
    CASE WHEN gone THEN '' ELSE body END, CASE WHEN gone AND data ? 'who' THEN jsonb_build_object('what', data->'what') ELSE data END::text,
    CASE WHEN gone AND old IS NOT NULL THEN '{"a": 2}' ELSE old::text END, CASE WHEN gone THEN '{}' ELSE tags END::text,
    CASE WHEN gone THEN NULL ELSE picture END::text, CASE WHEN gone THEN 0.5 ELSE "Größe" END::text,
    CASE WHEN gone THEN replace(said, 'name' || contact_id, '***') ELSE said END, kind, at::text
    FROM (SELECT *, coalesce(contact_id = ANY (%s), false) AS gone FROM notice) AS n ORDER BY id"""
AS_IT_IS = """SELECT id, contact_id, title, body, data::text, old::text, tags::text, picture::text, "Größe"::text, said, kind, at::text
    FROM notice ORDER BY id"""


def rows(d, sql, *params):
    return d.pg.sql(d.db, sql, *params)


def state(d, table="notice"):
    return rows(d, f"SELECT t::text FROM {table} AS t ORDER BY 1")


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
@pytest.mark.parametrize("archive", ["full", "none"])
def test_row_by_row(make, archive, batch_rows, integrity):
    d = make(SCHEMA + contacts([1, 2], [3]) + ";INSERT INTO contact (id, name) VALUES (0, 'name0'); UPDATE contact SET name = 'name' || id" + NOTICE, model(NAMED, notice=NOTICES),
             policy(archive=archive), limits={"workers": 1, "max_share": 1.0, "batch_rows": batch_rows, "integrity": integrity})
    before, expected = state(d), rows(d, BY_RULE, ([1, 2],))
    d.once()
    assert failures(d) == []
    assert rows(d, AS_IT_IS) == expected
    if archive == "none":
        return
    assert d.jobs()[-1]["counters"]["rows"]["notice.detached"] == 16
    assert {row[0]: row[1:-1] for row in archived(d, "notice.detached")}["1"] == (
        "1", "title 1", "1.50", "body 1", "\\x00ff", '{a,NULL,"b\\"c"}', '{"who": "person 1", "what": 1}', '{"a": 1,  "who": "x", "a": 2}',
        "said by name1 again")
    said = restore(d, 1).stdout
    assert "notice.detached: 16 linked again" in said and "note:" not in said
    assert state(d) == before


DOWN = """; CREATE TABLE event (id uuid PRIMARY KEY, request_id bigint REFERENCES request, author text, CHECK (author <> 'x'));
    CREATE INDEX ON event (request_id);
    INSERT INTO event SELECT gen_random_uuid(), r.id, 'who' FROM request AS r, generate_series(1, 3)"""


def test_below_a_request(make):
    """A row is found through rows that go themselves; its key is a uuid."""
    d = make(SCHEMA + contacts([1, 2], [3]) + DOWN,
             model(event={"table": "event", "key": "id", "of": "request", "by": "request_id", "delete": "detach",
                          "on_delete": {"set": {"author": "A_{key}"}}}), policy(archive="full"))
    before = state(d, "event")
    d.once()
    assert rows(d, "SELECT count(*) FILTER (WHERE author = 'A_' || id AND request_id IS NULL), count(*) FILTER (WHERE author = 'who') "
                   "FROM event") == [(6, 3)]
    restore(d, 1)
    assert state(d, "event") == before


def test_keys_of_several_columns_and_names_to_quote(make):
    d = make("""CREATE TABLE "Contact" (tenant int, "Id" text, name text, PRIMARY KEY (tenant, "Id"));
        CREATE TABLE request (id bigint PRIMARY KEY, tenant int, who text, at timestamptz, FOREIGN KEY (tenant, who) REFERENCES "Contact");
        CREATE INDEX ON request (tenant, who);
        CREATE TABLE "No;te" (tenant int NOT NULL, nr int, who text, "a ""name"" x" text, PRIMARY KEY (tenant, nr),
            FOREIGN KEY (tenant, who) REFERENCES "Contact") PARTITION BY LIST (tenant);
        CREATE TABLE one PARTITION OF "No;te" FOR VALUES IN (1); CREATE TABLE two PARTITION OF "No;te" DEFAULT;
        CREATE INDEX ON "No;te" (tenant, who);
        INSERT INTO "Contact" VALUES (1, 'a'), (2, 'a'), (2, 'b;"c');
        INSERT INTO request SELECT row_number() OVER (), tenant, "Id", CASE WHEN "Id" = 'a' AND tenant = 1 THEN now() ELSE '2015-01-01' END
            FROM "Contact";
        INSERT INTO "No;te" SELECT tenant, n, "Id", 'x;' || n FROM "Contact", LATERAL generate_series(ascii("Id"), ascii("Id") + 1) AS n
            ON CONFLICT DO NOTHING""",
             model({"table": "Contact", "key": ["tenant", "Id"]}, {"by": ["tenant", "who"]},
                   note={"table": "No;te", "key": ["tenant", "nr"], "of": "contact", "by": ["tenant", "who"], "delete": "detach",
                         "on_delete": {"set": ({"column": 'a "name" x', "value": "{key}"},)}}), policy(archive="full"))
    before = state(d, '"No;te"')
    d.once()
    assert failures(d) == []
    assert rows(d, 'SELECT * FROM "No;te" ORDER BY 1, 2') == [
        (1, 97, "a", "x;97"), (1, 98, "a", "x;98"), (2, 97, None, "(2,97)"), (2, 98, None, "(2,98)"), (2, 99, None, "(2,99)")]
    restore(d, 1)
    assert state(d, '"No;te"') == before


MAIL = """; CREATE TABLE mail (id bigint PRIMARY KEY, sender bigint REFERENCES contact, receiver bigint REFERENCES contact,
        subject text, body text, footer text);
    CREATE INDEX ON mail (sender); CREATE INDEX ON mail (receiver);
    INSERT INTO mail SELECT n, nullif(n % 4, 0), nullif(n / 4 % 4, 0), 's' || n, 'b' || n, 'f' || n FROM generate_series(1, 32) AS n"""
MAILS = {"sent": {"table": "mail", "key": "id", "of": "contact", "by": "sender", "delete": "detach",
                  "on_delete": {"clear": ["subject", "body"], "keep": ["receiver", "footer"]}},
         "got": {"table": "mail", "key": "id", "of": "contact", "by": "receiver", "delete": "detach",
                 "on_delete": {"clear": ["body", "footer"], "keep": ["sender", "subject"]}}}


@pytest.mark.parametrize("batch_rows", [1, 5000])
def test_a_row_with_two_links(make, batch_rows):
    """Each rule clears its own, and a restore fills both, though one archive has what the other rule left."""
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL, model(**MAILS), policy(archive="full"),
             limits={"workers": 1, "max_share": 1.0, "batch_rows": batch_rows})
    before = state(d, "mail")
    d.once()
    assert rows(d, "SELECT count(*) FROM mail WHERE id % 4 IN (1, 2) AND num_nonnulls(sender, subject, body) > 0 "
                   "OR id / 4 % 4 IN (1, 2) AND num_nonnulls(receiver, body, footer) > 0 OR id % 4 NOT IN (1, 2) AND subject IS NULL "
                   "OR id / 4 % 4 NOT IN (1, 2) AND footer IS NULL") == [(0,)]
    restore(d, 1)
    assert state(d, "mail") == before


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_passes_restored_in_any_order(make, order):
    d = make(SCHEMA + contacts([1], [2, 3]) + MAIL, model(**MAILS), policy(archive="full"))
    before = state(d, "mail")
    d.once()
    rows(d, "UPDATE request SET at = '2015-01-01' WHERE contact_id = 2")
    d.configure(policies=[policy(name="again", archive="full")])
    d.once()
    for job in order:
        assert "note:" not in restore(d, job).stdout
    assert state(d, "mail") == before


def test_a_row_that_is_detached_and_then_deleted(make):
    """It is in the archive twice, and comes back as it was before both."""
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL,
             model(got={"table": "mail", "key": "id", "of": "contact", "by": "receiver"}, sent=MAILS["sent"]), policy(archive="full"))
    before = state(d, "mail")
    d.once()
    assert failures(d) == []
    restore(d, 1)
    assert state(d, "mail") == before


def test_what_was_written_since_stays(make):
    """A column that the application has written to keeps it, the others are filled; and somebody is told."""
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL, model(sent=MAILS["sent"], got={**MAILS["got"], "on_delete": None}), policy(archive="full"))
    before = dict(rows(d, "SELECT id, t FROM (SELECT id, (sender, receiver, subject, body, footer)::text AS t FROM mail) AS t"))
    d.once()
    rows(d, "UPDATE mail SET body = 'new' WHERE id = 1; UPDATE mail SET footer = 'other' WHERE id = 2; DELETE FROM mail WHERE id = 5")
    said = restore(d, 1).stdout
    assert "1 rows of public.mail were written to after they were cleared: these columns keep what they hold now" in said
    after = dict(rows(d, "SELECT id, t FROM (SELECT id, (sender, receiver, subject, body, footer)::text AS t FROM mail) AS t"))
    assert {k: v for k, v in before.items() if after.get(k) != v} == {1: "(1,,s1,b1,f1)", 2: "(2,,s2,b2,f2)", 5: "(1,1,s5,b5,f5)"}
    assert (after[1], after[2]) == ("(1,,s1,new,f1)", "(2,,s2,b2,other)")


def test_rules_that_are_others_by_now(make):
    """The archive says what was cleared, whatever the model says today."""
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL, model(**MAILS), policy(archive="full"))
    before = state(d, "mail")
    d.once()
    d.configure(model=model(**{k: {**v, "on_delete": None} for k, v in MAILS.items()}), policies=[policy(archive="full")])
    restore(d, 1)
    assert state(d, "mail") == before


@pytest.mark.parametrize("when, body", [
    ("BEFORE UPDATE", "NEW.subject := OLD.subject; RETURN NEW;"),
    ("AFTER UPDATE", "IF pg_trigger_depth() = 1 THEN UPDATE mail SET subject = OLD.subject WHERE id = OLD.id; END IF; RETURN NULL;"),
    ("BEFORE UPDATE", "RETURN NULL;")])
@pytest.mark.parametrize("archive", ["full", "none"])
def test_a_trigger_that_puts_data_back(make, archive, when, body):
    d = make(SCHEMA + contacts([1], [2, 3]) + MAIL + f"""; CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE TRIGGER meddle {when} ON mail FOR EACH ROW EXECUTE FUNCTION meddle()""",
             model(sent=MAILS["sent"], got={**MAILS["got"], "delete": "delete", "on_delete": None}), policy(archive=archive))
    before = state(d, "mail")
    assert d.once(check=False).returncode == 1
    assert failures(d) == [("1", 'table "sent": a trigger of public.mail put back what the detachment cleared')]
    assert state(d, "mail") == before


@pytest.mark.parametrize("point", ["batch-mid-erase", "batch-after-erase", "batch-after-sync", "batch-before-commit", "batch-after-commit"])
def test_killed(make, point):
    """Each row is cleared and archived once, or neither."""
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL, model(**MAILS), policy(archive="full"),
             limits={"workers": 1, "max_share": 1.0, "batch_rows": 1})
    before = state(d, "mail")
    d.once(check=False, failpoint=f"{point}:2")
    assert d.jobs()[-1]["status"] != "done"
    d.once()
    assert failures(d) == []
    ids = [row[0] for row in archived(d, "sent.detached")]
    assert sorted(ids, key=int) == [str(n) for n in range(1, 33) if n % 4 in (1, 2)]
    restore(d, d.jobs()[-1]["id"])
    assert state(d, "mail") == before


SENT = {**MAILS["sent"], "of": "contact"}


@pytest.mark.parametrize("change, told", [
    ({"on_delete": {"clear": ["subject", "body"], "keep": ["receiver"]}},
     'column "footer" (text) of public.mail is under no rule of on_delete: it may hold personal data'),
    ({"on_delete": {"clear": ["subject", "body", "nothing"], "keep": ["receiver", "footer"]}}, 'clear: public.mail has no column "nothing"'),
    ({"delete": "keep"}, "on_delete is for rows that stay without their link"),
    ({"delete": None}, "on_delete is for rows that stay without their link"),
    ({"key": None}, "key is missing: on_delete needs it"),
    ({"on_delete": {"set": {"subject": "{number}"}}}, 'set subject = "{number}": a detached row gets no number: use {key}'),
    ({"on_delete": {"keep": ["subject", "body", "footer", "receiver"]}}, "on_delete clears nothing: leave it out"),
    ({"on_delete": {"clear": ["sender"]}}, 'column "sender" is its by and cannot be under clear'),
    ({"on_delete": {"clears": ["subject"]}}, 'unknown key "clears"'),
    ({"on_delete": "clear"}, "on_delete must be a group"),
    ({"on_delete": {"redact": ["subject"], "keep": ["receiver", "body", "footer"]}}, "redact needs the identity columns"),
])
def test_a_model_that_is_refused(make, change, told):
    d = make(SCHEMA + contacts([1], [2, 3]) + MAIL, model(sent={**SENT, **change}), policy(), migrate="public.mail" in told)
    said = d.check_config()
    assert said.returncode == 1 and told in said.stderr, said.stderr
    assert ":4" in said.stderr


@pytest.mark.parametrize("ddl, rules, told", [
    ("ADD no int NOT NULL DEFAULT 1", {"clear": ["no"]}, 'column "no" is NOT NULL and integer has no empty value'),
    ("ADD code text NOT NULL DEFAULT '', ADD u int, ADD UNIQUE (code)", {"clear": ["code"], "keep": ["u"]},
     'column "code" is unique: the same value in every row would collide'),
    ("ADD g text GENERATED ALWAYS AS (subject || 'x') STORED", {"clear": ["g"]}, 'column "g" is generated by the database'),
    ("ADD n int", {"set": {"n": "many"}}, "the server refuses it"),
    ("ADD doc text", {"json": {"doc": ["a"]}}, "it drops keys of json and jsonb columns only"),
    ("ADD retention_written text", {"clear": ["retention_written"]}, "has the name that an archive of detached rows needs"),
])
def test_rules_that_cannot_be_applied(make, ddl, rules, told):
    rules = {**rules, "keep": ["receiver", "subject", "body", "footer", *rules.get("keep", [])]}
    d = make(SCHEMA + contacts([1], [2, 3]) + MAIL.replace("FROM generate_series(1, 32)", "FROM generate_series(1, 1)") + f"; ALTER TABLE mail {ddl}",
             model(sent={**SENT, "on_delete": rules}, got={**MAILS["got"], "delete": "delete", "on_delete": None}), policy())
    said = d.check_config()
    assert said.returncode == 1 and told in said.stderr, said.stderr


def test_what_an_anonymization_keeps_is_no_secret(make):
    """on_delete names only what the table's own rules erase."""
    sent = {**SENT, "clear": ["subject", "body"], "keep": ["receiver", "footer"], "on_delete": {"clear": ["subject", "body"]}}
    got = {**MAILS["got"], "on_delete": None, "anonymize": "keep"}
    d = make(SCHEMA + contacts([1], [2, 3]) + MAIL, model(sent=sent, got=got), policy())
    said = d.check_config("-v")
    assert said.returncode == 0, said.stderr
    printed = said.stdout + said.stderr
    assert "on_delete: {" in printed
    d.once()
    assert rows(d, "SELECT count(*) FROM mail WHERE id % 4 = 1 AND num_nonnulls(sender, subject, body) > 0") == [(0,)]


FILES = """; CREATE TABLE upload (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, path text, size int);
    CREATE INDEX ON upload (contact_id); INSERT INTO upload VALUES (1, 1, 'a', 1), (2, 1, 'shared', 2), (3, 2, 'shared', 3), (4, 2, NULL, 4)"""


@pytest.mark.parametrize("archive", ["full", "none"])
@pytest.mark.parametrize("column, left", [("path", ["shared"]), ("size", ["a", "shared"])])
def test_a_file_that_is_named(make, tmp_path, archive, column, left):
    """It goes where the rules clear its name, unless another row names it, too."""
    root = tmp_path / "files"
    root.mkdir()
    for name in ("a", "shared"):
        (root / name).write_text("x")
    d = make(SCHEMA + contacts([1], [2]) + FILES,
             model(upload={"table": "upload", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach",
                           "file": {"column": "path", "root": str(root)},
                           "on_delete": {"clear": [column], "keep": [c for c in ("path", "size") if c != column]}}),
             policy(archive=archive))
    d.once()
    assert failures(d) == []
    assert sorted(p.name for p in root.iterdir()) == left
    assert rows(d, f"SELECT id FROM upload WHERE contact_id IS NULL AND {column} IS NULL ORDER BY 1") == [(1,), (2,)]


def test_a_large_object_is_not_archived(make):
    d = make(SCHEMA + contacts([1], [2]) + """; CREATE EXTENSION lo; CREATE TABLE scan (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, lo lo UNIQUE);
        CREATE INDEX ON scan (contact_id);
        CREATE TRIGGER unlink BEFORE UPDATE OR DELETE ON scan FOR EACH ROW EXECUTE FUNCTION lo_manage(lo)""",
             model(scan={"table": "scan", "key": "id", "of": "contact", "by": "contact_id", "delete": "detach", "on_delete": {"clear": ["lo"]}}),
             policy(archive="full"))
    said = d.check_config()
    assert said.returncode == 1 and "an archive has the numbers of the large objects" in said.stderr, said.stderr
    d.configure(policies=[policy()])
    assert d.check_config().returncode == 0


def test_the_shard_is_not_cleared(make):
    d = make("CREATE TABLE contact (id bigint PRIMARY KEY, account int NOT NULL, UNIQUE (id, account)); CREATE TABLE request (id bigint PRIMARY KEY,"
             "account int NOT NULL, contact_id bigint, at timestamptz, FOREIGN KEY (contact_id, account) REFERENCES contact (id, account));"
             "CREATE TABLE note (id bigint PRIMARY KEY, account int NOT NULL, contact_id bigint, FOREIGN KEY (contact_id, account) REFERENCES contact (id, account));"
             "CREATE INDEX ON request (contact_id, account); CREATE INDEX ON note (contact_id, account)",
             model({"shard": "account"}, {"shard": "account"},
                   note={"table": "note", "key": "id", "of": "contact", "by": "contact_id", "shard": "account", "delete": "detach",
                         "on_delete": {"set": {"account": "0"}}}), policy())
    assert 'table "note": shard "account" is under set' in d.check_config().stderr


def test_preview_grants_and_check(make):
    d = make(SCHEMA + contacts([1, 2], [3]) + MAIL, model(**MAILS), policy(archive="full"))
    found = json.loads(d.ctl("preview", "p", "--json").stdout)
    assert {t["table"]: (t["what"], t["rows"]) for t in found["tables"] if t["table"] in MAILS} == {
        "sent": ("detached, cleared", 16), "got": ("detached, cleared", 16)}
    assert 'GRANT UPDATE ("subject", "body", "sender") ON "public"."mail"' in d.ctl("grants").stdout
    assert "detached, cleared" in d.ctl("model", "check").stdout
    assert "détachées, vidées" in d.ctl("model", "check", env=FRENCH).stdout


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("archive", ["full", "listed"])
def test_a_contact_that_goes_in_slices(make, archive, integrity):
    """Texts below its requests lose its name as long as there is somebody who bears it; each is archived once."""
    d = make(SCHEMA + contacts([1, 2], [3]) + """; UPDATE contact SET name = 'name' || id;
        INSERT INTO request (id, contact_id, at) SELECT 100 + n, 1, '2015-01-01' FROM generate_series(1, 400) AS n;
        CREATE TABLE event (id bigint PRIMARY KEY, request_id bigint REFERENCES request, said text, code text); CREATE INDEX ON event (request_id);
        INSERT INTO event SELECT row_number() OVER (), r.id, 'of name1 and name3', 'c' FROM request AS r, generate_series(1, 2)""",
             model(NAMED, {"archive": True}, event={"table": "event", "key": "id", "of": "request", "by": "request_id", "archive": True, "delete": "detach",
                                 "on_delete": {"redact": ["said"], "set": {"code": "{key}"}}}),
             policy(archive=archive), limits={"workers": 1, "max_share": 1.0, "batch_rows": 100, "integrity": integrity})
    before = state(d, "event")
    d.once()
    assert failures(d) == []
    assert rows(d, "SELECT said, code = id::text, count(*) FROM event GROUP BY 1, 2 ORDER BY 1") == [
        ("of *** and name3", True, 802), ("of name1 and name3", False, 2), ("of name1 and name3", True, 2)]
    assert sorted(int(row[0]) for row in archived(d, "event.detached")) == sorted(
        int(i) for (i,) in rows(d, "SELECT id FROM event WHERE request_id IS NULL"))
    if archive == "full":
        restore(d, 1)
        assert state(d, "event") == before
