"""GDAL's driver OAPIF, by pyogrio: every feature of every collection is what the table holds."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely

from tests.clients.tables import Feature, differences, query, read_table, shape
from tests.conftest import _cloning, execute
from tests.processes import Running, serving, unexpected

DEGREES = 0.51e-7  # coordinates have seven digits behind the point
METRES = 0.51e-4
FETCH = re.compile(r"Fetch\((?P<url>[^)]*)\)")
# values that no client by GDAL and Python can hold: numbers in JSON beyond a double, years beyond
# 9999, and those before Christ in timestamps
BEYOND = """
UPDATE nasty_types SET a_json = NULL, a_jsonb = NULL, a_date = NULL, a_timestamp = NULL, a_timestamptz = NULL
WHERE label <> 'ordinary';
UPDATE nasty_times SET valid_from = NULL WHERE id = 8;
UPDATE nasty_times SET valid_to = NULL WHERE id = 9;
"""
SYSTEMS = """
CREATE TABLE utm (id integer PRIMARY KEY, name text, geom geometry(Point, 25832));
INSERT INTO utm SELECT n, 'p' || n, ST_SetSRID(ST_MakePoint(400000 + n * 10.1234, 5500000 + n * 7.4321), 25832)
FROM generate_series(1, 2500) n;
CREATE TABLE mercator (id integer PRIMARY KEY, geom geometry(Polygon, 3857));
INSERT INTO mercator VALUES
(1, 'SRID=3857;POLYGON((890000 6270000, 891000 6270000.5, 891000 6271000, 890000 6271000, 890000 6270000))');
CREATE TABLE etrs (id integer PRIMARY KEY, geom geometry(LineString, 4258)); -- latitude first
INSERT INTO etrs VALUES (1, 'SRID=4258;LINESTRING(9.1234567 50.7654321, 10 51)'), (2, 'SRID=4258;LINESTRING(20 60, 21 61)');
CREATE TABLE gauss (id integer PRIMARY KEY, geom geometry(Point, 31467)); -- northing first
INSERT INTO gauss VALUES (1, 'SRID=31467;POINT(3477733.1234 5553274.4321)'), (2, 'SRID=31467;POINT(3500000 5600000)');
CREATE TABLE heights (id integer PRIMARY KEY, geom geometry(PointZ, 4326));
INSERT INTO heights VALUES (1, 'SRID=4326;POINT Z(9 50 123.25)'), (2, NULL);
CREATE TABLE globe (id integer PRIMARY KEY, geom geography(LineString, 4326));
INSERT INTO globe VALUES (1, 'LINESTRING(24.9384 60.1699, 24.7536 59.4370)'), (2, 'LINESTRING(9 50, 8 49)');
-- the first 20 rows tell too little: whole numbers, short ones, nothing
CREATE TABLE misleading (
    number integer PRIMARY KEY, whole bigint, fraction float8, price numeric(10, 2), day date, moment timestamptz, yes boolean,
    texts text[], numbers integer[], extra jsonb, geom geometry(Point, 4326));
INSERT INTO misleading SELECT n, 1, 1, 1, NULL, NULL, NULL, NULL, '{1}', NULL, NULL FROM generate_series(1, 30) n;
INSERT INTO misleading VALUES
(31, 9007199254740991, 1.5, 2.25, '2024-02-29', '2024-02-29 12:34:56.789+02', true, '{a,"b,c"}', '{1,2}', '{"a": [1, null]}',
    'SRID=4326;POINT(1 2)');
CREATE TABLE nothing (number integer PRIMARY KEY, day date, geom geometry(Point, 4326));
ANALYZE;
"""
SRIDS = {"utm": 25832, "mercator": 3857, "etrs": 4258, "gauss": 31467, "globe": 4326}


@pytest.fixture(scope="module")
def systems_url(server_url: str, bare_template: str) -> Iterator[str]:
    with _cloning(server_url) as make:
        url = make(bare_template)
        execute(url, SYSTEMS)
        yield url


@pytest.fixture(scope="module")
def nasty_copy_url(server_url: str, nasty_template: str) -> Iterator[str]:
    with _cloning(server_url) as make:
        url = make(nasty_template)
        execute(url, BEYOND)
        yield url


@pytest.fixture(scope="module")
def counting(sample_url: str) -> Iterator[Running]:
    """The sample data with the number of every page told: where it is not, pyogrio reads a layer
    twice.
    """
    with serving(sample_url, count_exact_rows="100000") as running:
        yield running
        assert not unexpected(running)


@pytest.fixture(scope="module")
def systems(systems_url: str) -> Iterator[Running]:
    with serving(systems_url) as running:
        yield running
        assert not unexpected(running)


@pytest.fixture(scope="module")
def nasty_process(nasty_copy_url: str) -> Iterator[Running]:
    with serving(nasty_copy_url) as running:
        yield running
        assert not unexpected(
            running, "value_refused", "request_failed"
        )  # a function that always fails


def read(
    running: Running, layer: str, **options: Any
) -> tuple[dict[str, Any], list[Any], list[Feature]]:
    """What GDAL tells of a layer, the ids, and the features; dates and times as GDAL writes
    them.
    """
    described, ids, geometries, fields = pyogrio.raw.read(
        f"OAPIF:{running.url}", layer=layer, return_fids=True, datetime_as_string=True, **options
    )
    names = list(described["fields"])
    rows = zip(*fields, strict=True) if fields else iter([()] * len(geometries))
    features: list[Feature] = [
        ({name: plain(value) for name, value in zip(names, row, strict=True)}, shape(geometry))
        for row, geometry in zip(rows, geometries, strict=True)
    ]
    return described, list(ids), features


def plain(value: Any) -> Any:
    """A value of numpy as JSON would have it; numpy says NaN for NULL."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and np.isnan(value) else value


def requests_of(captured: str) -> list[str]:
    """What GDAL asked for."""
    return [match["url"] for match in FETCH.finditer(captured)]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """GDAL says what it does."""
    pyogrio.set_gdal_config_options({"CPL_DEBUG": "HTTP,OAPIF"})
    yield capfd
    pyogrio.set_gdal_config_options({"CPL_DEBUG": None})


@pytest.mark.parametrize("layer", ["buildings", "cities", "countries", "streets"])
def test_gdal_reads_every_sample_feature_as_it_is(
    counting: Running, sample_url: str, layer: str
) -> None:
    table = read_table(sample_url, layer)
    _, ids, features = read(counting, layer)
    assert differences(features, table, DEGREES) == []
    if layer in (
        "cities",
        "streets",
    ):  # GDAL numbers what has a text or a number below zero for an id
        key = next(iter(table.types))
        assert ids == sorted(properties[key] for properties, _ in table.features)


NASTY = {
    'nasty "names" ünïcode': {},
    "nasty_cities": {},
    "nasty_composite": {},
    "nasty_countries": {},
    "nasty_empty": {},
    "nasty_keyless_view": {},
    "nasty_materialised": {},
    "nasty_no_key": {},
    "nasty_partitioned": {},
    "nasty_projected": {},
    "nasty_sort": {},
    "nasty_text_key": {},
    "nasty_times": {},
    "nasty_two_geometries": {"geometry": "geom"},
    "nasty_two_geometries.footprint": {"geometry": "footprint"},
    "nasty_types": {"where": "label = 'ordinary'"},
    "nasty_unique_not_null": {},
    "nasty_uuid_key": {},
    # in the others shells and lines are cut, turned or left out as GeoJSON wants it
    "nasty_geography": {"where": "label IN ('point', 'line', 'polygon', 'null')"},
    "nasty_geometries": {"where": "id IN (1, 10, 20, 23, 40, 67, 69, 81, 106, 107, 120, 121)"},
    "nasty_srid_zero": {"where": "id = 1"},
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of empty points and the largest numbers
@pytest.mark.parametrize("layer", NASTY)
def test_gdal_reads_every_nasty_feature_as_it_is(
    nasty_process: Running, nasty_copy_url: str, layer: str
) -> None:
    name = layer.removesuffix(".footprint")
    table = read_table(nasty_copy_url, name, **NASTY[layer])
    _, _, features = read(nasty_process, layer)
    if "where" in NASTY[layer]:
        assert len(features) == query(nasty_copy_url, f"SELECT count(*) FROM {name}")[0]["count"]
        key = next(iter(table.types))
        wanted = {properties[key] for properties, _ in table.features}
        features = [feature for feature in features if feature[0][key] in wanted]
    assert (
        differences(
            features,
            table,
            METRES if layer == "nasty_projected" or "footprint" in layer else DEGREES,
        )
        == []
    )


def test_gdal_finds_every_collection(nasty_process: Running) -> None:
    functions = {"always_fails", "cities_founded", "cities_near", "cities_of_country"}
    assert {
        str(name) for name, _ in pyogrio.list_layers(f"OAPIF:{nasty_process.url}")
    } == NASTY.keys() | functions


@pytest.mark.parametrize("layer", SRIDS)
def test_gdal_has_the_reference_system_and_the_axes_of_the_table(
    systems: Running, systems_url: str, layer: str
) -> None:
    described, _, features = read(systems, layer)
    srid = SRIDS[layer]
    assert described["crs"] == f"EPSG:{srid}" if srid != 4326 else "CRS84" in described["crs"]
    tolerance = DEGREES if srid in (4258, 4326) else METRES
    assert differences(features, read_table(systems_url, layer), tolerance) == []


def test_gdal_has_heights(systems: Running) -> None:
    _, _, features = read(systems, "heights")
    assert [
        geometry and shapely.get_coordinates(geometry, include_z=True).tolist()
        for _, geometry in features
    ] == [
        [[9, 50, 123.25]],
        None,
    ]


def test_gdal_takes_types_from_the_schema_and_not_from_the_first_features(
    systems: Running, systems_url: str
) -> None:
    described, _, features = read(systems, "misleading")
    kinds = dict(zip(described["fields"], described["ogr_types"], strict=True))
    assert (kinds["whole"], kinds["fraction"], kinds["price"]) == ("OFTReal",) * 3
    assert (kinds["day"], kinds["moment"], kinds["number"]) == (
        "OFTDate",
        "OFTDateTime",
        "OFTInteger",
    )
    assert (kinds["texts"], kinds["numbers"]) == ("OFTStringList", "OFTIntegerList")
    assert differences(features, read_table(systems_url, "misleading"), DEGREES) == []
    described, _, features = read(systems, "nothing")
    assert features == []
    assert list(described["fields"]) == ["number", "day"]


@pytest.mark.parametrize(
    ("layer", "box"),
    [
        ("utm", (401000, 5500700, 405000, 5503000)),
        ("etrs", (19, 59, 20.5, 60.5)),  # as GDAL has it; the service is asked with latitude first
        ("gauss", (3477000, 5553000, 3478000, 5554000)),
        ("globe", (24.8, 59, 25, 61)),
    ],
)
def test_gdal_has_boxes_answered_in_the_reference_system_of_the_layer(
    systems: Running,
    systems_url: str,
    told: pytest.CaptureFixture[str],
    layer: str,
    box: tuple[float, ...],
) -> None:
    _, ids, _ = read(systems, layer, bbox=box)
    asked = [url for url in requests_of(told.readouterr().err) if "bbox=" in url]
    assert asked
    assert all("bbox-crs=" in url for url in asked)
    inside = f"ST_Intersects(geom::geometry, ST_MakeEnvelope($1, $2, $3, $4, {SRIDS[layer]}))"
    wanted = query(systems_url, f"SELECT id FROM {layer} WHERE {inside} ORDER BY id", *box)
    assert ids == [row["id"] for row in wanted] != []


def test_gdal_leaves_comparisons_to_the_service(
    sample_process: Running, sample_url: str, told: pytest.CaptureFixture[str]
) -> None:
    where = "continent = 'Europe' AND labelrank = 3"
    _, _, features = read(sample_process, "countries", where=where)
    (asked,) = [url for url in requests_of(told.readouterr().err) if "/items?limit=1000" in url]
    assert "continent=Europe" in asked
    assert "labelrank=3" in asked
    assert differences(features, read_table(sample_url, "countries", where=where), DEGREES) == []


def test_gdal_pages_as_far_as_the_table_goes(
    systems: Running, told: pytest.CaptureFixture[str]
) -> None:
    _, ids, _ = read(systems, "utm")
    assert ids == list(range(1, 2501))
    pages = [
        url
        for url in requests_of(told.readouterr().err)
        if "/items?" in url and "limit=1000" in url
    ]
    assert len([url for url in pages if "cursor=" not in url]) >= 1
    assert len([url for url in pages if "cursor=" in url]) >= 2


def test_gdal_counts_by_number_matched(
    sample_process: Running, told: pytest.CaptureFixture[str]
) -> None:
    described = pyogrio.read_info(f"OAPIF:{sample_process.url}", layer="countries")
    assert described["features"] == 241
    assert described["capabilities"]["fast_feature_count"]
    assert [url for url in requests_of(told.readouterr().err) if "/items" in url] == [
        f"{sample_process.url}/collections/countries/items?limit=20"
    ]


def test_gdal_gets_single_features_by_their_id(sample_process: Running, sample_url: str) -> None:
    wanted = query(sample_url, "SELECT osm_id FROM streets ORDER BY osm_id LIMIT 3 OFFSET 1000")
    keys = [row["osm_id"] for row in wanted]
    _, ids, features = read(sample_process, "streets", fids=keys)
    assert ids == keys
    assert (
        differences(
            features, read_table(sample_url, "streets", where=f"osm_id IN {tuple(keys)}"), DEGREES
        )
        == []
    )


def test_gdal_sees_no_parameter_in_the_path_of_the_service(sample_process: Running) -> None:
    for root in (
        sample_process.url,
        f"{sample_process.url}/",
        f"{sample_process.url}/collections/countries",
    ):
        assert "countries" in [name for name, _ in pyogrio.list_layers(f"OAPIF:{root}")]
