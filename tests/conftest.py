"""Fixtures of all tiers: a database for each test, its clock, and the kernel in few words."""

from __future__ import annotations

import os
from pathlib import Path

from leasehold.testing.clusters import HOME, default_home

os.environ.setdefault(HOME, str(default_home(Path(__file__).parents[1] / ".test")))

pytest_plugins = ["leasehold.testing.fixtures"]
