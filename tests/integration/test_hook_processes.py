"""Hooks under a real keeper: calls that hang, die, fail and are slow, and steps that stand still for none of them.

Method: functions of `hook_help` note what they were called with; steps are those of `worker_help`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hook_help import LOG, noted
from worker_help import HERE, eventually, keeper_config

from leasehold import Worker, WorkerConfig, hook_kind
from leasehold.kernel import groups, hooks
from leasehold.kernel.groups import chain
from leasehold.kernel.hooks import Hook
from leasehold.types import Done
from leasehold.worker.keeper import Keeper
from leasehold.worker.kinds import Kind

pytestmark = pytest.mark.one_server


@pytest.fixture(autouse=True)
def log(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv(LOG, str(tmp_path / "calls"))
    yield tmp_path / "calls"
    (tmp_path / "gate").touch()


@pytest.fixture
def keep(database):
    with contextlib.ExitStack() as stack:

        def begin(**options):
            happenings = []
            made = Keeper(keeper_config(database, **options), happenings.append)
            made.happenings = happenings
            stack.callback(made.stop, 0.0)
            made.start()
            return made

        yield begin


def hook(function, *on, name="tell", **options):
    options = {"backoff_s": 0.1, "backoff_max_s": 0.1, "timeout_s": 60.0, **options}
    return Hook(
        name=name, on=on or ("group_end",), call=function if "://" in function else f"hook_help:{function}", **options
    )


def begin(kernel, hooks_, items, *kinds, attempts_max=3):
    """A sealed group; its id."""
    workflow = groups.register(
        kernel.session, "test", chain(*(kinds or ("gentle",)), attempts_max=attempts_max), hooks=hooks_
    )
    group, _ = groups.open_group(kernel.session, workflow, label="a batch")
    kernel.session.run(lambda connection: groups.add(connection, group, items))
    kernel.seal(group)
    groups.wake(kernel.session)
    return group


def all_ended(kernel, group, n=1):
    """The group's calls, once there are *n* of them and all have ended."""

    def look():
        found = hooks.calls(kernel.session, group_ids=[group], limit=1000)
        return found if len(found) >= n and all(call.state not in hooks.OPEN for call in found) else None

    return eventually(look, what=f"calls of group {group}")


def test_a_hook_is_called_once_with_its_event_and_what_it_answers_is_kept(kernel, keep, log, tmp_path):
    """A plain function and an async one, on a run and on the group."""
    keep(processes=1)
    steps = {"log": str(tmp_path / "steps")}
    group = begin(kernel, [hook("fine", "run_end", "group_end"), hook("later", "group_end", name="also")], [steps])
    calls = all_ended(kernel, group, 3)
    assert {call.state for call in calls} == {"succeeded"}
    assert sorted(call.detail for call in calls if call.hook == "tell") == ["told of group_end", "told of run_end"]
    found = {(one["hook"], one["event"]): one for one in noted(log)}
    assert sorted(found) == [("also", "group_end"), ("tell", "group_end"), ("tell", "run_end")]
    assert found["tell", "run_end"]["item"] == steps
    assert {one["key"] for one in noted(log)} == {call.key for call in calls}


def test_calls_that_were_made_before_any_worker_ran_are_made_when_one_does(kernel, keep, log, database):
    """The process dies after the group has ended and before its hooks were called; method: a group ends without any
    worker, by the kernel's own verbs, and then a keeper starts."""
    workflow = groups.register(kernel.session, "test", chain("work"), hooks=[hook("fine")])
    group, _ = groups.open_group(kernel.session, workflow)
    kernel.add(group, 1)
    kernel.seal(group)
    kernel.succeed(kernel.claim("work"))
    kernel.fold(group)
    kernel.leave("A")
    assert kernel.group_state(group).completed
    assert noted(log) == []
    keep(processes=1)
    (call,) = all_ended(kernel, group)
    assert [one["key"] for one in noted(log)] == [call.key]


def test_a_worker_that_dies_with_a_call_under_way_makes_it_again_under_its_key(kernel, keep, log, tmp_path):
    keeper = keep(processes=1)
    group = begin(kernel, [hook("gated")], [{"log": str(tmp_path / "steps")}])
    (first,) = eventually(lambda: noted(log))
    runner = first["pid"]
    os.kill(parent_of(runner), 9)
    eventually(lambda: not alive(runner), what="the runner ends with its worker")
    eventually(lambda: len(noted(log)) == 2)
    (tmp_path / "gate").touch()
    (call,) = all_ended(kernel, group)
    assert call.state == "succeeded"
    assert {one["key"] for one in noted(log)} == {call.key}
    assert [one.what for one in keeper.happenings].count("died") == 1


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_hook_that_hangs_is_killed_with_all_it_started_and_tried_again(kernel, keep, log, tmp_path):
    keep(processes=1)
    group = begin(kernel, [hook("hangs", timeout_s=0.5, attempts_max=2)], [{"log": str(tmp_path / "steps")}])
    (call,) = all_ended(kernel, group)
    assert (call.state, call.reason, call.attempts) == ("failed", "timeout", 2)
    children = [int(one["what"].split()[1]) for one in noted(log) if one["what"] != "called"]
    assert children
    eventually(lambda: not any(alive(pid) for pid in children))
    assert kernel.group_state(group).outcome == "succeeded"


def test_a_hook_that_ends_its_process_is_tried_again_and_takes_no_other_call_along(kernel, keep, log, tmp_path):
    keeper = keep(processes=1)
    group = begin(kernel, [hook("dies", name="dies"), hook("gated", name="waits")], [{"log": str(tmp_path / "steps")}])
    eventually(lambda: [one for one in noted(log) if one["hook"] == "dies" and one["attempt"] == 3])
    (tmp_path / "gate").touch()
    calls = {call.hook: call for call in all_ended(kernel, group, 2)}
    assert (calls["dies"].state, calls["dies"].attempts) == ("succeeded", 3)
    assert (calls["waits"].state, calls["waits"].attempts) == ("succeeded", 1)
    assert not [one for one in keeper.happenings if one.what == "died"]


def test_what_a_hook_raises_is_recorded_and_fails_neither_step_nor_group(kernel, keep, log, tmp_path):
    keep(processes=1)
    group = begin(
        kernel,
        [hook("raises", "run_end", attempts_max=3), hook("refuses", name="no"),
         hook("nowhere", name="lost", attempts_max=1), hook("not_yet", "group_start", name="later")],
        [{"log": str(tmp_path / "steps")}],
    )  # fmt: skip
    calls = {call.hook: call for call in all_ended(kernel, group, 4)}
    assert (calls["tell"].state, calls["tell"].attempts, calls["tell"].reason) == ("failed", 3, "ValueError")
    assert "the other side is not there" in calls["tell"].detail
    assert (calls["no"].state, calls["no"].attempts, calls["no"].reason) == ("failed", 1, "gone")
    assert (calls["lost"].state, calls["lost"].reason) == ("failed", "no such function")
    assert kernel.group_state(group).outcome == "succeeded"
    assert hooks.counts(kernel.session, [group])["tell"] == {"failed": 1}


def test_hooks_that_hang_slow_no_step(kernel, keep, log, tmp_path):
    """More calls hang than there are consumers for calls, and steps go on all the same, with all their consumers."""
    keep(processes=1, consumers={"*": 2}, hooks=2)
    steps = {"log": str(tmp_path / "steps")}
    begin(kernel, [hook("gated", "group_start", "group_end")], [steps])
    eventually(lambda: len(noted(log)) == 1)
    more = [begin(kernel, [hook("gated", "run_start")], [steps] * 10) for _ in range(2)]
    eventually(lambda: all(kernel.group_state(group).completed for group in more))
    assert not [one for one in noted(log) if one["what"] == "done"]


def test_calls_for_one_run_are_made_in_the_order_of_their_events(kernel, keep, log, tmp_path):
    """Four calls at once may be made; the first one of each run fails once, and waits."""
    keep(processes=1)
    steps = {"log": str(tmp_path / "steps")}
    group = begin(kernel, [hook("fine", "run_start", "step_start", "step_end", "run_end")], [steps] * 3)
    all_ended(kernel, group, 12)
    for run in {one["run"] for one in noted(log)}:
        told = [one["event"] for one in noted(log) if one["run"] == run]
        assert told == ["run_start", "step_start", "step_end", "run_end"]


def test_an_address_gets_the_event_its_key_and_a_signature_and_a_busy_one_is_asked_again(
    kernel, keep, monkeypatch, tmp_path
):
    monkeypatch.setenv("LEASEHOLD_HOOK_SECRET", "a secret")
    heard = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((dict(self.headers), body))
            self.send_response({1: 503, 2: 302}.get(len(heard), 204))
            self.send_header("Retry-After", "0")
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        keep(processes=1)
        address = f"http://127.0.0.1:{server.server_port}/told"
        group = begin(kernel, [hook(address)], [{"log": str(tmp_path / "steps")}])
        (call,) = all_ended(kernel, group)
    finally:
        server.shutdown()
        server.server_close()
    assert (call.state, call.attempts, call.detail) == ("succeeded", 3, "204 No Content")
    headers, body = heard[-1]
    said = json.loads(body)
    assert headers["Idempotency-Key"] == said["key"] == call.key
    assert headers["Leasehold-Signature"] == "sha256=" + hmac.new(b"a secret", body, hashlib.sha256).hexdigest()
    assert (said["event"]["name"], said["event"]["label"], said["attempt"]) == ("group_end", "a batch", 3)


@pytest.mark.anyio
async def test_an_embedded_worker_makes_calls_when_it_is_given_the_kind(kernel, database, log):
    """And one without it leaves them to others."""
    work = Kind(name="gentle", timeout_s=30, run=lambda step: Done())
    config = WorkerConfig(database=database, kinds=[work, hook_kind()], consumers={"hook": 1, "*": 2}, poll_max_s=0.1)
    async with Worker(config):
        group = begin(kernel, [hook("fine")], [{}])
        await to_thread(lambda: all_ended(kernel, group))
    assert len(noted(log)) == 1


async def to_thread(call):
    import asyncio

    return await asyncio.to_thread(call)
