"""What every benchmark is given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.boxes import Box
from benchmarks.contest import Effort
from benchmarks.plans import Planner

CLIENTS = 16


@dataclass(frozen=True, slots=True)
class Arena:
    """The database, what geosvc plans in it, and how much is measured.

    Attributes:
        say: tells the one who waits what is being measured.
    """

    url: str
    planner: Planner
    boxes: Sequence[Box]
    effort: Effort
    say: Callable[[str], None]
