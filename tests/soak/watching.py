"""What a service and its visitors went through: every answer, and a sample of the service now and
then.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from time import monotonic

from benchmarks.memory import peak_bytes, resident_bytes
from tests.holding import Holds
from tests.soak.machine import Seconds, bytes_with_children
from tests.soak.visitors import TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Visit:
    """One request.

    Attributes:
        at: when it was due, seconds from the begin.
        status: 0 when there was no answer.
        late: seconds that the client itself was late with it.
        seconds: until the answer was there, since it was due.
    """

    at: float
    what: str
    status: int
    late: float
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the visitor did not get what it asked for."""
        return not 200 <= self.status < 300

    @property
    def cost(self) -> float:
        """Seconds that it took; a failure counts as the longest that anybody waits, however soon it
        came.
        """
        return TIMEOUT_SECONDS if self.failed else self.seconds


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one moment.

    Attributes:
        resident_bytes: of the service.
        peak_bytes: the most that the service has ever had, by the kernel's account.
        family_bytes: with the children that read large bodies.
        files: that it has open.
    """

    at: float
    resident_bytes: int
    peak_bytes: int
    family_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Phase:
    """A while, and what the processors did in it.

    Attributes:
        begin: seconds from the begin; the time in which strangers come or leave is left out.
        used: seconds of the processors, by who used them.
        hold: the longest of the event loop, seconds.
    """

    name: str
    begin: float
    end: float
    used: Seconds
    hold: float


@dataclass(frozen=True, slots=True)
class Reading:
    """The counters at one moment."""

    at: float
    used: Seconds
    holds: Holds


@dataclass(slots=True)
class Story:
    """Everything that was seen."""

    began: float = field(default_factory=monotonic)
    visits: list[Visit] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)
    visited: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    @property
    def now(self) -> float:
        """Seconds from the begin."""
        return monotonic() - self.began

    def listen(self, lines: Iterable[str]) -> None:
        """Takes what the visitors tell until they end. The clock of all processes is the same."""
        for line in lines:
            what, status, due, late, seconds = json.loads(line)
            with self._lock:
                self.visits.append(Visit(due - self.began, what, status, late, seconds))
            self.visited.set()

    def look(self, pid: int) -> None:
        """Takes a sample of the process."""
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        self.samples.append(
            Sample(self.now, resident_bytes(pid), peak_bytes(pid), bytes_with_children(pid), files)
        )

    def between(self, begin: float, end: float) -> list[Visit]:
        """The requests that were due within this time."""
        with self._lock:
            return [visit for visit in self.visits if begin <= visit.at < end]

    def samples_of(self, phase: Phase) -> list[Sample]:
        """The samples within a phase."""
        return [sample for sample in self.samples if phase.begin <= sample.at < phase.end]

    def peak_bytes(self) -> int:
        """The most memory of the service, between the samples too."""
        return max(sample.peak_bytes for sample in self.samples)

    def family_bytes(self) -> int:
        """The most of the service and its children together, of all samples."""
        return max(sample.family_bytes for sample in self.samples)


def quantile(values: Iterable[float], share: float) -> float:
    """The value below which this share of them is; 0 when there are none."""
    ordered: Sequence[float] = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0
