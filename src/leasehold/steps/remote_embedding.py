"""Embedding by a model behind an address that speaks OpenAI's `/embeddings`: OpenAI itself, Ollama, vLLM, TEI.

Texts go out in requests of a bounded number of texts and tokens; a token is counted as a third of a text's UTF-8 bytes,
rounded up, which no tokenizer exceeds by much and which needs no download. Vectors come back as base64 or as numbers,
in any order, and are checked before anything believes them: as many as were asked for, all of one width, all finite,
none of them zero.

What can fail, and what it means for the step that asked:
busy       429 and 503: nothing is wrong; all requests of this process wait until Retry-After, and it is no attempt
no quota   the account is used up: the same, with a longer wait, and a reason that a person understands
away       no connection, a timeout, 5xx, an answer that is no JSON: an attempt, tried again later; for half a second
           nothing else is sent, so that a page of texts is not spent on a model that is down
refused    401, 403, 404: the key or the model is wrong by now: an attempt too, for it says nothing about the text
one text   400, 413 and 422 for a whole request: it is halved until the text that is refused stands alone; that text's
           document fails, its neighbours do not

Not here: shared limits of several processes, prices, a cache (results are artifacts under their recipes).
"""

from __future__ import annotations

import base64
import binascii
import math
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

from leasehold.types import ErrorClass, StepError

BUSY_S = 5.0
"""Wait after 429 or 503 without Retry-After."""
BUSY_MAX_S = 3600.0
QUOTA_S = 300.0
AWAY_S = 0.5
"""After a failure other requests of the process wait as after a busy answer. Their steps are not charged."""
AWAY_AGAIN_S = 10.0
"""Until the text that met a failure is tried again: by then the others have met it too, and no document has used up its
attempts on a model that is down before embedding is held back."""
AWAY_REMEDY = "Check that the model's address answers, then retry."
DETAIL_CHARS = 300
VERSION = "1"
"""Of what is sent for a text. The model's own version is its name: an address says no more about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOptions:
    """How to ask a model. `api_key` is sent as a bearer token and never stored, logged or told in an error."""

    model: str
    base_url: str
    api_key: str = ""
    dimensions: int = 0
    """Asked for when above 0 (models that can shorten their vectors); 0: as the model gives."""
    timeout_s: float = 60.0
    texts_max: int = 96
    tokens_max: int = 60_000


def tokens_of(text: str) -> int:
    """An upper estimate of *text*'s tokens: UTF-8 bytes / 3, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 3)


def requests_of(texts: Sequence[str], *, texts_max: int, tokens_max: int) -> Iterator[list[str]]:
    """*texts* in order, in lists within both bounds; a text over `tokens_max` goes alone."""
    page: list[str] = []
    tokens = 0
    for text in texts:
        one = tokens_of(text)
        if page and (len(page) >= texts_max or tokens + one > tokens_max):
            yield page
            page, tokens = [], 0
        page.append(text)
        tokens += one
    if page:
        yield page


class RemoteEmbedder:
    """Vectors of one model. One instance serves the threads of a process.

    Args:
        clock: seconds that only rise, for the pause after a busy answer.
    """

    def __init__(self, options: RemoteOptions, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._clock = clock
        self._client: Any = None
        self._encoding = "base64"
        self._busy_until = 0.0
        self._busy_why = ""
        self.name = f"openai:{options.model}"
        self.version = VERSION
        self.dimensions = options.dimensions

    def probe(self) -> int:
        """Ask for one vector; its width, which `dimensions` is from now on.

        Raises:
            StepError: as `embed`; also `other width` when not the width comes that was asked for.
        """
        width = len(self.embed(["width"])[0])
        self.dimensions = width
        return width

    def embed(self, texts: Sequence[str]) -> list[array[float]]:
        """A float32 vector for each of *texts*, in order.

        Raises:
            StepError: see the head of this module; `error_class` says whether to try again.
        """
        options = self._options
        vectors: list[array[float]] = []
        for page in requests_of(texts, texts_max=options.texts_max, tokens_max=options.tokens_max):
            vectors += self._page(page)
        return vectors

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- one request ------------------------------------------------------------------------------------------------

    def _page(self, texts: list[str]) -> list[array[float]]:
        """The vectors of one request's texts; halved when the model refuses it, until one text stands alone."""
        response = self._ask(texts)
        if response.status_code in (400, 413, 422):
            if self._encoding == "base64" and "encoding_format" in response.text:
                self._encoding = "float"  # a server that knows only numbers
                return self._page(texts)
            if len(texts) > 1:
                middle = len(texts) // 2
                return self._page(texts[:middle]) + self._page(texts[middle:])
            raise StepError(
                "text refused by the model", f"{len(texts[0])} characters: {self._said(response)}",
                remedy="Use smaller chunks (chunk.size) if it is too long for the model.",
            )  # fmt: skip
        self._check_status(response)
        return self._vectors(response, len(texts))

    def _ask(self, texts: list[str]) -> Any:
        import httpx2

        left = self._busy_until - self._clock()
        if left > 0:
            raise _busy(self._busy_why, left)
        body: dict[str, Any] = {"model": self._options.model, "input": texts, "encoding_format": self._encoding}
        if self._options.dimensions:
            body["dimensions"] = self._options.dimensions
        try:
            return self._opened().post("embeddings", json=body)
        except httpx2.TimeoutException as error:
            raise self._away("no answer from the model", f"within {self._options.timeout_s:g} s") from error
        except httpx2.TransportError as error:
            raise self._away("no connection to the model", str(error)) from error

    def _opened(self) -> Any:
        if self._client is None:
            import httpx2

            key = self._options.api_key
            self._client = httpx2.Client(
                base_url=self._options.base_url.rstrip("/") + "/",
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx2.Timeout(self._options.timeout_s, connect=min(10.0, self._options.timeout_s)),
            )
        return self._client

    def _check_status(self, response: Any) -> None:
        status = response.status_code
        if status == 200:
            return
        said = self._said(response)
        if status == 429 and "insufficient_quota" in response.text:
            self._pause("the model's quota is used up", QUOTA_S)
        if status in (429, 503):
            self._pause("the model is busy", retry_after_s(response.headers.get("retry-after"), BUSY_S))
        if status in (401, 403):
            raise self._away("the model refused the key", said, "Set the variable that embed.api_key_env names.")
        if status == 404:
            raise self._away("no such model or address", said, "Check the model's name and embed.base_url.")
        if status >= 500:
            raise self._away("the model failed", f"{status}: {said}")
        raise StepError("the model refused the request", f"{status}: {said}")

    def _away(self, reason: str, detail: str, remedy: str = AWAY_REMEDY) -> StepError:
        self._busy_until, self._busy_why = self._clock() + AWAY_S, f"{reason} just now"
        return StepError(reason, detail, error_class=ErrorClass.TRANSIENT, remedy=remedy, retry_after_s=AWAY_AGAIN_S)

    def _pause(self, why: str, seconds: float) -> NoReturn:
        self._busy_until, self._busy_why = self._clock() + seconds, why
        raise _busy(why, seconds)

    def _said(self, response: Any) -> str:
        """What the server gave as its reason, short, and without the key, should it repeat that."""
        try:
            body = response.json()
            error = body.get("error", body) if isinstance(body, dict) else body
            said = error.get("message", error) if isinstance(error, dict) else error
        except ValueError:
            said = response.text
        text = " ".join(str(said).split())[:DETAIL_CHARS]
        key = self._options.api_key
        return text.replace(key, "…") if key else text

    # -- its answer -------------------------------------------------------------------------------------------------

    def _vectors(self, response: Any, count: int) -> list[array[float]]:
        try:
            rows = response.json()["data"]
            found = {int(row.get("index", at)): _vector(row["embedding"]) for at, row in enumerate(rows)}
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise self._away("no vectors in the model's answer", f"{type(error).__name__}: {error}") from error
        if sorted(found) != list(range(count)):
            raise self._away("not as many vectors as texts", f"{len(found)} for {count} texts")
        vectors = [found[at] for at in range(count)]
        for vector in vectors:
            self._check_vector(vector)
        return vectors

    def _check_vector(self, vector: array[float]) -> None:
        if self.dimensions and len(vector) != self.dimensions:
            raise StepError(
                "other width", f"the model gave {len(vector)} numbers, expected {self.dimensions}",
                remedy="The address serves another model than the collection was made with.",
            )  # fmt: skip
        if not vector or not all(map(math.isfinite, vector)) or not any(vector):
            raise self._away("no usable vector in the model's answer", f"{len(vector)} numbers, not finite or all zero")


def _vector(given: Any) -> array[float]:
    """A vector as numbers, or as base64 of little-endian float32."""
    if isinstance(given, str):
        values = array("f", base64.b64decode(given, validate=True))
        if array("H", [1]).tobytes()[0] == 0:  # a big-endian machine
            values.byteswap()
        return values
    return array("f", given)


def retry_after_s(value: str | None, otherwise: float) -> float:
    """Seconds that a Retry-After header asks to wait: a number or a date; within 0 and an hour."""
    if not value:
        return otherwise
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
        except ValueError:
            return otherwise
        seconds = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), BUSY_MAX_S) if math.isfinite(seconds) else otherwise


def _busy(why: str, seconds: float) -> StepError:
    return StepError(why, error_class=ErrorClass.RESOURCE, retry_after_s=max(0.05, seconds))
