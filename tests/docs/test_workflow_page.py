"""The reference of workflow files: what it shows is sound, and what it names is what the validator takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from leasehold.workflows import reading
from leasehold.workflows.finding import Places, find

ROOT = Path(__file__).parents[2]
FUNCTIONS = """
from dataclasses import dataclass

from leasehold import step


@dataclass(frozen=True)
class Cut:
    width: int = 3


def read(context): ...
def told(call): ...
count = join = step(timeout_s=1)(read)
@step(parameters=Cut, timeout_s=1)
def cut(context): ...
"""


def page() -> str:
    return (ROOT / "docs/reference/workflows.md").read_text("utf-8")


def test_the_files_that_the_page_shows_are_sound(tmp_path, monkeypatch):
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.yaml").write_text(block)
    (tmp_path / "texts.py").write_text(FUNCTIONS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    catalog = find(Places(folder=str(tmp_path), installed=False))
    monkeypatch.delitem(sys.modules, "texts")
    assert [str(one) for one in catalog.mistakes] == []
    assert (list(catalog.workflows), list(catalog.sets["report"])) == (["report"], ["wide"])


def test_every_key_that_is_taken_is_on_the_page_and_no_other():
    told = re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)
    taken = [
        name
        for keys in (reading.WORKFLOW_KEYS, reading.STEP_KEYS, reading.HOOK_KEYS, reading.SET_KEYS)
        for name in keys
    ]
    assert told == taken
