"""What a filter may name: properties with comparable values, and the geometry.

Source: OGC 19-079r2 6.2.
"""

from dataclasses import dataclass
from enum import StrEnum

from geosvc.model.collection import Collection, Column, GeometryColumn
from geosvc.model.type_names import NUMBERS, WHOLE_NUMBERS

_INTEGERS = WHOLE_NUMBERS | {"oid"}
_NUMBERS = NUMBERS | {"oid"}
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char"})
_TIMESTAMPS = frozenset({"timestamp", "timestamptz"})


class ValueKind(StrEnum):
    """The kinds of values in CQL2, and other kinds that PostgreSQL has; each with its name."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOLEAN = "a truth value"
    DATE = "a date"
    TIMESTAMP = "a timestamp"
    GEOMETRY = "a geometry"
    ARRAY = "an array"
    SCALAR = "a value of another type"
    """Such as a UUID or a network address. A text literal is cast to the type to compare it."""


_KIND_BY_TYPE = {
    **dict.fromkeys(_TEXTS, ValueKind.TEXT),
    **dict.fromkeys(_NUMBERS, ValueKind.NUMBER),
    **dict.fromkeys(_TIMESTAMPS, ValueKind.TIMESTAMP),
    "bool": ValueKind.BOOLEAN,
    "date": ValueKind.DATE,
}
"""The kinds of the types in pg_catalog."""


@dataclass(frozen=True, slots=True)
class Queryable:
    """A property or the geometry, which a filter may name.

    Attributes:
        column: of a property; None for the geometry.
        geometry: None for a property.
        integer: whether values are integers.
        elements: the kind of the elements of an array; None for other types.
    """

    name: str
    kind: ValueKind
    column: Column | None = None
    geometry: GeometryColumn | None = None
    integer: bool = False
    elements: ValueKind | None = None


def kind_of(type_schema: str, type_name: str, scalar: bool) -> ValueKind | None:
    """The kind of the values of a type; None if they cannot be compared, such as JSON.

    Args:
        type_schema, type_name: of the type; not an array.
        scalar: whether values of a type that CQL2 does not have can be compared.
    """
    if type_schema == "pg_catalog" and type_name in _KIND_BY_TYPE:
        return _KIND_BY_TYPE[type_name]
    if not scalar:
        return None
    if type_name == "citext":  # of an extension, which may be in any schema
        return ValueKind.TEXT
    return ValueKind.SCALAR


def queryable(collection: Collection, name: str) -> Queryable | None:
    """The property or geometry of this name; None if a filter may not name it."""
    column = collection.by_name.get(name)
    if column is not None:
        return _queryable_property(column)
    if name == collection.geometry.name:
        return _queryable_geometry(collection)
    return None


def queryables(collection: Collection) -> dict[str, Queryable]:
    """All queryables by name, in the order of the table; the geometry is the last."""
    by_name: dict[str, Queryable] = {}
    for column in collection.columns:
        found = _queryable_property(column)
        if found is not None:
            by_name[column.name] = found
    by_name[collection.geometry.name] = _queryable_geometry(collection)
    return by_name


def _queryable_property(column: Column) -> Queryable | None:
    if column.enum is not None:
        return Queryable(column.name, ValueKind.TEXT, column)
    if column.category == "A" and column.type_name.startswith("_"):
        return _queryable_array(column)
    # citext is compared as text, whose operators are always found
    is_citext = column.is_scalar and column.type_name == "citext"
    kind = kind_of(column.type_schema, column.type_name, column.sortable or is_citext)
    if kind is None:
        return None
    return Queryable(column.name, kind, column, integer=column.type_name in _INTEGERS)


def _queryable_array(column: Column) -> Queryable | None:
    element_type = column.type_name.removeprefix("_")
    elements = kind_of(column.type_schema, element_type, scalar=False)
    if elements is None:
        return None
    return Queryable(column.name, ValueKind.ARRAY, column, elements=elements)


def _queryable_geometry(collection: Collection) -> Queryable:
    geometry = collection.geometry
    return Queryable(geometry.name, ValueKind.GEOMETRY, geometry=geometry)
