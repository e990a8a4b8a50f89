"""Filters: which items of a collection a search looks at, by path, type, source and date of the file.

A filter is asked once, before the search, for the items it lets through; the search then looks only at their documents.
All kinds of conditions must hold, and of several of one kind any will do.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents.rows import PACKAGE
from leasehold.errors import NotFound, UsageError
from leasehold.sources.paths import encode_path


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a search looks at.

    Args:
        paths: patterns of paths within a source: `*` and `?` match within a name, `**` over folders; a pattern without
            a slash matches a name in any folder, one that ends with a slash everything below.
        types: media types (`text/markdown`), their second halves (`markdown`), or file endings (`md`).
        sources: source URIs, or their folders.
        after, before: dates of the files, the first included, the second not; in the time zone of this machine.
    """

    paths: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    after: date | None = None
    before: date | None = None

    def __bool__(self) -> bool:
        return bool(self.paths or self.types or self.sources or self.after or self.before)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The items that a filter lets through, and their documents."""

    items: list[int]
    documents: list[int]


def allowed(session: Session, collection_id: int, chosen: Filter) -> Allowed | None:
    """What *chosen* lets through in a collection; None when it is empty and lets everything through.

    Raises:
        NotFound: a source that it names is none of the collection's.
        UsageError: the dates leave nothing between them.
    """
    if not chosen:
        return None
    if chosen.after and chosen.before and chosen.after >= chosen.before:
        raise UsageError(f"No day is from {chosen.after} on and before {chosen.before}.")
    params = {
        "collection": collection_id,
        "paths": [pattern_to_regex(one) for one in chosen.paths] or None,
        "types": [one.strip().lower().lstrip(".") for one in chosen.types] or None,
        "sources": _source_ids(session, collection_id, chosen.sources) if chosen.sources else None,
        "after_ns": _ns(chosen.after),
        "before_ns": _ns(chosen.before),
    }
    rows = session.fetch(load(PACKAGE, "items_allowed"), params)
    return Allowed([item for item, _ in rows], sorted({document for _, document in rows}))


def why_nothing(session: Session, collection: str, chosen: Filter) -> str:
    """Why a search with *chosen* could find nothing; '' when the filter lets some documents through."""
    rows = session.fetch(load(PACKAGE, "collection_find"), (collection,))
    found = allowed(session, rows[0][0], chosen) if rows else None
    if found is None or found.documents:
        return ""
    if chosen.types:
        alone = allowed(session, rows[0][0], Filter(types=chosen.types))
        if alone is not None and not alone.documents:
            there = ", ".join(name for (name,) in session.fetch(load(PACKAGE, "types_of"), (rows[0][0],)))
            return f"no document of '{collection}' is of the type {' or '.join(chosen.types)}; there are {there}"
    return f"no document of '{collection}' is among what the filters let through"


def pattern_to_regex(pattern: str) -> str:
    """A regular expression of PostgreSQL that matches whole paths as *pattern* does.

    Raises:
        UsageError: the pattern is empty.
    """
    if not pattern.strip("/ "):
        raise UsageError("A pattern of paths is empty.", remedy="Give a name or a pattern: --path 'letters/*.md'")
    text = encode_path(os.fsencode(pattern.lstrip("/")))
    anywhere = "" if "/" in text.rstrip("/") or pattern.startswith("/") else "(?:.*/)?"
    below = ".+" if text.endswith("/") else ""
    return f"^{anywhere}{''.join(map(_piece, re.findall(r'[*]{2,}/?|.', text, re.DOTALL)))}{below}$"


def _piece(piece: str) -> str:
    special = {"*": "[^/]*", "?": "[^/]"}
    if piece.startswith("**"):
        return "(?:.*/)?" if piece.endswith("/") else ".*"
    return special.get(piece) or re.sub(r"[^\w/]", lambda found: f"\\{found[0]}", piece)


def _source_ids(session: Session, collection_id: int, wanted: tuple[str, ...]) -> list[int]:
    known = session.fetch(load(PACKAGE, "sources_of"), (collection_id,))
    found = []
    for one in wanted:
        names = {one, encode_path(os.fsencode(Path(one).expanduser().resolve()))}
        ids = [source_id for source_id, uri, root in known if names & {uri, root}]
        if not ids:
            listed = ", ".join(uri for _, uri, _ in known[:5]) or "none"
            raise NotFound(f"The collection has no source '{one}'.", remedy=f"It has: {listed}.")
        found += ids
    return found


def _ns(day: date | None) -> int | None:
    """Nanoseconds since 1970 at which *day* begins here."""
    if day is None:
        return None
    begins = datetime.combine(day, time()).astimezone()
    return int((begins - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000_000
