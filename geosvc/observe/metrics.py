"""What is counted, for Prometheus.

Counting is done with plain numbers, since it happens several times a request; prometheus-client writes them when they are
asked for. Each worker counts for itself and its series carry its number, so that one that is started anew resets its own
series and no other (docs/decisions/0012).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from geosvc.events import Event, QueryEnded, RequestEnded, failures, subscribe

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
MAX_SERIES = 5_000
OTHER = "other"

Labels = tuple[str, ...]
Snapshot = list[dict[str, Any]]


class Counter:
    """A number that grows, by labels. Beyond MAX_SERIES new ones are counted as `other`."""

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
        """What another process needs to show it."""
        samples = [[list(labels), value] for labels, value in self.values.items()]
        return {"kind": self.kind, "name": self.name, "text": self.text, "labels": list(self.labels), "samples": samples}


class Histogram:
    """Seconds by labels, in the buckets of SECONDS."""

    kind = "histogram"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self.values: dict[Labels, list[float]] = {}

    def observe(self, labels: Labels, seconds: float) -> None:
        """Counts one: the last number of a series is the sum, the one before it counts what is beyond all buckets."""
        try:
            counted = self.values[labels]
        except KeyError:
            if len(self.values) >= MAX_SERIES:
                labels = (OTHER,) * len(self.labels)
            counted = self.values.setdefault(labels, [0.0] * (len(SECONDS) + 2))
        counted[bisect_left(SECONDS, seconds)] += 1.0
        counted[-1] += seconds

    def snapshot(self) -> dict[str, Any]:
        """What another process needs to show it."""
        samples = [[list(labels), list(counted)] for labels, counted in self.values.items()]
        return {"kind": self.kind, "name": self.name, "text": self.text, "labels": list(self.labels), "samples": samples}


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is read when it is asked for; of the kind `counter` where it only grows."""

    name: str
    text: str
    read: Callable[[], float]
    kind: str = "gauge"

    def snapshot(self) -> dict[str, Any]:
        """What another process needs to show it."""
        return {"kind": self.kind, "name": self.name, "text": self.text, "labels": [], "samples": [[[], self.read()]]}


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers by labels that somebody else counts, read when they are asked for."""

    name: str
    text: str
    labels: Labels
    read: Callable[[], Mapping[Labels, float]]

    def snapshot(self) -> dict[str, Any]:
        """What another process needs to show it."""
        samples = [[list(labels), float(value)] for labels, value in self.read().items()]
        return {"kind": "counter", "name": self.name, "text": self.text, "labels": list(self.labels), "samples": samples}


def _worker_up(value: float) -> dict[str, Any]:
    return Gauge("geosvc_worker_up", "Whether the worker answered", lambda: value).snapshot()


class Metrics:
    """Everything that one worker counts."""

    def __init__(self) -> None:
        request_labels = ("operation", "route", "collection", "method", "status")
        query_labels = ("statement", "operation", "collection", "outcome")
        self.requests = Histogram(
            "geosvc_request_duration_seconds", "From the head of a request to the last byte of its response", request_labels
        )
        self.response_bytes = Counter(
            "geosvc_response_bytes", "Bytes of bodies before they are compressed", ("operation", "collection")
        )
        self.queries = Histogram("geosvc_query_duration_seconds", "Time of statements in the database", query_labels)
        self.query_rows = Counter("geosvc_query_rows", "Rows that statements returned", query_labels[:3])
        self.pool_wait = Histogram("geosvc_pool_wait_seconds", "Waits for a connection of the pool")
        self.slow = Counter("geosvc_slow_queries", "Queries above their threshold", query_labels[:3])
        self.slow_dropped = Counter("geosvc_slow_queries_dropped", "Slow queries that are not in the log", ("reason",))
        self.explained = Counter("geosvc_explain", "Plans asked for slow queries", ("outcome",))
        self.failures = Counter("geosvc_telemetry_failures", "Failures of the telemetry itself", ("part",))
        self.events = Counter("geosvc_events", "Events of the log, see there", ("event",))
        self.loop_lag = Histogram("geosvc_event_loop_lag_seconds", "How late the event loop came back to a timer")
        self.gauges: list[Gauge | Tally] = []
        self._labels: dict[tuple[Any, ...], Labels] = {}

    def start(self) -> Callable[[], None]:
        """Counts from now on. Returns the function that ends it."""
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
            labels = (trace.operation or "", trace.route or "", trace.collection or "", trace.method, str(trace.status))
            if len(self._labels) < MAX_SERIES:
                self._labels[kind] = labels
        self.requests.observe(labels, trace.total_seconds)
        self.response_bytes.add((labels[0], labels[2]), trace.bytes)

    def _count_query(self, event: Any) -> None:
        run = event.run
        trace = run.trace
        operation, collection = ("", "") if trace is None else (trace.operation or "", trace.collection or "")
        self.queries.observe((run.name, operation, collection, run.outcome), run.seconds)
        if run.rows:
            self.query_rows.add((run.name, operation, collection), run.rows)
        if run.pool_seconds:
            self.pool_wait.observe((), run.pool_seconds)

    def _count_event(self, event: Event) -> None:
        self.events.add((event.name(),))

    def snapshot(self) -> Snapshot:
        """All numbers, as JSON can carry them."""
        self.failures.values = {(part,): float(number) for part, number in failures.items()}
        counted: Iterable[Counter | Histogram | Gauge | Tally] = (
            *(each for each in vars(self).values() if isinstance(each, Counter | Histogram)),
            *self.gauges,
        )
        return [*(each.snapshot() for each in counted), _worker_up(1.0)]


class _Collector:
    """Snapshots as prometheus-client takes them."""

    def __init__(self, snapshots: Mapping[int, Snapshot | None]) -> None:
        self._snapshots = snapshots

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Any] = {}
        for worker, snapshot in self._snapshots.items():
            for each in [_worker_up(0.0)] if snapshot is None else snapshot:
                labels = [*each["labels"], "worker"]
                if each["name"] not in families:
                    family = _FAMILIES[each["kind"]](each["name"], each["text"] + ".", labels=labels)
                    families[each["name"]] = family
                for values, value in each["samples"]:
                    _add(families[each["name"]], [*values, str(worker)], value)
        return families.values()


_FAMILIES: Mapping[str, Callable[..., Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _add(family: Any, labels: list[str], value: Any) -> None:
    if not isinstance(family, HistogramMetricFamily):
        family.add_metric(labels, value)
        return
    buckets, seen = [], 0.0
    for bound, count in zip((*map(str, SECONDS), "+Inf"), value[:-1], strict=True):
        seen += count
        buckets.append((bound, seen))
    family.add_metric(labels, buckets, value[-1])


def write_metrics(snapshots: Mapping[int, Snapshot | None]) -> bytes:
    """The numbers of all workers in Prometheus's text format.

    Args:
        snapshots: by number of the worker; None for one that does not answer.
    Source: https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    collected = CollectorRegistry(auto_describe=False)
    collected.register(_Collector(snapshots))
    return generate_latest(collected)
