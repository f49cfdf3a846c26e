"""The page of an action in each of its states, and what each person may do there."""

import json

import pytest

from support.page import APPROVER, AUDITOR, BOTH, OPERATOR
from support.states import HOSTILE, make_action, update

ROLES = (AUDITOR, OPERATOR, APPROVER, BOTH)
SHA = "7a12a667" * 8


@pytest.fixture
def web(page):
    return page(running=False)


def clients(web):
    found = {}
    for person in ROLES:
        found[person] = web.client()
        found[person].log_in(person)
    return found


def acts(answer):
    """What the page offers to do with the action."""
    names = {"annuler", "suspendre", "reprendre", "verifier"}
    offered = {f.action.rsplit("/", 1)[1] for f in answer.forms} & names
    return offered | {href.rsplit("/", 1)[1] for href in answer.links if "/actions/" in href} & {"valider", "supprimer", "archive"}


def test_each_state(web):
    """The words of each state, and the acts that each role is offered."""
    everybody = clients(web)

    def look(job, words, offered):
        for person in ROLES:
            answer = everybody[person].get(f"/actions/{job}")
            assert answer.status == 200 and f"Action {job}" in answer.title
            for word in words:
                assert word in answer.words, (person, word, answer.words)
            assert acts(answer) == set(offered.get(person, "").split()), (person, words)

    job = make_action(web, OPERATOR, "saved", listed=False)
    look(job, ["Action enregistrée.", "Rien n’est encore effacé", "La liste des contacts se dresse…"],
         {OPERATOR: "annuler", APPROVER: "annuler", BOTH: "annuler"})

    job = make_action(web, OPERATOR, "saved", candidates=3, note="dossier 2026/17", preview={
        "held": 2, "oldest": "2024-01-02", "newest": "2024-01-31",
        "tables": [{"table": "message", "what": "deleted", "rows": 2914}]})
    look(job, ["enregistrée", "rien n’est encore effacé", "2 914", "Gardés par un blocage2", "2 janv. 2024",
               "message", "dossier 2026/17", "Plus personne ne peut s’ajouter à cette liste."],
         {OPERATOR: "annuler", APPROVER: "valider annuler", BOTH: "valider annuler"})
    for person in ROLES:
        shown = everybody[person].get(f"/actions/{job}").words
        assert ("Les 10 premières clés" in shown) == (person in (APPROVER, BOTH))
        assert ("Envoyez-lui ce lien" in shown) == (person not in (APPROVER, BOTH))

    job = make_action(web, OPERATOR, "saved", candidates=0)
    look(job, ["Personne n’est dans la liste"], {OPERATOR: "annuler", APPROVER: "annuler", BOTH: "annuler"})

    job = make_action(web, OPERATOR, "validated", candidates=5)
    look(job, ["Action validée", "par paul.durand", "Le démon la prend à son tour", "5 contacts dans la liste"],
         {APPROVER: "annuler suspendre", BOTH: "annuler suspendre"})

    job = make_action(web, OPERATOR, "running", candidates=10, left=4)
    update(web, job, "waiting = 'other users', waiting_for = 'courtesy'")
    look(job, ["en cours", "6 sur 10 contacts", "d’autres se servent de la base", "60 %", "Anonymisés"],
         {APPROVER: "suspendre", BOTH: "suspendre"})
    web.pg.sql(web.db, "INSERT INTO retention.pause (job, paused_by, by_approver) VALUES (%s, 'paul.durand', true)", (job,))
    look(job, ["Suspendue par paul.durand"], {APPROVER: "reprendre", BOTH: "reprendre"})

    job = make_action(web, OPERATOR, "done", kind="delete_contacts", archive="full", candidates=6999, counters={
        "treated": 6996, "dropped": 2, "failed": 1, "rows": {}})
    web.pg.sql(web.db, """INSERT INTO retention.journal_event (job, kind, details)
        VALUES (%s, 'failed_key', '{"keys": ["20417"], "message": "the trigger keep has refused", "sqlstate": "P0001"}')""", (job,))
    look(job, ["terminée", "6 999", "6 996", "Supprimés", "clé 20417", "the trigger keep has refused",
               "archive complète", "retentionctl archive restore", "Événements", "clé en échec"],
         {AUDITOR: "verifier", OPERATOR: "verifier", APPROVER: "verifier archive supprimer", BOTH: "verifier archive supprimer"})
    update(web, job, "archive_deleted_at = now(), archive_deleted_by = 'paul.durand', archive_deleted_note = 'fin de dossier', "
                     "archive_remark = '\"x\" is not part of it'")
    look(job, ["Archive supprimée", "par paul.durand", "fin de dossier", "à enlever", "is not part of it"], {})

    job = make_action(web, OPERATOR, "failed", candidates=3, error="paul.durand has abandoned it (wrong days)")
    look(job, ["Cette action a échoué.", "has abandoned it (wrong days)"], {})
    job = make_action(web, OPERATOR, "cancelled", candidates=3)
    look(job, ["Cette action a été annulée."], {})
    assert everybody[AUDITOR].get("/actions/4711").status == 404
    for path in ("/actions/0", "/actions/x", "/actions/99999999999", "/actions/-1", "/actions/1'"):
        assert everybody[AUDITOR].get(path).status == 404


def test_four_eyes(page):
    """Who saved the action sees why somebody else has to validate it, and no button; somebody else sees the button."""
    web = page(running=False, daemon_options={"extra": "four_eyes = true;"})
    job = make_action(web, BOTH, "saved", candidates=3)
    both, approver = web.client(), web.client()
    both.log_in(BOTH)
    approver.log_in(APPROVER)
    answer = both.get(f"/actions/{job}")
    assert "Une autre personne doit valider" in answer.words and "valider" not in acts(answer)
    assert f"crm.example/actions/{job}" in answer.words
    assert "valider" in acts(approver.get(f"/actions/{job}"))


def test_hostile_texts(web):
    """Whatever a name, a reason, an error or a key says, it is shown as text."""
    client = web.client()
    client.log_in(APPROVER)
    for text in HOSTILE:
        job = make_action(web, OPERATOR, "failed", candidates=3, note=text, error=text)
        web.pg.sql(web.db, "INSERT INTO retention.journal_event (job, kind, details) VALUES (%s, 'failed_key', %s)",
                   (job, json.dumps({"keys": [text], "message": text})))
        answer = client.get(f"/actions/{job}")
        shown = " ".join(text.replace("\u202e", "").split())  # a mark that turns the direction around is left out
        assert answer.status == 200 and shown in answer.words and "\u202e" not in answer.text
        assert "<img" not in answer.text and "<script>" not in answer.text.replace('<script type="module"', "")
        assert shown in client.get("/journal").words
