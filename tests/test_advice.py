"""Each piece of advice, provoked on a real database; where it comes with SQL, the SQL is run and
the advice is gone.
"""

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.advice.evidence import Diagnosis, Evidence
from geosvc.advice.plan import parse_plan
from geosvc.advice.planner_rules import generic_plan
from geosvc.events import SlowQuery
from geosvc.http.keys import ADMIN_DATABASE, DATABASE
from tests.conftest import Client, Service, execute
from tests.observing import seen, until

ROWS = 5_000
POINTS = f"""
CREATE TABLE points (id int PRIMARY KEY, name text, kind int, geom geometry(Point, 4326));
INSERT INTO points SELECT i, md5(i::text), i % 7, ST_SetSRID(ST_Point(i % 100 / 100.0, i / 100 / 100.0), 4326)
FROM generate_series(1, {ROWS}) i;
ANALYZE points;
"""


async def slow_query(client: Client, path: str, statement: str = "items.page") -> SlowQuery:
    """The line of the slow-query log for a request."""
    with seen(SlowQuery) as lines:
        async with client.get(path) as response:
            body = await response.read()
            assert response.status == 200, body
        return await until(  # type: ignore[no-any-return]
            lambda: next((line for line in lines if line.statement == statement), None)
        )


def piece(line: SlowQuery, code: str) -> dict[str, Any]:
    """The advice with this code; fails with all that there is."""
    found = [dict(each) for each in line.advice if each["code"] == code]
    assert len(found) == 1, (line.advice, line.plan)
    return found[0]


def run_separately(url: str, sql: str) -> None:
    """Runs the commands of an advice as somebody would who pastes them:

    CONCURRENTLY takes no transaction.
    """
    for command in sql.split("; "):
        execute(url, command)


async def check_cure(
    service: Service, url: str, path: str, code: str, cure: str | None = None, **settings: Any
) -> None:
    """The advice is given; its SQL is run; then it is given no more."""
    settings = {"slow_query_ms": 0, **settings}
    client = await service(url, **settings)
    line = await slow_query(client, path)
    await client.close()
    await asyncio.to_thread(run_separately, url, cure or piece(line, code)["sql"])
    cured = await slow_query(await service(url, **settings), path)
    assert code not in [each["code"] for each in cured.advice], (cured.advice, cured.plan)


async def test_a_missing_spatial_index_comes_with_the_command_that_makes_it(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    client = await service(bare_database_url, slow_query_ms=0)
    advice = piece(
        await slow_query(client, "/collections/points/items?bbox=0,0,0.1,0.1"),
        "missing-spatial-index",
    )
    await client.close()
    assert (
        advice["text"]
        == f"public.points ({ROWS} rows) is read from end to end, since geom has no spatial index."
    )
    assert advice["sql"].startswith(
        'CREATE INDEX CONCURRENTLY ON "public"."points" USING gist ("geom"); ANALYZE'
    )
    await check_cure(
        service,
        bare_database_url,
        "/collections/points/items?bbox=0,0,0.1,0.1",
        "missing-spatial-index",
    )


async def test_a_small_table_needs_no_index(service: Service, bare_database_url: str) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS.replace(str(ROWS), "50"))
    line = await slow_query(
        await service(bare_database_url, slow_query_ms=0),
        "/collections/points/items?bbox=0,0,0.1,0.1",
    )
    assert [
        each for each in line.advice if each["code"] != "slow-connect"
    ] == []  # a busy machine connects slowly


async def test_a_column_that_a_view_transforms_wants_an_index_on_what_is_compared(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        POINTS
        + """CREATE TABLE local AS SELECT id, ST_Transform(geom, 3857)::geometry(Point, 3857) AS geom FROM points;
        ALTER TABLE local ADD PRIMARY KEY (id); CREATE INDEX ON local USING gist (geom); ANALYZE local;
        CREATE VIEW degrees AS SELECT id, ST_Transform(geom, 4326)::geometry(Point, 4326) AS geom FROM local;""",
    )
    path = "/collections/degrees/items?bbox=0,0,0.05,0.05"
    await check_cure(
        service,
        bare_database_url,
        path,
        "transformed-column",
        collections={"degrees": {"key": ["id"]}},
    )


async def test_a_column_without_srid_is_told_to_say_it(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        POINTS
        + """CREATE TABLE anywhere AS SELECT id, geom::geometry AS geom FROM points;
        ALTER TABLE anywhere ADD PRIMARY KEY (id); CREATE INDEX ON anywhere USING gist (geom); ANALYZE anywhere;""",
    )
    await check_cure(
        service, bare_database_url, "/collections/anywhere/items?bbox=0,0,0.05,0.05", "unknown-srid"
    )


async def test_a_property_without_an_index_is_named(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    await check_cure(
        service,
        bare_database_url,
        "/collections/points/items?name=nobody",
        "missing-property-index",
    )


async def test_a_sort_for_the_sake_of_a_few_rows_wants_an_index(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    path = "/collections/points/items?sortby=name"
    await check_cure(service, bare_database_url, path, "sort-without-index")


async def test_a_sort_that_goes_to_disk_is_told(service: Service, bare_database_url: str) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    database = urlsplit(bare_database_url).path[1:]
    await asyncio.to_thread(
        execute, bare_database_url, f"ALTER DATABASE \"{database}\" SET work_mem = '64kB'"
    )
    client = await service(bare_database_url, slow_query_ms=0, slow_export_ms_per_row=0)
    line = await slow_query(client, "/collections/points/export?sortby=name", "items.export")
    assert "work_mem (64 kB)" in piece(line, "sort-spilled")["text"]
    await client.close()
    await asyncio.to_thread(
        execute, bare_database_url, f"ALTER DATABASE \"{database}\" SET work_mem = '64MB'"
    )
    client = await service(bare_database_url, slow_query_ms=0, slow_export_ms_per_row=0)
    line = await slow_query(client, "/collections/points/export?sortby=name", "items.export")
    assert "sort-spilled" not in [each["code"] for each in line.advice]


async def test_statistics_that_are_out_of_date_are_told(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE TABLE grown (id int PRIMARY KEY, kind int, geom geometry(Point, 4326)) WITH (autovacuum_enabled = off);
        INSERT INTO grown SELECT i, i, ST_SetSRID(ST_Point(0, 0), 4326) FROM generate_series(1, 2000) i; ANALYZE grown;
        CREATE INDEX ON grown (kind);
        INSERT INTO grown SELECT i, 1, ST_SetSRID(ST_Point(0, 0), 4326) FROM generate_series(3000, 9000) i;""",
    )
    # the counts of changes reach the statistics views a moment after the transaction
    await asyncio.to_thread(
        execute, bare_database_url, "SELECT pg_stat_clear_snapshot(); SELECT pg_sleep(1)"
    )
    await check_cure(
        service, bare_database_url, "/collections/grown/items?kind=1&limit=500", "stale-statistics"
    )


GENERIC = """
CREATE SCHEMA geosvc_functions;
CREATE FUNCTION geosvc_functions.near(lon float8) RETURNS SETOF points LANGUAGE plpgsql STABLE
SET plan_cache_mode = force_generic_plan
AS 'BEGIN RETURN QUERY SELECT * FROM public.points WHERE geom && public.ST_MakeEnvelope(lon, 0, lon + 0.1, 0.1, 4326); END';
"""


async def test_a_function_that_forces_generic_plans_is_told(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS + GENERIC)
    line = await slow_query(
        await service(bare_database_url, slow_query_ms=0), "/collections/near/items?lon=0.2"
    )
    assert "ALTER FUNCTION" in piece(line, "generic-plan")["sql"]


async def test_a_generic_plan_is_known_by_its_parameters(bare_database_url: str) -> None:
    await asyncio.to_thread(
        execute, bare_database_url, POINTS + "CREATE INDEX ON points USING gist (geom)"
    )
    connection = await asyncpg.connect(bare_database_url)
    try:
        await connection.execute(
            "PREPARE box (float8) AS SELECT * FROM points WHERE geom && ST_MakeEnvelope($1, 0, $1"
            " + 1, 1, 4326)"
            " AND (SELECT set_config('application_name', 'x', true)) IS NOT NULL"
        )
        codes = {}
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            explained = json.loads(
                await connection.fetchval("EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE box (0.2)")
            )
            found: dict[tuple[str, str], Any] = {("public", "points"): {}}
            evidence = Evidence(
                0,
                100,
                0,
                100,
                rows=1,
                bytes=0,
                diagnosis=Diagnosis(parse_plan(explained[0]["Plan"]), found),
            )
            codes[mode] = [each.code for each in generic_plan(evidence)]
    finally:
        await connection.close()
    assert codes == {"force_generic_plan": ["generic-plan"], "force_custom_plan": []}


SLEEPY = (
    POINTS
    + "CREATE VIEW sleepy AS SELECT p.*, pg_sleep(0.3)::text AS nap FROM (SELECT * FROM points ORDER BY id LIMIT 1) p;"
)


async def test_a_view_that_calls_a_volatile_function_is_told_its_name(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, SLEEPY)
    line = await slow_query(
        await service(bare_database_url, slow_query_ms=200), "/collections/sleepy/items"
    )
    assert "pg_sleep()" in piece(line, "costly-function")["text"]
    assert line.duration_ms >= 300


async def test_a_function_is_suspected_only_where_nothing_certain_is_found(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        POINTS
        + """CREATE FUNCTION taken(id int) RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN id; END';
        CREATE VIEW calls AS SELECT id, taken(id) AS took, geom FROM points;""",
    )
    codes = []
    for _ in range(2):
        client = await service(
            bare_database_url, slow_query_ms=0, collections={"calls": {"key": ["id"]}}
        )
        line = await slow_query(client, "/collections/calls/items?bbox=0,0,0.1,0.1")
        await client.close()
        codes.append(
            {each["code"] for each in line.advice} & {"missing-spatial-index", "costly-function"}
        )
        await asyncio.to_thread(
            execute,
            bare_database_url,
            "CREATE INDEX IF NOT EXISTS here ON points USING gist (geom)",
        )
    assert codes == [{"missing-spatial-index"}, {"costly-function"}]


async def test_a_deep_offset_is_told(service: Service, bare_database_url: str) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    client = await service(bare_database_url, slow_query_ms=0)
    line = await slow_query(client, "/collections/points/items?offset=10000")
    assert "10000 rows" in piece(line, "deep-offset")["text"]
    line = await slow_query(client, "/collections/points/items?offset=20")
    assert line.advice == []


async def test_geometries_of_many_vertices_are_told(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE TABLE coast (id int PRIMARY KEY, geom geometry(Polygon, 4326));
        INSERT INTO coast SELECT i, ST_Buffer(ST_SetSRID(ST_Point(i, 0), 4326), 0.4, 2500) FROM generate_series(1, 3) i;""",
    )
    client = await service(bare_database_url, slow_query_ms=0)
    advice = piece(await slow_query(client, "/collections/coast/items"), "heavy-geometries")
    assert "about 10001" in advice["text"]
    assert "ST_Subdivide" in advice["text"]


async def test_waiting_for_a_connection_is_told(service: Service, bare_database_url: str) -> None:
    await asyncio.to_thread(execute, bare_database_url, SLEEPY)
    client = await service(
        bare_database_url, slow_query_ms=100, pool_min_size=0, pool_max_size=1, explain=False
    )
    async with client.get("/collections/points/items"):
        pass
    with seen(SlowQuery) as lines:

        async def ask(path: str) -> None:
            async with client.get(path) as response:
                assert response.status == 200

        sleeping = asyncio.create_task(ask("/collections/sleepy/items"))
        await asyncio.sleep(0.05)
        await asyncio.gather(sleeping, ask("/collections/points/items"))
        line = await until(
            lambda: next((each for each in lines if each.collection == "points"), None)
        )
    assert line.pool_wait_ms > 100 > line.duration_ms
    assert "all 1 were busy" in piece(line, "waited-for-connection")["text"]


async def test_a_slow_client_is_told(service: Service, bare_database_url: str) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE TABLE large (id int PRIMARY KEY, filler text, geom geometry(Point, 4326));
        INSERT INTO large SELECT i, repeat(md5(i::text), 100), ST_SetSRID(ST_Point(0, 0), 4326)
        FROM generate_series(1, 8000) i;""",
    )
    client = await service(bare_database_url, slow_query_ms=800, slow_export_ms_per_row=0)
    with seen(SlowQuery) as lines:
        async with client.get(
            "/collections/large/export", headers={"Accept-Encoding": "identity"}
        ) as response:
            await response.content.readexactly(1000)
            await asyncio.sleep(1.0)  # the buffers of both ends are full by then
            while await response.content.read(1 << 20):
                pass
        line = await until(lambda: lines and lines[0])
    assert line.statement == "items.export"
    assert line.send_ms > line.total_ms / 2
    assert "not the database" in piece(line, "slow-client")["text"]


async def test_the_connection_for_plans_is_not_one_of_the_pool(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    client = await service(bare_database_url, slow_query_ms=0, pool_min_size=0, pool_max_size=2)
    assert (await slow_query(client, "/collections/points/items")).plan
    assert client.app is not None
    assert client.app[ADMIN_DATABASE].size == 1
    assert client.app[DATABASE].size <= 2


@pytest.mark.parametrize("explain", [True, False])
async def test_plans_can_be_switched_off(
    service: Service, bare_database_url: str, explain: bool
) -> None:
    await asyncio.to_thread(execute, bare_database_url, POINTS)
    client = await service(bare_database_url, slow_query_ms=0, explain=explain)
    line = await slow_query(client, "/collections/points/items?bbox=0,0,0.1,0.1")
    assert bool(line.plan) == explain
    assert bool([each for each in line.advice if each["code"] != "slow-connect"]) == explain
