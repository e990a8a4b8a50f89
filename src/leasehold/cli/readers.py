"""`leasehold readers`: which files can be read, by what, and what is missing for the rest."""

from __future__ import annotations

from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say


@click.command()
@common.common
def readers(database: str | None, home: str | None, as_json: bool) -> int:
    """List the readers: what each reads, which packages it needs, and whether they are there.

    Exit code 1 when an installed plug-in cannot be used.
    """
    found = rows()
    broken = any(one["broken"] for one in found)
    if as_json:
        emit("failed" if broken else "complete", readers=found)
        return 1 if broken else 0
    width = max(len(one["name"]) for one in found)
    for one in found:
        say(f"{one['name']:<{width}}  {state(one)}")
        for media_type in one["media_types"]:
            say(f"{'':<{width}}    {media_type}")
    return 1 if broken else 0


def rows() -> list[dict[str, Any]]:
    """Every reader as `--json` gives it."""
    from leasehold.steps import readers as known

    return [
        {
            "name": one.name,
            "version": None if one.broken else int(one.reader.version),
            "source": one.source,
            "what": one.what,
            "media_types": list(one.media_types),
            "needs": [{"module": need.module, "install": need.install, "there": need.there} for need in one.needs],
            "ready": not one.broken and not one.missing,
            "remedy": known.to_install(" ".join(dict.fromkeys(need.install for need in one.missing)))
            if one.missing
            else "",
            "broken": one.broken,
        }
        for one in known.known()
    ]


def state(one: dict[str, Any]) -> str:
    what = one["what"] or f"from {one['source']}"
    if one["broken"]:
        return f"BROKEN, from {one['source']}: {one['broken']}"
    return f"{what}: not installed -> {one['remedy']}" if one["remedy"] else f"{what}: ready"
