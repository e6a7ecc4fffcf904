"""Responses that clients have not read yet: who reads too slowly, and how much memory waits.

Every SWEEP_SECONDS a sweep checks the connections whose write buffer is not empty, and cuts off
those whose client reads less than the minimum rate. Progress is what the client's TCP has
acknowledged: the buffer of the socket holds megabytes, so a write that waits does not mean that a
client is slow. Small responses are observed by the sweep alone.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from geosvc.errors import MemoryExhausted
from geosvc.events import StreamAborted, emit
from geosvc.http.send_pace import SendPace
from geosvc.http.tcp_socket import bytes_acknowledged, reset
from geosvc.trace import Trace

SWEEP_SECONDS = 1.0
HELD_FROM_BYTES = 1 << 16
"""Bodies up to this are written in one piece. A larger one is held, and written in slices."""
SLICE_BYTES = 1 << 18
"""A slice of a larger body is written when the client has taken the one before."""

_MIN_SWEEPS = 3  # before the rate of a connection is known


@dataclass(slots=True, eq=False)
class Sending:
    """A response that is being sent in slices.

    Attributes:
        body: held until all of it is written; None for a stream.
        left: bytes of the body that are not written yet.
    """

    transport: asyncio.Transport
    trace: Trace
    body: bytes | None = None
    left: int = 0


class SendMonitor:
    """The connections whose clients have not read everything yet.

    Attributes:
        cut: how many connections were cut off.

    Args:
        stall_seconds, min_rate_bytes: a client has to read their product in the first of them.
        max_held_bytes: of all bodies and write buffers.
    """

    def __init__(self, stall_seconds: float, min_rate_bytes: int, max_held_bytes: int) -> None:
        self._stall_seconds = stall_seconds
        self._min_rate_bytes = min_rate_bytes
        self._max_held_bytes = max_held_bytes
        self._paces: dict[asyncio.Transport, SendPace] = {}
        self._sending: dict[asyncio.Transport, Sending] = {}
        self._users: dict[int, int] = {}
        self._bodies_bytes = 0
        self._waiting_bytes = 0
        self.cut = 0

    @property
    def held_bytes(self) -> int:
        """Memory of bodies and write buffers; of the buffers, at the last sweep."""
        return self._bodies_bytes + self._waiting_bytes

    @property
    def slow(self) -> int:
        """Connections that had something waiting at the last sweep."""
        return len(self._paces)

    @contextmanager
    def stream(self, transport: asyncio.Transport, trace: Trace) -> Iterator[None]:
        """Registers a body that is sent as it is made: the log names it when it is cut off."""
        self._sending[transport] = Sending(transport, trace)
        try:
            yield
        finally:
            del self._sending[transport]

    @contextmanager
    def hold(self, transport: asyncio.Transport, trace: Trace, body: bytes) -> Iterator[Sending]:
        """Holds a body until it is written.

        A body that several connections send is in memory once, and counts once.

        Raises: MemoryExhausted when there is no room, even after the slowest were cut off.
        """
        users = self._users.get(id(body), 0)
        if not users:
            self._reserve(len(body))
        self._users[id(body)] = users + 1
        sending = Sending(transport, trace, body, len(body))
        self._sending[transport] = sending
        try:
            yield sending
        finally:
            if self._sending.pop(transport, None) is not None:
                self._release(body)

    def _reserve(self, size: int) -> None:
        """Counts the bytes of a body. Raises: MemoryExhausted."""
        if self.held_bytes and not self._make_room(size):
            raise MemoryExhausted("clients that read slowly hold the memory for answers; try again")
        self._bodies_bytes += size

    def _release(self, body: bytes) -> None:
        self._users[id(body)] -= 1
        if not self._users[id(body)]:
            del self._users[id(body)]
            self._bodies_bytes -= len(body)

    def sweep(self, transports: Iterable[asyncio.Transport], seconds: float) -> None:
        """Checks all connections, and cuts off those whose clients read too slowly.

        Args:
            seconds: since the last sweep, as far as the process could send anything meanwhile.
        """
        before = self._paces
        self._paces = {}
        waiting_bytes = 0
        for transport in transports:
            waiting = transport.get_write_buffer_size()
            if not waiting:
                continue
            acknowledged = bytes_acknowledged(transport)
            pace = before.get(transport)
            if pace is None:
                pace = SendPace(waiting, acknowledged)
            else:
                pace.observe(waiting, acknowledged, seconds)
            self._paces[transport] = pace
            waiting_bytes += waiting
        self._waiting_bytes = waiting_bytes
        for transport, pace in list(self._paces.items()):
            reason = pace.fault(self._stall_seconds, self._min_rate_bytes)
            if reason is not None:
                self._cut_off(transport, pace, reason)
        self._make_room(0)

    def _has_room(self, more: int) -> bool:
        return self.held_bytes + more <= self._max_held_bytes

    def _make_room(self, more: int) -> bool:
        """Whether there is room for more bytes, after cutting off as many clients as necessary.

        The slowest come first; only those are cut off that would need longer for the rest than a
        client may stall.
        """
        if self._has_room(more):
            return True
        for transport in self._slowest_first():
            pace = self._paces[transport]
            sending = self._sending.get(transport)
            left = pace.waiting
            if sending is not None:
                left += sending.left
            if left <= pace.rate * self._stall_seconds:
                continue
            reason = "the client takes it slowly, and its memory was needed"
            self._cut_off(transport, pace, reason)
            if self._has_room(more):
                return True
        return False

    def _slowest_first(self) -> list[asyncio.Transport]:
        """The connections whose rate is known."""
        known: list[asyncio.Transport] = []
        for transport, pace in self._paces.items():
            if pace.sweeps >= _MIN_SWEEPS:
                known.append(transport)
        return sorted(known, key=self._rate_of)

    def _rate_of(self, transport: asyncio.Transport) -> float:
        return self._paces[transport].rate

    def _cut_off(self, transport: asyncio.Transport, pace: SendPace, reason: str) -> None:
        del self._paces[transport]
        self._waiting_bytes -= pace.waiting
        route = collection = None
        sending = self._sending.get(transport)
        if sending is not None:
            trace = sending.trace
            trace.aborted = True
            route = trace.route
            collection = trace.collection
            if sending.body is not None:
                del self._sending[transport]
                self._release(sending.body)
        emit(StreamAborted(route=route, collection=collection, reason=reason))
        self.cut += 1
        reset(transport)


async def watch_clients(
    monitor: SendMonitor,
    stall_seconds: float,
    connections: Callable[[], Iterable[asyncio.Transport | None]],
) -> None:
    """Sweeps until it is cancelled.

    Args:
        connections: all open connections; None for one that is being closed.
    """
    interval = min(SWEEP_SECONDS, stall_seconds / 4)
    loop = asyncio.get_running_loop()
    last = loop.time()
    while True:
        await asyncio.sleep(interval)
        now = loop.time()
        # while the loop was blocked, nothing could be sent to anybody
        seconds = min(now - last, 2 * interval)
        last = now
        transports = [each for each in connections() if each is not None]
        monitor.sweep(transports, seconds)
