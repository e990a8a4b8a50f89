"""Artifacts as steps that people write keep them: bytes under a recipe, saved with the end of their step."""

from __future__ import annotations

from collections.abc import Mapping

from leasehold.artifacts import database
from leasehold.db.session import Connection


class NamedArtifacts:
    """Always in the database, wherever the settings put results: saved with their steps' ends, and nobody could
    make them again. Holds nothing of its own."""

    def save(self, connection: Connection, artifacts: Mapping[bytes, bytes], kind: str, step_id: int) -> None:
        """Save content by recipe (32 bytes) within the caller's transaction; what is there already stays."""
        rows = [database.artifact(recipe, kind, content, step_id) for recipe, content in artifacts.items()]
        database.save(connection, rows)

    def read(self, connection: Connection, recipe: bytes) -> bytes | None:
        """The content, if it is there."""
        return database.read_here(connection, recipe)
