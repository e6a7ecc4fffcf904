"""The running statements of the service, of all workers, and how one is cancelled."""

from collections.abc import Mapping
from typing import Any

from geosvc.database.pool import Database
from geosvc.events import StatementCancelled, emit
from geosvc.sql.compose import APPLICATION_NAME
from geosvc.sql.files import load_statement
from geosvc.sql.literals import normalise

ACTIVITY_SECONDS = 2.0
SAME_SECONDS = 0.000002  # JSON and forms round the time


def _request_id(application_name: str) -> str | None:
    """The id of the request that a session works for; None if it works for none."""
    if "/" not in application_name:
        return None
    return application_name.removeprefix(f"{APPLICATION_NAME}/")


async def running_statements(database: Database) -> list[dict[str, Any]]:
    """The running statements, the longest first, each with the id of its request.

    Raises: RequestError.
    """
    rows = await database.fetch(load_statement("activity", (APPLICATION_NAME,)), ACTIVITY_SECONDS)
    statements: list[dict[str, Any]] = []
    for row in rows:
        statement = dict(row[0])
        statement["request_id"] = _request_id(statement.pop("application_name"))
        statement["sql"] = normalise(statement["sql"] or "")
        statements.append(statement)
    return statements


async def find_statement(database: Database, pid: int, started: float) -> dict[str, Any] | None:
    """The running statement of a process, if it is the one that started then; else None.

    Args:
        pid: of the process of PostgreSQL.
        started: as `running_statements` returned it.
    Raises: RequestError.
    """
    for statement in await running_statements(database):
        if statement["pid"] == pid and abs(statement["started"] - started) < SAME_SECONDS:
            return statement
    return None


async def cancel_statement(
    database: Database, pid: int, started: float, operator: Mapping[str, str | None]
) -> bool:
    """Cancels the running statement of a process, if it is the one that started then.

    Args:
        pid: of the process of PostgreSQL.
        started: as `running_statements` returned it.
        operator: `client` and `user_agent` of who cancels it, for the log.
    Returns: whether it was cancelled.
    Raises: RequestError.
    """
    statement = load_statement("cancel_statement", (pid, started, APPLICATION_NAME))
    rows = await database.fetch(statement, ACTIVITY_SECONDS)
    if not rows:
        return False
    was_cancelled, application_name, running_ms = rows[0]
    if not was_cancelled:
        return False
    request_id = _request_id(application_name)
    emit(StatementCancelled(pid=pid, request_id=request_id, running_ms=running_ms, **operator))
    return True
