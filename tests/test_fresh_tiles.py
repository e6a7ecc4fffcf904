"""Tiles of published tables: kept while edits fall elsewhere, and never older than a commit."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from geosvc.caching.area_cache import AreaCache
from geosvc.database.migrations import migrate_up
from geosvc.events import QueryEnded
from geosvc.http.keys import AREA_CACHE, CHANGE_READER, WRITES
from geosvc.live.pruning import Pruner
from tests.conftest import Client, Service, settings_for
from tests.databases import make_template, with_database
from tests.live import connected, publish_now
from tests.observing import seen
from tests.tile_reading import read_tile, tile_at

TABLES = """
CREATE TABLE places (id int PRIMARY KEY, value int NOT NULL DEFAULT 0, geom geometry(Geometry, 4326));
INSERT INTO places SELECT n, 0, ST_SetSRID(ST_Point(n, n), 4326) FROM generate_series(1, 60) n;
CREATE TABLE in_metres (id int PRIMARY KEY, value int NOT NULL DEFAULT 0, geom geometry(Point, 3067));
INSERT INTO in_metres SELECT n, 0, ST_Transform(ST_SetSRID(ST_Point(20 + n / 10.0, 60 + n / 10.0), 4326), 3067)
  FROM generate_series(1, 40) n;
CREATE TABLE in_mercator (id int PRIMARY KEY, value int NOT NULL DEFAULT 0, geom geometry(Point, 3857));
INSERT INTO in_mercator SELECT id, 0, ST_Transform(geom, 3857) FROM places;
CREATE TABLE on_sphere (id int PRIMARY KEY, value int NOT NULL DEFAULT 0, geom geography(Point, 4326));
INSERT INTO on_sphere SELECT id, 0, geom::geography FROM places;
CREATE TABLE far (id int PRIMARY KEY, geom geometry(Point, 4326));
ANALYZE;
"""
PUBLISHED = ("places", "in_metres", "in_mercator", "on_sphere")


@pytest.fixture(scope="session")
def fresh_template(server_url: str) -> str:
    name = make_template(server_url, "geosvc_fresh_tiles", TABLES)
    url = with_database(server_url, name)
    migrate_up(settings_for(url), url)
    for table in PUBLISHED:
        publish_now(url, table)
    return name


@pytest.fixture
def fresh_url(clone: Callable[[str], str], fresh_template: str) -> str:
    return clone(fresh_template)


@pytest.fixture
async def fresh(service: Service, fresh_url: str) -> Client:
    client = await service(fresh_url)
    assert await app_of(client)[CHANGE_READER].ready(5)
    return client


def app_of(client: Client) -> Any:
    return client.server.app  # type: ignore[attr-defined]


def cache_of(client: Client) -> AreaCache:
    cache: AreaCache = app_of(client)[AREA_CACHE]
    return cache


def url_of(table: str, zoom: int, longitude: float, latitude: float) -> str:
    _, row, column = tile_at(zoom, longitude, latitude)
    return f"/collections/{table}/tiles/WebMercatorQuad/{zoom}/{row}/{column}"


async def ask(client: Client, path: str, **headers: str) -> tuple[int, str, bytes]:
    """(status, ETag, body)."""
    given = {"Accept-Encoding": "identity"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.get(path, headers=given) as answer:
        return answer.status, answer.headers.get("ETag", ""), await answer.read()


async def run(url: str, sql: str) -> None:
    """Statements of somebody else."""
    async with connected(url) as writer:
        await writer.execute(sql)


HERE = url_of("places", 6, 10, 10)


async def test_an_edit_elsewhere_leaves_a_tile_and_its_tag_as_they_are(
    fresh: Client, fresh_url: str
) -> None:
    status, etag, body = await ask(fresh, HERE)
    assert (status, etag[:2]) == (200, "W/")
    await run(fresh_url, "UPDATE places SET value = 1 WHERE id = 50")
    with seen(QueryEnded) as ended:
        assert await ask(fresh, HERE) == (200, etag, body)
        assert await ask(fresh, HERE, If_None_Match=etag) == (304, etag, b"")
        assert await ask(fresh, HERE, If_None_Match=f'"x", {etag}') == (304, etag, b"")
    assert not [each for each in ended if each.run.name.startswith("items.")]
    assert cache_of(fresh).lookups["hit"] == 1


EDITS = {
    "a value": "UPDATE places SET value = 1 WHERE id = 10",
    "a new feature": "INSERT INTO places VALUES (99, 0, 'SRID=4326;POINT(10.1 10.1)')",
    "one that is deleted": "DELETE FROM places WHERE id = 10",
    "one that comes": "UPDATE places SET geom = 'SRID=4326;POINT(10.2 10)' WHERE id = 50",
    "one that goes": "UPDATE places SET geom = 'SRID=4326;POINT(-50 -50)' WHERE id = 10",
    "another key": "UPDATE places SET id = 1000 WHERE id = 10",
    "a large polygon": "INSERT INTO places VALUES (99, 0, ST_MakeEnvelope(-100, -50, 100, 50, 4326))",
    "a polygon around it, moved": (
        "INSERT INTO places VALUES (98, 0, ST_MakeEnvelope(8, 8, 12, 12, 4326));"
        " UPDATE places SET geom = ST_Translate(geom, 100, 0) WHERE id = 98"
    ),
    "many at once": (
        "INSERT INTO places SELECT n, 0, ST_SetSRID(ST_Point(10, 10), 4326)"
        " FROM generate_series(1000, 3000) n"
    ),
    "everything": "TRUNCATE places",
    "one turn to the east": "INSERT INTO places VALUES (99, 0, 'SRID=4326;POINT(370 10)')",
}


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_of_a_tile_gives_another_tag_and_the_new_tile(
    fresh: Client, fresh_url: str, edit: str
) -> None:
    _, etag, body = await ask(fresh, HERE)
    await run(fresh_url, EDITS[edit])
    status, new_etag, new_body = await ask(fresh, HERE, If_None_Match=etag)
    assert status in (200, 204)
    assert new_etag != etag
    looks_the_same = edit in ("one turn to the east", "a polygon around it, moved")
    assert new_body != body or looks_the_same


ELSEWHERE = {
    "a bulk far away": (
        "INSERT INTO places SELECT n, 0, ST_SetSRID(ST_Point(-100, -50), 4326)"
        " FROM generate_series(1000, 3000) n"
    ),
    "no geometry": "INSERT INTO places VALUES (99, 0, NULL)",
    "an empty one": "INSERT INTO places VALUES (99, 0, 'SRID=4326;POINT EMPTY')",
    "another table": "INSERT INTO far VALUES (1, 'SRID=4326;POINT(10 10)')",
    "another published table": "UPDATE on_sphere SET value = 1 WHERE id = 10",
}


@pytest.mark.parametrize("edit", ELSEWHERE)
async def test_what_no_tile_shows_changes_no_tile(fresh: Client, fresh_url: str, edit: str) -> None:
    _, etag, body = await ask(fresh, HERE)
    await run(fresh_url, ELSEWHERE[edit])
    assert await ask(fresh, HERE) == (200, etag, body)


async def test_a_tag_of_before_is_unknown_after_its_changes_were_pruned(
    fresh: Client, fresh_url: str
) -> None:
    """The version is a sum of all changes, so that pruning does not bring an old one back."""
    _, etag, _ = await ask(fresh, HERE)
    await run(fresh_url, "UPDATE places SET value = 7 WHERE id = 10")
    settings = settings_for(fresh_url, feed_max_changes=1)
    for _ in range(3):
        await run(fresh_url, "INSERT INTO far VALUES (1); DELETE FROM far")
        await Pruner(settings, app_of(fresh)[WRITES].writer, lambda: True).prune()
    async with connected(fresh_url) as writer:
        assert await writer.fetchval("SELECT count(*) FROM geosvc.change") <= 1
    status, _, body = await ask(fresh, HERE, If_None_Match=etag)
    assert status == 200
    assert body


async def test_a_worker_answers_304_to_the_tag_of_another(
    service: Service, fresh: Client, fresh_url: str
) -> None:
    other = await service(fresh_url)
    assert await app_of(other)[CHANGE_READER].ready(5)
    await ask(other, url_of("places", 6, 30, 30))
    _, etag, _ = await ask(fresh, HERE)
    assert (await ask(other, HERE, If_None_Match=etag))[0] == 304
    await run(fresh_url, "UPDATE places SET value = 1 WHERE id = 50")
    assert (await ask(other, HERE, If_None_Match=etag))[0] == 304
    await run(fresh_url, "UPDATE places SET value = 1 WHERE id = 10")
    assert (await ask(other, HERE, If_None_Match=etag))[0] == 200


@pytest.mark.parametrize("table", PUBLISHED)
async def test_no_tile_lacks_what_was_committed(
    fresh: Client, fresh_url: str, tmp_path: Path, table: str
) -> None:
    """Random edits; after each, tiles at several zooms show what the table has."""
    chosen = random.Random(table)
    places = [(22.0, 62.0), (23.5, 63.5), (10.0, 10.0)]
    tags: dict[str, str] = {}
    bodies: dict[str, bytes] = {}
    async with connected(fresh_url) as writer:
        for _ in range(40):
            await writer.execute(edit_of(table, chosen))
            expected = {
                row[0]: row[1] for row in await writer.fetch(f"SELECT id, value FROM {table}")
            }
            for zoom in (0, 5, 8):
                place = chosen.choice(places)
                path = url_of(table, zoom, *place)
                status, etag, body = await ask(fresh, path, If_None_Match=tags.get(path, '"none"'))
                if status != 304:
                    tags[path], bodies[path] = etag, body
                if not bodies[path]:
                    continue
                layers = read_tile(bodies[path], tmp_path, tile_at(zoom, *place))
                for feature in layers.get(table, []):
                    assert feature.properties["value"] == expected[feature.properties["id"]]
                if zoom == 0:
                    assert len(layers.get(table, [])) == len(expected)
    lookups = cache_of(fresh).lookups
    assert lookups["hit"] + lookups["miss"] < 120 or table != "places"


def edit_of(table: str, chosen: random.Random) -> str:
    """An UPDATE, INSERT or DELETE of a feature, near or far."""
    x, y = chosen.choice([(22.0, 62.0), (23.5, 63.5), (10.0, 10.0), (-60.0, -20.0)])
    if table == "in_metres" and x < 20:
        x, y = 25.0, 65.0
    point = f"ST_SetSRID(ST_Point({x + chosen.gauss(0, 0.2)}, {y + chosen.gauss(0, 0.2)}), 4326)"
    value = {
        "in_metres": f"ST_Transform({point}, 3067)",
        "in_mercator": f"ST_Transform({point}, 3857)",
        "on_sphere": f"({point})::geography",
    }.get(table, point)
    id_ = chosen.randint(1, 40)
    return chosen.choice(
        [
            f"UPDATE {table} SET value = value + 1 WHERE id = {id_}",
            f"UPDATE {table} SET geom = {value} WHERE id = {id_}",
            f"INSERT INTO {table} VALUES ({chosen.randint(100, 10**9)}, 0, {value})",
            f"DELETE FROM {table} WHERE id = {id_}",
        ]
    )


async def test_tiles_are_kept_while_much_changes_elsewhere(fresh: Client, fresh_url: str) -> None:
    paths = [url_of("places", 10, 5 + n / 3, 5 + n / 5) for n in range(40)]
    for path in paths:
        await ask(fresh, path)
    cache_of(fresh).lookups.clear()
    ended = asyncio.Event()

    async def write() -> None:
        async with connected(fresh_url) as writer:
            number = 0
            while not ended.is_set():
                number += 1
                await writer.execute("UPDATE places SET value = $1 WHERE id = 55", number)

    writing = asyncio.create_task(write())
    for _ in range(10):
        for path in paths:
            await ask(fresh, path)
    ended.set()
    await writing
    assert cache_of(fresh).lookups["hit"] >= 396


async def test_many_who_ask_at_once_share_one_tile(fresh: Client) -> None:
    with seen(QueryEnded) as ended:
        answers = await asyncio.gather(*(ask(fresh, HERE) for _ in range(30)))
    assert len(set(answers)) == 1
    assert len([each for each in ended if each.run.name == "items.tile"]) == 1


async def test_nothing_is_kept_or_tagged_while_the_log_cannot_be_read(fresh: Client) -> None:
    reader = app_of(fresh)[CHANGE_READER]
    feed, reader._feed = reader._feed, None
    try:
        status, etag, body = await ask(fresh, HERE)
    finally:
        reader._feed = feed
    assert (status, etag) == (200, "")
    assert body
    assert len(cache_of(fresh)) == 0


async def test_the_oldest_tiles_make_room(service: Service, fresh_url: str) -> None:
    client = await service(fresh_url, tile_cache_bytes=10_000)
    assert await app_of(client)[CHANGE_READER].ready(5)
    for n in range(60):
        await ask(client, url_of("places", 12, n, n))
    assert 0 < cache_of(client).bytes <= 10_000


async def test_the_layers_of_the_dataset_are_kept_each_by_itself(
    fresh: Client, fresh_url: str
) -> None:
    _, row, column = tile_at(6, 10, 10)
    path = f"/tiles/WebMercatorQuad/6/{row}/{column}?collections=places,in_mercator,far"
    first = await ask(fresh, path)
    await run(fresh_url, "UPDATE places SET value = 1 WHERE id = 50")
    with seen(QueryEnded) as ended:
        assert await ask(fresh, path) == first
        assert (await ask(fresh, path, If_None_Match=first[1]))[0] == 304
    # a table that is not published is read each time
    assert [each.run.name for each in ended if each.run.name == "items.tile"] == ["items.tile"] * 2
    await run(fresh_url, "UPDATE in_mercator SET value = 1 WHERE id = 10")
    status, etag, body = await ask(fresh, path)
    assert (status, etag != first[1], body != first[2]) == (200, True, True)
