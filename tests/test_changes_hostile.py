"""The stream of changes under clients that come in crowds or take nothing, and under a database
that takes rights away.
"""

import asyncio
import socket
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession

from geosvc.events import QueryEnded
from geosvc.http.keys import CATALOG, CHANGE_READER, DATABASE, HUB
from tests.conftest import Client, Service
from tests.events import subscribed
from tests.http import fetch
from tests.live import CHANGES, connected, publish_now
from tests.observing import seen

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
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END"
        " $$",
        f"GRANT SELECT ON places TO {READER}; GRANT USAGE ON SCHEMA geosvc TO {READER}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA geosvc TO {READER}",
    )
    parts = urlsplit(live_url)
    return parts._replace(netloc=f"{READER}@{parts.netloc.rpartition('@')[2]}").geturl()


async def test_a_crowd_that_comes_at_once_gets_no_more_places_than_there_are(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, max_subscribers=3)
    assert client.server is not None
    async with ClientSession() as session, AsyncExitStack() as stack:
        asked = [session.get(client.server.make_url(CHANGES)) for _ in range(12)]
        responses = await asyncio.gather(*(stack.enter_async_context(each) for each in asked))
        assert sorted(each.status for each in responses) == [200] * 3 + [503] * 9


async def test_who_is_behind_and_takes_nothing_is_cut_off_and_holds_no_connection(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, write_stall_seconds=0.3, max_subscribers=1)
    async with subscribed(client, CHANGES) as stream:
        begun = stream.last_id
    rows = "SELECT n, repeat('x', 10000), 'SRID=4326;POINT(0 0)' FROM generate_series(1000, 1999) n"
    await edit(
        live_url,
        f"INSERT INTO places (id, name, geom) {rows}",
        "UPDATE places SET population = 1 WHERE id >= 1000",
    )
    assert client.server is not None
    app, port = client.server.app, client.server.port  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while app[HUB].size:
            await asyncio.sleep(0)
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(("127.0.0.1", port))
        lazy.sendall(
            f"GET {CHANGES} HTTP/1.1\r\nHost: 127.0.0.1\r\nLast-Event-ID: {begun}\r\n\r\n".encode()
        )
        async with asyncio.timeout(5):
            while not app[DATABASE].in_use:
                await asyncio.sleep(0)
        await fetch(client, CHANGES, 503)  # it takes a place, far behind or not
        async with asyncio.timeout(5):
            while app[DATABASE].in_use or app[HUB].size:
                await asyncio.sleep(0.01)
    async with subscribed(client, CHANGES, begun) as again:
        assert len(await again.wait(2000)) == 2000


async def test_a_role_that_may_not_read_the_table_any_more_is_told_nothing_of_it(
    service: Service, live_url: str, reader_url: str
) -> None:
    await asyncio.to_thread(publish_now, live_url, "plain")
    await edit(live_url, f"GRANT SELECT ON plain TO {READER}")  # for which the log is read on
    client = await service(reader_url)
    async with subscribed(client, CHANGES) as stream:
        await edit(live_url, f"REVOKE SELECT ON places FROM {READER}")
        await look(client)
        await edit(live_url, "UPDATE places SET name = 'secret' WHERE id = 1")
        await stream.until_ended()
    assert not stream.events


async def test_policies_that_are_made_while_somebody_listens_end_the_stream(
    service: Service, live_url: str, reader_url: str
) -> None:
    client = await service(reader_url)
    async with subscribed(client, CHANGES) as stream:
        await edit(live_url, "ALTER TABLE places ENABLE ROW LEVEL SECURITY")
        await look(client)
        await edit(live_url, "UPDATE places SET name = 'secret' WHERE id = 1")
        await stream.until_ended()
    assert not stream.events


async def test_a_stream_ends_when_the_changes_of_its_table_are_not_logged_any_more(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, feed_heartbeat_seconds=0.1)
    async with subscribed(client, CHANGES) as stream:
        await edit(live_url, "ALTER TABLE places DISABLE TRIGGER geosvc_update")
        await look(client)
        await stream.until_ended()  # a subscriber who believes to be told everything would be wrong
    await fetch(client, CHANGES, 409)


async def test_a_key_that_the_role_may_not_read_is_not_told(
    service: Service, live_url: str, reader_url: str
) -> None:
    await edit(
        live_url,
        f"REVOKE SELECT ON places FROM {READER}",
        f"GRANT SELECT (name, geom) ON places TO {READER}",
    )
    client = await service(reader_url)
    await fetch(client, CHANGES, 409)


async def test_streams_begin_anew_when_the_log_is_replaced_by_that_of_a_dump(
    service: Service, live_url: str
) -> None:
    client = await service(live_url)
    async with subscribed(client, CHANGES) as stream:
        begun = stream.last_id
        await edit(
            live_url,
            "CREATE TABLE geosvc.dumped (LIKE geosvc.change INCLUDING ALL);"
            " INSERT INTO geosvc.dumped SELECT * FROM geosvc.change;"
            " DROP TABLE geosvc.change; ALTER TABLE geosvc.dumped RENAME TO change",
        )
        (event,) = await stream.wait(1)
        assert event.name == "resync"
        await edit(live_url, "UPDATE places SET population = 1 WHERE id = 1")
        assert [each.name for each in await stream.wait(2)] == ["resync", "update"]
    async with subscribed(client, CHANGES, begun) as again:
        assert (await again.wait(1))[0].name == "resync"


async def test_a_failover_while_somebody_catches_up_ends_the_stream(
    service: Service, live_url: str
) -> None:
    client = await service(live_url)
    async with subscribed(client, CHANGES) as stream:
        begun = stream.last_id
    rows = "SELECT n, repeat('x', 10000), 'SRID=4326;POINT(0 0)' FROM generate_series(1000, 1999) n"
    await edit(
        live_url,
        f"INSERT INTO places (id, name, geom) {rows}",
        "UPDATE places SET population = 1 WHERE id >= 1000",
    )
    assert client.server is not None
    feed = client.server.app[CHANGE_READER]  # type: ignore[attr-defined]
    async with client.get(CHANGES, headers={"Last-Event-ID": begun}) as response:
        await response.content.readany()
        feed._tracker.epoch = "of another server"  # where what follows has other numbers
        async with asyncio.timeout(10):
            body = await response.read()
    assert b"resync" not in body  # it comes back, and is told then


async def test_a_crowd_that_asks_for_what_is_not_published_has_the_catalog_read_a_few_times_only(
    service: Service, live_url: str
) -> None:
    client = await service(live_url, catalog_poll_seconds=60)
    with seen(QueryEnded) as ended:
        await asyncio.gather(*(fetch(client, "/collections/plain/changes", 409) for _ in range(40)))
    assert 1 <= len([each for each in ended if each.run.name == "catalog.fingerprint"]) < 10


async def look(client: Client) -> None:
    """The service takes note of what has become of the table."""
    assert client.server is not None
    await client.server.app[CATALOG].look()  # type: ignore[attr-defined]
