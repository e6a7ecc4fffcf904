"""`geosvc slow`: the slow-query log, aggregated for the terminal."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from geosvc.observe.statistics import Statistics, describe_statistics

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBERS = ("total_ms", "duration_ms", "pool_wait_ms", "send_ms")


@dataclass(slots=True)
class SlowLog:
    """What the lines of a log tell.

    Attributes:
        lines: that told of a slow query; `skipped` were no JSON of the service's, or not whole.
    """

    statistics: Statistics
    lines: int = 0
    skipped: int = 0


def parse_span(text: str) -> timedelta:
    """`90s`, `30m`, `1h`, `2d`. Raises: ValueError."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if not match:
        raise ValueError("a number with s, m, h or d behind it, such as 1h")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _read_line(line: str | bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _is_whole(line: dict[str, Any]) -> bool:
    return isinstance(line.get("fingerprint"), str) and all(isinstance(line.get(name), int | float) for name in _NUMBERS)


def read_slow_log(lines: Iterable[str | bytes], since: datetime | None = None) -> SlowLog:
    """Aggregates the lines of a log; those of other events are passed over.

    Args:
        since: older lines do not count.
    """
    log = SlowLog(Statistics())
    for each in lines:
        if not each.strip():
            continue
        line = _read_line(each)
        if line is None:
            log.skipped += 1
            continue
        if line.get("event") not in ("slow_query", "slow_queries_dropped"):
            continue
        try:
            at = datetime.fromisoformat(str(line.get("timestamp")))
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        except ValueError:
            log.skipped += 1
            continue
        if since is not None and at < since:
            continue
        _take(log, line, at.timestamp())
    return log


def _take(log: SlowLog, line: dict[str, Any], at: float) -> None:
    entry_of = log.statistics.of
    if line["event"] == "slow_queries_dropped" and isinstance(line.get("fingerprint"), str):
        entry_of(line["fingerprint"], str(line.get("statement"))).dropped += int(line.get("dropped") or 0)
    elif _is_whole(line):
        entry = entry_of(line["fingerprint"], str(line.get("statement")))
        entry.add(line, at)
        entry.dropped += int(line.get("dropped") or 0)
        entry.tell(line)
        log.lines += 1
    else:
        log.skipped += 1


def describe_slow_log(log: SlowLog) -> dict[str, Any]:
    """For `--json`."""
    statements = describe_statistics(log.statistics, datetime.now(UTC).timestamp())["statements"]
    return {"lines": log.lines, "skipped": log.skipped, "statements": statements}


def _write_ms(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}"


def print_slow_log(log: SlowLog, console: Console) -> None:
    """A table of the statements by total time, each with what would help below it."""
    document = describe_slow_log(log)
    if not document["statements"]:
        console.print("no slow queries")
    for each in document["statements"]:
        table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
        for name in (
            "statement",
            "collection",
            "count",
            "without a line",
            "total ms",
            "p50",
            "p95",
            "max",
            "db",
            "pool",
            "send",
        ):
            table.add_column(name, justify="left" if name in ("statement", "collection") else "right", no_wrap=True)
        numbers = ("total_ms", "p50_ms", "p95_ms", "max_ms", "db_ms", "pool_wait_ms", "send_ms")
        table.add_row(
            Text(each["statement"], style="bold cyan"),
            Text(", ".join(each["collections"]) or "-"),
            str(each["count"]),
            str(each["dropped"]),
            *(_write_ms(each[name]) for name in numbers),
        )
        advice: list[Any] = []
        for piece in each["advice"] or ():
            advice.append(Text.assemble((f"{piece['code']}: ", "bold yellow"), str(piece["text"])))
            if piece.get("sql"):
                advice.append(Text(f"  {piece['sql']};", style="green"))
        plan = [Text(line, style="dim") for line in each["plan"] or ()]
        requests = Text(
            f"fingerprint {each['fingerprint']}, last requests: {' '.join(each['request_ids']) or '-'}", style="dim"
        )
        console.print(Group(table, Padding(Group(*advice, *plan, requests), (0, 0, 1, 2))))
    if log.skipped:
        console.print(f"{log.skipped} lines could not be read", style="dim")
