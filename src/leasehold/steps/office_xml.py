"""XML of office files: walked as it is unpacked, never held as a tree.

Names are local ones, whatever the prefix: the same elements stand in several namespaces (transitional, strict, old
drafts), and none of the formats here uses one local name for two things that matter to a reader. Entities cannot be
declared: office files have none, and they are how a small file becomes a large one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from leasehold.steps.decoding import clean
from leasehold.types import StepError

Attributes = Mapping[str, str]
NAMES_MAX = 10_000
REMEDY = "Open and save it again with the program it came from."


class Walker:
    """What is told of each element and text, in order. Subclasses say what they do with it."""

    def start(self, name: str, attributes: Attributes) -> None:
        """An element begins; names are local, of attributes too."""

    def end(self, name: str) -> None:
        """An element ends."""

    def text(self, said: str) -> None:
        """Text between tags."""


def walk(pieces: Iterable[bytes], walker: Walker, *, part: str) -> None:
    """Tell *walker* what stands in the XML of *pieces*.

    Raises:
        StepError: `damaged`, with the part and the line; what *pieces* raises.
    """
    from xml.parsers import expat

    names = _LocalNames()

    def start(name: str, attributes: dict[str, str]) -> None:
        walker.start(
            names[name], {names[key]: value for key, value in attributes.items()} if attributes else attributes
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: walker.end(names[name])
    parser.CharacterDataHandler = walker.text
    parser.EntityDeclHandler = _refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise StepError("damaged", f"{part}: {error}", remedy=REMEDY) from None


class _LocalNames(dict[str, str]):
    """`p` of `w:p`, looked up once for each name."""

    def __missing__(self, name: str) -> str:
        local = name.rpartition(":")[2]
        if len(self) < NAMES_MAX:
            self[name] = local
        return local


def _refuse(*_: object) -> None:
    raise StepError("damaged", "it declares entities, which no office program does", remedy=REMEDY)


def said(text: str) -> str:
    """*text* on one line, as the database can hold it."""
    return " ".join(clean(text).split())


class Relations(Walker):
    """The relations of a part: id → target, and the targets by the last word of their type."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        self.by_type: dict[str, list[str]] = {}

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Relationship" and attributes.get("TargetMode") != "External":
            target = attributes.get("Target", "")
            self.targets[attributes.get("Id", "")] = target
            self.by_type.setdefault(attributes.get("Type", "").rpartition("/")[2], []).append(target)


class Properties(Walker):
    """The title among a document's properties."""

    def __init__(self) -> None:
        self.title = ""
        self._inside = False

    def start(self, name: str, attributes: Attributes) -> None:
        self._inside = name == "title" and not self.title

    def text(self, said: str) -> None:
        if self._inside:
            self.title += said

    def end(self, name: str) -> None:
        self._inside = False


def resolved(base: str, target: str) -> str:
    """The part that *target* means, seen from the part *base*."""
    path = target if target.startswith("/") else f"{base.rpartition('/')[0]}/{target}"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def beside(part: str) -> str:
    """Where the relations of *part* stand."""
    folder, _, name = part.rpartition("/")
    return f"{folder}/_rels/{name}.rels" if folder else f"_rels/{name}.rels"


def numbers_in(name: str) -> tuple[int, ...]:
    """For sorting: slide10 after slide9."""
    return tuple(int(digits) for digits in re.findall(r"\d{1,9}", name))
