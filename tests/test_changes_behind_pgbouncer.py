"""Changes told by services behind a PgBouncer in transaction mode: one that may go past it, and one
that may not.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack
from time import monotonic

import aiohttp
import asyncpg
import pytest

from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import migrate_down, migrate_up
from geosvc.settings import Settings
from tests.conftest import execute, settings_for
from tests.edits import TABLE, Truth, Writer, read_table
from tests.pooler import PGBOUNCER
from tests.subscribers import PATIENCE_SECONDS, Fleet, Reader, are_told, check, eventually

pytestmark = pytest.mark.skipif(
    PGBOUNCER is None, reason="pgbouncer is not installed (make setup-test installs it)"
)

SECONDS = 4.0
SEED = random.randrange(1 << 32)
PATH = {"search_path": "public, gis", "deadlock_timeout": "50ms"}


@pytest.fixture
def direct(pooled_database: tuple[str, int]) -> Iterator[str]:
    """The database without the pooler, where places are published."""
    url = pooled_database[0]
    execute(url, "SET search_path = public, gis; " + TABLE)
    migrate_up(Settings(), url)
    asyncio.run(publish(settings_for(url), url, "places"))
    yield url
    asyncio.run(unpublish(settings_for(url), url, "places"))
    migrate_down(Settings(), url)
    execute(url, "DROP TABLE places, roads; DROP SEQUENCE stamps")


@pytest.fixture
def fleet(direct: str, pooled_database: tuple[str, int]) -> Iterator[Fleet]:
    url = f"postgresql://geosvc@127.0.0.1:{pooled_database[1]}/geosvc_pooled"
    fleet = Fleet(
        [url, url], [{"pgbouncer": "true", "direct_database_url": direct}, {"pgbouncer": "true"}]
    )
    with fleet.stack:
        for number in range(fleet.size):
            fleet.start(number)
        yield fleet


@pytest.mark.slow
async def test_with_a_direct_url_it_listens_and_without_it_polls_and_neither_loses_anything(
    direct: str, fleet: Fleet
) -> None:
    print(f"GEOSVC_TEST_SEED={SEED}")
    assert fleet.running[0].wait_for("feed_followed")["polls_because"] is None
    because = fleet.running[1].wait_for("feed_followed")["polls_because"]
    assert because == "behind PgBouncer LISTEN needs GEOSVC_DIRECT_DATABASE_URL"
    dice, truth = random.Random(SEED), Truth()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(direct, min_size=1, max_size=4, server_settings=PATH)
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        truth.states = {state.n: state for state in await read_table(pool)}
        readers = [
            Reader("all", "", lambda _: True, fleet, random.Random(dice.random())) for _ in range(2)
        ]
        for reader in readers:
            reader.stamps = {state.id: state.n for state in truth.states.values()}
        reading = [asyncio.create_task(reader.follow(session)) for reader in readers]
        for reader in readers:
            await asyncio.wait_for(reader.begun.wait(), PATIENCE_SECONDS)
        connections = [await stack.enter_async_context(pool.acquire()) for _ in range(3)]
        until = monotonic() + SECONDS
        await asyncio.gather(
            *(
                Writer(each, truth, random.Random(dice.random())).follow(until)
                for each in connections
            )
        )
        for reader in readers:
            reader.restless = False
        await eventually(lambda: are_told(readers, truth.edits))
        for reader in readers:
            check(reader, truth.edits, SEED)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    print(
        len(truth.edits), "transactions;", [(len(each.taken), each.connections) for each in readers]
    )
