"""Find out why PostgreSQL could not compute a value: the request, or a stored value.

The same SQLSTATE reports a wrong literal in a request and a wrong value in a table. The conditions
of the request are evaluated once more, on a row of NULLs: if that fails, the request is at fault.
Everything that is not proved to be the fault of the request is the fault of the data
(docs/decisions/0031).
"""

import asyncio
from collections.abc import Sequence

from geosvc.database.pool import Database
from geosvc.errors import InvalidValue, RequestError, UnreadableGeometry, UnreadableValue
from geosvc.events import ValueRefused, emit
from geosvc.model.collection import Collection
from geosvc.query.features import FeaturePage
from geosvc.query.matching import select_matching
from geosvc.query.probes import read_filtered, try_without_data, write_some
from geosvc.query.property_columns import property_columns
from geosvc.requests.items import ItemsQuery
from geosvc.sql.compose import Statement

PROBE_SECONDS = 1.0
LOCATE_SECONDS = 3.0
MAX_ROWS = 10_000
WRONG_VALUE = "a value in the request cannot be converted to the type of its property"
WRONG_IN_FILTER = (
    "a value in the request cannot be converted to the type of its property, or a calculation of"
    " the filter exceeds the range of its numbers"
)
WRONG_CALCULATION = (
    "a calculation of the filter fails on some features: it divides by zero or exceeds the range"
    " of its numbers"
)
_VALUE_ERRORS = (UnreadableValue, UnreadableGeometry)


async def attribute_failure(
    database: Database, collection: Collection, query: ItemsQuery, error: UnreadableValue
) -> InvalidValue | UnreadableValue:
    """Return the error for the client: InvalidValue if the request is proved to be at fault.

    Returns: `error` itself if the cause is the data, or is not known.
    """
    if collection.parameters is not None:
        # a function may fail because of its arguments or of its data: nothing can tell these apart
        if query.arguments:
            return InvalidValue("the function refused its arguments", reason=error.reason)
        return error
    if not _has_values(query):
        return error
    try:
        detail = await _fault_of_request(database, collection, query)
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


async def _fault_of_request(
    database: Database, collection: Collection, query: ItemsQuery
) -> str | None:
    """What is wrong with the request; None if that is not proved.

    Raises: RequestError if a probe fails for another reason.
    """
    if await _fails(database, try_without_data(collection, query)):
        return WRONG_VALUE if query.filter is None else WRONG_IN_FILTER
    if query.filter is not None and await _calculation_fails(database, collection, query):
        return WRONG_CALCULATION
    return None


async def _calculation_fails(database: Database, collection: Collection, query: ItemsQuery) -> bool:
    """Whether the filter fails although the values of its properties can be read.

    Raises: RequestError if a probe fails for another reason.
    """
    if not await _fails(database, select_matching(collection, query)):
        return False
    columns = read_filtered(collection, query)
    return columns is None or not await _fails(database, columns)


async def _fails(database: Database, statement: Statement) -> bool:
    """Whether a value makes the statement fail. Raises: RequestError for any other failure."""
    try:
        await database.fetch(statement, PROBE_SECONDS)
    except _VALUE_ERRORS:
        return True
    return False


async def locate_failure(
    database: Database, page: FeaturePage, error: UnreadableValue
) -> UnreadableValue:
    """Return the same error with the property and the feature at fault, as far as they are found.

    Emits one `ValueRefused`.
    """
    try:
        async with asyncio.timeout(LOCATE_SECONDS):
            return await _locate(database, page, error)
    except (RequestError, TimeoutError):
        _report(page, None, None, error)
        return error


async def _locate(database: Database, page: FeaturePage, error: UnreadableValue) -> UnreadableValue:
    name = await _failing_property(database, page, error)
    # without a name the value is computed even if no property is selected, as in a view that
    # calls a volatile function
    properties = []
    if name is not None:
        properties = [name]
    number = await _first_failing_row(database, page, properties)
    if name is None:
        feature = await _feature_before(database, page, number)
    else:
        feature = await _feature_at(database, page, number)
    _report(page, name, feature, error)
    return UnreadableValue(_describe(name, feature, number), reason=error.reason)


def _report(
    page: FeaturePage, name: str | None, feature: str | None, error: UnreadableValue
) -> None:
    emit(
        ValueRefused(
            collection=page.collection.id,
            property=name,
            feature=feature,
            reason=error.reason or error.detail,
        )
    )


def _describe(name: str | None, feature: str | None, number: int) -> str:
    """The detail of the problem.

    Args:
        number: of the first row that fails, from 1.
    """
    owner = f"the feature {feature}"
    if feature is None:
        owner = f"feature number {number} of the page"
    if name is not None:
        return (
            f"the property {name} of {owner} cannot be computed;"
            " the parameter properties can exclude it"
        )
    if number == 1:
        owner = "some feature"  # all rows are read, whichever is selected
    return f"a property of {owner} cannot be computed"


def _rows_to_probe(page: FeaturePage) -> int:
    return min((page.query.limit or MAX_ROWS) + 1, MAX_ROWS)


async def _failing_property(
    database: Database, page: FeaturePage, error: UnreadableValue
) -> str | None:
    """One property that fails by itself; None if rows fail without any property.

    Raises: `error` if no property fails; RequestError.
    """
    rows = _rows_to_probe(page)
    if await _fails(database, write_some(page, [], rows)):
        return None
    names: Sequence[str] = [column.name for column in property_columns(page.collection, page.query)]
    if not names or not await _fails(database, write_some(page, names, rows)):
        raise error
    while len(names) > 1:
        half = len(names) // 2
        if await _fails(database, write_some(page, names[:half], rows)):
            names = names[:half]
        else:
            names = names[half:]
    return names[0]


async def _first_failing_row(
    database: Database, page: FeaturePage, properties: Sequence[str]
) -> int:
    """The number of the first row that fails, from 1, by bisection. Raises: RequestError."""
    first, last = 1, _rows_to_probe(page)
    while first < last:
        middle = (first + last) // 2
        if await _fails(database, write_some(page, properties, middle)):
            last = middle
        else:
            first = middle + 1
    return first


async def _feature_at(database: Database, page: FeaturePage, number: int) -> str | None:
    """The id of a row of the page, counted from 1; None if features have no ids.

    Raises: RequestError.
    """
    rows = await database.fetch(write_some(page, [], number), PROBE_SECONDS)
    if len(rows) != number:
        return None
    feature: str | None = rows[-1][-1]
    return feature


async def _feature_before(database: Database, page: FeaturePage, number: int) -> str | None:
    """Return "after ID" for a row that cannot be read: the row before it. Raises: RequestError."""
    if number == 1:
        return None
    before = await _feature_at(database, page, number - 1)
    if before is None:
        return None
    return f"after {before}"
