"""
What the model language says beside a plain chain of foreign keys: rows that several share, joins without
a key, copies found by their value, texts that name the person, documents of which little is kept.
"""

import json
import re
import threading

import pytest

from support.harness import wait_until
from support.small import BLOBS, BLOB_MODEL, SCHEMA, SHARING, again, archived, contacts, failures, keys, model, policy

LIMITS = {"workers": 1, "max_share": 1.0}
OLD, NEW = "2015-01-01", "2099-01-01"


# --- Shared rows ----------------------------------------------------------------------------------

RULES = {"contact": {"clear": ["name", "brand", "created"]}, "request": {"clear": ["subject"], "keep": ["status", "at"]}}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("batch_rows", [1, 5000])
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts", "anonymize_requests"])
def test_shared_rows(make, action, batch_rows, workers):
    """A blob goes with its last user, and what hangs off it, too: 1, 2 and 4 here, in one batch or in two."""
    d = make(SCHEMA + BLOBS + contacts([1, 2], [3]) + SHARING, model(**RULES, **BLOB_MODEL),
             policy(action, **({"archive": "full"} if action == "delete_contacts" else {})),
             limits={"workers": workers, "batch_rows": batch_rows, "max_share": 1.0})
    expected = json.loads(d.ctl("preview", "p", "--json").stdout)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM blob") == {3, 5, 6}
    assert keys(d.pg, d.db, "SELECT id FROM variant") == {30, 50, 60}
    assert keys(d.pg, d.db, "SELECT id FROM attachment") == {32, 61}
    counted = {t["table"]: t["rows"] for t in expected["tables"]}
    assert (counted["blob"], counted["variant"], counted["attachment"]) == (3, 3, 8)
    if action == "delete_contacts":
        assert sorted(archived(d, "blob")) == [("1", "b1"), ("2", "b2"), ("4", "b4")]
        rows = d.jobs()[-1]["counters"]["rows"]
        assert (rows["blob"], rows["variant"]) == (3, 3)
    assert again(d, action)["counters"]["treated"] == 0


def test_shared_rows_of_keyed_contacts(make):
    """The parent is the contact itself, and stays: an address of two is anonymized with the second."""
    d = make(SCHEMA + """;
        CREATE TABLE address (id bigint PRIMARY KEY, street text NOT NULL, city text);
        ALTER TABLE contact ADD address_id bigint REFERENCES address; CREATE INDEX ON contact (address_id)""" +
        contacts([1, 2, 4], [3]) + """;
        INSERT INTO address VALUES (1, 'one', 'x'), (2, 'two', 'x'), (3, 'three', 'x');
        UPDATE contact SET address_id = CASE id WHEN 1 THEN 1 WHEN 4 THEN 2 ELSE id END""",
        model(contact={"clear": ["name", "brand"], "keep": ["created", "address_id"]}, request={"clear": ["subject"], "keep": ["status", "at"]},
              address={"table": "address", "key": "id", "of": "contact", "by": "id", "from": "address_id", "shared": True,
                       "clear": ["street"], "keep": ["city"]}),
        policy("anonymize_contacts", scope="id <> 4"), limits=LIMITS)
    streets = "SELECT id, street FROM address ORDER BY id"
    d.once()
    assert d.pg.sql(d.db, streets) == [(1, ""), (2, "two"), (3, "three")]
    # 2 is anonymized but for the address, which was 4's as well: with 4 it goes.
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 1
    assert d.pg.sql(d.db, streets) == [(1, ""), (2, ""), (3, "three")]
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 0


@pytest.mark.parametrize("key", ["REFERENCES blob", "REFERENCES blob ON DELETE CASCADE", ""])
def test_a_client_attaches_a_shared_row(make, key):
    """
    The row is locked before it is looked at: with a foreign key, who attaches it to somebody else
    before that keeps it, and who comes later waits, and is refused.
    """
    d = make(SCHEMA + BLOBS.replace("REFERENCES blob", key, 1) + contacts([1], [3]) + SHARING.replace("(42, 20, 4),", ""),
             model(**BLOB_MODEL), policy(archive="full"), limits=LIMITS)
    with d.pg.connect(d.db, autocommit=False) as client, client.cursor() as cur:
        cur.execute("INSERT INTO attachment VALUES (99, 30, 1)")
        done = []
        thread = threading.Thread(target=lambda: done.append(d.once(check=False)))
        thread.start()
        if key:
            wait_until(lambda: d.pg.value(d.db, """SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname =
                current_database() AND application_name = 'retention-job' AND wait_event_type = 'Lock')"""),
                       what="the pass meets the client")
            client.commit()
        thread.join()
        client.commit()
    assert done[0].returncode == 0
    assert (1 in keys(d.pg, d.db, "SELECT id FROM blob")) == bool(key)
    assert keys(d.pg, d.db, "SELECT id FROM contact") == {3}


def test_two_workers_take_the_two_last_users(make):
    """Each sees the other's row still: the lock makes the second look again, and nothing is left behind."""
    n = 400
    d = make(SCHEMA + BLOBS + f""";
        INSERT INTO contact (id, name) SELECT n, 'n' FROM generate_series(1, {n}) n;
        INSERT INTO request (id, contact_id, at) SELECT n, n, '{OLD}' FROM generate_series(1, {n}) n;
        INSERT INTO blob SELECT n, 'b' FROM generate_series(1, {n}) n;
        INSERT INTO attachment SELECT n, n, n FROM generate_series(1, {n}) n;
        INSERT INTO attachment SELECT {n} + n, n, {n} + 1 - n FROM generate_series(1, {n}) n""",
             model(**BLOB_MODEL), policy(), limits={"workers": 4, "batch_rows": 20, "max_share": 1.0})
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM contact") == set()
    assert keys(d.pg, d.db, "SELECT id FROM blob") == set()


@pytest.mark.parametrize("where", [None, "data <> 'e'"])
@pytest.mark.parametrize("rule", ["", "ON DELETE CASCADE", "ON DELETE SET NULL"])
@pytest.mark.parametrize("batch_rows", [1, 5000])
def test_shared_rows_that_use_one_another(make, batch_rows, rule, where):
    """What a row that stays points at stays, and so on; a chain and a ring of contact 1's own go whole."""
    d = make(SCHEMA + BLOBS + f"; ALTER TABLE blob ADD up bigint REFERENCES blob {rule}, ADD doc json; CREATE INDEX ON blob (up)"
             + contacts([1, 2], [3]) + """;
        INSERT INTO blob SELECT n, 'b' FROM generate_series(1, 12) n; UPDATE blob SET data = 'e' WHERE id = 11;
        UPDATE blob SET up = x.up FROM (VALUES (2, 1), (3, 2), (5, 4), (6, 7), (7, 6), (8, 9), (11, 12)) x(id, up) WHERE blob.id = x.id;
        INSERT INTO attachment (id, request_id, blob_id) SELECT row_number() OVER (), r, b FROM (VALUES (10, 1), (10, 2), (10, 3), (30, 3),
            (10, 4), (10, 5), (10, 6), (10, 7), (20, 9), (10, 10), (10, 11), (10, 12)) x(r, b)""",
             model(attachment=BLOB_MODEL["attachment"], blob={**BLOB_MODEL["blob"], **({"where": where} if where else {})}),
             policy(), limits={**LIMITS, "batch_rows": batch_rows})
    shown = json.loads(d.ctl("preview", "p", "--json").stdout)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {3}
    # 3 is used by who stays, and points at 2, which points at 1; 8 is nobody's, and points at 9.
    left = {1, 2, 3, 8, 9} | ({11, 12} if where else set())
    assert keys(d.pg, d.db, "SELECT id FROM blob") == left
    assert d.pg.sql(d.db, "SELECT id, up FROM blob WHERE up IS NOT NULL ORDER BY 1")[:2] == [(2, 1), (3, 2)]
    assert {t["table"]: t["rows"] for t in shown["tables"]}["blob"] == 12 - len(left)


@pytest.mark.parametrize("batch_rows", [1, 5000])
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_users_of_two_tables(make, action, batch_rows):
    """One of them partitioned and without a key, uuids, and a shared row that points at another."""
    blob = "00000000-0000-0000-0000-00000000000"
    d = make(SCHEMA + """;
        CREATE TABLE blob (id uuid PRIMARY KEY, data text, parent uuid REFERENCES blob);
        CREATE TABLE a (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, blob_id uuid REFERENCES blob);
        CREATE TABLE b (id bigint, request_id bigint REFERENCES request, blob_id uuid REFERENCES blob,
            PRIMARY KEY (id, request_id)) PARTITION BY HASH (request_id);
        CREATE TABLE b0 PARTITION OF b FOR VALUES WITH (modulus 2, remainder 0);
        CREATE TABLE b1 PARTITION OF b FOR VALUES WITH (modulus 2, remainder 1);
        CREATE INDEX ON blob (parent); CREATE INDEX ON a (contact_id); CREATE INDEX ON a (blob_id);
        CREATE INDEX ON b (request_id); CREATE INDEX ON b (blob_id)""" + contacts([1, 2, 4], [3]) + f""";
        INSERT INTO blob SELECT ('{blob}' || n)::uuid, 'b' FROM generate_series(1, 8) n;
        UPDATE blob SET parent = '{blob}8' WHERE id = '{blob}7';
        INSERT INTO a SELECT i, c, ('{blob}' || n)::uuid
          FROM (VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 1, 4), (5, 4, 7), (6, 4, 8)) x(i, c, n);
        INSERT INTO b SELECT i, r, ('{blob}' || n)::uuid
          FROM (VALUES (1, 20, 1), (2, 30, 2), (3, 10, 3), (4, 10, 4), (5, 10, 5), (6, 10, NULL)) x(i, r, n)""",
             model(**RULES, a={"table": "a", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"},
                   b={"table": "b", "of": "request", "by": "request_id", "anonymize": "delete"},
                   **{f"blob_{x}": {"table": "blob", "key": "id", "of": x, "by": "id", "from": "blob_id", "shared": True,
                                    "anonymize": "delete"} for x in "ab"}),
             policy(action), limits={**LIMITS, "batch_rows": batch_rows})
    d.once()
    assert failures(d) == []
    # 2 and 3 have a user who stays, 6 was nobody's.
    assert {str(k)[-1] for k in keys(d.pg, d.db, "SELECT id FROM blob")} == {"2", "3", "6"}
    assert again(d, action)["counters"]["treated"] == 0


def test_shared_below_shared(make):
    d = make(SCHEMA + """;
        CREATE TABLE city (id bigint PRIMARY KEY, n text);
        CREATE TABLE address (id bigint PRIMARY KEY, city_id bigint REFERENCES city, s text);
        ALTER TABLE contact ADD address_id bigint REFERENCES address;
        CREATE INDEX ON contact (address_id); CREATE INDEX ON address (city_id)""" + contacts([1, 2, 4], [3]) + """;
        INSERT INTO city VALUES (1, 'x'), (2, 'y'), (3, 'z');
        INSERT INTO address VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c'), (4, 3, 'd');
        UPDATE contact SET address_id = id""",
             model(address={"table": "address", "key": "id", "of": "contact", "by": "id", "from": "address_id", "shared": True},
                   city={"table": "city", "key": "id", "of": "address", "by": "id", "from": "city_id", "shared": True}),
             policy(), limits=LIMITS)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM address") == {3} and keys(d.pg, d.db, "SELECT id FROM city") == {2}


# Contacts 1 and 2 go, 3 stays.  Messages without a body say nothing about whether their subject has been anonymized.
SHOWN = """;
    CREATE TABLE blob (id bigint PRIMARY KEY, data text NOT NULL);
    CREATE TABLE message (id bigint PRIMARY KEY, {parent}_id bigint REFERENCES {parent}, blob_id bigint REFERENCES blob, body text);
    CREATE TABLE shown (message_id bigint REFERENCES message, blob_id bigint REFERENCES blob);
    CREATE TABLE answer (id bigint PRIMARY KEY, message_id bigint REFERENCES message, blob_id bigint REFERENCES blob);
    CREATE INDEX ON answer (message_id); CREATE INDEX ON answer (blob_id);
    CREATE INDEX ON message ({parent}_id); CREATE INDEX ON message (blob_id); CREATE INDEX ON shown (message_id);
    CREATE INDEX ON shown (blob_id)"""
SHOWN_ROWS = """;
    INSERT INTO blob SELECT n, 'b' || n FROM generate_series(1, 7) n;
    INSERT INTO message (id, {parent}_id, body) SELECT n, CASE n / 10 WHEN 1 THEN {a} WHEN 2 THEN {b} ELSE {c} END, CASE n % 10 WHEN 0 THEN 'm' END
      FROM (VALUES (10), (11), (20), (21), (30), (31)) x(n);
    INSERT INTO used SELECT m, b FROM (VALUES (10, 1), (20, 1), (11, 2), (21, 2), (10, 3), (21, 3), (10, 4), (30, 4), (20, 5), (31, 5),
        (11, 6), (31, 6), (10, 7), (20, 7)) x(m, b);
    INSERT INTO answer VALUES (1, 10, 7), (2, 10, NULL)"""
# As the model's table and its rows say it: a join that stays, or a column of the message.
LINKS = {"join": "CREATE VIEW used AS SELECT message_id, blob_id FROM shown",
         "column": """CREATE VIEW used AS SELECT id AS message_id, blob_id FROM message;
            CREATE RULE used AS ON INSERT TO used DO INSTEAD INSERT INTO message (id, {parent}_id, blob_id)
              SELECT 100 + NEW.message_id * 10 + NEW.blob_id, {parent}_id, NEW.blob_id FROM message WHERE id = NEW.message_id"""}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("batch_rows", [1, 5000])
@pytest.mark.parametrize("parent", ["contact", "profile", "request"])
def test_shared_rows_of_rows_that_stay(make, link, batch_rows, parent):
    """
    What an anonymization leaves of one subject, a join or an empty message, is no use when it comes to the next
    subject, in another batch.  A row of somebody who stays is one, although there was nothing to erase in it; so is
    a row of nobody's that only points at the first subject.
    """
    a, b, c = (10, 20, 30) if parent == "request" else (1, 2, 3)
    table = "request" if parent == "request" else "contact"
    parts = {"parent": table, "a": a, "b": b, "c": c}
    profile = """;
        CREATE TABLE profile (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, email text);
        CREATE INDEX ON profile (contact_id); INSERT INTO profile SELECT id, id, 'e' FROM contact"""
    if parent == "profile":  # all that is personal stands below the contact
        rules = {"contact": {"keep": ["name", "brand", "created"]}, "request": {"keep": ["status", "at", "subject"]}}
    else:
        rules = RULES
    via = "shown" if link == "join" else "message"
    d = make(SCHEMA + SHOWN.format(**parts) + ";" + LINKS[link].format(**parts) + contacts([1, 2], [3]) + profile + SHOWN_ROWS.format(**parts),
             model(**rules, profile={"table": "profile", "key": "id", "of": "contact", "by": "contact_id", "clear": ["email"]},
                   message={"table": "message", "key": "id", "of": table, "by": f"{table}_id", "clear": ["body"], "keep": ["blob_id"]},
                   answer={"table": "answer", "key": "id", "of": "message", "by": "message_id", "delete": "detach", "anonymize": "keep"},
                   shown={"table": "shown", "of": "message", "by": "message_id", "anonymize": "keep"},
                   blob={"table": "blob", "key": "id", "of": via, "by": "id", "from": "blob_id", "shared": True, "clear": ["data"]}),
             policy("anonymize_requests" if parent == "request" else "anonymize_contacts"),
             limits={**LIMITS, "batch_rows": batch_rows})
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM blob WHERE data = ''") == {1, 2, 3}
    assert keys(d.pg, d.db, "SELECT id FROM message WHERE body IS NOT NULL") == {30}
    assert again(d, "anonymize_requests" if parent == "request" else "anonymize_contacts")["counters"]["treated"] == 0


def test_shared_rows_of_requests_with_redacted_texts(make):
    """Nothing but a text of the request is erased: whether it still names the contact tells whether it was anonymized."""
    parts = {"parent": "request", "a": 10, "b": 20, "c": 30}
    d = make(SCHEMA + SHOWN.format(**parts) + ";" + LINKS["join"] + contacts([1, 2], [3]) + SHOWN_ROWS.format(**parts) +
             "; UPDATE contact SET name = 'name' || id; UPDATE request SET subject = 'of name' || contact_id",
             model(contact={"identity": ["name"], "clear": ["name", "brand"], "keep": ["created"]}, request={"redact": ["subject"], "keep": ["status", "at"]},
                   message={"table": "message", "key": "id", "of": "request", "by": "request_id", "clear": ["body"], "keep": ["blob_id"]},
                   answer={"table": "answer", "key": "id", "of": "message", "by": "message_id", "delete": "detach", "anonymize": "keep"},
                   shown={"table": "shown", "of": "message", "by": "message_id", "anonymize": "keep"},
                   blob={"table": "blob", "key": "id", "of": "shown", "by": "id", "from": "blob_id", "shared": True, "clear": ["data"]}),
             policy("anonymize_requests"), limits={**LIMITS, "batch_rows": 1})
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM blob WHERE data = ''") == {1, 2, 3}


# --- Joins ----------------------------------------------------------------------------------------

TAGS = """;
    CREATE TABLE tag (id bigint PRIMARY KEY, name text);
    CREATE TABLE tagging (contact_id bigint NOT NULL REFERENCES contact, tag_id bigint NOT NULL REFERENCES tag,
        PRIMARY KEY (contact_id, tag_id));
    CREATE INDEX ON tagging (tag_id)"""
TAG_MODEL = {"tagging": {"table": "tagging", "of": "contact", "by": "contact_id", "anonymize": "delete"},
             "tag": {"table": "tag", "key": "id", "of": "tagging", "by": "id", "from": "tag_id", "shared": True,
                     "anonymize": "delete"}}


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_a_join_without_a_key(make, action):
    d = make(SCHEMA + TAGS + contacts([1, 2], [3]) + """;
        INSERT INTO tag SELECT n, 't' || n FROM generate_series(1, 5) n;
        INSERT INTO tagging VALUES (1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4)""",
             model(**RULES, **TAG_MODEL), policy(action), limits=LIMITS)
    d.once()
    assert failures(d) == []
    assert keys(d.pg, d.db, "SELECT tag_id FROM tagging") == {3, 4}
    assert keys(d.pg, d.db, "SELECT id FROM tag") == {3, 4, 5}, "5 was nobody's: nobody's erasure takes it"
    assert again(d, action)["counters"]["treated"] == 0


def test_a_join_row_comes_while_it_is_erased(make):
    d = make(SCHEMA + TAGS + contacts([1], [3]) + "; INSERT INTO tag VALUES (1, 't1'), (2, 't2'); INSERT INTO tagging VALUES (1, 1)",
             model(**TAG_MODEL), policy(), limits=LIMITS)
    run = threading.Thread(target=lambda: d.once(check=False, failpoint="batch-after-collect=stop"))
    run.start()
    run.join()
    d.once()
    assert keys(d.pg, d.db, "SELECT id FROM tag") == {2}


# --- Copies ---------------------------------------------------------------------------------------

MAILS = """;
    ALTER TABLE contact ADD email text; CREATE INDEX ON contact (email);
    CREATE TABLE mail (id bigint PRIMARY KEY, to_address text, text text); CREATE INDEX ON mail (to_address);
    INSERT INTO mail VALUES (1, 'one@x', 'a'), (2, 'both@x', 'b'), (3, 'two@x', 'c'), (4, '', 'd'), (5, NULL, 'e'),
        (6, 'one@x', 'f'), (7, 'ONE@x', 'g')"""
MAIL = {"table": "mail", "key": "id", "of": "contact", "match": {"column": "to_address", "of": "email"}}


def addresses(d, **of):
    for contact, address in of.items():
        d.pg.sql(d.db, "UPDATE contact SET email = %s WHERE id = %s", (address, contact[1:]))


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_copies(make, action):
    """Those of the contact's own address; an address that a colleague has too is left, an empty one is nobody's."""
    d = make(SCHEMA + MAILS + contacts([1, 2, 4, 5], [3]),
             model(contact={"clear": ["name", "brand", "email"], "keep": ["created"]}, request=RULES["request"],
                   mail={**MAIL, "set": {"to_address": "gone-{key}"}, "clear": ["text"]}), policy(action), limits=LIMITS)
    addresses(d, c1="one@x", c2="both@x", c3="both@x", c4="", c5=None)
    d.once()
    assert failures(d) == []
    left = [(i, a, t) for i, a, t in d.pg.sql(d.db, "SELECT id, to_address, text FROM mail ORDER BY id")]
    whole = [(2, "both@x", "b"), (3, "two@x", "c"), (4, "", "d"), (5, None, "e"), (7, "ONE@x", "g")]
    assert left == whole if action == "delete_contacts" else \
        left == [(1, "gone-1", None), *whole[:4], (6, "gone-6", None), whole[4]]
    assert again(d, action)["counters"]["treated"] == 0


def test_copies_of_both(make):
    """With the last of those who have it, the value's copies go."""
    d = make(SCHEMA + MAILS + contacts([1, 2], [3]), model(mail=MAIL), policy(), limits={**LIMITS, "batch_rows": 1})
    addresses(d, c1="both@x", c2="both@x", c3="two@x")
    d.once()
    assert keys(d.pg, d.db, "SELECT id FROM mail") == {1, 3, 4, 5, 6, 7}


def test_a_copy_that_somebody_outside_of_where_has_too(make):
    """where leaves staff alone, and what is theirs."""
    d = make(SCHEMA + """; ALTER TABLE contact ADD email text; CREATE INDEX ON contact (email);
        CREATE TABLE mail (id bigint PRIMARY KEY, to_address text, text text); CREATE INDEX ON mail (to_address)"""
             + contacts([1, 2], [3]) + """; UPDATE contact SET email = 'e@x'; UPDATE contact SET email = 'f@x' WHERE id = 2;
        UPDATE contact SET brand = 'staff' WHERE id = 3; INSERT INTO mail VALUES (1, 'e@x', 'm'), (2, 'f@x', 'm')""",
             model(contact={"where": "brand IS DISTINCT FROM 'staff'"},
                   mail={"table": "mail", "key": "id", "of": "contact", "match": {"column": "to_address", "of": "email"}}),
             policy(), limits=LIMITS)
    d.once()
    assert failures(d) == [] and keys(d.pg, d.db) == {3}
    assert keys(d.pg, d.db, "SELECT id FROM mail") == {1}


# --- Texts ----------------------------------------------------------------------------------------

NOTES = """;
    ALTER TABLE contact ADD email varchar(40), ADD phones text[], ADD remark text;
    CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, request_id bigint REFERENCES request,
        text varchar(60), n int);
    CREATE INDEX ON note (request_id)"""
NOTES_MODEL = {"note": {"table": "note", "key": "id", "of": "request", "by": "request_id", "redact": ["text"],
                        "keep": ["n"]}}
PERSON = {"name": "Anne  Martin", "email": "a.m+x@ex.org", "phones": ["+33 6 01", "(0)7.7?"], "remark": "Anne Martin, al"}
TEXTS = [
    ("Anne Martin called", "*** called"), ("anne   martin, ANNE MARTIN.", "***, ***."), ("Mariannemartin", "Mariannemartin"),
    ("write to <a.m+x@ex.org>", "write to <***>"), ("aXm+x@ex.org", "aXm+x@ex.org"), ("call +33 6 01!", "call ***!"),
    ("or (0)7.7?", "or ***"), ("Anne and Martin", "Anne and Martin"), ("al", "al"), ("", ""), (None, None),
    ("\\1 \\& Anne Martin \\", "\\1 \\& *** \\"), ("Anne Martins", "Anne Martins"), ("Bob", "Bob"),
]


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_texts_that_name_the_person(make, action):
    d = make(SCHEMA + NOTES + contacts([1, 2], [3]),
             model(contact={"clear": ["name", "email", "phones", "brand"], "redact": ["remark"], "keep": ["created"],
                            "identity": ["name", "email", "phones"]},
                   request={"redact": ["subject"], "keep": ["status", "at"]}, **NOTES_MODEL), policy(action), limits=LIMITS)
    for contact in (1, 3):
        d.pg.sql(d.db, "UPDATE contact SET name = %(name)s, email = %(email)s, phones = %(phones)s, remark = %(remark)s "
                       f"WHERE id = {contact}", PERSON)
        d.pg.sql(d.db, f"UPDATE request SET subject = 'Re: Anne Martin' WHERE contact_id = {contact}")
        for text, _ in TEXTS:
            d.pg.sql(d.db, f"INSERT INTO note (request_id, text, n) VALUES ({contact}0, %s, 7)", (text,))
    # al is too short to be looked for; another's name is another's.
    d.pg.sql(d.db, "UPDATE contact SET name = 'Bob', email = 'al', remark = 'Bob is al' WHERE id = 2")
    expected = json.loads(d.ctl("preview", "p", "--json").stdout)
    d.once()
    assert failures(d) == []
    got = d.pg.sql(d.db, "SELECT text FROM note WHERE request_id = 10 ORDER BY id")
    assert got == [(after,) for _, after in TEXTS]
    assert d.pg.sql(d.db, "SELECT text FROM note WHERE request_id = 30 ORDER BY id") == [(t,) for t, _ in TEXTS]
    assert d.pg.sql(d.db, "SELECT subject FROM request ORDER BY id") == [("Re: ***",), ("s2",), ("Re: Anne Martin",)]
    counted = {t["table"]: t["rows"] for t in expected["tables"]}
    assert counted["note"] == sum(before != after for before, after in TEXTS)
    if action == "anonymize_contacts":
        assert d.pg.sql(d.db, "SELECT remark FROM contact ORDER BY id") == [("***, al",), ("*** is al",), (PERSON["remark"],)]
    assert again(d, action)["counters"]["treated"] == 0


def test_a_name_of_many_words_and_signs(make):
    """Whatever stands in a name is a name, and no pattern."""
    names = ["O'Neil (Bob) [x] {y} ^$ .* |", "a\\b\\c", "日本 太郎", "C++", "???", "$1$2", "%s%d", "x" * 500]
    d = make(SCHEMA + contacts(range(1, len(names) + 1)),
             model(contact={"clear": ["name", "brand"], "keep": ["created"], "identity": ["name"]},
                   request={"redact": ["subject"], "keep": ["status", "at"]}), policy("anonymize_contacts"), limits=LIMITS)
    for i, name in enumerate(names, 1):
        d.pg.sql(d.db, "UPDATE contact SET name = %s WHERE id = %s", (name, i))
        d.pg.sql(d.db, "UPDATE request SET subject = %s WHERE contact_id = %s", (f"to {name}, urgent", i))
    d.once()
    assert failures(d) == []
    assert {s for (s,) in d.pg.sql(d.db, "SELECT subject FROM request")} == {"to ***, urgent"}


ODD_NAMES = [
    ("Anne Martin\r\n", "Hello Anne Martin called", "Hello *** called"), ("\tAnne", "Hi Anne called", "Hi *** called"),
    ("Anne\u00a0Martin", "Hi Anne Martin, x", "Hi ***, x"), ("Anne Martin\u00a0", "Hi Anne\u00a0 Martin x", "Hi *** x"),
    ("\t\t\t", "a, b - c", "a, b - c"), ("***", "see *** there", "see *** there"), ("ab " * 20000, "none", "none"),
    ("ab " * 300, "x " + "ab " * 300 + "y", "x *** y"), ("é" * 900, "x " + "é" * 900, "x ***"), ("", "x", "x"),
]


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_names_with_odd_ends(make, action):
    """Blanks of any kind around a name or in it; what is no name, or too long for one, is looked for not."""
    d = make(SCHEMA + NOTES.replace("varchar(60)", "text") + contacts(range(1, len(ODD_NAMES) + 1)),
             model(contact={"clear": ["name"], "keep": ["created", "brand", "email", "phones", "remark"], "identity": ["name"]},
                   request={"clear": ["subject"], "keep": ["status", "at"]}, **NOTES_MODEL), policy(action), limits=LIMITS)
    for i, (name, text, _) in enumerate(ODD_NAMES, 1):
        d.pg.sql(d.db, "UPDATE contact SET name = %s WHERE id = %s", (name, i))
        d.pg.sql(d.db, "INSERT INTO note (request_id, text, n) VALUES (%s, %s, 1)", (10 * i, text))
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, "SELECT text FROM note ORDER BY id") == [(after,) for *_, after in ODD_NAMES]
    assert again(d, action)["counters"]["treated"] == 0


FOLDED = [
    ("Élodie Noël", "ÉLODIE NOËL, élodie  noël; Elodie Noël", "***, ***; Elodie Noël"),
    ("Σίσυφος", "ΣΊΣΥΦΟΣ σίσυφος Σίσυφοσ Σίσυφοι", "*** *** *** Σίσυφοι"), ("ΣΊΣΥΦΟΣ", "ο Σίσυφος", "ο ***"),
    ("Weiß", "WEISS weiss WEIẞ weiß; Weißer", "*** *** *** ***; Weißer"), ("Rossi", "ROSSI roßi", "*** ***"),
    ("Irene", "IRENE irene", "*** ***"), ("Đorđević", "đorđević ĐORĐEVIĆ", "*** ***"), ("Юлия", "ЮЛИЯ юлия", "*** ***"),
    ("é.{2}", "É.{2} éab", "*** éab"), ("李小龙", "李小龙 是", "*** 是"),
]


def database_of(pg, name, locale):
    pg.sql("postgres", f"DROP DATABASE {name}")
    pg.sql("postgres", f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE '{locale}'")


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_capitals_of_every_language(daemon, empty_db, pg, action, locale):
    """Whatever the locale of the database knows of letters."""
    db = empty_db()
    database_of(pg, db, locale)
    pg.sql(db, SCHEMA + NOTES.replace("varchar(60)", "text") + contacts(range(1, len(FOLDED) + 1)))
    d = daemon(db=db, policies=[policy(action)], limits=LIMITS, model=model(
        contact={"clear": ["name"], "keep": ["created", "brand", "email", "phones", "remark"], "identity": ["name"]},
        request={"clear": ["subject"], "keep": ["status", "at"]}, **NOTES_MODEL))
    for i, (name, text, _) in enumerate(FOLDED, 1):
        pg.sql(db, "UPDATE contact SET name = %s WHERE id = %s", (name, i))
        pg.sql(db, "INSERT INTO note (request_id, text, n) VALUES (%s, %s, 1)", (10 * i, text))
    assert d.check_config().stderr == ""
    d.once()
    assert failures(d) == []
    assert pg.sql(db, "SELECT text FROM note ORDER BY id") == [(after,) for *_, after in FOLDED]
    assert again(d, action)["counters"]["treated"] == 0


def test_no_collation_for_them(daemon, empty_db, pg):
    """-t and model check warn where English letters alone have capitals."""
    db = empty_db()
    database_of(pg, db, "C")
    pg.sql(db, SCHEMA + NOTES)
    pg.sql(db, "DELETE FROM pg_collation WHERE collname ~* '^(und-x-icu|c.utf.?8)$'")
    d = daemon(db=db, policies=[policy("anonymize_contacts")], model=model(
        contact={"clear": ["name"], "keep": ["created", "brand", "email", "phones", "remark"], "identity": ["name"]},
        request={"clear": ["subject"], "keep": ["status", "at"]}, **NOTES_MODEL))
    text = ('table "note": redact overlooks a name with an accent that is written in other capitals, because the database\'s '
            "LC_CTYPE is C, and the server has no collation und-x-icu or C.utf8 for it")
    done = d.check_config()
    assert (done.returncode, done.stderr) == (0, text + "\n")
    assert f"look at: {text}\n" in d.ctl("model", "check").stdout


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
@pytest.mark.parametrize("value", ["Contact", "Contact {key}", "Contact {number}", "***"])
def test_what_a_rule_wrote_is_nobodys_name(make, action, value):
    """After the contact's anonymization its name is a word like any other."""
    d = make(SCHEMA + NOTES + contacts([1], [3]),
             model(contact={"set": {"name": value}, "keep": ["created", "brand", "email", "phones", "remark"], "identity": ["name"]},
                   request={"clear": ["subject"], "keep": ["status", "at"]}, **NOTES_MODEL), policy("anonymize_contacts"), limits=LIMITS)
    d.pg.sql(d.db, "UPDATE contact SET name = 'Anne Martin' WHERE id = 1; "
                   "INSERT INTO note (request_id, text) VALUES (10, 'Anne Martin asked: please contact 1 us')")
    d.once()
    for _ in range(2):
        assert d.pg.sql(d.db, "SELECT text FROM note") == [("*** asked: please contact 1 us",)] and failures(d) == []
        assert again(d, action)["counters"]["treated"] in (0, 1)
    assert again(d, action)["counters"]["treated"] == 0


# --- Documents ------------------------------------------------------------------------------------

DOCUMENTS = [
    ({"city": "Paris", "plan": "pro", "deep": {"city": 1}}, {"plan": "pro"}),
    ({"plan": None}, {"plan": None}), ({}, {}), ([1, {"plan": 2}], {}), ("Paris", {}), (None, None),
]


@pytest.mark.parametrize("kind", ["json", "jsonb"])
@pytest.mark.parametrize("rule, kept", [("json_keep", lambda before, after: after),
                                        ("json", lambda before, after: {k: v for k, v in before.items() if k == "plan"}
                                         if isinstance(before, dict) else before)])
def test_documents(make, kind, rule, kept):
    listed = ["plan"] if rule == "json_keep" else ["city", "deep"]
    d = make(SCHEMA + f"; ALTER TABLE contact ADD doc {kind}" + contacts(range(1, len(DOCUMENTS) + 1)),
             model(contact={"clear": ["name", "brand"], "keep": ["created"], rule: {"doc": listed}}, request=RULES["request"]),
             policy("anonymize_contacts"), limits=LIMITS)
    for i, (before, _) in enumerate(DOCUMENTS, 1):
        d.pg.sql(d.db, "UPDATE contact SET name = NULL, doc = %s WHERE id = %s",
                 (None if before is None else json.dumps(before), i))
    d.pg.sql(d.db, "UPDATE request SET subject = NULL")
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, "SELECT doc FROM contact ORDER BY id") == [(kept(b, a),) for b, a in DOCUMENTS]
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 0


# --- What is refused ------------------------------------------------------------------------------

REFUSED = [
    ({"blob": {**BLOB_MODEL["blob"], "from": None, "by": "id"}}, 'table "blob": shared is for rows that a column of '
     '"attachment" references: from is missing'),
    ({"blob": {**BLOB_MODEL["blob"], "key": None}}, 'table "blob": key is missing: shared needs it'),
    ({"blob": {**BLOB_MODEL["blob"], "delete": "detach"}}, 'table "blob": delete = "detach" clears the link of a row that '
     'references "attachment"; here "attachment" references the row'),
    ({"blob": {"table": "blob", "key": "id", "of": "attachment",
      "match": {"column": "data", "of": "file_name"}, "delete": "detach"}}, 'table "blob": delete = "detach" clears a '
     'link, and match has none: it compares a value with one of "attachment": use delete or keep'),
    ({"attachment": {**BLOB_MODEL["attachment"], "anonymize": "keep"}}, 'table "blob": anonymize_contacts would delete its '
     'rows, and those of "attachment", which point at them, stay'),
    ({"contact": {**RULES["contact"], "identity": ["nam"]}}, 'table "contact": identity names "nam", which an anonymization must erase'),
    ({"contact": {"keep": ["name"], "clear": ["brand", "created"], "identity": ["name"]}},
     'table "contact": identity names "name", which an anonymization must erase'),
    ({"request": {"redact": ["subject"], "keep": ["status", "at"]}}, 'table "request": redact needs the identity columns of "contact" '
     'to search for'),
    ({"contact": {**RULES["contact"], "identity": ["name"]}, "request": {"redact": ["at"], "clear": ["subject"], "keep": ["status", "at"]}},
     'column "at" is its date and cannot be under redact'),
    ({"request": {**RULES["request"], "identity": ["subject"]}}, 'identity is for table "contact" only'),
    ({"mail": {"table": "blob", "key": "id", "of": "contact", "by": "id", "match": {"column": "data", "of": "name"}}},
     "match replaces by, from and shared: leave by out"),
    ({"mail": {"table": "blob", "key": "id", "of": "contact", "match": {"column": "data"}}}, "of is missing"),
    ({"mail": {"table": "blob", "key": "id", "of": "contact", "match": "data"}}, "match must be a group"),
    ({"mail": {"table": "blob", "of": "contact", "match": {"column": "data", "of": "name"}}}, "key is missing: match needs it"),
    ({"mail": {"table": "contact", "key": "id", "of": "contact", "match": {"column": "brand", "of": "name"}, "anonymize": "delete"}},
     'is the table of "contact", whose rows have dates and holds of their own'),
    ({"mail": {"table": "logo", "key": "id", "of": "contact", "match": {"column": "blob_id", "of": "name"}, "anonymize": "delete"}},
     'match compares "blob_id" (bigint) with "name" (text): a copy is of the same kind'),
    ({"contact": {**RULES["contact"], "match": {"column": "name", "of": "name"}}}, "always deleted: leave match out"),
    ({"request": {**RULES["request"], "shared": True}}, "a request belongs to one contact, or to several with through: leave shared and match out"),
    ({"variant": {**BLOB_MODEL["variant"], "anonymize": None, "json_keep": {"blob_id": ["a"]}}}, 'column "blob_id" is its by '),
    ({"variant": {**BLOB_MODEL["variant"], "anonymize": None, "redact": ["id"]}}, 'column "id" is its key and cannot be'),
]


@pytest.mark.parametrize("change, message", REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused(make, change, message):
    tables = {**RULES, **BLOB_MODEL, **change}
    d = make(SCHEMA + BLOBS, model(**tables), policy("anonymize_contacts"), migrate=False)
    d.ctl("-d", d.pg.conninfo(d.db), "migrate")
    done = d.check_config(check=False)
    if message is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0 and message in done.stderr
        assert re.search(r"model\.conf:\d+: ", done.stderr), done.stderr


def test_a_use_without_an_index(make):
    """Each batch would read all that may use a row: the index to make is named."""
    d = make(SCHEMA + """; CREATE TABLE address (id bigint PRIMARY KEY, street text); ALTER TABLE contact ADD a bigint;
        INSERT INTO contact (id) SELECT generate_series(1, 20000); ANALYZE contact""",
             model(address={"table": "address", "key": "id", "of": "contact", "by": "id", "from": "a", "shared": True}), migrate=False)
    d.ctl("-d", d.pg.conninfo(d.db), "migrate")
    assert 'CREATE INDEX CONCURRENTLY ON "public"."contact" ("a")' in d.check_config(check=False).stderr
    d.pg.sql(d.db, 'CREATE INDEX ON contact (a)')
    assert d.check_config().returncode == 0
