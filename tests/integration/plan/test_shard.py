"""
Which shard of a model is accepted: the database has to prove that each row holds the value of its contact, link by link.
A written one that is not proved is refused with what mends it; the contact's as a default is left out, and model check says
so of a table with partitions.
"""

import pytest

from support.drafts import check
from support.small import again, failures, model, policy

# Contacts of two accounts, and three tables below them; all in partitions by account, as the models say it.
TENANT = """
    CREATE TABLE contact (account_id int NOT NULL, id bigint NOT NULL, name text, PRIMARY KEY (account_id, id))
        PARTITION BY LIST (account_id);
    CREATE TABLE request (account_id int NOT NULL, id bigint NOT NULL, contact_id bigint, at timestamptz,
        PRIMARY KEY (account_id, id), FOREIGN KEY (account_id, contact_id) REFERENCES contact) PARTITION BY HASH (account_id);
    CREATE TABLE message (account_id int NOT NULL, request_id bigint, body text,
        FOREIGN KEY (account_id, request_id) REFERENCES request) PARTITION BY HASH (account_id);
    CREATE TABLE contact_p PARTITION OF contact DEFAULT;
    CREATE TABLE request_p PARTITION OF request FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE message_p PARTITION OF message FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE INDEX ON request (account_id, contact_id); CREATE INDEX ON message (account_id, request_id)"""
BOTH = ["account_id", "id"]
MESSAGE = {"table": "message", "of": "request", "by": ["account_id", "request_id"], "anonymize": "delete"}

# The same numbers, which are unique over all accounts, so that a link needs no account; some of it is partitioned.
ALONE = """
    CREATE TABLE contact (id bigint PRIMARY KEY, account_id int NOT NULL, name text, email text, address_id bigint,
        UNIQUE (account_id, id), UNIQUE (account_id, address_id));
    CREATE TABLE request (id bigint PRIMARY KEY, account_id int NOT NULL, contact_id bigint, at timestamptz,
        FOREIGN KEY (account_id, contact_id) REFERENCES contact (account_id, id), UNIQUE (account_id, id));
    CREATE TABLE message (account_id int NOT NULL, request_id bigint, kind text, body text,
        FOREIGN KEY (account_id, request_id) REFERENCES request (account_id, id)) PARTITION BY LIST (account_id);
    CREATE TABLE message_p PARTITION OF message DEFAULT;
    CREATE INDEX ON request (account_id, contact_id); CREATE INDEX ON message (account_id, request_id);
    CREATE INDEX ON message (request_id); CREATE INDEX ON request (contact_id)"""
OF_REQUEST = {"table": "message", "of": "request", "by": "request_id", "shard": "account_id", "anonymize": "delete"}


def tenant(message=MESSAGE, **more):
    return model({"key": BOTH, "shard": "account_id"}, {"key": BOTH, "by": ["account_id", "contact_id"]}, message={**message, **more})


def alone(contact=None, request=None, **more):
    return model({"shard": "account_id", **(contact or {})}, request, message={**OF_REQUEST, **more})


def refused(d):
    done = d.check_config()
    assert done.returncode in (0, 1), done.stderr
    return [line.split(": ", 1)[1] for line in done.stderr.splitlines() if "shard" in line]


def hints(d):
    return [hint for hint in check(d)["hints"] if "partitions" in hint]


@pytest.mark.parametrize("text", [tenant(), tenant(shard="account_id")], ids=["default", "written"])
def test_proved_by_the_links(make, text):
    d = make(TENANT, text)
    assert (refused(d), hints(d)) == ([], [])


def test_proved_by_foreign_keys(make):
    d = make(ALONE, alone())
    assert (refused(d), hints(d)) == ([], [])


def test_printed_as_it_is_written(make):
    d = make(ALONE, alone())
    assert d.check_config("-v").stdout.count('shard = "account_id";') == 2


UNPROVED = 'is not proved to be the "account_id" of its "request"'
# What is done to the database, and what is then said of a message's shard.
CHANGES = {
    "no key": ("ALTER TABLE message DROP CONSTRAINT message_account_id_request_id_fkey",
               f'{UNPROVED}: ALTER TABLE "public"."message" ADD FOREIGN KEY ("account_id", "request_id")'
               ' REFERENCES "public"."request" ("account_id", "id"), or name both in by and from, if a row where they differ is'
               " nobody's"),
    "key without the shard": ("ALTER TABLE message DROP CONSTRAINT message_account_id_request_id_fkey,"
                              " ADD FOREIGN KEY (request_id) REFERENCES request", UNPROVED),
    "another pair": ("ALTER TABLE request ADD other int NOT NULL DEFAULT 1, ADD UNIQUE (other, id); ALTER TABLE message"
                     " DROP CONSTRAINT message_account_id_request_id_fkey,"
                     " ADD FOREIGN KEY (account_id, request_id) REFERENCES request (other, id)", UNPROVED),
    "key of a partition": ("ALTER TABLE message DROP CONSTRAINT message_account_id_request_id_fkey; ALTER TABLE message_p"
                           " ADD CONSTRAINT own FOREIGN KEY (account_id, request_id) REFERENCES request (account_id, id)",
                           f'{UNPROVED}, because foreign key "own" is one of partition public.message_p alone: add it to the whole'
                           ' table'),
    "disabled triggers": ("ALTER TABLE message_p DISABLE TRIGGER ALL",
                          f'{UNPROVED}, because foreign key "message_account_id_request_id_fkey" has triggers that are disabled: ALTER'
                          ' TABLE public.message_p ENABLE TRIGGER ALL'),
    "may be NULL": ("ALTER TABLE message ALTER account_id DROP NOT NULL",
                    'can be NULL, and a row without it would be missed: ALTER TABLE "public"."message" ALTER COLUMN "account_id" SET'
                    ' NOT NULL'),
    "a third column is NULL": ("ALTER TABLE request ADD kind text DEFAULT 'k', ADD UNIQUE (account_id, id, kind); ALTER TABLE message"
                               " DROP CONSTRAINT message_account_id_request_id_fkey, ADD CONSTRAINT three"
                               " FOREIGN KEY (account_id, request_id, kind) REFERENCES request (account_id, id, kind)",
                               f'{UNPROVED}, because a row whose "kind" is NULL escapes foreign key "three": ALTER TABLE'
                               ' "public"."message" ALTER COLUMN "kind" SET NOT NULL'),
}


@pytest.mark.parametrize("change", CHANGES)
def test_refused_where_written(make, change):
    sql, text = CHANGES[change]
    d = make(f"{ALONE}; {sql}", alone())
    said = refused(d)
    assert len(said) == 1 and said[0].startswith(f'table "message": shard "account_id" {text}'), said


@pytest.mark.parametrize("change", CHANGES)
def test_left_out_where_it_is_the_default(make, change):
    sql, text = CHANGES[change]
    d = make(f"{ALONE}; {sql}", alone(shard=None))
    assert refused(d) == []
    [hint] = hints(d)
    assert hint.startswith(f'table "message": each of its statements asks all its partitions, because shard "account_id" {text}')


# Types, rules and columns: what the message's account is, and its shard's complaint.
COLUMNS = {
    "numeric": 'is numeric: a shard is a whole number, a uuid or a text, and no two spellings of it are equal',
    "text": 'is text, and "account_id" of "request" is integer: ALTER TABLE "public"."message" ALTER COLUMN "account_id" TYPE integer',
    "folded": 'is text: a shard is a whole number, a uuid or a text, and no two spellings of it are equal',
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_types(make, kind):
    column = 'text COLLATE folded' if kind == "folded" else kind
    d = make("CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
             + ALONE.replace("message (account_id int", f"message (account_id {column}")
             .replace(",\n        FOREIGN KEY (account_id, request_id) REFERENCES request (account_id, id)) PARTITION BY LIST (account_id)", ")")
             .replace("CREATE TABLE message_p PARTITION OF message DEFAULT;", ""), alone())
    assert refused(d) == [f'table "message": shard "account_id" {COLUMNS[kind]}']


def test_integers_of_two_widths_and_domains_are_the_same(make):
    d = make("CREATE DOMAIN account AS bigint;" + ALONE.replace("message (account_id int", "message (account_id account"), alone())
    assert refused(d) == []


def test_not_null_of_a_domain_lets_some_in(make):
    d = make("CREATE DOMAIN account AS int NOT NULL;" + ALONE.replace("message (account_id int NOT NULL", "message (account_id account"),
             alone())
    assert [line.split(":")[1] for line in refused(d)] == [' shard "account_id" can be NULL, and a row without it would be missed']


def test_rules(make):
    kept = alone({"clear": ["name", "email"], "keep": ["address_id", "account_id"]}, {"keep": ["account_id"]},
                 anonymize=None, set={"account_id": "0"}, clear=["body", "kind"])
    d = make(ALONE, kept)
    assert refused(d) == ['table "message": shard "account_id" is under set, and an anonymized row would lose its shard: put it under keep']


def test_rules_of_another_name(make):
    """The same rows have a second name, whose rule would take the shard away from the first."""
    later = {"table": "message", "of": "request", "by": "request_id", "where": "kind = 'late'", "set": {"account_id": "0"},
             "clear": ["body", "kind"]}
    rules = {"clear": ["name", "email"], "keep": ["address_id", "account_id"]}
    d = make(ALONE, model({"shard": "account_id", **rules}, {"keep": ["account_id"]}, message=OF_REQUEST, later=later))
    assert refused(d) == ['table "message": shard "account_id" is under set, and an anonymized row would lose its shard: put it under keep']


def test_a_column_that_does_not_exist(make):
    d = make(ALONE, alone(shard="tenant"))
    assert refused(d) == ['table "message": shard "tenant" is not a column of public.message']


def test_the_contacts_own(make):
    d = make(ALONE, alone({"shard": "address_id"}, shard=None))
    assert refused(d) == ['table "contact": shard "address_id" can be NULL, and a row without it would be missed: ALTER TABLE'
                          ' "public"."contact" ALTER COLUMN "address_id" SET NOT NULL']


def test_a_chain_with_a_gap(make):
    """The request's shard is not proved, so that of its messages is not either, whatever their own foreign key says."""
    d = make(ALONE + "; ALTER TABLE request DROP CONSTRAINT request_account_id_contact_id_fkey", alone())
    [said] = refused(d)
    assert said.startswith('table "message": shard "account_id" needs that of "request" above it, where "account_id" is not proved to be'
                           ' the "account_id" of its "contact": ALTER TABLE "public"."request" ADD')


def test_a_second_name_is_proved_for_itself(make):
    """A message of another account's contact hangs off it by a second link."""
    more = {"table": "message", "of": "contact", "by": "sender_id", "shard": "account_id", "anonymize": "delete"}
    d = make(ALONE + "; ALTER TABLE message ADD sender_id bigint REFERENCES contact; CREATE INDEX ON message (sender_id)",
             model({"shard": "account_id"}, message=OF_REQUEST, sent=more))
    [said] = refused(d)
    assert said.startswith('table "sent": shard "account_id" is not proved to be the "account_id" of its "contact"')
    d.configure(model=model({"shard": "account_id"}, message=OF_REQUEST, sent={**more, "shard": None}))
    assert refused(d) == []
    assert [hint.split(":")[0] for hint in hints(d)] == ['table "sent"']


ADDRESS = """; CREATE TABLE address (id bigint PRIMARY KEY, account_id int NOT NULL, UNIQUE (account_id, id))"""
OF_CONTACT = {"table": "address", "key": "id", "of": "contact", "by": "id", "from": "address_id", "shared": True,
              "shard": "account_id", "anonymize": "delete"}


def test_shared_rows_by_the_key_of_those_that_use_them(make):
    d = make(ALONE + ADDRESS + "; ALTER TABLE contact ADD FOREIGN KEY (account_id, address_id) REFERENCES address (account_id, id)",
             model({"shard": "account_id"}, message=OF_REQUEST, address=OF_CONTACT))
    assert refused(d) == []
    d.pg.sql(d.db, "ALTER TABLE contact DROP CONSTRAINT contact_account_id_address_id_fkey, ADD FOREIGN KEY (address_id) REFERENCES address")
    assert refused(d) == ['table "address": shard "account_id" is not proved to be the "account_id" of its "contact": ALTER TABLE'
                          ' "public"."contact" ADD FOREIGN KEY ("account_id", "address_id") REFERENCES "public"."address"'
                          ' ("account_id", "id"), or name both in by and from, if a row where they differ is nobody\'s']


def test_copies_can_be_in_each_shard(make):
    d = make(ALONE + "; CREATE TABLE mail (id bigint PRIMARY KEY, account_id int NOT NULL, email text); CREATE INDEX ON mail (email);"
             " CREATE INDEX ON contact (email)",
             model({"shard": "account_id"}, message=OF_REQUEST,
                   mail={"table": "mail", "key": "id", "of": "contact", "match": {"column": "email", "of": "email"},
                         "shard": "account_id", "anonymize": "delete"}))
    assert refused(d) == ['table "mail": shard "account_id" is not proved to be the "account_id" of its "contact": a copied value can be'
                          ' in rows of each shard: leave shard out here']


# Tables in partitions by account, and a contact that was merged into another.
MERGED = TENANT + """; ALTER TABLE contact ADD merged_into bigint, ADD FOREIGN KEY (account_id, merged_into) REFERENCES contact;
    ALTER TABLE message ADD id bigint NOT NULL DEFAULT 1, ADD PRIMARY KEY (account_id, id)"""
MERGE = {"table": "contact", "of": "contact", "by": ["account_id", "merged_into"], "delete": "detach", "anonymize": "keep"}


def merged(**contact):
    return model({"key": BOTH, **contact}, {"key": BOTH, "by": ["account_id", "contact_id"]}, message=MESSAGE, merge=MERGE)


def test_the_column_of_the_partitions_goes_first(make):
    """No shard, or the wrong one: nothing else is advised, such as NOT NULL in a column that a detached row needs."""
    d = make(MERGED, merged())
    better = ('3 tables have partitions or shards of Citus by the contact\'s "account_id", and each of their statements asks all of them:'
              ' say shard = "account_id" on contact')
    assert (refused(d), hints(d)) == ([], [better])
    d.configure(model=merged(shard="id"))
    assert (refused(d), hints(d)) == ([], [better])
    d.configure(model=merged(shard="account_id"))
    assert (refused(d), hints(d)) == ([], [])


def test_no_shard_is_proposed_without_a_proof(make):
    d = make(ALONE + "; ALTER TABLE request DROP CONSTRAINT request_account_id_contact_id_fkey",
             model(message={k: v for k, v in OF_REQUEST.items() if k != "shard"}))
    assert (refused(d), hints(d)) == ([], [])


def test_a_refused_one_is_told_once(make):
    d = make(f"{ALONE}; {CHANGES['may be NULL'][0]}", alone())
    assert len(refused(d)) == 1
    assert [hint for hint in check(d, 1)["hints"] if "partitions" in hint] == []


def test_a_rule_that_needs_a_null(make):
    """The rule on it is refused as such, and nobody is told to allow NULL in it."""
    d = make(ALONE, alone({"clear": ["name", "email"], "keep": ["address_id", "account_id"]}, {"keep": ["account_id"]},
                          anonymize=None, clear=["body", "kind", "account_id"]))
    assert "DROP NOT NULL" not in d.check_config(check=False).stderr
    assert refused(d) == ['table "message": shard "account_id" is under clear, and an anonymized row would lose its shard: put it under keep']


# By contact: the shard is the contact's key, and the others have it in a column of their own.
BY_CONTACT = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text) PARTITION BY HASH (id);
    CREATE TABLE request (contact_id bigint NOT NULL REFERENCES contact, id bigint, at timestamptz,
        PRIMARY KEY (contact_id, id)) PARTITION BY HASH (contact_id);
    CREATE TABLE message (contact_id bigint NOT NULL, request_id bigint, at date NOT NULL,
        FOREIGN KEY (contact_id, request_id) REFERENCES request) PARTITION BY RANGE (at);
    CREATE TABLE contact_p PARTITION OF contact FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE request_p PARTITION OF request FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE TABLE message_p PARTITION OF message DEFAULT PARTITION BY HASH (contact_id);
    CREATE TABLE message_q PARTITION OF message_p FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    CREATE INDEX ON message (contact_id, request_id)"""


def by_contact(request, message):
    return model({"shard": "id"}, {"key": ["contact_id", "id"], "shard": request},
                 message={"table": "message", "of": "request", "by": ["contact_id", "request_id"], "shard": message, "anonymize": "delete"})


def test_by_contact(make):
    d = make(BY_CONTACT, by_contact("contact_id", "contact_id"))
    assert (refused(d), hints(d)) == ([], [])
    d.configure(model=by_contact("id", None))
    assert refused(d) == ['table "request": shard "id" is not the "id" of its "contact", which the link has in "contact_id": say shard ='
                          ' "contact_id", or leave it out']
    d.configure(model=by_contact(None, None))
    assert refused(d) == []
    assert hints(d) == [
        'table "request": each of its statements asks all its partitions, because no shard narrows them: say shard = "contact_id"',
        'table "message": each of its statements asks all its partitions, because shard "id" is not a column of public.message']


def test_partitions_that_are_not_made_by_the_shard(make):
    d = make(ALONE.replace("PARTITION BY LIST (account_id)", "PARTITION BY RANGE (kind, account_id)"), alone())
    assert refused(d) == []
    assert hints(d) == ['table "message": each of its statements asks all its partitions, because they are not made by its shard "account_id"']


# --- What a pass leaves, with and without -----------------------------------------------------------

# Twelve contacts in three accounts; those with an even number are due.  Addresses and senders cross no account, copies do.
ROWS = ALONE + """;
    CREATE TABLE address (id bigint PRIMARY KEY, account_id int NOT NULL, street text, UNIQUE (account_id, id));
    CREATE TABLE mail (id bigint PRIMARY KEY, email text, body text);
    ALTER TABLE message ADD id bigint, ADD sender_id bigint REFERENCES contact;
    ALTER TABLE contact DROP CONSTRAINT contact_account_id_address_id_key,
        ADD FOREIGN KEY (account_id, address_id) REFERENCES address (account_id, id);
    CREATE INDEX ON message (sender_id); CREATE INDEX ON mail (email); CREATE INDEX ON contact (email);
    CREATE INDEX ON contact (account_id, address_id); CREATE INDEX ON contact (address_id);
    INSERT INTO address SELECT n, 1 + n % 3, 's' FROM generate_series(1, 6) AS n;
    INSERT INTO contact SELECT n, 1 + n % 3, 'n' || n, n || '@x', 1 + (n + 2) % 6 FROM generate_series(1, 12) AS n;
    INSERT INTO request SELECT n * 10, 1 + n % 3, n, CASE n % 2 WHEN 0 THEN '2015-01-01' ELSE '2099-01-01' END::timestamptz
        FROM generate_series(1, 12) AS n;
    INSERT INTO message SELECT 1 + n % 3, n * 10, 'k', 'b', n, 1 + n * 5 % 12 FROM generate_series(1, 12) AS n;
    INSERT INTO mail SELECT n, n || '@x', 'b' FROM generate_series(1, 12) AS n"""


def whole(shard):
    """The model of it, with a shard or without."""
    one = {"shard": "account_id"} if shard else {}
    message = {"table": "message", "of": "request", "by": "request_id", "anonymize": "delete"}
    return model({**one, "clear": ["name", "email"], "keep": ["id", "account_id", "address_id"]},
                 {"keep": ["id", "account_id", "contact_id", "at"]}, message={**message, **one},
                 sent={**message, "of": "contact", "by": "sender_id"},
                 address={"table": "address", "key": "id", "of": "contact", "by": "id", "from": "address_id", "shared": True,
                          "clear": ["street"], "keep": ["account_id"], **one},
                 mail={"table": "mail", "key": "id", "of": "contact", "match": {"column": "email", "of": "email"}, "anonymize": "delete"})


@pytest.mark.parametrize("integrity", ["set", "triggers"])
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_a_pass_leaves_the_same(make, action, integrity):
    left, counted = [], []
    for shard in (True, False):
        d = make(ROWS, whole(shard), policy(action), limits={"max_share": 1.0, "integrity": integrity, "batch_rows": 3})
        d.once()
        job = d.jobs()[-1]
        assert (job["status"], failures(d)) == ("done", [])
        counted.append((job["counters"]["treated"], job["counters"]["rows"]))
        left.append([d.pg.sql(d.db, f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in ("contact", "request", "message", "address", "mail")])
    assert left[0] == left[1] and counted[0] == counted[1]
    assert counted[0][0] == 6
    assert again(d, action)["counters"]["treated"] == 0
