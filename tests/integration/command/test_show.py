"""show for people: lines instead of JSON, sizes in units, one zone with its name, and tables that fit without merging words."""

import json
import re
from pathlib import Path

import pytest

from support import small
from support.ctl import action, ctl
from support.french import FRENCH
from support.harness import BUILD, wait_until
from support.terminal import Terminal

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "full"}


@pytest.fixture
def db(pg, empty_db):
    name = empty_db()
    assert ctl(pg, name, "migrate").returncode == 0
    return name


def lines(text):
    """The lines of the record that show begins with."""
    return dict(line.split(None, 1) for line in text.split("\n\n")[0].splitlines())


def test_a_pass(daemon):
    d = daemon(policies=[POLICY], database={"timezone": "Europe/Paris"})
    d.once()
    (job,) = d.jobs()
    text = d.ctl("show", "1").stdout
    found = lines(text)
    assert (int(found["treated"]), found["failures"], found["timezone"]) == (job["counters"]["treated"], "0", "Europe/Paris")
    assert found["sums_sha256"] == job["counters"]["sums_sha256"] and "{" not in text.split("\n\n")[0]
    assert not {"counters", "dropped", "stayed_locked", "not_begun"} & found.keys()
    kib, tenths = divmod(job["archive_bytes"], 1024)
    assert found["archive_bytes"] == f"{kib}.{tenths * 10 // 1024} KiB"
    times = [value for name, value in found.items() if name.endswith("_at") or name in ("cutoff", "occurrence")]
    assert len(times) > 5 and all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d CES?T", t) for t in times)
    # The same without the configuration, whatever the caller's zone is.
    assert ctl(d.pg, d.db, "show", "1", env={"PGTZ": "Asia/Tokyo"}).stdout == text
    french = d.ctl("show", "1", env=FRENCH).stdout
    assert f"{kib},{tenths * 10 // 1024} Kio" in french
    assert re.search(r"^traités? +\d+$", french, re.M) and re.search(r" liste faite ", french)
    assert not re.search(r"archive_bytes|treated|timezone|finished_at| listed ", french)


def test_times_before_the_daemon_came(pg, db):
    """Nobody has told the zone yet, and a foreign table may have the name of ours."""
    action(pg, db)
    assert lines(ctl(pg, db, "show", "1").stdout)["timezone"] == "UTC"


@pytest.mark.parametrize("size, said, french", [
    (0, "0 B", "0 o"), (1023, "1023 B", "1023 o"), (1024, "1.0 KiB", "1,0 Kio"), (1048575, "1023.9 KiB", "1023,9 Kio"),
    (1572864, "1.5 MiB", "1,5 Mio"), (5 << 30, "5.0 GiB", "5,0 Gio"), (3 << 42, "12.0 TiB", "12,0 Tio"), (1 << 61, "2097152.0 TiB", "2097152,0 Tio")])
def test_sizes(pg, db, size, said, french):
    action(pg, db, "done")
    pg.sql(db, f"UPDATE retention.archive_journal SET archive_bytes = {size}, archive_path = '/a/20240101-export-manual-1'")
    assert lines(ctl(pg, db, "show", "1").stdout)["archive_bytes"] == said
    assert f" {french} " in ctl(pg, db, "archive", "list", env=FRENCH).stdout
    assert json.loads(ctl(pg, db, "archive", "list", "--json").stdout)[0]["bytes"] == size


def test_what_became_of_an_archive(pg, db):
    """Each action is named as in the journal, and an archive that is gone, or was put back, does not say done."""
    for n in range(1, 5):
        action(pg, db, "done")
        pg.sql(db, f"UPDATE retention.archive_journal SET archive_path = '/a/{n}' WHERE id = {n}")
    gone = "archive_deleted_at = now(), archive_deleted_by = 'x'"
    pg.tamper(db, f"""UPDATE retention.archive_journal SET restored_at = now(), restored_by = 'x' WHERE id = 2;
        UPDATE retention.archive_journal SET {gone} WHERE id = 3; UPDATE retention.archive_journal SET {gone}, archive_removed_at = now() WHERE id = 4""")

    def listed(env=None):
        rows = [re.split(r"  +", line.strip()) for line in ctl(pg, db, "archive", "list", env=env).stdout.splitlines()[1:]]
        return {int(row[0]): (row[3], row[4]) for row in rows}
    month = "2024-01-01..2024-01-31"
    assert listed() == {1: ("done", month), 2: ("restored", month), 3: ("archive deleted", month), 4: ("files removed", month)}
    assert {n: status for n, (status, _) in listed(FRENCH).items()} == {
        1: "terminée", 2: "rétabli", 3: "archive supprimée", 4: "fichiers effacés"}


def test_each_kind_of_event_in_french(pg, db):
    """Of all that the sources write of an action, no kind is told in English."""
    sources = [*Path("migrations").glob("*.sql"), *Path("daemon").glob("*/*.c")]
    inserted = r"journal_event \(job, kind, details\)(?:(?!jsonb|').)*'([a-z_]+)'"
    text = "".join(source.read_text() for source in sources)
    kinds = set(re.findall(inserted, text, re.DOTALL)) | set(re.findall(r"\.kind = \"([a-z_]+)\"", text))
    assert {"kept", "undated", "unpaired", "held", "sliced", "archive_download", "paused"} <= kinds
    action(pg, db, "done")
    pg.sql(db, "INSERT INTO retention.journal_event (job, kind) SELECT 1, unnest(%s)", (sorted(kinds),))

    def shown(env=None):
        events = ctl(pg, db, "show", "1", env=env).stdout.split("\n\n")[-1].splitlines()[1:]
        return {int(line.split()[0]): re.split("  +", line.strip())[2] for line in events}
    english, french = shown(), shown(FRENCH)
    assert set(english.values()) >= kinds
    assert {english[n] for n in english if english[n] == french[n]} <= {"validated"}


def test_partitions_are_one_reason(daemon, empty_db):
    """T1 names a partitioned table once, counts many tables, and names all with -v."""
    db = empty_db()
    d = daemon(db=db, policies=[small.policy()], model=small.model(
        request={"key": ["contact_id", "id"]}, **{f"t{n}": {"table": f"t{n}", "of": "contact", "by": "contact_id"} for n in range(4)}))
    d.pg.sql(db, """CREATE TABLE contact (id bigint PRIMARY KEY, name text);
        CREATE TABLE request (id bigint, contact_id bigint REFERENCES contact, at timestamptz, PRIMARY KEY (contact_id, id))
            PARTITION BY HASH (contact_id);
        CREATE INDEX ON request (contact_id)""")
    for n in range(16):
        d.pg.sql(db, f"CREATE TABLE request_{n} PARTITION OF request FOR VALUES WITH (MODULUS 16, REMAINDER {n})")
    for n in range(4):
        d.pg.sql(db, f"CREATE TABLE t{n} (contact_id bigint REFERENCES contact); CREATE INDEX ON t{n} (contact_id)")
    d.pg.sql(db, """INSERT INTO contact SELECT n, 'x' FROM generate_series(1, 100) AS n;
        INSERT INTO request SELECT n, n, '2015-01-01' FROM generate_series(1, 100) AS n""")
    for n in range(4):
        d.pg.sql(db, f"INSERT INTO t{n} SELECT id FROM contact")
    d.once()
    (waits,) = [h["waits_for"] for h in json.loads(d.ctl("show", "1", "--json").stdout)["horizon"] if h["step"] == "T1"]
    assert ", VACUUM of public.request (16 partitions), VACUUM of public.t0, " in waits and "request_" not in waits
    reasons = len(re.findall("VACUUM of|ANALYZE of", waits))
    assert reasons >= 6
    assert re.search(rf"VACUUM of public.contact, VACUUM of public.[a-z( A-Z)]+ and {reasons - 2} more \(-v\)", d.ctl("show", "1").stdout)
    d.pg.sql(db, "VACUUM request_3")
    assert wait_until(lambda: "VACUUM of public.request (15 partitions)" in d.ctl("show", "1", "-v").stdout)
    waits = waits.replace("16 part", "15 part")
    assert f"et {reasons - 2} autres (-v)" in d.ctl("show", "1", env=FRENCH).stdout
    for option in ("-v", "--verbose"):
        assert waits in d.ctl("show", "1", option).stdout


def test_no_two_words_become_one(pg, db):
    """At 80 columns the journal's actions stay apart: rather a record a row than two words that are cut to the same."""
    for kind in ("export", "delete_contacts", "anonymize_contacts", "anonymize_requests"):
        action(pg, db, kind=kind)
    pg.sql(db, "UPDATE retention.archive_journal SET error = repeat('a long reason ', 20)")
    for width in (60, 80, 100):
        text = Terminal([BUILD / "retentionctl", "-d", pg.conninfo(db), "journal"], width).wait()[1]
        words = re.findall(r"(?:anonymize|annonymi)\S*", text)
        assert len(words) == 2 and len(set(words)) == 2, text


# --- JSON of save and archive verify --------------------------------------------------------------------------------


def test_save(daemon):
    d = daemon(policies=[])
    d.start()
    d.wait_for_log("ready: ")
    said = json.loads(d.ctl("save", "export", "--from", "2023-01-01", "--to", "2023-01-31", "--json").stdout)
    (job,) = d.jobs()
    assert said == {"id": 1, "action": "export", "status": "saved", "listed": True, "candidates": job["candidates"], "error": None}
    assert d.stop() == 0
    said = d.ctl("save", "export", "--from", "2023-01-01", "--to", "2023-01-31", "--json")
    assert json.loads(said.stdout)["listed"] is False


def test_verify(daemon):
    d = daemon(policies=[POLICY])
    d.once()
    assert json.loads(d.ctl("archive", "verify", "1", "--json").stdout) == {"archive": "1", "intact": True, "faults": []}
    file = next((d.archives / "").glob("2*/contact.csv"))
    file.write_text(file.read_text() + "x")
    done = d.ctl("archive", "verify", "1", "--json", check=False)
    said = json.loads(done.stdout)
    assert done.returncode == 1 and said["intact"] is False and "contact.csv" in [f["file"] for f in said["faults"]]
    assert f"is not intact: {len(said['faults'])} finding" in done.stderr
    d.start()
    d.wait_for_log("ready: ")
    said = d.ctl("archive", "verify", "1", "--ask", "--json", check=False)
    assert said.returncode == 1 and json.loads(said.stdout)["intact"] is False and json.loads(said.stdout)["faults"]
    assert d.stop() == 0


# --- Help and hints -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["show", "archive verify", "policy save", "save"])
def test_help_of_a_command(words):
    """Wherever --help stands; in French, too."""
    for args in ((*words.split(), "--help"), (*words.split(), "7", "--help"), (*words.split(), "--json", "--help")):
        status, text = Terminal([BUILD / "retentionctl", *args]).wait()
        assert status == 0 and text.startswith(f"usage: retentionctl {words} "), text
    status, text = Terminal([BUILD / "retentionctl", *words.split(), "--help"], env=FRENCH).wait()
    assert status == 0 and text.startswith(f"utilisation : retentionctl {words} ") and "Le manuel retentionctl(1)" in text


def test_hints_are_french(pg, db, empty_db):
    pg.psql(db, "-c", "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'stranger') THEN CREATE ROLE stranger LOGIN; END IF; END $$")
    assert "conseil : accordez à votre rôle retention_auditor (lit)" in ctl(pg, db, "journal", user="stranger", env=FRENCH).stderr
    assert "retentionctl: le schéma retention manque : lancez retentionctl migrate" in ctl(pg, empty_db(), "journal", env=FRENCH).stderr
    assert ctl(pg, db, "nonsense", env=FRENCH).stderr.splitlines()[1].startswith("utilisation : retentionctl ")


def test_progress_is_french(pg, db):
    job = action(pg, db, "validated")
    pg.sql(db, "SELECT retention.pause_action(1)")
    screen = Terminal([BUILD / "retentionctl", "-d", pg.conninfo(db), "show", job, "--follow"], 120, FRENCH)
    try:
        wait_until(lambda: "0 sur 4, attend : une pause par retention_test" in screen.read())
        pg.sql(db, "SELECT retention.cancel_action(1)")
        screen.wait()
    finally:
        screen.process.kill()


def test_a_restore_is_french(daemon):
    d = daemon(policies=[POLICY])
    d.once()
    treated = d.jobs()[0]["counters"]["treated"]
    said = d.ctl("archive", "restore", "1", "--dry-run", env=FRENCH).stdout
    assert f"l'action 1 peut être restaurée : {treated} contacts, " in said
    assert "telle qu'elle était ; rien n'a été changé\n" in said
    said = d.ctl("archive", "restore", "1", env=FRENCH).stdout
    assert f"l'action 1 est restaurée : {treated} contacts, " in said and f"contact: {treated} remises\n" in said
