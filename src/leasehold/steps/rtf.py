r"""RTF: paragraphs and table rows under their headings, numbered as they come.

RTF is text with control words in braces. One pass over its tokens, with a stack for the braces: what a group switches
on ends with it. Groups that hold no text of the document (fonts, styles, pictures, fields' instructions, everything
marked `\*`) are passed over. Bytes above 127 are in the code page the file names; `\u` gives Unicode.

Reading never fails: what is not closed is closed by the end of the file, and an unknown control word is left out.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from functools import cache

from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.office_xml import said
from leasehold.types import Parsed, Place

READER_VERSION = 1

PLACE: Place = (("counts", "paragraph"),)
_UNREAD = """
    fonttbl colortbl stylesheet listtable listoverridetable revtbl rsidtbl generator info pict object objdata
    header headerl headerr headerf footer footerl footerr footerf fldinst xmlnstbl themedata colorschememapping
    datastore latentstyles filetbl template nonshppict bkmkstart bkmkend annotation atnid atnauthor atndate
    listtext pntext
"""
UNREAD = frozenset(_UNREAD.split())
READ_THOUGH_STARRED = frozenset({"shptxt", "shpinst"})
CHARACTERS = {
    "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "tab": "\t", "emspace": " ", "enspace": " ", "qmspace": " ", "line": " ", "~": " ", "_": "-",
}  # fmt: skip
PAGES = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
GROUPS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Group:
    """What is in force between two braces. `skip` is how many characters stand in for a `\\u` in old programs."""

    read: bool = True
    skip: int = 1
    title: bool = False


def read(data: bytes, media_type: str, name: str) -> Parsed:
    reading = _Reading(_levels(data))
    for found in _tokens().finditer(data):
        reading.token(found)
    return reading.finished()


class _Reading:
    def __init__(self, levels: dict[int, int]) -> None:
        self._levels = levels
        self._builder = BlockBuilder()
        self._builder.place = PLACE
        self._stack: list[_Group] = []
        self._group = _Group()
        self._fresh = self._starred = False
        self._parts: list[str] = []
        self._bytes = bytearray()
        self._page = "cp1252"
        self._to_skip = 0
        self._number = 0
        self._level = 0
        self._cells: list[str] = []
        self._in_row = self._after_row = False
        self._path: list[tuple[int, str]] = []
        self._title: list[str] = []

    def token(self, found: re.Match[bytes]) -> None:
        kind = found.lastgroup
        if kind == "text":
            self._say(found["text"])
        elif kind == "hex":
            self._say(bytes([int(found["hex"], 16)]))
        elif kind == "open":
            self._flush()
            if len(self._stack) < GROUPS_MAX:
                self._stack.append(self._group)
            self._fresh, self._starred = True, False
            return
        elif kind == "close":
            self._flush()
            self._group = self._stack.pop() if self._stack else self._group
            self._to_skip = 0
        elif kind == "symbol":
            self._symbol(found["symbol"].decode("latin-1"))
            return
        else:
            value = found["value"]
            self._word(found["word"].decode("latin-1"), int(value[:12]) if value else None)
        self._fresh = False

    def finished(self) -> Parsed:
        self._end_paragraph()
        self._builder.end()
        title = short_heading(said("".join(self._title)))
        return Parsed(tuple(self._builder.blocks), title or (self._path[0][1] if self._path else ""))

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._starred = True
            return
        if symbol in "{}\\":
            self._say(symbol.encode())
        elif symbol in "\r\n":
            self._word("par", None)
        elif symbol in CHARACTERS:
            self._say_text(CHARACTERS[symbol])
        self._fresh = False

    def _word(self, word: str, value: int | None) -> None:
        unread = (self._fresh or self._starred) and not self._begins(word)
        self._starred = False
        if unread:
            return
        if word in CHARACTERS:
            self._say_text(CHARACTERS[word])
        elif word in ("par", "sect", "page"):
            self._end_paragraph()
        elif word in ("cell", "nestcell"):
            self._end_cell()
        elif word in ("row", "nestrow"):
            self._end_row()
        elif word == "pard":
            self._level, self._in_row = 0, False
        elif word == "intbl":
            self._in_row = True
        elif word in PAGES:
            self._page = PAGES[word]
        elif value is not None:
            self._number_word(word, value)

    def _number_word(self, word: str, value: int) -> None:
        if word == "u":
            self._say_text(_character(value))
            self._to_skip = self._group.skip
        elif word == "uc":
            self._group = replace(self._group, skip=min(max(value, 0), 100))
        elif word == "outlinelevel":
            self._level = value + 1 if 0 <= value < 9 else 0
        elif word == "s":
            self._level = self._levels.get(value, 0)
        elif word == "ansicpg":
            self._page = _page(value) or self._page
        elif word == "bin":
            self._to_skip = max(0, value)

    def _begins(self, word: str) -> bool:
        """Whether the group that *word* begins is read; a mark `\\*` says that old programs should not."""
        if word == "title" and self._fresh:
            self._group = _Group(read=False, title=True)
        elif word in UNREAD or (self._starred and word not in READ_THOUGH_STARRED):
            self._group = replace(self._group, read=False)
        else:
            return True
        return False

    def _say(self, said: bytes) -> None:
        if self._to_skip:
            dropped = min(self._to_skip, len(said))
            self._to_skip -= dropped
            said = said[dropped:]
        if self._group.read or self._group.title:
            self._bytes += said

    def _say_text(self, said: str) -> None:
        self._flush()
        if self._group.read:
            self._parts.append(said)

    def _flush(self) -> None:
        """Bytes become text together, because a character may have several."""
        if self._bytes:
            text = bytes(self._bytes).decode(self._page, "replace")
            (self._title if self._group.title else self._parts).append(text)
            self._bytes.clear()

    def _taken(self) -> str:
        self._flush()
        words = said("".join(self._parts))
        self._parts.clear()
        return words

    def _end_paragraph(self) -> None:
        words = self._taken()
        if self._in_row and self._cells:
            self._cells[-1] = f"{self._cells[-1]} {words}".strip()
            return
        self._number += 1
        if not words:
            return
        if self._after_row:
            self._builder.flush()
            self._after_row = False
        if self._level:
            self._enter(self._level, words)
        self._builder.add(words, self._number)
        self._builder.flush()

    def _end_cell(self) -> None:
        self._cells.append(self._taken())

    def _end_row(self) -> None:
        row, self._cells = " | ".join(self._cells).strip(), []
        self._after_row = True
        self._number += 1
        if row.strip("| "):
            self._builder.add(row, self._number)

    def _enter(self, level: int, words: str) -> None:
        while self._path and self._path[-1][0] >= level:
            self._path.pop()
        self._path.append((level, short_heading(words)))
        self._builder.under(tuple(title for _, title in self._path))


def _character(value: int) -> str:
    """What `\\u` says: a signed 16-bit number; half of a pair is joined to its other half when all is cleaned."""
    return chr(value & 0xFFFF)


@cache
def _page(number: int) -> str | None:
    name = {65001: "utf-8", 10000: "mac_roman"}.get(number, f"cp{number}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def _levels(data: bytes) -> dict[int, int]:
    """Style number → level, of the styles that are headings by their outline level or their name."""
    found: dict[int, int] = {}
    for style in _styles().finditer(data):
        level = int(style["outline"]) + 1 if style["outline"] else int(style["heading"] or 1)
        found[int(style["style"])] = level
    return found


@cache
def _styles() -> re.Pattern[bytes]:
    return re.compile(
        rb"""\{\\s(?P<style>\d{1,5})(?!\d)[^{};]{0,2000}?
            (?:\\outlinelevel(?P<outline>[0-8])(?!\d)|\x20(?i:heading\x20(?P<heading>[1-9])|title);)
        """,
        re.VERBOSE,
    )


@cache
def _tokens() -> re.Pattern[bytes]:
    return re.compile(
        rb"""(?P<text>[^\\{}\r\n]++)
          | \\'(?P<hex>[0-9a-fA-F]{2})
          | \\(?P<word>[a-zA-Z]{1,32})(?P<value>-?\d{1,12})?\x20?
          | \\(?P<symbol>[^a-zA-Z])
          | (?P<open>\{)
          | (?P<close>\})
        """,
        re.VERBOSE | re.DOTALL,
    )
