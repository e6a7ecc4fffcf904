"""The wiring: what is opened in which order, and closed in the reverse order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web

from geosvc.database.catalog import CatalogFollower
from geosvc.database.counts import Counts
from geosvc.database.extents import Extents
from geosvc.database.lookup import Lookups
from geosvc.database.pool import Database
from geosvc.errors import SettingsError
from geosvc.keys import CATALOG, COUNTS, DATABASE, EXTENTS, LOOKUPS, SETTINGS
from geosvc.middleware import add_common_headers, surround
from geosvc.routes import ADMIN_ROUTES, ROUTES, add_routes
from geosvc.settings import Settings


async def _open_database(app: web.Application) -> AsyncIterator[None]:
    await app[DATABASE].open()
    yield
    await app[DATABASE].close()


async def _follow_catalog(app: web.Application) -> AsyncIterator[None]:
    await app[CATALOG].look()
    following = asyncio.create_task(app[CATALOG].follow())
    yield
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following


async def _gather_lookups(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[LOOKUPS].close()


def build_app(settings: Settings) -> web.Application:
    """The service of one database. It starts whether or not the database is there, and finds it when it comes.

    Raises: SettingsError when there is no DATABASE_URL.
    """
    if settings.database_url is None:
        raise SettingsError(["GEOSVC_DATABASE_URL: is not set"])
    database = Database(settings, settings.database_url.get_secret_value())
    app = web.Application(middlewares=[surround])
    app[SETTINGS] = settings
    app[DATABASE] = database
    app[CATALOG] = CatalogFollower(database, settings)
    app[COUNTS] = Counts(database, settings)
    app[EXTENTS] = Extents(database, settings.count_seconds)
    app[LOOKUPS] = Lookups(database)
    app.cleanup_ctx.extend((_open_database, _follow_catalog, _gather_lookups))
    app.on_response_prepare.append(add_common_headers)
    add_routes(app, ROUTES)
    return app


def build_admin_app(app: web.Application) -> web.Application:
    """The admin listener of a service; it looks into `app`, which opens and closes everything."""
    admin = web.Application(middlewares=[surround])
    admin[SETTINGS] = app[SETTINGS]
    admin[DATABASE] = app[DATABASE]
    admin[CATALOG] = app[CATALOG]
    admin.on_response_prepare.append(add_common_headers)
    add_routes(admin, ADMIN_ROUTES)
    return admin
