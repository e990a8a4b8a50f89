"""Turns: one process at a time applies a source; the others do something else and ask again.

A turn is a transaction that holds an advisory lock and nothing more, not even a snapshot. When its process dies the
server ends it, so there is nothing to clean up. It takes the direct route, for behind a pooler it would keep a place
from everybody else for as long as it stands; it works there too. Losing the connection loses the turn: what is done in
a turn must stay right without it (rows are locked by who writes them), so a turn saves work and settles who may say
that a group has got all its runs.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

from leasehold.db.session import TRY_AGAIN, Session, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.documents.rows import PACKAGE


@contextlib.contextmanager
def turn(target: Target, name: str) -> Iterator[bool]:
    """Whether this process has the turn *name*, for as long as the block runs. Never waits.

    Raises:
        DatabaseUnavailable: no connection could be made.
    """
    with Session(target, route="direct", application_name="leasehold turn", patience_s=60.0) as session:
        session.run(lambda connection: None)
        connection = session.connection
        connection.autocommit = False
        try:
            execute(connection, load(PACKAGE, "turn_stay"))
            mine = bool(execute(connection, load(PACKAGE, "turn_take").format(key=_key(name)))[0][0])
        except TRY_AGAIN:
            mine = False
        try:
            yield mine
        finally:
            with contextlib.suppress(*TRY_AGAIN):
                connection.rollback()


def _key(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"leasehold turn {name}".encode()).digest()[:8], "big", signed=True)
