"""
A database that was restored from a backup of a moment in a pass, beside the archive that the pass went on to write: it
was killed later, or ended.  When all has settled, the archives hold what is erased, and nothing else: no row is erased
and in no archive, no policy is blocked, and every folder is an action's.
"""

import csv

import pytest

from support.backup import put_back
from support.jobs import DONE, LIMITS, days
from support.oracles import due_before
from support.settled import check_settled, folders, killed_at, settle

pytestmark = pytest.mark.safety

SMALL = {**LIMITS, "batch_rows": 150}


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
