"""The slow-query log: which statements are slow, and which of them get a line.

The decision is synchronous and cheap. A query that gets a line goes through a bounded queue to one
task, which asks for the plan. So many slow queries at once cost only a few counters each
(docs/decisions/0013).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import monotonic, time
from typing import Any

from geosvc.advice.evidence import Diagnosis, Evidence
from geosvc.advice.plan_text import write_plan
from geosvc.advice.rules import advise
from geosvc.background import start_background, stop_background
from geosvc.events import (
    QueryEnded,
    RequestEnded,
    SlowQueriesDropped,
    SlowQuery,
    emit,
    report_failure,
    subscribe,
)
from geosvc.observe.diagnosis import Diagnoser
from geosvc.observe.metrics import Counter
from geosvc.observe.slow_fields import main_cause, measured_fields, offset_of
from geosvc.observe.slow_sampler import Sampler
from geosvc.observe.slow_threshold import Thresholds
from geosvc.observe.statistics import Statistics
from geosvc.redaction import describe_args, show_args, size_of
from geosvc.requests.client import Clients
from geosvc.settings import Settings
from geosvc.sql.literals import fingerprint, normalise
from geosvc.trace import Run, Trace, current_trace

QUEUE_LINES = 256
MAX_TEXT = 1 << 14  # characters of a statement that are logged and explained
MAX_ARGS_SHOWN = 200
MAX_ARGS_BYTES = 256 << 10  # larger arguments are not kept for EXPLAIN
SWEEP_SECONDS = 2.0
QUIET_SECONDS = 10.0  # a burst without a query for so long is over
WAIT_FOR_REQUEST_SECONDS = 30.0
ENDLESS = "getChanges"  # its client ends this stream: only its statements are measured
OPERATIONS = "operations."  # statements of the telemetry itself, which are not logged


@dataclass(frozen=True, slots=True)
class SlowQueryCase:
    """A slow query that gets a line.

    Attributes:
        args: of the statement, for its plan; None when they are too large.
        offset: the number of rows that the statement skips.
        fields: of the line, as far as they are known without the plan.
    """

    text: str
    args: Sequence[object] | None
    offset: int
    pool_was_full: bool
    fields: Mapping[str, Any]


class SlowQueries:
    """Writes the slow-query log from `start` to `close`.

    Args:
        diagnoser: asks for plans; None when plans are disabled.
        slow: counts the queries above their threshold.
        dropped: counts those of them that get no line.
    """

    def __init__(
        self, settings: Settings, diagnoser: Diagnoser | None, slow: Counter, dropped: Counter
    ) -> None:
        self.statistics = Statistics()
        self._thresholds = Thresholds(settings)
        self._sampler = Sampler(settings.slow_query_lines_per_minute)
        self._settings = settings
        self._clients = Clients(settings.log_clients, settings.trusted_proxies)
        self._diagnoser = diagnoser
        self._slow = slow
        self._dropped = dropped
        self._queue: asyncio.Queue[SlowQueryCase] = asyncio.Queue(QUEUE_LINES)
        self._pending: dict[int, tuple[float, Trace]] = {}
        self._unsubscribe: tuple[Callable[[], None], ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._current: SlowQueryCase | None = None

    def start(self) -> None:
        """Subscribes to the ends of queries and requests, and starts the task."""
        self._unsubscribe = (
            subscribe(self._on_query_end, QueryEnded),
            subscribe(self._on_request_end, RequestEnded),
        )
        self._task = start_background(self._report_queued)

    async def close(self) -> None:
        """Ends the log; queries that wait for their plan are reported without one."""
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        if self._task is not None:
            await stop_background(self._task)
        for _, trace in list(self._pending.values()):
            self._take_all(trace)
        self._diagnoser = None
        if self._current is not None:
            await self._report(self._current)
        while not self._queue.empty():
            await self._report(self._queue.get_nowait())
        self._report_dropped(is_closing=True)

    def _on_query_end(self, event: Any) -> None:
        run = event.run
        seconds = run.pool_seconds + run.seconds
        if seconds < self._thresholds.least:
            return
        if seconds < self._thresholds.of_run(run):
            return
        trace = run.trace
        if trace is None or trace.ended:
            self._take(run)
            return
        # it is reported at the end of the request, with the time of sending
        trace.slow = [*(trace.slow or ()), run]
        self._pending[id(trace)] = (monotonic(), trace)

    def _on_request_end(self, event: Any) -> None:
        trace = event.trace
        if trace.total_seconds < self._thresholds.least:
            return
        if trace.slow is not None:
            self._take_all(trace)
            return
        heaviest = trace.heaviest
        if heaviest is None or trace.operation == ENDLESS:
            return
        if trace.total_seconds >= self._thresholds.of_run(heaviest):
            self._take(heaviest)

    def _take_all(self, trace: Trace) -> None:
        self._pending.pop(id(trace), None)
        for run in trace.slow or ():
            self._take(run)
        trace.slow = None

    def _take(self, run: Run) -> None:
        """Counts a slow query, and queues it if it gets a line."""
        if run.reported or run.name.startswith(OPERATIONS):
            return
        run.reported = True
        # A filter can make a statement of a megabyte. Its EXPLAIN would take longer than itself.
        text = run.text
        is_cut = len(text) > MAX_TEXT
        if is_cut:
            text = f"{text[:MAX_TEXT]} …"
        print_ = fingerprint(text)
        fields = self._fields_of(run, print_)
        operation = fields["operation"] or ""
        collection = fields["collection"] or ""
        self._slow.add((run.name, operation, collection, run.origin))
        entry = self.statistics.of(print_, run.name)
        entry.add(fields, time())
        now = monotonic()
        if not self._sampler.admits(print_, now):
            entry.dropped += 1
            self._dropped.add(("sampled",))
            return
        fields["shared_with"] = [trace.request_id for trace in run.shared]
        fields["args"] = self._describe_args(text, run.args)
        args = None
        if not is_cut and size_of(run.args) <= MAX_ARGS_BYTES:
            args = run.args
        case = SlowQueryCase(
            text=text,
            args=args,
            offset=offset_of(run),
            pool_was_full=run.pool_was_full,
            fields=fields,
        )
        try:
            self._queue.put_nowait(case)
        except asyncio.QueueFull:
            self._sampler.drop(print_, now)
            entry.dropped += 1
            self._dropped.add(("queue full",))

    def _fields_of(self, run: Run, print_: str) -> dict[str, Any]:
        threshold = self._thresholds.of_run(run)
        fields: dict[str, Any] = {"fingerprint": print_}
        fields.update(measured_fields(run, threshold))
        fields.update(self._client_fields(run.trace))
        return fields

    def _client_fields(self, trace: Trace | None) -> Mapping[str, Any]:
        if trace is None:
            return self._clients.describe(None, None, None)
        return self._clients.describe(trace.peer, trace.forwarded_for, trace.user_agent)

    def _describe_args(self, text: str, args: Sequence[object]) -> Any:
        shown = args[:MAX_ARGS_SHOWN]
        if self._settings.slow_query_args == "redacted":
            return describe_args(text, shown)
        return show_args(shown)

    async def _report_queued(self) -> None:
        current_trace.set(None)
        while True:
            try:
                async with asyncio.timeout(SWEEP_SECONDS):
                    case = await self._queue.get()
            except TimeoutError:
                self._report_dropped()
                continue
            self._current = case
            try:
                await self._report(case)
            except Exception as error:  # the lines after one that fails must still be written
                report_failure("slow-query log", f"{type(error).__name__}: {error}")
            self._current = None

    async def _report(self, case: SlowQueryCase) -> None:
        """Writes the line of a slow query, with its plan and advice."""
        fields = case.fields
        print_ = fields["fingerprint"]
        diagnosis = Diagnosis()
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
            diagnosis=diagnosis,
        )
        plan: Sequence[str] | None = None
        if diagnosis.plan is not None:
            plan = write_plan(diagnosis.plan)
        event = SlowQuery(
            **fields,
            cause=main_cause(fields),
            sql=normalise(case.text),
            plan=plan,
            advice=[advice.as_fields() for advice in advise(evidence)],
            dropped=self._sampler.take_dropped(print_),
        )
        entry = self.statistics.by_fingerprint.get(print_)
        if entry is not None:
            entry.keep_last(asdict(event))
        emit(event)

    def _report_dropped(self, is_closing: bool = False) -> None:
        """Reports bursts that are over, and slow statements whose requests do not end."""
        now = monotonic()
        for since, trace in list(self._pending.values()):
            if now - since > WAIT_FOR_REQUEST_SECONDS:
                self._take_all(trace)
        for print_, burst in self._sampler.bursts.items():
            is_over = is_closing or now - burst.dropped_at > QUIET_SECONDS
            if burst.dropped and is_over:
                self._report_burst(print_)

    def _report_burst(self, print_: str) -> None:
        statement = ""
        entry = self.statistics.by_fingerprint.get(print_)
        if entry is not None:
            statement = entry.statement
        dropped = self._sampler.take_dropped(print_)
        emit(SlowQueriesDropped(fingerprint=print_, statement=statement, dropped=dropped))
