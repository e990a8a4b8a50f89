"""Artifact stores from the command line: killed in the middle, looked at, cleaned, lost; and no key is ever shown."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from conftest import until, write_notes

pytestmark = pytest.mark.one_server


@pytest.fixture
def place(cli, tmp_path) -> Path:
    """A folder for all results, however small."""
    cli.environment |= {
        "LEASEHOLD_ARTIFACTS_URL": f"file://{tmp_path / 'results'}",
        "LEASEHOLD_ARTIFACTS_INLINE_MAX_BYTES": "0",
    }
    return tmp_path / "results"


def lying(place: Path) -> set[str]:
    return {str(one.relative_to(place)) for one in place.glob("??/*")}


def rows(look) -> set[str]:
    return {key for (key,) in look.fetch("select key from leasehold.artifact where key is not null")}


def test_an_ingest_killed_while_it_writes_results_leaves_none_by_half_and_the_next_goes_on(cli, look, place, tmp_path):
    """Method: kill -9 of the whole process group when some results are there; then to the end, and every parsed text is
    read again by an ingest with another chunk size."""
    notes = write_notes(tmp_path / "notes", 120)
    process = cli.start("ingest", notes, "--json")
    until(lambda: len(rows(look)) > 20, "some results were kept")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert rows(look) <= lying(place)
    assert cli.run("ingest", notes).code == 0
    assert rows(look) <= lying(place)
    again = cli.run("ingest", notes, "--set", "chunk.size=300", "--json").json
    assert again["computed"] == {"chunk": 120, "embed": 120}
    assert cli.run("proof").code == 0


def test_show_collect_and_forget_say_what_lies_where_and_do_it_only_when_told(cli, look, place, tmp_path):
    notes = write_notes(tmp_path / "notes", 5)
    assert cli.run("ingest", notes).code == 0
    cli.run("ingest", notes, "--set", "chunk.size=300")
    shown = cli.run("artifact", "show", "--older-than", "0", "--json").json
    assert [(one["url"], one["results"]) for one in shown["places"]] == [("db:", 0), (f"file://{place}", 25)]
    asked = cli.run("artifact", "collect", "--older-than", "0", "--json").json
    assert (asked["collected"], asked["artifacts"]["embed"]["number"], len(lying(place))) == (False, 5, 25)
    done = cli.run("artifact", "collect", "--older-than", "0", "--yes", "--json").json
    assert (done["collected"], done["objects"], done["away"]) == (True, 10, {})
    assert lying(place) == rows(look)
    doctor = {one["about"]: one for one in cli.run("doctor", "--json").json["findings"]}
    assert doctor[f"file://{place}"]["check"] == "artifacts"
    assert doctor[f"file://{place}"]["verdict"] in ("ok", "warn")
    place.rename(tmp_path / "lost")
    doctor = {one["about"]: one for one in cli.run("doctor", "--json").json["findings"]}
    assert doctor[f"file://{place}"]["verdict"] == "bad"
    refused = cli.run("ingest", notes, "--set", "chunk.size=500")
    assert refused.code == 1
    assert f"leasehold artifact forget file://{place}" in refused.err
    assert cli.run("artifact", "forget", f"file://{place}").code == 0
    assert len(rows(look)) == 15
    assert cli.run("artifact", "forget", f"file://{place}", "--yes", "--json").json["forgotten"]
    assert cli.run("artifact", "forget", f"file://{place}", "--yes").code == 1
    assert cli.run("ingest", notes, "--set", "chunk.size=500", "--json").json["computed"]["parse"] == 5


def test_dropping_a_collection_removes_its_results_from_the_folder_too(cli, look, place, tmp_path):
    notes = write_notes(tmp_path / "notes", 5)
    cli.run("ingest", notes)
    cli.run("ingest", notes, "--into", "small", "--set", "chunk.size=300")
    assert cli.run("collection", "drop", "small", "--yes").code == 0
    assert len(lying(place)) == 15
    assert lying(place) == rows(look)


def test_no_key_of_a_bucket_is_shown_kept_or_on_any_command_line(cli, look, tmp_path):
    """Method: a server that nobody listens at; everything that was said and written is searched for the keys."""
    notes = write_notes(tmp_path / "notes", 2)
    secrets = {"AWS_ACCESS_KEY_ID": "AKIAMUSTNOTBESHOWN", "AWS_SECRET_ACCESS_KEY": "must/Not+BeShown"}
    cli.environment |= secrets | {
        "LEASEHOLD_ARTIFACTS_URL": "s3://bucket/prefix",
        "LEASEHOLD_ARTIFACTS_ENDPOINT": "http://127.0.0.1:9",
        "LEASEHOLD_ARTIFACTS_TIMEOUT_S": "0.3",
    }
    answers = [cli.run("ingest", notes, "--debug"), cli.run("ingest", notes, "--json"), cli.run("worker"),
               cli.run("config", "show")]  # fmt: skip
    assert [one.code for one in answers] == [1, 1, 1, 0]
    said = "".join(one.out + one.err for one in answers)
    assert "artifact_store_away" in said
    assert not [value for value in secrets.values() if value in said]
    tables = look.fetch("select relname from pg_class where relnamespace = 'leasehold'::regnamespace and relkind = 'r'")
    written = "".join(str(look.fetch(f"select t::text from leasehold.{name} t")) for (name,) in tables)
    assert not [value for value in secrets.values() if value in written]
    assert cli.run("ingest", notes, LEASEHOLD_ARTIFACTS_URL="s3://KEY:hidden@bucket").code == 2
