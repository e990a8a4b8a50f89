"""Hooks: for every event that a hook names one call is made, and a call is a step that counts nowhere."""

from __future__ import annotations

import pytest

from leasehold.errors import UsageError
from leasehold.kernel import groups
from leasehold.kernel.hooks import Hook


def test_a_hook_is_stored_with_its_version_of_the_workflow(session, kernel):
    """The same definition is the same workflow, whatever the order of its hooks; another hook makes another one, and
    groups of the first keep theirs."""
    steps = groups.chain("work")
    told, noted = Hook(name="tell", on=("group_end",), call="m:f"), Hook(name="note", on=("run_end",), call="m:g")
    plain = groups.register(session, "w", steps)
    both = groups.register(session, "w", steps, hooks=[told, noted])

    assert groups.register(session, "w", steps, hooks=[noted, told]) == both
    assert groups.register(session, "w", steps) == plain
    assert groups.register(session, "w", steps, hooks=[told]) not in (plain, both)
    again = groups.register(session, "w", steps, hooks=[told, noted], events=["step_end"])
    assert again not in (plain, both)


def test_hooks_on_the_same_terms_share_them(session, kernel):
    steps = groups.chain("work")
    before = kernel.counted("workflow")
    groups.register(session, "w", steps, hooks=[Hook(name=f"h{i}", on=("group_end",), call="m:f") for i in range(4)])
    assert kernel.counted("workflow") == before + 2


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "Tell"}, "cannot name a hook"),
        ({"on": ("group_ended",)}, "no event 'group_ended'"),
        ({"on": ()}, "one event or more"),
        ({"on": ("run_end", "run_end")}, "one event or more"),
        ({"call": "module.function"}, "neither a function nor an address"),
        ({"call": "ftp://host/path"}, "neither a function nor an address"),
        ({"attempts_max": 0}, "attempts_max=0"),
        ({"backoff_s": 5.0, "backoff_max_s": 1.0}, "backoff_s=5.0"),
        ({"timeout_s": 0}, "timeout_s=0"),
    ],
)
def test_a_hook_that_cannot_be_is_refused_and_told_why(wrong, says):
    with pytest.raises(UsageError, match=says):
        Hook(**{"name": "tell", "on": ("group_end",), "call": "m:f", **wrong})


def test_two_hooks_of_one_name_and_events_that_are_none_of_a_step_are_refused(session):
    hook = Hook(name="tell", on=("group_end",), call="m:f")
    with pytest.raises(UsageError, match="two hooks named 'tell'"):
        groups.register(session, "w", groups.chain("work"), hooks=[hook, hook])
    with pytest.raises(UsageError, match="'run_end' is no event of a step"):
        groups.register(session, "w", groups.chain("work"), events=["run_end"])
