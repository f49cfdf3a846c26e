"""The page when the database is slow, busy, gone or defective: what it says, what is saved, and what the log has."""

import re

from support.page import APPROVER, HOST, OPERATOR, PERSONS, password

NOT_SAVED = "Votre saisie n’est pas enregistrée"
LOOK = "Regardez si c’est fait avant de renvoyer le formulaire"


def actions(web):
    return web.pg.value(web.db, "SELECT count(*) FROM retention.archive_journal")


def form_to_save(client):
    """A filled form for an export of one day, and its answer when it is sent."""
    client.get("/actions/nouvelle?type=export")
    return lambda: client.submit("/actions", follow=False, du="2020-01-01", au="2020-01-02")


def page_behind(proxy, page_pg, page):
    """A page whose connections go through a proxy, beside a daemon that does not run."""
    between = proxy(page_pg)
    web = page(running=False, started=False)
    web.configure(conninfo=f"host={between.dir} port={web.pg.port} dbname={web.db}")
    return between, web.start()


def test_an_act_is_all_or_nothing(page):
    """What is refused is not saved, and the session can save afterwards."""
    web = page(running=False)
    client = web.client(OPERATOR)
    before = actions(web)
    client.get("/actions/nouvelle?type=export")
    refused = client.submit("/actions", follow=False, du="2020-01-01", au="2020-03-01")
    assert refused.status == 422
    assert actions(web) == before
    assert form_to_save(client)().status == 303
    assert actions(web) == before + 1
    assert web.pg.value(web.db, "SELECT requested_by FROM retention.archive_journal ORDER BY id DESC LIMIT 1") == OPERATOR


def test_lost_while_it_saves(page, page_pg, proxy):
    """The answer of the COMMIT is lost: the page says that the action may be there, and it is there."""
    between, web = page_behind(proxy, page_pg, page)
    client = web.client(OPERATOR)
    before, send = actions(web), form_to_save(client)
    between.cut_at(rb"COMMIT")
    answer = send()
    assert between.fired == 1
    assert answer.status == 503
    assert LOOK in answer.words
    assert NOT_SAVED not in answer.words
    assert actions(web) == before + 1
    assert client.get("/").status == 401, "the session is over"


def test_lost_before_it_saves(page, page_pg, proxy):
    """The connection goes before the COMMIT: nothing is saved, and the page says so."""
    between, web = page_behind(proxy, page_pg, page)
    client = web.client(OPERATOR)
    before, send = actions(web), form_to_save(client)
    between.cut_at(rb"save_action", forward=False)
    answer = send()
    assert answer.status == 503
    assert "La base de données ne répond pas" in answer.words
    assert LOOK not in answer.words
    assert actions(web) == before


def test_no_answer(page, page_pg, proxy):
    """A server that accepts and says nothing: the log-in gives up after 10 seconds."""
    between, web = page_behind(proxy, page_pg, page)
    client = web.client()
    client.get("/connexion")
    between.stall()
    answer = client.submit("/connexion", follow=False, nom=OPERATOR, mdp=password(OPERATOR))
    between.resume()
    assert answer.status == 503
    assert "La base de données ne répond pas" in answer.words
    web.wait_for_log("did not answer in time")


def test_busy(page):
    """A lock that somebody holds: after 3 seconds the page says that the database is busy."""
    web = page(running=False)
    client = web.client(OPERATOR)
    before = actions(web)
    for table in ("archive_journal", "chain_lock"):
        send = form_to_save(client)
        with web.pg.connect(web.db) as other:
            other.cursor().execute(f"BEGIN; LOCK TABLE retention.{table} IN ACCESS EXCLUSIVE MODE")
            answer = send()
            other.cursor().execute("ROLLBACK")
        assert answer.status == 503
        assert "La base est occupée" in answer.words
        assert "pg_terminate_backend" not in answer.words
        assert actions(web) == before
    assert client.get("/").status == 200, "the session goes on"


def test_words_of_a_trigger(page):
    """A failure that is not ours: a number for the person, the same one in the log, and the trigger's words in neither."""
    web = page(running=False)
    client = web.client(OPERATOR)
    before, send = actions(web), form_to_save(client)
    web.pg.sql(web.db, """
        CREATE FUNCTION public.fails() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'canary marie.durand@example.org' USING DETAIL = 'canary', HINT = 'canary', COLUMN = 'du';
        END $$;
        CREATE TRIGGER fails BEFORE INSERT ON retention.archive_journal FOR EACH ROW EXECUTE FUNCTION public.fails()""")
    answer = send()
    assert answer.status == 500
    assert "canary" not in answer.text
    number = re.search(r"Numéro de la panne\s*:\s*(\d+)", answer.words).group(1)
    log = web.log_text()
    assert f"failure {number} at /actions: " in log
    assert "canary" not in log
    assert actions(web) == before
    assert client.get("/").status == 200


def test_many_at_once(page):
    """Requests of one session wait for each other, and each gets its own answer."""
    web = page(running=False)
    client = web.client(APPROVER)
    cookie = "; ".join(f"{k}={v}" for k, v in client.cookies.items())
    socks = []
    for i in range(20):
        sock = web.raw_socket()
        sock.sendall(f"GET /actions/{1000 + i} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
                     .encode())
        socks.append(sock)
    for sock in socks:
        got = b""
        while more := sock.recv(65536):
            got += more
        sock.close()
        assert got.startswith(b"HTTP/1.1 404 "), got[:100]
        assert APPROVER.encode() in got
    assert web.pg.value(web.db, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s", (APPROVER,)) == 1


def test_log_names_the_person(page):
    """Who came and what was posted is in the log, without a word of what was entered."""
    web = page(running=False)
    client = web.client(OPERATOR)
    client.get("/actions/nouvelle?type=export")
    client.submit("/actions", follow=False, du="2020-01-01", au="2020-01-02", motif="canary of a reason")
    client.get("/personne?cle=canary%40example.org")
    log = web.log_text()
    assert "logged in" in log
    assert "POST /actions" in log
    assert "canary" not in log
    assert "2020-01-01" not in log
    assert not [person for person in PERSONS if password(person) in log]
