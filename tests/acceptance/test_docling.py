"""A collection whose PDFs and pictures are read by docling-serve, from the command line to the answer; faults too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conftest import write_notes
from leasehold.testing.docling import DoclingServer
from leasehold.testing.models import Answer

pytestmark = pytest.mark.one_server

PNG = b"\x89PNG\r\n\x1a\n"
"""What the server of the tests makes of a document is the text in it; the first bytes say what it is."""


@pytest.fixture
def server() -> Iterator[DoclingServer]:
    with DoclingServer() as running:
        yield running


def pdf(text: str) -> bytes:
    return f"%PDF-1.4\n\n{text}\n".encode()


def by(server: DoclingServer, types: str = "pdf") -> dict[str, str]:
    return {
        "LEASEHOLD_READERS_DOCLING_URLS": server.url,
        "LEASEHOLD_READERS_DOCLING_TYPES": types,
        "LEASEHOLD_READERS_DOCLING_POLL_S": "0.05",
    }


def test_documents_read_by_docling_answer_with_page_and_heading_and_the_collection_remembers(cli, server, tmp_path):
    folder = write_notes(tmp_path / "notes", 3)
    (folder / "report.pdf").write_bytes(pdf("# Findings\n\nnothing yet\f## Birds\n\nThe capercaillie was seen."))
    assert cli.run("ingest", folder, "--json").json["failed"] == {"truncated": 1}, "our own reader cannot read it"

    plan = cli.run("plan", folder, "--json", **by(server))
    assert plan.json["changed"] == {"read by docling": ["nothing", "application/pdf"]}
    first = cli.run("ingest", folder, "--json", **by(server))
    assert (first.code, first.json["stored"]) == (0, 1), first.err
    assert len(server.taken) == 1
    (answer, *_) = cli.run("search", "capercaillie", "--json").json["answers"]
    assert answer["place"]["page"] == 2
    assert answer["heading"] == "Findings › Birds"

    again = cli.run("ingest", folder, "--json", **by(server))
    assert (again.code, again.json["computed"]) == (0, {})
    assert len(server.taken) == 1
    unnamed = cli.run("ingest", folder)
    assert (unnamed.code, "readers.docling.urls" in unnamed.err) == (2, True)
    assert cli.run("proof").code == 0


def test_pictures_that_nobody_else_reads_are_read_and_only_they_are_worked_again(cli, server, tmp_path):
    folder = write_notes(tmp_path / "notes", 3)
    (folder / "board.png").write_bytes(PNG + b"An okapi on a whiteboard.")
    (folder / "blank.png").write_bytes(PNG + b" ")
    first = cli.run("ingest", folder, "--json", **by(server))
    assert first.json["skipped"] == {"no reader for the type": 2}
    second = cli.run("ingest", folder, "--json", **by(server, "pdf,png"))
    assert (second.code, second.json["computed"]["parse"]) == (0, 1), second.err
    assert second.json["skipped"] == {"no text found": 1}
    assert cli.run("search", "okapi", "--json").json["answers"][0]["path"] == "board.png"


def test_a_service_with_a_bad_day_costs_no_document_and_sees_each_once_more_at_most(cli, look, server, tmp_path):
    """Busy at first, then it loses a task, cuts connections and breaks one document."""
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.pdf").write_bytes(pdf(f"text of number {number}"))
    (folder / "broken.pdf").write_bytes(pdf("broken beyond reading"))
    server.broken.add(b"broken beyond")
    server.fail(
        "submit", Answer(status=429, headers={"Retry-After": "0.1"}), Answer(status=503, headers={"Retry-After": "0.1"})
    )
    server.fail("status", Answer(hang_up=True), Answer(status=500))
    server.forget_next(1)
    answer = cli.run("ingest", folder, "--json", **by(server))
    assert answer.code == 1, answer.err
    assert answer.json["stored"] == 6
    (failed,) = answer.json["failures"]
    assert (failed["path"], failed["reason"]) == ("broken.pdf", "docling could not read it")
    assert "page 2 broke" in failed["detail"]
    assert failed["remedy"]
    assert len(server.taken) == 8, "each once, and the lost one once more"
    assert look.fetch("select count(*)::int from leasehold.outcome where ended = 'error'") == [(0,)]
    assert cli.run("proof").code == 0
