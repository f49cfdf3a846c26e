"""
Requests with several contacts: each pass is held against the plain rule (support/through.py), row by row, in what it
leaves, in what it archives, and in what it puts back.
"""

import json
import os

import pytest

from support.clients import SEED, race
from support.restores import restore
from support.small import archived, failures, policy
from support.through import NEW, PLAIN, SHAPES, World, deletes, left

pytestmark = pytest.mark.safety(once=True)

plain, *_ = SHAPES
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
LIMITS = {"batch_rows": 20, "max_share": 1.0}


@pytest.fixture
def helpdesk(make, pg):
    """helpdesk(shape, world, policy): a daemon on that world."""

    def begin(shape, world, *policies, **kwargs):
        print(f"RETENTION_SEED={SEED}")
        d = make(shape.schema, shape.model(), *policies, limits={**LIMITS, **kwargs.pop("limits", {})}, **kwargs)
        world.load(pg, d.db, shape)
        return d

    return begin


def ran(d, **expected):
    """The next pass, of the policy under a new name."""
    d.configure(policies=[{**p, "name": f"p{len(d.jobs())}"} for p in d.config["policies"]])
    d.once()
    job = d.jobs()[-1]
    assert (job["status"], job["error"]) == ("done", None), (job, failures(d))
    for name, value in expected.items():
        assert job["counters"].get(name, 0) == value, job["counters"]
    return job


def archived_numbers(d, shape, name, *columns, job=None):
    return sorted(tuple(shape.number(row[i]) for i in columns) for row in archived(d, name, job))


def check_archive(d, shape, world, gone, job=None):
    """Each row that went stands there exactly once, and none of those that stayed."""
    first = 1 if shape.account else 0
    pair = (1, 2) if shape.twice or shape.account else (0, 1)
    tickets = world.last_gone(gone)
    assert archived_numbers(d, shape, "contact", first, job=job) == sorted((c,) for c in gone)
    assert archived_numbers(d, shape, "request", first, job=job) == sorted((t,) for t in tickets)
    rows = archived_numbers(d, shape, "request_contact", *pair, job=job)
    assert set(rows) == {p for p in world.pairs if p[1] in gone}
    assert len(rows) == sum(2 if shape.twice and p in world.twins else 1 for p in world.pairs if p[1] in gone)
    assert archived_numbers(d, shape, "message", first, job=job) == sorted((m,) for m, t in world.messages.items() if t in tickets)


@every_shape
def test_delete(helpdesk, pg, shape):
    """... and restored: everything is back, byte for byte."""
    world = World(SEED)
    d = helpdesk(shape, world, deletes())
    before = left(pg, d.db, shape)
    job = ran(d, treated=len(world.due()))
    assert left(pg, d.db, shape) == world.without(world.due()) != before
    assert before == world.without(set())
    check_archive(d, shape, world, world.due())
    restore(d, job)
    assert left(pg, d.db, shape) == before
    assert d.ctl("verify").returncode == 0


@every_shape
def test_anonymize_contacts(helpdesk, pg, shape):
    """A request loses its content with its last contact, in whichever pass that goes."""
    world = World(SEED)
    d = helpdesk(shape, world, policy("anonymize_contacts"))
    gone = world.due()
    ran(d, treated=len(gone))
    assert left(pg, d.db, shape) == world.emptied(gone, world.last_gone(gone))
    # Who stays to the end: the same world a century later.
    pg.sql(d.db, f"UPDATE {shape.sql_table(shape.ticket)} SET status = 'closed', at = '2014-01-01'")
    world.tickets = {t: (True, True) for t in world.tickets}
    later = world.due()
    ran(d, treated=len(later - gone))
    assert left(pg, d.db, shape) == world.emptied(later, world.last_gone(later))
    assert ran(d)["counters"].get("treated", 0) == 0


@every_shape
def test_anonymize_requests(helpdesk, pg, shape):
    """By their own dates, with or without contacts, but none of a contact under a hold."""
    world = World(SEED)
    d = helpdesk(shape, world, policy("anonymize_requests"))
    held = min(world.due())
    d.ctl("hold", "add", shape.key_text(held), "--reason", "court")
    due = {t for t, state in world.tickets.items() if all(state)} - world.of(held)
    ran(d, treated=len(due))
    assert left(pg, d.db, shape) == world.emptied(set(), due)


@every_shape
def test_holds(helpdesk, pg, shape):
    """A hold keeps its contact and its requests, and nobody else."""
    world = World(SEED)
    held = {c for c in sorted(world.due()) if any(len(world.with_contact(t)) > 1 for t in world.of(c))}
    held = set(sorted(held)[:2])
    d = helpdesk(shape, world, deletes())
    for n in held:
        d.ctl("hold", "add", shape.key_text(n), "--reason", "court")
    gone = world.due(held)
    ran(d, treated=len(gone))
    assert left(pg, d.db, shape) == world.without(gone)
    check_archive(d, shape, world, gone)
