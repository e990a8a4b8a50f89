"""Mail: messages (EML) and mailboxes (MBOX), with attachments for their own readers.

A message is its headers that a person reads (subject, from, to, date), then its text: of alternatives the plain one if
it says anything, else the web page. Attachments are members. Parts are numbered as mail programs number them: `2.1` is
the first part of the second. Pictures inside the text are passed over.

Nothing in a message can make reading fail: mail is what programs of forty years wrote, and what is malformed is read as
far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.message import Message
from functools import cache
from itertools import pairwise
from typing import Any

from leasehold.steps import html
from leasehold.steps.blocks import short_heading
from leasehold.steps.decoding import decode, normalise_newlines
from leasehold.steps.detection import essence
from leasehold.steps.office_xml import said
from leasehold.steps.text import whole
from leasehold.types import Block, Member, Parsed, Place, StepError

READER_VERSION = 1

SHOWN = ("Subject", "From", "To", "Cc", "Date")
HEADER_CHARS_MAX = 10_000
PARTS_MAX = 10_000
"""Parts of one message; nested messages count with it."""
NESTED_MAX = 50
MAILBOX = "application/mbox"


def read(data: bytes, media_type: str, name: str) -> Parsed:
    if essence(media_type) == MAILBOX:
        return _read_mailbox(data)
    mail = _Mail(data, ())
    return Parsed(tuple(mail.blocks), mail.subject, members=mail.members)


def _read_mailbox(data: bytes) -> Parsed:
    blocks: list[Block] = []
    members: list[Member] = []
    for number, message in enumerate(_messages(data), 1):
        mail = _Mail(message, (("mail", number),))
        blocks += mail.blocks
        members += mail.members
    return Parsed(tuple(blocks), members=members)


def _messages(data: bytes) -> Iterator[bytes]:
    """The messages of a mailbox: each begins with a line `From ` after an empty one. Quoted such lines are restored."""
    starts = [found.start("mark") for found in _separator().finditer(data)]
    if not starts or starts[0]:  # what is only called a mailbox, or begins in the middle
        yield data[: starts[0] if starts else len(data)]
    for start, end in pairwise([*starts, len(data)]):
        message = data[start:end].partition(b"\n")[2]
        message = message.removesuffix(b"\n") if message.endswith((b"\n\n", b"\r\n\r\n")) else message
        yield re.sub(rb"(?m)^>(>*From )", rb"\1", message)


@cache
def _separator() -> re.Pattern[bytes]:
    return re.compile(rb"(?:\A|\r?\n\r?\n)(?P<mark>From [^\n]*+\n(?=[!-9;-~]++:|>))")


class _Mail:
    """One message: its blocks, and its members still to be read."""

    def __init__(self, data: bytes, place: Place) -> None:
        from email import policy
        from email.parser import BytesParser

        self.blocks: list[Block] = []
        self.members: list[Member] = []
        self._parts = 0
        try:
            message = BytesParser(policy=policy.compat32).parsebytes(data)
        except RecursionError:
            raise StepError(
                "damaged", "parts nested without end", remedy="Save the mail again from its program."
            ) from None
        self.subject = short_heading(_header(message, "Subject"))
        self._heading = (self.subject,) if self.subject else ()
        self._place = place
        self._message(message, "")

    def _message(self, message: Message[Any, Any], number: str) -> None:
        place = (*self._place, ("part", number)) if number else self._place
        lines = [f"{name}: {value}" for name in SHOWN if (value := _header(message, name))]
        if lines:
            self.blocks.append(Block("\n".join(lines), 1, self._heading, place))
        self._part(message, number, depth=0, top=True)

    def _part(self, part: Message[Any, Any], number: str, *, depth: int, top: bool = False) -> None:
        self._parts += 1
        if self._parts > PARTS_MAX or depth > NESTED_MAX:
            return
        kind = part.get_content_type()
        inner = [one for one in part.get_payload() if isinstance(one, Message)] if part.is_multipart() else []
        if kind == "message/rfc822" and inner:
            self._message(inner[0], number or "1")
        elif kind == "multipart/alternative" and inner:
            self._alternatives(inner, number, depth)
        elif inner:
            for index, one in enumerate(inner, 1):
                self._part(one, f"{number}.{index}" if number else str(index), depth=depth + 1)
        else:
            self._leaf(part, kind, number or "1")

    def _alternatives(self, parts: list[Message[Any, Any]], number: str, depth: int) -> None:
        """The plain text if it says anything, else what comes last, which is the richest."""
        numbered = [(one, f"{number}.{index}" if number else str(index)) for index, one in enumerate(parts, 1)]
        plain = [(one, at) for one, at in numbered if one.get_content_type() == "text/plain" and _content(one).strip()]
        one, at = plain[0] if plain else numbered[-1]
        self._part(one, at, depth=depth + 1)

    def _leaf(self, part: Message[Any, Any], kind: str, number: str) -> None:
        name = _file_name(part)
        attached = part.get_content_disposition() == "attachment" or name
        place = (*self._place, ("part", number))
        if kind in ("text/plain", "text/html") and not attached:
            self._text(part, kind, place)
        elif not (kind.startswith("image/") and (part.get("Content-ID") or not attached)):
            named = name or f"part-{number}{_ending(kind)}"
            self.members.append(Member(named, (*place, ("attachment", said(named)[:200])), _later(part)))

    def _text(self, part: Message[Any, Any], kind: str, place: Place) -> None:
        text = _decoded(part)
        blocks = html.read_text(text).blocks if kind == "text/html" else whole(text)
        self.blocks += [replace(block, heading=(*self._heading, *block.heading), place=place) for block in blocks]


def _later(part: Message[Any, Any]) -> Callable[[int], bytes]:
    return lambda limit: _content(part)[: limit + 1]


def _content(part: Message[Any, Any]) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):
        return b""
    return content if isinstance(content, bytes) else b""


def _decoded(part: Message[Any, Any]) -> str:
    content = _content(part)
    try:
        charset = part.get_content_charset()
    except (ValueError, LookupError, TypeError, IndexError):
        charset = None
    if charset and charset not in ("utf-8", "us-ascii"):
        try:
            return normalise_newlines(content.decode(charset, "replace").replace("\x00", ""))
        except (LookupError, ValueError):
            pass  # no charset that exists
    return decode(content)[0]


def _header(message: Message[Any, Any], name: str) -> str:
    from email.errors import HeaderParseError
    from email.header import decode_header

    raw = str(message.get(name, ""))[:HEADER_CHARS_MAX]
    try:
        parts = decode_header(raw)
    except (HeaderParseError, ValueError):
        return said(raw)
    return said("".join(_text_of(content, charset) for content, charset in parts))


def _text_of(content: bytes | str, charset: str | None) -> str:
    if isinstance(content, str):
        return content
    if charset:
        try:
            return content.decode(charset, "replace")
        except (LookupError, ValueError):
            pass  # no charset that exists
    return decode(content)[0]


def _file_name(part: Message[Any, Any]) -> str:
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError, IndexError):
        return ""
    if not name:
        return ""
    from email.errors import HeaderParseError
    from email.header import decode_header

    try:
        return said("".join(_text_of(*one) for one in decode_header(str(name)[:HEADER_CHARS_MAX])))
    except (HeaderParseError, ValueError):
        return said(str(name))


def _ending(kind: str) -> str:
    from mimetypes import guess_extension

    return guess_extension(kind) or ""
