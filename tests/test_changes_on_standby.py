"""Changes told by services of a hot standby, which takes no LISTEN and does not say what is in
progress.
"""

import asyncio
import json
import os
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing
from itertools import count
from pathlib import Path
from time import monotonic

import aiohttp
import asyncpg
import pytest

from geosvc.database.changefeed.changes import read_changes
from geosvc.database.changefeed.feed import Feed
from geosvc.database.changefeed.publishing import publish
from geosvc.database.migrations import migrate_up
from geosvc.database.pool import Database
from geosvc.model.snapshot import Position
from geosvc.settings import Settings
from tests.conftest import Service, execute, settings_for
from tests.edits import TABLE, Truth, Writer, read_table
from tests.events import subscribed
from tests.standby import Pair, making_pair
from tests.subscribers import PATIENCE_SECONDS, Fleet, Reader, are_told, check, eventually

SECONDS = float(os.environ.get("GEOSVC_TEST_CHANGES_SECONDS", "6"))
SEED = int(os.environ.get("GEOSVC_TEST_SEED") or random.randrange(1 << 32))
WRITERS = 4
_numbers = count(1)


@pytest.fixture(scope="module")
def pair(cluster_folder: Path) -> Iterator[Pair]:
    with making_pair(cluster_folder / "pair") as pair:
        yield pair


@pytest.fixture
def database(pair: Pair) -> str:
    return _make_database(pair)


def _make_database(pair: Pair) -> str:
    """The name of a database that both have, where places are published."""
    name = f"geosvc_{next(_numbers)}"
    execute(pair.url(), f"CREATE DATABASE {name}")
    url = pair.url(name)
    execute(url, "CREATE EXTENSION postgis; " + TABLE)
    migrate_up(Settings(), url)
    asyncio.run(_publish(url))
    _wait_for_replay(pair)
    return name


async def _publish(url: str) -> None:
    await publish(settings_for(url), url, "places")


def _wait_for_replay(pair: Pair) -> None:
    wanted = pair.primary.query("postgres", "SELECT pg_current_wal_insert_lsn()")
    execute(pair.url(), "SET synchronous_commit = on; CREATE TABLE flushed (); DROP TABLE flushed")
    until = monotonic() + PATIENCE_SECONDS
    while pair.standby.query("postgres", f"SELECT pg_last_wal_replay_lsn() >= '{wanted}'") != "t":
        assert monotonic() < until


class Subtransactions(Writer):
    """A writer whose every statement has a transaction number of its own.

    There are no more of them than a standby keeps of a transaction (64, with the savepoints of the
    statements): others may end in a resync, which is no fault.
    """

    _left = 0

    async def edit(
        self, statements: int, pauses: float, *, ready: asyncio.Event | None = None
    ) -> None:
        self._left = max(60 - statements, 0)
        await super().edit(statements, pauses, ready=ready)

    async def _some(self) -> None:
        number = min(self._dice.choice((1, 3, 20)), self._left)
        self._left -= number
        for _ in range(number):
            async with self._connection.transaction():
                await self._connection.execute("INSERT INTO roads VALUES (nextval('stamps'))")
        await super()._some()


async def _writers(
    url: str, stack: AsyncExitStack, truth: Truth, dice: random.Random
) -> list[Writer]:
    """Some who write on the primary, and know what is there; the last one to features of its
    own.
    """
    pool = await stack.enter_async_context(
        asyncpg.create_pool(
            url, min_size=1, max_size=WRITERS + 2, server_settings={"deadlock_timeout": "50ms"}
        )
    )
    truth.states |= {state.n: state for state in await read_table(pool)}
    kinds = [*[Writer, Subtransactions] * WRITERS][:WRITERS]
    keys = [*[1] * (WRITERS - 1), 500]
    connections = [await stack.enter_async_context(pool.acquire()) for _ in range(WRITERS)]
    return [
        kind(each, truth, random.Random(dice.random()), first_key)
        for kind, each, first_key in zip(kinds, connections, keys, strict=True)
    ]


@pytest.fixture
def fleet(pair: Pair, database: str) -> Iterator[Fleet]:
    """Two services of the standby."""
    fleet = Fleet([pair.standby_url(database), pair.standby_url(database)])
    with fleet.stack:
        for number in range(fleet.size):
            fleet.start(number)
        yield fleet


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
async def test_services_of_a_standby_tell_every_change_exactly_once_and_in_order(
    pair: Pair, database: str, fleet: Fleet
) -> None:
    print(f"GEOSVC_TEST_SEED={SEED}")
    for running in fleet.running.values():
        because = running.wait_for("feed_followed")["polls_because"]
        assert because == "the database is a standby, which takes no LISTEN"
    dice, truth = random.Random(SEED), Truth()
    async with AsyncExitStack() as stack:
        writers = await _writers(pair.url(database), stack, truth, dice)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        readers = [
            Reader("all", "", lambda _: True, fleet, random.Random(dice.random())),
            Reader(
                "box",
                "bbox=0,0,5,5",
                lambda s: 0 <= s.x <= 5 and 0 <= s.y <= 5,
                fleet,
                random.Random(dice.random()),
            ),
        ]
        for reader in readers:
            reader.stamps = {
                state.id: state.n for state in truth.states.values() if reader.wants(state)
            }
        reading = [asyncio.create_task(reader.follow(session)) for reader in readers]
        for reader in readers:
            await asyncio.wait_for(reader.begun.wait(), PATIENCE_SECONDS)
        may_commit = asyncio.Event()
        stranger = asyncio.create_task(writers.pop().edit(12, 0, ready=may_commit))
        until = monotonic() + SECONDS
        await asyncio.gather(*(writer.follow(until) for writer in writers))
        for reader in readers:
            reader.restless = False

        await eventually(lambda: are_told(readers, truth.edits))
        assert not stranger.done()
        for reader in readers:
            check(reader, truth.edits, SEED)
        may_commit.set()
        await stranger
        await writers[0].insert(999_999, "a", 1, 1)
        await eventually(lambda: are_told(readers, truth.edits))
        for reader in readers:
            check(reader, truth.edits, SEED)
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    print(
        len(truth.edits), "transactions;", [(len(each.taken), each.connections) for each in readers]
    )


async def _push(connection: asyncpg.Connection, dice: random.Random, until: float) -> int:
    """Updates few features from many sides, by transactions that are numbered before they wait for
    one another.
    """
    update = "UPDATE places SET previous = n, n = nextval('stamps') WHERE id = "
    made = 0
    while monotonic() < until:
        first = dice.randint(1, 2)
        second = f"SAVEPOINT s; {update} {first + 2}; RELEASE s;" if dice.random() < 0.3 else ""
        await connection.execute(
            f"BEGIN; SELECT pg_current_xact_id(); {update} {first}; {second} COMMIT"
        )
        made += 2 if second else 1
    return made


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
async def test_a_standby_is_read_as_of_one_moment_however_often_it_is_read(
    pair: Pair, database: str
) -> None:
    """Reads without a pause, beside transactions that wait for one another: who is seen waited for
    nobody who is not.
    """
    print(f"GEOSVC_TEST_SEED={SEED}")
    settings = settings_for(pair.standby_url(database))
    feed, standby = Feed(settings), Database(settings, pair.standby_url(database))
    dice = random.Random(SEED)
    steps = told = 0
    await feed.open()
    await standby.open()
    connections = [await asyncpg.connect(pair.url(database)) for _ in range(WRITERS)]
    last = {str(state.id): state.n for state in await read_table(connections[0])}
    seen = (await feed.versions()).snapshot
    stranger = await asyncpg.connect(
        pair.url(database)
    )  # whoever reads has all numbers since to look at
    await stranger.execute("BEGIN; INSERT INTO roads VALUES (0)")
    until = monotonic() + SECONDS
    writing = asyncio.gather(
        *(_push(each, random.Random(dice.random()), until) for each in connections)
    )
    patience = until + PATIENCE_SECONDS
    while not writing.done() or (told < sum(writing.result()) and monotonic() < patience):
        upto = (await feed.moved(str(seen))).snapshot
        async with aclosing(read_changes(standby, 1, Position(seen), upto)) as batches:
            async for batch in batches:
                for change in batch.changes:
                    state = json.loads(change.new or "")
                    assert state["previous"] == last[str(change.key)], SEED
                    last[str(change.key)] = state["n"]
                    told += 1
        seen = upto
        steps += 1
    assert told == sum(writing.result())
    assert last == {str(state.id): state.n for state in await read_table(connections[0])}
    print(f"{steps} reads, {told} changes")
    for each in (*connections, stranger):
        await each.close()
    feed.close()
    await standby.close()


async def test_a_subscriber_can_go_to_the_standby_and_back(
    pair: Pair, database: str, service: Service
) -> None:
    clients = [await service(url) for url in (pair.url(database), pair.standby_url(database))]
    connection = await asyncpg.connect(pair.url(database))
    last_id, told = None, []
    for feature in range(1, 9):
        if feature > 1:
            await connection.execute("DELETE FROM places WHERE id = $1", feature)
        async with subscribed(
            clients[feature % 2], "/collections/places/changes", last_id
        ) as stream:
            events = await stream.wait(1) if feature > 1 else []
            told += [(each.name, each.content["id"]) for each in events]
            last_id = stream.last_id
    assert told == [("delete", feature) for feature in range(2, 9)]
    await connection.close()


async def test_a_promoted_standby_is_another_log(cluster_folder: Path, service: Service) -> None:
    with making_pair(cluster_folder / "promoted") as pair:
        database = await asyncio.to_thread(_make_database, pair)
        connection = await asyncpg.connect(pair.url(database))
        client = await service(pair.standby_url(database))
        path = "/collections/places/changes"
        async with subscribed(client, path) as stream:
            await connection.execute("DELETE FROM places WHERE id = 1")
            assert [(each.name, each.content["id"]) for each in await stream.wait(1)] == [
                ("delete", 1)
            ]
            open_one = connection.transaction()
            await open_one.start()
            await connection.execute("DELETE FROM places WHERE id = 2")
            await asyncio.to_thread(pair.promote)
            assert [each.name for each in await stream.wait(2)] == ["delete", "resync"]
            promoted = await asyncpg.connect(pair.standby_url(database))
            await promoted.execute("DELETE FROM places WHERE id = 3")
            events = await stream.wait(3)
            assert [(each.name, each.content.get("id")) for each in events[2:]] == [("delete", 3)]
            last_id = events[0].id
        async with subscribed(client, path, last_id) as stream:
            assert [each.name for each in await stream.wait(1)] == ["resync"]
        await promoted.close()
        await connection.close()
