"""Rules that are made on the page: by the form, the count that somebody types, and the end."""

import pytest

from support.browser import DESKTOP, PHONE, accessible, log_in
from support.harness import wait_until
from support.page import APPROVER, AUDITOR, BOTH, OPERATOR
from support.small import policy

BOUNDS = """policies_from = "file+page";
page_policies: { shortest = "12 months"; actions = [ "export", "delete_contacts", "anonymize_contacts" ]; archives = [ "listed", "full" ]; };"""
FIELDS = {"nom": "contacts-18m", "type": "delete_contacts", "profondeur": "18", "passage": "monthly", "archive": "full"}


@pytest.fixture
def web(page):
    def start(extra=BOUNDS, **kwargs):
        return page(daemon_options={"policies": [policy(name="of-the-file", depth="90 years")], "extra": extra}, **kwargs)

    return start


def versions(web):
    return web.pg.sql(web.db, "SELECT version, status, saved_by, validated_by FROM retention.page_policies ORDER BY name, version")


def saved(web, client, **fields):
    """Saves a rule by the form, and returns what it would reach when the daemon has counted it."""
    client.get("/regles")
    answer = client.submit("/regles", **{**FIELDS, **fields})
    assert (answer.status, answer.path) == (200, f"/regles/{fields.get('nom', FIELDS['nom'])}")
    return counted(web)


def counted(web):
    return wait_until(lambda: web.pg.sql(web.db, "SELECT counted FROM retention.page_policies WHERE status = 'saved' AND counted IS NOT NULL"),
                      what="a count")[0][0]


def test_saved_validated_changed_and_retired(web):
    """An operator saves, an approver types the count; a change is the next version; an approver ends it."""
    p = web()
    operator, approver = p.client(OPERATOR), p.client(APPROVER)
    n = saved(p, operator, motif="dossier 12")
    answer = operator.get("/regles")
    for words in ("1 règle de cette page en attente", "à valider", "le 1er du mois", "dossier 12", OPERATOR):
        assert words in answer.words, words
    assert "Valider…" not in answer.words, "not for who saves"
    answer = approver.get("/regles/contacts-18m/valider")
    assert "Cette règle effacera seule" in answer.words and answer.status == 200
    answer = approver.submit("/valider", nombre=str(n + 1))
    assert answer.status == 422 and answer.title.startswith("Erreur :")
    assert "Le nombre saisi n’est pas celui que la règle atteindrait." in answer.words
    assert versions(p) == [(1, "saved", OPERATOR, None)]
    answer = approver.submit("/valider", nombre=f" {n} ")
    assert answer.status == 200 and versions(p) == [(1, "in force", OPERATOR, APPROVER)]
    wait_until(lambda: "contacts-18m" in p.client(AUDITOR).get("/regles").words and
               p.pg.value(p.db, "SELECT count(*) FROM retention.policies WHERE source = 'page'") == 1)
    answer = operator.get("/regles?changer=contacts-18m")
    assert answer.form("/regles").fields["nom"] == "contacts-18m" and answer.form("/regles").fields["profondeur"] == "18"
    operator.submit("/regles", profondeur="autre", mois="30")
    assert versions(p)[1][:2] == (2, "saved")
    assert p.pg.value(p.db, "SELECT months FROM retention.page_policies WHERE version = 2") == 30
    answer = approver.get("/regles")
    assert "remplace celle qui est au-dessus" in answer.words
    n = counted(p)
    approver.get("/regles/contacts-18m/valider")
    approver.submit("/valider", nombre=str(n))
    assert [s for _, s, *_ in versions(p)] == ["retired", "in force"], "the second version takes the first one's place"
    answer = approver.get("/regles/contacts-18m/retirer")
    assert "La règle s’arrête." in answer.words
    approver.submit("/retirer")
    assert [s for _, s, *_ in versions(p)] == ["retired", "retired"]
    assert "règle retirée" in approver.get("/journal").words
    assert approver.get("/regles/contacts-18m/valider").status == 404
    assert approver.get("/regles/contacts-18m/retirer").status == 404


def test_what_was_shown_is_what_counts(web):
    """A form validates, and changes, the version that it showed; a new rule takes no other's place."""
    p = web()
    operator, both, approver = p.client(OPERATOR), p.client(BOTH), p.client(APPROVER)
    n = saved(p, operator)
    form = approver.get("/regles/contacts-18m/valider").form("/valider")
    assert form.fields["version"] == "1"
    old = both.get("/regles?changer=contacts-18m").form("/regles").fields
    assert (old["version"], old["profondeur"], old["mois"]) == ("1", "18", "")
    operator.get("/regles?changer=contacts-18m")
    operator.submit("/regles", profondeur="24")
    assert counted(p) <= n
    for version in ("1", "0.2", "2x", "", "99999999999"):
        answer = approver.post("/regles/contacts-18m/valider", {**form.fields, "version": version, "nombre": str(n)})
        assert answer.status in (404, 409, 422), version
    assert "in force" not in [s for _, s, *_ in versions(p)]
    answer = both.post("/regles", {**old, "profondeur": "36"})
    assert answer.status == 409 and "Quelqu’un a changé ou retiré cette règle" in answer.words
    both.get("/regles")
    answer = both.submit("/regles", **{**FIELDS, "profondeur": "36"})
    assert answer.status == 422 and "Il y a une règle de ce nom" in answer.words
    assert answer.parser.ids["nom"][1].get("aria-invalid") == "true"
    assert [s for _, s, *_ in versions(p)] == ["retired", "saved"]
    # What was refused while a rule is changed still changes it.
    operator.get("/regles?changer=contacts-18m")
    answer = operator.submit("/regles", profondeur="autre", mois="1")
    assert answer.status == 422 and answer.form("/regles").fields["version"] == "2" and "Changer la règle" in answer.words
    operator.submit("/regles", mois="25")
    assert versions(p)[-1][:2] == (3, "saved")
    # A depth of one's own that the form has put there is not in the way of one of the list; another one is.
    operator.get("/regles?changer=contacts-18m")
    assert operator.last.form("/regles").fields["mois"] == "25"
    answer = operator.submit("/regles", profondeur="24", mois="26")
    assert answer.status == 422 and answer.form("/regles").fields["mois_avant"] == "25"
    operator.submit("/regles", mois="25")
    assert p.pg.value(p.db, "SELECT months FROM retention.page_policies WHERE version = 4") == 24


def test_one_rule(web):
    """Its versions, who made them, and what may be done; a rule of the file is shown, and cannot be changed."""
    p = web()
    operator, approver, auditor = p.client(OPERATOR), p.client(APPROVER), p.client(AUDITOR)
    n = saved(p, operator, motif="dossier <b>12</b>")
    answer = operator.get("/regles/contacts-18m")
    for words in ("à valider", "18 mois", f"{n} contact", "dossier <b>12</b>", OPERATOR, "Envoyez-lui ce lien", "/regles/contacts-18m/valider"):
        assert words in answer.words, words
    assert "Valider…" not in answer.links.values() and {"Changer…", "Retirer…"} <= set(answer.links.values())
    assert "1 règle attend une validation" in approver.get("/").words
    assert "/regles/contacts-18m/valider" in approver.last.links
    assert "/regles/contacts-18m" in auditor.get("/").links, "who may not validate reads the rule"
    approver.get("/regles/contacts-18m/valider")
    answer = approver.submit("/valider", nombre=str(n))
    assert answer.path == "/regles/contacts-18m" and "en vigueur" in answer.words
    assert "attend une validation" not in approver.get("/").words
    saved(p, operator, nom="plus-longue", profondeur="24")
    wait_until(lambda: "La règle contacts-18m les atteint plus tôt" in approver.get("/regles/plus-longue").words, what="the daemon takes the rule")
    assert "La règle contacts-18m les atteint plus tôt" in approver.get("/regles/plus-longue/valider").words
    approver.get("/regles/contacts-18m/retirer")
    answer = approver.submit("/retirer")
    assert "retirée" in answer.words and "Changer…" not in answer.links.values()
    assert "Prochain passage" not in answer.words, "it runs no more, even if the daemon has not noticed it yet"
    assert "Règles retirées : contacts-18m" in auditor.get("/regles").words.replace("\u00a0", " ")
    answer = auditor.get("/regles/of-the-file")
    assert answer.status == 200 and "Cette règle est dans le fichier de la configuration." in answer.words and "chaque jour" in answer.words
    assert not {"Changer…", "Retirer…", "Valider…"} & set(operator.get("/regles/of-the-file").links.values())
    for name in ("none", "..", "%3Cb%3E", "a%2Fb", "x" * 300):
        assert auditor.get(f"/regles/{name}").status == 404, name


@pytest.mark.parametrize("fields, field, words", [
    ({"nom": "a b"}, "nom", "le nom d'une règle n'est pas fait de"),
    ({"nom": "of-the-file"}, "nom", "le fichier de la configuration a une règle"),
    ({"profondeur": "autre", "mois": "11"}, "mois", "est plus courte que la configuration ne le permet"),
    ({"profondeur": "autre", "mois": "11"}, "mois", "12 mois"),
    ({"profondeur": "autre", "mois": "x"}, "mois", "Saisissez un nombre entier de mois."),
    ({"profondeur": "autre", "mois": "6,5"}, "mois", "Saisissez un nombre entier de mois."),
    ({"profondeur": "autre", "mois": ""}, "mois", "Saisissez un nombre entier de mois."),
    ({"profondeur": "autre", "mois": "99999"}, "mois", "Saisissez un nombre entier de mois."),
    ({"profondeur": "autre", "mois": "1201"}, "mois", "de 1 à 1200"),
    ({"profondeur": "24", "mois": "40"}, "mois", "Choisissez « autre… » dans la liste"),
    ({"profondeur": "-1"}, "profondeur", "Saisissez un nombre entier de mois."),
    ({"profondeur": "6"}, "profondeur", "est plus courte"),
    ({"type": "anonymize_requests"}, "type", "la configuration ne permet aucune règle de la page pour"),
    ({"archive": "none"}, "archive", "aucune règle de la page avec une archive"),
    ({"passage": "0 0"}, "passage", "les passages ne sont ni"),
    ({"motif": "x" * 201}, "motif", "200"),
])
def test_what_is_refused(web, fields, field, words):
    """The field is named, the form keeps what was entered, and nothing is saved."""
    p = web()
    client = p.client(OPERATOR)
    client.get("/regles")
    answer = client.submit("/regles", **{**FIELDS, **fields})
    assert answer.status == 422 and answer.title.startswith("Erreur :")
    assert words.replace("'", "’") in answer.words.replace("'", "’")
    assert f"#{field}" in answer.text
    assert answer.parser.ids[field][1].get("aria-invalid") == "true"
    assert answer.form("/regles").fields["nom"] == fields.get("nom", FIELDS["nom"])
    assert versions(p) == []


def test_who_may(web):
    """Nobody sees what it may not do, and a request that was made by hand is refused."""
    p = web(extra=BOUNDS + "\nfour_eyes = true;")
    both, approver, auditor = p.client(BOTH), p.client(APPROVER), p.client(AUDITOR)
    n = saved(p, both)
    answer = both.get("/regles/contacts-18m/valider")
    assert "Une autre personne doit valider." in answer.words and not [f for f in answer.parser.forms if "valider" in f.action]
    approver.get("/regles/contacts-18m/valider")
    form = approver.last.form("/valider")
    token = both.get("/regles/contacts-18m/retirer").form("/retirer").fields["jeton"]
    assert both.post("/regles/contacts-18m/valider", {"jeton": token, "version": "1", "nombre": str(n)}).status == 403
    for client, path in [(auditor, "/regles"), (auditor, "/regles/contacts-18m/valider"), (auditor, "/regles/contacts-18m/retirer"),
                         (approver, "/regles")]:
        assert client.post(path, {**FIELDS, "jeton": form.fields["jeton"]}).status == 403, path
    assert not auditor.get("/regles").form("/deconnexion").action.endswith("/regles")
    assert [f for f in auditor.last.parser.forms if f.action.endswith("/regles")] == []
    assert auditor.get("/regles/contacts-18m/valider").status == 403
    operator = p.client(OPERATOR)
    operator.get("/regles/contacts-18m/retirer")
    operator.submit("/retirer")
    assert p.pg.value(p.db, "SELECT retired_as FROM retention.page_policies") == "withdrawn", "what was only saved"
    # What was shown meanwhile is gone.
    assert approver.post("/regles/contacts-18m/valider", {**form.fields, "nombre": str(n)}).status == 409


def test_rules_of_the_file_alone(web):
    p = web(extra="")
    answer = p.client(OPERATOR).get("/regles")
    assert "La configuration ne prend ses règles que dans son fichier" in answer.words
    assert [f for f in answer.parser.forms if f.action.endswith("/regles")] == []


def test_blocked_by_the_configuration(web):
    """A rule outside of new bounds stands apart, with the reason in French."""
    p = web()
    n = saved(p, p.client(OPERATOR))
    p.pg.sql(p.db, "SELECT retention.validate_policy('contacts-18m', 1, %s)", (n,))
    p.daemon.configure(extra=BOUNDS.replace("12 months", "2 years"))
    since = p.daemon.log_position()
    p.daemon.reload()
    p.daemon.wait_for_log("reloaded ", since=since)
    answer = p.client(AUDITOR).get("/regles")
    assert "bloquée" in answer.words and "est plus courte que la configuration ne le permet" in answer.words


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_in_a_browser(web, browser, width):
    """Each state of these pages: axe-core finds nothing."""
    p = web(port=True)
    saved(p, p.client(BOTH), nom="a" * 63)
    driver = browser(width=width)
    log_in(driver, p, BOTH)
    for path in ("/", "/regles", f"/regles?changer={'a' * 63}", f"/regles/{'a' * 63}", "/regles/of-the-file", f"/regles/{'a' * 63}/valider", f"/regles/{'a' * 63}/retirer"):
        driver.get(p.url + path)
        assert "<title>" in driver.page_source
        driver.get_log("browser")
        accessible(driver)
