"""Buildings and points as most would write it: FastAPI, an asyncpg pool, rows, dicts.

One worker: `python -m benchmarks.peers.plain_fastapi`. Several: uvicorn starts `app`. Both want
BENCH_DATABASE_URL to be set.
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

from benchmarks.peers import POOL_CONNECTIONS

BUILDINGS = """
SELECT id, osm_id, version, edited, name, kind, levels, street, house_number, postcode, city, tags,
    ST_AsGeoJSON(geom, 7) AS geometry
FROM buildings_bench
"""
POINTS = "SELECT id, name, ST_AsGeoJSON(geom, 7) AS geometry FROM bench_points.points_150000"
IN_BOX = " WHERE ST_Intersects(geom, ST_MakeEnvelope($2, $3, $4, $5, 4326)) ORDER BY id LIMIT $1"


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


def make_feature(row: asyncpg.Record) -> dict[str, Any]:
    """A row as GeoJSON."""
    properties = dict(row)
    geometry = json.loads(properties.pop("geometry"))
    if "tags" in properties:
        properties["tags"] = json.loads(properties["tags"])
    return {"type": "Feature", "id": row["id"], "geometry": geometry, "properties": properties}


async def select_item(feature_id: int, request: Request) -> dict[str, Any]:
    """One building from the database."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(f"{BUILDINGS} WHERE id = $1", feature_id)
    if row is None:
        raise HTTPException(404)
    return make_feature(row)


async def select_items(
    request: Request, select: str, limit: int, bbox: str | None
) -> dict[str, Any]:
    """A page, or what is in a box."""
    async with request.app.state.pool.acquire() as connection:
        if bbox is None:
            rows = await connection.fetch(f"{select} ORDER BY id LIMIT $1", limit)
        else:
            corners = map(float, bbox.split(","))
            rows = await connection.fetch(f"{select} {IN_BOX}", limit, *corners)
    return {"type": "FeatureCollection", "features": [make_feature(row) for row in rows]}


@app.get("/buildings/{feature_id}")
async def read_building(feature_id: int, request: Request) -> dict[str, Any]:
    """One building; the return type lets FastAPI write the JSON by pydantic's own serializer."""
    return await select_item(feature_id, request)


@app.get("/untyped/{feature_id}", response_model=None)
async def read_untyped(feature_id: int, request: Request) -> dict[str, Any]:
    """One building; without a response model FastAPI first walks through the document in Python."""
    return await select_item(feature_id, request)


@app.get("/buildings")
async def read_buildings(
    request: Request, limit: int = 10, bbox: str | None = None
) -> dict[str, Any]:
    """Several buildings."""
    return await select_items(request, BUILDINGS, limit, bbox)


@app.get("/points")
async def read_points(request: Request, limit: int = 10, bbox: str | None = None) -> dict[str, Any]:
    """Several points."""
    return await select_items(request, POINTS, limit, bbox)


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
