"""Holding a seat in real processes: killed, stopped, broken, and waited for."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from leasehold.errors import Refused, SeatLost
from leasehold.kernel import holders, holding, seats
from leasehold.kernel.holding import hold
from leasehold.options import LeaseOptions

KEY = "rag:/data/kb"
QUICK = LeaseOptions(ttl_s=1.0, heartbeat_s=0.2)

PROGRAM = """
    import sys, time
    from leasehold.db.session import Session
    from leasehold.db.target import Target
    from leasehold.kernel.holding import hold
    from leasehold.options import LeaseOptions
    url, key, wait_s, name = sys.argv[1:]
    with Session(Target(url=url)) as session:
        lease = LeaseOptions(ttl_s=1.0, heartbeat_s=0.2)
        with hold(session, key, wait_s=float(wait_s), name=name, lease=lease) as seat:
            print("has it", seat.token, flush=True)
            print("lost" if seat.wait_lost(60) else "kept", flush=True)
"""


@pytest.fixture
def start(database):
    """Start a process that holds the key until it is lost or killed; the process, once it has the seat."""
    started = []

    def begin(key=KEY, wait_s=0.0, name="", until="has it"):
        command = [sys.executable, "-c", textwrap.dedent(PROGRAM), database, key, str(wait_s), name or "other"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        if until:
            assert process.stdout.readline().startswith(until)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def until(condition, within_s=20.0):
    give_up_at = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    return found


def test_a_killed_process_holds_its_seat_for_two_ttls_and_no_longer_where_no_keeper_runs(kernel, start):
    """Two processes and kill -9: refused while it may live, taken over afterwards although no keeper runs anywhere.

    Another one that looks expired, as all do after an outage, is none of the waiting process's business.
    """
    bystander = kernel.holder("bystander", ttl_s=0.2)
    other = start(name="other")
    with pytest.raises(Refused, match=r"rag:/data/kb is held by cli other \(pid \d+\)"), hold(kernel.session, KEY):
        pass
    first = seats.taken(kernel.session, KEY)[0].token
    other.kill()
    other.wait()
    with hold(kernel.session, "rag:/data/kb/", wait_s=20, lease=QUICK) as seat:
        assert seat.token > first
        assert not seat.lost
        assert bystander in {one.holder_id for one in holders.living(kernel.session) if one.expired}
    assert seats.resources(kernel.session, KEY)[0].taken == 0


def test_a_holder_that_waits_gets_the_seat_when_it_is_given_back(kernel, start):
    with hold(kernel.session, KEY, lease=QUICK):
        waits = start(wait_s=30, name="waits", until="")
        until(lambda: seats.line(kernel.session, KEY))
    assert waits.stdout.readline().startswith("has it")


def test_a_seat_is_kept_over_many_ttls(kernel):
    with hold(kernel.session, KEY, lease=LeaseOptions(ttl_s=0.5, heartbeat_s=0.1)) as seat:
        began = time.monotonic()
        while time.monotonic() - began < 2.0:
            assert not kernel.reap("keeper")
            assert not seat.wait_lost(0.1)


def test_a_holder_whose_seat_is_broken_learns_it_with_its_next_heartbeat_and_writes_nothing(kernel, start):
    other = start()
    seats.break_(kernel.session, KEY, by="me", force=True)
    assert other.stdout.readline() == "lost\n"
    assert other.wait(20) == 1, "the end of the block says so"


def test_a_stopped_process_that_wakes_up_knows_that_its_seat_is_somebody_elses(kernel, start):
    other = start()
    other.send_signal(signal.SIGSTOP)
    with hold(kernel.session, KEY, wait_s=20, lease=QUICK):
        other.send_signal(signal.SIGCONT)
        assert other.stdout.readline() == "lost\n"
        assert other.wait(20) == 1
    assert kernel.refused("give back") == 1


def test_a_block_that_raises_gives_its_seat_back_and_raises_its_own_error(kernel):
    with pytest.raises(ZeroDivisionError), hold(kernel.session, KEY):
        raise ZeroDivisionError
    assert seats.resources(kernel.session, KEY)[0].taken == 0


def test_a_block_whose_seat_was_broken_says_so_at_its_end(kernel):
    with pytest.raises(SeatLost), hold(kernel.session, KEY):
        seats.break_(kernel.session, KEY, by="me", force=True)


def test_a_holder_that_cannot_reach_the_database_counts_its_seat_as_lost_before_anybody_can_take_it(
    kernel, monkeypatch
):
    """By its own monotonic clock. Method: its heartbeats fail; the rows still say that it holds the seat."""

    def fails(*_):
        raise OSError("no network")

    with hold(kernel.session, KEY, lease=QUICK) as seat:
        monkeypatch.setattr(holders, "heartbeat", fails)
        assert seat.wait_lost(20)
        assert not seats.taken(kernel.session, KEY)[0].expired
        with pytest.raises(SeatLost):
            seat.check()


def test_eight_threads_that_want_one_seat_have_it_one_after_another(kernel, database):
    from leasehold.db.session import Session
    from leasehold.db.target import Target

    inside, most, tokens = [], [], []

    def go(number):
        with Session(Target(url=database)) as session, hold(session, KEY, wait_s=60, name=str(number)) as seat:
            inside.append(number)
            most.append(len(inside))
            tokens.append(seat.token)
            inside.remove(number)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 8
    assert tokens == sorted(tokens)


def test_a_seat_is_answered_for_only_once_a_heartbeat_has_confirmed_it(kernel, monkeypatch):
    """A holder that was silent while it waited would count its seat as lost at once; and one that is broken between its
    taking and that heartbeat is not answered for at all."""
    real, broken = seats.take, []

    def take(*args, **how):
        taken = real(*args, **how)
        if not broken:
            broken.extend(seats.break_(kernel.session, KEY, by="me", force=True))
        return taken

    monkeypatch.setattr(seats, "take", take)
    with holding._Keeper(kernel.session, "cli", "silent", LeaseOptions()) as keeper:
        keeper._confirmed_s -= 1000
        seat = holding._take(kernel.session, keeper, KEY, 10.0)
        assert seat.token > broken[0].token
        assert keeper.token == seat.token
        assert time.monotonic() - keeper._confirmed_s < 900
        assert not keeper.lost.is_set()


@pytest.mark.one_server
@pytest.mark.parametrize("reaped", [False, True], ids=["nobody reaps it", "reaped meanwhile"])
def test_who_waits_in_line_outlasts_an_outage_and_gets_a_seat_that_is_not_lost(kernel, database, reaped):
    """Longer than its TTL and than a session's patience: it has nothing yet that could be lost. Method: a proxy that
    nobody listens behind, until the holder has expired."""
    from leasehold.db.session import Session
    from leasehold.db.target import Target
    from leasehold.testing import Proxy

    got = []

    def wait(url):
        with (
            Session(Target(url=url), patience_s=0.3) as session,
            hold(session, KEY, wait_s=60, name="waits", lease=QUICK) as seat,
        ):
            got.append((seat.token, seat.wait_lost(2 * QUICK.ttl_s)))

    def expired():
        return [one.holder_id for one in holders.living(kernel.session) if one.name == "waits" and one.expired]

    taken = seats.take(kernel.session, kernel.holder("first"), KEY)
    with Proxy(database) as proxy:
        waiting = threading.Thread(target=wait, args=(proxy.url,))
        waiting.start()
        until(lambda: seats.line(kernel.session, KEY))
        proxy.refuse(), proxy.cut()
        (waits,) = until(expired)
        if reaped:
            assert holders.reap_these(kernel.session, [waits])
        until(lambda: seats.line(kernel.session, KEY) == [] or not seats.line(kernel.session, KEY)[0].asking)
        seats.give_back(kernel.session, taken)
        proxy.heal()
        waiting.join(60)
    ((token, lost),) = got
    assert token > taken.token
    assert not lost
    assert seats.resources(kernel.session, KEY)[0].taken == 0
