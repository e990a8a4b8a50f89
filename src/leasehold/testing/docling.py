"""A docling-serve for tests: a server on this machine that takes tasks, lets them wait, and gives results.

It speaks version 1 of the API as the real one does: it checks the key and the form, answers with a task, tells its
status (holding the answer back as long as it is asked to, unless the task is done sooner), and gives the result once
the task is done; whatever it does not know is 404. What a document becomes is its text, behind the mark of its format
(the first line of a PDF): paragraphs, headings that begin with `#`, form feeds between pages. What goes wrong is said
beforehand:

    with DoclingServer() as server:
        server.fail("submit", Answer(status=429, headers={"Retry-After": "1"}))
        server.forget_next()      # the next task is lost, as by a restart
        server.broken.add(b"damaged")   # documents with these bytes end as failed in a task that succeeds
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from leasehold.testing.models import Answer


@dataclass
class Task:
    """A document that was handed over: its form, name and bytes, and how often its status was asked for."""

    task_id: str
    form: dict[str, str]
    name: str
    data: bytes
    asked: int = 0


class DoclingServer:
    """Serves on a free port of the loopback address.

    Args:
        key: wanted in X-Api-Key; empty: none is.
        polls: how often a task's status is asked for before it is done.
        honest_wait: hold answers back as asked; without it they come at once, as from a proxy that cuts them short.
    """

    def __init__(self, *, key: str = "", polls: int = 1, honest_wait: bool = False) -> None:
        self.key, self.polls, self.honest_wait = key, polls, honest_wait
        self.taken: list[Task] = []
        """Every document that was handed over, lost ones included."""
        self.broken: set[bytes] = set()
        self.tasks: dict[str, Task] = {}
        self.failing_tasks: set[bytes] = set()
        """Documents with these bytes make their whole task fail."""
        self.partial: set[bytes] = set()
        self.connections = 0
        self._failing: dict[str, deque[Answer]] = {"submit": deque(), "status": deque(), "result": deque()}
        self._forget = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.of = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, what: str, *answers: Answer) -> None:
        """Answer the next requests of a sort (submit, status, result) so, in order."""
        with self._lock:
            self._failing[what].extend(answers)

    def forget_next(self, times: int = 1) -> None:
        """Lose the next tasks as soon as they are taken."""
        with self._lock:
            self._forget += times

    def restart(self) -> None:
        """Forget every task."""
        with self._lock:
            self.tasks.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    # -- what it answers ----------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, key: str, content_type: str, body: bytes) -> Answer:
        parts = urlsplit(target)
        if parts.path == "/health":
            return _json(200, {"status": "ok"})
        if self.key and key != self.key:
            return _json(401, {"detail": "Api key is required."})
        if method == "POST" and parts.path == "/v1/convert/file/async":
            return self._planned("submit") or self._submit(content_type, body)
        if method == "GET" and parts.path.startswith("/v1/status/poll/"):
            wait_s = float(parse_qs(parts.query).get("wait", ["0"])[0])
            return self._planned("status") or self._status(parts.path.rpartition("/")[2], wait_s)
        if method == "GET" and parts.path.startswith("/v1/result/"):
            return self._planned("result") or self._result(parts.path.rpartition("/")[2])
        return _json(404, {"detail": "Not Found"})

    def _planned(self, what: str) -> Answer | None:
        with self._lock:
            return self._failing[what].popleft() if self._failing[what] else None

    def _submit(self, content_type: str, body: bytes) -> Answer:
        form, name, data = _multipart(content_type, body)
        if not data or form.get("to_formats") != "json" or form.get("target_type") != "inbody":
            return _json(422, {"detail": [{"msg": "files: field required"}]})
        with self._lock:
            task = Task(f"task-{len(self.taken)}", form, name, data)
            self.taken.append(task)
            if self._forget:
                self._forget -= 1
            else:
                self.tasks[task.task_id] = task
        return _json(200, {"task_id": task.task_id, "task_type": "convert", "task_status": "pending",
                           "task_position": 1, "task_meta": None})  # fmt: skip

    def _status(self, task_id: str, wait_s: float) -> Answer:
        with self._lock:
            task = self.tasks.get(task_id)
            if task is None:
                return _json(404, {"detail": "Task not found."})
            task.asked += 1
            done = task.asked > self.polls
        if not done and self.honest_wait:
            time.sleep(wait_s)
        failed = any(mark in task.data for mark in self.failing_tasks)
        status = "started" if not done else "failure" if failed else "success"
        told = {"task_id": task_id, "task_type": "convert", "task_status": status, "task_position": None}
        return _json(200, {**told, "error_message": "the pipeline broke"} if status == "failure" else told)

    def _result(self, task_id: str) -> Answer:
        with self._lock:
            task = self.tasks.get(task_id)
        if task is None or task.asked <= self.polls:
            return _json(404, {"detail": "Task result not found. Please wait for a completion status."})
        broken = any(mark in task.data for mark in self.broken)
        partial = any(mark in task.data for mark in self.partial)
        error = {"component_type": "document_backend", "module_name": "backend", "error_message": "page 2 broke"}
        document = {"filename": task.name, "md_content": None, "json_content": docling_document(_text(task.data)),
                    "html_content": None, "text_content": None, "doctags_content": None}  # fmt: skip
        return _json(200, {"document": {**document, "json_content": None} if broken else document,
                           "status": "failure" if broken else "partial_success" if partial else "success",
                           "errors": [error] if broken or partial else [], "processing_time": 0.1,
                           "timings": {}})  # fmt: skip


def docling_document(text: str) -> dict[str, Any]:
    """A DoclingDocument of *text*: its paragraphs on pages that form feeds part, `#` lines as headings."""
    texts: list[dict[str, Any]] = []
    pages: dict[str, Any] = {}
    for number, page in enumerate(text.split("\f"), 1):
        pages[str(number)] = {"size": {"width": 612.0, "height": 792.0}, "image": None, "page_no": number}
        for row, paragraph in enumerate(part.strip() for part in re.split(r"\n\s*\n", page) if part.strip()):
            level = len(paragraph) - len(paragraph.lstrip("#"))
            said = paragraph.lstrip("# ")
            top = 720.0 - 40 * row
            box = {"l": 72.0, "t": top, "r": 300.0, "b": top - 12, "coord_origin": "BOTTOMLEFT"}
            texts.append({
                "self_ref": f"#/texts/{len(texts)}", "parent": {"$ref": "#/body"}, "children": [],
                "content_layer": "body", "label": "section_header" if level else "text",
                "prov": [{"page_no": number, "bbox": box, "charspan": [0, len(said)]}], "orig": said, "text": said,
                **({"level": level} if level else {}),
            })  # fmt: skip
    children = [{"$ref": one["self_ref"]} for one in texts]
    body = {"self_ref": "#/body", "parent": None, "children": children, "content_layer": "body", "name": "_root_",
            "label": "unspecified"}  # fmt: skip
    return {"schema_name": "DoclingDocument", "version": "1.8.0", "name": "document", "body": body, "texts": texts,
            "furniture": {"self_ref": "#/furniture", "children": []}, "groups": [], "tables": [], "pictures": [],
            "key_value_items": [], "form_items": [], "pages": pages}  # fmt: skip


def _text(data: bytes) -> str:
    """What is behind the mark of a format."""
    body = data.removeprefix(b"\x89PNG\r\n\x1a\n")
    return (body.partition(b"\n")[2] if body.startswith(b"%PDF-") else body).decode("utf-8", "replace")


def _multipart(content_type: str, body: bytes) -> tuple[dict[str, str], str, bytes]:
    """The form's fields, and the one file's name and bytes."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    form: dict[str, str] = {}
    name, data = "", b""
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        content = content.removesuffix(b"\r\n")
        words = head.decode()
        field = re.search(r'\bname="([^"]*)"', words)
        file = re.search(r'\bfilename="([^"]*)"', words)
        if file:
            name, data = file[1], content
        elif field:
            form[field[1]] = content.decode()
    return form, name, data


def _json(status: int, body: dict[str, Any]) -> Answer:
    return Answer(status=status, body=json.dumps(body))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    of: DoclingServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.of.connections += 1

    def finish(self) -> None:
        super().finish()
        self.server.of.connections -= 1

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers["Content-Length"]
        self._answer(self.rfile.read(int(length)) if length is not None else self._chunks())

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, body: bytes) -> None:
        of, headers = self.server.of, self.headers
        answer = of.answer(self.command, self.path, headers.get("X-Api-Key", ""), headers.get("Content-Type", ""), body)
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
        """Says nothing: a test looks at `taken`."""
