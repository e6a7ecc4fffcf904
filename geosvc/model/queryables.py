"""What a filter may name: the properties whose values can be compared, and the geometry. Source: OGC 19-079r2 6.2."""

from dataclasses import dataclass
from enum import StrEnum

from geosvc.model.collection import Collection, Column, GeometryColumn

_INTEGERS = frozenset({"int2", "int4", "int8", "oid"})
_NUMBERS = _INTEGERS | {"float4", "float8", "numeric"}
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "char"})
_TIMESTAMPS = frozenset({"timestamp", "timestamptz"})


class ValueKind(StrEnum):
    """The kinds of values that CQL2 tells apart, and the others that PostgreSQL has."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOLEAN = "a truth value"
    DATE = "a date"
    TIMESTAMP = "a timestamp"
    GEOMETRY = "a geometry"
    ARRAY = "an array"
    SCALAR = "a value of another type"
    """Such as a UUID or an address: compared with what a text is cast to."""


@dataclass(frozen=True, slots=True)
class Queryable:
    """A property that a filter may name.

    Attributes:
        column: None for the geometry.
        integer: whether a number is whole.
        elements: the kind of an array's elements; None where elements cannot be compared, and for what is no array.
    """

    name: str
    kind: ValueKind
    column: Column | None = None
    geometry: GeometryColumn | None = None
    integer: bool = False
    elements: ValueKind | None = None


def kind_of(type_schema: str, type_name: str, scalar: bool) -> ValueKind | None:
    """The kind of the values of a type that is no array; None for what cannot be compared, such as JSON."""
    if type_schema == "pg_catalog":
        for names, kind in (
            (_TEXTS, ValueKind.TEXT),
            (_NUMBERS, ValueKind.NUMBER),
            (_TIMESTAMPS, ValueKind.TIMESTAMP),
            ({"bool"}, ValueKind.BOOLEAN),
            ({"date"}, ValueKind.DATE),
        ):
            if type_name in names:
                return kind
    if type_name == "citext" and scalar:  # of an extension, which may be in any schema
        return ValueKind.TEXT
    return ValueKind.SCALAR if scalar else None


def _queryable(column: Column) -> Queryable | None:
    if column.enum is not None:
        return Queryable(column.name, ValueKind.TEXT, column)
    if column.category == "A" and column.type_name.startswith("_"):
        elements = kind_of(column.type_schema, column.type_name[1:], scalar=False)
        return (
            Queryable(column.name, ValueKind.ARRAY, column, elements=elements)
            if elements is not None
            else None
        )
    # citext is compared as text, whose operators are always found
    is_citext = column.is_scalar and column.type_name == "citext"
    kind = kind_of(column.type_schema, column.type_name, column.sortable or is_citext)
    return (
        None
        if kind is None
        else Queryable(column.name, kind, column, integer=column.type_name in _INTEGERS)
    )


def _geometry(collection: Collection) -> Queryable:
    return Queryable(collection.geometry.name, ValueKind.GEOMETRY, geometry=collection.geometry)


def queryable(collection: Collection, name: str) -> Queryable | None:
    """The property of this name, if a filter may name it."""
    column = collection.by_name.get(name)
    if column is not None:
        return _queryable(column)
    return _geometry(collection) if name == collection.geometry.name else None


def queryables(collection: Collection) -> dict[str, Queryable]:
    """By name, in the order of the table; the geometry comes last."""
    found = [each for column in collection.columns if (each := _queryable(column)) is not None]
    return {each.name: each for each in (*found, _geometry(collection))}
