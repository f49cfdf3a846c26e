"""
The draft of any schema is accepted by the daemon, once its questions are answered and the statements that it prints
have run.
"""

import os
import random
import re

import pytest

from support.drafts import ACTIONS, answered, run
from support.random_schema import schema

# Seeds of schemas that a draft failed on once, and some by chance.
FAILED = [17, 81, 118, 142, 150]
ANY = [random.Random(f"{os.environ.get('RETENTION_SEED', 0)} {n}").randrange(10 ** 6) for n in range(10)]
STATEMENT = re.compile(r"^ *# ((?:ALTER|CREATE) .*;)", re.M)


@pytest.fixture(scope="module")
def databases(pg):
    """databases(sql): a database with the schema retention, and what the SQL makes."""
    made = []

    def make(sql):
        made.append(pg.create_database(template=pg.migrated_template(40)))
        pg.psql(made[-1], "-c", "DROP SCHEMA crm CASCADE")
        pg.psql(made[-1], "-c", sql)
        return made[-1]

    yield make
    for db in made:
        pg.drop_database(db)


@pytest.mark.parametrize("seed", FAILED + ANY)
def test_the_draft_of_any_schema_is_accepted(databases, daemon, pg, seed):
    sql, contact, request = schema(seed)
    db = databases(sql)
    done = run(pg, db, "--contact", contact, "--request", request)
    assert done.returncode == 0, f"{done.stderr}\n{sql}"
    for statement in STATEMENT.findall(done.stdout):
        pg.psql(db, "-c", statement)
    d = daemon(db=db, migrate=False, model=answered(done.stdout), policies=ACTIONS)
    checked = d.check_config()
    assert checked.returncode == 0, f"{checked.stderr}\n{sql}\n{done.stdout}"
