"""A keeper and its children, as real processes: who dies, who is blamed, what others may take, and what is left behind.

Method: kinds do what their items say (`worker_help`); what ran is read from a file, never guessed from time.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from worker_help import HERE, SHORT, ended, eventually, keeper_config, noted, submit

from leasehold.kernel import holders, pauses
from leasehold.options import LeaseOptions
from leasehold.worker.keeper import Happening, Keeper

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def children_can_import(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


class Story:
    """A keeper in this process, what happened to it, and the log of its steps."""

    def __init__(self, url: str, folder: Path, **options) -> None:
        self.log = folder / "log"
        self.gate = folder / "gate"
        self.happenings: list[Happening] = []
        self.keeper = Keeper(keeper_config(url, **options), self.happenings.append)

    def item(self, **what):
        return {"log": str(self.log), **what}

    def gated(self, **what):
        return self.item(until=str(self.gate), **what)

    def open_gate(self) -> None:
        self.gate.touch()

    def began(self, *steps: int):
        return [entry for entry in noted(self.log) if not steps or entry[0] in steps]

    def happened(self, what: str) -> list[Happening]:
        return [one for one in self.happenings if one.what == what]


@pytest.fixture
def story(database, tmp_path):
    with contextlib.ExitStack() as stack:

        def begin(**options) -> Story:
            made = Story(database, tmp_path, **options)
            stack.callback(made.keeper.stop, 0.0)
            stack.callback(made.open_gate)
            made.keeper.start()
            return made

        yield begin


# -- deaths -----------------------------------------------------------------------------------------------------------


def test_steps_of_a_killed_child_run_elsewhere_long_before_its_lease_is_over_and_none_of_them_is_charged(kernel, story):
    """Method: one child holds three running steps, the other one nothing. Those three are under suspicion, so one of
    them runs at a time; the first of them counts."""
    told = story(processes=2, consumers={"*": 3}, lease=LeaseOptions(ttl_s=60, heartbeat_s=0.3))
    both_are_up = told.log.with_name("both are up")
    warm_up = submit(kernel, [told.item(until=str(both_are_up)) for _ in range(6)], "gentle")
    eventually(lambda: len(told.began(*warm_up)) == 6)
    both_are_up.touch()
    eventually(lambda: ended(kernel, warm_up))
    steps = submit(kernel, [told.gated() for _ in range(3)], "gentle")
    eventually(lambda: len(told.began(*steps)) == 3)
    (victim,) = {pid for _, _, pid, _ in told.began(*steps)}
    killed_s = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(told.began(*steps)) == 4)
    _, _, pid, began_s = told.began(*steps)[3]
    print(f"running elsewhere after {(began_s - killed_s) * 1000:.0f} ms")
    assert pid != victim
    assert began_s - killed_s < 30, "the keeper gave them back, not the reaper"
    told.open_gate()
    eventually(lambda: ended(kernel, steps))
    assert [kernel.outcomes(step) for step in steps] == [[("succeeded", None)]] * 3
    assert {kernel.attempt(step) for step in steps} == {1}
    assert told.happened("died")[0].charged is None


def test_only_what_a_dead_child_was_working_on_is_under_suspicion_and_its_neighbours_go_back_as_they_were(
    kernel, story
):
    """The keeper reads it from the dead child's board. Method: two of ten leased steps have begun; the kind is paused,
    so that what goes back stays where it is."""
    told = story(processes=1, consumers={"*": 2}, kind_options={"prefetch": 8})
    steps = submit(kernel, [told.gated() for _ in range(10)], "gentle")
    eventually(lambda: len(told.began()) == 2 and {kernel.state(step) for step in steps} == {"leased"})
    pauses.pause(kernel.session, "kind", "gentle")
    os.kill(told.began()[0][2], signal.SIGKILL)
    eventually(lambda: told.happened("died"))
    assert {kernel.state(step) for step in steps} == {"ready"}
    assert {step for step in steps if kernel.alone(step)} == {step for step, _, _, _ in told.began()}
    pauses.resume(kernel.session, "kind", "gentle")
    told.open_gate()
    eventually(lambda: ended(kernel, steps))
    assert {kernel.attempt(step) for step in steps} == {1}


def test_a_step_that_was_all_its_dead_child_held_is_charged_and_runs_again_after_its_backoff(kernel, story):
    told = story(processes=2, consumers={"*": 2})
    (step,) = submit(kernel, [told.gated()], "gentle")
    ((_, _, pid, _),) = eventually(told.began)
    os.kill(pid, signal.SIGKILL)
    told.open_gate()
    eventually(lambda: ended(kernel, [step]))
    assert kernel.outcomes(step) == [("error", "holder died"), ("succeeded", None)]
    assert kernel.attempt(step) == 2
    assert told.happened("died")[0].charged == step


def test_a_step_that_kills_its_process_fails_after_its_attempts_alone_and_takes_no_neighbour_along(kernel, story):
    told = story(processes=1, consumers={"*": 4})
    steps = submit(kernel, [told.item(dies=n == 2, nap_s=0.05) for n in range(6)], "rough", attempts_max=2)
    eventually(lambda: ended(kernel, steps), within_s=40)
    killer = steps.pop(2)
    assert kernel.state(killer) == "failed"
    assert [end for end, _ in kernel.outcomes(killer)] == ["error", "failed"]
    assert [kernel.outcomes(step) for step in steps] == [[("succeeded", None)]] * 5


def test_a_cancel_by_another_process_reaches_a_running_step_within_a_heartbeat_and_leaves_its_neighbours(kernel, story):
    """The keeper's heartbeat hears of it and tells the child, which interrupts that one step; nobody is killed."""
    told = story(processes=1, consumers={"*": 2})
    steps = submit(kernel, [told.gated(), told.gated()], "gentle")
    eventually(lambda: len(told.began(*steps)) == 2)

    assert kernel.cancel_runs(steps[0] >> 10) == 1
    again = submit(kernel, [told.item()], "gentle")
    eventually(lambda: ended(kernel, again), within_s=20, what="its consumer is free for others")
    told.open_gate()
    eventually(lambda: ended(kernel, steps))

    assert [kernel.state(step) for step in steps] == ["cancelled", "succeeded"]
    assert {step for step, *_ in noted(told.log, "ended")} == {steps[1], again[0]}
    assert told.happened("died") == told.happened("timeout") == []
    assert kernel.refused() == 0
    kernel.check()


def test_a_function_that_keeps_the_interpreter_beyond_its_timeout_is_charged_and_its_neighbours_are_not(kernel, story):
    """No thread of the process could interrupt it: the keeper reads the board and kills.

    Neighbours that began with it stand still and exceed their time as well. The first kill then proves nothing and
    charges nobody; the culprit is found when it runs alone.
    """
    told = story(processes=1, consumers={"*": 3}, kind_options={"timeout_s": 1.0})
    steps = submit(kernel, [told.item(holds_s=60 if n == 1 else 0) for n in range(4)], "rough", attempts_max=1)
    eventually(lambda: ended(kernel, steps), within_s=30)
    hung = steps.pop(1)
    assert kernel.outcomes(hung) == [("failed", "timeout")]
    assert [kernel.outcomes(step) for step in steps] == [[("succeeded", None)]] * 3
    charged = eventually(lambda: [one.charged for one in told.happened("timeout") if one.charged is not None])
    assert charged == [hung]
    assert len(told.happened("timeout")) <= 2


def test_a_function_that_keeps_the_interpreter_for_twice_the_ttl_keeps_its_lease(kernel, story, second_session):
    told = story(processes=1, consumers={"*": 2})
    (step,) = submit(kernel, [told.item(holds_s=2 * SHORT.ttl_s)], "rough")
    eventually(told.began)
    reaped = []
    eventually(lambda: reaped.extend(holders.reap(second_session)) or ended(kernel, [step]))
    assert not reaped
    assert len(told.began(step)) == 1
    assert kernel.outcomes(step) == [("succeeded", None)]
    assert kernel.refused() == 0


# -- a stopped child, a full pipe -------------------------------------------------------------------------------------


def test_a_child_that_does_not_read_keeps_nobody_else_from_being_kept(kernel, story):
    """Method: one of two children is stopped, and told so much that its pipe is full many times over."""
    told = story(processes=2, consumers={"*": 1})
    eventually(lambda: len(told.happened("started")) == 2)
    eventually(lambda: len(told.keeper.holder_ids()) == 2)
    stopped = next(iter(told.keeper._children.values()))
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        for _ in range(50):
            stopped.beaten(time.monotonic(), holders.Kept(frozenset(range(10_000))))
        assert 0 < len(stopped._unsent) < 200_000
        confirmed_s = told.keeper._beats.confirmed_s
        eventually(lambda: told.keeper._beats.confirmed_s > confirmed_s + 3 * SHORT.heartbeat_s)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    eventually(lambda: not stopped._unsent)


def test_a_child_whose_holder_was_reaped_is_told_so_and_replaced(kernel, story):
    told = story(processes=1)
    (first,) = eventually(told.keeper.pids)
    (holder_id,) = eventually(told.keeper.holder_ids)
    holders.leave(kernel.session, holder_id)
    eventually(lambda: told.keeper.pids() not in ([], [first]))
    (step,) = submit(kernel, [told.item()], "gentle")
    eventually(lambda: ended(kernel, [step]))
    assert told.keeper.restarts == 0  # nobody's fault


# -- crash loops and what they leave ----------------------------------------------------------------------------------


def test_children_that_cannot_start_are_tried_again_ever_later_and_leave_no_descriptor_behind(kernel, story):
    before, others = len(os.listdir("/proc/self/fd")), children()
    told = story(processes=1, kind_options={"broken": True})
    eventually(lambda: len(told.happened("died")) >= 3)
    assert told.keeper._places[0].pause_s >= 0.2
    told.keeper.stop(1.0)
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before + 1, 5)
    assert children() <= others, "not even a dead one that nobody has waited for"


def children() -> set[int]:
    """The processes that this one has started, dead ones included until they are waited for."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parent = path.read_text("utf-8", "replace").rpartition(")")[2].split()[1]
            if parent == str(os.getpid()):
                found.add(int(path.parent.name))
    return found


def test_more_consumers_than_a_board_ever_had_slots_are_all_shown(kernel, story):
    told = story(processes=1, consumers={"*": 300})
    steps = submit(kernel, [told.gated() for _ in range(290)], "gentle")
    eventually(lambda: len(told.began()) == 290)
    (child,) = told.keeper._children.values()
    assert sorted(working.step_id for working in child.board.working()) == steps
    told.open_gate()
    eventually(lambda: ended(kernel, steps))


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_stop_before_start_does_nothing_and_start_twice_starts_once(database):
    idle = Keeper(keeper_config(database))
    began = time.monotonic()
    idle.stop(60)
    idle.start()
    assert time.monotonic() - began < 30.0, "it did not wait for anybody"
    assert not idle.alive
    keeper = Keeper(keeper_config(database, processes=1))
    keeper.start()
    keeper.start()
    eventually(lambda: len(keeper.pids()) == 1)
    keeper.stop(0.0)
    assert not keeper.alive or not keeper.pids()


def test_stop_ends_a_child_with_a_hung_function_in_time_and_charges_nothing(kernel, story):
    told = story(processes=1, consumers={"*": 2})
    steps = submit(kernel, [told.item(holds_s=60), told.item(nap_s=0)], "rough")
    eventually(lambda: told.began(steps[0]))
    began = time.monotonic()
    told.keeper.stop(0.5)
    assert time.monotonic() - began < 30.0, "it did not wait for the function's minute"
    assert kernel.state(steps[0]) == "ready"
    assert kernel.attempt(steps[0]) == 1
    assert kernel.counted("lease") == 0


# -- a keeper in a process of its own ---------------------------------------------------------------------------------


class Program:
    def __init__(self, url: str, folder: Path, **options) -> None:
        self.log, self.gate = folder / "log", folder / "gate"
        settings = {"url": url, "processes": 2, "lease": {"ttl_s": SHORT.ttl_s, "heartbeat_s": SHORT.heartbeat_s}}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker_help.py"), json.dumps(settings | options)],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        self.said: list[list] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def pids(self, what: str = "started") -> list[int]:
        return [pid for one, pid, _ in list(self.said) if one == what]

    def item(self, **what):
        return {"log": str(self.log), **what}

    def end(self) -> None:
        self.gate.touch()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGCONT)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process.stdout.close()


@pytest.fixture
def program(database, tmp_path):
    made = []

    def begin(**options) -> Program:
        made.append(Program(database, tmp_path, **options))
        return made[-1]

    yield begin
    for one in made:
        one.end()


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_steps_finish_also_when_a_terminal_sends_it_to_the_whole_group(kernel, program, number):
    made = program()
    (step,) = submit(kernel, [made.item(until=str(made.gate))], "gentle")
    eventually(lambda: noted(made.log))
    if number == signal.SIGINT:
        os.killpg(made.process.pid, number)
    else:
        made.process.send_signal(number)
    eventually(lambda: kernel.session.fetch("select count(*) from leasehold.lease") == [(1,)])
    made.gate.touch()
    assert made.process.wait(15) == 0
    assert kernel.state(step) == "succeeded"
    assert len(noted(made.log)) == 1
    assert kernel.session.fetch("select count(*) from leasehold.holder where ended_at is null") == [(0,)]
    assert not any(alive(pid) for pid in made.pids())


def test_a_second_signal_ends_it_at_once_and_what_was_running_goes_back_uncharged(kernel, program):
    made = program()
    (step,) = submit(kernel, [made.item(until=str(made.gate))], "gentle")
    eventually(lambda: noted(made.log))
    made.process.send_signal(signal.SIGTERM)
    eventually(lambda: made.process.send_signal(signal.SIGTERM) or made.process.poll() is not None, 5)
    assert kernel.state(step) == "ready"
    assert kernel.attempt(step) == 1
    assert not any(alive(pid) for pid in made.pids())


def test_children_of_a_killed_keeper_end_with_it_and_the_reaper_gives_back_what_they_held(kernel, program):
    made = program()
    steps = submit(kernel, [made.item(until=str(made.gate)), made.item(holds_s=60)], "rough")
    eventually(lambda: len(noted(made.log)) == 2)
    made.process.kill()
    eventually(lambda: not any(alive(pid) for pid in made.pids()), 3)
    eventually(lambda: sum(len(one.returned) + (one.charged is not None) for one in kernel.reap()) or
               kernel.counted("lease") == 0, SHORT.ttl_s + 3)  # fmt: skip
    eventually(lambda: kernel.reap() is not None and kernel.counted("lease") == 0)
    assert {kernel.state(step) for step in steps} <= {"ready", "delayed"}


def test_late_writes_of_a_keeper_that_slept_are_refused_and_counted_and_its_children_start_anew(kernel, program):
    """Method: keeper and child are stopped past the TTL; another worker takes the step and ends it; the child wakes
    first and says how it ended; then the keeper wakes."""
    made = program(processes=1, consumers={"*": 1})
    (step,) = submit(kernel, [made.item(until=str(made.gate))], "gentle")
    ((_, _, child, _),) = eventually(lambda: noted(made.log))
    made.process.send_signal(signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    eventually(lambda: any(one.returned or one.charged for one in kernel.reap("B")), SHORT.ttl_s + 3)
    eventually(lambda: kernel.promote() or kernel.state(step) == "ready")
    successor = eventually(lambda: kernel.claim("gentle", by="B"))
    assert kernel.succeed(successor) == ["accepted"]
    made.gate.touch()
    os.kill(child, signal.SIGCONT)
    eventually(lambda: kernel.refused("finish") == 1)
    made.process.send_signal(signal.SIGCONT)
    eventually(lambda: set(made.pids()) - {child})
    more = submit(kernel, [made.item()], "gentle")
    eventually(lambda: ended(kernel, more))
    assert kernel.outcomes(step)[-1] == ("succeeded", None)
    assert [end for end, _ in kernel.outcomes(step)].count("succeeded") == 1


# -- without a database -----------------------------------------------------------------------------------------------


def test_an_outage_longer_than_the_ttl_reaps_nobody_and_charges_nothing(kernel, story, database):
    from test_worker_embedded import outage

    told = story(processes=2, consumers={"*": 1}, lease=LeaseOptions(ttl_s=1.0, heartbeat_s=0.2))
    steps = submit(kernel, [told.gated() for _ in range(2)], "gentle")
    eventually(lambda: len(told.began()) == 2)
    outage(database, kernel, True)
    try:
        eventually(lambda: len(told.happened("stood down")) == 2)
        assert told.keeper.pids() == []
    finally:
        outage(database, kernel, False)
    told.open_gate()
    eventually(lambda: ended(kernel, steps))
    assert {kernel.attempt(step) for step in steps} == {1}
    assert [kernel.outcomes(step) for step in steps] == [[("succeeded", None)]] * 2
    assert kernel.session.fetch("select count(*) from leasehold.holder where end_reason = 'reaped'") == [(0,)]
    assert told.keeper.restarts == 0
