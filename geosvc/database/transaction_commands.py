"""Begin, commit and roll back a transaction of a pool.

They are plain commands instead of asyncpg's `Transaction`. When a generator is closed, asyncpg
leaves the ROLLBACK to the reset of the connection, and geosvc resets no connection.
"""

from time import monotonic

import asyncpg

from geosvc.database.connection import Connection
from geosvc.database.connection_setup import POOLER_IS_BUSY, ConnectionSetup
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.errors import PoolExhausted
from geosvc.settings import Settings

# PostgreSQL ignores a cancel that arrives before its statement. Then nothing answers within this
# time, and the connection is closed.
CANCEL_SECONDS = 0.2
REPEATABLE_READ = "ISOLATION LEVEL REPEATABLE READ"
_LEAST_BEGIN_SECONDS = 0.1
_QUERY_WAIT = "query_wait_timeout"  # PgBouncer's message when its own limit of a wait has passed


class TransactionBeginning:
    """Begins the transactions of one pool.

    Args:
        setup: has the settings that follow BEGIN behind a pooler.
        writes: whether the pool is for writes.
    """

    def __init__(self, settings: Settings, setup: ConnectionSetup, *, writes: bool) -> None:
        self._setup = setup
        self._is_pooled = settings.pgbouncer
        self._begin = "BEGIN" if writes else "BEGIN READ ONLY"

    async def begin(self, connection: Connection, isolation: str, role: str, ends: float) -> None:
        """Begins a transaction.

        Behind a pooler, BEGIN may wait until the pooler has a connection to the server. It waits as
        long as a request may wait for a connection.

        Args:
            isolation: as BEGIN takes it; "" is the default of the server.
            role: by `role_commands`.
            ends: when the wait ends, by the monotonic clock.
        Raises: PoolExhausted; the errors of asyncpg.
        """
        command = f"{self._begin} {isolation}{self._setup.after_begin}{role}"
        if not self._is_pooled:
            await connection.execute(command)
            return
        left_seconds = max(ends - monotonic(), _LEAST_BEGIN_SECONDS)
        try:
            await connection.execute(command, timeout=left_seconds)
        except TimeoutError:
            connection.terminate()  # it is still in the queue of the pooler
            raise PoolExhausted(POOLER_IS_BUSY) from None
        except asyncpg.ConnectionDoesNotExistError as error:
            if _QUERY_WAIT not in str(error):
                raise
            raise PoolExhausted(POOLER_IS_BUSY) from None


async def commit(connection: Connection) -> None:
    """Commits a transaction. Raises: InternalClientError if the server has rolled it back."""
    if await connection.execute("COMMIT") != "COMMIT":
        raise asyncpg.InternalClientError("the transaction had failed before")


async def roll_back(connection: Connection) -> None:
    """Rolls a transaction back; a connection that does not answer is closed."""
    try:
        await connection.execute("ROLLBACK", timeout=CANCEL_SECONDS)
    except DATABASE_ERRORS:
        connection.terminate()
