"""`leasehold eval`: how well a collection answers questions whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say
from leasehold.errors import UsageError


@click.command("eval")
@click.argument("questions", type=common.PathThere())
@click.option("--in", "collection", metavar="COLLECTION", help="Collection to ask [default].")
@click.option(
    "--limit", type=int, default=10, show_default=True, metavar="N", help="Files that count as found, 1 to 100."
)
@click.option(
    "--min-hit-rate", type=float, default=0.0, metavar="R", help="Exit 1 when fewer than this share is found."
)
@common.common
def evaluate(
    questions: Path, collection: str | None, limit: int, min_hit_rate: float, database: str | None, home: str | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Ask the questions of a file whose answers are known: share found, and how early.

    QUESTIONS has one object a line: {"question": "when does it end", "expect": "papers/contract.txt"}; `expect` may be
    a list. Exit code 1 when fewer than --min-hit-rate are found, or when an expected file is not in the collection.
    """
    from leasehold.documents import evaluating

    if not 0 <= min_hit_rate <= 1:
        raise UsageError(f"--min-hit-rate {min_hit_rate} must be between 0 and 1.")
    chosen = common.settings(database, home, **{"ingest.collection": collection})
    asked = read(questions)
    with common.open_session(chosen) as session:
        found = list(
            evaluating.evaluate(session, asked, collection=chosen.ingest.collection, limit=limit, embed=chosen.embed)
        )
    result = evaluating.Evaluation(found)
    held = result.hit_rate >= min_hit_rate and not any(one.missing for one in found)
    if as_json:
        emit("complete" if held else "failed", **as_dict(result, chosen.ingest.collection, limit))
    else:
        tell(result, limit)
    return 0 if held else 1


def read(path: Path) -> list[Any]:
    from leasehold.documents.evaluating import read_questions

    try:
        return read_questions(path.read_text("utf-8-sig").split("\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The questions in {path} cannot be read: {error}.") from error


def tell(result: Any, limit: int) -> None:
    for one in result.found:
        if one.rank is None:
            why = "not in the collection" if one.missing else f"not among the first {counted(limit, 'file')}"
            say(f"missed (line {one.question.line}): {one.question.text}")
            say(f"    {' or '.join(one.question.expect)}: {why}; first was {one.files[0] if one.files else 'nothing'}")
    hits = sum(one.rank is not None for one in result.found)
    first = sum(one.rank == 1 for one in result.found)
    say(f"{hits} of {counted(len(result.found), 'question')} found: hit rate {result.hit_rate:.2f}, "
        f"mean reciprocal rank {result.reciprocal_rank:.2f}, {first} in the first place")  # fmt: skip
    if any(one.missing for one in result.found):
        note("an expected file that is not in the collection can never be found: ingest it, or correct its path")


def as_dict(result: Any, collection: str, limit: int) -> dict[str, Any]:
    return {
        "collection": collection,
        "limit": limit,
        "hit_rate": round(result.hit_rate, 4),
        "reciprocal_rank": round(result.reciprocal_rank, 4),
        "questions": [
            {"line": one.question.line, "question": one.question.text, "expect": list(one.question.expect),
             "rank": one.rank, "missing": one.missing, "files": list(one.files)}
            for one in result.found
        ],
    }  # fmt: skip
