"""`leasehold why`: one sentence on where something stands."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say
from leasehold.errors import NotFound

GROUP = re.compile(r"group:([0-9]{1,15})", re.ASCII)


@click.command()
@click.argument("what", metavar="ID")
@common.common
def why(what: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Say where a step (17.3), a run (17), a group (group:5) or a file (its path) stands, and what it waits for."""
    with common.open_session(common.settings(database, home)) as session:
        return answer(*find(session, what), as_json=as_json)


def answer(lines: list[str], facts: list[Any], *, as_json: bool) -> int:
    from leasehold.kernel import why as reasons

    said = [reasons.sentence(one) for one in facts] + lines
    if as_json:
        emit("complete", why=said, steps=[asdict(one) for one in facts])
    else:
        for line in said:
            say(line)
    return 0


def find_group(session: Any, group_id: int) -> tuple[list[str], list[Any]]:
    from leasehold.kernel import why_group

    return [why_group.sentence(session, group_id)], []


def find(session: Any, what: str) -> tuple[list[str], list[Any]]:
    """(lines said already, facts of the steps in question).

    Raises:
        NotFound: no step, run, group or item is called so.
    """
    from leasehold.kernel import steps
    from leasehold.kernel import why as reasons

    try:
        facts = reasons.step_facts(session, steps.step_id_of(what))
        if facts is not None:
            return [], [facts]
    except ValueError:
        pass
    if (group := GROUP.fullmatch(what)) is not None:
        return find_group(session, int(group[1]))
    if what.isascii() and what.isdigit() and len(what) < 16 and (of_run := current(session, int(what))):
        return [], of_run
    from leasehold.documents import reports
    from leasehold.sources.paths import encode_path

    lines, found = [], []
    for item in reports.items_at(session, what) or reports.items_at(session, encode_path(os.fsencode(what))):
        reason = f": {item['reason']}" if item["reason"] else ""
        lines.append(f"{item['path']} in '{item['collection']}' is {item['state']}{reason}.")
        if item["state"] in ("pending", "failed") and item["run_id"] is not None:
            found += current(session, item["run_id"])
    lines += [
        f"{one.path} is {one.state}: {one.reason} {one.detail}".rstrip()
        for one in reports.troubles(session, states=["failed", "skipped"], limit=100_000)
        if not lines and (one.path == what or one.path.endswith("/" + what))
    ]
    if not lines and not found:
        raise NotFound(f"There is no step, run, group or file '{what}'.{_farewell(session, what)}",
                       remedy="Steps are written 17.3, runs 17, groups group:5; files by their path in the source.",
        )  # fmt: skip
    return lines, found


def _farewell(session: Any, what: str) -> str:
    """Where *what* is written as a step or a run: that it may have left by a prune."""
    from leasehold.kernel import history, steps

    try:
        run_id = int(what) if what.isascii() and what.isdigit() and len(what) < 16 else steps.step_id_of(what) >> 10
    except ValueError:
        return ""
    return history.farewell(session, run_id)


def current(session: Any, run_id: int) -> list[Any]:
    """The facts of the step a run stands at: the first that has not succeeded, else its last."""
    from leasehold.kernel import why as reasons

    listed = reasons.run_steps(session, run_id)
    open_steps = [step_id for step_id, _, state in listed if state != "succeeded"]
    at = open_steps[:1] or [step_id for step_id, _, _ in listed][-1:]
    return [facts for step_id in at if (facts := reasons.step_facts(session, step_id)) is not None]
