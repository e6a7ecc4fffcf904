"""benchmarks/rounds.py: medians, spreads, and ratios round by round."""

import pytest

from benchmarks.rounds import Rounds, alone


def test_rounds_have_a_median_and_a_spread() -> None:
    rounds = Rounds((90.0, 110.0, 101.0))
    assert (rounds.median, rounds.least, rounds.most) == (101, 90, 110)


def test_a_ratio_is_that_of_each_round() -> None:
    ratio = Rounds((100.0, 50.0, 120.0)) / Rounds((50.0, 25.0, 40.0))
    assert ratio == Rounds((2.0, 2.0, 3.0))


def test_a_figure_that_stands_alone_counts_for_every_round() -> None:
    assert alone(8.0) / Rounds((4.0, 2.0)) == Rounds((2.0, 4.0))
    assert Rounds((4.0, 2.0)) / alone(2.0) == Rounds((2.0, 1.0))


def test_rounds_of_other_numbers_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="2 rounds against 3"):
        Rounds((1.0, 2.0)) / Rounds((1.0, 2.0, 3.0))
