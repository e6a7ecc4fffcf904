"""Prepare a new connection of a pool: its codecs, its settings, and its observers.

Every session is in UTC with a fixed search path. Sessions that read are read-only. The settings are
made once for each connection. Behind PgBouncer each transaction may get another session, so that
every transaction begins with the settings.
"""

import asyncio
from time import monotonic
from typing import Any

import asyncpg

from geosvc.database.codecs import register_codecs
from geosvc.database.running import ServerMessages, log_query
from geosvc.database.session import choose_settings, first_settings, set_command
from geosvc.errors import PoolExhausted
from geosvc.settings import Settings
from geosvc.sql.files import load_statement

POOLER_IS_BUSY = "every connection of the pooler is busy; try again"
_WATCH_CLIENTS = "SET {} client_connection_check_interval = '300ms'"
_READ_ONLY = {"default_transaction_read_only": "on"}


class ConnectionSetup:
    """Prepares the connections of one pool.

    Args:
        writes: whether the pool is for writes.

    Attributes:
        after_begin: the commands that follow BEGIN in every transaction: the settings, if there is
            a pooler; otherwise "".
    """

    def __init__(self, settings: Settings, *, writes: bool) -> None:
        self._settings = settings
        self._writes = writes
        self._server_can_watch_clients = True
        self._messages: ServerMessages | None = None
        if settings.server_messages != "off":
            self._messages = ServerMessages()
        self.after_begin = ""

    async def prepare(self, connection: Any) -> None:
        """Prepares a connection. Raises: PoolExhausted; the errors of asyncpg.

        One whose preparation fails or is cancelled is broken off. Otherwise asyncpg would wait for
        the answer of a server that may be gone, for as long as a statement may take.
        """
        is_prepared = False
        try:
            async with asyncio.timeout(self._longest_wait()):
                await self._prepare(connection)
            is_prepared = True
        except TimeoutError:
            raise PoolExhausted(POOLER_IS_BUSY) from None
        finally:
            if not is_prepared:
                connection.terminate()

    def _longest_wait(self) -> float | None:
        """Seconds that the preparation may take; None: no limit but those of the statements.

        Behind a pooler the first statement may wait until the pooler has a connection to the
        server. The limit is below that of the wait for this connection, so that the error says
        that the pooler is busy.
        """
        if not self._settings.pgbouncer:
            return None
        return 0.9 * self._settings.pool_acquire_seconds

    async def _prepare(self, connection: Any) -> None:
        self._add_observers(connection)
        is_pooled = self._settings.pgbouncer
        first_command = set_command(first_settings(self._settings), local=is_pooled)
        if not is_pooled:
            await connection.execute(first_command)
        # not a transaction of asyncpg, which is rolled back also when nothing answers any more
        await connection.execute("BEGIN")
        if is_pooled:
            await connection.execute(first_command)
        schema: str | None = await connection.fetchval(load_statement("postgis_schema").text)
        await register_codecs(connection, schema)
        chosen = await choose_settings(connection, self._settings, self._writes, schema)
        await connection.execute("COMMIT")
        await self._try_watching_clients(connection)
        if is_pooled:
            self.after_begin = self._begin_with(chosen)
        else:
            if not self._writes:
                chosen = {**chosen, **_READ_ONLY}
            await connection.make_settings(set_command(chosen, local=False))
        connection.used_at = monotonic()

    def _add_observers(self, connection: Any) -> None:
        connection.watch_socket(self._settings.db_silence_seconds)
        if self._settings.telemetry:
            connection.add_query_logger(log_query)
        if self._messages is not None:
            connection.pass_messages_to(self._messages)

    async def _try_watching_clients(self, connection: asyncpg.Connection) -> None:
        """Lets the server find out by itself that geosvc has gone, if its platform can do it."""
        scope = "LOCAL" if self._settings.pgbouncer else "SESSION"
        try:
            async with connection.transaction():
                await connection.execute(_WATCH_CLIENTS.format(scope))
        except asyncpg.PostgresError:
            self._server_can_watch_clients = False

    def _begin_with(self, chosen: dict[str, str]) -> str:
        """The settings as commands that follow BEGIN."""
        commands = ""
        if self._server_can_watch_clients:
            commands = f"; {_WATCH_CLIENTS.format('LOCAL')}"
        return f"{commands}; {set_command(chosen, local=True)}"
