"""The connection that follows the change log.

It is not in a pool, because it listens, and because it holds a lock while it is idle. A transaction
that has called NOTIFY takes a lock of the whole server at its commit. So the triggers notify only
while a reader is idle. The reader then holds an advisory lock, which the triggers look for
(docs/decisions/0022).
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from hashlib import blake2b
from typing import Any, cast

import asyncpg
from pydantic import SecretStr

from geosvc.database.changefeed.log_state import LogDelta, LogVersions, NoChangeLog, delta_of_rows
from geosvc.database.changefeed.standby_snapshot import snapshot_before, snapshot_of_rows
from geosvc.database.connection import GeosvcConnection, open_connection
from geosvc.database.running import Running, log_query
from geosvc.database.sqlstate import DATABASE_ERRORS, translate
from geosvc.errors import DatabaseUnavailable
from geosvc.model.snapshot import Snapshot
from geosvc.query.change_log.advisory_locks import READER_IDLE_LOCK
from geosvc.settings import Settings
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

CHANNEL = "geosvc_change"
READ_SECONDS = 2.0
VERSIONS_SECONDS = 60.0  # it reads the whole log, perhaps from a disk
CONNECT_SECONDS = 10.0
# the log is small beside its index, and its statistics are never up to date
_SESSION = (
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;"
    " SET timezone = 'UTC'"
)


def polling_reason(settings: Settings, *, standby: bool) -> str | None:
    """Why the reader must poll; None if it can listen."""
    if standby:
        return "the database is a standby, which takes no LISTEN"
    if settings.pgbouncer and settings.direct_database_url is None:
        return "behind PgBouncer LISTEN needs GEOSVC_DIRECT_DATABASE_URL"
    return None


class Feed:
    """One connection to the change log. After a RequestError of a method it cannot be used further.

    Attributes:
        standby: whether the server is read-only.
        epoch: identifies this log; it differs after a restore or a failover.
        polls_because: why the reader must poll; None if it listens.
        should_read: set when there may be something to read: by a notification, by the loss of
            the connection, and by the reader itself for a request that waits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._pooled = False
        self._log: int | None = None
        self.standby = False
        self.epoch = ""
        self.polls_because: str | None = None
        self.should_read = asyncio.Event()

    @property
    def _opened(self) -> asyncpg.Connection:
        assert self._connection is not None
        return self._connection

    async def open(self) -> None:
        """Connect, and listen before anything is read. Call `close` also if this fails.

        Raises: RequestError, NoChangeLog.
        """
        served, direct = self._settings.database_url, self._settings.direct_database_url
        assert served is not None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(served)
                # the versions of another server do not describe what a standby shows
                if direct is not None and not self.standby:
                    self.close()
                    await self._connect(direct)
                await self._listen()
        except DATABASE_ERRORS as error:
            raise translate(error, "feed.open") from error

    async def _connect(self, url: SecretStr) -> None:
        """Connect, and find out which server it is. Raises: NoChangeLog."""
        self._pooled = self._settings.pgbouncer and url is self._settings.database_url
        others: dict[str, Any] = {"command_timeout": READ_SECONDS}
        if self._pooled:
            others["statement_cache_size"] = 0
        opened = await open_connection(
            self._settings,
            url.get_secret_value(),
            connection_class=GeosvcConnection,
            **others,
        )
        connection = cast("GeosvcConnection", opened)
        self._connection = connection
        connection.watch_socket(self._settings.db_silence_seconds)
        if self._settings.telemetry:
            connection.add_query_logger(log_query)
        rows = await self._fetch(load_statement("feed_server"))
        log, standby, identity = rows[0]
        if log is None:
            raise NoChangeLog
        self._log = log
        self.standby = standby
        self.epoch = blake2b(identity.encode(), digest_size=6).hexdigest()

    async def _listen(self) -> None:
        self._opened.add_termination_listener(self._wake)
        self.polls_because = polling_reason(self._settings, standby=self.standby)
        if self.polls_because is None:
            await self._opened.execute(_SESSION)
            await self._opened.add_listener(CHANNEL, self._wake)

    def _wake(self, *_: object) -> None:
        """A listener of asyncpg's, for notifications and for the end of the connection."""
        self.should_read.set()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.terminate()

    async def _fetch(self, statement: Statement, seconds: float = READ_SECONDS) -> Sequence[Any]:
        with Running(statement) as running:
            running.connected()
            # outside a transaction a pooler may give each message another session
            transaction: AbstractAsyncContextManager[Any] = nullcontext()
            if self._pooled:
                transaction = self._opened.transaction(readonly=True)
            async with transaction:
                rows: Sequence[Any] = await self._opened.fetch(
                    statement.text, *statement.args, timeout=seconds
                )
            running.got(len(rows))
            return rows

    async def _read(self, file: str, *args: object, seconds: float = READ_SECONDS) -> Sequence[Any]:
        """Raises: RequestError."""
        try:
            return await self._fetch(load_statement(file, args), seconds)
        except DATABASE_ERRORS as error:
            raise translate(error, file) from error

    async def versions(self) -> LogVersions:
        """Read the versions of all publications. Raises: RequestError."""
        if self.standby:
            before = await self._snapshot_before(None)
            rows = await self._read("feed_standby_versions", before.xmin, seconds=VERSIONS_SECONDS)
            snapshot = snapshot_of_rows(before, rows)
            increment_rows = [(row[0], row[1]) for row in rows]
        else:
            rows = await self._read("feed_versions", seconds=VERSIONS_SECONDS)
            snapshot = Snapshot.parse(rows[0][0])
            increment_rows = [(row[1], row[2]) for row in rows]
        increments = {}
        for publication, increment in increment_rows:
            if publication is not None:
                increments[publication] = int(increment)
        return LogVersions(snapshot, increments)

    async def moved(self, since: str) -> LogDelta:
        """Read what has changed. Raises: RequestError.

        Args:
            since: the snapshot of the read before.
        """
        if self.standby:
            before = await self._snapshot_before(since)
            rows = await self._read("feed_standby_moved", since)
            snapshot = snapshot_of_rows(before, rows)
        else:
            rows = await self._read("feed_moved", since)
            snapshot = Snapshot.parse(rows[0][0])
        if rows[0]["log"] != self._log:
            raise DatabaseUnavailable(
                "the change log was replaced by another one, such as that of a dump"
            )
        return delta_of_rows(snapshot, rows)

    async def _snapshot_before(self, since: str | None) -> Snapshot:
        """What has ended before the next statement begins. Raises: RequestError."""
        rows = await self._read("feed_standby_open", since)
        xmax, in_progress, standby = rows[0]
        if not standby:
            raise DatabaseUnavailable("the standby was promoted")
        return snapshot_before(xmax, in_progress)

    async def request_notify(self) -> None:
        """Ask the triggers to notify from now on. Raises: RequestError."""
        await self._lock("SELECT pg_advisory_lock_shared($1::int4, $2::int4)")

    async def stop_notify(self) -> None:
        """Ask the triggers not to notify. Raises: RequestError."""
        await self._lock("SELECT pg_advisory_unlock_shared($1::int4, $2::int4)")

    async def _lock(self, text: str) -> None:
        try:
            await self._opened.execute(text, *READER_IDLE_LOCK)
        except DATABASE_ERRORS as error:
            raise translate(error, "feed.lock") from error

    async def open_writers(self) -> int:
        """Count the open transactions that have written to the log. Raises: RequestError."""
        rows = await self._read("feed_writers")
        number: int = rows[0][0]
        return number

    async def wait(self, seconds: float) -> None:
        """Wait until `should_read` is set, for at most `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.should_read.wait()
