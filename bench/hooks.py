"""What events and hooks cost the server, in CPU time of its process for each step: run with `python bench/hooks.py`.

A step is claimed and finished in pages of 500, in one session. The first two lines are the same work with and without
the look whether anybody subscribed, taken in turns, so that a busy machine touches both alike; their difference is what
the look costs where nobody did. The others are with step events, and with a hook on the end of each run.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.resources import files
from statistics import median

from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.kernel import groups
from leasehold.kernel.hooks import Hook
from leasehold.testing import clusters
from leasehold.testing.databases import Databases
from leasehold.testing.stories import Kernel

STEPS, PAGE, ROUNDS = 20_000, 500, 6
UNASKED = {
    "claim": ("array_agg(l.lane_id) filter (where l.subscribed is not null)", "null::bigint[]"),
    "end_runs": ("l.subscribed is not null into v_group", "false into v_group"),
    "end_steps": ("bool_or(l.subscribed && '{step_end,step_failed}')", "false"),
}
"""Of each function the look, and what stands there without it."""


def server_cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def cost_us(kernel: Kernel, hooks: Sequence[Hook] = (), events: Sequence[str] = ()) -> float:
    group = kernel.group("work", hooks=hooks, events=events)
    for _ in range(STEPS // 5000):
        kernel.session.run(lambda connection: groups.add(connection, group, [0] * 5000))
    lane = kernel.lanes("work")[0].lane_id
    pid = kernel.session.connection.info.backend_pid
    before = server_cpu_s(pid)
    for _ in range(STEPS // PAGE):
        (lease,) = kernel.claim_lanes([lane], "A", PAGE)
        kernel.succeed(lease)
    return (server_cpu_s(pid) - before) / STEPS * 1e6


def look(kernel: Kernel, *, asked: bool) -> None:
    """Put the functions there with the look, or without."""
    for name, (before, after) in UNASKED.items():
        text = (files("leasehold.kernel") / "sql" / f"{name}.sql").read_text("utf-8")
        assert before in text, f"{name} no longer says {before!r}"
        kernel.session.connection.execute(text if asked else text.replace(before, after))


def main() -> None:
    databases = Databases(clusters.start("18"))
    with databases.clone() as url, Session(Target(url=url)) as session:
        kernel = Kernel(session)
        cost_us(kernel)
        found: dict[bool, list[float]] = {False: [], True: []}
        for number in range(ROUNDS):
            for asked in (False, True) if number % 2 else (True, False):
                look(kernel, asked=asked)
                found[asked].append(cost_us(kernel))
        look(kernel, asked=True)
        print(f"nobody subscribed, without the look  {median(found[False]):5.1f} us a step")
        print(f"nobody subscribed                    {median(found[True]):5.1f} us a step")
        print(
            f"starts and ends of steps             {cost_us(kernel, events=['step_start', 'step_end']):5.1f} us a step"
        )
        hook = Hook(name="tell", on=("run_end",), call="module:function")
        print(f"a hook on the end of each run        {cost_us(kernel, [hook]):5.1f} us a step")
    databases.close()


if __name__ == "__main__":
    main()
