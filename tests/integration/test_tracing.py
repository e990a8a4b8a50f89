"""Spans: one for each step at work and each page, with what one needs to find it again, linked to the group's trace."""

from __future__ import annotations

import asyncio
import http.server
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from worker_help import HERE, SHORT, ended, eventually, eventually_async, submit

from leasehold import Kind, Worker, WorkerConfig
from leasehold.db.target import Target
from leasehold.errors import UsageError
from leasehold.kernel import groups
from leasehold.kernel.groups import WorkflowStep
from leasehold.kernel.steps import step_name
from leasehold.testing.stories import Kernel
from leasehold.types import Done, ErrorClass, Outcome, Skip, Snooze, StepError, StepLease
from leasehold.worker import tracing
from leasehold.worker.keeper import Keeper, KeeperConfig
from leasehold.worker.tracing import OpenTelemetry

pytestmark = [pytest.mark.one_server, pytest.mark.anyio]

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    made = TracerProvider()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


def worker(database: str, provider: TracerProvider, *kinds: Kind) -> Worker:
    traced = OpenTelemetry(provider.get_tracer("test"))
    return Worker(WorkerConfig(database=database, kinds=kinds, lease=SHORT, poll_max_s=0.05, tracing=traced))


def named(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [one for one in exporter.get_finished_spans() if one.name == name]


async def test_each_attempt_is_a_span_that_names_its_step_and_its_outcome(database, kernel, exporter, provider):
    """Also of code in a thread, and of the step's own spans, which are inside it."""
    ends: dict[int, Outcome] = {
        1: StepError("flaky", error_class=ErrorClass.TRANSIENT), 2: Snooze(0.01), 3: Done(),
    }  # fmt: skip
    calls: list[int] = []

    def plain(step: StepLease) -> Outcome:
        calls.append(step.attempt)
        with provider.get_tracer("mine").start_as_current_span("mine"):
            return ends[len(calls)]

    group = kernel.group(steps=[WorkflowStep("plain", backoff_s=0.01, backoff_max_s=0.02)])
    (run,) = kernel.add(group)
    kernel.seal(group)
    async with worker(database, provider, Kind(name="plain", timeout_s=30, run=plain)):
        await eventually_async(lambda: ended(kernel, [run * 1024]))
    spans = named(exporter, "step plain")
    assert [one.attributes["leasehold.outcome"] for one in spans] == ["errored", "snoozed", "succeeded"]
    assert [one.attributes["leasehold.attempt"] for one in spans] == [1, 2, 2]
    tokens = [one.attributes["leasehold.token"] for one in spans]
    assert tokens == sorted(tokens)
    assert tokens[-1] == kernel.all_states()[run * 1024][1]
    for one in spans:
        assert (one.attributes["leasehold.run"], one.attributes["leasehold.step"]) == (run, step_name(run * 1024))
        assert (one.attributes["leasehold.kind"], one.attributes["leasehold.group"]) == ("plain", group)
        assert one.parent is None
        assert not one.links
    assert (spans[0].status.status_code, spans[0].status.description) == (StatusCode.ERROR, "flaky")
    assert spans[2].status.is_ok
    inside = named(exporter, "mine")
    assert [one.parent.span_id for one in inside] == [one.context.span_id for one in spans]


async def test_spans_are_linked_to_the_trace_that_the_group_belongs_to(database, kernel, exporter, provider):
    """Those of successors, too, which come without a look at their lane."""
    workflow = groups.register(kernel.session, "test", groups.chain("first", "second"))
    group, _ = groups.open_group(kernel.session, workflow, trace=PARENT)
    (run,) = kernel.add(group)
    kernel.seal(group)

    async def work(step: StepLease) -> None:
        await asyncio.sleep(0)

    kinds = [Kind(name=name, timeout_s=30, run=work) for name in ("first", "second")]
    async with worker(database, provider, *kinds):
        await eventually_async(lambda: ended(kernel, [run * 1024, run * 1024 + 1]))
    for name in ("step first", "step second"):
        (span,) = named(exporter, name)
        (link,) = span.links
        assert trace.format_trace_id(link.context.trace_id) == PARENT.split("-")[1]
        assert trace.format_span_id(link.context.span_id) == PARENT.split("-")[2]
        assert span.context.trace_id != link.context.trace_id


async def test_a_page_is_one_span_that_counts_how_its_steps_ended(database, kernel, exporter, provider):
    def paged(page, steps) -> Iterator[tuple[int, Outcome, int]]:
        for index, step in enumerate(steps):
            page.begin(step)
            yield index, [Done(), Skip("no"), StepError("bad")][step.item["n"]], 0

    steps = submit(kernel, [{"n": n} for n in (0, 0, 1, 2)], "paged", wake=False)
    async with worker(database, provider, Kind(name="paged", timeout_s=30, run_page=paged)):
        await eventually_async(lambda: ended(kernel, steps))
    (span,) = named(exporter, "page paged")
    found = {name.rpartition(".")[2]: n for name, n in span.attributes.items() if name.startswith("leasehold.steps.")}
    assert found == {"succeeded": 2, "skipped": 1, "failed": 1}
    assert span.attributes["leasehold.steps"] == 4
    assert span.status.status_code is StatusCode.ERROR


async def test_an_interrupted_step_ends_its_span(database, kernel, exporter, provider):
    begun = asyncio.Event()

    async def stuck(step: StepLease) -> None:
        begun.set()
        await asyncio.sleep(60)

    (step,) = submit(kernel, [{}], "stuck")
    made = worker(database, provider, Kind(name="stuck", timeout_s=60, run=stuck))
    async with made:
        await begun.wait()
        await made.stop(0.0)
    (span,) = named(exporter, "step stuck")
    assert span.attributes["leasehold.outcome"] == "interrupted"
    assert kernel.state(step) == "ready"


@pytest.mark.parametrize("wrong", ["", "abc", PARENT.upper(), f"{PARENT}-00"])
async def test_what_is_no_trace_context_is_refused(kernel: Kernel, wrong: str):
    workflow = groups.register(kernel.session, "test", groups.chain("work"))
    with pytest.raises(UsageError, match="no trace context"):
        groups.open_group(kernel.session, workflow, trace=wrong)


async def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    for asked in (OpenTelemetry, tracing.require):
        with pytest.raises(UsageError) as refused:
            asked()
        assert "leasehold[otel]" in refused.value.remedy


def test_a_workers_processes_send_their_spans_to_a_collector(database, kernel, monkeypatch):
    """Method: a collector that speaks OTLP over HTTP on loopback; children under a keeper, stopped before they would
    have sent by themselves."""
    got: list[ExportTraceServiceRequest] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            got.append(ExportTraceServiceRequest.FromString(gzip.decompress(body) if packed else body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    steps = submit(kernel, [{"ends": "done"}, {"ends": "fail"}], "counted")
    keeper = Keeper(KeeperConfig(target=Target(url=database), kinds="counted_work:kinds", processes=1, lease=SHORT,
                                 poll_max_s=0.2, trace=True))  # fmt: skip
    keeper.start()
    try:
        eventually(lambda: ended(kernel, steps))
    finally:
        keeper.stop(10.0)
        collector.shutdown()
        collector.server_close()
    resources = [one for request in got for one in request.resource_spans]
    names = {
        one.value.string_value for each in resources for one in each.resource.attributes if one.key == "service.name"
    }
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert names == {"leasehold"}
    assert {span.name for span in spans} == {"step counted"}
    assert {one.value.int_value for span in spans for one in span.attributes if one.key == "leasehold.run"} == {
        step >> 10 for step in steps
    }
