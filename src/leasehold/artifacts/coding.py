"""How results become bytes: compact JSON for blocks and chunks, plain float32 for vectors, zstd around both."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence

import orjson

from leasehold.types import Block, Box, Chunk, Parsed, Place

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
PIECE_BYTES = 1 << 20


class NotOurs(ValueError):
    """These bytes are not what was packed."""


def pack(data: bytes | bytearray, level: int = LEVEL) -> bytes:
    return zstd.compress(data, level)


def unpack(data: bytes, size: int) -> bytes | bytearray:
    """The *size* bytes that were packed; large ones piece by piece into their place, never held twice.

    Raises:
        NotOurs: they are damaged.
    """
    try:
        return zstd.decompress(data) if size < PIECE_BYTES else _unpack_large(data, size)
    except (zstd.ZstdError, EOFError) as error:
        raise NotOurs(str(error)) from error


def _unpack_large(data: bytes, size: int) -> bytearray:
    content, at = bytearray(size), 0
    decompressor = zstd.ZstdDecompressor()
    piece = decompressor.decompress(data, PIECE_BYTES)
    while piece:
        content[at : at + len(piece)] = piece
        at += len(piece)
        piece = b"" if decompressor.eof else decompressor.decompress(b"", PIECE_BYTES)
    if at != size:
        raise NotOurs(f"an artifact of {size} bytes has {at}")
    return content


def parsed_to_bytes(parsed: Parsed) -> bytes:
    """Its members are not in it: they were read into blocks before."""
    blocks = [(one.text, one.line, one.heading, *_placed(one)) for one in parsed.blocks]
    return orjson.dumps((parsed.title, parsed.notes, blocks))


class ParsedWriter:
    """As `parsed_to_bytes`, block by block, so that they are never all held as objects."""

    def __init__(self) -> None:
        self._rows = bytearray()

    def add(self, blocks: Iterable[Block]) -> None:
        for one in blocks:
            self._rows += (b"," if self._rows else b"") + orjson.dumps((one.text, one.line, one.heading, *_placed(one)))

    def content(self, title: str, notes: Sequence[str]) -> bytearray:
        head = orjson.dumps((title, notes))[:-1] + b",["
        self._rows[:0] = head
        self._rows += b"]]"
        return self._rows


def parsed_from_bytes(data: bytes | bytearray) -> Parsed:
    title, notes, blocks = orjson.loads(data)
    made = tuple(Block(text, line, tuple(heading), *_place(*placed)) for text, line, heading, *placed in blocks)
    return Parsed(made, title, tuple(notes))


def chunks_to_bytes(title: str, chunks: Sequence[Chunk], notes: Sequence[str] = ()) -> bytes:
    rows = [(one.text, one.line_start, one.line_end, one.heading, *_placed(one)) for one in chunks]
    return orjson.dumps((title, rows, notes) if notes else (title, rows))


def chunks_from_bytes(data: bytes | bytearray) -> tuple[str, list[Chunk], tuple[str, ...]]:
    """Title, chunks, and the notes about the reading."""
    title, rows, *notes = orjson.loads(data)
    made = [Chunk(text, start, end, tuple(heading), *_place(*placed)) for text, start, end, heading, *placed in rows]
    return title, made, tuple(notes[0]) if notes else ()


def _placed(one: Block | Chunk) -> tuple[object, ...]:
    """Place and box, for what has them: text files are most files, and have neither."""
    return (one.place, one.box) if one.place or one.box else ()


def _place(place: Sequence[Sequence[str | int]] = (), box: Sequence[float] | None = None) -> tuple[Place, Box | None]:
    pairs = tuple((str(kind), value) for kind, value in place)
    return pairs, (box[0], box[1], box[2], box[3]) if box else None


class VectorsWriter:
    """Vectors one after another as float32, little-endian; grows without holding each vector as an object.

    Nobody turns them back into numbers here: the store takes these bytes as they are.
    """

    def __init__(self) -> None:
        self._content = bytearray()

    def add(self, vectors: Iterable[array[float]]) -> None:
        for vector in vectors:
            if sys.byteorder == "big":
                vector = vector[:]  # noqa: PLW2901 - the caller's stays as it is
                vector.byteswap()
            self._content += vector.tobytes()

    def content(self) -> bytearray:
        return self._content
