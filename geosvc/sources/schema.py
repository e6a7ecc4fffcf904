"""The columns and the geometry type of the features of a file."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal, get_args

ColumnType = Literal[
    "bool",
    "int2",
    "int4",
    "int8",
    "numeric",
    "float4",
    "float8",
    "text",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "bytea",
    "jsonb",
    "text[]",
    "int4[]",
    "int8[]",
    "float8[]",
]
GeometryType = Literal[
    "POINT",
    "LINESTRING",
    "POLYGON",
    "MULTIPOINT",
    "MULTILINESTRING",
    "MULTIPOLYGON",
    "GEOMETRYCOLLECTION",
    "GEOMETRY",
]
# in the order of their codes in WKB, from 1
GEOMETRY_TYPES: tuple[GeometryType, ...] = get_args(GeometryType)
MULTI_OF: dict[GeometryType, GeometryType] = {
    "POINT": "MULTIPOINT",
    "LINESTRING": "MULTILINESTRING",
    "POLYGON": "MULTIPOLYGON",
}

# NAMEDATALEN - 1; PostgreSQL truncates what is longer, and two names may become one
MAX_NAME_BYTES = 63
_SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"})
_EXACT: tuple[ColumnType, ...] = ("int2", "int4", "int8", "numeric")
_FLOATING: tuple[ColumnType, ...] = ("float4", "float8")
_STRUCTURED: tuple[ColumnType, ...] = ("jsonb", "text[]", "int4[]", "int8[]", "float8[]")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A property of the features.

    Attributes:
        name: of the column.
        source: the name of the property in the file.
        empty: whether no feature has a value, so that the type says nothing.
    """

    name: str
    type: ColumnType
    source: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """The columns, and the type of the geometries.

    Attributes:
        geometry_type: of all; GEOMETRY when they differ, or when there are none.
        has_z: whether the geometries have Z.
        srid: None when the file does not say.
        features: how many there are.
        bytes: the size of the file.
    """

    columns: tuple[SourceColumn, ...]
    geometry_type: GeometryType
    has_z: bool
    srid: int | None
    features: int | None = None
    bytes: int | None = None

    def reserving(self, *names: str) -> "SourceSchema":
        """The schema with other names for the columns that have one of these names.

        Args:
            names: of the columns that the table has besides the properties.
        """
        return replace(self, columns=_renamed(self.columns, names))


def safe_names(names: Sequence[str], reserved: Iterable[str] = ()) -> tuple[str, ...]:
    """Unique names that PostgreSQL accepts for columns; a name that can stay as it is does.

    Args:
        reserved: names that no column may have.
    """
    taken = _SYSTEM_COLUMNS | set(reserved)
    shortened = [_truncated(name.replace("\0", "")) for name in names]
    # a name that is valid as it is has precedence over one that becomes so
    unchanged: set[str] = set()
    for name, short in zip(names, shortened, strict=True):
        if name == short and short and short not in taken:
            unchanged.add(name)
    used: set[str] = set()
    found: list[str] = []
    for number, (name, short) in enumerate(zip(names, shortened, strict=True), 1):
        chosen = short
        is_unchanged_elsewhere = name != short and short in unchanged
        if not short or short in taken or short in used or is_unchanged_elsewhere:
            others = taken | used | unchanged
            if short:
                chosen = _numbered(short, 1, others)
            else:
                chosen = _numbered("column", number, others)
        used.add(chosen)
        found.append(chosen)
    return tuple(found)


def _numbered(stem: str, number: int, taken: Container[str]) -> str:
    """The stem with the first number, from this one on, that makes a name that is free."""
    name = _truncated(stem, f"_{number}")
    while name in taken:
        number += 1
        name = _truncated(stem, f"_{number}")
    return name


def _truncated(name: str, suffix: str = "") -> str:
    """A name of at most MAX_NAME_BYTES bytes, with the suffix."""
    room = MAX_NAME_BYTES - len(suffix)
    encoded = name.encode("utf-8", "replace")[:room]
    return encoded.decode("utf-8", "ignore") + suffix


def _renamed(
    columns: Sequence[SourceColumn], reserved: Iterable[str] = ()
) -> tuple[SourceColumn, ...]:
    names = safe_names([column.source for column in columns], reserved)
    return tuple(replace(column, name=name) for column, name in zip(columns, names, strict=True))


def widen_type(one: ColumnType, other: ColumnType) -> ColumnType:
    """The type that takes the values of both."""
    if one == other:
        return one
    pair = {one, other}
    if pair <= set(_EXACT):
        return max(one, other, key=_EXACT.index)
    if pair <= {*_EXACT, *_FLOATING}:
        if "numeric" in pair:
            return "numeric"
        return "float8"
    if pair & set(_STRUCTURED):
        return "jsonb"
    return "text"


def widen_geometry(one: GeometryType, other: GeometryType) -> GeometryType:
    """The type that takes the geometries of both, such as the multi type of a single type."""
    if one == other:
        return one
    multi = MULTI_OF.get(one, one)
    other_multi = MULTI_OF.get(other, other)
    if multi == other_multi:
        return multi
    return "GEOMETRY"


def _widen_column(one: SourceColumn, other: SourceColumn) -> SourceColumn:
    if one.empty:
        return other
    if other.empty:
        return one
    return replace(one, type=widen_type(one.type, other.type))


def _total(numbers: Iterable[int | None]) -> int | None:
    """The sum; None when one of the numbers is not known."""
    total = 0
    for number in numbers:
        if number is None:
            return None
        total += number
    return total


def merge_schemas(schemas: Sequence[SourceSchema]) -> SourceSchema:
    """The schema of several files together: all columns, with types that take all values.

    The first SRID that is known counts; `Source.batches` transforms the features of other files.
    """
    columns: dict[str, SourceColumn] = {}
    srid: int | None = None
    for schema in schemas:
        if srid is None:
            srid = schema.srid
        for column in schema.columns:
            known = columns.get(column.source, column)
            columns[column.source] = _widen_column(known, column)
    return SourceSchema(
        columns=_renamed(tuple(columns.values())),
        geometry_type=reduce(widen_geometry, (schema.geometry_type for schema in schemas)),
        has_z=any(schema.has_z for schema in schemas),
        srid=srid,
        features=_total(schema.features for schema in schemas),
        bytes=_total(schema.bytes for schema in schemas),
    )
