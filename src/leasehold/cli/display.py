"""Live progress of an ingest: a table on a terminal, a plain line every few seconds anywhere else.

Per step: done of total, rate, time left as a band from the recent and the overall rate. The bottleneck is the step with
the longest queue in front of it. Everything goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from leasehold.cli.common import counted, note
from leasehold.worker.ingest import Progress
from leasehold.worker.keeper import Happening

PLAIN_EVERY_S = 2.0
WINDOW_S = 5.0
BAR = 24

Look = tuple[float, dict[str, int]]


class Display:
    """Use as a context; give `progress` and `happened` to an `Ingest`.

    Args:
        quiet: nothing is printed but what went wrong.
        failures: asked when the number of failures has grown; returns lines for those not yet shown.
    """

    def __init__(self, *, quiet: bool = False, failures: Callable[[], list[str]] | None = None) -> None:
        self._quiet = quiet
        self._failures = failures or (lambda: [])
        self._failed = 0
        self._looks: deque[Look] = deque()
        self._began = time.monotonic()
        self._plain_at = 0.0
        self._live: Any = None
        self.last: Progress | None = None

    def __enter__(self) -> Display:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(stderr=True), refresh_per_second=8, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def progress(self, progress: Progress) -> None:
        self.last = progress
        now = time.monotonic()
        self._looks.append((now, {kind: done for kind, (done, _, _) in progress.kinds.items()}))
        while len(self._looks) > 2 and now - self._looks[0][0] > WINDOW_S:
            self._looks.popleft()
        if progress.failed > self._failed:
            self._failed = progress.failed
            for line in self._failures():
                self.line(f"failed: {line}")
        if self._quiet:
            return
        if self._live is not None:
            self._live.update(self._table(progress))
        elif now >= self._plain_at:
            self._plain_at = now + PLAIN_EVERY_S
            self.line(self._plain(progress))

    def happened(self, happening: Happening) -> None:
        """Only what a person did not ask for is worth a line."""
        if happening.what in ("died", "timeout"):
            charged = "; 1 step charged an attempt" if happening.charged is not None else ""
            self.line(f"worker {happening.pid} {happening.what}: {happening.detail}{charged}")

    def line(self, text: str) -> None:
        """One line that stays, above the table if there is one."""
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            note(text)

    # -- the two forms ------------------------------------------------------------------------------------------------

    def _plain(self, progress: Progress) -> str:
        if progress.phase == "hooks":
            return f"{progress.ended:,} of {progress.added:,} calls of hooks made"
        parts = [f"{kind} {done:,}" for kind, (done, _, _) in progress.kinds.items()]
        eta = self._eta(progress)
        left = f", {eta} left" if eta else ""
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        return f"{progress.ended:,} of {progress.added:,} documents: {', '.join(parts)}{failed}{left}"

    def _table(self, progress: Progress) -> Any:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for kind, (done, total, leased) in progress.kinds.items():
            full = BAR * done // total if total else BAR
            bar = Text("━" * full, style="green") + Text("━" * (BAR - full), style="bright_black")
            rate = self._rate(kind)
            working = f"{leased:,} in work" if leased else ""
            speed = "done" if done >= total else f"{rate:,.0f}/s" if rate else ""
            table.add_row(f"  {kind}", bar, f"{done:,}/{total:,}", speed, working)
        eta = self._eta(progress)
        foot = [counted(progress.processes, "worker"), f"{progress.elapsed_s:.0f} s"]
        foot += [f"{eta} left"] if eta else []
        foot += [f"{progress.failed:,} failed"] if progress.failed else []
        slowest = bottleneck(progress)
        foot += [f"waiting most for {slowest}"] if slowest else []
        outer = Table.grid()
        outer.add_row(table)
        outer.add_row(Text("  " + " · ".join(foot), style="dim"))
        return outer

    def _rate(self, kind: str) -> float:
        (first, before), (last, after) = self._looks[0], self._looks[-1]
        return max(0.0, (after.get(kind, 0) - before.get(kind, 0)) / (last - first)) if last > first else 0.0

    def _eta(self, progress: Progress) -> str:
        kinds = list(progress.kinds)
        if not kinds:
            return ""
        last = kinds[-1]
        done, total, _ = progress.kinds[last]
        recent, overall = self._rate(last), done / max(0.001, time.monotonic() - self._began)
        if not recent or not overall or done >= total:
            return ""
        low, high = sorted((total - done) / rate for rate in (recent, overall))
        return duration(low) if high - low < 1.5 else f"{duration(low)} to {duration(high)}"


def bottleneck(progress: Progress) -> str:
    """The step with the longest queue: most that its predecessor has finished and it has not."""
    longest, name, before = 0, "", progress.added
    for kind, (done, _, leased) in progress.kinds.items():
        queue = before - done - leased
        if queue > longest:
            longest, name = queue, kind
        before = done
    return name


def duration(seconds: float) -> str:
    """`8 s`, `3 min`, `2.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
