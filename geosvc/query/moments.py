"""Dates and timestamps as parameters."""

from datetime import UTC, date, datetime, time, timedelta

from geosvc.sql.compose import Identifier, Param

# asyncpg sends the first and the last that Python knows as infinite (pgproto's codecs/datetime.pyx)
_EXTREME_DAYS = (date.min, date.max)
_EXTREMES = tuple(each.replace(tzinfo=None) for each in (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)))
_DAY = timedelta(days=1)


def write_date(value: date) -> Param:
    """A day as a parameter of the type date."""
    if value in _EXTREME_DAYS:
        return Param(value.isoformat(), "text", Identifier("pg_catalog", "date"))
    return Param(value, "date")


def write_timestamp(value: datetime, type_name: str) -> Param:
    """An instant as a parameter of the type timestamp, which is without a zone and means UTC, or else timestamptz."""
    instant = value.astimezone(UTC).replace(tzinfo=None)
    if instant in _EXTREMES:
        name = "timestamp" if type_name == "timestamp" else "timestamptz"
        return Param(f"{instant.isoformat()}Z", "text", Identifier("pg_catalog", name))
    return Param(instant, "timestamp") if type_name == "timestamp" else Param(instant.replace(tzinfo=UTC), "timestamptz")


def write_instant(value: date | datetime, type_name: str) -> Param:
    """A day, or an instant as a parameter of the type of a column."""
    return write_timestamp(value, type_name) if isinstance(value, datetime) else write_date(value)


def write_day(day: date, type_name: str) -> tuple[Param, Param]:
    """When a day begins and when the next one does."""
    first = datetime.combine(day, time(), tzinfo=UTC)
    if day < date.max:
        return write_timestamp(first, type_name), write_timestamp(first + _DAY, type_name)
    # Python's last day, not PostgreSQL's
    name = "timestamp" if type_name == "timestamp" else "timestamptz"
    return write_timestamp(first, type_name), Param("10000-01-01T00:00:00Z", "text", Identifier("pg_catalog", name))
