"""Readings: from an item's file to its parsed document, by a reader in a sandbox, or here where it is trusted.

Who is trusted is the reader's word (`readers`): ours for plain texts. They are linear scanners in Python and take 0.1
ms of CPU time for a file of 2 kB; in the sandbox it is 0.35 ms. A large one goes there all the same, where its memory
is counted by itself. Everything else (pdfium, calamine, zip and XML, mail, every plug-in) is read in a sandbox. What
kills it there is the document's own verdict at once: no attempts, and no suspicion of neighbours.

A PDF of more than `split_pages` pages is read in parts of so many, several at a time, each in a child of its own with
its own limits; the parts lie in a file without a name until they are put together in their order. One part that fails
fails the document, and says which pages.

What a collection has docling read goes to docling-serve, from here: it takes the network, and no time of ours.

Not here: what a reader does (`steps`), processes (`sandbox`), recipes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from leasehold.artifacts import coding
from leasehold.documents.reading_child import is_empty
from leasehold.documents.rows import ItemRow
from leasehold.documents.skips import CHANGED, NO_TEXT, Unread
from leasehold.errors import UsageError
from leasehold.options import DoclingOptions, ReaderOptions
from leasehold.sandbox.calling import Died, Limits, Sandbox, SandboxFailed
from leasehold.sources.folder import Stat, Vanished, open_file, read_file
from leasehold.steps import readers
from leasehold.steps.detection import detect
from leasehold.steps.docling import Docling, open_docling
from leasehold.steps.reading import read
from leasehold.types import ErrorClass, Parsed, Skip, StepError

HERE_BYTES_MAX = 1 << 20
"""A larger text is read in the sandbox, whoever reads it."""
LOOK_BYTES_MAX = 32 << 20
"""A larger file is looked at in the sandbox: a worker looks at several files at a time, and holds them."""
NOT_HERE_S = 30.0
"""A step waits this long for another worker when this one knows no docling server."""
NO_DOCLING = DoclingOptions()
SERVE = "leasehold.documents.reading_child:serve"

Said = tuple[dict[str, Any], bytes | bytearray]
"""An answer of a child, and its body."""
GoesOn = Callable[[], None]
"""Called when a long reading has come a step further: its time starts again."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of a file without reading it: its digest and type (empty: it has no bytes), and its stat."""

    sha256: bytes
    media_type: str
    stat: Stat


class Readings:
    """Looks at files and reads them, within the limits of *options*. Serves all threads of a process.

    Args:
        step_timeout_s: when the step itself is given up; a reading is ended a little sooner, so that it is the
            document's own end.
    """

    def __init__(self, options: ReaderOptions, docling: DoclingOptions = NO_DOCLING, *, step_timeout_s: float) -> None:
        self._options = options
        self._docling_options = docling
        self._docling: Docling | None = None
        time_s = min(options.timeout_s, step_timeout_s * 0.9)
        limits = Limits(memory_max_bytes=options.memory_mb * 1_000_000, cpu_s=options.cpu_s, time_s=time_s,
                        calls_max=options.recycle_after)  # fmt: skip
        self._sandbox = _sandbox(limits)
        self._at_once = options.parts_at_once or cores()

    def look(self, item: ItemRow) -> Looked:
        """Digest and type of *item*'s file.

        Raises:
            Vanished: it is not there any more.
            StepError: it cannot be opened, or looking at it broke what looked.
        """
        file, stat = open_file(item.root, item.path, max_bytes=item.max_bytes)
        with _closing(file):
            if stat.size > LOOK_BYTES_MAX:
                answer, _ = self._call({"do": "look", **_of(item, stat)}, file, "the look at its type")
                return Looked(bytes.fromhex(answer["look"]["sha256"]), answer["look"]["media_type"], stat)
            data = read_file(file, stat.size, max_bytes=item.max_bytes)
        return Looked(hashlib.sha256(data).digest(), detect(item.name, data) if data else "", stat)

    def parse(self, item: ItemRow, goes_on: GoesOn) -> bytes | bytearray | Skip:
        """The parsed document of *item* as it is saved, or why there is none.

        Raises:
            StepError: the file is damaged, or broke its reader.
        """
        reader = readers.find(item.media_type or "")
        by = item.parameters.docling if item.parameters.by_docling(item.media_type or "") else None
        try:
            file, stat = open_file(item.root, item.path, max_bytes=item.max_bytes)
        except Vanished as vanished:
            return Unread(vanished.reason, vanished.detail, item, settled=False)
        with _closing(file):
            if by is not None:
                data = read_file(file, stat.size, max_bytes=item.max_bytes)
                return _saved(item, data, lambda: self._opened().read(
                    data, item.media_type or "", ocr=by.ocr, goes_on=goes_on))  # fmt: skip
            if reader is None or reader.missing or _trusted(reader, stat.size):
                return _here(item, read_file(file, stat.size, max_bytes=item.max_bytes))
            return self._there(item, stat, file, reader.name, goes_on)

    def _opened(self) -> Docling:
        """The client of docling-serve. Raises StepError: this process knows no server; another one may."""
        if self._docling is None:
            try:
                self._docling = open_docling(self._docling_options)
            except UsageError as error:
                raise StepError("docling is not available here", error.message, remedy=error.remedy,
                                error_class=ErrorClass.RESOURCE, retry_after_s=NOT_HERE_S) from error  # fmt: skip
        return self._docling

    def close(self) -> None:
        """End the processes and connections; the next call opens new ones."""
        self._sandbox.close()
        if self._docling is not None:
            self._docling.close()

    # -- in the sandbox -----------------------------------------------------------------------------------------------

    def _there(self, item: ItemRow, stat: Stat, file: int, reader: str, goes_on: GoesOn) -> bytes | bytearray | Skip:
        assert item.sha256 is not None
        request = {**_of(item, stat), "sha256": item.sha256.hex(), "media_type": item.media_type}
        answer, body = self._call({"do": "read", **request, "split_pages": self._options.split_pages}, file, reader)
        if "split" in answer:
            try:
                answer, body = self._in_parts(answer["split"], file, reader, goes_on)
            except StepError:
                if self._is_same(request, file, reader):
                    raise
                return _changed(item)  # what was found in an edited file, damage included, is true of none
            if not self._is_same(request, file, reader):
                return _changed(item)
        if "changed" in answer:
            return _changed(item)
        return _no_text(item, answer["read"]["notes"]) if answer["read"]["empty"] else body

    def _in_parts(self, front: dict[str, Any], file: int, reader: str, goes_on: GoesOn) -> Said:
        def part(first: int, end: int) -> Said:
            asked = {"do": "part", "first": first, "end": end}
            return self._call(asked, file, reader, f"pages {first + 1} to {end}: ")

        tallies, sizes = [], []
        ranges = parts_of(front["pages"], self._options.split_pages)
        with tempfile.TemporaryFile(prefix="leasehold-parts-") as parts:
            for answer, body in _side_by_side(part, ranges, self._at_once):
                goes_on()
                tallies.append(answer["part"])
                sizes.append(len(body))
                parts.write(body)
            parts.flush()
            told = {"do": "join", "front": front, "tallies": tallies, "sizes": sizes}
            return self._call(told, parts.fileno(), reader)

    def _is_same(self, request: dict[str, Any], file: int, reader: str) -> bool:
        """Whether the open file still has the content that was looked at."""
        return "same" in self._call({**request, "do": "check"}, file, reader)[0]

    def _call(self, request: dict[str, Any], file: int, reader: str, where: str = "") -> Said:
        """An answer. Raises StepError: the reader's own, or what its death means."""
        try:
            answer, body = self._sandbox.call(request, [file])
        except Died as died:
            raise _verdict(died, reader, where) from died
        except SandboxFailed as error:
            raise StepError("no process to read in", error.message, error_class=ErrorClass.TRANSIENT,
                            remedy=error.remedy) from error  # fmt: skip
        if "error" in answer:
            raise _error(answer["error"], where)
        return answer, body


def _side_by_side(part: Callable[[int, int], Said], ranges: Sequence[tuple[int, int]], at_once: int) -> Iterator[Said]:
    """The parts in order, *at_once* of them under way or not yet asked for. None is begun after one has failed."""
    with ThreadPoolExecutor(at_once, "leasehold-part") as threads:
        under_way: deque[Future[Said]] = deque()
        try:
            for one in ranges:
                if len(under_way) == at_once:
                    yield under_way.popleft().result()
                under_way.append(threads.submit(part, *one))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for left in under_way:
                left.cancel()


def parts_of(pages: int, most: int) -> list[tuple[int, int]]:
    """Ranges of at most *most* pages, all about equally long: (first, end), from 0."""
    count = -(-pages // most)
    return [(pages * at // count, pages * (at + 1) // count) for at in range(count)]


# -- here -------------------------------------------------------------------------------------------------------------


def _trusted(reader: readers.Known, size: int) -> bool:
    return reader.in_process and (size <= HERE_BYTES_MAX or reader.source != readers.OURS)


def _here(item: ItemRow, data: bytes) -> bytes | Skip:
    return _saved(item, data, lambda: read(data, media_type=item.media_type or "", name=item.name))


def _saved(item: ItemRow, data: bytes, reads: Callable[[], Parsed]) -> bytes | Skip:
    if hashlib.sha256(data).digest() != item.sha256:
        return _changed(item)
    parsed = reads()
    return _no_text(item, list(parsed.notes)) if is_empty(parsed.blocks) else coding.parsed_to_bytes(parsed)


def _changed(item: ItemRow) -> Skip:
    return Unread(CHANGED, "the next ingest reads it again", item, item.media_type, settled=False)


def _no_text(item: ItemRow, notes: list[str]) -> Skip:
    return Unread(NO_TEXT, "; ".join(notes) or item.media_type or "", item, item.media_type)


# -- what a death means -----------------------------------------------------------------------------------------------

LEAVE_OUT = "or leave the file out (--exclude)."
_VERDICTS = {
    "memory": ("over its memory", f"Raise readers.memory_mb, {LEAVE_OUT}"),
    "cpu": ("over its time", f"Raise readers.cpu_s if it is worth it, {LEAVE_OUT}"),
    "time": ("over its time", "Retry it when the machine is less busy (leasehold retry --failed), raise"
             f" readers.timeout_s, {LEAVE_OUT}"),
    "crashed": ("reader crashed", f"Save it again with the program it came from, {LEAVE_OUT}"),
    "raised": ("reader failed", "Please report it, with the file if you may."),
}  # fmt: skip


def _verdict(died: Died, reader: str, where: str) -> StepError:
    if died.how == "killed":
        detail = f"{where}{reader}: {died.detail}, most probably because the machine ran out of memory"
        remedy = "Use fewer workers, or a machine with more memory."
        return StepError("reader killed", detail, error_class=ErrorClass.TRANSIENT, remedy=remedy)
    reason, remedy = _VERDICTS[died.how]
    return StepError(reason, f"{where}{reader}: {died.detail}", error_class=ErrorClass.POISON, remedy=remedy)


def _error(said: dict[str, str], where: str) -> StepError:
    detail, error_class = where + said["detail"], ErrorClass(said["error_class"])
    return StepError(said["reason"], detail, error_class=error_class, remedy=said["remedy"])


def _of(item: ItemRow, stat: Stat) -> dict[str, Any]:
    return {"name": item.name, "size": stat.size, "max_bytes": item.max_bytes}


@contextmanager
def _closing(file: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(file)


# -- one sandbox for a process ----------------------------------------------------------------------------------------

_making = threading.Lock()


def _sandbox(limits: Limits) -> Sandbox:
    """The sandbox of this process with these limits."""
    with _making:
        return _made(SERVE, limits)


@cache
def _made(serve: str, limits: Limits) -> Sandbox:
    modules = [f"leasehold.steps.{one.name}" for one in readers.BUILT_IN]
    needed = [need.module for one in readers.BUILT_IN for need in one.needs if need.there]
    return Sandbox(serve, limits, [serve.partition(":")[0], *dict.fromkeys((*modules, *needed)), *LATE])


def held() -> frozenset[str]:
    """The fences that a sandbox has on this machine, as a child tells them (see `sandbox.fences`)."""
    sandbox = Sandbox(SERVE, Limits(memory_max_bytes=1 << 30))
    try:
        sandbox.call({"do": "nothing"})
    finally:
        sandbox.close()
    return frozenset(sandbox.held)


LATE = ("xml.etree.ElementTree", "xml.parsers.expat", "email", "zipfile", "tarfile", "html.parser", "encodings.idna")
"""What readers import when they read."""


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
