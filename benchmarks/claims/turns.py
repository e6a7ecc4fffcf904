"""Contenders measured in turns, each several times."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Sample = Mapping[str, float]
"""What one run of a contender measured, by what it is called with its unit."""

Samples = Mapping[str, Sequence[Sample]]
"""What all runs measured, by the name of the contender."""


@dataclass(frozen=True, slots=True)
class Table:
    """Contenders for the same work; the ratio of each is that to the first one.

    Attributes:
        caption: the work.
        samples: the first number of each sample is the one that is compared.
    """

    caption: str
    samples: Samples


def take_turns(contenders: Mapping[str, Callable[[], Sample]], rounds: int) -> Samples:
    """Measures A B C, A B C, …; a first run of each does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for measure in contenders.values():
        measure()
    for _ in range(rounds):
        for name, measure in contenders.items():
            samples[name].append(measure())
    return samples
