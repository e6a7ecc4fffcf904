"""The processor time that processes use: on a shared machine the figure that holds still."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_NANOSECONDS = 1e9


def seconds_of_process(pid: int) -> float:
    """What all threads of a process have used; 0 when it has ended."""
    seconds = 0.0
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            seconds += float((thread / "schedstat").read_text().split()[0]) / _NANOSECONDS
    except OSError:
        return seconds
    return seconds


def seconds_of_family(pid: int) -> float:
    """What a process and those that descend from it have used that are still there."""
    return sum(map(seconds_of_process, family(pid)))


def family(pid: int) -> Iterator[int]:
    """A process and those that descend from it."""
    yield pid
    with suppress(OSError):
        for child in _children(pid):
            yield from family(child)


def seconds_of_server(backend: int) -> float:
    """What the processes of a PostgreSQL server have used that are still there.

    Args:
        backend: the process of any session of it.
    """
    fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
    postmaster = int(fields[1])
    return sum(map(seconds_of_process, _children(postmaster)))


def _children(pid: int) -> Iterator[int]:
    """Raises: OSError when the process has ended."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (thread / "children").read_text().split())
