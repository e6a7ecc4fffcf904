"""One connection of asyncpg, and what queries over it cost both ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

import asyncpg
import uvloop

from benchmarks.claims.turns import Sample
from benchmarks.cpu import seconds_of_process

Query = Callable[[asyncpg.Connection], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Session:
    """A connection, and the loop that runs only while something is awaited.

    Attributes:
        backend: the process of PostgreSQL that serves it.
    """

    runner: asyncio.Runner
    connection: asyncpg.Connection
    backend: int

    def run(self, query: Query) -> Any:
        """What a query returns."""

        async def once() -> Any:
            return await query(self.connection)

        return self.runner.run(once())


@contextmanager
def open_session(url: str, **options: Any) -> Iterator[Session]:
    """A session on uvloop.

    Args:
        options: of `asyncpg.connect`.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def connect() -> asyncpg.Connection:
            connection: asyncpg.Connection = await asyncpg.connect(url, **options)
            return connection

        connection = runner.run(connect())
        yield Session(runner, connection, connection.get_server_pid())
        runner.run(connection.close())


def cost_of(session: Session, query: Query, seconds: float, unit: str, amount: int = 1) -> Sample:
    """Repeats a query for some seconds, one at a time.

    Args:
        unit: what is counted, in the plural.
        amount: how many of it one query has.
    """

    async def repeat(connection: asyncpg.Connection) -> int:
        until, done = perf_counter() + seconds, 0
        while perf_counter() < until:
            await query(connection)
            done += amount
        return done

    started, client, server = perf_counter(), process_time(), seconds_of_process(session.backend)
    done = session.run(repeat)
    elapsed, client = perf_counter() - started, process_time() - client
    server = seconds_of_process(session.backend) - server
    return {
        f"{unit}/s": done / elapsed,
        "client, µs CPU": client / done * 1e6,
        "PostgreSQL, µs CPU": server / done * 1e6,
    }
