"""The end of a request: its response was sent, or its client has disconnected."""

import asyncio
from time import perf_counter

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger

from geosvc.events import RequestEnded, emit
from geosvc.http.keys import OBSERVED, TRACE
from geosvc.trace import Trace

ABANDONED_SECONDS = 1.0
CLIENT_CLOSED_REQUEST = 499  # as nginx calls it


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
    request.app[OBSERVED].live.pop(trace, None)
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


async def end_abandoned_requests(live: dict[Trace, web.Request]) -> None:
    """Ends the traces of requests whose client left while the response was being sent.

    aiohttp reports these to nobody.
    """
    while True:
        await asyncio.sleep(ABANDONED_SECONDS)
        for trace, request in list(live.items()):
            if trace.prepared_at and _is_abandoned(request):
                trace.aborted = True
                end_trace(request, trace, CLIENT_CLOSED_REQUEST)


def _is_abandoned(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
