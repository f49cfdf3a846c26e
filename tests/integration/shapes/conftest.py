"""What a pass leaves of the plain CRM."""

import pytest

from support.harness import Daemon, short_dir
from support.jobs import DEPTH, base, contacts_for, workers
from support.small import policy

# Few batches, because each asks all partitions; still more than one for each worker.
LIMITS = {"workers": 2, "batch_rows": 2000}


@pytest.fixture
def job(job):
    return lambda *args, limits=LIMITS, **kwargs: job(*args, limits=limits, **kwargs)


@pytest.fixture
def plain(pg):
    """plain(action): the name of a plain CRM after a pass of this action, made at most once a server."""

    def after(action):
        contacts = contacts_for(workers())
        key = ("after", action, contacts)
        if key not in pg.templates:
            db = pg.create_database(template=base(pg, contacts))
            d = Daemon(short_dir(), pg, db, policies=[policy(action, depth=DEPTH)])
            d.once()
            row = d.jobs()[-1]
            assert (row["status"], row["error"]) == ("done", None), row
            pg.templates[key] = db
        return pg.templates[key]

    return after
