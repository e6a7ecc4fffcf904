"""The transaction of `geosvc publish` and `geosvc unpublish`.

Its errors are one line, without SQL and without the URL of the database.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from geosvc.catalog.collections import Catalog, ServedCollections, build_catalog
from geosvc.database.connection import open_connection
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import why_unreachable
from geosvc.errors import PublishError
from geosvc.query.change_log.advisory_locks import PUBLISH_LOCK
from geosvc.settings import Settings
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

LOCK_SECONDS = 5.0
_TAKE_LOCK = "SELECT pg_advisory_xact_lock($1::int4, $2::int4)"
_REASONS = {
    "25006": "the database is read-only, perhaps a standby: publish on the primary",
    "40P01": "a deadlock with another transaction: try again",
    "42501": "the database role is not permitted to do this: {words}",
    "55P03": "another session held a lock for more than {seconds:g} s: try again",
    "57014": "the statement took too long",
}
Row = Any  # asyncpg.Record


class PublishSession:
    """Runs statements within one transaction. Its methods raise the errors of asyncpg."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, statement: Statement) -> list[Row]:
        """Fetch all rows of a statement."""
        return list(await self._connection.fetch(statement.text, *statement.args))

    async def fetch_file(self, file: str, *args: object) -> list[Row]:
        """Fetch all rows of the statement in `geosvc/sql/<file>.sql`."""
        return await self.fetch(load_statement(file, args))

    async def execute(self, statement: Statement) -> None:
        """Run statements that have no arguments."""
        await self._connection.execute(statement.text)

    async def has_publication(self, publication: int) -> bool:
        """Whether a publication is registered."""
        found = await self._connection.fetchval(
            "SELECT 1 FROM geosvc.publication WHERE id = $1", publication
        )
        return found is not None

    async def read_catalog(self, served: ServedCollections) -> Catalog:
        """Read the collections of some schemas."""
        statement = load_statement("catalog", (list(served.schemas),))
        # this connection has no codec for json
        text = statement.text.replace("AS collection", "::text AS collection")
        rows = await self._connection.fetch(text, *statement.args)
        descriptions = (orjson.loads(row[0]) for row in rows)
        return build_catalog(descriptions, served, "")


@asynccontextmanager
async def publish_session(settings: Settings, url: str) -> AsyncIterator[PublishSession]:
    """Open a transaction; only one process publishes at a time.

    Raises: PublishError for all errors of the database, also those of the block.
    """
    try:
        connection = await open_connection(settings, url, statement_cache_size=0)
        try:
            async with connection.transaction():
                await connection.execute(
                    f"SET LOCAL lock_timeout = {LOCK_SECONDS * 1000:.0f};"
                    " SET LOCAL search_path = pg_catalog"
                )
                await connection.execute(_TAKE_LOCK, *PUBLISH_LOCK)
                yield PublishSession(connection)
        finally:
            connection.terminate()
    except DATABASE_ERRORS as error:
        raise PublishError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or "XX000"
        text = str(error.args[0]) if error.args else ""
        words = text.partition("\n")[0]
        template = _REASONS.get(sqlstate, f"{{words}} ({sqlstate})")
        return template.format(words=words, seconds=LOCK_SECONDS)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of the database is not trusted: {error.verify_message}"
    return f"the database cannot be reached: {why_unreachable(error)}"
