"""`leasehold search`: ask a collection."""

from __future__ import annotations

import os
import sys
import textwrap
from dataclasses import asdict
from datetime import date
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, printable, say, shown
from leasehold.errors import UsageError


@click.command()
@click.argument("question", nargs=-1, required=True)
@click.option("--in", "collection", metavar="COLLECTION", help="Collection to search [default].")
@click.option("--limit", type=int, default=5, show_default=True, metavar="N", help="Answers to give, 1 to 1000.")
@click.option("--path", "paths", multiple=True, metavar="PATTERN", help="Only these paths: 'letters/**', '*.md'.")
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only this type: markdown, text/html, pdf.")
@click.option("--source", "sources", multiple=True, metavar="FOLDER", help="Only this source of the collection.")
@click.option("--after", metavar="DATE", help="Only files changed on this day (2026-01-31) or later.")
@click.option("--before", metavar="DATE", help="Only files changed before this day.")
@click.option("--around", type=int, default=0, metavar="N", help="Show the N chunks before and after each answer.")
@common.common
def search(
    question: tuple[str, ...], collection: str | None, limit: int, paths: tuple[str, ...], types: tuple[str, ...],
    sources: tuple[str, ...], after: str | None, before: str | None, around: int, database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Find the places that answer a question: by words and by vectors, best first, each with file and line,
    page, cells or slide.

    Exit code 1 when nothing was found.
    """
    from leasehold.documents import search as searching
    from leasehold.documents.filters import Filter, why_nothing

    chosen = common.settings(database, home, **{"ingest.collection": collection})
    only = Filter(paths=paths, types=types, sources=sources, after=day(after), before=day(before))
    with common.open_session(chosen) as session:
        answers = searching.search(session, " ".join(question), collection=chosen.ingest.collection, limit=limit,
                                   embed=chosen.embed, only=only, around=around)  # fmt: skip
        why = "" if answers else why_nothing(session, chosen.ingest.collection, only)
    if as_json:
        emit("complete" if answers else "nothing_found", question=" ".join(question),
             collection=chosen.ingest.collection, answers=[asdict(one) for one in answers])  # fmt: skip
        return 0 if answers else 1
    told(answers, around)
    if not answers:
        note(f"nothing found: {why}" if why else "nothing found")
    return 0 if answers else 1


def told(answers: list[Any], around: int) -> None:
    for one in answers:
        also = f"  (and {counted(one.copies - 1, 'copy', 'copies')})" if one.copies > 1 else ""
        where = f":{one.line}" if one.place is None else f", {shown(one.where)}"
        say(f"{shown(one.file)}{where}{f'  {one.heading}' if one.heading else ''}{also}")
        if around:
            for text in (*one.before, one.text, *one.after):
                say(textwrap.indent(text, "    "))
            say()
        else:
            say(f"    {marked(one.snippet, one.highlights)}", styled=True)


def marked(snippet: str, highlights: list[tuple[int, int]]) -> str:
    """The snippet with the question's words in bold, on a terminal that has bold."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return printable(snippet)
    text, at = "", 0
    for start, end in highlights:
        text += f"{printable(snippet[at:start])}\x1b[1m{printable(snippet[start:end])}\x1b[0m"
        at = end
    return text + printable(snippet[at:])


def day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UsageError(f"'{text}' is no date.", remedy="Write year, month and day: 2026-01-31.") from None
