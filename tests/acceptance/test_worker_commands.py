"""`leasehold worker` as processes: its metrics over HTTP, and a drain told from another process."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from conftest import until

pytestmark = pytest.mark.one_server


def serving(worker) -> str:
    """The address of its metrics, as it says it."""
    for line in worker.stderr:
        if line.startswith("metrics at "):
            return line.removeprefix("metrics at ").strip()
    raise AssertionError("it ended without saying where its metrics are")


def test_a_worker_answers_with_metrics_and_ends_when_it_is_drained_from_elsewhere(cli):
    cli.run("db", "migrate")
    worker = cli.start("worker", "--metrics", "0", "--processes", "1", "--json")
    url = serving(worker)
    assert url.startswith("http://127.0.0.1:")
    listed = until(
        lambda: [one for one in cli.run("worker", "list", "--json").json["workers"] if one["kinds"]], "it runs"
    )
    until(lambda: 'leasehold_claims_total{result="idle"}' in _read(url), "it looks for work")
    assert "leasehold_queue_up 1.0" in _read(url)
    assert "leasehold_processes 1.0" in _read(url)
    assert {"chunk", "embed", "parse", "store", "validate"} <= set(listed[0]["kinds"])
    assert cli.run("worker", "drain", listed[0]["holder_id"], "--json").json["workers"] == [listed[0]["holder_id"]]
    answer = cli.wait(worker)
    assert answer.code == 0
    assert answer.json["drained"]
    assert "drained: what was held is finished" not in answer.err


def test_an_ingest_answers_with_what_its_workers_did(cli, tmp_path):
    """Method: the last kind is paused, so that the ingest waits while it is asked."""
    (tmp_path / "one.txt").write_text("a lease has a holder, a token and an expiry")
    assert cli.run("ingest", tmp_path).code == 0
    assert cli.run("kind", "pause", "store").code == 0
    (tmp_path / "two.txt").write_text("a keeper does not work, and a worker does not keep")
    url = serving(cli.start("ingest", tmp_path, "--metrics", "0", "--processes", "1"))
    until(lambda: 'leasehold_steps_total{kind="embed",outcome="succeeded"} 1.0' in _read(url), "its worker counts")
    until(lambda: 'leasehold_queue_steps{kind="store",state="blocked"} 1.0' in _read(url), "the rows say what waits")


def _workers(cli) -> list[dict]:
    return cli.run("worker", "list", "--json").json["workers"]


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_a_port_that_is_taken_is_said_before_any_work_begins(cli):
    cli.run("db", "migrate")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = cli.run("worker", "--metrics", port, "--json")
    assert answer.code == 1
    assert f"Metrics cannot be served at 127.0.0.1:{port}" in answer.json["error"]["message"]
    assert cli.run("worker", "list", "--json").json["workers"] == []


def test_an_ingest_whose_workers_are_drained_ends_as_partial_and_another_one_goes_on(cli, tmp_path):
    for n in range(200):
        (tmp_path / f"{n}.txt").write_text(f"note {n}: a lease has a holder, a token and an expiry")
    ingest = cli.start("ingest", tmp_path, "--processes", "1", "--json")
    until(lambda: cli.run("worker", "list", "--json").json["workers"], "its worker runs")
    if cli.run("worker", "drain", "--all").code == 0:
        answer = cli.wait(ingest)
        assert answer.code in (0, 3)  # a fast machine may have ended before it heard
    assert cli.run("ingest", tmp_path, "--json").json["outcome"] == "complete"
