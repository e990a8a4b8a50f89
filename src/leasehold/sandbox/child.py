"""A child: puts up its fences, then answers calls until its socket closes.

Each call is a header, and the descriptors of the files it is about; the answer is a header and a body. What the
function raises is an answer too; a MemoryError is the last one, because nobody knows what the heap looks like then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from leasehold.sandbox import fences
from leasehold.sandbox.channel import Ended, receive, send

Serve = Callable[[dict[str, Any], list[int]], tuple[dict[str, Any], bytes | bytearray]]
"""What a sandbox runs: from a request and its open files to an answer and its body. Raises what it likes."""


def live(caller: socket.socket, told: dict[str, Any], *, parent: int) -> NoReturn:
    """Answer *caller* until it closes. *told* is the sandbox's: function, memory_max_bytes."""
    code = 1
    try:
        fences.die_with(parent)
        _alone()
        serve = _function(told["function"])
        held = fences.put_up(told["memory_max_bytes"])
        _answer_all(caller, serve, held)
        code = 0
    except (Ended, KeyboardInterrupt):
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _alone() -> None:
    """A session of its own, the usual meaning of every signal, nothing to read from and nowhere to write to."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1) if os.environ.get("LEASEHOLD_DEBUG") else (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)


def _function(name: str) -> Serve:
    module, _, function = name.partition(":")
    found: Serve = getattr(importlib.import_module(module), function)
    return found


def _answer_all(caller: socket.socket, serve: Serve, held: tuple[str, ...]) -> None:
    while True:
        call = receive(caller)
        fences.limit_cpu(call.header["cpu_s"])
        try:
            header, body = serve(call.header["request"], call.files)
            said: dict[str, Any] = {"answer": header, "fences": held, "bytes": _resident()}
        except MemoryError:
            said, body = {"out_of_memory": True}, b""
        except Exception as error:
            said, body = {"raised": f"{type(error).__name__}: {error}"}, b""
        finally:
            for file in call.files:
                with contextlib.suppress(OSError):
                    os.close(file)
        send(caller, said, body)
        del body
        if "answer" not in said:
            return


def _resident() -> int:
    """Bytes of memory it has now that are not shared with a file; 0 where nobody says."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", "rb") as file:
        pages = file.read().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGESIZE")
