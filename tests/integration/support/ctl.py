"""retentionctl without a daemon, and actions in a state that SQL has brought them to."""

import json
import os
import subprocess

from support.harness import BUILD


def ctl(pg, db, *args, user=None, env=None, binary=BUILD / "retentionctl"):
    """retentionctl -d CONNINFO ARGS; -c names a configuration that does not exist, but to the commands that would read it."""
    reads = args[:2] in (("hold", "add"), ("subject", "status"))
    named = [] if reads else ["-c", "/nonexistent/retentiond.conf"]
    return subprocess.run(
        [binary, *named, "-d", pg.conninfo(db, user), *map(str, args)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
        env={**os.environ, "RETENTION_LOG": "stderr", **(env or {})})


def said(done):
    return done.returncode, done.stdout, done.stderr


def action(pg, db, status="saved", listed=True, kind="export", candidates=4):
    """An action in that state, as the daemon would have brought it there."""
    job = pg.value(db, "SELECT retention.save_action(%s, '2024-01-01', '2024-01-31')", (kind,))

    def update(changes):
        pg.sql(db, f"UPDATE retention.archive_journal SET {changes} WHERE id = {job}")

    if listed:
        pg.sql(db, "INSERT INTO retention.candidate SELECT %s, n, n::text, 1 FROM generate_series(1, %s) AS n",
               (job, candidates))
        update(f"candidates = {candidates}, candidates_sha256 = 'x', cutoff = now(), frozen_at = now()")
    way = {"saved": [], "cancelled": ["cancelled"], "validated": ["validated"],
           "running": ["validated", "running"], "done": ["validated", "running", "done"],
           "failed": ["validated", "running", "failed"]}[status]
    for step in way:
        update(f"status = '{step}'" + (", finished_at = now()" if step in ("done", "failed", "cancelled") else ""))
    return job


def horizon(d, *args):
    return {h["step"]: h for h in json.loads(d.ctl("show", "1", "--json", *args).stdout)["horizon"]}
