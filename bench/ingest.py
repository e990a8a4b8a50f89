"""Folder to knowledge, by the command line: files/s, chunks/s, MB/s, memory of each process; and the run with no news.

python bench/ingest.py --files 12000          # two chunks each
python bench/ingest.py --noop-files 100000    # tiny files: the second run
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

VOCABULARY = [f"word{n}" for n in range(5000)]


def write_corpus(folder: Path, files: int, characters: int) -> int:
    """Different text files of about *characters* each; the bytes written."""
    rng = random.Random(1)
    total = 0
    for number in range(files):
        path = folder / f"{number // 500:04d}" / f"note{number:06d}.txt"
        if number % 500 == 0:
            path.parent.mkdir(parents=True)
        lines, size = [f"Note {number}"], 0
        while size < characters:
            lines.append(" ".join(rng.choices(VOCABULARY, k=12)))
            size += len(lines[-1])
        total += path.write_text("\n".join(lines) + "\n")
    return total


class Memory(threading.Thread):
    """Samples the peak resident memory (VmHWM) of a process and its Python children, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peaks, self.over = pid, {}, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.2):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    self.sample(entry)

    def sample(self, entry: Path) -> None:
        try:
            status = (entry / "status").read_text()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            return
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        mine = int(entry.name) == self.pid or fields.get("PPid", "").strip() == str(self.pid)
        if mine and b"leasehold" in command:
            name = "worker" if b"leasehold.worker.child" in command else "parent"
            self.peaks[name] = max(self.peaks.get(name, 0), int(fields.get("VmHWM", "0 kB").split()[0]) // 1024)


def run(home: Path, *args: str) -> tuple[dict, float, dict[str, int]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "leasehold", *args, "--json"], text=True,
                               stdout=subprocess.PIPE, env=environment | {"LEASEHOLD_HOME": str(home)})  # fmt: skip
    memory = Memory(process.pid)
    memory.start()
    out, _ = process.communicate()
    took = time.perf_counter() - started
    memory.over.set()
    if process.returncode:
        sys.exit(f"leasehold {' '.join(args)} ended with {process.returncode}: {out}")
    return json.loads(out), took, memory.peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12_000)
    parser.add_argument("--characters", type=int, default=1_900)
    parser.add_argument("--noop-files", type=int, default=0)
    options = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="leasehold-bench-"))
    place.chmod(0o755)
    home, corpus = place / "home", place / "corpus"
    home.mkdir()
    try:
        run(home, "db", "up")
        files, characters = (options.noop_files, 40) if options.noop_files else (options.files, options.characters)
        size = write_corpus(corpus, files, characters)
        time.sleep(2.1)  # so that no file is as young as its reading
        first, took, peaks = run(home, "ingest", str(corpus))
        chunks = run(home, "proof")[0]["chunks"]
        print(f"ingest: {files:,} files, {chunks:,} chunks, {size / 1e6:.0f} MB in {took:.1f} s: "
              f"{files / took:,.0f} files/s, "
              f"{chunks / took:,.0f} chunks/s, {size / 1e6 / took:.1f} MB/s; peak memory MB: {peaks}")  # fmt: skip
        assert first["stored"] == files
        times = []
        for _ in range(3):
            again, took, peaks = run(home, "ingest", str(corpus))
            assert again["computed"] == {}
            assert again["unchanged"] == files
            times.append(took)
        print(f"again, nothing changed: {files:,} files in {sorted(times)[1]:.2f} s (median); peak MB: {peaks}")
    finally:
        run(home, "db", "down")
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
