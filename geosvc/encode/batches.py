"""How many rows a batch takes: few at first, then as many as fill it, whatever the size of the geometries."""

from collections.abc import Sequence
from dataclasses import dataclass

from geosvc.model.row import Row

FIRST_ROWS = 100
_TEXT_PER_STORED = 3  # GeoJSON is about three times as long as the compressed row


@dataclass(slots=True)
class BatchSize:
    """Aims at batches of `target_bytes` by the size of the last one.

    Attributes:
        max_rows: of a batch.
        expected_row_bytes: what the catalog expects a row to take.
    """

    max_rows: int
    target_bytes: int
    expected_row_bytes: int

    def next_rows(self, last: Sequence[Row]) -> int:
        """Rows of the next batch, at least 1. Of the first when `last` is empty."""
        if not last:
            return self._within(self.target_bytes // (self.expected_row_bytes * _TEXT_PER_STORED), FIRST_ROWS)
        row_bytes = max(sum(len(row[0]) for row in last) // len(last), 1)
        return self._within(self.target_bytes // row_bytes, min(self.max_rows, 4 * len(last)))

    def _within(self, rows: int, most: int) -> int:
        return max(1, min(rows, most, self.max_rows))
