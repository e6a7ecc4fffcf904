"""Extents of collections: estimated for lists, without reading a table, and exact on demand within a time box."""

import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from geosvc.database.pool import Database
from geosvc.errors import RequestError
from geosvc.model.collection import Collection, Kind
from geosvc.model.crs import bounds_in_degrees
from geosvc.query.extents import select_estimated_extents, select_exact_extent

KEEP_SECONDS = 60.0

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where and when the features of a collection are.

    Attributes:
        bbox: xmin, ymin, xmax, ymax, CRS84, degrees; None when nothing is known.
        interval: first and last time as RFC 3339 text; None when it was not asked for or there is no time.
        exact: whether every row was read.
    """

    bbox: Bounds | None
    interval: tuple[str | None, str | None] | None = None
    exact: bool = False


UNKNOWN_EXTENT = Extent(None)


class Extents:
    """Estimated extents, kept for a minute."""

    def __init__(self, database: Database, time_box_seconds: float) -> None:
        self._database = database
        self._time_box_seconds = time_box_seconds
        self._kept: dict[str, tuple[float, Extent]] = {}

    async def estimated(self, collections: Iterable[Collection]) -> dict[str, Extent]:
        """The estimated extent of each collection by id. Never fails for want of statistics."""
        now = time.monotonic()
        wanted = list(collections)
        missing = [each for each in wanted if now - self._kept.get(each.id, (-KEEP_SECONDS, None))[0] >= KEEP_SECONDS]
        askable = [each for each in missing if _has_estimate(each)]
        found: dict[str, Extent] = {}
        if askable:
            rows = await self._database.fetch(select_estimated_extents(askable))
            for place, *bounds in rows:
                collection = askable[place - 1]
                found[collection.id] = Extent(bounds_in_degrees(collection.geometry.srid, tuple(bounds)))
        for each in missing:
            self._kept[each.id] = (now, found.get(each.id, UNKNOWN_EXTENT))
        return {each.id: self._kept[each.id][1] for each in wanted}

    async def exact(self, collection: Collection) -> Extent:
        """The exact extent in space and time. Raises: RequestError, QueryTimeout beyond the time box among them."""
        if collection.parameters is not None:
            return UNKNOWN_EXTENT
        row = (await self._database.fetch(select_exact_extent(collection), self._time_box_seconds))[0]
        bounds = None if row[0] is None else (row[0], row[1], row[2], row[3])
        return Extent(bounds, (row[4], row[5]) if collection.temporal else None, exact=True)

    async def best(self, collection: Collection, exact: Callable[[Collection], Awaitable[Extent]]) -> Extent:
        """The estimated extent; where there is none, the exact one if it is found within the time box.

        Args:
            exact: finds it, as `Extents.exact` does.
        """
        estimated = (await self.estimated([collection]))[collection.id]
        if estimated.bbox is not None:
            return estimated
        try:
            return await exact(collection)
        except RequestError:
            return UNKNOWN_EXTENT


def _has_estimate(collection: Collection) -> bool:
    # ST_EstimatedExtent fails for a name with a quote in it, whatever its quoting
    names = collection.schema + collection.name + collection.geometry.name
    tables = (Kind.TABLE, Kind.MATERIALISED_VIEW)
    return collection.kind in tables and not collection.geometry.geography and '"' not in names
