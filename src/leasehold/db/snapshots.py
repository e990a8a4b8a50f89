"""Snapshots: who holds the oldest one, and so keeps the server from removing what was updated or deleted since.

While an old snapshot is held, dead rows stay in every table, for every session: queues grow slower, vacuums do nothing,
partitions cannot be swapped. It is most often a forgotten transaction, a backup, or a slot that nobody reads any more;
each has a name here, and a command that ends it.

Authoritative: the server's own views. A session's age is that of its transaction; a slot has no time, only how many
transactions back it stands. Not here: how old is too old (`worker/snapshots`, the doctor).
"""

from __future__ import annotations

from dataclasses import dataclass

from leasehold.db.session import Session
from leasehold.db.statements import load

SESSION, PREPARED, SLOT = "session", "prepared transaction", "replication slot"


@dataclass(frozen=True, slots=True)
class Held:
    """One that holds back the horizon. `name` is a pid, a transaction's gid, or a slot's name; `age_s` is None for a
    slot, and for a session that this role may not look at."""

    what: str
    name: str
    application_name: str
    role: str
    state: str
    address: str
    age_s: float | None
    xids: int | None

    @property
    def described(self) -> str:
        """`session 4711 (pg_dump, role backup, idle in transaction)`."""
        facts = [self.application_name, f"role {self.role}" if self.role else "", self.state]
        facts.append(f"from {self.address}" if self.address else "")
        told = ", ".join(one for one in facts if one)
        return f"{self.what} {self.name}{f' ({told})' if told else ''}"

    @property
    def remedy(self) -> str:
        """The command that ends it, for whoever is sure that nobody needs it."""
        call = {
            SESSION: f"select pg_terminate_backend({self.name})",
            PREPARED: f"rollback prepared '{self.name}'",
            SLOT: f"select pg_drop_replication_slot('{self.name}')",
        }[self.what]
        return f'leasehold db shell -c "{call}"'


def held(session: Session, *, limit: int = 10) -> list[Held]:
    """Who holds a snapshot now, the one furthest back first."""
    return [Held(*row) for row in session.fetch(load("leasehold.db", "snapshots"), (limit,))]


def too_old(found: list[Held], *, age_s: float, xids: int) -> list[Held]:
    """Those that hold for longer than *age_s*; of those without a time, those further back than *xids*."""
    return [one for one in found if (one.age_s >= age_s if one.age_s is not None else (one.xids or 0) >= xids)]
