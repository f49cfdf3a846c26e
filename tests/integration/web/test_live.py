"""The stream by which a page follows an action: what it says, when it ends, and that it ends with its reader."""

import os
import re
import socket
import time

import psycopg2
import pytest

from support.harness import wait_until
from support.page import APPROVER, AUDITOR, DAEMON, HOST, OPERATOR, password
from support.states import make_action, update
from support.stream import Stream


@pytest.fixture
def web(page):
    return page(running=False)


def work(web, job, n):
    """n keys less are on the list."""
    web.pg.sql(web.db, """DELETE FROM retention.candidate AS c WHERE c.job = %s AND c.n IN
        (SELECT n FROM retention.candidate WHERE job = %s ORDER BY n LIMIT %s)""", (job, job, n))


def statement(web):
    """When the page last asked something in anybody's session."""
    return web.pg.value(web.db, "SELECT max(query_start) FROM pg_stat_activity WHERE application_name = 'retentiond-web'")


def test_a_running_action(web):
    """Each change is told within two seconds, in words of the reader's language; the end, too."""
    client = web.client()
    client.log_in(AUDITOR)
    job = make_action(web, OPERATOR, "running", candidates=5000, left=4000)
    assert f'data-stream="/actions/{job}/flux?etape=running"' in client.get(f"/actions/{job}").text
    stream = Stream(client, job, "running")
    assert stream.status == 200
    assert stream.response.getheader("Content-Type") == "text/event-stream"
    assert stream.response.getheader("X-Accel-Buffering") == "no"
    assert stream.response.getheader("Cache-Control") == "no-store"
    name, first = stream.next()
    assert name == "progress" and (first["done"], first["due"]) == (1000, 5000) and first["demon"]
    assert first["fait"] == "1\u202f000" and first["attend"] is None and first["annonce"] == "20\u202f%"
    work(web, job, 1500)
    later = stream.progress(lambda p: p["done"] == 2500)
    assert later["debit"].endswith(" par seconde") and later["annonce"].startswith("50\u202f%, ")
    update(web, job, "waiting = 'x', waiting_for = 'courtesy'")
    assert "d’autres se servent de la base" in stream.progress(lambda p: p["attend"])["attend"]
    update(web, job, "status = 'done', waiting = NULL, waiting_for = NULL, finished_at = now(), counters = '{}'")
    while (event := stream.next())[0] == "progress":
        pass
    assert event == ("end", {})
    assert stream.rest().strip() == b""


def test_every_other_state(web):
    """A list that is made, a validated action: the stream ends when the page is no longer true.  There is none for others."""
    client = web.client()
    client.log_in(APPROVER)
    job = make_action(web, OPERATOR, "saved", listed=False)
    stream = Stream(client, job, "listing")
    assert stream.next()[0] == "progress"
    update(web, job, "candidates = 0, candidates_sha256 = 'x', cutoff = now(), frozen_at = now()")
    assert stream.next() == ("end", {})
    job = make_action(web, OPERATOR, "validated")
    assert Stream(client, job, "listing").next() == ("end", {})  # the page is behind
    job = make_action(web, OPERATOR, "cancelled")
    assert Stream(client, job, "validated").next() == ("end", {})
    assert Stream(client, 4711, "running").status == 404
    client.cookies.clear()
    assert Stream(client, job, "validated").status == 401


def test_a_closed_tab(web):
    """No statement runs for a tab that was closed, and its place is free for another one."""
    client = web.client()
    client.log_in(AUDITOR)
    job = make_action(web, OPERATOR, "running", candidates=50, left=50)
    streams = [Stream(client, job, "running") for _ in range(3)]
    for stream in streams:
        assert stream.next()[0] == "progress"
    assert Stream(client, job, "running").status == 429
    before = statement(web)
    wait_until(lambda: statement(web) > before)  # it asks each second
    for stream in streams:
        stream.close()
    deadline = time.monotonic() + 3
    last, since = statement(web), time.monotonic()
    while time.monotonic() < deadline:  # what must not happen has no condition to wait for
        if statement(web) > last:
            last, since = statement(web), time.monotonic()
        time.sleep(0.05)
    assert since < deadline - 1.5, "it still asks"
    assert Stream(client, job, "running").next()[0] == "progress"


def test_streams_at_once(web):
    """Streams that begin at the same moment count each other, too."""
    client = web.client()
    client.log_in(AUDITOR)
    job = make_action(web, OPERATOR, "running", candidates=50, left=50)
    cookie = "; ".join(f"{k}={v}" for k, v in client.cookies.items())
    socks = [web.raw_socket() for _ in range(20)]
    for sock in socks:
        sock.sendall(f"GET /actions/{job}/flux?etape=running HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\n\r\n".encode())
    answers = [sock.recv(64).split(b" ")[1] for sock in socks]
    for sock in socks:
        sock.close()
    assert answers.count(b"200") == 3
    assert answers.count(b"429") == 17


def test_a_flood_behind_a_stream(web):
    """What a client sends behind the request of a stream is not taken, so it costs no memory."""
    client = web.client()
    client.log_in(AUDITOR)
    job = make_action(web, OPERATOR, "running", candidates=50, left=50)
    cookie = "; ".join(f"{k}={v}" for k, v in client.cookies.items())
    sock = web.raw_socket(timeout=2)
    sock.sendall(f"GET /actions/{job}/flux?etape=running HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\n\r\n".encode())
    assert b" 200 " in sock.recv(64)
    sent = 0
    with pytest.raises(socket.timeout):
        while sent < 20_000_000:
            sent += sock.send(b"x" * 65536)
    sock.close()
    assert client.get("/").status == 200


def test_the_daemon_goes(web):
    """A daemon that ends is told within five seconds, and every page says so."""
    client = web.client()
    client.log_in(AUDITOR)
    job = make_action(web, OPERATOR, "running", candidates=50, left=50)
    daemon = psycopg2.connect(host=str(web.pg.dir), dbname=web.db, user=DAEMON, password=password(DAEMON),
                              application_name="retentiond")
    assert 'id="demon" hidden' in client.get(f"/actions/{job}").text
    stream = Stream(client, job, "running")
    assert stream.next()[1]["demon"] is False
    daemon.close()
    assert stream.progress(lambda p: p["demon"])
    stream.close()
    answer = client.get(f"/actions/{job}")
    assert 'id="demon" hidden' not in answer.text and "Aucun démon n’est connecté" in answer.words


def test_in_a_browser(page, browser):
    """The bar moves, the numbers too, and at the end the page is the one of the end, without a reload by hand."""
    from support.browser import accessible, log_in

    web = page(port=True, running=False)
    job = make_action(web, OPERATOR, "running", kind="delete_contacts", candidates=5000, left=4000)
    driver = browser()
    log_in(driver, web, APPROVER, f"/actions/{job}")
    text = lambda name: driver.find_element("id", name).text
    assert text("fait") == "1\u202f000"
    work(web, job, 1500)
    wait_until(lambda: text("fait") == "2\u202f500" and driver.find_element("id", "barre").get_attribute("value") == "2500")
    update(web, job, "waiting = 'x', waiting_for = 'courtesy'")
    wait_until(lambda: "d’autres se servent" in text("attend"))
    accessible(driver)
    update(web, job, "status = 'done', waiting = NULL, waiting_for = NULL, finished_at = now(), counters = '{\"treated\": 5000}'")
    wait_until(lambda: "terminée" in driver.title)
    accessible(driver)


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) / 1024


@pytest.mark.unsanitized("memory and time of a sanitizer's program say nothing")
def test_twenty_tabs(web):
    """They cost next to nothing."""
    job = make_action(web, OPERATOR, "running", candidates=5000, left=4000)
    clients = [web.client() for _ in range(7)]
    for client, person in zip(clients, [AUDITOR] * 3 + [OPERATOR] * 3 + [APPROVER]):
        client.log_in(person)
    streams = [Stream(clients[n // 3], job, "running") for n in range(20)]
    for stream in streams:
        assert stream.next()[0] == "progress"
    before, since = cpu_s(web.pid), time.monotonic()
    for n in range(1, 5):
        work(web, job, 10)
        for stream in streams:
            stream.progress(lambda p, n=n: p["done"] >= 1000 + 10 * n)
    spent = cpu_s(web.pid) - before
    assert spent < 0.02 * (time.monotonic() - since) + 0.03
    assert rss_mb(web.pid) < 24
    for stream in streams:
        stream.close()
