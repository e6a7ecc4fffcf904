"""The fields of a slow query's line that need no further statement."""

from collections.abc import Mapping
from typing import Any

from geosvc.trace import Run

_PARTS = {
    "duration_ms": "the statement itself",
    "other_db_ms": "other statements of the request",
    "pool_wait_ms": "waiting for a connection",
    "encode_ms": "encoding",
    "send_ms": "sending",
}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def measured_fields(run: Run, threshold: float) -> dict[str, Any]:
    """The measured fields of a line.

    Args:
        threshold: in seconds.
    """
    response_bytes = 0
    if run.trace is not None:
        response_bytes = run.trace.bytes
    return {
        **_request_fields(run),
        "origin": run.origin,
        "statement": run.name,
        "shape": run.shape,
        "duration_ms": _milliseconds(run.seconds),
        "pool_wait_ms": _milliseconds(run.pool_seconds),
        **_request_times(run),
        "rows": run.rows,
        "bytes": response_bytes,
        "outcome": run.outcome,
        "sqlstate": run.sqlstate,
        "threshold_ms": _milliseconds(threshold),
    }


def _request_fields(run: Run) -> dict[str, Any]:
    trace = run.trace
    if trace is None:
        return dict.fromkeys(("request_id", "method", "route", "collection", "operation"))
    return {
        "request_id": trace.request_id,
        "method": trace.method,
        "route": trace.route,
        "collection": trace.collection,
        "operation": trace.operation,
    }


def _request_times(run: Run) -> dict[str, float]:
    trace = run.trace
    if trace is None:
        total_ms = _milliseconds(run.total_seconds)
        return {"other_db_ms": 0.0, "encode_ms": 0.0, "send_ms": 0.0, "total_ms": total_ms}
    return {
        "other_db_ms": _milliseconds(max(trace.db_seconds - run.seconds, 0.0)),
        "encode_ms": _milliseconds(trace.encode_seconds),
        "send_ms": _milliseconds(trace.send_seconds),
        "total_ms": _milliseconds(max(run.total_seconds, trace.total_seconds)),
    }


def main_cause(fields: Mapping[str, Any]) -> str:
    """Where most of the time was spent: `the statement itself took 190 of 291 ms`."""
    times = {name: float(fields[name]) for name in _PARTS}
    longest = max(times, key=times.__getitem__)
    cause = f"{_PARTS[longest]} took {fields[longest]:.0f} of {fields['total_ms']:.0f} ms"
    if fields["outcome"] != "ok":
        cause += f"; it ended with {fields['outcome']}"
    return cause


def offset_of(run: Run) -> int:
    """How many rows a statement skips.

    OFFSET is its last clause, and the argument of OFFSET is its last argument.
    """
    _, offset, number = run.text.rpartition(" OFFSET $")
    if not offset:
        return 0
    digits, _, _ = number.partition(":")
    value = run.args[int(digits) - 1]
    if not isinstance(value, int):
        return 0
    return value
