"""Drafts of models, and what model check says: run, and read."""

import json
import re
import subprocess

from support.harness import BUILD, libconfig
from support.modelfile import scan

# The mark in a draft: what a person has to answer.
MARK = "# TO" "DO"

ACTIONS = [{"name": "gone", "action": "delete_contacts", "depth": "18 months", "schedule": "monthly"},
           {"name": "quiet", "action": "anonymize_contacts", "depth": "18 months", "schedule": "monthly"},
           {"name": "requests", "action": "anonymize_requests", "depth": "18 months", "schedule": "monthly"}]


def run(pg, db, *args, user=None):
    """model draft's process, ended."""
    conninfo = pg.conninfo(db) + (f" user={user}" if user else "")
    return subprocess.run([str(BUILD / "retentionctl"), "-d", conninfo, "model", "draft", *args],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)


def asked(text):
    """The columns with an open question, as (name of the group, column): each in a line of its own, or alone under its rule."""
    found, group = [], None
    for line in text.splitlines():
        head = re.match(r"  ([\w-]+): {$", line)
        group = head.group(1) if head else group
        column = re.match(r'(?:      |    (?:clear|keep|set)(?: =|:) [\[(] )(?:{ column = )?"([^"]+)"', line)
        if column and MARK in line:
            found.append((group, column.group(1)))
    return found


def draft(pg, db, *args, contact="contact", request="request"):
    """The text that model draft prints."""
    done = run(pg, db, "--contact", contact, "--request", request, *args)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


def drafted(pg, db, schema, *args, **kwargs):
    """The tables are made in an empty database: the database, the draft's text, the draft read."""
    pg.psql(db, "-c", schema)
    text = draft(pg, db, *args, **kwargs)
    return db, text, read(text)


def read(text):
    """A drafted model as {name: table}; set becomes {column: value}."""
    tokens = scan(text)

    def value():
        kind, token = next(tokens)
        if (kind, token) == ("p", "{"):
            return group("}")
        if (kind, token) in (("p", "["), ("p", "(")):
            return items("]" if token == "[" else ")")
        return token == "true" if kind == "w" else token.replace('\\"', '"')

    def items(end):
        found = []
        for kind, token in tokens:
            if (kind, token) == ("p", end):
                return found
            if (kind, token) == ("p", "{"):
                found.append(group("}"))
            elif kind == "s":
                found.append(token.replace('\\"', '"'))

    def group(end):
        found = {}
        for kind, name in tokens:
            if (kind, name) == ("p", end):
                return found
            if kind == "w":
                assert next(tokens)[1] in "=:" and name not in found, name
                found[name] = value()
        return found

    tables = group(None)["model"]
    for table in [*tables.values(), *(t["through"] for t in tables.values() if "through" in t)]:
        if "set" in table:
            table["set"] = {pair["column"]: pair["value"] for pair in table["set"]}
    return tables


def written(tables):
    """The model of what read() returns."""
    def one(table):
        table = dict(table)
        if "set" in table:
            table["set"] = [{"column": c, "value": v} for c, v in table["set"].items()]
        return libconfig({k: v for k, v in table.items() if v != []})
    return "model: {\n" + "".join(f"{name}: {one(table)};\n" for name, table in tables.items()) + "};\n"


def marks(text):
    """The lines that somebody has to answer, as the file's head counts them."""
    found = [line for line in text.splitlines() if MARK in line]
    assert ("(once)" if len(found) == 1 else f"({len(found)} times)") in text
    return found


def answered(text):
    """The draft with every guess taken for the answer, and every request closed."""
    return re.sub(r'due_when = "false";', 'due_when = "true";', text).replace(MARK, "# asked")


def check(d, status=0):
    """What model check finds."""
    done = d.ctl("model", "check", "--json", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)
