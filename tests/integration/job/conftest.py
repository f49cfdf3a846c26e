import pytest

from support.harness import Postgres


@pytest.fixture(scope="module")
def server():
    """Without other tests' snapshots."""
    pg = Postgres()
    try:
        yield pg.start()
    finally:
        pg.destroy()
