"""Which queries are slow, and which of the slow ones get a line in the log."""

import os
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.observe.slow_fields import measured_fields
from geosvc.observe.slow_sampler import MAX_BURSTS, OTHERS, Sampler
from geosvc.observe.slow_threshold import Thresholds
from geosvc.settings import CollectionSettings, Settings
from geosvc.trace import Run, Trace

NOON = 1_000.0
STEP = 15 / 16  # of a second, so that every share of a minute is exact
RATES = st.sampled_from([1, 2, 3, 7, 30, 64, 1_000])


def admitted(sampler: Sampler, times: Sequence[float], print_: str = "f0") -> list[bool]:
    """Whether a slow query at each of these times has a line."""
    return [sampler.admits(print_, at) for at in times]


@pytest.mark.parametrize("lines", [1, 2, 30, 1_000])
def test_so_many_lines_a_minute_are_admitted_at_once_and_no_more(lines: int) -> None:
    sampler = Sampler(lines)
    assert admitted(sampler, [NOON] * (lines + 50)) == [True] * lines + [False] * 50
    assert sampler.take_dropped("f0") == 50


@pytest.mark.parametrize("lines", [1, 2, 3, 30, 60])
def test_a_line_comes_back_after_its_share_of_a_minute(lines: int) -> None:
    sampler = Sampler(lines)
    share = 60 / lines
    admitted(sampler, [NOON] * (lines + 1))
    assert admitted(sampler, [NOON + share * 0.99, NOON + share * 1.01, NOON + share * 1.02]) == [
        False,
        True,
        False,
    ]


def test_after_a_quiet_minute_all_lines_are_back_and_after_a_quiet_hour_no_more() -> None:
    sampler = Sampler(5)
    for at in (NOON, NOON + 60, NOON + 3_660):
        assert sum(admitted(sampler, [at] * 20)) == 5


def test_a_steady_flow_has_so_many_lines_a_minute() -> None:
    sampler = Sampler(30)
    minutes = Counter(int(n / 60) for n in range(600) if sampler.admits("f0", NOON + n))
    assert minutes[0] == 59  # what was saved up, and what came back while it was used
    assert [minutes[n] for n in range(1, 10)] == [30] * 9


@given(RATES, st.lists(st.integers(0, 200) | st.just(0), max_size=60))
def test_a_line_is_admitted_whenever_no_stretch_of_time_has_too_many(
    lines: int, waits: list[int]
) -> None:
    sampler = Sampler(lines)
    taken: list[int] = []
    for at in accumulate(waits):
        # from each earlier line on: those since, and this one
        fits = all(
            len(taken) - place + 1 <= lines + Fraction((at - since) * lines, 64)
            for place, since in enumerate(taken)
        )
        assert sampler.admits("f0", NOON + at * STEP) == fits
        if fits:
            taken.append(at)


PRINTS = st.sampled_from(["f0", "f1", "f2"])
TIMES = st.floats(-1e6, 1e9) | st.integers(0, 120).map(float)


@given(RATES, st.lists(st.tuples(PRINTS, TIMES, st.booleans()), max_size=80))
def test_those_with_a_line_and_those_without_are_all_that_came(
    lines: int, came: list[tuple[str, float, bool]]
) -> None:
    sampler = Sampler(lines)
    told, dropped = Counter[str](), Counter[str]()
    for print_, at, and_tell in came:
        told[print_] += sampler.admits(print_, at)
        if and_tell:
            dropped[print_] += sampler.take_dropped(print_)
    for print_ in ("f0", "f1", "f2"):
        dropped[print_] += sampler.take_dropped(print_)
        assert sampler.take_dropped(print_) == 0
        assert told[print_] + dropped[print_] == sum(each == print_ for each, _, _ in came)


@given(
    st.lists(st.tuples(st.integers(0, 3 * MAX_BURSTS), st.integers(0, 9)), max_size=60),
    st.integers(0, 40),
)
def test_none_is_lost_where_there_are_more_statements_than_are_remembered(
    came: list[tuple[int, int]], wait: int
) -> None:
    sampler = Sampler(1)
    asked, told, now = 0, 0, NOON
    for number in range(MAX_BURSTS):
        for _ in range(number % 3 + 1):
            asked += 1
            told += sampler.admits(f"f{number}", now)
    for number, times in came:
        now += wait
        for _ in range(times):
            asked += 1
            told += sampler.admits(f"f{number}", now)
    assert told + sum(sampler.take_dropped(print_) for print_ in list(sampler.bursts)) == asked


def test_statements_share_no_lines() -> None:
    sampler = Sampler(1)
    assert [sampler.admits(f"f{n}", NOON) for n in range(10)] == [True] * 10
    assert [sampler.admits(f"f{n}", NOON) for n in range(10)] == [False] * 10
    assert [sampler.take_dropped(f"f{n}") for n in range(10)] == [1] * 10


def test_one_that_was_admitted_and_finds_no_place_is_counted_as_dropped() -> None:
    sampler = Sampler(2)
    assert sampler.admits("f0", NOON)
    sampler.drop("f0", NOON + 1)
    assert sampler.bursts["f0"].dropped_at == NOON + 1
    assert sampler.take_dropped("f0") == 1
    assert admitted(sampler, [NOON + 1] * 2) == [True, False]  # the line is used up nevertheless


def test_nothing_of_an_unknown_statement_was_dropped() -> None:
    sampler = Sampler(1)
    assert sampler.take_dropped("never") == 0
    assert not sampler.bursts


def test_statements_that_are_quiet_for_a_minute_are_forgotten_where_there_are_many() -> None:
    sampler = Sampler(1)
    for n in range(MAX_BURSTS):
        sampler.admits(f"f{n}", NOON)
    sampler.admits("f0", NOON)  # dropped, and not told of yet
    sampler.admits("f1", NOON + 30)
    sampler.admits("f1", NOON + 30)
    sampler.take_dropped("f1")
    sampler.admits("new", NOON + 61)
    assert set(sampler.bursts) == {"f0", "f1", "new"}
    assert sampler.take_dropped("f0") == 1


def test_more_statements_than_are_told_apart_share_their_lines_and_none_goes_uncounted() -> None:
    sampler = Sampler(2)
    for n in range(MAX_BURSTS):
        sampler.admits(f"f{n}", NOON)
    lines = sum(admitted(sampler, [NOON] * 3, f"g{n}").count(True) for n in range(50))
    assert lines == 2
    assert sampler.bursts[OTHERS].dropped == 148
    assert len(sampler.bursts) <= MAX_BURSTS + 1


def test_to_be_forgotten_gives_no_more_lines_than_to_be_quiet() -> None:
    sampler = Sampler(2)
    for n in range(MAX_BURSTS):
        admitted(sampler, [NOON, NOON], f"f{n}")
    sampler.admits("new", NOON + 60)
    assert "f0" not in sampler.bursts
    assert admitted(sampler, [NOON + 60] * 3, "f0") == [True, True, False]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().startswith("GEOSVC_")]:
        monkeypatch.delenv(name)


def trace_of(
    collection: str | None = None, operation: str | None = None, route: str | None = None
) -> Trace:
    """A request."""
    trace = Trace("r0", "GET")
    trace.collection, trace.operation, trace.route = collection, operation, route
    return trace


ITEMS = "/collections/{collectionId}/items"
SLOW = Settings(
    slow_query_ms=500,
    slow_query_ms_by_route={"getItems": 2_000, ITEMS: 3_000, "/export": 30_000, "getItem": 0},
    collections={
        "roads": CollectionSettings(slow_query_ms=50),
        "always": CollectionSettings(slow_query_ms=0),
        "titled": CollectionSettings(title="has no threshold of its own"),
    },
)


@pytest.mark.parametrize(
    ("trace", "seconds"),
    [
        (None, 0.5),
        (trace_of(), 0.5),
        (trace_of("places"), 0.5),
        (trace_of("places", "getCollection", "/collections/{collectionId}"), 0.5),
        (trace_of("places", "getItems"), 2.0),
        (trace_of("places", "getItems", ITEMS), 2.0),  # the operation, which is more particular
        (trace_of("places", "headItems", ITEMS), 3.0),
        (trace_of(None, "getItems", ITEMS), 2.0),
        (trace_of(None, None, ITEMS), 3.0),
        (trace_of("places", "getItem", "/export"), 0.0),  # zero is a threshold as well
        (trace_of("places", None, "/export"), 30.0),
        (trace_of("roads"), 0.05),
        (trace_of("roads", "getItems", ITEMS), 0.05),
        (trace_of("roads", "getItem", ITEMS), 0.05),
        (trace_of("always", "getItems", ITEMS), 0.0),
        (trace_of("titled", "getItems", ITEMS), 2.0),
        (trace_of("titled"), 0.5),
        (trace_of("ROADS"), 0.5),
        (trace_of("getItems"), 0.5),
    ],
)
def test_a_collection_beats_its_route_which_beats_all(trace: Trace | None, seconds: float) -> None:
    assert Thresholds(SLOW).of(trace) == seconds


MILLISECONDS = st.none() | st.sampled_from([0.0, 0.5, 100.0, 86_400_000.0])


@given(MILLISECONDS, MILLISECONDS, MILLISECONDS, st.sampled_from([0.0, 7.0, 500.0]), st.booleans())
def test_the_first_threshold_that_is_set_counts_even_if_it_is_zero(
    own: float | None,
    by_operation: float | None,
    by_path: float | None,
    of_all: float,
    has_trace: bool,
) -> None:
    routes = {
        name: each
        for name, each in (("getItems", by_operation), (ITEMS, by_path))
        if each is not None
    }
    collections = {"roads": CollectionSettings(slow_query_ms=own)}
    settings = Settings(
        slow_query_ms=of_all, slow_query_ms_by_route=routes, collections=collections
    )
    wanted = (
        next(each for each in (own, by_operation, by_path, of_all) if each is not None)
        if has_trace
        else of_all
    )
    assert (
        Thresholds(settings).of(trace_of("roads", "getItems", ITEMS) if has_trace else None)
        == wanted / 1_000
    )


def test_without_settings_half_a_second_is_slow() -> None:
    thresholds = Thresholds(Settings())
    assert thresholds.of(None) == thresholds.of(trace_of("roads", "getItems", ITEMS)) == 0.5


def test_with_a_threshold_of_zero_everything_is_slow() -> None:
    thresholds = Thresholds(Settings(slow_query_ms=0))
    assert thresholds.of(None) == thresholds.of(trace_of("roads", "getItems", ITEMS)) == 0.0


def run_of(trace: Trace | None) -> Run:
    """A run that took 250 ms after a wait of 50."""
    run = Run("items.page", "SELECT 1", (), trace)
    run.seconds, run.pool_seconds, run.rows, run.outcome, run.sqlstate = (
        0.25,
        0.05,
        7,
        "failed",
        "57014",
    )
    return run


def test_a_run_is_told_with_the_numbers_of_its_request() -> None:
    trace = trace_of("roads", "getItems", ITEMS)
    trace.db_seconds, trace.encode_seconds, trace.send_seconds, trace.total_seconds, trace.bytes = (
        0.35,
        0.01,
        1.5,
        2.0,
        4711,
    )
    assert measured_fields(run_of(trace), 0.05) == {
        "request_id": "r0",
        "method": "GET",
        "route": ITEMS,
        "collection": "roads",
        "operation": "getItems",
        "origin": "request",
        "statement": "items.page",
        "shape": "",
        "duration_ms": 250.0,
        "pool_wait_ms": 50.0,
        "other_db_ms": 100.0,
        "encode_ms": 10.0,
        "send_ms": 1_500.0,
        "total_ms": 2_000.0,
        "rows": 7,
        "bytes": 4711,
        "outcome": "failed",
        "sqlstate": "57014",
        "threshold_ms": 50.0,
    }


def test_a_run_of_no_request_is_told_with_its_own_numbers() -> None:
    told = measured_fields(run_of(None), 0.5)
    assert {
        told[name] for name in ("request_id", "method", "route", "collection", "operation")
    } == {None}
    assert (told["duration_ms"], told["pool_wait_ms"], told["total_ms"], told["threshold_ms"]) == (
        250.0,
        50.0,
        300.0,
        500.0,
    )
    assert (told["other_db_ms"], told["encode_ms"], told["send_ms"], told["bytes"]) == (
        0.0,
        0.0,
        0.0,
        0,
    )


def test_a_run_is_never_longer_than_the_whole() -> None:
    trace = trace_of()
    trace.total_seconds = 0.1  # the client went away
    told = measured_fields(run_of(trace), 0.5)
    assert (told["total_ms"], told["other_db_ms"]) == (300.0, 0.0)
