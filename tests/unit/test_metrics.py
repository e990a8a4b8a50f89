"""Tallies, the collector and its server: what is counted is exposed, under the names that the reference gives."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.parser import text_string_to_metric_families

from leasehold.errors import LeaseholdError, UsageError
from leasehold.kernel.conditions import Standing
from leasehold.metrics import Collector, families, queue, serve
from leasehold.metrics.server import parse_address
from leasehold.worker.board import Board
from leasehold.worker.tallies import (
    BOUNDS_S,
    FAILED,
    IDLE,
    KINDS_MAX,
    OTHER,
    SUCCEEDED,
    TRIED,
    WON,
    Numbers,
    Tallies,
    Upkeep,
    total,
)


class Rows:
    """In place of the queue: a reading with a sample for each of its families."""

    def read(self) -> queue.Reading:
        standing = [
            Standing("waiting", "parse", "", 3, 12.0, 2, 2),
            Standing("waiting", "parse", "kind parse is paused by ann", 5, 40.0, 1, 5),
            Standing("leased", "parse", "", 4, 7.0, 1),
            Standing("slow", "parse", "", 1, 7.0, 1),
        ]
        totals = {("runs", "open"): 9, ("groups", "open"): 1, ("refused", "finish"): 2, ("holders", "living"): 1,
                  ("seats", "taken"): 1, ("line", "waiting"): 1, ("breakers", "open"): 0}  # fmt: skip
        return queue.Reading(True, 0.01, {**queue.of_kinds(standing), **queue.of_totals(totals)})


def exposed(collector: Collector) -> dict[str, dict[tuple[str, ...], float]]:
    registry = CollectorRegistry()
    registry.register(collector)
    text = exposition.generate_latest(registry).decode()
    return {
        sample.name: {tuple(one.labels.values()): one.value for one in family.samples if one.name == sample.name}
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_told_is_read_back_and_added_up():
    one, other = Tallies(), Tallies()
    one.claimed(TRIED)
    one.claimed(WON, 0.004)
    one.claimed(IDLE)
    one.leased("parse", 3)
    one.ended("parse", SUCCEEDED, 2)
    one.ran("parse", [400.0, 0.25, 0.2])
    other.ended("parse", SUCCEEDED, 5)
    other.ended("embed", FAILED, 1)
    other.timed_out("embed", 1)
    other.passed_over(2)
    found = total([one.read(), other.read()])
    assert found.claims == {"tried": 1, "won": 1, "lost": 0, "idle": 1}
    assert (found.claiming.count, found.claiming.sum_s) == (1, pytest.approx(0.004))
    assert (found.kinds["parse"].ends["succeeded"], found.kinds["parse"].leased) == (7, 3)
    assert found.kinds["parse"].ran.buckets[BOUNDS_S.index(0.25)] == 2
    assert found.kinds["parse"].ran.buckets[-1] == 1
    assert found.kinds["parse"].ran.sum_s == pytest.approx(400.45)
    assert (found.kinds["embed"].ends["failed"], found.kinds["embed"].timed_out, found.passed_over) == (1, 1, 2)


def test_a_boards_tallies_are_another_process_s_to_read_and_leave_its_slots_alone():
    board = Board.create(4)
    child = Board(board.fd)
    child.begin(3, 7, 1024, 10.0)
    child.count(2, 1)
    child.tallies.ended("parse", SUCCEEDED, 9)
    assert board.tallies.read().kinds["parse"].ends["succeeded"] == 9
    assert [(one.slot, one.token) for one in board.working()] == [(3, 7)]
    assert board.counts() == (2, 1)
    assert board.slots == 4
    child.tallies.close()
    board.close()


def test_however_many_kinds_there_are_the_numbers_stay_few():
    """In the worker, and in what is read from the rows: the busiest have names, the rest are added up."""
    tallies = Tallies()
    for n in range(KINDS_MAX + 20):
        tallies.ended(f"kind-{n}", SUCCEEDED, 1)
    kinds = tallies.read().kinds
    assert len(kinds) == KINDS_MAX + 1
    assert kinds[OTHER].ends["succeeded"] == 20
    samples = queue.of_kinds([Standing("leased", f"kind-{n}", "", n + 1, 0.0, 1) for n in range(KINDS_MAX + 20)])
    steps = samples[families.QUEUE_STEPS]
    assert len(steps) == KINDS_MAX + 1
    assert steps[OTHER, "leased"] == sum(range(1, 21))


def test_every_family_is_exposed_with_its_labels_and_no_other_metric_is():
    """The table of families is what the reference page is made of."""
    tallies = Tallies()
    tallies.ran("parse", [0.1])
    numbers = tallies.read()
    numbers.upkeep = Upkeep(processes=2, ends={"died": 1, "stood down": 1})
    found = exposed(Collector(lambda: numbers, Rows()))  # type: ignore[arg-type]
    stems = {name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count") for name in found}
    assert stems == {one.name for one in (*families.WORKER, *families.QUEUE)}
    for one in (*families.WORKER, *families.QUEUE):
        labels = {len(key) for key in found.get(one.name, found.get(f"{one.name}_sum", {}))}
        assert labels <= {len(one.labels)}, one.name
    assert found["leasehold_process_ends_total"]["stood_down",] == 1
    assert found["leasehold_queue_steps"] == {
        ("parse", "ready"): 3, ("parse", "blocked"): 5, ("parse", "leased"): 4,
    }  # fmt: skip
    assert found["leasehold_queue_oldest_ready_seconds"] == {("parse",): 12.0}


def test_without_the_rows_the_workers_numbers_are_there_and_the_queue_is_said_to_be_down():
    class Away:
        def read(self) -> queue.Reading:
            return queue.Reading(False, 5.0)

    found = exposed(Collector(Numbers, Away()))  # type: ignore[arg-type]
    assert found["leasehold_queue_up"] == {(): 0.0}
    assert "leasehold_claims_total" in found
    assert "leasehold_queue_runs" not in found


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9464", ("127.0.0.1", 9464)),
        (":9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:9464", ("::1", 9464)),
    ],
)
def test_an_address_without_a_host_is_the_loopback_one(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", "host:", "70000", "-1", "1.5", "٣"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(UsageError, match="no address"):
        parse_address(text)


def test_metrics_are_at_their_path_and_nothing_else_is_anywhere():
    served = serve("0", Collector(Tallies()))
    try:
        with urllib.request.urlopen(served.url) as answer:
            assert b"leasehold_claims_total" in answer.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(served.url.replace("/metrics", "/secrets"))
    finally:
        served.close()


def test_a_port_that_is_taken_is_said_so():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LeaseholdError, match=rf"cannot be served at 127\.0\.0\.1:{port}") as refused:
            serve(str(port), Collector(Tallies()))
    assert "another address" in refused.value.remedy


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UsageError) as refused:
        serve("0", Collector(Tallies()))
    assert "leasehold[metrics]" in refused.value.remedy


def test_a_worker_without_metrics_never_loads_prometheus():
    """A start stays light for whoever does not ask for it."""
    code = "import sys, leasehold.worker.worker, leasehold.cli.worker; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
