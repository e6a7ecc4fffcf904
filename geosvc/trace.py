"""What is measured while a request is handled: its own times, and each run of a statement for it.

Both change while they are measured and are handed on in events when they have ended. They are plain
classes whose defaults are the class's, since making a dataclass of twenty fields would cost every
request more than all that is measured in it. All times are seconds of `time.perf_counter`.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from time import perf_counter
from typing import Literal, Protocol

Outcome = Literal["ok", "failed", "cancelled", "timeout", "no-connection"]
Origin = Literal["request", "geosvc"]
_OF_REQUESTS = ("items.", "write.")
_OWN = frozenset({"items.count", "items.estimate"})


def origin_of(statement: str) -> Origin:
    """Whether a statement, told by its name, reads or writes what a client asked for, or is one of
    geosvc's own: of the catalog, the change log, extents, counts, sessions.
    """
    is_own = statement in _OWN or statement.startswith(("write.idempotency", "write.feed"))
    return "request" if statement.startswith(_OF_REQUESTS) and not is_own else "geosvc"


class Headers(Protocol):
    """The headers of a request, by names in any case."""

    def get(self, name: str) -> str | None:
        """The first value of a header; None where it is missing."""
        ...

    def getall(self, name: str, missing: Sequence[str]) -> Sequence[str]:
        """All values of a header; `missing` where it is missing."""
        ...


class Run:
    """One run of a statement.

    Attributes:
        name: what the code calls the statement, such as `items.page`.
        shape: what makes it another statement than others of its name: `bbox sortby=-name`; empty
            when nothing does.
        trace: the request that it runs for; None for what the service does by itself.
        shared: of a look-up, the other requests that wait for it too.
        pool_seconds: the wait for a connection; `pool_was_full` tells whether others had them all.
        seconds: in the database, with sending and receiving.
        sqlstate: of a failure that PostgreSQL told.
    """

    __slots__ = (
        "args",
        "ended_at",
        "name",
        "outcome",
        "pool_seconds",
        "pool_was_full",
        "reported",
        "rows",
        "seconds",
        "shape",
        "shared",
        "sqlstate",
        "text",
        "trace",
    )

    def __init__(
        self, name: str, text: str, args: Sequence[object] = (), trace: "Trace | None" = None
    ) -> None:
        self.name = name
        self.shape = ""
        self.text = text
        self.args = args
        self.trace = trace
        self.shared: Sequence[Trace] = ()
        self.pool_seconds = 0.0
        self.pool_was_full = False
        self.seconds = 0.0
        self.rows: int | None = None
        self.outcome: Outcome = "ok"
        self.sqlstate: str | None = None
        self.ended_at = 0.0
        self.reported = False

    @property
    def origin(self) -> Origin:
        """Whether a client asked for it, or geosvc did by itself."""
        return origin_of(self.name)

    @property
    def total_seconds(self) -> float:
        """From asking for a connection to the last row."""
        return self.pool_seconds + self.seconds


class Trace:
    """One request.

    Attributes:
        peer: as the connection has it, for `requests.client`.
        headers: of the request, except of one that was refused before any handler.
        operation, route: of the URL table; None for what is not in it.
        pool_seconds, db_seconds, encode_seconds, send_seconds: the sums of its waits for
            connections, of its statements, of writing batches, and of handing bytes to the client.
        first_run_at: when it first asked for a connection; 0 when it never did.
        rows, bytes: of features read, and of the body before it is compressed.
        heaviest: the statement of its own that took longest.
        measured: whether somebody waits for its end.
        has_fresh_catalog: whether the catalog was looked at for it, and was as it had been.
        slow: its statements above their threshold, which are told when it is over.
    """

    peer: str | None = None
    headers: "Headers | None" = None
    collection: str | None = None
    operation: str | None = None
    route: str | None = None
    pool_seconds = 0.0
    db_seconds = 0.0
    encode_seconds = 0.0
    send_seconds = 0.0
    first_run_at = 0.0
    prepared_at = 0.0
    total_seconds = 0.0
    rows = 0
    bytes = 0
    status = 0
    heaviest: Run | None = None
    slow: "list[Run] | None" = None
    measured = False
    ended = False
    aborted = False
    has_fresh_catalog = False

    def __init__(self, request_id: str, method: str) -> None:
        self.request_id = request_id
        self.method = method
        self.started = perf_counter()

    @property
    def user_agent(self) -> str | None:
        """The program of the client, as it says."""
        if self.headers is None:
            return None
        return self.headers.get("User-Agent")

    @property
    def forwarded_for(self) -> Sequence[str]:
        """The values of X-Forwarded-For."""
        if self.headers is None:
            return ()
        return self.headers.getall("X-Forwarded-For", ())

    def take(self, run: Run) -> None:
        """Takes note of a run of its own that has ended; its times are added while it runs."""
        if self.measured and (
            self.heaviest is None or run.total_seconds > self.heaviest.total_seconds
        ):
            self.heaviest = run

    def take_shared(self, run: Run, asked_at: float) -> None:
        """Takes the times of a run that it shared with others: it waited for its turn from
        `asked_at` on.
        """
        self.first_run_at = asked_at
        self.db_seconds = run.seconds
        self.pool_seconds = max(perf_counter() - asked_at - run.seconds, 0.0)

    def take_waiting(self, asked_at: float) -> None:
        """Takes what it waited from `asked_at` on, unless a run of its own tells: others were at
        work on the same.
        """
        if not self.first_run_at:
            self.first_run_at = asked_at
            self.pool_seconds = perf_counter() - asked_at

    @property
    def parse_seconds(self) -> float:
        """Until it first asked for a connection."""
        return self.first_run_at - self.started if self.first_run_at else 0.0


current_trace: ContextVar[Trace | None] = ContextVar("current_trace", default=None)
"""The request that is being handled."""

current_run: ContextVar[Run | None] = ContextVar("current_run", default=None)
"""The run of the statement that is being run."""
