"""Successors: what a worker has room for when it reports ends, so that it is leased there and then what those released.

A run's next step would otherwise be made ready, announced, looked for and claimed: two transactions and two round trips
more for each step of a chain. It is done only while the claimer is quiet: its last look found nothing more to claim, so
nobody waits for these slots, and no weight or priority is passed over. A busy worker leaves the choice to its policy.

Free slots are reserved before the finish is sent, and count as taken; what did not come is given back. So a claim that
runs meanwhile cannot promise them a second time.

Belongs to the event loop's thread. Not here: the sending (finishing), what becomes of the leases (worker).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leasehold.kernel.steps import PAGE_MAX, Room, Terms
from leasehold.worker.held import Ledger
from leasehold.worker.kinds import Kind
from leasehold.worker.pools import pool_of


@dataclass(frozen=True, slots=True)
class Reserved:
    """Room that was promised to one finish, and which slots stand for it: (kind of the pool, how many)."""

    room: Room
    slots: tuple[tuple[str, int], ...]


class Reservations:
    """Makes room for the successors of one worker's finishes.

    Args:
        quiet: whether nothing else waits for the worker's free slots.
    """

    def __init__(
        self, kinds: Mapping[str, Kind], consumers: Mapping[str, int], ledger: Ledger, quiet: Callable[[], bool]
    ) -> None:
        self._ledger = ledger
        self._quiet = quiet
        single = {name: kind for name, kind in kinds.items() if not kind.paged}
        pools = {name: pool_of(name, consumers) or "" for name in single}
        self._pools = list(dict.fromkeys(pools.values()))
        self._one_of = {pool: name for name, pool in pools.items()}
        self._terms = {
            name: Terms(self._pools.index(pools[name]), min(kind.page_max, PAGE_MAX), kind.lease_s, kind.payload)
            for name, kind in single.items()
        }
        self._number = 0

    def make(self, holder_id: int, steps: int) -> Reserved | None:
        """Reserve free slots for what a finish of *steps* steps may release; None when there is no room."""
        if not self._terms or not self._quiet():
            return None
        free = [min(steps, self._ledger.free_slots(self._one_of[pool])) for pool in self._pools]
        if not any(free):
            return None
        self._number += 1
        slots = tuple((self._one_of[pool], n) for pool, n in zip(self._pools, free, strict=True) if n)
        for kind, n in slots:
            self._ledger.reserve(kind, n)
        return Reserved(Room(holder_id, self._number, tuple(free), self._terms), slots)

    def give_back(self, reserved: Reserved) -> None:
        """The finish was answered; its leases take their slots anew."""
        for kind, n in reserved.slots:
            self._ledger.unreserve(kind, n)
