"""Waiting for the artifact store: its steps go back uncharged, and say why, until it answers or has room again.

A store that is away or full is no document's fault; failing every document for it would burn their attempts in minutes.
"""

from __future__ import annotations

import logging
import time

from leasehold.errors import ArtifactStoreAway, ArtifactStoreFull
from leasehold.types import ErrorClass, StepError

log = logging.getLogger("leasehold.documents")

AWAY = "the artifact store is away"
NO_ROOM = "not enough free space"
WAIT_S = 5.0
SAID_EVERY_S = 60.0
_said: dict[str, float] = {}


def waits(error: ArtifactStoreAway | ArtifactStoreFull, held_s: float = 0.0) -> StepError:
    """What a step ends with that could not read or keep a result, when nothing is kept for *held_s*. Logged once a
    minute."""
    reason = NO_ROOM if isinstance(error, ArtifactStoreFull) else AWAY
    if time.monotonic() - _said.get(reason, -SAID_EVERY_S) >= SAID_EVERY_S:
        _said[reason] = time.monotonic()
        log.warning("steps wait: %s", error)
    return StepError(
        reason, error.message, remedy=error.remedy, error_class=ErrorClass.RESOURCE, retry_after_s=max(WAIT_S, held_s)
    )
