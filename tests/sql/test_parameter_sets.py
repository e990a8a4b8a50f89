"""Parameter sets in the database: one row for each content, kept as long as a group has it, never changed."""

from __future__ import annotations

import pytest

from leasehold import step
from leasehold.errors import GroupEnded, NotFound, QueueFull, Refused, UsageError
from leasehold.kernel import bounds, groups
from leasehold.testing.races import Race, together
from leasehold.workflows import parameter_sets, submitting
from leasehold.workflows.checking import check
from leasehold.workflows.definition import Place, WrittenStep, WrittenWorkflow
from leasehold.workflows.finding import Catalog
from leasehold.workflows.parameter_sets import ParameterSet, StepConfig


@step(timeout_s=10)
def work(context):
    return None


def a_set(*widths: int, workflow: str = "line") -> ParameterSet:
    """A chain of steps, each with a parameter."""
    configs: list[StepConfig] = []
    for ix, width in enumerate(widths):
        upstream = tuple(one.config for one in configs[-1:])
        config = bytes([ix, width]) + (upstream[0][:30] if upstream else bytes(30))
        configs.append(StepConfig(config, f"s{ix}", "m:f", {"width": width}, upstream))
    return ParameterSet(workflow, tuple(configs))


def workflow_of(*names: str, timeout_s: float | None = None):
    steps = tuple(
        WrittenStep(name=name, method=step(timeout_s=timeout_s or 10)(work).__leasehold_step__) for name in names
    )
    catalog = Catalog()
    check([WrittenWorkflow(id="line", place=Place("here"), steps=steps)], [], catalog)
    catalog.require_sound()
    return catalog.workflow("line")


def test_ten_first_uses_of_a_set_at_once_make_one_row(database, kernel):
    """Method: ten sessions start together; then again with sets that overlap in their first steps."""
    ids = together(database, [lambda session: parameter_sets.register(session, a_set(1, 2, 3), name="small")] * 10)
    assert len(set(ids)) == 1
    assert kernel.counted("parameter_set") == 1
    assert kernel.counted("step_config") == 3
    ids = together(
        database, [lambda session, n=n: parameter_sets.register(session, a_set(1, 2, n % 2)) for n in range(10)]
    )
    assert len(set(ids)) == 2
    assert kernel.counted("step_config") == 5


def test_a_set_that_is_being_stored_by_another_is_waited_for_and_found(database, session, kernel):
    """Method: A has inserted and not committed; B, who brings the same, waits and gets the very same row."""
    with Race(database) as race:
        race.begin("A")
        first = race.do("A", lambda c: parameter_sets._register(c, a_set(1), "small"))
        race.start("B", lambda c: parameter_sets._register(c, a_set(1), "small")).waits()
        race.commit("A")
        assert race.result("B") == first


def test_a_set_is_read_back_as_it_was_stored(session, kernel):
    stored = a_set(1, 2)
    set_id = parameter_sets.register(session, stored, name="small")
    assert parameter_sets.read(session, set_id) == stored
    (known,) = parameter_sets.known(session, "line")
    assert (known.name, known.parameters, known.groups) == ("small", {"s0": {"width": 1}, "s1": {"width": 2}}, 0)


def test_an_edited_set_is_another_one_and_changes_no_group(session, kernel):
    line = workflow_of("s0")
    first = submitting.submit(session, line, [{}], parameters=a_set(1), set_name="small")
    second = submitting.submit(session, line, [{}], parameters=a_set(2), set_name="small")
    assert first.set_id != second.set_id
    assert parameter_sets.of_group(session, first.group_id) == a_set(1)
    assert parameter_sets.of_group(session, second.group_id) == a_set(2)
    (known,) = parameter_sets.known(session)
    assert known.set_id == second.set_id


def test_an_edited_workflow_is_another_version_and_changes_no_group(session, kernel):
    """A queued run keeps its steps, when the file gets one more."""
    first = submitting.submit(session, workflow_of("a", "b"), [{}])
    second = submitting.submit(session, workflow_of("a", "b", "c"), [{}])
    assert first.workflow_id != second.workflow_id
    assert [lane.kind for lane in kernel.lanes("line.a")] == ["line.a", "line.a"]
    assert [one.step for one in parameter_sets.of_group(session, first.group_id).configs] == ["a", "b"]


def test_a_set_in_use_cannot_be_forgotten_and_its_group_keeps_it_afterwards(session, kernel):
    group = submitting.submit(session, workflow_of("s0"), [{}], parameters=a_set(1), set_name="small")
    with pytest.raises(Refused, match=f"in use: group {group.group_id}"):
        parameter_sets.forget(session, "line", "small")
    kernel.cancel(group.group_id)
    kernel.sweep()
    kernel.fold(group.group_id)
    parameter_sets.forget(session, "line", "small")
    assert parameter_sets.known(session) == []
    assert parameter_sets.of_group(session, group.group_id) == a_set(1), "an ended group may be retried"
    with pytest.raises(NotFound):
        parameter_sets.forget(session, "line", "small")
    with pytest.raises(UsageError, match="cannot be deleted"):
        parameter_sets.forget(session, "line", "default")


def test_a_set_that_no_group_has_is_gone_when_its_name_is(session, kernel):
    parameter_sets.register(session, a_set(1), name="small")
    parameter_sets.register(session, a_set(1), name="also")
    parameter_sets.forget(session, "line", "small")
    assert kernel.counted("parameter_set") == 1
    parameter_sets.forget(session, "line", "also")
    assert kernel.counted("parameter_set") == 0


def test_a_group_that_is_opened_while_its_set_is_forgotten_keeps_it(database, session, kernel):
    """Method: A has told a group its set, uncommitted; B, who forgets the set, waits, and is then refused."""
    set_id = parameter_sets.register(session, a_set(1), name="small")
    group = kernel.group("s0")
    with Race(database) as race:
        race.begin("A")
        race.do("A", lambda c: c.execute("select leasehold.group_settle(%s, %s, '{1}')", (group, set_id)))
        race.start("B", lambda c: c.execute("select leasehold.parameter_set_forget('line', 'small')")).waits()
        race.commit("A")
        with pytest.raises(Exception, match="in use"):
            race.result("B")
    assert parameter_sets.of_group(session, group) == a_set(1)


def test_a_submission_under_its_key_is_there_once(session, kernel):
    line = workflow_of("a")
    first = submitting.submit(session, line, [{"n": n} for n in range(3)], key="monday")
    again = submitting.submit(session, line, [{"n": n} for n in range(3)], key="monday")
    assert (again.group_id, again.created, again.added) == (first.group_id, False, 3)
    with pytest.raises(Refused, match="other parameters"):
        submitting.submit(session, line, [], key="monday", parameters=a_set(7))
    with pytest.raises(Refused, match="another workflow"):
        submitting.submit(session, workflow_of("a", "b"), [], key="monday")
    kernel.cancel(first.group_id)
    with pytest.raises(GroupEnded):
        submitting.submit(session, line, [{"n": 1}], key="monday")


def test_a_submission_that_goes_on_with_other_items_is_refused(session, kernel):
    """Method: a page and a half is submitted and cut short; its first item is changed, and the key comes again."""
    line = workflow_of("a")

    def items(first, most):
        yield from ({"n": first if n == 0 else n} for n in range(most))
        if most < 1200:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        submitting.submit(session, line, items(0, 700), key="monday")
    with pytest.raises(Refused, match="other items"):
        submitting.submit(session, line, items(-1, 1200), key="monday")
    assert kernel.counted("run") == 500


def test_what_is_full_is_tried_again_for_as_long_as_the_caller_wants(session, kernel):
    line = workflow_of("a")
    submitting.register(session, line)
    bounds.bound(session, "kind", "line.a", 600)
    with pytest.raises(QueueFull):
        submitting.submit(session, line, [{"n": n} for n in range(1000)], key="monday")
    asked = []

    def make_room(error):
        asked.append(error)
        bounds.bound(session, "kind", "line.a", None)

    done = submitting.submit(session, line, [{"n": n} for n in range(1000)], key="monday", full=make_room)
    assert (done.added, len(asked), kernel.counted("run")) == (1000, 1, 1000)


def test_a_submission_that_was_cut_short_goes_on_under_its_key(session, kernel):
    """Method: the items end in an error after a page and a half; the same key brings the rest, and no item twice."""
    line = workflow_of("a")

    def items(most):
        for n in range(1200):
            if n == most:
                raise OSError("the disk is gone")
            yield {"n": n}

    with pytest.raises(OSError, match="gone"):
        submitting.submit(session, line, items(700), key="monday")
    done = submitting.submit(session, line, items(None), key="monday")
    state = groups.state(session, done.group_id)
    assert (state.added, state.sealed, done.added) == (1200, True, 1200)
