"""Who gets in: names, passwords, roles, tries, and the requests of somebody else's page."""

import pytest

from support.page import APPROVER, AUDITOR, DAEMON, HOST, NOBODY, OPERATOR, SUPERUSER, password


def enter(client, person, secret):
    client.get("/connexion")
    return client.submit("/connexion", follow=False, nom=person, mdp=secret)


def test_password(page):
    """The right password opens a session; a wrong one and an unknown name have the same answer."""
    web = page()
    client = web.client()
    answer = enter(client, OPERATOR, "wrong")
    assert answer.status == 401
    assert "Nom ou mot de passe refusé." in answer.words
    assert answer.form("/connexion").fields["nom"] == OPERATOR
    assert "mdp" not in {k for k, v in answer.form("/connexion").fields.items() if v}
    unknown = enter(client, "no.such.person", "wrong")
    assert unknown.status == 401
    assert unknown.words == answer.words
    answer = enter(client, OPERATOR, password(OPERATOR))
    assert (answer.status, answer.location) == (303, "/")
    assert "__Host-rgpd" in client.cookies
