"""What the sessions of the service are doing in the database, whichever worker they belong to, and how one is ended."""

from collections.abc import Mapping
from typing import Any

from geosvc.database.pool import Database
from geosvc.events import StatementCancelled, emit
from geosvc.sql.compose import APPLICATION_NAME
from geosvc.sql.files import load_statement
from geosvc.sql.literals import normalise

ACTIVITY_SECONDS = 2.0
SAME_SECONDS = 0.000002  # JSON and forms round


def _request_id(application_name: str) -> str | None:
    return (
        application_name.removeprefix(f"{APPLICATION_NAME}/") if "/" in application_name else None
    )


async def running_statements(database: Database) -> list[dict[str, Any]]:
    """The running statements, the longest first, each with the id of its request. Raises: RequestError."""
    rows = await database.fetch(load_statement("activity", (APPLICATION_NAME,)), ACTIVITY_SECONDS)
    found = [dict(row[0]) for row in rows]
    for each in found:
        each["request_id"] = _request_id(each.pop("application_name"))
        each["sql"] = normalise(each["sql"] or "")
    return found


async def find_statement(database: Database, pid: int, started: float) -> dict[str, Any] | None:
    """A running statement, if it is still the one that was seen. Raises: RequestError."""
    found = (each for each in await running_statements(database) if each["pid"] == pid)
    return next((each for each in found if abs(each["started"] - started) < SAME_SECONDS), None)


async def cancel_statement(
    database: Database, pid: int, started: float, operator: Mapping[str, str | None]
) -> bool:
    """Cancels a statement if it is still the one that was seen. Raises: RequestError.

    Args:
        started: as `running_statements` told it.
        operator: who wants it: `client` and `user_agent`, for the log.
    """
    rows = await database.fetch(
        load_statement("cancel_statement", (pid, started, APPLICATION_NAME)), ACTIVITY_SECONDS
    )
    if not rows or not rows[0][0]:
        return False
    emit(
        StatementCancelled(
            pid=pid, request_id=_request_id(rows[0][1]), running_ms=rows[0][2], **operator
        )
    )
    return True
