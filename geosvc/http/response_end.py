"""The headers of every response, and the end of a request.

Each response has a request id, its times, and CORS for the origins that may read it. A request ends
when its response was sent, or its client has disconnected.
"""

import asyncio
from itertools import count
from secrets import token_hex
from time import perf_counter

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from geosvc.events import RequestEnded, emit
from geosvc.http.keys import OBSERVED, SETTINGS, STOP, TRACE
from geosvc.trace import Trace

REQUEST_ID_HEADER = "X-Request-ID"
SERVER_TIMING = "Server-Timing"
ABANDONED_SECONDS = 1.0
CLIENT_CLOSED_REQUEST = 499  # as nginx calls it
_TIMES = "parse;dur=%.2f, pool;dur=%.2f, db;dur=%.2f, encode;dur=%.2f, total;dur=%.2f"
_TIMES_WITHOUT_DATABASE = (
    "parse;dur=0.00, pool;dur=0.00, db;dur=0.00, encode;dur=0.00, total;dur=%.2f"
)
_EXPOSED = (
    "Content-Crs, ETag, Last-Modified, Link, Location, Allow, Accept-Post, Accept-Patch,"
    " Preference-Applied, Idempotency-Replayed, Geometry-Repaired, Geosvc-Limit-Applied,"
    " Geosvc-Next-Cursor, X-Request-ID, Server-Timing"
)

_process_id = token_hex(6)  # random once a process: urandom is a system call
request_ids = (f"{_process_id}{number:08x}" for number in count())
"""New request ids."""


async def add_private_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers of the admin listener. No other origin may read its responses."""
    _add_private_headers(request, response, request.app)


def _add_private_headers(
    request: web.Request, response: web.StreamResponse, app: web.Application
) -> None:
    headers = response.headers
    try:
        trace = request[TRACE]
    except KeyError:  # refused before any handler
        trace = request[TRACE] = Trace(next(request_ids), request.method)
    headers[REQUEST_ID_HEADER] = trace.request_id
    headers[SERVER_TIMING] = server_timing(trace)
    headers[hdrs.SERVER] = "geosvc"
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault(hdrs.CACHE_CONTROL, "no-store")  # a response that may be kept says so
    if app[STOP].begun:
        headers[hdrs.CONNECTION] = "close"
        response.force_close()


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Adds the headers of the public listener: those of the admin listener, and CORS."""
    app = request.app
    _add_private_headers(request, response, app)
    headers = response.headers
    origin = request.headers.get(hdrs.ORIGIN)
    allowed = app[SETTINGS].cors_origins
    everybody = "*" in allowed
    if not everybody:
        # also for origins that may not read the answer: a cache must keep them apart
        headers.add(hdrs.VARY, "Origin")
    if origin is None or not (everybody or origin in allowed):
        return
    allowed_origin = "*" if everybody else origin
    headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = allowed_origin
    headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
    headers["Timing-Allow-Origin"] = allowed_origin


def server_timing(trace: Trace) -> str:
    """The times of a request until its response begins, in milliseconds.

    The time that is not parsing, waiting or the database is encoding. Source: W3C Server Timing
    3.1.
    """
    trace.prepared_at = perf_counter()
    total_ms = (trace.prepared_at - trace.started) * 1e3
    if not trace.first_run_at:
        return _TIMES_WITHOUT_DATABASE % total_ms
    parse_ms = trace.parse_seconds * 1e3
    pool_ms = trace.pool_seconds * 1e3
    db_ms = trace.db_seconds * 1e3
    encode_ms = max(total_ms - parse_ms - pool_ms - db_ms, 0.0)
    return _TIMES % (parse_ms, pool_ms, db_ms, encode_ms, total_ms)


def end_trace(request: web.Request, trace: Trace, status: int) -> None:
    """Reports that a request is over, once."""
    if trace.ended:
        return
    now = perf_counter()
    trace.ended = True
    trace.status = status
    trace.total_seconds = now - trace.started
    if not trace.send_seconds and trace.prepared_at:
        trace.send_seconds = now - trace.prepared_at  # a body in one piece
    if trace.first_run_at:
        known = trace.parse_seconds + trace.pool_seconds + trace.db_seconds + trace.send_seconds
        trace.encode_seconds = max(trace.total_seconds - known, 0.0)
    request.app[OBSERVED].open_requests.pop(trace, None)
    emit(RequestEnded(trace))
    # trace and run refer to each other: together they would wait for the garbage collector
    trace.heaviest = None


class RequestEnds(AbstractAccessLogger):
    """Ends the trace when aiohttp reports that a response is sent; no middleware sees that."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Ends the trace of the request."""
        if not isinstance(request, web.Request):
            return
        try:
            trace = request[TRACE]
        except KeyError:  # refused before any handler
            return
        end_trace(request, trace, response.status)


async def end_abandoned_requests(open_requests: dict[Trace, web.Request]) -> None:
    """Ends the traces of requests whose client left while the response was being sent.

    aiohttp reports these to nobody.
    """
    while True:
        await asyncio.sleep(ABANDONED_SECONDS)
        for trace, request in list(open_requests.items()):
            if trace.prepared_at and _is_abandoned(request):
                trace.aborted = True
                end_trace(request, trace, CLIENT_CLOSED_REQUEST)


def _is_abandoned(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
