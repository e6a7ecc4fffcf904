"""Reading features so that no stored geometry can fail a read (docs/decisions/0005).

First the fast way: PostgreSQL writes each feature as one text. When PostGIS refuses a geometry on the way, the features are
read again with their geometries as stored; those are written by PostGIS in lists, a list that fails in halves, and the one
that is left by `encode.ewkb`, or as null.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from geosvc.database.pool import Database
from geosvc.database.reach import unreachable
from geosvc.encode.batches import BatchSize
from geosvc.encode.ewkb import geojson_of_ewkb
from geosvc.errors import InvalidValue, UnreadableGeometry
from geosvc.events import GeometriesRefused, emit
from geosvc.model.feature import StoredFeature
from geosvc.model.media_type import CSV
from geosvc.model.row import Row
from geosvc.query.features import Page, select_items, select_stored, transform_stored, write_stored
from geosvc.query.paging import PageEnd, next_cursor


async def fetch_features(database: Database, page: Page) -> Sequence[Row]:
    """All rows of a page with a limit: (feature in UTF-8, sort values). Raises: RequestError."""
    try:
        return await database.fetch(page.statement)
    except UnreadableGeometry:
        return await _fetch_cautiously(database, page, (page.request.limit or 0) + 1)


async def fetch_item(database: Database, page: Page) -> StoredFeature | None:
    """The feature of a page that `select_item` made; None when there is none. Raises: RequestError."""
    rows = await fetch_features(database, page)
    return StoredFeature(rows[0][0], rows[0][-2], rows[0][-1]) if rows else None


async def stream_features(database: Database, page: Page, sizes: BatchSize) -> AsyncGenerator[Sequence[Row], None]:
    """The rows of a page in batches, from one snapshot; from the first geometry that PostGIS refuses on, the rest in
    pieces of a snapshot each.

    Yields: batches of (feature in UTF-8, sort values), none empty.
    Raises: RequestError.
    """
    seen = PageEnd(None)
    try:
        async with aclosing(database.stream(page.statement, sizes.next_rows)) as batches:
            async for batch in batches:
                seen.take(batch)
                yield batch
        return
    except UnreadableGeometry:
        pass
    wanted = None if page.request.limit is None else page.request.limit + 1
    rest = page
    while wanted is None or seen.returned < wanted:
        rest = _following(rest, seen)
        ask = sizes.next_rows([]) if wanted is None else min(sizes.next_rows([]), wanted - seen.returned)
        piece = PageEnd(None)
        rows = piece.take(await _fetch_cautiously(database, rest, ask))
        if rows:
            yield rows
        if len(rows) < ask:
            return
        rest = _following(rest, piece)
        seen.returned += len(rows)
        seen.last = None


def _following(page: Page, seen: PageEnd) -> Page:
    """The page that begins after what was seen."""
    if seen.last is None:
        return page
    cursor = next_cursor(page.collection, page.request, replace(seen, more=True), None)
    return select_items(page.collection, replace(page.request, cursor=cursor, offset=0), page.media_type)


async def _fetch_cautiously(database: Database, page: Page, rows: int) -> list[Row]:
    try:
        stored = await database.fetch(select_stored(page, rows))
    except UnreadableGeometry as error:
        if not page.collection.parameters:
            raise
        # nothing was written yet: PostGIS refused what the function made of its arguments
        raise InvalidValue("the function cannot take these arguments", reason=error.reason) from None
    reasons: list[str] = []
    geometries = await _write_all(database, page, [row[1] for row in stored], reasons)
    if reasons:
        emit(GeometriesRefused(collection=page.collection.id, features=len(reasons), reason=reasons[0]))
    return [
        ((before + geometry + behind).encode(), *keys)
        for (before, _, behind, *keys), geometry in zip(stored, geometries, strict=True)
    ]


async def _write_all(database: Database, page: Page, stored: list[bytes | None], reasons: list[str]) -> list[str]:
    """The same, but PostGIS is not asked for what has no place in the CRS of the page."""
    wanted, srid = page.request.geometry, page.collection.geometry.srid
    beyond = await asyncio.to_thread(unreachable, stored, srid, wanted.crs.srid) if not wanted.skip else [False] * len(stored)
    written = iter(await _write(database, page, [each for each, far in zip(stored, beyond, strict=True) if not far], reasons))
    reasons += [f"no place in EPSG:{wanted.crs.srid}"] * sum(beyond)
    nothing = "" if page.media_type is CSV else "null"
    return [nothing if far else next(written) for far in beyond]


async def _write(database: Database, page: Page, stored: list[bytes | None], reasons: list[str]) -> list[str]:
    """The geometries as text; PostGIS's reason for each that it refused is added to `reasons`."""
    if not stored:
        return []
    try:
        return [row[0] for row in await database.fetch(write_stored(page, stored))]
    except UnreadableGeometry as error:
        if len(stored) == 1:
            reasons.append(error.reason or error.detail)
            return [await _write_refused(database, page, stored[0] or b"")]
    half = len(stored) // 2
    return [
        *await _write(database, page, stored[:half], reasons),
        *await _write(database, page, stored[half:], reasons),
    ]


async def _write_refused(database: Database, page: Page, ewkb: bytes) -> str:
    if page.media_type is CSV:
        return ""
    style = page.request.geometry
    written = geojson_of_ewkb(ewkb, style.digits, style.crs)
    if written is not None:
        return written
    try:
        transformed = (await database.fetch(transform_stored(page, ewkb)))[0][0]
    except UnreadableGeometry:
        return "null"
    return geojson_of_ewkb(transformed, style.digits, style.crs) or "null"
