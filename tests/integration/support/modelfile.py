"""A model is libconfig; this reads as much of it as the shipped ones use."""

import re

SCANNER = re.compile(r"""\s*(?:\#[^\n]*\s*)*(?:"((?:[^"\\]|\\.)*)"|([A-Za-z0-9][\w-]*)|([{}()\[\]=:;,]))""")


def scan(text):
    """Pairs (kind, text): s a string, w a word, p punctuation."""
    text = re.sub(r'("(?:[^"\\]|\\.)*")|#[^\n]*', lambda m: m.group(1) or "", text).strip()
    at = 0
    while at < len(text):
        found = SCANNER.match(text, at)
        assert found, text[at:at + 40]
        at = found.end()
        yield next((kind, value) for kind, value in zip("swp", found.groups()) if value is not None)


def parse_group(tokens, end):
    group = {}
    for kind, name in tokens:
        if (kind, name) == ("p", end):
            return group
        if (kind, name) in (("p", ";"), ("p", ",")):
            continue
        assert kind == "w" and next(tokens)[1] in "=:", name
        assert name not in group, f"{name} twice"
        group[name] = parse_value(tokens)
    assert end is None
    return group


def parse_value(tokens):
    kind, value = next(tokens)
    if (kind, value) == ("p", "{"):
        return parse_group(tokens, "}")
    if (kind, value) == ("p", "["):
        return [v for k, v in iter(lambda: next(tokens), ("p", "]")) if k != "p"]
    if (kind, value) == ("p", "("):  # groups
        return [parse_group(tokens, "}") for token in iter(lambda: next(tokens), ("p", ")")) if token == ("p", "{")]
    return value == "true" if kind == "w" else value


def read_model(text):
    """{name: {key: value}} of the tables."""
    return parse_group(scan(text), None)["model"]


def column_rules(table):
    """[(column, rule)] of a table with column rules."""
    return [(column, rule) for rule in ("set", "clear", "json", "json_keep", "redact", "keep")
            for column in table.get(rule, ())]
