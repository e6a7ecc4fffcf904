"""What stops one collection stops no other: locks, slow views and dead foreign servers are met with
a small pool.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import pytest

from geosvc.database.shares import Shares
from geosvc.errors import PoolExhausted
from geosvc.events import ReadRetried, RequestFailed, subscribe
from tests.conftest import Client, Service, execute
from tests.http import fetch
from tests.pooler import free_port
from tests.processes import serving
from tests.test_serving import get

SETUP = f"""
CREATE TABLE busy (id int PRIMARY KEY, geom geometry(Point, 4326));
INSERT INTO busy SELECT i, ST_SetSRID(ST_Point(i, 1), 4326) FROM generate_series(1, 9) i;
CREATE TABLE quiet AS SELECT * FROM busy; ALTER TABLE quiet ADD PRIMARY KEY (id);
CREATE INDEX ON busy USING gist (geom); ANALYZE busy;
{"CREATE INDEX ON busy (id); " * 12}
CREATE VIEW over_busy AS SELECT * FROM busy;
CREATE VIEW slow AS SELECT id, pg_sleep(3)::text AS nothing, geom FROM quiet;
CREATE EXTENSION postgres_fdw;
CREATE SERVER dead FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{free_port()}', dbname 'x');
CREATE USER MAPPING FOR public SERVER dead OPTIONS (user 'nobody', password 'x');
CREATE FOREIGN TABLE away (id int, geom geometry(Point, 4326)) SERVER dead;
"""
SMALL = {
    "pool_max_size": 4,
    "pool_acquire_seconds": 1,
    "lock_timeout_seconds": 0.5,
    "collections": {"slow": {"key": ["id"]}},
}


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, SETUP)
    return bare_database_url


@asynccontextmanager
async def holding(url: str, command: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction that holds what the command takes, until the block ends."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(command)
            yield connection
    finally:
        await connection.close()


async def statuses(client: Client, path: str, number: int) -> list[int]:
    """What so many requests at once get."""

    async def one() -> int:
        async with client.get(path) as response:
            await response.read()
            return response.status

    return await asyncio.gather(*(one() for _ in range(number)))


LOCKS = {
    "LOCK TABLE busy IN ACCESS EXCLUSIVE MODE": ("busy", "over_busy"),
    "ALTER TABLE busy ADD COLUMN more int": ("busy", "over_busy"),
    "REINDEX INDEX busy_geom_idx": ("busy",),
    "TRUNCATE busy": ("busy", "over_busy"),
}


@pytest.mark.parametrize("command", LOCKS)
async def test_a_locked_table_is_a_503_that_names_the_lock_and_others_answer(
    service: Service, url: str, command: str
) -> None:
    client = await service(url, **SMALL)
    await fetch(client, "/collections/quiet/items")
    failed: list[RequestFailed] = []
    stop = subscribe(failed.append, RequestFailed)  # type: ignore[arg-type]  # only these
    try:
        async with holding(url, command):
            waiting = asyncio.gather(
                *(statuses(client, f"/collections/{name}/items", 10) for name in LOCKS[command])
            )
            await asyncio.sleep(0)
            started = time.monotonic()
            assert set(await statuses(client, "/collections/quiet/items", 8)) == {200}
            assert (await fetch(client, "/collections/quiet/items/3"))["id"] == 3
            assert time.monotonic() - started < SMALL["pool_acquire_seconds"]  # type: ignore[operator]
            if len(LOCKS[command]) > 1:
                assert {status for each in await waiting for status in each} == {503}
                async with client.get("/collections/busy/items") as response:
                    problem = await response.json()
                    assert (response.status, problem["type"]) == (503, "urn:geosvc:problem:locked")
                    assert "lock" in problem["detail"]
                    assert int(response.headers["Retry-After"]) > 0
                assert (
                    "; try again later: public.busy is locked" in failed[-1].detail
                )  # its indexes come behind it
            else:
                await waiting
            assert len((await fetch(client, "/collections"))["collections"]) == 5
    finally:
        stop()
    assert len((await fetch(client, "/collections/over_busy/items"))["features"]) in (0, 9)


def test_a_slow_view_leaves_connections_for_others_and_the_instance_ready(url: str) -> None:
    settings = {
        "pool_max_size": "4",
        "pool_acquire_seconds": "1",
        "collections": json.dumps(SMALL["collections"]),
    }
    with serving(url, **settings) as running, ThreadPoolExecutor(12) as pool:
        assert get(f"{running.url}/collections/quiet/items")[0] == 200
        slow = [
            pool.submit(get, f"{running.url}/collections/slow/items?limit=1") for _ in range(12)
        ]
        for _ in range(10):
            started = time.monotonic()
            assert get(f"{running.url}/collections/quiet/items")[0] == 200
            assert get(f"{running.admin_url}/readyz")[0] == 200
            assert time.monotonic() - started < 2
        answers = [each.result() for each in slow]
        refused = [json.loads(body) for status, _, body in answers if status == 503]
        assert {each["type"] for each in refused} == {"urn:geosvc:problem:pool-exhausted"}
        assert "slow" in refused[0]["detail"]


async def _sessions(url: str) -> set[int]:
    connection = await asyncpg.connect(url)
    try:
        name = urlsplit(url).path.lstrip("/")
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'geosvc%' AND datname ="
            " $1",
            name,
        )
        return {row[0] for row in rows}
    finally:
        await connection.close()


async def test_a_dead_foreign_server_costs_no_connection(service: Service, url: str) -> None:
    client = await service(url, **SMALL)
    assert set(await statuses(client, "/collections/quiet/items", 8)) == {200}
    before = await _sessions(url)
    retried: list[ReadRetried] = []
    stop = subscribe(retried.append, ReadRetried)  # type: ignore[arg-type]  # only these
    try:
        assert set(await statuses(client, "/collections/away/items", 10)) == {503}
        problem = await fetch(client, "/collections/away/items", status=503)
    finally:
        stop()
    assert problem["type"] == "urn:geosvc:problem:foreign-server-unavailable"
    assert set(await statuses(client, "/collections/quiet/items", 8)) == {200}
    assert before <= await _sessions(url)
    assert retried == []


async def test_a_connection_that_was_killed_is_replaced_and_the_others_stay(
    service: Service, url: str
) -> None:
    client = await service(url, pool_min_size=4, pool_max_size=4)
    assert set(await statuses(client, "/collections/quiet/items", 8)) == {200}
    before = await _sessions(url)
    victim = min(before)
    await asyncio.to_thread(execute, url, f"SELECT pg_terminate_backend({victim})")
    for _ in range(4):
        assert set(await statuses(client, "/collections/quiet/items", 4)) == {200}
    assert before - {victim} <= await _sessions(url)


async def test_a_deadlock_of_a_read_is_tried_once_more_and_then_a_503(
    service: Service, bare_database_url: str
) -> None:
    await asyncio.to_thread(
        execute,
        bare_database_url,
        # an advisory lock outlives the transaction that failed
        """CREATE FUNCTION unlucky(id int, state text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        IF id = 3 OR NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 7 AND objid = id) THEN
          PERFORM pg_advisory_lock(7, id); RAISE EXCEPTION 'no' USING ERRCODE = state; END IF; RETURN 1; END $$;
        CREATE TABLE t (id int PRIMARY KEY, state text, geom geometry(Point, 4326));
        INSERT INTO t VALUES (1, '40P01', NULL), (2, '40001', NULL), (3, '40001', NULL);
        CREATE VIEW v AS SELECT id, unlucky(id, state) AS n, geom FROM t""",
    )
    client = await service(bare_database_url, collections={"v": {"key": ["id"]}})
    for feature, status in ((1, 200), (2, 200), (3, 503)):
        await fetch(client, f"/collections/v/items/{feature}", status=status)


async def test_places_are_given_in_the_order_of_asking() -> None:
    shares = Shares(2, 1.0, 5.0)
    order: list[int] = []

    async def use(number: int) -> None:
        await shares.take(None)
        order.append(number)
        await asyncio.sleep(0)
        shares.give(None)

    await asyncio.gather(*(use(number) for number in range(50)))
    assert order == sorted(order)


async def test_who_gives_up_as_a_place_comes_takes_none_with_it() -> None:
    shares = Shares(1, 1.0, 5.0)
    await shares.take("a")
    waiting = [asyncio.ensure_future(shares.take("a")) for _ in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # gives up, and is still in the queue
    shares.give("a")
    waiting[1].cancel()  # has a place that it has not seen yet
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    await waiting[2]
    shares.give("a")
    await waiting[3]
    shares.give("a")
    assert (shares._free, shares._held, shares._waiting) == (1, {}, {})


async def test_a_share_is_rounded_up_and_never_nothing() -> None:
    for places, share, expected in (
        (4, 0.5, 2),
        (5, 0.5, 3),
        (1, 0.1, 1),
        (10, 0.3, 3),
        (10, 1.0, 10),
    ):
        assert Shares(places, share, 1.0).each == expected


async def test_who_waits_too_long_for_a_share_leaves_nothing_behind() -> None:
    shares = Shares(4, 0.5, 0.01)
    await shares.take("a")
    await shares.take("a")
    with pytest.raises(PoolExhausted, match="its share"):
        await shares.take("a")
    await shares.take("b")
    with pytest.raises(PoolExhausted, match="its share"):
        await shares.take("b")  # the last is for those who have none
    await shares.take("c")
    with pytest.raises(PoolExhausted, match="every database connection"):
        await shares.take("d")
    shares.give("c")
    waiting = asyncio.ensure_future(shares.take("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for name in "aab":
        shares.give(name)
    assert (shares._free, shares._held, shares._waiting) == (4, {}, {})


async def test_a_pool_that_shrank_grows_again_and_loses_no_place() -> None:
    shares = Shares(4, 1.0, 5.0)
    for name in "abc":
        await shares.take(name)
    shares.shrink(2)
    waiting = [asyncio.ensure_future(shares.take(name)) for name in "de"]
    again = asyncio.ensure_future(shares.take_next("f", 5.0))
    await asyncio.sleep(0)
    shares.give("a")
    shares.give("b")
    await again  # before those who wait for longer
    assert not waiting[0].done()
    shares.give("f")
    await waiting[0]
    shares._grow()
    await waiting[1]
    shares._grow()
    shares._grow()
    for name in "cde":
        shares.give(name)
    assert (shares._free, shares._held, shares._waiting) == (4, {}, {})
    shares.close()


async def test_requests_wait_for_a_connection_of_ones_own_where_the_server_takes_no_more(
    service: Service, bare_database_url: str
) -> None:
    role = f"geosvc_few_{urlsplit(bare_database_url).path.rpartition('_')[2]}"
    few = f"CREATE ROLE {role} LOGIN PASSWORD 'few' CONNECTION LIMIT 2; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    await asyncio.to_thread(execute, bare_database_url, f"{SETUP}; {few}")
    parts = urlsplit(bare_database_url)
    url = parts._replace(netloc=f"{role}:few@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        client = await service(
            url, pool_max_size=10, collection_pool_share=1, pool_acquire_seconds=20, pool_min_size=0
        )
        for _ in range(2):
            assert set(await statuses(client, "/collections/quiet/items?limit=3", 30)) == {200}
        await client.close()
    finally:
        await asyncio.to_thread(
            execute, bare_database_url, f"DROP OWNED BY {role}; DROP ROLE {role}"
        )


async def test_who_holds_something_comes_first() -> None:
    shares = Shares(1, 1.0, 5.0)
    order: list[str] = []

    async def use(name: str, *, begun: bool) -> None:
        await shares.take(name[0], begun=begun)
        order.append(name)
        shares.give(name[0])

    await shares.take("a")
    asked = (("a1", False), ("b1", False), ("a2", True), ("b2", True), ("a3", False))
    waiting = [asyncio.ensure_future(use(name, begun=begun)) for name, begun in asked]
    await asyncio.sleep(0)
    shares.give("a")
    await asyncio.gather(*waiting)
    assert order == ["a2", "b2", "a1", "b1", "a3"]
