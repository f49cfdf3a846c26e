"""
Files outside the database: gone when their rows are gone for good, and never before; nothing else is ever
touched, whatever a row says.
"""

import json
import signal
import socket
import stat

import pytest

from support.harness import wait_until
from support.jobs import tidy
from support.small import SCHEMA, again, keys, model, policy

FILES = """;
    CREATE TABLE document (id bigint PRIMARY KEY, contact_id bigint REFERENCES contact, path varchar(300), title text);
    CREATE INDEX ON document (contact_id);
    INSERT INTO contact (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c');
    INSERT INTO request (id, contact_id, at) VALUES (10, 1, '2015-01-01'), (20, 2, '2015-01-01'), (30, 3, now());
    INSERT INTO document SELECT n * 10 + i, n, n || '/f' || i, 't' FROM generate_series(1, 3) n, generate_series(1, 2) i"""
RULES = {"contact": {"clear": ["name", "brand", "created"]}, "request": {"clear": ["subject"], "keep": ["status", "at"]}}
LIMITS = {"workers": 1, "max_share": 1.0}


@pytest.fixture
def files(make, tmp_path):
    """files(...): a daemon whose documents lie below .root, as the database says."""
    def build(*policies, file=None, schema="", anonymize="delete", **kwargs):
        root = tmp_path / "files"
        root.mkdir()
        for n in range(1, 4):
            (root / str(n)).mkdir()
            for i in range(1, 3):
                (root / f"{n}/f{i}").write_text(f"of {n}")
        document = {"table": "document", "key": "id", "of": "contact", "by": "contact_id",
                    "file": file or {"column": "path", "root": str(root)}}
        document.update({"anonymize": "delete"} if anonymize == "delete" else anonymize)
        d = make(SCHEMA + FILES + schema, model(**RULES, document=document), *(policies or [policy()]), limits=LIMITS, **kwargs)
        d.root = root
        return d
    return build


def there(d):
    return {str(p.relative_to(d.root)) for p in d.root.rglob("*") if not p.is_dir()}


def outbox(d):
    return d.pg.sql(d.db, "SELECT location, attempts, error FROM retention.file_outbox ORDER BY id")


def try_again(d):
    """As if enough time had passed since the last try."""
    d.pg.sql(d.db, "UPDATE retention.file_outbox SET tried_at = NULL")
    d.configure(policies=[])
    return d.once(check=False)


@pytest.mark.parametrize("action", ["delete_contacts", "anonymize_contacts"])
def test_they_go_with_their_rows(files, action):
    d = files(policy(action))
    d.once()
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []
    job = d.jobs()[0]
    assert "4 files removed" in d.log_text() or "4 files removed" in d.ctl_log.read_text()
    removed = d.pg.sql(d.db, "SELECT job, details FROM retention.journal_event WHERE kind = 'files_removed'")
    assert removed == [(job["id"], {"files": 4})]
    assert d.ctl("verify").returncode == 0


def test_a_column_that_is_cleared(files):
    """The row stays: its file goes once, and a later pass finds nothing."""
    d = files(policy("anonymize_contacts"), anonymize={"clear": ["path"], "keep": ["title"]})
    d.once()
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []
    assert keys(d.pg, d.db, "SELECT id FROM document WHERE path IS NULL") == {11, 12, 21, 22}
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 0


def test_a_column_that_is_kept_keeps_its_file(files):
    d = files(policy("anonymize_contacts"), anonymize={"clear": ["title"], "keep": ["path"]})
    d.once()
    assert len(there(d)) == 6 and outbox(d) == []


def test_a_column_that_is_set(files):
    """What the rule has written there names no file of the contact's, in no later pass."""
    d = files(policy("anonymize_contacts"), anonymize={"set": {"path": "3/f1"}, "clear": ["title"]})
    d.once()
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []
    d.pg.sql(d.db, "UPDATE document SET path = 'none' WHERE id IN (31, 32); UPDATE document SET title = 'again' WHERE id = 11")
    assert again(d, "anonymize_contacts")["counters"]["treated"] == 1
    assert d.pg.value(d.db, "SELECT title IS NULL FROM document WHERE id = 11")
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []
    # Nor does the journal say so.
    assert d.pg.sql(d.db, "SELECT job, details FROM retention.journal_event WHERE kind = 'files_removed'") == [(1, {"files": 4})]


def test_who_is_held_keeps_them(files):
    d = files()
    d.once("-c", str(d.configure(policies=[])))
    d.ctl("hold", "add", "1", "--reason", "case")
    d.configure(policies=[policy()])
    d.once()
    assert there(d) == {"1/f1", "1/f2", "3/f1", "3/f2"}


@pytest.mark.parametrize("point", ["batch-mid-erase", "batch-after-erase", "batch-before-commit"])
def test_killed_before_the_commit(files, point):
    d = files()
    d.once(check=False, failpoint=point)
    assert len(there(d)) == 6, "nothing is removed for a row that did not go"
    wait_until(lambda: not d.pg.value(d.db, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'retention-j%%'"))
    assert keys(d.pg, d.db, "SELECT id FROM document") >= {11, 12, 21, 22} and outbox(d) == []
    d.once()
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []


@pytest.mark.parametrize("point", ["batch-after-commit", "finish-begin", "finish-before-commit", "outbox-after-remove",
                                   "outbox-after-remove:3", "outbox-before-settle"])
def test_killed_after_the_commit(files, point):
    """Nothing is forgotten for a row that did."""
    d = files()
    d.once(check=False, failpoint=point)
    assert keys(d.pg, d.db, "SELECT id FROM document") == {31, 32}
    wait_until(lambda: not d.pg.value(d.db, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'retention-j%%'"))
    d.once(check=False)
    d.once()
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []


HOSTILE = {
    "../outside": "its path has", "1/../../outside": "its path has", "{outside}": "it does not lie below root",
    "link/outside": "over a symbolic link", "1": "it is a directory", "1/": "its path has", "..": "its path has", "{root}": "it does not lie below root",
    "1/f1/x": "Not a directory", "x" * 290: "File name too long",
}


@pytest.mark.parametrize("location", HOSTILE)
def test_nothing_else_is_reached(files, tmp_path, location):
    d = files()
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (d.root / "link").symlink_to(tmp_path)
    written = location.format(outside=outside, root=d.root)
    d.pg.sql(d.db, "UPDATE document SET path = %s WHERE id = 11", (written,))
    d.once(check=False)
    assert outside.read_text() == "precious" and (d.root / "1/f1").exists() and (d.root / "1").is_dir()
    ((where, attempts, error),) = outbox(d)
    assert (where, attempts) == (written, 1) and HOSTILE[location] in error
    shown = json.loads(d.ctl("show", "1", "--json").stdout)
    assert shown["files_left"] == 1 and shown["status"] == "done"
    assert len(written) < 4 or written not in d.log_text() + d.ctl_log.read_text().replace(d.ctl("show", "1", "--json").stdout, "")


def test_names_of_all_kinds(files):
    """A link goes, not what it points at; an absolute path below root; what is not there is gone."""
    d = files()
    (d.root / "1/odd é\n;$(x)").write_text("x")
    (d.root / "1/link").symlink_to(d.root / "3/f1")
    (d.root / "1/-rf").write_text("x")
    for i, path in enumerate([str(d.root / "1/f1"), "1/odd é\n;$(x)", "1/link", "nowhere/at all", "2/not there", "", None, "1/-rf",
                              "1/f2"]):
        d.pg.sql(d.db, "INSERT INTO document VALUES (%s, 1, %s, '')", (1000 + i, path))
    d.once()
    assert outbox(d) == []
    assert there(d) == {"3/f1", "3/f2"}


def test_a_link_inside_of_root(files):
    """Contact 1's row names a file of contact 3, who stays, over a link that does not leave root."""
    d = files()
    (d.root / "link").symlink_to("3")
    d.pg.sql(d.db, "UPDATE document SET path = 'link/f1' WHERE id = 11")
    d.once(check=False)
    assert (d.root / "3/f1").exists() and there(d) == {"1/f1", "3/f1", "3/f2"}
    ((where, _, error),) = outbox(d)
    assert where == "link/f1" and "over a symbolic link" in error


def test_a_removal_that_is_not_on_the_disk(files, preload):
    """A file counts as removed once its folder was synced, whether this try has removed it or the last one."""
    d = files()
    d.once(check=False, failpoint="finish-before-commit")
    d.once(check=False, env={**preload, "DISK_FAULT": "sync:99"})
    assert there(d) == {"3/f1", "3/f2"} and outbox(d) == []
    d.pg.sql(d.db, "INSERT INTO retention.file_outbox (job, host, table_name, location) SELECT 1, host, 'document', '2/f9'"
                   "  FROM retention.archive_journal WHERE id = 1")
    for present in (True, False):
        if present:
            (d.root / "2/f9").write_text("x")
        tidy(d, host=socket.gethostname(), env={**preload, "DISK_FAULT": "sync:1"})
        ((where, _, error),) = outbox(d)
        assert where == "2/f9" and "its folder cannot be written to disk" in error and not (d.root / "2/f9").exists()
        d.pg.sql(d.db, "UPDATE retention.file_outbox SET tried_at = NULL")
    tidy(d, host=socket.gethostname())
    assert outbox(d) == []


def test_tried_again_until_it_is_gone(files, make):
    """As when the file system was read-only: told, counted, and done once it can be."""
    d = files()
    folder = d.root / "1"
    moved = d.root.parent / "moved"
    d.root.rename(moved)
    d.root.write_text("no directory")
    done = d.once(check=False)
    assert done.returncode == 1 and "cannot be opened" in done.stderr, "refused at the start: nothing is erased"
    assert keys(d.pg, d.db, "SELECT id FROM document") >= {11}
    d.root.unlink()
    moved.rename(d.root)
    (folder / "f1").unlink()
    (folder / "f1").mkdir()
    d.once(check=False)
    assert [(w, a) for w, a, _ in outbox(d)] == [("1/f1", 1)]
    again_now = d.once(check=False)
    assert [(w, a) for w, a, _ in outbox(d)] == [("1/f1", 1)], "not at once"
    assert again_now.returncode == 0
    done = try_again(d)
    assert "1 files of erased rows cannot be removed: it is a directory; they are tried again" in done.stderr
    assert [(w, a) for w, a, _ in outbox(d)] == [("1/f1", 2)]
    (folder / "f1").rmdir()
    (folder / "f1").write_text("x")
    try_again(d)
    assert outbox(d) == [] and there(d) == {"3/f1", "3/f2"}


def test_a_file_that_another_row_names(files):
    """It stays until the other row goes."""
    d = files()
    d.pg.sql(d.db, "UPDATE document SET path = '3/f1' WHERE id = 11")
    d.once()
    assert outbox(d) == [] and there(d) == {"1/f1", "3/f1", "3/f2"}
    d.pg.sql(d.db, "UPDATE request SET at = '2015-01-01'")
    d.configure(policies=[policy(name="rest")])
    d.once()
    assert there(d) == {"1/f1"}, "which no row names any more"


@pytest.mark.parametrize("alias", ["./3/f1", "3//f1", "1/../3/f1", "3/f1/", "{root}/3/f1", "{root}//3/f1"])
def test_another_way_to_write_a_path(files, alias):
    """Contact 1's row names the file of contact 3, who stays: by whatever name, it stays."""
    d = files()
    d.pg.sql(d.db, "UPDATE document SET path = %s WHERE id = 11", (alias.format(root=d.root),))
    d.once(check=False)
    assert "3/f1" in there(d)
    assert len(outbox(d)) == (0 if alias == "{root}/3/f1" else 1)


def test_another_hosts_files_are_left_to_it(files):
    d = files()
    d.once(check=False, failpoint="outbox-before-settle")
    (d.root / "1/f1").write_text("again")
    d.pg.sql(d.db, "UPDATE retention.file_outbox SET host = 'elsewhere'")
    d.once(check=False)
    assert len(outbox(d)) == 4 and "1/f1" in there(d)


def test_a_model_without_the_table(files):
    """What was queued under a name that the model has no more stays, and says so."""
    d = files()
    (d.root / "1/f1").unlink()
    (d.root / "1/f1").mkdir()
    d.once(check=False)
    d.configure(model=model(**RULES, document={"table": "document", "key": "id", "of": "contact", "by": "contact_id", "anonymize": "delete"}))
    try_again(d)
    assert outbox(d) == [("1/f1", 2, 'table "document" of the model names no files now')]


# --- Commands -------------------------------------------------------------------------------------


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "remove-object"

    def write(body):
        path.write_text("#!/bin/sh\n" + body)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return {"column": "path", "command": [str(path), "--bucket", "b c"]}
    return write


def test_a_command(files, script, tmp_path):
    """Each key is its last word, as it is: no shell looks at it."""
    file = script(f'for a; do printf "%s|" "$a"; done >> {tmp_path}/calls; echo >> {tmp_path}/calls; cat; echo noise; exit 0\n')
    d = files(file=file)
    d.pg.sql(d.db, "UPDATE document SET path = '$(touch /tmp/x) ; \"é' WHERE id = 11")
    d.once()
    assert outbox(d) == []
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert calls == sorted(f"--bucket|b c|{key}|" for key in ["$(touch /tmp/x) ; \"é", "1/f2", "2/f1", "2/f2"])


@pytest.mark.parametrize("ends", [False, True])
def test_a_name_that_is_an_option(files, script, tmp_path, ends):
    """It is not passed to a command that could obey it."""
    file = script(f'for a; do printf "%s|" "$a"; done >> {tmp_path}/calls; echo >> {tmp_path}/calls\n')
    file["command"] += ["--"] if ends else []
    d = files(file=file)
    d.pg.sql(d.db, "UPDATE document SET path = '--recursive' WHERE id = 11")
    d.once(check=False)
    assert [(location, error.split(":")[0]) for location, _, error in outbox(d)] == ([] if ends else [
        ("--recursive", 'it begins with "-", so that the command could take it for an option')])
    assert ("--bucket|b c|--|--recursive|" in (tmp_path / "calls").read_text()) == ends
    assert "recursive" not in d.ctl_log.read_text() + d.log_text()


def test_a_command_that_fails(files, script, tmp_path):
    file = script(f'[ -e {tmp_path}/up ] || {{ echo "no route" >&2; echo more >&2; exit 7; }}\n')
    d = files(file=file)
    d.once(check=False)
    assert {e for _, _, e in outbox(d)} == {"the command has failed with status 7: no route"} and len(outbox(d)) == 4
    assert "no route" not in d.ctl_log.read_text() + d.log_text(), "which may name the file"
    (tmp_path / "up").touch()
    try_again(d)
    assert outbox(d) == []


def test_a_command_that_dies(files, script):
    d = files(file=script("kill -9 $$\n"))
    d.once(check=False)
    assert {e for _, _, e in outbox(d)} == {"the command was ended by signal 9"}


def test_the_daemon_ends_while_a_command_runs(files, script, tmp_path):
    """SIGTERM: what is under way is waited for no longer than it takes, and the rest is done later."""
    file = script(f'echo x >> {tmp_path}/calls; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done\n')
    d = files(file=file)
    d.start("--once")
    wait_until(lambda: (tmp_path / "calls").exists(), what="the command runs")
    d.signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    d.wait()
    d.configure(policies=[])
    d.once(check=False)
    assert outbox(d) == []


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("file, message", [
    ({"column": "path"}, "file needs either a root or a command"),
    ({"column": "path", "root": "/tmp", "command": ["/bin/true"]}, "file needs either a root or a command"),
    ({"column": "path", "root": "tmp"}, 'file: root "tmp" does not begin with /'),
    ({"column": "path", "command": ["rm"]}, 'file: command "rm" does not begin with /'),
    ({"column": "path", "command": []}, "command must be an array"), ({"root": "/tmp"}, "column is missing"),
    ({"column": "path", "root": "/tmp", "x": "y"}, 'unknown key "x"'), ("path", "file must be a group"),
    ({"column": "pth", "root": "/tmp"}, 'file: public.document has no column "pth"'),
    ({"column": "id", "root": "/tmp"}, 'file: column "id" is bigint: what names a file is a text'),
    ({"column": "path", "root": "/nowhere"}, 'file: root "/nowhere" cannot be opened: No such file'),
    ({"column": "path", "command": ["/nowhere"]}, 'file: command "/nowhere" cannot be run: No such file'),
])
def test_refused(make, file, message):
    d = make(SCHEMA + FILES, model(document={"table": "document", "key": "id", "of": "contact", "by": "contact_id", "file": file}),
             migrate=False)
    d.ctl("-d", d.pg.conninfo(d.db), "migrate")
    done = d.check_config(check=False)
    assert done.returncode != 0 and message in done.stderr and "model.conf:4: " in done.stderr, done.stderr
