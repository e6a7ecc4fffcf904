"""The promises of the change feed, put to the test at random: every committed change exactly once a subscriber, transactions
whole, the changes of a feature in their order, and none waits for a stranger; while listeners are killed, services stopped,
killed and restarted, and subscribers leave and come back to whichever service there is.

GEOSVC_TEST_CHANGES_SECONDS makes it longer, GEOSVC_TEST_SEED repeats it.
"""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp
import asyncpg
import pytest

from geosvc.database.migrations import migrate_up
from geosvc.database.publishing import publish, unpublish
from geosvc.settings import Settings
from tests.conftest import execute, settings_for
from tests.edits import TABLE, Edit, Made, State, Truth, Writer
from tests.events import Event, parse_events
from tests.processes import Running, serving, unexpected

SECONDS = float(os.environ.get("GEOSVC_TEST_CHANGES_SECONDS", "10"))
SEED = int(os.environ.get("GEOSVC_TEST_SEED") or random.randrange(1 << 32))
PATIENCE_SECONDS = 30.0
WRITERS = 5
FINAL = 999_999  # the id of the last feature that is made: what comes after it is too much

Told = tuple[str, int, int | None]
"""Name of the event, id of the feature, its stamp; of a delete that of the state before."""


@dataclass
class Fleet:
    """Services of one database, each of which can be stopped and started again."""

    url: str
    size: int
    stack: ExitStack = field(default_factory=ExitStack)
    running: dict[int, Running] = field(default_factory=dict)
    ended: list[Running] = field(default_factory=list)

    def start(self, number: int) -> None:
        """Starts one; returns when it serves."""
        settings = {"feed_heartbeat_seconds": "0.5", "catalog_poll_seconds": "0.5"}
        running = self.stack.enter_context(serving(self.url, **settings))
        assert running.url
        self.running[number] = running

    def stop(self, number: int, how: signal.Signals) -> None:
        """Ends one; returns when it has ended."""
        running = self.running.pop(number)
        self.ended.append(running)
        status = running.stop(how)
        assert how is signal.SIGKILL or status == 0

    def base(self, dice: random.Random) -> str | None:
        """The address of one of those that run."""
        return self.running[dice.choice(sorted(self.running))].url if self.running else None


@dataclass
class Taken:
    """An event as it was taken, and whether the stream was there before the change can have been committed."""

    told: Told
    id: str
    at: float
    since: float


class Reader:
    """A subscriber that leaves at any moment, and comes back anywhere."""

    def __init__(self, name: str, query: str, wants: Callable[[State], bool], fleet: Fleet, dice: random.Random) -> None:
        self.name = name
        self.wants = wants
        self.taken: list[Taken] = []
        self.stamps: dict[int, int] = {}
        self.connections = 0
        self.begun = asyncio.Event()
        self.last_id = ""
        self.restless = True
        self.problems: list[str] = []
        self._query = query
        self._fleet = fleet
        self._dice = dice

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """Reads until it is cancelled."""
        while True:
            base = self._fleet.base(self._dice)
            if base is not None:
                with suppress(aiohttp.ClientError, ConnectionError):
                    await self._connect(session, f"{base}/collections/places/changes?{self._query}")
            await asyncio.sleep(self._dice.choice((0, 0.01, 0.05, 0.2)))

    async def _connect(self, session: aiohttp.ClientSession, address: str) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with session.get(address, headers=headers) as response:
            if response.status == 503:
                return
            assert response.status == 200, await response.text()
            self.connections += 1
            leaves = monotonic() + self._dice.choice((0.05, 0.3, 1, 3, 8)) if self.restless else float("inf")
            leaves_after = self._dice.choice((1, 5, 40, 500, 5000)) if self.restless else 1 << 60
            since = 0.0
            async for event in _events(response, self._dice, lambda: leaves):
                since = since or monotonic()
                self._take(event, since)
                leaves_after -= bool(event.name)
                if not leaves_after and self.restless:
                    return

    def _take(self, event: Event, since: float) -> None:
        self.last_id = event.id
        self.begun.set()
        if not event.name:
            return
        self.taken.append(Taken(self._told(event), event.id, monotonic(), since))

    def _told(self, event: Event) -> Told:
        content: dict[str, Any] = event.content
        if event.name not in ("insert", "update", "delete"):
            self.problems.append(f"{event}")
            return event.name, 0, None
        feature: int = content["id"]
        if event.name == "delete":
            return event.name, feature, self.stamps.pop(feature, None)
        stamp: int = content["properties"]["n"]
        self.stamps[feature] = stamp
        return event.name, feature, stamp

    def expected(self, changes: Made) -> Told | None:
        """What it is to be told of a change."""
        was = changes.old is not None and self.wants(changes.old)
        if changes.new is not None and self.wants(changes.new):
            return "update" if was else "insert", changes.id, changes.new.n
        return ("delete", changes.id, changes.old.n) if was and changes.old is not None else None


async def _events(response: aiohttp.ClientResponse, dice: random.Random, leaves: Callable[[], float]) -> AsyncIterator[Event]:
    """The events one by one, so that who leaves does so in the midst of them."""
    rest = b""
    while True:
        seconds = min(leaves() - monotonic(), 3600.0)
        if seconds <= 0:
            return
        try:
            async with asyncio.timeout(seconds):
                piece = await response.content.read(dice.choice((10, 1_000, 100_000)))
        except TimeoutError:
            return
        if not piece:
            return
        whole, mark, rest = (rest + piece).rpartition(b"\n\n")
        for event in parse_events(whole + mark):
            yield event


class Copy(Reader):
    """Somebody who keeps a copy of the table: reads it after subscribing, and then does what it is told."""

    def __init__(self, fleet: Fleet, dice: random.Random) -> None:
        super().__init__("copy", "", lambda _: True, fleet, dice)
        self.features: dict[int, Any] | None = None
        self._waiting: list[Event] = []

    async def follow(self, session: aiohttp.ClientSession) -> None:
        """Reads until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().follow(session))
            await self.begun.wait()
            features = None
            while features is None:
                with suppress(aiohttp.ClientError, ConnectionError):
                    features = await self._read_table(session)
                await asyncio.sleep(0.01)
            self.features = features
            for event in self._waiting:
                self._take(event, 0.0)

    async def _read_table(self, session: aiohttp.ClientSession) -> dict[int, Any] | None:
        base = self._fleet.base(self._dice)
        if base is None:
            return None
        async with session.get(f"{base}/collections/places/items?limit=10000&f=json") as response:
            page = json.loads(await response.text())
        return {each["id"]: _plain(each) for each in page["features"]} if response.status == 200 else None

    def _take(self, event: Event, since: float) -> None:
        self.last_id = event.id
        self.begun.set()
        if self.features is None:
            self._waiting.append(event)
        elif event.name == "delete":
            self.features.pop(event.content["id"], None)
        elif event.name:
            self.features[event.content["id"]] = _plain(event.content)


def _plain(feature: dict[str, Any]) -> Any:
    return feature["geometry"]["coordinates"], feature["properties"]


async def _make_trouble(fleet: Fleet, url: str, dice: random.Random, until: float) -> list[str]:
    """Kills and restarts, and publishes another table the while."""
    done = []
    connection = await asyncpg.connect(url)
    try:
        while monotonic() < until:
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            trouble = dice.choice(("listener", "listener", "connection", "restart", "publish", "publish"))
            done.append(trouble)
            if trouble == "restart":
                number, how = dice.randrange(fleet.size), dice.choice((signal.SIGTERM, signal.SIGKILL))
                await asyncio.to_thread(fleet.stop, number, how)
                await asyncio.to_thread(fleet.start, number)
            elif trouble == "publish":
                await publish(settings_for(url), url, "roads")
                await connection.execute("INSERT INTO roads SELECT coalesce(max(id), 0) + 1 FROM roads")
                await unpublish(settings_for(url), url, "roads")
            else:
                what = "geosvc.change|advisory" if trouble == "listener" else "."
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE query ~ $1 AND"
                    " datname = current_database() AND application_name LIKE 'geosvc%' ORDER BY random() LIMIT 1) one",
                    what,
                )
    finally:
        await connection.close()
    return done


def _check(reader: Reader, edits: list[Edit]) -> None:
    """Exactly what was committed, transactions whole, statements in order, each feature by itself in order."""
    place: dict[Told, tuple[int, int]] = {}
    for number, edit in enumerate(edits):
        for made in edit.changes:
            if (told := reader.expected(made)) is not None:
                assert told not in place
                place[told] = number, made.statement
    got = Counter(each.told for each in reader.taken)
    missing = [told for told in place if told not in got]
    twice = [told for told, times in got.items() if times > 1]
    unknown = [told for told in got if told not in place]
    trouble = f"{reader.name}, seed {SEED}: missing {missing[:5]}, twice {twice[:5]}, never committed {unknown[:5]}"
    assert not reader.problems, (trouble, reader.problems[:5])
    assert missing == twice == unknown == [], trouble
    order = [place[each.told] for each in reader.taken]
    seen: set[int] = set()
    last = (-1, 0)
    for number, statement in order:
        if number != last[0]:
            assert number not in seen, f"{reader.name}, seed {SEED}: a transaction in pieces"
            seen.add(number)
        else:
            assert statement >= last[1], f"{reader.name}, seed {SEED}: statements in another order"
        last = number, statement


def _delays(reader: Reader, edits: list[Edit]) -> list[float]:
    """Seconds from commits to events, where the subscriber was there before the commit."""
    ended = {reader.expected(made): edit for edit in edits for made in edit.changes}
    return sorted(each.at - ended[each.told].ended for each in reader.taken if each.since < ended[each.told].began)


async def _until(condition: Callable[[], bool]) -> None:
    with suppress(TimeoutError):  # what is missing is told by the checks
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)


@pytest.fixture
def url(bare_database_url: str) -> str:
    execute(bare_database_url, TABLE)
    migrate_up(Settings(), bare_database_url)
    return bare_database_url


@pytest.fixture
def fleet(url: str) -> Any:
    asyncio.run(_publish(url))
    fleet = Fleet(url, 2)
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

    async def table(self) -> list[State]:
        """The table as it is."""
        return [
            State(*row) for row in await self.pool.fetch("SELECT id, n, previous, kind, ST_X(geom), ST_Y(geom) FROM places")
        ]

    def another(self) -> random.Random:
        """Dice for somebody else."""
        return random.Random(self.dice.random())

    def is_told(self) -> bool:
        """Whether all have what they are to have, as far as can be seen by the number."""
        changes = [made for edit in self.truth.edits for made in edit.changes]
        return all(len(reader.taken) >= sum(reader.expected(made) is not None for made in changes) for reader in self.readers)

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
    states = await stage.table()
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
    async with asyncpg.create_pool(url, min_size=1, max_size=WRITERS + 3, server_settings=server_settings) as pool:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), connector=connector) as session:
            yield Stage(url, fleet, random.Random(SEED), pool, session)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
async def test_every_committed_change_is_told_exactly_once_in_order_and_at_once(stage: Stage) -> None:
    truth, readers = stage.truth, stage.readers
    await _subscribe(stage)
    copy = Copy(stage.fleet, stage.another())
    reading = [asyncio.create_task(reader.follow(stage.session)) for reader in readers]
    for reader in readers:
        await asyncio.wait_for(reader.begun.wait(), PATIENCE_SECONDS)
    async with AsyncExitStack() as stack:
        may_commit = asyncio.Event()
        stranger = asyncio.create_task((await stage.writer(stack, first_key=500)).edit(12, 0, ready=may_commit))
        writing = asyncio.create_task(_write(stage, stack))
        await asyncio.wait([writing], timeout=SECONDS / 3)
        reading.append(asyncio.create_task(copy.follow(stage.session)))
        await writing
        for reader in (*readers, copy):
            reader.restless = False
        await _until(stage.is_told)
        before = list(truth.edits)
        assert not stranger.done()
        for reader in readers:
            _check(reader, before)
        may_commit.set()
        await stranger
        await (await stage.writer(stack)).insert(FINAL, "a", 1, 1)
        await _until(lambda: stage.is_told() and copy.features is not None and FINAL in copy.features)
        for reader in readers:
            _check(reader, truth.edits)
    await _check_states(stage, copy)
    for task in reading:
        task.cancel()
    ended = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    _check_delays(stage)
    for running in (*stage.fleet.running.values(), *stage.fleet.ended):
        assert not unexpected(running, "database_lost"), SEED


async def _check_states(stage: Stage, copy: Copy) -> None:
    """Who does what it is told ends where the table is."""
    states = await stage.table()
    for reader in stage.readers:
        assert reader.stamps == {s.id: s.n for s in states if reader.wants(s)}, (reader.name, SEED)
    table = {s.id: ([s.x, s.y], {"id": s.id, "n": s.n, "previous": s.previous, "kind": s.kind}) for s in states}
    assert copy.features is not None
    for feature in (*table, *copy.features):
        assert copy.features.get(feature) == table.get(feature), (feature, SEED)


def _check_delays(stage: Stage) -> None:
    """None later than a second after its commit; of a hundred, one may be, on a machine that does other things as well."""
    truth = stage.truth
    print(
        f"{len(truth.edits)} transactions, {sum(len(each.changes) for each in truth.edits)} changes, {truth.refused} refused,"
        f" {truth.rolled_back} rolled back; {Counter(stage.troubles)}; connections {[r.connections for r in stage.readers]}"
    )
    delays = {reader.name: _delays(reader, truth.edits) for reader in stage.readers}
    every = sorted(delay for each in delays.values() for delay in each)
    for name, some in (*delays.items(), ("in all", every)):
        parts = [f"{1000 * some[int(part * (len(some) - 1))]:.0f}" for part in (0.5, 0.9, 0.99, 1)]
        print(f"{name}: {len(some)} events, ms: median {parts[0]}, 90 % {parts[1]}, 99 % {parts[2]}, all {parts[3]}")
    assert every[int(0.99 * len(every))] < 1.0, f"seed {SEED}: late"
