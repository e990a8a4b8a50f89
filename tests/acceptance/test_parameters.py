"""Re-reading is cheap: what a changed parameter costs is told before, is what is then done, and nothing else."""

from __future__ import annotations

import pytest

from conftest import write_notes

pytestmark = pytest.mark.one_server


@pytest.fixture
def notes(cli, tmp_path):
    folder = write_notes(tmp_path / "notes", 12, words=600)
    assert cli.run("ingest", folder).code == 0
    return folder


def estimate(cli, *args) -> dict:
    answer = cli.run("plan", *args, "--json")
    assert answer.code == 0, answer.err
    return answer.json["sources"][0]["estimate"]


def computed(cli, *args) -> dict:
    answer = cli.run("ingest", *args, "--json")
    assert answer.code == 0, answer.err
    return answer.json["computed"]


def test_what_a_plan_says_of_a_changed_chunk_size_is_what_the_ingest_does(cli, notes):
    told = cli.run("plan", notes, "--set", "chunk.size=800", "--json").json
    assert told["changed"] == {"chunk.size": [1200, 800]}
    assert told["sources"][0]["estimate"]["steps"] == {"parse": 0, "chunk": 12, "embed": 12}
    done = computed(cli, notes, "--set", "chunk.size=800")
    assert (done.get("parse", 0), done["chunk"], done["embed"]) == (0, 12, 12)


def test_a_parameter_stays_until_another_is_given(cli, notes, look):
    """An ingest without the flag goes on with what the collection has, and the default is no such flag."""
    computed(cli, notes, "--set", "chunk.size=800")
    assert computed(cli, notes) == {}
    assert look.fetch("select parameters #>> '{chunk,size}' from leasehold.collection") == [("800",)]
    assert computed(cli, notes, "--set", "chunk.overlap=80")["chunk"] == 12
    chunk = look.fetch(
        "select parameters #>> '{chunk,size}', parameters #>> '{chunk,overlap}' from leasehold.collection"
    )
    assert chunk == [("800", "80")]


def test_going_back_to_parameters_that_were_used_before_computes_nothing(cli, notes):
    computed(cli, notes, "--set", "chunk.size=800")
    assert estimate(cli, notes, "--set", "chunk.size=1200")["steps"] == {"parse": 0, "chunk": 0, "embed": 0}
    assert computed(cli, notes, "--set", "chunk.size=1200") == {}


def test_a_second_collection_shares_what_does_not_depend_on_its_parameters(cli, notes):
    done = computed(cli, notes, "--into", "small", "--set", "chunk.size=500")
    assert (done.get("parse", 0), done["chunk"], done["embed"]) == (0, 12, 12)
    assert computed(cli, notes, "--into", "same") == {}


def test_a_plan_tells_tokens_dollars_and_time(cli, notes):
    """Bytes / 3 are more tokens than there are, and not ten times as many: a word here has about seven bytes."""
    words = sum(len(path.read_text().split()) for path in notes.rglob("*.md"))
    costs = estimate(cli, notes, "--set", "chunk.size=800", "--set", "embed.usd_per_million_tokens=20")
    assert words < costs["tokens"] < 5 * words
    assert costs["usd"] == pytest.approx(costs["tokens"] * 20 / 1e6)
    assert 0 < costs["seconds"] < 3600
    told = cli.run("plan", notes, "--set", "chunk.size=800", "--set", "embed.usd_per_million_tokens=20").out
    assert "chunk.size: 1200 -> 800" in told
    assert "at most 0 to parse, 12 to chunk, 12 to embed" in told
    assert "$" in told


def test_new_files_are_counted_by_their_size_and_without_a_price_no_dollars_are_told(cli, notes):
    (notes / "new.md").write_text("word " * 300)
    costs = estimate(cli, notes)
    assert costs["steps"] == {"parse": 1, "chunk": 1, "embed": 1}
    assert (costs["documents"], costs["tokens"], costs["usd"]) == (1, 500, None)


def test_nothing_to_do_costs_nothing(cli, notes):
    costs = estimate(cli, notes)
    assert (costs["documents"], costs["tokens"], costs["usd"], costs["seconds"]) == (0, 0, None, None)
    assert "at most" not in cli.run("plan", notes).out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("chunk.size", "KEY=VALUE"),
        ("chunk.size=", "KEY=VALUE"),
        ("chunk.sise=800", "chunk.size"),
        ("lease.ttl_s=2", "sets no parameter"),
        ("chunk.size=many", "chunk.size"),
        ("chunk.size=1", "between 100"),
    ],
)
def test_what_cannot_be_set_is_told_before_anything_is_done(cli, notes, given, says):
    for command in ("plan", "ingest"):
        answer = cli.run(command, notes, "--set", given)
        assert (answer.code, says in answer.err) == (2, True), answer.err
