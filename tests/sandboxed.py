"""What the tests of the sandbox have its children do: harm, mostly, in Python and past it."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

served = [0]


def serve(request: dict[str, Any], files: list[int]) -> tuple[dict[str, Any], bytes]:
    served[0] += 1
    body = _DOES[request["do"]](request, files)
    return {"pid": os.getpid(), "served": served[0], **(body if isinstance(body, dict) else {})}, (
        body if isinstance(body, bytes) else b""
    )


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _native(name: str, *args: Any) -> dict[str, Any]:
    """What a C function gives that no hook of Python sees, and its errno."""
    ctypes.set_errno(0)
    return {"gave": getattr(_libc(), name)(*args), "errno": ctypes.get_errno()}


def _kept(request: dict[str, Any], _: list[int]) -> None:
    hold: list[bytes] = []
    while True:
        hold.append(bytes(bytearray(os.urandom(1 << 10)) * 1024))


def _native_growth(request: dict[str, Any], _: list[int]) -> None:
    libc = _libc()
    libc.malloc.restype = ctypes.c_void_p
    while got := libc.malloc(8 << 20):
        ctypes.memset(got, 1, 8 << 20)
    os.abort()


def _shared_growth(request: dict[str, Any], _: list[int]) -> None:
    import mmap

    held = []
    while True:
        held.append(mmap.mmap(-1, 64 << 20))
        held[-1].write(b"x" * (64 << 20))


def _thread(request: dict[str, Any], _: list[int]) -> dict[str, Any]:
    told: list[int] = []
    one = threading.Thread(target=told.append, args=(1,))
    one.start()
    one.join()
    return {"told": told}


def _looks(request: dict[str, Any], _: list[int]) -> dict[str, Any]:
    open_files = {int(name): os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
                  if os.path.islink(f"/proc/self/fd/{name}")}  # fmt: skip
    interfaces = Path("/proc/net/dev").read_text().count(":") if Path("/proc/net/dev").exists() else 0
    return {"files": open_files, "environ": sorted(os.environ), "interfaces": interfaces, "session": os.getsid(0)}


def _crash_if_served(request: dict[str, Any], _: list[int]) -> None:
    if served[0] > 1:
        ctypes.string_at(0)


def _forks(request: dict[str, Any], _: list[int]) -> None:
    while True:
        os.fork()


_DOES: dict[str, Callable[[dict[str, Any], list[int]], dict[str, Any] | bytes | None]] = {
    "answer": lambda request, files: b"".join(os.pread(file, 1 << 20, 0) for file in files),
    "large": lambda request, files: bytes(request["size"]),
    "segfault": lambda request, files: ctypes.string_at(0) and None,
    "exit": lambda request, files: os._exit(3),
    "killed": lambda request, files: _native("kill", os.getpid(), 9),
    "spin": lambda request, files: all(True for _ in iter(int, 1)) and None,
    "pause": lambda request, files: _libc().pause() and None,
    "two_gigabytes": lambda request, files: {"held": len(bytearray(2 << 30))},
    "two_gigabytes_native": lambda request, files: _native("malloc", ctypes.c_size_t(2 << 30)),
    "growth": _kept,
    "native_growth": _native_growth,
    "shared_growth": _shared_growth,
    "defect": lambda request, files: {}["not there"],
    "socket": lambda request, files: socket.socket() and None,
    "socket_native": lambda request, files: _native("socket", 2, 1, 0),
    "fork_bomb": _forks,
    "fork_native": lambda request, files: _native("fork"),
    "run": lambda request, files: subprocess.run(["true"], check=True) and None,
    "exec_native": lambda request, files: _native("execl", b"/bin/true", b"true", None),
    "write": lambda request, files: {"n": Path(request["path"]).write_text("x")},
    "write_native": lambda request, files: _native("creat", request["path"].encode(), 0o600),
    "remove": lambda request, files: os.remove(request["path"]),
    "remove_native": lambda request, files: _native("unlink", request["path"].encode()),
    "kill_native": lambda request, files: _native("kill", request["pid"], 9),
    "thread": _thread,
    "looks": _looks,
    "crash_if_served": _crash_if_served,
    "sleep": lambda request, files: time.sleep(request["seconds"]),
}  # fmt: skip
