"""The keeper: the parent that runs no user code. It starts worker children, keeps their leases, and buries them.

Each child is one holder. One heartbeat request keeps them all; a child that dies is seen within a tick and what it held
is given back at once; a child whose step exceeds its time is killed and that step is charged, by proof; without proof
those it ran are leased alone next time, which brings the proof. A keeper that
cannot reach the database stops its children before their leases could lapse, by the monotonic clock sampled before the
last confirmed request, and starts anew when the database is back; that charges nobody. A child whose holder was reaped
all the same is told so, and replaced.

Three kinds of threads, none of which waits for another: the watch starts and watches processes (PR_SET_PDEATHSIG
follows the *thread* that started a child, so one thread starts them all), the desk talks to the database about births
and deaths, the beats keep. A database that hangs keeps the watch neither from seeing deaths and timeouts, nor from
standing down.

Authoritative: the holder rows. If the keeper dies its children end with it, and the reaper does the rest one TTL later.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from leasehold.db import routes
from leasehold.db.line import AWAY, Line
from leasehold.db.target import Target
from leasehold.kernel import groups, holders, hooks
from leasehold.kernel.holders import Kept
from leasehold.logs import TEXT
from leasehold.options import LeaseOptions
from leasehold.worker.beats import Beats
from leasehold.worker.board import slots_for
from leasehold.worker.children import Child
from leasehold.worker.hooks import CONSUMERS as HOOK_CONSUMERS
from leasehold.worker.hooks import FACTORY as HOOK_FACTORY
from leasehold.worker.lifeline import EXIT_HOLDER_GONE
from leasehold.worker.standing import Standing
from leasehold.worker.tallies import Numbers, Upkeep, total
from leasehold.worker.threads import Threads

log = logging.getLogger("leasehold.worker")

TICK_S = 0.05
RESTART_PAUSE_MAX_S = 5.0
SETTLED_S = 5.0
"""A child that lived this long is replaced at once; one that did not, after a pause that doubles."""
STOPPED_S = 1.0
"""A watch that has not looked for this long was itself stopped (SIGSTOP, a laptop's lid): it asks before it judges."""
GONE_S = 1.0
"""How long a child may take to end by itself once its holder has ended."""
STOP_SLACK_S = 3.0
UNEXPLAINED_S = 60.0
DESK_HANGS_S = 30.0
"""Births and deaths that the database has not answered for this long are sent again on a new connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperConfig:
    """What to run.

    Args:
        kinds: `module:function` that makes the kinds, called in each child as function(target, kind_options).
        processes: how many children; each serves `consumers`.
        memory_max_bytes: what one child may allocate, where the system can hold it to that (Linux); 0: no limit.
        hooks: calls of hooks at once, by one child more, which starts with the first of them; 0: none.
        folders: where their functions are looked for, besides what is installed.
        metrics: whether the children count what they do, for `Keeper.numbers`.
        trace: whether they send a span of each step, to where the OTEL_* variables say.
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
    log_format: str = TEXT
    memory_max_bytes: int = 0
    hooks: int = HOOK_CONSUMERS
    folders: Sequence[str] = ()
    metrics: bool = False
    trace: bool = False

    def work_of(self, number: int) -> tuple[Mapping[str, int], str, dict[str, Any]]:
        """Consumers, factory of kinds and its options of the child in place *number*; the last one is for hooks."""
        if number < self.processes:
            return self.consumers, self.kinds, self.kind_options
        return {hooks.KIND: self.hooks}, HOOK_FACTORY, {"folders": list(self.folders)}


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a person may want to see: what (started, ended, died, timeout, stood down), about which pid."""

    what: str
    pid: int
    detail: str
    steps: tuple[int, ...] = ()
    charged: int | None = None


@dataclass(slots=True)
class Place:
    """One of the `processes` places: when its next child may start, and how its last ones died."""

    not_before: float = 0.0
    pause_s: float = 0.0
    unexplained_at: float = float("-inf")
    drain: str | None = None
    """What its child was told: a place that is drained to its end gets no other child, an idle one an idle one."""


class Keeper:
    """Runs `processes` children until `stop`. All methods may be called from any thread, and more than once."""

    def __init__(self, config: KeeperConfig, on_happening: Callable[[Happening], None] | None = None) -> None:
        self.config = config
        self.restarts = 0
        self._on_happening = on_happening or (lambda happening: None)
        self._children: dict[int, Child] = {}
        self._places = {number: Place() for number in range(config.processes)}
        self._calls_seen = False
        self._lock = threading.Lock()
        self._stopping, self._fast, self._finished = threading.Event(), threading.Event(), threading.Event()
        self._stop_within_s = 30.0
        self._done_counts = [0, 0]
        self._buried = Numbers()
        self._told: Counter[str] = Counter()
        self._charged: Counter[str] = Counter()
        self._given_back: Counter[str] = Counter()
        self._ticked_s = 0.0
        self._judge_from_s = 0.0
        self._stood_down: list[Future[None]] = []
        self._line = Line(config.target, route="direct", application_name="leasehold keeper")
        self._desk = Threads(1, "leasehold-desk")
        self._burials: list[Future[None]] = []
        self._beats = Beats(config.target, config.lease, self.holder_ids, self._beaten, self._standings, self._look)
        self._watch = threading.Thread(target=self._watch_loop, name="leasehold-keeper", daemon=True)
        self._started = False

    # -- for the caller -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the children and the heartbeat; returns at once."""
        with self._lock:
            if self._started or self._stopping.is_set():
                return
            self._started = True
        self._beats.start()
        self._watch.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Let every child finish within *timeout_s*, then end them; what they still held goes back uncharged."""
        self._stop_within_s = timeout_s
        self._stopping.set()
        if self._started:
            self._finished.wait(timeout_s + 10.0)

    def stop_now(self) -> None:
        """The second signal: end the children at once."""
        self._fast.set()
        self._stopping.set()

    def holder_ids(self) -> list[int]:
        """The holders to keep: of the children that live and are to go on living."""
        with self._lock:
            return [
                child.holder_id
                for child in self._children.values()
                if child.holder_id is not None and not child.timed_out and child.gone_s is None
            ]

    def _standings(self) -> dict[int, Standing]:
        """How each child's claiming stands, read from its board: a child that hangs cannot say it itself."""
        with self._lock:
            read = {child.holder_id: child.board.standing() for child in self._children.values()}
        return {one: standing for one, standing in read.items() if one is not None and standing is not None}

    def pids(self) -> list[int]:
        with self._lock:
            return [child.pid for child in self._children.values()]

    def counts(self) -> tuple[int, int]:
        """Steps ended and failed by these children so far, the dead ones included."""
        with self._lock:
            living = [child.board.counts() for child in self._children.values()]
            return (
                self._done_counts[0] + sum(ended for ended, _ in living),
                self._done_counts[1] + sum(failed for _, failed in living),
            )

    def numbers(self) -> Numbers:
        """What its children did so far, the dead ones included, and what it did itself."""
        duties = self._beats.duties
        with self._lock:
            found = total([self._buried, *(child.board.tallies.read() for child in self._children.values())])
            found.upkeep = Upkeep(
                processes=len(self._children),
                ends={what: n for what, n in self._told.items() if what != "started"},
                given_back={**self._given_back, **duties.given_back},
                charged={**self._charged, **duties.charged},
                reaped=duties.reaped,
            )
        return found

    @property
    def drained(self) -> bool:
        """Whether all its children were told to claim no more and to end; False while it has no place for any."""
        places = list(self._places.values())
        return bool(places) and all(place.drain == holders.END for place in places)

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
        finally:
            self._stopping.set()
            self._kill_all()
            self._beats.stop()
            self._line.close()
            self._desk.shutdown(wait=False, cancel_futures=True)
            self._finished.set()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._ticked_s > STOPPED_S and self._ticked_s:
            self._judge_from_s = now + STOPPED_S
            self._beats.hurry()
        self._ticked_s = now
        for child in list(self._children.values()):
            self._look_after(child, now)
        if now >= self._judge_from_s and any(self._unconfirmed(child, now) for child in self._children.values()):
            self._stand_down(now)
        self._line.give_up_if_hung(DESK_HANGS_S)
        self._stood_down = [call for call in self._stood_down if not call.done()]
        if self._stood_down:
            return
        if self._calls_seen and not self.drained:
            self._places.setdefault(self.config.processes, Place())
        for number, place in self._places.items():
            if number not in self._children and now >= place.not_before and place.drain != holders.END:
                self._start_child(number)
        if not self._children and self.drained:
            self._stopping.set()

    def _look_after(self, child: Child, now: float) -> None:
        child.flush()
        if (code := child.process.poll()) is not None:
            self._bury(child, code)
        elif child.gone_s is not None:
            if now > child.gone_s + GONE_S:
                child.kill()
        elif not child.timed_out:
            child.timed_out, child.blamed = child.hung()
            if child.timed_out:
                child.kill()

    def _start_child(self, number: int) -> None:
        consumers, _, _ = self.config.work_of(number)
        child = Child.start(number, slots_for(sum(consumers.values())))
        with self._lock:
            self._children[number] = child
        self._desk.submit(self._register, child)

    # -- the desk -----------------------------------------------------------------------------------------------------

    def _register(self, child: Child) -> None:
        """Join on behalf of a child and give it its settings; without a database it ends, and is tried again."""
        config, sent_s = self.config, time.monotonic()
        consumers, kinds, kind_options = config.work_of(child.number)
        name = f"{config.name or socket.gethostname()}#{child.number}"
        try:
            holder_id = holders.join(self._line, kind="worker", name=name, ttl_s=config.lease.ttl_s, pid=child.pid)
            if self._places[child.number].drain is not None:
                holders.drain(self._line, [holder_id], self._places[child.number].drain, by="its keeper, as before")
        except Exception as error:
            log.warning("cannot start a worker, trying again: %s", error)
            child.ended_by_us = True
            child.kill()
            return
        child.kept_s = sent_s
        child.holder_id = holder_id  # only now: the watch judges by kept_s as soon as there is a holder
        child.say(
            target=config.target.as_dict(),
            routes=routes.of(config.target).handed_down(),
            kinds=kinds,
            kind_options=kind_options,
            path=sys.path,
            memory_max_bytes=config.memory_max_bytes,
            consumers=dict(consumers),
            lease={"ttl_s": config.lease.ttl_s, "heartbeat_s": config.lease.heartbeat_s},
            holder_id=holder_id,
            board_fd=child.board.fd,
            poll_max_s=config.poll_max_s,
            log_level=config.log_level,
            log_format=config.log_format,
            metrics=config.metrics,
            trace=config.trace,
        )
        self._tell(Happening("started", child.pid, f"worker {child.number + 1}"))

    def _bury(self, child: Child, code: int) -> None:
        """Take a dead child off the list and plan its successor; the desk gives back what it held."""
        place = self._places[child.number]
        now, lived_s = time.monotonic(), time.monotonic() - child.started_s
        suspects = child.suspects()
        blamed = child.blamed.step_id if child.blamed else None
        if suspects == []:  # it died between its steps: chance, once; the next time all of them are suspected
            again = child.timed_out or now - place.unexplained_at < UNEXPLAINED_S
            place.unexplained_at = now
            suspects = None if again else suspects
        with self._lock:
            del self._children[child.number]
            for index, n in enumerate(child.board.counts()):
                self._done_counts[index] += n
            self._buried.add(child.board.tallies.read())
        child.close()
        quietly = child.ended_by_us or code in (0, EXIT_HOLDER_GONE)
        self.restarts += not quietly
        place.pause_s = 0.0 if lived_s > SETTLED_S else min(RESTART_PAUSE_MAX_S, max(0.05, place.pause_s * 2))
        place.not_before = now + place.pause_s
        self._burials = [call for call in self._burials if not call.done()]
        if quietly:
            self._burials.append(self._desk.submit(self._leave, child, _cause(code)))
        else:
            self._burials.append(self._desk.submit(self._end_dead, child, _cause(code), blamed, suspects))

    def _leave(self, child: Child, cause: str) -> None:
        if child.holder_id is not None:
            holder_id = child.holder_id
            self._patiently(lambda: holders.leave(self._line, holder_id))
        self._tell(Happening("ended", child.pid, cause))

    def _end_dead(self, child: Child, cause: str, blamed: int | None, suspects: list[int] | None) -> None:
        ended: holders.Ended | None = None
        timed_out = child.timed_out
        began = time.monotonic()
        if child.holder_id is not None:
            holder_id, reason = child.holder_id, "timeout" if timed_out else f"worker died ({cause})"
            ended = self._patiently(
                lambda: holders.end_dead(self._line, holder_id, reason=reason, blamed_step=blamed, suspects=suspects)
            )
        if ended is not None and (ended.returned or ended.charged):
            self._patiently(lambda: groups.wake(self._line))
        returned, charged = (ended.returned, ended.charged) if ended else ((), None)
        detail = f"{cause}; {len(returned)} steps given back in {(time.monotonic() - began) * 1000:.0f} ms"
        self._tell(Happening("timeout" if timed_out else "died", child.pid, detail, returned, charged))

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """*call*'s answer, however long the database is away: were it left to the reaper, a step might be charged for
        an outage. None when it was refused, or when the keeper ends without a database."""
        while True:
            try:
                return call()
            except AWAY as error:
                if self._stopping.is_set():
                    log.warning("what a worker held could not be given back, the reaper will: %s", error)
                    return None
                self._stopping.wait(0.2)
            except Exception:
                log.exception("what a worker held could not be given back, the reaper will")
                return None

    def _tell(self, happening: Happening) -> None:
        self._told[happening.what] += 1
        self._charged[happening.what] += happening.charged is not None
        self._given_back[happening.what] += len(happening.steps)
        try:
            self._on_happening(happening)
        except Exception:  # a listener's fault must not leave a child unburied
            log.exception("a listener failed")

    def _look(self, line: Line) -> None:
        """A duty: whether there is a call of a hook, so that a child is needed that makes it."""
        if self.config.hooks and not self._calls_seen:
            self._calls_seen = hooks.any_open(line)

    # -- keeping ------------------------------------------------------------------------------------------------------

    def _beaten(self, sent_s: float, ids: list[int], living: dict[int, Kept]) -> None:
        with self._lock:
            children = list(self._children.values())
        for child in children:
            if child.holder_id not in ids:
                continue
            kept = living.get(child.holder_id)
            if kept is not None:
                self._places[child.number].drain = kept.drain
                child.kept_s = sent_s
                child.beaten(sent_s, kept)
            elif not self._stopping.is_set():
                log.warning("worker %s was reaped while it could not be heard; it starts anew", child.pid)
                child.ended_by_us = True
                child.gone_s = time.monotonic()
                child.beaten(sent_s, None)

    def _unconfirmed(self, child: Child, now: float) -> bool:
        lease = self.config.lease
        return child.holder_id is not None and now > child.kept_s + lease.ttl_s - max(0.2, lease.ttl_s * 0.1)

    def _stand_down(self, now: float) -> None:
        """The leases may lapse any moment and nobody can say so: stop the children before others take over."""
        silent_s = now - min(child.kept_s for child in self._children.values())
        log.warning("no heartbeat was confirmed for %.0f s; %d workers stop until the database is back",
                    silent_s, len(self._children))  # fmt: skip
        for child in list(self._children.values()):
            child.ended_by_us = True
            child.kill()
            code = child.process.wait()
            self._tell(Happening("stood down", child.pid, f"no heartbeat was confirmed for {silent_s:.0f} s"))
            self._bury(child, code)
            self._places[child.number].not_before = 0.0
        self._stood_down = [*self._burials, self._desk.submit(self._await_database)]

    def _await_database(self) -> None:
        while not self._stopping.is_set():
            try:
                self._line.fetch("select 1")
            except Exception as error:
                log.debug("still away: %s", error)
                self._stopping.wait(0.2)
            else:
                return

    # -- the end ------------------------------------------------------------------------------------------------------

    def _stop_children(self) -> None:
        give_up_at = time.monotonic() + self._stop_within_s
        for child in list(self._children.values()):
            child.ended_by_us = True
            child.say(stop=max(0.0, self._stop_within_s))
        while self._children and time.monotonic() < give_up_at + STOP_SLACK_S and not self._fast.is_set():
            for child in list(self._children.values()):
                child.flush()
                if child.holder_id is None:  # it was never told what to do
                    child.kill()
                if (code := child.process.poll()) is not None:
                    self._bury(child, code)
            self._fast.wait(0.01)

    def _kill_all(self) -> None:
        """What is left goes, and what it held goes back; without the database the reaper sees to that."""
        self._line.patience_s = 0.5
        for child in list(self._children.values()):
            child.ended_by_us = True
            child.kill()
            self._bury(child, child.process.wait())
        give_up_at = time.monotonic() + 2.0
        for burial in self._burials:
            with contextlib.suppress(TimeoutError, CancelledError):
                burial.result(max(0.0, give_up_at - time.monotonic()))


def _cause(code: int) -> str:
    if code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit {code}"
