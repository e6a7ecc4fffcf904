"""COPY into tables, in one transaction."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg

from geosvc.database.connection import open_connection
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import target_of, why_unreachable
from geosvc.errors import StartError
from geosvc.settings import Settings


class Loading:
    """A transaction that makes and fills tables."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def has_table(self, name: str) -> bool:
        """Whether there is a table, in the search path or with its schema."""
        return await self._connection.fetchval("SELECT to_regclass($1)", name) is not None

    async def run_script(self, sql: str) -> None:
        """Runs SQL of geosvc: one statement or several."""
        await self._connection.execute(sql)

    async def copy_csv(
        self, table: str, columns: Iterable[str], source: AsyncIterable[bytes]
    ) -> None:
        """Fills a table from CSV with a header line.

        An empty field without quotes is NULL. Geometries are hexadecimal EWKB.
        """
        await self._connection.copy_to_table(
            table, source=source, columns=list(columns), format="csv", header=True
        )


@asynccontextmanager
async def loading(settings: Settings, url: str) -> AsyncIterator[Loading]:
    """A transaction on a connection of its own; it is committed if the block does not raise.

    Raises: StartError when the database cannot be reached, or refuses a statement.
    """
    try:
        # a COPY takes as long as its data
        connection = await open_connection(settings, url, command_timeout=None)
    except DATABASE_ERRORS as error:
        raise StartError(f"cannot connect to {target_of(url)}: {why_unreachable(error)}") from None
    try:
        async with connection.transaction():
            yield Loading(connection)
    except asyncpg.PostgresError as error:
        raise StartError(
            f"the database refused to load: {type(error).__name__}: {error.args[0]}"
        ) from None
    finally:
        # close() could wait for ever for a COPY that failed
        connection.terminate()
