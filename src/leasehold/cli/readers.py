"""`leasehold readers`: which files can be read, by what, and what is missing for the rest."""

from __future__ import annotations

from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import emit, say


@click.command()
@common.common
def readers(database: str | None, home: str | None, as_json: bool) -> int:
    """List the readers: what each reads, which packages it needs, whether they are there, and where it runs: in the
    worker's own process, or in a sandbox; and what a sandbox holds back on this machine.

    Exit code 1 when an installed plug-in cannot be used.
    """
    found = rows()
    broken = any(one["broken"] for one in found)
    if as_json:
        emit("failed" if broken else "complete", readers=found, sandbox=fences())
        return 1 if broken else 0
    width = max(len(one["name"]) for one in found)
    for one in found:
        say(f"{one['name']:<{width}}  {state(one)}")
        for media_type in one["media_types"]:
            say(f"{'':<{width}}    {media_type}")
    held = fences()
    say(f"in the sandbox: {', '.join(f'{name} {how}' for name, how in held.items())}")
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
            "sandboxed": not one.in_process and not one.broken,
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
    where = "in a sandbox" if one["sandboxed"] else "in the worker"
    return f"{what}: not installed -> {one['remedy']}" if one["remedy"] else f"{what}: ready, {where}"


def fences() -> dict[str, str]:
    """What a sandbox holds back on this machine, tried: memory, network, processes, writing."""
    from leasehold.documents.readings import held
    from leasehold.sandbox.calling import SandboxFailed

    try:
        stands = held()
    except SandboxFailed as error:
        return {"sandbox": f"cannot be started: {error.message}"}
    return {
        "memory": "limited" if "memory" in stands else "not limited on this system",
        "network": "none" if {"network", "sockets"} & stands else "refused to Python only",
        "processes": "none" if "processes" in stands else "refused to Python only",
        "files": "read only" if "writes" in stands else "none that has content can be written",
    }
