"""Books (EPUB): their chapters in reading order, each read as the web page that it is."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import unquote

from leasehold.steps import html
from leasehold.steps.blocks import short_heading
from leasehold.steps.office_xml import Attributes, Walker, resolved, said, walk
from leasehold.steps.zips import Zip
from leasehold.types import Block, Parsed, StepError

READER_VERSION = 1

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml"})
FONT_SCRAMBLING = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
REMEDY = "Save it again with the program it came from."


def read(data: bytes, media_type: str, name: str) -> Parsed:
    with Zip(data) as file:
        _refuse_encrypted(file)
        package = _package(file)
        book = _Book()
        walk(file.pieces(package), book, part=package)
        blocks: list[Block] = []
        missing = 0
        for number, href in enumerate(book.chapters(), 1):
            part = resolved(package, unquote(href))
            if part not in file:
                missing += 1
                continue
            chapter = html.read(file.read(part), "text/html", part)
            blocks += (replace(block, place=(("chapter", number),)) for block in chapter.blocks)
        notes = (f"{missing} chapters are named and not there",) if missing else ()
        return Parsed(tuple(blocks), short_heading(said(book.title)), notes)


def _package(file: Zip) -> str:
    found = _Container()
    if CONTAINER in file:
        walk(file.pieces(CONTAINER), found, part=CONTAINER)
    package = found.path or next((one for one in sorted(file.names) if one.endswith(".opf")), "")
    if not package:
        raise StepError("damaged", "a book without a list of its chapters", remedy=REMEDY)
    return package


def _refuse_encrypted(file: Zip) -> None:
    """Fonts may be scrambled; where anything else is, the book is protected."""
    found = _Encryption()
    if ENCRYPTION in file:
        walk(file.pieces(ENCRYPTION), found, part=ENCRYPTION)
    if any(not one.startswith(FONT_SCRAMBLING) for one in found.methods):
        raise StepError("encrypted", "the book is protected against copying", remedy="Ask its seller for an open copy.")


class _Container(Walker):
    def __init__(self) -> None:
        self.path = ""

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "rootfile":
            self.path = self.path or attributes.get("full-path", "")


class _Encryption(Walker):
    def __init__(self) -> None:
        self.methods: list[str] = []
        self._depth = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "EncryptedData":
            self._depth = 1
        elif name == "EncryptionMethod" and self._depth:
            self.methods.append(attributes.get("Algorithm", ""))
            self._depth = 0


class _Book(Walker):
    """The package document: title, files by id, and the ids in reading order."""

    def __init__(self) -> None:
        self.title = ""
        self._titles = 0
        self._inside = False
        self._files: dict[str, str] = {}
        self._order: list[str] = []

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "item" and attributes.get("media-type") in PAGES and "nav" not in attributes.get("properties", ""):
            self._files[attributes.get("id", "")] = attributes.get("href", "")
        elif name == "itemref":
            self._order.append(attributes.get("idref", ""))
        elif name == "title":
            self._titles += 1
            self._inside = self._titles == 1

    def text(self, said: str) -> None:
        if self._inside:
            self.title += said

    def end(self, name: str) -> None:
        if name == "title":
            self._inside = False

    def chapters(self) -> list[str]:
        return [self._files[one] for one in self._order if one in self._files]
