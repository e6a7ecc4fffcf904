"""What the application and a request carry, by typed key."""

from aiohttp import web

from geosvc.database.catalog import CatalogFollower
from geosvc.database.counts import Counts
from geosvc.database.extents import Extents
from geosvc.database.lookup import Lookups
from geosvc.database.pool import Database
from geosvc.settings import Settings

SETTINGS = web.AppKey("settings", Settings)
DATABASE = web.AppKey("database", Database)
CATALOG = web.AppKey("catalog", CatalogFollower)
COUNTS = web.AppKey("counts", Counts)
EXTENTS = web.AppKey("extents", Extents)
LOOKUPS = web.AppKey("lookups", Lookups)

REQUEST_ID = web.RequestKey("request_id", str)
STREAMING = web.RequestKey("streaming", bool)
"""Set once a response has begun: whatever fails then breaks the connection off."""
