"""The numbers of the advisory locks, read from where the daemon has them."""

import re

from support.harness import REPO

_NUMBERS = {name: int(number) for name, number in re.findall(
    r"^#define (LOCK_\w+) (\d+)", (REPO / "daemon" / "database" / "locks.h").read_text(), re.M)}
LOCK_MIGRATE, LOCK_RETENTION, LOCK_JOB, LOCK_WORKER, LOCK_SCHEMA, LOCK_HOLDS = (_NUMBERS[name] for name in (
    "LOCK_MIGRATE", "LOCK_RETENTION", "LOCK_JOB", "LOCK_WORKER", "LOCK_SCHEMA", "LOCK_HOLDS"))
# A class for each worker that there can be.
LOCK_WORKERS = list(range(LOCK_WORKER, LOCK_WORKER + int(re.search(
    r"CONFIG_WORKERS_MAX = (\d+)", (REPO / "daemon" / "config" / "config.h").read_text())[1])))
