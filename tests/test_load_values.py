"""Values come out of the database as they stood in the file, or a person is told what was
changed, where and how often.
"""

import json
import re
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geosvc.sources import SourceError, open_source
from geosvc.sources.column_types import cell_kind, column_type
from tests.loading import ask, columns, load, refused
from tests.test_sources import collection, feature, listed, types, values, write_layer, written

# columns of a table of texts, each with the type that gives all of its cells back
CELLS: dict[str, tuple[str, list[str]]] = {
    "whole": ("integer", ["0", "-5", "2147483647"]),
    "large": ("bigint", ["1", "-9223372036854775808"]),
    "huge": ("numeric", ["1", "12345678901234567890"]),
    "plain": ("double precision", ["1", "2.5", "-0.1"]),
    "scaled": ("numeric", ["1.50", "1.0", "24.070"]),
    "precise": ("numeric", ["0.12345678901234567890123", "1"]),
    "large_and_parts": ("numeric", ["9007199254740993", "0.5"]),
    "far": ("numeric", ["1234567890123456.5", "1"]),
    "small": ("double precision", ["1e-05", "1.5e-07"]),
    "codes": ("text", ["1E5", "4E10"]),
    "exponents": ("text", ["1e5", "1"]),
    "mixed_exponents": ("text", ["1e-05", "1.50"]),
    "beyond": ("text", ["1e400", "1"]),
    "vanishing": ("text", ["1e-400", "1"]),
    "infinite": ("text", ["inf", "1"]),
    "infinite_too": ("text", ["-Infinity", "1.5"]),
    "missing": ("text", ["NaN", "1"]),
    "padded": ("text", ["00120", "1"]),
    "signed": ("text", ["+358", "1"]),
    "hexadecimal": ("text", ["0x10", "1"]),
    "spaced": ("text", [" 1", "1"]),
    "no_break": ("text", ["1\u00a0000", "1"]),
    "grouped": ("text", ["1'000", "1"]),
    "negative_zero": ("text", ["-0", "1"]),
    "negative_zero_point": ("text", ["-0.00", "1.5"]),
    "bare_point": ("text", [".5", "1"]),
    "ending_point": ("text", ["5.", "1"]),
    "underscored": ("text", ["1_000", "1"]),
    "other_digits": ("text", ["١٢", "1"]),
    "truth": ("boolean", ["true", "false"]),
    "capitals": ("text", ["TRUE", "false"]),
    "yes": ("text", ["yes", "no"]),
    "flags": ("integer", ["0", "1"]),
    "truth_and_numbers": ("text", ["true", "1"]),
    "days": ("date", ["2024-02-29", "0001-01-01"]),
    "no_day": ("text", ["2023-02-29", "2024-01-01"]),
    "short_days": ("text", ["2024-1-1", "2024-01-01"]),
    "finnish_days": ("text", ["29.2.2024", "1.1.2024"]),
    "american_days": ("text", ["02/29/2024", "01/01/2024"]),
    "compact_days": ("integer", ["20240229", "20240101"]),
    "times": ("text", ["10:00", "24:00"]),
    "midnight": ("text", ["2024-01-01T24:00:00Z", "2024-01-01T10:00:00Z"]),
    "leap": ("text", ["2016-12-31T23:59:60Z", "2024-01-01T10:00:00Z"]),
    "local": ("text", ["2024-01-01T10:00:00", "2024-01-01 10:00"]),
    "fine": ("text", ["2024-01-01T10:00:00.1234567Z", "2024-01-01T10:00:00Z"]),
    "json": ("text", ['{"b": 1, "a": 1}', "[1,  2]"]),
    "null_word": ("text", ["NULL", "1"]),
    "empty_and_number": ("text", ["", "1"]),
}


def quoted(cell: str) -> str:
    """A cell, in quotes."""
    return '"{}"'.format(cell.replace('"', '""'))


def table_of(cells: dict[str, list[str]]) -> str:
    """A table of texts with these columns."""
    rows = max(map(len, cells.values()))
    lines = [",".join([*cells, "lon", "lat"])]
    for row in range(rows):
        found = [quoted(each[row]) if row < len(each) else "" for each in cells.values()]
        lines += [",".join([*found, "1", "2"])]
    return "\n".join(lines) + "\n"


def test_cells_come_back_as_they_stood(bare_database_url: str, tmp_path: Path) -> None:
    given_cells = {name: cells for name, (_, cells) in CELLS.items()}
    load(bare_database_url, written(tmp_path / "a.csv", table_of(given_cells)))
    assert columns(bare_database_url) == {name: kind for name, (kind, _) in CELLS.items()}
    rows = [
        json.loads(text)
        for (text,) in ask(
            bare_database_url, "SELECT to_jsonb(t) - 'geom' FROM loaded t ORDER BY id"
        )
    ]
    texts = ask(
        bare_database_url,
        f"SELECT {', '.join(f'to_json({name})::text' for name in CELLS)} FROM loaded ORDER BY id",
    )
    for place, (name, cells) in enumerate(given_cells.items()):
        found = [
            rows[number][name] if CELLS[name][0] in ("text", "date") else texts[number][place]
            for number in range(len(rows))
        ]
        assert [each for each in found if each is not None] == cells, name


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.integers().map(str)
        | st.floats().map(str)
        | st.decimals(allow_nan=False).map(str)
        | st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
        min_size=1,
        max_size=4,
    )
)
def test_a_column_of_numbers_writes_each_as_it_stood(cells: list[str]) -> None:
    kinds = 0
    for cell in cells:
        kinds |= cell_kind(cell, kinds)
    kind = column_type(kinds)
    if kind in ("int4", "int8"):
        assert [str(int(cell)) for cell in cells] == cells
    elif kind == "float8":  # Python and PostgreSQL write the same, below 1e15
        assert [repr(float(cell)).removesuffix(".0") for cell in cells] == cells
    elif kind == "numeric":
        assert all(cell.lstrip("-").replace(".", "", 1).isdigit() for cell in cells)
        assert all(
            cell.lstrip("-").startswith(("0.", *"123456789")) or cell == "0" for cell in cells
        )
    else:
        assert kind == "text"


def test_numbers_of_geojson_keep_their_digits(bare_database_url: str, tmp_path: Path) -> None:
    rows = (
        '"geometryType":"esriGeometryPoint","id_no":12345678901234567890,"p":0.1234567890123456789,"e":1e400,"v":1e-400,'
        '"big":9007199254740993,"n":1,"late":1,"huge":%s,"o":{"b":[1.50]},"t":true,"d":-0.0'
        % ("9" * 400),
        '"geometryType":"x","id_no":1,"p":0.5,"e":1,"v":1,"big":0.5,"n":2,"late":2,"huge":1,"o":null,"t":1,"d":1.5',
    )
    features = [f'{{"type":"Feature","geometry":null,"properties":{{{row}}}}}' for row in rows]
    features[1:1] = ['{"type":"Feature","geometry":null,"properties":{"late":1}}'] * 1500
    features.append('{"type":"Feature","geometry":null,"properties":{"late":0.5}}')
    load(
        bare_database_url,
        written(
            tmp_path / "a.geojson",
            f'{{"type":"FeatureCollection","features":[{",".join(features)}]}}',
        ),
    )
    kinds = columns(bare_database_url)
    numeric = [name for name, kind in kinds.items() if kind == "numeric"]
    assert numeric == ["id_no", "p", "e", "v", "big", "huge"]
    assert (kinds["late"], kinds["n"], kinds["o"], kinds["t"]) == (
        "double precision",
        "integer",
        "jsonb",
        "text",
    )
    query = "SELECT id_no = 12345678901234567890, p::text, e = 1e400, v = 1e-400, big::text, huge::text, o::text, t FROM loaded"
    assert ask(bare_database_url, query + " WHERE id_no > 1") == [
        (
            True,
            "0.1234567890123456789",
            True,
            True,
            "9007199254740993",
            "9" * 400,
            '{"b": [1.50]}',
            "true",
        )
    ]


def test_geojson_is_told_from_other_json_by_its_own_members(tmp_path: Path) -> None:
    decoys = {
        "geometryType": "esriGeometryPoint",
        "type": "Topology",
        "spatialReference": {"wkid": 1},
        "n": 1 << 70,
    }
    own = open_source(written(tmp_path / "a.json", collection(feature(decoys))))
    assert values(own) == [decoys]
    esri = {
        "geometryType": "esriGeometryPoint",
        "spatialReference": {"wkid": 3067},
        "fields": [{"name": "n", "type": "esriFieldTypeInteger"}],
        "features": [{"attributes": {"n": 7}, "geometry": {"x": 385000, "y": 6672000}}],
    }
    read = open_source(written(tmp_path / "b.json", json.dumps(esri)))
    assert (read.schema.srid, values(read)[0]["n"]) == (3067, 7)


def test_of_what_is_changed_a_person_is_told_with_column_and_count(
    bare_database_url: str, tmp_path: Path
) -> None:
    lines = [
        "at,n,n,,code,lon,lat",
        "2024-01-01T10:00:00+02:00,1,1,1,1,1,2",
        "2024-01-01 10:00:00Z,1,1,1,2.5,1,2",
        "2024-01-01T10:00:00Z,1,1,1,1E5,1,2",
    ]
    path = written(tmp_path / "a.csv", "\n".join(lines))
    told = load(bare_database_url, path)
    assert "a.csv: at: 2 instants come back as the same instants in UTC" in told
    assert "a.csv: columns of the same name get the number of their place: n_3" in told
    assert "'' is 'column_4'" in told
    assert (
        "a.csv: code stays text, because '1E5' in line 4 would not come back as it stands: --types"
        " code=float8" in told
    )
    told = load(bare_database_url, path, "--replace", "--types", "CODE=float8,n=text,at=text")
    assert "stays text" not in told
    assert columns(bare_database_url) == {
        "at": "text",
        "n": "text",
        "n_3": "integer",
        "column_4": "integer",
        "code": "double precision",
    }
    assert ask(bare_database_url, "SELECT at, code FROM loaded ORDER BY id")[2] == (
        "2024-01-01T10:00:00Z",
        100000.0,
    )
    load(bare_database_url, path, "--replace", "--types", "*=text,n_3=bigint")
    assert set(columns(bare_database_url).values()) == {"text", "bigint"}


def test_a_note_about_instants_goes_by_the_type_that_they_get(
    bare_database_url: str, tmp_path: Path
) -> None:
    mixed = written(
        tmp_path / "a.csv", "at,lon,lat\n2024-01-01T10:00:00+02:00,1,2\n2024-01-01T10:00:00,1,2\n"
    )
    assert "instants" not in load(bare_database_url, mixed)
    geojson = written(tmp_path / "b.json", collection(feature({"at": "2024-01-01T10:00:00+02:00"})))
    for path in (mixed, geojson):
        for kind, words in (
            ("timestamp", "lose their zone"),
            ("date", "lose their time"),
            ("text", ""),
        ):
            told = load(bare_database_url, path, "--replace", "--types", f"at={kind}")
            assert f"at: 1 instants {words}" in told if words else "instants" not in told, (
                path,
                kind,
            )


def gml_of(cells: dict[str, list[str]]) -> str:
    """GML without a schema, of these fields."""
    member = (
        '<gml:featureMember><o:x><o:g><gml:Point srsName="EPSG:4326"><gml:pos>1 2</gml:pos></gml:Point></o:g>{}</o:x>'
        "</gml:featureMember>"
    )
    rows = max(map(len, cells.values()))
    texts = [
        "".join(f"<o:{name}>{own[row % len(own)]}</o:{name}>" for name, own in cells.items())
        for row in range(rows)
    ]
    head = '<o:FeatureCollection xmlns:o="http://ogr.maptools.org/" xmlns:gml="http://www.opengis.net/gml">'
    return head + "".join(map(member.format, texts)) + "</o:FeatureCollection>"


def test_values_of_gml_without_a_schema_come_back_as_they_stood(
    bare_database_url: str, tmp_path: Path
) -> None:
    given = {
        name: (kind, cells)
        for name, (kind, cells) in CELLS.items()
        if "" not in cells and cells == [c.strip() for c in cells]
    }
    path = written(tmp_path / "a.gml", gml_of({name: cells for name, (_, cells) in given.items()}))
    for _ in range(
        2
    ):  # GDAL leaves its guesses beside a file, and believes them when it reads that again
        load(bare_database_url, path, "--replace")
        assert columns(bare_database_url) == {name: kind for name, (kind, _) in given.items()}
    for name, (_, cells) in given.items():
        found = ask(bare_database_url, f"SELECT {name}::text FROM loaded ORDER BY id")
        assert [row[0] for row in found[: len(cells)]] == cells, name
    assert [each.name for each in tmp_path.iterdir()] == ["a.gml"]


@pytest.mark.parametrize("name", ["a.kml", "a.json", "b.json"])
def test_of_numbers_that_gdal_makes_smaller_a_person_is_told(tmp_path: Path, name: str) -> None:
    kml = (
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><Schema id="s"><SimpleField name="n" type="int"/></Schema>'
        '<Placemark><ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="n">5000000000</SimpleData></SchemaData>'
        "</ExtendedData><Point><coordinates>1,2</coordinates></Point></Placemark></Document></kml>"
    )
    member = {"type": "Point", "coordinates": [1, 2], "properties": {"n": 1 << 64}}
    topology = {
        "type": "Topology",
        "arcs": [],
        "objects": {"a": {"type": "GeometryCollection", "geometries": [member]}},
    }
    esri = {
        "geometryType": "esriGeometryPoint",
        "spatialReference": {"wkid": 4326},
        "fields": [{"name": "n", "type": "esriFieldTypeInteger"}],
        "features": [{"attributes": {"n": 5_000_000_000}, "geometry": {"x": 1, "y": 2}}],
    }
    texts_of = {"a.kml": kml, "a.json": json.dumps(topology), "b.json": json.dumps(esri)}
    source = open_source(written(tmp_path / name, texts_of[name]))
    values(source)
    assert [note for note in source.notes if re.search(r"n: 1 numbers are \d+ or beyond", note)], (
        source.notes
    )


def test_a_type_that_does_not_take_a_value_is_refused_with_its_place(
    bare_database_url: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.csv", 'a,b,lon,lat\n1,"",1,2\n\n"x\ny",2,1,2\n')
    said = refused(bare_database_url, path, "--types", "a=int,b=int")
    assert said.startswith("a.csv, line 4: a ")
    geojson = written(tmp_path / "a.geojson", collection(feature({"a": 1}), feature({"a": "x"})))
    assert refused(bare_database_url, geojson, "--types", "a=date").startswith(
        "a.geojson: feature 0: a "
    )
    assert "the files have no column c; available: a" in refused(
        bare_database_url, geojson, "--types", "c=date"
    )
    for wrong in ("a=colour", "a", "=text", ""):
        assert "--types" in load(bare_database_url, geojson, "--types", wrong, status=2)
    assert "--encoding" in load(bare_database_url, geojson, "--encoding", "klingon", status=2)
    assert "--encoding" in load(bare_database_url, geojson, "--encoding", "base64", status=2)


ENCODINGS = [
    ("windows-1252", "€Ä"),
    ("latin-1", "Ä"),
    ("utf-16", "Ä€"),
    ("utf-16-be", "Ä"),
    ("utf-32", "Ä"),
    ("cp850", "Ä"),
]


@pytest.mark.parametrize(
    ("encoding", "text"), [*ENCODINGS, ("cp1251", "Привет"), ("shift_jis", "日本")]
)
def test_texts_of_any_encoding_are_read_when_it_is_told(
    tmp_path: Path, encoding: str, text: str
) -> None:
    contents = {
        "a.geojson": json.dumps(feature({"n": text}), ensure_ascii=False),
        "b.geojsonl": json.dumps(feature({"n": text}), ensure_ascii=False) + "\n",
        "c.csv": f"n,lon,lat\n{text},1,2\n",
    }
    for name, content in contents.items():
        path = written(tmp_path / name, content.encode(encoding))
        assert values(open_source(path, encoding=encoding)) == [{"n": text}]
        if encoding in ("utf-16", "utf-32"):  # which begin with a mark
            assert values(open_source(path)) == [{"n": text}]


def shapefile(path: Path, text: bytes, language: int, code_page: str | None) -> Path:
    """A shapefile whose only text has these bytes."""
    write_layer(
        path,
        [shapely.Point(1, 2)],
        {"n": np.array(["#" * len(text)], dtype=object)},
        geometry_type="Point",
    )
    table = path.with_suffix(".dbf")
    content = bytearray(table.read_bytes().replace(b"#" * len(text), text))
    content[29] = language
    table.write_bytes(content)
    path.with_suffix(".cpg").unlink(missing_ok=True)
    if code_page is not None:
        path.with_suffix(".cpg").write_text(code_page)
    return path


@pytest.mark.parametrize(
    ("text", "language", "code_page", "found"),
    [
        (b"\x80 \xc4", 0, None, "€ Ä"),
        (b"\x80 \xc4", 0x57, None, "€ Ä"),
        (b"\x80 \xc4", 0x03, None, "€ Ä"),
        (b"\x80 \xc4", 0, "ISO-8859-1", "€ Ä"),
        (b"\x80 \xc4", 0, "1252", "€ Ä"),
        ("€ Ä".encode(), 0, None, "€ Ä"),
        ("€ Ä".encode(), 0, "UTF-8", "€ Ä"),
        (b"\x8e", 0x02, None, "Ä"),
        (b"\xcf\xf0", 0xC9, None, "Пр"),
        (b"plain", 0, None, "plain"),
        (b"\x80 \xc4", 0, "no-such-name", "€ Ä"),
        ("€ Ä".encode(), 0x57, None, "€ Ä"),
    ],
)
def test_texts_of_shapefiles_are_read_in_their_encoding(
    tmp_path: Path, text: bytes, language: int, code_page: str | None, found: str
) -> None:
    assert values(open_source(shapefile(tmp_path / "a.shp", text, language, code_page))) == [
        {"n": found}
    ]


def test_the_encoding_of_a_shapefile_is_a_guess_that_is_told_and_can_be_put_right(
    tmp_path: Path,
) -> None:
    path = shapefile(tmp_path / "a.shp", b"\xcf\xf0", 0, None)
    assert open_source(path).notes == (
        (
            "a.shp: does not name the encoding of its texts: windows-1252 is assumed, --encoding"
            " names another"
        ),
    )
    told = open_source(path, encoding="cp1251")
    assert (values(told), told.notes) == ([{"n": "Пр"}], ())


def times_of(path: Path, driver: str, days: list[str]) -> dict[str, Any]:
    """The type of a layer's times, and the first."""
    write_layer(
        path, [shapely.Point(1, 2)], {"at": np.array(days, "datetime64[ms]")}, driver=driver
    )
    source = open_source(path)
    return {**types(source.schema), "first": values(source)[0]["at"]}


def test_times_without_a_zone_stay_without_one(tmp_path: Path) -> None:
    days = ["2024-02-29T10:11:12"]
    naive = {"at": "timestamp", "first": "2024-02-29T10:11:12"}
    assert times_of(tmp_path / "a.fgb", "FlatGeobuf", days) == naive
    assert times_of(tmp_path / "a.gpkg", "GPKG", days) == {
        "at": "timestamptz",
        "first": "2024-02-29T10:11:12Z",
    }


def test_floats_of_layers_keep_what_json_has_no_number_for(
    bare_database_url: str, tmp_path: Path
) -> None:
    fields = {"r": np.array([np.inf, -np.inf, 0.1]), "f": np.array([0.1, 1e30, 1.5], "float32")}
    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(1, 2)] * 3, fields)
    load(bare_database_url, path)
    found = ask(bare_database_url, "SELECT r::text, f::text FROM loaded ORDER BY id")
    assert found == [("Infinity", "0.1"), ("-Infinity", "1e+30"), ("0.1", "1.5")]
    assert listed(open_source(path).schema) == "r float8, f float4"


@pytest.mark.parametrize("day", [b"20241399", b"20240230", b"abcdefgh", b"99999999"])
def test_a_day_that_no_calendar_has_leaves_a_column_of_texts(tmp_path: Path, day: bytes) -> None:
    days = np.array(["2024-01-01", "2024-05-06", "NaT"], "datetime64[D]")
    path = write_layer(
        tmp_path / "a.shp", [shapely.Point(1, 2)] * 3, {"d": days, "n": days}, geometry_type="Point"
    )
    table = path.with_suffix(".dbf")
    table.write_bytes(table.read_bytes().replace(b"20240506", day, 1))
    source = open_source(path)
    assert listed(source.schema) == "d text, n date"
    found = values(source)
    assert [row["d"] for row in found][::2] == ["2024-01-01", None]
    assert [row["n"] for row in found] == ["2024-01-01", "2024-05-06", None]
    assert any("d stays text, because feature 1 has" in note for note in source.notes)


Cell = tuple[str, int, int, list[bytes], str, list[Any]]
# cells of a DBF (type, width, decimals), the type of their column, and what comes out
DBF_CELLS: list[Cell] = [
    ("N", 6, 0, [b" 12abc", b"     7"], "text", ["12abc", "7"]),
    ("N", 6, 0, [b"   1.5", b"    -7"], "text", ["1.5", "-7"]),
    ("N", 6, 2, [b"  1,50", b"  2.50"], "text", ["1,50", "2.50"]),
    ("N", 6, 2, [b"1.2.3 ", b""], "text", ["1.2.3", None]),
    ("N", 6, 2, [b"  1.50", b"-2.5  "], "float8", [1.5, -2.5]),
    ("N", 6, 0, [b"******", b"7     "], "int4", [None, 7]),
    ("F", 12, 3, [b"1.5e+02", b"inf"], "text", ["1.5e+02", "inf"]),
    ("F", 12, 3, [b"1.5e+02", b"+2"], "float8", [150.0, 2.0]),
    (
        "N",
        20,
        0,
        [b"9007199254740993", b"+9223372036854775807", b"-1"],
        "int8",
        [2**53 + 1, 2**63 - 1, -1],
    ),
    (
        "N",
        25,
        0,
        [b"1234567890123456789012345", b"", b"007", b"*" * 25],
        "numeric",
        [1234567890123456789012345, None, 7, None],
    ),
    ("N", 20, 0, [b"9007199254740992", b"1"], "float8", [2.0**53, 1.0]),
    ("N", 20, 0, [b"9007199254740993", b"1.5"], "text", ["9007199254740993", "1.5"]),
    ("L", 1, 0, [b"x", b"T"], "text", ["x", "T"]),
    ("L", 1, 0, [b" ", b"y"], "bool", [None, True]),
    ("L", 1, 0, [b"?", b"F"], "bool", [None, False]),
    ("D", 8, 0, [b"2024-1-1", b"20240229"], "text", ["2024-1-1", "2024-02-29"]),
    ("D", 8, 0, [b"1.1.24", b"00000000"], "text", ["1.1.24", None]),
]


def dbf_of(path: Path, cells: Cell, deleted: int = 0) -> Path:
    """A shapefile whose table has one column `v`; every record of which `deleted` divides the
    number is deleted.
    """
    kind, width, decimals, rows, *_ = cells
    write_layer(
        path, [shapely.Point(1, 2)] * len(rows), {"n": np.arange(len(rows))}, geometry_type="Point"
    )
    head = struct.pack("<4BIHH20x", 3, 124, 1, 1, len(rows), 65, width + 1)
    head += struct.pack("<11sc4xBB14x", b"v", kind.encode(), width, decimals)
    marks = [b"*" if deleted and number % deleted == 0 else b" " for number in range(len(rows))]
    records = b"".join(mark + row.ljust(width) for mark, row in zip(marks, rows, strict=True))
    path.with_suffix(".dbf").write_bytes(head + b"\r" + records + b"\x1a")
    return path


@pytest.mark.parametrize("cells", DBF_CELLS, ids=lambda cells: f"{cells[0]}-{cells[3]}")
def test_cells_of_a_dbf_come_back_as_they_stood(tmp_path: Path, cells: Cell) -> None:
    source = open_source(dbf_of(tmp_path / "a.shp", cells))
    assert types(source.schema) == {"v": cells[4]}
    assert [row["v"] for row in values(source)] == cells[5]
    assert [note for note in source.notes if "v stays text" in note] or cells[4] != "text"


@pytest.mark.parametrize("deleted", [2, 7, 100])
def test_deleted_records_of_a_dbf_are_left_out_and_no_other_is_doubled(
    tmp_path: Path, deleted: int
) -> None:
    rows = [b"%d" % number for number in range(2500)]
    kept = [number for number in range(2500) if number % deleted]
    source = open_source(dbf_of(tmp_path / "a.shp", ("N", 6, 0, rows, "int4", []), deleted))
    assert [row["v"] for row in values(source)] == kept
    odd = open_source(
        dbf_of(
            tmp_path / "b.shp", ("N", 6, 0, [*rows[:2497], b"x", *rows[2498:]], "text", []), deleted
        )
    )
    assert [row["v"] for row in values(odd)] == [
        "x" if number == 2497 else str(number) for number in kept
    ]


SQLITE_CELLS: list[tuple[str, list[object], str, list[object]]] = [
    ("INTEGER", ["abc", 2], "text", ["abc", "2"]),
    ("INTEGER", [2.5, None], "text", ["2.5", None]),
    ("MEDIUMINT", [1, None], "int4", [1, None]),
    ("DOUBLE", ["1,5", 2.5], "text", ["1,5", "2.5"]),
    ("DOUBLE", [1, 2.5], "float8", [1.0, 2.5]),
    ("BOOLEAN", ["yes", 1], "text", ["yes", "1"]),
    ("BOOLEAN", [0, None], "bool", [False, None]),
    ("DATE", ["28.2.2024", "2024-02-28"], "text", ["28.2.2024", "2024-02-28"]),
    ("DATE", ["2024-02-29", None], "date", ["2024-02-29", None]),
    (
        "DATETIME",
        ["2024-01-01T10:00:00.123456Z", None],
        "timestamptz",
        ["2024-01-01T10:00:00.123456Z", None],
    ),
    ("DATETIME", ["2024-01-01T10:00:00.1234567Z"], "text", ["2024-01-01T10:00:00.1234567Z"]),
    (
        "DATETIME",
        ["2024-01-01T10:00:00.123456Z", "now"],
        "text",
        ["2024-01-01T10:00:00.123456Z", "now"],
    ),
]


@pytest.mark.parametrize(("kind", "cells", "type_", "found"), SQLITE_CELLS)
def test_cells_of_a_geopackage_come_back_whatever_its_column_is_called(
    tmp_path: Path, kind: str, cells: list[object], type_: str, found: list[object]
) -> None:
    path = write_layer(tmp_path / 'a "b.gpkg', [shapely.Point(1, 2)] * len(cells))
    with closing(sqlite3.connect(path)) as database:
        table, key = database.execute("SELECT table_name, 'fid' FROM gpkg_contents").fetchone()
        quoted = '"' + table.replace('"', '""') + '"'
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute('DROP TRIGGER "' + trigger.replace('"', '""') + '"')
        database.execute(f"ALTER TABLE {quoted} ADD v {kind}")
        for number, cell in enumerate(cells, 1):
            database.execute(f"UPDATE {quoted} SET v = ? WHERE {key} = ?", (cell, number))
        database.commit()
    source = open_source(path)
    assert types(source.schema)["v"] == type_
    assert [row["v"] for row in values(source)] == found
    assert [note for note in source.notes if "v stays text" in note] or type_ != "text"


def test_whole_numbers_of_a_dbf_keep_their_digits(tmp_path: Path) -> None:
    numbers = np.array([123456789012345678, -1])
    path = write_layer(
        tmp_path / "a.shp", [shapely.Point(1, 2)] * 2, {"n": numbers}, geometry_type="Point"
    )
    assert values(open_source(path)) == [{"n": 123456789012345678}, {"n": -1}]


def test_a_text_in_another_encoding_is_named_with_feature_and_field(tmp_path: Path) -> None:
    names = np.array(["good", "#", "good"], dtype=object)
    path = write_layer(
        tmp_path / "a.shp",
        [shapely.Point(1, 2)] * 3,
        {"m": names, "n": names},
        geometry_type="Point",
    )
    table = path.with_suffix(".dbf")
    before, at, behind = table.read_bytes().rpartition(b"#")
    table.write_bytes(before + b"\xe4" + behind)
    path.with_suffix(".cpg").write_text("UTF-8")
    with pytest.raises(
        SourceError, match=r"^a\.shp: feature 1: n is not UTF-8: name its encoding with --encoding"
    ):
        values(open_source(path))
    assert values(open_source(path, encoding="cp437"))[1] == {"m": at.decode(), "n": "Σ"}


@pytest.mark.parametrize(
    "name",
    [
        "latin-1",
        "L1",
        "iso-8859-15",
        "windows-1252",
        "cp437",
        "koi8-r",
        "shift_jis",
        "euc_jp",
        "gbk",
    ],
)
def test_an_encoding_of_a_shapefile_has_any_name_that_python_knows(
    tmp_path: Path, name: str
) -> None:
    text = {"cp437": "Ä", "koi8-r": "Пр", "shift_jis": "日本", "euc_jp": "日本", "gbk": "中文"}.get(
        name, "Ä"
    )
    path = shapefile(tmp_path / "a.shp", text.encode(name), 0, None)
    assert values(open_source(path, encoding=name)) == [{"n": text}]


def test_an_encoding_is_not_for_files_that_have_one_by_their_format(tmp_path: Path) -> None:
    path = write_layer(
        tmp_path / "a.gpkg", [shapely.Point(1, 2)], {"n": np.array(["Ä"], dtype=object)}
    )
    source = open_source(path, encoding="latin-1")
    assert (values(source), source.notes) == (
        [{"n": "Ä"}],
        ("a.gpkg: its texts are UTF-8, as in all files of its kind: --encoding is for others",),
    )


def test_of_digits_of_a_dbf_that_are_lost_a_person_is_told(tmp_path: Path) -> None:
    path = write_layer(
        tmp_path / "a.shp",
        [shapely.Point(1, 2)] * 2,
        {"n": np.array([1e22, 0.5])},
        geometry_type="Point",
    )
    source = open_source(path)
    assert values(source)[1] == {"n": 0.5}
    assert source.notes == (
        "a.shp: n: 1 numbers are so long that only 15 of their digits are read",
    )
