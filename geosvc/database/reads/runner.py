"""The protocol of what runs a statement that reads, and can go on when the statement fails.

A pool does, a transaction does with a savepoint around the statement, and the reader of a snapshot
begins another transaction.
"""

from collections.abc import Sequence
from typing import Protocol

from geosvc.model.row import Row
from geosvc.sql.compose import Statement


class Reads(Protocol):
    """Runs statements that read features."""

    async def fetch(self, statement: Statement) -> Sequence[Row]:
        """Fetch all rows of a statement. Raises: RequestError."""
        ...
