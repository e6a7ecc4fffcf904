"""The change log is kept for a while: what is pruned changes no version, and whoever missed it is
told so.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from geosvc.database.changefeed.feed import Feed
from geosvc.database.migrations import migrate_up
from geosvc.database.pool import Database
from geosvc.database.writes.writer import Writer
from geosvc.live.pruning import AT_ONCE, Pruner
from geosvc.settings import Settings
from tests.conftest import Service, execute, settings_for
from tests.edits import TABLE
from tests.events import subscribed
from tests.live import publish_now

CHANGES = "/collections/places/changes"


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    migrate_up(Settings(), bare_database_url)
    publish_now(bare_database_url, "places")
    return bare_database_url


@pytest.fixture
async def db(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's session."""
    connection = await asyncpg.connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def feed(url: str) -> AsyncIterator[Feed]:
    """One that has been there for a while."""
    feed = Feed(settings_for(url))
    await feed.open()
    yield feed
    feed.close()


@pytest.fixture
async def writer(url: str) -> AsyncIterator[Writer]:
    database = Database(settings_for(url), url, writes=True)
    await database.open()
    writer = Writer(database)
    yield writer
    await writer.close()
    await database.close()


def pruner(writer: Writer, url: str, **limits: Any) -> Pruner:
    """One that keeps as much as it is told; as many and as long as there is, otherwise."""
    return Pruner(settings_for(url, **limits), writer, lambda: True)


async def versions(url: str) -> dict[int, int]:
    """The state of every publication, as a service that begins now knows it."""
    feed = Feed(settings_for(url))
    try:
        await feed.open()
        return {
            publication: version_increments % (1 << 64)
            for publication, version_increments in (
                await feed.versions()
            ).version_increments.items()
        }
    finally:
        feed.close()


async def _edit(db: asyncpg.Connection, times: int) -> None:
    for _ in range(times):
        await db.execute("UPDATE places SET previous = n WHERE id = 1")


async def _logged(db: asyncpg.Connection) -> int:
    number: int = await db.fetchval("SELECT count(*) FROM geosvc.change")
    return number


async def test_changes_are_pruned_by_age_and_by_number_the_oldest_first(
    url: str, db: asyncpg.Connection, writer: Writer
) -> None:
    await _edit(db, 20)
    assert await pruner(writer, url).prune() == 0
    assert await pruner(writer, url, feed_max_changes=5).prune() == 16  # and that it was published
    assert [row["seq"] for row in await db.fetch("SELECT seq FROM geosvc.change ORDER BY seq")] == [
        17,
        18,
        19,
        20,
        21,
    ]
    await db.execute("UPDATE geosvc.change SET at = at - interval '2 minutes' WHERE seq < 20")
    assert await pruner(writer, url, feed_retention=60).prune() == 3
    assert await _logged(db) == 2


async def test_more_than_a_piece_is_pruned_piece_by_piece_while_others_write(
    url: str, db: asyncpg.Connection, other: asyncpg.Connection, writer: Writer
) -> None:
    await db.execute(
        "INSERT INTO geosvc.change (publication, operation, at) SELECT 1, 'u', '2000-01-01' FROM"
        " generate_series(1, $1::int)",
        2 * AT_ONCE + 100,
    )
    pruning = asyncio.create_task(pruner(writer, url, feed_retention=60).prune())
    slowest = 0.0
    while not pruning.done():
        started = asyncio.get_running_loop().time()
        await _edit(other, 1)
        slowest = max(slowest, asyncio.get_running_loop().time() - started)
    assert await pruning == 2 * AT_ONCE + 100
    print(f"slowest edit {1000 * slowest:.0f} ms")


async def test_what_an_open_transaction_may_still_change_is_left_alone(
    url: str, db: asyncpg.Connection, other: asyncpg.Connection, writer: Writer
) -> None:
    await _edit(db, 3)
    await other.execute("BEGIN; UPDATE places SET previous = n WHERE id = 2")
    await _edit(db, 3)
    assert await pruner(writer, url, feed_max_changes=1).prune() == 4
    await other.execute("COMMIT")
    assert await pruner(writer, url, feed_max_changes=1).prune() == 3


async def test_two_that_prune_at_once_count_nothing_twice(
    url: str, db: asyncpg.Connection, writer: Writer
) -> None:
    await _edit(db, 300)
    before = await versions(url)
    pruners = [
        pruner(writer, url, feed_max_changes=number) for number in (250, 200, 150, 100, 50, 40)
    ]
    pruned = await asyncio.gather(*(each.prune() for each in pruners))
    assert sum(pruned) == 301 - await _logged(db)
    assert await versions(url) == before
    assert await pruners[-1].prune() + sum(pruned) == 301 - 40
    assert await versions(url) == before


async def test_versions_are_the_same_in_who_began_before_and_after(
    url: str, db: asyncpg.Connection, feed: Feed, writer: Writer
) -> None:
    first = await feed.versions()
    await _edit(db, 10)
    moved = await feed.moved(str(first.snapshot))
    known = (first.version_increments[1] + moved.version_increments[1]) % (1 << 64)
    assert await versions(url) == {1: known}
    await pruner(writer, url, feed_max_changes=4).prune()
    assert await versions(url) == {1: known}
    again = await feed.moved(str(moved.snapshot))
    assert (again.version_increments, again.needs_reload) == ({}, False)


async def test_what_was_pruned_before_it_was_read_has_the_versions_read_anew(
    url: str, db: asyncpg.Connection, feed: Feed, writer: Writer
) -> None:
    first = await feed.versions()
    await _edit(db, 10)
    await pruner(writer, url, feed_max_changes=1).prune()
    moved = await feed.moved(str(first.snapshot))
    assert moved.needs_reload
    await _edit(db, 1)
    assert not (await feed.moved(str(moved.snapshot))).needs_reload


async def test_rows_of_another_server_are_pruned_and_were_never_counted(
    url: str, db: asyncpg.Connection, writer: Writer
) -> None:
    await _edit(db, 3)
    before = await versions(url)
    await db.execute(
        "INSERT INTO geosvc.change (publication, operation, key, xid)"
        " SELECT 1, 'u', i, (i + 1000000000)::text::xid8 FROM generate_series(1, 30) i;"
        "UPDATE geosvc.publication SET pruned_to = '999999999'"
    )
    assert await versions(url) == before
    assert await pruner(writer, url).prune() == 30
    assert await versions(url) == before
    assert await db.fetchval("SELECT pruned_to::text FROM geosvc.publication") == "0"
    assert await _logged(db) == 4


async def test_who_comes_back_after_the_log_was_pruned_is_told_to_read_anew_and_others_go_on(
    url: str, db: asyncpg.Connection, writer: Writer, service: Service
) -> None:
    client = await service(url)
    async with subscribed(client, CHANGES) as stream:
        for number in range(
            1, 11
        ):  # each is read by itself, so that its id is of nothing that was pruned
            await _edit(db, 1)
            await stream.wait(number)
        ids = [each.id for each in stream.events]
    await pruner(writer, url, feed_max_changes=4).prune()
    for number in (0, 4):
        async with subscribed(client, CHANGES, ids[number]) as stream:
            assert [each.name for each in await stream.wait(1)] == ["resync"]
    for number in (6, 7, 8):
        async with subscribed(client, CHANGES, ids[number]) as stream:
            events = await stream.wait(9 - number)
            assert [each.name for each in events] == ["update"] * (9 - number)
    async with subscribed(client, CHANGES, ids[9]) as stream:
        await db.execute("DELETE FROM places WHERE id = 1")
        assert [each.name for each in await stream.wait(1)] == ["delete"]
