"""One feature by id as most would write it: FastAPI, an asyncpg pool, fetchrow, a dict. Run as
`python -m benchmarks.peers.plain_fastapi`, with BENCH_DATABASE_URL set.
"""

import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException, Request

from benchmarks.servers import POOL_CONNECTIONS

SELECT = """
SELECT id, osm_id, version, edited, name, kind, levels, street, house_number, postcode, city, tags,
    ST_AsGeoJSON(geom, 7) AS geometry
FROM buildings_bench WHERE id = $1
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Opens the pool, of as many connections as geosvc's, and closes it."""
    url = os.environ["BENCH_DATABASE_URL"]
    async with asyncpg.create_pool(
        url, min_size=POOL_CONNECTIONS, max_size=POOL_CONNECTIONS
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


async def select_item(feature_id: int, request: Request) -> dict[str, Any]:
    """One building from the database."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(SELECT, feature_id)
    if row is None:
        raise HTTPException(404)
    properties = dict(row)
    geometry = json.loads(properties.pop("geometry"))
    properties["tags"] = json.loads(properties["tags"])
    return {"type": "Feature", "id": row["id"], "geometry": geometry, "properties": properties}


@app.get("/typed/{feature_id}")
async def read_typed(feature_id: int, request: Request) -> dict[str, Any]:
    """One building; the return type lets FastAPI write the JSON by pydantic's own serializer."""
    return await select_item(feature_id, request)


@app.get("/untyped/{feature_id}", response_model=None)
async def read_untyped(feature_id: int, request: Request) -> dict[str, Any]:
    """One building; without a response model FastAPI first walks through the document in Python."""
    return await select_item(feature_id, request)


def main() -> None:
    """Serves on a free port until it is told to stop."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    sys.stderr.write(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
    sys.stderr.flush()
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
