"""Fixtures of all tiers: a database for each test, its clock, and the kernel in few words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leasehold.testing.clusters import HOME, default_home

os.environ.setdefault(HOME, str(default_home(Path(__file__).parents[1] / ".test")))

pytest_plugins = ["leasehold.testing.fixtures"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failed run: what could not be tried there has not been seen to hold."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter is not None else []
    if os.environ.get("CI") and skipped:
        reporter.write_line(f"CI skips nothing, and {len(skipped)} were skipped (see above)", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
