"""When the change log is read next: on NOTIFY where that is possible, else by polling."""

from time import monotonic

from geosvc.database.changefeed.feed import Feed

IDLE_SECONDS = 1.0  # a reader that waits for NOTIFY reads at least this often
BUSY_SECONDS = 0.01
QUIET_SECONDS = 0.05  # so long nothing must have changed before the reader asks for NOTIFY
# a transaction that began before NOTIFY was asked for is polled for, at most this far apart
WRITER_SECONDS = 0.1


class PollSchedule:
    """Decides how long to pause after each read of the log.

    While changes come often, the log is polled, and writers do not notify. When nothing has
    changed for QUIET_SECONDS, the reader asks for NOTIFY and reads once more. Transactions that
    began before that do not notify, so the log is polled until they have ended.

    Args:
        poll_seconds: the pause where LISTEN is not possible.
    """

    def __init__(self, feed: Feed, poll_seconds: float) -> None:
        self._feed = feed
        self._poll_seconds = poll_seconds
        self._waits_for_notify = False
        self._open_writers = 0
        self._changed_at = monotonic()
        self._notify_since = 0.0

    async def note_change(self) -> None:
        """Goes on polling, since changes have come."""
        self._changed_at = monotonic()
        await self._stop_notify()

    async def pause_seconds(self, *, has_subscribers: bool) -> float:
        """Returns how long to wait for a call or a NOTIFY before the next read.

        Without subscribers nobody needs to be notified: versions are read when they are asked for.
        """
        if not has_subscribers:
            await self._stop_notify()
            return IDLE_SECONDS
        if self._feed.polls_because is not None:
            return self._poll_seconds
        now = monotonic()
        if now - self._changed_at < QUIET_SECONDS:
            return BUSY_SECONDS
        if not self._waits_for_notify:
            await self._request_notify(now)
            return 0.0
        if self._open_writers:
            self._open_writers = await self._feed.open_writers()
            eighth = (now - self._notify_since) / 8
            return min(max(eighth, BUSY_SECONDS), WRITER_SECONDS)
        return IDLE_SECONDS

    async def _request_notify(self, now: float) -> None:
        await self._feed.request_notify()
        self._waits_for_notify = True
        self._notify_since = now
        self._open_writers = await self._feed.open_writers()

    async def _stop_notify(self) -> None:
        if self._waits_for_notify:
            self._waits_for_notify = False
            await self._feed.stop_notify()
