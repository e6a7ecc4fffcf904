"""Buildings and points by Flask and SQLAlchemy on psycopg2, as their guides write it.

gunicorn starts `app`, with BENCH_DATABASE_URL set.
"""

# mypy: disallow-untyped-decorators=False

import os

from flask import Flask, Response, jsonify, request  # type: ignore[import-not-found]  # in .venv-peers
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from benchmarks.peers.tables import (
    Building,
    Point,
    make_feature,
    select_page,
    select_rows,
)

engine = create_engine(
    os.environ["BENCH_DATABASE_URL"].replace("postgresql:", "postgresql+psycopg2:", 1)
)
app = Flask(__name__)


def select_items(model: type[Building | Point]) -> Response:
    """A page, or what is in a box."""
    limit = request.args.get("limit", 10, int)
    with Session(engine) as session:
        rows = session.execute(select_page(model, limit, request.args.get("bbox")))
        features = [make_feature(found, text) for found, text in rows]
    return jsonify({"type": "FeatureCollection", "features": features})


@app.get("/buildings/<int:feature_id>")
def read_building(feature_id: int) -> Response:
    """One building."""
    with Session(engine) as session:
        wanted = select_rows(Building).where(Building.id == feature_id)
        row = session.execute(wanted).one_or_none()
        if row is None:
            return Response(status=404)
        return jsonify(make_feature(row[0], row[1]))


@app.get("/buildings")
def read_buildings() -> Response:
    """Several buildings."""
    return select_items(Building)


@app.get("/points")
def read_points() -> Response:
    """Several points."""
    return select_items(Point)
