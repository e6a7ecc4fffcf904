"""Bodies as they travel: compressed, too large, slow, cut off."""

import asyncio
import gzip
import json
from typing import Any

from backports import zstd

from tests.bulk_bodies import uploading, url_of
from tests.conftest import Client, Service
from tests.posting import (
    GEOJSON,
    MERGE_PATCH,
    feature,
    point,
    problem_of,
    send,
    with_tables,
    writable,
)

TABLE = """
CREATE TABLE houses (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, geom geometry(Point, 4326) NOT NULL);
INSERT INTO houses (name, geom) VALUES ('first', 'SRID=4326;POINT(25 60)');
"""
ITEMS, ITEM = "houses/items", "houses/items/1"


def house(name: str = "new") -> dict[str, Any]:
    """A good feature."""
    return feature(point(), name=name)


url = with_tables(TABLE)
client = writable(max_feature_bytes=200_000)


async def test_compressed_bodies_are_taken(client: Client) -> None:
    text = json.dumps(house()).encode()
    for coding, body in (
        ("gzip", gzip.compress(text)),
        ("X-GZIP", gzip.compress(text)),
        ("zstd", zstd.compress(text)),
    ):
        await send(client, "POST", ITEMS, body, 201, Content_Encoding=coding)
        await send(client, "PUT", ITEM, body, 204, Content_Encoding=coding)
        problem = await problem_of(
            client,
            "PUT",
            ITEM,
            body[:-5],
            **{"Content-Type": GEOJSON, "Content-Encoding": coding.lower()},
        )
        assert (problem["status"], problem["type"].rpartition(":")[2]) == (400, "invalid-body")


async def test_a_body_that_is_too_large_is_refused_inflated_too(client: Client) -> None:
    text = json.dumps(house(name="x" * 300_000)).encode()
    for coding, body in (
        ("identity", text),
        ("gzip", gzip.compress(text)),
        ("zstd", zstd.compress(text)),
    ):
        for method, path in (("POST", ITEMS), ("PUT", ITEM), ("PATCH", ITEM)):
            kind = MERGE_PATCH if method == "PATCH" else GEOJSON
            problem = await problem_of(
                client, method, path, body, **{"Content-Type": kind, "Content-Encoding": coding}
            )
            assert (problem["status"], problem["type"].rpartition(":")[2]) == (
                413,
                "body-too-large",
            )


async def test_a_body_that_stalls_is_refused_after_a_while(service: Service, url: str) -> None:
    client = await service(url, writable=("*",), read_stall_seconds=0.3)
    async with uploading(url_of(client), f"/collections/{ITEMS}") as upload:
        await upload.chunk(b'{"type":')
        status, problem = await upload.answer(5)
    assert (status, problem["type"]) == (408, "urn:geosvc:problem:body-timeout")


async def test_a_body_that_comes_a_byte_at_a_time_is_taken(service: Service, url: str) -> None:
    client = await service(url, writable=("*",), read_stall_seconds=5)
    text = json.dumps(house()).encode()
    async with uploading(url_of(client), f"/collections/{ITEMS}") as upload:
        for number in range(len(text)):
            await upload.chunk(text[number : number + 1])
        await upload.chunk(b"")
        assert (await upload.answer())[0] == 201


async def test_a_body_shorter_than_it_says_stores_nothing(client: Client) -> None:
    text = json.dumps(house()).encode()
    for sent in (text, text[:20], b""):
        async with uploading(
            url_of(client), f"/collections/{ITEMS}", length=len(text) + 10
        ) as upload:
            await upload.send(sent)
            upload.writer.write_eof()
            status, _ = await upload.answer(5)
        assert status in (0, 400)
    await asyncio.sleep(0.1)
    assert (await send(client, "GET", ITEMS))[1]["numberReturned"] == 1
