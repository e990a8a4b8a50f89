"""Fixtures of all tiers: a database for each test, its clock, and the kernel in few words."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("LEASEHOLD_TEST_HOME", str(Path(__file__).parents[1] / ".test"))

pytest_plugins = ["leasehold.testing.fixtures"]
