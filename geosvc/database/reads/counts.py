"""Count the features that match a request, within a time box.

The count is exact if that is cheap or requested, else it is the planner's estimate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVarTuple

from geosvc.database.pool import Database
from geosvc.database.reads.failure_cause import attribute_failure
from geosvc.errors import QueryTimeout, UnreadableGeometry, UnreadableValue
from geosvc.model.collection import Collection
from geosvc.model.row import Row
from geosvc.offload.offload import Offload
from geosvc.query.geometry.expressions import GeometryTest
from geosvc.query.matching import explain_matching, select_matching
from geosvc.requests.items import ItemsQuery
from geosvc.settings import Settings
from geosvc.sql.compose import Statement

_Args = TypeVarTuple("_Args")


@dataclass(frozen=True, slots=True)
class Count:
    """A number of matching features, and whether it is exact."""

    number: int
    exact: bool


class Counts:
    """Counts features within the limits of the settings."""

    def __init__(self, database: Database, settings: Settings, offload: Offload) -> None:
        self._database = database
        self._offload = offload
        self._exact_rows = settings.count_exact_rows
        self._time_box_seconds = settings.count_seconds

    async def matching(self, collection: Collection, query: ItemsQuery) -> Count | None:
        """Count the features that match; None if the request wants no count.

        Raises: RequestError.
        """
        if query.count == "none":
            return None
        try:
            return await self._matching(collection, query)
        except UnreadableValue as error:
            raise await attribute_failure(self._database, collection, query, error) from error

    async def _matching(self, collection: Collection, query: ItemsQuery) -> Count | None:
        if collection.row_security:
            # no estimate: the planner's statistics include the rows that policies hide
            return await self._count(collection, query, None)
        if query.count == "exact":
            count = await self._count(collection, query, None)
            if count is None:
                count = Count(await self._estimate(collection, query), exact=False)
            return count
        estimate = await self._estimate(collection, query)
        if estimate <= self._exact_rows and (query.limit or 0) < self._exact_rows:
            count = await self._count(collection, query, self._exact_rows + 1)
            if count is not None:
                return count
        return Count(estimate, exact=False)

    async def _count(
        self, collection: Collection, query: ItemsQuery, at_most: int | None
    ) -> Count | None:
        """Count rows; the count is not exact if it reaches `at_most`. None after the time box."""
        try:
            number = await self._fetch_number(collection, query, at_most)
        except QueryTimeout:
            return None
        is_exact = at_most is None or number < at_most
        return Count(number, is_exact)

    async def _fetch_number(
        self, collection: Collection, query: ItemsQuery, at_most: int | None
    ) -> int:
        arguments = (collection, query, at_most)
        try:
            statement = await self._plan(query, select_matching, *arguments)
            rows = await self._fetch(statement)
        except UnreadableGeometry:
            statement = await self._plan(query, select_matching, *arguments, GeometryTest.SAFE)
            rows = await self._fetch(statement)
        number: int = rows[0][0]
        return number

    async def _plan(
        self, query: ItemsQuery, plan: Callable[[*_Args], Statement], *args: *_Args
    ) -> Statement:
        """Make a statement; that of a large filter is made outside the event loop."""
        weight = 0
        if query.filter is not None:
            weight = query.filter.weight
        return await self._offload.run(weight, plan, *args)

    async def _fetch(self, statement: Statement) -> Sequence[Row]:
        return await self._database.fetch(statement, self._time_box_seconds)

    async def _estimate(self, collection: Collection, query: ItemsQuery) -> int:
        """The planner's estimate. Raises: RequestError."""
        if collection.rows is not None and not query.conditions():
            return collection.rows
        statement = await self._plan(query, explain_matching, collection, query)
        rows = await self._database.fetch(statement)
        return int(rows[0][0][0]["Plan"]["Plan Rows"])
