"""benchmarks/series.py: the figures of the plots."""

from typing import Any

from benchmarks.costs import Cost
from benchmarks.results import Result, describe
from benchmarks.rounds import Rounds, alone
from benchmarks.series import Bar, Growth, bars_of_peers, growth_of_a_box

OURS, THEIRS = Cost(alone(100.0), alone(20.0)), Cost(alone(500.0), alone(80.0))


def compared(request: str, peer: str, rate: float) -> Result:
    rates = Rounds((rate - 1, rate, rate + 2))
    return Result("peers", request, alone(9.0), "req/s", peer, rates, None, OURS, THEIRS)


def of_small(what: str, value: float, by_hand: float) -> Result:
    return Result("small", what, alone(value), "µs CPU", "another", alone(by_hand))


def documents(*results: Result) -> list[dict[str, Any]]:
    return [describe(each) for each in results]


def test_geosvc_is_the_first_bar_of_a_request_and_the_fastest_peer_the_second() -> None:
    found = bars_of_peers(
        documents(
            compared("item", "slow", 3), compared("item", "fast", 5), compared("page", "slow", 2)
        )
    )
    assert {request: [bar.name for bar in bars] for request, bars in found.items()} == {
        "item": ["geosvc", "fast", "slow"],
        "page": ["geosvc", "slow"],
    }
    assert found["item"][:2] == [Bar("geosvc", (9, 9, 9), 100, 20), Bar("fast", (5, 4, 7), 500, 80)]


def test_the_growth_of_a_box_goes_by_the_rows_of_its_table() -> None:
    found = growth_of_a_box(
        documents(
            of_small("box of 60 in ten million points: the service", 340, 21),
            of_small("box of 60 in ten million points: PostgreSQL", 370, 500),
            of_small("box of 60 in 10,000 points: the service", 330, 21),
            of_small("box of 60 in 10,000 points: PostgreSQL", 270, 240),
        )
    )
    assert found == [Growth(10_000, 330, 270, 240), Growth(10_000_000, 340, 370, 500)]


def test_a_run_without_them_has_no_bars_and_no_growth() -> None:
    other = documents(Result("start", "1,000 tables", alone(1.0), "s"))
    assert bars_of_peers(other) == {}
    assert growth_of_a_box(other) == []
