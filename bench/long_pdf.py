"""Long and large PDFs through the sandbox: pages/s, and the peak memory of the worker and of each reader.

python bench/long_pdf.py                    # 1,000 and 10,000 pages, whole and in parts; a file of 500 MB
python bench/long_pdf.py --pages 2000
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from leasehold.documents.readings import Readings
from leasehold.documents.recipes import Parameters
from leasehold.options import ChunkOptions, ReaderOptions

WORDS = [f"word{number}" for number in range(2000)]


def write_pdf(path: Path, pages: int, picture_bytes: int = 0) -> None:
    """A PDF of *pages* with some 2,500 characters each, and beside each page a picture of random bytes."""
    rng = random.Random(1)
    offsets: list[int] = []
    with path.open("wb") as out:

        def put(number: int, body: bytes, stream: bytes | None = None) -> None:
            while len(offsets) < number:
                offsets.append(0)
            offsets[number - 1] = out.tell()
            out.write(b"%d 0 obj\n" % number + body)
            if stream is not None:
                out.write(b"\nstream\n" + stream + b"\nendstream")
            out.write(b"\nendobj\n")

        out.write(b"%PDF-1.4\n")
        put(1, b"<< /Type /Catalog /Pages 2 0 R >>")
        put(3, b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
        for page in range(pages):
            first = 4 + 3 * page
            lines = [f"Section {page}"] + [" ".join(rng.choices(WORDS, k=9)) for _ in range(40)]
            drawn = "BT /F1 9 Tf 14 TL 60 800 Td\n" + "\n".join(f"({line}) Tj T*" for line in lines) + "\nET"
            stream = drawn.encode()
            put(first, b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources << /Font"
                b" << /F1 3 0 R >> /XObject << /I %d 0 R >> >> >>" % (first + 1, first + 2))  # fmt: skip
            put(first + 1, b"<< /Length %d >>" % len(stream), stream)
            picture = rng.randbytes(picture_bytes)
            put(first + 2, b"<< /Type /XObject /Subtype /Image /Width %d /Height 1 /ColorSpace /DeviceGray"
                b" /BitsPerComponent 8 /Length %d >>" % (max(1, picture_bytes), picture_bytes), picture)  # fmt: skip
        kids = b" ".join(b"%d 0 R" % (4 + 3 * page) for page in range(pages))
        put(2, b"<< /Type /Pages /Count %d /Kids [%s] >>" % (pages, kids))
        start = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1))
        out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
        out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, start))


class Peaks(threading.Thread):
    """Samples the peak memory of every process below this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[int, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            parents = {int(one.name): _status(one) for one in Path("/proc").iterdir() if one.name.isdigit()}
            mine = {os.getpid()}
            for _ in range(3):
                mine |= {pid for pid, told in parents.items() if int(told.get("PPid", "0")) in mine}
            for pid in mine - {os.getpid()}:
                peak = int(parents[pid].get("VmHWM", "0 kB").split()[0])
                self.peaks[pid] = max(self.peaks.get(pid, 0), peak)


def _status(process: Path) -> dict[str, str]:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def measure(path: Path, options: ReaderOptions) -> dict[str, Any]:
    """Read *path* once, in a process of its own."""
    answer, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(said, repr(_measured(path, options)).encode())
        os._exit(0)
    os.close(said)
    with os.fdopen(answer) as told:
        found: dict[str, Any] = eval(told.read())
    os.waitpid(pid, 0)
    return found


def _measured(path: Path, options: ReaderOptions) -> dict[str, Any]:
    readings = Readings(options, step_timeout_s=3600.0)
    item: Any = SimpleNamespace(root=path.parent, path=path.name, name=path.name, max_bytes=1 << 40, sha256=None,
                                media_type=None, parameters=Parameters(chunk=ChunkOptions()))  # fmt: skip
    peaks = Peaks()
    peaks.start()
    began = time.monotonic()
    looked = readings.look(item)
    item.sha256, item.media_type = looked.sha256, looked.media_type
    found = readings.parse(item, lambda: None)
    seconds = time.monotonic() - began
    peaks.over.set()
    readings.close()
    return {"seconds": seconds, "result_mb": len(bytes(found)) / 1e6,
            "reader_mb": max(peaks.peaks.values()) / 1e3,
            "worker_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, action="append")
    parser.add_argument("--large-mb", type=int, default=500)
    chosen = parser.parse_args()
    print(f"{'document':<32}{'pages/s':>9}{'result MB':>11}{'reader peak MB':>16}{'worker peak MB':>16}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        for pages in chosen.pages or (1_000, 10_000):
            write_pdf(path, pages)
            for name, split in (("whole", 0), ("in parts of 500", 500)):
                show(f"{pages:,} pages, {name}", pages, measure(path, ReaderOptions(split_pages=split, memory_mb=4096)))
        if chosen.large_mb:
            write_pdf(path, 100, chosen.large_mb * 10_000)
            show(f"{path.stat().st_size // 1_000_000} MB, 100 pages", 100, measure(path, ReaderOptions()))


def show(name: str, pages: int, made: dict[str, Any]) -> None:
    print(f"{name:<32}{pages / made['seconds']:>9.0f}{made['result_mb']:>11.1f}"
          f"{made['reader_mb']:>16.0f}{made['worker_mb']:>16.0f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
