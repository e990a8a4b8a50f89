"""`leasehold lock` and `leasehold limit`: what they print and change, what they refuse, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from leasehold.cli import command
from leasehold.cli.app import run
from leasehold.kernel import groups, seats
from leasehold.kernel.holding import hold
from leasehold.kernel.seats import Seat
from leasehold.kernel.why import sentence, step_facts

LOCK = "backup:nightly"
LEASEHOLD = [sys.executable, "-m", "leasehold"]


@pytest.fixture
def call(database: str, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold …` on the test's database; (exit code, JSON)."""

    def go(*args: str) -> tuple[int, dict]:
        code = run([*args[:2], "--json", "--database", database, *args[2:]])
        return code, json.loads(capsys.readouterr().out)

    return go


@pytest.fixture
def tell(database: str, capsys: pytest.CaptureFixture[str]):
    """Runs `leasehold …` for a person; (exit code, what it printed)."""

    def go(*args: str) -> tuple[int, str]:
        code = run([*args[:2], "--database", database, *args[2:]])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return go


def take(kernel, name, key=LOCK, *, wait=False):
    return seats.take(kernel.session, kernel.holder(name), key, wait=wait)


def test_a_limit_is_set_shown_paused_resumed_and_removed(kernel, call, tell):
    kernel.add_runs(3)
    assert tell("limit", "set", "kind:work", "2") == (0, "kind:work: 0 of 2 seats taken, one per step\n")
    kernel.claim(n=3)
    assert tell("limit", "set", "kind:work", "1") == (0, "kind:work: 2 of 1 seat taken, one per step (it had 2)\n")
    (listed,) = call("limit", "list")[1]["limits"]
    assert (listed["key"], listed["seats"], listed["taken"], listed["paused"]) == ("kind:work", 1, 2, None)
    assert call("limit", "pause", "kind:work", "--for", "5m", "--why", "provider is down")[0] == 0
    assert call("limit", "list")[1]["limits"][0]["paused"]["why"] == "provider is down"
    assert call("limit", "resume", "kind:work")[1]["resumed"]
    assert call("limit", "remove", "kind:work")[1]["removed"]
    assert call("limit", "list")[1]["limits"] == []


def test_a_limit_for_a_kind_that_nobody_has_is_set_and_said(kernel, tell):
    kernel.add_runs(1)
    code, said = tell("limit", "set", "kind:wrok", "2")
    assert code == 0
    assert "no workflow has steps of kind 'wrok' yet; there are: work" in said


def test_locks_are_listed_with_who_has_them_and_who_waits(kernel, call, tell):
    assert tell("lock", "list") == (0, "nobody has a lock\n")
    take(kernel, "vacuum")
    take(kernel, "report", wait=True)
    (one,) = call("lock", "list")[1]["locks"]
    assert (one["key"], one["taken"], one["waiting"]) == (LOCK, 1, 1)
    assert one["taken_by"][0]["name"] == "vacuum"
    code, said = tell("lock", "why", LOCK)
    assert code == 0
    assert f"{LOCK}: 1 of 1 seat taken, one per page, 1 holder waiting" in said
    assert "worker vacuum (pid" in said
    assert "1. in line: worker report (pid" in said


def test_status_says_who_holds_a_lock(kernel, call, tell, clock):
    take(kernel, "vacuum")
    assert call("status")[1]["holders"][0]["seats"] == [LOCK]
    assert f"worker vacuum (pid {os.getpid()}): holds {LOCK}, heard 0 s ago" in tell("status")[1]


def test_a_living_holders_lock_is_broken_only_by_force_and_both_is_told(kernel, call, tell, clock):
    seat = take(kernel, "vacuum")
    code, said = call("lock", "break", LOCK)
    assert (code, said["error"]["code"]) == (4, "refused")
    assert "which lives" in said["error"]["message"]
    code, said = tell("lock", "break", LOCK, "--force", "--reason", "stuck since noon")
    assert code == 0
    assert f"{LOCK}: broken: worker vacuum, last heard 0 s ago" in said
    (audit,) = kernel.session.fetch("select by_whom, reason, forced, token from leasehold.seat_break")
    assert "@" in audit[0]
    assert audit[1:] == ("stuck since noon", True, seat.token)
    (told,) = call("lock", "why", LOCK)[1]["breaks"]
    assert (told["by"], told["name"], told["forced"], told["token"]) == (audit[0], "vacuum", True, seat.token)
    said = tell("lock", "why", LOCK)[1]
    assert f"by {audit[0]}, by force, from worker vacuum" in said
    assert "last heard 0 s before: stuck since noon" in said


def test_a_dead_holders_lock_is_broken_without_force_unless_it_was_heard_within_max_age(kernel, call, clock):
    take(kernel, "vacuum")
    clock.advance(100)
    assert call("lock", "break", LOCK, "--max-age", "30m")[0] == 4
    assert call("lock", "break", LOCK, "--max-age", "90s")[1]["broken"][0]["verdict"] == "broken"
    assert call("lock", "break", LOCK)[1]["broken"] == []


def test_breaking_all_spares_the_living_and_says_so(kernel, call, clock):
    take(kernel, "dead", "model:a")
    clock.advance(40)
    take(kernel, "alive", "model:b")
    code, said = call("lock", "break", "--all")
    assert code == 0
    assert [(one["key"], one["verdict"]) for one in said["broken"]] == [("model:a", "broken"), ("model:b", "living")]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["lock", "why", "backup:nihgtly"], 1, "Did you mean backup:nightly?"),
        (["lock", "break", "backup:other"], 1, "no limit or lock"),
        (["lock", "break"], 2, "a KEY, or --all"),
        (["lock", "break", "--all", "--force"], 2, "no living lock"),
        (["lock", "break", "backup:nightly", "--max-age", "soon"], 2, "no time"),
        (["lock", "why", "nonsense"], 2, "the key of a resource"),
        (["limit", "set", "kind:work", "many"], 2, "not a valid integer"),
        (["limit", "set", "kind:work", "-1"], 2, ""),
        (["limit", "set", "rag:/data/kb", "2"], 2, "one writer"),
        (["limit", "pause", "model:x"], 1, "no limit or lock"),
        (["limit", "resume", "model:x"], 1, "no limit or lock"),
        (["limit", "remove", "backup:nightly"], 4, "in use"),
        (["lock", "run", "backup:nightly", "--", "true"], 4, "is held by worker vacuum"),
        (["lock", "run", "model:x", "--", "no-such-program"], 1, "cannot be started"),
        (["lock", "run", "kind:work", "--", "true"], 1, "no limit kind:work"),
    ],
)
def test_mistakes_are_told_with_what_to_do(kernel, tell, args, code, says):
    take(kernel, "vacuum")
    answer, said = tell(*args)
    assert answer == code, said
    assert says in said
    assert "  -> " in said


def test_a_step_behind_a_taken_lock_says_whose_it_is(kernel):
    workflow = groups.register(kernel.session, "test", groups.chain("store"))
    group, _ = groups.open_group(kernel.session, workflow, seats={"store": LOCK})
    (run_id,) = kernel.add(group)

    def why():
        return sentence(step_facts(kernel.session, run_id * 1024))

    seat = take(kernel, "vacuum")
    assert f"is ready, but {LOCK} is held by worker vacuum (pid" in why()
    assert f"leasehold lock why {LOCK}" in why()
    seats.give_back(kernel.session, seat)
    assert "first in its lane" in why()
    seats.pause(kernel.session, LOCK, for_s=60, why="moving house")
    assert f"limit {LOCK} is paused for another" in why()
    assert "(moving house)" in why()
    seats.resume(kernel.session, LOCK)
    seats.set_limit(kernel.session, "kind:store", 2)
    for name in "ab":
        take(kernel, name, "kind:store")
    assert "kind:store has all of its 2 seats taken, by worker a" in why()


def test_a_command_runs_under_its_lock_and_ends_with_its_own_code(kernel, database):
    take(kernel, "else", "model:x")
    command = [*LEASEHOLD, "lock", "run", LOCK, "--database", database, "--"]
    done = subprocess.run(
        [*command, "sh", "-c", "echo token $SEAT_TOKEN --json; exit 7"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7, done.stderr
    token = int(done.stdout.split()[1])
    assert done.stdout == f"token {token} --json\n"
    assert token > 0
    assert seats.resources(kernel.session, LOCK)[0].taken == 0


def test_two_commands_under_one_lock_run_one_after_the_other_and_a_broken_one_is_stopped(kernel, database, tmp_path):
    def start(name, *options):
        script = f"echo {name} in >> log; while [ ! -e {name}.go ]; do sleep 0.02; done; echo {name} out >> log"
        command = [*LEASEHOLD, "lock", "run", LOCK, *options, "--database", database]
        return subprocess.Popen(
            [*command, "--", "sh", "-c", script], cwd=tmp_path, env={**os.environ, "LEASEHOLD_LEASE_TTL_S": "2",
            "LEASEHOLD_LEASE_HEARTBEAT_S": "0.3"}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def log():
        return (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []

    def until(condition):
        give_up_at = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < give_up_at, log()
            time.sleep(0.02)

    first = start("one")
    until(lambda: log() == ["one in"])
    second = start("two", "--wait", "60s")
    until(lambda: seats.line(kernel.session, LOCK))
    (tmp_path / "one.go").touch()
    until(lambda: log() == ["one in", "one out", "two in"])
    assert first.wait(20) == 0
    seats.break_(kernel.session, LOCK, by="me", force=True)
    assert second.wait(20) == 1
    assert "was taken away" in second.stderr.read()
    assert log() == ["one in", "one out", "two in"]
    first.stderr.close(), second.stderr.close()


def test_a_signal_to_the_command_under_a_lock_gives_the_lock_back(kernel, database):
    command = [*LEASEHOLD, "lock", "run", LOCK, "--database", database, "--", "sh", "-c"]
    process = subprocess.Popen([*command, "echo in; exec sleep 600"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "in\n"
    assert seats.resources(kernel.session, LOCK)[0].taken == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    process.stdout.close()
    assert seats.resources(kernel.session, LOCK)[0].taken == 0


@pytest.mark.parametrize("how", ["killed", "its lock broken", "interrupted", "hung up"])
def test_a_command_and_all_it_has_started_end_with_lock_run_however_that_ends(kernel, database, how):
    """Or they would work on without the lock, beside the next one who has it."""
    arguments = [*LEASEHOLD, "lock", "run", LOCK, "--database", database, "--", "sh", "-c"]
    kept = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and a child inherits that
    process = subprocess.Popen(
        [*arguments, "sleep 600 & echo $! $$; wait"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        start_new_session=True, env={**os.environ, "LEASEHOLD_LEASE_TTL_S": "2", "LEASEHOLD_LEASE_HEARTBEAT_S": "0.2"},
    )  # fmt: skip
    signal.signal(signal.SIGHUP, kept)
    started = [int(pid) for pid in process.stdout.readline().split()]
    for _ in range(2):  # heartbeats: it is not killed in the very moment of the start
        heard = kernel.session.fetch("select max(heartbeat_at) from leasehold.holder")
        eventually(lambda heard=heard: kernel.session.fetch("select max(heartbeat_at) from leasehold.holder") != heard)
    if how == "its lock broken":
        seats.break_(kernel.session, LOCK, by="me", force=True)
    else:
        process.send_signal({"killed": signal.SIGKILL, "interrupted": signal.SIGINT, "hung up": signal.SIGHUP}[how])
    eventually(lambda: not any(alive(pid) for pid in started))
    assert process.wait(20) == {"killed": -9, "interrupted": 130, "hung up": -signal.SIGHUP}.get(how, 1)
    assert process.stdout.read() == "", "nobody has kept the pipe"
    process.stdout.close()


def test_a_command_that_does_not_heed_the_word_is_killed_with_all_it_has_started(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "GRACE_S", 0.3)
    monkeypatch.setattr(command, "_at_a_terminal", lambda: False)
    script = f"trap '' TERM; sleep 600 & echo $! $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; wait"
    with command.Command(["sh", "-c", script], os.environ) as deaf:
        eventually((tmp_path / "pids").exists)
        assert deaf.wait(0.01) is None
        deaf.stop()
        assert deaf.wait(0.0) == 128 + signal.SIGKILL
    pids = (tmp_path / "pids").read_text().split()
    eventually(lambda: not any(alive(int(pid)) for pid in pids))


def eventually(holds, within_s=30.0):
    give_up_at = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Zombies are not: where nobody waits for orphans they stay in the table."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


def test_a_command_that_cannot_be_started_leaves_neither_guard_nor_lock(kernel, tell):
    code, said = tell("lock", "run", LOCK, "--", "/nowhere/at-all")
    assert (code, "cannot be started: No such file or directory" in said) == (1, True)
    assert seats.resources(kernel.session, LOCK)[0].taken == 0


def test_the_holder_of_the_command_line_and_of_a_program_meet(kernel, tell):
    with hold(kernel.session, LOCK, kind="web", name="server") as held:
        assert isinstance(held.seat, Seat)
        code, said = tell("lock", "run", LOCK, "--", "true")
        assert (code, "held by web server" in said) == (4, True)
    assert tell("lock", "run", LOCK, "--", "true")[0] == 0
