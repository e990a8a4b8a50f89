"""Leasehold beside other queues on PostgreSQL, on one server, in one go: `make bench-queue`.

python bench/queue/run.py                 # everything; about 25 minutes on two cores
python bench/queue/run.py --quick         # every scenario, smaller and once; about 6 minutes
python bench/queue/run.py --only leasehold,ideal --scenarios drain1,drain2

Prints one table with ratios to the hand-written ideal of the same run; writes it as JSON to .bench/queue.json (a part
of it to .bench/queue-part.json). Ends with 1 when any contender lost an item or worked one twice: then there is no
table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import table
from peers import Peers, versions
from plan import CONTENDERS, FULL, QUICK, SCENARIOS, TINY, Contender
from processes import Wrong
from scenarios import Bench
from server import BenchServer, others_share

ROOT = Path(__file__).parents[2]
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    folder = Path(os.environ.get("LEASEHOLD_HOME", ROOT / ".bench"))
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [one for one in CONTENDERS if not options.only or one.name in options.only]
    peers = Peers(folder / "peers")
    peers.install({one.runs_on for one in wanted})
    there = [one for one in wanted if one.runs_on not in peers.missing]
    missing = {one.name: peers.missing[one.runs_on] for one in wanted if one.runs_on in peers.missing}
    for name, why in missing.items():
        print(f"left out: {name}: {why}", file=sys.stderr)
    before = others_share(2.0)
    server = BenchServer(folder / "queue-server")
    started = time.monotonic()
    try:
        bench = Bench(server, peers, SIZES[options.size], there)
        figures = bench.run([one for one in SCENARIOS if not options.scenarios or one in options.scenarios])
        about = describe(server, there, missing, options.size, [before, *figures.others])
    except Wrong as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        server.close()
    result = table.as_json(figures, about | {"took_s": round(time.monotonic() - started)})
    whole = options.size != "tiny" and not options.only and not options.scenarios
    (folder / ("queue.json" if whole else "queue-part.json")).write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(table.plain(result))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ",".join(one.name for one in CONTENDERS)
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", default="full")
    parser.add_argument("--tiny", dest="size", action="store_const", const="tiny", help="whether it works, no figures")
    parser.add_argument("--only", type=listed(names), help=f"contenders: {names}")
    parser.add_argument("--scenarios", type=listed(",".join(SCENARIOS)), help=f"of {','.join(SCENARIOS)}")
    return parser.parse_args()


def listed(names: str):
    def parse(text: str) -> list[str]:
        found = text.split(",")
        unknown = set(found) - set(names.split(","))
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} is none of {names}")
        return found

    return parse


def describe(
    server: BenchServer, there: list[Contender], missing: dict[str, str], size: str,
    others: list[float | None],
) -> dict[str, object]:  # fmt: skip
    shares = [share for share in others if share is not None]
    return {
        "schema_version": 1,
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "size": size,
        "machine": {
            "cores": os.cpu_count(),
            "arch": platform.machine(),
            "system": platform.system(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
            "python": platform.python_version(),
        },
        "others_share_max": round(max(shares), 2) if shares else None,
        "server": server.settings(),
        "versions": versions() if any(one.runs_on != "ours" for one in there) else {},
        "contenders": [one.name for one in there],
        "missing": missing,
    }


if __name__ == "__main__":
    sys.exit(main())
