"""The slow-query log: which statements are slow, which of them get a line, and what the line says.

Deciding is synchronous and cheap. What gets a line goes through a bounded queue to one task, which asks for the plan; so a
storm of slow queries costs a few counters each (docs/decisions/0013).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from time import monotonic, time
from typing import Any

from geosvc.events import QueryEnded, RequestEnded, SlowQueriesDropped, SlowQuery, emit, report_failure, subscribe
from geosvc.observe.advice import Evidence, advise
from geosvc.observe.diagnosis import NOTHING, Diagnoser
from geosvc.observe.metrics import Counter
from geosvc.observe.plan import write_plan
from geosvc.observe.statistics import Statistics
from geosvc.redaction import describe_args, show_args, size_of
from geosvc.settings import Settings
from geosvc.sql.literals import fingerprint, normalise
from geosvc.trace import Run, Trace, current_trace

QUEUE_LINES = 256
MAX_BURSTS = 1_024  # fingerprints that are told apart when lines are counted
OTHERS = "others"
MAX_ARGS_BYTES = 256 << 10  # larger arguments are not kept for EXPLAIN
SWEEP_SECONDS = 2.0
QUIET_SECONDS = 10.0  # after which a burst is over
WAIT_FOR_REQUEST_SECONDS = 30.0
CLOSE_SECONDS = 2.0
OPERATIONS = "operations."  # statements of the telemetry itself, which are not told of


class Thresholds:
    """From how many seconds on a query is slow: a collection's own threshold, else its route's, else that of all."""

    def __init__(self, settings: Settings) -> None:
        self._all = settings.slow_query_ms / 1000
        self._routes = {name: each / 1000 for name, each in settings.slow_query_ms_by_route.items()}
        self._collections = {
            name: each.slow_query_ms / 1000 for name, each in settings.collections.items() if each.slow_query_ms is not None
        }
        self.least = min(self._all, *self._routes.values(), *self._collections.values(), self._all)

    def of(self, trace: Trace | None) -> float:
        """The threshold of a request; of what belongs to none, that of all."""
        if trace is None:
            return self._all
        own = self._collections.get(trace.collection or "")
        if own is not None:
            return own
        return self._routes.get(trace.operation or "", self._routes.get(trace.route or "", self._all))


@dataclass(slots=True)
class _Burst:
    """The lines of one fingerprint: how many it may still write, and how many it could not since the last one."""

    allowed: float
    refilled_at: float
    dropped: int = 0
    dropped_at: float = 0.0


class Sampler:
    """Lets so many lines of a fingerprint through in a minute, at once or one by one, and counts the others."""

    def __init__(self, lines_per_minute: int) -> None:
        self._lines = float(lines_per_minute)
        self.bursts: dict[str, _Burst] = {}

    def admits(self, print_: str, now: float) -> bool:
        """Whether there is a line for a slow query of this fingerprint."""
        burst = self.bursts.get(print_)
        if burst is None:
            if len(self.bursts) >= MAX_BURSTS:
                self.bursts = {name: each for name, each in self.bursts.items() if each.dropped or now - each.refilled_at < 60}
            print_ = print_ if len(self.bursts) < MAX_BURSTS else OTHERS
            burst = self.bursts.get(print_)
        if burst is None:
            burst = self.bursts[print_] = _Burst(self._lines, now)
        burst.allowed = min(burst.allowed + (now - burst.refilled_at) * self._lines / 60, self._lines)
        burst.refilled_at = now
        if burst.allowed < 1:
            self.drop(print_, now)
            return False
        burst.allowed -= 1
        return True

    def drop(self, print_: str, now: float) -> None:
        """Counts one that has no line."""
        burst = self.bursts.get(print_) or self.bursts[OTHERS]
        burst.dropped += 1
        burst.dropped_at = now

    def take_dropped(self, print_: str) -> int:
        """How many had no line since the last call."""
        burst = self.bursts.get(print_)
        if burst is None:
            return 0
        dropped, burst.dropped = burst.dropped, 0
        return dropped


@dataclass(frozen=True, slots=True)
class Case:
    """A slow query that gets a line, with arguments while they are needed for its plan."""

    text: str
    args: Sequence[object] | None
    offset: int
    pool_was_full: bool
    fields: Mapping[str, Any]


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def numbers_of(run: Run, threshold: float) -> dict[str, Any]:
    """The fields of a slow query's line that are there without asking anybody."""
    trace = run.trace
    return {
        "request_id": trace.request_id if trace else None,
        "method": trace.method if trace else None,
        "route": trace.route if trace else None,
        "collection": trace.collection if trace else None,
        "operation": trace.operation if trace else None,
        "statement": run.name,
        "duration_ms": _ms(run.seconds),
        "pool_wait_ms": _ms(run.pool_seconds),
        "other_db_ms": _ms(max(trace.db_seconds - run.seconds, 0.0)) if trace else 0.0,
        "encode_ms": _ms(trace.encode_seconds) if trace else 0.0,
        "send_ms": _ms(trace.send_seconds) if trace else 0.0,
        "total_ms": _ms(max(run.total_seconds, trace.total_seconds if trace else 0.0)),
        "rows": run.rows,
        "bytes": trace.bytes if trace else 0,
        "outcome": run.outcome,
        "sqlstate": run.sqlstate,
        "threshold_ms": _ms(threshold),
    }


class SlowQueries:
    """Watches for slow queries from `start` to `close`.

    Args:
        slow, dropped: count those above their threshold, and those without a line.
        diagnoser: None when plans are not wanted.
    """

    def __init__(self, settings: Settings, diagnoser: Diagnoser | None, slow: Counter, dropped: Counter) -> None:
        self.statistics = Statistics()
        self._thresholds = Thresholds(settings)
        self._sampler = Sampler(settings.slow_query_lines_per_minute)
        self._settings = settings
        self._diagnoser = diagnoser
        self._slow = slow
        self._dropped = dropped
        self._queue: asyncio.Queue[Case] = asyncio.Queue(QUEUE_LINES)
        self._pending: dict[int, tuple[float, Trace]] = {}
        self._ends: tuple[Callable[[], None], ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._telling: Case | None = None

    def start(self) -> None:
        """Begins to watch."""
        self._ends = (subscribe(self._see_query, QueryEnded), subscribe(self._see_request, RequestEnded))
        self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Stops watching; what waits for its plan is told without one."""
        for end in self._ends:
            end()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for _, trace in list(self._pending.values()):
            self._take_all(trace)
        self._diagnoser = None
        if self._telling is not None:
            await self._tell(self._telling)
        while not self._queue.empty():
            await self._tell(self._queue.get_nowait())
        self._sweep(everything=True)

    def _see_query(self, event: Any) -> None:
        run = event.run
        seconds = run.pool_seconds + run.seconds
        if seconds < self._thresholds.least or seconds < self._thresholds.of(run.trace):
            return
        trace = run.trace
        if trace is None or trace.ended:
            self._take(run)
            return
        # told when the request is over, with what it took to send
        trace.slow = [*(trace.slow or ()), run]
        self._pending[id(trace)] = (monotonic(), trace)

    def _see_request(self, event: Any) -> None:
        trace = event.trace
        if trace.total_seconds < self._thresholds.least:
            return
        if trace.slow is not None:
            self._take_all(trace)
        elif trace.heaviest is not None and trace.total_seconds >= self._thresholds.of(trace):
            self._take(trace.heaviest)

    def _take_all(self, trace: Trace) -> None:
        self._pending.pop(id(trace), None)
        for run in trace.slow or ():
            self._take(run)
        trace.slow = None

    def _take(self, run: Run) -> None:
        if run.reported or run.name.startswith(OPERATIONS):
            return
        run.reported = True
        trace, now = run.trace, monotonic()
        self._slow.add((run.name, (trace.operation or "") if trace else "", (trace.collection or "") if trace else ""))
        print_ = fingerprint(run.text)
        fields = {"fingerprint": print_, **numbers_of(run, self._thresholds.of(trace))}
        entry = self.statistics.of(print_, run.name)
        entry.add(fields, time())
        if not self._sampler.admits(print_, now):
            entry.dropped += 1
            self._dropped.add(("sampled",))
            return
        fields["shared_with"] = [each.request_id for each in run.shared]
        describe = describe_args(run.text, run.args) if self._settings.slow_query_args == "redacted" else show_args(run.args)
        fields["args"] = describe
        args = run.args if size_of(run.args) <= MAX_ARGS_BYTES else None
        try:
            self._queue.put_nowait(Case(run.text, args, _offset_of(run), run.pool_was_full, fields))
        except asyncio.QueueFull:
            self._sampler.drop(print_, now)
            entry.dropped += 1
            self._dropped.add(("queue full",))

    async def _work(self) -> None:
        current_trace.set(None)
        while True:
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    case = await self._queue.get()
            except TimeoutError:
                self._sweep()
            else:
                self._telling = case
                try:
                    await self._tell(case)
                except Exception as error:  # one line that cannot be written must not be the last
                    report_failure("slow-query log", f"{type(error).__name__}: {error}")
                self._telling = None

    async def _tell(self, case: Case) -> None:
        diagnosis, fields = NOTHING, case.fields
        print_ = fields["fingerprint"]
        if self._diagnoser is not None:
            diagnosis = await self._diagnoser.diagnose(print_, case.text, case.args)
        evidence = Evidence(
            pool_wait_ms=fields["pool_wait_ms"],
            duration_ms=fields["duration_ms"],
            send_ms=fields["send_ms"],
            total_ms=fields["total_ms"],
            rows=fields["rows"],
            bytes=fields["bytes"],
            offset=case.offset,
            pool_max_size=self._settings.pool_max_size,
            pool_was_full=case.pool_was_full,
            plan=diagnosis.plan,
            relations=diagnosis.relations,
            functions=diagnosis.functions,
            work_mem_bytes=diagnosis.work_mem_bytes,
            vertices=diagnosis.vertices,
        )
        event = SlowQuery(
            **fields,
            sql=normalise(case.text),
            plan=write_plan(diagnosis.plan) if diagnosis.plan is not None else None,
            advice=[each.as_fields() for each in advise(evidence)],
            dropped=self._sampler.take_dropped(print_),
        )
        if print_ in self.statistics.by_fingerprint:
            self.statistics.by_fingerprint[print_].tell(asdict(event))
        emit(event)

    def _sweep(self, everything: bool = False) -> None:
        """Tells of bursts that are over, and of slow statements whose requests do not end."""
        now = monotonic()
        for since, trace in list(self._pending.values()):
            if now - since > WAIT_FOR_REQUEST_SECONDS:
                self._take_all(trace)
        for print_, burst in self._sampler.bursts.items():
            if burst.dropped and (everything or now - burst.dropped_at > QUIET_SECONDS):
                entry = self.statistics.by_fingerprint.get(print_)
                dropped = self._sampler.take_dropped(print_)
                emit(SlowQueriesDropped(fingerprint=print_, statement=entry.statement if entry else "", dropped=dropped))


def _offset_of(run: Run) -> int:
    """How many rows the statement skips: OFFSET is its last clause, and its argument the last one."""
    _, offset, number = run.text.rpartition(" OFFSET $")
    if not offset:
        return 0
    value = run.args[int(number.partition(":")[0]) - 1]
    return value if isinstance(value, int) else 0
