"""The CRS that a file names is heeded, or the load is refused: metres never become degrees without
a word.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from geosvc.sources import SourceError, open_source
from tests.loading import ask, load, refused
from tests.test_sources import collection, feature, shapes, texts, write_layer, written

HELSINKI = {"type": "Point", "coordinates": [385000, 6672000]}
ABOUT_60 = {"type": "Point", "coordinates": [25, 60]}  # which may be metres or degrees
TM35: dict[str, Any] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3067"}}
WGS84: dict[str, Any] = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
EPSG: dict[str, Any] = {"type": "EPSG", "properties": {"code": 3067}}
LINK = {"type": "link", "properties": {"href": "a.prj", "type": "esriwkt"}}
FG_TM35 = "http://www.opengis.net/def/crs/EPSG/0/3067"
FG_DEGREES = "http://www.opengis.net/def/crs/EPSG/0/4326"


def collected(*geometries: Any) -> dict[str, Any]:
    """A GeometryCollection."""
    return {"type": "GeometryCollection", "geometries": list(geometries)}


def behind(*features: Any) -> str:
    """A FeatureCollection that names its CRS behind its features."""
    return (
        f'{{"type":"FeatureCollection","features":{json.dumps(features)},"crs":{json.dumps(TM35)}}}'
    )


def sequence(*features: Any) -> str:
    """A feature a line."""
    return "\n".join(map(json.dumps, features))


IN_METRES = {
    "the collection": collection(feature({}, ABOUT_60), crs=TM35),
    "the collection, of type EPSG": collection(feature({}, ABOUT_60), crs=EPSG),
    "the collection, behind": behind(feature({}, ABOUT_60), feature({}, HELSINKI)),
    "each feature": collection(feature({}, ABOUT_60, crs=TM35), feature({}, HELSINKI, crs=EPSG)),
    "each feature of a sequence": sequence(
        feature({}, ABOUT_60, crs=TM35), feature({}, HELSINKI, crs=EPSG)
    ),
    "each geometry": collection(feature({}, {**ABOUT_60, "crs": TM35})),
    "the collection and a feature": collection(
        feature({}, ABOUT_60, crs=TM35), feature({}, ABOUT_60), crs=EPSG
    ),
    "features, all unlike the collection": collection(feature({}, ABOUT_60, crs=TM35), crs=WGS84),
    "a feature alone": json.dumps(feature({}, ABOUT_60, crs=TM35), indent=1),
    "a geometry alone": json.dumps({**ABOUT_60, "crs": TM35}, indent=1),
    "a part of a geometry": collection(
        feature({}, {**collected({**ABOUT_60, "crs": TM35}), "crs": TM35})
    ),
    "a part of a geometry, escaped": collection(
        feature({}, {**collected({**ABOUT_60, "crs": TM35}), "crs": TM35})
    ).replace('"crs"', '"\\u0063rs"'),
    "a feature beside one without a geometry": collection(
        feature({}, ABOUT_60, crs=TM35), feature({}, None)
    ),
    "the place of JSON-FG": collection(feature({}, None, place=ABOUT_60), coordRefSys=FG_TM35),
    "the place of a feature of JSON-FG": collection(
        feature({}, None, place=ABOUT_60, coordRefSys=FG_TM35)
    ),
}


@pytest.mark.parametrize("where", IN_METRES)
def test_a_crs_is_heeded_wherever_geojson_names_it(tmp_path: Path, where: str) -> None:
    path = written(tmp_path / "a.geojson", IN_METRES[where])
    source = open_source(path)
    assert source.schema.srid == 3067
    first = shapes(source)[0]
    assert (shapely.get_srid(first), shapely.get_coordinates(first)[0].tolist()) == (3067, [25, 60])
    assert open_source(path, srid=3067).schema.srid == 3067
    with pytest.raises(SourceError, match=r"EPSG:3067 .*--srid says 4326: leave --srid out"):
        open_source(path, srid=4326)


CANNOT_BE_TOLD = {
    "no CRS can be assumed": collection(feature({}, ABOUT_60), crs=None),
    "unknown CRS, a.prj": collection(feature({}, ABOUT_60), crs=LINK),
    "feature 1 names an unknown CRS": collection(
        feature({}, ABOUT_60), feature({}, ABOUT_60, crs=LINK)
    ),
    "feature 0 names an unknown CRS": sequence(feature({}, {**ABOUT_60, "crs": "local"})),
}


@pytest.mark.parametrize("problem", CANNOT_BE_TOLD)
def test_where_a_crs_cannot_be_told_the_option_tells_it(tmp_path: Path, problem: str) -> None:
    path = written(tmp_path / "a.geojson", CANNOT_BE_TOLD[problem])
    with pytest.raises(SourceError, match=rf"^a\.geojson: .*{problem}.*--srid$"):
        open_source(path)
    assert open_source(path, srid=3067).schema.srid == 3067


@pytest.mark.parametrize(
    "text",
    [
        collection(feature({}, ABOUT_60, crs=TM35), feature({}, ABOUT_60)),
        collection(feature({}, ABOUT_60, crs=TM35), feature({}, ABOUT_60, crs=WGS84)),
        collection(feature({}, ABOUT_60, crs=WGS84), feature({}, ABOUT_60), crs=TM35),
        collection(feature({}, collected(ABOUT_60, {**ABOUT_60, "crs": TM35}))),
        collection(feature({}, collected({**ABOUT_60, "crs": TM35}), crs=WGS84)).replace(
            '"crs"', '"\\u0063rs"'
        ),
        collection(feature({}, collected(collected({**ABOUT_60, "crs": TM35})), crs=WGS84)),
        sequence(feature({}, ABOUT_60), feature({}, {**ABOUT_60, "crs": TM35})),
        collection(feature({}, None, place=ABOUT_60, coordRefSys=FG_TM35), feature({}, ABOUT_60)),
    ],
)
def test_a_file_in_several_crss_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SourceError, match=r"^a\.geojson: .*a file is in one CRS"):
        open_source(written(tmp_path / "a.geojson", text))


def test_places_of_json_fg_are_in_the_axis_order_of_their_crs(tmp_path: Path) -> None:
    north_first = feature({}, None, place={"type": "Point", "coordinates": [60, 25]})
    source = open_source(
        written(tmp_path / "a.json", collection(north_first, coordRefSys=FG_DEGREES))
    )
    assert texts(source) == ["4326;POINT (25 60)"]
    old = collection(
        feature({}, ABOUT_60),
        crs={"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4326"}},
    )
    assert texts(open_source(written(tmp_path / "b.json", old))) == ["4326;POINT (25 60)"]


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.geojson", collection(feature({}, ABOUT_60), feature({}, HELSINKI)), "feature 1"),
        ("a.geojsonl", sequence(feature({}, HELSINKI)), "feature 0"),
        ("a.csv", "lon,lat\n25,60\n385000,6672000\n", "line 3"),
        ("a.csv", "x,y\n385000,6672000\n", "line 2"),
        ("a.csv", "wkt\nPOINT(25 91)\n", "line 2"),
        ("a.csv", "wkt\nSRID=4326;POINT(361 0)\n", "line 2"),
        (
            "a.csv",
            "geom\n" + shapely.to_wkb(shapely.Point(385000, 6672000), hex=True) + "\n",
            "line 2",
        ),
    ],
)
def test_what_cannot_be_degrees_is_not_taken_for_them(
    tmp_path: Path, name: str, content: str, where: str
) -> None:
    with pytest.raises(SourceError, match=rf"{where}: .* no longitude and latitude .*--srid"):
        texts(open_source(written(tmp_path / name, content)))


def test_the_coordinates_that_are_no_degrees_are_named_not_others_of_the_geometry(
    tmp_path: Path,
) -> None:
    nested = collected({"type": "Point", "coordinates": [1, 2]}, collected(HELSINKI))
    with pytest.raises(SourceError, match="385000, 6672000 is no longitude and latitude"):
        texts(open_source(written(tmp_path / "a.geojson", collection(feature({}, nested)))))


def test_longitudes_may_go_on_to_a_whole_turn(tmp_path: Path) -> None:
    assert texts(open_source(written(tmp_path / "a.csv", "lon,lat\n190,-90\n"))) == [
        "4326;POINT (190 -90)"
    ]


def test_geometries_of_a_table_are_in_one_crs(tmp_path: Path) -> None:
    def srid_of(*cells: str, srid: int | None = None) -> int | None:
        return open_source(
            written(tmp_path / "a.csv", "\n".join(("geom", *cells))), srid=srid
        ).schema.srid

    binary = shapely.to_wkb(
        shapely.set_srid(shapely.Point(385000, 6672000), 3067), hex=True, include_srid=True
    )
    assert srid_of("SRID=3067;POINT(385000 6672000)", binary, "") == 3067
    assert srid_of("SRID=0;POINT(1 2)") is None
    for cells in (
        ["SRID=3067;POINT(1 2)", "POINT(1 2)"],
        [binary, "SRID=4326;POINT(1 2)"],
        ["SRID=0;POINT(1 2)", binary],
    ):
        with pytest.raises(SourceError, match="a file is in one CRS"):
            srid_of(*cells)
    with pytest.raises(SourceError, match="leave --srid out"):
        srid_of(binary, srid=4326)


GML = (
    '<o:FeatureCollection xmlns:o="http://o" xmlns:gml="http://www.opengis.net/gml"><gml:boundedBy>'
    '<gml:Envelope srsName="EPSG:4326"><gml:lowerCorner>0 0</gml:lowerCorner><gml:upperCorner>1 1</gml:upperCorner>'
    "</gml:Envelope></gml:boundedBy>{}</o:FeatureCollection>"
)
MEMBER = (
    '<gml:featureMember><o:x><o:g><gml:Point srsName="{}"><gml:pos>{}</gml:pos></gml:Point>'
    "</o:g></o:x></gml:featureMember>"
)


@pytest.mark.parametrize(
    "others", [["EPSG:4326"], ["EPSG:3067", "urn:ogc:def:crs:EPSG::3857"], ["local"]]
)
def test_gml_in_several_crss_is_refused(tmp_path: Path, others: list[str]) -> None:
    members = [MEMBER.format(name, "25 60") for name in ("EPSG:3067", *others)]
    path = written(tmp_path / "a.gml", GML.format("".join(members)))
    for srid in (None, 3067):
        with pytest.raises(
            SourceError, match=r"^a\.gml: the geometries are in several CRSs: EPSG:3067, "
        ):
            open_source(path, srid=srid)
    whole = written(tmp_path / "c.gml", GML.format(MEMBER.format("EPSG:3067", "385000 6672000")))
    assert texts(open_source(whole)) == ["3067;POINT (385000 6672000)"]  # whatever the box is in
    alike = [
        MEMBER.format(name, "385000 6672000")
        for name in ("EPSG:3067", "urn:ogc:def:crs:EPSG::3067")
    ]
    assert (
        len(texts(open_source(written(tmp_path / "b.gml", GML.format("".join(alike))), srid=3067)))
        == 2
    )


def test_a_layer_that_contradicts_the_option_is_refused(tmp_path: Path) -> None:
    path = write_layer(
        tmp_path / "a.shp", [shapely.Point(385000, 6672000)], crs="EPSG:3067", geometry_type="Point"
    )
    with pytest.raises(SourceError, match=r"EPSG:3067 .*--srid says 4326"):
        open_source(path, srid=4326)
    (tmp_path / "a.prj").write_text('LOCAL_CS["a survey",UNIT["metre",1]]')
    with pytest.raises(SourceError, match=r"^a\.shp: its CRS is not known: name it with --srid"):
        open_source(path)
    assert texts(open_source(path, srid=3067)) == ["3067;POINT (385000 6672000)"]
    (tmp_path / "a.prj").write_text("as agreed\n")
    with pytest.raises(SourceError, match=r"^a\.shp: its CRS is not known: name it with --srid"):
        open_source(path)
    (tmp_path / "a.prj").rename(tmp_path / "a.PRJ").write_text("EPSG:3067\n")
    assert texts(open_source(path)) == ["3067;POINT (385000 6672000)"]
    (tmp_path / "a.PRJ").unlink()
    with pytest.raises(SourceError, match=r"^a\.shp: feature 0: .* no longitude and latitude"):
        texts(open_source(path))


def test_a_person_is_told_of_a_crs_that_is_taken_for_granted(
    bare_database_url: str, tmp_path: Path
) -> None:
    silent = written(tmp_path / "a.csv", "n,x,y\n1,25,60\n")
    assert "a.csv: does not name its CRS" in load(bare_database_url, silent)
    unknown = written(tmp_path / "b.csv", "n,wkt\n1,SRID=999998;POINT(1 2)\n")
    assert "PostGIS knows no CRS with the SRID 999998" in refused(
        bare_database_url, unknown, "--replace"
    )
    metres = written(tmp_path / "c.geojson", collection(feature({"n": 2}, HELSINKI), crs=TM35))
    load(bare_database_url, metres, "--replace")
    told = load(
        bare_database_url, written(tmp_path / "d.csv", "n,x,y\n1,385000,6672000\n"), "--append"
    )
    assert "d.csv: does not name its CRS" in told
    assert ask(bare_database_url, "SELECT DISTINCT ST_AsEWKT(geom) FROM loaded") == [
        ("SRID=3067;POINT(385000 6672000)",)
    ]
