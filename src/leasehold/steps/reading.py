"""Reading: from a file's bytes to blocks of text with their provenance, documents inside documents included.

Every block is line-faithful within its place (see `blocks`, `places`), which is what lets a search answer say file and
line, or page, or cells. A file without text gives no blocks; that is no failure here.

One file is one document, whatever it contains: what an archive or a mail holds is read by the readers of its members,
and their blocks stand in the container's `Parsed` with the way to the member as their place. So the account stays one
line per file. A member that cannot be read does not fail its container: it is said in a note, unless nothing else
gave any text; then its failure is the container's.

Not here: finding out the media type (`detection`), who reads it (`readers`), how far it may expand (`limits`), cutting
to size (`chunking`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from leasehold.steps import limits, readers
from leasehold.steps.decoding import clean
from leasehold.steps.detection import detect, essence, language
from leasehold.steps.places import inside, shown_name
from leasehold.types import Block, Member, Parsed, StepError

NAMED_MAX = 10
"""Members whose failure is named in the notes; the others are counted."""


def read(data: bytes, *, media_type: str, name: str) -> Parsed:
    """Read *data* as *media_type*.

    Args:
        name: the file's name, for readers that tell dialects apart by it; never opened.

    Raises:
        StepError: permanent; `damaged` and its like when the content breaks its format, `no reader for the type` when
            `readers.readable` would have said so.
    """
    return _Nest(len(data)).read(data, media_type, name, 0)


def reader_version(media_type: str) -> str:
    """Name and version of the reader of *media_type*, for recipe keys: `markdown/1`.

    The language of a source file is part of it, because it decides how the same bytes are read.
    """
    version = readers.version(media_type)
    return f"{version}/{language(media_type)}" if language(media_type) else version


class _Nest:
    """One file with everything inside it: what it has used of the limits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = limits.allowed_bytes(size)
        self._members = 0
        self._characters = 0

    def read(self, data: bytes, media_type: str, name: str, depth: int) -> Parsed:
        reader = readers.find(media_type)
        if reader is None or reader.missing:
            raise unreadable(media_type)
        with _defects(reader.name):
            parsed: Parsed = reader.reader.read(data, media_type, name)
        self._count(parsed.blocks)
        if parsed.members == ():
            return _storable(parsed)
        return _storable(self._with_members(reader.name, parsed, depth))

    def _count(self, blocks: Iterable[Block]) -> None:
        self._characters += sum(len(block.text) for block in blocks)
        if self._characters > limits.TEXT_CHARS_MAX:
            raise _too_far(f"more than {limits.TEXT_CHARS_MAX:,} characters of text")

    def _with_members(self, reader: str, parsed: Parsed, depth: int) -> Parsed:
        """*parsed* with the blocks of its members behind its own."""
        blocks, unread = list(parsed.blocks), _Unread()
        for member in _until_damage(reader, parsed.members, unread):
            shown = shown_name(member.name) or "a member without a name"
            try:
                found = self._member(reader, member, depth + 1)
            except StepError as error:
                if limits.stops_all(error):
                    raise
                unread.add(shown, error)
                continue
            if found is not None:
                unread.notes += [f"{shown}: {note}" for note in found.notes[:NAMED_MAX]]
                blocks += (replace(block, place=inside(member.place, block.place)) for block in found.blocks)
        if unread.failed and not any(block.text.strip() for block in blocks):
            raise unread.failure()
        return Parsed(tuple(blocks), parsed.title, (*parsed.notes, *unread.said()))

    def _member(self, reader: str, member: Member, depth: int) -> Parsed | None:
        self._members += 1
        if self._members > limits.MEMBERS_MAX:
            raise _too_far(f"more than {limits.MEMBERS_MAX:,} members")
        limit = min(self._left, limits.MEMBER_BYTES_MAX)
        with _defects(reader):
            data = member.data(limit)
        self._left -= min(len(data), limit)
        if len(data) > limit:
            if limit < limits.MEMBER_BYTES_MAX:
                raise limits.over(self._size)
            raise StepError("too large", f"more than {limit:,} bytes", remedy=limits.UNPACK)
        if not data:
            return None
        media_type = detect(member.name, data)
        found = readers.find(media_type)
        if depth >= limits.DEPTH_MAX and found is not None and found.container:
            detail = f"more than {limits.DEPTH_MAX} containers in one another"
            raise StepError("nested too deep", detail, remedy=limits.UNPACK)
        return self.read(data, media_type, member.name, depth)


def _too_far(detail: str) -> StepError:
    return StepError(limits.TOO_FAR, detail, remedy=limits.UNPACK)


def _storable(parsed: Parsed) -> Parsed:
    """*parsed* with text that the database can hold, whoever read it."""
    blocks = tuple(_clean(block) for block in parsed.blocks)
    return Parsed(blocks, clean(parsed.title), tuple(clean(note) for note in parsed.notes))


def _clean(block: Block) -> Block:
    text, heading = clean(block.text), tuple(clean(one) for one in block.heading)
    place = tuple((kind, clean(value) if isinstance(value, str) else value) for kind, value in block.place)
    if (text, heading, place) == (block.text, block.heading, block.place):
        return block
    return replace(block, text=text, heading=heading, place=place)


def unreadable(media_type: str) -> StepError:
    """Why *media_type* is not read, as a failure."""
    if what := readers.missing(media_type):
        return StepError("reader not installed", essence(media_type), remedy=f"{readers.to_install(what)}")
    return StepError("no reader for the type", media_type, remedy="Convert the file to text, Markdown or HTML.")


class _Unread:
    """Members that gave nothing, for the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failed: list[tuple[str, StepError]] = []
        self._skipped: list[tuple[str, StepError]] = []

    def add(self, shown: str, error: StepError) -> None:
        skipped = error.reason in ("no reader for the type", "reader not installed")
        (self._skipped if skipped else self.failed).append((shown, error))

    def said(self) -> list[str]:
        notes = self.notes[:NAMED_MAX]
        for found in (self.failed, self._skipped):
            notes += [f"not read: {shown}: {error}" for shown, error in found[:NAMED_MAX]]
            if len(found) > NAMED_MAX:
                notes.append(f"not read: {len(found) - NAMED_MAX:,} more")
        return notes

    def failure(self) -> StepError:
        shown, error = self.failed[0]
        return StepError(error.reason, f"{shown}: {error.detail}" if shown else error.detail, remedy=error.remedy)


@contextmanager
def _defects(reader: str) -> Iterator[None]:
    """A defect of *reader* is a verdict on the file it reads, and no trace; its neighbours do not notice."""
    try:
        yield
    except (StepError, MemoryError, GeneratorExit):
        raise
    except Exception as error:
        raise StepError("reader failed", f"{reader}: {type(error).__name__}: {error}",
                        remedy="Please report it, with the file if you may.") from error  # fmt: skip


def _until_damage(reader: str, members: Iterable[Member], unread: _Unread) -> Iterator[Member]:
    """The members up to where the container itself breaks; what was read before that is kept."""
    try:
        with _defects(reader):
            yield from members
    except StepError as error:
        if limits.stops_all(error):
            raise
        unread.add("", error)
