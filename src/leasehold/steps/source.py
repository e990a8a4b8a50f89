"""Source code: blocks per definition, with the path of classes and functions as the heading.

Python is read by a scanner of its tokens that matter here (strings, comments, the first word of a line), not by `ast`:
half of the files in a real tree are for another version, a template, or being edited, and their functions should be
found all the same. Indentation alone says where a definition ends. Languages with braces are read by one rule: a
definition that starts in the first column ends at the next `}` in the first column. All others are plain text.

Blocks are slices of the file: nothing is dropped and lines are exact, also where a heading is wrong, which is the worst
a syntax error can do.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise

from leasehold.steps.blocks import TOO_FINE, short_heading, too_fine
from leasehold.steps.decoding import decode
from leasehold.steps.detection import language
from leasehold.steps.text import whole
from leasehold.types import Block, Parsed

READER_VERSION = 1

BRACES = frozenset(
    {"javascript", "typescript", "cpp", "rust", "go", "java", "kotlin", "scala", "swift", "csharp", "php", "dart",
     "groovy", "zig", "d", "solidity", "proto", "graphql", "terraform", "thrift"}
)  # fmt: skip

Cut = tuple[int, tuple[str, ...]]
"""Where a block starts, and its heading."""


def read(data: bytes, media_type: str, name: str) -> Parsed:
    text, notes = decode(data)
    of = language(media_type)
    cuts = _python_cuts(text) if of == "python" else _brace_cuts(text) if of in BRACES else []
    if too_fine(len(cuts), cuts[-1][0] if cuts else 0):
        return Parsed(whole(text), notes=(*notes, TOO_FINE))
    return Parsed(_blocks(text, cuts) if cuts else whole(text), notes=notes)


def _blocks(text: str, cuts: list[Cut]) -> tuple[Block, ...]:
    """The slices of *text* between *cuts*, each without the blank lines around it."""
    blocks = []
    line, counted = 1, 0
    for (start, heading), (end, _) in pairwise([(0, ()), *cuts, (len(text), ())]):
        piece = text[start:end].rstrip()
        if piece and not piece.isspace():
            blank = len(piece) - len(piece.lstrip())
            skipped = piece.rfind("\n", 0, blank) + 1
            line += text.count("\n", counted, start + skipped)
            counted = start + skipped
            blocks.append(Block(piece[skipped:], line, heading))
    return tuple(blocks)


def _python_cuts(text: str) -> list[Cut]:
    """Where functions and methods start and end. A function inside a function stays part of it."""
    cuts: list[Cut] = []
    stack: list[tuple[int, str]] = []
    decorated: tuple[int, int] | None = None  # where the decorators above the next definition start, and their indent
    in_function = False
    for found in _python().finditer("\n" + text):
        if found["indent"] is None:
            continue
        start, indent = found.start(), len(found["indent"])
        if in_function and indent > stack[-1][0]:
            continue
        popped = False
        while stack and stack[-1][0] >= indent:
            stack.pop()
            in_function, popped = False, True
        if found["at"]:
            decorated = decorated or (start, indent)
        elif found["name"]:
            if decorated and decorated[1] == indent:
                start = decorated[0]
            stack.append((indent, found["name"]))
            in_function = found["kind"] != "class"
            if cuts and cuts[-1][0] >= start:
                cuts.pop()
            cuts.append((start, _path(stack)))
            decorated = None
            if too_fine(len(cuts), start):
                break
            continue
        elif decorated and decorated[1] >= indent:
            decorated = None
        if popped:
            cuts.append((start, _path(stack)))
    return cuts


def _path(stack: list[tuple[int, str]]) -> tuple[str, ...]:
    return tuple(name for _, name in stack)


def _brace_cuts(text: str) -> list[Cut]:
    cuts: list[Cut] = []
    for found in _braces().finditer(text):
        if found["name"]:
            cuts.append((found.start(), (short_heading(found["name"]),)))
        elif cuts and cuts[-1][1]:
            cuts.append((found.end(), ()))
    return cuts


@cache
def _python() -> re.Pattern[str]:
    """Begins with one of four characters in every branch: that is what lets the engine skip the rest quickly.

    Repeats are possessive, so that no input can make it try again; an unclosed string runs to the end of the file.
    """
    return re.compile(
        r"""\#[^\n]*+
          | \"{3}[^"\\]*+(?:(?:\\.|"(?!""))[^"\\]*+)*+(?:\"{3}|\Z)
          | '{3}[^'\\]*+(?:(?:\\.|'(?!''))[^'\\]*+)*+(?:'{3}|\Z)
          | "[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?
          | '[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?
          | \n(?P<indent>[ \t\f]*+)
            (?:(?P<kind>(?:async[ \t]++)?def|class)[ \t]++(?P<name>\w++)|(?P<at>@)|(?=[^\s\#)\]}]))
        """,
        re.VERBOSE | re.DOTALL,
    )


@cache
def _braces() -> re.Pattern[str]:
    return re.compile(
        r"""^(?:
            (?:(?:export|default|declare|pub(?:\([^)\n]*\))?|public|private|protected|internal|abstract|final|sealed
               |static|async|unsafe|const|inline|extern|open|data|partial|typedef)[ \t]+)*
            (?:function\*?|class|interface|enum|struct|trait|impl(?:<[^>\n]*>)?|fn|func|fun|def|object|record|module|mod
               |namespace|type|union|protocol|extension|message|service|resource|contract|library)
            (?:[ \t]+\([^)\n]*\))?[ \t]+"?(?P<name>[\w$][\w$.:]*)
          | \}
        )""",
        re.MULTILINE | re.VERBOSE,
    )
