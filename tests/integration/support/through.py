"""
A helpdesk whose requests have several contacts, in several shapes, and the rule that a pass is held against: plain
Python over the rows, without a word of SQL that the program itself could have got wrong.

A contact is due when it has a request, all of its requests are closed and old, and no hold covers it.  What hangs off
it alone goes with it.  A request goes, or loses its content, with the last of its contacts.
"""

import random

from support.harness import libconfig
from support.small import policy

OLD, NEW = "2015-01-01 12:00+00", "2099-01-01 12:00+00"
PLAIN = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text, created timestamptz);
    CREATE TABLE ticket (id bigint PRIMARY KEY, at timestamptz, status text, subject text);
    CREATE TABLE ticket_contact (ticket_id bigint NOT NULL REFERENCES ticket, contact_id bigint NOT NULL REFERENCES contact,
        note text, PRIMARY KEY (ticket_id, contact_id));
    CREATE INDEX ON ticket_contact (contact_id);
    CREATE TABLE message (id bigint PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES ticket, body text);
    CREATE INDEX ON message (ticket_id)"""
CASCADING = PLAIN.replace("REFERENCES ticket,", "REFERENCES ticket ON DELETE CASCADE,") \
                 .replace("REFERENCES contact,", "REFERENCES contact ON DELETE CASCADE,")
PARTITIONED = """
    CREATE TABLE contact (id bigint PRIMARY KEY, name text, created timestamptz) PARTITION BY HASH (id);
    CREATE TABLE contact_0 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE contact_1 PARTITION OF contact FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE ticket (id bigint PRIMARY KEY, at timestamptz, status text, subject text) PARTITION BY RANGE (id);
    CREATE TABLE ticket_0 PARTITION OF ticket FOR VALUES FROM (0) TO (40);
    CREATE TABLE ticket_1 PARTITION OF ticket DEFAULT;
    CREATE TABLE ticket_contact (ticket_id bigint NOT NULL REFERENCES ticket, contact_id bigint NOT NULL REFERENCES contact,
        note text, PRIMARY KEY (ticket_id, contact_id)) PARTITION BY HASH (contact_id);
    CREATE TABLE ticket_contact_0 PARTITION OF ticket_contact FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE ticket_contact_1 PARTITION OF ticket_contact FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE INDEX ON ticket_contact (contact_id);
    CREATE TABLE message (id bigint PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES ticket, body text);
    CREATE INDEX ON message (ticket_id)"""
ACCOUNTS = """
    CREATE TABLE contact (account_id int, id bigint, name text, created timestamptz, PRIMARY KEY (account_id, id));
    CREATE TABLE ticket (account_id int, id bigint, at timestamptz, status text, subject text, PRIMARY KEY (account_id, id));
    CREATE TABLE ticket_contact (account_id int NOT NULL, ticket_id bigint NOT NULL, contact_id bigint NOT NULL, note text,
        PRIMARY KEY (account_id, ticket_id, contact_id), FOREIGN KEY (account_id, ticket_id) REFERENCES ticket,
        FOREIGN KEY (account_id, contact_id) REFERENCES contact);
    CREATE INDEX ON ticket_contact (account_id, contact_id);
    CREATE TABLE message (account_id int, id bigint, ticket_id bigint NOT NULL, body text, PRIMARY KEY (account_id, id),
        FOREIGN KEY (account_id, ticket_id) REFERENCES ticket);
    CREATE INDEX ON message (account_id, ticket_id)"""
QUOTED = """
    CREATE SCHEMA "Help Desk";
    CREATE TABLE "Help Desk"."Person" ("Key" text PRIMARY KEY, name text, created timestamptz);
    CREATE TABLE "Help Desk"."Ticket" ("No." uuid PRIMARY KEY, at timestamptz, status text, subject text);
    CREATE TABLE "Help Desk"."Ticket's people" (row_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        "the ticket" uuid NOT NULL REFERENCES "Help Desk"."Ticket", "at" text NOT NULL REFERENCES "Help Desk"."Person",
        role text, note text, UNIQUE ("the ticket", "at", role));
    CREATE INDEX ON "Help Desk"."Ticket's people" ("at");
    CREATE TABLE "Help Desk".message (id bigint PRIMARY KEY, "t" uuid NOT NULL REFERENCES "Help Desk"."Ticket", body text);
    CREATE INDEX ON "Help Desk".message ("t")"""


class Shape:
    """Tables and columns by what they are for.  account: keys are (account_id, number)."""

    def __init__(self, name, schema, tables="contact ticket ticket_contact message".split(), columns="id id ticket_id contact_id ticket_id".split(),
                 account=False, kinds=("bigint", "bigint"), twice=False):
        self.name, self.schema, self.account, self.kinds, self.twice = name, schema, account, kinds, twice
        self.contact, self.ticket, self.join, self.message = tables
        self.key, self.ticket_key, self.of_ticket, self.of_contact, self.message_of = columns

    def __str__(self):
        return self.name

    def sql_table(self, table):
        return ".".join(f'"{part}"' for part in table.split(".", 1))

    # A number of ours as the database has it, as SQL, and back.

    def person(self, n):
        return f"'it''s {n}'" if self.kinds[0] == "text" else str(n)

    def ticket_number(self, n):
        return f"'00000000-0000-0000-0000-{n:012d}'" if self.kinds[1] == "uuid" else str(n)

    def number(self, value):
        digits = str(value).rsplit("-", 1)[-1].rsplit(" ", 1)[-1].rsplit(",", 1)[-1].strip("()'\"")
        return int(digits)

    def key_text(self, n):
        """As a person writes the key of contact n."""
        return f"({1 + n % 3},{n})" if self.account else f"it's {n}" if self.kinds[0] == "text" else str(n)

    def columns(self, column):
        return ["account_id", column] if self.account else column

    def model(self, **more):
        keys = {"contact": self.columns(self.key), "request": self.columns(self.ticket_key)}
        through = {"table": self.join, "request": self.columns(self.of_ticket), "contact": self.columns(self.of_contact),
                   "archive": True, "clear": ["note"], "keep": ["role"] if self.twice else None}
        if self.twice:
            through["key"] = "row_no"
        tables = {
            "contact": {"table": self.contact, "key": keys["contact"], "created": "created", "archive": True, "clear": ["name"], "keep": ["created"]},
            "request": {"table": self.ticket, "key": keys["request"], "through": {k: v for k, v in through.items() if v is not None},
                        "date": "at", "due_when": "status = 'closed'", "archive": True, "clear": ["subject"], "keep": ["at", "status"]},
            "message": {"table": self.message, "of": "request", "by": self.columns(self.message_of), "archive": True, "anonymize": "delete"},
            **more}
        return "model: {\n" + "\n".join(f"  {name}: {libconfig(t)};" for name, t in tables.items()) + "\n};\n"


SHAPES = [
    Shape("plain", PLAIN), Shape("cascading", CASCADING), Shape("partitioned", PARTITIONED), Shape("accounts", ACCOUNTS, account=True),
    Shape("quoted", QUOTED, ["Help Desk.Person", "Help Desk.Ticket", "Help Desk.Ticket's people", "Help Desk.message"],
          ["Key", "No.", "the ticket", "at", "t"], kinds=("text", "uuid"), twice=True)]


class World:
    """
    contacts: {number: name}; tickets: {number: (old, closed)}; pairs: {(ticket, contact)}; messages: {number: ticket}.
    """

    def __init__(self, seed, contacts=60, tickets=90):
        dice = random.Random(seed)
        self.contacts = {n: f"name {n}" for n in range(1, contacts + 1)}
        self.tickets = {n: (dice.random() < 0.85, dice.random() < 0.93) for n in range(1, tickets + 1)}
        self.pairs = set()
        for ticket in self.tickets:
            # In an account are those whose number modulo 3 is the ticket's.
            own = [n for n in self.contacts if n % 3 == ticket % 3 and n > 3]
            self.pairs |= {(ticket, n) for n in dice.sample(own, dice.choice([0, 1, 1, 2, 2, 3, 5]))}
        self.messages = {10 * t + i: t for t in self.tickets for i in range(dice.choice([0, 1, 2]))}
        self.twins = {p for p in sorted(self.pairs) if dice.random() < 0.1}

    def load(self, pg, db, shape):
        def rows(table, values):
            return [f"INSERT INTO {shape.sql_table(table)} VALUES {', '.join(values)}"] if values else []

        def account(n):
            return f"{1 + n % 3}, " if shape.account else ""

        roles = {p: ["a", "b"] if shape.twice and p in self.twins else ["a"] for p in self.pairs}
        joined = [(p, role) for p in sorted(self.pairs) for role in roles[p]]
        named = f' ("{shape.of_ticket}", "{shape.of_contact}", role, note)' if shape.twice else ""
        script = [
            *rows(shape.contact, [f"({account(n)}{shape.person(n)}, '{name}', '{OLD}')" for n, name in self.contacts.items()]),
            *rows(shape.ticket, [f"({account(n)}{shape.ticket_number(n)}, '{OLD if old else NEW}', '{'closed' if closed else 'open'}', 'about {n}')"
                                 for n, (old, closed) in self.tickets.items()]),
            *[s.replace(" VALUES", f"{named} VALUES") for s in rows(shape.join, [
                f"({account(t)}{shape.ticket_number(t)}, {shape.person(c)}, {repr(role) + ', ' if shape.twice else ''}'{c} on {t}')"
                for (t, c), role in joined])],
            *rows(shape.message, [f"({account(t)}{n}, {shape.ticket_number(t)}, 'words {n}')" for n, t in self.messages.items()]),
            "ANALYZE"]
        pg.sql(db, ";\n".join(script))

    # The rule.

    def of(self, contact):
        return {t for t, c in self.pairs if c == contact}

    def with_contact(self, ticket):
        return {c for t, c in self.pairs if t == ticket}

    def due(self, held=()):
        return {n for n in self.contacts if self.of(n) and n not in held and all(all(self.tickets[t]) for t in self.of(n))}

    def last_gone(self, gone):
        """The requests of which all contacts are among those, and there is one."""
        return {t for t in self.tickets if self.with_contact(t) and self.with_contact(t) <= gone}

    def without(self, gone):
        """What a deletion of these leaves."""
        tickets = set(self.tickets) - self.last_gone(gone)
        return {"contacts": {(n, name) for n, name in self.contacts.items() if n not in gone},
                "tickets": {(t, f"about {t}") for t in tickets},
                "pairs": {(t, c, f"{c} on {t}") for t, c in self.pairs if c not in gone},
                "messages": {n for n, t in self.messages.items() if t in tickets}}

    def emptied(self, gone, tickets):
        """What an anonymization of these contacts, and of the content of these requests, leaves."""
        return {"contacts": {(n, None if n in gone else name) for n, name in self.contacts.items()},
                "tickets": {(t, None if t in tickets else f"about {t}") for t in self.tickets},
                "pairs": {(t, c, None if c in gone else f"{c} on {t}") for t, c in self.pairs},
                "messages": {n for n, t in self.messages.items() if t not in tickets}}


def left(pg, db, shape):
    """The same of the database."""
    number, sql = shape.number, shape.sql_table
    return {"contacts": {(number(k), name) for k, name in pg.sql(db, f'SELECT "{shape.key}", name FROM {sql(shape.contact)}')},
            "tickets": {(number(k), s) for k, s in pg.sql(db, f'SELECT "{shape.ticket_key}", subject FROM {sql(shape.ticket)}')},
            "pairs": {(number(t), number(c), note) for t, c, note in pg.sql(
                db, f'SELECT "{shape.of_ticket}", "{shape.of_contact}", note FROM {sql(shape.join)}')},
            "messages": {n for (n,) in pg.sql(db, f"SELECT id FROM {sql(shape.message)}")}}


def deletes(**more):
    return policy(archive="full", **more)
