"""A reader of server-sent events, written after WHATWG HTML 9.2.6."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from yarl import URL

from tests.conftest import Client

PATIENCE_SECONDS = 10


@dataclass(frozen=True)
class Event:
    """An event; without a name and text it only moved the id."""

    id: str
    name: str
    text: str

    @property
    def content(self) -> Any:
        """The JSON in it."""
        return json.loads(self.text)


def parse_events(body: bytes, last_id: str = "") -> list[Event]:
    """The events of a stream, or of what came of it after an event with the id `last_id`.

    A block without an id has that of the one before.
    """
    found = []
    for block in body.decode().split("\n\n")[:-1]:
        name, lines = "", []
        for line in block.split("\n"):
            field_name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field_name == "id":
                last_id = value
            elif field_name == "event":
                name = value
            elif field_name == "data":
                lines.append(value)
        found.append(Event(last_id, name, "\n".join(lines)))
    return found


@dataclass
class Stream:
    """A stream of events that is read in the background."""

    response: ClientResponse
    events: list[Event] = field(default_factory=list)
    last_id: str = ""
    ended: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """Reads until the end."""
        rest = b""
        try:
            async for piece in self.response.content.iter_any():
                whole, mark, rest = (rest + piece).rpartition(b"\n\n")
                async with self.changed:
                    for event in parse_events(whole + mark, self.last_id):
                        self.last_id = event.id
                        if event.name:
                            self.events.append(event)
                    self.changed.notify_all()
        finally:
            async with self.changed:
                self.ended = True
                self.changed.notify_all()

    async def wait(self, number: int, seconds: float = PATIENCE_SECONDS) -> list[Event]:
        """The events when there are so many; fails when they do not come."""
        try:
            async with asyncio.timeout(seconds), self.changed:
                await self.changed.wait_for(lambda: len(self.events) >= number)
        except TimeoutError:
            raise AssertionError(f"{len(self.events)} of {number} events: {self.events}") from None
        return self.events

    async def until_begun(self, seconds: float = PATIENCE_SECONDS) -> str:
        """The id that it begins with."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: bool(self.last_id))
        return self.last_id

    async def until_ended(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Waits for the end."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: self.ended)


@asynccontextmanager
async def subscribed(
    client: Client,
    path: str,
    last_event_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Stream]:
    """A stream of changes that has begun."""
    given = dict(headers or {})
    if last_event_id:
        given["Last-Event-ID"] = last_event_id
    async with client.get(URL(path, encoded=True), headers=given, timeout=None) as response:
        assert response.status == 200, await response.text()
        stream = Stream(response)
        reading = asyncio.create_task(stream.read())
        try:
            await stream.until_begun()
            yield stream
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
