"""The reader of the change log: knows the version of every published table, and wakes those who tell of changes.

It is never behind when it is asked: `catch_up` returns when a read that began after the call has ended, and calls that come
while a read is running share the next one.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from time import monotonic

from geosvc.database.feed import Feed, Moved, NoChangeLog
from geosvc.errors import RequestError
from geosvc.events import FeedFollowed, FeedLost, emit
from geosvc.model.snapshot import Snapshot
from geosvc.settings import Settings

IDLE_SECONDS = 1.0  # a sleeping reader looks so often by itself
BUSY_SECONDS = 0.01
GATHERING_TURNS = 3  # of the loop: from a request's bytes to its call
QUIET_SECONDS = 0.05  # so long nothing has changed when it lies down
WRITER_SECONDS = 0.1  # a transaction that began before it lay down is waited for in steps of this at the most
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 10.0
UNWANTED_SECONDS = 0.5
_MASK = (1 << 64) - 1


class ChangeReader:
    """Follows the change log while a collection is published.

    Args:
        is_wanted: whether there is a published collection.
    """

    def __init__(self, settings: Settings, is_wanted: Callable[[], bool]) -> None:
        self._settings = settings
        self._is_wanted = is_wanted
        self._one_server = settings.names_one_server
        self._feed: Feed | None = None
        self._waiting: list[asyncio.Future[bool]] = []
        self._versions: dict[int, int] = {}
        self._asleep = False
        self._writers = 0
        self._changed_at = 0.0
        self._slept_at = 0.0
        self._lost: str | None = None
        self.epoch = ""
        self.snapshot = Snapshot(1, 1)
        self.changes = 0
        self.reads = 0
        self.is_urgent: Callable[[], bool] = lambda: False
        """Whether somebody waits for changes. Versions are read when they are asked for: for them nobody need be notified."""

        self.listeners: list[Callable[[Collection[int], Snapshot | None], None]] = []
        """Called with the publications that have changed, and the snapshot since when; None where that is not known."""

    @property
    def is_up(self) -> bool:
        """Whether it reads the log."""
        return self._feed is not None

    @property
    def is_listening(self) -> bool:
        """Whether it is notified, rather than polls."""
        return self._feed is not None and self._feed.polls_because is None

    @property
    def is_standby(self) -> bool:
        """Whether the server takes no writes."""
        return self._feed is not None and self._feed.standby

    def last_known(self, publication: int) -> int | None:
        """The version of a published table as it was last read; None when it is not known."""
        return self._versions.get(publication) if self._feed is not None else None

    async def current(self, publication: int) -> int | None:
        """The version of a published table as of a read that began after this call; None when it is not known, or when what is
        read afterwards may come from another server.
        """
        if not self._one_server:
            return None
        return self._versions.get(publication) if await self.catch_up() else None

    async def catch_up(self) -> bool:
        """Waits for a read that begins after this call. False when the log cannot be read."""
        if self._feed is None:
            return False
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._feed.called.set()
        return await waiting

    def look_sharp(self) -> None:
        """Somebody waits for changes from now on."""
        if self._feed is not None:
            self._feed.called.set()

    async def ready(self, seconds: float) -> bool:
        """Waits until the log is read, so long at the most."""
        until = monotonic() + seconds
        while not await self.catch_up():
            if monotonic() > until:
                return False
            await asyncio.sleep(BUSY_SECONDS)
        return True

    async def follow(self) -> None:
        """Reads until it is cancelled; what was lost is found again."""
        task = asyncio.current_task()
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            if not self._is_wanted():
                await asyncio.sleep(UNWANTED_SECONDS)
                continue
            feed = Feed(self._settings)
            try:
                await self._begin(feed)
                retry_seconds = FIRST_RETRY_SECONDS
                while self._is_wanted():
                    await self._turn(feed)
            except NoChangeLog:
                self._give_up("the database has no change log: geosvc migrate up")
            except RequestError as error:
                self._give_up(error.reason or error.detail)
            except (LookupError, TypeError, ValueError) as error:  # a log that geosvc does not understand
                self._give_up(f"{type(error).__name__}: {error}")
            finally:
                self._end(feed)
            if task is not None and task.cancelling():
                return  # asyncpg can hide a cancellation that comes as a connection does
            await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            retry_seconds = min(retry_seconds * 2, LAST_RETRY_SECONDS)

    async def _begin(self, feed: Feed) -> None:
        await feed.open()
        self._asleep, self._changed_at = False, monotonic()
        await self._read_versions(feed)
        self.epoch = feed.epoch
        self._feed = feed
        self._lost = None
        emit(FeedFollowed(publications=len(self._versions), polls_because=feed.polls_because))
        self._tell(self._versions, None)

    def _give_up(self, reason: str) -> None:
        if reason != self._lost:
            emit(FeedLost(reason=reason))
        self._lost = reason

    def _end(self, feed: Feed) -> None:
        self._feed = None
        feed.close()
        self._answer(self._take_waiting(), reads=False)

    def _take_waiting(self) -> list["asyncio.Future[bool]"]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _answer(self, waiting: Iterable["asyncio.Future[bool]"], *, reads: bool) -> None:
        for each in waiting:
            if not each.done():  # whose request was cancelled
                each.set_result(reads)

    def _tell(self, publications: Collection[int], since: Snapshot | None) -> None:
        for listener in self.listeners:
            listener(publications, since)

    async def _turn(self, feed: Feed) -> None:
        """One read, and the pause before the next."""
        if self._waiting:
            for _ in range(GATHERING_TURNS):  # those whose requests are at hand share it
                await asyncio.sleep(0)
        waiting = self._take_waiting()
        feed.called.clear()
        reads = False
        try:
            changed, since = await self._take(feed, await feed.moved(str(self.snapshot)))
            reads = True
        finally:
            self._answer(waiting, reads=reads)
        self.reads += 1
        if changed:
            self._tell(changed, since)
            self._changed_at = monotonic()
            await self._wake(feed)
        if not self._waiting:
            await feed.wait(await self._pause(feed))

    async def _take(self, feed: Feed, moved: Moved) -> tuple[Collection[int], Snapshot | None]:
        """What has changed, and since when. Versions that are read anew are of a later moment: whatever else has changed until
        then was not looked at.
        """
        self.changes += moved.changes
        if moved.marked or not moved.moves.keys() <= self._versions.keys():
            before = self._versions
            await self._read_versions(feed)
            return before.keys() | self._versions.keys(), None
        since, self.snapshot = self.snapshot, moved.snapshot
        for publication, moves in moved.moves.items():
            self._versions[publication] = (self._versions[publication] + moves) & _MASK
        return moved.moves, since

    async def _read_versions(self, feed: Feed) -> None:
        versions = await feed.versions()
        self.snapshot = versions.snapshot
        # two logs may have given the same numbers to different changes: after a failover, or of two copies
        log = int(feed.epoch, 16)
        self._versions = {publication: (moves + log) & _MASK for publication, moves in versions.moves.items()}

    async def _wake(self, feed: Feed) -> None:
        if self._asleep:
            self._asleep = False
            await feed.get_up()

    async def _pause(self, feed: Feed) -> float:
        """How long to wait for a call. Before it sleeps it lies down and reads once more; those who wrote before that, and
        have not committed yet, may not call.
        """
        if not self.is_urgent():
            await self._wake(feed)
            return IDLE_SECONDS
        if feed.polls_because is not None:
            return self._settings.feed_poll_seconds
        now = monotonic()
        if now - self._changed_at < QUIET_SECONDS:
            return BUSY_SECONDS
        if not self._asleep:
            await feed.lie_down()
            self._asleep, self._slept_at = True, now
            self._writers = await feed.open_writers()
            return 0.0
        if self._writers:
            self._writers = await feed.open_writers()
            return min(max((now - self._slept_at) / 8, BUSY_SECONDS), WRITER_SECONDS)
        return IDLE_SECONDS
