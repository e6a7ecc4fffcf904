"""Uploads that are slow, large or many: they neither keep others from writing nor fill the
memory.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from io import BytesIO
from time import monotonic

import aiohttp
import pytest

from tests.blackhole import blackhole
from tests.bulk_bodies import (
    TABLES,
    Upload,
    as_collection,
    ask,
    count,
    feature,
    heavy,
    nothing_is_held,
    uploading,
)
from tests.conftest import execute
from tests.posting import GEOJSON
from tests.processes import Running, serving, unexpected
from tests.test_bulk_hostile import HEAD, ITEMS, MEBI, resident_mebibytes

SLOW = "urn:geosvc:problem:body-timeout"
WRITING = """SELECT FROM pg_stat_activity
WHERE application_name LIKE 'geosvc%' AND datname = current_database() AND backend_xid IS NOT NULL"""


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLES)
    return bare_database_url


@asynccontextmanager
async def serving_uploads(url: str, **settings: str) -> AsyncIterator[Running]:
    """The built program, with few connections that write; its log holds no error that is not
    expected.
    """
    given = {"writable": "*", "write_pool_max_size": "4", "pool_acquire_seconds": "1", **settings}
    with serving(url, **given) as running:
        await asyncio.to_thread(getattr, running, "url")
        yield running
        assert await asyncio.to_thread(running.stop) == 0
        assert not unexpected(running, "request_failed")


def part(mebibytes: int = 3, first: int = 0) -> bytes:
    """The begin of a body of many features."""
    return (
        HEAD
        + b",".join(json.dumps(heavy(first + number)).encode() for number in range(mebibytes * 320))
        + b","
    )


async def post(running: Running, body: bytes) -> int:
    """The status of the answer to a body."""
    url, headers = f"{running.url}{ITEMS}", {"Content-Type": GEOJSON}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=BytesIO(body), headers=headers) as response,
    ):
        return response.status


def of_client(number: int) -> dict[str, str]:
    """The headers of a client with an address of its own, behind a proxy."""
    return {"X-Forwarded-For": f"192.0.2.{number}"}


async def many_open(url: str, number: int) -> None:
    """Waits until so many transactions are open."""
    async with asyncio.timeout(20):
        while len(await ask(url, WRITING)) < number:
            await asyncio.sleep(0.02)


async def trickle(upload: Upload, data: bytes = b" ", seconds: float = 0.1) -> None:
    """Sends the same again and again, for as long as somebody takes it."""
    with suppress(ConnectionError):
        while True:
            await upload.chunk(data)
            await asyncio.sleep(seconds)


async def test_uploads_that_trickle_leave_connections_to_single_writes_and_small_bodies(
    url: str,
) -> None:
    body = part()
    async with serving_uploads(url) as running, AsyncExitStack() as stack:
        clients = map(of_client, range(6))
        uploads = [
            await stack.enter_async_context(uploading(running.url, ITEMS, headers=each))
            for each in clients
        ]
        await asyncio.gather(*(upload.chunk(body) for upload in uploads))
        await many_open(url, 2)
        names = iter(range(10_000, 20_000))
        for _ in range(3):
            single = json.dumps(feature(next(names))).encode()
            several = as_collection([feature(next(names)) for _ in range(3)])
            answers = await asyncio.gather(*(post(running, each) for each in (single, several)))
            assert answers == [201, 201]
        refused = [asyncio.ensure_future(upload.answer()) for upload in uploads]
        done, _ = await asyncio.wait(refused, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert {(await each)[1]["type"] for each in done} == {"urn:geosvc:problem:too-many-uploads"}
        assert len(await ask(url, WRITING)) == 2
        for each in refused:
            each.cancel()
    assert await count(url) == 3 * 4


@pytest.mark.parametrize("data", [b" ", b" " * 10_000, b"x"], ids=["a blank", "blanks", "a byte"])
async def test_an_upload_below_the_least_rate_ends_and_its_transaction_with_it(
    url: str, data: bytes
) -> None:
    async with (
        serving_uploads(url, read_stall_seconds="1") as running,
        uploading(running.url, ITEMS) as upload,
    ):
        await upload.chunk(part())
        await many_open(url, 1)
        trickling = asyncio.ensure_future(trickle(upload, data))
        status, problem = await upload.answer()
        assert (status, problem["type"]) == (408, SLOW)
        assert "bytes arrived a second" in problem["detail"]
        assert await ask(url, WRITING) == []
        trickling.cancel()
    assert await count(url) == 0


async def test_a_slow_database_is_not_blamed_on_the_client(url: str) -> None:
    function = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.2); RETURN NEW; END';"
    trigger = (
        "CREATE TRIGGER slow BEFORE INSERT ON places FOR EACH STATEMENT EXECUTE FUNCTION slow()"
    )
    await asyncio.to_thread(execute, url, function + trigger)
    body = part()[:-1] + b"]}"
    settings = {"read_stall_seconds": "1", "min_rate_bytes": "10000000"}
    async with (
        serving_uploads(url, **settings) as running,
        uploading(running.url, ITEMS, len(body)) as upload,
    ):
        sending = asyncio.ensure_future(upload.send(body))
        assert (await upload.answer(60))[0] == 201
        await sending


async def test_one_client_leaves_places_of_uploads_to_others(url: str) -> None:
    async with serving_uploads(url, write_pool_max_size="8") as running, AsyncExitStack() as stack:
        uploads = [await stack.enter_async_context(uploading(running.url, ITEMS)) for _ in range(4)]
        await asyncio.gather(*(upload.chunk(part()) for upload in uploads))
        await many_open(url, 2)
        body = as_collection([heavy(10_000 + number) for number in range(1_500)])
        other = await stack.enter_async_context(
            uploading(running.url, ITEMS, len(body), of_client(1))
        )
        await other.send(body)
        assert (await other.answer())[0] == 201
        refused = [asyncio.ensure_future(upload.answer()) for upload in uploads]
        done, left = await asyncio.wait(refused, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert "of this client's address" in (await done.pop())[1]["detail"]
        for each in left:
            each.cancel()


async def test_uploads_get_in_one_after_the_other(url: str) -> None:
    async with (
        serving_uploads(url, max_uploads="1", pool_acquire_seconds="60") as running,
        AsyncExitStack() as stack,
    ):
        bodies = [
            as_collection([heavy(run * 10_000 + number) for number in range(1_500)])
            for run in range(4)
        ]
        uploads = [
            await stack.enter_async_context(uploading(running.url, ITEMS, len(body)))
            for body in bodies
        ]
        sending = [
            asyncio.ensure_future(upload.send(body))
            for upload, body in zip(uploads, bodies, strict=True)
        ]
        answers = await asyncio.gather(*(upload.answer(60) for upload in uploads))
        await asyncio.gather(*sending)
    assert [status for status, _ in answers] == [201] * 4
    assert await count(url) == 6_000


async def test_whole_bodies_of_slow_clients_stay_within_a_budget(url: str) -> None:
    begin = b'{"type":"Feature","geometry":null,"properties":{"note":"' + b"x" * 12 * MEBI
    settings = {
        "max_feature_bytes": str(16 * MEBI),
        "max_held_body_bytes": str(32 * MEBI),
        "body_seconds": "3",
    }
    async with serving_uploads(url, **settings) as running, AsyncExitStack() as stack:
        assert await post(running, json.dumps(feature(1)).encode()) == 201
        before = resident_mebibytes(running)
        uploads = [
            await stack.enter_async_context(uploading(running.url, ITEMS)) for _ in range(16)
        ]
        sending = [asyncio.ensure_future(upload.chunk(begin)) for upload in uploads]
        answers = [asyncio.ensure_future(upload.answer()) for upload in uploads]
        await asyncio.wait(answers, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert resident_mebibytes(running) - before < 64 + 20  # pieces, and what sockets hold
        assert await post(running, json.dumps(feature(2)).encode()) == 201
        ends = [(status, problem["type"]) for status, problem in await asyncio.gather(*answers)]
        assert set(ends) == {(503, "urn:geosvc:problem:memory-exhausted"), (408, SLOW)}
        await asyncio.wait(sending)
        assert await post(running, begin + b'"}}') == 422  # no geometry; the memory is there again
        assert resident_mebibytes(running) - before < 100


@pytest.fixture(params=["feature", "search", "collection"])
def slow_body(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    """The path of a body that is read whole, and its begin."""
    search = b'{"relation": "within", "geometry": {"type": "Polygon", "coordinates": [['
    bodies = {
        "feature": (ITEMS, b'{"type": "Feature", "properties": {"note": "'),
        "search": ("/collections/places/search", search),
        "collection": (ITEMS, b'{"type": "Feat'),
    }
    return bodies[request.param]


async def test_a_body_that_never_ends_is_given_up_though_it_is_fast_enough(
    url: str, slow_body: tuple[str, bytes]
) -> None:
    path, begin = slow_body
    async with serving_uploads(url, body_seconds="1", min_rate_bytes="10") as running:
        async with uploading(running.url, path) as upload:
            await upload.chunk(begin)
            trickling = asyncio.ensure_future(
                trickle(upload, b"x" * 100 if path == ITEMS else b"[1, 2], ")
            )
            status, problem = await upload.answer()
            assert (status, problem["type"], problem["detail"]) == (
                408,
                SLOW,
                "the body took longer than 1 seconds",
            )
            trickling.cancel()
        await nothing_is_held(url)


SILENT = {
    "statement_timeout_seconds": "1",
    "db_silence_seconds": "1",
    "read_stall_seconds": "3",
    "db_ssl_mode": "disable",
}
LATE = """CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END';
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON lines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION late()"""


@pytest.mark.parametrize("moment", ["a piece", "the client's turn"])
async def test_a_database_that_falls_silent_during_an_upload_ends_it_and_nothing_else(
    url: str, moment: str
) -> None:
    single = [json.dumps(feature(number)).encode() for number in (20_000, 20_001)]
    with blackhole(url) as proxy:
        async with (
            serving_uploads(proxy.url, **SILENT) as running,
            uploading(running.url, ITEMS) as upload,
        ):
            await upload.chunk(part())
            await many_open(url, 1)
            proxy.forget()
            started = monotonic()
            if moment == "a piece":
                await upload.chunk(part(2, first=5_000)[len(HEAD) :])
            sending = asyncio.ensure_future(trickle(upload, b"x" * 1_000))
            assert await post(running, single[0]) == 201
            status, problem = await upload.answer()
            assert (status, problem["type"]) == (503, "urn:geosvc:problem:database-unavailable")
            assert (
                monotonic() - started < 12
            )  # the limit of a statement and of its cancel, once: 6 s
            assert await post(running, single[1]) == 201
            sending.cancel()
        await nothing_is_held(url, 15)  # the server, which nobody told, gives up too
    assert await count(url) == 2


async def test_a_database_that_falls_silent_at_the_end_of_an_upload_is_not_waited_for_twice(
    url: str,
) -> None:
    await asyncio.to_thread(execute, url, LATE)
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    body = as_collection([feature(1, geometry=line, properties={})])
    with blackhole(url) as proxy:
        async with serving_uploads(proxy.url, **SILENT) as running:
            async with uploading(running.url, "/collections/lines/items", len(body)) as upload:
                await upload.send(body)
                async with asyncio.timeout(20):
                    while not await ask(
                        url,
                        "SELECT FROM pg_stat_activity WHERE query LIKE 'COMMIT%' AND state ="
                        " 'active'",
                    ):
                        await asyncio.sleep(0.01)
                proxy.forget()
                started = monotonic()
                status, problem = await upload.answer()
                assert (status, problem["type"]) == (503, "urn:geosvc:problem:database-unavailable")
                assert monotonic() - started < 12
            assert await post(running, json.dumps(feature(20_000)).encode()) == 201
