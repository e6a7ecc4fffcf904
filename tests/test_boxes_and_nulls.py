"""A box costs what it finds: rows without a geometry, which it has to return, cost no more."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner

from geosvc.cli import main
from geosvc.formats import GEOJSON_FORMAT
from geosvc.http.keys import CATALOG
from geosvc.query.features import select_items
from geosvc.requests.items import PageLimits, ReadingRules, parse_items_query
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.test_advice import piece, run_separately, slow_query

ROWS = 60_000
SOURCE = f"""
CREATE TABLE source AS SELECT i AS id, 'n' || i AS name,
  timestamptz '2020-01-01' + i * interval '1 minute' AS at,
  (CASE WHEN i % 20000 <> 0 THEN ST_SetSRID(ST_Point(i % 300 / 30.0, i / 300 / 30.0), 4326)
   END)::geometry(Point, 4326) AS geom
FROM generate_series(1, {ROWS}) i;
"""
WITH_KEY = (
    "CREATE TABLE {name} AS TABLE source; ALTER TABLE {name} ADD PRIMARY KEY (id);"
    " CREATE INDEX {name}_geom ON {name} USING gist (geom);"
)
FILLED = WITH_KEY + "DELETE FROM {name} WHERE geom IS NULL;"
CHEAP: Mapping[str, str] = {
    "not_null": FILLED + "ALTER TABLE {name} ALTER geom SET NOT NULL",
    "checked": FILLED + "ALTER TABLE {name} ADD CHECK (geom IS NOT NULL)",
    "gist": WITH_KEY + "CREATE INDEX ON {name} USING gist (geom) WHERE geom IS NULL",
    "advised": WITH_KEY + "CREATE INDEX ON {name} ((geom IS NULL)) WHERE geom IS NULL",
}
DEAR: Mapping[str, str] = {
    "nullable": WITH_KEY,
    "not_valid": FILLED + "ALTER TABLE {name} ADD CHECK (geom IS NOT NULL) NOT VALID",
    "more": FILLED + "ALTER TABLE {name} ADD CHECK (geom IS NOT NULL OR id < 0)",
    "partly": WITH_KEY + "CREATE INDEX ON {name} ((geom IS NULL)) WHERE geom IS NULL AND id > 7",
}
BOX = "bbox=1,1,1.1,1.1"


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, SOURCE)
    for name, sql in {**CHEAP, **DEAR}.items():
        execute(bare_database_url, sql.format(name=name))
    execute(bare_database_url, "ANALYZE")
    return bare_database_url


async def plan_of_box(url: str, client: Client, name: str) -> str:
    """The plan of the statement that the service runs for the box."""
    collection = client.app[CATALOG].catalog.collections[name]
    rules = ReadingRules(PageLimits(10, 100))
    query = parse_items_query({"bbox": "1,1,1.1,1.1", "limit": "100"}, collection, rules)
    statement = select_items(collection, query, GEOJSON_FORMAT).statement
    connection = await asyncpg.connect(url)
    try:
        explained = f"EXPLAIN (ANALYZE, BUFFERS) {statement.text}"
        return "\n".join(row[0] for row in await connection.fetch(explained, *statement.args))
    finally:
        await connection.close()


async def test_a_box_reads_no_whole_index_for_rows_without_a_geometry(
    service: Service, url: str
) -> None:
    client = await service(url)
    for name in CHEAP:
        plan = await plan_of_box(url, client, name)
        assert f"{name}_geom" in plan, plan
        assert not re.search(rf"{name}_geom .*\n *Index Cond: \(geom IS NULL\)", plan), plan
        found = await fetch(client, f"/collections/{name}/items?{BOX}&limit=100")
        without = [each["id"] for each in found["features"] if each["geometry"] is None]
        expected = [] if name in ("not_null", "checked") else [20_000, 40_000, 60_000]
        assert without == expected
        assert found["numberReturned"] == 16 + len(expected)
    for name in DEAR:
        assert "IS NULL" in await plan_of_box(url, client, name), name


def findings(url: str) -> dict[str, Any]:

    run = CliRunner().invoke(main, ["check", "--json", "--database-url", url])
    document = json.loads(run.stdout)
    return {
        each["subject"].removeprefix("public.").removesuffix(".geom"): each
        for each in document["findings"]
        if each["code"] == "missing-null-index"
    }


def test_check_proposes_an_index_where_a_box_would_read_all_of_another(url: str) -> None:
    found = findings(url)
    assert set(found) == set(DEAR)  # and not the table without a spatial index
    for each in found.values():
        execute(url, each["sql"])
    assert findings(url) == {}


async def test_the_slow_query_log_proposes_the_index_and_the_box_reads_it_then(
    service: Service, url: str
) -> None:
    path = "/collections/nullable/items?bbox=1,1,1.1,1.1&limit=100"
    client = await service(url, slow_query_ms=0)
    advice = piece(await slow_query(client, path), "missing-null-index")
    await asyncio.to_thread(run_separately, url, advice["sql"])
    await client.close()
    client = await service(url, slow_query_ms=0)
    line = await slow_query(client, path)
    assert "missing-null-index" not in {each["code"] for each in line.advice}, line.plan
