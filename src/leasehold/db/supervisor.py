"""The supervisor: the parent of one embedded PostgreSQL server, from the first `initdb` to the last user's leave.

What holds the truth: four `flock`s, because the kernel drops a lock however its holder ends, and because no lock is
ever a zombie or a reused process number.

    lease.lock    shared, one per user process; the supervisor asks for it exclusively to learn that nobody is left
    start.lock    exclusive, held by whoever starts or stops the server (`embedded`)
    watch.lock    exclusive, held by the supervisor for its lifetime; its text says which pid and which version
    server.lock   beside the data directory, exclusive, *inherited* by the postmaster and every process it forks

Invariants: a postmaster is only started while no process of an earlier one is alive (server.lock was free), and only
then are its left-over lock files removed. A directory named `data` is always complete: `initdb`, the database and
the sync happen beside it and one rename makes it appear. The supervisor outlives its starter: it has its own session,
none of the starter's descriptors, and stays until nobody has held a lease for `idle_grace_s`.

Failure: a dead postmaster is reaped and started again at once; if it refuses to start, the supervisor reports why and
leaves. A dead supervisor takes the postmaster along (Linux: parent-death signal; elsewhere the next supervisor ends the
orphan before it starts its own). A removed home ends both.

Not here: who may use which directory (`embedded`), which programs (`binaries`), SQL. This file imports nothing of
Leasehold and little of the standard library: it is started by its path, and stays small in memory for days.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from binascii import crc32
from collections.abc import Callable
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LOG_BYTES_MAX = 4_000_000  # and as much again in `log.1`
DEATHS_MAX = 5  # postmasters killed one after the other before one was ready
DATABASE = "leasehold"
PORT = 5432  # part of the socket's file name only; nothing listens on a network
ENDING = ((signal.SIGINT, 25.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 4.0))  # fast, immediate, by force; seconds

SETTINGS = """\
# Written by Leasehold at every start. Your own settings go after the include line in postgresql.conf.
listen_addresses = ''
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 128MB
wal_level = minimal
max_wal_senders = 0
wal_compression = on
max_wal_size = 2GB
checkpoint_timeout = 15min
fsync = on
synchronous_commit = on
random_page_cost = 1.1
jit = off
client_connection_check_interval = 5s
idle_in_transaction_session_timeout = 10min
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
"""


class Failed(Exception):
    """The server cannot be started; the text is for the person who waits for it."""


class Plan:
    """What to run and where: the command line, as attributes. `user` is None when the account is not changed."""

    def __init__(self, **given: str) -> None:
        self.bin_dir, self.version = given["bin_dir"], given["version"]
        self.data_dir, self.socket_dir = given["data_dir"], given["socket_dir"]
        self.lock_dir = given["lock_dir"]
        self.idle_grace_s = float(given["idle_grace_s"])
        self.report_fd = int(given["report_fd"])
        user, _, group = given["account"].partition(":")
        self.user = int(user) if user else None
        self.group = int(group) if user else None
        self.extra_groups: list[int] | None = [] if user else None

    @property
    def place(self) -> str:
        return os.path.dirname(self.data_dir)

    def program(self, name: str) -> str:
        return os.path.join(self.bin_dir, name)

    def lock(self, name: str) -> str:
        return os.path.join(self.place if name == "server" else self.lock_dir, f"{name}.lock")


# -- what the outside reads too ---------------------------------------------------------------------------------------


def take(path: str, how: int, within_s: float = 0.0) -> int | None:
    """A descriptor that holds the lock of *path*, or None when it could not be had in time. Never inherited."""
    deadline = time.monotonic() + within_s
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
            time.sleep(0.01)
        except BaseException:
            os.close(fd)
            raise
        else:
            return fd


def drop(fd: int) -> None:
    """Give a lock back. Said to the kernel: a closed descriptor may live on in a process forked meanwhile."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def held(path: str) -> bool:
    """Whether anybody holds the lock exclusively. Asked with a shared lock, so that askers never see each other."""
    if not os.path.exists(path):
        return False
    fd = take(path, fcntl.LOCK_SH)
    if fd is not None:
        drop(fd)
    return fd is None


class Postmaster:
    """What a running postmaster says of itself in `postmaster.pid`; stale after a kill, so never the only witness."""

    def __init__(self, lines: list[str]) -> None:
        self.pid, self.socket_dir, self.ready = int(lines[0]), lines[4], lines[7].strip() == "ready"


def postmaster(data_dir: str) -> Postmaster | None:
    """The content of `postmaster.pid`; None while there is none or it is half written."""
    try:
        with open(os.path.join(data_dir, "postmaster.pid"), encoding="utf-8", errors="surrogateescape") as file:
            return Postmaster(file.read().splitlines())
    except (FileNotFoundError, IndexError, ValueError):
        return None


def tail(path: str, lines: int = 12, since: int = 0) -> str:
    """The last lines of a log, at most 8 kB of them, none from before the byte *since*."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0 if since > size else since, size - 8192))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


# -- running programs -------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """One line to the log, which is this process's stderr."""
    os.write(2, f"{time.strftime('%Y-%m-%d %H:%M:%S')} [supervisor {os.getpid()}] {text}\n".encode(errors="replace"))


def tied(signum: int) -> Callable[[], None] | None:
    """For a child, between fork and exec: have the kernel send *signum* when this process is gone (Linux only)."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def tie() -> None:
        prctl(1, int(signum), 0, 0, 0)  # PR_SET_PDEATHSIG; after setuid, which would clear it
        if os.getppid() != parent:  # we died before the kernel was asked
            os._exit(1)

    return tie


def run(plan: Plan, program: str, *arguments: str, stdin: bytes = b"") -> None:
    """Run a program of PostgreSQL to its end as the server's account; it dies with us. Raises Failed."""
    done = subprocess.run(
        [plan.program(program), *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        cwd="/",
        preexec_fn=tied(signal.SIGKILL),
        user=plan.user,
        group=plan.group,
        extra_groups=plan.extra_groups,
    )
    if done.returncode != 0:
        output = done.stdout.decode(errors="replace").strip()
        raise Failed(f"{program} failed (exit {done.returncode}): {' | '.join(output.splitlines()[-6:])}")


# -- the data directory -----------------------------------------------------------------------------------------------


def initialise(plan: Plan) -> None:
    """Make the data directory, with the database in it, unless it is there. Beside, then one rename.

    Source: `postgres --single` runs SQL before any server does (PostgreSQL manual, "postgres"), so a directory that
    bears the name `data` never lacks its database.
    """
    _write_settings(plan)
    _remove_unfinished(plan)
    if os.path.exists(os.path.join(plan.data_dir, "PG_VERSION")):
        return
    unfinished = os.path.join(plan.place, f"initdb-{os.getpid()}")
    try:
        _initdb(plan, unfinished)
        create = f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8';\n".encode()
        run(plan, "postgres", "--single", "-F", "-c", "exit_on_error=on", "-D", unfinished, "postgres", stdin=create)
        run(plan, "initdb", "--sync-only", "-D", unfinished)
        os.rename(unfinished, plan.data_dir)
    except OSError as exc:
        raise Failed(f"{plan.data_dir} could not be made: {exc}") from exc
    finally:
        _remove_unfinished(plan)
    _sync(plan.place)


def _initdb(plan: Plan, directory: str) -> None:
    """Run initdb with byte order for sorting and Unicode letters, as far as this machine knows them.

    LC_CTYPE matters even beside the builtin provider: full-text search up to 17 asks it what a letter is, and under
    plain C every character beyond ASCII is one, dashes and curly quotes too.
    """
    common = ["-D", directory, "-U", DATABASE, "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync"]
    common += ["--auth-local=trust", "--auth-host=reject", "--no-instructions"]
    if int(plan.version.partition(".")[0]) >= 17:
        common += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    for ctype in ("C.UTF-8", "en_US.UTF-8", "C"):
        _fresh(plan, directory)
        try:
            run(plan, "initdb", f"--lc-ctype={ctype}", *common)
            break
        except Failed as failed:
            if ctype == "C" or "locale" not in str(failed):
                raise
    fd = os.open(os.path.join(directory, "postgresql.conf"), os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    os.write(fd, b"\ninclude = '../leasehold.conf'  # Leasehold's settings; yours go below this line\n")
    os.close(fd)


def _fresh(plan: Plan, directory: str) -> None:
    _remove_unfinished(plan)
    os.mkdir(directory, 0o700)
    if plan.user is not None and plan.group is not None:
        os.chown(directory, plan.user, plan.group)


def _write_settings(plan: Plan) -> None:
    """Outside the data directory: its owner may be a lesser account, which must not steer where we write."""
    path = os.path.join(plan.place, "leasehold.conf")
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(SETTINGS)
        os.fchmod(file.fileno(), 0o644)
    os.rename(f"{path}.new", path)


def _remove_unfinished(plan: Plan) -> None:
    for name in os.listdir(plan.place):
        if name.startswith("initdb-"):
            import shutil

            shutil.rmtree(os.path.join(plan.place, name), ignore_errors=True)


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


# -- the server's processes -------------------------------------------------------------------------------------------


def start(plan: Plan) -> subprocess.Popen[bytes]:
    """Start a postmaster that holds server.lock; first end what is left of an earlier one."""
    lock = _sole_right(plan)
    leftovers = [os.path.join(plan.data_dir, "postmaster.pid")]
    leftovers += [os.path.join(plan.socket_dir, f".s.PGSQL.{PORT}{end}") for end in (".lock", "")]
    for path in leftovers:
        if os.path.lexists(path):
            os.unlink(path)
    quoted = plan.socket_dir.replace('"', '""')
    command = [plan.program("postgres"), "-D", plan.data_dir, "-p", str(PORT), "-k", f'"{quoted}"']
    command += ["-c", f"cluster_name={_cluster_name(plan.data_dir)}"]
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            cwd="/",
            pass_fds=(lock,),
            preexec_fn=tied(signal.SIGINT),  # noqa: PLW1509 - this process has one thread
            user=plan.user,
            group=plan.group,
            extra_groups=plan.extra_groups,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise Failed(f"{plan.program('postgres')} could not be run: {exc}") from exc
    finally:
        os.close(lock)  # not `drop`: the postmaster has it now


def _sole_right(plan: Plan) -> int:
    """server.lock; processes of an earlier server that still hold it are asked to end, then made to."""
    lock = take(plan.lock("server"), fcntl.LOCK_EX, 0.1)
    for signum, within_s in ENDING:
        if lock is not None:
            return lock
        for pid in _survivors(plan.data_dir):
            say(f"process {pid} of an earlier server still runs: {signum.name}")
            _signal(pid, signum)
        lock = take(plan.lock("server"), fcntl.LOCK_EX, min(within_s, 5.0))
    if lock is None:
        raise Failed(f"processes of an earlier server still use {plan.data_dir}")
    return lock


def _survivors(data_dir: str) -> list[int]:
    """PostgreSQL's processes in the data directory, which is their working directory."""
    if not os.path.isdir("/proc/self"):
        return _survivors_by_title(data_dir)
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            program = os.path.basename(os.readlink(f"/proc/{name}/exe"))
            if program.startswith("postgres") and os.readlink(f"/proc/{name}/cwd") == data_dir:
                found.append(int(name))
        except OSError:
            continue
    return found


def _survivors_by_title(data_dir: str) -> list[int]:
    """Without /proc: the postmaster's command line names the directory, its children's titles the cluster's name."""
    shown = subprocess.run(["ps", "-axww", "-o", "pid=,command="], stdout=subprocess.PIPE, check=False).stdout
    marks = (f"postgres -D {data_dir} ", f"postgres: {_cluster_name(data_dir)}: ")
    lines = shown.decode(errors="surrogateescape").splitlines()
    return [int(line.split()[0]) for line in lines if any(mark in line for mark in marks)]


def _cluster_name(data_dir: str) -> str:
    return f"leasehold-{crc32(os.fsencode(data_dir)):08x}"


def _signal(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


# -- the watch --------------------------------------------------------------------------------------------------------


class Supervisor:
    """One watch over one server: started, attended, restarted, stopped."""

    def __init__(self, plan: Plan, watch: int) -> None:
        self.plan, self.watch = plan, watch
        self.stop_asked = self.ready = False
        self.deaths = 0
        self.idle_since: float | None = None
        self.tick_s = min(1.0, max(0.05, plan.idle_grace_s / 5)) if plan.idle_grace_s >= 0 else 1.0
        self.control = _control(plan)
        self.wake, alarm = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(alarm, False)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._ask_stop)

    def _ask_stop(self, *_: object) -> None:
        self.stop_asked = True

    def run(self) -> None:
        """Initialise, then start the server again and again until it is stopped on purpose. Raises Failed."""
        initialise(self.plan)
        while True:
            self.ready = False
            server = start(self.plan)
            say(f"postmaster {server.pid} started, PostgreSQL {self.plan.version}, {self.plan.data_dir}")
            if self._attend(server):
                return
            self._consider(server.returncode)

    def _attend(self, server: subprocess.Popen[bytes]) -> bool:
        """Watch until the server was stopped on purpose (True) or died (False)."""
        while server.poll() is None:
            if not self.ready and (now := postmaster(self.plan.data_dir)) and now.ready and now.pid == server.pid:
                self.ready, self.deaths = True, 0
                report(self.plan, {"ready": True})
            reason = self._reason_to_stop()
            if reason is not None:
                say(f"stopping: {reason}")
                stop(server, by_force=reason == "removed")
                return True
            _bound_log(os.path.join(self.plan.lock_dir, "log"))
            self._pause()
        return False

    def _consider(self, returncode: int) -> None:
        """After a death: return to start again, or raise Failed where another try would end the same way."""
        say(f"postmaster ended by itself ({returncode})")
        if self.ready:
            return
        self.deaths += 1
        if returncode > 0 or self.deaths >= DEATHS_MAX:
            raise Failed(f"postgres ended before it was ready (exit {returncode})")

    def _reason_to_stop(self) -> str | None:
        if self.stop_asked:
            return "asked to"
        if not _same_file(self.watch, self.plan.lock("watch")):
            return "removed"
        return "unused" if self._unused() else None

    def _unused(self) -> bool:
        """Whether the grace is over. If so the exclusive lease stays ours, so that newcomers wait for our end.

        Two sightings at least: a user who counts the others lets go of its lease for a moment (`embedded.status`).
        """
        if self.plan.idle_grace_s < 0:
            return False
        lease = take(self.plan.lock("lease"), fcntl.LOCK_EX)
        if lease is None:
            self.idle_since = None
            return False
        now = time.monotonic()
        seen_before, self.idle_since = self.idle_since, self.idle_since or now
        if seen_before is not None and now - seen_before >= self.plan.idle_grace_s:
            return True
        drop(lease)
        return False

    def _pause(self) -> None:
        """Until a signal, a word on the control pipe or the next tick."""
        ready, _, _ = select.select([self.wake, self.control], [], [], self.tick_s if self.ready else 0.01)
        for fd in ready:
            word = os.read(fd, 512)
            if fd == self.control and b"stop" in word:
                self.stop_asked = True


def stop(server: subprocess.Popen[bytes], *, by_force: bool = False) -> None:
    """Fast shutdown; where that takes too long or the files are gone, an immediate one."""
    for signum, within_s in ENDING[1:] if by_force else ENDING:
        server.send_signal(signum)
        try:
            server.wait(within_s)
        except subprocess.TimeoutExpired:
            say(f"still running {within_s:g} s after {signum.name}")
        else:
            return


def _control(plan: Plan) -> int:
    """A named pipe to ask for the stop through: it names this supervisor even across process namespaces."""
    path = os.path.join(plan.lock_dir, "control")
    if os.path.lexists(path):
        os.unlink(path)
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _same_file(fd: int, path: str) -> bool:
    try:
        there = os.stat(path)
    except OSError:
        return False
    return os.path.samestat(os.fstat(fd), there)


def _bound_log(path: str) -> None:
    """Copy and truncate: the server appends to an open file, which therefore cannot be renamed away."""
    try:
        if os.stat(path).st_size < LOG_BYTES_MAX:
            return
        with open(path, "r+b") as log, open(f"{path}.1", "wb") as old:
            while block := log.read(65536):
                old.write(block)
            log.truncate(0)
    except OSError as exc:  # a full disk must not end the server's watch
        say(f"the log could not be bounded: {exc}")


# -- the process ------------------------------------------------------------------------------------------------------


def report(plan: Plan, words: dict[str, object]) -> None:
    """Tell the starter how it went, once. It may be gone; then nobody needs to know."""
    fd, plan.report_fd = plan.report_fd, -1
    if fd < 0:
        return
    try:
        os.write(fd, json.dumps(words).encode() + b"\n")
    except BrokenPipeError:
        pass
    finally:
        os.close(fd)


def supervise(plan: Plan) -> int:
    """Hold watch.lock, run the server, report; the exit code."""
    watch = take(plan.lock("watch"), fcntl.LOCK_EX, 2.0)
    if watch is None:
        report(plan, {"busy": True})
        return 0
    os.ftruncate(watch, 0)
    os.write(watch, json.dumps({"pid": os.getpid(), "version": plan.version}).encode())
    try:
        Supervisor(plan, watch).run()
        if plan.socket_dir != plan.data_dir:
            with suppress(OSError):
                os.rmdir(plan.socket_dir)  # made for this run, in a public place
    except Failed as failed:
        say(str(failed))
        report(plan, {"failed": str(failed)})
        return 1
    except Exception as exc:
        say(traceback.format_exc())
        report(plan, {"failed": f"the supervisor failed: {exc!r}"})
        return 1
    say("server stopped")
    return 0


def main(arguments: list[str]) -> NoReturn:
    """`--name=value …`, see Plan. Forks once, so that the starter has nothing to reap and we no terminal."""
    plan = Plan(**dict(argument.removeprefix("--").split("=", 1) for argument in arguments))
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o077)
    sys.exit(supervise(plan))


if __name__ == "__main__":
    main(sys.argv[1:])
