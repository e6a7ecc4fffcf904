"""The answer with a page of features: made as a whole when small, streamed when large."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from aiohttp import web

from geosvc.caching.response import CachedResponse
from geosvc.database.reads.features import fetch_features, stream_features
from geosvc.handlers.cached_answer import plain_response
from geosvc.handlers.feature_query import FeatureQuery, batch_size, is_large, plan_page
from geosvc.handlers.page_members import (
    count_from_page,
    count_matching,
    describe_page,
    following_headers,
    is_exact_enough,
)
from geosvc.http.keys import DATABASE, SETTINGS
from geosvc.http.streaming import send_stream
from geosvc.model.row import Row
from geosvc.query.feature_format import Encoder
from geosvc.query.paging import PageEnd


async def build_page(
    request: web.Request,
    feature_query: FeatureQuery,
    headers: Mapping[str, str],
    version: int | None,
) -> CachedResponse:
    """A page of features as a whole.

    Args:
        headers: of every answer to this request.
        version: of the table, where it is known.
    Raises: RequestError.
    """
    query = feature_query.query
    page = await plan_page(request, feature_query)
    encoder = feature_query.format.make_encoder(page.header)
    end = PageEnd(query.limit)
    fetched = await fetch_features(request.app[DATABASE], page)
    rows = end.take(fetched)
    count = await count_matching(request, feature_query, version, end)
    pieces = [encoder.begin()]
    if rows:
        pieces.append(encoder.batch(rows))
    members = describe_page(feature_query, end, count)
    pieces.append(encoder.end(members))
    body = b"".join(pieces)
    all_headers = following_headers(feature_query, end, count, headers)
    return CachedResponse(body, all_headers, lasting=is_exact_enough(query, count))


async def stream_page(
    request: web.Request,
    feature_query: FeatureQuery,
    headers: Mapping[str, str],
    version: int | None,
) -> web.StreamResponse:
    """Sends a page of features while it is read.

    Args:
        headers, version: as of `build_page`.
    Raises: RequestError.
    """
    # counted first: a request that holds one connection must not wait for another
    count = await count_matching(request, feature_query, version)
    end = PageEnd(feature_query.query.limit)

    def members() -> Mapping[str, object]:
        exact_count = count_from_page(feature_query, end)
        return describe_page(feature_query, end, exact_count or count)

    pieces = await read_pieces_of_body(request, feature_query, end, members)
    return await send_stream(request, pieces, headers)


async def send_page(
    request: web.Request,
    feature_query: FeatureQuery,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Answers with a page that is not kept. Raises: RequestError."""
    stream_above_rows = request.app[SETTINGS].stream_above_rows
    if is_large(feature_query, stream_above_rows):
        return await stream_page(request, feature_query, headers, None)
    body = await build_page(request, feature_query, headers, None)
    return plain_response(body)


async def read_pieces_of_body(
    request: web.Request,
    feature_query: FeatureQuery,
    end: PageEnd,
    members: Callable[[], Mapping[str, object]],
) -> AsyncGenerator[bytes, None]:
    """Plans the features of a request and returns the pieces of the body.

    Args:
        end: is moved on as features are read.
        members: of the collection, called when all features are written.
    Raises: InvalidFilter.
    """
    page = await plan_page(request, feature_query)
    encoder = feature_query.format.make_encoder(page.header)
    sizes = batch_size(request, feature_query)
    batches = stream_features(request.app[DATABASE], page, sizes)
    return encode_batches(batches, encoder, end, members)


async def encode_batches(
    batches: AsyncGenerator[Sequence[Row], None],
    encoder: Encoder,
    end: PageEnd,
    members: Callable[[], Mapping[str, object]],
) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, one for each batch.

    The first piece comes with the first batch, so that an error of the first batch comes before
    anything is sent.

    Args:
        members: of the collection, called when all features are written.
    """
    async with aclosing(batches):
        piece = encoder.begin()
        async for batch in batches:
            rows = end.take(batch)
            if rows:
                piece += encoder.batch(rows)
            yield piece
            piece = b""
        yield piece + encoder.end(members())
