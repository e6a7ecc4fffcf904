"""Text to the values of PostgreSQL types: checked here, so that a wrong one is named before the database sees it."""

import ipaddress
import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from uuid import UUID

from geosvc.errors import InvalidParameter
from geosvc.model.bounds import ANYTHING
from geosvc.model.collection import Column, TypedName
from geosvc.requests.temporal import parse_temporal

_INTEGER_BITS = {"int2": 16, "int4": 32, "int8": 64}
_NUMBER_DIGITS = {"float4": 45, "float8": 324, "numeric": 16_383}  # beyond, PostgreSQL finds them out of range
_NUMBERS = _INTEGER_BITS.keys() | _NUMBER_DIGITS.keys()
_TRUTH = frozenset(["true", "false", "t", "f", "yes", "no", "on", "off", "1", "0"])
_BEYOND_CALENDAR = re.compile(r"[0-9]{5,7}-[0-9]{2}-[0-9]{2}|[0-9]{4,7}-[0-9]{2}-[0-9]{2}.* BC$", re.ASCII)
_LETTER = re.compile(r"[ -~]?|\\[0-7]{3}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}", re.ASCII)


def _integer(text: str, bits: int) -> None:
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number")
    if not -(1 << (bits - 1)) <= int(text) < 1 << (bits - 1):
        raise ValueError(f"a whole number of {bits} bits")


def _oid(text: str) -> None:
    if not _INTEGER.fullmatch(text) or not 0 <= int(text) < 1 << 32:
        raise ValueError("a whole number of 32 bits without a sign")


def _number(text: str, digits: int) -> None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError("a number") from None
    if number.is_finite() and abs(number.adjusted()) > digits:
        raise ValueError(f"a number of at most {digits} digits")


def _truth(text: str) -> None:
    if text.strip().lower() not in _TRUTH:
        raise ValueError("true or false")


def _uuid(text: str) -> None:
    try:
        UUID(text)
    except ValueError:
        raise ValueError("a UUID") from None


def _date_or_time(text: str) -> None:
    # PostgreSQL's calendar is larger than Python's: what lies beyond is left to it
    if text not in ("infinity", "-infinity") and not _BEYOND_CALENDAR.match(text):
        parse_temporal(text)


def _letter(text: str) -> None:
    if not _LETTER.fullmatch(text):  # PostgreSQL would cut off the rest
        raise ValueError("a single letter of ASCII, or three octal digits behind a backslash")


def _network(text: str) -> None:
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError("an address or a network") from None


_CHECKS: dict[str, Callable[[str], None]] = {
    **{name: (lambda text, bits=bits: _integer(text, bits)) for name, bits in _INTEGER_BITS.items()},  # type: ignore[misc]
    "oid": _oid,
    **{name: (lambda text, digits=digits: _number(text, digits)) for name, digits in _NUMBER_DIGITS.items()},  # type: ignore[misc]
    "bool": _truth,
    "char": _letter,
    "uuid": _uuid,
    "date": _date_or_time,
    "timestamp": _date_or_time,
    "timestamptz": _date_or_time,
    "inet": _network,
    "cidr": _network,
}


def _check_bounds(column: Column, text: str) -> None:
    """What no row can hold by a constraint is a wrong value as well: the parameter is described with its bounds."""
    bounds = column.bounds
    if column.type_name in ("text", "varchar"):
        if bounds.one_of is not None and text not in bounds.one_of:
            raise ValueError(f"one of: {', '.join(map(str, bounds.one_of))}")
        if not (bounds.min_length or 0) <= len(text) <= (bounds.max_length or math.inf):
            raise ValueError(f"a text of {bounds.min_length or 0} to {bounds.max_length or 'any number of'} characters")
    elif column.type_name == "bpchar":
        if len(text) > (bounds.max_length or math.inf):
            raise ValueError(f"a text of at most {bounds.max_length} characters")
    elif column.type_name in _NUMBERS:
        number = Decimal(text)
        if not number.is_nan() and not bounds.of_numbers().allow(number):  # numeric(5, 2) holds NaN
            raise ValueError("a number within the bounds that the schema tells")


def check_value(typed: TypedName, text: str, parameter: str) -> None:
    """Whether `text` can be cast to the type of `typed`. Types without a check here are left to PostgreSQL, whose
    refusal becomes an InvalidValue.

    Raises: InvalidParameter, naming `parameter` and what was expected.
    """
    if typed.enum is not None:
        if text not in typed.enum:
            raise InvalidParameter(f"{parameter} takes one of: {', '.join(typed.enum)}", parameter=parameter)
        return
    check = _CHECKS.get(typed.type_name) if typed.type_schema == "pg_catalog" else None
    try:
        if check is not None:
            check(text)
        if isinstance(typed, Column) and typed.bounds is not ANYTHING:
            _check_bounds(typed, text)
    except ValueError as error:
        raise InvalidParameter(f"{parameter} takes {error}", parameter=parameter) from None
