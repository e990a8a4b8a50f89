"""Held: what this worker has leased, until each step's end is recorded or the step is knowingly given back.

Two counts of different meaning. `pools` counts steps (for page functions: pages) that have or wait for a consumer: it
says how much to ask for. The leases here last longer: a step that has run is still held until its end is recorded.

Invariant: every leased step is settled exactly once: recorded, released, lost, or dropped by a stop that then leaves.
Settling what is not held is a bug, and an assertion says so.

Authoritative: the database. Belongs to the event loop's thread; only `Held.lost` is read by others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leasehold.kernel.holders import Kept
from leasehold.kernel.steps import Lease
from leasehold.types import StepLease
from leasehold.worker.kinds import Kind
from leasehold.worker.pools import Pools


@dataclass(slots=True, eq=False)
class Held:
    """One lease. `left`: its steps that are not settled; `answered_s`: when its claim was answered (monotonic)."""

    token: int
    kind: Kind
    left: int
    answered_s: float
    alone: bool
    lost: bool = False


class Ledger:
    """All leases of one worker.

    Args:
        pools: the worker's consumers.
        idle: called when nothing is held any more.
    """

    def __init__(self, pools: Pools, idle: Callable[[], None]) -> None:
        self._pools = pools
        self._idle = idle
        self._leases: dict[int, Held] = {}
        self._cancelled: frozenset[int] = frozenset()

    def take(self, lease: Lease, kind: Kind, answered_s: float) -> Held:
        """A claim brought *lease*; its steps go to consumers now."""
        assert lease.token not in self._leases, f"token {lease.token} was taken twice"
        held = self._leases[lease.token] = Held(lease.token, kind, len(lease.steps), answered_s, lease.alone)
        self._pools.take(kind.name, 1 if kind.paged else held.left)
        return held

    def free(self, kind: Kind) -> None:
        """A consumer has no more to do with one step (or page) of *kind*."""
        self._pools.give(kind.name, 1)

    def free_slots(self, kind: str) -> int:
        """Consumers of the kind's pool that nothing is leased or promised for."""
        return self._pools.free(kind)

    def reserve(self, kind: str, n: int) -> None:
        """Count *n* slots of the kind's pool as taken, before anything is leased for them."""
        self._pools.take(kind, n)

    def unreserve(self, kind: str, n: int) -> None:
        self._pools.give(kind, n)

    def settle(self, token: int, n: int = 1) -> None:
        """*n* steps of the lease are no longer ours."""
        held = self._leases[token]
        held.left -= n
        assert held.left >= 0, f"lease {token} settled {-held.left} steps too many"
        if held.left == 0:
            del self._leases[token]
            if not self._leases:
                self._idle()

    # -- what is held -------------------------------------------------------------------------------------------------

    @property
    def in_consumers(self) -> Mapping[str, int]:
        """Per kind, as the lane policy counts. Live."""
        return self._pools.held

    @property
    def empty(self) -> bool:
        return not self._leases

    @property
    def unsettled(self) -> int:
        """Steps not settled yet."""
        return sum(held.left for held in self._leases.values())

    @property
    def busy(self) -> bool:
        """Whether the database may still count something as held; what it took away does not matter to it."""
        return any(not held.lost for held in self._leases.values())

    @property
    def alone(self) -> bool:
        """Whether a step is held that nothing may join."""
        return any(held.alone and not held.lost for held in self._leases.values())

    def kind_of(self, token: int) -> str:
        """The kind of a lease that is not settled yet."""
        return self._leases[token].kind.name

    def lost(self, token: int) -> bool:
        held = self._leases.get(token)
        return held is None or held.lost

    def gone(self, lease: StepLease) -> bool:
        """Whether this step was taken away, with its whole lease or alone."""
        return self.lost(lease.token) or lease.step_id in self._cancelled

    # -- what was taken away ------------------------------------------------------------------------------------------

    def compare(self, sent_s: float, kept: Kept | None) -> bool:
        """Mark what was leased before *sent_s* and is not *kept* (None: nothing is ours); whether that is any news.

        A step whose run was cancelled cannot come back, so it is remembered for as long as its lease goes on.
        """
        gone = [
            held
            for held in self._leases.values()
            if not held.lost and held.answered_s < sent_s and (kept is None or held.token not in kept.tokens)
        ]
        for held in gone:
            held.lost = True
        before, self._cancelled = self._cancelled, kept.cancelled if kept else frozenset()
        return bool(gone) or not self._cancelled <= before

    def lose_all(self) -> None:
        for held in self._leases.values():
            held.lost = True
