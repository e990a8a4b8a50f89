"""`leasehold worker`: a keeper with its children, and what can be told to workers on any machine."""

from __future__ import annotations

import threading
from dataclasses import asdict
from typing import Any

import click
from click.core import ParameterSource

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, say
from leasehold.cli.ingest import hands
from leasehold.errors import NotFound, UsageError


@click.group(invoke_without_command=True)
@click.option("--processes", type=int, metavar="P", help="Worker processes [one per core].")
@click.option(
    "--consumers",
    metavar="POOLS",
    help="Consumers of each process by kind: parse=2,*=4 [*=2]; hook=N: calls of hooks at once, in all [4].",
)
@common.places
@click.option("--metrics", metavar="[HOST:]PORT", help="Answer Prometheus at /metrics; on 127.0.0.1 unless told.")
@click.option("--trace", is_flag=True, help="Send a span of each step by OpenTelemetry, as OTEL_* variables say.")
@click.option("--until-idle", is_flag=True, help="Stop when no open group has anything left to do.")
@click.option("--stop-within", type=float, default=30.0, show_default=True, metavar="S", help="Grace of a stop.")
@common.common
@click.pass_context
def worker(
    context: click.Context, processes: int | None, consumers: str | None, workflows: str | None,
    modules: tuple[str, ...], metrics: str | None, trace: bool, until_idle: bool, stop_within: float,
    database: str | None, home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Work on whatever is queued until stopped. SIGTERM or Ctrl-C: running steps finish; twice: at once."""
    if context.invoked_subcommand is None:
        chosen = common.settings(database, home, **{"ingest.processes": processes}, **common.placed(workflows, modules))
        return work(chosen, processes, consumers, metrics, trace, until_idle, stop_within, as_json=as_json)
    given = [
        one
        for one in context.command.params
        if one.name and context.get_parameter_source(one.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        flag = given[0].opts[0]
        raise UsageError(f"{flag} stands before '{context.invoked_subcommand}'.",
                         remedy=f"Write it behind: leasehold worker {context.invoked_subcommand} …")  # fmt: skip
    return 0


def work(
    chosen: Any, processes: int | None, consumers: str | None, metrics: str | None, trace: bool, until_idle: bool,
    stop_within: float, *, as_json: bool,
) -> int:  # fmt: skip
    from leasehold.artifacts.keeping import Artifacts
    from leasehold.documents.kinds import WORKFLOW
    from leasehold.kernel import hooks
    from leasehold.worker import room, tracing
    from leasehold.worker.hooks import CONSUMERS
    from leasehold.worker.keeper import Keeper, KeeperConfig
    from leasehold.worker.pools import check_kinds, parse_consumers
    from leasehold.worker.workflows import FACTORY, PLACES, SESSIONS, look

    if not 0 <= stop_within <= 86_400:
        raise UsageError(f"--stop-within {stop_within} must be between 0 and 86400 seconds.")
    if trace:
        tracing.require()
    pools = parse_consumers(consumers) if consumers else {"*": 2}
    calls = pools.pop(hooks.KIND, CONSUMERS)
    where = common.places_of(chosen)
    found = look(where)
    check_kinds(pools, [*WORKFLOW, *found.kinds])
    session = common.open_session(chosen, write=True)
    Artifacts(chosen.target, chosen.artifacts).settle(session)
    count, _ = hands(chosen)
    room.check(
        chosen.target, room.of_keeper(processes or count, sum(pools.values()) + (SESSIONS if found.kinds else 0))
    )
    keeper = Keeper(
        KeeperConfig(
            target=chosen.target,
            kinds=FACTORY,
            kind_options={
                "step_timeout_s": chosen.ingest.step_timeout_s,
                "embed": asdict(chosen.embed),
                "readers": asdict(chosen.readers),
                PLACES: asdict(where),
                "artifacts": asdict(chosen.artifacts),
                "docling": asdict(chosen.docling),
            },
            memory_max_bytes=chosen.ingest.memory_mb * 1_000_000,
            processes=(processes or count) if pools else 0,
            consumers=pools,
            hooks=calls,
            lease=chosen.lease,
            metrics=metrics is not None,
            trace=trace,
            folders=common.folders_of(where),
            **common.logging_of_children(),
        ),
        lambda happening: note(f"worker {happening.pid} {happening.what}: {happening.detail}"),
    )
    stop = threading.Event()
    common.on_signals(stop.set, keeper.stop_now)
    served = common.serve_metrics(metrics, keeper.numbers, chosen.target) if metrics is not None else None
    keeper.start()
    while not stop.wait(0.5) and keeper.alive:
        if until_idle and not has_work(session):
            break
    keeper.stop(stop_within)
    if served is not None:
        served.close()
    ended, failed = keeper.counts()
    session.close()
    if as_json:
        emit("complete", ended=ended, failed=failed, restarts=keeper.restarts, drained=keeper.drained)
    else:
        if keeper.drained:
            note("drained: what was held is finished")
        note(f"{ended:,} steps ended, {failed:,} failed")
    return 0


def has_work(session: Any) -> bool:
    from leasehold.kernel import groups, hooks

    states = [groups.state(session, group_id) for group_id in groups.open_ids(session)]
    return hooks.any_open(session) or any(one is not None and one.ended < one.added for one in states)


# -- workers anywhere -------------------------------------------------------------------------------------------------


@worker.command("list")
@click.option("--host", metavar="HOST", help="Those of one machine only.")
@click.option("--kind", metavar="KIND", help="Those that serve this kind only.")
@common.common
def listed(host: str | None, kind: str | None, database: str | None, home: str | None, as_json: bool) -> int:
    """Every worker process that lives, on any machine: what it holds, serves, and was told."""
    from leasehold.kernel import holders

    with common.open_session(common.settings(database, home)) as session:
        found = [one for one in holders.living(session) if one.kind == "worker" and host in (None, one.host)
                 and (kind is None or one.kinds is None or kind in one.kinds)]  # fmt: skip
    if as_json:
        emit("complete", workers=[asdict(one) for one in found])
        return 0
    for one in found:
        serves = ", ".join(one.kinds) if one.kinds is not None else "it has not said what"
        drained = f"; drained by {one.drained_by}, then to {_then(one.drain)}" if one.drain else ""
        late = "; EXPIRED, about to be reaped" if one.expired else ""
        silent = f"; SILENT for {one.silent_s:.0f} s: {one.silent}" if one.silent else ""
        say(f"worker {one.holder_id}: {one.name} on {one.host} (pid {one.pid}): holds {counted(one.steps, 'step')}, "
            f"serves {serves}, heard {one.heard_s:.0f} s ago{drained}{late}{silent}")  # fmt: skip
    if not found:
        say("no such workers" if host or kind else "no worker runs")
    return 0


def which(function: Any) -> Any:
    """WORKER..., --host, --all, --dry-run."""
    options = (
        click.argument("workers", nargs=-1, type=click.IntRange(1, 2**53), metavar="[WORKER...]"),
        click.option("--host", metavar="HOST", help="Every worker of one machine."),
        click.option("--all", "everything", is_flag=True, help="Every worker."),
        click.option("--dry-run", is_flag=True, help="Only say which it would be, and how many."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@worker.command("drain")
@which
@click.option("--idle", is_flag=True, help="Stay, and claim again after `worker resume`; without it: end.")
@common.common
def drain(
    workers: tuple[int, ...], host: str | None, everything: bool, dry_run: bool, idle: bool, database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Let workers finish what they hold and claim no more; then they end, without a successor.

    It is kept in the database: workers on other machines heed it too, within a heartbeat. `leasehold worker list` names
    them.
    """
    from leasehold.kernel import holders

    how = holders.IDLE if idle else holders.END
    return _tell(workers, host, everything, dry_run, how, database, home, as_json=as_json)


@worker.command("resume")
@which
@common.common
def resume(
    workers: tuple[int, ...], host: str | None, everything: bool, dry_run: bool, database: str | None,
    home: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Let drained workers that have not ended claim again."""
    return _tell(workers, host, everything, dry_run, None, database, home, as_json=as_json)


def _tell(
    workers: tuple[int, ...], host: str | None, everything: bool, dry_run: bool, how: str | None,
    database: str | None, home: str | None, *, as_json: bool,
) -> int:  # fmt: skip
    from leasehold.kernel import holders

    if bool(workers) + bool(host) + everything != 1:
        raise UsageError("Say which workers.", remedy="Name them (leasehold worker list), or give --host or --all.")
    with common.open_session(common.settings(database, home)) as session:
        living = [one for one in holders.living(session) if one.kind == "worker"]
        for missing in sorted(set(workers) - {one.holder_id for one in living}):
            raise NotFound(f"There is no worker {missing}, or it has ended.", remedy="Run `leasehold worker list`.")
        meant = [one for one in living if everything or one.holder_id in workers or one.host == host]
        new = [one.holder_id for one in meant if one.drain != how]
        told = new if dry_run else holders.drain(session, new, how)
    if as_json:
        emit("complete", dry_run=dry_run, workers=told, drain=how, meant=len(meant))
        return 0
    what = "claim again" if how is None else f"claim no more, finish what they hold, and then {_then(how)}"
    for one in meant:
        if one.holder_id in told:
            say(f"  worker {one.holder_id}: {one.name} on {one.host}, holds {counted(one.steps, 'step')}")
    said = (
        f"{counted(len(told), 'worker')} {'would be' if dry_run else 'are' if len(told) != 1 else 'is'} told to {what}"
    )
    say(f"{said}; {counted(len(meant) - len(told), 'other')} had been told" if len(told) < len(meant) else said)
    return 0


def _then(how: str | None) -> str:
    return "stay idle" if how == "idle" else "end"
