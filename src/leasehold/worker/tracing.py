"""Tracing: a span for each step, and for each page of a page function, by OpenTelemetry. Off unless asked for.

A span begins when the step is at work and ends with the step's own word. It says run, step, token, kind, attempt and
outcome, and is current while the step is at work, so that spans of the step's own code are inside it. It begins a trace
of its own, since a group may run for days; where the group says to which trace it belongs (`open_group(trace=...)`), it
is linked to that.

Not here: what the database made of the outcome. A step that erred may be tried again, or may have had its last attempt;
its next span, or `leasehold why`, says so.

What can fail: a collector that is not there loses spans and holds up no step; a process that is killed loses those that
it had not sent.
"""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from leasehold.errors import UsageError
from leasehold.kernel.steps import step_name
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
REMEDY = "Run `pip install 'leasehold[otel]'`."
SENT_WITHIN_S = 2.0
"""How long a process that ends waits until its last spans are sent."""
GROUPS_MAX = 10_000
AGAIN = (ErrorClass.TRANSIENT, ErrorClass.TIMEOUT, ErrorClass.HOLDER_DIED)


class Tracing(Protocol):
    """What a worker tells about steps at work. Called where the step runs, in its task or thread."""

    def know(self, traces: Mapping[int, str]) -> None:
        """Groups that belong to a trace, by their ids."""

    def begin(self, kind: str, lease: StepLease) -> Any:
        """A step begins; what this returns is given to `end`, in the same task."""

    def begin_page(self, kind: str, leases: list[StepLease]) -> Any:
        """A page begins; what this returns is given to `end_page`, in the same thread."""

    def end(self, span: Any, outcome: Outcome | None) -> None:
        """The step has ended; None: it was interrupted, and is given back."""

    def end_page(self, span: Any, outcomes: Mapping[str, int]) -> None:
        """The page has ended: so many of its steps by each `word`."""


def word(outcome: Outcome | None) -> str:
    """A step's own word: succeeded, skipped, snoozed, errored (may be tried again), failed, interrupted."""
    if outcome is None:
        return "interrupted"
    if isinstance(outcome, Done):
        return "succeeded"
    if isinstance(outcome, Skip):
        return "skipped"
    if isinstance(outcome, Snooze) or outcome.error_class is ErrorClass.RESOURCE:
        return "snoozed"
    return "errored" if outcome.error_class in AGAIN else "failed"


class OpenTelemetry:
    """Spans by *tracer*; without one by that of the program's own provider.

    Raises:
        UsageError: `leasehold[otel]` is not installed.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        try:
            from opentelemetry import context, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise UsageError("Tracing needs OpenTelemetry, which is not installed.", remedy=REMEDY) from None
        self._context, self._trace = context, trace
        self._read = TraceContextTextMapPropagator().extract
        self._tracer = tracer or trace.get_tracer("leasehold", VERSION)
        self._links: dict[int, Any] = {}

    def know(self, traces: Mapping[int, str]) -> None:
        if len(self._links) > GROUPS_MAX:
            self._links.clear()
        for group_id, traceparent in traces.items():
            read = self._trace.get_current_span(self._read({"traceparent": traceparent})).get_span_context()
            if read.is_valid:
                self._links[group_id] = self._trace.Link(read)

    def begin(self, kind: str, lease: StepLease) -> Any:
        named = {
            "leasehold.run": lease.run_id,
            "leasehold.step": step_name(lease.step_id),
            "leasehold.attempt": lease.attempt,
        }
        return self._begin(f"step {kind}", kind, lease, named)

    def begin_page(self, kind: str, leases: list[StepLease]) -> Any:
        return self._begin(f"page {kind}", kind, leases[0], {"leasehold.steps": len(leases)})

    def _begin(self, name: str, kind: str, lease: StepLease, named: dict[str, Any]) -> Any:
        link = self._links.get(lease.group_id)
        shared: dict[str, Any] = {
            "leasehold.kind": kind,
            "leasehold.token": lease.token,
            "leasehold.group": lease.group_id,
        }
        span = self._tracer.start_span(
            name,
            context=self._context.Context(),
            kind=self._trace.SpanKind.CONSUMER,
            attributes={**shared, **named},
            links=[link] if link is not None else None,
        )
        return span, self._context.attach(self._trace.set_span_in_context(span))

    def end(self, span: Any, outcome: Outcome | None) -> None:
        made, attached = span
        made.set_attribute("leasehold.outcome", word(outcome))
        if isinstance(outcome, StepError):
            made.set_attribute("leasehold.reason", outcome.reason)
            if word(outcome) != "snoozed":
                made.set_status(self._trace.StatusCode.ERROR, outcome.reason)
        self._context.detach(attached)
        made.end()

    def end_page(self, span: Any, outcomes: Mapping[str, int]) -> None:
        made, attached = span
        for named, n in outcomes.items():
            made.set_attribute(f"leasehold.steps.{named}", n)
        if bad := sum(n for named, n in outcomes.items() if named in ("errored", "failed")):
            made.set_status(self._trace.StatusCode.ERROR, f"{bad} of its steps failed or erred")
        self._context.detach(attached)
        made.end()


def require() -> None:
    """Raise UsageError unless everything is installed that a worker process needs to send spans."""
    try:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    except ModuleNotFoundError:
        missing = list(NEEDED)
    if missing:
        raise UsageError("Tracing needs OpenTelemetry, which is not installed.", remedy=REMEDY)


class Sender:
    """This process's own provider: sends spans to OTEL_EXPORTER_OTLP_ENDPOINT, as the OTEL_* variables set it."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({} if _is_named() else {"service.name": "leasehold"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracing = OpenTelemetry(self._provider.get_tracer("leasehold", VERSION))

    def close(self) -> None:
        """Send what is left, within `SENT_WITHIN_S`: a collector that hangs must not keep a process that ends."""
        last = threading.Thread(target=self._provider.shutdown, name="leasehold-spans", daemon=True)
        last.start()
        last.join(SENT_WITHIN_S)


def _is_named() -> bool:
    attributes = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(os.environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes
