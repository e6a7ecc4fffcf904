"""A load that is killed at any point, on any side, leaves all of it or nothing: a hundred times, at
random.
"""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import cache
from typing import Any

import aiohttp
import pytest

from tests.bulk_bodies import Upload, as_collection, ask, heavy, nothing_is_held, uploading
from tests.conftest import execute
from tests.processes import Running, serving, unexpected

pytestmark = pytest.mark.slow
FEATURES = 3_000
BLOCK_BYTES = 1 << 16
TABLE = "CREATE TABLE loads (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, run int, note text, geom geometry(Point, 4326))"
ITEMS = "/collections/loads/items"
WRITING = """SELECT pid FROM pg_stat_activity
WHERE application_name LIKE 'geosvc%' AND datname = current_database() AND backend_xid IS NOT NULL"""


@pytest.fixture
def loads_url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    return bare_database_url


class Moments:
    """When to kill: anywhere in a load.

    How long one takes is learnt from those that were killed too early or too late.
    """

    def __init__(self) -> None:
        self.seed = time.time_ns() % 1_000_000
        self._chosen = random.Random(self.seed)
        self._seconds = 0.3
        self.ends: list[int] = []

    def next(self) -> float:
        """Seconds from the first byte."""
        return self._seconds * self._chosen.uniform(0.3, 1.2)

    def ended(self, rows: int) -> None:
        """Takes note of what became of a load; fails when it is a part of it."""
        assert rows in (0, FEATURES), f"seed {self.seed}"
        self.ends.append(rows)
        self._seconds *= 0.85 if rows else 1.15

    def were_spread(self) -> bool:
        """Whether they came before the end and behind it."""
        return {0, FEATURES} == set(self.ends)


@cache
def body() -> bytes:
    """Several pieces of features."""
    return as_collection(
        [
            heavy(number, properties={"run": 123454321, "note": "x" * 3_000})
            for number in range(FEATURES)
        ]
    )


def body_of(run: int) -> bytes:
    """The same; the features tell which run they are of."""
    return body().replace(b"123454321", b"%d" % run)


async def send_all(upload: Upload, body: bytes) -> None:
    """Sends a body, if the service takes it."""
    with suppress(ConnectionError):
        for start in range(0, len(body), BLOCK_BYTES):
            await upload.send(body[start : start + BLOCK_BYTES])


@asynccontextmanager
async def loading(url: str, body: bytes, seconds: float) -> AsyncIterator[Upload]:
    """A load for so many seconds, or until it is answered; its body is sent on meanwhile."""
    async with uploading(url, ITEMS, len(body)) as upload:
        sending = asyncio.ensure_future(send_all(upload, body))
        await asyncio.sleep(seconds)
        yield upload
        sending.cancel()


async def stored(url: str, run: int) -> int:
    """How many features of a run are stored, when nothing is under way any more."""
    await nothing_is_held(url, 10)
    return int((await ask(url, f"SELECT count(*) FROM loads WHERE run = {run}"))[0][0])


async def answers(running: Running) -> None:
    """Fails when the service does not answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{running.url}/conformance") as response,
    ):
        assert response.status == 200


async def test_when_the_service_is_killed_all_is_stored_or_nothing(loads_url: str) -> None:
    moments = Moments()
    with ExitStack() as stack:
        following = stack.enter_context(serving(loads_url, writable="*"))
        for run in range(34):
            running, following = following, stack.enter_context(serving(loads_url, writable="*"))
            url = await asyncio.to_thread(getattr, running, "url")
            async with loading(url, body_of(run), moments.next()) as upload:
                running.process.send_signal(signal.SIGKILL)
                status, _ = await upload.answer()
            rows = await stored(loads_url, run)
            moments.ended(rows)
            assert (status, rows) in ((0, 0), (0, FEATURES), (201, FEATURES))
    assert moments.were_spread()


@pytest.fixture
def running(loads_url: str) -> Iterator[Running]:
    """The built program, with few connections that write."""
    with serving(loads_url, writable="*", write_pool_max_size="2") as running:
        assert running.url
        yield running
        assert running.stop() == 0


async def test_when_the_client_leaves_all_is_stored_or_nothing(
    running: Running, loads_url: str
) -> None:
    moments = Moments()
    for run in range(33):
        async with loading(running.url, body_of(run), moments.next()) as upload:
            if run % 2:
                upload.writer.write_eof()
        moments.ended(await stored(loads_url, run))
        await answers(running)
    assert moments.were_spread()
    assert not unexpected(running)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.9999])
async def test_a_client_that_leaves_before_the_last_byte_leaves_nothing(
    running: Running, loads_url: str, share: float
) -> None:
    for run, half_closed in enumerate((False, True)):
        body = body_of(run)
        async with uploading(running.url, ITEMS, len(body)) as upload:
            await send_all(upload, body[: int(len(body) * share)])
            if half_closed:
                upload.writer.write_eof()
                assert (await upload.answer())[0] in (0, 400)
        assert await stored(loads_url, run) == 0
    assert not unexpected(running)


async def kill_writer(url: str) -> bool:
    """Ends the session that writes. Returns whether there was one."""
    return bool(await ask(url, f"SELECT pg_terminate_backend(pid) FROM ({WRITING}) AS writing"))


async def send_until_written(url: str, upload: Upload, body: bytes) -> bytes:
    """Sends a half of a body, and waits for a session to write some of it: a kill before that would
    find none, and be taken for one that came too late. Returns the other half.
    """
    half = len(body) // 2
    await send_all(upload, body[:half])
    async with asyncio.timeout(30):
        while not await ask(url, WRITING):
            await asyncio.sleep(0.01)
    return body[half:]


async def test_when_the_session_is_killed_all_is_stored_or_nothing(
    running: Running, loads_url: str
) -> None:
    moments, killed = Moments(), 0
    for run in range(33):
        body = body_of(run)
        async with uploading(running.url, ITEMS, len(body)) as upload:
            sending = asyncio.ensure_future(
                send_all(upload, await send_until_written(loads_url, upload, body))
            )
            await asyncio.sleep(moments.next())
            was_killed = await kill_writer(loads_url)
            status, answer = await upload.answer()
            sending.cancel()
        rows = await stored(loads_url, run)
        moments.ended(rows)
        assert (status, rows) in ((201, FEATURES), (503, 0), (503, FEATURES)), (
            answer,
            moments.seed,
        )
        assert was_killed or status == 201, answer
        killed += was_killed
        await answers(running)
    assert killed > 3
    assert not unexpected(running, "request_failed", "database_lost")


async def test_loads_that_were_left_hold_no_connection_for_those_that_follow(
    running: Running, loads_url: str
) -> None:
    async def load(run: int) -> tuple[int, Any]:
        body = body_of(run)
        async with uploading(running.url, ITEMS, len(body)) as upload:
            await send_all(upload, body)
            return await upload.answer()

    for _ in range(3):
        async with loading(running.url, body_of(0) + b" ", 0.2):
            pass
    answers = await asyncio.gather(*(load(run) for run in range(1, 5)))
    assert [status for status, _ in answers] == [201] * 4
    assert [await stored(loads_url, run) for run in range(1, 5)] == [FEATURES] * 4
