"""The catalog follower: reads the catalog, and reads it again whenever the database's own catalog has changed.

It looks at a fingerprint every few seconds (docs/decisions/0003): that needs no privilege, works on replicas and behind
PgBouncer, and tells every worker. A request for an unknown collection looks at once, so a new table is there when asked for.
"""

import asyncio
import time
from collections.abc import Sequence

from geosvc.database.pool import Database
from geosvc.errors import DatabaseUnavailable, RequestError
from geosvc.events import CatalogFailed, CatalogLoaded, DatabaseFound, DatabaseLost, emit
from geosvc.model.catalog import Catalog, Override, Selection, build_catalog
from geosvc.model.collection import Collection
from geosvc.settings import Settings
from geosvc.sql.files import load_statement

LOOK_AGAIN_SECONDS = 1.0


def selection_of(settings: Settings) -> Selection:
    """What the settings say of which collections are published."""
    overrides = {name: Override(**each.model_dump(exclude={"slow_query_ms"})) for name, each in settings.collections.items()}
    return Selection(settings.schemas, settings.tables, settings.exclude_tables, settings.writable, overrides)


async def load_catalog(database: Database, selection: Selection, fingerprint: str, extension: str) -> Catalog:
    """The catalog as it is now. Raises: RequestError."""
    rows = await database.fetch(load_statement("catalog", (list(selection.schemas),)))
    return build_catalog((row[0] for row in rows), selection, fingerprint, extension)


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

    @property
    def catalog(self) -> Catalog:
        """The catalog as it was last read. Raises: DatabaseUnavailable when it never was."""
        if self._catalog is None:
            raise DatabaseUnavailable("the database has not been reached yet")
        return self._catalog

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
            except (LookupError, TypeError, ValueError) as error:  # a catalog that geosvc does not understand
                emit(CatalogFailed(reason=f"{type(error).__name__}: {error}"))
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
        if self._catalog is not None and self._catalog.fingerprint == fingerprint and not self._catalog.incomplete:
            return
        if self._catalog is not None and self._catalog.extension != extension:
            await self._database.expire()  # codecs are keyed by the OIDs of the types
        catalog = await load_catalog(self._database, self._selection, fingerprint, extension)
        if catalog == self._catalog:  # still incomplete
            return
        self._catalog = catalog
        duration_ms = round((time.perf_counter() - started) * 1000, 1)
        emit(CatalogLoaded(collections=len(self._catalog.collections), duration_ms=duration_ms))

    def _report_failure(self, error: RequestError) -> None:
        if isinstance(error, DatabaseUnavailable):
            if not self._lost:
                emit(DatabaseLost(reason=error.detail))
            self._lost = True
        else:
            emit(CatalogFailed(reason=error.detail))

    def _report_success(self) -> None:
        if self._lost:
            emit(DatabaseFound())
        self._lost = False
