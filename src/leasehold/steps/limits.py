"""Limits on what is packed: how deep, how many, how far a file may expand, and what one is told that goes beyond.

They hold for one file with all that is inside it, so that nesting does not multiply them. The numbers are far above
what people's files need, and low enough that a worker survives a file that was made to harm it.
"""

from __future__ import annotations

from leasehold.types import StepError

DEPTH_MAX = 5
"""A mail in an archive in a mail is three. What is deeper is noted and not read."""
MEMBERS_MAX = 100_000
MEMBER_BYTES_MAX = 256 << 20
"""A worker holds one member at a time. A larger one is noted and not read."""
EXPANDED_BYTES_MAX = 1 << 30
"""All members of a file together."""
RATIO_MAX = 200
"""Members may be this many times larger than their file, beyond what is free. Text logs reach 40."""
RATIO_FREE_BYTES = 64 << 20
TEXT_CHARS_MAX = 200_000_000
"""Text that one file may have; more would not fit a field of the database."""

BOMB = "decompression bomb"
TOO_FAR = "expands too far"
UNPACK = "Unpack it yourself, and ingest the folder."


def allowed_bytes(size: int) -> int:
    """How far a file of *size* bytes may expand."""
    return min(EXPANDED_BYTES_MAX, max(RATIO_FREE_BYTES, RATIO_MAX * size))


def over(size: int) -> StepError:
    """What a file of *size* bytes is told that expands farther."""
    if allowed_bytes(size) < EXPANDED_BYTES_MAX:
        return StepError(BOMB, f"it expands to more than {RATIO_MAX} times its size", remedy=UNPACK)
    return StepError(TOO_FAR, f"it expands to more than {EXPANDED_BYTES_MAX:,} bytes", remedy=UNPACK)


def stops_all(error: StepError) -> bool:
    """Whether what happened to a member ends the reading of the whole file."""
    return error.reason in (BOMB, TOO_FAR)
