"""Files of features are read whole, with the types and digits that they have; what is wrong is
named by file and place.
"""

import csv
import gzip
import io
import json
import re
import sqlite3
import sys
import zipfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from geosvc.bodies.raw_feature import Posted
from geosvc.database.pool import Database
from geosvc.database.writes.tables import finish_table, prepare_table, read_collection
from geosvc.database.writes.transaction import Transaction
from geosvc.database.writes.writer import Writer
from geosvc.errors import StartError
from geosvc.model.crs import WGS84, Srid, crs_with_x_first
from geosvc.query.inserts import plan_insert
from geosvc.query.posted_rows import PostedColumns as Columns
from geosvc.query.returning import Returning
from geosvc.requests.items import ItemsQuery
from geosvc.sources import (
    FeatureBatch,
    Source,
    SourceColumn,
    SourceError,
    SourceSchema,
    merge_schemas,
    open_source,
)
from geosvc.sources.schema import MAX_NAME_BYTES, safe_names
from geosvc.sources.table import create_index, create_table
from tests.bulk_bodies import ask
from tests.conftest import settings_for

POINT = {"type": "Point", "coordinates": [25.5, 60.25]}
SQUARE = [[[0, 0], [1, 0], [1, 1], [0, 0]]]
in_one_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def written(path: Path, content: str | bytes) -> Path:
    """The path of a file with this content."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def feature(
    properties: dict[str, Any] | None = None, geometry: Any = POINT, **members: Any
) -> dict[str, Any]:
    """A GeoJSON feature."""
    return {"type": "Feature", "properties": properties, "geometry": geometry, **members}


def collection(*features: dict[str, Any], **members: Any) -> str:
    """A GeoJSON text."""
    return json.dumps({"type": "FeatureCollection", **members, "features": features})


def whole(source: Source, into: SourceSchema | None = None, rows: int = 5000) -> FeatureBatch:
    """All batches as one; they are of the size that was asked for."""
    found = FeatureBatch([], [], 0)
    for batch in source.batches(rows, into):
        assert batch.first == len(found)
        assert 0 < len(batch) <= rows
        found.geometries.extend(batch.geometries)
        found.properties.extend(batch.properties)
    assert len(found.geometries) == len(found.properties)
    return found


def values(source: Source, into: SourceSchema | None = None) -> list[dict[str, Any]]:
    """The properties of all features."""
    return [json.loads(text) for text in whole(source, into).properties]


def shapes(source: Source, into: SourceSchema | None = None) -> list[Any]:
    """The geometries of all features."""
    return [
        None if ewkb is None else shapely.from_wkb(ewkb) for ewkb in whole(source, into).geometries
    ]


def texts(source: Source, into: SourceSchema | None = None) -> list[str | None]:
    """The geometries of all features as WKT with the SRID."""
    return [
        None if each is None else f"{shapely.get_srid(each)};{each.wkt}"
        for each in shapes(source, into)
    ]


def listed(schema: SourceSchema) -> str:
    """Names and types of the columns, as a person writes them."""
    return ", ".join(f"{column.name} {column.type}" for column in schema.columns)


def types(schema: SourceSchema) -> dict[str, str]:
    """Names and types of the columns."""
    return {column.name: column.type for column in schema.columns}


# --- GeoJSON


def test_the_types_of_geojson_are_those_that_take_every_value(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "a": 1,
            "b": 1,
            "c": 1,
            "d": True,
            "e": [1],
            "f": "2024-02-29",
            "g": "2024-01-01T10:00:00Z",
            "h": "x",
            "i": 1,
            "j": None,
        },
        {
            "a": -5,
            "b": 1 << 40,
            "c": 0.5,
            "d": None,
            "e": {},
            "f": "2023-01-01",
            "g": "2024-01-01T10:00:00.5+02:00",
            "i": "x",
        },
        {"k": "2023-02-29", "l": 1 << 70, "m": "2024-01-01", "n": True, "o": "2024-01-01T10:00:00"},
        {"m": "2024-01-01T10:00:00Z", "n": 1},
    ]
    source = open_source(written(tmp_path / "a.geojson", collection(*map(feature, rows))))
    assert listed(source.schema) == (
        "a int4, b int8, c float8, d bool, e jsonb, f date, g timestamptz, h text, i text, j text,"
        " k text, "
        "l numeric, m text, n text, o text"
    )
    assert {column.name for column in source.schema.columns if column.empty} == {"j"}
    assert source.schema.features == 4
    assert values(source) == rows


def test_geojson_keeps_every_digit(tmp_path: Path) -> None:
    ids = ('"a\\u00e4"', "7", "12345678901234567890", "null", '""')
    rest = ',"type":"Feature","geometry":null,"properties":{"a":0.10000000000000000001,"b":1.50}}'
    text = (
        '{"type":"FeatureCollection","features":['
        + ",".join(f'{{"id":{each}{rest}' for each in ids)
        + "]}"
    )
    batch = whole(open_source(written(tmp_path / "a.json", text)), rows=2)
    assert batch.properties == [b'{"a":0.10000000000000000001,"b":1.50}'] * 5
    assert batch.geometries == [None] * 5


def test_geometries_of_geojson_get_one_type_and_an_srid(tmp_path: Path) -> None:
    polygon, multi = (
        {"type": "Polygon", "coordinates": SQUARE},
        {"type": "MultiPolygon", "coordinates": [SQUARE]},
    )
    source = open_source(
        written(
            tmp_path / "a.geojson",
            collection(feature({}, polygon), feature({}, multi), feature({}, None)),
        )
    )
    assert (source.schema.geometry_type, source.schema.has_z, source.schema.srid) == (
        "MULTIPOLYGON",
        False,
        4326,
    )
    one = "4326;MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"
    assert texts(source) == [one, one, None]
    mixed = open_source(
        written(tmp_path / "b.geojson", collection(feature({}, polygon), feature({}, POINT))),
        srid=3067,
    )
    assert (mixed.schema.geometry_type, mixed.schema.srid) == ("GEOMETRY", 3067)
    assert texts(mixed)[1] == "3067;POINT (25.5 60.25)"


def test_where_some_have_heights_the_others_get_heights_of_0(tmp_path: Path) -> None:
    high = {
        "type": "GeometryCollection",
        "geometries": [{"type": "Point", "coordinates": [1, 2, 3]}],
    }
    low = {"type": "GeometryCollection", "geometries": [POINT]}
    source = open_source(
        written(tmp_path / "a.geojson", collection(feature({}, low), feature({}, high)))
    )
    assert source.schema.has_z
    assert texts(source) == [
        "4326;GEOMETRYCOLLECTION Z (POINT Z (25.5 60.25 0))",
        "4326;GEOMETRYCOLLECTION Z (POINT Z (1 2 3))",
    ]
    assert (
        texts(source, replace(source.schema, has_z=False))[1]
        == "4326;GEOMETRYCOLLECTION (POINT (1 2))"
    )


ONE, TWO = json.dumps(feature({"a": 1})), json.dumps(feature({"a": 2}), indent=1)


@pytest.mark.parametrize(
    ("name", "content", "count"),
    [
        ("a.geojson", ONE, 1),
        ("a.geojson", TWO, 1),
        ("a.json", json.dumps(POINT, indent=2), 1),
        ("a.geojson", f"{ONE}\n{ONE}\n", 2),
        ("a.ndjson", f"\n{ONE}\r\n\n{ONE}", 2),
        ("a.geojsonl", ONE, 1),
        ("a.geojsons", f"\x1e{ONE}\n\x1e{TWO}\n", 2),
        ("a.json", f"\x1e{ONE}\n\x1e{TWO}\n", 2),
        ("a", f"\ufeff{collection(feature({'a': 1}))}", 1),
        ("a.json", collection(feature({"a": 1})), 1),
        ("a.geojson", collection(), 0),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_form_of_geojson_is_told_by_what_it_holds(
    tmp_path: Path, name: str, content: str, count: int, compressed: bool
) -> None:
    path = written(
        tmp_path / (f"{name}.gz" if compressed else name),
        gzip.compress(content.encode()) if compressed else content,
    )
    source = open_source(path)
    assert source.schema.features == count
    assert texts(source) == ["4326;POINT (25.5 60.25)"] * count
    assert source.done_bytes == source.schema.bytes == path.stat().st_size


def test_the_old_member_crs_is_heeded(tmp_path: Path) -> None:
    def srid_of(name: str) -> int | None:
        crs = {"type": "name", "properties": {"name": name}}
        return open_source(
            written(tmp_path / "a.geojson", collection(feature({}), crs=crs))
        ).schema.srid

    assert srid_of("urn:ogc:def:crs:EPSG::3067") == 3067
    assert srid_of("EPSG:25832") == 25832
    assert srid_of("urn:ogc:def:crs:OGC:1.3:CRS84") == 4326
    with pytest.raises(
        SourceError,
        match=r"a\.geojson: the collection names an unknown CRS, nonsense: name it with --srid",
    ):
        srid_of("nonsense")


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (
            '{"type":"Feature","geometry":{"type":"Point","coordinates":[1]},"properties":{}}',
            "feature 1: the geometry at /coord",
        ),
        (
            '{"type":"Feature","geometry":{"type":"Point","coordinates":[1e999,2]},"properties":{}}',
            "feature 1: .* number that is too large",
        ),
        (
            '{"type":"Feature","geometry":{"type":"Circle","coordinates":[1,2]},"properties":{}}',
            "feature 1: the geometry has no type",
        ),
        ('{"type":"Feature","geometry":null,"properties":[]}', "feature 1: Expected `object"),
        ('{"type":"Feature","geometry":null,"properties":{"a":NaN}}', "feature 1: is not JSON"),
        ('{"type":"Feature","geometry":null,"properties":{"a":1,}}', "feature 1: is not JSON"),
        ('{"type":"Feature","geometry":null,"properties":{"a":"\\u0000"}}', "feature 1: .* NUL"),
        (
            '{"type":"Feature","geometry":null,"properties":{"a":"\\ud800"}}',
            "feature 1: holds half a character",
        ),
        (
            '{"type":"Feature","geometry":null,"properties":{"a":["\\udc00"]}}',
            "feature 1: holds half a character",
        ),
        ('{"type":"Point","coordinates":[1,2]}', "feature 1 is not a Feature"),
        ("7", "feature 1 is not a JSON object"),
        ('{"type":"Feature","properties":{"a":' + "[" * 70 + "]" * 70 + "}}", "feature 1 .*nested"),
        ('{"type":"Feature"', "the file ends within feature 1"),
    ],
)
def test_what_is_wrong_in_geojson_is_named_with_the_feature(
    tmp_path: Path, bad: str, problem: str
) -> None:
    text = f'{{"type":"FeatureCollection","features":[{ONE},{bad}' + (
        "" if bad.endswith('"Feature"') else "]}"
    )
    with pytest.raises(SourceError, match=rf"^a\.geojson: {problem}"):
        whole(open_source(written(tmp_path / "a.geojson", text)))


def test_an_escaped_backslash_before_u0000_is_no_nul(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.geojson", collection(feature({"a": "\\u0000"}))))
    assert values(source) == [{"a": "\\u0000"}]


def test_a_nest_of_collections_is_refused_before_it_can_do_harm(tmp_path: Path) -> None:
    geometry = '{"type":"GeometryCollection","geometries":[' * 30_000 + "]}" * 30_000
    text = '{"type":"Feature","properties":{},\n"geometry":' + geometry + "}"
    with pytest.raises(SourceError, match="nested deeper than 64"):
        whole(open_source(written(tmp_path / "a.geojson", text)))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
storable = st.text(st.characters(exclude_characters="\0", codec="utf-8"))
finite = st.floats(-1e6, 1e6)


def without_nul(value: object) -> bool:
    """Whether PostgreSQL can store a JSON value."""
    return "\\u0000" not in json.dumps(value)


@in_one_folder
@given(
    st.lists(
        st.tuples(
            st.dictionaries(storable, json_values.filter(without_nul), max_size=4).filter(
                without_nul
            ),
            finite,
            finite,
        ),
        max_size=12,
    ),
    st.integers(1, 5),
    st.sampled_from([None, 0, 1]),
)
def test_geojson_comes_back_as_it_went(
    tmp_path: Path, rows: list[tuple[dict[str, Any], float, float]], size: int, indent: int | None
) -> None:
    features = [
        feature(properties, {"type": "Point", "coordinates": [x, y]}) for properties, x, y in rows
    ]
    text = json.dumps(
        {"type": "FeatureCollection", "features": features},
        indent=indent,
        ensure_ascii=size % 2 == 0,
    )
    source = open_source(written(tmp_path / "a.geojson", text), srid=3067)
    names = {column.source: column.name for column in source.schema.columns}
    batch = whole(source, rows=size)
    assert [json.loads(each) for each in batch.properties] == [
        {names[name]: value for name, value in properties.items()} for properties, _, _ in rows
    ]
    assert [shapely.from_wkb(each).coords[0] for each in batch.geometries if each] == [
        (x, y) for _, x, y in rows
    ]


# --- CSV


def test_a_table_of_texts_gets_types_and_keeps_what_a_number_would_lose(tmp_path: Path) -> None:
    lines = [
        "id;zip;big;huge;ratio;open;day;at;name;lon;lat;odd",
        "1;00120;3000000000;123456789012345678901;0.10;true;2024-02-29;2024-01-01T10:00:00Z;;25.5;60.25;NaN",
        '2;90210;1;1;1e3;FALSE;2024-01-01;2024-01-01 10:00:00+02;"";;;1.5',
        '3;1;1;1;-0;;;;"a;""b""\r\nc";1;2;inf',
    ]
    source = open_source(written(tmp_path / "a.csv", "\ufeff" + "\r\n".join(lines) + "\r\n\r\n"))
    assert listed(source.schema) == (
        "id int4, zip text, big int8, huge numeric, ratio text, open text, day date, at text, name"
        " text, odd text"
    )
    assert texts(source) == ["4326;POINT (25.5 60.25)", None, "4326;POINT (1 2)"]
    rows = values(source)
    assert [row.get("name") for row in rows] == [None, "", 'a;"b"\r\nc']
    assert [row.get("open") for row in rows] == ["true", "FALSE", None]
    assert [row.get("odd") for row in rows] == ["NaN", "1.5", "inf"]
    assert rows[0]["zip"] == "00120"
    assert b'"huge":123456789012345678901' in whole(source).properties[0]
    assert [row["ratio"] for row in rows] == ["0.10", "1e3", "-0"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_geometries_are_wkt_ewkt_or_hexadecimal(tmp_path: Path, delimiter: str) -> None:
    hexadecimal = shapely.to_wkb(
        shapely.set_srid(shapely.Point(5, 6, 7), 3067), hex=True, include_srid=True
    )
    cells = ['"SRID=3067; point(1 2)"', '"POINT M (1 2 9)"', "", hexadecimal, "POINT EMPTY"]
    text = "\n".join(
        f'{number}{delimiter}"x{delimiter}"{delimiter}{cell}' for number, cell in enumerate(cells)
    )
    path = written(
        tmp_path / "a.csv.gz", gzip.compress(f"n{delimiter}s{delimiter}WKT\n{text}".encode())
    )
    with pytest.raises(SourceError, match="several SRIDs"):
        open_source(path)
    source = open_source(path, srid=3067)
    assert (source.schema.geometry_type, source.schema.has_z, source.schema.srid) == (
        "POINT",
        True,
        3067,
    )
    points = [
        "3067;POINT Z (1 2 0)",
        "3067;POINT Z (1 2 0)",
        None,
        "3067;POINT Z (5 6 7)",
        "3067;POINT Z EMPTY",
    ]
    assert texts(source) == points
    assert values(source)[4] == {"n": 4, "s": f"x{delimiter}"}
    assert source.notes == ("a.csv.gz: measures (M) are left out",)
    assert source.done_bytes == source.schema.bytes


def test_numbers_that_no_float_holds_stay_texts(tmp_path: Path) -> None:
    source = open_source(
        written(tmp_path / "a.csv", "a,b,c,lon,lat\n1e400,1e-400,0e-400,1,2\n1,1,1,1,2\n")
    )
    assert listed(source.schema) == "a text, b text, c text"


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_binary_geometries_are_of_both_flavours(
    tmp_path: Path, flavor: Any, big_endian: bool
) -> None:
    line = shapely.set_srid(shapely.LineString([(1, 2, 3), (4, 5, 6)]), 3067)
    options: dict[str, Any] = {
        "flavor": flavor,
        "include_srid": flavor == "extended",
        "byte_order": 0 if big_endian else 1,
    }
    source = open_source(
        written(tmp_path / "a.csv", f"geometry\n{shapely.to_wkb(line, hex=True, **options)}\n")
    )
    assert source.schema.srid == (3067 if flavor == "extended" else None)
    assert texts(source)[0] in ("3067;LINESTRING Z (1 2 3, 4 5 6)", "0;LINESTRING Z (1 2 3, 4 5 6)")


@pytest.mark.parametrize(
    ("name", "before"), [("a.csv", "\\x"), ("a.txt", "0x"), ("a.psv", " "), ("a.tsv", "0X")]
)
def test_binary_geometries_are_read_as_other_programs_write_them(
    tmp_path: Path, name: str, before: str
) -> None:
    cell = before + shapely.to_wkb(shapely.Point(1, 2), hex=True)
    delimiter = {"a.psv": "|", "a.tsv": "\t"}.get(name, ",")
    assert texts(
        open_source(written(tmp_path / name, f"geom{delimiter}n\n{cell}{delimiter}7\n"))
    ) == ["0;POINT (1 2)"]


@pytest.mark.parametrize(
    ("wkt", "has_z"),
    [
        ("POINT Z (1 2 3)", True),
        ("POINTZ(1 2 3)", True),
        ("POINT(1 2 3)", True),
        ("POINT(1 2)", False),
    ],
)
def test_heights_in_wkt_are_seen_however_they_are_written(
    tmp_path: Path, wkt: str, has_z: bool
) -> None:
    source = open_source(written(tmp_path / "a.csv", f"wkt\n{wkt}\n"))
    assert source.schema.has_z is has_z
    assert texts(source) == ["0;POINT Z (1 2 3)" if has_z else "0;POINT (1 2)"]


def test_x_and_y_are_of_no_known_crs(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "x,y\n1,2\n")
    assert open_source(path).schema.srid is None
    assert texts(open_source(path)) == ["0;POINT (1 2)"]
    assert texts(open_source(path, srid=3067)) == ["3067;POINT (1 2)"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1,2\n", ": no column is called wkt"),
        ("", ": is empty"),
        ('a,wkt\n"x\ny",POINT(1 2)\n1,POINT(1\n', ", line 4: the geometry cannot be read"),
        ("wkt;a\nPOLYGON((0 0,1 1,1 0,0 0.5));1\n", ", line 2: the geometry cannot be read"),
        ("wkt\nhello\n", ", line 2: the geometry is neither"),
        ("wkt\n010A000000\n", ", line 2: the geometry is of a type"),
        ("wkt\n01010000000\n", ", line 2: the geometry is not hex"),
        ("wkt\n0101000000AA\n", ", line 2: the geometry cannot be read"),
        (
            'wkt\n"CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))"\n',
            ", line 2: the geometry has curves",
        ),
        ("wkt\nPOINT(1 1e999)\n", ", line 2: .* finite"),
        ("lon,lat\n1,2\n1,\n", ", line 3: has one coordinate"),
        ("lon,lat\n1,north\n", ", line 2: lat is not a number"),
        ("lon,lat\n1,nan\n", ", line 2: lat is not a number"),
        ("lon,lat\n1,1_0\n", ", line 2: lat is not a number"),
        ("lon,lat\n1,inf\n", ", line 2: .* finite"),
        ("lon,lat\n1,2,3\n", ", line 2: has 3 cells, and the header 2"),
        ('lon,lat\n1,2\n1,"2\n', ", line 3: unexpected end of data"),
        ("lon,lat,a\n1,2,\0\n", ", line 2: holds a NUL"),
        (b"lon,lat,a\n1,2,\xff\n", ", line 2: is not UTF-8"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_the_line(
    tmp_path: Path, content: str | bytes, problem: str
) -> None:
    with pytest.raises(SourceError, match=rf"^a\.csv{problem}"):
        whole(open_source(written(tmp_path / "a.csv", content)))


def nested_binary(depth: int, order: str) -> str:
    """A point within many collections."""
    head = b"\x01\x07\0\0\0\x01\0\0\0" if order == "little" else b"\0\0\0\0\x07\0\0\0\x01"
    return (head * depth + shapely.to_wkb(shapely.Point(1, 2))).hex()


@pytest.mark.parametrize(
    "cell",
    [
        "GEOMETRYCOLLECTION(" * 30_000 + "POINT(1 2)" + ")" * 30_000,
        nested_binary(30_000, "little"),
        nested_binary(30_000, "big"),
    ],
    ids=["wkt", "little", "big"],
)
def test_a_nest_of_collections_in_a_table_is_refused_before_it_can_do_harm(
    tmp_path: Path, cell: str
) -> None:
    with pytest.raises(SourceError, match=r"line 2: .* more than 1000 collections"):
        open_source(written(tmp_path / "a.csv", f"wkt\n{cell}\n"))


cells = st.one_of(
    st.none(),
    storable,
    st.integers().map(str),
    st.floats().map(str),
    st.dates().map(str),
    st.sampled_from(['""', '",', "00"]),
)


@in_one_folder
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), max_size=8)
    ),
    st.sampled_from(",;\t|"),
    st.integers(1, 4),
)
def test_a_table_comes_back_as_it_went(
    tmp_path: Path, rows: list[list[str | None]], delimiter: str, size: int
) -> None:
    width = len(rows[0]) if rows else 1
    text = io.StringIO()
    names = [f"c{place}" for place in range(width)]
    text.write(delimiter.join([*names, "WKT"]) + "\n")
    for row in rows:
        quoted = ["" if cell is None else '"{}"'.format(cell.replace('"', '""')) for cell in row]
        text.write(delimiter.join([*quoted, "POINT(1 2)"]) + "\n")
    source = open_source(written(tmp_path / "a.csv", text.getvalue()))
    kinds = types(source.schema)
    found = [
        json.loads(each, parse_int=str, parse_float=str)
        for each in whole(source, rows=size).properties
    ]
    for row, properties in zip(rows, found, strict=True):
        for name, cell in zip(names, row, strict=True):
            wanted: object = cell
            if kinds[name] == "bool" and cell is not None:
                wanted = cell == "true"
            assert properties.get(name) == wanted


# --- what GDAL reads


def write_layer(
    path: Path, geometries: Sequence[Any], fields: dict[str, Any] | None = None, **options: Any
) -> Path:
    """A file of a kind that GDAL writes."""
    import pyogrio.raw

    options = {"geometry_type": "Unknown", "crs": "EPSG:4326", **options}
    masks = options.pop("masks", None)
    fields = fields or {"n": np.arange(len(geometries), dtype="int32")}
    wkb = np.array(
        [
            each if each is None or isinstance(each, bytes) else shapely.to_wkb(each)
            for each in geometries
        ],
        dtype=object,
    )
    pyogrio.raw.write(path, wkb, list(fields.values()), list(fields), field_mask=masks, **options)
    return path


def add_bytes(path: Path, value: bytes) -> None:
    """Gives the first feature of a GeoPackage bytes, which pyogrio cannot write."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("ALTER TABLE a ADD COLUMN blob BLOB")
        database.execute("UPDATE a SET blob = ? WHERE fid = 1", (value,))


def test_the_fields_of_a_geopackage_keep_their_types(tmp_path: Path) -> None:
    none, some = np.array([True, False]), np.array([False, False])
    path = write_layer(
        tmp_path / "a.gpkg",
        [shapely.Point(1, 2), None],
        {
            "small": np.array([0, 2], "int16"),
            "int": np.array([0, 7], "int32"),
            "big": np.array([0, (1 << 53) + 1]),
            "real": np.array([0.25, np.nan]),
            "flag": np.array([True, True]),
            "text": np.array(["ä", ""], dtype=object),
            "day": np.array(["2024-02-29", "2024-01-01"], "datetime64[D]"),
            "at": np.array(["2024-02-29T10:11:12.5", "2024-01-01"], "datetime64[ms]"),
        },
        masks=[none, none, none, some, none, some, some, some],
        SPATIAL_INDEX="NO",
    )
    add_bytes(path, b"\0\1")
    source = open_source(path)
    assert listed(source.schema) == (
        "small int2, int int4, big int8, real float8, flag bool, text text, day date, at"
        " timestamptz, blob bytea"
    )
    assert values(source) == [
        {
            "small": None,
            "int": None,
            "big": None,
            "real": 0.25,
            "flag": None,
            "text": "ä",
            "day": "2024-02-29",
            "at": "2024-02-29T10:11:12.500Z",
            "blob": "AAE=",
        },
        {
            "small": 2,
            "int": 7,
            "big": (1 << 53) + 1,
            "real": None,
            "flag": True,
            "text": "",
            "day": "2024-01-01",
            "at": "2024-01-01T00:00:00Z",
            "blob": None,
        },
    ]
    assert texts(source) == ["4326;POINT (1 2)", None]
    assert len(whole(source)) == 2
    assert source.done_bytes == source.schema.bytes == path.stat().st_size


@pytest.mark.parametrize(
    ("name", "driver"), [("a.shp", "ESRI Shapefile"), ("a.fgb", "FlatGeobuf"), ("a.gpkg", "GPKG")]
)
def test_no_feature_is_lost_or_doubled_between_windows(
    tmp_path: Path, name: str, driver: str
) -> None:
    count = 12_345
    options: dict[str, Any] = {"SPATIAL_INDEX": "NO"} if driver == "FlatGeobuf" else {}
    points = [shapely.Point(number, number) for number in range(count)]
    path = write_layer(
        tmp_path / name, points, driver=driver, geometry_type="Point", crs="EPSG:3067", **options
    )
    source = open_source(path)
    assert source.schema.features == count
    batch = whole(source, rows=999)
    assert [json.loads(each) for each in batch.properties] == [
        {"n": number} for number in range(count)
    ]
    assert shapely.get_coordinates(shapely.from_wkb(np.array(batch.geometries, dtype=object)))[
        :, 0
    ].tolist() == list(range(count))


def test_a_shapefile_of_polygons_may_hold_multipolygons(tmp_path: Path) -> None:
    square = shapely.box(0, 0, 1, 1)
    pair = shapely.multipolygons([square, shapely.box(2, 2, 3, 3)])
    source = open_source(
        write_layer(tmp_path / "a.shp", [square, pair], geometry_type="Polygon", crs="EPSG:3067")
    )
    assert (source.schema.geometry_type, source.schema.srid) == ("MULTIPOLYGON", 3067)
    assert [
        shape.equals(each) for shape, each in zip(shapes(source), [square, pair], strict=True)
    ] == [True, True]


def test_a_crs_without_an_epsg_code_becomes_wgs84(tmp_path: Path) -> None:
    crs = "+proj=laea +lat_0=60 +lon_0=25 +datum=WGS84 +units=m"
    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(0, 0, 5)], crs=crs)
    assert open_source(path).schema.srid == 4326
    (point,) = shapes(open_source(path))
    assert shapely.get_coordinates(point, include_z=True)[0] == pytest.approx([25, 60, 5])
    assert texts(open_source(path, srid=3067)) == ["3067;POINT Z (0 0 5)"]


def test_a_layer_without_a_crs_has_no_srid(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        path = write_layer(tmp_path / "a.fgb", [shapely.Point(1, 2)], crs=None, driver="FlatGeobuf")
    assert open_source(path).schema.srid is None
    assert texts(open_source(path)) == ["0;POINT (1 2)"]


def test_of_measures_that_are_lost_a_person_is_told(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(1, 2)], geometry_type="Point")
    assert open_source(path).notes == ()
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE gpkg_geometry_columns SET m = 1")
    source = open_source(path)
    assert texts(source) == ["4326;POINT (1 2)"]
    (note,) = source.notes
    assert note.startswith("a.gpkg: Measured (M) geometry types are not supported")


def test_a_zipped_shapefile_is_read(tmp_path: Path) -> None:
    write_layer(tmp_path / "a.shp", [shapely.Point(1, 2)])
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in tmp_path.glob("a.[sdpc]*"):
            archive.write(path, path.name)
    assert texts(open_source(tmp_path / "a.zip")) == ["4326;POINT (1 2)"]


def test_of_several_layers_one_has_to_be_chosen(tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(1, 2)], layer="one")
    write_layer(path, [shapely.Point(3, 4)], layer="two", append=False)
    with pytest.raises(
        SourceError, match=r"^a\.gpkg: has several layers, choose one by --layer: one, two"
    ):
        open_source(path)
    assert texts(open_source(path, layer="two")) == ["4326;POINT (3 4)"]
    with pytest.raises(SourceError, match=r"^a\.gpkg: "):
        open_source(path, layer="three")


GML_POINT = "<gml:Point><gml:pos>1 2</gml:pos></gml:Point>"
GML = """<wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs"
 xmlns:gml="http://www.opengis.net/gml" xmlns:x="http://x.org/">
<gml:featureMember><x:a><x:g>{}</x:g></x:a></gml:featureMember>
<gml:featureMember><x:a><x:g>{}</x:g></x:a></gml:featureMember></wfs:FeatureCollection>"""
ARC = "<gml:Curve><gml:segments><gml:Arc><gml:posList>0 0 1 1 2 0</gml:posList></gml:Arc></gml:segments></gml:Curve>"


def test_curves_become_lines(tmp_path: Path) -> None:
    _, shape = shapes(open_source(written(tmp_path / "a.gml", GML.format(GML_POINT, ARC))))
    assert shape.geom_type == "LineString"
    assert shape.length == pytest.approx(np.pi, rel=1e-3)


def test_a_geometry_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    triangles = (
        bytes.fromhex("01100000000100000001110000000100000004000000")
        + np.array([0, 0, 0, 1, 1, 1, 0, 0.0]).tobytes()
    )
    path = write_layer(
        tmp_path / "a.fgb",
        [shapely.Point(1, 2), None, triangles],
        driver="FlatGeobuf",
        SPATIAL_INDEX="NO",
    )
    with pytest.raises(
        SourceError, match=r"^a\.fgb: feature 2: the geometry is of a type that cannot be loaded"
    ):
        open_source(path)


@pytest.mark.parametrize("name", ["a.shp", "a.gpkg", "a.geojson", "a.csv", "a.xyz"])
def test_a_file_that_is_not_there_or_not_what_it_seems_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=rf"^{name}: No such file"):
        open_source(tmp_path / name)
    with pytest.raises(SourceError, match=rf"^{name}: "):
        open_source(written(tmp_path / name, b"rubbish\n" * 50))


def test_a_compressed_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    content = gzip.compress(
        collection(*[feature({"a": str(number)}) for number in range(20_000)]).encode()
    )
    with pytest.raises(
        SourceError, match=r"^a\.geojson\.gz: the compressed file is corrupt or cut off"
    ):
        open_source(written(tmp_path / "a.geojson.gz", content[:-3000]))
    with pytest.raises(
        SourceError, match=r"^a\.geojson\.gz: the compressed file is corrupt or cut off"
    ):
        open_source(
            written(tmp_path / "a.geojson.gz", content[:10] + b"\xff" * 100 + content[110:])
        )


def test_what_is_wrong_is_counted_from_the_beginning_of_the_file(tmp_path: Path) -> None:
    good, bad = feature({"a": "x" * 100}), feature({}, {"type": "Point", "coordinates": ["1", 2]})
    with pytest.raises(
        SourceError,
        match=r"^a\.geojson: feature 20000: the geometry at /coordinates/0 has a value",
    ):
        whole(open_source(written(tmp_path / "a.geojson", collection(*[good] * 20_000, bad))))
    broken = collection(*[good] * 20_000, feature([]))  # type: ignore[arg-type]  # which is wrong
    with pytest.raises(SourceError, match=r"^a\.geojson: feature 20000: Expected `object"):
        open_source(written(tmp_path / "a.geojson", broken))


def test_without_pyogrio_a_person_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(1, 2)])
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    with pytest.raises(StartError, match="pip install pyogrio"):
        open_source(path)


# --- names and schemas


@given(
    st.lists(
        st.text(max_size=80) | st.sampled_from(["", "a", "ctid", "a_1", "ä" * 40, "ä" * 40 + "b"])
    ),
    st.sets(st.text(min_size=1)),
)
def test_names_are_unique_and_such_as_postgresql_takes(
    names: list[str], reserved: set[str]
) -> None:
    found = safe_names(names, reserved)
    assert len(set(found)) == len(found) == len(names)
    assert all(found)
    assert not set(found) & (reserved | {"ctid", "xmin"})
    assert all(len(name.encode()) <= MAX_NAME_BYTES and "\0" not in name for name in found)
    for name, safe in zip(names, found, strict=True):
        storable_as_it_is = (
            0 < len(name.encode("utf-8", "replace")) <= MAX_NAME_BYTES and name.isprintable()
        )
        if storable_as_it_is and names.count(name) == 1 and name not in reserved | {"ctid"}:
            assert safe == name


def test_names_that_must_change_get_a_number() -> None:
    assert safe_names(["id", "", "geom", "geom_1", "xmax", "b", "b"], ["id", "geom"]) == (
        *("id_1", "column_2", "geom_2", "geom_1", "xmax_1"),
        *("b", "b_1"),
    )


def schema_of(*columns: SourceColumn, **options: Any) -> SourceSchema:
    """A schema of points."""
    return SourceSchema(
        columns,
        **{
            "geometry_type": "POINT",
            "has_z": False,
            "srid": 4326,
            "features": 1,
            "bytes": 10,
            **options,
        },
    )


def test_schemas_are_merged_to_what_takes_all_of_them() -> None:
    one = schema_of(
        *(
            SourceColumn("a", "int4", "a"),
            SourceColumn("b", "int8", "b"),
            SourceColumn("c", "date", "c"),
        ),
        *(
            SourceColumn("d", "text", "d", empty=True),
            SourceColumn("e", "jsonb", "e"),
            SourceColumn("f", "bool", "f"),
        ),
        srid=None,
    )
    two = schema_of(
        *(
            SourceColumn("a", "int2", "a"),
            SourceColumn("b", "float4", "b"),
            SourceColumn("c", "timestamptz", "c"),
        ),
        *(
            SourceColumn("d", "int4", "d"),
            SourceColumn("e", "int4", "e"),
            SourceColumn("g", "text[]", "g"),
        ),
        geometry_type="MULTIPOINT",
        srid=3067,
        has_z=True,
    )
    one_more = schema_of(SourceColumn("h", "numeric", "h"))
    assert merge_schemas([one_more, schema_of(SourceColumn("h", "float8", "h"))]) == replace(
        one_more, features=2, bytes=20
    )
    merged = merge_schemas([one, two, schema_of(bytes=None)])
    kinds = {
        "a": "int4",
        "b": "float8",
        "c": "text",
        "d": "int4",
        "e": "jsonb",
        "f": "bool",
        "g": "text[]",
    }
    assert types(merged) == kinds
    assert (merged.geometry_type, merged.has_z, merged.srid) == ("MULTIPOINT", True, 3067)
    assert (merged.features, merged.bytes) == (3, None)
    assert merge_schemas([one]) == one


def test_files_that_differ_fit_into_what_they_are_together(tmp_path: Path) -> None:
    first = open_source(
        written(tmp_path / "a.csv", "id,zip,wkt\n1,00120,SRID=3067;POINT(385000 6672000)\n")
    )
    second = open_source(
        written(tmp_path / "b.geojson", collection(feature({"id": 2, "zip": 120, "x": True})))
    )
    third = open_source(
        write_layer(
            tmp_path / "c.gpkg", [shapely.MultiPoint([(25, 60)])], {"zip": np.array([7], "int32")}
        )
    )
    merged = merge_schemas([first.schema, second.schema, third.schema]).reserving("id", "geom")
    assert types(merged) == {"id_1": "int4", "zip": "text", "x": "bool"}
    assert [values(each, merged) for each in (first, second, third)] == [
        [{"id_1": 1, "zip": "00120"}],
        [{"id_1": 2, "zip": 120, "x": True}],
        [{"zip": 7}],
    ]
    points = [shapes(each, merged)[0] for each in (first, second, third)]
    assert [shapely.get_srid(point) for point in points] == [3067] * 3
    assert {point.geom_type for point in points} == {"MultiPoint"}
    there = Transformer.from_crs(4326, 3067, always_xy=True)
    expected = [(385000, 6672000), there.transform(25.5, 60.25), there.transform(25, 60)]
    for point, each in zip(points, expected, strict=True):
        assert shapely.get_coordinates(point)[0] == pytest.approx(each, abs=1e-6)


def test_a_cell_goes_into_a_column_of_texts_as_it_is(tmp_path: Path) -> None:
    source = open_source(written(tmp_path / "a.csv", "a,b,lon,lat\nTRUE,1.50,1,2\n"))
    assert listed(source.schema) == "a text, b numeric"
    texts_only = tuple(replace(column, type="text") for column in source.schema.columns)
    assert values(source, replace(source.schema, columns=texts_only)) == [
        {"a": "TRUE", "b": "1.50"}
    ]


@pytest.mark.parametrize("single", ["POINT", "LINESTRING", "POLYGON"])
def test_an_empty_geometry_is_an_empty_one_of_many_parts_where_others_have_many(
    tmp_path: Path, single: str
) -> None:
    source = open_source(
        written(tmp_path / "a.csv", f"wkt,a\n{single} EMPTY,1\nMULTI{single} EMPTY,2\n")
    )
    assert texts(source) == [f"0;MULTI{single} EMPTY"] * 2


def test_a_geometry_that_does_not_fit_is_named(tmp_path: Path) -> None:
    source = open_source(
        written(tmp_path / "a.csv", "wkt;a\nPOINT(1 2);1\nLINESTRING(1 2,3 4);1\n")
    )
    with pytest.raises(
        SourceError, match=r"^a\.csv, line 3: the geometry is a LINESTRING, expected: POINT"
    ):
        whole(source, replace(source.schema, geometry_type="POINT"))
    far = open_source(written(tmp_path / "b.csv", "x,y\n1,2\n1e30,1e9\n"), srid=3067)
    with pytest.raises(
        SourceError, match=r"^b\.csv, line 3: the geometry cannot be transformed to EPSG:3857"
    ):
        whole(far, replace(far.schema, srid=3857))


# --- the table


TABLE = 'my "table"'


async def load(
    url: str, source: Source, schema: SourceSchema, key: str | None
) -> list[asyncpg.Record]:
    """Makes a table in a real PostGIS, fills it from the file, and reads it."""

    async def fill(transaction: Transaction) -> None:
        create = create_table("public", TABLE, schema, key=key)
        await prepare_table(transaction, "public", TABLE, create, append=False, replace=False)
        made = await read_collection(transaction, "public", TABLE)
        values_from = Columns(
            tuple(made.by_name[name] for name in types(schema)),
            False,
            crs_with_x_first(Srid(schema.srid or WGS84)),
        )
        plan = plan_insert(made, values_from, ItemsQuery(limit=1), Returning.COUNTS)
        for batch in source.batches(2, schema):
            posted = Posted(geometries=batch.geometries, properties=batch.properties)
            await transaction.fetch(plan.of(posted))
        await finish_table(transaction, "public", TABLE, [create_index("public", TABLE)])

    database = Database(settings_for(url), url, writes=True)
    await database.open()
    try:
        await Writer(database).transact(fill)
    finally:
        await database.close()
    connection = await asyncpg.connect(url)
    try:
        return list(
            await connection.fetch(
                'SELECT *, ST_AsEWKT(geom) AS ewkt FROM "my ""table""" ORDER BY geom IS NULL'
            )
        )
    finally:
        await connection.close()


async def test_a_geopackage_becomes_a_table_with_its_values(
    tmp_path: Path, bare_database_url: str
) -> None:
    fields = {
        "id": np.array([7, 8], "int32"),
        'a "b"; --': np.array([(1 << 60) + 1, 2]),
        "at": np.array(["2024-02-29T10:11:12.5", "2024-01-01"], "datetime64[ms]"),
        "flag": np.array([True, False]),
    }
    square = shapely.box(0, 0, 1, 1)
    path = write_layer(
        tmp_path / "a.gpkg",
        [shapely.force_3d(square), None],
        fields,
        crs="EPSG:3067",
        SPATIAL_INDEX="NO",
    )
    add_bytes(path, b"\0\xff")
    source = open_source(path)
    schema = source.schema.reserving("id", "geom")
    first, second = await load(bare_database_url, source, schema, "id")
    assert (first["id"], first["id_1"], first['a "b"; --'], first["blob"], first["flag"]) == (
        1,
        7,
        (1 << 60) + 1,
        b"\0\xff",
        True,
    )
    assert first["at"].isoformat() == "2024-02-29T10:11:12.500000+00:00"
    assert first["ewkt"].startswith("SRID=3067;POLYGON(")
    assert (second["id"], second["id_1"], second["blob"], second["geom"]) == (2, 8, None, None)
    assert await ask(
        bare_database_url, "SELECT type, srid, coord_dimension FROM geometry_columns"
    ) == [("POLYGON", 3067, 3)]
    kinds = "SELECT amname FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam"
    mine = ' WHERE indrelid = \'"my ""table"""\'::regclass ORDER BY 1'
    assert await ask(bare_database_url, kinds + mine) == [("btree",), ("gist",)]


async def test_every_type_of_a_column_can_be_made_and_filled(
    tmp_path: Path, bare_database_url: str
) -> None:
    given_values = {
        "bool": True,
        "int2": 1,
        "int4": 1,
        "int8": 1 << 60,
        "numeric": 1 << 70,
        "float4": 0.5,
        "float8": 0.1,
        "text": "x",
        "date": "2024-02-29",
        "time": "10:11:12",
        "timestamp": "2024-02-29T10:11:12",
        "timestamptz": "2024-02-29T10:11:12Z",
        "bytea": "AAE=",
        "jsonb": {"a": [1]},
        "text[]": ["a", None],
        "int4[]": [1],
        "int8[]": [1 << 60],
        "float8[]": [0.5],
    }
    source = open_source(written(tmp_path / "a.geojson", collection(feature(given_values))))
    given = [SourceColumn(name, name, name) for name in given_values]  # type: ignore[arg-type]
    schema = schema_of(*given, srid=None)
    (row,) = await load(bare_database_url, source, schema, None)
    assert "id" not in row
    assert {
        name: row[name]
        for name in ("int8", "numeric", "float8", "bytea", "text[]", "int8[]", "float8[]")
    } == {
        "int8": 1 << 60,
        "numeric": 1 << 70,
        "float8": 0.1,
        "bytea": b"\0\1",
        "text[]": ["a", None],
        "int8[]": [1 << 60],
        "float8[]": [0.5],
    }
    columns = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attnum > 0 AND attrelid = "
    rows = await ask(bare_database_url, columns + '\'"my ""table"""\'::regclass')
    kinds = {str(name): kind for name, kind in rows}
    assert kinds.pop("geom") == "geometry(Point)"
    assert (kinds["numeric"], kinds["time"], kinds["int4[]"]) == (
        "numeric",
        "time without time zone",
        "integer[]",
    )


async def test_a_column_of_the_file_can_be_the_key(tmp_path: Path, bare_database_url: str) -> None:
    path = written(tmp_path / "a.csv", "osm_id,n,lon,lat\n5,1,1,2\n6,1,1,2\n")
    source = open_source(path)
    rows = await load(bare_database_url, source, source.schema.reserving("geom"), "osm_id")
    assert [row["osm_id"] for row in rows] == [5, 6]
    indexes = 'SELECT indkey::text FROM pg_index WHERE indisprimary AND indrelid = \'"my ""table"""\'::regclass'
    assert await ask(bare_database_url, indexes) == [("1",)]
    assert "id" not in rows[0]


def test_a_column_cannot_take_the_name_of_the_geometry() -> None:
    with pytest.raises(ValueError, match="geometry column"):
        create_table("public", "t", schema_of(SourceColumn("geom", "text", "geom")))


def test_lines_of_a_written_table_are_read_as_the_csv_module_writes_them(tmp_path: Path) -> None:
    with (tmp_path / "a.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerows(
            [["name", "geom", "name"], ["a\tb", "POINT(1 2)", 1], ["", "POINT(3 4)", 'b"']]
        )
        file.write('c"d\tPOINT(1 2)\t""\n\tPOINT(1 2)\t""\n')
    assert values(open_source(tmp_path / "a.tsv")) == [
        {"name": "a\tb", "name_3": "1"},
        {"name_3": 'b"'},
        {"name": 'c"d', "name_3": ""},
        {"name_3": ""},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\na;lon;lat\n1;2;3\n",
        "SEP=|\r\na|lon|lat\r\n1|2|3\r\n",
        '"sep=;"\na;lon;lat\n1;2;3\n',
        "sep=:\na:lon:lat\n1:2:3\n",
        "\ufeffsep=,\na,lon,lat\n1,2,3\n",
        "a,decimalLongitude,decimalLatitude\n1,2,3\n",
        "a,stop_lat,stop_lon\n1,3,2\n",
        "a,shape_pt_lat,shape_pt_lon\n1,3,2\n",
    ],
)
def test_a_table_that_excel_darwin_core_or_gtfs_wrote_has_its_points(
    tmp_path: Path, text: str
) -> None:
    source = open_source(written(tmp_path / "a.csv", text))
    assert [column.name for column in source.schema.columns] == ["a"]
    assert source.schema.srid == 4326
    batch = next(iter(source.batches()))
    assert batch.properties == [b'{"a":1}']
    assert source.schema.features == 1


@pytest.mark.parametrize("name", ["a.xlsx", "a.ODS", "a.xls"])
def test_a_spreadsheet_is_refused_with_what_helps(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="save its sheet as CSV"):
        open_source(written(tmp_path / name, "PK"))


POINT_IN_JSON, LINE_IN_JSON = (
    '{"type": "Point", "coordinates": [1, 2, 3]}',
    '{"coordinates":[[1,2],[3,4]],"type":"LineString"}',
)
LINE_IN_3067 = LINE_IN_JSON[:-1] + ',"crs":{"type":"name","properties":{"name":"EPSG:3067"}}}'


def table_of(*rows: tuple[str, ...]) -> str:
    """A table of texts, with quotes where they are needed."""
    made = io.StringIO()
    csv.writer(made).writerows(rows)
    return made.getvalue()


@pytest.mark.parametrize("name", ["geojson", "geom", "ST_AsGeoJSON", "shape"])
def test_geojson_in_the_cells_of_a_table_is_its_geometry(tmp_path: Path, name: str) -> None:
    rows = (("n", name), ("1", POINT_IN_JSON), ("2", LINE_IN_JSON), ("3", ""), ("4", "POINT(5 6)"))
    source = open_source(written(tmp_path / "a.csv", table_of(*rows)))
    assert (source.schema.geometry_type, source.schema.has_z, source.schema.srid) == (
        "GEOMETRY",
        True,
        4326,
    )
    assert values(source) == [{"n": number} for number in (1, 2, 3, 4)]
    found = [shape and shape.wkt for shape in shapes(source)]
    assert found == ["POINT Z (1 2 3)", "LINESTRING Z (1 2 0, 3 4 0)", None, "POINT Z (5 6 0)"]


def test_geojson_in_a_table_is_in_the_crs_that_it_names_or_that_the_option_tells(
    tmp_path: Path,
) -> None:
    named = written(tmp_path / "a.csv", table_of(("geom",), (LINE_IN_3067,)))
    silent = written(tmp_path / "b.csv", table_of(("geom",), (LINE_IN_JSON,)))
    assert open_source(named).schema.srid == 3067
    assert open_source(silent, srid=3067).schema.srid == 3067
    with pytest.raises(SourceError, match="names EPSG:3067 as its CRS"):
        open_source(named, srid=4326)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('{"type":"Feature"}', "line 2: the geometry has no type of GeoJSON"),
        (
            '{"type":"Point","coordinates":[1,2]',
            "line 2: the geometry is not valid GeoJSON",
        ),
        (
            '{"type":"Point","coordinates":["1",2]}',
            "line 2: the geometry cannot be read: at /coordinates",
        ),
        (
            '{"type":"Point","coordinates":' + "[" * 100 + "]" * 100 + "}",
            "line 2: the geometry is nested deeper than 64",
        ),
    ],
)
def test_what_is_wrong_with_geojson_in_a_table_is_told_with_its_line(
    tmp_path: Path, cell: str, words: str
) -> None:
    path = written(tmp_path / "a.csv", table_of(("geom",), (cell,)))
    with pytest.raises(SourceError, match=re.escape(f"a.csv, {words}")):
        shapes(open_source(path))


def test_geojson_beside_the_geometry_of_a_table_stays_text_and_a_person_is_told(
    tmp_path: Path,
) -> None:
    source = open_source(
        written(tmp_path / "a.csv", table_of(("lon", "lat", "area"), ("1", "2", LINE_IN_JSON)))
    )
    assert values(source) == [{"area": LINE_IN_JSON}]
    told = "area stays text, though it holds GeoJSON: a column called geojson becomes the geometry"
    assert source.notes == (f"a.csv: {told}",)
