"""Deletes old changes from the log, a piece at a time, by one of all workers."""

import asyncio
from collections.abc import Callable

from geosvc.database.writes.writer import Writer
from geosvc.errors import RequestError
from geosvc.events import ChangesPruned, PruningFailed, emit
from geosvc.query.change_log.advisory_locks import PRUNE_LOCK
from geosvc.settings import Settings
from geosvc.sql.files import load_statement

EVERY_SECONDS = 60.0
AT_ONCE = 10_000


class Pruner:
    """Keeps the log within its age and size.

    Args:
        is_due: whether there is a log that can be written to.
    """

    def __init__(self, settings: Settings, writer: Writer, is_due: Callable[[], bool]) -> None:
        self._settings = settings
        self._writer = writer
        self._is_due = is_due
        self._failed = False

    async def prune(self) -> int:
        """Prunes the log once; returns how many changes are gone. Raises: RequestError."""
        kept = (float(self._settings.feed_retention), self._settings.feed_max_changes)
        pruned = 0
        while True:
            arguments = (*kept, AT_ONCE, *PRUNE_LOCK)
            rows = await self._writer.fetch(load_statement("feed_prune", arguments))
            gone: int = rows[0][0]
            pruned += gone
            # among the oldest may be changes of a long transaction, which are not old yet
            if gone < AT_ONCE // 10:
                return pruned

    async def follow(self) -> None:
        """Prunes until it is cancelled. Failures are events."""
        while True:
            if self._is_due():
                try:
                    pruned = await self.prune()
                except RequestError as error:
                    if not self._failed:
                        emit(PruningFailed(reason=error.reason or error.detail))
                    self._failed = True
                else:
                    self._failed = False
                    if pruned:
                        emit(ChangesPruned(changes=pruned))
            await asyncio.sleep(EVERY_SECONDS)
