"""
The administration page under test: a server that asks persons for their passwords, a retentiond-web of its own for each
test, and a client that behaves as a browser without script does.
"""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from support.harness import BUILD, TIMEOUT, Postgres, libconfig, short_dir, wait_until, write_private

HOST = "crm.example"

# Who logs in, with what, and the groups of the role.  A password is a canary: no log may hold one.
AUDITOR, OPERATOR, APPROVER, BOTH = "denis.roux", "claire.martin", "paul.durand", "marie.leroy"
NOBODY, SUPERUSER, DAEMON = "jean.petit", "root.admin", "the.daemon"
PERSONS = {
    AUDITOR: ["retention_auditor"], OPERATOR: ["retention_operator"], APPROVER: ["retention_approver"],
    BOTH: ["retention_operator", "retention_approver"], NOBODY: [],
    SUPERUSER: ["retention_operator", "retention_approver"], DAEMON: ["retention_operator", "retention_daemon"],
}


def password(person):
    return f"secret+{person}/é%&=§"


class PageServer(Postgres):
    """A private server that trusts everybody but the persons of the page, whom it asks for SCRAM's password."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "settings": {"password_encryption": "scram-sha-256", **kwargs.get("settings", {})}})
        self.hba = self.data / "pg_hba.conf"
        self.hba.write_text(
            "local all +page_person scram-sha-256\nhost all +page_person all scram-sha-256\n" + self.hba.read_text())

    def make_persons(self):
        """After the first migration, which makes the groups."""
        if self.value("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'page_person'"):
            return
        self.sql("postgres", "CREATE ROLE page_person NOLOGIN")
        for person, groups in PERSONS.items():
            self.sql("postgres", f'CREATE ROLE "{person}" LOGIN PASSWORD %s IN ROLE '
                     + ", ".join(["page_person", *groups]), (password(person),))
        self.sql("postgres", f'ALTER ROLE "{SUPERUSER}" SUPERUSER')


class Form:
    """A form as it stands in the page: its fields with their values, and its buttons' words."""

    def __init__(self, action, method):
        self.action, self.method = action, method
        self.fields, self.buttons, self.names = {}, [], []


class Parser(HTMLParser):
    """Reads forms, links, the title and the visible text."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.forms, self.links, self.ids = [], [], {}
        self.title, self.words, self.lang = "", [], None
        self.inside, self.select, self.area, self.button, self.link = [], None, None, None, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.inside.append(tag)
        form = self.forms[-1] if self.forms else Form("", "get")
        name = attrs.get("name")
        if attrs.get("id"):
            self.ids[attrs["id"]] = (tag, attrs)
        if tag == "html":
            self.lang = attrs.get("lang")
        elif tag == "form":
            self.forms.append(Form(attrs.get("action", ""), attrs.get("method", "get").lower()))
        elif tag == "a" and "href" in attrs:
            self.link = [attrs["href"], ""]
            self.links.append(self.link)
        elif tag == "button":
            self.button = [attrs, ""]
            form.buttons.append(self.button)
        elif tag == "input" and name:
            form.names.append(name)
            kind = attrs.get("type", "text")
            if kind not in ("radio", "checkbox", "submit") or "checked" in attrs:
                form.fields[name] = attrs.get("value", "on" if kind in ("radio", "checkbox") else "")
        elif tag == "select" and name:
            form.names.append(name)
            self.select = name
        elif tag == "option" and self.select and ("selected" in attrs or self.select not in form.fields):
            form.fields[self.select] = attrs.get("value", "")
        elif tag == "textarea" and name:
            form.names.append(name)
            form.fields[name] = ""
            self.area = name

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass
        if tag == "select":
            self.select = None
        elif tag == "textarea":
            self.area = None
        elif tag == "button":
            self.button = None
        elif tag == "a":
            self.link = None

    def handle_data(self, data):
        if "title" in self.inside:
            self.title += data
        elif self.area:
            self.forms[-1].fields[self.area] += data
        elif not {"script", "style", "head"} & set(self.inside):
            self.words.append(data)
            for holder in (self.button, self.link):
                if holder:
                    holder[1] += data


class Answer:
    """One answer.  status, headers (a list of pairs), body (bytes), and what the HTML holds."""

    def __init__(self, status, headers, body, path):
        self.status, self.headers, self.body, self.path = status, headers, body, path
        self.parser = Parser()
        if self.header("Content-Type", "").startswith("text/html"):
            self.parser.feed(body.decode())

    def header(self, name, default=None):
        values = [v for n, v in self.headers if n.lower() == name.lower()]
        assert len(values) <= 1 or name.lower() == "set-cookie", f"{name} twice"
        return values[0] if values else default

    def headers_of(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    @property
    def text(self):
        return self.body.decode()

    @property
    def words(self):
        """The visible text, on one line."""
        return " ".join("".join(self.parser.words).split())

    @property
    def title(self):
        return " ".join(self.parser.title.split())

    @property
    def location(self):
        return self.header("Location")

    @property
    def forms(self):
        return self.parser.forms

    def form(self, action):
        """The one form whose action ends so."""
        found = [f for f in self.forms if f.action.endswith(action)]
        assert len(found) == 1, f"{len(found)} forms to {action} in {self.status} {self.path}: {self.words[:2000]}"
        return found[0]

    def has_form(self, action):
        return any(f.action.endswith(action) for f in self.forms)

    @property
    def links(self):
        """{where: words}"""
        return {href: " ".join(words.split()) for href, words in self.parser.links}

    def __repr__(self):
        return f"<{self.status} {self.path} {self.title!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__(HOST, timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Client:
    """
    A person's browser without script: keeps cookies, sends what a browser sends, one connection a request.
    Paths are without the page's prefix, or as the page wrote them.
    """

    def __init__(self, page, language="fr", headers=None):
        self.page, self.cookies = page, {}
        self.headers = {"Host": HOST, "Accept-Language": language, **(headers or {})}
        self.last = None

    def url(self, path):
        prefix = self.page.prefix
        return path if not prefix or path == prefix or path.startswith(prefix + "/") else prefix + path

    def request(self, method, path, body=None, headers=None, cookies=True, timeout=TIMEOUT):
        """A header of value None is left out.  cookies=False: sends none, and keeps none."""
        sent = {"Sec-Fetch-Site": "same-origin", "Origin": f"https://{HOST}", **self.headers}
        if method in ("GET", "HEAD"):
            del sent["Origin"]
        if cookies and self.cookies:
            sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        sent.update(headers or {})
        connection = self.page.connection(timeout)
        try:
            connection.putrequest(method, self.url(path), skip_host=True, skip_accept_encoding=True)
            if body is not None:
                sent.setdefault("Content-Length", str(len(body)))
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value.encode() if isinstance(value, str) else value)
            connection.endheaders(body)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read(), path)
        finally:
            connection.close()
        if cookies:
            self._keep(answer)
        self.last = answer
        return answer

    def _keep(self, answer):
        for line in answer.headers_of("Set-Cookie"):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value

    def get(self, path, **kwargs):
        return self.request("GET", path, **kwargs)

    def post(self, path, fields=None, **kwargs):
        """The fields as they are, without a token of their own."""
        body = urlencode([(k, v) for k, v in (fields or {}).items() if v is not None]).encode()
        return self.request("POST", path, body, **kwargs)

    def follow(self, answer=None, **kwargs):
        """GETs where the answer leads to, until it leads nowhere."""
        answer = answer or self.last
        for _ in range(5):
            if answer.status not in (302, 303):
                return answer
            parts = urlsplit(urljoin(self.url(answer.path), answer.location))
            assert parts.netloc in ("", HOST), answer.location
            answer = self.get(parts.path + (f"?{parts.query}" if parts.query else ""), **kwargs)
        raise AssertionError(f"leads in circles: {answer}")

    def submit(self, action, answer=None, follow=True, **fields):
        """Posts the form of the last answer (or of this one) with these fields; None leaves one out."""
        answer = answer or self.last
        form = answer.form(action)
        unknown = set(fields) - set(form.names)
        assert not unknown, f"the form has no {unknown}, but {form.names}"
        assert form.method == "post"
        answer = self.post(urljoin(self.url(answer.path), form.action), {**form.fields, **fields})
        return self.follow(answer) if follow else answer

    def log_in(self, person, secret=None):
        """Through the form; the answer is the page behind it."""
        self.get("/connexion")
        return self.submit("/connexion", nom=person, mdp=password(person) if secret is None else secret)

    def log_out(self):
        self.get("/")
        return self.submit("/deconnexion")


class Page:
    """
    One web.conf and the retentiond-web that runs under it.  Keyword arguments go into web.conf; port=True listens on a
    port of 127.0.0.1, for a browser.  What it says is in the daemon's folder, whose logs are checked.
    """

    def __init__(self, daemon, build=BUILD, port=False, env=None, conninfo=None, **settings):
        self.daemon, self.build, self.env = daemon, Path(build), env or {}
        self.pg, self.db = daemon.pg, daemon.db
        self.dir = short_dir()
        self.log = daemon.dir / "retentiond-web.log"
        self.socket = None if port else self.dir / "http.sock"
        self.port = free_port() if port else None
        self.prefix = settings.get("prefix", "")
        self.settings = {
            "listen": f"127.0.0.1:{self.port}" if port else f"unix:{self.socket}",
            "hosts": [HOST, "127.0.0.1", "localhost"],
            "conninfo": conninfo or f"host={self.pg.dir} port={self.pg.port} dbname={self.db}",
            **({"insecure_cookie": True} if port else {}), **settings}
        self.process = None
        self.configure()

    def configure(self, **changes):
        """Writes the file anew, with changes; None leaves a key out.  Signals nobody."""
        self.settings = {k: v for k, v in {**self.settings, **changes}.items() if v is not None}
        self.path = self.dir / "web.conf"
        write_private(self.path, f"web: {libconfig(self.settings)};\n")

    def environment(self, env=None):
        merged = {**os.environ, "RETENTION_LOG": "stderr", **self.env, **(env or {})}
        for name in [n for n in merged if n.startswith("PG")] + ["NOTIFY_SOCKET"]:
            merged.pop(name, None)
        return merged

    def start(self, env=None):
        assert self.process is None or self.process.poll() is not None, "still running"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.build / "retentiond-web", "-c", self.path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.environment(env), start_new_session=True)
        wait_until(self._answers, what="the page answers")
        return self

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"ended with {self.process.returncode}: {self.log_text()}")
        with contextlib.suppress(OSError):
            self.raw_socket().close()
            return True
        return False

    def check(self, *args):
        """retentiond-web -t."""
        return subprocess.run([self.build / "retentiond-web", "-c", self.path, "-t", *args], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=TIMEOUT, env=self.environment())

    @property
    def pid(self):
        return self.process.pid

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        """SIGTERM, then its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)

    def end(self):
        """Stops it if it runs, so that LeakSanitizer can speak; it has to end by itself, and without a complaint."""
        if self.process and self.process.poll() is None:
            try:
                status = self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            assert status == 0, f"ended with {status}: {self.log_text()[-8000:]}"

    def log_text(self, since=0):
        with open(self.log, "rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def wait_for_log(self, pattern, since=0):
        return wait_until(lambda: re.search(pattern, self.log_text(since)), what=f"{pattern!r} in {self.log}")

    # Ways to it.

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def raw_socket(self, timeout=TIMEOUT):
        """A connected socket, for requests that no client would send."""
        sock = socket.socket(socket.AF_INET if self.port else socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(("127.0.0.1", self.port) if self.port else str(self.socket))
        return sock

    def raw(self, data, timeout=TIMEOUT):
        """What comes back until the other end closes, or for that long."""
        got = b""
        deadline = time.monotonic() + timeout
        with self.raw_socket(timeout) as sock, contextlib.suppress(socket.timeout, ConnectionError):
            sock.sendall(data)
            while True:
                sock.settimeout(max(0.01, deadline - time.monotonic()))
                more = sock.recv(65536)
                if not more:
                    break
                got += more
        return got

    def connection(self, timeout=TIMEOUT):
        if self.port:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        return UnixConnection(self.socket, timeout)

    def client(self, person=None, language="fr", **kwargs):
        """A Client, logged in as the person, if one is given."""
        client = Client(self, language, **kwargs)
        if person:
            answer = client.log_in(person)
            assert answer.status == 200, f"{answer}: {answer.words}"
        return client

    def check_logs(self):
        """No log may hold a password, or what a session is known by."""
        logs = [(log, log.read_text(errors="replace")) for log in (self.log, self.pg.log) if log.exists()]
        for log, text in logs:
            for person in PERSONS:
                assert password(person) not in text, f"a password in {log.name}"
            assert "secret+" not in text, f"a password in {log.name}"
            found = re.search(r"(?i)__Host-rgpd=|rgpd=[0-9a-f]{16}|jeton=", text)
            assert not found, f"{found.group()!r} in {log.name}"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
