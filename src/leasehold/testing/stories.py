"""Stories: the kernel's verbs in few words, for tests that read as what happens.

Thin over the real calls: holders have names ("A"), a claim answers with a lease or None, verdicts are plain strings.
Every call is one transaction of the session given, unless that is a `races.Borrowed` one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import load
from leasehold.db.target import Target
from leasehold.kernel import checks, groups, holders, hooks, steps
from leasehold.kernel import runs as runs_of_kernel
from leasehold.kernel.groups import GroupState, WorkflowStep
from leasehold.kernel.holders import Ended
from leasehold.kernel.hooks import Call, Hook
from leasehold.kernel.steps import End, LaneRequest, Lease
from leasehold.testing.races import Borrowed

T = TypeVar("T")
PACKAGE = "leasehold.testing"
HOUR_S = 3600.0


@dataclass
class Kernel:
    """One test's view of the kernel. `within` gives the same view inside somebody's open transaction."""

    session: Session
    holders: dict[str, int] = field(default_factory=dict)
    claim_nos: dict[int, int] = field(default_factory=dict)

    # -- submitting ---------------------------------------------------------------------------------------------------

    def group(
        self,
        *kinds: str,
        steps: Sequence[WorkflowStep] | None = None,
        attempts_max: int = 3,
        hooks: Sequence[Hook] = (),
        events: Sequence[str] = (),
        **options: Any,
    ) -> int:
        """An open group of a chain of *kinds*, or of the workflow *steps*; *options* as of `groups.open_group`."""
        body = list(steps) if steps is not None else groups.chain(*(kinds or ("work",)), attempts_max=attempts_max)
        workflow = groups.register(self.session, "test", body, hooks=hooks, events=events)
        return groups.open_group(self.session, workflow, **options)[0]

    def add(self, group: int, n: int = 1) -> list[int]:
        """Add *n* runs; their ids."""
        first = groups.add_all(self.session, group, [{"n": i} for i in range(n)])
        return [] if first is None else list(range(first, first + n))

    def add_runs(self, n: int, *kinds: str, **options: Any) -> list[int]:
        """*n* runs in a new group, which is sealed; their ids."""
        group = self.group(*kinds, **options)
        runs = self.add(group, n)
        self.seal(group)
        return runs

    def add_step(self, *kinds: str, **options: Any) -> int:
        """One run in a new sealed group; the id of its first step."""
        return self.add_runs(1, *kinds, **options)[0] * 1024

    def seal(self, group: int) -> bool:
        return groups.seal(self.session, group)

    def group_of(self, step: int) -> int:
        return int(self._one("run_group_of", (step >> 10,)))

    # -- holders ------------------------------------------------------------------------------------------------------

    def holder(self, name: str = "A", *, ttl_s: float = 30) -> int:
        """The holder of that name, joined when it is first named."""
        if name not in self.holders:
            self.holders[name] = holders.join(self.session, kind="worker", name=name, ttl_s=ttl_s)
        return self.holders[name]

    def heartbeat(self, *names: str) -> dict[str, frozenset[int]]:
        """Who of these still lives, and the tokens each holds."""
        ids = {self.holder(name): name for name in names}
        return {ids[holder]: kept.tokens for holder, kept in holders.heartbeat(self.session, list(ids)).items()}

    def leave(self, name: str = "A") -> int:
        return holders.leave(self.session, self.holder(name))

    def reap(self, *callers: str) -> list[Ended]:
        return holders.reap(self.session, callers=[self.holder(name) for name in callers])

    def bury(self, name: str, *, blamed: int | None = None, reason: str = "killed") -> Ended | None:
        """The keeper has seen it die."""
        return holders.end_dead(self.session, self.holder(name), reason=reason, blamed_step=blamed)

    # -- claiming -----------------------------------------------------------------------------------------------------

    def lanes(self, *kinds: str) -> list[steps.Lane]:
        return steps.lanes(self.session, kinds)

    def claim(self, kind: str = "work", by: str = "A", n: int = 1, **options: Any) -> Lease | None:
        """Claim up to *n* steps of the first lane of *kind* that has work; None when nothing was taken."""
        found = [lane for lane in self.lanes(kind) if not lane.probe]
        leases = self.claim_lanes([lane.lane_id for lane in found[:1]], by, n, **options) if found else ()
        return leases[0] if leases else None

    def claim_lanes(
        self,
        lanes: Sequence[int],
        by: str = "A",
        n: int = 1,
        *,
        claim_no: int | None = None,
        hint: int = 0,
        deadline_s: float = HOUR_S,
        items: bool = False,
    ) -> tuple[Lease, ...]:
        """Claim from each of *lanes*. A *claim_no* that is given is sent as it is, else the holder's next one."""
        holder = self.holder(by)
        if claim_no is None:
            claim_no = self.claim_nos[holder] = self.claim_nos.get(holder, 0) + 1
        requests = [LaneRequest(lane, n, hint, deadline_s, items) for lane in lanes]
        return steps.claim(self.session, holder, claim_no, requests).leases

    def probe(self, kind: str = "work", by: str = "A", deadline_s: float = HOUR_S) -> Lease | None:
        """Claim the probe of the first lane of *kind* that may be probed; None when none may, or it was not got."""
        found = [lane for lane in self.lanes(kind) if lane.probe]
        return self.probe_lane(found[0].lane_id, by, deadline_s) if found else None

    def probe_lane(self, lane: int, by: str = "A", deadline_s: float = HOUR_S) -> Lease | None:
        holder = self.holder(by)
        number = self.claim_nos[holder] = self.claim_nos.get(holder, 0) + 1
        leases = steps.claim_probe(self.session, holder, number, LaneRequest(lane, 1, 0, deadline_s)).leases
        return leases[0] if leases else None

    # -- ending -------------------------------------------------------------------------------------------------------

    def finish(
        self, lease: Lease | None, ended: str = "succeeded", only: Sequence[int] | None = None, **how: Any
    ) -> list[str]:
        """Say how the steps of a lease (*only* some of them) ended; a verdict each."""
        assert lease is not None, "there is no lease to finish"
        ids = [step for step, _ in lease.steps] if only is None else only
        return self.finish_pairs([(lease.token, step) for step in ids], ended, **how)

    def finish_pairs(self, pairs: Sequence[tuple[int, int]], ended: str = "succeeded", **how: Any) -> list[str]:
        return [
            str(v) for v in steps.finish_all(self.session, [End(token, step, ended, **how) for token, step in pairs])
        ]

    def succeed(self, lease: Lease | None, only: Sequence[int] | None = None) -> list[str]:
        return self.finish(lease, only=only)

    def fail(self, lease: Lease | None, reason: str = "broken", only: Sequence[int] | None = None) -> list[str]:
        return self.finish(lease, "failed", only, reason=reason)

    def error(self, lease: Lease | None, only: Sequence[int] | None = None, **how: Any) -> list[str]:
        return self.finish(lease, "error", only, **{"reason": "flaky", **how})

    def snooze(self, lease: Lease | None, delay_s: float, only: Sequence[int] | None = None, **how: Any) -> list[str]:
        return self.finish(lease, "snoozed", only, delay_s=delay_s, **how)

    def release(self, lease: Lease, only: Sequence[int] | None = None) -> int:
        ids = [step for step, _ in lease.steps] if only is None else only
        return steps.release(self.session, [(lease.token, step) for step in ids])

    # -- the keepers' duties ------------------------------------------------------------------------------------------

    def promote(self) -> int:
        return steps.promote(self.session)[0]

    def expire_leases(self) -> list[int]:
        return holders.expire_leases(self.session)

    def cancel(self, group: int) -> bool:
        return groups.cancel(self.session, group)

    def cancel_runs(self, *runs: int, by: str = "ann") -> int:
        return runs_of_kernel.cancel(self.session, runs, by=by)

    def put_off(self, *runs: int, delay_s: float = 100) -> int:
        return runs_of_kernel.put_off(self.session, runs, delay_s, by="ann")

    def sweep(self) -> int:
        """Sweep cancelled groups until nothing is left; how much was ended."""
        total = 0
        while swept := groups.sweep_cancelled(self.session):
            total += swept
        return total

    def retry(self, group: int, *reasons: str) -> int:
        return groups.retry(self.session, group, reasons=reasons or None)

    def fold(self, group: int) -> bool:
        return groups.fold(self.session, group)

    # -- looking ------------------------------------------------------------------------------------------------------

    def state(self, step: int) -> str:
        """Where the step stands: blocked, ready, delayed, leased, succeeded, failed, cancelled."""
        return str(self._one("state_of", (step,)))

    def states(self, run: int) -> list[str]:
        """The states of a run's steps, in their order."""
        return [state for _, state in self._rows("states_of", (run,))]

    def all_states(self) -> dict[int, tuple[str, int | None]]:
        """State and token of every step."""
        return {step: (state, token) for step, state, token in self._rows("all_states", ())}

    def attempt(self, step: int) -> int | None:
        """The attempt that the step is on, or ended with."""
        return self._one("attempt_of", (step,))  # type: ignore[no-any-return]

    def alone(self, step: int) -> bool:
        return bool(self._one("alone_of", {"step": step}))

    def run_end(self, run: int) -> str | None:
        """How the run ended in its newest round; None while it is open."""
        return self._one("run_end_of", (run,))  # type: ignore[no-any-return]

    def outcomes(self, step: int) -> list[tuple[str, str | None]]:
        """(how it ended, reason) of every outcome of the step, oldest first."""
        return self._rows("outcomes_of", (step,))

    def delay_s(self, step: int) -> float:
        """In how many seconds a delayed step comes due."""
        return float(self._one("delay_of", (step,)))

    def group_state(self, group: int) -> GroupState:
        state = groups.state(self.session, group)
        assert state is not None
        return state

    def events(self, group: int, name: str | None = None) -> list[str]:
        names = [found for (found,) in self._rows("events_of", (group,))]
        return names if name is None else [found for found in names if found == name]

    def data_of_events(self, group: int) -> list[tuple[str, dict[str, Any]]]:
        """(name, data) of a group's events, in their order."""
        return self._rows("data_of_events", (group,))

    def counted(self, table: str) -> int:
        """Rows in one of the kernel's tables."""
        return int(self._one("counts", (table,)))

    def calls(self, hook: str | None = None, *states: str) -> list[Call]:
        """Calls of a hook, or of all, oldest event first."""
        return hooks.calls(self.session, hook=hook, states=states or None, limit=10_000)[::-1]

    def refused(self, verb: str = "finish") -> int:
        return checks.refusals(self.session).get(verb, 0)

    def check(self) -> None:
        """Every invariant holds, and every group that can be complete is, once its deltas are folded."""
        found = checks.violations(self.session)
        assert not found, f"invariants are broken: {found[:10]}"
        groups.fold_all(self.session)
        found = checks.violations(self.session) + [("unfolded", str(row)) for row in self._rows("not_completed", ())]
        assert not found, f"invariants are broken after folding: {found[:10]}"

    def forget_everything(self) -> None:
        """Empty the kernel's tables; registered workflows stay. Quicker than a new database for the next example."""
        self._rows("forget_everything", ())
        self.holders.clear()
        self.claim_nos.clear()

    # -- others' sessions ---------------------------------------------------------------------------------------------

    def within(self, connection: Connection) -> Kernel:
        """The same holders and claim numbers, inside the transaction that is open on *connection*."""
        return Kernel(Borrowed(connection), self.holders, self.claim_nos)

    def on(self, session: Session) -> Kernel:
        return Kernel(session, self.holders, self.claim_nos)

    def _rows(self, name: str, params: Sequence[Any] | dict[str, Any]) -> list[tuple[Any, ...]]:
        return self.session.run(lambda connection: execute(connection, load(PACKAGE, name), params))

    def _one(self, name: str, params: Sequence[Any] | dict[str, Any]) -> Any:
        rows = self._rows(name, params)
        return rows[0][0] if rows else None


def kernel_at(url: str) -> Kernel:
    """A kernel on a session of its own; the caller closes `kernel.session`."""
    return Kernel(Session(Target(url=url), application_name="leasehold testing"))


def drain(kernel: Kernel, *kinds: str, by: str = "A", n: int = 500, work: Callable[[Lease], Any] | None = None) -> int:
    """Claim and finish until nothing of *kinds* is ready; how many steps were finished."""
    done = 0
    while True:
        leases = kernel.claim_lanes([lane.lane_id for lane in kernel.lanes(*kinds)], by, n)
        if not leases:
            return done
        for lease in leases:
            (work or kernel.succeed)(lease)
            done += len(lease.steps)
