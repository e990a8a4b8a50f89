"""Log lines: for people one line each, and not the same one again and again; for programs one JSON object each.

A server that is away is met by every thread of every process, several times a second; what a person needs of that is
one line now and then. `--debug` shows all of it.

A line that is written while a step is at work says which: run, step, token. That is so for the step's own code too, by
whatever logger, in tasks and threads that it starts the usual way: who works a step sets `ABOUT`, and the line is
written in that context. Lines about a step that is not at work name it themselves (`about`).

Secrets are taken out of every line here, whoever wrote it: passwords of database addresses, keys and bearer tokens of
providers. That is the last net, not the only one.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

AGAIN_AFTER_S = 10.0
TEXT, JSON = "text", "json"
FORMS = (TEXT, JSON)


class Leased(Protocol):
    """What a line may be about: a leased step. Of a page that has not said on which step it is, `step_id` is 0."""

    @property
    def step_id(self) -> int: ...
    @property
    def token(self) -> int: ...


ABOUT: ContextVar[Leased | None] = ContextVar("leasehold_about", default=None)
"""The step that is at work in this task or thread."""


def about(step: Leased) -> dict[str, Any]:
    """`extra` for a line about a step that is not at work just now."""
    return {"about": step}


def facts(record: logging.LogRecord) -> dict[str, Any]:
    """Which step a line is about: run, step and token; {} for a line about none."""
    step = getattr(record, "about", None) or ABOUT.get()
    if step is None:
        return {}
    if not step.step_id:
        return {"token": step.token}
    return {"run": step.step_id >> 10, "step": f"{step.step_id >> 10}.{step.step_id & 1023}", "token": step.token}


# -- secrets ----------------------------------------------------------------------------------------------------------

IN_URI = re.compile(r"(?<=://)([^:/@\s]*):[^\s'\"]*@")
IN_WORDS = re.compile(
    r"(?i)\b((?:ssl)?password|scram_(?:client|server)_key|oauth_client_secret|(?:\w*[_-])?api[_-]?key|secret_access_key)"
    r"(['\"]?\s*[=:]\s*)('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&'\",}]+)"
)
IN_HEADERS = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
BY_FORM = re.compile(r"\bsk-[A-Za-z0-9_-]{8,}|\bAKIA[0-9A-Z]{16}\b|\bgh[opsu]_[A-Za-z0-9]{20,}")


def redact(text: str) -> str:
    """*text* without the passwords of database addresses, in both of libpq's forms, and without keys of providers.

    Rather too much than too little: a password that was not quoted as it should be may have any sign in it.
    """
    text = IN_WORDS.sub(r"\1\2***", IN_URI.sub(r"\1:***@", text))
    return BY_FORM.sub("***", IN_HEADERS.sub(r"\1 ***", text))


# -- forms ------------------------------------------------------------------------------------------------------------


class Full(logging.Formatter):
    """Everything, traces too, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record)) + _told(record)


class FirstLine(logging.Formatter):
    """The first line of the message, without the trace."""

    def format(self, record: logging.LogRecord) -> str:
        lines = record.getMessage().strip().splitlines()
        return (redact(lines[0]) if lines else "") + _told(record)


class Json(logging.Formatter):
    """One object a line: at, level, logger, pid, message, then run, step, token where it is about one, and trace."""

    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "message": redact(record.getMessage().strip()),
            **facts(record),
        }
        if record.exc_info:
            body["trace"] = redact(self.formatException(record.exc_info))
        return json.dumps(body, ensure_ascii=False)


def _told(record: logging.LogRecord) -> str:
    found = facts(record)
    return f" [{' '.join(f'{name}={value}' for name, value in found.items())}]" if found else ""


class NotAgain(logging.Filter):
    """Lets the same first line pass once in `AGAIN_AFTER_S` seconds; with *each*, once for each step."""

    def __init__(self, *, each: bool = False) -> None:
        super().__init__()
        self._each = each
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        text = record.getMessage().strip().partition("\n")[0] + (_told(record) if self._each else "")
        if now - self._said.get(text, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[text] = now
        return True


def set_up(level: int | str, form: str = TEXT) -> None:
    """Send logs to standard error, as *form* says; as text below WARNING in full, else briefly."""
    handler = logging.StreamHandler(sys.stderr)
    everything = level == logging.DEBUG or logging.getLevelName(level) == logging.DEBUG or level == "DEBUG"
    if form == JSON:
        handler.setFormatter(Json())
    elif everything:
        handler.setFormatter(Full("%(asctime)s %(process)d %(name)s %(message)s"))
    else:
        handler.setFormatter(FirstLine())
    if not everything:
        handler.addFilter(NotAgain(each=form == JSON))
    logging.basicConfig(level=level, handlers=[handler])
