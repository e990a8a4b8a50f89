"""Makes tests/data/office anew: the same three documents as many programs save them.

python-docx, python-pptx and openpyxl write the originals, LibreOffice (`soffice` on PATH, or named as the argument) all
other formats. The files are committed, so that nobody who runs the tests needs LibreOffice.

    python tests/data/make_office_files.py [SOFFICE]
"""

from __future__ import annotations

import datetime
import subprocess
import sys
import tempfile
from pathlib import Path

import docx
import openpyxl
import pptx
from pptx.util import Inches

HERE = Path(__file__).parent / "office"
RENTS = [["Flat", "Tenant", "Rent"], ["1a", "Ada Lovelace", "900"], ["2b", "Charles Babbage", "1150"]]


def letter(path: Path) -> None:
    made = docx.Document()
    made.core_properties.title = "Lease agreement"
    made.add_heading("Lease", 1)
    made.add_paragraph("The tenant pays on the first of the month – in full.")
    made.add_heading("Rent", 2)
    table = made.add_table(rows=3, cols=3)
    for row, cells in enumerate(RENTS):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    made.add_paragraph("Heating is paid apart.", style="List Bullet")
    made.add_heading("Größe", 2)
    made.add_paragraph("Forty-two square metres.")
    made.save(str(path))


def show(path: Path) -> None:
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Roof plan"
    first.placeholders[1].text = "Slate\nClay"
    first.notes_slide.notes_text_frame.text = "Say why slate lasts"
    second = made.slides.add_slide(made.slide_layouts[5])
    second.shapes.title.text = "Costs"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for row, cells in enumerate([["Roof", "Cost"], ["Slate", "8200"]]):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    made.save(str(path))


def book(path: Path) -> None:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "Rents"
    for row in [*RENTS[:1], ["1a", "Ada Lovelace", 900], ["2b", "Charles Babbage", 1150.5]]:
        sheet.append(row)
    dates = made.create_sheet("Dates")
    dates["B3"] = "moved in"
    dates["C3"] = datetime.date(2024, 3, 1)
    dates["C4"] = datetime.datetime(2024, 4, 1, 9, 30)
    dates["D5"] = "=C4-C3"
    dates["E5"] = True
    made.save(str(path))


def main(soffice: str) -> None:
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, make, formats in (
            ("letter.docx", letter, ("docx", "odt", "rtf", "epub", "pdf", "doc")),
            ("show.pptx", show, ("pptx", "odp", "pdf")),
            ("rents.xlsx", book, ("xlsx", "ods", "xls")),
        ):
            original = Path(folder) / name
            make(original)
            (HERE / f"original-{name}").write_bytes(original.read_bytes())
            for of in formats:
                subprocess.run([soffice, "--headless", "--convert-to", of, "--outdir", str(HERE), str(original)],
                               check=True, capture_output=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "soffice")
