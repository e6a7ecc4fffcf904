"""The probes of the admin listener: whether the process is alive, and whether it can answer."""

import asyncio

from aiohttp import web

from geosvc.errors import RequestError
from geosvc.http.documents import json_response
from geosvc.http.keys import ADMIN_DATABASE, CATALOG, STOP
from geosvc.sql.files import load_statement

READY_SECONDS = 2.0


async def get_livez(request: web.Request) -> web.Response:
    """200 while the event loop runs; it does not depend on the database."""
    return json_response({"status": "alive"})


async def get_readyz(request: web.Request) -> web.Response:
    """200 when the catalog is loaded and the database answers; else 503 with the reason.

    The database is asked on a connection that no reader holds. 503 as soon as the service is told
    to stop.
    """
    if request.app[STOP].begun:
        return _not_ready("the service is stopping")
    database = request.app[ADMIN_DATABASE]
    try:
        catalog = request.app[CATALOG].catalog
        async with asyncio.timeout(READY_SECONDS):
            await database.fetch(load_statement("ping"))
    except RequestError as error:
        return _not_ready(error.detail)
    except TimeoutError:
        return _not_ready("the database takes too long to answer")
    ready = {"status": "ready", "collections": len(catalog.collections)}
    return json_response(ready)


def _not_ready(reason: str) -> web.Response:
    response = json_response({"status": "not ready", "reason": reason})
    response.set_status(503)
    return response
