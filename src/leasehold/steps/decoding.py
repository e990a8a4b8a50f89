"""Decoding: from a file's bytes to text that PostgreSQL can hold.

Decoding never fails and never guesses a charset by statistics: a byte order mark decides, else UTF-8 when every byte
fits, else cp1252, which gives every byte some character (the five it leaves undefined are read as Latin-1). Whatever
was not exact is said in a note, so that a person who finds odd characters in an answer finds the reason beside them.

Invariant: the text has no NUL and no surrogate, because PostgreSQL text can hold neither, and its only line ends are
`\\n`, so that counting newlines counts the lines an editor shows.

Not here: charsets declared inside a file (HTML meta, PEP 263). Files that declare one and are not UTF-8 are nearly
always cp1252 in fact.
"""

from __future__ import annotations

import codecs
import re
from functools import cache

MARKS = (  # longest first: the UTF-32 mark begins with the UTF-16 one
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """Decode *data*, whatever it is.

    Returns:
        The text, valid for PostgreSQL and with `\\n` line ends, and notes on everything that was not exact.
    """
    text, notes = _decode_any(data)
    if "\x00" in text:
        notes.append(f"removed {text.count(chr(0))} NUL characters")
    return normalise_newlines(clean(text)), tuple(notes)


def clean(text: str) -> str:
    """*text* without what PostgreSQL text cannot hold: NULs removed, surrogates replaced by U+FFFD."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii() and _surrogates().search(text):
        # Pairs become the character they stand for; only the lone ones are lost.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def normalise_newlines(text: str) -> str:
    """*text* with `\\r\\n` and `\\r` as `\\n`; the count of lines does not change."""
    if "\r" not in text:
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n")


def mark_of(data: bytes) -> tuple[bytes, str] | None:
    """The byte order mark *data* starts with, and its encoding."""
    return next(((mark, encoding) for mark, encoding in MARKS if data.startswith(mark)), None)


def _decode_any(data: bytes) -> tuple[str, list[str]]:
    found = mark_of(data)
    if found is not None and found[1] != "utf-8":
        return _decode_marked(data[len(found[0]) :], found[1])
    try:
        return data.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return _decode_not_utf8(data)


def _decode_marked(data: bytes, encoding: str) -> tuple[str, list[str]]:
    notes = [f"decoded as {encoding}"]
    try:
        return data.decode(encoding), notes
    except UnicodeDecodeError:
        return data.decode(encoding, "replace"), [*notes, "replaced byte sequences that are not valid in it"]


def _decode_not_utf8(data: bytes) -> tuple[str, list[str]]:
    try:
        return data.decode("utf-8", "surrogatepass").removeprefix("\ufeff"), ["replaced surrogates encoded in UTF-8"]
    except UnicodeDecodeError:
        text, _ = codecs.charmap_decode(data, "strict", _cp1252())
        return text, ["decoded as cp1252: not valid UTF-8"]


@cache
def _cp1252() -> str:
    table = bytes(range(256)).decode("cp1252", "replace")
    return "".join(chr(byte) if char == "\ufffd" else char for byte, char in enumerate(table))


@cache
def _surrogates() -> re.Pattern[str]:
    return re.compile("[\ud800-\udfff]")
