"""What happens around every handler: a request id, an error boundary, CORS, compression."""

import asyncio
import re
import traceback
from collections.abc import Awaitable, Callable
from itertools import count
from secrets import token_hex

from aiohttp import hdrs, web

from geosvc.encode.compression import CODINGS, compress
from geosvc.errors import InternalError, InvalidParameter, MethodNotAllowed, NotFound, RequestError, StaleCatalog
from geosvc.events import ClientGone, RequestFailed, current_request_id, emit
from geosvc.handlers.streaming import break_off
from geosvc.keys import CATALOG, REQUEST_ID, SETTINGS, STREAMING
from geosvc.problem import problem_response
from geosvc.requests.negotiation import negotiate_coding

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID_HEADER = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_EXPOSED = "Content-Crs, ETag, Link, Location, Allow, Accept-Patch, X-Request-ID, Server-Timing"
_PREFLIGHT_SECONDS = "86400"
_COMPRESS_FROM_BYTES = 1_024


_process_id = token_hex(6)  # random once a process: urandom is a system call
_request_ids = (f"{_process_id}{number:08x}" for number in count())


@web.middleware
async def surround(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Everything that surrounds a handler, in one middleware, since aiohttp charges for each."""
    request_id = request.headers.get(REQUEST_ID_HEADER)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = next(_request_ids)
    request[REQUEST_ID] = request_id
    current_request_id.set(request_id)
    if _is_preflight(request):
        return _answer_preflight(request)
    response = await _guarded(request, handler)
    if isinstance(response, web.Response):
        _compress_whole_body(request, response)
    return response


async def _guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The error boundary: what fails becomes a problem."""
    try:
        return await _replanned(request, handler)
    except asyncio.CancelledError:
        emit(ClientGone(method=request.method, path=request.path))
        raise
    except web.HTTPException as error:
        return _refused(request, error)
    except RequestError as error:
        return _failed(request, error)
    except Exception as error:  # whatever it is, the client learns only the request id
        response = _failed(request, InternalError(str(error)), "".join(traceback.format_exception(error)))
        if request.get(STREAMING):
            break_off(request)
            raise
        return response


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp's router refuses; an OPTIONS that no handler takes is answered here."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = sorted(error.allowed_methods | {hdrs.METH_OPTIONS})
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(headers={hdrs.ALLOW: ", ".join(allowed)})
        return _failed(request, MethodNotAllowed(f"{request.method} is not for this resource", allowed=allowed))
    if isinstance(error, web.HTTPNotFound):
        return _failed(request, NotFound("there is nothing at this path"))
    return _failed(request, InvalidParameter(error.reason))


async def _replanned(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Runs a handler, and once more with a fresh catalog when a table was altered under it."""
    try:
        return await handler(request)
    except StaleCatalog:
        await request.app[CATALOG].look()
        return await handler(request)


def _failed(request: web.Request, error: RequestError, trace: str | None = None) -> web.Response:
    if error.status >= 500:
        emit(
            RequestFailed(
                method=request.method,
                path=request.path,
                status=error.status,
                slug=error.slug,
                detail=f"{error.detail}: {error.__cause__}" if error.__cause__ else error.detail,
                traceback=trace,
            )
        )
    return problem_response(error, request[REQUEST_ID])


def _is_preflight(request: web.Request) -> bool:
    """A CORS preflight is an OPTIONS with Access-Control-Request-Method; every other OPTIONS is the resource's own."""
    return request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers


def _answer_preflight(request: web.Request) -> web.Response:
    wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "*")
    return web.Response(
        status=204,
        headers={
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, HEAD, OPTIONS",
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: wanted,
            hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
        },
    )


def _compress_whole_body(request: web.Request, response: web.Response) -> None:
    """Compresses what is sent in one piece; streams compress themselves, and events are never compressed."""
    response.headers.add(hdrs.VARY, "Accept, Accept-Encoding")
    body = response.body
    if isinstance(body, bytes) and len(body) >= _COMPRESS_FROM_BYTES:
        coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
        if coding is not None:
            response.body = compress(body, coding)
            response.headers[hdrs.CONTENT_ENCODING] = coding


async def add_common_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every response carries, streams too: the request id, and CORS for the origins that may read."""
    headers = response.headers
    headers[REQUEST_ID_HEADER] = request.get(REQUEST_ID) or next(_request_ids)
    headers[hdrs.SERVER] = "geosvc"
    origin = request.headers.get(hdrs.ORIGIN)
    allowed = request.app[SETTINGS].cors_origins
    if "*" not in allowed:
        headers.add(hdrs.VARY, "Origin")  # for those without a right to read too: a cache must not mix them up
    if origin is None or not {"*", origin} & set(allowed):
        return
    headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in allowed else origin
    headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED
