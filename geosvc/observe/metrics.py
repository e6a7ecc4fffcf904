"""The metrics of a worker, for Prometheus.

Counting happens several times in each request, so the counters are plain numbers.
prometheus-client only writes them. Each worker counts for itself, and its series have the number of
the worker as a label. So a worker that restarts resets only its own series (docs/decisions/0012).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest

from geosvc.events import Event, QueryEnded, RequestEnded, failures, subscribe

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_ZEROS = [0.0] * (len(SECONDS) + 2)
MAX_SERIES = 5_000
OTHER = "other"

Labels = tuple[str, ...]
Samples = list[list[Any]]
"""The values of a metric: [labels, value] of each series."""

Snapshot = list[dict[str, Any]]


def _describe(metric: "Counter | Histogram | Gauge | Tally", samples: Samples) -> dict[str, Any]:
    """A metric as values that JSON can write, for another process."""
    return {
        "kind": metric.kind,
        "name": metric.name,
        "text": metric.text,
        "labels": list(metric.labels),
        "samples": samples,
    }


class Counter:
    """A number that grows, by labels. New labels beyond MAX_SERIES are counted as `other`."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self.values: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1.0) -> None:
        """Adds to the number of these labels."""
        try:
            self.values[labels] += amount
        except KeyError:
            if len(self.values) >= MAX_SERIES:
                labels = (OTHER,) * len(self.labels)
            self.values[labels] = self.values.get(labels, 0.0) + amount

    def snapshot(self) -> dict[str, Any]:
        """The metric as values that JSON can write, for another process."""
        samples: Samples = []
        for labels, value in self.values.items():
            samples.append([list(labels), value])
        return _describe(self, samples)


class Histogram:
    """Counts durations by labels, in the buckets of SECONDS."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self.values: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, seconds: float) -> None:
        """Counts a duration.

        The last number of a series is the sum; the one before it counts what exceeds all buckets.
        """
        try:
            counted = self.values[labels]
        except KeyError:
            if len(self.values) >= MAX_SERIES:
                labels = (OTHER,) * len(self.labels)
            counted = self.values.setdefault(labels, _ZEROS.copy())
        counted[bisect_left(SECONDS, seconds)] += 1.0
        counted[-1] += seconds

    def snapshot(self) -> dict[str, Any]:
        """The metric as values that JSON can write, for another process."""
        samples: Samples = []
        for labels, counted in self.values.items():
            samples.append([list(labels), counted.copy()])
        return _describe(self, samples)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is read for each snapshot; its kind is `counter` if it only grows."""

    name: str
    text: str
    read: Callable[[], float]
    kind: str = "gauge"
    labels: ClassVar[Labels] = ()

    def snapshot(self) -> dict[str, Any]:
        """The metric as values that JSON can write, for another process."""
        return _describe(self, [[[], self.read()]])


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers by labels that are counted elsewhere and read for each snapshot."""

    name: str
    text: str
    labels: Labels
    read: Callable[[], Mapping[Labels, float]]
    kind: ClassVar[str] = "counter"

    def snapshot(self) -> dict[str, Any]:
        """The metric as values that JSON can write, for another process."""
        samples: Samples = []
        for labels, value in self.read().items():
            samples.append([list(labels), float(value)])
        return _describe(self, samples)


def _worker_up(value: float) -> dict[str, Any]:
    return Gauge("geosvc_worker_up", "Whether the worker answered", lambda: value).snapshot()


class Metrics:
    """All metrics of one worker."""

    def __init__(self) -> None:
        request_labels = ("operation", "route", "collection", "method", "status")
        query_labels = ("statement", "operation", "collection", "origin")
        self.requests = Histogram(
            "geosvc_request_duration_seconds",
            "From the head of a request to the last byte of its response",
            request_labels,
        )
        self.response_bytes = Counter(
            "geosvc_response_bytes",
            "Bytes of bodies before they are compressed",
            ("operation", "collection"),
        )
        self.queries = Histogram(
            "geosvc_query_duration_seconds",
            "Time of statements in the database",
            (*query_labels, "outcome"),
        )
        self.query_rows = Counter(
            "geosvc_query_rows", "Rows that statements returned", query_labels
        )
        self.pool_wait = Histogram("geosvc_pool_wait_seconds", "Waits for a connection of the pool")
        self.slow = Counter("geosvc_slow_queries", "Queries above their threshold", query_labels)
        self.slow_dropped = Counter(
            "geosvc_slow_queries_dropped", "Slow queries that are not in the log", ("reason",)
        )
        self.explained = Counter("geosvc_explain", "Plans asked for slow queries", ("outcome",))
        self.failures = Counter(
            "geosvc_telemetry_failures", "Failures of the telemetry itself", ("part",)
        )
        self.events = Counter("geosvc_events", "Events of the log, see there", ("event",))
        self.loop_lag = Histogram(
            "geosvc_event_loop_lag_seconds", "How late the event loop came back to a timer"
        )
        self.loop_held = Histogram(
            "geosvc_event_loop_held_seconds",
            "The same, as far as the process was at work and not waiting for a processor",
        )
        self.gauges: list[Gauge | Tally] = []
        self._labels: dict[tuple[Any, ...], Labels] = {}

    def start(self) -> Callable[[], None]:
        """Starts to count events. Returns the function that stops it."""
        ends = (
            subscribe(self._count_request, RequestEnded),
            subscribe(self._count_query, QueryEnded),
            subscribe(self._count_event, but=(RequestEnded, QueryEnded)),
        )

        def stop() -> None:
            for end in ends:
                end()

        return stop

    def _count_request(self, event: Any) -> None:
        trace = event.trace
        kind = (trace.operation, trace.collection, trace.method, trace.status)
        labels = self._labels.get(kind)
        if labels is None:
            labels = (
                trace.operation or "",
                trace.route or "",
                trace.collection or "",
                trace.method,
                str(trace.status),
            )
            if len(self._labels) < MAX_SERIES:
                self._labels[kind] = labels
        self.requests.observe(labels, trace.total_seconds)
        self.response_bytes.add((labels[0], labels[2]), trace.bytes)

    def _count_query(self, event: Any) -> None:
        run = event.run
        trace = run.trace
        operation = collection = ""
        if trace is not None:
            operation = trace.operation or ""
            collection = trace.collection or ""
        labels = (run.name, operation, collection, run.origin)
        self.queries.observe((*labels, run.outcome), run.seconds)
        if run.rows:
            self.query_rows.add(labels, run.rows)
        if run.pool_seconds:
            self.pool_wait.observe((), run.pool_seconds)

    def _count_event(self, event: Event) -> None:
        self.events.add((event.name(),))

    def snapshot(self) -> Snapshot:
        """All metrics as values that JSON can write."""
        counts: dict[Labels, float] = {}
        for part, number in failures.items():
            counts[part,] = float(number)
        self.failures.values = counts
        snapshots: Snapshot = []
        for metric in vars(self).values():
            if isinstance(metric, Counter | Histogram):
                snapshots.append(metric.snapshot())
        for gauge in self.gauges:
            snapshots.append(gauge.snapshot())
        snapshots.append(_worker_up(1.0))
        return snapshots


class _Collector:
    """Collects snapshots for prometheus-client."""

    def __init__(self, snapshots: Mapping[int, Snapshot | None]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Any] = {}
        for worker, snapshot in self._snapshots.items():
            metrics = snapshot
            if metrics is None:
                metrics = [_worker_up(0.0)]
            for metric in metrics:
                name = metric["name"]
                if name not in families:
                    families[name] = _make_family(metric)
                family = families[name]
                for labels, value in metric["samples"]:
                    _add(family, [*labels, str(worker)], value)
        return families.values()


_FAMILIES: Mapping[str, Callable[..., Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _make_family(metric: Mapping[str, Any]) -> Metric:
    make = _FAMILIES[metric["kind"]]
    labels = [*metric["labels"], "worker"]
    return make(metric["name"], f"{metric['text']}.", labels=labels)


def _add(family: Any, labels: list[str], value: Any) -> None:
    if not isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, value)
        return
    *counts, total_seconds = value
    bounds = [*map(str, SECONDS), "+Inf"]
    buckets = list(zip(bounds, accumulate(counts), strict=True))
    family.add_metric(labels, buckets, total_seconds)


def write_metrics(snapshots: Mapping[int, Snapshot | None]) -> bytes:
    """The metrics of all workers in the text format of Prometheus.

    Args:
        snapshots: by number of the worker; None for a worker that does not answer.
    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    collected = CollectorRegistry(auto_describe=False)
    collected.register(_Collector(snapshots))
    return generate_latest(collected)
