"""Office files as several programs save them: text, tables, headings, places; and each way in which one cannot be read.

`tests/data/office` holds one letter, one presentation and one workbook in many formats, made by
`tests/data/make_office_files.py`.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

import made_files
from leasehold.steps import limits, media
from leasehold.steps.chunking import chunk
from leasehold.steps.detection import detect
from leasehold.steps.places import as_json, described
from leasehold.steps.reading import read
from leasehold.types import Parsed, StepError
from made_files import zipped

OFFICE = Path(__file__).parents[1] / "data" / "office"
RENTS = "Flat | Tenant | Rent\n1a | Ada Lovelace | 900\n2b | Charles Babbage | 1150"


def parse(data: bytes, name: str = "file") -> Parsed:
    return read(data, media_type=detect(name, data), name=name)


def office(name: str) -> Parsed:
    return parse((OFFICE / name).read_bytes())  # its name says nothing: the content decides


def refused(data: bytes, name: str = "file") -> StepError:
    with pytest.raises(StepError) as found:
        parse(data, name)
    assert found.value.remedy
    return found.value


# -- letters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["original-letter.docx", "letter.docx", "letter.odt", "letter.rtf"])
def test_a_letter_has_its_headings_paragraph_numbers_and_table_whoever_saved_it(name):
    parsed = office(name)
    assert parsed.title == "Lease agreement"
    assert {block.place for block in parsed.blocks} == {(("counts", "paragraph"),)}
    assert [(block.line, block.heading, block.text) for block in parsed.blocks] == [
        (1, ("Lease",), "Lease"),
        (2, ("Lease",), "The tenant pays on the first of the month – in full."),
        (3, ("Lease", "Rent"), "Rent"),
        (4, ("Lease", "Rent"), RENTS),
        (7, ("Lease", "Rent"), "Heating is paid apart."),
        (8, ("Lease", "Größe"), "Größe"),
        (9, ("Lease", "Größe"), "Forty-two square metres."),
    ]


def test_an_answer_from_a_letter_names_its_paragraph():
    one = chunk(office("letter.docx"), size=60, overlap=0)[1]
    assert "Rent" in one.text
    assert described(one.place, one.line_start, one.line_end, one.line_start) == "paragraph 3"
    assert as_json(one.place, one.line_start, one.line_end, one.line_start) == {"paragraph": 3}


def test_a_letter_as_pdf_says_the_same_under_the_same_headings():
    found = [(block.heading, block.text) for block in office("letter.pdf").blocks]
    assert (("Lease", "Größe"), "Forty-two square metres.") in found
    assert (("Lease", "Rent"), "2b Charles Babbage 1150") in found
    assert (("Lease", "Rent"), "• Heating is paid apart.") in found


def test_a_letter_as_a_book_names_its_chapter_and_keeps_rows_together():
    parsed = office("letter.epub")
    assert parsed.title == "Lease agreement"
    assert {block.place for block in parsed.blocks} == {(("chapter", 1),)}
    assert "2b | Charles Babbage | 1150" in [block.text for block in parsed.blocks]


def test_text_boxes_are_read_once_and_deleted_text_is_not():
    """Method: what Word writes for a text box (a new and an old form of it) and for tracked changes."""
    body = """<w:document xmlns:w="w" xmlns:mc="mc"><w:body>
        <w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent>
        </mc:Choice><mc:Fallback><w:txbxContent><w:p><w:r><w:t>boxed</w:t></w:r></w:p></w:txbxContent></mc:Fallback>
        </mc:AlternateContent></w:r><w:r><w:t>kept</w:t><w:tab/><w:t xml:space="preserve"> on</w:t></w:r>
        <w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>, added</w:t></w:r></w:ins></w:p>
        </w:body></w:document>"""
    parsed = parse(zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": body}))
    assert [block.text for block in parsed.blocks] == ["boxed", "kept on, added"]


# -- presentations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["original-show.pptx", "show.pptx", "show.odp"])
def test_a_presentation_has_slides_notes_and_tables_under_their_titles(name):
    parsed = office(name)
    assert parsed.title == "Roof plan"
    assert [(block.place, block.heading, block.text) for block in parsed.blocks] == [
        ((("slide", 1),), ("Roof plan",), "Roof plan\nSlate\nClay"),
        ((("slide", 1), ("notes", True)), ("Roof plan",), "Say why slate lasts"),
        ((("slide", 2),), ("Costs",), "Costs\nRoof | Cost\nSlate | 8200"),
    ]
    notes = parsed.blocks[1].place
    assert described(notes, 1, 1, 1) == "slide 1 (notes)"
    assert as_json(notes, 1, 1, 1) == {"slide": 1, "notes": True}


def test_slides_are_in_the_order_of_the_show_and_not_of_their_names():
    data = (OFFICE / "original-show.pptx").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    show = parts["ppt/presentation.xml"].decode()
    ids = [part.split("/>")[0] + "/>" for part in show.split("<p:sldId ")[1:]]
    assert len(ids) == 2
    parts["ppt/presentation.xml"] = show.replace(ids[0], "X").replace(ids[1], ids[0]).replace("X", ids[1]).encode()
    assert [block.heading[0] for block in parse(zipped(parts)).blocks] == ["Costs", "Roof plan", "Roof plan"]


# -- workbooks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["original-rents.xlsx", "rents.xlsx", "rents.ods", "rents.xls"])
def test_a_workbook_has_rows_under_their_header_and_answers_name_cells(name):
    rents, dates = office(name).blocks
    assert rents.text == RENTS.replace("1150", "1150.5")
    assert rents.heading == ("Rents", "Flat | Tenant | Rent")
    assert rents.place == (("sheet", "Rents"), ("columns", "A:C"))
    assert described(rents.place, 1, 3, 2) == "Rents!A1:C3"
    assert as_json(rents.place, 2, 2, 2) == {"sheet": "Rents", "cells": "A2:C2"}
    assert dates.heading == ("Dates",)
    assert dates.line == 3
    assert dates.text.split("\n")[0] == "moved in | 2024-03-01"
    assert "2024-04-01" in dates.text


def test_a_chunk_of_a_long_sheet_names_exactly_its_rows():
    book = openpyxl.Workbook()
    for row in range(1, 500):
        book.active.append([f"name {row}", row])
    out = io.BytesIO()
    book.save(out)
    chunks = chunk(parse(out.getvalue()), size=300, overlap=0)
    assert chunks[0].line_start == 1
    assert chunks[-1].line_end == 499
    for one in chunks:
        assert one.text.split("\n")[0] == f"name {one.line_start} | {one.line_start}"
        assert one.text.split("\n")[-1] == f"name {one.line_end} | {one.line_end}"


def test_an_old_workbook_whose_chains_run_in_a_circle_is_damaged_before_anything_follows_them():
    """Method: the table of sectors says that the first follows itself; and a table of tables that names itself."""
    data = bytearray((OFFICE / "rents.xls").read_bytes())
    table = (int.from_bytes(data[76:80], "little") + 1) * 512
    first = int.from_bytes(data[48:52], "little")
    data[table + 4 * first : table + 4 * first + 4] = first.to_bytes(4, "little")
    assert refused(bytes(data)).detail == "a chain of sectors runs in a circle"
    data = bytearray((OFFICE / "rents.xls").read_bytes())
    data[68:72] = (0).to_bytes(4, "little")
    data[512 + 508 : 1024] = (0).to_bytes(4, "little")
    assert refused(bytes(data)).reason == "damaged"


def test_an_old_workbook_that_breaks_off_anywhere_is_damaged():
    data = (OFFICE / "rents.xls").read_bytes()
    for end in range(600, len(data), 37):
        assert refused(data[:end], "a.xls").reason == "damaged"


def test_two_cells_in_opposite_corners_cost_two_cells():
    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "near", "far"
    out = io.BytesIO()
    book.save(out)
    near, far = parse(out.getvalue()).blocks
    assert (near.text, far.text, far.line) == ("near", "far", 1_048_576)
    assert near.place == (("sheet", "Sheet"), ("columns", "A:XFD"))


def test_a_cell_that_says_it_is_repeated_a_million_times_is_not():
    content = """<office:document-content xmlns:office="o" xmlns:table="t" xmlns:text="x"><table:table table:name="S">
        <table:table-row table:number-rows-repeated="1000000"><table:table-cell table:number-columns-repeated="16000">
        <text:p>again</text:p></table:table-cell></table:table-row>
        <table:table-row><table:table-cell><text:p>last</text:p></table:table-cell></table:table-row>
        </table:table></office:document-content>"""
    data = zipped({"mimetype": media.ODS, "content.xml": content})
    first, last = parse(data, "a.ods").blocks
    assert first.text.count("again") <= 50
    assert (last.text, last.line) == ("last", 1_000_001)


# -- what cannot be read ----------------------------------------------------------------------------------------------


def test_a_damaged_office_file_says_so_and_one_that_breaks_off_says_that():
    for name in ("original-letter.docx", "letter.odt", "original-show.pptx", "original-rents.xlsx", "letter.epub"):
        data = (OFFICE / name).read_bytes()
        assert refused(data[: len(data) // 2], name).reason == "truncated"
        end = data.rindex(b"PK\x05\x06")
        where = int.from_bytes(data[end + 16 : end + 20], "little")
        assert refused(data[:60] + bytes(where - 60) + data[where:], name).reason == "damaged"


def test_a_password_is_named_as_what_is_in_the_way():
    """Method: what formats look like under a password: OLE around it, a flag in the zip, an entry in the manifest."""
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(100)
    assert refused(ole, "a.docx").reason == "encrypted"
    data = bytearray(zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<x/>"}))
    for mark, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            data[at + offset] |= 1
    assert refused(bytes(data)).reason == "encrypted"
    manifest = '<manifest xmlns:m="m"><m:file-entry><m:encryption-data/></m:file-entry></manifest>'
    data = zipped({"mimetype": media.ODT, "META-INF/manifest.xml": manifest, "content.xml": b"\x00\x01"})
    assert refused(data, "a.odt").reason == "encrypted"


def test_a_part_that_expands_without_end_is_named_a_bomb_before_it_is_held():
    body = b"<w:document xmlns:w='w'><w:body><w:p>" + b" " * 90_000_000 + b"</w:p></w:body></w:document>"
    data = zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": body})
    assert len(data) < 1_000_000
    assert refused(data).reason == limits.BOMB


def test_entities_are_refused_before_they_expand():
    entities = "".join(f'<!ENTITY e{n} "{"&e" + str(n - 1) + ";" if n else "ha"}{"x" * 50}">' for n in range(50))
    body = f'<?xml version="1.0"?><!DOCTYPE d [{entities}]><document><body><p><r><t>&e49;</t></r></p></body></document>'
    data = zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": body})
    assert refused(data).reason == "damaged"
    assert "entities" in refused(data).detail


def test_macros_are_not_read_and_that_is_said():
    body = '<w:document xmlns:w="w"><w:body><w:p><w:r><w:t>words</w:t></w:r></w:p></w:body></w:document>'
    parts = {"[Content_Types].xml": "<Types/>", "word/document.xml": body, "word/vbaProject.bin": b"\x00Sub Auto"}
    assert parse(zipped(parts), "a.docm").notes == ("its macros were not read",)


def test_every_kind_of_zip_and_ole_file_is_told_apart_whatever_it_is_called():
    for name, of in {
        "letter.docx": media.DOCX, "original-letter.docx": media.DOCX, "letter.odt": media.ODT,
        "letter.epub": media.EPUB, "letter.rtf": media.RTF, "letter.pdf": media.PDF, "letter.doc": "application/msword",
        "show.pptx": media.PPTX, "show.odp": media.ODP, "rents.xlsx": media.XLSX, "rents.ods": media.ODS,
        "rents.xls": media.XLS,
    }.items():  # fmt: skip
        data = (OFFICE / name).read_bytes()
        assert {detect(given, data) for given in (name, "notes.txt", "data.bin", "x.zip")} == {of}
    jar = zipped({"META-INF/MANIFEST.MF": "Manifest-Version: 1.0", "a/B.class": b"\xca\xfe"})
    assert detect("notes", jar) == "application/java-archive"
    assert detect("notes", zipped({"xl/readme.txt": "a folder named xl"})) == "application/zip"


def test_rtf_in_another_code_page_with_unicode_and_hidden_groups():
    rtf = (
        rb"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0 Arial;}}{\*\generator X;}{\info{\title Title}}"
        rb"\uc1\pard \'cf\'f0\'e8 \u8364?\par {\pict 0102}second\line line\par{\*\unknown x}\b bold\b0 }"
    )
    parsed = parse(rtf)
    assert parsed.title == "Title"
    assert [block.text for block in parsed.blocks] == ["При €", "second line", "bold"]


def test_the_made_pdf_is_no_office_file():
    assert detect("a.docx", made_files.pdf_plain()) == media.PDF
