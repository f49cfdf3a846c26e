"""retentionctl setup: from a database to a first preview, by commands that it prints and that can be given by hand."""

import os
import pty
import re
import subprocess

import pytest

from support.harness import BUILD, TIMEOUT
from support.small import SCHEMA

DUE = """;
    INSERT INTO contact (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO request (contact_id, at) VALUES (1, '2015-01-01'), (2, '2015-01-01'), (3, now())"""
TABLES = ("--contact", "contact", "--request", "request", "--depth", "36 months")


@pytest.fixture
def place(pg, tmp_path):
    """A database without the schema, a folder of one's own, and a role that is gone at the end."""
    class Place:
        db = pg.create_database()
        role = f"setup_{db}"
        config = tmp_path / "it's here" / "shop.conf"
        model = config.parent / "models" / "shop-draft.conf"

        def __init__(self):
            self.config.parent.mkdir()
            pg.sql(self.db, SCHEMA + DUE)

        def setup(self, *args, conninfo=None, config=True, **kwargs):
            command = [BUILD / "retentionctl", "-d", conninfo or pg.conninfo(self.db)]
            command += ["-c", self.config] if config else []
            return subprocess.run([*command, "setup", "--role", self.role, *args], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=TIMEOUT, **kwargs)

        def nothing_is_done(self):
            return (pg.value(self.db, "SELECT to_regnamespace('retention') IS NULL") and not self.model.exists()
                    and not self.config.exists()
                    and not pg.value(self.db, f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{self.role}')"))

    p = Place()
    yield p
    if pg.value(p.db, f"SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{p.role}')"):
        pg.sql(p.db, f"DROP OWNED BY {p.role}; DROP ROLE {p.role}")
    pg.drop_database(p.db)


def test_it_only_prints(place):
    done = place.setup(*TABLES)
    assert done.returncode == 0 and done.stdout.startswith("# Nothing is done."), done.stderr
    assert place.nothing_is_done()


def test_from_a_database_to_a_preview(place, pg):
    done = place.setup(*TABLES, "--apply")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^policy +first$", done.stdout, re.M) and re.search(r"^due +0$", done.stdout, re.M)
    assert "TODO" in place.model.read_text()
    check = subprocess.run([BUILD / "retentiond", "-c", place.config, "-t"], capture_output=True, text=True)
    assert check.returncode == 1 and "answered nothing is erased" in check.stderr
    assert place.config.stat().st_mode & 0o777 == 0o644
    # Nothing is written twice, and what a person has changed stays.
    place.model.write_text(place.model.read_text() + "# decided\n")
    before = place.model.read_text(), place.config.read_text()
    again = place.setup(*TABLES, "--apply")
    assert again.returncode == 0 and again.stdout.count("is done already") == 4, again.stdout
    assert "nothing to do: the schema retention is at version" in again.stdout
    assert (place.model.read_text(), place.config.read_text()) == before


def test_the_printed_commands_do_the_same(place, pg):
    script = place.setup(*TABLES).stdout.split("\n# Then:")[0]
    env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", script], capture_output=True, text=True, env=env, timeout=TIMEOUT)
    assert place.model.exists() and place.config.exists(), done.stderr
    assert pg.value(place.db, "SELECT count(*) FROM retention.schema_version") > 0
    assert pg.value(place.db, f"SELECT has_table_privilege('{place.role}', 'contact', 'DELETE')")
    again = place.setup(*TABLES, "--apply")
    assert again.returncode == 0 and again.stdout.count("is done already") == 4


def test_a_step_that_fails_stops_the_rest(place, pg):
    """What was done before stays; what a failed step had begun to write is not taken for the file."""
    wrong = ("--contact", "nobody", *TABLES[2:])
    done = place.setup(*wrong, "--apply")
    assert done.returncode == 1 and 'there is no table "nobody"' in done.stderr
    assert "this step has failed (exit status 1)" in done.stderr and "# 4." not in done.stdout
    assert not place.model.exists() and not place.config.exists()
    done = place.setup(*TABLES, "--apply")
    assert done.returncode == 0 and place.model.exists(), done.stderr


@pytest.mark.parametrize("args, says", [
    ((), "give -d CONNINFO, --contact TABLE"),
    (("--contact", "a\nb", *TABLES[2:]), "holds a control character"),
])
def test_what_cannot_be_used(place, args, says):
    done = place.setup(*args, "--apply")
    assert done.returncode == 2 and says in done.stderr
    assert place.nothing_is_done()


def test_a_connection_string_without_a_database(place):
    done = place.setup(*TABLES, "--apply", conninfo="host=/nowhere")
    assert done.returncode == 2 and "-d names no database" in done.stderr


def test_names_are_no_commands(place, tmp_path):
    """A value is one word of the shell, whatever it holds."""
    trap = tmp_path / "trap"
    name = f"x'; touch {trap}; echo $(touch {trap}) `touch {trap}` \"'"
    done = place.setup("--contact", name, *TABLES[2:], "--apply")
    assert done.returncode == 1 and "there is no table" in done.stderr
    assert not trap.exists()


def test_without_a_server_in_the_connection_string(place):
    """The database's steps are those of the system's user postgres, and the configuration is named after the database."""
    done = place.setup(*TABLES, conninfo="shop", config=False)
    assert done.returncode == 0, done.stderr
    assert "runuser -u postgres -- retentionctl -d dbname=shop migrate" in done.stdout
    assert "/retentiond/shop.conf" in done.stdout and "/retentiond/models/shop-draft.conf" in done.stdout
    assert f'conninfo = "dbname=shop user={place.role}"' in done.stdout
    assert "install -d -m 0750 -o retentiond -g retentiond /var/lib/retentiond/shop" in done.stdout
    assert "runuser -u retentiond -- retentiond -t -c /etc/retentiond/shop.conf" in done.stdout
    assert "systemctl enable --now retentiond@shop" in done.stdout


def test_people_connect_as_themselves(place):
    """Where the service's user has the name of the role, the configuration names no role, and people can use it, too."""
    own, place.role = place.role, "retentiond"
    try:
        printed = {
            name: place.setup(*TABLES, **options).stdout
            for name, options in {"service": {"conninfo": "shop", "config": False}, "file": {"conninfo": "shop"},
                                  "host": {"conninfo": "host=db.example dbname=shop", "config": False}}.items()}
    finally:
        place.role = own
    assert 'conninfo = "dbname=shop";' in printed["service"]
    assert 'conninfo = "dbname=shop user=retentiond";' in printed["file"]
    assert 'conninfo = "dbname=shop host=db.example user=retentiond";' in printed["host"]


def test_a_password_is_not_written_down(place):
    done = place.setup(*TABLES, conninfo="host=db.example dbname=shop user=dba password=secret sslmode=verify-full")
    assert f'conninfo = "dbname=shop host=db.example sslmode=verify-full user={place.role}"' in done.stdout


def test_it_asks(place, pg):
    """At a terminal it asks for what is not given."""
    leader, follower = pty.openpty()
    with subprocess.Popen([BUILD / "retentionctl", "-d", pg.conninfo(place.db), "-c", place.config, "setup", "--role", place.role],
                          stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        os.write(leader, b"contact\nrequest\n36 months\n")
        text = process.communicate(timeout=TIMEOUT)[0]
    os.close(leader)
    os.close(follower)
    assert process.returncode == 0 and "--contact contact --request request" in text, text
    assert place.nothing_is_done()
