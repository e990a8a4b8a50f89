"""The figures as JSON, as a table for a terminal, and as the table of docs/concepts/speed.md.

A cell is the median of its rounds, and in brackets that value divided by the hand-written ideal's of the same run: of
items/s more is better, of ms and s less.

python bench/queue/table.py    # write the figures of .bench/queue.json, the last run's, into docs/concepts/speed.md
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import statistics
from datetime import datetime
from pathlib import Path
from typing import Any

from peers import versions
from plan import BARS, BY_NAME, CONTENDERS, FULL, QUICK, ROWS, TINY, YARDSTICK

BEGIN = "<!-- measured: begin (bench/queue/table.py writes this) -->"
END = "<!-- measured: end -->"
BARS_BEGIN = "<!-- bars: begin (bench/queue/table.py writes this) -->"
BARS_END = "<!-- bars: end -->"
SETTINGS_BEGIN = "<!-- contenders: begin (bench/queue/table.py writes this) -->"
SETTINGS_END = "<!-- contenders: end -->"
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}
ROOT = Path(__file__).parents[2]
BUSY = 0.1
"""When others use more of the processors than this, the figures are not to be trusted, and the table says so."""


def as_json(figures: Any, about: dict[str, Any]) -> dict[str, Any]:
    results = []
    for row in ROWS:
        ideal = figures.values.get((row.name, YARDSTICK))
        for contender in CONTENDERS:
            values = figures.values.get((row.name, contender.name))
            if not values:
                continue
            value = statistics.median(values)
            results.append(
                {
                    "row": row.name,
                    "contender": contender.name,
                    "unit": row.unit,
                    "value": round(value, 3),
                    "low": round(min(values), 3),
                    "high": round(max(values), 3),
                    "rounds": len(values),
                    "ratio": round(value / statistics.median(ideal), 3) if ideal else None,
                    "note": figures.notes.get((row.name, contender.name)),
                }
            )
    seconds = {name: round(took) for name, took in figures.seconds.items()}
    return about | {"sizes": dataclasses.asdict(SIZES[about["size"]]), "scenario_s": seconds, "results": results}


def lines(result: dict[str, Any]) -> list[list[str]]:
    """Header and rows, as text. Everything that was asked for is there; what was not measured is a dash."""
    cells = {(one["row"], one["contender"]): cell(one) for one in result["results"]}
    shown = [one for one in CONTENDERS if one.name in result["contenders"] or one.name in result["missing"]]
    table = [["work", "size", *(one.title for one in shown)]]
    for row in ROWS:
        if any((row.name, one.name) in cells for one in shown):
            size = row.size.format(**result["sizes"])
            table.append([f"{row.title}, {row.unit}", size, *(cells.get((row.name, one.name), "–") for one in shown)])
    return table


def cell(one: dict[str, Any]) -> str:
    text = number(one["value"], one)
    if one["ratio"] is not None and one["contender"] != YARDSTICK:
        digits = 3 if one["ratio"] < 0.1 else 2 if one["ratio"] < 10 else 0
        text += f" ({one['ratio']:.{digits}f})"
    return text + (f" of {one['note']}" if one["note"] else "")


def plain(result: dict[str, Any]) -> str:
    table = lines(result)
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    printed = [
        "  ".join(
            text.ljust(width) if column < 2 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    ]
    return "\n".join([*printed, "", *notes(result)])


def markdown(result: dict[str, Any]) -> str:
    table = lines(result)
    rows = ["| " + " | ".join(line) + " |" for line in table]
    rows.insert(1, "| --- | --- |" + " ---: |" * (len(table[0]) - 2))
    return "\n".join([*rows, "", *(f"{line}  " for line in notes(result))]).rstrip()


def notes(result: dict[str, Any]) -> list[str]:
    machine, server = result["machine"], result["server"]
    at = datetime.fromisoformat(result["at"])
    told = [
        f"Measured {at.day} {at:%B %Y}, {machine['system']} {machine['arch']}, {machine['cores']} cores, "
        f"{machine['memory_gb']} GB, Python {machine['python']}, PostgreSQL {server['server_version']} "
        f"(fsync {server['fsync']}, synchronous_commit {server['synchronous_commit']}, shared_buffers "
        f"{server['shared_buffers']}); {result['size']} sizes, {result['took_s']} s."
    ]
    share = result["others_share_max"]
    if share is None:
        told.append("How busy others kept the machine is not known.")
    elif share > BUSY:
        told.append(f"Measured under load: between the scenarios others used up to {share:.0%} of the processors. Of "
                    f"these figures only large differences mean anything.")  # fmt: skip
    else:
        told.append(f"Others used at most {share:.0%} of the processors between the scenarios.")
    told += [f"Not measured: {BY_NAME[name].title}: {why}." for name, why in result["missing"].items()]
    return told


def settings() -> str:
    """What everybody was given, and which version of it."""
    pinned = versions()
    rows = ["| | Version | Settings |", "| --- | --- | --- |"]
    for one in CONTENDERS:
        if one.runs_on != "ours":
            used = ", ".join(f"{package} {pinned[package]}" for package in one.packages)
            rows.append(f"| {one.title} | {used} | {one.settings} |")
        else:
            rows.append(f"| {one.title} | this one | {one.settings} |")
    return "\n".join(rows)


def bars(result: dict[str, Any]) -> str:
    """What Leasehold wants to reach, beside what it reached in this run."""
    values = {(one["row"], one["contender"]): one for one in result["results"]}
    rows = ["| Wanted | At | Measured | |", "| --- | ---: | ---: | --- |"]
    for bar in BARS:
        mine, other = values.get((bar.row, "leasehold")), values.get(bar.of) if bar.of else {"value": 1.0}
        if mine is None or other is None:
            rows.append(f"| {bar.title} | – | – | not measured |")
            continue
        wanted = bar.times * other["value"]
        reached = mine["value"] >= wanted if mine["unit"] == "items/s" else mine["value"] <= wanted
        rows.append(f"| {bar.title} | {number(wanted, mine)} | {number(mine['value'], mine)} | "
                    f"{'reached' if reached else 'missed'} |")  # fmt: skip
    return "\n".join(rows)


def number(value: float, one: dict[str, Any]) -> str:
    return f"{value:,.0f}" if one["unit"] == "items/s" or value >= 100 else f"{value:.3g}"


def write_page(result: dict[str, Any]) -> None:
    path = ROOT / "docs/concepts/speed.md"
    text = path.read_text("utf-8")
    for begin, end, body in (
        (BEGIN, END, markdown(result)),
        (BARS_BEGIN, BARS_END, bars(result)),
        (SETTINGS_BEGIN, SETTINGS_END, settings()),
    ):
        text = between(text, begin, end, body)
    path.write_text(text, "utf-8")


def between(text: str, begin: str, end: str, body: str) -> str:
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"The page has no place for what was to be written: {begin} … {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", text)


if __name__ == "__main__":
    home = Path(os.environ.get("LEASEHOLD_HOME", ROOT / ".bench"))
    write_page(json.loads((home / "queue.json").read_text("utf-8")))
