"""The plan of a sync: what is known of a source, against what it lists now. Pure: no disk, no database, no clock.

An item *is* its path within the source, or the file that moved away from that path. Whether a file changed is told
from (size, mtime_ns, inode) alone, so a sync in which nothing changed opens no file at all.

Rules:
- **Deleted** needs exact identity: a known path that the whole listing does not have. What lies at or below a path of
  which the listing could learn nothing (`Oddity.unknown`: an unreadable folder, an unreachable root) is *sheltered*:
  neither deleted nor changed.
- **Renamed** pairs the one path that is gone with the one path that is new and shows the same size, mtime and inode;
  where two are gone or two are new (hard links), nothing is guessed. No rename ends on a known path or starts from a
  present one, so renames may be applied in any order; a file moved onto a known path is a *change* there, and its
  content is found again by digest.
- An inode is reused as soon as it is free. A write stamps nanoseconds, so size, mtime and inode together do not recur
  by accident; but unpackers (tar, unzip, git archive, rsync) set whole seconds, often the same for all files. A rename
  with a whole-second mtime is therefore `settled=False`: moved, and read again to be sure.

What the stat cannot show, and what is done about it:
- An edit in the same tick of the file system's clock as the scan. `is_racy` names such files; store them as not
  settled and the next plan lists them under `retry` (git's rule for its index).
- An edit in place that keeps the size and puts the old mtime back. It is missed, as by rsync and make. ctime would
  show it, but also changes with every rename, link and chmod, so it is not part of identity.
- Inodes that a file system makes up anew at each mount (FAT, sshfs, some SMB). Every file then is "changed" once: read
  again, found by digest, and not parsed.
- A file moved, while the scan runs, from a folder not yet listed to one already listed: deleted now, new next time.

Not here: reading folders (`folder`), rows and transactions (`registry`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from leasehold.errors import MassDelete
from leasehold.options import SourceOptions

RACY_NS = 2_000_000_000
"""The coarsest tick in use: FAT stores even seconds. ext4, xfs and APFS are far finer, NFS clocks a little off."""
CLOCK_WRONG_NS = 86_400_000_000_000
"""A day: beyond it, a time in the future was set by hand (a camera's clock), and an edit now would change it."""

ROOT = "."
"""The path of an oddity that concerns the whole source."""

Stamp = tuple[int, int, int]
"""(size, mtime_ns, inode)"""
Known = Mapping[str, tuple[int, int, int, bool]]
"""path -> (size, mtime_ns, inode, settled): the items a source has. Not its oddities; each scan names them anew."""


class Entry(NamedTuple):
    """A regular file as it was listed. `mtime_ns` and `inode` fit a signed 64-bit column."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Oddity(NamedTuple):
    """A path that will not be read: `skipped` is no failure, `failed` wants a person."""

    path: str
    verdict: Literal["skipped", "failed"]
    reason: str
    """Short and stable, for counting; never a path or a number."""
    detail: str = ""
    remedy: str = ""
    unknown: bool = False
    """Nothing could be learnt of this path and all below it, so nothing there may be taken for deleted."""


class Rename(NamedTuple):
    """A known path that is now another. Not settled: bank the move, then read the file again."""

    old: str
    entry: Entry
    settled: bool


@dataclass(slots=True)
class Plan:
    """What to do. Every listed file is in exactly one of new, changed, renamed, retry, or counted as unchanged."""

    new: list[Entry] = field(default_factory=list)
    changed: list[Entry] = field(default_factory=list)
    renamed: list[Rename] = field(default_factory=list)
    retry: list[Entry] = field(default_factory=list)
    """Same stat as known, but not settled: an earlier run did not finish them, or they were racy."""
    unchanged: int = 0
    deleted: list[str] = field(default_factory=list)
    """Known paths that are gone, or that now hold something which is skipped (then also among `oddities`)."""
    sheltered: int = 0
    """Known paths left as they are, because the listing could learn nothing of them."""
    oddities: list[Oddity] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        """Nothing to read, move or delete. (Oddities are reported, not worked.)"""
        return not (self.new or self.changed or self.renamed or self.retry or self.deleted)

    @property
    def files(self) -> int:
        """How many regular files the listing had."""
        return len(self.new) + len(self.changed) + len(self.renamed) + len(self.retry) + self.unchanged


def decide(known: Known, listing: Iterable[Entry | Oddity]) -> Plan:
    """Compare one whole listing with what is known. The order of `known` and of `listing` does not matter.

    Cost: one look-up per listed file; 100,000 files take about 0.04 s unchanged, and 0.25 s when all were renamed.
    """
    plan = Plan()
    new, present = _compare(known, listing, plan)
    gone = [path for path in known if path not in present] if len(present) < len(known) else []
    _pair(known, _shelter(gone, plan), new, plan)
    return plan


def check_mass_delete(plan: Plan, known_count: int, options: SourceOptions) -> None:
    """Stop a sync that would lose most of a source; a disk that is not mounted looks like one.

    Raises:
        MassDelete: at least `mass_delete_min` deletions, and more than `mass_delete_ratio` of `known_count`.
    """
    deletions = len(plan.deleted)
    if deletions >= options.mass_delete_min and deletions > options.mass_delete_ratio * known_count:
        raise MassDelete(deletions=deletions, known=known_count)


def check_gone(plan: Plan, known_count: int) -> None:
    """Stop a sync in which nothing of all that is known is there any more, however little it was: an empty mount point
    looks like that. A file that is still there, but is empty or otherwise skipped now, is not gone.

    Raises:
        MassDelete: everything known is gone and nothing was listed.
    """
    if plan.deleted and len(plan.deleted) == known_count and not plan.files:
        there = {oddity.path for oddity in plan.oddities}
        if there.isdisjoint(plan.deleted):
            raise MassDelete(
                "Everything known of the source is gone, so nothing was deleted.",
                deletions=len(plan.deleted),
                known=known_count,
            )


def is_racy(mtime_ns: int, scanned_at_ns: int) -> bool:
    """Whether a file may still be edited without a change of its mtime, seen from `scanned_at_ns`.

    Args:
        scanned_at_ns: this host's `time.time_ns()`, taken *before* the file's stat was (a scan's start will do). It is
            compared with file times only; no lease depends on it.
    """
    return scanned_at_ns - RACY_NS <= mtime_ns <= scanned_at_ns + CLOCK_WRONG_NS


def _compare(known: Known, listing: Iterable[Entry | Oddity], plan: Plan) -> tuple[list[Entry], set[str]]:
    """Sort what is listed under a known path into `plan`; return the new entries, and the known paths present."""
    new: list[Entry] = []
    present: set[str] = set()
    for listed in listing:
        if isinstance(listed, Oddity):
            plan.oddities.append(listed)
            continue
        path, size, mtime_ns, inode = listed
        row = known.get(path)
        if row is None:
            new.append(listed)
            continue
        present.add(path)
        if row[0] != size or row[1] != mtime_ns or row[2] != inode:
            plan.changed.append(listed)
        elif row[3]:
            plan.unchanged += 1
        else:
            plan.retry.append(listed)
    return new, present


def _shelter(gone: list[str], plan: Plan) -> list[str]:
    """Those of `gone` that are really gone. The others are at or below a path of which nothing was learnt."""
    unknown = {oddity.path for oddity in plan.oddities if oddity.unknown}
    if not unknown:
        return gone
    really = [path for path in gone if not _is_below(path, unknown)]
    plan.sheltered = len(gone) - len(really)
    return really


def _is_below(path: str, places: set[str]) -> bool:
    if ROOT in places or path in places:
        return True
    at = path.rfind("/")
    while at > 0:
        if path[:at] in places:
            return True
        at = path.rfind("/", 0, at)
    return False


def _pair(known: Known, gone: list[str], new: list[Entry], plan: Plan) -> None:
    """Split gone and new paths into renames (one of each with a stamp, no second), true deletions and arrivals."""
    takers = _takers(_by_stamp(known, gone), new) if gone and new else {}
    moved: set[str] = set()
    for old, entry in takers.items():
        if entry is not None:
            plan.renamed.append(Rename(old, entry, known[old][3] and entry[2] % 1_000_000_000 != 0))
            moved.add(old)
            moved.add(entry[0])
    plan.deleted = sorted(path for path in gone if path not in moved)
    plan.new = [entry for entry in new if entry[0] not in moved] if moved else new


def _by_stamp(known: Known, gone: list[str]) -> dict[Stamp, str | None]:
    """The gone path that has each stamp; None where two have it."""
    found: dict[Stamp, str | None] = {}
    for path in gone:
        stamp = known[path][:3]
        found[stamp] = None if stamp in found else path
    return found


def _takers(gone: dict[Stamp, str | None], new: list[Entry]) -> dict[str, Entry | None]:
    """For each gone path the new entry with its stamp; None where two have it."""
    found: dict[str, Entry | None] = {}
    for entry in new:
        old = gone.get(entry[1:])
        if old is not None:
            found[old] = None if old in found else entry
    return found
