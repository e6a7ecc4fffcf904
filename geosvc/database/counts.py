"""How many features match: exact where that is cheap or asked for, else the planner's estimate; never beyond a time box."""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.database.pool import Database
from geosvc.errors import QueryTimeout, UnreadableGeometry
from geosvc.model.collection import Collection
from geosvc.model.row import Row
from geosvc.query.features import explain_matching, select_matching
from geosvc.query.geometry import Care
from geosvc.requests.items import ItemsRequest
from geosvc.settings import Settings
from geosvc.sql.compose import Statement


@dataclass(frozen=True, slots=True)
class Count:
    """A number of matching features, and whether it is exact."""

    number: int
    exact: bool


class Counts:
    """Counts within the limits of the settings."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._exact_rows = settings.count_exact_rows
        self._time_box_seconds = settings.count_seconds

    async def matching(self, collection: Collection, request: ItemsRequest) -> Count | None:
        """The count that the request asks for; None when it asks for none. Raises: RequestError."""
        if request.count == "none":
            return None
        if request.count == "exact":
            counted = await self._counted(collection, request, None)
            return counted or Count(await self._estimate(collection, request), exact=False)
        estimate = await self._estimate(collection, request)
        if estimate > self._exact_rows or (request.limit or 0) >= self._exact_rows:
            return Count(estimate, exact=False)
        return await self._counted(collection, request, self._exact_rows + 1) or Count(estimate, exact=False)

    async def _counted(self, collection: Collection, request: ItemsRequest, at_most: int | None) -> Count | None:
        """The exact count; inexact when it is `at_most` or more; None when the time box is over."""
        try:
            try:
                rows = await self._fetch(select_matching(collection, request, at_most))
            except UnreadableGeometry:
                rows = await self._fetch(select_matching(collection, request, at_most, Care.CAUTIOUSLY))
        except QueryTimeout:
            return None
        number: int = rows[0][0]
        return Count(number, exact=at_most is None or number < at_most)

    async def _fetch(self, statement: Statement) -> Sequence[Row]:
        return await self._database.fetch(statement, self._time_box_seconds)

    async def _estimate(self, collection: Collection, request: ItemsRequest) -> int:
        if collection.rows is not None and not any(
            (request.bbox, request.spatial, request.interval, request.equals, request.filter)
        ):
            return collection.rows
        rows = await self._database.fetch(explain_matching(collection, request))
        return int(rows[0][0][0]["Plan"]["Plan Rows"])
