"""Which claim tables a database has: read from the comment that the script left on each."""

from __future__ import annotations

import json

from leasehold.claims.script import MARK, Claims, quoted
from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.errors import NotFound, UsageError


def installed(session: Session) -> list[Claims]:
    """All of them, by schema and name."""
    return [_read(comment) for _, _, comment in session.fetch(load("leasehold.claims", "find"))]


def find(session: Session, name: str, schema: str | None = None) -> Claims:
    """The one of that name.

    Raises:
        NotFound: there is none.
        UsageError: two schemas have one, and none was said.
    """
    there = installed(session)
    found = [one for one in there if one.name == name and schema in (None, one.schema)]
    if not found:
        names = ", ".join(sorted({one.name for one in there})) or "none"
        raise NotFound(f"There are no claims named {name!r}; this database has: {names}.",
                       remedy="Run `leasehold claims install` first, on this very database.")  # fmt: skip
    if len(found) > 1:
        raise UsageError(f"Claims named {name!r} stand in {', '.join(quoted(one.schema) for one in found)}.",
                         remedy="Say which with --schema.")  # fmt: skip
    return found[0]


def _read(comment: str) -> Claims:
    said = json.loads(comment.removeprefix(MARK))
    return Claims(**{**said, "content": tuple(said["content"])})
