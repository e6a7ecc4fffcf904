"""Slow statements by fingerprint: counted, merged over processes, and bounded."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.observe.statistics import (
    LAST_REQUESTS,
    MAX_SAMPLES,
    MAX_STATEMENTS,
    MINUTES,
    SlowStatement,
    Statistics,
    describe_statistics,
    merge_states,
)

Line = dict[str, Any]

NOON = 1_700_000_040.0  # a full minute
LAST = ("cause", "plan", "advice", "sql", "args", "route", "user_agent")


def line(fingerprint: str = "f0", total_ms: float = 100.0, **more: Any) -> Line:
    """What a line of the slow-query log tells."""
    return {
        "fingerprint": fingerprint,
        "statement": "items.page",
        "total_ms": total_ms,
        "pool_wait_ms": 1.0,
        "duration_ms": 2.0,
        "send_ms": 4.0,
        "collection": "places",
        "operation": "getItems",
        "outcome": "ok",
        "request_id": "r0",
        "client": "192.0.2.7",
        "other_db_ms": 8.0,
        "encode_ms": 16.0,
        "shape": "bbox",
        **more,
    }


MILLISECONDS = st.integers(0, 1 << 20).map(lambda n: n / 4)  # whose sums are exact
LINES = st.fixed_dictionaries(
    {
        "fingerprint": st.sampled_from(["f0", "f1", "f2"]),
        "statement": st.just("items.page"),
        "total_ms": MILLISECONDS,
        "pool_wait_ms": MILLISECONDS,
        "duration_ms": MILLISECONDS,
        "send_ms": MILLISECONDS,
        "other_db_ms": MILLISECONDS,
        "encode_ms": MILLISECONDS,
        "shape": st.just("bbox"),
        "client": st.sampled_from(["192.0.2.7", "2001:db8::7", None]),
        "collection": st.sampled_from(["places", "roads", None]),
        "operation": st.sampled_from(["getItems", None]),
        "outcome": st.sampled_from(["ok", "timeout", "failed"]),
        "request_id": st.sampled_from(["r0", "r1", "r2", None]),
        "sql": st.sampled_from(["SELECT ?", "SELECT a"]),
        "args": st.just(["text(3)"]),
        "plan": st.none() | st.just(["Seq Scan on public.t"]),
        "advice": st.just([{"code": "deep-offset", "text": "too deep"}]),
        "route": st.just("/collections/{collectionId}/items"),
    }
)
# when each came: seconds since the one before
STORY = st.lists(st.tuples(st.integers(0, 400), LINES, st.booleans()), max_size=40)


def at_times(story: Sequence[tuple[int, Line, bool]]) -> list[tuple[float, Line, bool]]:
    """(time, line, whether it is told) of a story."""
    now, found = NOON, []
    for wait, each, told in story:
        now += wait
        found.append((now, each, told))
    return found


def counted(story: Sequence[tuple[float, Line, bool]]) -> Statistics:
    """The statistics of one process."""
    statistics = Statistics()
    for at, each, told in story:
        entry = statistics.of(each["fingerprint"], each["statement"])
        entry.add(each, at)
        if told:
            entry.keep_last(each)
        else:
            entry.dropped += 1
    return statistics


def carried(state: Any) -> Any:
    """What comes out of JSON at another process."""
    return orjson.loads(orjson.dumps(state))


def described(statistics: Statistics, now: float) -> tuple[dict[str, Any], Any]:
    """(statements by fingerprint, minutes)."""
    document = describe_statistics(statistics, now)
    return {each["fingerprint"]: each for each in document["statements"]}, document["minutes"]


def without(statements: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The statements without these of their members, and with names in no order."""
    return {
        key: {
            name: sorted(value) if name == "collections" else value
            for name, value in each.items()
            if name not in names
        }
        for key, each in statements.items()
    }


@given(STORY)
def test_what_one_process_counted_comes_out_at_another_as_it_was(
    story: list[tuple[int, Line, bool]],
) -> None:
    told = at_times(story)
    statistics = counted(told)
    now = told[-1][0] if told else NOON
    assert describe_statistics(
        merge_states([carried(statistics.state())]), now
    ) == describe_statistics(statistics, now)
    for each in statistics.by_fingerprint.values():
        assert SlowStatement.of_state(carried(each.state())) == each
    assert merge_states([carried(statistics.state())]).state() == statistics.state()


@given(STORY, st.lists(st.integers(0, 40), max_size=4))
def test_processes_one_after_the_other_count_together_what_one_would(
    story: list[tuple[int, Line, bool]], cuts: list[int]
) -> None:
    lines = at_times(story)
    edges = [0, *sorted(min(cut, len(lines)) for cut in cuts), len(lines)]
    parts = [lines[first:last] for first, last in pairwise(edges)]
    merged = merge_states(carried(counted(part).state()) for part in parts)
    now = lines[-1][0] if lines else NOON
    one, one_minutes = described(counted(lines), now)
    several, minutes = described(merged, now)
    assert minutes == one_minutes
    last = (
        () if all(told for _, _, told in lines) else LAST
    )  # of two that came in one second, any may be the last
    assert without(several, *last) == without(one, *last)
    for key, each in merged.by_fingerprint.items():
        assert list(each.samples) == [
            line["total_ms"] for _, line, _ in lines if line["fingerprint"] == key
        ]


@given(STORY, st.lists(st.integers(0, 3), min_size=40, max_size=40))
def test_processes_beside_each_other_count_together_what_one_would(
    story: list[tuple[int, Line, bool]], workers: list[int]
) -> None:
    lines = at_times(story)
    parts: list[list[tuple[float, Line, bool]]] = [[], [], [], []]
    for each, worker in zip(lines, workers, strict=False):
        parts[worker].append(each)
    merged = merge_states(carried(counted(part).state()) for part in parts)
    now = lines[-1][0] if lines else NOON
    one, one_minutes = described(counted(lines), now)
    several, minutes = described(merged, now)
    assert minutes == one_minutes
    assert without(several, "request_ids", *LAST) == without(one, "request_ids", *LAST)
    for key, entry in several.items():
        asked = {line["request_id"] for _, line, _ in lines if line["fingerprint"] == key}
        assert len(entry["request_ids"]) == len(one[key]["request_ids"])
        assert set(entry["request_ids"]) <= asked


def test_merging_tells_of_the_process_that_saw_the_statement_last() -> None:
    early, late = Statistics(), Statistics()
    for statistics, at, sql in ((early, NOON, "SELECT early"), (late, NOON + 5, "SELECT late")):
        entry = statistics.of("f0", "items.page")
        entry.add(line(), at)
        entry.keep_last(line(sql=sql))
    for states in ([early.state(), late.state()], [late.state(), early.state()]):
        (entry,) = merge_states(states).by_fingerprint.values()
        assert (entry.last["sql"], entry.last_at, entry.count) == ("SELECT late", NOON + 5, 2)


def test_merging_tells_of_the_process_that_has_something_to_tell() -> None:
    told, silent = Statistics(), Statistics()
    told.of("f0", "items.page").add(line(), NOON)
    told.of("f0", "items.page").keep_last(line(sql="SELECT told"))
    silent.of("f0", "items.page").add(line(), NOON + 5)
    for states in ([told.state(), silent.state()], [silent.state(), told.state()]):
        assert merge_states(states).by_fingerprint["f0"].last["sql"] == "SELECT told"


def test_merging_does_not_change_what_is_merged() -> None:
    first, second = counted([(NOON, line(), True)]), counted([(NOON, line(), True)])
    states = [first.state(), second.state()]
    before = carried(states)
    merge_states(states)
    assert carried(states) == before
    assert carried([first.state(), second.state()]) == before


def test_nothing_is_merged_from_nothing() -> None:
    assert merge_states([]).by_fingerprint == {}
    assert merge_states([[], []]).by_fingerprint == {}


def test_a_run_is_counted_by_the_numbers_of_its_line() -> None:
    entry = SlowStatement("f0", "items.page")
    entry.add(
        line(total_ms=100.04, pool_wait_ms=1.5, duration_ms=90.0, send_ms=8.0, request_id="r1"),
        NOON,
    )
    entry.add(
        line(
            total_ms=300.0, duration_ms=10.0, outcome="timeout", collection="roads", request_id="r2"
        ),
        NOON - 90,
    )
    entry.add(line(total_ms=200.0, collection="roads", operation=None, request_id=None), NOON + 30)
    entry.keep_last(
        {
            "plan": ["Seq Scan"],
            "sql": "SELECT ?",
            "args": ["text(3)"],
            "advice": [],
            "secret": "of no use",
        }
    )
    assert entry.describe() == {
        "fingerprint": "f0",
        "statement": "items.page",
        "shape": "bbox",
        "origin": "request",
        "clients": [{"client": "192.0.2.7", "count": 3}],
        "collections": ["roads", "places"],
        "operations": ["getItems"],
        "outcomes": {"ok": 2, "timeout": 1},
        "count": 3,
        "dropped": 0,
        "total_ms": 600.0,
        "p50_ms": 200.0,
        "p95_ms": 300.0,
        "max_ms": 300.0,
        "pool_wait_ms": 3.5,
        "db_ms": 102.0,
        "other_db_ms": 24.0,
        "encode_ms": 48.0,
        "send_ms": 16.0,
        "last_at": NOON + 30,
        "request_ids": ["r1", "r2"],
        "plan": ["Seq Scan"],
        "advice": [],
        "sql": "SELECT ?",
        "args": ["text(3)"],
        "route": None,
        "cause": None,
        "user_agent": None,
    }
    assert entry.minutes == {int(NOON // 60): 2, int(NOON // 60) - 2: 1}


def test_a_statement_that_never_ran_is_described() -> None:
    document = SlowStatement("f0", "items.page").describe()
    assert (document["count"], document["p50_ms"], document["max_ms"], document["plan"]) == (
        0,
        0.0,
        0.0,
        None,
    )
    assert SlowStatement.of_state(
        carried(SlowStatement("f0", "items.page").state())
    ) == SlowStatement("f0", "items.page")


def test_telling_again_forgets_what_was_told() -> None:
    entry = SlowStatement("f0", "items.page")
    entry.keep_last(line(plan=["Seq Scan"], sql="SELECT ?"))
    entry.keep_last(line(sql="SELECT a"))
    assert entry.last == {**dict.fromkeys(LAST), "sql": "SELECT a"}


SHARES = [
    Fraction(0),
    Fraction(1, 100),
    Fraction(1, 2),
    Fraction(3, 4),
    Fraction(95, 100),
    Fraction(99, 100),
    Fraction(1),
]


@given(st.lists(MILLISECONDS, min_size=1, max_size=120), st.sampled_from(SHARES))
def test_a_percentile_is_a_run_that_the_share_did_not_exceed_and_no_more_than_the_share_undercut(
    samples: list[float], share: Fraction
) -> None:
    entry = SlowStatement("f0", "items.page")
    for each in samples:
        entry.add(line(total_ms=each), NOON)
    found = entry.percentile(float(share))
    right = [
        each
        for each in samples
        if sum(other <= each for other in samples) >= share * len(samples)
        and sum(other < each for other in samples) <= share * len(samples)
    ]
    assert found in right
    assert found == max(right)  # where two are right, the slower one


def test_percentiles_are_those_of_all_processes() -> None:
    fast, slow = Statistics(), Statistics()
    for n in range(90):
        fast.of("f0", "items.page").add(line(total_ms=float(n)), NOON)
    for n in range(10):
        slow.of("f0", "items.page").add(line(total_ms=1000.0 + n), NOON)
    (entry,) = merge_states([slow.state(), fast.state()]).by_fingerprint.values()
    assert (entry.percentile(0.5), entry.percentile(0.95), entry.percentile(1.0)) == (
        50.0,
        1005.0,
        1009.0,
    )


def test_the_last_runs_make_the_percentiles() -> None:
    entry = SlowStatement("f0", "items.page")
    for n in range(3 * MAX_SAMPLES):
        entry.add(line(total_ms=float(n)), NOON)
    assert list(entry.samples) == [float(n) for n in range(2 * MAX_SAMPLES, 3 * MAX_SAMPLES)]
    assert (entry.count, entry.max_ms) == (3 * MAX_SAMPLES, 3 * MAX_SAMPLES - 1)
    again = SlowStatement.of_state(carried(entry.state()))
    again.add(line(total_ms=7.0), NOON)
    assert len(again.samples) == MAX_SAMPLES


def test_a_merged_statement_has_the_samples_of_all_processes() -> None:
    full = [
        counted([(NOON, line(total_ms=float(n)), True) for n in range(MAX_SAMPLES + 1)]).state()
        for _ in range(3)
    ]
    (entry,) = merge_states(full).by_fingerprint.values()
    assert len(entry.samples) == 3 * MAX_SAMPLES
    assert entry.count == 3 * (MAX_SAMPLES + 1)


def test_the_ids_of_the_last_requests_are_kept() -> None:
    entry = SlowStatement("f0", "items.page")
    for n in range(20):
        entry.add(line(request_id=f"r{n}"), NOON)
    assert list(entry.request_ids) == [f"r{n}" for n in range(20 - LAST_REQUESTS, 20)]
    again = SlowStatement.of_state(carried(entry.state()))
    again.merge(SlowStatement("f0", "items.page"))
    again.add(line(request_id="newest"), NOON)
    assert list(again.request_ids) == ["r16", "r17", "r18", "r19", "newest"]


def test_the_ids_of_the_last_requests_of_all_processes_are_kept() -> None:
    busy = counted([(NOON + n, line(request_id=f"new{n}"), True) for n in range(LAST_REQUESTS)])
    idle = counted(
        [(NOON - 3_600 + n, line(request_id=f"old{n}"), True) for n in range(LAST_REQUESTS)]
    )
    for states in ([idle.state(), busy.state()], [busy.state(), idle.state()]):
        (entry,) = merge_states(states).by_fingerprint.values()
        assert f"new{LAST_REQUESTS - 1}" in entry.request_ids


@given(st.lists(st.integers(0, 100_000), max_size=300))
def test_minutes_are_bounded_and_the_last_hour_is_whole(waits: list[int]) -> None:
    entry, now, times = SlowStatement("f0", "items.page"), NOON, []
    for wait in waits:
        now += wait
        times.append(now)
        entry.add(line(), now)
        assert len(entry.minutes) <= 2 * MINUTES
    newest = int(now // 60)
    wanted = Counter(int(at // 60) for at in times if int(at // 60) > newest - MINUTES)
    assert {minute: n for minute, n in entry.minutes.items() if minute > newest - MINUTES} == wanted


def test_hours_of_one_run_a_minute_keep_the_last_hour_and_no_more_than_two() -> None:
    entry = SlowStatement("f0", "items.page")
    for n in range(10 * MINUTES):
        entry.add(line(), NOON + 60 * n)
        newest = int(NOON // 60) + n
        assert all(entry.minutes[newest - back] == 1 for back in range(min(n + 1, MINUTES)))
        assert len(entry.minutes) <= 2 * MINUTES
    assert entry.count == 10 * MINUTES


def test_collections_operations_and_outcomes_are_bounded() -> None:
    entry = SlowStatement("f0", "items.page")
    for n in range(2 * MAX_STATEMENTS):
        entry.add(line(collection=f"c{n}", operation=f"o{n}", outcome=f"x{n}"), NOON)
    entry.add(line(collection="c3", operation="o3", outcome="x3"), NOON)
    assert len(entry.collections) == len(entry.operations) == len(entry.outcomes) == MAX_STATEMENTS
    assert entry.collections["c3"] == entry.operations["o3"] == entry.outcomes["x3"] == 2


def test_of_too_many_statements_those_that_cost_least_are_forgotten() -> None:
    statistics = Statistics()
    for n in range(MAX_STATEMENTS):
        statistics.of(f"f{n}", "items.page").add(
            line(total_ms=float((n * 7) % MAX_STATEMENTS) + 1), NOON
        )
    statistics.of("new", "items.page").add(line(total_ms=5_000.0), NOON)
    statistics.of("newer", "items.page").add(line(total_ms=5_000.0), NOON)
    assert len(statistics.by_fingerprint) == MAX_STATEMENTS
    assert {"new", "newer"} <= set(statistics.by_fingerprint)
    assert min(each.total_ms for each in statistics.by_fingerprint.values()) == 3.0
    assert len(statistics.state()) == MAX_STATEMENTS


@given(st.lists(st.tuples(st.integers(0, 2 * MAX_STATEMENTS), MILLISECONDS), max_size=60))
def test_statements_are_bounded_and_those_that_are_kept_are_counted_right(
    runs: list[tuple[int, float]],
) -> None:
    statistics = Statistics()
    for n in range(MAX_STATEMENTS):
        statistics.of(f"heavy{n}", "items.page").add(line(total_ms=float(1 << 40)), NOON)
    for name, milliseconds in runs:
        statistics.of(f"f{name}", "items.page").add(line(total_ms=milliseconds), NOON)
        assert len(statistics.by_fingerprint) <= MAX_STATEMENTS
        assert all(each.fingerprint == key for key, each in statistics.by_fingerprint.items())
    assert sum(key.startswith("heavy") for key in statistics.by_fingerprint) >= MAX_STATEMENTS - 1


def test_the_entry_of_a_fingerprint_is_one() -> None:
    statistics = Statistics()
    entry = statistics.of("f0", "items.page")
    assert statistics.of("f0", "something.else") is entry
    assert (entry.fingerprint, entry.statement) == ("f0", "items.page")


def test_statements_are_told_by_their_total_time_with_an_hour_of_minutes() -> None:
    statistics = Statistics()
    for name, total_ms, at in (
        ("cheap", 1.0, NOON),
        ("dear", 9.0, NOON),
        ("dear", 9.0, NOON - 59 * 60),
        ("middle", 5.0, NOON + 59),
    ):
        statistics.of(name, "items.page").add(line(total_ms=total_ms), at)
    statistics.of("dear", "items.page").add(line(total_ms=0.0), NOON - 60 * 60)  # too long ago
    document = describe_statistics(statistics, NOON + 59.9)
    assert [each["fingerprint"] for each in document["statements"]] == ["dear", "middle", "cheap"]
    minutes = document["minutes"]
    assert [each["at"] for each in minutes] == [NOON - 60 * n for n in reversed(range(MINUTES))]
    assert [each["count"] for each in minutes] == [1, *[0] * (MINUTES - 2), 3]
    orjson.dumps(document)


@pytest.mark.parametrize(
    ("now", "counts"), [(NOON, 1), (NOON + 59 * 60, 1), (NOON + 60 * 60, 0), (NOON - 60, 0)]
)
def test_a_run_is_in_the_minutes_of_the_hour_behind_it(now: float, counts: int) -> None:
    statistics = counted([(NOON, line(), True)])
    document = describe_statistics(statistics, now)
    assert len(document["minutes"]) == MINUTES
    assert sum(each["count"] for each in document["minutes"]) == counts
    assert len(document["statements"]) == 1


@given(
    st.lists(st.tuples(st.integers(0, 5_000), st.sampled_from(["f0", "f1"])), max_size=80),
    st.integers(0, 7_200),
)
def test_the_minutes_are_the_runs_of_all_statements_in_each(
    runs: list[tuple[int, str]], later: int
) -> None:
    now, story = NOON, []
    for wait, name in runs:
        now += wait / 8
        story.append((now, line(name), True))
    asked = now + later
    document = describe_statistics(counted(story), asked)
    for minute in document["minutes"]:
        assert minute["count"] == sum(minute["at"] <= at < minute["at"] + 60 for at, _, _ in story)
    assert document["minutes"][-1]["at"] == asked // 60 * 60


def test_nothing_is_described_as_nothing() -> None:
    document = describe_statistics(Statistics(), NOON)
    assert document["statements"] == []
    assert [each["count"] for each in document["minutes"]] == [0] * MINUTES
