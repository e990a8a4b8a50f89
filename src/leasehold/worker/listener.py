"""The listener: turns NOTIFY into a call, so that an idle worker starts at once instead of at its next poll.

A hint, never the truth: workers poll. A dead LISTEN gives no error (behind a pooler it is silently never delivered), so
the listener proves itself alive by its own echo, and says so when that stays out.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable

import psycopg

from leasehold.db.session import Connection, connect, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.errors import LeaseholdError

log = logging.getLogger("leasehold.worker")

ECHO_EVERY_S = 30.0
ECHO_WITHIN_S = 5.0


class Listener:
    """A thread with a connection of its own that calls *wake* for every notification.

    `alive` is True while echoes come back.
    """

    def __init__(self, target: Target, wake: Callable[[], None]) -> None:
        self._target = target
        self._wake = wake
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leasehold-listener", daemon=True)
        self.alive = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with connect(self._target, application_name="leasehold listener") as connection:
                    self._listen(connection)
            except (psycopg.Error, LeaseholdError) as error:
                log.warning("listener lost its connection, polling meanwhile: %s", str(error).strip().splitlines()[:1])
            self.alive = False
            self._stopping.wait(1.0)

    def _listen(self, connection: Connection) -> None:
        execute(connection, load("leasehold.kernel", "listen_ready"))
        self._wake()  # whatever was announced while nobody listened
        name = f"echo {uuid.uuid4().hex}"
        sent_at = echoed_at = 0.0
        while not self._stopping.is_set():
            now = time.monotonic()
            if now - max(sent_at, echoed_at) > ECHO_EVERY_S:
                execute(connection, load("leasehold.kernel", "notify_echo"), (name,))
                sent_at = now
            for note in connection.notifies(timeout=0.5, stop_after=1):
                if note.payload == name:
                    echoed_at, self.alive = time.monotonic(), True
                elif not note.payload.startswith("echo "):
                    self._wake()
            if sent_at > echoed_at and time.monotonic() - sent_at > ECHO_WITHIN_S:
                if self.alive or echoed_at == 0.0:
                    log.warning("notifications do not arrive on this connection (a pooler?); polling only")
                self.alive = False
                echoed_at = time.monotonic()
