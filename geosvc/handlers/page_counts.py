"""The number of features that match a request for a page."""

from dataclasses import replace
from functools import partial

from aiohttp import web

from geosvc.database.reads.counts import Count
from geosvc.handlers.cached_answer import cache_key_of, cached_value
from geosvc.handlers.feature_query import FeatureQuery
from geosvc.http.keys import COUNTS, SETTINGS
from geosvc.query.paging import PageEnd
from geosvc.requests.items import GeometryStyle, ItemsQuery

_COUNT_BYTES = 64


async def count_matching(
    request: web.Request,
    feature_query: FeatureQuery,
    version: int | None = None,
    end: PageEnd | None = None,
) -> Count | None:
    """How many features match in all; None where the request asks for no count.

    It costs nothing on the pages after the first, and on a first page that is the last. Else all
    pages of the same features share one count at each version of the table.

    Args:
        version: of the table, where it is known.
        end: of the page, where it was read already.
    Raises: RequestError.
    """
    query = feature_query.query
    if query.count == "none":
        return None
    if query.cursor is not None and query.cursor.matched is not None:
        return Count(query.cursor.matched, exact=True)
    whole = whole_count(feature_query, end) if end is not None else None
    if whole is not None:
        return whole
    count = partial(request.app[COUNTS].matching, feature_query.collection, query)
    if version is None:
        return await count()
    key = cache_key_of(
        request,
        "count",
        feature_query.collection,
        _is_estimated_only(request, query),
        _matching_part(query),
    )
    return await cached_value(request, key, count, partial(_size_of_count, query), version)


def whole_count(feature_query: FeatureQuery, end: PageEnd) -> Count | None:
    """The exact count where the page holds all features that match; else None."""
    query = feature_query.query
    if query.count == "none" or end.more or query.cursor is not None:
        return None
    if end.returned == 0 and query.offset > 0:
        return None
    return Count(query.offset + end.returned, exact=True)


def is_whole(query: ItemsQuery, count: Count | None) -> bool:
    """Whether a count is as exact as the request asks; the time limit may have cut it short."""
    return query.count != "exact" or count is None or count.exact


def _size_of_count(query: ItemsQuery, count: Count | None) -> int | None:
    return _COUNT_BYTES if is_whole(query, count) else None


def _is_estimated_only(request: web.Request, query: ItemsQuery) -> bool:
    """Whether the page is so large that its features are not counted."""
    count_exact_rows = request.app[SETTINGS].count_exact_rows
    return query.count == "estimated" and (query.limit or 0) >= count_exact_rows


def _matching_part(query: ItemsQuery) -> ItemsQuery:
    """The part of a request that decides which features match."""
    return replace(
        query,
        limit=None,
        limited=False,
        offset=0,
        cursor=None,
        sortby=(),
        properties=None,
        geometry=GeometryStyle(),
        bigint_as_text=False,
    )
