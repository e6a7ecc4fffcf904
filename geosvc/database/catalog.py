"""The catalog follower: reads the catalog, and reads it again whenever the database's own catalog has changed.

It looks at a fingerprint every few seconds (docs/decisions/0003): that needs no privilege, works on replicas and behind
PgBouncer, and tells every worker. A request for an unknown collection looks at once, so a new table is there when asked for.
"""

import asyncio
import time
from collections.abc import Sequence

from geosvc.catalog.collections import (
    Catalog,
    CollectionSelection,
    Override,
    build_catalog,
    without_keys,
)
from geosvc.database.pool import Database
from geosvc.database.target import target_of
from geosvc.errors import DatabaseUnavailable, RequestError, StalePlan
from geosvc.events import (
    CatalogFailed,
    CatalogLoaded,
    DatabaseFound,
    DatabaseLost,
    KeyRepeated,
    PostgisMissing,
    emit,
)
from geosvc.model.collection import Collection
from geosvc.model.crs import Srid, define_crs, is_well_known
from geosvc.query.sample_rows import count_repeats
from geosvc.settings import Settings
from geosvc.sql.files import load_statement

LOOK_AGAIN_SECONDS = 1.0
KEYS_SECONDS = 2.0
MAX_LASTING = 256


def selection_of(settings: Settings) -> CollectionSelection:
    """What the settings say of which collections are published."""
    overrides = {
        name: Override(**each.model_dump(exclude={"slow_query_ms"}))
        for name, each in settings.collections.items()
    }
    return CollectionSelection(
        settings.schemas, settings.tables, settings.exclude_tables, settings.writable, overrides
    )


async def load_catalog(
    database: Database, selection: CollectionSelection, fingerprint: str, extension: str
) -> Catalog:
    """The catalog as it is now. Raises: RequestError."""
    rows = await database.fetch(load_statement("catalog", (list(selection.schemas),)))
    catalog = build_catalog((row[0] for row in rows), selection, fingerprint, extension)
    await _define_reference_systems(database, catalog)
    until = time.monotonic() + KEYS_SECONDS
    wrong = [
        each.id
        for each in catalog.collections.values()
        if await _repeats_its_key(database, each, until)
    ]
    return without_keys(catalog, wrong) if wrong else catalog


async def _define_reference_systems(database: Database, catalog: Catalog) -> None:
    """Reads what the SRIDs mean that EPSG does not know."""
    srids = {
        each.geometry.srid
        for each in catalog.collections.values()
        if not is_well_known(each.geometry.srid)
    }
    if not srids:
        return
    try:
        rows = await database.fetch(load_statement("reference_systems", (sorted(srids),)))
    except RequestError:  # the role may not read the table: what PROJ knows by itself is left
        return
    for srid, *definitions in rows:
        define_crs(Srid(srid), definitions)


async def _repeats_its_key(database: Database, collection: Collection, until: float) -> bool:
    """Whether several rows have a key that the settings name; what cannot be told in time is believed."""
    left = until - time.monotonic()
    if not collection.key or collection.key_is_unique or left <= 0:
        return False
    try:
        rows = await database.fetch(count_repeats(collection, at_most=1), timeout_seconds=left)
    except RequestError:
        return False
    if rows[0][0]:
        emit(KeyRepeated(collection=collection.id, key=", ".join(collection.key)))
    return bool(rows[0][0])


class CatalogFollower:
    """Holds the catalog of one worker and keeps it up to date."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._selection = selection_of(settings)
        self._poll_seconds = settings.catalog_poll_seconds
        self._catalog: Catalog | None = None
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._began_at = self._looked_at
        self._lost = False
        self._told: str | None = None  # why the last look failed
        self._target = target_of(
            settings.database_url.get_secret_value() if settings.database_url else ""
        )
        self._lasting: set[tuple[str, str]] = set()

    @property
    def catalog(self) -> Catalog:
        """The catalog as it was last read. Raises: DatabaseUnavailable when it never was."""
        if self._catalog is None:
            raise DatabaseUnavailable("the database has not been reached yet")
        return self._catalog

    @property
    def current(self) -> Catalog | None:
        """The catalog as it was last read; None when it never was."""
        return self._catalog

    async def moved_since(self, seen: Catalog | None, fault: RequestError) -> bool:
        """Whether a statement that failed may succeed when it is made anew: the catalog has moved on from `seen`, or only a
        plan was old. It is looked at once for a fault, which may last for long.
        """
        known = (fault.reason or fault.detail, seen.fingerprint if seen is not None else "")
        if self._catalog is seen and known not in self._lasting:
            await self.look()
            if self._catalog is seen and not isinstance(fault, StalePlan):
                self._lasting = (
                    {*self._lasting, known} if len(self._lasting) < MAX_LASTING else {known}
                )
        return self._catalog is not seen or isinstance(fault, StalePlan)

    def is_up(self) -> bool:
        """Whether the database answered when it was last looked at."""
        return self._catalog is not None and not self._lost

    def size(self) -> int:
        """How many collections there are."""
        return len(self._catalog.collections) if self._catalog is not None else 0

    def collections(self) -> tuple[Collection, ...]:
        """The collections as they were last read; none when they never were."""
        return tuple(self._catalog.collections.values()) if self._catalog is not None else ()

    def find(self, collection_id: str) -> Collection | None:
        """A collection as it was last read."""
        return self._catalog.collections.get(collection_id) if self._catalog is not None else None

    def has_publication(self) -> bool:
        """Whether the changes of a collection are logged."""
        return any(collection.publication is not None for collection in self.collections())

    async def collection(self, collection_id: str) -> Collection:
        """The collection of this id, also when it was made a moment ago.

        Raises: NotFound, DatabaseUnavailable.
        """
        if self._catalog is None or collection_id not in self._catalog.collections:
            await self.look(at_most_every=LOOK_AGAIN_SECONDS)
        return self.catalog[collection_id]

    async def look(self, at_most_every: float = 0.0) -> None:
        """Reads the catalog if it has changed, unless somebody looked less than `at_most_every` seconds ago. Failures
        are events; the last catalog stays.
        """
        asked_at = time.monotonic()
        async with self._looking:
            if self._began_at > asked_at or time.monotonic() - self._looked_at < at_most_every:
                return  # all who wait for a look share the next
            self._began_at = time.monotonic()
            try:
                await self._reload_if_changed()
            except RequestError as error:
                self._report_failure(error)
            except (
                LookupError,
                TypeError,
                ValueError,
            ) as error:  # a catalog that geosvc does not understand
                self._tell_once(CatalogFailed(reason=f"{type(error).__name__}: {error}"))
            else:
                self._report_success()
            self._looked_at = time.monotonic()

    async def follow(self) -> None:
        """Looks for changes until it is cancelled."""
        task = asyncio.current_task()
        while True:
            await self.look()
            if not self._lost:
                await self._database.keep_warm()
            if task is not None and task.cancelling():
                return  # asyncpg can hide a cancellation that comes as a connection does
            await asyncio.sleep(self._poll_seconds)

    async def _reload_if_changed(self) -> None:
        started = time.perf_counter()
        schemas: Sequence[str] = list(self._selection.schemas)
        rows = await self._database.fetch(load_statement("catalog_fingerprint", (schemas,)))
        fingerprint, extension = rows[0][0], rows[0][1]
        if (
            self._catalog is not None
            and self._catalog.fingerprint == fingerprint
            and not self._catalog.incomplete
        ):
            return
        if self._catalog is not None and self._catalog.extension != extension:
            await self._database.expire()  # codecs are keyed by the OIDs of the types
        catalog = await load_catalog(self._database, self._selection, fingerprint, extension)
        if catalog == self._catalog:  # still incomplete
            return
        self._catalog = catalog
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        emit(CatalogLoaded(collections=len(self._catalog.collections), duration_ms=duration_ms))
        if not extension:
            emit(PostgisMissing(database=self._target.database, cure="CREATE EXTENSION postgis"))

    def _report_failure(self, error: RequestError) -> None:
        reason = error.reason or error.detail
        if not isinstance(error, DatabaseUnavailable):
            self._tell_once(CatalogFailed(reason=reason))
            return
        to = self._target
        self._lost = True
        self._tell_once(
            DatabaseLost(reason, to.host, to.port, to.database, to.role, self._poll_seconds)
        )

    def _tell_once(self, failure: CatalogFailed | DatabaseLost) -> None:
        """The same failure again at every look would bury the rest of the log."""
        if failure.reason != self._told:
            emit(failure)
        self._told = failure.reason

    def _report_success(self) -> None:
        if self._lost:
            emit(DatabaseFound())
        self._lost = False
        self._told = None
