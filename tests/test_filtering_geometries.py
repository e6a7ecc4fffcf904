"""Spatial filters: in every kind of column, in every reference system, across the antimeridian, and
of geometries that harm.
"""

import itertools
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from tests.conftest import Client, Service, execute
from tests.filtering import answer, found, in_json, refusal, selected
from tests.http import fetch

OPERATORS = (
    "INTERSECTS",
    "EQUALS",
    "DISJOINT",
    "TOUCHES",
    "WITHIN",
    "OVERLAPS",
    "CROSSES",
    "CONTAINS",
)
LITERALS = (
    "BBOX(0, 0, 2, 2)",
    "POINT(24.9384 60.1699)",
    "LINESTRING(0 0, 2 2)",
    "BBOX(170, -20, -170, 20)",
    "POLYGON((0 0, 2 0, 2 2, 0 0))",
    "GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(5 5, 6 6), POLYGON((0 0, 1 0, 1 1, 0 0)))",
)
COLUMNS = {
    "degrees": "geometry(Geometry, 4326)",
    "points": "geometry(Point, 4326)",
    "metres": "geometry(Geometry, 25832)",
    "mercator": "geometry(Geometry, 3857)",
    "globe": "geography(Geometry, 4326)",
    "globe_points": "geography(Point, 4326)",
    "unknown": "geometry",
}
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
PACIFIC = """
CREATE TABLE pacific (id int PRIMARY KEY, geom geometry(Geometry, 4326));
CREATE TABLE pacific_globe (id int PRIMARY KEY, geom geography(Point, 4326));
INSERT INTO pacific VALUES (1, 'POINT(179 0)'), (2, 'POINT(-179 0)'), (3, 'POINT(181 0)'), (4, 'POINT(-181 0)'),
(5, 'POINT(0 0)'), (6, 'MULTIPOLYGON(((175 -1, 180 -1, 180 1, 175 1, 175 -1)), ((-180 -1, -175 -1, -175 1, -180 1, -180 -1)))'),
(7, 'POLYGON((175 -1, 185 -1, 185 1, 175 1, 175 -1))'), (8, 'POLYGON((-185 -1, -175 -1, -175 1, -185 1, -185 -1))'),
(9, 'LINESTRING(160 0, 200 0)'), (10, 'POLYGON((165 -9, 195 -9, 195 9, 165 9, 165 -9))');
INSERT INTO pacific_globe VALUES (1, 'POINT(179 0)'), (2, 'POINT(-179 0)'), (5, 'POINT(0 0)');
CREATE INDEX ON pacific USING gist (geom);
"""


def _places() -> list[tuple[int, Any]]:
    """Points and small squares about Frankfurt, in degrees."""
    places: list[tuple[int, Any]] = []
    for number, (x, y) in enumerate(itertools.product(range(10), range(10))):
        place = shapely.Point(8.0 + x / 10 + 0.013, 50.0 + y / 10 + 0.017)
        places.append((number, place if number % 3 else place.buffer(0.02, cap_style="square")))
    return places


PLACES = _places()


@pytest.fixture(scope="module")
def url(bare_module_url: str) -> str:
    execute(bare_module_url, PACIFIC)
    for table, kind in COLUMNS.items():
        made = ",".join(
            f"({number}, 'SRID=4326;{(place.centroid if 'oint' in kind else place).wkt}'::geometry)"
            for number, place in PLACES
        )
        value = (
            "ST_Transform(g, 25832)"
            if "25832" in kind
            else "ST_Transform(g, 3857)"
            if "3857" in kind
            else "g"
        )
        execute(
            bare_module_url,
            f"""CREATE TABLE {table} (id int PRIMARY KEY, geom {kind});
            INSERT INTO {table} SELECT n, {value} FROM (VALUES {made}) AS made(n, g);
            INSERT INTO {table} VALUES (1000, NULL), (1001, {
                "ST_SetSRID('POINT EMPTY'::geometry, 0)" if table == "unknown" else "'POINT EMPTY'"
            }); CREATE INDEX ON {table} USING gist (geom)""",
        )
    return bare_module_url


@pytest.fixture
async def client(service: Service, url: str) -> Client:
    return await service(url)


def expected(test: Any, points: bool) -> set[int]:
    return {number for number, place in PLACES if test(place.centroid if points else place)}


async def test_every_kind_of_column_answers_alike(client: Client) -> None:
    """Far from where lines that are straight in degrees and in metres part."""
    triangle = shapely.Polygon([(8.1, 50.1), (8.8, 50.2), (8.4, 50.75), (8.1, 50.1)])
    hole = shapely.box(8.2, 50.2, 8.9, 50.9) - shapely.box(8.4, 50.4, 8.6, 50.6)
    line = shapely.LineString([(8.0, 50.0), (8.9, 50.85)])
    for table, kind in COLUMNS.items():
        for shape in (triangle, hole, line):
            for name in ("intersects", "disjoint", "within"):
                wanted = expected(
                    lambda place, name=name, shape=shape: getattr(place, name)(shape),
                    "oint" in kind,
                )
                wanted |= {1001} if name == "disjoint" else set()
                predicate = f"S_{name.upper()}(geom, {shape.wkt})"
                assert await selected(client, table, predicate) == wanted, (table, predicate)
                assert (
                    await in_json(
                        client,
                        table,
                        {
                            "op": f"s_{name}",
                            "args": [{"property": "geom"}, shapely.geometry.mapping(shape)],
                        },
                    )
                    == wanted
                ), (table, predicate)


@pytest.mark.parametrize("code", [25832, 4326, 3857, 4258])
async def test_a_literal_in_another_system_is_the_same_place(
    service: Service, url: str, code: int
) -> None:
    client = await service(url, crs=[code])
    there = Transformer.from_crs(
        4326, code
    )  # axes as the authority has them, and so are those of filter-crs
    square = shapely.segmentize(shapely.box(8.25, 50.15, 8.65, 50.55), 0.01)
    moved = shapely.transform(
        square, lambda each: np.column_stack(there.transform(each[:, 1], each[:, 0]))
    )
    for table in ("degrees", "metres", "mercator", "globe", "unknown"):
        for name in ("intersects", "within", "disjoint"):
            here = await selected(client, table, f"S_{name.upper()}(geom, {square.wkt})")
            predicate = f"S_{name.upper()}(geom, {moved.wkt})"
            assert (
                await selected(client, table, predicate, **{"filter-crs": f"{EPSG}{code}"}) == here
            ), (table, name)
            written = {
                "op": f"s_{name}",
                "args": [{"property": "geom"}, shapely.geometry.mapping(moved)],
            }
            assert (
                await found(client, table, filter=written, **{"filter-crs": f"{EPSG}{code}"})
                == here
            ), (table, name)
            assert 0 < len(here) < 102


async def test_axes_of_a_literal_are_those_of_its_system(client: Client) -> None:
    box = await selected(client, "degrees", "S_WITHIN(geom, BBOX(8.2, 50.1, 8.6, 50.7))")
    assert box == await selected(
        client,
        "degrees",
        "S_WITHIN(geom, BBOX(50.1, 8.2, 50.7, 8.6))",
        **{"filter-crs": f"{EPSG}4326"},
    )
    assert len(box) > 10


@pytest.mark.parametrize(
    ("predicate", "wanted"),
    [
        ("S_INTERSECTS(geom, BBOX(170, -10, -170, 10))", {1, 2, 3, 4, 6, 7, 8, 9, 10}),
        ("S_WITHIN(geom, BBOX(170, -10, -170, 10))", {1, 2, 3, 4, 6, 7, 8}),
        ("NOT S_INTERSECTS(geom, BBOX(170, -10, -170, 10))", {5}),
        ("S_DISJOINT(geom, BBOX(170, -10, -170, 10))", {5}),
        ("S_CONTAINS(geom, BBOX(176, -0.5, -176, 0.5))", {6, 7, 8, 10}),
        ("S_CROSSES(geom, BBOX(170, -10, -170, 10))", {9}),
        ("S_OVERLAPS(geom, BBOX(170, -10, -170, 10))", {10}),
        ("S_EQUALS(geom, BBOX(175, -1, -175, 1))", {6, 7, 8}),
        ("S_INTERSECTS(geom, BBOX(178, -10, 180, 10))", {1, 4, 6, 7, 8, 9, 10}),
        ("S_INTERSECTS(geom, POINT(-179 0))", {2, 3, 6, 7, 8, 9, 10}),
    ],
)
async def test_boxes_go_on_across_the_antimeridian(
    client: Client, predicate: str, wanted: set[int]
) -> None:
    assert await selected(client, "pacific", predicate) == wanted
    if "INTERSECTS(geom, BBOX(170" in predicate:
        assert await selected(client, "pacific_globe", predicate) == wanted & {1, 2, 5}


async def test_what_is_not_on_earth_or_no_geometry_is_refused_with_its_place(
    client: Client,
) -> None:
    for literal, said in (
        ("POINT(181 0)", "longitude beyond 180"),
        ("POINT(0 90.1)", "latitude beyond 90"),
        ("BBOX(0, 2, 1, 1)", "south above its north"),
        ("BBOX(0, 0, 1)", "takes 4 or 6 numbers"),
        ("BBOX(0, -91, 1, 1)", "latitude"),
        ("BBOX(-600, 0, 1, 1)", "longitude"),
        ("POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))", "crosses itself"),
        ("POLYGON((0 0, 1 1))", "the geometry"),
        ("LINESTRING(0 0)", "the geometry"),
        ("POLYGON((0 0, 1 0, 1 1, 0 1))", "the geometry"),
    ):
        said_ = await refusal(client, "degrees", f"id = 1 AND S_INTERSECTS(geom, {literal})")
        assert said in said_.replace("Self-intersection", "crosses itself"), said_
        assert said_.startswith("at character 31"), said_
    far = await refusal(
        client, "degrees", "S_INTERSECTS(geom, POINT(1e12 1e12))", **{"filter-crs": f"{EPSG}3857"}
    )
    assert "does not reach" in far or "the geometry" in far


@pytest.mark.parametrize(
    ("collection", "column", "nulls"),
    [
        ("nasty_geometries", "geom", {10}),
        ("nasty_geography", "geog", {9}),
        ("nasty_srid_zero", "geom", set()),
        ("nasty_projected", "geom", {4}),
        ("nasty_two_geometries.footprint", "footprint", {3}),
        ("nasty_types", "geom", {5, 6}),
    ],
)
async def test_no_stored_geometry_fails_a_filter_and_none_is_both_in_and_out(
    nasty: Client, collection: str, column: str, nulls: set[int]
) -> None:
    everything = await selected(nasty, collection, "TRUE")
    assert await selected(nasty, collection, f"{column} IS NULL") == nulls
    for operator, literal in itertools.product(OPERATORS, (*LITERALS, column)):
        if literal.startswith("GEOMETRYC") and operator not in ("INTERSECTS", "DISJOINT"):
            said = await refusal(nasty, collection, f"S_{operator}({column}, {literal})")
            assert "collection of different types" in said
            continue
        holds, denied = [
            await selected(
                nasty, collection, f"{no}S_{operator}({column}, {literal})", limit="1000"
            )
            for no in ("", "NOT ")
        ]
        assert not holds & denied, (operator, literal)
        assert holds | denied == everything - nulls, (operator, literal)


async def test_geometries_of_many_systems_are_compared_in_degrees(nasty: Client) -> None:
    near = await selected(
        nasty, "nasty_geometries", "S_INTERSECTS(geom, BBOX(24.9, 60.1, 25, 60.2)) AND id < 5"
    )
    assert near == {1, 2, 3, 4}
    assert await selected(nasty, "nasty_srid_zero", "S_INTERSECTS(geom, BBOX(24, 60, 25, 61))") == {
        1
    }


async def test_views_functions_and_partitions_are_filtered_too(nasty: Client) -> None:
    assert await selected(
        nasty,
        "nasty_partitioned",
        "day >= DATE('2024-01-01') AND S_INTERSECTS(geom, BBOX(0, 6, 2, 6))",
    ) == {"1,2024-06-01"}
    assert await selected(nasty, "nasty_partitioned", "day < DATE('0001-01-01')") == {
        "4,0044-03-15 BC"
    }
    for collection, filter_, query, names in (
        (
            "cities_near",
            "distance_metres < 20000 AND name <> 'Espoo'",
            {"lon": "24.9", "lat": "60.2"},
            {"Helsinki"},
        ),
        (
            "cities_of_country",
            "mood = 'ok' AND S_INTERSECTS(geom, BBOX(24, 60, 24.8, 61))",
            {},
            {"Espoo"},
        ),
        (
            "nasty_keyless_view",
            "population > 1000000 AND S_WITHIN(geom, BBOX(20, 57, 29, 60))",
            {},
            {"Estonia"},
        ),
        (
            "nasty_materialised",
            "code LIKE 'F_' AND S_INTERSECTS(geom, POINT(25 65))",
            {},
            {"Finland"},
        ),
    ):
        status, body = await answer(nasty, collection, filter_, **query)
        assert (status, {each["properties"]["name"] for each in body["features"]}) == (
            200,
            names,
        ), body


async def test_a_filter_is_one_of_many_conditions(nasty: Client) -> None:
    path = "/collections/nasty_times/items?skipGeometry=true&filter="
    for query, ids in (
        ("id%20%3C%209&datetime=2024-06-01T09:00:00Z", {1, 2, 4, 5, 6}),
        ("id%20%3C%204&bbox=1.5,6,9,8", {2, 3}),
        ("id%20%3C%204&label=closed", {1}),
        ("id%20%3C%204&label=never", set()),
        ("id%20%3C%204&bbox=1.5,6,9,8&datetime=2025-01-01T00:00:00Z&label=open%20end", {2}),
    ):
        page = await fetch(nasty, path + query + "&limit=100")
        assert {feature["id"] for feature in page["features"]} == ids, query
    bodies = {"geometry": {"type": "Point", "coordinates": [2, 7]}, "filter": "id < 4"}
    assert await found(nasty, "nasty_times", **bodies) == {2}
    assert await found(nasty, "nasty_times", **bodies, predicate="disjoint") == {1, 3}
    async with nasty.post(
        "/collections/nasty_times/search", json={**bodies, "predicate": "nearest", "k": 2}
    ) as response:
        assert [feature["id"] for feature in (await response.json())["features"]] == [2, 1]
