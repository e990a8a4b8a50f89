"""Recipes: names for results, by everything that decides them. Equal recipe, equal result: it need not be made again.

A recipe is the digest of the step, its version, the parameters it reads, the model, and the recipe of its input. So a
changed chunk size gives chunks, vectors and what follows new recipes, and leaves the parsed text alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from leasehold.options import ChunkOptions, DoclingOptions
from leasehold.steps import readers
from leasehold.steps.chunking import CHUNKER_VERSION
from leasehold.steps.detection import essence
from leasehold.steps.docling import DOCLING_VERSION, MEDIA_TYPES
from leasehold.steps.reading import reader_version


def digest(*parts: object) -> bytes:
    """SHA-256 over *parts*, each with its length, so that no two different lists of parts collide."""
    state = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        state.update(len(data).to_bytes(8, "big"))
        state.update(data)
    return state.digest()


@dataclass(frozen=True, slots=True)
class ByDocling:
    """Which media types docling reads instead of our own readers, and whether with OCR."""

    media_types: tuple[str, ...]
    ocr: bool = True

    @classmethod
    def of(cls, options: DoclingOptions) -> ByDocling | None:
        """What *options* ask for; None where they name no server, or nothing for it to read."""
        types = tuple(sorted({MEDIA_TYPES[name] for name in options.types}))
        return cls(types, options.ocr) if options.urls and types else None


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a collection that shape its results."""

    chunk: ChunkOptions
    embedder: str = "hashing"
    embedder_version: str = "1"
    dimensions: int = 384
    docling: ByDocling | None = None
    place: str = field(default="", compare=False)
    """Where the collection's model was last found: an address or a folder. No part of what results are called."""

    @property
    def mark(self) -> str:
        """A short name for exactly these parameters; each run carries that of the parameters it was started under."""
        return _mark(self)

    def as_json(self) -> dict[str, Any]:
        return {
            "chunk": asdict(self.chunk),
            "embedder": self.embedder,
            "embedder_version": self.embedder_version,
            "dimensions": self.dimensions,
            **({"docling": asdict(self.docling)} if self.docling else {}),
            **({"place": self.place} if self.place else {}),
        }

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Parameters:
        by = body.get("docling")
        docling = ByDocling(tuple(by["media_types"]), by["ocr"]) if by else None
        return cls(ChunkOptions(**body["chunk"]), body["embedder"], body["embedder_version"], body["dimensions"],
                   docling, body.get("place", ""))  # fmt: skip

    def by_docling(self, media_type: str) -> bool:
        """Whether docling reads files of *media_type*. What is inside a container is read by our own readers."""
        return self.docling is not None and essence(media_type) in self.docling.media_types


@lru_cache(maxsize=64)
def _mark(parameters: Parameters) -> str:
    body = parameters.as_json()
    body.pop("place", None)
    return digest(json.dumps(body, sort_keys=True)).hex()[:16]


@dataclass(frozen=True, slots=True)
class Recipes:
    """The recipes of one document under some parameters."""

    parse: bytes
    chunk: bytes
    embed: bytes


@lru_cache(maxsize=4096)
def recipes(sha256: bytes, media_type: str, parameters: Parameters) -> Recipes:
    """What each step's result is called for this content. Needs no result of an earlier step."""
    parse = digest("parse", sha256, media_type, _reader(media_type, parameters))
    chunk = digest("chunk", parse, CHUNKER_VERSION, parameters.chunk.size, parameters.chunk.overlap)
    embed = digest("embed", chunk, parameters.embedder, parameters.embedder_version, parameters.dimensions)
    return Recipes(parse, chunk, embed)


def _reader(media_type: str, parameters: Parameters) -> str:
    if parameters.docling is not None and parameters.by_docling(media_type):
        return f"docling/{DOCLING_VERSION}/{'ocr' if parameters.docling.ocr else 'text'}"
    return reader_version(media_type)


@lru_cache(maxsize=1024)
def pipeline(media_type: str, parameters: Parameters) -> bytes:
    """The way from bytes of *media_type* to stored chunks; an item whose pipeline is another must go it again."""
    if readers.find(media_type) is None and not parameters.by_docling(media_type):
        return unread(media_type)
    return recipes(b"", media_type, parameters).embed


def unread(media_type: str) -> bytes:
    """The pipeline of an item that no reader was there for; it ends when one is."""
    return digest("no reader", media_type)


def pipelines(media_types: Iterable[str], parameters: Parameters) -> list[bytes]:
    """The current ones. Where a reader lacks its packages, to have skipped its files for that is current too."""
    types = list(media_types)
    lacking = [unread(one) for one in types if readers.missing(one) and not parameters.by_docling(one)]
    return [pipeline(media_type, parameters) for media_type in types] + lacking
