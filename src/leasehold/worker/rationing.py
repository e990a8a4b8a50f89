"""A ration: how often notifications may make a worker look for nothing.

One add wakes every idle worker of a fleet, and one of them gets the work. Under a stream of adds the others would look
as often as there are adds, for nothing, and their looks would be most of the database's work. So what was heard is
acted on at once while looks find something, or as long as few of them have found nothing lately; after that a worker
waits for its ration, at most a tenth of a second, and what it hears meanwhile is one look.

Pure: no clock, no I/O; whoever asks says what time it is.
"""

from __future__ import annotations

PER_S = 10.0
"""Looks for nothing a second: what one worker costs at most while work is announced that others take."""
AT_ONCE = 10.0
"""How many may come in a row: a worker that hears little never waits."""


class Ration:
    """Refills steadily, up to `AT_ONCE`."""

    def __init__(self, per_s: float = PER_S, at_once: float = AT_ONCE) -> None:
        self._per_s = per_s
        self._at_once = self._left = at_once
        self._at_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """Seconds until there is something left; 0 now."""
        self._refill(now_s)
        return max(0.0, (1.0 - self._left) / self._per_s)

    def spend(self, now_s: float) -> None:
        self._refill(now_s)
        self._left = max(0.0, self._left - 1.0)

    def _refill(self, now_s: float) -> None:
        if self._left < self._at_once:
            self._left = min(self._at_once, self._left + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = max(self._at_s, now_s)
