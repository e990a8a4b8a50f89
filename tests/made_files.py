"""Files for the tests of readers, made by the programs and libraries that people's files come from."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

RULED = [("GRID", (0, 0), (-1, -1), 0.5, colors.black)]
RENTS = [["Flat", "Tenant", "Rent"], ["1a", "Ada Lovelace", "900"], ["2b", "Charles Babbage", "1,150"]]


def pdf_report() -> bytes:
    """Two pages with headings by type size, a ruled table, a title, and no outline."""
    style, out = getSampleStyleSheet(), io.BytesIO()
    SimpleDocTemplate(out, pagesize=A4, title="Annual report", invariant=1).build(
        [
            Paragraph("Annual report", style["Title"]),
            Paragraph("Rents", style["Heading1"]),
            Paragraph("The rents of the year grew by nine percent. " * 12, style["BodyText"]),
            Paragraph("By flat", style["Heading2"]),
            Table(RENTS, style=RULED),
            Paragraph("After the table comes more text.", style["BodyText"]),
            PageBreak(),
            Paragraph("Outlook", style["Heading1"]),
            Paragraph("We expect a quiet year. " * 20, style["BodyText"]),
        ]
    )
    return out.getvalue()


def pdf_canvas(draw: Callable[[Canvas], Any], **options: Any) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, **options)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def pdf_outline() -> bytes:
    def draw(canvas: Canvas) -> None:
        for level, title, text in (
            (0, "Chapter One", "text of exam-"),
            (1, "Section 1.1", "deeper"),
            (0, "Two", "end"),
        ):
            canvas.bookmarkPage(title)
            canvas.addOutlineEntry(title, title, level)
            canvas.drawString(72, 700, title)
            canvas.drawString(72, 660, text)
            if text.endswith("-"):
                canvas.drawString(72, 646, "ples")
            canvas.showPage()

    return pdf_canvas(draw)


def pdf_columns(*, across: bool) -> bytes:
    """A heading over two columns of 30 lines; drawn column by column, or line by line across both."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(72, 780, "A heading over both")
        canvas.setFont("Helvetica", 10)
        lines = [(side, row) for side in (0, 1) for row in range(30)]
        for side, row in sorted(lines, key=lambda one: one[1]) if across else lines:
            text = f"{'right' if side else 'left'} column, line number {row} of the text"
            canvas.drawString(320 if side else 72, 740 - 14 * row, text)
        canvas.showPage()

    return pdf_canvas(draw)


def pdf_picture() -> bytes:
    """A page without a single letter, as a scanner makes it."""

    def draw(canvas: Canvas) -> None:
        canvas.rect(72, 72, 300, 300, fill=1)
        canvas.showPage()

    return pdf_canvas(draw)


def pdf_encrypted() -> bytes:
    return pdf_canvas(
        lambda canvas: canvas.drawString(72, 700, "secret"), encrypt=StandardEncryption("user", ownerPassword="owner")
    )


def pdf_plain(text: str = "plain words") -> bytes:
    return pdf_canvas(lambda canvas: canvas.drawString(72, 700, text))


def pdf_without_info() -> bytes:
    """Method: the trailer's reference to the Info dictionary is overwritten with blanks of the same length."""
    data = pdf_plain()
    start = data.index(b"/Info ")
    end = data.index(b"R", start) + 1
    return data[:start] + b" " * (end - start) + data[end:]


def pdf_without_pages() -> bytes:
    body = b"%PDF-1.4\n"
    offsets = []
    for number, text in enumerate((b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids[]/Count 0>>"), 1):
        offsets.append(len(body))
        body += b"%d 0 obj%s endobj\n" % (number, text)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer<</Size 3/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return body + b"xref\n0 3\n0000000000 65535 f \n" + table + trailer


def zipped(parts: Mapping[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return out.getvalue()
