"""Those who cost more than they pay: each kind goes on for as long as it is let, and begins again
when it is thrown out.

Each connection comes from an address of its own, so that no share of one client's bounds them. They
come when the URL of the service arrives on standard input; when that ends they go, and tell what
they met with.
"""

import asyncio
import json
import random
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import chain, cycle, repeat
from urllib.parse import urlsplit

import uvloop

from tests.bombs import GEOJSON, Bomb, queries, searches, writes

BOMBED = "areas"  # the collection
AGAIN_SECONDS = 1.0
STALL_SECONDS = 45  # after which one that takes nothing comes anew, should it not have been cut off
WINDOW_BYTES = 4_096  # of those who read slowly: what they do not take stays with the service
LARGE_PAGE = "/collections/cities/items?limit=10000"

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _head(method: str, path: str, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: soak", *headers, "", ""]
    return "\r\n".join(lines).encode()


class Strangers:
    """Clients of one service.

    Args:
        seconds: in which all come.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._place = ("", 0)
        self._dice = random.Random(1)
        self._bombs = self._shuffled()
        self.met: Counter[str] = Counter()

    def _shuffled(self) -> Iterator[Bomb]:
        """All bombs again and again, the heavy ones among the others."""
        found = [*searches(), *queries(), *writes()]
        self._dice.shuffle(found)
        return cycle(found)

    async def _socket(self, window_bytes: int | None = None) -> socket.socket:
        ours = socket.socket()
        ours.setblocking(False)
        if window_bytes is not None:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window_bytes)
        ours.bind((f"127.0.{self._dice.randint(1, 250)}.{self._dice.randint(1, 250)}", 0))
        try:
            await asyncio.get_running_loop().sock_connect(ours, self._place)
        except OSError:
            ours.close()
            raise
        return ours

    async def _connect(self, window_bytes: int | None = None) -> _Streams:
        return await asyncio.open_connection(sock=await self._socket(window_bytes), limit=1 << 14)

    async def _status(self, kind: str, reader: asyncio.StreamReader) -> str:
        """Notes the status of an answer, or that there was none."""
        line = await reader.readline()
        status = line[9:12].decode() or "cut off"
        self.met[f"{kind} {status}"] += 1
        return status

    async def never_reads(self) -> None:
        """Asks for a large page, and takes nothing of it."""
        ours = await self._socket(WINDOW_BYTES)
        try:
            await asyncio.get_running_loop().sock_sendall(ours, _head("GET", LARGE_PAGE))
            self.met["never_reads asked"] += 1
            for _ in range(STALL_SECONDS):
                await asyncio.sleep(1)
                if ours.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self.met["never_reads cut off"] += 1
                    break
        finally:
            ours.close()

    async def reads_slowly(self) -> None:
        """Takes a little above the least rate."""
        reader, writer = await self._connect(WINDOW_BYTES)
        writer.write(_head("GET", LARGE_PAGE))
        try:
            await self._status("reads_slowly", reader)
            while await reader.read(3_000):
                await asyncio.sleep(1)
        finally:
            writer.transport.abort()

    async def follows(self) -> None:
        """Reads the events of what visitors write, as a map of some region does."""
        reader, writer = await self._connect()
        west, south = self._dice.uniform(-180, 120), self._dice.uniform(-90, 50)
        writer.write(
            _head(
                "GET",
                f"/collections/sketches/changes?bbox={west:.2f},{south:.2f},{west + 60:.2f},{south + 40:.2f}",
            )
        )
        try:
            await self._status("follows", reader)
            while piece := await reader.read(1 << 14):
                self.met["events"] += piece.count(b"event: insert")
        finally:
            writer.transport.abort()

    async def trickles(self) -> None:
        """Begins a load, and goes on with a blank every five seconds."""
        reader, writer = await self._connect()
        feature = {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "properties": {"name": "x" * 900},
        }
        begin = b'{"type":"FeatureCollection","features":[' + b",".join(
            [json.dumps(feature).encode()] * 3_000
        )
        headers = (f"Content-Type: {GEOJSON}", f"Content-Length: {1 << 30}")
        writer.write(_head("POST", "/collections/sketches/items", *headers) + begin)
        await self._sends("trickles", (reader, writer), repeat(b" "), 5)

    async def dawdles(self) -> None:
        """Sends a head, a byte every two seconds."""
        head = chain("GET / HTTP/1.1\r\nX-Patience: ", repeat("a"))
        await self._sends("dawdles", await self._connect(), (byte.encode() for byte in head), 2)

    async def _sends(
        self, kind: str, streams: _Streams, pieces: Iterator[bytes], seconds: float
    ) -> None:
        """Sends a piece now and then until there is an answer, or the connection is cut off."""
        reader, writer = streams
        answer = asyncio.create_task(self._status(kind, reader))
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=seconds)
                writer.write(next(pieces))
            await answer
        finally:
            answer.cancel()
            writer.transport.abort()

    async def bombs(self) -> None:
        """Sends what is larger, deeper or heavier than it looks, one after the other."""
        bomb = next(self._bombs)
        reader, writer = await self._connect()
        headers = [
            f"Content-Type: {bomb.content_type}",
            f"Content-Length: {len(bomb.body)}",
            "Connection: close",
        ]
        headers += [f"Content-Encoding: {bomb.coding}"] if bomb.coding else []
        writer.write(_head(bomb.method, f"/collections/{BOMBED}/{bomb.path}", *headers) + bomb.body)
        self.met["bombs sent"] += 1
        try:
            await self._status("bombs", reader)
            while await reader.read(1 << 16):
                pass
        finally:
            writer.transport.abort()

    async def leaves(self) -> None:
        """Asks for everything, and hangs up in the midst of it."""
        reader, writer = await self._connect()
        writer.write(_head("GET", LARGE_PAGE))
        self.met["leaves asked"] += 1
        with suppress(TimeoutError):
            async with asyncio.timeout(self._dice.uniform(0, 0.3)):
                await reader.read(1 << 16)
        writer.transport.abort()

    async def come(self, url: str, scale: float) -> None:
        """Comes and stays until it is cancelled.

        Args:
            url: of the service.
            scale: of the crowd; 1 is that of docs/reliability.md.
        """
        parts = urlsplit(url)
        self._place = (parts.hostname or "", parts.port or 80)
        crowd: dict[Callable[[], Awaitable[None]], int] = {
            self.follows: 1_000,
            self.never_reads: 150,
            self.reads_slowly: 40,
            self.trickles: 20,
            self.dawdles: 50,
            self.bombs: 2,
            self.leaves: 2,
        }
        async with asyncio.TaskGroup() as group:
            for stranger, number in crowd.items():
                for _ in range(max(round(number * scale), 1)):
                    group.create_task(self._again_and_again(stranger))

    async def _again_and_again(self, stranger: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(self._dice.uniform(0, self._seconds))
        while True:
            try:
                await stranger()
            except (OSError, asyncio.IncompleteReadError):
                pass
            except Exception as error:  # one of a thousand that fails must not end the others
                self.met[f"{stranger.__name__} failed: {type(error).__name__}: {error}"] += 1
            await asyncio.sleep(self._dice.uniform(0.5, 1.5) * AGAIN_SECONDS)


async def main(scale: float, seconds: float) -> None:
    """Gets ready, and does as it is told on standard input."""
    strangers = Strangers(seconds)
    print("ready", flush=True)
    url = (await asyncio.to_thread(sys.stdin.readline)).strip()
    if not url:
        return
    coming = asyncio.create_task(strangers.come(url, scale))
    await asyncio.to_thread(sys.stdin.read)
    if coming.done():
        coming.result()
    coming.cancel()
    await asyncio.wait({coming})
    print(json.dumps(strangers.met), flush=True)


if __name__ == "__main__":
    uvloop.run(main(float(sys.argv[1]), float(sys.argv[2])))
