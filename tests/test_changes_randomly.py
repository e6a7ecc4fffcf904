"""The promises of the change feed, put to the test at random: every committed change exactly once a
subscriber, transactions whole, the changes of a feature in their order, and none waits for a
stranger; while listeners are killed, services stopped, killed and restarted, and subscribers
leave and come back to whichever service there is.

GEOSVC_TEST_CHANGES_SECONDS makes it longer, GEOSVC_TEST_SEED repeats it.
"""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest

from geosvc.database.changefeed.publishing import publish, unpublish
from geosvc.database.migrations import migrate_up
from geosvc.settings import Settings
from tests.conftest import execute, settings_for
from tests.edits import TABLE, State, Truth, Writer, read_table
from tests.processes import unexpected
from tests.subscribers import (
    PATIENCE_SECONDS,
    Copy,
    Fleet,
    Reader,
    are_told,
    check,
    delays,
    eventually,
)

SECONDS = float(os.environ.get("GEOSVC_TEST_CHANGES_SECONDS", "10"))
SEED = int(os.environ.get("GEOSVC_TEST_SEED") or random.randrange(1 << 32))
WRITERS = 5
FINAL = 999_999  # the id of the last feature that is made: what comes after it is too much


async def _make_trouble(fleet: Fleet, url: str, dice: random.Random, until: float) -> list[str]:
    """Kills and restarts, and publishes another table the while."""
    done = []
    connection = await asyncpg.connect(url)
    try:
        while monotonic() < until:
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            trouble = dice.choice(
                ("listener", "listener", "connection", "restart", "publish", "publish")
            )
            done.append(trouble)
            if trouble == "restart":
                number, how = (
                    dice.randrange(fleet.size),
                    dice.choice((signal.SIGTERM, signal.SIGKILL)),
                )
                await asyncio.to_thread(fleet.stop, number, how)
                await asyncio.to_thread(fleet.start, number)
            elif trouble == "publish":
                await publish(settings_for(url), url, "roads")
                await connection.execute(
                    "INSERT INTO roads SELECT coalesce(max(id), 0) + 1 FROM roads"
                )
                await unpublish(settings_for(url), url, "roads")
            else:
                what = "geosvc.change|advisory" if trouble == "listener" else "."
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE"
                    " query ~ $1 AND"
                    " datname = current_database() AND application_name LIKE 'geosvc%' ORDER BY"
                    " random() LIMIT 1) one",
                    what,
                )
    finally:
        await connection.close()
    return done


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    migrate_up(Settings(), bare_database_url)
    return bare_database_url


@pytest.fixture
def fleet(url: str) -> Any:
    asyncio.run(_publish(url))
    fleet = Fleet([url, url])
    with fleet.stack:
        for number in range(fleet.size):
            fleet.start(number)
        yield fleet


async def _publish(url: str) -> None:
    await publish(settings_for(url), url, "places")


@dataclass
class Stage:
    """Who writes, who reads, and what they know."""

    url: str
    fleet: Fleet
    dice: random.Random
    pool: asyncpg.Pool
    session: aiohttp.ClientSession
    truth: Truth = field(default_factory=Truth)
    readers: list[Reader] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def another(self) -> random.Random:
        """Dice for somebody else."""
        return random.Random(self.dice.random())

    def is_told(self) -> bool:
        """Whether all have what they are to have, as far as can be seen by the number."""
        return are_told(self.readers, self.truth.edits)

    async def writer(self, stack: AsyncExitStack, first_key: int = 1) -> Writer:
        """Somebody who edits."""
        connection = await stack.enter_async_context(self.pool.acquire())
        return Writer(connection, self.truth, self.another(), first_key)


async def _subscribe(stage: Stage) -> None:
    """Subscribers of every kind, who know what is in the table before anybody writes."""
    either = "filter=" + quote("kind = 'a' OR S_INTERSECTS(geom, BBOX(-3,-3,1,1))")
    kinds: list[tuple[str, str, Callable[[State], bool]]] = [
        ("all", "", lambda _: True),
        ("steady", "", lambda _: True),
        ("box", "bbox=0,0,5,5", lambda s: 0 <= s.x <= 5 and 0 <= s.y <= 5),
        ("filter", either, lambda s: s.kind == "a" or (-3 <= s.x <= 1 and -3 <= s.y <= 1)),
        ("properties", "properties=n,previous&skipGeometry=true", lambda _: True),
    ]
    states = await read_table(stage.pool)
    stage.truth.states = {state.n: state for state in states}
    for name, query, wants in kinds:
        reader = Reader(name, query, wants, stage.fleet, stage.another())
        reader.stamps = {state.id: state.n for state in states if wants(state)}
        reader.restless = name != "steady"
        stage.readers.append(reader)


async def _write(stage: Stage, session: AsyncExitStack) -> None:
    """Everybody writes, and somebody makes trouble, until the time is over."""
    until = monotonic() + SECONDS
    writers = [await stage.writer(session) for _ in range(WRITERS)]
    troubles = asyncio.create_task(_make_trouble(stage.fleet, stage.url, stage.another(), until))
    await asyncio.gather(*(writer.follow(until) for writer in writers))
    stage.troubles = await troubles


@pytest.fixture
async def stage(url: str, fleet: Fleet) -> AsyncIterator[Stage]:
    print(f"GEOSVC_TEST_SEED={SEED}")
    server_settings = {"deadlock_timeout": "50ms"}
    async with asyncpg.create_pool(
        url, min_size=1, max_size=WRITERS + 3, server_settings=server_settings
    ) as pool:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), connector=connector
        ) as session:
            yield Stage(url, fleet, random.Random(SEED), pool, session)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
async def test_every_committed_change_is_told_exactly_once_in_order_and_at_once(
    stage: Stage,
) -> None:
    truth, readers = stage.truth, stage.readers
    await _subscribe(stage)
    copy = Copy(stage.fleet, stage.another())
    reading = [asyncio.create_task(reader.follow(stage.session)) for reader in readers]
    for reader in readers:
        await asyncio.wait_for(reader.begun.wait(), PATIENCE_SECONDS)
    async with AsyncExitStack() as stack:
        may_commit = asyncio.Event()
        stranger = asyncio.create_task(
            (await stage.writer(stack, first_key=500)).edit(12, 0, ready=may_commit)
        )
        writing = asyncio.create_task(_write(stage, stack))
        await asyncio.wait([writing], timeout=SECONDS / 3)
        reading.append(asyncio.create_task(copy.follow(stage.session)))
        await writing
        for reader in (*readers, copy):
            reader.restless = False
        await eventually(stage.is_told)
        _describe_unless_told(stage)
        _raise_what_ended(reading)
        before = list(truth.edits)
        assert not stranger.done()
        for reader in readers:
            check(reader, before, SEED)
        may_commit.set()
        await stranger
        await (await stage.writer(stack)).insert(FINAL, "a", 1, 1)
        await eventually(
            lambda: stage.is_told() and copy.features is not None and FINAL in copy.features
        )
        _describe_unless_told(stage)
        for reader in readers:
            check(reader, truth.edits, SEED)
    await _check_states(stage, copy)
    for task in reading:
        task.cancel()
    ended = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    _check_delays(stage)
    for running in (*stage.fleet.running.values(), *stage.fleet.ended):
        assert not unexpected(running, "database_lost"), SEED


def _describe_unless_told(stage: Stage) -> None:
    """Prints what is known of every stream and service when something is missing."""
    if stage.is_told():
        return
    for reader in stage.readers:
        print(reader.describe())
    for running in stage.fleet.running.values():
        print(running.url, *running.log[-20:], sep="\n    ")


def _raise_what_ended(reading: list[asyncio.Task[None]]) -> None:
    """Says why a reader gave up, if one did."""
    for task in reading:
        if task.done():
            task.result()


async def _check_states(stage: Stage, copy: Copy) -> None:
    """Who does what it is told ends where the table is."""
    states = await read_table(stage.pool)
    for reader in stage.readers:
        assert reader.stamps == {s.id: s.n for s in states if reader.wants(s)}, (reader.name, SEED)
    table = {
        s.id: ([s.x, s.y], {"id": s.id, "n": s.n, "previous": s.previous, "kind": s.kind})
        for s in states
    }
    assert copy.features is not None
    for feature in (*table, *copy.features):
        assert copy.features.get(feature) == table.get(feature), (feature, SEED)


def _check_delays(stage: Stage) -> None:
    """None later than a second after its commit; of a hundred, one may be, on a machine that does
    other things as well.
    """
    truth = stage.truth
    print(
        f"{len(truth.edits)} transactions, {sum(len(each.changes) for each in truth.edits)}"
        f" changes, {truth.refused} refused,"
        f" {truth.rolled_back} rolled back; {Counter(stage.troubles)}; connections"
        f" {[r.connections for r in stage.readers]}"
    )
    delayed = {reader.name: delays(reader, truth.edits) for reader in stage.readers}
    every = sorted(delay for each in delayed.values() for delay in each)
    for name, some in (*delayed.items(), ("in all", every)):
        parts = [f"{1000 * some[int(part * (len(some) - 1))]:.0f}" for part in (0.5, 0.9, 0.99, 1)]
        print(
            f"{name}: {len(some)} events, ms: median {parts[0]}, 90 % {parts[1]}, 99 % {parts[2]},"
            f" all {parts[3]}"
        )
    assert every[int(0.99 * len(every))] < 1.0, f"seed {SEED}: late"
