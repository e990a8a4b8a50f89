"""Paths: how a file is named in a row, on a screen and in a URI, so that each has exactly one spelling.

A file name on Linux is bytes; a row holds text, and a person must be able to read it, print it on one line and paste
it back. So an *item path* is text: relative to the root, '/' between its parts, valid UTF-8 kept as it is, and
percent-encoded (upper case, byte by byte) where text would lie: '%' itself, bytes that are no UTF-8, control
characters, and characters that break a line or turn the reading direction. The map is one to one, and goes part by
part: `a/b` is below `a` in both spellings.

Which characters are encoded is a list written here, not `str.isprintable()`: that changes with the Unicode version
of the interpreter, and an upgrade would then rename items, that is delete and read them again.

Not here: whether a path may be opened (`folder.open_item`), and what a user's patterns see (`patterns`).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from leasehold.errors import UsageError

_ENCODED = re.compile(
    "[%"
    "\x00-\x1f\x7f-\x9f"  # control characters; a newline in a name would forge a line of output
    "\ud800-\udfff"  # bytes that are no UTF-8, as `surrogateescape` shows them; PostgreSQL takes no surrogates
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # reading direction: "exe.fdp" must not show as "pdf.exe"
    "\u2028\u2029\ufeff"  # line and paragraph separator, byte order mark
    "]+"
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


def encode_path(raw: bytes) -> str:
    """The item path of a file name or relative path given as bytes. Every byte string has one, and only one."""
    return _ENCODED.sub(_escape, raw.decode("utf-8", "surrogateescape"))


def encode_name(name: str) -> str:
    """The item path of a name as `os.scandir` gave it; the common case, plain ASCII, is answered at once."""
    if name.isascii() and name.isprintable() and "%" not in name:
        return name
    return encode_path(os.fsencode(name))


def decode_path(path: str) -> bytes:
    """The bytes of which `path` is the item path.

    Raises:
        UsageError: `path` has a '%' that two hexadecimal digits do not follow, or cannot be UTF-8.
    """
    try:
        return _ESCAPE.sub(_unescape, path.encode("utf-8"))
    except ValueError as exc:
        raise UsageError(
            "This is not an item path.",
            remedy="Copy it from a listing; a percent sign in a name is written %25.",
            path=path.encode("utf-8", "backslashreplace").decode(),
        ) from exc


def canonical_root(path: Path) -> Path:
    """The one spelling of a source's root: absolute, links resolved, no trailing slash.

    Raises:
        UsageError: there is nothing there, it cannot be reached, or it is neither a folder nor a regular file.
    """
    try:
        resolved = os.path.realpath(path, strict=True)
        mode = os.stat(resolved).st_mode
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise UsageError(
            f"The source {str(path)!r} cannot be opened: {reason}.",
            remedy="Check the spelling, and that its disk is mounted.",
        ) from exc
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise UsageError(f"The source {str(path)!r} is neither a folder nor a file.", remedy="Name a folder or a file.")
    return Path(resolved)


def source_uri(root: Path) -> str:
    """The file:// URI of a root, equal for every spelling of it: relative, absolute, through links, trailing slash.

    The root need not exist: a source whose disk is away must still be found by its name.
    """
    return Path(os.path.realpath(root)).as_uri()


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _unescape(match: re.Match[bytes]) -> bytes:
    if match[1] is None:
        raise ValueError("'%' without two hexadecimal digits")
    return bytes.fromhex(match[1].decode())
