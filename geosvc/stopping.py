"""`Stop`: how far the service is in its stop, and how long that may still take.

One for both listeners and the pools.
"""

from dataclasses import dataclass
from math import inf
from time import monotonic

CUTTING_SHARE = 0.1
MAX_CUTTING_SECONDS = 2.0


@dataclass(slots=True)
class Stop:
    """The stop of a service.

    Attributes:
        begun: whether a signal has come. Listeners may go on for a while; every answer is the last
            of its connection.
        ends_at: when all is over, by the monotonic clock.
        cutting_seconds: of the grace time, what is kept to cancel requests that do not end and to
            close the pools.
    """

    begun: bool = False
    ends_at: float = inf
    cutting_seconds: float = 0.0

    def start_grace(self, seconds: float) -> None:
        """No more requests are taken; everything ends within so many seconds."""
        self.begun = True
        self.ends_at = monotonic() + seconds
        self.cutting_seconds = min(seconds * CUTTING_SHARE, MAX_CUTTING_SECONDS)

    def left(self, most: float = inf) -> float:
        """Seconds until the end, `most` at the most."""
        return max(min(self.ends_at - monotonic(), most), 0.0)

    def left_for_requests(self) -> float:
        """Seconds until requests that have not ended are cut off."""
        return max(self.left() - self.cutting_seconds, 0.0)
