"""
archives.web_socket: the daemon hands an open file of an archive to the page for a ticket that a person has asked for in
their own session, once and within a minute, and to nobody else.
"""

import fcntl
import hashlib
import os
import socket
import subprocess
import sys

import psycopg2
import pytest

from support import gate
from support.harness import wait_until


@pytest.fixture
def opened(daemon, pg):
    """opened(**archives): a running daemon with one exported archive, its action, and persons."""
    made = []

    def make(start=True, **archives):
        d = gate.exported(daemon, pg, **archives)
        made.append(d)
        if start:
            gate.begin(d)
        return d

    yield make
    for d in made:
        gate.end(d)


@pytest.fixture(autouse=True, scope="module")
def persons_go(pg):
    yield
    gate.forget_persons(pg)


def sums(d):
    lines = (d.folder / "SHA256SUMS").read_text().splitlines()
    return {line[66:]: line[:64] for line in lines}


def rows(d):
    return d.pg.sql(d.db, """SELECT asked_by, file, taken_at IS NOT NULL FROM retention.download ORDER BY id""")


def test_the_files_that_come_are_those_of_the_archive(opened):
    """Each by its own ticket; the event with the person's name is there before the first byte."""
    d = opened()
    assert len(sums(d)) > 2
    for name, digest in sums(d).items():
        secret = gate.ask(d, d.job["id"], name)
        said = d.pg.sql(d.db, """SELECT actor, details->>'file' FROM retention.journal_event
            WHERE kind = 'archive_download' AND job = %s ORDER BY id DESC LIMIT 1""", (d.job["id"],))
        assert said == [("gate_approver", name)]
        words, content = gate.take(d, secret)
        assert words[0] == "file" and words[2:] == [str(len(content)), name]
        assert hashlib.sha256(content).hexdigest() == digest
    for name in ("SHA256SUMS", "manifest.json"):
        words, content = gate.take(d, gate.ask(d, d.job["id"], name))
        assert content == (d.folder / name).read_bytes()
    assert rows(d) == [("gate_approver", name, True) for name in [*sums(d), "SHA256SUMS", "manifest.json"]]
    d.stop()
    assert not d.socket.exists()


def test_the_descriptor_only_reads(opened):
    d = opened()
    said, fd = gate.send(d.socket, "take " + gate.ask(d, d.job["id"], "manifest.json"))
    try:
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
        with pytest.raises(OSError):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def test_the_database_knows_no_ticket(opened):
    d = opened()
    secret = gate.ask(d, d.job["id"], "manifest.json")
    dump = d.pg.sql(d.db, "SELECT x::text FROM retention.download AS x UNION ALL SELECT x::text FROM retention.journal_event AS x")
    assert secret not in str(dump)
    assert d.pg.value(d.db, "SELECT ticket_sha256 FROM retention.download").tobytes() == hashlib.sha256(bytes.fromhex(secret)).digest()
    assert gate.take(d, secret)[0][0] == "file"
    assert secret not in d.log_text()


def test_a_ticket_is_good_once_and_for_a_minute(opened):
    d = opened()
    secret = gate.ask(d, d.job["id"], "manifest.json")
    assert gate.take(d, secret)[0][0] == "file"
    assert gate.take(d, secret) == (["no", "ticket"], None)
    secret = gate.ask(d, d.job["id"], "manifest.json")
    d.pg.sql(d.db, "UPDATE retention.download SET expires_at = expires_at - interval '61 s' WHERE taken_at IS NULL")
    assert gate.take(d, secret) == (["no", "ticket"], None)
    assert gate.take(d, os.urandom(32).hex()) == (["no", "ticket"], None)
    assert [taken for _, _, taken in rows(d)] == [True, False]


def test_a_ticket_outlives_a_restart(opened):
    d = opened()
    secret = gate.ask(d, d.job["id"], "manifest.json")
    d.kill()
    assert d.socket.exists(), "left over, and refuses connections"
    with pytest.raises(ConnectionRefusedError):
        gate.connect(d.socket)
    gate.begin(d)
    words, content = gate.take(d, secret)
    assert content == (d.folder / "manifest.json").read_bytes()


def test_an_archive_that_is_deleted_meanwhile(opened):
    d = opened()
    secret = gate.ask(d, d.job["id"], "manifest.json")
    d.pg.sql(d.db, "SELECT retention.delete_archive(%s)", (d.job["id"],), user="gate_approver")
    assert gate.take(d, secret) == (["no", "deleted"], None)
    with pytest.raises(psycopg2.Error, match="has no archive to download") as refused:
        gate.ask(d, d.job["id"], "manifest.json")
    assert refused.value.diag.constraint_name == "retention.download_deleted"
    assert gate.send(d.socket, f"list {d.job['id']}") == ("no deleted", None)


@pytest.mark.parametrize("name", ["../identity", "..", ".", "", "/etc/passwd", "a/b", ".hidden", "-x", "a b", "é.csv", "x" * 122,
                                  "a\n", None])
def test_names_that_are_refused(opened, name):
    d = opened(start=False)
    with pytest.raises(psycopg2.Error, match="an archive has no file of that name"):
        gate.ask(d, d.job["id"], name)
    assert rows(d) == []
    assert d.pg.value(d.db, "SELECT count(*) FROM retention.journal_event WHERE kind = 'archive_download'") == 0


def test_names_that_the_archive_does_not_have(opened):
    """Not what lies in its folder, nor what a link leads to: what SHA256SUMS names."""
    d = opened()
    (d.folder / "more.csv").write_text("more")
    (d.folder / "link.csv").symlink_to(d.archives / "identity")
    for name in ("more.csv", "link.csv", "none.csv"):
        assert gate.take(d, gate.ask(d, d.job["id"], name)) == (["no", "missing"], None)
    named = next(iter(sums(d)))
    (d.folder / named).rename(d.folder / "away")
    (d.folder / named).symlink_to(d.folder / "away")
    assert gate.take(d, gate.ask(d, d.job["id"], named)) == (["no", "missing"], None)


def test_a_name_that_went_past_the_function(opened):
    """As a superuser can write it."""
    d = opened()
    secret, digest = gate.ticket()
    d.pg.sql(d.db, "INSERT INTO retention.download (job, file, ticket_sha256) VALUES (%s, '../identity', %s)",
             (d.job["id"], digest))
    assert gate.take(d, secret) == (["no", "away"], None)
    d.wait_for_log("a name that no file has")


def test_sums_that_were_changed(opened):
    d = opened()
    (d.folder / "more.csv").write_text("more")
    with open(d.folder / "SHA256SUMS", "a") as file:
        file.write(hashlib.sha256(b"more").hexdigest() + "  more.csv\n")
    assert gate.take(d, gate.ask(d, d.job["id"], "more.csv")) == (["no", "damaged"], None)
    assert gate.send(d.socket, f"list {d.job['id']}") == ("no damaged", None)


def test_an_archive_of_another_host(opened):
    d = opened()
    d.pg.tamper(d.db, "UPDATE retention.archive_journal SET host = 'elsewhere'")
    assert gate.take(d, gate.ask(d, d.job["id"], "manifest.json")) == (["no", "elsewhere"], None)
    assert gate.send(d.socket, f"list {d.job['id']}") == ("no elsewhere", None)


def test_an_action_without_an_archive(opened):
    d = opened()
    for job in (d.job["id"] + 1, 4711):
        assert gate.send(d.socket, f"list {job}") == ("no unfinished", None)
    with pytest.raises(psycopg2.Error, match="there is no action 4711"):
        gate.ask(d, 4711, "manifest.json")


@pytest.mark.parametrize("role", ["auditor", "operator", "nobody"])
def test_who_may_not_ask(opened, role):
    d = opened(start=False)
    with pytest.raises(psycopg2.Error, match="permission denied"):
        gate.ask(d, d.job["id"], "manifest.json", user=f"gate_{role}")
    assert rows(d) == []


def test_list(opened):
    d = opened()
    said, fd = gate.send(d.socket, f"list {d.job['id']}")
    lines = [line.split(" ") for line in said.split("\n")[1:]]
    assert said.startswith("files\n") and fd is None
    assert {name: int(size) for size, name in lines} == {p.name: p.stat().st_size for p in d.folder.iterdir()}


@pytest.mark.parametrize("packet", [b"take ", b"take " + b"0" * 63, b"take " + b"0" * 65, b"take " + b"g" * 64, b"list 0", b"list -1",
                                    b"list 1x", b"list 99999999999", b"give 1", b"x" * 60000, b"list 1\0", b"take " + b"0" * 63 + b"\0"])
def test_requests_that_make_no_sense(opened, packet):
    d = opened()
    assert gate.send(d.socket, packet) == ("no request", None)
    d.kill()


def test_a_client_that_says_nothing_keeps_nobody_out(opened):
    """There are eight places; who waits is served when a silent client is given up, after 10 s, or goes."""
    d = opened()
    silent = [gate.connect(d.socket) for _ in range(8)]
    wait_until(lambda: len(d.children()) >= 8)
    waiting = gate.connect(d.socket)
    waiting.send(f"list {d.job['id']}".encode())
    silent[0].close()
    assert waiting.recv(1 << 16).startswith(b"files\n")
    assert silent[1].recv(100) in (b"", b"no request")
    for client in (*silent, waiting):
        client.close()
    assert d.stop() == 0


def test_only_the_user_may_connect(opened):
    """Whoever else gets to the socket, by whatever mode or group, is sent away."""
    d = opened()
    assert d.socket.stat().st_mode & 0o777 == 0o660
    secret = gate.ask(d, d.job["id"], "manifest.json")
    if os.getuid() == 0:
        d.socket.chmod(0o666)
        d.socket.parent.chmod(0o755)
        script = ("import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]);"
                  "s.send(sys.argv[2].encode()); print(repr(s.recv(100)))")
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", script,
                               d.socket, "take " + secret], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert "b''" in done.stdout or "BrokenPipe" in done.stdout or "ConnectionReset" in done.stdout, done.stdout
        d.wait_for_log("user 65534 is refused: only")
    d.configure(archives={**d.config["archives"], "web_user": "nobody"})
    d.reload()
    if os.getuid() == 0:
        d.wait_for_log("reloaded")
        try:
            assert gate.send(d.socket, "take " + secret) == ("", None)
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed before the request was sent
    else:
        d.wait_for_log("cannot give .* to the group of nobody")
        assert not d.socket.exists()
    assert [taken for _, _, taken in rows(d)] == [False]


def test_reload_moves_opens_and_closes_it(opened):
    d = opened()
    before = dict(d.config["archives"])
    moved = d.socket.with_name("moved")
    d.configure(archives={**before, "web_socket": str(moved)})
    d.reload()
    wait_until(moved.exists)
    wait_until(lambda: not d.socket.exists())
    d.configure(archives={k: v for k, v in before.items() if not k.startswith("web_")})
    d.reload()
    wait_until(lambda: not moved.exists())
    d.configure(archives=before)
    d.reload()
    wait_until(d.socket.exists)
    assert gate.take(d, gate.ask(d, d.job["id"], "manifest.json"))[0][0] == "file"


def test_what_stands_in_the_way_of_the_socket(opened):
    """A file is kept, and so is the socket of another process; the daemon works without."""
    d = opened(start=False)
    d.socket.write_text("mine")
    gate.begin(d)
    d.wait_for_log(r"archives.web_socket: .* is there, and is not a socket: the page gets no files")
    d.stop()
    assert d.socket.read_text() == "mine"
    d.socket.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        other.bind(str(d.socket))
        other.listen(1)
        gate.begin(d)
        d.wait_for_log("another process listens at")
        d.stop()
        assert d.socket.exists()


def test_the_database_is_away(opened):
    d = opened()
    secret = gate.ask(d, d.job["id"], "manifest.json")
    d.pg.sql("postgres", f"ALTER DATABASE {d.db} ALLOW_CONNECTIONS false")
    try:
        assert gate.take(d, secret) == (["no", "away"], None)
    finally:
        d.pg.sql("postgres", f"ALTER DATABASE {d.db} ALLOW_CONNECTIONS true")
    assert gate.take(d, secret)[0][0] == "file"


def test_a_large_file_costs_nothing(opened):
    """2 GB, most of it a hole: the daemon opens it and reads nothing of it."""
    d = opened(start=False)
    name = next(iter(sums(d)))
    with open(d.folder / name, "r+b") as file:
        file.truncate(2 << 30)
    gate.begin(d)
    said, fd = gate.send(d.socket, "take " + gate.ask(d, d.job["id"], name))
    assert said.split()[2] == str(2 << 30)
    os.close(fd)
