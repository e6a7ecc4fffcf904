"""The connection that follows the change log: outside the pools, since it listens and holds a lock while it sleeps.

NOTIFY costs every commit a lock that all of the database share. So the triggers notify only while a reader sleeps, which they
see by an advisory lock that it holds then (docs/decisions/0022).
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import asyncpg
from pydantic import SecretStr

from geosvc.database.pool import connect_arguments
from geosvc.database.sqlstate import DATABASE_ERRORS, translate
from geosvc.database.watch import Running, log_query
from geosvc.errors import DatabaseUnavailable
from geosvc.model.snapshot import Snapshot
from geosvc.settings import Settings
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

CHANNEL = "geosvc_change"
SLEEPER_LOCK = (1_734_701_942, 0)  # the triggers know it (query/publishing.py)
READ_SECONDS = 2.0
VERSIONS_SECONDS = 60.0  # it reads the whole log, perhaps from a disk
CONNECT_SECONDS = 10.0
# the log is small beside its index, and its statistics never fresh
_SESSION = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off; SET timezone = 'UTC'"


@dataclass(frozen=True, slots=True)
class Moved:
    """What a read of the log found.

    Attributes:
        snapshot: that it read up to.
        moves: of each publication that has changed, the sum of the hashes of its changes.
        changes: how many there are in all.
        marked: whether something was published or unpublished, or pruned before it was read: the versions are to be read anew.
    """

    snapshot: Snapshot
    moves: dict[int, int]
    changes: int
    marked: bool


@dataclass(frozen=True, slots=True)
class Versions:
    """The sum of the hashes of all changes of each publication, as of a snapshot."""

    snapshot: Snapshot
    moves: dict[int, int]


class NoChangeLog(Exception):
    """The database has no change log."""


def polling_reason(settings: Settings, *, standby: bool) -> str | None:
    """Why changes are asked for rather than listened to; None when they are not."""
    if standby:
        return "the database is a standby, which takes no LISTEN"
    if settings.pgbouncer and settings.direct_database_url is None:
        return "behind PgBouncer LISTEN needs GEOSVC_DIRECT_DATABASE_URL"
    return None


def _seen_on_standby(known: Snapshot, rows: Sequence[Any]) -> Snapshot:
    """What a statement saw. A standby does not tell it: pg_current_snapshot() lists nothing there that is in progress.

    So it is known by what the log showed it: who was in progress before the statement, or had not begun, and showed nothing,
    either had not ended for it, or has nothing in the log. Asked after the statement instead, a transaction could be seen and
    one that it had waited for could not.
    """
    shown = {xid for row in rows for xid in row["xids"]}
    xmax = max([known.xmax, *(xid + 1 for xid in shown)])
    hidden = [xid for xid in (*known.in_progress, *range(known.xmax, xmax)) if xid not in shown]
    return Snapshot(min([xmax, *hidden]), xmax, tuple(hidden))


class Feed:
    """One connection to the change log. What its methods raise is a RequestError, and then it is of no use any more.

    Attributes:
        standby: whether the server takes no writes.
        epoch: tells this log from every other, and from itself after a restore or a failover.
        polls_because: why it cannot listen; None when it does.
        called: set when somebody has notified it, and when it is lost.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._pooled = False
        self._log: int | None = None
        self.standby = False
        self.epoch = ""
        self.polls_because: str | None = None
        self.called = asyncio.Event()

    @property
    def _open(self) -> asyncpg.Connection:
        assert self._connection is not None
        return self._connection

    async def open(self) -> None:
        """Connects, and listens before anything is read; it is to be closed, also when that fails.

        Raises: RequestError, NoChangeLog.
        """
        served, direct = self._settings.database_url, self._settings.direct_database_url
        assert served is not None
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect(served)
                if direct is not None and not self.standby:  # versions of another server say nothing of what a standby shows
                    self.close()
                    await self._connect(direct)
                await self._begin()
        except DATABASE_ERRORS as error:
            raise translate(error, "feed.open") from error

    async def _connect(self, url: SecretStr) -> None:
        """Connects, and asks what server it is. Raises: NoChangeLog."""
        self._pooled = self._settings.pgbouncer and url is self._settings.database_url
        arguments: dict[str, Any] = connect_arguments(self._settings, url.get_secret_value())
        arguments |= {"command_timeout": READ_SECONDS} | ({"statement_cache_size": 0} if self._pooled else {})
        self._connection = await asyncpg.connect(**arguments)
        if self._settings.telemetry:
            self._connection.add_query_logger(log_query)
        (server,) = await self._fetch(load_statement("feed_server"))
        if server[0] is None:
            raise NoChangeLog
        self._log = server[0]
        self.standby = server[1]
        self.epoch = blake2b(server[2].encode(), digest_size=6).hexdigest()

    async def _begin(self) -> None:
        self._open.add_termination_listener(self._call)
        self.polls_because = polling_reason(self._settings, standby=self.standby)
        if self.polls_because is None:
            await self._open.execute(_SESSION)
            await self._open.add_listener(CHANNEL, self._call)

    def _call(self, *_: object) -> None:
        self.called.set()

    def close(self) -> None:
        """Gives the connection up."""
        if self._connection is not None:
            self._connection.terminate()

    async def _fetch(self, statement: Statement, seconds: float = READ_SECONDS) -> Sequence[Any]:
        with Running(statement) as running:
            running.connected()
            # outside a transaction a pooler may give each message another session
            async with self._open.transaction(readonly=True) if self._pooled else nullcontext():
                rows: Sequence[Any] = await self._open.fetch(statement.text, *statement.args, timeout=seconds)
            running.got(len(rows))
            return rows

    async def _read(self, file: str, *args: object, seconds: float = READ_SECONDS) -> Sequence[Any]:
        """Raises: RequestError."""
        try:
            return await self._fetch(load_statement(file, args), seconds)
        except DATABASE_ERRORS as error:
            raise translate(error, file) from error

    async def versions(self) -> Versions:
        """The state of every publication. Raises: RequestError."""
        if self.standby:
            known = await self._known_on_standby(None)
            rows = await self._read("feed_standby_versions", known.xmin, seconds=VERSIONS_SECONDS)
            return Versions(_seen_on_standby(known, rows), {row[0]: int(row[1]) for row in rows if row[0] is not None})
        rows = await self._read("feed_versions", seconds=VERSIONS_SECONDS)
        return Versions(Snapshot.of(rows[0][0]), {row[1]: int(row[2]) for row in rows if row[1] is not None})

    async def moved(self, since: str) -> Moved:
        """What has changed. Raises: RequestError.

        Args:
            since: the snapshot of the read before.
        """
        if self.standby:
            known = await self._known_on_standby(since)
            rows = await self._read("feed_standby_moved", since)
            snapshot = _seen_on_standby(known, rows)
        else:
            rows = await self._read("feed_moved", since)
            snapshot = Snapshot.of(rows[0][0])
        if rows[0]["log"] != self._log:
            raise DatabaseUnavailable("the change log was replaced by another, such as that of a dump")
        changed = [row for row in rows if row["publication"] is not None]
        moves = {row["publication"]: int(row["moves"]) for row in changed}
        marked = rows[0]["pruned"] or any(row["marked"] for row in changed)
        return Moved(snapshot, moves, sum(row["changes"] for row in changed), marked)

    async def _known_on_standby(self, since: str | None) -> Snapshot:
        """What has ended before the next statement begins. Raises: RequestError."""
        ((xmax, still_open, standby),) = await self._read("feed_standby_open", since)
        if not standby:
            raise DatabaseUnavailable("the standby was promoted")
        return Snapshot(min([xmax, *still_open]), xmax, tuple(still_open))

    async def lie_down(self) -> None:
        """Asks to be notified from now on. Raises: RequestError."""
        await self._lock("SELECT pg_advisory_lock_shared($1::int4, $2::int4)")

    async def get_up(self) -> None:
        """Asks not to be notified. Raises: RequestError."""
        await self._lock("SELECT pg_advisory_unlock_shared($1::int4, $2::int4)")

    async def _lock(self, text: str) -> None:
        try:
            await self._open.execute(text, *SLEEPER_LOCK)
        except DATABASE_ERRORS as error:
            raise translate(error, "feed.lock") from error

    async def open_writers(self) -> int:
        """How many transactions have written to the log and are still open. Raises: RequestError."""
        number: int = (await self._read("feed_writers"))[0][0]
        return number

    async def wait(self, seconds: float) -> None:
        """Until somebody calls, so long at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.called.wait()
