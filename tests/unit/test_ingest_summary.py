"""What an ingest says at its end."""

from __future__ import annotations

from leasehold.cli.ingest import FAILURES_SHOWN, summary
from leasehold.worker.ingest import Report


def test_more_failures_than_are_named_are_counted_by_reason_with_where_they_are_named():
    many = Report(outcome="failed", verdicts={"failed": {"encrypted": 3, "damaged": FAILURES_SHOWN}})
    (line,) = [line for line in summary(many, "default") if line.startswith("  failed")]
    assert line == "  failed, 13 files: 10 damaged, 3 encrypted: leasehold status --failed"
    few = Report(outcome="failed", verdicts={"failed": {"encrypted": 1}})
    assert not [line for line in summary(few, "default") if line.startswith("  failed")], "it is named with its remedy"
