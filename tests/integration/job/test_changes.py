"""
The CRM's schema changes under a job, by another name than ALTER TABLE ADD COLUMN (test_resume.py): no row goes that
is not archived as it was, none is called erased that is there.  The job ends there, its archive sealed as it is, and
the rest begins as a new action.
"""

import json
import re
from pathlib import Path

import pytest

from support.changes import change, changed, rest_is_done
from support.ctl import horizon
from support.jobs import DONE, INCOMPLETE, KILLED, REFUSED, SAVED, SLOWER, days
from support.oracles import check_all_erased, check_rows_are_back, csv_rows, due_before, missing_contacts

pytestmark = pytest.mark.safety


def archived_text(j, name):
    return "".join(p.read_text("utf-8-sig") for folder in j.archives.glob("2*") for p in folder.glob(f"{name}.*"))


NO = "CREATE FUNCTION crm.no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"


@pytest.mark.parametrize("sql, table, says", [
    ("""CREATE TABLE crm.message_ext (secret text) INHERITS (crm.message);
        INSERT INTO crm.message_ext (id, request_id, direction, channel, sender, recipient, sent_at, secret)
            SELECT 10000000 + id, id, 'in', 'mail', 's', 'r', now(), 'secret' FROM crm.request;
        CREATE TABLE public.had AS SELECT count(*) AS n FROM crm.message_ext""",
     "message_ext", "inherit from crm.message"),
    ("CREATE RULE r AS ON DELETE TO crm.files DO INSTEAD NOTHING", "files", "crm.files has a rule"),
    ("ALTER TABLE crm.contact_social DROP CONSTRAINT contact_social_pkey", "contact_social",
     'no unique index on crm.contact_social says that "id" is its key'),
    ("ALTER TABLE crm.message ADD COLUMN mood text; CREATE RULE r AS ON UPDATE TO crm.message DO INSTEAD NOTHING",
     "message", "crm.message has a rule")])
def test_what_the_model_refuses(job, sql, table, says):
    """Without an archive nothing has to be sealed: the job itself waits.  With one, the action for the rest does."""
    j, status = changed(job, sql, archive="none" if table == "files" else "full")
    if table != "files":
        assert status == DONE, j.last.text()
        j.rest()
        status = j.run()
    assert status == REFUSED and says in j.last.note(), j.last.text()
    if table == "message_ext":
        assert j.value("SELECT count(*) FROM crm.message_ext") == j.value("SELECT n FROM public.had")
    assert j.value("""SELECT count(*) FROM crm.files WHERE record_type = 'Contact' AND NOT EXISTS (
        SELECT FROM crm.contact AS c WHERE c.id = record_id)""") == 0


@pytest.mark.parametrize("sql", ["ALTER TABLE crm.request DROP CONSTRAINT of_account",
                                 "ALTER TABLE crm.contact DISABLE TRIGGER ALL; ALTER TABLE crm.request DISABLE TRIGGER ALL"])
def test_the_foreign_key_that_proves_a_shard(job, sql):
    """Without it a request may be in another shard than its contact, where the batch does not look."""
    j = job(archive="none", limits=SLOWER)
    j.sql("""ALTER TABLE crm.contact ADD account_id int NOT NULL DEFAULT 1, ADD UNIQUE (account_id, id);
        ALTER TABLE crm.request ADD account_id int NOT NULL DEFAULT 1,
            ADD CONSTRAINT of_account FOREIGN KEY (account_id, contact_id) REFERENCES crm.contact (account_id, id);
        CREATE INDEX ON crm.request (account_id, contact_id)""")
    text = (j.daemon.dir / "model.conf").read_text().replace('"created_at"', '"created_at", "account_id"')
    for table in ("contact", "request"):
        text = text.replace(f'table = "crm.{table}";', f'table = "crm.{table}"; shard = "account_id";')
    j.daemon.configure(model=text.replace('created = "created_at", "account_id"', 'created = "created_at"')
                       .replace('date = "created_at", "account_id"', 'date = "created_at"'))
    j, status = change(j, sql)
    assert status == REFUSED and 'shard "account_id" is not proved' in j.last.note(), j.last.text()


def test_another_table_of_that_name(job):
    """It has a column more, which is archived."""
    j, status = changed(job, """LOCK crm.contact_social;
        CREATE TABLE crm.other (LIKE crm.contact_social INCLUDING ALL);
        ALTER TABLE crm.other ADD COLUMN mood text;
        INSERT INTO crm.other SELECT *, 'feels' FROM crm.contact_social;
        ALTER TABLE crm.other ADD FOREIGN KEY (contact_id) REFERENCES crm.contact;
        ALTER TABLE crm.contact_social RENAME TO old;
        ALTER TABLE crm.old DROP CONSTRAINT contact_social_contact_id_fkey;
        ALTER TABLE crm.other RENAME TO contact_social""")
    rest_is_done(j, status)
    header, rows = csv_rows(j, "contact_social.csv")
    assert header[-1] == "mood" and rows == archived_text(j, "contact_social").count("feels") > 0
    assert rows == j.value("SELECT (SELECT count(*) FROM crm.old) - (SELECT count(*) FROM crm.contact_social)")


def test_a_generated_column_becomes_a_plain_one(job):
    """What is written to it from then on is nowhere else."""
    j, status = changed(job, """ALTER TABLE crm.contact ALTER full_name DROP EXPRESSION;
        UPDATE crm.contact SET full_name = 'only here'""")
    rest_is_done(j, status)
    _, rows = csv_rows(j, "contact.csv")
    assert rows == archived_text(j, "contact").count("only here") > 0


@pytest.mark.parametrize("table, column, type_", [("message", "sent_at", "timestamp"),
                                                  ("request", "handling_seconds", "numeric(12,2)")])
def test_a_column_has_another_type(job, table, column, type_):
    """One file has one form of a value."""
    j, status = changed(job, f"ALTER TABLE crm.{table} ALTER {column} TYPE {type_}")
    first = rest_is_done(j, status)
    (old, n_old), (new, n_new) = (csv_rows(j, f"{table}.csv", action) for action in (first, j.id))
    assert old == new and n_old > 0 and n_new > 0
    for action in (first, j.id):
        j.daemon.ctl("archive", "verify", action)
    j.daemon.ctl("archive", "restore", j.id, "--disable-triggers")
    refused = j.daemon.ctl("archive", "restore", first, "--disable-triggers", check=False)
    assert refused.returncode == 1 and f"{column}: today's type" in refused.stderr and "text" in refused.stderr
    j.sql(f"ALTER TABLE crm.{table} ALTER {column} TYPE text")
    j.daemon.ctl("archive", "restore", first, "--disable-triggers")
    assert j.value(f"SELECT count(*) FROM crm.{table}") == j.value(f"SELECT count(*) FROM before.{table}")


def test_a_trigger_keeps_rows(job, way):
    """Of a table that no foreign key speaks for.  (With integrity = "set" no trigger may be there at all.)"""
    j, status = changed(job, NO.format(body="RETURN NULL;") + """
        CREATE TRIGGER no BEFORE DELETE ON crm.files FOR EACH ROW EXECUTE FUNCTION crm.no()""")
    assert status == DONE, j.last.text()
    j.rest()
    assert j.run() == (REFUSED if way.integrity == "set" else INCOMPLETE), j.last.text()
    assert j.value("""SELECT count(*) FROM crm.files WHERE record_type = 'Contact' AND NOT EXISTS (
        SELECT FROM crm.contact AS c WHERE c.id = record_id)""") == 0


@pytest.mark.rests_on_triggers
def test_a_trigger_keeps_contacts(job):
    """It is the reason why no batch deletes them, and so not one of them is recorded as failed."""
    j, status = changed(job, NO.format(body="RETURN NULL;") + """
        CREATE TRIGGER no BEFORE DELETE ON crm.contact FOR EACH ROW EXECUTE FUNCTION crm.no()""")
    assert status == DONE and "table crm.contact is not what it was" in j.last.note(), j.last.text()
    assert j.events("failed_key") == [] and j.ledger() == missing_contacts(j)
    j.rest()


@pytest.mark.parametrize("when, body", [
    ("BEFORE", "RETURN NULL;"),
    ("AFTER", """IF pg_trigger_depth() = 1 THEN
        UPDATE crm.contact SET last_name = OLD.last_name WHERE id = OLD.id; END IF; RETURN NULL;""")])
def test_a_trigger_keeps_values(job, when, body):
    j, status = changed(job, NO.format(body=body) + f"""
        CREATE TRIGGER no {when} UPDATE ON crm.contact FOR EACH ROW EXECUTE FUNCTION crm.no()""",
                        action="anonymize_contacts", archive="none", limits={"batch_rows": 10, "rows_per_second": 300})
    assert status == INCOMPLETE, j.last.text()
    assert j.ledger() and j.value("""SELECT count(*) FROM crm.contact AS c JOIN before.contact AS b USING (id)
        JOIN retention.ledger AS l ON l.key = c.id::text WHERE c.last_name = b.last_name""") == 0


def test_an_export_tells_the_new_column(job):
    j, status = changed(job, "ALTER TABLE crm.message ADD mood text DEFAULT 'good'", action="export")
    assert status == DONE, j.last.text()
    j.rest()
    assert j.run() == DONE, j.last.text()
    _, rows = csv_rows(j, "message.csv")
    assert rows == archived_text(j, "message").count("good") > 0


# -- once the archive's end has begun -------------------------------------------------------------

once = pytest.mark.safety(once=True)  # an archive ends in the same way, whoever looks after the keys
END = ["finish-after-join", "finish-after-manifest", "seal-after-segments", "finish-after-seal"]
ENCRYPTED = ["finish-after-join", "encrypt-after-note", "encrypt-after-rename:3", "encrypt-after-unlink:11",
             "finish-after-manifest", "seal-after-segments"]
ENDED = {"workers": 2, "batch_rows": 500}


def column(j):
    for table in ("message", "contact_document"):
        j.sql(f"ALTER TABLE crm.{table} ADD COLUMN mood text DEFAULT 'good'")


def table(j):
    j.sql("""CREATE TABLE crm.badge (id bigint PRIMARY KEY, contact_id bigint NOT NULL REFERENCES crm.contact);
             CREATE INDEX ON crm.badge (contact_id)""")
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=text.replace(
        "request_file:", 'badge: { table = "crm.badge"; key = "id"; of = "contact"; by = "contact_id"; };\n  request_file:', 1))


def mark(j):
    j.daemon.configure(archives={**j.daemon.config.get("archives", {}), "bom": False})


def nothing_of(j, table):
    """No row of the table is due: its file has its header, and nothing else."""
    for schema in ("crm", "before"):
        j.sql(f"DELETE FROM {schema}.{table}")


def check_end(j, identity=()):
    row, = j.sql("SELECT archive_path, archive_bytes FROM retention.archive_journal WHERE id = %s", (j.id,))
    folder = Path(row[0])
    named = {f["name"] for f in json.loads((folder / "manifest.json").read_text())["files"]}
    assert {p.name for p in folder.iterdir()} == named | {"SHA256SUMS", "manifest.json"}
    assert sum((folder / name).stat().st_size for name in named) == row[1]
    check_all_erased(j)
    j.daemon.ctl("archive", "verify", j.id)
    j.daemon.ctl("archive", "restore", j.id, "--disable-triggers", *identity)
    for name in ("message", "request", "contact", "files"):
        assert j.value(f"SELECT count(*) FROM crm.{name}") == j.value(f"SELECT count(*) FROM before.{name}")


@once
@pytest.mark.parametrize("change", [column, table, mark])
@pytest.mark.parametrize("point", END)
def test_changed_after_the_end_began(job, point, change):
    """What is joined is not joined anew, from segments that are gone."""
    j = job(limits=ENDED)
    nothing_of(j, "contact_document")
    assert j.run(point) == KILLED
    change(j)
    assert j.run() == DONE, j.last.text()
    check_end(j)


@once
@pytest.mark.parametrize("change", [column, table])
@pytest.mark.parametrize("point", ENCRYPTED)
def test_changed_while_it_is_encrypted(job, key, point, change):
    j = job(limits=ENDED, archives={"recipients": [key.public]})
    nothing_of(j, "contact_document")
    assert j.run(point) == KILLED
    change(j)
    assert j.run() == DONE, j.last.text()
    check_end(j, ("--identity", key.path))


@pytest.mark.parametrize("point", ["finish-after-join", "finish-after-manifest"])
def test_changed_and_changed_back(job, point):
    """With nobody left on the list the end goes on with the files that the archive began with."""
    j = job(limits=ENDED)
    assert j.run("finish-begin") == KILLED
    column(j)
    assert j.run(point) == KILLED
    j.sql("ALTER TABLE crm.message DROP COLUMN mood")
    assert j.run() == DONE, j.last.text()
    assert "mood" not in csv_rows(j, "message.csv")[0]
    check_end(j)


@pytest.mark.safety(workers=(2, 4))
def test_a_segment_is_missing_when_it_is_joined(job):
    """Nothing is cut back for it: what was joined may be all that there is."""
    j = job(limits=ENDED)
    assert j.run("finish-after-join") == KILLED
    segment = next(p for p in j.partial().glob("request.csv.*") if p.stat().st_size)
    segment.unlink()
    before = {p.name: p.stat().st_size for p in j.partial().iterdir()}
    assert j.run() == REFUSED and segment.name in j.last.note()
    assert {p.name: p.stat().st_size for p in j.partial().iterdir()} == before


def test_a_table_is_dropped(job):
    """What was archived of it stays in the archive; the model does without it."""
    j = job(limits=SLOWER)
    assert j.run("batch-after-ledger:6") == KILLED
    assert j.value("SELECT sum(rows) FROM retention.archive_file WHERE table_name = 'contact_document'")
    j.sql("DROP TABLE crm.contact_document")
    assert j.run() == REFUSED and "crm.contact_document" in j.last.note()
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=re.sub(r"(?ms)^  contact_document: \{.*?^  \};\n", "", text))
    first = rest_is_done(j, j.run())
    _, rows = csv_rows(j, "contact_document.csv", first)
    assert rows > 0 and not (Path(j.row()["archive_path"]) / "contact_document.csv").exists()
    for action in (first, j.id):
        j.daemon.ctl("archive", "verify", action)


def test_the_model_gains_a_table(job):
    """Its rows are not archived, only counted; what is known of their erasure needs the table's name."""
    j = job(limits=SLOWER, archive="listed")
    j.sql("CREATE TABLE crm.note (id bigint PRIMARY KEY, contact_id bigint, body text);"
          "INSERT INTO crm.note SELECT id, id, 'x' FROM crm.contact; CREATE INDEX ON crm.note (contact_id)")
    assert j.run("batch-after-ledger:4") == KILLED
    text = (j.daemon.dir / "model.conf").read_text()
    new = text.replace("  request: {", '  note: { table = "crm.note"; key = "id"; of = "contact"; by = "contact_id"; anonymize = "delete"; };\n'
                                       "  request: {", 1)
    assert new != text
    j.daemon.configure(model=new)
    assert j.run() == DONE, j.last.text()
    assert j.value("SELECT max(relation) FROM retention.archive_file WHERE table_name = 'note' HAVING sum(rows) > 0") == "crm.note"
    assert horizon(j.daemon)["T1"]["state"] == "pending"


@pytest.mark.safety(workers=(1,))
def test_rows_of_two_parts_point_at_each_other(job):
    """What went first can point at what went last: the last part comes back first."""
    j = job(limits={**SLOWER, "workers": 1})
    for schema in ("crm", "before"):
        j.sql(f"ALTER TABLE {schema}.contact ADD referrer bigint")
    j.sql("ALTER TABLE crm.contact ADD FOREIGN KEY (referrer) REFERENCES crm.contact; CREATE INDEX ON crm.contact (referrer)")
    text = (j.daemon.dir / "model.conf").read_text()

    def keep(columns):
        new = text.replace('keep = [ "id", "full_name"', f'keep = [ {columns}, "id", "full_name"')
        assert new != text
        j.daemon.configure(model=new)

    keep('"referrer"')
    assert j.run("job-before-start") == KILLED
    for schema in ("crm", "before"):  # the first at the last
        j.sql(f"""UPDATE {schema}.contact AS c SET referrer = e.last
            FROM (SELECT (array_agg(key::bigint ORDER BY n))[1] AS first, (array_agg(key::bigint ORDER BY n DESC))[1] AS last
                    FROM retention.candidate) AS e WHERE c.id = e.first""")
    assert j.run("batch-after-ledger:4") == KILLED
    j.sql("ALTER TABLE crm.contact ADD COLUMN mood text")
    keep('"referrer", "mood"')
    first = rest_is_done(j, j.run())
    refused = j.daemon.ctl("archive", "restore", first, "--disable-triggers", check=False)
    assert refused.returncode == 1 and "point at is gone" in refused.stderr
    for action in (j.id, first):
        j.daemon.ctl("archive", "restore", action, "--disable-triggers")
    check_rows_are_back(j, "contact")


# -- an end before the list is empty ---------------------------------------------------------------

EARLY = ["finish-begin", "finish-after-join", "finish-after-manifest", "seal-after-segments", "finish-after-seal",
         "finish-before-commit"]
CHANGE = "ALTER TABLE crm.message ADD COLUMN mood text; CREATE RULE r AS ON UPDATE TO crm.message DO INSTEAD NOTHING"


def test_killed_at_each_step_of_an_early_end(job):
    """
    Whether the model holds or not, the archive is sealed; the rest is begun with the row's end, once, and done once
    the model holds again.
    """
    j = job(limits=SLOWER)
    run = j.start("changed-after-mark")
    j.begun(20)
    j.sql(CHANGE)
    assert run.wait() == KILLED, run.text()
    treated = len(j.ledger())
    for point in EARLY:
        assert j.run(point) == KILLED, (point, j.last.text())
        assert j.row()["status"] == "running" and len(j.ledger()) == treated
        assert j.value("SELECT count(*) FROM retention.archive_journal") == 1
        assert j.left() == j.row()["candidates"] - treated
    assert j.run() == DONE, j.last.text()
    assert j.events("changed") == [{"why": j.events("changed")[0]["why"]}]
    first = j.rest()
    counters = j.daemon.jobs(f"id = {first}")[0]["counters"]
    assert counters["treated"] == treated and counters["rest"] == len(due_before(j)) - treated
    j.daemon.ctl("archive", "verify", first)
    assert j.run() == REFUSED and "crm.message has a rule" in j.last.note()
    assert len(j.ledger()) == treated and j.ledger() == missing_contacts(j)
    j.sql("DROP RULE r ON crm.message")
    j.daemon.once()  # finds it by itself
    check_all_erased(j)
    assert j.ledger() == missing_contacts(j) == due_before(j)
    assert j.value("SELECT count(*) FROM retention.archive_journal") == 2
    for action in (j.id, first):
        j.daemon.ctl("archive", "restore", action, "--disable-triggers")
    for name in ("message", "request", "contact", "files"):
        assert j.value(f"SELECT count(*) FROM crm.{name}") == j.value(f"SELECT count(*) FROM before.{name}")


@pytest.mark.parametrize("policy, limits, says", [
    ({"approval": True}, {}, "as the policy asks"), ({}, {"max_share": 0.25}, "more than max_share (0.25)")])
def test_what_a_person_approved_is_approved_again(job, policy, limits, says):
    """The rest is smaller than the whole: what asked for a person then need not ask for one now."""
    j = job(limits={**SLOWER, **limits})
    j.daemon.configure(policies=[{**j.daemon.config["policies"][0], **policy}])
    assert j.run() == SAVED and says in j.last.note(), j.last.text()
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    assert j.run("batch-after-ledger:6") == KILLED
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text")
    j.daemon.configure(policies=[{k: v for k, v in j.daemon.config["policies"][0].items() if k != "approval"}],
                       limits=SLOWER)
    assert j.run() == DONE, j.last.text()
    j.rest()
    gone = missing_contacts(j)
    assert j.run() == SAVED and "as the action whose rest it is" in j.last.note(), j.last.text()
    assert missing_contacts(j) == gone
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)


def test_a_manual_action_is_saved_anew(job):
    """Its list was validated by a person: nobody else begins the rest."""
    j = job(manual=days(), archive="full")
    assert j.run() == SAVED
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    with j.pg.connect(j.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("SELECT FROM crm.contact WHERE id = (SELECT max(key::bigint) FROM retention.candidate) FOR UPDATE")
        assert j.run("batch-after-ledger:1") == KILLED
    gone = j.ledger()
    j.sql("ALTER TABLE crm.message ADD COLUMN mood text")
    assert j.run() == INCOMPLETE and "save the action anew" in j.last.note(), j.last.text()
    row = j.row()
    assert row["status"] == "done" and "save the action anew" in row["error"] and j.left() == 0
    assert row["counters"]["treated"] == len(gone) and row["counters"]["rest"] == row["candidates"] - len(gone) > 0
    assert j.ledger() == missing_contacts(j) == gone
    assert j.value("SELECT count(*) FROM retention.archive_journal") == 1
    j.daemon.ctl("archive", "verify", j.id)


def test_a_job_that_has_archived_nothing_goes_on(job):
    """It takes its files back, so that a table that changes again and again calls forth no empty actions."""
    j = job(limits={**SLOWER, "workers": 1})
    for schema in ("crm", "before"):
        j.sql(f"""INSERT INTO {schema}.contact_social (id, contact_id, network, account)
            SELECT 1000000 + id, id, 'other', 'a' FROM crm.contact""")
    for change in ("ADD COLUMN mood text", "ADD COLUMN other text", "DROP COLUMN mood"):
        assert j.run("batch-before-commit") == KILLED
        assert any(p.stat().st_size for p in j.partial().glob("contact_social.csv.*"))  # begun, with the columns of then
        j.sql(f"ALTER TABLE crm.contact_social {change}")
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    header, rows = csv_rows(j, "contact_social.csv")
    assert "other" in header and "mood" not in header and rows >= len(j.ledger())
    assert j.value("SELECT count(*) FROM retention.archive_journal") == 1 and j.events("changed") == []
    j.daemon.ctl("archive", "verify", j.id)
    j.daemon.ctl("archive", "restore", j.id, "--disable-triggers")
    check_rows_are_back(j, "contact")


def test_a_table_that_leaves_before_anything_is_archived(job):
    """The archive has no file of it, although the job had begun one."""
    j = job(limits={**SLOWER, "workers": 1})
    assert j.run("batch-before-commit") == KILLED
    j.sql("DROP TABLE crm.contact_document")
    assert j.run() == REFUSED and "crm.contact_document" in j.last.note(), j.last.text()
    text = (j.daemon.dir / "model.conf").read_text()
    j.daemon.configure(model=re.sub(r"(?ms)^  contact_document: \{.*?^  \};\n", "", text))
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    assert list(Path(j.row()["archive_path"]).glob("contact_document*")) == []
    j.daemon.ctl("archive", "verify", j.id)


def test_a_table_that_changes_under_each_action(job):
    """Five actions begin by themselves, the sixth waits for a person; each has erased something."""
    j = job(limits={"workers": 1, "batch_rows": 30})
    for n in range(1, 6):
        assert j.run("batch-after-ledger:1") == KILLED
        j.sql(f"ALTER TABLE crm.message ADD COLUMN mood{n} text")
        assert j.run() == DONE, j.last.text()
        first = j.rest()
        assert j.daemon.jobs(f"id = {first}")[0]["counters"]["treated"] > 0
    gone = missing_contacts(j)
    for _ in range(2):
        assert j.run() == SAVED and "a change of the tables has ended 5 actions" in j.last.note(), j.last.text()
    j.daemon.once()
    assert j.value("SELECT count(*) FROM retention.archive_journal") == 6 and j.row()["status"] == "saved"
    assert j.ledger() == missing_contacts(j) == gone
    j.sql("SELECT retention.validate_action(%s)", (j.id,))
    assert j.run() == DONE, j.last.text()
    check_all_erased(j)
    assert j.ledger() == missing_contacts(j) == due_before(j)
