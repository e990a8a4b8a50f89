"""A folder as people have them: every format, copies, oddities; and a year's changes to it. The same for the same seed.

Office files, PDFs, books and workbooks are made by the real programs and libraries once, as templates, in which a line
is then replaced: what differs is the text, not the making. What must become of each file is known beforehand.
"""

from __future__ import annotations

import base64
import io
import json
import mailbox
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import lru_cache
from pathlib import Path

import docx
import openpyxl
import pptx
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from made_files import pdf_encrypted, zipped

OFFICE = Path(__file__).parent / "data" / "office"
VOCABULARY = [f"word{number}" for number in range(3000)]
SLOT = "The words that differ stand here."
"""In every template; a text takes its place."""
STORED = ("stored", "")
WHEN_NS = 1_700_000_000_123_456_789


def words(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(VOCABULARY, k=n))


# -- each format: text in, bytes out ----------------------------------------------------------------------------------


def pdf(text: str) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for page in range(2):
        canvas.setFont("Helvetica-Bold", 18)
        canvas.drawString(60, 780, f"Part {page + 1}")
        canvas.setFont("Helvetica", 10)
        for row, start in enumerate(range(0, len(text), 80)):
            canvas.drawString(60, 740 - 13 * (row % 50), text[start : start + 80])
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@lru_cache
def _template(name: str) -> dict[str, bytes]:
    """The members of an office file, with SLOT in one of them."""
    if name == "epub":
        chapter = f"<html><body><h1>Chapter</h1><p>{SLOT}</p></body></html>"
        package = (
            '<package xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest><item id="c" href="c.xhtml" '
            'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="c"/></spine></package>'
        )
        container = (
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="p.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
        )
        return {"mimetype": b"application/epub+zip", "META-INF/container.xml": container.encode(),
                "p.opf": package.encode(), "c.xhtml": chapter.encode()}  # fmt: skip
    if name in ("odt", "ods", "odp"):
        source = {"odt": "letter.odt", "ods": "rents.ods", "odp": "show.odp"}[name]
        members = _members((OFFICE / source).read_bytes())
        content = members["content.xml"].decode()
        mark = f"<text:p>{SLOT}</text:p>"
        end = {"odt": "</office:text>", "odp": "</draw:text-box>", "ods": "</table:table>"}[name]
        row = (
            f'<table:table-row><table:table-cell office:value-type="string">{mark}</table:table-cell></table:table-row>'
        )
        at = content.index(end)
        members["content.xml"] = (content[:at] + (row if name == "ods" else mark) + content[at:]).encode()
        return members
    out = io.BytesIO()
    if name == "docx":
        text = docx.Document()
        text.add_heading("Report", 1)
        text.add_paragraph(SLOT)
        text.save(out)
    elif name == "pptx":
        show = pptx.Presentation()
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = "Slide", SLOT
        slide.notes_slide.notes_text_frame.text = "notes of the speaker"
        show.save(out)
    else:
        book = openpyxl.Workbook()
        book.active.append(["Flat", "Rent"])
        book.active.append([SLOT, 900])
        book.save(out)
    return _members(out.getvalue())


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {one: file.read(one) for one in file.namelist()}


def office(name: str) -> Callable[[str], bytes]:
    def made(text: str) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as file:
            for member, data in _template(name).items():
                kind = zipfile.ZIP_STORED if member == "mimetype" else zipfile.ZIP_DEFLATED
                info = zipfile.ZipInfo(member, (2024, 1, 1, 0, 0, 0))
                file.writestr(info, data.replace(SLOT.encode(), text.encode()), kind, 1)
        return out.getvalue()

    return made


def mail(text: str) -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = text[:40], "a@example.org", "b@example.org"
    made.set_content(text)
    made.add_attachment(f"# Attached\n\n{text[::-1]}\n".encode(), maintype="text", subtype="markdown", filename="a.md")
    made.set_boundary("=====a-boundary=====")
    return made.as_bytes()


def mbox(text: str) -> bytes:
    lines = []
    for number in range(3):
        one = EmailMessage()
        one["Subject"], one["From"] = f"{number} {text[:30]}", "a@example.org"
        one.set_content(f"{number} {text}")
        lines.append(b"From a@example.org Thu Jan  1 00:00:00 2024\n" + bytes(mailbox.mboxMessage(one)) + b"\n")
    return b"".join(lines)


def tar(text: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name in ("a.md", "b.txt"):
            data = f"# {name}\n\n{text}\n".encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def notebook(text: str) -> bytes:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": f"# Study\n\n{text}"},
        {"cell_type": "code", "metadata": {}, "execution_count": 1, "outputs": [], "source": f"x = {text[:40]!r}"},
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def chat(text: str) -> bytes:
    message = {"uuid": "m", "sender": "human", "text": text, "created_at": "2024-01-01T00:00:00Z"}
    reply = {"uuid": "r", "sender": "assistant", "text": text[::-1], "created_at": "2024-01-01T00:00:01Z"}
    return json.dumps([{"uuid": "c", "name": "A talk", "chat_messages": [message, reply]}]).encode()


def _rtf(text: str) -> bytes:
    return ("{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}\\f0\\fs24 " + text + "\\par}").encode()


def _markdown(text: str) -> bytes:
    return f"# {text[:30]}\n\n{text}\n\n## More\n\n- {text[:80]}\n".encode()


FORMATS: dict[str, Callable[[str], bytes]] = {
    "md": _markdown,
    "txt": lambda text: f"{text}\n".encode(),
    "utf16.txt": lambda text: f"{text} Füße\n".encode("utf-16"),
    "cp1252.txt": lambda text: f"{text} Füße\n".encode("cp1252"),
    "html": lambda text: (
        f"<html><head><title>T</title></head><body><nav>menu</nav><h1>H</h1><p>{text}</p></body></html>".encode()
    ),
    "csv": lambda text: "\n".join(["a,b", *(f"{one},{number}" for number, one in enumerate(text.split()))]).encode(),
    "json": lambda text: json.dumps({"title": text[:20], "body": {"text": text}}).encode(),
    "jsonl": lambda text: "\n".join(json.dumps({"n": n, "text": text[n * 50 :][:50]}) for n in range(4)).encode(),
    "py": lambda text: f'"""{text}"""\n\n\ndef work() -> None:\n    """{text[:60]}"""\n'.encode(),
    "ipynb": notebook,
    "chat.json": chat,
    "pdf": pdf,
    "docx": office("docx"),
    "pptx": office("pptx"),
    "xlsx": office("xlsx"),
    "odt": office("odt"),
    "ods": office("ods"),
    "odp": office("odp"),
    "rtf": _rtf,
    "epub": office("epub"),
    "eml": mail,
    "mbox": mbox,
    "zip": lambda text: zipped({"notes/a.md": f"# A\n\n{text}\n", "b.txt": text[::-1]}),
    "tar": tar,
}
COMMON = ("md", "txt", "html", "py", "pdf", "eml", "docx")
"""Half of all files are of these."""
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@lru_cache
def _encrypted() -> bytes:
    return pdf_encrypted()


ODD: tuple[tuple[str, Callable[[str], bytes], tuple[str, str]], ...] = (
    ("empty.txt", lambda text: b"", ("skipped", "empty")),
    ("picture.png", lambda text: PNG + text.encode(), ("skipped", "no reader for the type")),
    ("locked.pdf", lambda text: _encrypted() + f"% {text}\n".encode(), ("failed", "encrypted")),
    ("cut.pdf", lambda text: pdf(text)[:400], ("failed", "truncated")),
    ("cut.docx", lambda text: office("docx")(text)[:-200], ("failed", "truncated")),
    ("really-a-pdf.txt", pdf, STORED),
    ("blank.md", lambda text: b"\n" * (1 + len(text)), ("skipped", "no text found")),
)
"""Name, content, and what must become of it."""


# -- the folder -------------------------------------------------------------------------------------------------------


@dataclass
class MixedFolder:
    """`expected`: path within the folder -> (state, reason); `copies`: paths with the bytes of another."""

    root: Path
    seed: int = 1
    expected: dict[str, tuple[str, str]] = field(default_factory=dict)
    copies: set[str] = field(default_factory=set)
    formats: dict[str, int] = field(default_factory=dict)

    def fill(self, n: int) -> MixedFolder:
        """*n* files: one in thirty an oddity, one in forty a copy, every format with its turn."""
        rng = random.Random(self.seed)
        names = list(FORMATS)
        for number in range(n):
            if number % 30 == 29:
                name, content, verdict = ODD[number // 30 % len(ODD)]
                self._write(f"odd/{number:05d}-{name}", content(words(rng, 30)), verdict)
            elif number % 40 == 38:
                self._copy(rng, number)
            else:
                kind = COMMON[number % len(COMMON)] if number % 2 else names[number // 2 % len(names)]
                self._write(f"{number // 200:03d}/file{number:05d}.{kind}", FORMATS[kind](words(rng, 60)), STORED)
                self.formats[kind] = self.formats.get(kind, 0) + 1
        return self

    def change(self) -> dict[str, int]:
        """Edit, rename and delete a few files of each hundred, and add some; how many of each."""
        rng = random.Random(self.seed + 1)
        plain = sorted(path for path, state in self.expected.items() if state == STORED and path not in self.copies)
        chosen = rng.sample([path for path in plain if not path.startswith("odd/")], k=max(4, len(plain) // 8))
        third = len(chosen) // 3
        for path in chosen[:third]:
            kind = path.partition(".")[2]
            self._write(path, FORMATS[kind](words(rng, 70)), STORED)
        for path in chosen[third : 2 * third]:
            self._rename(path, f"moved/{path.replace('/', '-')}")
        for path in chosen[2 * third :]:
            (self.root / path).unlink()
            del self.expected[path]
        for number in range(third):
            kind = list(FORMATS)[number % len(FORMATS)]
            self._write(f"new/{number:05d}.{kind}", FORMATS[kind](words(rng, 60)), STORED)
        return {"changed": third, "renamed": third, "deleted": len(chosen) - 2 * third, "new": third}

    def verdicts(self) -> dict[tuple[str, str], int]:
        """(state, reason) -> files."""
        found: dict[tuple[str, str], int] = {}
        for verdict in self.expected.values():
            found[verdict] = found.get(verdict, 0) + 1
        return found

    def _write(self, path: str, content: bytes, verdict: tuple[str, str]) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        at = WHEN_NS + len(self.expected) * 1_000_003 + (10**12 if path in self.expected else 0)
        os.utime(file, ns=(at, at))
        self.expected[path] = verdict

    def _copy(self, rng: random.Random, number: int) -> None:
        stored = sorted(path for path, verdict in self.expected.items() if verdict == STORED)
        of = rng.choice(stored)
        path = f"copies/{number:05d}-{of.rpartition('/')[2]}"
        self._write(path, (self.root / of).read_bytes(), STORED)
        self.copies |= {path, of}

    def _rename(self, old: str, new: str) -> None:
        (self.root / new).parent.mkdir(parents=True, exist_ok=True)
        (self.root / old).rename(self.root / new)
        self.expected[new] = self.expected.pop(old)
