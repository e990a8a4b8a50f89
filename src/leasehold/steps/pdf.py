"""PDF: paragraphs and ruled tables with their page and box, under the headings of the outline or of the type size.

The text is what the file says it is. A page that is a picture has none: a file of such pages has no text, and the way
to read it is OCR, which is not done here. Headings come from the outline (bookmarks) where there is one; else a short
paragraph in larger type than most of the text is a heading, the larger the higher.

Damage has distinct names, because the remedies differ: `encrypted`, `truncated` (the end of the file is missing, and
the table of contents with it), `no pages`, `damaged`. A file without an Info dictionary is normal. A page that cannot
be loaded is noted, and the others are read.

A document may be read in parts, by several processes: what headings go by is tallied in each (`pages_of`), and the
parts are put under their headings in order (`Book`); the result is the same as that of reading it whole.

pdfium is not safe for threads, so one file is read at a time in a process. It is C++, and read in a sandbox.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from leasehold.steps.blocks import short_heading
from leasehold.steps.decoding import clean
from leasehold.steps.pdf_layout import Line, Page, layout
from leasehold.types import Block, Box, Parsed, StepError

READER_VERSION = 1

TAIL_BYTES = 4096
"""How far before the end of the file its end mark is looked for; some mail gateways add lines behind it."""
LARGER = 1.15
"""Fonts of one nominal size differ by a tenth in height."""
HEADING_LINES_MAX = 3
HEADING_CHARS_MAX = 150
OUTLINE_MAX = 10_000
PARAGRAPH_GAP = 0.55
"""Of a line's height: a wider gap parts paragraphs."""
NARROW_GAP = 0.2
"""And so does this one between lines that are aligned neither at their left nor at their middle."""
NO_TEXT = (
    "no text layer: its pages are pictures -> Run OCR over it (ocrmypdf IN OUT), or convert it with docling, and ingest"
    " the result"
)

_one_at_a_time = threading.Lock()

AGAIN = "Export it again from its source."

Outline = dict[int, list[tuple[int, str]]]
"""Page → (level, title) of the bookmarks that point to it."""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """The texts of its lines, or of its table; `size` is of its first line's type."""

    texts: tuple[str, ...]
    size: float
    table: bool
    box: Box | None


Pages = list[list[Paragraph]]


@dataclass(frozen=True, slots=True)
class Front:
    """What a document says of itself, before its pages are read."""

    pages: int
    title: str
    outline: Outline


@dataclass(frozen=True, slots=True)
class Tally:
    """What must be known of all pages before the first one can be given its headings: characters by size of type.
    `unread` pages cannot be loaded; `written` have text."""

    sizes: dict[float, int]
    unread: int
    written: int


def read(data: bytes, media_type: str, name: str) -> Parsed:
    with opened(data) as document:
        front = front_of(document)
        pages, tally = pages_of(document, 0, front.pages)
    book = Book(front, [tally])
    blocks = tuple(book.blocks(pages))
    return Parsed(blocks, book.title, book.notes)


@contextmanager
def opened(given: bytes | str) -> Iterator[Any]:
    """The document in these bytes, or in the file at this path, of which only what is needed is held in memory.

    Raises:
        StepError: it cannot be opened; see the head of this module.
    """
    import pypdfium2
    from pypdfium2 import raw

    with _one_at_a_time:
        document = _opened(pypdfium2, raw, given)
        try:
            yield document
        finally:
            document.close()


def front_of(document: Any) -> Front:
    """Raises StepError when there is no page."""
    if len(document) == 0:
        raise _pageless()
    return Front(len(document), _title(document), _outline(document))


def pages_of(document: Any, first: int, end: int) -> tuple[Pages, Tally]:
    """The pages from *first* (from 0) up to before *end*."""
    import pypdfium2
    from pypdfium2 import raw

    pages: Pages = []
    sizes: Counter[float] = Counter()
    unread = 0
    for index in range(first, end):
        page, loaded = _page(pypdfium2, raw, document, index)
        unread += not loaded
        for line in page.lines:
            if not line.table:
                sizes[_half(line.size)] += len(line.text)
        pages.append([_paragraph(page, lines) for lines in _paragraphs(page.lines)])
    return pages, Tally(dict(sizes), unread, sum(bool(page) for page in pages))


class Book:
    """The pages of a document, in order, under their headings. Ask for `title` and `notes` when all have gone by.

    Raises:
        StepError: none of its pages can be loaded.
    """

    def __init__(self, front: Front, tallies: Iterable[Tally]) -> None:
        tallies = list(tallies)
        self._pages, self._title = front.pages, front.title
        self._unread = sum(one.unread for one in tallies)
        self._written = sum(one.written for one in tallies)
        if self._unread == front.pages:
            raise StepError("damaged", "none of its pages can be loaded", remedy=AGAIN)
        self._headings = _Outlined(front.outline) if front.outline else _Sized(tallies)
        self._number = self._bare = 0

    def blocks(self, pages: Iterable[Sequence[Paragraph]]) -> Iterator[Block]:
        """The next pages' blocks."""
        headings = self._headings
        for page in pages:
            headings.turn(self._number)
            self._number += 1
            self._bare = self._bare or (0 if page else self._number)
            at = 1
            for paragraph in page:
                headings.meet(paragraph)
                text = clean("\n".join(paragraph.texts))
                yield Block(text, at, headings.path, (("page", self._number),), paragraph.box)
                at += text.count("\n") + 2
            headings.leave(self._number - 1)

    @property
    def title(self) -> str:
        return self._title or (self._headings.title if self._written else "")

    @property
    def notes(self) -> tuple[str, ...]:
        if not self._written:
            return (NO_TEXT,)
        notes = [f"{self._unread} of {self._pages} pages cannot be loaded"] if self._unread else []
        if (bare := self._pages - self._written - self._unread) > 0:
            notes.append(f"{bare} of {self._pages} pages have no text, the first is page {self._bare}")
        return tuple(notes)


def _opened(pypdfium2: Any, raw: Any, given: bytes | str) -> Any:
    tail = _tail(given)
    ended = b"%%EOF" in tail or b"startxref" in tail
    try:
        document = pypdfium2.PdfDocument(given)
    except pypdfium2.PdfiumError as error:
        # pdfium keeps the code of an earlier file where it has none for this one, so it is not believed alone
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD and _holds(given, b"/Encrypt"):
            raise _encrypted() from None
        if not ended:
            raise _truncated() from None
        if _holds(given, b"/Count 0"):  # pdfium does not open a document without pages
            raise _pageless() from None
        raise StepError(
            "damaged", f"not a PDF that can be opened: {error}", remedy=f"{AGAIN} Or qpdf IN OUT."
        ) from None
    if not ended:  # pdfium finds what pages it can; which ones are missing nobody knows
        document.close()
        raise _truncated()
    return document


def _tail(given: bytes | str) -> bytes:
    if isinstance(given, bytes):
        return given[-TAIL_BYTES:]
    with open(given, "rb") as file:
        file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
        return file.read()


def _holds(given: bytes | str, wanted: bytes) -> bool:
    if isinstance(given, bytes):
        return wanted in given
    with open(given, "rb") as file:
        kept = b""
        while piece := file.read(1 << 20):
            if wanted in kept + piece:
                return True
            kept = piece[-len(wanted) :]
    return False


def _encrypted() -> StepError:
    remedy = "Remove the password (qpdf --decrypt IN OUT) and ingest again."
    return StepError("encrypted", "a password is needed to open it", remedy=remedy)


def _pageless() -> StepError:
    return StepError("no pages", "a PDF without a single page", remedy=AGAIN)


def _truncated() -> StepError:
    return StepError("truncated", "the end of the file is missing", remedy="Copy or download it again, whole.")


def _page(pypdfium2: Any, raw: Any, document: Any, index: int) -> tuple[Page, bool]:
    """A page's layout, and whether it could be loaded."""
    try:
        page = document[index]
        try:
            return layout(page, raw), True
        finally:
            page.close()
    except pypdfium2.PdfiumError:
        return Page([], (0.0, 0.0), True), False


def _paragraph(page: Page, lines: list[Line]) -> Paragraph:
    return Paragraph(tuple(line.text for line in lines), _half(lines[0].size), lines[0].table, page.box(lines))


def _outline(document: Any) -> Outline:
    found: Outline = {}
    for number, mark in enumerate(document.get_toc(max_depth=8)):
        if number >= OUTLINE_MAX:
            break
        target = mark.get_dest()
        page = target.get_index() if target is not None else None
        title = short_heading(clean(mark.get_title() or ""))
        if page is not None and page >= 0 and title:
            found.setdefault(page, []).append((mark.level, title))
    return found


def _title(document: Any) -> str:
    """The title the file gives itself, unless it is what programs write there when nobody gave one."""
    title = short_heading(clean(document.get_metadata_value("Title") or ""))
    title = title.removeprefix("Microsoft Word - ").removeprefix("Microsoft PowerPoint - ")
    return "" if title.lower() in ("untitled", "(anonymous)", "title", "unspecified") else title


# -- paragraphs and headings ------------------------------------------------------------------------------------------


def _paragraphs(lines: list[Line]) -> Iterator[list[Line]]:
    held: list[Line] = []
    for line in lines:
        if held and _parted(held[-1], line):
            yield held
            held = []
        held.append(line)
    if held:
        yield held


def _parted(above: Line, below: Line) -> bool:
    if above.table or below.table or abs(above.size - below.size) > above.size * (LARGER - 1):
        return True
    gap = above.bottom - below.top
    if gap > PARAGRAPH_GAP * above.height or gap < -2 * above.height:
        return True
    aligned = abs(above.left - below.left) < 1 or abs(above.left + above.right - below.left - below.right) < 2
    return gap > NARROW_GAP * above.height and not aligned


class _Headings:
    """The path of headings at the place where reading stands."""

    def __init__(self) -> None:
        self.title = ""
        self._path: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._path)

    def enter(self, level: int, title: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, title))
        self.title = self.title or title


class _Outlined(_Headings):
    """Headings by the bookmarks: entered where their words stand on their page, else at the end of the page before."""

    def __init__(self, outline: Outline) -> None:
        super().__init__()
        self._outline = outline
        self._here: list[tuple[int, str]] = []

    def turn(self, page: int) -> None:
        self._here = list(self._outline.get(page, ()))
        self._sought = {_squeezed(title) for _, title in self._here}

    def meet(self, paragraph: Paragraph) -> None:
        if not self._here:
            return
        words = _squeezed(" ".join(paragraph.texts[:HEADING_LINES_MAX]))
        for index, (_, title) in enumerate(self._here):
            if words.startswith(_squeezed(title)):
                for mark in self._here[: index + 1]:
                    self.enter(*mark)
                del self._here[: index + 1]
                return

    def leave(self, page: int) -> None:
        for mark in self._here:
            self.enter(*mark)


def _squeezed(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


class _Sized(_Headings):
    """Headings by the size of type."""

    def __init__(self, tallies: Iterable[Tally]) -> None:
        super().__init__()
        sizes: Counter[float] = Counter()
        for tally in tallies:
            sizes.update(tally.sizes)
        body = max(sizes, key=lambda size: (sizes[size], -size), default=0.0)
        larger = sorted((size for size in sizes if size > body * LARGER), reverse=True)
        self._levels = {size: min(level, 6) for level, size in enumerate(larger, 1)}

    def turn(self, page: int) -> None:
        pass

    def meet(self, paragraph: Paragraph) -> None:
        level = self._levels.get(paragraph.size)
        if level is None or paragraph.table or len(paragraph.texts) > HEADING_LINES_MAX:
            return
        text = " ".join(paragraph.texts)
        if len(text) <= HEADING_CHARS_MAX and any(char.isalpha() for char in text):
            self.enter(level, short_heading(text))

    def leave(self, page: int) -> None:
        pass


def _half(size: float) -> float:
    return round(size * 2) / 2
