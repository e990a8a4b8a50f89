"""Models for tests: a server on this machine, and a small one in a folder.

The server speaks OpenAI's `/embeddings` as the real ones do, limits and errors included. It checks the key, the model's
name and the request's shape; refuses a text that is too long and too many texts at once with 400 and an error body;
answers in base64 or numbers; counts what it was asked. Its vectors are hashed words, so that texts with the same words
are near. What goes wrong is said beforehand: `fail` puts answers in front of the next requests.

    with ModelServer(dimensions=64) as server:
        server.fail(Answer(429, headers={"Retry-After": "2"}))
        RemoteEmbedder(RemoteOptions(model="test-model", base_url=server.url, api_key=server.key)).embed(["a text"])
"""

from __future__ import annotations

import base64
import json
import random
import struct
import threading
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leasehold.steps.embedding import HashingEmbedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to answer instead of vectors. `delay_s` comes first; with `hang_up` the connection is cut then."""

    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came in."""

    texts: tuple[str, ...]
    encoding: str
    authorized: bool


class ModelServer:
    """Serves one model on a free port of the loopback address.

    Args:
        encodings: the values of encoding_format it knows; others are refused with 400 as unknown fields are.
        text_chars_max: a longer text is refused with 400.
        shuffled: gives the vectors back in reverse order, told apart by their index.
    """

    def __init__(
        self,
        *,
        model: str = "test-model",
        key: str = "sk-test-0123456789",
        dimensions: int = 64,
        encodings: tuple[str, ...] = ("base64", "float"),
        texts_max: int = 2048,
        text_chars_max: int = 24_000,
        shuffled: bool = False,
    ) -> None:
        self.model, self.key, self.dimensions = model, key, dimensions
        self.encodings, self.texts_max, self.text_chars_max = encodings, texts_max, text_chars_max
        self.shuffled = shuffled
        self.asked: list[Asked] = []
        self._failing: deque[Answer] = deque()
        self._hashing = HashingEmbedder()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.of = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def fail(self, *answers: Answer) -> None:
        """Answer the next requests so, in order."""
        with self._lock:
            self._failing.extend(answers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what it answers ----------------------------------------------------------------------------------------------

    def answer(self, path: str, authorization: str, body: Any) -> Answer:
        authorized = authorization == f"Bearer {self.key}"
        texts = tuple(body.get("input", ())) if isinstance(body, dict) else ()
        with self._lock:
            self.asked.append(Asked(texts, str(body.get("encoding_format", "")), authorized))
            if self._failing:
                return self._failing.popleft()
        refused = self._refusal(path, authorized, body, texts)
        return refused or Answer(body=json.dumps(self._body(body, texts)))

    def _refusal(self, path: str, authorized: bool, body: Any, texts: tuple[str, ...]) -> Answer | None:
        if path != "/v1/embeddings":
            return _error(404, f"Unknown request URL: POST {path}")
        if not authorized:
            return _error(401, "Incorrect API key provided.", code="invalid_api_key")
        if body.get("model") != self.model:
            return _error(404, f"The model `{body.get('model')}` does not exist.", code="model_not_found")
        return self._refused_input(body.get("encoding_format", "float"), texts)

    def _refused_input(self, encoding: str, texts: tuple[str, ...]) -> Answer | None:
        if encoding not in self.encodings:
            return _error(400, f"encoding_format: unsupported value {encoding!r}")
        if not texts or len(texts) > self.texts_max or not all(texts):
            return _error(400, "'$.input' is invalid. Please check the API reference.")
        if any(len(text) > self.text_chars_max for text in texts):
            return _error(400, "This model's maximum context length is 8192 tokens.", code="context_length_exceeded")
        return None

    def _body(self, body: Any, texts: tuple[str, ...]) -> dict[str, Any]:
        width = int(body.get("dimensions") or self.dimensions)
        rows = [
            {"object": "embedding", "index": at, "embedding": self._coded(text, width, body.get("encoding_format"))}
            for at, text in enumerate(texts)
        ]
        if self.shuffled:
            rows.reverse()
        tokens = sum(len(text.split()) for text in texts)
        return {"object": "list", "data": rows, "model": self.model,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}  # fmt: skip

    def _coded(self, text: str, width: int, encoding: str | None) -> str | list[float]:
        wide = self._hashing.embed([text])[0]
        folded = [sum(wide[at::width]) for at in range(width)]
        values = array("f", folded if any(folded) else [1.0] * width)
        return base64.b64encode(values.tobytes()).decode() if encoding == "base64" else list(values)


def _error(status: int, message: str, *, code: str | None = None) -> Answer:
    kind = "invalid_request_error"
    return Answer(status=status, body=json.dumps({"error": {"message": message, "type": kind, "code": code}}))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    of: ModelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.of.answer(self.path, self.headers.get("Authorization", ""), body)
        if answer.delay_s:
            time.sleep(answer.delay_s)
        if answer.hang_up:
            self.close_connection = True
            return
        content = answer.body.encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a test looks at `asked`."""


# -- a model in a folder ----------------------------------------------------------------------------------------------

SMALL_WORDS = (
    "[PAD] [UNK] [CLS] [SEP] the roof was repaired slate tiles rain a wood ##s ##ed ##ing un ##heard of word , ! - &"
)


def write_small_model(folder: Path, *, seed: int = 1, width: int = 12, layers: int = 2, tokens_max: int = 16) -> Path:
    """Write a BERT sentence model of random weights into *folder*, as sentence-transformers would; *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    words = SMALL_WORDS.split()
    config = {"model_type": "bert", "hidden_act": "gelu", "hidden_size": width, "num_attention_heads": 3,
              "num_hidden_layers": layers, "intermediate_size": 2 * width, "layer_norm_eps": 1e-12,
              "max_position_embeddings": tokens_max, "vocab_size": len(words)}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    shapes = {
        "embeddings.word_embeddings.weight": (len(words), width),
        "embeddings.position_embeddings.weight": (tokens_max, width),
        "embeddings.token_type_embeddings.weight": (2, width),
        **_with_bias("embeddings.LayerNorm", width),
    }
    for number in range(layers):
        name = f"encoder.layer.{number}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= _with_bias(name + part, width, width)
        shapes |= _with_bias(name + "intermediate.dense", 2 * width, width)
        shapes |= _with_bias(name + "output.dense", width, 2 * width)
        shapes |= _with_bias(name + "attention.output.LayerNorm", width) | _with_bias(name + "output.LayerNorm", width)
    _write_safetensors(folder / "model.safetensors", shapes, random.Random(seed))
    return folder


def _with_bias(name: str, rows: int, *columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, *columns), f"{name}.bias": (rows,)}


def _write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], rng: random.Random) -> None:
    header: dict[str, Any] = {}
    values = bytearray()
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        start = len(values)
        values += array("f", (rng.gauss(0.0, 0.5) for _ in range(count))).tobytes()
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, len(values)]}
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(values))
