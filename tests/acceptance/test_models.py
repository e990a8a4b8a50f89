"""A collection embedded by a model behind an address, from the command line to the answer; faults and mistakes too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import write_notes
from leasehold.testing.models import Answer, ModelServer, write_small_model

pytestmark = pytest.mark.one_server


@pytest.fixture
def model(cli) -> Iterator[ModelServer]:
    with ModelServer() as running:
        cli.environment["OPENAI_API_KEY"] = running.key
        yield running


def by_model(model: ModelServer) -> list[str]:
    return ["--embedder", f"openai:{model.model}", "--base-url", model.url]


def stored(look) -> list[tuple[str, int, int]]:
    return look.fetch(
        "select c.embedder, c.dimensions, count(d.document_id) from leasehold.collection c"
        " left join leasehold.collection_document d using (collection_id) group by c.name, 1, 2 order by c.name"
    )


def test_a_busy_and_failing_model_costs_no_document_and_no_attempt_is_charged_for_busy(cli, look, model, tmp_path):
    """A probe first, then 429, 500 and a cut connection in front of the good answers."""
    folder = write_notes(tmp_path / "notes", 12)
    busy = Answer(status=429, headers={"Retry-After": "0.2"})
    model.fail(Answer(status=503, headers={"Retry-After": "0.1"}))
    first = cli.run("ingest", folder, *by_model(model), "--json")
    assert first.code == 1, "the probe met a busy model, and nothing was there yet"
    assert stored(look) == []

    asked_before = len(model.asked)
    process = cli.start("ingest", folder, *by_model(model), "--json")
    while len(model.asked) == asked_before:
        assert process.poll() is None
    model.fail(busy, Answer(status=500, body="oops"), Answer(hang_up=True), busy)
    answer = cli.wait(process)
    assert answer.code == 0, answer.err
    assert answer.json["stored"] == 12
    assert stored(look) == [(f"openai:{model.model}", model.dimensions, 12)]
    charged = look.fetch("select reason, count(*)::int from leasehold.outcome where ended = 'error' group by 1")
    assert {reason for reason, _ in charged} <= {"the model failed", "no connection to the model"}
    assert cli.run("proof").code == 0


def test_a_model_that_is_down_for_a_while_fails_no_document(cli, look, model, tmp_path):
    """Ten errors alike hold embedding back; the first probe errs too, the second one finds the model well."""
    folder = write_notes(tmp_path / "notes", 40)
    asked_before = len(model.asked)
    process = cli.start("ingest", folder, *by_model(model), "--json", LEASEHOLD_INGEST_PROCESSES="1")
    while len(model.asked) == asked_before:
        assert process.poll() is None
    model.fail(*[Answer(status=500, body="down")] * 11)
    answer = cli.wait(process)
    assert answer.code == 0, answer.out
    assert answer.json["stored"] == 40
    assert look.fetch("select count(*)::int from leasehold.event where name = 'breaker_open'")[0][0] >= 1


def test_the_collection_remembers_its_model_and_answers_by_it(cli, look, model, tmp_path):
    folder = write_notes(tmp_path / "notes", 3)
    (folder / "roof.md").write_text("# Roof\n\nThe tiles were replaced by slate in autumn.\n")
    assert cli.run("ingest", folder, *by_model(model)).code == 0
    (folder / "late.md").write_text("# Late\n\nAn addition about gutters.\n")
    again = cli.run("ingest", folder, "--json")
    assert (again.code, again.json["stored"]) == (0, 1)
    assert stored(look) == [(f"openai:{model.model}", model.dimensions, 5)]
    found = cli.run("search", "slate tiles", "--json")
    assert found.json["answers"][0]["path"] == "roof.md"
    assert model.asked[-1].texts == ("slate tiles",)


def test_vectors_of_two_embedders_are_never_mixed(cli, look, model, tmp_path):
    folder = write_notes(tmp_path / "notes", 2)
    assert cli.run("ingest", folder).code == 0
    refused = cli.run("ingest", folder, *by_model(model), "--json")
    assert refused.code == 2
    assert refused.json["error"]["code"] == "other_embedder"
    assert "--into" in refused.json["error"]["remedy"]
    assert cli.run("plan", folder, *by_model(model)[:2]).code == 2
    assert stored(look) == [("hashing", 384, 2)]
    assert cli.run("ingest", folder, "--into", "meaning", *by_model(model)).code == 0
    assert stored(look) == [("hashing", 384, 2), (f"openai:{model.model}", model.dimensions, 2)]
    parsed = look.fetch("select count(*)::int from leasehold.artifact where kind = 'parse'")
    assert parsed == [(2,)], "the second collection uses the first one's parsed text"


def test_another_width_at_the_same_address_is_refused_before_anything_is_read(cli, look, model, tmp_path):
    folder = write_notes(tmp_path / "notes", 2)
    assert cli.run("ingest", folder, *by_model(model)).code == 0
    model.dimensions = 32
    (folder / "new.md").write_text("something new\n")
    refused = cli.run("ingest", folder, "--json")
    assert refused.code == 1
    assert "other width" in refused.json["error"]["message"]
    assert stored(look) == [(f"openai:{model.model}", 64, 2)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--embedder", "openai:nobody-has-this"], "nobody-has-this"),
        (["--embedder", "openai:"], "no embedder 'openai:'"),
        (["--embedder", "word2vec"], "no embedder 'word2vec'"),
        (["--base-url", "localhost:1"], "no address"),
        (["--base-url", "http://127.0.0.1:9/v1"], "no connection to the model"),
    ],
)
def test_a_wrong_model_or_address_is_told_before_anything_is_written(cli, look, model, tmp_path, wrong, says):
    folder = write_notes(tmp_path / "notes", 1)
    answer = cli.run("ingest", folder, *by_model(model), *wrong)
    assert answer.code in (1, 2)
    assert says in answer.err
    assert stored(look) == []


def test_a_wrong_key_is_told_before_anything_is_written_and_never_shown(cli, look, model, tmp_path):
    folder = write_notes(tmp_path / "notes", 1)
    secret = "sk-wrong-and-secret-987"
    answer = cli.run("ingest", folder, *by_model(model), OPENAI_API_KEY=secret)
    assert answer.code == 1
    assert "refused the key" in answer.err
    assert "OPENAI_API_KEY" in answer.err + answer.out or "api_key_env" in answer.err
    shown = cli.run("config", "show", OPENAI_API_KEY=secret)
    assert secret not in answer.err + answer.out + shown.out + shown.err
    assert stored(look) == []


def test_the_key_stands_in_no_row(cli, look, model, tmp_path):
    folder = write_notes(tmp_path / "notes", 2)
    assert cli.run("ingest", folder, *by_model(model)).code == 0
    tables = look.fetch("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'leasehold'")
    for (table,) in tables:
        rows = look.fetch(f"select count(*) from {table} t where t::text like '%%{model.key}%%'")
        assert rows == [(0,)], table


def test_a_text_that_the_model_refuses_fails_its_document_alone(cli, look, model, tmp_path):
    model.text_chars_max = 300
    folder = tmp_path / "notes"
    folder.mkdir()
    for n in range(6):
        (folder / f"short{n}.md").write_text(f"A short text, number {n}.\n")
    (folder / "long.md").write_text("word " * 150)
    answer = cli.run("ingest", folder, *by_model(model), "--json")
    assert answer.code == 1
    assert answer.json["failed"] == {"text refused by the model": 1}
    assert answer.json["stored"] == 6
    assert answer.json["failures"][0]["path"] == "long.md"
    assert "chunk.size" in answer.json["failures"][0]["remedy"]


# -- a model in a folder ----------------------------------------------------------------------------------------------


def test_a_model_in_a_folder_fills_a_collection_and_answers_also_after_the_folder_has_moved(cli, look, tmp_path):
    folder = write_notes(tmp_path / "notes", 3)
    (folder / "roof.md").write_text("the roof was repaired\n")
    model = write_small_model(tmp_path / "one" / "small")
    assert cli.run("ingest", folder, "--embedder", f"local:{model}").code == 0
    assert stored(look) == [("local:small", 12, 4)]
    assert cli.run("search", "roof repaired", "--json").json["answers"][0]["path"] == "roof.md"
    moved = model.rename(tmp_path / "small")
    lost = cli.run("search", "roof repaired")
    assert (lost.code, "There is no config.json" in lost.err) == (2, True)
    (folder / "more.md").write_text("a word of slate\n")
    assert cli.run("ingest", folder, "--embedder", f"local:{moved}", "--json").json["stored"] == 1
    assert cli.run("search", "slate").code == 0


def test_other_weights_under_the_same_name_are_refused(cli, look, tmp_path):
    folder = write_notes(tmp_path / "notes", 2)
    model = write_small_model(tmp_path / "small")
    assert cli.run("ingest", folder, "--embedder", f"local:{model}").code == 0
    write_small_model(model, seed=2)
    (folder / "more.md").write_text("the roof\n")
    for command in (["ingest", folder], ["ingest", folder, "--embedder", f"local:{model}"], ["search", "roof"]):
        answer = cli.run(*command)
        assert answer.code == 2, answer.err
        assert "another" in answer.err
    assert stored(look) == [("local:small", 12, 2)]
