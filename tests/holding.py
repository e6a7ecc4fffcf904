"""How long a service held its event loop, from its metric."""

import re
import urllib.request
from collections.abc import Mapping

_BUCKET = re.compile(
    r'geosvc_event_loop_held_seconds_bucket\{le="([^"]+)",worker="0"\} ([0-9.e+]+)'
)

Holds = Mapping[float, float]


def holds_of(admin_url: str) -> Holds:
    """How many holds there were up to each bound of the metric, seconds, since the start."""
    with urllib.request.urlopen(f"{admin_url}/metrics", timeout=60) as response:
        found = _BUCKET.findall(response.read().decode())
    return {float(bound): float(count) for bound, count in found}


def longest_hold(now: Holds, before: Holds | None = None) -> float:
    """The bound of the bucket that the longest is in, seconds.

    Args:
        before: those that are left out.
    """
    counts = {bound: count - (before or {}).get(bound, 0.0) for bound, count in now.items()}
    return min(bound for bound, count in counts.items() if count == max(counts.values()))
