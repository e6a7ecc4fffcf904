"""The parameter `datetime`. Source: OGC 17-069r4 7.15.4 and RFC 3339 5.6."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from geosvc.errors import InvalidParameter

_DATE_TIME = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})(?P<fraction>\.[0-9]+)?"
    r"(?P<zone>[Zz]|[+ -][0-9]{2}(?::[0-9]{2})?)?)?",
    re.ASCII,
)

_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_DAY_OF_YEAR = (
    "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DATE = f"({_YEAR}-{_DAY_OF_YEAR}|{_LEAP_YEAR}-02-29)"
_HOUR = "([01][0-9]|2[0-3])"
_CLOCK = rf"{_HOUR}:[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,9}})?(Z|[+-]{_HOUR}:[0-5][0-9])"
_MOMENT = f"{_DATE}(T{_CLOCK})?"
DATETIME_PATTERN = rf"^({_MOMENT}|{_MOMENT}/(\.\.|{_MOMENT})?|(\.\.)?/({_MOMENT})?|\.\./\.\.)$"
"""RFC 3339 as a regular expression, for descriptions. `parse_datetime` takes a little more."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to `end`, both inclusive, in UTC; None is unbounded.

    The start and the end of an instant are equal; a date lasts from its first to its last
    microsecond.
    """

    start: datetime | None
    end: datetime | None


def parse_datetime(text: str) -> Interval:
    """Parses an instant, a date, or an interval `start/end`; an open end is `..` or empty.

    Raises: InvalidParameter.
    """
    try:
        interval = _parse_interval(text)
    except ValueError as error:
        raise InvalidParameter(f"datetime takes {error}", parameter="datetime") from None
    start, end = interval.start, interval.end
    if start is not None and end is not None and start > end:
        raise InvalidParameter("datetime starts after its end", parameter="datetime")
    return interval


def parse_temporal(text: str) -> tuple[datetime, datetime]:
    """The first and the last microsecond of a date or of an instant. The default zone is UTC.

    A `+` that a client did not encode arrives as a blank, and is read as `+`.

    Raises: ValueError, whose text says what is expected.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("a date (2026-11-21) or a date and time (2026-11-21T12:00:00Z)")
    try:
        if match["time"] is None:
            start = datetime.fromisoformat(match["date"]).replace(tzinfo=UTC)
            return start, start + timedelta(days=1, microseconds=-1)
        instant = _to_instant(match)
        return instant, instant
    except (ValueError, OverflowError):
        raise ValueError("a date and time that exists in the calendar") from None


def _parse_interval(text: str) -> Interval:
    """Raises: ValueError, whose text says what is expected."""
    parts = text.split("/")
    if len(parts) == 1:
        return Interval(*parse_temporal(text))
    if len(parts) > 2:
        raise ValueError("one instant or start/end")
    return Interval(_parse_start(parts[0]), _parse_end(parts[1]))


def _parse_start(text: str) -> datetime | None:
    if text in ("", ".."):
        return None
    if text.startswith("0000-"):
        # QGIS writes an open start as the year 0, which neither Python nor PostgreSQL has.
        # The rest is checked with the year 4, which is a leap year too.
        parse_temporal(f"0004{text[4:]}")
        return None
    return parse_temporal(text)[0]


def _parse_end(text: str) -> datetime | None:
    if text in ("", ".."):
        return None
    return parse_temporal(text)[1]


def _to_instant(match: re.Match[str]) -> datetime:
    """An instant in UTC. Raises: ValueError, OverflowError."""
    clock, fraction, zone = match["time"], match["fraction"], match["zone"]
    if clock.endswith(":60"):  # a leap second, which Python does not have
        clock = f"{clock[:-2]}59"
    instant = datetime.fromisoformat(f"{match['date']}T{clock}").replace(tzinfo=UTC)
    if fraction is not None:
        microseconds = fraction[1:7].ljust(6, "0")  # without the point, six digits
        instant += timedelta(microseconds=int(microseconds))
    if zone is None or zone in "Zz":
        return instant
    hours, minutes = int(zone[1:3]), int(zone[4:6] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError
    offset = timedelta(hours=hours, minutes=minutes)
    if zone.startswith("-"):
        offset = -offset
    return instant.replace(tzinfo=timezone(offset)).astimezone(UTC)
