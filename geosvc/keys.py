"""What the application and a request carry, by typed key."""

from dataclasses import dataclass

from aiohttp import web

from geosvc.assets import Assets
from geosvc.database.catalog import CatalogFollower
from geosvc.database.counts import Counts
from geosvc.database.extents import Extents
from geosvc.database.lookup import Lookups
from geosvc.database.mutations import Writes
from geosvc.database.pool import Database
from geosvc.live.cache import Cache
from geosvc.live.hub import Hub
from geosvc.live.reader import ChangeReader
from geosvc.observe.metrics import Metrics
from geosvc.observe.slow import SlowQueries
from geosvc.settings import Settings
from geosvc.siblings import Siblings
from geosvc.trace import Trace

SETTINGS = web.AppKey("settings", Settings)
ASSETS = web.AppKey("assets", Assets)
DATABASE = web.AppKey("database", Database)
CATALOG = web.AppKey("catalog", CatalogFollower)
COUNTS = web.AppKey("counts", Counts)
EXTENTS = web.AppKey("extents", Extents)
OPERATIONS = web.AppKey("operations", Database)
"""A connection of its own, outside the pool, to look at the server with."""

METRICS = web.AppKey("metrics", Metrics)
SLOW_QUERIES = web.AppKey("slow_queries", SlowQueries)
SIBLINGS = web.AppKey("siblings", Siblings)
FEED = web.AppKey("feed", ChangeReader)
HUB = web.AppKey("hub", Hub)
CACHE = web.AppKey("cache", Cache)
LOOKUPS = web.AppKey("lookups", Lookups)
WRITES = web.AppKey("writes", Writes)
WRITE_DATABASE = web.AppKey("write_database", Database)
"""The connections that write, apart from those that read."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is observed of requests.

    Attributes:
        operations: the operation id and the path of each handler.
        live: the requests that are being handled.
        telemetry: whether they are kept there.
    """

    operations: dict[object, tuple[str | None, str | None]]
    live: dict[Trace, web.Request]
    telemetry: bool


NO_OPERATION = (None, None)
OBSERVED = web.AppKey("observed", Observed)

TRACE = web.RequestKey("trace", Trace)
BODY = web.RequestKey("body", bytes)
"""The body, once it is read whole."""

STREAMING = web.RequestKey("streaming", bool)
"""Set once a response has begun: whatever fails then breaks the connection off."""
