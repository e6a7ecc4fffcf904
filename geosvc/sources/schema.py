"""What the features of a file are like: the columns, and the geometries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import count
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
GEOMETRY_TYPES: tuple[GeometryType, ...] = get_args(GeometryType)  # in the order of their codes in WKB, from 1
MULTI_OF: dict[GeometryType, GeometryType] = {
    "POINT": "MULTIPOINT",
    "LINESTRING": "MULTILINESTRING",
    "POLYGON": "MULTIPOLYGON",
}

MAX_NAME_BYTES = 63  # NAMEDATALEN - 1; PostgreSQL cuts what is longer, and two names may become one
_SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"})
_EXACT: tuple[ColumnType, ...] = ("int2", "int4", "int8", "numeric")
_FLOATING: tuple[ColumnType, ...] = ("float4", "float8")
_STRUCTURED: tuple[ColumnType, ...] = ("jsonb", "text[]", "int4[]", "int8[]", "float8[]")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A property of the features.

    Attributes:
        name: of the column.
        source: what the file calls it.
        empty: whether no feature has a value, so that the type says nothing.
    """

    name: str
    type: ColumnType
    source: str
    empty: bool = False


@dataclass(frozen=True, slots=True)
class SourceSchema:
    """The columns, and the geometries.

    Attributes:
        geometry_type: of all; GEOMETRY when they differ, or when there are none.
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
        """The same without columns of these names, which the table has for itself; columns that are called so get others."""
        return replace(self, columns=_renamed(self.columns, names))


def safe_names(names: Sequence[str], reserved: Iterable[str] = ()) -> tuple[str, ...]:
    """Names that PostgreSQL takes for the columns of one table, and which stay as they are wherever they can."""
    taken = _SYSTEM_COLUMNS | set(reserved)
    wanted = [_cut(name.replace("\0", "")) for name in names]
    # a name that is right as it is has precedence over one that becomes so
    kept = {name for name, safe in zip(names, wanted, strict=True) if name == safe and safe} - taken
    used: set[str] = set()
    found = []
    for number, (name, safe) in enumerate(zip(names, wanted, strict=True), 1):
        chosen = safe
        if not safe or safe in taken or safe in used or (name != safe and safe in kept):
            stem = safe or "column"
            tries = (_cut(stem, f"_{suffix}") for suffix in count(1 if safe else number))
            chosen = next(each for each in tries if each not in taken | used | kept)
        used.add(chosen)
        found.append(chosen)
    return tuple(found)


def _cut(name: str, suffix: str = "") -> str:
    room = MAX_NAME_BYTES - len(suffix)
    return name.encode("utf-8", "replace")[:room].decode("utf-8", "ignore") + suffix


def _renamed(columns: Sequence[SourceColumn], reserved: Iterable[str] = ()) -> tuple[SourceColumn, ...]:
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
        return "numeric" if "numeric" in pair else "float8"
    return "jsonb" if pair & set(_STRUCTURED) else "text"


def widen_geometry(one: GeometryType, other: GeometryType) -> GeometryType:
    """The type that takes the geometries of both; single ones become multi ones with one member."""
    if one == other:
        return one
    multi = MULTI_OF.get(one, one)
    return multi if multi == MULTI_OF.get(other, other) else "GEOMETRY"


def _widen_column(one: SourceColumn, other: SourceColumn) -> SourceColumn:
    if one.empty:
        return other
    return one if other.empty else replace(one, type=widen_type(one.type, other.type))


def _total(numbers: Sequence[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def merge_schemas(schemas: Sequence[SourceSchema]) -> SourceSchema:
    """What several files together are like: all columns, with types that take the values of all. The first SRID that is known
    wins; the others are to be transformed, which `Source.batches` does.
    """
    columns: dict[str, SourceColumn] = {}
    for column in (column for schema in schemas for column in schema.columns):
        known = columns.get(column.source)
        columns[column.source] = column if known is None else _widen_column(known, column)
    return SourceSchema(
        columns=_renamed(tuple(columns.values())),
        geometry_type=reduce(widen_geometry, (schema.geometry_type for schema in schemas)),
        has_z=any(schema.has_z for schema in schemas),
        srid=next((schema.srid for schema in schemas if schema.srid is not None), None),
        features=_total([schema.features for schema in schemas]),
        bytes=_total([schema.bytes for schema in schemas]),
    )
