"""docling-serve: documents and pictures read by a service with models for layout, tables and OCR.

A document is handed over (`/v1/convert/file/async`), asked about until it is done (`/v1/status/poll`), and its result
fetched (`/v1/result`), all at one server: a task is known to nobody else. What may go wrong has four meanings:

- Not taken: no connection, 429, 503. The next server is asked; when none takes it the step waits as long as they say
  (`RESOURCE`: no attempt).
- Lost: the server knows the task no more (404), because it was started anew. The document is handed over again,
  `submissions_max` times in all; a document that is lost so often may be what ends the server, and fails for good.
- Failed: the task's own end, or that of the one document in a task that succeeded, or a document without text: for
  good, with what docling says.
- Unknown: nobody answers after the document was sent, or all with errors. That is an attempt of the step
  (`TRANSIENT`), and nothing is handed over again within it. So the service sees at most `submissions_max` more
  documents than the step has attempts.

Each server has a breaker: failures in a row close it off for a time that doubles, and the others take its share.

Not here: what a DoclingDocument means (`docling_document`), which types go to docling (a collection's parameters).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leasehold.errors import UsageError
from leasehold.options import DoclingOptions
from leasehold.steps import media
from leasehold.steps.docling_document import REFUSED, parsed_of
from leasehold.steps.remote_embedding import retry_after_s
from leasehold.types import ErrorClass, Parsed, StepError

DOCLING_VERSION = 1
"""Of what is asked for and of how its answer is read. The service's own version and models are its operator's."""
MEDIA_TYPES = {
    "pdf": media.PDF, "docx": media.DOCX, "pptx": media.PPTX, "xlsx": media.XLSX, "html": "text/html",
    "png": "image/png", "jpg": "image/jpeg", "tiff": "image/tiff", "bmp": "image/bmp", "webp": "image/webp",
}  # fmt: skip
"""By the names in `readers.docling.types`."""
ENDINGS = {of: ending for ending, of in MEDIA_TYPES.items()}
BREAKER_AFTER = 3
CLOSED_S = 30.0
CLOSED_MAX_S = 300.0
BUSY_S = 5.0
AGAIN_S, AGAIN_MAX_S = 0.5, 10.0
"""Between two questions about a task that nobody answered."""
ANSWER_BYTES_MAX = 1 << 30
DETAIL_CHARS = 300
DONE, RUNNING = ("success", "partial_success", "skipped"), ("pending", "started")
SERVERS = "Check that the addresses in readers.docling.urls answer at /health."


class Server:
    """One docling-serve: what this process knows of it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.running = 0
        self.failures = 0
        self.not_before_s = 0.0
        self.why = ""


@dataclass(frozen=True, slots=True)
class _Task:
    server: Server
    task_id: str


class _Lost(Exception):
    """The server does not know the task any more."""


class Docling:
    """Reads documents at the servers of *options*. One instance serves the threads of a process.

    Args:
        api_key: sent as X-Api-Key; in no message of ours.
        clock, sleep: seconds that only rise, and how to wait.
    """

    def __init__(
        self,
        options: DoclingOptions,
        *,
        api_key: str = "",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.servers = [Server(url) for url in options.urls]
        self._options, self._api_key, self._clock, self._sleep = options, api_key, clock, sleep
        self._lock = threading.Lock()
        self._client: Any = None

    def read(self, data: bytes, media_type: str, *, ocr: bool, goes_on: Callable[[], None] = lambda: None) -> Parsed:
        """The document in *data*. *goes_on* is called after each sign of life of the service.

        Raises:
            StepError: see the head of this module; `error_class` says whether to try again.
        """
        until_s = self._clock() + self._options.timeout_s
        for _ in range(self._options.submissions_max):
            task = self._hand_over(data, media_type, ocr)
            goes_on()
            try:
                self._await(task, until_s, goes_on)
                return self._document(self._result(task, until_s), media_type)
            except _Lost:
                continue
            finally:
                self._ended(task.server)
        n = self._options.submissions_max
        raise StepError("lost by docling", f"{n} times; the document may be what ends the server",
                        remedy="Look into the server's log; then retry, or leave the file out.")  # fmt: skip

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- handing over -------------------------------------------------------------------------------------------------

    def _hand_over(self, data: bytes, media_type: str, ocr: bool) -> _Task:
        """A task at the server that has the least to do of those that take one."""
        import httpx2

        form = {
            "to_formats": "json",
            "image_export_mode": "placeholder",
            "do_ocr": str(ocr).lower(),
            "abort_on_error": "false",
            "target_type": "inbody",
        }
        files = {"files": (f"document.{ENDINGS.get(media_type, 'bin')}", data, media_type)}
        refused: list[str] = []
        while (server := self._next()) is not None:
            task: _Task | None = None
            try:
                response = self._opened().post(f"{server.url}/v1/convert/file/async", data=form, files=files)
                task = self._taken(server, response, refused)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                self._failed(server, f"no connection: {error}")
            except httpx2.TransportError as error:
                self._failed(server, f"no answer: {error}")
                raise self._unknown(f"{server.url}: {type(error).__name__}") from error
            finally:
                if task is None:
                    self._ended(server)
            if task is not None:
                return task
        raise self._none_takes(refused)

    def _next(self) -> Server | None:
        with self._lock:
            now = self._clock()
            free = [one for one in self.servers if now >= one.not_before_s]
            if not free:
                return None
            chosen = min(free, key=lambda one: one.running)
            chosen.running += 1
            return chosen

    def _ended(self, server: Server) -> None:
        with self._lock:
            server.running -= 1

    def _taken(self, server: Server, response: Any, refused: list[str]) -> _Task | None:
        """The task; None when this server takes none now: it is busy, or *refused* says what it answered instead."""
        status = response.status_code
        if status in (200, 201, 202):
            self._well(server)
            return _Task(server, str(_json(response.content, "task_id")["task_id"]))
        if status in (429, 503):
            self._failed(server, "busy", retry_after_s(response.headers.get("retry-after"), BUSY_S))
        elif status >= 500 or status in (401, 403, 404):
            refused.append(f"{server.url}: {status}: {self._said(response.content)}")
            self._failed(server, refused[-1])
        else:
            detail = f"{status}: {self._said(response.content)}"
            remedy = "Leave its type to our own reader (readers.docling.types), or exclude it."
            raise StepError("refused by docling", detail, remedy=remedy)
        return None

    def _failed(self, server: Server, why: str, pause_s: float | None = None) -> None:
        """*server* is not asked for a while: as long as it says, else the longer the more often it failed."""
        with self._lock:
            server.why = why
            if pause_s is None:
                server.failures += 1
                strikes = server.failures - BREAKER_AFTER
                pause_s = AGAIN_S if strikes < 0 else min(CLOSED_MAX_S, CLOSED_S * 2.0 ** min(strikes, 10))
            server.not_before_s = self._clock() + pause_s

    def _well(self, server: Server) -> None:
        with self._lock:
            server.failures, server.why = 0, ""

    def _none_takes(self, refused: list[str]) -> StepError:
        if refused:  # it was sent to them: that is an attempt
            return self._unknown("; ".join(refused))
        with self._lock:
            soonest_s = min(one.not_before_s for one in self.servers) - self._clock()
            why = "; ".join(f"{one.url}: {one.why}" for one in self.servers if one.why)
        return StepError("no docling server takes it", why, error_class=ErrorClass.RESOURCE, remedy=SERVERS,
                         retry_after_s=max(0.2, soonest_s))  # fmt: skip

    # -- waiting ------------------------------------------------------------------------------------------------------

    def _await(self, task: _Task, until_s: float, goes_on: Callable[[], None]) -> None:
        """Until the task has succeeded.

        Raises:
            _Lost: the server does not know it.
            StepError: it failed, or took too long.
        """
        while True:
            asked_s = self._clock()
            wait_s = min(self._options.poll_s, max(0.1, until_s - asked_s))
            body = self._ask(task, "status/poll", until_s, wait=wait_s)
            goes_on()
            status = str(body.get("task_status", "")).lower()
            if status in DONE:
                return
            if status not in RUNNING:
                raise _refusal(_reason(body) or f"its task ended as {status or 'nothing'}")
            self._pause(wait_s - (self._clock() - asked_s), until_s)  # a server that did not wait itself

    def _result(self, task: _Task, until_s: float) -> dict[str, Any]:
        return self._ask(task, "result", until_s)

    def _ask(self, task: _Task, what: str, until_s: float, **params: float) -> dict[str, Any]:
        """The server's answer about *task*, asked for until there is one: it alone knows."""
        import httpx2

        again_s = AGAIN_S
        while True:
            try:
                status, headers, content = self._get(f"{task.server.url}/v1/{what}/{task.task_id}", params)
            except httpx2.TransportError as error:
                status, headers, content = 0, {}, type(error).__name__.encode()
            if status == 200:
                self._well(task.server)
                return _json(content)
            if status in (404, 410):
                raise _Lost
            if status in (401, 403):
                raise self._unknown(f"{task.server.url} refuses the key", "Set the variable that"
                                    " readers.docling.api_key_env names.")  # fmt: skip
            if status not in (429, 503):
                self._failed(task.server, f"{status or 'no answer'}: {self._said(content)}")
            wait_s = retry_after_s(headers.get("retry-after"), again_s)
            again_s = min(AGAIN_MAX_S, again_s * 2)
            self._pause(wait_s, until_s, last=f"{status}: {self._said(content)}" if status else self._said(content))

    def _get(self, url: str, params: Mapping[str, float]) -> tuple[int, Mapping[str, str], bytes]:
        body = bytearray()
        with self._opened().stream("GET", url, params=params) as response:
            for piece in response.iter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES_MAX:
                    raise _refusal(f"its answer has more than {ANSWER_BYTES_MAX:,} bytes")
            return response.status_code, response.headers, bytes(body)

    def _pause(self, seconds: float, until_s: float, *, last: str = "") -> None:
        left = until_s - self._clock()
        if left <= 0:
            if last:
                raise self._unknown(f"no more answers ({last})")
            raise StepError("over its time", f"docling took longer than {self._options.timeout_s:g} s",
                            remedy="Raise readers.docling.timeout_s, or leave the file out (--exclude).")  # fmt: skip
        if seconds > 0:
            self._sleep(min(seconds, left))

    # -- the result ---------------------------------------------------------------------------------------------------

    def _document(self, body: dict[str, Any], media_type: str) -> Parsed:
        """The document in a result. A task may succeed whose document failed."""
        status = str(body.get("status", "")).lower()
        if status not in ("success", "partial_success"):
            raise _refusal(_reason(body) or f"the document ended as {status or 'nothing'}")
        notes = [f"docling: {one}" for one in _errors(body)] if status == "partial_success" else []
        parsed = parsed_of((body.get("document") or {}).get("json_content"), notes)
        if not parsed.blocks and not media_type.startswith("image/"):
            raise StepError("no text from docling", "the document was converted, and there is no text in it",
                            remedy="Turn OCR on (readers.docling.ocr), or leave the file out.")  # fmt: skip
        return parsed

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                import httpx2

                read_s = max(30.0, self._options.poll_s + 25.0)
                self._client = httpx2.Client(
                    headers={"X-Api-Key": self._api_key} if self._api_key else {},
                    timeout=httpx2.Timeout(read_s, connect=10.0, write=self._options.timeout_s),
                )
            return self._client

    def _said(self, content: bytes) -> str:
        text = " ".join(content[: 4 * DETAIL_CHARS].decode("utf-8", "replace").split())[:DETAIL_CHARS]
        return text.replace(self._api_key, "…") if self._api_key else text

    def _unknown(self, detail: str, remedy: str = SERVERS) -> StepError:
        return StepError("no answer from docling", detail, error_class=ErrorClass.TRANSIENT, remedy=remedy)


def _refusal(detail: str) -> StepError:
    return StepError("docling could not read it", detail[:DETAIL_CHARS],
                     remedy="Save it again with the program it came from, or leave it to our own reader"
                     " (readers.docling.types).")  # fmt: skip


def _reason(body: Mapping[str, Any]) -> str:
    """What an answer gives as the reason of a failure; versions differ in where."""
    failure = body.get("failure")
    said = failure.get("message") if isinstance(failure, Mapping) else None
    return str(said or body.get("error_message") or "; ".join(_errors(body)))


def _errors(body: Mapping[str, Any]) -> list[str]:
    errors = body.get("errors") or ()
    return [str(one.get("error_message", one) if isinstance(one, Mapping) else one)[:DETAIL_CHARS] for one in errors]


def _json(content: bytes, wanted: str = "") -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    if not isinstance(body, dict) or (wanted and wanted not in body):
        raise StepError(REFUSED, "the answer is not what it should be", error_class=ErrorClass.TRANSIENT,
                        remedy="Check that the server is a docling-serve of version 1.")  # fmt: skip
    return body


def open_docling(options: DoclingOptions) -> Docling:
    """Raises UsageError when no server is named, or what it needs is not installed."""
    import os

    if not options.urls:
        raise UsageError("No docling server is named.", remedy="Set readers.docling.urls: http://localhost:5001.")

    try:
        import httpx2  # noqa: F401
    except ImportError as error:
        raise UsageError("docling-serve needs the package httpx2, which is not installed.",
                         remedy="Run `pip install 'leasehold[models]'`.") from error  # fmt: skip
    return Docling(options, api_key=os.environ.get(options.api_key_env, ""))
