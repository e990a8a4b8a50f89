"""The ration of looks for nothing: how many there can be, and that little hearing never waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leasehold.worker.rationing import AT_ONCE, PER_S, Ration

gaps = st.lists(st.floats(0, 2, allow_nan=False), max_size=300)


@given(gaps)
def test_looks_for_nothing_stay_under_the_rate_however_often_work_is_announced(between):
    ration, now, looks = Ration(), 1000.0, 0
    for gap in between:
        now += gap
        if ration.wait_s(now) <= 0:
            ration.spend(now)
            looks += 1
    assert looks <= AT_ONCE + PER_S * (now - 1000.0) + 1


@given(gaps)
def test_nobody_waits_longer_than_one_share_and_after_that_wait_may_look(between):
    ration, now = Ration(), 0.0
    for gap in between:
        now += gap
        wait = ration.wait_s(now)
        assert 0 <= wait <= 1 / PER_S + 1e-9
        assert ration.wait_s(now + wait + 1e-6) == 0
        now += wait + 1e-6
        ration.spend(now)


def test_who_hears_less_than_the_rate_never_waits():
    ration, now = Ration(), 0.0
    for _ in range(1000):
        now += 1.01 / PER_S
        assert ration.wait_s(now) == 0
        ration.spend(now)


def test_a_clock_that_steps_back_gives_nothing_and_takes_nothing():
    ration = Ration()
    for _ in range(int(AT_ONCE)):
        ration.spend(100.0)
    assert ration.wait_s(50.0) > 0
    assert ration.wait_s(100.0 + 1.1 / PER_S) == 0
