"""What was measured, as a table for people and as JSON for programs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.costs import Cost
from benchmarks.rounds import Rounds


class Target(msgspec.Struct, frozen=True):
    """The aim of a benchmark.

    `value` is the least or the most; of the ratio when there is a peer, else of the value.
    """

    value: float
    at_most: bool = False

    def __str__(self) -> str:
        """As the table shows it."""
        return f"{'≤' if self.at_most else '≥'} {self.value:g}"


class Result(msgspec.Struct, frozen=True):
    """One figure of geosvc, alone or against a limit or a peer of the same run.

    Attributes:
        cost: what a request costs geosvc, where that is measured beside the rate.
        peer_cost: what it costs the peer.
    """

    benchmark: str
    what: str
    value: Rounds
    unit: str
    peer: str | None = None
    peer_value: Rounds | None = None
    target: Target | None = None
    cost: Cost | None = None
    peer_cost: Cost | None = None

    @property
    def ratio(self) -> Rounds | None:
        """The value's share of the peer's, in each round."""
        if self.peer_value is None:
            return None
        return self.value / self.peer_value

    @property
    def reached(self) -> bool | None:
        """Whether the median reaches the target; None without one."""
        if self.target is None:
            return None
        judged = (self.ratio or self.value).median
        return judged <= self.target.value if self.target.at_most else judged >= self.target.value

    @property
    def is_rate(self) -> bool:
        """Whether more is better: so many a second."""
        return self.unit.endswith("/s")


class Report(msgspec.Struct, frozen=True):
    """What a run measured, and where."""

    surroundings: Mapping[str, Any]
    results: Sequence[Result]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _share(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value:.4f}"


def _spread(rounds: Rounds | None, write: Callable[[float], str] = _number) -> str:
    """The median, and from the least to the most where there are several rounds."""
    if rounds is None:
        return ""
    if len(rounds.values) == 1:
        return write(rounds.median)
    return f"{write(rounds.median)} ({write(rounds.least)}..{write(rounds.most)})"


def _costs(result: Result) -> str:
    """Of geosvc and of the peer: service and PostgreSQL."""
    costs = filter(None, (result.cost, result.peer_cost))
    return " / ".join(f"{each.service.median:,.0f}+{each.postgresql.median:,.0f}" for each in costs)


_COLUMNS: Mapping[str, Literal["left", "right"]] = {
    "benchmark": "left",
    "what": "left",
    "geosvc": "right",
    "against": "left",
    "its value": "right",
    "ratio": "right",
    "target": "left",
    "reached": "left",
    "µs CPU, service+PostgreSQL": "left",
}


def print_table(results: Sequence[Result], console: Console) -> None:
    """A line for each result: medians, and from the least to the most of the rounds."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in _COLUMNS.items():
        is_text = name in ("what", "against") or name.startswith("µs")
        table.add_column(name, justify=justify, no_wrap=not is_text)
    verdicts = {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}
    last = ""
    for result in results:
        if last and result.benchmark != last:
            table.add_section()
        table.add_row(
            "" if result.benchmark == last else result.benchmark,
            result.what,
            f"{_spread(result.value)} {result.unit}",
            result.peer or "",
            _spread(result.peer_value),
            _spread(result.ratio, _share),
            "" if result.target is None else str(result.target),
            verdicts[result.reached],
            _costs(result),
        )
        last = result.benchmark
    console.print(table)


def _summary(rounds: Rounds | None) -> dict[str, float] | None:
    if rounds is None:
        return None
    return {"median": rounds.median, "least": rounds.least, "most": rounds.most}


def _cost_summary(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None:
        return None
    return {"service": _summary(cost.service), "postgresql": _summary(cost.postgresql)}


def describe(result: Result) -> dict[str, Any]:
    """A result as JSON has it; costs in microseconds of the processor."""
    return {
        "benchmark": result.benchmark,
        "what": result.what,
        "unit": result.unit,
        "value": _summary(result.value),
        "peer": result.peer,
        "peer_value": _summary(result.peer_value),
        "ratio": _summary(result.ratio),
        "target": None if result.target is None else str(result.target),
        "reached": result.reached,
        "cost": _cost_summary(result.cost),
        "peer_cost": _cost_summary(result.peer_cost),
    }


def write_json(report: Report, path: Path) -> None:
    """The results, with when and where they were measured."""
    results = [describe(each) for each in report.results]
    document = {**report.surroundings, "results": results}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
