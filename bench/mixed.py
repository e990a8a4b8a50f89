"""A folder of 10,000 files of every format: ingested, killed (kill -9) in the middle, resumed, changed, re-read under
other parameters, and proven; then all of it compared with an undisturbed ingest of the same files.

python bench/mixed.py                    # about as long as reading the folder twice and chunking it three times
python bench/mixed.py --files 1000 --artifacts folder

Prints what each part took, and ends with 1 when anything was not as it must be. Files are made by the libraries that
people's files come from, from templates (tests/mixed_folder.py); what must become of each is known beforehand.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from ingest import Memory

from mixed_folder import MixedFolder

SMALLER = "chunk.size=500"


@dataclass
class Place:
    """A home with a server of its own, and the settings of its ingests."""

    home: Path
    settings: dict[str, str]

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("LEASEHOLD_")}
        environment |= {"LEASEHOLD_HOME": str(self.home), **self.settings}
        return subprocess.Popen([sys.executable, "-m", "leasehold", *map(str, args), "--json"], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                start_new_session=True)  # fmt: skip

    def run(self, *args: str | Path) -> tuple[dict[str, Any], float, dict[str, int]]:
        """What it said, seconds, and the largest memory of its processes in MB."""
        began = time.perf_counter()
        process = self.start(*args)
        memory = Memory(process.pid)
        memory.start()
        out, _ = process.communicate()
        memory.over.set()
        if process.returncode not in (0, 1):
            sys.exit(f"leasehold {' '.join(map(str, args))} ended with {process.returncode}: {out}")
        return json.loads(out), time.perf_counter() - began, memory.peaks


class Judge:
    def __init__(self) -> None:
        self.wrong = 0

    def equal(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.wrong += 1
            print(f"  NOT SO: {what}: {found} instead of {wanted}", flush=True)


def verdicts(answer: dict[str, Any]) -> dict[tuple[str, str], int]:
    found = {("stored", ""): answer["stored"] + answer["unchanged"]}
    for state in ("skipped", "failed"):
        found |= {(state, reason): n for reason, n in answer[state].items()}
    return found


def told(what: str, answer: dict[str, Any], took: float, peaks: dict[str, int]) -> None:
    done = ", ".join(f"{n:,} {step}" for step, n in answer["computed"].items()) or "nothing"
    rate = max(answer["computed"].values(), default=0) / took
    print(f"{what:<34} {took:7.1f} s  {rate:6.0f} documents/s  peak MB {peaks}  computed: {done}", flush=True)


def killed(place: Place, root: Path, judge: Judge) -> None:
    """Begin to ingest, and kill all of it when a third of the files has its verdict."""
    began = time.perf_counter()
    process = place.start("ingest", root)
    stored = 0
    while process.poll() is None and stored < sum(1 for _ in root.rglob("*.*")) // 3:
        time.sleep(0.2)
        answer, _, _ = place.run("status")
        stored = sum(one["states"].get("stored", 0) for one in answer["sources"])
    judge.equal("it still ran when it was killed", process.poll(), None)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    print(f"{'killed with kill -9':<34} {time.perf_counter() - began:7.1f} s  {stored:,} documents were stored")


def story(place: Place, alone: Place, mixed: MixedFolder, judge: Judge) -> None:
    killed(place, mixed.root, judge)
    answer, took, peaks = place.run("ingest", mixed.root)
    told("resumed to its end", answer, took, peaks)
    judge.equal("verdicts after the kill", verdicts(answer), mixed.verdicts())
    counts = mixed.change()
    answer, took, peaks = place.run("ingest", mixed.root)
    told("after " + ", ".join(f"{n} {what}" for what, n in counts.items()), answer, took, peaks)
    judge.equal("what changed", {what: answer[what] for what in counts}, counts)
    judge.equal("verdicts after the changes", verdicts(answer), mixed.verdicts())
    answer, took, peaks = place.run("ingest", mixed.root, "--set", SMALLER)
    told(f"again with --set {SMALLER}", answer, took, peaks)
    judge.equal("parsed again", answer["computed"].get("parse", 0), 0)
    answer, took, peaks = place.run("ingest", mixed.root)
    told("again, nothing changed", answer, took, peaks)
    judge.equal("computed again", answer["computed"], {})
    proof, took, _ = place.run("proof", "--digest")
    print(f"{'proof and digest':<34} {took:7.1f} s  {proof['documents']:,} documents, {proof['chunks']:,} chunks")
    judge.equal("the proof holds", proof["holds"], True)
    answer, took, peaks = alone.run("ingest", mixed.root, "--set", SMALLER)
    told("undisturbed, on another server", answer, took, peaks)
    judge.equal("the digest of an undisturbed ingest", proof["digests"], alone.run("proof", "--digest")[0]["digests"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--artifacts", choices=("database", "folder"), default="database", help="where results lie")
    options = parser.parse_args()
    at = Path(tempfile.mkdtemp(prefix="leasehold-mixed-"))
    at.chmod(0o755)
    settings = {"LEASEHOLD_ARTIFACTS_URL": f"file://{at / 'results'}"} if options.artifacts == "folder" else {}
    place, alone = Place(at / "home", settings), Place(at / "alone", {})
    judge = Judge()
    try:
        for one in (place, alone):
            one.home.mkdir()
            one.run("db", "up")
        began = time.perf_counter()
        mixed = MixedFolder(at / "mixed").fill(options.files)
        size = sum(one.stat().st_size for one in mixed.root.rglob("*") if one.is_file())
        took = time.perf_counter() - began
        print(f"{len(mixed.expected):,} files of {len(mixed.formats)} formats and the odd ones, {size / 1e6:.0f} MB, "
              f"made in {took:.1f} s; results in the {options.artifacts}", flush=True)  # fmt: skip
        story(place, alone, mixed, judge)
    finally:
        for one in (place, alone):
            one.run("db", "down")
        shutil.rmtree(at)
    print(f"{judge.wrong} things were not as they must be" if judge.wrong else "all of it was as it must be")
    sys.exit(bool(judge.wrong))


if __name__ == "__main__":
    main()
