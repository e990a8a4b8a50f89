"""The fork server: a small process without threads that forks children, and says how they ended.

It hears one message at a time on its control socket, and ends when that closes: its caller is gone. Nobody else waits
for its children, so a child's process id means that child until its end was asked for, whatever happened meanwhile.

    {"do": "fork"} + a socket     -> {"pid": 4711}, and the child answers calls on that socket
    {"do": "end", "pid": 4711}    -> {"status": -11, "peak_bytes": …, "cpu_s": …}; killed, if it still ran

Only what this process imports before the first fork is shared by its children.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import signal
import socket
import sys

from leasehold.sandbox import fences
from leasehold.sandbox.channel import Ended, receive, send
from leasehold.sandbox.child import live


def main() -> None:
    """Entry of `python -m leasehold.sandbox.server FD`; started by a `Sandbox` only."""
    control = socket.socket(fileno=int(sys.argv[1]))
    try:
        told = receive(control).header
    except Ended:
        os._exit(0)
    sys.path[:] = told["path"]
    fenced = fences.leave_network()
    for name in told["modules"]:
        with contextlib.suppress(Exception):  # whoever needs it says so when it is called
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # so that collections in children do not touch, and so copy, what they share
    send(control, {"network": fenced})
    children: set[int] = set()
    while True:
        try:
            said = receive(control)
        except Ended:
            break
        if said.header["do"] == "fork":
            (given,) = said.files
            pid = os.fork()
            if pid == 0:
                control.close()
                live(socket.socket(fileno=given), told, parent=os.getppid())
            os.close(given)
            children.add(pid)
            send(control, {"pid": pid})
        else:
            pid = said.header["pid"]
            send(control, _end(pid))
            children.discard(pid)
    for pid in children:
        _kill(pid)
    os._exit(0)


def _end(pid: int) -> dict[str, float]:
    """How the child ended; it is killed if it has not, with all it may have started."""
    _kill(pid)
    _, status, used = os.wait4(pid, 0)
    _kill_group(pid)  # what it forked in spite of everything
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        "status": os.waitstatus_to_exitcode(status),
        "peak_bytes": used.ru_maxrss * scale,
        "cpu_s": used.ru_utime + used.ru_stime,
    }


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    _kill_group(pid)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
