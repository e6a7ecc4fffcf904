"""The tables as SQLAlchemy's tutorial and GeoAlchemy's declare them, and a row as GeoJSON."""

import json
from datetime import datetime
from typing import Any

from geoalchemy2 import Geometry, WKBElement  # type: ignore[import-not-found]  # in .venv-peers
from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Model(DeclarativeBase):
    """What the tables have in common."""


class Building(Model):
    """A building."""

    __tablename__ = "buildings_bench"

    id: Mapped[int] = mapped_column(primary_key=True)
    osm_id: Mapped[int]
    version: Mapped[int | None]
    edited: Mapped[datetime | None]
    name: Mapped[str | None]
    kind: Mapped[str | None]
    levels: Mapped[int | None]
    street: Mapped[str | None]
    house_number: Mapped[str | None]
    postcode: Mapped[str | None]
    city: Mapped[str | None]
    tags: Mapped[dict[str, Any]] = mapped_column(JSONB)
    # not read with the others: the document holds what ST_AsGeoJSON makes of it
    geom: Mapped[WKBElement] = mapped_column(Geometry("MULTIPOLYGON", 4326), deferred=True)


class Point(Model):
    """A point."""

    __tablename__ = "points_150000"
    __table_args__ = ({"schema": "bench_points"},)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    geom: Mapped[WKBElement] = mapped_column(Geometry("POINT", 4326), deferred=True)


BUILDING_COLUMNS = (
    "id", "osm_id", "version", "edited", "name", "kind", "levels", "street", "house_number",
    "postcode", "city", "tags",
)  # fmt: skip
POINT_COLUMNS = ("id", "name")

Rows = Select[Any, str]


def select_rows(model: type[Building | Point]) -> Rows:
    """The objects of a table, each with its geometry."""
    return select(model, func.ST_AsGeoJSON(model.geom, 7))


def select_page(model: type[Building | Point], limit: int, bbox: str | None) -> Rows:
    """A page, or what is in a box."""
    wanted = select_rows(model)
    if bbox is not None:
        box = func.ST_MakeEnvelope(*map(float, bbox.split(",")), 4326)
        wanted = wanted.where(func.ST_Intersects(model.geom, box))
    return wanted.order_by(model.id).limit(limit)


def make_feature(found: Building | Point, geometry: str) -> dict[str, Any]:
    """An object as GeoJSON."""
    names = BUILDING_COLUMNS if isinstance(found, Building) else POINT_COLUMNS
    properties = {name: getattr(found, name) for name in names}
    return {
        "type": "Feature",
        "id": found.id,
        "geometry": json.loads(geometry),
        "properties": properties,
    }
