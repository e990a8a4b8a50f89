"""Artifacts: what is written is read back, exactly."""

from __future__ import annotations

import random
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.artifacts import coding
from leasehold.types import Block, Chunk, Parsed

TEXT = st.text(st.characters(blacklist_categories=["Cs"]))
HEADING = st.lists(TEXT, max_size=3).map(tuple)


@given(st.lists(st.builds(Block, TEXT, st.integers(1, 10**6), HEADING)).map(tuple), TEXT, st.lists(TEXT).map(tuple))
def test_parsed_text_comes_back(blocks: tuple[Block, ...], title: str, notes: tuple[str, ...]) -> None:
    parsed = Parsed(blocks, title, notes)
    assert coding.parsed_from_bytes(coding.parsed_to_bytes(parsed)) == parsed


@given(TEXT, st.lists(st.builds(Chunk, TEXT, st.integers(1, 10**6), st.integers(1, 10**6), HEADING)))
def test_chunks_come_back(title: str, chunks: list[Chunk]) -> None:
    assert coding.chunks_from_bytes(coding.chunks_to_bytes(title, chunks)) == (title, chunks, ())
    noted = coding.chunks_to_bytes(title, chunks, ("one", "two"))
    assert coding.chunks_from_bytes(noted) == (title, chunks, ("one", "two"))


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3)))
def test_vectors_are_little_endian_float32_on_every_machine(vectors: list[list[float]]) -> None:
    writer = coding.VectorsWriter()
    writer.add(array("f", one) for one in vectors)
    assert writer.content() == b"".join(struct.pack("<fff", *one) for one in vectors)


@pytest.mark.parametrize("size", [0, 1, coding.PIECE_BYTES - 1, coding.PIECE_BYTES, 3 * coding.PIECE_BYTES + 17])
def test_what_is_packed_is_unpacked_whatever_its_size(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert coding.unpack(coding.pack(data), size) == data
    if size >= coding.PIECE_BYTES:
        with pytest.raises(ValueError, match="bytes has"):
            coding.unpack(coding.pack(data), size + 1)
