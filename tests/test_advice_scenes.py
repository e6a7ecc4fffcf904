"""Advice is right or silent: scenes in which it is given, its SQL is run and the plan is another
one; and scenes just outside, in which there is nothing that an index would mend.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from geosvc.events import QueryEnded, SlowQuery
from tests.conftest import Client, Service, execute
from tests.observing import seen, until
from tests.test_advice import piece, run_separately, slow_query

ROWS = 5_000
BOX = "bbox=0,0,0.05,0.05"
PLAN_CODES = {
    "missing-spatial-index", "transformed-column", "unknown-srid", "missing-property-index", "sort-without-index",
    "costly-function", "generic-plan", "heavy-geometries",
}  # fmt: skip
SOURCE = f"""
CREATE ROLE "svc Role" LOGIN; GRANT pg_read_all_data TO "svc Role";
CREATE TABLE source AS SELECT i AS id, md5(i::text) AS name, i % 7 AS kind,
  ST_SetSRID(ST_Point(i % 100 / 100.0, i / 100 / 100.0), 4326)::geometry(Point, 4326) AS geom
FROM generate_series(1, {ROWS}) i;
CREATE TYPE hue AS ENUM ({",".join(f"'h{n}'" for n in range(40))});
"""


def table(name: str, columns: str = "geom", more: str = "") -> str:
    """A table of the rows of `source` with a key."""
    return f"CREATE TABLE {name} AS SELECT id, {columns} FROM source; ALTER TABLE {name} ADD PRIMARY KEY (id); {more}"


@dataclass(frozen=True)
class Scene:
    """A relation that is asked for something.

    Attributes:
        sql: the beginning of what is advised; None where nothing is.
        rest: of the advice: how many pieces it has.
    """

    setup: str
    path: str
    code: str = ""
    sql: str | None = None
    pieces: int = 1


LOCAL = "ST_Transform(geom, 3857)::geometry(Point, 3857) AS geom"
DEGREES = "ST_Transform(geom, 4326)::geometry(Point, 4326) AS geom"
FIRES: Mapping[str, Scene] = {
    "quoted names": Scene(
        table('"Odd ""Table"""', 'geom AS "Geo m"'),
        f'Odd "Table"/items?{BOX}',
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."Odd ""Table""" USING gist ("Geo m"); ANALYZE',
    ),
    "another schema": Scene(
        f"CREATE SCHEMA other; {table('other.elsewhere')}",
        f"other.elsewhere/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "other"."elsewhere" USING gist ("geom")',
    ),
    "a partitioned table": Scene(
        "CREATE TABLE parts (id int PRIMARY KEY, name text, geom geometry(Point, 4326)) PARTITION"
        " BY RANGE (id);"
        "CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (2000);"
        "CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (2000) TO (99999) PARTITION BY"
        " RANGE (id);"
        "CREATE TABLE parts_c PARTITION OF parts_b FOR VALUES FROM (2000) TO (99999);"
        "INSERT INTO parts SELECT id, name, geom FROM source;",
        f"parts/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX ON "public"."parts" USING gist ("geom"); ANALYZE "public"."parts"',
    ),
    "the order of a partitioned table": Scene(
        "CREATE TABLE ordered (id int PRIMARY KEY, name text, geom geometry(Point, 4326))"
        " PARTITION BY RANGE (id);"
        "CREATE TABLE ordered_a PARTITION OF ordered FOR VALUES FROM (0) TO (2000);"
        "CREATE TABLE ordered_b PARTITION OF ordered FOR VALUES FROM (2000) TO (99999);"
        "INSERT INTO ordered SELECT id, name, geom FROM source;",
        "ordered/items?sortby=-name",
        "sort-without-index",
        'CREATE INDEX ON "public"."ordered" ("name" DESC, "id")',
    ),
    "a materialized view": Scene(
        "CREATE MATERIALIZED VIEW kept AS SELECT id, geom FROM source;",
        f"kept/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."kept" USING gist ("geom")',
    ),
    "the table below a view": Scene(
        f"{table('below')} CREATE VIEW above AS SELECT id, geom AS shape FROM below WHERE id > 0;",
        f"above/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."below" USING gist ("geom")',
    ),
    "the child of an inheritance": Scene(
        "CREATE TABLE parent (id int PRIMARY KEY, geom geometry(Point, 4326));"
        "CREATE TABLE child (extra int) INHERITS (parent); INSERT INTO child SELECT id, geom FROM"
        " source;"
        "CREATE VIEW heirs AS SELECT id, geom FROM parent;",
        f"heirs/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."child" USING gist ("geom")',
    ),
    "a geography": Scene(
        table("globe", "geom::geography AS geog"),
        f"globe/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."globe" USING gist ((("geog")::geometry))',
        pieces=2,
    ),
    "a geography whose index is of no use": Scene(
        table("globe2", "geom::geography AS geog", "CREATE INDEX ON globe2 USING gist (geog);"),
        f"globe2/items?{BOX}",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."globe2" USING gist ((("geog")::geometry))',
    ),
    "a view that transforms": Scene(
        table("local", LOCAL, "CREATE INDEX ON local USING gist (geom);")
        + f"CREATE VIEW degrees AS SELECT id, {DEGREES} FROM local;",
        f"degrees/items?{BOX}",
        "transformed-column",
        'CREATE INDEX CONCURRENTLY ON "public"."local" USING gist (((ST_Transform("geom", 4326))::geometry(Point,4326)))',
    ),
    "no SRID": Scene(
        table(
            "anywhere",
            "ST_Transform(geom, 3857)::geometry AS geom",
            "CREATE INDEX ON anywhere USING gist (geom);",
        ),
        f"anywhere/items?{BOX}",
        "unknown-srid",
        'ALTER TABLE "public"."anywhere" ALTER COLUMN "geom" TYPE geometry(Geometry, 3857)',
    ),
    "no SRID and three dimensions": Scene(
        table(
            "anyheight",
            "ST_Force3D(geom)::geometry AS geom",
            "CREATE INDEX ON anyheight USING gist (geom);",
        ),
        f"anyheight/items?{BOX}",
        "unknown-srid",
        'ALTER TABLE "public"."anyheight" ALTER COLUMN "geom" TYPE geometry(GeometryZ, 4326)',
    ),
    "a text": Scene(
        table("texts", 'name AS "Na""me", geom'),
        'texts/items?Na"me=nobody',
        "missing-property-index",
        'CREATE INDEX CONCURRENTLY ON "public"."texts" ("Na""me")',
    ),
    "a varchar": Scene(
        table("varchars", "name::varchar(40) AS name, geom"),
        "varchars/items?name=nobody",
        "missing-property-index",
        'CREATE INDEX CONCURRENTLY ON "public"."varchars" ("name")',
    ),
    "an enum": Scene(
        table("enums", "('h' || id % 40)::hue AS hue, geom"),
        "enums/items?hue=h3&limit=500",
        "missing-property-index",
        'CREATE INDEX CONCURRENTLY ON "public"."enums" ("hue")',
    ),
    "a uuid": Scene(
        table("uuids", "name::uuid AS name, geom"),
        "uuids/items?name=d3d9446802a44259755d38e6d163e820",
        "missing-property-index",
        'CREATE INDEX CONCURRENTLY ON "public"."uuids" ("name")',
    ),
    "the more selective of two": Scene(
        table("two", "name, kind, geom"),
        "two/items?kind=3&name=nobody",
        "missing-property-index",
        'CREATE INDEX CONCURRENTLY ON "public"."two" ("name")',
    ),
    "either of two": Scene(
        table("either", "name, geom"),
        "either/items?filter=S_INTERSECTS(geom,POINT(0.5 0.2)) OR name='x'",
        "missing-spatial-index",
        'CREATE INDEX CONCURRENTLY ON "public"."either" USING gist ("geom")',
        pieces=2,
    ),
    "an index that is not valid": Scene(
        table("half", "geom", "CREATE INDEX half_geom ON half USING gist (geom);")
        + "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half_geom'::regclass;",
        f"half/items?{BOX}",
        "missing-spatial-index",
        'REINDEX INDEX CONCURRENTLY "public"."half_geom"',
    ),
    "an order by two": Scene(
        table("sorted", 'name AS "Na me", kind, geom'),
        "sorted/items?sortby=Na me,-kind",
        "sort-without-index",
        'CREATE INDEX CONCURRENTLY ON "public"."sorted" ("Na me", "kind" DESC, "id")',
    ),
}
SILENT: Mapping[str, Scene] = {
    "an index": Scene(
        table("indexed", "geom", "CREATE INDEX ON indexed USING gist (geom);"),
        f"indexed/items?{BOX}",
    ),
    "a box of everything": Scene(table("world"), "world/items?bbox=-180,-90,180,90"),
    "a value that many have": Scene(table("kinds", "kind, geom"), "kinds/items?kind=3"),
    "a value that comes soon": Scene(
        table("soon", "('h' || id % 40)::hue AS hue, geom"), "soon/items?hue=h3"
    ),
    "a negation": Scene(
        table("negated"), "negated/items?filter=NOT S_INTERSECTS(geom,POINT(0.5 0.2))"
    ),
    "an inequality": Scene(table("unequal", "name, geom"), "unequal/items?filter=name<>'x'"),
    "a pattern": Scene(
        table("patterns", "name, geom"), "patterns/items?filter=name LIKE '%25zz%25'"
    ),
    "an alternative that no index finds": Scene(
        table("alternatives", "name, geom"),
        "alternatives/items?filter=S_INTERSECTS(geom,POINT(0.5 0.2)) OR name LIKE '%25zz%25'",
    ),
    "letters of any case": Scene(
        table("folded", "name, geom"), "folded/items?filter=CASEI(name)=CASEI('x')"
    ),
    "a foreign table": Scene(
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
        "GRANT USAGE ON FOREIGN SERVER files TO PUBLIC;"
        "DO $$ DECLARE file text := current_setting('data_directory') || '/' || current_database()"
        " || '.csv'; BEGIN "
        "EXECUTE format('COPY (SELECT id, name, geom FROM source) TO %L CSV', file);"
        "EXECUTE format('CREATE FOREIGN TABLE far (id int, name text, geom geometry(Point, 4326))"
        " SERVER files"
        " OPTIONS (filename %L, format ''csv'')', file); END $$;",
        f"far/items?{BOX}&name=x",
    ),
    "row security": Scene(
        table("secured", "name, kind, geom", "ALTER TABLE secured ENABLE ROW LEVEL SECURITY;")
        + "CREATE POLICY few ON secured USING (kind > 0);",
        f"secured/items?{BOX}",
    ),
    "a system catalog": Scene(
        "CREATE VIEW procedures AS SELECT oid::int8 AS id, proname::text AS name, pronargs,"
        " ST_SetSRID(ST_Point(0, 0), 4326)"
        "::geometry(Point, 4326) AS geom FROM pg_proc;",
        "procedures/items?pronargs=17",
    ),
    "a table of an extension": Scene(
        "CREATE VIEW systems AS SELECT srid AS id, auth_name::text AS name, ST_SetSRID(ST_Point(0,"
        " 0), 4326)"
        "::geometry(Point, 4326) AS geom FROM spatial_ref_sys;",
        "systems/items?name=nobody",
    ),
    "the order of a join": Scene(
        f"{table('left_of', 'name, geom')} {table('right_of', 'name AS other')}"
        "CREATE VIEW joined AS SELECT l.id, l.geom, r.other FROM left_of l JOIN right_of r USING"
        " (id);",
        "joined/items?sortby=other",
    ),
    "long texts": Scene(
        "CREATE TABLE long AS SELECT id, repeat(md5(name), 4000) AS words, geom FROM source LIMIT"
        " 20;"
        "ALTER TABLE long ADD PRIMARY KEY (id);",
        "long/items",
    ),
    "a small table": Scene(
        "CREATE TABLE small AS SELECT * FROM source LIMIT 50;",
        f"small/items?{BOX}&name=x&sortby=name",
    ),
    "an index on what a view transforms": Scene(
        table(
            "near",
            LOCAL,
            'CREATE INDEX ON near USING gist (((ST_Transform("geom", 4326))::geometry(Point,4326)));',
        )
        + f"CREATE VIEW nearby AS SELECT id, {DEGREES} FROM near;",
        f"nearby/items?{BOX}",
    ),
}
SETTINGS: dict[str, Any] = {
    "slow_query_ms": 0,
    "slow_export_ms_per_row": 0,
    "slow_query_lines_per_minute": 1_000,
    "schemas": ("public", "other"),
    "collections": {
        name: {"key": ("id",)}
        for name in (
            "kept",
            "above",
            "heirs",
            "degrees",
            "far",
            "procedures",
            "systems",
            "joined",
            "nearby",
        )
    },
}


async def lines_for(client: Client, scenes: Mapping[str, Scene]) -> dict[str, SlowQuery]:
    """The line of each scene."""
    lines = {}
    for name, scene in scenes.items():
        path = quote(scene.path, safe="/?=&,-%")
        lines[name] = await slow_query(client, f"/collections/{path}")
    return lines


def as_role(url: str) -> str:
    """The address for the role of the service, which is not the owner of anything."""
    return url.replace("postgres@", f"{quote('svc Role')}@")


@pytest.fixture
async def scenes_url(bare_database_url: str, request: pytest.FixtureRequest) -> str:
    """A database with the scenes of a test."""
    scenes: Mapping[str, Scene] = request.param
    await asyncio.to_thread(execute, bare_database_url, 'DROP ROLE IF EXISTS "svc Role"')
    await asyncio.to_thread(
        execute, bare_database_url, SOURCE + "".join(each.setup for each in scenes.values())
    )
    await asyncio.to_thread(execute, bare_database_url, "ANALYZE")
    return bare_database_url


@pytest.mark.parametrize("scenes_url", [FIRES], ids=["fires"], indirect=True)
async def test_what_is_advised_is_run_and_changes_the_plan(
    service: Service, scenes_url: str
) -> None:
    client = await service(as_role(scenes_url), **SETTINGS)
    before = await lines_for(client, FIRES)
    await client.close()
    wrong = {
        name: (before[name].advice, before[name].plan)
        for name in FIRES
        if not _is_right(FIRES[name], before[name])
    }
    assert not wrong, wrong
    for line in before.values():
        for each in line.advice:
            if "sql" in each:
                await asyncio.to_thread(run_separately, scenes_url, str(each["sql"]))
    after = await lines_for(await service(as_role(scenes_url), **SETTINGS), FIRES)
    unchanged = {
        name: line.plan for name, line in after.items() if _nodes(line) == _nodes(before[name])
    }
    assert unchanged == {}
    still = {
        name: (line.advice, line.plan)
        for name, line in after.items()
        if PLAN_CODES & {each["code"] for each in line.advice}
    }
    assert still == {}


def _is_right(scene: Scene, line: SlowQuery) -> bool:
    given = [each for each in line.advice if each["code"] in PLAN_CODES]
    told = [str(each.get("sql")) for each in given if each["code"] == scene.code]
    return len(given) == scene.pieces and bool(told) and told[0].startswith(str(scene.sql))


def _nodes(line: SlowQuery) -> list[str]:
    return [each.partition("(cost")[0] for each in line.plan or ()]


@pytest.mark.parametrize("scenes_url", [SILENT], ids=["silent"], indirect=True)
async def test_nothing_is_advised_where_it_would_not_help(
    service: Service, scenes_url: str
) -> None:
    with seen(SlowQuery) as lines:
        client = await service(as_role(scenes_url), **SETTINGS)
        found = await lines_for(client, SILENT)
        async with client.get("/collections") as response:
            assert response.status == 200
        await until(lambda: any(line.statement == "collection.estimated_extents" for line in lines))
    told = {
        name: (line.advice, line.plan)
        for name, line in found.items()
        if PLAN_CODES & {each["code"] for each in line.advice}
    }
    assert not told, told
    own = [line for line in lines if not line.statement.startswith("items.")]
    assert {"catalog.load"} <= {line.statement for line in own}
    assert [
        (line.statement, line.advice)
        for line in own
        if PLAN_CODES & {each["code"] for each in line.advice}
    ] == []


@pytest.mark.parametrize("scenes_url", [{}], ids=["memory"], indirect=True)
async def test_more_memory_is_for_the_role_of_the_service_and_is_enough(
    service: Service, scenes_url: str
) -> None:
    database = urlsplit(scenes_url).path[1:]
    setup = f"{table('big', 'name, geom')} ANALYZE big; ALTER DATABASE \"{database}\" SET work_mem = '64kB'"
    await asyncio.to_thread(execute, scenes_url, setup)
    url, path = as_role(scenes_url), "/collections/big/export?sortby=name"
    client = await service(url, **SETTINGS)
    with seen(QueryEnded) as ended:
        advice = piece(await slow_query(client, path, "items.export"), "sort-spilled")
    await client.close()
    assert advice["sql"].startswith(
        f'ALTER ROLE "svc Role" IN DATABASE "{database}" SET work_mem = '
    )
    run = next(each.run for each in ended if each.run.name == "items.export")
    assert (await sort_method(url, run.text, run.args))[0].startswith("external")
    await asyncio.to_thread(execute, scenes_url, advice["sql"])
    assert (await sort_method(url, run.text, run.args))[0] == "quicksort"
    line = await slow_query(await service(url, **SETTINGS), path, "items.export")
    assert "sort-spilled" not in [each["code"] for each in line.advice]


async def sort_method(url: str, text: str, args: Any) -> list[str]:
    """How PostgreSQL sorted when it ran a statement."""
    connection = await asyncpg.connect(url)
    try:
        explained = json.loads(
            await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *args)
        )
    finally:
        await connection.close()
    plans, found = [explained[0]["Plan"]], []
    while plans:
        plan = plans.pop()
        plans += plan.get("Plans", ())
        found += [plan["Sort Method"]] if "Sort Method" in plan else []
    return found


@pytest.mark.parametrize("scenes_url", [{}], ids=["function"], indirect=True)
async def test_a_function_is_named_with_its_schema_and_arguments(
    service: Service, scenes_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        scenes_url,
        """CREATE SCHEMA geosvc_functions;
        CREATE FUNCTION geosvc_functions."Near ""me"" so"(lon float8, how text DEFAULT '') RETURNS SETOF source LANGUAGE plpgsql
        STABLE SET plan_cache_mode = force_generic_plan
        AS 'BEGIN RETURN QUERY SELECT * FROM public.source WHERE id < lon; END'""",
    )
    name = quote('Near "me" so')
    path = f"/collections/{name}/items?lon=20"
    client = await service(scenes_url, **SETTINGS)
    advice = piece(await slow_query(client, path), "generic-plan")
    await client.close()
    assert advice["sql"].startswith(
        'ALTER FUNCTION geosvc_functions."Near ""me"" so"(lon double precision, how text) SET'
    )
    await asyncio.to_thread(execute, scenes_url, advice["sql"])
    line = await slow_query(await service(scenes_url, **SETTINGS), path)
    assert "generic-plan" not in [each["code"] for each in line.advice]
