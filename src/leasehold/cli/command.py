"""A command that runs under a lock: it is told to stop with all it has started, and ends when we end, however we do.

Without a terminal (cron, a service, a container) the command is a process group of its own, and a signal goes to all of
it: `sh -c 'dump | pack'` leaves nobody behind. At a terminal it stays in our group, or it could not read from there and
Ctrl-C would not reach it; a signal then goes to the command alone.

What can fail: we are killed, and can tell nobody anything, while the lock is about to be given to somebody else. So a
*guard* waits for our end of a pipe to close: a shell of its own session, which then stops the command. There are two
times when nobody does: while we are stopped ourselves (SIGSTOP), and the moment until the guard knows what was started.
The token is for those.

Not here: the lock (`lock`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

GRACE_S = 10
"""From being told to being killed."""
LOOK_EVERY_S = 0.05
_GUARD = """
read -r aim || exit 0
read -r word && exit 0
kill -s TERM -- "$aim"
for second in $(seq "$1"); do kill -s 0 -- "$aim" || exit 0; sleep 1; done
kill -s KILL -- "$aim"
"""


class Command:
    """Started at once; `end` when it has ended, or leaving the block, sends the guard home.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(GRACE_S)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self._grouped = not _at_a_terminal()
        self._aim = 0
        try:
            self._process = subprocess.Popen(arguments, env=environment, process_group=0 if self._grouped else None)
        except BaseException:
            self.end()
            raise
        self._aim = -self._process.pid if self._grouped else self._process.pid
        self._say(f"{self._aim}\n")

    def __enter__(self) -> Command:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code, 128 and the signal if one ended it; None: it still runs."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else 128 - code

    def tell(self, number: int) -> None:
        """Send a signal to it, and to all of its group where it has one."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self._aim, number) if self._grouped else self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Tell it to end, and kill what of it has not ended after the grace."""
        self.tell(number)
        give_up_at = time.monotonic() + GRACE_S
        while self._lives() and time.monotonic() < give_up_at:
            time.sleep(LOOK_EVERY_S)
        self.tell(signal.SIGKILL)
        self._process.wait()

    def interrupted(self) -> None:
        """We got a SIGINT: at a terminal the command was told by the same Ctrl-C, else it is told now."""
        self.stop(signal.SIGTERM if self._grouped else 0)

    def end(self) -> None:
        if self._aim:
            self._say("done\n")
        with contextlib.suppress(BrokenPipeError):
            assert self._guard.stdin is not None
            self._guard.stdin.close()
        self._guard.wait()

    def _say(self, word: str) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._guard.stdin.write(word.encode())
            self._guard.stdin.flush()

    def _lives(self) -> bool:
        if self._process.poll() is None:
            return True
        if not self._grouped:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._aim, 0)
            return True
        return False


def _at_a_terminal() -> bool:
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
        return True
    return False
