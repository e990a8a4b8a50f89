"""Log lines for people: one line each, and not the same one again and again.

A server that is away is met by every thread of every process, several times a second; what a person needs of that is
one line now and then. `--debug` shows all of it.

Passwords of database addresses are taken out of every line here, whoever wrote it: the last net, not the only one.
"""

from __future__ import annotations

import logging
import re
import sys
import time

AGAIN_AFTER_S = 10.0


IN_URI = re.compile(r"(?<=://)([^:/@\s]*):[^\s'\"]*@")
IN_WORDS = re.compile(
    r"(?i)\b((?:ssl)?password|scram_(?:client|server)_key|oauth_client_secret)(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'\"]+)"
)


def redact(text: str) -> str:
    """*text* without the passwords of database addresses, in both of libpq's forms.

    Rather too much than too little: a password that was not quoted as it should be may have any sign in it.
    """
    return IN_WORDS.sub(r"\1\2***", IN_URI.sub(r"\1:***@", text))


class Full(logging.Formatter):
    """Everything, traces too, without passwords."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class FirstLine(logging.Formatter):
    """The first line of the message, without the trace."""

    def format(self, record: logging.LogRecord) -> str:
        lines = record.getMessage().strip().splitlines()
        return redact(lines[0]) if lines else ""


class NotAgain(logging.Filter):
    """Lets the same first line pass once in `AGAIN_AFTER_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        text = record.getMessage().strip().partition("\n")[0]
        if now - self._said.get(text, -AGAIN_AFTER_S) < AGAIN_AFTER_S:
            return False
        if len(self._said) > 1000:
            self._said.clear()
        self._said[text] = now
        return True


def set_up(level: int | str) -> None:
    """Send logs to standard error; below WARNING in full, else briefly."""
    handler = logging.StreamHandler(sys.stderr)
    if logging.getLevelName(level) == "DEBUG" or level == logging.DEBUG:
        handler.setFormatter(Full("%(asctime)s %(process)d %(name)s %(message)s"))
    else:
        handler.setFormatter(FirstLine())
        handler.addFilter(NotAgain())
    logging.basicConfig(level=level, handlers=[handler])
