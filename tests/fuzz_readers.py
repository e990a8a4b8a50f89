"""Mutated real files for every reader, and a child process that reads them one after the other.

A mutant is known by its format and its seed: the same two give the same bytes. Zip files are mutated on the outside and
also part by part, packed again, so that what is inside is reached and not only the checksum in front of it.

    echo '[["pdf", 7]]' | python tests/fuzz_readers.py     # format, seed, seconds, what it was, its verdict
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import resource
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from pathlib import Path

from reportlab.pdfgen.canvas import Canvas

import made_files
from leasehold.steps.chunking import chunk
from leasehold.steps.detection import detect
from leasehold.steps.readers import readable
from leasehold.steps.reading import read
from leasehold.types import StepError

OFFICE = Path(__file__).parent / "data" / "office"
REASONS = frozenset(
    {"damaged", "truncated", "encrypted", "no pages", "decompression bomb", "expands too far", "too large",
     "nested too deep"}
)  # fmt: skip
"""How a mutant of a readable file may fail. Anything else is a defect."""
SECONDS_MAX = 60.0
"""A file of some kilobytes that takes longer hangs; the slowest of 50,000 took a second on a busy machine."""
MEMORY_MAX = 3 << 30
INTERESTING = (b"\x00", b"\xff" * 4, b"\x7f\xff\xff\xff", b"<", b">", b"{", b"}", b'"', b"\\", b"%", b"9999999999",
               b"-1", b"\r\n\r\n", b"PK\x03\x04", b"\x80", b"]]>", b"<!DOCTYPE", b"&#x0;", b"1e999")  # fmt: skip


# -- real files -------------------------------------------------------------------------------------------------------


@cache
def corpus() -> dict[str, tuple[bytes, ...]]:
    """Format → files of it."""
    office = {file.name: file.read_bytes() for file in sorted(OFFICE.iterdir())}
    found: dict[str, list[bytes]] = {}
    for name, data in office.items():
        if not name.endswith(".doc"):
            found.setdefault(name.rpartition(".")[2], []).append(data)
    found["pdf"] += [
        made_files.pdf_report(),
        made_files.pdf_outline(),
        made_files.pdf_columns(across=True),
        _plain_pdf(),
    ]
    mail = _mail()
    found["eml"] = [mail]
    found["mbox"] = [b"From a@example.org Mon Jan  1 10:00:00 2024\n" + mail + b"\n\nFrom b@x Mon\n" + mail]
    found["ipynb"] = [_notebook()]
    found["json"] = [_chat(), json.dumps([{"role": "user", "content": "why"}] * 5).encode()]
    members = {"a.md": b"# A\n\nwords", "b.eml": mail, "c.docx": office["letter.docx"], "d.csv": b"a,b\n1,2\n"}
    found["zip"] = [made_files.zipped(members)]
    packed = _tar(members)
    found["tar"] = [packed]
    found["gz"] = [gzip.compress(packed), gzip.compress(b"words " * 100)]
    found["bz2"], found["xz"] = [bz2.compress(packed)], [lzma.compress(packed)]
    page = b"<html><title>T</title><nav>n</nav><h1>A</h1><table><tr><td><p>x</p><td>y</table><pre>a\nb</pre></html>"
    found["html"] = [page * 3]
    found["md"] = [b"# A\n\ntext `x`\n\n## B\n\n```py\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"]
    found["csv"] = [b'name,rent\n"Ada, L",900\n"Bab ""C""",1150\n' * 5]
    found["py"] = [Path(__file__).read_bytes()]
    return {name: tuple(files) for name, files in found.items()}


def _plain_pdf() -> bytes:
    """Streams that are not packed, so that mutations reach what is drawn."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=1)
    for row in range(20):
        canvas.drawString(72, 700 - 14 * row, f"row {row} of plain text")
        canvas.rect(60, 695 - 14 * row, 300, 14)
    canvas.showPage()
    canvas.save()
    return out.getvalue()


def _mail() -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["To"] = "Größe", "Ada <a@example.org>", "b@example.org"
    made["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    made.set_content("Hello,\nsee below. Größe.\n")
    made.add_alternative("<p>Hello <b>there</b></p>", subtype="html")
    made.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="täble.csv")
    made.add_attachment(
        made_files.zipped({"in.txt": "zipped"}), maintype="application", subtype="zip", filename="a.zip"
    )
    return made.as_bytes()


def _notebook() -> bytes:
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "words"]},
        {"cell_type": "code", "source": "x", "outputs": [{"output_type": "stream", "text": ["1\n"]}]},
    ]
    return json.dumps({"cells": cells, "nbformat": 4}).encode()


def _chat() -> bytes:
    def node(name: str, parent: str | None) -> dict[str, object]:
        content = {"parts": [f"text {name}"]}
        return {"parent": parent, "message": {"author": {"role": "user"}, "create_time": 1.7e9, "content": content}}

    mapping = {"a": node("a", None), "b": node("b", "a"), "c": node("c", "b")}
    return json.dumps([{"title": "T", "mapping": mapping, "current_node": "c"}] * 2).encode()


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as file:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"földer/{name}")
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return out.getvalue()


# -- mutants ----------------------------------------------------------------------------------------------------------


def mutant(of: str, seed: int) -> bytes:
    """The mutant *seed* of the format *of*."""
    chance = random.Random(f"{of} {seed}")
    data = chance.choice(corpus()[of])
    if data.startswith(b"PK\x03\x04") and chance.random() < 0.7:
        return _inside(data, chance)
    if of in ("gz", "bz2", "xz") and chance.random() < 0.5:
        pack: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
        return pack[of](_mutated(chance.choice(corpus()["tar"]), chance))
    return _mutated(data, chance)


def _inside(data: bytes, chance: random.Random) -> bytes:
    """A zip with one or two of its parts mutated, sometimes one of them gone."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    for name in chance.sample(sorted(parts), min(len(parts), chance.choice((1, 1, 2)))):
        if chance.random() < 0.1:
            del parts[name]
        else:
            parts[name] = _mutated(parts[name], chance)
    return made_files.zipped(parts)


def _mutated(data: bytes, chance: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        _mutate(made, chance)
    return bytes(made)


def _mutate(made: bytearray, chance: random.Random) -> None:
    at = chance.randrange(len(made) + 1)
    span = chance.choice((1, 2, 8, 64, 1024))
    kind = chance.randrange(8)
    if kind == 0 and made:
        made[min(at, len(made) - 1)] ^= 1 << chance.randrange(8)
    elif kind == 1:
        made[at : at + span] = chance.randbytes(span)
    elif kind == 2:
        del made[at : at + span]
    elif kind == 3:
        made[at:at] = made[at : at + span] * chance.choice((1, 2, 50))
    elif kind == 4:
        made[at : at + chance.choice((0, 4))] = chance.choice(INTERESTING)
    elif kind == 5 and chance.random() < 0.3:
        del made[at:]
    elif kind == 6:
        made[at : at + span] = bytes(span)
    else:
        other = chance.randrange(len(made) + 1)
        made[at : at + span] = made[other : other + span]


# -- one child reads, its parent watches ------------------------------------------------------------------------------


def verdict(of: str, seed: int) -> str:
    """`blocks N`, or the reason; anything else is a defect and raises."""
    data, name = mutant(of, seed), f"mutant.{of}"
    media_type = detect(name, data)
    if not readable(media_type):  # it is nothing that an ingest would read; its reader must bear it all the same
        media_type = detect(name, corpus()[of][0])
    try:
        parsed = read(data, media_type=media_type, name=name)
    except StepError as error:
        if error.reason not in REASONS or not error.remedy:
            raise AssertionError(f"{media_type}: {error}") from error
        return error.reason
    assert not [note for note in parsed.notes if "reader failed" in note], parsed.notes
    for block in parsed.blocks:
        assert block.line >= 1
        block.text.encode()
        assert "\x00" not in block.text
    chunk(parsed, size=1200, overlap=0)
    return f"blocks {bool(parsed.blocks)}"


@dataclass
class Run:
    """What became of the mutants of one format."""

    verdicts: Counter[str] = field(default_factory=Counter)
    defects: dict[int, str] = field(default_factory=dict)
    crashes: list[int] = field(default_factory=list)
    """Mutants that took the process along: contained by whoever runs it."""
    hangs: list[int] = field(default_factory=list)
    slowest_s: float = 0.0


Job = tuple[str, int]


def run(formats: Sequence[str], first: int, count: int) -> dict[str, Run]:
    """Read mutants in child processes; a new one goes on behind the mutant that took its process along."""
    jobs = [(of, seed) for of in formats for seed in range(first, first + count)]
    made = {of: Run() for of in formats}
    at = 0
    while at < len(jobs):
        at = _watched(made, jobs, at)
    return made


def _watched(made: dict[str, Run], jobs: list[Job], at: int) -> int:
    """Let one child read the jobs from *at* on; where it came to."""
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as child:  # fmt: skip
        assert child.stdin is not None
        assert child.stdout is not None
        json.dump(jobs[at:], child.stdin)
        child.stdin.close()
        clock = _Clock(child)
        for line in child.stdout:
            clock.heard()
            _note(made, line)
            at += 1
    if at < len(jobs):
        of, seed = jobs[at]
        (made[of].hangs if clock.hung else made[of].crashes).append(seed)
        at += 1
    return at


class _Clock:
    """Kills a child that says nothing for too long."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.hung = False
        self._child = child
        self._at = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def heard(self) -> None:
        self._at = time.monotonic()

    def _watch(self) -> None:
        while True:
            try:
                self._child.wait(1.0)
                return
            except subprocess.TimeoutExpired:
                if time.monotonic() - self._at > SECONDS_MAX:
                    self.hung = True
                    self._child.kill()


def _note(made: dict[str, Run], line: str) -> None:
    of, seed, seconds, kind, said = line.rstrip("\n").split("\t", 4)
    made[of].slowest_s = max(made[of].slowest_s, float(seconds))
    if kind == "verdict":
        made[of].verdicts[said] += 1
    else:
        made[of].defects[int(seed)] = said


def main(jobs: Sequence[Job]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX, MEMORY_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for of, seed in jobs:
        began = time.monotonic()
        try:
            kind, said = "verdict", verdict(of, seed)
        except BaseException as error:
            kind, said = "defect", f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")[:300]
        print(of, seed, f"{time.monotonic() - began:.3f}", kind, said, sep="\t", flush=True)


if __name__ == "__main__":
    main(json.load(sys.stdin))
