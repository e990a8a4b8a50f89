"""Artifacts in the database: saved in the transaction that ends their step, read back by recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.artifacts.coding import pack, unpack
from leasehold.db.session import Connection, execute
from leasehold.db.statements import load

PACKAGE = "leasehold.artifacts"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A result to save; `content` is packed already."""

    recipe: bytes
    kind: str
    content: bytes
    size: int
    step_id: int


def artifact(recipe: bytes, kind: str, data: bytes | bytearray, step_id: int) -> Artifact:
    return Artifact(recipe, kind, pack(data), len(data), step_id)


def save(connection: Connection, artifacts: Sequence[Artifact]) -> None:
    """Save within the caller's transaction; one that is there already stays (equal recipe, equal content)."""
    if artifacts:
        rows = sorted(artifacts, key=lambda one: one.recipe)
        columns = (
            [row.recipe for row in rows],
            [row.kind for row in rows],
            [row.content for row in rows],
            [row.size for row in rows],
            [row.step_id for row in rows],
        )
        execute(connection, load(PACKAGE, "save"), columns)


def sizes(connection: Connection, recipes: Sequence[bytes]) -> dict[bytes, int]:
    """Which of *recipes* are there, with their unpacked sizes in bytes."""
    return dict(execute(connection, load(PACKAGE, "sizes"), (list(recipes),), binary=True))


def read(connection: Connection, recipes: Sequence[bytes]) -> dict[bytes, bytes | bytearray]:
    """The unpacked content of those of *recipes* that are there. The caller bounds how much it asks for."""
    rows = execute(connection, load(PACKAGE, "read"), (list(recipes),), binary=True)
    return {bytes(recipe): unpack(content, size) for recipe, content, size in rows}
