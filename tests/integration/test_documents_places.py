"""From a file that has no lines to an answer that says where in it: page, cells, slide, part."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from documents_by_hand import Library

import made_files
from leasehold.documents import recipes, reports
from leasehold.documents.reports import troubles
from leasehold.steps import pdf, readers

OFFICE = Path(__file__).parents[1] / "data" / "office"

pytestmark = pytest.mark.one_server


@pytest.fixture
def library(database: str, tmp_path: Path) -> Iterator[Library]:
    made = Library(database, tmp_path / "folder")
    made.folder.mkdir()
    yield made
    made.session.close()


def test_an_answer_from_a_pdf_has_its_page_and_box_and_one_from_a_text_its_line(library: Library) -> None:
    library.write("report.pdf", made_files.pdf_report())
    library.write("notes.txt", "nothing\n\nabout Babbage himself")
    assert library.ingest().outcome == "complete"
    by_path = {answer.path: answer for answer in library.search("Charles Babbage")}
    page = by_path["report.pdf"]
    assert page.place is not None
    assert page.place["page"] == 1
    left, top, right, bottom = page.place["box"]
    assert left < right and top < bottom  # noqa: PT018
    assert page.where == "page 1"
    assert "Annual report" in page.title
    line = by_path["notes.txt"]
    assert (line.place, line.where, line.line) == (None, "line 3", 3)
    assert json.loads(json.dumps(asdict(page)))["place"] == page.place


def test_answers_name_cells_slides_parts_members_and_paragraphs(library: Library) -> None:
    """Method: every format of the same three documents, and an archive of some of them; the answer's words."""
    for file in OFFICE.iterdir():
        library.write(file.name, file.read_bytes())
    library.write("all.zip", made_files.zipped({f"deep/{one}": (OFFICE / one).read_bytes() for one in ("rents.ods",)}))
    report = library.ingest()
    assert report.verdicts == {"stored": {"": len(list(OFFICE.iterdir()))}, "skipped": {"no reader for the type": 1}}
    found = {(answer.path, answer.where) for answer in library.search("Charles Babbage rent", limit=50)}
    assert found >= {
        ("rents.xlsx", "Rents!A1:C3"),
        ("rents.xls", "Rents!A1:C3"),
        ("all.zip", "deep/rents.ods, Rents!A1:C3"),
        ("letter.docx", "paragraph 6"),
        ("letter.rtf", "paragraph 6"),
        ("letter.epub", "chapter 1"),
        ("letter.pdf", "page 1"),
    }
    notes = library.search("why slate lasts", limit=50)
    assert {(answer.path, answer.where) for answer in notes} >= {
        ("show.pptx", "slide 1 (notes)"),
        ("show.odp", "slide 1 (notes)"),
    }
    (cells,) = {json.dumps(answer.place) for answer in library.search("Charles Babbage") if answer.path == "rents.xls"}
    assert json.loads(cells) == {"sheet": "Rents", "cells": "A1:C3"}


def test_the_way_out_for_a_pdf_of_pictures_is_shown_as_a_remedy(library: Library) -> None:
    library.write("scanned.pdf", made_files.pdf_picture())
    assert library.ingest().outcome == "complete"
    (trouble,) = troubles(library.session, states=["skipped"])
    assert (trouble.reason, trouble.detail) == ("no text found", "no text layer: its pages are pictures")
    assert "docling" in trouble.remedy


def test_a_new_version_of_one_reader_reads_its_own_files_again_and_no_others(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.write("a.pdf", made_files.pdf_plain("first"))
    library.write("b.pdf", made_files.pdf_plain("second"))
    library.write("c.txt", "third")
    library.ingest()
    monkeypatch.setattr(pdf, "READER_VERSION", pdf.READER_VERSION + 1)
    recipes.recipes.cache_clear()
    recipes.pipeline.cache_clear()
    report = library.ingest()
    assert (report.runs, report.computed["parse"]) == (2, 2)
    assert library.ingest().runs == 0


def test_files_without_their_readers_packages_are_skipped_with_the_command_and_read_once_they_are_there(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a host that lacks a package takes nothing away that another has stored."""
    file = library.write("a.pdf", made_files.pdf_plain("pelican"))
    os.utime(file, (1_700_000_000, 1_700_000_000))  # else it may be edited without a trace, and is looked at again
    with monkeypatch.context() as lacking:
        lacking.setattr(readers, "_importable", lambda module: False)
        assert library.ingest().verdicts == {"skipped": {"reader not installed": 1}}
        (trouble,) = troubles(library.session, states=["skipped"])
        assert trouble.remedy == "pip install 'leasehold[docs]'"
        assert library.ingest().runs == 0
    assert library.ingest().verdicts == {"stored": {"": 1}}
    with monkeypatch.context() as lacking:
        lacking.setattr(readers, "_importable", lambda module: False)
        assert library.ingest().runs == 0
    assert library.search("pelican")[0].where == "page 1"


def test_what_of_a_stored_file_was_not_read_is_named_and_goes_with_the_file(library: Library) -> None:
    library.write("plain.txt", "nothing to note")
    library.write("old.txt", "Größe".encode("latin-1"))
    file = library.write("all.zip", made_files.zipped({"a.txt": "words", "b.png": b"\x89PNG\r\n\x1a\n", "c.json": "{"}))
    library.ingest()
    found, count = reports.noted(library.session, limit=10)
    assert count == 2
    assert {one.path: one.notes for one in found} == {
        "old.txt": ["decoded as cp1252: not valid UTF-8"],
        "all.zip": [
            "not read: c.json: damaged: not JSON at line 1: it ends too early",
            "not read: b.png: no reader for the type: image/png",
        ],
    }
    file.write_bytes(made_files.zipped({"a.txt": "words"}))
    library.ingest()
    assert [one.path for one in reports.noted(library.session, limit=10)[0]] == ["old.txt"]
