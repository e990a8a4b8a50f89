"""The document kinds as a worker runs them: named by `module:function` in a keeper's settings."""

from __future__ import annotations

from typing import Any

from leasehold.db.target import Target
from leasehold.documents.kinds import page_kinds
from leasehold.worker.kinds import Kind

FACTORY = "leasehold.worker.documents:build"


def build(target: Target, options: dict[str, Any]) -> list[Kind]:
    """The kinds of the document workflow. `options` may set step_timeout_s."""
    return [
        Kind(name=name, timeout_s=timeout_s, run_page=run_page, effects=effects, page_max=page_max, payload=False)
        for name, run_page, effects, page_max, timeout_s in page_kinds(target, options)
    ]
