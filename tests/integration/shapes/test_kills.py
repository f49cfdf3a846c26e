"""The process, its connection or its disk fails in the middle of a pass over each shape: each row is erased and archived once."""

import random

import pytest

from support.clients import SEED
from support.jobs import DONE, KILLED
from support.oracles import check_all_erased, check_done
from support.shapes import EVERY, FEW

pytestmark = pytest.mark.safety(once=True, workers=(1, 2))


def check_as_plain(j, plain):
    """As if nothing had been: the same rows are left as in plain tables."""
    check_done(j)
    check_all_erased(j)
    assert j.shape.digests(j.pg, j.db) == j.shape.digests_of(j.pg, plain(j.action))


@pytest.mark.parametrize("shape", FEW, ids=str)
@pytest.mark.parametrize("point", ["batch-mid-erase", "batch-before-commit", "batch-after-commit"])
def test_killed_at(job, plain, shape, point):
    j = job(shape=shape)
    assert j.run(f"{point}:1") == KILLED
    assert j.run() == DONE, j.last.text()
    check_as_plain(j, plain)


@pytest.mark.parametrize("shape, action, archive", [
    *((shape, "delete_contacts", "full") for shape in EVERY), *((shape, "anonymize_contacts", "none") for shape in FEW[:4])], ids=str)
def test_killed_anywhere(job, plain, shape, action, archive):
    """Twice, at places that chance chooses."""
    dice = random.Random(f"{SEED} {shape} {action}")
    j = job(action, archive, shape=shape)
    for point in (dice.randint(1, 80), dice.randint(1, 80)):
        print(f"RETENTION_SEED={SEED} any:{point}")
        if j.row()["status"] != "done":
            assert j.run(f"any:{point}") in (KILLED, DONE), j.last.text()
    assert j.row()["status"] == "done" or j.run() == DONE, j.last.text()
    check_as_plain(j, plain)


@pytest.mark.parametrize("shape", FEW, ids=str)
@pytest.mark.parametrize("forward", [True, False], ids=["committed", "not committed"])
def test_cut_with_the_answer_of_commit_in_flight(job, proxy, plain, shape, forward):
    way = proxy()
    j = job(shape=shape)
    j.daemon.configure(host=way.dir)
    assert j.run("batch-begin:1") == KILLED  # it has listed: the COMMITs that come are those of batches
    way.cut_at(rb"COMMIT", forward=forward, after=1)
    assert j.run() == DONE, j.last.text()
    assert way.fired == 1
    check_as_plain(j, plain)


@pytest.mark.parametrize("shape", FEW, ids=str)
def test_a_failing_disk(job, plain, preload, shape):
    j = job(shape=shape)
    run = j.start(env={**preload, "DISK_FAULT": "fdatasync:3"})
    assert run.wait() == DONE, run.text()
    assert "the ledger's file is intact" in j.daemon.ctl("verify").stdout
    check_as_plain(j, plain)
