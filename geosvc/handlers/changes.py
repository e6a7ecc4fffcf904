"""The changes of a collection as server-sent events. Source: WHATWG HTML 9.2."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing

from aiohttp import hdrs, web

from geosvc.errors import Forbidden, NotPublished, RequestError
from geosvc.events import ClientGone, StreamAborted, emit
from geosvc.handlers.documents import collection_of, query_of
from geosvc.handlers.pages import reading_rules
from geosvc.handlers.streaming import break_off
from geosvc.keys import CATALOG, HUB, SETTINGS, STREAMING, TRACE
from geosvc.live.hub import Wanted
from geosvc.model.media_type import EVENTS
from geosvc.model.snapshot import Position
from geosvc.requests.changes import parse_changes_request
from geosvc.requests.declared import LAST_EVENT_ID
from geosvc.requests.event_id import parse_event_id
from geosvc.requests.negotiation import negotiate_media_type

HEADERS = {
    hdrs.CONTENT_TYPE: EVENTS.content_type,
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.VARY: "Accept",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}

_WRITE_BYTES = 1 << 18


async def get_changes(request: web.Request) -> web.StreamResponse:
    """Every change from now on, or from where the client was."""
    try:
        return await send_events(request, await parse_subscription(request))
    except NotPublished:  # or a moment ago, as the catalog does not know yet
        await request.app[CATALOG].look()
        return await send_events(request, await parse_subscription(request))


async def parse_subscription(request: web.Request) -> Wanted:
    """What a subscriber asks for. Raises: RequestError."""
    collection = await collection_of(request)
    values = query_of(request)
    wanted = parse_changes_request(values, collection, reading_rules(request, paged=False))
    negotiate_media_type(None, request.headers.get(hdrs.ACCEPT), (EVENTS,))
    position = parse_position(request, values)
    if collection.row_security:
        raise Forbidden(f"policies decide who may read which rows of {collection.id}, and its log knows nothing of them")
    if collection.publication is None:
        raise NotPublished(collection.id)
    return Wanted(collection, collection.publication.id, wanted, position, lambda: break_off(request))


def parse_position(request: web.Request, values: Mapping[str, str]) -> tuple[str, Position] | None:
    """Where to go on; None: from now on. A browser that comes back sends the header beside what it was first asked with.

    Raises: InvalidParameter.
    """
    if last := request.headers.get("Last-Event-ID"):
        return parse_event_id(last)
    return parse_event_id(values[LAST_EVENT_ID.name], LAST_EVENT_ID.name) if LAST_EVENT_ID.name in values else None


async def send_events(request: web.Request, wanted: Wanted) -> web.StreamResponse:
    """Sends events as they come; the first piece is there before the response begins, so that its errors come before it."""
    async with aclosing(request.app[HUB].stream(wanted)) as stream:
        first = await anext(stream)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        request[STREAMING] = True
        if request.method == hdrs.METH_HEAD:
            return response
        trace = request[TRACE]
        trace.measured, trace.heaviest = False, None  # it is not slow for being there for hours
        try:
            await response.write(first)
            async for piece in stream:
                if piece:
                    trace.bytes += len(piece)
                    await _write(response, piece, request.app[SETTINGS].write_stall_seconds)
            await response.write_eof()
        except (RequestError, TimeoutError) as error:
            reason = str(error) or "the client takes nothing any more"
            emit(StreamAborted(route=trace.route, collection=trace.collection, reason=reason))
            break_off(request)
        except ConnectionError:
            trace.aborted = True
            emit(ClientGone(method=request.method, route=trace.route))
        return response


async def _write(response: web.StreamResponse, piece: bytes, stall_seconds: float) -> None:
    """Raises: TimeoutError when the client takes nothing: a replay may hold a connection to the database meanwhile."""
    for start in range(0, len(piece), _WRITE_BYTES):
        async with asyncio.timeout(stall_seconds):
            await response.write(piece[start : start + _WRITE_BYTES])
