"""The page's side of archives.web_socket, and the persons that ask for files."""

import array
import getpass
import hashlib
import os
import shutil
import socket
from pathlib import Path

from support.harness import short_dir
from support.small import policy

ROLES = ("auditor", "operator", "approver")


def settings(**more):
    """Of a daemon's group archives: a socket of its own, for the user that runs the tests."""
    return {"web_socket": str(short_dir() / "gate"), "web_user": getpass.getuser(), **more}


def persons(pg, db, name="gate"):
    """gate_auditor, gate_operator, gate_approver and gate_nobody, who log in."""
    for role in (*ROLES, "nobody"):
        pg.sql(db, f"""DO $$ BEGIN CREATE ROLE {name}_{role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$""")
        if role != "nobody":
            pg.sql(db, f"GRANT retention_{role} TO {name}_{role}")


def forget_persons(pg, name="gate"):
    for role in (*ROLES, "nobody"):
        pg.sql("postgres", f"DROP ROLE IF EXISTS {name}_{role}")


def exported(daemon, pg, name="gate", **archives):
    """A daemon, not started, with one exported archive (d.job, d.folder), the path of its socket, and persons."""
    d = daemon(policies=[policy("export", depth="1 month", archive="listed")], contacts=20, archives=settings(**archives))
    d.once()
    d.job = d.jobs()[-1]
    assert d.job["status"] == "done"
    d.folder = Path(d.job["archive_path"])
    d.socket = Path(d.config["archives"]["web_socket"])
    persons(pg, d.db, name)
    return d


def begin(d, failpoint=None):
    since = d.log_position()
    d.start(failpoint=failpoint)
    d.wait_for_log("ready: ", since=since)


def end(d, name="gate"):
    """Ends what exported() has made; the persons stay, without rights."""
    d.kill()
    d.pg.sql(d.db, "DROP OWNED BY " + ", ".join(f"{name}_{role}" for role in (*ROLES, "nobody")))
    shutil.rmtree(d.socket.parent)


def ticket():
    """A ticket, and its digest as SQL takes it."""
    secret = os.urandom(32)
    return secret.hex(), hashlib.sha256(secret).digest()


def ask(d, job, file, user="gate_approver"):
    """Asks for a file in the person's session: the ticket."""
    secret, digest = ticket()
    d.pg.sql(d.db, "SELECT retention.ask_download(%s, %s, %s)", (job, file, digest), user=user)
    return secret


def connect(path, timeout=30):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(timeout)
    client.connect(str(path))
    return client


def send(path, packet):
    """(the answer's text, the descriptor that came with it or None)."""
    with connect(path) as client:
        client.send(packet if isinstance(packet, bytes) else packet.encode())
        fds = array.array("i")
        data, control, flags, _ = client.recvmsg(1 << 16, socket.CMSG_SPACE(4 * fds.itemsize))
        for level, kind, value in control:
            assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
            fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
        assert len(fds) <= 1 and not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        return data.decode(), (fds[0] if fds else None)


def take(d, secret):
    """(the words of the answer, the file's bytes or None)."""
    said, fd = send(d.config["archives"]["web_socket"], f"take {secret}")
    if fd is None:
        return said.split(), None
    with open(fd, "rb") as file:
        return said.split(), file.read()
