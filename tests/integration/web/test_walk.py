"""The manual walk on the page: an operator saves, an approver validates, the daemon works, the archive goes."""

import csv
import io
import json

import pytest

from support.harness import wait_until
from support.page import APPROVER, AUDITOR, OPERATOR
from support.walk import ended, interval, latest, listed, row, save, validate, walk


def events(page, job):
    return page.pg.sql(page.db, "SELECT kind, actor FROM retention.journal_event WHERE job = %s ORDER BY id", (job,))


def test_a_deletion_and_its_archive(page):
    p = page()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    first, last = interval(p)
    preview = json.loads(p.daemon.ctl("preview", "delete_contacts", "--from", first, "--to", last, "--archive", "full",
                                      "--json").stdout)

    overview = operator.get("/")
    assert "/actions/nouvelle?type=delete_contacts" in overview.links
    form = operator.get("/actions/nouvelle?type=delete_contacts").form("/actions")
    assert form.fields["archive"] == "full" and form.names.count("archive") == 3
    job = save(p, operator, "delete_contacts", archive="full", motif="dossier 2026-114")
    frozen = listed(p, job)
    assert frozen["candidates"] == preview["due"] > 0
    assert (frozen["requested_by"], frozen["note"], frozen["status"]) == (OPERATOR, "dossier 2026-114", "saved")

    waiting = approver.get("/")
    assert "1 action attend une validation" in waiting.words
    assert f"/actions/{job}/valider" in waiting.links
    asked = approver.get(f"/actions/{job}/valider")
    assert f"{frozen['candidates']} contact" in asked.words and "L’archive complète permettra" in asked.words
    assert "dossier 2026-114" in asked.words and OPERATOR in asked.words
    assert "Supprimer ces contacts" in asked.form("/valider").buttons[0][1]
    assert approver.submit(f"/actions/{job}/valider", nombre=str(frozen["candidates"]), follow=False).status == 303
    done = ended(p, job)
    assert (done["status"], done["validated_by"]) == ("done", APPROVER)
    folder = p.daemon.archives / done["archive_path"].rsplit("/", 1)[1]
    assert (folder / "contact.csv").exists()

    actions = approver.get("/actions")
    assert "terminée" in actions.words and "archive complète" in actions.words and OPERATOR in actions.words
    cross = f"/actions/{job}/archive/supprimer"
    assert actions.links[cross].startswith(f"✕Supprimer l’archive de l’action {job}, suppression de contacts")
    assert cross not in operator.get("/actions").links
    p.pg.sql(p.db, "SELECT retention.ask('verify_archive', %s)", (job,))
    wait_until(lambda: "vérifiée" in operator.get("/actions").words, what="the archive is verified")
    assert "ne pourr" in approver.get(cross).words
    wrong = approver.submit(cross, numero=str(job + 1), motif="plus utile")
    assert wrong.status == 422 and wrong.title.startswith("Erreur :")
    assert "Le numéro saisi n’est pas celui de l’action." in wrong.words
    assert wrong.form(cross).fields["motif"] == "plus utile"
    assert folder.exists() and not row(p, job)["archive_deleted_at"]
    assert approver.submit(cross, numero=str(job), follow=False).status == 303
    wait_until(lambda: not folder.exists(), what="the files are gone")

    assert f"supprimée par {APPROVER}" in operator.get("/actions").words
    assert cross not in approver.get("/actions").links
    again = approver.get(cross)
    assert again.status == 409 and f"Entre-temps {APPROVER} a supprimé l’archive de cette action, à " in again.words
    gone = row(p, job)
    assert (gone["archive_deleted_by"], gone["archive_deleted_note"]) == (APPROVER, "plus utile")
    assert {("saved", OPERATOR), ("validated", APPROVER), ("archive_deleted", APPROVER)} <= set(events(p, job))


@pytest.mark.parametrize("kind", ["export", "anonymize_contacts", "anonymize_requests"])
def test_the_other_actions(page, kind):
    p = page()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    form = operator.get(f"/actions/nouvelle?type={kind}").form("/actions")
    assert form.names.count("archive") == (2 if kind == "export" else 0)
    before = p.pg.value(p.db, "SELECT count(*) FROM crm.contact")
    done = walk(p, kind, operator, approver)
    assert (done["status"], done["requested_by"], done["validated_by"]) == ("done", OPERATOR, APPROVER)
    assert done["counters"]["treated"] == done["candidates"] > 0
    assert done["archive"] == ("listed" if kind == "export" else "none")
    assert p.pg.value(p.db, "SELECT count(*) FROM crm.contact") == before
    table = approver.get("/actions")
    assert "terminée" in table.words
    assert (f"/actions/{done['id']}/archive/supprimer" in table.links) == (kind == "export")
    if kind == "export":
        with open(done["archive_path"] + "/contact.csv", encoding="utf-8-sig") as file:
            assert sum(1 for _ in csv.reader(file, delimiter=";")) == done["candidates"] + 1


def test_what_is_validated_can_be_paused_and_taken_back(page):
    p = page()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    job = save(p, operator, "export")
    listed(p, job)
    p.daemon.stop()
    assert validate(p, approver, job, follow=False).status == 303
    assert row(p, job)["status"] == "validated"

    def post(act):
        approver.get(f"/actions/{job}")
        assert approver.submit(f"/actions/{job}/{act}", follow=False).status == 303
        return operator.get("/actions").words

    assert f"suspendue par {APPROVER}" in post("suspendre")
    assert "suspendue" not in post("reprendre")
    assert not operator.get(f"/actions/{job}").has_form(f"/actions/{job}/annuler")
    assert "annulée" in post("annuler")
    assert row(p, job)["status"] == "cancelled"
    assert [(k, a) for k, a in events(p, job) if a == APPROVER] == [
        (k, APPROVER) for k in ("validated", "paused", "resumed", "cancelled")]
    late = approver.get(f"/actions/{job}/valider")
    assert late.status == 409 and f"Entre-temps {APPROVER} a validé cette action" in late.words


def test_the_list_by_pages_filters_and_as_a_file(page):
    p = page(running=False)
    auditor = p.client(AUDITOR)
    empty = auditor.get("/actions")
    assert empty.status == 200 and "Aucune action pour l’instant" in empty.words and not empty.has_form("/actions")
    note = '=cmd|"/C calc", @x'
    with p.pg.connect(p.db) as conn, conn.cursor() as cur:
        for i in range(30):
            cur.execute("SELECT retention.save_action(%s, '2024-01-01', '2024-01-31', note => %s)",
                        ("export" if i % 2 else "anonymize_contacts", note))
        cur.execute("SELECT retention.cancel_action(30)")
    actions = auditor.get("/actions")
    assert "30 actions" in actions.words
    assert [f"/actions/{n}" in actions.links for n in (30, 6, 5)] == [True, True, False]
    older = next(href for href, words in actions.links.items() if words == "Actions plus anciennes")
    assert [f"/actions/{n}" in auditor.get(older).links for n in (6, 5, 1)] == [False, True, True]
    assert auditor.get("/actions?avant=x").status == 404
    few = auditor.get("/actions?type=export&statut=cancelled&q=")
    assert "/actions/30" in few.links and "/actions/28" not in few.links
    assert few.form("/actions").fields == {"type": "export", "statut": "cancelled", "q": ""}
    assert "/actions/7" in auditor.get("/actions?q=7").links and "/actions/17" not in auditor.last.links
    none = auditor.get("/actions?q=%3Cb%3E&type=x%22%3E")
    assert "Aucune action ne répond à ce filtre." in none.words and "<b>" not in none.text

    link = next(href for href in auditor.get("/actions?type=export").links if "actions.csv" in href)
    file = auditor.get(link)
    assert file.status == 200 and "attachment" in file.header("Content-Disposition")
    assert file.body.startswith(b"\xef\xbb\xbfid,action,") and file.body.count(b"\r\n") == 16
    rows = list(csv.DictReader(io.StringIO(file.body.decode("utf-8-sig"), newline="")))
    assert [r["id"] for r in rows] == [str(n) for n in range(30, 0, -2)]
    assert {r["note"] for r in rows} == {"'" + note} and rows[0]["status"] == "cancelled"


def test_a_long_file_comes_whole(page):
    p = page(running=False)
    with p.pg.connect(p.db) as conn, conn.cursor() as cur:
        cur.execute("SELECT count(retention.save_action('export', '2024-01-01', '2024-01-31', note => repeat('x', 200)))"
                    " FROM generate_series(1, 1100)")
    body = p.client(AUDITOR).get("/actions.csv").body.decode("utf-8-sig")
    assert [int(r["id"]) for r in csv.DictReader(io.StringIO(body))] == list(range(latest(p), 0, -1))
