"""Which type a column needs, from the values that it holds. What is not certain stays text."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from math import isfinite

from geosvc.sources.schema import ColumnType, SourceColumn, safe_names

# bits rather than an enum: they are joined once a value
BOOL, INT4, INT8, BIG, FLOAT, NOT_FINITE, DATE, TIMESTAMPTZ, TEXT, JSON = (1 << bit for bit in range(10))
_NUMBERS = INT4 | INT8 | BIG | FLOAT | NOT_FINITE
_INTEGERS: tuple[tuple[int, ColumnType], ...] = ((BIG, "numeric"), (FLOAT, "float8"), (INT8, "int8"), (INT4, "int4"))
_ALONE: dict[int, ColumnType] = {BOOL: "bool", DATE: "date", TIMESTAMPTZ: "timestamptz"}

_DATE = r"\d{4}-\d\d-\d\d"
# finer than microseconds, or farther from UTC, is not for PostgreSQL
_TIMESTAMPTZ = _DATE + r"[T ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-5]):?[0-5]\d)"
_TIME = re.compile(rf"(?P<date>{_DATE})|(?P<timestamptz>{_TIMESTAMPTZ})", re.ASCII)
# numbers as JSON writes them: 007 and +1 are texts, and stay what they are
_CELL = re.compile(
    rf"""
    (?P<int>0|-?[1-9]\d*)
    |(?P<float>-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<bool>[Tt]rue|TRUE|[Ff]alse|FALSE)
    |(?P<not_finite>[Nn]a[Nn]|NAN|[+-]?(?:[Ii]nf|INF|Infinity))
    |(?P<date>{_DATE})
    |(?P<timestamptz>{_TIMESTAMPTZ})
    """,
    re.ASCII | re.VERBOSE,
)


def _integer_kind(value: int) -> int:
    if -(1 << 31) <= value < 1 << 31:
        return INT4
    return INT8 if -(1 << 63) <= value < 1 << 63 else BIG


def _time_kind(text: str, is_date: bool) -> int:
    """A date that the calendar has, or a text."""
    try:
        if is_date:
            date.fromisoformat(text)
        else:
            datetime.fromisoformat(text)
    except ValueError:
        return TEXT
    return DATE if is_date else TIMESTAMPTZ


def value_kind(value: object, seen: int) -> int:
    """The kind of a JSON value.

    Args:
        seen: the kinds in its column so far; a text among them spares looking for dates.
    """
    if isinstance(value, str):
        found = None if seen & TEXT else _TIME.fullmatch(value)
        return TEXT if found is None else _time_kind(value, found.lastgroup == "date")
    if value is None:
        return 0
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return _integer_kind(value)
    return FLOAT if isinstance(value, float) else JSON


def cell_kind(text: str, seen: int) -> int:
    """The kind of a cell of a table of texts."""
    found = None if seen & TEXT else _CELL.fullmatch(text)
    if found is None:
        return TEXT
    kind = found.lastgroup
    if kind == "int":
        return _integer_kind(int(text)) if len(text) <= 20 else BIG if len(text) <= 1000 else TEXT
    if kind == "float":
        return _float_kind(text)
    if kind in ("date", "timestamptz"):
        return _time_kind(text, kind == "date")
    return BOOL if kind == "bool" else NOT_FINITE


def _float_kind(text: str) -> int:
    """What float8 cannot hold, PostgreSQL refuses: 1e400, and 1e-400 as well."""
    value = float(text)
    vanished = value == 0 and any(digit in "123456789" for digit in re.split("[eE]", text)[0])
    return FLOAT if isfinite(value) and not vanished else TEXT


def column_type(kinds: int) -> ColumnType:
    """The type that takes values of all these kinds."""
    if kinds & JSON:
        return "jsonb"
    if kinds and not kinds & ~_NUMBERS and kinds != NOT_FINITE:
        return next(wanted for bit, wanted in _INTEGERS if kinds & bit) if not kinds & NOT_FINITE else _with_not_finite(kinds)
    return _ALONE.get(kinds, "text")


def _with_not_finite(kinds: int) -> ColumnType:
    return "numeric" if kinds & BIG else "float8"


def columns_of(kinds: Iterable[tuple[str, int]]) -> tuple[SourceColumn, ...]:
    """The columns of (name in the file, kinds of values)."""
    found = tuple(kinds)
    names = safe_names([source for source, _ in found])
    return tuple(
        SourceColumn(name, column_type(bits), source, empty=bits == 0)
        for name, (source, bits) in zip(names, found, strict=True)
    )
