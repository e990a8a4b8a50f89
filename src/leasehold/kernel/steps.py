"""Steps: claiming ready ones, and saying how leased ones ended.

A `Lease` is a value: it may be stale when you read it. Only the database knows; `finish` answers for each step whether
its word was accepted now, had been accepted before, or came too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.types import StepLease

PACKAGE = "leasehold.kernel"
PAGE_MAX = 500
"""Steps that one lease may cover: its two arrays then stay within one 8 kB row."""


class Verdict(StrEnum):
    ACCEPTED = "accepted"
    ALREADY = "already accepted"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that has something ready, as the database says now; `source` is whose work its group is.

    Group 0: it is a hook's, of no group.
    """

    lane_id: int
    kind: str
    group_id: int
    stage: int
    weight: int
    priority: int
    source: str = ""
    probe: bool = False
    """The breaker of its kind is open: only `claim_probe` may take from it."""
    full: bool = False
    """A resource that it stands behind has no seat for it now, or is paused."""


@dataclass(frozen=True, slots=True)
class LaneRequest:
    """Take up to `n` steps of a lane, behind position `hint` (0: from its start), for `deadline_s` seconds.

    `items`: the runs' items are wanted too.
    """

    lane_id: int
    n: int
    hint: int
    deadline_s: float
    items: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A page of steps of one lane, held under one token. `alone`: its holder must hold nothing else meanwhile."""

    token: int
    lane_id: int
    steps: tuple[tuple[int, int], ...]
    """(step_id, attempt), in the lane's order; attempts count from 1."""
    last_position: int | None
    alone: bool
    items: tuple[Any, ...] | None = None
    """One a step, if they were asked for."""


@dataclass(frozen=True, slots=True)
class Claimed:
    leases: tuple[Lease, ...]
    alone_waiting: tuple[int, ...]
    """Lanes that have steps to be leased alone, which this holder could not take because it holds others."""


@dataclass(slots=True)
class End:
    """How one step ended: `ended` is succeeded, error, failed, cancelled or snoozed.

    `delay_s` is the wait of an error or a snooze (None: the workflow's backoff); `wait_key` wakes a snooze sooner.
    """

    token: int
    step_id: int
    ended: str
    reason: str | None = None
    detail: str | None = None
    delay_s: float | None = None
    wait_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms successors of one kind are leased: to which pool they belong, at most how many, for how long."""

    pool: int
    page_max: int
    deadline_s: float
    items: bool


@dataclass(frozen=True, slots=True)
class Room:
    """What a holder has room for when it finishes: free slots by pool, and the kinds it may be given.

    `number` is one that this holder has given to no other finish.
    """

    holder_id: int
    number: int
    free: tuple[int, ...]
    kinds: Mapping[str, Terms]

    def words(self) -> str:
        kinds = {kind: [terms.pool, terms.page_max, terms.deadline_s] for kind, terms in self.kinds.items()}
        items = [kind for kind, terms in self.kinds.items() if terms.items]
        body = {"holder": self.holder_id, "number": self.number, "rooms": self.free, "kinds": kinds, "items": items}
        return orjson.dumps(body).decode()


@dataclass(frozen=True, slots=True)
class Successor:
    """A lease that came with a finish, and of which kind and group it is."""

    lease: Lease
    kind: str
    group_id: int


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finish brought. `released`: steps became ready for anybody, besides the `successors`."""

    verdicts: list[Verdict]
    successors: tuple[Successor, ...]
    released: bool


def lanes(session: Session, kinds: Sequence[str], behind: Mapping[int, int] | None = None) -> list[Lane]:
    """Lanes of *kinds* that have ready steps and are not paused. Of a lane in *behind*, behind that position."""
    hints = behind or {}
    rows = session.fetch(load(PACKAGE, "lanes_with_work"), (list(hints), list(hints.values()), list(kinds)))
    return [Lane(*row) for row in rows]


def claim(session: Session, holder_id: int, claim_no: int, requests: Sequence[LaneRequest]) -> Claimed:
    """Lease what *requests* ask for. The same *claim_no* again answers with the same leases and takes nothing new.

    Without *requests* the number is used up: what it took is answered, and whatever of it is still on its way takes
    nothing. Needed after an empty answer to a claim that had to be sent twice.

    Raises:
        HolderGone: the holder has left or was reaped.
    """
    rows = session.fetch(
        load(PACKAGE, "call_claim"),
        (
            holder_id,
            claim_no,
            [request.lane_id for request in requests],
            [request.n for request in requests],
            [request.hint for request in requests],
            [request.deadline_s for request in requests],
            [request.items for request in requests],
        ),
    )
    return _claimed(rows)


def claim_probe(session: Session, holder_id: int, claim_no: int, request: LaneRequest) -> Claimed:
    """Lease one step of a lane whose breaker is open, unless another probe is out. May be sent again, as `claim`.

    Raises:
        HolderGone: the holder has left or was reaped.
    """
    params = (holder_id, claim_no, request.lane_id, request.deadline_s, request.items)
    return _claimed(session.fetch(load(PACKAGE, "call_claim_probe"), params))


def _claimed(rows: list[tuple[Any, ...]]) -> Claimed:
    leases, waiting = [], []
    for token, lane_id, step_ids, attempts, last_position, alone, items in rows:
        if token is None:
            waiting.append(lane_id)
            continue
        leased = tuple(zip(step_ids, attempts, strict=True))
        leases.append(Lease(token, lane_id, leased, last_position, alone, None if items is None else tuple(items)))
    return Claimed(tuple(leases), tuple(waiting))


def accept(connection: Connection, held: Sequence[tuple[int, int]]) -> list[int]:
    """Within a transaction: the indexes (from 0) of the (token, step_id) pairs that are still held.

    Until the transaction ends they stay so: effects written now commit together with the `finish` that must follow.
    """
    tokens, steps = [token for token, _ in held], [step for _, step in held]
    rows = execute(connection, load(PACKAGE, "call_accept"), (tokens, steps))
    return [ord_ - 1 for ord_ in rows[0][0]]


def finish(connection: Connection, ends: Sequence[End] | Sequence[StepLease]) -> list[Verdict]:
    """Record how steps ended, in one statement; a verdict each, in order. May be sent again.

    Leases alone: all their steps succeeded, and there is nothing to say about it.
    """
    verdicts = [Verdict.ACCEPTED] * len(ends)
    for ord_, verdict in execute(connection, load(PACKAGE, "call_finish"), _columns(ends)):
        verdicts[ord_ - 1] = Verdict(verdict)
    return verdicts


def finish_and_lease(connection: Connection, ends: Sequence[End] | Sequence[StepLease], room: Room) -> Finished:
    """`finish`, and lease to the same holder what that has released, as far as *room* goes.

    May be sent again, as it was: under the same number it answers with the same leases, as far as they are held.
    """
    verdicts, successors, released = [Verdict.ACCEPTED] * len(ends), [], False
    rows = execute(connection, load(PACKAGE, "call_finish_and_lease"), [*_columns(ends), room.words()])
    for ord_, verdict, token, lane_id, kind, group_id, step_ids, attempts, items in rows:
        if token is not None:
            leased = tuple(zip(step_ids, attempts, strict=True))
            lease = Lease(token, lane_id, leased, None, False, None if items is None else tuple(items))
            successors.append(Successor(lease, kind, group_id))
        elif ord_ is None:
            released = True
        else:
            verdicts[ord_ - 1] = Verdict(verdict)
    return Finished(verdicts, tuple(successors), released)


def _columns(ends: Sequence[End] | Sequence[StepLease]) -> list[list[Any]]:
    columns: list[list[Any]] = [[end.token for end in ends], [end.step_id for end in ends]]
    said = [end for end in ends if isinstance(end, End)]
    if all(end.ended == "succeeded" and end.detail is None and end.wait_key is None for end in said):
        return [*columns, [], [], [], [], []]  # most pages: five short arrays fewer to write and to read
    return [
        *columns,
        [end.ended for end in said],
        [end.reason for end in said],
        [end.detail for end in said],
        [end.delay_s for end in said],
        [end.wait_key for end in said],
    ]


def finish_all(session: Session, ends: Sequence[End]) -> list[Verdict]:
    """`finish` in a transaction of its own."""
    return session.single(lambda connection: finish(connection, ends)) if ends else []


def failed_ends(session: Session, ends: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those of these (step_id, token) pairs that stand as failed: of errors, the ones that were their steps' last."""
    step_ids, tokens = [step for step, _ in ends], [token for _, token in ends]
    return [(row[0], row[1]) for row in session.fetch(load(PACKAGE, "failed_ends"), (step_ids, tokens))]


def release(session: Session, held: Sequence[tuple[int, int]]) -> int:
    """Give (token, step_id) pairs back unworked and uncharged; how many were still held."""
    if not held:
        return 0
    tokens, steps = [token for token, _ in held], [step for _, step in held]
    return int(session.fetch(load(PACKAGE, "call_release"), (tokens, steps))[0][0])


def save_checkpoint(session: Session, token: int, step_id: int, name: str, value: str) -> bool:
    """Keep *value* (JSON text) for whoever works this step next; False when it is no longer held under *token*, and
    nothing was written. May be sent again."""
    return bool(session.fetch(load(PACKAGE, "call_checkpoint_save"), (token, step_id, name, value))[0][0])


def promote(session: Session, *, limit: int = 5000) -> tuple[int, float | None]:
    """Make delayed steps ready whose time has come; how many, and seconds until the next one (None: none waits)."""
    moved, next_s = session.fetch(load(PACKAGE, "call_promote"), (limit,))[0]
    return int(moved), next_s


def step_name(step_id: int) -> str:
    """A step's id as people read and write it: the run and the place in its workflow, `17.3`."""
    return f"{step_id >> 10}.{step_id & 1023}"


def step_id_of(name: str) -> int:
    """The step id of `17.3`. Raises ValueError for anything else."""
    run, _, ix = name.partition(".")
    if not (run.isascii() and run.isdigit() and len(run) < 16 and ix.isascii() and ix.isdigit() and int(ix) < 1024):
        raise ValueError(name)
    return int(run) * 1024 + int(ix)
