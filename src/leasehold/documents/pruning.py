"""Pruning: history leaves, and the account of documents stays as it was.

What a document is made of (items, versions, chunks, artifacts) is no history and never goes by a prune. One thing of an
item is told by its run alone: that it failed, or was called off, and why. The newest run of an item without a verdict
stays, however old it is, so that the proof counts it and `leasehold retry` can open it again.

Not here: how runs leave (`kernel/history`), results that nothing refers to (`orphans`).
"""

from __future__ import annotations

from collections.abc import Callable

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents.rows import PACKAGE
from leasehold.kernel import history
from leasehold.kernel.history import Pruned, Range


def look(session: Session, *, older_than_s: float, keep_failed: bool = False) -> Pruned:
    """What `prune` would do; changes nothing."""
    return history.look(session, older_than_s=older_than_s, keep_failed=keep_failed, needed=needed)


def prune(
    session: Session,
    *,
    older_than_s: float,
    keep_failed: bool = False,
    on_range: Callable[[Range], None] = lambda one: None,
) -> Pruned:
    """As `history.prune`, without the runs that items need, and with scans that found nothing to do."""
    done = history.prune(session, older_than_s=older_than_s, keep_failed=keep_failed, needed=needed, on_range=on_range)
    while rows := len(session.fetch(load(PACKAGE, "syncs_collect"), (older_than_s, history.TIDY_PAGE))):
        done.rows += rows
    return done


def needed(session: Session, first: int, end: int) -> list[int]:
    """The runs in [first, end) by which an item is told."""
    return [row[0] for row in session.fetch(load(PACKAGE, "runs_needed"), (first, end))]
