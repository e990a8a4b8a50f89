"""Checkpoints: what a step saves while it is under work stands at once, and only under a lease that stands."""

from __future__ import annotations

from leasehold.kernel import steps
from leasehold.testing.races import Race


def value_of(session, step_id, name="c"):
    rows = session.fetch(
        "select value, token from leasehold.checkpoint where step_id = %s and name = %s", (step_id, name)
    )
    return rows[0] if rows else None


def test_a_checkpoint_of_a_held_step_is_kept_for_whoever_works_it_next(session, kernel):
    step = kernel.add_step("work")
    lease = kernel.claim("work")
    assert steps.save_checkpoint(session, lease.token, step, "c", '{"at": 1}')
    assert steps.save_checkpoint(session, lease.token, step, "c", '{"at": 2}')
    kernel.release(lease)
    assert value_of(session, step) == ({"at": 2}, lease.token)


def test_a_late_checkpoint_is_refused_and_counted(session, kernel):
    """Method: A's lease goes back and B claims; A then saves. Neither B's checkpoint nor the table is touched."""
    step = kernel.add_step("work")
    late = kernel.claim("work", by="A")
    kernel.release(late)
    current = kernel.claim("work", by="B")
    assert steps.save_checkpoint(session, current.token, step, "c", "1")
    assert not steps.save_checkpoint(session, late.token, step, "c", "2")
    assert value_of(session, step) == (1, current.token)
    assert kernel.refused("checkpoint") == 1


def test_a_checkpoint_names_only_a_step_of_that_very_lease(session, kernel):
    one, other = kernel.add_step("work"), kernel.add_step("work")
    lease = kernel.claim("work", n=1)
    assert [step for step, _ in lease.steps] == [one]
    assert not steps.save_checkpoint(session, lease.token, other, "c", "1")
    assert value_of(session, other) is None


def test_a_checkpoint_of_a_cancelled_run_is_refused(session, kernel):
    first, second = (run * 1024 for run in kernel.add_runs(2, "work"))
    lease = kernel.claim("work", n=2)
    kernel.cancel_runs(first >> 10)
    assert not steps.save_checkpoint(session, lease.token, first, "c", "1")
    assert steps.save_checkpoint(session, lease.token, second, "c", "1")


def test_a_checkpoint_that_meets_the_end_of_its_lease_is_refused(database, session, kernel):
    """Method: a release holds the lease, uncommitted; the checkpoint waits for it, and is then late."""
    step = kernel.add_step("work")
    lease = kernel.claim("work")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: c.execute("select leasehold.release(%s, %s)", ([lease.token], [step])))
        save = "select leasehold.checkpoint_save(%s, %s, 'c', '1')"
        race.start("B", lambda c: c.execute(save, (lease.token, step)).fetchone()[0]).waits()
        race.commit("A")
        assert race.result("B") is False
    assert value_of(session, step) is None
