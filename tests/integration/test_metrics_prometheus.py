"""What a real Prometheus has scraped agrees with the rows: every sort of end, a killed child, a backlog.

Method: children under a keeper work steps that end in every way there is; a Prometheus from the system's packages
scrapes the keeper each half second. Its HTTP API is asked until it says what the rows say.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_help import HERE, SHORT, ended, eventually

from leasehold.db.target import Target
from leasehold.kernel import groups
from leasehold.kernel.groups import WorkflowStep
from leasehold.metrics import Collector, serve
from leasehold.metrics.queue import Queue
from leasehold.testing.stories import Kernel
from leasehold.worker.keeper import Keeper, KeeperConfig

pytestmark = pytest.mark.one_server

SCRAPED = "scrape_configs: [{job_name: leasehold, scrape_interval: 500ms, static_configs: [{targets: ['%s']}]}]"


class Prometheus:
    """A Prometheus that scrapes one address."""

    def __init__(self, folder: Path, address: str) -> None:
        program = shutil.which("prometheus")
        assert program, "Prometheus is not here: run `make servers`, or install the package prometheus"
        (folder / "prometheus.yml").write_text(SCRAPED % address)
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        arguments = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
                     f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen([program, *arguments], stdout=self.log, stderr=self.log)

    def ask(self, query: str) -> dict[tuple[str, ...], float]:
        """The values of an instant query by their labels' values; {} while it does not answer."""
        url = f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            assert self.process.poll() is None, Path(self.log.name).read_text()
            return {}
        return {tuple(one["metric"].values()): float(one["value"][1]) for one in found}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def keeper(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    config = KeeperConfig(target=Target(url=database), kinds="counted_work:kinds", processes=2, consumers={"*": 3},
                          lease=SHORT, poll_max_s=0.2, metrics=True)  # fmt: skip
    made = Keeper(config)
    yield made
    made.stop(0.0)


@pytest.fixture
def prometheus(tmp_path: Path, database: str, keeper: Keeper) -> Iterator[Prometheus]:
    queue = Queue(Target(url=database))
    served = serve("0", Collector(keeper.numbers, queue))
    made = Prometheus(tmp_path, served.url.removeprefix("http://").removesuffix("/metrics"))
    yield made
    made.close()
    served.close()
    queue.close()


def submit(kernel: Kernel, items: list[dict[str, Any]], kind: str = "counted") -> list[int]:
    group = kernel.group(steps=[WorkflowStep(kind, attempts_max=3, backoff_s=0.05, backoff_max_s=0.1)])
    first = groups.add_all(kernel.session, group, items)
    assert first is not None
    kernel.seal(group)
    return [run * 1024 for run in range(first, first + len(items))]


def rows(kernel: Kernel, statement: str) -> Counter[str]:
    return Counter({str(name): int(n) for name, n in kernel.session.fetch(statement)})


def counted(kernel: Kernel) -> dict[str, float]:
    """What the rows say, under the names in which it is compared."""
    kernel.session.fetch("select leasehold.fold_all()")
    ends = rows(kernel, "select ended::text, count(*) from leasehold.outcome group by 1")
    runs = rows(kernel, "select ended::text, count(*) from leasehold.run_outcome where not reopened group by 1")
    holders = rows(kernel, "select end_reason, count(*) from leasehold.holder where ended_at is not null group by 1")
    return {
        **{name: ends[name] for name in ("succeeded", "failed", "error", "snoozed", "cancelled")},
        "attempts": sum(ends.values()),
        **{f"runs {name}": runs[name] for name in ("succeeded", "failed", "cancelled")},
        "reaped": holders["reaped"],
        "refused": rows(kernel, "select 'n', coalesce(sum(steps), 0) from leasehold.refusal")["n"],
    }


def scraped(prometheus: Prometheus) -> dict[str, float]:
    """The same, as Prometheus has it."""
    ends = prometheus.ask("sum by (outcome) (leasehold_steps_total)")
    charged = sum(prometheus.ask("sum(leasehold_steps_charged_total)").values())
    runs = prometheus.ask("sum by (state) (leasehold_queue_runs)")
    if not ends or not runs:
        return {}
    return {
        "succeeded": ends["succeeded",],
        "failed": ends["failed",],
        "error": ends["retried",] + charged,
        "snoozed": ends["snoozed",],
        "cancelled": ends["skipped",],
        "attempts": sum(prometheus.ask("sum(leasehold_steps_leased_total)").values()),
        **{f"runs {name}": runs[name,] for name in ("succeeded", "failed", "cancelled")},
        "reaped": sum(prometheus.ask('leasehold_queue_holders{state="reaped"}').values()),
        "refused": sum(prometheus.ask("sum(leasehold_queue_refused_steps)").values()),
    }


def agree(kernel: Kernel, prometheus: Prometheus) -> dict[str, float]:
    """Wait until a scrape has everything, and return it."""
    truth = counted(kernel)
    give_up_at = time.monotonic() + 30
    while (found := scraped(prometheus)) != truth and time.monotonic() < give_up_at:
        time.sleep(0.1)
    assert found == truth
    return found


def test_what_prometheus_has_scraped_is_what_the_rows_say(kernel, keeper, prometheus, tmp_path):
    items = [
        *[{"ends": "done"}] * 30,
        *[{"ends": "skip"}] * 5,
        *[{"ends": "fail"}] * 4,
        *[{"ends": "error"}] * 3,
        *[{"ends": "error", "once": True}] * 6,
        *[{"ends": "hangs", "once": True}] * 2,
        *[{"ends": "snooze", "once": True, "mark": str(tmp_path / "snoozed")}] * 3,
        *[{"ends": "busy", "once": True, "mark": str(tmp_path / "busy")}] * 2,
    ]
    unserved = submit(kernel, [{"ends": "done"}] * 7, "unserved")
    keeper.start()
    steps = submit(kernel, items)
    eventually(lambda: ended(kernel, steps))
    assert kernel.finish_pairs([(2**40, steps[0])]) == ["lost"]
    found = agree(kernel, prometheus)
    assert found["succeeded"] == 30 + 6 + 2 + 3 + 2
    assert found["failed"] == 4 + 3
    assert found["error"] == 3 * 2 + 6 + 2
    assert found["refused"] == 1

    # A child dies with what it counted in its memory: its keeper still has that, and counts whom it charged.
    killed = submit(kernel, [{"ends": "dies", "once": True}])
    eventually(lambda: ended(kernel, killed))
    found = agree(kernel, prometheus)
    assert found["reaped"] == 1

    def says(query: str, value: float) -> None:
        eventually(lambda: list(prometheus.ask(query).values()) == [value], what=f"{query} is {value}")

    says('leasehold_process_ends_total{how="died"}', 1)
    says("leasehold_processes", 2)
    says("sum(leasehold_steps_timed_out_total)", 2)
    says("sum(leasehold_step_seconds_count)", found["attempts"] - 1)
    says("sum(leasehold_step_seconds_sum) > bool 4", 1)
    says('leasehold_claim_seconds_count - on() sum(leasehold_claims_total{result=~"won|lost"})', 0)
    says('leasehold_claims_total{result="won"} > bool 0', 1)
    says("leasehold_queue_up", 1)

    # What waits, and since when: of kinds that nobody serves, too.
    says('leasehold_queue_steps{kind="unserved",state="ready"}', len(unserved))
    says('leasehold_queue_oldest_ready_seconds{kind="unserved"} > bool 2', 1)
