"""An ingest that is killed, stopped, doubled and poisoned ends where an undisturbed one ends."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conftest import Cli, children_of, until, write_notes
from leasehold.db.session import Session
from leasehold.kernel import checks

pytestmark = pytest.mark.one_server

SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))
FILES = 12_000 if SOAK else 1_200


def digest(cli: Cli) -> str:
    proof = cli.run("proof", "--digest", "--json")
    assert proof.code == 0, proof.out
    assert proof.json["holds"]
    value: str = proof.json["digests"]["default"]
    return value


def undisturbed(databases, folder: Path) -> str:
    with databases.clone() as url:
        other = Cli(url)
        assert other.run("ingest", folder, "--json", timeout_s=600).json["outcome"] == "complete"
        return digest(other)


def test_a_worker_killed_every_second_changes_nothing_but_the_time(cli, databases, look, tmp_path):
    """kill -9 of a random worker child again and again: same digest, proof green, each redone step is named."""
    folder = write_notes(tmp_path / "notes", FILES)
    rng = random.Random(7)
    ingest = cli.start("ingest", folder, "--processes", "3", "--json")
    over, killed = threading.Event(), []

    def kill_one_after_another() -> None:
        while not over.wait(1.0 if SOAK else 0.7):
            children = children_of(ingest.pid)
            if children:
                killed.append(rng.choice(children))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill_one_after_another)
    killer.start()
    try:
        answer = cli.wait(ingest, 900)
    finally:
        over.set()
        killer.join()

    assert answer.json["outcome"] == "complete", answer.out
    assert killed
    for step in answer.json["redone"]:
        assert set(step) >= {"step", "why", "charged"}
    assert digest(cli) == undisturbed(databases, folder)
    assert checks.violations(look) == []


def test_what_a_stopped_worker_says_too_late_is_refused_and_counted(cli, look, tmp_path):
    """SIGSTOP of a keeper with its children past the TTL; others finish; SIGCONT: its late writes change nothing."""
    folder = write_notes(tmp_path / "notes", 600)
    frozen = cli.start("worker", "--processes", "1")
    until(lambda: holding(look, frozen.pid) is not None, "the worker has joined")
    ingest = cli.start("ingest", folder, "--processes", "1", "--json")
    until(lambda: stop_while_it_holds(look, frozen.pid), "the worker was stopped while it held steps")

    answer = cli.wait(ingest)
    assert answer.json["outcome"] == "complete", answer.out
    before = digest(cli)

    os.killpg(frozen.pid, signal.SIGCONT)
    until(lambda: sum(checks.refusals(look).values()), "its late finish was refused")
    status = cli.run("status", "--json")
    assert sum(status.json["refused_late_writes"].values()) > 0
    os.kill(frozen.pid, signal.SIGTERM)
    assert cli.wait(frozen).code == 0
    assert digest(cli) == before
    assert checks.violations(look) == []


def holding(look: Session, keeper_pid: int) -> int | None:
    """Steps that the children of this keeper hold; None before they have joined."""
    pids = children_of(keeper_pid)
    rows = look.fetch(
        "select coalesce(sum(cardinality(l.step_ids)), 0) from leasehold.holder h left join leasehold.lease l using "
        "(holder_id) where h.pid = any (%s) and h.ended_at is null having count(h.holder_id) > 0", (pids,))  # fmt: skip
    return int(rows[0][0]) if rows else None


def stop_while_it_holds(look: Session, keeper_pid: int) -> bool:
    """Stop the whole group; if it holds nothing at that moment let it go on and say False."""
    if not holding(look, keeper_pid):
        return False
    os.killpg(keeper_pid, signal.SIGSTOP)
    if holding(look, keeper_pid):
        return True
    os.killpg(keeper_pid, signal.SIGCONT)
    return False


def test_after_everything_was_killed_the_next_ingest_finishes_the_job(cli, databases, look, tmp_path):
    folder = write_notes(tmp_path / "notes", FILES // 2)
    first = cli.start("ingest", folder, "--processes", "2")
    until(lambda: look.fetch("select count(*) from leasehold.artifact")[0][0] > 100, "some work was done")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()

    second = cli.run("ingest", folder, "--json")
    assert second.json["outcome"] == "complete", second.out
    assert second.json["pending"] == 0
    assert digest(cli) == undisturbed(databases, folder)
    third = cli.run("ingest", folder, "--json")
    assert third.json["computed"] == {}
    assert third.json["unchanged"] == FILES // 2
    assert look.fetch("select count(*) from leasehold.run_group where completed_at is null")[0][0] == 0


def test_two_ingests_of_one_folder_compute_nothing_twice_and_both_end_complete(cli, look, tmp_path, poisoned):
    """Each reading is logged by its content: no content is parsed twice, whichever of the two does it."""
    folder = write_notes(tmp_path / "notes", 400)
    both = [cli.start("ingest", folder, "--json", **poisoned) for _ in range(2)]
    for answer in [cli.wait(one) for one in both]:
        assert answer.json["outcome"] == "complete", answer.out
        assert answer.code == 0
    reads = Path(poisoned["LEASEHOLD_TEST_READS"]).read_text().split()
    assert len(reads) == len(set(reads)) == 400
    assert cli.run("proof").code == 0
    assert checks.violations(look) == []


def test_a_step_that_kills_its_process_ends_failed_and_its_neighbours_are_stored_uncharged(
    cli, look, tmp_path, poisoned
):
    folder = write_notes(tmp_path / "notes", 499)
    (folder / "killer.md").write_text("# POISON\n\nWhoever reads this dies.\n")
    answer = cli.run("ingest", folder, "--processes", "2", "--json", timeout_s=170, **poisoned)

    assert answer.code == 1
    assert answer.json["outcome"] == "failed"
    assert [one["path"] for one in answer.json["failures"]] == ["killer.md"]
    assert answer.json["failures"][0]["reason"] == "holder died"
    assert answer.json["stored"] == 499
    charged = look.fetch("select count(*) from leasehold.outcome where ended in ('error', 'failed')")[0][0]
    assert charged == 3, "three deaths alone, nobody else charged"
    assert "holder died" in cli.run("why", "killer.md").out
    assert cli.run("proof").code == 0
    assert checks.violations(look) == []


def test_an_interrupted_ingest_says_so_and_the_next_one_goes_on(cli, look, tmp_path, poisoned):
    folder = write_notes(tmp_path / "notes", FILES)
    first = cli.start("ingest", folder, "--json", LEASEHOLD_TEST_SLOW_S="0.01", **poisoned)
    until(lambda: look.fetch("select count(*) from leasehold.artifact")[0][0] > 50, "work was under way")
    os.kill(first.pid, signal.SIGINT)
    answer = cli.wait(first)
    assert answer.code == 130
    assert answer.json["outcome"] == "interrupted"
    assert answer.json["pending"] > 0
    assert look.fetch("select count(*) from leasehold.outcome where ended = 'error'")[0][0] == 0, "nobody is charged"
    assert look.fetch("select count(*) from leasehold.lease")[0][0] == 0, "everything was given back"

    assert cli.run("ingest", folder, "--json").json["outcome"] == "complete"
    assert cli.run("proof").code == 0


def test_a_time_box_ends_partial_with_exit_3_and_waves_of_it_converge(cli, tmp_path, poisoned):
    """Reading takes 20 ms a file here, so one time box of 2 s can never be enough for all."""
    folder = write_notes(tmp_path / "notes", 400)
    codes = []
    for _ in range(60):
        answer = cli.run("ingest", folder, "--timeout", "2s", "--json", LEASEHOLD_TEST_SLOW_S="0.02", **poisoned)
        codes.append(answer.code)
        if answer.code == 0:
            break
        assert answer.json["outcome"] == "partial"
    assert codes[0] == 3
    assert codes[-1] == 0
    assert cli.run("proof").code == 0


def test_of_four_sources_a_slow_one_keeps_the_others_from_nothing(cli, databases, tmp_path, poisoned):
    """Method: reading a file of the first source takes a second here, so that one alone would fill the time box many
    times over. Then tight time boxes, until all is done; the digest is that of one undisturbed ingest."""
    every = tmp_path / "every"
    sizes = {"a-slow": 300, "b": 60, "c": 60, "d": 60}
    folders = [write_notes(every / name, n, seed=seed) for seed, (name, n) in enumerate(sizes.items())]
    for path in sorted(folders[0].rglob("*.md")):
        path.write_text(path.read_text() + "\nSNAIL\n")
    slow = {"LEASEHOLD_TEST_SLOW_WORD": "SNAIL", "LEASEHOLD_TEST_SLOW_S": "1"}

    answer = cli.run("ingest", *folders, "--timeout", "10s", "--json", **poisoned, **slow)
    assert (answer.code, answer.json["outcome"]) == (3, "partial")
    states = {Path(one["uri"]).name: one["states"] for one in cli.run("status", "--json").json["sources"]}
    assert [states[name] for name in ("b", "c", "d")] == [{"stored": 60}] * 3, states
    assert states["a-slow"]["pending"] > 150, states

    codes = [cli.run("ingest", *folders, "--timeout", "1s", "--json", **poisoned).code for _ in range(2)]
    assert set(codes) <= {0, 3}
    assert cli.run("ingest", *folders, "--json").json["outcome"] == "complete"
    with databases.clone() as url:
        other = Cli(url)
        assert other.run("ingest", *folders, "--json").json["outcome"] == "complete"
        assert digest(cli) == digest(other)


def test_a_file_in_the_folder_that_is_called_like_a_module_is_a_document_and_never_run(cli, tmp_path):
    """Method: an ingest from within the folder, as the installed command does it, with modules in the folder that any
    process of ours would load if it looked for modules there."""
    folder = write_notes(tmp_path / "notes", 2)
    for name in ("orjson", "json", "psycopg", "leasehold", "zipfile", "pypdfium2"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'it-ran')!r}, 'w')\nraise SystemExit(3)\n")
    (folder / "page.html").write_text("<p>read in a sandbox</p>")
    command = [sys.executable, "-P", "-m", "leasehold", "ingest", ".", "--json"]
    done = subprocess.run(command, cwd=folder, env=cli._environment(), capture_output=True, text=True, timeout=120,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "it-ran").exists()
    assert json.loads(done.stdout)["stored"] == 9
