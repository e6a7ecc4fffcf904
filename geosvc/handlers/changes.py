"""The changes of a collection as server-sent events. Source: WHATWG HTML 9.2."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial

from aiohttp import hdrs, web

from geosvc.errors import Forbidden, NotPublished, RequestError
from geosvc.events import ClientGone, StreamAborted, emit
from geosvc.handlers.feature_query import reading_rules
from geosvc.http.documents import collection_of, query_of
from geosvc.http.keys import CATALOG, HUB, OFFLOAD, PRINCIPAL, SETTINGS, STREAMING, TRACE
from geosvc.http.send_monitor import SLICE_BYTES
from geosvc.http.streaming import break_off
from geosvc.live.evaluation import Selection
from geosvc.live.hub import Subscription
from geosvc.model.collection import Collection
from geosvc.model.media_type import EVENTS
from geosvc.model.snapshot import Position
from geosvc.query.change_log.selected import StatesPlan, plan_states
from geosvc.requests.declared import LAST_EVENT_ID
from geosvc.requests.event_id import parse_event_id
from geosvc.requests.filters import MOST_WEIGHT, WEIGHT
from geosvc.requests.items import ItemsQuery
from geosvc.requests.negotiation import negotiate_media_type
from geosvc.requests.subscription import parse_subscription

HEADERS = {
    hdrs.CONTENT_TYPE: EVENTS.content_type,
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.VARY: "Accept",
    "X-Accel-Buffering": "no",  # nginx would hold events back
}


async def get_changes(request: web.Request) -> web.StreamResponse:
    """Every change from now on, or from the last event that the client received."""
    try:
        return await send_events(request, await parse_subscription_request(request))
    except NotPublished:
        # it may have been published since the catalog was read
        await request.app[CATALOG].look()
        return await send_events(request, await parse_subscription_request(request))


async def parse_subscription_request(request: web.Request) -> Subscription:
    """What a client subscribes to. Raises: RequestError."""
    collection = await collection_of(request)
    values = query_of(request)
    query = await _parse_query(request, collection, values)
    negotiate_media_type(None, request.headers.get(hdrs.ACCEPT), (EVENTS,))
    last = _parse_position(request, values)
    publication = _publication_of(collection)
    selection = Selection.of(query, request[PRINCIPAL])
    plan = await _plan(request, collection, selection)
    drop = partial(break_off, request)
    return Subscription(selection, plan, publication, last, drop)


async def _parse_query(
    request: web.Request,
    collection: Collection,
    values: Mapping[str, str],
) -> ItemsQuery:
    """Which changes; a long query string is parsed in a thread. Raises: RequestError."""
    query_string = request.rel_url.raw_query_string
    weight = min(WEIGHT * len(query_string), MOST_WEIGHT)
    rules = reading_rules(request, paged=False)
    offload = request.app[OFFLOAD]
    return await offload.run(weight, parse_subscription, values, collection, rules)


def _publication_of(collection: Collection) -> int:
    """The id of the collection in the change log. Raises: Forbidden, NotPublished."""
    if collection.row_security:
        raise Forbidden(
            f"policies decide who may read which rows of {collection.id}, and the change log does"
            " not know them"
        )
    if collection.publication is None:
        raise NotPublished(collection.id)
    return collection.publication.id


async def _plan(request: web.Request, collection: Collection, selection: Selection) -> StatesPlan:
    """How logged rows are evaluated; a long filter is planned in a thread. Raises: RequestError."""
    weight = 0
    if selection.query.filter is not None:
        weight = selection.query.filter.weight
    offload = request.app[OFFLOAD]
    return await offload.run(weight, plan_states, collection, selection.query)


def _parse_position(request: web.Request, values: Mapping[str, str]) -> tuple[str, Position] | None:
    """The position after which to resume; None: from now on.

    The header comes first: a browser that reconnects sends it beside the parameter of its first
    request.

    Raises: InvalidParameter.
    """
    last_event_id = request.headers.get("Last-Event-ID")
    if last_event_id:
        return parse_event_id(last_event_id)
    if LAST_EVENT_ID.name in values:
        return parse_event_id(values[LAST_EVENT_ID.name], LAST_EVENT_ID.name)
    return None


async def send_events(request: web.Request, subscription: Subscription) -> web.StreamResponse:
    """Sends events as they come.

    The first piece is read before the response begins, so that an error of it has its own status.

    Raises: RequestError, before the first byte only.
    """
    async with aclosing(request.app[HUB].stream(subscription)) as stream:
        first = await anext(stream)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        request[STREAMING] = True
        if request.method == hdrs.METH_HEAD:
            return response
        await _send_pieces(request, response, first, stream)
        return response


async def _send_pieces(
    request: web.Request,
    response: web.StreamResponse,
    first: bytes,
    others: AsyncIterator[bytes],
) -> None:
    """Sends pieces until the stream or the client ends; an error breaks the connection off."""
    trace = request[TRACE]
    trace.measured = False  # the request lasts hours, but it is not slow
    trace.heaviest = None
    try:
        await response.write(first)
        await _write_all(request, response, others)
        await response.write_eof()
    except (RequestError, TimeoutError) as error:
        reason = str(error) or "the client takes nothing any more"
        emit(StreamAborted(route=trace.route, collection=trace.collection, reason=reason))
        break_off(request)
    except ConnectionError:
        trace.aborted = True
        emit(ClientGone(method=request.method, route=trace.route))


async def _write_all(
    request: web.Request,
    response: web.StreamResponse,
    pieces: AsyncIterator[bytes],
) -> None:
    """Raises: RequestError, TimeoutError, ConnectionError."""
    trace = request[TRACE]
    stall_seconds = request.app[SETTINGS].write_stall_seconds
    async for piece in pieces:
        if piece:
            trace.bytes += len(piece)
            await _write(response, piece, stall_seconds)


async def _write(response: web.StreamResponse, piece: bytes, stall_seconds: float) -> None:
    """Raises: TimeoutError when the client reads nothing: a replay may hold a connection."""
    for start in range(0, len(piece), SLICE_BYTES):
        end = start + SLICE_BYTES
        async with asyncio.timeout(stall_seconds):
            await response.write(piece[start:end])
