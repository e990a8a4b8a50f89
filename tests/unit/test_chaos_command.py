"""What `leasehold chaos` prints to be run again is the same run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from leasehold.chaos.options import ATTACKS_BY_DEFAULT, ChaosOptions
from leasehold.cli import chaos

RUNS = [
    {"seed": 5, **ATTACKS_BY_DEFAULT},
    {"seed": 6, "runs": 70, "group_runs": 7, "ttl_s": 0.7, "workers": 2, "for_s": 40.0, "slow_db_s": 0.01},
    {"seed": 7, "corpus": Path("/tmp"), "kill_every_s": 1.0, "drop_notifies": True},
    {"seed": 8, "extra_faults": ("kill_after@leasehold.claim=0.05", "40001=0.01"), "ttl_s": 12.0},
    {"seed": 9, "database": "URL", "terminate_every_s": 2.0},
]


@pytest.mark.parametrize("given", RUNS, ids=lambda given: f"seed {given['seed']}")
def test_the_command_that_repeats_a_run_means_the_same_run(given):
    """Method: it is read by the command's own parser, and compared with the options it was printed for."""
    options = ChaosOptions(**given)
    words = shlex.split(chaos.again(options))
    assert words[:2] == ["leasehold", "chaos"]
    read = chaos.chaos.make_context("chaos", words[2:]).params
    for name in ("home", "as_json", "debug", "direct", "log_format", "attack_given_server"):
        read.pop(name, None)
    for_, seed, database = read.pop("for_"), read.pop("seed"), read.pop("database")
    assert chaos.options_of(read, for_, seed, database) == options
