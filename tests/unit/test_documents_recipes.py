"""Recipes: equal names for equal results, and for nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leasehold.documents.recipes import Parameters, digest, pipeline, recipes
from leasehold.options import ChunkOptions

BASE = Parameters(chunk=ChunkOptions())
SHA = bytes(32)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (replace(BASE, chunk=ChunkOptions(size=800)), ["parse"]),
        (replace(BASE, chunk=ChunkOptions(overlap=50)), ["parse"]),
        (replace(BASE, embedder="other"), ["parse", "chunk"]),
        (replace(BASE, embedder_version="2"), ["parse", "chunk"]),
        (replace(BASE, dimensions=128), ["parse", "chunk"]),
        (replace(BASE), ["parse", "chunk", "embed"]),
    ],
)
def test_a_parameter_changes_the_recipes_from_the_step_that_reads_it_and_none_before(
    other: Parameters, same: list[str]
) -> None:
    mine, theirs = recipes(SHA, "text/plain", BASE), recipes(SHA, "text/plain", other)
    assert [name for name in ("parse", "chunk", "embed") if getattr(mine, name) == getattr(theirs, name)] == same
    assert (BASE.mark == other.mark) is (len(same) == 3)
    assert (pipeline("text/plain", BASE) == pipeline("text/plain", other)) is (len(same) == 3)


def test_content_and_type_change_every_recipe() -> None:
    mine = recipes(SHA, "text/plain", BASE)
    for other in (recipes(b"\x01" * 32, "text/plain", BASE), recipes(SHA, "text/markdown", BASE)):
        assert len({mine.parse, mine.chunk, mine.embed, other.parse, other.chunk, other.embed}) == 6


def test_no_two_lists_of_parts_have_one_digest() -> None:
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", ""), digest("", "abc")}) == 5


def test_parameters_survive_json() -> None:
    assert Parameters.from_json(BASE.as_json()) == BASE
