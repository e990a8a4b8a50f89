"""What steps gave and have saved is told by `leasehold run show`."""

from __future__ import annotations

import pytest

from leasehold.kernel import steps
from leasehold.workflows import looking
from leasehold.workflows.context import as_json

pytestmark = pytest.mark.one_server


def test_what_a_step_has_saved_is_told_while_it_is_under_work(session, kernel):
    step = kernel.add_step("work")
    lease = kernel.claim("work")
    said = as_json({"done": 3, "total": 12, "note": "pages"}, "Progress", 1000)
    assert steps.save_checkpoint(session, lease.token, step, "progress", said)
    assert steps.save_checkpoint(session, lease.token, step, "checkpoint", "[1]")
    assert [one.sentence for one in looking.saved(session, step >> 10)] == [
        "has saved a checkpoint, 'checkpoint'", "is at 3 of 12: pages",
    ]  # fmt: skip
    assert looking.results(session, step >> 10) == []
