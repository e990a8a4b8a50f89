"""What the lab does: how much work, which attacks, how often. Rates in seconds between two attacks; 0: never."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from leasehold.errors import UsageError
from leasehold.testing.faults import parse

ATTACKS_BY_DEFAULT = {
    "kill_every_s": 1.5,
    "stop_every_s": 6.0,
    "cut_every_s": 4.0,
    "db_restart_every_s": 9.0,
    "drop_replies": 0.02,
    "rollbacks": 0.02,
    "terminate_every_s": 3.0,
}
OFF_BY_DEFAULT = ("slow_db_s", "drop_notifies")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosOptions:
    """One run of the lab.

    Args:
        runs: work this many runs; None: as many as fit into `for_s`.
        for_s: attack for this long at most. Then the noise ends and what is left is worked off.
        corpus: ingest this folder instead of the synthetic workload.
        workflow: work this workflow instead, twice; `drill` is built in.
        items: the workflow's items, as JSON lines; at most `runs` of them.
        workflows, modules: where it is looked for, besides what is installed.
        workers: hosts, each a keeper with one worker process.
        seed: draws the workload and the attacks.
        database: a server that is not ours, where the lab may make a database of its own to attack.
        settle_s: how long what is left may take once the noise has ended.
    """

    runs: int | None = None
    for_s: float = 20.0
    corpus: Path | None = None
    workflow: str | None = None
    items: Path | None = None
    workflows: str = ""
    modules: tuple[str, ...] = ()
    workers: int = 3
    group_runs: int = 100
    seed: int = 1
    database: str | None = None
    ttl_s: float = 2.0
    settle_s: float = 60.0

    kill_every_s: float = 0.0
    stop_every_s: float = 0.0
    cut_every_s: float = 0.0
    db_restart_every_s: float = 0.0
    terminate_every_s: float = 0.0
    drop_replies: float = 0.0
    """Share of commits whose reply is lost."""
    rollbacks: float = 0.0
    """Share of statements that end in 40001, in 40P01 and in 55P03, each."""
    slow_db_s: float = 0.0
    """Added to every message on the way to the database and back."""
    drop_notifies: bool = False
    extra_faults: tuple[str, ...] = ()
    """More of what `leasehold.testing.faults` can do in the workers: `kill_after@leasehold.claim=0.05`."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("runs", 1, 100_000_000), ("for_s", 0.1, 30 * 86_400), ("workers", 1, 64), ("group_runs", 1, 100_000),
            ("ttl_s", 0.5, 3600), ("settle_s", 1, 86_400), ("drop_replies", 0, 0.9), ("rollbacks", 0, 0.3),
            ("slow_db_s", 0, 60), *((f"{one}_every_s", 0, 86_400) for one in
                    ("kill", "stop", "cut", "db_restart", "terminate")),
        ):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"chaos: {name} is {value:g}; it must be between {low:g} and {high:g}.")
        try:
            parse(";".join(self.extra_faults))
        except ValueError as error:
            raise UsageError(f"chaos: a fault cannot be understood: {error}",
                             remedy="Write KIND=P, or KIND@TEXT=P as in kill_after@leasehold.claim=0.05."
                             ) from error  # fmt: skip
        if self.database and self.db_restart_every_s:
            raise UsageError(
                "The lab restarts only its own server, and another one was given.",
                remedy="Leave --database or --db-restart-every out.",
            )
        if self.workflow is not None and self.corpus is not None:
            raise UsageError("The lab works a workflow or a corpus.", remedy="Leave --workflow or --corpus out.")
        if self.items is not None and self.workflow is None:
            raise UsageError("Items are a workflow's.", remedy="Name it with --workflow, or leave --items out.")
        if self.corpus is not None and self.runs is not None:
            raise UsageError("A corpus has as many runs as files.", remedy="Leave --runs or --corpus out.")

    @property
    def through_proxy(self) -> bool:
        return bool(self.cut_every_s or self.slow_db_s or self.drop_notifies)

    @property
    def faults(self) -> str:
        """For LEASEHOLD_FAULTS in every process that works; "" for none."""
        chances = {"drop_replies": self.drop_replies} | dict.fromkeys(("40001", "40P01", "55P03"), self.rollbacks)
        said = [f"{kind}={chance:g}" for kind, chance in chances.items() if chance]
        said += self.extra_faults
        return ";".join([f"seed={self.seed}", *said]) if said else ""

    def attacks(self) -> dict[str, float]:
        """The attacks that are on, by name."""
        named = [one.name for one in fields(self) if one.name in {*ATTACKS_BY_DEFAULT, *OFF_BY_DEFAULT}]
        return {name: float(getattr(self, name)) for name in named if getattr(self, name)}
