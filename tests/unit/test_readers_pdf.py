"""PDF: text in reading order, ruled tables, headings, pages and boxes; and each way in which one cannot be read."""

from __future__ import annotations

import pytest

from leasehold.steps.chunking import chunk
from leasehold.steps.detection import detect
from leasehold.steps.reading import read
from leasehold.types import ErrorClass, Parsed, StepError
from made_files import (
    pdf_canvas,
    pdf_columns,
    pdf_encrypted,
    pdf_outline,
    pdf_picture,
    pdf_plain,
    pdf_report,
    pdf_without_info,
    pdf_without_pages,
)


def parse(data: bytes) -> Parsed:
    assert detect("a.pdf", data) == "application/pdf"
    return read(data, media_type="application/pdf", name="a.pdf")


def refused(data: bytes) -> StepError:
    with pytest.raises(StepError) as found:
        parse(data)
    assert found.value.error_class is ErrorClass.PERMANENT
    assert found.value.remedy
    return found.value


def test_paragraphs_and_ruled_tables_stand_under_their_headings_with_page_and_box():
    parsed = parse(pdf_report())
    assert parsed.title == "Annual report"
    assert parsed.notes == ()
    by_text = {block.text.split("\n")[0]: block for block in parsed.blocks}
    table = by_text["Flat | Tenant | Rent"]
    assert table.text == "Flat | Tenant | Rent\n1a | Ada Lovelace | 900\n2b | Charles Babbage | 1,150"
    assert table.heading == ("Rents", "By flat")
    assert table.place == (("page", 1),)
    order = [block.text.split("\n")[0] for block in parsed.blocks]
    assert order.index("By flat") < order.index(table.text.split("\n")[0])
    assert order.index(table.text.split("\n")[0]) < order.index("After the table comes more text.")
    assert by_text["Outlook"].place == (("page", 2),)
    assert "Ada" not in "".join(block.text for block in parsed.blocks if block is not table)
    for block in parsed.blocks:
        assert block.box is not None
        left, top, right, bottom = block.box
        assert 0 <= left < right <= 596
        assert 0 <= top < bottom <= 842


def test_a_box_is_where_the_text_stands_on_its_page():
    parsed = parse(pdf_canvas(lambda canvas: canvas.drawString(100, 842 - 200, "here")))
    (block,) = parsed.blocks
    assert block.box is not None
    left, top, right, bottom = block.box
    assert left == pytest.approx(100, abs=2)
    assert top < 200 < bottom
    assert right == pytest.approx(122, abs=4)


@pytest.mark.parametrize("across", [False, True])
def test_two_columns_are_read_one_after_the_other_however_they_were_drawn(across):
    text = "\n".join(block.text for block in parse(pdf_columns(across=across)).blocks)
    lines = [line for line in text.split("\n") if "column" in line]
    assert lines == [f"{side} column, line number {row} of the text" for side in ("left", "right") for row in range(30)]


def test_a_borderless_table_is_not_taken_for_two_columns():
    def draw(canvas):
        for row in range(20):
            canvas.drawString(72, 700 - 14 * row, f"item {row}")
            canvas.drawString(300, 700 - 14 * row, f"{row * 3}")

    text = "\n".join(block.text for block in parse(pdf_canvas(draw)).blocks)
    assert "item 7 21" in text.split("\n")


def test_the_outline_gives_the_headings():
    parsed = parse(pdf_outline())
    assert parsed.title == "Chapter One"
    assert {(block.text, block.heading) for block in parsed.blocks} >= {
        ("deeper", ("Chapter One", "Section 1.1")),
        ("end", ("Two",)),
    }


def test_a_word_hyphenated_at_the_end_of_a_line_is_whole():
    assert "text of examples" in "\n".join(block.text for block in parse(pdf_outline()).blocks)


def test_no_info_dictionary_is_normal_and_so_is_a_name_that_lies_and_junk_before_the_header():
    parsed = parse(pdf_without_info())
    assert (parsed.blocks[0].text, parsed.title) == ("plain words", "")
    assert detect("notes.txt", pdf_plain()) == "application/pdf"
    mailed = b"X-Mailer: something\r\n\r\n" + pdf_plain()
    assert parse(mailed).blocks[0].text == "plain words"
    assert detect("mailed", mailed) == "application/pdf"


def test_a_text_about_pdf_is_text():
    assert detect("notes.txt", b"The header of a PDF is %PDF-1.7, and startxref comes last.\n") == "text/plain"


def test_pages_without_text_are_noted_and_a_file_of_them_has_no_text_and_names_the_way_out():
    parsed = parse(pdf_picture())
    assert parsed.blocks == ()
    assert "OCR" in parsed.notes[0]
    assert "docling" in parsed.notes[0]

    def draw(canvas):
        canvas.drawString(72, 700, "words")
        canvas.showPage()
        canvas.rect(72, 72, 300, 300, fill=1)

    assert parse(pdf_canvas(draw)).notes == ("1 of 2 pages have no text, the first is page 2",)


def test_encrypted_truncated_pageless_and_damaged_files_have_distinct_reasons_and_remedies():
    found = {
        "encrypted": refused(pdf_encrypted()),
        "truncated": refused(pdf_report()[:-900]),
        "no pages": refused(pdf_without_pages()),
        "damaged": refused(b"%PDF-1.7\n" + bytes(range(256)) * 20 + b"\nstartxref\n9\n%%EOF\n"),
    }
    assert {reason: error.reason for reason, error in found.items()} == {reason: reason for reason in found}
    assert len({error.remedy for error in found.values()}) >= 3
    assert refused(pdf_report()[:300]).reason == "truncated"


def test_chunks_keep_to_one_page_and_their_box_holds_what_was_packed():
    chunks = chunk(parse(pdf_report()), size=5_000, overlap=0)
    assert {dict(one.place)["page"] for one in chunks} == {1, 2}
    for one in chunks:
        assert len(one.place) == 1
        assert one.box is not None
    rents = next(one for one in chunks if "nine percent" in one.text)
    boxes = [block.box for block in parse(pdf_report()).blocks if block.text in rents.text and block.box]
    assert rents.box == (
        min(box[0] for box in boxes), min(box[1] for box in boxes),
        max(box[2] for box in boxes), max(box[3] for box in boxes),
    )  # fmt: skip
