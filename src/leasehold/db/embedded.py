"""The embedded server: no address was given, so this home has its own PostgreSQL.

What holds the truth: locks and the socket, never a remembered pid. The server runs if a supervisor holds watch.lock,
`postmaster.pid` says ready, and the socket accepts a connection. A process uses the server for as long as it holds a
shared lock on lease.lock; the kernel drops it even after kill -9, and the supervisor stops an unused server.

Layout: `home/postgres/` has `data`, the locks (`supervisor` says what each means), `log` and `control`. `location`
names another place when root's server account cannot enter the home: then `data` is in /var/lib/leasehold/<hash>.

Invariants: the lease is taken before looking, so a server that was seen running does not stop under its user. Starts
and stops hold start.lock; a start is one supervisor, and it reports through a pipe. Calling `ensure` when all is well
starts nothing; call it before every connect and reconnect.

Why `trust` is safe here: there is no network address, only a socket in a 0700 directory of the server's account.
Whoever can enter it could also read the data files: that account and root. An ordinary user's server runs as that
user; root's as an existing lesser account, where `peer` would refuse root, who can enter anyway.

Failure: everything that can be known beforehand (network file system, other owner, other major version, full disk) is
raised before anything is started or written; a server that does not start is raised with the end of its log.

Not here: the server's own life (`supervisor`), which programs (`binaries`), SQL, pools.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import select
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from leasehold.db import supervisor
from leasehold.db.binaries import (
    Account,
    Binaries,
    find_binaries,
    for_account,
    make_directory,
    reachable,
    server_account,
)
from leasehold.errors import DataDirectoryUnusable, DataDirectoryVersion, DiskFull, ServerStartFailed

ROOTS_PLACE = Path("/var/lib/leasehold")
FREE_BYTES_MIN = 200_000_000
SOCKET_BYTES_MAX = 100  # sun_path has room for 104 on macOS, 108 on Linux, its end mark included
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "fuse.sshfs"})
_POLL_S = 0.01


@dataclass(frozen=True)
class Server:
    """A server that was running a moment ago. `started`: this call started it."""

    url: str
    data_dir: Path
    socket_dir: Path
    version: str
    started: bool


@dataclass(frozen=True)
class ServerStatus:
    """What can be seen without starting anything. `version` is the major one while stopped, "" without data."""

    running: bool
    pid: int | None
    version: str
    data_dir: Path
    size_bytes: int
    users: bool
    log: Path


def ensure(home: Path, *, idle_grace_s: float = 60.0, start_timeout_s: float = 30.0) -> Server:
    """Make sure that the home's server runs, and stays while this process lives.

    Args:
        idle_grace_s: How long the server stays after its last user; negative: for ever. The starter's value counts.
        start_timeout_s: How long to wait until it accepts connections. A start that takes longer is not ended: the
            server may be replaying its log after a crash.

    Raises:
        ServerBinariesMissing, DataDirectoryUnusable, DataDirectoryVersion, DiskFull: Before anything was started.
        ServerStartFailed: The server ended, or was not ready in time; the message has the end of its log.
    """
    user = _user_of(home)
    deadline = time.monotonic() + start_timeout_s
    with user.turn:
        try:
            user.hold(deadline)
            return _attach(user.dir) or _start(user.dir, idle_grace_s, deadline)
        except PermissionError as exc:
            raise _not_ours(user.dir, exc) from exc
        except OSError as exc:
            raise DataDirectoryUnusable(f"{user.dir} cannot be used: {exc}") from exc


def status(home: Path) -> ServerStatus:
    """Look; start and make nothing. `users` means others than this process."""
    user = _user_of(home)
    data = _data_dir(user.dir)
    try:
        with user.turn:
            server, users = _attach(user.dir), user.others()
        known = supervisor.postmaster(str(data)) if server else None
        version = server.version if server else _major(data)
    except PermissionError as exc:
        raise _not_ours(user.dir, exc) from exc
    pid = known.pid if known else None
    return ServerStatus(server is not None, pid, version, data, _size(data), users, user.dir / "log")


def stop(home: Path, *, timeout_s: float = 30) -> None:
    """Stop the server now, whoever uses it; returns when it has ended. The next `ensure` starts it again.

    Raises:
        ServerStartFailed: It still runs after *timeout_s*.
    """
    directory = _user_of(home).dir
    deadline = time.monotonic() + timeout_s
    if not directory.is_dir():
        return
    try:
        turn = _start_turn(directory, deadline)
        try:
            _ask_and_wait(directory, deadline)
        finally:
            supervisor.drop(turn)
    except PermissionError as exc:
        raise _not_ours(directory, exc) from exc


def release(home: Path) -> None:
    """Give up this process's lease; the server stops when the others have gone too."""
    user = _user_of(home)
    with user.turn:
        user.leave()


# -- this process as a user -------------------------------------------------------------------------------------------


class _User:
    """This process's lease on one home. A forked child shares it, and keeps it when the parent ends."""

    def __init__(self, directory: Path) -> None:
        self.dir, self.turn = directory, threading.RLock()
        self.fd: int | None = None

    def hold(self, deadline: float) -> None:
        path = self.dir / "lease.lock"
        if self.fd is not None and not _same_file(self.fd, path):
            self.leave()  # the home was removed and perhaps made anew
        if self.fd is None:
            make_directory(self.dir, 0o711 if os.geteuid() == 0 else 0o700)  # root's server account passes through
            self.fd = supervisor.take(str(path), fcntl.LOCK_SH, max(0.0, deadline - time.monotonic()))
        if self.fd is None:
            raise ServerStartFailed(f"The server of {self.dir} is stopping, and did not end in time.")

    def leave(self) -> None:
        if self.fd is not None:
            os.close(self.fd)  # not unlocked: a forked child may still use it
            self.fd = None

    def others(self) -> bool:
        """Whether another process holds the lease: then it cannot be had exclusively.

        Source: flock(2): a failed conversion loses the old lock, hence it is taken again at once; the supervisor
        wants two sightings before it believes that nobody is left.
        """
        path = str(self.dir / "lease.lock")
        if not os.path.exists(path):
            return False
        if self.fd is None:
            probe = supervisor.take(path, fcntl.LOCK_EX)
            if probe is not None:
                supervisor.drop(probe)
            return probe is None
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            return False
        finally:
            fcntl.flock(self.fd, fcntl.LOCK_SH)


_users: dict[Path, _User] = {}
_users_turn = threading.Lock()


def _user_of(home: Path) -> _User:
    directory = home.expanduser().resolve() / "postgres"
    with _users_turn:
        return _users.setdefault(directory, _User(directory))


def _after_fork() -> None:
    """Another thread may have been in its turn when we were forked; it does not exist here."""
    global _users_turn  # noqa: PLW0603
    _users_turn = threading.Lock()
    for user in _users.values():
        user.turn = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


# -- attaching --------------------------------------------------------------------------------------------------------


def _attach(directory: Path) -> Server | None:
    """The running server, or None. A few file reads and one connect; it starts nothing."""
    watch = str(directory / "watch.lock")
    if not supervisor.held(watch):
        return None
    data = _data_dir(directory)
    known = supervisor.postmaster(str(data))
    if known is None or not known.ready or not _answers(known.socket_dir):
        return None
    try:
        version = str(json.loads(Path(watch).read_text(encoding="utf-8"))["version"])
    except (ValueError, KeyError):
        return None  # the supervisor is writing it
    return Server(_url(known.socket_dir), data, Path(known.socket_dir), version, started=False)


def _answers(socket_dir: str) -> bool:
    """Whether somebody listens: a dead postmaster's socket refuses, whatever its pid file still says."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.path.join(socket_dir, f".s.PGSQL.{supervisor.PORT}"))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            return True  # too busy to accept is alive
        return True


def _url(socket_dir: str) -> str:
    """The port is named, since PGPORT would otherwise change it."""
    host = quote(socket_dir, safe="")
    return f"postgresql://{supervisor.DATABASE}@/{supervisor.DATABASE}?host={host}&port={supervisor.PORT}"


# -- starting and stopping --------------------------------------------------------------------------------------------


def _start_turn(directory: Path, deadline: float) -> int:
    turn = supervisor.take(str(directory / "start.lock"), fcntl.LOCK_EX, max(0.0, deadline - time.monotonic()))
    if turn is None:
        raise ServerStartFailed(f"Another process has been starting or stopping the server of {directory} all along.")
    return turn


def _start(directory: Path, idle_grace_s: float, deadline: float) -> Server:
    turn = _start_turn(directory, deadline)
    try:
        mine = False
        while True:
            server = _attach(directory)
            if server is not None:
                return Server(server.url, server.data_dir, server.socket_dir, server.version, started=mine)
            _check_deadline(directory, deadline)
            if supervisor.held(str(directory / "watch.lock")):
                time.sleep(_POLL_S)  # it starts, recovers or ends; each shows soon
            else:
                mine = True
                _launch(directory, idle_grace_s, deadline)
    finally:
        supervisor.drop(turn)


def _check_deadline(directory: Path, deadline: float) -> None:
    if time.monotonic() >= deadline:
        log = directory / "log"
        said = supervisor.tail(str(log))
        if "No space left on device" in said:
            raise DiskFull(f"The embedded PostgreSQL server cannot start: no space left in {directory}.")
        raise ServerStartFailed(
            f"The server of {directory} was not ready in time. Last lines of {log}:\n{said}",
            remedy=f"If {log} speaks of recovery, wait and try again; otherwise correct what it names.",
        )


def _launch(directory: Path, idle_grace_s: float, deadline: float) -> None:
    """Start a supervisor and wait until it reports, ends or the time is over. Raises what it reports."""
    plan = _plan(directory, idle_grace_s)
    log = directory / "log"
    before = log.stat().st_size if log.exists() else 0
    ours, theirs = os.pipe()
    try:
        try:
            _spawn([*plan, f"--report_fd={theirs}"], log, theirs)
        finally:
            os.close(theirs)
        words = _read_report(ours, deadline)
    finally:
        os.close(ours)
    if "failed" in words:
        said = supervisor.tail(str(log), since=before)
        if "No space left on device" in said:
            raise DiskFull(f"The embedded PostgreSQL server did not start: no space left in {directory}.")
        raise ServerStartFailed(
            f"The embedded PostgreSQL server did not start: {words['failed']}. Last lines of {log}:\n{said}"
        )


def _spawn(arguments: list[str], log: Path, report: int) -> None:
    """By path and isolated, so that neither our packages nor the user's environment is loaded into it."""
    command = [sys.executable or "python3", "-I", "-S", supervisor.__file__, *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "TZ", "LD_LIBRARY_PATH") if name in os.environ}
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**kept, "LC_ALL": "C"},
            cwd="/",
            pass_fds=(report,),
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(output)


def _read_report(fd: int, deadline: float) -> dict[str, object]:
    """What the supervisor says; nothing when it was killed first or takes too long: the caller looks for itself."""
    readable, _, _ = select.select([fd], [], [], max(0.0, deadline - time.monotonic()))
    if not readable:
        return {}
    with open(fd, "rb", closefd=False) as pipe:
        line = pipe.readline()
    words: dict[str, object] = json.loads(line) if line.endswith(b"\n") else {}
    return words


def _ask_and_wait(directory: Path, deadline: float) -> None:
    server_lock = str(_data_dir(directory).parent / "server.lock")
    with suppress(FileNotFoundError, OSError):  # no reader: no supervisor
        control = os.open(directory / "control", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.write(control, b"stop\n")
        os.close(control)
    while supervisor.held(str(directory / "watch.lock")) or supervisor.held(server_lock):
        if time.monotonic() >= deadline:
            raise ServerStartFailed(f"The server of {directory} did not stop in time.")
        time.sleep(_POLL_S)


# -- what to run and where --------------------------------------------------------------------------------------------


def _plan(directory: Path, idle_grace_s: float) -> list[str]:
    """The supervisor's command line, after everything that can be known to be wrong has been looked at."""
    binaries = find_binaries()
    data = _data_dir(directory)
    account = server_account(data.stat().st_uid if data.is_dir() else None)
    if account is not None:
        data = _place_for(directory, data, account)
    _check(data, binaries, account)
    if account is not None:
        binaries = for_account(binaries, account, ROOTS_PLACE)
    socket_dir = _socket_dir(directory, data, account)
    options = {
        "bin_dir": binaries.bin_dir,
        "version": binaries.version,
        "data_dir": data,
        "socket_dir": socket_dir,
        "lock_dir": directory,
        "idle_grace_s": idle_grace_s,
        "account": f"{account.uid}:{account.gid}" if account else "",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _data_dir(directory: Path) -> Path:
    try:
        return Path((directory / "location").read_text(encoding="utf-8").rstrip("\n"))
    except FileNotFoundError:
        return directory / "data"


def _place_for(directory: Path, data: Path, account: Account) -> Path:
    """Where the account can work: the given place if it can enter it, else a new one that `location` remembers."""
    location = directory / "location"
    if location.exists() and not data.parent.is_dir():
        raise DataDirectoryUnusable(
            f"{location} says that the data is in {data}, but {data.parent} is not there.",
            remedy=f"Bring {data.parent} back (is a volume missing?), or remove {location} to start with empty data.",
        )
    if location.exists() or reachable(data.parent, account):
        return data
    if data.exists():
        raise DataDirectoryUnusable(
            f"{data} belongs to account {account.name}, which can no longer enter it.",
            remedy=f"Let {account.name} enter every folder above it (chmod o+x), or choose another LEASEHOLD_HOME.",
        )
    mark = blake2b(os.fsencode(directory), digest_size=8).hexdigest()
    make_directory(ROOTS_PLACE, 0o755)
    make_directory(ROOTS_PLACE / mark, 0o711)
    place = ROOTS_PLACE / mark / "data"
    unfinished = directory / "location.new"
    unfinished.write_text(f"{place}\n", encoding="utf-8")
    unfinished.rename(location)
    return place


def _socket_dir(directory: Path, data: Path, account: Account | None) -> Path:
    """The data directory; where the kernel would find the address too long, or libpq see two, a private one.

    Source: a comma in libpq's `host` separates hosts, and cannot be quoted (PostgreSQL manual, "Connection Strings").
    """
    name = f"/.s.PGSQL.{supervisor.PORT}"
    if len(os.fsencode(data)) + len(name) <= SOCKET_BYTES_MAX and "," not in str(data):
        return data
    uid = account.uid if account else os.geteuid()
    mark = f"leasehold-{uid}-{blake2b(os.fsencode(directory), digest_size=6).hexdigest()}"
    for parent in filter(None, (os.environ.get("XDG_RUNTIME_DIR"), "/tmp")):
        short = Path(parent).is_dir() and len(os.fsencode(parent)) + 1 + len(mark) + len(name) <= SOCKET_BYTES_MAX
        if (
            short
            and "," not in parent
            and os.access(parent, os.W_OK)
            and (account is None or reachable(Path(parent), account))
        ):
            return _private(Path(parent, mark), uid)
    raise DataDirectoryUnusable(
        f"{data} cannot hold the socket (long path, or a comma), and no other directory was found for it."
    )


def _private(path: Path, uid: int) -> Path:
    """A 0700 directory of *uid*. In a public place somebody may have been there first: owner and mode are checked."""
    with suppress(FileExistsError):
        path.mkdir(0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() != uid:
        os.chown(path, uid, -1, follow_symlinks=False)
        found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) != 0o700:
        raise DataDirectoryUnusable(
            f"{path} should be a private directory (0700) of account {uid}, but somebody else made it.",
            remedy=f"Remove {path}, or choose a LEASEHOLD_HOME with a path under 80 characters.",
        )
    return path


# -- what would go wrong ----------------------------------------------------------------------------------------------


def _check(data: Path, binaries: Binaries, account: Account | None) -> None:
    uid = account.uid if account else os.geteuid()
    _check_file_system(data.parent)
    if (data / "PG_VERSION").exists():
        _check_owner(data, uid)
        _check_version(data, binaries)
        return
    if data.exists() and any(data.iterdir()):
        raise DataDirectoryUnusable(f"{data} is not empty, and not a data directory of PostgreSQL: no PG_VERSION.")
    if not os.access(data.parent, os.W_OK | os.X_OK):
        raise DataDirectoryUnusable(f"{data.parent} cannot be written to by account {os.geteuid()}.")
    _check_account(uid)
    _check_space(data.parent)


def network_file_system(path: str, mounts: str) -> str | None:
    """The type of the network file system that holds *path*, or None for a local one.

    Args:
        path: Absolute, links resolved.
        mounts: The text of /proc/mounts; the last of the longest mount points that contain the path decides.
    """
    longest, kind = "", ""
    for line in mounts.splitlines():
        point, found = line.split(" ")[1:3]
        for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
            point = point.replace(code, char)
        if f"{path}/".startswith(f"{point.rstrip('/')}/") and len(point) >= len(longest):
            longest, kind = point, found
    return kind if kind in NETWORK else None


def _check_file_system(place: Path) -> None:
    """Where there is no mount table (macOS) nothing is refused."""
    try:
        mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = network_file_system(str(place.resolve()), mounts)
    if kind is not None:
        raise DataDirectoryUnusable(
            f"{place} is on a network file system ({kind}), where locks and syncs cannot be relied upon.",
            remedy="Choose a local disk with LEASEHOLD_HOME, or give a server with --database.",
        )


def _check_owner(data: Path, uid: int) -> None:
    owner = data.stat().st_uid
    if owner != uid:
        raise DataDirectoryUnusable(
            f"{data} belongs to account {_name(owner)}, not to {_name(uid)}; PostgreSQL serves its owner only.",
            remedy=f"Run as {_name(owner)}, choose another LEASEHOLD_HOME, or share a server with --database.",
        )


def _check_version(data: Path, binaries: Binaries) -> None:
    found = _major(data)
    if found == str(binaries.major):
        return
    url = _url(str(data))
    raise DataDirectoryVersion(
        f"{data} was made by PostgreSQL {found}; the programs in {binaries.bin_dir} are version {binaries.version}.",
        remedy=f"Use version {found} again by setting LEASEHOLD_PG_BIN to its bin folder. To move to "
        f"{binaries.major}: with that set and the server running, `pg_dump -Fc -f leasehold.dump '{url}'`; stop it, "
        f"`mv {data} {data}.{found}`, unset LEASEHOLD_PG_BIN, start again, and "
        f"`pg_restore --exit-on-error -d '{url}' leasehold.dump`.",
    )


def _check_account(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError as exc:
        raise ServerStartFailed(
            f"This process runs as uid {uid}, which has no entry in the account database; initdb needs one.",
            remedy="Give the uid a line in /etc/passwd, or give a server with --database.",
        ) from exc


def _check_space(place: Path) -> None:
    disk = os.statvfs(place)
    free = disk.f_bavail * disk.f_frsize
    if free < FREE_BYTES_MIN:
        raise DiskFull(f"{place} has {free // 1_000_000} MB free; a new server needs {FREE_BYTES_MIN // 1_000_000} MB.")


def _not_ours(directory: Path, exc: PermissionError) -> DataDirectoryUnusable:
    return DataDirectoryUnusable(
        f"Account {_name(os.geteuid())} may not use {exc.filename or directory}: {exc.strerror}.",
        remedy=f"Run as the owner of {directory.parent}, or choose a directory of your own with LEASEHOLD_HOME.",
    )


# -- small facts ------------------------------------------------------------------------------------------------------


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _major(data: Path) -> str:
    try:
        return (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _size(data: Path) -> int:
    """Bytes in files, as they are while others write and remove them."""
    total = 0
    for folder, _, files in os.walk(data):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_size
    return total


def _same_file(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False
