"""What happens around every handler: a request id, an error boundary, CORS, compression."""

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from secrets import token_hex
from time import perf_counter

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from geosvc.encode.compression import CODINGS, COMPRESS_FROM_BYTES, compress
from geosvc.errors import InternalError, InvalidParameter, MethodNotAllowed, NotFound, RequestError, StaleCatalog
from geosvc.events import ClientGone, RequestEnded, RequestFailed, emit
from geosvc.handlers.html import ERROR_TYPES, problem_page, wants_page
from geosvc.handlers.streaming import break_off
from geosvc.handlers.versions import Ready
from geosvc.handlers.writing import READING_METHODS, item_methods, items_methods
from geosvc.keys import CATALOG, NO_OPERATION, OBSERVED, SETTINGS, STREAMING, TRACE
from geosvc.problem import problem_response
from geosvc.redaction import scrub
from geosvc.requests.negotiation import negotiate_coding
from geosvc.requests.preconditions import tag_of_coding
from geosvc.trace import Trace, current_trace

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID_HEADER = "X-Request-ID"
SERVER_TIMING = "Server-Timing"
ETAG = "ETag"  # as RFC 9110 writes it
_SERVER_TIMING = "parse;dur=%.2f, pool;dur=%.2f, db;dur=%.2f, encode;dur=%.2f, total;dur=%.2f"
_WITHOUT_DATABASE = "parse;dur=0.00, pool;dur=0.00, db;dur=0.00, encode;dur=0.00, total;dur=%.2f"
ABANDONED_SECONDS = 1.0
CLIENT_CLOSED_REQUEST = 499  # as nginx calls it
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_EXPOSED = (
    "Content-Crs, ETag, Last-Modified, Link, Location, Allow, Accept-Post, Accept-Patch, Preference-Applied,"
    " Idempotency-Replayed, Geometry-Repaired, X-Request-ID, Server-Timing"
)
_PREFLIGHT_SECONDS = "86400"


_process_id = token_hex(6)  # random once a process: urandom is a system call
_request_ids = (f"{_process_id}{number:08x}" for number in count())


@web.middleware
async def surround(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that surrounds a handler, in one middleware, since aiohttp charges for each."""
    request_id = request.headers.get(REQUEST_ID_HEADER)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = next(_request_ids)
    trace = request[TRACE] = Trace(request_id, request.method)
    current_trace.set(trace)
    observed = request.app[OBSERVED]
    trace.operation, trace.route = observed.operations.get(request.match_info.handler, NO_OPERATION)
    if observed.telemetry:
        observed.live[trace] = request
        trace.measured = True
    if _is_preflight(request):
        return _answer_preflight(request)
    response = await _guarded(request, handler)
    if type(response) is not Ready and isinstance(response, web.Response):
        trace.bytes = len(response.body) if isinstance(response.body, bytes) else 0
        _compress_whole_body(request, response)
    return response


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The error boundary: what fails becomes a problem."""
    try:
        try:
            return await handler(request)
        except StaleCatalog:  # a table was altered under it: once more, with a fresh catalog
            await request.app[CATALOG].look()
            return await handler(request)
    except asyncio.CancelledError:
        trace = request[TRACE]
        emit(ClientGone(method=trace.method, route=trace.route))
        end_trace(request, CLIENT_CLOSED_REQUEST)
        raise
    except web.HTTPException as error:
        return _refused(request, error)
    except RequestError as error:
        return _failed(request, error)
    except Exception as error:  # whatever it is, the client learns only the request id
        values = (*request.query.values(), *request.match_info.values(), request.query_string)
        stack = scrub("".join(traceback.format_exception(error)), values)
        response = _failed(request, InternalError(scrub(str(error), values)), stack)
        if request.get(STREAMING):
            break_off(request)
            raise
        return response


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp's router refuses; an OPTIONS that no handler takes is answered here."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(_possible(request, error.allowed_methods | {hdrs.METH_OPTIONS}))
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(headers={hdrs.ALLOW: ", ".join(allowed)})
        return _failed(request, MethodNotAllowed(f"{request.method} is not for this resource", allowed=allowed))
    if isinstance(error, web.HTTPNotFound):
        return _failed(request, NotFound("there is nothing at this path"))
    return _failed(request, InvalidParameter(error.reason))


def _possible(request: web.Request, methods: set[str]) -> set[str]:
    """Of the methods that the router knows for a path, those that the collection takes."""
    match request.rel_url.parts:
        case ("/", "collections", name, "items", *feature):
            found = (each for each in request.app[CATALOG].collections() if each.id == name)
            collection = next(found, None)
            taken = (item_methods if feature else items_methods)(collection) if collection is not None else READING_METHODS
            return methods & set(taken)
    return methods


def _failed(request: web.Request, error: RequestError, stack: str | None = None) -> web.Response:
    if error.status >= 500:
        emit(
            RequestFailed(
                method=request.method,
                route=request[TRACE].route,
                collection=request[TRACE].collection,
                status=error.status,
                slug=error.slug,
                detail=f"{error.detail}: {error.reason}" if error.reason else error.detail,
                traceback=stack,
            )
        )
    if wants_page(request, ERROR_TYPES):
        with suppress(InvalidParameter):  # of a Host that makes no link
            return problem_page(request, error)
    return problem_response(error, request[TRACE].request_id)


def _is_preflight(request: web.Request) -> bool:
    """A CORS preflight is an OPTIONS with Access-Control-Request-Method; every other OPTIONS is the resource's own."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _answer_preflight(request: web.Request) -> web.Response:
    wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*")
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted,
            hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
        },
    )


def _compress_whole_body(request: web.Request, response: web.Response) -> None:
    """Compresses what is sent in one piece; streams compress themselves, and events are never compressed."""
    response.headers.add(hdrs.VARY, "Accept, Accept-Encoding")
    body = response.body
    if isinstance(body, bytes) and len(body) >= COMPRESS_FROM_BYTES and hdrs.CONTENT_ENCODING not in response.headers:
        coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
        if coding is not None:
            response.body = compress(body, coding)
            response.headers[hdrs.CONTENT_ENCODING] = coding
            if ETAG in response.headers:
                response.headers[ETAG] = tag_of_coding(response.headers[ETAG], coding)


async def add_private_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every response carries, streams too: the request id and its times until now. No other origin may read it."""
    _add_private_headers(request, response)


def _add_private_headers(request: web.Request, response: web.StreamResponse) -> None:
    headers = response.headers
    trace = request.get(TRACE)
    if trace is None:  # refused before any handler
        trace = request[TRACE] = Trace(next(_request_ids), request.method)
    headers[REQUEST_ID_HEADER] = trace.request_id
    headers[SERVER_TIMING] = server_timing(trace)
    headers[hdrs.SERVER] = "geosvc"


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """The same, and CORS for the origins that may read."""
    _add_private_headers(request, response)
    headers = response.headers
    origin = request.headers.get(hdrs.ORIGIN)
    allowed = request.app[SETTINGS].cors_origins
    if "*" not in allowed:
        headers.add(hdrs.VARY, "Origin")  # for those without a right to read too: a cache must not mix them up
    if origin is None or not {"*", origin} & set(allowed):
        return
    headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in allowed else origin
    headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
    headers["Timing-Allow-Origin"] = headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN]


def server_timing(trace: Trace) -> str:
    """The times of a request until its response begins, milliseconds. What is left of the total is encoding.

    Source: W3C Server Timing 3.1.
    """
    trace.prepared_at = perf_counter()
    total = trace.prepared_at - trace.started
    if not trace.first_run_at:
        return _WITHOUT_DATABASE % (total * 1e3)
    parse, pool, db = trace.parse_seconds, trace.pool_seconds, trace.db_seconds
    encode = max(total - parse - pool - db, 0.0)
    return _SERVER_TIMING % (parse * 1e3, pool * 1e3, db * 1e3, encode * 1e3, total * 1e3)


def end_trace(request: web.Request, status: int) -> None:
    """Says that a request is over, once."""
    trace = request[TRACE]
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
    trace.heaviest = None  # each knows the other: together they would wait for the garbage collector


class RequestEnds(AbstractAccessLogger):
    """Where aiohttp tells that a response is sent: no middleware sees that."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Ends the trace of the request."""
        if isinstance(request, web.Request) and request.get(TRACE) is not None:
            end_trace(request, response.status)


async def end_abandoned(live: dict[Trace, web.Request]) -> None:
    """Ends the traces of requests whose client left while the response was being sent, which aiohttp tells nobody."""
    while True:
        await asyncio.sleep(ABANDONED_SECONDS)
        for trace, request in list(live.items()):
            if trace.prepared_at and (request.transport is None or request.transport.is_closing()):
                trace.aborted = True
                end_trace(request, CLIENT_CLOSED_REQUEST)
