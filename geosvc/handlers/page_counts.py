"""The number of features that match a request for a page."""

from functools import partial

from aiohttp import web

from geosvc.database.reads.counts import Count
from geosvc.handlers.cached_answer import cache_key_of, cached_value
from geosvc.handlers.feature_query import FeatureQuery
from geosvc.http.keys import COUNTS, SETTINGS
from geosvc.model.principal import ANONYMOUS
from geosvc.query.paging import PageEnd
from geosvc.requests.items import ItemsQuery

_COUNT_BYTES = 64


async def count_matching(
    request: web.Request,
    feature_query: FeatureQuery,
    version: int | None = None,
    end: PageEnd | None = None,
) -> Count | None:
    """How many features match in all; None where the request asks for no count.

    Nothing is counted where the cursor has the count, or the page shows it. Else all pages of the
    same features share one count at each version of the table.

    Args:
        version: of the table, where it is known.
        end: of the page, where it was read already.
    Raises: RequestError.
    """
    collection = feature_query.collection
    query = feature_query.query
    if query.count == "none":
        return None
    known = _count_from_cursor(feature_query)
    if known is None and end is not None:
        known = count_from_page(feature_query, end)
    if known is not None:
        return known
    count = partial(request.app[COUNTS].matching, collection, query)
    if version is None:
        return await count()
    estimated_only = _is_estimated_only(request, query)
    key = cache_key_of(request, "count", collection, estimated_only, query.selection())
    size_of = partial(_size_of_count, query)
    return await cached_value(request, key, count, size_of, version)


def _count_from_cursor(feature_query: FeatureQuery) -> Count | None:
    """The exact count that was found for the first page; None where the cursor has none."""
    cursor = feature_query.query.cursor
    if cursor is None or cursor.matched is None or not cursors_have_counts(feature_query):
        return None
    return Count(cursor.matched, exact=True)


def cursors_have_counts(feature_query: FeatureQuery) -> bool:
    """Whether cursors carry the count of the first page to the next pages.

    Only those of anonymous clients do: a cursor can be given to somebody else, and other principals
    may not see the same features.
    """
    return feature_query.principal == ANONYMOUS


def count_from_page(feature_query: FeatureQuery, end: PageEnd) -> Count | None:
    """The exact count where the page ends with the last feature that matches; else None."""
    query = feature_query.query
    if query.count == "none" or query.cursor is not None or end.more:
        return None
    is_beyond_end = end.returned == 0 and query.offset > 0
    if is_beyond_end:
        return None
    return Count(query.offset + end.returned, exact=True)


def is_exact_enough(query: ItemsQuery, count: Count | None) -> bool:
    """Whether a count is as exact as the request wants it; the time limit may prevent that."""
    if query.count != "exact" or count is None:
        return True
    return count.exact


def _size_of_count(query: ItemsQuery, count: Count | None) -> int | None:
    if not is_exact_enough(query, count):
        return None
    return _COUNT_BYTES


def _is_estimated_only(request: web.Request, query: ItemsQuery) -> bool:
    """Whether the page is so large that its features are not counted."""
    count_exact_rows = request.app[SETTINGS].count_exact_rows
    limit = query.limit or 0
    return query.count == "estimated" and limit >= count_exact_rows
