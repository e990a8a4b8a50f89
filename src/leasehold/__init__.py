"""Leasehold: a pile of documents becomes searchable knowledge, with as many workers as you like, on PostgreSQL.

The public surface is what this module names; everything else may change between releases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leasehold.version import VERSION as __version__

__all__ = [
    "AsyncContext",
    "Context",
    "Done",
    "ErrorClass",
    "Event",
    "Flow",
    "Hook",
    "HookCall",
    "Kind",
    "LeaseholdError",
    "LifecycleBus",
    "PageContext",
    "Skip",
    "Snooze",
    "StepError",
    "StepLease",
    "Target",
    "Worker",
    "WorkerConfig",
    "__version__",
    "hold",
    "hook_kind",
    "step",
    "workflow",
]

_HOMES = {
    "AsyncContext": "leasehold.workflows.context",
    "Context": "leasehold.workflows.context",
    "Done": "leasehold.types",
    "ErrorClass": "leasehold.types",
    "Event": "leasehold.types",
    "Flow": "leasehold.workflows.declaring",
    "Hook": "leasehold.kernel.hooks",
    "HookCall": "leasehold.types",
    "Kind": "leasehold.worker.kinds",
    "LeaseholdError": "leasehold.errors",
    "LifecycleBus": "leasehold.worker.bus",
    "PageContext": "leasehold.worker.kinds",
    "Skip": "leasehold.types",
    "Snooze": "leasehold.types",
    "StepError": "leasehold.types",
    "StepLease": "leasehold.types",
    "Target": "leasehold.db.target",
    "Worker": "leasehold.worker.worker",
    "WorkerConfig": "leasehold.worker.worker",
    "hold": "leasehold.kernel.holding",
    "hook_kind": "leasehold.worker.hooks",
    "step": "leasehold.workflows.declaring",
    "workflow": "leasehold.workflows.declaring",
}

if TYPE_CHECKING:
    from leasehold.db.target import Target
    from leasehold.errors import LeaseholdError
    from leasehold.kernel.holding import hold
    from leasehold.kernel.hooks import Hook
    from leasehold.types import Done, ErrorClass, Event, HookCall, Skip, Snooze, StepError, StepLease
    from leasehold.worker.bus import LifecycleBus
    from leasehold.worker.hooks import hook_kind
    from leasehold.worker.kinds import Kind, PageContext
    from leasehold.worker.worker import Worker, WorkerConfig
    from leasehold.workflows.context import AsyncContext, Context
    from leasehold.workflows.declaring import Flow, step, workflow


def __getattr__(name: str) -> Any:
    """Import on first use, so that the command line starts without loading the worker or the driver."""
    if name not in _HOMES:
        raise AttributeError(f"module 'leasehold' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
