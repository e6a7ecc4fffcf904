"""Slow queries by fingerprint: how often, how long, when, and what was said of the last ones.

The service feeds it as they happen, `geosvc slow` with the lines of a log.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_STATEMENTS = 200
MAX_SAMPLES = 512
LAST_REQUESTS = 5
MINUTES = 60
_LAST = ("plan", "advice", "sql", "args", "route")


@dataclass(slots=True)
class SlowStatement:
    """All slow runs of the statements of one fingerprint.

    Attributes:
        samples: milliseconds of the last MAX_SAMPLES runs, for percentiles.
        minutes: runs by minute, Unix time in minutes.
        last: of the last line of the log: plan, advice, sql, args, route.
        dropped: runs that have no line in the log.
    """

    fingerprint: str
    statement: str
    count: int = 0
    dropped: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    pool_wait_ms: float = 0.0
    db_ms: float = 0.0
    send_ms: float = 0.0
    last_at: float = 0.0
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    minutes: Counter[int] = field(default_factory=Counter)
    collections: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    request_ids: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_REQUESTS))
    last: dict[str, Any] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any], at: float) -> None:
        """Counts one run, by the numbers of its line."""
        self.count += 1
        self.total_ms += line["total_ms"]
        self.max_ms = max(self.max_ms, line["total_ms"])
        self.pool_wait_ms += line["pool_wait_ms"]
        self.db_ms += line["duration_ms"]
        self.send_ms += line["send_ms"]
        self.samples.append(line["total_ms"])
        self.last_at = max(self.last_at, at)
        self.minutes[int(at // 60)] += 1
        if len(self.minutes) > 2 * MINUTES:
            newest = max(self.minutes)
            self.minutes = Counter({minute: n for minute, n in self.minutes.items() if minute > newest - MINUTES})
        for counted, name in ((self.collections, "collection"), (self.operations, "operation"), (self.outcomes, "outcome")):
            if line.get(name) and (line[name] in counted or len(counted) < MAX_STATEMENTS):
                counted[line[name]] += 1
        if line.get("request_id"):
            self.request_ids.append(line["request_id"])

    def tell(self, line: Mapping[str, Any]) -> None:
        """Keeps what the line of the log says."""
        self.last = {name: line.get(name) for name in _LAST}

    def merge(self, other: "SlowStatement") -> None:
        """Adds what another process counted."""
        newer = other.last_at > self.last_at
        self.count += other.count
        self.dropped += other.dropped
        self.total_ms += other.total_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        self.pool_wait_ms += other.pool_wait_ms
        self.db_ms += other.db_ms
        self.send_ms += other.send_ms
        self.samples = deque((*self.samples, *other.samples))
        self.minutes.update(other.minutes)
        self.collections.update(other.collections)
        self.operations.update(other.operations)
        self.outcomes.update(other.outcomes)
        earlier, later = (self, other) if newer else (other, self)
        self.request_ids = deque((*earlier.request_ids, *later.request_ids), maxlen=LAST_REQUESTS)
        self.last_at = max(self.last_at, other.last_at)
        if newer or not self.last:
            self.last = other.last or self.last

    def percentile(self, share: float) -> float:
        """The milliseconds that so large a share of the runs did not exceed."""
        ordered = sorted(self.samples)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0

    def describe(self) -> dict[str, Any]:
        """For JSON and for pages."""
        return {
            "fingerprint": self.fingerprint,
            "statement": self.statement,
            "collections": [name for name, _ in self.collections.most_common()],
            "operations": [name for name, _ in self.operations.most_common()],
            "outcomes": dict(self.outcomes),
            "count": self.count,
            "dropped": self.dropped,
            "total_ms": round(self.total_ms, 1),
            "p50_ms": round(self.percentile(0.5), 1),
            "p95_ms": round(self.percentile(0.95), 1),
            "max_ms": round(self.max_ms, 1),
            "pool_wait_ms": round(self.pool_wait_ms, 1),
            "db_ms": round(self.db_ms, 1),
            "send_ms": round(self.send_ms, 1),
            "last_at": self.last_at,
            "request_ids": list(self.request_ids),
            **{name: self.last.get(name) for name in _LAST},
        }

    def state(self) -> dict[str, Any]:
        """Everything, as JSON can carry it to another process."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "samples": list(self.samples),
            "minutes": list(self.minutes.items()),
            "collections": dict(self.collections),
            "operations": dict(self.operations),
            "outcomes": dict(self.outcomes),
            "request_ids": list(self.request_ids),
            "last": self.last,
        }

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "SlowStatement":
        """From what `state` wrote."""
        return cls(
            **{name: state[name] for name in _NUMBERS},
            samples=deque(state["samples"], maxlen=MAX_SAMPLES),
            minutes=Counter(dict(map(tuple, state["minutes"]))),
            collections=Counter(state["collections"]),
            operations=Counter(state["operations"]),
            outcomes=Counter(state["outcomes"]),
            request_ids=deque(state["request_ids"], maxlen=LAST_REQUESTS),
            last=dict(state["last"]),
        )


_NUMBERS = (
    "fingerprint", "statement", "count", "dropped", "total_ms", "max_ms", "pool_wait_ms", "db_ms", "send_ms", "last_at",
)  # fmt: skip


class Statistics:
    """The slow statements by fingerprint; of more than MAX_STATEMENTS, those that cost least in all are forgotten."""

    def __init__(self) -> None:
        self.by_fingerprint: dict[str, SlowStatement] = {}

    def of(self, fingerprint: str, statement: str) -> SlowStatement:
        """The entry of a fingerprint."""
        found = self.by_fingerprint.get(fingerprint)
        if found is None:
            if len(self.by_fingerprint) >= MAX_STATEMENTS:
                del self.by_fingerprint[min(self.by_fingerprint.values(), key=lambda each: each.total_ms).fingerprint]
            found = self.by_fingerprint[fingerprint] = SlowStatement(fingerprint, statement)
        return found

    def state(self) -> list[dict[str, Any]]:
        """Everything, as JSON can carry it to another process."""
        return [each.state() for each in self.by_fingerprint.values()]


def merge_states(states: Iterable[Sequence[Mapping[str, Any]]]) -> Statistics:
    """What several processes counted, as one."""
    merged = Statistics()
    for state in states:
        for each in map(SlowStatement.of_state, state):
            if each.fingerprint in merged.by_fingerprint:
                merged.by_fingerprint[each.fingerprint].merge(each)
            else:
                merged.by_fingerprint[each.fingerprint] = each
    return merged


def describe_statistics(statistics: Statistics, now: float) -> dict[str, Any]:
    """The statements by their total time, and how many slow runs there were in each of the last MINUTES, oldest first."""
    ordered = sorted(statistics.by_fingerprint.values(), key=lambda each: each.total_ms, reverse=True)
    first = int(now // 60) - MINUTES + 1
    minutes: Counter[int] = Counter()
    for each in ordered:
        minutes.update(each.minutes)
    return {
        "statements": [each.describe() for each in ordered],
        "minutes": [{"at": minute * 60, "count": minutes[minute]} for minute in range(first, first + MINUTES)],
    }
