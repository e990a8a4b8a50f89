"""Twenty workers behind a real PgBouncer in transaction mode that is full, old, killed and restarted.

`bench/routes.py` is the story, in processes; here it is short, and under LEASEHOLD_TEST_SOAK a minute long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leasehold.testing.clusters import Cluster

pytestmark = pytest.mark.one_server

STORY = Path(__file__).parents[2] / "bench" / "routes.py"
SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))
SECONDS = 60 if SOAK else 6
TTL_S = 6


def told(cluster: Cluster, way: str) -> dict[str, Any]:
    command = [sys.executable, str(STORY), "--url", cluster.url, "--way", way, "--json", "--ttl", str(TTL_S)]
    done = subprocess.run([*command, "--seconds", str(SECONDS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_with_two_routes_twenty_workers_keep_every_lease_and_no_claim_loop_goes_silent(cluster: Cluster):
    """While the pooler's places are full, its sessions live two seconds, and it is told RECONNECT, KILL, and dies."""
    found = told(cluster, "two")
    lost = {key: found[key] for key in ("reaped", "lost", "twice", "not_at_once")}
    assert lost == dict.fromkeys(lost, 0), found
    assert (found["held_at_the_end"], found["complete"]) == (20, True), found
    assert found["longest_silence_s"] < TTL_S, found
    assert found["said"] == []


@pytest.mark.timeout(300)
def test_with_everything_forced_through_the_pooler_no_work_is_lost_and_the_log_says_what_is_degraded(cluster: Cluster):
    """Heartbeats wait in the pooler's queue; a lease may be lost, and its step is then worked again."""
    found = told(cluster, "pooler")
    assert found["complete"], found
    assert any("polling instead of LISTEN" in line for line in found["said"]), found
