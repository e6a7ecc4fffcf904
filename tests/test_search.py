"""Features by a posted geometry, against what shapely and pyproj find by looking at each."""

import asyncio
import gzip
import io
import json
import random
from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Geod

from geosvc.catalog.collections import ServedCollections
from geosvc.database.catalog import load_catalog
from geosvc.database.pool import Database
from geosvc.formats import GEOJSON_FORMAT
from geosvc.query.features import select_items
from geosvc.requests.items import PageLimits, ReadingRules
from geosvc.requests.search import parse_search
from tests.conftest import Client, Service, execute, settings_for

GEOD = Geod(ellps="WGS84")
ROWS = 3_000
PLACES = {
    "middle": (10.0, 50.0),
    "antimeridian": (179.9, -17.0),
    "other side": (-179.95, 65.0),
    "near the pole": (30.0, 89.2),
    "south": (-60.0, -84.0),
}


def made_points() -> list[tuple[float, float]]:
    """Points everywhere, dense around the places."""
    chosen = random.Random(7)
    points = [(chosen.uniform(-180, 180), chosen.uniform(-90, 90)) for _ in range(ROWS // 3)]
    for number in range(ROWS - len(points)):
        x, y = list(PLACES.values())[number % len(PLACES)]
        x, y = x + chosen.gauss(0, 1.5), y + chosen.gauss(0, 0.8)
        points.append(((x + 180) % 360 - 180, max(min(y, 90.0), -90.0)))
    return [(round(x, 6), round(y, 6)) for x, y in points]


POINTS = made_points()


@pytest.fixture(scope="module")
def search_url(bare_module_url: str) -> str:
    """Points as geometry, as geography and in a projected CRS, and random polygons."""
    rows = ",".join(f"({number},{x},{y})" for number, (x, y) in enumerate(POINTS))
    execute(
        bare_module_url,
        f"""CREATE TABLE points (id int PRIMARY KEY, parity int, geom geometry(Point, 4326));
        INSERT INTO points SELECT i, i % 2, ST_SetSRID(ST_Point(x, y), 4326) FROM (VALUES {rows}) AS v(i, x, y);
        INSERT INTO points VALUES (-1, 0, NULL), (-2, 0, 'SRID=4326;POINT EMPTY');
        CREATE INDEX ON points USING gist (geom);
        CREATE TABLE geogs (id int PRIMARY KEY, parity int, geog geography(Point, 4326));
        INSERT INTO geogs SELECT id, parity, geom::geography FROM points WHERE id >= 0;
        CREATE INDEX ON geogs USING gist (geog);
        CREATE TABLE metric (id int PRIMARY KEY, parity int, geom geometry(Point, 3067));
        INSERT INTO metric
          SELECT i, i % 2, ST_Transform(ST_SetSRID(ST_Point(20 + (i % 60) * 0.1, 60 + (i / 60) * 0.1), 4326), 3067)
          FROM generate_series(0, 1999) i;
        CREATE INDEX ON metric USING gist (geom);
        CREATE TABLE areas (id int PRIMARY KEY, geom geometry(Polygon, 4326));
        SELECT setseed(0.5);
        INSERT INTO areas SELECT i, ST_MakeEnvelope(x, y, x + random() * 3, y + random() * 3, 4326)
          FROM (SELECT i, random() * 10 AS x, random() * 10 AS y FROM generate_series(1, 300) i) v;
        CREATE INDEX ON areas USING gist (geom); ANALYZE;""",
    )
    return bare_module_url


async def search(
    client: Client,
    collection: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> Any:
    """The answer to a search."""
    async with client.post(
        f"/collections/{collection}/search", json=body, headers=headers
    ) as response:
        text = await response.read()
        assert response.status == status, text
        return json.loads(text)


def point(x: float, y: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y]}


def metres_to(x: float, y: float, points: list[tuple[float, float]]) -> "np.ndarray[Any, Any]":
    """The distance of each point on the spheroid."""
    xs, ys = np.array(points).T
    result: np.ndarray[Any, Any] = GEOD.inv(np.full(len(xs), x), np.full(len(ys), y), xs, ys)[2]
    return result


@pytest.mark.parametrize("collection", ["points", "geogs"])
@pytest.mark.parametrize("place", PLACES)
async def test_the_nearest_are_the_nearest_on_the_spheroid(
    service: Service, search_url: str, place: str, collection: str
) -> None:
    client = await service(search_url)
    x, y = PLACES[place]
    found = (await search(client, collection, geometry=point(x, y), predicate="nearest", k=25))[
        "features"
    ]
    expected = np.sort(metres_to(x, y, POINTS))[:25]
    assert [each["distance"] for each in found] == pytest.approx(expected.tolist(), abs=0.002)


@pytest.mark.parametrize("collection", ["points", "geogs"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("metres", [0.0, 3_000.0, 150_000.0, 2_500_000.0])
async def test_dwithin_finds_what_is_within_so_many_metres(
    service: Service, search_url: str, place: str, metres: float, collection: str
) -> None:
    client = await service(search_url)
    x, y = PLACES[place]
    found = await search(
        client, collection, geometry=point(x, y), predicate="dwithin", distance=metres, limit=10_000
    )
    distances = metres_to(x, y, POINTS)
    assert {each["id"] for each in found["features"]} == {
        number for number, d in enumerate(distances) if d <= metres
    }
    assert all(
        each["distance"] == pytest.approx(distances[each["id"]], abs=0.002)
        for each in found["features"]
    )


async def test_in_a_projected_crs_metres_are_metres_on_the_spheroid(
    service: Service, search_url: str
) -> None:
    client = await service(search_url)
    body: dict[str, Any] = {"geometry": point(23.03, 61.07), "limit": 5_000, "skipGeometry": True}
    found = await search(client, "metric", predicate="dwithin", distance=40_000, **body)
    places = [(20 + (i % 60) * 0.1, 60 + (i // 60) * 0.1) for i in range(2_000)]
    distances = metres_to(23.03, 61.07, places)
    assert {each["id"] for each in found["features"]} == {
        i for i, d in enumerate(distances) if d <= 40_000
    }
    nearest = await search(client, "metric", predicate="nearest", k=5, geometry=point(23.03, 61.07))
    assert [each["distance"] for each in nearest["features"]] == pytest.approx(
        np.sort(distances)[:5].tolist(), abs=0.01
    )


@pytest.mark.parametrize(
    "predicate", ["intersects", "within", "contains", "crosses", "overlaps", "touches", "disjoint"]
)
async def test_predicates_are_those_of_simple_features(
    service: Service, search_url: str, predicate: str
) -> None:
    client = await service(search_url)
    asked = shapely.Polygon([(2, 2), (8, 3), (7, 8), (3, 7)])
    if predicate == "contains":
        asked = shapely.box(5, 5, 5.2, 5.2)
    whole = await search(client, "areas", limit=1_000, precision=15)
    shapes = {each["id"]: shapely.geometry.shape(each["geometry"]) for each in whole["features"]}
    body: dict[str, Any] = {
        "geometry": shapely.geometry.mapping(asked),
        "predicate": predicate,
        "limit": 1_000,
        "count": "exact",
    }
    found = await search(client, "areas", **body)
    expected = {number for number, shape in shapes.items() if getattr(shape, predicate)(asked)}
    assert {each["id"] for each in found["features"]} == expected
    assert found["numberMatched"] == len(expected)
    assert expected or predicate in ("crosses", "touches")


async def test_other_conditions_sorting_and_paging_go_together_with_a_geometry(
    service: Service, search_url: str
) -> None:
    client = await service(search_url)
    body: dict[str, Any] = {
        "geometry": point(10, 50),
        "predicate": "dwithin",
        "distance": 200_000,
        "parity": 1,
        "sortby": ["-id"],
        "limit": 7,
    }
    expected = [i for i, d in enumerate(metres_to(10, 50, POINTS)) if d <= 200_000 and i % 2][::-1]
    seen: list[int] = []
    following: dict[str, Any] = {}
    while True:
        page = await search(client, "points", **body, **following)
        seen += [each["id"] for each in page["features"]]
        links = [each for each in page["links"] if each["rel"] == "next"]
        if not links:
            break
        assert links[0]["method"] == "POST"
        assert links[0]["merge"] is True
        following = links[0]["body"]
    assert len(expected) > 20
    assert seen == expected
    nearest = await search(
        client,
        "points",
        geometry=point(10, 50),
        predicate="nearest",
        k=4,
        parity=0,
        bbox=[10, 49, 12, 51],
    )
    inside = [
        p if 10 <= p[0] <= 12 and 49 <= p[1] <= 51 and i % 2 == 0 else (10, -50)
        for i, p in enumerate(POINTS)
    ]
    assert [each["distance"] for each in nearest["features"]] == pytest.approx(
        np.sort(metres_to(10, 50, inside))[:4].tolist(), abs=0.002
    )
    few = await search(
        client, "points", geometry=point(10, 50), predicate="nearest", k=50, distance=20_000
    )
    assert len(few["features"]) == sum(metres_to(10, 50, POINTS) <= 20_000)
    assert "next" not in {each["rel"] for each in few["links"]}


async def test_a_cursor_of_another_geometry_is_refused(service: Service, search_url: str) -> None:
    client = await service(search_url)
    body: dict[str, Any] = {"predicate": "dwithin", "distance": 2_000_000, "limit": 1}
    page = await search(client, "points", geometry=point(10, 50), **body)
    cursor = next(each["body"]["cursor"] for each in page["links"] if each["rel"] == "next")
    refused = await search(client, "points", 400, geometry=point(11, 50), cursor=cursor, **body)
    assert refused["parameter"] == "cursor"


async def test_csv_and_sequences_carry_the_distance(service: Service, search_url: str) -> None:
    client = await service(search_url)
    body = {"geometry": point(10, 50), "predicate": "nearest", "k": 2, "properties": ["parity"]}
    async with client.post("/collections/points/search?f=csv", json=body) as response:
        lines = (await response.text()).splitlines()
    assert lines[0] == '"WKT","parity","distance"'
    assert len(lines) == 3
    async with client.post("/collections/points/search?f=geojsonseq", json=body) as response:
        texts = (await response.text()).split("\x1e")[1:]
    assert [float(line.rsplit(",", 1)[1]) for line in lines[1:]] == [
        json.loads(text)["distance"] for text in texts
    ]


@pytest.mark.parametrize(
    ("body", "status", "at"),
    [
        ({"geometry": {"type": "Point", "coordinates": [200, 0]}}, 422, "/geometry/coordinates"),
        (
            {
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]],
                }
            },
            422,
            "/geometry/coordinates",
        ),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0]]]}},
            422,
            "/geometry/coordinates/0",
        ),
        ({"geometry": {"type": "Point", "coordinates": []}}, 422, "/geometry"),
        ({"geometry": None}, 422, "/geometry"),
        (
            {"geometry": {"type": "Feature", "properties": {}, "geometry": {"type": "Nothing"}}},
            422,
            "/geometry/geometry/type",
        ),
        (
            {"geometry": {"type": "GeometryCollection", "geometries": [point(1, 2)]}},
            422,
            "/geometry/type",
        ),
        ({"geometry": point(1, 2), "predicate": "near"}, 400, "/predicate"),
        ({"geometry": point(1, 2), "predicate": "dwithin"}, 400, "/distance"),
        ({"geometry": point(1, 2), "predicate": "dwithin", "distance": -1}, 400, "/distance"),
        ({"geometry": point(1, 2), "predicate": "dwithin", "distance": "7"}, 400, "/distance"),
        ({"geometry": point(1, 2), "distance": 7}, 400, "/distance"),
        ({"predicate": "within"}, 400, "/geometry"),
        ({"geometry": point(1, 2), "predicate": "nearest", "limit": 3}, 400, "/limit"),
        ({"geometry": point(1, 2), "predicate": "nearest", "k": 0}, 400, "/k"),
        ({"geometry": point(1, 2), "k": 3}, 400, "/k"),
        ({"nothing": 1}, 400, "/nothing"),
        ({"parity": "odd"}, 400, "/parity"),
        ({"parity": {"a": 1}}, 400, "/parity"),
        ({"bbox": [1, 2, 3]}, 400, "/bbox"),
        ({"sortby": ["nothing"]}, 400, "/sortby"),
        ({"properties": [1, None]}, 400, "/properties"),
        ({"filter": {"op": "="}}, 400, "/filter/args"),
        ({"filter": "a ="}, 400, "/filter"),
        ({"filter": "TRUE", "filter-lang": "cql2-json"}, 400, "/filter-lang"),
        ({"limit": 0}, 400, "/limit"),
    ],
)
async def test_bad_searches_are_refused_with_the_place(
    service: Service, search_url: str, body: dict[str, Any], status: int, at: str
) -> None:
    client = await service(search_url)
    assert (await search(client, "points", status, **body))["pointer"] == at


@pytest.mark.parametrize(
    ("text", "headers", "status"),
    [
        (b"", {"Content-Type": "application/json"}, 400),
        (b"[]", {"Content-Type": "application/json"}, 400),
        (b'{"geometry":', {"Content-Type": "application/json"}, 400),
        (
            b'{"geometry":{"type":"Point","coordinates":[NaN,1]}}',
            {"Content-Type": "application/json"},
            400,
        ),
        (
            b'{"geometry":{"type":"Point","coordinates":[1e400,1]}}',
            {"Content-Type": "application/json"},
            422,
        ),
        (
            b'{"geometry":{"crs":1,"type":"Point","coordinates":[1e400,1]}}',
            {"Content-Type": "application/json"},
            422,
        ),
        (
            b'{"geometry":' + b'{"type":"GeometryCollection","geometries":[' * 20_000,
            {"Content-Type": "application/json"},
            400,
        ),
        (
            b'{"x":"' + b"]" * 60_000 + b'","geometry":' + b"[" * 30_000,
            {"Content-Type": "application/json"},
            400,
        ),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json", "Content-Encoding": "br"}, 415),
    ],
)
async def test_bodies_that_are_no_search_are_refused(
    service: Service, search_url: str, text: bytes, headers: dict[str, str], status: int
) -> None:
    client = await service(search_url)
    async with client.post(
        "/collections/points/search", data=io.BytesIO(text), headers=headers
    ) as response:
        assert response.status == status, await response.text()


async def test_a_search_has_a_limit_of_its_own_however_small_it_arrives(
    service: Service, search_url: str
) -> None:
    client = await service(search_url)
    bomb = gzip.compress(b'{"x":[' + b"[]," * 10_000_000 + b"[]]}")
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with client.post("/collections/points/search", data=bomb, headers=headers) as response:
        assert (response.status, (await response.json())["detail"]) == (
            413,
            "the body has more than 1048576 bytes, which is what GEOSVC_MAX_SEARCH_BYTES allows",
        )


async def test_too_many_positions_are_refused_before_anybody_reads_them(
    service: Service, search_url: str
) -> None:
    client = await service(search_url, max_vertices=100)
    line = {"type": "LineString", "coordinates": [[0, number / 100] for number in range(1_000)]}
    assert "positions" in (await search(client, "points", 422, geometry=line))["detail"]


@pytest.mark.parametrize(
    "predicate",
    [
        "intersects",
        "within",
        "contains",
        "crosses",
        "overlaps",
        "touches",
        "disjoint",
        "dwithin",
        "nearest",
    ],
)
@pytest.mark.parametrize(
    "shape",
    [
        point(5, 5),
        {"type": "Polygon", "coordinates": [[[-170, -80], [170, -80], [170, 80], [-170, -80]]]},
    ],
)
async def test_no_stored_geometry_fails_a_search(
    nasty: Client, predicate: str, shape: dict[str, Any]
) -> None:
    """Some of them crash the server when GEOS or the spheroid is asked about them."""
    async with nasty.get("/collections") as response:
        ids = [each["id"] for each in (await response.json())["collections"]]
    more: dict[str, Any] = {"distance": 100_000.0} if predicate == "dwithin" else {}
    for collection in ids:
        async with nasty.post(
            f"/collections/{collection}/search",
            json={"geometry": shape, "predicate": predicate, **more},
        ) as response:
            text = await response.text()
            if collection == "always_fails":
                assert response.status == 500, text
                continue
            assert response.status in (200, 400), (collection, text)
            assert (
                response.status == 200
                or "needs the parameter" in text
                or "function refused" in text
            )


@pytest.mark.parametrize(
    ("predicate", "more"),
    [("intersects", {}), ("within", {}), ("dwithin", {"distance": 5000}), ("nearest", {"k": 5})],
)
@pytest.mark.parametrize("collection", ["points", "metric", "geogs"])
async def test_the_index_finds_the_candidates(
    search_url: str, collection: str, predicate: str, more: dict[str, Any]
) -> None:
    settings = settings_for(search_url)
    database = Database(settings, search_url)
    await database.open()
    try:
        found = (await load_catalog(database, ServedCollections(), "", ""))[collection]
        body = json.dumps(
            {
                "geometry": shapely.geometry.mapping(shapely.box(23, 61, 23.1, 61.1)),
                "predicate": predicate,
                **more,
            }
        )
        wanted = parse_search(body.encode(), found, ReadingRules(PageLimits(10, 100)), 1_000)
        statement = select_items(found, wanted, GEOJSON_FORMAT).statement
        async with database.connection() as connection:
            plan = "\n".join(
                row[0]
                for row in await connection.fetch(f"EXPLAIN {statement.text}", *statement.args)
            )
    finally:
        await database.close()
    assert "_geo" in plan, plan
    assert "Index" in plan, plan


async def test_a_timeout_within_geos_is_told_as_one(
    service: Service, bare_database_url: str
) -> None:
    line = [
        [number * 7_919 % 360 - 180 + number * 1e-5, number * 104_729 % 170 - 85 + number * 1e-5]
        for number in range(12_000)
    ]
    text = ",".join(f"{x} {y}" for x, y in line)
    await asyncio.to_thread(
        execute,
        bare_database_url,
        "CREATE TABLE tangles (id int PRIMARY KEY, geom geometry(LineString, 4326));"
        f"INSERT INTO tangles VALUES (1, ST_Translate(ST_GeomFromText('LINESTRING({text})',"
        " 4326), 0.1, 0.1))",
    )
    client = await service(bare_database_url, statement_timeout_seconds=0.5)
    body = {"geometry": {"type": "LineString", "coordinates": line}, "predicate": "overlaps"}
    async with client.post("/collections/tangles/search", json=body) as response:
        assert response.status == 504, await response.text()
        assert (await response.json(content_type=None))[
            "type"
        ] == "urn:geosvc:problem:query-timeout"


async def test_what_lies_across_the_antimeridian_is_found_however_it_is_stored(
    service: Service, bare_database_url: str
) -> None:
    stored = (
        "POLYGON((178 0, 182 0, 182 2, 178 2, 178 0))",
        "POLYGON((-182 0, -178 0, -178 2, -182 2, -182 0))",
        (
            "MULTIPOLYGON(((178 0, 180 0, 180 2, 178 2, 178 0)), ((-180 0, -178 0, -178 2, -180 2,"
            " -180 0)))"
        ),
        "POLYGON((0 0, 1 0, 1 1, 0 0))",
    )
    values = ",".join(
        f"({number}, ST_GeomFromText('{text}', 4326))" for number, text in enumerate(stored, 1)
    )
    await asyncio.to_thread(
        execute,
        bare_database_url,
        "CREATE TABLE isles (id int PRIMARY KEY, geom geometry(Geometry, 4326)); INSERT INTO"
        f" isles VALUES {values}",
    )
    client = await service(bare_database_url)
    boxes = [shapely.box(170, -10, 180, 10), shapely.box(-180, -10, -170, 10)]
    around = shapely.geometry.mapping(shapely.MultiPolygon(boxes))
    for predicate, ids in (
        ("intersects", {1, 2, 3}),
        ("within", {1, 2, 3}),
        ("disjoint", {4}),
        ("contains", set()),
    ):
        found = await search(client, "isles", geometry=around, predicate=predicate)
        assert {each["id"] for each in found["features"]} == ids, predicate
