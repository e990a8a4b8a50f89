"""Detection: what a file is, from its first bytes and its name.

The content decides first: a picture called `notes.txt` is a picture. Only when the content is text does the name say
which kind of text, because nothing in a text reliably does. A type that is known but has no reader yet is named all the
same, so that "skipped: no reader for application/pdf" tells a person what to wait for or to convert.

Media types are strings such as `text/markdown` or `text/x-source; language=python`. Who reads one is `readers`.

What can be wrong: a text whose name lies (JSON called `.csv`) is read as what its name says; readers of tables and
plain text never fail, so this costs quality and not the document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from mmap import mmap

from leasehold.steps import media
from leasehold.steps.decoding import mark_of

HEAD_BYTES = 8192
"""What `detect` wants to see of a file; more is not looked at."""

JUNK_BYTES = 1024
"""A PDF's header is within these, by custom; its end mark within as many."""
MARK_BYTES = 200
ENTRIES_MAX = 2000
TAIL_BYTES = 65_536

BINARY = "application/octet-stream"
SOURCE = "text/x-source"
TEXTS = frozenset(
    {"text/plain", "text/markdown", "text/html", "text/csv", "application/json", "application/jsonl", SOURCE}
)
"""Kinds of text that are told apart by the name."""
CONTROLS = bytes(byte for byte in range(1, 32) if byte not in b"\a\b\t\n\v\f\r\x1b")
CONTROL_SHARE_MAX = 0.05
"""A file whose name says text may hold this share of control characters; random bytes hold twice as much."""


def essence(media_type: str) -> str:
    """*media_type* without its parameters: `text/x-source` of `text/x-source; language=go`."""
    return media_type.partition(";")[0].strip()


def language(media_type: str) -> str:
    """The `language` parameter of *media_type*, or nothing."""
    return media_type.partition("language=")[2].strip()


def detect(name: str, data: bytes | mmap) -> str:
    """Name the media type of a file.

    Args:
        name: the file's name or path; only its last part is looked at, in any case.
        data: its bytes. The first `HEAD_BYTES` are looked at, and the end of what has its table of contents there;
            a head alone gives an answer too.
    """
    head = data[:HEAD_BYTES]
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    named = _by_name(base)
    marked = mark_of(head) is not None
    magic = None if marked else _by_magic(data, head, named)
    if magic is not None:
        return magic
    if named is not None and named in _plugged_in().values():
        return named
    text = marked or _is_text(head, named_as_text=named is not None and _is_kind_of_text(named))
    if (named == media.PDF or not text or b"\n%PDF-" in head[:JUNK_BYTES]) and _is_late_pdf(data, head):
        return media.PDF
    if text:
        return _by_shape(head, named if named is not None and _is_kind_of_text(named) else None)
    return named if named is not None and not _is_kind_of_text(named) else BINARY


def _by_name(base: str) -> str | None:
    stem, dot, extension = base.rpartition(".")
    whole = media.LANGUAGE_BY_NAME.get(base)
    if dot and not whole:
        if extension in media.BY_EXTENSION:
            return media.BY_EXTENSION[extension]
        whole = media.LANGUAGE_BY_EXTENSION.get(extension)
    if whole:
        return f"{SOURCE}; language={whole}"
    if dot and extension in _plugged_in():
        return _plugged_in()[extension]
    if base in media.PLAIN_NAMES or (dot and stem in media.PLAIN_NAMES):
        return "text/plain"
    return None


def _plugged_in() -> dict[str, str]:
    from leasehold.steps.readers import extensions  # it knows us

    return extensions()


def _is_kind_of_text(media_type: str) -> bool:
    return essence(media_type) in TEXTS or media_type in media.OTHER_TEXT


def _by_magic(data: bytes | mmap, head: bytes, named: str | None) -> str | None:
    for offset, magic, media_type in media.MAGIC:
        if head.startswith(magic, offset):
            return _inside(media_type, data, head, named)
    return None


def _inside(media_type: str, data: bytes | mmap, head: bytes, named: str | None) -> str:
    """The format inside a container: many are zip or OLE files, and what is in them tells which, else the name."""
    found = None
    if media_type == "application/zip":
        found = _in_zip(data, head)
    elif media_type == "application/x-ole-storage":
        found = next((of for stream, of in media.OLE_STREAMS if data.find(stream.encode("utf-16-le")) >= 0), None)
    elif media_type == "application/riff":
        return media.RIFF.get(head[8:12], BINARY)
    if found is not None:
        return found
    if media_type in media.CONTAINERS and named in media.CONTAINERS[media_type]:
        return named or media_type
    return media_type


def _in_zip(data: bytes | mmap, head: bytes) -> str | None:
    """By what a zip says it is, then by its table of contents; by its head alone where that is missing."""
    for mark, of in media.ZIP_PARTS:
        if mark in head[:MARK_BYTES]:
            return of
    names = list(_entries(data))
    office = "[Content_Types].xml" in names
    for start, of in media.ZIP_ENTRIES:
        if (office or not start.endswith("/")) and any(name.startswith(start) for name in names):
            return of
    if not names:
        return next((of for start, of in media.ZIP_ENTRIES[:4] if start.encode() in head), None)
    return None


def _entries(data: bytes | mmap) -> Iterator[str]:
    """The first names of a zip's table of contents; none where there is no such table."""
    end = data.rfind(b"PK\x05\x06", max(0, len(data) - 65_557))
    at = int.from_bytes(data[end + 16 : end + 20], "little") if end >= 0 else len(data)
    for _ in range(ENTRIES_MAX):
        if data[at : at + 4] != b"PK\x01\x02":
            return
        name, extra, comment = (int.from_bytes(data[at + k : at + k + 2], "little") for k in (28, 30, 32))
        yield data[at + 46 : at + 46 + name].decode("utf-8", "replace")
        at += 46 + name + extra + comment


def _is_late_pdf(data: bytes | mmap, head: bytes) -> bool:
    """A PDF with something before its header, as mail programs and web servers leave it there; readers accept that."""
    return b"%PDF-" in head[:JUNK_BYTES] and b"startxref" in data[-JUNK_BYTES:] and b" obj" in data[-TAIL_BYTES:]


def _is_text(head: bytes, *, named_as_text: bool) -> bool:
    controls = len(head) - len(head.translate(None, CONTROLS))
    if named_as_text:
        return controls <= len(head) * CONTROL_SHARE_MAX
    return controls == 0 and b"\x00" not in head


def _by_shape(head: bytes, named: str | None) -> str:
    """The kind of a text: what its name says, except where one shape is written under the name of another."""
    if named in ("application/json", None) and _chat().match(head):
        return media.CHAT
    if named in ("text/plain", None) and (mail := _mail(head)):
        return mail
    return named if named is not None else _by_text(head)


def _mail(head: bytes) -> str | None:
    """A message or a mailbox: header lines up to an empty one, among them those that every message has."""
    box = head.startswith(b"From ")
    lines, ended, _ = (head.partition(b"\n")[2] if box else head).replace(b"\r", b"").partition(b"\n\n")
    names = [found.lower() for found in re.findall(rb"^([!-9;-~]+):", lines, re.MULTILINE)]
    other = [line for line in lines.split(b"\n") if not re.match(rb"[!-9;-~]+:|[ \t]", line)]
    wanted = {b"from", b"date", b"subject", b"message-id", b"received", b"to", b"mime-version"}
    if other[: None if ended else -1] or len(wanted & set(names)) < (2 if box else 4):
        return None
    return media.MBOX if box else media.EML


@cache
def _chat() -> re.Pattern[bytes]:
    """The start of a chat export: an object, or a list of them, whose first keys are those of a known shape."""
    return re.compile(
        rb"""(?:\xef\xbb\xbf)?\s*\[?\s*\{(?:
            \s*"title"\s*:[^{}\[\]]{0,2000}"mapping"\s*:\s*\{
          | \s*"role"\s*:\s*"(?:user|assistant|system|developer|human|tool)"
          | [^{}\[\]]{0,2000}"(?:messages|chat_messages)"\s*:\s*\[\s*\{[^{}\[\]]{0,2000}"(?:role|sender)"\s*:
          | (?=[^{}]{0,4000}"ts"\s*:\s*"\d{9,10}\.\d+")(?=[^{}]{0,4000}"text"\s*:)
            (?=[^{}]{0,4000}"type"\s*:\s*"message")
        )""",
        re.VERBOSE,
    )


def _by_text(head: bytes) -> str:
    """The kind of a text whose name says nothing."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:256].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith(b"<?xml"):
        return f"{SOURCE}; language=xml"
    if start.startswith(b"#!"):
        words = start.splitlines()[0].replace(b"/", b" ").split()
        for word in words:
            known = media.LANGUAGE_BY_INTERPRETER.get(word.decode("latin-1").rstrip("0123456789."))
            if known:
                return f"{SOURCE}; language={known}"
    return "text/plain"
