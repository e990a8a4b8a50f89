"""Consumer pools: how many steps of which kinds this worker works at once.

`parse=4,store=1,*=2` reads: four consumers that work only `parse`, one that works only `store`, and two for every
kind that no other pool names. A pool of 0 says "never here": `store=0,*=4` works everything but `store`.

Two rules, and everything here follows from them. A kind belongs to exactly one pool: `*` never takes a kind that a
named pool has, not even when that pool is full and `*` is idle. A step counts from its lease to its end, whether it
runs or waits in this process, so that what was leased ahead is never forgotten when the next claim is sized.

What holds the truth: the leases in the database. These are this worker's own counts of them, for its own decisions;
they die with it. A count that would go below zero, or past the pool's size and its kind's prefetch, is a bug in the
caller, and an assertion says so at once rather than a week later.

Not here: which lane is asked next (`policy`), a limit over all workers (the kernel's seats).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from leasehold.errors import UsageError

EVERY_OTHER = "*"
CONSUMERS_MAX = 10_000
"""Of one pool. A bound on memory and on the size of one claim, far above what one process can use."""

_EXAMPLE = "Write one or more KIND=COUNT with commas between them, for example parse=4,store=1,*=2."


def parse_consumers(text: str) -> dict[str, int]:
    """The pools *text* names, in its order. `""`, a kind named twice, and counts that are all 0 are refused.

    Raises:
        UsageError: naming the part that cannot be read. Kind names are checked by `check_kinds`, which knows them.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        kind, count = _parse_pool(part.strip())
        if kind in sizes:
            raise UsageError(f"consumers: {kind!r} is named twice in {text!r}.", remedy="Name each kind once.")
        sizes[kind] = count
    if not any(sizes.values()):
        remedy = "Give at least one kind a count of 1 or more, for example *=2."
        raise UsageError(f"consumers: {text!r} leaves this worker no consumer, so it could never work.", remedy=remedy)
    return sizes


def _parse_pool(part: str) -> tuple[str, int]:
    kind, equals, count = (piece.strip() for piece in part.partition("="))
    if not (kind and equals):
        raise UsageError(f"consumers: expected KIND=COUNT, got {part!r}.", remedy=_EXAMPLE)
    # isdigit() alone accepts other scripts' digits and superscripts; int() alone accepts "+4", "1_000" and " 4".
    if not (count.isascii() and count.isdigit() and len(count) <= 9 and int(count) <= CONSUMERS_MAX):
        expected = f"a whole number from 0 to {CONSUMERS_MAX}"
        raise UsageError(f"consumers: expected {expected} for {kind!r}, got {count!r}.", remedy=_EXAMPLE)
    return kind, int(count)


def check_kinds(pools: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a pool for a kind nobody registered: it would wait for ever, and its kind would fall to `*`.

    Raises:
        UsageError: naming the first such kind, and the known kind it is nearest to.
    """
    names = sorted(known)
    for kind in pools:
        if kind != EVERY_OTHER and kind not in names:
            near = get_close_matches(kind, names, n=1)
            remedy = f"Did you mean {near[0]!r}?" if near else f"Known kinds: {', '.join(names) or 'none'}."
            raise UsageError(f"consumers: there is no kind of step named {kind!r}.", remedy=remedy)


def pool_of(kind: str, sizes: Mapping[str, int]) -> str | None:
    """The one pool that works *kind*; None when no pool of at least one consumer does."""
    name = kind if kind in sizes else EVERY_OTHER
    return name if sizes.get(name, 0) > 0 else None


class Pools:
    """This worker's pools and the steps it holds in each, counted from lease to end.

    Args:
        sizes: consumers per pool, as `parse_consumers` returns them.
        prefetch: per kind, how many steps may be leased beyond the pool's size; a kind not named has 0.
    """

    __slots__ = ("_held", "_prefetch", "_used", "sizes")

    def __init__(self, sizes: Mapping[str, int], prefetch: Mapping[str, int] | None = None) -> None:
        self.sizes = dict(sizes)
        self._prefetch = dict(prefetch or {})
        self._used = dict.fromkeys(self.sizes, 0)
        self._held: dict[str, int] = {}

    def __repr__(self) -> str:
        return "Pools(" + ", ".join(f"{name}={self._used[name]}/{size}" for name, size in self.sizes.items()) + ")"

    @property
    def held(self) -> Mapping[str, int]:
        """Steps leased and not yet ended, per kind, as `LanePolicy.choose` wants them. Live; do not change it."""
        return self._held

    def serves(self, kind: str) -> bool:
        return pool_of(kind, self.sizes) is not None

    def free(self, kind: str) -> int:
        """Consumers of the kind's pool without a leased step; 0 for a kind this worker does not serve."""
        pool = pool_of(kind, self.sizes)
        return 0 if pool is None else max(0, self.sizes[pool] - self._used[pool])

    def take(self, kind: str, n: int) -> None:
        """*n* steps of *kind* were leased."""
        pool = pool_of(kind, self.sizes)
        assert pool is not None, f"{kind!r} is not served by {self!r}"
        used, ceiling = self._used[pool] + n, self.sizes[pool] + self._prefetch.get(kind, 0)
        assert n >= 1, f"took {n} steps of {kind!r}"
        assert used <= ceiling, f"{n} more of {kind!r} exceed {ceiling} in {self!r}"
        self._used[pool] = used
        self._held[kind] = self._held.get(kind, 0) + n

    def give(self, kind: str, n: int) -> None:
        """*n* steps of *kind* ended, whichever way."""
        held = self._held.get(kind, 0) - n
        assert n >= 1, f"gave back {n} steps of {kind!r}"
        assert held >= 0, f"{n} of {kind!r} given back, {held + n} held in {self!r}"
        pool = pool_of(kind, self.sizes)
        assert pool is not None  # take() refused it otherwise
        self._used[pool] -= n
        self._held[kind] = held
