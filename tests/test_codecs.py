"""The binary codecs against a real PostGIS: what goes in comes out, with SRID, Z and M."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosvc.database.codecs import RefusedGeometry, encode_ewkb
from geosvc.database.pool import Database
from tests.conftest import execute, settings_for

coordinates = st.floats(-1e6, 1e6, allow_nan=False)


@asynccontextmanager
async def reading(url: str, **options: object) -> AsyncIterator[Any]:
    database = Database(settings_for(url, **options), url)
    await database.open()
    try:
        async with database.connection() as connection:
            yield connection
    finally:
        await database.close()


@st.composite
def geometries(draw: st.DrawFn) -> shapely.Geometry:
    axes = draw(st.sampled_from(["", "Z", "M", "ZM"]))
    point = st.tuples(*[coordinates] * (2 + len(axes)))
    text = st.builds(lambda values: " ".join(map(repr, values)), point)
    kind = draw(
        st.sampled_from(
            [
                "POINT",
                "LINESTRING",
                "POLYGON",
                "MULTIPOINT",
                "MULTILINESTRING",
                "MULTIPOLYGON",
                "GEOMETRYCOLLECTION",
            ]
        )
    )
    head = f"{kind} {axes}".strip()
    if draw(st.integers(0, 5)) == 0:
        return shapely.from_wkt(f"{head} EMPTY")
    line = ", ".join(draw(st.lists(text, min_size=2, max_size=5)))
    corners = draw(st.lists(text, min_size=3, max_size=5))
    ring = ", ".join([*corners, corners[0]])
    one = draw(text)
    body = {
        "POINT": one,
        "LINESTRING": line,
        "POLYGON": f"({ring})",
        "MULTIPOINT": f"({one}), ({one})",
        "MULTILINESTRING": f"({line}), ({line})",
        "MULTIPOLYGON": f"(({ring})), (({ring}))",
        "GEOMETRYCOLLECTION": f"POINT {axes} ({one}), LINESTRING {axes} ({line})",
    }[kind]
    return shapely.from_wkt(f"{head} ({body})")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def test_every_geometry_survives_the_way_to_postgis_and_back(
    runner: asyncio.Runner, nasty_url: str
) -> None:
    manager = reading(nasty_url)
    connection = runner.run(manager.__aenter__())

    @given(geometries(), st.sampled_from([0, 4326, 3067]))
    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    def check(geometry: shapely.Geometry, srid: int) -> None:
        sent = shapely.set_srid(geometry, srid)
        row = runner.run(
            connection.fetchrow(
                "SELECT $1::geometry AS g, ST_AsEWKT($1::geometry) AS t, ST_SRID($1::geometry) AS"
                " s",
                sent,
            )
        )
        back = row["g"]
        assert row["s"] == shapely.get_srid(back) == srid
        for of in (shapely.get_type_id, shapely.has_z, shapely.has_m, shapely.is_empty):
            assert of(back) == of(sent)
        assert shapely.is_empty(sent) or shapely.equals_identical(back, sent)

    try:
        check()
    finally:
        runner.run(manager.__aexit__(None, None, None))


async def test_geography_json_and_jsonb_are_decoded(nasty_url: str) -> None:
    async with reading(nasty_url) as connection:
        point = shapely.set_srid(shapely.Point(24.9, 60.2), 4326)
        assert await connection.fetchval("SELECT $1::geography", point) == point
        value = {"a": [1, 2.5, None, "ä"], "b": {"c": True}}
        assert await connection.fetchval("SELECT $1::jsonb", value) == value
        assert await connection.fetchval("SELECT $1::json", value) == value
        assert await connection.fetchval("""SELECT '{"a": "\\ud800"}'::json""") == {"a": "\ud800"}


async def test_no_stored_geometry_makes_a_decoder_raise(nasty_url: str) -> None:
    async with reading(nasty_url) as connection:
        rows = await connection.fetch("SELECT id, label, geom FROM nasty_geometries ORDER BY id")
        by_label = {row["label"]: row["geom"] for row in rows}
        assert isinstance(by_label["ring of two points"], RefusedGeometry)
        stored = await connection.fetch(
            "SELECT label, ST_AsEWKB(geom) AS e FROM nasty_geometries WHERE geom IS NOT NULL"
        )
        for row in stored:
            value = by_label[row["label"]]
            if isinstance(value, RefusedGeometry):
                assert encode_ewkb(value) == row["e"]


async def test_codecs_work_wherever_postgis_lives(bare_database_url: str) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        'DROP EXTENSION postgis; CREATE SCHEMA "GIS x"; CREATE EXTENSION postgis SCHEMA "GIS x"',
    )
    async with reading(bare_database_url) as reader:
        point = shapely.set_srid(shapely.Point(1, 2), 4326)
        assert await reader.fetchval('SELECT $1::"GIS x".geometry', point) == point


async def test_connections_are_read_only_in_utc(nasty_url: str) -> None:
    async with reading(nasty_url) as connection:
        for name, value in (
            ("timezone", "UTC"),
            ("plan_cache_mode", "auto"),
            ("transaction_read_only", "on"),
            ("statement_timeout", "30s"),
        ):
            assert await connection.fetchval(f"SHOW {name}") == value
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await connection.execute("CREATE TABLE nothing ()")
