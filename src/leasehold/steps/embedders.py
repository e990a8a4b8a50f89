"""Embedders: what every one of them is, how it is named, and which one a name means.

`hashing`       counts words, offline, the same everywhere             (`embedding`)
`openai:MODEL`  a model behind an address that speaks OpenAI's dialect (`remote_embedding`)

A name with its version and width is the identity of a vector: two vectors may be compared when all three are equal.
Where the model is reached is no part of it: the same model at another address gives the same vectors.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from typing import Protocol

from leasehold.errors import UsageError
from leasehold.options import EmbedOptions
from leasehold.steps.embedding import HashingEmbedder
from leasehold.steps.remote_embedding import VERSION, RemoteEmbedder, RemoteOptions

HASHING = HashingEmbedder.name
OPENAI = "openai"
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


def check_name(name: str) -> str:
    """*name* as it is kept. Raises UsageError when it names no embedder."""
    kind, _, model = name.partition(":")
    if name == HASHING or (kind == OPENAI and model.strip()):
        return name
    raise UsageError(f"There is no embedder '{name}'.", remedy="Use hashing, or openai:MODEL with --base-url URL.")


def version_of(name: str) -> str:
    return str(HashingEmbedder.version) if name == HASHING else VERSION


def open_embedder(name: str, options: EmbedOptions, *, base_url: str = "", dimensions: int = 0) -> Embedder:
    """The embedder *name*.

    Args:
        base_url: where the collection says its model is; `options.base_url` goes before it.
        dimensions: the width that vectors must have; 0: not known yet.

    Raises:
        UsageError: no such embedder, or what it needs is not installed or not set.
    """
    if check_name(name) == HASHING:
        return HashingEmbedder()
    _check_client()
    embedder = RemoteEmbedder(
        RemoteOptions(
            model=name.partition(":")[2],
            base_url=options.base_url or base_url or OPENAI_URL,
            api_key=os.environ.get(options.api_key_env, ""),
            dimensions=options.dimensions,
            timeout_s=options.timeout_s,
            texts_max=options.texts_max,
            tokens_max=options.tokens_max,
        )
    )
    embedder.dimensions = dimensions or options.dimensions
    return embedder


def _check_client() -> None:
    try:
        import httpx2  # noqa: F401
    except ImportError as error:
        raise UsageError("A model behind an address needs the package httpx2, which is not installed.",
                         remedy="Run `pip install 'leasehold[models]'`.") from error  # fmt: skip
