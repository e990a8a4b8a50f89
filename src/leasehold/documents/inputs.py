"""Input artifacts of a page, read in the order in which they are needed, a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Sequence

from leasehold.artifacts import database
from leasehold.artifacts.keeping import Artifacts
from leasehold.db.session import Session

READ_BYTES = 8_000_000
"""Unpacked bytes of artifacts held at once; a larger one is held alone."""


class InputGone(Exception):
    """The result that a step works on is not there any more: removed, lost, or damaged. It has to be made again."""


class Inputs:
    """`take` hands an input out and forgets what came before it, so ask in the order of *recipes*."""

    def __init__(self, session: Session, artifacts: Artifacts, recipes: Sequence[bytes]) -> None:
        self._session, self._artifacts = session, artifacts
        self._order = list(recipes)
        self._at = 0
        self._sizes: dict[bytes, int] | None = None
        self._read: dict[bytes, bytes | bytearray] = {}

    def take(self, recipe: bytes) -> bytes | bytearray:
        """The artifact *recipe*, decoded.

        Raises:
            InputGone: it is not there.
            ArtifactStoreAway: its store cannot be reached.
        """
        while self._order[self._at] != recipe:  # those between were not needed
            self._at += 1
        if recipe not in self._read:
            self._fill()
        self._at += 1
        data = self._read.get(recipe)
        if data is None:
            raise InputGone
        if recipe not in self._order[self._at :]:
            del self._read[recipe]
        return data

    def _fill(self) -> None:
        self._read = {}
        if self._sizes is None:
            wanted = list(dict.fromkeys(self._order))
            self._sizes = self._session.run(lambda connection: database.sizes(connection, wanted))
        batch: dict[bytes, None] = {}
        total = 0
        for recipe in self._order[self._at :]:
            if recipe in batch:
                continue
            total += self._sizes.get(recipe, 0)
            if batch and total > READ_BYTES:
                break
            batch[recipe] = None
        self._read = self._artifacts.read(self._session, list(batch))
