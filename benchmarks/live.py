"""Live: from the commit of an edit to the event at the client, alone and among a thousand; what
publishing costs writers.
"""

import asyncio
import json
import statistics
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import aiohttp
import asyncpg

from benchmarks.arena import Arena
from benchmarks.contest import compete, repeat
from benchmarks.data import COLLECTION, run_sql
from benchmarks.pgbench import Sessions, measure_pgbench
from benchmarks.results import Result, Target
from benchmarks.rounds import Rounds, alone
from benchmarks.servers import Server, geosvc_server
from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import migrate_up
from geosvc.settings import load_settings

PLAIN, PUBLISHED = (
    "live_plain",
    "live_published",
)  # in the schema public, which is not that of a role called geosvc
TO_EVENT, TO_THE_LAST = Target(20, at_most=True), Target(250, at_most=True)
WRITERS, OF_COMMITS = 8, Target(0.65)
BULK_ROWS, OF_TIME = 100_000, Target(1.5, at_most=True)
SUBSCRIBERS = 1_000
EDITS = 30
PAUSE_SECONDS = 0.2
_TABLES = f"""
DROP TABLE IF EXISTS public.{PLAIN}, public.{PUBLISHED};
CREATE TABLE public.{PLAIN} (LIKE {COLLECTION} INCLUDING ALL);
INSERT INTO public.{PLAIN} SELECT * FROM {COLLECTION} LIMIT {BULK_ROWS};
CREATE TABLE public.{PUBLISHED} (LIKE {COLLECTION} INCLUDING ALL);
INSERT INTO public.{PUBLISHED} SELECT * FROM public.{PLAIN};
ANALYZE public.{PLAIN};
ANALYZE public.{PUBLISHED}
"""
_UPDATE = (
    "\\set n random(1, {rows})\n"
    "UPDATE public.{table} SET levels = :n % 9 WHERE id = :n + {sample};\n"
)
_INSERT = """\\set n random(1, 1000000000)
INSERT INTO public.{table} (id, osm_id, tags, geom)
  SELECT 1000000000 + :n, osm_id, tags, geom FROM public.{table} WHERE id = {sample}
  ON CONFLICT DO NOTHING;
"""


@dataclass
class Told:
    """When each subscriber was told of each edit, by the number that it wrote."""

    arrived: dict[int, list[float]] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def by_all(self, number: int, subscribers: int) -> None:
        """Waits until all know of an edit."""
        while len(self.arrived.get(number, ())) < subscribers:
            self.changed.clear()
            await self.changed.wait()

    async def subscribe(
        self, session: aiohttp.ClientSession, url: str, begun: asyncio.Semaphore
    ) -> None:
        """Notes the time of every event."""
        async with session.get(url) as response:
            response.raise_for_status()
            begun.release()
            async for line in response.content:
                if line.startswith(b"data:") and b"levels" in line:
                    now = perf_counter()
                    self.arrived.setdefault(
                        json.loads(line[5:])["properties"]["levels"], []
                    ).append(now)
                    self.changed.set()


@asynccontextmanager
async def _subscribed(server: Server, number: int) -> AsyncIterator[Told]:
    told, begun = Told(), asyncio.Semaphore(0)
    url = f"{server.url}/collections/{PUBLISHED}/changes?properties=levels&skipGeometry=true"
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        tasks = [asyncio.create_task(told.subscribe(session, url, begun)) for _ in range(number)]
        for _ in tasks:
            await begun.acquire()
        yield told
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _latencies(arena: Arena, server: Server, subscribers: int) -> list[float]:
    """From the return of the commit to the last of the subscribers, milliseconds, of each edit."""
    writer = await asyncpg.connect(arena.url)
    try:
        place = await writer.fetchval(f"SELECT min(id) FROM public.{PUBLISHED}")
        committed: dict[int, float] = {}
        async with _subscribed(server, subscribers) as told:
            for number in range(1_000, 1_000 + EDITS):
                await writer.execute(
                    f"UPDATE public.{PUBLISHED} SET levels = $1 WHERE id = $2", number, place
                )
                committed[number] = perf_counter()
                await asyncio.sleep(PAUSE_SECONDS)
                await told.by_all(number, subscribers)
        return [(max(told.arrived[number]) - at) * 1_000 for number, at in committed.items()]
    finally:
        await writer.close()


def _seconds(arena: Arena, sql: str) -> Rounds:
    """Of three statements."""

    def once() -> float:
        started = perf_counter()
        run_sql(arena.url, sql)
        return perf_counter() - started

    return repeat(once, 3)


def _commits(arena: Arena, what: str, script: str) -> Result:
    sessions = Sessions(arena.url, {}, WRITERS)
    sample = asyncio.run(_sample(arena))

    def writing(table: str) -> Callable[[float], float]:
        scripts = [script.format(table=table, rows=BULK_ROWS - 1, sample=sample)]
        return lambda seconds: measure_pgbench(sessions, scripts, seconds, "prepared")

    rates = compete({table: writing(table) for table in (PLAIN, PUBLISHED)}, arena.effort)
    return Result(
        "live",
        f"single-row {what}, 8 writers",
        rates[PUBLISHED],
        "/s",
        "unpublished",
        rates[PLAIN],
        OF_COMMITS,
    )


async def _sample(arena: Arena) -> int:
    connection = await asyncpg.connect(arena.url)
    try:
        return int(await connection.fetchval(f"SELECT min(id) FROM public.{PLAIN}"))
    finally:
        await connection.close()


def _bulk(arena: Arena) -> list[Result]:
    results = []
    for what, sql in (
        ("UPDATE of 100,000 rows", "UPDATE public.{} SET levels = 5"),
        (
            "INSERT of 100,000 rows",
            f"TRUNCATE public.{{}}; INSERT INTO public.{{}} TABLE {COLLECTION} LIMIT {BULK_ROWS}",
        ),
    ):
        seconds = {table: _seconds(arena, sql.replace("{}", table)) for table in (PLAIN, PUBLISHED)}
        results.append(
            Result("live", what, seconds[PUBLISHED], "s", "unpublished", seconds[PLAIN], OF_TIME)
        )
    return results


@contextmanager
def _reading(url: str) -> Iterator[None]:
    """Somebody who takes every event."""
    with subprocess.Popen(["curl", "-sN", url], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def _published(arena: Arena) -> Iterator[None]:
    settings = load_settings(database_url=arena.url)
    migrate_up(settings, arena.url)
    run_sql(arena.url, _TABLES)
    asyncio.run(publish(settings, arena.url, PUBLISHED))
    yield
    asyncio.run(unpublish(settings, arena.url, PUBLISHED))
    run_sql(arena.url, f"DROP TABLE public.{PLAIN}, public.{PUBLISHED}")


def run(arena: Arena) -> list[Result]:
    """Milliseconds, commits a second, and seconds."""
    with _published(arena):
        with geosvc_server(arena.url) as server:
            of_one = statistics.median(asyncio.run(_latencies(arena, server, 1)))
            of_many = statistics.median(asyncio.run(_latencies(arena, server, SUBSCRIBERS)))
            with _reading(f"{server.url}/collections/{PUBLISHED}/changes"):
                followed = _commits(arena, "UPDATE with a subscriber", _UPDATE)
        return [
            Result("live", "edit to event", alone(of_one), "ms", target=TO_EVENT),
            Result(
                "live",
                f"edit to the last of {SUBSCRIBERS:,} subscribers",
                alone(of_many),
                "ms",
                target=TO_THE_LAST,
            ),
            followed,
            _commits(arena, "UPDATE", _UPDATE),
            _commits(arena, "INSERT", _INSERT),
            *_bulk(arena),
        ]
