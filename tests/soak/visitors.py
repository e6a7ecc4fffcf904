"""People who want nothing bad: so many requests a second, whatever becomes of those before, and how
long each answer took.

A process of its own, which does nothing else: who measures must not wait for those who disturb. The
rate is fixed and low. Clients that ask as soon as they are answered would ask less when the service
is slow, and measure how they share the processors with it.
"""

import asyncio
import json
import random
import sys
from collections.abc import Awaitable, Callable
from time import monotonic

import aiohttp

RATE = 40.0  # requests a second: a tenth of one processor for the service and its database
TIMEOUT_SECONDS = 30.0

Asking = Callable[[aiohttp.ClientSession, random.Random], Awaitable[int]]


async def _get(session: aiohttp.ClientSession, path: str) -> int:
    async with session.get(path) as response:
        await response.read()
        return response.status


async def _post(session: aiohttp.ClientSession, path: str, body: object) -> int:
    headers = {"Content-Type": "application/geo+json"}
    async with session.post(path, data=json.dumps(body), headers=headers) as response:
        await response.read()
        return response.status


async def _item(session: aiohttp.ClientSession, dice: random.Random) -> int:
    return await _get(
        session, f"/collections/countries/items/{dice.choice(('AUT', 'CHE', 'FRA', 'PER', 'KEN'))}"
    )


async def _box(session: aiohttp.ClientSession, dice: random.Random) -> int:
    west, south = dice.uniform(-20, 30), dice.uniform(30, 60)
    return await _get(
        session,
        f"/collections/cities/items?limit=100&bbox={west:.3f},{south:.3f},{west + 3:.3f},{south + 2:.3f}",
    )


async def _filter(session: aiohttp.ClientSession, dice: random.Random) -> int:
    population = dice.randrange(100_000, 9_000_000)
    return await _get(
        session,
        f"/collections/cities/items?limit=20&filter=population%3E{population}&sortby=-population",
    )


async def _search(session: aiohttp.ClientSession, dice: random.Random) -> int:
    point = {"type": "Point", "coordinates": [dice.uniform(-120, 140), dice.uniform(-40, 60)]}
    return await _post(
        session, "/collections/cities/search", {"geometry": point, "predicate": "nearest", "k": 5}
    )


async def _write(session: aiohttp.ClientSession, dice: random.Random) -> int:
    point = {"type": "Point", "coordinates": [dice.uniform(-179, 179), dice.uniform(-80, 80)]}
    feature = {"type": "Feature", "geometry": point, "properties": {"name": "a visitor was here"}}
    return await _post(session, "/collections/sketches/items", feature)


_ASKING: tuple[Asking, ...] = (_item, _box, _filter, _search, _write)
_SHARES = (40, 30, 15, 10, 5)


async def _visit(session: aiohttp.ClientSession, dice: random.Random, due: float) -> None:
    """Asks, and tells how long it took since it was due."""
    (ask,) = dice.choices(_ASKING, _SHARES)
    late = monotonic() - due
    try:
        status = await ask(session, dice)
    except (aiohttp.ClientError, TimeoutError, ConnectionError):
        status = 0
    print(
        json.dumps(
            [ask.__name__.strip("_"), status, due, round(late, 6), round(monotonic() - due, 6)]
        ),
        flush=True,
    )


async def visit(url: str) -> None:
    """Visits until standard input ends, and then waits for the last answers."""
    timeout, dice = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS), random.Random(1)
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    connector = aiohttp.TCPConnector(limit=0)  # nobody waits for the connection of another
    async with (
        aiohttp.ClientSession(url, timeout=timeout, connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        due = monotonic()
        while not over.done():
            due += 1 / RATE
            await asyncio.sleep(due - monotonic())
            group.create_task(_visit(session, dice, due))


if __name__ == "__main__":
    asyncio.run(visit(sys.argv[1]))
