"""One model and many policies: what does not depend on the policy is asked of the server once."""

import re

import pytest

from support.small import MESSAGE, MESSAGES, SCHEMA, TWO, model, policy

MANY = 50


@pytest.fixture
def d(make):
    return make(SCHEMA + TWO + MESSAGE, model(message=MESSAGES))


def brands(n, action="delete_contacts", **more):
    return [policy(action, name=f"b{i}", scope=f"contact.brand = 'b{i}'", **more) for i in range(n)]


def asked(d, *policies):
    """How many statements -t sends."""
    d.configure(policies=policies)
    d.pg.psql(d.db, "-c", f"ALTER DATABASE {d.db} SET log_min_duration_statement = 0")
    since = d.pg.log_position()
    done = d.check_config()
    assert done.returncode == 0, done.stderr
    return len(re.findall(r"LOG:  duration: [0-9.]+ ms  (?:parse|statement|execute)", d.pg.log_text(since)))


def test_a_policy_more_costs_little(d):
    _, two, many = (asked(d, *brands(n)) for n in (1, 2, MANY))
    assert (many - two) / (MANY - 2) < 10, "predicates, list and check of what is due: three statements, each tried"


def test_each_scope_is_tried(d):
    """A wrong one in the last policy is found, with its name and line."""
    wrong = policy(name="wrong", scope="contact.colour = 'red'")
    d.configure(policies=[*brands(5), wrong])
    done = d.check_config()
    assert done.returncode == 1 and re.search(r"retentiond.conf:\d+: .*colour", done.stderr), done.stderr


def test_each_kind_is_looked_at(d):
    """Another action, or the contacts without requests, is another plan: its tables are looked at for themselves."""
    d.pg.sql(d.db, """CREATE TABLE secret (id bigint);
        CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM 1 FROM secret; RETURN NEW; END';
        CREATE TRIGGER tells BEFORE UPDATE ON contact FOR EACH ROW EXECUTE FUNCTION told()""")
    role = d.pg.plain_role(d.db, "many_plain", "GRANT SELECT, INSERT, UPDATE, DELETE ON contact, request, message TO many_plain")
    d.configure(user=role, model=model(contact={"set": {"name": "x"}, "keep": ["brand", "created"]}, request={"clear": ["subject"], "keep": ["status", "at"]}, message=MESSAGES),
                policies=brands(2))
    assert d.check_config().returncode == 0
    d.configure(policies=[*brands(2), policy("anonymize_contacts", name="a")])
    done = d.check_config()
    assert done.returncode == 1 and 'trigger "tells"' in done.stderr and "secret" in done.stderr, done.stderr
