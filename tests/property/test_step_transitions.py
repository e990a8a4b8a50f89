"""The kernel against `states.STEP`: every (state, event) pair, and any sequence of verbs that Hypothesis finds."""

from __future__ import annotations

import os

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

from leasehold import states
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import Refused
from leasehold.kernel import checks, groups, steps
from leasehold.kernel.groups import WorkflowStep
from leasehold.states import BLOCKED, CANCELLED, DELAYED, FAILED, LEASED, READY, STEP, SUCCEEDED
from leasehold.testing.clock import Clock
from leasehold.testing.stories import Kernel

ALL_STATES = (BLOCKED, READY, DELAYED, LEASED, SUCCEEDED, FAILED, CANCELLED)
CHAIN = [WorkflowStep("a", (1,), attempts_max=2), WorkflowStep("b", attempts_max=2)]
FORK = [
    WorkflowStep("a", (1, 2), attempts_max=2),
    WorkflowStep("b", (3,), attempts_max=2),
    WorkflowStep("c", (3,), attempts_max=2),
    WorkflowStep("d", attempts_max=2),
]
WORDS = {"succeed": "succeeded", "skip": "cancelled", "fail": "failed", "error": "error", "snooze": "snoozed"}
SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))
EXAMPLES = 3000 if SOAK else 40
PHASES = tuple(Phase) if SOAK else (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking a failure takes up to five minutes and heeds no timeout, so a test with less ends without a word of what it
has found. The short form shows the sequence as it was found; the soak shrinks it."""


@pytest.fixture(scope="module")
def place(databases):
    """One database for all examples of this file; each begins with empty tables."""
    with databases.clone() as url, Session(Target(url=url)) as session:
        yield Kernel(session), Clock(session).hold()


# -- every pair -------------------------------------------------------------------------------------------------------


SHAPES = {"chain": (CHAIN, 1, "b"), "fork": (FORK, 2, "c")}
ENDED = {DELAYED: "snoozed", SUCCEEDED: "succeeded", FAILED: "failed", CANCELLED: "cancelled"}
PAIRS = [
    (shape, state, event)
    for shape in SHAPES
    for state in ALL_STATES
    for event in STEP
    if not (shape == "chain" and event == "run ends" and state != BLOCKED)  # there is no sibling that could end it
]


def bring(kernel, shape, state):
    """A run whose second step stands in *state*; (step, its last token)."""
    workflow, ix, kind = SHAPES[shape]
    (run,) = kernel.add_runs(1, steps=workflow)
    step, token = run * 1024 + ix, 0
    if state != BLOCKED:
        kernel.succeed(kernel.claim("a", by="other"))
    if state in (DELAYED, LEASED, SUCCEEDED, FAILED, CANCELLED):
        lease = kernel.claim(kind, by="owner", deadline_s=500)
        token = lease.token
        if state != LEASED:
            kernel.finish(lease, ENDED[state], delay_s=100)
    assert kernel.state(step) == state
    return step, token


def happen(kernel, clock, event, step, token):  # noqa: PLR0912
    """Let the event happen to the step as the world would: through the verb, whatever state the step is in."""
    group = kernel.group_of(step)
    match event:
        case "claim":
            lane = kernel.session.fetch("select lane_id from leasehold.step where step_id = %s", (step,))[0][0]
            kernel.claim_lanes([lane], "newcomer", n=10)
        case "succeed" | "skip" | "fail" | "error" | "snooze":
            kernel.finish_pairs([(token, step)], WORDS[event], delay_s=50)
        case "release":
            steps.release(kernel.session, [(token, step)])
        case "holder dies":
            kernel.holder("owner")
            kernel.bury("owner")
        case "deadline passes":
            clock.advance(501)
            kernel.expire_leases()
        case "come due":
            clock.advance(101)
            kernel.promote()
        case "last parent succeeds":
            if kernel.state(step & ~1023) == READY:
                kernel.succeed(kernel.claim("a", by="other"))
        case "run ends":
            for sibling, kind in ((step & ~1023, "a"), (step - 1, "b")):
                if kernel.state(sibling) == READY:
                    kernel.fail(kernel.claim(kind, by="other"))
        case "group cancelled":
            kernel.cancel(group)
            kernel.sweep()
        case "run cancelled":
            kernel.cancel_runs(step >> 10)
        case "put off":
            kernel.put_off(step >> 10)
        case "retry":
            kernel.retry(group)


@pytest.mark.parametrize(("shape", "state", "event"), PAIRS)
def test_an_event_leads_where_the_table_says_and_a_pair_that_is_not_in_it_changes_nothing(place, shape, state, event):
    kernel, clock = place
    kernel.forget_everything()
    step, token = bring(kernel, shape, state)

    happen(kernel, clock, event, step, token)

    allowed = STEP[event].get(state, frozenset({state}))
    if event == "retry" and state == CANCELLED:
        allowed = frozenset({CANCELLED})  # its run was skipped, not failed: only siblings of a failed step run again
    assert kernel.state(step) in allowed
    kernel.check()


def test_a_cancelled_sibling_of_a_failed_step_runs_again(place):
    kernel, _ = place
    kernel.forget_everything()
    (run,) = kernel.add_runs(1, steps=CHAIN)
    kernel.fail(kernel.claim("a"))
    assert kernel.states(run) == [FAILED, CANCELLED]
    kernel.retry(kernel.group_of(run * 1024))
    assert kernel.states(run) == [READY, BLOCKED]
    kernel.check()


def test_every_state_of_the_table_is_known():
    named = {state for event in STEP.values() for before, after in event.items() for state in (before, *after)}
    assert named == set(ALL_STATES)
    assert {SUCCEEDED, FAILED, CANCELLED} == states.STEP_END


# -- any sequence -----------------------------------------------------------------------------------------------------

HOLDERS = st.sampled_from(["A", "B", "C"])


class Verbs(RuleBasedStateMachine):
    """Holders, keepers and operators in any order; leases are never forgotten, so stale tokens are used too."""

    kernel: Kernel
    clock: Clock

    @initialize(shape=st.sampled_from([CHAIN, FORK]), runs=st.integers(1, 3), seal=st.booleans())
    def submit(self, shape, runs, seal):
        self.kernel.forget_everything()
        self.group = self.kernel.group(steps=shape)
        self.kernel.add(self.group, runs)
        self.cancelled = False
        if seal:
            self.kernel.seal(self.group)
        self.leases = []  # (lease, holder), old ones too
        self.sent = None
        self.lost = 0

    # -- what may change ----------------------------------------------------------------------------------------------

    def watch(self, event, targets, act):
        """Do it, and hold every step's change against the table; what it answered."""
        before = self.kernel.all_states()
        answer = act()
        self.compare(event, targets, before)
        return answer

    def compare(self, event, targets, before):
        after = self.kernel.all_states()
        touched_runs = {step >> 10 for step in targets}
        for step, (state, _) in before.items():
            allowed = STEP[event].get(state, frozenset({state})) if step in targets else frozenset({state})
            if step >> 10 in touched_runs:
                allowed |= STEP["run ends"].get(state, frozenset()) | STEP["last parent succeeds"].get(
                    state, frozenset()
                )
            assert after[step][0] in allowed, (event, step, state, after[step][0])

    def held_by(self, name):
        """The steps that the holder of that name holds now."""
        standing = self.kernel.all_states()
        return {step for lease in self.held(name) for step, _ in lease.steps if standing[step] == (LEASED, lease.token)}

    def held(self, name):
        return [lease for lease, holder in self.leases if holder == name]

    # -- holders ------------------------------------------------------------------------------------------------------

    @rule(name=HOLDERS, data=st.data(), n=st.integers(1, 4), deadline_s=st.sampled_from([40, 4000]))
    def claim(self, name, data, n, deadline_s):
        self.claim_some(name, data, n, deadline_s)

    def claim_some(self, name, data, n, deadline_s):
        kinds = sorted({lane.kind for lane in self.kernel.lanes(*"abcd")})
        if not kinds:
            return
        before = self.kernel.all_states()
        lease = self.kernel.claim(data.draw(st.sampled_from(kinds)), by=name, n=n, deadline_s=deadline_s)
        after = self.kernel.all_states()
        taken = {step for step, _ in lease.steps} if lease else set()
        assert all(before[step][0] == READY for step in taken)
        for step, (state, _) in before.items():
            assert after[step][0] == (LEASED if step in taken else state)
        if lease is not None:
            self.leases.append((lease, name))

    @rule(name=HOLDERS, data=st.data())
    def claim_much(self, name, data):
        self.claim_some(name, data, 4, 4000)

    @precondition(lambda self: self.leases)
    @rule(name=HOLDERS)
    def send_the_claim_again(self, name):
        before = self.kernel.all_states()
        holder = self.kernel.holder(name)
        number = self.kernel.claim_nos.get(holder, 0)
        lanes = [row[0] for row in self.kernel.session.fetch("select lane_id from leasehold.lane")]
        taken = self.kernel.counted("lease")
        if number and any(lease for lease in self.held(name) if before_has(before, lease)):
            again = self.kernel.claim_lanes(lanes, name, n=4, claim_no=number)
            assert {lease.token for lease in again} <= {lease.token for lease in self.held(name)}
            assert self.kernel.counted("lease") == taken
            assert self.kernel.all_states() == before

    @precondition(lambda self: self.leases)
    @rule(data=st.data(), event=st.sampled_from(sorted(WORDS)))
    def finish(self, data, event):
        self.finish_some(data, event, self.leases)

    @precondition(lambda self: self.living())
    @rule(data=st.data(), event=st.sampled_from(["succeed", "succeed", "fail", "error", "snooze"]))
    def finish_what_is_held(self, data, event):
        self.finish_some(data, event, self.living())

    @precondition(lambda self: self.living())
    @rule()
    def succeed_with_everything(self):
        for lease, _ in self.living():
            held = [step for step, _ in lease.steps if self.kernel.all_states()[step] == (LEASED, lease.token)]
            assert self.watch(
                "succeed", set(held), lambda lease=lease, held=held: self.kernel.succeed(lease, held)
            ) == (["accepted"] * len(held))

    def living(self):
        tokens = {token for state, token in self.kernel.all_states().values() if state == LEASED}
        return [(lease, name) for lease, name in self.leases if lease.token in tokens]

    def finish_some(self, data, event, leases):
        lease, _ = data.draw(st.sampled_from(leases))
        ids = [step for step, _ in lease.steps]
        page = data.draw(st.lists(st.sampled_from(ids), unique=True, min_size=1))
        standing = self.kernel.all_states()
        mine = [step for step in page if standing[step] == (LEASED, lease.token)]
        verdicts = self.watch(event, set(mine), lambda: self.kernel.finish(lease, WORDS[event], page, delay_s=30))
        assert [step for step, verdict in zip(page, verdicts, strict=True) if verdict == "accepted"] == mine
        self.sent = (lease, event, page, verdicts)
        self.lost += verdicts.count("lost")

    @precondition(lambda self: self.sent)
    @rule()
    def send_the_finish_again(self):
        lease, event, page, said = self.sent
        before = self.kernel.all_states()
        verdicts = self.kernel.finish(lease, WORDS[event], page, delay_s=30)
        assert verdicts == ["lost" if verdict == "lost" else "already accepted" for verdict in said]
        self.lost += verdicts.count("lost")
        assert self.kernel.all_states() == before

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def release(self, data):
        lease, _ = data.draw(st.sampled_from(self.leases))
        standing = self.kernel.all_states()
        mine = {step for step, _ in lease.steps if standing[step] == (LEASED, lease.token)}
        n = self.watch("release", mine, lambda: self.kernel.release(lease))
        assert n == len(mine)

    def die(self, name):
        mine = self.held_by(name)
        self.kernel.holder(name)
        self.watch("holder dies", mine, lambda: self.kernel.bury(name))
        self.kernel.holders.pop(name)

    def leave(self, name):
        mine = self.held_by(name)
        self.kernel.holder(name)
        self.watch("release", mine, lambda: self.kernel.leave(name))
        self.kernel.holders.pop(name)

    @rule(names=st.sets(HOLDERS), seconds=st.sampled_from([1, 20, 31]))
    def time_passes(self, names, seconds):
        """Some say that they live; then the time passes, and a keeper reaps whoever did not."""
        self.kernel.holder("keeper")
        self.kernel.heartbeat("keeper", *names)
        self.clock.advance(seconds)
        before = self.kernel.all_states()
        held = {name: self.held_by(name) for name in self.kernel.holders}
        gone = {one.holder_id for one in self.kernel.reap("keeper")}
        dead = {name for name, holder in self.kernel.holders.items() if holder in gone}
        self.compare("holder dies", set().union(*(held[name] for name in dead)), before)
        assert len(dead) == len(gone)
        assert not dead & names or seconds > 30
        for name in dead:
            self.kernel.holders.pop(name)

    @rule(name=HOLDERS, how=st.sampled_from(["die", "die", "leave"]))
    def go(self, name, how):
        getattr(self, how)(name)

    # -- keepers and operators ----------------------------------------------------------------------------------------

    @precondition(lambda self: hasattr(self, "group"))
    @rule(data=st.data(), wish=st.sampled_from(["cancel", "put off", "put off"]))
    def one_run(self, data, wish):
        """An operator cancels a single run, or puts it off."""
        before = self.kernel.all_states()
        run = data.draw(st.sampled_from(sorted({step >> 10 for step in before})))
        self.kernel.cancel_runs(run) if wish == "cancel" else self.kernel.put_off(run)
        after = self.kernel.all_states()
        event = "run cancelled" if wish == "cancel" else "put off"
        for step, (state, _) in before.items():
            assert after[step][0] in (STEP[event].get(state, {state}) if step >> 10 == run else {state})
        if wish == "cancel":
            assert {after[step][0] for step in after if step >> 10 == run} <= {SUCCEEDED, FAILED, CANCELLED}

    @rule(duty=st.sampled_from(["promote", "promote", "expire", "fold"]))
    def keep(self, duty):
        getattr(self, duty)()

    @rule(wish=st.sampled_from(["retry", "retry", "retry", "add", "seal", "sweep", "cancel"]))
    def operate(self, wish):
        getattr(self, wish)()

    def promote(self):
        delayed = {step for step, (state, _) in self.kernel.all_states().items() if state == DELAYED}
        before = self.kernel.all_states()
        self.kernel.promote()
        after = self.kernel.all_states()
        for step, (state, _) in before.items():
            assert after[step][0] in ({DELAYED, READY} if step in delayed else {state})

    def expire(self):
        leased = {step for step, (state, _) in self.kernel.all_states().items() if state == LEASED}
        before = self.kernel.all_states()
        taken = set(self.kernel.expire_leases())
        after = self.kernel.all_states()
        assert taken <= leased
        for step in taken:
            assert after[step][0] in STEP["deadline passes"][LEASED]
        for step in leased - taken:
            assert after[step] == before[step]

    def cancel(self):
        if self.kernel.cancel(self.group):
            self.cancelled = True

    def sweep(self):
        before = self.kernel.all_states()
        self.kernel.sweep()
        after = self.kernel.all_states()
        for step, (state, _) in before.items():
            allowed = STEP["group cancelled"].get(state, {state}) if self.cancelled else {state}
            assert after[step][0] in allowed | {state}
        open_group = not self.kernel.group_state(self.group).completed
        if self.cancelled and open_group:
            assert not {state for state, _ in after.values()} & {BLOCKED, READY, DELAYED, LEASED}

    def retry(self):
        before = self.kernel.all_states()
        try:
            reopened = self.kernel.retry(self.group)
        except Refused:
            assert self.cancelled
            reopened = 0
        after = self.kernel.all_states()
        for step, (state, _) in before.items():
            assert after[step][0] in STEP["retry"].get(state, frozenset()) | {state}
        if not reopened:
            assert after == before

    def add(self):
        try:
            self.kernel.add(self.group, 1)
        except Refused:
            assert self.cancelled

    def seal(self):
        self.kernel.seal(self.group)

    def fold(self):
        groups.fold_all(self.kernel.session)

    @invariant()
    def all_is_well(self):
        if hasattr(self, "group"):
            assert checks.violations(self.kernel.session) == []
            assert self.kernel.refused() == self.lost

    def teardown(self):
        if hasattr(self, "group"):
            self.kernel.check()


def before_has(before, lease):
    return any(before[step] == (LEASED, lease.token) for step, _ in lease.steps)


@pytest.mark.timeout(7200 if SOAK else 900)  # 12,000 statements: 6 s, or 60 s where twelve others want the two cores
def test_no_sequence_of_verbs_leaves_the_table_or_breaks_an_invariant(place):
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
