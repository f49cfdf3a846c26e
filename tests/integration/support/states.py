"""Actions in each of their states, for pages that show them: written as the daemon would, without its work."""

import json

from support.page import APPROVER

# Texts that would do harm in HTML, in an attribute, or in a terminal.
HOSTILE = ["<img src=x onerror=alert(1)>", '"><script>alert(1)</script>', "O'Neill & co", "\u202egnp.exe", "a" * 200,
           "{{prefix}}{{#rows}}", "%s%n%d"]


def as_person(page, person, sql, values=()):
    """Runs it under SET SESSION AUTHORIZATION, so that the journal names that person."""
    with page.pg.connect(page.db) as conn, conn.cursor() as cur:
        cur.execute(f'SET SESSION AUTHORIZATION "{person}"')
        cur.execute(sql, values)
        row = cur.fetchone() if cur.description else None
        conn.commit()
        cur.execute("RESET SESSION AUTHORIZATION")
        return row[0] if row else None


def update(page, job, changes, values=()):
    page.pg.sql(page.db, f"UPDATE retention.archive_journal SET {changes} WHERE id = %s", (*values, job))


def make_action(page, person, status, kind="anonymize_contacts", archive=None, listed=True, candidates=3, left=None,
                note=None, preview=None, counters=None, error=None):
    """The number of a new action, saved by that person; what the list lacks of `left` keys has been treated."""
    job = as_person(page, person, "SELECT retention.save_action(%s, '2024-01-01', '2024-01-31', %s, %s)",
                    (kind, archive, note and note[:200]))
    if listed:
        page.pg.sql(page.db, "INSERT INTO retention.candidate SELECT %s, n, n::text, 1 FROM generate_series(1, %s) AS n",
                    (job, candidates if left is None else left))
        seen = ", preview = %s" if preview else ""
        update(page, job, f"candidates = %s, candidates_sha256 = %s, cutoff = now(), frozen_at = now(){seen}",
               (candidates, "7a12a667" * 8, *([json.dumps(preview)] if preview else [])))
    if status in ("validated", "running", "done"):
        as_person(page, APPROVER, "SELECT retention.validate_action(%s)", (job,))
    if status in ("running", "done"):
        update(page, job, "status = 'running', started_at = now() - interval '10 s', host = 'crm-1', archive_path = %s",
               ("/archives/20240101-" + kind if archive else None,))
    if status == "done":
        update(page, job, "status = 'done', finished_at = now(), counters = %s, archive_bytes = 44564480",
               (json.dumps(counters or {}),))
    elif status == "failed":
        update(page, job, "status = 'failed', finished_at = now(), error = %s", (error,))
    elif status == "cancelled":
        as_person(page, person, "SELECT retention.cancel_action(%s)", (job,))
    return job
