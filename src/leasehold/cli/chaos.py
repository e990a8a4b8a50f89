"""`leasehold chaos`: the fault lab as a command. Do not believe us: hurt it yourself, and count."""

from __future__ import annotations

import shlex
import time
from dataclasses import asdict
from typing import Any

import click

from leasehold.cli import common
from leasehold.cli.common import counted, emit, note, parse_time, say
from leasehold.errors import UsageError

EXIT = {"complete": 0, "failed": 1, "interrupted": 130}


@click.command()
@click.option("--runs", type=int, metavar="N", help="Work N runs [as many as fit into --for].")
@click.option("--for", "for_", metavar="TIME", help="Attack for this long, 20, 90s, 5m [20s; 10m with --runs].")
@click.option("--corpus", type=common.PathThere(), metavar="FOLDER", help="Ingest a folder instead of made-up work.")
@click.option("--workflow", metavar="NAME", help="Work a workflow instead, twice; `drill` is built in.")
@click.option("--items", type=common.PathThere(), metavar="FILE", help="Its items, as JSON lines.")
@common.places
@click.option(
    "--workers", type=int, default=3, show_default=True, metavar="N", help="Hosts, each a keeper with a worker."
)
@click.option("--group", "group_runs", type=int, default=100, show_default=True, metavar="N", help="Runs of a group.")
@click.option("--ttl", type=float, default=2.0, show_default=True, metavar="S", help="Lease time of the workers.")
@click.option("--kill-every", type=float, metavar="S", help="kill -9 a worker, or its keeper with it.")
@click.option("--stop-every", type=float, metavar="S", help="SIGSTOP a host past the lease time, then SIGCONT.")
@click.option("--cut-every", type=float, metavar="S", help="Cut the network, refuse, stall it, or leave it half open.")
@click.option("--db-restart-every", type=float, metavar="S", help="Kill or stop the server; also while it recovers.")
@click.option("--terminate-every", type=float, metavar="S", help="pg_terminate_backend of a session, of any duty.")
@click.option("--drop-replies", type=float, metavar="P", help="Share of commits whose reply is lost: 0.02.")
@click.option("--rollbacks", type=float, metavar="P", help="Share of statements that end in 40001, 40P01, 55P03, each.")
@click.option("--slow-db", type=float, metavar="S", help="Delay every message to and from the database.")
@click.option("--drop-notifies", is_flag=True, help="Let no notification arrive.")
@click.option("--fault", "extra_faults", multiple=True, metavar="KIND@TEXT=P", help="kill_after@leasehold.claim=0.05")
@click.option("--seed", type=int, metavar="N", help="Draws work and attacks [by the clock].")
@click.option("--attack-given-server", is_flag=True, help="Allow --database: a new database there is attacked.")
@common.common
def chaos(
    for_: str | None, attack_given_server: bool, seed: int | None, workflows: str | None, modules: tuple[str, ...],
    database: str | None, home: str | None, as_json: bool, **given: Any,
) -> int:  # fmt: skip
    """Kill, stop and cut off real workers, on a server of the lab's own, and then count whether anything was lost.

    Without any attack named, most of them are on. Exit code 0 when everything held, 1 when something was broken, with
    its name and the seed; nothing is left behind.
    """
    from leasehold.chaos.lab import Lab

    if home is not None:
        raise UsageError("The lab makes a home of its own and removes it; --home is not for it.",
                         remedy="Leave --home out.")  # fmt: skip
    if database is not None and not attack_given_server:
        raise UsageError("The lab attacks only a server of its own, and --database names another one.",
                         remedy="Leave --database out; or, if a new database there may be attacked and its server "
                                "disturbed, add --attack-given-server.")  # fmt: skip
    if attack_given_server and database is None:
        raise UsageError("--attack-given-server needs --database: the lab does not take one from settings.")
    if given["workflow"] is not None:
        where = common.places_of(common.settings(None, None, **common.placed(workflows, modules)))
        given |= {"workflows": where.folder, "modules": where.modules}
    options = options_of(given, for_, int(time.time()) % 100_000 if seed is None else seed, database)
    note(f"seed {options.seed}: {attacks_of(options)}")
    began = time.monotonic()
    lab = Lab(options, lambda text: note(f"{time.monotonic() - began:6.1f} s  {text}"))
    common.on_signals(lab.interrupt, lab.interrupt)
    report = lab.run()
    outcome = "interrupted" if report.interrupted else "complete" if report.held else "failed"
    if as_json:
        emit(outcome, **asdict(report), broken=report.broken)
    else:
        for line in lines(report):
            say(line)
    if report.broken:
        note(f"  -> the same attacks again: {again(options)}")
    return EXIT[outcome]


def options_of(given: dict[str, Any], for_: str | None, seed: int, database: str | None) -> Any:
    from leasehold.chaos.options import ATTACKS_BY_DEFAULT, OFF_BY_DEFAULT, ChaosOptions
    from leasehold.cli.ingest import check_paths

    if given["corpus"] is not None:
        check_paths([given["corpus"]])
    seconds = {"kill_every": "kill_every_s", "stop_every": "stop_every_s", "cut_every": "cut_every_s",
               "db_restart_every": "db_restart_every_s", "terminate_every": "terminate_every_s",
               "slow_db": "slow_db_s", "ttl": "ttl_s"}  # fmt: skip
    chosen = {seconds.get(name, name): value for name, value in given.items() if value is not None}
    hurts = {*OFF_BY_DEFAULT, *ATTACKS_BY_DEFAULT, "extra_faults"}
    if not any(value is not False and value != () for name, value in chosen.items() if name in hurts):
        chosen |= ATTACKS_BY_DEFAULT
        if database is not None:
            del chosen["db_restart_every_s"]
    long = any(given[one] is not None for one in ("runs", "corpus", "workflow"))
    for_s = parse_time(for_, "--for") if for_ else 600.0 if long else 20.0
    return ChaosOptions(for_s=for_s, seed=seed, database=database, **chosen)


def attacks_of(options: Any) -> str:
    named = [f"{name.removesuffix('_s').replace('_', '-')} {value:g}" for name, value in options.attacks().items()]
    return ", ".join([*named, *options.extra_faults]) or "no attacks at all"


def again(options: Any) -> str:
    """The command that draws the same work and the same attacks."""
    flags = [f"--{name.removesuffix('_s').replace('_', '-')} {value:g}" for name, value in options.attacks().items()]
    flags = ["--drop-notifies" if flag.startswith("--drop-notifies") else flag for flag in flags]
    flags = [*flags, *(f"--fault {shlex.quote(fault)}" for fault in options.extra_faults)] or ["--kill-every 0"]
    places = [("--workflows", options.workflows), *(("--module", one) for one in options.modules)]
    given = [("--runs", options.runs), ("--corpus", options.corpus), ("--workflow", options.workflow),
             ("--items", options.items), *places]  # fmt: skip
    work = [f"{flag} {shlex.quote(str(value))}" for flag, value in given if value]
    shape = f"--for {options.for_s:g}s --workers {options.workers} --group {options.group_runs} --ttl {options.ttl_s:g}"
    where = "--attack-given-server --database URL" if options.database else ""
    parts = ["leasehold chaos", *work, shape, f"--seed {options.seed}", *flags, where]
    return " ".join(filter(None, parts))


def lines(report: Any) -> list[str]:
    said = [f"{report.server}; {counted(report.runs, 'run')} in {report.elapsed_s:.1f} s"]
    hurt = ", ".join(f"{what}: {n:,}" for what, n in report.attacks.items()) or "nothing was attacked"
    said.append(f"done to it: {hurt}")
    said.append(f"workers that died, and were buried or reaped: {report.deaths:,}")
    if report.blamed:
        said.append(f"files blamed for deaths that were ours, and tried again: {report.blamed:,}")
    late = ", ".join(f"{n:,} by {verb}" for verb, n in sorted(report.refused.items())) or "none"
    said.append(f"late writes refused: {late}")
    for check in report.checks:
        said.append(f"{'✓' if check.held else '✗ BROKEN:'} {check.name}: {check.detail}")
        said += [f"    {found}" for found in check.found]
    if report.interrupted:
        said.append("interrupted: nothing was judged, and nothing is left behind")
    elif report.held:
        said.append(f"HELD: nothing was lost and nothing was done twice (seed {report.seed})")
    else:
        said.append(f"BROKEN: {'; '.join(report.broken)} (seed {report.seed})")
    return said
