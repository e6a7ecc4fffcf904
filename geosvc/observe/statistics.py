"""Statistics of slow queries by fingerprint: count, times, minutes, and fields of the last line.

The service adds queries when they end, `geosvc slow` adds the lines of a log.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any

from geosvc.trace import origin_of

MAX_STATEMENTS = 200
MAX_SAMPLES = 512
LAST_REQUESTS = 5
MINUTES = 60
_LAST = ("cause", "plan", "advice", "sql", "args", "route", "user_agent")
MOST_CLIENTS = 5  # that the description of a statement names
STATEMENT_MINUTES = 2 * MINUTES  # a statement keeps; more are pruned


@dataclass(slots=True)
class SlowStatement:
    """All slow runs of the statements of one fingerprint.

    Attributes:
        samples: the milliseconds of the last MAX_SAMPLES runs, for percentiles.
        minutes: the number of runs by minute, Unix time in minutes.
        shape: the parts of the statement that others of its name do not have.
        clients: the number of runs by the address of the client.
        last: fields of the last line: cause, plan, advice, sql, args, route, user agent.
        dropped: the number of runs without a line in the log.
    """

    fingerprint: str
    statement: str
    shape: str = ""
    count: int = 0
    dropped: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0
    pool_wait_ms: float = 0.0
    db_ms: float = 0.0
    other_db_ms: float = 0.0
    encode_ms: float = 0.0
    send_ms: float = 0.0
    last_at: float = 0.0
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    minutes: Counter[int] = field(default_factory=Counter)
    collections: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    clients: Counter[str] = field(default_factory=Counter)
    request_ids: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_REQUESTS))
    last: dict[str, Any] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any], at: float) -> None:
        """Adds one run.

        Args:
            line: the fields of its line in the log.
            at: Unix time.
        """
        self.count += 1
        self.total_ms += line["total_ms"]
        self.max_ms = max(self.max_ms, line["total_ms"])
        self.pool_wait_ms += line["pool_wait_ms"]
        self.db_ms += line["duration_ms"]
        self.other_db_ms += line.get("other_db_ms") or 0.0
        self.encode_ms += line.get("encode_ms") or 0.0
        self.shape = line.get("shape") or self.shape
        self.send_ms += line["send_ms"]
        self.samples.append(line["total_ms"])
        self.last_at = max(self.last_at, at)
        self.minutes[int(at // 60)] += 1
        if len(self.minutes) > STATEMENT_MINUTES:
            self._prune_minutes()
        for name in _COUNTED:
            value = line.get(name)
            if value:
                _count(getattr(self, f"{name}s"), value)
        if line.get("request_id"):
            self.request_ids.append(line["request_id"])

    def _prune_minutes(self) -> None:
        """Keeps the newest MINUTES."""
        oldest = max(self.minutes) - MINUTES
        for minute in list(self.minutes):
            if minute <= oldest:
                del self.minutes[minute]

    def keep_last(self, line: Mapping[str, Any]) -> None:
        """Keeps fields of the last line in the log."""
        self.last = {name: line.get(name) for name in _LAST}

    def merge(self, other: "SlowStatement") -> None:
        """Adds the runs of the same statement in another process."""
        newer = other.last_at > self.last_at
        self.count += other.count
        self.dropped += other.dropped
        self.total_ms += other.total_ms
        self.max_ms = max(self.max_ms, other.max_ms)
        self.pool_wait_ms += other.pool_wait_ms
        self.db_ms += other.db_ms
        self.other_db_ms += other.other_db_ms
        self.encode_ms += other.encode_ms
        self.shape = self.shape or other.shape
        self.send_ms += other.send_ms
        self.samples = deque((*self.samples, *other.samples))
        self.minutes.update(other.minutes)
        for name in _COUNTED:
            getattr(self, f"{name}s").update(getattr(other, f"{name}s"))
        request_ids = [*other.request_ids, *self.request_ids]
        if newer:
            request_ids = [*self.request_ids, *other.request_ids]
        self.request_ids = deque(request_ids, maxlen=LAST_REQUESTS)
        self.last_at = max(self.last_at, other.last_at)
        if newer or not self.last:
            self.last = other.last or self.last

    def percentile(self, share: float) -> float:
        """The milliseconds that this share of the runs did not exceed; 0 without runs."""
        if not self.samples:
            return 0.0
        ordered = sorted(self.samples)
        last = len(ordered) - 1
        index = int(share * len(ordered))
        return ordered[min(index, last)]

    def _most_clients(self) -> list[dict[str, Any]]:
        """The clients with the most runs, those with equally many by their address."""
        by_address = sorted(self.clients.items())
        by_count = sorted(by_address, key=itemgetter(1), reverse=True)
        clients: list[dict[str, Any]] = []
        for address, count in by_count[:MOST_CLIENTS]:
            clients.append({"client": address, "count": count})
        return clients

    def describe(self) -> dict[str, Any]:
        """The statement for JSON and for pages."""
        return {
            "fingerprint": self.fingerprint,
            "statement": self.statement,
            "shape": self.shape,
            "origin": origin_of(self.statement),
            "collections": [name for name, _ in self.collections.most_common()],
            "operations": [name for name, _ in self.operations.most_common()],
            "outcomes": dict(self.outcomes),
            "clients": self._most_clients(),
            "count": self.count,
            "dropped": self.dropped,
            "total_ms": round(self.total_ms, 1),
            "p50_ms": round(self.percentile(0.5), 1),
            "p95_ms": round(self.percentile(0.95), 1),
            "max_ms": round(self.max_ms, 1),
            "pool_wait_ms": round(self.pool_wait_ms, 1),
            "db_ms": round(self.db_ms, 1),
            "other_db_ms": round(self.other_db_ms, 1),
            "encode_ms": round(self.encode_ms, 1),
            "send_ms": round(self.send_ms, 1),
            "last_at": self.last_at,
            "request_ids": list(self.request_ids),
            **{name: self.last.get(name) for name in _LAST},
        }

    def state(self) -> dict[str, Any]:
        """All fields as values that JSON can write, for another process."""
        state: dict[str, Any] = {
            "samples": list(self.samples),
            "minutes": list(self.minutes.items()),
            "request_ids": list(self.request_ids),
            "last": self.last,
        }
        for name in _SIMPLE_FIELDS:
            state[name] = getattr(self, name)
        for name in _COUNTED:
            state[f"{name}s"] = dict(getattr(self, f"{name}s"))
        return state

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> "SlowStatement":
        """The statement whose `state` this is."""
        fields: dict[str, Any] = {name: state[name] for name in _SIMPLE_FIELDS}
        for name in _COUNTED:
            fields[f"{name}s"] = Counter(state[f"{name}s"])
        fields["samples"] = deque(state["samples"], maxlen=MAX_SAMPLES)
        fields["request_ids"] = deque(state["request_ids"], maxlen=LAST_REQUESTS)
        fields["minutes"] = Counter(dict(state["minutes"]))
        fields["last"] = dict(state["last"])
        return cls(**fields)


_COUNTED = ("collection", "operation", "outcome", "client")
_SIMPLE_FIELDS = (
    "fingerprint",
    "statement",
    "shape",
    "count",
    "dropped",
    "total_ms",
    "max_ms",
    "pool_wait_ms",
    "db_ms",
    "other_db_ms",
    "encode_ms",
    "send_ms",
    "last_at",
)


def _count(counts: Counter[str], value: str) -> None:
    """Counts a value; a new one only if there are not too many."""
    if value in counts or len(counts) < MAX_STATEMENTS:
        counts[value] += 1


class Statistics:
    """The slow statements by fingerprint.

    There are at most MAX_STATEMENTS: a new one replaces the one with the least total time.
    """

    def __init__(self) -> None:
        self.by_fingerprint: dict[str, SlowStatement] = {}

    def of(self, fingerprint: str, statement: str) -> SlowStatement:
        """The entry of a fingerprint; a new one if there is none."""
        entry = self.by_fingerprint.get(fingerprint)
        if entry is None:
            if len(self.by_fingerprint) >= MAX_STATEMENTS:
                cheapest = min(self.by_fingerprint.values(), key=attrgetter("total_ms"))
                del self.by_fingerprint[cheapest.fingerprint]
            entry = SlowStatement(fingerprint, statement)
            self.by_fingerprint[fingerprint] = entry
        return entry

    def state(self) -> list[dict[str, Any]]:
        """All statements as values that JSON can write, for another process."""
        return [entry.state() for entry in self.by_fingerprint.values()]


def merge_states(states: Iterable[Sequence[Mapping[str, Any]]]) -> Statistics:
    """The statistics of several processes together."""
    merged = Statistics()
    for state in states:
        for entry_state in state:
            entry = SlowStatement.of_state(entry_state)
            present = merged.by_fingerprint.setdefault(entry.fingerprint, entry)
            if present is not entry:
                present.merge(entry)
    return merged


def describe_statistics(statistics: Statistics, now: float) -> dict[str, Any]:
    """The statements by their total time, and the number of slow runs in each minute.

    Args:
        now: Unix time; the last MINUTES before it are described, the oldest first.
    """
    statements = sorted(
        statistics.by_fingerprint.values(), key=attrgetter("total_ms"), reverse=True
    )
    runs: Counter[int] = Counter()
    for statement in statements:
        runs.update(statement.minutes)
    end = int(now // 60) + 1
    minutes: list[dict[str, int]] = []
    for minute in range(end - MINUTES, end):
        minutes.append({"at": minute * 60, "count": runs[minute]})
    return {
        "statements": [statement.describe() for statement in statements],
        "minutes": minutes,
    }
