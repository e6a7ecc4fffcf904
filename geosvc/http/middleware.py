"""Surrounds every handler: a request id, an error boundary, CORS, compression."""

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from geosvc.catalog.collections import Catalog
from geosvc.database.catalog import CatalogFollower
from geosvc.encode.compression import compress
from geosvc.errors import (
    InternalError,
    MisdirectedRequest,
    RequestError,
    StaleCatalog,
    StaleType,
    Unavailable,
    UnreadableGeometry,
    UnreadableValue,
)
from geosvc.events import ClientGone, emit
from geosvc.http.cors import answer_preflight, is_preflight
from geosvc.http.error_responses import error_response, router_response
from geosvc.http.hosts import KnownHosts
from geosvc.http.keys import CATALOG, NO_OPERATION, OBSERVED, PRINCIPAL, STREAMING, TRACE
from geosvc.http.response_end import (
    CLIENT_CLOSED_REQUEST,
    REQUEST_ID_HEADER,
    end_trace,
    request_ids,
)
from geosvc.http.send_monitor import HELD_FROM_BYTES
from geosvc.http.streaming import PreEncodedResponse, break_off, send_whole
from geosvc.http.validators import coding_of
from geosvc.model.principal import ANONYMOUS, Principal, current_principal
from geosvc.redaction import scrub
from geosvc.requests.preconditions import tag_of_coding
from geosvc.trace import Trace, current_trace

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ETAG = "ETag"  # as RFC 9110 writes it
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)

# a column that was altered may have values that the statement cannot write
_MAY_BE_STALE = (StaleCatalog, UnreadableGeometry, UnreadableValue)


@web.middleware
async def wrap_request(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that surrounds a handler. One middleware costs a request less than several do."""
    request_id = request.headers.get(REQUEST_ID_HEADER)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = next(request_ids)
    trace = Trace(request_id, request.method)
    trace.peer = request.remote
    trace.headers = request.headers
    request[TRACE] = trace
    request[PRINCIPAL] = ANONYMOUS  # authentication would be here, and call `set_principal`
    current_trace.set(trace)
    app = request.app
    observed = app[OBSERVED]
    handler_of_route = request.match_info.handler
    trace.operation, trace.route = observed.operations.get(handler_of_route, NO_OPERATION)
    if observed.telemetry:
        observed.open_requests[trace] = request
        trace.measured = True
    response = await _guarded(request, handler, app[CATALOG])
    if not isinstance(response, web.Response):
        return response
    body = response.body
    if type(response) is not PreEncodedResponse:
        if isinstance(body, bytes):
            trace.bytes = len(body)
        _compress_whole_body(request, response)
    body = response.body
    if isinstance(body, bytes) and len(body) > HELD_FROM_BYTES:
        return await _send_whole(request, response, body)
    return response


def set_principal(request: web.Request, principal: Principal) -> None:
    """Sets who sends a request, for its handler and for its statements."""
    request[PRINCIPAL] = principal
    current_principal.set(principal)


async def _send_whole(request: web.Request, response: web.Response, body: bytes) -> web.Response:
    try:
        await send_whole(request, response, body)
    except RequestError as error:
        return error_response(request, error)
    return response


def only_known_hosts(known: KnownHosts) -> Middleware:
    """A middleware that refuses requests to names that the listener does not have."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        hosts = request.headers.getall(hdrs.HOST, ())
        if not known.answers(hosts):
            raise MisdirectedRequest(
                "the admin listener does not answer to this Host:"
                " GEOSVC_ADMIN_HOSTS does not name it"
            )
        return await handler(request)

    return check_host


async def _guarded(
    request: web.Request, handler: Handler, follower: CatalogFollower
) -> web.StreamResponse:
    """The error boundary: every exception becomes a problem.

    A handler runs once more, with a fresh catalog, when a table was altered meanwhile.
    """
    try:
        if request.method == hdrs.METH_OPTIONS and is_preflight(request):
            return answer_preflight(request)
        seen = follower.current
        try:
            return await handler(request)
        except _MAY_BE_STALE as error:
            return await _run_again(request, handler, follower, seen, error)
    except asyncio.CancelledError:
        _note_disconnect(request)
        raise
    except web.HTTPException as error:
        return router_response(request, error)
    except RequestError as error:
        return error_response(request, error)
    except Exception as error:  # whatever it is, the client learns only the request id
        values = [*request.query.values(), *request.match_info.values()]
        values.append(request.query_string)
        stack = scrub("".join(traceback.format_exception(error)), values)
        internal_error = InternalError(scrub(str(error), values))
        response = error_response(request, internal_error, stack)
        if request.get(STREAMING):
            break_off(request)
            raise
        return response


def _note_disconnect(request: web.Request) -> None:
    trace = request[TRACE]
    if not trace.aborted:  # otherwise the service itself has cut the connection
        emit(ClientGone(method=trace.method, route=trace.route))
    end_trace(request, trace, CLIENT_CLOSED_REQUEST)


async def _run_again(
    request: web.Request,
    handler: Handler,
    follower: CatalogFollower,
    seen: Catalog | None,
    error: RequestError,
) -> web.StreamResponse:
    """Runs a handler that has failed once more, if that may help.

    Args:
        seen: the catalog that it had.
        error: its failure.
    Raises: `error`, where it does not help; RequestError.
    """
    if not _can_run_again(request, error):
        raise error
    if not await follower.may_retry(seen, error):
        if not isinstance(error, StaleType):
            raise error
        # the catalog is right, so a value is the cause: the handler now checks each value
        request[TRACE].has_fresh_catalog = True
    seen = follower.current
    try:
        return await handler(request)
    except StaleCatalog as stale:
        if await follower.may_retry(seen, stale):
            raise Unavailable("the collection is being altered; try again") from stale
        raise


def _can_run_again(request: web.Request, error: RequestError) -> bool:
    """Whether the handler may run again after an error.

    A write whose answer cannot be read may have been carried out.
    """
    if isinstance(error, StaleCatalog) or request.path.endswith("/search"):
        return True
    return request.method in (hdrs.METH_GET, hdrs.METH_HEAD)


def _compress_whole_body(request: web.Request, response: web.Response) -> None:
    """Compresses a body in one piece. Streams compress themselves; events are not compressed."""
    response.headers.add(hdrs.VARY, "Accept, Accept-Encoding")
    body = response.body
    if not isinstance(body, bytes) or hdrs.CONTENT_ENCODING in response.headers:
        return
    coding = coding_of(request, body)
    if coding is None:
        return
    response.body = compress(body, coding)
    response.headers[hdrs.CONTENT_ENCODING] = coding
    if ETAG in response.headers:
        response.headers[ETAG] = tag_of_coding(response.headers[ETAG], coding)
