"""Who is due: the boundary of a depth, months' ends, time zones, and what keeps a contact."""

from calendar import monthrange
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from support.small import SCHEMA, keys, model, set_clock

NOON = "2026-11-23 12:00:00+00"


def policy(depth="18 months", name="p", action="delete_contacts", **more):
    return {"name": name, "action": action, "depth": depth, "schedule": "daily", **more}


@pytest.fixture
def small(daemon, empty_db, pg):
    """small(now, schema=…, …): a migrated daemon whose database's clock stands at now."""

    def make(now=NOON, schema=SCHEMA, **kwargs):
        db = empty_db()
        set_clock(pg, db, now)
        pg.sql(db, schema)
        kwargs.setdefault("model", model())
        kwargs.setdefault("policies", [policy()])
        return daemon(db=db, **kwargs)

    return make


def pass_again(d, **more):
    """One more pass, of a policy that has not run yet: the contacts that are left."""
    number = len(d.jobs())
    d.configure(policies=[policy(**{"name": f"p{number}", **more})])
    d.once()
    assert d.jobs()[-1]["status"] == "done"
    return keys(d.pg, d.db)


# --- The boundary -----------------------------------------------------------------------------


def minus(day, depth):
    """Calendar arithmetic in its own words: a month's end stays within its month."""
    n, unit = depth.split()
    n, unit = int(n), unit.rstrip("s")
    if unit in ("day", "week"):
        return day - timedelta(days=n * (7 if unit == "week" else 1))
    months = day.year * 12 + day.month - 1 - n * (12 if unit == "year" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def cutoff_of(now, zone, depth):
    """(the day, the moment in UTC at which it begins there)."""
    there = datetime.fromisoformat(now).astimezone(ZoneInfo(zone)).date()
    day = minus(there, depth)
    return day, datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(timezone.utc)


BOUNDARIES = [
    # now, zone, depth, the day that is reached
    (NOON, "UTC", "18 months", "2025-05-23"),
    ("2026-08-31 12:00:00+00", "UTC", "18 months", "2025-02-28"),
    ("2025-08-31 12:00:00+00", "UTC", "18 months", "2024-02-29"),
    ("2026-08-31 00:00:00+00", "UTC", "6 months", "2026-02-28"),
    ("2026-03-31 23:59:59.999999+00", "UTC", "1 month", "2026-02-28"),
    ("2026-07-31 12:00:00+00", "UTC", "1 month", "2026-06-30"),
    ("2028-02-29 12:00:00+00", "UTC", "1 year", "2027-02-28"),
    ("2028-02-29 12:00:00+00", "UTC", "4 years", "2024-02-29"),
    ("2028-02-29 12:00:00+00", "UTC", "24 months", "2026-02-28"),
    ("2028-03-01 12:00:00+00", "UTC", "1 day", "2028-02-29"),
    ("2026-03-30 12:00:00+00", "Europe/Paris", "30 days", "2026-02-28"),
    ("2026-04-05 12:00:00+00", "Europe/Paris", "1 week", "2026-03-29"),
    # It is still yesterday in the west, already tomorrow in the east.
    ("2026-11-23 02:00:00+00", "America/Los_Angeles", "18 months", "2025-05-22"),
    ("2026-11-23 22:00:00+00", "Pacific/Auckland", "18 months", "2025-05-24"),
    ("2026-08-30 11:00:00+00", "Pacific/Kiritimati", "18 months", "2025-02-28"),
    # The day has no midnight: summer time begins at 0:00, the clocks say 1:00.
    ("2020-05-04 12:00:00+00", "America/Sao_Paulo", "18 months", "2018-11-04"),
]


@pytest.mark.parametrize("now, zone, depth, reached", BOUNDARIES)
def test_the_last_moment(small, now, zone, depth, reached):
    """Strictly before the start of the day D - depth: at midnight it stays, one microsecond earlier it goes."""
    d = small(now, policies=[policy(depth)], database={"timezone": zone})
    day, moment = cutoff_of(now, zone, depth)
    assert day.isoformat() == reached, "the test's own arithmetic"
    d.pg.sql(d.db, """INSERT INTO contact VALUES (1), (2), (3);
        INSERT INTO request (contact_id, at) VALUES (1, %(at)s), (2, %(at)s - interval '1 microsecond'),
            (3, %(at)s + interval '1 microsecond')""", {"at": moment})
    d.once()
    assert d.jobs()[-1]["cutoff"] == moment
    assert keys(d.pg, d.db) == {1, 3}


@pytest.mark.parametrize("kind", ["timestamp", "date", "local"])
@pytest.mark.parametrize("zone, now", [
    ("America/Los_Angeles", "2026-11-23 02:00:00+00"), ("Pacific/Auckland", "2026-11-23 22:00:00+00")])
def test_dates_without_a_zone_are_local(small, kind, zone, now):
    schema = (f"CREATE DOMAIN local AS timestamp(6); {SCHEMA};"
              f"ALTER TABLE request ALTER at TYPE {kind} USING at::timestamp::{kind}; CREATE INDEX ON request (at)")
    d = small(now, schema, database={"timezone": zone})
    day, moment = cutoff_of(now, zone, "18 months")
    step = "1 day" if kind == "date" else "1 microsecond"
    d.pg.sql(d.db, """INSERT INTO contact VALUES (1), (2), (3);
        INSERT INTO request (contact_id, at) VALUES (1, %(at)s::timestamp), (2, %(at)s::timestamp - %(step)s::interval),
            (3, %(at)s::timestamp + %(step)s::interval)""", {"at": day, "step": step})
    d.once()
    assert d.jobs()[-1]["cutoff"] == moment
    assert keys(d.pg, d.db) == {1, 3}


# --- What keeps a contact ---------------------------------------------------------------------

OLD, NEW = "2020-01-01 00:00+00", "2026-11-01 00:00+00"
PEOPLE = {
    1: [(OLD, "closed")],
    2: [(OLD, "closed"), ("2021-01-01 00:00+00", "closed")],
    3: [(OLD, "closed"), (NEW, "closed")],  # the oldest is due, the last is not
    4: [],
    5: [(OLD, "closed"), (None, "closed")],  # a request whose date nobody knows
    6: [(OLD, "open")],
    7: [(OLD, "closed"), ("2019-01-01 00:00+00", "open")],
    8: [(OLD, None)],
    9: [("infinity", "closed"), (OLD, "closed")],
    10: [(OLD, "closed")],
}


def populate(d, people=None):
    for key, requests in (people or PEOPLE).items():
        d.pg.sql(d.db, "INSERT INTO contact (id, name, brand, created) VALUES (%s, 'n', %s, %s)",
                 (key, "b" if key == 10 else "a", OLD))
        for at, status in requests:
            d.pg.sql(d.db, "INSERT INTO request (contact_id, at, status, subject) VALUES (%s, %s, %s, 's')",
                     (key, at, status))


DUE_WHEN = {"due_when": "status = 'closed'"}


def test_what_keeps_a_contact(small):
    d = small(model=model(request=DUE_WHEN))
    populate(d)
    d.once()
    assert keys(d.pg, d.db) == {3, 4, 5, 6, 7, 8, 9}
    assert d.pg.value(d.db, "SELECT count(*) FROM request WHERE contact_id = 3") == 2


def test_without_due_when_a_status_keeps_nobody(small):
    d = small()
    populate(d)
    d.once()
    assert keys(d.pg, d.db) == {3, 4, 5, 9}


def test_due_when_with_a_comment_and_an_or(small):
    d = small(model=model(request={"due_when": "status = 'closed' OR status = 'open' -- or whatever"}))
    populate(d)
    d.once()
    assert keys(d.pg, d.db) == {3, 4, 5, 8, 9}


def test_without_requests(small):
    d = small(model=model({"created": "created"}, DUE_WHEN), policies=[policy(without_requests="created")])
    cutoff = "2025-05-23 00:00+00"
    populate(d)
    d.pg.sql(d.db, """INSERT INTO contact (id, created) VALUES (20, %(at)s), (21, NULL),
        (22, %(at)s::timestamptz - interval '1 microsecond')""", {"at": cutoff})
    d.once()
    assert keys(d.pg, d.db) == {3, 5, 6, 7, 8, 9, 20, 21}


def test_scope(small):
    d = small(model=model(request=DUE_WHEN), policies=[policy(scope="brand = 'b' OR false -- one brand")])
    populate(d)
    d.once()
    assert keys(d.pg, d.db) == set(PEOPLE) - {10}


def test_rows_of_contact_and_request_that_the_model_leaves_out(small):
    d = small(model=model({"where": "brand <> 'b'"}, {"where": "status IS DISTINCT FROM 'draft'"}))
    populate(d, {1: [(OLD, "closed")], 2: [(OLD, "closed"), (NEW, "closed")], 10: [(OLD, "closed")],
                 11: [(NEW, "closed")]})
    d.once()
    assert keys(d.pg, d.db) == {2, 10, 11}


def test_requests_that_belong_to_nobody(small):
    d = small()
    populate(d, {1: [(OLD, "closed")]})
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (NULL, %s)", (OLD,))
    d.once()
    assert keys(d.pg, d.db) == set()
    assert keys(d.pg, d.db, "SELECT contact_id FROM request") == {None}


def test_holds(small):
    d = small()
    populate(d, {n: [(OLD, "closed")] for n in range(1, 6)})
    d.check_config()  # tells the functions what a contact's key is
    for key, until in ((" 1", None), ("002", "2026-11-24 00:00+00"), ("3", None)):
        d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'case 7', %s)", (key, until))
    d.pg.sql(d.db, "SELECT retention.place_hold('4', 'case 8')")
    d.pg.sql(d.db, "SELECT retention.release_hold('4')")
    d.once()
    assert keys(d.pg, d.db) == {1, 2, 3}
    # The second one's hold lasts to the moment at which it expires.
    set_clock(d.pg, d.db, "2026-11-23 23:59:59.999999+00")
    assert pass_again(d) == {1, 2, 3}
    set_clock(d.pg, d.db, "2026-11-24 00:00:00+00")
    assert pass_again(d) == {1, 3}
    d.pg.sql(d.db, "SELECT retention.release_hold('3')")
    assert pass_again(d) == {1}


# A type of the key, the key as the table has it, and other spellings of the same contact.
SPELLINGS = [
    ("number_of_contact", "7", ("007", " 7", "+7\n")),
    ("id_of_contact", "7f3a0000-0000-4000-8000-000000000007", ("{7F3A0000-0000-4000-8000-000000000007}",)),
    ("char(8)", "A7", ("A7", "A7      ", " A7")),
    ("char_of_contact", "A7", ("A7      ", "A7\t")),
    ("varchar(8)", "A7", ("A7 ", "\tA7")),
    ("text", " A7", ("A7", " A7")),  # the table's own value begins with a blank
]
DOMAINS = """CREATE DOMAIN number_of_contact AS int CHECK (value < 1000000);
    CREATE DOMAIN id_of_contact AS uuid; CREATE DOMAIN char_of_contact AS char(8);"""


@pytest.mark.parametrize("kind, key, spelling", [(kind, key, s) for kind, key, all in SPELLINGS for s in all])
def test_a_hold_is_found_however_its_key_is_spelt(small, kind, key, spelling):
    d = small(schema=DOMAINS + SCHEMA.replace("id bigint PRIMARY", f"id {kind} PRIMARY", 1)
              .replace("contact_id bigint", f"contact_id {kind}"))
    d.pg.sql(d.db, "INSERT INTO contact (id) VALUES (%s)", (key,))
    d.pg.sql(d.db, "INSERT INTO request (contact_id, at) VALUES (%s, %s)", (key, OLD))
    d.check_config()
    d.pg.sql(d.db, "SELECT retention.place_hold(%s, 'case 7')", (spelling,))
    assert kind == "text" or "no contact has the key" not in d.check_config().stderr
    d.once()
    assert d.pg.value(d.db, "SELECT count(*) FROM contact") == 1
    d.pg.sql(d.db, "SELECT retention.release_hold(%s)", (spelling,))
    assert pass_again(d) == set()


def test_a_hold_that_holds_nobody_is_named(small):
    d = small()
    populate(d, {1: [(OLD, "closed")], 2: [(OLD, "closed")]})
    # Before the daemon has seen the database, nothing tells how a key is written.
    d.pg.sql(d.db, "SELECT retention.place_hold('007', 'case 7')")
    said = d.check_config(check=False)
    assert said.returncode == 1
    assert """table "contact": the key of hold 1 is not written as "id" (bigint) writes it, so it holds nobody: release """ \
        """the hold, and place it anew by the contact's key""" in said.stderr
    assert "the key of hold 1" in d.ctl("model", "check", check=False).stdout
    d.pg.sql(d.db, "SELECT retention.release_hold('007')")
    d.check_config()
    d.pg.sql(d.db, "SELECT retention.place_hold('7', 'case 7')")
    assert "no contact has the key of hold 2: see retentionctl hold list; release a hold whose contact is gone" in \
        d.check_config().stderr
    d.pg.sql(d.db, "SELECT retention.release_hold('7')")
    # As after a change of the model, which names another key now.
    d.pg.sql(d.db, "SELECT retention.place_hold('1', 'case 7')")
    d.pg.sql(d.db, "UPDATE retention.hold SET contact_key = 'A7' WHERE id = 3")
    d.once(check=False)
    assert keys(d.pg, d.db) == {1, 2}


RULES = ({"clear": ["name"], "keep": ["id", "brand", "created"]},
         {"clear": ["subject"], "keep": ["id", "contact_id", "at", "status"], **DUE_WHEN})


@pytest.mark.parametrize("scope, wanted", [(None, {1, 2, 3, 5, 7, 9}), ("brand = 'b' OR id = 1", {1})])
def test_requests_by_their_own_date(small, scope, wanted):
    """anonymize_requests: each by itself, its contact's hold and the scope as for contacts."""
    d = small(model=model(*RULES), policies=[
        policy(action="anonymize_requests", **({"scope": scope} if scope else {}))])
    populate(d)
    d.pg.sql(d.db, "SELECT retention.place_hold('10', 'case')")
    d.once()
    anonymous = "SELECT contact_id FROM request WHERE subject IS NULL"
    assert keys(d.pg, d.db, anonymous) == wanted
    assert keys(d.pg, d.db, f"{anonymous} AND (status <> 'closed' OR at >= '2025-05-23' OR at IS NULL)") == set()
    assert keys(d.pg, d.db, "SELECT name FROM contact") == {"n"}


# --- Manual intervals -------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_requests"])
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Auckland"])
def test_both_days_of_an_interval(small, zone, action):
    d = small(model=model(*RULES), policies=[], database={"timezone": zone})
    first, last = date(2024, 2, 10), date(2024, 3, 9)
    begin, end = (datetime(x.year, x.month, x.day, tzinfo=ZoneInfo(zone)) for x in (first, last + timedelta(days=1)))
    moment = timedelta(microseconds=1)
    populate(d, {1: [(begin - moment, "closed")], 2: [(begin, "closed")], 3: [(end - moment, "closed")],
                 4: [(end, "closed")], 5: [(begin, "closed"), (end, "closed")], 6: []})
    job = d.pg.value(d.db, "SELECT retention.save_action(%s, %s, %s)", (action, first, last))
    d.once()
    d.pg.sql(d.db, "SELECT retention.validate_action(%s)", (job,))
    d.once()
    assert d.jobs()[-1]["status"] == "done"
    if action == "delete_contacts":
        assert keys(d.pg, d.db) == {1, 4, 5, 6}
    else:
        assert keys(d.pg, d.db, "SELECT contact_id FROM request WHERE subject IS NULL") == {2, 3, 5}


def test_the_longest_interval_is_a_month(small):
    d = small(policies=[])
    save = "SELECT retention.save_action('delete_contacts', %s, %s)"
    for first, last in (("2024-01-31", "2024-02-28"), ("2024-02-01", "2024-02-29"), ("2026-11-23", "2026-11-23")):
        assert d.pg.value(d.db, save, (first, last)) > 0
    for first, last, words in (("2024-01-31", "2024-02-29", "longer than one month"),
                               ("2024-02-01", "2024-03-01", "longer than one month"),
                               ("2024-02-02", "2024-02-01", "ends"),
                               ("2026-11-24", "2026-11-24", "in the future")):
        with pytest.raises(Exception, match=words):
            d.pg.value(d.db, save, (first, last))
