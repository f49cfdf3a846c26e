"""Journal, holds, a person's request, rules, status, help: what they show, and what each role may do there."""

import datetime

import pytest

from support.harness import ALWAYS, guards, wait_until
from support.page import APPROVER, AUDITOR, BOTH, HOST, OPERATOR
from support.small import policy
from support.states import HOSTILE, as_person, make_action

TAMPERED = "Le journal a été altéré"


@pytest.fixture
def web(page):
    return page(running=False)


def enter(web, person):
    client = web.client()
    client.log_in(person)
    return client


def tamper(web, sql):
    """Changes what no role may change, as somebody with a superuser's rights can."""
    web.pg.sql(web.db, guards("DISABLE TRIGGER ALL"))
    web.pg.sql(web.db, sql)
    web.pg.sql(web.db, guards("ENABLE TRIGGER ALL"))
    web.pg.sql(web.db, ALWAYS)


# --- The journal ---------------------------------------------------------------------------------


def test_the_journal_is_verified(web):
    """Whole, then tampered with, which every page says until it was verified as whole."""
    auditor = enter(web, AUDITOR)
    job = make_action(web, OPERATOR, "cancelled", candidates=3)
    answer = auditor.get("/journal")
    assert "Personne n’a encore vérifié" in answer.words and f"action {job}" in answer.words
    answer = auditor.submit("/journal/verifier", empreinte="")
    assert "Le journal est intact" in answer.words and AUDITOR in answer.words
    last = web.pg.value(web.db, "SELECT last_hash FROM retention.last_verified")
    assert last in answer.words
    assert web.pg.value(web.db, "SELECT actor FROM retention.journal_event WHERE kind = 'verified'") == AUDITOR

    answer = auditor.submit("/journal/verifier", follow=False, empreinte="c3a9 77e0")
    assert answer.status == 422 and "Une empreinte a 64 chiffres" in answer.words
    assert answer.form("/journal/verifier").fields["empreinte"] == "c3a9 77e0"
    spaced = " ".join(last[i:i + 4] for i in range(0, 64, 4)).upper()
    assert "Le journal est intact" in auditor.submit("/journal/verifier", empreinte=spaced).words
    answer = auditor.submit("/journal/verifier", empreinte="0" * 64)
    assert answer.status == 200 and TAMPERED in answer.words and "aucun événement ne l'a" in answer.words.replace("’", "'")
    assert "Le journal est intact" in auditor.submit("/journal/verifier", empreinte="").words

    tamper(web, f"UPDATE retention.archive_journal SET candidates = 4 WHERE id = {job}")
    answer = auditor.submit("/journal/verifier", empreinte="")
    assert answer.status == 200 and f"l'action {job} a été modifiée : candidates" in answer.words.replace("’", "'")
    operator = enter(web, OPERATOR)
    for path in ("/", "/blocages", "/etat", "/journal", f"/actions/{job}"):
        assert TAMPERED in operator.get(path).words, path
    tamper(web, f"UPDATE retention.archive_journal SET candidates = 3 WHERE id = {job}")
    assert TAMPERED in operator.get("/blocages").words
    operator.get("/journal")
    assert "Le journal est intact" in operator.submit("/journal/verifier", empreinte="").words
    for path in ("/", "/blocages"):
        assert TAMPERED not in auditor.get(path).words, path


def test_the_journal_by_pages(web):
    """Fifty events a page, the newest first, each once."""
    auditor = enter(web, AUDITOR)
    web.pg.sql(web.db, "INSERT INTO retention.journal_event (kind, details) SELECT 'configured', "
                       "jsonb_build_object('setting', 'x' || n, 'value', n) FROM generate_series(1, 120) AS n")
    seen, path = [], "/journal"
    while path:
        answer = auditor.get(path)
        ids = [int(w) for w in answer.text.split('class="n"><span>')[1:] for w in [w.split("<")[0]]]
        assert len(ids) <= 50
        seen += ids
        path = next((href for href in answer.links if "avant=" in href), None)
    newest = web.pg.value(web.db, "SELECT max(id) FROM retention.journal_event")
    assert seen == list(range(newest, 0, -1))
    assert auditor.get("/journal?avant=x").status == 404


# --- Holds ---------------------------------------------------------------------------------------


def test_holds(web):
    """Placed, listed, refused with the field that is wrong, released; whose hold it is decides who may."""
    operator, approver, auditor = enter(web, OPERATOR), enter(web, APPROVER), enter(web, AUDITOR)
    tomorrow = web.pg.value(web.db, "SELECT (retention.today() + 1)::text")
    assert "Aucun contact n’est bloqué" in operator.get("/blocages").words
    answer = operator.submit("/blocages", cle="007", motif="dossier 2026/17", revoir="2020-01-31", expire=tomorrow)
    assert answer.status == 200 and "1 blocage actif" in answer.words
    key, reason, by, expires, review = web.pg.sql(
        web.db, "SELECT contact_key, reason, placed_by, expires_at, review_date FROM retention.hold")[0]
    assert (key, reason, by, str(review)) == ("7", "dossier 2026/17", OPERATOR, "2020-01-31")
    assert str(expires)[:10] == str(datetime.date.fromisoformat(tomorrow) + datetime.timedelta(1))
    assert "31 janv. 2020, dépassé" in answer.words
    assert "blocage posé" in operator.get("/journal").words

    for field, sentence, values in (
            ("cle", "bloqué", {"cle": "7", "motif": "x"}),
            ("cle", "clé", {"cle": "abc", "motif": "x"}),
            ("motif", "motif", {"cle": "8", "motif": ""}),
            ("revoir", "Ce jour n’existe pas", {"cle": "8", "motif": "x", "revoir": "2026-02-31"}),
            ("expire", "Ce jour n’existe pas", {"cle": "8", "motif": "x", "expire": "demain"}),
            ("expire", "Ce jour est passé.", {"cle": "8", "motif": "x", "expire": "2020-01-01"})):
        operator.get("/blocages")
        answer = operator.submit("/blocages", follow=False, **values)
        assert answer.status == 422 and answer.title.startswith("Erreur : "), (field, answer)
        assert f"#{field}" in answer.links and sentence in answer.links[f"#{field}"], (field, answer.links)
        form = answer.form("/blocages")
        assert all(form.fields[name] == value for name, value in values.items())
        assert answer.parser.ids[field][1]["aria-invalid"] == "true"
    assert web.pg.value(web.db, "SELECT count(*) FROM retention.hold") == 1

    approver.get("/blocages")
    approver.submit("/blocages", cle="9", motif="contrôle", revoir="", expire="")
    answer = operator.get("/blocages")
    levers = [f for f in answer.forms if f.action.endswith("/lever")]
    assert [f.fields["cle"] for f in levers] == ["7"]
    refused = operator.post("/blocages/lever", {**levers[0].fields, "cle": "9"})
    assert refused.status == 403 and web.pg.value(web.db, "SELECT count(*) FROM retention.holds_in_force") == 2
    assert [f.action for f in auditor.get("/blocages").forms if "/blocages" in f.action] == []
    answer = operator.post("/blocages/lever", levers[0].fields)
    assert answer.status == 303
    answer = operator.get("/blocages")
    assert f"levé par {OPERATOR}" in answer.words and "1 blocage actif" in answer.words
    assert operator.post("/blocages/lever", levers[0].fields).status == 404


@pytest.mark.parametrize("person", [OPERATOR, APPROVER])
def test_whose_key_a_hold_has(web, person):
    """The daemon looks for the contact, and the page says what it found, beside the hold and after it was placed."""
    client = enter(web, person)
    for n, (found, note) in enumerate([(0, "Aucun contact de la base n’a cette clé aujourd’hui"),
                                       (1, "Un contact de la base a cette clé.")], 1):
        client.get("/blocages")
        answer = client.submit("/blocages", cle=f"00{n}", motif="dossier 1")
        assert f"Le blocage du contact {n} est posé." in answer.words and "Le démon regarde" in answer.words
        request, kind, subject, by = web.pg.sql(web.db, "SELECT id, kind, subject, asked_by FROM retention.request ORDER BY id DESC LIMIT 1")[0]
        assert (kind, subject, by) == ("find_contact", str(n), person)
        web.pg.sql(web.db, "SELECT retention.end_request(%s, 'ok', jsonb_build_object('text', '…', 'tables', jsonb_build_object('contact', %s)))",
                   (request, found))
        answer = client.get(next(link for link in answer.links if "pose=" in link))
        assert note in answer.words and "Le démon regarde" not in answer.words
        assert answer.words.count("contact absent") == 1, "the first of them"
    assert "chercher le contact d’un blocage" in client.get("/etat").words
    # One that is placed anew while the daemon has not answered yet asks nothing more.
    client.get("/blocages")
    client.submit("/blocages", cle="3", motif="dossier 2")
    client.post("/blocages/lever", {"jeton": client.get("/blocages").forms[1].fields["jeton"], "cle": "3"})
    client.get("/blocages")
    answer = client.submit("/blocages", cle="3", motif="dossier 3")
    assert "Le blocage du contact 3 est posé." in answer.words
    assert web.pg.value(web.db, "SELECT count(*) FROM retention.request WHERE subject = '3'") == 1
    # What stands in the address is not what was placed.
    for query in ("pose=99999", "pose=x", "pose=", "pose=%3Cb%3E"):
        assert "est posé" not in client.get(f"/blocages?{query}").words


def test_hostile_holds(web):
    client = enter(web, OPERATOR)
    for n, text in enumerate(HOSTILE, 1):
        shown = " ".join(text.replace("\u202e", "").split())
        client.get("/blocages")
        answer = client.submit("/blocages", cle=text, motif=text)  # not a key
        assert answer.status == 422 and "<img" not in answer.text and "<script>" not in answer.text
        client.get("/blocages")
        answer = client.submit("/blocages", cle=str(n), motif=text)
        assert answer.status == 200 and shown in answer.words
        assert "<img" not in answer.text and "<script>" not in answer.text


# --- A person's request --------------------------------------------------------------------------


def test_half_a_key(web):
    """Where a contact's key has several columns, a part of it is told so, as it is by retentionctl."""
    web.pg.sql(web.db, "UPDATE retention.setting SET value = '(integer,integer)' WHERE name = 'contact_key_type'")
    operator = enter(web, OPERATOR)
    for wrong in ("7", "(7)", "(1,2,3)", "(a,7)"):
        answer = operator.get("/personne?cle=" + wrong)
        assert answer.status == 422
        assert "écrivez-la comme (1,42), avec une valeur pour chacun de (integer,integer)." in answer.words
    assert operator.get("/personne?cle=(1,7)").status == 200


def test_a_person(web):
    """What is known of a key, and an erasure that is saved for it under the person who asked."""
    operator = enter(web, OPERATOR)
    answer = operator.get("/personne")
    assert answer.status == 200 and not answer.has_form("/personne/effacer")
    for wrong in ("abc", "4 7", "99999999999999999999", "'; DROP TABLE x"):
        answer = operator.get("/personne?cle=" + wrong.replace(" ", "+").replace(";", "%3B"))
        assert answer.status == 422 and "Ce n’est pas une clé de contact" in answer.words
    as_person(web, APPROVER, "SELECT retention.place_hold('7', 'dossier 12')")
    answer = operator.get("/personne?cle=+007+")
    assert "Contact 7" in answer.words and "bloqué" in answer.words and "dossier 12" in answer.words
    answer = operator.get("/personne?cle=8")
    assert "Aucun blocage · jamais effacé" in answer.words
    forms = [f for f in answer.forms if f.action.endswith("/personne/effacer")]
    assert len(forms) == 2
    held = operator.post("/personne/effacer", {**forms[0].fields, "cle": "7", "type": "delete_contacts"})
    assert held.status in (409, 422) and "le contact 7 est bloqué : rien n'a été enregistré" in held.words.replace("’", "'").replace("\u00a0", " ")
    operator.get("/personne?cle=8")
    sent = operator.post("/personne/effacer", {**forms[0].fields, "type": "anonymize_contacts", "motif": "dossier 88"})
    assert sent.status == 303
    job = web.pg.sql(web.db, "SELECT id, action, subject, requested_by, note FROM retention.archive_journal")[0]
    assert job[1:] == ("anonymize_contacts", "8", OPERATOR, "dossier 88") and sent.location.endswith(f"/actions/{job[0]}")
    assert "contact 8" in operator.follow(sent).words
    assert f"action {job[0]}" in operator.get("/personne?cle=8").words
    sent = operator.post("/personne/effacer", {**forms[0].fields, "type": "anonymize_requests"})
    assert sent.status == 422
    operator.get("/personne?cle=8")
    answer = operator.submit("/personne/acces")
    assert answer.status == 200 and "Contact 8" in answer.words and "le démon le prépare" in answer.words
    assert web.pg.sql(web.db, "SELECT kind, subject, asked_by FROM retention.request") == [("subject_export", "8", OPERATOR)]
    answer = operator.submit("/personne/acces", follow=False)
    assert answer.status == 422 and "déjà" in answer.words
    for person in (AUDITOR, APPROVER):
        client = enter(web, person)
        assert client.get("/personne?cle=8").status == 403
        assert "/personne" not in {href.split("?")[0] for href in client.get("/etat").links}
    assert "cle=8" not in web.log_text()


# --- Rules, status, help -------------------------------------------------------------------------


def test_rules_and_status(page):
    """The rules as the daemon has understood them; what works and what does not."""
    rules = [policy(name="contacts-36m", depth="36 months", archive="full"),
             policy("anonymize_contacts", "contacts-18m", approval=True)]
    web = page(daemon_options={"policies": rules})
    auditor = enter(web, AUDITOR)
    wait_until(lambda: web.pg.value(web.db, "SELECT count(*) FROM retention.policies WHERE due_next IS NOT NULL") == 2)
    answer = auditor.get("/regles")
    for word in ("2 règles", "contacts-36m", "suppression de contacts", "36 mois", "archive complète", "18 mois",
                 "une personne valide chaque passage", "fichier"):
        assert word in answer.words, (word, answer.words)
    job = make_action(web, OPERATOR, "saved", listed=False)
    wait_until(lambda: web.pg.value(web.db, "SELECT frozen_at IS NOT NULL FROM retention.archive_journal WHERE id = %s", (job,)))
    answer = auditor.get("/etat")
    assert answer.status == 200 and "en marche" in answer.words and "PostgreSQL" in answer.words
    assert "Recherche de restes" not in answer.words
    report = '{"action": "delete_contacts", "contacts": 50, "values": 9, "tables": 3, "not_searched": 0, "findings": []}'
    as_person(web, APPROVER, "SELECT retention.record_residue(%s)", (report,))
    assert "rien trouvé pour 50 contacts, paul.durand" in auditor.get("/etat").words
    web.daemon.stop()
    wait_until(lambda: web.pg.value(web.db, "SELECT count(*) FROM retention.daemons") == 0)
    answer = auditor.get("/etat")
    assert "non connecté" in answer.words and "Aucun démon n’est connecté" in answer.words


def test_help_without_log_in(web):
    client = web.client()
    for path, word in (("/aide", "Quatre yeux"), ("/accessibilite", "RGAA")):
        answer = client.get(path)
        assert answer.status == 200 and word.lower() in answer.words.lower()
    assert "journal-altere" in client.get("/aide").parser.ids


# --- A restored database -------------------------------------------------------------------------


def test_a_restored_database(web):
    """Nothing but that is shown; an approver types the number first."""
    web.pg.sql(web.db, """INSERT INTO retention.replay (job, action, archive, erased_at, key)
        SELECT 3, 'anonymize_contacts', 'none', '2026-01-01', n::text FROM generate_series(1, 12) AS n""")
    due = web.pg.value(web.db, "SELECT count(*) FROM retention.replay_due")
    operator, approver = enter(web, OPERATOR), enter(web, APPROVER)
    answer = operator.get("/")
    assert "Cette base vient d’une sauvegarde" in answer.words and not answer.has_form("/rejouer")
    assert operator.post("/rejouer", {"nombre": str(due)}).status == 403
    approver.get("/")
    answer = approver.submit("/rejouer", follow=False, nombre=str(due + 1))
    assert answer.status == 422 and "n’est pas celui des effacements" in answer.words
    assert web.pg.value(web.db, "SELECT count(*) FROM retention.archive_journal") == 0
    answer = approver.submit("/rejouer", follow=False, nombre=str(due))
    assert answer.status == 303
    assert web.pg.sql(web.db, "SELECT action, replay, requested_by FROM retention.archive_journal") == [
        ("anonymize_contacts", True, APPROVER)]
    assert "en train d’être effacées à nouveau" in approver.get("/").words
