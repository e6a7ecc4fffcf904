"""How fast a client has to be, by what sweeps find."""

import pytest

from geosvc.http.send_pace import SendPace

STALL, RATE = 30, 2_000
MESSAGES = {
    "slow": "the client takes less than 2000 bytes a second",
    "nothing": "the client takes nothing any more",
}


def sweep(taken: list[int], waiting: int = 100_000) -> tuple[int, str | None]:
    """After how many seconds a client is cut off, and why, that takes so much each second."""
    pace, acknowledged = SendPace(waiting, 5_000), 5_000
    for second, each in enumerate(taken, 1):
        acknowledged += each
        pace.observe(waiting, acknowledged, 1.0)
        if reason := pace.fault(STALL, RATE):
            return second, reason
    return len(taken), None


@pytest.mark.parametrize(
    ("taken", "second", "why"),
    [
        ([0] * 100, 30, "nothing"),
        ([1] * 100, 30, "slow"),
        ([1_000] * 100, 30, "slow"),
        ([1_999] * 100, 30, "slow"),
        ([8_000] * 3_600, 3_600, None),
        ([2_001] * 3_600, 3_600, None),
        ([59_999] + [0] * 100, 30, "slow"),
        ([60_000] + [0] * 100, 31, "nothing"),  # the time begins anew
        (([0] * 28 + [60_000]) * 50, 1_450, None),  # a window that opens seldom
    ],
)
def test_a_client_takes_the_least_rate_on_average_over_the_stall_time(
    taken: list[int], second: int, why: str | None
) -> None:
    assert sweep(taken) == (second, MESSAGES[why] if why else None)


def test_without_a_least_rate_a_byte_is_enough() -> None:
    pace = SendPace(100, 0)
    for second in range(1, 100):
        pace.observe(100, 1 + second // 20, 1.0)
        assert pace.fault(STALL, 0) is None


def test_where_acknowledgements_are_not_told_a_buffer_that_changes_is_progress() -> None:
    pace = SendPace(100_000, 0)
    for second in range(100):
        pace.observe(100_000 - 10_000 * (second % 2), 0, 1.0)
        assert pace.fault(STALL, RATE) is None
    for _ in range(STALL + 1):
        pace.observe(100_000, 0, 1.0)
    assert pace.fault(STALL, RATE)


def test_the_rate_follows_what_was_taken_last() -> None:
    pace = SendPace(100_000, 0)
    for second in range(1, 11):
        pace.observe(100_000, 8_000 * second, 1.0)
    assert pace.rate == 8_000
    for _ in range(10):
        pace.observe(100_000, 80_000, 1.0)
    assert pace.rate < 10
