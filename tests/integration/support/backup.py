"""The ledger's file and table, and an older backup put back in place of the database."""

import subprocess

from support.oracles import table_digests

DELETE = {"name": "old-contacts", "action": "delete_contacts", "depth": "24 months", "schedule": "monthly"}
ANONYMIZE = {"name": "old-requests", "action": "anonymize_requests", "depth": "18 months", "schedule": "monthly"}


def lines(d):
    """The file's lines of keys, as (job, action, time, key)."""
    text = (d.archives / "ledger").read_text()
    assert text.startswith("# retentiond ledger 2 ") and text.endswith("\n")
    split = [line.split("\t") for line in text.splitlines()[1:]]
    keys = [line for line in split if line[0] != "0"]  # action 0 has the journal's hashes
    assert all(archive in ("none", "listed", "full") for _, _, archive, *_ in keys)
    return [(job, action, at, key) for job, action, _, at, key, _, _ in keys]


def rows(pg, db):
    return [tuple(map(str, row)) for row in pg.sql(db, """
        SELECT job, action, to_char(erased_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), key
          FROM retention.ledger""")]


def put_back(d, dump):
    """The backup in place of the database, as a DBA would: restored beside it, then renamed."""
    beside = d.pg.create_database()
    done = subprocess.run([d.pg.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", d.pg.dir, "-p",
                           str(d.pg.port), "-U", d.pg.SUPERUSER, "-d", beside], input=dump, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    d.pg.drop_database(d.db)
    d.pg.psql("postgres", "-c", f'ALTER DATABASE "{beside}" RENAME TO "{d.db}"')


def personal(d):
    return table_digests(d.pg, d.db)
