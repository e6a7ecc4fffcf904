"""Checks that texts are values of PostgreSQL types, so that an error can name the wrong value.

The database would refuse them too, but without the name of the parameter.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import partial
from uuid import UUID

from geosvc.errors import InvalidParameter
from geosvc.model.collection import Column, TypedName
from geosvc.model.type_names import NUMBERS
from geosvc.model.value_bounds import UNBOUNDED
from geosvc.values.temporal import parse_temporal

_BOOLEANS = frozenset(["true", "false", "t", "f", "yes", "no", "on", "off", "1", "0"])
_BEYOND_CALENDAR = re.compile(
    r"[0-9]{5,7}-[0-9]{2}-[0-9]{2}|[0-9]{4,7}-[0-9]{2}-[0-9]{2}.* BC$", re.ASCII
)
_LETTER = re.compile(r"[ -~]?|\\[0-7]{3}")
_NAME_BYTES = 63  # NAMEDATALEN of nearly all builds of PostgreSQL
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)


def check_value(typed: TypedName, text: str, parameter: str) -> None:
    """Checks that `text` can be cast to the type of `typed`.

    Types without a check here are left to PostgreSQL, whose error becomes an InvalidValue.

    Raises: InvalidParameter, naming `parameter` and what it takes.
    """
    if typed.enum is not None:
        if text not in typed.enum:
            choices = ", ".join(typed.enum)
            raise InvalidParameter(f"{parameter} takes one of: {choices}", parameter=parameter)
        return
    try:
        if typed.type_schema == "pg_catalog" and typed.type_name in _CHECKS:
            _CHECKS[typed.type_name](text)
        if isinstance(typed, Column) and typed.bounds is not UNBOUNDED:
            _check_bounds(typed, text)
    except ValueError as error:
        raise InvalidParameter(f"{parameter} takes {error}", parameter=parameter) from None


# Each check raises a ValueError whose text says what the type takes.


def _check_integer(text: str, bits: int) -> None:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number")
    limit = 1 << (bits - 1)
    if not -limit <= int(text) < limit:
        raise ValueError(f"a whole number of {bits} bits")


def _check_oid(text: str) -> None:
    if not _INTEGER.fullmatch(text) or not 0 <= int(text) < 1 << 32:
        raise ValueError("a whole number of 32 bits without a sign")


def _check_number(text: str, digits: int) -> None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number") from None
    if number.is_finite() and abs(number.adjusted()) > digits:
        raise ValueError(f"a number of at most {digits} digits")


def _check_boolean(text: str) -> None:
    if text.strip().lower() not in _BOOLEANS:
        raise ValueError("true or false")


def _check_uuid(text: str) -> None:
    try:
        UUID(text)
    except ValueError:
        raise ValueError("a UUID") from None


def _check_date_or_time(text: str) -> None:
    # PostgreSQL's calendar is larger than Python's: it checks what lies beyond Python's.
    if text not in ("infinity", "-infinity") and not _BEYOND_CALENDAR.match(text):
        parse_temporal(text)


def _check_letter(text: str) -> None:
    if not _LETTER.fullmatch(text):  # PostgreSQL would cut off the rest
        raise ValueError("a single letter of ASCII, or a backslash and three octal digits")


def _check_name(text: str) -> None:
    if len(text.encode()) > _NAME_BYTES:  # PostgreSQL would cut off the rest
        raise ValueError(f"a text of at most {_NAME_BYTES} bytes in UTF-8")


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("an address or a network") from None


_CHECKS: dict[str, Callable[[str], None]] = {
    "int2": partial(_check_integer, bits=16),
    "int4": partial(_check_integer, bits=32),
    "int8": partial(_check_integer, bits=64),
    "oid": _check_oid,
    # with more digits PostgreSQL finds a number out of range
    "float4": partial(_check_number, digits=45),
    "float8": partial(_check_number, digits=324),
    "numeric": partial(_check_number, digits=16_383),
    "bool": _check_boolean,
    "char": _check_letter,
    "name": _check_name,
    "uuid": _check_uuid,
    "date": _check_date_or_time,
    "timestamp": _check_date_or_time,
    "timestamptz": _check_date_or_time,
    "inet": _check_network,
    "cidr": _check_network,
}


def _check_bounds(column: Column, text: str) -> None:
    """Checks the constraints of the column, which the description of the parameter has too."""
    if column.type_name in ("text", "varchar"):
        _check_text_bounds(column, text)
    elif column.type_name == "bpchar":
        max_length = column.bounds.max_length
        if len(text) > (max_length or math.inf):
            raise ValueError(f"a text of at most {max_length} characters")
    elif column.type_name in NUMBERS:
        number = Decimal(text)
        # numeric(5, 2) takes NaN
        if not number.is_nan() and not column.bounds.for_numbers().allows(number):
            raise ValueError("a number within the bounds of the schema")


def _check_text_bounds(column: Column, text: str) -> None:
    bounds = column.bounds
    if bounds.one_of is not None and text not in bounds.one_of:
        raise ValueError(f"one of: {', '.join(map(str, bounds.one_of))}")
    min_length = bounds.min_length or 0
    if not min_length <= len(text) <= (bounds.max_length or math.inf):
        most = bounds.max_length or "any number of"
        raise ValueError(f"a text of {min_length} to {most} characters")
