"""Search: the best chunks for a question, with the file and the place in it that a person should open."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from leasehold.db.session import Session
from leasehold.documents.filters import Filter, allowed
from leasehold.documents.models import Models
from leasehold.documents.sync import find_collection
from leasehold.errors import UsageError
from leasehold.options import EmbedOptions
from leasehold.sources.paths import decode_path
from leasehold.steps import places
from leasehold.steps.decoding import clean
from leasehold.steps.embedders import HASHING
from leasehold.steps.embedding import COMMON
from leasehold.stores import pg, searching
from leasehold.stores.searching import LEXICAL, MEANING

SNIPPET_CHARS = 240
QUESTION_CHARS_MAX = 20_000
"""What is asked beyond this is not looked at: a question that long is a document."""
AROUND_MAX = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One hit. `line` is the line that matches best; `copies` how many items have this very document.

    `place` says where in the file, when lines alone do not: page, sheet and cells, slide, part, member; then lines
    count within it. `where` is both in words.

    `text` is all of the hit, `snippet` what of it fits best, `highlights` the words of the question in the snippet, as
    [start, end) in characters. `before` and `after` are the texts around the hit, where they were asked for.
    """

    path: str
    file: str
    line: int
    line_start: int
    line_end: int
    where: str
    place: dict[str, Any] | None
    heading: str
    title: str
    text: str
    snippet: str
    highlights: list[tuple[int, int]]
    score: float
    copies: int
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


def search(
    session: Session,
    question: str,
    *,
    collection: str,
    limit: int = 5,
    embed: EmbedOptions | None = None,
    only: Filter | None = None,
    around: int = 0,
) -> list[Answer]:
    """The best *limit* answers, best first; one file may give several.

    Args:
        only: which items to look at; None: all of the collection.
        around: chunks of text before and after each hit to give with it, 0 to 20.

    Raises:
        ModelUnavailable: the collection's model did not embed the question.
        NotFound: there is no such collection, or no such source in it.
        UsageError: the question has no text, or a number or a date is out of its bounds.
    """
    question = clean(question[:QUESTION_CHARS_MAX])
    if not question.strip():
        raise UsageError("The question is empty.", remedy='Ask something: leasehold search "how are dates parsed"')
    if not 1 <= limit <= 1000:
        raise UsageError(f"--limit {limit} must be between 1 and 1000.")
    if not 0 <= around <= AROUND_MAX:
        raise UsageError(f"--around {around} must be between 0 and {AROUND_MAX}.")
    found = find_collection(session, collection)
    may = allowed(session, found.collection_id, only or Filter())
    vector = Models(embed or EmbedOptions()).question(found.parameters, question)
    hits = searching.search(
        session, found.collection_id, question, vector, limit=limit, pgvector=pg.has_pgvector(session),
        weighing=LEXICAL if found.parameters.embedder == HASHING else MEANING,
        only=(may.items, may.documents) if may else None,
    )  # fmt: skip
    answers = [_answer(hit, question) for hit in hits]
    if around:
        beside = searching.around(session, found.collection_id, hits, around)
        answers = [replace(one, before=before, after=after)
                   for one, (before, after) in zip(answers, beside, strict=True)]  # fmt: skip
    return answers


def vectors_note(session: Session) -> str | None:
    """What a person should know of how vectors are compared in this database; None when there is nothing to say."""
    if pg.has_pgvector(session):
        return None
    return (
        "Vectors are compared one by one: this server has no pgvector, or the role may not create it. "
        "Answers are exact, and slow above some ten thousand chunks."
    )


def _answer(hit: searching.Hit, question: str) -> Answer:
    offset, snippet = _best_lines(hit.text, question)
    root = Path(os.fsdecode(decode_path(hit.root)))
    file = root if root.is_file() else root / os.fsdecode(decode_path(hit.path))
    line = min(hit.line_start + offset, hit.line_end)
    pairs = hit.place or []
    place = places.as_json(pairs, hit.line_start, hit.line_end, line) if pairs else None
    where = places.described(pairs, hit.line_start, hit.line_end, line)
    return Answer(
        hit.path, str(file), line, hit.line_start, hit.line_end, where, place, hit.heading, hit.title, hit.text,
        snippet, _highlights(snippet, question), hit.score, hit.copies,
    )  # fmt: skip


def _stems(question: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{3,}", question.lower())}


def _highlights(snippet: str, question: str) -> list[tuple[int, int]]:
    stems = tuple(_stems(question) - COMMON)
    return [found.span() for found in re.finditer(r"\w{3,}", snippet) if found[0].lower().startswith(stems)]


def _best_lines(text: str, question: str) -> tuple[int, str]:
    """Offset of the line with most of the question's words, and a snippet that begins there."""
    stems = _stems(question)
    lines = text.split("\n")
    best, most = 0, -1
    for offset, line in enumerate(lines):
        words = set(re.findall(r"[a-z0-9]{3,}", line.lower()))
        score = sum(any(word.startswith(stem) for word in words) for stem in stems)
        if score > most and line.strip():
            best, most = offset, score
    return best, " ".join(" ".join(lines[best:]).split())[:SNIPPET_CHARS]
