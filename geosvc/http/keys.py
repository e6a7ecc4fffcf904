"""The typed keys of what the application and a request carry."""

from dataclasses import dataclass

from aiohttp import web

from geosvc.assets import Assets
from geosvc.caching.area_cache import AreaCache
from geosvc.caching.store import Cache
from geosvc.database.catalog import CatalogFollower
from geosvc.database.pool import Database
from geosvc.database.reads.counts import Counts
from geosvc.database.reads.extents import Extents
from geosvc.database.reads.lookup import Lookups
from geosvc.database.reads.tile_layers import LayerReader
from geosvc.database.writes.plans import Writes
from geosvc.filter_functions import FilterFunctions
from geosvc.formats import FeatureFormats
from geosvc.http.send_monitor import SendMonitor
from geosvc.live.change_reader import ChangeReader
from geosvc.live.hub import Hub
from geosvc.model.principal import Principal
from geosvc.observe.metrics import Metrics
from geosvc.observe.slow import SlowQueries
from geosvc.offload.offload import Offload
from geosvc.query.features import PagePlans
from geosvc.settings import Settings
from geosvc.stopping import Stop
from geosvc.tile_matrix_sets import TileMatrixSets
from geosvc.trace import Trace
from geosvc.worker_peers import WorkerPeers

SETTINGS = web.AppKey("settings", Settings)
ASSETS = web.AppKey("assets", Assets)
FORMATS = web.AppKey("formats", FeatureFormats)
FUNCTIONS = web.AppKey("functions", FilterFunctions)
ADDED_CONFORMANCE: web.AppKey[tuple[str, ...]] = web.AppKey("added_conformance", tuple)
"""The conformance classes of extensions."""

CODE_VERSION = web.AppKey("code_version", str)
"""The versions of geosvc and of its extensions: a part of every key of what is kept."""

DATABASE = web.AppKey("database", Database)
CATALOG = web.AppKey("catalog", CatalogFollower)
COUNTS = web.AppKey("counts", Counts)
EXTENTS = web.AppKey("extents", Extents)
ADMIN_DATABASE = web.AppKey("admin_database", Database)
"""A second pool, of two connections: for health checks, pages of the admin listener, EXPLAIN."""

METRICS = web.AppKey("metrics", Metrics)
SLOW_QUERIES = web.AppKey("slow_queries", SlowQueries)
WORKER_PEERS = web.AppKey("worker_peers", WorkerPeers)
STOP = web.AppKey("stop", Stop)
CHANGE_READER = web.AppKey("change_reader", ChangeReader)
HUB = web.AppKey("hub", Hub)
CACHE = web.AppKey("cache", Cache)
AREA_CACHE = web.AppKey("area_cache", AreaCache)
SEND_MONITOR = web.AppKey("send_monitor", SendMonitor)
LOOKUPS = web.AppKey("lookups", Lookups)
PLANS = web.AppKey("plans", PagePlans)
TILE_LAYERS = web.AppKey("tile_layers", LayerReader)
TILE_MATRIX_SETS = web.AppKey("tile_matrix_sets", TileMatrixSets)
WRITES = web.AppKey("writes", Writes)
OFFLOAD = web.AppKey("offload", Offload)
WRITE_DATABASE = web.AppKey("write_database", Database)
"""The connections that write, apart from those that read."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is observed of requests.

    Attributes:
        operations: (operation id, path) of each handler.
        open_requests: the requests that are being handled.
        telemetry: whether `open_requests` is filled.
    """

    operations: dict[object, tuple[str | None, str | None]]
    open_requests: dict[Trace, web.Request]
    telemetry: bool


NO_OPERATION = (None, None)
OBSERVED = web.AppKey("observed", Observed)

TRACE = web.RequestKey("trace", Trace)
PRINCIPAL = web.RequestKey("principal", Principal)
"""Who sends the request; `http.middleware.set_principal` sets it."""

BODY = web.RequestKey("body", bytes)
"""The body, once it is read as a whole."""

STREAMING = web.RequestKey("streaming", bool)
"""Set once a response has begun: a later failure breaks the connection off."""
