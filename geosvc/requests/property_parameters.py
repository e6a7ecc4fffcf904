"""The properties that are parameters of items: `?name=value`. Source: OGC 19-079r2 7."""

from geosvc.model.collection import Collection, Column
from geosvc.model.queryables import ValueKind, queryables
from geosvc.requests.declared import DECLARED

_RESERVED = frozenset(parameter.name for parameter in DECLARED)


def property_parameters(collection: Collection) -> tuple[Column, ...]:
    """The columns of types with an order, whose name no other parameter has."""
    taken = _RESERVED | {parameter.name for parameter in collection.parameters or ()}
    columns = []
    for column in collection.columns:
        if column.sortable and column.name not in taken:
            columns.append(column)
    return tuple(columns)


def takes_every_queryable(collection: Collection) -> bool:
    """Whether every queryable with a simple value is a parameter.

    It is not where another parameter has its name.
    """
    parameters = {column.name for column in property_parameters(collection)}
    for name, queryable in queryables(collection).items():
        is_simple = queryable.kind not in (ValueKind.GEOMETRY, ValueKind.ARRAY)
        if is_simple and name not in parameters:
            return False
    return True
