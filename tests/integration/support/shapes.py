"""
The reference CRM stored in other ways, with the same rows: as partitions of every kind, and with numbers that each
account counts anew.  A shape is made from the plain tables by rules, and so is its model from the plain one.

PostgreSQL wants the partition key in each unique index.  So a table with a key of one column can only be partitioned
by that key: contact, request and message, whose keys the model needs.  The other tables need none: their partition key
is the link, an account or a date, and their primary key holds it together with the id.

    hash16, hash64  contact, request, message by hash of the id; the others by hash of the link
    list8           the others by list of the account
    range           contact, request, message by range of the id; the history by date, the others by range of the link
    nested          range of the id, and in it hash; for the others list of the account, and in it hash of the link

In the composite shapes each key is (account_id, id), and so is each foreign key.  Contact 1 of one account and
contact 1 of another are two people, and so on down to the last attachment.

    composite         plain tables
    composite_hash16  all by hash of the account
    composite_list8   all by list of accounts
    composite_nested  all by list of accounts, and in it hash of account and id

In the sharded shapes the model names the shard column, and each partition has whole contacts.

    tenant_hash16, tenant_list8, tenant_nested  as the composite ones, shard = "account_id"
    person_hash16     all by hash of the contact; keys below the contact are (contact_id, id), as are foreign keys

In the dated shapes created_at of contact and request is no timestamp.

    epoch             milliseconds of requests; ISO texts of contacts
    composite_iso     composite, with ISO texts of requests in three forms, one after the other; microseconds of contacts
"""

from support.harness import CRM_MODEL, libconfig
from support.modelfile import read_model

# How many of a table's rows a contact can have: the owner of row 1203 of a table with 100 is contact 12.
ROOM = {"contact": 1, "contact_social": 10, "contact_document": 10, "request": 10, "message": 100, "message_copy": 1000,
        "attachment": 1000, "request_transfer": 100, "status_change": 100}
# The link of a table, and the table to which it leads.
LINK = {"contact_social": ("contact_id", "contact"), "contact_document": ("contact_id", "contact"),
        "files": ("record_id", None), "request": ("contact_id", "contact"), "message": ("request_id", "request"),
        "message_copy": ("messageId", "message"), "attachment": ("message_id", "message"),
        "request_transfer": ("request_id", "request"), "status_change": ("request_id", "request")}
KEYED = ("contact", "request", "message")
STAFF = ("team", "agent")
DATE = {"request_transfer": "at", "status_change": "at"}
ACCOUNTS = 20

# The tables, and what the rules need to know of them.
COLUMNS = """SELECT attname, attgenerated <> '' FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
INDEXES = """SELECT relname, indisunique, ARRAY(SELECT attname::text FROM unnest(indkey::int[]) WITH ORDINALITY AS k(n, i)
        JOIN pg_attribute ON attrelid = indrelid AND attnum = k.n ORDER BY k.i)
    FROM pg_index JOIN pg_class AS c ON c.oid = indrelid
    WHERE relnamespace = 'plain'::regnamespace AND NOT indisprimary ORDER BY indexrelid"""
FOREIGN_KEYS = """SELECT c.relname, attname, p.relname FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = conrelid
    JOIN pg_class AS p ON p.oid = confrelid JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE contype = 'f' AND connamespace = 'plain'::regnamespace ORDER BY k.oid"""

DIGEST = """SELECT md5(string_agg(row, E'\\n' ORDER BY row COLLATE "C")) FROM (SELECT to_jsonb(x)::text AS row FROM ({}) AS x) AS y"""
TABLES = (*STAFF, *ROOM, "files")


def hashes(count, columns):
    return f"HASH ({columns})", [(f"h{n}", f"WITH (MODULUS {count}, REMAINDER {n})") for n in range(count)]


def lists(count, accounts):
    """The accounts, dealt out to so many partitions."""
    return "LIST (account_id)", [(f"a{n}", f"IN ({', '.join(str(a) for a in range(1, accounts + 1) if a % count == n)})")
                                 for n in range(count)]


def ranges(column, bounds):
    """From bound to bound, and what lies outside."""
    return f"RANGE ({column})", [*((f"r{n}", f"FROM ({low}) TO ({high})") for n, (low, high) in enumerate(zip(bounds, bounds[1:]))),
                                 ("other", None)]


def months(step):
    return [f"(current_date - interval '{n} months')" for n in range(63, -1, -step)]


class Shape:
    """
    name; composite: whether keys are (account_id, id); accounts: how many there are, 0 where no table says it.
    person: whether keys below the contact are (contact_id, id).  shard: the shard column of the contact.
    dates: {table: (type, date_unit, SQL of a moment, SQL of such a value)} of created_at.
    parts(table) is a list of levels, the outermost first, each a pair of a partition key and [(suffix, bound)].
    """

    def __init__(self, name, parts=lambda table: [], accounts=0, composite=False, person=False, shard=None, dates=None):
        self.name, self.parts, self.accounts, self.composite = name, parts, accounts, composite
        self.person, self.shard, self.dates = person, shard, dates or {}

    def __str__(self):
        return self.name

    def has_account(self, table):
        return self.composite or bool(self.accounts) and table not in KEYED + STAFF

    def before_id(self, table):
        """The column that stands before the id in the table's keys; None: there is none."""
        if self.composite:
            return "account_id"
        return "contact_id" if self.person and table != "contact" and table not in STAFF else None

    def added(self, table):
        """The column that the plain table has not; None: there is none."""
        if self.has_account(table):
            return "account_id"
        known = ("contact_social", "contact_document", "request")
        return "contact_id" if self.before_id(table) == "contact_id" and table not in known else None

    def key_columns(self, table):
        """The columns of its primary key: the partition key first."""
        if self.before_id(table):
            return [self.before_id(table), "id"]
        levels = [key.split("(")[1].rstrip(")").strip('"') for key, _ in self.parts(table)]
        return list(dict.fromkeys([*levels, "id"]))

    # Rows: an expression for each column, over a row t of the plain table.

    def owner(self, table):
        """The plain number of the contact to which a row belongs; of a file of an agent, the agent's."""
        if table == "files":
            return "CASE t.record_type WHEN 'Request' THEN t.record_id / 10 ELSE t.record_id END"
        return f"t.id / {ROOM[table]}"

    def account(self, table):
        return f"(1 + mod({self.owner(table)} - 1, {self.accounts}))::int"

    def number(self, value, room):
        """What a plain number is in its account: that of the contact, and within the contact as before."""
        return f"((({value} / {room} - 1) / {self.accounts} + 1) * {room} + mod({value}, {room}))"

    def value(self, table, column):
        """A column's value, where the shape changes it."""
        plain = f't."{column}"'
        link, parent = LINK.get(table, (None, None))
        if column == "created_at" and table in self.dates:
            return self.dates[table][2].format(at="t.created_at", id="t.id")
        if not self.composite or table in STAFF:
            return plain
        if table == "files" and column == "record_id":
            return (f"CASE t.record_type WHEN 'Contact' THEN {self.number(plain, 1)}"
                    f" WHEN 'Request' THEN {self.number(plain, 10)} ELSE {plain} END")
        if table == "files" and column == "id":  # plain files are counted through, which says nothing of their contact
            return (f"CASE t.record_type WHEN 'Contact' THEN {self.number('t.record_id', 1)} * 100"
                    f" WHEN 'Request' THEN {self.number('t.record_id', 10)} * 10 + 1 ELSE 1000000 + t.record_id END")
        if column == "id":
            return self.number(plain, ROOM[table])
        if column == link:
            return self.number(plain, ROOM[parent])
        if table == "contact" and column in ("login", "last_name", "first_name", "full_name"):
            mine = f"'_(' || {self.account(table)} || ',' || {self.number('t.id', 1)} || ')'"
            return f"CASE WHEN t.login LIKE 'gone\\_%' THEN replace({plain}, '_' || t.id, {mine}) ELSE {plain} END"
        return plain

    def rows(self, schema, table, columns):
        """SELECT that makes the shape's rows of the plain table."""
        values = [f'{self.value(table, column)} AS "{column}"' for column in columns]
        source = f"{schema}.{table} AS t"
        if self.has_account(table) and table in STAFF:  # each account has the same staff
            values, source = ["a AS account_id", *values], f"{source}, generate_series(1, {self.accounts}) AS a"
        elif self.has_account(table):
            values = [f"{self.account(table)} AS account_id", *values]
        elif self.added(table):
            contact = f"CASE WHEN t.record_type IN ('Contact', 'Request') THEN {self.owner(table)} ELSE 0 END" \
                if table == "files" else self.owner(table)
            values = [f"{contact} AS contact_id", *values]
        return f"SELECT {', '.join(values)} FROM {source}"

    def plain_number(self, number, room=1, account="account_id"):
        """SQL: the plain number of what has this number, in a row that says its account."""
        return f"((({number} / {room} - 1) * {self.accounts} + {account}) * {room} + mod({number}, {room}))" if self.composite else number

    def plain_key(self, key, room=1):
        """The same of a key as the ledger has it."""
        if not self.composite:
            return int(key.strip("()").split(",")[-1])
        account, number = map(int, key.strip("()").split(","))
        return ((number // room - 1) * self.accounts + account) * room + number % room

    def key(self, plain, room=1):
        """A key as a person writes it, of a plain number."""
        contact = plain // room
        if not self.composite:
            return f"({contact},{plain})" if self.person and room > 1 else str(plain)
        return f"({1 + (contact - 1) % self.accounts},{((contact - 1) // self.accounts + 1) * room + plain % room})"

    def owned(self, table):
        """SQL: the plain number of the contact whose row this is, and NULL of what belongs to none."""
        if table == "files":
            return (f"CASE record_type WHEN 'Contact' THEN {self.plain_number('record_id')}"
                    f" WHEN 'Request' THEN {self.plain_number('record_id', 10)} / 10 END")
        return f"{self.plain_number('id', ROOM[table])} / {ROOM[table]}"

    @property
    def opened(self):
        """SQL: the moment at which a request was opened."""
        return self.dates["request"][3] if "request" in self.dates else "created_at"

    def linked(self, table, column, plain):
        """The columns and values that a new row of the table needs to be linked to what has this plain number."""
        room = ROOM[LINK[table][1]]
        account = 1 + (plain // room - 1) % self.accounts if self.has_account(table) else None
        number = self.key(plain, room).strip("()").split(",")[-1]
        if self.added(table) == "contact_id":
            return f"contact_id, {column}", f"{plain // room}, {number}"
        return (f"account_id, {column}", f"{account}, {number}") if account else (column, number)

    def identity(self, table):
        """The columns by which one row is told from the others."""
        return ", ".join([*filter(None, [self.before_id(table)]), "id"])

    # Tables.

    def create(self, pg, db):
        """Makes the plain CRM of this database over into the shape."""
        pg.sql(db, "ALTER SCHEMA crm RENAME TO plain; CREATE SCHEMA crm")
        for name in ("request_status", "channel", "direction"):
            pg.sql(db, f"ALTER TYPE plain.{name} SET SCHEMA crm")
        script = ["SET client_min_messages = warning"]
        for table in TABLES:
            columns = pg.sql(db, COLUMNS, (f"plain.{table}",))
            script += self.table(table, [c for c, generated in columns if not generated])
        script += [self.index(*row) for row in pg.sql(db, INDEXES)]
        script += [self.foreign_key(*row) for row in pg.sql(db, FOREIGN_KEYS)]
        script += ["DROP SCHEMA plain CASCADE", "ANALYZE"]
        script += [f"SELECT setval(pg_get_serial_sequence('crm.{t}', 'id'), 1000000000)" for t in TABLES if t not in STAFF]
        pg.sql(db, ";\n".join(script))

    def table(self, table, columns):
        added = self.added(table)
        first = f"{added} {'int' if added == 'account_id' else 'bigint'} NOT NULL, " if added else ""
        levels = self.parts(table)
        by = f" PARTITION BY {levels[0][0]}" if levels else ""
        like = f"LIKE plain.{table} INCLUDING ALL EXCLUDING INDEXES"
        names = [*([added] if added else []), *columns]
        return [f"CREATE TABLE crm.{table} ({first}{like}){by}",
                *self.retyped(table),
                *self.partitions(table, table, levels),
                f"INSERT INTO crm.{table} ({self.listed(names)}) OVERRIDING SYSTEM VALUE {self.rows('plain', table, columns)}",
                f"ALTER TABLE crm.{table} ADD PRIMARY KEY ({self.listed(self.key_columns(table))})"]

    def retyped(self, table):
        if table not in self.dates:
            return []
        kind, _, value, _ = self.dates[table]
        alter = f"ALTER TABLE crm.{table} ALTER created_at"
        return [f"{alter} DROP DEFAULT", f"{alter} TYPE {kind} USING NULL",
                f"{alter} SET DEFAULT {value.format(at='clock_timestamp()', id='0')}"]

    def partitions(self, table, parent, levels):
        if not levels:
            return []
        (_, bounds), below = levels[0], levels[1:]
        made = []
        for suffix, bound in bounds:
            name = f"{parent}_{suffix}"
            by = f" PARTITION BY {below[0][0]}" if below else ""
            made += [f"CREATE TABLE crm.{name} PARTITION OF crm.{parent} {f'FOR VALUES {bound}' if bound else 'DEFAULT'}{by}",
                     *self.partitions(table, name, below)]
        return made

    @staticmethod
    def listed(columns):
        return ", ".join(f'"{c}"' for c in columns)

    def index(self, table, unique, columns):
        """A unique index stays one where it may be."""
        first = self.before_id(table)
        columns = [first, *columns] if first and first not in columns else columns
        unique = unique and all(set(key.split("(")[1].rstrip(")").split(", ")) <= set(columns) for key, _ in self.parts(table))
        return f"CREATE {'UNIQUE ' if unique else ''}INDEX ON crm.{table} ({self.listed(columns)})"

    def foreign_key(self, table, column, parent):
        first = self.before_id(parent)
        columns, keys = ([[first, c] if first else [c] for c in (column, "id")])
        return (f"ALTER TABLE crm.{table} ADD FOREIGN KEY ({self.listed(columns)})"
                f" REFERENCES crm.{parent} ({self.listed(keys)})")

    # The model, a database, and what a pass must leave.

    def tables(self):
        """The model: {name: {key: value}}."""
        tables = read_model(CRM_MODEL.read_text())
        for entry in tables.values():
            table = entry["table"].removeprefix("crm.")
            first = self.before_id(table)
            if first:
                entry["key"] = [first, "id"]
                if "by" in entry and (self.composite or entry["of"] != "contact"):
                    entry["by"] = [first, entry["by"]]
                elif "by" in entry:
                    entry["by"] = "contact_id"
            elif self.key_columns(table) != ["id"]:
                del entry["key"]
            if "keep" in entry and self.added(table):
                entry["keep"].append(self.added(table))
            if self.person and first:
                entry["shard"] = first
            if table in self.dates:
                entry["date_unit"] = self.dates[table][1]
        if self.shard:
            tables["contact"]["shard"] = self.shard
        return tables

    def model(self):
        """The same as text."""
        if self is PLAIN:
            return CRM_MODEL.read_text()
        lines = "".join(f"  {name}: {libconfig(entry)};\n" for name, entry in self.tables().items())
        return f"model: {{\n{lines}}};\n"

    def template(self, pg, contacts=300):
        """The name of a database with the CRM in this shape, made at most once a server."""
        if self is PLAIN:
            return pg.crm_template(contacts)
        key = ("shape", self.name, contacts)
        if key not in pg.templates:
            db = pg.create_database(f"shape_{self.name}_{contacts}", pg.crm_template(contacts))
            self.create(pg, db)
            pg.templates[key] = db
        return pg.templates[key]

    def digests(self, pg, db):
        """{table: md5 of its rows as documents}, which knows nothing of the columns' order."""
        return {table: pg.value(db, DIGEST.format(f"SELECT * FROM crm.{table}")) for table in TABLES}

    def digests_of(self, pg, plain):
        """What they would be if the rows of a plain CRM were stored in this shape."""
        return {table: pg.value(plain, DIGEST.format(self.rows("crm", table, [c for c, _ in pg.sql(plain, COLUMNS, (f"crm.{table}",))])))
                for table in TABLES}


PLAIN = Shape("plain")


def by_hash(count):
    return lambda table: [] if table in STAFF else [
        hashes(count, "id" if table in KEYED else f'"{LINK[table][0]}"')]


def by_list(table):
    return [] if table in KEYED + STAFF else [lists(8, ACCOUNTS)]


def id_ranges(table, step=75):
    """Of keys up to the 600th contact's."""
    column, owner = ("id", table) if table in KEYED else LINK[table]
    room = ROOM[owner] if owner else 10
    return ranges(f'"{column}"', [n * room for n in range(0, 601, step)])


def by_range(table):
    if table in STAFF:
        return []
    return [ranges(DATE[table], months(3))] if table in DATE else [id_ranges(table)]


def nested(table):
    if table in STAFF:
        return []
    return [id_ranges(table, 300), hashes(3, "id")] if table in KEYED else [lists(4, ACCOUNTS), hashes(4, f'"{LINK[table][0]}"')]


ONE_COLUMN = [Shape("hash16", by_hash(16)), Shape("list8", by_list, ACCOUNTS), Shape("range", by_range),
              Shape("nested", nested, ACCOUNTS)]
COMPOSITE_PARTS = {"hash16": lambda table: [hashes(16, "account_id")], "list8": lambda table: [lists(8, ACCOUNTS)],
                   "nested": lambda table: [lists(4, ACCOUNTS), hashes(4, "account_id, id")]}
COMPOSITE = [Shape("composite", accounts=ACCOUNTS, composite=True),
             *(Shape(f"composite_{name}", parts, ACCOUNTS, True) for name, parts in COMPOSITE_PARTS.items())]


def by_person(count):
    return lambda table: [] if table in STAFF else [hashes(count, "id" if table == "contact" else "contact_id")]


SHARDED = [*(Shape(f"tenant_{name}", parts, ACCOUNTS, True, shard="account_id") for name, parts in COMPOSITE_PARTS.items()),
           Shape("person_hash16", by_person(16), person=True, shard="id")]
# Without partitions: Citus distributes them.
TENANT, PERSON = Shape("tenant", accounts=ACCOUNTS, composite=True, shard="account_id"), Shape("person", person=True, shard="id")
LARGE = [Shape("hash64", by_hash(64)), Shape("person_hash64", by_person(64), person=True, shard="id")]
ZULU = """to_char({at} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
FORMS = f"""CASE mod({{id}}, 3) WHEN 0 THEN {ZULU} WHEN 1 THEN to_char({{at}} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')
    ELSE to_char({{at}} AT TIME ZONE interval '2 hours', 'YYYY-MM-DD"T"HH24:MI:SS.US"+02:00"') END"""
READ = "CASE WHEN created_at LIKE '%%T%%' THEN created_at::timestamptz ELSE created_at::timestamp AT TIME ZONE 'UTC' END"
DATED = [
    Shape("epoch", dates={
        "request": ("bigint", "ms", "floor(extract(epoch FROM {at}) * 1000)::bigint", "to_timestamp(created_at / 1000.0)"),
        "contact": ("text", "iso", ZULU, None)}),
    Shape("composite_iso", accounts=ACCOUNTS, composite=True, dates={
        "request": ("text", "iso", FORMS, READ),
        "contact": ("bigint", "us", "floor(extract(epoch FROM {at}) * 1000000)::bigint", None)})]
EVERY = ONE_COLUMN + COMPOSITE + SHARDED + DATED
SHAPES = {shape.name: shape for shape in EVERY + LARGE}
# What a test takes that is not for every shape.  They are odd in number, so that each meets both ways of integrity.
FEW = [SHAPES[name] for name in ("composite", "tenant_hash16", "person_hash16", "range", "hash16", "composite_nested", "tenant_list8", "epoch", "composite_iso")]
