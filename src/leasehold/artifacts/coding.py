"""How results become bytes: compact JSON for blocks and chunks, plain float32 for vectors, zstd around both."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

import orjson

from leasehold.types import Block, Chunk, Parsed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1


def pack(data: bytes) -> bytes:
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


def vectors_to_bytes(vectors: Sequence[array[float]]) -> bytes:
    """float32, little-endian, one after another."""
    joined = array("f")
    for vector in vectors:
        joined.extend(vector)
    if sys.byteorder == "big":
        joined.byteswap()
    return joined.tobytes()


def vectors_from_bytes(data: bytes, dimensions: int) -> list[array[float]]:
    joined = array("f", data)
    if sys.byteorder == "big":
        joined.byteswap()
    return [joined[start : start + dimensions] for start in range(0, len(joined), dimensions)]
