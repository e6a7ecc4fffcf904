"""The type that the properties of posted features are decoded to, made for one collection.

msgspec decodes and checks in one step, in C: unknown, read-only and missing names, types, ranges,
enums. PostgreSQL checks the rest, such as dates in all their forms.
"""

import re
from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from geosvc.model.collection import Collection, Column

# msgspec has no fields of such names, so their columns are read-only
_UNREADABLE = re.compile(r'["\\\x00-\x1f]')
_LENGTH = re.compile(r"character(?: varying)?\(([0-9]+)\)")
_INT8 = Annotated[str, msgspec.Meta(pattern=r"^[+-]?[0-9]{1,19}$")]
_DECIMAL = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?|NaN|-?Infinity)$"
    ),
]
_NOT_FINITE = Literal["NaN", "Infinity", "-Infinity"]
_TEXTS = (
    "text",
    "varchar",
    "bpchar",
    "name",
    "date",
    "timestamp",
    "timestamptz",
    "time",
    "timetz",
    "interval",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "xml",
    "tsvector",
    "bit",
    "varbit",
)
"""Types whose values are any JSON texts, which PostgreSQL checks."""


def _integer(bits: int) -> Any:
    limit = 1 << (bits - 1)
    return Annotated[int, msgspec.Meta(ge=-limit, le=limit - 1)]


_TYPES: dict[str, Any] = {
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64) | _INT8,  # JavaScript cannot hold them as numbers, and sends texts
    "oid": Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)] | _INT8,
    "bytea": Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/\s]*={0,2}\s*$")],
    "float4": float | _NOT_FINITE,
    "float8": float | _NOT_FINITE,
    "numeric": int | float | _DECIMAL,
    "bool": bool,
    "uuid": UUID,
    "json": msgspec.Raw,
    "jsonb": msgspec.Raw,
    **dict.fromkeys(_TEXTS, str),
}
CHECKED = frozenset(_TYPES)
"""The names of types whose values the decoder checks, or that take any JSON."""


class Mode(Enum):
    """What a feature is read for."""

    CREATE = "create"
    REPLACE = "replace"
    MERGE = "merge"
    """A merge patch (RFC 7396): null removes a property, an absent one does not change."""


def unreadable(column: Column) -> bool:
    """Whether the decoder cannot have a field of its name, so that it is read-only."""
    return _UNREADABLE.search(column.name) is not None


def writable_columns(collection: Collection, mode: Mode) -> tuple[Column, ...]:
    """The columns that are written from the properties of a feature."""
    columns = []
    for column in collection.columns:
        if mode is Mode.CREATE:
            writable = column.insertable and not column.always_identity
        else:
            writable = column.updatable and column.name not in collection.key
        if writable and not unreadable(column):
            columns.append(column)
    return tuple(columns)


def decoded_columns(collection: Collection, mode: Mode, *, keyed: bool) -> tuple[Column, ...]:
    """The columns that the properties of a feature may name.

    Args:
        keyed: whether a new feature comes with its key, whose columns may then be named too.
    """
    columns = list(writable_columns(collection, mode))
    if mode is Mode.CREATE and keyed:
        for column in collection.key_columns:
            if column not in columns and not unreadable(column):
                columns.append(column)
    return tuple(columns)


def read_only_columns(
    collection: Collection, mode: Mode, *, lenient: bool, keyed: bool
) -> tuple[Column, ...]:
    """The columns that cannot be written, but may be named with null or the stored value.

    Args:
        lenient: whether such names are ignored, but for the key of an existing feature.
    """
    decoded = {column.name for column in decoded_columns(collection, mode, keyed=keyed)}
    columns = []
    for column in collection.columns:
        if column.name in decoded or unreadable(column):
            continue
        is_stored_key = mode is not Mode.CREATE and column.name in collection.key
        if is_stored_key or not lenient:
            columns.append(column)
    return tuple(columns)


def properties_type(
    collection: Collection,
    mode: Mode,
    decoded: Sequence[Column],
    read_only: Sequence[Column],
    *,
    any_names: bool,
) -> type[msgspec.Struct]:
    """The type that the properties of a feature are decoded to.

    Its attributes are `p0`, `p1` … of the decoded columns, then of the read-only ones.

    Args:
        any_names: whether unknown names are ignored.
    """
    fields: list[Any] = []
    names: dict[str, str] = {}
    for number, column in enumerate(decoded):
        is_key = column.name in collection.key
        kind, default = _field_of(column, mode, is_key=is_key)
        fields.append((f"p{number}", kind, default))
        names[f"p{number}"] = column.name
    for number, column in enumerate(read_only, len(decoded)):
        fields.append((f"p{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET))
        names[f"p{number}"] = column.name
    # msgspec requires fields without a default to come first
    fields.sort(key=lambda field: field[2] is not msgspec.NODEFAULT)
    return msgspec.defstruct(
        "Properties", fields, rename=names, forbid_unknown_fields=not any_names, gc=False
    )


def _field_of(column: Column, mode: Mode, *, is_key: bool) -> tuple[Any, Any]:
    """The type and the default of the field for a column."""
    kind = _type_of(column, mode)
    if column.required and mode is not Mode.MERGE and not is_key:
        return kind, msgspec.NODEFAULT
    takes_null = column.may_default or is_key or not column.not_null
    if takes_null and kind is not msgspec.Raw:  # Raw takes null anyway
        kind = kind | None
    return kind | msgspec.UnsetType, msgspec.UNSET


def _type_of(column: Column, mode: Mode) -> Any:
    if column.enum is not None:
        return Literal[column.enum]
    length = _LENGTH.fullmatch(column.type)
    if length is not None and column.type_name in ("varchar", "bpchar"):
        return Annotated[str, msgspec.Meta(max_length=int(length[1]))]
    if column.category == "A":
        return list[Any]
    if column.type_schema != "pg_catalog":
        return msgspec.Raw  # PostgreSQL checks the types of users
    if column.type_name == "int8" and mode is not Mode.CREATE:
        # A client may round the greatest ones to doubles, which are out of the range of int8.
        # `FeatureChange` compares them with the stored ones.
        return int | _INT8
    return _TYPES.get(column.type_name, msgspec.Raw)
