"""What the database knows of artifacts: their rows, the stores outside, and the strays in those.

A row is saved in the transaction that ends its step. Rows come and go only here and in `documents.orphans`; whatever
takes a row away whose content lies outside notes its key as a stray in the same statement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from leasehold.artifacts.coding import NotOurs, pack, unpack
from leasehold.artifacts.stores import Address
from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.errors import LeaseholdError

PACKAGE = "leasehold.artifacts"
ZSTD, PLAIN = "zstd", "plain"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A result as it is stored: `content` is encoded already, and None when it lies under `key` in a store."""

    recipe: bytes
    kind: str
    content: bytes | None
    size: int
    step_id: int
    encoding: str
    stored: int
    checksum: bytes
    store_id: int | None = None
    key: str | None = None

    @property
    def weight(self) -> int:
        """Bytes it holds in memory."""
        return len(self.content) if self.content is not None else 0

    def decoded(self, content: bytes) -> bytes | bytearray | None:
        """The result from *content*; None when that is not what was stored."""
        if len(content) != self.stored or hashlib.sha256(content).digest() != self.checksum:
            return None
        try:
            return content if self.encoding == PLAIN else unpack(content, self.size)
        except NotOurs:
            return None


def artifact(recipe: bytes, kind: str, data: bytes | bytearray, step_id: int, *, level: int = 1) -> Artifact:
    """*data* encoded, to be saved within its row."""
    content = pack(data, level) if level else bytes(data)
    encoding = ZSTD if level else PLAIN
    checksum = hashlib.sha256(content).digest()
    return Artifact(recipe, kind, content, len(data), step_id, encoding, len(content), checksum)


def save(connection: Connection, artifacts: Sequence[Artifact]) -> None:
    """Save within the caller's transaction; one that is there already stays (equal recipe, equal content), and an
    object that was written beside it remains a stray."""
    if not artifacts:
        return
    rows = sorted(artifacts, key=lambda one: one.recipe)
    columns = (
        [row.recipe for row in rows],
        [row.kind for row in rows],
        [row.content for row in rows],
        [row.size for row in rows],
        [row.step_id for row in rows],
        [row.encoding for row in rows],
        [row.stored for row in rows],
        [row.checksum for row in rows],
        [row.store_id for row in rows],
        [row.key for row in rows],
    )
    execute(connection, load(PACKAGE, "save"), columns)
    if keys := [row.key for row in rows if row.key is not None]:
        execute(connection, load(PACKAGE, "strays_saved"), (keys,))


def sizes(connection: Connection, recipes: Sequence[bytes]) -> dict[bytes, int]:
    """Which of *recipes* are there, with their decoded sizes in bytes."""
    return dict(execute(connection, load(PACKAGE, "sizes"), (list(recipes),), binary=True))


def rows(session: Session, recipes: Sequence[bytes]) -> list[Artifact]:
    """The rows of those of *recipes* that are there. The caller bounds how much it asks for."""
    found = session.run(lambda connection: execute(connection, load(PACKAGE, "read"), (list(recipes),), binary=True))
    return [_row(*one) for one in found]


def read_here(connection: Connection, recipe: bytes) -> bytes | None:
    """The content of an artifact that is always kept in its row; None when there is none.

    Raises:
        LeaseholdError: it is damaged.
    """
    for found in execute(connection, load(PACKAGE, "read"), ([recipe],), binary=True):
        one = _row(*found)
        content = one.decoded(one.content) if one.content is not None else None
        if content is None:
            raise LeaseholdError("An artifact is damaged.", remedy="Run what made it again.", recipe=recipe.hex())
        return bytes(content)
    return None


def _row(recipe: bytes, kind: str, content: bytes | None, size: int, step_id: int, encoding: str,
         stored: int | None, checksum: bytes | None, store_id: int | None, key: str | None) -> Artifact:  # fmt: skip
    if content is not None and checksum is None:  # saved before there were checksums: what is there is right
        stored, checksum = len(content), hashlib.sha256(content).digest()
    assert stored is not None
    assert checksum is not None
    return Artifact(bytes(recipe), kind, content, size, step_id, encoding, stored, bytes(checksum), store_id, key)


def discard(session: Session, one: Artifact) -> bool:
    """Take the row of a damaged or lost result away, if it is still the same; whether it was."""
    params = {"recipe": one.recipe, "checksum": one.checksum, "key": one.key}
    return bool(session.run(lambda connection: execute(connection, load(PACKAGE, "discard"), params)))


# -- stores outside ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """A store as the database knows it."""

    store_id: int
    address: Address
    mark: str


def stores(session: Session) -> list[Known]:
    found = session.fetch(load(PACKAGE, "stores"))
    return [Known(store_id, Address(url, endpoint, region), mark) for store_id, url, endpoint, region, mark in found]


def add_store(session: Session, address: Address, mark: str) -> None:
    """Register a store whose mark has been written; nothing if it is known by then."""
    session.fetch(load(PACKAGE, "store_add"), (address.url, address.endpoint, address.region, mark))


# -- strays -----------------------------------------------------------------------------------------------------------


def note_stray(session: Session, store_id: int, key: str, token: int) -> None:
    """Say that an object is about to be written under *token*. Commits before it returns."""
    session.fetch(load(PACKAGE, "stray_note"), (store_id, key, token))


def strays(session: Session, *, older_than_s: float, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
    """(store_id, key) of objects that nothing refers to and that nobody is writing any more, a page *after* one.

    Args:
        older_than_s: of those that were written and never referred to; what a row referred to once may go at once.
    """
    params = {"older": older_than_s, "store": after[0], "key": after[1], "limit": limit}
    return [(row[0], row[1]) for row in session.fetch(load(PACKAGE, "strays"), params)]


def strays_total(session: Session) -> int:
    return int(session.fetch(load(PACKAGE, "strays_total"))[0][0])


def cross_out(session: Session, gone: Sequence[tuple[int, str]]) -> None:
    """Forget strays whose objects have been removed."""
    params = ([store_id for store_id, _ in gone], [key for _, key in gone])
    session.run(lambda connection: execute(connection, load(PACKAGE, "strays_gone"), params))
