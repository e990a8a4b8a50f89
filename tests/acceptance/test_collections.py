"""Collections side by side: what they share, how they differ, and that dropping one takes nothing from the others."""

from __future__ import annotations

import pytest

from conftest import until, write_notes

pytestmark = pytest.mark.one_server


@pytest.fixture
def notes(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 10)
    assert cli.run("ingest", folder).code == 0
    return folder


def artifacts(look) -> dict[str, int]:
    return dict(look.fetch("select kind, count(*)::int from leasehold.artifact group by kind"))


def test_list_and_show_count_what_is_stored(cli, notes):
    cli.run("ingest", notes, "--into", "small", "--set", "chunk.size=400")
    (default, small) = cli.run("collection", "list", "--json").json["collections"]
    assert (default["name"], default["documents"], small["documents"]) == ("default", 10, 10)
    assert small["chunks"] > default["chunks"]
    shown = cli.run("collection", "show", "small", "--json").json
    assert shown["parameters"]["chunk"]["size"] == 400
    assert shown["sources"][0]["states"] == {"stored": 10}
    assert "chunk.size 400" in cli.run("collection", "show", "small").out
    assert "small: 10 documents" in cli.run("collection", "list").out


def test_compare_names_what_only_one_has_and_what_is_made_of_the_same_results(cli, notes, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for path in sorted(notes.rglob("*.md"))[:4]:
        (part / path.name).write_bytes(path.read_bytes())
    (part / "extra.md").write_text("something else\n")
    cli.run("ingest", part, "--into", "part")
    answer = cli.run("collection", "compare", "default", "part", "--json")
    assert answer.code == 1
    body = answer.json
    assert body["both"]["documents"] == body["both"]["same_results"] == 4
    assert body["only_first"]["documents"] == 6
    assert body["only_second"] == {"documents": 1, "same_results": 0, "paths": ["extra.md"]}
    assert body["parameters"] == {}
    cli.run("ingest", notes, "--into", "twin")
    assert cli.run("collection", "compare", "default", "twin").code == 0
    cli.run("ingest", notes, "--into", "small", "--set", "chunk.size=400")
    other = cli.run("collection", "compare", "default", "small", "--json")
    assert (other.code, other.json["parameters"]) == (1, {"chunk.size": [1200, 400]})
    assert other.json["both"] | {"paths": []} == {"documents": 10, "same_results": 0, "paths": []}


def test_without_yes_nothing_goes_and_with_it_everything_of_that_collection(cli, notes, look):
    before = artifacts(look)
    told = cli.run("collection", "drop", "default")
    assert (told.code, "would drop 10 documents" in told.out) == (0, True)
    assert artifacts(look) == before
    assert cli.run("collection", "drop", "default", "--yes").code == 0
    for table in ("collection", "source", "item", "collection_document", "chunk", "artifact", "sync"):
        assert look.fetch(f"select count(*)::int from leasehold.{table}") == [(0,)], table
    assert cli.run("search", "lease").code == 1
    assert cli.run("proof").code == 0
    assert sum(1 for _ in notes.rglob("*.md")) == 10


def test_dropping_one_takes_no_result_that_another_is_made_of(cli, notes, look):
    cli.run("ingest", notes, "--into", "twin")
    cli.run("ingest", notes, "--into", "small", "--set", "chunk.size=400")
    assert artifacts(look) == {"parse": 10, "chunk": 20, "embed": 20}
    digest = cli.run("proof", "--digest", "--in", "twin").out
    cli.run("collection", "drop", "small", "--yes")
    assert artifacts(look) == {"parse": 10, "chunk": 10, "embed": 10}
    cli.run("collection", "drop", "default", "--yes")
    assert artifacts(look) == {"parse": 10, "chunk": 10, "embed": 10}
    assert cli.run("proof", "--digest", "--in", "twin").out == digest
    assert cli.run("proof").code == 0
    again = cli.run("ingest", notes, "--json").json
    assert (again["stored"], again["computed"]) == (10, {})


def test_a_collection_that_is_being_worked_on_is_not_dropped(cli, look, notes, poisoned):
    write_notes(notes, 30, seed=2)
    process = cli.start("ingest", notes, "--processes", "1", **poisoned, LEASEHOLD_TEST_SLOW_S="0.2")
    until(lambda: look.fetch("select 1 from leasehold.run_group where completed_at is null"), "an ingest under way")
    refused = cli.run("collection", "drop", "default", "--yes", "--json")
    assert refused.code == 4
    assert refused.json["error"]["code"] == "refused"
    collected = cli.run("artifact", "collect", "--older-than", "0", "--yes")
    assert collected.code == 4
    assert cli.wait(process).code == 0
    assert cli.run("proof").code == 0
    assert cli.run("collection", "drop", "default", "--yes").code == 0


def test_what_parameters_left_behind_is_kept_until_it_is_collected(cli, notes, look):
    cli.run("ingest", notes, "--set", "chunk.size=400")
    (notes / "gone.md").write_text("soon gone\n")
    cli.run("ingest", notes)
    (notes / "gone.md").unlink()
    cli.run("ingest", notes)
    assert artifacts(look) == {"parse": 11, "chunk": 21, "embed": 21}
    young = cli.run("artifact", "collect", "--yes", "--json").json
    assert young["artifacts"] == {}, "all of it is younger than a day"
    shown = cli.run("artifact", "show", "--older-than", "0", "--json").json
    assert {kind: one["number"] for kind, one in shown["orphaned"].items()} == {"parse": 1, "chunk": 11, "embed": 11}
    assert cli.run("artifact", "collect", "--older-than", "0").code == 0
    assert artifacts(look) == {"parse": 11, "chunk": 21, "embed": 21}
    gone = cli.run("artifact", "collect", "--older-than", "0", "--yes", "--json").json
    assert {kind: one["number"] for kind, one in gone["artifacts"].items()} == {"parse": 1, "chunk": 11, "embed": 11}
    assert gone["documents"] == 1
    assert artifacts(look) == {"parse": 10, "chunk": 10, "embed": 10}
    assert look.fetch("select count(*)::int from leasehold.document") == [(10,)]
    assert cli.run("proof").code == 0
    assert cli.run("ingest", notes, "--set", "chunk.overlap=0", "--json").json["computed"] == {}


def test_the_history_of_a_living_file_keeps_its_documents(cli, notes, look):
    edited = next(notes.rglob("*.md"))
    edited.write_text("an edit\n")
    cli.run("ingest", notes)
    assert cli.run("artifact", "collect", "--older-than", "0", "--yes", "--json").json["documents"] == 0
    assert look.fetch("select max(number) from leasehold.version") == [(2,)]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["collection", "show", "nowhere"], 1, "no collection 'nowhere'"),
        (["collection", "drop", "nowhere", "--yes"], 1, "no collection 'nowhere'"),
        (["collection", "compare", "default", "nowhere"], 1, "no collection 'nowhere'"),
        (["collection", "drop"], 2, "COLLECTION"),
        (["artifact", "collect", "--older-than", "soon"], 2, "--older-than 'soon' is no time"),
    ],
)
def test_mistakes_are_told(cli, notes, args, code, says):
    answer = cli.run(*args)
    assert (answer.code, says in answer.err) == (code, True), answer.err
