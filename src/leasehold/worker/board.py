"""The board: a few bytes of shared memory in which a child says what it works on, and its keeper reads.

A child that hangs inside one C call can send no message; what it wrote before the call is still there. One slot per
concurrent step: token, step, when it started and when its time is up, by the monotonic clock, which parent and child
share. Counters beside it (steps ended and failed) feed the progress line without a query.

A torn read is possible and harmless: the keeper acts only on a slot that it reads twice the same.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import time
from dataclasses import dataclass

SLOT = struct.Struct("<qqdd")
COUNTS = struct.Struct("<qq")
SLOTS_MAX = 256
SIZE = COUNTS.size + SLOT.size * SLOTS_MAX


@dataclass(frozen=True, slots=True)
class Working:
    """A step that a child is working on; times are monotonic seconds."""

    slot: int
    token: int
    step_id: int
    started_s: float
    until_s: float


class Board:
    """One child's board, mapped from an inherited file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, SIZE)
        self._ended = self._failed = 0

    @classmethod
    def create(cls) -> Board:
        fd = os.memfd_create("leasehold-board") if hasattr(os, "memfd_create") else _unlinked_file()
        os.ftruncate(fd, SIZE)
        return cls(fd)

    def begin(self, slot: int, token: int, step_id: int, timeout_s: float) -> None:
        now = time.monotonic()
        SLOT.pack_into(self._memory, COUNTS.size + SLOT.size * slot, token, step_id, now, now + timeout_s)

    def end(self, slot: int) -> None:
        SLOT.pack_into(self._memory, COUNTS.size + SLOT.size * slot, 0, 0, 0.0, 0.0)

    def count(self, ended: int, failed: int) -> None:
        self._ended += ended
        self._failed += failed
        COUNTS.pack_into(self._memory, 0, self._ended, self._failed)

    def counts(self) -> tuple[int, int]:
        ended, failed = COUNTS.unpack_from(self._memory, 0)
        return ended, failed

    def working(self) -> list[Working]:
        found = []
        for slot in range(SLOTS_MAX):
            first = SLOT.unpack_from(self._memory, COUNTS.size + SLOT.size * slot)
            if first[0] and first == SLOT.unpack_from(self._memory, COUNTS.size + SLOT.size * slot):
                found.append(Working(slot, *first))
        return found

    def close(self) -> None:
        self._memory.close()
        os.close(self.fd)


def _unlinked_file() -> int:
    fd, path = tempfile.mkstemp(prefix="leasehold-board-")
    os.unlink(path)
    return fd
