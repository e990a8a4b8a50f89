"""All benchmarks, one after another, on a server of their own: `make bench`. Prints what they print; judges nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

from leasehold.db import embedded

HERE = Path(__file__).parent
RUNS = (
    ("kernel.py", "--steps 100000"),
    ("kernel.py", "--steps 200000 --clients 2"),
    ("kernel.py", "--steps 100000 --clients 2 --chain 5"),
    ("kernel.py", "--steps 20000 --page 20"),
    ("kernel.py", "--steps 200000 --hold-snapshot"),
    ("scale.py", "claims --waiting 1000000 --finished 10000000"),
    ("scale.py", "latency --waiting 100000"),
    ("scale.py", "held --steps 10000"),
    ("worker.py", "drain --steps 100000"),
    ("worker.py", "drain --steps 200000 --processes 2"),
    ("worker.py", "sleep --steps 2000 --consumers 20"),
    ("worker.py", "sleep --steps 2000 --consumers 200"),
    ("worker.py", "drain --steps 100000 --chain 5"),
    ("worker.py", "drain --steps 100000 --chain 5 --processes 2"),
    ("worker.py", "latency --steps 200"),
    ("worker.py", "alone --steps 200"),
    ("seats.py", ""),
    ("herd.py", "--processes 12 --consumers 25"),
    ("claims.py", "--rows 20000"),
    ("prune.py", "--kept 500"),
)


def main() -> None:
    home = Path(os.environ.get("LEASEHOLD_HOME", HERE.parent / ".bench"))
    home.mkdir(parents=True, exist_ok=True)
    server = embedded.ensure(home)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, PostgreSQL {server.version}"
    )
    for script, args in RUNS:
        print(f"-- {script} {args}", flush=True)
        subprocess.run([sys.executable, HERE / script, "--url", server.url, *args.split()], check=True)
    print("-- readers.py", flush=True)
    subprocess.run([sys.executable, HERE / "readers.py"], check=True)
    print("-- mixed.py", flush=True)
    subprocess.run([sys.executable, HERE / "mixed.py"], check=True)
    for args in ("--files 12000", "--noop-files 100000"):
        print(f"-- ingest.py {args}", flush=True)
        subprocess.run([sys.executable, HERE / "ingest.py", *args.split()], check=True)


if __name__ == "__main__":
    main()
