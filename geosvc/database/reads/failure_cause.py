"""Find out whether the request or a stored value made a statement fail.

PostgreSQL reports a wrong literal of a request and a wrong value of a table by the same SQLSTATE.
So the conditions of the request are evaluated once more, on a row of NULLs. If that fails, the
request is the cause. In all other cases the data are the cause (docs/decisions/0031).

`geosvc/database/reads/failure_location.py` then finds which value it is.
"""

from geosvc.database.pool import Database
from geosvc.errors import InvalidValue, RequestError, UnreadableGeometry, UnreadableValue
from geosvc.model.collection import Collection
from geosvc.query.matching import select_matching
from geosvc.query.probes import read_filtered, try_without_data
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import Statement

PROBE_SECONDS = 1.0
WRONG_VALUE = "a value in the request cannot be converted to the type of its property"
WRONG_IN_FILTER = (
    "a value in the request cannot be converted to the type of its property, or a calculation of"
    " the filter exceeds the range of its numbers"
)
WRONG_CALCULATION = (
    "a calculation of the filter fails on some features: it divides by zero or exceeds the range"
    " of its numbers"
)


async def fails_for_value(database: Database, statement: Statement) -> bool:
    """Whether a value makes a statement fail. Raises: RequestError for any other failure."""
    try:
        await database.fetch(statement, PROBE_SECONDS)
    except (UnreadableValue, UnreadableGeometry):
        return True
    return False


async def attribute_failure(
    database: Database, collection: Collection, query: ItemsQuery, error: UnreadableValue
) -> InvalidValue | UnreadableValue:
    """Return the error for the client: InvalidValue if the request is proved to be the cause.

    Returns: `error` itself if the cause is the data, or is not known.
    """
    if collection.parameters is not None:
        # a function may fail for its arguments or for its data, and no probe can tell which
        if query.arguments:
            return InvalidValue("the function refused its arguments", reason=error.reason)
        return error
    if not _has_values(query):
        return error
    probes = _RequestProbes(database, collection, query)
    try:
        detail = await probes.find_fault()
    except RequestError:
        return error
    if detail is None:
        return error
    return InvalidValue(detail, reason=error.reason)


def _has_values(query: ItemsQuery) -> bool:
    """Whether a value of the request is part of the statement."""
    return bool(
        query.equals
        or query.filter is not None
        or query.bbox is not None
        or query.spatial is not None
        or query.interval is not None
        or query.cursor is not None
    )


class _RequestProbes:
    """Statements that show whether a request is the cause of a failure."""

    def __init__(self, database: Database, collection: Collection, query: ItemsQuery) -> None:
        self._database = database
        self._collection = collection
        self._query = query

    async def find_fault(self) -> str | None:
        """Return what is wrong with the request; None if nothing is proved.

        Raises: RequestError if a probe fails for another reason than a value.
        """
        has_filter = self._query.filter is not None
        if await self._fails(try_without_data(self._collection, self._query)):
            if has_filter:
                return WRONG_IN_FILTER
            return WRONG_VALUE
        if has_filter and await self._calculation_fails():
            return WRONG_CALCULATION
        return None

    async def _calculation_fails(self) -> bool:
        """Whether the filter fails although the properties that it names can be read."""
        if not await self._fails(select_matching(self._collection, self._query)):
            return False
        read_properties = read_filtered(self._collection, self._query)
        if read_properties is None:
            return True
        return not await self._fails(read_properties)

    async def _fails(self, statement: Statement) -> bool:
        return await fails_for_value(self._database, statement)
