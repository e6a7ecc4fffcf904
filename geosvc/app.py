"""The wiring: what is opened in which order, and closed in the reverse order."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import web

from geosvc.assets import Assets
from geosvc.database.catalog import CatalogFollower
from geosvc.database.counts import Counts
from geosvc.database.extents import Extents
from geosvc.database.lookup import Lookups
from geosvc.database.mutations import Writes
from geosvc.database.pool import Database
from geosvc.database.writing import Writer
from geosvc.errors import SettingsError
from geosvc.handlers.readings import ITEMS_ASKED, PAGES_ASKED, Readings
from geosvc.keys import (
    ASSETS,
    CACHE,
    CATALOG,
    COUNTS,
    DATABASE,
    EXTENTS,
    FEED,
    HUB,
    LOOKUPS,
    METRICS,
    OBSERVED,
    OPERATIONS,
    SETTINGS,
    SIBLINGS,
    SLOW_QUERIES,
    WRITE_DATABASE,
    WRITES,
    Observed,
)
from geosvc.live.cache import Cache
from geosvc.live.hub import FeedLimits, Hub
from geosvc.live.pruning import Pruner
from geosvc.live.reader import ChangeReader
from geosvc.middleware import add_common_headers, add_private_headers, end_abandoned, surround
from geosvc.model.crs import Srid, epsg_crs
from geosvc.observe.access import AccessLog
from geosvc.observe.diagnosis import Diagnoser
from geosvc.observe.lag import watch_loop
from geosvc.observe.metrics import Metrics
from geosvc.observe.slow import SlowQueries
from geosvc.routes import ADMIN_ROUTES, PAGE_ROUTES, ROUTES, add_routes
from geosvc.settings import Settings
from geosvc.siblings import Place, Siblings
from geosvc.vitals import gauges_of, tell

# the connection to look at the server with: one, for which nobody waits long
OPERATIONS_POOL = {"pool_min_size": 0, "pool_max_size": 1, "pool_acquire_seconds": 2.0, "statement_timeout_seconds": 2.0}


async def _open_database(app: web.Application) -> AsyncIterator[None]:
    await app[DATABASE].open()
    await app[WRITE_DATABASE].open()
    await app[OPERATIONS].open()
    yield
    await app[OPERATIONS].close()
    await app[WRITES].writer.close()
    await app[WRITE_DATABASE].close()
    await app[DATABASE].close()


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _follow_catalog(app: web.Application) -> AsyncIterator[None]:
    await app[CATALOG].look()
    async with _in_background(app[CATALOG].follow()):
        yield


async def _follow_changes(app: web.Application) -> AsyncIterator[None]:
    reader = app[FEED]
    pruner = Pruner(app[SETTINGS], app[WRITES].writer, lambda: reader.is_up and not reader.is_standby)
    async with _in_background(reader.follow()), _in_background(pruner.follow()):
        yield
    app[HUB].close()


async def _end_streams(app: web.Application) -> None:
    app[HUB].close()


async def _observe(app: web.Application) -> AsyncIterator[None]:
    if not app[SETTINGS].telemetry:
        yield
        return
    stop_counting = app[METRICS].start()
    app[SLOW_QUERIES].start()
    async with _in_background(watch_loop(app[METRICS].loop_lag)), _in_background(end_abandoned(app[OBSERVED].live)):
        yield
    await app[SLOW_QUERIES].close()
    stop_counting()


async def _log_requests(app: web.Application) -> AsyncIterator[None]:
    access_log = AccessLog()
    access_log.start()
    yield
    await access_log.close()


async def _answer_siblings(app: web.Application) -> AsyncIterator[None]:
    runner = await app[SIBLINGS].listen()
    yield
    if runner is not None:
        await runner.cleanup()


async def _gather_lookups(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[LOOKUPS].close()


async def _keep_answers(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[CACHE].close()


def build_app(settings: Settings, place: Place | None = None) -> web.Application:
    """The service of one database. It starts whether or not the database is there, and finds it when it comes.

    Args:
        place: of this worker among others.
    Raises: SettingsError when there is no DATABASE_URL, a threshold is for a route that is not there, or a reference system
        for a code that nobody knows.
    """
    if settings.database_url is None:
        raise SettingsError(["GEOSVC_DATABASE_URL: is not set"])
    check_routes(settings)
    check_crs(settings)
    url = settings.database_url.get_secret_value()
    database = Database(settings, url)
    app = web.Application(middlewares=[surround])
    app[SETTINGS] = settings
    app[ASSETS] = Assets.load()
    app[DATABASE] = database
    app[OPERATIONS] = Database(settings.model_copy(update=OPERATIONS_POOL), url)
    writing = settings.model_copy(update={"pool_min_size": 0, "pool_max_size": settings.write_pool_max_size})
    app[WRITE_DATABASE] = Database(writing, url, writes=True)
    app[WRITES] = Writes(Writer(app[WRITE_DATABASE]))
    app[CATALOG] = CatalogFollower(database, settings)
    app[COUNTS] = Counts(database, settings)
    app[EXTENTS] = Extents(database, settings.count_seconds)
    app[LOOKUPS] = Lookups(database)
    app[FEED] = ChangeReader(settings, app[CATALOG].has_publication)
    limits = FeedLimits(settings.max_subscribers, settings.max_waiting_bytes, settings.feed_heartbeat_seconds)
    app[HUB] = Hub(database, app[FEED], app[CATALOG].find, limits)
    app.on_shutdown.append(_end_streams)
    app[CACHE] = Cache(app[FEED], settings.cache_bytes)
    app[PAGES_ASKED], app[ITEMS_ASKED] = Readings(), Readings()
    app[OBSERVED] = Observed({}, {}, settings.telemetry)
    metrics = app[METRICS] = Metrics()
    metrics.gauges += gauges_of(app)
    diagnoser = Diagnoser(app[OPERATIONS], metrics.explained) if settings.explain else None
    app[SLOW_QUERIES] = SlowQueries(settings, diagnoser, metrics.slow, metrics.slow_dropped)
    app[SIBLINGS] = Siblings(place, lambda part: tell(app, part))
    app.cleanup_ctx.extend((_open_database, _observe, _follow_catalog, _follow_changes, _answer_siblings))
    app.cleanup_ctx.extend((_gather_lookups, _keep_answers))
    if settings.access_log:
        app.cleanup_ctx.append(_log_requests)
    app.on_response_prepare.append(add_common_headers)
    add_routes(app, (*ROUTES, *PAGE_ROUTES))
    return app


def build_admin_app(app: web.Application) -> web.Application:
    """The admin listener of a service; it looks into `app`, which opens and closes everything. No page of another origin
    may read it.
    """
    admin = web.Application(middlewares=[surround])
    admin[SETTINGS] = app[SETTINGS]
    admin[DATABASE] = app[DATABASE]
    admin[OPERATIONS] = app[OPERATIONS]
    admin[CATALOG] = app[CATALOG]
    admin[SIBLINGS] = app[SIBLINGS]
    admin[OBSERVED] = Observed({}, app[OBSERVED].live, app[SETTINGS].telemetry)
    admin.on_response_prepare.append(add_private_headers)
    add_routes(admin, ADMIN_ROUTES)
    return admin


def check_routes(settings: Settings) -> None:
    """Raises: SettingsError when a threshold is for a route that is not there."""
    known = {name for route in ROUTES for name in (route.operation_id, route.path)}
    wrong = [name for name in settings.slow_query_ms_by_route if name not in known]
    if wrong:
        raise SettingsError([f"GEOSVC_SLOW_QUERY_MS_BY_ROUTE.{name}: there is no such operation or path" for name in wrong])


def check_crs(settings: Settings) -> None:
    """Raises: SettingsError for codes of no reference system with two horizontal axes."""
    wrong = ", ".join(str(code) for code in settings.crs if epsg_crs(Srid(code)) is None)
    if wrong:
        raise SettingsError([f"GEOSVC_CRS: no geographic or projected reference system of EPSG is called {wrong}"])
