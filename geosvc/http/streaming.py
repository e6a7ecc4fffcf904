"""Sends a body of any size, piece by piece.

The first piece is made before the response begins, every other when the client has taken the one
before. After the first byte, a failure breaks the connection off: a truncated body never looks
complete. `geosvc.http.send_monitor` decides whether the client reads fast enough.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import perf_counter

from aiohttp import hdrs, web

from geosvc.encode.compression import CODINGS, Compressor, make_compressor
from geosvc.errors import RequestError
from geosvc.events import ClientGone, StreamAborted, emit
from geosvc.http.keys import SEND_MONITOR, STREAMING, TRACE
from geosvc.http.send_monitor import SLICE_BYTES
from geosvc.requests.negotiation import negotiate_coding


class PreEncodedResponse(web.Response):
    """A response with its own Vary, whose body is compressed already where the client allows it."""


async def send_stream(
    request: web.Request, pieces: AsyncGenerator[bytes, None], headers: Mapping[str, str]
) -> web.StreamResponse:
    """Sends the pieces of a body as they are made.

    Args:
        pieces: at least one; closed when the response ends, however it ends.
    Raises: RequestError, before the first byte only.
    """
    async with aclosing(pieces):
        first = await anext(pieces)
        response = web.StreamResponse(headers=headers)
        response.headers[hdrs.VARY] = "Accept, Accept-Encoding"
        accepted_codings = request.headers.get(hdrs.ACCEPT_ENCODING)
        coding = negotiate_coding(accepted_codings, CODINGS)
        compressor: Compressor | None = None
        if coding is not None:
            response.headers[hdrs.CONTENT_ENCODING] = coding
        await response.prepare(request)
        request[STREAMING] = True
        if request.method == hdrs.METH_HEAD:
            return response
        if coding is not None:
            compressor = make_compressor(coding)
        trace = request[TRACE]
        monitor = request.app[SEND_MONITOR]
        try:
            with monitor.stream(transport_of(request), trace):
                await _send(request, response, first, pieces, compressor)
        except RequestError as error:
            reason = str(error)
            emit(StreamAborted(route=trace.route, collection=trace.collection, reason=reason))
            break_off(request)
        except ConnectionError:
            _report_client_gone(request)
        return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    first: bytes,
    pieces: AsyncGenerator[bytes, None],
    compressor: Compressor | None,
) -> None:
    trace = request[TRACE]

    async def write(data: bytes) -> None:
        started = perf_counter()
        try:
            await _write_slices(response, data)
        finally:
            trace.send_seconds += perf_counter() - started

    async def write_piece(piece: bytes) -> None:
        trace.bytes += len(piece)
        if compressor is not None:
            piece = compressor.compress(piece)
        await write(piece)

    await write_piece(first)
    async for piece in pieces:
        await write_piece(piece)
    if compressor is not None:
        await write(compressor.flush())
    await response.write_eof()


async def send_whole(request: web.Request, response: web.Response, body: bytes) -> None:
    """Sends a response whose body is larger than a slice.

    The body is held once, and the connection copies none of it.

    Raises: MemoryExhausted, before the first byte.
    """
    monitor = request.app[SEND_MONITOR]
    try:
        with monitor.hold(transport_of(request), request[TRACE], body):
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await _write_slices(response, body)
            await web.StreamResponse.write_eof(response)  # that of Response would write the body
    except ConnectionError:
        _report_client_gone(request)


async def _write_slices(response: web.StreamResponse, data: bytes) -> None:
    """Writes each slice when the transport has room again."""
    view = memoryview(data)
    for start in range(0, len(data), SLICE_BYTES):
        await response.write(view[start : start + SLICE_BYTES])


def transport_of(request: web.Request) -> asyncio.Transport:
    """The connection of a request. Raises: ConnectionResetError when the client has gone."""
    if request.transport is None:
        raise ConnectionResetError("the client has gone")
    return request.transport


def _report_client_gone(request: web.Request) -> None:
    trace = request[TRACE]
    if not trace.aborted:
        trace.aborted = True
        emit(ClientGone(method=request.method, route=trace.route))


def break_off(request: web.Request) -> None:
    """Cuts the connection, so that a body that is not whole never looks complete."""
    request[TRACE].aborted = True
    if request.transport is not None:
        request.transport.abort()
