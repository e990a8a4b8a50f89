"""Readers: who reads which media type, what it needs, and whether that is there.

A reader is bytes in, blocks with provenance out. Ours are one module of this package per family of formats, with a
function `read(data, media_type, name) -> Parsed` and a `READER_VERSION`; the table `BUILT_IN` says which types they
take. Others plug in by an entry point of the group `leasehold.readers` whose object is a `Reader`; it comes before ours
for the types it names.

Readers run in a sandbox: a process of their own with limits, where a crash costs one document. Only readers that say
`in_process` run in the worker: ours for plain texts, which are short scanners in Python, linear in time and memory, and
so fast that a way to another process and back would cost more than the reading.

A reader whose packages are missing is known all the same: its files are skipped with what to install, and are read by
the first ingest after that. Its recipe names are the same with and without its packages, so a host that lacks them
takes nothing away of what another one has stored.

Not here: calling a reader (`reading`), finding out the type (`detection`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from leasehold.errors import LeaseholdError
from leasehold.steps import media
from leasehold.steps.detection import essence
from leasehold.types import Parsed

GROUP = "leasehold.readers"
OURS = "leasehold"
"""The `source` of the readers that come with this package."""


class ReaderUnusable(LeaseholdError):
    """An installed reader plug-in cannot be used."""

    code, exit_code = "reader_unusable", 2
    remedy = "Mend or uninstall the package that brings it; `leasehold readers` says what is wrong with it."


@dataclass(frozen=True, slots=True)
class Need:
    """A package that a reader imports: the module's name, and what pip is told to get it."""

    module: str
    install: str

    @property
    def there(self) -> bool:
        return _importable(self.module)


@runtime_checkable
class Reader(Protocol):
    """What a reader is. `version` rises whenever the same bytes would give other blocks: it is part of the recipe.

    Optional: `extensions`, a mapping from a file name's ending to the media type, for types that `detection` does not
    know; `needs`, a tuple of `Need`; `in_process`, true for a reader that needs what a sandbox has not (the network,
    files, other programs) and is trusted with the worker's process.
    """

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def media_types(self) -> tuple[str, ...]: ...

    def read(self, data: bytes, media_type: str, name: str) -> Parsed:
        """Blocks of *data*, the same for the same bytes everywhere; time and memory linear in it.

        Raises:
            StepError: permanent, with a reason from the page of formats and a remedy.
        """
        ...


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A reader of ours; its module is imported when its version is asked for, heavy packages only when it reads."""

    name: str
    media_types: tuple[str, ...]
    what: str
    needs: tuple[Need, ...] = ()
    container: bool = False
    """Whether documents inside are read by their own readers: then the recipe names all of them."""
    in_process: bool = False

    @property
    def version(self) -> int:
        return int(self._module().READER_VERSION)

    def read(self, data: bytes, media_type: str, name: str) -> Parsed:
        parsed: Parsed = self._module().read(data, media_type, name)
        return parsed

    def _module(self) -> Any:
        return import_module(f"leasehold.steps.{self.name}")


@dataclass(frozen=True, slots=True)
class Known:
    """A reader as `leasehold readers` lists it. `broken` says why a plug-in cannot be used."""

    reader: Any
    name: str
    source: str
    media_types: tuple[str, ...]
    needs: tuple[Need, ...] = ()
    what: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)
    container: bool = False
    in_process: bool = False
    broken: str = ""

    @property
    def missing(self) -> tuple[Need, ...]:
        return tuple(need for need in self.needs if not need.there)


DOCS = "leasehold[docs]"

BUILT_IN = (
    BuiltIn("text", ("text/plain",), "plain text in any encoding", in_process=True),
    BuiltIn("markdown", ("text/markdown",), "Markdown", in_process=True),
    BuiltIn("html", ("text/html",), "web pages"),
    BuiltIn("tabular", ("text/csv",), "CSV, TSV", in_process=True),
    BuiltIn("json_text", ("application/json", "application/jsonl"), "JSON, JSON lines", in_process=True),
    BuiltIn("source", ("text/x-source",), "source code, settings, mark-up", in_process=True),
    BuiltIn("word", (media.DOCX,), "Word documents (DOCX)"),
    BuiltIn("slides", (media.PPTX,), "presentations (PPTX)"),
    BuiltIn("opendocument", (media.ODT, media.ODP), "OpenDocument texts and presentations"),
    BuiltIn("sheets", (media.XLSX, media.ODS), "workbooks (XLSX, ODS)"),
    BuiltIn("sheets", (media.XLS, media.XLSB), "binary workbooks (XLS, XLSB)", (Need("python_calamine", DOCS),)),
    BuiltIn("ole", (media.ENCRYPTED_OFFICE,), "office files with a password, to say so"),
    BuiltIn("rtf", (media.RTF,), "RTF"),
    BuiltIn("mail", (media.EML, media.MBOX), "mail and mailboxes, attachments by their own readers", container=True),
    BuiltIn("notebook", (media.NOTEBOOK,), "Jupyter notebooks"),
    BuiltIn("chats", (media.CHAT,), "chat exports in JSON"),
    BuiltIn("archives", media.ARCHIVES, "archives and packed files, members by their own readers", container=True),
    BuiltIn("epub", (media.EPUB,), "books (EPUB)"),
    BuiltIn("pdf", (media.PDF,), "PDF with a text layer", (Need("pypdfium2", DOCS),)),
)


@cache
def known() -> tuple[Known, ...]:
    """Every reader, plug-ins first."""
    ours = [
        Known(one, one.name, OURS, one.media_types, one.needs, one.what, {}, one.container, one.in_process)
        for one in BUILT_IN
    ]
    return (*_plugged_in(), *ours)


def _plugged_in() -> list[Known]:
    from importlib.metadata import entry_points

    return [_loaded(point) for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]


def _loaded(point: Any) -> Known:
    source = f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
    try:
        return _checked(point.load(), source)
    except Exception as error:  # whatever a stranger's module does when it is imported
        return Known(None, point.name, source, (), broken=f"{type(error).__name__}: {error}")


def _checked(reader: Any, source: str) -> Known:
    if not isinstance(reader, Reader) or isinstance(reader, type):
        raise TypeError("it is no reader object: it needs name, version, media_types and read")
    types = tuple(reader.media_types)
    if not types or not all(isinstance(one, str) and "/" in one for one in types):
        raise TypeError(f"media_types must be strings like text/plain, not {types!r}")
    int(reader.version)
    endings = {str(k).lower().lstrip("."): str(v) for k, v in dict(getattr(reader, "extensions", {})).items()}
    return Known(reader, str(reader.name), source, types, tuple(getattr(reader, "needs", ())), "", endings,
                 in_process=bool(getattr(reader, "in_process", False)))  # fmt: skip


@cache
def _by_type() -> dict[str, Known]:
    found: dict[str, Known] = {}
    for one in known():
        if one.broken:
            raise ReaderUnusable(f"The reader {one.name} of {one.source} cannot be used: {one.broken}")
        for media_type in one.media_types:
            found.setdefault(essence(media_type), one)
    return found


def find(media_type: str) -> Known | None:
    """Who reads *media_type*, whether or not what it needs is there.

    Raises:
        ReaderUnusable: a plug-in is broken. Loud, because without it its files would silently be read otherwise.
    """
    return _by_type().get(essence(media_type))


def readable(media_type: str) -> bool:
    """Whether there is a reader for *media_type* and it has what it needs."""
    found = find(media_type)
    return found is not None and not found.missing


def missing(media_type: str) -> str:
    """What pip must be told to install before *media_type* can be read; nothing when that is not what is missing."""
    found = find(media_type)
    return " ".join(dict.fromkeys(need.install for need in found.missing)) if found else ""


def to_install(what: str) -> str:
    """The command that installs *what*."""
    return f"pip install {' '.join(repr(one) if '[' in one else one for one in what.split())}"


@cache
def extensions() -> dict[str, str]:
    """File name endings that plug-ins bring, with their media types."""
    return {ending: of for one in reversed(known()) for ending, of in one.extensions.items()}


def version(media_type: str) -> str:
    """Name and version of the reader of *media_type*, for recipes: `markdown/1`. A container's also names all readers
    that are there, because they decide what is read inside it."""
    found = find(media_type)
    if found is None:
        raise KeyError(media_type)
    named = f"{found.name}/{found.reader.version}"
    return f"{named}/{_inside()}" if found.container else named


@cache
def _inside() -> str:
    import hashlib

    names = sorted(f"{one.name}/{one.reader.version}" for one in _by_type().values() if not one.missing)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


@cache
def _importable(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
