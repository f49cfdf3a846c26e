#!/usr/bin/env python3
"""
The refusals of migrations/ and their texts in daemon/po.  Each RAISE has an id (CONSTRAINT), a value in DETAIL for each
"%" of its message, and a HINT that is text; what verify finds has an id, too.  Each catalogue has a text for each id,
and for ID.hint where there is a hint, with no "$n" beyond the values; and no text of an id that is not there.  With --pot it prints the ids for msgcmp instead.
"""

import gettext
import io
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
STRING = r"'(?:[^']|'')*'"
failed = False


def complain(*words):
    global failed
    failed = True
    print("lint:", *words, file=sys.stderr)


def count_values(statement):
    """How many values DETAIL holds."""
    found = re.search(r"DETAIL = (?:concat_ws\(E'\\n', )?", statement)
    if not found:
        return 0
    if not found[0].endswith(", "):
        return 1
    depth, n = 1, 1
    for c in re.sub(STRING, "''", statement[found.end():]):
        depth += {"(": 1, ")": -1}.get(c, 0)
        if depth == 0:
            break
        n += c == "," and depth == 1
    return n


refusals = {}  # id: (how many values, whether it has a hint, English)
for path in sorted((TOP / "migrations").glob("*.sql")):
    sql = re.sub(rf"({STRING})|--[^\n]*", lambda found: found[1] or "", path.read_text())
    for raised in re.finditer(rf"\bRAISE\b(?:[^;']|{STRING})*;", sql):
        statement = raised[0]
        place = f"{path.name}:{sql.count(chr(10), 0, raised.start()) + 1}:"
        message = re.match(rf"RAISE EXCEPTION\s+({STRING})", statement)
        option = re.search(rf"CONSTRAINT = ({STRING}|CASE.*?END)[,;]", statement, re.S)
        ids = re.findall(r"'(retention\.[a-z_]+)'", option[1]) if option else []
        if not message or not ids:
            complain(place, "a RAISE without a message or an id:", " ".join(statement.split())[:80])
            continue
        values = count_values(statement)
        if values < message[1].count("%"):
            complain(place, f"{message[1].count('%')} values in the message, {values} in DETAIL")
        for name in ids:
            new = (values, "HINT =" in statement, message[1])
            if refusals.setdefault(name, new) != new:
                complain(place, name, "is the id of another refusal")
    for name, text in re.findall(rf"WHEN '(retention\.[a-z_]+)'\s+THEN ({STRING})", sql):
        if name not in refusals:
            refusals[name] = (text.count("%s"), False, text)
    for name in set(re.findall(r"'(retention\.[a-z_]+)'(?!::regclass)", sql)) - set(refusals):
        complain(path.name + ":", name, "is no id of a refusal or of a finding")
if len(refusals) < 50:
    complain("only", len(refusals), "refusals found in migrations/")

wanted = {name: values for name, (values, _, _) in refusals.items()}
wanted.update({name + ".hint": values for name, (values, hint, _) in refusals.items() if hint})
if sys.argv[1:] == ["--pot"]:
    print("".join(f'\nmsgid "{name}"\nmsgstr ""\n' for name in wanted))
    sys.exit()
for path in sorted((TOP / "daemon" / "po").glob("*.po")):
    compiled = subprocess.run(["msgfmt", "-o", "-", path], stdout=subprocess.PIPE, check=True).stdout
    texts = gettext.GNUTranslations(io.BytesIO(compiled))._catalog  # no public way to list it
    for name, values in wanted.items():
        if name not in texts:
            complain(f"{path.name} has no text for", name)
        elif max(map(int, re.findall(r"\$(\d)", texts[name])), default=0) > values:
            complain(f"{path.name}: {name} has a value that the refusal does not have:", texts[name])
    for name in texts:
        if name.startswith("retention.") and name not in wanted:
            complain(f"{path.name} has a text for {name}, which is the id of no refusal")
sys.exit(failed)
