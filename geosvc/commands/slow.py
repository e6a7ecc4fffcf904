"""`geosvc slow`: the slow-query log, aggregated for the terminal."""

import re
from collections.abc import Iterable, Sequence
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
_COLUMNS = {
    "count": "",
    "without a line": "",
    "total ms": "total_ms",
    "p50": "p50_ms",
    "p95": "p95_ms",
    "max": "max_ms",
    "db": "db_ms",
    "other db": "other_db_ms",
    "pool": "pool_wait_ms",
    "encode": "encode_ms",
    "send": "send_ms",
}
_NUMBERS = ("total_ms", "duration_ms", "pool_wait_ms", "send_ms")


@dataclass(slots=True)
class SlowLog:
    """What the lines of a log contain.

    Attributes:
        lines: how many report a slow query.
        skipped: how many are not JSON, or lack members.
    """

    statistics: Statistics
    lines: int = 0
    skipped: int = 0


def parse_span(text: str) -> timedelta:
    """`90s`, `30m`, `1h`, `2d`. Raises: ValueError."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if not match:
        raise ValueError("expected: a number and s, m, h or d, such as 1h")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def _read_line(line: str | bytes) -> dict[str, Any] | None:
    try:
        parsed = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _is_complete(line: dict[str, Any]) -> bool:
    """Whether a line has all members of a slow query."""
    has_numbers = all(isinstance(line.get(name), int | float) for name in _NUMBERS)
    return has_numbers and isinstance(line.get("fingerprint"), str)


def read_slow_log(lines: Iterable[str | bytes], since: datetime | None = None) -> SlowLog:
    """Aggregates the lines of a log; lines of other events do not count.

    Args:
        since: older lines do not count.
    """
    log = SlowLog(Statistics())
    for text in lines:
        if not text.strip():
            continue
        line = _read_line(text)
        if line is None:
            log.skipped += 1
            continue
        if line.get("event") not in ("slow_query", "slow_queries_dropped"):
            continue
        try:
            at = _parse_time(str(line.get("timestamp")))
        except ValueError:
            log.skipped += 1
            continue
        if since is None or at >= since:
            _add_line(log, line, at.timestamp())
    return log


def _parse_time(text: str) -> datetime:
    """An instant; UTC where it has no zone. Raises: ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _add_line(log: SlowLog, line: dict[str, Any], at: float) -> None:
    dropped = line.get("dropped") or 0
    fingerprint = line.get("fingerprint")
    statement = str(line.get("statement"))
    if line["event"] == "slow_queries_dropped" and isinstance(fingerprint, str):
        log.statistics.of(fingerprint, statement).dropped += int(dropped)
    elif _is_complete(line):
        entry = log.statistics.of(line["fingerprint"], statement)
        entry.add(line, at)
        entry.dropped += int(dropped)
        entry.keep_last(line)
        log.lines += 1
    else:
        log.skipped += 1


def describe_slow_log(log: SlowLog) -> dict[str, Any]:
    """The document of `--json`."""
    statements = describe_statistics(log.statistics, datetime.now(UTC).timestamp())["statements"]
    return {"lines": log.lines, "skipped": log.skipped, "statements": statements}


def print_slow_log(log: SlowLog, console: Console) -> None:
    """Prints the statements by total time, each with what would make it faster."""
    statements = describe_slow_log(log)["statements"]
    if not statements:
        console.print("no slow queries")
    _print_statements("Requests of clients", "request", statements, console)
    _print_statements("geosvc's own statements", "geosvc", statements, console)
    if log.skipped:
        console.print(f"{log.skipped} lines could not be read", style="dim")


def _print_statements(
    title: str, origin: str, statements: Sequence[dict[str, Any]], console: Console
) -> None:
    found = [statement for statement in statements if statement["origin"] == origin]
    if not found:
        return
    console.rule(Text(title, style="bold"), align="left", style="dim")
    for statement in found:
        _print_statement(statement, console)


def _print_statement(statement: dict[str, Any], console: Console) -> None:
    """Prints a statement and its times; below it the cause, the advice and the clients."""
    lines: list[Table | Text] = [_times_of(statement), *_advice_of(statement)]
    clients = _clients_of(statement)
    if clients:
        lines.append(Text(f"clients: {clients}"))
    for line in statement["plan"] or ():
        lines.append(Text(line, style="dim"))
    request_ids = " ".join(statement["request_ids"]) or "-"
    fingerprint = statement["fingerprint"]
    lines.append(Text(f"fingerprint {fingerprint}, last requests: {request_ids}", style="dim"))
    console.print(Group(_name_of(statement), Padding(Group(*lines), (0, 0, 1, 2))))


def _name_of(statement: dict[str, Any]) -> Text:
    collections = ", ".join(statement["collections"]) or "no collection"
    name = Text()
    name.append(statement["statement"], style="bold cyan")
    if statement["shape"]:
        name.append(f" {statement['shape']}")
    name.append(f"  {collections}", style="bold")
    return name


def _times_of(statement: dict[str, Any]) -> Table:
    """How often it ran, and its times in milliseconds."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False)
    cells = [str(statement["count"]), str(statement["dropped"])]
    for column, member in _COLUMNS.items():
        table.add_column(column, justify="right", no_wrap=True)
        if member:
            cells.append(f"{statement[member]:,.0f}")
    table.add_row(*cells)
    return table


def _advice_of(statement: dict[str, Any]) -> list[Text]:
    lines: list[Text] = []
    if statement["cause"]:
        lines.append(Text(f"cause: {statement['cause']}"))
    for advice in statement["advice"] or ():
        lines.append(Text.assemble((f"{advice['code']}: ", "bold yellow"), str(advice["text"])))
        if advice.get("sql"):
            lines.append(Text(f"  {advice['sql']};", style="green"))
    return lines


def _clients_of(statement: dict[str, Any]) -> str:
    """Who sent the requests, and the last user agent."""
    clients = ", ".join(
        f"{client['client']} ({client['count']})" for client in statement["clients"]
    )
    if clients and statement["user_agent"]:
        clients += f"; last: {statement['user_agent']}"
    return clients
