"""Migrations: numbered SQL files, applied once each, and the functions, replaced whenever their text changed.

The database says which numbers it has, with a checksum of each. Ten processes may start at once: an advisory lock of
the transaction lets one migrate while the others wait and then find nothing to do. A database with a higher number than
this program knows belongs to a newer release and is refused; an applied file with another checksum too.

Functions and views are not numbered: their files are the truth, and `migrate` creates them again when the set's
checksum differs. An older program never replaces a newer one's, because each release that changes them raises the
number of migrations or its own release number recorded beside the checksum.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from leasehold.db.session import Connection, Session, execute
from leasehold.db.statements import routines
from leasehold.errors import SchemaAhead, SchemaBehind, SchemaChanged

ROUTINE_PACKAGES = ("leasehold.kernel", "leasehold.documents")


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


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
            execute(connection, _table("migration_insert"), (migration.number, migration.name, migration.checksum))
            done.append(f"{migration.number:04d}_{migration.name}")
    if applied.get(0) != routines_checksum():
        for _, text in routine_files():
            connection.execute(text)
        execute(connection, _table("grants"))
        execute(connection, _table("migration_insert"), (0, "functions", routines_checksum()))
        done.append("functions")
    return done


def _applied(connection: Connection) -> dict[int, str]:
    return dict(execute(connection, _table("migration_list")))


def _refuse(applied: dict[int, str]) -> None:
    mine = {migration.number: migration for migration in known()}
    newest = max(applied, default=0)
    if newest > max(mine):
        raise SchemaAhead(database=newest, program=max(mine))
    for number, migration in mine.items():
        if applied.get(number, migration.checksum) != migration.checksum:
            raise SchemaChanged(migration=f"{number:04d}_{migration.name}")


def is_current(session: Session) -> bool:
    """Whether there is nothing to migrate. Raises as `migrate` for a database that is ahead or was changed."""
    if session.fetch(_table("migration_exists"))[0][0] is None:
        return False
    applied = dict(session.fetch(_table("migration_list")))
    _refuse(applied)
    return all(m.number in applied for m in known()) and applied.get(0) == routines_checksum()


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
            "insert into leasehold.migration (number, name, checksum) values "
            f"({migration.number}, '{migration.name}', '{migration.checksum}') on conflict do nothing;"
        )
    parts.extend(text for _, text in routine_files())
    parts.append(_table("grants"))
    parts.append(
        "insert into leasehold.migration (number, name, checksum) values "
        f"(0, 'functions', '{routines_checksum()}') on conflict (number) do update set checksum = excluded.checksum;"
    )
    return "begin;\n\n" + "\n\n".join(parts) + "\n\ncommit;\n"


def is_empty(session: Session) -> bool:
    """Whether the database has none of our tables yet."""
    return session.fetch(_table("migration_exists"))[0][0] is None
