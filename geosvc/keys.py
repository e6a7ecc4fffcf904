"""What the application and a request carry, by typed key."""

from aiohttp import web

from geosvc.database.catalog import CatalogFollower
from geosvc.database.counts import Counts
from geosvc.database.extents import Extents
from geosvc.database.lookup import Lookups
from geosvc.database.pool import Database
from geosvc.observe.metrics import Metrics
from geosvc.observe.slow import SlowQueries
from geosvc.settings import Settings
from geosvc.siblings import Siblings
from geosvc.trace import Trace

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
CATALOG = web.AppKey("catalog", CatalogFollower)
COUNTS = web.AppKey("counts", Counts)
EXTENTS = web.AppKey("extents", Extents)
OPERATIONS = web.AppKey("operations", Database)
"""A connection of its own, outside the pool, to look at the server with."""

METRICS = web.AppKey("metrics", Metrics)
SLOW_QUERIES = web.AppKey("slow_queries", SlowQueries)
SIBLINGS = web.AppKey("siblings", Siblings)
LIVE: web.AppKey[dict[Trace, web.Request]] = web.AppKey("live", dict)
"""The requests that are being handled."""

LOOKUPS = web.AppKey("lookups", Lookups)

NO_OPERATION = (None, None)
OPERATION_OF: web.AppKey[dict[object, tuple[str | None, str | None]]] = web.AppKey("operation_of", dict)
"""The operation id and the path of each handler, for what is observed."""

TRACE = web.RequestKey("trace", Trace)
STREAMING = web.RequestKey("streaming", bool)
"""Set once a response has begun: whatever fails then breaks the connection off."""
