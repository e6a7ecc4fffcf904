"""benchmarks/contest.py: contenders take turns."""

from benchmarks.contest import Effort, compete, repeat
from benchmarks.rounds import Rounds


def test_contenders_take_turns_after_a_short_run_of_each() -> None:
    turns: list[tuple[str, float]] = []

    def contender(name: str) -> float:
        return float(len([turn for turn in turns if turn[0] == name]))

    def run(name: str, seconds: float) -> float:
        turns.append((name, seconds))
        return contender(name)

    rates = compete(
        {"a": lambda seconds: run("a", seconds), "b": lambda seconds: run("b", seconds)},
        Effort(seconds=5, rounds=2),
    )
    assert turns == [("a", 1), ("b", 1), ("a", 5), ("b", 5), ("a", 5), ("b", 5)]
    assert rates == {"a": Rounds((2, 3)), "b": Rounds((2, 3))}


def test_a_measurement_is_repeated() -> None:
    figures = iter((3.0, 1.0, 2.0))
    assert repeat(lambda: next(figures), 3) == Rounds((3, 1, 2))
