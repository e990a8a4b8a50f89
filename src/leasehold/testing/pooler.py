"""Pooler: a real PgBouncer in transaction mode before a test's server.

    with Pooler(database, server_lifetime=2, default_pool_size=2) as pooler:
        session = Session(Target(url=pooler.url))      # the same database, role and password, through the pooler
        pooler.reconnect()                             # every server connection is closed once it is idle

Authoritative: PgBouncer itself. Settings have its own names and its own units (seconds), and are what a user would
write into `pgbouncer.ini`; only those are set here that a test server needs, so a startup parameter that PgBouncer
refuses is refused here too. It trusts whoever comes over loopback; a password that the server wants stands in its
authentication file, which only its account can read.

Each test starts its own, which takes 20 ms. It runs as the account of our own server, since it has to reach that
server's socket and refuses to run as root. A guard process holds a pipe from this one, and kills it when this one dies.

What can fail: a port that somebody else takes in between (another one is tried); a PgBouncer that is not installed
(an error, never a skip). `log()` is what it wrote; the fixture shows it when a test fails.

Not here: what goes through it; a cut network (that is a proxy's).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from leasehold.db.binaries import server_account
from leasehold.errors import ServerBinariesMissing

SETTING = "LEASEHOLD_TEST_PGBOUNCER"
PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin")
START_TIMEOUT_S = 10.0
PORTS_TRIED = 5
CONSOLE = "pgbouncer"
DEFAULTS: dict[str, str | int | float] = {
    "pool_mode": "transaction",
    "auth_type": "trust",
    "max_client_conn": 500,
    "default_pool_size": 4,
    "unix_socket_dir": "",
    "listen_addr": "127.0.0.1",
}
GUARD = 'read -r _; kill -KILL "$1"'
"""Reads until the pipe's other end has gone, which is when the test process has."""


class Pooler:
    """One PgBouncer before the server of *url*, for every database of that server.

    Args:
        url: leads to the server itself. Its role and password may go through; so may the roles of `roles`.
        settings: PgBouncer's, by its names: server_lifetime, server_idle_timeout, query_wait_timeout, ...
    """

    def __init__(self, url: str, *, roles: tuple[str, ...] = (), **settings: str | int | float) -> None:
        self.direct_url = url
        self.port = 0
        self._program = find_program()
        self._server = _parts(url)
        self._settings = DEFAULTS | settings
        self._account = server_account()
        self._folder = Path(tempfile.mkdtemp(prefix="leasehold-pooler-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._write("users", "".join(f'"{role}" "{self._server.get("password", "")}"\n' for role in self._roles(roles)))

    def _roles(self, more: tuple[str, ...]) -> list[str]:
        return [self._server.get("user") or os.environ.get("PGUSER") or "postgres", *more]

    # -- who wants to connect -----------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The same database and role as the direct url's, through the pooler."""
        return self.url_of(self.direct_url)

    def url_of(self, direct_url: str, **changes: str) -> str:
        """What *direct_url* is through the pooler; *changes* are parts of it, as user or dbname."""
        parts = {"user": self._roles(())[0]} | _parts(direct_url) | changes
        login = ":".join(quote(parts.pop(name), safe="") for name in ("user", "password") if name in parts)
        database = quote(parts.pop("dbname", ""), safe="")
        more = urlencode({name: value for name, value in parts.items() if name not in ("host", "hostaddr", "port")})
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}" + (f"?{more}" if more else "")

    # -- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> Pooler:
        """Start it, on the port it had before, and wait until it answers."""
        for _ in range(PORTS_TRIED):
            port = self.port or free_port()
            self._configure(port)
            self._process = self._spawn()
            if self._answers(port):
                self.port = port
                return self
            self._end()
            if "in use" not in self.log():
                break
        raise AssertionError(f"PgBouncer did not start:\n{self.log()}")

    def stop(self) -> None:
        """Kill it at once: every client and server connection breaks. `start` brings it back under the same address."""
        self._end()

    def restart(self) -> None:
        self.stop()
        self.start()

    def close(self) -> None:
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Pooler:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, *, lines: int = 200) -> str:
        """The end of what it wrote."""
        try:
            text = (self._folder / "log").read_text("utf-8", errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # -- the admin console --------------------------------------------------------------------------------------------

    def console(self, command: str) -> list[dict[str, Any]]:
        """Any command of PgBouncer's admin console: SHOW POOLS, WAIT_CLOSE, ..."""
        return self._console(self.port, command)

    def reconnect(self) -> None:
        """RECONNECT: every server connection is closed once no transaction uses it. Clients notice nothing."""
        self.console("RECONNECT")

    def kill(self, database: str | None = None) -> None:
        """KILL: drop all clients and servers of a database at once, and let nobody in until `resume`."""
        self.console(f"KILL {self._name(database)}")

    def pause(self, database: str | None = None) -> None:
        """PAUSE: wait until running transactions have ended; new ones wait until `resume`."""
        self.console(f"PAUSE {self._name(database)}")

    def resume(self, database: str | None = None) -> None:
        self.console(f"RESUME {self._name(database)}")

    def set(self, **settings: str | int | float) -> None:
        """Change settings now; they outlast a restart."""
        self._settings |= settings
        self._configure(self.port)
        self.console("RELOAD")

    def clients(self) -> int:
        """How many clients are connected, the console's own left out."""
        return sum(1 for row in self.console("SHOW CLIENTS") if row["database"] != CONSOLE)

    def servers(self) -> int:
        """How many connections to the server it holds."""
        return len(self.console("SHOW SERVERS"))

    @property
    def version(self) -> tuple[int, ...]:
        said = subprocess.run([self._program, "--version"], capture_output=True, text=True, check=True).stdout
        return tuple(int(part) for part in said.split()[1].split(".")[:2])

    def _name(self, database: str | None) -> str:
        return '"' + (database or self._server["dbname"]).replace('"', '""') + '"'

    def _console(self, port: int, command: str) -> list[dict[str, Any]]:
        url = make_conninfo(host="127.0.0.1", port=port, user=self._roles(())[0], dbname=CONSOLE, connect_timeout=2)
        with psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as admin:
            cursor = admin.execute(command.encode())  # no parameters: the console knows simple queries only
            return cursor.fetchall() if cursor.description is not None else []

    # -- its process --------------------------------------------------------------------------------------------------

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [self._program, "--quiet", str(self._folder / "ini")]
        account = {"user": self._account.uid, "group": self._account.gid, "extra_groups": []} if self._account else {}
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=(self._folder / "errors").open("ab"),
            start_new_session=True, **account,  # type: ignore[call-overload]
        )  # fmt: skip
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "sh", str(process.pid)], stdin=subprocess.PIPE, start_new_session=True
        )
        assert isinstance(process, subprocess.Popen)
        return process

    def _answers(self, port: int) -> bool:
        """Whether it answers before its time is over; False at once when it has ended."""
        assert self._process is not None
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while self._process.poll() is None and time.monotonic() < give_up_at:
            try:
                return bool(self._console(port, "SHOW VERSION"))
            except psycopg.OperationalError:
                time.sleep(0.005)
        return False

    def _end(self) -> None:
        for process in (self._guard, self._process):  # the guard first: it must never see a pid used again
            if process is not None:
                process.send_signal(signal.SIGKILL)
                if process.stdin is not None:
                    process.stdin.close()
                process.wait()
        self._guard = self._process = None

    # -- its files ----------------------------------------------------------------------------------------------------

    def _configure(self, port: int) -> None:
        server = " ".join(
            f"{name}={self._server[name].split(',')[0]}" for name in ("host", "port") if self._server.get(name)
        )
        own = {
            "listen_port": port, "auth_file": self._folder / "users", "logfile": self._folder / "log",
            "admin_users": self._roles(())[0],
        }  # fmt: skip
        lines = (f"{name} = {value}" for name, value in (self._settings | own).items())
        self._write("ini", f"[databases]\n* = {server}\n\n[pgbouncer]\n" + "\n".join(lines) + "\n")

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        if self._account is not None:
            for one in (self._folder, path):
                os.chown(one, self._account.uid, self._account.gid)


def _parts(url: str) -> dict[str, str]:
    return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}


def find_program() -> str:
    """PgBouncer's: as LEASEHOLD_TEST_PGBOUNCER says, on PATH, or where packages put it.

    Raises:
        ServerBinariesMissing: it is not here. Never skipped: what was not tried has not been seen to hold.
    """
    given = os.environ.get(SETTING)
    found = given or shutil.which("pgbouncer", path=os.pathsep.join((os.environ.get("PATH", ""), *PLACES)))
    if found is None or not os.access(found, os.X_OK):
        raise ServerBinariesMissing(
            f"PgBouncer is not here: {given or 'neither on PATH nor in ' + ', '.join(PLACES)}.",
            remedy="Run `make servers`, or install the package pgbouncer.",
        )
    return found


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
