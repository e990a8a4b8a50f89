"""The worker's small parts: the ledger, threads, the board, and what an outcome becomes."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import CancelledError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasehold.db.target import Target
from leasehold.kernel.ends import DELAY_MAX_S, DETAIL_MAX, end_of
from leasehold.kernel.holders import Kept
from leasehold.kernel.steps import Lease
from leasehold.types import Done, ErrorClass, Skip, Snooze, StepError, StepLease
from leasehold.worker.board import BETWEEN, WHOLE_PAGE, Board, slots_for
from leasehold.worker.children import Child
from leasehold.worker.claiming import HINT_AGE_S, HINT_BEHIND, PAGE_MAX, PAGE_S, RESCAN_EVERY_S, Place
from leasehold.worker.held import Ledger
from leasehold.worker.keeper import STOPPED_S, Keeper, KeeperConfig
from leasehold.worker.kinds import Kind
from leasehold.worker.pools import Pools
from leasehold.worker.threads import Threads

KIND = Kind(name="work", timeout_s=1, run=lambda step: None)


def lease(token: int, n: int = 2, alone: bool = False) -> Lease:
    return Lease(token, 1, tuple((token * 1024 + i, 1) for i in range(n)), None, alone)


def ledger(idle=lambda: None) -> Ledger:
    return Ledger(Pools({"*": 10}), idle)


# -- the ledger -------------------------------------------------------------------------------------------------------


def test_a_lease_is_held_until_its_last_step_is_settled_although_its_consumers_are_free():
    idle = []
    held = ledger(lambda: idle.append(True))
    held.take(lease(7), KIND, 1.0)
    held.free(KIND)
    held.free(KIND)
    assert held.in_consumers["work"] == 0
    assert held.busy
    held.settle(7)
    assert not idle
    held.settle(7)
    assert idle == [True]
    assert held.empty


def test_settling_what_is_not_held_is_a_bug_that_is_said_at_once():
    held = ledger()
    held.take(lease(7), KIND, 1.0)
    with pytest.raises(AssertionError, match="too many"):
        held.settle(7, 3)
    with pytest.raises(KeyError):
        held.settle(8)


def test_a_heartbeat_takes_away_only_what_was_leased_before_it_was_sent():
    held = ledger()
    old, young = held.take(lease(7), KIND, 1.0), held.take(lease(8), KIND, 3.0)
    assert held.compare(2.0, Kept(frozenset()))
    assert old.lost
    assert not young.lost
    assert not held.compare(2.0, Kept(frozenset()))
    assert held.busy
    assert held.compare(4.0, None)
    assert not held.busy
    assert not held.empty


def test_a_lost_lease_neither_keeps_the_worker_alone_nor_busy():
    held = ledger()
    held.take(lease(7, 1, alone=True), KIND, 1.0)
    assert held.alone
    held.lose_all()
    assert not held.alone
    assert not held.busy


# -- threads ----------------------------------------------------------------------------------------------------------


def test_threads_are_started_when_needed_survive_errors_and_end_with_the_process():
    threads = Threads(2, "parts")
    with pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 // 0).result(5)
    assert [threads.submit(lambda n=n: n).result(5) for n in range(20)] == list(range(20))
    mine = [thread for thread in threading.enumerate() if thread.name.startswith("parts-")]
    assert 1 <= len(mine) <= 2
    assert all(thread.daemon for thread in mine)
    threads.shutdown()
    assert not any(thread.is_alive() for thread in mine)


def test_a_shutdown_cancels_what_has_not_begun_and_does_not_wait_for_what_hangs():
    threads, gate = Threads(1, "parts"), threading.Event()
    hanging, waiting = threads.submit(gate.wait, 10), threads.submit(lambda: None)
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result(5)
    with pytest.raises(RuntimeError, match="shut down"):
        threads.submit(lambda: None)
    gate.set()
    assert hanging.result(5) is True


# -- the board --------------------------------------------------------------------------------------------------------


def test_a_board_has_a_slot_for_every_step_and_every_page_of_every_consumer():
    board = Board.create(slots_for(10_000))
    try:
        board.begin(19_999, 7, 1024, 5.0)
        board.begin(0, 8, 2048, 5.0)
        assert [(one.slot, one.token, one.step_id) for one in board.working()] == [(0, 8, 2048), (19_999, 7, 1024)]
        board.end(0)
        board.count(3, 1)
        other = Board(os.dup(board.fd))
        assert other.slots >= 20_000
        assert other.counts() == (3, 1)
        assert [one.slot for one in other.working()] == [19_999]
        other.close()
    finally:
        board.close()


class Dead:
    stdin = None
    pid = 1


@pytest.fixture
def child():
    made = Child(0, Dead(), Board.create(4))
    yield made
    made.close()


def steady(child: Child) -> None:
    """Its event loop has had its turns for long."""
    child.board.pulse()
    child.hung()
    child._steady_s = time.monotonic() - 60


def test_a_keeper_ends_nobody_for_what_it_saw_only_once(child):
    """A board may be read while its child is stopped in the middle of a write."""
    steady(child)
    child.board.begin(0, 7, 1024, -5.0)
    (seen,) = child.board.working()
    assert child.hung() == (False, None)
    assert child.hung() == (True, seen)
    child.board.begin(0, 7, 2048, -5.0)  # another step by now
    assert child.hung() == (False, None)
    child.board.begin(0, 7, 2048, 60.0)
    assert child.hung() == (False, None)
    assert child.hung() == (False, None)


def test_while_the_interpreter_is_kept_only_a_step_that_runs_by_itself_is_blamed(child):
    child.board.begin(0, 7, 1024, -5.0)
    child.board.begin(1, 7, 1025, -5.0)
    child.hung()
    assert child.hung() == (True, None)
    assert child.suspects() == [1024, 1025]
    child.board.end(1)
    ended, blamed = child.hung()
    assert ended
    assert blamed.step_id == 1024


def test_victims_of_a_kept_interpreter_get_a_moment_when_it_goes_on(child):
    child.board.begin(0, 7, 1024, -5.0)
    child.board.begin(1, 7, 1025, -5.0)
    child.hung()
    child.board.pulse()
    assert child.hung() == (False, None)
    assert child.hung() == (False, None)


def test_a_page_between_its_steps_is_ended_without_blaming_one(child):
    steady(child)
    child.board.begin(0, 7, BETWEEN, -5.0)
    child.hung()
    assert child.hung() == (True, None)


def test_a_keeper_that_was_itself_stopped_asks_before_it_stops_its_children(child, monkeypatch):
    """Nobody may have reaped them: a late heartbeat still keeps. It asks at once, and judges a moment later."""
    keeper = Keeper(KeeperConfig(target=Target(url="postgresql:///nowhere"), kinds="nothing:at_all", processes=1))
    stood_down = []
    monkeypatch.setattr(keeper, "_look_after", lambda child, now: None)
    monkeypatch.setattr(keeper, "_stand_down", stood_down.append)
    slept_s = keeper.config.lease.ttl_s * 2
    child.holder_id, child.kept_s = 7, time.monotonic() - slept_s
    keeper._children[0] = child
    keeper._ticked_s = time.monotonic() - slept_s
    keeper._tick()
    assert keeper._beats._hurry.is_set()
    assert stood_down == []
    assert time.monotonic() < keeper._judge_from_s <= time.monotonic() + STOPPED_S
    keeper._judge_from_s = time.monotonic()  # that moment later, and no heartbeat was confirmed
    keeper._tick()
    assert len(stood_down) == 1


def test_suspects_are_the_steps_a_dead_child_was_working_on_or_nobody_knows(child):
    board = child.board
    assert child.suspects() is None
    board.begin(0, 7, 1024, 60)
    board.begin(1, 8, BETWEEN, 60)
    assert child.suspects() == [1024]
    board.end(0)
    assert child.suspects() == []
    board.begin(2, 9, WHOLE_PAGE, 60)
    assert child.suspects() is None


# -- outcomes ---------------------------------------------------------------------------------------------------------

anything = st.one_of(st.text(st.characters(), max_size=50), st.integers(), st.none(), st.binary(max_size=5))
times = st.one_of(st.floats(), st.integers(-(10**30), 10**30), st.none(), st.text(max_size=3))
outcomes = st.one_of(
    st.builds(Done, anything),
    st.builds(Skip, anything, anything),
    st.builds(Snooze, times, anything, anything),
    st.builds(lambda reason, detail, remedy, kind, after: StepError(
        reason, detail, remedy=remedy, error_class=kind, retry_after_s=after),
        anything, anything, anything, st.sampled_from(ErrorClass), times),
)  # fmt: skip


@given(outcomes)
def test_every_outcome_becomes_an_end_that_the_database_can_store(outcome):
    end = end_of(StepLease(1024, 7, 1), outcome)
    assert end.ended in ("succeeded", "cancelled", "snoozed", "error", "failed")
    for text in (end.reason, end.detail):
        assert text is None or ("\x00" not in text and len(text.encode("utf-8")) <= 4 * DETAIL_MAX)
    assert end.delay_s is None or 0 <= end.delay_s <= DELAY_MAX_S
    assert end.wait_key is None or isinstance(end.wait_key, bytes)
    assert end.ended != "snoozed" or end.delay_s is not None


def test_threads_run_as_many_at_once_as_their_size():
    threads, gate = Threads(3, "parts"), threading.Barrier(3, timeout=60)
    for future in [threads.submit(gate.wait) for _ in range(3)]:
        future.result(60)  # none goes on before all three are there
    threads.shutdown()


# -- pages ------------------------------------------------------------------------------------------------------------


def test_the_next_page_of_a_lane_is_as_long_as_its_steps_allow_and_grows_again_by_and_by():
    place = Place()
    assert place.page == PAGE_MAX, "nothing is known yet"
    place.took(PAGE_S / 10)
    assert place.page == 10
    place.took(30 * PAGE_S)
    assert place.page == 1
    sizes = []
    for _ in range(6):
        place.took(0.0)
        sizes.append(place.page)
    assert sizes == [4, 16, 64, 256, PAGE_MAX, PAGE_MAX]


# -- hints ------------------------------------------------------------------------------------------------------------


def test_a_hint_is_of_age_and_every_lane_is_scanned_from_its_start_again_and_again():
    """A step that was committed late stands behind the hint of whoever went past its position; nobody would ever see it
    were the hint as new as the last claim, or the lane never scanned again."""
    place, now = Place(), 1000.0
    assert place.hint(now) == 0, "nothing is known yet"
    place.positions.extend([(now, 7), (now + 0.5, 9)])
    assert place.hint(now + HINT_AGE_S * 0.9) == 0, "no position is old enough"
    assert place.hint(now + HINT_AGE_S + 0.1) == 7
    assert place.hint(now + HINT_AGE_S + 0.6) == 9
    assert place.hint(now + RESCAN_EVERY_S) == 0, "from the start"
    assert place.hint(now + RESCAN_EVERY_S + 0.1) == 9


def test_a_hint_is_younger_where_so_much_was_claimed_since_that_walking_over_it_would_take_long():
    place, now = Place(rescan_at=9e9), 1000.0
    place.positions.extend([(now, 7), (now, 9), (now, 8 + HINT_BEHIND)])
    assert place.hint(now) == 7
    place.positions.append((now, 10 + HINT_BEHIND))
    assert place.hint(now) == 9
