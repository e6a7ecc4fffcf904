"""Reads the change log for one worker: versions for the cache, wake-ups for subscribers."""

import asyncio
import random
from collections.abc import Callable, Collection, Iterable
from time import monotonic
from typing import Protocol

from geosvc.database.changefeed.feed import Feed
from geosvc.database.changefeed.log_state import LogDelta, LogVersions, NoChangeLog
from geosvc.errors import RequestError
from geosvc.events import FeedFollowed, FeedLost, emit
from geosvc.live.area_versions import AreaVersions
from geosvc.live.poll_schedule import BUSY_SECONDS, PollSchedule
from geosvc.live.version_tracker import VersionTracker
from geosvc.model.snapshot import Snapshot
from geosvc.settings import Settings

GATHERING_TURNS = 3  # turns of the loop from the bytes of a request to its call of `catch_up`
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 10.0
UNPUBLISHED_SECONDS = 0.5


class Audience(Protocol):
    """Those who want to hear of changes."""

    def has_subscribers(self) -> bool:
        """Whether somebody waits for changes."""

    def wake(self, publications: Collection[int], since: Snapshot | None) -> None:
        """Reports that published tables have changed.

        Args:
            since: the snapshot of the read before; None when it is not known.
        """


class ChangeReader:
    """Follows the change log while a collection is published.

    Args:
        is_published: whether there is a published collection.
        audience: is woken after each read that found changes.

    Attributes:
        areas: where the tables were changed, as far as the log has been read.
    """

    def __init__(
        self, settings: Settings, is_published: Callable[[], bool], audience: Audience
    ) -> None:
        self._settings = settings
        self._is_published = is_published
        self._audience = audience
        # with several hosts a later read of rows may come from another server than the version
        self._reads_one_server = settings.names_one_server
        self._feed: Feed | None = None
        self._tracker = VersionTracker()
        self.areas = AreaVersions()
        self._waiting: list[asyncio.Future[bool]] = []
        self._failure: str | None = None
        self.reads = 0

    @property
    def is_up(self) -> bool:
        """Whether the log can be read."""
        return self._feed is not None

    @property
    def is_listening(self) -> bool:
        """Whether it can be notified; otherwise it polls."""
        return self._feed is not None and self._feed.polls_because is None

    @property
    def is_standby(self) -> bool:
        """Whether the server is a hot standby, which takes no writes."""
        return self._feed is not None and self._feed.standby

    @property
    def epoch(self) -> str:
        """The name of the log that was read last."""
        return self._tracker.epoch

    @property
    def snapshot(self) -> Snapshot:
        """Up to which transactions the log has been read."""
        return self._tracker.snapshot

    @property
    def changes(self) -> int:
        """How many changes all reads have found."""
        return self._tracker.changes

    def last_known(self, publication: int) -> int | None:
        """Returns the version of a published table at the last read; None when it is unknown."""
        if self._feed is None:
            return None
        return self._tracker.version_of(publication)

    async def current(self, publication: int) -> int | None:
        """Returns the version of a published table by a read that began after this call.

        None when it is unknown, or when rows that are read later may come from another server.
        """
        if not self._reads_one_server:
            return None
        if not await self.catch_up():
            return None
        return self._tracker.version_of(publication)

    async def catch_up(self) -> bool:
        """Returns after a read that began after this call; False when the log cannot be read.

        Calls that come while a read is running share the next one.
        """
        if self._feed is None:
            return False
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._feed.should_read.set()
        return await waiting

    def poll_now(self) -> None:
        """Reads soon, for somebody who has just subscribed."""
        if self._feed is not None:
            self._feed.should_read.set()

    async def ready(self, seconds: float) -> bool:
        """Waits until the log can be read; False when it cannot after so many seconds."""
        until = monotonic() + seconds
        while not await self.catch_up():
            if monotonic() > until:
                return False
            await asyncio.sleep(BUSY_SECONDS)
        return True

    async def follow(self) -> None:
        """Reads until it is cancelled. A lost connection is opened again after a pause."""
        task = asyncio.current_task()
        retry_seconds = FIRST_RETRY_SECONDS
        while True:
            if not self._is_published():
                await asyncio.sleep(UNPUBLISHED_SECONDS)
                continue
            if await self._follow_until_lost():
                retry_seconds = FIRST_RETRY_SECONDS
            if task is not None and task.cancelling():
                return  # asyncpg can hide a cancellation that comes while it connects
            jitter = random.uniform(0.5, 1.5)  # noqa: S311 - no secret
            await asyncio.sleep(retry_seconds * jitter)
            retry_seconds = min(retry_seconds * 2, LAST_RETRY_SECONDS)

    async def _follow_until_lost(self) -> bool:
        """Reads over one connection. Returns whether it was opened."""
        feed = Feed(self._settings)
        opened = False
        try:
            schedule = await self._open(feed)
            opened = True
            while self._is_published():
                await self._read_once(feed, schedule)
        except NoChangeLog:
            self._report_failure("the database has no change log: geosvc migrate up")
        except RequestError as error:
            self._report_failure(error.reason or error.detail)
        except (LookupError, TypeError, ValueError) as error:  # a log of another format
            self._report_failure(f"{type(error).__name__}: {error}")
        finally:
            self._close(feed)
        return opened

    async def _open(self, feed: Feed) -> PollSchedule:
        await feed.open()
        schedule = PollSchedule(feed, self._settings.feed_poll_seconds)
        self._load(await feed.versions(), feed)
        self._feed = feed
        self._failure = None
        publications = self._tracker.publications
        emit(FeedFollowed(publications=len(publications), polls_because=feed.polls_because))
        self._audience.wake(publications, None)
        return schedule

    def _load(self, versions: LogVersions, feed: Feed) -> None:
        """Replaces everything that was known."""
        self._tracker.load(versions, feed.epoch)
        self.areas.forget()

    def _report_failure(self, reason: str) -> None:
        if reason != self._failure:
            emit(FeedLost(reason=reason))
        self._failure = reason

    def _close(self, feed: Feed) -> None:
        self._feed = None
        feed.close()
        _answer(self._take_waiting(), was_read=False)

    def _take_waiting(self) -> list["asyncio.Future[bool]"]:
        waiting = self._waiting
        self._waiting = []
        return waiting

    async def _read_once(self, feed: Feed, schedule: PollSchedule) -> None:
        """Reads the log once, wakes the audience, and pauses."""
        if self._waiting:
            for _ in range(GATHERING_TURNS):  # requests that have arrived share this read
                await asyncio.sleep(0)
        waiting = self._take_waiting()
        feed.should_read.clear()
        was_read = False
        try:
            delta = await feed.moved(str(self.snapshot))
            changed, since = await self._apply(feed, delta)
            was_read = True
        finally:
            _answer(waiting, was_read=was_read)
        self.reads += 1
        if changed:
            self._audience.wake(changed, since)
            await schedule.note_change()
        if not self._waiting:
            has_subscribers = self._audience.has_subscribers()
            await feed.wait(await schedule.pause_seconds(has_subscribers=has_subscribers))

    async def _apply(self, feed: Feed, delta: LogDelta) -> tuple[Collection[int], Snapshot | None]:
        """Moves the versions. Returns the tables that changed, and the snapshot before.

        Versions that are loaded anew belong to a later moment than the delta: every table may have
        changed since the last read, so the snapshot before is unknown.
        """
        tracker = self._tracker
        tracker.changes += delta.changes
        if tracker.can_apply(delta):
            since = tracker.snapshot
            tracker.apply(delta)
            self.areas.apply(delta.boxes)
            return delta.version_increments, since
        before = set(tracker.publications)
        self._load(await feed.versions(), feed)
        return before | set(tracker.publications), None


def _answer(waiting: Iterable["asyncio.Future[bool]"], *, was_read: bool) -> None:
    for future in waiting:
        if not future.done():  # otherwise its request was cancelled
            future.set_result(was_read)
