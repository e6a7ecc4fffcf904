"""SRIDs that PostGIS knows and EPSG does not: those of ESRI, and rows that somebody added to
spatial_ref_sys.
"""

import asyncio
import random
import re
from typing import Any

import asyncpg
import pytest
from pyproj import CRS, Transformer

from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import load_catalog
from geosvc.database.pool import Database
from geosvc.formats import GEOJSON_FORMAT
from geosvc.query.features import select_items
from geosvc.requests.items import PageLimits, ReadingRules, parse_items_query
from tests.conftest import Client, Service, execute, settings_for
from tests.http import fetch

FEET = (
    CRS.from_epsg(2263)
    .to_wkt("WKT1_GDAL")
    .replace("New York Long Island", "Ours")
    .replace('AUTHORITY["EPSG","2263"]', "")
)
ROWS = f"""
INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid, srtext, proj4text) VALUES
  (990001, NULL, NULL, $wkt${FEET.replace(",]", "]")}$wkt$, NULL),
  (990002, 'epsg', 3067, NULL, NULL),
  (990003, 'ours', 1, NULL, '+proj=laea +lat_0=50 +lon_0=10 +ellps=GRS80 +units=m'),
  (990004, NULL, NULL, NULL, '+proj=longlat +ellps=GRS80');
"""
# SRID: a system that is the same, and where it is used
SYSTEMS = {
    102003: ("ESRI:102003", (-110, 30, -80, 45)),
    102718: ("ESRI:102718", (-74.2, 40.5, -71.9, 41.2)),
    104305: ("ESRI:104305", (2, 24, 10, 35)),
    990001: ("EPSG:2263", (-74.2, 40.5, -71.9, 41.2)),
    990002: ("EPSG:3067", (20, 60, 30, 68)),
    990003: ("+proj=laea +lat_0=50 +lon_0=10 +ellps=GRS80 +units=m", (0, 45, 20, 55)),
    990004: ("+proj=longlat +ellps=GRS80", (0, 45, 20, 55)),
}
URIS = {102003: "ESRI/0/102003", 102718: "ESRI/0/102718", 990002: "EPSG/0/3067"}


def places(area: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    chosen = random.Random(5)
    return [
        (round(chosen.uniform(area[0], area[2]), 6), round(chosen.uniform(area[1], area[3]), 6))
        for _ in range(60)
    ]


@pytest.fixture
def url(bare_database_url: str) -> str:
    """A table of each system."""
    sql = [ROWS]
    for srid, (_, area) in SYSTEMS.items():
        values = ",".join(
            f"({number}, ST_Transform(ST_SetSRID(ST_Point({x}, {y}), 4326), {srid}))"
            for number, (x, y) in enumerate(places(area))
        )
        sql.append(
            f"CREATE TABLE s{srid} (id int PRIMARY KEY, geom geometry(Point, {srid})); INSERT INTO"
            f" s{srid} VALUES {values};"
            f"CREATE INDEX ON s{srid} USING gist (geom); ANALYZE s{srid};"
        )
    execute(bare_database_url, "".join(sql))
    return bare_database_url


@pytest.fixture
async def client(service: Service, url: str) -> Client:
    return await service(url)


async def test_every_system_has_an_extent_and_boxes_that_are_right(client: Client) -> None:
    for srid, (_, area) in SYSTEMS.items():
        collection = await fetch(client, f"/collections/s{srid}")
        points = places(area)
        bounds = [
            min(x for x, _ in points),
            min(y for _, y in points),
            max(x for x, _ in points),
            max(y for _, y in points),
        ]
        extent = collection["extent"]["spatial"]["bbox"][0]
        size = max(area[2] - area[0], area[3] - area[1])
        assert extent == pytest.approx(bounds, abs=size / 3), srid
        west, south = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
        found = await fetch(
            client, f"/collections/s{srid}/items?limit=100&bbox={west},{south},{area[2]},{area[3]}"
        )
        expected = {number for number, (x, y) in enumerate(points) if x >= west and y >= south}
        assert {each["id"] for each in found["features"]} == expected, srid
        for each in found["features"]:
            assert each["geometry"]["coordinates"] == pytest.approx(points[each["id"]], abs=1e-4)


async def test_extents_are_told_without_reading_rows(service: Service, url: str) -> None:
    client = await service(url, count_seconds=0.001)  # in which no extent is found by reading
    listed = {each["id"]: each for each in (await fetch(client, "/collections"))["collections"]}
    for srid, (_, area) in SYSTEMS.items():
        west, south, east, north = listed[f"s{srid}"]["extent"]["spatial"]["bbox"][0]
        size = max(area[2] - area[0], area[3] - area[1])
        assert (west, south, east, north) == pytest.approx(area, abs=size / 2), srid


async def test_a_zoom_level_simplifies_by_as_many_metres_in_every_system(
    service: Service, url: str
) -> None:
    sql = []
    for srid, (_, area) in SYSTEMS.items():
        x, y = (area[0] + area[2]) / 2, (area[1] + area[3]) / 2
        # 10 km off the straight line
        line = f"LINESTRING({x - 0.5} {y}, {x} {y + 0.09}, {x + 0.5} {y})"
        sql.append(
            f"CREATE TABLE line{srid} (id int PRIMARY KEY, geom geometry(LineString, {srid}));"
        )
        sql.append(
            f"INSERT INTO line{srid} VALUES (1, ST_Transform('SRID=4326;{line}'::geometry,"
            f" {srid}));"
        )
    await asyncio.to_thread(execute, url, "".join(sql))
    client = await service(url)
    for srid in SYSTEMS:
        for level, positions in ((3, 2), (5, 3)):  # of 19.6 km and 4.9 km
            found = await fetch(client, f"/collections/line{srid}/items?zoom-level={level}")
            assert len(found["features"][0]["geometry"]["coordinates"]) == positions, (srid, level)


@pytest.mark.parametrize("srid", URIS)
async def test_what_an_authority_names_is_offered_by_its_uri(client: Client, srid: int) -> None:
    uri = f"http://www.opengis.net/def/crs/{URIS[srid]}"
    collection = await fetch(client, f"/collections/s{srid}")
    assert collection["storageCrs"] == uri
    authority, _, code = URIS[srid].replace("/0/", ":").partition(":")
    there = Transformer.from_crs(4326, SYSTEMS[srid][0], always_xy=True)
    for name in (uri, f"urn:ogc:def:crs:{authority}::{code}", f"[{authority}:{code}]"):
        found = await fetch(
            client,
            f"/collections/s{srid}/items/7?crs={name.replace('[', '%5B').replace(']', '%5D')}",
        )
        expected = there.transform(*places(SYSTEMS[srid][1])[7])
        assert found["geometry"]["coordinates"] == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("srid", [990001, 990003, 990004])
async def test_what_no_authority_names_is_offered_in_other_systems(
    client: Client, srid: int
) -> None:
    collection = await fetch(client, f"/collections/s{srid}")
    assert "storageCrs" not in collection
    assert len(collection["crs"]) == len(set(collection["crs"])) == 3


def test_no_row_is_transformed_to_be_compared_with_a_box(url: str) -> None:
    async def plans() -> dict[int, tuple[str, tuple[Any, ...]]]:
        database = Database(settings_for(url), url)
        await database.open()
        catalog = await load_catalog(database, ServedCollections(), "", "")
        await database.close()
        found = {}
        for srid, (_, area) in SYSTEMS.items():
            collection = catalog[f"s{srid}"]
            values = {"bbox": ",".join(map(str, area)), "skipGeometry": "true"}
            request = parse_items_query(values, collection, ReadingRules(PageLimits(10, 100)))
            statement = select_items(collection, request, GEOJSON_FORMAT).statement
            found[srid] = statement.text, tuple(statement.args)
        return found

    async def explained() -> None:
        connection = await asyncpg.connect(url)
        for srid, (text, args) in (await plans()).items():
            plan = "\n".join(
                row[0] for row in await connection.fetch("EXPLAIN VERBOSE " + text, *args)
            )
            assert not re.search(r"transform\((\w+\.)?geom\b", plan, re.IGNORECASE), (srid, plan)
        await connection.close()

    asyncio.run(explained())
