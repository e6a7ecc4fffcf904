"""The ranges of numbers that a column has room for."""

import re
from decimal import Decimal, InvalidOperation

from geosvc.model.collection import Column

# Halfway between the numbers of 32 bits and those outside their range, where rounding decides.
_HALF_MIN_REAL = Decimal("7.006492321624085e-46")
_BEYOND_REAL = Decimal("3.4028235677973366e38")
_NUMERIC = re.compile(r"numeric\(([0-9]+),(-?[0-9]+)\)")
_MAX_DIGITS_SHOWN = 20


def describe_range(column: Column, text: str) -> str | None:
    """The range of a column in words, for a number outside of it.

    None where the number is in the range, and for a text that is not a number.
    """
    if column.type_schema != "pg_catalog":
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if number.is_nan():
        return None
    match = _NUMERIC.fullmatch(column.type)
    if match is not None:
        precision, scale = int(match[1]), int(match[2])
        return _describe_numeric(number, precision=precision, scale=scale)
    if column.type_name == "float4":
        return _describe_real(number)
    return None


def _describe_real(number: Decimal) -> str | None:
    if number == 0 or not number.is_finite():
        return None
    if _HALF_MIN_REAL < abs(number) < _BEYOND_REAL:
        return None
    return (
        "0, or a number whose distance from 0 is between 1.4e-45 and 3.4028235e38, "
        "which is the range of 32 bits"
    )


def _describe_numeric(number: Decimal, *, precision: int, scale: int) -> str | None:
    """The range of numeric(precision, scale), which rounds before it compares."""
    limit = Decimal(1).scaleb(precision - scale)
    half_of_last_digit = Decimal(5).scaleb(-scale - 1)
    if abs(number) < limit - half_of_last_digit:
        return None
    shown = f"{limit:f}"
    if precision - scale > _MAX_DIGITS_SHOWN:
        shown = f"1e{precision - scale}"
    bounds = f"is greater than -{shown} and less than {shown}"
    if scale > 0:
        return f"a number that, rounded to {scale} digits behind the point, {bounds}"
    return f"a number that {bounds}"
