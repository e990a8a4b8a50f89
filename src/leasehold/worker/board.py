"""The board: a little shared memory in which a child says what it works on, and its keeper reads.

A child that hangs inside one C call can send no message; what it wrote before the call is still there. One slot per
concurrent step: token, step, when it started and when its time is up, by the monotonic clock, which parent and child
share. Counters beside it (steps ended and failed) feed the progress line without a query, and tallies whoever scrapes
the keeper. The pulse is when the event loop last had a turn: while it stands still, nobody can say which of the running
steps is to blame.

A read can be torn: the child may be stopped in the middle of a write. So the keeper ends nobody for what it has seen
only once.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass

from leasehold.worker.standing import FORM, Standing
from leasehold.worker.tallies import TALLY_BYTES, Tallies

SLOT = struct.Struct("<qqdd")
COUNTS = struct.Struct("<qqd")
TALLIES_AT = COUNTS.size + FORM.size
HEAD = TALLIES_AT + TALLY_BYTES
PULSE = struct.Struct("<d")
PULSE_AT = 16

WHOLE_PAGE = 0
"""In place of a step: a page function is at work, and has not said on which step."""
BETWEEN = -1
"""In place of a step: a page function that says which steps it works on is between two of them."""


@dataclass(frozen=True, slots=True)
class Working:
    """A step that a child is working on; times are monotonic seconds."""

    slot: int
    token: int
    step_id: int
    started_s: float
    until_s: float


class Board:
    """One child's board, mapped from an inherited file descriptor; it has as many slots as fit into that."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, 0)
        self.slots = (len(self._memory) - HEAD) // SLOT.size
        self._ended = self._failed = 0
        self.tallies = Tallies(memoryview(self._memory)[TALLIES_AT:HEAD])

    @classmethod
    def create(cls, slots: int) -> Board:
        fd = os.memfd_create("leasehold-board") if hasattr(os, "memfd_create") else _unlinked_file()
        os.ftruncate(fd, HEAD + SLOT.size * slots)
        return cls(fd)

    def begin(self, slot: int, token: int, step_id: int, timeout_s: float) -> None:
        now = time.monotonic()
        SLOT.pack_into(self._memory, HEAD + SLOT.size * slot, token, step_id, now, now + timeout_s)

    def end(self, slot: int) -> None:
        SLOT.pack_into(self._memory, HEAD + SLOT.size * slot, 0, 0, 0.0, 0.0)

    def count(self, ended: int, failed: int) -> None:
        self._ended += ended
        self._failed += failed
        struct.pack_into("<qq", self._memory, 0, self._ended, self._failed)

    def counts(self) -> tuple[int, int]:
        ended, failed, _ = COUNTS.unpack_from(self._memory, 0)
        return ended, failed

    def stand(self, standing: Standing) -> None:
        """How the claiming stands."""
        self._memory[COUNTS.size : TALLIES_AT] = standing.packed()

    def standing(self) -> Standing | None:
        return Standing.unpacked(self._memory[COUNTS.size : TALLIES_AT])

    def pulse(self) -> None:
        PULSE.pack_into(self._memory, PULSE_AT, time.monotonic())

    @property
    def pulsed_s(self) -> float:
        return float(PULSE.unpack_from(self._memory, PULSE_AT)[0])

    def working(self) -> list[Working]:
        entries = SLOT.iter_unpack(self._memory[HEAD : HEAD + SLOT.size * self.slots])
        return [Working(slot, *entry) for slot, entry in enumerate(entries) if entry[0]]

    def close(self) -> None:
        self.tallies.close()
        self._memory.close()
        os.close(self.fd)


def slots_for(consumers: int) -> int:
    """A consumer pool's steps and pages are shown in slots of their own: two for each consumer."""
    return max(1, 2 * consumers)


def _unlinked_file() -> int:
    fd, path = tempfile.mkstemp(prefix="leasehold-board-")
    os.unlink(path)
    return fd
