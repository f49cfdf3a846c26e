import pytest

from support.harness import Postgres


@pytest.fixture(scope="module")
def server():
    """Without autovacuum, and without other tests' snapshots."""
    pg = Postgres(settings={"autovacuum": "off"})
    try:
        yield pg.start()
    finally:
        pg.destroy()
