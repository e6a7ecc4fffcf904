"""What is loaded though it is unusual, and what is refused in one line that names file, place and
way out.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from geosvc.commands.load import load_files
from geosvc.commands.load_options import LoadOptions
from geosvc.errors import StartError
from geosvc.sources import SourceError, open_source
from tests.conftest import settings_for
from tests.loading import ask, columns, exists, load, refused
from tests.test_sources import collection, feature, texts, values, write_layer, written

ONE = collection(feature({"n": 1}))
TABLE = "n,lon,lat\n1,25.5,60.25\n"


def zipped(path: Path, **files: str | bytes) -> Path:
    """A zip; of a name, `__` is a slash and the last `_` a point."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(".".join(name.replace("__", "/").rsplit("_", 1)), content)
    return written(path, made.getvalue())


def layered(folder: Path, within: str) -> bytes:
    """A zip of a shapefile, its parts in capitals."""
    path = write_layer(
        folder / "a.shp", [shapely.Point(25.5, 60.25)], {"n": np.array([1])}, geometry_type="Point"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for part in sorted(folder.glob("a.*")):
            archive.write(part, f"{within}{part.name.upper()}")
            part.unlink()
    assert not path.exists()
    return made.getvalue()


def test_a_zip_of_anything_is_read(tmp_path: Path) -> None:
    archives = [
        zipped(tmp_path / "b.zip", folder__a_geojson=ONE),
        zipped(tmp_path / "c.ZIP", deep__er__a_csv=TABLE, deep__readme_txt="hello"),
        zipped(tmp_path / "d.zip", a_geojsonl=ONE.replace("\n", ""), __MACOSX__a_geojson="rubbish"),
        written(tmp_path / "e.zip", layered(tmp_path, "folder/")),
        written(tmp_path / "f.Zip", layered(tmp_path, "")),
        zipped(
            tmp_path / "g.zip", inner_zip=zipped(tmp_path / "x.zip", a_geojson=ONE).read_bytes()
        ),
        zipped(tmp_path / "h.zip", a_geojson=ONE, notes_csv="a,b\n1,2\n"),
    ]
    for archive in archives:
        if archive.name != "d.zip":
            assert texts(open_source(archive)) == ["4326;POINT (25.5 60.25)"], archive.name
            assert [row["n"] for row in map(lower, values(open_source(archive)))] == [1]


def lower(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its names in small letters."""
    return {name.lower(): value for name, value in row.items()}


def test_of_several_files_in_a_zip_one_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", x__one_geojson=ONE, two_geojson=ONE)
    with pytest.raises(
        SourceError,
        match=r"^a\.zip: holds several files, choose one by --layer: x/one\.geojson, two\.geojson",
    ):
        open_source(path)
    for layer in ("one", "ONE", "x/one.geojson", "two.geojson"):
        assert open_source(path, layer=layer).schema.features == 1
    with pytest.raises(SourceError, match="choose one by --layer"):
        open_source(path, layer="three")


def test_archives_of_darwin_core_and_gtfs_are_read(tmp_path: Path) -> None:
    table = "n\tdecimalLatitude\tdecimalLongitude\n1\t60.25\t25.5\n"
    core = zipped(
        tmp_path / "dwca.zip", occurrence_txt=table, meta_xml="<archive/>", eml_xml="<eml/>"
    )
    feed = zipped(
        tmp_path / "gtfs.zip",
        agency_txt="agency_id\n1\n",
        readme_txt="hello",
        stops_txt="n,stop_lat,stop_lon\n1,60.25,25.5\n",
    )
    for source in (open_source(core), open_source(feed, layer="stops")):
        assert texts(source) == ["4326;POINT (25.5 60.25)"]
        assert values(source) == [{"n": 1}]
    with pytest.raises(SourceError, match=r"choose one by --layer: agency\.txt, stops\.txt"):
        open_source(feed)


def test_what_is_no_archive_of_features_is_named(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "x.zip", a_geojson=ONE).read_bytes()
    for _ in range(4):
        inner = zipped(tmp_path / "x.zip", inner_zip=inner).read_bytes()
    wrong = {
        written(tmp_path / "a.zip", b""): "is no zip archive",
        written(
            tmp_path / "b.zip", zipped(tmp_path / "y.zip", a_geojson=ONE).read_bytes()[:-30]
        ): "is no zip archive, or corrupt or cut off",
        zipped(tmp_path / "c.zip"): "holds no file of features",
        zipped(tmp_path / "d.zip", readme_txt="hello"): "holds no file of features",
        written(tmp_path / "e.zip", inner): "archives within archives",
        written(tmp_path / "f.tar.gz", b"x"): "unpack it",
        written(tmp_path / "g.gpkg.gz", b"\x1f\x8brubbish"): "corrupt or cut off",
        written(tmp_path / "h.unknown", b"hello"): "is of no kind that can be read",
        written(
            tmp_path / "i.gpkg", b"SQLite format 3\0" + bytes(100)
        ): "is of no kind that can be read, or corrupt",
        written(
            tmp_path / "j.parquet", b"PAR1" + bytes(100) + b"PAR1"
        ): "is of no kind that can be read, or corrupt",
        written(
            tmp_path / "k.txt", b"hello\n"
        ): "no column is called wkt, geom, geometry or geojson, nor two lon and lat",
        tmp_path: "is a folder",
    }
    for path, problem in wrong.items():
        with pytest.raises(SourceError, match=rf"^{path.name}: .*{problem}"):
            open_source(path)


def test_a_file_of_gdal_may_be_compressed(tmp_path: Path) -> None:
    import gzip

    path = write_layer(tmp_path / "a.gpkg", [shapely.Point(1, 2)])
    assert texts(
        open_source(written(tmp_path / "b.gpkg.gz", gzip.compress(path.read_bytes())))
    ) == ["4326;POINT (1 2)"]


TABLES = {
    "a stray quote": ('n\tlon\tlat\n"abc\t1\t2\nx"y\t1\t2\n', ['"abc', 'x"y']),
    "quotes that match": ('n\tlon\tlat\n"a\tb"\t1\t2\n"c""d"\t1\t2\n', ["a\tb", 'c"d']),
    "an inch": ('n\tlon\tlat\n5" pipe\t1\t2\n"6"" pipe"\t1\t2\n', ['5" pipe', '6" pipe']),
    "a quote before more": ('n\tlon\tlat\n"big" one\t1\t2\nb\t1\t2\n', ['"big" one', "b"]),
    "a quote that takes lines": ('n\tlon\tlat\n"a\t1\t2\nb"\t1\t2\n', ['"a', 'b"']),
    "carriage returns": ("n;lon;lat\ra;1;2\rb;1;2\r", ["a", "b"]),
    "a byte order mark": ("\ufeffn|lon|lat\na|1|2\nb|1|2\n", ["a", "b"]),
    "empty lines": ("\n\nn,lon,lat\n\na,1,2\n\nb,1,2\n\n", ["a", "b"]),
    "header only": ("n,lon,lat\n", []),
}


@pytest.mark.parametrize("kind", TABLES)
def test_dialects_of_tables_are_read(tmp_path: Path, kind: str) -> None:
    content, found = TABLES[kind]
    source = open_source(written(tmp_path / "a.tsv", content))
    assert [row["n"] for row in values(source)] == found


WRONG_TABLES = {
    'n,lon,lat\n"a"b,1,2\n': ", line 2: .* quotation mark",
    'n,lon,lat\na,1,2\n"b,1,2\nc,1,2\n': ", line 3: .* quotation mark",
    "n,lon,lat\na,1\n": ", line 2: has 2 cells, and the header 3",
    "n,lon,lat\na,1,2,3,4\n": ", line 2: has 5 cells",
    "n,lon,lat\na,24,5,60\n": ", line 2: has 4 cells",
    "n;lon;lat\na;24,5;60\n": ", line 2: lon is not a number: '24,5'",
    "": ": is empty",
    "\n\n": ": is empty",
    "name,east,north\na,1,2\n": ": no column is called wkt.* name, east, north",
}


@pytest.mark.parametrize("content", WRONG_TABLES)
def test_what_is_wrong_in_a_table_is_told_with_its_line(tmp_path: Path, content: str) -> None:
    with pytest.raises(SourceError, match=rf"^a\.csv{WRONG_TABLES[content]}"):
        values(open_source(written(tmp_path / "a.csv", content)))


LATIN = json.dumps(feature({"n": "Ä"}), ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("c.geojsonl", f"{json.dumps(feature({}))}\n{LATIN}\n", "feature 1"),
        ("d.json", LATIN.replace(",", ",\n"), "feature 0"),
        (
            "e.geojson",
            f'{{"type":"FeatureCollection","features":[{json.dumps(feature({}))},{LATIN}]}}',
            "feature 1",
        ),
        (
            "f.geojson",
            f'{{"type":"FeatureCollection","name":"Ä","features":[{json.dumps(feature({}))}]}}',
            "",
        ),
        ("g.csv", "n,lon,lat\na,1,2\nÄ,1,2\n", "line 3"),
    ],
)
def test_a_file_in_another_encoding_is_named_with_the_way_out(
    tmp_path: Path, name: str, content: str, place: str
) -> None:
    path = written(tmp_path / name, content.encode("latin-1"))
    with pytest.raises(
        SourceError, match=rf"^{name}.*{place}.* is not UTF-8: name its encoding with --encoding"
    ):
        open_source(path)
    assert open_source(path, encoding="latin-1").schema.features


FEATURE = feature({"id": 7, "NAME": "n"})
GEOMETRY = "geom geometry(Point, 4326)"
# what there is, and what becomes of (id, name)
APPENDED = {
    f"id int PRIMARY KEY, name text, {GEOMETRY}": [(7, "n")],
    f"id serial PRIMARY KEY, name text, {GEOMETRY}": [(7, "n")],
    f"id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text, {GEOMETRY}": [(7, "n")],
    f"id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, {GEOMETRY}": [(1, "n")],
    f"id int PRIMARY KEY, name text GENERATED ALWAYS AS ('x') STORED, {GEOMETRY}": [(7, "x")],
    f'fid serial PRIMARY KEY, "Id" text, "NAME" text, {GEOMETRY}': [("7", "n")],
    f'id int PRIMARY KEY, "NAME" text, name text, {GEOMETRY}': [(7, "n")],
}


@pytest.mark.parametrize("there", APPENDED)
def test_columns_of_a_table_that_is_there_are_found(
    bare_database_url: str, tmp_path: Path, there: str
) -> None:
    ask(bare_database_url, f"CREATE TABLE loaded ({there})")
    told = load(bare_database_url, written(tmp_path / "a.geojson", collection(FEATURE)), "--append")
    names = '"Id", "NAME"' if '"Id"' in there else 'id, "NAME"' if '"NAME"' in there else "id, name"
    assert ask(bare_database_url, f"SELECT {names} FROM loaded") == APPENDED[there]
    assert ("only the database gives values" in told) == ("ALWAYS" in there)


NOT_APPENDED = {
    f'id int PRIMARY KEY, name text, "Name" text, {GEOMETRY}': "NAME may be any of the columns that public.loaded has: name",
    f"id int PRIMARY KEY, {GEOMETRY}": "public.loaded has no column NAME; available: id",
    f"id uuid PRIMARY KEY, name text, {GEOMETRY}": "a.geojson: feature 0: id takes",
    f"id int PRIMARY KEY, name char(1) CHECK (name < 'a'), {GEOMETRY}": "a.geojson: feature 0: ",
    f"id int PRIMARY KEY, name text, other int NOT NULL, {GEOMETRY}": "a.geojson: feature 0: ",
    "id int, name text": "is not a table with a geometry column",
    "id int PRIMARY KEY, name text, geom geometry(PointM, 4326)": "takes measures (M) in its geometries",
}


@pytest.mark.parametrize("there", NOT_APPENDED)
def test_what_a_table_that_is_there_does_not_take_is_named(
    bare_database_url: str, tmp_path: Path, there: str
) -> None:
    ask(bare_database_url, f"CREATE TABLE loaded ({there})")
    assert NOT_APPENDED[there] in refused(
        bare_database_url, written(tmp_path / "a.geojson", collection(FEATURE)), "--append"
    )
    assert ask(bare_database_url, "SELECT count(*) FROM loaded") == [(0,)]


def test_two_properties_for_one_column_are_refused(bare_database_url: str, tmp_path: Path) -> None:
    ask(bare_database_url, f"CREATE TABLE loaded (id int PRIMARY KEY, name text, {GEOMETRY})")
    path = written(tmp_path / "a.geojson", collection(feature({"NAME": "a", "Name": "b"})))
    assert "NAME and Name are both for the column name" in refused(
        bare_database_url, path, "--append"
    )


def test_the_same_file_is_appended_to_the_table_that_was_made_of_it(
    bare_database_url: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "a.geojson", collection(feature({"id": 7, "geom": "x", "ctid": "y"})))
    load(bare_database_url, path)
    load(bare_database_url, path, "--append")
    assert ask(bare_database_url, "SELECT id, id_1, geom_1, ctid_1 FROM loaded") == [
        (1, 7, "x", "y"),
        (2, 7, "x", "y"),
    ]


def test_more_properties_than_a_table_has_columns_go_into_one_object(
    bare_database_url: str, tmp_path: Path
) -> None:
    many = written(
        tmp_path / "a.geojson",
        collection(feature({f"p{number}": number for number in range(2000)})),
    )
    assert "2000 properties" in (said := refused(bare_database_url, many))
    assert said.endswith("--json properties keeps all properties in one column")
    wide = written(
        tmp_path / "b.geojson",
        collection(feature({f"p{number}": 1 << 40 for number in range(1500)})),
    )
    assert "b.geojson: feature 0: " in (said := refused(bare_database_url, wide))
    assert "--json properties" in said
    assert not exists(bare_database_url)
    load(bare_database_url, many, "--json", "properties")
    assert columns(bare_database_url) == {"properties": "jsonb"}
    load(bare_database_url, many, wide, "--json", "properties", "--append")
    assert ask(bare_database_url, "SELECT properties->>'p1499' FROM loaded ORDER BY id")[2] == (
        str(1 << 40),
    )
    assert "no column other" in refused(bare_database_url, many, "--json", "other", "--append")
    for taken in ("geom", "id", "ctid", "", "x" * 64):
        assert "--json: a column cannot be called" in refused(
            bare_database_url, many, "--json", taken, "--replace"
        )


@pytest.mark.parametrize("name", ["a.geojson", "a.csv"])
def test_a_ring_that_postgis_does_not_store_is_named(
    bare_database_url: str, tmp_path: Path, name: str
) -> None:
    ring = [[1, 2], [3, 4], [1, 2]]
    geojson = collection(feature({}), feature({}, {"type": "Polygon", "coordinates": [ring]}))
    csv = (
        'wkt\nSRID=4326;POINT(1 2)\n"SRID=4326;MULTIPOLYGON(((0 0,9 0,9 9,0 0)),((1 2,3 4,1 2)))"\n'
    )
    said = refused(bare_database_url, written(tmp_path / name, csv if name == "a.csv" else geojson))
    assert said.startswith("a.csv, line 3: " if name == "a.csv" else "a.geojson: feature 1: ")
    assert "a ring of fewer than 4 positions" in said


PLACES = {
    "a_view": "public.a_view is a view, which --replace does not drop",
    "a_materialized_view": "is a materialized view",
    "a_sequence": "is a sequence",
    "a_type": "is a type",
    "nowhere.a": "the schema nowhere does not exist",
    "a.b.c": "the schema a.b does not exist",
    "": "is not a name of a table",
    "public.": "is not a name of a table",
    ".a": "is not a name of a table",
    "ä" * 32: "is not a name of a table",
    "pg_catalog.a": "needs CREATE on the schema",
    "depended_on": "views or other tables depend on the table",
}


def test_a_name_that_is_no_table_is_refused(bare_database_url: str, tmp_path: Path) -> None:
    ask(
        bare_database_url,
        "CREATE VIEW a_view AS SELECT 1 AS n; CREATE MATERIALIZED VIEW a_materialized_view AS"
        " SELECT 1 AS n;"
        " CREATE SEQUENCE a_sequence; CREATE TYPE a_type AS (a int); CREATE TABLE depended_on (a"
        " int);"
        " CREATE VIEW depending AS SELECT a FROM depended_on",
    )
    path = written(tmp_path / "a.geojson", ONE)
    for name, problem in PLACES.items():
        assert problem in refused(bare_database_url, path, "--collection", name, "--replace"), name


def test_a_file_that_changes_while_it_is_read_is_refused(
    bare_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "a.geojson", ONE)

    def open_and_change(*arguments: Any) -> Any:
        source = open_source(*arguments)
        written(path, collection(feature({"n": 2}), feature({"m": 3})))
        return source

    monkeypatch.setattr("geosvc.commands.load.open_source", open_and_change)
    assert "a.geojson: was changed while it was read; nothing was stored" in refused(
        bare_database_url, path
    )
    assert not exists(bare_database_url)


def test_a_file_that_is_not_there_is_refused_from_python_too(
    bare_database_url: str, tmp_path: Path
) -> None:
    with pytest.raises(StartError, match=r"a\.geojson: No such file"):
        load_files(settings_for(bare_database_url), LoadOptions([tmp_path / "a.geojson"], "loaded"))


@pytest.mark.parametrize("missing", [".dbf", ".shx", ".shp"])
def test_a_shapefile_without_one_of_its_parts(tmp_path: Path, missing: str) -> None:
    path = write_layer(tmp_path / "a.shp", [shapely.Point(1, 2)], geometry_type="Point")
    path.with_suffix(missing).unlink()
    if missing == ".dbf":  # its attributes alone
        assert texts(open_source(path)) == ["4326;POINT (1 2)"]
        return
    with pytest.raises(SourceError, match=r"^a\.shp: ") as refusal:
        open_source(path)
    assert missing in str(refusal.value) or missing != ".shx"
    assert "config option" not in str(refusal.value)
    assert str(tmp_path) not in str(refusal.value)


def test_of_layers_the_only_one_that_has_features_is_read(tmp_path: Path) -> None:
    gpx = '<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><wpt lat="1" lon="2"><name>n</name></wpt></gpx>'
    assert texts(open_source(written(tmp_path / "a.gpx", gpx))) == ["4326;POINT (2 1)"]
