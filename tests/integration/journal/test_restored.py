"""
A database that was restored from a backup of a moment in a pass, beside the archive that the pass went on to write: it
was killed later, or ended.  When all has settled, the archives hold what is erased, and nothing else: no row is erased
and in no archive, no policy is blocked, and every folder is an action's.
"""

import csv
import json
import os
import random
import re

import pytest

from support.backup import lines, put_back
from support.harness import REPO, wait_until
from support.jobs import DONE, KILLED, LIMITS, days, workers
from support.oracles import LISTED, ROWS_OF, due_before, load_archive

pytestmark = pytest.mark.safety

ALL = os.environ.get("RETENTION_WAYS") == "all"
ROUNDS = int(os.environ.get("RETENTION_ROUNDS") or (50 if ALL else 4))
SEED = int(os.environ.get("RETENTION_SEED") or random.SystemRandom().randrange(1 << 30))
SMALL = {**LIMITS, "batch_rows": 150}
POINTS = sorted({name for file in (REPO / "daemon").rglob("*.c")
                 for name in re.findall(r'failpoint\("([^"]+)"\)', file.read_text())
                 if name.startswith(("job-", "batch-", "finish-", "seal-"))})
KINDS = [("delete_contacts", "full")] * 4 + [("delete_contacts", "listed"), ("delete_contacts", "none"),
                                             ("anonymize_contacts", "none"), ("export", "full")]


def killed_at(j, point):
    """The job's process dies there, or ends before: what a backup of this moment has."""
    assert not point or j.run(point) in (KILLED, DONE)
    wait_until(lambda: not j.sessions())


def folders(d):
    return {p.name: p for p in d.archives.iterdir() if p.is_dir()}


def unsettled(d):
    return d.jobs("status IN ('saved', 'validated', 'running')")


def settle(d, automatic):
    """As the people would do who run it: the daemon, and where it asks for it a replay."""
    if automatic:
        d.configure(extra='replay = "automatic";')
    for _ in range(6):
        done = d.once(check=False)
        forgotten = d.pg.value(d.db, "SELECT count(*) FROM retention.replay")
        if not forgotten and not unsettled(d):
            return
        if forgotten and not automatic and not d.jobs("replay AND status IN ('saved', 'validated', 'running')"):
            d.ctl("replay", "--yes")
    raise AssertionError(f"{forgotten} lines, {unsettled(d)}: {done.stderr[-3000:]}")


def archived(j, conn):
    """Every archive of a deletion, in the temporary tables archived_*: {table: columns}."""
    loaded = {}
    with conn.cursor() as cur:
        for row in j.daemon.jobs("archive_path IS NOT NULL AND action <> 'export'"):
            folder = folders(j.daemon)[row["archive_path"].rsplit("/", 1)[1]]
            manifest = json.loads((folder / "manifest.json").read_text())
            assert (manifest["job"], manifest["replay_of"]) == (row["id"], row["replay_of"])
            for table, columns in load_archive(j, conn, folder, manifest).items():
                name, every = table.split(".")[1], loaded.setdefault(table, columns)
                cur.execute(f"CREATE TEMP TABLE IF NOT EXISTS every_{name} AS TABLE archived_{name} WITH NO DATA; "
                            f"INSERT INTO every_{name} TABLE archived_{name}; DROP TABLE archived_{name}")
                assert every == columns
    return loaded


def check_settled(j):
    d = j.daemon
    rows = d.jobs()
    assert {r["status"] for r in rows} == {"done"}
    assert j.value("SELECT count(*) FROM retention.replay") == 0 and j.left() == 0
    assert j.value("SELECT count(*) FROM retention.selection") == 0
    assert set(folders(d)) == {r["archive_path"].rsplit("/", 1)[1] for r in rows if r["archive_path"]}
    assert d.ctl("verify").returncode == 0
    for row in rows:
        if row["archive_path"]:
            assert d.ctl("archive", "verify", row["id"]).returncode == 0
    if j.action == "export":
        return
    assert j.ledger() == due_before(j) and {int(key) for *_, key in lines(d)} == due_before(j)
    if j.action == "delete_contacts":
        assert {k for (k,) in j.sql("SELECT id FROM before.contact EXCEPT SELECT id FROM crm.contact")} == due_before(j)
    if j.archive == "none":
        return
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        loaded = archived(j, conn)
        assert set(loaded) == {table for name, (table, _) in ROWS_OF.items() if j.archive == "full" or name in LISTED}
        for table, columns in loaded.items():
            name, listed = table.split(".")[1], ", ".join(f'"{c}"' for c in columns)
            erased = f"(SELECT {listed} FROM before.{name} EXCEPT SELECT {listed} FROM crm.{name})"
            for one, other in ((erased, f"(SELECT {listed} FROM every_{name})"),
                               (f"(SELECT {listed} FROM every_{name})", erased)):
                cur.execute(f"SELECT count(*) FROM ({one} EXCEPT {other}) AS x")
                assert cur.fetchone() == (0,), f"{table}: erased and archived differ"


def restored(j, backup, death):
    killed_at(j, backup)
    dump = j.pg.dump(j.db)
    if j.row()["status"] != "done":
        killed_at(j, death)
        if not death:
            assert j.run() == DONE
    put_back(j.daemon, dump)


@pytest.mark.parametrize("automatic", [False, True])
@pytest.mark.parametrize("death", ["batch-before-commit:6", "batch-after-commit:6", "finish-after-join:1",
                                   "seal-after-segments:1", "finish-after-seal:1", None])
def test_from_the_middle_of_a_pass(job, death, automatic):
    j = job(limits=SMALL)
    restored(j, "batch-after-ledger:2", death)
    settle(j.daemon, automatic)
    check_settled(j)
    first, *others = j.daemon.jobs("id = 1 OR replay")
    assert "the database was restored from a backup" in first["error"]
    assert [r["replay_of"] for r in others] == [1] and others[0]["archive"] == "full"
    listed = j.daemon.ctl("archive", "list").stdout
    assert "replay of action 1" in listed and "replay of action 1" in j.daemon.ctl("journal").stdout
    settled, = j.events("settled")
    assert settled["rows"]["contact"] >= settled["ledger"] > 0
    assert ("differ" in settled) == (settled["rows"]["contact"] != settled["ledger"])


@pytest.mark.parametrize("death", ["batch-after-commit:3", None])
@pytest.mark.parametrize("backup", [None, "job-before-list", "job-after-list", "job-before-start", "job-after-files"])
def test_from_before_the_first_batch(job, backup, death):
    j = job(limits=SMALL)
    restored(j, backup, death)
    settle(j.daemon, False)
    check_settled(j)


@pytest.mark.parametrize("death", ["batch-after-commit:3", None])
def test_from_the_middle_of_a_replay(job, death):
    """The replay, too, had gone further than the backup knows."""
    j = job(limits=SMALL)
    restored(j, "batch-after-ledger:1", "finish-after-seal:1")
    d = j.daemon
    d.once(check=False)
    d.ctl("replay", "--yes")
    j.id = d.jobs("replay")[0]["id"]
    restored(j, "batch-after-ledger:1", death)
    settle(d, False)
    check_settled(j)
    assert {r["replay_of"] for r in d.jobs("replay")} == {1}


@pytest.mark.parametrize("death", ["batch-after-commit:3", None])
def test_a_persons_action_and_an_export(job, death):
    """Nobody begins their rest: a person is told that something is left."""
    for action in ("delete_contacts", "export"):
        j = job(action, "full", limits=SMALL, manual=days())
        killed_at(j, "job-after-list:1")
        j.sql("SELECT retention.validate_action(%s)", (j.id,))
        restored(j, "batch-after-commit:1", death)
        settle(j.daemon, False)
        assert {r["status"] for r in j.daemon.jobs()} == {"done"}
        left = j.row()["counters"].get("rest", 0)
        assert ("save the action anew" in (j.row()["error"] or "")) == (left > 0)
        assert not left or death


def test_what_came_since_is_archived_with_it(job):
    j = job(limits=SMALL)
    restored(j, "batch-after-ledger:1", None)
    key = min(due_before(j) - j.ledger())
    j.sql("INSERT INTO crm.contact_social SELECT (jsonb_populate_record(s, jsonb_build_object('id', 9000001, 'contact_id',"
          " %s))).* FROM crm.contact_social AS s LIMIT 1", (key,))
    settle(j.daemon, False)
    replay, = j.daemon.jobs("replay")
    with open(folders(j.daemon)[replay["archive_path"].rsplit("/", 1)[1]] / "contact_social.csv",
              encoding="utf-8-sig", newline="") as file:
        assert "9000001" in {row["id"] for row in csv.DictReader(file, delimiter=";")}
    assert j.value("SELECT count(*) FROM crm.contact_social WHERE id = 9000001") == 0


@pytest.mark.parametrize("n", range(ROUNDS))
def test_any_moment(job, n):
    chance = random.Random(f"{SEED}-{n}")
    action, archive = chance.choice(KINDS)

    def moment():
        point = chance.choice(POINTS)
        return f"{point}:{chance.randint(1, 6) if point.startswith('batch-') else 1}"

    backup = chance.choice([None, moment(), moment(), "batch-after-ledger:2"])
    death, automatic = chance.choice([None, moment(), moment()]), chance.random() < 0.5
    print(f"RETENTION_SEED={SEED} round {n}: {action} {archive}, backup {backup}, death {death}, {automatic=}, "
          f"{workers()} workers")
    j = job(action, archive, limits=SMALL)
    restored(j, backup, death)
    settle(j.daemon, automatic)
    check_settled(j)
