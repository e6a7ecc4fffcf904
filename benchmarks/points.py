"""Tables of points that have different sizes and the same density."""

from collections.abc import Mapping
from random import Random

from benchmarks.arena import Arena
from benchmarks.boxes import Box
from benchmarks.data import count_rows, run_sql

POINTS: Mapping[str, int] = {"10,000": 10_000, "150,000": 150_000, "ten million": 10_000_000}
SCHEMA = "bench_points"
BOX_DEGREES = 0.0245  # some 60 points
_POINTS_PER_DEGREE = 316  # in each direction


def points_table(points: int) -> str:
    """The table of so many points, with its schema."""
    return f"{SCHEMA}.points_{points}"


def degrees_across(points: int) -> float:
    """The side of the square in which the points are."""
    return float(points**0.5 / _POINTS_PER_DEGREE)


def random_box_of_points(chosen: Random, points: int) -> Box:
    """A box of some 60 of so many points."""
    most = degrees_across(points) - BOX_DEGREES
    xmin, ymin = round(chosen.uniform(0, most), 6), round(chosen.uniform(0, most), 6)
    return Box(xmin, ymin, round(xmin + BOX_DEGREES, 6), round(ymin + BOX_DEGREES, 6))


def make_points(arena: Arena) -> None:
    """Makes the tables that are missing."""
    run_sql(arena.url, f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    for points in POINTS.values():
        table, across = points_table(points), degrees_across(points)
        run_sql(
            arena.url,
            f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, name text,"
            " geom geometry(Point, 4326) NOT NULL)",
        )
        if count_rows(arena.url, table) == points:
            continue
        arena.say(f"{points:,} points …")
        run_sql(
            arena.url,
            f"TRUNCATE {table};"
            f"INSERT INTO {table} SELECT i, 'point ' || i, ST_SetSRID(ST_Point("
            f"random() * {across}, random() * {across}), 4326) FROM generate_series(1, {points}) i;"
            f"CREATE INDEX ON {table} USING gist (geom);"
            f"VACUUM ANALYZE {table}",
        )
