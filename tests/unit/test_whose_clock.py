"""Time is the database's: nothing that leases, works or records asks the wall clock of its host."""

from __future__ import annotations

import ast
from pathlib import Path

import leasehold

SOURCE = Path(leasehold.__file__).parent
WALL_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"),
               ("datetime", "today"), ("date", "today"), ("time", "localtime"), ("time", "gmtime")}  # fmt: skip


def test_kernel_database_and_worker_never_ask_the_wall_clock():
    """A step's duration and every wait are measured by the monotonic clock; durations, never times, go to the
    database."""
    asked = []
    for package in ("kernel", "db", "worker"):
        for path in (SOURCE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute):
                    owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
                    if (owner, node.attr) in WALL_CLOCKS:
                        asked.append(f"{path.relative_to(SOURCE)}:{node.lineno} {owner}.{node.attr}")
    assert asked == []
