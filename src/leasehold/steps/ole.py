"""OLE files, the containers of old office formats: which of them are locked, and whether their chains end.

A stream in an OLE file is a chain of sectors, each naming the next. A chain that runs in a circle has no end, and a
library that follows it takes all the memory there is; so chains are walked here before anything else opens the file.
Each sector belongs to one chain at most, which makes the walk linear.

The new office formats (DOCX, XLSX, PPTX) are wrapped into an OLE file when they have a password. Nothing is decrypted
here: `read` exists so that such a file fails as `encrypted`, with the remedy.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator

from leasehold.types import Parsed, StepError

READER_VERSION = 1

END_OF_CHAIN = 0xFFFFFFFE
ENTRY_BYTES = 128
STREAM, ROOT = 2, 5
REMEDY = "Open and save it again with the program it came from."


def read(data: bytes, media_type: str, name: str) -> Parsed:
    raise StepError("encrypted", "it is protected by a password", remedy="Save it without the password.")


def check_chains(data: bytes) -> None:
    """Raises StepError, `damaged`, when a chain of sectors runs in a circle or into another one."""
    if len(data) < 512:
        raise _damaged("its header is cut off")
    shift, mini_shift = struct.unpack_from("<HH", data, 30)
    if shift not in (9, 12) or mini_shift != 6:
        raise _damaged("its sectors have no size that exists")
    (directory,) = struct.unpack_from("<I", data, 48)
    cutoff, first_mini = struct.unpack_from("<II", data, 56)
    file = _Sectors(data, 1 << shift)
    entries = b"".join(file.chain(directory))
    table = _numbers(b"".join(file.chain(first_mini)))
    mini_seen = bytearray(len(table))
    for kind, start, size in _entries(entries):
        if kind == STREAM and 0 < size < cutoff:
            _walk(table, start, mini_seen)
        elif kind in (STREAM, ROOT) and size:
            _walk(file.table, start, file.seen)


class _Sectors:
    """The sectors of a file, and the table that says which follows which."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size
        self.table = _numbers(b"".join(self._sector(number) for number in self._table_sectors()))
        self.seen = bytearray(len(self.table))

    def chain(self, start: int) -> Iterator[bytes]:
        for number in _walk(self.table, start, self.seen):
            yield self._sector(number)

    def _sector(self, number: int) -> bytes:
        at = (number + 1) * self._size
        return self._data[at : at + self._size]

    def _table_sectors(self) -> Iterator[int]:
        """The sectors that hold the table: 109 are named in the header, others in a chain of their own."""
        count = len(self._data) // self._size + 1
        yield from (one for one in struct.unpack_from("<109I", self._data, 76) if one < count)
        (more,) = struct.unpack_from("<I", self._data, 68)
        for _ in range(count):
            sector = self._sector(more) if more < count else b""
            if len(sector) < self._size:
                return
            *named, more = struct.unpack(f"<{self._size // 4}I", sector)
            yield from (one for one in named if one < count)
        raise _damaged("the list of its tables runs in a circle")


def _numbers(data: bytes) -> array[int]:
    """The 32-bit numbers of *data*; what is left of one at a cut end is none."""
    found = array("I", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _walk(table: array[int], start: int, seen: bytearray) -> list[int]:
    found = []
    while start < len(table):
        if seen[start]:
            raise _damaged("a chain of sectors runs in a circle")
        seen[start] = 1
        found.append(start)
        start = table[start]
    return found


def _entries(directory: bytes) -> Iterator[tuple[int, int, int]]:
    """Kind, first sector and size of each entry."""
    for at in range(0, len(directory) - ENTRY_BYTES + 1, ENTRY_BYTES):
        start, size = struct.unpack_from("<II", directory, at + 116)
        yield directory[at + 66], start, size


def _damaged(detail: str) -> StepError:
    return StepError("damaged", detail, remedy=REMEDY)
