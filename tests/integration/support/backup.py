"""The ledger's file and table, and an older backup put back in place of the database."""

import shutil
import subprocess

from support.harness import standby_of
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


def load(server, db, dump):
    done = subprocess.run([server.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", server.dir, "-p",
                           str(server.port), "-U", server.SUPERUSER, "-d", db], input=dump, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def put_back(d, dump):
    """The backup in place of the database, as a DBA would: restored beside it, then renamed."""
    beside = d.pg.create_database()
    load(d.pg, beside, dump)
    d.pg.drop_database(d.db)
    d.pg.psql("postgres", "-c", f'ALTER DATABASE "{beside}" RENAME TO "{d.db}"')


def personal(d):
    return table_digests(d.pg, d.db)


class Dump:
    """pg_dump of the database."""

    def __init__(self, d):
        self.dump = d.pg.dump(d.db)

    def put_back(self, d):
        put_back(d, self.dump)


class BaseBackup:
    """pg_basebackup of the whole server, which goes back to where it was."""

    def __init__(self, d):
        self.folder = d.pg.dir / "base_backup"
        d.pg._tool("pg_basebackup", "-h", d.pg.dir, "-U", d.pg.SUPERUSER, "-D", self.folder, "-X", "stream", "-c", "fast",
                   "--no-sync")

    def put_back(self, d):
        d.pg.stop("immediate")
        shutil.rmtree(d.pg.data)
        self.folder.rename(d.pg.data)
        d.pg.start()


class LaggingStandby:
    """A standby that loses its primary at this moment, and is promoted later, when the primary has died."""

    def __init__(self, d):
        self.server = standby_of(d.pg)
        self.server.start()
        self.server.stop()

    def put_back(self, d):
        d.pg.stop("immediate")
        self.server.start()
        assert self.server.value("postgres", "SELECT pg_promote()")
        d.pg = self.server
        d.configure()
