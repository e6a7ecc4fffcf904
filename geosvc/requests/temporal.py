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
_DAY_OF_YEAR = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_DATE = f"((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{{2}}|[1-9][0-9]{{3}})-{_DAY_OF_YEAR}|{_LEAP_YEAR}-02-29)"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_MOMENT = f"{_DATE}(T{_CLOCK})?"
DATETIME_PATTERN = rf"^({_MOMENT}|{_MOMENT}/(\.\.|{_MOMENT})?|(\.\.)?/({_MOMENT})?|\.\./\.\.)$"
"""RFC 3339 as a regular expression, for those who describe the parameter; what is parsed is a little more."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to `end`, both inclusive, in UTC; None is unbounded. An instant has both alike; a day goes from its
    first to its last microsecond.
    """

    start: datetime | None
    end: datetime | None


def parse_temporal(text: str) -> tuple[datetime, datetime]:
    """The first and the last microsecond of a date or of an instant; without a zone it is UTC.

    A `+` that a client left unencoded arrives as a blank, and is read as `+`.

    Raises: ValueError, whose text says what was expected.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("a date (2026-11-21) or a date and time (2026-11-21T12:00:00Z)")
    date, clock, fraction, zone = match.group("date", "time", "fraction", "zone")
    leap_second = clock is not None and clock.endswith(":60")
    clock = f"{clock[:-2]}59" if leap_second and clock is not None else clock
    try:
        start = datetime.fromisoformat(f"{date}T{clock or '00:00:00'}").replace(tzinfo=UTC)
        if clock is None:
            return start, start + timedelta(days=1, microseconds=-1)
        if fraction is not None:
            start += timedelta(microseconds=int(fraction[1:7].ljust(6, "0")))
        if zone is not None and zone not in "Zz":
            hours, minutes = int(zone[1:3]), int(zone[4:6] or 0)
            if hours > 23 or minutes > 59:
                raise ValueError
            offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
            start = start.replace(tzinfo=timezone(offset)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("a date and time that exists in the calendar") from None
    return start, start


def _bound(text: str, last: bool) -> datetime | None:
    if text in ("", ".."):
        return None
    if text.startswith("0000-") and not last:
        # QGIS writes "since ever" as the year 0, which neither Python nor PostgreSQL knows; 4 was a leap year too
        parse_temporal(f"0004{text[4:]}")
        return None
    return parse_temporal(text)[last]


def parse_datetime(text: str) -> Interval:
    """An instant, a date, or an interval `start/end` with `..` or nothing for an open end.

    Raises: InvalidParameter.
    """
    parts = text.split("/")
    try:
        if len(parts) == 1:
            return Interval(*parse_temporal(text))
        if len(parts) > 2:
            raise ValueError("one instant or start/end")
        interval = Interval(_bound(parts[0], False), _bound(parts[1], True))
    except ValueError as error:
        raise InvalidParameter(f"datetime takes {error}", parameter="datetime") from None
    if interval.start is not None and interval.end is not None and interval.start > interval.end:
        raise InvalidParameter("datetime starts after its end", parameter="datetime")
    return interval
