"""Coordinates in every reference system that is listed, against PROJ; boxes in them, against
shapely.
"""

import csv
import io
import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS, Proj, Transformer
from shapely.geometry import shape

from geosvc.app import build_app
from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import load_catalog
from geosvc.database.pool import Database
from geosvc.errors import SettingsError
from geosvc.formats import GEOJSON_FORMAT
from geosvc.model.crs import Srid
from geosvc.query.features import select_items
from geosvc.requests.items import PageLimits, ReadingRules, parse_items_query
from geosvc.settings import load_settings
from tests.conftest import Client, Service, execute, settings_for
from tests.http import fetch
from tests.posting import feature, place_of, problem_of, send

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
CRS84H = "http://www.opengis.net/def/crs/OGC/0/CRS84h"
CONFIGURED = (25832, 3035, 2193, 27700, 31467, 3031, 3995, 4258, 4807, 2263, 4277, 4314, 4275, 4269)
# (west, south, east, north) within what each is for; the last is a pole
REGIONS = {
    25832: (6, 47, 12, 55),
    3035: (-9, 36, 30, 60),
    2193: (167, -47, 178, -35),
    27700: (-7, 50, 1.7, 60),
    31467: (7.6, 47.5, 10.4, 55),
    3031: (-180, -90, 180, -62),
    3995: (-180, 62, 180, 90),
    3857: (-179, -80, 179, 80),
    4326: (-180, -90, 180, 90),
    4258: (-9, 36, 30, 60),
    4807: (-4, 42, 9, 51),
    2263: (-74.2, 40.5, -71.9, 41.2),
}
DATUMS = {27700: 4277, 31467: 4314, 4807: 4275, 2263: 4269}
STORED = {
    "points": 4326,
    "german": 25832,
    "european": 3035,
    "mercator": 3857,
    "antarctic": 3031,
    "geogs": 4326,
}


def uri(srid: int) -> str:
    return f"http://www.opengis.net/def/crs/EPSG/0/{srid}"


def made_points() -> list[tuple[float, float]]:
    """Points within every region, and some everywhere."""
    chosen = random.Random(11)
    regions = [*REGIONS.values(), (170, -30, 180, 30), (-180, -30, -170, 30)]
    return [
        (round(chosen.uniform(w, e), 6), round(chosen.uniform(s, n), 6))
        for w, s, e, n in regions
        for _ in range(120)
    ]


POINTS = made_points()


@pytest.fixture(scope="module")
def crs_template(server_url: str) -> str:
    """The same places in several reference systems, as points and as polygons."""
    from tests.databases import make_template

    rows = ",".join(f"({number},{x},{y})" for number, (x, y) in enumerate(POINTS))
    inside = {name: REGIONS[srid] for name, srid in STORED.items() if srid not in (4326, 3857)}
    inside["mercator"] = (-180, -85, 180, 85)
    tables = "".join(
        f"""CREATE TABLE {name} (id int PRIMARY KEY, geom geometry(Point, {STORED[name]}));
        INSERT INTO {name} SELECT id, ST_Transform(geom, {STORED[name]}) FROM points
          WHERE geom && ST_MakeEnvelope({",".join(map(str, area))}, 4326);
        CREATE INDEX ON {name} USING gist (geom);
        CREATE TABLE {name}_areas (id int PRIMARY KEY, geom geometry(Polygon, {STORED[name]}));
        INSERT INTO {name}_areas SELECT id, ST_Transform(geom, {STORED[name]}) FROM points_areas
          WHERE geom @ ST_MakeEnvelope({",".join(map(str, area))}, 4326);
        CREATE INDEX ON {name}_areas USING gist (geom);"""
        for name, area in inside.items()
    )
    return make_template(
        server_url,
        "geosvc_crs",
        f"""CREATE TABLE points (id int PRIMARY KEY, geom geometry(Point, 4326));
        INSERT INTO points SELECT i, ST_SetSRID(ST_Point(x, y), 4326) FROM (VALUES {rows}) AS v(i, x, y);
        CREATE INDEX ON points USING gist (geom);
        CREATE TABLE geogs (id int PRIMARY KEY, geog geography(Point, 4326));
        INSERT INTO geogs SELECT id, geom::geography FROM points;
        CREATE TABLE points_areas (id int PRIMARY KEY, geom geometry(Polygon, 4326));
        INSERT INTO points_areas SELECT id, ST_MakeEnvelope(x, y, x + 0.02, y + 0.01, 4326)
          FROM (SELECT id, ST_X(geom) AS x, ST_Y(geom) AS y FROM points) p WHERE x < 179.9 AND y < 89.9;
        CREATE INDEX ON points_areas USING gist (geom);
        {tables}
        CREATE TABLE heights (id int PRIMARY KEY, geom geometry(PointZ, 4326));
        INSERT INTO heights VALUES (1, 'SRID=4326;POINT Z (9 48 500)');
        CREATE TABLE unsaid (id int PRIMARY KEY, geom geometry);
        INSERT INTO unsaid VALUES (1, 'POINT(9 48)'), (2, 'SRID=4326;POINT(9 48)'), (3, 'SRID=25832;POINT(500000 5316000)'),
          (4, 'SRID=990001;POINT(1 2)'), (5, NULL);
        CREATE TABLE far (id int PRIMARY KEY, geom geometry(Geometry, 4326));
        INSERT INTO far VALUES (1, 'SRID=4326;POINT(9 48)'), (2, 'SRID=4326;POINT(0 90)'), (3, 'SRID=4326;POINT(10 95)'),
          (4, 'SRID=4326;LINESTRING(100 0, -100 10)'), (5, 'SRID=4326;POINT(385600 6671800)'),
          (6, 'SRID=4326;GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POINT(9 48)), POINT(9 49))'),
          (7, 'SRID=4326;POINT EMPTY'), (8, NULL), (9, 'SRID=4326;MULTIPOLYGON(((-180 60, 180 60, 180 85, -180 85, -180 60)))'),
          (10, ST_SetSRID(ST_MakePoint('NaN', 1), 4326)), (11, 'SRID=4326;POLYGON((8 47, 10 49, 10 47, 8 49, 8 47))'),
          (12, 'SRID=4326;CURVEPOLYGON(CIRCULARSTRING(8 47, 10 47, 10 49, 8 49, 8 47))');
        CREATE TABLE plots (id int PRIMARY KEY, geom geometry(Geometry, 25832));
        CREATE TABLE places (id int PRIMARY KEY, geom geometry(Geometry, 4326));
        CREATE VIEW plots_seen AS SELECT * FROM plots; ANALYZE;""",
    )


@pytest.fixture
def crs_url(clone: Any, crs_template: str) -> str:
    """A database to write to."""
    url: str = clone(crs_template)
    return url


@pytest.fixture(scope="module")
def shared_url(server_url: str, crs_template: str) -> str:
    """A database to read."""
    from tests.conftest import with_database

    name = "geosvc_crs_shared"
    execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{crs_template}"')
    return with_database(server_url, name)


@pytest.fixture
async def client(service: Service, shared_url: str) -> Client:
    """The service of the tables."""
    return await service(shared_url, crs=CONFIGURED, limit_max=100_000)


@cache
def by_authority(srid: int, into: int) -> Transformer:
    """From one reference system to another, each in its own axis order."""
    return Transformer.from_crs(f"EPSG:{srid}", f"EPSG:{into}")


def is_flipped(srid: int) -> bool:
    return srid in (4326, 3035, 2193, 31467, 4258, 4807)


async def read_all(
    client: Client, name: str, **values: str
) -> tuple[dict[int, Any], Mapping[str, str]]:
    """The geometries of all features by id, and the headers."""
    async with client.get(
        f"/collections/{name}/items", params={"limit": "100000", **values}
    ) as response:
        assert response.status == 200, await response.text()
        page = await response.json()
        return {each["id"]: each["geometry"] for each in page["features"]}, response.headers


def within(points: Mapping[int, Sequence[float]], region: Sequence[float]) -> list[int]:
    west, south, east, north = region
    return [
        number
        for number, (x, y) in points.items()
        if west <= x <= east and south <= y <= north and abs(y) < 89.9
    ]


@pytest.mark.parametrize(
    "srid", [srid for srid in REGIONS if srid != 4807]
)  # whose datum has several operations
@pytest.mark.parametrize("name", [*STORED])
async def test_every_coordinate_agrees_with_proj_to_the_millimetre(
    client: Client, name: str, srid: int
) -> None:
    # between two datums the database may have a grid that PROJ has not here: there it starts from
    # the same datum
    start = DATUMS.get(srid, STORED[name])
    given, _ = await read_all(client, name, crs=uri(start), precision="12")
    found, headers = await read_all(client, name, crs=uri(srid), precision="12")
    assert headers["Content-Crs"] == f"<{uri(srid)}>"
    wanted = within({number: POINTS[number] for number in found}, REGIONS[srid])
    if not wanted:
        return
    places = np.array([given[number]["coordinates"] for number in wanted])
    expected = np.column_stack(by_authority(start, srid).transform(places[:, 0], places[:, 1]))
    coordinates = np.array([found[number]["coordinates"] for number in wanted])
    if not CRS.from_epsg(srid).is_projected:
        assert np.abs(coordinates - expected).max() < 1e-8
        return
    scale = (
        Proj(CRS.from_epsg(srid))
        .get_factors(*np.array([POINTS[number] for number in wanted]).T)
        .parallel_scale
    )
    # a millimetre on the ground: Mercator draws it larger, and releases of PROJ differ in the
    # ellipsoids of WGS 84 and GRS 80
    assert (np.abs(coordinates - expected).max(axis=1) < 1e-3 * np.fmax(scale, 1)).all()


@pytest.mark.parametrize("srid", [*REGIONS])
async def test_every_coordinate_is_where_it_was(client: Client, srid: int) -> None:
    found, _ = await read_all(client, "points", crs=uri(srid))
    wanted = within({number: POINTS[number] for number in found}, REGIONS[srid])
    first, second = zip(*(found[number]["coordinates"] for number in wanted), strict=True)
    y, x = by_authority(srid, 4326).transform(first, second)
    expected = np.array([POINTS[number] for number in wanted])
    assert np.abs(np.column_stack((x, y)) - expected).max() < (1e-4 if srid in DATUMS else 2e-7)


def outside(srid: int, box: Sequence[float]) -> str:
    """A box of x, y as the axis order of its reference system has it."""
    xmin, ymin, xmax, ymax = box
    return ",".join(
        map(repr, (ymin, xmin, ymax, xmax) if is_flipped(srid) else (xmin, ymin, xmax, ymax))
    )


def shapes_of(found: Mapping[int, Any], srid: int) -> tuple[list[int], Any]:
    """What was served, x before y."""
    numbers = [number for number, geometry in found.items() if geometry is not None]
    shapes = np.array([shape(found[number]) for number in numbers], dtype=object)
    if is_flipped(srid):
        shapes = shapely.transform(shapes, lambda positions: positions[:, ::-1])
    return numbers, shapes


def boxes_in(srid: int) -> list[tuple[float, float, float, float]]:
    """Boxes of all sizes within the region of a reference system, x before y, and what is
    special.
    """
    chosen = random.Random(srid)
    west, south, east, north = REGIONS[srid]
    longitudes = [chosen.uniform(west, east) for _ in range(10)]
    latitudes = [chosen.uniform(max(south, -89.0), min(north, 89.0)) for _ in range(10)]
    xs, ys = Transformer.from_crs(4326, srid, always_xy=True).transform(longitudes, latitudes)
    unit = 1.0 if CRS.from_epsg(srid).is_projected else 1e-5
    sizes = [(10 ** chosen.uniform(3, 6) * unit, 10 ** chosen.uniform(3, 6) * unit) for _ in xs]
    boxes = [(x - w, y - h, x + w, y + h) for x, y, (w, h) in zip(xs, ys, sizes, strict=True)]
    if unit == 1e-5:
        boxes = [(w, max(s, -88.0), e, min(n, 88.0)) for w, s, e, n in boxes]
        return [box for box in boxes if box[0] > -179 and box[2] < 179]
    if srid in (3031, 3995):
        boxes += [
            (-5e5, -5e5, 1e6, 8e5),
            (-3e6, -3e6, 3e6, 3e6),
            (-1e5, -2e6, 1e5, -2e5),
            (-1e5, 2e5, 1e5, 2e6),
        ]
    return boxes


@pytest.mark.parametrize("srid", [*REGIONS])
@pytest.mark.parametrize(
    "name", [*STORED, *(f"{name}_areas" for name in STORED if name != "geogs")]
)
async def test_a_box_selects_what_shapely_finds_in_the_same_box(
    client: Client, name: str, srid: int
) -> None:
    numbers, shapes = shapes_of(
        (await read_all(client, name, crs=uri(srid), precision="12"))[0], srid
    )
    hits = 0
    unit = 1.0 if CRS.from_epsg(srid).is_projected else 1e-5
    # edges of what is stored are straight where it is stored
    slack = unit * (0.01 if "areas" not in name else 10.0)
    for box in boxes_in(srid):
        found, headers = await read_all(
            client, name, **{"bbox-crs": uri(srid), "bbox": outside(srid, box)}
        )
        assert headers["Content-Crs"] == f"<{CRS84}>"
        surely = shapely.intersects(
            shapes, shapely.box(box[0] + slack, box[1] + slack, box[2] - slack, box[3] - slack)
        )
        perhaps = shapely.intersects(
            shapes, shapely.box(box[0] - slack, box[1] - slack, box[2] + slack, box[3] + slack)
        )
        wanted = {number for number, sure in zip(numbers, surely, strict=True) if sure}
        possible = {number for number, may in zip(numbers, perhaps, strict=True) if may}
        assert wanted <= found.keys() <= possible, (
            box,
            wanted - found.keys(),
            found.keys() - possible,
        )
        hits += len(found)
    if name == "points" and srid not in (3857, 4326):
        assert hits


@pytest.mark.parametrize(
    "crs",
    [
        "http://www.opengis.net/def/crs/EPSG/0/25832",
        "https://www.opengis.net/def/crs/EPSG/0/25832",
        "http://www.opengis.net/def/crs/EPSG/9.9.1/25832",
        "urn:ogc:def:crs:EPSG::25832",
        "[EPSG:25832]",
    ],
)
async def test_a_reference_system_has_several_names_and_one_answer(
    client: Client, crs: str
) -> None:
    expected = (await read_all(client, "german"))[0]
    found, headers = await read_all(client, "german", crs=crs)
    assert headers["Content-Crs"] == f"<{uri(25832)}>"
    assert found.keys() == expected.keys()
    assert all(x > 1e5 and y > 5e6 for x, y in (each["coordinates"] for each in found.values()))


@pytest.mark.parametrize(
    "crs", [CRS84, "[OGC:CRS84]", "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84"]
)
async def test_crs84_is_what_nobody_asks_for(client: Client, crs: str) -> None:
    expected, headers = await read_all(client, "points")
    assert headers["Content-Crs"] == f"<{CRS84}>"
    found, headers = await read_all(client, "points", crs=crs)
    assert found == expected
    assert headers["Content-Crs"] == f"<{CRS84}>"
    assert tuple(found[0]["coordinates"]) == POINTS[0]


RETURNED = "return=representation"
WRONG = [
    "",
    "x",
    "4326",
    "EPSG:4326",
    "[EPSG:0]",
    "[EPSG:99999999999]",
    "[EPSG:4978]",
    "[EPSG:5773]",
    "[EPSG:2154]",
    uri(0),
    uri(4978),
    uri(5773),
    uri(99999999999),
    uri(25832) + "/",
    " " + uri(25832),
    uri(25832) + "\n",
    f"<{uri(25832)}>",
    uri(25832).replace("25832", "２５８３２"),
    "http://www.opengis.net/def/crs/OGC/1.3/CRS27",
    "NaN",
    "1e400",
    "'; DROP TABLE points; --",
]


@pytest.mark.parametrize("text", WRONG)
async def test_a_reference_system_that_is_not_listed_is_refused_with_those_that_are(
    client: Client, text: str
) -> None:
    for parameter in ("crs", "bbox-crs"):
        for path in ("items", "export", *(("items/1",) if parameter == "crs" else ())):
            values = {parameter: text, **({} if parameter == "crs" else {"bbox": "1,2,3,4"})}
            async with client.get(f"/collections/points/{path}", params=values) as response:
                problem = await response.json()
                assert (response.status, problem["parameter"]) == (400, parameter), problem
                assert uri(3857) in problem["detail"]
        problem = await problem_of(
            client,
            "POST",
            "points/search",
            json.dumps({parameter: text}).encode(),
            **{"Content-Type": "application/json"},
        )
        assert (problem["status"], problem["parameter"], problem["pointer"]) == (
            400,
            parameter,
            f"/{parameter}",
        )


@pytest.mark.parametrize(("length", "status"), [(10_000_000, 413), (500_000, 400)])
async def test_megabytes_of_a_reference_system_are_refused(
    client: Client, length: int, status: int
) -> None:
    long = "9" * length
    for body in (
        {"crs": uri(25832) + long},
        {"bbox-crs": uri(25832), "bbox": [long, 1, 2, 3]},
        {"crs": "[" * length},
    ):
        sent = io.BytesIO(json.dumps(body).encode())
        async with client.post(
            "/collections/points/search", data=sent, headers={"Content-Type": "application/json"}
        ) as response:
            assert response.status == status, await response.text()
            assert len(await response.read()) < 10_000


BOXES = [
    "nan,1,2,3",
    "1,2,3,1e400",
    "-inf,1,2,3",
    "3,2,1,4",
    "1,4,3,2",
    "1,2,3",
    "1,2,9,3,4,5",
    "",
    "a,b,c,d",
    "1,2,3,4,5,6,7",
]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("srid", [25832, 3031, 2193, 3857])
async def test_a_bad_box_is_refused_in_every_reference_system(
    client: Client, srid: int, box: str
) -> None:
    page = await fetch(
        client, f"/collections/points/items?bbox-crs={uri(srid)}&bbox={box}", status=400
    )
    assert page["parameter"] == "bbox"


@pytest.mark.parametrize(
    "name",
    ["points", "german", "european_areas", "mercator", "antarctic_areas", "geogs", "unsaid", "far"],
)
@pytest.mark.parametrize("srid", [4326, 3857, *CONFIGURED])
async def test_a_box_of_any_size_is_answered(client: Client, name: str, srid: int) -> None:
    for size in (1e-300, 1.0, 89.0, 1e4, 1e7, 2.1e7, 3e8, 1e20, 1e300):
        for x, y in ((0, 0), (-size, size / 3)):
            box = ",".join(map(repr, (x - size, y - size, x + size, y + size)))
            async with client.get(
                f"/collections/{name}/items", params={"bbox-crs": uri(srid), "bbox": box}
            ) as response:
                assert response.status in (200, 400), await response.text()
                if response.status == 400:
                    assert (await response.json())["parameter"] == "bbox"


async def test_web_maps_send_boxes_beyond_the_world(client: Client) -> None:
    world = 20037508.342789244
    for name in ("points", "mercator", "geogs"):
        everything = set((await read_all(client, name, bbox="-180,-89.9999,180,89.9999"))[0])
        for size in (world, 2 * world, 1e9, 1e300):
            box = ",".join(map(repr, (-size, -max(size, 9e7), size, max(size, 9e7))))
            found, _ = await read_all(client, name, **{"bbox-crs": uri(3857), "bbox": box})
            assert found.keys() >= everything
        across, _ = await read_all(client, name, bbox="170,-20,-170,20", precision="12")
        x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform([170, 190], [-20, 20])
        box = f"{x[0]!r},{y[0]!r},{2 * world + x[1]!r},{y[1]!r}"
        found, _ = await read_all(
            client, name, **{"bbox-crs": uri(3857), "bbox": box}, precision="12"
        )
        assert found == across
        assert len(across) > 10


async def test_the_antimeridian_holds_in_the_axis_order_of_the_box(client: Client) -> None:
    expected, _ = await read_all(client, "points", bbox="170,-20,-170,20")
    for srid in (4326, 4258):
        found, _ = await read_all(
            client, "points", **{"bbox-crs": uri(srid), "bbox": "-20,170,20,-170"}
        )
        assert found.keys() == expected.keys()
    found, _ = await read_all(
        client, "points", **{"bbox-crs": uri(4326), "bbox": "-20,170,-1,20,-170,1"}
    )
    assert found == expected


async def test_six_numbers_are_heights_between_the_others(client: Client) -> None:
    for heights, there in (("0", True), ("499", True), ("501", False)):
        x, y = Transformer.from_crs(4326, 25832, always_xy=True).transform(9, 48)
        box = f"{x - 1},{y - 1},{heights},{x + 1},{y + 1},1000"
        found, _ = await read_all(client, "heights", **{"bbox-crs": uri(25832), "bbox": box})
        assert bool(found) is there


async def test_heights_stay_and_their_default_says_so(client: Client) -> None:
    found, headers = await read_all(client, "heights")
    assert headers["Content-Crs"] == f"<{CRS84H}>"
    assert found[1]["coordinates"] == [9, 48, 500]
    found, headers = await read_all(client, "heights", crs=uri(4326))
    assert found[1]["coordinates"] == [48, 9, 500]
    found, _ = await read_all(client, "heights", crs=uri(25832))
    assert (
        found[1]["coordinates"] == [500000, 5316300.5227, 500] or found[1]["coordinates"][2] == 500
    )
    document = await fetch(client, "/collections/heights")
    assert document["crs"][:2] == [CRS84H, CRS84]
    assert document["storageCrs"] == CRS84H


@pytest.mark.parametrize(
    ("name", "storage"),
    [
        ("points", CRS84),
        ("geogs", CRS84),
        ("unsaid", CRS84),
        ("german", uri(25832)),
        ("mercator", uri(3857)),
    ],
)
async def test_a_collection_lists_what_it_can_be_had_in(
    client: Client, name: str, storage: str
) -> None:
    document = await fetch(client, f"/collections/{name}")
    listed = document["crs"]
    assert listed[0] == CRS84
    assert document["storageCrs"] == storage
    assert storage in listed
    assert len(set(listed)) == len(listed)
    assert {uri(4326), uri(3857), *map(uri, CONFIGURED)} <= set(listed)
    everything = (await fetch(client, "/collections"))["collections"]
    assert next(each for each in everything if each["id"] == name)["crs"] == listed
    for crs in listed:
        async with client.get(
            f"/collections/{name}/items", params={"crs": crs, "bbox-crs": crs}
        ) as response:
            assert (response.status, response.headers["Content-Crs"]) == (200, f"<{crs}>")


async def test_conformance_names_crs(client: Client) -> None:
    assert (
        "http://www.opengis.net/spec/ogcapi-features-2/1.0/conf/crs"
        in (await fetch(client, "/conformance"))["conformsTo"]
    )


async def test_content_crs_is_on_every_answer_with_features(client: Client) -> None:
    for crs in (None, CRS84, uri(4326), uri(3857), uri(25832)):
        values = {} if crs is None else {"crs": crs}
        expected = f"<{crs or CRS84}>"
        for path in ("items", "export", "items/1"):
            for form in ("geojson", *(("csv", "geojsonseq") if path != "items/1" else ())):
                for method in ("GET", "HEAD"):
                    async with client.request(
                        method, f"/collections/points/{path}", params={**values, "f": form}
                    ) as response:
                        assert (response.status, response.headers["Content-Crs"]) == (200, expected)
        async with client.get("/collections/points/items/1", params=values) as response:
            etag = response.headers["ETag"]
        async with client.get(
            "/collections/points/items/1", params=values, headers={"If-None-Match": etag}
        ) as response:
            assert (response.status, response.headers["Content-Crs"]) == (304, expected)
        async with client.get(
            "/collections/points/items", params={**values, "limit": "5000"}
        ) as response:
            assert response.headers["Content-Crs"] == expected  # a stream
        body = {**values, "limit": 1}
        async with client.post("/collections/points/search", json=body) as response:
            assert (response.status, response.headers["Content-Crs"]) == (200, expected)


async def test_csv_and_sequences_are_in_the_reference_system_too(client: Client) -> None:
    for name in ("points", "german_areas"):
        for srid in (4326, 3035, 25832):
            found, _ = await read_all(client, name, crs=uri(srid))
            for path in ("items?limit=100000&", "export?"):
                async with client.get(
                    f"/collections/{name}/{path}f=csv&crs={uri(srid)}"
                ) as response:
                    rows = list(csv.DictReader(io.StringIO(await response.text())))
                for row in rows:
                    ours = shape(
                        found[int(row["id"])] or {"type": "GeometryCollection", "geometries": []}
                    )
                    assert (
                        not row["WKT"]
                        if ours.is_empty
                        else shapely.equals_exact(shapely.from_wkt(row["WKT"]), ours, 1e-9)
                    )
                async with client.get(
                    f"/collections/{name}/{path}f=geojsonseq&crs={uri(srid)}"
                ) as response:
                    records = [
                        json.loads(each) for each in (await response.text()).split("\x1e")[1:]
                    ]
                assert {each["id"]: each["geometry"] for each in records} == found


async def test_no_answer_has_a_member_crs(client: Client) -> None:
    for srid in (4326, 3857, 25832, 3035):
        page = await fetch(client, f"/collections/german/items?crs={uri(srid)}&limit=2")
        assert "crs" not in page
        assert all("crs" not in each["geometry"] for each in page["features"])


async def test_metres_have_four_digits_and_degrees_seven(client: Client) -> None:
    for srid, digits in ((25832, 4), (4258, 7), (4326, 7), (2263, 4)):
        found, _ = await read_all(client, "german_areas", crs=uri(srid))
        numbers = [
            n
            for each in found.values()
            for ring in each["coordinates"]
            for position in ring
            for n in position
        ]
        assert max(len(repr(number).partition(".")[2]) for number in numbers) in (
            digits - 1,
            digits,
        )
        found, _ = await read_all(client, "german_areas", crs=uri(srid), precision="2")
        numbers = [
            n
            for each in found.values()
            for ring in each["coordinates"]
            for position in ring
            for n in position
        ]
        assert max(len(repr(number).partition(".")[2]) for number in numbers) == 2


async def test_projected_geometries_are_not_cut_at_the_antimeridian(
    service: Service, bare_database_url: str
) -> None:
    import asyncio

    await asyncio.to_thread(
        execute,
        bare_database_url,
        """CREATE TABLE islands (id int PRIMARY KEY, geom geometry(Polygon, 3832));
        INSERT INTO islands VALUES (2, ST_MakeEnvelope(3226000, -2000000, 3500000, -1800000, 3832));
        CREATE TABLE wide (id int PRIMARY KEY, geom geometry(Polygon, 4326));
        INSERT INTO wide VALUES (1, 'SRID=4326;POLYGON((175 -18, 185 -18, 185 -16, 175 -16, 175 -18))');""",
    )
    client = await service(bare_database_url, crs=(3832,))
    found, _ = await read_all(client, "islands", crs=uri(3832))
    assert found[2]["type"] == "Polygon"
    assert shape(found[2]).bounds == (3226000, -2000000, 3500000, -1800000)
    found, _ = await read_all(client, "wide", crs=uri(3832))
    assert found[1]["type"] == "Polygon"
    assert shape(found[1]).bounds[2] - shape(found[1]).bounds[0] == pytest.approx(
        10 / 180 * 20037508.34, rel=1e-6
    )
    for crs in (CRS84, uri(4326)):
        found, _ = await read_all(client, "wide", crs=crs)
        assert found[1]["type"] == "MultiPolygon"


@pytest.mark.parametrize("srid", [4326, 3857, *CONFIGURED])
async def test_no_stored_geometry_fails_a_read_in_any_reference_system(
    client: Client, srid: int
) -> None:
    for name, rows in (("far", 12), ("unsaid", 5)):
        for path in (
            "items?limit=100&",
            "export?",
            "items?limit=100&simplify=0.1&",
            "items?limit=100&f=csv&",
        ):
            async with client.get(f"/collections/{name}/{path}crs={uri(srid)}") as response:
                assert response.status == 200, await response.text()
                text = await response.text()
                assert "NaN" not in text
                assert "nfinity" not in text
                assert (
                    text.count("\r\n") == rows + 1
                    if "csv" in path
                    else len(json.loads(text)["features"]) == rows
                )
        for number in range(1, rows + 1):
            await fetch(client, f"/collections/{name}/items/{number}?crs={uri(srid)}")


async def test_what_can_be_said_of_a_geometry_is_said_in_every_reference_system(
    client: Client,
) -> None:
    found, _ = await read_all(client, "far", crs=uri(25832))
    x, y = Transformer.from_crs(4326, 25832, always_xy=True).transform(9, 48)
    assert found[1]["coordinates"] == pytest.approx([x, y], abs=1e-3)
    inner = found[6]["geometries"][0]["geometries"][0]
    assert inner["coordinates"] == pytest.approx([x, y], abs=1e-3)
    assert found[10] is None
    found, _ = await read_all(client, "far", crs=uri(4326))
    assert found[6]["geometries"][0]["geometries"][0]["coordinates"] == [48, 9]
    found, _ = await read_all(client, "unsaid", crs=uri(4326))
    assert [found[number]["coordinates"] for number in (1, 2)] == [[48, 9], [48, 9]]
    assert found[4] is None
    found, _ = await read_all(client, "unsaid", crs=uri(25832))
    assert found[3]["coordinates"] == [500000, 5316000]
    assert found[1]["coordinates"] == pytest.approx([x, y], abs=1e-3)


@pytest.mark.parametrize("srid", [4326, 3857, 25832, 3031, 4258])
async def test_nasty_geometries_are_read_in_every_reference_system(
    service: Service, nasty_url: str, srid: int
) -> None:
    client = await service(nasty_url, crs=CONFIGURED)
    count = len((await read_all(client, "nasty_geometries", skipGeometry="true"))[0])
    for path in (
        "items?limit=1000&",
        "export?",
        "items?limit=3&",
        "items?limit=1000&f=csv&",
        "items?limit=1000&zoom-level=3&",
    ):
        async with client.get(f"/collections/nasty_geometries/{path}crs={uri(srid)}") as response:
            assert response.status == 200, await response.text()
            text = await response.text()
        if "csv" not in path and "limit=3&" not in path:
            assert len(json.loads(text)["features"]) == count
    for box in ("-1e6,-1e6,1e6,1e6", "4e5,5e6,6e5,7e6", "0,0,1,1", "50,10,60,30"):
        for path in ("items?limit=1000&", "items?limit=1000&f=csv&", "export?"):
            async with client.get(
                f"/collections/nasty_geometries/{path}bbox-crs={uri(srid)}&crs={uri(srid)}&bbox={box}"
            ) as response:
                assert response.status in (200, 400), await response.text()
                await response.read()


async def test_a_cursor_is_bound_to_the_box_and_its_reference_system_but_not_to_that_of_the_answer(
    client: Client,
) -> None:
    values = {"bbox": "4e5,5e6,9e5,6e6", "bbox-crs": uri(25832), "limit": "5"}
    async with client.get(
        "/collections/points/items", params={**values, "crs": uri(25832)}
    ) as response:
        page = await response.json()
    following = next(each["href"] for each in page["links"] if each["rel"] == "next")
    second = await fetch(client, following)
    assert all(each["geometry"]["coordinates"][1] > 1e6 for each in second["features"])
    cursor = following.partition("cursor=")[2]
    async with client.get(
        "/collections/points/items", params={**values, "cursor": cursor}
    ) as response:
        again = await response.json()
    assert [each["id"] for each in again["features"]] == [each["id"] for each in second["features"]]
    assert again["features"][0]["geometry"]["coordinates"][0] < 90
    async with client.get(
        "/collections/points/items", params={**values, "bbox-crs": uri(3035), "cursor": cursor}
    ) as response:
        assert response.status == 400


async def test_a_search_speaks_of_the_same_reference_systems(client: Client) -> None:
    x, y = by_authority(4326, 25832).transform(50, 9)
    body = {
        "bbox": [x - 2e5, y - 2e5, x + 2e5, y + 2e5],
        "bbox-crs": uri(25832),
        "crs": uri(25832),
        "limit": 10_000,
    }
    async with client.post("/collections/points/search", json=body) as response:
        found = {each["id"]: each["geometry"] for each in (await response.json())["features"]}
        assert response.headers["Content-Crs"] == f"<{uri(25832)}>"
    box = ",".join(map(repr, body["bbox"]))  # type: ignore[call-overload]
    expected, _ = await read_all(
        client, "points", bbox=box, **{"bbox-crs": uri(25832), "crs": uri(25832)}
    )
    assert found == expected
    assert found


@pytest.mark.parametrize(
    ("name", "srid"),
    [
        ("points", 25832),
        ("german", 25832),
        ("german_areas", 3035),
        ("points_areas", 3031),
        ("mercator", 4326),
    ],
)
async def test_the_index_finds_what_is_in_a_box(
    client: Client, shared_url: str, name: str, srid: int
) -> None:
    settings = settings_for(shared_url)
    database = Database(settings, shared_url)
    await database.open()
    try:
        found = (await load_catalog(database, ServedCollections(), "", ""))[name]
        middle = (75, -75) if srid == 3031 else (9, 50)
        x, y = Transformer.from_crs(4326, srid, always_xy=True).transform(*middle)
        size = 1e3 if srid != 4326 else 0.01
        values = {
            "bbox": outside(srid, (x - size, y - size, x + size, y + size)),
            "bbox-crs": uri(srid),
        }
        rules = ReadingRules(PageLimits(10, 100), tuple(map(Srid, CONFIGURED)))
        statement = select_items(
            found, parse_items_query(values, found, rules), GEOJSON_FORMAT
        ).statement
        async with database.connection() as connection:
            await connection.execute("SET LOCAL enable_seqscan = off")
            plan = "\n".join(
                row[0]
                for row in await connection.fetch(f"EXPLAIN {statement.text}", *statement.args)
            )
    finally:
        await database.close()
    assert f"{name}_geom_idx" in plan, plan
    assert "Index Cond" in plan
    transformed = "transform" in plan.lower()
    assert not (transformed and found.geometry.srid == srid), plan


@pytest.fixture
async def writing(service: Service, crs_url: str) -> Client:
    """The service of a database to write to."""
    keys = {"plots_seen": {"key": "id"}}
    return await service(crs_url, crs=CONFIGURED, writable=("*",), collections=keys)


@pytest.mark.parametrize("srid", [4326, 3857, 25832, 3035, 31467, 4258])
@pytest.mark.parametrize("name", ["plots", "places", "plots_seen"])
async def test_what_is_posted_comes_back(writing: Client, name: str, srid: int) -> None:
    first, second = by_authority(4326, srid).transform([50, 50.01, 50.005], [9, 9, 9.01])
    ring = [[round(a, 9), round(b, 9)] for a, b in zip(first, second, strict=True)]
    polygon = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    slack = 2e-7 if srid in (4326, 4258) else 2e-3
    for place, header in enumerate((f"<{uri(srid)}>", uri(srid), f"[EPSG:{srid}]")):
        headers, made = await send(
            writing,
            "POST",
            f"{name}/items",
            feature(polygon, id=place),
            201,
            Content_Crs=header,
            Prefer=RETURNED,
        )
        assert headers["Content-Crs"] == f"<{uri(srid)}>"
        assert shapely.hausdorff_distance(shape(made["geometry"]), shape(polygon)) < slack
        path = place_of(headers)
        again = await fetch(writing, f"/collections/{path}?crs={uri(srid)}")
        assert shapely.hausdorff_distance(shape(again["geometry"]), shape(polygon)) < slack
        degrees = await fetch(writing, f"/collections/{path}")
        assert shape(degrees["geometry"]).bounds == pytest.approx((9, 50, 9.01, 50.01), abs=1e-4)
        async with writing.get(f"/collections/{path}", params={"crs": uri(srid)}) as response:
            etag = response.headers["ETag"]
        moved = {"type": "Point", "coordinates": ring[1]}
        headers, changed = await send(
            writing,
            "PUT",
            path,
            feature(moved),
            200,
            Content_Crs=header,
            If_Match=etag,
            Prefer=RETURNED,
        )
        assert headers["Content-Crs"] == f"<{uri(srid)}>"
        assert changed["geometry"]["coordinates"] == pytest.approx(ring[1], abs=slack)
        headers, changed = await send(
            writing,
            "PATCH",
            path,
            {"geometry": {"type": "Point", "coordinates": ring[2]}},
            200,
            kind="application/merge-patch+json",
            Content_Crs=header,
            If_Match=headers["ETag"],
            Prefer=RETURNED,
        )
        assert changed["geometry"]["coordinates"] == pytest.approx(ring[2], abs=slack)
        await send(writing, "DELETE", path, None, 204)


@pytest.mark.parametrize("srid", [4326, 25832, 3035])
async def test_many_that_are_posted_come_back(writing: Client, srid: int) -> None:
    first, second = by_authority(4326, srid).transform([50.0, 50.5, 51.0], [9.0, 9.5, 10.0])
    places = [
        {"type": "Point", "coordinates": list(each)} for each in zip(first, second, strict=True)
    ]
    body = {
        "type": "FeatureCollection",
        "features": [feature(place, id=n) for n, place in enumerate(places)],
    }
    await send(writing, "POST", "plots/items", body, 201, Content_Crs=f"<{uri(srid)}>")
    found, _ = await read_all(writing, "plots", crs=uri(srid), precision="9")
    for number, place in enumerate(places):
        assert found[number]["coordinates"] == pytest.approx(
            place["coordinates"], abs=2e-3 if srid != 4326 else 1e-8
        )


async def test_a_posted_place_that_cannot_be_is_refused(writing: Client) -> None:
    for srid, place in (
        (4326, [9, 200]),
        (4326, [95, 9]),
        (4258, [9, 181]),
        (25832, [1e15, 1e15]),
        (3035, [3e7, 3e7]),
    ):
        body = feature({"type": "Point", "coordinates": place}, id=1)
        problem = (
            await send(writing, "POST", "places/items", body, 422, Content_Crs=f"<{uri(srid)}>")
        )[1]
        assert problem["pointer"].startswith("/geometry"), (srid, place)
    for header in (*WRONG[1:12], "<>", "<<x>>"):
        text = json.dumps(feature(None, id=1)).encode()
        refused = await problem_of(
            writing,
            "POST",
            "places/items",
            text,
            **{"Content-Type": "application/geo+json", "Content-Crs": header},
        )
        assert (refused["status"], refused["parameter"]) == (400, "Content-Crs")


async def test_the_api_describes_the_parameters(client: Client) -> None:
    api = await fetch(client, "/api")
    for name in ("points", "german", "heights"):
        listed = (await fetch(client, f"/collections/{name}"))["crs"]
        for path, names in (
            ("items", {"crs", "bbox-crs"}),
            ("export", {"crs", "bbox-crs"}),
            ("items/{featureId}", {"crs"}),
        ):
            operation = api["paths"][f"/collections/{name}/{path}"]["get"]
            referred = [
                each["$ref"].rpartition("/")[2]
                for each in operation["parameters"]
                if "$ref" in each
            ]
            described = {
                each["name"]: each for each in map(api["components"]["parameters"].get, referred)
            }
            for each in names:
                assert described[each]["schema"]["enum"] == listed
            assert described["crs"]["schema"]["default"] == listed[0]


@pytest.mark.parametrize("code", ["99999", "4978", "5773", "0", "x", "-1", "99999999999"])
def test_a_code_that_nobody_knows_stops_the_start_with_one_line(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSVC_CRS", f"25832,{code}")
    with pytest.raises(SettingsError) as caught:
        build_app(load_settings(database_url="postgresql://localhost/x"))
    assert len(caught.value.mistakes) == 1
    assert "GEOSVC_CRS" in caught.value.mistakes[0]
