"""`leasehold search`: ask a collection."""

from __future__ import annotations

from dataclasses import asdict

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say, shown


@click.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--in", "collection", metavar="COLLECTION", help="Collection to search [default].")
@click.option("--limit", type=int, default=5, show_default=True, metavar="N", help="Answers to give, 1 to 1000.")
@common.common
def search(
    question: tuple[str, ...], collection: str | None, limit: int, database: str | None, home: str | None, as_json: bool
) -> int:
    """Find the places that answer a question: by words and by vectors, best first, each with file and line,
    page, cells or slide.

    Exit code 1 when nothing was found.
    """
    from leasehold.documents import search as searching

    chosen = common.settings(database, home, **{"ingest.collection": collection})
    with common.open_session(chosen) as session:
        answers = searching.search(session, " ".join(question), collection=chosen.ingest.collection, limit=limit,
                                   embed=chosen.embed)  # fmt: skip
    if as_json:
        emit("complete" if answers else "nothing_found", question=" ".join(question),
             collection=chosen.ingest.collection, answers=[asdict(one) for one in answers])  # fmt: skip
        return 0 if answers else 1
    for one in answers:
        also = f"  (and {counted(one.copies - 1, 'copy', 'copies')})" if one.copies > 1 else ""
        where = f":{one.line}" if one.place is None else f", {shown(one.where)}"
        say(f"{shown(one.file)}{where}{f'  {one.heading}' if one.heading else ''}{also}")
        say(f"    {one.snippet}")
    if not answers:
        note("nothing found")
    return 0 if answers else 1
