"""Findings, and how checks are run: each by itself, so that one that fails keeps no other from looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from leasehold.db import migrations
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.errors import DatabaseUnavailable, LeaseholdError
from leasehold.logs import redact

T = TypeVar("T")
EXAMINED_MAX = 100
"""Rows of one kind that a check looks at. Where there are more it says so: what was not looked at is not well."""


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence about one thing. `facts` are for machines; a remedy is a thing to do, not a thought."""

    about: str
    verdict: Verdict
    sentence: str
    remedy: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    check: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "check": self.check,
            "about": self.about,
            "verdict": str(self.verdict),
            "sentence": self.sentence,
            "remedy": self.remedy,
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is looked at. `processes` and `page_consumers`: what a worker started with these settings would be."""

    target: Target
    processes: int = 1
    page_consumers: int = 2


Check = Callable[[Subject], Iterator[Finding]]


def run(subject: Subject, checks: Mapping[str, Check]) -> list[Finding]:
    """What the checks found, in their order. One that fails is a finding itself, and it is bad; when the database is
    away, it is not waited for again and again."""
    found: list[Finding] = []
    away = False
    for name, check in checks.items():
        if away:
            found.append(_failed(name, "not looked at: the database cannot be reached", ""))
            continue
        try:
            found += [_named(one, name) for one in check(subject)]
        except LeaseholdError as error:
            away = isinstance(error, DatabaseUnavailable)
            found.append(_failed(name, error.message, error.remedy))
        except Exception as error:
            found.append(_failed(name, f"the check failed: {type(error).__name__}: {error}", ""))
    return found


@contextmanager
def our_session(subject: Subject) -> Iterator[Session | None]:
    """A session on a database that has our schema; None while it has none of ours, where there is nothing to look at.

    Raises:
        SchemaBehind, SchemaAhead, SchemaChanged: what the check wants to ask may not be there as it expects.
    """
    with Session(subject.target, application_name="leasehold doctor") as session:
        if migrations.is_empty(session):
            yield None
        else:
            migrations.require_current(session)
            yield session


def first(rows: Sequence[T]) -> tuple[Sequence[T], str]:
    """At most `EXAMINED_MAX` of them, and what to say if there are more: a query asks for one more than it shows."""
    more = f"; looked at the first {EXAMINED_MAX} only" if len(rows) > EXAMINED_MAX else ""
    return rows[:EXAMINED_MAX], more


def well(about: str, sentence: str, **facts: Any) -> Finding:
    return Finding(about=about, verdict=Verdict.OK, sentence=sentence, facts=facts)


def warn(about: str, sentence: str, remedy: str = "", **facts: Any) -> Finding:
    return Finding(about=about, verdict=Verdict.WARN, sentence=sentence, remedy=remedy, facts=facts)


def bad(about: str, sentence: str, remedy: str = "", **facts: Any) -> Finding:
    return Finding(about=about, verdict=Verdict.BAD, sentence=sentence, remedy=remedy, facts=facts)


def worst(found: list[Finding]) -> Verdict:
    order = list(Verdict)
    return max((one.verdict for one in found), key=order.index, default=Verdict.OK)


def _named(finding: Finding, check: str) -> Finding:
    return Finding(
        about=finding.about,
        verdict=finding.verdict,
        sentence=redact(finding.sentence),
        remedy=redact(finding.remedy),
        facts=finding.facts,
        check=check,
    )


def _failed(check: str, sentence: str, remedy: str) -> Finding:
    lines = redact(sentence).strip().splitlines() or ["the check failed"]
    return Finding(about=check, verdict=Verdict.BAD, sentence=lines[0], remedy=redact(remedy), check=check)
