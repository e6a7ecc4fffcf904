"""The properties of posted features against the columns of their collection, checked by a decoder that is made for it.

msgspec decodes and checks in one go, in C: unknown and read-only names, missing ones, types, ranges, enums. What it cannot
check, such as dates in all their forms, PostgreSQL does.
"""

import re
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from geosvc.model.collection import Collection, Column

_UNREADABLE = re.compile(r'["\\\x00-\x1f]')  # msgspec takes no field of such a name: those columns are read-only
_LENGTH = re.compile(r"character(?: varying)?\(([0-9]+)\)")
_INT8 = Annotated[str, msgspec.Meta(pattern=r"^[+-]?[0-9]{1,19}$")]
_DECIMAL = Annotated[str, msgspec.Meta(pattern=r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?|NaN|-?Infinity)$")]
_NOT_FINITE = Literal["NaN", "Infinity", "-Infinity"]


def _integer(bits: int) -> Any:
    return Annotated[int, msgspec.Meta(ge=-(1 << (bits - 1)), le=(1 << (bits - 1)) - 1)]


_TYPES: dict[str, Any] = {
    "int2": _integer(16),
    "int4": _integer(32),
    "int8": _integer(64) | _INT8,  # JavaScript cannot hold them, and sends text
    "oid": Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)] | _INT8,
    "bytea": Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/\s]*={0,2}\s*$")],
    "float4": float | _NOT_FINITE,
    "float8": float | _NOT_FINITE,
    "numeric": int | float | _DECIMAL,
    "bool": bool,
    "uuid": UUID,
    "json": msgspec.Raw,
    "jsonb": msgspec.Raw,
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "date", "timestamp", "timestamptz", "time", "timetz"), str),
    **dict.fromkeys(("interval", "inet", "cidr", "macaddr", "macaddr8", "xml", "tsvector", "bit", "varbit"), str),
}


class Mode(Enum):
    """What a feature is read for."""

    CREATE = "create"
    REPLACE = "replace"
    MERGE = "merge"
    """A merge patch (RFC 7396): null removes, what is absent stays."""


def writable_columns(collection: Collection, mode: Mode) -> tuple[Column, ...]:
    """The columns that a feature may have as properties."""
    columns = [column for column in collection.columns if not _UNREADABLE.search(column.name)]
    if mode is Mode.CREATE:
        return tuple(column for column in columns if column.insertable and not column.always_identity)
    return tuple(column for column in columns if column.updatable and column.name not in collection.key)


def _type_of(column: Column) -> Any:
    if column.enum is not None:
        return Literal[column.enum]
    length = _LENGTH.fullmatch(column.type)
    if length is not None and column.type_name in ("varchar", "bpchar"):
        return Annotated[str, msgspec.Meta(max_length=int(length[1]))]
    if column.category == "A":
        return list[Any]
    # of the user's own types PostgreSQL knows more
    return _TYPES.get(column.type_name, msgspec.Raw) if column.type_schema == "pg_catalog" else msgspec.Raw


def _field(place: int, column: Column, mode: Mode, is_key: bool) -> tuple[str, Any, Any]:
    kind = _type_of(column)
    required = column.required and mode is not Mode.MERGE and not is_key
    if required:
        return f"p{place}", kind, msgspec.NODEFAULT
    nullable = not (column.not_null and (mode is Mode.MERGE or is_key)) and kind is not msgspec.Raw
    if column.not_null and column.may_default:
        nullable = False
    return f"p{place}", (kind | None if nullable else kind) | msgspec.UnsetType, msgspec.UNSET


def decoded_columns(collection: Collection, mode: Mode, *, keyed: bool) -> tuple[Column, ...]:
    """The columns that the properties of a feature may name: those that are written, and those of the key where a feature
    has one already.
    """
    writable = writable_columns(collection, mode)
    if mode is Mode.CREATE and not keyed:
        return writable
    keys = (column for column in collection.key_columns if column not in writable and not _UNREADABLE.search(column.name))
    return (*writable, *keys)


def properties_type(collection: Collection, mode: Mode, *, lenient: bool, keyed: bool) -> type[msgspec.Struct]:
    """What the properties of a feature are decoded to. The attributes are `p0`, `p1` … in the order of `decoded_columns`.

    Args:
        lenient: names that cannot be written are passed over.
        keyed: whether features come with their key.
    """
    columns = decoded_columns(collection, mode, keyed=keyed)
    fields: list[Any] = [_field(place, column, mode, column.name in collection.key) for place, column in enumerate(columns)]
    names = {f"p{place}": column.name for place, column in enumerate(columns)}
    # required ones first, as msgspec wants them without keyword arguments; their place is in their name
    fields.sort(key=lambda field: field[2] is not msgspec.NODEFAULT)
    return msgspec.defstruct(
        "Properties",
        fields,
        rename=names,
        forbid_unknown_fields=not lenient,
        gc=False,
    )
