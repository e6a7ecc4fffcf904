"""Sending a body of any size: the first piece is made before the response begins, every other when the client has taken
the last. Once a byte is sent, a failure breaks the connection off: a truncated body never looks complete.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import perf_counter

from aiohttp import hdrs, web

from geosvc.encode.compression import CODINGS, Compressor, make_compressor
from geosvc.errors import RequestError
from geosvc.events import ClientGone, StreamAborted, emit
from geosvc.keys import SETTINGS, STREAMING, TRACE
from geosvc.requests.negotiation import negotiate_coding


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
        response = web.StreamResponse(headers={**headers, hdrs.VARY: "Accept, Accept-Encoding"})
        coding = negotiate_coding(request.headers.get(hdrs.ACCEPT_ENCODING), CODINGS)
        if coding is not None:
            response.headers[hdrs.CONTENT_ENCODING] = coding
        await response.prepare(request)
        request[STREAMING] = True
        if request.method == hdrs.METH_HEAD:
            return response
        try:
            await _send(request, response, first, pieces, make_compressor(coding) if coding else None)
        except (RequestError, TimeoutError) as error:
            trace = request[TRACE]
            reason = str(error) or "the client takes nothing any more"
            emit(StreamAborted(route=trace.route, collection=trace.collection, reason=reason))
            break_off(request)
        except ConnectionError:
            request[TRACE].aborted = True
            emit(ClientGone(method=request.method, route=request[TRACE].route))
        return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    first: bytes,
    pieces: AsyncGenerator[bytes, None],
    compressor: Compressor | None,
) -> None:
    stall_seconds = request.app[SETTINGS].write_stall_seconds
    trace = request[TRACE]

    async def write(data: bytes) -> None:
        if data:
            started = perf_counter()
            try:
                async with asyncio.timeout(stall_seconds):
                    await response.write(data)
            finally:
                trace.send_seconds += perf_counter() - started

    async def write_piece(piece: bytes) -> None:
        trace.bytes += len(piece)
        await write(compressor.compress(piece) if compressor else piece)

    await write_piece(first)
    async for piece in pieces:
        await write_piece(piece)
    if compressor:
        await write(compressor.flush())
    await response.write_eof()


def break_off(request: web.Request) -> None:
    """Cuts the connection, so that a body that is not whole never looks complete."""
    request[TRACE].aborted = True
    if request.transport is not None:
        request.transport.abort()
