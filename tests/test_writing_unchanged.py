"""A geometry that comes back as a GET gave it is left as it is stored, to the last digit; every
other one is stored.
"""

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from tests.conftest import Client
from tests.posting import MERGE_PATCH, feature, point, send, with_tables, writable

# the type of the column and a stored geometry, of which GeoJSON says less than there is or which
# cannot be stored so
SHAPES = {
    "digits": ("geometry(Point, 4326)", "POINT(24.941234567890123 60.17)"),
    "line": ("geometry(LineString, 4326)", "LINESTRING(24.941234567890123 60.17, 25 61.00000004)"),
    # valid, and no more so when its coordinates are rounded
    "sliver": (
        "geometry(Polygon, 4326)",
        "POLYGON((0 0, 1 0, 1 0.00000002, 0.5 0.00000001, 0 1, 0 0))",
    ),
    "clockwise": (
        "geometry(Polygon, 4326)",
        "POLYGON((0 0, 0 1, 1 1.000000001, 1 0, 0 0), (.2 .2, .4 .2, .4 .4, .2 .2))",
    ),
    "crossing": ("geometry(Polygon, 4326)", "POLYGON((25 60, 26 61, 26 60, 25 61, 25 60))"),
    "anything": (
        "geometry",
        (
            "SRID=3067;POLYGON((385600.123456789 6672000, 385700 6672000, 385700 6672100,"
            " 385600.123456789 6672000))"
        ),
    ),
    "mixed": (
        "geometry",
        (
            "GEOMETRYCOLLECTION(POINT(1.123456789 2), LINESTRING(1 2, 3 4.123456789),"
            " POLYGON((0 0, 0"
            " 1, 1 1, 0 0)))"
        ),
    ),
    "metres": (
        "geometry(MultiPolygon, 3067)",
        (
            "MULTIPOLYGON(((385600.123456789 6672000, 385700 6672000, 385700 6672100,"
            " 385600.123456789 6672000)))"
        ),
    ),
    "high": ("geometry(PointZ, 4326)", "POINT Z(24.941234567890123 60.17 12.123456789)"),
    "measured": ("geometry(PointM, 4326)", "POINT M(24.941234567890123 60.17 7)"),
    "all4": (
        "geometry(LineStringZM, 4326)",
        "LINESTRING ZM(24.941234567890123 60.17 1 2, 25 61 3 4)",
    ),
    "arc": ("geometry(CircularString, 4326)", "CIRCULARSTRING(0 0, 1 1, 2 0)"),
    "curve": (
        "geometry(CurvePolygon, 4326)",
        "CURVEPOLYGON(CIRCULARSTRING(0 0, 4 0, 4 4, 0 4, 0 0))",
    ),
    "surface": (
        "geometry",
        "SRID=4326;MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(0 0, 4 0, 4 4, 0 4, 0 0)))",
    ),
    "solid": (
        "geometry(PolyhedralSurfaceZ, 4326)",
        "POLYHEDRALSURFACE Z(((0 0 0, 0 1 0, 1 1 0, 1 0 0, 0 0 0)))",
    ),
    "tin": ("geometry", "SRID=4326;TIN(((0 0, 0 1, 1 1, 0 0)))"),
    "around": ("geometry(Polygon, 4326)", "POLYGON((170 0, 190 0, 190 10, 170 10, 170 0))"),
    "round_line": ("geometry(LineString, 4326)", "LINESTRING(170 0.123456789, 190 0)"),
    "globe": ("geography(Polygon, 4326)", "POLYGON((24 60, 25 60.123456789, 25 61, 24 60))"),
    "short": ("geometry(LineString, 4326)", "LINESTRING(1 1, 1 1)"),
    "empty": ("geometry(Polygon, 4326)", "POLYGON EMPTY"),
    "no_empty": ("geometry(Point, 4326)", "POINT EMPTY"),
    "far": ("geometry(Point, 4326)", "POINT(1e300 5)"),
    "lost": ("geometry(Point, 3067)", "POINT(1e300 5)"),
    "nowhere": ("geometry(Point, 4326)", "0101000020E6100000000000000000F87F000000000000F87F"),
}


def table_of(name: str) -> str:
    """The DDL of a table with one row."""
    kind, shape = SHAPES[name]
    return (
        f"CREATE TABLE {name} (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text, geom"
        f" {kind} NOT NULL);"
        f"INSERT INTO {name} (note, geom) VALUES ('a', '{shape}');"
    )


CAST = """
CREATE VIEW over_line AS SELECT * FROM line;
"""
url = with_tables("".join(map(table_of, SHAPES)) + CAST)
client = writable(collections={"over_line": {"key": ["id"]}}, crs=(3067, 3857, 4326))


async def stored(url: str, name: str) -> tuple[str, str]:
    """The bytes of the geometry, and the note."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(f"SELECT geom::text, note FROM {name} WHERE id = 1")
        assert row is not None
        return row[0], row[1]
    finally:
        await connection.close()


@pytest.mark.parametrize("crs", [None, "EPSG/0/3067", "EPSG/0/3857", "EPSG/0/4326"])
async def test_a_geometry_that_get_gave_is_left_to_the_last_digit(
    client: Client, url: str, crs: str | None
) -> None:
    """By PUT and PATCH, in every reference system, while an attribute changes."""
    wrong = []
    uri = (
        f"http://www.opengis.net/def/crs/{crs}"
        if crs
        else "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    )
    for name in (*SHAPES, "over_line"):
        table = name.removeprefix("over_")
        before, _ = await stored(url, table)
        for method, query, note in (
            ("PUT", "", "b"),
            ("PATCH", "", "c"),
            ("PUT", "precision=3", "d"),
            ("PUT", "precision=12", "e"),
        ):
            _, got = await send(client, "GET", f"{name}/items/1?crs={uri}&{query}")
            body = {**got, "properties": {"note": note}}
            if method == "PATCH":
                body = {"geometry": got["geometry"], "properties": {"note": note}}
            path, kind = (
                f"{name}/items/1?{query}",
                MERGE_PATCH if method == "PATCH" else "application/geo+json",
            )
            async with client.request(
                method,
                f"/collections/{path}",
                data=json.dumps(body),
                headers={"Content-Type": kind, "Content-Crs": f"<{uri}>"},
            ) as response:
                now = await stored(url, table)
                if (response.status, *now) != (204, before, note):
                    wrong.append(
                        (
                            name,
                            method,
                            query,
                            response.status,
                            await response.text(),
                            got["geometry"],
                            now[1],
                        )
                    )
    assert not wrong


def turned(ring: list[Any]) -> list[Any]:
    """A ring that goes the other way round and begins elsewhere."""
    back = ring[::-1]
    return [*back[1:], back[1]]


async def test_a_ring_may_come_back_the_other_way_round_and_a_single_polygon_for_a_multi_one(
    client: Client, url: str
) -> None:
    for name in ("clockwise", "metres", "around"):
        before, _ = await stored(url, name)
        geometry = (await send(client, "GET", f"{name}/items/1"))[1]["geometry"]
        multi = (
            geometry["coordinates"]
            if geometry["type"] == "MultiPolygon"
            else [geometry["coordinates"]]
        )
        rings = [[turned(ring) for ring in polygon] for polygon in multi]
        body = (
            {"type": "MultiPolygon", "coordinates": rings}
            if len(rings) > 1
            else {"type": "Polygon", "coordinates": rings[0]}
        )
        await send(client, "PUT", f"{name}/items/1", feature(body, note="b"), 204)
        assert await stored(url, name) == (before, "b")


async def test_six_digits_are_what_qgis_sends_and_a_move_of_less_than_a_metre_is_stored(
    client: Client, url: str
) -> None:
    before, _ = await stored(url, "digits")
    await send(client, "PUT", "digits/items/1", feature(point(24.941235, 60.17), note="b"), 204)
    assert await stored(url, "digits") == (before, "b")
    for x in (24.94123, 24.941236, 24.9412345, 24.94123457):
        await send(client, "PUT", "digits/items/1", feature(point(x, 60.17), note="b"), 204)
        # what GET gives of it is what was posted, unless that is what was stored already
        assert (await send(client, "GET", "digits/items/1?precision=15"))[1]["geometry"] in (
            point(x, 60.17),
            point(24.941236, 60.17),
        )
    await send(
        client, "PUT", "digits/items/1?precision=15", feature(point(24.94, 60.17), note="b"), 204
    )
    assert (await send(client, "GET", "digits/items/1"))[1]["geometry"] == point(24.94, 60.17)


async def test_a_geometry_that_cannot_be_stored_is_refused_where_it_is_another(
    client: Client, url: str
) -> None:
    wrong = {
        "sliver": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
        "high": point(),
        "measured": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 0]]]},
        "arc": point(),
        "nowhere": {"type": "Point", "coordinates": [1]},
    }
    for name, geometry in wrong.items():
        before = await stored(url, name)
        for method, kind in (("PUT", "application/geo+json"), ("PATCH", MERGE_PATCH)):
            problem = (
                await send(
                    client, method, f"{name}/items/1", feature(geometry, note="b"), 422, kind=kind
                )
            )[1]
            assert problem["pointer"].startswith("/geometry"), problem
        assert await stored(url, name) == before
    # what is broken can be mended
    await send(client, "PUT", "nowhere/items/1", feature(point(), note="b"), 204)
    await send(
        client,
        "PUT",
        "crossing/items/1?repair=true",
        (await send(client, "GET", "crossing/items/1"))[1],
        422,
    )


async def test_a_geometry_is_compared_with_what_is_there_when_it_is_stored(
    client: Client, url: str
) -> None:
    """Others move the feature all the while: each change is of one state, and no geometry comes
    back that nobody sent.
    """
    _, got = await send(client, "GET", "digits/items/1")
    unchanged = {**got, "properties": {"note": "mine"}}

    async def put(body: Any, **headers: str) -> int:
        async with client.put(
            "/collections/digits/items/1",
            json=body,
            headers={"Content-Type": "application/geo+json", **headers},
        ) as response:
            return response.status

    moves = [feature(point(number, 1), note=f"{number}") for number in range(20)]
    found = await asyncio.gather(*(put(each) for move in moves for each in (move, unchanged)))
    assert set(found) == {204}
    etag = (await send(client, "GET", "digits/items/1", Accept_Encoding="identity"))[0]["ETag"]
    found = await asyncio.gather(*(put(unchanged, **{"If-Match": etag}) for _ in range(10)))
    # the first may change the row; one that changes nothing keeps its tag
    assert set(found) <= {204, 412}
    assert 204 in found
