"""The journal's page: the verification, who it tells of, and what it says of a journal that was tampered with."""

import pytest

from support.page import APPROVER, AUDITOR, OPERATOR


@pytest.fixture
def web(page):
    return page(running=False)


def last(web):
    return web.pg.sql(web.db, "SELECT by, whole, findings, last_hash FROM retention.last_verified")


def test_verified_by_each(web):
    """Its event has the person's name, and the hash of the journal as it was before."""
    for person in (AUDITOR, OPERATOR, APPROVER):
        before = web.pg.value(web.db, "SELECT encode(hash, 'hex') FROM retention.journal_event ORDER BY id DESC LIMIT 1")
        client = web.client()
        client.log_in(person)
        client.get("/journal")
        answer = client.submit("/journal/verifier")
        assert answer.status == 200 and "Le journal est intact" in answer.words and person in answer.words
        assert last(web) == [(person, True, 0, before)] and before in answer.words
    number = web.pg.value(web.db, "SELECT id FROM retention.journal_event WHERE hash = decode(%s, 'hex')", (before,))
    assert f"{number}:{before}" in answer.words, "as the page prints it"
    for noted in (before, f" {number}:{before.upper()} "):
        assert "Le journal est intact" in client.submit("/journal/verifier", empreinte=noted).words
    other = client.submit("/journal/verifier", empreinte=f"{number - 1}:{before}")
    assert f"l’événement {number - 1} a été remplacé, ou l’empreinte notée n’est pas la sienne" in other.words.replace("'", "’")
    assert client.submit("/journal/verifier", empreinte=f"x:{before}").status == 422
    lost = client.submit("/journal/verifier", empreinte="0" * 64)
    assert "Le journal a été altéré" in lost.words and last(web)[0][:3] == (APPROVER, False, 1)


def test_tampered_with(web):
    """Each finding in French, on the page at once; and on every page that it was found, until it is verified whole."""
    client = web.client()
    client.log_in(AUDITOR)
    web.pg.tamper(web.db, "UPDATE retention.journal_event SET actor = 'x' WHERE id = 1")
    client.get("/journal")
    answer = client.submit("/journal/verifier")
    assert "l’événement 1 a été modifié, ou inséré" in answer.words.replace("'", "’") and last(web)[0][:2] == (AUDITOR, False)
    assert "altéré" in client.get("/").words


def test_the_last_search_for_residue(web):
    """The page of the status says when it was, by whom, and in how many columns something would be left."""
    client = web.client()
    client.log_in(AUDITOR)
    assert "Recherche de restes" not in client.get("/etat").words
    for inside, shown in ((0, "rien trouvé"), (7, "dans 1 colonne pour 1 contact")):
        web.pg.sql(web.db, """SELECT retention.record_residue(jsonb_build_object('action', 'delete_contacts', 'contacts', 1,
            'values', 4, 'tables', 20, 'not_searched', 0, 'findings', jsonb_build_array(jsonb_build_object('table', 'crm.message',
            'column', 'body', 'of', 'email', 'exact', 0, 'inside', %s, 'covered', 2))))""", (inside,))
        words = client.get("/etat").words
        assert shown in words and web.pg.SUPERUSER in words
