"""Extents of collections: estimated without reading a table, or exact within a time box."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from geosvc.database.pool import Database
from geosvc.database.reads.halving import read_in_halves
from geosvc.database.reads.published_extent import published_bounds, published_time
from geosvc.errors import (
    CollectionBroken,
    Locked,
    QueryTimeout,
    RequestError,
    UnreadableGeometry,
    UnreadableValue,
)
from geosvc.model.bounds import Bounds
from geosvc.model.collection import Collection, RelationKind
from geosvc.model.crs import UNKNOWN, bounds_in_degrees
from geosvc.model.principal import Principal
from geosvc.query.extents import select_estimated_extents, select_exact_extent

KEEP_SECONDS = 60.0
MAX_PRINCIPALS = 32
"""The most principals whose extents are cached; a cache has one entry for each collection."""

_INFINITE = 1e30  # an index stores infinity as 3.4e38
_OF_A_COLLECTION = (Locked, QueryTimeout, UnreadableGeometry, UnreadableValue, CollectionBroken)
_STORED_KINDS = (RelationKind.TABLE, RelationKind.MATERIALISED_VIEW)

FindExtent = Callable[[Collection], Awaitable["Extent"]]


@dataclass(frozen=True, slots=True)
class Extent:
    """Where and when the features of a collection are.

    Attributes:
        bbox: west, south, east, north, CRS84, degrees, as the parameter `bbox`; None if unknown.
        interval: first and last time as RFC 3339 text, None for an open end; None if it was not
            requested or the collection has no time.
        exact: whether every row was read.
    """

    bbox: Bounds | None
    interval: tuple[str | None, str | None] | None = None
    exact: bool = False


UNKNOWN_EXTENT = Extent(None)


@dataclass(frozen=True, slots=True)
class _CachedExtent:
    """An extent and when it was found, by `time.monotonic`."""

    found_at: float
    extent: Extent


_Cache = dict[str, _CachedExtent]
"""The cached extents of one principal, by collection id."""


class Extents:
    """Extents of collections, cached for a minute, so that all responses have the same extent.

    Each principal has a cache of its own.
    """

    def __init__(self, database: Database, time_box_seconds: float) -> None:
        self._database = database
        self._time_box_seconds = time_box_seconds
        self._caches: dict[Principal, _Cache] = {}

    async def estimated(
        self, principal: Principal, collections: Iterable[Collection]
    ) -> dict[str, Extent]:
        """Return the extent of each collection by id, cached or estimated; no table is read.

        A collection without statistics has an unknown extent.

        Args:
            principal: who requests the extents.
        Raises: RequestError.
        """
        cache = self._cache_of(principal)
        extents: dict[str, Extent] = {}
        missing: list[Collection] = []
        for collection in collections:
            extents[collection.id] = UNKNOWN_EXTENT
            if _is_expired(cache, collection):
                missing.append(collection)
            else:
                extents[collection.id] = cache[collection.id].extent
        extents.update(await self._estimate(missing))
        return extents

    async def best(
        self, principal: Principal, collections: Iterable[Collection], find_exact: FindExtent
    ) -> dict[str, Extent]:
        """Return the extent of each collection by id: estimated, or exact if there is no estimate.

        All exact extents of a call share one time box. The collections whose extent is missing for
        the longest time come first.

        Args:
            principal: who requests the extents.
            find_exact: finds one exact extent, as `Extents.exact` does.
        Raises: RequestError.
        """
        cache = self._cache_of(principal)
        requested = list(collections)
        expired = [collection for collection in requested if _is_expired(cache, collection)]
        found = await self._estimate(expired)
        longest_missing_first = sorted(expired, key=partial(_found_at, cache))
        await self._find_exact(longest_missing_first, found, find_exact)
        now = time.monotonic()
        for collection in expired:
            extent = found.get(collection.id, UNKNOWN_EXTENT)
            cache[collection.id] = _CachedExtent(now, extent)
        return {collection.id: cache[collection.id].extent for collection in requested}

    async def exact(self, collection: Collection) -> Extent:
        """Read the exact extent in space and time.

        Raises: QueryTimeout after the time box; any other RequestError.
        """
        if collection.parameters is not None:
            return UNKNOWN_EXTENT
        statement = select_exact_extent(collection)
        rows = await self._database.fetch(statement, self._time_box_seconds)
        row = rows[0]
        bounds = None
        if row[0] is not None:
            bounds = published_bounds((row[0], row[1], row[2], row[3]))
        interval = None
        if collection.temporal:
            interval = published_time(row[4]), published_time(row[5])
        return Extent(bounds, interval, exact=True)

    def _cache_of(self, principal: Principal) -> _Cache:
        """The cache of a principal; of too many, that which was made first is dropped."""
        cache = self._caches.get(principal)
        if cache is None:
            if len(self._caches) >= MAX_PRINCIPALS:
                oldest = next(iter(self._caches))
                del self._caches[oldest]
            cache = self._caches[principal] = {}
        return cache

    async def _find_exact(
        self, collections: list[Collection], found: dict[str, Extent], find_exact: FindExtent
    ) -> None:
        """Add exact extents to those found, in this order, until the time box ends."""
        ends_at = time.monotonic() + self._time_box_seconds
        for collection in collections:
            if collection.id in found or collection.parameters is not None:
                continue
            if time.monotonic() >= ends_at:
                break
            with suppress(RequestError):
                found[collection.id] = await find_exact(collection)

    async def _estimate(self, collections: Sequence[Collection]) -> dict[str, Extent]:
        """The estimates that exist, by collection id. Raises: RequestError."""
        estimable = [collection for collection in collections if _has_estimate(collection)]
        found: dict[str, Extent] = {}
        if not estimable:
            return found
        for collection, bounds in await self._fetch_estimates(estimable):
            is_finite = max(map(abs, bounds)) < _INFINITE
            if not is_finite:
                continue
            degrees = bounds_in_degrees(collection.geometry.srid, bounds)
            if degrees is None:
                continue
            published = published_bounds(degrees)
            if published is not None:
                found[collection.id] = Extent(published)
        return found

    async def _fetch_estimates(
        self, collections: list[Collection]
    ) -> list[tuple[Collection, Bounds]]:
        """Fetch estimates: bounds in the storage CRS.

        A list that fails is halved, so that a locked or damaged index fails no other collection.

        Raises: RequestError.
        """
        return await read_in_halves(
            collections, self._fetch_some_estimates, _is_about_a_collection, _no_estimate
        )

    async def _fetch_some_estimates(
        self, collections: Sequence[Collection]
    ) -> list[tuple[Collection, Bounds]]:
        rows = await self._database.fetch(select_estimated_extents(collections))
        estimates = []
        for number, xmin, ymin, xmax, ymax in rows:
            estimates.append((collections[number - 1], (xmin, ymin, xmax, ymax)))
        return estimates


def _is_expired(cache: _Cache, collection: Collection) -> bool:
    cached = cache.get(collection.id)
    return cached is None or time.monotonic() - cached.found_at >= KEEP_SECONDS


def _found_at(cache: _Cache, collection: Collection) -> float:
    """When an extent was last cached; 0 for never."""
    cached = cache.get(collection.id)
    if cached is None:
        return 0.0
    return cached.found_at


def _is_about_a_collection(error: RequestError) -> bool:
    return isinstance(error, _OF_A_COLLECTION)


async def _no_estimate(_: Collection, __: RequestError) -> list[tuple[Collection, Bounds]]:
    return []


def _has_estimate(collection: Collection) -> bool:
    geometry = collection.geometry
    # ST_EstimatedExtent fails for a name that contains a quote, whatever its quoting
    names = collection.schema + collection.name + geometry.name
    # without a type modifier each row may have an SRID of its own
    has_one_srid = not geometry.geography and geometry.srid != UNKNOWN
    # statistics include the rows that policies hide
    has_statistics = not collection.parts and not collection.row_security
    is_stored = collection.kind in _STORED_KINDS
    return is_stored and has_statistics and has_one_srid and '"' not in names
