"""Embedding by a sentence model in a folder on this machine: no server, no download, no hub, on numpy alone.

The folder is one as sentence-transformers saves it: `config.json`, `vocab.txt`, `model.safetensors`, and how to pool in
`1_Pooling/config.json`. The architecture is BERT's, which most small models have (MiniLM, BGE small, E5 small, GTE
small). Weights are mapped, not read: the processes of a machine share them.

The version is a digest of the weights, the vocabulary and the settings, so other weights under the same name are
another embedder. A text longer than the model can see is embedded in pieces, and their mean stands for it.

The same text gives the same vector on the same machine; another processor may differ in the last bits. Source of the
architecture: Devlin et al., BERT, 2019; of mean pooling: Reimers and Gurevych, Sentence-BERT, 2019. erf is Abramowitz
and Stegun 7.1.26, within 1.5e-7.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leasehold.errors import UsageError
from leasehold.steps.wordpiece import WordPiece
from leasehold.types import StepError

FILES = ("config.json", "vocab.txt", "model.safetensors")
TOKENS_AT_ONCE = 4096
"""Of one pass through the model, padding included: about 60 MB of intermediate values for 384 dimensions."""
HEADER_BYTES_MAX = 100_000_000
EXAMPLE = "Give a folder with config.json, vocab.txt and model.safetensors of a BERT sentence model."


@dataclass(frozen=True, slots=True)
class Shape:
    """What config.json says of the model. `tokens_max` is how much it sees at once."""

    width: int
    heads: int
    layers: int
    epsilon: float
    tokens_max: int
    lower: bool
    pooling: str


class LocalEmbedder:
    """Vectors of a model in *folder*, of length 1.

    Raises:
        UsageError: the folder is not there, lacks a file, or holds a model of another kind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        _check_numpy()
        for name in FILES:
            if not (folder / name).is_file():
                raise UsageError(f"There is no {name} in {folder}.", remedy=EXAMPLE)
        self._shape = _shape(folder)
        self._weights = _weights(folder / "model.safetensors")
        self.name = local_name(folder)
        self.dimensions = self._shape.width
        vocabulary = (folder / "vocab.txt").read_text("utf-8").split("\n")
        try:
            self._pieces = WordPiece(vocabulary, lower=self._shape.lower)
            width = self._weights["embeddings.word_embeddings.weight"].shape
            self._layer_names()
        except KeyError as error:
            raise UsageError(f"The model in {folder} lacks {error}.", remedy=EXAMPLE) from error
        if width[1] != self._shape.width or width[0] < len([one for one in vocabulary if one]):
            raise UsageError(f"config.json, vocab.txt and the weights in {folder} do not belong together.",
                             remedy=EXAMPLE)  # fmt: skip
        self.version = weights_digest(folder)

    def _layer_names(self) -> None:
        for number in range(self._shape.layers):
            for part in _PARTS:
                for what in ("weight", "bias"):
                    self._weights[f"encoder.layer.{number}.{part}.{what}"]

    def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """A float32 vector for each of *texts*, in order.

        Raises:
            StepError: permanent, `no words`: a text has nothing that the model could see.
        """
        windows, owners = [], []
        for at, text in enumerate(texts):
            for window in self._windows(text):
                windows.append(window)
                owners.append(at)
        import numpy as np

        sums = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for members, vectors in self._passes(windows):
            for member, vector in zip(members, vectors, strict=True):
                sums[owners[member]] += vector * len(windows[member])
        sums /= np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        return [array("f", row.astype("<f4").tobytes()) for row in sums]

    def _windows(self, text: str) -> Iterator[list[int]]:
        tokens = self._pieces.tokens(text)
        if not tokens:
            raise StepError("no words", "the text is empty for this model", remedy="Leave out such texts.")
        room = self._shape.tokens_max - 2
        for start in range(0, len(tokens), room):
            yield [self._pieces.first, *tokens[start : start + room], self._pieces.last]

    def _passes(self, windows: Sequence[list[int]]) -> Iterator[tuple[list[int], Any]]:
        """Windows of like length together, so that little is padded."""
        order = sorted(range(len(windows)), key=lambda at: len(windows[at]))
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(windows[order[end]]) * (end - start + 1) <= TOKENS_AT_ONCE:
                end += 1
            members = order[start:end]
            yield members, self._forward([windows[at] for at in members])
            start = end

    # -- the model ----------------------------------------------------------------------------------------------------

    def _forward(self, windows: Sequence[list[int]]) -> Any:
        """One vector of length 1 for each window."""
        import numpy as np

        longest = max(map(len, windows))
        numbers = np.zeros((len(windows), longest), dtype=np.int64)
        seen = np.zeros((len(windows), longest), dtype=np.float32)
        for row, window in enumerate(windows):
            numbers[row, : len(window)] = window
            seen[row, : len(window)] = 1.0
        hidden = self._weights["embeddings.word_embeddings.weight"][numbers].astype(np.float32)
        hidden += self._weights["embeddings.position_embeddings.weight"][:longest]
        hidden += self._weights["embeddings.token_type_embeddings.weight"][0]
        hidden = self._normed(hidden, "embeddings.LayerNorm")
        unseen = (seen[:, None, None, :] - 1.0) * 1e9
        for number in range(self._shape.layers):
            hidden = self._layer(hidden, unseen, f"encoder.layer.{number}.")
        pooled = hidden[:, 0] if self._shape.pooling == "cls" else _mean(hidden, seen)
        return pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)

    def _layer(self, hidden: Any, unseen: Any, name: str) -> Any:
        context = self._attention(hidden, unseen, name + "attention.self.")
        hidden = self._normed(hidden + self._dense(context, name + "attention.output.dense"),
                              name + "attention.output.LayerNorm")  # fmt: skip
        inner = _gelu(self._dense(hidden, name + "intermediate.dense"))
        return self._normed(hidden + self._dense(inner, name + "output.dense"), name + "output.LayerNorm")

    def _attention(self, hidden: Any, unseen: Any, name: str) -> Any:
        import numpy as np

        count, length, width = hidden.shape
        heads = self._shape.heads

        def split(what: str) -> Any:
            return self._dense(hidden, name + what).reshape(count, length, heads, width // heads).transpose(0, 2, 1, 3)

        scores = split("query") @ split("key").transpose(0, 1, 3, 2) / np.float32((width // heads) ** 0.5) + unseen
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        return (scores @ split("value")).transpose(0, 2, 1, 3).reshape(count, length, width)

    def _dense(self, values: Any, name: str) -> Any:
        return values @ self._weights[name + ".weight"].T + self._weights[name + ".bias"]

    def _normed(self, values: Any, name: str) -> Any:
        import numpy as np

        centred = values - values.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(self._shape.epsilon))
        return centred / spread * self._weights[name + ".weight"] + self._weights[name + ".bias"]


_PARTS = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
          "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")  # fmt: skip


def local_name(folder: Path) -> str:
    """How a collection calls the model in *folder*: by its last name, for the folder may stand elsewhere tomorrow."""
    return f"local:{folder.resolve().name}"


def weights_digest(folder: Path) -> str:
    """Sixteen characters that tell a model from every other: over its weights, vocabulary and settings."""
    state = hashlib.sha256()
    for name in (*FILES, "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer_config.json"):
        path = folder / name
        state.update(f"{name}\0".encode())
        if path.is_file():
            with path.open("rb") as file:
                state.update(hashlib.file_digest(file, "sha256").digest())
    return state.hexdigest()[:16]


def _check_numpy() -> None:
    """numpy is there, and works on one core: more processes, not threads, are how we use the others. (Measured with
    both cores busy: two threads of its matrix products spin against each other and are ten times slower than one.)"""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import numpy  # noqa: F401
    except ImportError as error:
        raise UsageError("A model in a folder needs the package numpy, which is not installed.",
                         remedy="Run `pip install 'leasehold[local]'`.") from error  # fmt: skip


def _shape(folder: Path) -> Shape:
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    if kind != "bert" or config.get("hidden_act", "gelu") != "gelu":
        raise UsageError(
            f"The model in {folder} is of the kind {kind!r}; only BERT models with gelu are read here.",
            remedy="Serve it behind an address instead: --embedder openai:MODEL --base-url URL.",
        )
    pooling = _json(folder / "1_Pooling" / "config.json")
    seen = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    try:
        most = int(config["max_position_embeddings"])
        return Shape(
            width=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            layers=int(config["num_hidden_layers"]),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            tokens_max=min(most, int(seen or most)),
            lower=bool(_json(folder / "tokenizer_config.json").get("do_lower_case", True)),
            pooling="cls" if pooling.get("pooling_mode_cls_token") else "mean",
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder / 'config.json'} cannot be used: {error}.", remedy=EXAMPLE) from error


def _json(path: Path) -> dict[str, Any]:
    """The object in *path*; an empty one when there is no such file."""
    try:
        body = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}.", remedy=EXAMPLE) from error
    return body if isinstance(body, dict) else {}


def _weights(path: Path) -> dict[str, Any]:
    """Arrays by name, mapped from a safetensors file: eight bytes of length, a JSON header, the values."""
    import numpy as np

    try:
        with path.open("rb") as file:
            whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        (length,) = struct.unpack_from("<Q", whole)
        header = json.loads(whole[8 : 8 + min(length, HEADER_BYTES_MAX)])
        found = {}
        for name, entry in header.items():
            if name != "__metadata__" and entry["dtype"] in ("F32", "F16"):
                kind = np.dtype("<f4" if entry["dtype"] == "F32" else "<f2")
                start, end = entry["data_offsets"]
                values = np.frombuffer(whole, kind, (end - start) // kind.itemsize, 8 + length + start)
                found[name.removeprefix("bert.")] = values.reshape(entry["shape"]).astype(np.float32, copy=False)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise UsageError(f"{path} is damaged or no safetensors file: {error}.", remedy=EXAMPLE) from error
    return found


def _gelu(values: Any) -> Any:
    import numpy as np

    x = np.abs(values) * np.float32(0.7071067811865476)
    t = 1.0 / (1.0 + np.float32(0.3275911) * x)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    erf = np.copysign(1.0 - tail * np.exp(-x * x), values)
    return 0.5 * values * (1.0 + erf)


def _mean(hidden: Any, seen: Any) -> Any:
    import numpy as np

    return (hidden * seen[:, :, None]).sum(axis=1) / np.maximum(seen.sum(axis=1, keepdims=True), 1e-9)
