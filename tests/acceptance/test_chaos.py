"""`leasehold chaos`: the lab holds, it notices when a guard is missing, it attacks nobody else, and leaves nothing."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from conftest import Cli, until, write_notes
from leasehold.chaos.lab import Lab
from leasehold.chaos.options import ATTACKS_BY_DEFAULT, OFF_BY_DEFAULT, ChaosOptions
from leasehold.db import embedded
from leasehold.errors import UsageError
from leasehold.testing.databases import Databases

pytestmark = pytest.mark.one_server

SOAK = bool(os.environ.get("LEASEHOLD_TEST_SOAK"))


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the lab makes its folder: a server's account can reach it, and it is empty afterwards."""
    made = Path(tempfile.mkdtemp(prefix="leasehold-place-"))
    made.chmod(0o755)
    yield made
    left = [str(path) for path in made.iterdir()]
    shutil.rmtree(made)
    assert left == [], "the lab left something behind"
    processes = subprocess.run(["ps", "-A", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert str(made) not in processes


@pytest.fixture
def lab_cli(place: Path) -> Iterator[Cli]:
    made = Cli(None, {"TMPDIR": str(place)})
    yield made
    made.stop_all()


@pytest.mark.timeout(1800)
def test_workers_killed_stopped_cut_off_and_without_their_server_lose_nothing_and_do_nothing_twice(lab_cli):
    """Whom a seed hurts depends on the moment; further seeds follow until each kind of attack has been met."""
    happened: Counter[str] = Counter()
    meant = {"workers killed", "hosts stopped", "servers restarted", "notifications dropped"}
    for seed in range(1, 6) if SOAK else range(11, 19):
        answer = lab_cli.run(
            "chaos", "--for", "120s" if SOAK else "5s", "--seed", str(seed), "--kill-every", "1.2", "--stop-every", "2",
            "--cut-every", "3", "--db-restart-every", "3", "--drop-replies", "0.02", "--rollbacks", "0.02",
            "--drop-notifies", "--json", timeout_s=800,
        )  # fmt: skip
        assert answer.code == 0, answer.out + answer.err
        body = answer.json
        assert body["outcome"] == "complete"
        assert body["broken"] == []
        assert body["runs"] > 0
        assert body["digest"] == body["undisturbed"]
        happened.update(body["attacks"])
        if not SOAK and meant <= set(happened):
            break
    assert meant <= set(happened), happened


@pytest.mark.timeout(900)
def test_an_ingest_under_every_attack_ends_in_the_digest_of_an_undisturbed_one(lab_cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 6_000 if SOAK else 100)
    answer = lab_cli.run(
        "chaos", "--corpus", folder, "--for", "300s" if SOAK else "3s", "--seed", "2", "--kill-every", "1",
        "--cut-every", "2", "--drop-replies", "0.05", "--workers", "2", "--json", timeout_s=800,
    )  # fmt: skip
    assert answer.code == 0, answer.out + answer.err
    assert answer.json["digest"] == answer.json["undisturbed"]
    assert {check["name"] for check in answer.json["checks"]} >= {"the invariants", "the proof"}


def test_files_that_are_blamed_for_deaths_are_named_and_tried_again_in_calm(lab_cli, tmp_path, poisoned):
    """Method: one file really kills its reader, in peace, under attack and when it is tried again; so it stays failed,
    as it was in peace, and the result is the same."""
    folder = write_notes(tmp_path / "notes", 4)
    (folder / "bad.md").write_text("POISON")
    answer = lab_cli.run("chaos", "--corpus", folder, "--for", "60s", "--kill-every", "3600", "--json", **poisoned)
    assert answer.code == 0, answer.out + answer.err
    assert answer.json["blamed"] == 1
    assert "1 failed because whoever read them died, and are tried again" in answer.err


@pytest.mark.timeout(3600 if SOAK else 900)
def test_a_workflow_with_a_fork_a_join_two_hooks_and_a_failing_branch_ends_under_attack_as_it_does_in_peace(lab_cli):
    """Five steps; some runs fail in one branch, some steps err once, some are killed between two checkpoints. Processes
    also die while they claim and finish, so that somebody dies however fast the work is done."""
    deaths = 0
    for seed in range(1, 4 if SOAK else 9):
        answer = lab_cli.run(
            "chaos", "--workflow", "drill", "--runs", "500" if SOAK else "40", "--group", "15", "--workers", "2",
            "--for", "120s" if SOAK else "4s", "--seed", str(seed), "--kill-every", "0.8", "--drop-replies", "0.03",
            "--rollbacks", "0.03", "--fault", "kill_after@leasehold.finish=0.03", "--fault",
            "kill_after@leasehold.claim=0.03", *(["--stop-every", "5", "--cut-every", "4"] if SOAK else []), "--json",
            timeout_s=800,
        )  # fmt: skip
        assert answer.code == 0, answer.out + answer.err
        body = answer.json
        assert body["digest"] == body["undisturbed"]
        assert {check["name"] for check in body["checks"]} >= {
            "the invariants", "the final state of an undisturbed run", "one effect of a hook for each key"
        }  # fmt: skip
        assert body["effects"] == body["runs"] + -(-body["runs"] // 15)
        deaths += body["deaths"]
        if deaths >= 2 and not SOAK:
            break
    assert deaths >= 2


@pytest.mark.timeout(300)
def test_a_result_that_differs_from_the_one_in_peace_is_found(cluster):
    """Method: in the attacked database one step's result is changed as it is written; nothing else is attacked."""
    change = """
        create function leasehold.changed() returns trigger language plpgsql as $$
        begin
            if new.step_id & 1023 = 2 and new.step_id >> 10 = 5 then new.result := '"another"'; end if;
            return new;
        end $$;
        create trigger changed before insert on leasehold.step_result for each row execute function leasehold.changed();
    """
    options = ChaosOptions(workflow="drill", runs=8, workers=1, database=cluster.url)
    report = Lab(options, prepare=lambda session: session.connection.execute(change)).run()
    assert report.broken == ["the final state of an undisturbed run"]
    (check,) = [one for one in report.checks if not one.held]
    assert sorted(one.split(":")[0] for one in check.found) == ["missing", "too many"]


MOMENTS = (
    "kill_before@leasehold.finish=0.04",  # between the work and the word about it
    "kill_after@leasehold.finish=0.04",  # in the middle of recording a page, effects and all
    "kill_committed=0.01",  # recorded, and the reply lost with the process
    "kill_after@leasehold.claim=0.04",  # leased, and nobody knows
)


@pytest.mark.timeout(900)
def test_processes_that_die_at_the_worst_moments_lose_nothing_and_do_nothing_twice(cluster):
    """SIGKILL between effect and finish, inside a finish, between its commit and the reply, and after a claim. Each
    process draws its own moments: work is given until enough of them have died."""
    deaths = 0
    for seed in range(4, 20):
        options = ChaosOptions(
            for_s=300 if SOAK else 4, group_runs=20, seed=seed, extra_faults=MOMENTS, database=cluster.url
        )
        report = Lab(options).run()
        assert report.held, report
        deaths += report.deaths
        if deaths >= 5:
            break
    assert deaths >= 5


@pytest.mark.timeout(900)
def test_sessions_that_are_ended_on_the_server_cost_nothing_whatever_their_duty(cluster):
    ended: Counter[str] = Counter()
    duties = {"claims", "finishes", "heartbeat", "duties", "listener", "consumer"}
    meant = {f"sessions of {duty} ended" for duty in duties}
    for seed in range(4, 12):
        options = ChaosOptions(
            for_s=120 if SOAK else 4, seed=seed, terminate_every_s=0.08, rollbacks=0.05, database=cluster.url
        )
        report = Lab(options).run()
        assert report.held, report
        ended.update(report.attacks)
        if meant <= set(ended):
            break
    assert meant <= set(ended), ended


def test_a_kernel_without_its_fence_is_found_broken_and_named_with_the_seed(cluster):
    """Method: `finish` takes anybody's word for any step; hosts are stopped past the TTL and then speak late."""
    text = (files("leasehold.kernel") / "sql" / "held_steps.sql").read_text("utf-8")
    guard = "join member m on m.step_id = i.step_id and m.token = i.token"
    assert guard in text
    anybody = (
        "join lateral (select 1::smallint as attempt, t.lane_id from leasehold.step t where t.step_id = i.step_id)"
    )
    broken = text.replace(guard, f"{anybody} m on true")
    for seed in range(3, 13):  # whether somebody speaks late enough is chance; else there is nothing to find
        options = ChaosOptions(for_s=5, seed=seed, stop_every_s=0.7, database=cluster.url, ttl_s=1.0, settle_s=4)
        report = Lab(options, prepare=lambda session: session.connection.execute(broken)).run()
        if not report.held:
            break
    assert {"the invariants", "exactly one effect for each success"} & set(report.broken), report.attacks
    assert report.seed == seed


def test_only_a_server_of_its_own_is_attacked_unless_that_is_said(lab_cli, cluster):
    refused = lab_cli.run("chaos", "--database", cluster.url)
    assert refused.code == 2
    assert "--attack-given-server" in refused.err
    refused = lab_cli.run("chaos", "--database", cluster.url, "--attack-given-server", "--db-restart-every", "3")
    assert refused.code == 2
    assert "only its own server" in refused.err
    assert lab_cli.run("chaos", "--home", "/somewhere").code == 2
    refused = lab_cli.run("chaos", "--attack-given-server")
    assert refused.code == 2


def test_on_a_given_server_only_a_new_database_is_attacked_and_it_is_gone_afterwards(lab_cli, cluster):
    """A database is left over when it stands and the run that made it is over; other tests' stand while they run."""
    databases = Databases(cluster)
    try:
        databases.remove_leftovers()
        answer = lab_cli.run(
            "chaos", "--database", cluster.url, "--attack-given-server", "--runs", "60", "--kill-every", "1", "--json"
        )
        assert answer.code == 0, answer.out + answer.err
        assert databases.remove_leftovers() == []
    finally:
        databases.close()


def test_an_interrupted_lab_cleans_up_and_says_130(lab_cli):
    process = lab_cli.start("chaos", "--for", "60s", "--kill-every", "1", "--json")
    assert process.stderr is not None
    until(lambda: "runs ended" in process.stderr.readline(), "work is under way")
    os.kill(process.pid, signal.SIGINT)
    answer = lab_cli.wait(process)
    assert answer.code == 130, answer.err
    assert answer.json["outcome"] == "interrupted"
    assert answer.json["checks"] == []


@pytest.mark.parametrize("corpus", [False, True])
def test_nothing_works_on_when_the_lab_itself_is_killed(tmp_path, corpus):
    """Its server then stops by itself, when it has had no user for a minute; its workers end at once."""
    place = Path(tempfile.mkdtemp(prefix="leasehold-place-"))
    place.chmod(0o755)
    lab = Cli(None, {"TMPDIR": str(place)})
    folder = write_notes(tmp_path / "notes", 50)
    process = lab.start("chaos", "--for", "60s", *(["--corpus", folder] if corpus else []), "--kill-every", "0")
    assert process.stderr is not None
    try:
        until(lambda: "steps leased" in process.stderr.readline(), "work is under way")
        working = until(lambda: children(process.pid), "hosts work")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in working), "the hosts have ended")
    finally:
        lab.stop_all()
        for made in place.iterdir():
            embedded.stop(made / "home")
        shutil.rmtree(place)


def children(pid: int) -> list[int]:
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    return [int(child) for child, parent, args in rows if int(parent) == pid and "leasehold" in args]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"runs": 0}, "runs is 0"),
        ({"drop_replies": 2.0}, "drop_replies is 2"),
        ({"extra_faults": ("kill=1",)}, "kill_after"),
        ({"extra_faults": ("kill_after",)}, "has no chance"),
        ({"corpus": Path("x"), "runs": 5}, "--runs or --corpus"),
        ({"corpus": Path("x"), "workflow": "drill"}, "--workflow or --corpus"),
        ({"items": Path("x")}, "--items"),
        ({"database": "postgresql:///x", "db_restart_every_s": 1.0}, "own server"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_what_is_accepted(wrong, says):
    with pytest.raises(UsageError) as refused:
        ChaosOptions(**wrong)
    assert says in str(refused.value)


def test_every_attack_has_a_default_that_is_on_or_is_off_on_purpose():
    every = ChaosOptions(**ATTACKS_BY_DEFAULT, **dict.fromkeys(OFF_BY_DEFAULT, 1)).attacks()
    assert set(every) == {*ATTACKS_BY_DEFAULT, *OFF_BY_DEFAULT}
    fields = {one.name for one in dataclasses.fields(ChaosOptions)}
    assert {name for name in fields if name.endswith("_every_s")} <= set(every)
