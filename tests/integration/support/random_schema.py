"""Schemas that nobody has thought of: tables, keys and links by chance, the same ones for the same seed."""

import random

NAMES = ["message", "Note", "attachment", "address", "company", "order", "order_line", "Odd Name", "call_log", "device",
         "consent", "survey", "answer", "invoice", "payment", "avatar", "visit", "profile", "session", "document",
         "tags", "statuses", "agents", "teams", "countries", "settings", "accounts", "brands", "audit", "reaction"]
PERSONAL = ["email text", "phone varchar(30)", "body text", "first_name text NOT NULL", '"Last Name" text', "ip inet",
            "content bytea", "payload jsonb", "birth_date date", "street text NOT NULL DEFAULT ''", "iban text"]
OTHERS = ["position int", "created_at timestamptz NOT NULL DEFAULT now()", "status text", "amount numeric(10, 2)", "flag boolean",
          "code char(2)", "kind text", "value text"]
KEYS = ["bigint", "bigint", "bigint", "int", "uuid", "text"]
ACTS = ["", "", "", " ON DELETE CASCADE", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON DELETE RESTRICT", " ON DELETE SET DEFAULT"]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Table:
    def __init__(self, name, key, tenant, keyless=False):
        self.name, self.type, self.tenant, self.keyless = name, key, tenant, keyless
        self.columns, self.after = [], []

    def sql(self):
        own = [f"id {self.type}" + (" NOT NULL" if not self.keyless else "")]
        if self.tenant:
            own.insert(0, "tenant_id int NOT NULL")
        key = [] if self.keyless else ["PRIMARY KEY (tenant_id, id)" if self.tenant else "PRIMARY KEY (id)"]
        return f"CREATE TABLE {quoted(self.name)} ({', '.join(own + self.columns + key)});"


def reference(r, source, target, n, needed=None):
    """A column of source, with its foreign key onto target or with none, and an index mostly."""
    name = r.choice([target.name.lower().replace(" ", "_").rstrip("s") + "_id", f"ref{n}", f"{target.name}Id"])
    if any(c.startswith(quoted(name) + " ") for c in source.columns):
        name = f"ref{n}"
    must = needed or r.random() < 0.4
    act = r.choice(ACTS)
    if must and "SET" in act:
        act = ""
    unique = " UNIQUE" if r.random() < 0.1 and not target.tenant else ""
    source.columns.append(f"{quoted(name)} {target.type}{' NOT NULL' if must else ''}{unique}")
    if r.random() < 0.85:
        pairs = (f"tenant_id, {quoted(name)}", "tenant_id, id") if target.tenant and source.tenant else (quoted(name), "id")
        if target.tenant and not source.tenant:
            return name  # no foreign key can say so
        if target.tenant and "SET" in act:
            act = ""
        late = r.choice(["", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])
        source.after.append(f"ALTER TABLE {quoted(source.name)} ADD FOREIGN KEY ({pairs[0]}) REFERENCES {quoted(target.name)}"
                            f" ({pairs[1]}){act}{late};")
    if r.random() < 0.7:
        source.after.append(f"CREATE INDEX ON {quoted(source.name)} ({quoted(name)});")
    return name


def schema(seed):
    """The SQL of a schema, and the names of its contacts and requests."""
    r = random.Random(seed)
    tenant = r.random() < 0.2
    contact = Table(r.choice(["contact", "customers", "users", "Kunden", "people"]), r.choice(KEYS), tenant)
    request = Table(r.choice(["request", "tickets", "Case"]), r.choice(KEYS), tenant)
    tables = [contact, request]
    for name in r.sample(NAMES, r.randint(4, 20)):
        tables.append(Table(name, r.choice(KEYS), tenant and r.random() < 0.7, keyless=r.random() < 0.1))
    for n, table in enumerate(tables):
        for column in r.sample(PERSONAL, r.randint(0, 4)) + r.sample(OTHERS, r.randint(0, 4)):
            table.columns.append(column)
    request.columns.append('"opened at" timestamptz')
    reference(r, request, contact, 0, needed=True)
    request.columns.append('"contact_id" ' + contact.type) if not any("contact_id" in c for c in request.columns) else None
    keyed = [t for t in tables if not t.keyless]
    for n, table in enumerate(tables[2:]):
        for i in range(r.randint(0, 3)):
            reference(r, table, r.choice(keyed), f"{n}_{i}")
        if r.random() < 0.1:
            table.columns += ["owner_type text", "owner_id " + contact.type]
    for i in range(r.randint(0, 4)):  # rings, links to itself, and what a contact references
        reference(r, r.choice([contact, contact, request, *tables]), r.choice(keyed), f"x{i}")
    r.shuffle(tables)
    sql = [t.sql() for t in tables] + [line for t in tables for line in t.after]
    return "\n".join(sql), contact.name, request.name
