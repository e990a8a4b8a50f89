"""The keeper: the parent that runs no user code. It starts worker children, keeps their leases, and buries them.

Each child is one holder. One heartbeat request keeps them all; a child that dies is seen within a tick and what it held
is given back at once; a child whose step exceeds its time is killed and that step is charged, by proof. A keeper that
cannot reach the database stops its children before their leases could lapse, by the monotonic clock sampled before the
last confirmed request, and starts anew when the database is back.

PR_SET_PDEATHSIG follows the *thread* that started a child, so one thread, the watch, starts and watches all children.

Authoritative: the holder rows. If the keeper dies its children end with it, and the reaper does the rest one TTL later.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import LeaseholdError
from leasehold.kernel import groups, holders
from leasehold.options import LeaseOptions
from leasehold.worker.beats import Beats
from leasehold.worker.board import Board, Working
from leasehold.worker.child import EXIT_HOLDER_GONE

log = logging.getLogger("leasehold.worker")

TICK_S = 0.05
RESTART_PAUSE_MAX_S = 5.0
HUNG_GRACE_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperConfig:
    """What to run.

    Args:
        kinds: `module:function` that makes the kinds, called in each child as function(target, kind_options).
        processes: how many children; each serves `consumers`.
    """

    target: Target
    kinds: str
    kind_options: dict[str, Any] = field(default_factory=dict)
    processes: int = 2
    consumers: Mapping[str, int] = field(default_factory=lambda: {"*": 2})
    lease: LeaseOptions = field(default_factory=LeaseOptions)
    name: str = ""
    poll_max_s: float = 2.0
    log_level: str = "WARNING"


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a person may want to see: what (started, died, timeout, reaped, given back), about which pid."""

    what: str
    pid: int
    detail: str
    steps: tuple[int, ...] = ()
    charged: int | None = None


class Child:
    """One child process and what its keeper knows of it."""

    def __init__(self, number: int, process: subprocess.Popen[str], board: Board, holder_id: int) -> None:
        self.number = number
        self.process = process
        self.board = board
        self.holder_id = holder_id
        self.started_s = time.monotonic()
        self.killed_for: Working | None = None
        self.leave_quietly = False

    def say(self, **message: Any) -> None:
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError):
            log.debug("child %s is gone", self.process.pid)


class Keeper:
    """Runs `processes` children until `stop`. All methods may be called from any thread."""

    def __init__(self, config: KeeperConfig, on_happening: Callable[[Happening], None] | None = None) -> None:
        self.config = config
        self._tell = on_happening or (lambda happening: None)
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stop_within_s = 30.0
        self._fast = threading.Event()
        self._starts: dict[int, tuple[float, float]] = {}  # number: (not before, pause)
        self._done_counts = [0, 0]
        self._session = Session(config.target, application_name="leasehold keeper")
        self._beats = Beats(config.target, config.lease, self.holder_ids, self._beaten)
        self._watch = threading.Thread(target=self._watch_loop, name="leasehold-keeper", daemon=True)
        self._finished = threading.Event()
        self.restarts = 0

    # -- for the caller -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the children and the heartbeat; returns at once."""
        self._beats.start()
        self._watch.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Let every child finish within *timeout_s*, then end them; what they still held goes back uncharged."""
        self._stop_within_s = timeout_s
        self._stopping.set()
        self._finished.wait(timeout_s + 10.0)

    def stop_now(self) -> None:
        """The second signal: end the children at once."""
        self._fast.set()
        self._stopping.set()

    def holder_ids(self) -> list[int]:
        with self._lock:
            return [child.holder_id for child in self._children.values()]

    def pids(self) -> list[int]:
        with self._lock:
            return [child.process.pid for child in self._children.values()]

    def counts(self) -> tuple[int, int]:
        """Steps ended and failed by these children so far, the dead ones included."""
        with self._lock:
            living = [child.board.counts() for child in self._children.values()]
            return (
                self._done_counts[0] + sum(ended for ended, _ in living),
                self._done_counts[1] + sum(failed for _, failed in living),
            )

    @property
    def alive(self) -> bool:
        return self._watch.is_alive()

    # -- the watch ----------------------------------------------------------------------------------------------------

    def _watch_loop(self) -> None:
        try:
            while not self._stopping.wait(TICK_S):
                self._tick()
            self._stop_children()
        except Exception:
            log.exception("the keeper failed; its children are stopped")
            self._kill_all()
        finally:
            self._beats.stop()
            self._session.close()
            self._finished.set()

    def _tick(self) -> None:
        for child in list(self._children.values()):
            code = child.process.poll()
            if code is not None:
                self._bury(child, code)
            elif (hung := self._hung(child)) is not None:
                child.killed_for = hung
                child.process.kill()
        if self._unconfirmed():
            self._stand_down()
            return
        now = time.monotonic()
        for number in range(self.config.processes):
            if number not in self._children and now >= self._starts.get(number, (0.0, 0.0))[0]:
                self._start_child(number)

    def _hung(self, child: Child) -> Working | None:
        now = time.monotonic()
        for working in child.board.working():
            if now > working.until_s + HUNG_GRACE_S:
                return working
        return None

    def _start_child(self, number: int) -> None:
        config = self.config
        board = Board.create()
        environment = dict(os.environ, PYTHONUNBUFFERED="1")
        process = subprocess.Popen(
            [sys.executable, "-m", "leasehold.worker.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[board.fd],
            text=True,
            env=environment,
        )
        name = f"{config.name or socket.gethostname()}#{number}"
        try:
            holder_id = holders.join(
                self._session, kind="worker", name=name, ttl_s=config.lease.ttl_s, pid=process.pid
            )
        except LeaseholdError as error:
            process.kill()
            process.wait()
            board.close()
            log.warning("cannot start a child: %s", error.message)
            self._starts[number] = (time.monotonic() + 1.0, 1.0)
            return
        child = Child(number, process, board, holder_id)
        child.say(
            url=config.target.url,
            home=str(config.target.home) if config.target.home else None,
            kinds=config.kinds,
            kind_options=config.kind_options,
            consumers=dict(config.consumers),
            lease={"ttl_s": config.lease.ttl_s, "heartbeat_s": config.lease.heartbeat_s},
            holder_id=holder_id,
            board_fd=board.fd,
            poll_max_s=config.poll_max_s,
            log_level=config.log_level,
        )
        with self._lock:
            self._children[number] = child
        self._tell(Happening("started", process.pid, f"worker {number + 1}"))

    def _bury(self, child: Child, code: int) -> None:
        """Give back what a dead child held, say so, and plan its successor."""
        with self._lock:
            del self._children[child.number]
            for index, n in enumerate(child.board.counts()):
                self._done_counts[index] += n
        cause = _cause(code)
        if child.leave_quietly or code in (0, EXIT_HOLDER_GONE):
            self._session_call(lambda: holders.leave(self._session, child.holder_id))
            self._tell(Happening("ended", child.process.pid, cause))
        else:
            self.restarts += 1
            blamed = child.killed_for
            reason = "timeout" if blamed else f"worker died ({cause})"
            began = time.monotonic()
            suspects = [working.step_id for working in child.board.working()] or None
            ended = self._session_call(
                lambda: holders.end_dead(
                    self._session, child.holder_id, reason=reason,
                    blamed_step=blamed.step_id if blamed else None, suspects=suspects,
                )
            )  # fmt: skip
            if ended is not None and (ended.returned or ended.charged):
                self._session_call(lambda: groups.wake(self._session))
            took_ms = (time.monotonic() - began) * 1000
            returned = ended.returned if ended else ()
            detail = f"{cause}; {len(returned)} steps given back in {took_ms:.0f} ms"
            self._tell(Happening("timeout" if blamed else "died", child.process.pid, detail, returned,
                                 ended.charged if ended else None))  # fmt: skip
        child.board.close()
        if child.process.stdin is not None:
            try:
                child.process.stdin.close()
            except BrokenPipeError:
                log.debug("child %s left unread input", child.process.pid)
        lived_s = time.monotonic() - child.started_s
        pause_s = 0.0 if lived_s > 5.0 else min(RESTART_PAUSE_MAX_S, max(0.05, self._starts.get(child.number, (0, 0))[1] * 2))
        self._starts[child.number] = (time.monotonic() + pause_s, pause_s)

    # -- without a database -------------------------------------------------------------------------------------------

    def _unconfirmed(self) -> bool:
        lease = self.config.lease
        margin_s = max(0.2, lease.ttl_s * 0.1)
        return bool(self._children) and time.monotonic() > self._beats.confirmed_s + lease.ttl_s - margin_s

    def _stand_down(self) -> None:
        """The leases may lapse any moment and nobody can say so: stop the children before others take over."""
        log.warning("no heartbeat was confirmed for %.0f s; stopping %d workers until the database is back",
                    time.monotonic() - self._beats.confirmed_s, len(self._children))  # fmt: skip
        for child in list(self._children.values()):
            child.leave_quietly = True
            child.process.kill()
            child.process.wait()
        while not self._stopping.is_set():
            try:
                self._session.fetch("select 1")
                break
            except LeaseholdError:
                self._stopping.wait(0.5)
        self._beats.confirmed_s = time.monotonic()
        for child in list(self._children.values()):
            self._bury(child, child.process.returncode or 0)

    def _beaten(self, sent_s: float, ids: list[int], living: dict[int, frozenset[int]]) -> None:
        with self._lock:
            children = list(self._children.values())
        for child in children:
            if child.holder_id not in ids:
                continue
            tokens = living.get(child.holder_id)
            if tokens is None and not self._stopping.is_set():
                log.warning("worker %s was reaped while it could not be heard; it starts anew", child.process.pid)
            child.say(beat=sent_s, tokens=None if tokens is None else sorted(tokens))

    # -- the end ------------------------------------------------------------------------------------------------------

    def _stop_children(self) -> None:
        give_up_at = time.monotonic() + self._stop_within_s
        for child in self._children.values():
            child.leave_quietly = True
            child.say(stop=max(0.0, self._stop_within_s))
        while self._children and time.monotonic() < give_up_at + 3.0 and not self._fast.is_set():
            for child in list(self._children.values()):
                if (code := child.process.poll()) is not None:
                    self._bury(child, code)
            time.sleep(0.01)
        self._kill_all()

    def _kill_all(self) -> None:
        self._session.patience_s = 1.0
        for child in list(self._children.values()):
            child.leave_quietly = True
            child.process.kill()
            self._bury(child, child.process.wait())

    def _session_call(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except LeaseholdError as error:
            log.warning("what a child held could not be given back, the reaper will: %s", error.message)
            return None


def _cause(code: int) -> str:
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit {code}"
