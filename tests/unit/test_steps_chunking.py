"""Chunks hold all of the text, fit their size, and know their lines."""

from __future__ import annotations

import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.steps.chunking import chunk
from leasehold.steps.reading import read
from leasehold.types import Block, Chunk, Parsed

WORDS = st.text(alphabet="ab cé漢👍🏽.\t\n\u0301\u3000\x1c", max_size=30)
TEXTS = st.lists(WORDS, max_size=40).map("\n".join) | st.text(max_size=300)
SIZES = st.integers(1, 60)


def whole(text: str) -> Parsed:
    return Parsed((Block(text, 1),))


def visible(*texts: str) -> str:
    return "".join("".join(text.split()) for text in texts)


def assert_lines_exact(chunks: list[Chunk], text: str) -> None:
    lines = text.split("\n")
    for piece in chunks:
        inside = piece.text.split("\n")
        assert inside[0] in lines[piece.line_start - 1]
        assert inside[-1] in lines[piece.line_end - 1]


@given(TEXTS, SIZES)
def test_every_visible_character_is_in_some_chunk_in_order(text, size):
    chunks = chunk(whole(text), size=size, overlap=0)
    assert visible(*(piece.text for piece in chunks)) == visible(text)


@given(TEXTS, SIZES, st.integers(0, 30))
def test_no_chunk_is_blank_or_longer_than_the_size_and_lines_are_exact(text, size, overlap):
    chunks = chunk(whole(text), size=size, overlap=min(overlap, size // 2))
    assert all(piece.text.strip() and len(piece.text) <= size for piece in chunks)
    assert_lines_exact(chunks, text)
    for piece in chunks:
        assert piece.line_end == piece.line_start + piece.text.count("\n")


@given(TEXTS, st.integers(2, 60))
def test_with_overlap_nothing_is_lost(text, size):
    """Method: walk through the text; each chunk starts at or before the place the last one ended."""
    seen = visible(text)
    reached = 0
    for piece in chunk(whole(text), size=size, overlap=size // 2):
        wanted = visible(piece.text)
        starts = range(max(0, reached - size), reached + 1)
        reached = max((start + len(wanted) for start in starts if seen.startswith(wanted, start)), default=-1)
        assert reached >= 0
    assert reached == len(seen)


BLOCKS = st.lists(
    st.tuples(st.text("ab \n", max_size=80), st.integers(0, 5), st.lists(st.sampled_from("AB"), max_size=2)),
    max_size=15,
)


@given(BLOCKS, st.integers(8, 100))
def test_packing_blocks_loses_nothing_and_keeps_their_lines(blocks, size):
    """Method: blocks with gaps between them; the file they come from is rebuilt line by line."""
    made, file = [], []
    for text, gap, heading in blocks:
        file += [""] * gap
        made.append(Block(text, len(file) + 1, tuple(heading)))
        file += text.split("\n")
    chunks = chunk(Parsed(tuple(made)), size=size, overlap=0)
    assert visible(*(piece.text for piece in chunks)) == visible(*file)
    assert all(len(piece.text) <= size for piece in chunks)
    assert_lines_exact(chunks, "\n".join(file))


def test_blocks_under_one_heading_are_packed_up_to_the_size():
    blocks = tuple(Block("x" * 40, line, ("A",)) for line in range(1, 10, 2))
    chunks = chunk(Parsed(blocks), size=130, overlap=0)
    assert [(len(piece.text), piece.line_start, piece.line_end) for piece in chunks] == [(124, 1, 5), (82, 7, 9)]


def test_a_chunk_does_not_mix_sections_that_are_large_enough_to_stand_alone():
    blocks = (Block("a" * 60, 1, ("A",)), Block("b" * 60, 3, ("B",)))
    assert [piece.heading for piece in chunk(Parsed(blocks), size=200, overlap=0)] == [("A",), ("B",)]


def test_tiny_neighbours_share_a_chunk_under_the_heading_they_have_in_common():
    blocks = (Block("def a(): 1", 5, ("Lease", "a")), Block("def b(): 2", 8, ("Lease", "b")))
    assert chunk(Parsed(blocks), size=200, overlap=0) == [Chunk("def a(): 1\n\n\ndef b(): 2", 5, 8, ("Lease",))]


def test_a_heading_alone_goes_with_what_follows_below_it():
    text = "# Lease\n\n## Ends\n\n" + "It ends. " * 40
    first = chunk(read(text.encode(), media_type="text/markdown", name="a.md"), size=200, overlap=0)[0]
    assert first.text.startswith("# Lease\n\n## Ends\n\nIt ends.")
    assert (first.line_start, first.line_end, first.heading) == (1, 5, ("Lease", "Ends"))


def test_a_fence_that_fits_is_not_cut():
    fence = "```\n" + "a = 1\n\n" * 12 + "```"
    text = "words " * 30 + "\n\n" + fence + "\n\n" + "words " * 30
    chunks = chunk(read(text.encode(), media_type="text/markdown", name="a.md"), size=250, overlap=0)
    assert fence in [piece.text for piece in chunks]


def test_the_indent_of_the_first_line_of_a_chunk_stays():
    text = "def a():\n" + "    x = 1\n" * 30
    assert all(piece.text.startswith("    ") for piece in chunk(whole(text), size=100, overlap=0)[1:])


def test_overlap_repeats_the_end_of_the_chunk_before():
    text = "\n".join(f"line {number}" for number in range(100))
    chunks = chunk(whole(text), size=100, overlap=30)
    assert all(after.line_start <= before.line_end for before, after in pairwise(chunks))
    assert_lines_exact(chunks, text)


@pytest.mark.parametrize("pattern", ["a", "word and ", "漢字かな", " ", "\n", "e\u0301", "x = 1\n", "a.b[c];"])
def test_text_without_structure_is_cut_in_linear_time(pattern):
    """Method: the time limit of the suite; the splitter without windows would take minutes on some of these."""
    text = pattern * (400_000 // len(pattern))
    chunks = chunk(whole(text), size=1200, overlap=0)
    assert visible(*(piece.text for piece in chunks)) == visible(text)


@pytest.mark.parametrize("name", ["tarfile.py", "textwrap.py", "this.py", "types.py", "_pydecimal.py"])
def test_the_chunks_of_real_source_are_found_at_their_lines(name):
    data = (Path(sysconfig.get_paths()["stdlib"]) / name).read_bytes()
    chunks = chunk(read(data, media_type="text/x-source; language=python", name=name), size=1200, overlap=0)
    assert visible(*(piece.text for piece in chunks)) == visible(data.decode())
    assert_lines_exact(chunks, data.decode())
