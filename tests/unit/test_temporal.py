"""The parameter `datetime`."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosvc.errors import InvalidParameter
from geosvc.values.temporal import Interval, parse_datetime, parse_temporal


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


DAY_END = (23, 59, 59, 999_999)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-21", utc(2026, 11, 21), utc(2026, 11, 21, *DAY_END)),
        ("9999-12-31", utc(9999, 12, 31), utc(9999, 12, 31, *DAY_END)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 2, 29, *DAY_END)),
        ("2026-11-21/2026-11-22", utc(2026, 11, 21), utc(2026, 11, 22, *DAY_END)),
        ("2026-11-21/..", utc(2026, 11, 21), None),
        ("2026-11-21/", utc(2026, 11, 21), None),
        ("../2026-11-21", None, utc(2026, 11, 21, *DAY_END)),
        ("/2026-11-21", None, utc(2026, 11, 21, *DAY_END)),
        ("../..", None, None),
        ("0000-01-01T00:00:00Z/2026-11-21", None, utc(2026, 11, 21, *DAY_END)),
        ("2026-11-21T10:00:00Z/2026-11-21T10:00:00Z", utc(2026, 11, 21, 10), utc(2026, 11, 21, 10)),
    ],
)
def test_an_interval_goes_from_its_first_to_its_last_microsecond(
    text: str, start: datetime | None, end: datetime | None
) -> None:
    assert parse_datetime(text) == Interval(start, end)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-21T12:00:00Z", utc(2026, 11, 21, 12)),
        ("2026-11-21t12:00:00z", utc(2026, 11, 21, 12)),
        ("2026-11-21 12:00:00Z", utc(2026, 11, 21, 12)),
        ("2026-11-21T12:00:00", utc(2026, 11, 21, 12)),
        ("2026-11-21T12:00:00+02:00", utc(2026, 11, 21, 10)),
        ("2026-11-21T12:00:00 02:00", utc(2026, 11, 21, 10)),
        ("2026-11-21T12:00:00-05:30", utc(2026, 11, 21, 17, 30)),
        ("2026-11-21T12:00:00.5Z", utc(2026, 11, 21, 12, 0, 0, 500_000)),
        ("2026-11-21T12:00:00.123456789Z", utc(2026, 11, 21, 12, 0, 0, 123_456)),
        ("2016-12-31T23:59:60Z", utc(2016, 12, 31, 23, 59, 59)),
    ],
)
def test_an_instant_is_itself_in_utc(text: str, instant: datetime) -> None:
    assert parse_datetime(text) == Interval(instant, instant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "yesterday",
        "2026",
        "2026-11",
        "2026-11-21T12",
        "2026-11-21T12:00",
        "2026-11-21T24:00:00Z",
        "2026-13-01",
        "2026-02-30",
        "2025-02-29",
        "2026-11-21T12:00:00+24:00",
        "2026-11-21T12:00:00+01:60",
        "2026-11-21T12:00:00+0100",
        "2026-11-21T12:00:00.Z",
        "2026-11-21T12:61:00Z",
        "2026-11-21T12:00:61Z",
        "0000-01-01",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "٢٠٢٦-11-21",
        "2026-11-21\n",
        "2026-11-21/2026-11-22/2026-11-23",
        "2026-11-22/2026-11-21",
        "2026-11-21T10:00:00Z/2026-11-21T09:59:59Z",
        "2026-11-21/later",
        "-2026-11-21",
        "infinity",
    ],
)
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_datetime(text)
    assert caught.value.parameter == "datetime"
    assert str(caught.value).startswith("datetime ")


@pytest.mark.parametrize("text", ["2026-11-21T12:60:60Z", "2026-11-21T12:60:00Z"])
def test_an_hour_has_no_sixtieth_minute_in_a_leap_second_either(text: str) -> None:
    with pytest.raises(InvalidParameter, match="calendar"):
        parse_datetime(text)


@pytest.mark.parametrize("text", ["0000-garbage/..", "0000-99-99/2026-11-21", "0000-/.."])
def test_the_year_0_that_stands_for_ever_is_still_a_date(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_datetime(text)


@pytest.mark.parametrize("text", ["2026-11-21/0000-12-31", "../0000-01-01T00:00:00Z"])
def test_an_interval_that_ends_in_the_year_0_is_not_open_to_the_future(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_datetime(text)


@given(st.datetimes(timezones=st.timezones() | st.just(UTC)))
def test_every_instant_that_python_writes_is_read_back(instant: datetime) -> None:
    offset = instant.utcoffset() or timedelta()
    assert instant.tzinfo is not None
    if offset.seconds % 60 or offset.microseconds:
        return  # local mean times of the 19th century have seconds, which RFC 3339 has not
    fixed = instant.replace(tzinfo=timezone(offset))
    try:
        expected = fixed.astimezone(UTC)
    except OverflowError:
        with pytest.raises(ValueError, match="calendar"):
            parse_temporal(fixed.isoformat())
        return
    assert parse_temporal(fixed.isoformat()) == (expected, expected)


@given(st.dates())
def test_every_day_ends_a_microsecond_before_the_next(day: object) -> None:
    start, end = parse_temporal(str(day))
    assert end - start == timedelta(days=1) - timedelta(microseconds=1)
    assert start.isoformat() == f"{day}T00:00:00+00:00"


@given(st.text(max_size=40))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        interval = parse_datetime(text)
    except InvalidParameter as error:
        assert error.parameter == "datetime"
    else:
        assert interval.start is None or interval.end is None or interval.start <= interval.end
