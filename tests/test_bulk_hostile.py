"""Bodies that are cut off, that lie, that are too large or too slow: refused, with nothing stored
and nothing held.
"""

import asyncio
import gzip
import json
import resource
import zlib
from collections.abc import Awaitable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.bulk_bodies import (
    SHAPES,
    TABLES,
    Upload,
    as_collection,
    ask,
    count,
    feature,
    heavy,
    load,
    nothing_is_held,
    nothing_is_left,
    post,
    quiet,
    uploading,
    url_of,
)
from tests.conftest import Client, Service, execute
from tests.processes import Running, serving, unexpected

ITEMS = "/collections/places/items"
HEAD = b'{"type": "FeatureCollection", "features": ['
MEBI = 1 << 20


@pytest.fixture
def bulk_url(bare_database_url: str) -> str:
    """The tables to load into."""
    execute(bare_database_url, TABLES)
    return bare_database_url


@pytest.fixture
async def client(service: Service, bulk_url: str) -> Client:
    return await service(bulk_url, writable=("*",))


def is_whole(text: bytes) -> bool:
    """Whether a sequence that is cut here is one all the same."""
    try:
        return all(
            json.loads(record)
            for record in text.replace(b"\n", b"\x1e").split(b"\x1e")
            if record.strip()
        )
    except ValueError:
        return False


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_body_that_is_cut_off_anywhere_leaves_nothing(
    client: Client, bulk_url: str, shape: str, coding: str
) -> None:
    write, content_type = SHAPES[shape]
    whole = write([feature(number) for number in range(40)])
    body = gzip.compress(whole) if coding == "gzip" else whole
    chosen = Random(11)
    with quiet():
        for _ in range(40):
            cut = chosen.randrange(1, len(body) - 2)
            if coding == "identity" and shape != "collection" and is_whole(body[:cut]):
                continue
            await post(
                client,
                "places",
                body[:cut],
                400,
                Content_Type=content_type,
                Content_Encoding=coding,
            )
    await nothing_is_left(client, bulk_url)


BODIES: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \n ",
    "no object": b"[1, 2]",
    "a text": b'"FeatureCollection"',
    "no features": b'{"type": "FeatureCollection"}',
    "features twice": b'{"type": "FeatureCollection", "features": [], "features": []}',
    "features no array": b'{"type": "FeatureCollection", "features": {}}',
    "features null": b'{"type": "FeatureCollection", "features": null}',
    "a feature is null": b'{"type": "FeatureCollection", "features": [null]}',
    "a feature is an array": b'{"type": "FeatureCollection", "features": [[{}]]}',
    "no comma": b'{"type": "FeatureCollection", "features": [{} {}]}',
    "comma at the end": b'{"type": "FeatureCollection", "features": [{},]}',
    "something behind": b'{"type": "FeatureCollection", "features": []} {}',
    "a member is no JSON": b'{"type": "FeatureCollection", "a": tru, "features": []}',
    "a member behind is no JSON": b'{"type": "FeatureCollection", "features": [], "a": }',
    "wrong brackets": b'{"type": "FeatureCollection", "features": [}]}',
    "UTF-16": '{"type": "FeatureCollection", "features": []}'.encode("utf-16"),
    "deep member": b'{"type": "FeatureCollection", "a": %b, "features": []}'
    % (b"[" * 30_000 + b"]" * 30_000),
    "other type": b'{"type": "Topology", "features": []}',
}


async def test_what_is_no_feature_collection_is_refused(client: Client, bulk_url: str) -> None:
    for name, body in BODIES.items():
        with quiet():
            problem = await post(client, "places", body, (400, 422))
            assert problem["detail"], name
            await nothing_is_left(client, bulk_url)


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e-400", "1" * 400])
async def test_a_number_that_no_column_can_hold_is_that_of_its_feature(
    client: Client, bulk_url: str, number: str
) -> None:
    body = as_collection([feature(0), feature(1, properties={"height": 123454321})]).replace(
        b"123454321", number.encode()
    )
    with quiet():
        assert (await post(client, "places", body, 422))["index"] == 1
        await nothing_is_left(client, bulk_url)


async def test_bytes_that_are_no_base64_are_not_blamed_on_the_geometry(
    client: Client, bulk_url: str
) -> None:
    features = [feature(0, id="a", properties={}), feature(1, id="b", properties={"raw": "%%%"})]
    problem = await load(client, features, 422, "texts")
    assert problem["pointer"] in ("/features/1", "/features/1/properties/raw")
    await nothing_is_left(client, bulk_url, 0, "texts")


@pytest.mark.parametrize("number", ["1e400", "NaN", "null", '"1"', "true"])
async def test_a_coordinate_is_a_finite_number(client: Client, bulk_url: str, number: str) -> None:
    body = as_collection(
        [feature(0), feature(1, geometry={"type": "Point", "coordinates": [123454321, 0]})]
    )
    with quiet():
        problem = await post(
            client, "places", body.replace(b"123454321", number.encode()), (400, 422)
        )
        assert problem.get("index") == 1
        await nothing_is_left(client, bulk_url)


@pytest.mark.parametrize("depth", [60, 200, 30_000])
async def test_a_geometry_that_is_nested_too_deep_is_named(
    client: Client, bulk_url: str, depth: int
) -> None:
    deep = b'{"type":"GeometryCollection","geometries":[' * depth + b"]}" * depth
    for write, content_type in SHAPES.values():
        body = write([feature(0), feature(1, geometry="deep"), feature(2)]).replace(b'"deep"', deep)
        assert (await post(client, "places", body, (400, 422), Content_Type=content_type))[
            "index"
        ] == 1
    await nothing_is_left(client, bulk_url)


def line(positions: int) -> bytes:
    """A collection of one line."""
    text = (b"[1,2],[3,4]," * (positions // 2 + 1))[: positions * 6 - 1]
    return (
        HEAD
        + b'{"type":"Feature","properties":{},"geometry":{"type":"LineString","coordinates":[%b]}}]}'
        % text
    )


async def test_a_geometry_of_too_many_positions_is_refused(service: Service, bulk_url: str) -> None:
    client = await service(
        bulk_url, writable=("*",), max_vertices=1_000, max_feature_bytes=8 * MEBI
    )
    assert (await post(client, "lines", line(1_000)))["numberCreated"] == 1
    for positions in (1_001, 100_000):
        problem = await post(client, "lines", line(positions), 422)
        assert problem["index"] == 0
        assert problem["pointer"].startswith("/features/0/geometry")
    assert (await post(client, "lines", line(2_000_000), 413))["index"] == 0
    await nothing_is_left(client, bulk_url, 1, "lines")


@pytest.mark.slow
async def test_ten_million_positions_are_refused(service: Service, bulk_url: str) -> None:
    client = await service(bulk_url, writable=("*",), max_feature_bytes=128 * MEBI)
    assert (await post(client, "lines", line(10_000_000), 422))["index"] == 0
    await nothing_is_left(client, bulk_url, 0, "lines")


async def test_content_crs_is_one_that_the_collection_lists(client: Client, bulk_url: str) -> None:
    epsg = "http://www.opengis.net/def/crs/EPSG/0/"
    for crs in (f"<{epsg}25832>", f"{epsg}990001", "EPSG:4326", ""):
        assert (await load(client, [feature(1)], 400, Content_Crs=crs))[
            "parameter"
        ] == "Content-Crs"
    await nothing_is_left(client, bulk_url)
    place = feature(1, geometry={"type": "Point", "coordinates": [60, 25]})
    await load(client, [place, feature(2, geometry=place["geometry"])], Content_Crs=f"<{epsg}4326>")
    assert await ask(bulk_url, "SELECT DISTINCT ST_X(geom), ST_Y(geom) FROM places") == [
        (25.0, 60.0)
    ]


async def test_a_body_larger_than_it_may_be_is_refused(service: Service, bulk_url: str) -> None:
    client = await service(bulk_url, writable=("*",), max_body_bytes=6 * MEBI)
    body = as_collection([heavy(number) for number in range(3_000)])
    assert len(body) > 8 * MEBI
    await post(client, "places", gzip.compress(body), 413, Content_Encoding="gzip")
    async with uploading(url_of(client), ITEMS) as upload:
        for start in range(0, len(body), MEBI):
            await upload.chunk(body[start : start + MEBI])
        assert (await upload.answer())[0] == 413
    await nothing_is_left(client, bulk_url)
    async with uploading(url_of(client), ITEMS, len(body)) as upload:
        assert (await upload.answer())[0] == 413  # before a byte was sent
    await nothing_is_left(client, bulk_url)


async def open_load(upload: Upload, url: str) -> None:
    """Sends features until a transaction is open."""
    body = HEAD + b",".join(json.dumps(heavy(number)).encode() for number in range(4_000)) + b","
    for start in range(0, len(body), MEBI):
        await upload.chunk(body[start : start + MEBI])
    async with asyncio.timeout(10):
        while not await ask(
            url, "SELECT FROM pg_stat_activity WHERE xact_start < now() AND backend_xid IS NOT NULL"
        ):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("opened", [False, True])
async def test_a_body_that_stalls_is_a_408_and_holds_no_connection(
    service: Service, bulk_url: str, opened: bool
) -> None:
    client = await service(bulk_url, writable=("*",), read_stall_seconds=0.5)
    with quiet():
        async with uploading(url_of(client), ITEMS) as upload:
            await (open_load(upload, bulk_url) if opened else upload.chunk(HEAD + b"{"))
            status, problem = await upload.answer()
        assert (status, problem["type"]) == (408, "urn:geosvc:problem:body-timeout")
        await nothing_is_left(client, bulk_url)


async def test_a_body_that_is_slow_but_steady_is_loaded(service: Service, bulk_url: str) -> None:
    client = await service(bulk_url, writable=("*",), read_stall_seconds=0.5, min_rate_bytes=5_000)
    async with uploading(url_of(client), ITEMS) as upload:
        await open_load(upload, bulk_url)
        for number in range(
            30
        ):  # longer than the server lets a transaction be idle: the stall and CANCEL_GRACE_SECONDS
            await upload.chunk(json.dumps(heavy(4_000 + number)).encode() + b",")
            await asyncio.sleep(0.2)
        await upload.chunk(json.dumps(heavy(4_030)).encode() + b"]}")
        await upload.chunk(b"")
        status, report = await upload.answer()
    assert (status, report.get("numberCreated")) == (201, 4_031), report
    await nothing_is_left(client, bulk_url, 4_031)


@pytest.mark.parametrize("opened", [False, True])
async def test_a_load_that_takes_too_long_is_a_408(
    service: Service, bulk_url: str, opened: bool
) -> None:
    client = await service(bulk_url, writable=("*",), bulk_seconds=2)
    with quiet():
        async with uploading(url_of(client), ITEMS) as upload:
            await (open_load(upload, bulk_url) if opened else upload.chunk(HEAD + b"{"))
            answer = asyncio.ensure_future(upload.answer())
            while not answer.done():
                await upload.chunk(b" ")
                await asyncio.sleep(0.05)
            assert (await answer)[0] == 408
        await nothing_is_left(client, bulk_url)


async def test_what_was_read_in_time_is_stored_however_long_that_takes(
    service: Service, bulk_url: str
) -> None:
    client = await service(bulk_url, writable=("*",), bulk_seconds=0.5)
    await asyncio.to_thread(
        execute,
        bulk_url,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1);"
        " RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT ON places FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    await load(client, [feature(1)], 201)
    await nothing_is_left(client, bulk_url, 1, seconds=5)


async def test_a_content_length_that_is_too_long_is_noticed(
    service: Service, bulk_url: str
) -> None:
    client = await service(bulk_url, writable=("*",), read_stall_seconds=0.5)
    body = as_collection([feature(number) for number in range(20)])
    with quiet():
        async with uploading(url_of(client), ITEMS, len(body) + 10) as upload:
            await upload.send(body)
            assert (await upload.answer())[0] == 408
        async with uploading(url_of(client), ITEMS, len(body) + 10) as upload:
            await upload.send(body)
            upload.writer.write_eof()
            assert (await upload.answer())[0] in (0, 400)
        await nothing_is_left(client, bulk_url)


async def test_lengths_that_are_wrong_are_noticed(service: Service, bulk_url: str) -> None:
    client = await service(bulk_url, writable=("*",), read_stall_seconds=0.5)
    body = as_collection([feature(number) for number in range(20)])
    with quiet():
        async with uploading(url_of(client), ITEMS, len(body) - 10) as upload:
            await upload.send(body)
            assert (await upload.answer())[0] == 400
        async with uploading(url_of(client), ITEMS) as upload:
            await upload.send(b"ffffffffffffffffff\r\n" + body)
            assert (await upload.answer())[0] == 400
        for number in (1, 4_000):  # before a transaction and within it
            async with uploading(url_of(client), ITEMS) as upload:
                await upload.chunk(
                    HEAD + b",".join(json.dumps(heavy(each)).encode() for each in range(number))
                )
                await upload.send(b"no length\r\n")
                assert (await upload.answer())[0] in (400, 408)  # aiohttp does not tell the handler
        await nothing_is_left(client, bulk_url)


async def test_every_feature_may_have_other_properties(client: Client, bulk_url: str) -> None:
    names = [f"c{number}" for number in range(11)]  # more combinations than statements are kept
    columns = ", ".join(f"{name} int DEFAULT 1" for name in names)
    await asyncio.to_thread(
        execute, bulk_url, f"CREATE TABLE wide (id serial PRIMARY KEY, {columns}, geom geometry)"
    )
    features = [
        feature(number, properties={name: 5 for bit, name in enumerate(names) if number >> bit & 1})
        for number in range(2_000)
    ]
    async with asyncio.timeout(30):
        while (await client.get("/collections/wide")).status != 200:
            await asyncio.sleep(0.05)
        assert (await load(client, features, path="wide"))["numberCreated"] == 2_000
    total = " + ".join(names)
    (row,) = await ask(bulk_url, f"SELECT sum({total})::int FROM wide")
    assert row == (sum(len(names) + 4 * number.bit_count() for number in range(2_000)),)


async def test_a_column_that_is_dropped_meanwhile_is_a_503_and_then_it_works(
    service: Service, bulk_url: str
) -> None:
    client = await service(bulk_url, writable=("*",), catalog_poll_seconds=60)
    async with uploading(url_of(client), ITEMS) as upload:
        await upload.chunk(HEAD + json.dumps(feature(1, properties={"note": "n"})).encode())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(execute, bulk_url, "ALTER TABLE places DROP COLUMN height CASCADE")
        await upload.chunk(b"," + json.dumps(feature(2, properties={"height": 3})).encode() + b"]}")
        await upload.chunk(b"")
        status, problem = await upload.answer()
    assert (status, problem.get("type")) == (503, "urn:geosvc:problem:unavailable"), problem
    await nothing_is_left(client, bulk_url)
    report = await load(
        client, [feature(1, properties={"name": "a"}), feature(2, properties={"name": "b"})]
    )
    assert report["numberCreated"] == 2


def resident_mebibytes(running: Running) -> float:
    """The memory of a process that runs."""
    statm = Path(f"/proc/{running.process.pid}/statm").read_text("ascii")
    return int(statm.split()[1]) * resource.getpagesize() / MEBI


async def most_memory(running: Running, work: Awaitable[Any]) -> tuple[float, Any]:
    """How many mebibytes a process grows by while something is done with it, and the result of
    that.
    """
    before = most = resident_mebibytes(running)
    task = asyncio.ensure_future(work)
    while not task.done():
        most = max(most, resident_mebibytes(running))
        await asyncio.sleep(0.01)
    return most - before, await task


async def send_all(url: str, parts: Iterable[bytes], coding: str = "identity") -> tuple[int, Any]:
    """Sends a body, and reads the answer as soon as there is one."""
    async with uploading(url, ITEMS, headers={"Content-Encoding": coding}) as upload:
        answer = asyncio.ensure_future(upload.answer(60))
        for part in parts:
            if answer.done():
                break
            with suppress(ConnectionError):
                await upload.chunk(part)
            await asyncio.sleep(0)
        else:
            await upload.chunk(b"")
        return await answer


def hundred_mebibytes(bad: int | None) -> Iterator[bytes]:
    """The parts of a body; one feature is bad."""
    yield HEAD
    for number in range(32_000):
        value = heavy(number)
        if number == bad:
            value["properties"]["height"] = "tall"
        yield json.dumps(value).encode() + (b"," if number < 31_999 else b"]}")


@pytest.fixture
def process(bulk_url: str) -> Iterator[Running]:
    """The built program; its log holds no error."""
    with serving(bulk_url, writable="*", max_body_bytes=str(300 * MEBI)) as running:
        assert running.url
        yield running
        assert running.stop() == 0
        assert not unexpected(running)


@pytest.mark.slow
async def test_memory_stays_the_same_with_a_hundred_mebibytes(
    process: Running, bulk_url: str
) -> None:
    for bad in (0, 31_999, None):
        grown, (status, answer) = await most_memory(
            process, send_all(process.url, hundred_mebibytes(bad))
        )
        assert status == (201 if bad is None else 422), answer
        assert answer.get("index") == bad
        await nothing_is_held(bulk_url, 1)
        assert await count(bulk_url) == (32_000 if bad is None else 0)
        assert grown < 128


def bomb(begin: bytes, mebibytes: int) -> Iterator[bytes]:
    """A small gzip stream of much white space."""
    squeezed = zlib.compressobj(9, wbits=31)
    yield squeezed.compress(begin)
    for _ in range(mebibytes):
        yield squeezed.compress(b" " * MEBI)
    yield squeezed.flush()


@pytest.mark.slow
@pytest.mark.parametrize(
    "begin", [HEAD, HEAD + b'{"type":', b"{", b"", b'{"type":"Feature","id":'], ids=repr
)
async def test_a_bomb_is_defused(process: Running, bulk_url: str, begin: bytes) -> None:
    body = b"".join(bomb(begin, 400))  # the service takes 300
    assert len(body) < MEBI
    grown, (status, _) = await most_memory(process, send_all(process.url, [body], "gzip"))
    assert status in (400, 413)
    assert grown < 128
    await nothing_is_held(bulk_url, 1)
