"""What is counted, as Prometheus reads it."""

from collections.abc import Callable, Iterator, Mapping
from math import inf
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from geosvc import events
from geosvc.events import (
    CatalogLoaded,
    DatabaseFound,
    QueryEnded,
    RequestEnded,
    emit,
    report_failure,
)
from geosvc.observe.metrics import (
    MAX_SERIES,
    OTHER,
    SECONDS,
    Counter,
    Gauge,
    Histogram,
    Metrics,
    Snapshot,
    write_metrics,
)
from geosvc.trace import Run, Trace

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]


def read(text: bytes) -> Series:
    """The numbers by name and labels; each is there once."""
    found: Series = {}
    names = set()
    for family in text_string_to_metric_families(text.decode("utf-8")):
        assert family.name not in names
        names.add(family.name)
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def carried(snapshot: Snapshot) -> Snapshot:
    """What comes out of JSON at another process."""
    carried: Snapshot = orjson.loads(orjson.dumps(snapshot))
    return carried


def value_of(series: Series, name: str, **labels: str) -> float:
    """The number of one series."""
    return series[name, frozenset(labels.items())]


def of_one(*counted: Counter | Histogram | Gauge) -> Series:
    """What Prometheus reads of the only worker."""
    return read(write_metrics({0: carried([each.snapshot() for each in counted])}))


@pytest.fixture(autouse=True)
def _no_failures() -> Iterator[None]:
    """Failures are counted for the whole process."""
    kept = events.failures.copy()
    events.failures.clear()
    yield
    events.failures.clear()
    events.failures.update(kept)


def test_a_counter_is_the_sum_of_what_was_added() -> None:
    counter = Counter("x_things", "Things", ("kind",))
    for labels, amount in ((("a",), 1.0), (("b",), 2.5), (("a",), 4.0)):
        counter.add(labels, amount)
    counter.add(("a",))
    assert of_one(counter) == {
        ("x_things_total", frozenset({("kind", "a"), ("worker", "0")})): 6.0,
        ("x_things_total", frozenset({("kind", "b"), ("worker", "0")})): 2.5,
    }


def test_the_text_is_what_prometheus_reads() -> None:
    counter = Counter("x_things", "Things that\nare \\ counted", ("kind",))
    counter.add(("a",), 3)
    histogram = Histogram("x_seconds", "Waits")
    histogram.observe((), 0.3)
    text = write_metrics(
        {
            4: [
                counter.snapshot(),
                histogram.snapshot(),
                Gauge("x_open", "Open ones", lambda: 7).snapshot(),
            ]
        }
    )
    lines = text.decode().splitlines()
    assert lines[:3] == [
        "# HELP x_things_total Things that\\nare \\\\ counted.",
        "# TYPE x_things_total counter",
        'x_things_total{kind="a",worker="4"} 3.0',
    ]
    assert lines[3:6] == [
        "# HELP x_seconds Waits.",
        "# TYPE x_seconds histogram",
        'x_seconds_bucket{le="0.001",worker="4"} 0.0',
    ]
    assert lines[-5:] == [
        'x_seconds_count{worker="4"} 1.0',
        'x_seconds_sum{worker="4"} 0.3',
        "# HELP x_open Open ones.",
        "# TYPE x_open gauge",
        'x_open{worker="4"} 7.0',
    ]
    assert text.endswith(b"\n")


def test_a_gauge_is_read_when_it_is_asked_for() -> None:
    values = iter([1.0, 2.5])
    gauge = Gauge("x_open", "Open ones", lambda: next(values))
    assert value_of(of_one(gauge), "x_open", worker="0") == 1.0
    assert value_of(of_one(gauge), "x_open", worker="0") == 2.5


def test_what_was_never_counted_has_no_series() -> None:
    assert of_one(Counter("x_things", "Things", ("kind",)), Histogram("x_seconds", "Waits")) == {}
    assert read(write_metrics({})) == {}
    assert read(write_metrics({0: []})) == {}


MICROSECONDS = (
    st.integers(0, 40_000_000).map(lambda n: n / 1e6)
    | st.sampled_from(SECONDS)
    | st.sampled_from([0.0, 1e9])
)
BOUNDS = [*map(str, SECONDS), "+Inf"]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), MICROSECONDS), max_size=50))
def test_buckets_are_cumulative_and_the_last_is_the_count(seen: list[tuple[str, float]]) -> None:
    histogram = Histogram("x_seconds", "Waits", ("kind",))
    for kind, seconds in seen:
        histogram.observe((kind,), seconds)
    series = of_one(histogram)
    assert len(series) == (len(BOUNDS) + 2) * len({kind for kind, _ in seen})
    for kind in {kind for kind, _ in seen}:
        own = [seconds for each, seconds in seen if each == kind]
        buckets = [
            value_of(series, "x_seconds_bucket", kind=kind, worker="0", le=bound)
            for bound in BOUNDS
        ]
        assert buckets == [sum(seconds <= float(bound) for seconds in own) for bound in BOUNDS]
        assert buckets == sorted(buckets)
        assert buckets[-1] == value_of(series, "x_seconds_count", kind=kind, worker="0") == len(own)
        assert value_of(series, "x_seconds_sum", kind=kind, worker="0") == pytest.approx(sum(own))


@pytest.mark.parametrize("bound", SECONDS)
def test_a_bucket_holds_its_bound(bound: float) -> None:
    histogram = Histogram("x_seconds", "Waits")
    histogram.observe((), bound)
    histogram.observe((), bound * 1.0001)
    series = of_one(histogram)
    assert value_of(series, "x_seconds_bucket", worker="0", le=str(bound)) == 1.0
    assert value_of(series, "x_seconds_bucket", worker="0", le="+Inf") == 2.0


def test_what_is_beyond_all_buckets_is_counted() -> None:
    histogram = Histogram("x_seconds", "Waits")
    histogram.observe((), 31.0)
    series = of_one(histogram)
    assert value_of(series, "x_seconds_bucket", worker="0", le="30.0") == 0.0
    assert value_of(series, "x_seconds_bucket", worker="0", le="+Inf") == 1.0
    assert value_of(series, "x_seconds_sum", worker="0") == 31.0


def two_kinds(amount: int) -> list[Counter | Histogram | Gauge]:
    """What a worker counted that did so much."""
    counter, histogram = (
        Counter("x_things", "Things", ("kind",)),
        Histogram("x_seconds", "Waits", ("kind",)),
    )
    for n in range(amount):
        counter.add(("both",), 2.0)
        counter.add((f"of {amount}",))
        histogram.observe(("both",), float(n))
    return [counter, histogram, Gauge("x_open", "Open ones", lambda: amount)]


def test_each_worker_has_series_of_its_own() -> None:
    snapshots = {
        number: carried([each.snapshot() for each in two_kinds(amount)])
        for number, amount in ((0, 3), (11, 5))
    }
    series = read(write_metrics(snapshots))
    for worker, amount in (("0", 3), ("11", 5)):
        assert value_of(series, "x_things_total", kind="both", worker=worker) == 2 * amount
        assert value_of(series, "x_things_total", kind=f"of {amount}", worker=worker) == amount
        assert value_of(series, "x_seconds_count", kind="both", worker=worker) == amount
        assert value_of(series, "x_seconds_sum", kind="both", worker=worker) == sum(range(amount))
        assert value_of(series, "x_seconds_bucket", kind="both", worker=worker, le="1.0") == 2
        assert value_of(series, "x_open", worker=worker) == amount
    assert len(series) == 2 * (2 + len(BOUNDS) + 2 + 1)


def test_a_worker_that_counted_something_else_disturbs_no_other() -> None:
    first, second = Counter("x_first", "First"), Counter("x_second", "Second")
    first.add(())
    second.add(())
    series = read(write_metrics({0: [first.snapshot()], 1: [second.snapshot(), first.snapshot()]}))
    assert series == {
        ("x_first_total", frozenset({("worker", "0")})): 1.0,
        ("x_first_total", frozenset({("worker", "1")})): 1.0,
        ("x_second_total", frozenset({("worker", "1")})): 1.0,
    }


@pytest.mark.parametrize("silent", [0, 1])
def test_a_worker_that_does_not_answer_takes_nothing_from_the_others(silent: int) -> None:
    answers: dict[int, Any] = {
        number: carried([each.snapshot() for each in two_kinds(3)]) for number in (0, 1)
    }
    answers[silent] = None
    series = read(write_metrics(answers))
    assert value_of(series, "x_things_total", kind="both", worker=str(1 - silent)) == 6


LABEL = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text(
    'a"\\\n{},=# \r\t', max_size=12
)


@given(LABEL, LABEL, st.sampled_from([Counter, Histogram]))
def test_any_text_may_be_a_label(first: str, second: str, kind: Callable[..., Any]) -> None:
    counted = kind("x_things", "Things", ("first", "second"))
    (counted.add if isinstance(counted, Counter) else counted.observe)((first, second), 2.0)
    series = of_one(counted)
    assert {dict(labels)["first"] for _, labels in series} == {first}
    assert {dict(labels)["second"] for _, labels in series} == {second}


def test_quotes_backslashes_and_newlines_of_labels_are_escaped() -> None:
    counter = Counter("x_things", "Things", ("kind",))
    counter.add(('a "b"\\n\nc',))
    assert b'x_things_total{kind="a \\"b\\"\\\\n\\nc",worker="0"} 1.0\n' in write_metrics(
        {0: [counter.snapshot()]}
    )


def test_a_counter_has_a_bounded_number_of_series_and_loses_no_count() -> None:
    counter = Counter("x_things", "Things", ("kind", "of"))
    for n in range(MAX_SERIES + 500):
        counter.add((f"k{n}", "o"), 2.0)
    counter.add(("k0", "o"))
    counter.add((f"k{MAX_SERIES + 1}", "o"))
    assert len(counter.values) == MAX_SERIES + 1
    assert counter.values["k0", "o"] == 3.0
    assert counter.values[OTHER, OTHER] == 2.0 * 500 + 1
    assert sum(counter.values.values()) == 2.0 * (MAX_SERIES + 500) + 2
    series = of_one(counter)
    assert value_of(series, "x_things_total", kind=OTHER, of=OTHER, worker="0") == 2.0 * 500 + 1


def test_a_histogram_has_a_bounded_number_of_series_and_loses_no_count() -> None:
    histogram = Histogram("x_seconds", "Waits", ("kind", "of"))
    for n in range(MAX_SERIES + 500):
        histogram.observe((f"k{n}", "o"), 0.2)
    histogram.observe(("k0", "o"), 99.0)
    histogram.observe((f"k{MAX_SERIES + 1}", "o"), 99.0)
    assert len(histogram.values) == MAX_SERIES + 1
    assert (sum(histogram.values["k0", "o"][:-1]), histogram.values["k0", "o"][-1]) == (2.0, 99.2)
    assert sum(histogram.values[OTHER, OTHER][:-1]) == 501.0
    assert sum(sum(each[:-1]) for each in histogram.values.values()) == MAX_SERIES + 502


def test_what_counts_one_series_is_never_other() -> None:
    counter, histogram = Counter("x_things", "Things"), Histogram("x_seconds", "Waits")
    for _ in range(MAX_SERIES + 5):
        counter.add(())
        histogram.observe((), 0.1)
    assert counter.values == {(): MAX_SERIES + 5.0}
    assert list(histogram.values) == [()]


def test_a_snapshot_stays_as_it_was() -> None:
    counter, histogram = Counter("x_things", "Things"), Histogram("x_seconds", "Waits")
    counter.add(())
    histogram.observe((), 0.1)
    before = [counter.snapshot(), histogram.snapshot()]
    kept = carried(before)
    counter.add(())
    histogram.observe((), 0.1)
    assert carried(before) == kept


def ended_request(**members: Any) -> Trace:
    """A request that is over."""
    trace = Trace("r0", "GET")
    for name, value in members.items():
        setattr(trace, name, value)
    return trace


def ended_run(trace: Trace | None = None, **members: Any) -> Run:
    """A run that is over."""
    run = Run("items.page", "SELECT 1", (), trace)
    for name, value in members.items():
        setattr(run, name, value)
    return run


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """What a worker counts during a test."""
    metrics = Metrics()
    stop = metrics.start()
    yield metrics
    stop()


ITEMS = "/collections/{collectionId}/items"
REQUEST: Mapping[str, Any] = {
    "operation": "getItems", "route": ITEMS, "collection": "places", "status": 200, "total_seconds": 0.25, "bytes": 4711,
}  # fmt: skip


def test_requests_and_their_statements_are_counted(metrics: Metrics) -> None:
    trace = ended_request(**REQUEST)
    emit(QueryEnded(run=ended_run(trace, seconds=0.2, pool_seconds=0.004, rows=11)))
    emit(QueryEnded(run=ended_run(trace, seconds=0.3, outcome="timeout")))
    emit(RequestEnded(trace=trace))
    series = read(write_metrics({2: carried(metrics.snapshot())}))
    request = {
        "operation": "getItems",
        "route": ITEMS,
        "collection": "places",
        "method": "GET",
        "status": "200",
        "worker": "2",
    }
    query = {
        "statement": "items.page",
        "operation": "getItems",
        "collection": "places",
        "origin": "request",
        "worker": "2",
    }
    assert value_of(series, "geosvc_request_duration_seconds_sum", **request) == 0.25
    assert value_of(series, "geosvc_request_duration_seconds_bucket", **request, le="0.25") == 1
    assert (
        value_of(
            series,
            "geosvc_response_bytes_total",
            operation="getItems",
            collection="places",
            worker="2",
        )
        == 4711
    )
    assert value_of(series, "geosvc_query_duration_seconds_sum", **query, outcome="ok") == 0.2
    assert value_of(series, "geosvc_query_duration_seconds_count", **query, outcome="timeout") == 1
    assert value_of(series, "geosvc_query_rows_total", **query) == 11
    assert (
        value_of(series, "geosvc_pool_wait_seconds_count", worker="2") == 1
    )  # the second had a connection
    assert not [name for name, _ in series if name == "geosvc_events_total"]


def test_what_belongs_to_no_collection_and_to_no_request_is_counted(metrics: Metrics) -> None:
    emit(RequestEnded(trace=ended_request(status=404)))
    emit(QueryEnded(run=ended_run(None, seconds=0.2)))
    series = read(write_metrics({0: carried(metrics.snapshot())}))
    request = {
        "operation": "",
        "route": "",
        "collection": "",
        "method": "GET",
        "status": "404",
        "worker": "0",
    }
    assert value_of(series, "geosvc_request_duration_seconds_count", **request) == 1
    query = {
        "statement": "items.page",
        "operation": "",
        "collection": "",
        "origin": "request",
        "worker": "0",
    }
    assert value_of(series, "geosvc_query_duration_seconds_count", **query, outcome="ok") == 1
    assert not [name for name, _ in series if name == "geosvc_query_rows_total"]


def test_events_are_counted_by_name(metrics: Metrics) -> None:
    for event in (DatabaseFound(), DatabaseFound(), CatalogLoaded(collections=1, duration_ms=1.0)):
        emit(event)
    series = read(write_metrics({0: carried(metrics.snapshot())}))
    assert value_of(series, "geosvc_events_total", event="database_found", worker="0") == 2
    assert value_of(series, "geosvc_events_total", event="catalog_loaded", worker="0") == 1


def test_failures_of_the_telemetry_are_counted_every_time_and_told_once(metrics: Metrics) -> None:
    for part in ("explain", "explain", "slow-query log"):
        report_failure(part, "of no use")
    for _ in range(2):  # being asked counts nothing
        series = read(write_metrics({0: carried(metrics.snapshot())}))
        assert value_of(series, "geosvc_telemetry_failures_total", part="explain", worker="0") == 2
        assert (
            value_of(series, "geosvc_telemetry_failures_total", part="slow-query log", worker="0")
            == 1
        )
        assert value_of(series, "geosvc_events_total", event="telemetry_failed", worker="0") == 2


def test_after_the_end_nothing_is_counted() -> None:
    metrics = Metrics()
    metrics.start()()
    emit(DatabaseFound())
    emit(RequestEnded(trace=ended_request(**REQUEST)))
    emit(QueryEnded(run=ended_run(seconds=1.0)))
    assert read(write_metrics({0: metrics.snapshot()})) == {
        ("geosvc_worker_up", frozenset({("worker", "0")})): 1.0
    }


def test_a_snapshot_has_each_metric_and_each_gauge_once() -> None:
    metrics = Metrics()
    names = [each["name"] for each in metrics.snapshot()]
    assert len(names) == len(set(names)) > 5
    assert all(name.startswith("geosvc_") for name in names)
    assert (
        value_of(
            read(write_metrics({3: carried(metrics.snapshot())})), "geosvc_worker_up", worker="3"
        )
        == 1.0
    )


def test_a_gauge_may_be_a_truth_or_a_whole_number() -> None:
    series = of_one(
        Gauge("x_up", "Up", lambda: True), Gauge("x_open", "Open ones", lambda: 1 << 40)
    )
    assert (value_of(series, "x_up", worker="0"), value_of(series, "x_open", worker="0")) == (
        1.0,
        float(1 << 40),
    )


def test_a_time_without_end_is_beyond_all_buckets() -> None:
    histogram = Histogram("x_seconds", "Waits")
    histogram.observe((), inf)
    series = read(write_metrics({0: [histogram.snapshot()]}))
    assert value_of(series, "x_seconds_bucket", worker="0", le="30.0") == 0.0
    assert value_of(series, "x_seconds_sum", worker="0") == inf
