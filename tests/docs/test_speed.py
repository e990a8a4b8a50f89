"""The page on speed says what the bench measures: the same rows, contenders and settings. No timing is looked at."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench/queue"))
import history
import processes
import table
import upkeep
from plan import BARS, CONTENDERS, QUICK, ROWS, SCENARIOS
from scenarios import Bench, Figures

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import checks, groups

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/concepts/speed.md").read_text("utf-8")
ABOUT = {
    "schema_version": 1, "at": "2026-01-02T03:04+00:00", "size": "quick", "took_s": 1, "others_share_max": 0.5,
    "machine": {"cores": 2, "arch": "x", "system": "y", "memory_gb": 1, "python": "3"},
    "server": {"server_version": "18", "fsync": "on", "synchronous_commit": "on", "shared_buffers": "128MB"},
    "contenders": [one.name for one in CONTENDERS if one.runs_on != "node"],
    "missing": {one.name: "npm is not on PATH" for one in CONTENDERS if one.runs_on == "node"},
}  # fmt: skip


def block(begin: str, end: str) -> list[list[str]]:
    body = PAGE.split(begin)[1].split(end)[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]


def measured() -> dict:
    """A run in which everything that was there was measured, with the Node queues missing."""
    figures = Figures()
    for row in ROWS:
        for contender in CONTENDERS:
            if contender.runs_on != "node":
                figures.add(row.name, contender, 2.0)
    return table.as_json(figures, ABOUT)


def test_the_table_of_the_page_has_the_rows_and_the_contenders_of_the_bench():
    header, _, *rows = block(table.BEGIN, table.END)
    assert header == ["work", "size", *(one.title for one in CONTENDERS)]
    assert [row[0] for row in rows] == [f"{row.title}, {row.unit}" for row in ROWS]
    assert all(len(row) == len(header) for row in rows)


def test_the_page_names_the_settings_that_the_bench_gives():
    written = PAGE.split(table.SETTINGS_BEGIN)[1].split(table.SETTINGS_END)[0].strip()
    assert written == table.settings(), "run bench/queue/table.py"


def test_every_bar_is_on_the_page_and_stands_on_figures_that_are_measured():
    written = block(table.BARS_BEGIN, table.BARS_END)[2:]
    assert [row[0] for row in written] == [bar.title for bar in BARS]
    rows, names = {row.name for row in ROWS}, {one.name for one in CONTENDERS}
    assert all(bar.row in rows and (bar.of is None or (bar.of[0] in rows and bar.of[1] in names)) for bar in BARS)
    assert "missed" in table.bars(measured())  # 2 items/s are not 1.5 times 2
    assert "reached" in table.bars(measured())  # 2 ms are within 2.5
    assert "not measured" in table.bars(measured())  # graphile-worker is missing


def test_the_page_tells_of_every_row():
    told = PAGE.split("## What is measured")[1]
    for row in ROWS:
        assert re.search(re.escape(row.title.split(",")[0]), told, re.IGNORECASE), row.title


def test_every_result_is_in_the_json_under_the_names_of_the_plan():
    result = measured()
    assert {one["row"] for one in result["results"]} == {row.name for row in ROWS}
    assert {one["contender"] for one in result["results"]} == set(ABOUT["contenders"])
    assert {one["ratio"] for one in result["results"]} == {1.0}
    assert set(SCENARIOS) <= {name for name in dir(Bench) if not name.startswith("_")}


def test_what_could_not_be_measured_is_in_the_table_with_its_reason():
    text = table.markdown(measured())
    header = text.splitlines()[0]
    assert all(one.title in header for one in CONTENDERS)
    assert "Not measured: pg-boss: npm is not on PATH." in text
    assert "under load" in text
    assert table.lines(measured())[1][1] == f"{QUICK.drain:,}"


@pytest.mark.parametrize(
    ("seen", "left", "wrong"),
    [
        ([1, 1, 1], 0, None),
        ([1, 0, 1], 1, None),
        ([1, 0, 1], 0, "1 of 3 items are neither worked nor waiting"),
        ([1, 2, 1], 0, "1 of 3 items were worked more than once"),
        ([2, 0, 1], 0, "worked more than once"),
    ],
)
def test_a_lost_or_doubled_item_is_noticed(seen: list[int], left: int, wrong: str | None):
    account = processes.Account(items=3, seconds=1.0, all_done=True, seen=bytearray(seen))
    if wrong is None:
        processes.check(account, left)
        return
    with pytest.raises(processes.Wrong, match=wrong):
        processes.check(account, left)


@pytest.mark.one_server
def test_finished_rows_that_were_made_in_bulk_are_rows_as_the_kernel_leaves_them(database: str):
    """Method: make them, work some real runs beside them, and ask for the invariants."""
    statements = (ROOT / "bench/queue/contenders/leasehold.finished.sql").read_text("utf-8")
    history.fill(database, statements, 1000)
    with Session(Target(url=database)) as session:
        workflow = groups.register(session, "bench", groups.chain("noop"))
        group, _ = groups.open_group(session, workflow)
        assert groups.add_all(session, group, [{"n": 0}, {"n": 1}]) > 1000
        assert checks.violations(session) == []
        assert groups.state(session, 1).succeeded == 1000


@pytest.mark.one_server
def test_holding_and_giving_back_are_measured_on_the_kernel_as_it_is(database: str):
    """It checks by itself that all is held, and that all comes back."""
    with Session(Target(url=database)) as session:
        group, _ = groups.open_group(session, groups.register(session, "bench", groups.chain("noop")))
        groups.add_all(session, group, [{"n": n} for n in range(20)])
    assert min(upkeep.leasehold(database, 10)) > 0
