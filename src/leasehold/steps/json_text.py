"""JSON and JSON lines: what the values say, at the lines where they say it.

Mark-up is taken away (quotes, braces, escapes) and the rest stays where it is: `"name": "Ada"` on line 7 becomes
`name: Ada` on line 7. Records of an array become blocks, and a member of the outermost object that holds more than one
value gives its name as heading. A file with several values one after another is JSON lines, whatever it is called.

The scanner keeps its own stack and looks at each character once, so neither depth nor size can hurt; loading the
values first would take many times the file's memory and loses the lines. It forgives comments and trailing commas,
which settings files are full of. Anything else wrong is damage: for one value the file fails with the line; in JSON
lines the damaged line is kept as it stands, with a note, because a log that was cut off is still a log.
"""

from __future__ import annotations

import json
import re
from functools import cache

from leasehold.steps.blocks import BlockBuilder, short_heading
from leasehold.steps.decoding import clean, decode
from leasehold.types import Parsed, StepError

READER_VERSION = 1

VALUE, KEY, COLON, COMMA, NOTHING = range(5)
"""What the scanner waits for; VALUE and KEY also take the end of their array or object."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    if not text or text.isspace():
        return Parsed((), notes=notes)
    if media_type.startswith("application/jsonl") or _is_json_lines(text):
        return _read_lines(text, notes)
    try:
        builder = BlockBuilder()
        _Scanner(builder).scan(text, 1)
        builder.end()
    except _Damaged as damage:
        raise StepError(
            "damaged", f"not JSON at line {damage.line}: {damage}", remedy="Correct the file, or name it .txt."
        ) from None
    return Parsed(tuple(builder.blocks), notes=notes)


def _read_lines(text: str, notes: tuple[str, ...]) -> Parsed:
    builder = BlockBuilder()
    damaged = 0
    for line, found in enumerate(re.finditer(r"[^\n]*\n|[^\n]+", text), 1):
        record = found.group().strip()
        if not record:
            continue
        single = BlockBuilder()
        try:
            _Scanner(single, divided=False).scan(record, line)
            builder.add(single.text().replace("\n", " "), line)
        except _Damaged:
            damaged += 1
            builder.add(record, line)
        builder.flush()
    builder.end()
    if damaged:
        notes = (*notes, f"{damaged} lines are not JSON and were read as text")
    return Parsed(tuple(builder.blocks), notes=notes)


def _is_json_lines(text: str) -> bool:
    """Whether the first of several lines is one whole value: then the file is JSON lines under another name."""
    first, _, rest = text.lstrip().partition("\n")
    if not rest.strip():
        return False
    try:
        _Scanner(BlockBuilder(), divided=False).scan(first, 1)
    except _Damaged:
        return False
    return True


class _Damaged(Exception):
    """Not JSON."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


class _Scanner:
    """One pass over the tokens of one value; writes what they say to the builder."""

    def __init__(self, builder: BlockBuilder, *, divided: bool = True) -> None:
        self.builder = builder
        self.divided = divided
        self.stack: list[str] = []
        self.wait = VALUE
        self.key: tuple[str, int] | None = None
        self.records = -1  # the depth whose elements are blocks
        self.line = 1
        self.complete = False  # a value was read to its end; on a new line another one may follow
        self._between = ""

    def scan(self, text: str, line: int) -> None:
        self.line = line
        for found in _token().finditer(text):
            kind = found.lastgroup
            if kind == "newline":
                self._newline(found.group())
            elif kind == "string":
                self._string(found.group())
            elif kind == "word":
                self._scalar(found.group())
            elif kind == "mark":
                self._mark(found.group())
            elif kind == "comment":
                self._say(found.group())
                self.line += found.group().count("\n")
            else:
                raise self._damage(f"unexpected {found.group()[:20]!r}")
        if self.wait != NOTHING and (self.stack or not self.complete):
            raise self._damage("it ends too early")

    def _newline(self, blanks: str) -> None:
        self.line += blanks.count("\n")
        if self.wait == NOTHING and self.divided:
            self.builder.flush()
            self.wait, self.complete, self.records = VALUE, True, -1

    def _damage(self, what: str) -> _Damaged:
        return _Damaged(what, self.line)

    def _string(self, token: str) -> None:
        said = token[1:-1] if "\\" not in token else _unescaped(token)
        if said is None:
            raise self._damage("a string with an escape that does not exist")
        if self.wait == KEY:
            self.key = (said, self.line)
            self.wait = COLON
        else:
            self._scalar(said)

    def _scalar(self, said: str) -> None:
        if self.wait != VALUE:
            raise self._damage(f"unexpected {said[:20]!r}")
        self._say_key()
        self._say(said)
        self._after_value()

    def _mark(self, mark: str) -> None:
        if mark in "[{":
            self._open(mark)
        elif mark in "]}":
            self._close(mark)
        elif mark == ":" and self.wait == COLON:
            self.wait = VALUE
        elif mark == "," and self.wait == COMMA:
            self.wait = KEY if self.stack[-1] == "{" else VALUE
        else:
            raise self._damage(f"unexpected {mark!r}")

    def _open(self, mark: str) -> None:
        if self.wait != VALUE:
            raise self._damage(f"unexpected {mark!r}")
        depth = len(self.stack)
        if self.divided and depth == 1 and self.key is not None:
            self.builder.under((short_heading(self.key[0]),) if self.key[0].strip() else ())
            self.records = 2 if mark == "[" else -1
        elif self.divided and depth == 0 and mark == "[":
            self.records = 1
        self._say_key()
        self.stack.append(mark)
        self.wait = KEY if mark == "{" else VALUE

    def _close(self, mark: str) -> None:
        wanted = {"]": "[", "}": "{"}[mark]
        inside = self.wait == COMMA or (self.wait == VALUE and self.key is None) or self.wait == KEY
        if not self.stack or self.stack[-1] != wanted or not inside:
            raise self._damage(f"unexpected {mark!r}")
        self.stack.pop()
        depth = len(self.stack)
        if depth == self.records:
            self.builder.flush()
        elif depth == 1 and self.divided and self.builder.heading:
            self.builder.under(())
            self.records = -1
        self._after_value()

    def _after_value(self) -> None:
        self.key = None
        self.wait = COMMA if self.stack else NOTHING

    def _say_key(self) -> None:
        if self.key is not None:
            self._say(f"{self.key[0]}:", self.key[1])
            self._between = " "
            self.key = None

    def _say(self, said: str, line: int = 0) -> None:
        self.builder.add(said, line or self.line, self._between)
        self._between = ", "


def _unescaped(token: str) -> str | None:
    """What a string token says, on one line, as PostgreSQL can hold it."""
    try:
        said = json.loads(token, strict=False)
    except ValueError:
        return None
    return clean(said).replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


@cache
def _token() -> re.Pattern[str]:
    """Every character but blanks belongs to some token; what fits nothing else is `wrong`."""
    return re.compile(
        r"""(?P<newline>\n\s*+)
          | (?P<string>"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+")
          | (?P<mark>[\[\]{},:])
          | (?P<word>-?\d[\d.eE+-]*+(?!\w)|true\b|false\b|null\b|NaN\b|-?Infinity\b)
          | (?P<comment>//[^\n]*+|/\*(?s:.*?)\*/)
          | (?P<wrong>[^ \t\f\v])
        """,
        re.VERBOSE,
    )
