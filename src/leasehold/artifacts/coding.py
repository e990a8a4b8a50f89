"""How results become bytes: compact JSON for blocks and chunks, plain float32 for vectors, zstd around both."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence

import orjson

from leasehold.types import Block, Chunk, Parsed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1


def pack(data: bytes | bytearray) -> bytes:
    return zstd.compress(data, LEVEL)


def unpack(data: bytes) -> bytes:
    return zstd.decompress(data)


def parsed_to_bytes(parsed: Parsed) -> bytes:
    blocks = [(block.text, block.line, block.heading) for block in parsed.blocks]
    return orjson.dumps((parsed.title, parsed.notes, blocks))


def parsed_from_bytes(data: bytes) -> Parsed:
    title, notes, blocks = orjson.loads(data)
    return Parsed(tuple(Block(text, line, tuple(heading)) for text, line, heading in blocks), title, tuple(notes))


def chunks_to_bytes(title: str, chunks: Sequence[Chunk]) -> bytes:
    return orjson.dumps((title, [(chunk.text, chunk.line_start, chunk.line_end, chunk.heading) for chunk in chunks]))


def chunks_from_bytes(data: bytes) -> tuple[str, list[Chunk]]:
    title, rows = orjson.loads(data)
    return title, [Chunk(text, start, end, tuple(heading)) for text, start, end, heading in rows]


class VectorsWriter:
    """Vectors one after another as float32, little-endian; grows without holding each vector as an object."""

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


def vectors_from_bytes(data: bytes) -> array[float]:
    """All floats of all vectors in one array: the i-th vector is a slice of it."""
    joined = array("f", data)
    if sys.byteorder == "big":
        joined.byteswap()
    return joined
