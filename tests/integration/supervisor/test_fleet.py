"""Several daemons on one host: names of instances, files that they share, and what each needs of its own."""

import os
import subprocess

import pytest

from support.harness import libconfig, wait_until, write_private
from support.small import policy

NOWHERE = "/etc/retentiond/nowhere.conf: cannot be opened: No such file or directory"


def fleet(daemon, folder, **kwargs):
    """A daemon whose policies, and some of whose other keys, are in files beside its own."""
    shared = folder / "shared"
    shared.mkdir()
    write_private(shared / "archives.conf", '# of the group archives\nkeep = "5 years";\n')
    d = daemon(policies=[], **kwargs)

    def share(depth, name="p"):
        write_private(shared / "policies.conf", f"# shared\npolicies = ( {libconfig(policy(name=name, depth=depth))} );\n")

    text = d.path.read_text().replace("policies = (\n\n);", f'@include "{os.path.relpath(shared, d.dir)}/policies.conf"')
    text = text.replace("archives = {", 'archives = {\n  @include "../shared/archives.conf"\n')
    write_private(d.path, text)
    share("36 months")
    return d, shared, share


def policies(d):
    return {row[0]: row[1] for row in d.pg.sql(d.db, "SELECT name, depth::text FROM retention.policies")}


def test_what_is_shared_is_read_again(daemon, tmp_path):
    d, shared, share = fleet(daemon, tmp_path)
    d.start()
    d.wait_for_log("ready: ")
    wait_until(lambda: policies(d) == {"p": "3 years"})
    share("48 months", "q")
    d.reload()
    d.wait_for_log("reloaded ")
    wait_until(lambda: policies(d) == {"q": "4 years"})
    # A mistake in it, with its own place, leaves everything as it was.
    share("48 moths")
    since = d.log_position()
    d.reload()
    d.wait_for_log(f"{d.path} is refused: the configuration stays as it was", since=since)
    assert d.log_contains(rf'shared/policies\.conf:2: policy "p": .*"48 moths"', since)
    # So does one that others can write.
    share("48 months")
    (shared / "archives.conf").chmod(0o660)
    since = d.log_position()
    d.reload()
    d.wait_for_log(f"{d.path} is refused: the configuration stays as it was", since=since)
    assert d.log_contains(r"shared/archives\.conf: can be written by others than root and its owner \(mode 0660\)", since)
    assert policies(d) == {"q": "4 years"} and d.stop() == 0


def test_the_shared_files_are_found_from_everywhere(daemon, tmp_path):
    """Their names count from the folder of the file that names them, not from where a program is started."""
    d, shared, _ = fleet(daemon, tmp_path)
    command = [d.build / "retentiond", "-t", "-v", "-c"]
    for where, path in (("/", d.path), (d.dir, d.path.name), (tmp_path, f"{d.dir.name}/{d.path.name}")):
        done = subprocess.run([*command, path], cwd=where, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert 'depth = "36 months"' in done.stdout and 'keep = "5 years"' in done.stdout
    (shared / "policies.conf").unlink()
    done = subprocess.run([*command, d.path.name], cwd=d.dir, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{d.path.name}:" in done.stderr and "cannot open ../shared/policies.conf: No such file" in done.stderr


@pytest.mark.parametrize("name", ["nowhere", "retentiond@nowhere"])
def test_a_name_says_which_file_it_means(daemon, name):
    d = daemon(migrate=False)
    for command in (["retentiond", "-t", "-c", name], ["retentiond", "-c", name], ["retentionctl", "-c", name, "policies"],
                    ["retentionctl", "-c", name, "journal"]):
        done = subprocess.run([d.build / command[0], *command[1:]], cwd=d.dir, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "RETENTION_LOG": "stderr", "LC_ALL": "C.UTF-8"})
        assert done.returncode == 1 and NOWHERE in done.stderr, done.stderr
    # The log has the name from the first line on.
    assert "retentiond@nowhere[" in subprocess.run([d.build / "retentiond", "-c", name], capture_output=True, text=True,
                                                   env={**os.environ, "RETENTION_LOG": "stderr"}).stderr


def test_one_directory_for_two(daemon):
    """Both begin with the same empty directory: it belongs to the first that writes, and the other touches nothing."""
    passes = [policy(archive="full", schedule="yearly")]
    one = daemon(policies=passes)
    two = daemon(policies=passes, archives={"directory": str(one.archives)})
    for d in (one, two):
        d.start()
        d.wait_for_log("ready: ")
    for d in (one, two):
        d.pg.sql(d.db, "SELECT retention.begin_occurrence('p', '0 0 1 1 *', now(), now() + interval '1 day', 'delete_contacts',"
                       " '18 months', 'full'); NOTIFY retention, 'saved'")
    # Which of the two is first is not known.
    refusal = f'archives.directory "{one.archives}": it belongs to another database: each database needs an archives directory'
    wait_until(lambda: refusal in one.log_text() + two.log_text())
    loser, winner = (one, two) if refusal in one.log_text() else (two, one)
    winner.wait_for_job()
    assert loser.jobs("status = 'done'") == []
    assert loser.pg.value(loser.db, "SELECT count(*) FROM retention.ledger") == 0
    folders = {f.name for f in one.archives.iterdir() if f.is_dir()}
    assert folders == {os.path.basename(winner.jobs("archive_path IS NOT NULL")[0]["archive_path"])}
    # From then on it is refused before anything begins.
    loser.stop()
    done = loser.check_config()
    assert done.returncode == 1 and refusal in done.stderr
