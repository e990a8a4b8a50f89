"""Migrations: numbered SQL files, applied once each, and the functions, replaced whenever their text changed.

The database says which numbers it has, with a checksum of each. Ten processes may start at once: an advisory lock of
the transaction lets one migrate while the others wait and then find nothing to do. An applied file with another
checksum is refused.

Programs of two releases may share a database while hosts are upgraded one by one. A migration that leaves everything
that an older program reads and writes as it was says so in its head, `-- Works with programs from 0007` (their newest
migration); the database keeps that number, so the older program, which does not have the file, can read it and goes on.
A database with a higher number that does not say so is refused.

Functions and views are not numbered: their files are the truth, and `migrate` creates them again when the set's
checksum differs. Beside it stands the release they came with (the program's version and its newest migration): an older
program leaves newer functions alone and works with them. So a release that changes what a function takes or returns
keeps the old form beside it, or comes with a migration that does not claim to work with older programs.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import routines
from leasehold.errors import SchemaAhead, SchemaBehind, SchemaChanged
from leasehold.version import VERSION

ROUTINE_PACKAGES = ("leasehold.kernel", "leasehold.documents", "leasehold.workflows")
WORKS_WITH = re.compile(r"^-- Works with programs from (\d{4})\b", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def oldest(self) -> int:
        """The newest migration of the oldest program that may work with a database that has this one."""
        said = WORKS_WITH.search(self.text)
        return int(said[1]) if said else self.number


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of the database's list; number 0 stands for the functions. An `oldest` of None: nothing older may."""

    checksum: str
    oldest: int | None
    release: str | None


def known() -> list[Migration]:
    """All migrations of this program, in order."""
    found = []
    for entry in files(__name__).iterdir():
        if entry.name.endswith(".sql"):
            number, _, name = entry.name.removesuffix(".sql").partition("_")
            found.append(Migration(int(number), name, entry.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def routine_files() -> list[tuple[str, str]]:
    return [pair for package in ROUTINE_PACKAGES for pair in routines(package)]


def routines_checksum() -> str:
    return hashlib.sha256("".join(text for _, text in routine_files()).encode()).hexdigest()


def release() -> str:
    """What this program's functions are recorded under: its version and its newest migration, as `0.4.2/17`."""
    return f"{VERSION}/{known()[-1].number}"


def _newer(recorded: str | None) -> bool:
    """Whether functions recorded under that release are newer than this program's. Two checkouts of one version are
    not told apart: the one that migrates last wins."""
    return _order(recorded or "") > _order(release())


def _order(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _table(name: str) -> str:
    return (files("leasehold.db") / "sql" / f"{name}.sql").read_text("utf-8")


def migrate(session: Session) -> list[str]:
    """Bring the database to this program's schema; what was applied, [] when there was nothing to do.

    Raises:
        SchemaAhead: the database is newer.
        SchemaChanged: an applied migration has another text now.
    """
    if is_current(session):
        return []
    return session.run(_migrate)


def _migrate(connection: Connection) -> list[str]:
    execute(connection, _table("migration_lock"))
    execute(connection, _table("migration_table"))
    applied = _applied(connection)
    _refuse(applied)
    done = []
    for migration in known():
        if migration.number not in applied:
            connection.execute(migration.text)
            execute(connection, _table("migration_insert"), _row(migration))
            done.append(f"{migration.number:04d}_{migration.name}")
    if not _functions_stand(applied):
        for _, text in routine_files():
            connection.execute(text)
        execute(connection, _table("grants"))
        execute(connection, _table("migration_insert"), (0, "functions", routines_checksum(), None, release()))
        done.append("functions")
    return done


def _row(migration: Migration) -> tuple[int, str, str, int, None]:
    return migration.number, migration.name, migration.checksum, migration.oldest, None


def _applied(connection: Connection) -> dict[int, Applied]:
    return {number: Applied(*rest) for number, *rest in execute(connection, _table("migration_list"))}


def _functions_stand(applied: dict[int, Applied]) -> bool:
    found = applied.get(0)
    return found is not None and (found.checksum == routines_checksum() or _newer(found.release))


def _refuse(applied: dict[int, Applied]) -> None:
    mine = {migration.number: migration for migration in known()}
    newest = max(mine)
    for number, found in applied.items():
        if number > newest and (found.oldest or number) > newest:
            raise SchemaAhead(database=max(applied), program=newest)
    for number, migration in mine.items():
        if number in applied and applied[number].checksum != migration.checksum:
            raise SchemaChanged(migration=f"{number:04d}_{migration.name}")


def is_current(session: Session) -> bool:
    """Whether there is nothing to migrate. Raises as `migrate` for a database that is ahead or was changed."""
    if session.fetch(_table("migration_exists"))[0][0] is None:
        return False
    applied = session.run(_applied)
    _refuse(applied)
    return all(m.number in applied for m in known()) and _functions_stand(applied)


def require_current(session: Session) -> None:
    """Raise SchemaBehind unless the database has this program's schema."""
    if not is_current(session):
        raise SchemaBehind()


def script() -> str:
    """Everything `migrate` would run on an empty database, as one SQL text for people who apply it themselves."""
    parts = [_table("migration_table") + ";"]
    for migration in known():
        parts.append(f"-- {migration.number:04d}_{migration.name}\n{migration.text}")
        parts.append(
            "insert into leasehold.migration (number, name, checksum, oldest) values "
            f"({migration.number}, '{migration.name}', '{migration.checksum}', {migration.oldest}) "
            "on conflict do nothing;"
        )
    parts.extend(text for _, text in routine_files())
    parts.append(_table("grants"))
    parts.append(
        "insert into leasehold.migration (number, name, checksum, release) values "
        f"(0, 'functions', '{routines_checksum()}', '{release()}') on conflict (number) do update "
        "set checksum = excluded.checksum, release = excluded.release;"
    )
    return "begin;\n\n" + "\n\n".join(parts) + "\n\ncommit;\n"


def is_empty(session: Session) -> bool:
    """Whether the database has none of our tables yet."""
    return session.fetch(_table("migration_exists"))[0][0] is None
