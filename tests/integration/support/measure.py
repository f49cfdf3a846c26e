"""
How good a draft is: tests/schemas/drafts/NAME.sql against NAME.toml, the truth as its README tells it.

Run as a program it prints the table of all five; -v lists what is missed, --samples drafts with rows:

    RETENTION_BUILD=build/test python3 tests/integration/support/measure.py [-v] [--samples]
"""

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support import drafts, rows  # noqa: E402
from support.harness import REPO  # noqa: E402

DIRECTORY = REPO / "tests" / "schemas" / "drafts"
NAMES = sorted(path.stem for path in DIRECTORY.glob("*.toml"))
LINK = re.compile(r"(\w+)\.(\w+)(?: \((\w+)\))? -> (\w+)")


@dataclass(frozen=True)
class Link:
    table: str
    column: str
    type: str
    parent: str

    def __str__(self):
        return f"{self.table}.{self.column}{f' ({self.type})' if self.type else ''} -> {self.parent}"


@dataclass
class Measure:
    """Lists of what is right and wrong, for a message; rates are what the aims speak of."""
    name: str
    missed_columns: list  # personal, and kept or in no group
    all_columns: int
    kept_silently: list  # of those, the ones of a mapped group
    told: int  # personal, and erased without a question
    missed_links: list
    all_links: int
    wrong_groups: list
    all_groups: int
    asked: list  # questions on columns that are not personal
    wrong_columns: list  # erased without a question, though not personal
    lines: int
    mapped_columns: int
    due_when: bool

    def rates(self):
        return {"columns": 1 - len(self.missed_columns) / self.all_columns, "links": 1 - len(self.missed_links) / self.all_links,
                "wrong": len(self.wrong_groups) / self.all_groups, "lines": self.lines / self.mapped_columns}


def truth(name):
    return tomllib.loads((DIRECTORY / f"{name}.toml").read_text())


def database(pg, name, with_rows=False):
    """A database with the schema, and with rows if wanted."""
    key = ("draft", name, with_rows)
    if key not in pg.templates:
        db = pg.create_database(f"draft_{name}{'_rows' if with_rows else ''}")
        pg.psql(db, "-v", "ON_ERROR_STOP=1", "-f", DIRECTORY / f"{name}.sql")
        if with_rows:
            rows.fill(pg, db, truth(name), links_in)
        pg.templates[key] = db
    return pg.templates[key]


def columns_of(pg, db):
    """{table: [column]}"""
    found = {}
    for table, column in pg.sql(db, """SELECT c.relname::text, a.attname::text FROM pg_class c
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname, a.attnum"""):
        found.setdefault(table, []).append(column)
    return found


def links_in(lines):
    found = []
    for line in lines:
        match = LINK.fullmatch(line)
        assert match, line
        found.append(Link(*(group or "" for group in match.groups())))
    return found


def check_truth(name, columns):
    """A truth names tables and columns that there are, and each of them once."""
    t = truth(name)
    links = links_in(t["links"] + t["may_links"])
    assert len(set(links)) == len(links)
    named = [(table, c) for table, cs in t["personal"].items() for c in cs] + [tuple(c.split(".")) for c in t["may_columns"]]
    assert len(set(named)) == len(named), [n for n in named if named.count(n) > 1]
    named += [(k.table, c) for k in links for c in (k.column, k.type) if c]
    missing = [f"{table}.{c}" for table, c in named if c not in columns.get(table, ())]
    missing += [table for table in t["unmapped"] + [k.parent for k in links] if table not in columns]
    assert not missing, missing


def bare(group):
    return group["table"].removeprefix("public.")


def listed(value):
    return value if isinstance(value, list) else [value]


def links_of(tables):
    """{group: Link}, as the truth writes them: the column of the table that holds the id."""
    found = {}
    for name, group in tables.items():
        if "of" not in group or "by" not in group:
            continue
        parent, table = bare(tables[group["of"]]), bare(group)
        where = re.match(r'"?(\w+)"? = ', group.get("where", ""))
        found[name] = [Link(table, column, where.group(1) if where else "", parent) for column in listed(group["by"])]
        found[name] += [Link(parent, column, "", table) for column in listed(group.get("from", []))]
    return found


def proposed(text, name):
    """The columns that a shared table's comments say to erase."""
    body = re.search(rf"^  {re.escape(name)}: {{\n(.*?)^  }};", text, re.M | re.S).group(1)
    found = []
    for rule in re.findall(r"^    # (?:set: \(|clear = \[)\n(.*?)^    # [\])];", body, re.M | re.S):
        found += re.findall(r'^    #   (?:{ column = )?"([^"]+)"', rule, re.M)
    return found


def erased_by(text, tables, columns):
    """What an anonymization erases, and what of it is a question: two sets of (table, column)."""
    erased = set()
    for name, group in tables.items():
        table = bare(group)
        if group.get("anonymize") == "delete":
            erased |= {(table, c) for c in columns[table]}
        for column in [*group.get("clear", ()), *group.get("set", ()), *(proposed(text, name) if group.get("shared") else ())]:
            erased.add((table, column))
    return erased, {(bare(tables[group]), column) for group, column in drafts.asked(text)}


def measure(pg, name, samples=False):
    """Drafts the schema, with rows and --samples or empty, and counts."""
    t, db = truth(name), database(pg, name, samples)
    columns = columns_of(pg, db)
    check_truth(name, columns)
    text = drafts.draft(pg, db, *(["--samples"] if samples else []), *t["arguments"], contact=t["contact"], request=t["request"])
    tables = drafts.read(text)
    erased, open_ = erased_by(text, tables, columns)
    personal = {(table, c) for table, cs in t["personal"].items() for c in cs}
    either = personal | {tuple(c.split(".")) for c in t["may_columns"]}
    links, may = links_in(t["links"]), links_in(t["may_links"])
    keys = {(k.table, c) for k in links + may for c in (k.column, k.type)}
    mapped = {bare(g) for g in tables.values()}
    drafted = links_of(tables)
    true = set(links) | set(may)
    deleted = {bare(g) for g in tables.values() if g.get("anonymize") == "delete"}
    wrong = [f"{n}: {bare(g)}" for n, g in tables.items() if bare(g) in t["unmapped"]]
    wrong += [f"{n}: {', '.join(map(str, ks))}" for n, ks in drafted.items()
              if bare(tables[n]) not in t["unmapped"] and not true.intersection(ks)]
    missed = sorted(f"{a}.{b}" for a, b in personal - erased)
    found = {k for ks in drafted.values() for k in ks}
    suggested = re.findall(r'due_when = "(.*)";', text)
    return Measure(
        name=name, missed_columns=missed, all_columns=len(personal),
        kept_silently=[c for c in missed if c.split(".")[0] in mapped], told=len(personal & erased - open_),
        missed_links=[str(k) for k in links if k not in found], all_links=len(links),
        wrong_groups=wrong, all_groups=len(tables),
        asked=sorted(f"{a}.{b}" for a, b in open_ - either),
        wrong_columns=sorted(f"{a}.{b}" for a, b in erased - open_ - either - keys if a not in deleted and a not in t["unmapped"]),
        lines=len(text.splitlines()), mapped_columns=sum(len(columns[table]) for table in mapped),
        due_when=not set(listed(t["due_when"])).isdisjoint(s.replace('\\"', '"') for s in suggested))


def line(m):
    r = m.rates()
    return (f"{m.name:<10} {m.all_columns - len(m.missed_columns):4}/{m.all_columns:<4} {r['columns']:6.1%} {m.told:4}   "
            f"{m.all_links - len(m.missed_links):3}/{m.all_links:<3} {r['links']:6.1%}   "
            f"{len(m.wrong_groups):3}/{m.all_groups:<3} {r['wrong']:6.1%}   {m.lines:5} {m.mapped_columns:5} {r['lines']:5.2f}   "
            f"{len(m.asked):5} {len(m.wrong_columns):5}   {'yes' if m.due_when else 'no'}")


HEAD = ("schema     personal columns       links             wrong groups      lines / columns     asked erased  due_when\n"
        "                found       told  found                                             in vain       found")


def main(pg, samples, verbose):
    print(HEAD)
    for name in NAMES:
        m = measure(pg, name, samples)
        print(line(m))
        if verbose:
            for what in ("missed_columns", "kept_silently", "missed_links", "wrong_groups", "asked", "wrong_columns"):
                print(f"  {what}: {', '.join(getattr(m, what))}")


if __name__ == "__main__":
    from support.harness import Postgres

    server = Postgres()
    try:
        main(server.start(), "--samples" in sys.argv, "-v" in sys.argv)
    finally:
        server.destroy()
