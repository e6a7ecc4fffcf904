"""Chooses the number of rows of each batch: few at first, then as many as fill the batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from geosvc.model.row import Row
from geosvc.query.feature_format import first_column_bytes

FIRST_ROWS = 100
_MAX_GROWTH = 4  # a batch has at most so many times the rows of the one before
_TEXT_PER_STORED = 3  # GeoJSON is about three times as long as the compressed row


@dataclass(slots=True)
class BatchSize:
    """Computes how many rows fill a batch of `target_bytes`, from the size of the last batch.

    Attributes:
        max_rows: the most rows of a batch.
        expected_row_bytes: the size of a row in storage, as the catalog estimates it.
        encoded_bytes: measures the encoded features of a batch.
    """

    max_rows: int
    target_bytes: int
    expected_row_bytes: int
    encoded_bytes: Callable[[Sequence[Row]], int] = first_column_bytes

    def next_rows(self, last: Sequence[Row]) -> int:
        """Rows of the next batch, at least 1.

        Args:
            last: the rows of the batch before; empty for the first batch.
        """
        if not last:
            expected_bytes = self.expected_row_bytes * _TEXT_PER_STORED
            return self._within(self.target_bytes // expected_bytes, FIRST_ROWS)
        row_bytes = max(self.encoded_bytes(last) // len(last), 1)
        most = min(self.max_rows, _MAX_GROWTH * len(last))
        return self._within(self.target_bytes // row_bytes, most)

    def _within(self, rows: int, most: int) -> int:
        return max(1, min(rows, most, self.max_rows))
