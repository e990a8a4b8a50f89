"""`leasehold why`: one sentence on where something stands."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say
from leasehold.errors import NotFound


@click.command()
@click.argument("what", metavar="ID")
@common.common
def why(what: str, database: str | None, home: str | None, as_json: bool) -> int:
    """Say where a step (17.3), a run (17) or a file (its path) stands, and what it waits for."""
    from leasehold.kernel import why as reasons

    chosen = common.settings(database, home)
    with common.open_session(chosen) as session:
        facts = find(session, what)
        said = [reasons.sentence(one) for one in facts[1]] + facts[0]
    if as_json:
        emit("complete", why=said, steps=[asdict(one) for one in facts[1]])
    else:
        for line in said:
            say(line)
    return 0


def find(session: Any, what: str) -> tuple[list[str], list[Any]]:
    """(lines said already, facts of the steps in question).

    Raises:
        NotFound: no step, run or item is called so.
    """
    from leasehold.kernel import steps
    from leasehold.kernel import why as reasons

    try:
        facts = reasons.step_facts(session, steps.step_id_of(what))
        if facts is not None:
            return [], [facts]
    except ValueError:
        pass
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
        raise NotFound(f"There is no step, run or file '{what}'.",
                       remedy="Steps are written 17.3, runs 17; files by their path within the source.")  # fmt: skip
    return lines, found


def current(session: Any, run_id: int) -> list[Any]:
    """The facts of the step a run stands at: the first that has not succeeded, else its last."""
    from leasehold.kernel import why as reasons

    listed = reasons.run_steps(session, run_id)
    open_steps = [step_id for step_id, _, state in listed if state != "succeeded"]
    at = open_steps[:1] or [step_id for step_id, _, _ in listed][-1:]
    return [facts for step_id in at if (facts := reasons.step_facts(session, step_id)) is not None]
