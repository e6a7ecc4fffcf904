"""benchmarks/gate.py: ratios against those that were kept."""

from pathlib import Path

import pytest

from benchmarks.gate import Kept, find_falls, keep_ratios, merge, read_kept, write_kept
from benchmarks.results import Result
from benchmarks.rounds import Rounds, alone

ITEM = Kept("item", "by id", "pgbench", 0.25, 0.2, is_rate=True)
SMALL = Kept("small", "item", "empty", 5.0, 0.2, is_rate=False)


def item(ratio: float) -> Result:
    return Result("item", "by id", alone(ratio), "req/s", "pgbench", alone(1.0))


def small(ratio: float) -> Result:
    return Result("small", "item", alone(ratio), "µs CPU", "empty", alone(1.0))


@pytest.mark.parametrize("results", [[item(0.21), small(5.9)], [item(0.4), small(2.0)]])
def test_what_is_hardly_worse_or_better_passes(results: list[Result]) -> None:
    assert list(find_falls([ITEM, SMALL], results, ["item", "small"])) == []


def test_a_rate_that_fell_and_a_cost_that_rose_are_told() -> None:
    assert list(find_falls([ITEM, SMALL], [item(0.19), small(6.1)], ())) == [
        "item: by id, against pgbench: 0.19, was 0.25, ≥ 0.2 passes",
        "small: item, against empty: 6.1, was 5, ≤ 6 passes",
    ]


def test_what_was_wanted_must_have_been_measured() -> None:
    assert list(find_falls([ITEM, SMALL], [], ["item"])) == [
        "item: by id, against pgbench: was not measured"
    ]


def test_medians_are_kept_and_a_wide_spread_allows_as_much() -> None:
    narrow = Result("item", "a", Rounds((2.0, 2.1, 2.04)), "req/s", "peer", alone(1.0))
    wide = Result("item", "b", Rounds((1.4, 1.8, 1.5)), "s", "peer", alone(1.0))
    disturbed = Result("item", "d", Rounds((1.0, 9.0, 2.0)), "s", "peer", alone(1.0))
    no_peer = Result("start", "c", alone(1.0), "s")
    assert keep_ratios([narrow, wide, disturbed, no_peer]) == [
        Kept("item", "a", "peer", 2.04, 0.15, is_rate=True),
        Kept("item", "b", "peer", 1.5, 0.27, is_rate=False),
        Kept("item", "d", "peer", 2.0, 0.5, is_rate=False),
    ]


def test_benchmarks_that_were_not_measured_stay() -> None:
    newer = Kept("item", "another", "pgbench", 0.3, 0.2, is_rate=True)
    assert merge([ITEM, SMALL], [newer]) == [SMALL, newer]


def test_ratios_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    assert read_kept(path) == []
    write_kept([ITEM, SMALL], path)
    assert read_kept(path) == [ITEM, SMALL]
    assert len(path.read_text().splitlines()) == 4
