"""Run a read again if its connection was dead, or another transaction was in its way."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from geosvc.database.connection_source import ConnectionSource
from geosvc.database.sqlstate import (
    DATABASE_ERRORS,
    LOST,
    RETRIED,
    RETRYABLE,
    Locker,
    is_lost,
    translate,
)
from geosvc.events import ReadRetried, emit
from geosvc.sql.compose import Statement
from geosvc.sql.files import load_statement

_T = TypeVar("_T")


async def run_read(
    source: ConnectionSource, statement: Statement, attempt: Callable[[], Awaitable[_T]]
) -> _T:
    """Runs a read, at most three times.

    Most connections are not probed before they are used, so that the first attempt may find a dead
    one. If the second attempt finds a dead one as well, as after a restart of the server, all
    connections are replaced before the third.

    Args:
        attempt: runs the statement once, on a connection of `source`.
    Raises: RequestError.
    """
    try:
        try:
            return await attempt()
        except RETRIED as error:
            if not _may_succeed(error):
                raise
            if is_lost(error):
                source.suspect_all()
            emit(ReadRetried(statement=statement.name, reason=type(error).__name__))
        return await _run_again(source, attempt)
    except asyncpg.LockNotAvailableError as error:
        raise translate(error, statement.name, await _find_lockers(source)) from error
    except DATABASE_ERRORS as error:
        raise translate(error, statement.name) from error


def _may_succeed(error: BaseException) -> bool:
    """Whether the same read may succeed at once on another connection."""
    return is_lost(error) or isinstance(error, RETRYABLE)


async def _run_again(source: ConnectionSource, attempt: Callable[[], Awaitable[_T]]) -> _T:
    """Runs the second attempt, and the third. Raises: the errors of asyncpg."""
    try:
        return await attempt()
    except LOST as error:
        if not is_lost(error):
            raise
        await source.expire()
    return await attempt()


async def _find_lockers(source: ConnectionSource) -> list[Locker]:
    """The sessions whose locks keep readers out; none if the server does not answer at once."""
    return [Locker(*row) for row in await source.ask(load_statement("lockers"))]
