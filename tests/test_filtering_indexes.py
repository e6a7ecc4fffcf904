"""Filters use the indexes of the columns that they name: seen in the plans of the very statements
that are run.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import load_catalog
from geosvc.database.pool import Database
from geosvc.model.collection import Collection
from geosvc.query.matching import select_matching
from geosvc.requests.items import parse_items_query
from tests.conftest import execute, settings_for

TABLE = """
CREATE EXTENSION IF NOT EXISTS citext;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'never');
CREATE TABLE things (id int PRIMARY KEY, n int, big bigint, amount numeric, half real, t text, c char(8), ci citext, name_ name,
    mood mood, day date, moment timestamptz, naive timestamp, u uuid, tags text[], degrees_x geometry(Point, 4326));
INSERT INTO things SELECT i, i, i, i, i, i::text, i::text, i::text, i::text::name,
    CASE WHEN i % 2000 = 0 THEN 'never' WHEN i % 2 = 0 THEN 'ok' ELSE 'sad' END::mood,
    '2000-01-01'::date + i, '2000-01-01 00:00+00'::timestamptz + i * interval '1 hour',
    '2000-01-01'::timestamp + i * interval '1 hour',
    md5(i::text)::uuid, ARRAY['t' || i, 'all'], ST_SetSRID(ST_Point(i % 100, i / 250), 4326)
FROM generate_series(1, 20000) i;
CREATE INDEX n ON things (n); CREATE INDEX big ON things (big); CREATE INDEX amount ON things (amount);
CREATE INDEX half ON things (half); CREATE INDEX t ON things (t); CREATE INDEX t_pattern ON things (t text_pattern_ops);
CREATE INDEX t_c ON things (t COLLATE "C"); CREATE INDEX c ON things (c); CREATE INDEX ci ON things (ci);
CREATE INDEX name_ ON things (name_); CREATE INDEX mood ON things (mood); CREATE INDEX day ON things (day);
CREATE INDEX moment ON things (moment); CREATE INDEX naive ON things (naive); CREATE INDEX u ON things (u);
CREATE INDEX tags ON things USING gin (tags);
CREATE INDEX place ON things USING gist (degrees_x);
CREATE TABLE squares AS SELECT id, n,
    ST_Transform(ST_Expand(ST_SetSRID(ST_Point(7 + (id % 100) / 50.0, 48 + id / 4000.0), 4326), 0.001),
    25832)::geometry(Polygon, 25832) AS geom FROM things;
ALTER TABLE squares ADD PRIMARY KEY (id); CREATE INDEX squares_geom ON squares USING gist (geom);
CREATE TABLE globe AS SELECT id, degrees_x::geography(Point, 4326) AS geog FROM things;
ALTER TABLE globe ADD PRIMARY KEY (id); CREATE INDEX globe_geog ON globe USING gist (geog);
CREATE TABLE shapes AS SELECT id, ST_Expand(degrees_x, 0.1)::geometry(Polygon, 4326) AS geom FROM things;
ALTER TABLE shapes ADD PRIMARY KEY (id); CREATE INDEX shapes_geom ON shapes USING gist (geom);
ANALYZE;
"""
PLANS = [
    ("things", "n = 7", "n"),
    ("things", "7 = n", "n"),
    ("things", "n < 7", "n"),
    ("things", "n BETWEEN 7 AND 9", "n"),
    ("things", "n IN (7, 9, 11, 2.5)", "n"),
    ("things", "big = 7", "big"),
    ("things", "big IN (7, 8)", "big"),
    ("things", "amount = 7.0", "amount"),
    ("things", "amount IN (7, 8.5)", "amount"),
    ("things", "half = 7.5", "half"),
    ("things", "half IN (7.5, 8)", "half"),
    ("things", "t = 'x'", "t t_pattern"),
    ("things", "t IN ('x', 'y')", "t t_pattern"),
    ("things", "t < '1'", "t_c"),
    ("things", "t LIKE '777%'", "t_pattern t_c"),
    ("things", "c = '7'", "c"),
    ("things", "c IN ('7', '8 ')", "c"),
    ("things", "ci = '7'", "ci"),
    ("things", "ci IN ('7', '8')", "ci"),
    ("things", "name_ = '7'", "name_"),
    ("things", "mood = 'never'", "mood"),
    ("things", "mood IN ('never')", "mood"),
    ("things", "u = '6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d'", "u"),
    (
        "things",
        "u IN ('6f1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d', '00000000-0000-0000-0000-000000000000')",
        "u",
    ),
    ("things", "day = DATE('2000-02-01')", "day"),
    ("things", "day BETWEEN '2000-02-01' AND '2000-02-09'", "day"),
    ("things", "day = TIMESTAMP('2000-02-01T12:00:00Z')", "day"),
    ("things", "day IN (DATE('2000-02-01'), DATE('9999-12-31'))", "day"),
    ("things", "moment = TIMESTAMP('2000-02-01T12:00:00Z')", "moment"),
    ("things", "moment = DATE('2000-02-01')", "moment"),
    ("things", "moment <= DATE('2000-01-02')", "moment"),
    ("things", "moment BETWEEN DATE('2000-02-01') AND DATE('2000-02-02')", "moment"),
    ("things", "moment IN (DATE('2000-02-01'), DATE('2000-03-01'))", "moment"),
    (
        "things",
        "moment IN (TIMESTAMP('2000-02-01T12:00:00Z'), TIMESTAMP('2000-03-01T12:00:00Z'))",
        "moment",
    ),
    ("things", "T_BEFORE(moment, DATE('2000-01-02'))", "moment"),
    ("things", "T_INTERSECTS(moment, INTERVAL('2000-02-01', '2000-02-02'))", "moment"),
    ("things", "T_EQUALS(moment, TIMESTAMP('2000-02-01T12:00:00Z'))", "moment"),
    ("things", "T_INTERSECTS(day, INTERVAL('2000-02-01', '2000-02-02'))", "day"),
    ("things", "naive = DATE('2000-02-01')", "naive"),
    ("things", "naive < TIMESTAMP('2000-01-02T00:00:00Z')", "naive"),
    ("things", "A_CONTAINS(tags, ('t7'))", "tags"),
    ("things", "A_OVERLAPS(tags, ('t7', 't8'))", "tags"),
    ("things", "A_EQUALS(tags, ('t7', 'all'))", "tags"),
    ("things", "A_CONTAINEDBY(('t7', 'all'), tags)", "tags"),
    ("things", "S_INTERSECTS(degrees_x, BBOX(1, 1, 3, 3))", "place"),
    ("things", "S_WITHIN(degrees_x, POLYGON((1 1, 3 1, 3 3, 1 1)))", "place"),
    ("things", "S_INTERSECTS(degrees_x, POINT(5 5))", "place"),
    ("things", "S_EQUALS(degrees_x, POINT(5 5))", "place"),
    ("things", "S_INTERSECTS(degrees_x, BBOX(179, 1, -179, 3))", "place"),
    ("things", "S_WITHIN(degrees_x, BBOX(179, 1, -179, 3))", "place"),
    (
        "things",
        (
            "S_INTERSECTS(degrees_x, BBOX(1, 1, 3, 3)) AND NOT S_INTERSECTS(degrees_x,"
            " BBOX(2, 2, 3,"
            " 3))"
        ),
        "place",
    ),
    ("things", "NOT (NOT S_INTERSECTS(degrees_x, BBOX(1, 1, 3, 3)) OR mood = 'ok')", "place"),
    (
        "things",
        "S_INTERSECTS(degrees_x, GEOMETRYCOLLECTION(POINT(5 5), LINESTRING(1 1, 2 2)))",
        "place",
    ),
    ("shapes", "S_INTERSECTS(geom, BBOX(1, 1, 3, 3))", "shapes_geom"),
    ("shapes", "S_TOUCHES(geom, BBOX(1, 1, 3, 3))", "shapes_geom"),
    ("shapes", "S_CONTAINS(geom, POINT(5 5))", "shapes_geom"),
    ("squares", "S_INTERSECTS(geom, BBOX(7.1, 48.1, 7.2, 48.2))", "squares_geom"),
    ("squares", "S_WITHIN(geom, BBOX(7.1, 48.1, 7.2, 48.2)) AND n <> 5", "squares_geom"),
    ("globe", "S_INTERSECTS(geog, BBOX(1, 1, 3, 3))", "globe_geog"),
    ("globe", "S_WITHIN(geog, BBOX(1, 1, 3, 3))", "globe_geog"),
    ("globe", "S_INTERSECTS(geog, BBOX(179, 1, -179, 3))", "globe_geog"),
]


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    execute(bare_module_url, TABLE)
    return bare_module_url


@pytest.fixture
async def collections(url: str) -> AsyncIterator[dict[str, Collection]]:
    database = Database(settings_for(url), url)
    await database.open()
    catalog = await load_catalog(database, ServedCollections(), "", "")
    yield {name: catalog[name] for name in ("things", "squares", "shapes", "globe")}
    await database.close()


def indexes(plan: Any) -> set[str]:
    """The names of the indexes in a plan."""
    found = {plan["Index Name"]} if "Index Name" in plan else set()
    return found.union(*(indexes(each) for each in plan.get("Plans", ())))


async def test_every_filter_that_an_index_can_serve_is_served_by_it(
    url: str, collections: dict[str, Collection]
) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SET plan_cache_mode = force_custom_plan; SET max_parallel_workers_per_gather = 0"
    )
    wrong = []
    try:
        for name, filter_, expected in PLANS:
            collection = collections[name]
            statement = select_matching(
                collection, parse_items_query({"filter": filter_}, collection)
            )
            plan = json.loads(
                await connection.fetchval(
                    f"EXPLAIN (FORMAT JSON) {statement.text}", *statement.args
                )
            )[0]["Plan"]
            used = indexes(plan)
            if not used <= set(expected.split()) or not used:
                wrong.append((filter_, expected, used))
    finally:
        await connection.close()
    assert not wrong
