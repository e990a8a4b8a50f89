"""The listener and the heartbeat on bad connections: a dead LISTEN is noticed, a lost one comes back."""

from __future__ import annotations

import threading

import pytest
from worker_help import eventually

from leasehold.db.target import Target
from leasehold.kernel import groups
from leasehold.testing import Proxy
from leasehold.worker import listener as listeners
from leasehold.worker.listener import Listener

pytestmark = pytest.mark.one_server


@pytest.fixture
def heard(database):
    """A listener with quick echoes, and how often it called."""
    calls = []
    states = []
    listener = Listener(Target(url=database), lambda: calls.append(1), echo_every_s=0.2, echo_within_s=0.3,
                        on_state=states.append)  # fmt: skip
    listener.start()
    yield listener, calls, states
    listener.stop()
    eventually(lambda: not listener._thread.is_alive(), 5)


def test_a_listener_proves_itself_alive_by_its_own_echo_and_hears_what_others_say(heard, kernel):
    listener, calls, _ = heard
    eventually(lambda: listener.alive)
    before = len(calls)
    groups.wake(kernel.session)
    eventually(lambda: len(calls) > before)


def test_a_listen_that_is_dead_without_an_error_is_noticed_said_and_tried_anew(heard, monkeypatch, caplog):
    """Method: the echo is swallowed, as behind a pooler in transaction mode."""
    listener, _, states = heard
    eventually(lambda: listener.alive)
    swallow = threading.Event()
    swallow.set()
    execute = listeners.execute

    def sent(connection, statement, params=None):
        return [] if "notify" in statement and swallow.is_set() else execute(connection, statement, params)

    monkeypatch.setattr(listeners, "execute", sent)
    eventually(lambda: not listener.alive)
    eventually(lambda: "polling only" in caplog.text)
    swallow.clear()
    eventually(lambda: listener.alive)
    assert states[:3] == [True, False, True]


def test_a_listener_whose_connection_is_ended_connects_again(heard, kernel):
    listener, calls, _ = heard
    eventually(lambda: listener.alive)
    kernel.session.fetch("select pg_terminate_backend(pid) from pg_stat_activity "
                         "where application_name = 'leasehold listener' and datname = current_database()")  # fmt: skip
    eventually(lambda: not listener.alive)
    eventually(lambda: listener.alive)
    before = len(calls)
    groups.wake(kernel.session)
    eventually(lambda: len(calls) > before)


def test_a_listener_on_a_half_open_connection_says_so_and_connects_again(database):
    """The network takes what is sent and answers nothing, without an error: the call that asks for the echo hangs."""
    states: list[bool] = []
    with Proxy(database) as proxy:
        listener = Listener(Target(url=proxy.url), lambda: None, echo_every_s=0.2, echo_within_s=0.5,
                            on_state=states.append)  # fmt: skip
        listener.start()
        try:
            eventually(lambda: listener.alive)
            proxy.swallow(new_ones=False)
            eventually(lambda: states[:2] == [True, False])
            eventually(lambda: listener.alive)
        finally:
            listener.stop()
            eventually(lambda: not listener._thread.is_alive())
