"""The watch for old snapshots: the keeper's log names who keeps the server from cleaning up, once for each.

Nothing fails meanwhile, everything only grows slower, so nobody looks. Whoever keeps holders looks once a minute; the
doctor looks by the same code. What it found is a warning, not a reason to do anything: it may be a backup.
"""

from __future__ import annotations

import logging
import time

from leasehold.db import snapshots
from leasehold.db.session import Session

log = logging.getLogger("leasehold.worker")

LOOK_EVERY_S = 60.0
OLD_S = 300.0
"""Longer than any statement of ours, and than a dump of a small database. In five minutes a busy queue makes some 10^7
dead rows."""
OLD_XIDS = 1_000_000
"""For slots, which have no time."""


class SnapshotWatch:
    """One for each process that keeps holders. `look` may be called as often as one likes."""

    def __init__(self, line: Session) -> None:
        self._line = line
        self._look_at = 0.0
        self._said: set[tuple[str, str]] = set()

    def look(self) -> None:
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_EVERY_S
        old = snapshots.too_old(snapshots.held(self._line), age_s=OLD_S, xids=OLD_XIDS)
        for one in old:
            if (one.what, one.name) not in self._said:
                since = f"for {one.age_s:.0f} s" if one.age_s is not None else f"{one.xids:,} transactions back"
                log.warning("%s holds an old snapshot %s: nothing that was deleted since can be removed; "
                            "if nobody needs it: %s", one.described, since, one.remedy)  # fmt: skip
        self._said = {(one.what, one.name) for one in old}
