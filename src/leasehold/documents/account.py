"""The account of one ingest: what its scans found, each file once, however many scans it took.

A second scan of the same source (a file changed while it was read) finds what the first one started as unchanged or to
be tried again. Counted from the reader's view: what the file was when this ingest began.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from leasehold.documents.sync import Planned


@dataclass(slots=True)
class SourceAccount:
    """One source. `seen`, `excluded` and `rechecked` are the last scan's; the others say what this ingest met."""

    seen: int = 0
    excluded: int = 0
    sheltered: int = 0
    files: int = 0
    deleted: set[str] = field(default_factory=set)
    rechecked: int = 0
    runs: int = 0
    touched: dict[str, str] = field(default_factory=dict)
    """path -> new, changed, renamed or retried, for what this ingest did not find as it was."""

    def add(self, planned: Planned) -> None:
        """One scan, after it was applied (or after its plan was made, for a dry run)."""
        decided = planned.plan
        self.seen, self.files, self.sheltered = planned.seen, decided.files, decided.sheltered
        self.excluded = planned.counts.excluded_files + planned.counts.excluded_directories
        self.rechecked += planned.rechecked
        self.runs += planned.started
        for path in decided.deleted:
            if self.touched.pop(path, "") != "new":
                self.deleted.add(path)
        for rename in decided.renamed:
            was = self.touched.pop(rename.old, "renamed")
            self.touched[rename.entry.path] = was
        for what, entries in (("new", decided.new), ("changed", decided.changed), ("retried", decided.retry)):
            for entry in entries:
                if entry.path in self.deleted and what == "new":
                    self.deleted.discard(entry.path)
                    self.touched[entry.path] = "changed"
                self.touched.setdefault(entry.path, what)

    def count(self, what: str) -> int:
        return sum(one == what for one in self.touched.values())

    @property
    def unchanged(self) -> int:
        """Files that are as they were, those included that had to be read to know it."""
        return self.files - len(self.touched)
