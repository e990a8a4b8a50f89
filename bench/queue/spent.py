"""Where the time of one drain goes: the server's statements, and the functions of a worker process.

python bench/queue/spent.py leasehold --processes 2 --items 200000
python bench/queue/spent.py leasehold --form 1000      # in 1,000 groups

Statements by pg_stat_statements, those inside functions too, marked with a dot (a function's own row includes them);
functions by py-spy where it is installed, by thread, as shares of the time in which the interpreter was held. Watching
costs up to a fifth of the rate, so no rate of this is for a table.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import Peers
from plan import BY_NAME, QUICK
from processes import Crew
from scenarios import DATABASE, Bench
from server import BenchServer

from leasehold.db import embedded

ROOT = Path(__file__).parents[2]
SPY_S, SPY_HZ = 3, 200
TOP = """
select round(total_exec_time) as ms, calls, rows, round(wal_bytes / 1024) as wal_kb, toplevel,
       regexp_replace(left(query, 110), '\\s+', ' ', 'g')
  from pg_stat_statements s join pg_database d on d.oid = s.dbid
 where d.datname = %s order by total_exec_time desc limit 25
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("contender", choices=list(BY_NAME))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--form", default="", help="told to the contender's script instead of its own form")
    options = parser.parse_args()
    folder = Path(os.environ.get("LEASEHOLD_HOME", ROOT / ".bench"))
    folder.mkdir(parents=True, exist_ok=True)
    contender = BY_NAME[options.contender]
    contender = dataclasses.replace(contender, form=options.form or contender.form)
    peers = Peers(folder / "peers")
    peers.install({contender.runs_on})
    server = BenchServer(folder / "spent-server")
    try:
        watch_statements(server)
        bench = Bench(server, peers, QUICK, [contender])
        bench.template(contender)
        script = bench.fresh(contender)
        bench.fill(script, "noop", options.items)
        with server.connect() as connection:
            connection.execute("select pg_stat_statements_reset()")
        with Crew(script, options.processes, "noop", contender.consumers, options.items) as crew:
            spy = Spy(crew.workers[0].pid)
            crew.go()
            spy.start()
            account = crew.drain(bench.left(contender))
            spy.join()
        print(f"{contender.title}: {account.rate:,.0f} items/s, {account.seconds:.1f} s, processor time of the workers "
              f"{account.cpu_s:.1f} s (their start included)")  # fmt: skip
        with server.connect() as connection:
            for row in connection.execute(TOP, (DATABASE,)):
                ms, calls, rows, wal_kb, toplevel, query = row
                print(f"{ms:>8} ms {calls:>7} calls {rows:>8} rows {wal_kb:>8} kB{'  ' if toplevel else ' .'} {query}")
        spy.tell()
    finally:
        server.close()


def watch_statements(server: BenchServer) -> None:
    with server.connect() as connection:
        connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
        connection.execute("alter system set pg_stat_statements.track = 'all'")
    embedded.stop(server.home)
    embedded.ensure(server.home)
    with server.connect() as connection:
        connection.execute("create extension pg_stat_statements")


class Spy(threading.Thread):
    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.raw = ""
        beside = Path(sys.executable).with_name("py-spy")
        self.program = str(beside) if beside.exists() else shutil.which("py-spy")

    def run(self) -> None:
        if self.program is None:
            return
        with tempfile.NamedTemporaryFile(suffix=".raw") as file:
            wanted = f"record --pid {self.pid} --duration {SPY_S} --rate {SPY_HZ} --format raw --threads --gil --output"
            command = [self.program, *wanted.split(), file.name]
            subprocess.run(command, check=False, capture_output=True)
            self.raw = Path(file.name).read_text("utf-8")

    def tell(self) -> None:
        if not self.raw:
            print("py-spy is not installed, or may not look; no functions")
            return
        threads: collections.Counter[str] = collections.Counter()
        own: collections.Counter[str] = collections.Counter()
        for line in self.raw.splitlines():
            stack, _, samples = line.rpartition(" ")
            frames = stack.split(";")
            name = next((frame for frame in frames if frame.startswith("thread")), "thread").split("): ")[-1]
            threads[name] += int(samples)
            own[f"{name}: {frames[-1].rsplit(':', 1)[0]})"] += int(samples)
        total = sum(threads.values())
        print(
            f"interpreter held {total / (SPY_S * SPY_HZ):.0%} of the time; threads: "
            + ", ".join(f"{name} {samples / total:.0%}" for name, samples in threads.most_common(6))
        )
        for name, samples in own.most_common(20):
            print(f"  {samples / total:>5.1%}  {name}")


if __name__ == "__main__":
    main()
