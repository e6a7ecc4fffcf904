"""What a page has beside its features: members of the FeatureCollection, headers, the count."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote

from aiohttp import hdrs, web

from geosvc.database.reads.counts import Count
from geosvc.handlers.cached_answer import cache_key_of, cached_value
from geosvc.handlers.feature_query import FeatureQuery
from geosvc.http.keys import COUNTS, SETTINGS
from geosvc.http.links import (
    link,
    next_search_link,
    queryables_header,
)
from geosvc.model.media_type import MediaType
from geosvc.model.principal import ANONYMOUS
from geosvc.query.geometry.search_geometry import is_nearest
from geosvc.query.paging import PageEnd, next_cursor
from geosvc.requests.cursor import encode_cursor
from geosvc.requests.items import ItemsQuery

LIMIT_APPLIED = "Geosvc-Limit-Applied"
"""The header of a page whose limit is less than the request asked for: the maximum of the limit."""

NEXT_CURSOR = "Geosvc-Next-Cursor"
"""The header with the cursor of the next page, of a search whose format has no place for links."""

_COUNT_BYTES = 64
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9._ -]")


def content_crs(query: ItemsQuery) -> dict[str, str]:
    """The header with the CRS of the coordinates."""
    return {"Content-Crs": query.geometry.crs.content_crs}


def limit_header(query: ItemsQuery) -> dict[str, str]:
    """The header of a page with fewer features than the request asked for."""
    if not query.limited:
        return {}
    return {LIMIT_APPLIED: str(query.limit)}


def page_headers(feature_query: FeatureQuery) -> dict[str, str]:
    """The headers of a page: media type, CRS, limit, and the link to the queryables."""
    query = feature_query.query
    return {
        hdrs.CONTENT_TYPE: feature_query.media_type.content_type,
        **content_crs(query),
        **limit_header(query),
        hdrs.LINK: queryables_header(feature_query.base, feature_query.collection),
    }


def following_headers(
    feature_query: FeatureQuery,
    end: PageEnd,
    count: Count | None,
    headers: Mapping[str, str],
) -> Mapping[str, str]:
    """The headers of a page with those that lead to the next one, where its body has no links.

    Args:
        headers: of every answer to this request.
    """
    if feature_query.format.links_in_body:
        return headers
    cursor = _next_cursor(feature_query, end, count)
    if cursor is None:
        return headers
    if feature_query.posted:
        return {**headers, NEXT_CURSOR: cursor}
    url = f"{feature_query.next_pages_url}{cursor}"
    links = f'{headers[hdrs.LINK]}, <{url}>; rel="next"'
    return {**headers, hdrs.LINK: links}


def content_disposition(collection_id: str, media_type: MediaType) -> str:
    """The file name of a download, and one in ASCII for old clients. Source: RFC 6266 4.3."""
    name = f"{collection_id}.{media_type.extension}"
    ascii_name = _NOT_PLAIN.sub("_", name)
    encoded_name = quote(name, safe="")
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{encoded_name}"


def describe_page(
    feature_query: FeatureQuery,
    end: PageEnd,
    count: Count | None,
) -> Mapping[str, object]:
    """The members of the FeatureCollection beside its features.

    numberMatched is exact or absent (OGC 17-069r4 7.15.8); an estimate has a name of its own.
    """
    query = feature_query.query
    cursor = _next_cursor(feature_query, end, count)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    members: dict[str, object] = {
        "links": _links(feature_query, cursor),
        "timeStamp": now.replace("+00:00", "Z"),
        "numberReturned": end.returned,
    }
    if query.limited:
        members["limitApplied"] = query.limit
    if count is not None and count.exact:
        members["numberMatched"] = count.number
    elif count is not None:
        members["numberMatchedEstimate"] = count.number
    return members


def _links(feature_query: FeatureQuery, cursor: str | None) -> Sequence[Mapping[str, object]]:
    if cursor is None:
        return feature_query.links
    media_type = feature_query.media_type
    next_link: Mapping[str, object]
    if feature_query.posted:
        base = feature_query.base
        next_link = next_search_link(base, feature_query.collection, media_type, cursor)
    else:
        next_link = link(f"{feature_query.next_pages_url}{cursor}", "next", media_type, "Next page")
    return [*feature_query.links, next_link]


def _next_cursor(feature_query: FeatureQuery, end: PageEnd, count: Count | None) -> str | None:
    """The cursor of the next page; None on the last."""
    query = feature_query.query
    if is_nearest(query.spatial):
        return None
    matched = None
    if count is not None and count.exact and cursors_have_counts(feature_query):
        matched = count.number
    cursor = next_cursor(feature_query.pages, query, end, matched)
    if cursor is None:
        return None
    return encode_cursor(cursor)


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
