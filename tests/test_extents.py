"""One answer to where and when the features of a collection are, whoever asks, and such as `bbox`
takes.
"""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from geosvc.database.reads.published_extent import published_bounds
from tests.conftest import Client, Service, execute
from tests.http import fetch

TABLES = """
CREATE TABLE analysed (id int PRIMARY KEY, at geometry(Point, 4326));
CREATE TABLE fresh (id int PRIMARY KEY, at geometry(Point, 4326));
INSERT INTO analysed SELECT i, ST_SetSRID(ST_Point(i, i), 4326) FROM generate_series(1, 50) i;
INSERT INTO fresh TABLE analysed;
CREATE VIEW seen AS TABLE fresh;
CREATE TABLE spheric AS SELECT id, at::geography AS at FROM fresh;
CREATE TABLE untyped AS SELECT i AS id, ST_SetSRID(ST_Point(385000 + i, 6672000), 3067) AS at FROM generate_series(1, 50) i;
CREATE TABLE mixed (id int, at geometry);
INSERT INTO mixed VALUES (1, 'SRID=4326;POINT(1 2)'), (2, 'SRID=3067;POINT(385000 6672000)'), (3, 'POINT(3 4)');
CREATE TABLE infinite (id int, at geometry(Geometry, 4326));
INSERT INTO infinite SELECT i, ST_SetSRID(at, 4326) FROM unnest(ARRAY[
  ST_Point(1, 2), ST_Point('Infinity', 2), ST_Point('NaN', 1), ST_Point(0, '-Infinity'), 'POINT EMPTY',
  ST_MakeLine(ST_Point(0, 0), ST_Point('-Infinity', 1)), NULL]) WITH ORDINALITY AS l(at, i);
CREATE INDEX ON infinite USING gist (at);
CREATE TABLE beyond (id int, at geometry(Polygon, 4326));
INSERT INTO beyond VALUES (1, ST_MakeEnvelope(170, -10, 190, 10, 4326));
CREATE TABLE poles (id int, at geometry(Point, 4326));
INSERT INTO poles VALUES (1, 'SRID=4326;POINT(180 90)'), (2, 'SRID=4326;POINT(-180 -90)');
CREATE TABLE nonsense (id int, at geometry(Point, 4326));
INSERT INTO nonsense VALUES (1, 'SRID=4326;POINT(385000 6672000)');
CREATE TABLE nothing (id int, at geometry(Point, 4326));
CREATE TABLE times (id int, at geometry(Point, 4326), time timestamptz);
INSERT INTO times VALUES (1, 'SRID=4326;POINT(1 2)', '-infinity'), (2, NULL, '2020-01-01Z'), (3, NULL, 'infinity');
CREATE TABLE since (id int, at geometry(Point, 4326), time timestamptz);
INSERT INTO since VALUES (1, 'SRID=4326;POINT(1 2)', '2019-01-01Z'), (2, NULL, 'infinity');
CREATE TABLE until (id int, at geometry(Point, 4326), time timestamp);
INSERT INTO until VALUES (1, 'SRID=4326;POINT(1 2)', '0044-03-15 BC'), (2, NULL, '2021-01-01');
CREATE TABLE never (id int, at geometry(Point, 4326), time date);
INSERT INTO never VALUES (1, 'SRID=4326;POINT(1 2)', 'infinity');
ANALYZE analysed, infinite, untyped, beyond, poles, nonsense;
"""


@pytest.fixture
async def client(service: Service, bare_database_url: str) -> Client:
    """Tables of every kind of extent."""
    await asyncio.to_thread(execute, bare_database_url, TABLES)
    return await service(bare_database_url)


def boxes(document: Any) -> list[list[float]]:
    """The boxes of a collection."""
    found: list[list[float]] = document.get("extent", {}).get("spatial", {}).get("bbox", [])
    return found


async def check(client: Client) -> None:
    """Fails where two answers differ, and where a published box is none that can be asked for."""
    for collection in (await fetch(client, "/collections"))["collections"]:
        path = f"/collections/{quote(collection['id'], safe='')}"
        alone = await fetch(client, path)
        assert alone.get("extent") == collection.get("extent"), path
        async with client.get(URL(f"{path}?extent=exact", encoded=True)) as response:
            exact = await response.json() if response.status == 200 else {}
        for west, south, east, north in (*boxes(alone), *boxes(exact)):
            assert -180 <= west <= 180, path
            assert -180 <= east <= 180, path
            assert -90 <= south <= north <= 90, path
            await fetch(client, f"{path}/items?bbox={west},{south},{east},{north}&limit=1")


async def test_every_answer_tells_the_same_extent_and_bbox_takes_it(client: Client) -> None:
    await check(client)


async def test_the_sample_data_have_one_extent(sample: Client) -> None:
    await check(sample)


async def test_nasty_data_have_one_extent(nasty: Client) -> None:
    await check(nasty)


async def test_an_extent_is_in_degrees_finite_and_where_the_features_are(client: Client) -> None:
    found = {each["id"]: each for each in (await fetch(client, "/collections"))["collections"]}
    for name in ("fresh", "seen", "spheric"):
        assert boxes(found[name]) == [[1, 1, 50, 50]]
    assert boxes(found["analysed"])[0] == pytest.approx([1, 1, 50, 50], abs=1)
    west, south, east, north = boxes(found["untyped"])[0]
    assert 24 < west < east < 25
    assert 60 < south <= north < 61
    assert boxes(found["mixed"])[0][:2] == pytest.approx([1, 2])
    assert boxes(found["infinite"]) == [[1, 2, 1, 2]]
    assert boxes(found["beyond"])[0] == pytest.approx([170, -10, -170, 10], abs=0.2)
    assert boxes(found["poles"])[0] == pytest.approx([-180, -90, 180, 90])
    assert boxes(found["nonsense"]) == boxes(found["nothing"]) == []


async def test_an_open_end_of_time_is_null(client: Client) -> None:
    for name, expected in (
        ("times", [None, None]),
        ("since", ["2019-01-01T00:00:00+00:00", None]),
        ("until", [None, "2021-01-01T00:00:00"]),
        ("never", [None, None]),
    ):
        document = await fetch(client, f"/collections/{name}?extent=exact")
        assert document["extent"]["temporal"]["interval"] == [expected]


@pytest.mark.parametrize(
    ("bounds", "published"),
    [
        ((1.0, 2.0, 3.0, 4.0), (1.0, 2.0, 3.0, 4.0)),
        ((170.0, -5.0, -170.0, 5.0), (170.0, -5.0, -170.0, 5.0)),
        ((170.0, -5.0, 190.0, 5.0), (170.0, -5.0, -170.0, 5.0)),
        ((-190.0, -5.0, -170.0, 5.0), (170.0, -5.0, -170.0, 5.0)),
        ((-190.0, -5.0, 190.0, 5.0), (-180.0, -5.0, 180.0, 5.0)),
        ((-180.00001, -90.00001, 180.00001, 90.00001), (-180.0, -90.0, 180.0, 90.0)),
        ((0.0, 0.0, 1.0, 91.0), None),
        ((0.0, 0.0, 3.4e38, 1.0), None),
        ((float("-inf"), 0.0, 1.0, 1.0), None),
        ((float("nan"), 0.0, 1.0, 1.0), None),
    ],
)
def test_bounds_are_published_as_bbox_takes_them(bounds: Any, published: Any) -> None:
    assert published_bounds(bounds) == published
