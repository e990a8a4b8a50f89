"""What the documentation shows is what happens: a page's commands, in order, in a new folder, on an empty database."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import pages

from leasehold.db import embedded
from leasehold.db.binaries import find_binaries

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs/tutorial").glob("*.md")),
    *sorted((ROOT / "docs/howto").glob("*.md")),
]

WITH_JSON = ("ingest .", "search slate --around 1", "eval questions", "plan .", "status --failed", "why bad.json",
             "proof --digest", "retry --failed", "config show", "db up", "db status", "db migrate",
             "search x --in nowhere", "chaos --runs 10 --kill-every 0", "doctor")  # fmt: skip


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A home with a server of its own, where the account that runs the server can enter it."""
    made = ROOT / ".test" / f"docs-{os.getpid()}"
    made.mkdir(mode=0o755, parents=True)
    yield made
    embedded.release(made)
    embedded.stop(made)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def environment(home: Path, tmp_path: Path) -> dict[str, str]:
    """A reader's environment: our commands and PostgreSQL's, a home, and an empty database."""
    server = embedded.ensure(home)
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("drop schema if exists leasehold cascade")
        connection.execute("drop database if exists knowledge with (force)")
        for role in ("loader", "reader"):
            connection.execute(f"drop role if exists {role}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEASEHOLD_", "PYTHON", "PG"))}
    programs = [str(Path(sys.executable).parent), str(find_binaries().bin_dir), kept["PATH"]]
    return kept | {
        "PATH": os.pathsep.join(programs),
        "HOME": str(tmp_path),
        "LEASEHOLD_HOME": str(home),
        "LEASEHOLD_INGEST_PROCESSES": "1",  # enough for pages, and quicker to start
        "PGHOST": str(server.socket_dir),
        "PGUSER": "leasehold",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C.UTF-8",
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_prints_what_the_page_says(page: Path, environment: dict[str, str], tmp_path: Path):
    for step in pages.steps(page.read_text("utf-8")):
        if isinstance(step, pages.Written):
            (tmp_path / step.name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / step.name).write_text(step.text, "utf-8")
            continue
        actual = pages.run(step.line, tmp_path, environment)
        assert pages.agrees(step.expected, actual), (
            f"{page.relative_to(ROOT)}: $ {step.line}\n--- the page says\n" + "\n".join(step.expected)
            + f"\n--- it prints\n{actual}"
        )  # fmt: skip


def test_every_field_of_json_is_described(environment: dict[str, str], tmp_path: Path):
    """Method: run the commands on a folder with one good and one bad file; every key of an object is on the page."""
    described = (ROOT / "docs/reference/json.md").read_text("utf-8")
    (tmp_path / "good.txt").write_text("a slate roof")
    (tmp_path / "bad.json").write_text('{"a": ')
    (tmp_path / "questions").write_text('{"question": "slate", "expect": "good.txt"}')
    for line in WITH_JSON:
        body = json.loads(pages.run(f"leasehold {line} --json 2>/dev/null", tmp_path, environment))
        fields = set(body) | {key for value in body.values() if isinstance(value, list) for key in _keys(value)}
        missing = sorted(key for key in fields if f"`{key}`" not in described)
        assert missing == [], f"leasehold {line} --json"


def _keys(values: list[Any]) -> set[str]:
    return {key for value in values if isinstance(value, dict) for key in value}


def test_the_comparison_notices_a_difference():
    """A comparison that takes everything would prove nothing."""
    assert pages.agrees(["stored 3 in 1.2 s", "…", "the … holds"], "stored 3 in 8.0 s\na\nb\nthe proof holds\n")
    assert not pages.agrees(["stored 3 in 1.2 s"], "stored 4 in 1.2 s\n")
    assert not pages.agrees(["stored 3"], "stored 3\nand more\n")
    assert not pages.agrees([], "error: something\n")
