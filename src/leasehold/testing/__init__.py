"""Testing: a database of its own for every test, a clock that tests set, faults on demand, and stories to tell.

For Leasehold's own tests and for those of people who build on it. Nothing here stands in for the kernel: tests run the
real functions on a real PostgreSQL, because green on a substitute is not green.

    pytest_plugins = ["leasehold.testing.fixtures"]        # in your conftest.py

    def test_a_step_runs(kernel, clock):
        step = kernel.add_step("parse")
        lease = kernel.claim("parse")
        assert kernel.succeed(lease) == ["accepted"]
        assert kernel.state(step) == "succeeded"

Parts: `clusters` (which server), `databases` (a migrated template, cloned for each test), `clock` (sets leasehold.now()
for every process at once), `faults` (lost connections, rollbacks, lost replies), `proxy` (a bad network in front of a
server), `pooler` (a PgBouncer in transaction mode), `stories` (the kernel's verbs in few words), `races` (two sessions
in a fixed order, without sleeping), `workbench` (steps and workflows of yours, run in a test), `fixtures` (all of it
for pytest).

What can fail: a test run that is killed leaves its clones; the next run removes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = [
    "Clock",
    "Cluster",
    "Databases",
    "FaultPlan",
    "Kernel",
    "Pooler",
    "Proxy",
    "Race",
    "Workbench",
    "install_from_environment",
]

_HOMES = {
    "Clock": "leasehold.testing.clock",
    "Cluster": "leasehold.testing.clusters",
    "Databases": "leasehold.testing.databases",
    "FaultPlan": "leasehold.testing.faults",
    "Kernel": "leasehold.testing.stories",
    "Pooler": "leasehold.testing.pooler",
    "Proxy": "leasehold.testing.proxy",
    "Race": "leasehold.testing.races",
    "Workbench": "leasehold.testing.workbench",
    "install_from_environment": "leasehold.testing.faults",
}

if TYPE_CHECKING:
    from leasehold.testing.clock import Clock
    from leasehold.testing.clusters import Cluster
    from leasehold.testing.databases import Databases
    from leasehold.testing.faults import FaultPlan, install_from_environment
    from leasehold.testing.pooler import Pooler
    from leasehold.testing.proxy import Proxy
    from leasehold.testing.races import Race
    from leasehold.testing.stories import Kernel
    from leasehold.testing.workbench import Workbench


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'leasehold.testing' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
