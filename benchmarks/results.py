"""What was measured, as a table for people and as JSON for programs."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table


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
    """One number of geosvc, alone or against a limit or a peer of the same run."""

    benchmark: str
    what: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    target: Target | None = None

    @property
    def ratio(self) -> float | None:
        """The value's share of the peer's."""
        return self.value / self.peer_value if self.peer_value else None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        judged = self.value if self.ratio is None else self.ratio
        return judged <= self.target.value if self.target.at_most else judged >= self.target.value


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(result: Result) -> str:
    if result.ratio is None:
        return ""
    return f"{result.ratio:.2f}" if result.ratio >= 0.01 else f"{result.ratio:.4f}"


def print_table(results: Sequence[Result], console: Console) -> None:
    """A line for each result."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (
        "benchmark",
        "what",
        "geosvc",
        "against",
        "its value",
        "ratio",
        "target",
        "reached",
    ):
        right = name in ("geosvc", "its value", "ratio")
        table.add_column(
            name, justify="right" if right else "left", no_wrap=name not in ("what", "against")
        )
    verdicts = {True: "[green]yes[/green]", False: "[red]no[/red]", None: ""}
    last = ""
    for result in results:
        if last and result.benchmark != last:
            table.add_section()
        table.add_row(
            "" if result.benchmark == last else result.benchmark,
            result.what,
            f"{_number(result.value)} {result.unit}",
            result.peer or "",
            "" if result.peer_value is None else _number(result.peer_value),
            _ratio(result),
            "" if result.target is None else str(result.target),
            verdicts[result.reached],
        )
        last = result.benchmark
    console.print(table)


def write_json(results: Sequence[Result], path: Path) -> None:
    """The results with where and when they were measured."""
    document = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "results": [
            {**msgspec.structs.asdict(result), "ratio": result.ratio, "reached": result.reached}
            for result in results
        ],
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
