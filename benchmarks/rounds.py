"""What the rounds of a measurement gave, in their order."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Rounds:
    """A figure of each round; one figure alone where there was one measurement.

    Example: `Rounds((90, 110, 100))` has the median 100, the least 90, the most 110.
    """

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.values)

    @property
    def least(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    def __truediv__(self, other: "Rounds") -> "Rounds":
        """The ratio in each round: what disturbs the machine disturbs both. A figure that stands
        alone is divided by, or divides, every one of the other.
        """
        times = max(len(self.values), len(other.values))
        pairs = zip(_repeated(self.values, times), _repeated(other.values, times), strict=True)
        return Rounds(tuple(own / others for own, others in pairs))


def _repeated(values: tuple[float, ...], times: int) -> tuple[float, ...]:
    """Raises: ValueError when there are several, but not so many."""
    if len(values) == 1:
        return values * times
    if len(values) != times:
        raise ValueError(f"{len(values)} rounds against {times}")
    return values


def alone(value: float) -> Rounds:
    """One measurement."""
    return Rounds((value,))
