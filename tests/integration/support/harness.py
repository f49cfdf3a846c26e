"""
What the integration tests stand on: a private PostgreSQL, the daemon under test, a proxy that
misbehaves on demand, and the canary tokens of the reference CRM.

Everything listens on unix sockets in short temporary folders: no port is ever raced for.  Nothing
sleeps for a fixed time: wait_until() polls for what the test is about.
"""

import contextlib
import glob
import os
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import psycopg2

REPO = Path(__file__).resolve().parents[3]
CRM = REPO / "tests" / "crm"
CRM_MODEL = REPO / "conf" / "models" / "crm.conf"
BUILD = Path(os.environ.get("RETENTION_BUILD") or "build/release")
if not BUILD.is_absolute():
    BUILD = REPO / BUILD
# The day that the generated CRM counts back from, so that the same share of it is due whenever the tests run.
# A test may name another day.
TODAY = datetime.now(timezone.utc).date().isoformat()

# Sanitizers make programs slow; valgrind more so.
TIMEOUT = float(os.environ.get("RETENTION_TEST_TIMEOUT") or 30)

# Of every configuration that does not say otherwise: the same tests with other limits.
LIMITS = {}
if os.environ.get("RETENTION_INTEGRITY"):
    LIMITS["integrity"] = os.environ["RETENTION_INTEGRITY"]
if os.environ.get("RETENTION_WORKERS"):
    LIMITS["workers"] = int(os.environ["RETENTION_WORKERS"])


def wait_until(condition, timeout=TIMEOUT, what=None):
    """Polls every 20 ms until condition() is true, and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what or condition}")
        time.sleep(0.02)


IN_MEMORY = Path("/dev/shm")


SHORT_DIRS = []  # of this process; conftest.py removes them at the end


def short_dir(base="/tmp"):
    """A folder whose sockets' paths stay below the 108 bytes of sun_path."""
    SHORT_DIRS.append(Path(tempfile.mkdtemp(prefix="rtd-", dir=base)))
    return SHORT_DIRS[-1]


def server_dir(fsync):
    """
    Lies in memory where there is enough of it, because the tests make and drop thousands of databases, and a disk
    takes long over their inodes.
    """
    roomy = not fsync and IN_MEMORY.is_dir() and shutil.disk_usage(IN_MEMORY).free > 6 << 30
    return short_dir(IN_MEMORY if roomy else "/tmp")


# --- PostgreSQL -------------------------------------------------------------------------------


def pg_bindir():
    if os.environ.get("PG_BINDIR"):
        return Path(os.environ["PG_BINDIR"])
    found = sorted(
        glob.glob("/usr/lib/postgresql/*/bin"), key=lambda p: int(p.split("/")[4])
    )
    if found:
        return Path(found[-1])
    return Path(shutil.which("initdb") or "/usr/bin/initdb").resolve().parent


# A statement that leaves nothing behind in its session and calls no function that acts.
ASKS = re.compile(r"(?is)\s*(SELECT|WITH)\b(?!.*\b(retention\.\w+\s*\(|pg_advisory|set_config|pg_terminate|pg_cancel"
                  r"|pg_\w*slot\w*\s*\(|pg_switch|pg_wal|pg_sleep|nextval|setval|insert|update|delete))")


def guards(change):
    """SQL that makes a change of ALTER TABLE to every table of schema retention."""
    return f"""DO $$ DECLARE t record; BEGIN
        FOR t IN SELECT oid::regclass AS name FROM pg_class WHERE relnamespace = 'retention'::regnamespace AND relkind = 'r'
        LOOP EXECUTE format('ALTER TABLE %s {change}', t.name); END LOOP; END $$"""


# Enables the triggers of schema retention as migrations/0010_grants.sql does.
ALWAYS = """DO $$ DECLARE t record; BEGIN
    FOR t IN SELECT tgrelid::regclass AS name, tgname FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
              WHERE c.relnamespace = 'retention'::regnamespace AND NOT tgisinternal
    LOOP EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', t.name, t.tgname); END LOOP; END $$"""


class Postgres:
    """A private server: trust authentication, a unix socket and nothing else."""

    SUPERUSER = "retention_test"

    def __init__(self, fsync=False, settings=None):
        self.bindir = pg_bindir()
        self.dir = server_dir(fsync)
        self.data = self.dir / "data"
        self.log = self.dir / "postgres.log"
        self.port = 5432
        self.templates = {}
        self.databases = 0
        self.kept = {}
        # initdb and postgres refuse root.
        self.as_user = []
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.dir, owner.pw_uid, owner.pw_gid)
            self.as_user = ["runuser", "-u", "postgres", "--"]
        self._tool("initdb", "-D", self.data, "-A", "trust", "-U", self.SUPERUSER,
                   "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8")
        # autovacuum comes when it likes: a test of dead rows or of a plan vacuums or analyzes by itself.
        values = {
            "autovacuum": "off", "listen_addresses": "", "unix_socket_directories": str(self.dir),
            "fsync": "on" if fsync else "off", "shared_buffers": "128MB",
            "max_wal_size": "512MB", "max_connections": 100, "timezone": "UTC",
            "lc_messages": "C", "log_checkpoints": "off", "jit": "off", "log_min_messages": "warning",
            "log_line_prefix": "%m [%p] %a: ", **(settings or {}),
        }
        # 15 and later write each page into the log, unless told otherwise.
        newer = int((self.data / "PG_VERSION").read_text().split(".")[0]) >= 15
        self.by_files = " STRATEGY file_copy" if newer else ""
        with open(self.data / "postgresql.conf", "a") as conf:
            for name, value in values.items():
                conf.write(f"{name} = '{value}'\n")

    def _tool(self, name, *args, **kwargs):
        kwargs.setdefault("check", True)
        # A pipe would be held open by the server that pg_ctl leaves behind.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(
                [*self.as_user, self.bindir / name, *map(str, args)], cwd=self.dir,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
            if done.returncode and kwargs["check"]:
                out.seek(0)
                raise RuntimeError(f"{name}: {out.read().decode(errors='replace')}")
        return done.returncode

    def start(self):
        self._tool("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", 60, "start")
        return self

    def stop(self, mode="fast"):
        self.forget()
        self._tool("pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", 60, "stop")

    def restart(self, mode="immediate"):
        self.stop(mode)
        self.start()

    def running(self):
        return self._tool("pg_ctl", "-D", self.data, "status", check=False) == 0

    def destroy(self):
        self.forget()
        if self.running():
            self.stop("immediate")
        shutil.rmtree(self.dir, ignore_errors=True)

    def conninfo(self, db, user=None, host=None):
        return f"host={host or self.dir} port={self.port} dbname={db} user={user or self.SUPERUSER}"

    @contextlib.contextmanager
    def connect(self, db, user=None, autocommit=True, **kwargs):
        """with pg.connect(db) as conn: …; closed at the end, autocommit unless told otherwise."""
        conn = psycopg2.connect(self.conninfo(db, user), **kwargs)
        conn.autocommit = autocommit
        try:
            yield conn
        finally:
            conn.close()

    def sql(self, db, query, args=None, user=None):
        """
        Runs one statement: the rows, or None where it has none.  What only asks has a connection that is kept, for
        tests ask until something is so; all else one of its own.
        """
        if ASKS.match(query):
            with self._kept(db, user) as conn, conn.cursor() as cur:
                cur.execute(query, args)
                return cur.fetchall()
        with self.connect(db, user) as conn, conn.cursor() as cur:
            cur.execute(query, args)
            return cur.fetchall() if cur.description else None

    @contextlib.contextmanager
    def _kept(self, db, user):
        """The connection of this thread, anew where the server has ended it; closed after a failure."""
        key = (db, user, threading.get_ident())
        conn = self.kept.pop(key, None)
        if conn and select.select([conn], [], [], 0)[0]:  # nothing was asked: it is the end
            conn.close()
            conn = None
        if not conn:
            conn = psycopg2.connect(self.conninfo(db, user))
            conn.autocommit = True
        try:
            yield conn
        except BaseException:
            conn.close()
            raise
        self.kept[key] = conn

    def forget(self, db=None):
        """Closes the connections to db, or to all, that are kept."""
        for key in [k for k in list(self.kept) if db in (None, k[0])]:
            conn = self.kept.pop(key, None)
            if conn:  # its thread may have it just now
                conn.close()

    def tamper(self, db, *statements):
        """Runs the statements as the owner of schema retention can: without its triggers and foreign keys."""
        with self.connect(db, autocommit=False) as conn, conn.cursor() as cur:
            for statement in (guards("DISABLE TRIGGER ALL"), *statements, guards("ENABLE TRIGGER ALL"), ALWAYS):
                cur.execute(statement)
            conn.commit()

    def value(self, db, query, args=None, user=None):
        return self.sql(db, query, args, user)[0][0]

    def psql(self, db, *args, user=None, check=True):
        """psql's standard output; its failure is an error unless check is False."""
        done = subprocess.run(
            [self.bindir / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p",
             str(self.port), "-U", user or self.SUPERUSER, "-d", db, *map(str, args)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if check and done.returncode:
            raise RuntimeError(f"psql: {done.stderr}")
        return done.stdout

    def dump(self, db, *args):
        """pg_dump of the whole database, as bytes."""
        return subprocess.run(
            [self.bindir / "pg_dump", "-h", self.dir, "-p", str(self.port), "-U", self.SUPERUSER,
             *args, db], check=True, stdout=subprocess.PIPE).stdout

    def create_database(self, name=None, template=None):
        if name is None:
            self.databases += 1
            name = f"db{self.databases}"
        if template:
            self.forget(template)  # one is copied while nobody is in it
        copied = f' TEMPLATE "{template}"' if template else ""
        self.sql("postgres", f'CREATE DATABASE "{name}"{copied}{self.by_files}')
        return name

    def drop_database(self, name):
        self.forget(name)
        self.sql("postgres", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def crm_template(self, contacts=300, today=TODAY):
        """The name of a database with the reference CRM, made at most once a server."""
        key = (contacts, str(today))
        if key not in self.templates:
            name = f"crm_{contacts}_{today}".replace("-", "")
            self.create_database(name)
            self.load_crm(name, contacts, today)
            self.templates[key] = name
        return self.templates[key]

    def migrated_template(self, contacts=300):
        """The same with the schema retention, as retentionctl makes it."""
        key = (contacts, "migrated")
        if key not in self.templates:
            name = f"migrated_{contacts}"
            self.create_database(name, self.crm_template(contacts))
            with tempfile.TemporaryDirectory() as folder:
                Daemon(folder, self, name).migrate()
            self.templates[key] = name
        return self.templates[key]

    def load_crm(self, db, contacts, today=TODAY):
        self.psql(db, "-v", f"contacts={contacts}", "-v", f"today={today}",
                  "-f", CRM / "schema.sql", "-f", CRM / "generate.sql", "-f", CRM / "constraints.sql")

    def plain_role(self, db, name="retention_plain", grants=""):
        """Makes a login without superuser's rights and grants it retention_daemon, which migrate has made."""
        self.psql(db, "-c", f"""DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN
                CREATE ROLE {name} LOGIN;
            END IF;
            GRANT retention_daemon TO {name};
        END $$""")
        if grants:
            self.psql(db, "-c", grants)
        return name

    def log_plans(self, db, *settings):
        """From the next session on, the log has the plan of each statement in this database."""
        for setting in ("session_preload_libraries = auto_explain", "auto_explain.log_min_duration = 0", "auto_explain.log_level = log",
                        "log_min_messages = log", *settings):
            self.psql("postgres", "-c", f"ALTER DATABASE {db} SET {setting}")

    def log_position(self):
        return self.log.stat().st_size

    def log_text(self, since=0):
        with open(self.log, "rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")


# --- The configuration ------------------------------------------------------------------------


def standby_of(primary):
    standby = Postgres(fsync=False)
    conf = (standby.data / "postgresql.conf").read_bytes()
    shutil.rmtree(standby.data)
    standby._tool("pg_basebackup", "-h", primary.dir, "-U", primary.SUPERUSER, "-D", standby.data, "-X", "stream",
                  "-c", "fast", "--no-sync", "-R")
    (standby.data / "postgresql.conf").write_bytes(conf)
    return standby


def libconfig(value):
    """A Python value in libconfig's syntax: dict is a group, list a list."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value}L" if isinstance(value, int) and abs(value) >= 2**31 else str(value)
    if isinstance(value, dict):
        return "{ " + " ".join(f"{k} = {libconfig(v)};" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(map(libconfig, value)) + " )"
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def make_config(directory, pg, db, policies=(), limits=None, model=None, archives=None,
                database=None, extra="", user=None, host=None, name="retentiond.conf"):
    """
    Writes a configuration and returns its path.  model is a path (default: the reference CRM's) or
    text (anything with a brace in it); it is copied beside the file, where a test may change it.
    max_share is 1 unless limits says otherwise: two contacts of three are due in the generated CRM.
    """
    directory = Path(directory)
    store = directory / "archives"
    store.mkdir(mode=0o700, exist_ok=True)
    model = model if model is not None else CRM_MODEL
    text = str(model) if "{" in str(model) else Path(model).read_text()
    write_private(directory / "model.conf", text)
    groups = {
        "database": {"conninfo": pg.conninfo(db, user, host), "timezone": "UTC", **(database or {})},
        "archives": {"directory": str(store), **(archives or {})},
        # Integrity is asked for by name, because "auto" would choose for the test.
        "limits": {"max_share": 1.0, "courtesy": False, "integrity": "triggers", **(limits or {}), **LIMITS},
    }
    lines = [f"{group} = {libconfig(values)};" for group, values in groups.items()]
    lines += ['@include "model.conf"', "policies = (",
              ",\n".join("  " + libconfig(p) for p in policies), ");", extra, ""]
    path = directory / name
    write_private(path, "\n".join(lines))
    return path


def write_private(path, text):
    """Replaces the file at once, because the daemon may be reading it; mode 0600, because it refuses other modes."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    os.replace(new, path)


# --- The programs -----------------------------------------------------------------------------

TROUBLE = re.compile(
    rb"AddressSanitizer|UndefinedBehaviorSanitizer|runtime error|LeakSanitizer|ThreadSanitizer"
    rb"|Assertion|tok-\d+|746f6b2d|canary-c\d")


class Daemon:
    """
    One configuration and the programs that run under it.  Keyword arguments other than the named
    ones go to make_config().  Everything the programs say is in the folder's *.log files, and
    check_logs() holds them against TROUBLE.
    """

    def __init__(self, directory, pg, db, build=BUILD, wrapper=(), env=None, **config):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.pg, self.db, self.build = pg, db, Path(build)
        self.wrapper = [str(w) for w in wrapper]  # valgrind and its options
        self.env = env or {}
        self.config = config
        self.log = self.dir / "retentiond.log"
        self.ctl_log = self.dir / "retentionctl.log"
        self.archives = self.dir / "archives"
        self.process = None
        self.configure()

    def configure(self, **changes):
        """Writes the file anew, with changes; signals nobody."""
        self.config.update(changes)
        self.path = make_config(self.dir, self.pg, self.db, **self.config)
        return self.path

    def _environment(self, failpoint, env):
        merged = {**os.environ, "RETENTION_LOG": "stderr", **self.env, **(env or {})}
        merged.pop("NOTIFY_SOCKET", None)
        merged.pop("RETENTION_FAILPOINT", None)
        if failpoint:
            merged["RETENTION_FAILPOINT"] = failpoint
        return merged

    def _command(self, program, *args):
        return [*self.wrapper, str(self.build / program), "-c", str(self.path), *map(str, args)]

    # The resident daemon.

    def start(self, *args, failpoint=None, env=None):
        assert self.process is None or self.process.poll() is not None, "still running"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self._command("retentiond", *args), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self._environment(failpoint, env), start_new_session=True)
        return self

    @property
    def pid(self):
        return self.process.pid

    @property
    def returncode(self):
        return self.process.poll()

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self):
        self.signal(signal.SIGHUP)

    def wait(self, timeout=TIMEOUT):
        """Until it has ended: its exit status."""
        return self.process.wait(timeout)

    def stop(self, timeout=TIMEOUT):
        """SIGTERM, then its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def children(self):
        """Pids of its jobs."""
        found = []
        for stat in glob.glob("/proc/[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = Path(stat).read_text().rsplit(")", 1)[1].split()
                if int(fields[1]) == self.pid and fields[0] != "Z":
                    found.append(int(stat.split("/")[2]))
        return found

    def kill(self):
        """SIGKILL to it and to whatever it started, as a power cut would."""
        if self.process is None:
            return
        for pid in self.children() if self.process.poll() is None else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    # Its log.

    def log_text(self, since=0):
        if not self.log.exists():
            return ""
        with open(self.log, "rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def log_position(self):
        return self.log.stat().st_size if self.log.exists() else 0

    def log_contains(self, pattern, since=0):
        return re.search(pattern, self.log_text(since)) is not None

    def wait_for_log(self, pattern, timeout=TIMEOUT, since=0):
        """Until a match stands in the log; fails at once when the daemon ends without one."""

        def seen():
            ended = self.returncode is not None
            found = re.search(pattern, self.log_text(since))
            if not found and ended:
                raise RuntimeError(f"ended with {self.returncode}, no {pattern!r} in:\n{self.log_text(since)}")
            return found

        try:
            return wait_until(seen, timeout)
        except TimeoutError:
            raise TimeoutError(f"no {pattern!r} within {timeout:g} s in:\n{self.log_text(since)}") from None

    # The programs that come to an end.

    def run(self, program, *args, check=True, failpoint=None, env=None, timeout=4 * TIMEOUT, log=None):
        done = subprocess.run(
            self._command(program, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self._environment(failpoint, env), timeout=timeout)
        with open(log or self.ctl_log, "ab") as file:
            file.write(done.stdout + done.stderr)
        done.stdout, done.stderr = (b.decode(errors="replace") for b in (done.stdout, done.stderr))
        if check and done.returncode:
            raise RuntimeError(f"{program} {' '.join(map(str, args))}: status {done.returncode}\n{done.stderr}")
        return done

    def ctl(self, *args, **kwargs):
        """retentionctl -c FILE ARGS: its CompletedProcess, text; failure raises unless check=False."""
        return self.run("retentionctl", *args, **kwargs)

    def migrate(self):
        self.ctl("migrate")
        return self

    def once(self, *args, **kwargs):
        """retentiond -c FILE --once; its output also goes to the daemon's log."""
        return self.run("retentiond", "--once", *args, log=self.log, **kwargs)

    def check_config(self, *args, **kwargs):
        """retentiond -c FILE -t, which is expected to fail as often as not."""
        kwargs.setdefault("check", False)
        return self.run("retentiond", "-t", *args, **kwargs)

    def jobs(self, where="true"):
        """Rows of the journal as dicts, oldest first."""
        with self.pg.connect(self.db) as conn, conn.cursor() as cur:
            cur.execute(f"SELECT * FROM retention.archive_journal WHERE {where} ORDER BY id")
            names = [c.name for c in cur.description]
            return [dict(zip(names, row)) for row in cur]

    def wait_for_job(self, where="status = 'done'", timeout=TIMEOUT):
        return wait_until(lambda: self.jobs(where), timeout, f"a job where {where}")[-1]

    def check_logs(self):
        """No sanitizer report, no assertion, no personal value in anything that was logged."""
        for log in sorted(self.dir.glob("*.log")):
            found = TROUBLE.search(log.read_bytes())
            if found:
                text = log.read_text(errors="replace")
                raise AssertionError(f"{found.group().decode()!r} in {log.name}:\n{text[-8000:]}")


# --- A connection that breaks -----------------------------------------------------------------


class Proxy:
    """
    Stands between libpq and the server: host=proxy.dir, same port.

        proxy.cut_at(rb"COMMIT")                   forwards it, waits for the server's answer, which
                                                   is dropped, and closes: committed, and nobody knows
        proxy.cut_at(rb"COMMIT", forward=False)    closes instead of forwarding: nothing committed
        proxy.cut()                                closes every connection now
        proxy.refuse = True                        new connections are closed at once
        proxy.stall() / proxy.resume()             passes nothing on / goes on
        proxy.fired                                how many cut_at() have come true

    A pattern matches what clients send, over all connections; after=n lets the first n pass.
    """

    def __init__(self, pg):
        self.server = str(pg.dir / f".s.PGSQL.{pg.port}")
        self.dir = short_dir()
        self.refuse, self.fired = False, 0
        self._rule = None
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._pairs = set()
        self._doomed = None  # the pair whose next answer is dropped
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.dir / f".s.PGSQL.{pg.port}"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_at(self, pattern, forward=True, after=0):
        with self._lock:
            self._rule = [re.compile(pattern), forward, after]

    def stall(self):
        self._flowing.clear()

    def resume(self):
        self._flowing.set()

    def cut(self):
        for pair in list(self._pairs):
            self._close(pair)

    def close(self):
        self._listener.close()
        self.resume()
        self.cut()
        shutil.rmtree(self.dir, ignore_errors=True)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                if self.refuse:
                    raise ConnectionRefusedError
                server.connect(self.server)
            except OSError:
                client.close()
                server.close()
                continue
            pair = (client, server)
            self._pairs.add(pair)
            threading.Thread(target=self._pump, args=(pair, client, server, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(pair, server, client, False), daemon=True).start()

    def _matches(self, data):
        """The rule that this message sets off, which is then spent."""
        with self._lock:
            rule = self._rule
            if rule is None or not rule[0].search(data):
                return None
            rule[2] -= 1
            if rule[2] >= 0:
                return None
            self._rule = None
            return rule

    def _pump(self, pair, source, target, from_client):
        try:
            while True:
                data = source.recv(65536)
                self._flowing.wait()
                if not data:
                    break
                rule = self._matches(data) if from_client else None
                if rule and rule[1]:
                    self._doomed = pair
                elif rule or not from_client and self._doomed is pair:
                    self._doomed = None
                    self.fired += 1
                    break
                target.sendall(data)
        except OSError:
            pass
        self._close(pair)

    def _close(self, pair):
        self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
