"""Dates of the draft that are numbers or texts: the column, its unit, and what is asked of a person."""

import re

import pytest

from support.modelfile import read_model
from support.small import model

ROWS = {"s": "extract(epoch FROM now() - n * interval '1 day')::bigint",
        "ms": "(extract(epoch FROM now() - n * interval '1 day') * 1000)::bigint",
        "us": "(extract(epoch FROM now() - n * interval '1 day') * 1000000)::bigint",
        "iso": "to_char(now() - n * interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"}


@pytest.fixture
def drafted(daemon, empty_db, pg):
    """drafted(columns, …): the daemon, and the draft of a schema whose tickets have these columns."""

    def make(columns, *args, values=None, person="createat bigint", analyze=True):
        db = empty_db()
        pg.sql(db, f"""CREATE TABLE person (id bigint PRIMARY KEY, name text, {person});
            CREATE TABLE ticket (id bigint PRIMARY KEY, person_id bigint REFERENCES person, subject text, {columns});
            CREATE INDEX ON ticket (person_id); INSERT INTO person (id) VALUES (1)""")
        for n in range(0, 40 if values else 0):
            pg.sql(db, f"INSERT INTO ticket SELECT {n}, 1, 's', {', '.join(values)} FROM (SELECT {n}::int AS n) AS x")
        if analyze:
            pg.sql(db, "ANALYZE")
        d = daemon(db=db, model=model())
        return d, d.ctl("model", "draft", "--contact", "person", "--request", "ticket", *args).stdout

    return make


@pytest.mark.parametrize("columns, wanted", [
    ("createat bigint", ("createat", "ms", True)), ("created_at_ms bigint", ("created_at_ms", "ms", False)),
    ("created_at_us numeric", ("created_at_us", "us", False)), ("timestamp double precision", ("timestamp", "ms", True)),
    ("created_seconds bigint", ("created_seconds", "s", False)), ('"createdAt" integer', ("createdAt", "s", False)),
    ("createat bigint, updateat bigint", ("updateat", "ms", True)), ("created_at text", ("created_at", "iso", True)),
    ('"dateCreated" varchar(30), due date', ("dateCreated", "iso", True)),
    ("createat bigint, created_at timestamptz", ("created_at", None, False))])
def test_by_name_and_type(drafted, columns, wanted):
    name, unit, asked = wanted
    _, text = drafted(columns)
    request = read_model(text)["request"]
    assert (request["date"], request.get("date_unit")) == (name, unit)
    line = re.search(r"request: \{.*?(date_unit[^\n]*)", text, re.S) if unit else None
    assert bool(line and "TO" "DO" in line.group(1)) == asked, text
    assert read_model(text)["contact"]["created"] == "createat" and read_model(text)["contact"]["date_unit"] == "ms"


@pytest.mark.parametrize("kind, unit", [("bigint", "s"), ("bigint", "ms"), ("bigint", "us"), ("numeric", "s"), ("text", "iso")])
def test_samples_tell_the_unit(drafted, kind, unit):
    d, text = drafted(f"createat {kind}", "--samples", values=[ROWS[unit]])
    request = text[text.index("request: {"):]
    assert f'date_unit = "{unit}";\n' in request
    # Up to its questions it is accepted.
    (d.dir / "model.conf").write_text(text)
    refused = d.check_config(check=False).stderr
    assert "marked" in refused and "date_unit" not in refused, refused


def test_what_samples_show_to_be_no_date(drafted):
    _, text = drafted("created text, updated_at integer, due bigint, timestamp bigint", "--samples",
                      values=["'by ' || n", "n % 2", "n", ROWS["s"]])
    request = read_model(text)["request"]
    assert (request["date"], request["date_unit"]) == ("timestamp", "s")


def test_without_statistics_it_is_asked(drafted):
    _, text = drafted("createat bigint", "--samples", values=[ROWS["s"]], analyze=False)
    assert re.search(r'date_unit = "ms";  # TO' r'DO: since 1970, in s, ms or us\?', text)


def test_a_column_that_a_person_names(drafted):
    _, text = drafted("received bigint, createat bigint", "--samples", "--date", "received", values=[ROWS["s"], ROWS["ms"]])
    request = read_model(text)["request"]
    assert (request["date"], request["date_unit"]) == ("received", "s")
