"""The admin listener: whether the process is alive, and whether it can answer."""

from aiohttp import web

from geosvc.errors import RequestError
from geosvc.handlers.documents import json_response
from geosvc.keys import CATALOG, DATABASE
from geosvc.sql.files import load_statement

READY_SECONDS = 2.0


async def get_livez(request: web.Request) -> web.Response:
    """200 while the event loop turns; the database has no say."""
    return json_response({"status": "alive"})


async def get_readyz(request: web.Request) -> web.Response:
    """200 when the catalog is loaded and the database answers; else 503 with the reason."""
    try:
        catalog = request.app[CATALOG].catalog
        await request.app[DATABASE].fetch(load_statement("ping"), READY_SECONDS)
    except RequestError as error:
        response = json_response({"status": "not ready", "reason": error.detail})
        response.set_status(503)
        return response
    return json_response({"status": "ready", "collections": len(catalog.collections)})
