"""Readers: pages of PDF beside the bare library, documents and MB of each format per second of one core, and memory.

python bench/readers.py                # each case in a process of its own, for about two seconds
python bench/readers.py --seconds 5

Files are made anew by reportlab, python-docx, python-pptx, openpyxl and Python's own mail and zip modules.
"""

from __future__ import annotations

import argparse
import io
import json
import mailbox
import multiprocessing
import random
import resource
import tempfile
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pptx
import pypdfium2
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

from leasehold.steps.detection import detect
from leasehold.steps.reading import read

OFFICE = Path(__file__).parents[1] / "tests" / "data" / "office"
WORDS = [f"word{number}" for number in range(2000)]


def text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def pdf_text(pages: int) -> bytes:
    """Pages of running text under headings, some 2,500 characters each."""
    rng, style, out, story = random.Random(1), getSampleStyleSheet(), io.BytesIO(), []
    for page in range(pages):
        story += [Paragraph(f"Section {page}", style["Heading1"])]
        story += [Paragraph(text(rng, 60), style["BodyText"]) for _ in range(6)] + [PageBreak()]
    SimpleDocTemplate(out, pagesize=A4).build(story)
    return out.getvalue()


def pdf_tables(pages: int) -> bytes:
    """Pages with a ruled table of 30 rows and 5 columns."""
    rng, out, story = random.Random(1), io.BytesIO(), []
    for _ in range(pages):
        rows = [[text(rng, 1) for _ in range(5)] for _ in range(30)]
        story += [Table(rows, style=[("GRID", (0, 0), (-1, -1), 0.5, colors.black)]), PageBreak()]
    SimpleDocTemplate(out, pagesize=A4).build(story)
    return out.getvalue()


def pdf_columns(pages: int) -> bytes:
    """Pages of two columns that were drawn line by line across both."""
    rng, out = random.Random(1), io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for _ in range(pages):
        canvas.setFont("Helvetica", 9)
        for row in range(50):
            canvas.drawString(60, 780 - 14 * row, text(rng, 6))
            canvas.drawString(320, 780 - 14 * row, text(rng, 6))
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def docx_file() -> bytes:
    rng, made, out = random.Random(1), docx.Document(), io.BytesIO()
    for section in range(20):
        made.add_heading(f"Section {section}", 1)
        for _ in range(10):
            made.add_paragraph(text(rng, 60))
    made.save(out)
    return out.getvalue()


def pptx_file() -> bytes:
    rng, made, out = random.Random(1), pptx.Presentation(), io.BytesIO()
    for number in range(30):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "\n".join(text(rng, 8) for _ in range(6))
        slide.notes_slide.notes_text_frame.text = text(rng, 40)
    made.save(out)
    return out.getvalue()


def xlsx_file() -> bytes:
    rng, made, out = random.Random(1), openpyxl.Workbook(), io.BytesIO()
    for row in range(10_000):
        made.active.append([text(rng, 2), row, row * 1.5, text(rng, 1), text(rng, 1)])
    made.save(out)
    return out.getvalue()


def mbox_file() -> bytes:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        box = mailbox.mbox(f"{folder}/box")
        for number in range(200):
            made = EmailMessage()
            made["Subject"], made["From"], made["To"] = f"Mail {number}", "a@example.org", "b@example.org"
            made.set_content("\n".join(text(rng, 12) for _ in range(20)))
            made.add_alternative(f"<p>{text(rng, 240)}</p>", subtype="html")
            box.add(made)
        box.flush()
        return Path(folder, "box").read_bytes()


def zip_file() -> bytes:
    rng, out = random.Random(1), io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(200):
            file.writestr(f"notes/{number}.md", f"# Note {number}\n\n{text(rng, 400)}\n")
    return out.getvalue()


def notebook() -> bytes:
    rng = random.Random(1)
    cells = [{"cell_type": kind, "source": text(rng, 60), "outputs": []} for _ in range(50)
             for kind in ("markdown", "code")]  # fmt: skip
    return json.dumps({"cells": cells, "nbformat": 4}).encode()


def html_file() -> bytes:
    rng = random.Random(1)
    body = "".join(f"<h2>Part {n}</h2>" + f"<p>{text(rng, 60)}</p>\n" * 5 for n in range(40))
    return f"<html><head><title>T</title></head><body><nav>n</nav>{body}</body></html>".encode()


def office(name: str) -> Callable[[], bytes]:
    return (OFFICE / name).read_bytes


PAGES = 200
PDF = {"PDF, running text": pdf_text, "PDF, ruled tables": pdf_tables, "PDF, two columns across": pdf_columns}
CASES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "DOCX, 200 paragraphs": ("a.docx", docx_file),
    "PPTX, 30 slides with notes": ("a.pptx", pptx_file),
    "XLSX, 50,000 cells": ("a.xlsx", xlsx_file),
    "ODT, one page": ("a.odt", office("letter.odt")),
    "ODS, one page": ("a.ods", office("rents.ods")),
    "XLS, one page": ("a.xls", office("rents.xls")),
    "RTF, one page": ("a.rtf", office("letter.rtf")),
    "EPUB, one page": ("a.epub", office("letter.epub")),
    "MBOX, 200 mails": ("a.mbox", mbox_file),
    "zip, 200 Markdown files": ("a.zip", zip_file),
    "notebook, 100 cells": ("a.ipynb", notebook),
    "HTML, 80 kB": ("a.html", html_file),
}


def ours(name: str, data: bytes) -> int:
    parsed = read(data, media_type=detect(name, data), name=name)
    return sum(len(block.text) for block in parsed.blocks)


def bare(name: str, data: bytes) -> int:
    document = pypdfium2.PdfDocument(data)
    found = sum(len(page.get_textpage().get_text_range()) for page in document)
    document.close()
    return found


def measured(read_one: Callable[[str, bytes], int], name: str, data: bytes, seconds: float) -> tuple[float, int, float]:
    """In a new process: reads in a second of processor time, characters of one, and what one took of memory, in MB."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    child = context.Process(target=_measure, args=(sender, read_one, name, data, seconds))
    child.start()
    found: tuple[float, int, float] = receiver.recv()
    child.join()
    return found


def _measure(sender: Any, read_one: Callable[[str, bytes], int], name: str, data: bytes, seconds: float) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    characters = read_one(name, data)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    began, count = time.process_time(), 0
    while count == 0 or time.process_time() - began < seconds:
        read_one(name, data)
        count += 1
    sender.send((count / (time.process_time() - began), characters, peak))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    seconds = parser.parse_args().seconds
    print(f"{'':30} {'pages/s':>9} {'bare':>9} {'share':>6} {'MB more':>8}")
    for what, make in PDF.items():
        data = make(PAGES)
        rate, _, memory = measured(ours, "a.pdf", data, seconds)
        yardstick, _, _ = measured(bare, "a.pdf", data, seconds)
        print(f"{what:30} {rate * PAGES:9,.0f} {yardstick * PAGES:9,.0f} {rate / yardstick:6.2f} {memory:8.1f}")
    print(f"\n{'':30} {'files/s':>9} {'MB/s':>7} {'kB':>6} {'Mchar/s':>8} {'MB more':>8}")
    for what, (name, build) in CASES.items():
        data = build()
        rate, characters, memory = measured(ours, name, data, seconds)
        print(f"{what:30} {rate:9,.1f} {rate * len(data) / 1e6:7.1f} {len(data) / 1e3:6,.0f} "
              f"{rate * characters / 1e6:8.1f} {memory:8.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
