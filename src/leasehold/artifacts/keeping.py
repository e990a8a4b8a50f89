"""Keeping artifacts: where a process puts its results, and how it reads those that others put somewhere.

New results go where the settings say; results are read from where their rows say, so stores may be mixed. A store is
used only when its mark is found in it: an empty mount point must not look like a store that has lost everything.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

from leasehold.artifacts import database
from leasehold.artifacts.database import Artifact, Known, artifact
from leasehold.artifacts.folder import FolderStore
from leasehold.artifacts.stores import MARK_TEXT, Address, Store, check_mark, new_key, new_mark, open_store
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull, UsageError
from leasehold.options import ENDPOINT, ArtifactOptions

log = logging.getLogger("leasehold.artifacts")

LOOK_EVERY_S = 1.0
"""How long an answer about free space is believed."""
HOLD_S, HOLD_MAX_S = 5.0, 60.0
"""After a result could not be kept this process makes no more for so long, doubled each time: what was made for nothing
may have cost money."""
ROOM_TIMES = 4
"""Free space, in times the result that did not fit, that must be there before another one is made."""


@dataclass(frozen=True, slots=True)
class Hold:
    """No more results until then, by the monotonic clock: the last one could not be kept, for this reason."""

    until_s: float
    for_s: float
    size: int
    error: ArtifactStoreAway | ArtifactStoreFull


class Artifacts:
    """The artifacts of one database, as one process keeps and reads them. For any thread."""

    def __init__(self, target: Target, options: ArtifactOptions) -> None:
        self._home, self._options = target.home, options
        self._lock = threading.Lock()
        self._opened: dict[int, tuple[Store, Known]] = {}
        self._current: tuple[int, Store] | None = None
        self._room: tuple[float, str] = (0.0, "")
        self._hold: Hold | None = None

    # -- keeping ------------------------------------------------------------------------------------------------------

    def settle(self, session: Session) -> None:
        """Be sure that results can be kept where the settings say, before anything is worked.

        Raises:
            ArtifactStoreAway, ArtifactStoreFull: they cannot.
            UsageError: a package is missing, or an address is none.
        """
        if self._options.url != "db:":
            self._store(session)

    def make(self, session: Session, recipe: bytes, kind: str, data: bytes | bytearray, *, step_id: int,
             token: int) -> Artifact:  # fmt: skip
        """*data* as an artifact to be saved; large ones are in their store when this returns.

        Raises:
            ArtifactStoreAway, ArtifactStoreFull: as the store says.
        """
        made = artifact(recipe, kind, data, step_id, level=self._options.zstd_level)
        if self._options.url == "db:" or made.stored <= self._options.inline_max_bytes:
            return made
        store_id, store = self._store(session)
        key = new_key(recipe)
        database.note_stray(session, store_id, key, token)
        assert made.content is not None
        try:
            store.put(key, made.content)
        except ArtifactStoreFull as error:
            database.cross_out(session, [(store_id, key)])  # nothing was left behind
            self._hold_back(error, made.stored)
            raise
        except ArtifactStoreAway as error:
            self._hold_back(error, made.stored)
            raise
        self._hold = None
        return replace(made, content=None, store_id=store_id, key=key)

    @property
    def held_s(self) -> float:
        """For how long no more results are made."""
        return max(0.0, self._hold.until_s - time.monotonic()) if self._hold else 0.0

    def check_room(self, session: Session) -> None:
        """Be sure that one more result can be kept, before it is made. Free space is asked anew after a second.

        Raises:
            ArtifactStoreFull: there is less than the settings want, or than the last one needed.
            ArtifactStoreAway: it is away.
        """
        if self._hold is not None:
            self._look_again(session, self._hold)
        if not self._options.free_mb_min:
            return
        asked_s, said = self._room
        if time.monotonic() - asked_s > LOOK_EVERY_S:
            said = self._short_of_room()
            self._room = (time.monotonic(), said)
        if said:
            raise ArtifactStoreFull(said)

    def _hold_back(self, error: ArtifactStoreAway | ArtifactStoreFull, size: int) -> None:
        last = self._hold
        for_s = min(HOLD_MAX_S, last.for_s * 2) if last else HOLD_S
        self._hold = Hold(time.monotonic() + for_s, for_s, size, error)

    def _look_again(self, session: Session, hold: Hold) -> None:
        """Raise what held results back, unless the time is up and the store looks well."""
        if time.monotonic() < hold.until_s:
            raise copy(hold.error)
        store_id, store = self._store(session)
        try:
            known = self.store_of(session, store_id)[1]
            check_mark(store, known.address, known.mark)
            free = store.room_bytes()
            if free is not None and free < hold.size * ROOM_TIMES:
                raise copy(hold.error)
        except (ArtifactStoreAway, ArtifactStoreFull) as error:
            self._hold_back(error, hold.size)
            raise

    def _short_of_room(self) -> str:
        least = self._options.free_mb_min
        places: list[tuple[str, int | None]] = []
        if self._home is not None:
            places.append((f"the disk of {self._home}", _free_bytes(self._home)))
        if self._options.url.startswith("file:"):
            places.append((self._options.url, FolderStore(_path(self._options.url)).room_bytes()))
        for name, free in places:
            if free is not None and free < least * 1_000_000:
                return f"{name} has {free // 1_000_000:,} MB free, and artifacts.free_mb_min wants {least:,}."
        return ""

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, session: Session, recipes: Sequence[bytes]) -> dict[bytes, bytes | bytearray]:
        """The results of *recipes*, decoded. One that is lost or damaged is taken away and missing here, so that it is
        made again. The caller bounds how much it asks for.

        Raises:
            ArtifactStoreAway: a store cannot be reached; nothing is known of what lies there.
        """
        found: dict[bytes, bytes | bytearray] = {}
        for one in database.rows(session, recipes):
            content = one.content if one.content is not None else self._fetch(session, one)
            data = one.decoded(content) if content is not None else None
            if data is None:
                what = "is damaged" if content is not None else "is not there any more"
                log.warning("artifact %s (%s)%s %s: it is made again", one.recipe.hex(), one.kind,
                            f" under {one.key}" if one.key else "", what)  # fmt: skip
                database.discard(session, one)
            else:
                found[one.recipe] = data
        return found

    def _fetch(self, session: Session, one: Artifact) -> bytes | None:
        assert one.store_id is not None
        assert one.key is not None
        store, known = self.store_of(session, one.store_id)
        content = store.get(one.key, one.stored)
        if content is None:  # is it lost, or is all of it away?
            check_mark(store, known.address, known.mark)
        return content

    # -- stores -------------------------------------------------------------------------------------------------------

    def store_of(self, session: Session, store_id: int) -> tuple[Store, Known]:
        """A store by its number, and what is known of it.

        Raises:
            ArtifactStoreAway: it is not what was set up there, or this host lacks the package that it needs.
        """
        with self._lock:
            if store_id not in self._opened:
                known = next(one for one in database.stores(session) if one.store_id == store_id)
                try:
                    self._opened[store_id] = self._checked(known), known
                except UsageError as error:
                    raise ArtifactStoreAway(error.message, remedy=error.remedy) from error
            return self._opened[store_id]

    def _checked(self, known: Known) -> Store:
        store = open_store(known.address, mark=known.mark, timeout_s=self._options.timeout_s)
        check_mark(store, known.address, known.mark)
        return store

    def _store(self, session: Session) -> tuple[int, Store]:
        """Where new results go; set up if it is new."""
        with self._lock:
            if self._current is None:
                self._current = self._set_up(session, address_of(self._options))
            return self._current

    def _set_up(self, session: Session, address: Address) -> tuple[int, Store]:
        known = _known(session, address)
        if known is None:
            store = open_store(address, timeout_s=self._options.timeout_s)
            if isinstance(store, FolderStore):
                store.set_up()
            mark = new_mark()
            store.put(mark, MARK_TEXT)
            database.add_store(session, address, mark)
            known = _known(session, address)
            assert known is not None
            if known.mark != mark:  # somebody else was first
                store.delete(mark)
        store = self._checked(known)
        self._opened[known.store_id] = store, known
        return known.store_id, store


def address_of(options: ArtifactOptions) -> Address:
    """Where the settings, and what is usual in the environment, say that results go.

    Raises:
        UsageError: the environment's address is none.
    """
    if options.url.startswith("file:"):
        return Address(f"file://{_path(options.url)}")
    endpoint = options.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    if endpoint and not ENDPOINT.fullmatch(endpoint):
        raise UsageError("AWS_ENDPOINT_URL is no address of a server.", remedy="Give https://HOST:PORT, without keys.")
    region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    return Address(options.url.rstrip("/"), endpoint.rstrip("/"), region)


def _path(url: str) -> str:
    return os.path.normpath(url.removeprefix("file://"))


def _known(session: Session, address: Address) -> Known | None:
    same = [one for one in database.stores(session)
            if (one.address.url, one.address.endpoint) == (address.url, address.endpoint)]  # fmt: skip
    return same[0] if same else None


def _free_bytes(home: Path) -> int | None:
    try:
        return shutil.disk_usage(home).free
    except OSError:
        return None
