"""Contenders measured in turns, so that what disturbs the machine disturbs all of them alike."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.rounds import Rounds

Measure = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often is measured."""

    seconds: float
    rounds: int

    @property
    def is_quick(self) -> bool:
        """Whether little is measured."""
        return self.rounds == 1


THOROUGH = Effort(seconds=5, rounds=3)
QUICK = Effort(seconds=1, rounds=1)
_WARM_UP_SECONDS = 1.0


def compete(contenders: Mapping[str, Measure], effort: Effort) -> dict[str, Rounds]:
    """Measures contenders in turns: A B C, A B C, …; returns the rates of each.

    A short run of each comes first and does not count.
    """
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for measure in contenders.values():
        measure(_WARM_UP_SECONDS)
    for _ in range(effort.rounds):
        for name, measure in contenders.items():
            rates[name].append(measure(effort.seconds))
    return {name: Rounds(tuple(measured)) for name, measured in rates.items()}


def repeat(measure: Callable[[], float], times: int) -> Rounds:
    """The same measurement so many times."""
    return Rounds(tuple(measure() for _ in range(times)))
