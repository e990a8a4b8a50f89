"""Attacks: what is hurt next, and how. The seed draws all of it; one kind of attack does not move another's draws."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence

from leasehold.chaos.hosts import Host
from leasehold.chaos.options import ChaosOptions
from leasehold.chaos.server import Server
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.testing.proxy import Proxy

SOON_S = 0.3
"""A first attack comes at least this late, so that there is something to hurt."""


class Attacks:
    """Call `start` once and `tick` often; `say` is told what was done. After `end` nothing is hurt any more, and all of
    it is healed."""

    def __init__(
        self, options: ChaosOptions, hosts: Sequence[Host], server: Server, proxy: Proxy | None,
        say: Callable[[str], None], session: Session,
    ) -> None:  # fmt: skip
        self.done: Counter[str] = Counter()
        self._options, self._hosts, self._server, self._proxy, self._say = options, hosts, server, proxy, say
        self._session = session
        self._draw = {
            name: random.Random(f"{options.seed} {name}") for name in ("kill", "stop", "cut", "restart", "terminate")
        }
        self._heal_at_s = 0.0
        self._due: list[tuple[str, float, Callable[[], bool | None], float]] = []

    def start(self) -> None:
        now = time.monotonic()
        for name, every_s, attack in (
            ("kill", self._options.kill_every_s, self._kill),
            ("stop", self._options.stop_every_s, self._stop),
            ("cut", self._options.cut_every_s, self._cut),
            ("restart", self._options.db_restart_every_s, self._restart),
            ("terminate", self._options.terminate_every_s, self._terminate),
        ):
            if every_s:
                self._due.append((name, every_s, attack, now + SOON_S + self._pause_s(name, every_s)))

    def tick(self) -> None:
        now = time.monotonic()
        self._let_go(now)
        for place, (name, every_s, attack, at) in enumerate(self._due):
            if now >= at and attack() is not False:
                self._due[place] = (name, every_s, attack, time.monotonic() + self._pause_s(name, every_s))

    def end(self) -> None:
        """The noise ends."""
        self._due = []
        self._let_go(float("inf"))
        if self._proxy is not None:
            self._proxy.heal()

    # -- what goes by itself ------------------------------------------------------------------------------------------

    def _let_go(self, now: float) -> None:
        for host in self._hosts:
            if host.stopped and now >= host.stopped_until_s:
                host.go_on()
                self._say(f"SIGCONT {host.name}: it goes on")
        if self._proxy is not None and self._heal_at_s and now >= self._heal_at_s:
            self._heal_at_s = 0.0
            self._settle_network()

    def _settle_network(self) -> None:
        """As it was but for what lasts: slowness, and notifications that never come."""
        assert self._proxy is not None
        self._proxy.heal()
        self._proxy.latency_s = self._options.slow_db_s
        self._proxy.drop_notifies = self._options.drop_notifies

    def _pause_s(self, name: str, every_s: float) -> float:
        return every_s * self._draw[name].uniform(0.6, 1.4)

    # -- the attacks --------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        """Mostly a worker process; every fourth time its keeper, and with it all that would tell of the death."""
        draw = self._draw["kill"]
        host, keeper = draw.choice(self._hosts), draw.random() < 0.25
        if host.stopped or not host.alive:
            return
        if keeper:
            host.kill()
            self._did("keepers killed", f"kill -9 {host.name}, keeper and all")
        elif pid := host.kill_child(draw.choice):
            self._did("workers killed", f"kill -9 worker {pid} of {host.name}")

    def _stop(self) -> bool | None:
        """SIGSTOP past the TTL, so that others take over; then it speaks late. It must hold something at that moment:
        False means that nobody did, and that it is tried again."""
        draw = self._draw["stop"]
        running = [host for host in self._hosts if host.alive and not host.stopped]
        if not running or (len(running) == 1 and len(self._hosts) > 1):
            return None
        host = draw.choice(running)
        children = host.children()
        if not self._holding(children):
            return False
        for_s = self._options.ttl_s * draw.uniform(1.3, 2.0)
        host.stop(for_s)
        if not self._holding(children):
            host.go_on()
            return False
        self._did("hosts stopped", f"SIGSTOP {host.name} for {for_s:.1f} s, past the TTL of {self._options.ttl_s:g} s")
        return None

    def _holding(self, pids: Sequence[int]) -> int:
        return int(self._session.fetch(load("leasehold.chaos", "held_by"), (list(pids),))[0][0])

    def _cut(self) -> None:
        assert self._proxy is not None
        if self._heal_at_s:
            return
        draw, ttl_s = self._draw["cut"], self._options.ttl_s
        how = draw.choices(["cut", "refuse", "half open", "stall", "replies"], [4, 2, 2, 1, 2])[0]
        for_s = draw.uniform(0.2, 1.3) * ttl_s
        if how == "cut":
            n = self._proxy.cut()
            self._did("networks cut", f"network: {n} connections reset")
            return
        if how == "replies":
            self._proxy.lose_replies()
            self._did("replies lost on the wire", "network: the next reply on every connection is lost")
            return
        hurt = {"refuse": self._proxy.refuse, "half open": self._proxy.swallow, "stall": self._proxy.stall}
        hurt[how]()
        self._heal_at_s = time.monotonic() + for_s
        words = {"refuse": "nobody listens", "half open": "half open", "stall": "nothing moves"}
        self._did("networks cut", f"network: {words[how]} for {for_s:.1f} s")

    def _restart(self) -> None:
        how = self._draw["restart"].choice(["kill", "twice", "fast"])
        words = {"kill": "kill -9 of the server", "twice": "kill -9 of the server, and again while it recovers",
                 "fast": "the server is stopped, and started again"}  # fmt: skip
        self._say(words[how])
        self._server.restart(how)
        self.done["servers restarted"] += 1

    def _terminate(self) -> bool | None:
        """End one of the workers' sessions on the server, in the middle of what it does; all duties in turn."""
        sessions = self._session.fetch(load("leasehold.chaos", "worker_sessions"))
        if not sessions:
            return False
        duty = min((duty for _, duty in sessions), key=lambda one: self.done[f"sessions of {one} ended"])
        pid = self._draw["terminate"].choice([pid for pid, its in sessions if its == duty])
        self._session.fetch(load("leasehold.chaos", "terminate"), (pid,))
        self._did(f"sessions of {duty} ended", f"pg_terminate_backend of a session for {duty}")
        return None

    def _did(self, what: str, text: str) -> None:
        self.done[what] += 1
        self._say(text)
