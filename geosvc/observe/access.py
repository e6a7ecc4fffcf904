"""The access log: a JSON line for each request.

Lines are collected and written a few times a second, since a write for each line would cost more
than many a request. A line has the route instead of the path, because ids and values of parameters
may be private.
"""

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from geosvc.background import start_background, stop_background
from geosvc.events import RequestEnded, subscribe

FLUSH_SECONDS = 0.25
MAX_WAITING = 1_000


class AccessLog:
    """Collects lines and writes them to standard error."""

    def __init__(self, write: Callable[[str], object] | None = None) -> None:
        self._write = write or sys.stderr.write
        self._lines: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        """Starts to log requests."""
        self._unsubscribe = subscribe(self._add, RequestEnded)
        self._task = start_background(self._flush_regularly)

    async def close(self) -> None:
        """Writes the lines that wait, and ends the log."""
        if self._unsubscribe is not None:
            self._unsubscribe()
        if self._task is not None:
            await stop_background(self._task)
        self._flush()

    def _add(self, event: Any) -> None:
        trace = event.trace
        line = {
            "event": "request",
            "level": "info",
            "timestamp": datetime.now(UTC),
            "request_id": trace.request_id,
            "method": trace.method,
            "route": trace.route,
            "collection": trace.collection,
            "operation": trace.operation,
            "status": trace.status,
            "aborted": trace.aborted,
            "bytes": trace.bytes,
            "duration_ms": round(trace.total_seconds * 1000, 2),
            "pool_wait_ms": round(trace.pool_seconds * 1000, 2),
            "db_ms": round(trace.db_seconds * 1000, 2),
            "send_ms": round(trace.send_seconds * 1000, 2),
        }
        text = orjson.dumps(line, option=orjson.OPT_UTC_Z)
        self._lines.append(text + b"\n")
        if len(self._lines) >= MAX_WAITING:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            lines = b"".join(self._lines)
            self._lines = []
            self._write(lines.decode())

    async def _flush_regularly(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._flush()
