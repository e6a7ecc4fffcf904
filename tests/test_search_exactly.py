"""Searches where the plane and the spheroid differ, and among geometries that harm a server:
against a look at each.
"""

import json
import random
import struct
from typing import Any

import asyncpg
import numpy as np
import pytest
import shapely
from pyproj import Geod

from tests.conftest import Client, Service, execute

GEOD = Geod(ellps="WGS84")
PREDICATES = (
    "intersects",
    "within",
    "contains",
    "crosses",
    "overlaps",
    "touches",
    "disjoint",
    "dwithin",
    "nearest",
)


async def search(client: Client, collection: str, status: int = 200, **body: Any) -> Any:
    async with client.post(f"/collections/{collection}/search", json=body) as response:
        text = await response.read()
        assert response.status == status, text
        return json.loads(text)


async def run(url: str, sql: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    return {
        "type": "Polygon",
        "coordinates": [
            [[west, south], [east, south], [east, north], [west, north], [west, south]]
        ],
    }


def distances(page: Any) -> dict[int, float]:
    return {feature["id"]: feature["distance"] for feature in page["features"]}


def metres_to(shape: Any, points: "np.ndarray[Any, Any]", step: float) -> "np.ndarray[Any, Any]":
    """From each point to a shape with straight edges in degrees, by the nearest of positions on
    them.
    """
    edges = shapely.get_coordinates(shapely.segmentize(shape, step))
    found = np.empty(len(points))
    inside = shapely.intersects_xy(shape, points[:, 0], points[:, 1])
    for number, (x, y) in enumerate(points):
        unit = (
            np.cos(np.radians(edges[:, 1]))
            * np.cos(np.radians(y))
            * np.cos(np.radians(edges[:, 0] - x))
        )
        near = edges[
            np.argsort(-(unit + np.sin(np.radians(edges[:, 1])) * np.sin(np.radians(y))))[:200]
        ]
        found[number] = GEOD.inv(
            np.full(len(near), x), np.full(len(near), y), near[:, 0], near[:, 1]
        )[2].min()
    found[inside] = 0.0
    return found


POINTS = [
    (1, 0, 45),
    (2, 0, 55),
    (3, 0, 85),
    (4, 179.99, 10),
    (5, -179.99, 10),
    (6, 100, -20),
    (7, -179.9, 45),
    (8, 60.1, 40.2),
]
SHAPES = {
    "a wide box": shapely.box(-60, 40, 60, 50),
    "the world": shapely.box(-180, -90, 180, 90),
    "a cap": shapely.box(-180, 80, 180, 90),
    "a band": shapely.box(-180, 40, 180, 50),
    "both sides": shapely.MultiPolygon(
        [shapely.box(179.5, 9, 180, 11), shapely.box(-180, 9, -179.5, 11)]
    ),
    "a long line": shapely.LineString([(-170, 10), (170, 60)]),
    "the south": shapely.Polygon(
        [(-180, -90), (180, -90), (180, -60), (90, -65), (0, -60), (-90, -70), (-180, -60)]
    ),
}


@pytest.fixture
def url(bare_database_url: str) -> str:
    rows = ",".join(f"({number}, 'SRID=4326;POINT({x} {y})')" for number, x, y in POINTS)
    execute(
        bare_database_url,
        f"""CREATE TABLE points (id int PRIMARY KEY, geom geometry(Point, 4326)); INSERT INTO points VALUES {rows};
        CREATE INDEX ON points USING gist (geom);
        CREATE TABLE anything (id int PRIMARY KEY, geom geometry(Geometry, 4326));
        INSERT INTO anything SELECT id, geom FROM points;
        INSERT INTO anything SELECT i, ST_SetSRID(ST_Point(14 + i * 0.01, 60), 4326) FROM generate_series(1001, 1100) i;
        INSERT INTO anything SELECT id + 1000, ST_Expand(geom, 0.01) FROM anything WHERE id > 1000;
        CREATE INDEX ON anything USING gist (geom);""",
    )
    return bare_database_url


@pytest.mark.parametrize("collection", ["points", "anything"])
@pytest.mark.parametrize("name", SHAPES)
async def test_edges_are_straight_in_degrees_for_distances_too(
    service: Service, url: str, name: str, collection: str
) -> None:
    client = await service(url)
    shape = SHAPES[name]
    expected = dict(
        zip(
            (each[0] for each in POINTS),
            metres_to(shape, np.array([p[1:] for p in POINTS], float), 0.02),
            strict=True,
        )
    )
    asked: dict[str, Any] = {"geometry": shapely.geometry.mapping(shape), "skipGeometry": True}
    found = distances(await search(client, collection, **asked, predicate="nearest", k=1_000))
    for number, metres in expected.items():
        assert found[number] == pytest.approx(metres, rel=1e-3, abs=5.0), number
    inside = {number for number, metres in expected.items() if metres == 0}
    assert (
        inside
        <= distances(
            await search(client, collection, **asked, predicate="dwithin", distance=0, limit=1_000)
        ).keys()
    )
    for distance in (1_000.0, 300_000.0, 2_000_000.0):
        near = distances(
            await search(
                client, collection, **asked, predicate="dwithin", distance=distance, limit=1_000
            )
        )
        sure = {number for number, metres in expected.items() if metres < distance * 0.998 - 5}
        perhaps = {number for number, metres in expected.items() if metres < distance * 1.002 + 5}
        assert sure <= near.keys() & set(expected) <= perhaps, distance


@pytest.mark.parametrize("seed", range(12))
async def test_random_areas_find_what_lies_around_them(
    service: Service, bare_database_url: str, seed: int
) -> None:
    chosen = random.Random(seed)
    x, y = [(10.0, 50.0), (179.0, -17.0), (-179.5, 65.0), (30.0, 88.5), (-60.0, -86.0), (0.2, 1.0)][
        seed % 6
    ]
    points = [(chosen.gauss(x, 3), chosen.gauss(y, 1.5)) for _ in range(400)]
    points = [((a + 180) % 360 - 180, max(min(b, 90.0), -90.0)) for a, b in points]
    rows = ",".join(
        f"({number}, ST_SetSRID(ST_Point({a}, {b}), 4326))" for number, (a, b) in enumerate(points)
    )
    await run(
        bare_database_url, "CREATE TABLE around (id int PRIMARY KEY, geom geometry(Point, 4326))"
    )
    await run(bare_database_url, f"INSERT INTO around VALUES {rows}")
    await run(bare_database_url, "CREATE INDEX ON around USING gist (geom)")
    corners = [(chosen.gauss(x, 2), chosen.gauss(y, 1)) for _ in range(5)]
    corners = [(max(min(a, 180.0), -180.0), max(min(b, 90.0), -90.0)) for a, b in corners]
    shape = shapely.MultiPoint(corners).convex_hull if seed % 2 else shapely.LineString(corners)
    expected = metres_to(shape, np.array(points), 0.001)
    client = await service(bare_database_url)
    asked: dict[str, Any] = {"geometry": shapely.geometry.mapping(shape), "skipGeometry": True}
    found = distances(await search(client, "around", **asked, predicate="nearest", k=60))
    assert sorted(found.values()) == pytest.approx(
        np.sort(expected)[:60].tolist(), rel=1e-4, abs=15
    )
    assert list(found.values()) == sorted(found.values())
    for number, metres in found.items():
        assert metres == pytest.approx(expected[number], rel=1e-4, abs=15)
    for distance in (5_000.0, 80_000.0):
        near = set(
            distances(
                await search(
                    client, "around", **asked, predicate="dwithin", distance=distance, limit=1_000
                )
            )
        )
        sure = set(np.flatnonzero(expected < distance * 0.9999 - 15).tolist())
        assert sure <= near <= set(np.flatnonzero(expected < distance * 1.0001 + 15).tolist())


@pytest.mark.parametrize(
    ("table", "kind"), [("mercator", "3857"), ("finnish", "3067"), ("geogs", "geography")]
)
@pytest.mark.parametrize("k", [7, 400])
async def test_the_nearest_are_exact_in_every_kind_of_column(
    service: Service, bare_database_url: str, table: str, kind: str, k: int
) -> None:
    place = "ST_SetSRID(ST_Point(20 + random() * 11, 60 + random() * 9), 4326)"
    made = f"{place}::geography" if kind == "geography" else f"ST_Transform({place}, {kind})"
    column = "geography(Point, 4326)" if kind == "geography" else f"geometry(Point, {kind})"
    await run(bare_database_url, f"CREATE TABLE {table} (id int PRIMARY KEY, g {column})")
    await run(
        bare_database_url, f"INSERT INTO {table} SELECT i, {made} FROM generate_series(1, 5000) i"
    )
    await run(bare_database_url, f"CREATE INDEX ON {table} USING gist (g)")
    client = await service(bare_database_url)
    value = "g" if kind == "geography" else "ST_Transform(g, 4326)::geography"
    for x, y in ((25.0, 64.0), (20.1, 68.9), (30.9, 60.1)):
        asked = f"'SRID=4326;POINT({x} {y})'::geography"
        best = await run(
            bare_database_url,
            f"SELECT id FROM {table} ORDER BY ST_Distance({value}, {asked}), id LIMIT {k}",
        )
        found = await search(
            client, table, geometry=point(x, y), predicate="nearest", k=k, skipGeometry=True
        )
        assert [feature["id"] for feature in found["features"]] == [row["id"] for row in best]


async def test_a_geometry_stored_beyond_180_is_found_on_the_other_side(
    service: Service, url: str
) -> None:
    await run(url, "INSERT INTO anything VALUES (80, ST_MakeEnvelope(170, -10, 190, 10, 4326))")
    client = await service(url)
    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("intersects", point(-175, 0), {}),
        ("contains", box(-179, -1, -175, 1), {}),
        ("overlaps", box(-175, -1, -165, 1), {}),
        ("dwithin", point(-175, 0), {"distance": 10}),
        ("nearest", point(-175, 0), {"k": 1}),
    ]
    for predicate, geometry, more in asked:
        page = await search(client, "anything", geometry=geometry, predicate=predicate, **more)
        assert [feature["id"] for feature in page["features"]] == [80], predicate


def _ring(*positions: tuple[float, float]) -> bytes:
    return struct.pack("<I", len(positions)) + b"".join(
        struct.pack("<dd", *position) for position in positions
    )


def _part(code: int, *parts: bytes) -> bytes:
    return struct.pack("<BII", 1, code, len(parts)) + b"".join(parts)


def _stored(part: bytes) -> str:
    """Hex EWKB: geometry_in takes it unchecked."""
    return (
        struct.pack("<BII", 1, struct.unpack("<I", part[1:5])[0] | 0x20000000, 4326) + part[5:]
    ).hex()


AREA = _ring((24, 59), (26, 59), (26, 61), (24, 61), (24, 59))
EMPTY = _ring()
POINT = struct.pack("<BIdd", 1, 1, 25, 60)
NO_POINT = struct.pack("<BIdd", 1, 1, float("nan"), float("nan"))
LINE = struct.pack("<BI", 1, 2) + _ring((24, 60), (25, 61))
HARMFUL = {
    "hole of no point": _part(3, AREA, EMPTY),
    "hole of one point": _part(3, AREA, _ring((25, 60))),
    "hole of two points": _part(3, AREA, _ring((25, 60.4), (25.2, 60.2))),
    "shell of no point": _part(3, EMPTY, AREA),
    "second part of no point": _part(6, _part(3, AREA), _part(3, EMPTY)),
    "first part of no point": _part(6, _part(3, EMPTY), _part(3, AREA)),
    "only part of no point": _part(6, _part(3, EMPTY)),
    "part with a hole of no point": _part(
        6, _part(3, AREA, EMPTY), _part(3, _ring((0, 0), (1, 0), (1, 1), (0, 0)))
    ),
    "a line and none": _part(5, LINE, struct.pack("<BI", 1, 2) + EMPTY),
    "a point and none": _part(4, NO_POINT, POINT),
    "collection with a hole of no point": _part(7, _part(3, AREA, EMPTY)),
    "collection of nothing": _part(7, _part(7, _part(3, EMPTY))),
    "collection of a line of none and a point": _part(7, struct.pack("<BI", 1, 2) + EMPTY, POINT),
    "ring not closed": _part(3, _ring((24, 59), (26, 59), (26, 61), (24, 61))),
    "ring with NaN": _part(3, _ring((24, 59), (26, 59), (float("nan"), 61), (24, 59))),
    "ring with infinity": _part(3, _ring((24, 59), (float("inf"), 59), (26, 61), (24, 59))),
    "line of one point": struct.pack("<BI", 1, 2) + _ring((25, 60)),
    "edge through the pole": _part(3, _ring((0, -90), (180, -90), (180, 90), (0, 90), (0, -90))),
}


WITHOUT_POINTS = ("shell of no point", "only part of no point", "collection of nothing")


async def store(url: str, label: str) -> None:
    """Adds a harmful geometry.

    PostGIS 3.5 stores one without points, and ends the session when an index has to take it.
    """
    if label in WITHOUT_POINTS:
        await run(url, "DROP INDEX anything_geom_idx")
    await run(url, f"INSERT INTO anything VALUES (-1, '{_stored(HARMFUL[label])}')")


@pytest.mark.parametrize("label", HARMFUL)
async def test_no_harmful_geometry_fails_a_search_or_disturbs_the_others(
    service: Service, url: str, label: str
) -> None:
    client = await service(url)
    triangle = {
        "type": "Polygon",
        "coordinates": [[[24.1, 59.9], [24.905, 59.9], [24.905, 60.1], [24.1, 59.9]]],
    }
    line = {"type": "LineString", "coordinates": [[24.505, 59.5], [24.505, 60.5]]}
    asked: list[dict[str, Any]] = [
        {
            "geometry": geometry,
            "predicate": predicate,
            "limit": 1_000,
            "count": "exact",
            "skipGeometry": True,
        }
        for geometry in (triangle, line, point(24.505, 60))
        for predicate in PREDICATES
    ]
    for body in asked:
        if body["predicate"] == "dwithin":
            body["distance"] = 2_000
        if body["predicate"] == "nearest":
            body |= {"k": 300}
            del body["limit"], body["count"]
    before = [await search(client, "anything", **body) for body in asked]
    await store(url, label)
    for body, was in zip(asked, before, strict=True):
        page = await search(client, "anything", **body)
        others = [feature for feature in page["features"] if feature["id"] != -1]
        assert others == was["features"], body
        if "count" in body:
            assert page["numberMatched"] == page["numberReturned"]


@pytest.mark.parametrize("label", HARMFUL)
async def test_no_harmful_geometry_fails_a_box(service: Service, url: str, label: str) -> None:
    await store(url, label)
    client = await service(url)
    for bbox in ("24.5,59.5,25.5,60.5", "0,0,0.5,0.5", "23,58,24.5,62"):
        async with client.get(
            f"/collections/anything/items?bbox={bbox}&limit=1000&count=exact"
        ) as response:
            assert response.status == 200, await response.text()


async def test_rows_that_are_nowhere_do_not_count_among_the_nearest(
    service: Service, bare_database_url: str
) -> None:
    await run(
        bare_database_url, "CREATE TABLE nowhere (id int PRIMARY KEY, geom geometry(Point, 4326))"
    )
    await run(
        bare_database_url,
        "INSERT INTO nowhere SELECT i, ST_SetSRID(ST_Point(i, 50), 4326) FROM generate_series(1,"
        " 9) i",
    )
    nowhere = (
        "0101000020E6100000000000000000F87F0000000000004E40",
        "0101000020E6100000000000000000F07F0000000000004E40",
    )
    for number, stored in enumerate(
        (*nowhere, "SRID=4326;POINT(5 140)", "SRID=4326;POINT(385600 6671800)"), 100
    ):
        await run(bare_database_url, f"INSERT INTO nowhere VALUES ({number}, '{stored}')")
    await run(bare_database_url, "CREATE INDEX ON nowhere USING gist (geom)")
    client = await service(bare_database_url)
    for k in (3, 9, 20):
        found = distances(
            await search(client, "nowhere", geometry=point(5.1, 50), predicate="nearest", k=k)
        )
        assert list(found) == [5, 6, 4, 7, 3, 8, 2, 9, 1][:k]
    far = distances(
        await search(
            client, "nowhere", geometry=point(5.1, 50), predicate="nearest", k=9, distance=100_000
        )
    )
    assert list(far) == [5, 6, 4]


async def test_an_empty_ring_is_refused(service: Service, url: str) -> None:
    client = await service(url)
    rings = [[[24, 59], [26, 59], [26, 61], [24, 59]], []]
    for predicate in PREDICATES:
        more: dict[str, Any] = {"distance": 5} if predicate == "dwithin" else {}
        for kind, each in (
            ("Polygon", rings),
            ("MultiPolygon", [rings]),
            ("MultiPolygon", [rings[:1], []]),
        ):
            shape = {"type": kind, "coordinates": each}
            problem = await search(
                client, "points", 422, geometry=shape, predicate=predicate, **more
            )
            assert problem["pointer"] == "/geometry/coordinates"


async def test_an_estimate_is_of_what_matches(sample: Client) -> None:
    page = await search(sample, "cities", geometry=box(24, 60, 26, 61), limit=1)
    exact = await search(sample, "cities", geometry=box(24, 60, 26, 61), limit=1, count="exact")
    assert page.get("numberMatched", page.get("numberMatchedEstimate")) == pytest.approx(
        exact["numberMatched"], rel=0.5
    )


async def test_numbers_keep_their_digits(service: Service, bare_database_url: str) -> None:
    await run(
        bare_database_url,
        "CREATE TABLE digits (id int PRIMARY KEY, v numeric, geom geometry(Point, 4326))",
    )
    await run(
        bare_database_url,
        "INSERT INTO digits VALUES (1, 0.12345678901234567890), (2, 9007199254740993.5)",
    )
    client = await service(bare_database_url)
    for number, text in ((1, "0.12345678901234567890"), (2, "9007199254740993.5")):
        data = b'{"v": %s}' % text.encode()
        async with client.post(
            "/collections/digits/search", data=data, headers={"Content-Type": "application/json"}
        ) as response:
            assert [
                feature["id"] for feature in (await response.json(content_type=None))["features"]
            ] == [number]


async def test_an_array_is_no_value_of_a_property(sample: Client) -> None:
    assert (await search(sample, "cities", 400, name=["Turku", "Oulu"]))["pointer"] == "/name"


async def test_a_stream_of_the_nearest_goes_on_behind_a_geometry_that_cannot_be_written(
    service: Service, url: str
) -> None:
    await run(
        url,
        f"INSERT INTO anything VALUES (-1, '{_stored(_part(3, _ring((24.5, 60), (24.6, 60.1))))}')",
    )
    client = await service(url, stream_above_rows=5, batch_rows=7)
    page = await search(client, "anything", geometry=point(24.505, 60), predicate="nearest", k=150)
    found = [feature["id"] for feature in page["features"]]
    assert len(found) == len(set(found)) == page["numberReturned"] == 150
    assert [feature["distance"] for feature in page["features"]] == sorted(
        feature["distance"] for feature in page["features"]
    )
    assert "next" not in {each["rel"] for each in page["links"]}
