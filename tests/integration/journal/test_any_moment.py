"""
A backup of any moment of a pass is put in the database's place, beside an archive that the pass went on to write: it ended
later, or died anywhere.  The backup is a dump, a base backup, or a standby that has lagged behind and is promoted.  The
replay that follows can meet the same.  RETENTION_ROUNDS says how many such rounds there are in each way, and
RETENTION_SEED, which the run prints at its end, repeats them.
"""

import os
import random
import re

import pytest

from support.backup import BaseBackup, Dump, LaggingStandby
from support.harness import Postgres, REPO, wait_until
from support.jobs import DONE, KILLED, LIMITS, workers
from support.settled import check_settled, forgotten, killed_at, settle

pytestmark = pytest.mark.safety

ROUNDS = int(os.environ.get("RETENTION_ROUNDS") or (9 if os.environ.get("RETENTION_WAYS") == "all" else 3))
POINTS = sorted({name for file in (REPO / "daemon").rglob("*.c")
                 for name in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())
                 if name.startswith(("job-", "batch-", "finish-", "seal-", "encrypt-", "restored-"))})
KINDS = [("delete_contacts", "full")] * 4 + [("delete_contacts", "listed"), ("delete_contacts", "none"),
                                             ("anonymize_contacts", "none"), ("export", "full")]
MEANS = (Dump, BaseBackup, LaggingStandby)
BEFORE = "before its first step"
AT_WORK = "while it works"


@pytest.fixture(scope="module")
def server():
    own = Postgres()
    try:
        yield own.start()
    finally:
        own.destroy()


@pytest.fixture
def means(server):
    """Takes a backup of a Job's database; the server is a primary again when the test is over."""
    taken = []

    def take(j, kind):
        taken.append((j.db, kind(j.daemon)))
        return taken[-1][1]

    yield take
    for db, backup in taken:
        if isinstance(backup, LaggingStandby):
            backup.server.destroy()
            server.running() or server.start()
            server.drop_database(db)


def moment(chance):
    point = chance.choice(POINTS)
    return f"{point}:{chance.randint(1, 6) if point.startswith('batch-') else 1}"


def progress(j):
    return j.value("SELECT coalesce(sum(rows), 0) FROM retention.archive_file")


def lose(j, means, kind, backup, death):
    """Takes a backup of that moment, lets the action go on to its death, and puts the backup back."""
    if backup == AT_WORK:
        run = j.start(death)
        wait_until(lambda: progress(j) > 0 or not run.running())
        taken = means(j, kind)
        assert run.wait() in (KILLED, DONE)
        wait_until(lambda: not j.sessions())
    else:
        killed_at(j, None if backup == BEFORE else backup)
        taken = means(j, kind)
        if j.row()["status"] != "done":
            killed_at(j, death)
            assert death or j.run() == DONE
    taken.put_back(j.daemon)
    j.pg = j.daemon.pg


@pytest.mark.parametrize("n", range(ROUNDS))
def test_any_moment(server, means, job, key, n, way):
    chance = random.Random(f"{os.environ['RETENTION_SEED']}-{n}-{way}")
    action, archive = chance.choice(KINDS)
    backup = chance.choice([BEFORE, AT_WORK, AT_WORK, moment(chance), moment(chance), "batch-after-ledger:2"])
    death, automatic = chance.choice([None, moment(chance), moment(chance)]), chance.random() < 0.5
    encrypted, again = chance.random() < 0.25, chance.random() < 0.4
    kind = MEANS[n % len(MEANS)]
    print(f"{action} {archive}, {kind.__name__} {backup}, death {death}, {automatic=}, {encrypted=}, {again=}, "
          f"{workers()} workers")
    j = job(action, archive, server=server, limits={**LIMITS, "batch_rows": 150, "rows_per_second": 4000},
            archives={"recipients": [key.public]} if encrypted else {})
    lose(j, means, kind, backup, death)
    if again:
        j.daemon.once(check=False)
        if forgotten(j.daemon):
            j.daemon.ctl("replay", "--yes")
            j.id = j.daemon.jobs("replay")[0]["id"]
            backup, death = moment(chance), chance.choice([None, moment(chance)])
            kind = MEANS[chance.randrange(2)]
            print(f"again: {kind.__name__} {backup}, death {death}")
            lose(j, means, kind, backup, death)
    settle(j.daemon, automatic)
    check_settled(j, key if encrypted else None)
