"""One state of the database, read by several connections.

One transaction exports its snapshot and keeps it. The readers take it over. A statement that fails
ends the transaction of its reader, which then begins another one with the same snapshot: this costs
nothing where no statement fails, while savepoints would take two round trips for each.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from geosvc.database.connection import Connection
from geosvc.database.pool import Database
from geosvc.database.running import Running
from geosvc.database.sqlstate import DATABASE_ERRORS, is_lost, translate
from geosvc.database.transaction_commands import REPEATABLE_READ
from geosvc.model.row import Row
from geosvc.sql.compose import Statement

_NAME = "snapshot.begin"
_EXPORT = "SELECT pg_export_snapshot()"
_BEGIN = f"BEGIN READ ONLY {REPEATABLE_READ}"
# a connection waits while another one reads a large tile, or while a file is written
_MAY_WAIT = "SET LOCAL idle_in_transaction_session_timeout = 0"


class SnapshotReader:
    """A connection that reads a snapshot, one statement at a time.

    Args:
        snapshot: as pg_export_snapshot names it.
    """

    def __init__(self, connection: Connection, snapshot: str) -> None:
        self._connection = connection
        self._take_over = f"SET TRANSACTION SNAPSHOT '{snapshot}'; {_MAY_WAIT}"

    async def begin(self) -> None:
        """Takes the snapshot over, in a transaction that has begun. Raises: those of asyncpg."""
        await self._connection.execute(self._take_over)

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Fetches all rows of a statement. Raises: RequestError."""
        try:
            return await self._fetch(statement)
        except DATABASE_ERRORS as error:
            failure = translate(error, statement.name)
            if not is_lost(error):
                await self._begin_again()
            raise failure from error

    async def _fetch(self, statement: Statement) -> Sequence[Row]:
        with Running(statement) as running:
            # a method of GeosvcConnection, behind the proxy of the pool
            self._connection.serve(running.run)  # type: ignore[attr-defined]
            running.connected()
            rows: Sequence[Row] = await self._connection.fetch(statement.text, *running.run.args)
            running.got(len(rows))
            return rows

    async def _begin_again(self) -> None:
        """Raises: RequestError, after which the reader must not be used."""
        try:
            await self._connection.execute("ROLLBACK")
            await self._connection.execute(f"{_BEGIN}; {self._take_over}")
        except DATABASE_ERRORS as error:
            raise translate(error, _NAME) from error


@asynccontextmanager
async def open_snapshot(database: Database, readers: int) -> AsyncIterator[list[SnapshotReader]]:
    """Readers of the state of the database at this moment.

    Args:
        database: with one connection more than there are readers, and not behind a pooler.
    Raises: RequestError.
    """
    async with AsyncExitStack() as stack:
        try:
            opened = await _open(database, readers, stack)
        except DATABASE_ERRORS as error:
            raise translate(error, _NAME) from error
        yield opened


async def _open(database: Database, readers: int, stack: AsyncExitStack) -> list[SnapshotReader]:
    """Raises: the errors of asyncpg, PoolExhausted."""
    begun = partial(database.connection, in_transaction=True, isolation=REPEATABLE_READ)
    keeper = await stack.enter_async_context(begun())
    snapshot = await keeper.fetchval(_EXPORT)
    await keeper.execute(_MAY_WAIT)
    opened: list[SnapshotReader] = []
    for _ in range(readers):
        reader = SnapshotReader(await stack.enter_async_context(begun()), snapshot)
        await reader.begin()
        opened.append(reader)
    return opened
