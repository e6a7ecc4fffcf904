"""Geography that crosses the antimeridian is served cut at it, and found by boxes on either side
and by no other.
"""

import asyncio
from typing import Any

import pytest

from tests.conftest import Client, Service, execute
from tests.http import fetch

SHAPES = {
    "polygon": "POLYGON((170 -10, -170 -10, -170 10, 170 10, 170 -10))",
    "with a hole": "POLYGON((170 -10, -170 -10, -170 10, 170 10, 170 -10), (178 -1, 178 1, -178 1, -178 -1, 178 -1))",
    "line": "LINESTRING(170 0, -170 0)",
    "there and back": "LINESTRING(170 0, -170 0, 170 5)",
    "multipolygon": "MULTIPOLYGON(((170 -10, -170 -10, -170 10, 170 10, 170 -10)), ((60 60, 61 60, 61 61, 60 60)))",
    "multiline": "MULTILINESTRING((170 0, -170 0), (60 60, 61 60))",
    "wide": "POLYGON((-150 -10, 0 -10, 150 -10, 150 10, 0 10, -150 10, -150 -10))",
    "near Greenwich": "POLYGON((-10 -10, 10 -10, 10 10, -10 10, -10 -10))",
    "at the edge": "POLYGON((170 -10, 180 -10, 180 10, 170 10, 170 -10))",
}
ACROSS = {"polygon", "with a hole", "line", "there and back", "multipolygon", "multiline"}
BOXES = {
    "179,-5,179.5,5": ACROSS | {"at the edge"},
    "-179.5,-5,-179,5": ACROSS,
    "179,-5,-179,5": ACROSS | {"at the edge"},
    "100,-5,120,5": {"wide"},
    "-1,-5,1,5": {"wide", "near Greenwich"},
    "60,60,61,61": {"multipolygon", "multiline"},
    "-180,-90,180,90": set(SHAPES),
}


@pytest.fixture
async def client(service: Service, bare_database_url: str) -> Client:
    """A column of any type, with an index on its longitudes and latitudes, and one of polygons."""
    rows = ", ".join(f"('{name}', '{shape}')" for name, shape in SHAPES.items())
    sql = f"""CREATE TABLE shapes (name text PRIMARY KEY, at geography); INSERT INTO shapes VALUES {rows};
    CREATE INDEX ON shapes USING gist ((at::geometry));
    CREATE TABLE areas (name text PRIMARY KEY, at geography(Polygon));
    INSERT INTO areas SELECT * FROM shapes WHERE GeometryType(at::geometry) = 'POLYGON'"""
    await asyncio.to_thread(execute, bare_database_url, sql)
    return await service(bare_database_url)


def positions(coordinates: Any) -> list[tuple[float, float]]:
    """All positions of a geometry."""
    if isinstance(coordinates[0], (int, float)):
        return [(coordinates[0], coordinates[1])]
    return [each for part in coordinates for each in positions(part)]


def parts(geometry: Any) -> list[Any]:
    """The members of a geometry."""
    return (
        list(geometry["coordinates"])
        if geometry["type"].startswith("Multi")
        else [geometry["coordinates"]]
    )


async def test_what_crosses_is_cut_and_what_does_not_is_as_it_is(client: Client) -> None:
    for table in ("shapes", "areas"):
        for path in (f"/collections/{table}/items?limit=100", f"/collections/{table}/export"):
            for feature in (await fetch(client, path))["features"]:
                geometry, name = feature["geometry"], feature["id"]
                widths = [
                    max(x for x, _ in positions(each)) - min(x for x, _ in positions(each))
                    for each in parts(geometry)
                ]
                assert max(widths) == {"wide": 300, "near Greenwich": 20}.get(name, 10), name
                assert all(abs(x) <= 180 for x, _ in positions(geometry["coordinates"]))
                assert geometry["type"].startswith("Multi") == (name in ACROSS)


async def test_a_box_finds_what_is_served_in_it(client: Client) -> None:
    for box, expected in BOXES.items():
        page = await fetch(client, f"/collections/shapes/items?limit=100&bbox={box}")
        assert {feature["id"] for feature in page["features"]} == expected, box
        page = await fetch(client, f"/collections/areas/items?limit=100&bbox={box}")
        assert {feature["id"] for feature in page["features"]} == expected & {
            name for name, shape in SHAPES.items() if shape.startswith("POLYGON")
        }, box
