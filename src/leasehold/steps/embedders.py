"""Embedders: what every one of them is, how it is named, and which one a name means.

`hashing`       counts words, offline, the same everywhere             (`embedding`)
`openai:MODEL`  a model behind an address that speaks OpenAI's dialect (`remote_embedding`)
`local:FOLDER`  a sentence model in a folder of this machine            (`local_embedding`)

A name with its version and width is the identity of a vector: two vectors may be compared when all three are equal.
Where the model is reached is no part of it: the same model at another address gives the same vectors.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from leasehold.errors import UsageError
from leasehold.options import EmbedOptions
from leasehold.steps.embedding import HashingEmbedder
from leasehold.steps.local_embedding import LocalEmbedder, local_name
from leasehold.steps.remote_embedding import VERSION, RemoteEmbedder, RemoteOptions

HASHING = HashingEmbedder.name
OPENAI, LOCAL = "openai", "local"
OPENAI_URL = "https://api.openai.com/v1"


class Embedder(Protocol):
    """Turns texts into vectors of `dimensions` float32 numbers."""

    name: str
    dimensions: int

    def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """One vector for each of *texts*, in order.

        Raises:
            StepError: its error class says whether another try may help.
        """
        ...


def named(given: str) -> tuple[str, str]:
    """(the name that a collection keeps, where the model is) of an embedder as a person gives it.

    Raises:
        UsageError: it names none.
    """
    kind, _, which = given.partition(":")
    if kind == LOCAL and which.strip():
        folder = Path(which).expanduser().absolute()
        return local_name(folder), str(folder)
    if given == HASHING or (kind == OPENAI and which.strip()):
        return given, ""
    raise UsageError(f"There is no embedder '{given}'.",
                     remedy="Use hashing, openai:MODEL with --base-url URL, or local:FOLDER.")  # fmt: skip


def place_of(name: str, options: EmbedOptions, remembered: str) -> str:
    """Where this process finds the model that a collection calls *name*: what its own settings say, else what is
    *remembered* with the collection."""
    if name.startswith(LOCAL + ":"):
        mine, folder = named(options.embedder) if options.embedder else ("", "")
        return folder if mine == name else remembered
    return "" if name == HASHING else options.base_url or remembered or OPENAI_URL


def version_of(name: str, place: str) -> str:
    """What tells apart two embedders of one name. Raises UsageError when a folder cannot be read."""
    if name.startswith(LOCAL + ":"):
        return LocalEmbedder(Path(place)).version
    return str(HashingEmbedder.version) if name == HASHING else VERSION


def open_embedder(name: str, version: str, options: EmbedOptions, *, place: str, dimensions: int = 0) -> Embedder:
    """The embedder that a collection calls *name*.

    Args:
        dimensions: the width that vectors must have; 0: not known yet.

    Raises:
        UsageError: what it needs is not installed or not there, or it is another one by now.
    """
    if name == HASHING:
        return HashingEmbedder()
    if name.startswith(LOCAL + ":"):
        local = LocalEmbedder(Path(place))
        if local.version != version:
            raise UsageError(
                f"The model in {place} is another than the collection was made with.",
                remedy="Put the same files there, or name their folder with --embedder local:FOLDER.",
            )
        return local
    _check_client()
    options_of = RemoteOptions(
        model=name.partition(":")[2],
        base_url=place,
        api_key=os.environ.get(options.api_key_env, ""),
        dimensions=options.dimensions,
        timeout_s=options.timeout_s,
        texts_max=options.texts_max,
        tokens_max=options.tokens_max,
    )
    embedder = RemoteEmbedder(options_of)
    embedder.dimensions = dimensions or options.dimensions
    return embedder


def _check_client() -> None:
    try:
        import httpx2  # noqa: F401
    except ImportError as error:
        raise UsageError("A model behind an address needs the package httpx2, which is not installed.",
                         remedy="Run `pip install 'leasehold[models]'`.") from error  # fmt: skip
