"""The catalog follower: reads the catalog, and again when PostgreSQL's own catalog changes.

Every few seconds it compares a fingerprint (docs/decisions/0003). This needs no privilege, works on
replicas and behind PgBouncer, and each worker does it by itself. A request for an unknown
collection compares it at once, so that a new table is served immediately.
"""

import asyncio
import time

from geosvc.catalog.collections import (
    Catalog,
    Override,
    ServedCollections,
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
from geosvc.model.principal import ANONYMOUS, Principal, acting_for
from geosvc.query.sample_rows import count_repeats
from geosvc.settings import Settings
from geosvc.sql.files import load_statement

LOOK_AGAIN_SECONDS = 1.0
KEYS_SECONDS = 2.0
MAX_LASTING = 256
_NOT_OF_CATALOG = {"slow_query_ms", "tiles", "tiles_importance", "tiles_single_from_zoom"}
NEVER_REACHED = "the database has not been reached yet"


def served_collections(settings: Settings) -> ServedCollections:
    """Return which collections the settings publish, and how."""
    overrides = {}
    for name, collection_settings in settings.collections.items():
        values = collection_settings.model_dump(exclude=_NOT_OF_CATALOG)
        overrides[name] = Override(**values)
    return ServedCollections(
        settings.schemas,
        settings.tables,
        settings.exclude_tables,
        settings.writable,
        overrides,
    )


async def load_catalog(
    database: Database, served: ServedCollections, fingerprint: str, extension: str
) -> Catalog:
    """Read the catalog as it is now. Raises: RequestError."""
    rows = await database.fetch(load_statement("catalog", (list(served.schemas),)))
    descriptions = (row[0] for row in rows)
    catalog = build_catalog(descriptions, served, fingerprint, extension)
    await _define_reference_systems(database, catalog)
    ends_at = time.monotonic() + KEYS_SECONDS
    wrong_keys = []
    for collection in catalog.collections.values():
        if await _repeats_its_key(database, collection, ends_at):
            wrong_keys.append(collection.id)
    if not wrong_keys:
        return catalog
    return without_keys(catalog, wrong_keys)


async def _define_reference_systems(database: Database, catalog: Catalog) -> None:
    """Read the definitions of the SRIDs that are not codes of EPSG."""
    srids = set()
    for collection in catalog.collections.values():
        srid = collection.geometry.srid
        if not is_well_known(srid):
            srids.add(srid)
    if not srids:
        return
    try:
        rows = await database.fetch(load_statement("reference_systems", (sorted(srids),)))
    except RequestError:
        # the role may not read spatial_ref_sys: only the definitions of PROJ remain
        return
    for srid, *definitions in rows:
        define_crs(Srid(srid), definitions)


async def _repeats_its_key(database: Database, collection: Collection, ends_at: float) -> bool:
    """Whether several rows have the same values of the key that the settings name.

    False if this is not found out in time.
    """
    if not collection.key or collection.key_is_unique:
        return False
    seconds = ends_at - time.monotonic()
    if seconds <= 0:
        return False
    try:
        rows = await database.fetch(count_repeats(collection, at_most=1), timeout_seconds=seconds)
    except RequestError:
        return False
    is_repeated = bool(rows[0][0])
    if is_repeated:
        emit(KeyRepeated(collection=collection.id, key=", ".join(collection.key)))
    return is_repeated


class CatalogFollower:
    """Holds the catalog of one worker and keeps it up to date."""

    def __init__(self, database: Database, settings: Settings) -> None:
        url = ""
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        self._database = database
        self._target = target_of(url)
        self._served = served_collections(settings)
        self._poll_seconds = settings.catalog_poll_seconds
        self._catalog: Catalog | None = None
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._began_at = self._looked_at
        self._lost = False
        self._reported_reason: str | None = None
        # (reason, fingerprint) of the errors that a fresh catalog did not remove
        self._lasting_errors: set[tuple[str, str]] = set()

    @property
    def catalog(self) -> Catalog:
        """The catalog that was read last. Raises: DatabaseUnavailable if none was read yet."""
        if self._catalog is None:
            raise DatabaseUnavailable(NEVER_REACHED)
        return self._catalog

    @property
    def current(self) -> Catalog | None:
        """The catalog that was read last; None if none was read yet."""
        return self._catalog

    def current_for(self, principal: Principal) -> Catalog | None:
        """Return the catalog as a principal sees it; None if none was read yet.

        Every principal sees all collections as yet. A change that hides some belongs here.
        """
        return self._catalog

    def catalog_for(self, principal: Principal) -> Catalog:
        """Return the catalog as a principal sees it.

        Raises: DatabaseUnavailable if none was read yet.
        """
        catalog = self.current_for(principal)
        if catalog is None:
            raise DatabaseUnavailable(NEVER_REACHED)
        return catalog

    async def may_retry(self, seen: Catalog | None, error: RequestError) -> bool:
        """Whether a request that failed may succeed when its statement is made again.

        That is so if the catalog is another one than `seen`, or if only the plan of the statement
        was old. The catalog is looked at once for each lasting error, not at every request.

        Args:
            seen: the catalog from which the statement was made.
        """
        is_old_plan = isinstance(error, StalePlan)
        fingerprint = seen.fingerprint if seen is not None else ""
        known_error = (error.reason or error.detail, fingerprint)
        if self._catalog is seen and known_error not in self._lasting_errors:
            await self.look()
            if self._catalog is seen and not is_old_plan:
                self._remember(known_error)
        return self._catalog is not seen or is_old_plan

    def _remember(self, lasting_error: tuple[str, str]) -> None:
        if len(self._lasting_errors) >= MAX_LASTING:
            self._lasting_errors.clear()
        self._lasting_errors.add(lasting_error)

    def is_up(self) -> bool:
        """Whether the database answered the last look."""
        return self._catalog is not None and not self._lost

    def size(self) -> int:
        """The number of collections."""
        if self._catalog is None:
            return 0
        return len(self._catalog.collections)

    def collections_for(self, principal: Principal) -> tuple[Collection, ...]:
        """Return the collections that a principal sees; none if none were read yet."""
        catalog = self.current_for(principal)
        if catalog is None:
            return ()
        return tuple(catalog.collections.values())

    def find(self, collection_id: str) -> Collection | None:
        """Return a collection as it was read last, whoever sees it: for work that is no request."""
        if self._catalog is None:
            return None
        return self._catalog.collections.get(collection_id)

    def has_publication(self) -> bool:
        """Whether a collection is published."""
        if self._catalog is None:
            return False
        collections = self._catalog.collections.values()
        return any(collection.publication is not None for collection in collections)

    async def collection(self, principal: Principal, collection_id: str) -> Collection:
        """Return the collection with this id, also if it was created a moment ago.

        Args:
            principal: who must see the collection.

        Raises: NotFound, DatabaseUnavailable.
        """
        catalog = self.current_for(principal)
        if catalog is None or collection_id not in catalog.collections:
            await self.look(at_most_every=LOOK_AGAIN_SECONDS)
        return self.catalog_for(principal)[collection_id]

    async def look(self, at_most_every: float = 0.0) -> None:
        """Read the catalog if it has changed. If this fails, the last catalog stays.

        Calls that come while a look is running share the next one.

        Args:
            at_most_every: do nothing if the last look ended less than so many seconds ago.
        """
        requested_at = time.monotonic()
        async with self._looking:
            began_later = self._began_at > requested_at
            if began_later or time.monotonic() - self._looked_at < at_most_every:
                return
            self._began_at = time.monotonic()
            await self._look_once()
            self._looked_at = time.monotonic()

    async def _look_once(self) -> None:
        """Read the catalog if it has changed. Failures are events."""
        try:
            with acting_for(ANONYMOUS):  # the catalog is read for all principals
                await self._reload_if_changed()
        except RequestError as error:
            self._report_failure(error)
        except (LookupError, TypeError, ValueError) as error:
            # a description that geosvc does not understand
            self._report_once(CatalogFailed(reason=f"{type(error).__name__}: {error}"))
        else:
            self._report_success()

    async def follow(self) -> None:
        """Look for changes until it is cancelled."""
        task = asyncio.current_task()
        while True:
            await self.look()
            if not self._lost:
                await self._database.keep_warm()
            # asyncpg can hide a cancellation that comes while it connects
            if task is not None and task.cancelling():
                return
            await asyncio.sleep(self._poll_seconds)

    async def _reload_if_changed(self) -> None:
        started_at = time.perf_counter()
        schemas = list(self._served.schemas)
        rows = await self._database.fetch(load_statement("catalog_fingerprint", (schemas,)))
        fingerprint, extension = rows[0][0], rows[0][1]
        before = self._catalog
        if before is not None:
            if before.fingerprint == fingerprint and not before.incomplete:
                return
            if before.extension != extension:
                # the codecs of open connections know the types by their OIDs
                await self._database.expire()
        catalog = await load_catalog(self._database, self._served, fingerprint, extension)
        if catalog == before:
            return  # it is still incomplete
        self._catalog = catalog
        duration_ms = round((time.perf_counter() - started_at) * 1000, 1)
        emit(CatalogLoaded(collections=len(catalog.collections), duration_ms=duration_ms))
        if not extension:
            emit(PostgisMissing(database=self._target.database, cure="CREATE EXTENSION postgis"))

    def _report_failure(self, error: RequestError) -> None:
        reason = error.reason or error.detail
        if not isinstance(error, DatabaseUnavailable):
            self._report_once(CatalogFailed(reason=reason))
            return
        self._lost = True
        target = self._target
        lost = DatabaseLost(
            reason,
            target.host,
            target.port,
            target.database,
            target.role,
            self._poll_seconds,
        )
        self._report_once(lost)

    def _report_once(self, failure: CatalogFailed | DatabaseLost) -> None:
        """Report a failure, unless the last look failed for the same reason."""
        if failure.reason != self._reported_reason:
            emit(failure)
        self._reported_reason = failure.reason

    def _report_success(self) -> None:
        if self._lost:
            emit(DatabaseFound())
        self._lost = False
        self._reported_reason = None
