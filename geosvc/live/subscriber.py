"""One stream of events, and what waits to be sent in it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from geosvc.live.evaluation import Selection
from geosvc.model.snapshot import Snapshot


class Subscriber:
    """A client that gets events.

    Args:
        joined: the snapshot at which it joined; what it shows is not sent as an event.
        max_bytes: of events that may wait to be sent.
        drop: closes the connection when the client does not keep up.
    """

    def __init__(
        self, selection: Selection, joined: Snapshot, max_bytes: int, drop: Callable[[], None]
    ) -> None:
        self.selection = selection
        self.joined = joined
        self._max_bytes = max_bytes
        self._drop = drop
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0
        self._ended = False
        self._changed = asyncio.Event()

    def put(self, event: bytes) -> bool:
        """Adds an event.

        False when too much is waiting: the client is cut off then, and resumes by its last id.
        """
        if self._ended:
            return True
        if self._waiting_bytes + len(event) > self._max_bytes and self._pieces:
            self._pieces.clear()
            self.end()
            self._drop()
            return False
        self._pieces.append(event)
        self._waiting_bytes += len(event)
        self._changed.set()
        return True

    def end(self) -> None:
        """Adds no more events; what is waiting is still sent."""
        self._ended = True
        self._changed.set()

    async def take(self, seconds: float) -> bytes | None:
        """Takes what is waiting, in one piece.

        Empty when nothing has come for so many seconds, None at the end.
        """
        if not self._pieces and not self._ended:
            with suppress(TimeoutError):  # what came at that moment is taken
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        self._changed.clear()
        if not self._pieces:
            return None if self._ended else b""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        return taken
