"""Lifeline: a process that ends as soon as its parent does, in case nobody is left to tell it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

EXIT_HOLDER_GONE = 75


def die_with_parent(parent_pid: int) -> None:
    """End this process as soon as its parent, *parent_pid*, has ended; at once if it has already."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it died before we asked to be told; in a container the parent itself may be 1
        os._exit(EXIT_HOLDER_GONE)
