"""The command line: commands over the same Python everything else uses.

Data on standard output, progress and messages on standard error; `--json` on every command. Commands are imported when
they are called, so `leasehold --help` loads neither the driver nor the worker.

Exit codes, the same everywhere: 0 complete, 1 something failed or is not there, 2 usage or configuration, 3 partial
(run again to continue), 4 refused (held by someone else), 5 budget reached, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry of the `leasehold` command: runs it, turns every failure into a message, a remedy and an exit code."""
    from leasehold.cli.app import run

    sys.exit(run(sys.argv[1:]))
