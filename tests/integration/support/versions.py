"""A database whose schema is of another version than the programs are for."""

import hashlib
import re

from support.harness import REPO

FILES = sorted((REPO / "migrations").glob("*.sql"))
NEWEST = len(FILES)
# Each names the package that has the newer program.
NEWER = "schema retention is at version {is_at}, this program is for {wanted}: install the newer {package}"
OLDER = "schema retention is at version {is_at}, this program is for {wanted}: run retentionctl migrate"


def told(is_at, package="retentiond"):
    return (NEWER if is_at > NEWEST else OLDER).format(is_at=is_at, wanted=NEWEST, package=package)


def pretend(pg, db, is_at):
    """Says that the schema is of that version."""
    if is_at > NEWEST:
        pg.sql(db, f"INSERT INTO retention.schema_version VALUES ({is_at}, 'x', 'x')")
    else:
        pg.sql(db, f"DELETE FROM retention.schema_version WHERE version > {is_at}")


def at_version(pg, db, number):
    """Applies the first migrations, as the program of that version did."""
    pg.psql(db, "-c", "CREATE SCHEMA retention", "-c", """
        CREATE TABLE retention.schema_version (
          version int PRIMARY KEY,
          name text NOT NULL,
          sha256 text NOT NULL,
          applied_at timestamptz NOT NULL DEFAULT now(),
          applied_by text NOT NULL DEFAULT session_user);
        COMMENT ON TABLE retention.schema_version IS 'written by retentionctl migrate'""")
    for n, path in enumerate(FILES[:number], 1):
        name = re.fullmatch(r"\d+_(.*)", path.stem)[1]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        pg.psql(db, "--single-transaction", "-f", path, "-c", "INSERT INTO retention.schema_version (version, name, sha256)"
                                      f" VALUES ({n}, '{name}', '{digest}')")


def dump(pg, db):
    """The schema as SQL, without its data and without the random word that each dump has since the releases of August 2025."""
    lines = pg.dump(db, "--schema-only", "--schema=retention").splitlines()
    return [line for line in lines if not re.match(rb"\\(un)?restrict", line)]
