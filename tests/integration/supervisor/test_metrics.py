"""Prometheus text, in a file and over HTTP; the figure that shows a silent stall."""

import contextlib
import os
import socket
import threading
import time
import urllib.error

import pytest

from support.figures import free_port, get, parse
from support.harness import wait_until

POLICY = {"name": "old", "action": "delete_contacts", "depth": "30 months", "schedule": "monthly", "archive": "listed"}


@pytest.fixture
def measured(daemon, tmp_path):
    def make(listen=None, interval="10s", **kwargs):
        path = tmp_path / "retentiond.prom"
        port = listen or free_port()
        d = daemon(extra=f'metrics: {{ textfile = "{path}"; listen = "127.0.0.1:{port}"; interval = "{interval}"; }};',
                   **{"policies": [POLICY], **kwargs})
        return d, path, port
    return make


def test_once(measured):
    """The figures of a pass, against what the database says."""
    d, path, _ = measured()
    d.once()
    found = parse(path.read_text())
    job, = d.jobs()
    assert found["retentiond_jobs"]['status="done"'] == 1 and found["retentiond_jobs"]['status="failed"'] == 0
    assert found["retentiond_subjects_total"]['action="delete_contacts"'] == job["counters"]["treated"]
    assert found["retentiond_policy_overdue"]['policy="old"'] == 0
    assert found["retentiond_policy_last_success_timestamp_seconds"]['policy="old"'] == pytest.approx(
        job["finished_at"].timestamp(), abs=1)
    assert found["retentiond_policy_next_timestamp_seconds"]['policy="old"'] > job["finished_at"].timestamp()
    assert found["retentiond_archive_bytes"][None] == job["archive_bytes"]
    assert found["retentiond_ledger_rows"][None] == job["counters"]["treated"]
    assert found["retentiond_ledger_forgotten"][None] == 0
    seconds = (job["finished_at"] - job["started_at"]).total_seconds()
    assert found["retentiond_job_last_seconds"]['action="delete_contacts"'] == pytest.approx(seconds, abs=0.01)
    batches = found["retentiond_batch_seconds"]
    count = batches[("retentiond_batch_seconds_count", 'action="delete_contacts"')]
    assert count > 0 and batches[("retentiond_batch_seconds_bucket", 'action="delete_contacts",le="+Inf"')] == count
    rows = d.pg.value(d.db, "SELECT sum(rows) FROM retention.archive_file")
    assert found["retentiond_batch_rows_total"]['action="delete_contacts"'] == rows
    assert 0 < found["retentiond_batch_size_rows"]['action="delete_contacts"']
    assert found["retentiond_batch_size_limit_rows"]['action="delete_contacts"'] == 10000
    assert found["retentiond_batches_blocking_total"]['action="delete_contacts"'] <= count
    assert path.stat().st_mode & 0o777 == 0o644 and not path.with_suffix(".prom.tmp").exists()


def test_what_it_waits_for(measured):
    """The brake that holds the job, by its name; and no longer once it is let go."""
    d, _, port = measured(limits={"workers": 1, "batch_rows": 1, "rows_per_second": 20})
    d.pg.value(d.db, "SELECT retention.save_action('delete_contacts', '2023-01-01', '2023-01-31')")
    d.start()
    wait_until(lambda: d.jobs("frozen_at IS NOT NULL"))
    d.ctl("validate", "1")
    wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM retention.ledger"))
    d.ctl("pause", "1")
    d.wait_for_log(r"waits: a pause by ")
    assert parse(get(port)[1])["retentiond_job_waiting"] == {'for="paused"': 1}
    found = wait_until(lambda: (f := parse(get(port)[1])) and f["retentiond_jobs_paused"] == {None: 1} and f)
    assert found["retentiond_paused"] == {None: 0}
    d.ctl("pause")
    wait_until(lambda: parse(get(port)[1])["retentiond_paused"] == {None: 1})
    d.ctl("resume")
    d.ctl("resume", "1")
    d.wait_for_job()
    wait_until(lambda: "retentiond_job_waiting" not in get(port)[1])
    assert d.stop() == 0


def test_a_silent_stall(measured):
    """An occurrence that should have run and did not: how many are overdue, and since when."""
    d, path, port = measured(policies=[{**POLICY, "approval": True}])
    d.once()
    # Those that the occurrence, the first of this month, was for; who became due since has time yet.
    due = d.pg.value(d.db, """SELECT count(*) FROM (SELECT contact_id FROM crm.request GROUP BY 1
        HAVING bool_and(status = 'closed') AND max(created_at) < (date_trunc('month', now() AT TIME ZONE 'UTC')
               - interval '30 months') AT TIME ZONE 'UTC') x""")
    assert due <= d.jobs()[0]["candidates"]
    d.start()
    d.wait_for_log("ready: ")
    found = wait_until(lambda: get(port)[1].count("retentiond_policy_overdue{") and parse(get(port)[1]))
    assert due > 0 and found["retentiond_policy_overdue"]['policy="old"'] == due
    oldest = d.pg.value(d.db, """SELECT extract(epoch FROM now() - (min(last) + interval '30 months')) FROM
        (SELECT max(created_at) AS last FROM crm.request GROUP BY contact_id HAVING bool_and(status = 'closed')) x""")
    assert found["retentiond_policy_overdue_oldest_seconds"]['policy="old"'] == pytest.approx(float(oldest), abs=120)
    assert found["retentiond_jobs"]['status="saved"'] == 1
    assert parse(path.read_text())["retentiond_policy_overdue"]['policy="old"'] == due
    # Validated: the pass runs, the next survey says so.
    d.ctl("validate", d.jobs()[0]["id"])
    d.wait_for_job()
    wait_until(lambda: parse(get(port)[1])["retentiond_policy_overdue"]['policy="old"'] == 0)
    assert d.stop() == 0


def test_http(measured):
    d, _, port = measured()
    d.start()
    d.wait_for_log("ready: ")
    assert wait_until(lambda: get(port, "/healthz") == (200, "ok\n"))
    assert get(port, "/metrics", "HEAD")[0] == 200
    assert get(port, "/")[0] == 404 and get(port, "/metrics/x")[0] == 404
    for method in ("POST", "PUT", "DELETE", "TRACE"):
        assert get(port, "/metrics", method)[0] in (405, 501), method
    found = parse(get(port)[1])
    assert found["retentiond_up"][None] == 1 and found["retentiond_database_up"][None] == 1
    assert d.stop() == 0


def test_health_says_what_is_wrong(own_pg, measured):
    server = own_pg()
    d, _, port = measured(server=server)
    d.start()
    d.wait_for_log("ready: ")
    wait_until(lambda: get(port, "/healthz")[0] == 200)
    server.stop("immediate")
    status, text = wait_until(lambda: get(port, "/healthz")[0] == 503 and get(port, "/healthz"))
    assert text.strip() and text.count("\n") == 1
    assert parse(get(port)[1])["retentiond_database_up"][None] == 0
    server.start()
    wait_until(lambda: get(port, "/healthz")[0] == 200)
    assert d.stop() == 0


def test_health_tells_of_a_refused_job(measured):
    """The model held when the daemon began, and holds no more under the job: nobody else would say so for an hour."""
    d, _, port = measured(policies=[{**POLICY, "schedule": "* * * * *"}], limits={"rows_per_second": 2000, "batch_rows": 50})
    d.start()
    d.wait_for_log("ready: ")
    wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM retention.ledger"), timeout=90)
    d.pg.sql(d.db, "ALTER TABLE crm.contact ADD COLUMN nickname text")
    # Until the model is checked anew, the job waits because the table has changed.
    refused = 'column "nickname" (text) of crm.contact is under no rule'
    status, text = wait_until(lambda: refused in get(port, "/healthz")[1] and get(port, "/healthz"))
    assert status == 503 and refused in text and text.count("\n") == 1
    assert wait_until(lambda: parse(get(port)[1])["retentiond_jobs_refused"][None]) == 1
    d.pg.sql(d.db, "ALTER TABLE crm.contact DROP COLUMN nickname")
    d.reload()
    wait_until(lambda: get(port, "/healthz")[0] == 200)
    assert parse(get(port)[1])["retentiond_jobs_refused"][None] == 0
    assert d.stop() == 0


def test_health_names_who_keeps_a_job_waiting(measured):
    d, _, port = measured(policies=[{**POLICY, "schedule": "* * * * *"}], limits={"rows_per_second": 2000, "batch_rows": 50})
    d.start()
    wait_until(lambda: d.pg.value(d.db, "SELECT count(*) FROM retention.ledger"), timeout=90)
    with d.pg.connect(d.db, autocommit=False) as conn, conn.cursor() as cur:
        cur.execute("LOCK TABLE retention.hold_lock IN EXCLUSIVE MODE")
        status, text = wait_until(lambda: get(port, "/healthz")[0] == 503 and get(port, "/healthz"))
        assert f"the locks of a batch are held by {d.pg.SUPERUSER} (process {conn.info.backend_pid}, " in text
    wait_until(lambda: get(port, "/healthz")[0] == 200)
    assert d.stop() == 0


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_clients_that_say_nothing(measured):
    """A hundred connections that never end their request do not stop the daemon, nor each other."""
    d, _, port = measured()
    d.start()
    d.wait_for_log("ready: ")
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for s in silent[:50]:
        s.sendall(b"GET /metr")
    assert get(port)[0] == 200
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 100000 + b"\r\n\r\n")
        assert b"200 OK" not in s.recv(100)
    assert get(port, "/healthz")[0] in (200, 503)
    for s in silent:
        s.close()
    assert d.stop() == 0


def test_slow_clients(measured):
    """Three hundred clients that send a byte of a header now and then do not keep others from /healthz."""
    d, _, port = measured()
    d.start()
    d.wait_for_log("ready: ")
    slow, took = [], []
    for n in range(300):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"GET /healthz HTTP/1.1\r\nA: ")
        slow.append(s)
        if n % 60 == 59:
            for s in slow:
                with contextlib.suppress(OSError):
                    s.sendall(b"b")
            begun = time.monotonic()
            assert get(port, "/healthz")[0] in (200, 503)
            took.append(time.monotonic() - begun)
    assert sorted(took)[len(took) // 2] < 10, "a slow client may take 15 s"
    for s in slow:
        s.close()
    assert d.stop() == 0


def test_a_request_that_can_be_read_in_two_ways(measured):
    d, _, port = measured()
    d.start()
    d.wait_for_log("ready: ")
    head = b"GET /healthz HTTP/1.1\r\nHost: h\r\n"
    for more in (b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", b"A: b\0c\r\n\r\n",
                 b"Content-Length: 3\r\n\r\nabc", b"A : b\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
            s.sendall(head + more)
            with s.makefile("rb") as answer:
                assert answer.read().split()[1] in (b"400", b"413"), more
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s, s.makefile("rb") as answer:
        for _ in range(3):  # one connection, several requests
            s.sendall(head + b"\r\n")
            assert answer.readline().startswith(b"HTTP/1.1 ")
            while (line := answer.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split()[1])
            assert len(answer.read(length)) == length
    assert d.stop() == 0


def test_clients_take_no_descriptors(measured):
    """However many come: the daemon keeps enough for itself, and answers while they are there."""
    d, _, port = measured()
    d.start()
    d.wait_for_log("ready: ")
    silent = []
    for _ in range(900):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        silent.append(s)
    wait_until(lambda: open_files(d.pid) > 64, what="they are let in")
    most = max(open_files(d.pid) for _ in range(200))
    wait_until(lambda: get(port, "/healthz")[0] in (200, 503), what="it answers")
    for s in silent:
        s.close()
    wait_until(lambda: open_files(d.pid) < 60, what="they are gone")
    assert most < 200  # 128 connections, and what the daemon has open by itself
    assert d.stop() == 0


def test_nobody_reads_half_of_it(measured):
    """While the daemon writes, a reader sees a whole file or the last one."""
    d, path, _ = measured(policies=[{**POLICY, "schedule": "daily"}])
    d.once()
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            parse(path.read_text())
            seen.append(1)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(3):
        d.once()
    stop.set()
    reader.join()
    assert len(seen) > 10


def test_an_address_that_is_taken(measured):
    """Said, and the daemon does its work; a reload to another address serves there."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        d, path, port = measured(listen=taken.getsockname()[1])
        d.start()
        d.wait_for_log(rf'metrics.listen: "127.0.0.1:{port}" cannot be had: .*: HTTP is off')
        d.wait_for_log("ready: ")
        other = free_port()
        d.configure(extra=f'metrics: {{ listen = "127.0.0.1:{other}"; }};')
        d.reload()
        d.wait_for_log("reloaded ")
        assert get(other)[0] == 200
        d.configure(extra="")
        d.reload()
        d.wait_for_log("reloaded .*(?s:.*)reloaded ")
        with pytest.raises(urllib.error.URLError):
            get(other)
        assert d.stop() == 0


def test_a_file_that_cannot_be_written(daemon, tmp_path):
    d = daemon(policies=[POLICY], extra=f'metrics: {{ textfile = "{tmp_path}/missing/x.prom"; }};')
    done = d.once()
    assert done.stderr.count("cannot be written") == 1 and d.jobs()[0]["status"] == "done"


@pytest.mark.parametrize("planted", ["fifo", "link", "file"])
def test_another_user_plants_the_temporary_file(daemon, tmp_path, planted):
    """It neither makes the daemon wait, nor is it written to."""
    (tmp_path / "other").write_text("mine")
    temporary = tmp_path / "x.prom.tmp"
    {"fifo": lambda: os.mkfifo(temporary, 0o666), "link": lambda: temporary.symlink_to(tmp_path / "other"),
     "file": lambda: os.link(tmp_path / "other", temporary)}[planted]()
    d = daemon(policies=[POLICY], extra=f'metrics: {{ textfile = "{tmp_path}/x.prom"; }};')
    d.once()
    assert "retentiond_up 1" in (tmp_path / "x.prom").read_text()
    assert (tmp_path / "other").read_text() == "mine" and not os.path.lexists(temporary)


@pytest.mark.parametrize("setting, message", [
    ('listen = "0.0.0.0:9187"', 'metrics: listen "0.0.0.0:9187" is not a loopback address with a port'),
    ('listen = "127.0.0.1"', "is not a loopback address with a port"),
    ('listen = "127.0.0.1:0"', "is not a loopback address with a port"),
    ('listen = "127.0.0.1:70000"', "is not a loopback address with a port"),
    ('listen = "[::]:9187"', "is not a loopback address with a port"),
    ('listen = "localhost:9187"', "is not a loopback address with a port"),
    ('textfile = "x.prom"', 'textfile "x.prom" must begin with / and end in .prom'),
    ('textfile = "/x.txt"', "must begin with / and end in .prom"),
    ('interval = "1s"', "interval"),
    ('textfil = "/x.prom"', 'textfil'),
])
def test_refused(daemon, setting, message):
    d = daemon(contacts=20, migrate=False, extra=f"metrics: {{ {setting}; }};")
    done = d.check_config()
    assert done.returncode == 1 and message in done.stderr and "retentiond.conf:" in done.stderr
