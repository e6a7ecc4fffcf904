"""The processor time that processes use: on a shared machine the figure that holds still."""

from collections.abc import Iterator
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


def seconds_of_server(backend: int) -> float:
    """What the processes of a PostgreSQL server have used that are still there.

    Args:
        backend: the process of any session of it.
    """
    postmaster = int(_fields(backend)[1])
    return sum(map(seconds_of_process, _children(postmaster)))


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name; the first is the state."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _children(pid: int) -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            yield int(status.parent.name)
