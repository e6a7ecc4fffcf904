"""The reader keeps up with every publication, also while others come and go."""

import asyncio
from time import monotonic

from geosvc.live.reader import ChangeReader
from tests.conftest import settings_for
from tests.live import connected
from tests.observing import until

LATE_SECONDS = 5.0


async def test_what_is_committed_while_versions_are_read_anew_is_told_at_once(live_url: str) -> None:
    """Whatever is published or unpublished has them read anew, which takes a while in a long log."""
    async with connected(live_url) as writer, connected(live_url) as publisher:
        publication = await writer.fetchval("SELECT id FROM geosvc.publication")
        await writer.execute(
            "INSERT INTO geosvc.change (publication, operation, key) SELECT $1, 'u', i FROM generate_series(1, 100000) i",
            publication,
        )
        reader = ChangeReader(settings_for(live_url), lambda: True)
        reader.is_urgent = lambda: True
        told: list[int] = []
        reader.listeners.append(lambda publications, _: told.extend(publications))
        following = asyncio.create_task(reader.follow())
        await until(lambda: reader.is_up)
        for number in range(30):
            told.clear()
            mark = "INSERT INTO geosvc.change (publication, operation, rows) VALUES (1000000, '+', 0)"
            await publisher.execute(mark)
            await asyncio.sleep(number * 0.002)
            version = reader.last_known(publication)
            await writer.execute("UPDATE places SET name = 'x' WHERE id = 1")
            patience = monotonic() + LATE_SECONDS
            while publication not in told or reader.last_known(publication) == version:
                assert monotonic() < patience, f"round {number}: {told}"
                await asyncio.sleep(0.001)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
