"""Reading: from a file's bytes to blocks of text with their provenance.

One module per family of formats has a function `read(data, name, language) -> Parsed` and a `READER_VERSION`, a small
number that is raised whenever the same bytes would give other blocks. The version goes into recipe keys: raising it
re-reads the documents of that family and no others.

Every block is line-faithful (see `blocks`), which is what lets a search answer say file and line. A file without text
gives no blocks; that is no failure here. A damaged file raises `StepError("damaged")` with a remedy, and only JSON can
be damaged: every other reader has a simpler reading to fall back to, and says so in a note.

Not here: finding out the media type (`detection`), cutting to size (`chunking`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from leasehold.steps.detection import essence, language
from leasehold.types import Parsed, StepError

READERS = {
    "text/plain": "text",
    "text/markdown": "markdown",
    "text/html": "html",
    "text/csv": "tabular",
    "application/json": "json_text",
    "application/jsonl": "json_text",
    "text/x-source": "source",
}


def read(data: bytes, *, media_type: str, name: str) -> Parsed:
    """Read *data* as *media_type*.

    Args:
        name: the file's name, for readers that tell dialects apart by it; never opened.

    Raises:
        StepError: permanent; `damaged` when the content breaks its format, `no reader for the type` when
            `detection.readable` would have said so.
    """
    parsed: Parsed = _reader(media_type).read(data, media_type, name)
    return parsed


def reader_version(media_type: str) -> str:
    """Name and version of the reader of *media_type*, for recipe keys: `markdown/1`.

    The language of a source file is part of it, because it decides how the same bytes are read.
    """
    reader = _reader(media_type)
    version = f"{READERS[essence(media_type)]}/{reader.READER_VERSION}"
    return f"{version}/{language(media_type)}" if language(media_type) else version


def _reader(media_type: str) -> Any:
    module = READERS.get(essence(media_type))
    if module is None:
        raise StepError("no reader for the type", media_type, remedy="Convert the file to text, Markdown or HTML.")
    return import_module(f"leasehold.steps.{module}")
