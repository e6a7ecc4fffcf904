"""PostgreSQL plans a statement once where no value can change its plan, and each time elsewhere."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import asyncpg
import pytest

from geosvc.catalog.collections import Catalog
from geosvc.database.catalog import load_catalog, served_collections
from geosvc.database.pool import Database
from geosvc.formats import GEOJSON_FORMAT
from geosvc.query.features import select_items
from geosvc.query.features_by_id import plan_lookup
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.matching import select_matching
from geosvc.query.paging import pages_of
from geosvc.requests.cursor import Cursor, encode_cursor
from geosvc.requests.items import ItemsQuery, PageLimits, ReadingRules, parse_items_query
from geosvc.sql.compose import Statement
from tests.conftest import settings_for

TABLES = """
CREATE TABLE points (id int PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL,
                     geom geometry(Point, 4326) NOT NULL);
INSERT INTO points SELECT i, 'n' || i, timestamptz '2020-01-01' + i * interval '1 hour',
  ST_SetSRID(ST_Point(i / 100.0, i % 80), 4326) FROM generate_series(1, 5000) i;
CREATE INDEX ON points USING gist (geom);
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.near(x float8) RETURNS SETOF points STABLE LANGUAGE sql AS
$$ SELECT * FROM points WHERE geom && ST_Expand(ST_SetSRID(ST_Point(x, 5), 4326), 1) $$;
ANALYZE;
"""
RUNS = 8  # PostgreSQL decides after five
RULES = ReadingRules(PageLimits(10, 1_000))


@pytest.fixture
async def database(bare_database_url: str) -> AsyncIterator[Database]:
    connection = await asyncpg.connect(bare_database_url)
    await connection.execute(TABLES)
    await connection.close()
    settings = settings_for(bare_database_url, pool_min_size=1, pool_max_size=1)
    database = Database(settings, bare_database_url)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def catalog(database: Database, bare_database_url: str) -> Catalog:
    selection = served_collections(settings_for(bare_database_url))
    return await load_catalog(database, selection, "", "")


async def plans_of(database: Database, statement: Statement) -> tuple[int, int]:
    """(generic plans, custom plans) of a statement that is run several times."""
    for _ in range(RUNS):
        await database.fetch(statement)
    async with database.connection() as connection:
        [counts] = await connection.fetch(
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1",
            statement.text,
        )
    return counts["generic_plans"], counts["custom_plans"]


def page(catalog: Catalog, values: Mapping[str, str], name: str = "points") -> Statement:
    collection = catalog.collections[name]
    query = parse_items_query(values, collection, RULES)
    return select_items(collection, query, GEOJSON_FORMAT).statement


async def test_pages_in_the_order_of_the_key_are_planned_once(
    database: Database, catalog: Catalog
) -> None:
    points = catalog.collections["points"]
    digest = pages_of(points, ItemsQuery(10)).digest
    cursor = encode_cursor(Cursor(digest, ("2000",), 10))
    for values in ({}, {"limit": "100"}, {"cursor": cursor}, {"properties": "name"}):
        generic, custom = await plans_of(database, page(catalog, values))
        assert (generic, custom) == (RUNS - 5, 5), values


async def test_look_ups_are_planned_once(database: Database, catalog: Catalog) -> None:
    lookup = plan_lookup(catalog.collections["points"], ItemsQuery(1), GEOJSON_FORMAT.projection)
    for ids in (["7"], ["1", "2", "3"], [str(number) for number in range(100)]):
        assert {row[0] for row in await database.fetch(lookup.of(ids))} == set(ids) - {"0"}
    generic, _ = await plans_of(database, lookup.of(["9"]))
    assert generic > 0


@pytest.mark.parametrize(
    "values",
    [
        {"bbox": "1,2,3,4"},
        {"bbox": "-180,-90,180,90"},
        {"datetime": "2020-01-02T00:00:00Z/.."},
        {"name": "n7"},
        {"filter": "name LIKE 'n1%'"},
        {"sortby": "-at"},
        {"offset": "20"},
        {"bbox": "1,2,3,4", "sortby": "name", "offset": "3"},
    ],
)
async def test_pages_whose_plan_depends_on_values_are_planned_each_time(
    database: Database, catalog: Catalog, values: dict[str, str]
) -> None:
    statement = page(catalog, values)
    assert await plans_of(database, statement) == (0, RUNS)
    plan: Any = await database.fetch(
        Statement("explain", f"EXPLAIN {statement.text}", statement.args)
    )
    assert "generate_series" not in str(plan)  # the condition costs a known plan nothing


async def test_counts_and_functions_are_planned_each_time(
    database: Database, catalog: Catalog
) -> None:
    points = catalog.collections["points"]
    query = parse_items_query({"bbox": "1,2,3,4"}, points, RULES)
    for geometry_test in GeometryTest:
        count = select_matching(points, query, 1_000, geometry_test)
        generic, _ = await plans_of(database, count)
        assert generic == 0
    assert await plans_of(database, page(catalog, {"x": "3"}, "near")) == (0, RUNS)
