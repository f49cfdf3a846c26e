"""The daemon's locks (database/locks.h): the one advisory lock's numbers, and who has or wants which of the others."""

import re

from support.harness import REPO

LOCK_MIGRATE, LOCK_SCHEMA = (int(number) for number in re.findall(
    r"^#define LOCK_\w+ (\d+)", (REPO / "daemon" / "database" / "locks.h").read_text(), re.M))

# How many sessions have a batch under way.
BATCHES = """SELECT count(*) FROM pg_locks WHERE relation = 'retention.hold_lock'::regclass AND granted
    AND mode = 'RowShareLock'"""
# How many sessions wait for an older claim's batch, or for their own old session's.
AT_THE_FENCE = """SELECT count(*) FROM pg_locks AS l WHERE NOT granted AND locktype IN ('transactionid', 'tuple') AND EXISTS (
    SELECT FROM pg_locks AS b WHERE b.pid = l.pid AND b.relation = 'retention.batch_lock'::regclass AND b.granted)
    AND NOT EXISTS (SELECT FROM retention.erasing AS e WHERE e.pid = l.pid)"""
HOLDS_WAITING = """SELECT count(*) FROM pg_locks WHERE relation = 'retention.hold_lock'::regclass AND NOT granted
    AND mode = 'ExclusiveLock'"""
CLAIM = "SELECT retention.claim_action(%s, retention.session_start())"
# Ends the session that works on an action.
END_CLAIM = "SELECT count(pg_terminate_backend(pid)) FROM retention.claimed WHERE job = %s"
