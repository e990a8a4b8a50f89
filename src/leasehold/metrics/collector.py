"""Collector: tallies and the queue's rows as Prometheus's families, made anew for every scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from leasehold.metrics import families
from leasehold.metrics.families import COUNTER, HISTOGRAM, Family
from leasehold.metrics.queue import Queue
from leasehold.worker.tallies import BOUNDS_S, Numbers, Tallies, Times

if TYPE_CHECKING:
    from prometheus_client import Metric


class Collector:
    """For a registry: `registry.register(Collector(tallies))`.

    Args:
        numbers: a worker's tallies, or whatever gives their sum.
        queue: read at each scrape; None: only what the worker did.
    """

    def __init__(self, numbers: Tallies | Callable[[], Numbers], queue: Queue | None = None) -> None:
        self._numbers = numbers.read if isinstance(numbers, Tallies) else numbers
        self._queue = queue

    def describe(self) -> list[Metric]:
        """Without a look at the database, which a registry would take when it is told of us."""
        return [_family(one) for one in (*families.WORKER, *families.QUEUE)]

    def collect(self) -> Iterator[Metric]:
        numbers = self._numbers()
        yield from self._counted(numbers)
        if self._queue is not None:
            reading = self._queue.read()
            yield _filled(families.UP, {(): float(reading.up)})
            yield _filled(families.READ_SECONDS, {(): reading.took_s})
            for family, values in reading.samples.items():
                yield _filled(family, values)

    def _counted(self, numbers: Numbers) -> Iterator[Metric]:
        kinds = numbers.kinds.items()
        yield _filled(families.CLAIMS, {(result,): float(n) for result, n in numbers.claims.items()})
        yield _timed(families.CLAIM_SECONDS, {(): numbers.claiming})
        yield _filled(families.LANES_FULL, {(): float(numbers.passed_over)})
        yield _filled(families.LEASED, {(kind,): float(of.leased) for kind, of in kinds})
        yield _filled(families.STEPS, {(kind, how): float(n) for kind, of in kinds for how, n in of.ends.items()})
        yield _filled(families.TIMED_OUT, {(kind,): float(of.timed_out) for kind, of in kinds})
        yield _timed(families.STEP_SECONDS, {(kind,): of.ran for kind, of in kinds})
        if (upkeep := numbers.upkeep) is not None:
            ends = {"ended": 0, "died": 0, "timeout": 0, "stood down": 0, **upkeep.ends}
            back = {"died": 0, "timeout": 0, "reaped": 0, "deadline": 0, **upkeep.given_back}
            charged = {"died": 0, "timeout": 0, "reaped": 0, **upkeep.charged}
            yield _filled(families.PROCESSES, {(): float(upkeep.processes)})
            yield _filled(families.PROCESS_ENDS, {(how.replace(" ", "_"),): float(n) for how, n in ends.items()})
            yield _filled(families.GIVEN_BACK, {(how,): float(back[how]) for how in back if how in BACK})
            yield _filled(families.CHARGED, {(how,): float(charged[how]) for how in charged if how in BACK})
            yield _filled(families.REAPED, {(): float(upkeep.reaped)})


BACK = ("died", "timeout", "reaped", "deadline")


def _family(family: Family) -> Any:
    from prometheus_client import core

    forms = {COUNTER: core.CounterMetricFamily, HISTOGRAM: core.HistogramMetricFamily}
    return forms.get(family.form, core.GaugeMetricFamily)(family.name, family.help, labels=family.labels)


def _filled(family: Family, values: dict[tuple[str, ...], float]) -> Metric:
    made = _family(family)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made  # type: ignore[no-any-return]


def _timed(family: Family, values: dict[tuple[str, ...], Times]) -> Metric:
    made = _family(family)
    for labels, times in values.items():
        buckets, so_far = [], 0
        for bound, n in zip([*map(str, BOUNDS_S), "+Inf"], times.buckets, strict=True):
            so_far += n
            buckets.append((bound, float(so_far)))
        made.add_metric(labels, buckets, times.sum_s)
    return made  # type: ignore[no-any-return]
