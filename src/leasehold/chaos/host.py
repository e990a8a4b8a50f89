"""A host of the lab: a keeper with its children, in a process of its own. Started by the lab only.

Reads its settings as one line of JSON; after that its input only says that the lab still lives. It ends with the lab,
also when it was stopped at that moment (Linux kills it with its parent).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from leasehold.chaos.workload import FACTORY
from leasehold.db.target import Target
from leasehold.logs import set_up
from leasehold.options import LeaseOptions
from leasehold.testing import faults
from leasehold.worker.keeper import Keeper, KeeperConfig
from leasehold.worker.lifeline import die_with_parent


def main() -> None:
    die_with_parent(int(sys.argv[1]))
    settings = json.loads(sys.stdin.readline())
    set_up(settings["log_level"])
    faults.install_from_environment()
    keeper = Keeper(
        KeeperConfig(
            target=Target(url=settings["url"]),
            kinds=FACTORY,
            processes=1,
            consumers={"pack": 1, "*": 3},
            lease=LeaseOptions(**settings["lease"]),
            name=settings["name"],
            poll_max_s=0.3,
            log_level=settings["log_level"],
        )
    )
    stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: stop.append(number))
    threading.Thread(target=_end_with_the_lab, daemon=True).start()
    keeper.start()
    while not stop and keeper.alive:
        time.sleep(0.1)
    keeper.stop(5.0)


def _end_with_the_lab() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
