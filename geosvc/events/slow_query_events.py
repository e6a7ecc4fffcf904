"""Events of slow queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geosvc.events.event import Event


@dataclass(frozen=True, slots=True)
class SlowQuery(Event):
    """A statement took longer than its threshold, with the wait for its connection and the sending
    of its rows.

    Attributes:
        cause: where most of the time went.
        advice: what would help, most likely first.
        client, user_agent: who sent the request, as far as GEOSVC_LOG_CLIENTS allows.
        origin: `request` for statements of a request, `geosvc` for those of the service itself.
        statement: its name in the code.
        shape: what distinguishes it from other statements of that name.
        total_ms: the time of the whole request.
        duration_ms: the time of this statement in the database.
        other_db_ms: the time of the other statements of the request.
        outcome: ok, failed, cancelled, timeout or no-connection.
        shared_with: the ids of other requests that waited for the same look-up.
        dropped: how many lines of this fingerprint were left out since the last one.
        plan: the lines of EXPLAIN, with values redacted; None when there was no EXPLAIN.
        args: the arguments, redacted to type and size.
    """

    level = "warning"
    cause: str
    advice: Sequence[Mapping[str, object]]
    request_id: str | None
    client: str | None
    user_agent: str | None
    method: str | None
    route: str | None
    collection: str | None
    operation: str | None
    origin: str
    statement: str
    shape: str
    fingerprint: str
    total_ms: float
    duration_ms: float
    pool_wait_ms: float
    other_db_ms: float
    encode_ms: float
    send_ms: float
    threshold_ms: float
    rows: int | None
    bytes: int
    outcome: str
    sqlstate: str | None
    shared_with: Sequence[str]
    dropped: int
    plan: Sequence[str] | None
    args: Sequence[object]
    sql: str


@dataclass(frozen=True, slots=True)
class SlowQueriesDropped(Event):
    """A burst of slow queries of one fingerprint is over; so many lines of it were left out."""

    level = "warning"
    fingerprint: str
    statement: str
    dropped: int
