"""Columns whose values a client may send back in another form than it has read.

JSON contains less than some values: an array in JSON begins at 1. Many clients have doubles only,
and round the numbers of int8 and numeric.
"""

import re
from collections.abc import Iterable, Mapping

from geosvc.bodies.feature_faults import about_property
from geosvc.model.collection import Column

_EXACT = frozenset(
    (
        *("int2", "int4", "int8", "float4", "float8", "bool", "uuid", "bytea"),
        *("text", "varchar", "bpchar", "name"),
        *("date", "timestamp", "timestamptz", "time", "timetz", "interval"),
        *("inet", "cidr", "macaddr", "macaddr8", "bit", "varbit"),
    )
)
"""Types whose values are the same after a round trip through JSON."""
_DOUBLE_DIGITS = 15  # a double holds so many digits of any number
_MAX_EXACT_IN_DOUBLES = 1 << 53
_MIN_INT8, _MAX_INT8 = -(1 << 63), (1 << 63) - 1
_MAX_WHOLE_DIGITS = 40
_NUMERIC = re.compile(r"numeric\(([0-9]+),[0-9]+\)")


def may_return_inexact(column: Column, text: bytes | None) -> bool:
    """Whether a posted value may be the stored one although its JSON differs.

    Args:
        text: the posted JSON; None if there is none.
    """
    return _loses_by_json(column) or _may_be_rounded(column, text)


def check_int8(columns: Iterable[Column], texts: Mapping[str, bytes]) -> None:
    """Raises: InvalidFeature for a number out of the range of int8.

    The decoder takes such a number, since a client may have rounded the stored one to it.

    Args:
        texts: the JSON of the posted values.
    """
    for column in columns:
        if not _is_int8(column):
            continue
        number = _whole_number(texts.get(column.name, b""))
        if number is not None and not _MIN_INT8 <= number <= _MAX_INT8:
            detail = f"{column.name}: expected a whole number from {_MIN_INT8} to {_MAX_INT8}"
            raise about_property(column.name, detail)


def _loses_by_json(column: Column) -> bool:
    """Whether JSON contains less than a value of the column."""
    if column.enum is not None:
        return False
    return column.type_schema != "pg_catalog" or column.type_name not in _EXACT


def _may_be_rounded(column: Column, text: bytes | None) -> bool:
    """Whether a posted number may be a stored one that has more digits."""
    if text is None or text[:1] not in b"-0123456789":
        return False
    if _is_int8(column):
        return abs(_whole_number(text) or 0) >= _MAX_EXACT_IN_DOUBLES
    if column.type_schema != "pg_catalog" or column.type_name != "numeric":
        return False
    precision = _NUMERIC.fullmatch(column.type)
    return precision is None or int(precision[1]) > _DOUBLE_DIGITS


def _is_int8(column: Column) -> bool:
    return column.type_schema == "pg_catalog" and column.type_name == "int8"


def _whole_number(text: bytes) -> int | None:
    """The whole number that a JSON text is; its first digits where it has too many for any type."""
    if not text.lstrip(b"-").isdigit():
        return None
    return int(text[:_MAX_WHOLE_DIGITS])
