"""`leasehold doctor`: looks at everything that work depends on, and says what to change."""

from __future__ import annotations

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say
from leasehold.cli.ingest import hands


@click.command()
@common.common
def doctor(database: str | None, home: str | None, as_json: bool) -> int:
    """Look at everything that work depends on: routes, the server, its upkeep, workers, what waits; changes nothing.

    Exit code 1 when something is bad, or could not be looked at. A warning is worth reading, and exits 0.
    """
    from leasehold.doctor import CHECKS, Subject, Verdict, run, worst

    chosen = common.settings(database, home)
    processes, workers = hands(chosen)
    subject = Subject(target=chosen.target, processes=processes, page_consumers=max(1, -(-workers // processes)))
    found = run(subject, CHECKS)
    verdict = worst(found)
    if as_json:
        emit("failed" if verdict is Verdict.BAD else "complete", verdict=str(verdict),
             findings=[one.as_dict() for one in found])  # fmt: skip
    else:
        for one in found:
            say(f"{one.verdict:<4}  {one.about}: {one.sentence}")
            if one.remedy:
                say(f"      -> {one.remedy}")
    return 1 if verdict is Verdict.BAD else 0
