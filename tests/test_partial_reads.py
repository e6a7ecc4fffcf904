"""One feature of which something cannot be read, or that no address leads to."""

from urllib.parse import quote

import pytest

from tests.conftest import Service
from tests.http import fetch
from tests.posting import feature, point, send, with_tables

TEXTS = ("", ".", "..", " ", "...", "%2E", "/")
url = with_tables(
    """
CREATE TABLE raw (id int PRIMARY KEY, kind text, txt text, geom geometry);
INSERT INTO raw VALUES (1, 'road', 'ca. 5', ST_Point(1, 1)), (2, 'path', '5', ST_Point(2, 2));
CREATE VIEW cooked AS SELECT id, kind, txt::int AS number, geom FROM raw;
CREATE VIEW placed AS SELECT id, kind, ST_GeomFromText(CASE txt WHEN '5' THEN 'POINT(1 1)' ELSE txt END, 4326) AS geom FROM raw;
CREATE TABLE fresh (k text PRIMARY KEY, geom geometry(Point, 4326));
CREATE VIEW papers AS SELECT to_json(id) AS id, kind, geom FROM raw;
CREATE VIEW boxes AS SELECT box(point(id, id)) AS id, kind, geom FROM raw;
CREATE TABLE named (k text PRIMARY KEY, geom geometry(Point, 4326));
"""
    + "".join(
        f"INSERT INTO named VALUES ('{each}', ST_SetSRID(ST_Point(1, 1), 4326));" for each in TEXTS
    )
)
KEYS = {name: {"key": ["id"]} for name in ("cooked", "placed")}


@pytest.mark.parametrize("name", ["papers", "boxes"])
async def test_a_key_whose_values_cannot_be_compared_makes_no_ids(
    service: Service, url: str, name: str
) -> None:
    client = await service(url, collections={name: {"key": ["id"]}})
    first = await fetch(client, f"/collections/{name}/items?limit=1")
    following = next(each["href"] for each in first["links"] if each["rel"] == "next")
    pages = [first, await fetch(client, following)]
    assert {each["properties"]["kind"] for page in pages for each in page["features"]} == {
        "road",
        "path",
    }
    assert not any("id" in each for page in pages for each in page["features"])


@pytest.mark.parametrize("name", KEYS)
async def test_what_was_not_asked_for_fails_no_feature(
    service: Service, url: str, name: str
) -> None:
    client = await service(url, collections=KEYS)
    narrowed = "properties=kind" if name == "cooked" else "skipGeometry=true"
    await fetch(client, f"/collections/{name}/items/1", 500)
    async with client.get(f"/collections/{name}/items/1?{narrowed}") as response:
        assert response.status == 200
        assert (await response.json())["properties"]["kind"] == "road"
        assert "ETag" not in response.headers  # of what cannot be read no version is known
    async with client.get(f"/collections/{name}/items/2?{narrowed}") as response:
        assert "ETag" in response.headers
    await fetch(client, f"/collections/{name}/items/9?{narrowed}", 404)


async def test_what_no_address_can_end_with_is_no_id(service: Service, url: str) -> None:
    client = await service(url, writable=("*",))
    page = await fetch(client, "/collections/named/items")
    ids = [each["id"] for each in page["features"] if "id" in each]
    assert len(page["features"]) == len(TEXTS)
    assert sorted(ids) == sorted(set(TEXTS) - {"", ".", ".."})
    for each in ids:
        assert (await fetch(client, f"/collections/named/items/{quote(each, safe='')}"))[
            "id"
        ] == each


@pytest.mark.parametrize(("text", "place"), [("", False), ("..", False), ("x", True)])
async def test_what_has_no_address_has_no_location(
    service: Service, url: str, text: str, place: bool
) -> None:
    client = await service(url, writable=("*",))
    headers, _ = await send(client, "POST", "fresh/items", feature(point(), k=text), 201)
    assert ("Location" in headers) is place
