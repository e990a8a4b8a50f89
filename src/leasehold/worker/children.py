"""Children: one worker process as its keeper sees it: how it is started, spoken to, watched and ended.

The keeper speaks by lines of JSON into the child's standard input. It never waits for a child to read: what does not
fit into the pipe is kept back, and a heartbeat's answer is left out while an older one is still on its way (the next
one says more). Two threads speak, the watch and the heartbeat, so a lock keeps lines whole.

SIGINT is blocked from the child's birth: a terminal's Ctrl-C reaches the whole process group, and the keeper decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from leasehold.kernel.holders import Kept
from leasehold.worker.board import BETWEEN, WHOLE_PAGE, Board, Working

HUNG_GRACE_S = 1.0
"""Beyond a step's timeout: an async step is interrupted by its own worker first, and needs a moment to end."""
PULSE_LATE_S = 0.5


class Child:
    """A worker process. `holder_id` is None until it has joined; `kept_s`: until then nobody else can have its steps,
    as the monotonic time of the last request that kept it."""

    def __init__(self, number: int, process: subprocess.Popen[bytes], board: Board) -> None:
        self.number = number
        self.process = process
        self.board = board
        self.holder_id: int | None = None
        self.started_s = time.monotonic()
        self.kept_s = self.started_s
        self.timed_out = False
        self.blamed: Working | None = None
        self.ended_by_us = False
        """It was asked to end, or ended, for no fault of a step: what it held goes back uncharged."""
        self.gone_s: float | None = None
        self._overdue: list[Working] = []
        self._steady_s: float | None = None
        """Since when its event loop has had its turns; None: it stands still."""
        self._speaking = threading.Lock()
        self._unsent = b""

    @classmethod
    def start(cls, number: int, slots: int) -> Child:
        """Start the process; it waits for its settings. To be called on a thread that lives as long as the children."""
        board = Board.create(slots)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(
                # -P: the working directory may be the folder of documents, and a file json.py in it is one of them
                [sys.executable, "-P", "-m", "leasehold.worker.child", str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[board.fd],
                env=dict(os.environ, PYTHONUNBUFFERED="1"),
            )
        except BaseException:
            board.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        return cls(number, process, board)

    @property
    def pid(self) -> int:
        return self.process.pid

    # -- speaking -----------------------------------------------------------------------------------------------------

    def say(self, **message: Any) -> None:
        """Send a message, now or as soon as the child reads."""
        with self._speaking:
            self._unsent += json.dumps(message).encode() + b"\n"
            self._send()

    def beaten(self, sent_s: float, kept: Kept | None) -> None:
        """What a heartbeat said. Left out while the child has not read what came before, unless it has ended."""
        with self._speaking:
            self._send()
            if not self._unsent or kept is None:
                said = (
                    {"tokens": sorted(kept.tokens), "cancelled": sorted(kept.cancelled), "drain": kept.drain}
                    if kept is not None
                    else {"tokens": None}
                )
                self._unsent += json.dumps({"beat": sent_s, **said}).encode() + b"\n"
                self._send()

    def flush(self) -> None:
        if self._unsent:
            with self._speaking:
                self._send()

    def _send(self) -> None:
        stdin = self.process.stdin
        while self._unsent and stdin is not None and not stdin.closed:
            try:
                sent = os.write(stdin.fileno(), self._unsent)
            except BlockingIOError:
                return
            except OSError:  # it has died; the watch will see
                self._unsent = b""
                return
            self._unsent = self._unsent[sent:]

    # -- watching -----------------------------------------------------------------------------------------------------

    def hung(self) -> tuple[bool, Working | None]:
        """Whether a step's time is up so that the process has to end, and which step is proven to be the cause.

        Its time must have been up in two looks, for one alone could be torn. While the event loop has its turns, a
        step that is overdue is the cause itself. While it stands still, some step keeps the interpreter, and those that
        are overdue may be its victims: only a step that runs by itself is proven guilty then. Once the loop goes on,
        the victims get a moment to end.
        """
        now = time.monotonic()
        if now - self.board.pulsed_s > PULSE_LATE_S:
            self._steady_s = None
        elif self._steady_s is None:
            self._steady_s = now
        working = self.board.working()
        overdue = [one for one in working if now > one.until_s + HUNG_GRACE_S]
        again = [one for one in overdue if one in self._overdue]
        self._overdue = overdue
        if not again or (self._steady_s is not None and now < self._steady_s + HUNG_GRACE_S):
            return False, None
        proven = again[0] if self._steady_s is not None or len(working) == 1 else None
        return True, proven if proven is not None and proven.step_id not in (WHOLE_PAGE, BETWEEN) else None

    def suspects(self) -> list[int] | None:
        """The steps it was working on when it died; None: nobody knows."""
        working = self.board.working()
        if not working or any(one.step_id == WHOLE_PAGE for one in working):
            return None
        return [one.step_id for one in working if one.step_id != BETWEEN]

    # -- ending -------------------------------------------------------------------------------------------------------

    def kill(self) -> None:
        self.process.kill()

    def close(self) -> None:
        """Its descriptors; the process has ended."""
        with self._speaking:
            self._unsent = b""
            if self.process.stdin is not None:
                with contextlib.suppress(OSError):
                    self.process.stdin.close()
            self.board.close()
