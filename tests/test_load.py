"""`geosvc load`: files into tables, all or nothing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pyogrio
import pytest
import shapely
from click.testing import CliRunner, Result

from geosvc.cli import main

SQUARES = [shapely.box(x, 60, x + 0.5, 60.5) for x in range(10, 40)]


def ask(url: str, sql: str) -> list[Any]:
    """The rows of a query."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(run())


def load(url: str, *arguments: str | Path, status: int = 0) -> Result:
    """Runs the command."""
    result = CliRunner().invoke(main, ["load", *map(str, arguments), "--database-url", url])
    assert result.exit_code == status, result.output
    return result


def collection(**more: Any) -> dict[str, Any]:
    """The squares as a FeatureCollection, with some properties."""
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(square),
            "properties": {
                "name": f"square {number}",
                "level": number,
                "height": number / 4,
                "tags": {"a": [number]},
                **more,
            },
        }
        for number, square in enumerate(SQUARES)
    ]
    return {"type": "FeatureCollection", "features": features}


@pytest.fixture
def geojson(tmp_path: Path) -> Path:
    path = tmp_path / "squares.geojson"
    path.write_text(json.dumps(collection()), "utf-8")
    return path


def test_a_file_becomes_a_table_with_types_a_key_and_a_spatial_index(
    bare_database_url: str, geojson: Path
) -> None:
    assert (
        "30 features into squares"
        in load(bare_database_url, geojson, "--collection", "squares").output
    )
    columns = ask(
        bare_database_url,
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
        " WHERE a.attrelid = 'squares'::regclass AND a.attnum > 0 ORDER BY a.attnum",
    )
    assert dict(columns) == {
        "id": "bigint",
        "name": "text",
        "level": "integer",
        "height": "double precision",
        "tags": "jsonb",
        "geom": "geometry(Polygon,4326)",
    }
    (index,) = ask(
        bare_database_url,
        "SELECT count(*) FROM pg_indexes WHERE tablename = 'squares' AND indexdef LIKE '%gist%'",
    )
    assert index == (1,)
    rows = ask(
        bare_database_url,
        "SELECT name, level, height, tags::text, ST_AsText(geom) FROM squares ORDER BY id",
    )
    assert [row[1] for row in rows] == list(range(30))
    assert rows[7][:4] == ("square 7", 7, 1.75, '{"a": [7]}')
    assert shapely.equals(shapely.from_wkt(rows[7][4]), SQUARES[7])


@pytest.mark.parametrize(
    ("driver", "extension"), [("GPKG", "gpkg"), ("FlatGeobuf", "fgb"), ("ESRI Shapefile", "shp")]
)
def test_what_gdal_reads_is_loaded_in_its_crs(
    bare_database_url: str, tmp_path: Path, driver: str, extension: str
) -> None:
    path = tmp_path / f"squares.{extension}"
    names = np.array([f"square {number}" for number in range(len(SQUARES))], dtype=object)
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(SQUARES)),
        [names, np.arange(len(SQUARES), dtype=np.int64)],
        ["name", "level"],
        geometry_type="Polygon",
        crs="EPSG:3067",
        driver=driver,
    )
    load(bare_database_url, path, "--collection", "squares")
    rows = ask(
        bare_database_url,
        "SELECT name, level, ST_SRID(geom), ST_AsText(geom) FROM squares ORDER BY level",
    )
    assert [row[:3] for row in rows] == [(f"square {number}", number, 3067) for number in range(30)]
    assert all(
        shapely.equals(shapely.from_wkt(row[3]), square)
        for row, square in zip(rows, SQUARES, strict=True)
    )


def test_csv_with_longitudes_and_latitudes_becomes_points(
    bare_database_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "places.csv"
    path.write_text('name,lon,lat,born\nÄhtäri,24.07,62.55,1867-01-01\n"a, b",25,60,\n', "utf-8")
    load(bare_database_url, path, "--collection", "places", "--srid", "4326")
    rows = ask(
        bare_database_url, "SELECT name, born::text, ST_AsText(geom) FROM places ORDER BY id"
    )
    assert rows == [("Ähtäri", "1867-01-01", "POINT(24.07 62.55)"), ("a, b", None, "POINT(25 60)")]


def test_a_table_that_is_there_is_left_alone_appended_to_or_replaced(
    bare_database_url: str, geojson: Path
) -> None:
    load(bare_database_url, geojson, "--collection", "squares")
    refused = load(bare_database_url, geojson, "--collection", "squares", status=1)
    assert "--append" in refused.output
    load(bare_database_url, geojson, geojson, "--collection", "squares", "--append")
    assert ask(bare_database_url, "SELECT count(*), count(DISTINCT id) FROM squares") == [(90, 90)]
    load(bare_database_url, geojson, "--collection", "squares", "--replace")
    assert ask(bare_database_url, "SELECT count(*) FROM squares") == [(30,)]
    nowhere = load(bare_database_url, geojson, "--collection", "nowhere", "--append", status=1)
    assert "does not exist" in nowhere.output


def test_what_is_loaded_can_be_published_and_stays_so_when_it_is_replaced(
    bare_database_url: str, geojson: Path
) -> None:
    refused = load(bare_database_url, geojson, "--collection", "squares", "--publish", status=1)
    assert refused.output.endswith(
        "30 features into squares\ngeosvc: the database has no change log yet: geosvc migrate up\n"
    )
    assert CliRunner().invoke(main, ["migrate", "--database-url", bare_database_url]).exit_code == 0
    told = "squares is published: changes of public.squares are logged as publication 1\n"
    for arguments in (("--publish",), (), ("--publish",)):
        done = load(
            bare_database_url, geojson, "--collection", "public.squares", "--replace", *arguments
        )
        assert done.output.endswith("30 features into public.squares\n" + told)
    done = load(bare_database_url, geojson, "--collection", "squares", "--append")
    assert done.output.endswith("30 features into squares\n")
    logged = ask(
        bare_database_url,
        "SELECT operation::text, rows, publication FROM geosvc.change ORDER BY seq",
    )
    assert [each for each in logged if each[0] == "+"] == [("+", 0, 1)] * 3
    assert [each for each in logged if each[0] != "+"][:1] == [("i", None, 1)]


def test_what_fails_half_way_leaves_nothing_and_says_where(
    bare_database_url: str, geojson: Path, tmp_path: Path
) -> None:
    load(bare_database_url, geojson, "--collection", "squares")
    asyncio.run(_constrain(bare_database_url))
    refused = load(bare_database_url, geojson, "--collection", "squares", "--append", status=1)
    assert "feature 20: " in refused.output
    assert "squares_level_check" in refused.output
    assert "nothing was stored" in refused.output
    assert ask(bare_database_url, "SELECT count(*) FROM squares") == [(30,)]
    cut = tmp_path / "cut.geojson"
    cut.write_bytes(geojson.read_bytes()[:-100])
    load(bare_database_url, cut, "--collection", "cut", status=1)
    assert ask(bare_database_url, "SELECT to_regclass('cut')::text") == [(None,)]


async def _constrain(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ALTER TABLE squares ADD CHECK (level < 20) NOT VALID")
    finally:
        await connection.close()


def test_a_column_that_the_table_lacks_is_named(
    bare_database_url: str, geojson: Path, tmp_path: Path
) -> None:
    load(bare_database_url, geojson, "--collection", "squares")
    wider = tmp_path / "wider.geojson"
    wider.write_text(json.dumps(collection(colour="red")), "utf-8")
    assert (
        "no column colour"
        in load(bare_database_url, wider, "--collection", "squares", "--append", status=1).output
    )


def test_a_table_goes_into_another_schema(bare_database_url: str, geojson: Path) -> None:
    asyncio.run(_make_schema(bare_database_url))
    load(bare_database_url, geojson, "--collection", "Other Place.squares")
    assert ask(bare_database_url, 'SELECT count(*) FROM "Other Place".squares') == [(30,)]


async def _make_schema(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute('CREATE SCHEMA "Other Place"')
    finally:
        await connection.close()


@pytest.mark.parametrize("missing", [False, True])
def test_geometries_are_required_where_none_is_missing(
    bare_database_url: str, tmp_path: Path, missing: bool
) -> None:
    document = collection()
    if missing:
        document["features"][7]["geometry"] = None
    file = tmp_path / "squares.geojson"
    file.write_text(json.dumps(document))
    load(bare_database_url, file, "--collection", "squares")
    [(required,)] = ask(
        bare_database_url,
        "SELECT attnotnull FROM pg_attribute"
        " WHERE attrelid = 'squares'::regclass AND attname = 'geom'",
    )
    assert required is not missing
