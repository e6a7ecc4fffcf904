"""One connection: how it is opened, and in which state it is left for the next statement."""

import asyncio
import ssl
from operator import attrgetter
from time import monotonic
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from geosvc.database.liveness import watch_socket
from geosvc.database.running import ServerMessages, TimedQuery
from geosvc.database.session import CANCEL_GRACE_SECONDS, REPORTED
from geosvc.database.target import NotConnected, why_unreachable
from geosvc.database.tls import tls_to_database
from geosvc.settings import Settings
from geosvc.sql.compose import APPLICATION_NAME
from geosvc.trace import Run

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

# What a statement raises after a function, which a view calls, has changed the search path or
# dropped prepared statements.
MISSING = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedObjectError,
    asyncpg.UndefinedTableError,
)
_SELECT_SEARCH_PATH = "SELECT current_setting('search_path')"
_FUNCTION_CALL = '"geosvc_functions".'  # is in the text of a statement that calls a function


class GeosvcConnection(asyncpg.Connection):
    """A connection whose settings are made once, not each time it is released.

    asyncpg resets a connection when it is released, which costs a round trip. Here `reset` does
    nothing unless a function may have changed a setting. So listeners of the log stay as well.

    Attributes:
        run: the statement that it is used for.
        used_at: when it was alive for the last time that is known, by the monotonic clock.
    """

    _transport: asyncio.Transport
    run: Run | None = None
    used_at = 0.0
    _settings_command = ""
    _reported_settings_of: "attrgetter[tuple[object, ...]]"
    _reported_settings: tuple[object, ...] = ()
    _search_path: str | None = None

    def watch_socket(self, silence_seconds: float) -> None:
        """Lets the operating system find out that it is dead (`database.liveness`)."""
        watch_socket(self._transport.get_extra_info("socket"), silence_seconds)

    def pass_messages_to(self, messages: ServerMessages) -> None:
        """Passes on the notices and warnings of the server."""
        self.add_log_listener(messages.hear)

    def serve(self, run: Run | None) -> None:
        """Sets the statement that it is used for."""
        self.run = run

    async def make_settings(self, command: str) -> None:
        """Makes the settings of the session now, and again after a function may have changed them.

        Args:
            command: by `set_command`.
        """
        await self.execute(command)
        self._settings_command = command
        known = self.get_settings()
        reported = [name for name in REPORTED if hasattr(known, name)]
        self._reported_settings_of = attrgetter(*reported)
        self._reported_settings = self._reported_settings_of(known)
        self._search_path = await self.fetchval(_SELECT_SEARCH_PATH)

    async def give_up_if_changed(self, error: asyncpg.PostgresError) -> None:
        """Closes the connection if a function has changed its session.

        The error that it raises then makes the read run again on another connection.

        Args:
            error: one of MISSING.
        Raises: ConnectionDoesNotExistError if it was closed.
        """
        if self.is_in_transaction() or self._search_path is None:
            return
        was_raised_in_function = getattr(error, "context", None) is not None
        is_statement_gone = (
            isinstance(error, asyncpg.InvalidSQLStatementNameError) and not was_raised_in_function
        )
        if is_statement_gone or await self.fetchval(_SELECT_SEARCH_PATH) != self._search_path:
            self.terminate()
            raise asyncpg.ConnectionDoesNotExistError("a function changed the session") from error

    def _may_have_changed(self) -> bool:
        """Whether the last statement may have changed a setting of the session."""
        if self._reported_settings_of(self.get_settings()) != self._reported_settings:
            return True
        return self.run is not None and _FUNCTION_CALL in self.run.text

    # the signature is asyncpg's
    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Prepares the connection for the next statement; asyncpg calls it at its release.

        The settings are made again if they may have changed. A connection whose transaction was not
        ended is closed.
        """
        self.used_at = monotonic()
        if self.is_in_transaction():
            self.terminate()
        elif self._settings_command and self._may_have_changed():
            await self.execute(self._settings_command, timeout=timeout)

    def _time_and_log(self, query: str, args: Any, timeout: float) -> TimedQuery:
        """Replaces a method of asyncpg; it is called for each statement if there is a query logger.

        If a later asyncpg calls another method, the query logger observes the same.
        """
        return TimedQuery(query, args)

    def _check_listeners(self, listeners: object, listener_type: str) -> None:
        """Replaces a method of asyncpg, which warns of listeners that are left at the release."""


def connect_arguments(settings: Settings, url: str) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` for every connection of geosvc.

    Raises: SettingsError when a certificate or key cannot be read.
    """
    tls = tls_to_database(settings, url)
    return {
        "dsn": url,
        "ssl": tls.context or False,
        "direct_tls": tls.direct,
        "timeout": settings.connect_seconds,
        "command_timeout": settings.statement_timeout_seconds + CANCEL_GRACE_SECONDS,
        # a pooler accepts these two; the second is for the statements before all settings are made
        "server_settings": {
            "application_name": APPLICATION_NAME,
            "standard_conforming_strings": "on",
        },
    }


async def open_connection(settings: Settings, url: str, **others: Any) -> asyncpg.Connection:
    """Opens a connection outside the pools.

    Args:
        others: arguments of `asyncpg.connect` that differ from those of `connect_arguments`.
    Raises: the errors of asyncpg; NotConnected where it does not understand the URL; SettingsError
        when a certificate or key cannot be read.
    """
    arguments = {**connect_arguments(settings, url), **others}
    try:
        return await asyncpg.connect(**arguments)
    except ssl.SSLError:  # some of them are a ValueError as well
        raise
    except ValueError as error:
        # its text may contain a part of the URL, and so of the password
        raise NotConnected(why_unreachable(error)) from None
