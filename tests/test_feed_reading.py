"""The reader keeps up with every publication, also while others come and go."""

import asyncio

import pytest

from geosvc.database.changefeed.feed import Feed
from geosvc.database.changefeed.log_state import LogVersions
from geosvc.live.change_reader import ChangeReader
from tests.audience import Listeners
from tests.conftest import settings_for
from tests.live import connected
from tests.observing import until


async def test_what_is_committed_just_before_versions_are_read_anew_is_told(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is published or unpublished has them read anew, by a statement of its own: others
    commit in between.
    """
    read = Feed.versions
    audience = Listeners()
    reader = ChangeReader(settings_for(live_url), lambda: True, audience)
    async with connected(live_url) as writer:
        publication = await writer.fetchval("SELECT id FROM geosvc.publication")

        async def late(feed: Feed) -> LogVersions:
            await writer.execute("UPDATE places SET name = 'x' WHERE id = 1")
            return await read(feed)

        following = asyncio.create_task(reader.follow())
        await until(lambda: reader.is_up)
        audience.publications.clear()
        version = reader.last_known(publication)
        monkeypatch.setattr(Feed, "versions", late)
        await writer.execute(
            "INSERT INTO geosvc.change (publication, operation, rows) VALUES (1000000, '+', 0)"
        )
        await until(lambda: reader.last_known(publication) != version)
        await reader.catch_up()
        assert publication in audience.publications
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
