"""Buildings and points by FastAPI and SQLAlchemy 2 on asyncpg, as their guides write it.

uvicorn starts `app`, with BENCH_DATABASE_URL set.
"""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from benchmarks.peers import POOL_CONNECTIONS
from benchmarks.peers.tables import (
    Building,
    Point,
    make_feature,
    select_page,
    select_rows,
)

engine = create_async_engine(
    os.environ["BENCH_DATABASE_URL"].replace("postgresql:", "postgresql+asyncpg:", 1),
    pool_size=POOL_CONNECTIONS,
    max_overflow=0,
)
make_session = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


async def open_session() -> AsyncIterator[AsyncSession]:
    """A session for a request."""
    async with make_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]


async def select_items(
    session: AsyncSession, model: type[Building | Point], limit: int, bbox: str | None
) -> dict[str, Any]:
    """A page, or what is in a box."""
    rows = await session.execute(select_page(model, limit, bbox))
    return {
        "type": "FeatureCollection",
        "features": [make_feature(found, text) for found, text in rows],
    }


@app.get("/buildings/{feature_id}")
async def read_building(feature_id: int, session: Session) -> dict[str, Any]:
    """One building."""
    rows = await session.execute(select_rows(Building).where(Building.id == feature_id))
    row = rows.one_or_none()
    if row is None:
        raise HTTPException(404)
    return make_feature(row[0], row[1])


@app.get("/buildings")
async def read_buildings(
    session: Session, limit: int = 10, bbox: str | None = None
) -> dict[str, Any]:
    """Several buildings."""
    return await select_items(session, Building, limit, bbox)


@app.get("/points")
async def read_points(session: Session, limit: int = 10, bbox: str | None = None) -> dict[str, Any]:
    """Several points."""
    return await select_items(session, Point, limit, bbox)
