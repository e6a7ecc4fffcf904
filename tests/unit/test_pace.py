"""How long a client is waited for."""

import pytest

from geosvc.http.pace import BodyPace


def until_given_up(
    size: int, every_seconds: float, min_rate_bytes: int = 1_000, most: int = 10_000
) -> float | None:
    """Seconds until a client is given up that sends so many bytes so often; None when it never
    is.
    """
    pace, now = BodyPace(30, min_rate_bytes), 0.0
    for _ in range(most):
        if pace.left_seconds < every_seconds:
            return now + max(pace.left_seconds, 0.0)
        now += every_seconds
        pace.took(every_seconds, b"x" * size)
    return None


@pytest.mark.parametrize(
    ("size", "every_seconds", "seconds"),
    [
        (1, 31, 30),  # silent
        (1, 5, 30),
        (1, 0.1, 30),
        (900, 1, 291),  # nearly fast enough: it lives from the time in advance
        (1_000, 1, None),
        (29_000, 29, None),  # steady with long pauses
        (2_000, 29, 32),  # a burst does not pay for two pauses
        (1 << 20, 30, None),
    ],
)
def test_a_client_may_pause_but_not_be_slow_for_long(
    size: int, every_seconds: float, seconds: float | None
) -> None:
    given_up = until_given_up(size, every_seconds)
    assert given_up == (pytest.approx(seconds, abs=2) if seconds is not None else None)


def test_a_burst_is_no_credit_for_more_than_the_longest_pause() -> None:
    pace = BodyPace(30, 1_000)
    pace.took(0, b"x" * 6_000_000)
    assert pace.left_seconds == 30


def test_white_space_is_nothing() -> None:
    pace = BodyPace(30, 1_000)
    for _ in range(5):
        pace.took(5, b" \r\n\t" * 5_000)
    assert pace.left_seconds == 5
    pace.took(0, b" \n{ }\n" * 100)
    assert 5 < pace.left_seconds < 6


def test_without_a_least_rate_any_byte_will_do() -> None:
    assert until_given_up(1, 29, min_rate_bytes=0) is None
    assert until_given_up(0, 5, min_rate_bytes=0) == 30


def test_the_client_is_told_why() -> None:
    assert BodyPace(30, 2_000).describe(30.1) == "nothing arrived for 30 seconds"
    assert (
        BodyPace(30, 2_000).describe(4.9) == "fewer than 2000 bytes arrived a second, for too long"
    )
    assert BodyPace(0.5, 0).describe(0.1) == "nothing arrived for 0.5 seconds"
