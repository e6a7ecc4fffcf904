"""Finds how the values of a property are divided, within a time box."""

from contextlib import suppress

from geosvc.database.pool import Database
from geosvc.errors import Locked, QueryTimeout, UnreadableValue
from geosvc.model.collection import Collection, Column
from geosvc.model.type_names import NUMBERS
from geosvc.model.value_classes import CommonValues, NumberClasses, ValueClasses
from geosvc.query.value_samples import select_common_values, select_quantiles
from geosvc.requests.items import ItemsQuery

MOST_VALUES = 8


async def find_value_classes(
    database: Database,
    collection: Collection,
    column: Column,
    query: ItemsQuery,
    time_box_seconds: float,
) -> ValueClasses | None:
    """Divide the values of a column, found in a sample of the features that a query selects.

    If that takes too long, of all features.

    Returns: None after the time box, and where the sample has a value that cannot be read.
    Raises: RequestError.
    """
    unconditional = ItemsQuery(limit=query.limit, arguments=query.arguments)
    attempts = (query, unconditional) if query.conditions() else (query,)
    for attempt in attempts:
        with suppress(Locked, QueryTimeout, UnreadableValue):
            return await _find(database, collection, column, attempt, time_box_seconds)
    return None


async def _find(
    database: Database,
    collection: Collection,
    column: Column,
    query: ItemsQuery,
    time_box_seconds: float,
) -> ValueClasses:
    """Raises: QueryTimeout after the time box; any other RequestError."""
    if column.type_name in NUMBERS:
        statement = select_quantiles(collection, column, query)
        rows = await database.fetch(statement, time_box_seconds)
        numbers, has_missing = rows[0]
        return _number_classes(numbers, has_missing)
    statement = select_common_values(collection, column, query, MOST_VALUES + 2)
    rows = await database.fetch(statement, time_box_seconds)
    return _common_values([row[0] for row in rows])


def _number_classes(numbers: list[float] | None, has_missing: bool) -> NumberClasses:
    if numbers is None:
        return NumberClasses((), None, has_missing)
    least = numbers[0]
    thresholds = sorted({number for number in numbers if number > least})
    return NumberClasses(tuple(thresholds), least, has_missing)


def _common_values(found: list[str | None]) -> CommonValues:
    texts = tuple(text for text in found if text is not None)
    has_others = len(texts) > MOST_VALUES or len(texts) < len(found)
    return CommonValues(texts[:MOST_VALUES], has_others)
