"""The wiring: what is opened in which order, and closed in the reverse order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial

from aiohttp import web

from geosvc.assets import Assets
from geosvc.background import in_background
from geosvc.caching.area_cache import AreaCache
from geosvc.caching.store import Cache
from geosvc.database.catalog import CatalogFollower
from geosvc.database.pool import CLOSE_SECONDS, Database
from geosvc.database.reads.counts import Counts
from geosvc.database.reads.extents import Extents
from geosvc.database.reads.lookup import Lookups
from geosvc.database.reads.tile_layers import LayerReader
from geosvc.database.writes.plans import Writes
from geosvc.database.writes.writer import Writer
from geosvc.descriptors import subscribers
from geosvc.errors import SettingsError
from geosvc.extension import Extension, Registries, compose_registries
from geosvc.handlers.api import API_WRITER
from geosvc.handlers.item import PARSED_ITEMS
from geosvc.handlers.items import PARSED_PAGES
from geosvc.handlers.parsed_requests import ParsedRequestCache
from geosvc.handlers.tiles import PARSED_TILES
from geosvc.http.hosts import KnownHosts
from geosvc.http.keys import (
    ADDED_CONFORMANCE,
    ADMIN_DATABASE,
    AREA_CACHE,
    ASSETS,
    CACHE,
    CATALOG,
    CHANGE_READER,
    CODE_VERSION,
    COUNTS,
    DATABASE,
    EXTENTS,
    FORMATS,
    FUNCTIONS,
    HUB,
    LOOKUPS,
    METRICS,
    OBSERVED,
    OFFLOAD,
    PLANS,
    SEND_MONITOR,
    SETTINGS,
    SLOW_QUERIES,
    STOP,
    TILE_LAYERS,
    TILE_MATRIX_SETS,
    WORKER_PEERS,
    WRITE_DATABASE,
    WRITES,
    Observed,
)
from geosvc.http.middleware import only_known_hosts, wrap_request
from geosvc.http.response_end import (
    add_common_headers,
    add_private_headers,
    end_abandoned_requests,
)
from geosvc.http.send_monitor import SendMonitor
from geosvc.http.upload_limits import UPLOADS, Uploads
from geosvc.live.change_reader import ChangeReader
from geosvc.live.hub import FeedLimits, Hub
from geosvc.live.pruning import Pruner
from geosvc.live.topic_registry import TopicRegistry
from geosvc.model.crs import Srid, known_crs
from geosvc.observe.access import AccessLog
from geosvc.observe.diagnosis import Diagnoser
from geosvc.observe.lag import watch_loop
from geosvc.observe.metrics import Metrics
from geosvc.observe.slow import SlowQueries
from geosvc.offload.children import ChildLimits
from geosvc.offload.offload import Offload
from geosvc.openapi import ApiWriter
from geosvc.query.features import PagePlans
from geosvc.routes import ADMIN_ROUTES, ROUTES, Route, add_routes
from geosvc.settings import Settings
from geosvc.stopping import Stop
from geosvc.tile_matrix_sets import load_tile_matrix_sets
from geosvc.worker_peers import WorkerPeers, WorkerSlot
from geosvc.worker_report import gauges_of, report

# a second pool, of two connections: for health checks, the pages of the admin listener, EXPLAIN
OPERATIONS_POOL = {
    "pool_min_size": 0,
    "pool_max_size": 2,
    "pool_acquire_seconds": 2.0,
    "statement_timeout_seconds": 2.0,
}


async def _open_database(app: web.Application) -> AsyncIterator[None]:
    await app[DATABASE].open()
    await app[WRITE_DATABASE].open()
    await app[ADMIN_DATABASE].open()
    yield
    left = app[STOP].left(CLOSE_SECONDS)
    await app[WRITES].writer.close(left)
    left = app[STOP].left(left)
    await asyncio.gather(
        *(each.close(left) for each in (app[ADMIN_DATABASE], app[WRITE_DATABASE], app[DATABASE]))
    )


async def _follow_catalog(app: web.Application) -> AsyncIterator[None]:
    await app[CATALOG].look()
    async with in_background(app[CATALOG].follow):
        yield


async def _follow_changes(app: web.Application) -> AsyncIterator[None]:
    reader = app[CHANGE_READER]
    pruner = Pruner(
        app[SETTINGS], app[WRITES].writer, lambda: reader.is_up and not reader.is_standby
    )
    async with in_background(reader.follow), in_background(pruner.follow):
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
    watch = partial(watch_loop, app[METRICS].loop_lag, app[METRICS].loop_held)
    end_abandoned = partial(end_abandoned_requests, app[OBSERVED].open_requests)
    async with in_background(watch), in_background(end_abandoned):
        yield
    await app[SLOW_QUERIES].close()
    stop_counting()


async def _log_requests(app: web.Application) -> AsyncIterator[None]:
    access_log = AccessLog()
    access_log.start()
    yield
    await access_log.close()


async def _answer_peers(app: web.Application) -> AsyncIterator[None]:
    runner = await app[WORKER_PEERS].listen()
    yield
    if runner is not None:
        await runner.cleanup()


async def _gather_lookups(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[LOOKUPS].close()


async def _end_offload(app: web.Application) -> AsyncIterator[None]:
    yield
    app[OFFLOAD].close()


async def _keep_answers(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[CACHE].close()
    await app[AREA_CACHE].close()


def build_app(
    settings: Settings,
    slot: WorkerSlot | None = None,
    *,
    extensions: Sequence[Extension] = (),
) -> web.Application:
    """Builds the service of one database.

    It starts whether or not the database can be reached, and finds it later.

    Args:
        slot: of this worker among the workers of the service; None when it is the only one.
        extensions: what the embedding application adds.
    Raises: ExtensionError when an addition is not possible; SettingsError when DATABASE_URL is not
        set, a threshold names an unknown route, or CRS has a code of no known reference system.
    """
    if settings.database_url is None:
        raise SettingsError(["GEOSVC_DATABASE_URL: is not set"])
    registries = compose_registries(extensions)
    check_routes(settings, registries.routes)
    check_crs(settings)
    app = web.Application(middlewares=[wrap_request])
    app[SETTINGS] = settings
    app[STOP] = Stop()
    app[ASSETS] = Assets.load()
    _add_registries(app, registries)
    _add_pools(app, settings.database_url.get_secret_value())
    _add_reads(app)
    _add_writes(app)
    _add_changes(app)
    _add_observation(app)
    app[WORKER_PEERS] = WorkerPeers(slot, lambda part: report(app, part))
    app.cleanup_ctx.extend(LIFESPAN)
    if settings.access_log:
        app.cleanup_ctx.append(_log_requests)
    app.on_shutdown.append(_end_streams)
    app.on_response_prepare.append(add_common_headers)
    add_routes(app, registries.routes)
    return app


def _add_registries(app: web.Application, registries: Registries) -> None:
    app[FORMATS] = registries.formats
    app[FUNCTIONS] = registries.functions
    app[ADDED_CONFORMANCE] = registries.added_conformance
    app[CODE_VERSION] = registries.code_version
    sets = app[TILE_MATRIX_SETS] = load_tile_matrix_sets(app[SETTINGS].tile_matrix_sets)
    offered = tuple(each.id for each in sets)
    most = app[SETTINGS].tile_max_collections
    described = replace(registries.described, tile_matrix_sets=offered, tile_max_collections=most)
    app[API_WRITER] = ApiWriter(described)


def _add_pools(app: web.Application, url: str) -> None:
    settings = app[SETTINGS]
    few = settings.model_copy(update=OPERATIONS_POOL)
    writing = settings.model_copy(
        update={"pool_min_size": 0, "pool_max_size": settings.write_pool_max_size}
    )
    app[DATABASE] = Database(settings, url)
    app[ADMIN_DATABASE] = Database(few, url)
    app[WRITE_DATABASE] = Database(writing, url, writes=True)


def _add_reads(app: web.Application) -> None:
    settings, database = app[SETTINGS], app[DATABASE]
    limits = ChildLimits(settings.check_seconds, settings.check_memory_bytes)
    app[OFFLOAD] = Offload(settings.check_processes, limits)
    app[CATALOG] = CatalogFollower(database, settings)
    app[COUNTS] = Counts(database, settings, app[OFFLOAD])
    app[EXTENTS] = Extents(database, settings.count_seconds)
    app[LOOKUPS] = Lookups(database)
    app[PLANS] = PagePlans()
    app[TILE_LAYERS] = LayerReader(
        database, app[OFFLOAD], settings.tile_max_bytes, settings.tile_sample_rows
    )
    app[SEND_MONITOR] = SendMonitor(
        settings.write_stall_seconds, settings.min_rate_bytes, settings.max_held_bytes
    )
    app[PARSED_PAGES] = ParsedRequestCache()
    app[PARSED_ITEMS] = ParsedRequestCache()
    app[PARSED_TILES] = ParsedRequestCache()


def _add_writes(app: web.Application) -> None:
    app[WRITES] = Writes(Writer(app[WRITE_DATABASE]))
    app[UPLOADS] = Uploads(app[SETTINGS])


def _add_changes(app: web.Application) -> None:
    settings, catalog = app[SETTINGS], app[CATALOG]
    topics = TopicRegistry()
    reader = app[CHANGE_READER] = ChangeReader(settings, catalog.has_publication, topics)
    limits = FeedLimits(
        subscribers(settings), settings.max_waiting_bytes, settings.feed_heartbeat_seconds
    )
    app[HUB] = Hub(app[DATABASE], reader, topics, catalog.find, limits)
    app[CACHE] = Cache(reader, settings.cache_bytes)
    app[AREA_CACHE] = AreaCache(settings.tile_cache_bytes)


def _add_observation(app: web.Application) -> None:
    settings = app[SETTINGS]
    app[OBSERVED] = Observed({}, {}, settings.telemetry)
    metrics = app[METRICS] = Metrics()
    metrics.gauges += gauges_of(app)
    diagnoser = Diagnoser(app[ADMIN_DATABASE], metrics.explained) if settings.explain else None
    app[SLOW_QUERIES] = SlowQueries(settings, diagnoser, metrics.slow, metrics.slow_dropped)


# opened in this order, closed in the reverse order
LIFESPAN = (
    _open_database,
    _observe,
    _follow_catalog,
    _follow_changes,
    _answer_peers,
    _gather_lookups,
    _keep_answers,
    _end_offload,
)


def build_admin_app(app: web.Application) -> web.Application:
    """Builds the admin listener of a service.

    It uses the pools and the state of `app`, which opens and closes them. Pages of other origins
    cannot read it.
    """
    settings = app[SETTINGS]
    known = KnownHosts((settings.admin_host, *settings.admin_hosts))
    admin = web.Application(middlewares=[wrap_request, only_known_hosts(known)])
    admin[SETTINGS] = app[SETTINGS]
    admin[STOP] = app[STOP]
    admin[DATABASE] = app[DATABASE]
    admin[ADMIN_DATABASE] = app[ADMIN_DATABASE]
    admin[CATALOG] = app[CATALOG]
    admin[WORKER_PEERS] = app[WORKER_PEERS]
    admin[SEND_MONITOR] = app[SEND_MONITOR]
    admin[OBSERVED] = Observed({}, app[OBSERVED].open_requests, app[SETTINGS].telemetry)
    admin.on_response_prepare.append(add_private_headers)
    add_routes(admin, ADMIN_ROUTES)
    return admin


def check_routes(settings: Settings, routes: Sequence[Route] = ROUTES) -> None:
    """Raises: SettingsError when a threshold is for a route that is not there."""
    known = {name for route in routes for name in (route.operation_id, route.path)}
    wrong = [name for name in settings.slow_query_ms_by_route if name not in known]
    if wrong:
        raise SettingsError(
            [
                f"GEOSVC_SLOW_QUERY_MS_BY_ROUTE.{name}: there is no such operation or path"
                for name in wrong
            ]
        )


def check_crs(settings: Settings) -> None:
    """Raises: SettingsError for codes of no reference system with two horizontal axes."""
    wrong = ", ".join(str(code) for code in settings.crs if known_crs(Srid(code)) is None)
    if wrong:
        raise SettingsError(
            [f"GEOSVC_CRS: no geographic or projected reference system of EPSG is called {wrong}"]
        )
