"""`leasehold db …`: the database under everything."""

from __future__ import annotations

import os
import shutil
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say
from leasehold.errors import LeaseholdError, NotFound, UsageError


@click.group()
def db() -> None:
    """The database: our own server in LEASEHOLD_HOME, or the one --database names."""


@db.command()
@common.common
def up(database: str | None, home: str | None, as_json: bool) -> int:
    """Start our own server, and bring the schema up to date. It stops by itself when its last user has gone."""
    chosen = common.settings(database, home)
    with common.open_session(chosen, write=True) as session:
        version = session.fetch("show server_version")[0][0]
    say_or_emit(as_json, f"PostgreSQL {version}: {chosen.target.described()}", running=True, version=version,
                database=chosen.target.described())  # fmt: skip
    return 0


@db.command()
@common.common
def down(database: str | None, home: str | None, as_json: bool) -> int:
    """Stop our own server now, whoever uses it. Nothing is lost; the next command starts it again."""
    from leasehold.db import embedded

    chosen = own_server(database, home, "stopped")
    running = embedded.status(chosen.home).running
    embedded.stop(chosen.home)  # also one that is just coming up, or being restarted
    say_or_emit(as_json, "stopped" if running else "it was not running", running=False, was_running=running)
    return 0


@db.command()
@common.common
def status(database: str | None, home: str | None, as_json: bool) -> int:
    """Which database is used, whether it runs, and whether its schema is ours. Starts nothing."""
    chosen = common.settings(database, home)
    body: dict[str, Any] = {"database": chosen.target.described()}
    if chosen.target.embedded:
        from leasehold.db import embedded

        state = embedded.status(chosen.home)
        body |= {"running": state.running, "version": state.version, "pid": state.pid, "data": str(state.data_dir),
                 "size_bytes": state.size_bytes, "used_by_others": state.users, "log": str(state.log)}  # fmt: skip
    if body.get("running", True):
        body |= schema_state(chosen)
    if as_json:
        emit("complete" if body.get("reachable", True) else "failed", **body)
    else:
        for key, value in body.items():
            say(f"{key.replace('_', ' '):<16} {value}")
    return 0 if body.get("reachable", True) else 1


def schema_state(chosen: Any) -> dict[str, Any]:
    from leasehold.db import migrations
    from leasehold.db.session import Session
    from leasehold.stores import pg

    with Session(chosen.target, application_name="leasehold db status", patience_s=2.0) as session:
        try:
            version = session.fetch("show server_version")[0][0]
            schema = "none yet" if migrations.is_empty(session) else (
                "current" if migrations.is_current(session) else "older than this program: leasehold db migrate"
            )  # fmt: skip
            vectors = (
                ""
                if schema != "current"
                else (
                    "pgvector"
                    if pg.has_pgvector(session)
                    else "real[], compared one by one: pgvector was not there when the schema was made"
                )
            )
        except LeaseholdError as error:
            return {"reachable": False, "error": error.message, "remedy": error.remedy}
    return {"reachable": True, "version": version, "schema": schema, "vectors": vectors}


@db.command()
@click.option("--sql", "as_sql", is_flag=True, help="Print the SQL instead of running it.")
@common.common
def migrate(as_sql: bool, database: str | None, home: str | None, as_json: bool) -> int:
    """Bring the schema up to this program's. Safe to run from ten places at once."""
    from leasehold.db import migrations
    from leasehold.db.session import Session

    if as_sql:
        say(migrations.script())
        return 0
    chosen = common.settings(database, home)
    with Session(chosen.target, route="direct", application_name="leasehold migrate") as session:
        done = migrations.migrate(session)
    say_or_emit(as_json, f"applied {', '.join(done)}" if done else "nothing to do", applied=done)
    return 0


@db.command()
@click.option("--command", "-c", metavar="SQL", help="Run this and end.")
@common.common
def shell(command: str | None, database: str | None, home: str | None, as_json: bool) -> int:
    """Open psql on the database, with our schema on its path."""
    from leasehold.db.binaries import find_binaries
    from leasehold.db.routes import without_password

    chosen = common.settings(database, home)
    own = find_binaries().bin_dir / "psql" if chosen.target.embedded else None
    psql = str(own) if own is not None and own.exists() else shutil.which("psql")
    if psql is None:
        raise NotFound("There is no psql on this machine.", remedy="Install the PostgreSQL client.")
    if as_json:
        raise UsageError("`db shell` has no JSON form.", remedy="Leave --json out.")
    url = chosen.target.conninfo()
    os.environ["PGOPTIONS"] = f"{os.environ.get('PGOPTIONS', '')} -c search_path=leasehold,public".strip()
    address, password = without_password(url)
    if password:  # a command line can be read by everybody on the machine
        os.environ["PGPASSWORD"] = password
    os.execv(psql, [psql, address, *(["-c", command] if command else [])])


def own_server(database: str | None, home: str | None, verb: str) -> Any:
    chosen = common.settings(database, home)
    if not chosen.target.embedded:
        raise UsageError(f"{chosen.target.described()} is not our server; it is not {verb} from here.",
                         remedy="Leave --database and LEASEHOLD_DATABASE_URL out for our own server.")  # fmt: skip
    return chosen


def say_or_emit(as_json: bool, text: str, **body: Any) -> None:
    if as_json:
        emit("complete", **body)
    else:
        say(text)
