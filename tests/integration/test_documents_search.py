"""Search: the file and line to open, for any question a person or a program may ask, on every kind of server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from documents_by_hand import Library

from leasehold.db.migrations import migrate
from leasehold.db.session import Session
from leasehold.db.target import Target
from leasehold.documents import search
from leasehold.errors import NotFound, UsageError
from leasehold.stores import searching

TEXTS = {
    "animals/otter.md": "# River animals\n\nThe otter swims in cold rivers.\n\n## Food\n\nIt eats crayfish at night.\n",
    "animals/owl.md": "# Night birds\n\nThe owl hunts mice at night and sleeps by day.\n",
    "code/dates.py": 'def parse_date(text):\n    """Parse an ISO date."""\n    return text.split("-")\n',
    "ja.txt": "東京の天気は晴れです。\n",
    "ru.txt": "Выдра живёт в реке.\n",
    "quotes.txt": 'It\'s a "quoted" back\\slash & pipe | bang ! star* colon:* file /usr/local/bin\\x here.\n',
}


def filled(library: Library) -> Library:
    library.folder.mkdir()
    for name, text in TEXTS.items():
        library.write(name, text)
    assert library.ingest().outcome == "complete"
    return library


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = filled(Library(database, tmp_path / "folder"))
    yield made
    made.session.close()


@pytest.fixture
def without_pgvector(empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    """A database whose vectors are real[], as on a server that has no pgvector."""
    from leasehold.db import migrations

    known = migrations.known()
    for migration in known:
        text = migration.text.replace("name = 'vector'", "name = 'no such'")
        object.__setattr__(migration, "text", text)
    monkeypatch.setattr(migrations, "known", lambda: known)
    with Session(Target(url=empty_database)) as session:
        migrate(session)
    made = filled(Library(empty_database, tmp_path / "folder"))
    yield made
    made.session.close()


def test_an_answer_names_the_file_the_line_and_the_heading(library: Library) -> None:
    answer = library.search("which animal eats crayfish")[0]
    assert (answer.path, answer.line) == ("animals/otter.md", 7)
    assert "crayfish" in answer.snippet
    assert Path(answer.file).read_text().splitlines()[answer.line - 1].startswith("It eats")


QUESTIONS = {
    "stop words": "what is it that was there of the",
    "quotes": "it's a \"quoted\" 'thing'",
    "operators": "otter & owl | !mice <-> (night:* \\ ) ''' :*A",
    "paths": "/usr/local/bin\\x file:///a'b\\c http://x.y/a\\b?c='d'",
    "nul": "otter\x00owl",
    "surrogates": "otter \udce9 owl",
    "spaces and signs": " !!! ??? ---",
    "one letter": "x",
    "10,000 characters": "otter owl " * 1000,
    "10,000 different words": " ".join(f"word{number}" for number in range(10_000)),
    "a million characters": "otter " * 170_000,
    "japanese": "東京の天気",
    "russian": "выдра",
    "emoji": "🦦 otter",
    "percent": "100% of %(question)s",
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_any_question_is_answered(library: Library, name: str) -> None:
    answers = library.search(QUESTIONS[name])
    assert all(answer.score > 0 for answer in answers)


def test_other_scripts_are_found(library: Library) -> None:
    assert library.search("東京の天気")[0].path == "ja.txt"
    assert library.search("выдра")[0].path == "ru.txt"


def test_a_question_without_text_or_a_limit_out_of_range_is_refused(library: Library) -> None:
    for question, limit in (("", 5), (" \n", 5), ("\x00", 5), ("otter", 0), ("otter", 1001)):
        with pytest.raises(UsageError):
            library.search(question, limit=limit)
    with pytest.raises(NotFound):
        library.search("otter", collection="missing")


def test_a_collection_answers_only_for_itself(library: Library, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("an otter elsewhere")
    library.ingest(other, collection="second")
    assert {answer.path for answer in library.search("otter", collection="second")} == {"a.txt"}
    assert "a.txt" not in library.paths("otter")


@pytest.mark.one_server
def test_above_the_exact_limit_an_index_answers_the_same(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "EXACT_MAX", 3)
    exact = [(one.path, one.line) for one in library.search("otter food at night")]
    library.write("more.txt", "one more file")
    library.ingest()
    collection = library.one("select collection_id from leasehold.collection")
    assert library.one("select indisvalid from pg_index where indexrelid = %s::regclass",
                       f"leasehold.chunk_vector_{collection}_ix")  # fmt: skip
    assert [(one.path, one.line) for one in library.search("otter food at night")][: len(exact) - 1] == exact[:-1]


@pytest.mark.one_server
def test_an_index_whose_build_was_interrupted_is_built_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "EXACT_MAX", 1)
    assert searching.ensure_vector_index(library.session, 1, 384)
    assert not searching.ensure_vector_index(library.session, 1, 384)
    library.rows("update pg_index set indisvalid = false where indexrelid = 'leasehold.chunk_vector_1_ix'::regclass")
    assert searching.ensure_vector_index(library.session, 1, 384)
    assert library.search("otter")


@pytest.mark.one_server
def test_with_pgvector_there_is_nothing_to_say_about_vectors(library: Library) -> None:
    assert search.vectors_note(library.session) is None


def test_without_pgvector_ingest_search_and_proof_work_and_the_digest_is_the_same(
    without_pgvector: Library, databases: object
) -> None:
    library = without_pgvector
    assert "pgvector" in (search.vectors_note(library.session) or "")
    assert library.search("which animal eats crayfish")[0].path == "animals/otter.md"
    assert library.search("東京の天気")[0].path == "ja.txt"
    library.write("ja.txt", "京都の天気は雨です。\n")
    assert library.ingest().changed == 1
    with databases.clone() as url:  # type: ignore[attr-defined]
        other = Library(url, library.folder)
        other.ingest()
        assert other.digest() == library.digest()
        assert [one.path for one in other.search("night")] == [one.path for one in library.search("night")]
        other.session.close()
