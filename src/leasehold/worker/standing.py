"""Standing: how a worker's claiming stands, in a few numbers that somebody else can read while the worker hangs.

Written by the claim loop, read by the watch for silence (`silence`), in the same process or, through the board, by the
keeper. Times are monotonic seconds, which parent and child share. A read may be torn; the watch believes nothing that
it has seen only once.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass, field
from enum import IntEnum

KINDS_BYTES = 400
FORM = struct.Struct(f"<dddq{KINDS_BYTES}s")


class Doing(IntEnum):
    """What the claim loop does at the moment, or why it does not ask."""

    LOOKING = 0
    """It looks for work at its intervals, and has found nothing that it may ask for."""
    ASKING = 1
    """A claim or a look is under way."""
    BUSY = 2
    """Its consumers have no room."""
    ALONE = 3
    """It holds a step that nothing may join, or waits to hold it alone."""
    FULL = 4
    """So many ended steps wait to be recorded that it claims nothing more."""
    FAILING = 5
    """The last claim failed."""
    DRAINED = 6
    """It was told to claim no more."""


@dataclass(slots=True)
class Standing:
    """`kinds` it serves; when it last claimed something, last asked, and its event loop last had a turn."""

    kinds: tuple[str, ...] = ()
    doing: Doing = Doing.LOOKING
    claimed_s: float = field(default_factory=time.monotonic)
    asked_s: float = 0.0
    pulsed_s: float = field(default_factory=time.monotonic)

    def asking(self) -> None:
        self.asked_s = time.monotonic()
        self.doing = Doing.ASKING

    def answered(self, *, something: bool) -> None:
        self.doing = Doing.LOOKING
        if something:
            self.claimed_s = time.monotonic()

    def packed(self) -> bytes:
        names = ",".join(self.kinds).encode()[:KINDS_BYTES]
        return FORM.pack(self.claimed_s, self.asked_s, self.pulsed_s, int(self.doing), names)

    @classmethod
    def unpacked(cls, data: bytes) -> Standing | None:
        """None: nothing has been written yet."""
        claimed_s, asked_s, pulsed_s, doing, names = FORM.unpack(data)
        if not claimed_s:
            return None
        kinds = tuple(names.rstrip(b"\0").decode(errors="ignore").split(","))
        return cls(kinds, Doing(doing), claimed_s, asked_s, pulsed_s)
