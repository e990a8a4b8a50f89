"""The listener: turns NOTIFY into a call, so that an idle worker starts at once instead of at its next poll.

A hint, never the truth: workers poll. A dead LISTEN gives no error (behind a pooler it is silently never delivered), so
the listener proves itself alive by its own echo; when that stays out it says so, and tries a new connection. Every
listener hears the echoes of all: they come seldom, at times of their own, and wake no worker.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import uuid
from collections.abc import Callable

from leasehold.db.line import BROKEN
from leasehold.db.session import Connection, connect, cut, execute, within
from leasehold.db.statements import load
from leasehold.db.target import Target, redact
from leasehold.errors import LeaseholdError

log = logging.getLogger("leasehold.worker")

NAME = "leasehold listener"
"""The application name of its session."""
ECHO_EVERY_S = 30.0
ECHO_WITHIN_S = 5.0
TICK_S = 0.5


class _Deaf(Exception):
    """The echo stayed out."""


class Listener:
    """A thread with a connection of its own that calls *wake* for notifications.

    `alive` is True while echoes come back. *on_state* is told when that changes, on the thread.
    """

    def __init__(
        self,
        target: Target,
        wake: Callable[[], None],
        *,
        echo_every_s: float = ECHO_EVERY_S,
        echo_within_s: float = ECHO_WITHIN_S,
        on_state: Callable[[bool], None] | None = None,
    ) -> None:
        self._target = target
        self._wake = wake
        self._echo_every_s = echo_every_s
        self._echo_within_s = echo_within_s
        self._on_state = on_state or (lambda alive: None)
        self._stopping = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, name="leasehold-listener", daemon=True)
        self._said_deaf = False
        self.alive = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End it without waiting; its connection closes in a moment."""
        self._stopping.set()
        connection = self._connection
        if connection is not None:
            cut(connection)

    def _run(self) -> None:
        while not self._stopping.is_set():
            pause_s = 1.0
            try:
                with connect(self._target, route="direct", application_name=NAME) as connection:
                    self._connection = connection
                    self._listen(connection)
            except _Deaf:
                pause_s = self._echo_every_s
                if not self._said_deaf:
                    self._said_deaf = True
                    log.warning("notifications do not arrive on this connection (a pooler?); polling only")
            except (*BROKEN, LeaseholdError) as error:
                if not self._stopping.is_set():
                    log.warning("the listener lost its connection, polling meanwhile: %s", redact(str(error).strip()))
            finally:
                self._connection = None
                self._state(False)
            self._stopping.wait(pause_s)

    def _listen(self, connection: Connection) -> None:
        if connection.shared:  # a pooler's: LISTEN would be left to a stranger, and nothing would arrive here
            self._said_deaf = True  # who found the route has said it
            raise _Deaf
        with within(connection, self._echo_within_s):
            execute(connection, load("leasehold.kernel", "listen_ready"))
        self._wake()  # whatever was announced while nobody listened
        name = f"echo {uuid.uuid4().hex}"
        echo_at, sent_at = 0.0, None
        while not self._stopping.is_set():
            now = time.monotonic()
            if sent_at is not None and now - sent_at > self._echo_within_s:
                raise _Deaf
            if sent_at is None and now >= echo_at:
                sent_at = now
                with within(connection, self._echo_within_s):
                    execute(connection, load("leasehold.kernel", "notify_echo"), (name,))
            news = False
            for note in connection.notifies(timeout=min(TICK_S, self._echo_within_s / 2), stop_after=1):
                if note.payload == name:
                    sent_at, echo_at = None, time.monotonic() + self._echo_every_s * random.uniform(0.75, 1.25)
                    self._said_deaf = False
                    self._state(True)
                elif not note.payload.startswith("echo "):
                    news = True
            if news:  # many at once are one call
                self._wake()

    def _state(self, alive: bool) -> None:
        if alive != self.alive:
            self.alive = alive
            with contextlib.suppress(Exception):
                self._on_state(alive)
