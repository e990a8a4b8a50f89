"""Seats against `states.SEAT`: every (state, event) pair, and any sequence of verbs that Hypothesis finds."""

from __future__ import annotations

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import checks, seats
from leasehold.kernel.seats import Seat
from leasehold.states import SEAT
from leasehold.testing.clock import Clock
from leasehold.testing.stories import Kernel

LOCK, SHARE = "model:a", "kind:work"
STATES = ("free", "leased", "held", "gone")
SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))
EXAMPLES = 2000 if SOAK else 15
PHASES = tuple(Phase) if SOAK else (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking takes longer than the test's timeout, and hides what was found: for the soak only."""


@pytest.fixture(scope="module")
def place(databases):
    """One database for all examples of this file; each begins with empty tables."""
    with databases.clone() as url, Session(Target(url=url)) as session:
        yield Kernel(session), Clock(session).hold()


def standing(kernel):
    """How many seats of each key are free, leased and held."""
    found = {LOCK: Counter(), SHARE: Counter()}
    rows = kernel.session.fetch(
        "select key, case when holder_id is null then 'free' when leased then 'leased' else 'held' end, count(*) "
        "from leasehold.seat group by 1, 2"
    )
    for key, state, n in rows:
        found[key][state] = n
    return found


# -- every pair -------------------------------------------------------------------------------------------------------


def bring(kernel, state):
    """A lock in *state*, with a step behind it."""
    kernel.add_runs(2, seats={"work": LOCK})
    kernel.seat = kernel.lease = None
    match state:
        case "leased":
            kernel.lease = kernel.claim(by="owner", deadline_s=500)
        case "held":
            kernel.seat = seats.take(kernel.session, kernel.holder("owner"), LOCK)
        case "gone":
            seats.set_limit(kernel.session, LOCK, 0)


def happen(kernel, clock, event):
    """Let the event happen as the world would: through its verb, whatever state the seat is in."""
    match event:
        case "claim":
            kernel.claim(by="newcomer")
        case "take":
            seats.take(kernel.session, kernel.holder("taker"), LOCK)
        case "step ends":
            if kernel.lease:
                kernel.succeed(kernel.lease)
        case "give back":
            seats.give_back(kernel.session, kernel.seat or Seat(LOCK, kernel.holder("owner"), 1))
        case "holder ends":
            kernel.holder("owner")
            kernel.bury("owner")
        case "deadline passes":
            clock.advance(501)
            kernel.expire_leases()
        case "group cancelled":
            (group,) = kernel.session.fetch("select group_id from leasehold.run_group")[0]
            kernel.cancel(group)
            kernel.sweep()
        case "break":
            seats.break_(kernel.session, LOCK, by="operator", force=True)
        case "shrink":
            seats.set_limit(kernel.session, LOCK, 0)
        case "grow":
            seats.set_limit(kernel.session, LOCK, 1)


@pytest.mark.parametrize("shrunk", [False, True], ids=["", "limit lowered meanwhile"])
@pytest.mark.parametrize("event", SEAT)
@pytest.mark.parametrize("state", STATES)
def test_an_event_leads_where_the_table_says_and_a_pair_that_is_not_in_it_changes_nothing(place, state, event, shrunk):
    kernel, clock = place
    kernel.forget_everything()
    bring(kernel, state)
    if shrunk and state in ("leased", "held"):
        seats.set_limit(kernel.session, LOCK, 0)

    happen(kernel, clock, event)

    found = standing(kernel)[LOCK]
    now = next((one for one in ("leased", "held", "free") if found[one]), "gone")
    assert found.total() <= 1
    assert now in SEAT[event].get(state, frozenset({state})), (state, event, now)
    if shrunk and state in ("leased", "held") and now not in (state, "gone"):
        assert event == "grow"
    kernel.check()


def test_every_state_of_the_table_is_known():
    assert {state for moves in SEAT.values() for before, after in moves.items() for state in (before, *after)} == set(
        STATES
    )


# -- any sequence -----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["A", "B", "C"])
KEYS = st.sampled_from([LOCK, SHARE])


class Verbs(RuleBasedStateMachine):
    """Workers, programs and operators in any order. What is watched: the table, the limits, the tokens, the line."""

    kernel: Kernel
    clock: Clock

    @initialize(lock=st.integers(1, 3), share=st.integers(1, 4))
    def submit(self, lock, share):
        self.kernel.forget_everything()
        self.group = self.kernel.group(seats={"work": LOCK})
        self.kernel.add(self.group, 12)
        seats.set_limit(self.kernel.session, LOCK, lock)
        seats.set_limit(self.kernel.session, SHARE, share)
        self.limits = {LOCK: lock, SHARE: share}
        self.taken = {LOCK: 0, SHARE: 0}
        self.leases, self.seats, self.tokens = [], [], {LOCK: 0, SHARE: 0}

    def watch(self, event, act):
        """Do it, and hold what became of every resource's seats against the table; what it answered."""
        before = standing(self.kernel)
        answer = act()
        after, moves = standing(self.kernel), SEAT[event]
        for key, was in before.items():
            now = after[key]
            fewer = {state for state in ("free", "leased", "held") if now[state] < was[state]}
            more = {state for state in ("free", "leased", "held") if now[state] > was[state]}
            assert fewer <= set(moves), (event, key, was, now)
            origins = fewer | ({"gone"} if now.total() > was.total() else set())
            assert more <= set().union(*(moves.get(state, frozenset()) for state in origins)), (event, key, was, now)
            taken = now["leased"] + now["held"]
            assert taken <= max(self.limits[key], self.taken[key]), "usage rises to the limit at most"
            self.taken[key] = taken
        return answer

    def fresh(self, key, token):
        assert token > self.tokens[key], "a resource's tokens only rise"
        self.tokens[key] = token

    def held_now(self):
        return {(one.key, one.token) for one in seats.taken(self.kernel.session)}

    # -- steps --------------------------------------------------------------------------------------------------------

    @rule(name=NAMES, n=st.integers(1, 4), deadline_s=st.sampled_from([40, 4000]))
    def claim(self, name, n, deadline_s):
        lease = self.watch("claim", lambda: self.kernel.claim(by=name, n=n, deadline_s=deadline_s))
        if lease is not None:
            assert len(lease.steps) <= self.limits[SHARE]
            self.fresh(LOCK, lease.token), self.fresh(SHARE, lease.token)
            self.leases.append(lease)

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), how=st.sampled_from(["succeeded", "succeeded", "failed", "error", "release"]))
    def end_steps(self, data, how):
        lease = data.draw(st.sampled_from(self.leases))
        ids = data.draw(st.lists(st.sampled_from([step for step, _ in lease.steps]), unique=True, min_size=1))
        if how == "release":
            self.watch("step ends", lambda: self.kernel.release(lease, ids))
        else:
            self.watch("step ends", lambda: self.kernel.finish(lease, how, ids, delay_s=0))

    # -- programs -----------------------------------------------------------------------------------------------------

    @rule(name=NAMES, key=KEYS, wait=st.booleans())
    def take(self, name, key, wait):
        holder = self.kernel.holder(name)
        had = {one.token for one in seats.taken(self.kernel.session, key) if one.holder_id == holder and not one.leased}
        ahead = [one.name for one in seats.line(self.kernel.session, key) if one.asking]
        answer = self.watch("take", lambda: seats.take(self.kernel.session, holder, key, wait=wait))
        if isinstance(answer, Seat) and not had:
            self.fresh(key, answer.token)
            self.seats.append(answer)
            if name not in ahead:
                assert len(ahead) < self.limits[key], "nobody passes by the line"
        assert not had or answer.token in had

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def give_back(self, data):
        seat = data.draw(st.sampled_from(self.seats))
        mine = (seat.key, seat.token) in self.held_now()
        answer = self.watch("give back", lambda: seats.give_back(self.kernel.session, seat))
        assert answer or not mine

    @precondition(lambda self: self.seats)
    @rule(data=st.data())
    def confirm(self, data):
        seat = data.draw(st.sampled_from(self.seats))
        mine = (seat.key, seat.token) in self.held_now()
        assert self.kernel.session.run(lambda connection: seats.confirm(connection, seat)) == mine

    # -- keepers and operators ----------------------------------------------------------------------------------------

    @rule(name=NAMES, how=st.sampled_from(["bury", "leave"]))
    def go(self, name, how):
        self.kernel.holder(name)
        self.watch("holder ends", lambda: getattr(self.kernel, how)(name))
        self.kernel.holders.pop(name)

    @rule(names=st.sets(NAMES), seconds=st.sampled_from([1, 6, 31]))
    def time_passes(self, names, seconds):
        self.kernel.holder("keeper")
        self.kernel.heartbeat("keeper", *names)
        self.clock.advance(seconds)
        gone = {one.holder_id for one in self.watch("holder ends", lambda: self.kernel.reap("keeper"))}
        self.kernel.holders = {name: one for name, one in self.kernel.holders.items() if one not in gone}
        self.watch("deadline passes", self.kernel.expire_leases)
        self.kernel.promote()

    @rule(key=KEYS, n=st.integers(0, 4))
    def resize(self, key, n):
        grows = n >= self.limits[key]
        self.limits[key] = n
        self.watch("grow" if grows else "shrink", lambda: seats.set_limit(self.kernel.session, key, n))

    @rule(key=KEYS, force=st.booleans())
    def break_(self, key, force):
        self.watch("break", lambda: seats.break_(self.kernel.session, key, by="operator", force=force))

    @rule(key=KEYS)
    def pause_and_resume(self, key):
        seats.pause(self.kernel.session, key, for_s=100)
        before = self.taken[key]
        self.claim("A", 2, 4000)
        self.take("B", key, False)
        assert self.taken[key] == before
        seats.resume(self.kernel.session, key)

    @rule()
    def cancel(self):
        self.kernel.cancel(self.group)
        self.watch("group cancelled", self.kernel.sweep)
        self.group = self.kernel.group(seats={"work": LOCK})
        self.kernel.add(self.group, 6)

    @invariant()
    def all_is_well(self):
        if hasattr(self, "group"):
            assert checks.violations(self.kernel.session) == []

    def teardown(self):
        if hasattr(self, "group"):
            self.kernel.check()


@pytest.mark.timeout(
    3600 if SOAK else 900
)  # thousands of statements, each of which waits for its turn on a busy machine
def test_no_sequence_of_verbs_leaves_the_table_or_passes_a_limit(place):
    kernel, clock = place
    machine = type("Machine", (Verbs,), {"kernel": kernel, "clock": clock})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            phases=PHASES,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
