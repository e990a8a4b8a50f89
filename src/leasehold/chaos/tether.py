"""Runs a `leasehold` command that ends with the lab: `python -m leasehold.chaos.tether LAB_PID ingest ...`."""

from __future__ import annotations

import os
import sys

from leasehold.worker.lifeline import die_with_parent

if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "leasehold", *sys.argv[2:]])
