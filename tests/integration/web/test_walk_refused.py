"""What the pages of the manual walk refuse: intervals, counts, roles, four eyes, and what has changed meanwhile."""

from datetime import date, timedelta

import pytest

from support.page import APPROVER, AUDITOR, BOTH, OPERATOR
from support.walk import ended, latest, listed, row, save, validate

FOUR_EYES = {"extra": "four_eyes = true;"}


def test_an_interval_is_refused_by_its_field(page):
    p = page(running=False)
    operator = p.client(OPERATOR)
    tomorrow = date.today() + timedelta(days=2)

    def refused(du, au, field, sentence):
        operator.get("/actions/nouvelle?type=delete_contacts")
        answer = operator.submit("/actions", du=du, au=au, archive="listed", motif="dossier 7", follow=False)
        assert answer.status == 422, (du, au)
        assert answer.title.startswith("Erreur :") and sentence in answer.words, answer.words
        assert f"#{field}" in answer.links
        assert answer.parser.ids[field][1]["aria-invalid"] == "true"
        assert f"e-{field}" in answer.parser.ids[field][1]["aria-describedby"].split()
        fields = answer.form("/actions").fields
        assert [fields[k] for k in ("du", "au", "archive", "motif")] == [du, au, "listed", "dossier 7"]

    refused("2024-01-01", "2024-02-01", "au", "il peut finir au plus tard le 31 janv. 2024")
    refused("2023-01-31", "2023-02-28", "au", "au plus tard le 27 févr. 2023")
    refused("2024-01-31", "2024-02-29", "au", "au plus tard le 28 févr. 2024")
    refused("2024-02-10", "2024-02-09", "au", "")
    refused(str(tomorrow - timedelta(days=5)), str(tomorrow), "au", "")
    refused("2023-02-29", "2023-03-01", "du", "Ce n’est pas un jour")
    refused("31/01/2024", "2024-02-02", "du", "Ce n’est pas un jour")
    refused("2024-01-01", "", "au", "Indiquez ce jour.")
    assert not p.daemon.jobs()
    for du, au in (("2023-01-31", "2023-02-27"), ("2024-02-29", "2024-03-28"), ("2024-01-01", "2024-01-31")):
        save(p, operator, "delete_contacts", du=du, au=au, archive="none")


def test_what_a_form_does_not_offer_is_refused_as_well(page):
    p = page(running=False)
    operator = p.client(OPERATOR)
    days = {"du": "2024-01-01", "au": "2024-01-31"}
    form = operator.get("/actions/nouvelle?type=anonymize_contacts").form("/actions").fields
    answer = operator.post("/actions", {**form, **days, "archive": "full"})
    assert answer.status == 422
    assert operator.post("/actions", {**form, **days, "type": "drop"}).status == 422
    long = operator.post("/actions", {**form, **days, "motif": "é" * 201})
    assert long.status == 422 and "#motif" in long.links
    form = operator.get("/actions/nouvelle?type=delete_contacts").form("/actions").fields
    answer = operator.post("/actions", {**form, **days, "archive": None})
    assert answer.status == 422 and "Choisissez ce qu’un fichier CSV gardera." in answer.words
    assert operator.get("/actions/nouvelle?type=drop").status == operator.get("/actions/nouvelle").status == 404
    assert not p.daemon.jobs()


def test_a_wrong_count_validates_nothing(page):
    p = page()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    job = save(p, operator, "anonymize_contacts")
    count = listed(p, job)["candidates"]
    for typed in (str(count + 1), "", "0x3", "-1", "9" * 30, f"{count}a"):
        answer = validate(p, approver, job, typed, follow=False)
        assert answer.status == 422 and "Le nombre saisi n’est pas celui de la liste." in answer.words, typed
        assert f"Saisissez {count}, sans autre signe." in answer.words and "#nombre" in answer.links
        assert answer.form("/valider").fields["nombre"] == typed
    form = approver.get(f"/actions/{job}/valider").form("/valider").fields
    for digest in (None, "", "0" * 64):
        answer = approver.post(f"/actions/{job}/valider", {**form, "nombre": str(count), "empreinte": digest})
        assert answer.status == 409, digest
    assert row(p, job)["status"] == "saved"
    assert validate(p, approver, job, f" {count}\u202f", follow=False).status == 303
    assert row(p, job)["validated_by"] == APPROVER


@pytest.mark.parametrize("done", ["valider", "annuler"])
def test_what_another_person_has_done_meanwhile(page, done):
    p = page()
    operator, one, other = p.client(OPERATOR), p.client(APPROVER), p.client(BOTH)
    job = save(p, operator, "export")
    count = str(listed(p, job)["candidates"])
    p.daemon.stop()
    form = one.get(f"/actions/{job}/valider").form("/valider").fields
    if done == "valider":
        validate(p, other, job, follow=False)
    else:
        other.get(f"/actions/{job}")
        other.submit(f"/actions/{job}/annuler", follow=False)
    before = row(p, job)
    words = {"valider": "validé", "annuler": "annulé"}[done]
    for number in (count, "999"):
        answer = one.post(f"/actions/{job}/valider", {**form, "nombre": number})
        assert answer.status == 409, number
        assert f"Entre-temps {BOTH} a {words} cette action, à " in answer.words
    assert row(p, job) == before


def form_of(page, client, job):
    """The fields of the client's form of validating, with the right count."""
    client.get(f"/actions/{job}/valider")
    return {**client.last.form("/valider").fields, "nombre": str(row(page, job)["candidates"])}


def test_an_auditor_may_only_read(page):
    p = page()
    operator, auditor = p.client(OPERATOR), p.client(AUDITOR)
    job = save(p, operator, "delete_contacts", archive="full")
    listed(p, job)
    before = row(p, job)
    for path in ("/", "/actions", f"/actions/{job}"):
        answer = auditor.get(path)
        assert answer.status == 200
        assert not [f.action for f in answer.forms if f.method == "post" and not f.action.endswith(("/deconnexion", "/session"))]
        assert not [href for href in answer.links if "nouvelle" in href or href.endswith(("/valider", "/supprimer"))]
    told = auditor.get(f"/actions/{job}/valider")
    assert told.status == 403 and "Votre rôle est «\u00a0lecture\u00a0»." in told.text
    assert f"https://crm.example/actions/{job}" in told.words and f"/actions/{job}" in told.links
    assert auditor.get("/actions/nouvelle?type=export").status == 403
    theirs = form_of(p, p.client(APPROVER), job)
    own = auditor.get("/").form("/deconnexion").fields
    posts = {"/actions": {"type": "export", "du": "2024-01-01", "au": "2024-01-31", "archive": "full"}, **{
        f"/actions/{job}/{act}": {"numero": str(job)} for act in ("valider", "annuler", "suspendre", "reprendre",
                                                                  "archive/supprimer")}}
    for path, fields in posts.items():
        for token in (theirs, own, {}):
            assert auditor.post(path, {**token, **fields}).status == 403, path
    assert p.daemon.jobs() == [before]
    assert operator.get(f"/actions/{job}/valider").status == 403
    assert "Votre rôle est «\u00a0saisie\u00a0»." in operator.last.text
    assert operator.post(f"/actions/{job}/valider", theirs).status == 403
    assert row(p, job)["status"] == "saved"


def test_four_eyes(page):
    p = page(daemon_options=FOUR_EYES)
    both, approver = p.client(BOTH), p.client(APPROVER)
    job = save(p, both, "export")
    form = form_of(p, approver, listed(p, job)["id"])
    for path in ("/", f"/actions/{job}"):
        assert f"/actions/{job}/valider" not in both.get(path).links
    told = both.get(f"/actions/{job}/valider")
    assert told.status == 403 and "Une autre personne doit valider." in told.words
    assert f"https://crm.example/actions/{job}" in told.words
    # The form of their own session, with everything right: the database refuses it.
    other = save(p, p.client(OPERATOR), "export")
    listed(p, other)
    token = both.get(f"/actions/{other}/valider").form("/valider").fields["jeton"]
    assert both.post(f"/actions/{job}/valider", {**form, "jeton": token}).status == 403
    assert row(p, job)["status"] == "saved"
    validate(p, approver, job, follow=False)
    ended(p, job)
    cross = f"/actions/{job}/archive/supprimer"
    assert cross in approver.get("/actions").links and cross not in both.get("/actions").links
    assert "Une autre personne doit supprimer cette archive." in both.get(cross).words
    assert both.last.status == 403


def test_a_note_is_shown_as_text(page):
    p = page()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    for note in ('<img src=x onerror="alert(1)">', '"><script>alert(1)</script>', "' onfocus='x", "{{prefix}} {id}",
                 "a" * 200, "50 % = \\ & &amp; é"):
        job = save(p, operator, "export", motif=note)
        assert listed(p, job)["note"] == note
        for path in (f"/actions/{job}/valider", f"/actions/{job}"):
            answer = approver.get(path)
            assert note in answer.words, path
            assert "<script>alert" not in answer.text and "<img" not in answer.text and "onfocus='" not in answer.text
        again = approver.get(f"/actions/{job}/archive/supprimer")
        assert again.status == 409 and "Cette action n’a pas d’archive à supprimer." in again.words
    form = operator.get("/actions/nouvelle?type=export").form("/actions").fields
    turned = operator.post("/actions", {**form, "du": "2024-01-01", "au": "2024-01-31", "motif": "a\u202eb"})
    assert turned.status in (303, 400, 422)
    bad = operator.post("/actions", {**form, "du": '"><b>', "au": "2024-01-31", "motif": '"><b>x'})
    assert bad.status == 422 and bad.form("/actions").fields["motif"] == '"><b>x' and "<b>x" not in bad.text
    for path in (f"/actions/{latest(p)}%22%3E/valider", "/actions/0x1/valider", "/actions/99999999999/valider",
                 "/actions/999/valider", "/actions/999/archive/supprimer"):
        assert approver.get(path).status == 404, path


def test_a_restored_database_shows_nothing_else(page):
    p = page(running=False)
    p.pg.tamper(p.db, "INSERT INTO retention.replay (job, action, key, archive, erased_at)"
                " VALUES (7, 'delete_contacts', '1', 'none', now())")
    answer = p.client(OPERATOR).get("/")
    assert answer.status == 200 and "Cette base vient d’une sauvegarde" in answer.words
    assert not [href for href in answer.links if "nouvelle" in href]
