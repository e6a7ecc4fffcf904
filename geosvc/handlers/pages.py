"""What surrounds the features of a page: counts, links, the pieces of a stream."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from aiohttp import web

from geosvc.cql2.building import Caps
from geosvc.database.counts import Count
from geosvc.encode.batches import BatchSize
from geosvc.encode.features import Encoder
from geosvc.keys import COUNTS, SETTINGS
from geosvc.links import items_links, search_links
from geosvc.model.collection import Collection
from geosvc.model.crs import Srid
from geosvc.model.media_type import MediaType
from geosvc.model.row import Row
from geosvc.query.paging import PageEnd, next_cursor
from geosvc.query.spatial import is_nearest
from geosvc.requests.cursor import encode_cursor
from geosvc.requests.filters import FilterRules
from geosvc.requests.items import ItemsRequest, Limits, ReadingRules

_MAX_FETCH_BYTES = 8 << 20  # a page that the catalog expects to be larger is streamed


@dataclass(frozen=True, slots=True)
class Reading:
    """What a request for features asks for.

    Attributes:
        posted: whether the parameters are in the body, as in a search.
    """

    collection: Collection
    values: Mapping[str, str]
    wanted: ItemsRequest
    media_type: MediaType
    base: str
    posted: bool = False


def reading_rules(request: web.Request, *, paged: bool = True) -> ReadingRules:
    """What the settings say of reading.

    Args:
        paged: whether there are pages.
    """
    settings = request.app[SETTINGS]
    limits = Limits(settings.limit_default, settings.limit_max) if paged else None
    caps = Caps(settings.max_filter_length, settings.max_filter_depth, settings.max_filter_parts)
    return ReadingRules(limits, tuple(map(Srid, settings.crs)), FilterRules(caps, settings.max_vertices))


def content_crs(wanted: ItemsRequest) -> dict[str, str]:
    """The header that says what the coordinates are in."""
    return {"Content-Crs": wanted.geometry.crs.content_crs}


def is_large(reading: Reading, stream_above_rows: int) -> bool:
    """Whether a page is streamed rather than held in memory."""
    limit = reading.wanted.limit or 0
    return limit > stream_above_rows or limit * reading.collection.row_bytes > _MAX_FETCH_BYTES


def batch_size(request: web.Request, collection: Collection) -> BatchSize:
    """The batches of a stream."""
    settings = request.app[SETTINGS]
    return BatchSize(settings.batch_rows, settings.batch_bytes, collection.row_bytes)


async def count_matching(
    request: web.Request,
    reading: Reading,
    end: PageEnd | None = None,
    count: Callable[[], Awaitable[Count | None]] | None = None,
) -> Count | None:
    """How many features match in all. Free on the pages after the first, and on a first page that is the last.

    Args:
        end: of the page, if it has been read already.
        count: counts, if not the database alone.
    Raises: RequestError.
    """
    wanted = reading.wanted
    if wanted.count == "none":
        return None
    if wanted.cursor is not None and wanted.cursor.matched is not None:
        return Count(wanted.cursor.matched, exact=True)
    if end is not None and (whole := whole_count(reading, end)):
        return whole
    return await (count() if count is not None else request.app[COUNTS].matching(reading.collection, wanted))


def whole_count(reading: Reading, end: PageEnd) -> Count | None:
    """The exact count when the page is all there is."""
    wanted = reading.wanted
    if wanted.count == "none" or end.more or wanted.cursor is not None or (end.returned == 0 and wanted.offset > 0):
        return None
    return Count(wanted.offset + end.returned, exact=True)


def _links(reading: Reading, cursor: str | None) -> Sequence[Mapping[str, object]]:
    if reading.posted:
        return search_links(reading.base, reading.collection, reading.media_type, cursor)
    return items_links(reading.base, reading.collection, reading.values, reading.media_type, cursor)


def describe_page(reading: Reading, end: PageEnd, count: Count | None) -> Mapping[str, object]:
    """The members of the FeatureCollection beside its features. numberMatched is exact or absent, as OGC 17-069r4 7.15.8
    asks; an estimate has a name of its own.
    """
    matched = count.number if count is not None and count.exact else None
    pages = not is_nearest(reading.wanted.spatial)
    cursor = next_cursor(reading.collection, reading.wanted, end, matched) if pages else None
    described: dict[str, object] = {
        "links": _links(reading, encode_cursor(cursor) if cursor is not None else None),
        "timeStamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "numberReturned": end.returned,
    }
    if count is not None:
        described["numberMatched" if count.exact else "numberMatchedEstimate"] = count.number
    return described


async def encode_batches(
    batches: AsyncGenerator[Sequence[Row], None],
    encoder: Encoder,
    end: PageEnd,
    members: Callable[[], Mapping[str, object]],
) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, one a batch; the first when the first batch is there, so that its errors come before it.

    Args:
        members: of the collection, asked for when all features are written.
    """
    async with aclosing(batches):
        head = encoder.begin()
        async for batch in batches:
            rows = end.take(batch)
            yield head + (encoder.batch(rows) if rows else b"")
            head = b""
        yield head + encoder.end(members())


def content_disposition(collection_id: str, media_type: MediaType) -> str:
    """The name of a download. Source: RFC 6266."""
    name = f"{collection_id}.{media_type.extension}"
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"
