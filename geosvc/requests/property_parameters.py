"""The properties that are parameters of items: `?name=value`. Source: OGC 19-079r2 7."""

from geosvc.model.collection import Collection, Column
from geosvc.model.queryables import ValueKind, queryables
from geosvc.requests.declared import DECLARED

_RESERVED = frozenset(each.name for each in DECLARED)


def property_parameters(collection: Collection) -> tuple[Column, ...]:
    """The columns with a value that fits a URL and a name that no other parameter has."""
    taken = _RESERVED | {parameter.name for parameter in collection.parameters or ()}
    return tuple(column for column in collection.columns if column.scalar and column.name not in taken)


def takes_every_queryable(collection: Collection) -> bool:
    """Whether all queryables with a simple value are parameters, none of them behind another parameter of its name."""
    simple = {name for name, each in queryables(collection).items() if each.kind not in (ValueKind.GEOMETRY, ValueKind.ARRAY)}
    return simple <= {column.name for column in property_parameters(collection)}
