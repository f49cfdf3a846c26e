"""Requests with several contacts, as people ask about them: one person's data, a preview, scopes, archives put back."""

import json
import os
import re

import pytest

from support.backup import put_back
from support.clients import SEED
from support.restores import restore
from support.small import archived, failures, keys, policy
from support.through import PLAIN, SHAPES, World, deletes, left

plain, *_, quoted = SHAPES
accounts = SHAPES[3]
MODEL = plain.model()
LIMITS = {"max_share": 1.0}
# Contacts 1 and 2 have ticket 10 together; 11 is of the first alone, 20 of the second and the third.
THREE = PLAIN + """;
    INSERT INTO contact (id, name, created) SELECT n, 'n' || n, '2010-01-01' FROM generate_series(1, 5) AS n;
    INSERT INTO ticket SELECT n, '2015-01-01', 'closed', 's' || n FROM unnest('{10,11,20,30}'::int[]) AS n;
    INSERT INTO ticket_contact VALUES (10, 1), (10, 2), (11, 1), (20, 2), (20, 3);
    INSERT INTO message SELECT 10 * id, id, 'm' FROM ticket"""


def once(d, *policies):
    """One pass of these, under names of their own."""
    d.configure(policies=[{**p, "name": f"p{len(d.jobs())}{n}"} for n, p in enumerate(policies)])
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), (job, failures(d))
    return job


def subjects(d):
    return dict(d.pg.sql(d.db, "SELECT id, subject FROM ticket"))


def brand(make, *policies):
    """A third of the contacts are of another brand, as policies' scope says."""
    d = make(THREE.replace("name text,", "name text, brand text,", 1), MODEL.replace('keep = ( "created" )', 'keep = ( "created", "brand" )'),
             *policies, limits=LIMITS)
    d.pg.sql(d.db, "UPDATE contact SET brand = CASE id WHEN 3 THEN 'b' ELSE 'a' END")
    return d


def test_one_persons_copy(make, pg):
    """The requests with all that hangs off them, and no row of the join table that names another."""
    for shape in (plain, accounts, quoted):
        world = World(SEED)
        d = make(shape.schema, shape.model(), deletes(), limits=LIMITS)
        world.load(pg, d.db, shape)
        contact = max(world.contacts, key=lambda n: len(world.of(n)))
        document = json.loads(d.ctl("subject", "export", shape.key_text(contact), log=os.devnull).stdout)
        assert [r["name"] for r in document["contact"]] == [f"name {contact}"]
        assert {r["subject"] for r in document["request"]} == {f"about {t}" for t in world.of(contact)}
        assert {r["note"] for r in document["request_contact"]} == {f"{contact} on {t}" for t in world.of(contact)}
        assert {r["id"] for r in document["message"]} == {m for m, t in world.messages.items() if t in world.of(contact)}


def test_one_persons_erasure(make, pg):
    """Whatever their dates and states: the person goes, and what is theirs alone."""
    world = World(SEED)
    d = make(plain.schema, MODEL, deletes(depth="90 years"), limits=LIMITS)
    world.load(pg, d.db, plain)
    d.once()
    contact = max(world.contacts, key=lambda n: len(world.of(n)))
    job = int(re.search(r"action (\d+) saved", d.ctl("subject", "delete", contact).stdout).group(1))
    d.once()
    d.ctl("validate", job)
    d.once()
    assert d.jobs()[-1]["counters"]["treated"] == 1
    assert left(pg, d.db, plain) == world.without({contact})


def test_what_is_known_of_one_person(make):
    d = make(THREE, MODEL, deletes(), policy("anonymize_requests", "r", depth="12 months"), limits=LIMITS)
    said = json.loads(d.ctl("subject", "status", "2", "--json").stdout)
    assert [(p["policy"], p["now"], p["due_from"], p["requests"]) for p in said["policies"]] == [
        ("p", "due", "2016-07-02", None), ("r", "due", "2016-01-02", 2)]


def test_the_model_is_looked_at(make):
    """No table of the helpdesk is overlooked, and nothing is said of the join table."""
    d = make(THREE, MODEL, deletes(), limits=LIMITS)
    said = d.ctl("model", "check").stdout
    assert "refused by the daemon: 0; to look at: 0" in said and "request_contact" in said, said


def test_a_preview_says_what_the_pass_does(make, pg):
    for shape in (plain, accounts):
        world = World(SEED)
        d = make(shape.schema, shape.model(), deletes(), limits=LIMITS)
        world.load(pg, d.db, shape)
        gone = world.due()
        tickets = world.last_gone(gone)
        said = json.loads(d.ctl("preview", "p", "--json").stdout)
        counts = {t["table"]: t["rows"] for t in said["tables"]}
        assert counts == {"contact": len(gone), "request": len(tickets), "request_contact": sum(c in gone for _, c in world.pairs),
                          "message": sum(t in tickets for t in world.messages.values())}
        job = once(d, deletes())
        assert {name: n for name, n in job["counters"]["rows"].items()} == counts


def test_a_share_that_is_too_large_waits(make):
    d = make(THREE, MODEL, deletes(), limits={"max_share": 0.3})
    d.once()
    assert d.jobs()[-1]["status"] != "done" and keys(d.pg, d.db) == {1, 2, 3, 4, 5}


def test_a_contact_without_requests(make):
    """Its own date counts, if the policy says so; a request without contacts belongs to nobody."""
    d = make(THREE, MODEL, deletes(), limits=LIMITS)
    once(d, deletes())
    assert keys(d.pg, d.db) == {4, 5} and subjects(d) == {30: "s30"}
    once(d, deletes(without_requests="created"))
    assert keys(d.pg, d.db) == set() and subjects(d) == {30: "s30"}
    once(d, policy("anonymize_requests"))
    assert subjects(d) == {30: None}


def test_a_scope_of_contacts(make):
    """A request that is somebody else's as well stays with its content until that one goes."""
    d = brand(make)
    once(d, deletes(scope="brand = 'a'"))
    assert keys(d.pg, d.db) == {3, 4, 5} and subjects(d) == {20: "s20", 30: "s30"}


def test_a_scope_of_requests(make):
    """None of its contacts is outside: what they wrote stands there too."""
    d = brand(make)
    d.pg.sql(d.db, "UPDATE contact SET brand = NULL WHERE id = 1")
    once(d, policy("anonymize_requests", scope="brand = 'a' -- ours"))
    assert subjects(d) == {10: "s10", 11: "s11", 20: "s20", 30: "s30"}, "10: unknown; 20: b's as well; 30: nobody's"
    d.pg.sql(d.db, "UPDATE contact SET brand = 'a' WHERE id = 1")
    once(d, policy("anonymize_requests", scope="brand = 'a' -- ours"))
    assert subjects(d) == {10: None, 11: None, 20: "s20", 30: "s30"}


def test_archives_of_two_actions(make, pg):
    """The request is in the second: it goes back first.  The other way round is refused, and changes nothing."""
    d = make(THREE, MODEL, deletes(), limits=LIMITS)
    before = left(pg, d.db, plain)
    first = once(d, deletes(scope="id = 2"))
    assert archived(d, "request") == [] and len(archived(d, "request_contact")) == 2
    second = once(d, deletes())
    assert {row[0] for row in archived(d, "request")} == {"10", "11", "20"}
    after = left(pg, d.db, plain)
    refused = restore(d, first, check=False)
    assert refused.returncode == 1 and "ticket_contact_ticket_id_fkey" in refused.stderr, refused.stderr
    assert left(pg, d.db, plain) == after
    restore(d, second)
    restore(d, first)
    assert left(pg, d.db, plain) == before


def test_a_main_contact_beside_the_join_table(make, pg):
    """Its column is cleared where the request stays, and in the archive where it goes; restored, it is back."""
    d = make(THREE + """; ALTER TABLE ticket ADD owner bigint REFERENCES contact; CREATE INDEX ON ticket (owner);
            UPDATE ticket SET owner = 2 WHERE id IN (10, 20); UPDATE ticket SET owner = 1 WHERE id = 11""",
             plain.model(owned={"table": "ticket", "key": "id", "of": "contact", "by": "owner", "delete": "detach", "anonymize": "keep"})
             .replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner" )'), deletes(), limits=LIMITS)
    owners = "SELECT id, owner FROM ticket ORDER BY 1"
    before = left(pg, d.db, plain), d.pg.sql(d.db, owners)
    first = once(d, deletes(scope="id = 2"))
    assert d.pg.sql(d.db, owners) == [(10, None), (11, 1), (20, None), (30, None)]
    second = once(d, deletes())
    assert d.pg.sql(d.db, owners) == [(30, None)]
    restore(d, second)
    restore(d, first)
    assert (left(pg, d.db, plain), d.pg.sql(d.db, owners)) == before


def contacts(d):
    return [n for (n,) in d.pg.sql(d.db, "SELECT id FROM contact ORDER BY 1")]


def also(make, key, more="", quiet="", **extra):
    """Tickets name a contact in a column of their own, too, with a foreign key or without."""
    sql = f"""; ALTER TABLE ticket ADD owner bigint {key}; CREATE INDEX ON ticket (owner);
        UPDATE ticket SET owner = 1 WHERE id IN (10, 11); {more}"""
    model = plain.model(owned={"table": "ticket", "key": "id", "of": "contact", "by": "owner", "delete": "detach", "anonymize": "keep"})
    return make(THREE + sql, model.replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner" )')
                .replace("through = {", 'through = { also = "owner";'), *([quiet] if quiet else [deletes()]), limits=LIMITS, **extra)


@pytest.mark.parametrize("key", ["REFERENCES contact", ""])
def test_a_request_that_the_join_table_lacks(make, key):
    """Contact 3 has an old request by the join table, and a new one that only names it: it stays, and somebody is told how to mend it."""
    d = also(make, key, "INSERT INTO ticket VALUES (40, now(), 'open', 's40', 3)")
    once(d, deletes())
    assert contacts(d) == [3, 4, 5]
    event, = d.pg.sql(d.db, "SELECT details FROM retention.journal_event WHERE kind = 'unpaired'")
    assert event == ({"table": "request", "rows": 1, "keys": "{40}"},)
    assert "unpaired" in d.ctl("show", d.jobs()[-1]["id"]).stdout
    assert "1 requests name a contact that the join table lacks, and their contacts stay" in d.ctl("preview", "p00").stdout
    said = d.ctl("model", "check", check=False).stdout
    assert 'table "request": 1 rows name a contact in "owner" that has no row for them in public.ticket_contact: their contacts stay; ' in said
    assert "a request that the join table lacks" in d.ctl("subject", "status", "3").stdout
    # The open request then keeps it, as every other does; closed and old, they go together.
    d.pg.sql(d.db, re.search(r"contacts stay; (INSERT .* DO NOTHING)", said).group(1))
    assert "contacts stay" not in d.ctl("model", "check", check=False).stdout + d.ctl("preview", "p00").stdout
    assert "a request that is open" in d.ctl("subject", "status", "3").stdout
    once(d, deletes())
    assert contacts(d) == [3, 4, 5]
    d.pg.sql(d.db, "UPDATE ticket SET at = '2015-01-01', status = 'closed' WHERE id = 40")
    once(d, deletes())
    assert contacts(d) == [4, 5] and subjects(d) == {30: "s30"}


@pytest.mark.parametrize("action", ["anonymize_contacts", "anonymize_requests"])
def test_an_anonymization_of_what_the_join_table_lacks(make, action):
    """A contact stays as it is; a request goes by its own date, whoever it names."""
    d = also(make, "REFERENCES contact", "INSERT INTO ticket VALUES (40, '2015-01-01', 'closed', 's40', 3)", quiet=policy(action))
    once(d, policy(action))
    names = dict(d.pg.sql(d.db, "SELECT id, name FROM contact"))
    assert (names[1], names[3]) == ((None, "n3") if action == "anonymize_contacts" else ("n1", "n3"))
    assert subjects(d)[40] == ("s40" if action == "anonymize_contacts" else None)


def test_a_pair_that_goes_while_the_pass_runs(make, pg):
    """The list has the contact, and then its row in the join table goes: the batch looks again."""
    d = also(make, "REFERENCES contact")
    d.configure(policies=[deletes()], limits={"max_share": 0.1})
    d.once()
    job = d.jobs()[-1]
    assert job["status"] == "saved"
    pg.sql(d.db, "DELETE FROM ticket_contact WHERE (ticket_id, contact_id) = (11, 1)")
    d.ctl("validate", job["id"])
    d.once()
    assert contacts(d) == [1, 4, 5]


def test_also_over_several_columns(make, pg):
    d = make(accounts.schema + """; ALTER TABLE ticket ADD owner bigint; CREATE INDEX ON ticket (account_id, owner);
        INSERT INTO contact VALUES (1, 7, 'a', '2010-01-01'), (2, 7, 'b', '2010-01-01');
        INSERT INTO ticket VALUES (1, 10, '2015-01-01', 'closed', 's', 7), (2, 10, '2015-01-01', 'closed', 's', 7), (2, 11, '2015-01-01', 'closed', 's', 7);
        INSERT INTO ticket_contact VALUES (1, 10, 7), (2, 10, 7)""",
             accounts.model(owned={"table": "ticket", "key": ["account_id", "id"], "of": "contact", "by": ["account_id", "owner"],
                                   "delete": "detach", "anonymize": "keep"})
             .replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner" )')
             .replace("through = {", 'through = { also = [ "account_id", "owner" ];'), deletes(), limits=LIMITS)
    once(d, deletes())
    assert pg.sql(d.db, "SELECT account_id, id FROM contact") == [(2, 7)]
    said = d.ctl("model", "check", check=False).stdout
    pg.sql(d.db, re.search(r"contacts stay; (INSERT .* DO NOTHING)", said).group(1))
    once(d, deletes())
    assert pg.sql(d.db, "SELECT FROM contact") == [] and pg.sql(d.db, "SELECT FROM ticket") == []


def test_what_a_request_says_of_its_main_contact(make):
    """The columns named for a contact that goes are cleared where the request stays."""
    d = make(THREE + """; ALTER TABLE ticket ADD owner bigint REFERENCES contact, ADD owner_name text; CREATE INDEX ON ticket (owner);
            UPDATE ticket SET owner = 2, owner_name = 'two' WHERE id IN (10, 20); UPDATE ticket SET owner = 1, owner_name = 'one' WHERE id = 11""",
             plain.model(owned={"table": "ticket", "key": "id", "of": "contact", "by": "owner", "delete": "detach", "anonymize": "keep",
                                "on_delete": {"clear": ["owner_name"], "keep": ["at", "status", "subject"]}})
             .replace('keep = ( "at", "status" )', 'keep = ( "at", "status", "owner", "owner_name" )'), deletes(), limits=LIMITS)
    once(d, deletes(scope="id = 2"))
    assert d.pg.sql(d.db, "SELECT id, owner, owner_name, subject FROM ticket ORDER BY 1") == [
        (10, None, None, "s10"), (11, 1, "one", "s11"), (20, None, None, "s20"), (30, None, None, "s30")]


def test_deleted_after_the_other_was_anonymized(make):
    """An anonymized contact is still a contact of the request, which keeps its content no longer than it needs to."""
    d = make(THREE, MODEL, policy("anonymize_contacts"), limits=LIMITS)
    once(d, policy("anonymize_contacts", scope="id = 1"))
    assert subjects(d) == {10: "s10", 11: None, 20: "s20", 30: "s30"}
    once(d, deletes(scope="id = 2"))
    assert subjects(d) == {10: "s10", 11: None, 20: "s20", 30: "s30"} and keys(d.pg, d.db) == {1, 3, 4, 5}
    once(d, policy("anonymize_contacts", scope="id = 1"))
    assert subjects(d) == {10: None, 11: None, 20: "s20", 30: "s30"}


def test_replayed(make, pg):
    """An older backup is put back: whoever was erased goes again, with the requests of which they were the last."""
    d = make(THREE, MODEL, deletes(), limits=LIMITS)
    once(d, policy("export", archive="full"))
    backup = pg.dump(d.db)
    once(d, deletes(scope="id = 2"))
    once(d, deletes(scope="id = 1"))
    erased = left(pg, d.db, plain)
    assert keys(pg, d.db) == {3, 4, 5} and subjects(d) == {20: "s20", 30: "s30"}
    put_back(d, backup)
    assert keys(pg, d.db) == {1, 2, 3, 4, 5} and d.once(check=False).returncode == 1
    d.ctl("replay", "--yes")
    d.configure(policies=[])
    d.once()
    assert left(pg, d.db, plain) == erased


def test_staff_in_the_contacts_table(make):
    """Whoever contact's where leaves out keeps the request, and is never due."""
    d = make(THREE, MODEL.replace('table = "contact";', 'table = "contact"; where = "id <> 3";'), deletes(), limits=LIMITS)
    once(d, deletes())
    assert keys(d.pg, d.db) == {3, 4, 5} and subjects(d) == {20: "s20", 30: "s30"}


def test_requests_that_where_leaves_out(make):
    """They are no requests: they make nobody due and go with nobody; what joins them goes."""
    d = make(THREE, MODEL.replace('date = "at";', 'date = "at"; where = "id <> 20";'), deletes(), limits=LIMITS)
    once(d, deletes())
    assert keys(d.pg, d.db) == {3, 4, 5} and subjects(d) == {20: "s20", 30: "s30"}
    assert keys(d.pg, d.db, "SELECT contact_id FROM ticket_contact") == {3}


def test_dates_as_numbers(make):
    d = make(THREE + "; ALTER TABLE ticket ALTER at TYPE bigint USING extract(epoch FROM at) * 1000; UPDATE ticket SET at = 0 WHERE id = 11",
             MODEL.replace('date = "at";', 'date = "at"; date_unit = "ms";'), deletes(), limits=LIMITS)
    once(d, deletes())
    assert keys(d.pg, d.db) == {1, 4, 5}, "ticket 11 has no date, which keeps contact 1"
    assert subjects(d) == {10: "s10", 11: "s11", 30: "s30"}


def test_tables_below_the_join_table(make):
    d = make(THREE + """; ALTER TABLE ticket_contact ADD UNIQUE (ticket_id, contact_id);
            CREATE TABLE remark (id bigint PRIMARY KEY, t bigint, c bigint, said text,
                FOREIGN KEY (t, c) REFERENCES ticket_contact (ticket_id, contact_id));
            CREATE INDEX ON remark (t, c); INSERT INTO remark VALUES (1, 10, 1, 'x'), (2, 10, 2, 'y'), (3, 20, 3, 'z')""",
             plain.model(remark={"table": "remark", "of": "request_contact", "by": ["t", "c"], "archive": True, "anonymize": "delete"}),
             deletes(), limits=LIMITS)
    once(d, deletes(scope="id = 1"))
    assert keys(d.pg, d.db, "SELECT id FROM remark") == {2, 3} and [row[0] for row in archived(d, "remark")] == ["1"]


def test_the_daemons_role_has_what_grants_prints(make, pg):
    """A role that is no superuser, with the rights as they are printed, and no more."""
    d = make(THREE, MODEL, deletes(), limits=LIMITS)
    pg.sql(d.db, "CREATE ROLE joined LOGIN")
    try:
        pg.psql(d.db, "-c", d.ctl("grants", "joined").stdout)
        d.configure(user="joined")
        assert d.check_config().returncode == 0
        once(d, deletes(scope="id = 2"), policy("anonymize_contacts", scope="id = 1"), policy("anonymize_requests", scope="id = 3"))
        assert keys(d.pg, d.db) == {1, 3, 4, 5} and subjects(d) == {10: None, 11: None, 20: None, 30: "s30"}
    finally:
        d.configure(user=None)
        pg.sql(d.db, "DROP OWNED BY joined; DROP ROLE joined")
