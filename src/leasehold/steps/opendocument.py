"""OpenDocument texts and presentations (ODT, ODP): paragraphs and table rows under their headings, slides with notes.

In a text paragraphs are counted, a table row as one; in a presentation each page is a slide. Footnotes stand where they
are called. Not read: deleted text, comments, headers and footers, pictures.
"""

from __future__ import annotations

from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.office_xml import Attributes, Properties, Walker, said, walk
from leasehold.steps.zips import Zip
from leasehold.types import Parsed, Place, StepError

READER_VERSION = 1

CONTENT, MANIFEST, META = "content.xml", "META-INF/manifest.xml", "meta.xml"
SPACES_MAX = 100
UNREAD = frozenset({"tracked-changes", "annotation", "desc", "title", "forms", "sequence-decls"})
PARAGRAPH: Place = (("counts", "paragraph"),)


def read(data: bytes, media_type: str, name: str) -> Parsed:
    with Zip(data) as file:
        refuse_encrypted(file)
        builder = BlockBuilder()
        walker = _Content(builder)
        walk(file.pieces(CONTENT), walker, part=CONTENT)
        builder.end()
        properties = Properties()
        if META in file:
            walk(file.pieces(META), properties, part=META)
        return Parsed(tuple(builder.blocks), short_heading(said(properties.title)) or walker.title)


def refuse_encrypted(file: Zip) -> None:
    """Raises StepError when the manifest says that the content is encrypted."""
    manifest = _Manifest()
    if MANIFEST in file:
        walk(file.pieces(MANIFEST), manifest, part=MANIFEST)
    if manifest.encrypted:
        raise StepError("encrypted", "it is protected by a password", remedy="Save it without the password.")


class _Manifest(Walker):
    def __init__(self) -> None:
        self.encrypted = False

    def start(self, name: str, attributes: Attributes) -> None:
        self.encrypted = self.encrypted or name == "encryption-data"


class _Content(Walker):
    def __init__(self, builder: BlockBuilder) -> None:
        self.builder = builder
        self.title = ""
        self._parts: list[list[str]] = []
        self._levels: list[int] = []
        self._path: list[tuple[int, str]] = []
        self._line = 0
        self._tables = 0
        self._cells: list[str] = []
        self._unread: list[str] = []
        self._slide = 0
        self._object = ""
        builder.place = PARAGRAPH

    def start(self, name: str, attributes: Attributes) -> None:
        if name in UNREAD:
            self._unread.append(name)
        if self._unread:
            return
        if name in ("p", "h"):
            level = attributes.get("outline-level", "1")
            self._parts.append([])
            self._levels.append(int(level[:3]) if name == "h" and level.isdigit() else 0)
        elif name == "s" and self._parts:
            count = attributes.get("c", "1")
            self._parts[-1].append(" " * min(int(count[:6]) if count.isdigit() else 1, SPACES_MAX))
        elif name in ("tab", "line-break") and self._parts:
            self._parts[-1].append(" ")
        elif name == "page":
            self._turn(self._slide + 1, notes=False)
        elif name == "notes" and self._slide:
            self._turn(self._slide, notes=True)
        elif name == "frame":
            self._object = attributes.get("class", "")
        elif name == "table":
            self._tables += 1
        elif name == "table-row" and self._tables == 1:
            self._cells = []
        elif name == "table-cell" and self._tables == 1:
            self._cells.append("")

    def text(self, said: str) -> None:
        if self._parts and not self._unread:
            self._parts[-1].append(said)

    def end(self, name: str) -> None:
        if self._unread:
            if name == self._unread[-1]:
                self._unread.pop()
        elif name in ("p", "h") and self._parts:
            self._end_paragraph(said("".join(self._parts.pop())), self._levels.pop())
        elif name == "table-row" and self._tables == 1:
            self._line += 1
            row = " | ".join(self._cells).strip()
            if row.strip("| "):
                self.builder.add(row, self._line)
        elif name == "table" and self._tables:
            self._tables -= 1
            if not self._tables:
                self.builder.flush()
        elif name == "frame":
            self._object = ""

    def _turn(self, slide: int, *, notes: bool) -> None:
        """A new slide, or its notes, which stand under its title."""
        if not notes:
            self._path = []
        self.builder.under(tuple(title for _, title in self._path))
        self._slide, self._line = slide, 0
        self.builder.place = (("slide", slide), ("notes", True)) if notes else (("slide", slide),)

    def _end_paragraph(self, words: str, level: int) -> None:
        if self._tables:
            if words and self._cells:
                self._cells[-1] = f"{self._cells[-1]} {words}".strip()
            return
        self._line += 1
        if not words or self._object == "page-number":
            return
        if level or (self._object == "title" and not self._path):
            self._enter(level or 1, words)
        self.builder.add(words, self._line)
        if not self._slide:
            self.builder.flush()

    def _enter(self, level: int, words: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, short_heading(words)))
        self.builder.under(tuple(title for _, title in self._path))
        self.title = self.title or self._path[-1][1]
