"""The type that a column needs, from its values.

A value that would not come back as it stands stays text.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from math import isfinite

from geosvc.sources.schema import ColumnType, SourceColumn, safe_names

# Bits rather than an enum: they are joined for each value.
BOOL = 1 << 0
INT4 = 1 << 1
INT8 = 1 << 2
BIG = 1 << 3
FLOAT = 1 << 4
DECIMAL = 1 << 5
EXPONENT = 1 << 6
"""A float that is written with an exponent."""
DATE = 1 << 7
TIMESTAMPTZ = 1 << 8
RESPELLED = 1 << 9
"""An instant that comes back in other words, such as in UTC."""
TEXT = 1 << 10
JSON = 1 << 11

NUMBERS = INT4 | INT8 | BIG | FLOAT | DECIMAL | EXPONENT
_ALONE: dict[int, ColumnType] = {
    BOOL: "bool",
    DATE: "date",
    TIMESTAMPTZ: "timestamptz",
    TIMESTAMPTZ | RESPELLED: "timestamptz",
}
_EXACT_DIGITS = 15  # a float8 distinguishes all decimals of so many
_MOST_DIGITS = 1000
_LARGEST_PLAIN = 1e15  # from here on PostgreSQL writes a float8 with an exponent

_DATE = r"\d{4}-\d\d-\d\d"
# PostgreSQL keeps nothing finer than microseconds, and no zones farther from UTC
_TIMESTAMPTZ = _DATE + r"[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-5]):?[0-5]\d)"
_TIME = re.compile(rf"(?P<date>{_DATE})|(?P<timestamptz>{_TIMESTAMPTZ})", re.ASCII)
_AS_WRITTEN = re.compile(r".{10}T.{8}(?:\.\d*[1-9])?Z")
# numbers as JSON writes them: 007 and +1 are texts and stay so
_CELL = re.compile(
    rf"""
    (?P<int>0|-?[1-9]\d*)
    |(?P<decimal>-?(?:0|[1-9]\d*)\.\d+)
    |(?P<exponent>-?(?:0|[1-9]\d*)(?:\.\d+)?e[+-]\d+)
    |(?P<bool>true|false)
    |(?P<date>{_DATE})
    |(?P<timestamptz>{_TIMESTAMPTZ})
    """,
    re.ASCII | re.VERBOSE,
)
_NEARLY_A_NUMBER = re.compile(
    r"\s*[+-]?(?:\d[\d ,.'\u00a0\u202f]*(?:e[+-]?\d+)?|nan|inf(?:inity)?|0x[0-9a-f]+|n/?a|null)\s*",
    re.IGNORECASE,
)


def _integer_kind(value: int) -> int:
    if -(1 << 31) <= value < 1 << 31:
        return INT4
    return INT8 if -(1 << 63) <= value < 1 << 63 else BIG


def _time_kind(text: str, is_date: bool) -> int:
    """A date or an instant of the calendar, or a text."""
    try:
        if is_date:
            date.fromisoformat(text)
            return DATE
        datetime.fromisoformat(text)
    except ValueError:
        return TEXT
    return TIMESTAMPTZ if _AS_WRITTEN.fullmatch(text) else TIMESTAMPTZ | RESPELLED


def exact_float(text: str) -> float | Decimal:
    """A number of a JSON text: a float where that has all of its digits, else a Decimal."""
    value = float(text)
    is_short = len(text) <= _EXACT_DIGITS + 1 and "e" not in text.lower()
    if is_short or repr(value) == text:
        return value
    exact = Decimal(text)
    if isfinite(value) and Decimal(repr(value)) == exact:
        return value
    return exact


def value_kind(value: object, seen: int) -> int:
    """The kind of a JSON value.

    Args:
        seen: the kinds in its column so far; after a text no dates are looked for.
    """
    if isinstance(value, str):
        kind = TEXT
        if not seen & TEXT:
            found = _TIME.fullmatch(value)
            if found is not None:
                kind = _time_kind(value, found.lastgroup == "date")
        return kind
    if value is None:
        return 0
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return _integer_kind(value)
    if isinstance(value, Decimal):
        return DECIMAL if -_MOST_DIGITS < value.adjusted() < _MOST_DIGITS else TEXT
    return FLOAT if isinstance(value, float) else JSON


def cell_kind(text: str, seen: int) -> int:
    """The kind of a cell of a table of texts.

    Args:
        seen: the kinds in its column so far; a column with a text stays text.
    """
    found = None if seen & TEXT else _CELL.fullmatch(text)
    if found is None or len(text) > _MOST_DIGITS:
        return TEXT
    kind = found.lastgroup
    if kind == "int":
        return _integer_kind(int(text))
    if kind == "decimal":
        return _decimal_kind(text)
    if kind == "exponent":
        return FLOAT | EXPONENT if _printed(text) == text else TEXT
    if kind == "bool":
        return BOOL
    return _time_kind(text, kind == "date")


def _decimal_kind(text: str) -> int:
    """The kind of a number with a point.

    A float8 comes back as 1.5; numeric as 1.50 and 0.1234567890123456789; neither as -0.0.
    """
    if text.startswith("-0.") and not text.strip("-0."):
        return TEXT
    is_float = _printed(text) == text and abs(float(text)) < _LARGEST_PLAIN
    return FLOAT if is_float else DECIMAL


def _printed(text: str) -> str:
    """A float as Python writes it, and PostgreSQL below 1e15."""
    return repr(float(text)).removesuffix(".0")


def is_nearly_a_number(text: str) -> bool:
    """Whether a text may be meant as a number, though it is not written as one comes back."""
    return _NEARLY_A_NUMBER.fullmatch(text) is not None


def column_type(kinds: int) -> ColumnType:
    """The type that takes values of all these kinds."""
    if kinds & JSON:
        return "jsonb"
    if not kinds or kinds & ~NUMBERS:
        return _ALONE.get(kinds, "text")
    float_and_int8 = kinds & FLOAT and kinds & INT8
    if kinds & (BIG | DECIMAL) or float_and_int8:  # a float has too few digits for these
        return "text" if kinds & EXPONENT else "numeric"
    if kinds & FLOAT:
        return "float8"
    return "int8" if kinds & INT8 else "int4"


def columns_of(kinds: Iterable[tuple[str, int]]) -> tuple[SourceColumn, ...]:
    """The columns of (name in the file, kinds of values)."""
    found = tuple(kinds)
    names = safe_names([source for source, _ in found])
    columns: list[SourceColumn] = []
    for name, (source, bits) in zip(names, found, strict=True):
        columns.append(SourceColumn(name, column_type(bits), source, empty=bits == 0))
    return tuple(columns)
