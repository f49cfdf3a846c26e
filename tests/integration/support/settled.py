"""
What a database that was put back from a backup, and its archives, have to be when all has settled: what the archives hold
is erased, and nothing else; no policy is blocked, and every folder is an action's.
"""

import json

from support.backup import lines
from support.harness import wait_until
from support.jobs import DONE, KILLED
from support.oracles import LISTED, ROWS_OF, due_before, load_archive


def killed_at(j, point):
    """The job's process dies there, or ends before: what a backup of this moment has."""
    assert not point or j.run(point) in (KILLED, DONE)
    wait_until(lambda: not j.sessions())


def folders(d):
    return {p.name: p for p in d.archives.iterdir() if p.is_dir()}


def unsettled(d):
    return d.jobs("status IN ('saved', 'validated', 'running')")


def forgotten(d):
    """How many lines of the ledger's file are still to be replayed."""
    return d.pg.value(d.db, "SELECT count(*) FROM retention.replay")


def settle(d, automatic):
    """As the people would do who run it: the daemon, and where it asks for it a replay."""
    if automatic:
        d.configure(extra='replay = "automatic";')
    for _ in range(6):
        done = d.once(check=False)
        if not forgotten(d) and not unsettled(d):
            return
        if forgotten(d) and not automatic and not d.jobs("replay AND status IN ('saved', 'validated', 'running')"):
            d.ctl("replay", "--yes")
    raise AssertionError(f"{forgotten(d)} lines, {unsettled(d)}: {done.stderr[-3000:]}")


def archived(j, conn, key=None):
    """Every archive of a deletion, in the temporary tables every_*: {table: columns}.  key decrypts the files."""
    loaded = {}
    with conn.cursor() as cur:
        for row in j.daemon.jobs("archive_path IS NOT NULL AND action <> 'export'"):
            folder = folders(j.daemon)[row["archive_path"].rsplit("/", 1)[1]]
            manifest = json.loads((folder / "manifest.json").read_text())
            assert (manifest["job"], manifest["replay_of"]) == (row["id"], row["replay_of"])
            for table, columns in load_archive(j, conn, folder, manifest, key).items():
                name, every = table.split(".")[1], loaded.setdefault(table, columns)
                cur.execute(f"CREATE TEMP TABLE IF NOT EXISTS every_{name} AS TABLE archived_{name} WITH NO DATA; "
                            f"INSERT INTO every_{name} TABLE archived_{name}; DROP TABLE archived_{name}")
                assert every == columns
    return loaded


def check_archived(j, key=None):
    """The archives of all parts hold the rows that are erased, and no others."""
    with j.pg.connect(j.db) as conn, conn.cursor() as cur:
        loaded = archived(j, conn, key)
        assert set(loaded) == {table for name, (table, _) in ROWS_OF.items() if j.archive == "full" or name in LISTED}
        for table, columns in loaded.items():
            name, listed = table.split(".")[1], ", ".join(f'"{c}"' for c in columns)
            erased = f"(SELECT {listed} FROM before.{name} EXCEPT SELECT {listed} FROM crm.{name})"
            for one, other in ((erased, f"(SELECT {listed} FROM every_{name})"),
                               (f"(SELECT {listed} FROM every_{name})", erased)):
                cur.execute(f"SELECT count(*) FROM ({one} EXCEPT {other}) AS x")
                assert cur.fetchone() == (0,), f"{table}: erased and archived differ"


def check_settled(j, key=None):
    d = j.daemon
    rows = d.jobs()
    assert {r["status"] for r in rows} == {"done"}
    assert forgotten(d) == 0 and j.left() == 0
    assert j.value("SELECT count(*) FROM retention.selection") == 0
    assert set(folders(d)) == {r["archive_path"].rsplit("/", 1)[1] for r in rows if r["archive_path"]}
    assert d.ctl("verify").returncode == 0
    for row in rows:
        if row["archive_path"]:
            assert d.ctl("archive", "verify", row["id"]).returncode == 0
    if j.action == "export":
        return
    assert j.ledger() == due_before(j) and {int(key) for *_, key in lines(d)} == due_before(j)
    if j.action == "delete_contacts":
        assert {k for (k,) in j.sql("SELECT id FROM before.contact EXCEPT SELECT id FROM crm.contact")} == due_before(j)
    if j.archive != "none":
        check_archived(j, key)
