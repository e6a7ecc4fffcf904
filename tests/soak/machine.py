"""Who used the processors and the memory, from /proc: the service, its children, the database, the
crowds, other programs.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmarks.cpu import family
from benchmarks.memory import resident_bytes

_TICKS = os.sysconf("SC_CLK_TCK")
CHILDREN, REST = "its children", "other programs"

Seconds = Mapping[str, float]


def _used(pid: int) -> tuple[float, float]:
    """Seconds of the processors: of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, user_of_children, system_of_children = (
        int(field) / _TICKS for field in fields[11:15]
    )
    return user + system, user_of_children + system_of_children


def _busy() -> float:
    """Seconds that all processors were at work since the start of the machine."""
    user, nice, system, _, _, irq, softirq = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) / _TICKS


def seconds_used(service: int, others: Mapping[str, int]) -> Seconds:
    """Seconds of the processors so far, by who used them.

    Args:
        service: its process.
        others: the first process of each.
    """
    own, _ = _used(service)
    found = {"the service": own, CHILDREN: sum(sum(_used(pid)) for pid in family(service)) - own}
    found |= {name: sum(sum(_used(each)) for each in family(pid)) for name, pid in others.items()}
    return found | {REST: _busy() - sum(found.values())}


def bytes_with_children(service: int) -> int:
    """Resident memory of the service and of its children, what they share counted for each."""
    found = 0
    for pid in family(service):
        with suppress(OSError):
            found += resident_bytes(pid)
    return found
