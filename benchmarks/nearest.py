"""The ten nearest of 171,000 points, exact in metres, against PostGIS's plain index order in
degrees.
"""

import asyncio
import json
import random

from benchmarks.arena import Arena
from benchmarks.contest import compete
from benchmarks.data import run_sql
from benchmarks.literals import pgbench_script
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.plans import make_planner
from benchmarks.results import Result, Target
from geosvc.sql.compose import Statement

ROWS = 171_000
K = 10
PLACES = 20
TARGET = Target(1 / 1.5)
_TABLE = f"""
DROP TABLE IF EXISTS nearest_bench;
CREATE TABLE nearest_bench AS
SELECT row_number() OVER () AS id, name, population,
       ST_Translate(geom, 0.013 * copy, 0.007 * copy) AS geom
FROM cities, generate_series(0, 2) copy
WHERE abs(ST_Y(geom)) < 80 AND abs(ST_X(geom)) < 179 LIMIT {ROWS};
ALTER TABLE nearest_bench ALTER COLUMN geom TYPE geometry (Point, 4326), ADD PRIMARY KEY (id);
CREATE INDEX ON nearest_bench USING gist (geom);
VACUUM ANALYZE nearest_bench
"""


async def _planned(url: str, places: list[tuple[float, float]]) -> list[Statement]:
    planner = await make_planner(url)
    body = {"predicate": "nearest", "k": K}
    points = ({"type": "Point", "coordinates": place} for place in places)
    return [
        planner.search("nearest_bench", json.dumps({**body, "geometry": point}).encode())
        for point in points
    ]


def _plain(place: tuple[float, float]) -> Statement:
    """The usual query: features by the index's own order, distances in degrees."""
    feature = (
        "json_build_object('type', 'Feature', 'id', id,"
        " 'geometry', ST_AsGeoJSON(geom)::json, 'properties', "
    )
    point = f"ST_SetSRID(ST_Point({place[0]}, {place[1]}), 4326)"
    rest = (
        "json_build_object('name', name, 'population', population))"
        f" FROM nearest_bench ORDER BY geom <-> {point} LIMIT {K}"
    )
    return Statement("plain", f"SELECT {feature}{rest}")


def run(arena: Arena) -> list[Result]:
    """Statements a second of one client."""
    run_sql(arena.url, _TABLE)
    chosen = random.Random(171)
    places = [
        (round(chosen.uniform(-10, 40), 4), round(chosen.uniform(35, 65), 4)) for _ in range(PLACES)
    ]
    planned = [pgbench_script(each) for each in asyncio.run(_planned(arena.url, places))]
    plain = [pgbench_script(_plain(place)) for place in places]
    sessions = Sessions(arena.url, arena.planner.session, 1)
    rates = compete(
        {
            "geosvc": lambda seconds: measure_pgbench(sessions, planned, seconds, "extended"),
            "plain": lambda seconds: measure_pgbench(sessions, plain, seconds, "extended"),
        },
        arena.effort,
    )
    run_sql(arena.url, "DROP TABLE nearest_bench")
    what = "10 of 171,000 points, in metres"
    return [
        Result(
            "nearest", what, rates["geosvc"], "/s", "plain KNN in degrees", rates["plain"], TARGET
        )
    ]
