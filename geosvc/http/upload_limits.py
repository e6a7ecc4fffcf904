"""Limits of the bodies that a worker receives at a time (docs/decisions/0038).

There is a limit of bytes that are held until a body is complete, and of slots for bodies that are
stored while they arrive. A request beyond a limit is refused with 503, before more of its body is
read.
"""

import asyncio

from aiohttp import web

from geosvc.database.shares import Shares
from geosvc.errors import MemoryExhausted, RequestError, TooManyUploads
from geosvc.http.keys import BODY, TRACE
from geosvc.requests.client import Clients
from geosvc.settings import Settings

UNCOUNTED_BYTES = 1 << 16
"""The first bytes of each body are not counted, so that small writes pass while large bodies hold
all memory; a socket holds as much before it is read."""


class HeldBody:
    """The bytes of one body that are held until its request ends."""

    __slots__ = ("_counted", "_is_counted", "_request", "_size", "_uploads")

    def __init__(self, uploads: "Uploads", request: web.Request) -> None:
        self._uploads = uploads
        self._request = request
        self._size = 0
        self._counted = 0
        self._is_counted = True

    def add(self, size: int) -> None:
        """Counts bytes that are held. Raises: MemoryExhausted."""
        self._size += size
        if self._size <= UNCOUNTED_BYTES or not self._is_counted:
            return
        if not self._counted:
            task = asyncio.current_task()
            assert task is not None
            task.add_done_callback(self._end)
        more = self._size - UNCOUNTED_BYTES - self._counted
        try:
            self._uploads.take_bytes(more)
        except MemoryExhausted:
            self.free()  # at once, so that the next body has room
            raise
        self._counted += more

    def free(self) -> None:
        """Stops counting: nothing of the body is held for long any more."""
        self._uploads.held_bytes -= self._counted
        self._counted = 0
        self._is_counted = False

    def _end(self, _: "asyncio.Task[object]") -> None:
        self._request.pop(BODY, None)  # the request lives until its answer is sent
        self.free()


class Uploads:
    """The bodies that a worker accepts at a time.

    Attributes:
        held_bytes: of all bodies, without the first UNCOUNTED_BYTES of each.
    """

    def __init__(self, settings: Settings) -> None:
        self.held_bytes = 0
        self._max_bytes = settings.max_held_body_bytes
        self._slots = Shares(
            settings.uploads,
            settings.client_stream_share,
            settings.pool_acquire_seconds,
            _too_many,
        )
        self._clients = Clients("full", settings.trusted_proxies)

    def take_bytes(self, size: int) -> None:
        """Counts bytes that are held. Raises: MemoryExhausted when they are too many."""
        if self.held_bytes + size > self._max_bytes:
            raise MemoryExhausted("other large bodies hold the memory for them; try again")
        self.held_bytes += size

    def slot(self, request: web.Request) -> "UploadSlot":
        """A slot for the body of a request, not taken yet."""
        trace = request[TRACE]
        client = self._clients.holder(trace.peer, trace.forwarded_for)
        return UploadSlot(self._slots, client)


class UploadSlot:
    """A slot for a body whose transaction is open while it arrives.

    One client cannot take all slots.
    """

    def __init__(self, slots: Shares, client: str | None) -> None:
        self._slots = slots
        self._client = client
        self._is_taken = False

    async def enter(self) -> None:
        """Waits for the slot and takes it. Raises: TooManyUploads."""
        await self._slots.take(self._client)
        self._is_taken = True

    def leave(self) -> None:
        """Gives the slot back, if it was taken."""
        if self._is_taken:
            self._is_taken = False
            self._slots.give(self._client)


def _too_many(_: str | None, held: int) -> RequestError:
    """The error for a client that gets no slot.

    Args:
        held: slots that the client has already.
    """
    if held:
        return TooManyUploads(
            f"{held} uploads of this client's address are being stored;"
            " try again when one has ended"
        )
    return TooManyUploads("as many uploads are being stored as may be at a time; try again")


UPLOADS = web.AppKey("uploads", Uploads)
HELD = web.RequestKey("held", HeldBody)
