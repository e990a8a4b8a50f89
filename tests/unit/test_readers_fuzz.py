"""Every mutant of a real file gets a verdict: blocks, or a known reason with a remedy. No other exception, no hang."""

from __future__ import annotations

import os

import pytest

import fuzz_readers

SOAK = os.environ.get("LEASEHOLD_TEST_SOAK") == "1"
MUTANTS = 4_000 if SOAK else 30
NATIVE = frozenset({"pdf", "xls"})
"""Read by C++ and Rust, where a mutant may take the process along; the sandbox contains that."""


@pytest.mark.timeout(3600 if SOAK else 300)
def test_every_mutant_of_a_real_file_gets_a_verdict_in_bounded_time():
    """Method: seeded mutants of each format, read by child processes that are watched and replaced."""
    found = fuzz_readers.run(list(fuzz_readers.corpus()), 0, MUTANTS)
    assert {of: made.defects for of, made in found.items() if made.defects} == {}
    assert {of: made.hangs for of, made in found.items() if made.hangs} == {}
    assert {of: made.crashes for of, made in found.items() if made.crashes and of not in NATIVE} == {}
    for of, made in found.items():
        assert sum(made.verdicts.values()) + len(made.crashes) == MUTANTS
        assert made.verdicts["blocks True"], f"no mutant of {of} could be read: the mutations are too rough to test it"
    assert len({reason for made in found.values() for reason in made.verdicts}) >= 4


def test_the_watch_sees_a_defect_a_crash_and_a_hang(monkeypatch, tmp_path):
    """Method: a child that does each in turn, in the place of the one that reads."""
    script = tmp_path / "child.py"
    script.write_text(
        "import json, os, sys, time\n"
        "for of, seed in json.load(sys.stdin):\n"
        "    if seed == 1: os.abort()\n"
        "    if seed == 2: time.sleep(600)\n"
        "    print(of, seed, '0.1', 'defect' if seed == 0 else 'verdict', 'said', sep='\\t', flush=True)\n"
    )
    monkeypatch.setattr(fuzz_readers, "__file__", str(script))
    monkeypatch.setattr(fuzz_readers, "SECONDS_MAX", 3.0)
    made = fuzz_readers.run(["any"], 0, 4)["any"]
    assert (made.defects, made.crashes, made.hangs, dict(made.verdicts)) == ({0: "said"}, [1], [2], {"said": 1})
