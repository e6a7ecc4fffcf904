"""Limits how many lines a minute the slow-query log has for one fingerprint."""

from dataclasses import dataclass

MAX_BURSTS = 1_024  # fingerprints that are counted separately
OTHERS = "others"


@dataclass(slots=True)
class _Burst:
    """The lines of one fingerprint.

    Attributes:
        allowed: how many lines it may still have.
        dropped: the slow queries without a line since the last line.
    """

    allowed: float
    refilled_at: float
    dropped: int = 0
    dropped_at: float = 0.0


class Sampler:
    """A token bucket for each fingerprint, which also counts the queries that get no line.

    Args:
        lines_per_minute: for one fingerprint; all of them may come at once.
    """

    def __init__(self, lines_per_minute: int) -> None:
        self._lines = float(lines_per_minute)
        self.bursts: dict[str, _Burst] = {}

    def admits(self, fingerprint: str, now: float) -> bool:
        """Whether a slow query of this fingerprint gets a line."""
        burst = self.bursts.get(fingerprint)
        if burst is None:
            self._make_room(now)
            if len(self.bursts) >= MAX_BURSTS:
                fingerprint = OTHERS
            new_burst = _Burst(self._lines, now)
            burst = self.bursts.setdefault(fingerprint, new_burst)
        refill = (now - burst.refilled_at) * self._lines / 60
        burst.allowed = min(burst.allowed + refill, self._lines)
        burst.refilled_at = now
        if burst.allowed < 1:
            self.drop(fingerprint, now)
            return False
        burst.allowed -= 1
        return True

    def _make_room(self, now: float) -> None:
        """Removes bursts that are full again, if there are too many."""
        if len(self.bursts) < MAX_BURSTS:
            return
        recent: dict[str, _Burst] = {}
        for fingerprint, burst in self.bursts.items():
            if burst.dropped or now - burst.refilled_at < 60:
                recent[fingerprint] = burst
        self.bursts = recent

    def drop(self, fingerprint: str, now: float) -> None:
        """Counts a slow query that gets no line."""
        burst = self.bursts.get(fingerprint) or self.bursts[OTHERS]
        burst.dropped += 1
        burst.dropped_at = now

    def take_dropped(self, fingerprint: str) -> int:
        """The number of queries without a line since the last call."""
        burst = self.bursts.get(fingerprint)
        if burst is None:
            return 0
        dropped = burst.dropped
        burst.dropped = 0
        return dropped
