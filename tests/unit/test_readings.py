"""Where a document is read, and long ones in parts: the same bytes out, one reason when it fails, nothing left."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas

import made_files
from leasehold.artifacts import coding
from leasehold.documents import reading_child, readings
from leasehold.documents.readings import Readings, parts_of
from leasehold.documents.recipes import Parameters
from leasehold.documents.skips import CHANGED, NO_TEXT, Unread
from leasehold.options import ChunkOptions, ReaderOptions
from leasehold.steps.reading import read
from leasehold.types import Block, ErrorClass, Parsed, Skip, StepError


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "SERVE", "sandboxed_parts:serve")


def of(**options: Any) -> Readings:
    return Readings(ReaderOptions(**{"parts_at_once": 2, **options}), step_timeout_s=120)


def item(root: Path, name: str, data: bytes) -> Any:
    (root / name).write_bytes(data)
    made = SimpleNamespace(root=root, path=name, name=name, max_bytes=10**9, sha256=None, media_type=None,
                           parameters=Parameters(chunk=ChunkOptions()))  # fmt: skip
    looked = of().look(made)
    made.sha256, made.media_type = looked.sha256, looked.media_type
    return made


def parsed(made: Any, goes_on: Callable[[], None] = lambda: None, **options: Any) -> bytes:
    found = of(**options).parse(made, goes_on)
    assert not isinstance(found, Skip), found
    return bytes(found)


def whole(made: Any) -> bytes:
    return coding.parsed_to_bytes(
        read((made.root / made.path).read_bytes(), media_type=made.media_type, name=made.name)
    )


def book(pages: int, *, outline: bool, mark: str = "") -> bytes:
    """A PDF whose chapters go over several pages, under bookmarks or by the size of type; every fifth page is bare."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1, pageCompression=0)
    canvas.setTitle("A long book")
    for page in range(pages):
        if page % 3 == 0:
            if outline:
                canvas.bookmarkPage(f"c{page}")
                canvas.addOutlineEntry(f"Chapter {page}", f"c{page}", level=0)
            canvas.setFont("Helvetica-Bold", 20 if page % 6 else 26)
            canvas.drawString(72, 760, f"Chapter {page}")
        canvas.setFont("Helvetica", 11)
        if page % 5 != 4:
            for row in range(4):
                canvas.drawString(72, 700 - 40 * row, f"Page {page}, paragraph {row} {mark}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def test_parts_cover_every_page_once_in_order_and_none_is_too_long():
    for pages in (1, 2, 7, 99, 100, 101):
        for most in (1, 2, 10, 100):
            found = parts_of(pages, most)
            assert [page for first, end in found for page in range(first, end)] == list(range(pages))
            assert max(end - first for first, end in found) <= most


@pytest.mark.parametrize("outline", [True, False])
def test_a_document_read_in_parts_is_the_same_byte_for_byte(tmp_path, outline):
    made = item(tmp_path, "book.pdf", book(23, outline=outline))
    expected = whole(made)
    for split in (0, 23, 22, 7, 1):
        assert parsed(made, split_pages=split) == expected, split
    blocks = coding.parsed_from_bytes(expected).blocks
    assert [block.place for block in blocks] == sorted((block.place for block in blocks), key=lambda at: int(at[0][1]))
    assert blocks[-1].place == (("page", 23),)
    assert blocks[-1].heading == ("Chapter 21",) or not outline


def test_long_reading_says_that_it_goes_on_so_that_its_time_begins_again(tmp_path):
    made, said = item(tmp_path, "book.pdf", book(12, outline=True)), []
    parsed(made, lambda: said.append(1), split_pages=3)
    assert len(said) == 4, "after each of four parts"


def test_a_part_that_crashes_its_reader_fails_the_document_names_the_pages_and_leaves_nothing(tmp_path):
    """Method: a document whose eighth page crashes, in parts of five; open descriptors are counted before and after."""
    made = item(tmp_path, "book.pdf", book(23, outline=True, mark="crash on page 8"))
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StepError) as raised:
        parsed(made, split_pages=5)
    assert raised.value.reason == "reader crashed"
    assert raised.value.detail == "pages 5 to 9: pdf: crashed (signal 11, SIGSEGV)"
    assert raised.value.error_class is ErrorClass.POISON
    assert len(os.listdir("/proc/self/fd")) <= before, "the file of the parts is closed, and with that gone"


def test_a_document_that_is_edited_while_its_parts_are_read_is_read_again(tmp_path):
    made = item(tmp_path, "book.pdf", book(12, outline=True))

    for edited in (book(12, outline=True, mark="edited"), b"no PDF any more"):
        made = item(tmp_path, "book.pdf", book(12, outline=True))
        found = of(split_pages=3).parse(made, lambda edited=edited: (tmp_path / "book.pdf").write_bytes(edited))
        assert isinstance(found, Unread)
        assert (found.reason, found.settled) == (CHANGED, False)


def test_a_long_document_of_pictures_has_no_text_and_says_what_to_do(tmp_path):
    made = item(tmp_path, "book.pdf", pictures(4))
    found = of(split_pages=2).parse(made, lambda: None)
    assert isinstance(found, Unread)
    assert found.reason == NO_TEXT
    assert "OCR" in found.detail


def pictures(pages: int) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for _ in range(pages):
        canvas.rect(10, 10, 100, 100)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (made_files.pdf_encrypted, "encrypted"),
        (made_files.pdf_without_pages, "no pages"),
        (lambda: made_files.pdf_report()[:-900], "truncated"),
        (lambda: b"%PDF-1.7\n" + b"nothing of that kind " * 40 + b"\nstartxref\n0\n%%EOF\n", "damaged"),
    ],
)
def test_a_damaged_document_that_is_not_held_in_memory_has_the_same_reasons(tmp_path, make, reason):
    made = item(tmp_path, "a.pdf", make())
    with pytest.raises(StepError) as raised:
        parsed(made)
    assert (raised.value.reason, bool(raised.value.remedy)) == (reason, True)


# -- where ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "data", "forks"),
    [
        ("a.md", b"# A\n\nshort", 0),
        ("a.csv", b"a,b\n1,2\n", 0),
        ("a.py", b"x = 1\n", 0),
        ("large.txt", b"words and words\n" * 100_000, 1),
        ("a.html", b"<html><p>text</p></html>", 1),
        ("a.zip", made_files.zipped({"a.md": "text"}), 1),
    ],
)
def test_plain_texts_are_read_in_the_worker_and_all_else_in_the_sandbox(tmp_path, name, data, forks):
    made = item(tmp_path, name, data)
    mine = of(recycle_after=1_000 + len(name) + forks)
    assert bytes(mine.parse(made, lambda: None)) == whole(made)
    assert mine._sandbox.forks == forks
    mine._sandbox.close()


def test_a_large_file_is_looked_at_in_the_sandbox_and_found_the_same(tmp_path, monkeypatch):
    office = Path(__file__).parents[1] / "data" / "office"
    files = {one.name: one.read_bytes() for one in office.iterdir()} | {"a.pdf": made_files.pdf_report()}
    made = [item(tmp_path, name, data) for name, data in files.items()]
    monkeypatch.setattr(readings, "LOOK_BYTES_MAX", 10)
    for one in made:
        looked = of().look(one)
        assert (one.name, looked.sha256, looked.media_type) == (one.name, one.sha256, one.media_type)


def test_a_child_knows_no_database(tmp_path):
    """What reads strangers' files has not even loaded what talks to the database."""
    import subprocess
    import sys

    code = "import sys, leasehold.documents.reading_child; print([m for m in sys.modules if 'psycopg' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_blocks_written_one_by_one_are_the_same_bytes():
    blocks = tuple(Block(f"text {n}", n, ("A",), (("page", n),), (1.0, 2.0, 3.0, 4.5)) for n in range(1, 5))
    writer = coding.ParsedWriter()
    writer.add(blocks[:1])
    writer.add(blocks[1:])
    assert bytes(writer.content("T", ("n",))) == coding.parsed_to_bytes(Parsed(blocks, "T", ("n",)))
    assert bytes(coding.ParsedWriter().content("", ())) == coding.parsed_to_bytes(Parsed(()))
    assert reading_child.is_empty(())
