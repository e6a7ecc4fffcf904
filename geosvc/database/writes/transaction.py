"""An open transaction, and the protocol of what runs the statements of a write."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

from geosvc.database.connection import Connection
from geosvc.database.running import Running
from geosvc.database.sqlstate import CONFLICTS, DATABASE_ERRORS, translate
from geosvc.model.row import Row
from geosvc.sql.compose import Statement

_T = TypeVar("_T")


class Session(Protocol):
    """Runs statements: in one transaction, or each in a transaction of its own."""

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement."""
        ...

    async def read(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement that reads. If it fails, the session can be used further.

        Raises: RequestError.
        """
        ...


class Transaction:
    """An open transaction. Its methods raise the errors of asyncpg; `Writer` translates them.

    Attributes:
        statement: the name of the last statement.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statement = "write.begin"

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement."""
        self.statement = statement.name
        with Running(statement) as running:
            # a method of GeosvcConnection, behind the proxy of the pool
            self._connection.serve(running.run)  # type: ignore[attr-defined]
            running.connected()
            rows = await self._connection.fetch(statement.text, *running.run.args)
            running.got(len(rows))
            return rows

    async def read(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement that may fail, within a savepoint.

        Raises: RequestError; the errors of asyncpg after which the whole transaction is retried.
        """
        try:
            async with self.savepoint():
                return await self.fetch(statement)
        except CONFLICTS:
            raise
        except DATABASE_ERRORS as error:
            raise translate(error, statement.name) from error

    async def waiting_for(self, items: AsyncIterator[_T], seconds: float) -> AsyncIterator[_T]:
        """Yield items that may come slowly, and keep the transaction alive meanwhile.

        The server ends a transaction that is idle for long, and a broken network reports nothing.
        So an empty statement is sent whenever no item has come for `seconds`.
        """
        while True:
            next_item: asyncio.Future[_T | None] = asyncio.ensure_future(anext(items, None))
            try:
                has_come = False
                while not has_come:
                    done, _ = await asyncio.wait((next_item,), timeout=seconds)
                    has_come = bool(done)
                    if not has_come:
                        await self._connection.execute("SELECT")
            finally:
                # no effect on an item that has come; otherwise nothing takes the item any more
                next_item.cancel()
            item = next_item.result()
            if item is None:
                return
            yield item

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Undo the block if it raises an error of the database."""
        await self._connection.execute("SAVEPOINT piece")
        try:
            yield
        except TimeoutError:
            # a server that does not answer would not answer ROLLBACK either
            raise
        except DATABASE_ERRORS:
            await self._connection.execute("ROLLBACK TO SAVEPOINT piece; RELEASE SAVEPOINT piece")
            raise
        await self._connection.execute("RELEASE SAVEPOINT piece")

    async def check_deferred(self) -> None:
        """Check the constraints that are deferred to the end of the transaction."""
        await self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
