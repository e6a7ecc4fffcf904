"""The literals that CQL2 text and CQL2 JSON write alike: numbers, dates, timestamps, geometries."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Protocol

from geosvc.cql2.tree import At, Date, Geometry, Scalar, Timestamp
from geosvc.errors import InvalidFilter

# the powers of ten of the smallest and the largest double
MIN_EXPONENT = -324
MAX_EXPONENT = 308
MAX_DIGITS = 100
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]+)?[Zz]", re.ASCII
)


class GeometryReader(Protocol):
    """Reads geometry literals. It knows the CRS in which the filter writes them."""

    def geometry(self, geojson: bytes, at: At) -> Geometry:
        """Reads a GeoJSON geometry. Raises: InvalidFilter."""
        ...

    def box(self, numbers: Sequence[float], at: At) -> Geometry:
        """Reads a box of 4 or 6 numbers, in the order of `bbox`. Raises: InvalidFilter."""
        ...


def parse_number(text: str, at: At) -> Decimal:
    """A number with all its digits, in the range of a double. Raises: InvalidFilter."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InvalidFilter("the number cannot be read", at) from None
    if not _is_in_range(number):
        raise InvalidFilter("the number is out of range", at)
    return number


def _is_in_range(number: Decimal) -> bool:
    if not number.is_finite():
        return False
    if len(number.as_tuple().digits) > MAX_DIGITS:
        return False
    if not number:
        return True  # the exponent of a zero says nothing
    return MIN_EXPONENT <= number.adjusted() <= MAX_EXPONENT


def parse_date(text: str, at: At) -> date:
    """A day, such as 2026-11-21.

    Raises: InvalidFilter.
    Source: RFC 3339, full-date.
    """
    if _DATE.fullmatch(text) is None:
        raise InvalidFilter("a date was expected, such as 2026-11-21", at)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidFilter(f"{text} is no day of the calendar", at) from None


def parse_timestamp(text: str, at: At) -> datetime:
    """An instant in UTC, such as 2026-11-21T12:00:00Z. It is cut off after the microseconds.

    Raises: InvalidFilter.
    Source: RFC 3339, date-time, with Z.
    """
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise InvalidFilter("a timestamp in UTC was expected, such as 2026-11-21T12:00:00Z", at)
    day, clock, fraction = match.groups()
    if clock.endswith(":60"):
        clock = clock.removesuffix("60") + "59"  # Python has no leap seconds
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
    except ValueError:
        raise InvalidFilter(f"{text} is no instant of the calendar", at) from None
    if fraction is None:
        return instant
    microseconds = fraction[1:7].ljust(6, "0")
    return instant + timedelta(microseconds=int(microseconds))


def parse_interval_end(text: str, at: At) -> Scalar | None:
    """One end of an interval: a date, a timestamp, or None for `..`. Raises: InvalidFilter."""
    if text == "..":
        return None
    if "T" in text.upper():
        return Timestamp(parse_timestamp(text, at), at=at)
    return Date(parse_date(text, at), at=at)
