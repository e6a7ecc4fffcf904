"""The reads that `geosvc check` tries on a relation: some rows, some geometries, and its keys.

Each is a read-only transaction with a short time limit, on a connection that is used for nothing
else.
"""

import asyncpg

from geosvc.advice.findings import Facts, Finding, Quote
from geosvc.advice.geometry_findings import Sample
from geosvc.advice.relation_findings import judge_reading, judge_repeats
from geosvc.database.sqlstate import describe_read
from geosvc.model.collection import Collection
from geosvc.query.sample_rows import count_repeats, read_some, select_sample
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

ROWS_SECONDS = 2
SAMPLE_SECONDS = 4


class TrialReads:
    """Reads relations on one connection.

    The argument `relation` of its methods is a row of sql/check_relations.sql.
    """

    def __init__(self, connection: asyncpg.Connection, quote: Quote) -> None:
        self._connection = connection
        self._quote = quote

    async def some_rows(self, relation: Facts) -> list[Finding]:
        """Read some rows as a request would. It tries rights, foreign servers and stored values.

        A relation that takes too long has no finding: slow is not broken.

        Raises: asyncpg.PostgresError if the connection is closed; the other DATABASE_ERRORS.
        """
        schema = relation["schema"]
        name = relation["name"]
        columns = relation["columns"]
        try:
            await self._fetch_within(ROWS_SECONDS, read_some(schema, name, columns))
        except asyncpg.QueryCanceledError:
            return []
        except asyncpg.PostgresError as error:
            if self._connection.is_closed():
                raise
            return [await self._explain(relation, error)]
        return []

    async def _explain(self, relation: Facts, error: asyncpg.PostgresError) -> Finding:
        missing_grants = []
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            names = (relation["schema"], relation["name"])
            rows = await self._fetch(load_statement("check_missing_grants", names))
            missing_grants = [row[0] for row in rows]
        sqlstate = error.sqlstate or ""
        failure = describe_read(error)
        return judge_reading(relation, sqlstate, failure, missing_grants, self._quote)

    async def geometries(self, relation: Facts, column: str) -> Sample:
        """Check some geometries of a table. Raises: DATABASE_ERRORS."""
        schema = relation["schema"]
        name = relation["name"]
        statement = select_sample(schema, name, column, relation["rows"])
        rows = await self._fetch_within(SAMPLE_SECONDS, statement)
        number, invalid, srids, without_points = rows[0]
        return Sample(number, invalid, tuple(srids or ()), without_points)

    async def repeated_keys(self, collection: Collection) -> list[Finding]:
        """Count the keys that several rows of a collection have. Raises: DATABASE_ERRORS."""
        subject = f"{collection.schema}.{collection.name}"
        try:
            rows = await self._fetch_within(SAMPLE_SECONDS, count_repeats(collection))
        except asyncpg.QueryCanceledError:
            key = ", ".join(collection.key)
            text = f"{SAMPLE_SECONDS} s were too short to find out whether {key} names one row"
            return [Finding("info", "not-sampled", subject, text)]
        repeats = rows[0][0]
        return list(judge_repeats(subject, collection.id, collection.key, repeats))

    async def _fetch_within(self, seconds: int, statement: Statement) -> list[asyncpg.Record]:
        """Fetch all rows of a statement that may take some seconds."""
        async with self._connection.transaction(readonly=True):
            # ST_IsValid sends a notice for each invalid geometry, and asyncpg makes an object of
            # each notice
            await self._connection.execute("SET LOCAL client_min_messages = error")
            await self._connection.execute(f"SET LOCAL statement_timeout = '{seconds}s'")
            return await self._fetch(statement)

    async def _fetch(self, statement: Statement) -> list[asyncpg.Record]:
        return list(await self._connection.fetch(statement.text, *statement.args))
