"""benchmarks/results.py: ratios, targets and how they are told."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.costs import Cost
from benchmarks.results import Report, Result, Target, print_table, write_json
from benchmarks.rounds import Rounds, alone

COST = Cost(alone(104.4), alone(24.0))
PEER_COST = Cost(alone(980.0), alone(55.0))
FASTER = Result(
    "item", "by id", Rounds((100.0, 120.0, 110.0)), "req/s", "peer", Rounds((50.0, 60.0, 50.0)),
    Target(2), COST, PEER_COST,
)  # fmt: skip


def test_the_median_of_the_ratios_is_judged() -> None:
    assert FASTER.ratio == Rounds((2.0, 2.0, 2.2))
    assert FASTER.reached is True
    assert Result("start", "", alone(3.0), "s", target=Target(2, at_most=True)).reached is False
    assert Result("start", "", alone(3.0), "s").reached is None


@pytest.mark.parametrize(
    ("unit", "is_rate"), [("req/s", True), ("/s", True), ("s", False), ("µs CPU", False)]
)
def test_so_many_a_second_is_a_rate(unit: str, is_rate: bool) -> None:
    assert Result("", "", alone(1.0), unit).is_rate is is_rate


def test_the_table_has_medians_with_their_spread_and_costs() -> None:
    text = io.StringIO()
    print_table([FASTER], Console(file=text, width=200))
    line = text.getvalue().splitlines()[1]
    assert "110 (100..120) req/s" in line
    assert "2.00 (2.00..2.20)" in line
    assert "104+24 / 980+55" in line


def test_one_round_has_no_spread() -> None:
    text = io.StringIO()
    print_table([Result("start", "", alone(0.5), "s")], Console(file=text, width=200))
    assert "0.5 s" in text.getvalue()
    assert ".." not in text.getvalue()


def test_json_has_surroundings_and_spreads(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write_json(Report({"machine": "m"}, [FASTER]), path)
    document = json.loads(path.read_text())
    (result,) = document["results"]
    assert document["machine"] == "m"
    assert result["ratio"] == {"median": 2.0, "least": 2.0, "most": 2.2}
    assert result["peer_cost"]["postgresql"]["median"] == 55
    assert result["target"] == "≥ 2"
