"""Channels: whole messages over a local socket: a header as JSON, a body of bytes, and file descriptors beside them.

Both ends trust the form and nothing else: a length is checked against a bound before memory is taken for it.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

FORM = struct.Struct("=IQ")
HEADER_BYTES_MAX = 16 << 20
BODY_BYTES_MAX = 4 << 30
FILES_MAX = 8


class Ended(Exception):
    """The other end has closed, or said something that is no message."""


@dataclass(frozen=True, slots=True)
class Message:
    header: dict[str, Any]
    body: bytes | bytearray = b""
    files: list[int] = field(default_factory=list)


def send(to: socket.socket, header: dict[str, Any], body: bytes | bytearray = b"", files: Sequence[int] = ()) -> None:
    """Raises Ended when the other end is gone, TimeoutError after the socket's own timeout."""
    packed = json.dumps(header).encode()
    try:
        start = FORM.pack(len(packed), len(body))
        if files:
            sent = socket.send_fds(to, [start], list(files))
            start = start[sent:]
        to.sendall(start + packed)
        if body:
            to.sendall(body)
    except TimeoutError:
        raise
    except OSError as error:
        raise Ended(str(error)) from error


def receive(of: socket.socket, *, until_s: float | None = None) -> Message:
    """The next message; *until_s* is monotonic.

    Raises:
        Ended: the other end has closed.
        TimeoutError: the message was not here whole by then.
    """
    files: list[int] = []
    form = b""
    while len(form) < FORM.size:
        _wait(of, until_s)
        try:
            piece, given, _, _ = socket.recv_fds(of, FORM.size - len(form), FILES_MAX)
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(str(error)) from error
        files += given
        if not piece:
            raise Ended("closed")
        form += piece
    header_bytes, body_bytes = FORM.unpack(form)
    if header_bytes > HEADER_BYTES_MAX or body_bytes > BODY_BYTES_MAX:
        raise Ended(f"a message of {header_bytes} and {body_bytes} bytes")
    try:
        header = json.loads(bytes(_exactly(of, header_bytes, until_s)))
    except ValueError as error:
        raise Ended(f"no message: {error}") from error
    if not isinstance(header, dict):
        raise Ended("no message")
    return Message(header, _exactly(of, body_bytes, until_s), files)


def _exactly(of: socket.socket, size: int, until_s: float | None) -> bytearray:
    made = bytearray(size)
    view, at = memoryview(made), 0
    while at < size:
        _wait(of, until_s)
        try:
            got = of.recv_into(view[at:])
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(str(error)) from error
        if not got:
            raise Ended("closed in the middle of a message")
        at += got
    return made


def _wait(of: socket.socket, until_s: float | None) -> None:
    """Give the socket what is left of the time."""
    if until_s is None:
        of.settimeout(None)
        return
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError
    of.settimeout(left)
