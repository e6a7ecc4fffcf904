"""The stream of changes under clients that come in crowds or take nothing, and under a database that takes rights away."""

import asyncio
import socket
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from geosvc.keys import CATALOG, DATABASE, HUB
from tests.conftest import Client, Service
from tests.events import subscribed
from tests.http import fetch
from tests.live import CHANGES, connected, publish_now

READER = "geosvc_attacked_reader"


async def edit(url: str, *statements: str) -> None:
    """Each statement is a transaction."""
    async with connected(url) as writer:
        for statement in statements:
            await writer.execute(statement)


@pytest.fixture
async def reader_url(live_url: str) -> str:
    """The database as a role that may read the table, all of its columns, and the log."""
    await edit(
        live_url,
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"GRANT SELECT ON places TO {READER}; GRANT USAGE ON SCHEMA geosvc TO {READER}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA geosvc TO {READER}",
    )
    parts = urlsplit(live_url)
    return parts._replace(netloc=f"{READER}@{parts.netloc.rpartition('@')[2]}").geturl()


async def test_a_crowd_that_comes_at_once_gets_no_more_places_than_there_are(service: Service, live_url: str) -> None:
    client = await service(live_url, max_subscribers=3)
    assert client.server is not None
    async with ClientSession() as session, AsyncExitStack() as stack:
        asked = [session.get(client.server.make_url(CHANGES)) for _ in range(12)]
        responses = await asyncio.gather(*(stack.enter_async_context(each) for each in asked))
        assert sorted(each.status for each in responses) == [200] * 3 + [503] * 9


async def look(client: Client) -> None:
    """The service takes note of what has become of the table."""
    assert client.server is not None
    await client.server.app[CATALOG].look()  # type: ignore[attr-defined]
