"""What scripts rely on: exit codes, JSON, errors that say what to do, and no traceback for a user's mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import write_notes
from leasehold.cli.app import COMMANDS

pytestmark = pytest.mark.one_server


def test_help_of_every_command_works_without_a_database():
    for name in ["", *COMMANDS]:
        command = [sys.executable, "-m", "leasehold", *([name] if name else []), "--help"]
        alone = {"PATH": os.environ["PATH"], "LEASEHOLD_HOME": "/nonexistent"}
        answer = subprocess.run(command, capture_output=True, text=True, env=alone, check=True)
        assert "Usage: leasehold" in answer.stdout


def test_help_loads_neither_the_driver_nor_the_worker():
    code = (
        "import sys; sys.argv=['leasehold','--help']\n"
        "from leasehold.cli.app import run\n"
        "run(['--help'])\n"
        "assert not {'psycopg','rich','orjson','pathspec','asyncio'} & set(sys.modules), set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["frobnicate"], 2, "no command 'frobnicate'"),
        (["serch", "x"], 2, "Did you mean 'search'"),
        (["ingest"], 2, "Missing argument"),
        (["ingest", "/nonexistent/folder"], 2, "nothing at /nonexistent/folder"),
        (["ingest", ".", "--workers", "many"], 2, "many"),
        (["ingest", ".", "--workers", "-1"], 2, "workers=-1"),
        (["ingest", ".", "--timeout", "5x"], 2, "'5x' is no time"),
        (["ingest", ".", "--timeout", "0"], 2, "is no time"),
        (["ingest", ".", "--max-bytes", "0"], 2, "max_bytes=0"),
        (["search", "x", "--in", "nowhere"], 1, "no collection 'nowhere'"),
        (["search", " "], 2, "question is empty"),
        (["search", "x", "--limit", "0"], 2, "--limit 0"),
        (["proof", "--in", "nowhere"], 1, "no collection 'nowhere'"),
        (["why", "99999.1"], 1, "no step, run, group or file"),
        (["why", "nothing/like/this"], 1, "no step, run, group or file"),
        (["retry"], 2, "what to retry"),
        (["worker", "--consumers", "pars=2"], 2, "parse"),
        (["worker", "--consumers", "parse"], 2, "parse"),
        (["db", "down"], 2, "is not our server"),
    ],
)
def test_a_mistake_is_answered_with_what_was_expected_and_what_to_do(cli, args, code, says):
    answer = cli.run(*args)
    assert answer.code == code, answer.err
    assert says in answer.err
    assert "->" in answer.err
    assert answer.out == ""


def test_errors_are_json_too_where_json_was_asked_for(cli):
    answer = cli.run("search", "x", "--in", "nowhere", "--json")
    assert answer.code == 1
    assert answer.json["outcome"] == "error"
    assert answer.json["error"]["code"] == "not_found"
    assert answer.json["error"]["remedy"]


def test_an_unknown_setting_is_an_error_that_names_the_near_one(cli, tmp_path, monkeypatch):
    answer = cli.run("config", "show", LEASEHOLD_CHUNK_SIZ="800")
    assert answer.code == 2
    assert "LEASEHOLD_CHUNK_SIZE" in answer.err
    file = tmp_path / "my.toml"
    file.write_text("[chunk]\nsze = 800\n")
    answer = cli.run("config", "show", LEASEHOLD_CONFIG=str(file))
    assert answer.code == 2
    assert "chunk.size" in answer.err


def test_flags_win_over_environment_over_file_over_defaults(cli, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text("[chunk]\nsize = 800\n[lease]\nttl_s = 40\n")
    shown = cli.run("config", "show", "--json", LEASEHOLD_CONFIG=str(file), LEASEHOLD_LEASE_TTL_S="50").json["settings"]
    assert shown["chunk.size"] == {"value": 800, "from": str(file)}
    assert shown["lease.ttl_s"] == {"value": 50.0, "from": "LEASEHOLD_LEASE_TTL_S"}
    assert shown["chunk.overlap"]["from"] == "default"


def test_a_password_is_never_shown(cli):
    answer = cli.run("status", "--database", "postgresql://someone:hunter2@127.0.0.1:1/none")
    assert answer.code == 1
    assert "hunter2" not in answer.out + answer.err
    assert "cannot be reached" in answer.err


def test_every_command_that_reads_speaks_json(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 5)
    for args in (["plan", folder], ["ingest", folder], ["status"], ["proof", "--digest"], ["search", "lease token"],
                 ["why", "note00001.md"], ["retry", "--failed"], ["config", "show"], ["db", "status"],
                 ["db", "migrate"], ["worker", "--until-idle", "--processes", "1"]):  # fmt: skip
        answer = cli.run(*args, "--json")
        assert answer.code == 0, (args, answer.err)
        assert answer.json["outcome"] == "complete", (args, answer.out)


def test_a_plan_writes_nothing(cli, look, tmp_path):
    folder = write_notes(tmp_path / "notes", 20)
    tables = [row[0] for row in look.fetch("select relname from pg_stat_user_tables where schemaname = 'leasehold'")]
    count = "select " + ", ".join(f"(select count(*) from leasehold.{name})" for name in sorted(tables))
    before = look.fetch(count)
    planned = cli.run("plan", folder, "--json").json["sources"][0]
    assert len(planned["reasons"]["new"]) == 20
    assert look.fetch(count) == before


def test_the_second_ingest_does_nothing_and_an_edit_a_deletion_and_a_rename_cost_exactly_themselves(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 60)
    assert cli.run("ingest", folder, "--json").json["computed"]["embed"] == 60
    again = cli.run("ingest", folder, "--json").json
    assert (again["computed"], again["unchanged"], again["seen"]) == ({}, 60, 60)

    (folder / "00" / "note00000.md").write_text("# Another\n\nwritten anew\n")
    (folder / "01" / "note00001.md").unlink()
    (folder / "02" / "note00002.md").rename(folder / "02" / "moved.md")
    changed = cli.run("ingest", folder, "--json").json
    assert changed["computed"] == {"parse": 1, "chunk": 1, "embed": 1}
    assert (changed["changed"], changed["deleted"], changed["renamed"], changed["new"]) == (1, 1, 1, 0)
    assert cli.run("proof").code == 0
    answers = cli.run("search", "written anew", "--json").json["answers"]
    assert answers[0]["path"] == "00/note00000.md"


def test_a_failed_file_is_named_with_its_remedy_and_the_exit_code_is_1_until_it_is_mended(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 5)
    (folder / "big.txt").write_text("x " * 5000)
    first = cli.run("ingest", folder, "--max-bytes", "5000", "--json")
    assert first.code == 1
    assert first.json["failures"][0]["path"] == "big.txt"
    assert first.json["failures"][0]["reason"] == "over max_bytes"
    assert first.json["failures"][0]["remedy"]
    assert "big.txt" in cli.run("status", "--failed").out
    assert cli.run("ingest", folder, "--max-bytes", "5000").code == 1, "it is still not there"
    assert cli.run("retry", "--failed", "--json").json["reopened"] == 1
    assert cli.run("ingest", folder).code == 0
    assert cli.run("proof").code == 0


def test_a_closed_pipe_is_no_error(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 30)
    assert cli.run("ingest", folder).code == 0
    process = cli.start("search", "lease token claim", "--limit", "500")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_names_and_bytes_of_every_kind_are_answered_without_a_traceback(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 3)
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_bytes(b"caf\xe9 au lait")
    (folder / "two\nlines.txt").write_text("a name with a newline")
    (folder / "wide.txt").write_bytes("UTF-16 mit Umlauten: äöü".encode("utf-16"))
    (folder / "nul.txt").write_bytes(b"before\x00after")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (folder / "nothing.txt").write_bytes(b"")
    (folder / "blank.txt").write_bytes(b" \n\n ")
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    answer = cli.run("ingest", folder, "--json")
    assert answer.code == 0, answer.err
    assert answer.json["stored"] == 7
    skipped = answer.json["skipped"]
    assert skipped["empty"] == skipped["no reader for the type"] == skipped["no text found"] == 1
    assert skipped["not a regular file"] == 1
    assert cli.run("proof").code == 0
    assert cli.run("search", "Umlauten").code == 0
    assert cli.run("status", "--skipped").code == 0


def test_a_paused_source_is_waited_for_and_named_and_its_ingest_goes_on_when_it_is_resumed(cli, tmp_path):
    """Priorities, weights and the pause of a source by its folder, through the processes that people start."""
    folder = write_notes(tmp_path / "notes", 6)
    assert cli.run("ingest", str(folder), "--priority", "3", "--weight", "2").code == 0
    write_notes(folder, 8, seed=2)
    assert cli.run("source", "pause", str(folder), "--why", "moving house").code == 0

    waited = cli.run("ingest", str(folder), "--timeout", "3s")

    assert waited.code == 3
    assert "is paused until it is resumed" in waited.err
    assert "moving house" in cli.run("status").out
    assert cli.run("source", "resume", str(folder)).code == 0
    assert cli.run("limit", "set", "kind:embed", "0").code == 0
    assert cli.run("limit", "pause", "kind:embed", "--why", "no key").code == 0
    waited = cli.run("ingest", str(folder), "--timeout", "2s")
    assert waited.code == 3
    assert "limit kind:embed is paused until it is resumed" in waited.err
    assert "limit kind:embed is 0" in waited.err
    assert cli.run("limit", "remove", "kind:embed").code == 0
    assert cli.run("ingest", str(folder)).code == 0
