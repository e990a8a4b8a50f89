"""Calls in child processes: whatever a child does, its caller gets an answer or one clear word, and lives."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leasehold.sandbox.calling import Died, Limits, Sandbox

FUNCTION = "sandboxed:serve"
MEMORY = 128_000_000


@pytest.fixture(scope="module")
def shared() -> Iterator[Sandbox]:
    made = Sandbox(FUNCTION, Limits(memory_max_bytes=MEMORY, cpu_s=0.2, time_s=30.0), ["sandboxed"])
    yield made
    made.close()


def died(sandbox: Sandbox, do: str, **request: Any) -> Died:
    with pytest.raises(Died) as raised:
        sandbox.call({"do": do, **request})
    return raised.value


def alive(pid: int) -> bool:
    """Whether the process runs; one that nobody has asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(so: Any, what: str, within_s: float = 30.0) -> None:
    give_up_at = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.01)


# -- answers ----------------------------------------------------------------------------------------------------------


def test_a_call_has_its_answer_and_body_and_sees_the_files_it_was_given(shared, tmp_path):
    (tmp_path / "a").write_bytes(b"one ")
    (tmp_path / "b").write_bytes(b"two")
    with open(tmp_path / "a", "rb") as a, open(tmp_path / "b", "rb") as b:
        answer, body = shared.call({"do": "answer"}, [a.fileno(), b.fileno()])
    assert (body, answer["pid"] != os.getpid()) == (b"one two", True)
    assert len(shared.call({"do": "large", "size": 30_000_000})[1]) == 30_000_000


def test_a_child_serves_many_calls_and_is_then_replaced():
    made = Sandbox(FUNCTION, Limits(calls_max=3))
    pids = [made.call({"do": "answer"})[0]["pid"] for _ in range(6)]
    assert len(set(pids[:3])) == 1 == len(set(pids[3:]))
    assert pids[0] != pids[3]
    until(lambda: not alive(pids[0]), "the first child has ended")
    made.close()
    until(lambda: not alive(pids[3]), "the second child has ended")


def test_calls_of_several_threads_run_side_by_side(shared):
    """Method: two calls that hang are under way at the same time, seen by two children; then both are answered."""
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(shared.call({"do": "sleep", "seconds": 0.5})[0]["pid"]))
        for _ in range(2)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(answers)) == 2


# -- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("do", "how", "said"),
    [
        ("segfault", "crashed", "crashed (signal 11, SIGSEGV)"),
        ("exit", "crashed", "crashed (exit code 3)"),
        ("killed", "killed", "killed (signal 9)"),
        ("spin", "cpu", "used more than 0.2 s of CPU time"),
        ("two_gigabytes", "memory", "used more than 128 MB"),
        ("growth", "memory", "used more than 128 MB"),
        ("native_growth", "memory", "used more than 128 MB"),
        ("shared_growth", "memory", "used more than 128 MB"),
        ("defect", "raised", "KeyError: 'not there'"),
    ],
)
def test_a_death_costs_its_own_call_and_has_its_own_word(shared, do, how, said):
    ended = died(shared, do)
    assert (ended.how, ended.detail) == (how, said)
    assert shared.call({"do": "answer"})[0]["served"] >= 1


def test_a_hang_inside_a_c_call_ends_by_the_clock(shared):
    made = Sandbox(FUNCTION, Limits(time_s=1.0))
    ended = died(made, "pause")
    assert (ended.how, ended.detail) == ("time", "took longer than 1 s")
    assert made.call({"do": "answer"})
    made.close()


def test_what_an_earlier_call_left_behind_is_not_blamed_on_a_later_one():
    """Method: a call that crashes every child which has served before: it is answered by a new one."""
    made = Sandbox(FUNCTION, Limits())
    first = made.call({"do": "answer"})[0]["pid"]
    again = made.call({"do": "crash_if_served"})[0]
    assert again["pid"] != first
    assert again["served"] == 1
    made.call({"do": "answer"})
    assert died(made, "segfault").how == "crashed", "in a new one it crashes as well"
    made.close()


def test_a_fork_server_that_died_is_replaced():
    made = Sandbox(FUNCTION, Limits())
    made.call({"do": "answer"})
    assert made._server is not None
    os.kill(made._server.pid, signal.SIGKILL)
    made._server.wait()
    assert made.call({"do": "answer"})[0]["served"] == 1
    made.close()


def test_nothing_outlives_the_caller(tmp_path):
    """Method: a program that is killed while a call of it hangs; its fork server and the child end by themselves."""
    script = (
        "import sys, threading, time\n"
        "from leasehold.sandbox.calling import Limits, Sandbox\n"
        "made = Sandbox('sandboxed:serve', Limits(time_s=600))\n"
        "print(made.call({'do': 'answer'})[0]['pid'], made._server.pid, flush=True)\n"
        "made.call({'do': 'pause'})\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": paths}) as program:  # fmt: skip
        assert program.stdout is not None
        pids = [int(pid) for pid in program.stdout.readline().split()]
        assert all(alive(pid) for pid in pids)
        program.kill()
    until(lambda: not any(alive(pid) for pid in pids), f"{pids} have ended")


# -- fences -----------------------------------------------------------------------------------------------------------


def test_every_fence_that_this_system_has_stands(shared):
    shared.call({"do": "answer"})
    assert {"files", "memory", "processes", "sockets", "writes"} <= set(shared.held)


@pytest.mark.parametrize(
    ("do", "what"),
    [
        ("socket", "open a socket"),
        ("fork_bomb", "start a process"),
        ("run", "start a process"),
        ("write", "write a file"),
        ("remove", "remove a file"),
    ],
)
def test_python_is_refused_in_words(shared, tmp_path, do, what):
    (tmp_path / "kept").write_text("kept")
    ended = died(shared, do, path=str(tmp_path / "kept"))
    assert ended.how == "raised"
    assert f"a reader may not {what}" in ended.detail
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize(
    "do", ["socket_native", "fork_native", "exec_native", "write_native", "remove_native", "kill_native"]
)
def test_native_code_is_refused_by_the_kernel(shared, tmp_path, do):
    (tmp_path / "kept").write_text("kept")
    answer, _ = shared.call({"do": do, "path": str(tmp_path / "kept"), "pid": os.getpid()})
    assert (answer["gave"], answer["errno"]) == (-1, errno.EPERM)
    assert (tmp_path / "kept").read_text() == "kept"


def test_native_code_that_asks_for_2_gb_gets_none(shared):
    answer, _ = shared.call({"do": "two_gigabytes_native"})
    assert (answer["gave"], answer["errno"]) == (0, errno.ENOMEM)


def test_threads_may_be_started(shared):
    assert shared.call({"do": "thread"})[0]["told"] == [1]


def test_a_child_inherits_nothing_but_its_own_socket(monkeypatch, tmp_path):
    """Method: the caller has an address and a key in its environment, and a file and a socket open that any process it
    starts would inherit; the child tells what it has."""
    monkeypatch.setenv("LEASEHOLD_DATABASE_URL", "postgresql://secret@nowhere/x")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with open(tmp_path / "held", "wb") as held:
        os.set_inheritable(held.fileno(), True)
        made = Sandbox(FUNCTION, Limits())
        seen = made.call({"do": "looks"})[0]
    made.close()
    others = {name for number, name in seen["files"].items() if int(number) > 2}
    assert len([name for name in others if name.startswith("socket:")]) == 1, seen["files"]
    assert not [name for name in others if not name.startswith("socket:")], seen["files"]
    assert {name for number, name in seen["files"].items() if int(number) <= 2} == {os.devnull}
    assert not [name for name in seen["environ"] if "LEASEHOLD" in name or "KEY" in name]
    assert seen["session"] == seen["pid"], "a signal to the caller's terminal does not reach it"
    if "network" in made.held:
        assert seen["interfaces"] == 1, "the loopback, which is down"
