"""Subscribers that leave and come back at random, to whichever service there is, and what they must
have been told.
"""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import aiohttp

from tests.edits import Edit, Made, State
from tests.events import Event, parse_events
from tests.processes import Running, serving

PATIENCE_SECONDS = 30.0

Told = tuple[str, int, int | None]
"""Name of the event, id of the feature, its stamp; of a delete that of the state before."""


@dataclass
class Fleet:
    """Services of one database, each of which can be stopped and started again."""

    urls: Sequence[str]
    options: Sequence[Mapping[str, str]] = ()
    stack: ExitStack = field(default_factory=ExitStack)
    running: dict[int, Running] = field(default_factory=dict)
    ended: list[Running] = field(default_factory=list)

    @property
    def size(self) -> int:
        """How many there are to be."""
        return len(self.urls)

    def start(self, number: int) -> None:
        """Starts one; returns when it serves."""
        options = self.options[number] if self.options else {}
        settings = {"feed_heartbeat_seconds": "0.5", "catalog_poll_seconds": "0.5", **options}
        running = self.stack.enter_context(serving(self.urls[number], **settings))
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
    """An event as it was taken, and whether the stream was there before the change can have been
    committed.
    """

    told: Told
    id: str
    at: float
    since: float


class Reader:
    """A subscriber that leaves at any moment, and comes back anywhere."""

    def __init__(
        self,
        name: str,
        query: str,
        wants: Callable[[State], bool],
        fleet: Fleet,
        dice: random.Random,
    ) -> None:
        self.name = name
        self.wants = wants
        self.taken: list[Taken] = []
        self.stamps: dict[int, int] = {}
        self.connections = 0
        self.begun = asyncio.Event()
        self.last_id = ""
        self.restless = True
        self.problems: list[str] = []
        self.refusals = 0
        self.heard: tuple[str, float, bytes] = ("", 0.0, b"")
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
                self.refusals += 1
                return
            assert response.status == 200, await response.text()
            self.connections += 1
            leaves = (
                monotonic() + self._dice.choice((0.05, 0.3, 1, 3, 8))
                if self.restless
                else float("inf")
            )
            leaves_after = self._dice.choice((1, 5, 40, 500, 5000)) if self.restless else 1 << 60
            since = 0.0
            async for event in self._events(response, lambda: leaves):
                since = since or monotonic()
                self._take(event, since)
                leaves_after -= bool(event.name)
                if not leaves_after and self.restless:
                    return

    async def _events(
        self, response: aiohttp.ClientResponse, leaves: Callable[[], float]
    ) -> AsyncIterator[Event]:
        """The events one by one, so that who leaves does so in the midst of them."""
        rest = b""
        while True:
            seconds = min(leaves() - monotonic(), 3600.0)
            if seconds <= 0:
                return
            try:
                async with asyncio.timeout(seconds):
                    piece = await response.content.read(self._dice.choice((10, 1_000, 100_000)))
            except TimeoutError:
                return
            if not piece:
                return
            self.heard = (str(response.url.origin()), monotonic(), piece[-300:])
            whole, mark, rest = (rest + piece).rpartition(b"\n\n")
            for event in parse_events(whole + mark, self.last_id):
                yield event

    def describe(self) -> str:
        """What is known of its stream, for who looks for a fault."""
        url, at, piece = self.heard
        return (
            f"{self.name}: {len(self.taken)} events, {self.connections} connections,"
            f" {self.refusals} refused, last id {self.last_id}; heard {monotonic() - at:.1f} s ago"
            f" from {url}: {piece!r}"
        )

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


class Copy(Reader):
    """Somebody who keeps a copy of the table: reads it after subscribing, and then does what it is
    told.
    """

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
        return (
            {each["id"]: _plain(each) for each in page["features"]}
            if response.status == 200
            else None
        )

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


def are_told(readers: Sequence[Reader], edits: Sequence[Edit]) -> bool:
    """Whether all have what they are to have, as far as can be seen by the number."""
    changes = [made for edit in edits for made in edit.changes]
    return all(
        len(each.taken) >= sum(each.expected(made) is not None for made in changes)
        for each in readers
    )


def check(reader: Reader, edits: list[Edit], seed: int) -> None:
    """Exactly what was committed, transactions whole, statements in order, each feature by itself
    in order.
    """
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
    trouble = f"{reader.name}, seed {seed}: missing {missing[:5]}, twice {twice[:5]}, never committed {unknown[:5]}"
    assert not reader.problems, (trouble, reader.problems[:5])
    assert missing == twice == unknown == [], trouble
    order = [place[each.told] for each in reader.taken]
    seen: set[int] = set()
    last = (-1, 0)
    for number, statement in order:
        if number != last[0]:
            assert number not in seen, f"{reader.name}, seed {seed}: a transaction in pieces"
            seen.add(number)
        else:
            assert statement >= last[1], f"{reader.name}, seed {seed}: statements in another order"
        last = number, statement


def delays(reader: Reader, edits: list[Edit]) -> list[float]:
    """Seconds from commits to events, where the subscriber was there before the commit."""
    ended = {reader.expected(made): edit for edit in edits for made in edit.changes}
    return sorted(
        each.at - ended[each.told].ended
        for each in reader.taken
        if each.since < ended[each.told].began
    )


async def eventually(condition: Callable[[], bool]) -> None:
    with suppress(TimeoutError):  # what is missing is told by the checks
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.02)
