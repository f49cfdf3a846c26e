"""
Rows for the schemas of tests/schemas/drafts, so that --samples and ANALYZE find values: each table gets some, by the truth's
links also where no foreign key says so.  A value that the truth calls personal holds a canary: canary-<table>-<column>-<n>.
"""

import re

# Values of columns that are no links: type -> SQL, with {n} for the row's number.
BY_TYPE = {
    "boolean": "{n} % 2 = 0", "date": "date '2020-01-01' + {n}", "timestamp without time zone": "timestamp '2020-01-01' + {n} * interval '1 day'",
    "timestamp with time zone": "timestamptz '2020-01-01' + {n} * interval '1 day'", "inet": "('10.0.0.' || {n} % 250)::inet",
    "macaddr": "'08:00:2b:01:02:03'::macaddr", "point": "point(48, 2)", "jsonb": """jsonb_build_object('name', 'canary-{table}-{column}-' || {n})""",
    "bytea": "convert_to('canary-{table}-{column}-' || {n}, 'UTF8')", "tsvector": "to_tsvector('simple', 'canary-{table}-{column}-' || {n})",
    "uuid": "md5('{table}' || {n})::uuid", "integer[]": "ARRAY[{n}]::int[]", "text[]": "ARRAY['canary-{table}-{column}-' || {n}]",
    "double precision": "{n} / 7.0", "numeric": "{n} % 90",
}
NUMBERS = ("smallint", "integer", "bigint")
MS = "1577836800000 + {n} * 86400000::bigint"


def kinds(pg, db):
    """{table: [(column, type, not null, has a default, labels of its enum, length or None, values that a CHECK lists)]}"""
    found = {}
    for table, *rest in pg.sql(db, """
            SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL), a.attnotnull, a.atthasdef,
                   (SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = a.atttypid),
                   CASE WHEN a.atttypmod > 4 AND a.atttypid IN ('varchar'::regtype, 'bpchar'::regtype) THEN a.atttypmod - 4 END,
                   (SELECT array_agg(m[1]) FROM pg_constraint k, regexp_matches(pg_get_constraintdef(k.oid), '''([^'']+)''', 'g') m
                     WHERE k.conrelid = c.oid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum])
              FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname, a.attnum"""):
        found.setdefault(table, []).append(rest)
    return found


def references(pg, db, links):
    """{(table, column): referenced tables}: of foreign keys and of the truth; several where a type tells which."""
    found = {}
    for table, column, parent in pg.sql(db, """
            SELECT conrelid::regclass::text, a.attname::text, confrelid::regclass::text FROM pg_constraint
              JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = conkey[1] WHERE contype = 'f'"""):
        found[table.strip('"'), column] = [parent.strip('"')]
    for link in links:
        parents = found.setdefault((link.table, link.column), [])
        if link.type or not parents:
            parents.append(link.parent)
    return found


def class_name(table):
    """What a framework writes in a type's column: IssueNote for issue_notes."""
    words = re.sub(r"([a-z])([A-Z])", r"\1_\2", table).split("_")
    words[-1] = re.sub(r"ies$", "y", words[-1]) if words[-1].endswith("ies") else words[-1].removesuffix("s")
    return "".join(word.capitalize() for word in words)


def value(truth, table, row, column_types, links, types):
    """The SQL of a column's value in row {n}."""
    column, kind, *_, labels, length, listed = row
    parents = links.get((table, column), [])
    if (table, column) in types:
        names = [class_name(parent) for parent in types[table, column]]
        return f"(ARRAY{names})[1 + {{n}} % {len(names)}]"
    if parents or kind in NUMBERS and (column == "id" or column.endswith("_id")):
        # rows have the numbers 1 to 40, or the uuid of theirs
        return f"md5('{parents[0]}' || {{n}})::uuid" if kind == "uuid" and parents else "{n}" if kind in NUMBERS else BY_TYPE.get(kind, "{n}::text")
    if labels or listed:
        values = labels or listed
        return f"((ARRAY{values})[1 + {{n}} % {len(values)}])::{kind if labels else 'text'}"
    if kind == "bigint" and re.search(r"(At|Le|^at|_at)$", column):
        return MS
    if kind in NUMBERS:
        return "{n} % 4 + 1" if kind == "smallint" else "{n}"
    if kind in BY_TYPE:
        return BY_TYPE[kind]
    personal = column in truth["personal"].get(table, ())
    text = "'canary-{table}-{column}-' || {n}" if personal or (length or 99) > 60 and column.endswith("name") else "'v' || {n} % 5 || '-' || {n}"
    if column in column_types:
        text = "(ARRAY['open', 'pending', 'closed'])[1 + {n} % 3]"
    return f"left({text}, {length})" if length else text


def fill(pg, db, truth, links_in, rows=40):
    """Fills all tables that are empty, without checks of foreign keys: row n refers to row n."""
    true = links_in(truth["links"] + truth["may_links"])
    links, statements, types = references(pg, db, true), ["SET session_replication_role = replica"], {}
    for link in true:
        if link.type:
            types.setdefault((link.table, link.type), []).append(link.parent)
    for table, columns in kinds(pg, db).items():
        values = [value(truth, table, row, {"status", "statut"}, links, types).replace("{table}", table).replace("{column}", row[0])
                  .replace("{n}", "n") for row in columns]
        names = ", ".join(f'"{row[0]}"' for row in columns)
        statements.append(f'INSERT INTO "{table}" ({names}) SELECT {", ".join(values)} FROM generate_series(1, {rows}) AS n'
                          f' WHERE NOT EXISTS (SELECT FROM "{table}") ON CONFLICT DO NOTHING')
    pg.psql(db, "-c", ";\n".join(statements))
    pg.psql(db, "-c", "ANALYZE")
