"""
Dates that are no timestamps: numbers since 1970, and texts in ISO form.  Each is compared with an oracle of its own,
in Python's datetime, never with the daemon's SQL.
"""

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from support.backup import put_back
from support.harness import libconfig
from support.small import SCHEMA, again, keys, model, policy, set_clock

NOON = "2026-11-23 12:00:00+00"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
UNITS = {"s": 1, "ms": 1000, "us": 1000000}
# type of the column: its units
NUMBERS = {"bigint": "s ms us", "integer": "s", "numeric": "s ms us", "numeric(20,3)": "s ms us", "double precision": "s ms us",
           "moment": "s ms us"}
KINDS = [(kind, unit) for kind, units in NUMBERS.items() for unit in units.split()]
RULES = ({"clear": ["name"], "keep": ["id", "brand", "created"]},
         {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"]})


def schema(kind, created="timestamptz"):
    return f"CREATE DOMAIN moment AS bigint; {SCHEMA.replace('at timestamptz', f'at {kind}').replace('created timestamptz', f'created {created}')}"


def dated(unit, **more):
    return model(request={"date_unit": unit, **more})


@pytest.fixture
def small(daemon, empty_db, pg):
    """small(kind, unit, now=…, …): a migrated daemon whose requests have dates of this type in this unit."""

    def make(kind, unit, now=NOON, created="timestamptz", **kwargs):
        db = empty_db()
        set_clock(pg, db, now)
        pg.sql(db, schema(kind, created))
        kwargs.setdefault("model", dated(unit))
        kwargs.setdefault("policies", [policy()])
        return daemon(db=db, **kwargs)

    return make


def fill(d, dates, contact=None):
    """A contact with a request each, by the contact's number."""
    for key, at in dates.items():
        d.pg.sql(d.db, "INSERT INTO contact (id, name, created) VALUES (%s, 'n', %s)", (key, contact))
        d.pg.sql(d.db, "INSERT INTO request (contact_id, at, subject) VALUES (%s, %s, 's')", (key, at))


def count(moment, unit):
    """Whole numbers since 1970: the same as an integer."""
    return round((moment - EPOCH) / timedelta(microseconds=1)) * UNITS[unit] // 1000000


# --- Numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
@pytest.mark.parametrize("kind, unit", KINDS)
def test_the_last_number(small, kind, unit, zone):
    """Strictly before the start of the day: at midnight it stays, one less goes, in whichever zone the day begins."""
    d = small(kind, unit, database={"timezone": zone})
    cutoff = datetime(2025, 5, 23, tzinfo=ZoneInfo(zone))
    n = count(cutoff, unit)
    fill(d, {1: n, 2: n - 1, 3: n + 1, 4: count(cutoff.replace(year=2020), unit)})
    d.once()
    assert d.jobs()[-1]["cutoff"] == cutoff
    assert keys(d.pg, d.db) == {1, 3}


@pytest.mark.parametrize("kind", ["numeric", "double precision"])
def test_a_fraction_counts(small, kind):
    d = small(kind, "s")
    n = count(datetime(2025, 5, 23, tzinfo=timezone.utc), "s")
    fill(d, {1: f"{n}.000001", 2: f"{n - 1}.999999", 3: f"{n}"})
    d.once()
    assert keys(d.pg, d.db) == {1, 3}


NOTHING = [None, 0]
WRONG = [-1, -1700000000000, 1, 1700000000, 31535999999, 253402300800000, 2**63 - 1, -2**63]
NO_NUMBERS = ["NaN", "-1e30", "1e300"]


@pytest.mark.parametrize("kind", ["bigint", "numeric", "double precision"])
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_requests"])
def test_what_is_no_date_keeps_its_contact(small, kind, action):
    d = small(kind, "ms", model=model(RULES[0], {**RULES[1], "date_unit": "ms"}), policies=[policy(action)])
    values = [*NOTHING, *WRONG, *(NO_NUMBERS if kind != "bigint" else []), 4102444800000]  # the last is in the year 2100
    fill(d, {n: value for n, value in enumerate(values, start=1)})
    fill(d, {100: 1577836800000, 101: 31536000000})  # 2020, and the first moment of 1971
    for n, value in enumerate(values, start=1):  # a good date beside one that is none
        fill(d, {200 + n: value})
        d.pg.sql(d.db, "INSERT INTO request (contact_id, at, subject) VALUES (%s, 1577836800000, 's')", (200 + n,))
    d.once()
    assert d.jobs()[-1]["status"] == "done", d.jobs()[-1]
    if action == "delete_contacts":
        assert not keys(d.pg, d.db) & {100, 101}
        assert keys(d.pg, d.db) == {n for n, _ in enumerate(values, start=1)} | {200 + n for n, _ in enumerate(values, start=1)}
    else:
        assert keys(d.pg, d.db, "SELECT DISTINCT at FROM request WHERE subject IS NULL") == {1577836800000, 31536000000}


def test_rows_that_the_model_leaves_out_are_not_told(small):
    """And the names that need quoting, here of the date."""
    d = small("bigint", "ms", model=dated("ms", date="sent At", where='"sent At" IS DISTINCT FROM 17'))
    d.pg.sql(d.db, 'ALTER TABLE request RENAME at TO "sent At"')
    for key, at in ((1, 1577836800000), (2, 17), (3, 18), (4, 4102444800000)):
        d.pg.sql(d.db, 'INSERT INTO contact (id) VALUES (%s)', (key,))
        d.pg.sql(d.db, 'INSERT INTO request (contact_id, "sent At") VALUES (%s, %s)', (key, at))
    d.once()
    assert keys(d.pg, d.db) == {2, 3, 4}
    assert d.pg.value(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'undated'") == {
        "table": "request", "rows": 1, "keys": "3"}


def test_it_is_told(small):
    """Who stays because of it is in the journal, with the list, and in model check; an empty date is no fault."""
    d = small("bigint", "ms")
    fill(d, {1: 1577836800000, 2: 0, 3: None, 4: -5, 5: 17, 6: 1577836800000, 7: 4102444800000})
    d.once()
    assert keys(d.pg, d.db) == {2, 3, 4, 5, 7}
    row = d.jobs()[-1]
    assert d.pg.sql(d.db, "SELECT job, details FROM retention.journal_event WHERE kind = 'undated'") == [
        (row["id"], {"table": "request", "rows": 2, "keys": "4 5"})]
    assert "undated" in d.ctl("show", row["id"]).stdout and '"rows": 2' in d.ctl("show", row["id"]).stdout
    said = d.ctl("model", "check").stdout
    assert 'table "request": 2 values of "at" are no date in "ms": their contacts stay (4 5)' in said
    assert 'table "request": of the first rows 2 have no date in "at", read as "ms", and their contacts stay' in d.check_config().stderr
    d.pg.sql(d.db, "UPDATE request SET at = 0 WHERE at IN (-5, 17)")
    again(d, "delete_contacts")
    assert len(d.pg.sql(d.db, "SELECT FROM retention.journal_event WHERE kind = 'undated'")) == 1
    assert "no date in" not in d.ctl("model", "check").stdout


@pytest.mark.parametrize("held, said, better", [
    ("s", "ms", "s"), ("s", "us", "s"), ("ms", "s", "ms"), ("ms", "us", "ms"), ("us", "s", "us"), ("us", "ms", "us")])
def test_another_unit_than_the_model_says(small, held, said, better):
    """Refused by -t and before a job; and if it were not, nobody would be due."""
    d = small("bigint", said)
    fill(d, {n: count(datetime(2018, 1, n, tzinfo=timezone.utc), held) for n in range(1, 6)})
    refused = d.check_config(check=False)
    assert refused.returncode == 1
    assert re.search(rf'model\.conf:3: table "request": date "at": with date_unit = "{said}" no value is a date between 1971 and 9999, '
                     rf'so that nobody would be due: date_unit = "{better}" makes dates of them', refused.stderr), refused.stderr
    d.once(check=False)
    assert keys(d.pg, d.db) == {1, 2, 3, 4, 5}
    # One right value lets the configuration through; the others still make nobody due.
    fill(d, {6: count(datetime(2018, 1, 1, tzinfo=timezone.utc), said)})
    d.check_config()
    d.once()
    assert keys(d.pg, d.db) == {1, 2, 3, 4, 5}


def test_seconds_since_another_year_are_asked_about(small):
    """Seconds since 2001 read as dates of the nineties: no refusal can know, but a live CRM is not ten years old."""
    d = small("bigint", "s")
    fill(d, {1: 700000000, 2: 700000100})
    assert 'table "request": the newest "at" is of 1992-03-07: is it counted from 1970-01-01 on?' in d.ctl("model", "check").stdout


def test_an_empty_table_is_accepted(small):
    d = small("bigint", "ms", created="text", model=model({"created": "created", "date_unit": "iso"}, {"date_unit": "ms"}))
    d.check_config()
    fill(d, {1: 0, 2: None}, contact="")
    d.check_config()


# --- Texts ------------------------------------------------------------------------------------

PARIS = ZoneInfo("Europe/Paris")
# Each with what Python makes of it in Paris; None: it is no date.
TEXTS = {
    # before midnight in Paris, which is 22:00 UTC of the day before
    "2025-05-22": True, "2025-05-22T23:59:59": True, "2025-05-22 23:59:59.999999": True, "2025-05-22 23:59": True,
    "2025-05-22T21:59:59Z": True, "2025-05-22 21:59:59.999Z": True, "2025-05-22T21:59:59.999999+00:00": True,
    "2025-05-23T01:29:59+03:30": True, "2025-05-22T09:59:59-1200": True, "2025-05-23 11:59:59+14": True,
    "2025-05-22 21:59:59 +0000": True, "2024-02-29": True, "2000-02-29T00:00Z": True, "1971-01-01": True,
    # at midnight, or after it
    "2025-05-23": False, "2025-05-23T00:00:00": False, "2025-05-23 00:00": False, "2025-05-23 00:00:00.000": False,
    "2025-05-22T22:00:00Z": False, "2025-05-22 22:00:00.000+00:00": False, "2025-05-22T22:00Z": False,
    "2025-05-23T02:00:00+04:00": False, "2025-05-22T10:00:00-12:00": False, "2025-05-22T23:00:00Z": False,
    "9999-12-31T23:59:59-12": False, "2026-11-23T11:59:59.123456789Z": False,
    # no date
    None: None, "": None, "n/a": None, "2020": None, "2020-01": None, "20200101": None, "2020-02-30": None, "2021-02-29": None,
    "1900-02-29": None, "2100-02-29": None, "2020-04-31": None, "2020-13-01": None, "2020-00-10": None, "2020-01-00": None,
    "0000-00-00 00:00:00": None, "0001-01-01T00:00:00Z": None, "1970-01-01T00:00:00Z": None, "2020-01-01T24:00:00": None,
    "2020-01-01T10:60:00": None, "2020-01-01T10:00:60Z": None, "2020-01-01T1:00": None, " 2020-01-01": None, "2020-01-01 ": None,
    "2020-01-01\n": None, "2020-01-01T10:00:00+16:00": None, "2020-01-01T10:00:00CET": None, "01/02/2020": None,
    "1.2.2020": None, "2020-1-2": None, "٢٠٢٠-٠١-٠١": None, "2020-01-01; DROP TABLE contact": None, "yesterday": None, "-infinity": None,
    "12020-01-01": None, "2020-01-01 10:00:00 PM": None, "1577836800": None,
}


def moment(text):
    """An oracle: what a text of TEXTS means, by Python."""
    text = re.sub(r" (?=[+-])", "", text)
    text = re.sub(r"([+-]\d\d)$", r"\1:00", text) if "T" in text or ":" in text else text
    text = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", text)
    text = re.sub(r"(\.\d{6})\d+", r"\1", text).replace("Z", "+00:00")
    text = re.sub(r"\.(\d{3})(?!\d)", r".\g<1>000", text)
    read = datetime.fromisoformat(text)
    return read if read.tzinfo else read.replace(tzinfo=PARIS)


def test_the_oracle_of_texts():
    for text, due in TEXTS.items():
        if due is not None:
            assert (moment(text) < datetime(2025, 5, 23, tzinfo=PARIS)) == due, text


COLLATIONS = ["", ' COLLATE "C"', ' COLLATE "en-x-icu"', " COLLATE whatever"]


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_requests"])
@pytest.mark.parametrize("kind", ["text", "varchar(60)", "day_text"])
@pytest.mark.parametrize("collation", COLLATIONS, ids=["default", "C", "icu", "nondeterministic"])
def test_texts(daemon, empty_db, pg, kind, collation, action):
    db = empty_db()
    set_clock(pg, db, NOON)
    pg.sql(db, "CREATE COLLATION whatever (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
               "CREATE DOMAIN day_text AS varchar;" + schema(kind + collation) + "; CREATE INDEX ON request (at)")
    d = daemon(db=db, model=model(RULES[0], {**RULES[1], "date_unit": "iso"}), policies=[policy(action)], database={"timezone": "Europe/Paris"})
    numbers = dict(enumerate(TEXTS, start=1))
    fill(d, numbers)
    d.once()
    assert d.jobs()[-1]["status"] == "done", d.jobs()[-1]
    due = {n for n, text in numbers.items() if TEXTS[text]}
    if action == "delete_contacts":
        assert {numbers[n] for n in numbers.keys() - keys(pg, db)} == {numbers[n] for n in due}
    else:
        assert keys(pg, db, "SELECT contact_id FROM request WHERE subject IS NULL") == due
    # What is neither empty nor a date is told.
    wrong = sum(1 for text, means in TEXTS.items() if means is None and text)
    assert pg.value(db, "SELECT details->'rows' FROM retention.journal_event WHERE kind = 'undated'") == wrong


def test_the_last_text_is_the_last_moment(small):
    """The greatest text is not the last moment: an offset, or T against a blank, can turn them round."""
    d = small("text", "iso")
    d.pg.sql(d.db, "INSERT INTO contact (id) VALUES (1), (2), (3)")
    for key, at in ((1, "2025-05-22T20:00:00Z"), (1, "2025-05-23 01:00:00+05:00"),  # both before, the second looks later
                    (2, "2025-05-22T23:00:00Z"), (2, "2025-05-22 20:00:00-05:00"),  # the second is after it
                    (3, "2020-01-01"), (3, "soon")):
        d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (%s, %s)", (key, at))
    d.once()
    assert keys(d.pg, d.db) == {2, 3}


@pytest.mark.parametrize("dates", ["German, DMY", "SQL, MDY"])
def test_the_databases_style_of_dates_means_nothing(small, pg, dates):
    d = small("text", "iso")
    pg.psql("postgres", "-c", f"ALTER DATABASE {d.db} SET DateStyle = '{dates}'", "-c",
            f"ALTER DATABASE {d.db} SET TimeZone = 'Pacific/Auckland'")
    fill(d, {1: "2025-05-22 23:59:59", 2: "2025-05-23 00:00:00", 3: "2025-05-23"})
    d.once()
    assert keys(d.pg, d.db) == {2, 3}


# --- Wherever dates are asked -----------------------------------------------------------------

WRITTEN = [("bigint", "ms", lambda m: count(m, "ms")), ("numeric", "s", lambda m: count(m, "s")),
           ("text", "iso", lambda m: m.isoformat()), ("varchar(40)", "iso", lambda m: m.strftime("%Y-%m-%d %H:%M:%S"))]
written = pytest.mark.parametrize("kind, unit, write", WRITTEN, ids=["bigint", "numeric", "text", "varchar"])


@written
@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_requests"])
def test_both_days_of_an_interval(small, kind, unit, write, action):
    d = small(kind, unit, model=model(RULES[0], {**RULES[1], "date_unit": unit}), policies=[], database={"timezone": "Europe/Paris"})
    begin, end = datetime(2024, 2, 10, tzinfo=PARIS), datetime(2024, 3, 10, tzinfo=PARIS)
    second = timedelta(seconds=1)
    fill(d, {1: write(begin - second), 2: write(begin), 3: write(end - second), 4: write(end), 5: write(begin)})
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at, subject) VALUES (5, %s, 's')", (write(end),))
    preview = d.ctl("preview", action, "--from", "2024-02-10", "--to", "2024-03-09").stdout
    assert re.search(rf"due +{2 if action == 'delete_contacts' else 3}\b", preview), preview
    assert re.search(r"newest +2024-03-09 23:59:59", preview), preview
    job = d.pg.value(d.db, "SELECT retention.save_action(%s, '2024-02-10', '2024-03-09')", (action,))
    d.once()
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    d.once()
    assert d.jobs()[-1]["status"] == "done"
    if action == "delete_contacts":
        assert keys(d.pg, d.db) == {1, 4, 5}
    else:
        assert keys(d.pg, d.db, "SELECT contact_id FROM request WHERE subject IS NULL") == {2, 3, 5}


@written
def test_without_requests(small, kind, unit, write):
    d = small("timestamptz", None, created=kind, policies=[policy(without_requests="created")],
              model=model({"created": "created", "date_unit": unit}))
    cutoff, second = datetime(2025, 5, 23, tzinfo=timezone.utc), timedelta(seconds=1)
    wrong = "n/a" if unit == "iso" else 5
    for key, at in enumerate([write(cutoff), write(cutoff - second), wrong, "" if unit == "iso" else 0, None], start=1):
        d.pg.sql(d.db, "INSERT INTO contact (id, created) VALUES (%s, %s)", (key, at))
    d.pg.sql(d.db, "INSERT INTO contact (id, created) VALUES (6, %s); INSERT INTO request (contact_id, at) VALUES (6, now())",
             (write(cutoff - second),))
    d.once()
    assert keys(d.pg, d.db) == {1, 3, 4, 5, 6}


@written
def test_who_comes_back_between_the_list_and_its_batch_stays(small, kind, unit, write):
    """The re-check asks the dates anew."""
    d = small(kind, unit, policies=[policy(approval=True)])
    old = datetime(2020, 1, 1, tzinfo=timezone.utc)
    fill(d, {n: write(old) for n in range(1, 5)})
    d.once()
    row = d.jobs()[-1]
    assert (row["status"], row["candidates"]) == ("saved", 4)
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (2, %s)", (write(datetime(2026, 11, 1, tzinfo=timezone.utc)),))
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (3, %s)", ("n/a" if unit == "iso" else 5,))
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (row["id"],))
    d.once()
    assert d.jobs()[-1]["status"] == "done" and keys(d.pg, d.db) == {2, 3}


@written
def test_archived_and_restored(small, kind, unit, write):
    """Rows come back as they were."""
    d = small(kind, unit, policies=[policy(archive="full")], model=model({"created": "created"}, {"date_unit": unit}))
    old = datetime(2020, 1, 1, 10, 20, 30, tzinfo=timezone.utc)
    fill(d, {n: write(old) for n in range(1, 6)}, contact="2014-01-01")
    before = d.pg.sql(d.db, "SELECT * FROM request ORDER BY id")
    d.once()
    assert keys(d.pg, d.db) == set()
    d.ctl("archive", "restore", d.jobs()[-1]["id"])
    assert d.pg.sql(d.db, "SELECT * FROM request ORDER BY id") == before


@written
def test_erased_again_after_a_backup(small, kind, unit, write):
    """Whom a backup brought back is erased again, unless something newer, or that cannot be read, is there."""
    d = small(kind, unit, model=model({"created": "created"}, {"date_unit": unit}))
    fill(d, {n: write(datetime(2020, 1, 1, 10, 20, 30, tzinfo=timezone.utc)) for n in range(1, 6)}, contact="2014-01-01")
    dump = d.pg.dump(d.db)
    d.once()
    assert keys(d.pg, d.db) == set()
    put_back(d, dump)
    d.configure(policies=[])
    assert d.once(check=False).returncode == 1  # it has noticed
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (2, %s), (3, %s), (4, %s)",
             (write(datetime(2099, 1, 1, tzinfo=timezone.utc)), "n/a" if unit == "iso" else 5, None))
    d.ctl("replay", "--yes")
    d.once(check=False)
    assert keys(d.pg, d.db) == {2, 3}


@written
def test_one_contact(small, kind, unit, write):
    """What is known of it, its data, and its erasure."""
    d = small(kind, unit, database={"timezone": "Europe/Paris"})
    fill(d, {1: write(datetime(2024, 2, 29, 12, tzinfo=PARIS)), 2: "n/a" if unit == "iso" else 5, 3: "" if unit == "iso" else 0,
             4: write(datetime(2099, 1, 1, tzinfo=PARIS))})
    d.check_config()
    due = lambda key: d.ctl("subject", "status", key, "--json").stdout
    assert '"due_from": "2025-09-01"' in due(1) and '"now": "due"' in due(1), due(1)
    assert '"now": "not due"' in due(2) and '"now": "not due"' in due(3)
    assert '"at": ' in d.ctl("subject", "export", "1").stdout
    for key in (1, 2, 3):
        job = int(re.search(r"action (\d+) saved", d.ctl("subject", "delete", key).stdout).group(1))
        d.once()
        if d.jobs(f"id = {job}")[0]["status"] == "saved":
            d.ctl("validate", job)
            d.once()
    # One that holds something that is no date may have been written today.
    assert keys(d.pg, d.db) == {2, 4}


@pytest.mark.parametrize("kind, unit, write", WRITTEN[:3], ids=["bigint", "numeric", "text"])
def test_slices_keep_the_last_request_to_the_end(small, kind, unit, write):
    """A contact that is cut is due in between, too, because its last request goes last."""
    d = small(kind, unit, limits={"workers": 1, "batch_rows": 100})
    d.pg.sql(d.db, "INSERT INTO contact (id) VALUES (1)")
    with d.pg.connect(d.db) as conn, conn.cursor() as cur:
        for n in range(2500):
            at = datetime(2019, 1, 1, tzinfo=timezone(timedelta(hours=n % 12))) + timedelta(minutes=n * 7)
            cur.execute("INSERT INTO request (contact_id, at) VALUES (1, %s)", (write(at),))
    d.once()
    assert d.jobs()[-1]["status"] == "done" and keys(d.pg, d.db) == set()
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'sliced'") > 0


@pytest.mark.parametrize("kind, unit, write, index", [
    (*WRITTEN[0], "at"), (*WRITTEN[1], "at"), (*WRITTEN[2], 'at COLLATE "C"'), (*WRITTEN[3], 'at COLLATE "C"'),
    ('text COLLATE "C"', "iso", WRITTEN[2][2], "at")], ids=["bigint", "numeric", "text", "varchar", "text C"])
def test_an_index_serves(small, pg, kind, unit, write, index):
    """The list of requests that are due is found by an index on the column itself."""
    d = small(kind, unit, model=model(RULES[0], {**RULES[1], "date_unit": unit}), policies=[policy("anonymize_requests")])
    pg.sql(d.db, f"CREATE INDEX by_date ON request ({index}); INSERT INTO contact (id) VALUES (1)")
    with pg.connect(d.db) as conn, conn.cursor() as cur:
        for n in range(2000):
            cur.execute("INSERT INTO request (contact_id, at) VALUES (1, %s)",
                        (write(datetime(2026, 11, 1, tzinfo=timezone.utc) - timedelta(days=n // 3)),))
    pg.psql(d.db, "-c", "ANALYZE")
    pg.log_plans(d.db)
    begin = pg.log_position()
    d.once()
    log = pg.log_text(begin)
    listed = [at for at in re.split(r"(?m)^(?=\S)", log) if "INSERT INTO retention.candidate" in at and "plan:" in at]
    assert listed
    assert any(re.search(r"Scan (using|on) by_date.*?\n\s+Index Cond: \([^\n]*\bat\b[^\n]* < ", plan, re.S) for plan in listed), listed


@written
def test_requests_with_several_contacts(small, kind, unit, write):
    """A join table says whose a request is; one date that cannot be read keeps all of its contacts."""
    d = small(kind, unit)
    d.pg.sql(d.db, """ALTER TABLE request DROP COLUMN contact_id;
        CREATE TABLE request_contact (request_id bigint NOT NULL REFERENCES request, contact_id bigint NOT NULL REFERENCES contact,
            PRIMARY KEY (request_id, contact_id)); CREATE INDEX ON request_contact (contact_id);
        INSERT INTO contact (id) SELECT generate_series(1, 6)""")
    d.configure(model=dated(unit, of=None, by=None, through={"table": "request_contact", "request": "request_id", "contact": "contact_id"}))
    old, new = (write(datetime(year, 1, 1, tzinfo=timezone.utc)) for year in (2020, 2099))
    for n, (at, contacts) in enumerate([(old, (1, 2)), (old, (3, 4)), (new, (4,)), ("n/a" if unit == "iso" else 5, (5, 6)), (old, (6,))]):
        d.pg.sql(d.db, "INSERT INTO request (id, at) VALUES (%s, %s)", (n, at))
        for contact in contacts:
            d.pg.sql(d.db, "INSERT INTO request_contact VALUES (%s, %s)", (n, contact))
    d.once()
    assert d.jobs()[-1]["status"] == "done", d.jobs()[-1]
    assert keys(d.pg, d.db) == {4, 5, 6}
    assert keys(d.pg, d.db, "SELECT id FROM request") == {1, 2, 3, 4}


# --- What is refused --------------------------------------------------------------------------

EPOCHS = 'if it counts from 1970-01-01 on, say date_unit = "s" (seconds), "ms" or "us"'
REFUSED = [
    ("bigint", None, f'table "request": date "at" is bigint: {EPOCHS}'),
    ("numeric(20,0)", None, f'table "request": date "at" is numeric(20,0): {EPOCHS}'),
    ("double precision", None, f'table "request": date "at" is double precision: {EPOCHS}'),
    ("integer", None, 'table "request": date "at" is integer: if it counts seconds from 1970-01-01 on, say date_unit = "s"'),
    ("text", None, 'table "request": date "at" is text: date_unit = "iso" reads texts such as 2026-01-31 or 2026-01-31T10:20:30Z'),
    ("integer", "ms", 'table "request": date_unit = "ms" does not fit date "at", which is integer: if it counts seconds'),
    ("smallint", "s", 'table "request": date_unit = "s" does not fit date "at", which is smallint: it must be a timestamp or a date'),
    ("real", "s", 'date_unit = "s" does not fit date "at", which is real: it must be a timestamp'),
    ("char(20)", "iso", 'date_unit = "iso" does not fit date "at", which is bpchar'),
    ("timestamptz", "ms", 'date_unit = "ms" does not fit date "at", which is timestamp with time zone: it needs no date_unit'),
    ("date", "iso", 'date_unit = "iso" does not fit date "at", which is date: it needs no date_unit'),
    ("text", "ms", 'date_unit = "ms" does not fit date "at", which is text: date_unit = "iso" reads texts'),
    ("bigint", "iso", f'date_unit = "iso" does not fit date "at", which is bigint: {EPOCHS}'),
    ("uuid", None, 'date "at" is uuid: it must be a timestamp or a date, or with date_unit a bigint'),
]


@pytest.mark.parametrize("kind, unit, words", REFUSED)
def test_a_unit_that_does_not_fit(small, kind, unit, words):
    d = small(kind, unit)
    said = d.check_config(check=False)
    assert said.returncode == 1 and words in said.stderr, said.stderr
    assert words in d.ctl("model", "check", check=False).stdout


@pytest.mark.parametrize("wrong, words", [
    ({"request": {"date_unit": "minutes"}}, 'date_unit "minutes" is not "s", "ms", "us" or "iso"'),
    ({"contact": {"date_unit": "ms"}}, 'date_unit says what date of "request", or created of "contact", holds: leave it out here'),
    ({"note": {"table": "note", "of": "contact", "by": "contact_id", "date_unit": "ms"}}, "leave it out here"),
])
def test_settings(small, wrong, words):
    d = small("bigint", "ms")
    (d.dir / "model.conf").write_text(model(**wrong))
    said = d.check_config(check=False)
    assert said.returncode == 1 and words in said.stderr, said.stderr


def test_it_is_printed(small):
    d = small("bigint", "ms", created="text", model=model({"created": "created", "date_unit": "iso"}, {"date_unit": "ms"}))
    printed = d.check_config("-v").stdout
    assert 'date_unit = "iso";' in printed and 'date_unit = "ms";' in printed
    assert libconfig({"date_unit": "ms"})
