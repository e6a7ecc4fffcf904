"""A pool against a connection for each request, directly and through PgBouncer."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from time import perf_counter
from typing import Any

import asyncpg
import uvloop

from benchmarks.arena import CLIENTS, Arena
from benchmarks.claims.pgbouncer import pgbouncer
from benchmarks.claims.statements import ITEM
from benchmarks.claims.turns import Sample, Table, take_turns
from benchmarks.data import COLLECTION, ROWS

POOL_CONNECTIONS = 10
_FIRST_QUERIES = {
    "SELECT 1": "SELECT 1",
    "columns of a row": f"SELECT id, name, kind, tags FROM {COLLECTION} WHERE id = 1",
    "its geometry as well": f"SELECT id, ST_AsGeoJSON(geom, 7, 0) FROM {COLLECTION} WHERE id = 1",
}

Acquire = Callable[[], Any]  # an asynchronous context manager with a connection
Clients = Callable[[float], Awaitable[Sample]]


def run(arena: Arena) -> list[Table]:
    """An item by its id, for 16 clients in one process."""
    with pgbouncer(arena.url, POOL_CONNECTIONS) as bounced_url:

        def contender(clients: Clients) -> Callable[[], Sample]:
            return lambda: _measure(clients, arena.effort.seconds)

        contenders = {
            "a pool of 10": contender(_pooled(arena.url)),
            "a pool of 10, no statement cache": contender(
                _pooled(arena.url, statement_cache_size=0)
            ),
            "a connection for each": contender(_connecting(arena.url)),
        }
        if bounced_url is None:
            arena.say("PgBouncer is not installed: it is left out")
        else:
            contenders |= {
                "a pool of 10, PgBouncer": contender(_pooled(bounced_url, statement_cache_size=0)),
                "a connection for each, PgBouncer": contender(
                    _connecting(bounced_url, statement_cache_size=0)
                ),
            }
        caption = "item by id, 16 clients, no HTTP"
        return [Table(caption, take_turns(contenders, arena.effort.rounds)), _first_queries(arena)]


def _first_queries(arena: Arena) -> Table:
    def contender(statement: str) -> Callable[[], Sample]:
        async def clients(seconds: float) -> Sample:
            return await _connect_and_ask(arena.url, statement, seconds)

        return lambda: _measure(clients, arena.effort.seconds)

    contenders = {name: contender(statement) for name, statement in _FIRST_QUERIES.items()}
    return Table(
        "connect, ask once, close; one client", take_turns(contenders, arena.effort.rounds)
    )


async def _connect_and_ask(url: str, statement: str, seconds: float) -> Sample:
    took: list[float] = []
    until = perf_counter() + seconds
    while (asked := perf_counter()) < until:
        connection = await asyncpg.connect(url)
        await connection.fetchrow(statement)
        await connection.close()
        took.append(perf_counter() - asked)
    return {"ms": median(took) * 1e3}


def _measure(clients: Clients, seconds: float) -> Sample:
    async def once() -> Sample:
        return await clients(seconds)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(once())


def _pooled(url: str, **options: Any) -> Clients:
    async def clients(seconds: float) -> Sample:
        async with asyncpg.create_pool(
            url, min_size=POOL_CONNECTIONS, max_size=POOL_CONNECTIONS, **options
        ) as pool:
            return await _read_items(pool.acquire, seconds)

    return clients


def _connecting(url: str, **options: Any) -> Clients:
    @asynccontextmanager
    async def acquire() -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(url, **options)
        try:
            yield connection
        finally:
            await connection.close()

    async def clients(seconds: float) -> Sample:
        return await _read_items(acquire, seconds)

    return clients


async def _read_items(acquire: Acquire, seconds: float) -> Sample:
    chosen = random.Random(ROWS)
    took: list[float] = []
    started = perf_counter()
    until = started + seconds

    async def client() -> None:
        while (asked := perf_counter()) < until:
            async with acquire() as connection:
                await connection.fetchrow(ITEM, chosen.randint(1, ROWS))
            took.append(perf_counter() - asked)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    return {
        "requests/s": len(took) / (perf_counter() - started),
        "median, ms": median(took) * 1e3,
    }
