"""Dates and timestamps as parameters: the extremes too, which asyncpg would send as infinite."""

from datetime import UTC, date, datetime, timedelta, timezone

from geosvc.query.cql2.timestamp_params import write_date, write_day, write_instant, write_timestamp
from geosvc.sql.compose import Identifier, Param

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def parts_of(param: Param) -> tuple[object, str, Identifier | None]:
    return param.value, param.type, param.cast


def test_the_first_and_the_last_day_are_sent_as_text() -> None:
    for day in (date.min, date.max):
        assert parts_of(write_date(day)) == (
            day.isoformat(),
            "text",
            Identifier("pg_catalog", "date"),
        )
    assert parts_of(write_date(date(2026, 11, 21))) == (date(2026, 11, 21), "date", None)


def test_the_first_and_the_last_instant_are_sent_as_text() -> None:
    for moment in (FIRST, LAST):
        for name in ("timestamp", "timestamptz"):
            text = f"{moment.replace(tzinfo=None).isoformat()}Z"
            assert parts_of(write_timestamp(moment, name)) == (
                text,
                "text",
                Identifier("pg_catalog", name),
            )


def test_an_instant_is_sent_in_utc_with_a_time_zone_for_timestamptz() -> None:
    moment = datetime(2026, 11, 21, 13, tzinfo=timezone(timedelta(hours=1)))
    assert parts_of(write_instant(moment, "timestamp")) == (
        datetime(2026, 11, 21, 12, tzinfo=UTC).replace(tzinfo=None),
        "timestamp",
        None,
    )
    assert parts_of(write_instant(moment, "timestamptz")) == (
        datetime(2026, 11, 21, 12, tzinfo=UTC),
        "timestamptz",
        None,
    )
    assert parts_of(write_instant(date(2026, 11, 21), "date")) == (date(2026, 11, 21), "date", None)


def test_the_last_day_of_python_ends_in_the_year_10000() -> None:
    assert [param.value for param in write_day(date.max, "timestamptz")] == [
        datetime(9999, 12, 31, tzinfo=UTC),
        "10000-01-01T00:00:00Z",
    ]
    first, beyond = write_day(date(2026, 11, 21), "timestamptz")
    assert (first.value, beyond.value) == (
        datetime(2026, 11, 21, tzinfo=UTC),
        datetime(2026, 11, 22, tzinfo=UTC),
    )
