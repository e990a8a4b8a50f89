"""PDF: paragraphs and ruled tables with their page and box, under the headings of the outline or of the type size.

The text is what the file says it is. A page that is a picture has none: a file of such pages has no text, and the way
to read it is OCR, which is not done here. Headings come from the outline (bookmarks) where there is one; else a short
paragraph in larger type than most of the text is a heading, the larger the higher.

Damage has distinct names, because the remedies differ: `encrypted`, `truncated` (the end of the file is missing, and
the table of contents with it), `no pages`, `damaged`. A file without an Info dictionary is normal. A page that cannot
be loaded is noted, and the others are read.

pdfium is not safe for threads, so one file is read at a time in a process. It is C++: what crashes it takes the worker
process along, and the keeper sees to the rest.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from leasehold.steps.blocks import short_heading
from leasehold.steps.decoding import clean
from leasehold.steps.pdf_layout import Line, Page, layout
from leasehold.types import Block, Parsed, StepError

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


def read(data: bytes, media_type: str, name: str) -> Parsed:
    import pypdfium2
    from pypdfium2 import raw

    with _one_at_a_time:
        document = _opened(pypdfium2, raw, data)
        try:
            if len(document) == 0:
                raise _pageless()
            pages, unread = _pages(pypdfium2, raw, document)
            outline = _outline(document)
            title = _title(document)
        finally:
            document.close()
    if not any(page.lines for page in pages):
        if unread == len(pages):
            raise StepError("damaged", "none of its pages can be loaded", remedy=AGAIN)
        return Parsed((), title, (NO_TEXT,))
    headings = _Outlined(outline) if outline else _Sized(pages)
    blocks = tuple(_blocks(pages, headings))
    return Parsed(blocks, title or headings.title, tuple(_notes(pages, unread)))


def _opened(pypdfium2: Any, raw: Any, data: bytes) -> Any:
    ended = b"%%EOF" in data[-TAIL_BYTES:] or b"startxref" in data[-TAIL_BYTES:]
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        # pdfium keeps the code of an earlier file where it has none for this one, so it is not believed alone
        if getattr(error, "err_code", None) == raw.FPDF_ERR_PASSWORD and b"/Encrypt" in data:
            raise _encrypted() from None
        if not ended:
            raise _truncated() from None
        if b"/Count 0" in data:  # pdfium does not open a document without pages
            raise _pageless() from None
        raise StepError(
            "damaged", f"not a PDF that can be opened: {error}", remedy=f"{AGAIN} Or qpdf IN OUT."
        ) from None
    if not ended:  # pdfium finds what pages it can; which ones are missing nobody knows
        document.close()
        raise _truncated()
    return document


def _encrypted() -> StepError:
    remedy = "Remove the password (qpdf --decrypt IN OUT) and ingest again."
    return StepError("encrypted", "a password is needed to open it", remedy=remedy)


def _pageless() -> StepError:
    return StepError("no pages", "a PDF without a single page", remedy=AGAIN)


def _truncated() -> StepError:
    return StepError("truncated", "the end of the file is missing", remedy="Copy or download it again, whole.")


def _pages(pypdfium2: Any, raw: Any, document: Any) -> tuple[list[Page], int]:
    pages, unread = [], 0
    for index in range(len(document)):
        try:
            page = document[index]
            try:
                pages.append(layout(page, raw))
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            pages.append(Page([], (0.0, 0.0), True))
            unread += 1
    return pages, unread


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


def _notes(pages: list[Page], unread: int) -> Iterator[str]:
    bare = [number for number, page in enumerate(pages, 1) if not page.lines]
    if unread:
        yield f"{unread} of {len(pages)} pages cannot be loaded"
    if len(bare) > unread:
        yield f"{len(bare) - unread} of {len(pages)} pages have no text, the first is page {bare[0]}"


# -- blocks -----------------------------------------------------------------------------------------------------------


def _blocks(pages: list[Page], headings: _Outlined | _Sized) -> Iterator[Block]:
    for number, page in enumerate(pages, 1):
        headings.turn(number - 1)
        at = 1
        for paragraph in _paragraphs(page.lines):
            headings.meet(paragraph)
            text = clean("\n".join(line.text for line in paragraph))
            yield Block(text, at, headings.path, (("page", number),), page.box(paragraph))
            at += text.count("\n") + 2
        headings.leave(number - 1)


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

    def meet(self, paragraph: list[Line]) -> None:
        if not self._here:
            return
        words = _squeezed(" ".join(line.text for line in paragraph[:HEADING_LINES_MAX]))
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

    def __init__(self, pages: list[Page]) -> None:
        super().__init__()
        sizes: Counter[float] = Counter()
        for page in pages:
            for line in page.lines:
                if not line.table:
                    sizes[_half(line.size)] += len(line.text)
        body = max(sizes, key=lambda size: (sizes[size], -size), default=0.0)
        larger = sorted((size for size in sizes if size > body * LARGER), reverse=True)
        self._levels = {size: min(level, 6) for level, size in enumerate(larger, 1)}

    def turn(self, page: int) -> None:
        pass

    def meet(self, paragraph: list[Line]) -> None:
        level = self._levels.get(_half(paragraph[0].size))
        if level is None or paragraph[0].table or len(paragraph) > HEADING_LINES_MAX:
            return
        text = " ".join(line.text for line in paragraph)
        if len(text) <= HEADING_CHARS_MAX and any(char.isalpha() for char in text):
            self.enter(level, short_heading(text))

    def leave(self, page: int) -> None:
        pass


def _half(size: float) -> float:
    return round(size * 2) / 2
