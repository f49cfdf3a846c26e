"""An action by hand on the page, as persons do it: saved, listed, validated, done."""

import re
from datetime import timedelta

from support.harness import wait_until
from support.page import APPROVER, OPERATOR

# Of the generated CRM: the days of the last requests, by contact.
LAST_DAYS = """SELECT max(r.created_at)::date FROM crm.request AS r GROUP BY r.contact_id
                HAVING max(r.created_at) < now() - interval '2 months' ORDER BY 1"""


def interval(page):
    """Two days, at most a month apart, between which several contacts had their last request."""
    days = [day for (day,) in page.pg.sql(page.db, LAST_DAYS)]
    first = max(days, key=lambda a: sum(a <= b <= a + timedelta(days=20) for b in days))
    return str(first), str(first + timedelta(days=20))


def row(page, job):
    return page.daemon.jobs(f"id = {job}")[0]


def latest(page):
    return page.daemon.jobs()[-1]["id"]


def save(page, client, kind, du=None, au=None, **fields):
    """Through the form of that kind: the number of the new action, which the client now looks at."""
    first, last = interval(page)
    client.get(f"/actions/nouvelle?type={kind}")
    answer = client.submit("/actions", follow=False, du=du or first, au=au or last, **fields)
    assert answer.status == 303, answer.words
    job = int(re.fullmatch(r".*/actions/(\d+)", answer.location).group(1))
    assert job == latest(page)
    return job


def listed(page, job):
    """Waits for the list of the action: its row."""
    return wait_until(lambda: [j for j in page.daemon.jobs(f"id = {job}") if j["frozen_at"]], what="a list")[0]


def ended(page, job):
    return wait_until(lambda: page.daemon.jobs(f"id = {job} AND status IN ('done', 'failed')"), what="an end")[0]


def validate(page, client, job, number=None, **kwargs):
    """Opens the page and types the count."""
    answer = client.get(f"/actions/{job}/valider")
    assert answer.status == 200, answer.words
    number = str(listed(page, job)["candidates"]) if number is None else number
    return client.submit(f"/actions/{job}/valider", nombre=number, **kwargs)


def walk(page, kind, operator=None, approver=None, **fields):
    """From the form to the end: the action's row."""
    job = save(page, operator or page.client(OPERATOR), kind, **fields)
    assert listed(page, job)["candidates"] > 0
    answer = validate(page, approver or page.client(APPROVER), job, follow=False)
    assert answer.status == 303, answer.words
    return ended(page, job)
