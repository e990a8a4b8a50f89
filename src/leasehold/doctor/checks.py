"""Findings, and how checks are run: each by itself, so that one that fails keeps no other from looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from leasehold.db.target import Target
from leasehold.errors import LeaseholdError
from leasehold.logs import redact


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
    """What the checks found, in their order. One that fails is a finding itself, and it is bad."""
    found: list[Finding] = []
    for name, check in checks.items():
        try:
            found += [_named(one, name) for one in check(subject)]
        except LeaseholdError as error:
            found.append(_failed(name, error.message, error.remedy))
        except Exception as error:
            found.append(_failed(name, f"the check failed: {type(error).__name__}: {error}", ""))
    return found


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
