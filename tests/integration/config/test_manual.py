"""Each example of retentiond.conf(5), section CONSTRUCTS, is run as it stands there."""

import re
from pathlib import Path

import pytest

from support.harness import REPO
from support.small import again, failures, policy

# The same code as plan/test_constructs.py, which sanitizers watch.
pytestmark = pytest.mark.unsanitized("watched in plan/test_constructs.py")
PAGE = (REPO / "conf" / "retentiond.conf.5").read_text()
SECTION = PAGE.split("\n.Sh CONSTRUCTS\n")[1].split("\n.Sh ")[0]
LITERAL = re.compile(r"\.Bd -literal -offset indent\n(.*?)\n\.Ed", re.S)
BASE, *EXAMPLES = re.split(r"^\.Ss ", SECTION, flags=re.M)
EXAMPLES = {e.split("\n", 1)[0]: LITERAL.search(e).group(1) for e in EXAMPLES}
TABLE = re.compile(r"^(\w+):.*(?:\n .*)*", re.M)  # what is indented goes on

# Contacts 1 and 2 are due, 3 is not.
SCHEMA = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text, email text, phone text, created_at timestamptz DEFAULT '2010-01-01');
    CREATE TABLE request (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, status text, subject text,
        updated_at timestamptz);
    CREATE TABLE message (id bigint PRIMARY KEY, request_id bigint REFERENCES request, body text, sent_at timestamptz);
    CREATE INDEX ON request (contact_id); CREATE INDEX ON message (request_id);
    INSERT INTO contact (id, name, email, phone) SELECT n, 'Name' || n, n || '@x', '0' || n || '00' FROM generate_series(1, 3) n;
    INSERT INTO request SELECT n * 10, n, 'closed', 's' || n, CASE WHEN n < 3 THEN '2015-01-01'::timestamptz ELSE now() END
        FROM generate_series(1, 3) n;
    INSERT INTO message SELECT n * 100, n * 10, 'Name' || n || ' of Name3 called', now() FROM generate_series(1, 3) n;
"""

# The same rows in tables with hash partitions.
PARTITIONS = """
    ALTER SCHEMA public RENAME TO plain; CREATE SCHEMA public;
    CREATE TABLE public.contact ({account} id bigint, name text, email text, phone text, created_at timestamptz, PRIMARY KEY ({key}))
        PARTITION BY HASH ({by});
    CREATE TABLE public.request ({account} contact_id bigint NOT NULL, id bigint, status text, subject text, updated_at timestamptz,
        PRIMARY KEY ({of}, id), FOREIGN KEY ({link}) REFERENCES public.contact) PARTITION BY HASH ({of});
    CREATE TABLE public.message ({account} contact_id bigint NOT NULL, request_id bigint, body text, sent_at timestamptz,
        FOREIGN KEY ({of}, request_id) REFERENCES public.request) PARTITION BY HASH ({of});
    DO $$ BEGIN FOR n IN 0..8 LOOP
        EXECUTE format('CREATE TABLE public.p%s PARTITION OF public.%I FOR VALUES WITH (MODULUS 3, REMAINDER %s)', n,
            (ARRAY['contact', 'request', 'message'])[1 + n / 3], n % 3); END LOOP; END $$;
    CREATE INDEX ON public.request ({link}); CREATE INDEX ON public.message ({of}, request_id);
    INSERT INTO public.contact (id, name, email, phone, created_at) TABLE plain.contact;
    INSERT INTO public.request (id, contact_id, status, subject, updated_at) TABLE plain.request;
    INSERT INTO public.message (contact_id, request_id, body, sent_at)
        SELECT r.contact_id, r.id, m.body, m.sent_at FROM plain.message AS m JOIN plain.request AS r ON r.id = m.request_id;
    DROP SCHEMA plain CASCADE"""

# Title: what the database has beside that, and queries with what is left after a deletion and an anonymization.
CASES = {
    "Polymorphic links": ("""
        CREATE TABLE comment (record_id bigint, record_type text, text text);
        INSERT INTO comment SELECT id, 'Contact', 'c' FROM contact UNION ALL SELECT id, 'Request', 'r' FROM request
            UNION ALL SELECT 1, 'Product', 'p'""",
        "SELECT record_type, record_id FROM comment ORDER BY 1, 2",
        [("Contact", 3), ("Product", 1), ("Request", 30)], [("Contact", 3), ("Product", 1), ("Request", 30)]),
    "Reverse links": ("""
        CREATE TABLE blob (id bigint PRIMARY KEY, data text);
        CREATE TABLE attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES message, blob_id bigint UNIQUE REFERENCES blob);
        CREATE INDEX ON attachment (message_id);
        INSERT INTO blob SELECT n, 'b' FROM generate_series(1, 3) n;
        INSERT INTO attachment SELECT n, n * 100, n FROM generate_series(1, 3) n""",
        "SELECT id FROM blob", [(3,)], [(3,)]),
    "Keys of several columns": ("""
        CREATE TABLE deal (account_id int, id int, contact_id bigint REFERENCES contact, PRIMARY KEY (account_id, id));
        CREATE TABLE quote (account_id int, deal_id int, total int, FOREIGN KEY (account_id, deal_id) REFERENCES deal);
        CREATE INDEX ON deal (contact_id); CREATE INDEX ON quote (account_id, deal_id);
        INSERT INTO deal VALUES (7, 1, 1), (8, 1, 3), (7, 2, 3), (8, 2, 2);
        INSERT INTO quote SELECT account_id, id, 5 FROM deal""",
        "SELECT 'deal', account_id, id FROM deal UNION ALL SELECT 'quote', account_id, deal_id FROM quote ORDER BY 1, 2",
        [("deal", 7, 2), ("deal", 8, 1), ("quote", 7, 2), ("quote", 8, 1)],
        [("deal", 7, 2), ("deal", 8, 1), ("quote", 7, 2), ("quote", 8, 1)]),
    "Several accounts in one database": ("""
        ALTER TABLE message DROP CONSTRAINT message_request_id_fkey; ALTER TABLE request DROP CONSTRAINT request_contact_id_fkey;
        ALTER TABLE contact ADD account_id int DEFAULT 7, DROP CONSTRAINT contact_pkey, ADD PRIMARY KEY (account_id, id);
        ALTER TABLE request ADD account_id int DEFAULT 7, DROP CONSTRAINT request_pkey, ADD PRIMARY KEY (account_id, id),
            ADD FOREIGN KEY (account_id, contact_id) REFERENCES contact;
        ALTER TABLE message ADD account_id int DEFAULT 7, ADD FOREIGN KEY (account_id, request_id) REFERENCES request;
        INSERT INTO contact (id, name, account_id) VALUES (1, 'Name1', 8);
        INSERT INTO request VALUES (10, 1, 'closed', 's', now(), 8); INSERT INTO message VALUES (400, 10, 'm', now(), 8)""",
        "SELECT account_id, id, name, (SELECT count(*) FROM message AS m WHERE (m.account_id, m.request_id) = (c.account_id, c.id * 10))"
        " FROM contact AS c ORDER BY 1, 2",
        [(7, 3, "Name3", 1), (8, 1, "Name1", 1)],
        [(7, 1, "C_(7,1)", 0), (7, 2, "C_(7,2)", 0), (7, 3, "Name3", 1), (8, 1, "Name1", 1)]),
    "Partitions by account": (PARTITIONS.format(account="account_id int DEFAULT 7,", by="account_id", key="account_id, id", of="account_id",
                                                link="account_id, contact_id") + """;
        INSERT INTO contact (account_id, id, name) VALUES (8, 1, 'Name1');
        INSERT INTO request (account_id, id, contact_id, status, updated_at) VALUES (8, 10, 1, 'closed', now());
        INSERT INTO message (account_id, contact_id, request_id) VALUES (8, 1, 10)""",
        "SELECT account_id, id, name, (SELECT count(*) FROM message AS m WHERE (m.account_id, m.request_id) = (c.account_id, c.id * 10))"
        " FROM contact AS c ORDER BY 1, 2",
        [(7, 3, "Name3", 1), (8, 1, "Name1", 1)],
        [(7, 1, "C_(7,1)", 0), (7, 2, "C_(7,2)", 0), (7, 3, "Name3", 1), (8, 1, "Name1", 1)]),
    "Partitions by contact": (PARTITIONS.format(account="", by="id", key="id", of="contact_id", link="contact_id"),
        "SELECT id, name, (SELECT count(*) FROM message AS m WHERE m.contact_id = c.id) FROM contact AS c ORDER BY 1",
        [(3, "Name3", 1)], [(1, "C_1", 0), (2, "C_2", 0), (3, "Name3", 1)]),
    "Shared rows": ("""
        CREATE TABLE address (id bigint PRIMARY KEY, street text, city text);
        CREATE TABLE staff (id bigint PRIMARY KEY, address_id bigint REFERENCES address);
        ALTER TABLE contact ADD address_id bigint REFERENCES address;
        INSERT INTO address SELECT n, 's', 'c' FROM generate_series(1, 3) n;
        INSERT INTO staff VALUES (1, 2); UPDATE contact SET address_id = id;
        INSERT INTO address VALUES (4, 'both', 'c'); INSERT INTO contact (id, name, address_id) VALUES (4, 'Name4', 4), (5, 'Name5', 4);
        INSERT INTO request VALUES (40, 4, 'closed', 's', '2015-01-01'), (50, 5, 'closed', 's', '2015-01-01')""",
        "SELECT id, street FROM address ORDER BY 1", [(2, "s"), (3, "s")], [(1, None), (2, "s"), (3, "s"), (4, None)]),
    "Joins without a key": ("""
        CREATE TABLE tag (id bigint PRIMARY KEY, name text);
        CREATE TABLE tagging (contact_id bigint REFERENCES contact, tag_id bigint REFERENCES tag, PRIMARY KEY (contact_id, tag_id));
        INSERT INTO tag SELECT n, 't' FROM generate_series(1, 3) n;
        INSERT INTO tagging VALUES (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)""",
        "SELECT id FROM tag ORDER BY 1", [(2,), (3,)], [(2,), (3,)]),
    "References to itself": ("""
        ALTER TABLE contact ADD merged_into bigint REFERENCES contact;
        UPDATE contact SET merged_into = 1 WHERE id = 3""",
        "SELECT id, merged_into FROM contact ORDER BY 1", [(3, None)], [(1, None), (2, None), (3, 1)]),
    "The same table twice": ("""
        CREATE TABLE call (id bigint PRIMARY KEY, caller_id bigint REFERENCES contact, called_id bigint REFERENCES contact);
        INSERT INTO call VALUES (1, 1, 2), (2, 1, 3), (3, 3, 2), (4, 3, 3), (5, NULL, 3)""",
        "SELECT id FROM call ORDER BY 1", [(4,), (5,)], [(4,), (5,)]),
    "Rows that stay and name the person": ("""
        CREATE TABLE notice (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, title text, text text NOT NULL, sent_at date);
        INSERT INTO notice SELECT n, n, 't' || n, 'x' || n FROM generate_series(1, 3) n""",
        "SELECT id, contact_id, title, text FROM notice ORDER BY 1",
        [(1, None, "Notice 1", ""), (2, None, "Notice 2", ""), (3, 3, "t3", "x3")],
        [(1, 1, None, ""), (2, 2, None, ""), (3, 3, "t3", "x3")]),
    "Documents": ("""
        ALTER TABLE contact ADD tags text[], ADD settings jsonb, ADD profile json;
        UPDATE contact SET tags = '{a}', settings = '{"birthday": 1, "theme": 2}', profile = '{"plan": 1, "city": 2}'""",
        "SELECT id, tags, settings, profile FROM contact ORDER BY 1",
        [(3, ["a"], {"birthday": 1, "theme": 2}, {"plan": 1, "city": 2})],
        [(1, None, {"theme": 2}, {"plan": 1}), (2, None, {"theme": 2}, {"plan": 1}),
         (3, ["a"], {"birthday": 1, "theme": 2}, {"plan": 1, "city": 2})]),
    "Documents that name the person": ("""
        CREATE TABLE audit (id bigint PRIMARY KEY, payload jsonb, what text);
        INSERT INTO audit SELECT n, jsonb_build_object('user', jsonb_build_object('id', n, 'name', 'x'), 'ip', 1), 'w' FROM generate_series(1, 3) n""",
        "SELECT id, payload FROM audit ORDER BY 1",
        [(1, {"ip": 1}), (2, {"ip": 1}), (3, {"ip": 1, "user": {"id": 3, "name": "x"}})],
        [(1, {"ip": 1}), (2, {"ip": 1}), (3, {"ip": 1, "user": {"id": 3, "name": "x"}})]),
    "Copies of a value": ("""
        CREATE TABLE mail_log (id bigint PRIMARY KEY, to_address text, sent_at timestamptz);
        INSERT INTO mail_log SELECT n, n || '@x' FROM generate_series(1, 4) n""",
        "SELECT id, to_address FROM mail_log ORDER BY 1", [(3, "3@x"), (4, "4@x")],
        [(1, "gone-1"), (2, "gone-2"), (3, "3@x"), (4, "4@x")]),
    "Files outside the database": ("""
        CREATE TABLE document (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, path text);
        CREATE TABLE scan (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, object text);
        INSERT INTO document SELECT n, n, 'd' || n FROM generate_series(1, 3) n;
        INSERT INTO scan SELECT n, n, 's' || n FROM generate_series(1, 3) n""",
        "SELECT d.path, s.object, (SELECT count(*) FROM retention.file_outbox) FROM document d, scan s",
        [("d3", "s3", 0)], [("d3", "s3", 0)]),
    "Texts that name the person": ("", "SELECT id, body FROM message ORDER BY 1", [(300, "Name3 of Name3 called")],
        [(100, "*** of Name3 called"), (200, "*** of Name3 called"), (300, "Name3 of Name3 called")]),
    "Kinds of contacts in one table": ("""
        ALTER TABLE contact ADD kind text DEFAULT 'person', ADD deleted_at timestamptz;
        UPDATE contact SET kind = 'company' WHERE id = 2;
        INSERT INTO contact (id, name, deleted_at) VALUES (4, 'Name4', now());
        INSERT INTO request VALUES (40, 4, 'closed', 's', '2015-01-01')""",
        "SELECT id, name FROM contact ORDER BY 1", [(2, "Name2"), (3, "Name3"), (4, "Name4")],
        [(1, "C_1"), (2, "Name2"), (3, "Name3"), (4, "Name4")]),
    "Values that must be there, and differ": ("""
        ALTER TABLE contact ADD login text UNIQUE; UPDATE contact SET login = name;
        ALTER TABLE contact ALTER login SET NOT NULL, ALTER name SET NOT NULL""",
        "SELECT id, login, name ~ '^C_[0-9]+$' FROM contact ORDER BY 1", [(3, "Name3", False)],
        [(1, "gone-1", True), (2, "gone-2", True), (3, "Name3", False)]),
}


def text_of(example):
    """The example laid over the model that the section begins with."""
    tables = {m.group(1): m.group(0) for text in (LITERAL.search(BASE).group(1), example) for m in TABLE.finditer(text)}
    return "\n".join(["model: {", *tables.values(), "};", ""])


def test_all_are_run():
    assert list(EXAMPLES) == list(CASES)


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
@pytest.mark.parametrize("title", EXAMPLES)
def test_example(make, title, action, tmp_path):
    schema, query, deleted, anonymized = CASES[title]
    text = text_of(EXAMPLES[title])
    for path in ("/srv/crm/files", "/usr/local/bin/remove-object"):
        text = text.replace(path, str(tmp_path / Path(path).name))
    (tmp_path / "files").mkdir()
    (tmp_path / "remove-object").write_text(f"#!/bin/sh\necho $* >> {tmp_path}/calls\n")
    (tmp_path / "remove-object").chmod(0o755)
    d = make(SCHEMA + schema, text, policy(action), limits={"workers": 1, "max_share": 1.0})
    d.once()
    assert failures(d) == []
    assert d.pg.sql(d.db, query) == (deleted if action == "delete_contacts" else anonymized)
    assert again(d, action)["counters"]["treated"] == 0
