"""One connection: what it is opened with, and how it is left for the next who gets it."""

import asyncio
from time import monotonic
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from geosvc.database.liveness import watch_socket
from geosvc.database.running import ServerMessages, TimedQuery
from geosvc.database.session import CANCEL_GRACE_SECONDS, REPORTED
from geosvc.database.tls import tls_to_database
from geosvc.settings import Settings
from geosvc.sql.compose import APPLICATION_NAME
from geosvc.trace import Run

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
# What a statement meets whose search path, or whose prepared statements, a function that a view calls has changed.
MISSING = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedTableError,
)
_PATH = "SELECT current_setting('search_path')"
FUNCTIONS = (
    '"geosvc_functions".'  # what a statement that calls a published function has in its text
)


class GeosvcConnection(asyncpg.Connection):
    """A connection that is not reset at release, which would cost a round trip, unless a function may have changed its
    settings. So its log listener stays, too.

    Attributes:
        run: the statement that what the server says belongs to.
        used_at: when it was last known to live, by the monotonic clock.
    """

    _transport: asyncio.Transport
    run: Run | None = None
    used_at = 0.0
    _restore = ""
    _reported: tuple[object, ...] = ()
    _path: str | None = None

    def watch_socket(self, silence_seconds: float) -> None:
        """Lets the system find out that it is dead (`database.liveness`)."""
        watch_socket(self._transport.get_extra_info("socket"), silence_seconds)

    async def settle(self, command: str) -> None:
        """Makes the settings of the session, now and whenever a function may have made others."""
        await self.execute(command)
        self._restore, self._reported = command, self._report()
        self._path = await self.fetchval(_PATH)

    async def give_up_if_changed(self, error: asyncpg.PostgresError) -> None:
        """Closes the connection when it no longer is as it was made, so that the read is tried on another.

        Args:
            error: one of MISSING.
        Raises: ConnectionDoesNotExistError when it was closed.
        """
        if self.is_in_transaction() or self._path is None:
            return
        in_function = getattr(error, "context", None) is not None
        forgotten = isinstance(error, asyncpg.InvalidSQLStatementNameError) and not in_function
        if forgotten or await self.fetchval(_PATH) != self._path:
            self.terminate()
            raise asyncpg.ConnectionDoesNotExistError("a function changed the session") from error

    def _report(self) -> tuple[object, ...]:
        known = self.get_settings()
        return tuple(getattr(known, name, None) for name in REPORTED)

    def hear(self, messages: ServerMessages) -> None:
        """Passes on what the server says, from now on."""
        self.add_log_listener(messages.hear)

    def serve(self, run: Run | None) -> None:
        """Tells which statement it is used for."""
        self.run = run

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's signature
        """Makes the settings anew where a function ran or the server told of another setting, else nothing; one that was
        left in a transaction is closed.
        """
        self.used_at = monotonic()
        if self.is_in_transaction():
            self.terminate()
        elif self._restore and (
            self._report() != self._reported
            or (self.run is not None and FUNCTIONS in self.run.text)
        ):
            await self.execute(self._restore, timeout=timeout)

    def _time_and_log(self, query: str, args: Any, timeout: float) -> TimedQuery:
        """Asyncpg calls it where there is a query logger; if it were called otherwise one day, the logger would do the same."""
        return TimedQuery(query, args)

    def _check_listeners(self, listeners: object, listener_type: str) -> None:
        """Asyncpg takes a listener on a connection that is released for one that was forgotten."""


def connect_arguments(settings: Settings, url: str) -> dict[str, Any]:
    """What asyncpg.connect is told, for every connection that geosvc opens."""
    tls = tls_to_database(settings, url)
    return {
        "dsn": url,
        "ssl": tls.context or False,
        "direct_tls": tls.direct,
        "timeout": settings.connect_seconds,
        "command_timeout": settings.statement_timeout_seconds + CANCEL_GRACE_SECONDS,
        # a pooler takes these two; the second is for the first statements, before `session` has set all
        "server_settings": {
            "application_name": APPLICATION_NAME,
            "standard_conforming_strings": "on",
        },
    }
