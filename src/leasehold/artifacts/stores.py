"""Artifact stores: places outside the database where results lie, behind one Protocol.

A store keeps objects under keys that are used once and never again: the recipe, and a random number. So an object is
never overwritten, a late writer cannot touch what somebody else wrote, and removing one can never remove another. That
an object belongs to a result is said by the database alone; a store does not know which of its objects count.

What can fail: the store is away or full (raised, and the steps wait), or has lost or damaged an object (`None`, or
bytes whose checksum is another: that is looked at by who reads).

Not here: what lies where (`database`), which store is used (`keeping`).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Protocol

from leasehold.errors import ArtifactStoreAway, UsageError

KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}-[0-9a-f]{16}")
MARK = re.compile(r"leasehold-[0-9a-f]{32}")
MARK_TEXT = b"This object says that the artifacts of a Leasehold database lie here. Without it they are not found.\n"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is: an URL (`file:///FOLDER`, `s3://BUCKET/PREFIX`), and for S3 its server and region."""

    url: str
    endpoint: str = ""
    region: str = ""

    def __str__(self) -> str:
        return f"{self.url} at {self.endpoint}" if self.endpoint else self.url


class Store(Protocol):
    """Safe to be used by several threads."""

    def put(self, key: str, data: bytes) -> None:
        """Keep *data* under *key*: whole and durable when this returns, not at all when it raises.

        Raises:
            ArtifactStoreFull: there is no room; nothing was left behind.
            ArtifactStoreAway: it cannot be reached or refuses; whether something was left behind is not known.
        """

    def get(self, key: str, size: int) -> bytes | None:
        """What lies under *key*, *size* bytes of it and one more at most; None when nothing does.

        Raises:
            ArtifactStoreAway: it cannot be reached or refuses.
        """

    def delete(self, key: str) -> None:
        """Remove exactly *key*, and what an interrupted `put` left of it; nothing there is fine.

        Raises:
            ArtifactStoreAway: it cannot be reached or refuses.
        """

    def room_bytes(self) -> int | None:
        """Free bytes; None when nobody can know."""


def new_key(recipe: bytes) -> str:
    """A key for *recipe* that nobody had before."""
    name = recipe.hex()
    return f"{name[:2]}/{name}-{secrets.token_hex(8)}"


def new_mark() -> str:
    return f"leasehold-{secrets.token_hex(16)}"


def checked(key: str) -> str:
    """*key*, if it is one: what comes from a row is a path on somebody's disk."""
    if not (KEY.fullmatch(key) or MARK.fullmatch(key)):
        raise ValueError(f"{key!r} is no key of an artifact")
    return key


def open_store(address: Address, *, mark: str = "", timeout_s: float = 20.0) -> Store:
    """The store at *address*, which has *mark* in it, unless it is about to be set up. Talks to nobody yet.

    Raises:
        UsageError: the package that an S3-compatible store needs is not installed.
    """
    if address.url.startswith("file://"):
        from leasehold.artifacts.folder import FolderStore

        return FolderStore(address.url.removeprefix("file://"), mark)
    try:
        from leasehold.artifacts.objects import ObjectStore
    except ImportError as error:
        raise UsageError(
            f"Artifacts in {address.url} need the package obstore.", remedy="Run `pip install 'leasehold[s3]'`."
        ) from error
    return ObjectStore(address, timeout_s=timeout_s)


def check_mark(store: Store, address: Address, mark: str) -> None:
    """Be sure that *store* is the one that was set up at *address*.

    Raises:
        ArtifactStoreAway: it is another one, or empty: nothing in it can be trusted to be missing.
    """
    lost = f"If what lay there is lost for good: leasehold artifact forget {address.url}"
    try:
        found = store.get(checked(mark), len(MARK_TEXT))
    except ArtifactStoreAway as error:
        raise ArtifactStoreAway(error.message, remedy=f"{error.remedy} {lost}") from error
    if found is None:
        raise ArtifactStoreAway(
            f"What is at {address} on this host is not the artifact store that was set up there.",
            remedy=f"Mount or name the same folder or bucket on every host. {lost}",
            mark=mark,
        )
