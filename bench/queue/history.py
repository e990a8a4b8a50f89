"""Rows of work done long ago, made in bulk: a contender's own tables as they would be if it had worked that much.

What `NAME.finished.sql` says, one statement after the other. Leasehold's rows stand in a group that is sealed and
complete; a test holds them to the kernel's invariants.
"""

from __future__ import annotations

import psycopg

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups


def fill(url: str, statements: str, rows: int) -> None:
    values = {":rows": str(rows)}
    if ":group" in statements:
        with Session(Target(url=url)) as session:
            workflow = groups.register(session, "finished", groups.chain("finished"))
            group, _ = groups.open_group(session, workflow)
            run(url, statements, values | {":group": str(group)})
            assert groups.seal(session, group), "the group of the finished rows is not complete"
    else:
        run(url, statements, values)


def run(url: str, statements: str, values: dict[str, str]) -> None:
    for name, value in values.items():
        statements = statements.replace(name, value)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements.split(";\n"):
            connection.execute(statement.encode())
