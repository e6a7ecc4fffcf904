"""Lines and rings that RFC 7946 has no words for are null, whatever holds them, and the log counts
them.
"""

import asyncio
import json
from struct import pack
from typing import Any

import pytest

from geosvc.events import GeometriesRefused
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.observing import seen

POINT, LINE, POLYGON, MULTILINE, MULTIPOLYGON, COLLECTION = 1, 2, 3, 5, 6, 7
A, B, C = (0.0, 0.0), (1.0, 0.0), (1.0, 1.0)
GOOD = [A, B, C, A]
HOLE = [(0.5, 0.1), (0.6, 0.1), (0.6, 0.2), (0.5, 0.1)]
Positions = list[tuple[float, float]]


def line(positions: Positions) -> bytes:
    """EWKB of a line."""
    return pack("<BII", 1, LINE, len(positions)) + b"".join(
        pack("<dd", *each) for each in positions
    )


def polygon(*rings: Positions) -> bytes:
    """EWKB of a polygon."""
    parts = (
        pack("<I", len(ring)) + b"".join(pack("<dd", *each) for each in ring) for ring in rings
    )
    return pack("<BII", 1, POLYGON, len(rings)) + b"".join(parts)


def several(kind: int, *members: bytes) -> bytes:
    """EWKB of a collection."""
    return pack("<BII", 1, kind, len(members)) + b"".join(members)


BAD_RINGS = {"one": [A], "two": [A, A], "three": [A, B, A], "open": [A, B, C, (0.0, 1.0)]}
BAD_POLYGONS = {
    **{f"shell of {name}": polygon(ring) for name, ring in BAD_RINGS.items()},
    **{f"hole of {name}": polygon(GOOD, HOLE, ring) for name, ring in BAD_RINGS.items()},
}
LINES = {"good": line([A, B]), "empty": line([]), "bad": line([A])}
POLYGONS = {
    "good": polygon(GOOD),
    "with a hole": polygon(GOOD, HOLE),
    "thin": polygon([A, B, B, A]),
    "empty": polygon(),
}
COLUMNS: dict[str, tuple[dict[str, bytes], dict[str, bytes]]] = {
    "LineString": ({"good": LINES["good"], "empty": LINES["empty"]}, {"bad": LINES["bad"]}),
    "Polygon": (POLYGONS, BAD_POLYGONS),
    "MultiLineString": (
        {
            "good": several(MULTILINE, line([A, B]), line([B, C])),
            "gap": several(MULTILINE, line([]), line([A, B])),
        },
        {"bad": several(MULTILINE, line([A, B]), line([A])), "only": several(MULTILINE, line([A]))},
    ),
    "MultiPolygon": (
        {name: several(MULTIPOLYGON, each, polygon(GOOD, HOLE)) for name, each in POLYGONS.items()},
        {name: several(MULTIPOLYGON, polygon(GOOD), each) for name, each in BAD_POLYGONS.items()},
    ),
    "GeometryCollection": (
        {name: several(COLLECTION, each, line([A, B])) for name, each in POLYGONS.items()},
        {
            name: several(COLLECTION, each)
            for name, each in {**BAD_POLYGONS, "line": LINES["bad"]}.items()
        },
    ),
}
COLUMNS["Geometry"] = (
    {f"{kind} {name}": each for kind, (good, _) in COLUMNS.items() for name, each in good.items()},
    {f"{kind} {name}": each for kind, (_, bad) in COLUMNS.items() for name, each in bad.items()},
)


@pytest.fixture
async def client(service: Service, bare_database_url: str) -> Client:
    """A table for each type of column."""
    for kind, (good, bad) in COLUMNS.items():
        rows = [(f"{name}+", each) for name, each in good.items()] + [
            (f"{name}-", each) for name, each in bad.items()
        ]
        values = ", ".join(
            f"('{name}', ST_SetSRID('{ewkb.hex()}'::geometry, 4326))" for name, ewkb in rows
        )
        table = kind.lower()
        sql = f"CREATE TABLE {table}s (name text PRIMARY KEY, at geometry({kind}, 4326)); INSERT INTO {table}s VALUES {values}"
        await asyncio.to_thread(execute, bare_database_url, sql)
    return await service(bare_database_url)


def check(geometry: Any) -> None:
    """Fails for what RFC 7946 3.1 does not allow; an empty geometry has no positions."""
    kind, inner = geometry["type"], geometry.get("coordinates")
    if kind == "GeometryCollection":
        for member in geometry["geometries"]:
            check(member)
        return
    if not inner:
        return
    lines = {"LineString": [inner], "MultiLineString": inner}.get(kind, [])
    rings = {"Polygon": inner, "MultiPolygon": [ring for part in inner for ring in part]}.get(
        kind, []
    )
    assert all(len(each) >= 2 for each in lines)
    assert all(len(each) >= 4 and each[0] == each[-1] for each in rings)


@pytest.mark.parametrize("kind", COLUMNS)
async def test_what_geojson_cannot_say_is_null_and_counted_and_the_rest_is_there(
    client: Client, kind: str
) -> None:
    path, (good, bad) = f"/collections/{kind.lower()}s", COLUMNS[kind]
    for query in (
        "items?limit=1000",
        "items?limit=1000&zoom-level=20",
        "export",
        "items?limit=1000&crs=%5BEPSG:3857%5D",
    ):
        with seen(GeometriesRefused) as events:
            features = (await fetch(client, f"{path}/{query}"))["features"]
        assert len(features) == len(good) + len(bad)
        for feature in features:
            written = feature["geometry"]
            assert (written is None) == feature["id"].endswith("-"), (query, feature)
            if written is not None:
                check(written)
        rewritten = sum(each.features for each in events) - len(bad)  # without an empty member
        assert 0 <= rewritten <= sum("gap" in name or "empty" in name for name in good)
    async with client.get(f"{path}/export?f=geojsonseq") as response:
        records = (await response.text()).split("\x1e")[1:]
    assert sum(json.loads(each)["geometry"] is None for each in records) == len(bad)
    for name in [f"{each}+" for each in good] + [f"{each}-" for each in bad]:
        feature = await fetch(client, f"{path}/items/{name.replace(' ', '%20')}")
        assert (feature["geometry"] is None) == name.endswith("-")


async def test_csv_has_them_as_they_are_stored(client: Client) -> None:
    async with client.get("/collections/polygons/items?f=csv&limit=1000") as response:
        assert "POLYGON((0 0,1 0,0 0))" in await response.text()
