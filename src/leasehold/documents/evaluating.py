"""Evaluating a search: questions whose answers are known, and how often and how early the search finds them.

A question is a line of JSON: {"question": "…", "expect": "path/of/file.md"}; `expect` may be a list, any of which will
do. A path is met by an answer's path within its source, or by its end after a slash.

Hit rate: the share of questions with an expected file among the first answers. Reciprocal rank: 1 for the first place,
1/2 for the second, 0 for none; their mean says how early. (Source: TREC-8 question answering track, Voorhees, 1999.)
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load
from leasehold.documents.rows import PACKAGE
from leasehold.documents.search import search
from leasehold.documents.sync import find_collection
from leasehold.errors import UsageError
from leasehold.options import EmbedOptions

EXAMPLE = 'Write one object a line: {"question": "when does the contract end", "expect": "papers/contract.txt"}'


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the files that answer it; `line` is where it stands in the file."""

    line: int
    text: str
    expect: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What the search gave. `rank` is the place of the first expected file among the answers' files, None when it is
    not there; `missing`: none of the expected files is stored in the collection, so no search could find it."""

    question: Question
    rank: int | None
    files: tuple[str, ...]
    missing: bool


@dataclass(frozen=True, slots=True)
class Evaluation:
    found: list[Found]

    @property
    def hit_rate(self) -> float:
        return sum(one.rank is not None for one in self.found) / len(self.found)

    @property
    def reciprocal_rank(self) -> float:
        return sum(1 / one.rank for one in self.found if one.rank) / len(self.found)


def read_questions(lines: Iterable[str]) -> list[Question]:
    """The questions in *lines*; empty lines are passed over.

    Raises:
        UsageError: naming the first line that is no question, or there is none.
    """
    questions = [_question(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise UsageError("There is no question in the file.", remedy=EXAMPLE)
    return questions


def _question(number: int, line: str) -> Question:
    try:
        body = json.loads(line)
    except ValueError as error:
        raise UsageError(f"Line {number} is no JSON: {error}.", remedy=EXAMPLE) from error
    body = body if isinstance(body, dict) else {}
    text, expect = body.get("question"), body.get("expect")
    paths = [expect] if isinstance(expect, str) else expect if isinstance(expect, list) else []
    if not (isinstance(text, str) and text.strip() and paths and all(isinstance(one, str) and one for one in paths)):
        raise UsageError(f"Line {number} has no question with what it expects.", remedy=EXAMPLE)
    return Question(number, text, tuple(paths))


def evaluate(
    session: Session,
    questions: Sequence[Question],
    *,
    collection: str,
    limit: int = 10,
    embed: EmbedOptions | None = None,
) -> Iterator[Found]:
    """Ask each question; what was found within the first *limit* files, as it is found.

    Raises:
        NotFound: there is no such collection.
        UsageError: *limit* is not between 1 and 100.
        ModelUnavailable: the collection's model did not embed a question.
    """
    if not 1 <= limit <= 100:
        raise UsageError(f"--limit {limit} must be between 1 and 100.")
    found = find_collection(session, collection)
    stored = [row[0] for row in session.fetch(load(PACKAGE, "paths_of"), (found.collection_id,))]
    for question in questions:
        answers = search(session, question.text, collection=collection, limit=limit * 5, embed=embed)
        files = tuple(dict.fromkeys(one.path for one in answers))[:limit]
        rank = next((at for at, path in enumerate(files, 1) if _meets(path, question.expect)), None)
        missing = rank is None and not any(_meets(path, question.expect) for path in stored)
        yield Found(question, rank, files, missing)


def _meets(path: str, expect: Sequence[str]) -> bool:
    return any(path == one or path.endswith("/" + one) for one in expect)
