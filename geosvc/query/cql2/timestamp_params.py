"""Dates and timestamps as parameters of a statement."""

from datetime import UTC, date, datetime, time, timedelta

from geosvc.sql.compose import Identifier, Param

# asyncpg sends the first and the last value of Python as -infinity and infinity (pgproto,
# codecs/datetime.pyx). These values are sent as text instead.
_EXTREME_DAYS = (date.min, date.max)
_EXTREME_TIMESTAMPS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
_DAY = timedelta(days=1)
_DATE = Identifier("pg_catalog", "date")
_TIMESTAMP = Identifier("pg_catalog", "timestamp")
_TIMESTAMPTZ = Identifier("pg_catalog", "timestamptz")


def write_date(value: date) -> Param:
    """Write a day as a parameter of the type date."""
    if value in _EXTREME_DAYS:
        return Param(value.isoformat(), "text", _DATE)
    return Param(value, "date")


def write_timestamp(value: datetime, type_name: str) -> Param:
    """Write an instant as a parameter.

    Args:
        type_name: timestamp, which has no time zone and means UTC; anything else is timestamptz.
    """
    instant = value.astimezone(UTC)
    naive = instant.replace(tzinfo=None)
    if instant in _EXTREME_TIMESTAMPS:
        return Param(f"{naive.isoformat()}Z", "text", _timestamp_type(type_name))
    if type_name == "timestamp":
        return Param(naive, "timestamp")
    return Param(instant, "timestamptz")


def _timestamp_type(type_name: str) -> Identifier:
    if type_name == "timestamp":
        return _TIMESTAMP
    return _TIMESTAMPTZ


def write_instant(value: date | datetime, type_name: str) -> Param:
    """Write a day as a date, an instant as the type of a column."""
    if isinstance(value, datetime):
        return write_timestamp(value, type_name)
    return write_date(value)


def write_day(day: date, type_name: str) -> tuple[Param, Param]:
    """Write the beginning of a day and the beginning of the next day, UTC."""
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    start = write_timestamp(midnight, type_name)
    if day < date.max:
        next_start = write_timestamp(midnight + _DAY, type_name)
    else:
        # Python has no later day, but PostgreSQL has.
        next_start = Param("10000-01-01T00:00:00Z", "text", _timestamp_type(type_name))
    return start, next_start
