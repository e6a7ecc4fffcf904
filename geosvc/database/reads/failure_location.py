"""Find the property and the feature whose stored value PostgreSQL cannot compute.

PostgreSQL names neither. So statements that compute some properties of the first rows of a page are
tried: bisection finds the property first, and then the row.
"""

import asyncio
from collections.abc import Sequence

from geosvc.database.pool import Database
from geosvc.database.reads.failure_cause import PROBE_SECONDS, fails_for_value
from geosvc.errors import RequestError, UnreadableValue
from geosvc.events import ValueRefused, emit
from geosvc.query.features import FeaturePage
from geosvc.query.probes import write_some
from geosvc.query.property_columns import property_columns

LOCATE_SECONDS = 3.0
MAX_ROWS = 10_000


async def locate_failure(
    database: Database, page: FeaturePage, error: UnreadableValue
) -> UnreadableValue:
    """Return the same error with the property and the feature at fault, as far as they are found.

    Emits one `ValueRefused`.
    """
    try:
        async with asyncio.timeout(LOCATE_SECONDS):
            return await _Search(database, page, error).locate()
    except (RequestError, TimeoutError):
        _report(page, None, None, error)
        return error


def _report(
    page: FeaturePage, property_name: str | None, feature: str | None, error: UnreadableValue
) -> None:
    emit(
        ValueRefused(
            collection=page.collection.id,
            property=property_name,
            feature=feature,
            reason=error.reason or error.detail,
        )
    )


class _Search:
    """The search for one value. Rows of the page are counted from 1."""

    def __init__(self, database: Database, page: FeaturePage, error: UnreadableValue) -> None:
        self._database = database
        self._page = page
        self._error = error
        self._max_rows = min((page.query.limit or MAX_ROWS) + 1, MAX_ROWS)

    async def locate(self) -> UnreadableValue:
        """Return an error that names the value. Raises: RequestError if it is not found."""
        property_name = await self._failing_property()
        if property_name is None:
            # the row cannot be read, not even its id: the row before tells which one it is
            row = await self._first_failing_row([])
            feature = await self._id_of_row(row - 1)
            if feature is not None:
                feature = f"after {feature}"
            detail = _describe_row(row, feature)
        else:
            row = await self._first_failing_row([property_name])
            feature = await self._id_of_row(row)
            detail = _describe_property(property_name, row, feature)
        _report(self._page, property_name, feature, self._error)
        return UnreadableValue(detail, reason=self._error.reason)

    async def _failing_property(self) -> str | None:
        """One property that fails by itself.

        None if rows fail without any property, as in a view that calls a volatile function.

        Raises: the error of the page if no property fails; RequestError.
        """
        if await self._fails([], self._max_rows):
            return None
        columns = property_columns(self._page.collection, self._page.query)
        names: Sequence[str] = [column.name for column in columns]
        if not names or not await self._fails(names, self._max_rows):
            raise self._error
        while len(names) > 1:
            half = len(names) // 2
            if await self._fails(names[:half], self._max_rows):
                names = names[:half]
            else:
                names = names[half:]
        return names[0]

    async def _first_failing_row(self, properties: Sequence[str]) -> int:
        """The first row of which some properties fail. Raises: RequestError."""
        first = 1
        last = self._max_rows
        while first < last:
            middle = (first + last) // 2
            if await self._fails(properties, middle):
                last = middle
            else:
                first = middle + 1
        return first

    async def _fails(self, properties: Sequence[str], rows: int) -> bool:
        """Whether computing some properties of the first rows fails. Raises: RequestError."""
        statement = write_some(self._page, properties, rows)
        return await fails_for_value(self._database, statement)

    async def _id_of_row(self, row: int) -> str | None:
        """The feature id of a row; None if there is none. Raises: RequestError."""
        if row < 1:
            return None
        rows = await self._database.fetch(write_some(self._page, [], row), PROBE_SECONDS)
        if len(rows) != row:
            return None
        feature_id: str | None = rows[-1][-1]
        return feature_id


def _describe_property(property_name: str, row: int, feature: str | None) -> str:
    owner = f"feature number {row} of the page"
    if feature is not None:
        owner = f"the feature {feature}"
    return (
        f"the property {property_name} of {owner} cannot be computed;"
        " the parameter properties can exclude it"
    )


def _describe_row(row: int, feature: str | None) -> str:
    owner = f"feature number {row} of the page"
    if feature is not None:
        owner = f"the feature {feature}"
    elif row == 1:
        # PostgreSQL may have computed all rows before it returned the first one
        owner = "some feature"
    return f"a property of {owner} cannot be computed"
