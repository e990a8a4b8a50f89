"""Signals of commands are acted upon on a thread of their own."""

from __future__ import annotations

import signal
import threading

import pytest

from leasehold.cli.common import on_signals


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_that_comes_while_the_event_is_being_set_does_not_wait_for_itself():
    """Method: the main thread holds the lock of the event, as within its `set`, when both signals come."""
    first, again = threading.Event(), threading.Event()
    on_signals(first.set, again.set)
    with first._cond, again._cond:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert first.wait(30)
    assert again.wait(30)
