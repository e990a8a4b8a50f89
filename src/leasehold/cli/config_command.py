"""`leasehold config show`: every setting, its value and where it comes from."""

from __future__ import annotations

import re
from dataclasses import fields

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say
from leasehold.cli.config import SECTIONS
from leasehold.db.target import redact

PLAIN = {"host", "hostaddr", "port", "dbname", "user", "sslmode", "options", "application_name", "connect_timeout",
         "target_session_attrs", "channel_binding", "sslrootcert"}  # fmt: skip
WORD = re.compile(r"\b(\w+)(\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)")


def address(given: str | None) -> str:
    """A database address without its password, and without the value of any word that libpq does not know: a password
    under a misspelt name."""
    return WORD.sub(lambda one: one[0] if one[1] in PLAIN else f"{one[1]}{one[2]}***", redact(given or ""))


@click.group()
def config() -> None:
    """Show the settings and where each comes from."""


@config.command()
@common.common
def show(database: str | None, home: str | None, as_json: bool) -> int:
    """Every setting: its value, and whether a flag, a variable, the file or the default says so."""
    chosen = common.settings(database, home)
    rows = [
        ("home", str(chosen.home), chosen.origins.get("home", "default")),
        ("database.url", address(chosen.database_url), chosen.origins.get("database.url", "default")),
        ("database.direct_url", address(chosen.direct_url), chosen.origins.get("database.direct_url", "default")),
        ("database.disable_direct", chosen.disable_direct, chosen.origins.get("database.disable_direct", "default")),
    ]
    for name in SECTIONS:
        section = getattr(chosen, name.rpartition(".")[2])
        for one in fields(section):
            key = f"{name}.{one.name}"
            rows.append((key, getattr(section, one.name), chosen.origins.get(key, "default")))
    rows += [(f"hooks.{one['name']}", f"{one['call']} on {one['on']}", "file") for one in chosen.hooks]
    if as_json:
        emit("complete", settings={key: {"value": value, "from": origin} for key, value, origin in rows})
        return 0
    width = max(len(key) for key, _, _ in rows)
    for key, value, origin in rows:
        text = ",".join(value) if isinstance(value, tuple) else value
        say(f"{key:<{width}}  {text!s:<24}  {origin}")
    return 0
